//! Compaction: what is left of a group's log is found where it was written, whatever happens meanwhile.

mod rig;

use rig::{FIRST, Known, Rig, cleaning};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use torc_base::buf::Pool;
use torc_base::crc::crc32c;
use torc_base::ids::{GroupId, Index, Offset};
use torc_base::io::{DiskError, DiskOp};
use torc_wal::segment::is_cold;
use torc_wal::{Compacting, From, Item, Outcome, Part, Read, ReadId, WalSettings};

const GROUPS: [u64; 3] = [1, 2, 3];
/// It is never compacted.
const OTHER: u64 = 3;

/// A log, and what compaction leaves of its entries: `None` of those that it drops.
struct World {
    rig: Rig,
    left: BTreeMap<(u64, u64), Vec<Option<Known>>>,
    /// Parts that are handed over before the compaction is cut short, with the next one already read.
    parts: u64,
    /// Where a read of the first group begins that is made when all parts have been handed over, and what it asks the disk for.
    late: Option<From>,
    late_read: Option<(ReadId, Vec<DiskOp>)>,
}

impl World {
    fn new(settings: WalSettings, seed: u64, rounds: u64) -> World {
        let mut rig = Rig::started(settings, seed);
        for round in 0..rounds {
            for group in GROUPS {
                let bytes = 200 + rig.prng.below(3_000) as usize;
                rig.append(group, bytes, false);
                if round % 7 == group {
                    rig.append(group, 40_000, true);
                }
            }
            rig.settle();
        }
        World { rig, left: BTreeMap::new(), parts: u64::MAX, late: None, late_read: None }
    }

    /// What is left of an entry that compaction came by: it is the same each time that it comes by before it is done. Of
    /// the last one something is always left.
    fn leave(&mut self, round: usize, item: &Item, is_last: bool) -> Option<Known> {
        let forms = self.left.entry((item.group.get(), item.index.get())).or_default();
        if let Some(known) = forms.get(round)
            && (known.is_some() || !is_last)
        {
            return known.clone();
        }
        let mut known = Known {
            group: item.group,
            kind: item.kind.0,
            term: item.term.get(),
            index: item.index.get(),
            first_offset: item.first_offset.get(),
            records: item.records,
            max_timestamp: item.max_timestamp,
            bytes: item.bytes.to_vec(),
            seq: torc_base::ids::BatchSeq(0),
        };
        let kept = match self.rig.prng.below(10) {
            0..=5 if !is_last => None,
            // An entry without bytes is one all the same: terms begin with such.
            of_ten @ (6 | 7) => {
                known.bytes.truncate((of_ten - 6) as usize * known.bytes.len() / 3);
                known.max_timestamp -= 1;
                Some(known)
            }
            _ => Some(known),
        };
        while forms.len() < round {
            forms.push(forms.last().cloned().unwrap_or_else(|| kept.clone()));
        }
        forms.truncate(round);
        forms.push(kept.clone());
        kept
    }

    /// Hands over all entries of the groups up to the last one but `keep`. False if it came to an early end.
    fn compact(&mut self, round: usize, keep: u64) -> bool {
        self.compact_until(round, keep, u64::MAX).expect("no bound of steps")
    }

