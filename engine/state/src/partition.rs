//! A partition: which offsets its records have, who wrote them, how far they are committed.
//!
//! It has two halves. What is committed stands in the state itself. What is appended and not known to be committed lies
//! before it as a list of entries ([`overlay`]), and counts only where something new gets its place: committing takes
//! entries off the front of the list ([`Partition::apply`]), a new leader that replaces some takes them off the back
//! ([`Partition::cut`]). All replicas that have applied the same entries have the same committed half.

pub(crate) mod overlay;

use crate::codec::{DecodeError, Decoder, put_u64};
use crate::producers::Producers;
pub use crate::producers::{Refusal, Sequenced};
pub use overlay::Clock;
use overlay::{Entry, Overlay, What};
use std::collections::BTreeSet;
use torc_base::ids::{Index, LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use torc_base::time::Wall;

/// First byte of an encoded partition of which all is committed, and of one with entries that are not. In the first, older
/// torcs also wrote records that were not known to be committed; of their one voter all that is on disk is.
const VERSION: u8 = 1;
const VERSION_WITH_PENDING: u8 = 2;

/// A record batch that wants its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Offsets it covers: its last offset delta and 1; at least 1.
    pub records: u32,
    /// How its producer numbered it; `None` without idempotence.
    pub producer: Option<Sequenced>,
    /// Its largest timestamp, milliseconds since 1970; -1 for none.
    pub max_timestamp: i64,
}

/// What is to be done with a batch that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is new: its first record gets `base`. Nothing has changed before [`Partition::append`].
    Append { base: Offset },
    /// It was appended before, at `base..=last`. It is committed if `last` is below the high watermark; its answer
    /// waits for that like the first one did. `max_timestamp` is that of the batch as stored.
    Duplicate { base: Offset, last: Offset, max_timestamp: i64 },
}

/// Start of a leader's term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The term, as Kafka's leader epoch.
    pub epoch: LeaderEpoch,
    /// Offset of the first record that can be of this epoch.
    pub start: Offset,
}

/// What newly committed entries did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Bytes of the record batches that became readable.
    pub bytes: u64,
    /// The log start moved.
    pub trimmed: bool,
}

/// One partition. Invariant: `log_start <= high_watermark <= end`.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    /// First offset that can be read.
    log_start: Offset,
    /// Behind the last committed record: what consumers see ends here.
    high_watermark: Offset,
    /// Of committed terms. Growing in both members; epochs without records leave nothing, except for the newest.
    epochs: Vec<EpochStart>,
    /// `None` while no producer is remembered, which is the rule in idle partitions.
    producers: Option<Box<Producers>>,
    /// What is not committed.
    overlay: Overlay,
}

impl Partition {
    /// A partition without records.
    pub fn new() -> Partition {
        Partition::default()
    }

    /// A partition whose next record will be at `end`, in `epoch` or a later one. Of those from `log_start` on compaction has left
    /// none.
    pub fn starting_at(log_start: Offset, end: Offset, epoch: LeaderEpoch) -> Partition {
        assert!(log_start <= end, "a partition from {log_start} to {end}");
        let epochs = vec![EpochStart { epoch, start: end }];
        Partition { log_start, high_watermark: end, epochs, ..Partition::default() }
    }

    /// First offset that can be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Behind the last committed record.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Behind the last appended record, committed or not (Kafka's LEO).
    pub fn end(&self) -> Offset {
        self.overlay.last().map_or(self.high_watermark, |last| last.end)
    }

    /// The log's end behind entry `index`, if that is none that is applied; of one that is applied, the committed end.
    pub fn end_at(&self, index: Index) -> Offset {
        self.overlay.end_at(index).unwrap_or(self.high_watermark)
    }

    /// The first and the last entry that are not committed.
    pub fn pending(&self) -> Option<(Index, Index)> {
        let mut entries = self.overlay.iter();
        Some((entries.next()?.index, self.overlay.last()?.index))
    }

    /// The uncommitted entry whose commit makes the record at `offset` committed. There must be one.
    pub fn pending_entry(&self, offset: Offset) -> Index {
        self.overlay.entry_of(offset).expect("what is not committed waits for it")
    }

