//! Reading ahead: what a sequential reader finds, what it costs, and that it never shows what is not so.

mod rig;

use rig::{FIRST, Rig, small};
use torc_base::ids::{GroupId, Index, Offset};
use torc_base::io::{DiskKind, DiskOp};
use torc_wal::{From, Outcome, Read, WalError, WalSettings};

const ASK: usize = 64 << 10;

/// A log whose groups `1..=groups` have `rounds` entries of `bytes` each, all but the last few on disk only.
fn filled(settings: WalSettings, groups: u64, rounds: u64, bytes: usize) -> Rig {
    let mut rig = Rig::started(settings, 5);
    for _ in 0..rounds {
        for group in 1..=groups {
            rig.append(group, bytes, false);
        }
        rig.settle();
    }
    rig
}

fn ahead(bytes: usize) -> WalSettings {
    WalSettings { tail_bytes: 0, read_ahead_bytes: bytes, ..small() }
}

/// One read; true if it was answered at once.
fn read(rig: &mut Rig, group: u64, next: u64) -> (u64, bool) {
    let last = rig.wal.last_index(GroupId(group)).unwrap();
    let read = rig.wal.read(GroupId(group), From::Index(Index(next)), last, ASK, FIRST, &mut rig.pending);
    let (items, at_once) = match read {
        Read::Ready(items) => (items, true),
        Read::Pending(id) => (rig.wait_read(id).expect("nothing is damaged"), false),
        other => panic!("there is room, and nothing is released: {other:?}"),
    };
    assert!(!items.is_empty());
    let mut next = next;
    for item in items {
        assert!(rig.model[&GroupId(group)][next as usize - 1].is(&item), "group {group} index {next}");
        next += 1;
    }
    (next, at_once)
}

#[test]
fn a_sequential_reader_waits_for_the_disk_only_at_its_start() {
    for steps in [true, false] {
        let mut rig = filled(ahead(16 << 20), 1, 400, 10_000);
        let payload = 400 * 10_000;
        let (mut next, mut waits, mut reads) = (1, 0, 0);
        while next <= 400 {
            let (behind, at_once) = read(&mut rig, 1, next);
            next = behind;
            reads += 1;
            waits += u64::from(!at_once);
            if steps {
                rig.settle();
            }
        }
        let stats = rig.wal.stats();
        if steps {
            // The first read, the one that shows that the reader goes on, and a footer of each is waited for.
            assert!(waits <= 3, "{waits} of {reads} reads waited");
            assert!(stats.ahead_hits + 3 >= reads, "{} hits in {reads} reads", stats.ahead_hits);
            assert!(stats.ahead_misses <= 1, "{}", stats.ahead_misses);
        }
        assert!(stats.ahead_hits > reads / 2, "{} hits in {reads} reads", stats.ahead_hits);
        assert_eq!(stats.ahead_dropped, 0);
        // Pages are padded: an entry has 12 KiB on disk.
        assert!(stats.disk_read_bytes < payload * 4 / 3, "{} bytes were read", stats.disk_read_bytes);
        assert!(stats.disk_reads < 60, "{} operations", stats.disk_reads);
    }
}

#[test]
fn one_read_goes_to_many_segments_at_once() {
    let mut rig = filled(ahead(0), 4, 200, 5_000);
    let bytes = 500 << 10;
    // The footers first, together.
    let read = rig.wal.read(GroupId(2), From::Index(Index(1)), Index(200), bytes, FIRST, &mut rig.pending);
    let Read::Pending(id) = read else { panic!("it is on disk") };
    let footers = rig.pending.len();
    assert!(footers >= 8, "{footers} at once");
    while rig.pending.len() <= footers && rig.wal.stats().disk_reads <= footers as u64 {
        rig.step();
    }
    assert!(rig.pending.len() >= 8, "{} at once", rig.pending.len());
    let items = rig.wait_read(id).unwrap();
    assert_eq!(items.len(), bytes / 5_000);
    assert_eq!(rig.wal.stats().cold_reads, 1);
}

#[test]
fn reads_here_and_there_read_nothing_ahead() {
    let mut rig = filled(ahead(16 << 20), 1, 400, 10_000);
    for n in 0..40 {
        read(&mut rig, 1, 1 + n * 97 % 390);
        assert!(rig.pending.is_empty(), "only what was asked for is read");
    }
    let stats = rig.wal.stats();
    assert_eq!((stats.ahead_hits, stats.ahead_misses, stats.ahead_dropped), (0, 0, 0));
}

