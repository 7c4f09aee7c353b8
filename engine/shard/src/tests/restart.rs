//! What a server that was killed finds again, and how one that is asked to stop ends.

use super::rig::{Rig, settings};
use super::verbs::*;
use torc_base::io::Event;
use torc_net::kafka::error;
use torc_net::kafka::schema::{FetchRequest, ProduceRequest};

/// Asks for a stop and lets connections fall silent.
fn stop(rig: &mut Rig, shards: usize) {
    (0..shards).for_each(|shard| rig.inject(shard, Event::Stop));
    rig.pass(300);
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 4, &[("retention.ms", "5000000")]), 0);
    for index in 0..4 {
        rig.produce(client, -1, "t", index, &batch(&["a", "b"]));
        rig.produce(client, 1, "t", index, &batch(&["c"]));
    }
    let id = id_of(&mut rig, client, "t");
    let mut rig = rig.restart(&settings());
    assert!(rig.is_ready());
    let client = rig.connect(1);
    assert_eq!(id_of(&mut rig, client, "t"), id);
    for index in 0..4 {
        let read = rig.fetch(client, "t", index, 0);
        assert_eq!((read.high_watermark, values(&read).len()), (3, 3));
        assert_eq!(rig.produce(client, -1, "t", index, &batch(&["d"])).base_offset, 3);
    }
}

#[test]
fn a_repeated_batch_is_known_after_a_kill() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    let id = rig.ask(client, 4, &new_producer()).producer_id.0;
    for index in [0, 1] {
        rig.produce(client, -1, "t", index, &batch(&["before"]));
        rig.produce(client, -1, "t", index, &sequenced(&["a", "b"], id, 0, 0));
        rig.produce(client, -1, "t", index, &sequenced(&["c"], id, 0, 2));
    }
    // Once from the log alone, once from a checkpoint.
    for clean in [false, true] {
        if clean {
            stop(&mut rig, 2);
            assert!(rig.has_exited());
        }
        rig = rig.restart(&settings());
        let client = rig.connect(0);
        for index in [0, 1] {
            let again = rig.produce(client, -1, "t", index, &sequenced(&["a", "b"], id, 0, 0));
            assert_eq!((again.error_code, again.base_offset), (0, 1));
            let gap = rig.produce(client, -1, "t", index, &sequenced(&["x"], id, 0, 9));
            assert_eq!(gap.error_code, error::OUT_OF_ORDER_SEQUENCE_NUMBER);
            assert_eq!(rig.fetch(client, "t", index, 0).high_watermark, 4);
        }
        let other = rig.ask(client, 4, &new_producer()).producer_id.0;
        assert!(other > id, "producer ids are given once");
    }
}

#[test]
fn topics_that_were_deleted_stay_deleted_and_trims_are_remembered() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    for topic in ["gone", "t"] {
        assert_eq!(rig.create(client, topic, 2, &[]), 0);
        rig.produce(client, -1, topic, 1, &batch(&["a", "b", "c"]));
    }
    let request = torc_net::kafka::schema::DeleteTopicsRequest::default().with_topic_names(vec![name("gone")]);
    assert_eq!(rig.ask(client, 5, &request).responses[0].error_code, 0);
    let partition = torc_net::kafka::schema::delete_records_request::DeleteRecordsPartition::default()
        .with_partition_index(1)
        .with_offset(2);
    let topic = torc_net::kafka::schema::delete_records_request::DeleteRecordsTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![partition]);
    let request = torc_net::kafka::schema::DeleteRecordsRequest::default().with_topics(vec![topic]);
    assert_eq!(rig.ask(client, 2, &request).topics[0].partitions[0].low_watermark, 2);
    for clean in [false, true] {
        if clean {
            stop(&mut rig, 2);
        }
        rig = rig.restart(&settings());
        let client = rig.connect(0);
        assert_eq!(rig.fetch(client, "gone", 1, 0).error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(rig.fetch(client, "t", 1, 1).error_code, error::OFFSET_OUT_OF_RANGE);
        let read = rig.fetch(client, "t", 1, 2);
        assert_eq!((read.log_start_offset, read.high_watermark), (2, 3));
    }
}

