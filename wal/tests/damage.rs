//! Torn tails are cut, damage is reported, wrong bytes are never served.

mod rig;

use rig::{Rig, batches, marked, small};
use torc_base::ids::{BatchSeq, GroupId, Index};
use torc_base::limits::PAGE;
use torc_wal::{From, WalError, WalSettings, batch, segment};

/// Two groups, small and gathered entries, several segments; the last batches vouched for by a mark.
fn filled(seed: u64, rounds: u64) -> Rig {
    let mut rig = Rig::started(marked(), seed);
    for round in 0..rounds {
        rig.append(1, 300, false);
        rig.append(2, 700, false);
        if round % 4 == 0 {
            rig.append(1, 20_000, true);
        }
        rig.settle();
    }
    rig.now.mono = rig.now.mono.plus_ms(1);
    rig.turn();
    rig.now.mono = rig.now.mono.plus_ms(10);
    rig.settle();
    rig
}

/// After damage: refused; or open, and every entry is either right or an error; and nothing vouched for is missing.
fn check(mut rig: Rig, vouched: BatchSeq, what: &str) -> bool {
    match rig.open() {
        Err(WalError::Corrupt(c)) => {
            assert!(c.file.starts_with("wal-"), "{what}: {c:?}");
            return true;
        }
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => assert!(rig.wal.durable() >= vouched, "{what}: lost batches that were known to be durable"),
    }
    let mut reported = false;
    let end = rig.wal.durable();
    for (group, known) in rig.model.clone() {
        for k in known.iter().filter(|k| k.seq <= end) {
            match rig.read(group.get(), From::Index(Index(k.index)), k.index, 1) {
                Ok(items) => assert!(items.len() == 1 && k.is(&items[0]), "{what}: wrong bytes at {}", k.index),
                Err(WalError::Corrupt(_)) => reported = true,
                Err(other) => panic!("{what}: {other}"),
            }
        }
    }
    reported
}

#[test]
fn a_flipped_bit_in_any_field_of_a_batch_is_noticed() {
    let mut base = filled(1, 20);
    let vouched = base.wal.stats().vouched;
    assert!(base.history.iter().all(|k| k.seq <= vouched), "the mark vouches for all entries");
    base.kill(true);
    let names: Vec<String> = base.disk.files.keys().cloned().collect();
    for name in names {
        for header in batches(&base.disk.files[&name].bytes) {
            if header.seq > vouched || header.count == 0 {
                continue;
            }
            let at = header.position as usize;
            // Each field of the header, then each of the first descriptor, then payload bytes.
            let bytes = &base.disk.files[&name].bytes[at..at + header.total as usize];
            let mut places: Vec<usize> = vec![0, 8, 12, 16, 24, 32, 40, 48, 56, 60, 64, 68, 72, 80];
            places.extend([0, 8, 16, 24, 32, 40, 44, 48, 52, 56, 60, 61].map(|f| batch::HEADER_BYTES + f));
            for number in 0..header.count as usize {
                let d = batch::Descriptor::decode(&header, bytes, number).expect("intact");
                places.extend([d.position as usize, d.position as usize + 21, d.end() as usize - 1]);
            }
            for place in places {
                let mut rig = base.reborn();
                rig.disk.files.get_mut(&name).unwrap().bytes[at + place] ^= 0x10;
                let what = format!("{name}: batch {} byte {place}", header.seq);
                assert!(check(rig, vouched, &what), "{what} was not reported");
            }
        }
    }
}

