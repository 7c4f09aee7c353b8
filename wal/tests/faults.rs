//! Failing disks and full disks; the life of segments.

mod rig;

use rig::{FIRST, Rig, small};
use torc_base::ids::{BatchSeq, GroupId, Index, Offset, Term};
use torc_base::io::{DiskError, DiskKind};
use torc_base::limits::PAGE;
use torc_wal::segment::Header;
use torc_wal::{Entry, From, Kind, Outcome, Read, State, WalSettings};

#[test]
fn an_error_on_any_write_fences_the_log_and_leaves_no_hole() {
    for n in 1..60 {
        let mut rig = Rig::started(WalSettings { spare_segments: 2, ..small() }, n);
        rig.disk.fail_in = Some((n, DiskError::Io(5)));
        let mut last = BatchSeq(0);
        for _ in 0..150 {
            last = rig.append(1, 12_000, false);
            rig.append(2, 9_000, true);
            rig.turn();
            if rig.prng.chance(1, 3) && !rig.pending.is_empty() {
                rig.step();
            }
        }
        rig.settle();
        let fences = rig.outcomes.iter().filter(|o| matches!(o, Outcome::Fenced(_))).count();
        assert_eq!(fences, 1, "write {n}");
        assert!(matches!(rig.wal.state(), State::Fenced(_)));
        assert!(!rig.wal.admits(1));
        let durable = rig.durable;
        assert!(durable <= last);
        // What is in memory can still be read.
        assert!(matches!(
            rig.wal.read(GroupId(9), From::Index(Index(1)), Index(1), 1, FIRST, &mut rig.pending),
            Read::Ready(items) if items.is_empty()
        ));
        // Entries appended after the fence were dropped; the rest is a prefix.
        rig.history.retain(|k| k.seq != BatchSeq(u64::MAX));
        rig.kill(true);
        rig.open().unwrap_or_else(|e| panic!("write {n}: {e}"));
        rig.settle_model(durable);
        rig.verify(4096);
    }
}

#[test]
fn completions_out_of_order_move_the_durable_mark_in_order() {
    let mut rig = Rig::started(WalSettings { spare_segments: 1, ..small() }, 3);
    rig.settle();
    for _ in 0..4 {
        rig.append(1, 100, false);
        rig.turn();
    }
    assert_eq!(rig.pending.len(), 4);
    rig.step_at(3);
    rig.step_at(1);
    assert_eq!(rig.durable, BatchSeq(0));
    rig.step_at(0);
    assert_eq!(rig.durable, BatchSeq(2));
    rig.step_at(0);
    assert_eq!(rig.durable, BatchSeq(4));
}

#[test]
fn the_pipeline_has_a_bound_and_the_queue_refuses_producers() {
    let mut rig = Rig::started(small(), 4);
    rig.settle();
    for _ in 0..400 {
        rig.append(1, 60_000, false);
        rig.turn();
        assert!(rig.wal.stats().in_flight <= 4);
    }
    assert!(!rig.wal.admits(1));
    rig.settle();
    assert!(rig.wal.admits(1));
    rig.verify(1 << 20);
}

#[test]
fn a_full_disk_refuses_producers_and_heals_when_segments_die() {
    let mut rig = Rig::started(small(), 5);
    rig.disk.capacity = 5 * (256 << 10);
    let mut appended = 0;
    while rig.wal.state() == State::Running && appended < 1000 {
        rig.append(1, 10_000, false);
        rig.settle();
        appended += 1;
    }
    assert_eq!(rig.wal.state(), State::Full);
    assert!(!rig.wal.admits(1));
    assert!(rig.outcomes.iter().any(|o| matches!(o, Outcome::Full(Some(DiskError::NoSpace)))));
    // Internal entries are still taken, and everything reads.
    let seq = rig.append(2, 50, false);
    rig.settle();
    assert!(rig.durable >= seq);
    rig.verify(100_000);
    // It is asked again after a while, and still full.
    let deadline = rig.wal.deadline().expect("a retry");
    rig.now.mono = deadline;
    rig.settle();
    assert_eq!(rig.wal.state(), State::Full);
    // A restart works on the full disk.
    rig.restart(true);
    rig.settle();
    // Retention lets go of the oldest.
    let runs = rig.wal.runs(GroupId(1)).to_vec();
    rig.wal.release(GroupId(1), runs[runs.len() - 1].first_index);
    rig.settle();
    assert!(rig.wal.wants_checkpoint());
    rig.checkpoint();
    rig.settle();
    assert_eq!(rig.wal.state(), State::Running);
    assert!(rig.wal.admits(1000));
    rig.fill(1, 20, 10_000);
    rig.verify(100_000);
}

