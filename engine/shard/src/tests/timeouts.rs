//! Requests that say how long they may take.

use super::rig::{Client, Rig};
use super::verbs::*;
use torc_net::kafka::error;
use torc_net::kafka::schema::alter_configs_request::AlterConfigsResource;
use torc_net::kafka::schema::create_partitions_request::CreatePartitionsTopic;
use torc_net::kafka::schema::create_topics_request::CreatableTopic;
use torc_net::kafka::schema::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use torc_net::kafka::schema::{
    AlterConfigsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    InitProducerIdRequest, ProduceRequest,
};

const LATE: i16 = error::REQUEST_TIMED_OUT;
/// How much later than it says an answer may come.
const COARSE_MS: u64 = 200;

/// Topics `t` of two partitions and `u` of one on a server whose disks do not end a write.
fn held(shards: usize) -> (Rig, Client) {
    let mut rig = Rig::new(shards);
    let client = rig.connect(0);
    assert_eq!((rig.create(client, "t", 2, &[]), rig.create(client, "u", 1, &[])), (0, 0));
    rig.produce(client, -1, "t", 0, &batch(&["a", "b"]));
    (0..shards).for_each(|shard| rig.disk(shard).hold_writes = true);
    (rig, client)
}

fn release(rig: &mut Rig, shards: usize) {
    (0..shards).for_each(|shard| rig.disk(shard).release());
    rig.run();
}

/// Nothing has arrived after `ms`, and something has a little later.
fn answered_after(rig: &mut Rig, client: Client, ms: u64) {
    rig.pass(ms - 1);
    assert!(rig.take_frame(client).is_none(), "before its time");
    rig.pass(1 + COARSE_MS);
}

#[test]
fn a_produce_request_that_the_disk_keeps_waiting_is_answered_in_time() {
    for shards in [1, 2] {
        for (acks, timeout_ms) in [(-1, 3_000), (1, 3_000), (-1, 600), (-1, 60_000)] {
            let (mut rig, client) = held(shards);
            let mut request = produce_request(acks, &[("t", 0, &batch(&["c"])), ("t", 1, &batch(&["d"]))]);
            request.timeout_ms = timeout_ms;
            let sent = rig.send(client, PRODUCE, &request);
            answered_after(&mut rig, client, timeout_ms as u64);
            let answer = produced(rig.take::<ProduceRequest>(client, PRODUCE, sent).expect("in time"));
            assert!(answer.iter().all(|p| (p.error_code, p.base_offset) == (LATE, -1)), "{answer:?}");
            // It is in the log all the same, and the connection goes on.
            release(&mut rig, shards);
            assert!(rig.take_frame(client).is_none(), "answered once");
            assert_eq!(rig.produce(client, -1, "t", 0, &batch(&["e"])).base_offset, 3);
        }
    }
}

#[test]
fn partitions_that_are_done_have_their_own_answer() {
    let (mut rig, client) = held(2);
    let there = rig.metadata(client, &["t"]).topics.remove(0);
    assert_eq!(there.partitions.len(), 2);
    rig.disk(0).release();
    let mut request = produce_request(-1, &[("t", 0, &batch(&["c"])), ("t", 1, &batch(&["d"]))]);
    request.timeout_ms = 1_000;
    let sent = rig.send(client, PRODUCE, &request);
    rig.pass(1_000 + COARSE_MS);
    let answer = produced(rig.take::<ProduceRequest>(client, PRODUCE, sent).expect("in time"));
    let mut codes: Vec<i16> = answer.iter().map(|p| p.error_code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, LATE], "one shard's disk works");
}

#[test]
fn a_time_of_nothing_gives_a_flush_its_time() {
    let (mut rig, client) = held(1);
    for timeout_ms in [0, -1, 1] {
        let mut request = produce_request(-1, &[("u", 0, &batch(&["a"]))]);
        request.timeout_ms = timeout_ms;
        let sent = rig.send(client, PRODUCE, &request);
        rig.pass(100);
        release(&mut rig, 1);
        let answer = produced(rig.take::<ProduceRequest>(client, PRODUCE, sent).expect("written"));
        assert_eq!(answer[0].error_code, 0, "timeout {timeout_ms}");
        rig.disk(0).hold_writes = true;
    }
}

#[test]
fn a_request_without_answers_is_not_answered_late_either() {
    let (mut rig, client) = held(1);
    let mut request = produce_request(0, &[("t", 0, &batch(&["c"]))]);
    request.timeout_ms = 500;
    rig.send(client, PRODUCE, &request);
    rig.pass(10_000);
    assert!(rig.take_frame(client).is_none() && !rig.is_closed(client));
}