#[test]
fn damage_before_a_checkpoint_is_noticed_when_it_is_read() {
    let mut base = filled(2, 120);
    base.checkpoint();
    base.fill(1, 5, 200);
    base.now.mono = base.now.mono.plus_ms(1);
    base.turn();
    base.now.mono = base.now.mono.plus_ms(10);
    base.settle();
    let vouched = base.wal.stats().vouched;
    base.kill(true);
    let names: Vec<String> = base.disk.files.keys().cloned().collect();
    let mut tried = 0;
    for name in names {
        for header in batches(&base.disk.files[&name].bytes).into_iter().step_by(7) {
            if header.seq > vouched || header.count == 0 {
                continue;
            }
            for place in [9, 33, batch::HEADER_BYTES + 17, batch::table_end(header.count as usize) + 5] {
                let mut rig = base.reborn();
                rig.disk.files.get_mut(&name).unwrap().bytes[header.position as usize + place] ^= 1;
                let what = format!("{name}: batch {} byte {place}", header.seq);
                assert!(check(rig, vouched, &what), "{what} was not reported");
                tried += 1;
            }
        }
    }
    assert!(tried > 40);
}

#[test]
fn zeroed_or_misplaced_pages_are_noticed_or_meant_nothing() {
    let mut base = filled(3, 60);
    base.checkpoint();
    let vouched = base.wal.stats().vouched;
    base.kill(true);
    let names: Vec<String> = base.disk.files.keys().cloned().collect();
    for name in &names {
        for page in 0..base.disk.files[name].bytes.len() / PAGE {
            let mut rig = base.reborn();
            rig.disk.files.get_mut(name).unwrap().bytes[page * PAGE..(page + 1) * PAGE].fill(0);
            check(rig, vouched, &format!("{name}: page {page} zeroed"));
            // A write that was meant for another file or place.
            let mut rig = base.reborn();
            let from = rig.prng.below(names.len() as u64) as usize;
            let source = base.disk.files[&names[from]].bytes[PAGE..2 * PAGE].to_vec();
            rig.disk.files.get_mut(name).unwrap().bytes[page * PAGE..(page + 1) * PAGE].copy_from_slice(&source);
            check(rig, vouched, &format!("{name}: page {page} overwritten"));
        }
    }
}

#[test]
fn a_lost_file_stops_the_start() {
    let mut base = filled(4, 60);
    let vouched = base.wal.stats().vouched;
    base.kill(true);
    for name in base.disk.files.keys() {
        let holds = batches(&base.disk.files[name].bytes).iter().any(|h| h.seq <= vouched);
        let mut rig = base.reborn();
        rig.disk.files.remove(name);
        assert_eq!(rig.open().is_err(), holds, "{name}: file lost");
    }
}

#[test]
fn what_a_header_page_said_its_first_batch_says_too() {
    for checkpointed in [false, true] {
        let mut base = filled(19, 60);
        if checkpointed {
            base.checkpoint();
        }
        let durable = base.durable;
        base.kill(true);
        let other = base.disk.files["wal-000001"].bytes[..PAGE].to_vec();
        for name in base.disk.files.keys() {
            for how in 0..3 {
                let mut rig = base.reborn();
                let page = &mut rig.disk.files.get_mut(name).unwrap().bytes[..PAGE];
                match how {
                    0 => page[20] ^= 1,
                    1 => page.fill(0),
                    // A write that was meant for another file.
                    _ if name == "wal-000001" => continue,
                    _ => page.copy_from_slice(&other),
                }
                rig.open().unwrap_or_else(|e| panic!("{name}: {e}"));
                rig.settle_model(durable);
                rig.verify(20_000);
                // It is so at the next start, too.
                rig.append(1, 300, false);
                rig.settle();
                rig.restart(true);
                rig.verify(20_000);
            }
        }
    }
}

/// Nothing but its later batches shows what such a file is.
#[test]
fn a_segment_that_has_lost_its_header_and_its_first_batch_is_not_taken_for_a_file_that_was_being_made() {
    for (seed, rounds, spares) in [(14, 3, 1), (15, 3, 2), (16, 40, 1), (17, 60, 1)] {
        let mut base = filled(seed, rounds);
        base.settings.spare_segments = spares;
        let vouched = base.wal.stats().vouched;
        base.kill(true);
        let mut tried = 0;
        for name in base.disk.files.keys() {
            let held = batches(&base.disk.files[name].bytes).iter().filter(|h| h.seq <= vouched).count();
            if held < 3 {
                continue;
            }
            for salvages in [false, true] {
                let mut rig = base.reborn();
                rig.salvages = salvages;
                rig.disk.files.get_mut(name).unwrap().bytes[..2 * PAGE].fill(0);
                let opened = rig.open();
                // Where others have what is lost the log goes on in the next one, if there is one.
                assert!(opened.is_err() || salvages && !rig.lost.is_empty(), "seed {seed}: {name} with {held} batches");
                assert!(rig.disk.files.contains_key(name), "seed {seed}: {name} is gone");
            }
            tried += 1;
        }
        assert!(tried > 0, "seed {seed}");
    }
}

