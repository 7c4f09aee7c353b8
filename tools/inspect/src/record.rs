//! From the bytes of an entry to the one record in it.

use serde::Serialize;
use torc_net::kafka::records::{self, Codec};

/// A Kafka record batch as an entry holds it.
#[derive(Clone, Debug, Serialize)]
pub struct RecordBatchReport {
    pub base_offset: i64,
    pub last_offset: i64,
    pub records: i32,
    pub codec: String,
    pub leader_epoch: i32,
    pub max_timestamp: i64,
    /// -1: none.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub crc: String,
    /// Why it is no sound batch.
    pub problem: Option<String>,
}

/// One record.
#[derive(Clone, Debug, Serialize)]
pub struct RecordReport {
    pub offset: i64,
    pub timestamp: i64,
    /// Position and length in the batch; none if that is compressed.
    pub place: Option<(usize, usize)>,
    pub key_bytes: Option<usize>,
    pub value_bytes: Option<usize>,
    pub headers: usize,
    /// The first bytes, with what cannot be printed escaped.
    pub key: Option<String>,
    pub value: Option<String>,
}

/// What the bytes of an entry are as a record batch; an error says why they are none.
pub fn batch(bytes: &[u8]) -> Result<RecordBatchReport, String> {
    let batch = records::parse(bytes).map_err(|invalid| invalid.to_string())?;
    let codec = batch.codec().map_or_else(|invalid| invalid.to_string(), |codec| format!("{codec:?}").to_lowercase());
    Ok(RecordBatchReport {
        base_offset: batch.base_offset,
        last_offset: batch.last_offset(),
        records: batch.records,
        codec,
        leader_epoch: batch.leader_epoch,
        max_timestamp: batch.max_timestamp,
        producer_id: batch.producer_id,
        producer_epoch: batch.producer_epoch,
        base_sequence: batch.base_sequence,
        crc: format!("{:08x}", batch.crc),
        problem: records::verify(bytes).err().map(|invalid| invalid.to_string()),
    })
}

/// The record with this offset; `None` if the batch has none, as a compacted one may.
pub fn find(bytes: &[u8], offset: i64) -> Result<Option<RecordReport>, String> {
    let batch = records::parse(bytes).map_err(|invalid| invalid.to_string())?;
    let all = records::read(bytes).map_err(|invalid| invalid.to_string())?;
    let Some(number) = all.iter().position(|record| record.offset == offset) else { return Ok(None) };
    let record = &all[number];
    let place = (batch.codec() == Ok(Codec::None)).then(|| place(bytes, number)).flatten();
    Ok(Some(RecordReport {
        offset,
        timestamp: record.timestamp,
        place,
        key_bytes: record.key.as_ref().map(Vec::len),
        value_bytes: record.value.as_ref().map(Vec::len),
        headers: record.headers.len(),
        key: record.key.as_deref().map(preview),
        value: record.value.as_deref().map(preview),
    }))
}

/// Position and length of record `number` of an uncompressed batch, its length prefix included.
fn place(bytes: &[u8], number: usize) -> Option<(usize, usize)> {
    let mut at = records::HEADER;
    for left in (0..=number).rev() {
        let (length, prefix) = varint(bytes.get(at..)?)?;
        let end = at.checked_add(prefix)?.checked_add(usize::try_from(length).ok()?)?;
        if left == 0 {
            return (end <= bytes.len()).then_some((at, end - at));
        }
        at = end;
    }
    None
}

/// A zigzag varint and its bytes.
fn varint(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value = 0u64;
    for (n, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some(((value >> 1) as i64 ^ -((value & 1) as i64), n + 1));
        }
    }
    None
}

fn preview(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    let more = if bytes.len() > SHOWN { "..." } else { "" };
    format!("{}{more}", bytes[..bytes.len().min(SHOWN)].escape_ascii())
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
