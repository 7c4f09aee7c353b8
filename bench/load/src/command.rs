//! `torc bench`: what can be run.

use crate::bare::{self, BareArgs};
use crate::drive::Finished;
use crate::error::Error;
use crate::options::{Format, Output, ProduceArgs};
use crate::produce;
use crate::report::{Report, write_hgrm, write_hlog};
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
    /// Serve as the least program that could do the job, to be loaded with --protocol bare.
    Bare(BareArgs),
}

/// Runs a subcommand; what it prints goes to `out`.
pub fn run(args: &BenchArgs, out: &mut dyn Write) -> Result<(), Error> {
    match &args.command {
        BenchCommand::Bare(args) => bare::run(args, out),
        BenchCommand::Produce(args) => {
            let finished = produce::run(args)?;
            let name = args.output.name.as_deref().unwrap_or("produce");
            let report = Report::new(name, "produce", options(), &finished);
            publish(&report, &finished, &args.output, out)
        }
    }
}

/// The options as they were written.
fn options() -> String {
    std::env::args().skip(1).collect::<Vec<String>>().join(" ")
}

/// Prints the report and writes the files that were asked for.
fn publish(report: &Report, finished: &Finished, output: &Output, out: &mut dyn Write) -> Result<(), Error> {
    let json = serde_json::to_string_pretty(report).expect("reports have only string keys and plain values");
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
    printed.map_err(Error::io("writing the report"))
}

fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let doing = || format!("writing {}", path.display());
    let mut file = BufWriter::new(File::create(path).map_err(Error::io(doing()))?);
    write(&mut file).and_then(|()| file.flush()).map_err(Error::io(doing()))
}
