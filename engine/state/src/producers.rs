//! What a partition remembers of its idempotent producers, so that a repeated batch is found and a lost one noticed.
//! The rules are those of Kafka's `ProducerStateManager` and `ProducerAppendInfo`.

use crate::codec::{DecodeError, Decoder, put_i64, put_u64};
use crate::partition::overlay::{Clock, Overlay};
use std::collections::BTreeMap;
use std::fmt;
use torc_base::ids::{Offset, ProducerEpoch, ProducerId};
use torc_base::limits::{PRODUCER_BATCHES, PRODUCERS_PER_PARTITION_MAX};
use torc_base::time::Wall;

/// How an idempotent producer has numbered a record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequenced {
    /// Who.
    pub id: ProducerId,
    /// Grows when the producer starts anew.
    pub epoch: ProducerEpoch,
    /// Number of the batch's first record; `i32::MAX` is followed by 0.
    pub base_sequence: i32,
}

/// A batch that is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Offset of its last record.
    pub last: Offset,
    /// Its largest timestamp.
    pub max_timestamp: i64,
    last_sequence: i32,
    /// Offsets it covers, at least 1.
    records: u32,
}

impl Remembered {
    /// The batch whose last record is at `last` and whose first one has that sequence number.
    pub(crate) fn new(last: Offset, max_timestamp: i64, base_sequence: i32, records: u32) -> Remembered {
        assert!(records > 0, "a batch without records has no sequence");
        Remembered { last, max_timestamp, last_sequence: sequence_plus(base_sequence, records - 1), records }
    }

    /// Offset of its first record.
    pub fn base(&self) -> Offset {
        Offset(self.last.0 - i64::from(self.records) + 1)
    }
}

/// Why a batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// OUT_OF_ORDER_SEQUENCE_NUMBER (45): a batch before this one is missing, or this one is older than what is
    /// remembered. `expected` is the next sequence number in the producer's current epoch.
    OutOfOrderSequence { producer: Sequenced, expected: i32 },
    /// INVALID_PRODUCER_EPOCH (47): a newer instance of the producer has written.
    InvalidProducerEpoch { producer: Sequenced, current: ProducerEpoch },
    /// INVALID_RECORD (87): a producer id without an epoch or a sequence number.
    InvalidSequence { producer: Sequenced },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::OutOfOrderSequence { producer, expected } => write!(
                f,
                "out of order sequence number {} of producer {} in epoch {}: expected {expected}",
                producer.base_sequence, producer.id, producer.epoch
            ),
            Refusal::InvalidProducerEpoch { producer, current } => {
                write!(f, "epoch {} of producer {} is older than its current {current}", producer.epoch, producer.id)
            }
            Refusal::InvalidSequence { producer } => write!(
                f,
                "producer {} needs an epoch and a sequence number from 0, not {} and {}",
                producer.id, producer.epoch, producer.base_sequence
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// Stands for "not seen at a logged time" in a checkpoint: older torcs take it for a time that never expires.
const UNSEEN: i64 = i64::MAX;

/// The sequence number `n` further on: 31 bits, wrapping.
fn sequence_plus(sequence: i32, n: u32) -> i32 {
    ((sequence as u32).wrapping_add(n) & 0x7fff_ffff) as i32
}

/// What is known of one producer: its newest committed batches, all of one epoch, oldest first, and where its batches among
/// the partition's pending entries are.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    epoch: ProducerEpoch,
    /// Batches in use; 0 if nothing of it is committed, or has been forgotten while something is pending.
    len: u8,
    /// The logged time when the last of them was there; `None`: none has been logged since.
    seen: Option<Wall>,
    batches: [Remembered; PRODUCER_BATCHES],
    /// The number of its newest pending entry, from which the older ones are found; 0: none is pending.
    pending: u64,
}

impl Producer {
    const NEW: Producer = Producer {
        epoch: ProducerEpoch(-1),
        len: 0,
        seen: None,
        batches: [Remembered { last: Offset(0), max_timestamp: 0, last_sequence: 0, records: 0 }; PRODUCER_BATCHES],
        pending: 0,
    };

    fn batches(&self) -> &[Remembered] {
        &self.batches[..usize::from(self.len)]
    }

    fn newest(&self) -> Option<&Remembered> {
        self.batches().last()
    }

