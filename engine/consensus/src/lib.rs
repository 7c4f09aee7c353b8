//! Raft (and later ZAB) as step functions without I/O: marks in, marks and messages out.
//!
//! Payloads stay with the shard and its write-ahead log; the core knows (term, index) only, and the configurations that
//! stand among the entries. See [`raft::Raft`] for the contract between a core and the shard that drives it.

pub mod configuration;
pub mod log;
pub mod message;
pub mod output;
pub mod progress;
pub mod quorum;
pub mod raft;
pub mod wire;

mod doubt;
mod election;
mod liveness;
mod membership;
mod reads;
mod replication;
mod snapshot;
mod transfer;

pub use configuration::{Configuration, Member, Seat};
pub use doubt::Doubt;
pub use log::{LogView, TermRun};
pub use message::{Body, Mark, Message, Run};
pub use output::{Append, Input, Output, ReadsReady, Refused, Restore, SnapshotOutcome};
pub use progress::Peer;
pub use raft::{Config, HardState, Marks, Raft, Role};
