//! What `torc dev` can be asked for.

use clap::Args;
use std::path::PathBuf;
use torc_base::units::count_in;

/// Nodes that one machine is asked to run at most.
pub const NODES_MAX: i64 = 9;

/// The arguments.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Nodes, each a server of its own.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = |text: &str| count_in::<u32>(text, 1..=NODES_MAX))]
    pub nodes: u32,
    /// Where the nodes have their data and logs; what is there is used again.
    #[arg(long, value_name = "DIR", default_value = "./torc-dev")]
    pub dir: PathBuf,
    /// The first node's port for Kafka clients; the others have the next ones. The ports between nodes are 100 higher, those of the
    /// metrics 200, those for ZooKeeper clients 300.
    #[arg(long, value_name = "N", default_value_t = 9092, value_parser = |text: &str| count_in::<u16>(text, 1..=65_000))]
    pub port: u16,
    /// Print what happens line by line, as where standard output is no terminal; k1, p1, r1 and q are read from standard input.
    #[arg(long)]
    pub plain: bool,
}
