//! Footers rot: what they said is found again in the batches. Where batches rot, too, reads of their entries fail, and no others.

mod rig;

use rig::{Rig, batches, cleaning, small};
use std::collections::BTreeSet;
use torc_base::ids::{BatchSeq, GroupId, Index, Offset, SegmentId};
use torc_base::io::{DiskKind, Level};
use torc_base::limits::PAGE;
use torc_wal::segment::{Header, Trailer, footer_bytes, is_cold};
use torc_wal::{From, Outcome, WalError, WalSettings, batch};

const GROUPS: u64 = 12;
/// Most of what one operation of a footer moves, in segments of this size.
const PIECE: usize = 2 * PAGE;

/// Nothing of it is in memory.
fn cold() -> WalSettings {
    WalSettings { tail_bytes: 0, read_ahead_bytes: 0, ..small() }
}

/// Entries of many groups in several segments, all of them in a checkpoint.
fn filled(seed: u64) -> Rig {
    let mut rig = Rig::started(cold(), seed);
    for round in 0..50 {
        for group in 1..=GROUPS {
            let bytes = 100 + (seed * 37 + round * group * 53) as usize % 1_500;
            rig.append(group, bytes, false);
            if (round + group) % 17 == 0 {
                rig.append(group, 20_000, true);
            }
            if group % 5 == 0 {
                rig.settle();
            }
        }
        rig.settle();
    }
    rig.checkpoint();
    rig.settle();
    rig
}

/// Where the footer begins in a file that has one.
fn footer_of(bytes: &[u8]) -> Option<usize> {
    let header = Header::decode(bytes)?;
    let trailer = Trailer::decode(&bytes[bytes.len() - PAGE..])?;
    let belongs = (trailer.segment, trailer.salt) == (header.segment, header.salt);
    belongs.then(|| bytes.len() - footer_bytes(trailer.extents as usize))
}

/// Names of files with a footer, and where it begins.
fn footers(rig: &Rig) -> Vec<(String, usize)> {
    let all = rig.disk.files.iter();
    all.filter_map(|(name, file)| Some((name.clone(), footer_of(&file.bytes)?))).collect()
}

/// What is damaged of a footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Extents,
    Trailer,
    All,
}

const PARTS: [Part; 3] = [Part::Extents, Part::Trailer, Part::All];

fn damage(rig: &mut Rig, name: &str, from: usize, part: Part) {
    let place = rig.prng.next_u64() as usize;
    let bytes = &mut rig.disk.files.get_mut(name).expect("it has a footer").bytes;
    let end = bytes.len();
    match part {
        Part::Extents => bytes[from + place % (end - PAGE - from).max(1)] ^= 0x10,
        // Of the page only so much is looked at.
        Part::Trailer => bytes[end - PAGE + place % 56] ^= 0x10,
        Part::All => bytes[from..].fill(0),
    }
}

/// Lines about footers that were made again.
fn said(rig: &Rig) -> usize {
    let is_one = |outcome: &Outcome| matches!(outcome, Outcome::Log(Level::Warn, text) if text.contains("made again"));
    rig.outcomes.iter().filter(|outcome| is_one(outcome)).count()
}

#[test]
fn what_a_damaged_footer_said_is_found_in_the_batches() {
    for (seed, part) in (1..=6).zip(PARTS.into_iter().cycle()) {
        let mut rig = filled(seed);
        rig.kill(seed % 2 == 0);
        let all = footers(&rig);
        assert!(all.len() >= 3, "{} footers", all.len());
        for (name, from) in &all {
            damage(&mut rig, name, *from, part);
        }
        rig.open().expect("no footer is looked at");
        rig.settle_model(rig.durable);
        rig.verify(30_000);
        assert_eq!(said(&rig), all.len(), "each is told of: {part:?}");
        // By time, too.
        for group in (1..=GROUPS).map(GroupId) {
            let newest = rig.model[&group].iter().map(|known| known.max_timestamp).max();
            let find = rig.wal.find_max_timestamp(group, (Offset(-1), Index(u64::MAX)), 0, &mut rig.pending);
            assert_eq!(rig.lookup(find).expect("whole").map(|item| item.max_timestamp), newest, "{part:?}");
        }
        rig.verify(1);
        assert_eq!(said(&rig), all.len(), "once: {part:?}");
    }
}