#[test]
fn a_cut_at_any_sector_of_the_last_batches_leaves_a_prefix() {
    let mut base = Rig::started(small(), 5);
    for _ in 0..6 {
        base.append(1, 400, false);
        base.append(2, 6_000, false);
        base.settle();
    }
    let durable = base.durable;
    // Three more in flight at the moment of the cut.
    for _ in 0..3 {
        base.append(1, 500, false);
        base.append(2, 9_000, true);
        base.turn();
    }
    let writes = base.pending.len();
    assert!(writes >= 3);
    while !base.pending.is_empty() {
        let op = base.pending.remove(0);
        base.disk.execute(op.kind).expect("no fault");
    }
    let name = base.disk.files.keys().next().unwrap().clone();
    let all = batches(&base.disk.files[&name].bytes);
    let last: Vec<_> = all.iter().filter(|h| h.seq > durable).collect();
    let (start, end) = (last[0].position as usize, last.last().map(|h| (h.position + h.total) as usize).unwrap());
    for sector in (start..end).step_by(512) {
        // Everything from here on never arrived; or only this sector did not.
        for lost in [sector..end, sector..sector + 512] {
            let mut rig = base.reborn();
            rig.disk.files.get_mut(&name).unwrap().bytes[lost.clone()].fill(0);
            rig.open().unwrap_or_else(|e| panic!("cut at {lost:?}: {e}"));
            rig.settle_model(durable);
            rig.verify(4096);
            // The log goes on, and what the cut left behind never comes back.
            rig.append(1, 300, false);
            rig.append(2, 300, false);
            rig.settle();
            let durable = rig.durable;
            rig.kill(true);
            rig.open().unwrap_or_else(|e| panic!("second life after {lost:?}: {e}"));
            rig.settle_model(durable);
            rig.verify(4096);
        }
    }
}

#[test]
fn batches_left_behind_a_cut_are_never_taken_for_live_ones() {
    // The same entries are appended again after the cut: even then the old followers do not follow.
    let mut base = Rig::started(small(), 6);
    base.append(1, 100, false);
    base.settle();
    for _ in 0..3 {
        base.append(1, 100, false);
        base.turn();
    }
    let ops: Vec<_> = base.pending.drain(..).collect();
    for op in ops.into_iter().filter(|op| matches!(op.kind, torc_base::io::DiskKind::Write { .. })).skip(1) {
        base.disk.execute(op.kind).expect("no fault");
    }
    let durable = base.durable;
    let mut rig = base.reborn();
    let torn = rig.open().expect("a torn tail");
    assert!(torn.is_some(), "pieces of later batches were cut");
    rig.settle_model(durable);
    rig.append(1, 100, false);
    rig.settle();
    let durable = rig.durable;
    rig.kill(false);
    rig.open().expect("still sound");
    assert_eq!(rig.wal.durable(), durable, "nothing of the first life came back");
    rig.settle_model(durable);
    rig.verify(1);
}

#[test]
fn a_damaged_footer_costs_nothing_and_is_never_believed() {
    let mut base = filled(7, 120);
    base.checkpoint();
    base.kill(true);
    for name in base.disk.files.keys() {
        let mut rig = base.reborn();
        let bytes = &mut rig.disk.files.get_mut(name).unwrap().bytes;
        let at = bytes.len() - 2 * PAGE + 16;
        bytes[at] ^= 4;
        assert!(!check(rig, BatchSeq(0), name), "{name}: something cannot be read");
    }
}

