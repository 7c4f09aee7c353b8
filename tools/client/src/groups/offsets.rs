//! What groups have committed.

use super::{GroupClient, OfGroups, Told, id};
use crate::ask::AskError;
use crate::client::{Client, ClientError};
use crate::cluster::{text, topic_name};
use crate::offsets::{Outcomes, TopicPartition};
use crate::topic::Refusal;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;

/// The newest versions that name topics; later ones have ids instead.
pub(crate) const OFFSETS: i16 = 9;
/// First version of OffsetFetch that takes many groups.
const FETCH_MANY: i16 = 8;

/// What was committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: i64,
    /// What whoever committed it wrote beside it.
    pub metadata: String,
}

/// Codes by partition, as a broker says them of a change of offsets.
type Codes = Vec<(TopicPartition, i16)>;

impl GroupClient {
    /// All that these groups have committed. A group that is not there has nothing.
    pub fn committed(&mut self, groups: &[String]) -> Result<OfGroups<BTreeMap<TopicPartition, Committed>>, AskError> {
        self.each(groups, "get the offsets of", fetch)
    }

    /// Commits offsets for a group that has no members; makes it if it is not there.
    pub fn commit(
        &mut self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<Result<Outcomes<()>, Refusal>, AskError> {
        let request = commit_request(group, -1, "", offsets);
        self.change(group, "commit offsets of", |client| {
            let version = client.version_up_to::<OffsetCommitRequest>(OFFSETS)?;
            client.send(&request, version)?;
            let answer = client.receive::<OffsetCommitRequest>(version)?;
            Ok((0, commit_codes(&answer)))
        })
    }

    /// Forgets offsets that no member subscribes to.
    pub fn delete_offsets(
        &mut self,
        group: &str,
        places: &[TopicPartition],
    ) -> Result<Result<Outcomes<()>, Refusal>, AskError> {
        let topic = |(name, partitions): (&str, Vec<i32>)| {
            let part = |index| OffsetDeleteRequestPartition::default().with_partition_index(index);
            let partitions = partitions.into_iter().map(part).collect();
            OffsetDeleteRequestTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        };
        let topics = by_topic(places.iter().map(|place| (place, place.partition)));
        let request = OffsetDeleteRequest::default()
            .with_group_id(id(group))
            .with_topics(topics.into_iter().map(topic).collect());
        self.change(group, "delete offsets of", |client| {
            let answer = client.call(&request)?;
            let codes = answer.topics.iter().flat_map(|topic| {
                let place = |index| TopicPartition::new(topic.name.as_str(), index);
                topic.partitions.iter().map(move |part| (place(part.partition_index), part.error_code))
            });
            Ok((answer.error_code, codes.collect()))
        })
    }

    /// Sends a change of one group's offsets, which is refused as a whole or by partition. What passes by itself concerns all.
    fn change(
        &mut self,
        group: &str,
        what: &str,
        ask: impl Fn(&mut Client) -> Result<(i16, Codes), ClientError>,
    ) -> Result<Result<Outcomes<()>, Refusal>, AskError> {
        let result = self.one(group, what, |client| {
            let (whole, codes) = ask(client)?;
            let passing = codes.iter().map(|(_, code)| *code).find(|code| is_of_coordinator(*code));
            Ok((if whole == 0 { passing.unwrap_or(0) } else { whole }, codes))
        })?;
        Ok(result.map(|codes| {
            let outcome = |(place, code): (TopicPartition, i16)| {
                let refusal = || Refusal { what: format!("{what} {place}"), code, message: None, record: None };
                let outcome = if code == 0 { Ok(()) } else { Err(refusal()) };
                (place, outcome)
            };
            codes.into_iter().map(outcome).collect()
        }))
    }
}

/// True for what says that another broker, or this one later, takes the request.
fn is_of_coordinator(code: i16) -> bool {
    use kafka_protocol::error::ResponseError::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    [CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator].iter().any(|error| error.code() == code)
}

/// Groups what concerns partitions by their topics.
pub(crate) fn by_topic<'a, T>(items: impl Iterator<Item = (&'a TopicPartition, T)>) -> BTreeMap<&'a str, Vec<T>> {
    let mut topics: BTreeMap<&str, Vec<T>> = BTreeMap::new();
    for (place, item) in items {
        topics.entry(&place.topic).or_default().push(item);
    }
    topics
}

