//! The records of `__consumer_offsets`, in Kafka's own formats: every version is read, and what Kafka 4.3 writes is
//! written. Source: the `*Key.json` and `*Value.json` of Apache Kafka's group coordinator.
//!
//! A key begins with the number of its kind; a value with its version. What is read borrows from the record; what is
//! written borrows from the state.

mod read;
mod write;

pub use read::decode;

use torc_base::ids::TopicId;

/// A record's key and value. A value of `None` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRecord<'a> {
    /// OffsetCommit (1, and 0 of old).
    Offset { group: &'a str, topic: &'a str, partition: i32, value: Option<OffsetValue<'a>> },
    /// GroupMetadata (2).
    Group { group: &'a str, value: Option<GroupValue<'a>> },
    /// ConsumerGroupMetadata (3).
    ConsumerGroup { group: &'a str, value: Option<ConsumerGroupValue> },
    /// ConsumerGroupPartitionMetadata (4).
    PartitionMetadata { group: &'a str, value: Option<Vec<TopicMetadata<'a>>> },
    /// ConsumerGroupMemberMetadata (5).
    Member { group: &'a str, member: &'a str, value: Option<MemberValue<'a>> },
    /// ConsumerGroupTargetAssignmentMetadata (6).
    Target { group: &'a str, value: Option<TargetValue> },
    /// ConsumerGroupTargetAssignmentMember (7).
    TargetMember { group: &'a str, member: &'a str, value: Option<Vec<TopicPartitions>> },
    /// ConsumerGroupCurrentMemberAssignment (8).
    CurrentAssignment { group: &'a str, member: &'a str, value: Option<CurrentValue> },
    /// ConsumerGroupRegularExpression (16).
    RegularExpression { group: &'a str, expression: &'a str, value: Option<RegularExpressionValue<'a>> },
    /// Of a kind that is not known here: share groups, streams groups, and what is to come. Left where it is.
    Unknown { kind: i16 },
}

/// OffsetCommitValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetValue<'a> {
    pub offset: i64,
    /// -1 if unknown.
    pub leader_epoch: i32,
    pub metadata: &'a str,
    /// Milliseconds since 1970.
    pub commit_timestamp: i64,
    /// -1 if unset; a record that has it is written in version 1, which has neither epoch nor topic id.
    pub expire_timestamp: i64,
    /// Zero if unknown.
    pub topic_id: TopicId,
}

/// GroupMetadataValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupValue<'a> {
    pub protocol_type: &'a str,
    pub generation: i32,
    pub protocol: Option<&'a str>,
    pub leader: Option<&'a str>,
    /// Milliseconds since 1970; -1 if unknown.
    pub current_state_timestamp: i64,
    pub members: Vec<GroupMember<'a>>,
}

/// A member in a [`GroupValue`]. Timeouts are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember<'a> {
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub client_id: &'a str,
    pub client_host: &'a str,
    /// -1 if unknown.
    pub rebalance_timeout: i32,
    pub session_timeout: i32,
    pub subscription: &'a [u8],
    pub assignment: &'a [u8],
}

/// ConsumerGroupMetadataValue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerGroupValue {
    pub epoch: i32,
    /// 0 if unknown.
    pub metadata_hash: i64,
}

/// A topic of ConsumerGroupPartitionMetadataValue. Racks, which Kafka has stopped to write, are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata<'a> {
    pub topic_id: TopicId,
    pub topic_name: &'a str,
    pub num_partitions: i32,
}

/// ConsumerGroupMemberMetadataValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberValue<'a> {
    pub instance_id: Option<&'a str>,
    pub rack_id: Option<&'a str>,
    pub client_id: &'a str,
    pub client_host: &'a str,
    pub subscribed_topic_names: Vec<&'a str>,
    pub subscribed_topic_regex: Option<&'a str>,
    /// Milliseconds; -1 if unset.
    pub rebalance_timeout: i32,
    pub server_assignor: Option<&'a str>,
    pub classic: Option<ClassicMember<'a>>,
}

/// ClassicMemberMetadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMember<'a> {
    /// Milliseconds.
    pub session_timeout: i32,
    /// Names and metadata.
    pub supported_protocols: Vec<(&'a str, &'a [u8])>,
}

/// ConsumerGroupTargetAssignmentMetadataValue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetValue {
    pub assignment_epoch: i32,
    /// Milliseconds since 1970; 0 if unknown.
    pub assignment_timestamp: i64,
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    pub topic_id: TopicId,
    pub partitions: Vec<i32>,
    /// As many as partitions, or none; only in current assignments.
    pub assignment_epochs: Vec<i32>,
}

/// ConsumerGroupCurrentMemberAssignmentValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentValue {
    pub member_epoch: i32,
    pub previous_member_epoch: i32,
    pub state: i8,
    pub assigned_partitions: Vec<TopicPartitions>,
    pub partitions_pending_revocation: Vec<TopicPartitions>,
}

/// ConsumerGroupRegularExpressionValue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegularExpressionValue<'a> {
    pub topics: Vec<&'a str>,
    pub version: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

impl GroupRecord<'_> {
    /// Number of the key's kind, which the key begins with.
    pub fn kind(&self) -> i16 {
        match self {
            GroupRecord::Offset { .. } => kind::OFFSET,
            GroupRecord::Group { .. } => kind::GROUP,
            GroupRecord::ConsumerGroup { .. } => kind::CONSUMER_GROUP,
            GroupRecord::PartitionMetadata { .. } => kind::PARTITION_METADATA,
            GroupRecord::Member { .. } => kind::MEMBER,
            GroupRecord::Target { .. } => kind::TARGET,
            GroupRecord::TargetMember { .. } => kind::TARGET_MEMBER,
            GroupRecord::CurrentAssignment { .. } => kind::CURRENT_ASSIGNMENT,
            GroupRecord::RegularExpression { .. } => kind::REGULAR_EXPRESSION,
            GroupRecord::Unknown { kind } => *kind,
        }
    }
}

/// Kinds of keys.
mod kind {
    pub(super) const OFFSET_OF_OLD: i16 = 0;
    pub(super) const OFFSET: i16 = 1;
    pub(super) const GROUP: i16 = 2;
    pub(super) const CONSUMER_GROUP: i16 = 3;
    pub(super) const PARTITION_METADATA: i16 = 4;
    pub(super) const MEMBER: i16 = 5;
    pub(super) const TARGET: i16 = 6;
    pub(super) const TARGET_MEMBER: i16 = 7;
    pub(super) const CURRENT_ASSIGNMENT: i16 = 8;
    pub(super) const REGULAR_EXPRESSION: i16 = 16;
}
