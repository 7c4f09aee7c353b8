//! The header of a record batch, read and patched in place.

use super::Invalid;
use torc_base::crc::crc32c;
use torc_base::ids::{LeaderEpoch, Offset};
use torc_base::time::Wall;

/// Bytes of a batch's header.
pub const HEADER: usize = 61;
/// Bytes before those that the CRC covers: base offset, length, leader epoch, magic, CRC.
pub const CRC_PREFIX: usize = 21;
/// Bytes of the base offset and length, which the length field does not count.
pub(super) const LENGTH_PREFIX: usize = 12;

const AT_LENGTH: usize = 8;
const AT_LEADER_EPOCH: usize = 12;
pub(super) const AT_MAGIC: usize = 16;
const AT_CRC: usize = 17;
const AT_ATTRIBUTES: usize = 21;
const AT_LAST_OFFSET_DELTA: usize = 23;
const AT_BASE_TIMESTAMP: usize = 27;
const AT_MAX_TIMESTAMP: usize = 35;
const AT_PRODUCER_ID: usize = 43;
const AT_PRODUCER_EPOCH: usize = 51;
const AT_BASE_SEQUENCE: usize = 53;
const AT_RECORDS: usize = 57;

const CODEC_BITS: u16 = 0b111;
const LOG_APPEND_TIME: u16 = 1 << 3;
const TRANSACTIONAL: u16 = 1 << 4;
const CONTROL: u16 = 1 << 5;
/// The base timestamp is the time from which on compaction drops the batch's tombstones (KIP-534).
const DELETE_HORIZON: u16 = 1 << 6;

/// How a batch's records are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

/// What the timestamps of a batch's records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// Each record's is the producer's.
    CreateTime,
    /// All records have the batch's max timestamp: when the batch was appended.
    LogAppendTime,
}

/// The header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    pub base_offset: i64,
    /// Bytes of the whole batch, header and all.
    pub length: usize,
    pub leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: u16,
    /// Last offset less base offset.
    pub last_offset_delta: i32,
    /// Milliseconds since 1970, as are all timestamps of records.
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    /// -1 without idempotence; so are epoch and sequence.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    /// Number of records.
    pub records: i32,
}

