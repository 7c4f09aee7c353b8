//! What is counted during a run. One thread, so plain numbers.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A request that was sent, or should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it was due, in nanoseconds of the run's clock; in a closed loop, when it was sent.
    pub due: u64,
    pub records: u32,
    /// Bytes of keys and values; when batches are consumed without looking into them, bytes of the batches.
    pub payload: u64,
}

/// One second of the measurement, by when answers came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Its end, in seconds from the measurement's beginning.
    pub at_s: f64,
    /// Its length in seconds.
    pub length_s: f64,
    pub requests: u64,
    pub payload_bytes: u64,
    /// Percentiles as far as the second's requests carry them.
    pub p50_ns: Option<u64>,
    #[serde(default)]
    pub p90_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub p999_ns: Option<u64>,
    pub max_ns: Option<u64>,
}

/// Requests that must lie beyond a percentile, or it is the chance of a few.
pub const BEYOND: u64 = 10;

/// The latency at `percentile`, if the histogram's requests carry it: `BEYOND` of them lie beyond.
pub fn percentile(histogram: &Histogram<u64>, percentile: f64) -> Option<u64> {
    is_carried(histogram.len(), percentile).then(|| histogram.value_at_percentile(percentile))
}

/// Whether a percentile of so many requests says something.
pub fn is_carried(requests: u64, percentile: f64) -> bool {
    /// What 1 - 0.99 is besides 0.01 in binary.
    const ROUNDING: f64 = 1e-6;
    requests as f64 * (1.0 - percentile / 100.0) >= BEYOND as f64 - ROUNDING
}

/// Counters and histograms of a run. A request belongs to the measurement if it was due in it, whenever its answer came.
pub struct Recorder {
    /// From when on requests count, in nanoseconds of the run's clock.
    from: u64,
    /// Until when.
    until: u64,
    pub latency: Histogram<u64>,
    /// Of requests sent on time: how much later than due they were sent. Empty in a closed loop.
    pub late: Histogram<u64>,
    /// Latencies of the running second.
    second: Histogram<u64>,
    second_from: u64,
    second_payload: u64,
    pub seconds: Vec<Second>,
    /// The histogram of each second: when it began, how long it was, both in nanoseconds of the run's clock.
    pub log: Vec<(u64, u64, Histogram<u64>)>,
    /// Whether `log` is kept.
    keep_log: bool,
    pub requests: u64,
    pub records: u64,
    pub payload: u64,
    /// Answers to requests of any time, but for refusals.
    pub answered: u64,
    /// By what was said, with how often.
    pub errors: BTreeMap<String, u64>,
    /// Requests without answer now.
    pub outstanding: u64,
    /// When the last answer came, or the first request after a silence was sent.
    last_sign: u64,
    pub longest_stall: u64,
    /// When the last request that counts was answered.
    pub last_done: u64,
    /// Times of a connection without an answer that it waited for, of `WINDOW_NS` or more, as far as they lie in the measurement.
    pub windows: Vec<(u64, u64)>,
    /// Requests that were sent again, to another leader or in vain the first time.
    pub repeated: u64,
    /// Connections that have moved to another leader.
    pub moved: u64,
}

/// A shorter wait is latency.
pub const WINDOW_NS: u64 = 100_000_000;
/// So many windows are kept.
const WINDOWS_MAX: usize = 100_000;

/// Latencies from 1 ns to an hour are kept to three digits.
pub fn histogram() -> Histogram<u64> {
    const HOUR_NS: u64 = 3_600_000_000_000;
    Histogram::new_with_bounds(1, HOUR_NS, 3).expect("the bounds are right")
}

impl Recorder {
    /// Counts nothing until [`begin`](Recorder::begin).
    pub fn new(keep_log: bool) -> Recorder {
        Recorder {
            from: u64::MAX,
            until: u64::MAX,
            latency: histogram(),
            late: histogram(),
            second: histogram(),
            second_from: 0,
            second_payload: 0,
            seconds: Vec::new(),
            log: Vec::new(),
            keep_log,
            requests: 0,
            records: 0,
            payload: 0,
            answered: 0,
            errors: BTreeMap::new(),
            outstanding: 0,
            last_sign: 0,
            longest_stall: 0,
            last_done: 0,
            windows: Vec::new(),
            repeated: 0,
            moved: 0,
        }
    }

