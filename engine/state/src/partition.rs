//! A partition: which offsets its records have, who wrote them, how far they are committed.

use crate::codec::{DecodeError, Decoder, put_u64};
use crate::producers::Producers;
pub use crate::producers::{Refusal, Sequenced};
use std::collections::BTreeSet;
use torc_base::ids::{LeaderEpoch, Offset};
use torc_base::time::Wall;

/// First byte of an encoded partition.
const VERSION: u8 = 1;

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

/// One partition. Invariant: `log_start <= high_watermark <= end`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// First offset that can be read.
    log_start: Offset,
    /// Behind the last committed record: what consumers see ends here.
    high_watermark: Offset,
    /// Behind the last appended record (Kafka's LEO); those from the high watermark on may not be durable.
    end: Offset,
    /// Growing in both members; epochs without records leave nothing, except for the newest.
    epochs: Vec<EpochStart>,
    /// `None` while no producer is remembered, which is the rule in idle partitions.
    producers: Option<Box<Producers>>,
}

impl Partition {
    /// A partition without records.
    pub fn new() -> Partition {
        Partition::default()
    }

    /// First offset that can be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Behind the last committed record.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Behind the last appended record, committed or not.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Producers that are remembered.
    pub fn producers(&self) -> usize {
        self.producers.as_ref().map_or(0, |p| p.len())
    }

    /// The offsets of the last records of producers' newest batches: compaction leaves something of these.
    pub fn producers_last(&self) -> BTreeSet<Offset> {
        self.producers.iter().flat_map(|producers| producers.newest()).collect()
    }

    /// Says where a batch belongs, or why it is refused. Changes nothing.
    pub fn admit(&self, incoming: &Incoming) -> Result<Admission, Refusal> {
        assert!(incoming.records > 0, "a batch without records");
        if let Some(producer) = incoming.producer {
            let repeated = match &self.producers {
                Some(producers) => producers.check(producer, incoming.records)?,
                None => Producers::default().check(producer, incoming.records)?,
            };
            if let Some(batch) = repeated {
                return Ok(Admission::Duplicate {
                    base: batch.base(),
                    last: batch.last,
                    max_timestamp: batch.max_timestamp,
                });
            }
        }
        Ok(Admission::Append { base: self.end })
    }

    /// Takes a batch in that was admitted at `base`: the end moves behind it, its producer is remembered.
    pub fn append(&mut self, now: Wall, base: Offset, incoming: &Incoming) {
        assert_eq!(base, self.end, "a batch at {base} of a partition that ends at {}", self.end);
        assert!(incoming.records > 0, "a batch without records");
        self.end = base.plus(i64::from(incoming.records));
        if let Some(producer) = incoming.producer {
            let producers = self.producers.get_or_insert_default();
            producers.remember(now, producer, base, incoming.records, incoming.max_timestamp);
        }
    }

    /// Takes a batch in that recovery found in the log, written by the leader of `epoch`. One that the state already
    /// holds is passed over: a checkpoint may be newer than the place in the log where replay begins. `now` is the
    /// time of the replay: producers are remembered for their full time after a restart.
    ///
    /// Panics if there is a gap before `base`: the log's entries are adjacent.
    pub fn replay(&mut self, now: Wall, epoch: LeaderEpoch, base: Offset, incoming: &Incoming) {
        if base < self.end {
            let last = base.plus(i64::from(incoming.records) - 1);
            assert!(last < self.end, "a batch at {base}..={last} lies across the end {}", self.end);
            return;
        }
        self.begin_epoch(epoch, base);
        self.append(now, base, incoming);
    }

    /// Every record below `end` is committed. The mark never goes back. True if it moved.
    pub fn committed(&mut self, end: Offset) -> bool {
        assert!(end <= self.end, "committed to {end} of a partition that ends at {}", self.end);
        let moved = end > self.high_watermark;
        if moved {
            self.high_watermark = end;
        }
        moved
    }

