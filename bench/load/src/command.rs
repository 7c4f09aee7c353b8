//! `torc bench`: what can be run.

use crate::bare::{self, BareArgs};
use crate::compare::{self, CompareArgs};
use crate::drive::Finished;
use crate::error::Error;
use crate::limits::{self, Limits, LimitsArgs};
use crate::options::{ConsumeArgs, EndToEndArgs, Format, Output, ProduceArgs};
use crate::report::{Report, write_hgrm, write_hlog};
use crate::scenario::{self, RunArgs};
use crate::verify::Verdict;
use crate::{consume, end_to_end, produce};
use clap::{Args, Subcommand};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

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
    /// Measure what the machine can do: disk, loopback, memory.
    Limits(LimitsArgs),
    /// Make the runs of a scenario file, and one report of all.
    Run(RunArgs),
    /// Put reports beside each other.
    Compare(CompareArgs),
    /// Serve as the least program that could do the job, to be loaded with --protocol bare.
    Bare(BareArgs),
}

/// Runs a subcommand; what it prints goes to `out`.
pub fn run(args: &BenchArgs, out: &mut dyn Write) -> Result<(), Error> {
    match &args.command {
        BenchCommand::Bare(args) => bare::run(args, out),
        BenchCommand::Limits(args) => limits::run(args, out),
        BenchCommand::Run(args) => scenario::run(args, out),
        BenchCommand::Compare(args) => compare::run(args, out),
        BenchCommand::Produce(args) => {
            let (finished, verdict) = produce::run(args)?;
            publish("produce", &finished, verdict, &args.output, out)
        }
        BenchCommand::Consume(args) => {
            let (finished, checker) = consume::run(args)?;
            publish("consume", &finished, checker.map(|checker| checker.verdict()), &args.output, out)
        }
        BenchCommand::E2e(args) => publish("end-to-end", &end_to_end::run(args)?, None, &args.output, out),
    }
}

/// The options as they were written.
fn options() -> String {
    std::env::args().skip(1).collect::<Vec<String>>().join(" ")
}

/// Prints the report and writes the files that were asked for.
fn publish(
    mode: &str,
    finished: &Finished,
    verdict: Option<Verdict>,
    output: &Output,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let name = output.name.as_deref().unwrap_or(mode);
    let mut report = Report::new(name, mode, options(), finished);
    report.verdict = verdict;
    if let Some(path) = &output.limits {
        report.multiples = Some(Limits::load(path)?.multiples(&report));
    }
    let json = serde_json::to_string_pretty(&report).expect("reports have only string keys and plain values");
    if let Some(path) = &output.json {
        write_file(path, |file| writeln!(file, "{json}"))?;
    }
    if let Some(path) = &output.hgrm {
        write_file(path, |file| write_hgrm(&finished.recorder.latency, file))?;
    }
    if let Some(path) = &output.hlog {
        write_file(path, |file| write_hlog(finished, file))?;
    }
    let printed = match output.format {
        Format::Json => writeln!(out, "{json}"),
        Format::Table => write!(out, "{report}"),
    };
    printed.map_err(Error::io("writing the report"))?;
    match verdict {
        Some(verdict) if !verdict.is_good() => Err(Error::Unfit(format!("verification failed: {verdict}"))),
        _ => Ok(()),
    }
}

fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let doing = || format!("writing {}", path.display());
    let mut file = BufWriter::new(File::create(path).map_err(Error::io(doing()))?);
    write(&mut file).and_then(|()| file.flush()).map_err(Error::io(doing()))
}
