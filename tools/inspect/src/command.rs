//! `torc wal inspect` and `torc snapshot inspect`.

use crate::checkpoint;
use crate::dry_run::{self, Opened, Verdict};
use crate::follow;
use crate::json::JsonWriter;
use crate::names::Names;
use crate::place::{self, InspectError};
use crate::shard::{self, Detail};
use crate::text::{self, ShardText};
use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use torc_base::ids::{GroupId, Offset};
use torc_base::units::count_in;

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing that had been durable is damaged.
    Sound,
    /// Something is.
    Corrupt,
}

/// Look at a log. Nothing is ever written.
#[derive(Debug, Args)]
pub struct WalArgs {
    #[command(subcommand)]
    command: WalCommand,
}

#[derive(Debug, Subcommand)]
enum WalCommand {
    /// Show segments, batches, entries and extents, where the chain breaks, and what a start would make of it.
    ///
    /// Exits with 0 if all is sound (so is an unfinished write at the end of the log), with 3 if something durable is damaged, with
    /// 1 if there is nothing to show, with 2 if the command line is wrong.
    Inspect(InspectArgs),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("log").args(["topic", "group"]))]
struct InspectArgs {
    /// A server's data directory, one shard's directory, or segment files.
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// A line for each batch.
    #[arg(long)]
    batches: bool,
    /// A line for each entry, under its batch.
    #[arg(long)]
    entries: bool,
    /// A line for each extent of the footers.
    #[arg(long)]
    extents: bool,
    /// Follow this offset to its bytes.
    #[arg(long, value_name = "N", requires = "log", value_parser = |text: &str| count_in::<i64>(text, 0..=i64::MAX))]
    offset: Option<i64>,
    /// The topic of --offset.
    #[arg(long, value_name = "NAME", requires = "offset")]
    topic: Option<String>,
    /// The partition of --offset; not needed if the topic has only one.
    #[arg(long, value_name = "N", requires = "topic", conflicts_with = "group", value_parser = |text: &str| count_in::<u32>(text, 0..=u32::MAX.into()))]
    partition: Option<u32>,
    /// The group of --offset, instead of topic and partition.
    #[arg(long, value_name = "N", requires = "offset", value_parser = |text: &str| count_in::<u64>(text, 0..=i64::MAX))]
    group: Option<u64>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Look at checkpoints. Nothing is ever written.
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// Show checkpoints: sections, sizes, checksums, what they say of groups and topics.
    ///
    /// Exits with 0 if all is sound, with 3 if a checkpoint that recovery needs is damaged, with 1 if there is nothing to show,
    /// with 2 if the command line is wrong.
    Inspect(SnapshotInspectArgs),
}

