//! Fetches and writes of many partitions, and long answers: each goes over turns, in which others are served.

use super::rig::{Client, Rig};
use super::verbs::*;
use kafka_protocol::protocol::Request;
use std::sync::atomic::Ordering;
use torc_net::kafka::error;
use torc_net::kafka::schema::{
    DescribeTopicPartitionsRequest, FetchRequest, FetchResponse, MetadataRequest, ProduceRequest,
};

/// Partitions of the topic.
const PARTITIONS: i32 = 1_000;
/// A turn in which somebody else comes is short: of what takes so many of those, each has a small part.
const TURNS_MIN: usize = 10;

fn rig_with_topic(shards: usize) -> (Rig, Client) {
    let mut rig = Rig::new(shards);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", PARTITIONS, &[]), 0);
    (rig, client)
}

/// The answer to a request, and after how many turns it came. In each of them somebody who asks for little is served.
fn meanwhile<R: Request>(rig: &mut Rig, client: Client, version: i16, request: &R) -> (R::Response, usize) {
    let other = rig.connect(0);
    let sent = rig.send(client, version, request);
    let (mut turns, mut served) = (0, 0);
    loop {
        rig.send(other, 9, &MetadataRequest::default().with_topics(Some(Vec::new())));
        (0..rig.shards()).for_each(|shard| _ = rig.turn(shard));
        turns += 1;
        served += usize::from(rig.take_frame(other).is_some());
        if let Some(answer) = rig.take::<R>(client, version, sent) {
            assert!(served + 2 >= turns, "{turns} turns, {served} others were served");
            return (answer, turns);
        }
        assert!(turns < 5_000, "no answer");
    }
}

/// One record to each partition.
fn to_all(acks: i16) -> ProduceRequest {
    let batch = batch(&["a"]);
    let parts: Vec<_> = (0..PARTITIONS).map(|partition| ("t", partition, &batch[..])).collect();
    produce_request(acks, &parts)
}

/// All partitions from their ends on, one of them from its start.
fn of_all(ends: i64, read: i32) -> FetchRequest {
    let offset = |index| if index == read { 0 } else { ends };
    // Little of each, so that all of them find room.
    let part = |index| wanted_partition(index, offset(index)).with_partition_max_bytes(100);
    let parts = (0..PARTITIONS).map(part).collect();
    fetch_request(vec![wanted("t", 0, 0).with_partitions(parts)], 0)
}

/// Partitions and values of an answer.
fn read_of(answer: &FetchResponse) -> Vec<(i32, usize)> {
    let parts = answer.responses.iter().flat_map(|topic| &topic.partitions);
    assert!(parts.clone().all(|part| part.error_code == error::NONE));
    parts.map(|part| (part.partition_index, values(part).len())).collect()
}

fn memory(rig: &Rig) -> (u64, u64) {
    let stats = rig.stats(0);
    (stats.request_memory_bytes.load(Ordering::Relaxed), stats.answer_memory_bytes.load(Ordering::Relaxed))
}

#[test]
fn a_write_of_many_partitions_goes_over_turns() {
    for shards in [1, 2] {
        for acks in [-1, 1] {
            let (mut rig, client) = rig_with_topic(shards);
            for offset in 0..2 {
                let (answer, turns) = meanwhile(&mut rig, client, PRODUCE, &to_all(acks));
                assert!(turns > TURNS_MIN, "{turns} turns");
                let told: Vec<(i32, i16, i64)> =
                    produced(answer).iter().map(|part| (part.index, part.error_code, part.base_offset)).collect();
                assert_eq!(told, (0..PARTITIONS).map(|index| (index, 0, offset)).collect::<Vec<_>>());
            }
            // What comes behind one, of the same connection, stays behind it.
            let (sent, last) = (rig.send(client, PRODUCE, &to_all(acks)), PARTITIONS - 1);
            let small = rig.send(client, PRODUCE, &produce_request(acks, &[("t", last, &batch(&["b"]))]));
            rig.run();
            assert!(rig.take::<ProduceRequest>(client, PRODUCE, sent).is_some());
            let answer = rig.take::<ProduceRequest>(client, PRODUCE, small).expect("an answer");
            assert_eq!(produced(answer)[0].base_offset, 3);
        }
    }
}

/// What nobody waits for any more is not written, and leaves nothing behind.
#[test]
fn a_long_write_ends_with_its_time_and_with_its_client() {
    for leaves in [false, true] {
        let (mut rig, other) = rig_with_topic(1);
        let client = rig.connect(0);
        let sent = rig.send(client, PRODUCE, &to_all(-1).with_timeout_ms(100));
        while rig.stats(0).produce_batches_total.load(Ordering::Relaxed) == 0 {
            assert!(rig.turn(0), "nothing is written");
        }
        if leaves {
            rig.abort(client);
        } else {
            rig.now.mono = rig.now.mono.plus_ms(1_000);
            rig.run();
            let answer = produced(rig.take::<ProduceRequest>(client, PRODUCE, sent).expect("its time is up"));
            assert_eq!(answer.len(), PARTITIONS as usize);
            assert!(answer.iter().any(|part| part.error_code == error::REQUEST_TIMED_OUT));
        }
        rig.pass(1_000);
        let written = |rig: &mut Rig, index| rig.offset(other, "t", index, -1).offset;
        let ends: Vec<i64> = (0..PARTITIONS).map(|index| written(&mut rig, index)).collect();
        let count = ends.iter().filter(|end| **end == 1).count();
        assert!((1..PARTITIONS as usize).contains(&count), "{count} are written");
        assert!(ends.is_sorted_by(|a, b| a >= b), "in their order");
        assert_eq!(memory(&rig), (0, 0));
        assert_eq!(rig.produce(other, -1, "t", 0, &batch(&["b"])).base_offset, 1);
    }
}

