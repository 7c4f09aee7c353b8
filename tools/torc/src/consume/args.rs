//! What `torc consume` can be asked for.

use super::template::Template;
use crate::formats::escape::{delimiter, unescape};
use crate::formats::{RecordFormat, moment};
use clap::Args;
use std::time::Duration;
use torc_base::limits::TOPIC_PARTITIONS_MAX;
use torc_base::units::{count_in, parse_count, parse_time_ms};
use torc_client::Assignor;

/// The arguments.
#[derive(Debug, Args)]
pub struct ConsumeArgs {
    /// The topic.
    pub topic: String,
    /// A server of the cluster, or several separated by commas: the first that answers is asked.
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:9092")]
    pub bootstrap_server: String,
    /// Partitions to read, separated by commas [default: all].
    #[arg(short, long, value_name = "N", value_delimiter = ',', value_parser = partition)]
    pub partition: Vec<i32>,
    /// Where to begin: start, end, an offset such as 42, a time ago such as -1h, a moment such as 2026-11-28T14:30 (UTC) or
    /// @MILLISECONDS.
    #[arg(short = 'o', long, value_name = "WHERE", default_value = "start", allow_hyphen_values = true, value_parser = from)]
    pub from: From,
    /// Begin with the last N of all records that are there, in the order of their timestamps.
    #[arg(long, value_name = "N", conflicts_with = "from", value_parser = |text: &str| count_in::<usize>(text, 0..=1_000_000))]
    pub last: Option<usize>,
    /// Read as a member of this consumer group: share the partitions with its other members, go on where the group left off (or begin
    /// at --from, where it has read nothing yet), and commit what was printed.
    #[arg(short, long, value_name = "GROUP", conflicts_with_all = ["partition", "last"])]
    pub group: Option<String>,
    /// How the group may give out partitions, separated by commas: range, cooperative-sticky. With range among them this member
    /// gives up all that it reads at each rebalance, as most clients do; with cooperative-sticky alone, only what others get.
    #[arg(long, value_name = "NAMES", requires = "group", value_delimiter = ',', default_value = "range,cooperative-sticky",
        value_parser = assignor)]
    pub assignor: Vec<Assignor>,
    /// The group gives this member's partitions to others when it has not heard from it for this long.
    #[arg(long, value_name = "TIME", requires = "group", default_value = "45s", value_parser = session)]
    pub session_timeout: Duration,
    /// End after the last record that is there now.
    #[arg(short = 'e', long)]
    pub until_end: bool,
    /// End after N records.
    #[arg(short = 'n', long, value_name = "N", value_parser = |text: &str| count_in::<u64>(text, 0..=i64::MAX))]
    pub count: Option<u64>,
    /// How a record is printed.
    #[arg(short, long, value_enum, default_value_t = RecordFormat::Value)]
    pub format: RecordFormat,
    /// Print this of each record instead: %t topic, %p partition, %o offset, %k key, %v value, %h headers, %T timestamp in
    /// milliseconds, %d the same as a date, %K and %V lengths of key and value (-1: null), %% a percent sign, \n a line's end.
    #[arg(long, value_name = "TEXT", conflicts_with = "format", value_parser = Template::parse)]
    pub template: Option<Template>,
    /// What follows each value, for value and key-value; \n, \t, \r, \0, \xHH are understood [default: \n].
    #[arg(short = 'D', long, value_name = "TEXT", value_parser = Bytes::unescape, conflicts_with = "template")]
    pub delimiter: Option<Bytes>,
    /// What stands between key and value, for key-value [default: \t].
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = Bytes::delimiter, conflicts_with = "template")]
    pub key_delimiter: Option<Bytes>,
    /// What is printed for null, where the format has nothing for it [default: nothing].
    #[arg(long, value_name = "TEXT", value_parser = Bytes::unescape)]
    pub null: Option<Bytes>,
    /// Also read what transactions wrote that have not ended, or were aborted.
    #[arg(long)]
    pub uncommitted: bool,
    /// Give up when a server that answered before has not answered for this long.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience)]
    pub timeout: Duration,
    /// Show no progress.
    #[arg(short, long)]
    pub quiet: bool,
}

impl ConsumeArgs {
    /// What is given for a format that has no use for it.
    pub fn flaw(&self) -> Option<&'static str> {
        let is_text = matches!(self.format, RecordFormat::Value | RecordFormat::KeyValue) || self.template.is_some();
        match () {
            () if self.key_delimiter.is_some() && self.format != RecordFormat::KeyValue => {
                Some("--key-delimiter is for --format key-value")
            }
            () if self.delimiter.is_some() && !is_text => {
                Some("--delimiter is for --format value and key-value: the others print a line for each record")
            }
            () if self.null.is_some() && !is_text => Some(
                "--null is for --format value and key-value, and for --template: the others have a null of their own",
            ),
            () => None,
        }
    }
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Start,
    End,
    Offset(i64),
    /// Milliseconds since 1970.
    Moment(i64),
}

/// Bytes of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// Those that stand for themselves or are escaped.
    pub fn unescape(text: &str) -> Result<Bytes, String> {
        unescape(text).map(Bytes)
    }

    /// The same, one at least.
    pub fn delimiter(text: &str) -> Result<Bytes, String> {
        delimiter(text).map(Bytes)
    }
}

fn from(text: &str) -> Result<From, String> {
    Ok(match text {
        "start" | "beginning" | "earliest" => From::Start,
        "end" | "latest" => From::End,
        _ => match (parse_count(text).filter(|offset| *offset >= 0), moment::parse(text, moment::now_ms())) {
            (Some(offset), _) => From::Offset(offset),
            (None, Some(ms)) => From::Moment(ms),
            (None, None) => {
                let hint = match text.strip_prefix('-').and_then(parse_count) {
                    Some(n) => format!(" (the last {n} records are --last {n})"),
                    None => String::new(),
                };
                return Err(format!(
                    "it must be start, end, an offset, a time ago such as -1h, or a moment such as 2026-11-28T14:30{hint}"
                ));
            }
        },
    })
}

/// A partition's number.
pub fn partition(text: &str) -> Result<i32, String> {
    count_in(text, 0..=TOPIC_PARTITIONS_MAX as i64 - 1)
}

fn assignor(text: &str) -> Result<Assignor, String> {
    let names = || Assignor::ALL.map(Assignor::name).join(", ");
    Assignor::of_name(text).ok_or_else(|| format!("it must be one of {}", names()))
}

fn session(text: &str) -> Result<Duration, String> {
    match parse_time_ms(text, 1_000) {
        Some(ms @ 1_000..=86_400_000) => Ok(Duration::from_millis(ms as u64)),
        _ => Err("it must be a time from 1s to 1d; servers allow from 6s to 30m by default".to_string()),
    }
}

/// How long to wait for what passes by itself.
pub fn patience(text: &str) -> Result<Duration, String> {
    match parse_time_ms(text, 1_000) {
        Some(ms @ 0..=86_400_000) => Ok(Duration::from_millis(ms as u64)),
        _ => Err("it must be a time up to 1d, such as 500ms or 30s".to_string()),
    }
}
