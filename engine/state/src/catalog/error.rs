//! Why a change of the catalog is refused.

use super::Topic;
use crate::config::ConfigError;
use std::fmt;
use torc_base::ids::TopicId;

/// A change that is refused. Each kind is one of Kafka's errors; the message is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogError {
    /// TOPIC_ALREADY_EXISTS: the name.
    TopicExists(String),
    /// INVALID_TOPIC_EXCEPTION.
    InvalidTopic(String),
    /// INVALID_PARTITIONS.
    InvalidPartitions(String),
    /// INVALID_REPLICATION_FACTOR.
    InvalidReplication(String),
    /// INVALID_REPLICA_ASSIGNMENT.
    InvalidAssignment(String),
    /// INVALID_CONFIG.
    InvalidConfig(ConfigError),
    /// UNKNOWN_TOPIC_OR_PARTITION: the name.
    UnknownTopic(String),
    /// UNKNOWN_TOPIC_ID.
    UnknownTopicId(TopicId),
    /// NO_REASSIGNMENT_IN_PROGRESS.
    NoMove(String),
    /// BROKER_ID_NOT_REGISTERED.
    UnknownNode(String),
    /// POLICY_VIOLATION: a limit of torc.
    Limit(String),
    /// INVALID_REQUEST: fields that contradict each other, a reserved name, or a command that no plan made.
    InvalidRequest(String),
}

impl CatalogError {
    /// Kafka's error code.
    pub fn code(&self) -> i16 {
        match self {
            CatalogError::UnknownTopic(_) => 3,
            CatalogError::InvalidTopic(_) => 17,
            CatalogError::TopicExists(_) => 36,
            CatalogError::InvalidPartitions(_) => 37,
            CatalogError::InvalidReplication(_) => 38,
            CatalogError::InvalidAssignment(_) => 39,
            CatalogError::InvalidConfig(_) => 40,
            CatalogError::InvalidRequest(_) => 42,
            CatalogError::Limit(_) => 44,
            CatalogError::NoMove(_) => 85,
            CatalogError::UnknownNode(_) => 102,
            CatalogError::UnknownTopicId(_) => 100,
        }
    }

    pub(super) fn no_move(topic: &str, partition: u32) -> CatalogError {
        CatalogError::NoMove(format!("No reassignment of partition {partition} of topic {topic} is in progress."))
    }

    pub(super) fn too_few_partitions(topic: &Topic, asked: i64) -> CatalogError {
        let has = topic.partitions.len();
        CatalogError::InvalidPartitions(if i64::from(has) == asked {
            format!("Topic '{}' already has {has} partition(s).", topic.name)
        } else {
            format!("Topic '{}' has {has} partition(s), and {asked} would not be an increase.", topic.name)
        })
    }
}

impl From<ConfigError> for CatalogError {
    fn from(error: ConfigError) -> CatalogError {
        CatalogError::InvalidConfig(error)
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatalogError::TopicExists(name) => write!(f, "Topic '{name}' already exists."),
            CatalogError::UnknownTopic(name) => write!(f, "There is no topic '{name:.249}'."),
            CatalogError::UnknownTopicId(id) => write!(f, "There is no topic with id {id}."),
            CatalogError::InvalidConfig(error) => error.fmt(f),
            CatalogError::InvalidTopic(why)
            | CatalogError::InvalidPartitions(why)
            | CatalogError::InvalidReplication(why)
            | CatalogError::InvalidAssignment(why)
            | CatalogError::NoMove(why)
            | CatalogError::UnknownNode(why)
            | CatalogError::Limit(why)
            | CatalogError::InvalidRequest(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for CatalogError {}
