//! A small blocking client of Kafka's protocol, for the commands of torc and the preparations of its load generator.

mod client;
mod cluster;

#[cfg(test)]
mod client_tests;

pub use client::{Client, ClientError, error_name};
pub use cluster::{Cluster, text, topic_name};