#[test]
fn a_stop_answers_what_is_in_the_log_and_what_waits_for_records() {
    let mut rig = Rig::new(2);
    let (writer, reader, idle) = (rig.connect(0), rig.connect(1), rig.connect(1));
    assert_eq!(rig.create(writer, "t", 2, &[]), 0);
    (0..2).for_each(|shard| rig.disk(shard).hold_writes = true);
    let parts = [("t", 0, &batch(&["a"])[..]), ("t", 1, &batch(&["b"])[..])];
    let produced_sent = rig.send(writer, PRODUCE, &produce_request(-1, &parts));
    let fetch_sent = rig.send(reader, FETCH, &fetch_request(vec![wanted("t", 0, 0)], 60_000));
    rig.run();
    stop(&mut rig, 2);
    assert!(!rig.has_exited(), "a request is in the log");
    assert!(rig.is_closed(idle));
    let answer = rig.take::<FetchRequest>(reader, FETCH, fetch_sent).expect("answered without records");
    assert_eq!(values(&answer.responses[0].partitions[0]), []);
    assert!(rig.is_closed(reader));
    // Too late to be served.
    let late = rig.connect(0);
    assert!(rig.is_closed(late));
    rig.send(writer, PRODUCE, &produce_request(-1, &parts));
    rig.pass(10);
    (0..2).for_each(|shard| rig.disk(shard).release());
    rig.run();
    rig.pass(10);
    let answer = rig.take::<ProduceRequest>(writer, PRODUCE, produced_sent).expect("in the log before the stop");
    assert!(produced(answer).iter().all(|part| part.error_code == 0));
    assert!(rig.take_frame(writer).is_none() && rig.is_closed(writer));
    assert!(rig.has_exited());
    let mut rig = rig.restart(&settings());
    let client = rig.connect(0);
    assert_eq!(rig.fetch(client, "t", 0, 0).high_watermark, 1);
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    rig.disk(0).hold_writes = true;
    rig.disk(1).hold_writes = true;
    rig.send(client, PRODUCE, &produce_request(-1, &[("t", 0, &batch(&["a"]))]));
    rig.run();
    stop(&mut rig, 2);
    rig.pass(4_699);
    assert!(!rig.has_exited());
    rig.pass(5_002);
    assert!(rig.has_exited());
}

#[test]
fn a_damaged_log_is_refused_with_a_reason() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for _ in 0..5 {
        rig.produce(client, -1, "t", 0, &batch(&["a"]));
    }
    stop(&mut rig, 1);
    for (_, bytes) in rig.disk(0).files.iter_mut().filter(|(name, _)| !name.contains("check")) {
        bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    }
    let rig = rig.restart(&settings());
    assert!(!rig.is_ready() && rig.has_exited());
    assert!(rig.shard(0).refused().is_some());
}

/// A write that fails before the first client is served ends the start with its reason; one that fails later leaves what can be
/// read.
#[test]
fn a_fence_before_the_first_service_ends_the_start() {
    for (shards, failing) in [(1, 0), (2, 0), (2, 1)] {
        let mut rig = Rig::new(shards);
        let client = rig.connect(0);
        assert_eq!(rig.create(client, "t", 4, &[]), 0);
        let mut rig = rig.restart_held(&settings());
        rig.disk(failing).fail_write = true;
        (0..shards).for_each(|shard| rig.disk(shard).release());
        rig.run();
        let why = rig.shard(failing).refused().expect("it cannot serve").to_string();
        assert!(why.contains("EIO") && why.contains("restart"), "{why}");
        assert!(!rig.is_ready());
        // The server asks the others to end.
        stop(&mut rig, shards);
        rig.pass(20_000);
        assert!(rig.has_exited(), "{shards} shards, {failing} fails");
    }
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    rig.produce(client, -1, "t", 0, &batch(&["a"]));
    rig.disk(0).fail_write = true;
    assert_eq!(rig.produce(client, -1, "t", 0, &batch(&["b"])).error_code, error::KAFKA_STORAGE_ERROR);
    assert_eq!(values(&rig.fetch(client, "t", 0, 0)).len(), 1);
    assert!(rig.shard(0).refused().is_none() && !rig.has_exited());
}

#[test]
fn a_start_says_what_it_recovered_unless_the_stop_was_orderly() {
    let recovered = |rig: &Rig| rig.logs().iter().filter(|line| line.contains("were recovered")).count();
    let mut rig = Rig::new(2);
    assert_eq!(recovered(&rig), 0, "there was nothing");
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 4, &[]), 0);
    let mut rig = rig.restart(&settings());
    assert_eq!(recovered(&rig), 2, "one line to each shard: {:?}", rig.logs());
    assert!(rig.logs().iter().any(|line| line.contains("nothing was cut")), "{:?}", rig.logs());
    stop(&mut rig, 2);
    assert!(rig.has_exited());
    let rig = rig.restart(&settings());
    assert!(rig.is_ready());
    assert_eq!(recovered(&rig), 0, "{:?}", rig.logs());
    // It went on from where it was closed, and was killed.
    let rig = rig.restart(&settings());
    assert_eq!(recovered(&rig), 2, "{:?}", rig.logs());
}