    /// A leader's term begins; its first record gets `start`. Terms that wrote nothing are forgotten. An epoch that is
    /// not newer than the newest is passed over: a replay tells of it again.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch, start: Offset) {
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

    /// The newest epoch; -1 before the first.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epochs.last().map_or(LeaderEpoch(-1), |e| e.epoch)
    }

    /// The epoch of the record at `offset`; `None` outside the log.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        if offset < self.log_start || offset >= self.end {
            return None;
        }
        let after = self.epochs.partition_point(|e| e.start <= offset);
        after.checked_sub(1).map(|at| self.epochs[at].epoch)
    }

    /// Answer to OffsetForLeaderEpoch (KIP-101, KIP-320): the largest epoch up to `requested` and the offset where it
    /// ends. (-1, -1) if `requested` is newer than all that is known, or -1.
    pub fn epoch_end_offset(&self, requested: LeaderEpoch) -> (LeaderEpoch, Offset) {
        const UNKNOWN: (LeaderEpoch, Offset) = (LeaderEpoch(-1), Offset(-1));
        if requested < LeaderEpoch(0) {
            return UNKNOWN;
        }
        if requested == self.epoch() {
            return (requested, self.end);
        }
        let higher = self.epochs.partition_point(|e| e.epoch <= requested);
        match (higher.checked_sub(1), self.epochs.get(higher)) {
            (_, None) => UNKNOWN,
            // Its records are gone: whoever asks goes on at the first that are still there.
            (None, Some(next)) => (requested, next.start),
            (Some(floor), Some(next)) => (self.epochs[floor].epoch, next.start),
        }
    }

    /// Records below `to` are deleted. True if the log start moved. Only committed records are ever deleted, so that a
    /// replayed trim says that they are committed; who asks for a new one checks the high watermark first.
    pub fn trim(&mut self, to: Offset) -> bool {
        if to <= self.log_start {
            return false;
        }
        assert!(to <= self.end, "trim to {to} of a partition that ends at {}", self.end);
        self.log_start = to;
        self.high_watermark = self.high_watermark.max(to);
        let gone = self.epochs.partition_point(|e| e.start <= to).saturating_sub(1);
        self.epochs.drain(..gone);
        if let Some(first) = self.epochs.first_mut() {
            first.start = first.start.max(to);
        }
        true
    }

    /// Forgets producers that have written nothing for `after_ms` (`producer.id.expiration.ms`). Returns how many.
    pub fn expire_producers(&mut self, now: Wall, after_ms: i64) -> usize {
        let Some(producers) = &mut self.producers else { return 0 };
        let expired = producers.expire(now, after_ms);
        if producers.is_empty() {
            self.producers = None;
        }
        expired
    }

    /// Appends this partition for a checkpoint: about 10 bytes when it is idle.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_u64(out, self.log_start.0 as u64);
        put_u64(out, (self.high_watermark.0 - self.log_start.0) as u64);
        put_u64(out, (self.end.0 - self.high_watermark.0) as u64);
        put_u64(out, self.epochs.len() as u64);
        for epoch in &self.epochs {
            put_u64(out, epoch.epoch.0 as u64);
            put_u64(out, (self.end.0 - epoch.start.0) as u64);
        }
        match &self.producers {
            Some(producers) => producers.encode(self.end, out),
            None => put_u64(out, 0),
        }
    }

    /// Takes a partition off the front of `bytes`.
    pub fn decode(bytes: &mut &[u8]) -> Result<Partition, DecodeError> {
        let mut from = Decoder::new(bytes);
        let version = from.u8("partition's version")?;
        from.check(version == VERSION, "partition's version")?;
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
        let (log_start, high_watermark, end) = (Offset(log_start), Offset(high_watermark), Offset(end));
        let producers = Producers::decode(end, &mut from)?;
        let producers = (!producers.is_empty()).then(|| Box::new(producers));
        Ok(Partition { log_start, high_watermark, end, epochs, producers })
    }
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
