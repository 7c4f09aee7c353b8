//! The plots of a section.

use super::check::CheckSpec;
use super::file::{Scenario, TargetSpec};
use super::results::{Row, Spread};
use super::summary::{Context, Line as Entry, Plot};
use crate::figures::{FIGURES, Figure, find};
use crate::plot::{self, Bar, Curve, Limit, Line, Picture};
use crate::report::Report;
use crate::units::time;

/// Open loops at so many rates make a curve.
const CURVE: usize = 3;
/// More lines than this in one picture cannot be told apart.
const CROWD: usize = 6;
/// What the parts of a bar are.
const BARS: &str = "Bars are medians, whiskers the lowest and the highest repetition, red lines what is asked.";

/// The repetition of a row that is drawn.
pub(super) struct Drawn<'a> {
    pub report: &'a Report,
    pub label: String,
    /// Its label, and which repetition it is.
    name: String,
    row: &'a Row,
    /// The number of its target in the scenario.
    target: usize,
}

impl<'a> Drawn<'a> {
    /// The repetition whose rate is in the middle.
    pub fn of(row: &'a Row, label: String, scenario: &Scenario) -> Option<Drawn<'a>> {
        let (number, report) = row.typical(&FIGURES[0])?;
        let name = match row.reports.len() {
            1 => label.clone(),
            all => format!("{label} (repetition {number} of {all}, the one of median rate)"),
        };
        let target = scenario.targets.iter().position(|target| target.name == row.target).unwrap_or(0);
        Some(Drawn { report, label, name, row, target })
    }

    /// What the scenario asks of its run and target.
    fn checks<'b>(&'b self, context: &Context<'b>) -> impl Iterator<Item = &'b CheckSpec> {
        context.scenario.checks.iter().filter(|check| check.run == self.row.run && check.target == self.row.target)
    }
}

/// All plots of a section, whose number is in the names of their files.
pub(super) fn of_section(
    title: &str,
    number: usize,
    entries: &[Entry],
    drawn: &[Drawn<'_>],
    context: &Context<'_>,
) -> Vec<Plot> {
    let loads: Vec<&Drawn<'_>> = drawn.iter().filter(|drawn| drawn.report.is_measured()).collect();
    let lines: Vec<Line<'_>> = loads.iter().enumerate().map(|(at, drawn)| line(drawn, at, &loads)).collect();
    let mut plots = Vec::new();
    let mut add = |kind: &str, picture: Picture| plots.push(Plot { file: format!("{number}-{kind}.svg"), picture });
    if !lines.is_empty() {
        let curves = curves(&loads, context.scenario);
        if !curves.is_empty() {
            add("rates", plot::latency_by_rate(&format!("{title}: latency against rate"), &curves));
        }
        // The lines of a long curve one by one would be a thicket, and the curve says it better.
        let crowded = !curves.is_empty() && lines.len() > CROWD;
        let lines = if crowded { &[][..] } else { &lines[..] };
        if !crowded {
            let limits: Vec<Limit> = loads.iter().flat_map(|drawn| limits(drawn, context)).collect();
            add("percentiles", plot::percentiles(&format!("{title}: latency"), lines, &limits));
        }
        let large = plot::are_large(loads.iter().map(|drawn| drawn.report));
        for (kind, key) in [("throughput", if large { "bandwidth" } else { "rate" }), ("p99", "p99")] {
            let figure = find(key).expect("a figure of every report");
            let bars = bars(figure, entries, &loads, context);
            if bars.len() > 1 {
                add(&format!("{kind}-bars"), plot::bars(&format!("{title}: {}", figure.name), &bars, Some(BARS)));
            }
        }
        if !crowded {
            add("time", plot::latency_over_time(title, lines));
            add("throughput", plot::throughput_over_time(title, lines));
        }
    }
    if lines.iter().any(|line| !line.report.space.is_empty()) {
        add("space", plot::space(title, &lines));
    }
    plots
}

fn line<'a>(drawn: &'a Drawn<'_>, at: usize, all: &[&'a Drawn<'_>]) -> Line<'a> {
    let run = all[..at].iter().filter(|other| other.target == drawn.target).count();
    Line { report: drawn.report, name: &drawn.name, target: drawn.target, run }
}

/// What the scenario asks of the percentiles of a row.
fn limits(drawn: &Drawn<'_>, context: &Context<'_>) -> Vec<Limit> {
    let limit = |check: &CheckSpec| {
        let percentile = check.figure.strip_prefix('p')?.parse::<f64>().ok()?;
        let (ns, least) = check.limit(context.results)?;
        let (sign, shown) = (if least { "≥" } else { "≤" }, time(ns as u64).replace("us", "µs"));
        Some(Limit { text: format!("asked of {}: p{percentile} {sign} {shown}", drawn.label), percentile, ns })
    };
    drawn.checks(context).filter_map(limit).collect()
}

/// A figure of all lines.
fn bars(figure: &Figure, entries: &[Entry], loads: &[&Drawn<'_>], context: &Context<'_>) -> Vec<Bar> {
    let bar = |drawn: &&Drawn<'_>| {
        let entry = entries.iter().find(|entry| entry.run == drawn.row.run && entry.target == drawn.row.target)?;
        let Spread { median, least, most } = *entry.figures.get(figure.key)?;
        let of_figure = drawn.checks(context).filter(|check| check.figure == figure.key);
        let limit = of_figure.filter_map(|check| check.limit(context.results)).map(|(limit, _)| limit).next();
        let open = drawn.report.asked_requests_per_s.filter(|_| figure.key == "rate");
        let text = match open {
            Some(asked) => format!("{} of {} asked", (figure.show)(median), (figure.show)(asked)),
            None => (figure.show)(median).replace("us", "µs"),
        };
        Some(Bar {
            name: drawn.label.clone(),
            colour: drawn.target,
            value: median,
            text,
            range: (entry.repetitions > 1).then_some((least, most)),
            asked: open.or(limit),
        })
    };
    loads.iter().filter_map(bar).collect()
}

/// Open loops at several rates, by target.
fn curves<'a>(loads: &[&Drawn<'a>], scenario: &'a Scenario) -> Vec<Curve<'a>> {
    let curve = |(target, spec): (usize, &'a TargetSpec)| {
        let open = loads.iter().filter(|drawn| drawn.target == target && drawn.report.asked_requests_per_s.is_some());
        let mut reports: Vec<&'a Report> = open.map(|drawn| drawn.report).collect();
        let asked = |report: &Report| report.asked_requests_per_s.unwrap_or(0.0);
        reports.sort_by(|a, b| asked(a).total_cmp(&asked(b)));
        reports.dedup_by(|a, b| asked(a) == asked(b));
        (reports.len() >= CURVE).then_some(Curve { name: &spec.name, target, reports })
    };
    scenario.targets.iter().enumerate().filter_map(curve).collect()
}
