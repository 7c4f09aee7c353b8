//! Plots of reports as SVG. Each target has one colour in all plots of a report; runs of a target differ by their dashes.

mod chart;
mod scale;
pub mod style;

pub use chart::{Bar, Picture, bars, escape, message};

use crate::recorder::Second;
use crate::report::{Held, Report};
use chart::{Asked, Axis, Chart, Series};
use scale::{Scale, Unit};

/// A report as it is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub report: &'a Report,
    /// What the legend calls it.
    pub name: &'a str,
    /// The number of its target, which is its colour.
    pub target: usize,
    /// The number of its run among those of its target, which is its dashes.
    pub run: usize,
}

/// What is asked of a percentile.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// As the legend says it.
    pub text: String,
    pub percentile: f64,
    pub ns: f64,
}

/// Percentiles that are marked.
const MARKED: [f64; 3] = [50.0, 99.0, 99.9];
/// Requests of more bytes than this are counted in bytes.
const LARGE: u64 = 10_000;
/// A part of a second that is shorter says little about a rate.
const WHOLE_S: f64 = 0.5;
/// Points of so few are seen only as dots.
const FEW: usize = 4;
/// So many asked rates are drawn.
const FEW_RATES: usize = 3;
/// A rate that is achieved to this part was kept up with.
pub const KEPT_UP: f64 = 0.95;

impl Line<'_> {
    /// The series of this line.
    fn series(&self, points: Vec<(f64, f64)>, figures: String) -> Series {
        let dots = if points.len() < FEW { points.clone() } else { Vec::new() };
        let (name, colour, dash) = (self.name.to_string(), self.target, self.run);
        Series { name, figures, colour, dash, points, dots, holes: Vec::new() }
    }
}

fn show(ns: Option<u64>) -> String {
    ns.map_or("-".to_string(), |ns| Unit::Time.show(ns as f64))
}

/// `p50 118 µs · p99 1.2 ms · max 9 ms`, to be broken only between them.
fn distribution(report: &Report) -> String {
    let at = |percentile: f64| format!("p{percentile} {}", show(report.percentile_ns(percentile)));
    let max = format!("max {}", show(report.latency.max_ns));
    let unbroken = |item: String| item.replace(' ', "\u{a0}");
    MARKED.map(at).into_iter().chain([max]).map(unbroken).collect::<Vec<String>>().join("\u{a0}· ")
}

fn latency_axis(title: &str, scale: Scale) -> Axis {
    Axis { title: format!("{title}, logarithmic"), scale, unit: Unit::Time }
}

fn seconds_axis<'a>(series: impl Iterator<Item = &'a Series>) -> Axis {
    let longest = series.flat_map(|series| &series.points).map(|(x, _)| *x).fold(1.0, f64::max);
    Axis { title: "seconds of the measurement".to_string(), scale: Scale::Linear(0.0, longest), unit: Unit::Seconds }
}

fn values(series: &[Series]) -> impl Iterator<Item = f64> + Clone {
    series.iter().flat_map(|series| &series.points).map(|(_, y)| *y)
}

