//! What a shard's loop spends long turns on: whoever waits, waits for the turn under way to end.
//!
//! The loop says when turns begin and end, the core what it is at. A turn that was not expected to be long is measured as a
//! whole, at moments at which the loop reads the clock anyway; only of work that no small request needs ([`Work::is_rare`])
//! the times are always taken. After a long turn all work is, for a while. So small requests pay for none of it, and what
//! makes turns long again and again is known. The core can only tell, never ask: it has no clock here either.

use crate::histogram::Histogram;
use crate::time::Mono;
use std::array;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// A turn is long if it takes so many nanoseconds.
pub const LONG_TURN_NS: u64 = 1_000_000;
/// So long after a long turn the times of all work are taken.
const WATCH_NS: u64 = 5_000_000_000;

macro_rules! works {
    ($($(#[doc = $doc:literal])* $work:ident = $name:literal $(, $rare:ident)?;)*) => {
        /// A kind of work of a turn.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Work {
            $($(#[doc = $doc])* $work,)*
        }

        impl Work {
            /// All there are.
            pub const ALL: &[Work] = &[$(Work::$work),*];

            /// As metrics call it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Work::$work => $name,)*
                }
            }

            /// True if no small request needs it.
            const fn is_rare(self) -> bool {
                match self {
                    $(Work::$work => works!(@ $($rare)?),)*
                }
            }
        }
    };
    (@) => { false };
    (@ rare) => { true };
}

works! {
    /// Whatever is not rare, of which no times were taken.
    Usual = "usual";
    /// Connections: what is received and sent, and what comes of it but requests.
    Connections = "connections";
    /// Requests of producers.
    Produce = "produce";
    /// Requests of consumers.
    Fetch = "fetch";
    /// Look-ups of offsets by time or epoch, and deletions of records.
    Offsets = "offsets", rare;
    /// What clients are told of topics, settings and the cluster.
    Lists = "lists", rare;
    /// Changes of topics, settings and the cluster.
    Admin = "admin", rare;
    /// Requests for coordinators of consumer groups, and their timers.
    Groups = "groups";
    /// Other requests.
    Hello = "hello";
    /// Compressed batches are opened.
    Opening = "opening", rare;
    /// Clients of ZooKeeper.
    Znodes = "znodes";
    /// Mail of other shards, and what it asks for.
    Mail = "mail";
    /// Other nodes, and what is for them.
    Peers = "peers";
    /// What the disk has done.
    Disk = "disk";
    /// The log: batches are cut, reads begun, segments looked after.
    Log = "log";
    /// What metrics and other monitoring ask for.
    Metrics = "metrics", rare;
    /// Checkpoints.
    Checkpoint = "checkpoint", rare;
    /// Compaction.
    Compaction = "compaction", rare;
    /// Answers are handed to sockets.
    Answers = "answers";
    /// The kernel carries out what it was asked for.
    Kernel = "kernel";
}

/// Which work long turns were spent on. Written by the shard's thread alone, with plain stores; read by any.
#[derive(Debug)]
pub struct TurnMeter {
    clock: OnceLock<fn() -> Mono>,
    /// Long turns, by what took most of each.
    long: [Histogram; Work::ALL.len()],
    /// Nanoseconds of long turns, by what took them.
    spent: [AtomicU64; Work::ALL.len()],
    /// What the turn is at, and since when this counts.
    doing: AtomicU8,
    since: AtomicU64,
    began: AtomicU64,
    /// A turn is under way.
    is_open: AtomicBool,
    watched: AtomicBool,
    watched_until: AtomicU64,
    /// Nanoseconds of this turn, by work.
    took: [AtomicU64; Work::ALL.len()],
}

impl Default for TurnMeter {
    fn default() -> TurnMeter {
        TurnMeter {
            clock: OnceLock::new(),
            long: array::from_fn(|_| Histogram::default()),
            spent: array::from_fn(|_| AtomicU64::new(0)),
            doing: AtomicU8::new(Work::Usual as u8),
            since: AtomicU64::new(0),
            began: AtomicU64::new(0),
            is_open: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            watched_until: AtomicU64::new(0),
            took: array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

fn get(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

fn set(number: &AtomicU64, to: u64) {
    number.store(to, Ordering::Relaxed);
}

impl TurnMeter {
    /// What times are taken from; without it none are.
    pub fn set_clock(&self, clock: fn() -> Mono) {
        // A meter has one loop, which has one clock.
        let _ = self.clock.set(clock);
    }

    /// The turn is at something else now; returns what it was at, to be gone back to.
    #[inline]
    pub fn at(&self, work: Work) -> Work {
        let before = self.now_at();
        if before != work {
            if self.is_watched() || work.is_rare() || before.is_rare() {
                self.note(before);
            }
            self.doing.store(work as u8, Ordering::Relaxed);
        }
        before
    }

    /// What the turn is at.
    #[inline]
    pub fn now_at(&self) -> Work {
        Work::ALL[usize::from(self.doing.load(Ordering::Relaxed))]
    }

    /// True if the times of all work are being taken.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    #[cold]
    fn note(&self, work: Work) {
        if let Some(clock) = self.clock.get() {
            self.add(work, clock());
        }
    }

    /// The time since this was last called is that work's.
    fn add(&self, work: Work, now: Mono) {
        let work = if self.is_watched() || work.is_rare() { work } else { Work::Usual };
        let took = &self.took[work as usize];
        set(took, get(took) + now.since(Mono(get(&self.since))));
        set(&self.since, now.0);
    }

    /// A turn begins.
    pub fn begin(&self, now: Mono) {
        self.is_open.store(true, Ordering::Relaxed);
        self.doing.store(Work::Usual as u8, Ordering::Relaxed);
        set(&self.since, now.0);
        set(&self.began, now.0);
    }

    /// The turn under way ends, if there is one.
    pub fn end(&self, now: Mono) {
        if !self.is_open.load(Ordering::Relaxed) {
            return;
        }
        self.is_open.store(false, Ordering::Relaxed);
        let total = now.since(Mono(get(&self.began)));
        if total >= LONG_TURN_NS {
            self.end_long(now, total);
        } else if self.is_watched() && now.0 >= get(&self.watched_until) {
            self.watched.store(false, Ordering::Relaxed);
        }
        // Few turns have taken times: the others pay one look.
        if get(&self.since) != get(&self.began) {
            self.took.iter().for_each(|took| set(took, 0));
        }
    }

    /// Nobody knows when the turn under way ended.
    pub fn leave(&self) {
        self.end(Mono(get(&self.began)));
    }

    #[cold]
    fn end_long(&self, now: Mono, total: u64) {
        self.add(self.now_at(), now);
        let most = Work::ALL.iter().max_by_key(|work| get(&self.took[**work as usize])).expect("there are some");
        self.long[*most as usize].record(total);
        for (spent, took) in self.spent.iter().zip(&self.took) {
            set(spent, get(spent) + get(took));
        }
        self.watched.store(true, Ordering::Relaxed);
        set(&self.watched_until, now.0 + WATCH_NS);
    }

    /// Long turns of which this work took most.
    pub fn long(&self, work: Work) -> &Histogram {
        &self.long[work as usize]
    }

    /// Nanoseconds of long turns that this work took. What the thread did not run for, since others had its core, is among them:
    /// to know it would take a system call for each turn.
    pub fn spent_ns(&self, work: Work) -> u64 {
        get(&self.spent[work as usize])
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
