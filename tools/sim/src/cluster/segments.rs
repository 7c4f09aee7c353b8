//! Segments of nodes that differ: in every second cluster, drawn by a part of the seed that nothing else uses. What is too long for
//! a replica is refused; so whatever was acknowledged is everywhere in the end.

use super::writer::Ways;
use crate::world::MS;
use torc_base::limits::{ENTRY_BYTES_ANYWHERE, SEGMENT_BYTES_MIN};
use torc_base::prng::Prng;

/// What the nodes of a cluster have.
pub struct Segments {
    rng: Prng,
    /// By node.
    bytes: Vec<u64>,
}

impl Segments {
    /// Of so many nodes, which all have segments of `bytes` if they do not differ.
    pub fn new(seed: u64, nodes: usize, bytes: u64) -> Segments {
        let mut rng = Prng::new(seed ^ 0x5e67_0b17);
        let differ = rng.chance(1, 2);
        let mut of = || if differ { SEGMENT_BYTES_MIN << rng.below(3) } else { bytes };
        let bytes = (0..nodes).map(|_| of()).collect();
        Segments { rng, bytes }
    }

    /// Bytes of a node's segments.
    pub fn of(&self, node: usize) -> u64 {
        self.bytes[node]
    }

    /// Of all nodes.
    pub fn all(&self) -> &[u64] {
        &self.bytes
    }

    /// True if some nodes take longer entries than others.
    pub fn differ(&self) -> bool {
        self.bytes.iter().any(|bytes| *bytes != self.bytes[0])
    }

    /// A writer of batches that some nodes take and others do not.
    pub fn writer(&mut self) -> (Ways, Prng) {
        let ways = Ways {
            once: false,
            acks: -1,
            in_flight: self.rng.between(1, 3) as usize,
            pause: self.rng.between(5, 60) * MS,
            bytes_max: ENTRY_BYTES_ANYWHERE as u64 + 100_000,
        };
        (ways, self.rng.fork())
    }
}
