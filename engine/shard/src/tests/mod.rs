//! Whole shards, driven by events, asked in Kafka's own frames.

mod admin;
mod connections;
mod disk;
mod fetch;
mod moves;
mod offsets;
mod produce;
mod restart;
mod rig;
mod stages;
mod verbs;
