//! Topics that keep the last record of each key.

use super::rig::{Client, Rig, START_MS, settings};
use super::verbs::{
    FETCH, LIST_OFFSETS, PRODUCE, batch, fetch_request, large, list_offsets_request, produce_request, produced, read,
    wanted,
};
use crate::{Settings, WalSettings};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use torc_base::limits::LOOKUPS_READING_MAX;
use torc_base::prng::Prng;
use torc_net::kafka::error;
use torc_net::kafka::records::{self, BuildOptions, Codec, OwnedRecord, Record};
use torc_net::kafka::schema::{FetchRequest, ListOffsetsRequest};

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const COMPACT: (&str, &str) = ("cleanup.policy", "compact");

/// Keys and the offset and value of their last record.
type Last = BTreeMap<String, (i64, Option<String>)>;

fn fast() -> Settings {
    Settings { compaction_backoff_ms: 1_000, ..settings() }
}

fn keyed(updates: &[(String, Option<String>)], options: &BuildOptions) -> Vec<u8> {
    let records: Vec<Record<'_>> = updates
        .iter()
        .map(|(key, value)| Record {
            timestamp: START_MS,
            key: Some(key.as_bytes()),
            value: value.as_ref().map(|value| value.as_bytes()),
            ..Record::default()
        })
        .collect();
    records::build(&records, options)
}

/// Writes `batches` batches of ten updates each.
fn update(rig: &mut Rig, client: Client, prng: &mut Prng, batches: usize, keys: u64, last: &mut Last) {
    for n in 0..batches {
        let updates: Vec<(String, Option<String>)> = (0..10)
            .map(|_| {
                let value = format!("{:0200}", prng.next_u64());
                (format!("k{}", prng.below(keys)), (!prng.chance(1, 12)).then_some(value))
            })
            .collect();
        let options = BuildOptions { codec: CODECS[n % 5], ..BuildOptions::default() };
        let answer = rig.produce(client, -1, "t", 0, &keyed(&updates, &options));
        assert_eq!(answer.error_code, 0);
        for (at, (key, value)) in updates.into_iter().enumerate() {
            last.insert(key, (answer.base_offset + at as i64, value));
        }
    }
}

/// All records of the partition from an offset on, as a consumer reads them.
fn read_from(rig: &mut Rig, client: Client, offset: i64) -> Vec<OwnedRecord> {
    read_partition(rig, client, 0, offset)
}

fn read_partition(rig: &mut Rig, client: Client, index: i32, mut offset: i64) -> Vec<OwnedRecord> {
    let mut all = Vec::new();
    loop {
        let answer = rig.fetch(client, "t", index, offset);
        assert_eq!(answer.error_code, 0, "at {offset}");
        let bytes = answer.records.unwrap_or_default();
        let mut rest = &bytes[..];
        if rest.is_empty() {
            assert_eq!(offset, answer.high_watermark, "nothing is left");
            return all;
        }
        while !rest.is_empty() {
            let header = records::parse(rest).expect("a batch");
            let (batch, behind) = rest.split_at(header.length);
            records::verify(batch).expect("with its checksum");
            all.extend(records::read(batch).expect("sound").into_iter().filter(|record| record.offset >= offset));
            offset = header.last_offset() + 1;
            rest = behind;
        }
    }
}

/// What is there is in order and was written, and the last record of each key is among it; a tombstone may be gone.
fn check(rig: &mut Rig, client: Client, last: &Last, tombstones: bool) -> usize {
    let all = read_from(rig, client, 0);
    assert!(all.windows(2).all(|pair| pair[0].offset < pair[1].offset), "in order, none twice");
    let mut found = Last::new();
    for record in &all {
        let key = String::from_utf8(record.key.clone().expect("keyed")).expect("text");
        let value = record.value.clone().map(|value| String::from_utf8(value).expect("text"));
        found.insert(key, (record.offset, value));
    }
    for (key, known) in last {
        match found.get(key) {
            Some(found) => assert_eq!(found, known, "{key}"),
            None => assert!(known.1.is_none() && !tombstones, "{key}: {known:?}"),
        }
    }
    all.len()
}

