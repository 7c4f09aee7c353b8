//! The report of a run: for people as a table, for programs as JSON, for HdrHistogram's tools as its files.

use crate::cpu::Process;
use crate::drive::{Ending, Finished, ServerUse};
use crate::environment::Environment;
use crate::interrupt;
use crate::limits::Multiples;
use crate::recorder::{BEYOND, Recorder, Second, WINDOW_NS, is_carried, percentile};
use crate::units::{counted, thousands, three_digits, three_or_none, time, time_or_none};
use crate::verify::Verdict;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Percentiles of the table.
const PERCENTILES: &[f64] = &[50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999];
/// Windows that are named one by one.
const WINDOWS_SHOWN: usize = 5;
/// A rate is one only of so many requests, or of so many seconds: a single answer says nothing of how many there could be.
const RATE_REQUESTS: u64 = 10;
const RATE_S: f64 = 0.1;
/// Errors that are named one by one.
const ERRORS_NAMED: usize = 3;

/// A point of the latency distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    pub percentile: f64,
    /// `None` if too few requests lie beyond it to say.
    pub ns: Option<u64>,
}

/// What a report is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All was measured that was asked for, and every request was answered.
    #[default]
    Complete,
    /// The run ended before its time, by a signal or because every connection was lost: the figures are of the time
    /// until then.
    Partial,
    /// Requests failed or connections were lost: the figures are of the other requests.
    Failed,
    /// Nothing was measured: there are no figures.
    None,
}

/// What a run brought. Figures that were not measured are `None`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub name: String,
    /// produce, consume, end-to-end or restart.
    pub mode: String,
    #[serde(default)]
    pub outcome: Outcome,
    /// Why it is not complete.
    #[serde(default)]
    pub why: Option<String>,
    /// The options, as they would be written on the command line.
    pub options: String,
    #[serde(default)]
    pub environment: Option<Environment>,
    /// Seconds since 1970.
    pub began_s: f64,
    pub elapsed_s: f64,
    /// What a run was asked to do; 0 connections if it was not made.
    #[serde(default)]
    pub connections: u32,
    #[serde(default)]
    pub outstanding: Option<u32>,
    /// Of an open loop; absent in a closed one.
    #[serde(default)]
    pub asked_records_per_s: Option<f64>,
    #[serde(default)]
    pub asked_requests_per_s: Option<f64>,
    pub requests: u64,
    pub records: u64,
    pub payload_bytes: u64,
    pub requests_per_s: Option<f64>,
    pub records_per_s: Option<f64>,
    /// Millions of bytes of keys and values per second; in mode consume, of record batches.
    pub megabytes_per_s: Option<f64>,
    pub latency: Latency,
    /// How much later than due requests were sent, because of the generator or of its bound of outstanding requests.
    /// Absent in a closed loop.
    pub late: Option<Lateness>,
    pub longest_stall_ns: Option<u64>,
    /// Times in which a connection waited 100 ms or more for an answer, in order; those of several connections that overlap
    /// are one. Absent in reports of older programs.
    #[serde(default)]
    pub windows: Option<Vec<Window>>,
    /// Requests that were sent again, most of them to another leader.
    #[serde(default)]
    pub repeated: u64,
    /// Connections that have moved to another leader.
    #[serde(default)]
    pub moved: u64,
    pub errors: BTreeMap<String, u64>,
    pub connections_lost: u64,
    /// CPU time of the generator.
    pub generator_cpu_us_per_request: Option<f64>,
    pub server: Option<ServerReport>,
    /// What checking the records found.
    pub verdict: Option<Verdict>,
    /// The figures beside the machine's limits.
    pub multiples: Option<Multiples>,
    /// From the command that starts the server until it answers, in nanoseconds; only of mode restart.
    #[serde(default)]
    pub ready_ns: Option<u64>,
    /// What the server held on disk over time; empty if nobody looked.
    #[serde(default)]
    pub space: Vec<Held>,
    pub seconds: Vec<Second>,
    /// The distribution as a curve, as far as the requests carry it, and the maximum.
    pub curve: Vec<Percentile>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub mean_ns: Option<f64>,
    pub max_ns: Option<u64>,
    pub percentiles: Vec<Percentile>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Lateness {
    /// `None` if too few requests were late to say.
    pub p50_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub max_ns: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ServerReport {
    pub pid: u32,
    pub cpu_us_per_request: Option<f64>,
    /// Cores that it kept busy.
    pub cores: Option<f64>,
    /// At the end of the run.
    pub resident_bytes: u64,
    /// Before the run's first connection.
    pub resident_before_bytes: u64,
    /// The most while it was loaded.
    pub resident_max_bytes: u64,
    /// The most while it was loaded.
    pub threads: u64,
}

/// A time in which connections waited for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Seconds from the beginning of the measurement.
    pub at_s: f64,
    /// From the first connection's last answer to the last one's next.
    pub length_ns: u64,
    /// The longest that one connection waited.
    pub longest_ns: u64,
    /// How often a connection waited in it.
    pub waits: u64,
}

