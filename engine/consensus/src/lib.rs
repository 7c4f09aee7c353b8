//! Raft (and later ZAB) as step functions without I/O: marks in, marks and messages out.
//!
//! Payloads stay with the shard and its write-ahead log; the core knows (term, index) only. See [`raft::Raft`] for
//! the contract between a core and the shard that drives it.

pub mod log;
pub mod message;
pub mod output;
pub mod progress;
pub mod quorum;
pub mod raft;

mod election;
mod replication;

pub use log::{LogView, TermRun};
pub use message::{Body, Mark, Message};
pub use output::{Append, Input, NotLeader, Output};
pub use raft::{Config, HardState, Marks, Raft, Role};