/// Latency over percentiles, as far as the requests carry them: each nine takes the same room.
pub fn percentiles(title: &str, lines: &[Line<'_>], limits: &[Limit]) -> Picture {
    let series = lines.iter().map(|line| {
        // The maximum, at 100 %, has no place on this axis: the legend has it.
        let inside = line.report.curve.iter().filter(|point| point.percentile < 100.0);
        let points = inside.filter_map(|point| Some((point.percentile, point.ns? as f64))).collect();
        let mut series = line.series(points, distribution(line.report));
        let at = |percentile: f64| Some((percentile, line.report.percentile_ns(percentile)? as f64));
        series.dots = MARKED.into_iter().filter_map(at).collect();
        series
    });
    let series: Vec<Series> = series.collect();
    let far = series.iter().flat_map(|series| &series.points).map(|(x, _)| *x).fold(99.0, f64::max);
    let far = limits.iter().map(|limit| limit.percentile).fold(far, f64::max);
    let all = values(&series).chain(limits.iter().map(|limit| limit.ns));
    let marks = MARKED.into_iter().filter(|percentile| *percentile <= far + 1e-9);
    Chart {
        title: title.to_string(),
        x: Axis { title: "percent of requests".to_string(), scale: Scale::Nines(far), unit: Unit::Percentile },
        y: latency_axis("latency", Scale::log_around(all)),
        marks: marks.map(|percentile| (percentile, format!("p{percentile}"))).collect(),
        asked: limits
            .iter()
            .map(|limit| Asked { text: limit.text.clone(), value: limit.ns, at: Some(limit.percentile) })
            .collect(),
        note: Some("Lines end where fewer than 10 requests lie beyond.".to_string()),
        series,
    }
    .draw()
}

/// Seconds in which something was answered.
fn busy(report: &Report) -> impl Iterator<Item = &Second> {
    report.seconds.iter().filter(|second| second.requests > 0)
}

type OfSecond = fn(&Second) -> Option<u64>;

/// The highest percentile that every whole second of all lines carries, with its name; else the maximum.
fn level(lines: &[Line<'_>]) -> (&'static str, OfSecond) {
    let levels: [(&str, OfSecond); 3] =
        [("p99", |second| second.p99_ns), ("p90", |second| second.p90_ns), ("p50", |second| second.p50_ns)];
    let whole = || lines.iter().flat_map(|line| busy(line.report)).filter(|second| second.length_s >= WHOLE_S);
    let carried = |(_, of): &(&str, OfSecond)| whole().next().is_some() && whole().all(|second| of(second).is_some());
    levels.into_iter().find(carried).unwrap_or(("slowest request", |second| second.max_ns))
}

/// A percentile of each second.
pub fn latency_over_time(title: &str, lines: &[Line<'_>]) -> Picture {
    let (name, of) = level(lines);
    let series = lines.iter().map(|line| {
        let points = busy(line.report).filter_map(|second| Some((second.at_s, of(second)? as f64)));
        line.series(points.collect(), format!("longest stall {}", show(line.report.longest_stall_ns)))
    });
    let series: Vec<Series> = series.collect();
    Chart {
        title: format!("{title}: {name} of each second"),
        x: seconds_axis(series.iter()),
        y: latency_axis("latency", Scale::log_around(values(&series))),
        marks: Vec::new(),
        asked: Vec::new(),
        note: None,
        series,
    }
    .draw()
}

/// Whether the requests of these reports are so large that bytes are what counts.
pub fn are_large<'a>(reports: impl Iterator<Item = &'a Report> + Clone) -> bool {
    let sum = |of: fn(&Report) -> u64| reports.clone().map(of).sum::<u64>();
    sum(|report| report.payload_bytes) > LARGE * sum(|report| report.requests)
}

/// What was answered in each second.
pub fn throughput_over_time(title: &str, lines: &[Line<'_>]) -> Picture {
    let large = are_large(lines.iter().map(|line| line.report));
    let (what, unit) = if large { ("MB/s", Unit::Megabytes) } else { ("requests/s", Unit::Rate) };
    let rate = |second: &Second| match large {
        true => second.payload_bytes as f64 / 1e6 / second.length_s,
        false => second.requests as f64 / second.length_s,
    };
    let series = lines.iter().map(|line| {
        let several = line.report.seconds.len() > 1;
        let whole = line.report.seconds.iter().filter(|second| !several || second.length_s >= WHOLE_S);
        let achieved = if large { line.report.megabytes_per_s } else { line.report.requests_per_s };
        let achieved = achieved.map_or("-".to_string(), |rate| unit.show(rate));
        let asked = line.report.asked_requests_per_s.filter(|_| !large);
        let asked = asked.map_or(String::new(), |asked| format!("asked {}, ", unit.show(asked)));
        line.series(
            whole.map(|second| (second.at_s, rate(second))).collect(),
            format!("{asked}achieved {achieved} {what}"),
        )
    });
    let series: Vec<Series> = series.collect();
    let mut rates: Vec<f64> =
        lines.iter().filter_map(|line| line.report.asked_requests_per_s).filter(|_| !large).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    // More than a few would be a grid of their own: the legend has them.
    let shown = if rates.len() <= FEW_RATES { &rates[..] } else { &[] };
    let asked =
        shown.iter().map(|rate| Asked { text: format!("asked: {} {what}", unit.show(*rate)), value: *rate, at: None });
    Chart {
        title: format!("{title}: throughput of each second"),
        x: seconds_axis(series.iter()),
        y: Axis { title: what.to_string(), scale: Scale::from_zero(values(&series).chain(rates.clone())), unit },
        marks: Vec::new(),
        asked: asked.collect(),
        note: None,
        series,
    }
    .draw()
}

/// Open loops against one target, in the order of their rates.
#[derive(Clone, Debug)]
pub struct Curve<'a> {
    pub name: &'a str,
    pub target: usize,
    pub reports: Vec<&'a Report>,
}

/// Latency over the rate that was achieved: the curve by which capacity is planned.
pub fn latency_by_rate(title: &str, curves: &[Curve<'_>]) -> Picture {
    let mut series = Vec::new();
    for curve in curves {
        for (dash, percentile) in MARKED.into_iter().enumerate() {
            let at = |report: &&Report| Some((report.requests_per_s?, report.percentile_ns(percentile)? as f64));
            let kept = |kept: bool| curve.reports.iter().copied().filter(move |report| kept_up(report) == kept);
            let points: Vec<(f64, f64)> = curve.reports.iter().copied().filter_map(|report| at(&report)).collect();
            if points.is_empty() {
                continue;
            }
            series.push(Series {
                name: format!("{}, p{percentile}", curve.name),
                figures: String::new(),
                colour: curve.target,
                dash,
                points,
                dots: kept(true).filter_map(|report| at(&report)).collect(),
                holes: kept(false).filter_map(|report| at(&report)).collect(),
            });
        }
    }
    let most = series.iter().flat_map(|series| &series.points).map(|(x, _)| *x);
    let scale = Scale::from_zero(most.collect::<Vec<f64>>().into_iter());
    let note = "Latency counts from when a request was due. A hollow dot: less than 95 % of the asked rate was achieved, \
                so the queue grew, and with it the latency, as long as the measurement went on.";
    Chart {
        title: title.to_string(),
        x: Axis { title: "requests/s achieved".to_string(), scale, unit: Unit::Rate },
        y: latency_axis("latency", Scale::log_around(values(&series))),
        marks: Vec::new(),
        asked: Vec::new(),
        note: Some(note.to_string()),
        series,
    }
    .draw()
}

/// Whether an open loop achieved what it was asked for.
pub fn kept_up(report: &Report) -> bool {
    let rates = report.requests_per_s.zip(report.asked_requests_per_s);
    rates.is_none_or(|(achieved, asked)| achieved >= KEPT_UP * asked)
}

/// What servers held on disk, and what of it was live.
pub fn space(title: &str, lines: &[Line<'_>]) -> Picture {
    let mut series = Vec::new();
    for line in lines.iter().filter(|line| !line.report.space.is_empty()) {
        let of = |bytes: fn(&Held) -> u64| -> Vec<(f64, f64)> {
            let inside = line.report.space.iter().filter(|held| held.at_s >= 0.0);
            inside.map(|held| (held.at_s, bytes(held) as f64)).collect()
        };
        let named = |what: &str, dash, points| {
            let name = format!("{}: {what}", line.name);
            Series { name, dash, ..line.series(points, String::new()) }
        };
        series.push(named("on disk", 0, of(|held| held.disk_bytes)));
        series.push(named("live", 1, of(|held| held.live_bytes)));
    }
    Chart {
        title: format!("{title}: bytes on disk"),
        x: seconds_axis(series.iter()),
        y: Axis { title: "GB".to_string(), scale: Scale::from_zero(values(&series)), unit: Unit::Gigabytes },
        marks: Vec::new(),
        asked: Vec::new(),
        note: None,
        series,
    }
    .draw()
}
