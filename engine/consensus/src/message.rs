//! What members of a Raft group say to each other. The wire form is in [`crate::wire`].

use crate::configuration::Configuration;
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

/// One message. Those of all groups that two shards have in common travel together: all but [`Body::Append`] and
/// [`Body::Snapshot`] are a few numbers, and [`Message::absorb`] folds what a later one says anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender's term; for [`Body::PreVote`] and a grant of it the term that the candidate would use.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says. `incarnation` is 0 for a member whose word counts; one that has lost its disk and has not been
/// readmitted names its disk's life ([`crate::Doubt::All`]), and what it says counts for nothing.
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
    /// Answer to `RequestVote`, or to `PreVote` (`pre`; the term is then the one that was asked for), of a member that does not
    /// know whom it has voted for: if all others that vote are for the candidate, it is not against it ([`crate::Doubt::All`]).
    Abstained { pre: bool },
    /// Entries behind `prev`; none: only probes for `prev` and tells the commit mark. Who carries it to another node reads
    /// the payloads from the log, may send them in parts, and tells [`crate::Input::Sent`]. Who receives it fills
    /// `configurations` with those that stand among the entries, each with its index; they leave the sender empty.
    Append { prev: Mark, runs: Vec<Run>, configurations: Vec<(Index, Configuration)>, committed: Index },
    /// The sender's log agrees with the leader's up to `through`, and is durable up to there.
    Accepted { through: Index, incarnation: u64 },
    /// The sender's log has not `prev`; it could agree at `hint`, the last entry that is no newer. It is `damaged` if it may
    /// have had more, and has acknowledged it.
    Rejected { prev: Index, hint: Mark, incarnation: u64, damaged: bool },
    /// The commit mark, never beyond what the receiver has acknowledged. Not answered.
    Commit { through: Index },
    /// The leader lives. `committed` as in `Commit`; `round` numbers the leader's questions whether it still leads.
    Heartbeat { committed: Index, round: u64 },
    /// Answer to `Heartbeat`.
    HeartbeatReply { round: u64, incarnation: u64 },
    /// The receiver is to stand for election at once: leadership is handed over to it.
    TimeoutNow,
    /// The sender leads this term no longer, though nobody else does.
    Resigned,
    /// The state up to `mark` has been brought to the receiver's disk, with the configuration that holds there: its log
    /// goes on behind it.
    Snapshot { mark: Mark, configuration: Configuration },
    /// The receiver holds all that it may have forgotten, up to `through`, and votes again if this is still its life.
    Readmitted { through: Index, incarnation: u64 },
}

impl Body {
    /// True for what only a leader of the message's term says.
    pub fn is_from_leader(&self) -> bool {
        matches!(
            self,
            Body::Append { .. }
                | Body::Commit { .. }
                | Body::Heartbeat { .. }
                | Body::TimeoutNow
                | Body::Snapshot { .. }
                | Body::Readmitted { .. }
        )
    }
}

impl Message {
    /// The last of the entries that it offers, if it offers any.
    pub fn last_entry(&self) -> Option<Index> {
        match &self.body {
            Body::Append { prev, runs, .. } if !runs.is_empty() => Some(end_of(*prev, runs).index),
            _ => None,
        }
    }

    /// Takes in what the same member says later to the same one, if both together say no more than one message does.
    /// Nothing that it said in between may be overtaken: only the last message that still waits takes others in.
    pub fn absorb(&mut self, later: &Message) -> bool {
        if self.term != later.term {
            return false;
        }
        match (&mut self.body, &later.body) {
            (Body::Commit { through: old }, Body::Commit { through })
            | (Body::Heartbeat { committed: old, .. }, Body::Commit { through }) => *old = (*old).max(*through),
            // What lies behind the entries that it tells of is not committed by an `Append`.
            (Body::Append { prev, runs, committed: old, .. }, Body::Commit { through })
                if *through <= end_of(*prev, runs).index =>
            {
                *old = (*old).max(*through);
            }
            (Body::Accepted { through: old, incarnation: before }, Body::Accepted { through, incarnation })
                if before == incarnation =>
            {
                *old = (*old).max(*through)
            }
            (Body::Heartbeat { committed: old, round: before }, Body::Heartbeat { committed, round }) => {
                *old = (*old).max(*committed);
                *before = (*before).max(*round);
            }
            (Body::HeartbeatReply { round: old, incarnation: before }, Body::HeartbeatReply { round, incarnation })
                if before == incarnation =>
            {
                *old = (*old).max(*round)
            }
            (
                Body::Append { prev, runs, configurations, committed: old },
                Body::Append { prev: next, runs: more, configurations: others, committed },
            ) if end_of(*prev, runs) == *next => {
                for run in more {
                    match runs.last_mut() {
                        Some(last) if last.term == run.term => {
                            last.entries = last.entries.checked_add(run.entries).expect("a message holds few entries");
                        }
                        _ => runs.push(*run),
                    }
                }
                configurations.extend(others.iter().cloned());
                *old = (*old).max(*committed);
            }
            _ => return false,
        }
        true
    }
}

/// The last of the entries behind `prev`.
fn end_of(prev: Mark, runs: &[Run]) -> Mark {
    let entries: u64 = runs.iter().map(|run| u64::from(run.entries)).sum();
    Mark { term: runs.last().map_or(prev.term, |run| run.term), index: prev.index.plus(entries) }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
