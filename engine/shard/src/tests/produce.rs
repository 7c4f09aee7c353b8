//! Produce: acknowledgements, refusals, idempotence.

use super::rig::{Rig, START_MS, settings};
use super::verbs::*;
use torc_net::kafka::error;
use torc_net::kafka::records::{self, BuildOptions, Codec};
use torc_net::kafka::schema::ProduceRequest;
use torc_wal::WalSettings;

#[test]
fn a_batch_gets_offsets_and_is_read_back_as_it_was_sent() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let first = rig.produce(client, -1, "t", 0, &batch(&["a", "b"]));
    assert_eq!((first.error_code, first.base_offset, first.log_start_offset), (0, 0, 0));
    assert_eq!(first.log_append_time_ms, -1);
    let second = rig.produce(client, -1, "t", 0, &batch(&["c"]));
    assert_eq!((second.error_code, second.base_offset), (0, 2));
    let read = rig.fetch(client, "t", 0, 0);
    assert_eq!((read.error_code, read.high_watermark, read.log_start_offset), (0, 3, 0));
    assert_eq!(values(&read), [(0, "a".into()), (1, "b".into()), (2, "c".into())]);
}

/// Nothing is acknowledged, and nothing is readable, before it is on disk.
#[test]
fn acks_1_all_and_n_wait_for_the_disk() {
    for acks in [1, -1] {
        let mut rig = Rig::new(1);
        let client = rig.connect(0);
        assert_eq!(rig.create(client, "t", 1, &[]), 0);
        rig.disk(0).hold_writes = true;
        let sent = rig.send(client, PRODUCE, &produce_request(acks, &[("t", 0, &batch(&["a"]))]));
        rig.run();
        assert!(rig.take_frame(client).is_none(), "acks={acks} was answered before the write had ended");
        let reader = rig.connect(0);
        let read = rig.fetch(reader, "t", 0, 0);
        assert_eq!((read.high_watermark, values(&read)), (0, vec![]), "what is not committed is not shown");
        rig.disk(0).release();
        rig.run();
        let answer = rig.take::<ProduceRequest>(client, PRODUCE, sent).expect("an answer");
        assert_eq!(produced(answer)[0].base_offset, 0);
        assert_eq!(rig.fetch(reader, "t", 0, 0).high_watermark, 1);
    }
}

#[test]
fn acks_0_is_not_answered_and_an_error_costs_the_connection() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    rig.send(client, PRODUCE, &produce_request(0, &[("t", 0, &batch(&["a"]))]));
    let read = rig.ask(client, FETCH, &fetch_request(vec![wanted("t", 0, 0)], 0));
    assert_eq!(read.responses[0].partitions[0].error_code, 0, "the next answer is that of the next request");
    let read = rig.fetch(client, "t", 0, 0);
    assert_eq!(values(&read), [(0, "a".into())]);
    rig.send(client, PRODUCE, &produce_request(0, &[("nowhere", 0, &batch(&["a"]))]));
    rig.run();
    assert!(rig.is_closed(client));
}

/// A producer that waits for nothing may send any number of requests without a pause.
#[test]
fn a_burst_of_acks_0_does_not_stall() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for _ in 0..1_000 {
        rig.send(client, PRODUCE, &produce_request(0, &[("t", 0, &batch(&["a"]))]));
    }
    rig.run();
    assert_eq!(rig.fetch(client, "t", 0, 0).high_watermark, 1_000);
}

#[test]
fn acks_beyond_the_replicas_and_unknown_acks_are_refused() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for acks in [2, 3, i16::MAX, -2, i16::MIN] {
        let refused = rig.produce(client, acks, "t", 0, &batch(&["a"]));
        assert_eq!((refused.error_code, refused.base_offset), (error::INVALID_REQUIRED_ACKS, -1), "acks={acks}");
    }
    assert_eq!(rig.fetch(client, "t", 0, 0).high_watermark, 0);
}

