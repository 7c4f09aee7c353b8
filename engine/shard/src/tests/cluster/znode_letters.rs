//! What nodes tell each other on behalf of ZooKeeper's clients: whatever one of these sends, no link breaks of it; and nodes that have
//! no part in it.

use super::rig::{Cluster, node};
use super::znodes::{ZOOKEEPER, Zk, assert_agree, cluster, cluster_with, roles};
use crate::Settings;
use crate::tests::zookeeper::{OPEN, create, greeted, hello, request, serving, take_frame};
use torc_base::ids::{GroupId, Index, NodeId};
use torc_base::limits::TREE_TXN_BYTES_MAX;
use torc_net::zookeeper::{Ask, Change, Kind, New};
use torc_state::tree::Body;

const AUTH_FAILED: i32 = -115;
const BAD_ARGUMENTS: i32 = -8;

#[test]
fn long_credentials_of_one_client_take_nobody_from_the_leader() {
    let mut cluster = cluster();
    let (_, second, _) = roles(&mut cluster);
    let (mut zk, mut other) = (Zk::new(&mut cluster, second), Zk::new(&mut cluster, second));
    // What is no text becomes three times as long.
    zk.send(&mut cluster, &Ask::Auth("digest", &[0xff; 900_000]));
    zk.send(&mut cluster, &create("/mine", b""));
    other.send(&mut cluster, &create("/other", b""));
    cluster.pass(500);
    let told: Vec<i32> = zk.all(&mut cluster).iter().map(|told| told.error()).collect();
    assert_eq!(told, [AUTH_FAILED]);
    let told: Vec<i32> = other.all(&mut cluster).iter().map(|told| told.error()).collect();
    assert_eq!(told, [0], "the link to the leader is whole");
    other.does(&mut cluster, &Ask::SetData("/other", b"x", -1));
    assert_agree(&mut cluster);
}

#[test]
fn a_request_that_is_too_long_for_the_log_does_not_go_to_the_leader() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| {
        *settings = Settings { request_max_bytes: 64 << 20, ..serving(settings) };
        settings.zookeeper.as_mut().expect("clients are served").max_buffer = 64 << 20;
    });
    cluster.pass(2_000);
    let (leader, second, _) = roles(&mut cluster);
    for (n, id) in [leader, second].into_iter().enumerate() {
        let (mut zk, mut other) = (Zk::new(&mut cluster, id), Zk::new(&mut cluster, id));
        zk.send(&mut cluster, &Ask::SetData("/", &vec![b'x'; 2 * TREE_TXN_BYTES_MAX], -1));
        other.send(&mut cluster, &create(&format!("/other-{n}"), b""));
        cluster.pass(500);
        let errors = |zk: &mut Zk, cluster: &mut Cluster| -> Vec<i32> {
            zk.all(cluster).iter().map(|told| told.error()).collect()
        };
        assert_eq!(errors(&mut zk, &mut cluster), [BAD_ARGUMENTS]);
        assert_eq!(errors(&mut other, &mut cluster), [0], "the link to the leader is whole");
        zk.does(&mut cluster, &create(&format!("/mine-{n}"), b""));
    }
    assert_agree(&mut cluster);
}

#[test]
fn a_node_that_does_not_serve_zookeepers_clients_says_so_once() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| {
        if settings.node != node(3) {
            *settings = serving(settings);
        }
    });
    cluster.pass(20_000);
    let lines = |cluster: &Cluster, id| {
        cluster.logs(node(id)).iter().filter(|line| line.contains("this node does not")).count()
    };
    assert_eq!([1, 2, 3].map(|id| lines(&cluster, id)), [0, 0, 1], "{:?}", cluster.logs(node(3)));
    let mut zk = Zk::new(&mut cluster, node(1));
    zk.does(&mut cluster, &create("/a", b""));
}

/// It was switched off there: the log has the tree, and votes, but nobody answers those who ask for changes.
#[test]
fn a_node_that_serves_no_clients_any_more_does_not_lead_the_tree() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    cluster.kill(second);
    let settings = cluster.settings.get_mut(&second).expect("it is one of them");
    settings.zookeeper = None;
    settings.listeners.pop();
    cluster.start(second);
    cluster.pass(8_000);
    cluster.call(leader, GroupId::TREE, |groups, out| assert!(groups.hand_to_first(out, GroupId::TREE, &[second])));
    cluster.pass(3_000);
    assert_ne!(cluster.leader(GroupId::TREE), second);
    for id in [leader, third] {
        let mut zk = Zk::new(&mut cluster, id);
        zk.does(&mut cluster, &create(&format!("/of-{}", id.get()), b""));
    }
    assert_agree(&mut cluster);
}

/// The entry by which a session begins, if that node has it and has not applied it.
fn beginning(cluster: &Cluster, id: NodeId) -> Option<Index> {
    let tree = cluster.shard(id, 0).groups.tree().state();
    let mut begun = tree.pending_txns().filter(|(_, txn)| matches!(txn.body, Body::CreateSession { .. }));
    begun.next().map(|(index, _)| index)
}

/// Others may be faster than the leader, which has more to do.
#[test]
fn a_session_is_taken_up_though_the_leader_has_not_come_to_its_beginning() {
    let mut cluster = cluster_with(|zookeeper| zookeeper.max_buffer = 4 << 20);
    let (leader, second, third) = roles(&mut cluster);
    let writer = Zk::new(&mut cluster, leader);
    let paths: Vec<String> = (0..20_000).map(|n| format!("/{n:05}")).collect();
    let kind = Kind::Persistent;
    let new = |path| New { path, data: b"", acls: OPEN, kind, sequential: false, ttl_ms: 0, with_stat: false };
    let changes: Vec<Change<'_>> = paths.iter().map(|path| Change::Create(new(path))).collect();
    cluster.put(writer.conn, request(1, &Ask::Multi(&changes)));
    while cluster.shard(leader, 0).groups.tree().state().drafted().is_none() {
        assert!(cluster.turn(leader, 0), "it is looked through, then made");
    }
    let conn = cluster.caller(second, 0, ZOOKEEPER);
    cluster.put(conn, hello(None, 10_000, 0));
    let mut turns = 0;
    while beginning(&cluster, leader).is_none_or(|begun| cluster.committed(second, GroupId::TREE) < begun) {
        [leader, second, third].into_iter().for_each(|id| _ = cluster.turn(id, 0));
        turns += 1;
        assert!(turns < 1_000, "the leader is as fast as the others");
    }
    cluster.paused.insert(leader);
    cluster.run();
    let session = greeted(&take_frame(&mut cluster.heard(conn).0).expect("an answer")).session.expect("a session");
    assert!(beginning(&cluster, leader).is_some(), "the leader has not applied it");
    // Its question is the first thing that the leader hears of.
    let again = cluster.caller(second, 0, ZOOKEEPER);
    cluster.say(again, &hello(Some(session), 10_000, 0));
    cluster.run();
    cluster.paused.remove(&leader);
    cluster.pass(50);
    let told = greeted(&take_frame(&mut cluster.heard(again).0).expect("an answer"));
    assert_eq!(told.session, Some(session));
    assert_agree(&mut cluster);
}
