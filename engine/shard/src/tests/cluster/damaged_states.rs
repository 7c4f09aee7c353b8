//! Damage in the log of the catalog or the tree, found by a read for somebody who lacks what is damaged: the state that the log has
//! made is whole, and goes there instead.

use super::damage::find_in;
use super::rig::{Cluster, founders, members, node};
use super::znodes::{Zk, assert_agree, cluster, roles};
use crate::tests::zookeeper::create;
use torc_base::ids::{GroupId, Index, NodeId};
use torc_state::catalog::Command;

const LOG: GroupId = GroupId(1031);

/// Three founders that know each other's disks.
fn founded() -> Cluster {
    let mut cluster = Cluster::with([1, 1, 1], |settings| {
        settings.listeners[0].advertised.0 = format!("node{}.example", settings.node);
        settings.cluster.founders = founders();
        settings.cluster.disk = u128::from(settings.node.get()) * 10;
    });
    cluster.pass(1_000);
    cluster
}

/// A few commands that say nothing of anybody; the place of one of them.
fn fill(cluster: &mut Cluster, leader: NodeId, from: i64) -> Index {
    for up_to in from..from + 8 {
        cluster.call(leader, GroupId::CATALOG, |groups, out| {
            groups.propose_command(out, Command::AllocateProducerIds { up_to }).map(drop).expect("it leads")
        });
        cluster.pass(20);
    }
    Index(cluster.committed(leader, GroupId::CATALOG).get() - 4)
}

/// So much is written to a partition that what was written before is on the disk alone.
fn write_much(cluster: &mut Cluster) {
    cluster.create(LOG, &members());
    let leader = cluster.leader(LOG);
    for _ in 0..30 {
        cluster.produce(leader, LOG, 20_000);
        cluster.pass(20);
    }
    cluster.pass(300);
}

/// One bit of an entry's payload is another one from now on, on the disk of a node that runs.
fn rot(cluster: &mut Cluster, id: NodeId, group: GroupId, index: Index) {
    let (name, _, payload) = find_in(&cluster.disk(id, 0).files, group, |at| at == index);
    cluster.disk(id, 0).files.get_mut(&name).expect("it was just found")[payload + 2] ^= 0x20;
}

/// The leader of the group has found damage and mended it, once.
fn assert_mended(cluster: &Cluster, id: NodeId, group: GroupId) {
    let what = format!("{} {:?}", cluster.describe(group), cluster.logs(id));
    assert_eq!(cluster.count(id, |stats| &stats.damage_found_total), 1, "{what}");
    assert_eq!(cluster.count(id, |stats| &stats.damage_repaired_total), 1, "{what}");
    let first = cluster.raft(id, group).expect("it is there").log().first();
    assert!(first > Index(10), "its log begins at {first}: {what}");
}

/// All of these nodes have the same catalog, and may forget nothing of it.
fn assert_same_catalog(cluster: &mut Cluster, nodes: &[NodeId]) {
    let catalog = |cluster: &mut Cluster, id: NodeId| {
        cluster.call(id, GroupId::CATALOG, |groups, _| {
            let raft = groups.raft(GroupId::CATALOG).expect("it has the catalog");
            let mut state = Vec::new();
            groups.catalog().encode(&mut state);
            (raft.marks().applied, raft.hard_state().doubt, state)
        })
    };
    let leader = cluster.leader(GroupId::CATALOG);
    let expected = catalog(cluster, leader);
    assert_eq!(expected.1, None);
    for id in nodes {
        assert_eq!(catalog(cluster, *id), expected, "node {id}: {}", cluster.describe(GroupId::CATALOG));
    }
}

fn took(cluster: &Cluster, id: NodeId, what: &str) -> bool {
    cluster.logs(id).iter().any(|line| line.contains(&format!("{what} is taken over from its leader")))
}

/// A server that joins needs the catalog's log from its beginning.
#[test]
fn a_server_joins_though_the_catalogs_log_is_damaged_where_it_is_led() {
    let mut cluster = founded();
    let leader = cluster.leader(GroupId::CATALOG);
    let damaged = fill(&mut cluster, leader, 10_000);
    write_much(&mut cluster);
    rot(&mut cluster, leader, GroupId::CATALOG, damaged);
    let via = members().into_iter().find(|id| *id != leader).expect("there are three");
    cluster.join(node(4), 1, 40, via);
    cluster.pass(5_000);
    assert_mended(&cluster, leader, GroupId::CATALOG);
    assert!(took(&cluster, node(4), "the catalog"), "{:?}", cluster.logs(node(4)));
    assert_same_catalog(&mut cluster, &[1, 2, 3, 4].map(node));
    // What was damaged is needed by nobody any more, not by a start either; and who has the catalog so votes on it.
    for id in [leader, node(4)] {
        cluster.kill(id);
        cluster.start(id);
        cluster.pass(2_000);
    }
    assert_same_catalog(&mut cluster, &[1, 2, 3, 4].map(node));
    let raft = cluster.raft(node(4), GroupId::CATALOG).expect("it is there");
    assert!(raft.seat().is_some_and(|seat| seat.votes()), "{}", cluster.describe(GroupId::CATALOG));
}

/// A voter that was away needs the end of the log.
#[test]
fn a_node_that_was_away_comes_back_though_the_catalogs_log_is_damaged_where_it_is_led() {
    let mut cluster = founded();
    let leader = cluster.leader(GroupId::CATALOG);
    let away = members().into_iter().rfind(|id| *id != leader).expect("there are three");
    fill(&mut cluster, leader, 10_000);
    write_much(&mut cluster);
    cluster.kill(away);
    cluster.pass(500);
    let damaged = fill(&mut cluster, leader, 20_000);
    write_much(&mut cluster);
    rot(&mut cluster, leader, GroupId::CATALOG, damaged);
    cluster.start(away);
    cluster.pass(5_000);
    assert_mended(&cluster, leader, GroupId::CATALOG);
    assert_same_catalog(&mut cluster, &members());
    // It leads as well as any other.
    cluster.kill(leader);
    let now = cluster.leader(GroupId::CATALOG);
    fill(&mut cluster, now, 30_000);
    cluster.start(leader);
    cluster.pass(2_000);
    assert_same_catalog(&mut cluster, &members());
}

#[test]
fn a_node_that_was_away_gets_the_tree_though_its_log_is_damaged_where_it_is_led() {
    let mut cluster = cluster();
    let (leader, _, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, leader);
    cluster.kill(third);
    cluster.pass(500);
    for n in 0..10 {
        zk.does(&mut cluster, &create(&format!("/small{n}"), b"data"));
    }
    let damaged = Index(cluster.committed(leader, GroupId::TREE).get() - 4);
    for n in 0..10 {
        zk.does(&mut cluster, &create(&format!("/large{n}"), &[7; 100_000]));
    }
    rot(&mut cluster, leader, GroupId::TREE, damaged);
    cluster.start(third);
    cluster.pass(6_000);
    assert_mended(&cluster, leader, GroupId::TREE);
    assert!(took(&cluster, third, "the tree of znodes"), "{:?}", cluster.logs(third));
    assert_agree(&mut cluster);
    cluster.kill(leader);
    cluster.pass(4_000);
    let mut zk = Zk::new(&mut cluster, third);
    zk.does(&mut cluster, &create("/without", b""));
}
