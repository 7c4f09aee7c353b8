//! Stage times: each second is counted where it was spent, and slow requests are told of.

use super::rig::{Rig, frame, settings};
use super::verbs::*;
use crate::{Histogram, Settings, Stage};
use torc_net::kafka::schema::ProduceRequest;

/// Count and sum in milliseconds.
fn of(histogram: &Histogram) -> (u64, u64) {
    let (buckets, sum) = histogram.read();
    (buckets.iter().sum(), sum / 1_000_000)
}

fn stage(rig: &Rig, shard: usize, stage: Stage) -> (u64, u64) {
    of(rig.stats(shard).stages.of(stage))
}

fn slow_lines(rig: &Rig) -> Vec<&str> {
    rig.logs().into_iter().filter(|line| line.starts_with("slow request")).collect()
}

#[test]
fn each_part_of_a_slow_produce_is_counted_where_it_was_spent() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let request = frame(&produce_request(-1, &[("t", 0, &batch(&["a"]))]), PRODUCE, 1_000);
    let (head, rest) = request.split_at(2);
    rig.send_bytes(client, head);
    rig.pass(300);
    rig.disk(0).hold_writes = true;
    rig.send_bytes(client, rest);
    rig.pass(1_200);
    assert_eq!(stage(&rig, 0, Stage::Total).0, 0, "it is counted when it is answered");
    rig.disk(0).release();
    rig.run();
    assert!(rig.take::<ProduceRequest>(client, PRODUCE, 1_000).is_some());
    for (name, counted) in [
        (Stage::Receive, (1, 300)),
        (Stage::Hop, (0, 0)),
        (Stage::Queue, (1, 0)),
        (Stage::WalWait, (1, 0)),
        (Stage::Flush, (1, 1_200)),
        (Stage::Reply, (1, 0)),
        (Stage::Total, (1, 1_500)),
    ] {
        assert_eq!(stage(&rig, 0, name), counted, "{name:?}");
    }
    let lines = slow_lines(&rig);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("Produce") && lines[0].contains("took 1500.000 ms: receive 300.000 ms"), "{lines:?}");
    assert!(lines[0].contains("flush 1200.000 ms"), "{lines:?}");
}

#[test]
fn a_batch_that_waits_for_a_place_in_the_pipeline_is_not_charged_to_the_flush() {
    let mut small = settings();
    small.wal.batches_in_flight = 1;
    let mut rig = Rig::with(1, &small);
    let (first, second) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(first, "t", 1, &[]), 0);
    rig.disk(0).hold_writes = true;
    rig.send(first, PRODUCE, &produce_request(-1, &[("t", 0, &batch(&["a"]))]));
    rig.pass(100);
    rig.send(second, PRODUCE, &produce_request(-1, &[("t", 0, &batch(&["b"]))]));
    rig.pass(50);
    rig.disk(0).release();
    rig.run();
    assert_eq!(stage(&rig, 0, Stage::Flush), (2, 150));
    assert_eq!(stage(&rig, 0, Stage::WalWait), (2, 50));
    assert_eq!(stage(&rig, 0, Stage::Total), (2, 200));
    assert!(slow_lines(&rig).is_empty());
}

#[test]
fn only_batches_of_other_shards_take_a_hop() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    for index in [0, 1] {
        assert_eq!(rig.produce(client, -1, "t", index, &batch(&["a"])).error_code, 0);
    }
    assert_eq!((stage(&rig, 0, Stage::Total).0, stage(&rig, 0, Stage::Hop).0), (2, 1));
    assert_eq!(stage(&rig, 1, Stage::Total).0, 0, "a request is counted where its connection is");
    for shard in [0, 1] {
        assert!(of(&rig.stats(shard).wal_flush).0 > 0, "batches are counted where their log is");
    }
}

#[test]
fn refused_and_unacknowledged_batches_are_not_counted() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    assert_ne!(rig.produce(client, -1, "t", 9, &batch(&["a"])).error_code, 0);
    rig.send(client, PRODUCE, &produce_request(0, &[("t", 0, &batch(&["a"]))]));
    rig.run();
    assert_eq!(stage(&rig, 0, Stage::Total), (0, 0));
}

#[test]
fn a_fetch_is_charged_for_the_disk_and_not_for_waiting() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    // A long poll.
    rig.send(client, FETCH, &fetch_request(vec![wanted("t", 0, 0)], 2_000));
    rig.pass(2_000);
    assert!(rig.take_frame(client).is_some());
    assert_eq!((stage(&rig, 0, Stage::FetchTotal), stage(&rig, 0, Stage::FetchRead)), ((1, 0), (0, 0)));
    assert!(slow_lines(&rig).is_empty());
    // More than the tail holds.
    for _ in 0..30 {
        assert_eq!(rig.produce(client, -1, "t", 0, &large(10_000)).error_code, 0);
    }
    rig.disk(0).hold_reads = true;
    rig.send(client, FETCH, &fetch_request(vec![wanted("t", 0, 0)], 0));
    rig.pass(1_100);
    rig.disk(0).release();
    rig.run();
    assert!(rig.take_frame(client).is_some());
    assert_eq!((stage(&rig, 0, Stage::FetchTotal), stage(&rig, 0, Stage::FetchRead)), ((2, 1_100), (1, 1_100)));
    assert!(slow_lines(&rig)[0].contains("fetch_read 1100.000 ms"), "{:?}", slow_lines(&rig));
}

#[test]
fn a_restart_counts_only_its_own_flushes() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for _ in 0..50 {
        rig.produce(client, -1, "t", 0, &batch(&["a"]));
    }
    assert!(of(&rig.stats(0).wal_flush).0 >= 50);
    let mut rig = rig.restart(&settings());
    assert!(of(&rig.stats(0).wal_flush).0 < 10);
    let client = rig.connect(0);
    let before = of(&rig.stats(0).wal_flush).0;
    rig.produce(client, -1, "t", 0, &batch(&["a"]));
    assert_eq!(of(&rig.stats(0).wal_flush).0, before + 1);
}

#[test]
fn slow_requests_are_silent_when_it_is_off() {
    let mut rig = Rig::with(1, &Settings { slow_request_ms: 0, ..settings() });
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    rig.disk(0).hold_writes = true;
    rig.send(client, PRODUCE, &produce_request(-1, &[("t", 0, &batch(&["a"]))]));
    rig.pass(5_000);
    rig.disk(0).release();
    rig.run();
    assert_eq!(stage(&rig, 0, Stage::Total), (1, 5_000));
    assert!(slow_lines(&rig).is_empty());
}
