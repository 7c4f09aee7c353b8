//! What the clients of a run do beside writing, reading and moving. It follows from the seed, but from a part of it that
//! nothing else uses.

use super::maker;
use crate::world::MS;
use torc_base::prng::Prng;

/// A clock jumps by so many hours at most, back or forth: all jumps of a run keep below the days after which things expire.
const JUMP_HOURS_MAX: u64 = 12;

/// See the module.
pub struct Workload {
    pub rng: Prng,
    /// Topics come and go about so often, nanoseconds; 0: they stay.
    pub comings: u64,
    /// Keys of topics that are compacted; 0: none are.
    pub keys: u32,
    /// Those who commit offsets, each in a group of its own.
    pub committers: u64,
    /// Clocks of nodes jump.
    jumps: bool,
}

impl Workload {
    pub fn new(seed: u64) -> Workload {
        let mut rng = Prng::new(seed ^ 0x3037_10ad);
        let comings = if rng.chance(1, 2) { rng.between(100, 2_000) * MS } else { 0 };
        let keys = if rng.chance(1, 2) { rng.between(1, 12) as u32 } else { 0 };
        let committers = [0, 1, 2][rng.below(3) as usize];
        let jumps = rng.chance(1, 2);
        Workload { rng, comings, keys, committers, jumps }
    }

    /// In a few words.
    pub fn told(&self) -> String {
        let Workload { comings, keys, committers, jumps, .. } = self;
        format!("topics come and go in {comings} ns, {keys} keys, {committers} committers, clocks jump: {jumps}")
    }

    /// Keys of one topic.
    pub fn keys_of_one(&mut self) -> u32 {
        if self.keys > 0 && self.rng.chance(1, 2) { self.keys } else { 0 }
    }

    /// Who makes the topics, of so many replicas.
    pub fn maker(&self, replication: usize) -> maker::Ways {
        maker::Ways { pause: self.comings, replication: replication as i16, keys: self.keys }
    }

    /// The clock of a node jumps by so many milliseconds, if one does now.
    pub fn jump(&mut self, nodes: usize) -> Option<(usize, i64)> {
        if !self.jumps || !self.rng.chance(1, 2) {
            return None;
        }
        let node = self.rng.below(nodes as u64) as usize;
        let hours = self.rng.below(2 * JUMP_HOURS_MAX + 1) as i64 - JUMP_HOURS_MAX as i64;
        // By less, too: what is young may be old then.
        let ms = if self.rng.chance(1, 2) { hours * 3_600_000 } else { hours * 1_000 };
        Some((node, ms))
    }
}
