//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords.

use super::rig::{Rig, START_MS, settings};
use super::verbs::*;
use std::sync::atomic::Ordering;
use torc_net::kafka::error;
use torc_net::kafka::schema::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use torc_net::kafka::schema::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use torc_net::kafka::schema::{DeleteRecordsRequest, OffsetForLeaderEpochRequest};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

#[test]
fn offsets_are_found_at_both_ends_and_by_time() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    for index in [0, 1] {
        let find = |rig: &mut Rig, timestamp| {
            let found = rig.offset(client, "t", index, timestamp);
            (found.error_code, found.offset, found.timestamp)
        };
        for timestamp in [LATEST, EARLIEST] {
            assert_eq!(find(&mut rig, timestamp), (0, 0, -1), "an empty partition");
        }
        for timestamp in [MAX_TIMESTAMP, START_MS] {
            assert_eq!(find(&mut rig, timestamp), (0, -1, -1), "an empty partition");
        }
        rig.produce(client, -1, "t", index, &batch_at(&["a", "b", "c"], START_MS));
        rig.produce(client, -1, "t", index, &batch_at(&["d"], START_MS + 50));
        rig.produce(client, -1, "t", index, &batch_at(&["e"], START_MS + 10));
        assert_eq!(find(&mut rig, LATEST), (0, 5, -1));
        assert_eq!(find(&mut rig, EARLIEST), (0, 0, -1));
        assert_eq!(find(&mut rig, MAX_TIMESTAMP), (0, 3, START_MS + 50));
        assert_eq!(find(&mut rig, 0), (0, 0, START_MS));
        assert_eq!(find(&mut rig, START_MS + 2), (0, 2, START_MS + 2), "inside a batch");
        assert_eq!(find(&mut rig, START_MS + 3), (0, 3, START_MS + 50));
        assert_eq!(find(&mut rig, START_MS + 51), (0, -1, -1), "later than all");
    }
    assert_eq!(rig.offset(client, "t", 2, LATEST).error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(rig.offset(client, "u", 0, LATEST).error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(rig.offset(client, "t", 0, -9).error_code, error::UNSUPPORTED_VERSION);
}

/// Which special timestamps a version has, and that those of remote storage, which is not there, find nothing.
#[test]
fn every_special_timestamp_is_answered_from_its_version_on() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    for index in [0, 1] {
        rig.produce(client, -1, "t", index, &batch_at(&["a", "b"], START_MS));
        // Timestamp asked for, first version, offset and timestamp of the answer.
        let special = [
            (LATEST, 1, 2, -1),
            (EARLIEST, 1, 0, -1),
            (MAX_TIMESTAMP, 7, 1, START_MS + 1),
            (-4, 8, 0, -1),
            (-5, 9, -1, -1),
            (-6, 11, -1, -1),
            (-7, 99, -1, -1),
            (i64::MIN, 99, -1, -1),
        ];
        for (timestamp, since, offset, of) in special {
            for version in 1..=11 {
                let found = rig.offset_in(client, version, "t", index, timestamp);
                let code = if version >= since { 0 } else { error::UNSUPPORTED_VERSION };
                let (offset, of) = if version >= since { (offset, of) } else { (-1, -1) };
                let told = (found.error_code, found.offset, found.timestamp);
                assert_eq!(told, (code, offset, of), "timestamp {timestamp} in version {version}");
                assert_eq!(found.leader_epoch >= 0, version >= 4 && offset >= 0);
            }
        }
    }
    for timestamp in [-5, -6] {
        let found = rig.offset_in(client, 11, "u", 0, timestamp);
        assert_eq!(found.error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
    }
}

#[test]
fn a_look_up_by_time_goes_to_the_disk_if_it_has_to() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for n in 0..60 {
        let value = "x".repeat(30_000);
        rig.produce(client, -1, "t", 0, &batch_at(&[&value, "second"], START_MS + n * 10));
    }
    let before = rig.disk(0).reads;
    assert_eq!(rig.offset(client, "t", 0, START_MS + 11).offset, 3);
    assert!(rig.disk(0).reads > before);
    assert_eq!(rig.offset(client, "t", 0, MAX_TIMESTAMP).offset, 119);
}

