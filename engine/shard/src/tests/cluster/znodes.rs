//! ZooKeeper's clients of three nodes.

use super::rig::{Cluster, node};
use crate::ZooKeeperSettings;
use crate::tests::zookeeper::{Told, create, ephemeral, greeted, hello, request, serving, take_frame};
use torc_base::ids::{ConnId, GroupId, ListenerId, NodeId};
use torc_net::zookeeper::{Ask, Connected, Session};

/// The listener of ZooKeeper's clients.
pub(super) const ZOOKEEPER: ListenerId = ListenerId(2);

pub(super) fn cluster() -> Cluster {
    cluster_with(|_| {})
}

/// The same with other settings of what clients may do.
pub(super) fn cluster_with(change: impl Fn(&mut ZooKeeperSettings)) -> Cluster {
    let mut cluster = Cluster::with([1, 1, 1], |settings| {
        *settings = serving(settings);
        change(settings.zookeeper.as_mut().expect("clients are served"));
    });
    cluster.pass(1_000);
    cluster.leader(GroupId::TREE);
    cluster.pass(500);
    cluster
}

/// A client with a session on some node.
pub(super) struct Zk {
    pub(super) conn: ConnId,
    pub(super) session: Session,
    received: Vec<u8>,
    pub(super) zxid: i64,
    xid: i32,
    /// Its node only reads.
    pub(super) read_only: bool,
}

impl Zk {
    pub(super) fn new(cluster: &mut Cluster, id: NodeId) -> Zk {
        Zk::greet(cluster, id, None, 0).expect("a session")
    }

    /// `None`: there is no such session, or the node does not serve.
    pub(super) fn greet(cluster: &mut Cluster, id: NodeId, session: Option<Session>, zxid: i64) -> Option<Zk> {
        Zk::greet_with(cluster, id, &hello(session, 10_000, zxid), zxid).ok()
    }

    /// The error: what was answered, if anything was.
    pub(super) fn greet_with(
        cluster: &mut Cluster,
        id: NodeId,
        hello: &[u8],
        zxid: i64,
    ) -> Result<Zk, Option<Connected>> {
        let conn = cluster.caller(id, 0, ZOOKEEPER);
        cluster.say(conn, hello);
        cluster.pass(50);
        let (mut received, _) = cluster.heard(conn);
        let connected = greeted(&take_frame(&mut received).ok_or(None)?);
        let Some(session) = connected.session else { return Err(Some(connected)) };
        Ok(Zk { conn, session, received, zxid, xid: 0, read_only: connected.read_only })
    }

    pub(super) fn send(&mut self, cluster: &mut Cluster, ask: &Ask<'_>) {
        self.xid += 1;
        cluster.say(self.conn, &request(self.xid, ask));
    }

    pub(super) fn all(&mut self, cluster: &mut Cluster) -> Vec<Told> {
        let (more, _) = cluster.heard(self.conn);
        self.received.extend(more);
        let all: Vec<Told> =
            std::iter::from_fn(|| take_frame(&mut self.received)).map(|frame| Told::of(&frame)).collect();
        for told in &all {
            if let Told::Answer(_, _, frame) = told {
                self.zxid = self.zxid.max(torc_net::zookeeper::Answer::open(frame).expect("a head").zxid);
            }
        }
        all
    }

    pub(super) fn ask(&mut self, cluster: &mut Cluster, ask: &Ask<'_>) -> Told {
        self.send(cluster, ask);
        cluster.pass(50);
        let mut all = self.all(cluster);
        assert_eq!(all.len(), 1, "{ask:?}: {all:?}");
        all.remove(0)
    }

    /// Ends the session; the connection ends with it.
    pub(super) fn does_last(&mut self, cluster: &mut Cluster) {
        self.does(cluster, &Ask::CloseSession);
        assert!(cluster.heard(self.conn).1);
    }

    pub(super) fn does(&mut self, cluster: &mut Cluster, ask: &Ask<'_>) {
        assert_eq!(self.ask(cluster, ask).error(), 0, "{ask:?}");
    }
}

pub(super) fn digest(cluster: &Cluster, id: NodeId) -> u64 {
    cluster.shard(id, 0).groups.tree().state().digest()
}

/// The leader, and two that follow.
pub(super) fn roles(cluster: &mut Cluster) -> (NodeId, NodeId, NodeId) {
    let leader = cluster.leader(GroupId::TREE);
    let mut others = (1..=3).map(node).filter(|id| *id != leader);
    (leader, others.next().expect("three nodes"), others.next().expect("three nodes"))
}

pub(super) fn assert_agree(cluster: &mut Cluster) {
    cluster.pass(1_000);
    let all: Vec<u64> = (1..=3).map(|id| digest(cluster, node(id))).collect();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}: {}", cluster.describe(GroupId::TREE));
}

