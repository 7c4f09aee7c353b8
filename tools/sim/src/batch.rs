//! Record batches as the simulated producers write them, and as the readers take them apart.
//!
//! Written here, not taken from `torc_net`: a checker that shares its codec with what it checks shares its mistakes.
//! Layout: Kafka's record batch, format 2, uncompressed.

use crate::violation::{Rule, Violation};
use torc_base::crc::crc32c;
use torc_base::prng::Prng;

/// Bytes of a batch before its records.
pub const HEADER: usize = 61;
/// Bytes before the part that a batch's CRC covers.
const CRC_FROM: usize = 21;
/// A record's value starts with the batch's number, so that a reader knows whose it is.
const VALUE_MIN: usize = 8;
/// One header, named `n`, of 8 bytes.
const NUMBER_HEADER: [u8; 4] = [1 << 1, 1 << 1, b'n', 8 << 1];

/// What goes into a batch.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The batch's number, unique in the run.
    pub number: u64,
    /// How many records, at least 1.
    pub records: u32,
    /// About how many bytes of values in all.
    pub bytes: usize,
    /// Producer id, epoch and base sequence; -1, -1, -1 without.
    pub producer: (i64, i16, i32),
    /// Milliseconds; records have this and the following.
    pub timestamp: i64,
    /// Records have one of so many keys, and now and then no value; 0: keys mean nothing, and some have none.
    pub keys: u32,
}

/// A batch of what `plan` says; its bytes follow from the plan alone.
pub fn build(plan: &Plan) -> Vec<u8> {
    let mut rng = Prng::new(plan.number ^ 0x6261_7463_6865_7300);
    let mut out = Vec::with_capacity(HEADER + plan.bytes + plan.records as usize * 24);
    let last = plan.records as i32 - 1;
    out.extend(0i64.to_be_bytes()); // base offset
    out.extend(0i32.to_be_bytes()); // length, below
    out.extend((-1i32).to_be_bytes()); // leader epoch
    out.push(2); // magic
    out.extend(0u32.to_be_bytes()); // CRC, below
    out.extend(0i16.to_be_bytes()); // attributes: no codec, CreateTime
    out.extend(last.to_be_bytes());
    out.extend(plan.timestamp.to_be_bytes());
    out.extend((plan.timestamp + i64::from(last)).to_be_bytes());
    out.extend(plan.producer.0.to_be_bytes());
    out.extend(plan.producer.1.to_be_bytes());
    out.extend(plan.producer.2.to_be_bytes());
    out.extend(plan.records.to_be_bytes());
    let each = plan.bytes / plan.records as usize;
    let mut record = Vec::new();
    for n in 0..plan.records {
        record.clear();
        record.push(0); // attributes
        varint(&mut record, i64::from(n)); // timestamp delta
        varint(&mut record, i64::from(n)); // offset delta
        if plan.keys > 0 {
            keyed(&mut record, &mut rng, plan, each);
        } else {
            keyless(&mut record, &mut rng, plan, each);
        }
        varint(&mut out, record.len() as i64);
        out.extend_from_slice(&record);
    }
    let length = (out.len() - 12) as i32;
    out[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&out[CRC_FROM..]);
    out[17..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    out
}

/// A key that means nothing or none, a value that begins with the batch's number, no header.
fn keyless(record: &mut Vec<u8>, rng: &mut Prng, plan: &Plan, each: usize) {
    let key = rng.below(3) as usize * 5;
    if key == 0 {
        varint(record, -1);
    } else {
        fill(record, rng, key);
    }
    varint(record, (each.max(VALUE_MIN)) as i64);
    record.extend(plan.number.to_be_bytes());
    let from = record.len();
    record.resize(from + each.max(VALUE_MIN) - VALUE_MIN, 0);
    rng.fill(&mut record[from..]);
    varint(record, 0);
}

/// One of the plan's keys, a value or none, and a header with the batch's number.
fn keyed(record: &mut Vec<u8>, rng: &mut Prng, plan: &Plan, each: usize) {
    let key = format!("key-{}", rng.below(u64::from(plan.keys)));
    varint(record, key.len() as i64);
    record.extend(key.as_bytes());
    if rng.chance(1, 8) {
        varint(record, -1);
    } else {
        fill(record, rng, each);
    }
    record.extend(NUMBER_HEADER);
    record.extend(plan.number.to_be_bytes());
}

fn fill(out: &mut Vec<u8>, rng: &mut Prng, len: usize) {
    varint(out, len as i64);
    let from = out.len();
    out.resize(from + len, 0);
    rng.fill(&mut out[from..]);
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<i64> {
    let (mut zigzag, mut shift) = (0u64, 0);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

/// A batch that came back.
#[derive(Clone, Copy, Debug)]
pub struct Fetched<'a> {
    /// Offset of its first record.
    pub base: i64,
    /// Offset behind its last record.
    pub end: i64,
    /// Its number.
    pub number: u64,
    /// All of it.
    pub bytes: &'a [u8],
}

impl Fetched<'_> {
    /// True if it is `sent` but for what a broker may write: base offset and leader epoch.
    pub fn is(&self, sent: &[u8]) -> bool {
        self.bytes.len() == sent.len() && self.bytes[8..12] == sent[8..12] && self.bytes[16..] == sent[16..]
    }
}

/// Takes what a fetch returned apart. A last batch that is cut short is left out, as Kafka's clients do.
pub fn split(bytes: &[u8]) -> Result<Vec<Fetched<'_>>, Violation> {
    let numbered = |Whole { base, end, bytes }| match number_of(bytes) {
        Some(number) => Ok(Fetched { base, end, number, bytes }),
        None => Err(wrong(base, "no record that a simulated producer wrote")),
    };
    batches(bytes)?.into_iter().map(numbered).collect()
}

