//! `torc-check`: one subcommand to a promise.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use torc_check::failure::Result;
use torc_check::report::Report;
use torc_check::{
    badinput, cluster, diskfull, groups, idle, kill, neighbours, process, ready, restart, sessions, starts, trace,
};

#[cfg(test)]
mod help_tests;

/// Shows that a torc server keeps its promises, with real processes, sockets and disks.
#[derive(Parser)]
#[command(name = "torc-check", version)]
struct Cli {
    /// The server's binary; by default the one beside this program.
    #[arg(long, global = true)]
    torc: Option<PathBuf>,
    /// Where data directories are made (and removed afterwards); by default the system's place for temporary files.
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    /// How the result is printed.
    #[arg(long, global = true, value_enum, default_value = "text")]
    format: Format,
    #[command(subcommand)]
    check: Check,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Check {
    /// kill -9 in mid-load, restart, verify; again and again.
    Kill(KillArgs),
    /// Garbage, half frames, damaged batches; others notice nothing.
    Badinput(BadinputArgs),
    /// Nodes of a cluster are killed, paused, wiped, restarted, cut off or lose their power under load: nothing is lost, and clients
    /// go on soon.
    Cluster(ClusterArgs),
    /// A small file system that fills up. Needs root.
    Diskfull(DiskfullArgs),
    /// Consumer groups: commits under kill -9, thousands of groups that only beat, a large one restarted member by member, a member
    /// that falls silent.
    Groups(GroupsArgs),
    /// Many idle partitions: memory and restart.
    Idle(IdleArgs),
    /// A cluster with many idle partitions: memory and CPU of each node, and how soon all are led again when all nodes were killed.
    IdleCluster(IdleClusterArgs),
    /// A node of a cluster that was away while much was written: how fast it catches up, and what producers feel of that.
    Away(AwayArgs),
    /// A server joins, partitions move, a server leaves, all are restarted one after the other, under load; in the middle of each the
    /// controller is killed.
    Changes(ChangesArgs),
    /// Restart with a long log.
    Restart(RestartArgs),
    /// Hundreds of greedy, slow, vanishing and hostile clients beside some that do nothing unusual.
    Neighbours(NeighboursArgs),
    /// Start on an empty directory, stop idle and under load.
    Ready(ReadyArgs),
    /// Sessions of ZooKeeper's clients: moved by kills, expired by thousands, idle by thousands; a large tree; counters, locks and queues
    /// while nodes fail.
    Sessions(SessionsArgs),
    /// Starts with too little of everything, stops by every signal, a log and metrics that nobody reads.
    Starts(StartsArgs),
    /// What the kernel is asked to do, in which order. Needs root, tracefs and strace.
    Trace(TraceArgs),
}

#[derive(Args)]
struct TraceArgs {
    /// Requests whose order is looked at.
    #[arg(long, default_value_t = 300)]
    requests: u32,
    /// Seconds of load under strace.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

#[derive(Args)]
struct BadinputArgs {
    /// Shards of each server.
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// Connections of each kind of short attack.
    #[arg(long, default_value_t = 2000)]
    tries: u32,
    /// Connections that hold half a frame, at once.
    #[arg(long, default_value_t = 10_000)]
    halves: u32,
    /// Seed of everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct ClusterArgs {
    /// Nodes; a single one is killed and restarted.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
    nodes: u32,
    /// Rounds of each kind; pauses are graded from 10 on.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Only this kind of round; may be given several times. Without it all that need no root.
    #[arg(long, value_enum)]
    only: Vec<cluster::Kind>,
    /// Connections that produce, each to a partition of its own.
    #[arg(long, default_value_t = 6)]
    producers: u16,
    /// Seconds that a paused node is stopped, and one that is cut off is.
    #[arg(long, default_value_t = 10)]
    pause: u64,
    /// Shards of each server.
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// Seed of everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct ChangesArgs {
    /// Times that all of it is done, each with a cluster of its own.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// MiB that are there to be moved.
    #[arg(long, default_value_t = 256)]
    mib: u64,
    /// Connections that produce, each to a partition of its own.
    #[arg(long, default_value_t = 4)]
    producers: u16,
    /// Shards of each server.
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// What decides which node is moved, and which is killed when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct DiskfullArgs {
    /// Size of the file system in MiB.
    #[arg(long, default_value_t = 512)]
    mib: u64,
    /// Shards of each server.
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// Times that it is filled and healed.
    #[arg(long, default_value_t = 2)]
    cycles: u32,
}

#[derive(Args)]
struct GroupsArgs {
    /// Only this part; may be given several times.
    #[arg(long, value_enum)]
    only: Vec<groups::Part>,
    /// Rounds of kill -9 while 20 groups commit.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Groups of three members that only send heartbeats. The promises speak of 10,000.
    #[arg(long, default_value_t = 10_000)]
    groups: u32,
    /// Seconds of heartbeats.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Members of one group that are restarted one after the other. The promise speaks of 200, which takes half an hour.
    #[arg(long, default_value_t = 200)]
    members: u32,
    /// By default 2, but what the server chooses where it is about cost.
    #[arg(long)]
    shards: Option<u16>,
    /// Seed of everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct IdleArgs {
    /// Idle partitions.
    #[arg(long, default_value_t = 10_000)]
    partitions: u32,
    /// Shards of each server.
    #[arg(long, default_value_t = 2)]
    shards: u16,
}

#[derive(Args)]
struct IdleClusterArgs {
    /// The promises speak of 10,000.
    #[arg(long, default_value_t = 10_000)]
    partitions: u32,
    /// Nodes of the cluster.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
    nodes: u32,
    /// Shards of each server.
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// Seconds in which nothing is done.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

#[derive(Args)]
struct AwayArgs {
    /// Written while the node is away; graded from 2,048 on.
    #[arg(long, default_value_t = 5_000)]
    mib: u64,
    /// Shards of each server.
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// Seconds that producers are watched before it comes back.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

#[derive(Args)]
struct RestartArgs {
    /// Log to read at the restart, in GiB.
    #[arg(long, default_value_t = 10)]
    gib: u64,
    /// Shards of each server.
    #[arg(long, default_value_t = 2)]
    shards: u16,
}

#[derive(Args)]
struct ReadyArgs {
    /// Shards of each server.
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// Starts on an empty directory.
    #[arg(long, default_value_t = 10)]
    starts: u32,
    /// Stops under load.
    #[arg(long, default_value_t = 10)]
    stops: u32,
}

#[derive(Args)]
struct NeighboursArgs {
    /// Shards of each server.
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// Of all kinds together; filling the log for them takes a minute more.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// The short form: little data, few neighbours, no ratios.
    #[arg(long, conflicts_with = "seconds")]
    short: bool,
    /// Only this kind of neighbour; may be given several times.
    #[arg(long, value_enum)]
    only: Vec<neighbours::Kind>,
    /// Seed of everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct SessionsArgs {
    /// Only this part; may be given several times.
    #[arg(long, value_enum)]
    only: Vec<sessions::Part>,
    /// Times that the node of a client is killed.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    moves: u32,
    /// Sessions that expire at once. The promise speaks of 5,000.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    expiring: u32,
    /// Sessions that rest. The promise speaks of 10,000.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    idle: u32,
    /// Seconds of rest, and at least so many of writes beside snapshots.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Znodes of the large tree. The promises speak of 1,000,000.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    znodes: u32,
    /// Rounds of each kind of fault, with counters, locks and queues.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only these kinds of faults; by default kill, pause, all and rolling.
    #[arg(long, value_enum)]
    faults: Vec<cluster::Kind>,
    /// Seed of everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct StartsArgs {
    /// Connections that send nonsense while nobody reads the log.
    #[arg(long, default_value_t = 20_000)]
    nonsense: u32,
    /// Connections that stall at the metrics endpoint.
    #[arg(long, default_value_t = 500)]
    stalled: u32,
}

#[derive(Args)]
struct KillArgs {
    /// Rounds of kill -9 and restart.
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Shards of each server.
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// Seed of everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(report) => {
            match cli.format {
                Format::Text => print!("{}", report.to_text()),
                Format::Json => {
                    let text = serde_json::to_string_pretty(&report).expect("a report has plain values");
                    println!("{text}");
                }
            }
            if report.failed == 0 && report.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            eprintln!("torc-check: {failure}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<Report> {
    let torc = cli.torc.clone().map_or_else(process::beside, Ok)?;
    let place = cli.dir.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new().prefix("torc-check-").tempdir_in(place)?;
    let dir = folder.path().to_path_buf();
    let report = match &cli.check {
        Check::Kill(args) => {
            kill::run(&kill::Plan { torc, dir, rounds: args.rounds, shards: args.shards, seed: args.seed })
        }
        Check::Badinput(args) => {
            let BadinputArgs { shards, tries, halves, seed } = *args;
            badinput::run(&badinput::Plan { torc, dir, shards, tries, halves, seed })
        }
        Check::Cluster(args) => {
            let ClusterArgs { nodes, rounds, ref only, producers, pause, shards, seed } = *args;
            let pause = Duration::from_secs(pause);
            let plan = cluster::Plan { torc, dir, nodes, shards, rounds, only: only.clone(), producers, pause, seed };
            cluster::run(&plan)
        }
        Check::Diskfull(args) => {
            let (bytes, shards, cycles) = (args.mib << 20, args.shards, args.cycles);
            diskfull::run(&diskfull::Plan { torc, dir, bytes, shards, cycles })
        }
        Check::Groups(args) => {
            let GroupsArgs { ref only, rounds, groups, seconds, members, shards, seed } = *args;
            groups::run(&groups::Plan { torc, dir, shards, seed, only: only.clone(), rounds, groups, seconds, members })
        }
        Check::Idle(args) => idle::run(&idle::Plan { torc, dir, partitions: args.partitions, shards: args.shards }),
        Check::IdleCluster(args) => {
            let cluster = cluster::resting(torc, dir, args.nodes, args.shards);
            let rest = Duration::from_secs(args.seconds);
            cluster::many::run(&cluster::many::ManyPlan { cluster, partitions: args.partitions, rest })
        }
        Check::Away(args) => {
            let (cluster, bytes) = (cluster::resting(torc, dir, 3, args.shards), args.mib << 20);
            let before = Duration::from_secs(args.seconds);
            cluster::away::run(&cluster::away::AwayPlan { cluster, bytes, before })
        }
        Check::Changes(args) => {
            let ChangesArgs { rounds, mib, producers, shards, seed } = *args;
            let cluster = cluster::Plan { producers, seed, ..cluster::resting(torc, dir, 3, shards) };
            cluster::changes::run(&cluster::changes::ChangesPlan { cluster, rounds, bytes: mib << 20 })
        }
        Check::Restart(args) => restart::run(&restart::Plan { torc, dir, bytes: args.gib << 30, shards: args.shards }),
        Check::Trace(args) => {
            let TraceArgs { requests, seconds } = *args;
            trace::run(&trace::Plan { torc, dir, requests, seconds })
        }
        Check::Neighbours(args) => {
            let NeighboursArgs { shards, seconds, short, ref only, seed } = *args;
            let seconds = (!short).then_some(seconds);
            neighbours::run(&neighbours::Plan { torc, dir, shards, seconds, only: only.clone(), seed })
        }
        Check::Sessions(args) => {
            let SessionsArgs { ref only, moves, expiring, idle, seconds, znodes, rounds, ref faults, seed } = *args;
            let (only, faults) = (only.clone(), faults.clone());
            let plan = sessions::Plan { torc, dir, seed, only, moves, expiring, idle, seconds, znodes, rounds, faults };
            sessions::run(&plan)
        }
        Check::Starts(args) => {
            let StartsArgs { nonsense, stalled } = *args;
            starts::run(&starts::Plan { torc, dir, nonsense, stalled })
        }
        Check::Ready(args) => {
            let ReadyArgs { shards, starts, stops } = *args;
            ready::run(&ready::Plan { torc, dir, shards, starts, stops })
        }
    };
    if !matches!(&report, Ok(report) if report.failed == 0) {
        let kept = folder.keep();
        eprintln!("torc-check: data directory and log are kept in {}", kept.display());
    }
    report
}
