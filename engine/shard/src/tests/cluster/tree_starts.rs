//! Members that lack the beginning of the tree's log.

use super::rig::{Cluster, founders, node};
use super::znodes::{Zk, assert_agree, cluster, digest, roles};
use crate::groups::{TreeTold, TreeWord};
use crate::tests::zookeeper::{create, serving};
use torc_base::ids::{GroupId, NodeId};
use torc_base::limits::TREE_KEPT_ENTRIES;
use torc_net::zookeeper::Ask;

/// Makes so many znodes of 100 kB: some of them are more than one entry of these logs takes, and more than may be under way.
fn fill(cluster: &mut Cluster, zk: &mut Zk, count: usize) {
    for n in 0..count {
        zk.does(cluster, &create(&format!("/n{n}"), &vec![n as u8; 100_000]));
    }
}

/// Has the tree's log released on these nodes, as if so much more had come that nobody keeps it for those that are away.
fn release(cluster: &mut Cluster, nodes: &[NodeId]) {
    for id in nodes {
        cluster.call(*id, GroupId::TREE, |groups, out| {
            let applied = groups.tree().state().applied().plus(TREE_KEPT_ENTRIES - 1);
            groups.release_whole(out, GroupId::TREE, 64 << 20, applied);
        });
        assert!(first(cluster, *id) > 20, "{}", first(cluster, *id));
    }
}

/// Where the tree's log begins on a node.
fn first(cluster: &Cluster, id: NodeId) -> u64 {
    cluster.raft(id, GroupId::TREE).expect("it is there").log().first().get()
}

/// A node was given the tree.
fn took(cluster: &Cluster, id: NodeId) -> bool {
    cluster.logs(id).iter().any(|line| line.contains("the tree of znodes is taken over"))
}

/// Three nodes of which the last one is down and lacks what the others have released.
fn lacking(znodes: usize) -> (Cluster, NodeId, NodeId, NodeId) {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, leader);
    cluster.kill(third);
    cluster.pass(500);
    fill(&mut cluster, &mut zk, znodes);
    release(&mut cluster, &[leader, second]);
    (cluster, leader, second, third)
}

/// Makes the way between two nodes so slow that what may be under way at once takes this long.
fn slow(cluster: &mut Cluster, a: NodeId, b: NodeId, ms: u64) {
    cluster.slow_ms.insert((a, b), ms);
    cluster.slow_ms.insert((b, a), ms);
}

#[test]
fn a_tree_larger_than_an_entry_comes_in_parts_and_outlives_the_next_start() {
    let (mut cluster, leader, _, third) = lacking(80);
    cluster.start(third);
    cluster.pass(3_000);
    assert_agree(&mut cluster);
    assert!(took(&cluster, third), "{:?}", cluster.logs(third));
    let mut zk = Zk::new(&mut cluster, third);
    assert_eq!(zk.ask(&mut cluster, &Ask::GetData("/n79", false)).data(), (vec![79; 100_000], 0));
    zk.does(&mut cluster, &create("/after", b""));
    // What follows stands behind it in the log.
    cluster.kill(third);
    cluster.pass(100);
    cluster.start(third);
    cluster.pass(2_000);
    assert_agree(&mut cluster);
    assert!(!took(&cluster, third), "it has it on its disk");
    assert!(first(&cluster, third) > 20);
    cluster.kill(leader);
    cluster.pass(4_000);
    let mut zk = Zk::new(&mut cluster, third);
    zk.does(&mut cluster, &create("/without", b""));
}

#[test]
fn a_disk_that_was_replaced_gets_the_tree_and_its_vote_back() {
    let (mut cluster, leader, second, third) = lacking(50);
    cluster.wipe(third);
    cluster.settings.get_mut(&third).unwrap().cluster.doubt = Some(77);
    cluster.start(third);
    cluster.pass(5_000);
    assert_agree(&mut cluster);
    assert!(took(&cluster, third), "{:?}", cluster.logs(third));
    let raft = cluster.raft(third, GroupId::TREE).expect("it is there");
    assert_eq!(raft.hard_state().doubt, None, "{}", cluster.describe(GroupId::TREE));
    let mut zk = Zk::new(&mut cluster, third);
    cluster.kill(second);
    cluster.pass(2_000);
    zk = Zk::greet(&mut cluster, third, None, 0).unwrap_or(zk);
    zk.does(&mut cluster, &create("/with-its-vote", b""));
    assert!(cluster.is_running(leader));
}

#[test]
fn a_server_that_joins_gets_the_tree() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| {
        *settings = serving(settings);
        settings.listeners[0].advertised.0 = format!("node{}.example", settings.node);
        settings.cluster.founders = founders();
        settings.cluster.disk = u128::from(settings.node.get()) * 10;
    });
    cluster.pass(2_000);
    let leader = cluster.leader(GroupId::TREE);
    let mut zk = Zk::new(&mut cluster, leader);
    fill(&mut cluster, &mut zk, 50);
    release(&mut cluster, &[node(1), node(2), node(3)]);
    cluster.join_with(node(4), 1, 40, node(1), |settings| *settings = serving(settings));
    cluster.pass(5_000);
    assert!(took(&cluster, node(4)), "{:?}", cluster.logs(node(4)));
    assert_eq!(digest(&cluster, node(4)), digest(&cluster, leader), "{}", cluster.describe(GroupId::TREE));
    let mut zk = Zk::new(&mut cluster, node(4));
    zk.does(&mut cluster, &create("/joined", b""));
}