/// Puts together what overlaps: times of the run's clock, whose measurement `began` then.
pub(crate) fn windows(waits: &[(u64, u64)], began: u64) -> Vec<Window> {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    let mut windows: Vec<(u64, Window)> = Vec::new();
    for (from, until) in waits {
        let length_ns = until - from;
        match windows.last_mut() {
            Some((begun, window)) if from < *begun + window.length_ns => {
                window.length_ns = window.length_ns.max(until - *begun);
                window.longest_ns = window.longest_ns.max(length_ns);
                window.waits += 1;
            }
            _ => {
                let at_s = from.saturating_sub(began) as f64 / 1e9;
                windows.push((from, Window { at_s, length_ns, longest_ns: length_ns, waits: 1 }));
            }
        }
    }
    windows.into_iter().map(|(_, window)| window).collect()
}

/// What a server held on disk at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Seconds from the beginning of the measurement; negative during the warm-up.
    pub at_s: f64,
    /// Allocated blocks of its data directory.
    pub disk_bytes: u64,
    /// Bytes of records that it must keep.
    pub live_bytes: u64,
    /// Of `disk_bytes` those that do not count: the reserve.
    pub reserve_bytes: u64,
}

impl Held {
    /// Bytes on disk, without the reserve, for each live byte.
    pub fn ratio(&self) -> f64 {
        self.disk_bytes.saturating_sub(self.reserve_bytes) as f64 / self.live_bytes.max(1) as f64
    }
}

impl Report {
    /// The report of a run that has `finished`.
    pub fn new(name: &str, mode: &str, options: String, finished: &Finished) -> Report {
        let recorder = &finished.recorder;
        let elapsed_s = recorder.elapsed() as f64 / 1e9;
        let measured = recorder.requests > 0;
        let per_request = |ns: u64| measured.then(|| ns as f64 / 1e3 / recorder.requests as f64);
        let carries_rate = recorder.requests >= RATE_REQUESTS || recorder.requests > 0 && elapsed_s >= RATE_S;
        let per_s = |n: f64| (carries_rate && elapsed_s > 0.0).then(|| n / elapsed_s);
        let late = &recorder.late;
        let load = finished.load;
        let mut report = Report {
            name: name.to_string(),
            mode: mode.to_string(),
            outcome: Outcome::Complete,
            why: None,
            options,
            environment: None,
            began_s: finished.began_s,
            elapsed_s,
            connections: load.connections,
            outstanding: load.outstanding,
            asked_records_per_s: load.records_per_s,
            asked_requests_per_s: load.requests_per_s,
            requests: recorder.requests,
            records: recorder.records,
            payload_bytes: recorder.payload,
            requests_per_s: per_s(recorder.requests as f64),
            records_per_s: per_s(recorder.records as f64),
            megabytes_per_s: per_s(recorder.payload as f64 / 1e6),
            latency: latency(&recorder.latency),
            late: (!late.is_empty()).then(|| Lateness {
                p50_ns: percentile(late, 50.0),
                p99_ns: percentile(late, 99.0),
                max_ns: late.max(),
            }),
            longest_stall_ns: measured.then_some(recorder.longest_stall),
            windows: measured.then(|| windows(&recorder.windows, finished.began)),
            repeated: recorder.repeated,
            moved: recorder.moved,
            errors: recorder.errors.clone(),
            connections_lost: finished.connections_lost,
            generator_cpu_us_per_request: per_request(finished.own_cpu_ns),
            server: finished.server.map(|server| ServerReport {
                pid: server.pid,
                cpu_us_per_request: per_request(server.cpu_ns),
                cores: (elapsed_s >= RATE_S).then(|| server.cpu_ns as f64 / 1e9 / elapsed_s),
                resident_bytes: server.resident_bytes,
                resident_before_bytes: server.resident_before_bytes,
                resident_max_bytes: server.resident_max_bytes,
                threads: server.threads,
            }),
            verdict: None,
            multiples: None,
            ready_ns: None,
            space: Vec::new(),
            seconds: recorder.seconds.clone(),
            curve: curve(&recorder.latency),
        };
        (report.outcome, report.why) = report.judge(finished.ending);
        report
    }

