//! The report of a run: for people as a table, for programs as JSON, for HdrHistogram's tools as its files.

use crate::cpu::Process;
use crate::drive::{Finished, ServerUse};
use crate::limits::Multiples;
use crate::recorder::{Recorder, Second};
use crate::units::{thousands, three_digits, time};
use crate::verify::Verdict;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Percentiles of the table.
const PERCENTILES: &[f64] = &[50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999];

/// A point of the latency distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    pub percentile: f64,
    pub ns: u64,
}

/// What a run brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub name: String,
    /// produce, consume or end-to-end.
    pub mode: String,
    /// The options, as they would be written on the command line.
    pub options: String,
    /// Seconds since 1970.
    pub began_s: f64,
    pub elapsed_s: f64,
    pub requests: u64,
    pub records: u64,
    pub payload_bytes: u64,
    pub requests_per_s: f64,
    pub records_per_s: f64,
    /// Millions of bytes of keys and values per second; in mode consume, of record batches.
    pub megabytes_per_s: f64,
    pub latency: Latency,
    /// How much later than due requests were sent, because of the generator or of its bound of outstanding requests.
    /// Absent in a closed loop.
    pub late: Option<Lateness>,
    pub longest_stall_ns: u64,
    pub errors: BTreeMap<String, u64>,
    pub connections_lost: u64,
    /// CPU time of the generator.
    pub generator_cpu_us_per_request: f64,
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
    /// The distribution as a curve.
    pub curve: Vec<Percentile>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub mean_ns: f64,
    pub max_ns: u64,
    pub percentiles: Vec<Percentile>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Lateness {
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ServerReport {
    pub pid: u32,
    pub cpu_us_per_request: f64,
    /// Cores that it kept busy.
    pub cores: f64,
    /// At the end of the run.
    pub resident_bytes: u64,
    /// Before the run's first connection.
    pub resident_before_bytes: u64,
    /// The most while it was loaded.
    pub resident_max_bytes: u64,
    /// The most while it was loaded.
    pub threads: u64,
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
        let per_request = |ns: u64| ns as f64 / 1e3 / recorder.requests.max(1) as f64;
        let late = &recorder.late;
        Report {
            name: name.to_string(),
            mode: mode.to_string(),
            options,
            began_s: finished.began_s,
            elapsed_s,
            requests: recorder.requests,
            records: recorder.records,
            payload_bytes: recorder.payload,
            requests_per_s: recorder.requests as f64 / elapsed_s,
            records_per_s: recorder.records as f64 / elapsed_s,
            megabytes_per_s: recorder.payload as f64 / elapsed_s / 1e6,
            latency: latency(&recorder.latency),
            late: (!late.is_empty()).then(|| Lateness {
                p50_ns: late.value_at_quantile(0.5),
                p99_ns: late.value_at_quantile(0.99),
                max_ns: late.max(),
            }),
            longest_stall_ns: recorder.longest_stall,
            errors: recorder.errors.clone(),
            connections_lost: finished.connections_lost,
            generator_cpu_us_per_request: per_request(finished.own_cpu_ns),
            server: finished.server.map(|server| ServerReport {
                pid: server.pid,
                cpu_us_per_request: per_request(server.cpu_ns),
                cores: server.cpu_ns as f64 / 1e9 / elapsed_s,
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
        }
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
        let began_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let finished =
            Finished { recorder, own_cpu_ns: 0, server, connections_lost: 0, began_s, began: 0, sampling: None };
        let mut report = Report::new(name, "restart", String::new(), &finished);
        // No time of a load has passed that rates could be of.
        (report.requests_per_s, report.records_per_s, report.megabytes_per_s) = (0.0, 0.0, 0.0);
        if let Some(server) = &mut report.server {
            (server.cores, server.cpu_us_per_request) = (0.0, 0.0);
        }
        report.ready_ns = Some(ready.as_nanos() as u64);
        report
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The latency that so many percent of the requests stayed below, in nanoseconds.
    pub fn percentile_ns(&self, percentile: f64) -> u64 {
        let points = &self.latency.percentiles;
        points.iter().find(|point| point.percentile == percentile).map_or(0, |point| point.ns)
    }
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |&percentile: &f64| Percentile { percentile, ns: histogram.value_at_percentile(percentile) };
    Latency { mean_ns: histogram.mean(), max_ns: histogram.max(), percentiles: PERCENTILES.iter().map(at).collect() }
}

/// Ten points to each nine, as far as there are requests to tell them apart, and the maximum.
fn curve(histogram: &Histogram<u64>) -> Vec<Percentile> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let points = ((histogram.len() as f64).log10() * 10.0) as i32;
    let percentiles = (0..=points).map(|n| 100.0 * (1.0 - 10f64.powf(-f64::from(n) / 10.0))).chain([100.0]);
    percentiles.map(|percentile| Percentile { percentile, ns: histogram.value_at_percentile(percentile) }).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}), {} s", self.name, self.mode, three_digits(self.elapsed_s))?;
        writeln!(f, "  requests    {} ({}/s)", thousands(self.requests), thousands(self.requests_per_s as u64))?;
        writeln!(f, "  records     {} ({}/s)", thousands(self.records), thousands(self.records_per_s as u64))?;
        writeln!(f, "  payload     {} MB/s", three_digits(self.megabytes_per_s))?;
        let mut line = String::new();
        for (error, count) in &self.errors {
            write!(line, "  {} x {error};", thousands(*count))?;
        }
        writeln!(f, "  errors      {}{line}", thousands(self.failed()))?;
        if self.connections_lost > 0 {
            writeln!(f, "  lost        {} connections", self.connections_lost)?;
        }
        for point in &self.latency.percentiles {
            writeln!(f, "  {:<11} {}", format!("p{}", point.percentile), time(point.ns))?;
        }
        writeln!(f, "  max         {}", time(self.latency.max_ns))?;
        writeln!(f, "  mean        {}", time(self.latency.mean_ns as u64))?;
        writeln!(f, "  stall       {} without an answer, the longest", time(self.longest_stall_ns))?;
        if let Some(late) = self.late {
            let (p50, p99, max) = (time(late.p50_ns), time(late.p99_ns), time(late.max_ns));
            writeln!(f, "  sent late   p50 {p50}, p99 {p99}, max {max}")?;
        }
        writeln!(f, "  generator   {} us CPU per request", three_digits(self.generator_cpu_us_per_request))?;
        if let Some(server) = self.server {
            let (cpu, cores) = (three_digits(server.cpu_us_per_request), three_digits(server.cores));
            writeln!(f, "  server      {cpu} us CPU per request, {cores} cores, {} threads", server.threads)?;
            let mib = |bytes: u64| three_digits(bytes as f64 / f64::from(1 << 20));
            let (before, most) = (mib(server.resident_before_bytes), mib(server.resident_max_bytes));
            writeln!(f, "  resident    {before} MiB before, {most} MiB at most")?;
        }
        if let Some(multiples) = &self.multiples {
            writeln!(f, "  of limits   {multiples}")?;
        }
        match &self.verdict {
            Some(verdict) => writeln!(f, "  verified    {verdict}"),
            None => Ok(()),
        }
    }
}

