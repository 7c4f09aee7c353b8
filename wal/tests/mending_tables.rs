//! What speaks of many entries is damaged: the table of a batch, which all groups in it lose, or the footer of a segment and what else
//! says where its batches end, so that it is not known that nothing is missing. All that is lost by that gets its bytes from elsewhere and
//! is found again.

mod rig;

use rig::{Rig, batches, small};
use torc_base::ids::{GroupId, Index, SegmentId};
use torc_base::limits::PAGE;
use torc_wal::{From, Item, WalError, WalSettings, batch, segment};

const GROUPS: [GroupId; 2] = [GroupId(1), GroupId(2)];

/// Two groups in several segments, of which each batch has some entries; what a checkpoint has that is published.
fn filled(seed: u64) -> Rig {
    let mut rig = Rig::started(WalSettings { tail_bytes: 0, read_ahead_bytes: 0, ..small() }, seed);
    rig.salvages = true;
    for round in 0..120 {
        for _ in 0..=round % 3 {
            rig.append(1, 1_000 + round * 7, false);
        }
        rig.append(2, 3_000, round % 3 == 0);
        rig.settle();
    }
    rig.checkpoint();
    rig
}

/// Entries from `first` to `last`, read one by one.
fn entries(rig: &mut Rig, group: GroupId, first: Index, last: Index) -> Vec<Item> {
    let one = |index| rig.read(group.get(), From::Index(Index(index)), index, 1).expect("whole").remove(0);
    (first.get()..=last.get()).map(one).collect()
}

/// The group's entries in a batch that has this one.
fn neighbours(rig: &Rig, group: GroupId, index: Index) -> (Index, Index) {
    let known = &rig.model[&group];
    let seq = known.iter().find(|known| known.index == index.get()).expect("appended").seq;
    let same: Vec<u64> = known.iter().filter(|known| known.seq == seq).map(|known| known.index).collect();
    (Index(same[0]), Index(*same.last().expect("itself")))
}

/// A bit flips in the header or the table of the batch that has this entry.
fn damage_batch(rig: &mut Rig, entry: (GroupId, Index), place: usize) {
    let mut hit = 0;
    for file in rig.disk.files.values_mut().filter(|file| segment::Header::decode(&file.bytes).is_some()) {
        for header in batches(&file.bytes) {
            let at = header.position as usize;
            let bytes = &file.bytes[at..at + header.total as usize];
            let mut lines =
                (0..header.count as usize).filter_map(|number| batch::Descriptor::decode(&header, bytes, number));
            if lines.any(|d| (d.group, d.index) == entry) {
                file.bytes[at + place] ^= 0x20;
                hit += 1;
            }
        }
    }
    assert_eq!(hit, 1, "it lies in one place");
}

/// What a segment's file has.
fn bytes_of(rig: &mut Rig, of: SegmentId) -> &mut Vec<u8> {
    let is_it = |bytes: &[u8]| segment::Header::decode(bytes).is_some_and(|header| header.segment == of);
    &mut rig.disk.files.values_mut().find(|file| is_it(&file.bytes)).expect("its file").bytes
}

/// A bit flips in the footer of a segment: `back` bytes in front of its end.
fn damage_footer(rig: &mut Rig, of: SegmentId, back: usize) {
    let bytes = bytes_of(rig, of);
    let at = bytes.len() - back;
    bytes[at] ^= 0x20;
}

/// Hands entries in a row over, and waits until they are where readers find them.
fn mend(rig: &mut Rig, items: Vec<Item>) {
    let (first, last) = (items.first().expect("some"), items.last().expect("some"));
    assert!(rig.wal.may_mend(first.group, first.index, last.index));
    assert!(rig.mend(vec![items]));
}

fn is_whole(rig: &mut Rig) {
    rig.verify(1 << 20);
    rig.verify(1);
    rig.goes_on();
}

