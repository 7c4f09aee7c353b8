//! Who is in a group, and what each member has: DescribeGroups for the classic protocol, ConsumerGroupDescribe for the other.

use super::{GroupClient, NOT_FOUND, OfGroups, Told, id};
use crate::ask::AskError;
use crate::client::{Client, ClientError};
use crate::embedded;
use crate::offsets::TopicPartition;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response as modern;
use kafka_protocol::messages::describe_groups_response as classic;
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, DescribeGroupsRequest};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeSet;

const UNSUPPORTED: i16 = ResponseError::UnsupportedVersion.code();
/// The state of a group that is not there, for brokers that have no error for it.
const DEAD: &str = "Dead";
/// What groups say whose members read topics.
pub(crate) const CONSUMER: &str = "consumer";

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Such as `Stable` or `PreparingRebalance`.
    pub state: String,
    /// `classic` or `consumer`.
    pub kind: &'static str,
    /// `consumer` for groups that read topics.
    pub protocol_type: String,
    /// How partitions are given out, such as `range`; empty if there are no members.
    pub assignor: String,
    /// Of the consumer protocol: the group's epoch, and the one that its assignment was made for.
    pub epochs: Option<(i32, i32)>,
    /// The broker that coordinates it.
    pub coordinator: i32,
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub id: String,
    /// Of a static member.
    pub instance: Option<String>,
    pub client: String,
    /// Empty if the broker does not say.
    pub host: String,
    /// Of the consumer protocol.
    pub epoch: Option<i32>,
    /// What it reads.
    pub assigned: BTreeSet<TopicPartition>,
    /// What it is to read next, if that is something else.
    pub target: Option<BTreeSet<TopicPartition>>,
}

impl GroupClient {
    /// Describes groups by their names.
    pub fn describe(&mut self, groups: &[String]) -> Result<OfGroups<Described>, AskError> {
        let mut told = self.each(groups, "describe", ask)?;
        for (name, described) in &mut told {
            if let Ok(group) = described {
                group.coordinator = self.coordinators.get(name).copied().unwrap_or(-1);
            }
        }
        Ok(told)
    }
}

/// Groups of the consumer protocol are asked for first: to DescribeGroups they do not exist.
fn ask(client: &mut Client, groups: &[String]) -> Result<Vec<Told<Described>>, ClientError> {
    let mut told = Vec::new();
    let mut rest = groups.to_vec();
    if client.version::<ConsumerGroupDescribeRequest>().is_ok() {
        let request =
            ConsumerGroupDescribeRequest::default().with_group_ids(groups.iter().map(|group| id(group)).collect());
        for group in client.call(&request)?.groups {
            if [NOT_FOUND, UNSUPPORTED].contains(&group.error_code) {
                continue;
            }
            rest.retain(|name| *name != group.group_id.as_str());
            told.push(of_modern(group));
        }
    }
    if !rest.is_empty() {
        let request = DescribeGroupsRequest::default().with_groups(rest.iter().map(|group| id(group)).collect());
        told.extend(client.call(&request)?.groups.into_iter().map(of_classic));
    }
    Ok(told)
}

fn words(text: &Option<StrBytes>) -> Option<String> {
    text.as_ref().map(|text| text.to_string()).filter(|text| !text.is_empty())
}

fn of_modern(group: modern::DescribedGroup) -> Told<Described> {
    let name = group.group_id.to_string();
    if group.error_code != 0 {
        return (name, Err((group.error_code, words(&group.error_message))));
    }
    let places = |assignment: &modern::Assignment| -> BTreeSet<TopicPartition> {
        let of_topic = |topic: &modern::TopicPartitions| {
            let name = topic.topic_name.to_string();
            topic.partitions.clone().into_iter().map(move |p| TopicPartition::new(&name, p))
        };
        assignment.topic_partitions.iter().flat_map(of_topic).collect()
    };
    let member = |member: &modern::Member| {
        let (assigned, target) = (places(&member.assignment), places(&member.target_assignment));
        GroupMember {
            id: member.member_id.to_string(),
            instance: words(&member.instance_id),
            client: member.client_id.to_string(),
            host: host(&member.client_host),
            epoch: Some(member.member_epoch),
            target: Some(target).filter(|target| *target != assigned),
            assigned,
        }
    };
    let described = Described {
        state: group.group_state.to_string(),
        kind: CONSUMER,
        protocol_type: CONSUMER.to_string(),
        assignor: group.assignor_name.to_string(),
        epochs: Some((group.group_epoch, group.assignment_epoch)),
        coordinator: -1,
        members: group.members.iter().map(member).collect(),
    };
    (name, Ok(described))
}

fn of_classic(group: classic::DescribedGroup) -> Told<Described> {
    let name = group.group_id.to_string();
    if group.error_code != 0 {
        return (name, Err((group.error_code, words(&group.error_message))));
    }
    if group.group_state.as_str() == DEAD {
        return (name, Err((NOT_FOUND, None)));
    }
    let reads_topics = group.protocol_type.as_str() == CONSUMER;
    let member = |member: &classic::DescribedGroupMember| GroupMember {
        id: member.member_id.to_string(),
        instance: words(&member.group_instance_id),
        client: member.client_id.to_string(),
        host: host(&member.client_host),
        epoch: None,
        assigned: if reads_topics {
            embedded::assignment(&member.member_assignment).unwrap_or_default()
        } else {
            BTreeSet::new()
        },
        target: None,
    };
    let described = Described {
        state: group.group_state.to_string(),
        kind: "classic",
        assignor: group.protocol_data.to_string(),
        epochs: None,
        coordinator: -1,
        members: group.members.iter().map(member).collect(),
        protocol_type: group.protocol_type.to_string(),
    };
    (name, Ok(described))
}

/// Java prints addresses with a slash in front.
fn host(text: &StrBytes) -> String {
    text.trim_start_matches('/').to_string()
}
