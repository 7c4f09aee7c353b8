//! What a scenario brought, as it is shown: tables of medians, checks, plots.

use super::RunArgs;
use super::check::Checked;
use super::file::Scenario;
use super::machine;
use super::pictures::{self, Drawn};
use super::results::{Results, Row, Spread};
use crate::environment::{Build, Environment};
use crate::figures::{self, FIGURES, Figure};
use crate::interrupt;
use crate::limits::Limits;
use crate::plot::Picture;
use crate::report::Outcome;
use crate::table::Table;
use crate::units::{counted, option_time, three_digits};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Figures of the table that shows all runs.
const OVERVIEW: &[&str] = &["rate", "bandwidth", "p50", "p99", "server-cpu", "ready", "disk-ratio"];

/// A scenario's results.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub title: String,
    pub about: String,
    pub repeat: u32,
    /// How the runs were cut short. Such a quick look is not graded: caches and compilers are cold.
    pub cut: Option<String>,
    /// What ended it before its time; what stands here is what was measured until then.
    pub interrupted: Option<String>,
    /// Runs that failed or brought nothing, and files that could not be written.
    pub problems: Vec<String>,
    pub environment: Environment,
    /// Medians of its limits just before each repetition.
    pub machine: Option<Limits>,
    pub checks: Vec<Checked>,
    pub sections: Vec<Section>,
}

/// A table, what is to be said about it, and its plots.
#[derive(Debug, Serialize)]
pub struct Section {
    pub title: String,
    pub lines: Vec<Line>,
    pub notes: Vec<String>,
    #[serde(skip)]
    pub plots: Vec<Plot>,
}

/// A load against a target.
#[derive(Debug, Serialize)]
pub struct Line {
    pub run: String,
    pub target: String,
    /// What tells it from the section's other lines.
    #[serde(skip)]
    pub label: String,
    /// Repetitions that were measured to their end.
    pub repetitions: usize,
    /// The options, as they would be written on the command line.
    pub options: String,
    /// By the keys of the figures; without those that it does not have.
    pub figures: BTreeMap<&'static str, Spread>,
}

/// A picture beside a report.
#[derive(Debug)]
pub struct Plot {
    /// Its name in the report's directory.
    pub file: String,
    pub picture: Picture,
}

impl Summary {
    /// What `results` are, and whether they meet the scenario's checks.
    pub fn new(scenario: &Scenario, args: &RunArgs, build: Build, results: &Results) -> Summary {
        let machine = machine::medians(&results.machine);
        let cut = cut(scenario, args);
        let checks = scenario.checks.iter().map(|check| check.check(results, cut.is_some())).collect();
        let mut titles: Vec<&str> = Vec::new();
        for run in &scenario.runs {
            if !titles.contains(&run.section()) {
                titles.push(run.section());
            }
        }
        let sections = titles.iter().zip(1..).map(|(title, number)| {
            let runs = scenario.runs.iter().filter(|run| run.section() == *title);
            let names: Vec<&str> = runs.flat_map(|run| run.names()).collect();
            let of_it = |row: &&Row| names.contains(&row.run.as_str()) && !row.reports.is_empty();
            let rows: Vec<&Row> = results.rows.iter().filter(of_it).collect();
            Section::new(title, number, &rows, &Context { scenario, results, machine: machine.as_ref() })
        });
        let (title, about) = (scenario.title.clone(), scenario.about.trim().to_string());
        Summary {
            title,
            about,
            repeat: args.repetitions(scenario),
            cut,
            interrupted: results.signal.map(|signal| interrupted(scenario, args, results, signal)),
            problems: results.problems.clone(),
            environment: Environment::here(build).with_directory(&args.dir),
            sections: sections.filter(|section| !section.lines.is_empty()).collect(),
            machine,
            checks,
        }
    }

    /// How many checks are met, and how many are not.
    pub fn score(&self) -> (usize, usize) {
        let count = |met| self.checks.iter().filter(|check| check.met == Some(met)).count();
        (count(true), count(false))
    }

    /// Checks of which something was not measured.
    pub fn unmeasured(&self) -> Vec<&Checked> {
        self.checks.iter().filter(|check| !check.is_measured).collect()
    }