    /// The report of a run of which there is nothing to tell but `why`.
    pub fn none(name: &str, mode: &str, options: String, why: String) -> Report {
        let mut recorder = Recorder::new(false);
        recorder.begin(0);
        recorder.end(0);
        let report = Report::new(name, mode, options, &Finished::of(recorder));
        Report { outcome: Outcome::None, why: Some(why), began_s: now_s(), ..report }
    }

    /// The report of a restart: the server was `ready` so long after the command that started it.
    pub fn restarted(name: &str, ready: Duration, process: Option<&Process>) -> Report {
        let mut recorder = Recorder::new(false);
        recorder.begin(0);
        recorder.end(0);
        let server = process.map(|process| ServerUse {
            pid: process.pid(),
            cpu_ns: 0,
            resident_bytes: process.resident_before,
            resident_before_bytes: process.resident_before,
            resident_max_bytes: process.resident_before,
            threads: process.threads(),
        });
        let finished = Finished { server, began_s: now_s(), ..Finished::of(recorder) };
        let report = Report::new(name, "restart", String::new(), &finished);
        Report { ready_ns: Some(ready.as_nanos() as u64), outcome: Outcome::Complete, why: None, ..report }
    }

    /// What the report is worth, and why not more.
    fn judge(&self, ending: Ending) -> (Outcome, Option<String>) {
        let mut why = Vec::new();
        let (elapsed, planned) = (three_digits(self.elapsed_s), three_digits(ending.planned.as_secs_f64()));
        if let Some(signal) = ending.signal {
            why.push(format!("interrupted by {} after {elapsed} of {planned} s", interrupt::name(signal)));
        } else if ending.abandoned {
            why.push(format!("every connection was lost, after {elapsed} of {planned} s"));
        } else if self.connections_lost > 0 {
            let lost = counted(self.connections_lost, "connection");
            why.push(format!("{lost} of {} lost", thousands(self.connections.into())));
        }
        if self.failed() > 0 {
            why.push(format!("{} failed ({})", counted(self.failed(), "request"), self.named_errors()));
        }
        if self.requests == 0 {
            why.insert(0, "nothing was measured: no request was answered".to_string());
        }
        let outcome = match (self.requests, ending.signal.is_some() || ending.abandoned, why.is_empty()) {
            (0, _, _) => Outcome::None,
            (_, true, _) => Outcome::Partial,
            (_, false, false) => Outcome::Failed,
            (_, false, true) => Outcome::Complete,
        };
        (outcome, (!why.is_empty()).then(|| why.join("; ")))
    }

