//! The load generator. It speaks plain Kafka protocol, and ZooKeeper's, through clients of its own, so that any server can be measured,
//! and its requests are built before the run, so that it stays cheap beside what it measures.

pub mod bare;
pub mod command;
pub mod compare;
pub mod error;
pub mod limits;
pub mod options;
pub mod plot;
mod publish;
pub mod report;
pub mod scenario;

mod arrivals;
mod cluster;
mod connection;
mod consume;
mod cpu;
mod drive;
mod end_to_end;
pub mod environment;
mod figures;
mod files;
mod flamegraph;
mod guide;
mod histogram_files;
pub mod interrupt;
mod pace;
mod page;
mod payload;
mod produce;
mod progress;
mod recorder;
mod run_page;
mod scrape;
mod sizes;
mod sweep;
mod table;
mod target;
mod units;
mod verify;
mod wire;
mod zk;

#[cfg(test)]
mod tests;
