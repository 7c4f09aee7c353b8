//! Runs of a cluster: nodes that are killed, cut off, paused and started again, and clients that follow leaders.
//!
//! Whatever happens, and however many nodes it happens to, most copies of all that was acknowledged stay whole (`losses.rs`): so
//! nothing of it may be lost, and nothing that was seen may change. When it ends, all must be served again.

mod builds;
mod committer;
mod deleter;
mod guide;
mod kept;
mod logs;
mod losses;
mod maker;
mod marks;
mod mover;
mod newcomers;
mod reader;
mod run;
mod scatter;
mod segments;
mod story;
mod traveller;
mod workload;
mod writer;
mod znodes;

pub use losses::{Budget, Losses};
pub use marks::Voter;
pub use run::{Seat, Subject, run};
pub use story::{ClusterStory, NODES};

use crate::client::Next;
use crate::history::code;
use crate::violation::{Rule, Violation};
use guide::Nodes;
use logs::Logs;

/// A client of the cluster.
trait Actor {
    /// Its time has come.
    fn wake(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) -> Result<Next, Violation>;
    /// Bytes came on one of its connections.
    fn receive(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, link: u64, bytes: &[u8]) -> Result<(), Violation>;
    /// One of its connections is gone.
    fn lost(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, link: u64);
    /// True of one of its connections.
    fn has(&self, link: u64) -> bool;
    /// Begin nothing new.
    fn stop(&mut self);
    /// Whoever keeps a session only keeps it, until then.
    fn rest(&mut self, _until: u64) {}
    /// Whoever keeps a session, wherever, goes to that node.
    fn visit(&mut self, _nodes: &mut dyn Nodes, _node: usize) -> Result<(), Violation> {
        Ok(())
    }
}

/// Errors that a client of a cluster meets, and tries again after.
fn explain(logs: &Logs, what: &str, error: i16) -> Result<(), Violation> {
    // UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT, BROKER_NOT_AVAILABLE,
    // COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, NOT_ENOUGH_REPLICAS and the same after the append,
    // NOT_CONTROLLER, FENCED_LEADER_EPOCH
    const PASSING: [i16; 12] = [3, 5, 6, 7, 8, 14, 15, 16, 19, 20, 41, 74];
    if error == code::STORAGE && logs.reads_fail {
        return Ok(());
    }
    // KAFKA_STORAGE_ERROR, UNKNOWN_LEADER_EPOCH: a leader's disk is full, or it has lost something, such as what it knew of epochs;
    // a replica that was moved away and back begins without epochs.
    const OF_LOSSES: [i16; 2] = [code::STORAGE, UNKNOWN_EPOCH];
    const UNKNOWN_EPOCH: i16 = 75;
    let is_of_moves = error == UNKNOWN_EPOCH && logs.replicas_move;
    if PASSING.contains(&error) || OF_LOSSES.contains(&error) && logs.disks_lose || is_of_moves {
        return Ok(());
    }
    Err(Violation::new(Rule::ExpectedErrors, format!("{what} was answered with error {error}")))
}