#[test]
fn the_last_record_of_each_key_stays_and_nothing_else_for_long() {
    for (keys_bytes, seed) in [(1 << 20, 1), (24 * 30, 2)] {
        let settings = Settings { compaction_keys_bytes: keys_bytes, ..fast() };
        let mut rig = Rig::with(1, &settings);
        let mut client = rig.connect(0);
        assert_eq!(rig.create(client, "t", 1, &[COMPACT, ("min.cleanable.dirty.ratio", "0.0")]), 0);
        let (mut prng, mut last) = (Prng::new(seed), Last::new());
        for round in 0..3 {
            update(&mut rig, client, &mut prng, 60, 40, &mut last);
            rig.pass(240_000);
            let end = rig.offset(client, "t", 0, -1).offset;
            assert_eq!((rig.offset(client, "t", 0, -2).offset, end), (0, 600 * (round + 1)));
            let records = check(&mut rig, client, &last, true);
            assert!(records <= 40 + 2 * 10, "seed {seed} round {round}: {records} records: {:?}", rig.logs());
            // Each offset that is gone gives the next record.
            let all = read_from(&mut rig, client, 0);
            for offset in (0..end).step_by(37) {
                let expected: Vec<i64> = all.iter().map(|r| r.offset).filter(|at| *at >= offset).collect();
                let read: Vec<i64> = read_from(&mut rig, client, offset).iter().map(|r| r.offset).collect();
                assert_eq!(read, expected, "from {offset}");
            }
            let found = rig.offset(client, "t", 0, START_MS);
            assert_eq!((found.error_code, found.offset), (0, all[0].offset), "the first that is there");
            rig = rig.restart(&settings);
            client = rig.connect(0);
            check(&mut rig, client, &last, true);
        }
    }
}

#[test]
fn a_batch_with_more_keys_than_there_is_room_for_holds_nothing_up() {
    let wal = WalSettings { tail_bytes: 0, read_ahead_bytes: 0, ..fast().wal };
    let settings = Settings { compaction_keys_bytes: 24 * 4, wal, ..fast() };
    let mut rig = Rig::with(1, &settings);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[COMPACT, ("min.cleanable.dirty.ratio", "0.0")]), 0);
    let (mut prng, mut last) = (Prng::new(3), Last::new());
    for _ in 0..3 {
        update(&mut rig, client, &mut prng, 10, 40, &mut last);
        rig.pass(240_000);
    }
    let records = check(&mut rig, client, &last, true);
    assert!(records <= 40 + 2 * 10, "{records} records: {:?}", rig.logs());
    // Then nothing is due, and nothing is read again and again.
    let reads = |rig: &Rig| rig.stats(0).wal_reads_total.load(Relaxed);
    rig.pass(240_000);
    let before = reads(&rig);
    rig.pass(240_000);
    assert_eq!(reads(&rig), before);
}

#[test]
fn tombstones_go_when_their_time_is_up_and_never_what_they_deleted_comes_back() {
    let mut rig = Rig::with(1, &fast());
    let client = rig.connect(0);
    let config = [COMPACT, ("delete.retention.ms", "300000"), ("min.cleanable.dirty.ratio", "0.0")];
    assert_eq!(rig.create(client, "t", 1, &config), 0);
    let (mut prng, mut last) = (Prng::new(5), Last::new());
    update(&mut rig, client, &mut prng, 60, 40, &mut last);
    let gone: Vec<(String, Option<String>)> = (0..20).map(|n| (format!("k{n}"), None)).collect();
    let base = rig.produce(client, -1, "t", 0, &keyed(&gone, &BuildOptions::default())).base_offset;
    last.extend(gone.into_iter().enumerate().map(|(at, (key, none))| (key, (base + at as i64, none))));
    update(&mut rig, client, &mut prng, 1, 1, &mut last);
    rig.pass(120_000);
    check(&mut rig, client, &last, true);
    let mut rig = rig.restart(&fast());
    let client = rig.connect(0);
    rig.pass(400_000);
    // Kafka, too, looks for them when something is new.
    update(&mut rig, client, &mut prng, 2, 1, &mut last);
    rig.pass(120_000);
    check(&mut rig, client, &last, false);
    let all = read_from(&mut rig, client, 0);
    let tombstones = all.iter().filter(|record| record.value.is_none() && record.offset < base + 20).count();
    assert_eq!(tombstones, 0, "{:?}", rig.logs());
}

