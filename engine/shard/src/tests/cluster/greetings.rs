//! Who is let in, who is not, and what both sides are told.

use super::rig::{CLUSTER, Cluster, node};
use torc_base::buf::Buf;
use torc_base::ids::{ConnId, NodeId, ShardId};
use torc_base::limits::PEER_STRANGERS_MAX;
use torc_net::peer::{self, Frame, GroupsWriter, Hello, Reason, Refusal, decode};

fn hello(from: u32, to: u32) -> Hello {
    Hello {
        versions: (1, 2),
        cluster: CLUSTER,
        node: NodeId(from),
        start: 999,
        shards: 1,
        from: ShardId(0),
        to_node: NodeId(to),
        to: ShardId(0),
        disk: 0,
    }
}

/// The frames that have come on a test's connection, and whether its other end is gone.
fn heard(cluster: &mut Cluster, conn: ConnId) -> (Vec<Frame>, bool) {
    let (bytes, closed) = cluster.heard(conn);
    let (mut rest, mut frames) = (&bytes[..], Vec::new());
    while let Some((head, behind)) = rest.split_first_chunk::<4>() {
        let (frame, after) = behind.split_at(u32::from_be_bytes(*head) as usize);
        frames.push(decode(&Buf::copy_of(frame)).expect("a node's frames make sense"));
        rest = after;
    }
    (frames, closed)
}

fn refusal(cluster: &mut Cluster, to: u32, shard: u16, hello: &Hello) -> Refusal {
    let conn = cluster.stranger(node(to), shard);
    cluster.say(conn, &hello.encode());
    let (mut frames, closed) = heard(cluster, conn);
    let Some(Frame::Refusal(refusal)) = frames.pop() else { panic!("{frames:?} for {hello:?}") };
    assert!(frames.is_empty() && closed, "told why, and closed");
    refusal
}

#[test]
fn who_does_not_belong_there_is_refused_with_the_reason_on_both_sides() {
    let mut cluster = Cluster::new([1, 1, 2]);
    cluster.pass(500);
    let cases = [
        (Hello { cluster: 0x99, ..hello(1, 3) }, Reason::Cluster, "00000000000000000000000000000099"),
        (Hello { cluster: 0, ..hello(1, 3) }, Reason::Cluster, "no cluster"),
        (Hello { versions: (5, 7), ..hello(1, 3) }, Reason::Version, "upgrade"),
        // It cannot read that these logs, with their small segments, take less than others.
        (Hello { versions: (1, 1), ..hello(1, 3) }, Reason::Version, "node 3 2 to 4: upgrade"),
        (hello(1, 2), Reason::Node, "this is node 3"),
        (hello(3, 3), Reason::DoubledNode, "two nodes 3"),
        (hello(9, 3), Reason::UnknownNode, "no node 9"),
        (Hello { to: ShardId(2), ..hello(1, 3) }, Reason::Shard, "2 shards"),
        (Hello { from: ShardId(1), ..hello(1, 3) }, Reason::Shard, "no shard 1"),
        (Hello { shards: 0, ..hello(1, 3) }, Reason::Shard, "of 0"),
        // The true one has a link.
        (hello(1, 3), Reason::DoubledNode, "another process is node 1"),
    ];
    for (hello, reason, text) in cases {
        let told = refusal(&mut cluster, 3, 0, &hello);
        assert_eq!(told.reason, reason, "{hello:?}: {told}");
        assert!(told.text.contains(text), "{told}");
        let logged = cluster.logs(node(3)).iter().any(|line| line.contains(&told.text) && line.contains("10.0.0.99"));
        assert!(logged, "{told}: {:?}", cluster.logs(node(3)));
    }
    // The lower one calls.
    let told = refusal(&mut cluster, 1, 0, &hello(2, 1));
    assert_eq!((told.reason, told.text.contains("the lower one calls")), (Reason::Node, true), "{told}");
    // None of it harms those who are let in.
    assert_eq!(cluster.links(node(3)), 4);
    assert_eq!(cluster.count(node(3), |stats| &stats.peer_links_lost_total), 0);
}

#[test]
fn a_caller_is_handed_to_the_shard_that_it_names_and_its_name_is_free_when_its_process_is_gone() {
    let mut cluster = Cluster::new([1, 1, 3]);
    cluster.pass(500);
    cluster.kill(node(1));
    cluster.pass(100);
    for (accepting, wanted) in [(0, 2), (2, 2), (1, 0)] {
        let conn = cluster.stranger(node(3), accepting);
        cluster.say(conn, &Hello { to: ShardId(wanted), ..hello(1, 3) }.encode());
        let (frames, closed) = heard(&mut cluster, conn);
        let [Frame::Welcome(welcome), ..] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((welcome.version, welcome.cluster, welcome.shards, closed), (2, CLUSTER, 3, false));
        cluster.say(conn, &peer::beat());
        assert!(cluster.shard(node(3), wanted).links.is_up(torc_base::ids::Place { node: node(1), shard: ShardId(0) }));
        // Another process of the same name comes too late, and the same one may call again.
        let other = Hello { start: 1_000, to: ShardId(wanted), ..hello(1, 3) };
        assert_eq!(refusal(&mut cluster, 3, accepting, &other).reason, Reason::DoubledNode);
        let again = cluster.stranger(node(3), accepting);
        cluster.say(again, &Hello { to: ShardId(wanted), ..hello(1, 3) }.encode());
        assert!(matches!(heard(&mut cluster, again), (frames, false) if matches!(frames[0], Frame::Welcome(_))));
        assert!(heard(&mut cluster, conn).1, "the link that it had before is gone");
        // It says nothing, and is missed.
        cluster.pass(700);
        assert!(heard(&mut cluster, again).1);
        assert!(cluster.logs(node(3)).iter().any(|line| line.contains("nothing has come for 500 ms")));
    }
}

