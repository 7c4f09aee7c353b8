//! The cleaner: what lives longer than its segment is moved, nobody notices, and no crash loses or leaks anything.

mod rig;

use rig::{FIRST, Rig, cleaning};
use std::collections::BTreeSet;
use torc_base::ids::{GroupId, Index, SegmentId};
use torc_base::io::{DiskError, DiskKind, Level};
use torc_wal::segment::{Slot, is_cold};
use torc_wal::{CleanerSettings, From, Outcome, Read, State, WalSettings};

const SEGMENT: u64 = 256 << 10;
/// It is kept.
const KEPT: u64 = 1;
/// They come and go.
const BUSY: [u64; 2] = [2, 3];

/// A log in which a little of every segment lives for ever: `rounds` times some entries, of which the busy groups'
/// are then dead.
fn mixed(settings: WalSettings, seed: u64, rounds: u64) -> Rig {
    let mut rig = Rig::started(settings, seed);
    for round in 0..rounds {
        rig.append(KEPT, 1_500, false);
        for group in BUSY {
            rig.append(group, 9_000, round % 3 == 0);
            rig.append(group, 300, false);
        }
        rig.settle();
    }
    rig.checkpoint();
    rig
}

/// All but the newest entries of the busy groups are dead.
fn release(rig: &mut Rig) {
    for group in BUSY.map(GroupId) {
        let last = rig.wal.last_index(group).expect("it has entries");
        rig.wal.release(group, Index(last.get() - 3));
    }
}

/// Files that hold nothing that anybody knows of.
fn leaked(rig: &Rig) -> u64 {
    let stats = rig.wal.stats();
    // One file may be kept for the next output.
    (rig.disk.files.len() as u64).saturating_sub(stats.segments + stats.spares + 1)
}

/// Lets the cleaner work, with checkpoints when they are wanted, until nothing changes any more.
fn come_to_rest(rig: &mut Rig) {
    for _ in 0..20 {
        rig.pass_time(1_500);
        if rig.wal.wants_checkpoint() {
            rig.checkpoint();
        }
    }
    assert!(!rig.wal.wants_checkpoint(), "it never comes to rest");
}

fn is_moved(rig: &Rig, group: u64) -> bool {
    rig.wal.runs(GroupId(group)).iter().any(|run| is_cold(run.segment))
}

/// The class of the cleaner's tags.
fn is_of_pass(op: &torc_base::io::DiskOp) -> bool {
    op.tag.get() >> 48 & 0xff == 7
}

fn is_clean_write(op: &torc_base::io::DiskOp) -> bool {
    matches!(op.kind, DiskKind::Write { durable: false, .. })
}

#[test]
fn what_lives_in_mostly_dead_segments_is_moved_and_they_are_freed() {
    for seed in 0..5 {
        let mut rig = mixed(cleaning(), seed, 120);
        let before = rig.disk.files.len();
        rig.verify(50_000);
        release(&mut rig);
        come_to_rest(&mut rig);
        assert!(is_moved(&rig, KEPT), "seed {seed}");
        rig.verify(50_000);
        rig.verify(1);
        let stats = rig.wal.stats();
        assert!(stats.cleaner_passes > 0 && stats.cleaner_freed_bytes >= 8 * SEGMENT, "{stats:?}");
        assert!(rig.disk.files.len() * 2 < before, "{before} files before, {} now", rig.disk.files.len());
        assert_eq!(leaked(&rig), 0, "{stats:?}");
        // The same after a restart, from the checkpoint alone and with more behind it.
        for power in [true, false] {
            rig.restart(power);
            assert!(is_moved(&rig, KEPT));
            rig.verify(50_000);
            rig.append(KEPT, 700, false);
            rig.settle();
            assert_eq!(leaked(&rig), 0);
        }
    }
}

#[test]
fn readers_get_the_same_at_every_step_of_a_pass() {
    let mut rig = mixed(cleaning(), 11, 70);
    release(&mut rig);
    let mut looks = 0;
    rig.now.mono = rig.now.mono.plus_ms(1_000);
    rig.turn();
    while !rig.pending.is_empty() {
        rig.step();
        rig.turn();
        // The pass stands still while everything is read.
        let (its, others) = std::mem::take(&mut rig.pending).into_iter().partition(is_of_pass);
        rig.pending = others;
        rig.verify(20_000);
        rig.pending.extend::<Vec<_>>(its);
        looks += 1;
    }
    assert!(looks > 10 && is_moved(&rig, KEPT), "{looks} steps");
}