#[test]
fn records_need_keys_and_none_is_deleted_by_request() {
    let mut rig = Rig::with(1, &fast());
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[COMPACT]), 0);
    let with = Record { timestamp: START_MS, key: Some(b"k"), value: Some(b"v"), ..Record::default() };
    for codec in CODECS {
        let options = BuildOptions { codec, ..BuildOptions::default() };
        let bytes = records::build(&[with, Record { key: None, ..with }, with], &options);
        assert_eq!(rig.produce(client, -1, "t", 0, &bytes).error_code, error::INVALID_RECORD, "{codec:?}");
        assert_eq!(rig.produce(client, -1, "t", 0, &records::build(&[with], &options)).error_code, 0);
    }
    assert_eq!(rig.create(client, "free", 1, &[]), 0);
    let bytes = records::build(&[Record { key: None, ..with }], &BuildOptions::default());
    assert_eq!(rig.produce(client, -1, "free", 0, &bytes).error_code, 0);
}

#[test]
fn a_producer_that_repeats_itself_is_known_after_compaction_and_a_restart() {
    let mut rig = Rig::with(1, &fast());
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[COMPACT]), 0);
    let updates = vec![("k1".to_string(), Some("v".to_string())); 3];
    let options = BuildOptions { producer_id: 9, producer_epoch: 0, base_sequence: 0, ..BuildOptions::default() };
    let bytes = keyed(&updates, &options);
    let base = rig.produce(client, -1, "t", 0, &bytes).base_offset;
    let (mut prng, mut last) = (Prng::new(7), Last::new());
    update(&mut rig, client, &mut prng, 60, 3, &mut last);
    rig.pass(90_000);
    check(&mut rig, client, &last, true);
    let mut rig = rig.restart(&fast());
    let client = rig.connect(0);
    let again = rig.produce(client, -1, "t", 0, &bytes);
    assert_eq!((again.error_code, again.base_offset), (0, base));
    let next = keyed(&updates, &BuildOptions { base_sequence: 3, ..options });
    assert_eq!(rig.produce(client, -1, "t", 0, &next).error_code, 0);
}

/// A last record may be a tombstone whose time is up, with entries of torc's own behind it: readers get to the end all the same.
#[test]
fn the_end_is_reached_though_the_last_record_is_gone() {
    let mut rig = Rig::with(1, &fast());
    let mut client = rig.connect(0);
    let config = [COMPACT, ("delete.retention.ms", "1000"), ("min.cleanable.dirty.ratio", "0.0")];
    assert_eq!(rig.create(client, "t", 1, &config), 0);
    let (mut prng, mut last) = (Prng::new(6), Last::new());
    update(&mut rig, client, &mut prng, 20, 40, &mut last);
    let gone: Vec<(String, Option<String>)> = (0..3).map(|n| (format!("k{n}"), None)).collect();
    let base = rig.produce(client, -1, "t", 0, &keyed(&gone, &BuildOptions::default())).base_offset;
    last.extend(gone.into_iter().enumerate().map(|(at, (key, none))| (key, (base + at as i64, none))));
    for _ in 0..3 {
        // Each term begins with an entry of its own.
        rig = rig.restart(&fast()).restart(&fast());
        client = rig.connect(0);
        rig.pass(240_000);
        check(&mut rig, client, &last, false);
    }
    assert!(read_from(&mut rig, client, 0).iter().all(|record| record.offset < base), "{:?}", rig.logs());
    assert!(read_from(&mut rig, client, base + 1).is_empty());
    update(&mut rig, client, &mut prng, 5, 40, &mut last);
    rig.pass(240_000);
    check(&mut rig, client, &last, false);
}

/// What is left of each read is little, and waits for more of it: the memory that it was read into does not.
#[test]
fn little_that_is_left_of_much_does_not_use_up_the_memory_for_reads() {
    let wal = WalSettings { read_memory: 2 << 20, tail_bytes: 0, read_ahead_bytes: 0, ..fast().wal };
    let settings = Settings { wal, ..fast() };
    let mut rig = Rig::with(1, &settings);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[COMPACT, ("min.cleanable.dirty.ratio", "0.0")]), 0);
    let mut last = Last::new();
    for n in 0..600 {
        let (key, bytes) = if n % 10 == 0 { (format!("single-{n}"), 10) } else { (format!("k{}", n % 3), 20_000) };
        let value = format!("{n:0bytes$}");
        let one = [(key.clone(), Some(value.clone()))];
        let answer = rig.produce(client, -1, "t", 0, &keyed(&one, &BuildOptions::default()));
        assert_eq!(answer.error_code, 0);
        last.insert(key, (answer.base_offset, Some(value)));
    }
    rig.pass(240_000);
    let records = check(&mut rig, client, &last, true);
    assert!(records < 150, "{records} records: {:?}", rig.logs());
    assert_eq!(rig.offset(client, "t", 0, START_MS).error_code, 0, "look-ups find memory");
}

