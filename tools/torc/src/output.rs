//! How results are printed: as aligned columns for people, as JSON for programs.

use crate::exit;
use clap::ValueEnum;
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;
use torc_server::outlet::{Outlet, Weight};

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// One JSON document.
    Json,
}

/// How long a reason waits for somebody who reads standard error.
const READER_TIME: Duration = Duration::from_secs(1);

/// Says on standard error why a command failed; several problems are several lines, each with the name in front. The exit code
/// does not wait for a reader who sleeps.
pub fn complain(why: &str) {
    let text: String = why.lines().map(|line| format!("torc: {}\n", plain(line))).collect();
    match Outlet::start("errors", io::stderr(), |_| String::new()) {
        Ok(outlet) => {
            outlet.line(Weight::Last, text);
            outlet.flush(READER_TIME);
        }
        // No thread to be had may be the very reason.
        Err(_) => drop(io::stderr().write_all(text.as_bytes())),
    }
}

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Columns under a headline, two spaces apart, no lines: it can be read, and cut with awk.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headings.
    pub fn new(columns: &[(&'static str, Align)]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Appends a row: one cell to each column. An empty cell is shown as `-`.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.row_of(cells.into());
    }

    /// The same, where the number of columns is not known when this is compiled.
    pub fn row_of(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len());
        let shown = |cell: String| if cell.is_empty() { "-".to_string() } else { plain(&cell) };
        self.rows.push(cells.into_iter().map(shown).collect());
    }

    fn line<'a>(&self, widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.zip(widths).zip(&self.columns) {
            let padding = " ".repeat(width - cell.chars().count());
            line += &match align {
                Align::Left => format!("{cell}{padding}  "),
                Align::Right => format!("{padding}{cell}  "),
            };
        }
        line.trim_end().to_string()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = |column: usize| self.rows.iter().map(move |row| row[column].chars().count());
        let width = |(column, (name, _)): (usize, &(&str, Align))| cells(column).chain([name.len()]).max().unwrap_or(0);
        let widths: Vec<usize> = self.columns.iter().enumerate().map(width).collect();
        writeln!(f, "{}", self.line(&widths, self.columns.iter().map(|(name, _)| *name)))?;
        for row in &self.rows {
            writeln!(f, "{}", self.line(&widths, row.iter().map(String::as_str)))?;
        }
        Ok(())
    }
}

/// A name that strangers may have chosen, for a terminal: what would move its cursor or break the line is escaped.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}

/// Writes a result to standard output. A reader that has seen enough, such as `head`, is no error; a full disk is.
pub fn print(text: impl fmt::Display) {
    let mut out = io::stdout().lock();
    // In one piece: the text may be made of many, and of each line a system call would be made.
    match out.write_all(text.to_string().as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("cannot write to standard output: {error}"));
            std::process::exit(exit::FAILED.into());
        }
        _ => {}
    }
}

/// [`print`]s `value` as JSON, indented.
pub fn print_json(value: &impl Serialize) {
    let text = serde_json::to_string_pretty(value).expect("results have only string keys and plain values");
    print(format_args!("{text}\n"));
}
