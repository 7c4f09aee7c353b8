//! Requests that several clients make, and what their answers say.

use crate::groups::{Moment, Place};
use crate::history::{History, Life, code};
use crate::violation::{Rule, Violation};
use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The timestamp that asks for the log's start.
pub const EARLIEST: i64 = -2;
/// First version of FindCoordinator with many keys.
const MANY_KEYS: i16 = 4;
/// First version of LeaveGroup with many members.
const MANY_LEAVE: i16 = 3;
/// First version of OffsetFetch with many groups.
const MANY_GROUPS: i16 = 8;

/// A string of the wire.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A topic's name.
pub fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A group's id.
pub fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

fn malformed<T>(what: String) -> Result<T, Violation> {
    Err(Violation::new(Rule::Protocol, what))
}

/// A fetch that waits for nothing, as one without a session; topics and bounds are the caller's.
pub fn fetch() -> FetchRequest {
    FetchRequest::default().with_replica_id(BrokerId(-1)).with_max_bytes(1 << 20).with_session_epoch(-1)
}

/// A partition of a fetch.
pub fn part(partition: usize, from: i64, max_bytes: i32) -> FetchPartition {
    FetchPartition::default()
        .with_partition(partition as i32)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(from)
        .with_last_fetched_epoch(-1)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(max_bytes)
}

/// Partitions by topic, each named by its id or its name.
pub fn fetch_topics(
    history: &History,
    by_id: bool,
    parts: impl Iterator<Item = (usize, FetchPartition)>,
) -> Vec<FetchTopic> {
    let mut topics: BTreeMap<usize, Vec<FetchPartition>> = BTreeMap::new();
    parts.for_each(|(t, part)| topics.entry(t).or_default().push(part));
    let named = |(t, parts): (usize, Vec<FetchPartition>)| {
        let known = &history.topics[t];
        let of = FetchTopic::default().with_partitions(parts);
        if by_id { of.with_topic_id(Uuid::from_u128(known.id.unwrap_or(0))) } else { of.with_topic(topic(&known.name)) }
    };
    topics.into_iter().map(named).collect()
}

/// What was asked about a partition that a fetch's answer names.
pub fn asked_part(
    history: &History,
    parts: &[(usize, usize, i64, i64)],
    version: i16,
    topic: &FetchableTopicResponse,
    part: &PartitionData,
) -> Result<(usize, usize, i64, i64), Violation> {
    let asked = parts.iter().find(|(t, p, ..)| {
        let known = &history.topics[*t];
        let same = if version >= 13 {
            known.id == Some(topic.topic_id.as_u128())
        } else {
            known.name == topic.topic.0.as_str()
        };
        same && *p == part.partition_index as usize
    });
    match asked {
        Some(asked) => Ok(*asked),
        None => malformed(format!("a fetch answer names partition {} that was not asked for", part.partition_index)),
    }
}

/// An offset of one partition by a timestamp.
pub fn list_offsets(name: &str, partition: usize, timestamp: i64) -> ListOffsetsRequest {
    let part = ListOffsetsPartition::default()
        .with_partition_index(partition as i32)
        .with_current_leader_epoch(-1)
        .with_timestamp(timestamp);
    let of = ListOffsetsTopic::default().with_name(topic(name)).with_partitions(vec![part]);
    ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![of])
}

/// Where a group's coordinator is.
pub fn find(name: &str, version: i16) -> FindCoordinatorRequest {
    let request = FindCoordinatorRequest::default();
    if version >= MANY_KEYS { request.with_coordinator_keys(vec![text(name)]) } else { request.with_key(text(name)) }
}

/// The error of the answer, and the node that it names.
pub fn coordinator(answer: FindCoordinatorResponse, version: i16) -> (i16, i32) {
    if version >= MANY_KEYS {
        answer.coordinators.first().map_or((-1, -1), |one| (one.error_code, one.node_id.0))
    } else {
        (answer.error_code, answer.node_id.0)
    }
}

/// A protocol that a member can speak.
pub fn protocol(name: &str, metadata: &Bytes) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(metadata.clone())
}

/// What a leader assigns to a member.
pub fn share(member: &str, assignment: &Bytes) -> SyncGroupRequestAssignment {
    SyncGroupRequestAssignment::default().with_member_id(text(member)).with_assignment(assignment.clone())
}

/// A member leaves.
pub fn leave(name: &str, version: i16, member: &str) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(group(name));
    if version >= MANY_LEAVE {
        request.with_members(vec![MemberIdentity::default().with_member_id(text(member))])
    } else {
        request.with_member_id(text(member))
    }
}

/// The error of the answer, or of its one member.
pub fn left(answer: &LeaveGroupResponse, version: i16) -> Result<i16, Violation> {
    if answer.error_code != code::NONE || version < MANY_LEAVE {
        return Ok(answer.error_code);
    }
    match answer.members.first() {
        Some(member) => Ok(member.error_code),
        None => malformed("an answer to LeaveGroup without the member".into()),
    }
}

