//! Plots as SVG, one series to each run, without a library: two kinds of lines are all that is drawn.

use crate::report::Report;
use crate::units::{three_digits, time};
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Line height of the legend.
const LEGEND: f64 = 18.0;
/// Distinct also to those who see few colours (Okabe and Ito).
const COLOURS: &[&str] = &["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// A line and its name.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

/// What a picture shows.
struct Chart {
    title: String,
    upwards: Upwards,
    x_title: String,
    /// Places on the x axis, and what is written there.
    x_ticks: Vec<(f64, String)>,
    series: Vec<Series>,
}

/// What goes upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upwards {
    /// Nanoseconds, logarithmic.
    Latency,
    /// Bytes, from 0.
    Bytes,
}

/// Latency over percentiles: each nine takes the same room.
pub fn percentiles(title: &str, reports: &[&Report]) -> String {
    let nines = |percentile: f64| -(1.0 - percentile / 100.0).max(1e-7).log10();
    let points = |report: &Report| {
        // The last point is the maximum, at 100 %, which has no place on this axis.
        let inside = report.curve.iter().filter(|point| point.percentile < 100.0);
        inside.filter_map(|point| Some((nines(point.percentile), point.ns? as f64))).collect()
    };
    let series: Vec<Series> = reports.iter().map(|r| Series { name: r.name.clone(), points: points(r) }).collect();
    let labels =
        [(0.0, "0"), (50.0, "50"), (90.0, "90"), (99.0, "99"), (99.9, "99.9"), (99.99, "99.99"), (99.999, "99.999")];
    let x_ticks = labels.map(|(percentile, label)| (nines(percentile), format!("{label} %"))).to_vec();
    draw(&Chart {
        title: title.to_string(),
        upwards: Upwards::Latency,
        x_title: "percentile".to_string(),
        x_ticks,
        series,
    })
}

/// The p99 of each second.
pub fn over_time(title: &str, reports: &[&Report]) -> String {
    let points = |report: &Report| {
        report.seconds.iter().filter_map(|second| Some((second.at_s, second.p99_ns? as f64))).collect()
    };
    let series: Vec<Series> = reports.iter().map(|r| Series { name: r.name.clone(), points: points(r) }).collect();
    let longest = series.iter().flat_map(|s| &s.points).map(|(x, _)| *x).fold(1.0, f64::max);
    let x_ticks = seconds(longest);
    let (title, x_title) = (format!("{title}: p99 of each second"), "seconds".to_string());
    draw(&Chart { title, upwards: Upwards::Latency, x_title, x_ticks, series })
}

/// What servers held on disk, and what of it was live.
pub fn space(title: &str, reports: &[&Report]) -> String {
    let mut series = Vec::new();
    for report in reports.iter().filter(|report| !report.space.is_empty()) {
        let inside = || report.space.iter().filter(|held| held.at_s >= 0.0);
        let disk = inside().map(|held| (held.at_s, held.disk_bytes as f64)).collect();
        let live = inside().map(|held| (held.at_s, held.live_bytes as f64)).collect();
        series.push(Series { name: format!("{}: on disk", report.name), points: disk });
        series.push(Series { name: format!("{}: live", report.name), points: live });
    }
    let longest = series.iter().flat_map(|s| &s.points).map(|(x, _)| *x).fold(1.0, f64::max);
    let (title, x_title) = (format!("{title}: bytes on disk"), "seconds".to_string());
    draw(&Chart { title, upwards: Upwards::Bytes, x_title, x_ticks: seconds(longest), series })
}

/// Ticks from 0 to `longest` seconds.
fn seconds(longest: f64) -> Vec<(f64, String)> {
    let step = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0].into_iter().find(|step| longest / step <= 12.0);
    let step = step.unwrap_or(3600.0);
    (0..=(longest / step) as u32).map(|n| (f64::from(n) * step, format!("{}", f64::from(n) * step))).collect()
}

/// Maps values to places in the picture.
struct Frame {
    x: (f64, f64),
    upwards: Upwards,
    /// Decimal logarithms of nanoseconds, or bytes.
    y: (f64, f64),
}

impl Frame {
    fn around(chart: &Chart) -> Frame {
        let points = || chart.series.iter().flat_map(|series| &series.points);
        let ticks = chart.x_ticks.iter().map(|(x, _)| *x);
        let x_max = points().map(|(x, _)| *x).chain(ticks.take(2)).fold(0.0, f64::max);
        let heights = || points().map(|(_, y)| chart.upwards.height(*y));
        let low = heights().fold(f64::INFINITY, f64::min);
        let high = heights().fold(f64::NEG_INFINITY, f64::max);
        let y = match chart.upwards {
            Upwards::Latency if low > high => (3.0, 6.0),
            Upwards::Latency => (low.floor(), (high + 1e-9).ceil()),
            Upwards::Bytes => (0.0, high.max(1.0) * 1.05),
        };
        Frame { x: (0.0, x_max.max(1e-9)), upwards: chart.upwards, y }
    }

