//! `torc config`: what becomes of a file, and what is in force, without a start.

use crate::cli::{ConfigArgs, ConfigCommand};
use crate::output::{Align, Format, Table, print, print_json};
use crate::serve;
use serde_json::json;
use std::error::Error;
use std::path::PathBuf;
use torc_base::io::Level;
use torc_server::config::{ConfigError, Sources};
use torc_server::kafka_keys::Fate;
use torc_server::keys::{self, Kind};
use torc_server::reading::{Line, Place, Reading};

/// Checks or shows.
pub fn run(args: ConfigArgs) -> Result<(), Box<dyn Error>> {
    match args.command {
        ConfigCommand::Check { file } => check(file, args.format),
        ConfigCommand::Show(sources) => show(Reading::of(&serve::sources(&sources)), args.format),
    }
}

/// Fails if torc would not start with the file.
fn check(file: PathBuf, format: Format) -> Result<(), Box<dyn Error>> {
    let name = file.display().to_string();
    let reading = Reading::of(&Sources { file: Some(file), ..Sources::default() });
    let starts = reading.problems.is_empty();
    match format {
        Format::Json => {
            let notes = reading.config.notes.iter();
            let notes: Vec<_> =
                notes.map(|(level, text)| json!({ "level": level_name(*level), "text": text })).collect();
            print_json(&json!({
                "file": name,
                "starts": starts,
                "lines": reading.lines.iter().map(line_json).collect::<Vec<_>>(),
                "notes": notes,
                "problems": reading.problems,
            }));
        }
        Format::Table => {
            let mut table = Table::new(&[
                ("LINE", Align::Right),
                ("KEY", Align::Left),
                ("WHAT BECOMES OF IT", Align::Left),
                ("WHY", Align::Left),
            ]);
            for line in &reading.lines {
                let fate = match line.fate {
                    Fate::Replaced(by) => format!("replaced by {by}"),
                    fate => fate.name().to_string(),
                };
                table.row([
                    number(line).map_or(String::new(), |n| n.to_string()),
                    line.key.clone(),
                    fate,
                    line.why.clone(),
                ]);
            }
            let verdict = if starts { "torc starts with it" } else { "torc does not start with it" };
            print(format_args!("{table}{name}: {verdict}\n"));
        }
    }
    if starts { Ok(()) } else { Err(Box::new(ConfigError { problems: reading.problems })) }
}

fn number(line: &Line) -> Option<usize> {
    match line.place {
        Place::File(_, number) => Some(number),
        _ => None,
    }
}

/// Only what works shows its value: others may be secrets.
fn line_json(line: &Line) -> serde_json::Value {
    let by = match line.fate {
        Fate::Replaced(by) => Some(by),
        _ => None,
    };
    json!({
        "line": number(line),
        "key": line.key,
        "value": (line.fate == Fate::Works && !is_secret(&line.key)).then_some(&line.value),
        "fate": line.fate.name(),
        "by": by,
        "why": Some(&line.why).filter(|why| !why.is_empty()),
    })
}

fn is_secret(key: &str) -> bool {
    keys::find(key).is_some_and(|key| key.kind == Kind::Secret)
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

fn show(reading: Reading, format: Format) -> Result<(), Box<dyn Error>> {
    if !reading.problems.is_empty() {
        return Err(Box::new(ConfigError { problems: reading.problems }));
    }
    let in_force = reading.in_force();
    match format {
        Format::Json => {
            let row = |(key, value, place): &(&str, Option<&str>, Place)| json!({ "key": key, "value": value, "from": from(*value, place) });
            print_json(&in_force.iter().map(row).collect::<Vec<_>>());
        }
        Format::Table => {
            let mut table = Table::new(&[("KEY", Align::Left), ("VALUE", Align::Left), ("FROM", Align::Left)]);
            for (key, value, place) in in_force {
                table.row([key.to_string(), value.unwrap_or_default().to_string(), from(value, &place)]);
            }
            print(&table);
        }
    }
    Ok(())
}

/// A key without a value follows from the data directory, the machine or another key, as `--keys` says.
fn from(value: Option<&str>, place: &Place) -> String {
    match value {
        None => "decided at the start".to_string(),
        Some(_) => place.to_string(),
    }
}
