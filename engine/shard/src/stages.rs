//! Where the time of requests goes: a histogram for each stage, which the metrics endpoint reads while the shard runs.
//!
//! All marks are the times of the events that moved a request on, and within one event time stands still. So a stage
//! begins when the loop saw its cause: the loop's own work on a batch, up to the end of the turn, counts as
//! [`Stage::WalWait`], not as the stages before.

pub use torc_base::histogram::Histogram;
use torc_base::time::Mono;

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
