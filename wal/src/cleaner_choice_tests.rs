//! What is chosen, of which segments, when.

use crate::cleaner_choice::{Candidate, Look, Reason, Room, look};
use crate::directory::Live;
use crate::segment::cold_segment;
use crate::settings::CleanerSettings;
use torc_base::ids::SegmentId;
use torc_base::time::Mono;

const MIB: u64 = 1 << 20;
const SEGMENT: u64 = 64 * MIB;
const PLENTY: Room = Room { files: 1000, short: false };

/// A full log segment of one group, with `percent` of it alive, in large extents.
fn segment(id: u64, percent: u64) -> Candidate {
    let bytes = 62 * MIB / 100 * percent;
    Candidate {
        id: SegmentId(id),
        file_bytes: SEGMENT,
        footer_bytes: 32 << 10,
        live: Live { runs: 1, entries: bytes >> 14, bytes },
        full: 62 * MIB,
        since: Mono(0),
        hurried: false,
    }
}

/// A full segment of 1,000 groups in extents of 16 KiB.
fn pieces(id: u64) -> Candidate {
    let mut candidate = segment(id, 100);
    candidate.live.runs = 1_000;
    candidate.footer_bytes = (62 * 64 * 64 + 4096) as u32;
    candidate
}

fn at(candidates: &[Candidate], minutes: u64, room: Room) -> Look {
    look(candidates, &CleanerSettings::default(), SEGMENT, Mono(0).plus_ms(minutes * 60_000), room)
}

fn chosen(look: &Look) -> Option<(Reason, Vec<u64>)> {
    let (reason, ids) = look.choice.as_ref()?;
    Some((*reason, ids.iter().map(|id| id.get()).collect()))
}

#[test]
fn the_emptiest_go_together_into_one_output() {
    let segments: Vec<Candidate> = (1..30).map(|id| segment(id, if id % 2 == 0 { 10 } else { 90 })).collect();
    let look = at(&segments, 1, PLENTY);
    let nine = (1..10).map(|n| n * 2).collect();
    assert_eq!(chosen(&look), Some((Reason::Space, nine)), "90 % of a segment");
    assert_eq!(look.waiting, 14);
}

#[test]
fn a_pass_must_give_back_three_files_of_many_two_of_few_and_one_when_space_is_short() {
    let dead = |many: u64| (1..=many).map(|id| segment(id, 5));
    let full = |many: u64| (100..100 + many).map(|id| segment(id, 100));
    let with = |few, many| -> Vec<Candidate> { dead(few).chain(full(many)).collect() };
    assert_eq!(chosen(&at(&with(3, 15), 1, PLENTY)), None);
    assert_eq!(chosen(&at(&with(4, 15), 1, PLENTY)), Some((Reason::Space, vec![1, 2, 3, 4])));
    assert_eq!(chosen(&at(&with(2, 9), 1, PLENTY)), None);
    assert_eq!(chosen(&at(&with(3, 9), 1, PLENTY)), Some((Reason::Space, vec![1, 2, 3])));
    let short = Room { files: 0, short: true };
    assert_eq!(chosen(&at(&with(2, 15), 0, short)), Some((Reason::Space, vec![1, 2])));
    assert_eq!(chosen(&at(&with(1, 15), 0, short)), None, "one for one is nothing gained");
}

#[test]
fn half_dead_segments_need_several_outputs_and_room_for_them() {
    let half: Vec<Candidate> = (1..30).map(|id| segment(id, 55)).collect();
    let Some((Reason::Space, ids)) = chosen(&at(&half, 1, PLENTY)) else { panic!("they are worth it") };
    assert_eq!(ids.len(), 7, "4 outputs");
    assert_eq!(chosen(&at(&half, 1, Room { files: 3, short: false })), None);
    // With no room at all only what goes into one output is possible.
    let mut mixed = half;
    mixed.extend((30..33).map(|id| segment(id, 20)));
    let short = Room { files: 0, short: true };
    assert_eq!(chosen(&at(&mixed, 0, short)), Some((Reason::Space, vec![30, 31, 32])));
}

#[test]
fn what_was_sealed_just_now_is_left_to_die_unless_space_is_short() {
    let dying: Vec<Candidate> = (1..9).map(|id| segment(id, 5)).collect();
    let early = at(&dying, 0, PLENTY);
    assert_eq!((chosen(&early), early.garbage), (None, 0));
    assert_eq!(early.again, Some(Mono(0).plus_ms(1_000)));
    assert!(chosen(&at(&dying, 0, Room { files: 2, short: true })).is_some());
}

