//! What `torc group` can be asked for.

use crate::admin::consent::Consent;
use crate::consume::args::{partition, patience};
use crate::formats::moment;
use crate::output::Format;
use clap::{ArgGroup, Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;
use torc_base::units::parse_count;

#[derive(Debug, Args)]
pub struct GroupArgs {
    /// A server of the cluster, or several separated by commas: the first that answers is asked.
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:9092", global = true)]
    pub bootstrap_server: String,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    pub format: Format,
    /// Give up when no coordinator has answered for this long.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience, global = true)]
    pub timeout: Duration,
    #[command(subcommand)]
    pub command: GroupCommand,
}

#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List groups with their states and types.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show a group's state, its offsets and lag by partition, its members and what each reads.
    Describe(DescribeArgs),
    /// Set what an empty group reads next; asks first.
    ///
    /// Offsets that the log does not have become those of its nearest end. A group with members is refused: they would go on where
    /// they are, and commit that.
    ResetOffsets(Box<ResetArgs>),
    /// Delete empty groups with all their offsets; asks first.
    Delete(DeleteArgs),
    /// Delete a group's offsets of topics that none of its members subscribes to; asks first.
    DeleteOffsets(DeleteOffsetsArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Names, or patterns such as 'app-*' [default: all groups].
    #[arg(value_name = "GROUP")]
    pub names: Vec<String>,
    /// Only groups in these states, separated by commas: empty, stable, preparing-rebalance, completing-rebalance, assigning,
    /// reconciling, dead.
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    pub state: Vec<String>,
    /// Only groups of these types, separated by commas: classic, consumer, share, streams.
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', value_parser = kind)]
    pub kind: Vec<String>,
}

#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Names, or patterns such as 'app-*'.
    #[arg(required = true, value_name = "GROUP")]
    pub names: Vec<String>,
    /// Show offsets and lag of each partition, and nothing else that is not asked for.
    #[arg(long)]
    pub offsets: bool,
    /// Show the members and what each reads.
    #[arg(long)]
    pub members: bool,
    /// Show the state, one line for each group.
    #[arg(long)]
    pub state: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("where").required(true)
    .args(["to_earliest", "to_latest", "to_current", "to_offset", "to_time", "shift_by", "from_file"]))]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["topic", "all_topics", "from_file"]))]
pub struct ResetArgs {
    /// The group.
    pub group: String,
    /// A topic, or some of its partitions: orders, orders:0,3. Can be given several times.
    #[arg(short, long, value_name = "TOPIC[:N,N]", conflicts_with_all = ["all_topics", "from_file"], value_parser = topic)]
    pub topic: Vec<TopicPartitions>,
    /// All partitions that the group has offsets of.
    #[arg(long, conflicts_with = "from_file")]
    pub all_topics: bool,
    /// To the first record that is there.
    #[arg(long)]
    pub to_earliest: bool,
    /// To the end, after the last record.
    #[arg(long)]
    pub to_latest: bool,
    /// To what it is now, or the nearest offset that the log still has.
    #[arg(long)]
    pub to_current: bool,
    /// To this offset.
    #[arg(long, value_name = "N", value_parser = offset)]
    pub to_offset: Option<i64>,
    /// To the first record at a time: ago, such as -1h, or a moment such as 2026-11-28T14:30 (UTC) or @MILLISECONDS.
    #[arg(long, visible_alias = "to-datetime", value_name = "WHEN", allow_hyphen_values = true, value_parser = moment)]
    pub to_time: Option<i64>,
    /// N records forward, or back with -N.
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = shift)]
    pub shift_by: Option<i64>,
    /// To the offsets of a file with lines TOPIC,PARTITION,OFFSET; - is standard input, which needs --yes.
    #[arg(long, value_name = "CSV")]
    pub from_file: Option<PathBuf>,
    /// Make the group if it is not there.
    #[arg(long)]
    pub create: bool,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Names, or patterns such as 'app-*', in quotes so that the shell leaves them alone.
    #[arg(required = true, value_name = "GROUP")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct DeleteOffsetsArgs {
    /// The group.
    pub group: String,
    /// A topic, or some of its partitions: orders, orders:0,3. Can be given several times.
    #[arg(short, long, required = true, value_name = "TOPIC[:N,N]", value_parser = topic)]
    pub topic: Vec<TopicPartitions>,
    #[command(flatten)]
    pub consent: Consent,
}

/// Some partitions of a topic, or all: then there are none here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    pub topic: String,
    pub partitions: Vec<i32>,
}

/// A topic's name has no colon.
fn topic(text: &str) -> Result<TopicPartitions, String> {
    let (topic, partitions) = match text.split_once(':') {
        Some((topic, numbers)) => (topic, numbers.split(',').map(partition).collect::<Result<_, _>>()?),
        None => (text, Vec::new()),
    };
    match topic.is_empty() {
        true => Err("it must be a topic, or one with partitions such as orders:0,3".to_string()),
        false => Ok(TopicPartitions { topic: topic.to_string(), partitions }),
    }
}

fn offset(text: &str) -> Result<i64, String> {
    parse_count(text).filter(|offset| *offset >= 0).ok_or_else(|| "it must be an offset, from 0 on".to_string())
}

fn shift(text: &str) -> Result<i64, String> {
    let (back, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    match parse_count(digits).filter(|n| *n >= 0) {
        Some(n) => Ok(if back { -n } else { n }),
        None => Err("it must be a number of records, such as 100 or -100".to_string()),
    }
}

fn moment(text: &str) -> Result<i64, String> {
    let why = || "it must be a time ago such as -1h, or a moment such as 2026-11-28T14:30 or @MILLISECONDS".to_string();
    moment::parse(text, moment::now_ms()).ok_or_else(why)
}

/// Kafka's names of states.
const STATES: &[&str] =
    &["Empty", "Stable", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling", "NotReady", "Dead"];
const KINDS: &[&str] = &["classic", "consumer", "share", "streams"];

fn state(text: &str) -> Result<String, String> {
    one_of(STATES, text)
}

fn kind(text: &str) -> Result<String, String> {
    one_of(KINDS, text)
}

/// The one of `names` that is meant, whatever its case, with hyphens between its words or without.
fn one_of(names: &[&str], text: &str) -> Result<String, String> {
    let plain = text.replace('-', "").to_ascii_lowercase();
    let found = names.iter().find(|name| name.to_ascii_lowercase() == plain);
    found.map(|name| name.to_string()).ok_or_else(|| format!("it must be one of {}", names.join(", ")))
}
