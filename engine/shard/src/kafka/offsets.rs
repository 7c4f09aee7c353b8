//! ListOffsets and OffsetForLeaderEpoch.

use super::repeats::repeated;
use super::{Kafka, Out, ReplyTo, Waiting, code, expiry, view};
use crate::mail::{Ask, FoundOffset, OffsetAt, OffsetPart, Parts, Token};
use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::{GroupId, LeaderEpoch, Offset, Place, TopicId};
use torc_net::kafka::error;
use torc_net::kafka::schema::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use torc_net::kafka::schema::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use torc_net::kafka::schema::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName,
};

/// Special timestamps of ListOffsets, the first version that has each, and what they ask for. There is no remote
/// storage, so that the earliest local offset is the earliest one.
const SPECIAL: [(i64, i16, OffsetAt); 6] = [
    (-1, 1, OffsetAt::Latest),
    (-2, 1, OffsetAt::Earliest),
    (-3, 7, OffsetAt::MaxTimestamp),
    (-4, 8, OffsetAt::Earliest),
    (-5, 9, OffsetAt::Remote),
    (-6, 11, OffsetAt::Remote),
];
/// Who asks as this replica wants to know what the asked node has itself, leader or not: that is how replicas are compared.
const ANY_REPLICA: i32 = -2;
/// First version with a time limit.
const WITH_TIMEOUT: i16 = 10;

/// A ListOffsets request whose answer is being put together.
pub(super) struct ListGather {
    response: ListOffsetsResponse,
    places: Vec<(usize, usize)>,
    waiting: usize,
    /// The shards that were asked.
    owners: Vec<Place>,
}

impl ListGather {
    /// Takes answers in; true if all are there.
    pub fn take(&mut self, parts: Parts<FoundOffset>) -> bool {
        for (position, result) in parts {
            let (topic, partition) = self.places[position as usize];
            let place = &mut self.response.topics[topic].partitions[partition];
            place.error_code = result.err().map_or(error::NONE, code);
            let found = result.unwrap_or(FoundOffset::NONE);
            place.timestamp = found.timestamp;
            place.offset = found.offset.get();
            place.leader_epoch = found.epoch.get();
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
    pub fn take(&mut self, parts: Parts<(LeaderEpoch, Offset)>) -> bool {
        for (position, result) in parts {
            let (topic, partition) = self.places[position as usize];
            let place = &mut self.response.topics[topic].partitions[partition];
            place.error_code = result.err().map_or(error::NONE, code);
            let (epoch, end) = result.unwrap_or((LeaderEpoch(-1), Offset(-1)));
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
        let named = request.topics.iter().flat_map(|t| t.partitions.iter().map(|p| (&t.name, p.partition_index)));
        let twice = repeated(named);
        let mut told = BTreeSet::new();
        let response = ListOffsetsResponse::default();
        let mut gather = ListGather { response, places: Vec::new(), waiting: 0, owners: Vec::new() };
        // Each topic has one place in the answer, however often it is named.
        let mut topics: BTreeMap<&TopicName, usize> = BTreeMap::new();
        let mut asks: BTreeMap<Place, Vec<OffsetPart>> = BTreeMap::new();
        for topic in &request.topics {
            let answers = &mut gather.response.topics;
            let t = *topics.entry(&topic.name).or_insert_with(|| {
                answers.push(ListOffsetsTopicResponse::default().with_name(topic.name.clone()));
                answers.len() - 1
            });
            for partition in &topic.partitions {
                let index = partition.partition_index;
                let key = (&topic.name, index);
                if twice.contains(&key) && !told.insert(key) {
                    continue;
                }
                let at = match offset_at(partition.timestamp, to.version) {
                    Ok(OffsetAt::Latest) if request.replica_id.0 == ANY_REPLICA => Ok(OffsetAt::End),
                    at => at,
                };
                let at = match at {
                    _ if twice.contains(&key) => Err(error::INVALID_REQUEST),
                    at => at.and_then(|at| Ok((at, self.group_of(&topic.name, index)?))),
                };
                let code = match at {
                    Ok((at, group)) => {
                        let position = gather.places.len() as u32;
                        gather.places.push((t, gather.response.topics[t].partitions.len()));
                        let part = OffsetPart { position, group, epoch: partition.current_leader_epoch, at };
                        asks.entry(self.settings.owner(group)).or_default().push(part);
                        // Until its owner has answered.
                        error::REQUEST_TIMED_OUT
                    }
                    Err(code) => code,
                };
                let place = ListOffsetsPartitionResponse::default()
                    .with_partition_index(index)
                    .with_error_code(code)
                    .with_timestamp(-1)
                    .with_offset(-1);
                gather.response.topics[t].partitions.push(place);
            }
        }
        gather.waiting = gather.places.len();
        if gather.waiting == 0 {
            return self.reply(out, to, &gather.response);
        }
        gather.owners = asks.keys().copied().collect();
        let limited = to.version >= WITH_TIMEOUT && request.timeout_ms > 0;
        let expires = if limited { expiry::limit(out.now.mono, request.timeout_ms) } else { expiry::NEVER };
        let token = self.wait_until(out, expires, to, Waiting::ListOffsets(gather));
        out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, token, Ask::Offsets(parts))));
    }

    /// Nobody waits for the answer any more.
    pub(super) fn forget_list_offsets(&self, out: &mut Out, token: Token, gather: &ListGather) {
        out.asks.extend(gather.owners.iter().map(|owner| (*owner, token, Ask::CancelOffsets)));
    }

    pub(super) fn finish_list_offsets(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(out, token);
        let Waiting::ListOffsets(mut gather) = pending.what else { unreachable!("it was one") };
        if gather.waiting > 0 {
            // Its time is up.
            self.forget_list_offsets(out, token, &gather);
        }
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
        let mut asks: BTreeMap<Place, Vec<(u32, GroupId, i32, LeaderEpoch)>> = BTreeMap::new();
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
        let token = self.wait(out, to, Waiting::EpochEnds(gather));
        out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, token, Ask::EpochEnds(parts))));
    }

    pub(super) fn finish_epoch_ends(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(out, token);
        let Waiting::EpochEnds(gather) = pending.what else { unreachable!("it was one") };
        self.reply(out, pending.to, &gather.response);
    }
}

fn offset_at(timestamp: i64, version: i16) -> Result<OffsetAt, i16> {
    if timestamp >= 0 {
        return Ok(OffsetAt::Timestamp(timestamp));
    }
    let special = SPECIAL.iter().find(|(special, since, _)| *special == timestamp && *since <= version);
    special.map(|(_, _, at)| *at).ok_or(error::UNSUPPORTED_VERSION)
}
