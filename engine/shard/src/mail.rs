//! What shards ask of each other. A question of a shard to itself takes the same way, without the mailbox, and one to a
//! shard of another node takes it with a frame instead: questions and answers are plain data, of which nothing borrows or
//! belongs to this process, but for the times of [`LogTimes`] ([`Answer::abroad`]).

pub mod wire;

use crate::batch::NewBatch;
use crate::conns::Moving;
use crate::groups::Arrival;
use crate::peers::{Calling, Roster};
use crate::refusal::Refusal;
use crate::stages::LogTimes;
use std::collections::BTreeSet;
use std::sync::Arc;
use torc_base::buf::Buf;
pub use torc_base::ids::Place;
use torc_base::ids::{ConnId, GroupId, Index, LeaderEpoch, NodeId, Offset, ProducerId, TopicId};
use torc_base::time::Wall;
use torc_net::kafka::error::{UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION};
use torc_state::catalog::{Admission, Assignments, Node, Topic};
use torc_state::config::{Alter, Overrides};
use torc_state::coordinator::Text;
use torc_state::coordinator::request::Request;
use torc_state::coordinator::response::Response;

/// Names a waiting request on the shard that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

impl Token {
    const INSIDE: u64 = 1 << 63;
    const FORWARDED: u64 = 1 << 62;

    /// Of a question that no client has asked: a number of the shard's own.
    pub fn inside(number: u64) -> Token {
        Token(Token::INSIDE | number)
    }

    /// True of such a token.
    pub fn is_inside(self) -> bool {
        self.0 & Token::INSIDE != 0
    }

    /// Of a question that the catalog's owner has handed on to that of another node: a number of its own.
    pub fn forwarded(number: u64) -> Token {
        Token(Token::FORWARDED | number)
    }

    /// True of such a token.
    pub fn is_forwarded(self) -> bool {
        self.0 & (Token::INSIDE | Token::FORWARDED) == Token::FORWARDED
    }
}

/// Mail between shards.
#[derive(Debug)]
pub enum Mail {
    /// A question to the owner of some groups, or of the catalog.
    Ask { token: Token, ask: Ask },
    /// Its answer; a question for several partitions may be answered in several parts.
    Answer { token: Token, answer: Answer },
    /// From the catalog's owner to all: this is what changed. Numbered from 1.
    Catalog { number: u64, change: CatalogChange },
    /// To the catalog's owner: the change is in force here, its partitions have leaders (or never will). With the
    /// epochs of the leaders that are new.
    CatalogDone { number: u64, leaders: Leaders },
    /// From the catalog's owner to all, and to those of other nodes: partitions with new leaders.
    Leaders(Leaders),
    /// From those who lead to the other replicas: digests of what is committed.
    Digests(Vec<crate::groups::Digest>),
    /// Between nodes: what the tree's leader is asked, and what it answers.
    Tree(Box<crate::znodes::TreeMail>),
    /// Between nodes: a tree for the one that lacks the beginning of its log.
    TreeStart(Box<crate::groups::TreeTold>),
    /// Between nodes: an entry for the one that has lost it.
    Lending(Box<crate::groups::Lending>),
    /// Between nodes: entries are taken here that were refused, of groups that were not here, or of records while the disk was full.
    Room,
    /// From the catalog's owner to all: the other nodes that there are links to.
    Present(BTreeSet<NodeId>),
    /// From the catalog's owner to all: who belongs to the cluster.
    Roster(Arc<Roster>),
    /// To the catalog's owner at the start: the log here has been read, and this life of its disk begins or goes on.
    Begun { life: u64 },
    /// To the catalog's owner while stopping: nothing is waiting here any more.
    Drained,
    /// From the catalog's owner: all are drained.
    Finish,
    /// Answers of the receiver's connections hold memory that is wanted at the sender: it is to take them back soon.
    Pressed,
    /// What goes with a connection that another shard takes over.
    Moving(Box<Moving>),
    /// The same, with one of a peer that wants that shard.
    Calling(Box<Calling>),
}

impl Mail {
    /// What a shard that a server asks to be let in tells the catalog's owner.
    pub fn admit(node: NodeId, disk: u128, address: String) -> Mail {
        let ask = Ask::Admit(node, Admission { disk, address });
        Mail::Ask { token: Token::forwarded(0), ask }
    }
}

/// Groups whose leaders have changed, in the order in which they did.
pub type Leaders = Vec<Led>;

/// What is new of a group's leader. That of the catalog is the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Led {
    pub group: GroupId,
    /// Who leads, or has done so.
    pub node: NodeId,
    /// In which epoch it leads; `None`: it does not any more.
    pub epoch: Option<LeaderEpoch>,
    /// Replicas that are not in sync with it.
    pub behind: Vec<NodeId>,
}

