//! One shard's memory for what clients make it hold: large things ask here before any work is done for them.
//!
//! Four rules keep one client from stopping the others:
//! - Nobody holds memory while waiting for memory: a request's frame is reserved whole, an answer is what there is room
//!   for now, a read of the log that finds no room leaves nothing behind (`torc_wal::Claim`).
//! - A holder may have as much as it leaves free ([`Budget::share`]; Choudhury and Hahne, "Dynamic queue length thresholds",
//!   1998), and nobody what is kept for those who want little (`Conns::share_of_answers`).
//! - What waits for a slow socket is taken back (`outbox.rs`): it is on disk.
//! - Memory for requests goes round in turns ([`Turns`]); who is quick has it sooner, who is slow has it too.
//!
//! Each purpose has a bound of its own, so that clients never use up what the log or its followers need.

use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::ConnId;
use torc_base::limits::{ANSWERS_MEMORY, FOLLOWERS_MEMORY, FRAMES_MEMORY, LARGE_FRAME, UNCOMMITTED_ENTRIES_MAX};
use torc_base::time::Mono;

/// Bounds of one shard. What is read from disk has its own in the log's settings, received bytes in the reactor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Bytes of requests that are being received or wait for their answers.
    pub frames: usize,
    /// Bytes of answers that wait for their sockets.
    pub answers: usize,
    /// Bytes of entries that leaders have sent, until they are on this disk. No client's request or answer counts there.
    pub followers: usize,
    /// Entries that are led here and not committed.
    pub uncommitted_entries: u64,
}

impl Default for MemoryLimits {
    fn default() -> MemoryLimits {
        MemoryLimits {
            frames: FRAMES_MEMORY,
            answers: ANSWERS_MEMORY,
            followers: FOLLOWERS_MEMORY,
            uncommitted_entries: UNCOMMITTED_ENTRIES_MAX,
        }
    }
}

/// Bytes for one purpose: how many there may be, and how many there are.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limit: usize,
    used: usize,
}

impl Budget {
    pub fn new(limit: usize) -> Budget {
        Budget { limit, used: 0 }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn used(&self) -> usize {
        self.used
    }

    pub fn free(&self) -> usize {
        self.limit.saturating_sub(self.used)
    }

    /// How much more one who has `holds` may have of what is not `kept` for others: then it has as much as is left.
    pub fn share(&self, holds: usize, kept: usize) -> usize {
        self.free().saturating_sub(kept).saturating_sub(holds) / 2
    }

    /// Takes `bytes`, room or not: the caller has asked, or cannot do with less.
    pub fn take(&mut self, bytes: usize) {
        self.used += bytes;
    }

    pub fn give(&mut self, bytes: usize) {
        assert!(bytes <= self.used, "{bytes} bytes are given back, {} were taken", self.used);
        self.used -= bytes;
    }
}

/// Since when somebody waits for memory and nobody has got any. After a while those who hold it and do not move give way, then
/// the one that holds most (`conns/patience.rs`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Standstill {
    since: Option<Mono>,
}

impl Standstill {
    pub fn since(&self) -> Option<Mono> {
        self.since
    }

    /// Whether somebody waits now.
    pub fn note(&mut self, now: Mono, waits: bool) {
        self.since = waits.then(|| self.since.unwrap_or(now));
    }

    /// Somebody has got memory.
    pub fn end(&mut self) {
        self.since = None;
    }
}

/// How quickly a connection's requests arrive, from their first byte to their last: memory is held as long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Of the last frames, the newest counting a quarter; unknown before the first.
    ms: Option<u64>,
}

impl Pace {
    /// What is taken of a connection that nothing is known of.
    const UNKNOWN_MS: u64 = 100;
    /// A quicker one is let at memory that the others leave alone.
    const QUICK_MS: u64 = 500;
    /// Nobody waits longer than this for those who come later.
    const LATE_MS: u64 = 10_000;

    /// A frame has arrived whole.
    pub fn arrived(&mut self, took_ms: u64) {
        self.ms = Some(self.ms.map_or(took_ms, |ms| (ms * 3 + took_ms) / 4));
    }

    fn is_quick(self) -> bool {
        self.ms.is_some_and(|ms| ms < Pace::QUICK_MS)
    }

    /// Its place among those who wait: those who hold memory for a short time go before those who hold it long.
    fn order(self, now: Mono) -> Mono {
        now.plus_ms((self.ms.unwrap_or(Pace::UNKNOWN_MS) * 16).min(Pace::LATE_MS))
    }
}

/// Sizes of frames that wait for each other: up to 128 KiB, 1 MiB, 8 MiB, and above.
const CLASSES: usize = 4;

fn class(need: usize) -> usize {
    match need >> 10 {
        0..128 => 0,
        128..1024 => 1,
        1024..8192 => 2,
        _ => 3,
    }
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Mono,
    order: Mono,
    need: usize,
    quick: bool,
}

