//! The ledger of `torc-check kill` notices every way in which a log can break its promise.

use bytes::Bytes;
use torc_base::ids::{LeaderEpoch, Offset};
use torc_check::content::{self, Sender};
use torc_check::failure::Result;
use torc_check::ledger::{Ledger, Sent};
use torc_check::wire::Fetched;
use torc_net::kafka::records::{self, Codec};

/// Lane 1 of two partitions, which is in partition 1.
const LANE: u16 = 1;

/// A batch of two records from number `first` on, as it lies in the log at `base`.
fn batch(lane: u16, first: u32, base: i64) -> Vec<u8> {
    let sender = Sender { producer: lane, idempotent: None };
    let mut bytes = content::batch(sender, first, &[40, 50], Codec::None, 1);
    records::place(&mut bytes, Offset(base), LeaderEpoch(3));
    bytes
}

fn fetched(batches: &[Vec<u8>]) -> Vec<Fetched> {
    let records = Bytes::from(batches.concat());
    vec![Fetched { partition: 1, error: 0, high_watermark: 100, records }]
}

fn read(batches: &[Vec<u8>]) -> Result<Ledger> {
    let mut ledger = Ledger::new("t".to_string(), 2);
    ledger.take(fetched(batches))?;
    Ok(ledger)
}

fn refused(batches: &[Vec<u8>], why: &str) {
    let Err(failure) = read(batches) else { panic!("`{why}` is not noticed") };
    assert!(failure.to_string().contains(why), "{failure}");
}

#[test]
fn a_good_log_is_good() {
    let mut ledger = read(&[batch(LANE, 0, 0), batch(LANE, 2, 2), batch(3, 0, 4)]).unwrap();
    ledger.acknowledged(Sent { lane: LANE, partition: 1, first: 2, count: 2 }, 2);
    ledger.settle().unwrap();
    assert_eq!(ledger.ends(), [(0, 0), (1, 6)]);
    assert_eq!(ledger.records_verified, 6);
}

#[test]
fn gaps_doubles_changes_and_strangers_are_noticed() {
    refused(&[batch(LANE, 0, 0), batch(LANE, 2, 3)], "the offset 2 was due");
    refused(&[batch(LANE, 0, 0), batch(LANE, 0, 2)], "is there twice");
    refused(&[batch(2, 0, 0)], "was sent to another partition");
    let mut flipped = batch(LANE, 0, 0);
    flipped[records::HEADER + 20] ^= 1;
    refused(&[flipped], "offset 0");
    // Changed before its checksum was made: only the content tells.
    let mut value = content::value(content::Mark { producer: LANE, number: 0 }, 30);
    value[10] ^= 1;
    let record = records::Record { value: Some(&value), ..Default::default() };
    refused(&[records::build(&[record], &Default::default())], "is changed");
}

#[test]
fn records_of_a_producer_lie_in_their_order() {
    refused(&[batch(LANE, 2, 0), batch(LANE, 0, 2)], "REORDERED");
    read(&[batch(LANE, 2, 0), batch(3, 0, 2), batch(LANE, 6, 4)]).expect("what was not acknowledged may be missing");
}

#[test]
fn what_was_acknowledged_without_a_place_must_be_there() {
    let mut ledger = read(&[batch(LANE, 0, 0)]).unwrap();
    ledger.acknowledged(Sent { lane: LANE, partition: 1, first: 0, count: 2 }, -1);
    ledger.settle().unwrap();
    ledger.acknowledged(Sent { lane: LANE, partition: 1, first: 2, count: 2 }, -1);
    assert!(ledger.settle().unwrap_err().to_string().contains("LOST"));
}

#[test]
fn what_was_acknowledged_must_be_there_and_where_it_was_said() {
    for (base, first, why) in [(2, 2, "LOST"), (1, 0, "lies at 0")] {
        let mut ledger = read(&[batch(LANE, 0, 0)]).unwrap();
        ledger.acknowledged(Sent { lane: LANE, partition: 1, first, count: 2 }, base);
        let failure = ledger.settle().expect_err(why);
        assert!(failure.to_string().contains(why), "{failure}");
    }
}
