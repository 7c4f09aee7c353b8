//! The load generator. It speaks plain Kafka protocol through a client of its own, so that any broker can be measured,
//! and its requests are built before the run, so that it stays cheap beside what it measures.

pub mod bare;
pub mod command;
pub mod error;
pub mod options;
pub mod report;

mod cluster;
mod connection;
mod cpu;
mod drive;
mod pace;
mod payload;
mod produce;
mod progress;
mod recorder;
mod sizes;
mod units;
mod wire;

#[cfg(test)]
mod payload_tests;
#[cfg(test)]
mod recorder_tests;
#[cfg(test)]
mod units_tests;
#[cfg(test)]
mod wire_tests;
