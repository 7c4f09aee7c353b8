//! Which nodes get the replicas of new partitions: over racks first, then evenly over nodes, and as evenly their first
//! replicas, which are to lead. The same catalog places the same topic in the same way.

use super::Replicas;
use std::collections::BTreeMap;
use torc_base::ids::NodeId;

/// Replicas that a node has, of which `first` are the first of their partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Load {
    pub first: u64,
    pub all: u64,
}

/// What nodes have.
#[derive(Clone, Debug, Default)]
pub(super) struct Loads(BTreeMap<NodeId, Load>);

impl Loads {
    /// Partitions with these replicas are added.
    pub fn add(&mut self, replicas: &Replicas) {
        self.count(replicas, |count, times| *count += times);
    }

    /// The same, taken away.
    pub fn remove(&mut self, replicas: &Replicas) {
        self.count(replicas, |count, times| *count -= times);
    }

    fn count(&mut self, replicas: &Replicas, step: impl Fn(&mut u64, u64)) {
        for (row, times) in replicas.counted() {
            for (at, node) in row.iter().enumerate() {
                let load = self.0.entry(*node).or_default();
                step(&mut load.all, times);
                if at == 0 {
                    step(&mut load.first, times);
                }
            }
        }
    }

    pub fn of(&self, node: NodeId) -> Load {
        self.0.get(&node).copied().unwrap_or_default()
    }
}

/// A node that may get replicas.
pub(super) struct Candidate<'a> {
    pub id: NodeId,
    pub rack: Option<&'a str>,
    /// It is not there now: it gets replicas only if there are not enough others.
    pub absent: bool,
    /// What it has of all topics.
    pub load: Load,
}

/// A candidate with what it has got of this topic.
struct Seat<'a> {
    candidate: &'a Candidate<'a>,
    rack: usize,
    here: Load,
}

/// Places `partitions` partitions of `copies` replicas each on these nodes, of which there are at least as many. `has`: the
/// partitions that the topic has already.
pub(super) fn place(candidates: &[Candidate<'_>], partitions: u32, copies: usize, has: &Replicas) -> Replicas {
    assert!((1..=candidates.len()).contains(&copies), "{copies} replicas on {} nodes", candidates.len());
    // Nodes that do not say where they are may be anywhere: each is as if in a rack of its own.
    let mut racks: BTreeMap<&str, usize> = BTreeMap::new();
    let mut seats: Vec<Seat<'_>> = Vec::with_capacity(candidates.len());
    let mut before = Loads::default();
    before.add(has);
    for (at, candidate) in candidates.iter().enumerate() {
        let rack = candidate.rack.map_or(at, |rack| *racks.entry(rack).or_insert(at));
        seats.push(Seat { candidate, rack, here: before.of(candidate.id) });
    }
    let mut used = vec![0u32; candidates.len()];
    let mut rows: Vec<NodeId> = Vec::with_capacity(partitions as usize * copies);
    for _ in 0..partitions {
        let row = rows.len();
        used.fill(0);
        for copy in 0..copies {
            let free = seats.iter_mut().filter(|seat| !rows[row..].contains(&seat.candidate.id));
            let best = free.min_by_key(|seat| {
                let Seat { candidate: Candidate { absent, load, id, .. }, here, rack } = seat;
                let firsts = if copy == 0 { (here.first, load.first + here.first) } else { (0, 0) };
                (*absent, used[*rack], firsts.0, here.all, firsts.1, load.all + here.all, *id)
            });
            let seat = best.expect("there are enough nodes");
            seat.here.all += 1;
            seat.here.first += u64::from(copy == 0);
            used[seat.rack] += 1;
            rows.push(seat.candidate.id);
        }
    }
    Replicas::new(rows.chunks_exact(copies))
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
