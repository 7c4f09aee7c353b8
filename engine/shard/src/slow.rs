//! The log of slow requests: a line for each, with the time of every stage, and few lines a second.

use crate::line_limit::LineLimit;
use crate::stages::{Path, Stage, Trace};
use crate::stats::{Stats, add};
use std::fmt::Write as _;
use std::sync::Arc;
use torc_base::ids::ConnId;
use torc_base::time::Mono;
use torc_net::kafka::{api, api_name};

/// Lines in one second. When a disk stalls, thousands of requests are slow for the one reason.
const LINES_MAX: u32 = 5;

/// Looks at requests whose answers leave.
pub struct SlowLog {
    /// Nanoseconds; 0: nothing is slow.
    limit: u64,
    stats: Arc<Stats>,
    lines: LineLimit,
}

impl SlowLog {
    /// A request is slow that takes longer than `limit_ms`; 0: none is.
    pub fn new(limit_ms: u64, stats: Arc<Stats>) -> SlowLog {
        SlowLog { limit: limit_ms.saturating_mul(1_000_000), stats, lines: LineLimit::new(LINES_MAX, 1_000) }
    }

    /// The line for a request that was slow, if it gets one. Its answer is handed to the socket at `sent`.
    pub fn look_at(&mut self, sent: Mono, conn: ConnId, trace: &Trace) -> Option<String> {
        // These wait for other members of their group.
        let waits = matches!(trace.api, api::JOIN_GROUP | api::SYNC_GROUP);
        if self.limit == 0 || waits || trace.total(sent) <= self.limit {
            return None;
        }
        add(&self.stats.slow_requests_total, 1);
        let left_out = self.lines.admit(sent)?;
        let mut line = describe(sent, conn, trace);
        if left_out > 0 {
            let _ = write!(line, " ({left_out} more slow requests since the last line)");
        }
        Some(line)
    }
}

fn describe(sent: Mono, conn: ConnId, trace: &Trace) -> String {
    let name = api_name(trace.api);
    let mut line = format!("slow request: {name} of connection {conn} took {}:", ms(trace.total(sent)));
    let mut part = |name: &str, ns: u64| {
        let _ = write!(line, " {name} {}", ms(ns));
    };
    if !matches!(trace.path, Path::Log(_)) {
        part(Stage::Receive.name(), trace.decoded.since(trace.began));
    }
    trace.each(sent, |stage, ns| {
        if !matches!(stage, Stage::Total | Stage::FetchTotal) {
            part(stage.name(), ns);
        }
    });
    match trace.path {
        Path::Log(_) => {}
        Path::Other => part("rest", sent.since(trace.decoded)),
        Path::Fetch { waited_ns, read_ns } => {
            part("rest", sent.since(trace.decoded).saturating_sub(waited_ns + read_ns));
            let _ = write!(line, ", besides {} of waiting for records", ms(waited_ns));
        }
    }
    line
}

/// Milliseconds with three digits behind the point.
fn ms(ns: u64) -> String {
    format!("{}.{:03} ms", ns / 1_000_000, ns / 1_000 % 1_000)
}

#[cfg(test)]
#[path = "slow_tests.rs"]
mod tests;
