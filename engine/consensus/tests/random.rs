//! Members under a random schedule: delays, losses, doubles, power cuts. What was committed stays committed, the same
//! everywhere, and on a majority of the disks (`Cluster` checks at each step); and a calm group gets work done.

mod cluster;

use cluster::Cluster;
use torc_base::ids::{Index, NodeId};
use torc_base::prng::Prng;
use torc_consensus::{Config, HardState, Input};

fn cluster(voters: u32, seed: u64) -> Cluster {
    let mut cluster = Cluster::default();
    let ids: Vec<_> = (1..=voters).map(NodeId).collect();
    for &id in &ids {
        let config = Config { id, voters: ids.clone(), election_ticks: 5, heartbeat_ticks: 2, seed };
        cluster.add(config, HardState::default(), Vec::new());
    }
    cluster
}

fn storm(cluster: &mut Cluster, prng: &mut Prng, steps: u32) {
    let voters = cluster.members.len() as u64;
    for _ in 0..steps {
        let id = NodeId(prng.between(1, voters) as u32);
        match prng.below(20) {
            0..=7 if !cluster.network.is_empty() => {
                // Mostly in order, as connections deliver.
                let reach = if prng.chance(9, 10) { 1 } else { cluster.network.len() as u64 };
                let at = prng.below(reach) as usize;
                if prng.chance(1, 30) {
                    let copy = cluster.network[at].clone();
                    cluster.network.push_back(copy);
                }
                if prng.chance(1, 12) {
                    cluster.network.remove(at);
                } else {
                    cluster.deliver(at);
                }
            }
            8..=11 => {
                let count = prng.between(1, 3) as usize;
                let folded = prng.chance(1, 2);
                cluster.flush(id, count, folded);
            }
            12..=14 => {
                let entries = prng.between(1, 4) as u32;
                // Refused where it does not lead.
                let _ = cluster.step(id, Input::Propose { entries });
            }
            15..=18 => {
                cluster.step(id, Input::Tick).expect("never refused");
            }
            19 if prng.chance(1, 15) => {
                let kept = prng.below(cluster.writes(id) as u64 + 1) as usize;
                cluster.restart(id, kept);
            }
            _ => {}
        }
    }
}

fn calm(cluster: &mut Cluster, turns: u32) {
    let ids: Vec<_> = cluster.members.keys().copied().collect();
    for _ in 0..turns {
        for &id in &ids {
            cluster.step(id, Input::Tick).expect("never refused");
            if !cluster.members[&id].raft.needs_ticks() {
                cluster.step(id, Input::Campaign).expect("never refused");
            }
        }
        for _ in 0..8 {
            for &id in &ids {
                cluster.flush(id, usize::MAX, true);
            }
            for _ in 0..cluster.network.len() {
                cluster.deliver(0);
            }
        }
    }
}

#[test]
fn committed_entries_survive_every_schedule_and_a_calm_group_commits_more() {
    for seed in 0..300 {
        let mut prng = Prng::new(seed);
        let voters = [1, 2, 3, 3, 5][prng.below(5) as usize];
        let mut cluster = cluster(voters, seed);
        for _ in 0..4 {
            storm(&mut cluster, &mut prng, 400);
        }
        calm(&mut cluster, 60);
        let leader = cluster.members.iter().find(|(_, m)| m.raft.is_leader()).map(|(&id, _)| id);
        let leader = leader.unwrap_or_else(|| panic!("seed {seed}: no leader after calm"));
        let out = cluster.step(leader, Input::Propose { entries: 3 }).expect("it leads");
        let last = out.append.expect("an append").last;
        calm(&mut cluster, 8);
        for (id, member) in &cluster.members {
            assert_eq!(member.raft.marks().committed, last, "seed {seed}: node {id}");
            assert_eq!(member.raft.marks().durable, last, "seed {seed}: node {id}");
        }
        assert_eq!(cluster.committed.keys().next_back(), Some(&last));
        assert!(last > Index(3), "seed {seed}: the storm got nothing done");
    }
}
