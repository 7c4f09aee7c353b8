//! Partitions whose replicas are exchanged, and nodes that are left by all of them.
//!
//! A move stands in the catalog from the command that begins it to the one that ends it. In between the partition's own
//! group is brought from its old replicas to the new ones by whoever leads it, step by step, and only the group's log says
//! how far that has come: nodes that had or are to have the partition keep it until the end. To cancel is to move back.

use super::placement::Load;
use super::{Catalog, CatalogError, Change, Command, Replicas, Topic};
use crate::codec::{DecodeError, Decoder, put_u64};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use torc_base::ids::{Index, NodeId, TopicId};
use torc_base::limits::{MOVE_MEMBERS_MAX, NODES_MAX, REPLICAS_MAX, TOPIC_PARTITIONS_MAX};

/// A partition that is being brought to other replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The entry of the catalog's log that said so last; names this wish among all for the partition.
    pub number: Index,
    /// Who is to have it, the first of them to lead.
    pub target: Vec<NodeId>,
    /// Who may have it now: its replicas before, and all that were to get it since.
    pub members: Vec<NodeId>,
}

/// Partitions of a topic by number, each with who is to have it; `None`: those that had it before it was to be moved.
pub type Wishes = Vec<(u32, Option<Vec<NodeId>>)>;

/// A partition whose group has come to the target of its move `number`, by the group's own entry `members`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub partition: u32,
    pub number: Index,
    pub members: Index,
}

/// A partition, by topic and number, and what becomes of it: see [`Catalog::plan_move`].
type PlannedMove = (TopicId, u32, Option<Vec<NodeId>>);

impl Topic {
    /// Nodes that have a partition, or may have it while it is moved; none if they are not named.
    pub fn members(&self, partition: u32) -> &[NodeId] {
        self.moves.get(&partition).map_or_else(|| self.replicas.get(partition), |a_move| &a_move.members)
    }

    /// A partition's replicas as clients are told of them: while it is moved, the new ones and behind them those that go.
    pub fn shown(&self, partition: u32) -> Cow<'_, [NodeId]> {
        match self.moves.get(&partition) {
            None => Cow::Borrowed(self.replicas.get(partition)),
            Some(a_move) => {
                let others = a_move.members.iter().filter(|node| !a_move.target.contains(node));
                Cow::Owned(a_move.target.iter().chain(others).copied().collect())
            }
        }
    }

    /// Replicas that a partition gets by its move, and those that it loses.
    pub fn adding_and_removing(&self, partition: u32) -> (Vec<NodeId>, Vec<NodeId>) {
        let Some(Move { target, members, .. }) = self.moves.get(&partition) else { return Default::default() };
        let had = self.replicas.get(partition);
        let adding = target.iter().filter(|node| !had.contains(node)).copied().collect();
        (adding, members.iter().filter(|node| !target.contains(node)).copied().collect())
    }

    /// The replicas that its partitions will have when all moves have ended.
    pub(super) fn future(&self) -> Cow<'_, Replicas> {
        if self.moves.is_empty() {
            return Cow::Borrowed(&self.replicas);
        }
        let targets = self.moves.iter().map(|(partition, a_move)| (*partition, a_move.target.clone()));
        Cow::Owned(self.replicas.with(&targets.collect::<Vec<_>>()))
    }

    /// Takes a wish in.
    fn wish(&mut self, number: Index, partition: u32, target: Option<&[NodeId]>) -> Result<(), CatalogError> {
        let had = self.replicas.get(partition).to_vec();
        if had.is_empty() {
            return Err(CatalogError::InvalidRequest(format!("partition {partition} has no replicas that could move")));
        }
        let running = self.moves.get(&partition);
        let target = match target {
            Some(target) => target.to_vec(),
            None if running.is_none() => return Err(CatalogError::no_move(&self.name, partition)),
            None => had.clone(),
        };
        let mut members = running.map_or_else(|| had.clone(), |running| running.members.clone());
        members.extend(target.iter().filter(|node| !had.contains(node)));
        let mut seen = BTreeSet::new();
        members.retain(|node| seen.insert(*node));
        if members.len() > MOVE_MEMBERS_MAX {
            let why =
                format!("Partition {partition} of {} is on its way to too many nodes: cancel that first.", self.name);
            return Err(CatalogError::Limit(why));
        }
        if running.is_none() && members.len() == target.len() && had.len() == target.len() {
            // The same nodes in another order.
            self.replicas = self.replicas.with(&[(partition, target)]);
        } else {
            self.moves.insert(partition, Move { number, target, members });
        }
        Ok(())
    }

    /// A partition has come to its new replicas. False if that is not what it is to come to any more.
    fn end(&mut self, ended: &Ended) -> bool {
        if self.moves.get(&ended.partition).is_none_or(|a_move| a_move.number != ended.number) {
            return false;
        }
        let Move { target, .. } = self.moves.remove(&ended.partition).expect("just seen");
        self.replicas = self.replicas.with(&[(ended.partition, target)]);
        let mut copies = self.replicas.counted().map(|(row, _)| row.len());
        let first = copies.next().expect("a topic has partitions");
        // Partitions that come later get as many as all have now.
        if copies.all(|other| other == first) {
            self.replication = first as i16;
        }
        true
    }
}