    /// The same, for so many operations of the disk; `None`: then it is not at its end.
    fn compact_until(&mut self, round: usize, keep: u64, mut steps: u64) -> Option<bool> {
        while !self.rig.wal.begin_compaction() {
            self.rig.pass_time(2_000);
            if self.rig.wal.wants_checkpoint() {
                self.rig.checkpoint();
            }
        }
        for group in [1, 2] {
            let id = GroupId(group);
            let last = Index(self.rig.wal.last_index(id).expect("known").get() - keep);
            let mut next = self.rig.wal.first_index(id).expect("known");
            let mut offset = Offset(self.rig.model[&id][next.get() as usize - 1].first_offset);
            while next <= last {
                loop {
                    match self.rig.wal.compacting(self.rig.now.mono) {
                        Compacting::Parts => break,
                        Compacting::Nothing => return Some(self.ended()),
                        Compacting::Time => self.work(&mut steps)?,
                    }
                }
                let items = self.rig.read(group, From::Index(next), last.get(), 30_000).expect("sound");
                let read = items.last().expect("the last entry is never left out");
                let (last_index, end_offset) = (read.index, read.end_offset());
                self.rig.wal.charge_compaction(self.rig.now.mono, 30_000);
                let part = Part { group: id, first_index: next, first_offset: offset, last_index, end_offset };
                let left = |item: &Item| self.leave(round, item, item.index == last).map(|known| as_item(item, &known));
                let items: Vec<Item> = items.iter().filter_map(left).collect();
                if self.parts == 0 {
                    self.rig.wal.end_compaction(false);
                }
                self.parts = self.parts.saturating_sub(1);
                self.rig.wal.compact(&part, items);
                (next, offset) = (last_index.next(), end_offset);
                self.rig.turn();
            }
        }
        if let Some(from) = self.late.take() {
            let last = self.rig.wal.last_index(GroupId(1)).expect("known");
            let before = self.rig.pending.len();
            let read = self.rig.wal.read(GroupId(1), from, last, 20_000, FIRST, &mut self.rig.pending);
            let Read::Pending(id) = read else { panic!("it is on disk: {read:?}") };
            self.late_read = Some((id, self.rig.pending.split_off(before)));
        }
        self.rig.wal.end_compaction(true);
        while self.rig.wal.compacting(self.rig.now.mono) != Compacting::Nothing {
            self.work(&mut steps)?;
        }
        Some(self.ended())
    }

    fn work(&mut self, steps: &mut u64) -> Option<()> {
        *steps = steps.checked_sub(1)?;
        self.rig.now.mono = self.rig.now.mono.plus_ms(100);
        self.rig.turn();
        if !self.rig.pending.is_empty() {
            self.rig.step_at(0);
        }
        self.rig.turn();
        Some(())
    }

    fn ended(&mut self) -> bool {
        let at = self.rig.outcomes.iter().position(|outcome| matches!(outcome, Outcome::Compacted { .. }));
        let fenced = self.rig.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Fenced(_)));
        assert!(at.is_some() || fenced, "an end is told");
        at.is_some_and(|at| matches!(self.rig.outcomes.remove(at), Outcome::Compacted { whole: true }))
    }

    /// Below where the log says that it is compacted a group has what was left, from there on what was appended.
    fn verify(&mut self, max_bytes: usize) {
        for group in GROUPS {
            let id = GroupId(group);
            let items = self.rig.read_all(group, max_bytes).unwrap_or_else(|e| panic!("{e}"));
            let compacted = self.rig.wal.compacted(id).get();
            assert!(group != OTHER || compacted == 0);
            let mut items = items.into_iter().peekable();
            let first = self.rig.wal.first_index(id).expect("known").get();
            for known in self.rig.model[&id].clone().iter().filter(|known| known.index >= first) {
                let there = items.next_if(|item| item.index.get() == known.index);
                let is = |known: &Option<Known>| match (&there, known) {
                    (Some(item), Some(known)) => known.is(item),
                    (None, None) => true,
                    _ => false,
                };
                let forms = self.left.get(&(group, known.index));
                let sound = match forms {
                    Some(forms) if known.index < compacted => forms.iter().any(is),
                    _ => is(&Some(known.clone())),
                };
                assert!(sound, "group {group} index {} (compacted below {compacted})", known.index);
            }
            assert!(items.next().is_none(), "nothing that was not appended");
        }
    }

    /// Each offset gives the entry that covers it, or the next one.
    fn verify_offsets(&mut self) {
        for group in [1, 2] {
            let items = self.rig.read_all(group, 1 << 20).expect("sound");
            let last = self.rig.wal.last_index(GroupId(group)).expect("known").get();
            let end = self.rig.wal.end_offset(GroupId(group)).expect("known").get();
            for offset in (0..end).step_by(3) {
                let expected = items.iter().find(|item| item.end_offset() > Offset(offset));
                let read = self.rig.read(group, From::Offset(Offset(offset)), last, 1).expect("not released");
                assert_eq!(read.first().map(|i| i.index), expected.map(|i| i.index), "group {group} offset {offset}");
            }
        }
    }

    /// Searches give what a walk through all entries gives, up to whichever of them, be it in a gap or not.
    fn verify_searches(&mut self) {
        for group in [1, 2] {
            let id = GroupId(group);
            let all = self.rig.read_all(group, 1 << 20).expect("sound");
            let last = self.rig.wal.last_index(id).expect("known").get();
            for upto in (0..=last).map(Index) {
                let behind = Offset(self.rig.prng.below(60) as i64 - 20);
                let ts = 1_000 + self.rig.prng.below(1_050) as i64;
                let wanted = |item: &&Item| item.index <= upto && item.end_offset() > behind;
                let expected = all.iter().filter(wanted).find(|item| item.max_timestamp >= ts);
                let find = self.rig.wal.find_timestamp(id, ts, (behind, upto), 0, &mut self.rig.pending);
                let found = self.rig.lookup(find).expect("sound");
                let (found, expected) = (found.map(|item| item.index), expected.map(|item| item.index));
                assert_eq!(found, expected, "group {group}: time {ts} up to {upto} behind {behind}");
                let expected = all.iter().filter(wanted).max_by_key(|item| (item.max_timestamp, Reverse(item.index)));
                let find = self.rig.wal.find_max_timestamp(id, (behind, upto), 0, &mut self.rig.pending);
                let found = self.rig.lookup(find).expect("sound");
                let (found, expected) = (found.map(|item| item.index), expected.map(|item| item.index));
                assert_eq!(found, expected, "group {group}: the largest up to {upto} behind {behind}");
            }
        }
    }

    fn come_to_rest(&mut self) {
        for _ in 0..20 {
            self.rig.pass_time(1_500);
            if self.rig.wal.wants_checkpoint() {
                self.rig.checkpoint();
            }
        }
    }

    /// Files that hold nothing that anybody knows of.
    fn leaked(&self) -> u64 {
        let stats = self.rig.wal.stats();
        (self.rig.disk.files.len() as u64).saturating_sub(stats.segments + stats.spares + 1)
    }
}

