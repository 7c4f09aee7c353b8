//! The framing of records that come in pieces, wherever the pieces end.

use super::walk::{CUT_SHORT, RECORD_MIN, Wrong, lone_record, unzigzag, whole_record};
use super::{Batch, Invalid};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Length,
    Attributes,
    Timestamp,
    Offset,
    Key,
    Value,
    HeaderCount,
    HeaderKey,
    HeaderValue,
}

/// One whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Its number in the batch, from 0.
    pub(super) index: i32,
    pub(super) offset_delta: i32,
    pub(super) timestamp: i64,
    pub(super) has_key: bool,
}

/// Goes through the records of a batch as their bytes come. It demands what [`Walk`](super::walk::Walk) does.
pub(super) struct Scan {
    base_timestamp: i64,
    records: i32,
    /// Whole records so far.
    done: i32,
    field: Field,
    /// Bytes left of the record.
    left: u64,
    /// Bytes of key, value or header that are passed over.
    skip: u64,
    /// The front of a varint: its bits, and how many bytes they took.
    bits: u64,
    bytes: u32,
    headers: u32,
    timestamp: i64,
    offset_delta: i32,
    has_key: bool,
}

impl Scan {
    pub(super) fn new(batch: &Batch) -> Scan {
        Scan {
            base_timestamp: batch.base_timestamp,
            records: batch.records,
            done: 0,
            field: Field::Length,
            left: 0,
            skip: 0,
            bits: 0,
            bytes: 0,
            headers: 0,
            timestamp: 0,
            offset_delta: 0,
            has_key: false,
        }
    }

    /// Records that were whole so far.
    pub(super) fn done(&self) -> i32 {
        self.done
    }

    /// Takes a piece in, and gives each record to `each` whose last byte is in it, until that returns false.
    pub(super) fn feed(&mut self, piece: &[u8], mut each: impl FnMut(Scanned) -> bool) -> Result<bool, Invalid> {
        let mut rest = piece;
        loop {
            match self.advance(&mut rest) {
                Ok(Some(record)) => {
                    if !each(record) {
                        return Ok(false);
                    }
                }
                Ok(None) => return Ok(true),
                Err(wrong) => return Err(wrong.of(self.done)),
            }
        }
    }

    /// All pieces have come.
    pub(super) fn finish(&self) -> Result<(), Invalid> {
        if self.done == self.records { Ok(()) } else { Err(Invalid::Record { index: self.done, what: CUT_SHORT }) }
    }

    /// Goes on to the end of a record; `None`: the piece is used up.
    fn advance(&mut self, rest: &mut &[u8]) -> Result<Option<Scanned>, Wrong> {
        loop {
            if self.skip > 0 {
                let n = self.skip.min(rest.len() as u64);
                *rest = &rest[n as usize..];
                self.skip -= n;
                if self.skip > 0 {
                    return Ok(None);
                }
            }
            if self.field == Field::HeaderKey && self.headers == 0 {
                return self.end().map(Some);
            }
            if self.field == Field::Length && self.bytes == 0 {
                if self.done == self.records {
                    return if rest.is_empty() {
                        Ok(None)
                    } else {
                        Err("bytes are left behind the last record".into())
                    };
                }
                // Most records lie in one piece, and are taken at once.
                if let Some(end) = whole_record(rest) {
                    let (record, behind) = rest.split_at(end);
                    let (offset_delta, timestamp, has_key) = lone_record(record, self.base_timestamp)?;
                    *rest = behind;
                    self.done += 1;
                    return Ok(Some(Scanned { index: self.done - 1, offset_delta, timestamp, has_key }));
                }
            }
            if self.field == Field::Attributes {
                // None are defined.
                let Some((_, behind)) = rest.split_first() else { return Ok(None) };
                *rest = behind;
                self.left -= 1;
                self.field = Field::Timestamp;
            }
            let most = if self.field == Field::Timestamp { 10 } else { 5 };
            let Some(zigzag) = self.varint(rest, most)? else { return Ok(None) };
            self.take(zigzag)?;
        }
    }

    fn end(&mut self) -> Result<Scanned, Wrong> {
        if self.left > 0 {
            return Err("its length is not that of its fields".into());
        }
        self.field = Field::Length;
        self.done += 1;
        let Scan { offset_delta, timestamp, has_key, .. } = *self;
        Ok(Scanned { index: self.done - 1, offset_delta, timestamp, has_key })
    }

    /// Takes the number in that the field is.
    fn take(&mut self, zigzag: u64) -> Result<(), Wrong> {
        let number = unzigzag(u64::from(zigzag as u32)) as i32;
        self.field = match self.field {
            Field::Length => {
                self.left = u64::try_from(number).map_err(|_| "its length is negative")?;
                if self.left < RECORD_MIN {
                    return Err("its length is less than that of the shortest record".into());
                }
                Field::Attributes
            }
            Field::Attributes => unreachable!("they are no number"),
            Field::Timestamp => {
                let timestamp = self.base_timestamp.checked_add(unzigzag(zigzag));
                self.timestamp = timestamp.ok_or(Wrong::Timestamp)?;
                Field::Offset
            }
            Field::Offset => {
                self.offset_delta = number;
                Field::Key
            }
            Field::Key => {
                self.has_key = number >= 0;
                self.pass(number)?;
                Field::Value
            }
            Field::Value => {
                self.pass(number)?;
                Field::HeaderCount
            }
            Field::HeaderCount => {
                self.headers = u32::try_from(number).map_err(|_| "its number of headers is negative")?;
                Field::HeaderKey
            }
            Field::HeaderKey => {
                if number < 0 {
                    return Err("a header's key is null".into());
                }
                self.pass(number)?;
                Field::HeaderValue
            }
            Field::HeaderValue => {
                self.pass(number)?;
                self.headers -= 1;
                Field::HeaderKey
            }
        };
        Ok(())
    }

    /// A length of bytes that follow, which must end before the record does. Any negative one is null, as for Kafka.
    fn pass(&mut self, length: i32) -> Result<(), Wrong> {
        let Ok(length) = u64::try_from(length) else { return Ok(()) };
        self.left = self.left.checked_sub(length).ok_or("a field ends behind the record's end")?;
        self.skip = length;
        Ok(())
    }

    /// The next varint, of at most `most` bytes; `None`: the piece ends inside it.
    #[inline]
    fn varint(&mut self, rest: &mut &[u8], most: u32) -> Result<Option<u64>, Wrong> {
        loop {
            let Some((&byte, behind)) = rest.split_first() else { return Ok(None) };
            *rest = behind;
            if self.field != Field::Length {
                self.left = self.left.checked_sub(1).ok_or("a field ends behind the record's end")?;
            }
            self.bits |= u64::from(byte & 0x7f) << (7 * self.bytes);
            self.bytes += 1;
            if byte < 0x80 {
                self.bytes = 0;
                return Ok(Some(std::mem::take(&mut self.bits)));
            }
            if self.bytes == most {
                return Err("a varint is too long".into());
            }
        }
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