/// What a client that asks for no answer has sent before it ends is written all the same.
#[test]
fn a_long_write_that_wants_no_answer_is_written_whole() {
    let (mut rig, other) = rig_with_topic(1);
    let client = rig.connect(0);
    rig.send(client, PRODUCE, &to_all(0));
    rig.turn(0);
    rig.half_close(client);
    rig.run();
    assert!(rig.is_closed(client));
    assert_eq!(rig.offset(other, "t", PARTITIONS - 1, -1).offset, 1);
}

#[test]
fn a_fetch_of_many_partitions_goes_over_turns() {
    for shards in [1, 2] {
        let (mut rig, client) = rig_with_topic(shards);
        rig.ask(client, PRODUCE, &to_all(-1));
        let reader = rig.connect(0);
        let (answer, turns) = meanwhile(&mut rig, reader, FETCH, &of_all(1, 700).with_session_epoch(0));
        assert!(turns > TURNS_MIN, "{turns} turns");
        let expected = (0..PARTITIONS).map(|index| (index, usize::from(index == 700)));
        assert_eq!(read_of(&answer), expected.collect::<Vec<_>>());
        let parts = &answer.responses[0].partitions;
        assert!(parts.iter().all(|part| part.high_watermark == 1));
        // Of a session that knows them all only news is told; its request names one.
        let session = answer.session_id;
        assert!(session > 0);
        let next = |epoch, topics| fetch_request(topics, 0).with_session_id(session).with_session_epoch(epoch);
        let (answer, turns) = meanwhile(&mut rig, reader, FETCH, &next(1, vec![wanted("t", 700, 1)]));
        // Each shard looks at its own.
        assert!(turns > TURNS_MIN / shards && read_of(&answer).is_empty(), "{turns} turns");
        rig.produce(client, -1, "t", 3, &batch(&["c"]));
        let (answer, _) = meanwhile(&mut rig, reader, FETCH, &next(2, Vec::new()));
        assert_eq!(read_of(&answer), [(3, 1)]);
        // A batch of each comes, in order of the partitions.
        let (answer, _) = meanwhile(&mut rig, reader, FETCH, &of_all(0, 0));
        assert_eq!(read_of(&answer), (0..PARTITIONS).map(|index| (index, 1)).collect::<Vec<_>>());
        rig.run();
        assert_eq!(memory(&rig), (0, 0));
    }
}

#[test]
fn a_fetch_of_many_partitions_waits_for_records_and_is_woken() {
    for shards in [1, 2] {
        let (mut rig, client) = rig_with_topic(shards);
        let reader = rig.connect(0);
        let sent = rig.send(reader, FETCH, &of_all(0, 0).with_max_wait_ms(60_000));
        rig.pass(10_000);
        assert!(rig.take_frame(reader).is_none());
        rig.produce(client, -1, "t", PARTITIONS - 1, &batch(&["a"]));
        let answer = rig.take::<FetchRequest>(reader, FETCH, sent).expect("woken");
        assert_eq!(read_of(&answer).iter().filter(|(_, records)| *records > 0).count(), 1);
        // Whose time is up before it has had its turns gets all of them.
        let sent = rig.send(reader, FETCH, &of_all(1, 0).with_max_wait_ms(5));
        rig.turn(0);
        rig.now.mono = rig.now.mono.plus_ms(10);
        rig.run();
        rig.pass(2_000);
        assert!(rig.take::<FetchRequest>(reader, FETCH, sent).is_some());
    }
}

/// Wherever a fetch is when its client goes, it leaves nothing behind, and its session makes room.
#[test]
fn nothing_is_left_of_a_long_fetch_whose_client_goes() {
    for turns in (1..25).step_by(3) {
        let (mut rig, client) = rig_with_topic(1);
        rig.ask(client, PRODUCE, &to_all(-1));
        let reader = rig.connect(0);
        let first = rig.ask(reader, FETCH, &of_all(0, 0).with_session_epoch(0));
        let request = fetch_request(vec![], 0).with_session_id(first.session_id).with_session_epoch(1);
        rig.send(reader, FETCH, &request);
        let gone = rig.connect(0);
        rig.send(gone, FETCH, &of_all(0, 0).with_session_epoch(0));
        (0..turns).for_each(|_| _ = rig.turn(0));
        rig.abort(gone);
        rig.abort(reader);
        assert_eq!(memory(&rig), (0, 0), "after {turns} turns");
        // Two sessions are there at most, and those that are not used for long make room.
        rig.pass(121_000);
        for _ in 0..2 {
            let anew = rig.connect(0);
            let answer = rig.ask(anew, FETCH, &fetch_request(vec![wanted("t", 0, 0)], 0).with_session_epoch(0));
            assert!(answer.session_id > 0, "after {turns} turns");
        }
    }
}

#[test]
fn a_page_of_partitions_is_told_over_turns() {
    let (mut rig, client) = rig_with_topic(1);
    for n in 0..50 {
        assert_eq!(rig.create(client, &format!("u{n:02}"), 1, &[]), 0);
    }
    let request = DescribeTopicPartitionsRequest::default().with_response_partition_limit(PARTITIONS + 30);
    let (answer, turns) = meanwhile(&mut rig, client, 0, &request);
    assert!(turns > TURNS_MIN / 2, "{turns} turns");
    let told: usize = answer.topics.iter().map(|topic| topic.partitions.len()).sum();
    assert_eq!((told, answer.topics.len()), (PARTITIONS as usize + 30, 31));
    let next = answer.next_cursor.expect("there are more");
    assert_eq!((next.topic_name.as_str(), next.partition_index), ("u30", 0));
}
