//! Topics and their settings: a log of its own for now, behind this one interface; it moves into the coordination tree
//! later.
//!
//! A change is planned ([`Catalog::plan_create`] and its like check it against the state and give it its ids), goes
//! through the log as a [`Command`], and is applied in the log's order. Two plans may be under way at once: the later
//! one can turn out impossible when it is applied ([`Change::Refused`]), the same on every replica. What is appended and
//! not known to be committed waits beside the state, and can be taken back.

mod assignment;
mod checkpoint;
mod command;
mod error;
mod membership;
mod moves;
mod node;
mod placement;
mod plan;
mod replicas;
mod topic;

pub use assignment::Assignments;
pub use command::Command;
pub use error::CatalogError;
pub use membership::{Admission, Membership};
pub use moves::{Ended, Move, Wishes};
pub use node::{Life, Node};
pub use plan::NewTopic;
pub use replicas::Replicas;
pub use topic::{GroupRanges, Topic, check_name, is_internal, is_reserved};

use crate::config::{Overrides, TopicConfig};
use crate::coordinator::Text;
use placement::Loads;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use torc_base::ids::{GroupId, Index, NodeId, ProducerId, TopicId};
use torc_base::limits::NODES_MAX;

/// What topics are made like when their creator does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// `num.partitions`.
    pub partitions: u32,
    /// Settings.
    pub config: TopicConfig,
    /// Nodes that can hold a replica, besides those that are registered. One alone has all of every topic, and nothing is
    /// said of that.
    pub brokers: Vec<NodeId>,
    /// `default.replication.factor`; `None`: three, or as many as there are nodes.
    pub replication: Option<i16>,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults { partitions: 1, config: TopicConfig::default(), brokers: vec![NodeId(1)], replication: None }
    }
}

/// What applying a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A topic with partitions to be made.
    Created(Arc<Topic>),
    /// A topic whose partitions are to be dropped.
    Deleted(Arc<Topic>),
    /// A topic whose partitions from number `from` on are to be made.
    Grown { topic: Arc<Topic>, from: u32 },
    /// A topic with other settings.
    Configured(Arc<Topic>),
    /// A consumer group with other settings; none any more if they are empty.
    GroupConfigured { group: Text, config: Arc<Overrides> },
    /// A node that is new, or says something else of itself.
    Node(Arc<Node>),
    /// A server was let in, perhaps with another disk or address than before.
    Admitted(NodeId),
    /// A server is no longer one of the cluster.
    Removed(NodeId),
    /// A topic of which partitions are to have other replicas.
    Moving(Arc<Topic>),
    /// A topic of which these partitions have them.
    Moved { topic: Arc<Topic>, ended: Vec<Ended> },
    /// A node that is to lose all its replicas, or none any more; then moves of these topics go back.
    Leaving { node: NodeId, leaving: bool, topics: Vec<Arc<Topic>> },
    /// Producer ids `first..end` belong to whoever asked.
    ProducerIds { first: ProducerId, end: ProducerId },
    /// Nothing: another command came first.
    Refused(CatalogError),
    /// Nothing: the state already holds this command.
    Stale,
}

/// A stretch of group ids that are partitions of one topic.
#[derive(Clone, Copy, Debug)]
struct Owned {
    topic: TopicId,
    partition: u32,
    count: u32,
}

/// All topics.
#[derive(Debug)]
pub struct Catalog {
    defaults: Defaults,
    applied: Index,
    next_group: GroupId,
    next_producer_id: i64,
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: BTreeMap<TopicId, Arc<Topic>>,
    by_group: BTreeMap<GroupId, Owned>,
    /// Names with '.' or '_', with all of them as '_': Kafka's metrics cannot tell such names apart.
    alike: BTreeMap<String, Arc<str>>,
    partitions: usize,
    /// Settings of consumer groups; those without any do not stand here.
    groups: BTreeMap<Text, Arc<Overrides>>,
    nodes: BTreeMap<NodeId, Arc<Node>>,
    membership: Membership,
    /// Nodes that are to have nothing any more.
    leaving: BTreeSet<NodeId>,
    /// Replicas of all topics as they will be when they have come where they are to be, by node.
    loads: Loads,
    /// Appended and not committed, in the order of the log.
    pending: VecDeque<(Index, Command)>,
    /// Ids that plans under way have been given; what is applied catches up. Not part of the state.
    planned_group: GroupId,
    planned_producer_id: i64,
    /// The same of replicas, since [`Catalog::begin_plans`].
    planned_loads: Loads,
    /// Nodes that are not there now.
    absent: BTreeSet<NodeId>,
}

