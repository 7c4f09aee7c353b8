//! What a batch of a client must be before it may enter the log.

use super::batch::{AT_MAGIC, Batch, CLIENT_BITS, Codec, HEADER, TimestampType, set_max_timestamp, verify};
use super::walk::{SliceSource, Walk};
use super::{Invalid, parse};

/// Checks a client's batch, which must fill `bytes` exactly, as Apache Kafka does: sizes, format, CRC, attributes,
/// counts, and the framing of the records unless they are compressed. One pass over the bytes for the CRC, one over the
/// records' lengths.
///
/// Like Apache Kafka it corrects a wrong max timestamp of an uncompressed batch (and so the CRC), since retention and
/// lookups by time go by it; of a compressed batch it is believed.
pub fn check(bytes: &mut [u8]) -> Result<Batch, Invalid> {
    old_formats(bytes)?;
    let batch = verify(bytes)?;
    let codec = batch.codec()?;
    if batch.attributes & !CLIENT_BITS != 0 {
        return Err(Invalid::Attributes(batch.attributes));
    }
    if batch.is_control() {
        return Err(Invalid::Control);
    }
    if batch.timestamp_type() == TimestampType::LogAppendTime {
        return Err(Invalid::LogAppendTime);
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
    if codec != Codec::None {
        return Ok(batch);
    }
    let max_timestamp = check_records(&batch, &bytes[HEADER..])?;
    if max_timestamp != batch.max_timestamp {
        set_max_timestamp(bytes, max_timestamp);
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

/// Walks all records; returns their largest timestamp.
fn check_records(batch: &Batch, body: &[u8]) -> Result<i64, Invalid> {
    let mut walk = Walk::new(SliceSource::new(body), batch);
    let mut max_timestamp = i64::MIN;
    while let Some(record) = walk.next()? {
        if record.offset_delta != record.index {
            return Err(Invalid::Record { index: record.index, what: "its offset is not the next one" });
        }
        max_timestamp = max_timestamp.max(record.timestamp);
    }
    Ok(max_timestamp)
}
