//! OffsetCommit, OffsetFetch and OffsetDelete.

use super::{Kafka, Out, Part, ReplyTo, What, code_of, maybe_text, text, topic_name, wire};
use crate::kafka::refusals::group_code;
use crate::kafka::view;
use torc_base::ids::TopicId;
use torc_net::kafka::error;
use torc_net::kafka::schema::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use torc_net::kafka::schema::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use torc_net::kafka::schema::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use torc_net::kafka::schema::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse,
};
use torc_state::coordinator::Text;
use torc_state::coordinator::request::{Commit, CommitPartition, CommitTopic, DeleteOffsets, Fetch, Request};
use torc_state::coordinator::response::{FetchedOffset, PartitionResult, Refusal, Response};

/// First versions: of OffsetCommit that knows epochs of members; of OffsetFetch with many groups, and with a code for the
/// whole answer. Last version of OffsetCommit that names a time to keep offsets for.
const KNOWS_EPOCHS: i16 = 9;
const MANY_GROUPS: i16 = 8;
const WHOLE_CODE: i16 = 2;
const WITH_RETENTION: i16 = 4;

/// Topics and partitions in the order of the request; those that the coordinator is not asked about have their codes.
pub(super) type Places = Vec<(Text, Vec<(i32, Option<i16>)>)>;

impl Kafka {
    /// A topic as it was asked for, and which of its partitions there are.
    fn place(&self, name: &str, partitions: impl Iterator<Item = i32>) -> (TopicId, Vec<(i32, Option<i16>)>) {
        let topic = self.view.by_name(name);
        let is_there = |index| topic.is_some_and(|topic| view::partition(topic, index).is_some());
        let code = |index| (!is_there(index)).then_some(error::UNKNOWN_TOPIC_OR_PARTITION);
        (topic.map_or(TopicId::ZERO, |topic| topic.id), partitions.map(|index| (index, code(index))).collect())
    }

    pub(in crate::kafka) fn offset_commit(&mut self, out: &mut Out, to: ReplyTo, request: OffsetCommitRequest) {
        let (mut places, mut topics) = (Places::new(), Vec::new());
        for topic in &request.topics {
            let (id, places_of) = self.place(&topic.name, topic.partitions.iter().map(|one| one.partition_index));
            let known = topic.partitions.iter().zip(&places_of).filter(|(_, (_, code))| code.is_none());
            let partitions: Vec<CommitPartition> = known
                .map(|(one, _)| CommitPartition {
                    index: one.partition_index,
                    offset: one.committed_offset,
                    leader_epoch: one.committed_leader_epoch,
                    metadata: maybe_text(one.committed_metadata.as_ref()).unwrap_or_default(),
                })
                .collect();
            let name = text(&topic.name);
            if !partitions.is_empty() {
                topics.push(CommitTopic { name: name.clone(), id, partitions });
            }
            places.push((name, places_of));
        }
        if topics.is_empty() && !places.is_empty() {
            let response = committed(places, Ok(Box::new(Response::Commit(Ok(Vec::new())))));
            return self.reply(out, to, &response);
        }
        let question = self.coordinator_of(&request.group_id).map(|log| {
            let commit = Commit {
                group: text(&request.group_id),
                member: text(&request.member_id),
                instance: maybe_text(request.group_instance_id.as_ref()),
                generation: request.generation_id_or_member_epoch,
                retention: (to.version <= WITH_RETENTION && request.retention_time_ms >= 0)
                    .then_some(request.retention_time_ms),
                knows_epochs: to.version >= KNOWS_EPOCHS,
                topics,
            };
            (log, Request::Commit(commit))
        });
        self.coordinate(out, to, What::Commit(places), vec![question]);
    }

    pub(in crate::kafka) fn offset_fetch(&mut self, out: &mut Out, to: ReplyTo, request: OffsetFetchRequest) {
        let fetches: Vec<Fetch> = if to.version >= MANY_GROUPS {
            let topics = |topics: &Vec<_>| topics.iter().map(named_many).collect();
            let fetch = |group: &torc_net::kafka::schema::offset_fetch_request::OffsetFetchRequestGroup| Fetch {
                group: text(&group.group_id),
                member: maybe_text(group.member_id.as_ref()),
                epoch: group.member_epoch,
                topics: group.topics.as_ref().map(topics),
            };
            request.groups.iter().map(fetch).collect()
        } else {
            let named = |topic: &torc_net::kafka::schema::offset_fetch_request::OffsetFetchRequestTopic| {
                (text(&topic.name), topic.partition_indexes.clone())
            };
            let topics = request.topics.as_ref().map(|topics| topics.iter().map(named).collect());
            vec![Fetch { group: text(&request.group_id), member: None, epoch: -1, topics }]
        };
        let groups = fetches.iter().map(|fetch| fetch.group.clone()).collect();
        let question = |fetch: Fetch| self.coordinator_of(&fetch.group).map(|log| (log, Request::Fetch(fetch)));
        let questions = fetches.into_iter().map(question).collect();
        self.coordinate(out, to, What::Fetch(groups), questions);
    }

