//! The words between a shard and what carries out its wishes: the reactor on a server, the simulator in a test.
//!
//! A shard never calls; it is stepped with an [`Event`] and leaves [`Op`]s behind. Operations on one connection
//! complete in the order in which they were asked for; disk operations complete in any order.

use crate::buf::{Buf, BufMut, Pages};
use crate::ids::{ConnId, FileId, ListenerId, ShardId, Tag};
use crate::time::{Mono, Now};
use std::fmt;
use std::net::SocketAddr;

/// What happened.
#[derive(Debug)]
pub enum Event<M> {
    /// First event of a shard's life.
    Start,
    /// A client connected, at one of the server's listeners and from that address. Nothing is received before [`Op::Recv`].
    Accepted { conn: ConnId, listener: ListenerId, peer: SocketAddr },
    /// An [`Op::Connect`] came through. Nothing is received before [`Op::Recv`].
    Connected { call: u64, conn: ConnId },
    /// It did not: nobody is there, or nobody answered in time. Nothing is left of it.
    Unreachable { call: u64, error: ConnectError },
    /// Bytes of a connection whose receive is armed. The buffer's length is what arrived, at least 1.
    Received { conn: ConnId, bytes: BufMut },
    /// An [`Op::RecvExact`] has filled its buffer to the end.
    Filled { conn: ConnId, bytes: BufMut },
    /// Answer to [`Op::Pause`] of an [`Op::RecvExact`] that was not full: its buffer, which is filled up to `at`.
    Halted { conn: ConnId, bytes: BufMut, at: usize },
    /// No shared receive buffer was free for what has come: the receive is disarmed. [`Op::RecvExact`] needs none.
    Starved { conn: ConnId },
    /// Answer to [`Op::Pause`]: nothing is armed, nothing more arrives until it is.
    Paused { conn: ConnId },
    /// The peer sends no more; it may still read.
    Eof { conn: ConnId },
    /// All parts of the one outstanding [`Op::Send`] are with the kernel.
    Sent { conn: ConnId },
    /// Answer to [`Op::TakeBack`]: the parts of the send that are not yet with the kernel, and the bytes of the first of
    /// them that are. Nothing more of it will be sent.
    TakenBack { conn: ConnId, rest: Vec<Buf>, sent: usize },
    /// Answer to [`Op::AwaitRoom`]: the socket takes bytes.
    Room { conn: ConnId },
    /// The connection is gone: by the peer, an error, or [`Op::Close`]. Its last event.
    Closed { conn: ConnId },
    /// A disk operation ended.
    Disk(DiskDone),
    /// Mail of another shard; from one shard in the order of sending.
    Mail { from: ShardId, mail: M },
    /// Another shard handed a connection over, with what it knows of it; in order with its mail. Nothing is received
    /// before [`Op::Recv`].
    Adopted { from: ShardId, conn: ConnId, with: M },
    /// All events at hand have been delivered. Deadlines that are due are handled here, and the open batch is cut.
    Turn,
    /// Drain: take no new requests, answer those in the log, make a checkpoint, then [`Op::Exit`].
    Stop,
}

/// What a shard wants done.
#[derive(Debug)]
pub enum Op<M> {
    /// Connect to another server; answered by [`Event::Connected`] or [`Event::Unreachable`] with the same `call`. What was
    /// sent and is not acknowledged by the other side's kernel within `patience_ms` breaks the attempt, and later the
    /// connection.
    Connect { call: u64, to: SocketAddr, patience_ms: u32 },
    /// Receive into provided buffers, until disarmed. Not while a receive is armed.
    Recv { conn: ConnId },
    /// Receive into `bytes` from position `from` until it is full. Not while a receive is armed.
    RecvExact { conn: ConnId, bytes: BufMut, from: usize },
    /// Disarm the receive, whichever it is; answered by [`Event::Paused`], before which bytes may still arrive and an exact
    /// receive be filled, or, for one that was not, by [`Event::Halted`].
    Pause { conn: ConnId },
    /// Send all parts in order. One outstanding per connection.
    Send { conn: ConnId, parts: Vec<Buf> },
    /// Give up what the kernel has not taken of the outstanding send: answered by [`Event::TakenBack`], or by
    /// [`Event::Sent`] if nothing was left. Without a send outstanding nothing happens.
    TakeBack { conn: ConnId },
    /// Tell when the socket takes bytes. Not while a send is outstanding, and one at a time.
    AwaitRoom { conn: ConnId },
    /// Drop the connection now; answered by [`Event::Closed`].
    Close { conn: ConnId },
    /// Gives the connection to another shard, to which it is [`Event::Adopted`]; here it is gone, without another event.
    /// Not while a receive is armed or a send outstanding.
    HandOver { conn: ConnId, to: ShardId, with: M },
    /// A disk operation.
    Disk(DiskOp),
    /// Mail to another shard of this process.
    Mail { to: ShardId, mail: M },
    /// A line for the log.
    Log { level: Level, text: String },
    /// Nothing is left to do; the shard's last wish.
    Exit,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Somebody must act.
    Error,
    /// Something was lost or refused, or soon will be.
    Warn,
    /// What an operator wants to know in normal running.
    Info,
    /// For those who debug torc.
    Debug,
}

/// A disk operation. File names are relative to the shard's directory and contain no separator.
#[derive(Debug)]
pub struct DiskOp {
    /// Comes back with the completion.
    pub tag: Tag,
    /// What to do.
    pub kind: DiskKind,
}

