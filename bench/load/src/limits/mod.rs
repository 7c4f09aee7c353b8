//! The machine's limits, measured beside a run so that figures of different machines can be compared.

mod disk;
mod loopback;
mod memory;

use crate::command::print;
use crate::error::Error;
use crate::files::Sink;
use crate::interrupt;
use crate::options::Format;
use crate::report::Report;
use crate::units::{parse_size, parse_span, three_digits, time};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `torc bench limits`.
#[derive(Clone, Debug, Args)]
pub struct LimitsArgs {
    /// Where to put the file that is written and read; it is removed afterwards.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Length of that file.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_size)]
    pub file_bytes: usize,
    /// Time for each figure.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_span)]
    pub time: Duration,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// The result as JSON, for --limits of other commands.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Durable writes (O_DIRECT, RWF_DSYNC or fdatasync) over a file that had been written before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DurableWrites {
    pub block_bytes: usize,
    /// Writes under way at once.
    pub depth: usize,
    pub per_s: f64,
    pub p50_ns: u64,
    pub p99_ns: u64,
}

/// One byte there and back over the loopback interface.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundTrip {
    pub p50_ns: u64,
    pub p99_ns: u64,
}

/// What the machine can do. Bandwidths in millions of bytes per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub durable_writes: Vec<DurableWrites>,
    /// Not durable, large blocks, O_DIRECT.
    pub sequential_write_mb_per_s: f64,
    pub sequential_read_mb_per_s: f64,
    /// Both ends sleep until something comes.
    pub loopback_sleeping: RoundTrip,
    /// Both ends spin.
    pub loopback_spinning: RoundTrip,
    /// Of several streams at once.
    pub loopback_mb_per_s: f64,
    pub crc32c_mb_per_s: f64,
    pub copy_mb_per_s: f64,
}

impl Limits {
    /// The durable writes of this block size and depth, if they were measured.
    pub fn durable(&self, block_bytes: usize, depth: usize) -> Option<&DurableWrites> {
        self.durable_writes.iter().find(|w| w.block_bytes == block_bytes && w.depth == depth)
    }

    /// Reads what `torc bench limits --json` wrote.
    pub fn load(path: &Path) -> Result<Limits, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::io(format!("reading {}", path.display())))?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Unfit(format!("{} holds no limits: {error}", path.display())))
    }

    /// What a report's figures are beside the limits.
    pub fn multiples(&self, report: &Report) -> Multiples {
        let durable = self.durable(4096, 1);
        let floor = durable.map(|w| w.p50_ns + self.loopback_sleeping.p50_ns);
        let ratio = |value: Option<f64>, limit: f64| value.filter(|_| limit > 0.0).map(|value| value / limit);
        let times = |percentile| ratio(report.percentile_ns(percentile).map(|ns| ns as f64), floor? as f64);
        Multiples {
            p50_of_flush_and_round_trip: times(50.0),
            p99_of_flush_and_round_trip: times(99.0),
            requests_per_flush: durable.and_then(|w| ratio(report.requests_per_s, w.per_s)),
            of_sequential_write: ratio(report.megabytes_per_s, self.sequential_write_mb_per_s),
            of_sequential_read: ratio(report.megabytes_per_s, self.sequential_read_mb_per_s),
            of_loopback: ratio(report.megabytes_per_s, self.loopback_mb_per_s),
        }
    }
}

/// Less of a limit says nothing, and is not told.
const MULTIPLE_MIN: f64 = 0.01;

/// A report's figures as multiples of the machine's limits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Multiples {
    /// Latency beside one durable write of 4 KiB and one sleeping loopback round trip, both at their median.
    pub p50_of_flush_and_round_trip: Option<f64>,
    pub p99_of_flush_and_round_trip: Option<f64>,
    /// Requests per second beside durable writes of 4 KiB per second, one at a time.
    pub requests_per_flush: Option<f64>,
    /// Payload bandwidth beside the disk's and the loopback interface's.
    pub of_sequential_write: Option<f64>,
    pub of_sequential_read: Option<f64>,
    pub of_loopback: Option<f64>,
}

