//! A partition's log: the partition as its committed entries make it, and what is appended and not known to be committed.

use super::{End, kind, put_list};
use crate::batch;
use torc_base::ids::{Index, LeaderEpoch, Offset};
use torc_base::time::Wall;
use torc_state::partition::{Admission, Clock, Incoming, Partition, Refusal};
use torc_wal::Item;

/// A partition, and how much of it became readable here.
pub struct PartitionLog {
    state: Partition,
    committed_bytes: u64,
    /// The last entries that are holes, first and last.
    holes: Option<(Index, Index)>,
    /// What the last applied entry is, is not known: it stands in a checkpoint.
    is_blind: bool,
}

impl PartitionLog {
    /// Without records.
    pub fn new() -> PartitionLog {
        PartitionLog::of(Partition::new())
    }

    fn of(state: Partition) -> PartitionLog {
        PartitionLog { state, committed_bytes: 0, holes: None, is_blind: false }
    }

    /// What stands in front of the next entry is not known: it may begin behind the end.
    fn blind(state: Partition) -> PartitionLog {
        PartitionLog { is_blind: true, ..PartitionLog::of(state) }
    }

    /// As [`PartitionLog::encode_start`] has it.
    pub fn decode_start(mut bytes: &[u8]) -> Result<PartitionLog, String> {
        let state = Partition::decode(&mut bytes).map_err(|error| error.to_string())?;
        let whole = bytes.is_empty() && state.pending().is_none();
        if whole { Ok(PartitionLog::blind(state)) } else { Err("a state with something behind it".into()) }
    }

