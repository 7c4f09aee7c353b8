//! Turning wishes into commands: everything is checked here, before the log is touched.

use super::placement::{Candidate, Load, Loads, place};
use super::{
    Assignments, Catalog, CatalogError, Command, GroupRanges, Replicas, Topic, assignment, check_name, is_internal,
    is_reserved, topic,
};
use crate::config::{Alter, Overrides, TopicConfig, alter};
use crate::coordinator::CoordinatorSettings;
use crate::group_config;
use std::collections::BTreeSet;
use torc_base::ids::{GroupId, NodeId, TopicId};
use torc_base::limits::{
    GROUP_CONFIGS_MAX, GROUP_NAME_BYTES_MAX, PARTITIONS_MAX, REPLICAS_MAX, REPLICATION_DEFAULT, TOPIC_PARTITIONS_MAX,
    TOPICS_MAX,
};
use torc_base::time::Wall;

/// A topic that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// A random id, not zero.
    pub id: TopicId,
    /// How many; -1: the server's default.
    pub partitions: i32,
    /// Copies; -1: the server's default.
    pub replication: i16,
    /// Which nodes have them; empty: the server chooses. If not, the two numbers above must be -1.
    pub assignments: Assignments,
    /// Settings of its own.
    pub config: Overrides,
    /// The time.
    pub created: Wall,
}

impl Catalog {
    /// Plans that follow are made together, knowing of those that are in the log. Nodes that are not there get replicas
    /// only if the others do not suffice.
    pub fn begin_plans(&mut self, absent: &BTreeSet<NodeId>) {
        self.absent.clone_from(absent);
        self.planned_loads = Loads::default();
        for (_, command) in &self.pending {
            if let Command::CreateTopic { replicas, .. } | Command::AddPartitions { replicas, .. } = command {
                self.planned_loads.add(replicas);
            }
        }
    }

    /// All nodes that can hold replicas, by id.
    pub fn members(&self) -> BTreeSet<NodeId> {
        let all = self.defaults.brokers.iter().chain(self.nodes.keys()).copied();
        all.filter(|node| self.membership.gone(*node).is_none()).collect()
    }

    /// True if it is said which nodes have a topic.
    fn places(&self) -> bool {
        self.members().len() > 1
    }

    /// Copies of a topic whose creator does not say.
    fn default_copies(&self) -> i16 {
        self.defaults.replication.unwrap_or(self.holders().len().min(REPLICATION_DEFAULT) as i16)
    }

    /// Places new partitions of a topic that has replicas already, or has none yet.
    fn plan_replicas(&mut self, partitions: u32, copies: usize, has: &Replicas) -> Replicas {
        let holders = self.holders();
        let candidates = holders.iter().map(|&id| {
            let (stands, planned) = (self.loads.of(id), self.planned_loads.of(id));
            Candidate {
                id,
                rack: self.nodes.get(&id).and_then(|node| node.rack.as_deref()),
                absent: self.absent.contains(&id),
                load: Load { first: stands.first + planned.first, all: stands.all + planned.all },
            }
        });
        let replicas = place(&candidates.collect::<Vec<_>>(), partitions, copies, has);
        self.planned_loads.add(&replicas);
        replicas
    }

    /// Partitions that a topic is to have whose creator says so many, or places so many; 0 if that makes no sense.
    pub fn wanted_partitions(&self, partitions: i32, placed: usize) -> usize {
        match partitions {
            _ if placed > 0 => placed,
            -1 => self.defaults.partitions as usize,
            partitions => usize::try_from(partitions).unwrap_or(0),
        }
    }

    /// Partitions that a topic is to get which is to have `total`; 0 if that makes no sense.
    pub fn added_partitions(&self, name: &str, total: i32) -> usize {
        let has = self.by_name.get(name).map_or(u32::MAX, |topic| topic.partitions.len());
        u32::try_from(total).unwrap_or(0).saturating_sub(has) as usize
    }

