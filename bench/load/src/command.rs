//! `torc bench`: what can be run.

use crate::bare::{self, BareArgs};
use crate::compare::{self, CompareArgs};
use crate::environment::Build;
use crate::error::Error;
use crate::limits::{self, LimitsArgs};
use crate::options::{ConsumeArgs, EndToEndArgs, ProduceArgs};
use crate::publish::publish;
use crate::scenario::{self, RunArgs};
use crate::sweep::{self, SweepArgs};
use crate::zk::ZkArgs;
use crate::{consume, end_to_end, produce, zk};
use clap::{Args, Subcommand};
use std::io::{self, Write};

/// `torc bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Write records as fast as the target answers, or at a rate.
    Produce(Box<ProduceArgs>),
    /// Read what was written.
    Consume(Box<ConsumeArgs>),
    /// Write and read at once: latency from when a record was due to when a consumer has it.
    E2e(Box<EndToEndArgs>),
    /// Write at rates that go up in steps: the latency at each, up to the one that the target cannot keep up with.
    Sweep(Box<SweepArgs>),
    /// Load any ZooKeeper: creates, writes, reads, multis, mixes of them, watches that many hear, sessions that come and go.
    Zk(Box<ZkArgs>),
    /// Measure what the machine can do: disk, loopback, memory.
    Limits(LimitsArgs),
    /// Make all runs of a scenario file, and one report of them.
    Run(RunArgs),
    /// Compare reports.
    Compare(CompareArgs),
    /// Serve as the simplest program that could do the job; load it with --protocol bare.
    Bare(BareArgs),
}

/// Runs a subcommand of the program `build`; what it prints goes to `out`.
///
/// # Errors
/// Also if there is a report, and it is not complete.
pub fn run(args: &BenchArgs, build: Build, out: &mut dyn Write) -> Result<(), Error> {
    match &args.command {
        BenchCommand::Bare(args) => bare::run(args, out),
        BenchCommand::Limits(args) => limits::run(args, out),
        BenchCommand::Run(args) => scenario::run(args, build, out),
        BenchCommand::Compare(args) => compare::run(args, out),
        BenchCommand::Produce(args) => publish("produce", &args.output, build, out, || produce::run(args)),
        BenchCommand::Consume(args) => publish("consume", &args.output, build, out, || consume::run(args)),
        BenchCommand::Sweep(args) => sweep::run(args, build, out),
        BenchCommand::Zk(args) => publish("zk", &args.output, build, out, || zk::run(args)),
        BenchCommand::E2e(args) => publish("end-to-end", &args.output, build, out, || end_to_end::run(args)),
    }
}

/// Prints a result. A reader that has seen enough, such as `head`, is no error.
///
/// # Errors
/// Nothing can be written there.
pub fn print(out: &mut dyn Write, text: &str) -> Result<(), Error> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("writing the result")(error)),
        _ => Ok(()),
    }
}
