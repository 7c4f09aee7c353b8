//! What `torc znode` can be asked for.

use super::acl::parse_list;
use crate::admin::consent::Consent;
use crate::output::Format;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;
use torc_base::units::{count_in, parse_time_ms};
use torc_net::zookeeper::OwnedAcl;

#[derive(Debug, Args)]
pub struct ZnodeArgs {
    /// A ZooKeeper server, or several separated by commas; a path behind them is what all paths are below: HOST:PORT,HOST:PORT/app.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2181", global = true)]
    pub server: String,
    /// Credentials, such as digest:user:password. Can be given several times; others on this machine see command lines.
    #[arg(long, value_name = "SCHEME:PROOF", value_parser = auth, global = true)]
    pub auth: Vec<(String, String)>,
    /// The session's timeout, and how long to look for another server that takes it over.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout, global = true)]
    pub timeout: Duration,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    pub format: Format,
    #[command(subcommand)]
    pub command: ZnodeCommand,
}

#[derive(Debug, Subcommand)]
pub enum ZnodeCommand {
    /// List the children of a znode.
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Show a znode and all below it.
    Tree(TreeArgs),
    /// Print what a znode holds.
    Get(GetArgs),
    /// Write a znode.
    Set(SetArgs),
    /// Make a znode.
    Create(CreateArgs),
    /// Delete znodes that have no children.
    Delete(DeleteArgs),
    /// Delete a znode and all below it; asks first.
    Deleteall(DeleteAllArgs),
    /// Show what a znode is: versions, times, who it ends with.
    ///
    /// Containers and znodes with a time to live look like persistent ones: servers tell nobody of them.
    Stat {
        /// The znode.
        #[arg(value_name = "PATH", value_parser = path)]
        path: String,
    },
    /// Print what happens to a znode and its children, until Ctrl-C or -n.
    Watch(WatchArgs),
    /// Show who may do what with a znode, or change it.
    Acl(AclArgs),
    /// Run commands of torc znode, one on each line, in one session.
    ///
    /// On a terminal with history and completion; from a pipe the first failure ends it, with exit code 1.
    Shell,
    /// Make the znodes of a ZooKeeper's data directory (3.5 to 3.9: snapshots and logs) on a server that runs.
    ///
    /// Data, access lists, quotas, containers and times to live are kept, and the counters of sequential names. What clients cannot
    /// set is not: zxids, versions, times of creation and change; ephemeral znodes, as their sessions are not here.
    Import(ImportArgs),
    /// Write all znodes of a server as a snapshot that a ZooKeeper 3.8 starts from.
    ///
    /// Zxids, versions, times and access lists are kept. Ephemeral znodes are left out, as their sessions would not follow, and so is
    /// what a server only shows, such as the metadata of Kafka's topics in torc. Containers and znodes with a time to live become
    /// persistent ones, as servers tell nobody of them. What is changed meanwhile may be in it or not: for a state of one moment let nobody write.
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub struct LsArgs {
    /// The znode.
    #[arg(value_name = "PATH", default_value = "/", value_parser = path)]
    pub path: String,
    /// Of each its kind, version, size, children and last change.
    #[arg(short, long)]
    pub long: bool,
    /// All below it, with their paths.
    #[arg(short = 'R', long)]
    pub recursive: bool,
}

#[derive(Debug, Args)]
pub struct TreeArgs {
    /// The znode.
    #[arg(value_name = "PATH", default_value = "/", value_parser = path)]
    pub path: String,
    /// How many levels below it [default: all].
    #[arg(long, value_name = "N", value_parser = |text: &str| count_in::<usize>(text, 0..=1000))]
    pub depth: Option<usize>,
}

#[derive(Debug, Args)]
pub struct GetArgs {
    /// The znode.
    #[arg(value_name = "PATH", value_parser = path)]
    pub path: String,
    /// Its bytes as hex digits.
    #[arg(long)]
    pub hex: bool,
    /// Also show what it is: see stat.
    #[arg(short, long)]
    pub stat: bool,
}

/// What is written.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// What it is to hold.
    #[arg(value_name = "DATA", conflicts_with = "file")]
    pub data: Option<String>,
    /// What it is to hold is in this file; - is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// DATA are hex digits.
    #[arg(long, requires = "data")]
    pub hex: bool,
}