impl Led {
    /// The node leads the group, which none of its replicas is known to be behind in.
    pub fn by(group: GroupId, node: NodeId, epoch: LeaderEpoch) -> Led {
        Led { group, node, epoch: Some(epoch), behind: Vec::new() }
    }

    /// The node leads the group no longer.
    pub fn lost(group: GroupId, node: NodeId) -> Led {
        Led { group, node, epoch: None, behind: Vec::new() }
    }
}

/// A change of the catalog as shards see it.
#[derive(Clone, Debug)]
pub enum CatalogChange {
    /// All topics, the settings of groups, and the nodes, at the start.
    All { topics: Vec<Arc<Topic>>, groups: Vec<(Text, Arc<Overrides>)>, nodes: Vec<Arc<Node>> },
    /// A topic is new, has more partitions or other settings.
    Topic(Arc<Topic>),
    /// A topic of which partitions have come to other replicas: their numbers, and the entries of their own logs that say so.
    Moved { topic: Arc<Topic>, ended: Vec<(u32, Index)> },
    /// A topic is gone.
    Deleted(Arc<Topic>),
    /// A consumer group has other settings.
    Group { group: Text, config: Arc<Overrides> },
    /// A node says something else of itself.
    Node(Arc<Node>),
    /// A node is to lose all its replicas, or to stay.
    Leaving { node: NodeId, leaving: bool },
    /// A node is no longer one of the cluster.
    NodeGone(NodeId),
}

/// How many disks must have a batch before its producer hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// No answer.
    None,
    /// On this many disks, the leader's among them. 1 is the leader's alone.
    Disks(u16),
    /// Committed: a quorum's disks.
    All,
}

/// One record batch for one partition.
#[derive(Debug)]
pub struct ProducePart {
    /// Its place in the answer.
    pub position: u32,
    pub group: GroupId,
    pub batch: NewBatch,
    pub acks: Acks,
    /// Replicas that the topic wants to be in sync before anything is appended for all of them (`min.insync.replicas`).
    pub in_sync: u32,
}

/// One partition to be read.
#[derive(Clone, Copy, Debug)]
pub struct FetchPart {
    pub position: u32,
    pub group: GroupId,
    pub offset: Offset,
    pub max_bytes: usize,
    /// What the client believes the leader's epoch is; -1: does not say.
    pub epoch: i32,
    pub from: ReadFrom,
}

/// Which replica of a partition may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The one that leads.
    Leader,
    /// Any, as far as it knows what is committed. The leader names `near` instead of reading, if that has all of it.
    Any { near: Option<NodeId> },
}

/// A question about offsets.
#[derive(Clone, Copy, Debug)]
pub struct OffsetPart {
    pub position: u32,
    pub group: GroupId,
    pub epoch: i32,
    pub at: OffsetAt,
}

/// Which offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    Earliest,
    Latest,
    /// Where the log ends here, be it committed or not, on whichever replica is asked.
    End,
    /// The last one that remote storage has, or the first that it lacks: there is none.
    Remote,
    /// That of the record with the largest timestamp.
    MaxTimestamp,
    /// That of the first record at or after this time.
    Timestamp(i64),
}

/// A question.
#[derive(Debug)]
pub enum Ask {
    Produce(Vec<ProducePart>),
    Fetch {
        conn: ConnId,
        parts: Vec<FetchPart>,
        max_bytes: usize,
        /// It may wait for memory, as the asker holds nothing for it.
        may_wait: bool,
    },
    /// Do not let the asker's fetch wait for memory: answer it without records if it is still wanted.
    Hurry {
        wanted: bool,
    },
    /// Wake the asker once, when so many bytes have been committed in these groups since they had these counts.
    Watch {
        parts: Vec<(GroupId, u64)>,
        need: u64,
    },
    /// Forget the asker's watch.
    Unwatch,
    Offsets(Vec<OffsetPart>),
    /// Nobody waits for the answer to such a question any more.
    CancelOffsets,
    /// Position, group, the client's current epoch, the requested epoch.
    EpochEnds(Vec<(u32, GroupId, i32, LeaderEpoch)>),
    /// Position, group, first offset to keep (-1: the high watermark).
    DeleteRecords(Vec<(u32, GroupId, Offset)>),
    /// Bytes in the log.
    Sizes(Vec<(u32, GroupId)>),
    /// Position, group, and the node that is to lead it.
    Elect(Vec<(u32, GroupId, NodeId)>),
    /// How far the members of groups are: position, group.
    Quorums(Vec<(u32, GroupId)>),
    /// A producer id that nobody had.
    ProducerId,
    /// A change of the catalog.
    Admin(Admin),
    /// To the controller: the node that asks is this one. The catalog is the answer.
    Register(Box<Node>),
    /// To the controller: a server is to be let in, or is elsewhere. The catalog is the answer.
    Admit(NodeId, Admission),
    /// To the controller: these groups have come where they were to come to. The catalog is the answer.
    Arrived(Vec<Arrival>),
    /// Questions to coordinators; each is answered by itself.
    Coordinate(Vec<CoordinatorPart>),
    /// Nobody waits for the answers to such questions any more.
    CancelCoordinate,
}