/// What can run out besides space. None of it says anything about the disk.
const SHORTAGES: [DiskError; 5] = [
    DiskError::NoSpace,
    DiskError::TooManyFiles,
    DiskError::TooManyFilesInAll,
    DiskError::FileTooLong,
    DiskError::NoMemory,
];

#[test]
fn a_log_that_can_have_no_more_files_is_full_and_heals_by_itself() {
    for lack in SHORTAGES {
        let mut rig = Rig::started(small(), 5);
        rig.settle();
        rig.disk.no_files = Some(lack.clone());
        let mut appended = 0;
        while rig.wal.state() == State::Running && appended < 1000 {
            rig.append(1, 10_000, false);
            rig.settle();
            appended += 1;
        }
        assert_eq!(rig.wal.state(), State::Full, "{lack}");
        let told = rig.outcomes.iter().filter(|o| matches!(o, Outcome::Full(Some(told)) if *told == lack)).count();
        assert_eq!(told, 1, "{lack}: it is told once");
        let seq = rig.append(2, 50, false);
        rig.settle();
        assert!(rig.durable >= seq, "internal entries are still taken");
        rig.verify(100_000);
        // A start that meets the same is no worse off.
        rig.restart(true);
        rig.settle();
        rig.verify(100_000);
        // Nobody asks for it: it is tried again in time.
        rig.disk.no_files = None;
        rig.pass_time(2_000);
        assert_eq!(rig.wal.state(), State::Running, "{lack}");
        rig.fill(1, 50, 10_000);
        rig.verify(100_000);
    }
}

#[test]
fn a_first_start_without_a_file_is_refused_with_what_is_lacking() {
    for lack in SHORTAGES {
        let mut rig = Rig::new(small(), 5);
        rig.disk.no_files = Some(lack.clone());
        let refused = rig.open().expect_err("there is no segment to write to").to_string();
        assert!(refused.contains(&lack.to_string()) && refused.contains(lack.cure()), "{refused}");
    }
}

#[test]
fn a_log_that_is_closed_leaves_no_file_half_made() {
    let mut met = 0;
    for steps in 0..60 {
        let mut rig = Rig::started(WalSettings { spare_segments: 3, ..small() }, 9);
        rig.append(1, 10_000, false);
        // Wherever the making of files has got to.
        for _ in 0..steps {
            rig.turn();
            if !rig.pending.is_empty() {
                rig.step();
            }
        }
        met += usize::from(rig.disk.files.values().any(|file| Header::decode(&file.bytes[..PAGE]).is_none()));
        let durable = rig.durable;
        rig.close();
        while !rig.wal.is_settled() {
            rig.turn();
            assert!(!rig.pending.is_empty(), "it waits for nothing");
            rig.step();
        }
        rig.kill(false);
        rig.open().expect("a log that was closed");
        rig.settle_model(durable);
        assert_eq!(rig.said, Vec::<String>::new(), "after {steps} steps");
        rig.fill(1, 60, 10_000);
        rig.verify(100_000);
    }
    assert!(met > 10, "only {met} stops found a file half made");
}

#[test]
fn dead_segments_are_reused_only_after_the_checkpoint_is_published() {
    let mut rig = Rig::started(small(), 6);
    rig.fill(1, 100, 10_000);
    let files = rig.disk.files.len();
    rig.wal.release(GroupId(1), Index(90));
    rig.settle();
    assert_eq!(rig.disk.files.len(), files, "nothing is freed by a release alone");
    let before = rig.wal.stats().segments;
    let (section, upto) = rig.wal.begin_checkpoint(false);
    rig.settle();
    assert!(rig.durable >= upto);
    assert_eq!(rig.wal.stats().segments, before);
    rig.section = Some(section);
    rig.replay_from = upto.next();
    rig.wal.checkpoint_published();
    rig.settle();
    assert!(rig.wal.stats().segments < before);
    assert_eq!(rig.disk.files.len(), files, "a log that fills so fast needs them soon");
    let unused = rig.wal.deadline().expect("files are kept beyond the spares");
    rig.now.mono = unused;
    rig.settle();
    assert!(rig.disk.files.len() < files, "nobody needed them");
    assert!(!rig.wal.wants_checkpoint());
    for _ in 0..100 {
        rig.now.mono = rig.now.mono.plus_ms(500);
        rig.append(1, 10_000, false);
        rig.settle();
        rig.verify(50_000);
        if rig.wal.wants_checkpoint() {
            let last = rig.wal.last_index(GroupId(1)).unwrap().get();
            rig.wal.release(GroupId(1), Index(last - 5));
            rig.checkpoint();
        }
    }
    assert!(rig.disk.files.len() <= 6, "the log stays small: {}", rig.disk.files.len());
    rig.restart(true);
    rig.verify(50_000);
}

