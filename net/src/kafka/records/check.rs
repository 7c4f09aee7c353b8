//! What a batch of a client must be before it may enter the log.

use super::batch::{AT_MAGIC, Batch, Codec, HEADER, TimestampType, set_create_time, verify};
use super::inflate::Spares;
use super::opening::{Learned, NO_TIMESTAMP, Opening, Question};
use super::walk::Walk;
use super::{Invalid, parse};
use std::ops::RangeInclusive;

/// The times that a topic takes; any record may have none (-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Times {
    /// Those of the producer, if they lie in here (`message.timestamp.before.max.ms`, `after.max.ms`).
    Create(RangeInclusive<i64>),
    /// The broker stamps batches itself (LogAppendTime): any, since they do not count.
    Append,
}

impl Times {
    /// A topic with CreateTime that takes everything.
    pub const ALL: Times = Times::Create(i64::MIN..=i64::MAX);
}

/// What a topic demands of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demands {
    pub times: Times,
    /// Each has a key: the topic is compacted.
    pub keyed: bool,
}

impl From<Times> for Demands {
    fn from(times: Times) -> Demands {
        Demands { times, keyed: false }
    }
}

/// A client's batch on its way into the log: header and CRC are sound, its records are still compressed.
pub struct Check {
    batch: Batch,
    times: Times,
    opening: Opening,
}

/// How far a check has come.
pub enum Checked {
    /// It is as Apache Kafka would take it; this is its header.
    Sound(Batch),
    /// Its records are compressed and have yet to be looked at, see [`Check::step`].
    Compressed(Box<Check>),
}

/// Begins to check a client's batch, which must fill `bytes` exactly, as Apache Kafka does: sizes, format, CRC, attributes,
/// counts, and of each record the framing, offset and timestamp. One pass over the bytes for the CRC, one over the
/// records' lengths; both are over for an uncompressed batch when this returns.
///
/// The max timestamp is computed, as retention and lookups by time go by it. One that was wrong is corrected, and the
/// CRC with it; a batch that is as it should be is not changed. Bits of the attributes without a meaning are left.
pub fn begin(bytes: &mut [u8], demands: impl Into<Demands>, spares: &mut Spares) -> Result<Checked, Invalid> {
    let Demands { times, keyed } = demands.into();
    let batch = header(bytes, &times)?;
    if batch.codec()? == Codec::None {
        let max_timestamp = check_records(&batch, &of_records(&batch, &times), keyed, &bytes[HEADER..])?;
        return settle(bytes, batch, &times, max_timestamp).map(Checked::Sound);
    }
    let opening = Opening::new(bytes, Question::Sound { times: of_records(&batch, &times), keyed }, spares)?;
    Ok(Checked::Compressed(Box::new(Check { batch, times, opening })))
}

/// The same from beginning to end, however long it takes.
pub fn check(bytes: &mut [u8], demands: impl Into<Demands>, spares: &mut Spares) -> Result<Batch, Invalid> {
    match begin(bytes, demands, spares)? {
        Checked::Sound(batch) => Ok(batch),
        Checked::Compressed(mut check) => {
            let result = check.step(bytes, &mut usize::MAX.clone());
            check.end(spares);
            result.map(|batch| batch.expect("no budget ends it"))
        }
    }
}

impl Check {
    /// Looks at more of the records, at the cost of about `budget` decompressed bytes; what is over is left in it. `None`:
    /// there is more to do. `bytes` must be those that the check began with.
    pub fn step(&mut self, bytes: &mut [u8], budget: &mut usize) -> Result<Option<Batch>, Invalid> {
        match self.opening.step(bytes, budget)? {
            None => Ok(None),
            Some(Learned::MaxTimestamp(max_timestamp)) => {
                settle(bytes, self.batch, &self.times, max_timestamp).map(Some)
            }
            Some(Learned::Record(_)) => unreachable!("that was not the question"),
        }
    }

    /// Bytes of memory that it holds, besides the batch.
    pub fn memory(&self) -> usize {
        self.opening.memory()
    }

    /// Gives back what the next batch can use.
    pub fn end(self, spares: &mut Spares) {
        self.opening.end(spares);
    }
}

/// Checks all but the records.
fn header(bytes: &[u8], times: &Times) -> Result<Batch, Invalid> {
    old_formats(bytes)?;
    let batch = verify(bytes)?;
    batch.codec()?;
    if batch.is_control() {
        return Err(Invalid::Control);
    }
    if batch.timestamp_type() == TimestampType::LogAppendTime {
        // Kafka takes the batch of a relay that sends on what it has fetched, if the one time of its records would do.
        match times {
            Times::Create(times) if batch.max_timestamp != NO_TIMESTAMP && times.contains(&batch.max_timestamp) => {}
            Times::Create(_) | Times::Append => return Err(Invalid::LogAppendTime),
        }
    }
    if batch.base_offset != 0 {
        return Err(Invalid::BaseOffset(batch.base_offset));
    }
    let (records, last_offset_delta) = (batch.records, batch.last_offset_delta);
    if records <= 0 || last_offset_delta != records - 1 {
        return Err(Invalid::Count { records, last_offset_delta });
    }
    if batch.producer_id >= 0 && batch.base_sequence < 0 {
        return Err(Invalid::Sequence(batch.base_sequence));
    }
    Ok(batch)
}

/// The times that the batch's records may have. What counts is what a reader of the batch as it came would see.
fn of_records(batch: &Batch, times: &Times) -> RangeInclusive<i64> {
    match times {
        Times::Create(times) if batch.timestamp_type() == TimestampType::CreateTime => times.clone(),
        Times::Create(_) | Times::Append => i64::MIN..=i64::MAX,
    }
}

/// The records are sound. Makes the max timestamp what it should be: that of the records as they will be read, so that
/// look-ups by time find what it promises, but not one that the topic would not have taken.
fn settle(bytes: &mut [u8], batch: Batch, times: &Times, of_records: i64) -> Result<Batch, Invalid> {
    // A batch that will be stamped gets its checksum then.
    let Times::Create(times) = times else { return Ok(batch) };
    let max_timestamp = of_records.min(*times.end()).max(NO_TIMESTAMP);
    if batch.timestamp_type() == TimestampType::LogAppendTime || max_timestamp != batch.max_timestamp {
        set_create_time(bytes, max_timestamp);
        return parse(bytes);
    }
    Ok(batch)
}

/// Batches of format 0 and 1 get their own refusal, whatever else is wrong with them.
fn old_formats(bytes: &[u8]) -> Result<(), Invalid> {
    match bytes.get(AT_MAGIC).map(|magic| *magic as i8) {
        Some(magic @ 0..=1) => Err(Invalid::Magic(magic)),
        _ => Ok(()),
    }
}

/// Walks all records of an uncompressed batch; returns their largest timestamp, -1 at least.
fn check_records(batch: &Batch, times: &RangeInclusive<i64>, keyed: bool, body: &[u8]) -> Result<i64, Invalid> {
    let mut walk = Walk::new(body, batch);
    let mut max_timestamp = NO_TIMESTAMP;
    while let Some(record) = walk.next()? {
        if record.offset_delta != record.index {
            return Err(Invalid::Record { index: record.index, what: "its offset is not the next one" });
        }
        if keyed && record.key.is_none() {
            return Err(Invalid::NoKey { index: record.index });
        }
        if record.timestamp != NO_TIMESTAMP && !times.contains(&record.timestamp) {
            return Err(Invalid::Timestamp { index: record.index });
        }
        max_timestamp = max_timestamp.max(record.timestamp);
    }
    Ok(max_timestamp)
}
