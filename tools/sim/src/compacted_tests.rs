//! Each rule of compacted topics fires on a story that breaks it, and on nothing else.

use super::*;
use crate::batch::{HEADER, Plan};
use crate::history::Life;
use torc_base::crc::crc32c;

/// `delete.retention.ms`
const TOMBSTONES_MS: u64 = 1_000;

fn history() -> History {
    let mut history = History::default();
    history.new_topic("t".into(), 1, false);
    history.topics[0].life = Life::Live;
    history.topics[0].compaction =
        Some(Compaction { keys: 2, tombstones_ms: TOMBSTONES_MS, lags_ms: (0, 1), age_ms: 0 });
    history
}

/// Sends batches of one record until there is one of `key`, with a value or without; its number.
fn sent(history: &mut History, key: &str, has_value: bool) -> u64 {
    loop {
        let number = history.next_number();
        let plan = Plan { number, records: 1, bytes: 20, producer: (9, 0, number as i32), timestamp: 1000, keys: 2 };
        let bytes = batch::build(&plan);
        let record = own_records(&bytes).pop().unwrap();
        if (record.key, record.value.is_some()) == (Some(key.as_bytes()), has_value) {
            history.compose(0, 0, &plan, (1, number));
            history.part(0, 0).batches.get_mut(&number).unwrap().attempts = 1;
            return number;
        }
    }
}

/// Sends such a batch, which is acknowledged at `base`.
fn acked(history: &mut History, base: i64, key: &str, has_value: bool) -> (u64, i64) {
    let number = sent(history, key, has_value);
    history.acknowledged(0, 0, number, base, true).unwrap();
    (number, base)
}

fn with(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut bytes);
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// What a broker serves that has these batches left.
fn served(history: &mut History, left: &[(u64, i64)]) -> Vec<u8> {
    let batches = &history.part(0, 0).batches;
    let one = |(number, base): &(u64, i64)| {
        with(batches[number].bytes.clone(), |bytes| bytes[..8].copy_from_slice(&base.to_be_bytes()))
    };
    left.iter().flat_map(one).collect()
}

/// A fetch from the beginning returns these batches.
fn fetch(history: &mut History, hw: i64, left: &[(u64, i64)]) -> Option<Rule> {
    let bytes = served(history, left);
    history.sighted(0, 0, history.now_ms, &bytes);
    history.fetched(0, 0, 0, 0, hw, &bytes).err().map(|violation| violation.rule)
}

#[test]
fn what_a_later_record_of_its_key_has_replaced_may_go_and_its_last_record_may_not() {
    let mut h = history();
    let (first, other) = (acked(&mut h, 0, "key-0", true), acked(&mut h, 1, "key-1", true));
    let last = acked(&mut h, 2, "key-0", true);
    assert_eq!(fetch(&mut h, 3, &[first, other, last]), None);
    assert_eq!((fetch(&mut h, 3, &[other, last]), h.compacted), (None, 1));
    assert_eq!(fetch(&mut h, 3, &[first, other]), None, "the last one may not be there yet");
    assert_eq!(fetch(&mut h, 3, &[first, last]), Some(Rule::LastIsKept));
    let end = acked(&mut h, 3, "key-1", true);
    assert_eq!(fetch(&mut h, 4, &[other, end]), Some(Rule::LastIsKept));
}

#[test]
fn a_record_may_be_gone_if_one_that_was_never_answered_may_have_replaced_it() {
    let mut h = history();
    let (first, other) = (acked(&mut h, 0, "key-0", true), acked(&mut h, 1, "key-1", true));
    let unseen = sent(&mut h, "key-0", true);
    assert_eq!(fetch(&mut h, 2, &[other]), Some(Rule::LastIsKept), "there is no room for it in what is known");
    assert_eq!(fetch(&mut h, 3, &[other, (unseen, 2)]), None);
    let end = acked(&mut h, 4, "key-1", true);
    sent(&mut h, "key-0", true);
    assert_eq!(fetch(&mut h, 5, &[end]), None, "it may have been at 3, and another one is there");
    assert_eq!(fetch(&mut h, 5, &[first, end]), None);
}

