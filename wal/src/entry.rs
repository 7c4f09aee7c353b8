//! What goes into the log and what comes out of it.

use torc_base::buf::Buf;
use torc_base::ids::{GroupId, Index, Offset, SegmentId, Term};

/// What an entry is, to its group. The log only carries it, but for [`Kind::ANEW`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// Of a marker: here the group's log begins anew, and what stands in front of it is none of it. To be appended behind
    /// [`crate::Wal::restart_group`], or when a group that was dropped is made again: recovery, which has neither from anywhere
    /// else, forgets what it has found of the group, down to where its entries began.
    pub const ANEW: Kind = Kind(10);
}

/// What is to be appended.
#[derive(Debug)]
pub struct Entry {
    /// The log it belongs to.
    pub group: GroupId,
    /// What it is, to its group.
    pub kind: Kind,
    /// Raft's term.
    pub term: Term,
    /// Its position in the group's log. At or below the group's last index it replaces the suffix from there on.
    /// 0: a marker. It is durable and recovered like any entry, but no part of the group's log: it cannot be read, and
    /// is dead as soon as a checkpoint says what it said.
    pub index: Index,
    /// First of the record offsets that it covers.
    pub first_offset: Offset,
    /// How many offsets it covers, from `first_offset`; 0: none.
    pub records: u32,
    /// Largest timestamp of its records in milliseconds since 1970. Negative: none; which number is the group's matter, and
    /// of several the largest counts.
    pub max_timestamp: i64,
    /// `prefix_len` bytes of prefix, then the body.
    pub bytes: Buf,
    /// Bytes at the front that are not covered by `body_crc`; the log computes a checksum of its own over them.
    pub prefix_len: u8,
    /// CRC32C of `bytes[prefix_len..]`, known to the caller: the log does not run over the body when it writes.
    pub body_crc: u32,
    /// True: written from the pages where it lies, without a copy. False: copied into the batch.
    pub gather: bool,
}

/// What readers and recovery get: an entry whose bytes have been checked against their checksums, or never left memory.
#[derive(Clone, Debug)]
pub struct Item {
    /// The log it belongs to.
    pub group: GroupId,
    /// What it is, to its group.
    pub kind: Kind,
    /// Raft's term.
    pub term: Term,
    /// Its position in the group's log.
    pub index: Index,
    /// First of the record offsets that it covers.
    pub first_offset: Offset,
    /// How many offsets it covers; 0: none.
    pub records: u32,
    /// Largest timestamp of its records in milliseconds since 1970. Negative: none; which number is the group's matter, and
    /// of several the largest counts.
    pub max_timestamp: i64,
    /// Length of the prefix in `bytes`.
    pub prefix_len: u8,
    /// CRC32C of the body.
    pub body_crc: u32,
    /// Prefix and body.
    pub bytes: Buf,
}

impl Item {
    /// The offset behind the last covered one.
    pub fn end_offset(&self) -> Offset {
        self.first_offset.plus(i64::from(self.records))
    }
}

/// The entries of one group in one segment: what retention and listings work on. Indexes and offsets may have gaps, where
/// compaction has left entries out; what the run spans was there once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where they lie.
    pub segment: SegmentId,
    /// The first of them.
    pub first_index: Index,
    /// The last of them.
    pub last_index: Index,
    /// First offset of the first entry.
    pub first_offset: Offset,
    /// The offset behind the last one covered.
    pub end_offset: Offset,
    /// Largest timestamp, negative if none has one. Too large (never too small) after a truncation.
    pub max_timestamp: i64,
    /// Payload bytes. An estimate after a truncation.
    pub bytes: u64,
    /// Entries. An estimate after a truncation.
    pub entries: u64,
}

impl Run {
    /// True if it spans offsets: there were records, whether or not some are left.
    pub fn has_records(&self) -> bool {
        self.first_offset < self.end_offset
    }
}
