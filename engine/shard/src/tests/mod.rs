//! Whole shards, driven by events, asked in Kafka's own frames.

mod admin;
mod cluster;
mod compaction;
mod complaints;
mod configs;
mod connections;
mod consumers;
pub mod disk;
mod fetch;
mod groups;
mod inquiries;
mod lines;
mod lists;
mod metadata;
mod moves;
mod offsets;
mod openings;
mod plane;
mod produce;
mod restart;
mod retention;
pub mod rig;
mod roles;
mod stages;
mod stalled;
mod timeouts;
mod verbs;
