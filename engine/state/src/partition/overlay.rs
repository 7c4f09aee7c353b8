//! What a partition's log has behind its committed end: entries that another leader's may still replace. Applying takes
//! them off the front, cutting takes them off the back.

use crate::codec::{DecodeError, Decoder, put_i64, put_u64};
use crate::producers::{Remembered, Sequenced};
use std::collections::VecDeque;
use torc_base::ids::{Index, LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use torc_base::time::Wall;

/// Entries beyond which memory that is no longer needed is given back.
const KEPT_ENTRIES: usize = 1024;

/// The leader's clock, as an entry of the log tells it to all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Producers that have written since the entry before of this kind were last seen now.
    pub now: Wall,
    /// Producers that were last seen then, or before, are forgotten.
    pub forget: Wall,
}

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) index: Index,
    /// The log's end behind it.
    pub(crate) end: Offset,
    pub(crate) what: What,
}

/// What an entry does when it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Makes records readable. The producer stands here in its parts, for the sake of size.
    Records {
        /// [`ProducerId::NONE`] without idempotence.
        id: ProducerId,
        epoch: ProducerEpoch,
        base_sequence: i32,
        /// At least 1.
        records: u32,
        /// Of the record batch.
        bytes: u32,
        max_timestamp: i64,
        /// How many entries back the producer's batch before this one stands; 0 if it is committed, or there is none.
        back: u32,
    },
    /// Begins a leader's term.
    Epoch(LeaderEpoch),
    /// Deletes the records before.
    Trim(Offset),
    Clock(Clock),
}

/// The entries, in the order of the log. They are numbered from 1, by their place in all that was ever appended here and
/// not cut off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    entries: VecDeque<Entry>,
    /// The number of the first entry, less 1.
    applied: u64,
    /// Trims among the entries: both members grow.
    trims: VecDeque<(Index, Offset)>,
    /// Clocks among them.
    clocks: u32,
    /// Terms that begin among them.
    epochs: u32,
}

impl Entry {
    /// The producer's numbers of an entry with records, if it has some.
    pub(crate) fn producer(&self) -> Option<Sequenced> {
        match self.what {
            What::Records { id, epoch, base_sequence, .. } if id != ProducerId::NONE => {
                Some(Sequenced { id, epoch, base_sequence })
            }
            _ => None,
        }
    }

    /// What a producer's memory keeps of such an entry.
    pub(crate) fn remembered(&self) -> Option<Remembered> {
        match self.what {
            What::Records { base_sequence, records, max_timestamp, .. } => {
                Some(Remembered::new(Offset(self.end.0 - 1), max_timestamp, base_sequence, records))
            }
            _ => None,
        }
    }
}

impl Overlay {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn last(&self) -> Option<&Entry> {
        self.entries.back()
    }

    /// The number that the next entry gets.
    pub(crate) fn next_number(&self) -> u64 {
        self.applied + self.entries.len() as u64 + 1
    }

    /// The entry of that number, which is one of these.
    pub(crate) fn get(&self, number: u64) -> &Entry {
        &self.entries[(number - self.applied - 1) as usize]
    }

    /// The number of the producer's batch before that of entry `number`; 0 if none is here.
    pub(crate) fn before(&self, number: u64) -> u64 {
        match self.get(number).what {
            What::Records { back, .. } if back > 0 => {
                let before = number - u64::from(back);
                if before > self.applied { before } else { 0 }
            }
            _ => 0,
        }
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        assert!(self.last().is_none_or(|last| last.index <= entry.index && last.end <= entry.end), "{entry:?}");
        match entry.what {
            What::Records { .. } => {}
            What::Epoch(_) => self.epochs += 1,
            What::Trim(to) => self.trims.push_back((entry.index, to)),
            What::Clock(_) => self.clocks += 1,
        }
        self.entries.push_back(entry);
    }

    /// Takes the first entry off if it is committed, that is, not behind `through`.
    pub(crate) fn pop_through(&mut self, through: Index) -> Option<(u64, Entry)> {
        let entry = *self.entries.front().filter(|entry| entry.index <= through)?;
        self.entries.pop_front();
        self.applied += 1;
        self.forget(&entry, VecDeque::pop_front);
        if self.entries.is_empty() && self.entries.capacity() > KEPT_ENTRIES {
            self.entries = VecDeque::new();
        }
        Some((self.applied, entry))
    }

    /// Takes the last entry off if it is not before `from`; with the number of its producer's batch before.
    pub(crate) fn pop_from(&mut self, from: Index) -> Option<(u64, Entry)> {
        let number = self.next_number() - 1;
        let last = self.last().filter(|entry| entry.index >= from)?;
        let (before, entry) = (self.before(number), *last);
        self.entries.pop_back();
        self.forget(&entry, VecDeque::pop_back);
        Some((before, entry))
    }

    fn forget(&mut self, entry: &Entry, pop: impl FnOnce(&mut VecDeque<(Index, Offset)>) -> Option<(Index, Offset)>) {
        match entry.what {
            What::Records { .. } => {}
            What::Epoch(_) => self.epochs -= 1,
            What::Trim(_) => {
                pop(&mut self.trims).expect("as many trims as there are entries of this kind");
            }
            What::Clock(_) => self.clocks -= 1,
        }
    }

