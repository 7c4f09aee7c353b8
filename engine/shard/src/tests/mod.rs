//! Whole shards, driven by events, asked in Kafka's own frames.

mod admin;
mod complaints;
mod configs;
mod connections;
mod disk;
mod fetch;
mod lists;
mod moves;
mod offsets;
mod openings;
mod produce;
mod restart;
mod retention;
mod rig;
mod stages;
mod stalled;
mod timeouts;
mod verbs;
