//! What `torc cluster` can be asked for.

use crate::output::Format;
use clap::{Args, Subcommand};

/// The arguments.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// A server of the cluster, or several separated by commas: the first that answers is asked.
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
    /// Move partitions to other nodes, or show those on their way.
    ///
    /// Clients go on meanwhile. Without --to and --cancel nothing is changed.
    Reassign(ReassignArgs),
    /// Let another replica lead partitions, now and from now on.
    TransferLeader(TransferArgs),
    /// Move all that a node has to others, and take it out of the cluster.
    ///
    /// It goes on by itself, whichever node fails meanwhile. A node that is out does not come back with its disk.
    Decommission(DecommissionArgs),
}

/// What is to be brought where.
#[derive(Debug, Args)]
pub struct ReassignArgs {
    /// Topics, partitions such as orders/3, or patterns such as 'ord*'.
    #[arg(value_name = "TOPIC[/PARTITION]")]
    pub names: Vec<String>,
    /// The nodes that are to have each of them; the first is to lead.
    #[arg(long, value_name = "NODE,..", value_delimiter = ',', conflicts_with = "cancel")]
    pub to: Vec<i32>,
    /// Bring them back to where they were.
    #[arg(long)]
    pub cancel: bool,
    /// Wait until they are there.
    #[arg(long)]
    pub wait: bool,
}

/// Who is to lead what.
#[derive(Debug, Args)]
pub struct TransferArgs {
    /// Topics, partitions such as orders/3, or patterns such as 'ord*'.
    #[arg(value_name = "TOPIC[/PARTITION]", required = true)]
    pub names: Vec<String>,
    /// The node that is to lead them; it has a replica of each.
    #[arg(long, value_name = "NODE")]
    pub to: i32,
}

/// Who is to leave.
#[derive(Debug, Args)]
pub struct DecommissionArgs {
    /// The node.
    pub node: i32,
    /// Keep it in the cluster after all.
    #[arg(long, conflicts_with = "progress")]
    pub cancel: bool,
    /// Change nothing: show how far it has come.
    #[arg(long)]
    pub progress: bool,
    /// Wait until it is out.
    #[arg(long)]
    pub wait: bool,
}