    fn push(&mut self, batch: Remembered) {
        if usize::from(self.len) == PRODUCER_BATCHES {
            self.batches.copy_within(1.., 0);
            self.len -= 1;
        }
        self.batches[usize::from(self.len)] = batch;
        self.len += 1;
    }

    /// Its newest epoch, and its newest batches in a row of that one, pending or committed, the newest first.
    fn tip(&self, overlay: &Overlay) -> (ProducerEpoch, [Remembered; PRODUCER_BATCHES], usize) {
        let (mut epoch, mut newest, mut len) = (self.epoch, [Remembered::default(); PRODUCER_BATCHES], 0);
        let mut number = self.pending;
        while number > 0 && len < PRODUCER_BATCHES {
            let entry = overlay.get(number);
            let (by, batch) = entry.producer().zip(entry.remembered()).expect("only batches of producers are linked");
            if len > 0 && by.epoch != epoch {
                return (epoch, newest, len);
            }
            (epoch, newest[len]) = (by.epoch, batch);
            len += 1;
            number = overlay.before(number);
        }
        if epoch == self.epoch {
            for batch in self.batches().iter().rev().take(PRODUCER_BATCHES - len) {
                newest[len] = *batch;
                len += 1;
            }
        }
        (epoch, newest, len)
    }
}

/// The producers of one partition. Bounded by [`PRODUCERS_PER_PARTITION_MAX`], those aside of which something is pending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: BTreeMap<ProducerId, Producer>,
    /// Those of which something is committed.
    known: usize,
}

impl Producers {
    /// Producers that are remembered by what is committed.
    pub fn len(&self) -> usize {
        self.known
    }

    /// True if none is remembered, and nothing of one is pending.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The offset of the last record of each one's newest committed batch.
    pub fn newest(&self) -> impl Iterator<Item = Offset> {
        self.by_id.values().filter_map(|producer| Some(producer.newest()?.last))
    }

    /// The remembered batch that `producer` repeats, `None` if this one is new and in its place.
    ///
    /// A producer that is not remembered may start anywhere: its batches may have been deleted or forgotten.
    pub(crate) fn check(
        &self,
        overlay: &Overlay,
        producer: Sequenced,
        records: u32,
    ) -> Result<Option<Remembered>, Refusal> {
        assert!(records > 0, "a batch without records has no sequence");
        let Sequenced { id, epoch, base_sequence } = producer;
        if epoch.0 < 0 || base_sequence < 0 {
            return Err(Refusal::InvalidSequence { producer });
        }
        let Some(known) = self.by_id.get(&id) else { return Ok(None) };
        let (current, newest, len) = known.tip(overlay);
        if epoch < current {
            return Err(Refusal::InvalidProducerEpoch { producer, current });
        }
        let expected = if epoch > current {
            0
        } else {
            let last_sequence = sequence_plus(base_sequence, records - 1);
            let same = |batch: &Remembered| batch.last_sequence == last_sequence && batch.records == records;
            if let Some(batch) = newest[..len].iter().copied().find(same) {
                return Ok(Some(batch));
            }
            assert!(len > 0, "a producer is remembered by a batch");
            sequence_plus(newest[0].last_sequence, 1)
        };
        if base_sequence != expected {
            return Err(Refusal::OutOfOrderSequence { producer, expected });
        }
        Ok(None)
    }

    /// A batch of the producer is pending entry `number`; the number of the one before it, 0 if none is pending.
    pub(crate) fn appended(&mut self, id: ProducerId, number: u64) -> u64 {
        std::mem::replace(&mut self.by_id.entry(id).or_insert(Producer::NEW).pending, number)
    }

    /// The producer's newest pending entry is gone; `before` is the number of the one before it.
    pub(crate) fn cut(&mut self, id: ProducerId, before: u64) {
        let producer = self.by_id.get_mut(&id).expect("it has something pending");
        producer.pending = before;
        if producer.pending == 0 && producer.len == 0 {
            self.by_id.remove(&id);
        }
    }

    /// The producer's oldest pending entry, `number`, is committed.
    pub(crate) fn committed(&mut self, number: u64, by: Sequenced, batch: Remembered) {
        let is_known = self.by_id.get(&by.id).is_some_and(|known| known.len > 0);
        if !is_known {
            self.make_room();
            self.known += 1;
        }
        let known = self.by_id.get_mut(&by.id).expect("it had something pending");
        if known.epoch != by.epoch {
            (known.epoch, known.len) = (by.epoch, 0);
        }
        known.push(batch);
        known.seen = None;
        if known.pending == number {
            known.pending = 0;
        }
    }

