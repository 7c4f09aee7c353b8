//! ListOffsets and OffsetForLeaderEpoch.

use super::{Kafka, Out, ReplyTo, Waiting, view};
use crate::mail::{Ask, OffsetAt, OffsetPart, Token};
use std::collections::BTreeMap;
use torc_base::ids::{GroupId, LeaderEpoch, Offset, ShardId, TopicId};
use torc_net::kafka::error;
use torc_net::kafka::schema::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use torc_net::kafka::schema::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use torc_net::kafka::schema::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

/// Special timestamps of ListOffsets. -4 and -5 (tiered storage) and -6 are not known to torc.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// On a log without tiers the earliest local offset is the earliest one.
const EARLIEST_LOCAL: i64 = -4;

/// A ListOffsets request whose answer is being put together.
pub(super) struct ListGather {
    response: ListOffsetsResponse,
    places: Vec<(usize, usize)>,
    waiting: usize,
}

impl ListGather {
    /// Takes answers in; true if all are there.
    pub fn take(&mut self, parts: Vec<(u32, i16, i64, Offset, LeaderEpoch)>) -> bool {
        for (position, code, timestamp, offset, epoch) in parts {
            let (topic, partition) = self.places[position as usize];
            let place = &mut self.response.topics[topic].partitions[partition];
            place.error_code = code;
            place.timestamp = timestamp;
            place.offset = offset.get();
            place.leader_epoch = epoch.get();
            self.waiting -= 1;
        }
        self.waiting == 0
    }
}

/// An OffsetForLeaderEpoch request whose answer is being put together.
pub(super) struct EpochGather {
    response: OffsetForLeaderEpochResponse,
    places: Vec<(usize, usize)>,
    waiting: usize,
}

impl EpochGather {
    /// Takes answers in; true if all are there.
    pub fn take(&mut self, parts: Vec<(u32, i16, LeaderEpoch, Offset)>) -> bool {
        for (position, code, epoch, end) in parts {
            let (topic, partition) = self.places[position as usize];
            let place = &mut self.response.topics[topic].partitions[partition];
            place.error_code = code;
            place.leader_epoch = epoch.get();
            place.end_offset = end.get();
            self.waiting -= 1;
        }
        self.waiting == 0
    }
}

impl Kafka {
    /// The group of a partition by its topic's name.
    pub(super) fn group_of(&self, name: &str, index: i32) -> Result<GroupId, i16> {
        let topic = self.view.find(name, TopicId::ZERO).ok_or(error::UNKNOWN_TOPIC_OR_PARTITION)?;
        view::partition(topic, index).ok_or(error::UNKNOWN_TOPIC_OR_PARTITION)
    }

    pub(super) fn list_offsets(&mut self, out: &mut Out, to: ReplyTo, request: ListOffsetsRequest) {
        let mut gather = ListGather { response: ListOffsetsResponse::default(), places: Vec::new(), waiting: 0 };
        let mut asks: BTreeMap<ShardId, Vec<OffsetPart>> = BTreeMap::new();
        for (t, topic) in request.topics.into_iter().enumerate() {
            let mut answer = ListOffsetsTopicResponse::default().with_name(topic.name.clone());
            for (p, partition) in topic.partitions.into_iter().enumerate() {
                let mut place = ListOffsetsPartitionResponse::default()
                    .with_partition_index(partition.partition_index)
                    .with_timestamp(-1)
                    .with_offset(-1);
                let at = offset_at(partition.timestamp);
                match at.and_then(|at| Ok((at, self.group_of(&topic.name, partition.partition_index)?))) {
                    Ok((at, group)) => {
                        let position = gather.places.len() as u32;
                        gather.places.push((t, p));
                        let part = OffsetPart { position, group, epoch: partition.current_leader_epoch, at };
                        asks.entry(self.settings.owner(group)).or_default().push(part);
                    }
                    Err(code) => place.error_code = code,
                }
                answer.partitions.push(place);
            }
            gather.response.topics.push(answer);
        }
        gather.waiting = gather.places.len();
        if gather.waiting == 0 {
            return self.reply(out, to, &gather.response);
        }
        let token = self.wait(to, Waiting::ListOffsets(gather));
        out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, token, Ask::Offsets(parts))));
    }

    pub(super) fn finish_list_offsets(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(token);
        let Waiting::ListOffsets(mut gather) = pending.what else { unreachable!("it was one") };
        if pending.to.version < 4 {
            // Older versions have no leader epochs.
            let partitions = gather.response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| partition.leader_epoch = -1);
        }
        self.reply(out, pending.to, &gather.response);
    }

    pub(super) fn epoch_ends(&mut self, out: &mut Out, to: ReplyTo, request: OffsetForLeaderEpochRequest) {
        let response = OffsetForLeaderEpochResponse::default();
        let mut gather = EpochGather { response, places: Vec::new(), waiting: 0 };
        let mut asks: BTreeMap<ShardId, Vec<(u32, GroupId, i32, LeaderEpoch)>> = BTreeMap::new();
        for (t, topic) in request.topics.into_iter().enumerate() {
            let mut answer = OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone());
            for (p, partition) in topic.partitions.into_iter().enumerate() {
                let mut place = EpochEndOffset::default().with_partition(partition.partition);
                match self.group_of(&topic.topic, partition.partition) {
                    Ok(group) => {
                        let position = gather.places.len() as u32;
                        gather.places.push((t, p));
                        let requested = LeaderEpoch(partition.leader_epoch);
                        let part = (position, group, partition.current_leader_epoch, requested);
                        asks.entry(self.settings.owner(group)).or_default().push(part);
                    }
                    Err(code) => place = place.with_error_code(code).with_leader_epoch(-1).with_end_offset(-1),
                }
                answer.partitions.push(place);
            }
            gather.response.topics.push(answer);
        }
        gather.waiting = gather.places.len();
        if gather.waiting == 0 {
            return self.reply(out, to, &gather.response);
        }
        let token = self.wait(to, Waiting::EpochEnds(gather));
        out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, token, Ask::EpochEnds(parts))));
    }

    pub(super) fn finish_epoch_ends(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(token);
        let Waiting::EpochEnds(gather) = pending.what else { unreachable!("it was one") };
        self.reply(out, pending.to, &gather.response);
    }
}

fn offset_at(timestamp: i64) -> Result<OffsetAt, i16> {
    match timestamp {
        LATEST => Ok(OffsetAt::Latest),
        EARLIEST | EARLIEST_LOCAL => Ok(OffsetAt::Earliest),
        MAX_TIMESTAMP => Ok(OffsetAt::MaxTimestamp),
        ts if ts >= 0 => Ok(OffsetAt::Timestamp(ts)),
        _ => Err(error::UNSUPPORTED_VERSION),
    }
}
