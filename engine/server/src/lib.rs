//! Configuration, data directory, start and stop, metrics endpoint: what stands between `torc serve` and the shards.

mod claims;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod data_dir;
pub mod described;
pub mod endpoint;
pub mod error;
mod inquire;
pub mod kafka_keys;
pub mod keys;
mod kinds;
pub mod lag;
pub mod listen;
pub mod listeners;
pub mod log;
pub mod machine;
pub mod medium;
pub mod metrics;
pub mod notify;
pub mod outlet;
pub mod placement;
pub mod properties;
pub mod reading;
pub mod room;
pub mod running;
pub mod samples;
pub mod sizes;
pub mod start;
pub mod stop;
mod znodes;
pub mod zookeeper;
pub mod zookeeper_keys;

pub use torc_base::units;

#[cfg(test)]
mod config_tests;
#[cfg(test)]
mod data_dir_tests;
#[cfg(test)]
mod listen_tests;
#[cfg(test)]
mod medium_tests;
#[cfg(test)]
mod metrics_tests;
#[cfg(test)]
mod outlet_tests;
#[cfg(test)]
mod placement_tests;
#[cfg(test)]
mod reading_tests;
#[cfg(test)]
mod running_tests;
#[cfg(test)]
mod samples_tests;
#[cfg(test)]
mod start_tests;
