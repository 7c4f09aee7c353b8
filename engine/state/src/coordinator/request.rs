//! What coordinators are asked, without the wire's versions: where versions differ in meaning, a field says how.

use super::{Blob, Text};
use torc_base::ids::TopicId;
use torc_base::limits::{MEMBER_METADATA_BYTES_MAX, MEMBER_NAME_BYTES_MAX};

/// A request to the coordinator of one group, or about the groups of one coordinator.
#[derive(Clone, Debug)]
pub enum Request {
    Join(Join),
    Sync(Sync),
    Heartbeat(Heartbeat),
    Leave(Leave),
    Commit(Commit),
    Fetch(Fetch),
    DeleteOffsets(DeleteOffsets),
    Describe { groups: Vec<Text> },
    List(List),
    DeleteGroups { groups: Vec<Text> },
    ConsumerHeartbeat(ConsumerHeartbeat),
    ConsumerDescribe { groups: Vec<Text> },
}

/// JoinGroup.
#[derive(Clone, Debug)]
pub struct Join {
    pub group: Text,
    /// Empty for a member that has no id yet.
    pub member: Text,
    pub instance: Option<Text>,
    pub client_id: Text,
    pub client_host: Text,
    /// Milliseconds.
    pub session_timeout: i32,
    /// Milliseconds; the session's timeout in version 0, which has no such field.
    pub rebalance_timeout: i32,
    pub protocol_type: Text,
    /// Names and metadata, in the member's order of preference.
    pub protocols: Vec<(Text, Blob)>,
    /// The client can be told its id first and join with it (from version 4 on).
    pub takes_id: bool,
    /// The client understands that a leader shall not assign (from version 9 on).
    pub skips_assignment: bool,
}

/// SyncGroup.
#[derive(Clone, Debug)]
pub struct Sync {
    pub group: Text,
    pub member: Text,
    pub instance: Option<Text>,
    pub generation: i32,
    /// From version 5 on, as is the next.
    pub protocol_type: Option<Text>,
    pub protocol: Option<Text>,
    /// Members and their assignments, from the leader.
    pub assignments: Vec<(Text, Blob)>,
}

/// Heartbeat of the classic protocol.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub group: Text,
    pub member: Text,
    pub instance: Option<Text>,
    pub generation: i32,
}

/// LeaveGroup; one member before version 3.
#[derive(Clone, Debug)]
pub struct Leave {
    pub group: Text,
    pub members: Vec<Leaver>,
}

/// Who leaves: by its id, or by its instance's id with an empty `member`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaver {
    pub member: Text,
    pub instance: Option<Text>,
}

/// OffsetCommit. Topics that do not exist are answered before it comes here.
#[derive(Clone, Debug)]
pub struct Commit {
    pub group: Text,
    /// Empty, as is a negative generation, for consumers that manage their partitions themselves.
    pub member: Text,
    pub instance: Option<Text>,
    /// Generation, or the member's epoch in a group of the consumer protocol.
    pub generation: i32,
    /// Milliseconds that the offsets are to be kept for (versions 2 to 4).
    pub retention: Option<i64>,
    /// The client knows the consumer protocol and its errors (from version 9 on).
    pub knows_epochs: bool,
    pub topics: Vec<CommitTopic>,
}

/// A topic of a [`Commit`].
#[derive(Clone, Debug)]
pub struct CommitTopic {
    pub name: Text,
    /// Zero if unknown.
    pub id: TopicId,
    pub partitions: Vec<CommitPartition>,
}

/// A partition of a [`CommitTopic`].
#[derive(Clone, Debug)]
pub struct CommitPartition {
    pub index: i32,
    pub offset: i64,
    /// -1 if the client does not say.
    pub leader_epoch: i32,
    pub metadata: Text,
}

/// OffsetFetch for one group.
#[derive(Clone, Debug)]
pub struct Fetch {
    pub group: Text,
    /// A member of the consumer protocol and its epoch (from version 9 on); the epoch is -1 otherwise.
    pub member: Option<Text>,
    pub epoch: i32,
    /// Topics and partitions; `None` for all that the group has committed.
    pub topics: Option<Vec<(Text, Vec<i32>)>>,
}

