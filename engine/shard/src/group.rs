//! One replicated log on this shard: its consensus, what it means, and who waits for it.

use crate::groups::{Digests, InSync, Moving, OnCopies};
use crate::mail::{Answer, Asker, Produced};
use crate::meaning::{Meaning, PartitionLog};
use crate::meters::Meter;
use crate::refusal::Refusal;
use crate::stages::LogTimes;
use std::collections::{BTreeSet, VecDeque};
use torc_base::ids::{BatchSeq, Index, LeaderEpoch, NodeId, Offset, Term};
use torc_base::time::Mono;
use torc_consensus::{Raft, Role};
use torc_state::compaction::Compaction;
use torc_state::partition::Partition;
use torc_state::retention::Limits;

/// Who waits for an entry, and what is answered then.
#[derive(Debug)]
pub struct Waiter {
    pub index: Index,
    pub asker: Asker,
    pub position: u32,
    pub reply: Reply,
    /// As far as they are known: until it was appended.
    pub times: LogTimes,
}

/// What is answered when an entry has reached its mark, and when it never will.
#[derive(Debug)]
pub enum Reply {
    Produced {
        base: Offset,
        append_time: i64,
    },
    Trimmed,
    /// Of somebody inside the shard: ready before the entry was appended.
    Ready(Box<Ready>),
}

/// An answer that is kept back until what it tells is committed.
#[derive(Debug)]
pub struct Ready {
    pub answer: Answer,
    /// What is answered instead if that will never be, made of the answer.
    pub lost: fn(Answer, Refusal) -> Answer,
}

/// A log group.
pub struct Group {
    pub raft: Raft,
    pub meaning: Meaning,
    /// What the topic keeps.
    pub retention: Limits,
    /// What compaction goes by, if its topic is compacted.
    pub compaction: Option<Compaction>,
    /// Where its topic is counted.
    pub meter: Meter,
    /// Wait for the leader's own disk, in the order of the log.
    pub on_disk: VecDeque<Waiter>,
    /// Wait for the commit, in the order of the log.
    pub on_commit: VecDeque<Waiter>,
    /// Wait for more disks than that takes.
    pub on_copies: OnCopies,
    /// While this node leads: which other replicas have what it has.
    pub in_sync: Option<Box<InSync>>,
    /// The replica that is to lead, if it can.
    pub preferred: Option<NodeId>,
    /// Where it is to come to, if it is to have other replicas.
    pub moving: Option<Box<Moving>>,
    /// Wait for the committed bytes to reach a number.
    pub watchers: BTreeSet<(u64, Asker)>,
    /// The no-op of the term that this node leads; once it is committed the group serves.
    pub term_start: Option<Index>,
    pub serving: bool,
    /// The shard waits for its leader: this node's vote alone decides.
    pub awaited: bool,
    /// It gets ticks.
    pub ticks: bool,
    /// The last batch of the write-ahead log with something of it.
    pub written: BatchSeq,
    /// How often a suffix of its log had been cut off when something was last appended ([`torc_consensus::Append::cut`]).
    pub cut: u32,
    /// What is compared with the other replicas.
    pub digests: Digests,
}

impl Group {
    /// A group that has just been made or recovered.
    pub fn new(raft: Raft, meaning: Meaning) -> Group {
        Group {
            raft,
            meaning,
            retention: Limits { ms: -1, bytes: -1 },
            compaction: None,
            meter: Meter::OTHERS,
            on_disk: VecDeque::new(),
            on_commit: VecDeque::new(),
            on_copies: OnCopies::new(),
            in_sync: None,
            preferred: None,
            moving: None,
            watchers: BTreeSet::new(),
            term_start: None,
            serving: false,
            awaited: false,
            ticks: false,
            written: BatchSeq(0),
            cut: 0,
            digests: Digests::default(),
        }
    }

    /// True if this node leads the group and has all that was committed before.
    pub fn leads(&self) -> bool {
        self.serving && self.raft.role() == Role::Leader
    }

    /// True if this node is its only member, whose vote alone decides.
    pub fn is_alone(&self) -> bool {
        matches!(self.raft.peers(), [only] if self.raft.seat() == Some(only.seat) && only.seat.votes())
    }

    /// Something of it is in batch `seq`: entries handed out with `cut`, or something else.
    pub fn wrote(&mut self, seq: BatchSeq, cut: Option<u32>) {
        self.written = seq;
        self.cut = cut.unwrap_or(self.cut);
    }

    /// Lets somebody wait for the commit of an entry, which need not be the last one.
    pub fn wait_for_commit(&mut self, waiter: Waiter) {
        let at = self.on_commit.partition_point(|w| w.index <= waiter.index);
        self.on_commit.insert(at, waiter);
    }

    /// The leader epoch that clients see.
    pub fn epoch(&self) -> LeaderEpoch {
        epoch_of(self.raft.term())
    }

    /// The partition of a group that has records.
    pub fn partition(&self) -> &Partition {
        self.records().state()
    }

    /// The log of a group that has records.
    pub fn records(&self) -> &PartitionLog {
        self.meaning.partition().expect("asked of a group with records")
    }

    /// The same, to change it.
    pub fn records_mut(&mut self) -> &mut PartitionLog {
        self.meaning.partition_mut().expect("asked of a group with records")
    }

    /// Kafka's check of the epoch that a client believes in; -1 means that it does not say.
    pub fn check_epoch(&self, epoch: i32) -> Result<(), Refusal> {
        let current = self.epoch().get();
        match epoch {
            -1 => Ok(()),
            e if e < current => Err(Refusal::OldEpoch),
            e if e > current => Err(Refusal::NewEpoch),
            _ => Ok(()),
        }
    }
}

/// Kafka's epoch for a Raft term.
pub fn epoch_of(term: Term) -> LeaderEpoch {
    LeaderEpoch(i32::try_from(term.get()).expect("fewer than two billion elections"))
}

/// When the batch of an entry was handed to the disk, and was on it.
#[derive(Clone, Copy, Debug)]
pub struct Flush {
    pub cut: Mono,
    /// `None`: it is committed with that, as there are no other replicas.
    pub own: Option<Mono>,
}

impl Waiter {
    /// The answer, when the entry has reached the mark that it waits for, at `now`.
    pub fn reached(self, log_start: Offset, flush: Flush, now: Mono) -> (Asker, Answer) {
        let answer = match self.reply {
            Reply::Produced { base, append_time } => {
                // A repeated batch begins to wait when it is on its way to the disk already.
                let cut = flush.cut.max(self.times.appended);
                let own = flush.own.map(|own| own.clamp(cut, now.max(cut)));
                let times = LogTimes { cut, own, durable: now, ..self.times };
                let produced = Produced { base, append_time, log_start, times: Some(times) };
                Answer::Produced(vec![(self.position, Ok(produced))])
            }
            Reply::Trimmed => Answer::Deleted(vec![(self.position, Ok(log_start))]),
            Reply::Ready(ready) => ready.answer,
        };
        (self.asker, answer)
    }

    /// The answer, when it never will.
    pub fn refused(self, refusal: Refusal) -> (Asker, Answer) {
        let answer = match self.reply {
            Reply::Produced { .. } => Answer::Produced(vec![(self.position, Err(refusal))]),
            Reply::Trimmed => Answer::Deleted(vec![(self.position, Err(refusal))]),
            Reply::Ready(ready) => (ready.lost)(ready.answer, refusal),
        };
        (self.asker, answer)
    }
}