    /// Asked, measured, met, of all checks that were measured.
    pub fn check_table(&self) -> Table {
        let head = ["", "figure", "asked", "measured", "repetitions", "met"].map(str::to_string).to_vec();
        let row = |check: &Checked| {
            let met = match check.met {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "not graded",
            };
            vec![
                check.what.clone(),
                check.of.clone(),
                check.asked.clone(),
                check.measured.clone(),
                check.spread.clone(),
                met.to_string(),
            ]
        };
        Table { words: 2, head, rows: self.checks.iter().filter(|check| check.is_measured).map(row).collect() }
    }

    /// All runs in one table, with the figures that matter most.
    pub fn overview(&self) -> Table {
        let lines = || self.sections.iter().flat_map(|section| &section.lines);
        let figures: Vec<&Figure> = OVERVIEW.iter().filter_map(|key| figures::find(key)).collect();
        let figures = present(&figures, lines());
        let head = ["run", "target"].into_iter().chain(figures.iter().map(|figure| figure.name));
        let row = |line: &Line| {
            let cells = figures.iter().map(|figure| {
                let value = line.figures.get(figure.key);
                value.map_or("-".to_string(), |spread| (figure.show)(spread.median))
            });
            [line.run.clone(), line.target.clone()].into_iter().chain(cells).collect()
        };
        Table { words: 2, head: head.map(str::to_string).collect(), rows: lines().map(row).collect() }
    }
}

/// The options that cut runs short, as they were given, and repetitions that are fewer than the scenario's.
fn cut(scenario: &Scenario, args: &RunArgs) -> Option<String> {
    let option = |name: &str, time: Option<Duration>| time.map(|time| format!("--{name} {}", option_time(time)));
    let fewer = args.repeat.filter(|repeat| *repeat < scenario.repeat);
    let repeat = fewer.map(|repeat| format!("--repeat {repeat} instead of {}", scenario.repeat));
    let options = [option("warmup", args.warmup), option("duration", args.duration), repeat];
    let options: Vec<String> = options.into_iter().flatten().collect();
    (!options.is_empty()).then(|| options.join(", "))
}

/// How far the runs came before a signal.
fn interrupted(scenario: &Scenario, args: &RunArgs, results: &Results, signal: i32) -> String {
    let whole = results.rows.len() * args.repetitions(scenario) as usize;
    let made: usize = results.rows.iter().map(Row::measured).sum();
    format!("interrupted by {} after {made} of {}", interrupt::name(signal), counted(whole as u64, "run"))
}

/// Those of `figures` that a line has.
fn present<'a, 'b>(figures: &[&'a Figure], lines: impl Iterator<Item = &'b Line>) -> Vec<&'a Figure> {
    let lines: Vec<&Line> = lines.collect();
    let has = |figure: &&&Figure| lines.iter().any(|line| line.figures.contains_key(figure.key));
    figures.iter().filter(has).copied().collect()
}

/// What the sections of a summary share.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub scenario: &'a Scenario,
    pub results: &'a Results,
    pub machine: Option<&'a Limits>,
}

impl Section {
    fn new(title: &str, number: usize, rows: &[&Row], context: &Context<'_>) -> Section {
        let several = rows.iter().any(|row| row.run != rows[0].run);
        let one_target = rows.iter().all(|row| row.target == rows[0].target);
        let label = |row: &Row| match (several, one_target) {
            (false, _) => row.target.clone(),
            (true, true) => row.run.clone(),
            (true, false) => format!("{}, {}", row.run, row.target),
        };
        let line = |row: &&Row| Line {
            run: row.run.clone(),
            target: row.target.clone(),
            label: label(row),
            repetitions: row.measured(),
            options: row.reports[0].options.clone(),
            figures: FIGURES.iter().filter_map(|figure| Some((figure.key, row.spread(figure)?))).collect(),
        };
        let drawn: Vec<Drawn<'_>> =
            rows.iter().filter_map(|row| Drawn::of(row, label(row), context.scenario)).collect();
        let mut notes = notes(rows, &label);
        for Drawn { report, label, .. } in &drawn {
            if let Some(limits) = context.machine.filter(|_| report.is_measured()) {
                notes.push(format!("{label}, beside the machine: {}", limits.multiples(report)));
            }
        }
        let lines: Vec<Line> = rows.iter().map(line).collect();
        let plots = pictures::of_section(title, number, &lines, &drawn, context);
        Section { title: title.to_string(), lines, notes, plots }
    }

