//! Topics and their settings: a log of its own for now, behind this one interface; it moves into the coordination tree
//! later.
//!
//! A change is planned ([`Catalog::plan_create`] and its like check it against the state and give it its ids), goes
//! through the log as a [`Command`], and is applied in the log's order. Two plans may be under way at once: the later
//! one can turn out impossible when it is applied ([`Change::Refused`]), the same on every replica. What is appended and
//! not known to be committed waits beside the state, and can be taken back.

mod assignment;
mod command;
mod error;
mod plan;
mod topic;

pub use assignment::Assignments;
pub use command::Command;
pub use error::CatalogError;
pub use plan::NewTopic;
pub use topic::{GroupRanges, Topic, check_name, is_internal, is_reserved};

use crate::codec::{DecodeError, Decoder, put_bytes, put_i64, put_u64};
use crate::config::{Overrides, TopicConfig};
use crate::coordinator::Text;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use torc_base::ids::{GroupId, Index, NodeId, ProducerId, TopicId};
use torc_base::limits::{GROUP_CONFIGS_MAX, GROUP_NAME_BYTES_MAX, TOPIC_NAME_MAX, TOPIC_PARTITIONS_MAX, TOPICS_MAX};
use torc_base::time::Wall;

/// First byte of an encoded catalog, and of one in which groups have settings: those follow the topics.
const VERSION: u8 = 1;
const VERSION_WITH_GROUPS: u8 = 2;
/// The same with groups, whether or not there are any, and commands that are not committed behind them.
const VERSION_WITH_PENDING: u8 = 3;

