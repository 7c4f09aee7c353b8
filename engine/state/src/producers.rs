//! What a partition remembers of its idempotent producers, so that a repeated batch is found and a lost one noticed.
//! The rules are those of Kafka's `ProducerStateManager` and `ProducerAppendInfo`.

use crate::codec::{DecodeError, Decoder, put_i64, put_u64};
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

/// The sequence number `n` further on: 31 bits, wrapping.
fn sequence_plus(sequence: i32, n: u32) -> i32 {
    ((sequence as u32).wrapping_add(n) & 0x7fff_ffff) as i32
}

/// One producer's newest batches of its newest epoch, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    epoch: ProducerEpoch,
    /// Batches in use, at least 1.
    len: u8,
    /// When the last of them came.
    seen: Wall,
    batches: [Remembered; PRODUCER_BATCHES],
}

impl Producer {
    fn batches(&self) -> &[Remembered] {
        &self.batches[..usize::from(self.len)]
    }

    fn newest(&self) -> &Remembered {
        self.batches().last().expect("a producer is remembered by a batch")
    }

    fn push(&mut self, batch: Remembered) {
        if usize::from(self.len) == PRODUCER_BATCHES {
            self.batches.copy_within(1.., 0);
            self.len -= 1;
        }
        self.batches[usize::from(self.len)] = batch;
        self.len += 1;
    }
}

/// The producers of one partition. Bounded by [`PRODUCERS_PER_PARTITION_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: BTreeMap<ProducerId, Producer>,
}

impl Producers {
    /// Producers that are remembered.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True if none is remembered.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The offset of the last record of each one's newest batch.
    pub fn newest(&self) -> impl Iterator<Item = Offset> {
        self.by_id.values().map(|producer| producer.newest().last)
    }

    /// The remembered batch that `producer` repeats, `None` if this one is new and in its place.
    ///
    /// A producer that is not remembered may start anywhere: its batches may have been deleted or forgotten.
    pub fn check(&self, producer: Sequenced, records: u32) -> Result<Option<Remembered>, Refusal> {
        assert!(records > 0, "a batch without records has no sequence");
        let Sequenced { id, epoch, base_sequence } = producer;
        if epoch.0 < 0 || base_sequence < 0 {
            return Err(Refusal::InvalidSequence { producer });
        }
        let Some(known) = self.by_id.get(&id) else { return Ok(None) };
        if epoch < known.epoch {
            return Err(Refusal::InvalidProducerEpoch { producer, current: known.epoch });
        }
        let expected = if epoch > known.epoch {
            0
        } else {
            let last_sequence = sequence_plus(base_sequence, records - 1);
            let same = |batch: &&Remembered| batch.last_sequence == last_sequence && batch.records == records;
            if let Some(&batch) = known.batches().iter().find(same) {
                return Ok(Some(batch));
            }
            sequence_plus(known.newest().last_sequence, 1)
        };
        if base_sequence != expected {
            return Err(Refusal::OutOfOrderSequence { producer, expected });
        }
        Ok(None)
    }

    /// Remembers a batch that was given `base` and the offsets behind it.
    pub fn remember(&mut self, now: Wall, producer: Sequenced, base: Offset, records: u32, max_timestamp: i64) {
        assert!(records > 0, "a batch without records has no sequence");
        let last = base.plus(i64::from(records) - 1);
        let last_sequence = sequence_plus(producer.base_sequence, records - 1);
        let batch = Remembered { last, max_timestamp, last_sequence, records };
        if let Some(known) = self.by_id.get_mut(&producer.id)
            && known.epoch == producer.epoch
        {
            known.push(batch);
            known.seen = known.seen.max(now);
            return;
        }
        self.make_room(producer.id);
        let mut batches = [Remembered::default(); PRODUCER_BATCHES];
        batches[0] = batch;
        self.by_id.insert(producer.id, Producer { epoch: producer.epoch, len: 1, seen: now, batches });
    }

    /// Forgets the longest idle, a share of them at once so that the search is paid for, if one more would be too many.
    /// Idleness goes by offsets, so that a replay forgets the same ones.
    fn make_room(&mut self, id: ProducerId) {
        if self.by_id.len() < PRODUCERS_PER_PARTITION_MAX || self.by_id.contains_key(&id) {
            return;
        }
        let mut lasts: Vec<Offset> = self.by_id.values().map(|p| p.newest().last).collect();
        let share = PRODUCERS_PER_PARTITION_MAX / 16;
        let (_, &mut bound, _) = lasts.select_nth_unstable(share);
        self.by_id.retain(|_, p| p.newest().last >= bound);
    }

    /// Forgets all that have written nothing for `after_ms`. Returns how many.
    pub fn expire(&mut self, now: Wall, after_ms: i64) -> usize {
        let before = self.by_id.len();
        self.by_id.retain(|_, p| now.0.saturating_sub(p.seen.0) < after_ms);
        before - self.by_id.len()
    }

    pub(crate) fn encode(&self, end: Offset, out: &mut Vec<u8>) {
        put_u64(out, self.by_id.len() as u64);
        for (id, producer) in &self.by_id {
            put_i64(out, id.0);
            put_u64(out, producer.epoch.0 as u64);
            put_i64(out, producer.seen.0);
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
            let seen = Wall(from.i64("producer's last time")?);
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
            let before = by_id.insert(id, Producer { epoch, len, seen, batches });
            from.check(before.is_none(), "producer id")?;
        }
        Ok(Producers { by_id })
    }
}

#[cfg(test)]
#[path = "producers_tests.rs"]
mod tests;
