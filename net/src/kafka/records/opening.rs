//! Looking at the records of a batch, compressed or not, in steps of bounded cost.

use super::batch::{Batch, Codec, HEADER, parse};
use super::inflate::{Bad, Inflate, Spares};
use super::scan::{Scan, Scanned};
use super::walk::Walk;
use super::{Invalid, TimestampType};
use std::ops::RangeInclusive;
use torc_base::ids::Offset;

/// What a record costs beside its bytes, in bytes that could be decompressed meanwhile.
const RECORD_COST: usize = 16;
/// How much faster bytes are walked than decompressed, about.
const WALK_GAIN: usize = 4;
/// Milliseconds since 1970 that mean "none".
pub(super) const NO_TIMESTAMP: i64 = -1;

/// What is to be learned of a batch's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The largest timestamp (-1 at least, as for Kafka), and that all records are sound, have the offsets 0, 1, 2, ...,
    /// and times within `times` or none; and, if they must be `keyed`, that each has a key.
    Sound { times: RangeInclusive<i64>, keyed: bool },
    /// The first record from offset `from` on whose timestamp is `timestamp` or later.
    FirstAt { timestamp: i64, from: Offset },
    /// The first record with the largest timestamp of those from offset `from` on.
    Largest { from: Offset },
}

/// What was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// To [`Question::Sound`].
    MaxTimestamp(i64),
    /// To the others: offset and timestamp of the record, if there is one.
    Record(Option<(i64, i64)>),
}

/// A batch that is being looked at. Every step must get the same bytes.
pub struct Opening {
    batch: Batch,
    question: Question,
    found: Option<(i64, i64)>,
    max_timestamp: i64,
    /// Of a compressed batch.
    compressed: Option<(Inflate, Scan)>,
}

impl Opening {
    /// Begins with the batch that fills `bytes`, of which the header alone must have been looked at.
    pub fn new(bytes: &[u8], question: Question, spares: &mut Spares) -> Result<Opening, Invalid> {
        let batch = parse(bytes)?;
        if batch.length != bytes.len() {
            return Err(Invalid::NotOneBatch { declared: batch.length, bytes: bytes.len() });
        }
        let codec = batch.codec()?;
        let has_one_time = batch.timestamp_type() == TimestampType::LogAppendTime;
        let compressed = match (codec, &question) {
            (Codec::None, _) => None,
            // The header has the answer.
            (_, Question::FirstAt { .. } | Question::Largest { .. }) if has_one_time => None,
            _ => {
                let inflate = Inflate::new(codec, &bytes[HEADER..], spares).map_err(|bad| invalid(codec, bad))?;
                Some((inflate, Scan::new(&batch)))
            }
        };
        Ok(Opening { batch, question, found: None, max_timestamp: NO_TIMESTAMP, compressed })
    }

