use crate::drive::Finished;
use crate::recorder::{Recorder, Request, histogram, is_carried, percentile};
use crate::report::{Report, windows};

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
    assert!((3 * MS..4 * MS).contains(&second.max_ns.unwrap()));
    assert_eq!(second.p50_ns, None, "one request has no median");
    assert_eq!((recorder.seconds.len(), recorder.log.len()), (1, 1));
}

#[test]
fn percentiles_go_as_far_as_ten_requests_lie_beyond() {
    for (requests, carried, not) in
        [(20, 50.0, 75.0), (105, 90.0, 95.0), (1000, 99.0, 99.9), (9_999, 99.0, 99.9), (1_000_000, 99.999, 99.9999)]
    {
        assert!(is_carried(requests, carried) && !is_carried(requests, not), "{requests}");
    }
    let mut few = histogram();
    (0..105).for_each(|n| few.saturating_record(n + 1));
    assert_eq!((percentile(&few, 50.0), percentile(&few, 99.0)), (Some(53), None));
    assert_eq!(percentile(&histogram(), 50.0), None, "of nothing there is no latency");
}

#[test]
fn a_second_without_answers_has_no_latency() {
    let mut recorder = Recorder::new(false);
    recorder.begin(0);
    let second = recorder.tick(1000 * MS);
    assert_eq!((second.requests, second.p50_ns, second.p99_ns, second.max_ns), (0, None, None, None));
}

#[test]
fn a_window_is_a_long_wait_as_far_as_it_lies_in_the_measurement() {
    let mut recorder = Recorder::new(false);
    recorder.begin(1000 * MS);
    recorder.window(500 * MS, 900 * MS);
    recorder.window(900 * MS, 1150 * MS);
    recorder.window(1200 * MS, 1299 * MS);
    recorder.window(1300 * MS, 1400 * MS);
    recorder.end(2000 * MS);
    recorder.window(1950 * MS, 3000 * MS);
    recorder.window(2100 * MS, 3000 * MS);
    let expected = [(1000, 1150), (1300, 1400), (1950, 2000)].map(|(from, until)| (from * MS, until * MS));
    assert_eq!(recorder.windows, expected);
}

#[test]
fn windows_that_overlap_are_one() {
    let waits = [(300, 400), (100, 220), (150, 300), (160, 170), (1000, 1500)].map(|(a, b)| (a * MS, b * MS));
    let found: Vec<_> = windows(&waits, 100 * MS)
        .into_iter()
        .map(|window| (window.at_s, window.length_ns / MS, window.longest_ns / MS, window.waits))
        .collect();
    assert_eq!(found, [(0.0, 200, 150, 3), (0.2, 100, 100, 1), (0.9, 500, 500, 1)]);
    assert!(windows(&[], 0).is_empty());
}

#[test]
fn a_rate_takes_some_requests_or_some_time() {
    let report = |requests: u64, each: u64| {
        let mut recorder = Recorder::new(false);
        recorder.begin(0);
        for at in (0..requests).map(|n| n * each) {
            recorder.sent(at, at, &due(at));
            recorder.done(at + each, &due(at));
        }
        recorder.end(requests * each);
        Report::new("consume", "consume", String::new(), &Finished::of(recorder))
    };
    // A topic that one fetch brings: what comes of one answer in a millisecond is no rate.
    let one = report(1, MS);
    assert_eq!((one.requests, one.requests_per_s, one.records_per_s, one.megabytes_per_s), (1, None, None, None));
    let said = one.to_string();
    assert!(said.contains("requests    1 (-/s)") && said.contains("too short for a rate; --repeat"), "{said}");
    for (requests, each) in [(10, MS), (1, 100 * MS)] {
        let report = report(requests, each);
        assert!(report.requests_per_s.is_some() && !report.to_string().contains("too short"), "{report}");
    }
}