    /// Plans a topic.
    pub fn plan_create(&mut self, new: NewTopic) -> Result<Command, CatalogError> {
        let NewTopic { name, id, partitions, replication, assignments, config, created } = new;
        self.check_new_name(&name)?;
        // Not when it is applied: an older torc may have made such a topic, and its log must be readable.
        if is_reserved(&name) {
            let why = format!("Creation of internal topic {name} is prohibited.");
            return Err(CatalogError::InvalidRequest(why));
        }
        if id == TopicId::ZERO || self.by_id.contains_key(&id) {
            return Err(CatalogError::InvalidRequest(format!("topic id {id} is taken")));
        }
        let config = TopicConfig::canonical(&config)?;
        let new = NewTopic { name, id, partitions, replication, assignments, config, created };
        self.plan_checked(new)
    }

    /// Plans a topic of the server's own, which is compacted. `replication` is what there should be; it gets as many
    /// copies as there are nodes.
    pub fn plan_internal(
        &mut self,
        name: &str,
        id: TopicId,
        partitions: u32,
        replication: i16,
        created: Wall,
    ) -> Result<Command, CatalogError> {
        self.check_new_name(name)?;
        assert!(is_internal(name), "only the server's own topics are made so");
        let nodes = i16::try_from(self.holders().len()).unwrap_or(i16::MAX);
        let config = [("cleanup.policy", "compact"), ("compression.type", "producer")];
        self.plan_checked(NewTopic {
            name: name.into(),
            id,
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            replication: replication.min(nodes),
            assignments: Assignments::new(),
            config: config.map(|(key, value)| (key.into(), value.into())).into(),
            created,
        })
    }

    /// The rest of a plan, when name and settings have been looked at.
    fn plan_checked(&mut self, new: NewTopic) -> Result<Command, CatalogError> {
        let NewTopic { name, id, partitions, replication, assignments, config, created } = new;
        let (count, replication) = if assignments.is_empty() {
            self.plan_size(partitions, replication)?
        } else {
            self.plan_assigned(partitions, replication, &assignments)?
        };
        self.check_one_more()?;
        self.check_more(u64::from(count), count)?;
        let replicas = match &assignments[..] {
            _ if !self.places() => Replicas::default(),
            [] => self.plan_replicas(count, replication as usize, &Replicas::default()),
            _ => {
                let replicas = assignment::in_order(&assignments);
                self.planned_loads.add(&replicas);
                replicas
            }
        };
        let first_group = self.plan_groups(count);
        Ok(Command::CreateTopic { name, id, first_group, partitions: count, replication, replicas, config, created })
    }

    /// Partitions and copies of a topic whose replicas the server places.
    fn plan_size(&self, partitions: i32, replication: i16) -> Result<(u32, i16), CatalogError> {
        let replication = if replication == -1 { self.default_copies() } else { replication };
        if replication < 1 {
            let why = format!("Replication factor must be larger than 0, or -1 for the default, not {replication}.");
            return Err(CatalogError::InvalidReplication(why));
        }
        let partitions = if partitions == -1 { i64::from(self.defaults.partitions) } else { i64::from(partitions) };
        let Some(count) = u32::try_from(partitions).ok().filter(|&count| count > 0) else {
            let why = format!("Number of partitions must be larger than 0, or -1 for the default, not {partitions}.");
            return Err(CatalogError::InvalidPartitions(why));
        };
        let members = self.holders();
        let (copies, nodes) = (replication as usize, members.len());
        if copies > nodes {
            let why =
                format!("Unable to replicate the partition {replication} time(s): there is/are only {nodes} node(s).");
            return Err(CatalogError::InvalidReplication(why));
        }
        check_copies(copies)?;
        // With fewer it would have no leader.
        let present = members.difference(&self.absent).count();
        if present < copies / 2 + 1 {
            let why = format!(
                "Unable to replicate the partition {replication} time(s): only {present} of {nodes} node(s) are there now."
            );
            return Err(CatalogError::InvalidReplication(why));
        }
        Ok((count, replication))
    }

    /// Partitions and copies of a topic whose replicas its creator places.
    fn plan_assigned(
        &self,
        partitions: i32,
        replication: i16,
        assignments: &Assignments,
    ) -> Result<(u32, i16), CatalogError> {
        for (number, what) in [(i32::from(replication), "replication factor"), (partitions, "number of partitions")] {
            if number != -1 {
                let why = format!("A manual partition assignment was specified, but the {what} was not set to -1.");
                return Err(CatalogError::InvalidRequest(why));
            }
        }
        let copies = assignment::check_new(assignments, &self.holders())?;
        check_copies(copies as usize)?;
        Ok((assignments.len() as u32, copies))
    }

