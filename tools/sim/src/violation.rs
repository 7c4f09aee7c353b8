//! What a run found wrong.

use std::fmt;

/// The rules a run is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An acknowledged record is there after whatever happened.
    AckedIsKept,
    /// An acknowledged or idempotent record is there once.
    Once,
    /// Records of one producer lie in the order in which it sent them.
    InOrder,
    /// Bytes come back as they were sent; nothing comes back that nobody sent.
    BytesAreTrue,
    /// What was seen at an offset never changes.
    SeenIsFinal,
    /// Offsets follow each other without a gap.
    NoGap,
    /// High watermark, log start and log end never go back.
    MarksAdvance,
    /// Nothing beyond the high watermark is served.
    BehindHighWatermark,
    /// A producer id is given out once.
    UniqueProducerId,
    /// Only errors that the faults in play explain.
    ExpectedErrors,
    /// An answer comes in bounded time when no fault is in play.
    Liveness,
    /// The shard starts unless what it has on disk was damaged.
    Starts,
    /// A start ends in bounded time: every shard serves, or one ends with its reason.
    StartEnds,
    /// The shard keeps to the contract of `base::io`.
    Contract,
    /// Answers are well formed.
    Protocol,
    /// Asserts hold.
    NoPanic,
    /// Memory stays below its bound, and goes back when nothing is going on.
    Memory,
    /// An acknowledged commit of offsets is there until another one takes its place, or it is deleted or expires.
    CommitIsKept,
    /// Generations of a group only go up, and each is given once.
    GenerationsAdvance,
    /// A partition has one owner in each generation.
    OneOwner,
    /// Who is of an older generation is refused.
    OldIsRefused,
    /// A group gets every record at least once, and commits no more than it has got.
    AtLeastOnce,
    /// The state of a coordinator is what its log says.
    LogIsState,
    /// A group has one leader in each term.
    OneLeader,
    /// What is committed at an index is the same on all members.
    CommittedAgrees,
    /// Who begins to lead has all that is committed.
    LeaderHasAll,
    /// Who gets a vote holds the log.
    LearnersFirst,
    /// A leader commits what others have written by an entry of its own term alone.
    OwnTerm,
    /// Changes of znodes have one order, and everything that is read fits into it.
    OneOrder,
    /// What a session is told of never goes back.
    SessionOrder,
    /// Ephemeral znodes are there as long as their session, which goes only when nobody has heard of it, and is told so.
    SessionLife,
    /// Watches are told of what they are there for: once, in time, and of nothing else.
    Watches,
    /// Whose session is gone holds no lock.
    LockSafety,
    /// Nodes that have applied the same changes have the same tree.
    TreesAgree,
    /// Of each key of a compacted topic the last record is there, a tombstone for its time.
    LastIsKept,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// Where and how.
    pub text: String,
}

impl Violation {
    /// `rule` is broken, as `text` says.
    pub fn new(rule: Rule, text: impl Into<String>) -> Violation {
        Violation { rule, text: text.into() }
    }

    /// The shard asked for something that the contract of `base::io` forbids.
    pub fn contract(text: impl Into<String>) -> Violation {
        Violation::new(Rule::Contract, text)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.text)
    }
}

impl std::error::Error for Violation {}
