//! The log in normal running: what goes in comes out, from memory and from disk.

mod rig;

use rig::{FIRST, Rig, small};
use torc_base::ids::{GroupId, Index, Offset};
use torc_base::limits::{BATCH_ENTRIES_MAX, BATCH_RUNS_MAX};
use torc_wal::{From, Outcome, Read, State, WalSettings};

#[test]
fn a_first_start_is_running_after_one_segment() {
    let rig = Rig::started(small(), 1);
    assert_eq!(rig.wal.state(), State::Running);
    assert!(rig.recovered.is_empty());
    assert_eq!(rig.disk.files.len(), 1);
}

#[test]
fn entries_read_back_from_memory_and_from_disk() {
    let mut rig = Rig::started(small(), 2);
    for round in 0..60 {
        for group in 1..5 {
            rig.append(group, 10 + round * 37, false);
        }
        rig.append(9, 40_000, true);
        rig.settle();
    }
    assert!(rig.wal.stats().segments > 5);
    rig.verify(usize::MAX);
    rig.verify(1);
    assert!(rig.wal.stats().cold_reads > 0);
    assert!(rig.wal.stats().gathered_bytes >= 60 * 40_000);
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let mut rig = Rig::started(small(), 3);
    for round in 0..40 {
        rig.append(1, 100, false);
        rig.append(2, 5_000 + round, round % 2 == 0);
        rig.settle();
    }
    let durable = rig.durable;
    rig.kill(true);
    assert_eq!(rig.open().expect("nothing is damaged"), None);
    rig.settle_model(durable);
    assert_eq!(rig.recovered.len(), 80);
    rig.verify(4096);
    rig.append(1, 100, false);
    rig.settle();
    rig.verify(4096);
}

#[test]
fn an_offset_finds_the_entry_that_holds_it_or_the_next() {
    let mut rig = Rig::started(small(), 4);
    rig.fill(1, 200, 2_000);
    let known = rig.model[&GroupId(1)].clone();
    let end = known.last().map(|k| k.first_offset + i64::from(k.records)).unwrap();
    for offset in 0..end {
        let items = rig.read(1, From::Offset(Offset(offset)), 200, 1).unwrap();
        let expected = known.iter().find(|k| k.first_offset + i64::from(k.records) > offset).unwrap();
        assert!(expected.is(&items[0]), "offset {offset}");
    }
    assert!(rig.read(1, From::Offset(Offset(end)), 200, 1).unwrap().is_empty());
}

#[test]
fn what_waits_for_its_batch_can_be_read_and_is_not_durable() {
    let mut rig = Rig::started(small(), 5);
    let seq = rig.append(1, 100, false);
    let read = rig.wal.read(GroupId(1), From::Index(Index(1)), Index(1), 1000, FIRST, &mut rig.pending);
    assert!(matches!(read, Read::Ready(items) if items.len() == 1));
    assert!(rig.wal.durable() < seq);
    rig.settle();
    assert_eq!(rig.wal.durable(), seq);
    assert!(rig.outcomes.iter().any(|o| matches!(o, Outcome::Durable(s) if *s == seq)));
}

#[test]
fn entries_larger_than_a_recovery_window_survive() {
    let mut rig = Rig::started(WalSettings { segment_bytes: 16 << 20, ..small() }, 6);
    for round in 0..12 {
        rig.append(1, 300, false);
        rig.append(2, 3_000_000 + round * 1000, round % 2 == 0);
        rig.turn();
    }
    rig.settle();
    rig.verify(1 << 20);
    let durable = rig.durable;
    rig.kill(true);
    assert_eq!(rig.open().expect("sound"), None);
    rig.settle_model(durable);
    rig.verify(8 << 20);
}

#[test]
fn a_batch_is_cut_at_its_bounds() {
    let mut rig = Rig::started(WalSettings { segment_bytes: 32 << 20, ..small() }, 7);
    let first = rig.append(1, 30, false);
    let mut last = first;
    for n in 0..BATCH_ENTRIES_MAX as u64 {
        last = rig.append(1 + n % 7, 30, false);
    }
    assert!(last > first, "too many entries for one batch");
    let first = rig.append(8, 5_000, true);
    for _ in 0..BATCH_RUNS_MAX {
        last = rig.append(8, 5_000, true);
    }
    assert!(last > first, "too many runs for one batch");
    rig.settle();
    rig.verify(1 << 20);
    rig.restart(true);
    rig.verify(1 << 20);
}
