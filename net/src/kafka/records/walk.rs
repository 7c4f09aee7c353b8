//! The framing of records inside a batch: varint lengths that must agree with each other and with the batch.

use super::{Batch, Invalid};
use std::ops::Range;

pub(super) const CUT_SHORT: &str = "the batch ends before its records do";

/// Bytes and how far they are read.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, &'static str> {
        let byte = *self.bytes.get(self.at).ok_or(CUT_SHORT)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn skip(&mut self, n: u64) -> Result<(), &'static str> {
        if n > (self.bytes.len() - self.at) as u64 {
            return Err(CUT_SHORT);
        }
        self.at += n as usize;
        Ok(())
    }

    fn position(&self) -> u64 {
        self.at as u64
    }
}

/// What is wrong with a record.
pub(super) enum Wrong {
    Framing(&'static str),
    /// Its timestamp is no number of 64 bits.
    Timestamp,
}

impl From<&'static str> for Wrong {
    fn from(what: &'static str) -> Wrong {
        Wrong::Framing(what)
    }
}

impl Wrong {
    /// The error, for the record with this number.
    pub(super) fn of(self, index: i32) -> Invalid {
        match self {
            Wrong::Framing(what) => Invalid::Record { index, what },
            Wrong::Timestamp => Invalid::Timestamp { index },
        }
    }
}

/// One record of a walk.
#[derive(Clone, Debug)]
pub(super) struct Framed {
    /// Its number in the batch, from 0.
    pub(super) index: i32,
    pub(super) offset_delta: i32,
    pub(super) timestamp: i64,
    /// Where key, value and headers lie in the source; `None` for null.
    pub(super) key: Option<Range<u64>>,
    pub(super) value: Option<Range<u64>>,
    pub(super) headers: Range<u64>,
    pub(super) header_count: u32,
}

/// Goes through the records of a batch, as many as its header claims, and demands that nothing follows them.
pub(super) struct Walk<'a> {
    source: Cursor<'a>,
    base_timestamp: i64,
    records: i32,
    next: i32,
}

/// The least that a record takes behind its length: attributes, two deltas, two lengths, the number of headers.
pub(super) const RECORD_MIN: u64 = 6;

impl<'a> Walk<'a> {
    /// `body`: the records of the batch, uncompressed.
    pub(super) fn new(body: &'a [u8], batch: &Batch) -> Walk<'a> {
        let source = Cursor { bytes: body, at: 0 };
        Walk { source, base_timestamp: batch.base_timestamp, records: batch.records, next: 0 }
    }

    /// The next record; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Framed>, Invalid> {
        let index = self.next;
        let at_end = index >= self.records;
        self.next += i32::from(!at_end);
        let result = if at_end { self.end() } else { record(&mut self.source, self.base_timestamp, index).map(Some) };
        result.map_err(|wrong| wrong.of(index))
    }

    fn end(&mut self) -> Result<Option<Framed>, Wrong> {
        let at_end = self.source.at == self.source.bytes.len();
        if at_end { Ok(None) } else { Err("bytes are left behind the last record".into()) }
    }
}

/// Bytes of the record that `bytes` begin with, if they hold all of it.
#[inline]
pub(super) fn whole_record(bytes: &[u8]) -> Option<usize> {
    let mut source = Cursor { bytes, at: 0 };
    let length = usize::try_from(varint(&mut source).ok()?).ok()?;
    let end = source.at + length;
    (end <= bytes.len()).then_some(end)
}

/// The one record that `bytes` are: offset delta, timestamp, and whether it has a key.
#[inline]
pub(super) fn lone_record(bytes: &[u8], base_timestamp: i64) -> Result<(i32, i64, bool), Wrong> {
    let framed = record(&mut Cursor { bytes, at: 0 }, base_timestamp, 0)?;
    Ok((framed.offset_delta, framed.timestamp, framed.key.is_some()))
}

/// The one record that `bytes` are, with the ranges of its fields in them.
pub(super) fn lone_framed(bytes: &[u8], base_timestamp: i64) -> Result<Framed, Wrong> {
    record(&mut Cursor { bytes, at: 0 }, base_timestamp, 0)
}

