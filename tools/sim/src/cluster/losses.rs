//! What the disks of a cluster lose: bytes that rot, whole disks that are replaced by empty ones, and room for more.
//!
//! The budget asks for no more than can be survived: of whatever was acknowledged most copies stay whole, or one of two where all that is
//! lost is a whole disk. Else everything is kept three times at least, and only one node's disk may have lost something at a time. The next one's turn comes when that node
//! has a new disk, since rot that nobody has read is still there, and when it may have forgotten nothing any more. Room may
//! lack anywhere: that loses nothing. Single entries may be lost on several disks in runs of their own, as long as each is whole on
//! one (`scattering.rs`).

use super::scatter::{Entry, scatter_some};
use crate::disk::Disk;
use crate::faults::{self, Damage};
use std::collections::BTreeSet;
use torc_base::prng::Prng;

/// Copies of everything, where something is lost, and where a whole disk is: its node knows then that it knows nothing.
const COPIES: usize = 3;
const COPIES_OF_DISKS: usize = 2;

/// Something that befalls the disks of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Bytes that were written are others when they are read.
    Rot,
    /// The disks are gone, and empty ones are there.
    Disks,
    /// Somebody else's files take all that was free.
    Room,
    /// Entries rot on several disks at once, none on all: see `scattering.rs`. It comes alone: whoever has something may be the only one.
    Scatter,
}

/// How often each was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Places that rotted.
    pub rot: u64,
    /// Nodes whose disks were replaced.
    pub disks: u64,
    /// Nodes whose disks were filled up.
    pub room: u64,
    /// Times that entries rotted on several nodes' disks at once, and how many did.
    pub scatters: u64,
    pub scattered: u64,
}

/// What befalls the disks of a run. It follows from the seed, but from a part of it that nothing else uses.
pub struct Budget {
    rng: Prng,
    kinds: Vec<Loss>,
    /// The node whose disks may have lost something.
    victim: Option<usize>,
    /// They have, since they were last replaced.
    rotten: bool,
    /// Entries that rotted on several disks at once, by the number of the disk.
    scattered: BTreeSet<(usize, Entry)>,
    /// How often the disks of each founder have been replaced: a newcomer with others would have to be let in again.
    replaced: Vec<u64>,
    done: Losses,
}

impl Budget {
    /// Of a cluster of so many founders.
    pub fn new(seed: u64, founders: usize) -> Budget {
        let mut rng = Prng::new(seed ^ 0x1055_d15c);
        let kinds = match (founders, rng.below(8)) {
            (_, 0 | 1) => Vec::new(),
            (_, 2) => vec![Loss::Room],
            (1, _) => Vec::new(),
            (_, 3 | 4) => vec![Loss::Rot],
            (_, 5) => vec![Loss::Disks],
            (_, _) => vec![Loss::Rot, Loss::Rot, Loss::Disks, Loss::Room],
        };
        // Of its own, so that what the others do in a seed stays.
        let mut scatter = Prng::new(seed ^ 0x5ca7_7e12);
        let kinds = match kinds[..] {
            [] | [Loss::Rot] if founders > 1 && scatter.chance(1, 2) => vec![Loss::Scatter],
            _ => kinds,
        };
        let (scattered, replaced) = (BTreeSet::new(), vec![0; founders]);
        Budget { rng, kinds, victim: None, rotten: false, scattered, replaced, done: Losses::default() }
    }

    /// What may befall them.
    pub fn kinds(&self) -> &[Loss] {
        &self.kinds
    }

    /// So many copies are needed at least.
    pub fn copies_min(&self) -> usize {
        let least = |kind: &Loss| match kind {
            Loss::Room => 1,
            Loss::Disks => COPIES_OF_DISKS,
            Loss::Rot | Loss::Scatter => COPIES,
        };
        self.kinds.iter().map(least).max().unwrap_or(1)
    }

    /// What was done so far.
    pub fn done(&self) -> Losses {
        self.done
    }