#[test]
fn what_is_mostly_alive_is_no_garbage() {
    let alive: Vec<Candidate> = (1..30).map(|id| segment(id, 65)).collect();
    let look = at(&alive, 60, PLENTY);
    assert_eq!((chosen(&look), look.garbage, look.waiting), (None, 0, 0));
}

#[test]
fn padding_waits_unless_space_is_short() {
    let padded = |id| {
        let mut candidate = segment(id, 5);
        candidate.full = candidate.live.bytes;
        candidate
    };
    let padded: Vec<Candidate> = (1..9).map(padded).collect();
    let early = at(&padded, 14, PLENTY);
    assert_eq!((chosen(&early), early.garbage), (None, 0));
    assert_eq!(early.again, Some(Mono(0).plus_ms(15 * 60_000)));
    assert!(chosen(&at(&padded, 15, PLENTY)).is_some());
    assert!(chosen(&at(&padded, 0, Room { files: 2, short: true })).is_some());
}

#[test]
fn small_pieces_are_sorted_by_the_window_or_late() {
    let many: Vec<Candidate> = (1..40).map(pieces).collect();
    assert_eq!(chosen(&at(&many, 14, PLENTY)), None, "they may die soon");
    assert_eq!(chosen(&at(&many, 15, PLENTY)), Some((Reason::Order, (1..17).collect())));
    // Bounded by what may be written before anything is freed.
    let some = Room { files: 5, short: false };
    assert_eq!(chosen(&at(&many, 15, some)).expect("a smaller window").1.len(), 4);
    assert_eq!(chosen(&at(&many, 15, Room { files: 3, short: true })), None, "no time for beauty");
    let few = &many[..5];
    let early = at(few, 15, PLENTY);
    assert_eq!(chosen(&early), None);
    assert_eq!(early.again, Some(Mono(0).plus_ms(60 * 60_000)));
    assert_eq!(chosen(&at(few, 60, PLENTY)), Some((Reason::Order, (1..6).collect())));
}

#[test]
fn footers_bound_the_window() {
    let fine = |id| {
        let mut candidate = pieces(id);
        candidate.footer_bytes = 6 << 20;
        candidate
    };
    let many: Vec<Candidate> = (1..40).map(fine).collect();
    assert_eq!(chosen(&at(&many, 15, PLENTY)), Some((Reason::Order, vec![1, 2])));
}

#[test]
fn what_is_cold_is_never_sorted_again() {
    let cold = |number| Candidate { id: cold_segment(number), ..pieces(1) };
    let many: Vec<Candidate> = (1..40).map(cold).collect();
    let look = at(&many, 1_000, PLENTY);
    assert_eq!((chosen(&look), look.again), (None, None));
}

#[test]
fn few_groups_or_large_extents_are_fine_as_they_are() {
    let mut few: Vec<Candidate> = (1..40).map(pieces).collect();
    few.iter_mut().for_each(|candidate| candidate.live.runs = 7);
    assert_eq!(chosen(&at(&few, 1_000, PLENTY)), None);
    let mut large: Vec<Candidate> = (1..40).map(pieces).collect();
    large.iter_mut().for_each(|candidate| candidate.footer_bytes = 64 * 200);
    assert_eq!(chosen(&at(&large, 1_000, PLENTY)), None);
}

#[test]
fn what_compaction_waits_for_is_sorted_at_once_and_alone() {
    let mut segments: Vec<Candidate> = (1..6).map(pieces).collect();
    assert_eq!(chosen(&at(&segments, 1, PLENTY)), None);
    segments[2].hurried = true;
    segments[3].hurried = true;
    let look = at(&segments, 1, PLENTY);
    assert_eq!(chosen(&look), Some((Reason::Order, vec![3, 4])));
    assert_eq!(look.waiting, 2);
    // Small batches leave more padding than entries: such a segment does not wait until several can go together.
    segments[2].live.bytes /= 4;
    segments[2].live.entries /= 4;
    assert_eq!(chosen(&at(&segments, 1, PLENTY)), Some((Reason::Order, vec![3, 4])));
    // What lies well is not touched, and nothing is while room is short.
    segments[2].live.runs = 1;
    assert_eq!(chosen(&at(&segments, 1, PLENTY)), Some((Reason::Order, vec![4])));
    assert_eq!(chosen(&at(&segments, 1, Room { files: 2, short: true })), None);
}
