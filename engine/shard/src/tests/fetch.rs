//! Fetch: bounds, long polls, sessions.

use super::rig::{Client, Rig, settings};
use super::verbs::*;
use crate::Settings;
use torc_net::kafka::error;
use torc_net::kafka::schema::fetch_request::{FetchTopic, ForgottenTopic};
use torc_net::kafka::schema::fetch_response::FetchResponse;
use torc_net::kafka::schema::{DeleteTopicsRequest, FetchRequest};
use torc_wal::WalSettings;

/// Topics, partitions and high watermarks of an answer, in its order.
fn told(response: &FetchResponse) -> Vec<(String, i32, i16, i64)> {
    let topics = response.responses.iter();
    let parts = topics.flat_map(|topic| topic.partitions.iter().map(move |p| (topic.topic.to_string(), p)));
    parts.map(|(topic, p)| (topic, p.partition_index, p.error_code, p.high_watermark)).collect()
}

#[test]
fn a_fetch_begins_at_the_batch_that_holds_the_offset() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    rig.produce(client, -1, "t", 0, &batch(&["a", "b", "c"]));
    rig.produce(client, -1, "t", 0, &batch(&["d"]));
    assert_eq!(values(&rig.fetch(client, "t", 0, 2)).len(), 4, "the whole batch of 0, 1 and 2, and the next");
    assert_eq!(values(&rig.fetch(client, "t", 0, 3)), [(3, "d".into())]);
    assert_eq!(values(&rig.fetch(client, "t", 0, 4)), []);
    for offset in [-1, 5] {
        let refused = rig.fetch(client, "t", 0, offset);
        assert_eq!((refused.error_code, refused.high_watermark), (error::OFFSET_OUT_OF_RANGE, -1));
    }
    assert_eq!(rig.fetch(client, "t", 1, 0).error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
    for stranger in ["u", ""] {
        assert_eq!(rig.fetch(client, stranger, 0, 0).error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
    }
}

#[test]
fn who_reads_committed_records_is_told_that_no_transaction_was_aborted() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    rig.produce(client, -1, "t", 0, &batch(&["a"]));
    let mut aborted = |isolation, offset| {
        let request = fetch_request(vec![wanted("t", 0, offset)], 0).with_isolation_level(isolation);
        let answer = rig.ask(client, FETCH, &request);
        answer.responses[0].partitions[0].aborted_transactions.clone().map(|aborted| aborted.len())
    };
    assert_eq!((aborted(0, 0), aborted(1, 0)), (None, Some(0)));
    assert_eq!(aborted(1, 9), None, "nor does a partition that cannot be read");
}

#[test]
fn the_first_batch_comes_whole_however_small_the_bounds_are() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    for index in [0, 0, 1] {
        rig.produce(client, -1, "t", index, &large(10_000));
    }
    for (max_bytes, partition_max) in [(1, 1), (0, 1 << 20), (1 << 20, 0), (15_000, 1 << 20)] {
        let mut parts = vec![wanted_partition(0, 0), wanted_partition(1, 0)];
        parts.iter_mut().for_each(|part| part.partition_max_bytes = partition_max);
        let topic = wanted("t", 0, 0).with_partitions(parts);
        let request = fetch_request(vec![topic], 500).with_max_bytes(max_bytes);
        let answer = rig.ask(client, FETCH, &request);
        let bytes: Vec<usize> =
            answer.responses.iter().flat_map(|t| &t.partitions).map(|p| p.records.as_ref().unwrap().len()).collect();
        assert!(bytes.iter().any(|bytes| *bytes > 10_000), "{max_bytes}, {partition_max}: {bytes:?}");
        if max_bytes < 1 << 20 {
            assert!(bytes.iter().sum::<usize>() < 20_000, "{max_bytes}, {partition_max}: {bytes:?}");
        }
    }
}

