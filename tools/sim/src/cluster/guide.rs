//! What a client of a cluster knows of it: who leads what, as Metadata says, and a connection to each node.

use super::logs::Logs;
use crate::client;
use crate::history::Life;
use crate::requests;
use crate::violation::Violation;
use crate::wire::{Asked, Connection, Port, Waiting, decode};
use bytes::Bytes;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use std::collections::BTreeMap;
use std::ops::Range;
use torc_base::prng::Prng;

/// A client that has waited so long for an answer hangs up, as real ones do.
const PATIENCE: u64 = 5_000_000_000;
/// Between two questions for leaders, at least.
const ASK_EVERY: u64 = 50_000_000;
/// Metadata's version: the first one that tells topics' ids.
const VERSION: i16 = 10;

/// Nodes that can be connected to.
pub trait Nodes: Port {
    /// How many there are, running or not.
    fn nodes(&self) -> usize;
    /// The shards of one of them.
    fn shards_of(&self, node: usize) -> Range<usize>;
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The node, from 0.
    pub node: usize,
    /// Its epoch; -1 if it is not known.
    pub epoch: i32,
}

/// See the module.
pub struct Guide {
    pub(super) rng: Prng,
    /// Connections to the nodes that it has wanted something of.
    lines: BTreeMap<usize, Connection>,
    leaders: BTreeMap<(usize, usize), Leader>,
    /// Where partitions are, from 0.
    replicas: BTreeMap<(usize, usize), Vec<usize>>,
    /// The leaders are to be asked for, not before.
    ask_at: Option<u64>,
    asking: bool,
    /// The last answer named a topic that is gone.
    ghosts: bool,
}

impl Guide {
    /// Knows nobody.
    pub fn new(rng: Prng) -> Guide {
        let (lines, leaders, replicas) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Guide { rng, lines, leaders, replicas, ask_at: Some(0), asking: false, ghosts: false }
    }

    /// Who leads the partition, as far as is known.
    pub fn leader(&self, topic: usize, partition: usize) -> Option<Leader> {
        self.leaders.get(&(topic, partition)).copied()
    }

    /// Where the partition is, as far as is known.
    pub fn replicas(&self, topic: usize, partition: usize) -> &[usize] {
        self.replicas.get(&(topic, partition)).map_or(&[], Vec::as_slice)
    }

    /// Whoever was asked last still knows a topic that was deleted.
    pub fn sees_ghosts(&self) -> bool {
        self.ghosts
    }

    /// What is known is not true any more.
    pub fn doubt(&mut self, now: u64) {
        self.ask_at.get_or_insert(now + ASK_EVERY);
    }

    /// An open connection to a node; `None` while nothing listens there.
    pub fn line(&mut self, nodes: &mut dyn Nodes, node: usize) -> Option<&mut Connection> {
        let shards = nodes.shards_of(node);
        let shard = shards.start + self.rng.below(shards.len() as u64) as usize;
        let line = self.lines.entry(node).or_insert_with(|| Connection::new(client::manner(&mut self.rng)));
        line.open_at(nodes, shard).then_some(line)
    }

    /// Requests without answers, to all nodes.
    pub fn outstanding(&self) -> usize {
        self.lines.values().map(Connection::outstanding).sum()
    }

    /// True of a connection of this client.
    pub fn has(&self, link: u64) -> bool {
        self.lines.values().any(|line| line.link == Some(link))
    }

    /// Asks for leaders if that is due. Returns what nobody answers any more, as its node keeps silent.
    pub fn wake(&mut self, nodes: &mut dyn Nodes) -> Vec<Waiting> {
        let now = nodes.now();
        let mut lost = Vec::new();
        for line in self.lines.values_mut() {
            if line.oldest().is_some_and(|oldest| now - oldest.sent_at > PATIENCE) {
                nodes.abort(line.link.expect("it waits for an answer"));
                lost.extend(line.lost());
            }
        }
        self.note_lost(now, &lost);
        if self.ask_at.is_some_and(|at| at <= now) && !self.asking {
            let node = self.rng.below(nodes.nodes() as u64) as usize;
            let Some(line) = self.line(nodes, node) else {
                self.ask_at = Some(now + ASK_EVERY);
                return lost;
            };
            let request = MetadataRequest::default().with_topics(None);
            line.ask(nodes, VERSION, &request, Some(Asked::Metadata));
            (self.asking, self.ask_at) = (true, None);
        }
        lost
    }

