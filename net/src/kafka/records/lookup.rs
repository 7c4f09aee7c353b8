//! Reading what lies inside a batch, compressed or not, from beginning to end: for clients, tools and tests.

use super::batch::{Batch, Codec, HEADER, TimestampType, parse};
use super::inflate::Spares;
use super::opening::{Learned, Opening, Question};
use super::walk::{Framed, Walk, headers};
use super::{Invalid, opening};
use torc_base::ids::Offset;

/// The first record of the batch in `bytes` from offset `from` on whose timestamp is `timestamp` or later: its offset
/// and timestamp. What the batch header says about time is not used, but for LogAppendTime.
pub fn first_at_or_after(bytes: &[u8], timestamp: i64, from: Offset) -> Result<Option<(i64, i64)>, Invalid> {
    look_up(bytes, Question::FirstAt { timestamp, from })
}

/// The first record with the largest timestamp of those in the batch in `bytes` from offset `from` on: its offset and
/// timestamp. `None` if there are none.
pub fn max_timestamp_offset(bytes: &[u8], from: Offset) -> Result<Option<(i64, i64)>, Invalid> {
    look_up(bytes, Question::Largest { from })
}

fn look_up(bytes: &[u8], question: Question) -> Result<Option<(i64, i64)>, Invalid> {
    let mut opening = Opening::new(bytes, question, &mut Spares::default())?;
    match opening.step(bytes, &mut usize::MAX.clone())?.expect("no budget ends it") {
        Learned::Record(record) => Ok(record),
        Learned::MaxTimestamp(_) => unreachable!("that was not the question"),
    }
}

/// A record with memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedRecord {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// All records of the batch in `bytes`. For clients (the simulator, the command line, tests): allocates per record.
pub fn read(bytes: &[u8]) -> Result<Vec<OwnedRecord>, Invalid> {
    let batch = parse(bytes)?;
    if batch.length != bytes.len() {
        return Err(Invalid::NotOneBatch { declared: batch.length, bytes: bytes.len() });
    }
    let codec = batch.codec()?;
    let mut inflated = Vec::new();
    let body = match codec {
        Codec::None => &bytes[HEADER..],
        _ => {
            opening::inflate_all(codec, &bytes[HEADER..], &mut inflated)?;
            &inflated[..]
        }
    };
    let copy = |range: std::ops::Range<u64>| body[range.start as usize..range.end as usize].to_vec();
    let log_append_time = batch.timestamp_type() == TimestampType::LogAppendTime;
    let mut walk = Walk::new(body, &batch);
    let mut records = Vec::new();
    while let Some(record) = walk.next()? {
        let headers = headers(body, &record);
        records.push(OwnedRecord {
            offset: offset(&batch, &record),
            timestamp: if log_append_time { batch.max_timestamp } else { record.timestamp },
            key: record.key.clone().map(copy),
            value: record.value.clone().map(copy),
            headers: headers.into_iter().map(|(key, value)| (copy(key), value.map(copy))).collect(),
        });
    }
    Ok(records)
}

fn offset(batch: &Batch, record: &Framed) -> i64 {
    batch.base_offset.wrapping_add(i64::from(record.offset_delta))
}
