//! Records on a quorum's disks, and what happens to leadership when nodes go and come.

use super::rig::{Cluster, members, node};
use torc_base::ids::{GroupId, Index, Offset};

const LOG: GroupId = GroupId(1030);

fn started(shards: [u16; 3]) -> Cluster {
    let mut cluster = Cluster::new(shards);
    cluster.pass(500);
    cluster
}

#[test]
fn every_shard_is_linked_to_every_shard_of_the_others() {
    for shards in [[1, 1, 1], [2, 1, 3], [1, 4, 2]] {
        let cluster = started(shards);
        let all: u16 = shards.iter().sum();
        for (id, own) in members().into_iter().zip(shards) {
            assert_eq!(cluster.links(id), usize::from(own * (all - own)), "node {id} of {shards:?}");
        }
    }
}

#[test]
fn records_are_committed_by_a_quorum_and_all_have_them() {
    for shards in [[1, 1, 1], [2, 1, 3]] {
        let mut cluster = started(shards);
        cluster.create(LOG, &members());
        let leader = cluster.leader(LOG);
        assert_eq!(leader, node(1), "the first replica stands at once");
        for size in [10, 100, 40_000, 1_000_000, 20, 33_000] {
            cluster.produce(leader, LOG, size);
            cluster.run();
        }
        let (_, high_watermark) = cluster.state(leader, LOG);
        assert_eq!(high_watermark, Offset(6), "{}", cluster.describe(LOG));
        cluster.assert_agree(LOG, &members());
    }
}

/// What a quorum has is committed without the third; alone nobody commits anything.
#[test]
fn two_of_three_commit_and_one_does_not() {
    let mut cluster = started([1, 1, 1]);
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    cluster.kill(node(3));
    cluster.produce(leader, LOG, 100);
    cluster.run();
    assert_eq!(cluster.state(leader, LOG).1, Offset(1));
    cluster.kill(node(2));
    cluster.produce(leader, LOG, 100);
    cluster.pass(300);
    assert_eq!(cluster.state(leader, LOG).1, Offset(1), "on one disk of three");
    cluster.start(node(2));
    cluster.pass(3_000);
    let leader = cluster.leader(LOG);
    cluster.produce(leader, LOG, 100);
    cluster.start(node(3));
    cluster.assert_agree(LOG, &members());
    // What was on one disk may have been committed by its leader, or replaced; the record after it is there.
    assert!(cluster.state(leader, LOG).1 >= Offset(2));
}

/// A leader's process is killed: another leads within a second of the end of its connections, and the old one follows when it
/// is back.
#[test]
fn another_leads_when_the_leaders_node_is_gone_and_the_old_one_follows() {
    for off in [false, true] {
        let mut cluster = started([1, 1, 1]);
        cluster.create(LOG, &members());
        let old = cluster.leader(LOG);
        for _ in 0..5 {
            cluster.produce(old, LOG, 1_000);
        }
        cluster.run();
        // Its own alone: never acknowledged, and lost.
        let committed = cluster.committed(old, LOG);
        let since = cluster.now.mono;
        if off {
            cluster.power_off(old)
        } else {
            cluster.kill(old)
        }
        let new = cluster.leader(LOG);
        assert_ne!(new, old);
        let took_ms = cluster.now.mono.since(since) / 1_000_000;
        // A silent machine is missed after five beats.
        assert!(took_ms <= if off { 2_000 } else { 1_500 }, "{took_ms} ms");
        assert!(cluster.committed(new, LOG) > committed, "the new term has begun behind all that was committed");
        assert_eq!(cluster.state(new, LOG).1, Offset(5));
        cluster.produce(new, LOG, 1_000);
        cluster.pass(100);
        cluster.start(old);
        cluster.pass(2_000);
        assert_eq!(cluster.leader(LOG), new, "nobody takes it away");
        cluster.assert_agree(LOG, &members());
        assert_eq!(cluster.state(old, LOG).1, Offset(6));
    }
}

/// All nodes are killed at once and come back: the group is found on the disks, with its members.
#[test]
fn a_group_that_lost_all_its_nodes_at_once_goes_on() {
    let mut cluster = started([2, 1, 1]);
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    (0..20).for_each(|_| cluster.produce(leader, LOG, 500));
    cluster.pass(100);
    members().into_iter().for_each(|id| cluster.kill(id));
    members().into_iter().for_each(|id| cluster.start(id));
    let leader = cluster.leader(LOG);
    assert_eq!(cluster.state(leader, LOG).1, Offset(20));
    cluster.produce(leader, LOG, 500);
    cluster.assert_agree(LOG, &members());
}

/// A follower that was away for long gets what it lacks from the leader's disk.
#[test]
fn a_follower_that_was_away_reads_up_from_the_disk_of_its_leader() {
    let mut cluster = started([1, 1, 1]);
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    cluster.kill(node(3));
    cluster.pass(100);
    // The tail of the log in memory holds 128 KiB in these tests.
    for round in 0..300 {
        cluster.produce(leader, LOG, 3_000 + round);
        cluster.run();
    }
    let reads = cluster.disk(leader, 0).reads;
    cluster.start(node(3));
    cluster.pass(2_000);
    assert!(cluster.disk(leader, 0).reads > reads, "the disk was asked");
    assert_eq!(cluster.committed(node(3), LOG), cluster.committed(leader, LOG));
    assert_ne!(cluster.committed(leader, LOG), Index(0));
    cluster.assert_agree(LOG, &members());
}

/// Only its replicas have a group.
#[test]
fn a_group_of_two_lives_on_two_nodes() {
    let mut cluster = started([1, 2, 1]);
    let two = [node(2), node(3)];
    cluster.create(LOG, &two);
    let leader = cluster.leader(LOG);
    assert_eq!(leader, node(2));
    cluster.produce(leader, LOG, 100);
    cluster.assert_agree(LOG, &two);
    assert!(cluster.raft(node(1), LOG).is_none());
    assert_eq!(cluster.state(leader, LOG).1, Offset(1));
}

/// Replicas that hear of a group before it is there say so, and are asked again: its leader does not wait for long.
#[test]
fn a_group_that_is_made_late_on_some_nodes_has_its_leader_soon_all_the_same() {
    let mut cluster = started([1, 1, 1]);
    let all = members();
    cluster.create(LOG, &[]);
    cluster.call(node(1), LOG, |groups, out| groups.create(out, LOG, crate::meaning::LogKind::Partition, &all));
    cluster.pass(250);
    assert!(!cluster.shard(node(1), 0).groups.leads(LOG));
    let since = cluster.now.mono;
    cluster.call(node(2), LOG, |groups, out| groups.create(out, LOG, crate::meaning::LogKind::Partition, &all));
    assert_eq!(cluster.leader(LOG), node(1));
    assert!(cluster.now.mono.since(since) <= 300_000_000);
    cluster.call(node(3), LOG, |groups, out| groups.create(out, LOG, crate::meaning::LogKind::Partition, &all));
    cluster.assert_agree(LOG, &members());
}
