//! The catalog as this shard knows it.

use crate::mail::{CatalogChange, Leaders, Led};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use torc_base::ids::{GroupId, LeaderEpoch, NodeId, TopicId};
use torc_state::catalog::{Node, Topic};
use torc_state::config::Overrides;
use torc_state::coordinator::Text;
use torc_state::coordinator::cluster::{Cluster, GroupConfig, TopicInfo};
use torc_state::group_config;

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    pub node: NodeId,
    pub epoch: LeaderEpoch,
}

/// Topics by name and by id, the settings of consumer groups, the nodes, and who leads what.
#[derive(Default)]
pub struct View {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: BTreeMap<TopicId, Arc<Topic>>,
    leaders: BTreeMap<GroupId, Leader>,
    /// Replicas that their leaders know not to be in sync.
    behind: BTreeMap<GroupId, Box<[NodeId]>>,
    nodes: BTreeMap<NodeId, Arc<Node>>,
    /// Other nodes that there are links to.
    present: BTreeSet<NodeId>,
    controller: Option<NodeId>,
    /// Nodes that are to lose all their replicas.
    leaving: BTreeSet<NodeId>,
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

    /// The same.
    pub fn topics_by_name(&self) -> &BTreeMap<Arc<str>, Arc<Topic>> {
        &self.by_name
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

    /// Topics by name, from this name on.
    pub fn topics_from(&self, from: &str) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.range::<str, _>((Bound::Included(from), Bound::Unbounded)).map(|(_, topic)| topic)
    }

    /// Partitions of all topics that have leaders.
    pub fn partitions(&self) -> usize {
        self.leaders.len()
    }

    /// Changes when Metadata tells something else than before.
    pub fn told(&self) -> u64 {
        self.told
    }

    /// Topics that a change deletes. One that says all deletes what it does not name.
    pub fn deleted_by(&self, change: &CatalogChange) -> Vec<Arc<Topic>> {
        match change {
            CatalogChange::Deleted(topic) => vec![Arc::clone(topic)],
            CatalogChange::All { topics, .. } if !self.by_id.is_empty() => {
                let stay: BTreeSet<TopicId> = topics.iter().map(|topic| topic.id).collect();
                self.by_id.values().filter(|topic| !stay.contains(&topic.id)).cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Takes a change in.
    pub fn apply(&mut self, change: &CatalogChange) {
        self.version += 1;
        self.told += 1;
        match change {
            CatalogChange::All { topics, groups, nodes } => {
                self.deleted_by(change).iter().for_each(|topic| self.forget_leaders(topic));
                self.by_name.clear();
                self.by_id.clear();
                self.groups.clear();
                self.leaving.clear();
                self.nodes = nodes.iter().map(|node| (node.id, Arc::clone(node))).collect();
                topics.iter().for_each(|topic| self.put(topic));
                groups.iter().for_each(|(group, config)| self.put_group(group, config));
            }
            CatalogChange::Group { group, config } => self.put_group(group, config),
            CatalogChange::Node(node) => drop(self.nodes.insert(node.id, Arc::clone(node))),
            CatalogChange::NodeGone(node) => {
                self.nodes.remove(node);
                self.leaving.remove(node);
            }
            CatalogChange::Leaving { node, leaving: true } => drop(self.leaving.insert(*node)),
            CatalogChange::Leaving { node, leaving: false } => drop(self.leaving.remove(node)),
            CatalogChange::Topic(topic) | CatalogChange::Moved { topic, .. } => self.put(topic),
            CatalogChange::Deleted(topic) => {
                self.by_name.remove(&topic.name);
                self.by_id.remove(&topic.id);
                self.forget_leaders(topic);
            }
        }
    }

    /// A partition's leader; `None` while it has none that can be reached from here.
    pub fn leader(&self, group: GroupId) -> Option<Leader> {
        self.leaders.get(&group).copied()
    }

    /// Partitions that this node leads.
    pub fn led_by(&self, node: NodeId) -> impl Iterator<Item = Led> {
        let led = self.leaders.iter().filter(move |(_, leader)| leader.node == node);
        led.map(move |(group, leader)| Led {
            behind: self.behind(*group).to_vec(),
            ..Led::by(*group, node, leader.epoch)
        })
    }

    /// Replicas that the partition's leader knows not to be in sync with it.
    pub fn behind(&self, group: GroupId) -> &[NodeId] {
        self.behind.get(&group).map_or(&[], |behind| behind)
    }

    /// Who leads the catalog, if anybody does.
    pub fn controller(&self) -> Option<NodeId> {
        self.controller
    }

    /// Another node, if it is registered and there is a link to it.
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(&id).filter(|node| self.present.contains(&node.id))
    }

    /// The same of all of them, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values().filter(|node| self.present.contains(&node.id))
    }

    /// True if the node is to lose all its replicas.
    pub fn is_leaving(&self, id: NodeId) -> bool {
        self.leaving.contains(&id)
    }

    /// True if there is a link to the node.
    pub fn is_present(&self, id: NodeId) -> bool {
        self.present.contains(&id)
    }

    /// There are links to these nodes, and to no others. What the others led they may lead no longer: who does is told by
    /// whoever does.
    pub fn set_present(&mut self, here: NodeId, present: BTreeSet<NodeId>) {
        self.told += 1;
        let is_gone = |node: &NodeId| *node != here && !present.contains(node);
        self.leaders.retain(|_, leader| !is_gone(&leader.node));
        self.controller = self.controller.filter(|node| !is_gone(node));
        self.present = present;
    }

    /// Partitions have new leaders, or lost theirs. News of an epoch that has passed is none: two nodes may tell of one
    /// partition in any order.
    pub fn lead(&mut self, leaders: &Leaders) {
        self.told += 1;
        for Led { group, node, epoch, behind } in leaders {
            if *group == GroupId::CATALOG {
                self.controller = epoch.map(|_| *node);
                continue;
            }
            let known = self.leaders.get(group);
            let is_news = match epoch {
                Some(epoch) => known.is_none_or(|known| known.epoch <= *epoch),
                None => known.is_some_and(|known| known.node == *node),
            };
            if !is_news {
                continue;
            }
            match epoch {
                Some(epoch) => self.leaders.insert(*group, Leader { node: *node, epoch: *epoch }),
                None => self.leaders.remove(group),
            };
            if behind.is_empty() {
                self.behind.remove(group);
            } else {
                self.behind.insert(*group, behind.as_slice().into());
            }
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

    fn forget_leaders(&mut self, topic: &Topic) {
        for group in topic.partitions.iter() {
            self.leaders.remove(&group);
            self.behind.remove(&group);
        }
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

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
