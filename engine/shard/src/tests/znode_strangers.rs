//! Connections at ZooKeeper's port that ask for no session.

use super::rig::{Rig, frame, settings};
use super::znodes::{Zk, events};
use super::zookeeper::{Told, create, greeted, hello, serving, take_frame};
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

/// A frame: what stands in it, and strings behind their lengths.
fn asked(xid: i32, op: i32, parts: &[&[u8]]) -> Vec<u8> {
    let body = [&xid.to_be_bytes()[..], &op.to_be_bytes(), &parts.concat()].concat();
    [&(body.len() as i32).to_be_bytes()[..], &body].concat()
}

/// The number of an answer, and its error.
type Answered = (i32, i32);

const NULL: &[u8] = &[0xff; 4];
const EMPTY: &[u8] = &[0; 4];

/// What ZooKeeper 3.8 does with what no client sends; `tools/interop/znodes --part badinput` asks it.
#[test]
fn odd_requests_are_answered_or_not_as_zookeeper_does() {
    let mut rig = Rig::with(1, &serving(&settings()));
    let digest: &[u8] = b"\0\0\0\x06digest";
    // The request, and what it is answered: its number, and an error; or nothing, and the connection is closed.
    let cases: [(Vec<u8>, Option<Answered>); 10] = [
        (asked(5, 11, &[]), Some((-2, 0))),
        (asked(5, 16, &[EMPTY, EMPTY, NULL, &[0; 8]]), Some((5, -123))),
        (asked(5, 16, &[EMPTY, EMPTY]), Some((5, -5))),
        (asked(5, 20, &[b"\0\0\0\x02/a"]), Some((5, -8))),
        (asked(5, 102, &[EMPTY]), Some((5, 0))),
        (asked(5, 102, &[NULL]), None),
        (asked(-4, 100, &[EMPTY, digest, NULL]), Some((-4, -115))),
        (asked(-4, 100, &[EMPTY, digest, EMPTY]), Some((-4, 0))),
        (asked(-4, 100, &[EMPTY, digest]), None),
        (asked(5, 99, &[]), Some((5, -6))),
    ];
    for (bytes, answer) in cases {
        let mut zk = Zk::new(&mut rig);
        rig.send_bytes(zk.client(), &bytes);
        rig.run();
        let told = zk.told(&mut rig).map(|told| match told {
            Told::Answer(xid, error, _) => (xid, error),
            Told::Event(..) => panic!("{told:?}"),
        });
        assert_eq!(told, answer, "{bytes:?}");
        let is_last = matches!(answer, None | Some((_, -115 | -6)));
        assert_eq!(rig.is_closed(zk.client()), is_last, "{bytes:?}");
        // The session lives.
        assert!(Zk::greet(&mut rig, Some(zk.session()), 10_000).is_some());
    }
}

#[test]
fn watches_that_are_taken_up_end_with_a_path_that_is_null() {
    let mut rig = Rig::with(1, &serving(&settings()));
    let mut zk = Zk::new(&mut rig);
    zk.does(&mut rig, &create("/a", b""));
    let one: &[u8] = b"\0\0\0\x01\0\0\0\x02/a";
    for lists in [[one, NULL, one], [one, b"\0\0\0\x01\xff\xff\xff\xff", one]] {
        rig.send_bytes(zk.client(), &asked(-8, 101, &[&[0; 8], &lists.concat()]));
        rig.run();
        let told = zk.all(&mut rig);
        // What stands before it is done: the data have changed since.
        assert_eq!(events(&told), [(3, "/a")]);
        assert!(matches!(told[..], [_, Told::Answer(-8, -5, _)]), "{told:?}");
    }
}

#[test]
fn a_password_of_another_length_is_no_reason_to_close_and_takes_nothing_up() {
    let mut rig = Rig::with(1, &serving(&settings()));
    let owned = Zk::new(&mut rig).session().id;
    for (id, is_given) in [(0, true), (owned, false)] {
        for password in [NULL, EMPTY, b"\0\0\0\x01x"] {
            let body = [&[0; 12][..], &10_000_i32.to_be_bytes(), &id.to_be_bytes(), password, &[0]].concat();
            let client = rig.connect_at(0, ZOOKEEPER);
            rig.send_bytes(client, &[&(body.len() as i32).to_be_bytes()[..], &body].concat());
            rig.run();
            let mut received = rig.take_bytes(client);
            let connected = greeted(&take_frame(&mut received).expect("an answer to the hello"));
            assert_eq!((connected.session.is_some(), rig.is_closed(client)), (is_given, !is_given));
        }
    }
}