fn as_item(item: &Item, known: &Known) -> Item {
    let mut bytes = Pool::new(usize::MAX, 0).take(known.bytes.len()).expect("no limit");
    bytes.copy_from_slice(&known.bytes);
    let bytes = bytes.freeze();
    let prefix_len = item.prefix_len.min(known.bytes.len() as u8);
    let body_crc = crc32c(&bytes[usize::from(prefix_len)..]);
    Item { max_timestamp: known.max_timestamp, prefix_len, body_crc, bytes, ..item.clone() }
}

#[test]
fn readers_find_what_is_left() {
    for seed in 0..4 {
        let mut world = World::new(cleaning(), seed, 80);
        world.rig.checkpoint();
        let live = world.rig.wal.stats().live_bytes;
        assert!(world.compact(0, 1), "seed {seed}");
        assert!(world.rig.wal.compacted(GroupId(1)) > Index(80));
        let runs = world.rig.wal.runs(GroupId(1));
        assert!(is_cold(runs[0].segment) && runs[0].first_offset == Offset(0) && runs[0].first_index == Index(1));
        assert!(world.rig.wal.stats().live_bytes < live * 3 / 4, "much of it is gone");
        for max_bytes in [1, 5_000, 1 << 20] {
            world.verify(max_bytes);
        }
        world.verify_offsets();
    }
}

#[test]
fn it_goes_on_after_restarts_with_and_without_a_checkpoint() {
    for seed in 10..18 {
        let mut world = World::new(cleaning(), seed, 60);
        for round in 0..4 {
            assert!(world.compact(round, 1 + seed % 3));
            if world.rig.prng.chance(1, 2) {
                world.rig.checkpoint();
            }
            for power in [seed % 2 == 0, true] {
                world.rig.restart(power);
                world.verify(20_000);
                for group in GROUPS {
                    world.rig.append(group, 900, false);
                }
                world.rig.settle();
                world.verify(1 << 20);
            }
            world.verify_offsets();
        }
        world.come_to_rest();
        world.verify(10_000);
        assert_eq!(world.leaked(), 0, "seed {seed}: {:?}", world.rig.wal.stats());
    }
}

