//! The catalog in checkpoints.

use super::{Catalog, Command, Defaults, GroupRanges, Membership, Node, Replicas, Topic, command};
use crate::codec::{DecodeError, Decoder, put_bytes, put_i64, put_u64};
use crate::config::{Overrides, TopicConfig};
use crate::coordinator::Text;
use std::collections::VecDeque;
use std::sync::Arc;
use torc_base::ids::{GroupId, Index};
use torc_base::limits::{
    GROUP_CONFIGS_MAX, GROUP_NAME_BYTES_MAX, NODES_MAX, TOPIC_NAME_MAX, TOPIC_PARTITIONS_MAX, TOPICS_MAX,
};
use torc_base::time::Wall;

/// First byte of an encoded catalog, and of one in which groups have settings: those follow the topics.
const VERSION: u8 = 1;
const VERSION_WITH_GROUPS: u8 = 2;
/// The same with groups, whether or not there are any, and commands that are not committed behind them.
const VERSION_WITH_PENDING: u8 = 3;
/// The same with all of these, whether or not there are any, with nodes before the topics, and the replicas of each topic.
const VERSION_WITH_NODES: u8 = 4;
/// The same with servers that came and went since the founding, behind the nodes.
const VERSION_WITH_MEMBERSHIP: u8 = 5;
/// The same with all of these, and moves behind them.
const VERSION_WITH_MOVES: u8 = 6;

impl Catalog {
    /// Appends the catalog for a checkpoint.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_with(out, &self.pending);
    }

    /// The same without what is not committed: for a member that lacks what the log does not have any more.
    pub fn encode_committed(&self, out: &mut Vec<u8>) {
        self.encode_with(out, &VecDeque::new());
    }

    fn encode_with(&self, out: &mut Vec<u8>, pending: &VecDeque<(Index, Command)>) {
        // Without what it does not know an older torc can read it, too.
        let is_cluster = !self.nodes.is_empty() || self.by_name.values().any(|topic| !topic.replicas.is_empty());
        let version = match (is_cluster, pending.is_empty(), self.groups.is_empty()) {
            _ if self.has_moves() => VERSION_WITH_MOVES,
            _ if !self.membership.is_empty() => VERSION_WITH_MEMBERSHIP,
            (true, ..) => VERSION_WITH_NODES,
            (_, true, true) => VERSION,
            (_, true, false) => VERSION_WITH_GROUPS,
            (_, false, _) => VERSION_WITH_PENDING,
        };
        out.push(version);
        put_u64(out, self.applied.0);
        put_u64(out, self.next_group.0);
        put_u64(out, self.next_producer_id as u64);
        if version >= VERSION_WITH_NODES {
            put_u64(out, self.nodes.len() as u64);
            self.nodes.values().for_each(|node| node.encode(out));
        }
        if version >= VERSION_WITH_MEMBERSHIP {
            self.membership.encode(out);
        }
        put_u64(out, self.by_name.len() as u64);
        for topic in self.by_name.values() {
            put_topic(out, topic);
            if version >= VERSION_WITH_NODES {
                topic.replicas.encode(out);
            }
        }
        if version == VERSION {
            return;
        }
        put_u64(out, self.groups.len() as u64);
        for (group, config) in &self.groups {
            put_bytes(out, group.as_bytes());
            command::put_overrides(out, config);
        }
        if version >= VERSION_WITH_PENDING {
            encode_pending(pending, out);
        }
        if version >= VERSION_WITH_MOVES {
            self.encode_moves(out);
        }
    }

    fn decode_pending(&mut self, from: &mut Decoder<'_, '_>) -> Result<(), DecodeError> {
        for _ in 0..from.count(usize::MAX, "number of commands")? {
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
        from.check((VERSION..=VERSION_WITH_MOVES).contains(&version), "catalog's version")?;
        let mut catalog = Catalog::new(defaults.clone());
        catalog.applied = Index(from.u64("catalog's index")?);
        let next_group = GroupId(from.u64("next group")?);
        from.check(next_group >= GroupId::FIRST_PARTITION, "next group")?;
        catalog.next_producer_id = from.positive("next producer id")?;
        if version >= VERSION_WITH_NODES {
            for _ in 0..from.count(NODES_MAX, "number of nodes")? {
                let node = Node::decode(&mut from)?;
                from.check(catalog.nodes.last_key_value().is_none_or(|(last, _)| *last < node.id), "node's id")?;
                catalog.nodes.insert(node.id, Arc::new(node));
            }
        }
        if version >= VERSION_WITH_MEMBERSHIP {
            catalog.membership = Membership::decode(&mut from)?;
        }
        for _ in 0..from.count(TOPICS_MAX, "number of topics")? {
            let mut topic = take_topic(&defaults.config, next_group, &mut from)?;
            if version >= VERSION_WITH_NODES {
                topic.replicas = take_replicas(&topic, &mut from)?;
            }
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
        if version >= VERSION_WITH_PENDING {
            from.check(version >= VERSION_WITH_NODES || !from.is_at(0), "number of commands")?;
            catalog.decode_pending(&mut from)?;
        }
        if version >= VERSION_WITH_MOVES {
            catalog.decode_moves(&mut from)?;
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

impl Topic {
    /// Appends the topic, for whoever knows the same defaults.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_topic(out, self);
        self.replicas.encode(out);
    }

    /// Takes a topic off the front of what is being read.
    pub fn decode(defaults: &TopicConfig, from: &mut Decoder<'_, '_>) -> Result<Topic, DecodeError> {
        let mut topic = take_topic(defaults, GroupId(u64::MAX), from)?;
        topic.replicas = take_replicas(&topic, from)?;
        Ok(topic)
    }
}

fn encode_pending(pending: &VecDeque<(Index, Command)>, out: &mut Vec<u8>) {
    put_u64(out, pending.len() as u64);
    let mut bytes = Vec::new();
    for (index, command) in pending {
        bytes.clear();
        command.encode(&mut bytes);
        put_u64(out, index.0);
        put_bytes(out, &bytes);
    }
}

/// All but the replicas.
fn put_topic(out: &mut Vec<u8>, topic: &Topic) {
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

fn take_replicas(topic: &Topic, from: &mut Decoder<'_, '_>) -> Result<Replicas, DecodeError> {
    let replicas = Replicas::decode(from)?;
    from.check(replicas.is_empty() || replicas.len() == topic.partitions.len(), "replicas of a topic")?;
    Ok(replicas)
}

/// The reverse of [`put_topic`]. Groups end before `end`.
fn take_topic(defaults: &TopicConfig, end: GroupId, from: &mut Decoder<'_, '_>) -> Result<Topic, DecodeError> {
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
    let config = TopicConfig::resolve(defaults, &overrides).map_err(|_| from.bad("topic's settings"))?;
    let (replicas, moves) = Default::default();
    Ok(Topic { name, id, partitions, replication, replicas, moves, created, config, overrides })
}