#[test]
fn what_is_read_ahead_has_a_bound_that_all_readers_share() {
    let limit = 1 << 20;
    let mut rig = filled(ahead(limit), 20, 60, 10_000);
    let mut at = [1; 20];
    while at.iter().any(|next| *next <= 60) {
        for (group, next) in (1..).zip(&mut at) {
            if *next <= 60 {
                *next = read(&mut rig, group, *next).0;
                let held = rig.wal.stats().ahead_bytes as usize;
                assert!(held <= 2 * limit + (300 << 10), "{held} bytes are kept");
            }
        }
    }
    assert!(rig.wal.stats().ahead_hits > 0);
    let mut rig = filled(ahead(0), 1, 200, 10_000);
    let mut next = 1;
    while next <= 200 {
        next = read(&mut rig, 1, next).0;
        assert!(rig.pending.is_empty());
        assert_eq!(rig.wal.stats().ahead_bytes, 0, "nothing is kept");
    }
}

#[test]
fn readers_that_go_together_share_what_is_read() {
    let mut rig = filled(ahead(16 << 20), 1, 400, 10_000);
    let mut at = [1, 1, 1];
    while at[0] <= 400 {
        for next in &mut at {
            *next = read(&mut rig, 1, *next).0;
        }
    }
    assert_eq!(at, [401; 3]);
    let stats = rig.wal.stats();
    assert!(stats.disk_read_bytes < 400 * 10_000 * 4 / 3, "{} bytes were read", stats.disk_read_bytes);
}

#[test]
fn groups_that_share_batches_share_their_tables() {
    let mut rig = filled(ahead(16 << 20), 100, 40, 300);
    let mut cost = |group| {
        let before = rig.wal.stats().disk_read_bytes;
        let mut next = 1;
        while next <= 40 {
            next = read(&mut rig, group, next).0;
        }
        rig.wal.stats().disk_read_bytes - before
    };
    let (first, second) = (cost(90), cost(95));
    assert!(second * 2 < first, "{first} bytes for the first, {second} for the second");
}

/// Flips a bit of an entry's payload on the disk.
fn damage(rig: &mut Rig, group: u64, index: u64) {
    let known = rig.model[&GroupId(group)][index as usize - 1].bytes.clone();
    let mut hit = 0;
    for file in rig.disk.files.values_mut() {
        if let Some(at) = file.bytes.windows(64).position(|w| w == &known[..64]) {
            file.bytes[at + 40] ^= 4;
            hit += 1;
        }
    }
    assert_eq!(hit, 1);
}

