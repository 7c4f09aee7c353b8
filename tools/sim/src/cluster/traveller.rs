//! A client of a consumer group, of any kind that there is on one node, in a cluster: it is brought to the group's coordinator,
//! wherever that is, and back when it has moved.
//!
//! What it consumes it only pretends to read: the leaders of those partitions are elsewhere, and readers see to them. What
//! is held to its promises is the coordinator.

use super::Actor;
use super::guide::Nodes;
use super::logs::Logs;
use crate::client::{Client, Next};
use crate::net::Manner;
use crate::violation::Violation;
use crate::wire::Port;
use std::cell::Cell;
use torc_base::ids::ListenerId;
use torc_base::prng::Prng;

/// It hangs up when it has waited so long for an answer.
const PATIENCE: u64 = 5_000_000_000;

/// See the module.
pub struct Traveller {
    client: Box<dyn Client>,
    rng: Prng,
    /// The node that it is connected with, or will be.
    node: usize,
    /// Where its coordinator was said to be.
    found: Cell<Option<usize>>,
    /// Since when it waits for an answer.
    waits: Option<u64>,
    /// So many times slower than clients of one node.
    pace: u64,
}

/// The cluster as such a client sees it: one node.
struct Way<'a> {
    nodes: &'a mut dyn Nodes,
    node: usize,
    found: &'a Cell<Option<usize>>,
    waits: &'a mut Option<u64>,
}

impl Port for Way<'_> {
    fn now(&self) -> u64 {
        self.nodes.now()
    }
    fn wall_ms(&self) -> i64 {
        self.nodes.wall_ms()
    }
    fn shards(&self) -> usize {
        self.nodes.shards_of(self.node).len()
    }
    fn connect(&mut self, shard: usize, manner: Manner) -> Option<u64> {
        let first = self.nodes.shards_of(self.node).start;
        self.nodes.connect(first + shard, manner)
    }
    fn connect_at(&mut self, shard: usize, listener: ListenerId, manner: Manner) -> Option<u64> {
        let first = self.nodes.shards_of(self.node).start;
        self.nodes.connect_at(first + shard, listener, manner)
    }
    fn send(&mut self, link: u64, bytes: &[u8]) {
        let now = self.nodes.now();
        self.waits.get_or_insert(now);
        self.nodes.send(link, bytes);
    }
    fn abort(&mut self, link: u64) {
        *self.waits = None;
        self.nodes.abort(link);
    }
    fn half_close(&mut self, link: u64) {
        self.nodes.half_close(link);
    }
    fn reaches(&self, node: i32) -> bool {
        let node = usize::try_from(node - 1).ok().filter(|node| *node < self.nodes.nodes());
        self.found.set(node);
        node == Some(self.node)
    }
}

impl Traveller {
    /// Brings `client` about.
    pub fn new(client: Box<dyn Client>, mut rng: Prng) -> Traveller {
        let pace = rng.between(2, 20);
        Traveller { client, rng, node: 0, found: Cell::new(None), waits: None, pace }
    }

    /// What the client sees, and the client.
    fn way<'a>(&'a mut self, nodes: &'a mut dyn Nodes) -> (Way<'a>, &'a mut dyn Client) {
        let Traveller { client, node, found, waits, .. } = self;
        (Way { nodes, node: *node, found, waits }, client.as_mut())
    }

    /// Hangs up, and goes elsewhere.
    fn leave(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) -> Result<(), Violation> {
        let Some(link) = self.client.link() else { return Ok(()) };
        let (mut way, client) = self.way(nodes);
        way.abort(link);
        client.lost(&mut way, &mut logs.members)
    }
}

impl Actor for Traveller {
    fn wake(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) -> Result<Next, Violation> {
        logs.tell_members();
        if self.waits.is_some_and(|since| nodes.now() - since > PATIENCE) {
            self.leave(nodes, logs)?;
        }
        if self.client.link().is_none() {
            let any = self.rng.below(nodes.nodes() as u64) as usize;
            self.node = self.found.take().unwrap_or(any);
        }
        let pace = self.pace;
        let (mut way, client) = self.way(nodes);
        Ok(match client.wake(&mut way, &mut logs.members)? {
            Next::Wake(after) => Next::Wake(after * pace),
            Next::Done => Next::Done,
        })
    }

    fn receive(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, _link: u64, bytes: &[u8]) -> Result<(), Violation> {
        logs.tell_members();
        self.waits = None;
        self.found.set(None);
        let (mut way, client) = self.way(nodes);
        client.receive(&mut way, &mut logs.members, bytes)?;
        if self.found.get().is_some_and(|node| node != self.node) {
            return self.leave(nodes, logs);
        }
        Ok(())
    }

    fn lost(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, _link: u64) {
        self.waits = None;
        let (mut way, client) = self.way(nodes);
        client.lost(&mut way, &mut logs.members).expect("a client of a group that loses its connection only notes it");
    }

    fn has(&self, link: u64) -> bool {
        self.client.link() == Some(link)
    }

    fn stop(&mut self) {
        self.client.stop();
    }
}
