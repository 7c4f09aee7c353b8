use crate::kafka::error;
use std::fmt;
use torc_base::limits::INFLATED_BYTES_MAX;

/// Why bytes are not a record batch that may be appended, or cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Fewer bytes than a batch has at least.
    NoBatch {
        bytes: usize,
    },
    /// The batch claims a length that no batch can have.
    Length {
        declared: i32,
    },
    /// The batch's length is not that of the bytes: it is cut short, or something follows it.
    NotOneBatch {
        declared: usize,
        bytes: usize,
    },
    /// Not format 2. Formats 0 and 1 are those of brokers before 0.11.
    Magic(i8),
    Crc {
        stored: u32,
        computed: u32,
    },
    /// Number of an unknown codec.
    Codec(u16),
    /// Only brokers write control batches.
    Control,
    /// A client's batch may not claim to have been stamped by the broker.
    LogAppendTime,
    /// The batch's records and offsets differ in number, or there are none.
    Count {
        records: i32,
        last_offset_delta: i32,
    },
    /// A client counts the offsets of a batch from 0.
    BaseOffset(i64),
    /// A batch of an idempotent producer without a sequence number.
    Sequence(i32),
    /// A record whose lengths contradict each other or the batch; `index` counts from 0.
    Record {
        index: i32,
        what: &'static str,
    },
    /// A record whose timestamp is too far from the clock, or no time at all; `index` counts from 0.
    Timestamp {
        index: i32,
    },
    /// A record of a compacted topic without a key; `index` counts from 0.
    NoKey {
        index: i32,
    },
    /// The compressed records cannot be opened.
    Decompress {
        codec: Codec,
        what: &'static str,
    },
    /// The compressed records are more than are ever decompressed. Producers split such batches.
    Inflated,
}

use super::Codec;

impl Invalid {
    /// The error code with which Apache Kafka refuses the same batch; where that is UNKNOWN_SERVER_ERROR, one that says more
    /// and that clients do not retry either.
    pub fn code(&self) -> i16 {
        match self {
            Invalid::Length { .. } | Invalid::Crc { .. } => error::CORRUPT_MESSAGE,
            Invalid::Magic(magic) if !(0..=2).contains(magic) => error::CORRUPT_MESSAGE,
            Invalid::Codec(_) => error::UNSUPPORTED_COMPRESSION_TYPE,
            Invalid::LogAppendTime | Invalid::Timestamp { .. } => error::INVALID_TIMESTAMP,
            Invalid::Inflated => error::MESSAGE_TOO_LARGE,
            Invalid::NoBatch { .. }
            | Invalid::NotOneBatch { .. }
            | Invalid::Magic(_)
            | Invalid::Control
            | Invalid::Count { .. }
            | Invalid::BaseOffset(_)
            | Invalid::Sequence(_)
            | Invalid::Record { .. }
            | Invalid::NoKey { .. }
            // The CRC was right: to send the same bytes again, as clients do for CORRUPT_MESSAGE, would not help.
            | Invalid::Decompress { .. } => error::INVALID_RECORD,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::NoBatch { bytes } => write!(f, "{bytes} bytes are no record batch"),
            Invalid::Length { declared } => write!(f, "a record batch cannot have the length {declared}"),
            Invalid::NotOneBatch { declared, bytes } => {
                write!(f, "a batch of {declared} bytes in {bytes} bytes; exactly one whole batch is expected")
            }
            Invalid::Magic(magic) => write!(f, "record batch of format {magic}; only format 2 is served"),
            Invalid::Crc { stored, computed } => {
                write!(f, "record batch is corrupt: its checksum is {stored:08x}, that of its bytes {computed:08x}")
            }
            Invalid::Codec(codec) => write!(f, "unknown compression codec {codec}"),
            Invalid::Control => write!(f, "clients may not write control records"),
            Invalid::LogAppendTime => write!(f, "a producer may not set the timestamp type to LogAppendTime"),
            Invalid::Count { records, last_offset_delta } => {
                write!(f, "{records} records with a last offset delta of {last_offset_delta}")
            }
            Invalid::BaseOffset(offset) => write!(f, "the base offset of a new batch is {offset}, not 0"),
            Invalid::Sequence(sequence) => write!(f, "invalid sequence number {sequence} of an idempotent producer"),
            Invalid::Record { index, what } => write!(f, "record {index} of the batch: {what}"),
            Invalid::NoKey { index } => {
                write!(f, "record {index} of the batch has no key, which a compacted topic (cleanup.policy) needs")
            }
            Invalid::Timestamp { index } => write!(
                f,
                "the timestamp of record {index} is too far from the server's clock (message.timestamp.before.max.ms, \
                 after.max.ms)"
            ),
            Invalid::Inflated => {
                write!(f, "the records of the batch decompress to more than {} MiB", INFLATED_BYTES_MAX >> 20)
            }
            Invalid::Decompress { codec, what } => write!(f, "{codec:?} records of the batch: {what}"),
        }
    }
}

impl std::error::Error for Invalid {}
