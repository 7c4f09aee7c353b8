//! Nodes of an older build: in some clusters a part of the nodes speaks no newer version of the peers' protocol than the last but one, until
//! they are upgraded, each at one of its starts. Drawn by a part of the seed that nothing else uses.

use torc_base::prng::Prng;
use torc_net::peer::VERSIONS;

/// Which nodes are older.
pub struct Builds {
    rng: Prng,
    /// By node: how often it has started, if it is older.
    older: Vec<Option<u32>>,
}

impl Builds {
    /// Of so many nodes; `may`: some may be older.
    pub fn new(seed: u64, nodes: usize, may: bool) -> Builds {
        let mut rng = Prng::new(seed ^ 0xb01d_5013);
        let some = rng.chance(1, 4) && may;
        let older = (0..nodes).map(|_| (rng.chance(1, 2) && some).then_some(0)).collect();
        Builds { rng, older }
    }

    /// The newest version that a node speaks which starts now.
    pub fn start(&mut self, node: usize) -> u16 {
        let Some(starts) = &mut self.older[node] else { return u16::MAX };
        *starts += 1;
        if *starts > 1 && self.rng.chance(1, 3) {
            self.older[node] = None;
            return u16::MAX;
        }
        *VERSIONS.end() - 1
    }

    /// In a few words.
    pub fn told(&self) -> String {
        let older: Vec<usize> =
            (1..).zip(&self.older).filter(|(_, older)| older.is_some()).map(|(node, _)| node).collect();
        format!("older nodes {older:?}")
    }
}