/// Offsets with the numbers of their writes; member and generation are the caller's.
pub fn commit(history: &History, of: usize, offsets: &[(Place, i64, u64)]) -> OffsetCommitRequest {
    let mut topics: BTreeMap<usize, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for ((t, p), offset, number) in offsets {
        let part = OffsetCommitRequestPartition::default()
            .with_partition_index(*p as i32)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(text(&format!("commit {number}"))));
        topics.entry(*t).or_default().push(part);
    }
    let named = |(t, parts): (usize, Vec<_>)| {
        OffsetCommitRequestTopic::default().with_name(topic(&history.topics[t].name)).with_partitions(parts)
    };
    OffsetCommitRequest::default()
        .with_group_id(group(&history.groups.all[of].name))
        .with_generation_id_or_member_epoch(-1)
        .with_retention_time_ms(-1)
        .with_topics(topics.into_iter().map(named).collect())
}

/// The error that each of the writes of a commit got.
pub fn judged(
    history: &History,
    writes: &[(Place, u64)],
    answer: &OffsetCommitResponse,
) -> Result<Vec<(i16, Place, u64)>, Violation> {
    let error = |(place, number): &(Place, u64)| {
        let topic = answer.topics.iter().find(|topic| topic.name.0.as_str() == history.topics[place.0].name);
        let part =
            topic.and_then(|topic| topic.partitions.iter().find(|part| part.partition_index as usize == place.1));
        match part {
            Some(part) => Ok((part.error_code, *place, *number)),
            None => malformed(format!("an answer to OffsetCommit says nothing of {place:?}")),
        }
    };
    writes.iter().map(error).collect()
}

/// What a group has committed for `places`, or for all (from version 2 on).
pub fn committed(history: &History, of: usize, version: i16, places: Option<&[Place]>) -> OffsetFetchRequest {
    let name = group(&history.groups.all[of].name);
    let by_topic = places.map(|places| {
        let mut topics: BTreeMap<usize, Vec<i32>> = BTreeMap::new();
        places.iter().for_each(|(t, p)| topics.entry(*t).or_default().push(*p as i32));
        topics
    });
    if version < MANY_GROUPS {
        let named = |(t, parts): (usize, Vec<i32>)| {
            OffsetFetchRequestTopic::default().with_name(topic(&history.topics[t].name)).with_partition_indexes(parts)
        };
        let topics = by_topic.map(|topics| topics.into_iter().map(named).collect());
        return OffsetFetchRequest::default().with_group_id(name).with_topics(topics);
    }
    let named = |(t, parts): (usize, Vec<i32>)| {
        OffsetFetchRequestTopics::default().with_name(topic(&history.topics[t].name)).with_partition_indexes(parts)
    };
    let topics = by_topic.map(|topics| topics.into_iter().map(named).collect());
    let of = OffsetFetchRequestGroup::default().with_group_id(name).with_member_epoch(-1).with_topics(topics);
    OffsetFetchRequest::default().with_groups(vec![of])
}

/// What is committed, with its metadata.
pub type Committed = BTreeMap<Place, (i64, String)>;

/// What the answer says: offsets and metadata where there are any, or the error of all.
pub fn told_committed(
    history: &History,
    version: i16,
    asked: Option<&[Place]>,
    answer: OffsetFetchResponse,
) -> Result<Result<Committed, i16>, Violation> {
    let mut listed = Vec::new();
    let mut error = answer.error_code;
    for topic in &answer.topics {
        for part in &topic.partitions {
            listed.push((
                &topic.name,
                part.partition_index,
                part.committed_offset,
                part.metadata.as_deref(),
                part.error_code,
            ));
        }
    }
    for of in &answer.groups {
        error = of.error_code;
        for topic in &of.topics {
            for part in &topic.partitions {
                listed.push((
                    &topic.name,
                    part.partition_index,
                    part.committed_offset,
                    part.metadata.as_deref(),
                    part.error_code,
                ));
            }
        }
    }
    if version >= MANY_GROUPS && answer.groups.len() != 1 {
        return malformed(format!("OffsetFetch for one group is answered for {}", answer.groups.len()));
    }
    // Version 1 has errors for partitions alone.
    let error = listed.iter().map(|part| part.4).chain([error]).find(|error| *error != code::NONE);
    if let Some(error) = error {
        return Ok(Err(error));
    }
    let mut committed = Committed::new();
    let mut places = Vec::new();
    for (name, index, offset, metadata, _) in listed {
        let Some(t) = history.topic_named(&name.0) else { continue };
        places.push((t, index as usize));
        if offset >= 0 {
            committed.insert((t, index as usize), (offset, metadata.unwrap_or_default().to_string()));
        }
    }
    match asked.into_iter().flatten().find(|place| !places.contains(place)) {
        Some(place) => malformed(format!("OffsetFetch version {version} says nothing of {place:?}")),
        None => Ok(Ok(committed)),
    }
}

/// Holds what was said to be committed against what is known: of what was asked for, or of all.
pub fn check_committed(
    history: &History,
    of: usize,
    asked: Moment,
    places: Option<&[Place]>,
    told: &Committed,
) -> Result<(), Violation> {
    let all = history.groups.written(of);
    for place in places.map_or(all, <[Place]>::to_vec) {
        // What was committed for a topic goes with it.
        if history.topics[place.0].life == Life::Live {
            let told = told.get(&place).map(|(offset, metadata)| (*offset, &**metadata));
            history.groups.committed(of, place, asked, told)?;
        }
    }
    Ok(())
}