/// OffsetDelete.
#[derive(Clone, Debug)]
pub struct DeleteOffsets {
    pub group: Text,
    pub topics: Vec<(Text, Vec<i32>)>,
}

/// ListGroups. Empty filters pass everything; their words are taken as Kafka takes them, in any case.
#[derive(Clone, Debug, Default)]
pub struct List {
    pub states: Vec<Text>,
    pub types: Vec<Text>,
}

/// Partitions of one topic that a member says it holds.
pub type Owned = (TopicId, Vec<i32>);

/// ConsumerGroupHeartbeat. What is `None` has not changed since the last one.
#[derive(Clone, Debug)]
pub struct ConsumerHeartbeat {
    pub group: Text,
    /// Chosen by the member; empty in version 0, where the coordinator chooses.
    pub member: Text,
    /// 0 joins, -1 leaves, -2 leaves for a while (of a static member).
    pub epoch: i32,
    pub instance: Option<Text>,
    pub rack: Option<Text>,
    /// Milliseconds; -1 if it has not changed.
    pub rebalance_timeout: i32,
    pub topics: Option<Vec<Text>>,
    /// A pattern in RE2's syntax; empty takes back the one before.
    pub regex: Option<Text>,
    pub assignor: Option<Text>,
    pub owned: Option<Vec<Owned>>,
    pub client_id: Text,
    pub client_host: Text,
    /// The coordinator is to choose the member's id (version 0).
    pub takes_id: bool,
}

/// The epoch with which a static member leaves for a while.
pub(super) const LEAVES_FOR_A_WHILE: i32 = -2;

impl ConsumerHeartbeat {
    /// What is wrong with it whatever the group is, for people; each is INVALID_REQUEST.
    pub fn flaw(&self) -> Option<&'static str> {
        let is_blank = |text: &Text| text.trim().is_empty();
        let is_first = self.epoch == 0;
        let may_lack_id = self.takes_id && matches!(self.epoch, 0 | LEAVES_FOR_A_WHILE);
        let own = [Some(&self.member), self.instance.as_ref(), self.rack.as_ref()];
        let is_long = own.into_iter().flatten().any(|name| name.len() > MEMBER_NAME_BYTES_MAX);
        let names: usize = self.topics.iter().flatten().map(|topic| topic.len()).sum();
        let flaws = [
            (is_blank(&self.member) && !may_lack_id, "the member has no id"),
            (is_blank(&self.group), "the group has no id"),
            (self.instance.as_ref().is_some_and(is_blank), "the instance's id is blank"),
            (self.rack.as_ref().is_some_and(is_blank), "the rack is blank"),
            (is_first && self.rebalance_timeout < 0, "a member that joins must say its rebalance timeout"),
            (
                is_first && self.owned.as_ref().is_none_or(|owned| !owned.is_empty()),
                "a member that joins must say that it holds no partitions",
            ),
            // It may want nothing, but has to say so.
            (
                is_first && self.topics.is_none() && self.regex.is_none(),
                "a member that joins must name topics or a regular expression",
            ),
            (self.epoch == LEAVES_FOR_A_WHILE && self.instance.is_none(), "only static members leave for a while"),
            (self.epoch < LEAVES_FOR_A_WHILE, "there is no such epoch"),
            (is_long, "an id of the member, or its rack, is longer than 1024 bytes"),
            (names > MEMBER_METADATA_BYTES_MAX, "the names of topics are longer than 1 MiB"),
        ];
        flaws.into_iter().find(|(is_there, _)| *is_there).map(|(_, what)| what)
    }
}

impl Request {
    /// True if what it asks for may need more memory than the coordinator has now.
    pub(super) fn may_grow(&self) -> bool {
        matches!(self, Request::Join(_) | Request::Sync(_) | Request::Commit(_))
            || matches!(self, Request::ConsumerHeartbeat(beat)
                if beat.epoch >= 0 && (beat.topics.is_some() || beat.regex.is_some()))
    }
}
