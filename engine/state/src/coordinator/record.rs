//! What a coordinator writes into its partition of `__consumer_offsets`, one type for each kind of key, named as Kafka
//! names them. A value of `None` is a tombstone. The state after a replay is a function of the last value of each key
//! alone, whatever else compaction has left.

use super::{Blob, Text};
use torc_base::ids::TopicId;
use torc_base::time::Wall;

/// One record: key and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// OffsetCommit: what a group has consumed of one partition.
    Offset { group: Text, topic: Text, partition: i32, value: Option<OffsetValue> },
    /// GroupMetadata: a group of the classic protocol.
    Group { group: Text, value: Option<GroupValue> },
    /// ConsumerGroupMetadata: a group of the consumer protocol (KIP-848).
    ConsumerGroup { group: Text, value: Option<ConsumerGroupValue> },
    /// ConsumerGroupPartitionMetadata: written before Kafka 4.1; since then only its tombstone is.
    PartitionMetadata { group: Text, value: Option<Vec<TopicMetadata>> },
    /// ConsumerGroupMemberMetadata.
    Member { group: Text, member: Text, value: Option<MemberValue> },
    /// ConsumerGroupTargetAssignmentMetadata.
    Target { group: Text, value: Option<TargetValue> },
    /// ConsumerGroupTargetAssignmentMember.
    TargetMember { group: Text, member: Text, value: Option<Vec<TopicPartitions>> },
    /// ConsumerGroupCurrentMemberAssignment.
    CurrentAssignment { group: Text, member: Text, value: Option<CurrentValue> },
    /// ConsumerGroupRegularExpression: what a subscription's pattern matched.
    RegularExpression { group: Text, expression: Text, value: Option<RegularExpressionValue> },
}

/// OffsetCommitValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetValue {
    pub offset: i64,
    /// -1 if the client did not say.
    pub leader_epoch: i32,
    pub metadata: Text,
    pub committed: Wall,
    /// Set by clients that ask for a retention of their own (OffsetCommit 2 to 4).
    pub expires: Option<Wall>,
    /// Zero if unknown.
    pub topic_id: TopicId,
}

/// GroupMetadataValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupValue {
    /// Empty for a group that has never had a member.
    pub protocol_type: Text,
    pub generation: i32,
    pub protocol: Option<Text>,
    pub leader: Option<Text>,
    /// When the group came into this state; -1 if unknown.
    pub since: Wall,
    pub members: Vec<GroupMember>,
}

/// A member in a [`GroupValue`]. The timeouts are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub id: Text,
    pub instance: Option<Text>,
    pub client_id: Text,
    pub client_host: Text,
    /// -1 in records of version 0, where the session's timeout stands for both.
    pub rebalance_timeout: i32,
    pub session_timeout: i32,
    pub subscription: Blob,
    pub assignment: Blob,
}

/// ConsumerGroupMetadataValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupValue {
    pub epoch: i32,
    /// A digest of the subscribed topics' metadata; 0 if unknown.
    pub metadata_hash: i64,
}

/// A topic in a ConsumerGroupPartitionMetadataValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    pub id: TopicId,
    pub name: Text,
    pub partitions: i32,
}

/// ConsumerGroupMemberMetadataValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberValue {
    pub instance: Option<Text>,
    pub rack: Option<Text>,
    pub client_id: Text,
    pub client_host: Text,
    pub topics: Vec<Text>,
    pub regex: Option<Text>,
    /// Milliseconds; -1 if unset.
    pub rebalance_timeout: i32,
    pub assignor: Option<Text>,
    /// Set if the member speaks the classic protocol.
    pub classic: Option<ClassicMember>,
}

/// Names of protocols, and what a member says of itself in each.
pub type Protocols = Vec<(Text, Blob)>;

/// What is kept of a member of a consumer group that speaks the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMember {
    /// Milliseconds.
    pub session_timeout: i32,
    /// Names and metadata, in the member's order.
    pub protocols: Protocols,
}

/// ConsumerGroupTargetAssignmentMetadataValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetValue {
    pub epoch: i32,
    /// When the assignment was computed; 0 if unknown.
    pub computed: Wall,
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    pub topic: TopicId,
    pub partitions: Vec<i32>,
    /// In current assignments: the member's epoch when it got each partition. Empty if unknown.
    pub epochs: Vec<i32>,
}

/// ConsumerGroupCurrentMemberAssignmentValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentValue {
    pub epoch: i32,
    pub previous_epoch: i32,
    /// Kafka's `MemberState`: 0 stable, 1 unrevoked partitions, 2 unreleased partitions, 127 unknown.
    pub state: i8,
    pub assigned: Vec<TopicPartitions>,
    pub revoking: Vec<TopicPartitions>,
}

/// ConsumerGroupRegularExpressionValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegularExpressionValue {
    /// Sorted.
    pub topics: Vec<Text>,
    /// Of the metadata that the topics were looked up in.
    pub version: i64,
    pub computed: Wall,
}