/// What a [`DiskOp`] does. Positions and lengths of reads and writes are multiples of the page.
#[derive(Debug)]
pub enum DiskKind {
    /// Names and lengths of all files of the shard's directory.
    List,
    /// Opens an existing file for direct reads and writes.
    Open { file: FileId, name: String },
    /// Makes a file that must not exist, allocates `bytes` (0: none) and opens it. If that fails the file is not open, but may
    /// be there.
    Create { file: FileId, name: String, bytes: u64 },
    /// Closes the file, which is open; `file` may be used again.
    Close { file: FileId },
    /// Writes all runs, one behind the other, from position `at`, with one system call.
    /// With `durable` the completion means: on stable storage. Without, only that the device may have it.
    Write { file: FileId, at: u64, runs: Vec<Pages>, durable: bool },
    /// Reads `bytes.len()` bytes from `at`; shorter only at the file's end.
    Read { file: FileId, at: u64, bytes: BufMut },
    /// Everything that has been written to the file, and its length, is on stable storage.
    Sync { file: FileId },
    /// Creations, renames and removals in the directory are on stable storage.
    SyncDir,
    /// Renames, replacing `to`.
    Rename { from: String, to: String },
    /// Removes a file.
    Remove { name: String },
    /// Free bytes of the file system; answered by [`DiskOk::Free`].
    Free,
}

/// A [`DiskOp`] that ended.
#[derive(Debug)]
pub struct DiskDone {
    /// That of the operation.
    pub tag: Tag,
    /// How it went.
    pub result: Result<DiskOk, DiskError>,
}

/// A disk operation's good end.
#[derive(Debug)]
pub enum DiskOk {
    /// Nothing to hand back.
    Done,
    /// Opened or created; its length in bytes.
    Opened { bytes: u64 },
    /// The buffer of a read, cut to what was read.
    Read { bytes: BufMut },
    /// Names and lengths, in any order.
    Listed(Vec<(String, u64)>),
    /// Free and total bytes of the file system.
    Free { free: u64, total: u64 },
}

/// Why a disk operation failed. What reached the disk of a failed write is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// ENOSPC, EDQUOT.
    NoSpace,
    /// The name or file does not exist.
    NotFound,
    /// The name exists.
    Exists,
    /// EMFILE: this process may open no more files. Nothing was done.
    TooManyFiles,
    /// ENFILE: all processes together may open no more. Nothing was done.
    TooManyFilesInAll,
    /// EFBIG: no file of this process may be so long.
    FileTooLong,
    /// ENOMEM: the kernel had no memory for it.
    NoMemory,
    /// EIO and every other error, with its number.
    Io(i32),
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskError::NoSpace => f.write_str("no space left on device"),
            DiskError::NotFound => f.write_str("no such file"),
            DiskError::Exists => f.write_str("file exists"),
            DiskError::TooManyFiles => f.write_str("the limit of open files is reached"),
            DiskError::TooManyFilesInAll => f.write_str("the machine's limit of open files is reached"),
            DiskError::FileTooLong => f.write_str("the limit of a file's length is reached"),
            DiskError::NoMemory => f.write_str("the kernel has no memory for it"),
            DiskError::Io(5) => f.write_str("input/output error (EIO)"),
            DiskError::Io(n) => write!(f, "operating system error {n}"),
        }
    }
}

impl std::error::Error for DiskError {}

impl DiskError {
    /// True if something ran out that may be there again later: no word about the disk.
    pub fn is_shortage(&self) -> bool {
        match self {
            DiskError::NoSpace
            | DiskError::TooManyFiles
            | DiskError::TooManyFilesInAll
            | DiskError::FileTooLong
            | DiskError::NoMemory => true,
            DiskError::NotFound | DiskError::Exists | DiskError::Io(_) => false,
        }
    }

    /// What a person can do about it.
    pub fn cure(&self) -> &'static str {
        match self {
            DiskError::NoSpace => "free some space",
            DiskError::TooManyFiles => "raise it (ulimit -n, LimitNOFILE=)",
            DiskError::TooManyFilesInAll => "raise the sysctl fs.file-max",
            DiskError::FileTooLong => "raise it (ulimit -f, LimitFSIZE=)",
            DiskError::NoMemory => {
                "free some memory, or raise the limit of the container or service (memory.max, MemoryMax=)"
            }
            DiskError::NotFound | DiskError::Exists | DiskError::Io(_) => "check the disk",
        }
    }
}

/// Why a connection could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// ECONNREFUSED: nobody listens there.
    Refused,
    /// ETIMEDOUT: no answer.
    TimedOut,
    /// EHOSTUNREACH, ENETUNREACH: no way there.
    NoRoute,
    /// This process may have no more connections or descriptors.
    Full,
    /// Every other error, with its number.
    Other(i32),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Refused => f.write_str("connection refused: nobody listens there"),
            ConnectError::TimedOut => f.write_str("no answer"),
            ConnectError::NoRoute => f.write_str("there is no route to it"),
            ConnectError::Full => f.write_str("this process may open no more connections"),
            ConnectError::Other(n) => write!(f, "operating system error {n}"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// A state machine that a reactor (or the simulator) drives: one shard.
pub trait App {
    /// What shards of one process send each other.
    type Mail: Send + 'static;

    /// Takes one event in; appends what is to be done to `ops`.
    fn step(&mut self, now: Now, event: Event<Self::Mail>, ops: &mut Vec<Op<Self::Mail>>);

    /// When [`Event::Turn`] is due at the latest, even if nothing happens.
    fn deadline(&self) -> Option<Mono>;

    /// True while spinning instead of sleeping is worth its CPU: a flush is in flight.
    fn busy(&self) -> bool;
}
