//! The write-ahead log of a shard as a state machine: it emits disk operations and consumes their completions.

mod ahead;
mod bytes;
mod cleaner;
mod cleaner_choice;
mod cleaner_output;
mod cleaner_slice;
mod compaction;
mod directory;
mod entry;
mod error;
mod flight;
mod footers;
mod index;
mod outcome;
mod reads;
mod rebuild;
mod recovery;
mod removals;
mod search;
mod segments;
mod settings;
mod spares;
mod tables;
mod tags;
mod tail;
mod wal;
mod writer;

#[cfg(test)]
mod cleaner_choice_tests;
#[cfg(test)]
mod spares_tests;

pub mod batch;
pub mod checkpoint;
pub mod segment;

pub use compaction::{Compacting, Part};
pub use directory::Group;
pub use entry::{Entry, Item, Kind, Run};
pub use error::{Corruption, WalError};
pub use index::{Extent, SegmentIndex, extents_of};
pub use outcome::{Claim, Find, From, Lost, Outcome, Read, ReadId, Recovered, Share, State, Stats};
pub use settings::{CleanerSettings, WalSettings};
pub use wal::Wal;