#[test]
fn the_cleaner_moves_what_is_left_and_frees_what_it_came_from() {
    for seed in 20..24 {
        let mut world = World::new(cleaning(), seed, 150);
        world.rig.checkpoint();
        let before = world.rig.disk.files.len();
        for round in 0..6 {
            assert!(world.compact(round, 2));
            world.come_to_rest();
            world.verify(30_000);
        }
        // Of the third group all but the newest goes: its segments hold little, and what is compacted is moved with it.
        let last = world.rig.wal.last_index(GroupId(OTHER)).expect("known");
        world.rig.wal.release(GroupId(OTHER), last);
        world.come_to_rest();
        world.verify(30_000);
        world.verify_offsets();
        let after = world.rig.disk.files.len();
        assert!(after * 2 < before, "seed {seed}: {before} files before, {after} now: {:?}", world.rig.wal.stats());
        world.rig.restart(true);
        world.verify(30_000);
        assert_eq!(world.leaked(), 0, "{:?}", world.rig.wal.stats());
    }
}

#[test]
fn nothing_may_be_left_of_a_part_or_of_the_front_of_a_log() {
    for (from, upto) in [(1, 40), (1, 79), (20, 60), (1, 1), (79, 79)] {
        let mut world = World::new(cleaning(), 30, 80);
        world.rig.checkpoint();
        let known = world.rig.model[&GroupId(1)].clone();
        for known in known.iter().filter(|known| (from..=upto).contains(&known.index)) {
            world.left.insert((1, known.index), vec![None]);
        }
        assert!(world.compact(0, known.len() as u64 - upto));
        world.verify(10_000);
        world.verify_offsets();
        world.come_to_rest();
        world.rig.checkpoint();
        world.rig.restart(true);
        world.verify(10_000);
        world.verify_offsets();
    }
}

/// What is first after a release may lie far behind the offset up to which records were released.
#[test]
fn offsets_in_front_of_what_is_left_can_be_read_after_a_release() {
    for seed in 60..72 {
        let mut world = World::new(cleaning(), seed, 60);
        let mut start = Offset(0);
        for round in 0..4 {
            assert!(world.compact(round, 1));
            world.come_to_rest();
            let last = world.rig.wal.last_index(GroupId(1)).expect("known");
            let end = world.rig.wal.end_offset(GroupId(1)).expect("known");
            start = start.plus(world.rig.prng.below((end.get() - start.get()) as u64 / 2) as i64);
            // Whole runs go, of which all offsets are below the start.
            let kept = world.rig.wal.runs(GroupId(1)).iter().find(|run| run.end_offset > start).expect("not all goes");
            let first = kept.first_index;
            world.rig.wal.release(GroupId(1), first);
            let items = world.rig.read_all(1, 1 << 20).expect("sound");
            for offset in (start.get()..end.get()).map(Offset) {
                let expected = items.iter().find(|item| item.end_offset() > offset);
                let read = world.rig.read(1, From::Offset(offset), last.get(), 1).expect("not released");
                let (read, expected) = (read.first().map(|i| i.index), expected.map(|i| i.index));
                assert_eq!(read, expected, "seed {seed} round {round}: offset {offset} of {start} on");
            }
            world.come_to_rest();
            for group in GROUPS {
                world.rig.append(group, 900, false);
            }
            world.rig.settle();
        }
    }
}

#[test]
fn a_power_cut_at_every_step_leaves_the_old_or_the_new() {
    for checkpoint in [false, true] {
        let mut steps = 0;
        loop {
            let mut world = World::new(cleaning(), 40, 30);
            if checkpoint {
                world.rig.checkpoint();
            }
            let ended = world.compact_until(0, 1, steps).is_some();
            if checkpoint && steps % 2 == 1 {
                // What is published by then is in a checkpoint.
                let (section, upto) = world.rig.wal.begin_checkpoint(false);
                world.rig.turn();
                while world.rig.durable < upto {
                    world.rig.step();
                    world.rig.turn();
                }
                world.rig.replay_from = upto.next();
                world.rig.section = Some(section);
            }
            world.rig.restart(true);
            world.verify(30_000);
            assert!(world.compact(0, 1), "the next one comes to its end");
            world.verify(30_000);
            world.come_to_rest();
            world.rig.restart(true);
            world.verify(30_000);
            assert_eq!(world.leaked(), 0, "step {steps}: {:?}", world.rig.wal.stats());
            if ended {
                break;
            }
            steps += 1;
        }
        assert!(steps > 8, "a compaction of {steps} operations");
    }
}