    /// The state of a partition of which nothing is known but where it begins, where its records go on, and in which epoch.
    pub fn encode_start(log_start: Offset, end: Offset, epoch: LeaderEpoch) -> Vec<u8> {
        let mut bytes = Vec::new();
        Partition::starting_at(log_start, end, epoch).encode(&mut bytes);
        bytes
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
    pub fn append(&mut self, index: Index, base: Offset, incoming: &Incoming, bytes: u32) {
        self.state.append(index, base, incoming, bytes);
    }

    /// The decision that records before `to` are gone is entry `index`.
    pub fn append_trim(&mut self, index: Index, to: Offset) {
        self.state.append_trim(index, to);
    }

    /// What producers' memory goes by is entry `index`.
    pub fn append_clock(&mut self, index: Index, clock: Clock) {
        self.state.append_clock(index, clock);
    }

    /// A term begins with the no-op at `index`.
    pub fn begin_term(&mut self, epoch: LeaderEpoch, index: Index) {
        self.state.begin_term(index, epoch);
    }

    /// See [`super::Meaning::end_behind`].
    pub fn end_behind(&self, index: Index) -> End {
        let is_hole = self.holes.is_some_and(|(first, last)| first <= index && index <= last);
        let is_applied = self.state.pending().is_none_or(|(first, _)| index < first);
        End { offset: self.state.end_at(index), is_open: is_hole || self.is_blind && is_applied }
    }

    /// See [`super::Meaning::check`].
    pub fn check(item: &Item, end: End) -> Result<(), String> {
        read(item, end).map(|_| ())
    }

    /// Records up to `to`, which are not here, count as part of entry `index`.
    fn skip(&mut self, index: Index, to: Offset) {
        let mut end = self.state.end();
        while end < to {
            let records = u32::try_from(to.get() - end.get()).unwrap_or(u32::MAX);
            self.state.append(index, end, &Incoming { records, producer: None, max_timestamp: -1 }, 0);
            end = self.state.end();
        }
    }

    /// See [`super::Meaning::replay`].
    pub fn replay(&mut self, item: &Item) -> Result<(), String> {
        let (index, epoch) = (item.index, crate::group::epoch_of(item.term));
        let behind = self.end_behind(Index(index.get().saturating_sub(1)));
        let said = read(item, behind)?;
        self.skip(index, behind.in_front_of(item.first_offset));
        let end = self.state.end();
        match said {
            Said::Records(incoming, bytes) => {
                // The log may begin behind the no-op of the term.
                if epoch > self.state.epoch() {
                    self.state.begin_term(index, epoch);
                }
                self.state.append(index, end, &incoming, bytes);
            }
            Said::Term => self.state.begin_term(index, epoch),
            Said::Trim(to) => self.state.append_trim(index, to),
            Said::Clock(clock) => self.state.append_clock(index, clock),
            Said::Members => {}
            Said::Hole => {
                self.skip(index, item.first_offset);
                let follows = self.holes.filter(|(_, last)| last.next() == index);
                self.holes = Some((follows.map_or(index, |(first, _)| first), index));
            }
        }
        Ok(())
    }

    /// See [`super::Meaning::apply`]. True if the log start moved.
    pub fn apply(&mut self, through: Index) -> bool {
        self.is_blind &= self.state.pending().is_none_or(|(first, _)| through < first);
        let applied = self.state.apply(through);
        self.committed_bytes += applied.bytes;
        applied.trimmed
    }

    /// See [`super::Meaning::cut`].
    pub fn cut(&mut self, from: Index) {
        self.state.cut(from);
        let last = Index(from.get().saturating_sub(1));
        self.holes = self.holes.map(|(first, end)| (first, end.min(last))).filter(|(first, end)| first <= end);
    }

    /// See [`super::Meaning::encode`].
    pub(super) fn encode(&self, tag: u8, out: &mut Vec<u8>) {
        put_list(out, [].into_iter());
        out.push(tag);
        self.state.encode(out);
    }

    /// See [`super::Meaning::decode`]. `trims`: of an older torc, which did not know whether they were committed.
    pub(super) fn decode(trims: Vec<[u64; 2]>, bytes: &mut &[u8]) -> Result<PartitionLog, String> {
        let mut state = Partition::decode(bytes).map_err(|error| error.to_string())?;
        for [index, to] in trims {
            let (index, to) = (Index(index), Offset(to as i64));
            if state.pending().is_some() || to > state.end() {
                return Err(format!("its trim to {to} makes no sense"));
            }
            state.append_trim(index, to);
            state.apply(index);
        }
        Ok(PartitionLog::blind(state))
    }
}

/// What an entry says.
enum Said {
    /// The batch, and its bytes.
    Records(Incoming, u32),
    Term,
    Trim(Offset),
    Clock(Clock),
    Members,
    Hole,
}

/// Reads an entry of a log that ends there.
fn read(item: &Item, end: End) -> Result<Said, String> {
    let at = end.in_front_of(item.first_offset);
    Ok(match item.kind {
        kind::RECORDS => {
            let header = batch::header(&item.bytes).map_err(|invalid| invalid.to_string())?;
            if item.first_offset != at || item.records == 0 {
                return Err(format!("{} records at {} follow the end {at}", item.records, item.first_offset));
            }
            let bytes = u32::try_from(item.bytes.len()).map_err(|_| "an entry of over 4 GiB")?;
            Said::Records(Incoming { records: item.records, ..batch::incoming(&header) }, bytes)
        }
        kind::NOOP => Said::Term,
        kind::TRIM => {
            let to = item.bytes[..].try_into().map_err(|_| "a trim of the wrong length")?;
            let to = Offset(i64::from_le_bytes(to));
            if to > at {
                return Err(format!("a trim to {to} follows the end {at}"));
            }
            Said::Trim(to)
        }
        kind::CLOCK => Said::Clock(decode_clock(&item.bytes)?),
        kind::MEMBERS => super::members(item).map(|_| Said::Members)?,
        kind::HOLE => Said::Hole,
        other => return Err(format!("an entry of kind {} does not belong into a partition's log", other.0)),
    })
}

/// The entry's bytes: both times, little endian.
pub fn encode_clock(clock: Clock) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&clock.now.0.to_le_bytes());
    out[8..].copy_from_slice(&clock.forget.0.to_le_bytes());
    out
}

fn decode_clock(bytes: &[u8]) -> Result<Clock, &'static str> {
    let bytes: &[u8; 16] = bytes.try_into().map_err(|_| "a clock of the wrong length")?;
    let half = |at: usize| Wall(i64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes")));
    Ok(Clock { now: half(0), forget: half(8) })
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
