//! What goes into a core and what comes out of it.

use crate::message::Message;
use crate::raft::{HardState, Role};
use std::fmt;
use torc_base::ids::{Index, NodeId, Term};

/// Something that happened to a member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// `entries` (at least 1) are to be appended; a leader gives them the indexes in [`Output::append`].
    Propose { entries: u32 },
    /// A message of another member.
    Message { from: NodeId, message: Message },
    /// Every entry up to `through` is on this disk, as handed out with [`Append::cut`] `cut`. Reports come in the
    /// order in which the appends were handed out; several may be folded into the last.
    Durable { cut: u32, through: Index },
    /// This hard state is on this disk.
    HardStateDurable(HardState),
    /// Time passes. Groups of which [`crate::Raft::needs_ticks`] is false need none.
    Tick,
    /// All entries up to `through` are in the state; `through` is at most the committed mark.
    Applied { through: Index },
    /// Entries before `first` are gone from the log; `first` is at most the applied mark's successor.
    Released { first: Index },
    /// Try to become the leader now: the shard's start, or a peer's silence.
    Campaign,
}

/// What is to be done after a step, in the order of the fields. Reused from step to step.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// To be written before the entries of `append`; answered by [`Input::HardStateDurable`].
    pub hard_state: Option<HardState>,
    /// Entries to be written; answered by [`Input::Durable`].
    pub append: Option<Append>,
    /// May leave at once, beside the disk write.
    pub send_now: Vec<(NodeId, Message)>,
    /// May leave when all that this group was ever told to write, this output included, is durable: votes, requests
    /// for votes, acknowledgements. At once if nothing is being written.
    pub send_when_durable: Vec<(NodeId, Message)>,
    /// The new committed mark, if it moved.
    pub committed: Option<Index>,
    /// The new role, if it changed.
    pub role: Option<Role>,
}

impl Output {
    /// True if nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.hard_state.is_none()
            && self.append.is_none()
            && self.send_now.is_empty()
            && self.send_when_durable.is_empty()
            && self.committed.is_none()
            && self.role.is_none()
    }

    pub(crate) fn clear(&mut self) {
        self.hard_state = None;
        self.append = None;
        self.send_now.clear();
        self.send_when_durable.clear();
        self.committed = None;
        self.role = None;
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

/// Why a proposal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLeader {
    /// Who leads, as far as known.
    pub leader: Option<NodeId>,
}

impl fmt::Display for NotLeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.leader {
            Some(leader) => write!(f, "not the leader of this group; node {leader} is"),
            None => f.write_str("not the leader of this group; it has none now"),
        }
    }
}

impl std::error::Error for NotLeader {}
