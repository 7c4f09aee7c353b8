//! The log of one shard.

use crate::entry::{Entry, Run};
use crate::error::WalError;
use crate::outcome::{Find, From, Outcome, Read, State, Stats};
use crate::settings::Settings;
use torc_base::ids::{BatchSeq, GroupId, Index, Offset, Tag};
use torc_base::io::{DiskDone, DiskOp};
use torc_base::time::{Mono, Now};

/// The write-ahead log of one shard. Signatures first; the bodies follow in the next commits.
pub struct Wal {
    settings: Settings,
    seed: u64,
}

#[allow(unused_variables, clippy::ptr_arg)]
impl Wal {
    pub fn new(settings: Settings, seed: u64) -> Wal {
        settings.check();
        Wal { settings, seed }
    }
    pub fn open(&mut self, now: Now, checkpoint: Option<&[u8]>, ops: &mut Vec<DiskOp>) -> Result<(), WalError> {
        Err(WalError::Closed(format!("not built, seed {}", self.seed)))
    }
    pub fn on_disk(&mut self, now: Now, done: DiskDone, ops: &mut Vec<DiskOp>, out: &mut Vec<Outcome>) {}
    pub fn owns(&self, tag: Tag) -> bool {
        tag.0 >> 56 == 0x57
    }
    pub fn append(&mut self, entry: Entry) -> BatchSeq {
        BatchSeq(0)
    }
    pub fn turn(&mut self, now: Now, ops: &mut Vec<DiskOp>, out: &mut Vec<Outcome>) {}
    pub fn deadline(&self) -> Option<Mono> {
        None
    }
    pub fn flushing(&self) -> bool {
        false
    }
    pub fn durable(&self) -> BatchSeq {
        BatchSeq(0)
    }
    pub fn state(&self) -> State {
        State::Recovering
    }
    pub fn admits(&self, bytes: usize) -> bool {
        bytes <= self.settings.entry_bytes_max()
    }
    pub fn read(&mut self, group: GroupId, from: From, upto: Index, max_bytes: usize, ops: &mut Vec<DiskOp>) -> Read {
        Read::Ready(Vec::new())
    }
    pub fn first_index(&self, group: GroupId) -> Option<Index> {
        None
    }
    pub fn last_index(&self, group: GroupId) -> Option<Index> {
        None
    }
    pub fn end_offset(&self, group: GroupId) -> Option<Offset> {
        None
    }
    pub fn release(&mut self, group: GroupId, below: Index) {}
    pub fn drop_group(&mut self, group: GroupId) {}
    pub fn group_bytes(&self, group: GroupId) -> u64 {
        0
    }
    pub fn runs(&self, group: GroupId) -> &[Run] {
        &[]
    }
    pub fn find_timestamp(&mut self, group: GroupId, ts: i64, upto: Index, ops: &mut Vec<DiskOp>) -> Find {
        Find::Ready(None)
    }
    pub fn find_max_timestamp(&mut self, group: GroupId, upto: Index, ops: &mut Vec<DiskOp>) -> Find {
        Find::Ready(None)
    }
    pub fn wants_checkpoint(&self) -> bool {
        false
    }
    pub fn begin_checkpoint(&mut self) -> (Vec<u8>, BatchSeq) {
        (Vec::new(), BatchSeq(0))
    }
    pub fn checkpoint_published(&mut self, ops: &mut Vec<DiskOp>) {}
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
