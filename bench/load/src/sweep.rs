//! `torc bench sweep`: the rate goes up in steps, and the latency at each is measured. The curve is what capacity is
//! planned by: it is flat up to a knee, and behind it nothing is a latency any more.

use crate::command::print;
use crate::drive::UNANSWERED;
use crate::environment::{Build, Environment};
use crate::error::Error;
use crate::files::Sink;
use crate::interrupt;
use crate::options::{Format, Output, Pace, ProduceArgs, Rate, Records, Target};
use crate::page::{marked, page};
use crate::plot::{self, Curve, Picture, escape, kept_up};
use crate::produce;
use crate::report::{Outcome, Report};
use crate::table::{Narrow, Table};
use crate::units::{parse_count, three_or_none, time_or_none};
use clap::Args;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Parts of the peak that are tried if no rates are named, in percent.
const PARTS: [u64; 9] = [10, 25, 40, 55, 70, 80, 90, 100, 110];

/// Records that are due at a step at least, if rates follow from a peak: a median is carried by so many.
const DUE: f64 = 20.0;

/// `torc bench sweep`.
#[derive(Clone, Debug, Args)]
pub struct SweepArgs {
    /// Records per second to try, upwards, such as 1k,2k,5k [default: parts of what a closed loop achieves, from 10 to
    /// 110 percent].
    #[arg(long, value_name = "RATE,...", value_delimiter = ',', value_parser = parse_count)]
    pub rates: Vec<u64>,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub pace: Pace,
    #[command(flatten)]
    pub records: Records,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Name of the target in reports and plots.
    #[arg(long, value_name = "NAME", default_value = "sweep")]
    pub name: String,
    /// The result as JSON: the whole report of each step.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The curve if it ends with .svg, a page with it and all figures if it ends with .html.
    #[arg(long, value_name = "FILE", value_parser = crate::options::plot_path)]
    pub plot: Option<PathBuf>,
    /// No progress bar.
    #[arg(long)]
    pub quiet: bool,
}

/// All steps.
#[derive(Debug, Serialize)]
pub struct Sweep {
    pub name: String,
    pub outcome: Outcome,
    pub why: Option<String>,
    pub options: String,
    pub environment: Environment,
    /// What a closed loop achieved, in records per second; absent if rates were named.
    pub peak_records_per_s: Option<f64>,
    /// The highest rate that was kept up with, in records per second.
    pub kept_up_records_per_s: Option<f64>,
    pub steps: Vec<Report>,
}

impl SweepArgs {
    /// One step: a run of produce, at `rate` or as fast as it goes.
    fn step(&self, name: &str, rate: Option<u64>) -> ProduceArgs {
        let output = Output { name: Some(name.to_string()), quiet: self.quiet, ..Output::default() };
        ProduceArgs {
            target: self.target.clone(),
            pace: self.pace.clone(),
            rate: Rate { rate, linger: None },
            records: self.records.clone(),
            output,
            verify: false,
        }
    }
}

/// Makes one step; one that fails says so.
fn made(args: &ProduceArgs, environment: &Environment) -> Report {
    let name = args.output.name.clone().unwrap_or_default();
    match produce::run(args) {
        Ok((finished, _)) => {
            let environment = Environment { disk: finished.disk.clone(), ..environment.clone() };
            let report = Report::new(&name, "produce", String::new(), &finished);
            Report { environment: Some(environment), ..report }
        }
        Err(error) => Report::none(&name, "produce", String::new(), error.to_string()),
    }
}

/// The rates to try: those that were named, or parts of a peak that is measured first.
fn rates(args: &SweepArgs, environment: &Environment) -> Result<(Vec<u64>, Option<f64>), Error> {
    if !args.rates.is_empty() {
        let mut rates = args.rates.clone();
        rates.sort_unstable();
        rates.dedup();
        return Ok((rates, None));
    }
    let peak = made(&args.step("peak, closed loop", None), environment);
    let Some(rate) = peak.records_per_s.filter(|_| peak.outcome == Outcome::Complete) else {
        let what = peak.why.unwrap_or_default();
        return match interrupt::caught() {
            Some(signal) => Err(Error::Interrupted { signal, what }),
            None => Err(Error::Report(format!("no peak was measured: {what}"))),
        };
    };
    let part = |percent: &u64| ((rate * *percent as f64 / 100.0) as u64).max(1);
    let rates: Vec<u64> = PARTS.iter().map(part).collect();
    // A part of which hardly anything is due in its time says nothing.
    let says = |rate: &&u64| **rate as f64 * args.pace.duration.as_secs_f64() >= DUE;
    let telling: Vec<u64> = rates.iter().filter(says).copied().collect();
    Ok((if telling.is_empty() { rates } else { telling }, Some(rate)))
}