#[test]
fn the_leader_epoch_that_a_client_believes_in_is_checked() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let epoch = rig.metadata(client, &["t"]).topics[0].partitions[0].leader_epoch;
    let (old, new) = (error::FENCED_LEADER_EPOCH, error::UNKNOWN_LEADER_EPOCH);
    for (believed, code) in [(epoch, 0), (-1, 0), (-2, 0), (i32::MIN, 0), (epoch - 1, old), (epoch + 1, new)] {
        let mut topic = wanted("t", 0, 0);
        topic.partitions[0].current_leader_epoch = believed;
        let answer = rig.ask(client, FETCH, &fetch_request(vec![topic], 0));
        assert_eq!(answer.responses[0].partitions[0].error_code, code, "epoch {believed}, now {epoch}");
    }
}

/// A long poll is woken by a produce to another shard, and not before; nobody waits for it longer than it said.
#[test]
fn a_long_poll_is_woken_by_a_produce_on_the_other_shard() {
    let mut rig = Rig::new(2);
    let (reader, writer) = (rig.connect(0), rig.connect(1));
    assert_eq!(rig.create(writer, "t", 2, &[]), 0);
    for index in [0, 1] {
        let parts = vec![wanted_partition(0, i64::from(index)), wanted_partition(1, 0)];
        let topic = wanted("t", 0, 0).with_partitions(parts);
        let sent = rig.send(reader, FETCH, &fetch_request(vec![topic], 10_000));
        rig.pass(9_000);
        assert!(rig.take_frame(reader).is_none());
        rig.produce(writer, -1, "t", index, &batch(&["a"]));
        let answer = rig.take::<FetchRequest>(reader, FETCH, sent).expect("woken");
        let got: Vec<_> = answer.responses[0].partitions.iter().map(|p| values(p).len()).collect();
        assert!(got[index as usize] == 1, "partition {index}: {got:?}");
    }
    let sent = rig.send(reader, FETCH, &fetch_request(vec![wanted("t", 0, 1)], 10_000));
    rig.pass(9_999);
    assert!(rig.take_frame(reader).is_none());
    rig.pass(1);
    let answer = rig.take::<FetchRequest>(reader, FETCH, sent).expect("its time is up");
    assert_eq!(values(&answer.responses[0].partitions[0]), []);
}

#[test]
fn a_long_poll_waits_for_as_many_bytes_as_it_asked_for() {
    let mut rig = Rig::new(2);
    let (reader, writer) = (rig.connect(1), rig.connect(0));
    assert_eq!(rig.create(writer, "t", 1, &[]), 0);
    let request = fetch_request(vec![wanted("t", 0, 0)], 60_000).with_min_bytes(2_500);
    let sent = rig.send(reader, FETCH, &request);
    rig.run();
    for _ in 0..2 {
        rig.produce(writer, -1, "t", 0, &large(1_000));
        assert!(rig.take_frame(reader).is_none());
    }
    rig.produce(writer, -1, "t", 0, &large(1_000));
    let answer = rig.take::<FetchRequest>(reader, FETCH, sent).expect("enough");
    assert_eq!(values(&answer.responses[0].partitions[0]).len(), 3);
}

#[test]
fn a_fetch_of_what_is_not_committed_is_woken_by_the_commit() {
    let mut rig = Rig::new(1);
    let (reader, writer) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(writer, "t", 1, &[]), 0);
    let request = fetch_request(vec![wanted("t", 0, 0)], 60_000);
    rig.disk(0).hold_writes = true;
    let produced = rig.send(writer, PRODUCE, &produce_request(-1, &[("t", 0, &batch(&["a"]))]));
    let sent = rig.send(reader, FETCH, &request);
    rig.run();
    rig.disk(0).release();
    rig.run();
    assert!(rig.take_frame(writer).is_some_and(|(correlation, _)| correlation == produced));
    let answer = rig.take::<FetchRequest>(reader, FETCH, sent).expect("woken");
    assert_eq!(values(&answer.responses[0].partitions[0]).len(), 1);
}