#[test]
fn nodes_of_two_clusters_do_not_mix_and_do_not_call_without_end() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| {
        if settings.node == NodeId(3) {
            settings.cluster.id = 0x99;
        }
    });
    cluster.pass(500);
    assert_eq!([1, 2, 3].map(|id| cluster.links(node(id))), [1, 1, 0]);
    for id in [1, 2] {
        let told = |line: &&str| line.contains("node 3 does not let this node in") && line.contains("--peers");
        assert!(cluster.logs(node(id)).iter().any(told), "{:?}", cluster.logs(node(id)));
    }
    assert!(cluster.logs(node(3)).iter().any(|line| line.contains("node 1 at 10.0.0.1 was refused")));
    let calls = cluster.calls.len();
    cluster.pass(20_000);
    // One each five seconds from either.
    assert!((6..=10).contains(&(cluster.calls.len() - calls)), "{}", cluster.calls.len() - calls);
}

#[test]
fn a_node_that_is_not_there_is_called_again_with_pauses() {
    let mut cluster = Cluster::new([1, 1, 1]);
    cluster.pass(500);
    cluster.kill(node(3));
    let calls = cluster.calls.len();
    cluster.pass(10_000);
    let more = cluster.calls.len() - calls;
    assert!((2 * 10..=2 * 30).contains(&more), "{more} calls in 10 s from two nodes");
    assert_eq!(cluster.count(node(1), |stats| &stats.peer_links), 1);
    assert!(cluster.logs(node(1)).iter().any(|line| line.contains("node 3 at 10.0.0.3:9192 cannot be reached")));
    cluster.start(node(3));
    cluster.pass(1_200);
    assert_eq!(cluster.links(node(3)), 2, "it is found within a second");
}

#[test]
fn whoever_says_nothing_or_nonsense_is_closed() {
    let mut cluster = Cluster::new([1, 1, 1]);
    cluster.pass(500);
    let quiet = cluster.stranger(node(2), 0);
    cluster.pass(4_000);
    assert!(!heard(&mut cluster, quiet).1);
    cluster.pass(1_100);
    assert!(heard(&mut cluster, quiet).1, "after five seconds");
    let mut groups = GroupsWriter::default();
    groups.message(torc_base::ids::GroupId(5), b"?", 0);
    let pool = torc_base::buf::Pool::new(usize::MAX, 0);
    let early: Vec<u8> = groups.finish(&pool).iter().flat_map(|part| part.to_vec()).collect();
    let mut damaged = hello(1, 2).encode().to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let kafka = b"\0\0\0\x12\0\x03\0\0\0\x01\0\x09some-client\0";
    let mut zookeeper = vec![0; 49];
    (zookeeper[3], zookeeper[31]) = (45, 16);
    let tls = &[0x16, 3, 1, 2, 0, 1];
    let all =
        [&early[..], &damaged, kafka, &zookeeper, tls, b"GET / HTTP/1.1", &[0xff; 40], &[0x7f, 0, 0, 0], &peer::beat()];
    for bytes in all {
        let conn = cluster.stranger(node(2), 0);
        cluster.say(conn, bytes);
        assert!(heard(&mut cluster, conn).1, "{bytes:?}");
    }
    for what in ["Kafka", "ZooKeeper", "TLS", "HTTP"] {
        let told = |line: &&str| line.contains(&format!("probably a {what} client")) || line.contains("an HTTP client");
        assert!(cluster.logs(node(2)).iter().any(told), "{what}: {:?}", cluster.logs(node(2)));
    }
    assert_eq!(cluster.links(node(2)), 2);
}

/// Silent connections, as many as anybody likes, keep no node of the cluster out.
#[test]
fn of_too_many_strangers_those_go_that_have_been_silent_for_longest() {
    let mut cluster = Cluster::new([1, 1, 1]);
    cluster.pass(500);
    let conns: Vec<ConnId> = (0..PEER_STRANGERS_MAX + 50).map(|_| cluster.stranger(node(2), 0)).collect();
    let is_open: Vec<bool> = conns.into_iter().map(|conn| !heard(&mut cluster, conn).1).collect();
    assert!(is_open[..50].iter().all(|open| !open) && is_open[50..].iter().all(|open| *open));
    cluster.kill(node(1));
    cluster.start(node(1));
    for _ in 0..6 {
        (0..PEER_STRANGERS_MAX).for_each(|_| _ = cluster.stranger(node(2), 0));
        cluster.pass(200);
    }
    assert_eq!(cluster.links(node(2)), 2, "node 1 is back");
}

#[test]
fn how_the_cluster_was_founded_is_told_to_whoever_asks() {
    let mut cluster = Cluster::with([1, 1, 1], |settings| settings.cluster.founding = b"as it was founded".to_vec());
    cluster.pass(500);
    let conn = cluster.stranger(node(1), 0);
    for question in [&b""[..], b"who is there?"] {
        cluster.say(conn, &peer::form(question));
        let (frames, closed) = heard(&mut cluster, conn);
        let [Frame::Form(told)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((&told[..], closed), (&b"as it was founded"[..], false));
    }
}
