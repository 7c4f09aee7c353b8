//! What the clients of a run do beside writing, reading and moving. It follows from the seed, but from a part of it that
//! nothing else uses.

use super::deleter::Deleter;
use super::maker;
use super::traveller::Traveller;
use crate::by_hand::ByHand;
use crate::client::Client;
use crate::groups::{Group, INSTANCE};
use crate::history::History;
use crate::member::{self, Member};
use crate::modern::Modern;
use crate::world::MS;
use std::sync::Arc;
use torc_base::prng::Prng;
use torc_shard::CoordinatorSettings;

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
    /// Consumer groups with members.
    groups: u64,
    /// Who has records deleted, of its own, so that what the others do in a seed stays: in some seeds nobody.
    deleter: Prng,
    deletes: bool,
}

impl Workload {
    pub fn new(seed: u64) -> Workload {
        let mut rng = Prng::new(seed ^ 0x3037_10ad);
        let comings = if rng.chance(1, 2) { rng.between(100, 2_000) * MS } else { 0 };
        let keys = if rng.chance(1, 2) { rng.between(1, 12) as u32 } else { 0 };
        let committers = [0, 1, 2][rng.below(3) as usize];
        let jumps = rng.chance(1, 2);
        let groups = [0, 0, 0, 1, 1, 2][rng.below(6) as usize];
        let mut deleter = Prng::new(seed ^ 0xde1e_7e12);
        let deletes = deleter.chance(1, 4);
        Workload { rng, comings, keys, committers, jumps, groups, deleter, deletes }
    }

    /// Who has records deleted, and when that begins.
    pub fn deleter(&mut self) -> Option<(Deleter, u64)> {
        let pause = self.deleter.between(50, 2_000) * MS;
        self.deletes.then(|| (Deleter::new(self.deleter.fork(), pause), self.deleter.below(20 * MS)))
    }

    /// In a few words.
    pub fn told(&self) -> String {
        let Workload { comings, keys, committers, jumps, groups, deletes, .. } = self;
        format!(
            "topics come and go in {comings} ns, {keys} keys, {committers} committers, {groups} groups, clocks jump: {jumps}, records \
             are deleted: {deletes}"
        )
    }

    /// The coordinators of consumer groups: with members, what takes minutes in life takes as many hundredths of a second.
    pub fn coordinator(&mut self) -> Arc<CoordinatorSettings> {
        if self.groups == 0 {
            return Arc::default();
        }
        Arc::new(CoordinatorSettings {
            min_session_timeout_ms: 1,
            initial_rebalance_delay_ms: [0, 5, 100][self.rng.below(3) as usize],
            group_max_size: if self.rng.chance(1, 6) { 2 } else { usize::MAX },
            consumer_session_timeout_ms: self.rng.between(400, 3_000) as i32,
            consumer_heartbeat_interval_ms: self.rng.between(20, 200) as i32,
            ..CoordinatorSettings::default()
        })
    }

    /// The members of all groups, and who commits without being one.
    pub fn members(&mut self, known: &mut History) -> Vec<Traveller> {
        (known.pretends, known.faults.several, known.faults.stuck) = (true, true, true);
        let mut all = Vec::new();
        for number in 0..self.groups as usize {
            let by_hand = self.rng.chance(1, 5);
            let every = self.rng.between(1, 2) as usize;
            let topics = (every, self.rng.below(every as u64) as usize);
            known.groups.all.push(Group::new(format!("members-{number}"), topics));
            // Of the classic protocol, of the consumer protocol, or of both.
            let modern = [0, 0, 0, 4, 4, 4, 2][self.rng.below(7) as usize];
            known.groups.all[number].mixed = modern == 2;
            for one in 0..self.rng.between(2, 4) {
                let rng = self.rng.fork();
                let instance = self.rng.chance(1, 3).then(|| format!("{INSTANCE}-{one}"));
                let ways = member::Ways {
                    group: number,
                    old: instance.is_none() && self.rng.chance(1, 5),
                    instance,
                    session_ms: self.rng.between(300, 3_000),
                    rebalance_ms: self.rng.between(100, 1_500),
                    padding: 0,
                };
                let client: Box<dyn Client> = if by_hand {
                    Box::new(ByHand::new(number, rng))
                } else if self.rng.chance(modern, 4) {
                    Box::new(Modern::new(ways, rng))
                } else {
                    Box::new(Member::new(ways, rng))
                };
                all.push(Traveller::new(client, self.rng.fork()));
            }
        }
        all
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