/// As in Kafka: partitions that do not exist are told of with the others, and do not make the answer come early; a
/// client would ask again and again without a pause. With nothing that can be read there is nothing to wait for.
#[test]
fn unknown_partitions_do_not_cut_a_long_poll_short() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let topics = vec![wanted("gone", 0, 0), wanted("t", 0, 0)];
    let sent = rig.send(client, FETCH, &fetch_request(topics, 1_000));
    rig.pass(999);
    assert!(rig.take_frame(client).is_none());
    rig.pass(1);
    let answer = rig.take::<FetchRequest>(client, FETCH, sent).expect("its time is up");
    let unknown = error::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(told(&answer), [("gone".into(), 0, unknown, -1), ("t".into(), 0, 0, 0)]);
    let answer = rig.ask(client, FETCH, &fetch_request(vec![wanted("gone", 0, 0)], 1_000));
    assert_eq!(told(&answer), [("gone".into(), 0, unknown, -1)]);
    assert_eq!(told(&rig.ask(client, FETCH, &fetch_request(vec![], 1_000))), []);
    // An error of a partition that exists is news.
    let topics = vec![wanted("t", 0, 0), wanted("t", 0, 9).with_partitions(vec![wanted_partition(0, 9)])];
    let answer = rig.ask(client, FETCH, &fetch_request(topics, 1_000));
    assert_eq!(told(&answer)[0].2, error::OFFSET_OUT_OF_RANGE);
}

#[test]
fn the_end_of_a_topic_wakes_who_waits_for_it() {
    let mut rig = Rig::new(2);
    let (reader, other) = (rig.connect(0), rig.connect(1));
    assert_eq!(rig.create(reader, "t", 2, &[]), 0);
    let parts = vec![wanted_partition(0, 0), wanted_partition(1, 0)];
    let sent = rig.send(reader, FETCH, &fetch_request(vec![wanted("t", 0, 0).with_partitions(parts)], 60_000));
    rig.run();
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name("t")]);
    assert_eq!(rig.ask(other, 5, &request).responses[0].error_code, 0);
    let answer = rig.take::<FetchRequest>(reader, FETCH, sent).expect("woken");
    assert_eq!(answer.responses[0].partitions[0].error_code, error::NOT_LEADER_OR_FOLLOWER);
}

/// Who comes again and again for what is damaged gets an error each time, and the log a few lines.
#[test]
fn damaged_entries_are_refused_each_time_and_told_of_a_few_times() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for n in 0..120 {
        let value = format!("{n:03}").repeat(10_000);
        assert_eq!(rig.produce(client, -1, "t", 0, &batch(&[&value])).error_code, 0);
    }
    for (name, bytes) in &mut rig.disk(0).files {
        if let (true, Some(at)) = (name.contains("wal"), bytes.windows(9).position(|bytes| bytes == b"001001001")) {
            bytes[at + 300] ^= 1;
        }
    }
    for _ in 0..50 {
        assert_eq!(rig.fetch(client, "t", 0, 1).error_code, error::KAFKA_STORAGE_ERROR);
    }
    let lines = rig.logs().iter().filter(|line| line.contains("a read of the log failed")).count();
    assert!((1..=10).contains(&lines), "{lines} lines");
    rig.pass(120_000);
    rig.fetch(client, "t", 0, 1);
    assert!(rig.logs().iter().any(|line| line.contains("40 more such lines")), "{:?}", rig.logs().last());
}

#[test]
fn what_has_left_memory_is_read_from_disk() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    for n in 0..60 {
        let value = format!("{n:03}").repeat(10_000);
        for index in [0, 1] {
            assert_eq!(rig.produce(client, -1, "t", index, &batch(&[&value])).error_code, 0);
        }
    }
    for index in [0, 1] {
        let before: usize = (0..2).map(|shard| rig.disk(shard).reads).sum();
        let mut offset = 0;
        while offset < 60 {
            let read = values(&rig.fetch(client, "t", index, offset));
            for (at, value) in read {
                assert_eq!((at, value), (offset, format!("{offset:03}").repeat(10_000)));
                offset += 1;
            }
        }
        let after: usize = (0..2).map(|shard| rig.disk(shard).reads).sum();
        assert!(after > before, "the oldest are not in memory");
    }
}

