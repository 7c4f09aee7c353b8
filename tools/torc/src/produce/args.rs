//! What `torc produce` can be asked for.

use crate::consume::args::{Bytes, partition, patience};
use crate::formats::RecordFormat;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use torc_load::options::CodecName;

/// The arguments.
#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// The topic.
    pub topic: String,
    /// Files to read, one after the other; - is standard input [default: -].
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A server of the cluster, or several separated by commas: the first that answers is asked.
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:9092")]
    pub bootstrap_server: String,
    /// The partition of all records.
    #[arg(short, long, value_name = "N", value_parser = partition)]
    pub partition: Option<i32>,
    /// The key of all records.
    #[arg(short, long, value_name = "TEXT")]
    pub key: Option<String>,
    /// A header of all records; may be given more than once.
    #[arg(short = 'H', long, value_name = "KEY=VALUE", value_parser = header)]
    pub header: Vec<(String, String)>,
    /// What a line holds.
    #[arg(short, long, value_enum, default_value_t = RecordFormat::Value)]
    pub format: RecordFormat,
    /// Each file, or all of standard input, is one record.
    #[arg(long, conflicts_with_all = ["format", "delimiter"])]
    pub whole: bool,
    /// What ends a record, for value and key-value; \n, \t, \r, \0, \xHH are understood [default: \n].
    #[arg(short = 'D', long, value_name = "TEXT", value_parser = Bytes::delimiter)]
    pub delimiter: Option<Bytes>,
    /// What ends a key, for key-value [default: \t].
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = Bytes::delimiter)]
    pub key_delimiter: Option<Bytes>,
    /// Keys and values that are this text are null.
    #[arg(long, value_name = "TEXT", value_parser = Bytes::unescape)]
    pub null: Option<Bytes>,
    /// With --format json: send each record to the partition that its line names.
    #[arg(long, conflicts_with = "partition")]
    pub keep_partitions: bool,
    /// How record batches are compressed.
    #[arg(short = 'z', long, alias = "compression", value_enum, default_value_t = CodecName::None)]
    pub codec: CodecName,
    /// Whose acknowledgement a write waits for.
    #[arg(short, long, value_enum, default_value_t = AcksName::All, allow_hyphen_values = true)]
    pub acks: AcksName,
    /// Create the topic with the cluster's defaults if it is not there.
    #[arg(long)]
    pub create: bool,
    /// Give up when a server that answered before has not answered for this long.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience)]
    pub timeout: Duration,
    /// Show no progress.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `--acks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AcksName {
    /// Nobody: what is lost is not noticed.
    #[value(name = "0")]
    None,
    /// The leader.
    #[value(name = "1")]
    Leader,
    /// All replicas that are in sync.
    #[value(alias = "-1")]
    All,
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_string(), value.to_string())),
        _ => Err("it must be of the form KEY=VALUE".to_string()),
    }
}
