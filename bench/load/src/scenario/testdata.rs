//! Results that were not measured, for the tests of what is made of results.

use super::results::{Results, Row};
use crate::drive::Finished;
use crate::limits::{Limits, RoundTrip};
use crate::recorder::{Recorder, Request};
use crate::report::Report;

/// A report of `rate` requests of a kilobyte in one second, each answered after `latency_ns`.
pub(super) fn report(rate: u64, latency_ns: u64) -> Report {
    let mut recorder = Recorder::new(false);
    recorder.begin(0);
    let request = Request { due: 0, records: 1, payload: 1000 };
    for _ in 0..rate {
        recorder.sent(0, 0, &request);
        recorder.done(latency_ns, &request);
    }
    recorder.end(1_000_000_000);
    Report::new("x", "produce", "produce --connections=1".to_string(), &Finished::of(recorder))
}

/// Run, target, and the rate and latency of each repetition.
pub(super) type Sketch<'a> = (&'a str, &'a str, &'a [(u64, u64)]);

/// Rows as they are sketched.
pub(super) fn results(rows: &[Sketch<'_>]) -> Results {
    let row = |(run, target, reports): &Sketch<'_>| Row {
        run: run.to_string(),
        target: target.to_string(),
        reports: reports.iter().map(|(rate, latency_ns)| report(*rate, *latency_ns)).collect(),
    };
    Results { rows: rows.iter().map(row).collect(), machine: vec![machine(); 3], ..Results::default() }
}

/// A machine that reads a megabyte a second.
pub(super) fn machine() -> Limits {
    let trip = RoundTrip { p50_ns: 10_000, p99_ns: 20_000 };
    Limits {
        durable_writes: Vec::new(),
        sequential_write_mb_per_s: 2.0,
        sequential_read_mb_per_s: 1.0,
        loopback_sleeping: trip,
        loopback_spinning: trip,
        loopback_mb_per_s: 4.0,
        crc32c_mb_per_s: 5.0,
        copy_mb_per_s: 6.0,
    }
}