#[test]
fn min_insync_replicas_stops_acks_all_alone() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[("min.insync.replicas", "2")]), 0);
    assert_eq!(rig.produce(client, -1, "t", 0, &batch(&["a"])).error_code, error::NOT_ENOUGH_REPLICAS);
    assert_eq!(rig.produce(client, 1, "t", 0, &batch(&["a"])).error_code, 0);
}

#[test]
fn log_append_time_stamps_records_with_the_servers_clock() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[("message.timestamp.type", "LogAppendTime")]), 0);
    rig.pass(5_000);
    // A timestamp that CreateTime would refuse.
    let answer = rig.produce(client, -1, "t", 0, &batch_at(&["a", "b"], START_MS + 999_999_999));
    assert_eq!((answer.error_code, answer.log_append_time_ms), (0, START_MS + 5_000));
    let read = read(&rig.fetch(client, "t", 0, 0));
    assert!(read.iter().all(|record| record.timestamp == START_MS + 5_000), "{read:?}");
}

#[test]
fn oversized_batches_are_refused_and_the_connection_lives() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[("max.message.bytes", "1000")]), 0);
    let refused = rig.produce(client, -1, "t", 0, &large(2_000));
    assert_eq!(refused.error_code, error::MESSAGE_TOO_LARGE);
    assert!(refused.error_message.is_some());
    assert_eq!(rig.produce(client, -1, "t", 0, &large(900)).error_code, 0);
    // Above what a segment takes, whatever the topic says.
    assert_eq!(rig.create(client, "huge", 1, &[("max.message.bytes", "10000000")]), 0);
    assert_eq!(rig.produce(client, -1, "huge", 0, &large(1 << 20)).error_code, error::MESSAGE_TOO_LARGE);
    let fits = WalSettings { segment_bytes: 1 << 20, ..WalSettings::default() }.entry_bytes_max();
    assert_eq!(rig.produce(client, -1, "huge", 0, &large(fits - 200)).error_code, 0);
}

#[test]
fn timestamps_out_of_range_are_refused() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let configs = [("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "500")];
    assert_eq!(rig.create(client, "t", 1, &configs), 0);
    for (timestamp, code) in [
        (START_MS - 1_001, error::INVALID_TIMESTAMP),
        (START_MS - 1_000, 0),
        (START_MS + 500, 0),
        (START_MS + 501, error::INVALID_TIMESTAMP),
    ] {
        let answer = rig.produce(client, -1, "t", 0, &batch_at(&["a"], timestamp));
        assert_eq!(answer.error_code, code, "{} ms from now", timestamp - START_MS);
    }
    // The largest timestamp of a batch counts too.
    let straddling = batch_at(&["a", "b"], START_MS + 500);
    assert_eq!(rig.produce(client, -1, "t", 0, &straddling).error_code, error::INVALID_TIMESTAMP);
}

#[test]
fn damaged_batches_and_strangers_are_refused_one_by_one() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    assert_eq!(rig.create(client, "u", 1, &[]), 0);
    let mut damaged = batch(&["a"]);
    *damaged.last_mut().expect("bytes") ^= 1;
    let (good, parts) = (batch(&["good"]), &mut Vec::<(&str, i32, &[u8])>::new());
    parts.extend([("t", 0, &damaged[..]), ("t", 1, &good[..]), ("t", 2, &good[..]), ("t", -1, &good[..])]);
    parts.extend([("stranger", 0, &good[..]), ("u", 0, &b""[..]), ("", 0, &good[..])]);
    let answers = produced(rig.ask(client, PRODUCE, &produce_request(-1, parts)));
    let codes: Vec<i16> = answers.iter().map(|answer| answer.error_code).collect();
    let unknown = error::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(codes, [error::CORRUPT_MESSAGE, 0, unknown, unknown, unknown, error::INVALID_RECORD, unknown]);
    assert_eq!(rig.fetch(client, "t", 0, 0).high_watermark, 0);
    assert_eq!(values(&rig.fetch(client, "t", 1, 0)), [(0, "good".into())]);
}

