//! The kinds of neighbours: what each does while the healthy clients work, until it is told to leave.

use super::data::Size;
use super::{consumers, lists, producers, strangers, znodes};
use crate::failure::Result;
use clap::ValueEnum;
use rustix::process::setpriority_process;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A kind of neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Consumers that ask for 64 MB of one partition, or a megabyte of each, and never read.
    UnreadFetches,
    /// The same, reading one byte a second.
    TrickleReaders,
    /// Consumers that ask for old records all at once, and read at once; each is to be answered.
    Herds,
    /// Consumers of the newest records that stop reading while much is produced.
    UnreadTail,
    /// Connections that send a hundred fetches ahead and read no answer.
    PipelinedFetches,
    /// Producers whose requests take seconds to arrive; each is to be acknowledged.
    SlowUploads,
    /// Requests of all sizes that stop half way.
    StoppedUploads,
    /// Lengths of 100 MB with little or nothing behind them.
    EmptyPromises,
    /// Producers that want no answer and send what the connection takes.
    Acks0Flood,
    /// Long polls that wait for 20 MB of what comes in slowly.
    LongPolls,
    /// Fetch sessions by the thousand.
    FetchSessions,
    /// The largest timestamp of partitions that share the log with hundreds; half of the clients leave at once.
    MaxTimestamps,
    /// Clients that vanish in the middle of an answer: RST, FIN, silence.
    Vanishing,
    /// Connections that come and go as fast as they can, or come and say nothing.
    ConnectStorms,
    /// Noise, TLS hellos, HTTP requests, ZooKeeper connects.
    Garbage,
    /// The metadata of all topics, again and again, unread.
    UnreadMetadata,
    /// Long lists of all kinds, of which nothing lies on disk, sent ahead without end, unread.
    UnreadLists,
    /// A long list, unread, and a megabyte of small requests behind it that the server receives and cannot answer.
    Hoarders,
    /// Requests of other kinds, sent ahead without end, unread.
    UnreadAnswers,
    /// Small compressed batches with large contents, and searches in them.
    Bombs,
    /// ZooKeeper clients that ask for long lists, many in one request, and read none.
    UnreadZnodes,
}

/// What a kind works on.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    pub kafka: SocketAddr,
    pub metrics: SocketAddr,
    pub zookeeper: SocketAddr,
    pub size: Size,
    pub seed: u64,
    /// They have come: what they are there for has begun.
    pub arrived: &'a AtomicBool,
    /// They are to leave.
    pub stop: &'a AtomicBool,
}

impl Stage<'_> {
    /// Said when all have come.
    pub fn here(&self) {
        self.arrived.store(true, Ordering::Relaxed);
    }

    /// True when they are to leave.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sleeps in short pieces; false when they are to leave.
    pub fn rest(&self, time: Duration) -> bool {
        let mut left = time;
        while !self.is_over() && !left.is_zero() {
            let piece = left.min(Duration::from_millis(50));
            thread::sleep(piece);
            left -= piece;
        }
        !self.is_over()
    }
}

/// What a kind of neighbours did, and whether honest ones were served.
#[derive(Debug, Default)]
pub struct Seen {
    pub text: String,
    /// What the server owed to honest neighbours and did not give.
    pub owed: Option<String>,
}

impl Seen {
    /// Neighbours that are owed nothing.
    pub fn of(text: impl Into<String>) -> Seen {
        Seen { text: text.into(), owed: None }
    }

    /// Honest neighbours: `good` if they got what is theirs.
    pub fn honest(text: String, good: bool) -> Seen {
        Seen { owed: (!good).then(|| text.clone()), text }
    }
}

impl Kind {
    /// As on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }

    /// Does what neighbours of the kind do until the stage is over. They get what the server and the healthy clients
    /// leave of the processor: what they compute themselves is not what is looked at.
    pub fn run(self, stage: Stage) -> Result<Seen> {
        // On Linux it holds for the calling thread and those that it starts. Without it figures are worse, not wrong.
        let _ = setpriority_process(None, 19);
        match self {
            Kind::UnreadFetches => consumers::unread(stage),
            Kind::TrickleReaders => consumers::trickle(stage),
            Kind::Herds => consumers::herds(stage),
            Kind::UnreadTail => consumers::unread_tail(stage),
            Kind::PipelinedFetches => consumers::pipelined(stage),
            Kind::LongPolls => consumers::long_polls(stage),
            Kind::FetchSessions => consumers::sessions(stage),
            Kind::MaxTimestamps => consumers::max_timestamps(stage),
            Kind::Vanishing => consumers::vanishing(stage),
            Kind::SlowUploads => producers::slow_uploads(stage),
            Kind::StoppedUploads => producers::stopped_uploads(stage),
            Kind::EmptyPromises => producers::empty_promises(stage),
            Kind::Acks0Flood => producers::flood(stage),
            Kind::Bombs => producers::bombs(stage),
            Kind::ConnectStorms => strangers::storms(stage),
            Kind::Garbage => strangers::garbage(stage),
            Kind::UnreadMetadata => strangers::unread_metadata(stage),
            Kind::UnreadLists => lists::unread(stage),
            Kind::Hoarders => lists::hoard(stage),
            Kind::UnreadAnswers => strangers::unread_answers(stage),
            Kind::UnreadZnodes => znodes::unread(stage),
        }
    }
}
