//! Compaction of one batch: its records are gone through, some are left out, and what is left is a batch with the same
//! offsets, in steps of bounded cost.
//!
//! As in Kafka, base offset and last offset, producer, epoch and base sequence stay what they were, records keep their
//! offsets, the codec stays, and the max timestamp is that of the records that are left. A batch whose tombstones have to
//! stay for a while gets the time of their end as its base timestamp (KIP-534).

use super::batch::{Batch, Codec, HEADER, parse, write};
use super::build::Deflate;
use super::inflate::{Inflate, Spares};
use super::opening::{NO_TIMESTAMP, invalid};
use super::walk::{CUT_SHORT as CUT, Wrong, lone_framed, record_bytes, shifted};
use super::{Invalid, TimestampType};
use torc_base::limits::COMPACTION_BATCH_BYTES_MAX;

/// What a record costs beside its bytes, in bytes that could be decompressed meanwhile.
const RECORD_COST: usize = 32;
/// How much more a byte costs that is compressed than one that is decompressed, about.
const DEFLATE_COST: usize = 4;
/// Bytes that are compressed at once.
const DEFLATE_STEP: usize = 16 << 10;

/// One record, as far as compaction goes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed<'a> {
    pub offset: i64,
    /// `None` for null.
    pub key: Option<&'a [u8]>,
    /// False of a tombstone.
    pub has_value: bool,
}

/// What is left of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// All of it: it stays as it is.
    All,
    /// No record. [`emptied`] makes a batch of it, if one is wanted.
    Nothing,
    /// This batch.
    Some(Vec<u8>),
    /// It holds more than is ever taken apart, or what is left of it compresses to more than the log takes: it stays as it is,
    /// with records that might go.
    TooLarge,
}

/// A batch that is being gone through. Every step must get the same bytes.
pub struct Sift {
    batch: Batch,
    codec: Codec,
    /// What its tombstones get, if some are left.
    horizon: Option<i64>,
    bytes_max: usize,
    state: State,
    /// Records gone through, and their bytes.
    done: i32,
    bytes: usize,
    /// The front of a record that lies in several pieces.
    part: Vec<u8>,
    /// Records that are left, how many they are, their largest timestamp.
    kept: Vec<u8>,
    records: i32,
    max_timestamp: i64,
    tombstones: bool,
}

enum State {
    /// Uncompressed, gone through up to here.
    Plain(usize),
    Compressed(Inflate),
    /// Those that are left are being compressed, so far up to here.
    Packing(Box<Deflate>, usize),
    /// All stays.
    Whole,
}

impl Sift {
    /// Begins with the batch that fills `bytes`. `horizon`: the time of the end of tombstones that are left, if the batch
    /// has none yet that is `settled`: set by compaction and not by a client. `bytes_max`: the longest batch that may come of it.
    pub fn new(
        bytes: &[u8],
        horizon: Option<i64>,
        settled: bool,
        bytes_max: usize,
        spares: &mut Spares,
    ) -> Result<Sift, Invalid> {
        let batch = parse(bytes)?;
        if batch.length != bytes.len() {
            return Err(Invalid::NotOneBatch { declared: batch.length, bytes: bytes.len() });
        }
        let codec = batch.codec()?;
        let state = match codec {
            _ if batch.is_control() => State::Whole,
            Codec::None => State::Plain(HEADER),
            _ => State::Compressed(Inflate::new(codec, &bytes[HEADER..], spares).map_err(|bad| invalid(codec, bad))?),
        };
        let horizon = horizon.filter(|_| !settled || batch.delete_horizon().is_none());
        let (part, kept, max_timestamp) = (Vec::new(), Vec::new(), NO_TIMESTAMP);
        Ok(Sift {
            batch,
            codec,
            horizon,
            bytes_max,
            state,
            done: 0,
            bytes: 0,
            part,
            kept,
            records: 0,
            max_timestamp,
            tombstones: false,
        })
    }