    /// The measurement begins.
    pub fn begin(&mut self, now: u64) {
        self.second.reset();
        self.second_payload = 0;
        (self.repeated, self.moved) = (0, 0);
        (self.from, self.second_from, self.last_sign, self.last_done) = (now, now, now, now);
    }

    /// The measurement ends: what is due from now on does not count.
    pub fn end(&mut self, now: u64) {
        self.until = now;
    }

    /// When the measurement ended, on the run's clock; the end of time before that.
    pub fn until(&self) -> u64 {
        self.until
    }

    fn counts(&self, due: u64) -> bool {
        (self.from..self.until).contains(&due)
    }

    /// A request leaves at `now`, which could have left at `ready`.
    pub fn sent(&mut self, now: u64, ready: u64, request: &Request) {
        if self.outstanding == 0 {
            self.last_sign = now;
        }
        self.outstanding += 1;
        if now > ready && self.counts(request.due) {
            self.late.saturating_record(now - ready);
        }
    }

    /// Its answer came.
    pub fn done(&mut self, now: u64, request: &Request) {
        self.sign(now);
        self.answered += 1;
        let latency = now.saturating_sub(request.due).max(1);
        self.second.saturating_record(latency);
        self.second_payload += request.payload;
        if self.counts(request.due) {
            self.latency.saturating_record(latency);
            self.requests += 1;
            self.records += u64::from(request.records);
            self.payload += request.payload;
            self.last_done = now;
        }
    }

    /// It was refused, or its answer will never come.
    pub fn failed(&mut self, now: u64, request: &Request, what: impl Into<String>) {
        self.sign(now);
        if self.counts(request.due) {
            *self.errors.entry(what.into()).or_default() += 1;
        }
    }

    /// A connection that waited had no answer from `from` to `until`.
    pub fn window(&mut self, from: u64, until: u64) {
        if until.saturating_sub(from) < WINDOW_NS || self.windows.len() == WINDOWS_MAX {
            return;
        }
        let (from, until) = (from.max(self.from), until.min(self.until));
        if from < until {
            self.windows.push((from, until));
        }
    }

    fn sign(&mut self, now: u64) {
        assert!(self.outstanding > 0, "an answer to nothing");
        self.outstanding -= 1;
        if self.from <= now && self.last_sign < self.until {
            self.longest_stall = self.longest_stall.max(now.saturating_sub(self.last_sign));
        }
        self.last_sign = now;
    }

    /// Ends the running second, or part of one, and returns it.
    pub fn tick(&mut self, now: u64) -> Second {
        let length = now.saturating_sub(self.second_from).max(1);
        let second = Second {
            at_s: now.saturating_sub(self.from) as f64 / 1e9,
            length_s: length as f64 / 1e9,
            requests: self.second.len(),
            payload_bytes: self.second_payload,
            p50_ns: percentile(&self.second, 50.0),
            p90_ns: percentile(&self.second, 90.0),
            p99_ns: percentile(&self.second, 99.0),
            p999_ns: percentile(&self.second, 99.9),
            max_ns: (!self.second.is_empty()).then(|| self.second.max()),
        };
        if self.from <= self.second_from {
            self.seconds.push(second);
            if self.keep_log {
                self.log.push((self.second_from, length, self.second.clone()));
            }
        }
        self.second.reset();
        (self.second_from, self.second_payload) = (now, 0);
        second
    }

    /// Nanoseconds from the beginning to the end, or to the last answer that counts if that is later.
    pub fn elapsed(&self) -> u64 {
        assert!(self.until != u64::MAX, "the measurement has not ended");
        self.until.max(self.last_done) - self.from
    }
}