    /// Terms that begin here, and where.
    pub(crate) fn epochs(&self) -> impl DoubleEndedIterator<Item = (LeaderEpoch, Offset)> {
        let none = self.epochs == 0;
        let of = |entry: &Entry| match entry.what {
            What::Epoch(epoch) => Some((epoch, entry.end)),
            _ => None,
        };
        self.entries.iter().filter(move |_| !none).filter_map(of)
    }

    /// The first entry behind which the log's end lies behind `offset`.
    pub(crate) fn entry_of(&self, offset: Offset) -> Option<Index> {
        let at = self.entries.partition_point(|entry| entry.end <= offset);
        self.entries.get(at).map(|entry| entry.index)
    }

    /// The log's end behind the last entry that is not behind `index`, if one is here.
    pub(crate) fn end_at(&self, index: Index) -> Option<Offset> {
        let behind = self.entries.partition_point(|entry| entry.index <= index);
        behind.checked_sub(1).map(|at| self.entries[at].end)
    }

    /// The first trim that deletes all before `to`.
    pub(crate) fn trim_to(&self, to: Offset) -> Option<Index> {
        let at = self.trims.partition_point(|(_, pending)| *pending < to);
        self.trims.get(at).map(|(index, _)| *index)
    }

    pub(crate) fn has_trims(&self) -> bool {
        !self.trims.is_empty()
    }

    pub(crate) fn has_clocks(&self) -> bool {
        self.clocks > 0
    }

    /// Appends the entries behind `end` for a checkpoint.
    pub(crate) fn encode(&self, end: Offset, out: &mut Vec<u8>) {
        put_u64(out, self.entries.len() as u64);
        let (mut index, mut end) = (0, end.0);
        for entry in &self.entries {
            put_u64(out, entry.index.0 - index);
            put_u64(out, (entry.end.0 - end) as u64);
            (index, end) = (entry.index.0, entry.end.0);
            match entry.what {
                What::Records { id, epoch, base_sequence, bytes, max_timestamp, .. } => {
                    out.push(if id == ProducerId::NONE { 0 } else { 1 });
                    put_u64(out, u64::from(bytes));
                    put_i64(out, max_timestamp);
                    if id != ProducerId::NONE {
                        put_u64(out, id.0 as u64);
                        put_i64(out, i64::from(epoch.0));
                        put_i64(out, i64::from(base_sequence));
                    }
                }
                What::Epoch(epoch) => {
                    out.push(2);
                    put_u64(out, epoch.0 as u64);
                }
                What::Trim(to) => {
                    out.push(3);
                    put_u64(out, to.0 as u64);
                }
                What::Clock(clock) => {
                    out.push(4);
                    put_i64(out, clock.now.0);
                    put_i64(out, clock.forget.0);
                }
            }
        }
    }

    /// The entries of [`Overlay::encode`], one after the other, to be appended again.
    pub(crate) fn decode(end: Offset, from: &mut Decoder<'_, '_>) -> Result<Vec<Entry>, DecodeError> {
        let count = from.count(usize::MAX, "number of entries")?;
        let mut entries: Vec<Entry> = Vec::with_capacity(count.min(KEPT_ENTRIES));
        let (mut index, mut end) = (0u64, end.0);
        for _ in 0..count {
            index = index.checked_add(from.u64("entry's index")?).ok_or(from.bad("entry's index"))?;
            let more = from.positive("entry's end")?;
            end = end.checked_add(more).ok_or(from.bad("entry's end"))?;
            let tag = from.u8("entry's kind")?;
            from.check(index > 0 && (tag < 2) == (more > 0), "entry's end")?;
            let what = match tag {
                0 | 1 => {
                    let records = u32::try_from(more).map_err(|_| from.bad("entry's records"))?;
                    let bytes = from.u64_max(u64::from(u32::MAX), "entry's bytes")? as u32;
                    let max_timestamp = from.i64("entry's timestamp")?;
                    let (mut id, mut epoch, mut base_sequence) = (ProducerId::NONE, ProducerEpoch(-1), -1);
                    if tag == 1 {
                        id = ProducerId(from.positive("producer id")?);
                        epoch = ProducerEpoch(small(from, "producer epoch")?);
                        base_sequence = small(from, "sequence number")?;
                    }
                    What::Records { id, epoch, base_sequence, records, bytes, max_timestamp, back: 0 }
                }
                2 => What::Epoch(LeaderEpoch(from.u64_max(i32::MAX as u64, "leader epoch")? as i32)),
                3 => {
                    let to = from.positive("trim")?;
                    from.check(to <= end, "trim")?;
                    What::Trim(Offset(to))
                }
                4 => What::Clock(Clock { now: Wall(from.i64("clock")?), forget: Wall(from.i64("clock")?) }),
                _ => return Err(from.bad("entry's kind")),
            };
            entries.push(Entry { index: Index(index), end: Offset(end), what });
        }
        Ok(entries)
    }
}

/// A number that is not negative, in the type that is asked for.
fn small<T: TryFrom<i64>>(from: &mut Decoder<'_, '_>, what: &'static str) -> Result<T, DecodeError> {
    let number = from.i64(what)?;
    from.check(number >= 0, what)?;
    T::try_from(number).map_err(|_| from.bad(what))
}
