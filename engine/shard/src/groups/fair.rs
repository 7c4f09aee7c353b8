//! Who is next at the disk: of those that wait the one that has had least goes first, so that a consumer that reads a
//! little does not stand behind all that read as much as they can.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng, 1996) over bytes from disk: who is not remembered stands where the one
//! stands that was served last. All of those have one account besides, which grows by a fair share of what they are given,
//! so that nobody waits for ever behind clients that come and go.

use std::collections::BTreeMap;
use torc_base::ids::{ConnId, Place};

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    /// A connection of that shard.
    Conn(Place, ConnId),
    /// The shard itself, for its coordinators.
    Inside,
    /// Compaction: it always has more to read, and others go on beside it.
    Compaction,
}

/// Readers that are remembered before those are forgotten that have no more to their account than a newcomer.
const KEPT_MIN: usize = 64;

/// What each reader has had.
#[derive(Debug)]
pub(super) struct Fair {
    /// The turn that was served last, or a later one.
    clock: u64,
    /// Where those stand who are not remembered, if that is more.
    strangers: u64,
    /// Where those stand who have had more than `clock` says.
    had: BTreeMap<Flow, u64>,
    /// How many may be remembered before some are forgotten.
    kept: usize,
}

impl Default for Fair {
    fn default() -> Fair {
        Fair { clock: 0, strangers: 0, had: BTreeMap::new(), kept: KEPT_MIN }
    }
}

impl Fair {
    /// A read's turn: the lowest goes first.
    pub(super) fn turn(&self, reader: Flow) -> u64 {
        self.had.get(&reader).map_or(self.stranger(), |had| self.clock.max(*had))
    }

    /// True if the reader has had more than whoever was served last.
    pub(super) fn is_ahead(&self, reader: Flow) -> bool {
        self.had.get(&reader).is_some_and(|had| *had > self.clock)
    }

    /// The turn of who is not remembered.
    pub(super) fn stranger(&self) -> u64 {
        self.clock.max(self.strangers)
    }

    /// The reader has been given `bytes` from disk in this turn; so many others want some.
    pub(super) fn gave(&mut self, reader: Flow, turn: u64, bytes: usize, others: usize) {
        let bytes = bytes as u64;
        self.clock = self.clock.max(turn);
        let stands = self.turn(reader).max(turn) + bytes;
        if others == 0 {
            // Nobody waited meanwhile, so nobody has had more than is due: all stand alike when some come.
            self.clock = self.had.values().copied().fold(self.stranger().max(stands), u64::max);
            self.had.clear();
            return;
        }
        if self.had.insert(reader, stands).is_none() {
            self.gave_stranger(bytes, others);
        }
        if self.had.len() > self.kept {
            let clock = self.clock;
            self.had.retain(|_, had| *had > clock);
            self.kept = (2 * self.had.len()).max(KEPT_MIN);
        }
    }

    /// Somebody who is not remembered has been given `bytes`.
    pub(super) fn gave_stranger(&mut self, bytes: u64, others: usize) {
        self.strangers = self.stranger() + bytes / (others as u64 + 1);
    }
}

#[cfg(test)]
#[path = "fair_tests.rs"]
mod tests;
