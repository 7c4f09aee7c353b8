//! What has gone wrong in coordination services elsewhere, told of three nodes.

use super::rig::{Cluster, node};
use super::znodes::{Zk, assert_agree, cluster, roles};
use crate::tests::zookeeper::{OPEN, Told, create, ephemeral, greeted, hello, take_frame};
use torc_base::ids::{GroupId, ListenerId, NodeId};
use torc_net::zookeeper::{AddMode, Ask, Change, Kind, New};

const ZOOKEEPER: ListenerId = ListenerId(2);

/// What a node answers to whoever comes with a session: `None` is no answer.
fn comes_back(cluster: &mut Cluster, id: NodeId, zk: &Zk) -> Option<Option<i64>> {
    let conn = cluster.caller(id, 0, ZOOKEEPER);
    cluster.say(conn, &hello(Some(zk.session), 10_000, zk.zxid));
    cluster.pass(50);
    let (mut received, _) = cluster.heard(conn);
    let connected = greeted(&take_frame(&mut received)?);
    Some(connected.session.map(|session| session.id))
}

#[test]
fn whoever_comes_with_a_session_that_is_over_is_told_so_by_every_node_and_never_gets_another_one() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, second);
    zk.does(&mut cluster, &ephemeral("/mine"));
    cluster.hang_up(zk.conn);
    cluster.pass(15_000);
    for id in [leader, second, third] {
        assert_eq!(comes_back(&mut cluster, id, &zk), Some(None), "node {id}");
    }
    for id in [leader, second, third] {
        cluster.kill(id);
    }
    (1..=3).for_each(|number| cluster.start(node(number)));
    cluster.pass(3_000);
    cluster.leader(GroupId::TREE);
    for id in [leader, second, third] {
        assert_eq!(comes_back(&mut cluster, id, &zk), Some(None), "node {id}, after a restart of all");
    }
    let mut other = Zk::new(&mut cluster, third);
    assert_eq!(other.ask(&mut cluster, &Ask::Exists("/mine", false)).error(), -101);
}

#[test]
fn a_slow_server_that_takes_up_a_session_which_has_gone_elsewhere_costs_its_client_one_reconnect() {
    let mut cluster = cluster();
    let (leader, slow, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, third);
    zk.does(&mut cluster, &create("/a", b""));
    // It asks a node whose way to the leader is long, is not answered, and goes back to another one.
    cluster.slow_ms.insert((slow, leader), 300);
    let late = cluster.caller(slow, 0, ZOOKEEPER);
    cluster.say(late, &hello(Some(zk.session), 10_000, zk.zxid));
    cluster.pass(100);
    cluster.hang_up(late);
    let mut zk = Zk::greet(&mut cluster, third, Some(zk.session), zk.zxid).expect("it lives");
    let multi = |n: usize| [["/m0", "/m1", "/m2", "/m3", "/m4"][n]].map(|path| Change::Create(made(path)));
    zk.does(&mut cluster, &Ask::Multi(&multi(0)));
    cluster.pass(500);
    // The leader has taken the slow one for its server by now.
    zk.send(&mut cluster, &Ask::Multi(&multi(1)));
    cluster.pass(100);
    assert!(cluster.heard(zk.conn).1, "it is not told for ever that its session has moved");
    let mut zk = Zk::greet(&mut cluster, third, Some(zk.session), zk.zxid).expect("it lives");
    for n in 2..5 {
        zk.does(&mut cluster, &Ask::Multi(&multi(n)));
    }
    assert_eq!(zk.ask(&mut cluster, &Ask::Exists("/m1", false)).error(), -101, "what was refused is not done");
}

