//! Servers of two builds in one cluster: what the older one does not know it is not told, so nobody loses a link, and all else goes on.

use super::rig::{Cluster, node};
use super::znodes::Zk;
use crate::tests::zookeeper::{ephemeral, hello, serving};
use torc_base::ids::{GroupId, NodeId, Offset};
use torc_net::peer::VERSIONS;
use torc_net::zookeeper::Ask;

const LOG: GroupId = GroupId(1031);

/// Three nodes that serve ZooKeeper's clients, of which these speak no newer version than the last but one.
fn with_older(older: &[u32]) -> Cluster {
    let mut cluster = Cluster::with([1, 1, 1], |settings| {
        *settings = serving(settings);
        if older.contains(&settings.node.get()) {
            settings.cluster.newest_version = *VERSIONS.end() - 1;
        }
    });
    cluster.pass(1_500);
    cluster.leader(GroupId::TREE);
    cluster.pass(500);
    cluster
}

fn links_lost(cluster: &Cluster) -> u64 {
    (1..=3).map(|id| cluster.count(node(id), |stats| &stats.peer_links_lost_total)).sum()
}

/// A node has a new disk, and the partition is made on it again.
fn replace_disk(cluster: &mut Cluster, victim: NodeId, replicas: &[NodeId], life: u64) {
    cluster.kill(victim);
    cluster.wipe(victim);
    cluster.settings.get_mut(&victim).expect("one of them").cluster.doubt = Some(life);
    cluster.start(victim);
    cluster.pass(1);
    cluster.create(LOG, replicas);
}

#[test]
fn an_older_server_is_not_told_how_long_sessions_live_and_keeps_its_links() {
    for older in [&[1][..], &[2], &[3], &[1, 2, 3]] {
        let mut cluster = with_older(older);
        let begun = Zk::greet_with(&mut cluster, node(1), &hello(None, 4_000, 0), 0).expect("a session");
        let (mut session, mut zxid) = (begun.session, begun.zxid);
        for round in 0..6 {
            let at = node(1 + round % 3);
            let again = hello(Some(session), 10_000 + 1_000 * round as i32, zxid);
            let mut zk = Zk::greet_with(&mut cluster, at, &again, zxid).expect("it moves");
            zk.does(&mut cluster, &ephemeral(&format!("/mine{round}")));
            zk.does(&mut cluster, &Ask::Ping);
            (session, zxid) = (zk.session, zk.zxid);
            cluster.pass(1_200);
        }
        assert_eq!(links_lost(&cluster), 0, "nodes {older:?} are older: {:?}", cluster.logs(node(1)));
    }
}

/// Of two replicas one has a new disk, and later the other one, whichever led: both have everything after a while, and count.
#[test]
fn of_two_replicas_either_gets_a_new_disk_and_votes_again_when_it_has_everything() {
    let pair = [node(1), node(2)];
    for first_led in [true, false] {
        let mut cluster = Cluster::new([1, 1, 1]);
        cluster.pass(500);
        cluster.create(LOG, &pair);
        let leader = cluster.leader(LOG);
        (0..5).for_each(|_| cluster.produce(leader, LOG, 1_000));
        cluster.pass(200);
        let other = pair.into_iter().find(|id| *id != leader).expect("two");
        let (first, second) = if first_led { (leader, other) } else { (other, leader) };
        for (round, victim) in [first, second, first].into_iter().enumerate() {
            let what = format!("round {round}, the first one led: {first_led}");
            replace_disk(&mut cluster, victim, &pair, 70 + round as u64);
            let leader = cluster.leader(LOG);
            cluster.produce(leader, LOG, 1_000);
            cluster.assert_agree(LOG, &pair);
            let state = cluster.raft(victim, LOG).expect("a replica").hard_state();
            assert_eq!(state.doubt, None, "{what}: {}", cluster.describe(LOG));
            assert_eq!(cluster.state(victim, LOG).1, Offset(6 + round as i64), "{what}");
        }
    }
}

/// Two servers are a cluster, too: its catalog has two copies.
#[test]
fn of_two_servers_either_gets_a_new_disk_and_the_cluster_goes_on() {
    let mut cluster = Cluster::of(&[1, 1], |_| {});
    cluster.pass(1_500);
    for (victim, life) in [(1, 70), (2, 71), (1, 72)] {
        let before = cluster.leader(GroupId::CATALOG);
        replace_disk(&mut cluster, node(victim), &[], life);
        cluster.pass(5_000);
        let leader = cluster.leader(GroupId::CATALOG);
        let state = cluster.raft(node(victim), GroupId::CATALOG).expect("a member").hard_state();
        let where_they_are = cluster.describe(GroupId::CATALOG);
        assert_eq!(state.doubt, None, "node {victim}, {before} and then {leader} led: {where_they_are}");
    }
}

/// The same with an older one: it takes who abstains for one who refuses, and nobody leads until it is upgraded.
#[test]
fn an_older_server_is_refused_a_vote_that_a_new_disk_cannot_give_until_it_is_upgraded() {
    let pair = [node(1), node(2)];
    let mut cluster = with_older(&[1, 2, 3]);
    cluster.create(LOG, &pair);
    let leader = cluster.leader(LOG);
    (0..5).for_each(|_| cluster.produce(leader, LOG, 1_000));
    cluster.pass(200);
    let other = pair.into_iter().find(|id| *id != leader).expect("two");
    replace_disk(&mut cluster, leader, &pair, 77);
    let lost = links_lost(&cluster);
    cluster.pass(10_000);
    assert!(!cluster.raft(other, LOG).expect("a replica").is_leader(), "{}", cluster.describe(LOG));
    assert_eq!(links_lost(&cluster), lost, "{:?}", cluster.logs(other));
    for id in pair {
        cluster.settings.get_mut(&id).expect("one of them").cluster.newest_version = *VERSIONS.end();
        cluster.kill(id);
        cluster.start(id);
        cluster.pass(1);
        cluster.create(LOG, &pair);
        cluster.pass(1_000);
    }
    let now = cluster.leader(LOG);
    cluster.produce(now, LOG, 1_000);
    cluster.assert_agree(LOG, &pair);
    assert_eq!(cluster.state(leader, LOG).1, Offset(6), "{}", cluster.describe(LOG));
}