    /// The number of a node's disks now, and the one that they had when the cluster was founded.
    pub fn disk(&self, node: usize) -> u128 {
        Budget::first_disk(node) + self.replaced.get(node).copied().map_or(0, u128::from)
    }

    /// See [`Budget::disk`].
    pub fn first_disk(node: usize) -> u128 {
        (node as u128 + 1) * 1_000
    }

    /// What comes next, and to which node; in some rounds nothing does. `whole`: the node runs, and may have forgotten nothing.
    pub fn next(&mut self, whole: impl Fn(usize) -> bool) -> Option<(Loss, usize)> {
        if self.kinds.is_empty() || self.kinds == [Loss::Scatter] || self.rng.chance(1, 4) {
            return None;
        }
        let loss = self.kinds[self.rng.below(self.kinds.len() as u64) as usize];
        let any = self.rng.below(self.replaced.len() as u64) as usize;
        if loss == Loss::Room {
            // A disk that never had room for a log is another matter.
            return whole(any).then_some((loss, any));
        }
        Some((loss, self.victim(any, whole)))
    }

    /// Whose disks may lose something now: `any`, unless those of another one may still lack what was lost.
    fn victim(&mut self, any: usize, whole: impl Fn(usize) -> bool) -> usize {
        let settled = self.victim.is_none_or(|victim| !self.rotten && whole(victim));
        *self.victim.insert(self.victim.filter(|_| !settled).unwrap_or(any))
    }

    /// A node whose disks may be replaced now, if this may befall one: see [`Budget::next`].
    pub fn next_disks(&mut self, whole: impl Fn(usize) -> bool) -> Option<usize> {
        if !self.kinds.contains(&Loss::Disks) {
            return None;
        }
        let any = self.rng.below(self.replaced.len() as u64) as usize;
        Some(self.victim(any, whole))
    }

    /// Whether entries are to rot now on several disks.
    pub fn scatters_now(&mut self) -> bool {
        self.kinds == [Loss::Scatter] && self.rng.chance(1, 2)
    }

    /// Entries rot on several disks, of those of which `keeps` says so (`scatter.rs`). How many did, by disk.
    pub fn scatter(&mut self, disks: &mut [Disk], keeps: impl Fn(usize, Entry) -> bool) -> Vec<usize> {
        let rotten = scatter_some(disks, &mut self.rng, &mut self.scattered, keeps);
        let sum = rotten.iter().sum::<usize>() as u64;
        self.done.scatters += u64::from(sum > 0);
        self.done.scattered += sum;
        rotten
    }

    /// Bytes rot on the disks of the victim: of the log, or of a checkpoint.
    pub fn rot(&mut self, disks: &mut [Disk]) -> Vec<Damage> {
        let mut all = Vec::new();
        for _ in 0..self.rng.between(1, 4) {
            let disk = &mut disks[self.rng.below(disks.len() as u64) as usize];
            let log = self.rng.chance(4, 5);
            all.extend(faults::damage(disk, &mut self.rng, if log { "wal-" } else { "checkpoint" }, log));
        }
        self.rotten |= !all.is_empty();
        self.done.rot += all.len() as u64;
        all
    }

    /// The disks of a node are replaced. Whatever was rotten there is gone with them. Returns whether the power fails before.
    pub fn replace(&mut self, node: usize) -> bool {
        self.replaced[node] += 1;
        self.rotten = false;
        self.done.disks += 1;
        self.rng.chance(1, 2)
    }

    /// The disks of a node are filled up: so much stays free on the next one.
    pub fn fill_up(&mut self, segment_bytes: u64) -> u64 {
        self.rng.below(4 * segment_bytes)
    }

    /// A node's disks have been filled up.
    pub fn filled_up(&mut self) {
        self.done.room += 1;
    }

    /// Whether room that lacked is there again, before it must be.
    pub fn makes_room(&mut self) -> bool {
        !self.kinds.is_empty() && self.rng.chance(1, 2)
    }

    /// Something else that a run with losses draws.
    pub fn rng(&mut self) -> &mut Prng {
        &mut self.rng
    }
}