    /// Forgets the longest idle, a share of them at once so that the search is paid for, if one more would be too many.
    /// Idleness goes by offsets, so that all replicas forget the same ones.
    fn make_room(&mut self) {
        if self.known < PRODUCERS_PER_PARTITION_MAX {
            return;
        }
        let mut lasts: Vec<Offset> = self.newest().collect();
        let share = PRODUCERS_PER_PARTITION_MAX / 16;
        let (_, &mut bound, _) = lasts.select_nth_unstable(share);
        self.forget(|producer| producer.newest().is_some_and(|newest| newest.last < bound));
    }

    /// Forgets what is committed of some, and all of those of which nothing is pending then. How many.
    fn forget(&mut self, which: impl Fn(&Producer) -> bool) -> usize {
        let before = self.known;
        let known = &mut self.known;
        self.by_id.retain(|_, producer| {
            if producer.len > 0 && which(producer) {
                producer.len = 0;
                *known -= 1;
            }
            producer.len > 0 || producer.pending > 0
        });
        before - self.known
    }

    /// True if the log is to be told the time, which is `clock`: there are producers to be forgotten, or some that have
    /// written since it was last told.
    pub(crate) fn need(&self, clock: Clock) -> bool {
        let needs = |p: &Producer| p.len > 0 && p.seen.is_none_or(|seen| seen <= clock.forget);
        self.by_id.values().any(needs)
    }

    /// The log tells the time. How many are forgotten.
    pub(crate) fn advance_clock(&mut self, clock: Clock) -> usize {
        let forgotten = self.forget(|producer| producer.seen.is_some_and(|seen| seen <= clock.forget));
        let unseen = self.by_id.values_mut().filter(|producer| producer.len > 0);
        unseen.for_each(|producer| producer.seen = producer.seen.or(Some(clock.now)));
        forgotten
    }

    /// Appends what is committed.
    pub(crate) fn encode(&self, end: Offset, out: &mut Vec<u8>) {
        put_u64(out, self.known as u64);
        for (id, producer) in self.by_id.iter().filter(|(_, producer)| producer.len > 0) {
            put_i64(out, id.0);
            put_u64(out, producer.epoch.0 as u64);
            put_i64(out, producer.seen.map_or(UNSEEN, |seen| seen.0));
            out.push(producer.len);
            for batch in producer.batches() {
                put_u64(out, (end.0 - batch.last.0) as u64);
                put_i64(out, batch.max_timestamp);
                put_u64(out, batch.last_sequence as u64);
                put_u64(out, u64::from(batch.records));
            }
        }
    }

    pub(crate) fn decode(end: Offset, from: &mut Decoder<'_, '_>) -> Result<Producers, DecodeError> {
        let mut by_id = BTreeMap::new();
        for _ in 0..from.count(PRODUCERS_PER_PARTITION_MAX, "number of producers")? {
            let id = ProducerId(from.i64("producer id")?);
            let epoch = ProducerEpoch(from.u64_max(i16::MAX as u64, "producer epoch")? as i16);
            let seen = from.i64("producer's last time")?;
            let seen = (seen != UNSEEN).then_some(Wall(seen));
            let len = from.u8("producer's batches")?;
            from.check((1..=PRODUCER_BATCHES).contains(&usize::from(len)), "producer's batches")?;
            let mut batches = [Remembered::default(); PRODUCER_BATCHES];
            for batch in &mut batches[..usize::from(len)] {
                let back = from.positive("producer's offset")?;
                from.check((1..=end.0).contains(&back), "producer's offset")?;
                batch.last = Offset(end.0 - back);
                batch.max_timestamp = from.i64("producer's timestamp")?;
                batch.last_sequence = from.u64_max(i32::MAX as u64, "sequence number")? as i32;
                batch.records = from.u64_max(u64::from(u32::MAX), "producer's records")? as u32;
                from.check(batch.records > 0 && batch.base() >= Offset(0), "producer's records")?;
            }
            let before = by_id.insert(id, Producer { epoch, len, seen, batches, pending: 0 });
            from.check(before.is_none(), "producer id")?;
        }
        let known = by_id.len();
        Ok(Producers { by_id, known })
    }
}

#[cfg(test)]
#[path = "producers_tests.rs"]
mod tests;
