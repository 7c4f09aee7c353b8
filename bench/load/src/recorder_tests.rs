use crate::recorder::{Recorder, Request};

const MS: u64 = 1_000_000;

fn due(due: u64) -> Request {
    Request { due, records: 2, payload: 200 }
}

#[test]
fn a_request_counts_by_when_it_was_due() {
    let mut recorder = Recorder::new(false);
    for at in [5, 15, 25] {
        recorder.sent(at * MS, at * MS, &due(at * MS));
    }
    recorder.begin(10 * MS);
    recorder.done(20 * MS, &due(5 * MS));
    recorder.end(21 * MS);
    recorder.done(40 * MS, &due(15 * MS));
    recorder.done(50 * MS, &due(25 * MS));
    assert_eq!((recorder.requests, recorder.records, recorder.payload), (1, 2, 200));
    assert!(recorder.latency.max() >= 25 * MS && recorder.latency.len() == 1);
    assert_eq!(recorder.elapsed(), 30 * MS, "the answer that counts came after the end");
    assert_eq!(recorder.outstanding, 0);
}

#[test]
fn a_stall_is_a_time_in_which_something_was_awaited() {
    let mut recorder = Recorder::new(false);
    recorder.begin(0);
    recorder.sent(10 * MS, 10 * MS, &due(10 * MS));
    recorder.done(11 * MS, &due(10 * MS));
    // Nobody waits from 11 to 500.
    recorder.sent(500 * MS, 499 * MS, &due(499 * MS));
    recorder.sent(501 * MS, 500 * MS, &due(500 * MS));
    recorder.done(507 * MS, &due(499 * MS));
    recorder.failed(510 * MS, &due(500 * MS), "NOT_LEADER");
    recorder.end(600 * MS);
    assert_eq!(recorder.longest_stall, 7 * MS);
    assert_eq!(recorder.errors.get("NOT_LEADER"), Some(&1));
    assert_eq!(recorder.requests, 2);
    assert!((MS..2 * MS).contains(&recorder.late.max()));
}

#[test]
fn seconds_are_those_of_the_measurement() {
    let mut recorder = Recorder::new(true);
    recorder.sent(0, 0, &due(0));
    recorder.done(MS, &due(0));
    assert_eq!(recorder.tick(1000 * MS).requests, 1, "the warm-up is shown");
    assert!(recorder.seconds.is_empty(), "but does not count");
    recorder.begin(1100 * MS);
    recorder.sent(1200 * MS, 1200 * MS, &due(1200 * MS));
    recorder.done(1203 * MS, &due(1200 * MS));
    let second = recorder.tick(2100 * MS);
    assert_eq!((second.requests, second.payload_bytes, second.at_s), (1, 200, 1.0));
    assert!((3 * MS..4 * MS).contains(&second.max_ns));
    assert_eq!((recorder.seconds.len(), recorder.log.len()), (1, 1));
}