#[test]
fn topics_go_by_id_from_version_13_on() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let id = id_of(&mut rig, client, "t");
    for (id, code) in [(id, 0), (torc_net::kafka::Uuid::from_u128(9), error::UNKNOWN_TOPIC_ID)] {
        let mut request = produce_request(-1, &[("t", 0, &batch(&["a"]))]);
        request.topic_data[0].topic_id = id;
        request.topic_data[0].name = name("");
        let answer = rig.ask(client, 13, &request);
        assert_eq!(answer.responses[0].topic_id, id);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, code);
    }
}

#[test]
fn transactions_are_refused_in_the_manner_of_the_acks() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let mut request = produce_request(-1, &[("t", 0, &transactional(&["a"]))]);
    let answer = rig.ask(client, PRODUCE, &request);
    assert_eq!(produced(answer)[0].error_code, error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    let id = Some(torc_net::kafka::schema::TransactionalId(text("x")));
    request.transactional_id.clone_from(&id);
    let answer = rig.ask(client, PRODUCE, &request);
    assert_eq!(produced(answer)[0].error_code, error::INVALID_TXN_STATE);
    // What belongs to no transaction is taken.
    let plain = produce_request(-1, &[("t", 0, &batch(&["b"]))]).with_transactional_id(id);
    assert_eq!(produced(rig.ask(client, PRODUCE, &plain))[0].error_code, error::NONE);
    request.acks = 0;
    rig.send(client, PRODUCE, &request);
    rig.run();
    assert!(rig.take_frame(client).is_none(), "acks=0 is never answered");
    assert!(rig.is_closed(client));
}

#[test]
fn of_a_partition_that_is_named_again_the_last_batch_counts_and_it_alone_is_answered() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    for topic in ["t", "u"] {
        assert_eq!(rig.create(client, topic, 2, &[]), 0);
    }
    let [a, b, c, d] = [["a"], ["b"], ["c"], ["d"]].map(|values| batch(&values));
    let parts: [(&str, i32, &[u8]); 7] =
        [("t", 0, &a), ("t", 1, &b), ("t", 0, &b), ("u", 0, &c), ("t", 0, &d), ("u", 1, &a), ("u", 0, &d)];
    let answer = rig.ask(client, PRODUCE, &produce_request(-1, &parts));
    let names: Vec<String> = answer.responses.iter().map(|topic| topic.name.to_string()).collect();
    assert_eq!(names, ["t", "t", "u"], "of the first u nothing is left");
    let told: Vec<_> = produced(answer).iter().map(|one| (one.index, one.error_code, one.base_offset)).collect();
    assert_eq!(told, [(1, 0, 0), (0, 0, 0), (1, 0, 0), (0, 0, 0)]);
    for (topic, index, value) in [("t", 0, "d"), ("t", 1, "b"), ("u", 0, "d"), ("u", 1, "a")] {
        assert_eq!(values(&rig.fetch(client, topic, index, 0)), [(0, value.to_owned())]);
    }
    // Also if it is unsound.
    let damaged = [&b[..b.len() - 1], b"x"].concat();
    let answer = rig.ask(client, PRODUCE, &produce_request(-1, &[("t", 0, &a), ("t", 0, &damaged)]));
    assert_eq!(produced(answer).iter().map(|one| one.error_code).collect::<Vec<_>>(), [error::CORRUPT_MESSAGE]);
}

