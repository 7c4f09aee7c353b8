//! Checkpoints: the state that recovery starts from, published atomically, verified on read.

mod format;
mod reader;
mod tags;
mod writer;

pub use format::{Damage, Header, Line, Section, Sections, decode_header, number};
pub use reader::{CheckpointReader, Loaded};
pub use tags::owns;
pub use writer::{CheckpointWriter, Plan, Progress};

#[cfg(test)]
mod tests;