#[test]
fn damage_is_reported_to_the_read_that_needs_the_entry_and_to_no_other() {
    let mut rig = filled(ahead(16 << 20), 2, 120, 10_000);
    damage(&mut rig, 1, 77);
    let (mut next, mut reported) = (1, Vec::new());
    while next <= 120 {
        let items = rig.read(1, From::Index(Index(next)), 120, ASK);
        rig.settle();
        match items {
            Ok(items) => {
                for item in items {
                    assert!(rig.model[&GroupId(1)][next as usize - 1].is(&item), "index {next}");
                    next += 1;
                }
            }
            Err(WalError::Corrupt(c)) => {
                reported.push((next, c.entry));
                // Asked again, it is said again.
                assert!(matches!(rig.read(1, From::Index(Index(next)), 120, ASK), Err(WalError::Corrupt(_))));
                next += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(reported, [(77, Some((GroupId(1), Index(77))))]);
    assert!(rig.wal.stats().ahead_hits > 10);
    let answers = rig.outcomes.iter().filter(|o| matches!(o, Outcome::Read(..) | Outcome::Found(..)));
    assert_eq!(answers.count(), 0, "what is read ahead is nobody's answer");
}

#[test]
fn a_failed_read_ahead_is_tried_again_by_whoever_needs_it() {
    let mut rig = filled(ahead(16 << 20), 1, 120, 10_000);
    let mut next = read(&mut rig, 1, 1).0;
    next = read(&mut rig, 1, next).0;
    assert!(!rig.pending.is_empty(), "something is read ahead");
    rig.disk.fail_read_in = Some(1);
    rig.settle();
    while next <= 120 {
        next = read(&mut rig, 1, next).0;
    }
}

fn take_reads(rig: &mut Rig) -> Vec<DiskOp> {
    let is_read = |op: &mut DiskOp| matches!(op.kind, DiskKind::Read { .. });
    rig.pending.extract_if(.., is_read).collect()
}

#[test]
fn a_segment_is_not_reused_while_it_is_read_ahead() {
    let mut rig = filled(ahead(16 << 20), 1, 120, 10_000);
    let mut next = read(&mut rig, 1, 1).0;
    next = read(&mut rig, 1, next).0;
    let held = take_reads(&mut rig);
    assert!(!held.is_empty(), "something is read ahead");
    rig.wal.release(GroupId(1), Index(121));
    rig.checkpoint();
    rig.settle();
    let (pinned, names) = (rig.wal.stats().segments, rig.disk.files.clone());
    rig.pending.extend(held);
    rig.settle();
    let freed = rig.wal.stats().segments;
    assert!(freed < pinned, "{pinned} while it was read, {freed} after");
    assert!(names.len() >= pinned as usize);
    // What was read of it is there, and dead.
    let read = rig.wal.read(GroupId(1), From::Index(Index(next)), Index(120), ASK, FIRST, &mut rig.pending);
    assert!(matches!(read, Read::Released));
}

#[test]
fn a_replaced_suffix_is_not_found_in_what_was_read_ahead() {
    for held in [false, true] {
        let mut rig = filled(ahead(16 << 20), 1, 60, 10_000);
        let mut next = read(&mut rig, 1, 1).0;
        for _ in 0..3 {
            next = read(&mut rig, 1, next).0;
        }
        let reads = if held { take_reads(&mut rig) } else { Vec::new() };
        rig.settle();
        let at = next + 2;
        let offset = rig.model[&GroupId(1)][at as usize - 1].first_offset;
        rig.append_at(1, at, offset, 3_000, false);
        rig.append(1, 100, false);
        rig.settle();
        rig.pending.extend(reads);
        while next <= at + 1 {
            next = read(&mut rig, 1, next).0;
        }
        rig.verify(ASK);
    }
}

#[test]
fn what_nobody_comes_for_is_dropped() {
    let mut rig = filled(ahead(16 << 20), 1, 120, 10_000);
    let mut next = 1;
    for _ in 0..3 {
        next = read(&mut rig, 1, next).0;
    }
    rig.settle();
    let due = rig.wal.deadline().expect("something is kept");
    assert!(rig.wal.stats().ahead_bytes > 0);
    rig.now.mono = due;
    rig.turn();
    while let Some(due) = rig.wal.deadline() {
        rig.now.mono = due.max(rig.now.mono);
        rig.turn();
    }
    assert_eq!(rig.wal.stats().ahead_bytes, 0);
    assert!(rig.wal.stats().ahead_dropped > 0);
    while next <= 120 {
        next = read(&mut rig, 1, next).0;
    }
}

#[test]
fn reads_beyond_the_bound_on_operations_wait_their_turn() {
    let mut rig = filled(ahead(16 << 20), 40, 30, 6_000);
    // With the footers in memory.
    rig.verify(ASK);
    let mut waiting = Vec::new();
    for round in 0..10 {
        for group in 1..=40 {
            let from = From::Index(Index(1 + (group + round * 7) % 20));
            let read = rig.wal.read(GroupId(group), from, Index(30), 30_000, FIRST, &mut rig.pending);
            if let Read::Pending(id) = read {
                waiting.push((group, 1 + (group + round * 7) % 20, id));
            }
        }
        assert!(rig.pending.len() <= 256, "{} operations", rig.pending.len());
    }
    assert!(waiting.len() > 100 && rig.pending.len() > 50, "{} {}", waiting.len(), rig.pending.len());
    for (group, index, id) in waiting {
        let items = rig.wait_read(id).unwrap();
        assert!(rig.model[&GroupId(group)][index as usize - 1].is(&items[0]));
    }
}

#[test]
fn a_reader_by_offset_is_followed_as_well() {
    let mut rig = filled(ahead(16 << 20), 1, 300, 10_000);
    let known = rig.model[&GroupId(1)].clone();
    let end = known.last().map(|k| k.first_offset + i64::from(k.records)).unwrap();
    let mut offset = 0;
    while offset < end {
        let items = rig.read(1, From::Offset(Offset(offset)), 300, ASK).unwrap();
        rig.settle();
        let first = known.iter().find(|k| k.first_offset + i64::from(k.records) > offset).unwrap();
        assert!(first.is(&items[0]), "from {offset}");
        for (item, k) in items.iter().zip(&known[first.index as usize - 1..]) {
            assert!(k.is(item));
        }
        offset = items.last().unwrap().end_offset().get();
    }
    let stats = rig.wal.stats();
    assert!(stats.ahead_hits > 30 && stats.ahead_misses <= 1, "{stats:?}");
}