    /// The most frequent errors, with how often each came.
    fn named_errors(&self) -> String {
        let mut errors: Vec<(&String, &u64)> = self.errors.iter().collect();
        errors.sort_by(|a, b| b.1.cmp(a.1));
        let named = errors.iter().take(ERRORS_NAMED).map(|(error, count)| format!("{} x {error}", thousands(**count)));
        let others = errors.len().saturating_sub(ERRORS_NAMED) as u64;
        let others = (others > 0).then(|| counted(others, "other kind"));
        named.chain(others).collect::<Vec<String>>().join(", ")
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Whether there are figures of a load.
    pub fn is_measured(&self) -> bool {
        self.requests > 0
    }

    /// The latency that so many percent of the requests stayed below, in nanoseconds; `None` if too few say so.
    pub fn percentile_ns(&self, percentile: f64) -> Option<u64> {
        let points = &self.latency.percentiles;
        points.iter().find(|point| point.percentile == percentile && is_carried(self.requests, percentile))?.ns
    }

    /// Who decides when a request is sent, in a sentence; `None` if nobody did.
    pub fn pacing(&self) -> Option<String> {
        if self.connections == 0 {
            return None;
        }
        let connections = counted(self.connections.into(), "connection");
        match (self.asked_requests_per_s, self.outstanding) {
            (Some(asked), _) => {
                let achieved = three_or_none(self.requests_per_s);
                Some(format!(
                    "open loop, {connections}: asked {} requests/s, achieved {achieved}; latency counts from when a \
                     request was due",
                    three_digits(asked)
                ))
            }
            (None, outstanding) => Some(format!(
                "closed loop, {connections}, {} outstanding on each: {CLOSED_LOOP}",
                outstanding.unwrap_or(1)
            )),
        }
    }
}

/// What latencies of a closed loop do not show.
pub const CLOSED_LOOP: &str = "while the server stalls nothing new is sent, so the figures hide what a stall costs; \
                               an open loop (--rate) counts it";

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |&p: &f64| Percentile { percentile: p, ns: percentile(histogram, p) };
    Latency {
        mean_ns: (!histogram.is_empty()).then(|| histogram.mean()),
        max_ns: (!histogram.is_empty()).then(|| histogram.max()),
        percentiles: PERCENTILES.iter().map(at).collect(),
    }
}

/// Ten points to each nine, as far as the requests carry them, and the maximum.
fn curve(histogram: &Histogram<u64>) -> Vec<Percentile> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let points = ((histogram.len() as f64 / BEYOND as f64).log10() * 10.0).floor() as i32;
    let percentiles = (0..=points).map(|n| 100.0 * (1.0 - 10f64.powf(-f64::from(n) / 10.0)));
    let point = |percentile: f64| Percentile { percentile, ns: Some(histogram.value_at_percentile(percentile)) };
    percentiles.chain([100.0]).map(point).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.name == self.mode { String::new() } else { format!(" ({})", self.mode) };
        writeln!(f, "{}{mode}, {} s", self.name, three_digits(self.elapsed_s))?;
        match self.outcome {
            Outcome::Complete => {}
            Outcome::Partial => writeln!(f, "  PARTIAL     {}", self.why.as_deref().unwrap_or("-"))?,
            Outcome::Failed => writeln!(f, "  FAILED      {}", self.why.as_deref().unwrap_or("-"))?,
            Outcome::None => writeln!(f, "  NO RESULT   {}", self.why.as_deref().unwrap_or("-"))?,
        }
        let rate = |value: Option<f64>| value.map_or("-".to_string(), |value| thousands(value as u64));
        writeln!(f, "  requests    {} ({}/s)", thousands(self.requests), rate(self.requests_per_s))?;
        writeln!(f, "  records     {} ({}/s)", thousands(self.records), rate(self.records_per_s))?;
        writeln!(f, "  payload     {} MB/s", three_or_none(self.megabytes_per_s))?;
        if self.is_measured() && self.requests_per_s.is_none() {
            let again = if self.mode == "consume" { "; --repeat reads everything again and again" } else { "" };
            writeln!(f, "              (- : {} s is too short for a rate{again})", three_digits(self.elapsed_s))?;
        }
        let errors = if self.errors.is_empty() { String::new() } else { format!("  {}", self.named_errors()) };
        writeln!(f, "  errors      {}{errors}", thousands(self.failed()))?;
        if self.connections_lost > 0 {
            writeln!(f, "  lost        {}", counted(self.connections_lost, "connection"))?;
        }
        self.show_latency(f)?;
        writeln!(f, "  generator   {} us CPU per request", three_or_none(self.generator_cpu_us_per_request))?;
        if let Some(server) = self.server {
            let (cpu, cores) = (three_or_none(server.cpu_us_per_request), three_or_none(server.cores));
            let threads = counted(server.threads, "thread");
            writeln!(f, "  server      {cpu} us CPU per request, {cores} cores, {threads}")?;
            let mib = |bytes: u64| three_digits(bytes as f64 / f64::from(1 << 20));
            let (before, most) = (mib(server.resident_before_bytes), mib(server.resident_max_bytes));
            writeln!(f, "  resident    {before} MiB before, {most} MiB at most")?;
        }
        if let Some(multiples) = &self.multiples {
            writeln!(f, "  of limits   {multiples}")?;
        }
        if let Some(verdict) = &self.verdict {
            writeln!(f, "  verified    {verdict}")?;
        }
        if let Some(pacing) = self.pacing() {
            writeln!(f, "  load        {pacing}")?;
        }
        match &self.environment {
            Some(environment) => writeln!(f, "  on          {environment}"),
            None => Ok(()),
        }
    }
}