#[derive(Debug, Args)]
struct SnapshotInspectArgs {
    /// A server's data directory, one shard's directory, or checkpoint files.
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// A line for each group.
    #[arg(long)]
    groups: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn written(result: io::Result<()>) -> Result<(), InspectError> {
    result.map_err(InspectError::io("write to", Path::new("standard output")))
}

/// Topics, from shard 0 of the places or beside them.
fn names_of(places: &[Opened]) -> Names {
    if let Some(run) = places.iter().find(|o| o.place.shard == Some(0)).and_then(|o| o.dry.as_ref()) {
        return Names::of(run);
    }
    match places.first() {
        None => Names::none("there is nothing to read".to_string()),
        Some(opened) => match dry_run::run(&opened.place.first_shard()) {
            Ok(run) => Names::of(&run),
            Err(error) => Names::none(error.to_string()),
        },
    }
}

/// Resolves the paths and runs recovery over whole directories.
fn open(paths: &[PathBuf]) -> Result<(Vec<Opened>, Names), InspectError> {
    let mut places = Vec::new();
    for place in place::resolve(paths)? {
        let dry = match place.files {
            None if place.server().is_some() => Some(dry_run::run_live(&place.dir)?),
            None => Some(dry_run::run(&place.dir)?),
            Some(_) => None,
        };
        places.push(Opened { place, dry });
    }
    let names = names_of(&places);
    Ok((places, names))
}

/// Does what the command line asks for; the report goes to `out`.
///
/// # Errors
/// Nothing can be shown: a path that is not torc's, a file that cannot be read, an offset that is not there.
pub fn wal(args: &WalArgs, out: &mut dyn Write) -> Result<Outcome, InspectError> {
    let WalCommand::Inspect(args) = &args.command;
    let (places, names) = open(&args.paths)?;
    if let Some(offset) = args.offset {
        return follow_offset(args, offset, &places, &names, out);
    }
    let detail = Detail { batches: args.batches || args.entries, entries: args.entries, extents: args.extents };
    let (mut outcome, mut json) = (Outcome::Sound, JsonWriter::default());
    for Opened { place, dry } in &places {
        let (server, mut text) = (place.server(), ShardText::new());
        written(match args.format {
            Format::Text => text::heading(place, server.as_deref(), out),
            Format::Json => json.begin_shard(place, server.as_deref(), out),
        })?;
        shard::inspect(place, detail, &names, dry.as_ref(), &mut |report| {
            if report.is_corrupt() {
                outcome = Outcome::Corrupt;
            }
            written(match args.format {
                Format::Text => text.segment(report, detail, out),
                Format::Json => json.segment(report, out),
            })
        })?;
        if dry.as_ref().is_some_and(|d| matches!(d.verdict, Verdict::Refused { .. })) {
            outcome = Outcome::Corrupt;
        }
        written(match args.format {
            Format::Text => text.finish(dry.as_ref(), out),
            Format::Json => json.end_shard(dry.as_ref(), out),
        })?;
    }
    if args.format == Format::Json {
        written(json.finish(out))?;
    }
    Ok(outcome)
}

fn follow_offset(
    args: &InspectArgs,
    offset: i64,
    places: &[Opened],
    names: &Names,
    out: &mut dyn Write,
) -> Result<Outcome, InspectError> {
    let group = match (&args.topic, args.group) {
        (Some(topic), _) => names.find(topic, args.partition).map_err(InspectError::Unknown)?,
        (None, Some(group)) => GroupId(group),
        (None, None) => unreachable!("--offset requires one of them"),
    };
    let found = follow::follow(places, names, group, Offset(offset))?;
    written(match args.format {
        Format::Text => found.write(out),
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&found).expect("plain values")),
    })?;
    Ok(if found.problems.is_empty() { Outcome::Sound } else { Outcome::Corrupt })
}

/// Does what the command line asks for; the report goes to `out`.
///
/// # Errors
/// Nothing can be shown.
pub fn snapshot(args: &SnapshotArgs, out: &mut dyn Write) -> Result<Outcome, InspectError> {
    let SnapshotCommand::Inspect(args) = &args.command;
    let places: Vec<Opened> =
        place::resolve(&args.paths)?.into_iter().map(|place| Opened { place, dry: None }).collect();
    let names = names_of(&places);
    let (mut outcome, mut shards) = (Outcome::Sound, Vec::new());
    for Opened { place, .. } in &places {
        let server = place.server();
        let reports = checkpoint::inspect(place, &names, args.groups)?;
        if reports.iter().any(checkpoint::CheckpointReport::is_corrupt) {
            outcome = Outcome::Corrupt;
        }
        if args.format == Format::Json {
            let path = place.dir.to_string_lossy();
            shards.push(json!({ "path": path, "shard": place.shard, "server": server, "checkpoints": reports }));
            continue;
        }
        written(text::heading(place, server.as_deref(), out))?;
        if reports.is_empty() {
            written(writeln!(out, "there is no checkpoint\n"))?;
        }
        for report in &reports {
            written(report.write(out))?;
        }
    }
    if args.format == Format::Json {
        let document = serde_json::to_string_pretty(&json!({ "shards": shards })).expect("plain values");
        written(writeln!(out, "{document}"))?;
    }
    Ok(outcome)
}