/// Where the records are gone that lay beside entries of torc's own, these are all that a small read brings. The consumer must not
/// be told to ask for the same again.
#[test]
fn a_fetch_goes_on_behind_entries_that_bring_no_records() {
    let mut rig = Rig::with(1, &fast());
    let mut client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[COMPACT, ("min.cleanable.dirty.ratio", "0.0")]), 0);
    let mut last = Last::new();
    for _ in 0..5 {
        update(&mut rig, client, &mut Prng::new(1), 20, 1, &mut last);
        // Each term begins with an entry of its own.
        rig = rig.restart(&fast());
        client = rig.connect(0);
    }
    update(&mut rig, client, &mut Prng::new(2), 1, 1, &mut last);
    rig.pass(240_000);
    assert!(check(&mut rig, client, &last, true) <= 20, "{:?}", rig.logs());
    for _ in 0..2 {
        for max_bytes in [1, 100, 1 << 20] {
            for offset in (0..1_010).step_by(50) {
                let wanted = wanted("t", 0, offset);
                let topics = vec![
                    wanted
                        .clone()
                        .with_partitions(vec![wanted.partitions[0].clone().with_partition_max_bytes(max_bytes)]),
                ];
                let mut answer = rig.ask(client, FETCH, &fetch_request(topics, 0));
                let records = read(&answer.responses.remove(0).partitions.remove(0));
                assert!(records.iter().any(|record| record.offset >= offset), "{max_bytes} bytes from {offset}");
            }
        }
        // From disk.
        rig = rig.restart(&fast());
        client = rig.connect(0);
    }
}

/// What is first in the log may lie behind the offset where the records begin: what lay between is compacted away.
#[test]
fn deleted_records_leave_a_start_that_can_be_read_whatever_compaction_has_left_there() {
    let mut rig = Rig::with(1, &fast());
    let mut client = rig.connect(0);
    let config = [("cleanup.policy", "compact,delete"), ("min.cleanable.dirty.ratio", "0.0"), ("retention.ms", "-1")];
    assert_eq!(rig.create(client, "t", 1, &config), 0);
    let (mut prng, mut last) = (Prng::new(8), Last::new());
    for round in 0..12 {
        // Here and there a key that stays, among many that do not.
        let stays = vec![(format!("stays-{round}"), Some("x".repeat(2_000)))];
        assert_eq!(rig.produce(client, -1, "t", 0, &keyed(&stays, &BuildOptions::default())).error_code, 0);
        update(&mut rig, client, &mut prng, 60, 3, &mut last);
        rig.pass(60_000);
    }
    rig.pass(240_000);
    let end = rig.offset(client, "t", 0, -1).offset;
    for before in (0..end).step_by(113) {
        assert_eq!(rig.delete_records(client, "t", 0, before), (0, before));
        rig.pass(1_000);
        let all = read_from(&mut rig, client, before);
        assert!(all.first().is_some_and(|first| first.offset >= before), "from {before}");
        if prng.chance(1, 4) {
            rig = rig.restart(&fast());
            client = rig.connect(0);
        }
    }
}

/// Each of the partitions would bring most of the log from the disk. What the cleaner cannot sort, since it is still being filled, waits
/// as long as anything waits for that, or as the topic says.
#[test]
fn what_lies_between_many_partitions_records_is_sorted_first() {
    const PARTITIONS: i32 = 20;
    for lag in ["9223372036854775807", "100000"] {
        let wal = WalSettings { segment_bytes: 256 << 10, tail_bytes: 0, read_ahead_bytes: 0, ..fast().wal };
        let mut rig = Rig::with(1, &Settings { wal, ..fast() });
        let client = rig.connect(0);
        let config = [COMPACT, ("min.cleanable.dirty.ratio", "0.0"), ("max.compaction.lag.ms", lag)];
        assert_eq!(rig.create(client, "t", PARTITIONS, &config), 0);
        let mut last = Last::new();
        for n in 0..200 {
            let (key, value) = (format!("k{}", n % 3), Some(format!("{n:0200}")));
            let bytes = keyed(&[(key.clone(), value.clone())], &BuildOptions::default());
            let parts: Vec<_> = (0..PARTITIONS).map(|index| ("t", index, &bytes[..])).collect();
            let answer = produced(rig.ask(client, PRODUCE, &produce_request(-1, &parts)));
            assert!(answer.iter().all(|partition| (partition.error_code, partition.base_offset) == (0, n)));
            last.insert(key, (n, value));
        }
        rig.pass(240_000);
        let written = rig.stats(0).wal_bytes_total.load(Relaxed);
        let read = rig.stats(0).cleaner_read_bytes_total.load(Relaxed);
        let waits = lag.len() > 6;
        assert!(read < written * if waits { 5 } else { 15 }, "{read} bytes were read of {written}: {:?}", rig.logs());
        assert!(rig.stats(0).cleaner_passes_total.load(Relaxed) > 0);
        let left = |rig: &mut Rig| {
            let client = rig.connect(0);
            let of = |index| {
                let all = read_partition(rig, client, index, 0);
                for record in &all[all.len() - 3..] {
                    let key = String::from_utf8(record.key.clone().expect("keyed")).expect("text");
                    assert_eq!(last[&key].0, record.offset, "partition {index}");
                }
                all.len()
            };
            (0..PARTITIONS).map(of).max()
        };
        // In the segment that is being filled lie some thirty of each.
        let most = left(&mut rig);
        assert!(most <= Some(if waits { 50 } else { 5 }), "{most:?}: {:?}", rig.logs());
        rig.pass(1_000_000);
        let most = left(&mut rig);
        assert!(most <= Some(5), "{most:?}: {:?}", rig.logs());
    }
}

