//! Shows what a log and its checkpoints hold, and what recovery would make of them. Opens files for reading only.

mod checkpoint;
mod columns;
mod command;
mod dry_run;
mod follow;
mod json;
mod kind;
mod names;
mod place;
mod progress;
mod record;
mod scan;
mod shard;
mod source;
mod text;

pub use command::{Format, Outcome, SnapshotArgs, WalArgs, snapshot, wal};
pub use place::InspectError;