impl fmt::Display for Multiples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |before: &str, value: Option<f64>, behind: &str| {
            let value = value.filter(|value| *value >= MULTIPLE_MIN)?;
            Some(format!("{before}{}{behind}", three_digits(value)))
        };
        let parts = [
            part("p50 ", self.p50_of_flush_and_round_trip, " x (flush + round trip)"),
            part("p99 ", self.p99_of_flush_and_round_trip, " x (flush + round trip)"),
            part("", self.requests_per_flush, " requests per flush"),
            part("", self.of_sequential_write, " x disk write"),
            part("", self.of_sequential_read, " x disk read"),
            part("", self.of_loopback, " x loopback bandwidth"),
        ];
        let told = parts.into_iter().flatten().collect::<Vec<String>>().join(", ");
        f.write_str(if told.is_empty() { "-" } else { &told })
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "durable writes, O_DIRECT over a written file")?;
        writeln!(f, "  {:>8} {:>6} {:>10} {:>10} {:>10} {:>10}", "block", "depth", "writes/s", "MB/s", "p50", "p99")?;
        for w in &self.durable_writes {
            let megabytes = three_digits(w.per_s * w.block_bytes as f64 / 1e6);
            let (p50, p99, rate) = (time(w.p50_ns), time(w.p99_ns), three_digits(w.per_s));
            writeln!(f, "  {:>8} {:>6} {rate:>10} {megabytes:>10} {p50:>10} {p99:>10}", w.block_bytes, w.depth)?;
        }
        let bandwidth =
            |f: &mut fmt::Formatter<'_>, what: &str, value: f64| writeln!(f, "{what:<28} {} MB/s", three_digits(value));
        bandwidth(f, "sequential write", self.sequential_write_mb_per_s)?;
        bandwidth(f, "sequential read", self.sequential_read_mb_per_s)?;
        for (what, trip) in [("sleeping", self.loopback_sleeping), ("spinning", self.loopback_spinning)] {
            let what = format!("loopback round trip, {what}");
            writeln!(f, "{what:<28} p50 {}, p99 {}", time(trip.p50_ns), time(trip.p99_ns))?;
        }
        bandwidth(f, &format!("loopback, {} streams", loopback::STREAMS), self.loopback_mb_per_s)?;
        bandwidth(f, "CRC32C", self.crc32c_mb_per_s)?;
        bandwidth(f, "copy", self.copy_mb_per_s)
    }
}

/// The best of three parts of `time`: a limit is what the machine can do, and what disturbs it takes only away.
fn best<E>(time: Duration, mut one: impl FnMut(Duration) -> Result<f64, E>) -> Result<f64, E> {
    const PARTS: u32 = 3;
    (0..PARTS).try_fold(0.0, |best: f64, _| one(time / PARTS).map(|rate| best.max(rate)))
}

/// Measures with a file of `file_bytes` in `directory`, for `time` each figure.
pub fn measure(directory: &Path, file_bytes: usize, time: Duration) -> Result<Limits, Error> {
    let disk = disk::measure(directory, file_bytes as u64, time)?;
    let loopback = || Error::io("measuring the loopback interface");
    Ok(Limits {
        durable_writes: disk.durable_writes,
        sequential_write_mb_per_s: disk.sequential_write_mb_per_s,
        sequential_read_mb_per_s: disk.sequential_read_mb_per_s,
        loopback_sleeping: loopback::round_trips(false, time).map_err(loopback())?,
        loopback_spinning: loopback::round_trips(true, time).map_err(loopback())?,
        loopback_mb_per_s: best(time, loopback::bandwidth).map_err(loopback())?,
        crc32c_mb_per_s: memory::crc32c_mb_per_s(time),
        copy_mb_per_s: memory::copy_mb_per_s(time),
    })
}

/// Measures, and prints to `out`.
///
/// # Errors
/// It was interrupted; the disk failed; the result cannot be written.
pub fn run(args: &LimitsArgs, out: &mut dyn Write) -> Result<(), Error> {
    let file = args.json.as_deref().map(Sink::open).transpose()?;
    interrupt::watch()?;
    let limits = measure(&args.directory, args.file_bytes, args.time)?;
    let json = serde_json::to_string_pretty(&limits).expect("limits are plain values") + "\n";
    match args.format {
        Format::Json => print(out, &json)?,
        Format::Table => print(out, &limits.to_string())?,
    }
    file.map_or(Ok(()), |file| file.write(json.as_bytes()))
}
