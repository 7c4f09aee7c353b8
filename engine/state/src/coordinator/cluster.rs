//! What coordinators ask of the rest of the cluster: which topics there are, and what is set for a group.

use super::Text;
use torc_base::ids::TopicId;

/// A topic as far as consumers' assignments depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    pub name: Text,
    pub id: TopicId,
    pub partitions: u32,
}

/// Settings of one group (Kafka's ConfigResource GROUP), in milliseconds; `None` where the server's holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupConfig {
    /// `consumer.session.timeout.ms`
    pub session_timeout_ms: Option<i32>,
    /// `consumer.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Option<i32>,
}

/// The cluster as it is now. Answers change only together with the version.
pub trait Cluster {
    /// Changes whenever a topic is made, deleted or gets partitions.
    fn version(&self) -> u64;
    /// The topic of that name.
    fn topic(&self, name: &str) -> Option<TopicInfo>;
    /// The topic of that id.
    fn topic_by_id(&self, id: TopicId) -> Option<TopicInfo>;
    /// All names of topics that a pattern may match, in order.
    fn topic_names(&self, visit: &mut dyn FnMut(&Text));
    /// What is set for a group.
    fn group_config(&self, group: &str) -> GroupConfig;
}