    /// The trim under way that deletes all before `to`, if there is one.
    pub fn pending_trim(&self, to: Offset) -> Option<Index> {
        self.overlay.trim_to(to)
    }

    /// True while a trim is under way.
    pub fn is_trimming(&self) -> bool {
        self.overlay.has_trims()
    }

    /// Producers of which something is committed, and that are remembered.
    pub fn producers(&self) -> usize {
        self.producers.as_ref().map_or(0, |p| p.len())
    }

    /// The offsets of the last records of producers' newest committed batches: compaction leaves something of these.
    pub fn producers_last(&self) -> BTreeSet<Offset> {
        self.producers.iter().flat_map(|producers| producers.newest()).collect()
    }

    /// Says where a batch belongs, or why it is refused. Changes nothing.
    pub fn admit(&self, incoming: &Incoming) -> Result<Admission, Refusal> {
        assert!(incoming.records > 0, "a batch without records");
        if let Some(producer) = incoming.producer {
            let repeated = match &self.producers {
                Some(producers) => producers.check(&self.overlay, producer, incoming.records)?,
                None => Producers::default().check(&self.overlay, producer, incoming.records)?,
            };
            if let Some(batch) = repeated {
                return Ok(Admission::Duplicate {
                    base: batch.base(),
                    last: batch.last,
                    max_timestamp: batch.max_timestamp,
                });
            }
        }
        Ok(Admission::Append { base: self.end() })
    }

    /// Takes a batch of `bytes` bytes in that was admitted at `base` and is entry `index`: the end moves behind it.
    pub fn append(&mut self, index: Index, base: Offset, incoming: &Incoming, bytes: u32) {
        assert_eq!(base, self.end(), "a batch at {base} of a partition that ends at {}", self.end());
        let Incoming { records, producer, max_timestamp } = *incoming;
        assert!(records > 0, "a batch without records");
        let none = Sequenced { id: ProducerId::NONE, epoch: ProducerEpoch(-1), base_sequence: -1 };
        let Sequenced { id, epoch, base_sequence } = producer.unwrap_or(none);
        let what = What::Records { id, epoch, base_sequence, records, bytes, max_timestamp, back: 0 };
        self.push(Entry { index, end: base.plus(i64::from(records)), what });
    }

    /// A leader's term begins with entry `index`.
    pub fn begin_term(&mut self, index: Index, epoch: LeaderEpoch) {
        self.push(Entry { index, end: self.end(), what: What::Epoch(epoch) });
    }

    /// The decision that records before `to` are gone is entry `index`. There are records up to there.
    pub fn append_trim(&mut self, index: Index, to: Offset) {
        assert!(to <= self.end(), "trim to {to} of a partition that ends at {}", self.end());
        self.push(Entry { index, end: self.end(), what: What::Trim(to) });
    }

    /// The leader's clock is entry `index`.
    pub fn append_clock(&mut self, index: Index, clock: Clock) {
        self.push(Entry { index, end: self.end(), what: What::Clock(clock) });
    }

    fn push(&mut self, mut entry: Entry) {
        if let What::Records { id, back, .. } = &mut entry.what
            && *id != ProducerId::NONE
        {
            let number = self.overlay.next_number();
            let before = self.producers.get_or_insert_default().appended(*id, number);
            if before > 0 {
                *back = u32::try_from(number - before).expect("fewer than four billion entries are pending");
            }
        }
        self.overlay.push(entry);
    }

    /// Every entry through `through` is committed.
    pub fn apply(&mut self, through: Index) -> Applied {
        let mut applied = Applied::default();
        while let Some((number, entry)) = self.overlay.pop_through(through) {
            match entry.what {
                What::Records { bytes, .. } => {
                    applied.bytes += u64::from(bytes);
                    if let Some((by, batch)) = entry.producer().zip(entry.remembered()) {
                        let producers = self.producers.as_mut().expect("it had something pending");
                        producers.committed(number, by, batch);
                    }
                    self.high_watermark = entry.end;
                }
                What::Epoch(epoch) => self.begin_epoch(epoch, entry.end),
                What::Trim(to) => applied.trimmed |= self.trim(to),
                What::Clock(clock) => self.advance_clock(clock),
            }
        }
        applied
    }

