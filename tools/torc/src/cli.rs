//! What can be written on the command line.

use crate::admin::consent::Consent;
use crate::cluster::args::ClusterArgs;
use crate::consume::args::ConsumeArgs;
use crate::dev::args::DevArgs;
use crate::group::args::GroupArgs;
use crate::output::Format;
use crate::produce::args::ProduceArgs;
use crate::znode::args::ZnodeArgs;
use clap::{ArgGroup, Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;
use torc_base::limits::TOPIC_PARTITIONS_MAX;
use torc_base::units::{count_in, parse_time_ms, plain_setting};
use torc_load::command::BenchArgs;

/// A Kafka broker and a ZooKeeper server in one: every write is on disk before it is acknowledged.
///
/// Without a command torc runs a server; without --data-dir its data is in ./torc-data, which the first start makes.
#[derive(Debug, Parser)]
#[command(name = "torc", version = env!("TORC_VERSION"), args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What scripts may rely on.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 the command line is wrong, 3 damage was found (wal, snapshot), \
                          130 interrupted";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a server; so does torc without a command.
    Serve(ServeArgs),
    /// Check a configuration file without starting, or show what is in force.
    Config(ConfigArgs),
    /// Check what on this machine costs a durable log speed or safety; --apply changes it.
    Tune(TuneArgs),
    /// Watch a server: rates and their trend, times by stage, disk, memory, topics; `q` leaves.
    Top(TopArgs),
    /// Create, list, describe, alter and delete topics, of torc or of any Kafka cluster.
    Topic(TopicArgs),
    /// List and describe consumer groups with their lag, reset and delete their offsets, delete them; of torc or of any Kafka
    /// cluster.
    Group(GroupArgs),
    /// Show the nodes of a cluster, its partitions with their replicas, and what is wrong; of torc or of any Kafka cluster.
    Cluster(ClusterArgs),
    /// Look at and change the znodes of torc or of any ZooKeeper: list, read, write, watch, import and export; with a shell.
    Znode(Box<ZnodeArgs>),
    /// Run a cluster on this machine, and kill, pause and restart its nodes by keys while clients write.
    Dev(DevArgs),
    /// Write records to a topic, of torc or of any Kafka cluster: lines of standard input, or files.
    ///
    /// Keyed records go to the partitions that the Java client would choose; the others fill one partition's batch after another's.
    /// With --acks all, each record is written once, even if a server restarts meanwhile.
    ///
    /// Exit codes: 0 all records were sent; 1 something failed, and how many were sent before is said; 2 the command line is wrong;
    /// 130 Ctrl-C came before the end of the input, and what was read until then is sent.
    Produce(Box<ProduceArgs>),
    /// Print records of a topic, of torc or of any Kafka cluster, until Ctrl-C or the end that -e or -n set.
    ///
    /// Exit codes: 0 all that was asked for was read (without -e and -n that is up to Ctrl-C, SIGTERM or the end of the pipe's
    /// reader); 1 something failed; 2 the command line is wrong; 130 Ctrl-C came before the end.
    Consume(Box<ConsumeArgs>),
    /// Run the server's code in a simulator that injects faults and checks every promise.
    Sim(torc_sim::command::Args),
    /// Load any Kafka or ZooKeeper server, make the runs of a scenario, compare reports, measure this machine.
    Bench(BenchArgs),
    /// Look into the files of a log: segments, batches, entries, damage.
    Wal(torc_inspect::WalArgs),
    /// Look into checkpoint files: sections, checksums, groups.
    Snapshot(torc_inspect::SnapshotArgs),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print torc(1), or write the man pages of all commands.
    Man {
        /// Directory that gets a page for each command.
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Flags beat --set, --set beats the file.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Configuration in the format of Kafka's server.properties; ZooKeeper's zoo.cfg starts a ZooKeeper.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where data lives [default: ./torc-data].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// This server's number in its cluster; fixed at the first start [default: 1].
    #[arg(long, value_name = "N")]
    pub node_id: Option<String>,
    /// Address for Kafka clients; there is no TLS and no authentication, so choose one that only clients you trust can reach
    /// [default: 127.0.0.1:9092].
    #[arg(long, value_name = "ADDR")]
    pub kafka: Option<String>,
    /// Address for ZooKeeper's clients, or a port of this machine alone; without TLS, so choose one that only clients you trust can
    /// reach [default: none].
    #[arg(long, value_name = "[HOST:]PORT")]
    pub zookeeper: Option<String>,
    /// Address of the metrics (HTTP, open to whoever can reach it), or none [default: 127.0.0.1:9644].
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<String>,
    /// All servers of the cluster with their numbers, the same text on each: 1=HOST:PORT,2=HOST:PORT,3=HOST:PORT. The first start
    /// of all of them founds it, and the list is fixed then [default: a single server].
    #[arg(long, value_name = "LIST")]
    pub peers: Option<String>,
    /// Servers of a running cluster, at least one: this one joins it at its first start. It needs a number of its own with
    /// --node-id, and an address for the others with --peer [default: see --peers].
    #[arg(long, value_name = "HOST:PORT,...")]
    pub join: Option<String>,
    /// Address for the other servers of the cluster, without TLS and authentication: only they may reach it [default: this
    /// server's address in --peers, or the one that it joined with].
    #[arg(long, value_name = "ADDR")]
    pub peer: Option<String>,
    /// Shards; fixed at the first start [default: one for each core, or fewer: see --keys].
    #[arg(long, value_name = "N")]
    pub shards: Option<String>,
    /// Set any configuration key; --keys lists them.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Print all configuration keys with their defaults, and exit.
    #[arg(long)]
    pub keys: bool,
    /// How --keys prints.
    #[arg(long, value_enum, default_value_t = Format::Table, requires = "keys")]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    pub format: Format,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say what becomes of each line of a file, and whether torc would start with it.
    Check {
        /// A file in the format of Kafka's server.properties, of torc or of Kafka, or a zoo.cfg.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the settings in force, and where each comes from.
    Show(Box<SourceArgs>),
}

#[derive(Debug, Args)]
pub struct TuneArgs {
    /// Where data lives, or will live.
    #[arg(long, value_name = "DIR", default_value = "./torc-data")]
    pub data_dir: PathBuf,
    /// Change what can be changed without a reboot, until the next one; needs root.
    #[arg(long)]
    pub apply: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct TopArgs {
    /// The server's metrics endpoint, or those of several nodes of a cluster, separated by commas: a line for each, and all of the
    /// first.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9644")]
    pub metrics: String,
    /// Time between two looks, such as 500ms or 2s; a plain number counts seconds.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Print once and exit, as it does when standard output is no terminal.
    #[arg(long)]
    pub once: bool,
    /// How to print; JSON is printed once.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct TopicArgs {
    /// A server of the cluster, or several separated by commas: the first that answers is asked.
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:9092", global = true)]
    pub bootstrap_server: String,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    pub format: Format,
    #[command(subcommand)]
    pub command: TopicCommand,
}

#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// Create a topic.
    Create(CreateArgs),
    /// List topics, with what they hold on disk.
    #[command(visible_alias = "ls")]
    List {
        /// Names, or patterns such as 'ord*' [default: all topics].
        #[arg(value_name = "TOPIC")]
        names: Vec<String>,
    },
    /// Show partitions, offsets, sizes and settings of topics.
    Describe {
        /// Names, or patterns such as 'ord*' [default: all topics].
        #[arg(value_name = "TOPIC")]
        names: Vec<String>,
    },
    /// Add partitions, change settings or reset them.
    Alter(AlterArgs),
    /// Delete topics with all their records; asks first.
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Names, or patterns such as 'ord*', in quotes so that the shell leaves them alone.
    #[arg(required = true, value_name = "TOPIC")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Its name: letters, digits, `.`, `_`, `-`; at most 249 characters.
    pub name: String,
    /// Partitions [default: the cluster's num.partitions].
    #[arg(long, value_name = "N", value_parser = |text: &str| count_in::<i32>(text, 1..=TOPIC_PARTITIONS_MAX as i64))]
    pub partitions: Option<i32>,
    /// Copies of each partition [default: the cluster's].
    #[arg(long, value_name = "N", value_parser = |text: &str| count_in::<i16>(text, 1..=i16::MAX.into()))]
    pub replication_factor: Option<i16>,
    /// A setting of the topic, such as retention.ms=7d or max.message.bytes=2MiB.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub config: Vec<(String, String)>,
    /// Ask the cluster whether it would do it, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["partitions", "config", "delete_config"]))]
pub struct AlterArgs {
    /// The topic.
    pub name: String,
    /// Its new number of partitions, larger than now.
    #[arg(long, value_name = "N", value_parser = |text: &str| count_in::<i32>(text, 1..=TOPIC_PARTITIONS_MAX as i64))]
    pub partitions: Option<i32>,
    /// A setting to change, such as retention.ms=7d.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub config: Vec<(String, String)>,
    /// A setting to reset to its default.
    #[arg(long, value_name = "KEY")]
    pub delete_config: Vec<String>,
    /// Ask the cluster whether it would do it, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// The shard publishes some counters only every 50 ms: a shorter interval would show that.
fn interval(text: &str) -> Result<Duration, String> {
    match parse_time_ms(text, 1_000) {
        Some(ms @ 200..=3_600_000) => Ok(Duration::from_millis(ms as u64)),
        _ => Err("it must be a time from 200ms to 3600s".to_string()),
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_string(), plain_setting(key.trim(), value.trim())))
        }
        _ => Err("it must be of the form KEY=VALUE".to_string()),
    }
}
