use super::{Frame, Hello, Reason, Refusal, Welcome, decode};
use torc_base::buf::Buf;
use torc_base::ids::{NodeId, ShardId};
use torc_base::malformed::Malformed;

fn hello() -> Hello {
    Hello {
        versions: (1, 1),
        cluster: 0x1234_5678_9abc_def0_1122_3344_5566_7788,
        node: NodeId(3),
        start: 0xfeed,
        shards: 4,
        from: ShardId(2),
        to_node: NodeId(1),
        to: ShardId(7),
        disk: u128::MAX - 3,
    }
}

/// The frame behind its length, which is right.
fn unframed(frame: &Buf) -> Buf {
    let length = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
    assert_eq!(length, frame.len() - 4);
    frame.slice(4..frame.len())
}

#[test]
fn what_begins_a_connection_is_read_as_it_was_written() {
    let Ok(Frame::Hello(read)) = decode(&unframed(&hello().encode())) else { panic!("a hello") };
    assert_eq!(read, hello());
    let welcome = Welcome { version: 1, cluster: 5, start: 6, shards: 7, disk: 8 };
    let Ok(Frame::Welcome(read)) = decode(&unframed(&welcome.encode())) else { panic!("a welcome") };
    assert_eq!(read, welcome);
    let refusal = Refusal { reason: Reason::Cluster, text: "this is cluster A, you belong to B".into() };
    let Ok(Frame::Refusal(read)) = decode(&unframed(&refusal.encode())) else { panic!("a refusal") };
    assert_eq!(read, refusal);
}

#[test]
fn a_long_refusal_is_cut_between_two_letters() {
    let refusal = Refusal { reason: Reason::Version, text: "\u{e4}".repeat(3000) };
    let Ok(Frame::Refusal(read)) = decode(&unframed(&refusal.encode())) else { panic!("a refusal") };
    assert_eq!(read.text, "\u{e4}".repeat(512));
}

#[test]
fn the_highest_version_that_both_know_is_spoken() {
    let common = |own| move |versions| Hello { versions, ..hello() }.common_version(&own);
    let theirs = [(1, 1), (1, 9), (0, 1), (2, 9), (0, 0), (9, 1)];
    assert_eq!(theirs.map(common(1..=1)), [Some(1), Some(1), Some(1), None, None, None]);
    assert_eq!(theirs.map(common(1..=2)), [Some(1), Some(2), Some(1), Some(2), None, None]);
    assert_eq!(theirs.map(common(2..=2)), [None, Some(2), None, Some(2), None, None]);
}

#[test]
fn another_protocol_is_told_from_a_peer() {
    let kafka = Buf::copy_of(b"\0\x12\0\x03\0\0\0\x01\0\x09some-client\0");
    assert!(decode(&kafka).is_err());
    let mut frame = unframed(&hello().encode()).to_vec();
    frame[12..20].copy_from_slice(b"torcPEER");
    let crc = torc_base::crc::crc32c(&frame[4..]);
    frame[..4].copy_from_slice(&crc.to_le_bytes());
    let read = decode(&Buf::copy_of(&frame)).map(|_| ());
    assert_eq!(read, Err(Malformed { what: "a hello of another protocol" }));
}

#[test]
fn an_earlier_build_does_not_say_its_disk() {
    let mut frame = unframed(&hello().encode()).to_vec();
    frame.truncate(frame.len() - 16);
    let head = frame.len() as u32 - 12;
    frame[8..12].copy_from_slice(&head.to_le_bytes());
    let crc = torc_base::crc::crc32c(&frame[4..]);
    frame[..4].copy_from_slice(&crc.to_le_bytes());
    let Ok(Frame::Hello(read)) = decode(&Buf::copy_of(&frame)) else { panic!("a hello") };
    assert_eq!(read, Hello { disk: 0, ..hello() });
}
