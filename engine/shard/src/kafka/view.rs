//! The catalog as this shard knows it.

use crate::mail::CatalogChange;
use crate::mail::Leaders;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use torc_base::ids::{GroupId, LeaderEpoch, TopicId};
use torc_state::catalog::Topic;
use torc_state::config::Overrides;
use torc_state::coordinator::Text;
use torc_state::coordinator::cluster::{Cluster, GroupConfig, TopicInfo};
use torc_state::group_config;

/// Topics by name and by id, and the settings of consumer groups.
#[derive(Default)]
pub struct View {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: BTreeMap<TopicId, Arc<Topic>>,
    leaders: BTreeMap<GroupId, LeaderEpoch>,
    /// Consumer groups with settings of their own, as they are set and in effect.
    groups: BTreeMap<Text, (Arc<Overrides>, GroupConfig)>,
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

    /// The log of a topic's partition `index`, if there is one.
    pub fn log(&self, topic: &str, index: i32) -> Option<GroupId> {
        partition(self.by_name(topic)?, index)
    }

    /// The topic that consumer groups live in, if it has been made.
    pub fn offsets_topic(&self) -> Option<&Arc<Topic>> {
        self.by_name(OFFSETS_TOPIC)
    }

    /// All topics by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// The first topic by name behind this one.
    pub fn topic_behind(&self, name: Option<&str>) -> Option<&Arc<Topic>> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name.range::<str, _>((from, Bound::Unbounded)).next().map(|(_, topic)| topic)
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
            CatalogChange::All { topics, groups } => {
                self.by_name.clear();
                self.by_id.clear();
                self.groups.clear();
                topics.iter().for_each(|topic| self.put(topic));
                groups.iter().for_each(|(group, config)| self.put_group(group, config));
            }
            CatalogChange::Group { group, config } => self.put_group(group, config),
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

    /// Partitions have new leaders, or lost theirs.
    pub fn lead(&mut self, leaders: &Leaders) {
        self.told += 1;
        for (group, leader) in leaders {
            match leader {
                Some(epoch) => self.leaders.insert(*group, *epoch),
                None => self.leaders.remove(group),
            };
        }
    }

    /// What is set for a consumer group, if anything is.
    pub fn group(&self, group: &str) -> Option<&Arc<Overrides>> {
        self.groups.get(group).map(|(config, _)| config)
    }

    /// Names of groups for which something is set.
    pub fn configured_groups(&self) -> impl ExactSizeIterator<Item = &Text> {
        self.groups.keys()
    }

    fn put_group(&mut self, group: &Text, config: &Arc<Overrides>) {
        if config.is_empty() {
            self.groups.remove(group);
        } else {
            self.groups.insert(Arc::clone(group), (Arc::clone(config), group_config::resolve(config)));
        }
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

    fn group_config(&self, group: &str) -> GroupConfig {
        self.groups.get(group).map_or_else(GroupConfig::default, |(_, resolved)| *resolved)
    }
}

fn info(topic: &Topic) -> TopicInfo {
    TopicInfo { name: Arc::clone(&topic.name), id: topic.id, partitions: topic.partitions.len() }
}

/// The group of partition `index`, if the topic has it.
pub fn partition(topic: &Topic, index: i32) -> Option<GroupId> {
    u32::try_from(index).ok().and_then(|index| topic.partitions.get(index))
}
