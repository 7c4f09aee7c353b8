//! Checks of a torc server as its users meet it: real processes, sockets, signals, disks. One module to a promise.

pub mod content;
pub mod failure;
pub mod kill;
pub mod ledger;
pub mod process;
pub mod report;
pub mod wire;
