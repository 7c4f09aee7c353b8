//! Misfortunes that come together, in the order in which they hurt: what a single one finds by luck alone, such as two
//! candidates in one term, or a leader that has what another one of its kind left behind. In some runs they take the place of
//! single ones. They follow from the seed, but from a part of it that nothing else uses.

use super::{MS, Run};
use crate::violation::Violation;
use torc_base::io::App;
use torc_base::prng::Prng;
use torc_base::time::Mono;

/// What comes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storm {
    /// Who has just begun to lead, or to change the members of a group, is the next to die. So nobody brings its entries
    /// to all, and whoever comes next finds some of them.
    Hunt,
    /// All ways are slow when leaders go: several others are candidates before they have heard of each other.
    Rivals,
    /// What a leader appends leaves it no more; then all are started anew, and that leader may be the first to stand again.
    Tails,
}

/// The storms of a run.
pub(super) struct Storms {
    rng: Prng,
    kinds: Vec<Storm>,
}

impl Storms {
    /// Of a cluster of so many founders.
    pub(super) fn new(seed: u64, founders: usize) -> Storms {
        let mut rng = Prng::new(seed ^ 0x5702_3a11);
        let kinds = match rng.below(6) {
            _ if founders == 1 => Vec::new(),
            0 => vec![Storm::Hunt],
            1 => vec![Storm::Rivals],
            2 => vec![Storm::Tails],
            _ => Vec::new(),
        };
        Storms { rng, kinds }
    }

    /// In a few words.
    pub(super) fn told(&self) -> String {
        format!("storms {:?}", self.kinds)
    }

    /// What comes in this round, if it is a storm.
    fn next(&mut self) -> Option<Storm> {
        if self.kinds.is_empty() || self.rng.chance(1, 3) {
            return None;
        }
        Some(self.kinds[self.rng.below(self.kinds.len() as u64) as usize])
    }
}

impl<A: App> Run<A> {
    /// A storm comes over the cluster, if it is time for one; false if not.
    pub(super) fn storm(&mut self) -> Result<bool, Violation> {
        let Some(storm) = self.storms.next() else { return Ok(false) };
        self.world.trail.say(format!("{storm:?}"));
        match storm {
            Storm::Hunt => self.hunt()?,
            Storm::Rivals => self.rivals()?,
            Storm::Tails => self.tails()?,
        }
        Ok(true)
    }

    fn hunt(&mut self) -> Result<(), Violation> {
        let slow = [0, 2, 20, 80][self.storms.rng.below(4) as usize] * MS;
        self.slow_all(slow);
        self.marks.forget_newest();
        for _ in 0..self.storms.rng.between(3, 8) {
            let quarry = self.await_newest(1_500)?;
            // It gets some way.
            let ms = self.storms.rng.below(12);
            self.phase(ms)?;
            let power = self.storms.rng.chance(1, 3);
            self.end_node(quarry, power);
            let ms = self.storms.rng.below(400);
            self.phase(ms)?;
            for node in 0..self.world.nodes() {
                if self.storms.rng.chance(2, 3) {
                    self.start(node);
                }
            }
        }
        self.slow_all(0);
        Ok(())
    }

    fn rivals(&mut self) -> Result<(), Violation> {
        let slow = self.storms.rng.between(10, 300) * MS;
        self.slow_all(slow);
        for _ in 0..self.storms.rng.between(2, 5) {
            let ms = self.storms.rng.between(50, 800);
            self.phase(ms)?;
            let leader = self.leads_most();
            let power = self.storms.rng.chance(1, 3);
            match self.storms.rng.below(3) {
                0 => self.end_node(leader, power),
                1 => {
                    // Their clocks begin together.
                    (0..self.world.nodes()).for_each(|node| self.end_node(node, power));
                    (0..self.world.nodes()).for_each(|node| self.start(node));
                }
                _ => {
                    for other in (0..self.world.nodes()).filter(|other| *other != leader) {
                        self.world.cut(leader, other);
                        self.world.cut(other, leader);
                    }
                }
            }
            let ms = self.storms.rng.between(500, 2_500);
            self.phase(ms)?;
            self.mend_all();
            (0..self.world.nodes()).for_each(|node| self.start(node));
        }
        self.slow_all(0);
        Ok(())
    }

    fn tails(&mut self) -> Result<(), Violation> {
        for _ in 0..self.storms.rng.between(1, 4) {
            let leader = self.leads_most();
            for other in (0..self.world.nodes()).filter(|other| *other != leader) {
                if self.storms.rng.chance(3, 4) {
                    self.world.cut(leader, other);
                }
            }
            let ms = self.storms.rng.between(5, 200);
            self.phase(ms)?;
            let power = self.storms.rng.chance(1, 2);
            for node in 0..self.world.nodes() {
                // What it has written in vain is to be there.
                self.end_node(node, power && node != leader);
            }
            self.mend_all();
            let until = Mono(self.world.now() + self.storms.rng.between(500, 3_000) * MS);
            let times = self.storms.rng.between(1, 60);
            for shard in self.world.shards_of(leader) {
                self.world.disks[shard].slow = (until, times);
            }
            self.start(leader);
            let ms = self.storms.rng.below(100);
            self.phase(ms)?;
            (0..self.world.nodes()).for_each(|node| self.start(node));
            let ms = self.storms.rng.between(800, 3_000);
            self.phase(ms)?;
        }
        Ok(())
    }

    /// Waits, but for so many milliseconds only, until somebody begins to lead or to change members: who that is, or else
    /// one that leads.
    fn await_newest(&mut self, ms: u64) -> Result<usize, Violation> {
        let end = self.world.now() + ms * MS;
        while self.world.now() < end {
            if let Some(node) = self.marks.take_newest().filter(|node| self.world.runs(*node)) {
                return Ok(node);
            }
            let ms = self.storms.rng.between(1, 5);
            self.phase(ms)?;
        }
        Ok(self.leads_most())
    }

    /// The node that leads most groups, or any.
    fn leads_most(&mut self) -> usize {
        let any = self.storms.rng.below(self.newcomers.founders() as u64) as usize;
        self.marks.leads_most().unwrap_or(any)
    }

    /// Starts a node that does not run and is to.
    fn start(&mut self, node: usize) {
        if !self.world.runs(node) && self.newcomers.is_in(node) {
            self.boot(node);
        }
    }

    fn slow_all(&mut self, ns: u64) {
        for (from, to) in self.ways() {
            self.world.net.cables.slow_down(from, to, ns);
        }
    }

    fn mend_all(&mut self) {
        for (from, to) in self.ways() {
            if self.world.net.cables.is_cut(from, to) {
                self.world.mend(from, to);
            }
        }
    }

    fn ways(&self) -> Vec<(usize, usize)> {
        let nodes = self.world.nodes();
        let from = |from: usize| (0..nodes).filter(move |to| *to != from).map(move |to| (from, to));
        (0..nodes).flat_map(from).collect()
    }
}