impl Catalog {
    /// A catalog without topics.
    pub fn new(defaults: Defaults) -> Catalog {
        Catalog {
            defaults,
            applied: Index(0),
            next_group: GroupId::FIRST_PARTITION,
            next_producer_id: 0,
            by_name: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_group: BTreeMap::new(),
            alike: BTreeMap::new(),
            partitions: 0,
            groups: BTreeMap::new(),
            nodes: BTreeMap::new(),
            membership: Membership::default(),
            leaving: BTreeSet::new(),
            loads: Loads::default(),
            pending: VecDeque::new(),
            // Shard 0 has the catalog, and often a core that the kernel keeps house on: the first partition goes elsewhere.
            planned_group: GroupId::FIRST_PARTITION.next(),
            planned_producer_id: 0,
            planned_loads: Loads::default(),
            absent: BTreeSet::new(),
        }
    }

    /// What topics are made like when their creator does not say.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// The last command that was applied.
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// The topic of that id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// The topic and the number of the partition whose log `group` is.
    pub fn partition_of(&self, group: GroupId) -> Option<(&Arc<Topic>, u32)> {
        let (first, owned) = self.by_group.range(..=group).next_back()?;
        let behind = group.0 - first.0;
        (behind < u64::from(owned.count)).then(|| (&self.by_id[&owned.topic], owned.partition + behind as u32))
    }