/// Writes the distribution as HdrHistogram's tools print it, in microseconds.
pub fn write_hgrm(histogram: &Histogram<u64>, out: &mut dyn Write) -> io::Result<()> {
    const TICKS_PER_HALF_DISTANCE: u32 = 5;
    // What three digits take.
    const SUB_BUCKETS: u32 = 2048;
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut total = 0;
    for v in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += v.count_since_last_iteration();
        let (value, quantile) = (v.value_iterated_to() as f64 / 1e3, v.quantile_iterated_to());
        let inverse = if quantile < 1.0 { format!("{:14.2}", 1.0 / (1.0 - quantile)) } else { String::new() };
        writeln!(out, "{}", format!("{value:12.3} {quantile:14.12} {total:10} {inverse}").trim_end())?;
    }
    let (mean, deviation, max) = (histogram.mean() / 1e3, histogram.stdev() / 1e3, histogram.max() as f64 / 1e3);
    writeln!(out, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]")?;
    writeln!(out, "#[Max     = {max:12.3}, Total count    = {:12}]", histogram.len())?;
    writeln!(out, "#[Buckets = {:12}, SubBuckets     = {SUB_BUCKETS:12}]", histogram.buckets())
}

/// Writes the histogram of each second in HdrHistogram's log format, values in nanoseconds.
pub fn write_hlog(finished: &Finished, out: &mut dyn Write) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let began = std::time::UNIX_EPOCH + Duration::from_secs_f64(finished.began_s);
    let mut out = out;
    let mut log = IntervalLogWriterBuilder::new()
        .with_start_time(began)
        .with_base_time(began)
        .add_comment("torc bench: latencies in ns")
        .begin_log_with(&mut out, &mut serializer)?;
    for (from, length, histogram) in &finished.recorder.log {
        let start = Duration::from_nanos(from.saturating_sub(finished.began));
        log.write_histogram(histogram, start, Duration::from_nanos(*length), None)
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    Ok(())
}
