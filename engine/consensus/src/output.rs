//! What goes into a core and what comes out of it.

use crate::configuration::Configuration;
use crate::message::{Mark, Message, Run};
use crate::raft::{HardState, Role};
use std::fmt;
use torc_base::ids::{Index, NodeId, Term};

/// Something that happened to a member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// `entries` (at least 1) are to be appended; a leader gives them the indexes in [`Output::append`].
    Propose { entries: u32 },
    /// A message of another member. Of a member whose disk was replaced, none that the old disk's life sent may come
    /// after one of the new life.
    Message { from: NodeId, message: Message },
    /// Every entry up to `through` is on this disk, as handed out with [`Append::cut`] `cut`. Reports come in the
    /// order in which the appends were handed out; several may be folded into the last. [`Restore`] is answered so too.
    Durable { cut: u32, through: Index },
    /// This hard state is on this disk.
    HardStateDurable(HardState),
    /// Time passes. Groups of which [`crate::Raft::needs_ticks`] is false need none.
    Tick,
    /// All entries up to `through` are in the state; `through` is at most the committed mark.
    Applied { through: Index },
    /// Entries before `first` are gone from the log; `first` is at most the applied mark's successor.
    Released { first: Index },
    /// Try to become the leader now: the shard's start.
    Campaign,
    /// A node is silent, or the link to it broke: what was under way to it or from it may be lost. Said of nodes, once
    /// for all groups: members do not watch each other.
    Suspected(NodeId),
    /// The node is there, perhaps again.
    Alive(NodeId),
    /// Of the entries last offered to `to` ([`crate::Body::Append`]), those up to `through`, `bytes` in all, are on
    /// their way; the others are to be offered again. Until this is said nothing more is offered.
    Sent { to: NodeId, through: Index, bytes: u64 },
    /// What became of a snapshot that [`Output::snapshots`] asked for.
    Snapshot { to: NodeId, outcome: SnapshotOutcome },
    /// The group is to have these voters and learners. Voters change by way of a joint configuration, which the leader
    /// leaves by itself; a voter must have been a learner that caught up.
    Reconfigure { voters: Vec<NodeId>, learners: Vec<NodeId> },
    /// Leadership is to go to this voter. Nothing is appended until it went there, or an election timeout has passed.
    Transfer { to: NodeId },
    /// This leader is to lead no longer: its node stops, or its disk failed.
    Resign,
    /// Somebody wants to read what is committed now: see [`Output::read`].
    Read,
    /// What stood behind `prev` in this member's log before it was damaged ([`crate::Doubt::Tail`]) has been found.
    /// `configurations` as in [`crate::Body::Append`]. It is taken ([`Output::append`]) if that is the log's end and nobody leads.
    Regained { prev: Mark, run: Run, configurations: Vec<(Index, Configuration)> },
}

/// The end of a transfer of state to a follower that needs what the log no longer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// The follower has the state up to `mark`, with the configuration that holds there, on its disk.
    Delivered { mark: Mark, configuration: Configuration },
    /// It did not take it, or it could not be sent. It is tried again after an election timeout.
    Refused,
}

/// What is to be done after a step, in the order of the fields. Reused from step to step.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// To be written before the entries of `append`; answered by [`Input::HardStateDurable`].
    pub hard_state: Option<HardState>,
    /// The last entry that stays: what is behind it is taken back, from the log and from what it was taken to mean.
    pub cut: Option<Index>,
    /// The log and the state are replaced by a snapshot.
    pub restore: Option<Restore>,
    /// Entries to be written; answered by [`Input::Durable`].
    pub append: Option<Append>,
    /// What the one entry of `append` says, which is of a kind of its own: the members from there on.
    pub configuration: Option<Configuration>,
    /// Another configuration holds than before the step: [`crate::Raft::configuration`].
    pub reconfigured: bool,
    /// May leave at once, beside the disk write.
    pub send_now: Vec<(NodeId, Message)>,
    /// May leave when all that this group was ever told to write, this output included, is durable: votes, requests
    /// for votes, acknowledgements. At once if nothing is being written.
    pub send_when_durable: Vec<(NodeId, Message)>,
    /// Who needs a snapshot of at least the entry before the log's first; answered by [`Input::Snapshot`]. A link that
    /// breaks ends the transfer, and so does the end of this member's leadership.
    pub snapshots: Vec<NodeId>,
    /// The new committed mark, if it moved.
    pub committed: Option<Index>,
    /// The new role, if it changed. Who leads no longer serves none of its open reads.
    pub role: Option<Role>,
    /// The ticket of an [`Input::Read`]: it may be served when `reads` names this ticket or a later one.
    pub read: Option<u64>,
    /// Reads that may be served.
    pub reads: Option<ReadsReady>,
}

