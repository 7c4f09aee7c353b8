//! Record batches as logs handle them: the one door between logs and Kafka's format of records, which is torc's own on the
//! disk, too. Kafka's requests and codes do not come through it.

pub use torc_net::kafka::records::{
    Batch, Invalid, Keyed, Learned, Left, Opening, Question, Record, Sift, Spares, emptied, read,
};

use crate::meaning::kind;
use torc_base::buf::BufMut;
use torc_base::ids::{GroupId, LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use torc_base::time::Wall;
use torc_consensus::Append;
use torc_net::kafka::records::{self, BuildOptions};
use torc_state::partition::{Incoming, Sequenced};
use torc_state::retention::Age;
use torc_wal::{Entry, Item};

/// A batch that wants its place in a log.
#[derive(Debug)]
pub struct NewBatch {
    /// The checked header of `bytes`.
    pub header: Batch,
    pub bytes: BufMut,
    /// Write it from where it was received.
    pub gather: bool,
    /// Its records are to have the time of the append (LogAppendTime).
    pub stamp: bool,
}

impl NewBatch {
    /// What the partition needs to know of it.
    pub fn incoming(&self) -> Incoming {
        incoming(&self.header)
    }

    /// Puts its place into it; the time of the append if it has that, -1 if not.
    pub fn place(&mut self, base: Offset, epoch: LeaderEpoch, now: Wall) -> i64 {
        records::place(&mut self.bytes, base, epoch);
        if !self.stamp {
            return -1;
        }
        self.header.crc = records::stamp(&mut self.bytes, now);
        self.header.max_timestamp = now.0;
        now.0
    }

    /// The entry of `group`'s log whose records begin at `base`.
    pub fn into_entry(self, group: GroupId, append: &Append, base: Offset, now: Wall) -> Entry {
        Entry {
            group,
            kind: kind::RECORDS,
            term: append.term,
            index: append.first,
            first_offset: base,
            records: self.incoming().records,
            max_timestamp: Age::of(self.header.max_timestamp, now).0,
            bytes: self.bytes.freeze(),
            prefix_len: records::CRC_PREFIX as u8,
            body_crc: self.header.crc,
            gather: self.gather,
        }
    }
}

/// What a partition needs to know of a batch whose header has been checked.
pub fn incoming(header: &Batch) -> Incoming {
    let producer = (header.producer_id >= 0).then_some(Sequenced {
        id: ProducerId(header.producer_id),
        epoch: ProducerEpoch(header.producer_epoch),
        base_sequence: header.base_sequence,
    });
    Incoming { records: header.last_offset_delta as u32 + 1, producer, max_timestamp: header.max_timestamp }
}

/// False for an entry with a batch of which compaction has taken or noted something.
pub fn is_as_it_came(item: &Item) -> bool {
    let is_whole = |batch: Batch| batch.records as u32 == item.records && batch.delete_horizon().is_none();
    item.kind != kind::RECORDS || header(&item.bytes).is_ok_and(is_whole)
}

/// The header of a batch of the log.
pub fn header(bytes: &[u8]) -> Result<Batch, Invalid> {
    records::parse(bytes)
}

/// The header of a batch, and what a record in it takes besides its key and value, at most.
const HEADER_BYTES: usize = 61;
pub const RECORD_HEAD_BYTES: usize = 48;

/// Bytes of key and value of one record that fit by themselves into an entry of so many bytes.
pub fn record_bytes_max(entry_bytes: usize) -> usize {
    entry_bytes - HEADER_BYTES - RECORD_HEAD_BYTES
}

/// The batch of records of the server's own, as a client would send it. There must be one at least.
pub fn build(records: &[Record]) -> Vec<u8> {
    records::build(records, &BuildOptions::default())
}
