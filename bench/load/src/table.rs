//! Tables of text, as Markdown, as HTML, and in columns for a terminal.

use crate::plot::escape;
use std::fmt::Write as _;

/// A table whose cells are text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The first so many columns are words, the others figures.
    pub words: usize,
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// How a table behaves on a narrow screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// Each row becomes a card with a line for each column.
    Cards,
    /// The same, with two columns to a line: their cells are short.
    Pairs,
    /// It has few columns, whose cells wrap.
    Columns,
}

impl Table {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let mut row = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            writeln!(text, "| {} |", cells.join(" | ")).expect("writing to a string does not fail");
        };
        row(&self.head);
        let rule = |number: usize| if number < self.words { "---" } else { "---:" }.to_string();
        row(&(0..self.head.len()).map(rule).collect::<Vec<_>>());
        self.rows.iter().for_each(|cells| row(cells));
        text
    }

    /// In columns, two spaces apart.
    pub fn columns(&self) -> String {
        let rows = || [&self.head].into_iter().chain(&self.rows);
        let width = |column: usize| rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut text = String::new();
        for row in rows() {
            let mut line = String::new();
            for (number, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width - cell.chars().count());
                line += &if number < self.words { format!("{cell}{padding}  ") } else { format!("{padding}{cell}  ") };
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    /// As HTML.
    pub fn html(&self, narrow: Narrow) -> String {
        let class = |number: usize, cell: &str| match cell {
            "yes" => " class=\"yes\"",
            "NO" => " class=\"no\"",
            "not graded" => " class=\"words muted\"",
            _ if number < self.words => " class=\"words\"",
            _ => "",
        };
        let kind = match narrow {
            Narrow::Cards => "cards",
            Narrow::Pairs => "cards pairs",
            Narrow::Columns => "columns",
        };
        let mut text = format!("<table class=\"{kind}\"><thead><tr>");
        for (number, cell) in self.head.iter().enumerate() {
            text += &format!("<th{}>{}</th>", class(number, cell), units(&escape(cell)));
        }
        text += "</tr></thead>\n<tbody>\n";
        for row in &self.rows {
            text += "<tr>";
            for (number, cell) in row.iter().enumerate() {
                let label = units(&escape(&self.head[number]));
                let shown = if number < self.words { aside(&escape(cell)) } else { figure(cell) };
                text += &format!("<td{} data-label=\"{label}\">{shown}</td>", class(number, cell));
            }
            text += "</tr>\n";
        }
        text + "</tbody></table>\n"
    }
}

/// Microseconds as they are printed.
pub fn units(text: &str) -> String {
    let word = |word: &str| match word {
        "us" => "µs".to_string(),
        "us/request" => "µs/request".to_string(),
        _ => word.to_string(),
    };
    text.split(' ').map(word).collect::<Vec<String>>().join(" ")
}

/// What stands behind a figure, its spread and its ratio, is smaller, and may go to the next line.
fn aside(cell: &str) -> String {
    let at = [" ±", " ("].iter().filter_map(|mark| cell.find(mark)).min();
    match at.filter(|_| cell.starts_with(|c: char| c.is_ascii_digit())) {
        Some(at) => format!("{} <small>{}</small>", units(&cell[..at]).replace(' ', "&nbsp;"), &cell[at + 1..]),
        None => units(cell),
    }
}

/// Cells of figures that are so short stay on one line: a unit does not stand alone on the next.
const UNBROKEN_MAX: usize = 20;

fn figure(cell: &str) -> String {
    let text = aside(&escape(cell));
    let is_short = cell.chars().count() <= UNBROKEN_MAX && !text.contains('<');
    if is_short { text.replace(' ', "&nbsp;") } else { text }
}