#[test]
fn a_tombstone_stays_for_its_time_from_when_what_it_deletes_was_last_there() {
    let mut h = history();
    let value = acked(&mut h, 0, "key-0", true);
    h.now_ms = 100;
    let (tombstone, other) = (acked(&mut h, 1, "key-0", false), acked(&mut h, 2, "key-1", true));
    assert_eq!(fetch(&mut h, 3, &[other]), Some(Rule::LastIsKept), "it was just made");
    h.now_ms = 100 + TOMBSTONES_MS - 1;
    assert_eq!(fetch(&mut h, 3, &[other]), Some(Rule::LastIsKept));
    h.now_ms += 1;
    assert_eq!(fetch(&mut h, 3, &[other]), None);
    assert_eq!(fetch(&mut h, 3, &[value, tombstone, other]), None, "it was not compacted at all yet");
    h.now_ms += TOMBSTONES_MS - 1;
    assert_eq!(fetch(&mut h, 3, &[tombstone, other]), None);
    assert_eq!(fetch(&mut h, 3, &[other]), Some(Rule::LastIsKept), "somebody has just seen what it deletes");
    h.now_ms += 1;
    assert_eq!(fetch(&mut h, 3, &[other]), None);
    h.now_ms += 1;
    assert_eq!(fetch(&mut h, 3, &[value, other]), Some(Rule::LastIsKept), "what was deleted is back");
    h.clock_jumped = true;
    assert_eq!(fetch(&mut h, 3, &[other]), None, "its time is that of the server's clock");
}

#[test]
fn what_stays_is_what_was_sent_where_it_was() {
    let mut h = history();
    let (first, last) = (acked(&mut h, 0, "key-0", true), acked(&mut h, 1, "key-0", true));
    assert_eq!(fetch(&mut h, 2, &[last, first]), Some(Rule::NoGap), "in another order");
    assert_eq!(fetch(&mut h, 2, &[(first.0, 1)]), Some(Rule::SeenIsFinal), "at another offset");
    let bytes = served(&mut h, &[last]);
    let mut changed = |at: usize| {
        let bytes = with(bytes.clone(), |bytes| bytes[at] ^= 1);
        h.fetched(0, 0, 0, 0, 2, &bytes).err().map(|violation| violation.rule)
    };
    // Attributes, base and largest timestamp, producer, epoch, sequence, a byte of the value.
    for at in [21, 34, 42, 50, 52, 56, bytes.len() - 20] {
        assert_eq!(changed(at), Some(Rule::BytesAreTrue), "byte {at}");
    }
    let emptied = with(bytes[..HEADER].to_vec(), |bytes| {
        bytes[8..12].copy_from_slice(&(HEADER as i32 - 12).to_be_bytes());
        bytes[57..HEADER].copy_from_slice(&[0; 4]);
    });
    assert_eq!(h.fetched(0, 0, 0, 0, 2, &emptied).unwrap_err().rule, Rule::LastIsKept);
    let newest = acked(&mut h, 2, "key-0", true);
    let bytes = [emptied, served(&mut h, &[newest])].concat();
    assert_eq!(h.fetched(0, 0, 0, 0, 3, &bytes).unwrap(), 3, "the last sequence of a producer stays");
}

#[test]
fn times_are_those_of_what_is_surely_there() {
    let mut h = history();
    acked(&mut h, 0, "key-0", true);
    let last = acked(&mut h, 1, "key-0", true);
    fn rule(result: Result<(), Violation>) -> Option<Rule> {
        result.err().map(|violation| violation.rule)
    }
    let mut by_time = |asked, told| {
        h.now_ms += 2;
        let now = rule(h.by_time(0, 0, asked, told, (0, 2)));
        now.or_else(|| rule(h.told_end((0, 0), h.now_ms + 1)))
    };
    assert_eq!(by_time(900, (1, 1000)), None, "the first one may be gone");
    assert_eq!(by_time(900, (0, 1000)), None);
    assert_eq!(by_time(900, (-1, -1)), Some(Rule::BytesAreTrue));
    assert_eq!(by_time(1001, (-1, -1)), None);
    assert_eq!(by_time(900, (1, 999)), Some(Rule::BytesAreTrue), "another time");
    let mut largest = |told| {
        h.now_ms += 2;
        let now = rule(h.max_timestamp(0, 0, told, 2));
        now.or_else(|| rule(h.told_end((0, 0), h.now_ms + 1)))
    };
    assert_eq!(largest((1, 1000)), None);
    assert_eq!(largest((-1, -1)), Some(Rule::BytesAreTrue));
    assert_eq!(fetch(&mut h, 2, &[last]), None);
}

/// A record may have been replaced by one that nobody has been told of: not even that the log is so long.
#[test]
fn look_ups_are_judged_when_it_is_known_where_the_log_ended() {
    for replaced in [false, true] {
        let mut h = history();
        let (other, end) = (acked(&mut h, 0, "key-1", true), acked(&mut h, 1, "key-0", true));
        let later = sent(&mut h, if replaced { "key-1" } else { "key-0" }, true);
        h.now_ms = 10;
        h.by_time(0, 0, 900, (1, 1000), (0, 2)).unwrap();
        h.told_end((0, 0), 9).expect("who asked before knows nothing");
        assert_eq!(fetch(&mut h, 3, &[other, end, (later, 2)]), None);
        let judged = h.told_end((0, 0), 11).err().map(|violation| violation.rule);
        assert_eq!(judged, (!replaced).then_some(Rule::BytesAreTrue));
        h.told_end((0, 0), 12).expect("once");
    }
}
