//! What figures have been: a line of small bars for each.

use super::figures::Figures;
use super::view::{time, whole};
use std::collections::VecDeque;

/// Looks that are remembered: as many as the widest terminal shows.
const LOOKS_MAX: usize = 500;

/// What bars are made of, from nothing to the highest of them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyphs {
    Blocks,
    /// For terminals that do not speak UTF-8.
    Ascii,
}

impl Glyphs {
    /// As the locale says; `variable` reads the environment.
    pub fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Glyphs {
        let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default().to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") { Glyphs::Blocks } else { Glyphs::Ascii }
    }

    fn bars(self) -> [char; 8] {
        match self {
            Glyphs::Blocks => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            Glyphs::Ascii => ['_', '.', ',', '-', '=', '+', '*', '#'],
        }
    }
}

/// A figure that has a trend: its name, its value, and how that is written.
type Row = (&'static str, fn(&Figures) -> Option<f64>, fn(f64) -> String);

/// From the first on, as many as there is room for.
const ROWS: [Row; 6] = [
    ("requests/s", |f| Some(f.all.requests), whole),
    ("MB in/s", |f| Some(f.all.mb_in), |mb| format!("{mb:.2}")),
    ("MB out/s", |f| Some(f.all.mb_out), |mb| format!("{mb:.2}")),
    ("flush p99", |f| f.all.stages.get("torc_wal_flush").map(|times| times.p99_us), time),
    ("CPU, cores", |f| f.cpu_cores, |cores| format!("{cores:.2}")),
    ("memory, MiB", |f| f.resident_bytes.map(|bytes| bytes / f64::from(1 << 20)), whole),
];

/// The last looks, oldest first; `None` is one that failed, or did not say.
#[derive(Debug, Default)]
pub struct Trends {
    looks: VecDeque<[Option<f64>; ROWS.len()]>,
}

impl Trends {
    /// Remembers a look.
    pub fn push(&mut self, figures: Option<&Figures>) {
        if self.looks.len() == LOOKS_MAX {
            self.looks.pop_front();
        }
        self.looks.push_back(ROWS.map(|(_, value, _)| figures.and_then(value)));
    }

    /// A line for each figure, as wide as `columns` at most: name, value, and bars, the newest on the right.
    pub fn lines(&self, columns: usize, glyphs: Glyphs) -> Vec<String> {
        let line = |(row, (name, _, shown)): (usize, &Row)| {
            let now = self.looks.back().and_then(|look| look[row]);
            let head = format!("{name:<11}  {:>8}  ", now.map_or("-".to_string(), shown));
            let room = columns.saturating_sub(head.chars().count());
            let values: Vec<Option<f64>> = self.looks.iter().map(|look| look[row]).collect();
            head + &bars(&values[values.len().saturating_sub(room)..], glyphs)
        };
        ROWS.iter().enumerate().map(line).collect()
    }
}

/// A bar for each value, as high as it is beside the highest.
pub fn bars(values: &[Option<f64>], glyphs: Glyphs) -> String {
    let bars = glyphs.bars();
    let most = values.iter().flatten().fold(0.0, |most: f64, value| most.max(*value));
    let bar = |value: &Option<f64>| match value {
        None => ' ',
        Some(value) if most > 0.0 => bars[((value / most * 8.0).ceil() as usize).clamp(1, 8) - 1],
        Some(_) => bars[0],
    };
    values.iter().map(bar).collect()
}
