//! What leaves by its age.

use super::rig::{Client, Rig, START_MS, settings};
use torc_net::kafka::records::{self, BuildOptions, Codec, Record};

const EARLIEST: i64 = -2;

fn log_start(rig: &mut Rig, client: Client, topic: &str) -> i64 {
    rig.offset(client, topic, 0, EARLIEST).offset
}

fn stamped(timestamp: i64, codec: Codec) -> Vec<u8> {
    let record = Record { timestamp, value: Some(b"v"), ..Record::default() };
    records::build(&[record; 3], &BuildOptions { codec, ..BuildOptions::default() })
}

/// The retention of topics with 20 s, checked every 10 s: younger than that they stay, at 40 s they are gone.
fn stay_and_go(rig: &mut Rig, client: Client, topics: &[&str]) {
    rig.pass(15_000);
    for topic in topics {
        assert_eq!(log_start(rig, client, topic), 0, "{topic} is younger than its retention");
    }
    rig.pass(25_000);
    for topic in topics {
        assert_eq!(log_start(rig, client, topic), 3, "{topic} is older than its retention");
    }
}

#[test]
fn records_without_a_usable_timestamp_age_from_their_append() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let cases = [("now", START_MS), ("none", -1), ("sixties", -5_000), ("first", i64::MIN / 2)];
    for (topic, timestamp) in cases {
        assert_eq!(rig.create(client, topic, 1, &[("retention.ms", "20000")]), 0);
        for (codec, other) in [(Codec::None, ""), (Codec::Gzip, "-packed")] {
            let topic = format!("{topic}{other}");
            if !other.is_empty() {
                assert_eq!(rig.create(client, &topic, 1, &[("retention.ms", "20000")]), 0);
            }
            assert_eq!(rig.produce(client, -1, &topic, 0, &stamped(timestamp, codec)).error_code, 0, "{topic}");
        }
    }
    let names = cases.map(|(topic, _)| topic);
    let packed = names.map(|topic| format!("{topic}-packed"));
    let all: Vec<&str> = names.into_iter().chain(packed.iter().map(String::as_str)).collect();
    stay_and_go(&mut rig, client, &all);
}

#[test]
fn their_age_is_kept_over_a_restart() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[("retention.ms", "20000")]), 0);
    assert_eq!(rig.produce(client, -1, "t", 0, &stamped(-1, Codec::None)).error_code, 0);
    // The rig's clocks go back to their start: the new process sees the same wall.
    let mut rig = rig.restart(&settings());
    let client = rig.connect(0);
    stay_and_go(&mut rig, client, &["t"]);
}

#[test]
fn what_compressed_records_say_is_their_age_not_what_the_header_claims() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    for (topic, claim) in [("low", -1), ("high", START_MS * 2)] {
        assert_eq!(rig.create(client, topic, 1, &[("retention.ms", "20000")]), 0);
        let mut bytes = stamped(START_MS, Codec::Lz4);
        bytes[35..43].copy_from_slice(&claim.to_be_bytes());
        let crc = torc_base::crc::crc32c(&bytes[records::CRC_PREFIX..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(rig.produce(client, -1, topic, 0, &bytes).error_code, 0);
    }
    stay_and_go(&mut rig, client, &["low", "high"]);
}

/// No look-up by time stops at them, nor reads them one after the other.
#[test]
fn records_without_a_timestamp_are_passed_over_by_look_ups() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for timestamp in [-1, START_MS, -1] {
        assert_eq!(rig.produce(client, -1, "t", 0, &stamped(timestamp, Codec::None)).error_code, 0);
    }
    let at = |rig: &mut Rig, timestamp| {
        let found = rig.offset(client, "t", 0, timestamp);
        (found.error_code, found.offset, found.timestamp)
    };
    assert_eq!(at(&mut rig, 0), (0, 3, START_MS));
    assert_eq!(at(&mut rig, -3), (0, 3, START_MS), "the largest timestamp");
    assert_eq!(at(&mut rig, START_MS + 1), (0, -1, -1));
    assert_eq!(rig.create(client, "none", 1, &[]), 0);
    assert_eq!(rig.produce(client, -1, "none", 0, &stamped(-1, Codec::None)).error_code, 0);
    let found = rig.offset(client, "none", 0, -3);
    assert_eq!((found.error_code, found.offset, found.timestamp), (0, -1, -1));
}
