//! All replicas of a group are damaged, each in another place. What one of them has lost others have whole: they put their logs
//! together again, lead, and have lost nothing. What nobody has whole is waited for.

use super::damage::find_in;
use super::rig::{Cluster, led, members, node};
use torc_base::ids::{GroupId, Index, NodeId, Offset};
use torc_base::prng::Prng;

const LOG: GroupId = GroupId(1031);

/// A member's log loses the payload of an entry.
pub(super) fn lose(cluster: &mut Cluster, id: NodeId, group: GroupId, index: Index) {
    let files = &mut cluster.files(id)[0];
    let (name, _, payload) = find_in(files, group, |at| at == index);
    files.get_mut(&name).unwrap()[payload + 70] ^= 0x20;
}

fn start(cluster: &mut Cluster) {
    for id in members() {
        if !cluster.is_running(id) {
            cluster.start(id);
        }
    }
    cluster.pass(1);
    cluster.create(LOG, &members());
}

/// Records that all have, on all disks, and the last of them with a word behind it that says so.
fn written(cluster: &mut Cluster, leader: NodeId, records: u64, bytes: usize) -> Index {
    for _ in 0..records {
        cluster.produce(leader, LOG, bytes);
        cluster.pass(20);
    }
    cluster.pass(500);
    cluster.raft(leader, LOG).unwrap().marks().written
}

/// All end at once.
fn kill_all(cluster: &mut Cluster) {
    members().into_iter().for_each(|id| cluster.kill(id));
}

fn is_whole(cluster: &mut Cluster, end: i64, what: &str) {
    cluster.assert_agree(LOG, &members());
    for id in members() {
        assert_eq!(cluster.state(id, LOG).1, Offset(end), "{what}, node {id}: {}", cluster.describe(LOG));
        assert_eq!(cluster.raft(id, LOG).unwrap().hard_state().doubt, None, "{what}: {}", cluster.describe(LOG));
    }
}

/// Each has lost other entries, which are committed; a leader is there soon, and all is.
#[test]
fn replicas_that_are_damaged_in_different_places_put_their_logs_together() {
    for seed in 1..=12 {
        let mut prng = Prng::new(seed);
        let (mut cluster, leader) = led(LOG);
        let records = prng.between(9, 30);
        let last = written(&mut cluster, leader, records, prng.between(100, 3_000) as usize);
        kill_all(&mut cluster);
        let mut lost = Vec::new();
        for index in 2..=last.get() {
            // Two of three may have lost it, never the third.
            for id in members() {
                let others = lost.iter().filter(|(_, at)| *at == index).count();
                if others < 2 && prng.chance(1, 3) {
                    lose(&mut cluster, id, LOG, Index(index));
                    lost.push((id, index));
                }
            }
        }
        start(&mut cluster);
        cluster.pass(8_000);
        let what = format!("seed {seed}, lost {lost:?}");
        is_whole(&mut cluster, records as i64, &what);
        let leader = cluster.leader(LOG);
        cluster.produce(leader, LOG, 100);
        cluster.pass(2_000);
        is_whole(&mut cluster, records as i64 + 1, &what);
        // It is all on the disks: they begin with nothing in doubt.
        kill_all(&mut cluster);
        start(&mut cluster);
        cluster.pass(3_000);
        is_whole(&mut cluster, records as i64 + 1, &what);
    }
}

/// The power fails in between: what was got again is behind what is damaged, and the rest is got the next time.
#[test]
fn logs_are_put_together_in_as_many_starts_as_it_takes() {
    for seed in 1..=6 {
        let mut prng = Prng::new(seed);
        let (mut cluster, leader) = led(LOG);
        let last = written(&mut cluster, leader, 20, 400);
        kill_all(&mut cluster);
        for (at, id) in members().into_iter().enumerate() {
            (2 + at as u64..=last.get()).step_by(3).for_each(|index| lose(&mut cluster, id, LOG, Index(index)));
        }
        for _ in 0..4 {
            start(&mut cluster);
            cluster.pass(prng.between(1, 700));
            kill_all(&mut cluster);
        }
        start(&mut cluster);
        cluster.pass(8_000);
        is_whole(&mut cluster, 20, &format!("seed {seed}"));
    }
}

