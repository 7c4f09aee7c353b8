//! What members of a Raft group say to each other. The wire form lives in `net/peer`.

use torc_base::ids::{Index, Term};

/// An entry's place: what identifies it in its group, since one leader per term appends at most once at an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Term in which the entry was made.
    pub term: Term,
    /// Its position.
    pub index: Index,
}

/// Adjacent entries of one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Their term.
    pub term: Term,
    /// How many, at least 1.
    pub entries: u32,
}

/// One message. Whoever carries an [`Body::Append`] to another node reads the payloads of its entries from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender's term; for [`Body::PreVote`] and a grant of it the term that the candidate would use.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Would you vote for me? Binds nobody.
    PreVote { last: Mark },
    /// Answer to `PreVote`.
    PreVoteReply { granted: bool },
    /// Vote for me: my log ends at `last`.
    RequestVote { last: Mark },
    /// Answer to `RequestVote`. A granted vote is durable.
    VoteReply { granted: bool },
    /// Entries behind `prev`; none: only probes for `prev` and tells the commit mark.
    Append { prev: Mark, runs: Vec<Run>, committed: Index },
    /// The sender's log agrees with the leader's up to `through`, and is durable up to there.
    Accepted { through: Index },
    /// The sender's log has not `prev`; it could agree at `hint`, the last entry that is no newer.
    Rejected { prev: Index, hint: Mark },
    /// The leader lives. `committed` is never beyond what the receiver is known to hold.
    Heartbeat { committed: Index },
    /// Answer to `Heartbeat`.
    HeartbeatReply,
}

impl Body {
    /// True for what only a leader of the message's term says.
    pub fn is_from_leader(&self) -> bool {
        matches!(self, Body::Append { .. } | Body::Heartbeat { .. })
    }
}