impl Report {
    /// The longest that a connection waited, if that was 100 ms or more; 0 if none did.
    pub fn longest_window_ns(&self) -> Option<u64> {
        self.windows.as_ref().map(|windows| windows.iter().map(|window| window.longest_ns).max().unwrap_or(0))
    }

    fn show_windows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shortest = time(WINDOW_NS);
        match self.windows.as_deref() {
            None => writeln!(f, "  windows     -")?,
            Some([]) => writeln!(f, "  windows     no connection waited {shortest} for an answer")?,
            Some(windows) => {
                let (count, longest) =
                    (counted(windows.len() as u64, "window"), time_or_none(self.longest_window_ns()));
                let whole = time(windows.iter().map(|window| window.length_ns).sum());
                writeln!(f, "  windows     {count} in which a connection waited {shortest} or more for an answer,")?;
                writeln!(f, "              {longest} the longest, {whole} together:")?;
                for window in windows.iter().take(WINDOWS_SHOWN) {
                    let (at, length) = (three_digits(window.at_s), time(window.longest_ns));
                    let waits = counted(window.waits, "wait");
                    writeln!(f, "              at {at} s: {waits}, {length} the longest")?;
                }
                if windows.len() > WINDOWS_SHOWN {
                    writeln!(f, "              and {} more", windows.len() - WINDOWS_SHOWN)?;
                }
            }
        }
        if self.moved + self.repeated > 0 {
            let (moved, repeated) = (counted(self.moved, "connection"), counted(self.repeated, "request"));
            writeln!(f, "  leaders     {moved} moved to another one, {repeated} sent again")?;
        }
        Ok(())
    }

    fn show_latency(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Beyond p99.9 a percentile that nothing carries needs no line.
        let shown = |point: &&Percentile| point.ns.is_some() || point.percentile <= 99.9;
        for point in self.latency.percentiles.iter().filter(shown) {
            writeln!(f, "  {:<11} {}", format!("p{}", point.percentile), time_or_none(point.ns))?;
        }
        if self.requests > 0 && self.percentile_ns(99.9).is_none() {
            writeln!(f, "              (- : fewer than {BEYOND} requests lie beyond that percentile)")?;
        }
        writeln!(f, "  max         {}", time_or_none(self.latency.max_ns))?;
        writeln!(f, "  mean        {}", time_or_none(self.latency.mean_ns.map(|ns| ns as u64)))?;
        match self.longest_stall_ns {
            Some(stall) => writeln!(f, "  stall       {} without an answer, the longest", time(stall))?,
            None => writeln!(f, "  stall       -")?,
        }
        self.show_windows(f)?;
        match self.late {
            Some(late) => {
                let (p50, p99, max) = (time_or_none(late.p50_ns), time_or_none(late.p99_ns), time(late.max_ns));
                writeln!(f, "  sent late   p50 {p50}, p99 {p99}, max {max}")
            }
            None => Ok(()),
        }
    }
}