impl Catalog {
    /// Nodes that lose all their replicas.
    pub fn leaving(&self) -> &BTreeSet<NodeId> {
        &self.leaving
    }

    /// Nodes that may be given replicas, by id.
    pub(super) fn holders(&self) -> BTreeSet<NodeId> {
        self.members().difference(&self.leaving).copied().collect()
    }

    /// Partitions that a node has or is to have, and those of them that are being moved away from it.
    pub fn held_by(&self, node: NodeId) -> (u64, u64) {
        let (mut held, mut moving) = (0, 0);
        for topic in self.topics() {
            let has = topic.replicas.counted().filter(|(row, _)| row.contains(&node)).map(|(_, times)| times);
            held += has.sum::<u64>();
            for (partition, a_move) in &topic.moves {
                let had = topic.replicas.get(*partition).contains(&node);
                held += u64::from(!had && a_move.members.contains(&node));
                moving += u64::from(!a_move.target.contains(&node) && a_move.members.contains(&node));
            }
        }
        (held, moving)
    }

    /// Plans other replicas for a partition, or, `None`, the end of the wish for others. `factor`: there may be more or
    /// fewer of them than it has. `None`: it is where it is to be.
    pub fn plan_move(
        &self,
        name: &str,
        partition: i32,
        target: Option<&[i32]>,
        factor: bool,
    ) -> Result<Option<PlannedMove>, CatalogError> {
        let topic = self.known(name)?;
        let number = u32::try_from(partition).ok().filter(|partition| *partition < topic.partitions.len());
        let Some(number) = number else { return Err(CatalogError::UnknownTopic(format!("{name}-{partition}"))) };
        let had = topic.replicas.get(number);
        let Some(target) = target else {
            let running = topic.moves.contains_key(&number);
            let cancel = (topic.id, number, None);
            return if running { Ok(Some(cancel)) } else { Err(CatalogError::no_move(name, number)) };
        };
        let holders = self.holders();
        super::assignment::check_replicas(target, None, &holders)?;
        super::plan::check_copies(target.len())?;
        if had.is_empty() {
            // With one server that can have it the target can only be that one.
            if holders.len() == 1 {
                return Ok(None);
            }
            let why = format!("Topic {name} was made by a server without peers: its partitions cannot be moved.");
            return Err(CatalogError::InvalidRequest(why));
        }
        if !factor && target.len() != had.len() {
            return Err(CatalogError::InvalidReplication(format!(
                "The replication factor is changed from {} to {}, and the request does not allow that.",
                had.len(),
                target.len()
            )));
        }
        let target = target.iter().map(|&id| NodeId(id as u32)).collect();
        Ok(Some((topic.id, number, Some(target))))
    }

