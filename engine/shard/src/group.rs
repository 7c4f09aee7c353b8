//! One replicated log on this shard: its consensus, what it means, and who waits for it.

use crate::mail::{Asker, Produced};
use crate::stages::LogTimes;
use std::collections::{BTreeSet, VecDeque};
use torc_base::ids::{Index, LeaderEpoch, Offset, Term};
use torc_base::time::Mono;
use torc_consensus::{Raft, Role};
use torc_state::partition::Partition;
use torc_state::retention::Limits;
use torc_wal::Kind;

/// What an entry of a group's log is.
pub mod kind {
    use super::Kind;
    /// A Kafka record batch.
    pub const RECORDS: Kind = Kind(1);
    /// The first entry of a leader's term.
    pub const NOOP: Kind = Kind(2);
    /// Term and vote; not part of the log: its index is 0.
    pub const HARD_STATE: Kind = Kind(3);
    /// The first offset to keep, 8 bytes little endian.
    pub const TRIM: Kind = Kind(4);
    /// A catalog command.
    pub const COMMAND: Kind = Kind(5);
}

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

/// What is answered when an entry has reached its mark.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    Produced { base: Offset, append_time: i64 },
    Trimmed,
}

/// A log group.
pub struct Group {
    pub raft: Raft,
    /// `None` for the catalog, whose meaning the catalog's owner keeps.
    pub partition: Option<Partition>,
    /// What the topic keeps.
    pub retention: Limits,
    /// Entries that move the high watermark when they are committed: index, the offset behind the entry, and its bytes.
    pub uncommitted: VecDeque<(Index, Offset, u32)>,
    /// Bytes of record batches that were committed since the start.
    pub committed_bytes: u64,
    /// Log starts to take effect when their entry is committed; both members grow.
    pub trims: VecDeque<(Index, Offset)>,
    /// Wait for the leader's own disk, in the order of the log.
    pub on_disk: VecDeque<Waiter>,
    /// Wait for the commit, in the order of the log.
    pub on_commit: VecDeque<Waiter>,
    /// Wait for `committed_bytes` to reach a number.
    pub watchers: BTreeSet<(u64, Asker)>,
    /// The no-op of the term that this node leads; once it is committed the group serves.
    pub term_start: Option<Index>,
    pub serving: bool,
}

impl Group {
    /// A group that has just been made or recovered.
    pub fn new(raft: Raft, partition: Option<Partition>) -> Group {
        Group {
            raft,
            partition,
            retention: Limits { ms: -1, bytes: -1 },
            uncommitted: VecDeque::new(),
            committed_bytes: 0,
            trims: VecDeque::new(),
            on_disk: VecDeque::new(),
            on_commit: VecDeque::new(),
            watchers: BTreeSet::new(),
            term_start: None,
            serving: false,
        }
    }

    /// True if this node leads the group and has all that was committed before.
    pub fn leads(&self) -> bool {
        self.serving && self.raft.role() == Role::Leader
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

    /// The partition of a group that has one.
    pub fn partition(&self) -> &Partition {
        self.partition.as_ref().expect("asked of a partition's group")
    }

    /// The same, to change it.
    pub fn partition_mut(&mut self) -> &mut Partition {
        self.partition.as_mut().expect("asked of a partition's group")
    }

    /// Kafka's check of the epoch that a client believes in; -1 means that it does not say.
    pub fn check_epoch(&self, epoch: i32) -> Result<(), i16> {
        use torc_net::kafka::error;
        let current = self.epoch().get();
        match epoch {
            -1 => Ok(()),
            e if e < current => Err(error::FENCED_LEADER_EPOCH),
            e if e > current => Err(error::UNKNOWN_LEADER_EPOCH),
            _ => Ok(()),
        }
    }
}

/// Kafka's epoch for a Raft term.
pub fn epoch_of(term: Term) -> LeaderEpoch {
    LeaderEpoch(i32::try_from(term.get()).expect("fewer than two billion elections"))
}

impl Waiter {
    /// The answer, when the entry has reached the mark that it waits for, at `now`; its batch was handed to the disk
    /// at `cut`.
    pub fn produced(&self, log_start: Offset, cut: Mono, now: Mono) -> Option<Produced> {
        match self.reply {
            Reply::Produced { base, append_time } => {
                // A repeated batch begins to wait when it is on its way to the disk already.
                let times = LogTimes { cut: cut.max(self.times.appended), durable: now, ..self.times };
                Some(Produced { error: 0, base, append_time, log_start, times: Some(times) })
            }
            Reply::Trimmed => None,
        }
    }
}