/// A server that reads all from disk, with a compacted topic of one key and a free one.
fn one_key() -> (Rig, Client) {
    let wal = WalSettings { tail_bytes: 0, read_ahead_bytes: 0, ..fast().wal };
    let mut rig = Rig::with(1, &Settings { wal, ..fast() });
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[COMPACT, ("min.cleanable.dirty.ratio", "0.0")]), 0);
    assert_eq!(rig.create(client, "free", 1, &[]), 0);
    assert_eq!(rig.produce(client, -1, "free", 0, &batch(&["a"])).error_code, 0);
    update(&mut rig, client, &mut Prng::new(1), 20, 1, &mut Last::new());
    (rig, client)
}

/// More of the key comes, and what was there before goes.
fn replace_all(rig: &mut Rig, client: Client) {
    update(rig, client, &mut Prng::new(2), 20, 1, &mut Last::new());
    rig.pass(240_000);
    let first = read_from(rig, client, 0)[0].offset;
    assert!(first >= 200, "{first} is left: {:?}", rig.logs());
}

/// At all times there is a record of that time: it is not answered that there is none, though all that were committed when it
/// was asked have gone when its turn comes.
#[test]
fn a_look_up_that_waits_finds_what_has_replaced_what_was_there() {
    for timestamp in [START_MS, -3] {
        let (mut rig, client) = one_key();
        rig.disk(0).hold_next_reads = LOOKUPS_READING_MAX;
        let others: Vec<Client> = (0..LOOKUPS_READING_MAX).map(|_| rig.connect(0)).collect();
        others.iter().for_each(|other| _ = rig.send(*other, LIST_OFFSETS, &list_offsets_request("free", 0, START_MS)));
        rig.run();
        assert_eq!(rig.disk(0).hold_next_reads, 0);
        let reader = rig.connect(0);
        let asked = rig.send(reader, LIST_OFFSETS, &list_offsets_request("t", 0, timestamp));
        rig.run();
        replace_all(&mut rig, client);
        assert!(rig.take_frame(reader).is_none(), "it waits behind the others");
        rig.disk(0).release();
        rig.run();
        let answer = rig.take::<ListOffsetsRequest>(reader, LIST_OFFSETS, asked).expect("an answer");
        let found = &answer.topics[0].partitions[0];
        let there = read_from(&mut rig, client, 0);
        assert_eq!((found.error_code, found.offset, found.timestamp), (0, there[0].offset, START_MS), "{timestamp}");
    }
}

