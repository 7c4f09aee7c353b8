//! What the log says back.

use crate::entry::{Item, Kind};
use crate::error::WalError;
use torc_base::ids::{BatchSeq, GroupId, Index, Offset, Term};
use torc_base::io::{DiskError, Level};

/// What came of a completion or a turn.
#[derive(Debug)]
pub enum Outcome {
    /// All batches up to this one are on stable storage.
    Durable(BatchSeq),
    /// An entry behind the checkpoint, in log order, only while recovering.
    Recovered(Item),
    /// Recovery has passed over damage: this is lost, and only that. In log order, among the entries.
    Lost(Lost),
    /// Recovery has ended and the log is running.
    RecoveryDone(Recovered),
    /// Recovery found damage that is not a torn tail: the log stays closed.
    Refused(WalError),
    /// End of a pending [`Read`].
    Read(ReadId, Result<Vec<Item>, WalError>),
    /// End of a pending [`Find`].
    Found(ReadId, Result<Option<Item>, WalError>),
    /// A write or flush failed: nothing more becomes durable here.
    Fenced(String),
    /// The log became full, for want of this; or it has room again.
    Full(Option<DiskError>),
    /// A compaction has ended. `whole`: readers find all that was handed over; if not, some of it is as it was before.
    Compacted { whole: bool },
    /// A line for the shard's log.
    Log(Level, String),
}

/// What damage has taken of a log whose owner wants the rest ([`crate::Wal::salvage`]). `what` says where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The payload of this entry; all else of its batch is whole. `in_checkpoint`: the checkpoint contains its effect, and it
    /// stays where it is, as one that cannot be read.
    Entry { group: GroupId, kind: Kind, term: Term, index: Index, in_checkpoint: bool, what: String },
    /// These batches: what was in them is not known. `in_checkpoint`: the checkpoint contains the effect of all of it.
    Batches { first: BatchSeq, last: BatchSeq, in_checkpoint: bool, what: String },
    /// Entries of this group that the checkpoint contains, with such batches: its log has a gap, or ends too early.
    Gap { group: GroupId },
}

/// What a start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// There was no log.
    pub fresh: bool,
    /// The log ends where it was closed: nothing was written behind its checkpoint.
    pub closed: bool,
    /// Batches with entries that the checkpoint does not contain, their entries, and the bytes of those.
    pub batches: u64,
    pub entries: u64,
    pub bytes: u64,
    /// What was cut off the tail, if anything was.
    pub torn: Option<String>,
}

/// What the log can do at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Until [`Outcome::RecoveryDone`]: reads and appends are not possible.
    Recovering,
    /// All is well.
    Running,
    /// No room for another segment: producers are refused, internal entries still taken.
    Full,
    /// A write failed, or recovery was refused: reads go on as far as possible, nothing is appended.
    Fenced(String),
}

/// Where a read starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At this entry.
    Index(Index),
    /// At the entry that covers this offset, or the next one behind it that is there: nobody is told that what lay before
    /// was released.
    Offset(Offset),
}

/// Names a read that needs the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Answer to a read.
#[derive(Debug)]
pub enum Read {
    /// From memory. Empty: nothing at or behind the start.
    Ready(Vec<Item>),
    /// The disk was asked; the answer is [`Outcome::Read`].
    Pending(ReadId),
    /// The start is an index below the group's first entry.
    Released,
    /// The disk would have to be asked, and there is no memory for what it would bring. Nothing waits for it.
    NoRoom,
}

/// How much of the memory for reads a read may use, and when the disk is asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub share: Share,
    /// Of reads that wait for the disk the one with the lowest number goes first.
    pub turn: u64,
}

/// A part of the memory for reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of it: the reader has nothing yet, and has had no more than others before.
    All,
    /// Three quarters of it: the reader has nothing yet, but has had more than others. These shall find room at once.
    Most,
    /// Half of it: the reader has something, and others shall get their first.
    Half,
    /// The same, and nobody waits for it: the disk is asked for so little at a time that a flush that comes meanwhile hardly waits, and for
    /// nothing ahead.
    Background,
    /// Beyond all that others use, up to a bound of its own: for followers, who wait for no client.
    Followers,
}

/// Answer to a search.
#[derive(Debug)]
pub enum Find {
    /// From memory.
    Ready(Option<Item>),
    /// The disk was asked; the answer is [`Outcome::Found`].
    Pending(ReadId),
}

/// Counters since the start, and the present state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches cut.
    pub batches: u64,
    /// Entries in them.
    pub entries: u64,
    /// Bytes written for batches, with padding.
    pub bytes: u64,
    /// Bytes of entries in them.
    pub payload_bytes: u64,
    /// Bytes of entries that were written without a copy.
    pub gathered_bytes: u64,
    /// Segments that hold entries, with the one being filled.
    pub segments: u64,
    /// Segments ready to be filled.
    pub spares: u64,
    /// Segments whose entries are all dead, waiting for a checkpoint.
    pub dead_segments: u64,
    /// Payload bytes of entries that are not dead.
    pub live_bytes: u64,
    /// Free bytes of the file system when last asked.
    pub free_bytes: u64,
    /// Batches in flight.
    pub in_flight: u64,
    /// Bytes that wait for a place in the pipeline.
    pub queued_bytes: u64,
    /// Bytes of memory that the tail holds.
    pub tail_bytes: u64,
    /// Reads that are under way.
    pub reads: u64,
    /// Reads that had to wait for the disk.
    pub cold_reads: u64,
    /// Passes of the cleaner that came to their end.
    pub cleaner_passes: u64,
    /// Bytes that it read.
    pub cleaner_read_bytes: u64,
    /// Bytes that it wrote: what lives, moved forward, with its footers.
    pub cleaner_written_bytes: u64,
    /// Bytes of files that were freed after it had emptied them.
    pub cleaner_freed_bytes: u64,
    /// Cold segments that hold entries.
    pub cold_segments: u64,
    /// Segments that are worth emptying or sorting and have not been, when it last looked.
    pub cleaner_waiting: u64,
    /// Compactions that came to their end, or were given up.
    pub compactions: u64,
    /// Operations that reads gave to the disk, and their bytes.
    pub disk_reads: u64,
    pub disk_read_bytes: u64,
    /// Reads of a sequential reader that found their entries read ahead or on their way.
    pub ahead_hits: u64,
    /// Reads of a sequential reader that had to ask the disk themselves.
    pub ahead_misses: u64,
    /// Chunks read ahead that were dropped before their last entry was read.
    pub ahead_dropped: u64,
    /// Memory that holds what has been read from disk and is kept.
    pub ahead_bytes: u64,
    /// The newest batch whose durability a later batch on disk vouches for: damage up to here is always noticed.
    pub vouched: BatchSeq,
}
