//! Lines about connections that are closed for what they sent.

use super::rig::{Client, Rig, frame};
use super::verbs::*;
use torc_net::kafka::schema::MetadataRequest;

/// Lines about connections, without the number of the connection.
fn complaints(rig: &Rig) -> Vec<String> {
    let told = |line: &&str| line.contains("; closed") || line.contains("were closed");
    let text = |line: &str| match line.split_once(": ") {
        Some((head, tail)) if head.starts_with("connection ") => tail.to_string(),
        _ => line.to_string(),
    };
    rig.logs().into_iter().filter(told).map(text).collect()
}

/// A stranger's first bytes; its connection is closed.
fn stranger(rig: &mut Rig, bytes: &[u8]) -> Client {
    let client = rig.connect(0);
    rig.send_bytes(client, bytes);
    rig.run();
    assert!(rig.is_closed(client), "{bytes:?}");
    client
}

/// What a ZooKeeper client sends first.
fn zookeeper_connect(read_only: bool, last_seen: u64) -> Vec<u8> {
    let mut bytes = (if read_only { 45u32 } else { 44 }).to_be_bytes().to_vec();
    bytes.extend_from_slice(&0u32.to_be_bytes());
    bytes.extend_from_slice(&last_seen.to_be_bytes());
    bytes.extend_from_slice(&30_000u32.to_be_bytes());
    bytes.extend_from_slice(&0u64.to_be_bytes());
    bytes.extend_from_slice(&16u32.to_be_bytes());
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend(read_only.then_some(0));
    bytes
}

#[test]
fn a_line_says_what_a_stranger_probably_was() {
    let strangers: &[(&[u8], &str)] = &[
        (&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], "TLS"),
        (&[0x16, 3, 3, 0, 5], "TLS"),
        (b"GET / HTTP/1.1\r\nHost: kafka:9092\r\n\r\n", "HTTP"),
        (b"POST /v1 HTTP/1.1\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP"),
        (b"OPTIONS * HTTP/1.0\r\n\r\n", "HTTP"),
        (&zookeeper_connect(true, 0), "ZooKeeper"),
        (&zookeeper_connect(false, 0x1_0000_0123), "ZooKeeper"),
        (b"ruok", "ZooKeeper"),
        (b"mntr\n", "ZooKeeper"),
        (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", "PROXY"),
        (b"\r\n\r\n\0\r\nQUIT\n", "PROXY"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
        (b"*1\r\n$4\r\nPING\r\n", "Redis"),
    ];
    for (bytes, what) in strangers {
        let mut rig = Rig::new(1);
        stranger(&mut rig, bytes);
        let told = complaints(&rig);
        assert!(told.len() == 1 && told[0].starts_with("probably a") && told[0].contains(what), "{told:?}");
    }
}

#[test]
fn what_is_no_protocol_that_we_know_is_said_plainly() {
    let mut rig = Rig::new(1);
    stranger(&mut rig, &[0xff, 0xff, 0xff, 0xff]);
    stranger(&mut rig, &[0, 0, 0, 1, 7]);
    let mut sasl = frame(&MetadataRequest::default(), 1, 1);
    sasl[4..8].copy_from_slice(&[0, 17, 0, 1]);
    stranger(&mut rig, &sasl);
    let mut old = frame(&MetadataRequest::default(), 1, 1);
    old[4..8].copy_from_slice(&[0, 0, 0, 2]);
    stranger(&mut rig, &old);
    let told = complaints(&rig);
    assert!(told[0].contains("a frame of -1 bytes"), "{told:?}");
    assert!(told[1].starts_with("malformed request (1 bytes)"), "{told:?}");
    assert!(told[2].contains("SaslHandshake") && told[2].contains("PLAINTEXT"), "{told:?}");
    assert!(told[3].contains("Produce version 2 is not served"), "{told:?}");
}

/// Anybody can connect: the log must not grow with them, and each is counted.
#[test]
fn there_are_few_lines_of_a_kind_and_the_others_are_counted() {
    let mut rig = Rig::new(1);
    for _ in 0..200 {
        stranger(&mut rig, b"GET / HTTP/1.1\r\n\r\n");
        stranger(&mut rig, &[0x80, 0, 0, 0]);
    }
    let told = complaints(&rig);
    let of = |what: &str| told.iter().filter(|line| line.contains(what)).count();
    assert_eq!((of("HTTP"), of("a frame of")), (1, 5), "{told:?}");
    rig.pass(20_000);
    let told = complaints(&rig);
    assert_eq!(told.len(), 8, "{told:?}");
    assert!(told.contains(&"199 more connections were closed: HTTP clients".to_string()), "{told:?}");
    assert!(told.contains(&"195 more connections were closed: frames with a bad length".to_string()), "{told:?}");
    // The next one is news again, and has nothing left to count.
    stranger(&mut rig, b"GET / HTTP/1.1\r\n\r\n");
    let last = complaints(&rig).pop().expect("a line");
    assert!(last.contains("HTTP") && last.ends_with("; closed"), "{last}");
    rig.pass(60_000);
    assert_eq!(complaints(&rig).len(), 9, "and there is nothing more to say");
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0, "others are served");
}

/// With acks=0 the end of the connection is all that a client hears of; whoever runs the server shall know why.
#[test]
fn a_failed_request_without_an_answer_is_told_of() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    rig.send(client, PRODUCE, &produce_request(0, &[("nope", 0, &batch(&["a"]))]));
    rig.run();
    assert!(rig.is_closed(client));
    let told = complaints(&rig);
    assert!(told.len() == 1 && told[0].contains("acks=0 failed with error 3"), "{told:?}");
}