/// A session's request: id and epoch, and what is new.
fn session_request(session: (i32, i32), topics: Vec<FetchTopic>) -> FetchRequest {
    fetch_request(topics, 0).with_session_id(session.0).with_session_epoch(session.1)
}

fn open(rig: &mut Rig, client: Client, topic: &str) -> i32 {
    let answer = rig.ask(client, FETCH, &session_request((0, 0), vec![wanted(topic, 0, 0)]));
    assert_eq!(answer.error_code, 0);
    answer.session_id
}

#[test]
fn a_session_tells_only_what_changed() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    let parts = vec![wanted_partition(0, 0), wanted_partition(1, 0)];
    let answer = rig.ask(client, FETCH, &session_request((0, 0), vec![wanted("t", 0, 0).with_partitions(parts)]));
    let id = answer.session_id;
    assert!(id > 0);
    assert_eq!(told(&answer), [("t".into(), 0, 0, 0), ("t".into(), 1, 0, 0)], "a full fetch tells all");
    assert_eq!(told(&rig.ask(client, FETCH, &session_request((id, 1), vec![]))), []);
    rig.produce(client, -1, "t", 1, &batch(&["a"]));
    let answer = rig.ask(client, FETCH, &session_request((id, 2), vec![]));
    assert_eq!((answer.session_id, told(&answer)), (id, vec![("t".into(), 1, 0, 1)]));
    // The client has it and asks for what follows.
    let answer = rig.ask(client, FETCH, &session_request((id, 3), vec![wanted("t", 1, 1)]));
    assert_eq!(told(&answer), []);
    rig.produce(client, -1, "t", 1, &batch(&["b"]));
    let forgotten = ForgottenTopic::default().with_topic(name("t")).with_partitions(vec![1]);
    let request = session_request((id, 4), vec![]).with_forgotten_topics_data(vec![forgotten]);
    assert_eq!(told(&rig.ask(client, FETCH, &request)), []);
}

#[test]
fn errors_70_and_71_say_which_of_id_and_epoch_is_wrong() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let id = open(&mut rig, client, "t");
    let mut ask = |session| {
        let answer = rig.ask(client, FETCH, &session_request(session, vec![]));
        (answer.error_code, answer.session_id)
    };
    assert_eq!(ask((id + 1, 1)), (error::FETCH_SESSION_ID_NOT_FOUND, 0));
    assert_eq!(ask((id, 2)), (error::INVALID_FETCH_SESSION_EPOCH, 0));
    assert_eq!(ask((id, 1)), (0, id), "an error does not end the session");
    assert_eq!(ask((id, 1)), (error::INVALID_FETCH_SESSION_EPOCH, 0), "an epoch is used once");
    assert_eq!(ask((id, -1)), (0, 0), "the last epoch ends it");
    assert_eq!(ask((id, 2)), (error::FETCH_SESSION_ID_NOT_FOUND, 0));
}

/// A client that has lost its metadata knows no ids at first: its session begins by name, and some of what it reads is still there by name
/// when all ids are known again. What it would be told of that under an id it would pass over, and never hear of those records.
#[test]
fn a_session_that_was_begun_by_name_does_not_go_on_by_id() {
    const BY_ID: i16 = 13;
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    let id = id_of(&mut rig, client, "t");
    let by_id = |indexes: &[i32]| {
        let partitions = indexes.iter().map(|index| wanted_partition(*index, 0)).collect();
        FetchTopic::default().with_topic_id(id).with_partitions(partitions)
    };
    let session = open(&mut rig, client, "t");
    let answer = rig.ask(client, BY_ID, &session_request((session, 1), vec![by_id(&[1])]));
    assert_eq!((answer.error_code, answer.session_id), (error::FETCH_SESSION_TOPIC_ID_ERROR, 0));
    let answer = rig.ask(client, BY_ID, &session_request((session, 0), vec![by_id(&[0, 1])]));
    assert_eq!(answer.error_code, 0);
    rig.produce(client, -1, "t", 0, &batch(&["a"]));
    let session = answer.session_id;
    let answer = rig.ask(client, BY_ID, &session_request((session, 1), vec![]));
    let told: Vec<_> = answer.responses.iter().map(|topic| (topic.topic_id, values(&topic.partitions[0]))).collect();
    assert_eq!(told, [(id, vec![(0, "a".into())])]);
    let answer = rig.ask(client, FETCH, &session_request((session, 2), vec![wanted("t", 1, 0)]));
    assert_eq!(answer.error_code, error::FETCH_SESSION_TOPIC_ID_ERROR, "nor the other way round");
}

