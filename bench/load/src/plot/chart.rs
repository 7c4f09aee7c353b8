//! Draws a chart as SVG: twice, for wide pictures and for narrow ones such as a phone's, of which one is shown.

use super::scale::{Scale, Ticks, Unit};
use super::style::{self, DASHES};
use std::fmt::Write;

/// A picture.
#[derive(Clone, Debug)]
pub struct Picture {
    title: String,
    /// In units of the wide drawing.
    height: f64,
    wide: String,
    narrow: String,
}

/// How one drawing is laid out. Units are about the pixels that it is shown with.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    width: f64,
    left: f64,
    right: f64,
    /// Named values across and upwards.
    ticks: (usize, usize),
    /// The least height of what the axes enclose.
    least: f64,
}

const WIDE: Look = Look { width: 640.0, left: 62.0, right: 22.0, ticks: (9, 8), least: 300.0 };
const NARROW: Look = Look { width: 400.0, left: 58.0, right: 22.0, ticks: (5, 6), least: 210.0 };

/// Font sizes.
const TITLE: f64 = 15.0;
const TEXT: f64 = 13.0;
const SMALL: f64 = 12.0;
/// What a letter takes on average, in parts of the font size.
const LETTER: f64 = 0.54;
/// Height of a line of text.
const LINE: f64 = 18.0;
/// What stands below the axes: values and title.
const BELOW: f64 = 44.0;
/// Radius of a dot.
const DOT: f64 = 3.2;

/// A line through points, and its dots.
#[derive(Clone, Debug, Default)]
pub struct Series {
    pub name: String,
    /// What is written behind its name.
    pub figures: String,
    pub colour: usize,
    pub dash: usize,
    pub points: Vec<(f64, f64)>,
    pub dots: Vec<(f64, f64)>,
    /// Dots that are not filled.
    pub holes: Vec<(f64, f64)>,
}

/// A value that is asked for: of all, or only at one place across.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What is asked, for the legend.
    pub text: String,
    pub value: f64,
    pub at: Option<f64>,
}

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    pub title: String,
    pub scale: Scale,
    pub unit: Unit,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// Places across that are marked, and what is written above them.
    pub marks: Vec<(f64, String)>,
    pub asked: Vec<Asked>,
    /// Said below the legend.
    pub note: Option<String>,
}

/// Text as XML and HTML want it.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// About how wide a text is.
fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * LETTER
}

/// Cut into lines that fit into `room`.
fn wrapped(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line, size) + width(word, size) + size * LETTER <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// SVG, line by line.
#[derive(Default)]
struct Svg(String);

impl Svg {
    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        self.0.write_fmt(element).expect("writing to a string does not fail");
        self.0.push('\n');
    }

    fn text(&mut self, (x, y): (f64, f64), size: f64, anchor: &str, part: &str, text: &str) {
        let (style, text) = (style::part(part), escape(text));
        self.add(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" text-anchor="{anchor}" {style}>{text}</text>"#
        ));
    }

    fn line(&mut self, path: &str, part: &str, more: &str) {
        let style = style::part(part);
        self.add(format_args!(r#"<path d="{path}" fill="none" {style} {more}/>"#));
    }
}

/// A row of the legend, as it is laid out.
struct Row<'a> {
    mark: Key<'a>,
    name: Vec<String>,
    figures: Vec<String>,
}

enum Key<'a> {
    Series(&'a Series),
    Asked,
    Nothing,
}

impl Chart {
    /// Draws it.
    pub fn draw(&self) -> Picture {
        let shape = |look: &Look| self.above(look) + BELOW + self.below(look);
        // Both drawings have one shape, or one of them would be cut.
        let least = |look: &Look| (shape(look) + look.least) / look.width * WIDE.width;
        let height = least(&WIDE).max(least(&NARROW)).ceil();
        let drawing = |look: &Look| self.drawing(look, height * look.width / WIDE.width);
        Picture { title: self.title.clone(), height, wide: drawing(&WIDE), narrow: drawing(&NARROW) }
    }

