//! `torc bench compare`: reports beside each other, the first as the measure.

use crate::error::Error;
use crate::figures::{FIGURES, Figure};
use crate::plot;
use crate::report::Report;
use crate::units::three_digits;
use clap::Args;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

/// `torc bench compare`.
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// Reports that --json of other commands wrote; the first is the measure.
    #[arg(required = true, num_args = 1..)]
    pub reports: Vec<PathBuf>,
    /// The percentile curves of all.
    #[arg(long, value_name = "FILE")]
    pub percentiles_svg: Option<PathBuf>,
    /// The p99 of each second of all.
    #[arg(long, value_name = "FILE")]
    pub time_svg: Option<PathBuf>,
}

/// Reads a report.
pub fn load(path: &Path) -> Result<Report, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::io(format!("reading {}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| Error::Unfit(format!("{} is no report: {error}", path.display())))
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
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(reports.iter().map(|report| report.name.clone()));
    for figure in FIGURES.iter().filter(|figure| reports.iter().any(|report| !(figure.value)(report).is_nan())) {
        let mut row = vec![figure.name.to_string()];
        for (i, report) in reports.iter().enumerate() {
            let first = (i > 0).then(|| (figure.value)(&reports[0]));
            row.push(cell(figure, (figure.value)(report), first));
        }
        rows.push(row);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            write!(line, "{cell:<width$}  ").expect("writing to a string does not fail");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Compares, and prints to `out`.
pub fn run(args: &CompareArgs, out: &mut dyn Write) -> Result<(), Error> {
    let reports = args.reports.iter().map(|path| load(path)).collect::<Result<Vec<Report>, Error>>()?;
    let all: Vec<&Report> = reports.iter().collect();
    let plots = [
        (&args.percentiles_svg, plot::percentiles("Latency", &all)),
        (&args.time_svg, plot::over_time("Latency", &all)),
    ];
    for (path, svg) in plots {
        if let Some(path) = path {
            std::fs::write(path, svg).map_err(Error::io(format!("writing {}", path.display())))?;
        }
    }
    write!(out, "{}", table(&reports)).map_err(Error::io("writing the comparison"))
}