impl Output {
    /// True if nothing is to be done.
    pub fn is_empty(&self) -> bool {
        *self == Output::default()
    }

    pub(crate) fn clear(&mut self) {
        let Output { send_now, send_when_durable, snapshots, .. } = self;
        send_now.clear();
        send_when_durable.clear();
        snapshots.clear();
        self.hard_state = None;
        self.cut = None;
        self.restore = None;
        self.append = None;
        self.configuration = None;
        self.reconfigured = false;
        self.committed = None;
        self.role = None;
        self.read = None;
        self.reads = None;
    }
}

/// Entries to be written. What the log holds from `first` on is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Append {
    /// Term of the last entry. A leader's entries are all of this term; those of a follower are as in the message.
    pub term: Term,
    /// First entry.
    pub first: Index,
    /// Last entry.
    pub last: Index,
    /// The one entry is the empty one that opens a leader's term: the shard makes it, nobody proposed it.
    pub noop: bool,
    /// How often a suffix of this log had been cut off when this was handed out. Comes back with [`Input::Durable`],
    /// so that a late report about entries that were replaced is not taken for one about their successors.
    pub cut: u32,
}

/// A snapshot that has come replaces the whole log, at once: after a crash there is either all of the old or this. Its
/// configuration is [`crate::Raft::configuration`]. The state is then applied to `mark`, and committed as far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The last entry of the snapshot's state; the log goes on behind it.
    pub mark: Mark,
    /// As in [`Append::cut`].
    pub cut: u32,
    /// The first of [`crate::Raft::configurations`] as it was before: what is written in front of the snapshot may come back
    /// without it, and is to speak of these members.
    pub replaced: (Index, Configuration),
}

/// Reads that a quorum confirmed: nobody else led when they were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadsReady {
    /// All with this ticket or an earlier one.
    pub ticket: u64,
    /// They may be served when the state is applied up to here.
    pub index: Index,
}

/// Why something was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// This member does not lead.
    NotLeader {
        /// Who does, as far as known.
        leader: Option<NodeId>,
    },
    /// Leadership is being handed over.
    Transferring {
        /// To whom.
        to: NodeId,
    },
    /// A change of members is not yet committed.
    ChangeInProgress {
        /// Its entry.
        index: Index,
    },
    /// No entry of this leader's own term is committed yet.
    TermNotCommitted,
    /// It is to vote, and has not yet got the log as a learner.
    NotCaughtUp {
        /// Who.
        node: NodeId,
    },
    /// It is to lead, and does not vote.
    NotAVoter {
        /// Who.
        node: NodeId,
    },
    /// It is to lead, and does not answer, or has lost what it must know.
    NotReachable {
        /// Who.
        node: NodeId,
    },
    /// The configuration asked for has no voters or names a member twice.
    Invalid,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NotLeader { leader: Some(leader) } => {
                write!(f, "not the leader of this group; node {leader} is")
            }
            Refused::NotLeader { leader: None } => f.write_str("not the leader of this group; it has none now"),
            Refused::Transferring { to } => write!(f, "leadership is being handed over to node {to}; ask again"),
            Refused::ChangeInProgress { index } => {
                write!(f, "the members are being changed by entry {index}, which is not committed yet; ask again")
            }
            Refused::TermNotCommitted => f.write_str("the leader is new and has committed nothing yet; ask again"),
            Refused::NotCaughtUp { node } => {
                write!(f, "node {node} is no learner that has caught up; make it one, or wait for it")
            }
            Refused::NotAVoter { node } => write!(f, "node {node} is no voter of this group and cannot lead it"),
            Refused::NotReachable { node } => write!(f, "node {node} does not answer, or is being repaired"),
            Refused::Invalid => f.write_str("a group needs a voter, and each member is named once"),
        }
    }
}

impl std::error::Error for Refused {}