#[test]
fn a_read_under_way_keeps_the_file_of_an_emptied_segment() {
    let mut rig = mixed(cleaning(), 12, 70);
    release(&mut rig);
    let first = rig.wal.runs(GroupId(KEPT))[0];
    // Twice: the first answer loads the footer.
    for wait in [true, false] {
        let read = rig.wal.read(GroupId(KEPT), From::Index(Index(1)), Index(3), 1, FIRST, &mut rig.pending);
        let Read::Pending(id) = read else { panic!("it is on disk: {read:?}") };
        if wait {
            rig.wait_read(id).expect("sound");
            continue;
        }
        let asked = rig.pending.pop().expect("the read's operation");
        assert!(matches!(asked.kind, DiskKind::Read { .. }));
        come_to_rest(&mut rig);
        assert!(is_moved(&rig, KEPT));
        let file = |rig: &Rig| rig.disk.files.len();
        let before = file(&rig);
        rig.pending.push(asked);
        let items = rig.wait_read(id).expect("its segment is as it was");
        assert!(rig.model[&GroupId(KEPT)][0].is(&items[0]));
        rig.settle();
        assert!(file(&rig) < before || rig.wal.runs(GroupId(KEPT))[0].segment != first.segment);
    }
    rig.verify(50_000);
}

/// Runs a pass up to its operation `steps`, does `then`, and expects that nothing is lost, in this life and the next.
fn interrupted(steps: u64, then: impl Fn(&mut Rig)) -> bool {
    let mut rig = mixed(cleaning(), 13, 60);
    release(&mut rig);
    rig.now.mono = rig.now.mono.plus_ms(1_000);
    rig.turn();
    for _ in 0..steps {
        if rig.pending.is_empty() {
            return false;
        }
        rig.step_at(0);
        rig.turn();
    }
    then(&mut rig);
    come_to_rest(&mut rig);
    rig.verify(30_000);
    assert_eq!(leaked(&rig), 0, "step {steps}: {:?} {:?}", rig.wal.stats(), rig.disk.files.keys());
    let durable = rig.durable;
    let is_gone = |rig: &Rig| rig.wal.last_index(GroupId(BUSY[0])).is_none();
    let gone = is_gone(&rig);
    rig.kill(true);
    rig.open().unwrap_or_else(|e| panic!("step {steps}: {e}"));
    rig.settle_model(durable);
    assert_eq!(is_gone(&rig), gone, "a checkpoint was published since it went");
    if gone {
        rig.model.remove(&GroupId(BUSY[0]));
    }
    rig.verify(30_000);
    true
}

fn at_every_step(then: impl Fn(&mut Rig)) {
    let steps = (0..).find(|steps| !interrupted(*steps, &then)).expect("a pass has an end");
    assert!(steps > 20, "a pass of {steps} operations");
}

#[test]
fn a_power_cut_at_every_step_of_a_pass_loses_and_leaks_nothing() {
    at_every_step(|rig| {
        rig.restart(true);
        rig.verify(30_000);
        release(rig);
        come_to_rest(rig);
        assert!(is_moved(rig, KEPT), "the next pass comes to its end");
    });
}

#[test]
fn a_kill_at_every_step_and_a_power_cut_in_the_next_life() {
    at_every_step(|rig| {
        for power in [false, true] {
            rig.restart(power);
            rig.verify(30_000);
            release(rig);
            rig.now.mono = rig.now.mono.plus_ms(1_000);
            rig.turn();
            for _ in 0..7 {
                if !rig.pending.is_empty() {
                    rig.step();
                    rig.turn();
                }
            }
        }
        rig.restart(true);
        release(rig);
    });
}

#[test]
fn a_checkpoint_at_every_step_of_a_pass_is_one_to_start_from() {
    at_every_step(|rig| {
        rig.checkpoint();
        rig.restart(true);
        rig.verify(30_000);
        release(rig);
    });
}

#[test]
fn a_group_that_goes_in_mid_pass_is_gone() {
    at_every_step(|rig| {
        rig.drop_group(BUSY[0]);
        let last = rig.wal.last_index(GroupId(KEPT)).expect("it is there");
        rig.wal.release(GroupId(KEPT), Index(last.get() - 30));
        rig.checkpoint();
        rig.append(KEPT, 1_000, false);
        assert_eq!(rig.wal.last_index(GroupId(BUSY[0])), None);
    });
}

#[test]
fn a_suffix_that_is_replaced_in_mid_pass_is_replaced_wherever_it_lies() {
    at_every_step(|rig| {
        let known = &rig.model[&GroupId(KEPT)];
        let at = known[known.len() / 3].clone();
        rig.append_at(KEPT, at.index, at.first_offset, 800, false);
        rig.append(KEPT, 900, false);
        rig.turn();
        while !rig.pending.is_empty() {
            rig.step();
            rig.turn();
        }
        rig.verify(30_000);
    });
}

