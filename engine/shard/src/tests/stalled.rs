//! Clients that ask for much and do not read: they hold little, lose nothing, and nobody waits for them.

use super::rig::{Client, Rig, settings};
use super::verbs::*;
use crate::{MemoryLimits, Settings, WalSettings};
use std::sync::atomic::Ordering;
use torc_net::kafka::schema::FetchRequest;

const BATCHES: i64 = 40;

/// Memory for a few of the batches that follow.
fn tight() -> Settings {
    let wal = WalSettings { read_memory: 1 << 20, read_ahead_bytes: 256 << 10, ..settings().wal };
    Settings {
        wal,
        memory: MemoryLimits { frames: 16 << 20, answers: 1 << 20, ..MemoryLimits::default() },
        ..settings()
    }
}

/// A topic of 100 KB batches, more than memory holds, and who produced them.
fn filled(shards: usize) -> (Rig, Client) {
    let mut rig = Rig::with(shards, &tight());
    let writer = rig.connect(0);
    assert_eq!(rig.create(writer, "t", 2, &[]), 0);
    for n in 0..BATCHES {
        rig.produce(writer, -1, "t", (n % 2) as i32, &large(100_000));
    }
    (rig, writer)
}

fn held(rig: &Rig) -> u64 {
    (0..rig.shards()).map(|shard| rig.stats(shard).answer_memory_bytes.load(Ordering::Relaxed)).sum()
}

/// Asks for all of a partition.
fn ask_for_much(rig: &mut Rig, client: Client, partition: i32) -> i32 {
    let mut topic = wanted("t", partition, 0);
    topic.partitions[0].partition_max_bytes = 64 << 20;
    rig.send(client, FETCH, &fetch_request(vec![topic], 500).with_max_bytes(64 << 20))
}

fn stalls_and_goes_on(shards: usize) {
    let (mut rig, _) = filled(shards);
    let stalled: Vec<Client> = (0..30).map(|n| rig.connect(n % shards)).collect();
    let mut sent = Vec::new();
    for (n, client) in stalled.iter().enumerate() {
        rig.reads(*client, false);
        rig.slips(*client, n * 7_000);
        let partition = (n % 2) as i32;
        // The second waits until the first has left.
        sent.push((ask_for_much(&mut rig, *client, partition), ask_for_much(&mut rig, *client, partition)));
        rig.run();
    }
    let healthy = rig.connect(shards - 1);
    let mut offset = 0;
    for _ in 0..200 {
        if offset == BATCHES / 2 {
            break;
        }
        let got = values(&rig.fetch(healthy, "t", 1, offset));
        offset = got.last().map_or(offset, |(last, _)| last + 1);
        rig.pass(50);
    }
    assert_eq!(offset, BATCHES / 2, "one that reads is served beside {} that do not", stalled.len());
    rig.pass(7_000);
    assert!(held(&rig) < 100_000, "{} bytes are held for those who do not read", held(&rig));
    assert!(stalled.iter().all(|client| !rig.is_closed(*client)), "nobody is cut off: {:?}", rig.logs());
    // Now they read.
    for (client, (first, second)) in stalled.iter().zip(sent) {
        rig.reads(*client, true);
        rig.run();
        rig.pass(600);
        for sent in [first, second] {
            let answer = rig.take::<FetchRequest>(*client, FETCH, sent).expect("the whole answer");
            let partition = &answer.responses[0].partitions[0];
            assert_eq!(partition.error_code, 0);
            let got = values(partition);
            let offsets: Vec<i64> = got.iter().map(|(offset, _)| *offset).collect();
            assert_eq!(offsets, (0..got.len() as i64).collect::<Vec<_>>());
            assert!(got.iter().all(|(_, value)| value.len() == 100_000));
        }
    }
    rig.pass(7_000);
    assert_eq!(held(&rig), 0, "all is given back");
}

#[test]
fn consumers_that_stop_reading_hold_nothing_and_get_all_of_it_later() {
    stalls_and_goes_on(1);
}

#[test]
fn the_same_on_two_shards() {
    stalls_and_goes_on(2);
}

/// What a shard has read may be held by connections of another one, which does not see that it is wanted: it is told.
#[test]
fn what_connections_of_another_shard_hold_is_given_back_as_soon_as_what_those_of_its_own_do() {
    for at in [0, 1] {
        let (mut rig, _) = filled(2);
        // One of the partitions is the other shard's.
        for n in 0..6 {
            let client = rig.connect(at);
            rig.reads(client, false);
            ask_for_much(&mut rig, client, n % 2);
            rig.run();
        }
        let healthy = [rig.connect(1 - at), rig.connect(1 - at)];
        let (mut offsets, end) = ([0, 0], rig.now.mono.plus_ms(2_000));
        while rig.now.mono < end {
            for (partition, client) in healthy.iter().enumerate() {
                if offsets[partition] < BATCHES / 2 {
                    let got = values(&rig.fetch(*client, "t", partition as i32, offsets[partition]));
                    offsets[partition] = got.last().map_or(offsets[partition], |(last, _)| last + 1);
                }
            }
            rig.pass(50);
        }
        assert_eq!(offsets, [BATCHES / 2; 2], "after 2 s, with those who do not read on shard {at}");
    }
}

