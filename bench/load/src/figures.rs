//! The figures of a report that are shown and compared.

use crate::report::{Report, ServerReport};
use crate::units::{parse_time, three_digits, time};
use crate::verify::Verdict;

/// A figure of a report.
pub struct Figure {
    /// What a scenario's check calls it.
    pub key: &'static str,
    /// What stands over its column.
    pub name: &'static str,
    /// NaN if the report does not have it.
    pub value: fn(&Report) -> f64,
    /// How a value is written.
    pub show: fn(f64) -> String,
}

fn as_time(ns: f64) -> String {
    time(ns.round() as u64)
}

/// The longest wait of those that are long enough to count.
fn as_window(ns: f64) -> String {
    if ns == 0.0 { "none".to_string() } else { as_time(ns) }
}

fn as_count(n: f64) -> String {
    format!("{n:.0}")
}

/// Three digits, and `k` or `M` from ten thousand on.
pub fn as_rate(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{}M", three_digits(v / 1e6)),
        v if v >= 1e4 => format!("{}k", three_digits(v / 1e3)),
        v => three_digits(v),
    }
}

/// Reports of loads have these, if something was answered; of a restart they have not.
fn of_load(report: &Report, value: Option<f64>) -> f64 {
    value.filter(|_| report.is_measured()).unwrap_or(f64::NAN)
}

fn time_of_load(report: &Report, ns: Option<u64>) -> f64 {
    of_load(report, ns.map(|ns| ns as f64))
}

/// Requests that failed, if any were sent.
fn errors(report: &Report) -> f64 {
    match report.is_measured() || report.failed() > 0 {
        true => report.failed() as f64,
        false => f64::NAN,
    }
}

fn of_server(report: &Report, value: fn(ServerReport) -> f64) -> f64 {
    report.server.map_or(f64::NAN, value)
}

const MIB: f64 = (1 << 20) as f64;

/// All figures, in the order in which they are shown.
pub const FIGURES: &[Figure] = &[
    Figure { key: "rate", name: "requests/s", value: |r| of_load(r, r.requests_per_s), show: as_rate },
    Figure { key: "bandwidth", name: "MB/s", value: |r| of_load(r, r.megabytes_per_s), show: three_digits },
    Figure { key: "p50", name: "p50", value: |r| time_of_load(r, r.percentile_ns(50.0)), show: as_time },
    Figure { key: "p99", name: "p99", value: |r| time_of_load(r, r.percentile_ns(99.0)), show: as_time },
    Figure { key: "p99.9", name: "p99.9", value: |r| time_of_load(r, r.percentile_ns(99.9)), show: as_time },
    Figure { key: "max", name: "max", value: |r| time_of_load(r, r.latency.max_ns), show: as_time },
    Figure { key: "stall", name: "stall", value: |r| time_of_load(r, r.longest_stall_ns), show: as_time },
    Figure { key: "window", name: "window", value: |r| time_of_load(r, r.longest_window_ns()), show: as_window },
    Figure {
        key: "server-cpu",
        name: "server us/request",
        value: |r| of_load(r, r.server.and_then(|s| s.cpu_us_per_request)),
        show: three_digits,
    },
    Figure {
        key: "client-cpu",
        name: "client us/request",
        value: |r| of_load(r, r.generator_cpu_us_per_request),
        show: three_digits,
    },
    Figure { key: "ready", name: "ready in", value: |r| r.ready_ns.map_or(f64::NAN, |ns| ns as f64), show: as_time },
    Figure {
        key: "resident-before",
        name: "MiB before",
        value: |r| of_server(r, |s| s.resident_before_bytes as f64 / MIB),
        show: three_digits,
    },
    Figure {
        key: "resident-max",
        name: "MiB max",
        value: |r| of_load(r, r.server.map(|s| s.resident_max_bytes as f64 / MIB)),
        show: three_digits,
    },
    Figure { key: "threads", name: "threads", value: |r| of_server(r, |s| s.threads as f64), show: as_count },
    Figure {
        key: "disk-peak",
        name: "GB on disk",
        value: |r| held_peak(r, |h| h.disk_bytes as f64 / 1e9),
        show: three_digits,
    },
    Figure { key: "disk-ratio", name: "disk/live", value: |r| held_peak(r, |h| h.ratio()), show: three_digits },
    Figure { key: "errors", name: "errors", value: errors, show: as_count },
    Figure { key: "faults", name: "faults", value: |r| r.verdict.map_or(f64::NAN, faults), show: as_count },
];

/// What is lost, damaged or out of its place; of nothing that was read nothing is known.
fn faults(verdict: Verdict) -> f64 {
    match verdict.read + verdict.acknowledged {
        0 => f64::NAN,
        _ => (verdict.faults() + verdict.acknowledged.saturating_sub(verdict.read)) as f64,
    }
}

/// The most of what was seen on disk during the measurement.
fn held_peak(report: &Report, value: impl Fn(&crate::report::Held) -> f64) -> f64 {
    // NaN, if there is nothing, loses against every number.
    report.space.iter().filter(|held| held.at_s >= 0.0).map(value).fold(f64::NAN, f64::max)
}

/// The figure of that key.
pub fn find(key: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.key == key)
}

impl Figure {
    /// Whether its values are times, in nanoseconds.
    pub fn is_time(&self) -> bool {
        matches!(self.key, "p50" | "p99" | "p99.9" | "max" | "stall" | "window" | "ready")
    }

    /// Whether its values count things, of which parts say nothing.
    pub fn is_count(&self) -> bool {
        matches!(self.key, "threads" | "errors" | "faults")
    }

    /// Reads a bound on the figure itself: a time for times, a number for others.
    pub fn parse(&self, text: &str) -> Result<f64, String> {
        match self.is_time() {
            true => parse_time(text).map(|time| time.as_nanos() as f64),
            false => text.parse().map_err(|_| format!("{text:?} is no number")),
        }
    }
}