/// Nobody has it whole. Nobody leads, nobody forgets anything, and it is said what is lacking and what to do. When a copy is there
/// in which it is whole, all goes on.
#[test]
fn an_entry_that_nobody_has_whole_is_waited_for() {
    let (mut cluster, leader) = led(LOG);
    let last = written(&mut cluster, leader, 9, 400);
    let lost = Index(last.get() - 3);
    kill_all(&mut cluster);
    let copy = cluster.files(node(2)).clone();
    members().into_iter().for_each(|id| lose(&mut cluster, id, LOG, lost));
    for stop in [false, true] {
        start(&mut cluster);
        cluster.pass(30_000);
        for id in members() {
            let raft = cluster.raft(id, LOG).unwrap();
            assert!(!raft.is_leader() && raft.log().last() < lost, "{}", cluster.describe(LOG));
            let told =
                |line: &&str| line.contains(&format!("entry {lost} of term")) && line.contains("delete the topic");
            assert!(cluster.logs(id).iter().any(told), "{:?}", cluster.logs(id));
        }
        if stop {
            // A checkpoint would give up what lies behind it.
            cluster.call(node(1), LOG, |groups, _| groups.force_checkpoint());
            cluster.pass(1_000);
        }
        kill_all(&mut cluster);
    }
    *cluster.files(node(2)) = copy;
    start(&mut cluster);
    cluster.pass(8_000);
    is_whole(&mut cluster, 9, "with a copy");
}

/// Who has lost something that nobody else may have does not help another one to lead without it, whatever it gets again.
#[test]
fn an_entry_that_one_has_lost_and_one_is_away_with_is_not_forgotten() {
    let (mut cluster, leader) = led(LOG);
    written(&mut cluster, leader, 6, 400);
    let others: Vec<NodeId> = members().into_iter().filter(|id| *id != leader).collect();
    let (behind, damaged) = (others[0], others[1]);
    cluster.kill(behind);
    cluster.pass(100);
    let last = written(&mut cluster, leader, 3, 400);
    kill_all_of(&mut cluster, &[leader, damaged]);
    lose(&mut cluster, damaged, LOG, Index(3));
    lose(&mut cluster, damaged, LOG, Index(last.get() - 1));
    lose(&mut cluster, behind, LOG, Index(4));
    [behind, damaged].into_iter().for_each(|id| cluster.start(id));
    cluster.pass(1);
    cluster.create(LOG, &members());
    cluster.pass(15_000);
    for id in [behind, damaged] {
        assert!(!cluster.raft(id, LOG).unwrap().is_leader(), "{}", cluster.describe(LOG));
    }
    // They have got from each other what they could.
    assert!(cluster.raft(behind, LOG).unwrap().hard_state().doubt.is_none(), "{}", cluster.describe(LOG));
    start(&mut cluster);
    cluster.pass(8_000);
    is_whole(&mut cluster, 9, "with all");
}

fn kill_all_of(cluster: &mut Cluster, ids: &[NodeId]) {
    ids.iter().for_each(|id| cluster.kill(*id));
}

/// The catalog's log is put together as any other: without it nothing goes on.
#[test]
fn the_catalog_is_damaged_everywhere_and_has_a_leader_again() {
    let (mut cluster, _) = led(LOG);
    cluster.pass(1_000);
    let leader = cluster.leader(GroupId::CATALOG);
    let last = cluster.raft(leader, GroupId::CATALOG).unwrap().marks().committed;
    assert!(last >= Index(4), "{last}");
    kill_all(&mut cluster);
    for (id, index) in members().into_iter().zip([2, 3, 2]) {
        lose_any(&mut cluster, id, Index(index));
    }
    start(&mut cluster);
    cluster.pass(8_000);
    let leader = cluster.leader(GroupId::CATALOG);
    assert!(cluster.raft(leader, GroupId::CATALOG).unwrap().marks().committed >= last);
    for id in members() {
        assert_eq!(cluster.raft(id, GroupId::CATALOG).unwrap().hard_state().doubt, None, "node {id}");
    }
}

/// Of an entry that is short its first byte.
fn lose_any(cluster: &mut Cluster, id: NodeId, index: Index) {
    let files = &mut cluster.files(id)[0];
    let (name, _, payload) = find_in(files, GroupId::CATALOG, |at| at == index);
    files.get_mut(&name).unwrap()[payload] ^= 0x20;
}