    /// The line that is the measure of line `number`: the first of the same run if a run has several, else the first
    /// of all.
    fn measure_of(&self, number: usize) -> Option<&Line> {
        let same = |a: &Line, b: &Line| a.run == b.run;
        let several = self.lines.iter().any(|a| self.lines.iter().filter(|b| same(a, b)).count() > 1);
        let first = self.lines.iter().position(|line| !several || same(line, &self.lines[number]));
        first.filter(|first| *first < number).map(|first| &self.lines[first])
    }

    /// Medians, half of their spread, and what part they are of the line that is their measure; a row to each line.
    pub fn table(&self) -> Table {
        let all: Vec<&Figure> = FIGURES.iter().collect();
        let figures = present(&all, self.lines.iter());
        let row = |(number, line): (usize, &Line)| {
            let first = |figure: &Figure| self.measure_of(number).and_then(|line| line.figures.get(figure.key));
            let cells = figures.iter().map(|figure| match line.figures.get(figure.key) {
                Some(spread) => cell(figure, spread, first(figure), line.repetitions),
                None => "-".to_string(),
            });
            [line.label.clone()].into_iter().chain(cells).collect()
        };
        let head = [""].into_iter().chain(figures.iter().map(|figure| figure.name)).map(str::to_string).collect();
        Table { words: 1, head, rows: self.lines.iter().enumerate().map(row).collect() }
    }

    /// The same with a row to each figure, and up to `columns` lines in each of several tables.
    pub fn upright(&self, columns: usize) -> Vec<Table> {
        let table = self.table();
        let numbers: Vec<usize> = (0..table.rows.len()).collect();
        let part = |lines: &[usize]| {
            let head = [String::new()].into_iter().chain(lines.iter().map(|line| table.rows[*line][0].clone()));
            let row = |figure: usize| -> Vec<String> {
                let cells = lines.iter().map(|line| table.rows[*line][figure].clone());
                [table.head[figure].clone()].into_iter().chain(cells).collect()
            };
            Table { words: 1, head: head.collect(), rows: (1..table.head.len()).map(row).collect() }
        };
        numbers.chunks(columns).map(part).collect()
    }
}

/// A median, its spread if there are repetitions, and what part it is of `first`.
fn cell(figure: &Figure, spread: &Spread, first: Option<&Spread>, repetitions: usize) -> String {
    let mut text = (figure.show)(spread.median);
    if repetitions > 1 && spread.relative() >= 0.005 {
        text += &format!(" ±{:.0}%", spread.relative() * 100.0);
    }
    if let Some(first) = first.filter(|first| first.median > 0.0 && !figure.is_count()) {
        text += &format!(" ({}x)", three_digits(spread.median / first.median));
    }
    text
}

/// What is to be said of repetitions: how they were loaded, what checking found, what went wrong.
fn notes(rows: &[&Row], label: &dyn Fn(&Row) -> String) -> Vec<String> {
    let mut notes = Vec::new();
    let mut pacings: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows {
        let Some(pacing) = row.typical(&FIGURES[0]).and_then(|(_, report)| report.pacing()) else { continue };
        match pacings.iter_mut().find(|(same, _)| *same == pacing) {
            Some((_, labels)) => labels.push(label(row)),
            None => pacings.push((pacing, vec![label(row)])),
        }
    }
    notes.extend(pacings.into_iter().map(|(pacing, labels)| format!("{}: {pacing}", labels.join(", "))));
    for (row, report) in rows.iter().flat_map(|row| row.reports.iter().map(move |report| (row, report))) {
        if let Some(verdict) = &report.verdict {
            notes.push(format!("{}, verified: {verdict}", label(row)));
        }
        let why = report.why.as_deref().unwrap_or("-");
        match report.outcome {
            Outcome::Complete => {}
            Outcome::Partial => notes.push(format!("{}: PARTIAL, not counted: {why}", label(row))),
            Outcome::Failed => notes.push(format!("{}: FAILED: {why}", label(row))),
            Outcome::None => notes.push(format!("{}: NO RESULT: {why}", label(row))),
        }
    }
    notes
}
