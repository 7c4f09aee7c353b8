//! Small blocking clients of Kafka's protocol and of ZooKeeper's, for the commands of torc and the preparations of its load generator.

mod ask;
mod client;
mod cluster;
mod embedded;
mod groups;
mod member;
mod near;
mod offsets;
mod partitioner;
mod patience;
mod topic;
mod topic_io;
pub mod zookeeper;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod partitioner_tests;
#[cfg(test)]
mod topic_tests;

pub use ask::AskError;
pub use client::{Client, ClientError, Times, error_name};
pub use cluster::{Cluster, text, topic_name};
pub use groups::{Committed, Described, GroupClient, GroupMember, ListedGroup, OfGroups};
pub use member::{Assignment, Assignor, Change, Commit, Joined, Member, MemberError, Membership};
pub use near::near;
pub use offsets::{Outcomes, TopicPartition, offsets_at};
pub use partitioner::partition_of;
pub use patience::{Ended, Patience};
pub use topic::{ProducerId, Refusal, Topic, TopicError};
pub use topic_io::{Acks, EARLIEST, FetchLimits, Fetched, Isolation, LATEST, Outgoing};