/// What topics are made like when their creator does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// `num.partitions`.
    pub partitions: u32,
    /// Settings.
    pub config: TopicConfig,
    /// Nodes that can hold a replica; as many as the largest replication factor.
    pub brokers: Vec<NodeId>,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults { partitions: 1, config: TopicConfig::default(), brokers: vec![NodeId(1)] }
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
    /// Appended and not committed, in the order of the log.
    pending: VecDeque<(Index, Command)>,
    /// Ids that plans under way have been given; what is applied catches up. Not part of the state.
    planned_group: GroupId,
    planned_producer_id: i64,
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
            pending: VecDeque::new(),
            // Shard 0 has the catalog, and often a core that the kernel keeps house on: the first partition goes elsewhere.
            planned_group: GroupId::FIRST_PARTITION.next(),
            planned_producer_id: 0,
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
            Command::AddPartitions { id, total, first_group } => {
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
            Command::CreateTopic { name, id, first_group, partitions, replication, config, created } => {
                self.check_new_name(name)?;
                // Again: plans do not count what is under way.
                self.check_one_more()?;
                self.check_more(u64::from(*partitions), *partitions)?;
                if self.by_id.contains_key(id) || *id == TopicId::ZERO {
                    return Err(CatalogError::InvalidRequest(format!("topic id {id} is taken")));
                }
                self.take_groups(*first_group, *partitions)?;
                let topic = Topic {
                    name: name.as_str().into(),
                    id: *id,
                    partitions: GroupRanges::new(*first_group, *partitions),
                    replication: *replication,
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
                Ok(Change::Deleted(topic))
            }
            Command::AddPartitions { id, total, first_group } => {
                let topic = self.by_id.get(id).ok_or(CatalogError::UnknownTopicId(*id))?;
                let from = topic.partitions.len();
                let more = total.checked_sub(from).filter(|&more| more > 0);
                let more = more.ok_or_else(|| CatalogError::too_few_partitions(topic, i64::from(*total)))?;
                let mut topic = Topic::clone(topic);
                self.check_more(u64::from(*total), more)?;
                self.take_groups(*first_group, more)?;
                topic.partitions.add(*first_group, more);
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
        if topic::can_be_mistaken(&topic.name) {
            self.alike.insert(topic::alike(&topic.name), Arc::clone(&topic.name));
        }
        self.by_name.insert(Arc::clone(&topic.name), Arc::clone(&topic));
        if let Some(before) = self.by_id.insert(topic.id, Arc::clone(&topic)) {
            self.partitions -= before.partitions.len() as usize;
        }
        topic
    }

    /// Appends the catalog for a checkpoint.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // Without such settings, and commands, an older torc can read it, too.
        let version = match (self.pending.is_empty(), self.groups.is_empty()) {
            (true, true) => VERSION,
            (true, false) => VERSION_WITH_GROUPS,
            (false, _) => VERSION_WITH_PENDING,
        };
        out.push(version);
        put_u64(out, self.applied.0);
        put_u64(out, self.next_group.0);
        put_u64(out, self.next_producer_id as u64);
        put_u64(out, self.by_name.len() as u64);
        for topic in self.by_name.values() {
            put_bytes(out, topic.name.as_bytes());
            out.extend_from_slice(&topic.id.0.to_be_bytes());
            put_i64(out, topic.created.0);
            put_u64(out, topic.replication as u64);
            put_u64(out, topic.partitions.ranges().len() as u64);
            for (first, count) in topic.partitions.ranges() {
                put_u64(out, first.0);
                put_u64(out, u64::from(count));
            }
            command::put_overrides(out, &topic.overrides);
        }
        if version == VERSION {
            return;
        }
        put_u64(out, self.groups.len() as u64);
        for (group, config) in &self.groups {
            put_bytes(out, group.as_bytes());
            command::put_overrides(out, config);
        }
        if version == VERSION_WITH_PENDING {
            self.encode_pending(out);
        }
    }

    fn encode_pending(&self, out: &mut Vec<u8>) {
        put_u64(out, self.pending.len() as u64);
        let mut bytes = Vec::new();
        for (index, command) in &self.pending {
            bytes.clear();
            command.encode(&mut bytes);
            put_u64(out, index.0);
            put_bytes(out, &bytes);
        }
    }

    fn decode_pending(&mut self, from: &mut Decoder<'_, '_>) -> Result<(), DecodeError> {
        let count = from.count(usize::MAX, "number of commands")?;
        from.check(count > 0, "number of commands")?;
        for _ in 0..count {
            let index = Index(from.u64("command's index")?);
            let before = self.pending.back().map_or(self.applied, |(last, _)| *last);
            from.check(index > before, "command's index")?;
            let length = from.count(usize::MAX, "command's length")?;
            let command = Command::decode(from.take(length, "command")?)?;
            self.append(index, command);
        }
        Ok(())
    }

    /// Takes a catalog off the front of `bytes`.
    pub fn decode(defaults: Defaults, bytes: &mut &[u8]) -> Result<Catalog, DecodeError> {
        let mut from = Decoder::new(bytes);
        let version = from.u8("catalog's version")?;
        from.check(matches!(version, VERSION | VERSION_WITH_GROUPS | VERSION_WITH_PENDING), "catalog's version")?;
        let mut catalog = Catalog::new(defaults.clone());
        catalog.applied = Index(from.u64("catalog's index")?);
        let next_group = GroupId(from.u64("next group")?);
        from.check(next_group >= GroupId::FIRST_PARTITION, "next group")?;
        catalog.next_producer_id = from.positive("next producer id")?;
        for _ in 0..from.count(TOPICS_MAX, "number of topics")? {
            let topic = decode_topic(&defaults, next_group, &mut from)?;
            let is_new = catalog.check_new_name(&topic.name).is_ok() && !catalog.by_id.contains_key(&topic.id);
            from.check(is_new, "topic")?;
            let free = |(first, count)| catalog.are_free(first, count);
            from.check(topic.partitions.ranges().all(free), "topic's groups")?;
            catalog.insert(topic);
        }
        if version != VERSION {
            for _ in 0..from.count(GROUP_CONFIGS_MAX, "number of groups' settings")? {
                let group = Text::from(from.text(GROUP_NAME_BYTES_MAX, "group's name")?);
                let config = command::take_overrides(&mut from)?;
                let is_new = !config.is_empty() && catalog.groups.insert(group, Arc::new(config)).is_none();
                from.check(is_new, "group's settings")?;
            }
        }
        catalog.next_group = next_group;
        catalog.planned_group = next_group;
        catalog.planned_producer_id = catalog.next_producer_id;
        if version == VERSION_WITH_PENDING {
            catalog.decode_pending(&mut from)?;
        }
        Ok(catalog)
    }

    /// True if no topic has a group among the `count` from `first` on.
    fn are_free(&self, first: GroupId, count: u32) -> bool {
        let last = first.plus(u64::from(count) - 1);
        let before = self.by_group.range(..=last).next_back();
        before.is_none_or(|(other, owned)| other.0 + u64::from(owned.count) <= first.0)
    }
}

fn decode_topic(defaults: &Defaults, end: GroupId, from: &mut Decoder<'_, '_>) -> Result<Topic, DecodeError> {
    let name = from.text(TOPIC_NAME_MAX, "topic's name")?.into();
    let id = command::take_topic_id(from)?;
    let created = Wall(from.i64("topic's time")?);
    let replication = from.u64_max(i16::MAX as u64, "replication factor")? as i16;
    from.check(replication > 0, "replication factor")?;
    let mut partitions = GroupRanges::default();
    for _ in 0..from.count(TOPIC_PARTITIONS_MAX, "topic's groups")? {
        let first = GroupId(from.u64("topic's groups")?);
        let room = TOPIC_PARTITIONS_MAX as u64 - u64::from(partitions.len());
        let count = from.u64_max(room, "topic's partitions")?;
        let fits = first >= GroupId::FIRST_PARTITION && first.0.checked_add(count).is_some_and(|e| e <= end.0);
        from.check(count > 0 && fits && partitions.ranges().all(|(f, n)| f.0 + u64::from(n) <= first.0), "groups")?;
        partitions.add(first, count as u32);
    }
    from.check(partitions.len() > 0, "topic's partitions")?;
    let overrides: Overrides = command::take_overrides(from)?;
    let config = TopicConfig::resolve(&defaults.config, &overrides).map_err(|_| from.bad("topic's settings"))?;
    Ok(Topic { name, id, partitions, replication, created, config, overrides })
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
