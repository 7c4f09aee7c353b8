//! What can be asked of the load generator, on the command line and in scenario files.

use crate::sizes::Sizes;
use crate::units::{parse_count, parse_setting, parse_size, parse_span, parse_time};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use torc_base::units::count_in;

/// What the target speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Kafka's, of any broker.
    Kafka,
    /// That of `torc bench bare`: the same frames, answered with four bytes.
    Bare,
}

/// Who is loaded.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// A server of the cluster, or several separated by commas: the first that answers is asked.
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:9092")]
    pub bootstrap_server: String,
    /// What the target speaks.
    #[arg(long, value_enum, default_value_t = Protocol::Kafka)]
    pub protocol: Protocol,
    /// The topic; created if it is missing.
    #[arg(long, value_name = "NAME", default_value = "torc-bench")]
    pub topic: String,
    /// Partitions of a new topic; of one that is there, the first N are used.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = |text: &str| count_in::<i32>(text, 1..=100_000))]
    pub partitions: i32,
    /// Copies of each partition of a new topic [default: the cluster's].
    #[arg(long, value_name = "N", value_parser = |text: &str| count_in::<i16>(text, 1..=i16::MAX.into()))]
    pub replication_factor: Option<i16>,
    /// A setting of a new topic, such as retention.ms=1h.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub topic_config: Vec<String>,
    /// Process whose CPU time and memory are reported, or several separated by commas, whose sum is [default: whoever listens
    /// at the addresses of the cluster, if all run here].
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub server_pid: Vec<u32>,
}

/// How hard, and how long.
#[derive(Clone, Debug, Args)]
pub struct Pace {
    /// Connections, spread over the leaders of the partitions.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = |text: &str| count_in::<u32>(text, 1..=10_000))]
    pub connections: u32,
    /// Requests that one connection keeps unanswered [default: 1; with --rate, where there is one, as many as it takes].
    #[arg(long, value_name = "N", value_parser = |text: &str| count_in::<u32>(text, 1..=100_000))]
    pub outstanding: Option<u32>,
    /// Load before the measurement begins; a plain number counts seconds, here as in every time.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_time)]
    pub warmup: Duration,
    /// How long to measure.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_span)]
    pub duration: Duration,
    /// End after this many measured requests, if that comes before the end of the time.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub requests: Option<u64>,
}

/// Who decides when a request is sent: without a rate, the answers (closed loop).
#[derive(Clone, Debug, Default, Args)]
pub struct Rate {
    /// Records per second of all connections, such as 10k (open loop): latency counts from when a request was due, so
    /// that a stalled server cannot hide.
    #[arg(long, value_name = "RECORDS", value_parser = parse_count)]
    pub rate: Option<u64>,
    /// With --rate: the longest that a record waits for others of its batch; latency counts from the first record.
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "rate")]
    pub linger: Option<Duration>,
}

/// How records are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CodecName {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Whom a produce request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Acks {
    /// Nobody: there is no answer; a request counts when it is written to the socket.
    #[value(name = "0")]
    None,
    /// The leader.
    #[value(name = "1")]
    Leader,
    /// All in-sync replicas.
    All,
}

/// What is written.
#[derive(Clone, Debug, Args)]
pub struct Records {
    /// Bytes of a record's value: 100, 50..150, or with weights 100:9,10KiB..20KiB:1.
    #[arg(long, value_name = "SIZES", default_value = "100")]
    pub record_size: Sizes,
    /// Records of one request [default: 1, or what --batch-bytes holds].
    #[arg(long, value_name = "N", conflicts_with = "batch_bytes", value_parser = |text: &str| count_in::<u32>(text, 1..=1_000_000))]
    pub records: Option<u32>,
    /// About how many bytes of values one request holds: as many records as fit.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub batch_bytes: Option<usize>,
    /// Whose acknowledgement a request waits for.
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub acks: Acks,
    /// Compression of the records, done before the run.
    #[arg(long, value_enum, default_value_t = CodecName::None)]
    pub codec: CodecName,
    /// Number of different keys; 0: records have none.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse_count)]
    pub keys: u64,
    /// Each connection is an idempotent producer.
    #[arg(long)]
    pub idempotence: bool,
    /// Seed of keys, values and sizes.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_count)]
    pub seed: u64,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
}