    /// All topics by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// Partitions of all topics.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// The nodes that are registered, by id.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// A node that is registered.
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(&id)
    }

    /// Which servers came and went since the founding.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The settings of consumer groups that have some.
    pub fn group_configs(&self) -> impl ExactSizeIterator<Item = (&Text, &Arc<Overrides>)> {
        self.groups.iter()
    }

    /// The command is entry `index`.
    pub fn append(&mut self, index: Index, command: Command) {
        assert!(self.pending.back().is_none_or(|(last, _)| *last < index), "commands come in the order of the log");
        self.note_plan(&command);
        self.pending.push_back((index, command));
    }

    /// The ids of a command that waits are not for others, whoever planned it.
    fn note_plan(&mut self, command: &Command) {
        let groups = match command {
            Command::CreateTopic { first_group, partitions, .. } => Some((*first_group, *partitions)),
            Command::AddPartitions { id, total, first_group, .. } => {
                let had = self.by_id.get(id).map_or(0, |topic| topic.partitions.len());
                Some((*first_group, total.saturating_sub(had)))
            }
            Command::AllocateProducerIds { up_to } => {
                self.planned_producer_id = self.planned_producer_id.max(*up_to);
                None
            }
            _ => None,
        };
        if let Some((first, count)) = groups {
            self.planned_group = self.planned_group.max(GroupId(first.0.saturating_add(count.into())));
        }
    }

    /// Appended and not committed, in the order of the log.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = &(Index, Command)> {
        self.pending.iter()
    }

    /// All commands through entry `through` are committed: what each of them did.
    pub fn commit(&mut self, through: Index) -> Vec<(Index, Change)> {
        let mut changes = Vec::new();
        while self.pending.front().is_some_and(|(index, _)| *index <= through) {
            let (index, command) = self.pending.pop_front().expect("looked at above");
            changes.push((index, self.apply(index, &command)));
        }
        changes
    }

    /// Commands from entry `from` on, none of which is committed, were never there. Ids that they had are given to nobody
    /// else.
    pub fn cut(&mut self, from: Index) {
        while self.pending.back().is_some_and(|(index, _)| *index >= from) {
            self.pending.pop_back();
        }
    }

    /// Applies the command at `index` of the log. The same commands give the same state on every replica; one that the
    /// state already holds is passed over.
    pub fn apply(&mut self, index: Index, command: &Command) -> Change {
        if index <= self.applied {
            return Change::Stale;
        }
        self.applied = index;
        match self.change(command) {
            Ok(change) => change,
            Err(error) => Change::Refused(error),
        }
    }

    fn change(&mut self, command: &Command) -> Result<Change, CatalogError> {
        match command {
            Command::CreateTopic { name, id, first_group, partitions, replication, replicas, config, created } => {
                self.check_new_name(name)?;
                // Again: plans do not count what is under way.
                self.check_one_more()?;
                self.check_more(u64::from(*partitions), *partitions)?;
                if self.by_id.contains_key(id) || *id == TopicId::ZERO {
                    return Err(CatalogError::InvalidRequest(format!("topic id {id} is taken")));
                }
                check_replicas(replicas, *partitions, replicas.is_empty())?;
                self.check_not_gone(replicas)?;
                self.take_groups(*first_group, *partitions)?;
                let topic = Topic {
                    name: name.as_str().into(),
                    id: *id,
                    partitions: GroupRanges::new(*first_group, *partitions),
                    replication: *replication,
                    replicas: replicas.clone(),
                    moves: BTreeMap::new(),
                    created: *created,
                    config: TopicConfig::resolve(&self.defaults.config, config)?,
                    overrides: config.clone(),
                };
                Ok(Change::Created(self.insert(topic)))
            }
            Command::DeleteTopic { id } => {
                let topic = self.by_id.remove(id).ok_or(CatalogError::UnknownTopicId(*id))?;
                self.by_name.remove(&topic.name);
                self.alike.remove(&topic::alike(&topic.name));
                for (first, _) in topic.partitions.ranges() {
                    self.by_group.remove(&first);
                }
                self.partitions -= topic.partitions.len() as usize;
                self.loads.remove(&topic.future());
                Ok(Change::Deleted(topic))
            }
            Command::AddPartitions { id, total, first_group, replicas } => {
                let topic = self.by_id.get(id).ok_or(CatalogError::UnknownTopicId(*id))?;
                let from = topic.partitions.len();
                let more = total.checked_sub(from).filter(|&more| more > 0);
                let more = more.ok_or_else(|| CatalogError::too_few_partitions(topic, i64::from(*total)))?;
                let mut topic = Topic::clone(topic);
                check_replicas(replicas, more, topic.replicas.is_empty())?;
                self.check_not_gone(replicas)?;
                self.check_more(u64::from(*total), more)?;
                self.take_groups(*first_group, more)?;
                topic.partitions.add(*first_group, more);
                topic.replicas.extend(replicas);
                Ok(Change::Grown { topic: self.insert(topic), from })
            }
            Command::SetConfig { id, config } => {
                let topic = self.by_id.get(id).ok_or(CatalogError::UnknownTopicId(*id))?;
                let mut topic = Topic::clone(topic);
                topic.config = TopicConfig::resolve(&self.defaults.config, config)?;
                topic.overrides = config.clone();
                Ok(Change::Configured(self.insert(topic)))
            }
            Command::SetGroupConfig { group, config } => {
                let (group, config) = (Text::from(&**group), Arc::new(config.clone()));
                if config.is_empty() {
                    self.groups.remove(&group);
                } else {
                    self.check_one_more_group(&group)?;
                    self.groups.insert(Arc::clone(&group), Arc::clone(&config));
                }
                Ok(Change::GroupConfigured { group, config })
            }
            Command::Move { id, wishes } => self.begin_moves(*id, wishes),
            Command::EndMoves { id, ended } => self.end_moves(*id, ended),
            Command::Leave { node, leaving } => self.leave(*node, *leaving),
            Command::RegisterNode(node) => {
                if self.membership.gone(node.id).is_some() {
                    return Err(CatalogError::InvalidRequest(format!(
                        "Node {} was removed from the cluster.",
                        node.id
                    )));
                }
                if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&node.id) {
                    return Err(CatalogError::Limit(format!("A cluster can have at most {NODES_MAX} nodes.")));
                }
                let mut node = node.clone();
                node.live_on(self.nodes.get(&node.id).map(|known| &**known), self.next_group);
                let node = Arc::new(node);
                self.nodes.insert(node.id, Arc::clone(&node));
                Ok(Change::Node(node))
            }
            Command::AdmitNode { node, admission } => {
                self.membership.admit(*node, admission)?;
                Ok(Change::Admitted(*node))
            }
            Command::RemoveNode(node) => {
                let (replicas, _) = self.held_by(*node);
                if replicas > 0 {
                    let why = format!("Node {node} still has {replicas} replicas: they are moved away first.");
                    return Err(CatalogError::InvalidRequest(why));
                }
                self.membership.remove(*node);
                self.leaving.remove(node);
                self.nodes.remove(node);
                Ok(Change::Removed(*node))
            }
            Command::AllocateProducerIds { up_to } => {
                let first = self.next_producer_id;
                if *up_to <= first {
                    return Err(CatalogError::InvalidRequest(format!("producer ids up to {up_to} are taken")));
                }
                self.next_producer_id = *up_to;
                self.planned_producer_id = self.planned_producer_id.max(*up_to);
                Ok(Change::ProducerIds { first: ProducerId(first), end: ProducerId(*up_to) })
            }
        }
    }

    /// Fails if one of the replicas is on a node that was removed after they were planned.
    fn check_not_gone(&self, replicas: &Replicas) -> Result<(), CatalogError> {
        let mut gone = self.membership.all_gone().map(|(node, _)| node);
        match gone.find(|node| replicas.counted().any(|(row, _)| row.contains(node))) {
            Some(node) => Err(CatalogError::InvalidAssignment(format!("Node {node} was removed from the cluster."))),
            None => Ok(()),
        }
    }

    /// Marks `count` group ids from `first` on as used; they were given by a plan and are used once.
    fn take_groups(&mut self, first: GroupId, count: u32) -> Result<(), CatalogError> {
        let end = first.0.checked_add(u64::from(count)).map(GroupId);
        let end = end.filter(|_| first >= self.next_group && count > 0);
        let end = end.ok_or_else(|| CatalogError::InvalidRequest(format!("group ids from {first} on are taken")))?;
        self.next_group = end;
        self.planned_group = self.planned_group.max(end);
        Ok(())
    }

    /// Puts a topic in the place of the one with its id, or as a new one.
    fn insert(&mut self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        let mut partition = 0;
        for (first, count) in topic.partitions.ranges() {
            self.by_group.insert(first, Owned { topic: topic.id, partition, count });
            partition += count;
        }
        self.partitions += topic.partitions.len() as usize;
        self.loads.add(&topic.future());
        if topic::can_be_mistaken(&topic.name) {
            self.alike.insert(topic::alike(&topic.name), Arc::clone(&topic.name));
        }
        self.by_name.insert(Arc::clone(&topic.name), Arc::clone(&topic));
        if let Some(before) = self.by_id.insert(topic.id, Arc::clone(&topic)) {
            self.partitions -= before.partitions.len() as usize;
            self.loads.remove(&before.future());
        }
        topic
    }
}

/// Fails unless each of `partitions` partitions has replicas, or none has because the one node has them all.
fn check_replicas(replicas: &Replicas, partitions: u32, has_none: bool) -> Result<(), CatalogError> {
    if if has_none { replicas.is_empty() } else { replicas.len() == partitions } {
        return Ok(());
    }
    let named = replicas.len();
    Err(CatalogError::InvalidRequest(format!("replicas of {named} partitions were named instead of {partitions}")))
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
