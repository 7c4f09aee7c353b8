//! A small blocking client of ZooKeeper's protocol, for commands: one session, which moves to another server when its own does
//! not answer any more.

mod error;
mod session;
mod wire;

pub use error::ZooKeeperError;
pub use session::{Done, Happening, ZooKeeper, ZooKeeperOptions};
pub use wire::handshake;

#[cfg(test)]
#[path = "../../../torc/tests/support/zookeeper.rs"]
mod fake;
#[cfg(test)]
mod session_tests;
