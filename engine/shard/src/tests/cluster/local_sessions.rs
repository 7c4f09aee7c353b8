//! Sessions that one node knows alone (`localSessionsEnabled`).

use super::rig::{Cluster, node};
use super::znodes::{Zk, assert_agree, cluster_with, roles};
use crate::LocalSessions;
use crate::tests::zookeeper::{create, ephemeral, hello};
use torc_base::ids::{NodeId, SessionId};
use torc_net::zookeeper::{Ask, Change, Kind, New};

const EPHEMERAL_ON_LOCAL_SESSION: i32 = -120;

fn cluster(local_sessions: LocalSessions) -> Cluster {
    cluster_with(|zookeeper| zookeeper.local_sessions = local_sessions)
}

/// True if all nodes know the session; false if none does.
fn is_known(cluster: &Cluster, session: i64) -> bool {
    let knows = |id| cluster.shard(node(id), 0).groups.tree().state().committed_session(SessionId(session)).is_some();
    let all = [1, 2, 3].map(knows);
    assert!(all[0] == all[1] && all[1] == all[2], "{all:?}");
    all[0]
}

/// The session is taken up on a node; false: it is told that it has expired.
fn is_taken_up(cluster: &mut Cluster, id: NodeId, zk: &Zk) -> bool {
    match Zk::greet_with(cluster, id, &hello(Some(zk.session), 10_000, zk.zxid), zk.zxid) {
        Ok(taken) => taken.session == zk.session,
        Err(told) => {
            assert_eq!(told.expect("an answer").session, None);
            false
        }
    }
}

fn multi<'a>(ops: &'a [Change<'a>]) -> Ask<'a> {
    Ask::Multi(ops)
}

fn new(path: &str, kind: Kind) -> Change<'_> {
    let acls = crate::tests::zookeeper::OPEN;
    Change::Create(New { path, data: b"", acls, kind, sequential: false, ttl_ms: 0, with_stat: false })
}

#[test]
fn a_local_session_does_all_but_own_znodes() {
    let mut cluster = cluster(LocalSessions::Yes);
    let (leader, second, _) = roles(&mut cluster);
    for (n, id) in [leader, second].into_iter().enumerate() {
        let mut zk = Zk::new(&mut cluster, id);
        let (path, below) = (format!("/a{n}"), format!("/a{n}/below"));
        zk.does(&mut cluster, &create(&path, b"1"));
        zk.does(&mut cluster, &Ask::SetData(&path, b"2", 0));
        zk.does(&mut cluster, &Ask::Sync("/"));
        zk.does(&mut cluster, &Ask::GetData(&path, false));
        assert_eq!(zk.ask(&mut cluster, &ephemeral(&below)).error(), EPHEMERAL_ON_LOCAL_SESSION);
        let ops = [new("/never", Kind::Persistent), new("/neither", Kind::Ephemeral)];
        assert_eq!(zk.ask(&mut cluster, &multi(&ops)).error(), 0, "its operations have the errors");
        assert_eq!(zk.ask(&mut cluster, &Ask::Exists("/never", false)).error(), -101);
        zk.does(&mut cluster, &Ask::Delete(&path, -1));
        assert!(!is_known(&cluster, zk.session.id));
        zk.does_last(&mut cluster);
        assert!(!is_taken_up(&mut cluster, id, &zk));
    }
    assert_agree(&mut cluster);
}

#[test]
fn a_local_session_comes_back_to_its_node_and_to_no_other() {
    let mut cluster = cluster(LocalSessions::Upgraded);
    let (_, second, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, second);
    zk.does(&mut cluster, &create("/a", b""));
    assert!(is_taken_up(&mut cluster, second, &zk));
    assert!(cluster.heard(zk.conn).1, "where it came from it is not served any more");
    assert!(!is_taken_up(&mut cluster, third, &zk));
    assert!(is_taken_up(&mut cluster, second, &zk), "nobody has ended it");
    cluster.kill(second);
    cluster.pass(500);
    cluster.start(second);
    cluster.pass(2_000);
    assert!(!is_taken_up(&mut cluster, second, &zk), "it was known to that process alone");
}

#[test]
fn a_session_that_makes_an_ephemeral_znode_is_known_to_all_from_then_on() {
    let mut cluster = cluster(LocalSessions::Upgraded);
    let (leader, second, third) = roles(&mut cluster);
    for (n, id) in [leader, second].into_iter().enumerate() {
        let mut zk = Zk::new(&mut cluster, id);
        let path = format!("/mine{n}");
        // All at once: what comes behind it goes on in the same session.
        for ask in [&create(&format!("/a{n}"), b""), &ephemeral(&path), &Ask::SetData(&path, b"x", 0)] {
            zk.send(&mut cluster, ask);
        }
        cluster.pass(200);
        let told = zk.all(&mut cluster);
        assert_eq!(told.iter().map(|told| told.error()).collect::<Vec<_>>(), [0, 0, 0]);
        cluster.pass(100);
        assert!(is_known(&cluster, zk.session.id));
        let mut at = Zk::greet(&mut cluster, third, Some(zk.session), zk.zxid).expect("it moves");
        assert_eq!(at.ask(&mut cluster, &Ask::GetData(&path, false)).data(), (b"x".to_vec(), 1));
        at.does_last(&mut cluster);
        let mut other = Zk::new(&mut cluster, third);
        other.does(&mut cluster, &Ask::Sync("/"));
        assert_eq!(other.ask(&mut cluster, &Ask::Exists(&path, false)).error(), -101, "it ended with its session");
    }
    let mut zk = Zk::new(&mut cluster, second);
    let ops = [new("/both", Kind::Persistent), new("/both/mine", Kind::Ephemeral)];
    zk.does(&mut cluster, &multi(&ops));
    cluster.pass(100);
    assert!(is_known(&cluster, zk.session.id));
    assert_agree(&mut cluster);
}

#[test]
fn a_local_session_that_is_not_heard_of_ends() {
    let mut cluster = cluster(LocalSessions::Yes);
    let (_, second, _) = roles(&mut cluster);
    let (mut heard, silent) = (Zk::new(&mut cluster, second), Zk::new(&mut cluster, second));
    for _ in 0..10 {
        cluster.pass(2_000);
        heard.does(&mut cluster, &Ask::Ping);
    }
    assert!(cluster.heard(silent.conn).1, "its connection ends with it");
    assert!(!is_taken_up(&mut cluster, second, &silent));
    heard.does(&mut cluster, &create("/a", b""));
}

#[test]
fn local_sessions_outlive_a_change_of_leader() {
    let mut cluster = cluster(LocalSessions::Yes);
    let (leader, second, _) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, second);
    zk.does(&mut cluster, &create("/a", b""));
    cluster.kill(leader);
    cluster.pass(4_000);
    let mut zk = match cluster.heard(zk.conn).1 {
        true => Zk::greet(&mut cluster, second, Some(zk.session), zk.zxid).expect("its node knows it"),
        false => zk,
    };
    zk.does(&mut cluster, &create("/b", b""));
}
