//! `torc tune`: what of this machine costs a durable log time or safety. It looks, and changes nothing unless it is asked to.

mod checks;
mod machine;

#[cfg(test)]
mod tune_tests;

use crate::cli::TuneArgs;
use crate::output::{Align, Format, Table, print, print_json};
use checks::Check;
use machine::Machine;
use serde::Serialize;
use std::error::Error;
use std::fmt;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// As it should be.
    Good,
    /// It could be better.
    Improve,
    /// torc does not run so, or does not keep its promises.
    Bad,
    /// This machine does not have it, or does not tell.
    Unknown,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Good => "good",
            Verdict::Improve => "improve",
            Verdict::Bad => "bad",
            Verdict::Unknown => "unknown",
        }
    }
}

/// What has been done to a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Applied {
    /// Until the machine starts again.
    Done,
    /// The kernel refused, or permission is missing.
    Failed(String),
}

#[derive(Debug, Serialize)]
struct Row {
    check: &'static str,
    now: Option<String>,
    wanted: &'static str,
    verdict: Verdict,
    worth: &'static str,
    /// How to change it by hand, where `--apply` does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_hand: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<Applied>,
}

/// Settings that could not be changed.
#[derive(Debug)]
struct NotApplied(Vec<String>);

impl fmt::Display for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Error for NotApplied {}

/// Looks, and changes what `--apply` may change.
pub fn run(args: TuneArgs) -> Result<(), Box<dyn Error>> {
    let machine = Machine::new("/".into(), args.data_dir);
    let rows = look(&machine, args.apply);
    match args.format {
        Format::Json => print_json(&rows),
        Format::Table => print(format_args!("{}{}", table(&rows), advice(&rows, args.apply))),
    }
    let failed = rows.iter().filter_map(|row| match &row.applied {
        Some(Applied::Failed(why)) => Some(format!("cannot change {}: {why}", row.check)),
        _ => None,
    });
    let failed: Vec<String> = failed.collect();
    if failed.is_empty() { Ok(()) } else { Err(Box::new(NotApplied(failed))) }
}

fn look(machine: &Machine, apply: bool) -> Vec<Row> {
    let row = |check: Check| {
        let mut found = check.found;
        let mut applied = None;
        if apply && matches!(found.verdict, Verdict::Improve | Verdict::Bad) && !found.writes.is_empty() {
            applied = Some(match machine.write_all(&found.writes) {
                Ok(()) => Applied::Done,
                Err(why) => Applied::Failed(why),
            });
            if applied == Some(Applied::Done) {
                found.verdict = Verdict::Good;
            }
        }
        let by_hand = Some(check.by_hand).filter(|_| found.writes.is_empty() && found.verdict != Verdict::Good);
        let by_hand = by_hand.filter(|text| !text.is_empty());
        let Check { name, wanted, worth, .. } = check;
        Row { check: name, now: found.now, wanted, verdict: found.verdict, worth, by_hand, applied }
    };
    checks::all(machine).into_iter().map(row).collect()
}

fn table(rows: &[Row]) -> Table {
    let names = ["CHECK", "NOW", "WANTED", "VERDICT", "WORTH"];
    let mut table = Table::new(&names.map(|name| (name, Align::Left)));
    for row in rows {
        let verdict = match &row.applied {
            Some(Applied::Done) => "changed",
            _ => row.verdict.name(),
        };
        let now = row.now.clone().unwrap_or_default();
        table.row([row.check.to_string(), now, row.wanted.to_string(), verdict.to_string(), row.worth.to_string()]);
    }
    table
}

/// What can be done about it, a line each.
fn advice(rows: &[Row], apply: bool) -> String {
    let mut text = String::new();
    for row in rows {
        if let Some(by_hand) = row.by_hand {
            text += &format!("{}: {by_hand}\n", row.check);
        }
    }
    let waits = |row: &&Row| matches!(row.verdict, Verdict::Improve | Verdict::Bad) && row.by_hand.is_none();
    let waiting: Vec<&str> = rows.iter().filter(waits).map(|row| row.check).collect();
    if !apply && !waiting.is_empty() {
        text += &format!("torc tune --apply changes, until the next boot: {}\n", waiting.join(", "));
    }
    text
}
