//! Offsets of partitions of many topics at once.

use crate::ask::AskError;
use crate::client::ClientError;
use crate::cluster::{Cluster, topic_name};
use crate::patience::{Ended, Patience};
use crate::topic::{Refusal, passes};
use crate::topic_io::LIST_OFFSETS;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

const UNKNOWN_TOPIC: i16 = ResponseError::UnknownTopicOrPartition.code();
const NO_LEADER: i16 = ResponseError::LeaderNotAvailable.code();

/// A partition of some topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.to_string(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} of topic {}", self.partition, self.topic)
    }
}

/// What became of each partition that was asked for.
pub type Outcomes<T> = BTreeMap<TopicPartition, Result<T, Refusal>>;

/// Looks up an offset of each partition: of the first record at the time (in milliseconds since 1970) or later, -1 where there is
/// none, or at an end of the log. What passes by itself is tried again while there is patience, and is a refusal then.
///
/// # Errors
/// The cluster does not answer, or somebody wants it to stop.
pub fn offsets_at(
    cluster: &mut Cluster,
    asked: &BTreeMap<TopicPartition, i64>,
    patience: &mut Patience,
) -> Result<Outcomes<i64>, AskError> {
    let mut found = Outcomes::new();
    let mut open: BTreeMap<TopicPartition, i64> = asked.clone();
    while !open.is_empty() {
        let round = round(cluster, &open)?;
        let trouble = round.values().find_map(|outcome| outcome.as_ref().err().filter(|r| may_pass(r.code))).cloned();
        for (place, outcome) in round {
            if outcome.as_ref().map_or_else(|refusal| !may_pass(refusal.code), |_| true) {
                open.remove(&place);
            }
            found.insert(place, outcome);
        }
        let Some(trouble) = trouble else { break };
        match patience.again(trouble) {
            Ok(()) => drop(cluster.reconnect()),
            Err(Ended::GaveUp { .. }) => break,
            Err(ended) => return Err(ended.into()),
        }
    }
    Ok(found)
}

/// A topic that is not there does not come by itself.
fn may_pass(code: i16) -> bool {
    passes(code) && code != UNKNOWN_TOPIC
}

fn refused(place: &TopicPartition, code: i16) -> Refusal {
    Refusal { what: format!("get offsets of {place}"), code, message: None, record: None }
}

/// Asks each leader once. Of every partition something is said.
fn round(cluster: &mut Cluster, asked: &BTreeMap<TopicPartition, i64>) -> Result<Outcomes<i64>, ClientError> {
    let leaders = leaders(cluster, asked)?;
    let mut outcomes = Outcomes::new();
    let mut by_leader: BTreeMap<i32, BTreeMap<&str, Vec<ListOffsetsPartition>>> = BTreeMap::new();
    for (place, time) in asked {
        match leaders.get(place).copied().unwrap_or(Err(UNKNOWN_TOPIC)) {
            Ok(leader) => {
                let part = ListOffsetsPartition::default().with_partition_index(place.partition);
                let part = part.with_timestamp(*time).with_current_leader_epoch(-1);
                by_leader.entry(leader).or_default().entry(&place.topic).or_default().push(part);
            }
            Err(code) => drop(outcomes.insert(place.clone(), Err(refused(place, code)))),
        }
    }
    for (leader, topics) in by_leader {
        let topic = |(name, parts)| ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(parts);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1));
        let request = request.with_topics(topics.into_iter().map(topic).collect());
        let answer = cluster.broker(leader).and_then(|client| {
            let version = client.version_up_to::<ListOffsetsRequest>(LIST_OFFSETS)?;
            client.send(&request, version)?;
            client.receive::<ListOffsetsRequest>(version)
        });
        let answer = match answer {
            Ok(answer) => answer,
            // Its partitions get leaders again, or it comes back.
            Err(error) if error.passes() => continue,
            Err(error) => return Err(error),
        };
        for topic in &answer.topics {
            for part in &topic.partitions {
                let place = TopicPartition::new(topic.name.as_str(), part.partition_index);
                let outcome = match part.error_code {
                    0 => Ok(part.offset),
                    code => Err(refused(&place, code)),
                };
                if asked.contains_key(&place) {
                    outcomes.insert(place, outcome);
                }
            }
        }
    }
    for place in asked.keys() {
        outcomes.entry(place.clone()).or_insert_with(|| Err(refused(place, NO_LEADER)));
    }
    Ok(outcomes)
}

/// Who leads each partition of the topics in `asked`, or why that is not known.
fn leaders(
    cluster: &mut Cluster,
    asked: &BTreeMap<TopicPartition, i64>,
) -> Result<BTreeMap<TopicPartition, Result<i32, i16>>, ClientError> {
    let names: BTreeSet<&String> = asked.keys().map(|place| &place.topic).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let metadata = match cluster.metadata(Some(&names)) {
        Err(error) if error.passes() => {
            cluster.reconnect()?;
            cluster.metadata(Some(&names))?
        }
        other => other?,
    };
    let mut leaders = BTreeMap::new();
    for topic in &metadata.topics {
        let Some(name) = topic.name.as_ref() else { continue };
        for part in &topic.partitions {
            let leader = part.leader_id.0;
            let leader = if leader < 0 { Err(NO_LEADER) } else { Ok(leader) };
            leaders.insert(TopicPartition::new(name.as_str(), part.partition_index), leader);
        }
        if topic.error_code != 0 && topic.error_code != UNKNOWN_TOPIC {
            for place in asked.keys().filter(|place| place.topic == name.as_str()) {
                leaders.insert(place.clone(), Err(topic.error_code));
            }
        }
    }
    Ok(leaders)
}
