//! Nodes without a leader that serve reads (`readonlymode.enabled`).

use super::rig::Cluster;
use super::znodes::{ZOOKEEPER, Zk, cluster_with, roles};
use crate::tests::zookeeper::{create, ephemeral, hello, hello_reading};
use torc_base::ids::NodeId;
use torc_net::zookeeper::{Ask, Change};

const NOT_READ_ONLY: i32 = -119;

fn cluster() -> Cluster {
    cluster_with(|zookeeper| {
        zookeeper.reads_alone = true;
        zookeeper.four_letter_words = vec!["srvr".into(), "mntr".into()];
    })
}

/// The answer to a four-letter word.
fn word(cluster: &mut Cluster, id: NodeId, word: &[u8; 4]) -> String {
    let conn = cluster.caller(id, 0, ZOOKEEPER);
    cluster.say(conn, word);
    cluster.pass(10);
    String::from_utf8(cluster.heard(conn).0).expect("text")
}

fn reading(cluster: &mut Cluster, id: NodeId) -> Zk {
    let zk = Zk::greet_with(cluster, id, &hello_reading(None, 10_000, 0), 0);
    let zk = zk.unwrap_or_else(|told| panic!("no session: {told:?}"));
    assert!(zk.read_only);
    zk
}

#[test]
fn a_node_without_a_leader_serves_reads_to_those_that_allow_it() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, second);
    zk.does(&mut cluster, &create("/a", b"1"));
    zk.does(&mut cluster, &ephemeral("/mine"));
    assert_eq!(word(&mut cluster, second, b"isro"), "rw");
    let both = Zk::greet_with(&mut cluster, second, &hello_reading(None, 10_000, 0), 0).expect("a session");
    assert!(!both.read_only, "there is a leader");
    cluster.kill(leader);
    cluster.kill(third);
    cluster.pass(6_000);
    assert!(cluster.heard(zk.conn).1 && cluster.heard(both.conn).1);
    assert_eq!(word(&mut cluster, second, b"isro"), "ro");
    let told = word(&mut cluster, second, b"srvr");
    assert!(told.contains("READ-ONLY mode") && told.contains("Mode: read-only"), "{told}");
    assert!(word(&mut cluster, second, b"mntr").contains("zk_server_state\tread-only\n"));
    // Those that do not allow it, whose sessions others keep alive, or that have seen more are left without an answer.
    let left = |cluster: &mut Cluster, hello: &[u8]| matches!(Zk::greet_with(cluster, second, hello, 0), Err(None));
    assert!(left(&mut cluster, &hello(None, 10_000, 0)));
    assert!(left(&mut cluster, &hello_reading(Some(zk.session), 10_000, zk.zxid)));
    assert!(left(&mut cluster, &hello_reading(None, 10_000, i64::MAX)));

    let mut reader = reading(&mut cluster, second);
    assert_eq!(reader.ask(&mut cluster, &Ask::GetData("/a", true)).data(), (b"1".to_vec(), 0));
    assert_eq!(reader.ask(&mut cluster, &Ask::GetChildren("/", false)).names(), ["a", "mine", "zookeeper"]);
    let ops = [Change::Check("/a", 0)];
    let refused = [
        create("/b", b""),
        ephemeral("/c"),
        Ask::SetData("/a", b"2", -1),
        Ask::Delete("/a", -1),
        Ask::Sync("/"),
        Ask::Multi(&ops),
    ];
    for ask in &refused {
        assert_eq!(reader.ask(&mut cluster, ask).error(), NOT_READ_ONLY, "{ask:?}");
    }
    reader.does(&mut cluster, &Ask::Ping);
    let mut short = reading(&mut cluster, second);
    short.does_last(&mut cluster);
}

#[test]
fn clients_that_read_are_moved_on_when_there_is_a_leader_again() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    let mut zk = Zk::new(&mut cluster, second);
    zk.does(&mut cluster, &create("/a", b"1"));
    cluster.kill(leader);
    cluster.kill(third);
    cluster.pass(6_000);
    let reader = reading(&mut cluster, second);
    cluster.pass(3_000);
    assert!(!cluster.heard(reader.conn).1, "it is served");
    let again = Zk::greet_with(&mut cluster, second, &hello_reading(Some(reader.session), 10_000, 0), 0);
    let again = again.expect("its node knows its session");
    assert_eq!(again.session, reader.session);
    cluster.start(third);
    cluster.pass(4_000);
    assert!(cluster.heard(again.conn).1, "it is to connect anew");
    let told = Zk::greet_with(&mut cluster, second, &hello(Some(reader.session), 10_000, 0), 0);
    assert_eq!(told.err().flatten().expect("an answer").session, None, "its session was of that time");
    let mut zk = Zk::greet_with(&mut cluster, second, &hello_reading(None, 10_000, 0), 0).expect("a session");
    assert!(!zk.read_only);
    zk.does(&mut cluster, &create("/b", b""));
    assert_eq!(word(&mut cluster, second, b"isro"), "rw");
}

#[test]
fn a_session_that_is_read_with_ends_when_it_is_not_heard_of() {
    let mut cluster = cluster();
    let (leader, second, third) = roles(&mut cluster);
    cluster.kill(leader);
    cluster.kill(third);
    cluster.pass(6_000);
    let silent = reading(&mut cluster, second);
    let mut heard = reading(&mut cluster, second);
    for _ in 0..10 {
        cluster.pass(2_000);
        heard.does(&mut cluster, &Ask::Ping);
    }
    assert!(cluster.heard(silent.conn).1);
}
