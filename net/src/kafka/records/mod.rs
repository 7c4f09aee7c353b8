//! Record batches of format 2: what producers send, the log stores and consumers get, one and the same bytes.
//!
//! What a producer sends is looked at down to the records, whose lengths, offsets and timestamps must be right;
//! compressed ones are decompressed for that, in steps whose cost the caller bounds. After that only lookups by time do so.

mod batch;
mod blocks;
mod build;
mod check;
mod compact;
mod inflate;
mod invalid;
mod lookup;
mod opening;
mod scan;
mod walk;

pub use batch::{
    Batch, CRC_PREFIX, Codec, HEADER, TimestampType, is_compressed, length_of_first, parse, place, stamp, verify,
};
pub use build::{BuildOptions, Record, build};
pub use check::{Check, Checked, Demands, Times, begin, check};
pub use compact::{Keyed, Left, Sift, emptied};
pub use inflate::Spares;
pub use invalid::Invalid;
pub use lookup::{OwnedRecord, first_at_or_after, max_timestamp_offset, read};
pub use opening::{Learned, Opening, Question};
