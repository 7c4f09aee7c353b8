//! Whatever ZooKeeper's clients ask for while the tree's leaders come and go, on whichever node, is answered, or their
//! connection is closed: nobody waits for what does not come.

use super::rig::{Cluster, node};
use super::znodes::{ZOOKEEPER, cluster_with, roles};
use crate::tests::zookeeper::{create, greeted, hello, request, take_frame};
use std::collections::BTreeMap;
use torc_base::ids::{ConnId, GroupId, NodeId};
use torc_net::zookeeper::{Ask, Session};

/// How often everything is asked, and in which distances.
const TIMES: usize = 30;
const APART_MS: u64 = 20;
/// What no test waits for but one: here nobody is left because of the time alone.
const SESSION_MS: i32 = 30_000;

/// What is asked, each on a connection of its own.
const KINDS: [&str; 6] = ["a session", "its session", "a change", "what is refused", "sync", "the end"];

/// One question: when and where, what, and on which connection.
struct Question {
    at: usize,
    on: NodeId,
    kind: &'static str,
    conn: ConnId,
}

fn cluster() -> Cluster {
    cluster_with(|settings| settings.max_connections_per_ip = 0)
}

/// Sessions, each with its connection to a node.
fn sessions(cluster: &mut Cluster, on: NodeId, count: usize) -> Vec<(ConnId, Session)> {
    let conns: Vec<ConnId> = (0..count).map(|_| cluster.caller(on, 0, ZOOKEEPER)).collect();
    conns.iter().for_each(|conn| cluster.say(*conn, &hello(None, SESSION_MS, 0)));
    cluster.pass(200);
    let session = |conn: ConnId| {
        let frame = take_frame(&mut cluster.heard(conn).0).expect("an answer to the hello");
        (conn, greeted(&frame).session.expect("a session"))
    };
    conns.into_iter().map(session).collect()
}

/// Asks for everything on these nodes, again and again, while something happens to their leader; answers by kind, when so
/// much time has passed.
fn ask_meanwhile(
    cluster: &mut Cluster,
    nodes: &[NodeId],
    mut happens: impl FnMut(&mut Cluster, usize),
    patience_ms: u64,
) -> BTreeMap<&'static str, usize> {
    let kinds = KINDS.len() - 1;
    let mut prepared: BTreeMap<NodeId, Vec<(ConnId, Session)>> =
        nodes.iter().map(|id| (*id, sessions(cluster, *id, kinds * TIMES))).collect();
    let mut all = Vec::new();
    for at in 0..TIMES {
        happens(cluster, at);
        for &on in nodes {
            let mut next = || prepared.get_mut(&on).and_then(Vec::pop).expect("as many as are asked");
            let path = format!("/{on}-{at}");
            for kind in KINDS {
                let (conn, bytes) = match kind {
                    "a session" => (cluster.caller(on, 0, ZOOKEEPER), hello(None, SESSION_MS, 0)),
                    "its session" => {
                        let (_, session) = next();
                        (cluster.caller(on, 0, ZOOKEEPER), hello(Some(session), SESSION_MS, 0))
                    }
                    "a change" => (next().0, request(1, &create(&path, b""))),
                    "what is refused" => (next().0, request(1, &Ask::Delete("/nothing", -1))),
                    "sync" => (next().0, request(1, &Ask::Sync("/"))),
                    _ => (next().0, request(1, &Ask::CloseSession)),
                };
                cluster.say(conn, &bytes);
                all.push(Question { at, on, kind, conn });
            }
        }
        cluster.pass(APART_MS);
    }
    cluster.pass(patience_ms);
    let mut answers = BTreeMap::new();
    for Question { at, on, kind, conn } in all {
        let (bytes, is_closed) = cluster.heard(conn);
        let tell = || cluster.describe(GroupId::TREE);
        assert!(is_closed || !bytes.is_empty(), "time {at}: who wants {kind} of node {on} waits: {}", tell());
        *answers.entry(kind).or_default() += usize::from(!bytes.is_empty());
    }
    answers
}

/// All kinds of questions were answered, some of them.
fn assert_served(answers: &BTreeMap<&'static str, usize>) {
    assert!(KINDS.iter().all(|kind| answers[kind] > 0), "{answers:?}");
}

#[test]
fn when_the_leader_is_killed() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let kill = |cluster: &mut Cluster, at| {
        if at == 1 {
            cluster.kill(leader);
        }
    };
    assert_served(&ask_meanwhile(&mut cluster, &[second, third], kill, 2_000));
}

#[test]
fn when_the_leaders_machine_is_gone() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let cut_off = |cluster: &mut Cluster, at| {
        if at == 1 {
            cluster.power_off(leader);
        }
    };
    assert_served(&ask_meanwhile(&mut cluster, &[second, third], cut_off, 5_000));
}

#[test]
fn when_the_leader_stands_still_and_goes_on() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let pause = |cluster: &mut Cluster, at| {
        match at {
            1 => _ = cluster.paused.insert(leader),
            20 => {
                cluster.pass(2_000);
                cluster.paused.remove(&leader);
            }
            _ => {}
        };
    };
    assert_served(&ask_meanwhile(&mut cluster, &[leader, second, third], pause, 5_000));
}

#[test]
fn when_nobody_hears_the_leader() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let cut = |cluster: &mut Cluster, at| {
        if at == 1 {
            for other in [second, third] {
                cluster.cut.extend([(leader, other), (other, leader)]);
            }
        }
    };
    assert_served(&ask_meanwhile(&mut cluster, &[leader, second, third], cut, 8_000));
}

#[test]
fn when_leaders_change_again_and_again() {
    let mut cluster = cluster();
    let all = [1, 2, 3].map(node);
    let move_on = |cluster: &mut Cluster, at: usize| {
        if at % 4 == 1 {
            let leader = cluster.leader(GroupId::TREE);
            cluster.call(leader, GroupId::TREE, |groups, out| groups.move_away(out, GroupId::TREE));
        }
    };
    assert_served(&ask_meanwhile(&mut cluster, &all, move_on, 3_000));
}

/// Who leads next cannot be heard by all: they are told by the one who led, or leave when the time of a session has passed.
#[test]
fn when_one_node_does_not_hear_of_the_next_leader() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    cluster.cut.extend([(second, third), (third, second)]);
    cluster.pass(3_000);
    let move_on = |cluster: &mut Cluster, at: usize| {
        if at == 1 {
            cluster.call(leader, GroupId::TREE, |groups, out| groups.move_away(out, GroupId::TREE));
        }
    };
    assert_served(&ask_meanwhile(&mut cluster, &[leader, second, third], move_on, SESSION_MS as u64 + 2_000));
}