    pub(in crate::kafka) fn offset_delete(&mut self, out: &mut Out, to: ReplyTo, request: OffsetDeleteRequest) {
        let (mut places, mut topics) = (Places::new(), Vec::new());
        for topic in &request.topics {
            let (_, places_of) = self.place(&topic.name, topic.partitions.iter().map(|one| one.partition_index));
            let known = places_of.iter().filter(|(_, code)| code.is_none()).map(|(index, _)| *index).collect();
            let name = text(&topic.name);
            topics.push((name.clone(), known));
            places.push((name, places_of));
        }
        let question = self
            .coordinator_of_named(&request.group_id)
            .map(|log| (log, Request::DeleteOffsets(DeleteOffsets { group: text(&request.group_id), topics })));
        self.coordinate(out, to, What::DeleteOffsets(places), vec![question]);
    }
}

fn named_many(topic: &torc_net::kafka::schema::offset_fetch_request::OffsetFetchRequestTopics) -> (Text, Vec<i32>) {
    (text(&topic.name), topic.partition_indexes.clone())
}

/// Each partition's code: its own, the coordinator's, which come in the order of the request, or that of the whole.
fn fill(
    places: Places,
    result: Result<Vec<(Text, Vec<PartitionResult>)>, i16>,
) -> impl Iterator<Item = (Text, Vec<(i32, i16)>)> {
    let (whole, results) = match result {
        Ok(topics) => (None, topics),
        Err(code) => (Some(code), Vec::new()),
    };
    let mut results = results.into_iter().flat_map(|(_, partitions)| partitions);
    places.into_iter().map(move |(name, partitions)| {
        let code = |(index, code): (i32, Option<i16>)| {
            let code = code.or(whole).unwrap_or_else(|| {
                let (answered, result) = results.next().expect("each partition is answered");
                assert_eq!(answered, index, "in the order of the request");
                code_of(&result)
            });
            (index, code)
        };
        (name, partitions.into_iter().map(code).collect())
    })
}

pub(super) fn committed(places: Places, part: Part) -> OffsetCommitResponse {
    let result = match part {
        Ok(response) => match *response {
            Response::Commit(result) => result.map_err(group_code),
            other => unreachable!("{other:?} answers no OffsetCommit"),
        },
        Err(code) => Err(code),
    };
    let topics = fill(places, result).map(|(name, partitions)| {
        let partition =
            |(index, code)| OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code);
        OffsetCommitResponseTopic::default()
            .with_name(topic_name(&name))
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

pub(super) fn deleted(places: Places, part: Part) -> OffsetDeleteResponse {
    let result = match part {
        Ok(response) => match *response {
            Response::DeleteOffsets(result) => result.map_err(group_code),
            other => unreachable!("{other:?} answers no OffsetDelete"),
        },
        Err(code) => Err(code),
    };
    if let Err(code) = result {
        return OffsetDeleteResponse::default().with_error_code(code);
    }
    let topics = fill(places, result).map(|(name, partitions)| {
        let partition =
            |(index, code)| OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(code);
        OffsetDeleteResponseTopic::default()
            .with_name(topic_name(&name))
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}

/// What was fetched of a group, or the code of why not.
type FetchedGroup = Result<Vec<(Text, Vec<FetchedOffset>)>, i16>;

fn fetched_group(part: Part) -> FetchedGroup {
    match *part? {
        Response::Fetch { result, .. } => result.map_err(|refusal: Refusal| group_code(refusal)),
        other => unreachable!("{other:?} answers no OffsetFetch"),
    }
}

/// Offset, leader epoch and metadata as the wire has them: -1 and nothing if there is no offset.
fn offset(fetched: &FetchedOffset) -> (i64, i32, &str) {
    fetched.committed.as_ref().map_or((-1, -1, ""), |one| (one.offset, one.leader_epoch, &one.metadata))
}

pub(super) fn fetched(version: i16, groups: Vec<Text>, mut parts: impl Iterator<Item = Part>) -> OffsetFetchResponse {
    if version >= MANY_GROUPS {
        let groups = groups.iter().zip(parts).map(|(group, part)| fetched_many(group, fetched_group(part)));
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    let topics = match fetched_group(parts.next().expect("one group was asked for")) {
        Ok(topics) => topics,
        Err(code) if version >= WHOLE_CODE => return OffsetFetchResponse::default().with_error_code(code),
        // Version 1 has codes for partitions alone, and every request names some.
        Err(_) => Vec::new(),
    };
    let topics = topics.iter().map(|(name, partitions)| {
        let partition = |fetched: &FetchedOffset| {
            let (offset, epoch, metadata) = offset(fetched);
            OffsetFetchResponsePartition::default()
                .with_partition_index(fetched.partition)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(if version >= 5 { epoch } else { -1 })
                .with_metadata(Some(wire(metadata)))
        };
        OffsetFetchResponseTopic::default()
            .with_name(topic_name(name))
            .with_partitions(partitions.iter().map(partition).collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

fn fetched_many(group: &Text, result: FetchedGroup) -> OffsetFetchResponseGroup {
    let answer = OffsetFetchResponseGroup::default().with_group_id(wire(group).into());
    let topics = match result {
        Ok(topics) => topics,
        Err(code) => return answer.with_error_code(code),
    };
    let topics = topics.iter().map(|(name, partitions)| {
        let partition = |fetched: &FetchedOffset| {
            let (offset, epoch, metadata) = offset(fetched);
            OffsetFetchResponsePartitions::default()
                .with_partition_index(fetched.partition)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(Some(wire(metadata)))
        };
        OffsetFetchResponseTopics::default()
            .with_name(topic_name(name))
            .with_partitions(partitions.iter().map(partition).collect())
    });
    answer.with_topics(topics.collect())
}
