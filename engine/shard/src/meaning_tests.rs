//! A log's state is the same whichever way its entries came: appended, read again, or from a checkpoint and read again
//! from there.

use super::*;
use crate::tests::rig::settings;
use torc_base::buf::Pool;
use torc_base::ids::{Offset, ProducerEpoch, ProducerId, Term, TopicId};
use torc_base::time::Wall;
use torc_net::kafka::records::{self, BuildOptions, Record};
use torc_state::catalog::{Command, NewTopic};
use torc_state::partition::{Incoming, Sequenced};

const NOW: Wall = Wall(1_700_000_000_000);

fn item(kind: Kind, index: u64, (first_offset, records): (i64, u32), payload: &[u8]) -> Item {
    let mut bytes = Pool::new(usize::MAX, 0).take(payload.len().max(1)).unwrap();
    bytes.truncate(payload.len());
    bytes.copy_from_slice(payload);
    Item {
        group: GroupId(1024),
        kind,
        term: Term(2),
        index: Index(index),
        first_offset: Offset(first_offset),
        records,
        max_timestamp: NOW.0,
        prefix_len: 0,
        body_crc: 0,
        bytes: bytes.freeze(),
    }
}

/// A batch of an idempotent producer.
fn batch(first_sequence: i32, records: usize) -> (Vec<u8>, Incoming) {
    let record = Record { timestamp: NOW.0, value: Some(b"v"), ..Record::default() };
    let options =
        BuildOptions { producer_id: 5, producer_epoch: 1, base_sequence: first_sequence, ..BuildOptions::default() };
    let bytes = records::build(&vec![record; records], &options);
    let producer = Sequenced { id: ProducerId(5), epoch: ProducerEpoch(1), base_sequence: first_sequence };
    let incoming = Incoming { records: records as u32, producer: Some(producer), max_timestamp: NOW.0 };
    (bytes, incoming)
}

/// Entries of a partition's log, and what a leader that appends them has.
fn partition() -> (Vec<Item>, PartitionLog) {
    let (first, first_incoming) = batch(0, 3);
    let (second, second_incoming) = batch(3, 2);
    let entries = vec![
        item(kind::NOOP, 1, (0, 0), b""),
        item(kind::RECORDS, 2, (0, 3), &first),
        item(kind::RECORDS, 3, (3, 2), &second),
        item(kind::TRIM, 4, (5, 0), &2i64.to_le_bytes()),
    ];
    let mut log = PartitionLog::new();
    log.begin_term(LeaderEpoch(2), Index(1));
    log.append(Index(2), Offset(0), &first_incoming, first.len() as u32);
    log.append(Index(3), Offset(3), &second_incoming, second.len() as u32);
    log.append_trim(Index(4), Offset(2));
    (entries, log)
}

#[test]
fn a_partition_is_the_same_by_appends_by_replay_and_from_a_checkpoint() {
    for kept in 0..=4 {
        let (entries, mut appended) = partition();
        let mut before = PartitionLog::new();
        entries[..kept].iter().for_each(|entry| before.replay(entry).unwrap());
        // Some of them are committed.
        before.apply(Index(kept as u64 / 2));
        let mut checkpoint = Vec::new();
        Meaning::Partition(before).encode(&mut checkpoint);
        let mut rest = &checkpoint[..];
        let mut meaning = Meaning::decode(&settings(), &mut rest).unwrap();
        assert!(rest.is_empty() && meaning.kind() == LogKind::Partition);
        entries[kept..].iter().for_each(|entry| meaning.replay(entry).unwrap());
        assert!(matches!(meaning.apply(Index(4)), Applied::Partition { trimmed: true }));
        assert!(appended.apply(Index(4)));
        let state = |log: &PartitionLog| {
            let mut bytes = Vec::new();
            log.state().encode(&mut bytes);
            bytes
        };
        assert_eq!(state(meaning.partition().unwrap()), state(&appended), "{kept} entries in the checkpoint");
    }
}

#[test]
fn nothing_counts_before_its_commit() {
    let (_, mut log) = partition();
    let marks = |log: &PartitionLog| (log.state().log_start().get(), log.state().high_watermark().get());
    let mut seen = vec![marks(&log)];
    for index in 1..=4 {
        let bytes = log.committed_bytes();
        log.apply(Index(index));
        assert_eq!(log.committed_bytes() > bytes, index == 2 || index == 3);
        seen.push(marks(&log));
    }
    assert_eq!(seen, [(0, 0), (0, 0), (0, 3), (0, 5), (2, 5)]);
}

#[test]
fn what_is_pending_is_found_by_offset() {
    let (_, mut log) = partition();
    assert_eq!([0, 2, 3, 4].map(|offset| log.state().pending_entry(Offset(offset)).get()), [2, 2, 3, 3]);
    assert_eq!((log.state().pending_trim(Offset(1)), log.state().pending_trim(Offset(3))), (Some(Index(4)), None));
    assert!(log.state().is_trimming());
    log.apply(Index(4));
    assert!(!log.state().is_trimming());
}