/// Memory for requests, and who waits for it. A frame gets all that it needs, or nothing yet: what has not been read
/// stays with the sender.
#[derive(Debug)]
pub struct Turns {
    budget: Budget,
    waiting: BTreeMap<ConnId, Waiting>,
    /// By size, so that small ones never stand behind large ones.
    queues: [BTreeSet<(Mono, ConnId)>; CLASSES],
    /// Have their turn; it is taken up with the next [`Turns::ask`].
    granted: BTreeMap<ConnId, usize>,
    standstill: Standstill,
}

impl Turns {
    /// `frame_max`: the largest frame. It must fit beside what is left to others.
    pub fn new(limit: usize, frame_max: usize) -> Turns {
        assert!(frame_max + limit / 8 + limit / 4 <= limit, "a frame of {frame_max} bytes in {limit} bytes of memory");
        Turns {
            budget: Budget::new(limit),
            waiting: BTreeMap::new(),
            queues: Default::default(),
            granted: BTreeMap::new(),
            standstill: Standstill::default(),
        }
    }

    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Takes `need` bytes for a frame of the connection if it is its turn. If not it waits, and is named by
    /// [`Turns::next`] when it is; then it asks again.
    pub fn ask(&mut self, now: Mono, conn: ConnId, need: usize, pace: Pace) -> bool {
        if let Some(granted) = self.granted.remove(&conn) {
            assert_eq!(granted, need, "a connection waits for one frame");
            return true;
        }
        if self.waiting.contains_key(&conn) {
            return false;
        }
        let quick = pace.is_quick();
        let first = need < LARGE_FRAME || self.queues[class(need)].is_empty();
        if first && self.has_room(need, quick, self.spoken_for(now, class(need))) {
            self.budget.take(need);
            return true;
        }
        let order = pace.order(now);
        self.waiting.insert(conn, Waiting { since: now, order, need, quick });
        self.queues[class(need)].insert((order, conn));
        self.standstill.note(now, true);
        false
    }

    /// The larger a frame is the more it leaves to smaller ones: who promises large ones keeps nobody else waiting. A
    /// quarter is left to those who have shown that they hold memory for a short time. `spoken_for`: bytes that a larger
    /// one waits for.
    fn has_room(&self, need: usize, quick: bool, spoken_for: usize) -> bool {
        let free = self.budget.free();
        if need < LARGE_FRAME {
            return need <= free;
        }
        let limit = self.budget.limit;
        let left = need.min(limit / 8) + if quick { 0 } else { limit / 4 };
        need + left + spoken_for <= free
    }

    /// What a larger frame than those of the class has waited for too long: it is not to be used up before it is together.
    fn spoken_for(&self, now: Mono, class: usize) -> usize {
        if class == 0 {
            return 0;
        }
        let firsts = self.queues[class + 1..].iter().filter_map(|queue| queue.first());
        let late = firsts.map(|(_, conn)| self.waiting[conn]).filter(|w| now >= w.since.plus_ms(Pace::LATE_MS));
        late.map(|w| w.need).max().unwrap_or(0)
    }

    /// The next one whose turn it is: of each size the first may have it.
    pub fn next(&mut self, now: Mono) -> Option<ConnId> {
        let fits = |(size, &(order, conn)): (usize, &(Mono, ConnId))| {
            let Waiting { need, quick, .. } = self.waiting[&conn];
            self.has_room(need, quick, self.spoken_for(now, size)).then_some((order, conn))
        };
        let firsts = self.queues.iter().enumerate().filter_map(|(size, queue)| Some((size, queue.first()?)));
        let (order, conn) = firsts.filter_map(fits).min()?;
        let need = self.waiting.remove(&conn).expect("it waits").need;
        self.queues[class(need)].remove(&(order, conn));
        self.budget.take(need);
        self.granted.insert(conn, need);
        self.standstill.end();
        self.standstill.note(now, self.is_short());
        Some(conn)
    }

    /// The connection waits no more.
    pub fn leave(&mut self, conn: ConnId) {
        if let Some(waiting) = self.waiting.remove(&conn) {
            self.queues[class(waiting.need)].remove(&(waiting.order, conn));
        }
        if let Some(granted) = self.granted.remove(&conn) {
            self.budget.give(granted);
        }
        if !self.is_short() {
            self.standstill.end();
        }
    }

    /// Bytes of those who have their turn and have not taken it up.
    pub fn granted(&self) -> usize {
        self.granted.values().sum()
    }

    /// Takes memory for what is there already.
    pub fn take(&mut self, bytes: usize) {
        self.budget.take(bytes);
    }

    pub fn give(&mut self, bytes: usize) {
        self.budget.give(bytes);
    }

    /// True if somebody waits.
    pub fn is_short(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Since when somebody waits and nobody has got a turn.
    pub fn stuck_since(&self) -> Option<Mono> {
        self.standstill.since()
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
