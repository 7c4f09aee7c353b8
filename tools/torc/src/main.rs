//! The torc binary: the server and the tools for it.

mod cli;
mod inspect;
mod output;
mod serve;
mod top;
mod topic;

#[cfg(test)]
mod cli_tests;
#[cfg(test)]
mod output_tests;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => serve::run(cli.serve),
        Some(Command::Serve(args)) => serve::run(args),
        Some(Command::Top(args)) => top::run(args),
        Some(Command::Topic(args)) => topic::run(args),
        Some(Command::Sim(args)) => return torc_sim::command::run(&args),
        Some(Command::Bench(args)) => torc_load::command::run(&args, &mut std::io::stdout()).map_err(Into::into),
        Some(Command::Wal(args)) => return inspect::run(|out| torc_inspect::wal(&args, out)),
        Some(Command::Snapshot(args)) => return inspect::run(|out| torc_inspect::snapshot(&args, out)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Several problems are several lines, each with the name in front.
            for line in error.to_string().lines() {
                eprintln!("torc: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