#[test]
fn a_session_ends_when_a_connection_that_it_has_left_asks_for_it() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    for (was, is) in [(second, third), (leader, second), (third, leader)] {
        let mut zk = Zk::new(&mut cluster, was);
        zk.does(&mut cluster, &ephemeral("/mine"));
        // A second handle of the same client has taken it up meanwhile.
        let elsewhere = Zk::greet(&mut cluster, is, Some(zk.session), zk.zxid).expect("it lives");
        assert_eq!(zk.ask(&mut cluster, &Ask::CloseSession).error(), 0, "from {was} to {is}");
        cluster.pass(50);
        assert_eq!(comes_back(&mut cluster, is, &elsewhere), Some(None), "from {was} to {is}");
        let mut other = Zk::new(&mut cluster, is);
        assert_eq!(other.ask(&mut cluster, &Ask::Exists("/mine", false)).error(), -101, "from {was} to {is}");
    }
    assert_agree(&mut cluster);
}

fn made(path: &str) -> New<'_> {
    New { path, data: b"", acls: OPEN, kind: Kind::Persistent, sequential: false, ttl_ms: 0, with_stat: false }
}

#[test]
fn whoever_only_reads_from_a_follower_keeps_its_session_through_a_change_of_leader() {
    let mut cluster = cluster();
    let (leader, follower, _) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, follower);
    zk.does(&mut cluster, &ephemeral("/mine"));
    let read = |cluster: &mut Cluster, zk: &mut Zk| {
        for _ in 0..8 {
            cluster.pass(2_000);
            zk.send(cluster, &Ask::Exists("/mine", false));
            cluster.pass(50);
            let told = zk.all(cluster);
            assert_eq!(told.iter().map(Told::error).collect::<Vec<_>>(), [0]);
        }
    };
    read(&mut cluster, &mut zk);
    cluster.kill(leader);
    cluster.pass(3_000);
    // Nobody has told the new leader of it yet. It has no request under way: its connection may be the old one.
    if cluster.heard(zk.conn).1 {
        zk = Zk::greet(&mut cluster, follower, Some(zk.session), zk.zxid).expect("it lives");
    }
    read(&mut cluster, &mut zk);
    cluster.start(leader);
    assert_agree(&mut cluster);
}

#[test]
fn an_ephemeral_znode_that_only_a_lost_leader_had_is_nowhere_in_the_end() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, leader);
    zk.does(&mut cluster, &ephemeral("/all-have-it"));
    for other in [second, third] {
        cluster.cut.insert((leader, other));
        cluster.cut.insert((other, leader));
    }
    zk.send(&mut cluster, &ephemeral("/nobody-else-has-it"));
    cluster.pass(50);
    assert!(zk.all(&mut cluster).is_empty());
    cluster.kill(leader);
    cluster.pass(3_000);
    cluster.cut.clear();
    let mut other = Zk::new(&mut cluster, second);
    other.does(&mut cluster, &create("/in-its-place", b""));
    cluster.start(leader);
    cluster.pass(15_000);
    assert_agree(&mut cluster);
    for id in [leader, second, third] {
        let mut zk = Zk::new(&mut cluster, id);
        zk.does(&mut cluster, &Ask::Sync("/"));
        let names = zk.ask(&mut cluster, &Ask::GetChildren("/", false)).names();
        assert_eq!(names, ["in-its-place", "zookeeper"], "node {id}: the session that had both is over");
    }
}

#[test]
fn what_is_asked_behind_the_end_of_a_session_is_not_done() {
    let mut cluster = cluster();
    let (leader, follower, _) = roles(&mut cluster);
    for id in [leader, follower] {
        let mut zk = Zk::new(&mut cluster, id);
        zk.does(&mut cluster, &ephemeral("/mine"));
        for ask in [Ask::CloseSession, create("/after", b""), ephemeral("/mine-too"), Ask::Ping] {
            zk.send(&mut cluster, &ask);
        }
        cluster.pass(200);
        let told = zk.all(&mut cluster);
        assert_eq!(told.first().map(Told::error), Some(0), "node {id}");
        assert!(told[1..].iter().all(|told| told.error() != 0), "node {id}: {told:?}");
        assert!(cluster.heard(zk.conn).1, "node {id}");
    }
    let mut other = Zk::new(&mut cluster, follower);
    other.does(&mut cluster, &Ask::Sync("/"));
    assert_eq!(other.ask(&mut cluster, &Ask::GetChildren("/", false)).names(), ["zookeeper"]);
    assert_agree(&mut cluster);
}

