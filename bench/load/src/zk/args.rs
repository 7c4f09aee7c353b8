//! What `torc bench zk` can be asked for.

use super::ops::Mix;
use crate::options::{Output, Pace};
use crate::sizes::Sizes;
use crate::units::{parse_count, parse_span};
use clap::Args;
use std::time::Duration;
use torc_base::units::count_in;

/// Who is loaded.
#[derive(Clone, Debug, Args)]
pub struct ZkTarget {
    /// A ZooKeeper server, or several separated by commas, over which connections are spread.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2181")]
    pub server: String,
    /// The znode below which everything is made; what is there is deleted first, and again at the end.
    #[arg(long, value_name = "PATH", default_value = "/torc-bench", value_parser = base)]
    pub path: String,
    /// The sessions' timeout.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_span)]
    pub session_timeout: Duration,
    /// Process whose CPU time and memory are reported, or several separated by commas, whose sum is [default: whoever listens
    /// at the addresses, if all run here].
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub server_pid: Vec<u32>,
}

/// `torc bench zk`.
#[derive(Clone, Debug, Args)]
#[command(mut_arg("connections", |arg| arg.help("Connections, each a session, spread over the servers")))]
pub struct ZkArgs {
    #[command(flatten)]
    pub target: ZkTarget,
    /// What is asked: create, set, get, exists, delete, multi, sync, or a mix with weights such as get:9,set:1; watch: one client
    /// writes, all connections watch, and a request is an event that one of them has; session: connect, create an ephemeral
    /// znode, close.
    #[arg(long, value_name = "OP", default_value = "set")]
    pub op: Mix,
    #[command(flatten)]
    pub pace: Pace,
    /// Requests per second of all connections, such as 10k (open loop): latency counts from when a request was due, so that a
    /// stalled server cannot hide. With --op watch these are writes.
    #[arg(long, value_name = "REQUESTS", value_parser = parse_count)]
    pub rate: Option<u64>,
    /// Bytes that a znode holds: 100, 50..150, or with weights 100:9,10KiB..20KiB:1.
    #[arg(long, value_name = "SIZES", default_value = "100")]
    pub data_size: Sizes,
    /// Znodes that are written and read.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = |text: &str| count_in::<u32>(text, 1..=10_000_000))]
    pub znodes: u32,
    /// Writes of one multi.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = |text: &str| count_in::<u32>(text, 1..=1_000))]
    pub changes: u32,
    /// Seed of data, sizes and choices.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_count)]
    pub seed: u64,
    /// Leave the znodes there.
    #[arg(long)]
    pub keep: bool,
    #[command(flatten)]
    pub output: Output,
}

fn base(text: &str) -> Result<String, String> {
    let sound = text.starts_with('/') && !text.ends_with('/') && !text.contains("//");
    match sound && text != "/zookeeper" && !text.starts_with("/zookeeper/") {
        true => Ok(text.to_string()),
        false => Err("it must be a path such as /torc-bench".to_string()),
    }
}
