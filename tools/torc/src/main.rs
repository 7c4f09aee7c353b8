//! The torc binary: the server and the tools for it.

mod admin;
mod cli;
mod cluster;
mod config;
mod consume;
mod dev;
mod exit;
mod formats;
mod group;
mod inspect;
mod output;
mod produce;
mod serve;
mod tally;
mod texts;
mod top;
mod topic;
mod tune;
mod znode;

#[cfg(test)]
mod cli_tests;
#[cfg(test)]
mod output_tests;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;
use torc_load::environment::Build;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => serve::run(cli.serve),
        Some(Command::Serve(args)) => serve::run(args),
        Some(Command::Config(args)) => config::run(args),
        Some(Command::Tune(args)) => tune::run(args),
        Some(Command::Completions { shell }) => texts::completions(shell),
        Some(Command::Man { dir }) => texts::man(dir),
        Some(Command::Top(args)) => top::run(args),
        Some(Command::Topic(args)) => topic::run(args),
        Some(Command::Group(args)) => group::run(args),
        Some(Command::Cluster(args)) => cluster::run(args),
        Some(Command::Znode(args)) => znode::run(*args),
        Some(Command::Dev(args)) => dev::run(&args),
        Some(Command::Produce(args)) => return produce::run(&args),
        Some(Command::Consume(args)) => return consume::run(&args),
        Some(Command::Sim(args)) => return torc_sim::command::run(&args),
        Some(Command::Bench(args)) => return bench(&args),
        Some(Command::Wal(args)) => return inspect::run(|out| torc_inspect::wal(&args, out)),
        Some(Command::Snapshot(args)) => return inspect::run(|out| torc_inspect::snapshot(&args, out)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error.to_string());
            ExitCode::from(exit::code(&*error))
        }
    }
}

/// A load that was interrupted ends as a shell expects it of one that a signal ended.
fn bench(args: &torc_load::command::BenchArgs) -> ExitCode {
    let build = Build { version: env!("CARGO_PKG_VERSION"), commit: option_env!("TORC_COMMIT") };
    match torc_load::command::run(args, build, &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}