#[test]
fn files_for_large_batches_are_not_written_ahead() {
    let settings = small();
    for (bytes, ahead) in [(10_000, true), (100_000, false)] {
        let mut rig = Rig::started(settings.clone(), 10);
        // The first files were made before the log knew what comes.
        let fill = |rig: &mut Rig| {
            for _ in 0..1_000_000 / bytes {
                rig.append(1, bytes, true);
                rig.settle();
            }
        };
        fill(&mut rig);
        let before = (rig.disk.files.len(), rig.disk.written_ahead);
        fill(&mut rig);
        let made = (rig.disk.files.len() - before.0) as u64;
        assert!(made > 2, "the log grows");
        let expected = if ahead { made * settings.segment_bytes } else { 0 };
        assert_eq!(rig.disk.written_ahead - before.1, expected, "entries of {bytes} bytes");
        rig.restart(true);
        rig.verify(500_000);
    }
}

#[test]
fn dropped_groups_stay_dropped_over_a_checkpoint() {
    let mut rig = Rig::started(small(), 7);
    for _ in 0..10 {
        rig.append(1, 1_000, false);
        rig.append(2, 1_000, false);
        rig.settle();
    }
    rig.drop_group(2);
    rig.checkpoint();
    rig.kill(true);
    rig.open().expect("sound");
    assert!(rig.recovered.is_empty());
    assert_eq!(rig.wal.last_index(GroupId(2)), None);
    assert_eq!(rig.wal.last_index(GroupId(1)), Some(Index(10)));
    rig.verify(1000);
}

/// A group is dropped and comes again before a checkpoint says the former: recovery finds what came, wherever that begins.
#[test]
fn a_group_that_comes_again_has_nothing_of_the_one_before() {
    for (first, again) in [(1, true), (3, true), (20, true), (1, false)] {
        let mut rig = Rig::started(small(), 7);
        rig.fill(1, 10, 1_000);
        rig.wal.release(GroupId(1), Index(4));
        rig.checkpoint();
        rig.fill(1, 2, 1_000);
        rig.drop_group(1);
        rig.wal.append(marker(GroupId(1), Kind::ANEW));
        if again {
            rig.append_at(1, first, 70, 1_000, false);
            rig.append_at(1, first + 1, 80, 1_000, false);
        }
        rig.settle();
        rig.kill(true);
        rig.open().expect("sound");
        let (wal, id) = (&rig.wal, GroupId(1));
        let found = (wal.first_index(id), wal.last_index(id), wal.compacted(id));
        let entries: u64 = wal.runs(id).iter().map(|run| run.entries).sum();
        let expected =
            if again { (Some(Index(first)), Some(Index(first + 1)), Index(0)) } else { (None, None, Index(0)) };
        assert_eq!((found, entries), (expected, if again { 2 } else { 0 }));
    }
}

fn marker(group: GroupId, kind: Kind) -> Entry {
    let (index, bytes) = (Index(0), torc_base::buf::Buf::copy_of(b""));
    let (first_offset, records, max_timestamp) = (Offset(0), 0, -1);
    let (term, prefix_len, body_crc, gather) = (Term(1), 0, torc_base::crc::crc32c(b""), false);
    Entry { group, kind, term, index, first_offset, records, max_timestamp, bytes, prefix_len, body_crc, gather }
}

#[test]
fn a_write_failure_in_recovery_refuses_the_start() {
    let mut rig = Rig::started(small(), 8);
    rig.append(1, 100, false);
    rig.settle();
    rig.kill(false);
    rig.disk.fail_in = Some((1, DiskError::Io(5)));
    assert!(rig.open().is_err());
}

#[test]
fn segments_of_another_size_are_used_up_and_replaced() {
    let mut rig = Rig::started(small(), 9);
    rig.fill(1, 60, 10_000);
    let durable = rig.durable;
    rig.kill(true);
    rig.settings.segment_bytes = 512 << 10;
    rig.open().expect("sound");
    rig.settle_model(durable);
    for _ in 0..60 {
        rig.append(1, 200_000, true);
        rig.settle();
    }
    rig.verify(500_000);
    rig.restart(true);
    rig.verify(500_000);
}