    /// Values on the y axis that are named.
    fn y_ticks(&self) -> Vec<(f64, String)> {
        match self.upwards {
            Upwards::Latency => {
                let exponents = self.y.0 as i32..=self.y.1 as i32;
                exponents.map(|exponent| 10f64.powi(exponent)).map(|ns| (ns, time(ns as u64))).collect()
            }
            Upwards::Bytes => {
                let decade = 10f64.powf(self.y.1.log10().floor());
                let step =
                    [0.1, 0.2, 0.5, 1.0].into_iter().map(|part| part * decade).find(|step| self.y.1 / step <= 10.0);
                let step = step.unwrap_or(2.0 * decade);
                let ticks = (0..=(self.y.1 / step) as u32).map(|n| f64::from(n) * step);
                ticks.map(|bytes| (bytes, format!("{} GB", three_digits(bytes / 1e9)))).collect()
            }
        }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = (x - self.x.0) / (self.x.1 - self.x.0);
        let up = (self.upwards.height(y) - self.y.0) / (self.y.1 - self.y.0);
        (LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM))
    }
}

impl Upwards {
    /// What is linear on the axis.
    fn height(self, value: f64) -> f64 {
        match self {
            Upwards::Latency => value.max(1.0).log10(),
            Upwards::Bytes => value,
        }
    }
}

/// Text as XML and HTML want it.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn draw(chart: &Chart) -> String {
    let frame = Frame::around(chart);
    let mut svg = String::new();
    let mut line = |text: String| {
        svg.push_str(&text);
        svg.push('\n');
    };
    line(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">"#
    ));
    line(format!(r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>"##));
    line(format!(r#"<text x="{LEFT}" y="24" font-size="15">{}</text>"#, escape(&chart.title)));
    axes(chart, &frame, &mut line);
    for (i, series) in chart.series.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let mut points = String::new();
        for point in &series.points {
            let (x, y) = frame.place(*point);
            write!(points, "{x:.1},{y:.1} ").expect("writing to a string does not fail");
        }
        line(format!(r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#, points.trim_end()));
    }
    legend(chart, &mut line);
    svg.push_str("</svg>\n");
    svg
}

/// The names of the lines, on a ground that lines behind it shine through.
fn legend(chart: &Chart, line: &mut impl FnMut(String)) {
    /// About what a letter takes.
    const LETTER: f64 = 6.5;
    let longest = chart.series.iter().map(|series| series.name.chars().count()).max().unwrap_or(0);
    let (from, to) = (LEFT + 12.0, LEFT + 36.0);
    let (width, height) = (52.0 + longest as f64 * LETTER, 8.0 + chart.series.len() as f64 * LEGEND);
    line(format!(
        r##"<rect x="{}" y="{TOP}" width="{width}" height="{height}" fill="#ffffff" fill-opacity="0.8"/>"##,
        LEFT + 4.0
    ));
    for (i, series) in chart.series.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let y = TOP + 14.0 + i as f64 * LEGEND;
        line(format!(r#"<path d="M{from} {:.1}H{to}" stroke="{colour}" stroke-width="2"/>"#, y - 4.0));
        line(format!(r#"<text x="{}" y="{y:.1}">{}</text>"#, to + 8.0, escape(&series.name)));
    }
}

fn axes(chart: &Chart, frame: &Frame, line: &mut impl FnMut(String)) {
    let bottom = HEIGHT - BOTTOM;
    for (x, label) in chart.x_ticks.iter().filter(|(x, _)| *x <= frame.x.1) {
        let (x, _) = frame.place((*x, 1.0));
        line(format!(r##"<path d="M{x:.1} {TOP}V{bottom}" stroke="#dddddd"/>"##));
        line(format!(r#"<text x="{x:.1}" y="{}" text-anchor="middle">{}</text>"#, bottom + 18.0, escape(label)));
    }
    for (value, label) in frame.y_ticks() {
        let (_, y) = frame.place((0.0, value));
        line(format!(r##"<path d="M{LEFT} {y:.1}H{}" stroke="#dddddd"/>"##, WIDTH - RIGHT));
        line(format!(r#"<text x="{}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 8.0, y + 4.0));
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    line(format!(r#"<text x="{middle}" y="{}" text-anchor="middle">{}</text>"#, HEIGHT - 10.0, escape(&chart.x_title)));
}