#[test]
fn what_is_written_while_a_tree_is_on_its_way_is_there_once() {
    let (mut cluster, leader, second, third) = lacking(100);
    slow(&mut cluster, leader, third, 60);
    cluster.start(third);
    let mut zk = Zk::new(&mut cluster, second);
    for n in 0..60 {
        zk.does(&mut cluster, &Ask::SetData(&format!("/n{n}"), b"other", -1));
        if n < 30 {
            zk.does(&mut cluster, &Ask::Delete(&format!("/n{}", 99 - n), -1));
        }
        zk.does(&mut cluster, &create(&format!("/new{n}"), b"new"));
    }
    cluster.pass(6_000);
    assert_agree(&mut cluster);
    assert!(took(&cluster, third), "{:?}", cluster.logs(third));
}

#[test]
fn a_leader_that_dies_on_the_way_is_followed_by_one_that_begins_anew() {
    let (mut cluster, leader, second, third) = lacking(100);
    slow(&mut cluster, leader, third, 60);
    cluster.start(third);
    cluster.pass(900);
    assert!(!took(&cluster, third), "it is on its way");
    cluster.slow_ms.clear();
    cluster.kill(leader);
    cluster.pass(5_000);
    assert!(took(&cluster, third), "{:?}", cluster.logs(third));
    assert_eq!(digest(&cluster, second), digest(&cluster, third), "{}", cluster.describe(GroupId::TREE));
    cluster.start(leader);
    cluster.pass(3_000);
    assert_agree(&mut cluster);
}

#[test]
fn a_member_that_dies_on_the_way_begins_anew() {
    let (mut cluster, leader, _, third) = lacking(100);
    slow(&mut cluster, leader, third, 200);
    for behind in [0, 100, 200] {
        cluster.start(third);
        let is_taking = |cluster: &mut Cluster| cluster.call(third, GroupId::TREE, |groups, _| groups.is_taking_tree());
        for _ in 0..100 {
            if is_taking(&mut cluster) {
                break;
            }
            cluster.pass(50);
        }
        cluster.pass(behind);
        assert!(is_taking(&mut cluster), "it is on its way");
        cluster.kill(third);
        cluster.pass(200);
    }
    cluster.slow_ms.clear();
    cluster.start(third);
    cluster.pass(3_000);
    assert_agree(&mut cluster);
    assert!(took(&cluster, third), "{:?}", cluster.logs(third));
}

#[test]
fn a_link_that_is_lost_on_the_way_costs_no_more_than_time() {
    let (mut cluster, leader, _, third) = lacking(100);
    slow(&mut cluster, leader, third, 60);
    cluster.start(third);
    cluster.pass(900);
    cluster.cut.insert((leader, third));
    cluster.cut.insert((third, leader));
    cluster.pass(4_000);
    cluster.cut.clear();
    cluster.slow_ms.clear();
    cluster.pass(6_000);
    assert_agree(&mut cluster);
    assert!(took(&cluster, third), "{:?}", cluster.logs(third));
}

#[test]
fn what_is_no_part_of_the_tree_that_comes_is_not_taken() {
    let (mut cluster, leader, _, third) = lacking(100);
    slow(&mut cluster, leader, third, 60);
    cluster.start(third);
    cluster.pass(900);
    assert!(!took(&cluster, third), "it is on its way");
    cluster.call(third, GroupId::TREE, |groups, out| {
        let term = groups.tree_term();
        let told = |transfer, at, bytes: &[u8]| {
            let word = TreeWord::Part { at, bytes: bytes.to_vec() };
            TreeTold { term, transfer, word }
        };
        // Of nobody that leads, of another transfer, and a beginning that is none.
        groups.tree_told(out, node(9), told(1, 0, &[1, 0, 0, 0]));
        groups.tree_told(out, leader, told(1, 7, &[1, 0, 0, 0]));
        groups.tree_told(out, leader, told(2, 0, &[0xff; 64]));
    });
    cluster.slow_ms.clear();
    cluster.pass(6_000);
    assert_agree(&mut cluster);
    assert!(took(&cluster, third), "it got another one");
}

#[test]
fn no_checkpoint_begins_while_a_tree_comes() {
    let (mut cluster, leader, _, third) = lacking(100);
    slow(&mut cluster, leader, third, 60);
    cluster.start(third);
    let mut seen = false;
    for _ in 0..60 {
        cluster.pass(100);
        let (is_taking, wants) =
            cluster.call(third, GroupId::TREE, |groups, _| (groups.is_taking_tree(), groups.wants_checkpoint()));
        assert!(!(is_taking && wants));
        seen |= is_taking;
    }
    assert!(seen && took(&cluster, third), "{:?}", cluster.logs(third));
    // It has filled segments meanwhile.
    assert!(cluster.count(third, |stats| &stats.checkpoints_total) > 0);
    cluster.kill(third);
    cluster.start(third);
    cluster.pass(2_000);
    assert_agree(&mut cluster);
}
