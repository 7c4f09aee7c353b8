//! `torc bench compare`: reports beside each other, the first as the measure.

use crate::command::print;
use crate::error::Error;
use crate::figures::{FIGURES, Figure};
use crate::files::Sink;
use crate::options::Format;
use crate::plot::{self, Line};
use crate::report::{Outcome, Report};
use crate::table::Table;
use crate::units::three_digits;
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// `torc bench compare`.
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// Reports that --json of other commands wrote; the first is the measure.
    #[arg(required = true, num_args = 1..)]
    pub reports: Vec<PathBuf>,
    /// How the comparison is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// The percentile curves of all.
    #[arg(long, value_name = "FILE")]
    pub percentiles_svg: Option<PathBuf>,
    /// Latency over time of all: the highest percentile that each second carries.
    #[arg(long, value_name = "FILE")]
    pub time_svg: Option<PathBuf>,
}

/// Reads a report.
pub fn load(path: &Path) -> Result<Report, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::io(format!("reading {}", path.display())))?;
    let report: Report = serde_json::from_str(&text)
        .map_err(|error| Error::Unfit(format!("{} is no report: {error}", path.display())))?;
    // Reports of earlier versions do not say what they are worth.
    let is_none = !report.is_measured() && report.ready_ns.is_none();
    Ok(Report { outcome: if is_none { Outcome::None } else { report.outcome }, ..report })
}

/// Writes a figure, and what part it is of the same figure of `first`, unless it is that.
pub fn cell(figure: &Figure, value: f64, first: Option<f64>) -> String {
    if value.is_nan() {
        return "-".to_string();
    }
    let shown = (figure.show)(value);
    match first {
        Some(first) if first > 0.0 => format!("{shown} ({}x)", three_digits(value / first)),
        _ => shown,
    }
}

/// The reports as a table, a column to each.
pub fn table(reports: &[Report]) -> String {
    let head = [String::new()].into_iter().chain(reports.iter().map(|report| report.name.clone())).collect();
    let has = |figure: &&Figure| reports.iter().any(|report| !(figure.value)(report).is_nan());
    let row = |figure: &Figure| {
        let cell = |(i, report): (usize, &Report)| {
            let first = (i > 0).then(|| (figure.value)(&reports[0]));
            cell(figure, (figure.value)(report), first)
        };
        [figure.name.to_string()].into_iter().chain(reports.iter().enumerate().map(cell)).collect()
    };
    let rows = FIGURES.iter().filter(has).map(row).collect();
    Table { words: reports.len() + 1, head, rows }.columns()
}

/// A figure of a report.
#[derive(Debug, Serialize)]
struct Compared {
    /// `None` if the report does not have it.
    value: Option<f64>,
    /// What part it is of the first report's; `None` of that, and where there is none.
    ratio: Option<f64>,
}

/// The reports as a JSON document: of each its name, what it is worth, and its figures by their keys.
fn json(reports: &[Report]) -> String {
    let number = |value: f64| Some(value).filter(|value| value.is_finite());
    let figures = |at: usize, report: &Report| -> BTreeMap<&str, Compared> {
        let compared = |figure: &Figure| {
            let (value, first) = ((figure.value)(report), (figure.value)(&reports[0]));
            let ratio = number(value / first).filter(|_| at > 0);
            (figure.key, Compared { value: number(value), ratio })
        };
        FIGURES.iter().map(compared).collect()
    };
    let one = |(at, report): (usize, &Report)| {
        serde_json::json!({
            "name": report.name, "mode": report.mode, "options": report.options,
            "outcome": report.outcome, "why": report.why,
            "environment": report.environment, "figures": figures(at, report),
        })
    };
    let all: Vec<_> = reports.iter().enumerate().map(one).collect();
    let document = serde_json::json!({ "reports": all });
    serde_json::to_string_pretty(&document).expect("comparisons are plain values") + "\n"
}

/// What the reader of a comparison must know of reports that are not complete.
fn warnings(reports: &[Report]) -> String {
    let broken = reports.iter().filter(|report| report.outcome != Outcome::Complete);
    let line = |report: &Report| {
        let why = report.why.as_deref().unwrap_or("-");
        match report.outcome {
            Outcome::None => format!("{}: NO RESULT: {why}\n", report.name),
            Outcome::Partial => format!("{}: PARTIAL: {why}\n", report.name),
            _ => format!("{}: FAILED: {why}\n", report.name),
        }
    };
    broken.map(line).collect()
}

/// Compares, and prints to `out`.
///
/// # Errors
/// A report cannot be read, or has no figures; a plot cannot be written.
pub fn run(args: &CompareArgs, out: &mut dyn Write) -> Result<(), Error> {
    let reports = args.reports.iter().map(|path| load(path)).collect::<Result<Vec<Report>, Error>>()?;
    let all: Vec<&Report> = reports.iter().collect();
    let line = |(target, report): (usize, &&'_ Report)| {
        // What is not complete says so wherever it is drawn.
        let name = match report.outcome {
            Outcome::Complete => report.name.clone(),
            Outcome::Partial => format!("{} (PARTIAL)", report.name),
            Outcome::Failed => format!("{} (FAILED)", report.name),
            Outcome::None => format!("{} (NO RESULT)", report.name),
        };
        (target, name)
    };
    let names: Vec<(usize, String)> = all.iter().enumerate().map(line).collect();
    let lines: Vec<Line<'_>> =
        names.iter().zip(&all).map(|((target, name), report)| Line { report, name, target: *target, run: 0 }).collect();
    let plots = [
        (&args.percentiles_svg, plot::percentiles("Latency", &lines, &[])),
        (&args.time_svg, plot::latency_over_time("Latency", &lines)),
    ];
    let mut files = Vec::new();
    for (path, picture) in plots {
        if let Some(path) = path {
            files.push((Sink::open(path)?, picture.file()));
        }
    }
    let text = match args.format {
        Format::Json => json(&reports),
        Format::Table => table(&reports) + &warnings(&reports),
    };
    print(out, &text)?;
    for (file, svg) in files {
        file.write(svg.as_bytes())?;
    }
    match reports.iter().find(|report| report.outcome == Outcome::None) {
        Some(none) => Err(Error::Report(format!("{} has no result to compare", none.name))),
        None => Ok(()),
    }
}