#[test]
fn a_footer_that_rots_while_its_log_runs_is_made_again_and_nothing_is_read_in_large_pieces() {
    for part in PARTS {
        let mut rig = filled(20);
        for (name, from) in footers(&rig) {
            damage(&mut rig, &name, from, part);
        }
        let read = rig.wal.read(GroupId(3), From::Index(Index(1)), Index(9), 1 << 20, rig::FIRST, &mut rig.pending);
        let torc_wal::Read::Pending(id) = read else { panic!("{read:?}, and nothing is in memory") };
        let mut pieces = 0;
        while said(&rig) == 0 {
            rig.turn();
            for op in &rig.pending {
                if let DiskKind::Read { bytes, .. } = &op.kind {
                    assert!(bytes.len() <= PIECE, "{} bytes at once", bytes.len());
                }
            }
            assert!(!rig.pending.is_empty(), "it stands still");
            rig.step();
            pieces += 1;
        }
        assert!(pieces > 10, "{pieces} pieces");
        assert_eq!(rig.wait_read(id).expect("whole").len(), 9);
        rig.verify(1 << 20);
    }
}

/// Entries that no read may bring: of a batch with a damaged header or table all, else those whose bytes were hit.
fn rot(rig: &mut Rig, name: &str, footer: usize, count: u64) -> BTreeSet<BatchSeq> {
    let mut lost = BTreeSet::new();
    let all = batches(&rig.disk.files[name].bytes);
    for _ in 0..count {
        let header = all[rig.prng.below(all.len() as u64) as usize];
        let places = [9, 33, batch::HEADER_BYTES + 17, batch::table_end(header.count as usize) - 9];
        let place = places[rig.prng.below(4) as usize];
        if header.count == 0 || (header.position as usize) >= footer || !lost.insert(header.seq) {
            continue;
        }
        rig.disk.files.get_mut(name).expect("it is there").bytes[header.position as usize + place] ^= 0x20;
    }
    lost
}

#[test]
fn scattered_damage_costs_the_entries_of_the_batches_that_it_hits() {
    let (mut failed, mut whole) = (0, 0);
    for (seed, part) in (30..48).zip(PARTS.into_iter().cycle()) {
        let mut rig = filled(seed);
        rig.kill(true);
        let mut lost = BTreeSet::new();
        for (name, from) in footers(&rig) {
            damage(&mut rig, &name, from, part);
            let count = rig.prng.below(4);
            lost.extend(rot(&mut rig, &name, from, count));
        }
        rig.open().expect("what is damaged lies in front of the checkpoint");
        rig.settle_model(rig.durable);
        for (group, known) in rig.model.clone() {
            for known in known {
                let index = Index(known.index);
                let by_offset = rig.prng.chance(1, 2) && known.records > 0;
                let from = match by_offset {
                    true => From::Offset(Offset(known.first_offset)),
                    false => From::Index(index),
                };
                match rig.read(group.get(), from, known.index, 1) {
                    Ok(items) => {
                        assert!(items.len() == 1 && known.is(&items[0]), "seed {seed}: {group} {index}: {items:?}");
                        assert!(!lost.contains(&known.seq), "seed {seed}: {group} {index} was read of a damaged batch");
                        whole += 1;
                    }
                    Err(WalError::Corrupt(found)) => {
                        assert!(lost.contains(&known.seq), "seed {seed}: {group} {index} is whole: {found}");
                        let (of, first) = found.entry.expect("it is known which");
                        assert!(of == group && first <= index && found.through.unwrap_or(first) >= index, "{found:?}");
                        failed += 1;
                    }
                    Err(other) => panic!("seed {seed}: {other}"),
                }
            }
        }
    }
    assert!(failed > 50 && whole > 2_000, "{failed} failed, {whole} read");
}

