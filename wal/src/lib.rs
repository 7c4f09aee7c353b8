//! The write-ahead log of a shard as a state machine: it emits disk operations and consumes their completions.

mod entry;
mod error;
mod outcome;
mod settings;
mod wal;

pub use entry::{Entry, Item, Kind, Run};
pub use error::{Corruption, WalError};
pub use outcome::{Find, From, Outcome, Read, ReadId, State, Stats};
pub use settings::Settings;
pub use wal::Wal;