/// Bytes of the record that `bytes` begin with, its length included; `None` if they end inside the length.
pub(super) fn record_bytes(bytes: &[u8]) -> Result<Option<usize>, Wrong> {
    let mut source = Cursor { bytes, at: 0 };
    match varint(&mut source) {
        Ok(length) => match usize::try_from(length) {
            Ok(length) => Ok(Some(source.at + length)),
            Err(_) => Err("its length is negative".into()),
        },
        Err(CUT_SHORT) => Ok(None),
        Err(what) => Err(what.into()),
    }
}

/// The same record, with this number added to its timestamp's difference, behind `out`.
pub(super) fn shifted(bytes: &[u8], shift: i64, out: &mut Vec<u8>) -> Result<(), Wrong> {
    let mut source = Cursor { bytes, at: 0 };
    varint(&mut source)?;
    let attributes = source.byte()?;
    let delta = varlong(&mut source)?.checked_add(shift).ok_or(Wrong::Timestamp)?;
    let rest = &bytes[source.at..];
    let mut front = Vec::with_capacity(11);
    front.push(attributes);
    put_varlong(&mut front, delta);
    put_varlong(out, (front.len() + rest.len()) as i64);
    out.extend_from_slice(&front);
    out.extend_from_slice(rest);
    Ok(())
}

/// Appends a zigzag varint; 32-bit ones have the same form.
pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

#[inline]
fn record(source: &mut Cursor, base_timestamp: i64, index: i32) -> Result<Framed, Wrong> {
    let length = u64::try_from(varint(source)?).map_err(|_| "its length is negative")?;
    if length < RECORD_MIN {
        return Err("its length is less than that of the shortest record".into());
    }
    let end = source.position() + length;
    source.skip(1)?; // attributes: none are defined
    let timestamp = base_timestamp.checked_add(varlong(source)?).ok_or(Wrong::Timestamp)?;
    let offset_delta = varint(source)?;
    let key = field(source, end)?;
    let value = field(source, end)?;
    let header_count = u32::try_from(varint(source)?).map_err(|_| "its number of headers is negative")?;
    let start = source.position();
    for _ in 0..header_count {
        field(source, end)?.ok_or("a header's key is null")?;
        field(source, end)?;
    }
    if source.position() != end {
        return Err("its length is not that of its fields".into());
    }
    Ok(Framed { index, offset_delta, timestamp, key, value, headers: start..end, header_count })
}

/// Passes over a length and so many bytes, which must end before `end`. Any negative length is null, as for Kafka.
fn field(source: &mut Cursor, end: u64) -> Result<Option<Range<u64>>, &'static str> {
    let Ok(n) = u64::try_from(varint(source)?) else { return Ok(None) };
    let start = source.position();
    if start + n > end {
        return Err("a field ends behind the record's end");
    }
    source.skip(n)?;
    Ok(Some(start..start + n))
}

/// The ranges of key and value of each header of `record`, whose batch's records are `bytes`.
pub(super) fn headers(bytes: &[u8], record: &Framed) -> Vec<(Range<u64>, Option<Range<u64>>)> {
    let mut source = Cursor { bytes, at: record.headers.start as usize };
    let mut next = || field(&mut source, record.headers.end).expect("the record was walked");
    (0..record.header_count).map(|_| (next().expect("a key is not null"), next())).collect()
}

/// A zigzag varint of at most 32 bits. Most are of one byte.
#[inline]
fn varint(source: &mut Cursor) -> Result<i32, &'static str> {
    let first = source.byte()?;
    let zigzag = if first < 0x80 { u64::from(first) } else { more_bytes(source, first, 5)? };
    Ok(unzigzag(u64::from(zigzag as u32)) as i32)
}

/// A zigzag varint of at most 64 bits.
#[inline]
fn varlong(source: &mut Cursor) -> Result<i64, &'static str> {
    let first = source.byte()?;
    let zigzag = if first < 0x80 { u64::from(first) } else { more_bytes(source, first, 10)? };
    Ok(unzigzag(zigzag))
}

#[inline]
pub(super) fn unzigzag(zigzag: u64) -> i64 {
    (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
}

/// The varint that begins with `first` and has at most `most` bytes. Bits beyond 64 are dropped.
fn more_bytes(source: &mut Cursor, first: u8, most: u32) -> Result<u64, &'static str> {
    let mut value = u64::from(first & 0x7f);
    for n in 1..most {
        let byte = source.byte()?;
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a varint is too long")
}