#[test]
fn what_is_too_short_for_another_batch_is_left_out() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let (one, other) = (batch(&["a"]), batch(&["b"]));
    let options = BuildOptions { codec: Codec::Gzip, ..BuildOptions::default() };
    let packed =
        records::build(&[records::Record { value: Some(b"a"), timestamp: START_MS, ..Default::default() }], &options);
    let mut next = 0;
    for first in [&one, &packed] {
        let mut code = |rest: &[u8]| {
            let bytes = [&first[..], rest].concat();
            produced(rig.ask(client, PRODUCE, &produce_request(-1, &[("t", 0, &bytes)])))[0].error_code
        };
        // As Apache Kafka 4.3.0 answered.
        for rest in [&[0; 1][..], &[0; 11], &[0xff; 5], &other[..12], &other[..17], &other[..other.len() - 1]] {
            assert_eq!(code(rest), error::NONE, "{} bytes", rest.len());
            next += 1;
        }
        for rest in [&[0; 12][..], &[0; 17], &[0; 61], &[0xff; 12], &[0xff; 61]] {
            assert_eq!(code(rest), error::CORRUPT_MESSAGE, "{} bytes", rest.len());
        }
        assert_eq!(code(&other), error::INVALID_RECORD);
    }
    let got = values(&rig.fetch(client, "t", 0, 0));
    assert_eq!(got, (0..next).map(|offset| (offset, "a".to_owned())).collect::<Vec<_>>());
}

#[test]
fn a_repeated_batch_is_answered_as_it_was_and_a_gap_is_refused() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let id = rig.ask(client, 4, &new_producer()).producer_id.0;
    let other = rig.ask(client, 4, &new_producer()).producer_id.0;
    assert!(id >= 0 && other != id);
    assert_eq!(rig.produce(client, -1, "t", 0, &sequenced(&["a", "b"], id, 0, 0)).base_offset, 0);
    assert_eq!(rig.produce(client, -1, "t", 0, &sequenced(&["c"], id, 0, 2)).base_offset, 2);
    let again = rig.produce(client, -1, "t", 0, &sequenced(&["a", "b"], id, 0, 0));
    assert_eq!((again.error_code, again.base_offset), (0, 0));
    let gap = rig.produce(client, -1, "t", 0, &sequenced(&["e"], id, 0, 4));
    assert_eq!(gap.error_code, error::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let old = rig.produce(client, -1, "t", 0, &sequenced(&["d"], id, 1, 0));
    assert_eq!(old.error_code, 0);
    let old = rig.produce(client, -1, "t", 0, &sequenced(&["d"], id, 0, 3));
    assert_eq!(old.error_code, error::INVALID_PRODUCER_EPOCH);
    assert_eq!(rig.fetch(client, "t", 0, 0).high_watermark, 4);
}

/// A retry that comes while the first write is under way is not answered before that write has ended.
#[test]
fn a_repeated_batch_waits_for_the_first_one() {
    let mut rig = Rig::new(1);
    let (client, retry) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    rig.disk(0).hold_writes = true;
    let request = produce_request(-1, &[("t", 0, &sequenced(&["a"], 5, 0, 0))]);
    let first = rig.send(client, PRODUCE, &request);
    rig.run();
    let second = rig.send(retry, PRODUCE, &request);
    rig.run();
    assert!(rig.take_frame(retry).is_none(), "a duplicate was acknowledged before its batch was durable");
    rig.disk(0).release();
    rig.run();
    for (client, correlation) in [(client, first), (retry, second)] {
        let answer = rig.take::<ProduceRequest>(client, PRODUCE, correlation).expect("an answer");
        assert_eq!((produced(answer)[0].error_code, rig.fetch(client, "t", 0, 0).high_watermark), (0, 1));
    }
}

#[test]
fn a_failed_write_refuses_all_that_waits_and_all_that_comes() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    assert_eq!(rig.produce(client, -1, "t", 0, &batch(&["kept"])).error_code, 0);
    rig.disk(0).fail_write = true;
    assert_eq!(rig.produce(client, -1, "t", 0, &batch(&["lost"])).error_code, error::KAFKA_STORAGE_ERROR);
    assert_eq!(rig.produce(client, 1, "t", 0, &batch(&["late"])).error_code, error::KAFKA_STORAGE_ERROR);
    assert_eq!(rig.create(client, "u", 1, &[]), error::KAFKA_STORAGE_ERROR);
    assert_eq!(rig.ask(client, 4, &new_producer()).error_code, error::KAFKA_STORAGE_ERROR);
    assert_eq!(values(&rig.fetch(client, "t", 0, 0)), [(0, "kept".into())], "reads go on");
}

