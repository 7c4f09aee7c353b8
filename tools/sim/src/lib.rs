//! The simulator: production shards over simulated sectors and packets.

pub mod admin;
pub mod assignor;
pub mod batch;
pub mod by_hand;
pub mod cables;
pub mod client;
pub mod cluster;
pub mod command;
pub mod compacted;
pub mod consumer;
pub mod disk;
pub mod faults;
pub mod fuzzer;
pub mod group_story;
pub mod groups;
pub mod history;
pub mod ledger;
pub mod member;
pub mod modern;
pub mod neighbour;
pub mod net;
pub mod node;
pub mod producer;
pub mod requests;
pub mod run;
pub mod scribe;
pub mod share;
pub mod spans;
pub mod story;
pub mod tear;
pub mod trail;
pub mod violation;
pub mod wire;
pub mod world;
pub mod znodes;

#[cfg(test)]
mod cables_tests;
#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod groups_tests;
#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod world_tests;