    /// Entries from `from` on, none of which is committed, were never there: another leader's take their place.
    pub fn cut(&mut self, from: Index) {
        while let Some((before, entry)) = self.overlay.pop_from(from) {
            if let Some(by) = entry.producer() {
                self.producers.as_mut().expect("it had something pending").cut(by.id, before);
            }
        }
        self.producers.take_if(|producers| producers.is_empty());
    }

    /// A leader's term has begun; its first record gets `start`. Terms that wrote nothing are forgotten, and one that is
    /// known is passed over.
    fn begin_epoch(&mut self, epoch: LeaderEpoch, start: Offset) {
        if let Some(last) = self.epochs.last() {
            if epoch <= last.epoch {
                return;
            }
            assert!(start >= last.start, "epoch {epoch} starts at {start}, before {}", last.start);
            if start == last.start {
                self.epochs.pop();
            }
        }
        self.epochs.reserve_exact(1);
        self.epochs.push(EpochStart { epoch, start });
    }

    /// The newest epoch, committed or not; -1 before the first.
    pub fn epoch(&self) -> LeaderEpoch {
        let committed = || self.epochs.last().map_or(LeaderEpoch(-1), |e| e.epoch);
        self.overlay.epochs().next_back().map_or_else(committed, |(epoch, _)| epoch)
    }