#[test]
fn a_batch_whose_table_is_damaged_is_lost_to_each_of_its_groups_and_mended_for_each() {
    for (seed, place) in [(1, 9), (2, 33), (3, batch::HEADER_BYTES + 17), (4, batch::HEADER_BYTES + 65)] {
        let mut rig = filled(seed);
        // Of three entries in a row.
        let of_two = Index(6 + 3 * seed);
        let seq = rig.model[&GROUPS[1]].iter().find(|known| known.index == of_two.get()).expect("appended").seq;
        let of_one = rig.model[&GROUPS[0]].iter().find(|known| known.seq == seq).expect("in the same batch");
        let of_one = Index(of_one.index);
        let lost = [(GROUPS[0], of_one), (GROUPS[1], of_two)].map(|(group, index)| {
            let (first, last) = neighbours(&rig, group, index);
            (group, first, last)
        });
        assert!(lost[0].1 < lost[0].2, "seed {seed}: several entries of one group: {lost:?}");
        let whole = lost.map(|(group, first, last)| entries(&mut rig, group, first, last));
        // No table is in memory.
        rig.restart(seed % 2 == 0);
        damage_batch(&mut rig, (GROUPS[1], of_two), place);
        for (group, first, last) in lost {
            let Err(WalError::Corrupt(found)) = rig.read(group.get(), From::Index(first), last.get(), 1 << 20) else {
                panic!("seed {seed}: entries {first} to {last} of group {group} were read")
            };
            assert_eq!((found.entry, found.through), (Some((group, first)), Some(last)), "seed {seed}");
            let (before, behind) = (Index(first.get() - 1), last.next());
            assert_eq!(entries(&mut rig, group, before, before).len(), 1, "what is beside it can be read");
            assert_eq!(entries(&mut rig, group, behind, behind).len(), 1, "what is beside it can be read");
        }
        let [one, two] = whole;
        mend(&mut rig, one);
        let (group, first, last) = lost[1];
        let of_other = rig.read(group.get(), From::Index(first), last.get(), 1);
        assert!(matches!(of_other, Err(WalError::Corrupt(_))), "seed {seed}: the other group's are where they were");
        mend(&mut rig, two);
        is_whole(&mut rig);
    }
}

#[test]
fn a_segment_whose_footer_is_damaged_is_lost_to_each_of_its_groups_and_mended_for_each() {
    // The trailer and its checksums; extents, and a batch.
    for (seed, back) in [(1, PAGE), (2, PAGE - 9), (3, PAGE - 50), (4, PAGE + 1), (5, 2 * PAGE)] {
        let mut rig = filled(seed);
        let of = rig.wal.runs(GROUPS[0])[seed as usize % 3].segment;
        let mut whole = Vec::new();
        for group in GROUPS {
            let runs = rig.wal.runs(group).iter().filter(|run| run.segment == of);
            for (first, last) in runs.map(|run| (run.first_index, run.last_index)).collect::<Vec<_>>() {
                whole.push((group, first, last, entries(&mut rig, group, first, last)));
            }
        }
        assert!(GROUPS.iter().all(|group| whole.iter().any(|(of, ..)| of == group)), "seed {seed}: both lie there");
        // No extents are in memory.
        rig.restart(seed % 2 == 0);
        damage_footer(&mut rig, of, back);
        if back > PAGE {
            damage_cold(&mut rig, of);
        }
        for (group, first, last, _) in &whole {
            for index in [first, last] {
                let Err(WalError::Corrupt(found)) = rig.read(group.get(), From::Index(*index), index.get(), 1) else {
                    panic!("seed {seed}: entry {index} of group {group} was read")
                };
                assert_eq!((found.segment, found.entry, found.through), (of, None, None), "seed {seed}");
            }
        }
        for (.., items) in whole {
            mend(&mut rig, items);
        }
        let there = |rig: &Rig| GROUPS.iter().any(|group| rig.wal.runs(*group).iter().any(|run| run.segment == of));
        assert!(!there(&rig), "seed {seed}: nothing lies there any more");
        is_whole(&mut rig);
    }
}

/// What was mended lies in a cold segment, whose footer and tables rot as others do.
#[test]
fn what_was_mended_is_mended_again() {
    for (seed, of_footer) in [(1, true), (2, false), (3, true), (4, false)] {
        let mut rig = filled(seed);
        let (first, last) = (Index(10), Index(24));
        let whole = entries(&mut rig, GROUPS[0], first, last);
        mend(&mut rig, whole.clone());
        rig.checkpoint();
        rig.restart(seed > 2);
        let of = rig.wal.runs(GROUPS[0]).iter().find(|run| run.first_index == first).expect("a run of its own").segment;
        if of_footer {
            damage_footer(&mut rig, of, PAGE - 9);
        } else {
            damage_cold(&mut rig, of);
        }
        let Err(WalError::Corrupt(found)) = rig.read(1, From::Index(first), last.get(), 1 << 20) else {
            panic!("seed {seed}: it was read")
        };
        assert_eq!((found.segment, found.entry.is_none()), (of, of_footer), "seed {seed}: {found}");
        mend(&mut rig, whole);
        is_whole(&mut rig);
    }
}

/// A bit flips in the table of the first batch of a segment.
fn damage_cold(rig: &mut Rig, of: SegmentId) {
    let bytes = bytes_of(rig, of);
    let first = batches(bytes)[0];
    bytes[first.position as usize + batch::HEADER_BYTES + 17] ^= 0x20;
}
