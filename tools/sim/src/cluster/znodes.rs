//! ZooKeeper's clients as clients of a cluster: they go to whichever node takes them.

use super::Actor;
use super::guide::Nodes;
use super::logs::Logs;
use crate::client::Next;
use crate::violation::Violation;
use crate::znodes::Client;

impl Actor for Client {
    fn wake(&mut self, nodes: &mut dyn Nodes, _: &mut Logs) -> Result<Next, Violation> {
        self.go(nodes)
    }

    fn receive(&mut self, nodes: &mut dyn Nodes, _: &mut Logs, _: u64, bytes: &[u8]) -> Result<(), Violation> {
        self.take(nodes, bytes)
    }

    fn lost(&mut self, nodes: &mut dyn Nodes, _: &mut Logs, _: u64) {
        self.disconnected(nodes.now());
    }

    fn has(&self, link: u64) -> bool {
        self.connection() == Some(link)
    }

    fn stop(&mut self) {
        self.calm();
    }

    fn rest(&mut self, until: u64) {
        self.rest_until(until);
    }

    fn visit(&mut self, nodes: &mut dyn Nodes, node: usize) -> Result<(), Violation> {
        let shard = nodes.shards_of(node).start;
        self.go_to(nodes, shard)
    }
}