/// One request for partitions of both shards gets one answer, in the request's order.
#[test]
fn one_request_for_two_shards_gets_one_answer() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 4, &[]), 0);
    let batches: Vec<Vec<u8>> = (0..4).map(|n| batch(&vec!["v"; n + 1])).collect();
    let parts: Vec<_> = batches.iter().enumerate().map(|(n, b)| ("t", 3 - n as i32, &b[..])).collect();
    let answers = produced(rig.ask(client, PRODUCE, &produce_request(-1, &parts)));
    let told: Vec<_> = answers.iter().map(|a| (a.index, a.error_code, a.base_offset)).collect();
    assert_eq!(told, [(3, 0, 0), (2, 0, 0), (1, 0, 0), (0, 0, 0)]);
    for (n, index) in [3, 2, 1, 0].into_iter().enumerate() {
        assert_eq!(rig.fetch(client, "t", index, 0).high_watermark, n as i64 + 1);
    }
}

/// More than the log's queue takes at once: what waits for room goes in later, in order.
#[test]
fn batches_wait_for_room_in_the_log_in_order() {
    let mut settings = settings();
    settings.wal.batches_in_flight = 1;
    settings.topic_defaults.max_message_bytes = 1 << 20;
    let mut rig = Rig::with(1, &settings);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    rig.disk(0).hold_writes = true;
    let requests: Vec<i32> = (0..40)
        .map(|n| {
            let value = format!("{n:02}").repeat(400_000);
            rig.send(client, PRODUCE, &produce_request(-1, &[("t", 0, &batch(&[&value]))]))
        })
        .collect();
    rig.run();
    assert!(rig.take_frame(client).is_none());
    rig.disk(0).release();
    rig.run();
    for (offset, correlation) in requests.into_iter().enumerate() {
        let answer = rig.take::<ProduceRequest>(client, PRODUCE, correlation).expect("an answer");
        let answer = produced(answer).remove(0);
        assert_eq!((answer.error_code, answer.base_offset), (0, offset as i64));
    }
}

/// A full disk stops what makes it fuller, and nothing else; it heals by what is deleted.
#[test]
fn a_full_disk_takes_deletions_and_gives_reads() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    for topic in ["t", "u"] {
        assert_eq!(rig.create(client, topic, 1, &[]), 0);
    }
    rig.disk(0).full = true;
    let mut written = 0;
    while rig.produce(client, -1, "t", 0, &large(200_000)).error_code == 0 {
        written += 1;
        assert!(written < 100, "the disk is never full");
    }
    assert_eq!(rig.produce(client, -1, "u", 0, &batch(&["a"])).error_code, error::KAFKA_STORAGE_ERROR);
    assert_eq!(values(&rig.fetch(client, "t", 0, written - 1)).len(), 1);
    for topic in ["new", "newer"] {
        assert_eq!(rig.create(client, topic, 1, &[]), error::KAFKA_STORAGE_ERROR, "the reserve is not for topics");
    }
    let answer = rig.metadata(client, &["auto"]);
    assert_eq!(answer.topics[0].error_code, error::KAFKA_STORAGE_ERROR);
    let request = torc_net::kafka::schema::DeleteTopicsRequest::default().with_topic_names(vec![name("t")]);
    assert_eq!(rig.ask(client, 5, &request).responses[0].error_code, 0);
    rig.pass(60_000);
    assert_eq!(rig.produce(client, -1, "u", 0, &batch(&["again"])).error_code, 0, "{:?}", rig.logs());
    assert_eq!(rig.create(client, "new", 1, &[]), 0);
}