#[derive(Debug, Args)]
pub struct SetArgs {
    /// The znode.
    #[arg(value_name = "PATH", value_parser = path)]
    pub path: String,
    #[command(flatten)]
    pub data: DataArgs,
    /// Only if it has this version.
    #[arg(short, long, value_name = "N", value_parser = version)]
    pub version: Option<i32>,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Its path; the number of a sequential one is put behind it.
    #[arg(value_name = "PATH", value_parser = new_path)]
    pub path: String,
    #[command(flatten)]
    pub data: DataArgs,
    /// It ends with its session. Outside of the shell that is when this command is ended by Ctrl-C.
    #[arg(short, long, conflicts_with_all = ["container", "ttl"])]
    pub ephemeral: bool,
    /// Its name gets a number.
    #[arg(short, long, conflicts_with = "container")]
    pub sequential: bool,
    /// It ends some time after its last child is gone.
    #[arg(short, long, conflicts_with = "ttl")]
    pub container: bool,
    /// It ends when it has had no child and no change for this long.
    #[arg(short, long, value_name = "TIME", value_parser = ttl)]
    pub ttl: Option<i64>,
    /// Make the znodes above it that are missing.
    #[arg(short, long)]
    pub parents: bool,
    /// Who may do what: SCHEME:ID:PERMS, separated by commas, such as world:anyone:r,auth::cdrwa [default: world:anyone:cdrwa].
    #[arg(long, value_name = "ACL", value_parser = parse_list)]
    pub acl: Option<AclList>,
}

/// An access list from the command line.
pub type AclList = std::sync::Arc<Vec<OwnedAcl>>;

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The znodes.
    #[arg(required = true, value_name = "PATH", value_parser = new_path)]
    pub paths: Vec<String>,
    /// Only if it has this version.
    #[arg(short, long, value_name = "N", value_parser = version)]
    pub version: Option<i32>,
}

#[derive(Debug, Args)]
pub struct DeleteAllArgs {
    /// The znode.
    #[arg(value_name = "PATH", value_parser = new_path)]
    pub path: String,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The znode, which need not be there.
    #[arg(value_name = "PATH", value_parser = path)]
    pub path: String,
    /// Also all that is below it.
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// End after N events.
    #[arg(short = 'n', long, value_name = "N", value_parser = |text: &str| count_in::<u64>(text, 1..=i64::MAX))]
    pub count: Option<u64>,
}

#[derive(Debug, Args)]
pub struct AclArgs {
    /// The znode.
    #[arg(value_name = "PATH", value_parser = path)]
    pub path: String,
    /// Who may do what from now on: SCHEME:ID:PERMS, separated by commas, such as world:anyone:r,auth::cdrwa.
    #[arg(value_name = "ACL", value_parser = parse_list)]
    pub acl: Option<AclList>,
    /// Also of all that is below it.
    #[arg(short = 'R', long, requires = "acl")]
    pub recursive: bool,
    /// Only if its access list has this version.
    #[arg(short, long, value_name = "N", value_parser = version, requires = "acl")]
    pub version: Option<i32>,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The data directory, or the folder version-2 in it.
    pub dir: PathBuf,
    /// Where logs are if they are elsewhere (dataLogDir).
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,
    /// Write znodes that are there already, instead of refusing.
    #[arg(long)]
    pub replace: bool,
    /// Let sequential names go on from the children that are there, however many there have been.
    #[arg(long)]
    pub no_sequences: bool,
    /// Read the directory, say what is in it, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The data directory to be written: it gets a folder version-2 with a snapshot, and must not have one.
    pub dir: PathBuf,
}

/// A path of a znode, without a slash at its end.
pub fn path(text: &str) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err(format!("a path begins with /: did you mean /{text}?"));
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Ok("/".to_string());
    }
    for name in rest.split('/') {
        if matches!(name, "" | "." | "..") {
            return Err(format!("{text} has a name {name:?}, which no znode can have"));
        }
        if let Some(c) = name.chars().find(|c| c.is_control()) {
            return Err(format!("a path has no character {c:?}"));
        }
    }
    Ok(format!("/{rest}"))
}

/// The same for one that is not the root. Names of sequential ones may be empty but for their number.
fn new_path(text: &str) -> Result<String, String> {
    if text.len() > 1 && text.ends_with('/') {
        return path(&format!("{text}x")).map(|_| text.to_string());
    }
    match path(text)?.as_str() {
        "/" => Err("the root is always there".to_string()),
        path => Ok(path.to_string()),
    }
}

fn auth(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((scheme, proof)) if !scheme.is_empty() => Ok((scheme.to_string(), proof.to_string())),
        _ => Err("it must be of the form SCHEME:PROOF, such as digest:user:password".to_string()),
    }
}

fn version(text: &str) -> Result<i32, String> {
    count_in::<i32>(text, 0..=i32::MAX.into())
}

fn timeout(text: &str) -> Result<Duration, String> {
    match parse_time_ms(text, 1_000) {
        Some(ms @ 100..=3_600_000) => Ok(Duration::from_millis(ms as u64)),
        _ => Err("it must be a time from 100ms to 3600s".to_string()),
    }
}

fn ttl(text: &str) -> Result<i64, String> {
    match parse_time_ms(text, 1) {
        Some(ms @ 1..=1_099_511_627_775) => Ok(ms),
        _ => Err("it must be a time from 1ms to 12725d, such as 10s; a plain number counts milliseconds".to_string()),
    }
}