impl Batch {
    /// The codec; an error if the number has no meaning.
    pub fn codec(&self) -> Result<Codec, Invalid> {
        Ok(match self.attributes & CODEC_BITS {
            0 => Codec::None,
            1 => Codec::Gzip,
            2 => Codec::Snappy,
            3 => Codec::Lz4,
            4 => Codec::Zstd,
            unknown => return Err(Invalid::Codec(unknown)),
        })
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// When compaction may drop the batch's tombstones, if it has come by them: milliseconds since 1970.
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// The header that says so. Times of records count from it then.
    pub(super) fn with_delete_horizon(self, horizon: i64) -> Batch {
        Batch { attributes: self.attributes | DELETE_HORIZON, base_timestamp: horizon, ..self }
    }

    /// The header of a batch that keeps its offsets, its producer and its sequence, but no record.
    pub(super) fn emptied(self) -> Batch {
        let attributes = self.attributes & !(CODEC_BITS | DELETE_HORIZON);
        Batch { length: HEADER, attributes, base_timestamp: -1, records: 0, ..self }
    }

    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME != 0 { TimestampType::LogAppendTime } else { TimestampType::CreateTime }
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    /// The oldest version of Produce that may carry this batch: clients that speak older ones cannot read zstd.
    pub fn produce_version_min(&self) -> i16 {
        if self.attributes & CODEC_BITS == Codec::Zstd as u16 { 7 } else { 3 }
    }
}

/// What the length of a batch of format 0 says at least.
const OLD_LENGTH_MIN: i32 = 14;

fn at<const N: usize>(bytes: &[u8], position: usize) -> [u8; N] {
    bytes[position..position + N].try_into().expect("N bytes")
}

/// Reads the header of the batch that `bytes` begin with; looks at nothing behind it, and checks no CRC.
pub fn parse(bytes: &[u8]) -> Result<Batch, Invalid> {
    // The magic comes first: batches of format 0 and 1 can be shorter than a header of format 2.
    if bytes.len() <= AT_MAGIC {
        return Err(Invalid::NoBatch { bytes: bytes.len() });
    }
    let magic = bytes[AT_MAGIC] as i8;
    if magic != 2 {
        return Err(Invalid::Magic(magic));
    }
    let declared = i32::from_be_bytes(at(bytes, AT_LENGTH));
    let length = usize::try_from(declared).map_or(0, |n| n + LENGTH_PREFIX);
    if length < HEADER {
        return Err(Invalid::Length { declared });
    }
    if bytes.len() < HEADER {
        return Err(Invalid::NotOneBatch { declared: length, bytes: bytes.len() });
    }
    Ok(Batch {
        base_offset: i64::from_be_bytes(at(bytes, 0)),
        length,
        leader_epoch: i32::from_be_bytes(at(bytes, AT_LEADER_EPOCH)),
        magic,
        crc: u32::from_be_bytes(at(bytes, AT_CRC)),
        attributes: u16::from_be_bytes(at(bytes, AT_ATTRIBUTES)),
        last_offset_delta: i32::from_be_bytes(at(bytes, AT_LAST_OFFSET_DELTA)),
        base_timestamp: i64::from_be_bytes(at(bytes, AT_BASE_TIMESTAMP)),
        max_timestamp: i64::from_be_bytes(at(bytes, AT_MAX_TIMESTAMP)),
        producer_id: i64::from_be_bytes(at(bytes, AT_PRODUCER_ID)),
        producer_epoch: i16::from_be_bytes(at(bytes, AT_PRODUCER_EPOCH)),
        base_sequence: i32::from_be_bytes(at(bytes, AT_BASE_SEQUENCE)),
        records: i32::from_be_bytes(at(bytes, AT_RECORDS)),
    })
}

/// How many of `bytes`, which a client sends for a partition, are its batch. What follows is looked at as Apache Kafka does:
/// what is too short for another batch is none of it, all else is an error.
pub fn length_of_first(bytes: &[u8]) -> Result<usize, Invalid> {
    let declared = |bytes: &[u8]| i32::from_be_bytes(at(bytes, AT_LENGTH));
    if bytes.len() < HEADER {
        return Ok(bytes.len());
    }
    let length = usize::try_from(declared(bytes)).map_or(0, |n| n + LENGTH_PREFIX);
    let Some(rest) = bytes.get(length..).filter(|_| length >= HEADER) else { return Ok(bytes.len()) };
    if rest.len() < LENGTH_PREFIX {
        return Ok(length);
    }
    let next = declared(rest);
    if next < OLD_LENGTH_MIN {
        return Err(Invalid::Length { declared: next });
    }
    match rest.get(AT_MAGIC).map(|magic| *magic as i8) {
        Some(magic) if !(0..=2).contains(&magic) => Err(Invalid::Magic(magic)),
        Some(_) if rest.len() >= next as usize + LENGTH_PREFIX => {
            Err(Invalid::NotOneBatch { declared: length, bytes: bytes.len() })
        }
        _ => Ok(length),
    }
}

/// True if `bytes` begin with a batch of format 2 that says that its records are compressed. Checks nothing else.
pub fn is_compressed(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER && bytes[AT_MAGIC] == 2 && bytes[AT_ATTRIBUTES + 1] & CODEC_BITS as u8 != 0
}

/// Checks that `bytes` are exactly one batch and that its CRC is right. For batches of the log; those of clients must
/// pass [`check`](super::check).
pub fn verify(bytes: &[u8]) -> Result<Batch, Invalid> {
    let batch = parse(bytes)?;
    if batch.length != bytes.len() {
        return Err(Invalid::NotOneBatch { declared: batch.length, bytes: bytes.len() });
    }
    let computed = crc32c(&bytes[CRC_PREFIX..]);
    if computed != batch.crc {
        return Err(Invalid::Crc { stored: batch.crc, computed });
    }
    Ok(batch)
}

/// Gives a batch its place in the log. The CRC covers neither field.
pub fn place(bytes: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
    assert!(bytes.len() >= HEADER, "{} bytes are no batch", bytes.len());
    bytes[..8].copy_from_slice(&base_offset.0.to_be_bytes());
    bytes[AT_LEADER_EPOCH..AT_LEADER_EPOCH + 4].copy_from_slice(&leader_epoch.0.to_be_bytes());
}

/// Marks a batch as appended at `now` (LogAppendTime). Computes the CRC anew, stores it and returns it.
pub fn stamp(bytes: &mut [u8], now: Wall) -> u32 {
    assert!(bytes.len() >= HEADER, "{} bytes are no batch", bytes.len());
    let attributes = u16::from_be_bytes(at(bytes, AT_ATTRIBUTES)) | LOG_APPEND_TIME;
    bytes[AT_ATTRIBUTES..AT_ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
    set_max_timestamp(bytes, now.0)
}

/// Stores the max timestamp of records that have times of their own (CreateTime), and the CRC that follows from it.
pub(super) fn set_create_time(bytes: &mut [u8], max_timestamp: i64) -> u32 {
    let attributes = u16::from_be_bytes(at(bytes, AT_ATTRIBUTES)) & !LOG_APPEND_TIME;
    bytes[AT_ATTRIBUTES..AT_ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
    set_max_timestamp(bytes, max_timestamp)
}

fn set_max_timestamp(bytes: &mut [u8], max_timestamp: i64) -> u32 {
    bytes[AT_MAX_TIMESTAMP..AT_MAX_TIMESTAMP + 8].copy_from_slice(&max_timestamp.to_be_bytes());
    seal(bytes)
}

/// Stores the CRC of the bytes.
fn seal(bytes: &mut [u8]) -> u32 {
    let crc = crc32c(&bytes[CRC_PREFIX..]);
    bytes[AT_CRC..AT_CRC + 4].copy_from_slice(&crc.to_be_bytes());
    crc
}

/// Writes a whole header, with the CRC of all that follows it in `bytes`.
pub(super) fn write(bytes: &mut [u8], batch: &Batch) {
    assert_eq!(batch.length, bytes.len(), "a batch fills its bytes");
    let length = i32::try_from(bytes.len() - LENGTH_PREFIX).expect("a batch is shorter than 2^31 bytes");
    bytes[..8].copy_from_slice(&batch.base_offset.to_be_bytes());
    bytes[AT_LENGTH..AT_LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    bytes[AT_LEADER_EPOCH..AT_LEADER_EPOCH + 4].copy_from_slice(&batch.leader_epoch.to_be_bytes());
    bytes[AT_MAGIC] = batch.magic as u8;
    bytes[AT_ATTRIBUTES..AT_ATTRIBUTES + 2].copy_from_slice(&batch.attributes.to_be_bytes());
    bytes[AT_LAST_OFFSET_DELTA..AT_LAST_OFFSET_DELTA + 4].copy_from_slice(&batch.last_offset_delta.to_be_bytes());
    bytes[AT_BASE_TIMESTAMP..AT_BASE_TIMESTAMP + 8].copy_from_slice(&batch.base_timestamp.to_be_bytes());
    bytes[AT_MAX_TIMESTAMP..AT_MAX_TIMESTAMP + 8].copy_from_slice(&batch.max_timestamp.to_be_bytes());
    bytes[AT_PRODUCER_ID..AT_PRODUCER_ID + 8].copy_from_slice(&batch.producer_id.to_be_bytes());
    bytes[AT_PRODUCER_EPOCH..AT_PRODUCER_EPOCH + 2].copy_from_slice(&batch.producer_epoch.to_be_bytes());
    bytes[AT_BASE_SEQUENCE..AT_BASE_SEQUENCE + 4].copy_from_slice(&batch.base_sequence.to_be_bytes());
    bytes[AT_RECORDS..AT_RECORDS + 4].copy_from_slice(&batch.records.to_be_bytes());
    seal(bytes);
}

/// The attribute bits that say so.
pub(super) fn attributes(codec: Codec, transactional: bool, timestamp_type: TimestampType) -> u16 {
    let mut bits = codec as u16;
    if transactional {
        bits |= TRANSACTIONAL;
    }
    if timestamp_type == TimestampType::LogAppendTime {
        bits |= LOG_APPEND_TIME;
    }
    bits
}