#[test]
fn every_node_takes_changes_and_shows_them_to_all() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let mut clients: Vec<Zk> = [leader, second, third].into_iter().map(|id| Zk::new(&mut cluster, id)).collect();
    for (at, zk) in clients.iter_mut().enumerate() {
        let path = format!("/from-{at}");
        zk.does(&mut cluster, &create(&path, b"1"));
        assert_eq!(zk.ask(&mut cluster, &create(&path, b"2")).error(), -110);
        zk.does(&mut cluster, &Ask::SetData(&path, b"3", 0));
        assert_eq!(zk.ask(&mut cluster, &Ask::GetData(&path, false)).data(), (b"3".to_vec(), 1), "its own changes");
    }
    for zk in &mut clients {
        zk.does(&mut cluster, &Ask::Sync("/"));
        assert_eq!(zk.ask(&mut cluster, &Ask::GetChildren("/", false)).names().len(), 4);
    }
    assert_agree(&mut cluster);
}

#[test]
fn requests_to_a_follower_keep_their_order() {
    let mut cluster = cluster();
    let (_, follower, _) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, follower);
    let asks = [
        Ask::Exists("/a", false),
        create("/a", b"1"),
        Ask::GetData("/a", false),
        create("/a", b"again"),
        Ask::SetData("/a", b"2", 0),
        Ask::GetData("/a", false),
        Ask::Delete("/a", 9),
        Ask::Delete("/a", -1),
        Ask::Exists("/a", false),
        Ask::CloseSession,
    ];
    for ask in &asks {
        zk.send(&mut cluster, ask);
    }
    cluster.pass(200);
    let told = zk.all(&mut cluster);
    assert_eq!(told.iter().map(Told::error).collect::<Vec<_>>(), [-101, 0, 0, -110, 0, 0, -103, 0, -101, 0]);
    assert_eq!((told[2].data(), told[5].data()), ((b"1".to_vec(), 0), (b"2".to_vec(), 1)));
    assert!(cluster.heard(zk.conn).1, "the connection ends with the session");
}

#[test]
fn watches_on_one_node_fire_for_changes_on_another() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let (mut writer, mut watcher) = (Zk::new(&mut cluster, leader), Zk::new(&mut cluster, third));
    let mut reader = Zk::new(&mut cluster, second);
    writer.does(&mut cluster, &create("/a", b""));
    watcher.does(&mut cluster, &Ask::Sync("/a"));
    watcher.does(&mut cluster, &Ask::GetData("/a", true));
    reader.does(&mut cluster, &Ask::SetData("/a", b"x", -1));
    cluster.pass(200);
    assert_eq!(watcher.all(&mut cluster), [Told::Event(3, "/a".into())]);
}

#[test]
fn a_session_moves_between_nodes_with_its_znodes() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, second);
    zk.does(&mut cluster, &ephemeral("/mine"));
    let mut at = Zk::greet(&mut cluster, third, Some(zk.session), zk.zxid).expect("it moves");
    assert_eq!(at.session, zk.session);
    at.does(&mut cluster, &Ask::SetData("/mine", b"x", -1));
    zk.send(&mut cluster, &Ask::SetData("/mine", b"y", -1));
    cluster.pass(200);
    let (_, is_closed) = cluster.heard(zk.conn);
    assert!(is_closed, "where it came from it is not served any more");
    let mut at = Zk::greet(&mut cluster, leader, Some(at.session), at.zxid).expect("it moves");
    assert_eq!(at.ask(&mut cluster, &Ask::GetData("/mine", false)).data(), (b"x".to_vec(), 1));
    let wrong = Session { password: [1; 16], ..at.session };
    assert!(Zk::greet(&mut cluster, second, Some(wrong), 0).is_none());
}

#[test]
fn a_node_that_knows_less_than_a_client_has_seen_does_not_serve_it() {
    let mut cluster = cluster();
    let (_, second, third) = roles(&mut cluster);
    let zk = Zk::new(&mut cluster, second);
    let conn = cluster.caller(third, 0, ZOOKEEPER);
    cluster.say(conn, &hello(Some(zk.session), 10_000, i64::MAX));
    cluster.pass(50);
    assert_eq!(cluster.heard(conn), (Vec::new(), true));
}

#[test]
fn a_connection_that_its_session_has_left_ends_when_nothing_more_comes_from_it() {
    let mut cluster = cluster();
    let (_, second, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, second);
    zk.ask(&mut cluster, &Ask::Exists("/a", true));
    let mut at = Zk::greet(&mut cluster, third, Some(zk.session), zk.zxid).expect("it moves");
    for _ in 0..5 {
        cluster.pass(3_000);
        at.does(&mut cluster, &Ask::Ping);
    }
    assert!(cluster.heard(zk.conn).1, "its client is elsewhere");
    at.does(&mut cluster, &create("/a", b""));
}

