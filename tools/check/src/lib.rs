//! Checks of a torc server as its users meet it: real processes, sockets, signals, disks. One module to a promise.

pub mod badinput;
pub mod cluster;
pub mod content;
pub mod diskfull;
pub mod failure;
pub mod groups;
pub mod idle;
pub mod kill;
pub mod ledger;
pub mod machine;
pub mod neighbours;
pub mod parts;
pub mod process;
pub mod ready;
pub mod report;
pub mod restart;
pub mod sessions;
pub mod starts;
pub mod trace;
pub mod volatile;
pub mod wire;