/// What a read was to bring has gone when it lands: it is answered with what is there.
#[test]
fn reads_on_their_way_over_a_compaction_find_what_is_there() {
    let (mut rig, client) = one_key();
    // Nothing is left to load but entries.
    rig.offset(client, "t", 0, START_MS);
    rig.disk(0).hold_next_reads = 2;
    let (looks, reads) = (rig.connect(0), rig.connect(0));
    let looked = rig.send(looks, LIST_OFFSETS, &list_offsets_request("t", 0, START_MS));
    rig.run();
    // Not from where compaction begins: it would wait for the same.
    let fetched = rig.send(reads, FETCH, &fetch_request(vec![wanted("t", 0, 100)], 0));
    rig.run();
    assert_eq!(rig.disk(0).hold_next_reads, 0);
    replace_all(&mut rig, client);
    rig.disk(0).release();
    rig.run();
    let there = read_from(&mut rig, client, 0);
    let mut answer = rig.take::<FetchRequest>(reads, FETCH, fetched).expect("an answer");
    let partition = answer.responses.remove(0).partitions.remove(0);
    let got = read(&partition);
    assert!(!got.is_empty() && got.iter().all(|record| there.contains(record)), "{} records", got.len());
    assert_eq!(partition.high_watermark, rig.offset(client, "t", 0, -1).offset, "as it is now");
    let answer = rig.take::<ListOffsetsRequest>(looks, LIST_OFFSETS, looked).expect("an answer");
    assert_eq!(answer.topics[0].partitions[0].offset, there[0].offset);
}

/// Producers set timestamps of their own: one whose clock is ahead keeps nothing behind it from being compacted, unless the topic says
/// that what is young stays.
#[test]
fn a_record_of_times_to_come_holds_nothing_up() {
    for lag in [0, 60_000] {
        let mut rig = Rig::with(1, &fast());
        let client = rig.connect(0);
        let min_lag = lag.to_string();
        let config = [COMPACT, ("min.cleanable.dirty.ratio", "0.0"), ("min.compaction.lag.ms", min_lag.as_str())];
        assert_eq!(rig.create(client, "t", 1, &config), 0);
        assert_eq!(rig.create(client, "free", 1, &[]), 0);
        let record = Record { timestamp: START_MS + 1_800_000, key: Some(b"ahead"), ..Record::default() };
        let ahead = records::build(&[Record { value: Some(b"v"), ..record }], &BuildOptions::default());
        assert_eq!(rig.produce(client, -1, "t", 0, &ahead).error_code, 0);
        let mut last = Last::new();
        update(&mut rig, client, &mut Prng::new(1), 60, 3, &mut last);
        // The segment is full.
        (0..3).for_each(|_| assert_eq!(rig.produce(client, -1, "free", 0, &large(500_000)).error_code, 0));
        rig.pass(240_000);
        let records = check(&mut rig, client, &last, true);
        assert_eq!(records < 100, lag == 0, "{records} records with a lag of {lag}: {:?}", rig.logs());
    }
}

/// Each segment has one batch of a topic that is written seldom beside busy ones, and too few partitions to be sorted: it is compacted
/// all the same.
#[test]
fn a_topic_that_is_written_seldom_is_compacted() {
    let mut rig = Rig::with(1, &fast());
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[COMPACT, ("min.cleanable.dirty.ratio", "0.0")]), 0);
    assert_eq!(rig.create(client, "free", 1, &[]), 0);
    let mut last = Last::new();
    for _ in 0..12 {
        update(&mut rig, client, &mut Prng::new(1), 1, 1, &mut last);
        (0..3).for_each(|_| assert_eq!(rig.produce(client, -1, "free", 0, &large(500_000)).error_code, 0));
    }
    rig.pass(240_000);
    let records = check(&mut rig, client, &last, true);
    assert!(records <= 20, "{records} records: {:?}", rig.logs());
}

/// A partition that is written to all the time always has something young in the segment that is being filled. What is older than
/// anything may be that waits for compaction is compacted all the same.
#[test]
fn a_partition_that_is_always_written_to_is_compacted_in_time() {
    for max_lag in ["30000", "9223372036854775807"] {
        let mut rig = Rig::with(1, &fast());
        let client = rig.connect(0);
        let config = [COMPACT, ("min.cleanable.dirty.ratio", "1.0"), ("max.compaction.lag.ms", max_lag)];
        assert_eq!(rig.create(client, "t", 1, &config), 0);
        let mut last = Last::new();
        for second in 0..120 {
            let timestamp = START_MS + second * 1_000;
            let record = Record { timestamp, key: Some(b"k"), value: Some(b"v"), ..Record::default() };
            let written = records::build(&[record; 10], &BuildOptions::default());
            let answer = rig.produce(client, -1, "t", 0, &written);
            assert_eq!(answer.error_code, 0);
            last.insert("k".into(), (answer.base_offset + 9, Some("v".into())));
            rig.pass(1_000);
        }
        let records = check(&mut rig, client, &last, true);
        assert_eq!(records < 600, max_lag == "30000", "{records} of 1200 records at {max_lag}: {:?}", rig.logs());
    }
}