    /// Plans that a node is left by all its replicas and then taken out, or, if not `leaving`, that it stays after all.
    pub fn plan_leave(&self, node: NodeId, leaving: bool) -> Result<Command, CatalogError> {
        if !self.members().contains(&node) {
            return Err(CatalogError::UnknownNode(format!("There is no node {node}.")));
        }
        if !leaving && !self.leaving.contains(&node) {
            return Err(CatalogError::NoMove(format!("Node {node} is not being decommissioned.")));
        }
        let mut others = self.holders();
        others.remove(&node);
        if leaving && others.is_empty() {
            return Err(CatalogError::InvalidRequest(format!("Node {node} is the last one that can hold replicas.")));
        }
        let stuck = |row: &&[NodeId]| row.contains(&node) && others.iter().all(|other| row.contains(other));
        for topic in self.topics().filter(|_| leaving) {
            let future = topic.future();
            if let Some(partition) = future.iter().position(|row| stuck(&row)) {
                let copies = future.get(partition as u32).len();
                return Err(CatalogError::InvalidReplication(format!(
                    "Partition {partition} of topic {} has {copies} replicas, and without node {node} there are {} nodes for \
                     them: add a node, or give its partitions fewer replicas.",
                    topic.name,
                    others.len()
                )));
            }
        }
        Ok(Command::Leave { node, leaving })
    }

    /// Nodes that are to leave, and have nothing any more.
    pub fn left(&self) -> impl Iterator<Item = NodeId> {
        self.leaving.iter().copied().filter(|node| self.held_by(*node).0 == 0)
    }

    /// What is to be done next so that nodes which are to leave can: moves, so many of each node at a time.
    pub fn plan_departures(&mut self, at_once: usize) -> Vec<Command> {
        let mut commands = Vec::new();
        if !self.pending.is_empty() {
            // What is in the log may be these moves.
            return commands;
        }
        for node in self.leaving.clone() {
            let (_, moving) = self.held_by(node);
            let mut room = at_once.saturating_sub(moving as usize);
            let topics: Vec<Arc<Topic>> = self.by_name.values().filter(|_| room > 0).cloned().collect();
            for topic in topics {
                let wishes = self.moves_off(&topic, node, &mut room);
                if !wishes.is_empty() {
                    commands.push(Command::Move { id: topic.id, wishes });
                }
            }
        }
        commands
    }

    /// Replicas of a topic that leave a node, `room` at most.
    fn moves_off(&mut self, topic: &Topic, node: NodeId, room: &mut usize) -> Wishes {
        let mut wishes = Wishes::new();
        if *room == 0 || !topic.replicas.counted().any(|(row, _)| row.contains(&node)) {
            return wishes;
        }
        for (row, partition) in topic.replicas.iter().zip(0..) {
            let Some(at) = row.iter().position(|other| *other == node) else { continue };
            if topic.moves.contains_key(&partition) {
                continue;
            }
            if *room == 0 {
                break;
            }
            let Some(instead) = self.choose_instead(row, at) else { continue };
            let mut target = row.to_vec();
            target[at] = instead;
            self.planned_loads.add(&Replicas::new([&target[..]]));
            wishes.push((partition, Some(target)));
            *room -= 1;
        }
        wishes
    }

