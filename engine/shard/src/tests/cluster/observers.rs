//! Nodes that do not vote on the tree, and serve clients like all others.

use super::rig::{Cluster, node};
use super::znodes::{ZOOKEEPER, Zk, digest};
use crate::tests::zookeeper::{Told, create, ephemeral, serving};
use torc_base::ids::{GroupId, NodeId};
use torc_consensus::Seat;
use torc_net::zookeeper::Ask;

/// Six nodes, the last of which observes.
fn cluster() -> (Cluster, NodeId) {
    let mut cluster = Cluster::of(&[1; 6], |settings| {
        *settings = serving(settings);
        let zookeeper = settings.zookeeper.as_mut().expect("just set");
        zookeeper.four_letter_words = vec!["srvr".into(), "mntr".into(), "conf".into()];
    });
    cluster.pass(2_000);
    let leader = cluster.leader(GroupId::TREE);
    cluster.pass(1_000);
    let raft = cluster.raft(leader, GroupId::TREE).expect("it leads");
    let observers: Vec<NodeId> = raft
        .configuration()
        .1
        .members()
        .iter()
        .filter(|member| member.seat == Seat::Learner)
        .map(|member| member.id)
        .collect();
    assert_eq!(observers, [node(6)], "{}", cluster.describe(GroupId::TREE));
    (cluster, node(6))
}

fn word(cluster: &mut Cluster, id: NodeId, word: &[u8; 4]) -> String {
    let conn = cluster.caller(id, 0, ZOOKEEPER);
    cluster.say(conn, word);
    cluster.pass(10);
    String::from_utf8(cluster.heard(conn).0).expect("text")
}

#[test]
fn an_observer_says_what_it_is_in_zookeepers_words() {
    let (mut cluster, observer) = cluster();
    let leader = cluster.leader(GroupId::TREE);
    assert!(word(&mut cluster, observer, b"srvr").contains("\nMode: observer\n"));
    let told = word(&mut cluster, observer, b"mntr");
    for line in ["zk_server_state\tobserver\n", "zk_peer_state\tobserving - broadcast\n", "zk_quorum_size\t5\n"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let told = word(&mut cluster, observer, b"conf");
    assert!(told.contains("peerType=1\n") && told.contains(":observer"), "{told}");
    let told = word(&mut cluster, leader, b"mntr");
    for line in ["zk_learners\t5\n", "zk_synced_followers\t4\n", "zk_synced_observers\t1\n"] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

#[test]
fn clients_of_an_observer_do_everything() {
    let (mut cluster, observer) = cluster();
    let leader = cluster.leader(GroupId::TREE);
    let (mut zk, mut other) = (Zk::new(&mut cluster, observer), Zk::new(&mut cluster, leader));
    zk.does(&mut cluster, &create("/a", b"1"));
    zk.does(&mut cluster, &ephemeral("/a/mine"));
    zk.does(&mut cluster, &Ask::SetData("/a", b"2", 0));
    assert_eq!(zk.ask(&mut cluster, &Ask::GetData("/a", true)).data(), (b"2".to_vec(), 1), "its own changes");
    other.does(&mut cluster, &Ask::SetData("/a", b"3", 1));
    cluster.pass(100);
    assert_eq!(zk.all(&mut cluster), [Told::Event(3, "/a".into())]);
    zk.does(&mut cluster, &Ask::Sync("/"));
    assert_eq!(zk.ask(&mut cluster, &Ask::SetData("/a", b"4", 1)).error(), -103);
    // It keeps its sessions alive, and they move away and back.
    for _ in 0..8 {
        cluster.pass(2_000);
        zk.does(&mut cluster, &Ask::Ping);
        other.does(&mut cluster, &Ask::Ping);
    }
    let mut at = Zk::greet(&mut cluster, leader, Some(zk.session), zk.zxid).expect("it moves");
    at.does(&mut cluster, &Ask::Exists("/a/mine", false));
    let mut at = Zk::greet(&mut cluster, observer, Some(zk.session), at.zxid).expect("it moves back");
    at.does_last(&mut cluster);
    other.does(&mut cluster, &Ask::Sync("/"));
    assert_eq!(other.ask(&mut cluster, &Ask::Exists("/a/mine", false)).error(), -101);
    cluster.pass(500);
    assert_eq!(digest(&cluster, observer), digest(&cluster, leader));
}

#[test]
fn an_observer_follows_the_next_leader_and_none_counts_on_it() {
    let (mut cluster, observer) = cluster();
    let leader = cluster.leader(GroupId::TREE);
    let mut zk = Zk::new(&mut cluster, observer);
    zk.does(&mut cluster, &ephemeral("/mine"));
    cluster.kill(leader);
    cluster.pass(4_000);
    let mut zk = match cluster.heard(zk.conn).1 {
        true => Zk::greet(&mut cluster, observer, Some(zk.session), zk.zxid).expect("it lives"),
        false => zk,
    };
    zk.does(&mut cluster, &create("/after", b""));
    // With three of five voters away it is no help that it has all.
    let voters = (1..=5).map(node).filter(|id| *id != leader).take(2).collect::<Vec<_>>();
    voters.into_iter().for_each(|id| cluster.kill(id));
    cluster.pass(6_000);
    assert!(Zk::greet(&mut cluster, observer, None, 0).is_none());
}