    /// The topic that a planned command would make, for whoever only wants to know; `None` of another command.
    pub fn preview(&self, command: &Command) -> Option<Topic> {
        let Command::CreateTopic { name, id, first_group, partitions, replication, replicas, config, created } =
            command
        else {
            return None;
        };
        Some(Topic {
            name: name.as_str().into(),
            id: *id,
            partitions: GroupRanges::new(*first_group, *partitions),
            replication: *replication,
            replicas: replicas.clone(),
            moves: Default::default(),
            created: *created,
            config: TopicConfig::resolve(&self.defaults.config, config).ok()?,
            overrides: config.clone(),
        })
    }

    /// Plans the end of a topic.
    pub fn plan_delete(&self, name: &str) -> Result<Command, CatalogError> {
        Ok(Command::DeleteTopic { id: self.changeable(name)?.id })
    }

    /// Plans more partitions, up to `total`; where their replicas are, if the client says so, one list to each.
    pub fn plan_partitions(
        &mut self,
        name: &str,
        total: i32,
        assignments: Option<&[Vec<i32>]>,
    ) -> Result<Command, CatalogError> {
        let topic = self.changeable(name)?;
        let (id, has, copies) = (topic.id, topic.partitions.len(), topic.replication);
        let count = u32::try_from(total).ok().filter(|&count| count > has);
        let count = count.ok_or_else(|| CatalogError::too_few_partitions(topic, i64::from(total)))?;
        let more = count - has;
        if let Some(assignments) = assignments {
            assignment::check_more(assignments, more, copies, &self.holders())?;
        }
        self.check_more(u64::from(count), more)?;
        let has = topic.replicas.clone();
        let replicas = match assignments {
            // The one node has them, too.
            _ if has.is_empty() => Replicas::default(),
            None => self.plan_replicas(more, copies as usize, &has),
            Some(assignments) => {
                let replicas = assignment::rows(assignments.iter());
                self.planned_loads.add(&replicas);
                replicas
            }
        };
        Ok(Command::AddPartitions { id, total: count, first_group: self.plan_groups(more), replicas })
    }

    /// Plans changes of single settings (IncrementalAlterConfigs).
    pub fn plan_alter(&self, name: &str, changes: &[(String, Alter)]) -> Result<Command, CatalogError> {
        let overrides = &self.to_configure(name)?.overrides;
        self.plan_config(name, alter(&self.defaults.config, overrides, changes)?)
    }

    /// Plans other settings in the place of all that the topic has of its own (AlterConfigs).
    pub fn plan_config(&self, name: &str, config: Overrides) -> Result<Command, CatalogError> {
        let topic = self.to_configure(name)?;
        let id = topic.id;
        if !is_internal(name) {
            return Ok(Command::SetConfig { id, config: TopicConfig::canonical(&config)? });
        }
        // It stays compacted, whatever else is set.
        const POLICY: &str = "cleanup.policy";
        let policy = topic.overrides.get(POLICY).cloned();
        if config.get(POLICY).is_some_and(|wanted| policy.as_ref() != Some(wanted)) {
            let why = format!("The {POLICY} of {name} cannot be changed.");
            return Err(CatalogError::InvalidRequest(why));
        }
        let others = config.into_iter().filter(|(key, _)| key != POLICY).collect();
        let mut config = TopicConfig::canonical(&others)?;
        config.extend(policy.map(|policy| (POLICY.to_string(), policy)));
        Ok(Command::SetConfig { id, config })
    }

    /// Plans changes of single settings of a consumer group.
    pub fn plan_group_alter(
        &self,
        settings: &CoordinatorSettings,
        group: &str,
        changes: &[(String, Alter)],
    ) -> Result<Command, CatalogError> {
        let nothing = Overrides::new();
        let config = self.groups.get(group).map_or(&nothing, |config| &**config);
        self.plan_group_config(settings, group, group_config::alter(config, changes)?)
    }