#[test]
fn what_is_released_or_dropped_meanwhile_stays_so() {
    for drop in [false, true] {
        for steps in 0..12 {
            let mut world = World::new(cleaning(), 50, 40);
            world.rig.checkpoint();
            let ended = world.compact_until(0, 1, steps).is_some();
            if drop {
                world.rig.drop_group(2);
            } else {
                let runs = world.rig.wal.runs(GroupId(2));
                let below = runs[runs.len() / 2].first_index.next();
                world.rig.wal.release(GroupId(2), below);
            }
            if !ended {
                world.rig.wal.end_compaction(false);
            }
            world.come_to_rest();
            assert_eq!(world.rig.wal.last_index(GroupId(2)).is_none(), drop);
            if drop {
                world.rig.append_at(2, 1, 0, 100, false);
                world.rig.settle();
                world.left.retain(|(group, _), _| *group != 2);
            }
            world.verify(30_000);
            assert_eq!(world.leaked(), 0);
        }
    }
}

#[test]
fn without_room_it_ends_early_and_goes_on_when_there_is_some() {
    let mut world = World::new(cleaning(), 60, 30);
    world.rig.checkpoint();
    world.come_to_rest();
    let used: u64 = world.rig.disk.files.values().map(|file| file.bytes.len() as u64).sum();
    world.rig.disk.capacity = used;
    assert!(!world.compact(0, 1), "there is no file to write to");
    world.verify(30_000);
    world.rig.disk.capacity = 1 << 40;
    assert!(world.compact(0, 1));
    world.verify(30_000);
}

#[test]
fn a_broken_disk_fences_and_loses_nothing() {
    for n in 1..12 {
        let mut world = World::new(cleaning(), 61, 30);
        world.rig.checkpoint();
        world.come_to_rest();
        world.rig.disk.fail_in = Some((n, DiskError::Io(5)));
        let whole = world.compact_until(0, 1, 60);
        let failed = world.rig.disk.fail_in.as_ref().is_none_or(|(left, _)| *left == 0 || *left > n);
        assert!(whole != Some(true) || !failed, "{n}");
        world.rig.restart(false);
        world.verify(30_000);
        assert!(world.compact(0, 1));
        world.verify(30_000);
    }
}

#[test]
fn a_reader_that_goes_on_over_gaps_is_read_ahead_of() {
    let settings = WalSettings { read_ahead_bytes: 8 << 20, segment_bytes: 1 << 20, ..cleaning() };
    let mut world = World::new(settings, 70, 1_500);
    world.rig.checkpoint();
    assert!(world.compact(0, 1));
    let last = world.rig.wal.last_index(GroupId(1)).expect("known").get();
    // What covers no offsets is not asked for by any.
    let covers = |item: &&Item| item.records > 0;
    let expected = world.rig.read_all(1, 1 << 20).expect("sound");
    let expected: Vec<Index> = expected.iter().filter(covers).map(|item| item.index).collect();
    world.rig.checkpoint();
    world.rig.restart(false);
    let (mut offset, mut got) = (Offset(0), Vec::new());
    loop {
        let items = world.rig.read(1, From::Offset(offset), last, 100_000).expect("sound");
        let Some(end) = items.last().map(Item::end_offset) else { break };
        got.extend(items.iter().filter(covers).map(|item| item.index));
        offset = end;
        world.rig.settle();
    }
    assert_eq!(got, expected);
    let stats = world.rig.wal.stats();
    assert!(stats.ahead_hits > 4 * stats.ahead_misses && stats.ahead_hits > 5, "{stats:?}");
}