#[test]
fn a_read_error_is_that_reads_error_only() {
    let mut rig = filled(8, 120);
    rig.read(1, From::Index(Index(9)), 9, 1).expect("the footer has been read");
    rig.disk.fail_read_in = Some(1);
    let read = rig.read(1, From::Index(Index(1)), 1, 1);
    // It is said which entry that is, and of what else is in its batch.
    let Err(WalError::Unreadable(found)) = read else { panic!("{read:?}") };
    assert_eq!(found.entry, Some((GroupId(1), Index(1))), "{found}");
    assert!(rig.read(1, From::Index(Index(1)), 1, 1).is_ok());
    assert!(rig.wal.first_index(GroupId(1)).is_some());
}

/// Many entries are read at once: of those only what lies there is not given.
#[test]
fn around_a_place_that_cannot_be_read_all_else_is() {
    let mut rig = Rig::started(WalSettings { tail_bytes: 0, ..small() }, 23);
    rig.fill(1, 60, 3_000);
    let bad = 20;
    let known = rig.model[&GroupId(1)][bad as usize - 1].clone();
    let holds = |bytes: &[u8]| batches(bytes).into_iter().find(|header| header.seq == known.seq);
    let found = rig.disk.files.iter().find_map(|(name, file)| Some((name.clone(), holds(&file.bytes)?.position)));
    let (name, position) = found.expect("it was written");
    rig.disk.unreadable = Some((name, position as usize / PAGE));
    let (mut next, mut failed) = (1, 0);
    while next <= 60 {
        match rig.read(1, From::Index(Index(next)), 60, 1 << 20) {
            Ok(items) => next = items.last().expect("something").index.get() + 1,
            Err(WalError::Unreadable(found)) => {
                assert_eq!((next, found.entry), (bad, Some((GroupId(1), Index(bad)))), "{found}");
                (next, failed) = (next + 1, failed + 1);
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(failed, 1);
}

#[test]
fn a_footer_comes_in_pieces_of_which_each_may_fail() {
    let mut base = Rig::started(WalSettings { tail_bytes: 0, read_ahead_bytes: 0, ..small() }, 18);
    for _ in 0..60 {
        (1..=20).for_each(|group| _ = base.append(group, 300, false));
        base.settle();
    }
    base.checkpoint();
    base.kill(true);
    let fails_at = |n| {
        let mut rig = base.reborn();
        rig.open().expect("sound");
        let before = rig.wal.stats().disk_reads;
        rig.disk.fail_read_in = Some(n);
        let read = rig.read(7, From::Index(Index(1)), 1, 1);
        let asked = rig.wal.stats().disk_reads - before;
        rig.disk.fail_read_in = None;
        let again = rig.read(7, From::Index(Index(1)), 1, 1).expect("the next one is as good as any");
        assert!(rig.model[&GroupId(7)][0].is(&again[0]));
        (read, asked)
    };
    // Of the footer it is damage, which costs nothing.
    let mut n = 1;
    let (mut read, mut asked) = fails_at(n);
    while read.is_ok() {
        assert!(asked > n, "what it said is looked for in the batches");
        n += 1;
        (read, asked) = fails_at(n);
    }
    assert!(n > 4, "{n}: the footer's pieces, and the entry itself");
    assert!(matches!(read, Err(WalError::Unreadable(_))) && asked == n, "{read:?}");
    assert!(fails_at(n + 1).0.is_ok(), "that was the last operation");
}

#[test]
fn a_spare_whose_header_is_lost_is_no_loss() {
    let mut base = Rig::started(WalSettings { spare_segments: 3, ..small() }, 9);
    base.append(1, 100, false);
    base.settle();
    assert_eq!(base.disk.files.len(), 4);
    base.kill(true);
    for name in ["wal-000002", "wal-000003", "wal-000004"] {
        let mut rig = base.reborn();
        rig.disk.files.get_mut(name).unwrap().bytes[..PAGE].fill(0);
        rig.open().unwrap_or_else(|e| panic!("{name}: {e}"));
        rig.settle_model(base.durable);
        for _ in 0..100 {
            rig.append(1, 9_000, false);
            rig.settle();
        }
        rig.verify(10_000);
    }
}

#[test]
fn a_spare_that_was_used_before_and_whose_header_is_lost_is_no_loss() {
    let mut base = Rig::started(WalSettings { spare_segments: 3, ..marked() }, 21);
    for _ in 0..4 {
        base.fill(1, 40, 9_000);
        let last = base.wal.last_index(GroupId(1)).expect("it has entries");
        base.wal.release(GroupId(1), Index(last.get() - 5));
        base.checkpoint();
        base.settle();
        base.checkpoint();
        base.settle();
    }
    let durable = base.durable;
    base.kill(true);
    let mut tried = 0;
    for (name, file) in &base.disk.files {
        let header = segment::Header::decode(&file.bytes).expect("a segment");
        let first = batch::Header::decode(&file.bytes[PAGE..]);
        let is_spare = batches(&file.bytes).is_empty() && first.is_some_and(|(first, _)| first.salt != header.salt);
        if !is_spare {
            continue;
        }
        let mut rig = base.reborn();
        rig.disk.files.get_mut(name).unwrap().bytes[20] ^= 1;
        rig.open().unwrap_or_else(|e| panic!("{name}: {e}"));
        rig.settle_model(durable);
        rig.verify(20_000);
        tried += 1;
    }
    assert!(tried > 1, "{tried} spares were segments before");
}

/// The same disk, with a flipped bit in the header of batch `seq`, which lies in the first file.
fn without(base: &Rig, seq: BatchSeq) -> Rig {
    let mut rig = base.reborn();
    let bytes = &mut rig.disk.files.get_mut("wal-000001").unwrap().bytes;
    let header = *batches(bytes).iter().find(|h| h.seq == seq).expect("the batch is there");
    bytes[header.position as usize + 20] ^= 1;
    rig
}

/// A log with three spare files and a few entries.
fn with_spares(seed: u64) -> Rig {
    let mut rig = Rig::started(WalSettings { spare_segments: 3, ..marked() }, seed);
    rig.fill(1, 5, 3_000);
    rig
}

#[test]
fn of_a_log_that_was_closed_nothing_behind_its_end_is_read() {
    let mut base = with_spares(10);
    base.checkpoint();
    let mut killed = base.reborn();
    killed.open().expect("sound");
    base.close();
    let mut rig = base.reborn();
    rig.open().expect("sound");
    rig.settle_model(base.durable);
    rig.verify(10_000);
    let files = rig.disk.files.len() as u64;
    assert_eq!(files, 4);
    let whole = base.settings.segment_bytes * (files - 1);
    let (closed, killed) = (rig.disk.bytes_read, killed.disk.bytes_read);
    assert!(closed + whole < killed, "{closed} bytes read of the closed log, {killed} of the other");
}

#[test]
fn a_log_that_was_closed_misses_nothing_of_what_came_before() {
    let mut base = with_spares(11);
    let last = base.durable;
    base.close();
    base.kill(true);
    assert!(matches!(without(&base, last).open(), Err(WalError::Corrupt(_))));
}

#[test]
fn a_log_that_goes_on_wants_a_checkpoint_that_says_so() {
    let mut base = with_spares(12);
    base.close();
    base.kill(true);
    base.open().expect("sound");
    base.settle_model(base.durable);
    base.settle();
    assert!(base.wal.wants_checkpoint());
    let first = base.append(1, 100, false);
    base.settle();
    // Before it is published, the end is where the chain ends, as always.
    let mut early = base.reborn();
    early.open().expect("sound");
    early.settle_model(base.durable);
    base.checkpoint();
    base.settle();
    assert!(!base.wal.wants_checkpoint());
    base.fill(1, 3, 100);
    base.kill(true);
    assert!(matches!(without(&base, first).open(), Err(WalError::Corrupt(_))), "the loss of that batch is noticed");
}