#[test]
fn records_are_deleted_up_to_the_high_watermark() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    for index in [0, 1] {
        for _ in 0..3 {
            rig.produce(client, -1, "t", index, &batch(&["a", "b"]));
        }
        assert_eq!(rig.delete_records(client, "t", index, 3), (0, 3));
        assert_eq!(rig.fetch(client, "t", index, 2).error_code, error::OFFSET_OUT_OF_RANGE);
        let read = rig.fetch(client, "t", index, 3);
        assert_eq!((read.log_start_offset, values(&read)[0].0), (3, 2), "batches are served whole, as in Kafka");
        assert_eq!(rig.offset(client, "t", index, EARLIEST).offset, 3);
        assert_eq!(rig.delete_records(client, "t", index, 1), (0, 3), "what is gone stays gone");
        assert_eq!(rig.delete_records(client, "t", index, 7).0, error::OFFSET_OUT_OF_RANGE);
        assert_eq!(rig.delete_records(client, "t", index, -2).0, error::OFFSET_OUT_OF_RANGE);
        assert_eq!(rig.delete_records(client, "t", index, -1), (0, 6), "all of it");
        assert_eq!(rig.produce(client, -1, "t", index, &batch(&["c"])).base_offset, 6);
        let append = rig.produce(client, -1, "t", index, &batch(&["d"]));
        assert_eq!((append.base_offset, append.log_start_offset), (7, 6));
    }
    assert_eq!(rig.delete_records(client, "t", 2, 0).0, error::UNKNOWN_TOPIC_OR_PARTITION);
}

/// A request that deletes nothing costs nothing: such entries are taken even when the disk is full.
#[test]
fn deleting_what_is_gone_writes_nothing() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    rig.produce(client, -1, "t", 0, &batch(&["a", "b"]));
    assert_eq!(rig.delete_records(client, "t", 0, 1), (0, 1));
    rig.pass(1_000);
    let written = |rig: &Rig| rig.stats(0).wal_batches_total.load(Ordering::Relaxed);
    let before = written(&rig);
    for offset in [0, 1, 1] {
        assert_eq!(rig.delete_records(client, "t", 0, offset), (0, 1));
    }
    rig.pass(1_000);
    assert_eq!(written(&rig), before);
    // Several at once for one partition are one entry, and each is answered when it counts.
    let ask = |offset| {
        let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
        let topic = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
        DeleteRecordsRequest::default().with_topics(vec![topic])
    };
    rig.disk(0).hold_writes = true;
    let sent = [2, 2, 1, -1].map(|offset| rig.send(client, 2, &ask(offset)));
    rig.run();
    let first = rig.take_frame(client);
    assert!(first.is_none(), "not yet durable");
    rig.disk(0).release();
    rig.run();
    let marks = sent.map(|sent| {
        let answer = rig.take::<DeleteRecordsRequest>(client, 2, sent).expect("an answer");
        let partition = &answer.topics[0].partitions[0];
        (partition.error_code, partition.low_watermark)
    });
    assert!(marks[0] == (0, 2) && marks[1] == (0, 2) && marks[3] == (0, 2), "{marks:?}");
    assert!(matches!(marks[2], (0, 1 | 2)), "{marks:?}");
}

#[test]
fn epochs_end_where_the_next_one_begins() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    rig.produce(client, -1, "t", 0, &batch(&["a", "b"]));
    let first = rig.metadata(client, &["t"]).topics[0].partitions[0].leader_epoch;
    let mut rig = rig.restart(&settings());
    let client = rig.connect(0);
    let second = rig.metadata(client, &["t"]).topics[0].partitions[0].leader_epoch;
    assert!(second > first, "a new leader has a new epoch");
    rig.produce(client, -1, "t", 0, &batch(&["c"]));
    let mut ask = |current: i32, requested: i32| {
        let partition = OffsetForLeaderPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(current)
            .with_leader_epoch(requested);
        let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let answer = rig.ask(client, 4, &request).topics.remove(0).partitions.remove(0);
        (answer.error_code, answer.leader_epoch, answer.end_offset)
    };
    assert_eq!(ask(-1, first), (0, first, 2));
    assert_eq!(ask(-1, second), (0, second, 3));
    assert_eq!(ask(second, second + 1), (0, -1, -1), "of the future");
    assert_eq!(ask(first, second).0, error::FENCED_LEADER_EPOCH);
    assert_eq!(ask(second + 1, second).0, error::UNKNOWN_LEADER_EPOCH);
}
