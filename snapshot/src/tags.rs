//! Which completions are for this crate.

use torc_base::ids::Tag;

/// Tags of this crate's disk operations have this in their highest byte.
pub(crate) const TAG: u64 = 0x53 << 56;

/// True for completions that belong to the checkpoint reader or writer.
pub fn owns(tag: Tag) -> bool {
    tag.0 >> 56 == TAG >> 56
}
