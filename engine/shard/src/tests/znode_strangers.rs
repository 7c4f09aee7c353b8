//! Connections at ZooKeeper's port that ask for no session.

use super::rig::{Rig, frame, settings};
use super::zookeeper::{hello, serving};
use torc_base::ids::ListenerId;
use torc_net::kafka::schema::MetadataRequest;

/// The listener of ZooKeeper's clients.
const ZOOKEEPER: ListenerId = ListenerId(2);

fn told(rig: &Rig) -> Vec<String> {
    rig.logs().into_iter().filter(|line| line.contains("ZooKeeper")).map(String::from).collect()
}

#[test]
fn a_line_says_what_a_stranger_probably_was() {
    let kafka = frame(&MetadataRequest::default(), 9, 1);
    let strangers: [(&[u8], &str); 7] = [
        (&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], "probably a TLS client"),
        (b"GET /commands HTTP/1.1\r\n\r\n", "probably an HTTP client"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "probably an SSH client"),
        (&kafka, "probably a Kafka client"),
        (&[0, 0, 0, 3, 1, 2, 3], "malformed"),
        (&[0xff, 0xff, 0xff, 0xff], "a frame of -1 bytes"),
        (&hello(None, 10_000, 1 << 40), "has seen change 0x10000000000"),
    ];
    for (bytes, what) in strangers {
        let mut rig = Rig::with(1, &serving(&settings()));
        let client = rig.connect_at(0, ZOOKEEPER);
        rig.send_bytes(client, bytes);
        rig.run();
        assert!(rig.is_closed(client), "{what}");
        let told = told(&rig);
        assert!(
            told.len() == 1 && told[0].contains(what) && told[0].ends_with("at ZooKeeper's port; closed"),
            "{told:?}"
        );
    }
}

/// Anybody can connect: the log must not grow with them, and each is counted.
#[test]
fn there_are_few_lines_of_a_kind_and_the_others_are_counted() {
    let mut rig = Rig::with(1, &serving(&settings()));
    for _ in 0..100 {
        for bytes in [&hello(None, 10_000, 1 << 40)[..], &[0, 0, 0, 3, 1, 2, 3]] {
            let client = rig.connect_at(0, ZOOKEEPER);
            rig.send_bytes(client, bytes);
            rig.run();
            assert!(rig.is_closed(client));
        }
    }
    assert_eq!(told(&rig).len(), 10);
    rig.pass(20_000);
    let told = told(&rig);
    assert_eq!(told.len(), 12, "{told:?}");
    let left_out = "95 more connections were closed: ZooKeeper clients that have seen more than this node knows";
    assert!(told.contains(&left_out.to_string()), "{told:?}");
}

/// ZooKeeper lets an address have so many connections: who says nothing is not to use them up.
#[test]
fn who_says_nothing_is_closed_after_ten_seconds() {
    let mut rig = Rig::with(1, &serving(&settings()));
    let [silent, half, served] = [(); 3].map(|()| rig.connect_at(0, ZOOKEEPER));
    rig.send_bytes(half, &hello(None, 30_000, 0)[..20]);
    rig.send_bytes(served, &hello(None, 30_000, 0));
    rig.run();
    rig.pass(9_000);
    assert!(![silent, half, served].map(|client| rig.is_closed(client)).contains(&true));
    rig.pass(2_100);
    assert_eq!([silent, half, served].map(|client| rig.is_closed(client)), [true, true, false]);
}