/// It would ask again and again, and stand last each time.
#[test]
fn who_waits_for_no_records_waits_for_memory() {
    let (mut rig, _) = filled(1);
    let mut waited = 0;
    for n in 0..20 {
        let greedy = rig.connect(0);
        rig.reads(greedy, false);
        ask_for_much(&mut rig, greedy, 0);
        rig.run();
        let client = rig.connect(0);
        let sent = rig.send(client, FETCH, &fetch_request(vec![wanted("t", 1, n % (BATCHES / 2))], 0));
        rig.run();
        let answer = rig.take::<FetchRequest>(client, FETCH, sent).or_else(|| {
            waited += 1;
            (0..95).find_map(|_| {
                rig.pass(10);
                rig.take::<FetchRequest>(client, FETCH, sent)
            })
        });
        if let Some(answer) = answer {
            assert!(!values(&answer.responses[0].partitions[0]).is_empty(), "fetch {n} is told that there is nothing");
        }
    }
    assert!(waited > 0, "there was memory for all");
}

#[test]
fn producers_go_on_beside_consumers_of_the_tail_that_do_not_read() {
    let (mut rig, writer) = filled(1);
    for n in 0..60 {
        let client = rig.connect(0);
        rig.reads(client, false);
        ask_for_much(&mut rig, client, 0);
        ask_for_much(&mut rig, client, 1);
        rig.run();
        assert_eq!(rig.produce(writer, -1, "t", n % 2, &large(100_000)).error_code, 0);
        rig.pass(20);
    }
}

#[test]
fn records_that_are_gone_cost_a_slow_reader_its_connection_and_nobody_else_anything() {
    let (mut rig, writer) = filled(1);
    let slow = rig.connect(0);
    rig.reads(slow, false);
    rig.slips(slow, 30_000);
    ask_for_much(&mut rig, slow, 0);
    rig.pass(6_000);
    assert_eq!(rig.delete_records(writer, "t", 0, -1), (0, BATCHES / 2));
    rig.reads(slow, true);
    rig.pass(1_000);
    assert!(rig.is_closed(slow));
    assert!(rig.logs().iter().any(|line| line.contains("gone from the log")), "{:?}", rig.logs());
    assert_eq!(rig.produce(writer, -1, "t", 0, &large(10)).error_code, 0);
}

#[test]
fn a_client_that_leaves_in_mid_answer_leaves_nothing_behind() {
    let (mut rig, _) = filled(2);
    for n in 0..40 {
        let client = rig.connect(n % 2);
        rig.reads(client, false);
        rig.slips(client, n * 3_000);
        ask_for_much(&mut rig, client, (n % 2) as i32);
        rig.pass([0, 60, 200, 6_000][n % 4]);
        rig.abort(client);
    }
    rig.pass(1_000);
    assert_eq!(held(&rig), 0);
    let requests: u64 = (0..2).map(|shard| rig.stats(shard).request_memory_bytes.load(Ordering::Relaxed)).sum();
    assert_eq!(requests, 0);
}

/// What waits for many bytes is told of them once, and read once.
#[test]
fn a_long_poll_for_many_bytes_is_counted_over_shards_and_partitions() {
    let mut rig = Rig::with(2, &settings());
    let (reader, writer) = (rig.connect(0), rig.connect(1));
    assert_eq!(rig.create(writer, "t", 4, &[]), 0);
    let topic = wanted("t", 0, 0).with_partitions((0..4).map(|p| wanted_partition(p, 0)).collect());
    let request = fetch_request(vec![topic], 100_000).with_min_bytes(100_000);
    let sent = rig.send(reader, FETCH, &request);
    rig.run();
    let mut bytes = 0;
    for n in 0.. {
        // Unevenly: most to one partition.
        let partition = if n % 5 == 0 { n % 4 } else { 3 };
        let batch = large(1_000);
        bytes += batch.len();
        rig.produce(writer, -1, "t", partition, &batch);
        let Some(answer) = rig.take::<FetchRequest>(reader, FETCH, sent) else {
            assert!(bytes < 102_000, "{bytes} bytes are there");
            continue;
        };
        let got: usize = answer.responses[0].partitions.iter().map(|p| p.records.as_ref().unwrap().len()).sum();
        // What lies on disk and what is in memory are not sent in one answer.
        assert!(bytes >= 100_000 && got > 0, "{got} bytes were sent, {bytes} are there");
        break;
    }
}

/// Long answers that lie in memory only are made one after the other, and who never reads them is closed in the end.
#[test]
fn lists_that_nobody_reads_keep_nobody_else_from_theirs() {
    let settings = Settings {
        memory: MemoryLimits { frames: 16 << 20, answers: 64 << 10, ..MemoryLimits::default() },
        ..settings()
    };
    let mut rig = Rig::with(1, &settings);
    let admin = rig.connect(0);
    for n in 0..40 {
        assert_eq!(rig.create(admin, &format!("{n:0>200}"), 1, &[]), 0);
    }
    let all = torc_net::kafka::schema::MetadataRequest::default().with_topics(None);
    let deaf: Vec<Client> = (0..12).map(|_| rig.connect(0)).collect();
    for client in &deaf {
        rig.reads(*client, false);
        for _ in 0..3 {
            rig.send(*client, METADATA, &all);
        }
        rig.run();
    }
    assert!(held(&rig) < 64 << 10, "{} bytes of lists wait", held(&rig));
    assert_eq!(rig.produce(admin, -1, &format!("{:0>200}", 7), 0, &batch(&["a"])).error_code, 0);
    let sent = rig.send(admin, METADATA, &all);
    for _ in 0..200 {
        rig.pass(500);
        if let Some(answer) = rig.take::<torc_net::kafka::schema::MetadataRequest>(admin, METADATA, sent) {
            assert_eq!(answer.topics.len(), 40);
            return;
        }
    }
    panic!("no answer in 100 s");
}