#[test]
fn changes_of_topics_are_answered_in_time() {
    for shards in [1, 2] {
        let (mut rig, client) = held(shards);
        let others: Vec<Client> = (0..3).map(|_| rig.connect(shards - 1)).collect();
        let topic = |topic: &str| CreatableTopic::default().with_name(name(topic)).with_num_partitions(1);
        let topics = ["v", "w", "w", "x"].map(|name| topic(name).with_replication_factor(1)).to_vec();
        let create = CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(2_000);
        let delete = DeleteTopicsRequest::default().with_topic_names(vec![name("u")]).with_timeout_ms(2_000);
        let topic = CreatePartitionsTopic::default().with_name(name("t")).with_count(5).with_assignments(None);
        let grow = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(2_000);
        let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(1);
        let of = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
        let trim = DeleteRecordsRequest::default().with_topics(vec![of]).with_timeout_ms(2_000);
        let trimmed = rig.send(others[2], 2, &trim);
        let created = rig.send(client, CREATE_TOPICS, &create);
        let deleted = rig.send(others[0], 5, &delete);
        let grown = rig.send(others[1], 3, &grow);
        answered_after(&mut rig, client, 2_000);
        let answer = rig.take::<CreateTopicsRequest>(client, CREATE_TOPICS, created).expect("in time");
        let codes: Vec<_> = answer.topics.iter().map(|topic| (topic.name.to_string(), topic.error_code)).collect();
        let expected = [("v", LATE), ("x", LATE), ("w", error::INVALID_REQUEST)];
        assert_eq!(codes, expected.map(|(name, code)| (name.to_string(), code)));
        let answer = rig.take::<DeleteTopicsRequest>(others[0], 5, deleted).expect("in time");
        assert_eq!(answer.responses[0].error_code, LATE);
        let answer = rig.take::<CreatePartitionsRequest>(others[1], 3, grown).expect("in time");
        assert_eq!(answer.results[0].error_code, LATE);
        let answer = rig.take::<DeleteRecordsRequest>(others[2], 2, trimmed).expect("in time");
        let told = &answer.topics[0].partitions[0];
        assert_eq!((told.error_code, told.low_watermark), (LATE, -1));
        release(&mut rig, shards);
        assert!(rig.take_frame(client).is_none(), "answered once");
        assert_eq!(rig.create(client, "v", 1, &[]), error::TOPIC_ALREADY_EXISTS, "it was made, late");
    }
}

/// A topic that cannot be made now keeps nobody from what is there.
#[test]
fn metadata_does_not_wait_for_ever_for_a_topic_to_be_made() {
    for shards in [1, 2] {
        let (mut rig, client) = held(shards);
        let sent = rig.send(client, METADATA, &metadata_request(&["t", "new"]));
        rig.pass(5_000 + COARSE_MS);
        let answer = rig.take::<torc_net::kafka::schema::MetadataRequest>(client, METADATA, sent).expect("in time");
        let codes: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
        assert_eq!(codes, [0, error::LEADER_NOT_AVAILABLE]);
        release(&mut rig, shards);
        assert_eq!(rig.metadata(client, &["new"]).topics[0].error_code, 0);
    }
}

/// Requests without a time of their own are answered too, in words that have clients come again.
#[test]
fn what_names_no_time_is_answered_all_the_same() {
    let mut rig = Rig::new(2);
    let client = rig.connect(1);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    // Not one id has been given out yet.
    rig.disk(0).hold_writes = true;
    let other = rig.connect(0);
    let asked = rig.send(client, 4, &new_producer());
    let resource = AlterConfigsResource::default().with_resource_type(2).with_resource_name(text("t"));
    let altered = rig.send(other, 2, &AlterConfigsRequest::default().with_resources(vec![resource]));
    rig.pass(10_000 + COARSE_MS);
    let answer = rig.take::<InitProducerIdRequest>(client, 4, asked).expect("in time");
    assert_eq!((answer.error_code, answer.producer_id.0), (error::COORDINATOR_LOAD_IN_PROGRESS, -1));
    rig.pass(20_000);
    let answer = rig.take::<AlterConfigsRequest>(other, 2, altered).expect("in time");
    assert_eq!(answer.responses[0].error_code, LATE);
    rig.disk(0).release();
    rig.run();
    assert_eq!(rig.ask(client, 4, &new_producer()).error_code, 0);
}