impl Ask {
    /// True of a question to the catalog's owner.
    pub fn is_for_owner(&self) -> bool {
        matches!(self, Ask::Admin(_) | Ask::ProducerId | Ask::Register(_) | Ask::Admit(..) | Ask::Arrived(_))
    }
}

/// A question to the coordinator whose records are in the log `log`.
#[derive(Debug)]
pub struct CoordinatorPart {
    /// Its place in the answer.
    pub position: u32,
    pub log: GroupId,
    pub request: Request,
}

/// What a coordinator answers, or why there is none.
pub type Coordinated = Result<Box<Response>, Unavailable>;

/// Why a coordinator does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// It is being loaded.
    Loading,
    /// It is not here, or was and has lost its log: whoever asks shall look for it again.
    NotCoordinator,
    /// It can write nothing down, or its log makes no sense.
    NoRoom,
}

/// Changes of the catalog that clients ask for; each item is answered in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    Create {
        topics: Vec<NewTopic>,
        validate_only: bool,
    },
    /// A topic of the server's own.
    CreateInternal {
        name: String,
        partitions: u32,
        replication: i16,
    },
    Delete(Vec<TopicRef>),
    AddPartitions {
        topics: Vec<MorePartitions>,
        validate_only: bool,
    },
    /// Partitions that are to have other replicas. `factor`: more or fewer of them, if that is what is said.
    Reassign {
        topics: Vec<Reassign>,
        factor: bool,
    },
    /// Settings that are to be changed.
    Configs {
        resources: Vec<(Resource, ConfigChange)>,
        validate_only: bool,
    },
}

impl Admin {
    /// Results that it will have.
    pub fn items(&self) -> usize {
        match self {
            Admin::Create { topics, .. } => topics.len(),
            Admin::CreateInternal { .. } => 1,
            Admin::Delete(topics) => topics.len(),
            Admin::AddPartitions { topics, .. } => topics.len(),
            Admin::Reassign { topics, .. } => topics.iter().map(|topic| topic.partitions.len()).sum(),
            Admin::Configs { resources, .. } => resources.len(),
        }
    }

    /// True if it makes partitions, which are to have leaders before it is answered.
    pub fn makes_partitions(&self) -> bool {
        match self {
            Admin::Create { validate_only, .. } | Admin::AddPartitions { validate_only, .. } => !validate_only,
            Admin::CreateInternal { .. } => true,
            Admin::Delete(_) | Admin::Reassign { .. } | Admin::Configs { .. } => false,
        }
    }
}

/// What has settings in the catalog, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    Topic(String),
    Group(String),
    Node(NodeId),
}

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    /// -1: the server's default.
    pub partitions: i32,
    /// -1: the server's default.
    pub replication: i16,
    /// Where the client wants the replicas of each partition; empty: it does not say.
    pub assignments: Assignments,
    pub config: Overrides,
    /// Refused before it got here.
    pub refused: Option<(i16, String)>,
}

/// A topic that is to have more partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MorePartitions {
    pub name: String,
    /// How many it is to have.
    pub total: i32,
    /// Where the client wants the replicas of the new ones, if it says so.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// A topic of which partitions are to have other replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassign {
    pub topic: String,
    /// Partitions, each with its replicas; `None`: those that it had.
    pub partitions: Vec<(i32, Option<Vec<i32>>)>,
}

/// A topic by name or id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    Name(String),
    Id(TopicId),
}

/// A change of a topic's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Of these keys (IncrementalAlterConfigs).
    Alter(Vec<(String, Alter)>),
    /// To these, and no others (AlterConfigs).
    Replace(Overrides),
}

/// What became of parts of a question, by their places in it.
pub type Parts<T> = Vec<(u32, Result<T, Refusal>)>;

