//! What operations took, and what of that lies between two moments.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An operation that has ended.
#[derive(Clone, Copy, Debug)]
struct Sample {
    ended: Instant,
    took: Duration,
    /// Records that it brought or acknowledged.
    records: usize,
}

/// Operations of one kind, in the order of their ends.
#[derive(Debug, Default)]
pub struct Samples(Mutex<Vec<Sample>>);

/// What ended between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub records: usize,
    /// `None` without any operation.
    pub times: Option<Times>,
}

/// What operations took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub mean: Duration,
    pub p99: Duration,
}

impl Samples {
    /// An operation that began then ends now.
    pub fn note(&self, began: Instant, records: usize) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that they stay in order.
        let ended = Instant::now();
        samples.push(Sample { ended, took: ended - began, records });
    }

    /// What ended from `from` to `to`.
    pub fn window(&self, from: Instant, to: Instant) -> Window {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = samples.partition_point(|sample| sample.ended < from);
        let end = samples.partition_point(|sample| sample.ended <= to);
        let samples = &samples[first..end];
        let records = samples.iter().map(|sample| sample.records).sum();
        let mut took: Vec<Duration> = samples.iter().map(|sample| sample.took).collect();
        took.sort();
        let p99 = took.get(took.len().saturating_sub(1) * 99 / 100);
        let times = p99.map(|p99| Times { mean: took.iter().sum::<Duration>() / took.len() as u32, p99: *p99 });
        Window { records, times }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
