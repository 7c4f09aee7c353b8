//! Record batches of format 2: what producers send, the log stores and consumers get, one and the same bytes.
//!
//! The server looks into the 61 bytes of a batch's header, and walks the records of an uncompressed batch once to see
//! that their lengths are right. Only a lookup by time opens a compressed batch.

mod batch;
mod build;
mod check;
mod invalid;
mod lookup;
mod walk;

pub use batch::{Batch, CRC_PREFIX, Codec, HEADER, TimestampType, parse, place, stamp, verify};
pub use build::{BuildOptions, Record, build};
pub use check::check;
pub use invalid::Invalid;
pub use lookup::{INFLATED_BYTES_MAX, OwnedRecord, first_at_or_after, max_timestamp_offset, read};