impl Record {
    /// The group that the record is about.
    pub fn group(&self) -> &Text {
        match self {
            Record::Offset { group, .. }
            | Record::Group { group, .. }
            | Record::ConsumerGroup { group, .. }
            | Record::PartitionMetadata { group, .. }
            | Record::Member { group, .. }
            | Record::Target { group, .. }
            | Record::TargetMember { group, .. }
            | Record::CurrentAssignment { group, .. }
            | Record::RegularExpression { group, .. } => group,
        }
    }

    /// True if the record deletes its key.
    pub fn is_tombstone(&self) -> bool {
        match self {
            Record::Offset { value, .. } => value.is_none(),
            Record::Group { value, .. } => value.is_none(),
            Record::ConsumerGroup { value, .. } => value.is_none(),
            Record::PartitionMetadata { value, .. } => value.is_none(),
            Record::Member { value, .. } => value.is_none(),
            Record::Target { value, .. } => value.is_none(),
            Record::TargetMember { value, .. } => value.is_none(),
            Record::CurrentAssignment { value, .. } => value.is_none(),
            Record::RegularExpression { value, .. } => value.is_none(),
        }
    }

    /// Bytes that the record takes at most, key and value, whichever way its numbers and lengths are written. What goes into
    /// the log is bounded by this before it is decided: nothing that has been done has to be taken back.
    pub fn bytes_max(&self) -> usize {
        let value = match self {
            Record::Offset { topic, value, .. } => {
                FIXED_BYTES + topic.len() + value.as_ref().map_or(0, |value| value.metadata.len())
            }
            Record::Group { value, .. } => value.as_ref().map_or(0, GroupValue::bytes_max),
            Record::ConsumerGroup { .. } | Record::Target { .. } => 0,
            Record::PartitionMetadata { value, .. } => {
                value.iter().flatten().map(|topic| FIXED_BYTES + topic.name.len()).sum()
            }
            Record::Member { member, value, .. } => member.len() + value.as_ref().map_or(0, MemberValue::bytes_max),
            Record::TargetMember { member, value, .. } => {
                member.len() + value.as_ref().map_or(0, |topics| topics_bytes_max(topics))
            }
            Record::CurrentAssignment { member, value, .. } => {
                let both = |value: &CurrentValue| topics_bytes_max(&value.assigned) + topics_bytes_max(&value.revoking);
                member.len() + value.as_ref().map_or(0, both)
            }
            Record::RegularExpression { expression, value, .. } => {
                expression.len() + value.as_ref().map_or(0, |value| names_bytes_max(&value.topics))
            }
        };
        2 * FIXED_BYTES + self.group().len() + value
    }
}

/// Numbers and lengths of a record, of a member, of a topic, together; and one length.
pub(super) const FIXED_BYTES: usize = 64;
pub(super) const LENGTH_BYTES: usize = 5;

/// Bytes of a list of partitions at most: of each topic, and of each partition.
pub(super) const TOPIC_BYTES_MAX: usize = 40;
pub(super) const PARTITION_BYTES_MAX: usize = 8;

fn topics_bytes_max(topics: &[TopicPartitions]) -> usize {
    topics.iter().map(|topic| TOPIC_BYTES_MAX + PARTITION_BYTES_MAX * topic.partitions.len()).sum()
}

/// Bytes of a list of names at most.
pub(super) fn names_bytes_max(names: &[Text]) -> usize {
    names.iter().map(|name| LENGTH_BYTES + name.len()).sum()
}

fn text_bytes_max(text: Option<&Text>) -> usize {
    LENGTH_BYTES + text.map_or(0, |text| text.len())
}

impl GroupValue {
    /// The same of the value alone.
    pub(super) fn bytes_max(&self) -> usize {
        let texts =
            self.protocol_type.len() + text_bytes_max(self.protocol.as_ref()) + text_bytes_max(self.leader.as_ref());
        FIXED_BYTES + texts + self.members.iter().map(GroupMember::bytes_max).sum::<usize>()
    }
}

impl GroupMember {
    fn bytes_max(&self) -> usize {
        let texts =
            self.id.len() + text_bytes_max(self.instance.as_ref()) + self.client_id.len() + self.client_host.len();
        FIXED_BYTES + texts + self.subscription.len() + self.assignment.len()
    }
}

impl MemberValue {
    /// The same of the value alone.
    pub(super) fn bytes_max(&self) -> usize {
        let optional = [&self.instance, &self.rack, &self.regex, &self.assignor];
        let optional: usize = optional.into_iter().map(|text| text_bytes_max(text.as_ref())).sum();
        let protocols = self.classic.iter().flat_map(|classic| &classic.protocols);
        let protocols: usize =
            protocols.map(|(name, metadata)| 2 * LENGTH_BYTES + name.len() + metadata.len() + 1).sum();
        FIXED_BYTES
            + optional
            + self.client_id.len()
            + self.client_host.len()
            + names_bytes_max(&self.topics)
            + protocols
    }
}
