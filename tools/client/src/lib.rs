//! A small blocking client of Kafka's protocol, for the commands of torc and the preparations of its load generator.

mod client;
mod cluster;
mod near;
mod partitioner;
mod patience;
mod topic;
mod topic_io;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod partitioner_tests;
#[cfg(test)]
mod topic_tests;

pub use client::{Client, ClientError, error_name};
pub use cluster::{Cluster, text, topic_name};
pub use partitioner::partition_of;
pub use patience::Patience;
pub use topic::{ProducerId, Refusal, Topic, TopicError};
pub use topic_io::{Acks, EARLIEST, FetchLimits, Fetched, Isolation, LATEST, Outgoing};
