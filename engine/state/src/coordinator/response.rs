//! What coordinators answer, and why they refuse. The numbers of Kafka's errors are the wire's.

use super::record::TopicPartitions;
use super::{Blob, Text};
use std::fmt;

/// The answer to the request of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    Join(JoinResponse),
    Sync(Result<Synced, Refusal>),
    Heartbeat(Result<(), Refusal>),
    /// In the order of the request.
    Leave(Result<Vec<LeaverResponse>, Refusal>),
    Commit(Result<Vec<(Text, Vec<PartitionResult>)>, Refusal>),
    Fetch {
        group: Text,
        result: Result<Vec<(Text, Vec<FetchedOffset>)>, Refusal>,
    },
    DeleteOffsets(Result<Vec<(Text, Vec<PartitionResult>)>, Refusal>),
    Describe(Vec<Described>),
    List(Vec<Listed>),
    DeleteGroups(Vec<(Text, Result<(), Refusal>)>),
    ConsumerHeartbeat(Result<ConsumerBeat, Refusal>),
    ConsumerDescribe(Vec<(Text, Result<DescribedConsumerGroup, Refusal>)>),
    /// To any request: nothing was done.
    Refused(Refusal),
}

/// A partition's number, and whether what was asked for it is done.
pub type PartitionResult = (i32, Result<(), Refusal>);

/// The answer to a JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinResponse {
    /// The member's id, also with MemberIdRequired.
    pub member: Text,
    pub result: Result<Joined, Refusal>,
}

/// A generation that a member is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub generation: i32,
    pub protocol_type: Option<Text>,
    pub protocol: Option<Text>,
    pub leader: Text,
    /// The leader shall not assign: what was assigned stays.
    pub skip_assignment: bool,
    /// For the leader: all members. Their instances are not sent before version 5.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub id: Text,
    pub instance: Option<Text>,
    pub metadata: Blob,
}

/// What a member is to consume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<Text>,
    pub protocol: Option<Text>,
    pub assignment: Blob,
}

/// Whether one member of a LeaveGroup has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaverResponse {
    pub member: Text,
    pub instance: Option<Text>,
    pub result: Result<(), Refusal>,
}

/// A committed offset; `None` if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    pub partition: i32,
    pub committed: Option<CommittedOffset>,
}

/// What was committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub offset: i64,
    /// -1 if the client did not say.
    pub leader_epoch: i32,
    pub metadata: Text,
}

/// A group of DescribeGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub group: Text,
    /// GroupIdNotFound is an error from version 6 on; before, such a group is just "Dead".
    pub result: Result<DescribedGroup, Refusal>,
}

/// What DescribeGroups says of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    pub state: GroupState,
    /// Empty if it has none, as is the next.
    pub protocol_type: Text,
    pub protocol: Text,
    pub members: Vec<DescribedMember>,
}

/// A member of a [`DescribedGroup`]. Metadata and assignment are empty unless the group is stable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    pub id: Text,
    pub instance: Option<Text>,
    pub client_id: Text,
    pub client_host: Text,
    pub metadata: Blob,
    pub assignment: Blob,
}

/// A group of ListGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub group: Text,
    pub protocol_type: Text,
    pub state: GroupState,
    pub kind: GroupType,
}

/// What a member of the consumer protocol is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerBeat {
    pub member: Text,
    pub epoch: i32,
    /// Milliseconds; 0 to a member that leaves.
    pub heartbeat_interval: i32,
    /// All that it is to hold; `None` if that has not changed.
    pub assignment: Option<Vec<TopicPartitions>>,
}

/// A group of ConsumerGroupDescribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    pub state: GroupState,
    pub epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: Text,
    pub members: Vec<DescribedConsumer>,
}

/// A member of a [`DescribedConsumerGroup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumer {
    pub id: Text,
    pub instance: Option<Text>,
    pub rack: Option<Text>,
    pub epoch: i32,
    pub client_id: Text,
    pub client_host: Text,
    pub topics: Vec<Text>,
    pub regex: Option<Text>,
    pub assignment: Vec<TopicPartitions>,
    pub target: Vec<TopicPartitions>,
    /// It speaks the classic protocol (told from version 1 on).
    pub is_classic: bool,
}

/// Where a group stands, of either protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Assigning,
    Reconciling,
    Dead,
}

impl GroupState {
    /// Kafka's word for it.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Assigning => "Assigning",
            GroupState::Reconciling => "Reconciling",
            GroupState::Dead => "Dead",
        }
    }
}

/// Which protocol a group's coordinator speaks with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupType {
    Classic,
    Consumer,
}

impl GroupType {
    /// Kafka's word for it.
    pub fn name(self) -> &'static str {
        match self {
            GroupType::Classic => "classic",
            GroupType::Consumer => "consumer",
        }
    }
}

/// Why a coordinator refuses, named as Kafka's errors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    CoordinatorNotAvailable,
    FencedInstanceId,
    FencedMemberEpoch,
    GroupIdNotFound,
    GroupMaxSizeReached,
    GroupSubscribedToTopic,
    IllegalGeneration,
    InconsistentGroupProtocol,
    InvalidGroupId,
    InvalidRegularExpression,
    InvalidRequest,
    InvalidSessionTimeout,
    MemberIdRequired,
    NonEmptyGroup,
    OffsetMetadataTooLarge,
    RebalanceInProgress,
    StaleMemberEpoch,
    UnknownMemberId,
    UnknownServerError,
    UnreleasedInstanceId,
    UnsupportedAssignor,
    UnsupportedVersion,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Refusal::CoordinatorNotAvailable => "the coordinator has no room for more",
            Refusal::FencedInstanceId => "another member has taken this instance's place",
            Refusal::FencedMemberEpoch => "the member's epoch is not the coordinator's; rejoin with epoch 0",
            Refusal::GroupIdNotFound => "there is no such group",
            Refusal::GroupMaxSizeReached => "the group has as many members as it may have",
            Refusal::GroupSubscribedToTopic => "the group consumes this topic",
            Refusal::IllegalGeneration => "the generation is not the group's",
            Refusal::InconsistentGroupProtocol => "the group's members have no protocol in common with this one",
            Refusal::InvalidGroupId => "the group's id is empty or too long",
            Refusal::InvalidRegularExpression => "the regular expression cannot be read",
            Refusal::InvalidRequest => "the request contradicts itself or is too large",
            Refusal::InvalidSessionTimeout => "the session timeout is outside of what the server allows",
            Refusal::MemberIdRequired => "join again with this id",
            Refusal::NonEmptyGroup => "the group has members",
            Refusal::OffsetMetadataTooLarge => "the offset's metadata is longer than offset.metadata.max.bytes",
            Refusal::RebalanceInProgress => "the group rebalances; join again",
            Refusal::StaleMemberEpoch => "the member's epoch is not the coordinator's",
            Refusal::UnknownMemberId => "the group does not know this member",
            Refusal::UnknownServerError => "it is more than one record of the log holds",
            Refusal::UnreleasedInstanceId => "the instance has not left yet",
            Refusal::UnsupportedAssignor => "there is no such assignor",
            Refusal::UnsupportedVersion => "this version of the request does not know the group's protocol",
        };
        f.write_str(text)
    }
}