/// An answer, or a part of one.
#[derive(Debug)]
pub enum Answer {
    Produced(Parts<Produced>),
    Fetched(Parts<Fetched>),
    /// The watched partitions have so many bytes more; [`u64::MAX`]: one of them is gone.
    Wake {
        place: Place,
        bytes: u64,
    },
    Offsets(Parts<FoundOffset>),
    /// Epoch, end offset.
    EpochEnds(Parts<(LeaderEpoch, Offset)>),
    /// The low watermark.
    Deleted(Parts<Offset>),
    /// Bytes, and ranges of entries that differ from the leader's.
    Sizes(Vec<(u32, u64, u64)>),
    /// By position: what becomes of the wish for another leader.
    Elected(Vec<(u32, HandOver)>),
    /// By position; `None`: it is not led there.
    Quorums(Vec<(u32, Option<Quorum>)>),
    ProducerId(Result<ProducerId, i16>),
    /// One result per item, in order.
    Admin(Vec<AdminResult>),
    /// The same from the controller to the owner of another node's catalog: it has all of it when it has applied the
    /// entry `index`.
    Committed {
        index: Index,
        results: Vec<AdminResult>,
    },
    /// To one of the questions to coordinators.
    Coordinated {
        position: u32,
        result: Coordinated,
    },
}

/// What a node makes of the wish that another one leads a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// Leadership is handed over, or was asked to be.
    Begun,
    /// This node leads the group, and is to.
    NotNeeded,
    /// The other one cannot lead now.
    NotAvailable,
    /// This node does not lead the group.
    NotLeader,
}

/// A group as its leader knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    pub leader: NodeId,
    pub epoch: LeaderEpoch,
    pub high_watermark: Offset,
    pub members: Vec<Member>,
    /// What it waits for, if it is to have other replicas.
    pub hold: Option<String>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub node: NodeId,
    pub votes: bool,
    /// The end of its log, at most.
    pub end: Offset,
    /// What it lacks of the leader's log, about.
    pub behind_bytes: u64,
    /// When it is known to have had everything, or -1.
    pub caught_up: Wall,
}

/// A batch that has reached the disks that its producer asked for, or will be asked about by nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    pub base: Offset,
    pub append_time: i64,
    pub log_start: Offset,
    /// `None`: it did not go through the log now.
    pub times: Option<LogTimes>,
}

/// The answer to a question about an offset; -1 in all if no record fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// -1 if it was not asked for by time.
    pub timestamp: i64,
    pub offset: Offset,
    pub epoch: LeaderEpoch,
}

/// What was read of a partition.
#[derive(Debug)]
pub struct Fetched {
    pub high_watermark: Offset,
    pub log_start: Offset,
    pub records: Vec<Buf>,
    pub bytes: usize,
    /// Records in them.
    pub count: u64,
    /// The disk had to be asked.
    pub cold: bool,
    /// There are records behind these that consumers may read.
    pub more: bool,
    /// There was no memory to read them into.
    pub no_room: bool,
    /// The group's count of committed bytes when it was read.
    pub committed_bytes: u64,
    /// Nothing was read: this replica has it, too.
    pub elsewhere: Option<NodeId>,
}

/// What became of one catalog change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminResult {
    pub error: i16,
    pub message: Option<String>,
    pub topic: Option<Arc<Topic>>,
}

impl AdminResult {
    /// Refused with `error`, of which the client needs no explanation.
    pub fn code(error: i16) -> AdminResult {
        AdminResult { error, message: None, topic: None }
    }

    /// Refused with `error`.
    pub fn refused(error: i16, message: String) -> AdminResult {
        AdminResult { error, message: Some(message), topic: None }
    }

    /// The same for a client that has named the topic: if it went between the plan and its turn, the catalog only knows that its
    /// id is gone.
    pub fn of_named(self) -> AdminResult {
        if self.error != UNKNOWN_TOPIC_ID {
            return self;
        }
        AdminResult::refused(UNKNOWN_TOPIC_OR_PARTITION, "The topic was deleted meanwhile.".into())
    }
}

impl FoundOffset {
    /// No record fits.
    pub const NONE: FoundOffset = FoundOffset { timestamp: -1, offset: Offset(-1), epoch: LeaderEpoch(-1) };
}

impl Fetched {
    /// No records.
    pub fn empty(high_watermark: Offset, log_start: Offset) -> Fetched {
        Fetched {
            high_watermark,
            log_start,
            records: Vec::new(),
            bytes: 0,
            count: 0,
            cold: false,
            more: false,
            no_room: false,
            committed_bytes: 0,
            elsewhere: None,
        }
    }
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker {
    pub place: Place,
    pub token: Token,
}

impl Answer {
    /// The answer as another node can use it: without what only means something here, times of this node's clock.
    pub fn abroad(mut self) -> Answer {
        if let Answer::Produced(parts) = &mut self {
            parts.iter_mut().filter_map(|(_, result)| result.as_mut().ok()).for_each(|produced| produced.times = None);
        }
        self
    }
}