#[test]
fn sessions_are_kept_alive_by_whichever_node_hears_of_them() {
    let mut cluster = cluster();
    let (_, second, third) = roles(&mut cluster);
    let (mut heard, silent) = (Zk::new(&mut cluster, second), Zk::new(&mut cluster, third));
    heard.does(&mut cluster, &ephemeral("/heard"));
    for _ in 0..10 {
        cluster.pass(2_000);
        heard.does(&mut cluster, &Ask::Ping);
    }
    heard.does(&mut cluster, &Ask::Exists("/heard", false));
    assert!(Zk::greet(&mut cluster, third, Some(silent.session), silent.zxid).is_none(), "nobody heard of it");
    assert_agree(&mut cluster);
}

#[test]
fn a_session_that_is_heard_of_lives_while_leaders_change() {
    let mut cluster = cluster();
    let (_, _, third) = roles(&mut cluster);
    let mut heard = Zk::new(&mut cluster, third);
    heard.does(&mut cluster, &ephemeral("/heard"));
    for _ in 0..10 {
        let leader = cluster.leader(GroupId::TREE);
        cluster.call(leader, GroupId::TREE, |groups, out| groups.move_away(out, GroupId::TREE));
        heard.does(&mut cluster, &Ask::Ping);
        cluster.pass(3_000);
        heard.does(&mut cluster, &Ask::Ping);
    }
    heard.does(&mut cluster, &Ask::Exists("/heard", false));
    heard.does(&mut cluster, &Ask::CloseSession);
}

#[test]
fn a_session_that_is_taken_up_for_longer_lives_for_longer_whoever_leads() {
    let mut cluster = cluster();
    let (_, second, third) = roles(&mut cluster);
    let begun = Zk::greet_with(&mut cluster, second, &hello(None, 4_000, 0), 0).expect("a session");
    let again = hello(Some(begun.session), 40_000, begun.zxid);
    let mut zk = Zk::greet_with(&mut cluster, third, &again, begun.zxid).expect("it moves");
    zk.does(&mut cluster, &ephemeral("/mine"));
    for _ in 0..3 {
        cluster.pass(15_000);
        zk.does(&mut cluster, &Ask::Exists("/mine", false));
        let leader = cluster.leader(GroupId::TREE);
        cluster.call(leader, GroupId::TREE, |groups, out| groups.move_away(out, GroupId::TREE));
        cluster.pass(1_000);
    }
    // What it was told at the last counts, on whatever node.
    let again = hello(Some(zk.session), 4_000, zk.zxid);
    let zk = Zk::greet_with(&mut cluster, second, &again, zk.zxid).expect("it moves back");
    cluster.pass(12_000);
    assert!(Zk::greet(&mut cluster, second, Some(zk.session), zk.zxid).is_none(), "it was not heard of");
    assert_agree(&mut cluster);
}

#[test]
fn sessions_and_znodes_outlive_the_leader() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, second);
    let on_leader = Zk::new(&mut cluster, leader);
    zk.does(&mut cluster, &ephemeral("/mine"));
    for n in 0..50 {
        zk.does(&mut cluster, &create(&format!("/n{n}"), b""));
    }
    cluster.kill(leader);
    cluster.pass(3_000);
    let mut zk = match Zk::greet(&mut cluster, second, Some(zk.session), zk.zxid) {
        Some(zk) => zk,
        None => Zk::greet(&mut cluster, third, Some(zk.session), zk.zxid).expect("one of them serves it"),
    };
    zk.does(&mut cluster, &Ask::Exists("/mine", false));
    zk.does(&mut cluster, &create("/after", b""));
    let mut moved = Zk::greet(&mut cluster, third, Some(on_leader.session), 0).expect("it lives");
    moved.does(&mut cluster, &ephemeral("/moved"));
    cluster.start(leader);
    cluster.pass(3_000);
    assert_agree(&mut cluster);
    let mut back = Zk::new(&mut cluster, leader);
    assert_eq!(back.ask(&mut cluster, &Ask::GetChildren("/", false)).names().len(), 54);
}

#[test]
fn without_a_quorum_nobody_is_served() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, second);
    zk.does(&mut cluster, &ephemeral("/mine"));
    cluster.kill(leader);
    cluster.kill(third);
    cluster.pass(6_000);
    assert!(cluster.heard(zk.conn).1, "it is to look for a node that is served itself");
    assert!(Zk::greet(&mut cluster, second, Some(zk.session), 0).is_none());
    cluster.start(third);
    cluster.pass(4_000);
    let mut zk = Zk::greet(&mut cluster, second, Some(zk.session), zk.zxid).expect("it lives");
    zk.does(&mut cluster, &Ask::Exists("/mine", false));
}