/// A plot's file says by its name what it is.
pub fn plot_path(text: &str) -> Result<PathBuf, String> {
    match text.rsplit('.').next() {
        Some("svg" | "html") if text.contains('.') => Ok(PathBuf::from(text)),
        _ => Err("it must end with .svg or .html".to_string()),
    }
}

/// Where results go.
#[derive(Clone, Debug, Default, Args)]
pub struct Output {
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Name of the run in reports and plots [default: the mode].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The report as JSON, for torc bench compare.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The percentile distribution in HdrHistogram's text format, microseconds.
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// A histogram of each second, in HdrHistogram's log format, nanoseconds.
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// A plot: of the percentiles if it ends with .svg, a page with all plots and figures if it ends with .html.
    #[arg(long, value_name = "FILE", value_parser = plot_path)]
    pub plot: Option<PathBuf>,
    /// A directory that gets all of it: report.json, report.html, the plots, latency.hgrm and latency.hlog.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What torc bench limits --json wrote: figures are quoted as multiples of it too.
    #[arg(long, value_name = "FILE")]
    pub limits: Option<PathBuf>,
    /// A flamegraph (SVG) of the server's CPU time, if it runs on this machine: perf samples it during the measurement,
    /// which costs some speed.
    #[arg(long, value_name = "FILE")]
    pub flamegraph: Option<PathBuf>,
    /// No progress bar.
    #[arg(long)]
    pub quiet: bool,
}

impl Output {
    /// Whether a histogram of each second is wanted.
    pub fn keeps_log(&self) -> bool {
        self.hlog.is_some() || self.out.is_some()
    }
}

/// `torc bench produce`.
#[derive(Clone, Debug, Args)]
pub struct ProduceArgs {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub pace: Pace,
    #[command(flatten)]
    pub rate: Rate,
    #[command(flatten)]
    pub records: Records,
    #[command(flatten)]
    pub output: Output,
    /// Mark every record, and read all of them back after the run.
    #[arg(long)]
    pub verify: bool,
}

/// `torc bench consume`.
#[derive(Clone, Debug, Args)]
#[command(
    mut_arg("topic", |arg| arg.help("The topic, which must be there and hold records")),
    mut_arg("partitions", |arg| arg.help("Read the first N partitions")),
    mut_arg("replication_factor", |arg| arg.hide(true)),
    mut_arg("topic_config", |arg| arg.hide(true)),
    mut_arg("outstanding", |arg| arg.help("Requests that one connection keeps unanswered [default: 1]")),
    mut_arg("warmup", |arg| arg.help("Load before the measurement begins. Warming up reads the topic over and over; the \
        measurement begins where the topic begins")),
)]
pub struct ConsumeArgs {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub pace: Pace,
    #[command(flatten)]
    pub output: Output,
    /// Bytes that one fetch asks for.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_size)]
    pub fetch_bytes: usize,
    /// Read only the newest N records of each partition.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub last: Option<u64>,
    /// Read everything again and again until the time is over.
    #[arg(long)]
    pub repeat: bool,
    /// Check the CRC of every batch, the order of offsets, and every value that torc bench has marked.
    #[arg(long)]
    pub verify: bool,
}

/// `torc bench e2e`.
#[derive(Clone, Debug, Args)]
pub struct EndToEndArgs {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub pace: Pace,
    #[command(flatten)]
    pub rate: Rate,
    #[command(flatten)]
    pub records: Records,
    #[command(flatten)]
    pub output: Output,
    /// Connections that read.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = |text: &str| count_in::<u32>(text, 1..=10_000))]
    pub consumers: u32,
    /// Bytes that one fetch asks for.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_size)]
    pub fetch_bytes: usize,
}
