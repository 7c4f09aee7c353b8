//! Nodes that join a cluster while it runs. How many there are, and when they come, follows from the seed, but from a part of
//! it that nothing else uses: clusters that nobody joins run as they did before there were any.

use crate::violation::{Rule, Violation};
use torc_base::prng::Prng;

/// What the newcomers of a run have come to.
pub struct Newcomers {
    rng: Prng,
    founders: usize,
    /// Of those that are not founders, in their order: they have been let in.
    joined: Vec<bool>,
}

impl Newcomers {
    /// Of a cluster that so many found.
    pub fn new(seed: u64, founders: usize) -> Newcomers {
        let mut rng = Prng::new(seed ^ 0x6a01_4e0d);
        let count = match founders {
            1 => 0,
            3 => [0, 0, 1, 2][rng.below(4) as usize],
            _ => [0, 0, 1][rng.below(3) as usize],
        };
        Newcomers { rng, founders, joined: vec![false; count] }
    }

    /// Nodes of the cluster in the end.
    pub fn nodes(&self) -> usize {
        self.founders + self.joined.len()
    }

    pub fn founders(&self) -> usize {
        self.founders
    }

    /// Shards of a newcomer.
    pub fn shards(&mut self) -> usize {
        [1, 1, 2][self.rng.below(3) as usize]
    }

    /// True if the node is one of the cluster, and may be started.
    pub fn is_in(&self, node: usize) -> bool {
        node < self.founders || self.joined[node - self.founders]
    }

    /// It has been let in.
    pub fn came(&mut self, node: usize) {
        self.joined[node - self.founders] = true;
    }

    /// The next one that is to come: they come one after the other.
    pub fn next(&self) -> Option<usize> {
        self.joined.iter().position(|joined| !joined).map(|at| self.founders + at)
    }

    /// Whether it tries now, and by way of which node.
    pub fn turn(&mut self, surely: bool) -> Option<usize> {
        let tries = surely || self.rng.chance(1, 2);
        let via = self.rng.below(self.nodes() as u64) as usize;
        tries.then_some(via)
    }

    /// Replicas of a topic that is made when one has come.
    pub fn replication(&mut self, least: usize) -> i16 {
        self.rng.between(least as u64, 3) as i16
    }

    /// What it means if somebody is left outside.
    pub fn left_outside(&self, ms: u64, standing: String) -> Result<(), Violation> {
        match self.next() {
            None => Ok(()),
            Some(node) => {
                let text = format!("node {} was not let in within {ms} ms of the last fault{standing}", node + 1);
                Err(Violation::new(Rule::Liveness, text))
            }
        }
    }
}