/// A full disk cuts a compaction short, whenever that is: whoever has read the next part hands it over all the same.
#[test]
fn a_part_that_comes_when_the_compaction_was_cut_short_stays_as_it_is() {
    for parts in 0..6 {
        let mut world = World::new(cleaning(), 60 + parts, 60);
        world.parts = parts;
        assert!(!world.compact(0, 1), "{parts} parts");
        world.verify(20_000);
        world.rig.checkpoint();
        world.rig.restart(true);
        world.verify(1 << 20);
        world.parts = u64::MAX;
        assert!(world.compact(1, 1), "{parts} parts");
        world.verify(20_000);
        world.verify_offsets();
    }
}

#[test]
fn searches_up_to_an_entry_in_a_gap_come_to_their_end_and_find_what_is_there() {
    for seed in 80..84 {
        let mut world = World::new(cleaning(), seed, 60);
        world.rig.checkpoint();
        for round in 0..2 {
            assert!(world.compact(round, 1));
            world.verify_searches();
            world.come_to_rest();
            world.verify_searches();
        }
    }
}

/// Where its entries were is not where they are when it comes back, and some have gone: it is not told that nothing is there.
#[test]
fn a_read_on_its_way_while_compaction_ends_finds_what_is_left() {
    for seed in 90..96 {
        let mut world = World::new(cleaning(), seed, 60);
        world.rig.checkpoint();
        let last = world.rig.wal.last_index(GroupId(1)).expect("known");
        for (round, from) in
            [From::Index(Index(1)), From::Index(Index(30)), From::Offset(Offset(20))].into_iter().enumerate()
        {
            // Nothing is left to load but entries.
            world.rig.read_all(1, 1 << 20).expect("sound");
            let before = world.rig.wal.compacted_at(GroupId(1));
            world.late = Some(from);
            assert!(world.compact(round, 1), "seed {seed}");
            assert_ne!(world.rig.wal.compacted_at(GroupId(1)), before);
            assert_eq!(world.rig.wal.compacted_at(GroupId(OTHER)), 0);
            let (id, under_way) = world.late_read.take().expect("it was made");
            world.rig.pending.extend(under_way);
            let items = world.rig.wait_read(id).expect("sound");
            let there = world.rig.read(1, from, last.get(), 20_000).expect("sound");
            let of = |items: &[Item]| -> Vec<(Index, usize)> {
                items.iter().map(|item| (item.index, item.bytes.len())).collect()
            };
            assert!(!items.is_empty() && items.len() <= there.len());
            assert_eq!(of(&items), of(&there[..items.len()]), "seed {seed} {from:?}");
        }
    }
}

/// Entries of a group that shares its batches with others lie pages apart: what the disk has to bring is many times what they are.
#[test]
fn what_the_disk_brings_for_a_compaction_counts_in_its_pace_not_what_was_wanted() {
    let mut world = World::new(cleaning(), 97, 60);
    world.rig.checkpoint();
    let last = world.rig.wal.last_index(GroupId(1)).expect("known");
    assert!(world.rig.wal.begin_compaction());
    let stats = |world: &World| world.rig.wal.stats();
    let before = stats(&world);
    let range = (Index(1), last);
    let read = world.rig.wal.read_to_compact(GroupId(1), range, 20_000, FIRST, &mut world.rig.pending);
    let Read::Pending(id) = read else { panic!("it is on disk: {read:?}") };
    let items = world.rig.wait_read(id).expect("sound");
    let wanted: usize = items.iter().map(|item| item.bytes.len()).sum();
    world.rig.wal.charge_compaction(world.rig.now.mono, wanted as u64);
    let brought = stats(&world).disk_read_bytes - before.disk_read_bytes;
    assert!(brought > wanted as u64);
    assert_eq!(stats(&world).cleaner_read_bytes - before.cleaner_read_bytes, brought);
    // What comes from memory counts as what it is, and what others read does not count.
    world.rig.read_all(2, 1 << 20).expect("sound");
    world.rig.wal.charge_compaction(world.rig.now.mono, 7);
    assert_eq!(stats(&world).cleaner_read_bytes - before.cleaner_read_bytes, brought + 7);
    world.rig.wal.end_compaction(false);
}