    fn titles(&self, look: &Look) -> Vec<String> {
        wrapped(&self.title, TITLE, look.width - 24.0)
    }

    /// Height of what stands above the axes: the title, the title of the axis, the marks.
    fn above(&self, look: &Look) -> f64 {
        8.0 + self.titles(look).len() as f64 * 20.0 + 2.0 * LINE
    }

    fn rows(&self, look: &Look) -> Vec<Row<'_>> {
        let room = look.width - 60.0;
        let row = |mark, name: &str, figures: &str| {
            let name = wrapped(name, TEXT, room);
            let beside = name.len() == 1 && width(&name[0], TEXT) + width(figures, SMALL) + 16.0 <= room;
            match (figures.is_empty(), beside) {
                (true, _) => Row { mark, name, figures: Vec::new() },
                (false, true) => Row { mark, name, figures: vec![figures.to_string()] },
                (false, false) => {
                    // Below the name: an empty first line stands beside it.
                    let below = wrapped(figures, SMALL, room);
                    let empty = vec![String::new(); name.len()];
                    Row { mark, name, figures: empty.into_iter().chain(below).collect() }
                }
            }
        };
        let series = self.series.iter().map(|series| row(Key::Series(series), &series.name, &series.figures));
        let asked = self.asked.iter().map(|asked| row(Key::Asked, &asked.text, ""));
        let note = self.note.iter().map(|note| row(Key::Nothing, note, ""));
        series.chain(asked).chain(note).collect()
    }

    /// Height of the legend.
    fn below(&self, look: &Look) -> f64 {
        let lines = |row: &Row<'_>| row.name.len().max(row.figures.len());
        16.0 + self.rows(look).iter().map(|row| lines(row) as f64 * LINE).sum::<f64>()
    }

    fn drawing(&self, look: &Look, height: f64) -> String {
        let mut svg = Svg::default();
        let (top, bottom) = (self.above(look), height - self.below(look) - BELOW);
        for (number, line) in self.titles(look).iter().enumerate() {
            let style = style::part("text");
            let y = 24.0 + number as f64 * 20.0;
            svg.add(format_args!(
                r#"<text x="12" y="{y}" font-size="{TITLE}" font-weight="600" {style}>{}</text>"#,
                escape(line)
            ));
        }
        svg.text((12.0, top - LINE - 5.0), SMALL, "start", "muted", &format!("{} ↑", self.y.title));
        let area = Area { look, top, bottom, chart: self };
        area.axes(&mut svg);
        area.marks(&mut svg);
        area.series(&mut svg);
        area.asked(&mut svg);
        self.legend(look, bottom + BELOW + 18.0, &mut svg);
        svg.0
    }

    /// Below everything, where no data is.
    fn legend(&self, look: &Look, from: f64, svg: &mut Svg) {
        let mut y = from;
        for row in self.rows(look) {
            match row.mark {
                Key::Series(series) => {
                    let (style, dash) = (style::series(series.colour, "stroke"), DASHES[series.dash % DASHES.len()]);
                    svg.add(format_args!(
                        r#"<path d="M14 {:.1}H40" fill="none" stroke-width="2.5" stroke-dasharray="{dash}" {style}/>"#,
                        y - 4.5
                    ));
                }
                Key::Asked => {
                    let mid = y - 4.5;
                    svg.line(&format!("M14 {mid:.1}H40"), "asked", r#"stroke-width="2""#);
                    svg.line(
                        &format!("M14 {:.1}V{:.1}M40 {:.1}V{:.1}", mid - 4.0, mid + 4.0, mid - 4.0, mid + 4.0),
                        "asked",
                        r#"stroke-width="2""#,
                    );
                }
                Key::Nothing => {}
            }
            let part = if matches!(row.mark, Key::Nothing) { "muted" } else { "text" };
            let x = if matches!(row.mark, Key::Nothing) { 12.0 } else { 48.0 };
            for (number, line) in row.name.iter().enumerate() {
                svg.text((x, y + number as f64 * LINE), TEXT, "start", part, line);
            }
            for (number, line) in row.figures.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
                let beside = number == 0;
                let (x, anchor) = if beside { (look.width - 12.0, "end") } else { (48.0, "start") };
                svg.text((x, y + number as f64 * LINE), SMALL, anchor, "muted", line);
            }
            y += row.name.len().max(row.figures.len()) as f64 * LINE;
        }
    }
}

