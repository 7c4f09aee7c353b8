//! What `torc cluster` can be asked for.

use crate::output::Format;
use clap::{Args, Subcommand};

/// The arguments.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// A server of the cluster, or several with commas between: the first that answers is asked.
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:9092", global = true)]
    pub bootstrap_server: String,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    pub format: Format,
    #[command(subcommand)]
    pub command: ClusterCommand,
}

/// What is to be shown.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// The cluster in a few lines.
    Status,
    /// Nodes: whether they answer, what they lead, what they keep.
    #[command(visible_alias = "brokers")]
    Nodes,
    /// Partitions: who leads, which replicas are in sync, their size.
    Partitions {
        /// Names of topics, or patterns such as 'ord*' [default: all topics, internal ones too].
        #[arg(value_name = "TOPIC")]
        names: Vec<String>,
        /// Only those that lack a leader or a replica in sync.
        #[arg(long)]
        lacking: bool,
    },
    /// What is wrong, and what to do about it.
    ///
    /// Exit codes: 0 nothing is wrong; 1 something is, or no server answers.
    Health,
}