    /// Goes on until all is done or about `budget` bytes have been looked at, which is left with what is over. Each record
    /// is given to `keep` once, in order. `None`: there is more to do.
    pub fn step(
        &mut self,
        bytes: &[u8],
        budget: &mut usize,
        mut keep: impl FnMut(Keyed<'_>) -> bool,
    ) -> Result<Option<Left>, Invalid> {
        while *budget > 0 {
            match std::mem::replace(&mut self.state, State::Whole) {
                State::Whole => return Ok(Some(Left::All)),
                State::Plain(at) => match record_bytes(&bytes[at..]) {
                    Ok(None) if at == bytes.len() => {
                        if let Some(left) = self.end()? {
                            return Ok(Some(left));
                        }
                    }
                    Ok(Some(length)) if length <= bytes.len() - at => {
                        *budget = budget.saturating_sub(length / 2 + RECORD_COST);
                        self.state = State::Plain(at + length);
                        if !self.take(&bytes[at..at + length], &mut keep)? {
                            return Ok(Some(Left::TooLarge));
                        }
                    }
                    other => return Err(other.err().unwrap_or_else(|| CUT.into()).of(self.done)),
                },
                State::Compressed(mut inflate) => {
                    let piece = inflate.next(&bytes[HEADER..]).map_err(|bad| invalid(self.codec, bad))?;
                    let Some((piece, cost)) = piece else {
                        if !self.part.is_empty() {
                            return Err(Wrong::from(CUT).of(self.done));
                        }
                        if let Some(left) = self.end()? {
                            return Ok(Some(left));
                        }
                        continue;
                    };
                    let before = self.done;
                    let fits = self.feed(piece, &mut keep)?;
                    let records = (self.done - before) as usize;
                    *budget = budget.saturating_sub(cost + records * RECORD_COST);
                    self.state = State::Compressed(inflate);
                    if !fits {
                        return Ok(Some(Left::TooLarge));
                    }
                }
                State::Packing(deflate, at) => {
                    if let Some(left) = self.pack(deflate, at, budget)? {
                        return Ok(Some(left));
                    }
                }
            }
        }
        Ok(None)
    }

    /// When the batch's tombstones end, as its header says.
    pub fn delete_horizon(&self) -> Option<i64> {
        self.batch.delete_horizon()
    }

    /// Gives back what the next batch can use.
    pub fn end_with(self, spares: &mut Spares) {
        if let State::Compressed(inflate) = self.state {
            inflate.end(spares);
        }
    }

    /// Takes the records of a piece. False: they are too many bytes.
    fn feed(&mut self, mut piece: &[u8], keep: &mut impl FnMut(Keyed<'_>) -> bool) -> Result<bool, Invalid> {
        while !piece.is_empty() {
            if self.part.is_empty()
                && let Some(length) = record_bytes(piece).map_err(|wrong| wrong.of(self.done))?
                && length <= piece.len()
            {
                let (record, behind) = piece.split_at(length);
                piece = behind;
                if !self.take(record, keep)? {
                    return Ok(false);
                }
                continue;
            }
            let wanted = record_bytes(&self.part).map_err(|wrong| wrong.of(self.done))?;
            if wanted.is_some_and(|wanted| wanted > COMPACTION_BATCH_BYTES_MAX) {
                return Ok(false);
            }
            // Of the length itself byte after byte.
            let more = wanted.map_or(1, |wanted| wanted - self.part.len()).min(piece.len());
            let (now, later) = piece.split_at(more);
            self.part.extend_from_slice(now);
            piece = later;
            if record_bytes(&self.part).map_err(|wrong| wrong.of(self.done))? == Some(self.part.len()) {
                let record = std::mem::take(&mut self.part);
                let fits = self.take(&record, keep)?;
                self.part = record;
                self.part.clear();
                if !fits {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Takes one record. False: the records are too many bytes.
    fn take(&mut self, bytes: &[u8], keep: &mut impl FnMut(Keyed<'_>) -> bool) -> Result<bool, Invalid> {
        let index = self.done;
        if index == self.batch.records {
            return Err(Wrong::from("bytes are left behind the last record").of(index));
        }
        // A batch that is too large is so always, whatever is left of it: who has left it as it is knows that by then.
        self.bytes += bytes.len();
        if self.codec != Codec::None && self.bytes > COMPACTION_BATCH_BYTES_MAX {
            return Ok(false);
        }
        let record = lone_framed(bytes, self.batch.base_timestamp).map_err(|wrong| wrong.of(index))?;
        self.done += 1;
        let key = record.key.map(|range| &bytes[range.start as usize..range.end as usize]);
        let offset = self.batch.base_offset.wrapping_add(i64::from(record.offset_delta));
        let has_value = record.value.is_some();
        if !keep(Keyed { offset, key, has_value }) {
            return Ok(true);
        }
        self.kept.extend_from_slice(bytes);
        self.records += 1;
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.tombstones |= !has_value;
        Ok(true)
    }

    /// All records have been gone through.
    fn end(&mut self) -> Result<Option<Left>, Invalid> {
        if self.done != self.batch.records {
            return Err(Wrong::from(CUT).of(self.done));
        }
        let marks = self.tombstones && self.horizon.is_some();
        Ok(match self.records {
            0 if self.batch.records > 0 => Some(Left::Nothing),
            records if records == self.batch.records && !marks => Some(Left::All),
            _ => {
                let out = vec![0; HEADER];
                self.state = State::Packing(Box::new(Deflate::new(self.codec, out)), 0);
                None
            }
        })
    }

    /// Compresses more of what is left, from `at` on.
    fn pack(&mut self, mut deflate: Box<Deflate>, mut at: usize, budget: &mut usize) -> Result<Option<Left>, Invalid> {
        let mut batch = match self.horizon.filter(|_| self.tombstones) {
            Some(horizon) => self.batch.with_delete_horizon(horizon),
            None => self.batch,
        };
        let shift = match self.batch.timestamp_type() {
            TimestampType::CreateTime => self.batch.base_timestamp.checked_sub(batch.base_timestamp),
            // The differences mean nothing.
            TimestampType::LogAppendTime => Some(0),
        };
        let shift = shift.ok_or(Invalid::Timestamp { index: 0 })?;
        let mut scratch = Vec::new();
        while at < self.kept.len() && *budget > 0 {
            let rest = &self.kept[at..];
            let step = if shift == 0 {
                let step = rest.len().min(DEFLATE_STEP);
                deflate.put(&rest[..step]);
                step
            } else {
                let length = record_bytes(rest).ok().flatten().expect("a record that was taken");
                scratch.clear();
                shifted(&rest[..length], shift, &mut scratch).map_err(|wrong| wrong.of(0))?;
                deflate.put(&scratch);
                length
            };
            let cost = if self.codec == Codec::None { step / 2 } else { step * DEFLATE_COST };
            *budget = budget.saturating_sub(cost + RECORD_COST);
            at += step;
        }
        if at < self.kept.len() {
            self.state = State::Packing(deflate, at);
            return Ok(None);
        }
        let mut bytes = deflate.finish();
        if bytes.len() > self.bytes_max {
            return Ok(Some(Left::TooLarge));
        }
        (batch.length, batch.records) = (bytes.len(), self.records);
        if batch.timestamp_type() == TimestampType::CreateTime {
            batch.max_timestamp = self.max_timestamp;
        }
        write(&mut bytes, &batch);
        Ok(Some(Left::Some(bytes)))
    }
}

/// The batch in `bytes` without its records: it stands for its offsets and its producer's last sequence.
pub fn emptied(bytes: &[u8]) -> Result<Vec<u8>, Invalid> {
    let batch = parse(bytes)?.emptied();
    let mut out = vec![0; HEADER];
    write(&mut out, &batch);
    Ok(out)
}

#[cfg(test)]
#[path = "compact_tests.rs"]
mod tests;