#[test]
fn an_event_that_was_cut_off_with_its_connection_is_told_on_the_next_one_wherever_that_is() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let (mut zk, mut writer) = (Zk::new(&mut cluster, second), Zk::new(&mut cluster, leader));
    for path in ["/a", "/b", "/c"] {
        writer.does(&mut cluster, &create(path, b""));
    }
    zk.does(&mut cluster, &Ask::Sync("/"));
    zk.does(&mut cluster, &Ask::GetData("/a", true));
    zk.does(&mut cluster, &Ask::GetData("/b", true));
    zk.does(&mut cluster, &Ask::AddWatch("/c", AddMode::Persistent));
    writer.does(&mut cluster, &Ask::SetData("/a", b"1", -1));
    cluster.pass(200);
    assert_eq!(zk.all(&mut cluster), [Told::Event(3, "/a".into())]);
    // The second one is on its way when the connection is cut.
    cluster.hang_up(zk.conn);
    writer.does(&mut cluster, &Ask::SetData("/b", b"1", -1));
    writer.does(&mut cluster, &Ask::SetData("/c", b"1", -1));
    let mut zk = Zk::greet(&mut cluster, third, Some(zk.session), zk.zxid).expect("it lives");
    let (data, staying) = (["/b".to_string()], ["/c".to_string()]);
    zk.send(&mut cluster, &Ask::SetWatches(zk.zxid, [&data, &[], &[], &staying, &[]]));
    cluster.pass(200);
    let told = zk.all(&mut cluster);
    assert_eq!(told[0], Told::Event(3, "/b".into()));
    // As ZooKeeper has it: a watch that stays hears from now on.
    assert_eq!(told[1..].iter().map(Told::error).collect::<Vec<_>>(), [0]);
    writer.does(&mut cluster, &Ask::SetData("/c", b"2", -1));
    cluster.pass(200);
    assert_eq!(zk.all(&mut cluster), [Told::Event(3, "/c".into())]);
}

#[test]
fn a_sync_that_does_not_come_to_the_leader_is_not_answered_as_if_it_had() {
    let mut cluster = cluster();
    let (leader, follower, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, follower);
    for (from, to) in [(follower, leader), (leader, follower), (follower, third), (third, follower)] {
        cluster.cut.insert((from, to));
    }
    zk.send(&mut cluster, &Ask::Sync("/"));
    zk.send(&mut cluster, &Ask::GetChildren("/", false));
    cluster.pass(10_000);
    let (received, is_closed) = cluster.heard(zk.conn);
    assert!(received.is_empty() && is_closed, "its client hears of it, and asks somebody else");
    cluster.cut.clear();
    cluster.pass(3_000);
    let mut zk = Zk::new(&mut cluster, follower);
    zk.does(&mut cluster, &Ask::Sync("/"));
}

#[test]
fn a_leader_that_has_stood_still_says_of_no_session_that_it_is_gone() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, second);
    zk.does(&mut cluster, &ephemeral("/mine"));
    cluster.paused.insert(leader);
    cluster.pass(3_000);
    let mut zk = Zk::greet(&mut cluster, third, Some(zk.session), zk.zxid).expect("it lives");
    for _ in 0..6 {
        cluster.pass(2_000);
        zk.does(&mut cluster, &Ask::Ping);
    }
    // It goes on, has heard of nobody for longer than any timeout, and nobody has told it that it leads no longer.
    for other in [second, third] {
        cluster.cut.insert((leader, other));
        cluster.cut.insert((other, leader));
    }
    cluster.paused.remove(&leader);
    cluster.pass(20);
    assert!(cluster.shard(leader, 0).groups.leads(GroupId::TREE), "it believes so");
    assert_eq!(comes_back(&mut cluster, leader, &zk), None);
    zk.does(&mut cluster, &Ask::Exists("/mine", false));
}