/// What the axes enclose.
struct Area<'a> {
    look: &'a Look,
    top: f64,
    bottom: f64,
    chart: &'a Chart,
}

impl Area<'_> {
    fn x(&self, value: f64) -> f64 {
        let Look { width, left, right, .. } = self.look;
        left + self.chart.x.scale.place(value) * (width - left - right)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.chart.y.scale.place(value) * (self.bottom - self.top)
    }

    fn axes(&self, svg: &mut Svg) {
        let Look { width: whole, left, right, ticks: (across, upwards), .. } = *self.look;
        let (end, Chart { x, y, .. }) = (whole - right, self.chart);
        let Ticks { named, minor } = y.scale.ticks(y.unit, upwards);
        for value in minor {
            svg.line(&format!("M{left} {:.1}H{end}", self.y(value)), "minor", "");
        }
        for (value, label) in named {
            let at = self.y(value);
            svg.line(&format!("M{left} {at:.1}H{end}"), "grid", "");
            svg.text((left - 7.0, at + 4.0), SMALL, "end", "muted", &label);
        }
        let Ticks { named, minor } = x.scale.ticks(x.unit, across);
        for value in minor {
            svg.line(&format!("M{:.1} {}V{}", self.x(value), self.top, self.bottom), "minor", "");
        }
        let mut free = 0.0;
        for (value, label) in named {
            let at = self.x(value);
            svg.line(&format!("M{at:.1} {}V{}", self.top, self.bottom), "grid", "");
            let half = width(&label, SMALL) / 2.0;
            // A name that would touch the one before it is left out.
            if at - half >= free && at + half <= whole {
                svg.text((at, self.bottom + 17.0), SMALL, "middle", "muted", &label);
                free = at + half + 4.0;
            }
        }
        svg.line(&format!("M{left} {}V{}H{end}", self.top, self.bottom), "axis", "");
        svg.text((end, self.bottom + 36.0), SMALL, "end", "muted", &format!("{} →", x.title));
    }

    fn marks(&self, svg: &mut Svg) {
        for (value, label) in &self.chart.marks {
            let at = self.x(*value);
            svg.line(&format!("M{at:.1} {}V{}", self.top, self.bottom), "mark", r#"stroke-width="1.3""#);
            svg.text((at, self.top - 5.0), SMALL, "middle", "text", label);
        }
    }

    fn series(&self, svg: &mut Svg) {
        for series in &self.chart.series {
            let stroke = style::series(series.colour, "stroke");
            let mut points = String::new();
            for (x, y) in &series.points {
                write!(points, "{:.1},{:.1} ", self.x(*x), self.y(*y)).expect("writing to a string does not fail");
            }
            let dash = DASHES[series.dash % DASHES.len()];
            svg.add(format_args!(
                r#"<polyline fill="none" stroke-width="2" stroke-linejoin="round" stroke-dasharray="{dash}" {stroke} points="{}"/>"#,
                points.trim_end()
            ));
            let fill = style::series(series.colour, "fill");
            for (x, y) in &series.dots {
                svg.add(format_args!(r#"<circle cx="{:.1}" cy="{:.1}" r="{DOT}" {fill}/>"#, self.x(*x), self.y(*y)));
            }
            for (x, y) in &series.holes {
                let (cx, cy, hole) = (self.x(*x), self.y(*y), style::part("hole"));
                svg.add(format_args!(r#"<circle cx="{cx:.1}" cy="{cy:.1}" r="{:.1}" {fill}/>"#, DOT + 1.5));
                svg.add(format_args!(r#"<circle cx="{cx:.1}" cy="{cy:.1}" r="{DOT}" {hole}/>"#));
            }
        }
    }

    fn asked(&self, svg: &mut Svg) {
        let Look { width, left, right, .. } = *self.look;
        for asked in &self.chart.asked {
            let y = self.y(asked.value);
            let (from, to) = match asked.at {
                Some(at) => ((self.x(at) - 13.0).max(left), (self.x(at) + 13.0).min(width - right)),
                None => (left, width - right),
            };
            if !(self.top - 0.5..=self.bottom + 0.5).contains(&y) {
                continue;
            }
            svg.line(&format!("M{from:.1} {y:.1}H{to:.1}"), "asked", r#"stroke-width="2""#);
            if asked.at.is_some() {
                let ends = format!("M{from:.1} {:.1}V{:.1}M{to:.1} {:.1}V{:.1}", y - 4.0, y + 4.0, y - 4.0, y + 4.0);
                svg.line(&ends, "asked", r#"stroke-width="2""#);
            }
        }
    }
}

/// A bar.
#[derive(Clone, Debug)]
pub struct Bar {
    pub name: String,
    pub colour: usize,
    pub value: f64,
    /// What is written at its end.
    pub text: String,
    /// The lowest and the highest of several.
    pub range: Option<(f64, f64)>,
    /// What was asked for.
    pub asked: Option<f64>,
}

/// Bars from 0, one below the other, each with its name above it.
pub fn bars(title: &str, bars: &[Bar], note: Option<&str>) -> Picture {
    const EACH: f64 = 58.0;
    let longest = |bar: &Bar| bar.range.map_or(0.0, |(_, most)| most).max(bar.value).max(bar.asked.unwrap_or(0.0));
    let most = bars.iter().map(longest).fold(f64::MIN_POSITIVE, f64::max);
    let note = note.unwrap_or_default();
    let notes = |look: &Look| if note.is_empty() { Vec::new() } else { wrapped(note, SMALL, look.width - 24.0) };
    let titles = |look: &Look| wrapped(title, TITLE, look.width - 24.0);
    let around = |look: &Look| 20.0 + titles(look).len() as f64 * 20.0 + notes(look).len() as f64 * LINE;
    let least = |look: &Look, each: f64| (around(look) + each * bars.len() as f64) / look.width * WIDE.width;
    let height = least(&WIDE, EACH).max(least(&NARROW, 44.0)).ceil();
    let drawing = |look: &Look| {
        let mut svg = Svg::default();
        let own = height * look.width / WIDE.width;
        for (number, line) in titles(look).iter().enumerate() {
            let style = style::part("text");
            let y = 24.0 + number as f64 * 20.0;
            svg.add(format_args!(
                r#"<text x="12" y="{y}" font-size="{TITLE}" font-weight="600" {style}>{}</text>"#,
                escape(line)
            ));
        }
        let from = 12.0 + titles(look).len() as f64 * 20.0;
        let each = (own - around(look)) / bars.len().max(1) as f64;
        let values = bars.iter().map(|bar| width(&bar.text, TEXT)).fold(0.0, f64::max);
        let room = look.width - 24.0 - values - 10.0;
        for (number, bar) in bars.iter().enumerate() {
            let top = from + number as f64 * each;
            let (y, thick) = (top + each * 0.48, each * 0.40);
            let length = |value: f64| (value / most * room).max(0.5);
            svg.text((12.0, top + each * 0.38), TEXT, "start", "text", &bar.name);
            svg.add(format_args!(
                r#"<rect x="12" y="{y:.1}" width="{:.1}" height="{thick:.1}" rx="2" {}/>"#,
                length(bar.value),
                style::series(bar.colour, "fill")
            ));
            let middle = y + thick / 2.0;
            if let Some((low, high)) = bar.range.filter(|(low, high)| low < high) {
                let (low, high) = (12.0 + length(low), 12.0 + length(high));
                let (up, down) = (middle - 5.0, middle + 5.0);
                let whisker =
                    format!("M{low:.1} {up:.1}V{down:.1}M{low:.1} {middle:.1}H{high:.1}M{high:.1} {up:.1}V{down:.1}");
                // On the bar it needs a ground of its own.
                svg.line(&whisker, "halo", r#"stroke-width="4""#);
                svg.line(&whisker, "axis", r#"stroke-width="1.5""#);
            }
            if let Some(asked) = bar.asked {
                let at = 12.0 + length(asked);
                let (up, down) = (y - 3.0, y + thick + 3.0);
                svg.line(&format!("M{at:.1} {up:.1}V{down:.1}"), "halo", r#"stroke-width="5""#);
                svg.line(&format!("M{at:.1} {up:.1}V{down:.1}"), "asked", r#"stroke-width="2.5""#);
            }
            let behind = 12.0 + length(longest(bar));
            svg.text((behind + 8.0, middle + 4.5), TEXT, "start", "text", &bar.text);
        }
        for (number, line) in notes(look).iter().rev().enumerate() {
            svg.text((12.0, own - 8.0 - number as f64 * LINE), SMALL, "start", "muted", line);
        }
        svg.0
    };
    Picture { title: title.to_string(), height, wide: drawing(&WIDE), narrow: drawing(&NARROW) }
}

impl Picture {
    /// What it shows.
    pub fn title(&self) -> &str {
        &self.title
    }

    fn body(&self, namespace: &str, style: &str) -> String {
        let (width, height, title) = (WIDE.width, self.height, escape(&self.title));
        let Picture { wide, narrow, .. } = self;
        let (scale, ground) = (WIDE.width / NARROW.width, style::part("ground"));
        format!(
            "<svg {namespace}class=\"tp\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\" \
             font-family=\"sans-serif\">\n<title>{title}</title>\n{style}\
             <rect width=\"{width}\" height=\"{height}\" {ground}/>\n<g class=\"tp-wide\">\n{wide}</g>\n\
             <g class=\"tp-narrow\" display=\"none\" transform=\"scale({scale})\">\n{narrow}</g>\n</svg>\n"
        )
    }

    /// A file of its own.
    pub fn file(&self) -> String {
        let style = format!("<style>{}{}</style>\n", style::plots(), style::FILE);
        self.body("xmlns=\"http://www.w3.org/2000/svg\" ", &style)
    }

    /// A part of a page, which has the style.
    pub fn inside(&self) -> String {
        format!("<figure>\n{}</figure>\n", self.body("", ""))
    }
}

/// A picture of words: why there is nothing to draw.
pub fn message(title: &str, text: &str) -> Picture {
    let lines = |look: &Look| {
        let title = wrapped(title, TITLE, look.width - 24.0).into_iter().map(|line| (TITLE, "text", line));
        let text = wrapped(text, TEXT, look.width - 24.0).into_iter().map(|line| (TEXT, "muted", line));
        title.chain(text).collect::<Vec<_>>()
    };
    let tall = |look: &Look| (24.0 + lines(look).len() as f64 * 22.0) / look.width * WIDE.width;
    let drawing = |look: &Look| {
        let mut svg = Svg::default();
        for (number, (size, part, line)) in lines(look).into_iter().enumerate() {
            svg.text((12.0, 26.0 + number as f64 * 22.0), size, "start", part, &line);
        }
        svg.0
    };
    let height = tall(&WIDE).max(tall(&NARROW)).ceil();
    Picture { title: title.to_string(), height, wide: drawing(&WIDE), narrow: drawing(&NARROW) }
}