#[test]
fn without_room_for_a_session_the_fetch_is_answered_without_one() {
    let mut rig = Rig::with(1, &settings());
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let (first, second) = (open(&mut rig, client, "t"), open(&mut rig, client, "t"));
    assert!(first > 0 && second > 0 && first != second);
    assert_eq!(open(&mut rig, client, "t"), 0, "there are two places");
    rig.pass(121_000);
    let third = open(&mut rig, client, "t");
    assert!(third > 0, "a session that was not used for two minutes gives way");
    assert_eq!(rig.ask(client, FETCH, &session_request((first, 1), vec![])).error_code, 70);
    assert_eq!(rig.ask(client, FETCH, &session_request((second, 1), vec![])).error_code, 0);
}

/// The reader of many partitions is answered from each in turn, however much one of them has.
#[test]
fn a_full_partition_does_not_starve_the_others_of_a_session() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 3, &[]), 0);
    for index in 0..3 {
        for _ in 0..4 {
            rig.produce(client, -1, "t", index, &large(1_000));
        }
    }
    let parts = (0..3).map(|index| wanted_partition(index, 0)).collect();
    let mut request = session_request((0, 0), vec![wanted("t", 0, 0).with_partitions(parts)]).with_max_bytes(1_000);
    let mut from = Vec::new();
    for epoch in 1..=6 {
        let answer = rig.ask(client, FETCH, &request);
        let gave: Vec<i32> = answer
            .responses
            .iter()
            .flat_map(|t| &t.partitions)
            .filter(|p| !p.records.as_ref().unwrap().is_empty())
            .map(|p| p.partition_index)
            .collect();
        assert_eq!(gave.len(), 1);
        from.extend(gave);
        request = session_request((answer.session_id, epoch), vec![]).with_max_bytes(1_000);
    }
    assert_eq!(from, [0, 1, 2, 0, 1, 2]);
}

/// What is left in the oldest part of the log is answered at once, though it is less than the client asked for: no
/// produce would wake it.
#[test]
fn a_read_that_ends_before_the_log_does_is_enough() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for _ in 0..40 {
        rig.produce(client, -1, "t", 0, &large(100_000));
    }
    let mut offset = 0;
    while offset < 40 {
        let request = fetch_request(vec![wanted("t", 0, offset)], 60_000).with_min_bytes(16 << 20);
        let sent = rig.send(client, FETCH, &request);
        rig.run();
        let Some(answer) = rig.take::<FetchRequest>(client, FETCH, sent) else { break };
        let read = values(&answer.responses[0].partitions[0]);
        assert!(!read.is_empty());
        offset += read.len() as i64;
    }
    // Only the last one had nothing behind it.
    assert!(offset < 40, "it waits for 16 MiB");
    rig.pass(60_000);
    assert!(rig.take_frame(client).is_some(), "until its time is up");
    assert!(offset >= 30, "from {offset} on nothing came");
}