/// A commit of a member, or of nobody: generation -1 without a member's name.
pub(crate) fn commit_request(
    group: &str,
    generation: i32,
    member: &str,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> OffsetCommitRequest {
    let parts = offsets.iter().map(|(place, offset)| {
        let part = OffsetCommitRequestPartition::default().with_partition_index(place.partition);
        let part = part.with_committed_offset(*offset).with_committed_leader_epoch(-1);
        (place, part.with_committed_metadata(Some(StrBytes::default())))
    });
    let topic = |(name, parts)| OffsetCommitRequestTopic::default().with_name(topic_name(name)).with_partitions(parts);
    let topics = by_topic(parts).into_iter().map(topic).collect();
    OffsetCommitRequest::default()
        .with_group_id(id(group))
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(text(member))
        .with_retention_time_ms(-1)
        .with_topics(topics)
}

/// What is said of each partition of a commit.
pub(crate) fn commit_codes(answer: &kafka_protocol::messages::OffsetCommitResponse) -> Codes {
    let codes = answer.topics.iter().flat_map(|topic| {
        let place = |index| TopicPartition::new(topic.name.as_str(), index);
        topic.partitions.iter().map(move |part| (place(part.partition_index), part.error_code))
    });
    codes.collect()
}

fn fetch(
    client: &mut Client,
    groups: &[String],
) -> Result<Vec<Told<BTreeMap<TopicPartition, Committed>>>, ClientError> {
    let version = client.version_up_to::<OffsetFetchRequest>(OFFSETS)?;
    if version >= FETCH_MANY {
        return fetch_many(client, groups, version);
    }
    let mut told = Vec::new();
    for group in groups {
        let request = OffsetFetchRequest::default().with_group_id(id(group)).with_topics(None);
        client.send(&request, version)?;
        let answer = client.receive::<OffsetFetchRequest>(version)?;
        let parts = answer.topics.iter().flat_map(|topic| {
            let of = |p: &kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition| {
                (p.partition_index, p.committed_offset, p.metadata.clone(), p.error_code)
            };
            topic.partitions.iter().map(move |part| (topic.name.as_str(), of(part)))
        });
        told.push((group.clone(), committed(answer.error_code, parts)));
    }
    Ok(told)
}

fn fetch_many(
    client: &mut Client,
    groups: &[String],
    version: i16,
) -> Result<Vec<Told<BTreeMap<TopicPartition, Committed>>>, ClientError> {
    let group = |name: &String| OffsetFetchRequestGroup::default().with_group_id(id(name)).with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(groups.iter().map(group).collect());
    client.send(&request, version)?;
    let answer = client.receive::<OffsetFetchRequest>(version)?;
    let told = answer.groups.iter().map(|group| {
        let parts = group.topics.iter().flat_map(|topic| {
            let of = |p: &kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions| {
                (p.partition_index, p.committed_offset, p.metadata.clone(), p.error_code)
            };
            topic.partitions.iter().map(move |part| (topic.name.as_str(), of(part)))
        });
        (group.group_id.to_string(), committed(group.error_code, parts))
    });
    Ok(told.collect())
}

/// Partition, offset, metadata and error code, with the topic's name.
type Part<'a> = (&'a str, (i32, i64, Option<StrBytes>, i16));

fn committed<'a>(
    code: i16,
    parts: impl Iterator<Item = Part<'a>>,
) -> Result<BTreeMap<TopicPartition, Committed>, (i16, Option<String>)> {
    // A group that is not there has nothing, and newer brokers say so.
    if code != 0 && code != super::NOT_FOUND {
        return Err((code, None));
    }
    let mut committed = BTreeMap::new();
    for (topic, (partition, offset, metadata, code)) in parts {
        if code != 0 {
            return Err((code, None));
        }
        if offset >= 0 {
            let metadata = metadata.map_or_else(String::new, |text| text.to_string());
            committed.insert(TopicPartition::new(topic, partition), Committed { offset, metadata });
        }
    }
    Ok(committed)
}