    /// Plans other settings in the place of all that the group has of its own.
    pub fn plan_group_config(
        &self,
        settings: &CoordinatorSettings,
        group: &str,
        config: Overrides,
    ) -> Result<Command, CatalogError> {
        if group.len() > GROUP_NAME_BYTES_MAX {
            let why = format!("A group's name of more than {GROUP_NAME_BYTES_MAX} bytes can have no settings.");
            return Err(CatalogError::InvalidRequest(why));
        }
        let config = group_config::canonical(settings, &config)?;
        if !config.is_empty() {
            self.check_one_more_group(group)?;
        }
        Ok(Command::SetGroupConfig { group: group.into(), config })
    }

    /// Plans `count` more producer ids for one shard to hand out.
    pub fn plan_producer_ids(&mut self, count: u32) -> Result<Command, CatalogError> {
        assert!(count > 0, "no producer ids asked for");
        let up_to = self.planned_producer_id.checked_add(i64::from(count));
        let up_to = up_to.ok_or_else(|| CatalogError::Limit("There are no producer ids left.".into()))?;
        self.planned_producer_id = up_to;
        Ok(Command::AllocateProducerIds { up_to })
    }

    fn to_configure(&self, name: &str) -> Result<&topic::Topic, CatalogError> {
        if name.is_empty() {
            return Err(CatalogError::InvalidRequest("Default topic resources are not allowed.".into()));
        }
        check_name(name)?;
        self.known(name)
    }

    /// A topic that clients may delete and extend: groups would lose what they have in one of the server's own.
    fn changeable(&self, name: &str) -> Result<&topic::Topic, CatalogError> {
        let topic = self.known(name)?;
        if is_internal(name) {
            return Err(CatalogError::InvalidTopic(format!("{name} is the server's own.")));
        }
        Ok(topic)
    }

    pub(super) fn known(&self, name: &str) -> Result<&topic::Topic, CatalogError> {
        self.by_name.get(name).map(|topic| &**topic).ok_or_else(|| CatalogError::UnknownTopic(name.into()))
    }

    pub(super) fn check_new_name(&self, name: &str) -> Result<(), CatalogError> {
        check_name(name)?;
        if self.by_name.contains_key(name) {
            return Err(CatalogError::TopicExists(name.into()));
        }
        match self.alike.get(&topic::alike(name)).filter(|_| topic::can_be_mistaken(name)) {
            None => Ok(()),
            Some(other) => Err(CatalogError::InvalidTopic(format!(
                "Topic '{name}' collides with existing topic '{other}': '.' and '_' are alike in names of metrics."
            ))),
        }
    }

    /// Fails if as many groups have settings as torc bears.
    pub(super) fn check_one_more_group(&self, group: &str) -> Result<(), CatalogError> {
        if self.groups.len() >= GROUP_CONFIGS_MAX && !self.groups.contains_key(group) {
            let why = format!("{GROUP_CONFIGS_MAX} groups have settings; more are not supported.");
            return Err(CatalogError::Limit(why));
        }
        Ok(())
    }

    /// Fails if there are as many topics as torc bears.
    pub(super) fn check_one_more(&self) -> Result<(), CatalogError> {
        if self.by_name.len() >= TOPICS_MAX {
            return Err(CatalogError::Limit(format!("There are {TOPICS_MAX} topics; more are not supported.")));
        }
        Ok(())
    }

    /// Fails if a topic of `total` partitions, `more` of them new, would be more than torc bears.
    pub(super) fn check_more(&self, total: u64, more: u32) -> Result<(), CatalogError> {
        if total > TOPIC_PARTITIONS_MAX as u64 {
            let why = format!("A topic can have at most {TOPIC_PARTITIONS_MAX} partitions, not {total}.");
            return Err(CatalogError::InvalidPartitions(why));
        }
        let has = self.partitions;
        if has + more as usize > PARTITIONS_MAX {
            let why =
                format!("{more} more partitions than the {has} there are would exceed the {PARTITIONS_MAX} of a node.");
            return Err(CatalogError::Limit(why));
        }
        Ok(())
    }

    fn plan_groups(&mut self, count: u32) -> GroupId {
        let first = self.planned_group;
        self.planned_group = first.plus(u64::from(count));
        first
    }
}

/// Fails if a partition is to have more replicas than torc bears.
pub(super) fn check_copies(copies: usize) -> Result<(), CatalogError> {
    if copies > REPLICAS_MAX {
        let why = format!("A partition can have at most {REPLICAS_MAX} replicas, not {copies}.");
        return Err(CatalogError::InvalidReplication(why));
    }
    Ok(())
}