    fn note_lost(&mut self, now: u64, lost: &[Waiting]) {
        if lost.iter().any(|waiting| matches!(waiting.asked, Asked::Metadata)) {
            self.asking = false;
            self.doubt(now);
        }
    }

    /// Bytes came on one of its connections; the answers, but for those about leaders.
    pub fn receive(
        &mut self,
        now: u64,
        logs: &mut Logs,
        link: u64,
        bytes: &[u8],
    ) -> Result<Vec<(Waiting, Bytes)>, Violation> {
        let Some(line) = self.lines.values_mut().find(|line| line.link == Some(link)) else { return Ok(Vec::new()) };
        let mut answers = Vec::new();
        for (waiting, frame) in line.receive(bytes)? {
            if matches!(waiting.asked, Asked::Metadata) {
                self.learn(now, logs, decode(frame, waiting.version)?);
            } else {
                answers.push((waiting, frame));
            }
        }
        Ok(answers)
    }

    fn learn(&mut self, now: u64, logs: &mut Logs, answer: MetadataResponse) {
        self.asking = false;
        let mut missing = false;
        self.ghosts = false;
        for topic in &answer.topics {
            let name = topic.name.as_ref().map_or("", |name| name.0.as_str());
            let Some(t) = logs.topic(name) else { continue };
            self.ghosts |= logs.topics[t].life == Life::Gone && !logs.topics[t].haunted;
            if !logs.is_live(t) {
                continue;
            }
            logs.topics[t].id = Some(topic.topic_id.as_u128()).filter(|id| *id != 0);
            for part in &topic.partitions {
                let known = usize::try_from(part.leader_id.0 - 1).ok();
                let at = (t, part.partition_index as usize);
                let nodes = part.replica_nodes.iter().filter_map(|id| usize::try_from(id.0 - 1).ok());
                self.replicas.insert(at, nodes.collect());
                match known {
                    // News may be overtaken by older news.
                    Some(node) if self.leaders.get(&at).is_none_or(|known| known.epoch <= part.leader_epoch) => {
                        self.leaders.insert(at, Leader { node, epoch: part.leader_epoch });
                    }
                    Some(_) => {}
                    None => missing = true,
                }
            }
        }
        self.leaders.retain(|(t, _), _| logs.is_live(*t));
        self.replicas.retain(|(t, _), _| logs.is_live(*t));
        let wanted: usize = logs.live().into_iter().map(|t| logs.topics[t].partitions.len()).sum();
        if missing || self.ghosts || self.leaders.len() < wanted {
            self.doubt(now);
        }
    }

    /// A connection is gone; what is not answered.
    pub fn lost(&mut self, now: u64, link: u64) -> Vec<Waiting> {
        let Some(line) = self.lines.values_mut().find(|line| line.link == Some(link)) else { return Vec::new() };
        let lost = line.lost();
        self.note_lost(now, &lost);
        self.doubt(now);
        lost
    }

    /// Closes all connections; what is not answered.
    pub fn hang_up(&mut self, nodes: &mut dyn Nodes) -> Vec<Waiting> {
        let mut lost = Vec::new();
        for line in self.lines.values_mut() {
            if let Some(link) = line.link {
                nodes.abort(link);
                lost.extend(line.lost());
            }
        }
        self.note_lost(nodes.now(), &lost);
        lost
    }
}

/// A topic's name on the wire.
pub fn topic_name(logs: &Logs, topic: usize) -> kafka_protocol::messages::TopicName {
    requests::topic(&logs.topics[topic].name)
}
