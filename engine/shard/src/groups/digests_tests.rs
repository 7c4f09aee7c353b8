//! Ranges are compared only where both sides have seen all of them, and then every entry counts.

use super::*;
use crate::batch::{Record, build, emptied};
use torc_base::buf::Buf;

fn fill(digests: &mut Digests, entries: impl Iterator<Item = u64>, salt: impl Fn(u64) -> u64) {
    for index in entries {
        digests.push(Index(index), Some(salt(index)));
    }
}

#[test]
fn whole_ranges_have_a_digest_that_depends_on_every_entry_and_its_place() {
    let sum = |salt: &dyn Fn(u64) -> u64| {
        let mut digests = Digests::default();
        fill(&mut digests, 1..=RANGE, salt);
        assert_eq!(digests.committed(Index(RANGE - 1)), [], "not whole yet");
        digests.committed(Index(RANGE)).pop().expect("whole").1
    };
    let plain = sum(&|index| index * 7);
    assert_eq!(sum(&|index| index * 7), plain);
    for other in 1..=RANGE {
        assert_ne!(sum(&|index| index * 7 + u64::from(index == other)), plain, "entry {other}");
    }
    let swapped = |index: u64| match index {
        3 => 4 * 7,
        4 => 3 * 7,
        _ => index * 7,
    };
    assert_ne!(sum(&swapped), plain, "two entries in each other's places");
}

#[test]
fn replaced_entries_count_for_nothing() {
    let mut digests = Digests::default();
    fill(&mut digests, 1..=40, |index| index);
    digests.committed(Index(20));
    fill(&mut digests, 25..=30, |index| index * 3);
    fill(&mut digests, 25..=RANGE, |index| index);
    let mut other = Digests::default();
    fill(&mut other, 1..=RANGE, |index| index);
    assert_eq!(digests.committed(Index(RANGE)), other.committed(Index(RANGE)));
}

#[test]
fn a_range_of_which_something_was_not_seen_is_not_compared() {
    let next = 2 * RANGE;
    // It began in the middle; an entry is missing; one is a hole.
    for case in 0..3 {
        let mut digests = Digests::default();
        let first = if case == 0 { 5 } else { 1 };
        fill(&mut digests, (first..=RANGE).filter(|index| case != 1 || *index != 9), |index| index);
        if case == 2 {
            digests.cut(Index(30));
            digests.push(Index(30), None);
            fill(&mut digests, 31..=RANGE, |index| index);
        }
        assert_eq!(digests.committed(Index(RANGE)), [], "case {case}");
        fill(&mut digests, RANGE + 1..=next, |index| index);
        assert_eq!(digests.committed(Index(next)).len(), 1, "case {case}: the next one is");
        assert_eq!(digests.compare(Index(RANGE), 1, NodeId(1)), None);
        assert!(digests.compare(Index(next), 1, NodeId(1)).is_some());
    }
}

#[test]
fn what_is_told_early_waits_within_a_bound() {
    let mut digests = Digests::default();
    for range in 1..=100 {
        assert_eq!(digests.compare(Index(range * RANGE), range, NodeId(1)), None);
    }
    assert_eq!(digests.told.len(), KEPT);
    assert_eq!(digests.said_of(Index(100 * RANGE)), Some((100, NodeId(1))));
    assert_eq!(digests.said_of(Index(RANGE)), None, "so old a word is forgotten");
}

/// A leader's word is of entries as they came in. Whoever is behind may get what compaction has left of them.
#[test]
fn what_compaction_has_taken_something_of_is_not_compared() {
    let record = Record { key: Some(b"key"), value: Some(b"value"), ..Record::default() };
    let whole = build(&[record, record]);
    let left = emptied(&whole).expect("just built");
    let item = |index: u64, bytes: &[u8]| Item {
        group: GroupId(1031),
        kind: kind::RECORDS,
        term: Term(1),
        index: Index(index),
        first_offset: Offset(2 * index as i64),
        records: 2,
        max_timestamp: 0,
        prefix_len: 0,
        body_crc: 7,
        bytes: Buf::copy_of(bytes),
    };
    for (of_one, ranges) in [(&whole, 1), (&left, 0)] {
        let mut digests = Digests::default();
        (1..=RANGE).for_each(|index| digests.received(&item(index, if index == 5 { of_one } else { &whole })));
        assert_eq!(digests.committed(Index(RANGE)).len(), ranges);
    }
}
