//! Which of two ways a durable write goes, where that is left to the loop.
//!
//! A write with RWF_DSYNC is the cheaper one. Where the device has no FUA, though, its flush is the work of a kernel thread, which waits for
//! a core as everybody does: up to a tick (4 ms) on a machine with busy cores, if the write takes 0.1 ms or 1. A linked fdatasync is
//! the work of a thread of the ring, which has the short slices of the loop (`slice`) and is not kept waiting.

use crate::settings::Sync;
use torc_base::time::Mono;

/// Writes up to this size tell how long each way takes; of larger ones the most is the data.
const TELLING_BYTES: u64 = 64 << 10;
/// The way that is not in use is tried so often, and at most once in so many writes: while things are well, and while they are not.
const TRIED: [Often; 2] =
    [Often { every_ns: 1_000_000_000, of_writes: 64 }, Often { every_ns: 100_000_000, of_writes: 8 }];
/// Durable writes that take longer than this on average want another way.
const SLOW_NS: u64 = 1_000_000;
/// Trials that a change of ways needs.
const TRIALS: u32 = 2;
/// A write counts as so many times the average at most: one that was held up says little.
const OUTLIER: u64 = 4;

struct Often {
    every_ns: u64,
    of_writes: u32,
}

/// How long a way takes.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    /// Moving average; 0 before the first write.
    ns: u64,
    /// Writes since the ways changed.
    writes: u32,
}

impl Taken {
    /// Counts a write in, for one part of `weight`.
    fn count(&mut self, ns: u64, weight: u64) {
        self.writes = self.writes.saturating_add(1);
        let bounded = ns.min(self.ns * OUTLIER);
        self.ns = if self.ns == 0 { ns.max(1) } else { (self.ns * (weight - 1) + bounded) / weight };
    }
}

/// The choice, and what it goes by.
#[derive(Debug)]
pub(crate) struct Durably {
    setting: Sync,
    /// The pair is in use.
    pair: bool,
    /// By RWF_DSYNC, and by the pair.
    taken: [Taken; 2],
    /// The last trial of the other way, and writes since then.
    tried_at: Mono,
    since_tried: u32,
}

impl Durably {
    pub(crate) fn new(setting: Sync) -> Durably {
        let pair = setting == Sync::WriteThenFdatasync;
        Durably { setting, pair, taken: [Taken::default(); 2], tried_at: Mono(0), since_tried: 0 }
    }

    /// Whether the durable write that begins `now` gets a linked fdatasync, instead of the flag.
    pub(crate) fn linked(&mut self, now: Mono, bytes: u64) -> bool {
        if self.setting != Sync::Adaptive || bytes > TELLING_BYTES {
            return self.pair;
        }
        self.since_tried = self.since_tried.saturating_add(1);
        let often = &TRIED[usize::from(self.taken[usize::from(self.pair)].ns > SLOW_NS)];
        let due = self.since_tried > often.of_writes && now.since(self.tried_at) >= often.every_ns;
        if due {
            (self.tried_at, self.since_tried) = (now, 0);
        }
        self.pair != due
    }

    /// A durable write, `linked` or not, has taken so long.
    pub(crate) fn took(&mut self, linked: bool, bytes: u64, ns: u64) {
        if self.setting != Sync::Adaptive || bytes > TELLING_BYTES {
            return;
        }
        let tried = linked != self.pair;
        self.taken[usize::from(linked)].count(ns, if tried { 2 } else { 16 });
        let [dsync, pair] = self.taken;
        // The pair costs the loop a wake more and has to be worth it; what costs less needs to be about as fast only.
        let better = if self.pair { dsync.ns * 4 <= pair.ns * 5 } else { pair.ns * 2 < dsync.ns };
        if tried && better && self.taken[usize::from(linked)].writes >= TRIALS {
            self.pair = linked;
            self.taken[0].writes = 0;
            self.taken[1].writes = 0;
        }
    }
}
