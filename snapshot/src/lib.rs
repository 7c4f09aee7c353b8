//! Checkpoints: the state that recovery starts from, published atomically, verified on read.

mod format;
mod reader;
mod writer;

pub use format::{Damage, Section, Sections};
pub use reader::{Loaded, Reader};
pub use writer::{Progress, Writer};

use torc_base::ids::Tag;

/// Tags of this crate's disk operations have this in their highest byte.
const TAG: u64 = 0x53 << 56;

/// True for completions that belong to the checkpoint reader or writer.
pub fn owns(tag: Tag) -> bool {
    tag.0 >> 56 == TAG >> 56
}

#[cfg(test)]
mod tests;