    /// Who is to have what the node at `at` of these replicas has: in a rack of its own, if there is one, and with the least.
    fn choose_instead(&self, row: &[NodeId], at: usize) -> Option<NodeId> {
        let rack = |id: &NodeId| self.nodes.get(id).and_then(|node| node.rack.as_deref());
        let stay = || row.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, id)| id);
        let holders = self.holders();
        let free = holders.iter().filter(|id| !row.contains(id));
        let best = free.min_by_key(|id| {
            let shares = rack(id).map_or(0, |own| stay().filter(|other| rack(other) == Some(own)).count());
            let (stands, planned) = (self.loads.of(**id), self.planned_loads.of(**id));
            let load = Load { first: stands.first + planned.first, all: stands.all + planned.all };
            (self.absent.contains(id), shares, load.all, if at == 0 { load.first } else { 0 }, **id)
        });
        best.copied()
    }

    pub(super) fn begin_moves(&mut self, id: TopicId, wishes: &Wishes) -> Result<Change, CatalogError> {
        let mut topic = Topic::clone(self.by_id.get(&id).ok_or(CatalogError::UnknownTopicId(id))?);
        for (partition, target) in wishes {
            if *partition >= topic.partitions.len() {
                return Err(CatalogError::UnknownTopic(format!("{}-{partition}", topic.name)));
            }
            if let Some(target) = target {
                check_target(target)?;
            }
            topic.wish(self.applied, *partition, target.as_deref())?;
        }
        Ok(Change::Moving(self.insert(topic)))
    }

    pub(super) fn end_moves(&mut self, id: TopicId, ended: &[Ended]) -> Result<Change, CatalogError> {
        let mut topic = Topic::clone(self.by_id.get(&id).ok_or(CatalogError::UnknownTopicId(id))?);
        let ended = ended.iter().filter(|ended| topic.end(ended)).copied().collect();
        Ok(Change::Moved { topic: self.insert(topic), ended })
    }

    pub(super) fn leave(&mut self, node: NodeId, leaving: bool) -> Result<Change, CatalogError> {
        let mut topics = Vec::new();
        if leaving {
            self.leaving.insert(node);
        } else if self.leaving.remove(&node) {
            let goes = |topic: &Topic| -> Vec<u32> {
                let off = |(partition, a_move): &(&u32, &Move)| {
                    topic.replicas.get(**partition).contains(&node) && !a_move.target.contains(&node)
                };
                topic.moves.iter().filter(off).map(|(partition, _)| *partition).collect()
            };
            let back: Vec<_> = self.topics().map(|topic| (Arc::clone(topic), goes(topic))).collect();
            for (topic, partitions) in back.into_iter().filter(|(_, partitions)| !partitions.is_empty()) {
                let mut topic = Topic::clone(&topic);
                partitions.iter().try_for_each(|partition| topic.wish(self.applied, *partition, None))?;
                topics.push(self.insert(topic));
            }
        }
        Ok(Change::Leaving { node, leaving, topics })
    }

    /// True if there is something that [`Catalog::encode_moves`] has.
    pub(super) fn has_moves(&self) -> bool {
        !self.leaving.is_empty() || self.topics().any(|topic| !topic.moves.is_empty())
    }

    /// Appends moves and departures for a checkpoint.
    pub(super) fn encode_moves(&self, out: &mut Vec<u8>) {
        let moving = || self.topics().filter(|topic| !topic.moves.is_empty());
        put_u64(out, moving().count() as u64);
        for topic in moving() {
            out.extend_from_slice(&topic.id.0.to_be_bytes());
            put_u64(out, topic.moves.len() as u64);
            for (partition, Move { number, target, members }) in &topic.moves {
                put_u64(out, (*partition).into());
                put_u64(out, number.0);
                put_nodes(out, target.iter());
                put_nodes(out, members.iter());
            }
        }
        put_nodes(out, self.leaving.iter());
    }

    /// Takes them off the front of what is being read.
    pub(super) fn decode_moves(&mut self, from: &mut Decoder<'_, '_>) -> Result<(), DecodeError> {
        for _ in 0..from.count(self.by_id.len(), "topics with moves")? {
            let id = super::command::take_topic_id(from)?;
            let mut topic = Topic::clone(self.by_id.get(&id).ok_or(from.bad("topic with moves"))?);
            from.check(topic.moves.is_empty(), "topic with moves")?;
            for _ in 0..from.count(TOPIC_PARTITIONS_MAX, "moves")? {
                let partition = take_partition(from)?;
                let number = Index(from.u64("move's number")?);
                let target = take_nodes(from, REPLICAS_MAX)?;
                let members = take_nodes(from, MOVE_MEMBERS_MAX)?;
                let had = topic.replicas.get(partition);
                let whole = !had.is_empty() && !target.is_empty();
                let named = had.iter().chain(&target).all(|node| members.contains(node));
                from.check(whole && named && number <= self.applied, "move")?;
                topic.moves.insert(partition, Move { number, target, members });
            }
            self.insert(topic);
        }
        self.leaving = take_nodes(from, NODES_MAX)?.into_iter().collect();
        Ok(())
    }
}

