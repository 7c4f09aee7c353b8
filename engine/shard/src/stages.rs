//! Where the time of requests goes: a histogram for each stage, which the metrics endpoint reads while the shard runs.
//!
//! All marks are the times of the events that moved a request on, and within one event time stands still. So a stage
//! begins when the loop saw its cause: the loop's own work on a batch, up to the end of the turn, counts as
//! [`Stage::WalWait`], not as the stages before.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use torc_base::time::Mono;

/// Upper bounds double every two buckets, with one in between: 1, 1.5, 2, 3, 4, 6, ... times 1,024 ns.
const BOUNDED: usize = 50;
/// Values up to the first bound are one bucket.
const FIRST_BITS: u32 = 10;

/// Times of one stage. One thread records, any may read.
#[derive(Debug)]
pub struct Histogram {
    /// Of values up to each bound and above the one before; the last one: above all bounds.
    buckets: [AtomicU64; BOUNDED + 1],
    /// Nanoseconds.
    sum: AtomicU64,
}

impl Histogram {
    /// Upper bounds (included) of all buckets but the last, in nanoseconds, rising.
    pub fn bounds() -> impl Iterator<Item = u64> {
        (0..BOUNDED).map(|bucket| match bucket {
            0 => 1 << FIRST_BITS,
            _ => (3 + (bucket as u64 - 1) % 2) << (FIRST_BITS as usize - 1 + (bucket - 1) / 2),
        })
    }

    /// Counts a value of so many nanoseconds. Only the owning thread calls this: plain loads and stores do.
    pub(crate) fn record(&self, ns: u64) {
        add(&self.buckets[bucket(ns)], 1);
        add(&self.sum, ns);
    }

    /// How many values each bucket has (one more than there are bounds), and the sum of all in nanoseconds. Values
    /// recorded while this reads may be in the one and not yet in the other.
    pub fn read(&self) -> (Vec<u64>, u64) {
        (self.buckets.iter().map(|n| n.load(Ordering::Relaxed)).collect(), self.sum.load(Ordering::Relaxed))
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// The bucket of a value: from its highest two bits.
fn bucket(ns: u64) -> usize {
    // Bounds belong to the bucket below.
    let ns = ns.saturating_sub(1);
    if ns >> FIRST_BITS == 0 {
        return 0;
    }
    let octave = ns.ilog2();
    let half = (ns >> (octave - 1)) & 1;
    (1 + (octave - FIRST_BITS) as usize * 2 + half as usize).min(BOUNDED)
}

macro_rules! stages {
    ($($(#[doc = $doc:literal])* $stage:ident = $name:literal,)*) => {
        /// A part of the way of a request, or all of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Stage {
            $($(#[doc = $doc])* $stage,)*
        }

        impl Stage {
            /// All, in the order of the way.
            pub const ALL: &[Stage] = &[$(Stage::$stage),*];

            /// As metrics and logs call it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Stage::$stage => $name,)*
                }
            }
        }
    };
}

stages! {
    /// Produce: from the first byte of the request to its decoding.
    Receive = "receive",
    /// Produce: from there to the shard that owns the partition, if that is another one.
    Hop = "hop",
    /// Produce: from there to its place in the open batch; batches wait here while the log has no room.
    Queue = "queue",
    /// Produce: from there until the batch is handed to the disk.
    WalWait = "wal_wait",
    /// Produce: from there until it is on this node's disk, or committed without it.
    Flush = "flush",
    /// Produce: from there until as many other nodes have it as must, where there are others.
    Quorum = "quorum",
    /// Produce: from there until the answer is handed to the socket, the way back from another shard included.
    Reply = "reply",
    /// Produce: all of them.
    Total = "total",
    /// Fetch: waiting for the disk, of fetches that had to.
    FetchRead = "fetch_read",
    /// Fetch: from the first byte of the request until the answer is handed to the socket, without the time that it
    /// waited for records to be there.
    FetchTotal = "fetch_total",
}

/// The histograms of one shard. A request is counted by the shard that its connection is on, when its answer leaves.
#[derive(Debug, Default)]
pub struct Stages {
    histograms: [Histogram; Stage::ALL.len()],
}

impl Stages {
    /// The times of a stage.
    pub fn of(&self, stage: Stage) -> &Histogram {
        &self.histograms[stage as usize]
    }

    /// Counts a request whose answer is handed to the socket at `sent`.
    pub(crate) fn record(&self, trace: &Trace, sent: Mono) {
        trace.each(sent, |stage, ns| self.of(stage).record(ns));
    }
}

/// When an appended batch reached what. Clocks of all shards are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogTimes {
    /// The owner of the partition got it.
    pub asked: Mono,
    /// It has its place in the open batch.
    pub appended: Mono,
    /// Its batch was handed to the disk.
    pub cut: Mono,
    /// It was on the disk of the node that leads the partition, or committed without it; `None`: there are no other replicas.
    pub own: Option<Mono>,
    /// It was durable and committed.
    pub durable: Mono,
    /// It came from another shard.
    pub hop: bool,
}

/// What a request has behind it, besides being received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// Nothing that is measured.
    #[default]
    Other,
    /// Through the log: the times of the batch that was durable last.
    Log(LogTimes),
    /// A fetch: nanoseconds that it waited for records, and for the disk.
    Fetch { waited_ns: u64, read_ns: u64 },
}

/// The marks of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Kafka's number of the kind of request.
    pub api: i16,
    /// Its first byte was there.
    pub began: Mono,
    /// It was decoded.
    pub decoded: Mono,
    pub path: Path,
}

impl Trace {
    /// Nanoseconds to `sent`, without the time that a fetch waited for records.
    pub fn total(&self, sent: Mono) -> u64 {
        let waited = match self.path {
            Path::Fetch { waited_ns, .. } => waited_ns,
            _ => 0,
        };
        sent.since(self.began).saturating_sub(waited)
    }

    /// Every stage that is measured of such a request, and its nanoseconds.
    pub fn each(&self, sent: Mono, mut f: impl FnMut(Stage, u64)) {
        match self.path {
            Path::Other => {}
            Path::Log(LogTimes { asked, appended, cut, own, durable, hop }) => {
                f(Stage::Receive, self.decoded.since(self.began));
                if hop {
                    f(Stage::Hop, asked.since(self.decoded));
                }
                f(Stage::Queue, appended.since(asked));
                f(Stage::WalWait, cut.since(appended));
                f(Stage::Flush, own.unwrap_or(durable).since(cut));
                if let Some(own) = own {
                    f(Stage::Quorum, durable.since(own));
                }
                f(Stage::Reply, sent.since(durable));
                f(Stage::Total, self.total(sent));
            }
            Path::Fetch { read_ns, .. } => {
                if read_ns > 0 {
                    f(Stage::FetchRead, read_ns);
                }
                f(Stage::FetchTotal, self.total(sent));
            }
        }
    }
}

#[cfg(test)]
#[path = "stages_tests.rs"]
mod tests;
