//! Aligned columns: for people to read, and to cut with awk.

use std::io::{self, Write};

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a headline, columns two spaces apart.
pub struct Columns {
    heads: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// No rows yet.
    pub fn new(heads: &[(&'static str, Align)]) -> Columns {
        Columns { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Appends a row: one cell to each column; an empty one is shown as `-`.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.heads.len());
        self.rows.push(cells.into_iter().map(|cell| if cell.is_empty() { "-".to_string() } else { cell }).collect());
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes all of it, each line behind `indent` spaces.
    pub fn write(&self, indent: usize, out: &mut dyn Write) -> io::Result<()> {
        let widths: Vec<usize> = (self.heads.iter().enumerate())
            .map(|(n, (head, _))| self.rows.iter().map(|row| row[n].chars().count()).chain([head.len()]).max())
            .map(|width| width.expect("a headline at least"))
            .collect();
        let heads = self.heads.iter().map(|(head, _)| *head).collect();
        for row in std::iter::once(heads).chain(self.rows.iter().map(|row| row.iter().map(String::as_str).collect())) {
            let row: Vec<&str> = row;
            let mut line = " ".repeat(indent);
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.heads) {
                let padding = " ".repeat(width - cell.chars().count());
                match align {
                    Align::Left => line.extend([cell, padding.as_str(), "  "]),
                    Align::Right => line.extend([padding.as_str(), cell, "  "]),
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Bytes as people say them: three digits and a unit.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match value {
        _ if unit == 0 => format!("{bytes} B"),
        v if v < 10.0 => format!("{v:.2} {}", UNITS[unit]),
        v if v < 100.0 => format!("{v:.1} {}", UNITS[unit]),
        v => format!("{v:.0} {}", UNITS[unit]),
    }
}
