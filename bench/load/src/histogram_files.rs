//! Latencies in the files of HdrHistogram's tools: the percentile distribution as text, and the log of intervals.

use crate::drive::Finished;
use crate::environment::date;
use crate::report::{Outcome, Report};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use std::io::{self, Write};
use std::time::Duration;

/// What the log's column of maxima is divided by; HdrHistogram's own log writer does the same, so that nanoseconds
/// become milliseconds.
const MAX_DIVISOR: f64 = 1e6;

/// Comment lines that say what a file is of; tools pass over them.
fn about(report: &Report, unit: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "#[torc bench {}: latencies in {unit}]", report.options.trim())?;
    if let Some(environment) = &report.environment {
        writeln!(out, "#[{environment}]")?;
    }
    let why = report.why.as_deref().unwrap_or("-");
    match report.outcome {
        Outcome::Complete => Ok(()),
        Outcome::Partial => writeln!(out, "#[PARTIAL: {why}]"),
        Outcome::Failed => writeln!(out, "#[FAILED: {why}]"),
        Outcome::None => writeln!(out, "#[NO RESULT: {why}]"),
    }
}

/// Writes the distribution as HdrHistogram's tools print it, in microseconds.
pub fn write_hgrm(report: &Report, histogram: &Histogram<u64>, out: &mut dyn Write) -> io::Result<()> {
    const TICKS_PER_HALF_DISTANCE: u32 = 5;
    // What three digits take.
    const SUB_BUCKETS: u32 = 2048;
    about(report, "microseconds (us)", out)?;
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut total = 0;
    for v in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE).take_while(|_| !histogram.is_empty()) {
        total += v.count_since_last_iteration();
        let (value, quantile) = (v.value_iterated_to() as f64 / 1e3, v.quantile_iterated_to());
        let inverse = if quantile < 1.0 { format!("{:14.2}", 1.0 / (1.0 - quantile)) } else { String::new() };
        writeln!(out, "{}", format!("{value:12.3} {quantile:14.12} {total:10} {inverse}").trim_end())?;
    }
    let figure = |value: f64| match histogram.is_empty() {
        true => format!("{:>12}", "-"),
        false => format!("{:12.3}", value / 1e3),
    };
    let (mean, deviation, max) = (figure(histogram.mean()), figure(histogram.stdev()), figure(histogram.max() as f64));
    writeln!(out, "#[Mean    = {mean}, StdDeviation   = {deviation}]")?;
    writeln!(out, "#[Max     = {max}, Total count    = {:12}]", histogram.len())?;
    writeln!(out, "#[Buckets = {:12}, SubBuckets     = {SUB_BUCKETS:12}]", histogram.buckets())
}

/// Writes the histogram of each second in HdrHistogram's log format, version 1.3; values are nanoseconds.
pub fn write_hlog(report: &Report, finished: Option<&Finished>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "#[Histogram log format version 1.3]")?;
    about(report, "nanoseconds (ns), in Interval_Max milliseconds (ms)", out)?;
    let began = report.began_s;
    writeln!(out, "#[StartTime: {began:.3} (seconds since epoch), {}]", date(began as u64))?;
    writeln!(out, "#[BaseTime: {began:.3} (seconds since epoch)]")?;
    writeln!(out, "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"")?;
    let Some(finished) = finished.filter(|_| report.is_measured()) else { return Ok(()) };
    let (mut lines, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let mut log = IntervalLogWriterBuilder::new()
        .with_max_value_divisor(MAX_DIVISOR)
        .begin_log_with(&mut lines, &mut serializer)?;
    for (from, length, histogram) in &finished.recorder.log {
        let start = Duration::from_nanos(from.saturating_sub(finished.began));
        log.write_histogram(histogram, start, Duration::from_nanos(*length), None)
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    // The library's own comments are not HdrHistogram's.
    let lines = String::from_utf8(lines).map_err(io::Error::other)?;
    lines.lines().filter(|line| !line.starts_with('#')).try_for_each(|line| writeln!(out, "{line}"))
}
