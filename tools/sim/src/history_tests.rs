//! Each rule of the history fires on a story that breaks it, and on nothing else.

use crate::batch::{self, Plan};
use crate::history::{Faults, History, Life};
use crate::violation::{Rule, Violation};

/// A history with one live topic of one partition.
fn history() -> History {
    let mut history = History::default();
    history.new_topic("t".into(), 1, false);
    history.topics[0].life = Life::Live;
    history
}

/// A batch of `records` records that was sent once; its number is `number`.
fn sent(history: &mut History, number: u64, records: u32, producer: i64) {
    let plan = Plan { number, records, bytes: 20, producer: (producer, 0, 0), timestamp: 1000, keys: 0 };
    history.compose(0, 0, &plan, (1, number));
    history.part(0, 0).batches.get_mut(&number).unwrap().attempts = 1;
}

/// The batch as a broker would serve it at `base`.
fn served(history: &mut History, number: u64, base: i64) -> Vec<u8> {
    let mut bytes = history.part(0, 0).batches[&number].bytes.clone();
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes[12..16].copy_from_slice(&7i32.to_be_bytes());
    bytes
}

fn rule(result: Result<impl std::fmt::Debug, Violation>) -> Rule {
    result.unwrap_err().rule
}

#[test]
fn a_batch_comes_apart_as_it_was_put_together() {
    for (number, records, bytes) in [(1, 1, 1), (2, 7, 100), (3, 60, 50_000)] {
        let plan = Plan { number, records, bytes, producer: (5, 0, 3), timestamp: 1, keys: 0 };
        let built = batch::build(&plan);
        let torc = torc_base::crc::crc32c(&built[21..]);
        assert_eq!(built[17..21], torc.to_be_bytes());
        let two = [built.clone(), built.clone(), built[..30].to_vec()].concat();
        let parts = batch::split(&two).unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!((parts[1].number, parts[1].end), (number, i64::from(records)));
        assert!(parts[1].is(&built));
    }
}

#[test]
fn a_good_life_breaks_nothing() {
    let mut h = history();
    for number in 1..=3 {
        sent(&mut h, number, 2, 9);
    }
    h.acknowledged(0, 0, 1, 0, true).unwrap();
    h.acknowledged(0, 0, 2, 2, true).unwrap();
    let bytes = [served(&mut h, 1, 0), served(&mut h, 2, 2)].concat();
    assert_eq!(h.fetched(0, 0, 1, 4, 4, &bytes).unwrap(), 4);
    h.finish(0, 0, 0, 4).unwrap();
}

#[test]
fn a_lost_acknowledged_batch_is_noticed() {
    let mut h = history();
    sent(&mut h, 1, 2, -1);
    h.acknowledged(0, 0, 1, 0, false).unwrap();
    assert_eq!(rule(h.finish(0, 0, 0, 0)), Rule::AckedIsKept);
    assert_eq!(rule(h.log_start(0, 0, 0, 2)), Rule::AckedIsKept);
}

#[test]
fn another_batch_at_a_seen_offset_is_noticed() {
    let mut h = history();
    sent(&mut h, 1, 2, -1);
    sent(&mut h, 2, 3, -1);
    h.acknowledged(0, 0, 1, 0, false).unwrap();
    let bytes = served(&mut h, 2, 0);
    assert_eq!(rule(h.fetched(0, 0, 0, 0, 3, &bytes)), Rule::SeenIsFinal);
    assert_eq!(rule(h.acknowledged(0, 0, 2, 1, false)), Rule::SeenIsFinal);
}

#[test]
fn a_doubled_batch_is_noticed() {
    let mut h = history();
    sent(&mut h, 1, 1, 9);
    h.part(0, 0).batches.get_mut(&1).unwrap().attempts = 4;
    h.acknowledged(0, 0, 1, 0, true).unwrap();
    assert_eq!(rule(h.acknowledged(0, 0, 1, 1, true)), Rule::Once);
    let mut h = history();
    sent(&mut h, 1, 1, -1);
    let bytes = [served(&mut h, 1, 0), served(&mut h, 1, 1)].concat();
    assert_eq!(rule(h.fetched(0, 0, 0, 0, 2, &bytes)), Rule::Once, "sent once, there twice");
}

#[test]
fn batches_in_the_wrong_order_are_noticed() {
    let mut h = history();
    sent(&mut h, 1, 1, 9);
    sent(&mut h, 2, 1, 9);
    h.acknowledged(0, 0, 2, 0, true).unwrap();
    assert_eq!(rule(h.acknowledged(0, 0, 1, 1, true)), Rule::InOrder);
}

#[test]
fn changed_and_foreign_bytes_are_noticed() {
    let mut h = history();
    sent(&mut h, 1, 1, -1);
    let mut bytes = served(&mut h, 1, 0);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(rule(h.fetched(0, 0, 0, 0, 1, &bytes)), Rule::BytesAreTrue, "the CRC");
    let crc = torc_base::crc::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(rule(h.fetched(0, 0, 0, 0, 1, &bytes)), Rule::BytesAreTrue, "the bytes");
    let stranger =
        batch::build(&Plan { number: 77, records: 1, bytes: 9, producer: (-1, -1, -1), timestamp: 0, keys: 0 });
    assert_eq!(rule(h.fetched(0, 0, 0, 0, 1, &stranger)), Rule::BytesAreTrue, "nobody sent it");
}

#[test]
fn gaps_and_uncommitted_batches_are_noticed() {
    let mut h = history();
    sent(&mut h, 1, 1, -1);
    sent(&mut h, 2, 1, -1);
    let bytes = [served(&mut h, 1, 0), served(&mut h, 2, 2)].concat();
    assert_eq!(rule(h.fetched(0, 0, 0, 0, 3, &bytes)), Rule::NoGap);
    let bytes = served(&mut h, 2, 1);
    assert_eq!(rule(h.fetched(0, 0, 0, 0, 2, &bytes)), Rule::NoGap, "asked for 0, got 1");
    assert_eq!(rule(h.fetched(0, 0, 1, 0, 1, &bytes)), Rule::BehindHighWatermark);
}

#[test]
fn marks_that_go_back_and_ids_given_twice_are_noticed() {
    let mut h = history();
    h.high_watermark(0, 0, 0, 5).unwrap();
    let floor = h.part(0, 0).hw;
    assert_eq!(rule(h.high_watermark(0, 0, floor, 4)), Rule::MarksAdvance);
    assert_eq!(rule(h.out_of_range(0, 0, 3)), Rule::AckedIsKept);
    h.producer_id(1, 0).unwrap();
    assert_eq!(rule(h.producer_id(1, 0)), Rule::UniqueProducerId);
}

#[test]
fn errors_need_a_fault_that_explains_them() {
    let mut h = history();
    assert_eq!(rule(h.explain("produce", 56, Some(0))), Rule::ExpectedErrors);
    assert_eq!(rule(h.explain("produce", 3, Some(0))), Rule::ExpectedErrors);
    h.faults = Faults { full: true, ..Faults::default() };
    h.topics[0].life = Life::Gone;
    h.explain("produce", 56, Some(0)).unwrap();
    h.explain("produce", 3, Some(0)).unwrap();
}