    /// The epoch of the record at `offset`; `None` outside the log.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        if offset < self.log_start || offset >= self.end() {
            return None;
        }
        if let Some((epoch, _)) = self.overlay.epochs().rev().find(|(_, start)| *start <= offset) {
            return Some(epoch);
        }
        let after = self.epochs.partition_point(|e| e.start <= offset);
        after.checked_sub(1).map(|at| self.epochs[at].epoch)
    }

    /// The first epoch behind `epoch` and where it starts. One without records shares its start with the next one.
    fn epoch_behind(&self, epoch: LeaderEpoch) -> Option<Offset> {
        let at = self.epochs.partition_point(|e| e.epoch <= epoch);
        let pending = || self.overlay.epochs().find(|(other, _)| *other > epoch).map(|(_, start)| start);
        self.epochs.get(at).map(|next| next.start).or_else(pending)
    }

    /// The newest epoch that is not newer than `epoch` and has records, or may get some.
    fn epoch_floor(&self, epoch: LeaderEpoch) -> Option<LeaderEpoch> {
        let at = self.epochs.partition_point(|e| e.epoch <= epoch);
        // Only the newest of them can be without records.
        let committed = self.epochs[at.saturating_sub(2)..at].iter().map(|e| (e.epoch, e.start));
        let all = committed.chain(self.overlay.epochs().take_while(|(other, _)| *other <= epoch));
        let has_records =
            |(other, start): &(LeaderEpoch, Offset)| self.epoch_behind(*other).is_none_or(|end| end > *start);
        all.filter(has_records).last().map(|(other, _)| other)
    }

    /// Answer to OffsetForLeaderEpoch (KIP-101, KIP-320): the largest epoch up to `requested` and the offset where it
    /// ends. (-1, -1) if `requested` is newer than all that is known, or -1.
    pub fn epoch_end_offset(&self, requested: LeaderEpoch) -> (LeaderEpoch, Offset) {
        const UNKNOWN: (LeaderEpoch, Offset) = (LeaderEpoch(-1), Offset(-1));
        if requested < LeaderEpoch(0) {
            return UNKNOWN;
        }
        if requested == self.epoch() {
            return (requested, self.end());
        }
        match (self.epoch_floor(requested), self.epoch_behind(requested)) {
            (_, None) => UNKNOWN,
            // Its records are gone: whoever asks goes on at the first that are still there.
            (None, Some(start)) => (requested, start),
            (Some(floor), Some(start)) => (floor, start),
        }
    }

    /// Records below `to` are deleted. True if the log start moved. Only committed records are ever deleted.
    fn trim(&mut self, to: Offset) -> bool {
        if to <= self.log_start {
            return false;
        }
        assert!(to <= self.high_watermark, "trim to {to} of a partition that is committed to {}", self.high_watermark);
        self.log_start = to;
        let gone = self.epochs.partition_point(|e| e.start <= to).saturating_sub(1);
        self.epochs.drain(..gone);
        if let Some(first) = self.epochs.first_mut() {
            first.start = first.start.max(to);
        }
        true
    }

    /// What the log is to be told of the time now so that producers which have written nothing for `after_ms`
    /// (`producer.id.expiration.ms`) are forgotten by all replicas; `None` while there is nothing to tell. They are
    /// forgotten between that time and the next telling after it.
    pub fn clock_to_tell(&self, now: Wall, after_ms: i64) -> Option<Clock> {
        let clock = Clock { now, forget: Wall(now.0.saturating_sub(after_ms)) };
        let needs = self.producers.as_ref().is_some_and(|producers| producers.need(clock));
        (needs && !self.overlay.has_clocks()).then_some(clock)
    }

    fn advance_clock(&mut self, clock: Clock) {
        if let Some(producers) = &mut self.producers {
            producers.advance_clock(clock);
        }
        self.producers.take_if(|producers| producers.is_empty());
    }

    /// Appends this partition for a checkpoint: about 10 bytes when it is idle. What is not committed comes behind what is.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let end = self.high_watermark;
        out.push(if self.overlay.is_empty() { VERSION } else { VERSION_WITH_PENDING });
        put_u64(out, self.log_start.0 as u64);
        put_u64(out, (end.0 - self.log_start.0) as u64);
        put_u64(out, 0);
        put_u64(out, self.epochs.len() as u64);
        for epoch in &self.epochs {
            put_u64(out, epoch.epoch.0 as u64);
            put_u64(out, (end.0 - epoch.start.0) as u64);
        }
        match &self.producers {
            Some(producers) => producers.encode(end, out),
            None => put_u64(out, 0),
        }
        if !self.overlay.is_empty() {
            self.overlay.encode(end, out);
        }
    }

    /// Takes a partition off the front of `bytes`.
    pub fn decode(bytes: &mut &[u8]) -> Result<Partition, DecodeError> {
        let mut from = Decoder::new(bytes);
        let version = from.u8("partition's version")?;
        from.check(matches!(version, VERSION | VERSION_WITH_PENDING), "partition's version")?;
        let log_start = from.positive("log start")?;
        let high_watermark = log_start.checked_add(from.positive("high watermark")?);
        let high_watermark = high_watermark.ok_or(from.bad("high watermark"))?;
        let end = high_watermark.checked_add(from.positive("log end")?).ok_or(from.bad("log end"))?;
        let count = from.count(usize::MAX, "number of epochs")?;
        let mut epochs: Vec<EpochStart> = Vec::with_capacity(count);
        for _ in 0..count {
            let epoch = LeaderEpoch(from.u64_max(i32::MAX as u64, "leader epoch")? as i32);
            let back = from.positive("epoch's start")?;
            from.check(back <= end, "epoch's start")?;
            let start = Offset(end - back);
            let grows = epochs.last().is_none_or(|last| last.epoch < epoch && last.start < start);
            from.check(grows, "order of epochs")?;
            epochs.push(EpochStart { epoch, start });
        }
        let (log_start, end) = (Offset(log_start), Offset(end));
        let producers = Producers::decode(end, &mut from)?;
        let producers = (!producers.is_empty()).then(|| Box::new(producers));
        let overlay = Overlay::default();
        let mut partition = Partition { log_start, high_watermark: end, epochs, producers, overlay };
        if version == VERSION_WITH_PENDING {
            let entries = Overlay::decode(end, &mut from)?;
            from.check(!entries.is_empty(), "number of entries")?;
            entries.into_iter().for_each(|entry| partition.push(entry));
        }
        Ok(partition)
    }
}

#[cfg(test)]
#[path = "partition_model_tests.rs"]
mod model_tests;
#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