#[test]
fn a_consumer_that_reads_on_finds_its_records_read_ahead() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for _ in 0..120 {
        rig.produce(client, -1, "t", 0, &large(50_000));
    }
    let (mut offset, mut waits) = (0, 0);
    while offset < 120 {
        let mut topic = wanted("t", 0, offset);
        topic.partitions[0].partition_max_bytes = 250_000;
        let before = rig.disk(0).reads;
        let sent = rig.send(client, FETCH, &fetch_request(vec![topic], 0));
        rig.disk(0).hold_reads = true;
        rig.run();
        let at_once = rig.take::<FetchRequest>(client, FETCH, sent);
        rig.disk(0).release();
        rig.run();
        waits += u64::from(at_once.is_none());
        let answer = at_once.or_else(|| rig.take::<FetchRequest>(client, FETCH, sent)).expect("answered");
        for (at, value) in values(&answer.responses[0].partitions[0]) {
            assert_eq!((at, value.len()), (offset, 50_000));
            offset += 1;
        }
        assert!(rig.disk(0).reads >= before);
    }
    // Two reads until the consumer is known, and the footers of the segments that it begins with.
    assert!(waits <= 4, "{waits} reads waited for the disk");
}

/// Two shards read up to the same bound for one answer. What does not fit is dropped, and not read a second time.
#[test]
fn what_does_not_fit_an_answer_is_not_read_twice() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    for _ in 0..60 {
        for index in [0, 1] {
            rig.produce(client, -1, "t", index, &large(50_000));
        }
    }
    let before: usize = (0..2).map(|shard| rig.disk(shard).read_bytes).sum();
    let mut offsets = [0, 0];
    while offsets.iter().any(|offset| *offset < 60) {
        // The client asks for the one first that it has least of, as clients do.
        let mut order = [0, 1];
        order.sort_by_key(|index| offsets[*index as usize]);
        let parts = order.map(|index| wanted_partition(index, offsets[index as usize])).to_vec();
        let request = fetch_request(vec![wanted("t", 0, 0).with_partitions(parts)], 0).with_max_bytes(400_000);
        let answer = rig.ask(client, FETCH, &request);
        let before = offsets;
        for p in &answer.responses[0].partitions {
            offsets[p.partition_index as usize] += values(p).len() as i64;
        }
        assert!(before != offsets);
    }
    let after: usize = (0..2).map(|shard| rig.disk(shard).read_bytes).sum();
    let stored = 120 * 50_000;
    assert!(after - before < stored * 3 / 2, "{} bytes were read of {stored}", after - before);
}

/// A request for many partitions has one turn at the disk for each, not one for all of them.
#[test]
fn who_reads_one_partition_does_not_wait_for_all_of_one_who_reads_many() {
    let settings = settings();
    let wal = WalSettings { tail_bytes: 0, read_ahead_bytes: 0, ..settings.wal };
    let mut rig = Rig::with(1, &Settings { wal, ..settings });
    let (many, one) = (rig.connect(0), rig.connect(0));
    let count = 16;
    assert_eq!(rig.create(many, "t", count, &[]), 0);
    for index in 0..count {
        for _ in 0..20 {
            rig.produce(many, -1, "t", index, &large(50_000));
        }
    }
    let parts = (0..count - 1).map(|index| wanted_partition(index, 0)).collect();
    let all = fetch_request(vec![wanted("t", 0, 0).with_partitions(parts)], 0);
    // It is known to read.
    (0..6).for_each(|_| drop(rig.ask(many, FETCH, &all)));
    rig.disk(0).hold_reads = true;
    let all = rig.send(many, FETCH, &all);
    rig.run();
    let sent = rig.send(one, FETCH, &fetch_request(vec![wanted("t", count - 1, 0)], 0));
    rig.run();
    for _ in 0..100 {
        // What is with the disk ends, and what is asked of it then does not yet.
        rig.disk(0).release();
        rig.disk(0).hold_reads = true;
        rig.run();
        if rig.take::<FetchRequest>(one, FETCH, sent).is_some() {
            assert!(rig.take::<FetchRequest>(many, FETCH, all).is_none(), "it came behind all others");
            return;
        }
    }
    panic!("no answer");
}