/// Steps through the rates until one is not kept up with.
fn steps(args: &SweepArgs, rates: &[u64], environment: &Environment) -> Vec<Report> {
    let mut steps = Vec::new();
    for rate in rates {
        let report = made(&args.step(&format!("{rate} records/s"), Some(*rate)), environment);
        // Behind the knee every step would only show how long the queue had grown.
        let is_last = !kept_up(&report) || report.outcome != Outcome::Complete;
        steps.push(report);
        if is_last {
            break;
        }
    }
    steps
}

/// Whether all that is wrong with a step is that the target could not keep up: answers came too late to be waited for.
fn is_overload(report: &Report) -> bool {
    let late = report.errors.keys().all(|error| error.starts_with(UNANSWERED));
    report.is_measured() && !kept_up(report) && report.connections_lost == 0 && late
}

impl Sweep {
    fn new(args: &SweepArgs, environment: Environment, steps: Vec<Report>, peak: Option<f64>) -> Sweep {
        let broken = steps.iter().find(|report| report.outcome != Outcome::Complete && !is_overload(report));
        let kept = steps.iter().filter(|report| report.outcome == Outcome::Complete && kept_up(report));
        let measured = steps.iter().any(Report::is_measured);
        let outcome = match (broken, measured, interrupt::caught()) {
            (None, true, _) => Outcome::Complete,
            (_, false, _) => Outcome::None,
            (Some(_), _, Some(_)) => Outcome::Partial,
            (Some(_), _, None) => Outcome::Failed,
        };
        let why = broken.map(|report| format!("{}: {}", report.name, report.why.as_deref().unwrap_or("-")));
        let disk = steps.iter().find_map(|report| report.environment.as_ref()?.disk.clone());
        Sweep {
            name: args.name.clone(),
            outcome,
            why,
            options: std::env::args().skip(2).collect::<Vec<String>>().join(" "),
            environment: Environment { disk, ..environment },
            peak_records_per_s: peak,
            kept_up_records_per_s: kept.filter_map(|report| report.asked_records_per_s).reduce(f64::max),
            steps,
        }
    }

    fn table(&self) -> Table {
        let head = ["asked/s", "achieved/s", "kept up", "p50", "p99", "p99.9", "max", "errors"];
        let row = |report: &Report| {
            let at = |percentile| time_or_none(report.percentile_ns(percentile));
            let kept = match (report.is_measured(), kept_up(report)) {
                (false, _) => "-",
                (true, true) => "yes",
                (true, false) => "no",
            };
            vec![
                three_or_none(report.asked_records_per_s),
                three_or_none(report.records_per_s),
                kept.to_string(),
                at(50.0),
                at(99.0),
                at(99.9),
                time_or_none(report.latency.max_ns),
                report.failed().to_string(),
            ]
        };
        Table { words: 0, head: head.map(str::to_string).to_vec(), rows: self.steps.iter().map(row).collect() }
    }

    fn picture(&self) -> Picture {
        let reports: Vec<&Report> = self.steps.iter().filter(|report| report.is_measured()).collect();
        let why = self.why.as_deref().unwrap_or("nothing was measured");
        match self.outcome {
            Outcome::None => plot::message(&format!("{}: NO RESULT", self.name), why),
            Outcome::Complete => {
                plot::latency_by_rate(&self.title(), &[Curve { name: &self.name, target: 0, reports }])
            }
            _ => {
                let title = format!("PARTIAL, {why}: {}", self.title());
                plot::latency_by_rate(&title, &[Curve { name: &self.name, target: 0, reports }])
            }
        }
    }

