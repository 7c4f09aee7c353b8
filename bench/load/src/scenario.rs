//! Scenario files: named runs against one or several targets, interleaved and repeated, and one report of all.

use crate::compare::{FIGURES, Figure, cell};
use crate::error::Error;
use crate::limits::{self, Limits};
use crate::options::{ConsumeArgs, EndToEndArgs, ProduceArgs};
use crate::report::Report;
use crate::target::Servers;
use crate::verify::Verdict;
use crate::{consume, end_to_end, plot, produce};
use clap::{Args, Command, FromArgMatches};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `torc bench run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The scenario.
    pub file: PathBuf,
    /// Where the report, the plots and the single reports go.
    #[arg(long, value_name = "DIR", default_value = "bench-report")]
    pub out: PathBuf,
    /// Where targets that the scenario starts keep their data.
    #[arg(long, value_name = "DIR", default_value = "bench-data")]
    pub dir: PathBuf,
    /// Only these targets.
    #[arg(long, value_name = "NAME")]
    pub target: Vec<String>,
    /// Only runs whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// How often each run is made, instead of what the scenario says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: Option<u32>,
    /// No progress bar.
    #[arg(long)]
    pub quiet: bool,
}

/// Options as they stand on the command line, without the dashes.
pub type Options = BTreeMap<String, toml::Value>;

/// A scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Heading of the report.
    pub title: String,
    /// Each run is made so often; the report has the medians.
    #[serde(default = "once")]
    pub repeat: u32,
    /// Measure the machine's limits first, and quote all results as multiples of them.
    #[serde(default)]
    pub limits: bool,
    /// Options of all runs.
    #[serde(default)]
    pub defaults: Options,
    /// Who is measured; the first is the measure of the others.
    #[serde(rename = "target")]
    pub targets: Vec<TargetSpec>,
    #[serde(rename = "run")]
    pub runs: Vec<RunSpec>,
}

fn once() -> u32 {
    1
}

/// Who is measured. `{torc}` in commands is this program, `{dir}` the directory of --dir.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    pub name: String,
    /// A command that serves until it is ended.
    pub serve: Option<String>,
    /// A command that starts the target and returns.
    pub start: Option<String>,
    /// A command that ends what `start` started.
    pub stop: Option<String>,
    /// Options of runs against it, such as bootstrap-server.
    #[serde(default)]
    pub options: Options,
}

/// A run: its name, its mode, and options.
#[derive(Clone, Debug, Deserialize)]
pub struct RunSpec {
    pub name: String,
    /// produce, consume or e2e.
    pub mode: String,
    /// Targets of this run; all if it is absent.
    pub targets: Option<Vec<String>>,
    #[serde(flatten)]
    pub options: Options,
}

impl Scenario {
    /// Reads a scenario, and checks the options of all its runs.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        let scenario: Scenario = toml::from_str(text).map_err(|error| error.to_string())?;
        if scenario.targets.is_empty() || scenario.runs.is_empty() {
            return Err("a scenario has a [[target]] and a [[run]] at least".to_string());
        }
        for run in &scenario.runs {
            for name in run.targets.iter().flatten() {
                if !scenario.targets.iter().any(|target| target.name == *name) {
                    return Err(format!("run {:?}: there is no target {name:?}", run.name));
                }
            }
            for target in scenario.targets.iter().filter(|target| run.is_for(target)) {
                Job::parse(&run.mode, scenario.arguments(run, target)?)
                    .map_err(|e| format!("run {:?}: {e}", run.name))?;
            }
        }
        Ok(scenario)
    }

    /// The command line of a run.
    fn arguments(&self, run: &RunSpec, target: &TargetSpec) -> Result<Vec<String>, String> {
        let mut options = self.defaults.clone();
        options.extend(run.options.clone());
        options.extend(target.options.clone());
        // Targets may be the same broker with other settings of the topic.
        let topic = options.get("topic").and_then(toml::Value::as_str).unwrap_or(&run.name);
        let topic = topic_name(&format!("{topic}-{}", target.name));
        options.insert("topic".to_string(), toml::Value::String(topic));
        let mut arguments = Vec::new();
        for (name, value) in options {
            let values = match value {
                toml::Value::Array(values) => values,
                value => vec![value],
            };
            for value in values {
                match value {
                    toml::Value::Boolean(true) => arguments.push(format!("--{name}")),
                    toml::Value::Boolean(false) => {}
                    toml::Value::String(text) => arguments.push(format!("--{name}={text}")),
                    toml::Value::Integer(number) => arguments.push(format!("--{name}={number}")),
                    other => return Err(format!("run {:?}: {name} = {other} is no option's value", run.name)),
                }
            }
        }
        Ok(arguments)
    }
}

/// `text` as a topic may be called.
fn topic_name(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    text.chars().map(allowed).take(TOPIC_NAME_MAX).collect()
}

impl RunSpec {
    fn is_for(&self, target: &TargetSpec) -> bool {
        self.targets.as_ref().is_none_or(|names| names.contains(&target.name))
    }
}

/// A run with its options understood.
enum Job {
    Produce(Box<ProduceArgs>),
    Consume(Box<ConsumeArgs>),
    EndToEnd(Box<EndToEndArgs>),
}

fn understand<T: Args + FromArgMatches>(arguments: Vec<String>) -> Result<Box<T>, String> {
    let command = T::augment_args(Command::new("run").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).map_err(|error| error.to_string())?;
    T::from_arg_matches(&matches).map(Box::new).map_err(|error| error.to_string())
}

impl Job {
    fn parse(mode: &str, arguments: Vec<String>) -> Result<Job, String> {
        match mode {
            "produce" => understand(arguments).map(Job::Produce),
            "consume" => understand(arguments).map(Job::Consume),
            "e2e" => understand(arguments).map(Job::EndToEnd),
            other => Err(format!("mode {other:?} is none of produce, consume, e2e")),
        }
    }

    fn run(mut self, title: &str, quiet: bool) -> Result<Report, Error> {
        let output = match &mut self {
            Job::Produce(args) => &mut args.output,
            Job::Consume(args) => &mut args.output,
            Job::EndToEnd(args) => &mut args.output,
        };
        output.name = Some(title.to_string());
        output.quiet |= quiet;
        let (mode, finished, verdict): (_, _, Option<Verdict>) = match &self {
            Job::Produce(args) => {
                let (finished, verdict) = produce::run(args)?;
                ("produce", finished, verdict)
            }
            Job::Consume(args) => {
                let (finished, checker) = consume::run(args)?;
                ("consume", finished, checker.map(|checker| checker.verdict()))
            }
            Job::EndToEnd(args) => ("end-to-end", end_to_end::run(args)?, None),
        };
        let mut report = Report::new(title, mode, String::new(), &finished);
        report.verdict = verdict;
        Ok(report)
    }
}

/// Longest name of a topic.
const TOPIC_NAME_MAX: usize = 249;
/// Length of the file, and time of each figure, when a scenario measures the machine's limits.
const LIMITS_FILE_BYTES: usize = 512 << 20;
const LIMITS_TIME: Duration = Duration::from_millis(500);

/// The reports of one run, by target, in the order of the scenario.
type Results = Vec<(String, Vec<Report>)>;

/// Runs a scenario, and writes its report.
pub fn run(args: &RunArgs, out: &mut dyn Write) -> Result<(), Error> {
    let doing = || format!("reading {}", args.file.display());
    let text = std::fs::read_to_string(&args.file).map_err(Error::io(doing()))?;
    let mut scenario =
        Scenario::parse(&text).map_err(|what| Error::Unfit(format!("{}: {what}", args.file.display())))?;
    scenario.targets.retain(|target| args.target.is_empty() || args.target.contains(&target.name));
    scenario.runs.retain(|run| args.only.as_ref().is_none_or(|text| run.name.contains(text)));
    if scenario.targets.is_empty() || scenario.runs.is_empty() {
        return Err(Error::Unfit("no run is left: see --target and --only".to_string()));
    }
    for dir in [&args.out, &args.dir] {
        std::fs::create_dir_all(dir).map_err(Error::io(format!("making {}", dir.display())))?;
    }
    let limits = match scenario.limits {
        true => Some(limits::measure(&args.dir, LIMITS_FILE_BYTES, LIMITS_TIME)?),
        false => None,
    };
    let servers = Servers::start(&scenario.targets, &args.dir)?;
    let results = all_runs(&scenario, args, out)?;
    drop(servers);
    let mut markdown = format!("# {}\n\n", scenario.title);
    if let Some(limits) = &limits {
        markdown += &format!("The machine just before:\n\n```\n{limits}```\n\n");
    }
    for (number, (run, results)) in scenario.runs.iter().zip(&results).enumerate() {
        markdown += &section(number, run, results, limits.as_ref(), &args.out)?;
    }
    let path = args.out.join("report.md");
    std::fs::write(&path, &markdown).map_err(Error::io(format!("writing {}", path.display())))?;
    write!(out, "{markdown}").map_err(Error::io("writing the report"))
}

/// All repetitions, and in each of them all runs, and of each run all targets: what disturbs the machine for a while
/// disturbs all alike.
fn all_runs(scenario: &Scenario, args: &RunArgs, out: &mut dyn Write) -> Result<Vec<Results>, Error> {
    let repeat = args.repeat.unwrap_or(scenario.repeat);
    let of = |run: &RunSpec| -> Results {
        let targets = scenario.targets.iter().filter(|target| run.is_for(target));
        targets.map(|target| (target.name.clone(), Vec::new())).collect()
    };
    let mut results: Vec<Results> = scenario.runs.iter().map(of).collect();
    for round in 1..=repeat {
        for (number, (run, results)) in scenario.runs.iter().zip(&mut results).enumerate() {
            for target in scenario.targets.iter().filter(|target| run.is_for(target)) {
                let arguments = scenario.arguments(run, target).map_err(Error::Unfit)?;
                let options = format!("{} {}", run.mode, arguments.join(" "));
                let mut report =
                    Job::parse(&run.mode, arguments).map_err(Error::Unfit)?.run(&target.name, args.quiet)?;
                report.options = options;
                let (rate, p99) = (report.requests_per_s, crate::units::time(report.percentile_ns(99.0)));
                writeln!(out, "{round}/{repeat} {}, {}: {rate:.0} requests/s, p99 {p99}", run.name, target.name)
                    .map_err(Error::io("writing the progress"))?;
                let json = serde_json::to_string(&report).expect("reports have only string keys and plain values");
                let path = args.out.join(format!("{}-{}-{round}.json", number + 1, target.name));
                std::fs::write(&path, json).map_err(Error::io(format!("writing {}", path.display())))?;
                let (_, reports) = results.iter_mut().find(|(name, _)| *name == target.name).expect("made above");
                reports.push(report);
            }
        }
    }
    Ok(results)
}

/// The median of a figure over the repetitions.
fn median(figure: &Figure, reports: &[Report]) -> f64 {
    let mut values: Vec<f64> = reports.iter().map(figure.value).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

/// A run's part of the report: a table of medians, and plots of the repetitions in the middle.
fn section(
    number: usize,
    run: &RunSpec,
    results: &Results,
    limits: Option<&Limits>,
    out: &Path,
) -> Result<String, Error> {
    let mut text = format!("## {}\n\n", run.name);
    let mut line = |cells: Vec<String>| {
        writeln!(text, "| {} |", cells.join(" | ")).expect("writing to a string does not fail");
    };
    let names = FIGURES.iter().map(|figure| figure.name.to_string());
    line([String::new()].into_iter().chain(names).collect());
    line(vec!["---".to_string(); FIGURES.len() + 1]);
    for (i, (name, reports)) in results.iter().enumerate() {
        let figures = FIGURES.iter().map(|figure| {
            let first = (i > 0).then(|| median(figure, &results[0].1));
            cell(figure, median(figure, reports), first)
        });
        line([name.clone()].into_iter().chain(figures).collect());
    }
    let rate = &FIGURES[0];
    let typical = |reports: &'_ Vec<Report>| {
        let middle = median(rate, reports);
        let distance = |report: &&Report| ((rate.value)(report) - middle).abs();
        reports.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).cloned()
    };
    let typical: Vec<Report> = results.iter().filter_map(|(_, reports)| typical(reports)).collect();
    let typical: Vec<&Report> = typical.iter().collect();
    text.push('\n');
    for (report, limits) in typical.iter().zip(limits.into_iter().cycle()) {
        let multiples = limits.multiples(report);
        writeln!(text, "{}: {multiples}\n", report.name).expect("writing to a string does not fail");
    }
    for (kind, svg) in
        [("percentiles", plot::percentiles(&run.name, &typical)), ("time", plot::over_time(&run.name, &typical))]
    {
        let file = format!("{}-{kind}.svg", number + 1);
        let path = out.join(&file);
        std::fs::write(&path, svg).map_err(Error::io(format!("writing {}", path.display())))?;
        writeln!(text, "![{}: {kind}]({file})", run.name).expect("writing to a string does not fail");
    }
    text.push('\n');
    Ok(text)
}
