//! The catalog as this shard knows it.

use crate::mail::CatalogChange;
use crate::mail::Leaders;
use std::collections::BTreeMap;
use std::sync::Arc;
use torc_base::ids::{GroupId, LeaderEpoch, TopicId};
use torc_state::catalog::Topic;
use torc_state::coordinator::Text;
use torc_state::coordinator::cluster::{Cluster, GroupConfig, TopicInfo};

/// Topics by name and by id.
#[derive(Default)]
pub struct View {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: BTreeMap<TopicId, Arc<Topic>>,
    leaders: BTreeMap<GroupId, LeaderEpoch>,
    /// Goes up with each change.
    version: u64,
    /// Goes up with those and with new leaders.
    told: u64,
}

/// Where consumer groups live.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

impl View {
    /// The topic of that name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// The topic of that id.
    pub fn by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// By id, unless that is zero.
    pub fn find(&self, name: &str, id: TopicId) -> Option<&Arc<Topic>> {
        if id == TopicId::ZERO { self.by_name(name) } else { self.by_id(id) }
    }

    /// The topic that consumer groups live in, if it has been made.
    pub fn offsets_topic(&self) -> Option<&Arc<Topic>> {
        self.by_name(OFFSETS_TOPIC)
    }

    /// All topics by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// Partitions of all topics that have leaders.
    pub fn partitions(&self) -> usize {
        self.leaders.len()
    }

    /// Changes when Metadata tells something else than before.
    pub fn told(&self) -> u64 {
        self.told
    }

    /// Takes a change in.
    pub fn apply(&mut self, change: &CatalogChange) {
        self.version += 1;
        self.told += 1;
        match change {
            CatalogChange::All(topics) => {
                self.by_name.clear();
                self.by_id.clear();
                topics.iter().for_each(|topic| self.put(topic));
            }
            CatalogChange::Topic(topic) => self.put(topic),
            CatalogChange::Deleted(topic) => {
                self.by_name.remove(&topic.name);
                self.by_id.remove(&topic.id);
                for group in topic.partitions.iter() {
                    self.leaders.remove(&group);
                }
            }
        }
    }

    /// The epoch of a partition's leader; `None` while it has none.
    pub fn leader(&self, group: GroupId) -> Option<LeaderEpoch> {
        self.leaders.get(&group).copied()
    }

    /// Partitions have new leaders.
    pub fn lead(&mut self, leaders: &Leaders) {
        self.told += 1;
        self.leaders.extend(leaders.iter().copied());
    }

    fn put(&mut self, topic: &Arc<Topic>) {
        self.by_name.insert(Arc::clone(&topic.name), Arc::clone(topic));
        self.by_id.insert(topic.id, Arc::clone(topic));
    }
}

impl Cluster for View {
    fn version(&self) -> u64 {
        self.version
    }

    fn topic(&self, name: &str) -> Option<TopicInfo> {
        self.by_name(name).map(|topic| info(topic))
    }

    fn topic_by_id(&self, id: TopicId) -> Option<TopicInfo> {
        self.by_id(id).map(|topic| info(topic))
    }

    fn topic_names(&self, visit: &mut dyn FnMut(&Text)) {
        self.by_name.keys().for_each(visit);
    }

    fn group_config(&self, _group: &str) -> GroupConfig {
        // Nothing can be set for a group yet.
        GroupConfig::default()
    }
}

fn info(topic: &Topic) -> TopicInfo {
    TopicInfo { name: Arc::clone(&topic.name), id: topic.id, partitions: topic.partitions.len() }
}

/// The group of partition `index`, if the topic has it.
pub fn partition(topic: &Topic, index: i32) -> Option<GroupId> {
    u32::try_from(index).ok().and_then(|index| topic.partitions.get(index))
}