    /// Goes on until the answer is known or `budget` bytes have been decompressed, and what is left of a piece or a short block.
    /// What is not compressed is looked at in one step. The budget is left with what is over. `None`: there is more to do.
    pub fn step(&mut self, bytes: &[u8], budget: &mut usize) -> Result<Option<Learned>, Invalid> {
        if self.compressed.is_none() {
            *budget = budget.saturating_sub(bytes.len() / WALK_GAIN);
            return self.at_once(bytes).map(Some);
        }
        let codec = self.batch.codec().expect("looked at before");
        while *budget > 0 {
            let Opening { batch, question, found, max_timestamp, compressed } = self;
            let (inflate, scan) = compressed.as_mut().expect("looked at above");
            let piece = inflate.next(&bytes[HEADER..]).map_err(|bad| invalid(codec, bad))?;
            let Some((piece, cost)) = piece else {
                scan.finish()?;
                return Ok(Some(self.answer()));
            };
            let before = scan.done();
            let mut wrong = None;
            let goes_on = scan.feed(piece, |record| match look(batch, question, record, found, max_timestamp) {
                Ok(goes_on) => goes_on,
                Err(invalid) => {
                    wrong = Some(invalid);
                    false
                }
            })?;
            let records = (scan.done() - before) as usize;
            *budget = budget.saturating_sub(cost + records * RECORD_COST);
            match wrong {
                Some(invalid) => return Err(invalid),
                None if !goes_on => return Ok(Some(self.answer())),
                None => {}
            }
        }
        Ok(None)
    }

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        self.compressed.as_ref().map_or(0, |(inflate, _)| inflate.memory())
    }

    /// Gives back what the next batch can use.
    pub fn end(self, spares: &mut Spares) {
        if let Some((inflate, _)) = self.compressed {
            inflate.end(spares);
        }
    }

    /// Looks at uncompressed records, or at none at all.
    fn at_once(&mut self, bytes: &[u8]) -> Result<Learned, Invalid> {
        let Opening { batch, question, found, max_timestamp, .. } = self;
        let first = |from: Offset| {
            let first = batch.base_offset.max(from.0);
            (first <= batch.last_offset()).then_some((first, batch.max_timestamp))
        };
        if batch.timestamp_type() == TimestampType::LogAppendTime {
            match *question {
                Question::FirstAt { timestamp, from } => {
                    return Ok(Learned::Record(first(from).filter(|_| batch.max_timestamp >= timestamp)));
                }
                Question::Largest { from } => return Ok(Learned::Record(first(from))),
                Question::Sound { .. } => {}
            }
        }
        let mut walk = Walk::new(&bytes[HEADER..], batch);
        while let Some(record) = walk.next()? {
            let (index, offset_delta, timestamp) = (record.index, record.offset_delta, record.timestamp);
            let has_key = record.key.is_some();
            if !look(batch, question, Scanned { index, offset_delta, timestamp, has_key }, found, max_timestamp)? {
                break;
            }
        }
        Ok(self.answer())
    }

    fn answer(&self) -> Learned {
        match self.question {
            Question::Sound { .. } => Learned::MaxTimestamp(self.max_timestamp),
            _ => Learned::Record(self.found),
        }
    }
}

pub(super) fn invalid(codec: Codec, bad: Bad) -> Invalid {
    match bad {
        Bad::Damaged(what) => Invalid::Decompress { codec, what },
        Bad::TooLong => Invalid::Inflated,
    }
}

/// Takes one record in. False: the answer is known.
#[inline]
fn look(
    batch: &Batch,
    question: &Question,
    record: Scanned,
    found: &mut Option<(i64, i64)>,
    max_timestamp: &mut i64,
) -> Result<bool, Invalid> {
    let Scanned { index, offset_delta, timestamp, has_key } = record;
    let offset = batch.base_offset.wrapping_add(i64::from(offset_delta));
    match question {
        Question::Sound { times, keyed } => {
            if *keyed && !has_key {
                return Err(Invalid::NoKey { index });
            }
            if offset_delta != index {
                return Err(Invalid::Record { index, what: "its offset is not the next one" });
            }
            if timestamp != NO_TIMESTAMP && !times.contains(&timestamp) {
                return Err(Invalid::Timestamp { index });
            }
            *max_timestamp = timestamp.max(*max_timestamp);
        }
        Question::FirstAt { timestamp: wanted, from } => {
            if timestamp >= *wanted && offset >= from.0 {
                *found = Some((offset, timestamp));
                return Ok(false);
            }
        }
        Question::Largest { from } => {
            if offset >= from.0 && found.is_none_or(|(_, largest)| timestamp > largest) {
                *found = Some((offset, timestamp));
            }
        }
    }
    Ok(true)
}

/// Decompresses a whole body behind `out`.
pub(super) fn inflate_all(codec: Codec, body: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let mut inflate = Inflate::new(codec, body, &mut Spares::default()).map_err(|bad| invalid(codec, bad))?;
    while let Some((piece, _)) = inflate.next(body).map_err(|bad| invalid(codec, bad))? {
        out.extend_from_slice(piece);
    }
    Ok(())
}
