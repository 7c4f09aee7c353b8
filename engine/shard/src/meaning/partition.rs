//! A partition's log: the partition as its committed entries make it, and what is appended and not known to be committed.

use super::{kind, put_list};
use crate::batch;
use std::collections::VecDeque;
use torc_base::ids::{Index, LeaderEpoch, Offset};
use torc_base::time::Wall;
use torc_state::partition::{Admission, Incoming, Partition, Refusal};
use torc_wal::Item;

/// An entry that moves the high watermark when it is committed.
#[derive(Clone, Copy, Debug)]
struct Pending {
    index: Index,
    /// The offset behind it.
    end: Offset,
    /// Of its record batch.
    bytes: u32,
}

/// A partition and its log's uncommitted end.
pub struct PartitionLog {
    state: Partition,
    /// In the order of the log.
    pending: VecDeque<Pending>,
    /// Log starts to take effect when their entry is committed; both members grow.
    trims: VecDeque<(Index, Offset)>,
    committed_bytes: u64,
}

impl PartitionLog {
    /// Without records.
    pub fn new() -> PartitionLog {
        PartitionLog::of(Partition::new())
    }

    fn of(state: Partition) -> PartitionLog {
        PartitionLog { state, pending: VecDeque::new(), trims: VecDeque::new(), committed_bytes: 0 }
    }

    /// Offsets, marks and epochs.
    pub fn state(&self) -> &Partition {
        &self.state
    }

    /// Bytes of record batches that were committed since the start.
    pub fn committed_bytes(&self) -> u64 {
        self.committed_bytes
    }

    /// Says where a batch belongs, or why it is refused.
    pub fn admit(&self, incoming: &Incoming) -> Result<Admission, Refusal> {
        self.state.admit(incoming)
    }

    /// A batch of `bytes` bytes that was admitted at `base` is entry `index`.
    pub fn append(&mut self, now: Wall, index: Index, base: Offset, incoming: &Incoming, bytes: u32) {
        self.state.append(now, base, incoming);
        self.pending.push_back(Pending { index, end: self.state.end(), bytes });
    }

    /// The decision that records before `to` are gone is entry `index`.
    pub fn append_trim(&mut self, index: Index, to: Offset) {
        self.trims.push_back((index, to));
    }

    /// A term begins with the no-op at `index`.
    pub fn begin_term(&mut self, epoch: LeaderEpoch, index: Index) {
        let end = self.state.end();
        self.state.begin_epoch(epoch, end);
        self.pending.push_back(Pending { index, end, bytes: 0 });
    }

    /// The uncommitted entry whose commit makes the record at `offset` committed. There must be one.
    pub fn pending_entry(&self, offset: Offset) -> Index {
        let entry = self.pending.iter().find(|pending| pending.end > offset);
        entry.expect("what is not committed waits for it").index
    }

    /// The trim under way that deletes all before `to`, if there is one.
    pub fn pending_trim(&self, to: Offset) -> Option<Index> {
        let at = self.trims.partition_point(|(_, pending)| *pending < to);
        self.trims.get(at).map(|(index, _)| *index)
    }

    /// True while a trim is under way.
    pub fn is_trimming(&self) -> bool {
        !self.trims.is_empty()
    }

    /// Forgets producers that have written nothing for `after_ms`.
    pub fn expire_producers(&mut self, now: Wall, after_ms: i64) {
        self.state.expire_producers(now, after_ms);
    }

    /// See [`super::Meaning::replay`].
    pub fn replay(&mut self, now: Wall, item: &Item) -> Result<(), String> {
        let epoch = crate::group::epoch_of(item.term);
        match item.kind {
            kind::RECORDS => {
                let header = batch::header(&item.bytes).map_err(|invalid| invalid.to_string())?;
                let incoming = Incoming { records: item.records, ..batch::incoming(&header) };
                if item.first_offset > self.state.end() {
                    return Err(format!("records {} follow the end {}", item.first_offset, self.state.end()));
                }
                self.state.replay(now, epoch, item.first_offset, &incoming);
            }
            kind::NOOP => {
                let end = self.state.end();
                self.state.begin_epoch(epoch, end);
            }
            kind::TRIM => {
                let to = item.bytes[..].try_into().map_err(|_| "a trim of the wrong length")?;
                self.trims.push_back((item.index, Offset(i64::from_le_bytes(to))));
            }
            other => return Err(format!("an entry of kind {} does not belong into a partition's log", other.0)),
        }
        Ok(())
    }

    /// See [`super::Meaning::replayed`]: one mark stands for all that was found.
    pub fn replayed(&mut self, last: Index) {
        self.pending.push_back(Pending { index: last, end: self.state.end(), bytes: 0 });
    }

    /// See [`super::Meaning::apply`]. True if the log start moved.
    pub fn apply(&mut self, through: Index) -> bool {
        while let Some(&Pending { index, end, bytes }) = self.pending.front()
            && index <= through
        {
            self.pending.pop_front();
            self.committed_bytes += u64::from(bytes);
            self.state.committed(end);
        }
        let mut trimmed = false;
        while let Some(&(index, to)) = self.trims.front()
            && index <= through
        {
            self.trims.pop_front();
            self.state.trim(to);
            trimmed = true;
        }
        trimmed
    }

    /// See [`super::Meaning::encode`].
    pub(super) fn encode(&self, tag: u8, out: &mut Vec<u8>) {
        put_list(out, self.trims.iter().map(|(index, to)| [index.get(), to.get() as u64]));
        out.push(tag);
        self.state.encode(out);
    }

    /// See [`super::Meaning::decode`].
    pub(super) fn decode(trims: Vec<[u64; 2]>, bytes: &mut &[u8]) -> Result<PartitionLog, String> {
        let state = Partition::decode(bytes).map_err(|error| error.to_string())?;
        let trims = trims.into_iter().map(|[index, to]| (Index(index), Offset(to as i64))).collect();
        Ok(PartitionLog { trims, ..PartitionLog::of(state) })
    }
}