/// Of a batch that was torn when the process ended, pieces stay in the file behind the end of a segment that is filled no further: they
/// are no batches of it, however much is missing in front of them.
#[test]
fn what_an_earlier_life_left_behind_the_end_is_not_taken_for_a_batch() {
    let mut rig = Rig::started(cold(), 60);
    rig.fill(1, 5, 3_000);
    // Three in flight, of which the first does not reach the disk.
    for _ in 0..3 {
        rig.append(1, 3_000, false);
        rig.turn();
    }
    let ops: Vec<_> = rig.pending.drain(..).collect();
    for op in ops.into_iter().filter(|op| matches!(op.kind, DiskKind::Write { .. })).skip(1) {
        rig.disk.execute(op.kind).expect("no fault");
    }
    let durable = rig.durable;
    rig.disk.crash();
    rig.open().expect("a torn tail");
    rig.settle_model(durable);
    // Nothing more goes into that segment.
    let last = rig.wal.last_index(GroupId(1)).expect("it has entries");
    assert!(rig.wal.seal(GroupId(1), last, last));
    rig.fill(1, 10, 3_000);
    rig.checkpoint();
    let first = rig.wal.runs(GroupId(1))[0];
    rig.kill(true);
    let (name, from) = footers(&rig).remove(0);
    damage(&mut rig, &name, from, Part::All);
    // The last batch of it is gone, too.
    let ends = batches(&rig.disk.files[&name].bytes);
    let last = ends.iter().rfind(|header| header.seq <= durable && header.count > 0).expect("five");
    rig.disk.files.get_mut(&name).expect("it is there").bytes[last.position as usize + 9] ^= 1;
    assert!(ends.iter().any(|header| header.seq > durable && header.position > last.position), "pieces are there");
    rig.open().expect("it lies in front of the checkpoint");
    rig.settle_model(rig.durable);
    for known in rig.model[&GroupId(1)].clone() {
        let read = rig.read(1, From::Index(Index(known.index)), known.index, 1);
        match read {
            Ok(items) => assert!(known.index != first.last_index.get() && known.is(&items[0]), "{}", known.index),
            Err(error) => assert_eq!(known.index, first.last_index.get(), "{error}"),
        }
    }
}

const KEPT: u64 = 1;

/// A little of every segment lives for ever, the rest is dead.
fn mostly_dead(seed: u64) -> Rig {
    let mut rig = Rig::started(cleaning(), seed);
    for round in 0..120 {
        rig.append(KEPT, 1_500, false);
        rig.append(2, 9_000, round % 3 == 0);
        rig.append(3, 9_000, false);
        rig.settle();
    }
    rig.checkpoint();
    for group in [2, 3].map(GroupId) {
        let last = rig.wal.last_index(group).expect("it has entries");
        rig.wal.release(group, Index(last.get() - 3));
    }
    rig
}

fn come_to_rest(rig: &mut Rig) {
    for _ in 0..20 {
        rig.pass_time(1_500);
        if rig.wal.wants_checkpoint() {
            rig.checkpoint();
        }
    }
}

fn is_moved(rig: &Rig, group: u64) -> bool {
    rig.wal.runs(GroupId(group)).iter().any(|run| is_cold(run.segment))
}

#[test]
fn the_cleaner_moves_what_lives_in_a_segment_whose_footer_is_damaged() {
    for (seed, part) in (70..73).zip(PARTS) {
        let mut rig = mostly_dead(seed);
        let before = footers(&rig);
        for (name, from) in &before {
            damage(&mut rig, name, *from, part);
        }
        come_to_rest(&mut rig);
        assert!(is_moved(&rig, KEPT), "{part:?}");
        assert!(rig.wal.stats().cleaner_freed_bytes > 0, "{part:?}");
        rig.verify(50_000);
        // What it has written has footers, too, that rot.
        rig.kill(true);
        let cold: Vec<_> = footers(&rig).into_iter().filter(|(name, _)| is_cold(segment_of(&rig, name))).collect();
        assert!(!cold.is_empty());
        for (name, from) in &cold {
            damage(&mut rig, name, *from, part);
        }
        rig.open().expect("no footer is looked at");
        rig.settle_model(rig.durable);
        rig.verify(50_000);
        assert!(said(&rig) > 0);
    }
}

fn segment_of(rig: &Rig, name: &str) -> SegmentId {
    Header::decode(&rig.disk.files[name].bytes).expect("a segment").segment
}

#[test]
fn the_cleaner_leaves_a_segment_where_more_than_its_footer_is_damaged() {
    let mut rig = mostly_dead(80);
    for (name, from) in footers(&rig) {
        damage(&mut rig, &name, from, Part::Trailer);
        let first = batches(&rig.disk.files[&name].bytes)[0];
        rig.disk.files.get_mut(&name).expect("it is there").bytes[first.position as usize + 9] ^= 1;
    }
    come_to_rest(&mut rig);
    assert!(!is_moved(&rig, KEPT), "what is missing would be taken for what compaction has left out");
    let left =
        |outcome: &Outcome| matches!(outcome, Outcome::Log(Level::Error, text) if text.contains("left where it is"));
    assert!(rig.outcomes.iter().any(left));
}