/// Removals that the log has asked for.
fn removals(rig: &Rig) -> usize {
    rig.pending.iter().filter(|op| matches!(op.kind, DiskKind::Remove { .. })).count()
}

#[test]
fn files_that_are_too_many_go_one_at_a_time_and_can_be_had_back() {
    let mut rig = Rig::started(small(), 13);
    rig.fill(1, 400, 10_000);
    // Long enough that the log needs few files.
    rig.pass_time(5_000);
    let files = rig.disk.files.len();
    assert!(files > 15, "{files} files");
    rig.drop_group(1);
    rig.history.clear();
    rig.append(2, 100, false);
    rig.checkpoint();
    rig.turn();
    while !rig.pending.is_empty() {
        assert!(removals(&rig) <= 1);
        rig.step();
        rig.turn();
    }
    assert!(rig.disk.files.len() > files - 3, "after the first comes a rest");
    let written_ahead = rig.disk.written_ahead;
    rig.fill(3, 100, 10_000);
    assert_eq!(rig.disk.written_ahead, written_ahead, "no new file while old ones wait for their end");
    rig.restart(true);
    rig.verify(100_000);
    rig.pass_time(60_000);
    assert!(rig.disk.files.len() < 9, "{} files are left", rig.disk.files.len());
    rig.verify(100_000);
}

/// Files that go in ten seconds in which the log is written, and in which each removal takes 200 ms.
fn removed_in_ten_seconds(rig: &mut Rig) -> usize {
    let (before, end) = (rig.disk.files.len(), rig.now.mono.plus_ms(10_000));
    while rig.now.mono < end {
        rig.append(2, 100, false);
        rig.turn();
        while !rig.pending.is_empty() {
            let is_slow = matches!(rig.pending[0].kind, DiskKind::Remove { .. });
            rig.now.mono = rig.now.mono.plus_ms(if is_slow { 200 } else { 0 });
            rig.step_at(0);
            rig.turn();
        }
        rig.now.mono = rig.now.mono.plus_ms(100);
    }
    before - rig.disk.files.len()
}

#[test]
fn files_that_are_too_many_go_without_rests_when_others_may_need_their_room() {
    let mut rig = Rig::started(small(), 22);
    rig.fill(1, 800, 10_000);
    rig.pass_time(5_000);
    rig.drop_group(1);
    rig.history.clear();
    rig.append(2, 100, false);
    rig.checkpoint();
    let calm = removed_in_ten_seconds(&mut rig);
    assert!((1..=3).contains(&calm), "{calm} files, with rests of 32 times what each took");
    // This log has its spare, and room for no other one: so has whoever else is there.
    rig.disk.capacity = rig.disk.files.values().map(|f| f.bytes.len() as u64).sum::<u64>() + rig.settings.segment_bytes;
    assert!(!matches!(rig.wal.state(), State::Full));
    let crowded = removed_in_ten_seconds(&mut rig);
    assert!(crowded > calm, "{crowded} files, and before that {calm}");
    // There is room again.
    assert!(removed_in_ten_seconds(&mut rig) <= 3);
}

#[test]
fn a_full_disk_heals_with_files_that_were_about_to_go() {
    let mut rig = Rig::started(small(), 14);
    rig.fill(1, 400, 10_000);
    rig.pass_time(5_000);
    rig.disk.capacity = rig.disk.files.values().map(|f| f.bytes.len() as u64).sum();
    while !matches!(rig.wal.state(), State::Full) {
        rig.append(1, 10_000, false);
        rig.settle();
    }
    rig.drop_group(1);
    rig.append(2, 100, false);
    rig.checkpoint();
    rig.turn();
    let began = rig.now.mono;
    while matches!(rig.wal.state(), State::Full) {
        assert!(!rig.pending.is_empty(), "it waits for nothing but its own work");
        rig.step();
        rig.turn();
    }
    assert!(rig.now.mono.since(began) < 1_000_000_000);
}

/// The checkpoint that a start goes by may have got its name right before the process ended. If the power goes after that start,
/// an older one may come back, which needs what the newer one has given up.
#[test]
fn what_names_a_start_goes_by_are_durable_before_it_has_ended() {
    let mut rig = Rig::started(small(), 5);
    rig.fill(1, 20, 8_000);
    rig.settle();
    rig.kill(false);
    rig.disk.files.values_mut().for_each(|file| file.named = false);
    rig.open().expect("nothing is wrong with it");
    assert!(rig.disk.files.values().all(|file| file.named));
}