    fn title(&self) -> String {
        format!("{}: latency against rate", self.name)
    }

    /// The highest rate that was asked for.
    fn highest(&self) -> Option<f64> {
        self.steps.iter().filter_map(|report| report.asked_records_per_s).reduce(f64::max)
    }

    /// What the steps say, in a sentence.
    fn said(&self) -> String {
        let kept = match self.kept_up_records_per_s {
            Some(rate) if Some(rate) == self.highest() => {
                let rate = three_or_none(Some(rate));
                format!("kept up with {rate} records/s, the highest rate that was tried (--rates tries others)")
            }
            Some(rate) => format!("kept up with {} records/s", three_or_none(Some(rate))),
            None => "kept up with none of these rates".to_string(),
        };
        let peak =
            self.peak_records_per_s.map(|peak| format!("; a closed loop achieved {}", three_or_none(Some(peak))));
        format!("{kept}{}; latency counts from when a request was due", peak.unwrap_or_default())
    }

    fn text(&self) -> String {
        let why = self.why.as_ref().map(|why| format!("{}: {why}\n", self.worth())).unwrap_or_default();
        format!("{}\n{}{}\n{why}on {}\n", self.title(), self.table().columns(), self.said(), self.environment)
    }

    fn worth(&self) -> &'static str {
        match self.outcome {
            Outcome::Complete => "complete",
            Outcome::Partial => "PARTIAL",
            Outcome::Failed => "FAILED",
            Outcome::None => "NO RESULT",
        }
    }

    fn html(&self) -> String {
        let banner = |why: &String| format!("<p class=\"banner\"><b>{}</b>: {}</p>\n", self.worth(), escape(why));
        let mut body = self.why.as_ref().map(banner).unwrap_or_default();
        body += &format!("<p>The target {}.</p>\n{}", escape(&self.said()), self.table().html(Narrow::Pairs));
        body += &format!("<div class=\"plots\">\n{}</div>\n", self.picture().inside());
        body += &format!("<ul><li>{}</li></ul>\n", marked(&format!("`torc bench {}`", self.options)));
        body += &format!("<footer>Measured with {}.</footer>\n", escape(&self.environment.to_string()));
        page(&self.title(), &body)
    }
}

/// Makes all steps, and prints to `out`.
///
/// # Errors
/// A step failed, or the result cannot be written. A rate that is too high is none.
pub fn run(args: &SweepArgs, build: Build, out: &mut dyn Write) -> Result<(), Error> {
    let json_file = args.json.as_deref().map(Sink::open).transpose()?;
    let plot_file = args.plot.as_deref().map(Sink::open).transpose()?;
    interrupt::watch()?;
    let environment = Environment::here(build);
    let (sweep, failed) = match rates(args, &environment) {
        Ok((rates, peak)) => {
            let steps = steps(args, &rates, &environment);
            (Sweep::new(args, environment, steps, peak), None)
        }
        Err(error) => {
            let sweep = Sweep::new(args, environment, Vec::new(), None);
            (Sweep { why: Some(error.to_string()), ..sweep }, Some(error))
        }
    };
    let json = serde_json::to_string_pretty(&sweep).expect("sweeps have only string keys and plain values") + "\n";
    let mut problems: Vec<String> = sweep.why.iter().cloned().collect();
    let mut check = |result: Result<(), Error>| problems.extend(result.err().map(|error| error.to_string()));
    check(match args.format {
        Format::Json => print(out, &json),
        Format::Table if failed.is_some() => Ok(()),
        Format::Table => print(out, &sweep.text()),
    });
    let is_page = args.plot.as_ref().is_some_and(|path| path.extension().is_some_and(|ending| ending == "html"));
    let plot = if is_page { sweep.html() } else { sweep.picture().file() };
    check(json_file.map_or(Ok(()), |file| file.write(json.as_bytes())));
    check(plot_file.map_or(Ok(()), |file| file.write(plot.as_bytes())));
    let what = problems.join("\n");
    match interrupt::caught() {
        Some(signal) => Err(Error::Interrupted { signal, what }),
        None if problems.is_empty() => Ok(()),
        None => Err(Error::Report(what)),
    }
}