/// A batch, whoever wrote it.
pub struct Whole<'a> {
    /// Offset of its first record.
    pub base: i64,
    /// Offset behind its last record.
    pub end: i64,
    /// All of it, with its header.
    pub bytes: &'a [u8],
}

impl<'a> Whole<'a> {
    /// Its records, if it is not compressed.
    pub fn records(&self) -> Result<Vec<Record<'a>>, Violation> {
        let count = u32::from_be_bytes(self.bytes[57..HEADER].try_into().expect("4 bytes"));
        let time = i64::from_be_bytes(self.bytes[27..35].try_into().expect("8 bytes"));
        let mut rest = &self.bytes[HEADER..];
        let mut next = || record((self.base, time), &mut rest);
        (0..count).map(|_| next().ok_or_else(|| wrong(self.base, "a record that cannot be read"))).collect()
    }
}

/// The batches of what a fetch returned, without one that is cut short.
pub fn batches(mut bytes: &[u8]) -> Result<Vec<Whole<'_>>, Violation> {
    let mut all = Vec::new();
    while bytes.len() >= 12 {
        let base = i64::from_be_bytes(bytes[..8].try_into().expect("8 bytes"));
        let length = i32::from_be_bytes(bytes[8..12].try_into().expect("4 bytes"));
        let total = 12 + usize::try_from(length).map_err(|_| wrong(base, "a negative length"))?;
        if bytes.len() < total {
            break;
        }
        let (batch, rest) = bytes.split_at(total);
        bytes = rest;
        if total < HEADER || batch[16] != 2 {
            return Err(wrong(base, "no batch of format 2"));
        }
        let crc = u32::from_be_bytes(batch[17..21].try_into().expect("4 bytes"));
        if crc != crc32c(&batch[CRC_FROM..]) {
            return Err(wrong(base, "a wrong CRC"));
        }
        let last = i32::from_be_bytes(batch[23..27].try_into().expect("4 bytes"));
        all.push(Whole { base, end: base + i64::from(last) + 1, bytes: batch });
    }
    Ok(all)
}

/// A record that came back.
pub struct Record<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
    /// Its headers.
    pub tail: &'a [u8],
}

impl Record<'_> {
    /// The number of its batch, if a simulated producer wrote it with a key.
    pub fn number(&self) -> Option<u64> {
        let number = self.tail.strip_prefix(&NUMBER_HEADER)?;
        Some(u64::from_be_bytes(number.try_into().ok()?))
    }
}

/// The records of what a fetch returned, of uncompressed batches, and the offset behind them if there are any.
pub fn records(bytes: &[u8]) -> Result<(Vec<Record<'_>>, Option<i64>), Violation> {
    let (mut all, mut behind) = (Vec::new(), None);
    for batch in batches(bytes)? {
        all.extend(batch.records()?);
        behind = Some(batch.end);
    }
    Ok((all, behind))
}

/// The record that `rest` begins with; its offset and timestamp count from `base`.
fn record<'a>(base: (i64, i64), rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let length = usize::try_from(read_varint(rest)?).ok()?;
    let (mut record, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    record = record.get(1..)?;
    let timestamp = base.1 + read_varint(&mut record)?;
    let offset = base.0 + read_varint(&mut record)?;
    let mut field = || -> Option<Option<&'a [u8]>> {
        let Ok(length) = usize::try_from(read_varint(&mut record)?) else { return Some(None) };
        let (field, behind) = record.split_at_checked(length)?;
        record = behind;
        Some(Some(field))
    };
    let (key, value) = (field()?, field()?);
    Some(Record { offset, key, value, timestamp, tail: record })
}

fn wrong(base: i64, what: &str) -> Violation {
    Violation::new(Rule::BytesAreTrue, format!("the batch served at offset {base} has {what}"))
}

/// The number in the first record's value.
fn number_of(batch: &[u8]) -> Option<u64> {
    let value = record((0, 0), &mut &batch[HEADER..])?.value?;
    Some(u64::from_be_bytes(value.get(..8)?.try_into().ok()?))
}