/// Fails unless these can be the replicas of a partition.
fn check_target(target: &[NodeId]) -> Result<(), CatalogError> {
    let once: BTreeSet<&NodeId> = target.iter().collect();
    if target.is_empty() || target.len() > REPLICAS_MAX || once.len() < target.len() {
        return Err(CatalogError::InvalidAssignment("replicas that are none, too many, or named twice".into()));
    }
    Ok(())
}

fn put_nodes<'a>(out: &mut Vec<u8>, nodes: impl ExactSizeIterator<Item = &'a NodeId>) {
    put_u64(out, nodes.len() as u64);
    nodes.for_each(|node| put_u64(out, node.0.into()));
}

/// Nodes, each once.
fn take_nodes(from: &mut Decoder<'_, '_>, max: usize) -> Result<Vec<NodeId>, DecodeError> {
    let mut nodes = Vec::new();
    let mut seen = BTreeSet::new();
    for _ in 0..from.count(max, "number of nodes")? {
        let node = NodeId(from.u64_max(u32::MAX.into(), "node")? as u32);
        from.check(seen.insert(node), "node")?;
        nodes.push(node);
    }
    Ok(nodes)
}

fn take_partition(from: &mut Decoder<'_, '_>) -> Result<u32, DecodeError> {
    Ok(from.u64_max(TOPIC_PARTITIONS_MAX as u64 - 1, "partition")? as u32)
}

pub(super) fn put_wishes(out: &mut Vec<u8>, wishes: &Wishes) {
    put_u64(out, wishes.len() as u64);
    for (partition, target) in wishes {
        put_u64(out, (*partition).into());
        // No replicas: back to those that it had.
        put_nodes(out, target.as_deref().unwrap_or(&[]).iter());
    }
}

pub(super) fn take_wishes(from: &mut Decoder<'_, '_>) -> Result<Wishes, DecodeError> {
    let mut wishes = Wishes::new();
    for _ in 0..from.count(TOPIC_PARTITIONS_MAX, "wishes")? {
        let partition = take_partition(from)?;
        let target = take_nodes(from, REPLICAS_MAX)?;
        wishes.push((partition, (!target.is_empty()).then_some(target)));
    }
    Ok(wishes)
}

pub(super) fn put_ended(out: &mut Vec<u8>, ended: &[Ended]) {
    put_u64(out, ended.len() as u64);
    for Ended { partition, number, members } in ended {
        put_u64(out, (*partition).into());
        put_u64(out, number.0);
        put_u64(out, members.0);
    }
}

pub(super) fn take_ended(from: &mut Decoder<'_, '_>) -> Result<Vec<Ended>, DecodeError> {
    let mut ended = Vec::new();
    for _ in 0..from.count(TOPIC_PARTITIONS_MAX, "moves that have ended")? {
        let partition = take_partition(from)?;
        let (number, members) = (Index(from.u64("move's number")?), Index(from.u64("entry of the members")?));
        ended.push(Ended { partition, number, members });
    }
    Ok(ended)
}

/// Moves of no topic: what most have.
pub(super) type Moves = BTreeMap<u32, Move>;

#[cfg(test)]
#[path = "moves_tests.rs"]
mod tests;