fn create(catalog: &mut CatalogLog, name: &str, id: u128) -> Command {
    let new = NewTopic {
        name: name.into(),
        id: TopicId(id),
        partitions: 3,
        replication: -1,
        assignments: Default::default(),
        config: Default::default(),
        created: NOW,
    };
    catalog.planner(&Default::default()).plan_create(new).unwrap()
}

fn encoded(catalog: &CatalogLog) -> Vec<u8> {
    let mut bytes = Vec::new();
    catalog.encode(&mut bytes);
    bytes
}

#[test]
fn the_catalog_is_the_same_by_appends_by_replay_and_from_a_checkpoint() {
    let settings = settings();
    let mut appended = CatalogLog::new(&settings);
    let mut entries = vec![item(kind::NOOP, 1, (0, 0), b"")];
    for (index, name) in [(2, "a"), (3, "b"), (4, "c")] {
        let command = create(&mut appended, name, index.into());
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        entries.push(item(kind::COMMAND, index, (0, 0), &bytes));
        appended.append(Index(index), command);
    }
    assert!(appended.has_pending() && appended.state().topics().len() == 0);
    assert_eq!(appended.apply(Index(4)).len(), 3);
    for kept in 0..=4 {
        let mut before = CatalogLog::new(&settings);
        entries[..kept].iter().for_each(|entry| before.replay(entry).unwrap());
        before.apply(Index(kept as u64));
        let mut section = Vec::new();
        Meaning::Catalog(Box::new(CatalogLog::new(&settings))).encode(&mut section);
        let Ok(Meaning::Catalog(mut catalog)) = Meaning::decode(&settings, &mut &section[..]) else {
            panic!("the catalog's kind stands in the checkpoint")
        };
        catalog.load(&encoded(&before)).unwrap();
        entries[kept..].iter().for_each(|entry| catalog.replay(entry).unwrap());
        catalog.apply(Index(4));
        assert_eq!(encoded(&catalog), encoded(&appended), "{kept} entries in the checkpoint");
    }
}

#[test]
fn entries_of_another_kind_of_log_are_refused() {
    let settings = settings();
    let (records, _) = batch(0, 1);
    let foreign = [
        (LogKind::Catalog, item(kind::RECORDS, 1, (0, 1), &records)),
        (LogKind::Catalog, item(kind::TRIM, 1, (0, 0), &[0; 8])),
        (LogKind::Partition, item(kind::COMMAND, 1, (0, 0), b"")),
        (LogKind::Catalog, item(kind::CLOCK, 1, (0, 0), &[0; 16])),
        (LogKind::Partition, item(Kind(77), 1, (0, 0), b"")),
        (LogKind::Catalog, item(Kind(77), 1, (0, 0), b"")),
    ];
    for (log, entry) in foreign {
        let refused = Meaning::new(log, &settings).replay(&entry).unwrap_err();
        assert!(refused.contains(&format!("kind {}", entry.kind.0)), "{refused}");
    }
}

#[test]
fn entries_that_do_not_fit_are_refused_and_change_nothing() {
    let (entries, _) = partition();
    let (records, _) = batch(0, 3);
    let mut log = PartitionLog::new();
    entries.iter().for_each(|entry| log.replay(entry).unwrap());
    for unfit in [
        item(kind::RECORDS, 5, (6, 3), &records),
        item(kind::RECORDS, 5, (4, 3), &records),
        item(kind::RECORDS, 5, (5, 0), &records),
        item(kind::RECORDS, 5, (5, 3), b"no batch"),
        item(kind::TRIM, 5, (5, 0), &6i64.to_le_bytes()),
        item(kind::TRIM, 5, (5, 0), b"short"),
        item(kind::CLOCK, 5, (5, 0), &[0; 15]),
    ] {
        log.replay(&unfit).unwrap_err();
        assert_eq!(log.state().pending(), Some((Index(1), Index(4))));
    }
    log.replay(&item(kind::CLOCK, 5, (5, 0), &[0; 16])).unwrap();
}

#[test]
fn damaged_states_are_refused_and_never_panic() {
    let (entries, _) = partition();
    let mut log = PartitionLog::new();
    entries.iter().for_each(|entry| log.replay(entry).unwrap());
    let mut bytes = Vec::new();
    Meaning::Partition(log).encode(&mut bytes);
    for cut in 0..bytes.len() {
        assert!(Meaning::decode(&settings(), &mut &bytes[..cut]).is_err(), "{cut} bytes of {}", bytes.len());
    }
    for tag in (2..=255).filter(|tag| *tag != LogKind::Tree as u8) {
        let mut unknown = Vec::new();
        put_list(&mut unknown, [].into_iter());
        unknown.push(tag);
        let refused = Meaning::decode(&settings(), &mut &unknown[..]).err().expect("no such kind");
        assert!(refused.contains(&format!("kind {tag}")), "{refused}");
    }
    // More trims than there are bytes.
    assert!(Meaning::decode(&settings(), &mut &u64::MAX.to_le_bytes()[..]).is_err());
}