#[test]
fn an_error_on_any_write_of_a_pass_fences_and_loses_nothing() {
    let mut fences = 0;
    for n in 1..60 {
        let mut rig = mixed(cleaning(), 14, 45);
        release(&mut rig);
        rig.disk.fail_in = Some((n, DiskError::Io(5)));
        rig.pass_time(1_000);
        if !matches!(rig.wal.state(), State::Fenced(_)) {
            break;
        }
        fences += 1;
        let durable = rig.durable;
        rig.kill(true);
        rig.open().unwrap_or_else(|e| panic!("write {n}: {e}"));
        rig.settle_model(durable);
        rig.verify(30_000);
    }
    assert!((4..59).contains(&fences), "{fences} writes could fail");
}

#[test]
fn a_damaged_victim_is_left_alone_and_the_others_are_emptied() {
    let mut rig = mixed(cleaning(), 15, 90);
    release(&mut rig);
    // A byte of an entry that lives, in a segment that is about to be emptied.
    let runs = rig.wal.runs(GroupId(KEPT)).to_vec();
    let known = rig.model[&GroupId(KEPT)].clone();
    let victim = known.iter().find(|k| k.index == runs[2].first_index.get()).expect("it is there").clone();
    let needle = &victim.bytes[100..400];
    let file = rig.disk.files.iter_mut().find_map(|(name, file)| {
        let at = file.bytes.windows(needle.len()).position(|bytes| bytes == needle)?;
        file.bytes[at] ^= 1;
        Some(name.clone())
    });
    let file = file.expect("it is in a file");
    come_to_rest(&mut rig);
    assert_eq!(rig.wal.state(), State::Running);
    let errors: Vec<&String> = rig
        .outcomes
        .iter()
        .filter_map(|o| match o {
            Outcome::Log(Level::Error, text) => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains(&file) && errors[0].contains("position"), "{errors:?}");
    assert!(Slot::of_name(&file).is_some() && rig.disk.files.contains_key(&file));
    assert!(is_moved(&rig, KEPT), "the others are emptied");
    // All but the damaged segment reads.
    let last = known.last().expect("some").index;
    let mut wrong = 0;
    for k in &known {
        match rig.read(KEPT, From::Index(Index(k.index)), last, 1) {
            Ok(items) => assert!(k.is(&items[0])),
            Err(_) => wrong += 1,
        }
    }
    assert!(wrong > 0 && wrong <= runs[2].last_index.get() - runs[2].first_index.get() + 1, "{wrong} are lost");
}

#[test]
fn no_room_for_an_output_is_no_reason_to_fence() {
    for n in 1..40 {
        let mut rig = mixed(cleaning(), 16, 120);
        release(&mut rig);
        // Whatever is written next finds no room, once.
        rig.now.mono = rig.now.mono.plus_ms(1_000);
        rig.turn();
        let mut writes = 0;
        while !rig.pending.is_empty() {
            writes += u64::from(is_clean_write(&rig.pending[0]));
            if writes == n && rig.disk.fail_in.is_none() {
                rig.disk.fail_in = Some((1, DiskError::NoSpace));
            }
            rig.step_at(0);
            rig.turn();
        }
        if writes < n {
            assert!(n > 3, "{n} writes");
            return;
        }
        assert_eq!(rig.wal.state(), State::Running, "write {n}");
        rig.disk.fail_in = None;
        rig.verify(30_000);
        come_to_rest(&mut rig);
        assert!(is_moved(&rig, KEPT), "write {n}: it is tried again");
        assert_eq!(leaked(&rig), 0, "write {n}");
        rig.verify(30_000);
    }
    panic!("a pass of 40 writes");
}

#[test]
fn a_full_disk_is_emptied_with_the_help_of_the_reserve() {
    let mut rig = Rig::started(WalSettings { reserve_bytes: 2 * SEGMENT, ..cleaning() }, 17);
    rig.disk.capacity = 24 * SEGMENT;
    while rig.wal.state() == State::Running {
        rig.append(KEPT, 1_500, false);
        rig.append(BUSY[0], 19_000, false);
        rig.settle();
    }
    rig.checkpoint();
    assert_eq!(rig.wal.state(), State::Full);
    // Retention leaves a little in every segment: no segment is dead.
    let last = rig.wal.last_index(GroupId(BUSY[0])).expect("it has entries");
    rig.wal.release(GroupId(BUSY[0]), last);
    rig.settle();
    assert_eq!(rig.wal.state(), State::Full);
    for _ in 0..10 {
        rig.pass_time(1_100);
        let free = rig.disk.capacity - rig.disk.files.values().map(|f| f.bytes.len() as u64).sum::<u64>();
        assert!(free >= SEGMENT, "more than one file was taken of the reserve");
        if rig.wal.wants_checkpoint() {
            rig.checkpoint();
        }
    }
    assert_eq!(rig.wal.state(), State::Running);
    rig.verify(50_000);
}

#[test]
fn the_pace_is_kept() {
    let per_second = 256 << 10;
    let cleaner = CleanerSettings { bytes_per_second: per_second, ..cleaning().cleaner };
    let mut rig = mixed(WalSettings { cleaner, ..cleaning() }, 18, 120);
    release(&mut rig);
    let mut before = 0;
    let start = rig.now.mono;
    for _ in 0..200 {
        rig.pass_time(100);
        let stats = rig.wal.stats();
        let bytes = stats.cleaner_read_bytes + stats.cleaner_written_bytes;
        let most = u128::from(rig.now.mono.since(start)) * u128::from(per_second) / 1_000_000_000;
        // One operation may be ahead.
        assert!(u128::from(bytes) <= most + (1 << 20), "{bytes} bytes, {most} are allowed");
        before = bytes;
    }
    assert!(before > per_second && is_moved(&rig, KEPT), "{before} bytes in 20 s");
}

#[test]
fn small_pieces_are_sorted_by_group() {
    let cleaner = CleanerSettings { sort_after_ms: 500, ..cleaning().cleaner };
    let mut rig = Rig::started(WalSettings { cleaner, ..cleaning() }, 19);
    let groups = 10..30;
    for _ in 0..180 {
        for group in groups.clone() {
            rig.append(group, 700, false);
        }
        rig.settle();
    }
    rig.checkpoint();
    let reads = |rig: &mut Rig| {
        let before = rig.wal.stats().disk_reads;
        groups.clone().for_each(|group| {
            rig.read_all(group, 64 << 10).expect("sound");
        });
        rig.wal.stats().disk_reads - before
    };
    let unsorted = reads(&mut rig);
    come_to_rest(&mut rig);
    let sorted = reads(&mut rig);
    rig.verify(64 << 10);
    assert!(groups.clone().all(|group| is_moved(&rig, group)));
    assert!(sorted * 2 < unsorted, "{unsorted} reads before, {sorted} after");
    assert_eq!(leaked(&rig), 0);
    // Sorted once, they are left alone.
    let written = rig.wal.stats().cleaner_written_bytes;
    rig.pass_time(60_000);
    assert_eq!(rig.wal.stats().cleaner_written_bytes, written);
    rig.restart(true);
    rig.verify(64 << 10);
}

#[test]
fn a_run_keeps_a_size_that_retention_can_use() {
    let mut rig = mixed(cleaning(), 20, 400);
    release(&mut rig);
    let bytes = rig.wal.group_bytes(GroupId(KEPT));
    come_to_rest(&mut rig);
    let runs = rig.wal.runs(GroupId(KEPT)).to_vec();
    assert_eq!(rig.wal.group_bytes(GroupId(KEPT)), bytes);
    assert!(runs.iter().all(|run| run.bytes <= 1 << 20), "{runs:?}");
    // Some of what was moved dies: what is left is counted right, and the rest of its segment is found.
    let some = runs.iter().position(|run| is_cold(run.segment)).expect("moved") + 1;
    rig.wal.release(GroupId(KEPT), runs[some].first_index);
    let left: u64 = runs[some..].iter().map(|run| run.bytes).sum();
    assert_eq!(rig.wal.group_bytes(GroupId(KEPT)), left);
    let known = &rig.model[&GroupId(KEPT)];
    let first = runs[some].first_index.get();
    let exact: u64 = known.iter().filter(|k| k.index >= first).map(|k| k.bytes.len() as u64).sum();
    assert_eq!(left, exact);
    rig.verify(50_000);
}

#[test]
fn files_hold_at_most_twice_what_lives() {
    let mut rig = Rig::started(cleaning(), 21);
    let mut most = 0;
    for round in 0..1_500u64 {
        rig.append(KEPT, 1_000, false);
        rig.append(BUSY[0], 12_000, round % 2 == 0);
        rig.append(BUSY[1], 8_000, false);
        rig.pass_time(20);
        // The busy ones keep some hundred KiB.
        for group in BUSY.map(GroupId) {
            let last = rig.wal.last_index(group).expect("just appended");
            rig.wal.release(group, Index(last.get().saturating_sub(20).max(1)));
        }
        if rig.wal.wants_checkpoint() {
            rig.checkpoint();
        }
        let files: u64 = rig.disk.files.values().map(|f| f.bytes.len() as u64).sum();
        let live = rig.wal.stats().live_bytes;
        // What is being filled, spares, and what one pass needs before it gives back.
        let constant = 12 * SEGMENT;
        assert!(files <= 2 * live + constant, "round {round}: {files} bytes of files, {live} live");
        most = most.max(files);
    }
    rig.verify(100_000);
    assert!(rig.wal.stats().cleaner_passes > 10 && most < 40 * SEGMENT, "{:?}", rig.wal.stats());
}

#[test]
fn padding_is_taken_away_when_it_has_become_old() {
    let cleaner = CleanerSettings { sort_after_ms: 60_000, ..cleaning().cleaner };
    let mut rig = Rig::started(WalSettings { cleaner, ..cleaning() }, 22);
    // Each entry has a page of its own.
    for _ in 0..600 {
        rig.append(KEPT, 100, false);
        rig.settle();
    }
    rig.checkpoint();
    let before = rig.disk.files.len();
    rig.pass_time(30_000);
    assert_eq!(rig.wal.stats().cleaner_read_bytes, 0, "there is no hurry");
    rig.pass_time(60_000);
    come_to_rest(&mut rig);
    assert!(is_moved(&rig, KEPT) && rig.disk.files.len() * 2 < before, "{before}, {}", rig.disk.files.len());
    rig.verify(10_000);
}

#[test]
fn what_compaction_waits_for_is_sorted_before_its_time() {
    const GROUPS: u64 = 20;
    let mut rig = Rig::started(cleaning(), 41);
    for _ in 0..100 {
        (1..=GROUPS).for_each(|group| _ = rig.append(group, 300, false));
        rig.settle();
    }
    rig.checkpoint();
    let (filling, now) = (rig.wal.filling(), rig.now.mono);
    let runs = rig.wal.runs(GroupId(1));
    let sealed: BTreeSet<SegmentId> = runs.iter().map(|run| run.segment).filter(|id| *id != filling).collect();
    assert!(sealed.len() >= 3, "{sealed:?}");
    for id in &sealed {
        assert!(rig.wal.wants_sorting(*id, GROUPS, now));
        assert!(!rig.wal.wants_sorting(*id, 1, now), "a single one reads no more than the cleaner would");
    }
    come_to_rest(&mut rig);
    assert_eq!(rig.wal.stats().cleaner_passes, 0, "their time has not come");
    let first = *sealed.first().expect("there are some");
    rig.wal.sort(BTreeSet::from([first]));
    come_to_rest(&mut rig);
    let lies = |rig: &Rig, group| rig.wal.runs(GroupId(group)).iter().map(|run| run.segment).collect::<Vec<_>>();
    for group in 1..=GROUPS {
        assert!(is_moved(&rig, group) && !lies(&rig, group).contains(&first), "{group}");
        assert!(lies(&rig, group).contains(sealed.last().expect("there are some")), "no others");
    }
    rig.wal.sort(sealed.clone());
    come_to_rest(&mut rig);
    assert!((1..=GROUPS).all(|group| lies(&rig, group).iter().all(|id| is_cold(*id) || *id == filling)));
    assert!(!rig.wal.wants_sorting(lies(&rig, 1)[0], GROUPS, rig.now.mono), "it is sorted");
    rig.verify(50_000);
    rig.restart(true);
    rig.verify(50_000);
}

#[test]
fn a_segment_of_many_groups_that_cannot_be_sorted_is_not_waited_for() {
    for damaged in [true, false] {
        let settings = cleaning();
        let cleaner = CleanerSettings { enabled: damaged, ..settings.cleaner };
        let mut rig = Rig::started(WalSettings { cleaner, ..settings }, 42);
        for _ in 0..60 {
            (1..=20).for_each(|group| _ = rig.append(group, 300, false));
            rig.settle();
        }
        rig.checkpoint();
        let (first, now) = (rig.wal.runs(GroupId(1))[0].segment, rig.now.mono);
        assert_eq!(rig.wal.wants_sorting(first, 20, now), damaged);
        rig.disk.fail_read_in = damaged.then_some(1);
        rig.wal.sort(BTreeSet::from([first]));
        come_to_rest(&mut rig);
        assert!(!rig.wal.wants_sorting(first, 20, rig.now.mono));
        rig.verify(50_000);
    }
}
