//! Scenario files: named runs against one or several targets, interleaved and repeated, and one report of all.

mod check;
mod conduct;
mod file;
mod job;
mod machine;
mod pictures;
mod render;
mod results;
mod space;
mod summary;

#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod space_tests;
#[cfg(test)]
mod summary_tests;
#[cfg(test)]
mod testdata;

pub use file::{Scenario, TargetSpec};

use crate::command::print;
use crate::environment::Build;
use crate::error::Error;
use crate::files::Sink;
use crate::interrupt;
use crate::units::{counted, parse_span, parse_time};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use summary::Summary;
use torc_base::units::count_in;

/// `torc bench run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The scenario.
    pub file: PathBuf,
    /// Where the report (Markdown, HTML, JSON), the plots and the single reports go.
    #[arg(long, value_name = "DIR", default_value = "bench-report")]
    pub out: PathBuf,
    /// Where targets that the scenario starts keep their data.
    #[arg(long, value_name = "DIR", default_value = "bench-data")]
    pub dir: PathBuf,
    /// Only these targets.
    #[arg(long, value_name = "NAME")]
    pub target: Vec<String>,
    /// Only runs whose name contains this, and those that they need.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// How often to make each run, whatever the scenario says.
    #[arg(long, value_name = "N", value_parser = |text: &str| count_in::<u32>(text, 1..=1000))]
    pub repeat: Option<u32>,
    /// Warm up no longer than this, whatever the scenario says: for a quick look.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub warmup: Option<Duration>,
    /// Measure no longer than this, whatever the scenario says: for a quick look.
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub duration: Option<Duration>,
    /// Fail if a check is not met, or was not measured.
    #[arg(long)]
    pub strict: bool,
    /// No progress bar.
    #[arg(long)]
    pub quiet: bool,
}

impl RunArgs {
    /// How often each run of `scenario` is made.
    fn repetitions(&self, scenario: &Scenario) -> u32 {
        self.repeat.unwrap_or(scenario.repeat)
    }
}

/// Runs a scenario, and writes its report.
///
/// # Errors
/// Also if a run failed, or what it needs could not be written: the report says what.
pub fn run(args: &RunArgs, build: Build, out: &mut dyn Write) -> Result<(), Error> {
    let doing = || format!("reading {}", args.file.display());
    let text = std::fs::read_to_string(&args.file).map_err(Error::io(doing()))?;
    let mut scenario =
        Scenario::parse(&text).map_err(|what| Error::Unfit(format!("{}: {what}", args.file.display())))?;
    scenario.targets.retain(|target| args.target.is_empty() || args.target.contains(&target.name));
    if let Some(only) = &args.only {
        scenario.retain_runs(only);
    }
    if scenario.targets.is_empty() || scenario.runs.is_empty() {
        return Err(Error::Usage("no run is left: see --target and --only".to_string()));
    }
    for dir in [&args.out, &args.dir] {
        std::fs::create_dir_all(dir).map_err(Error::io(format!("making {}", dir.display())))?;
    }
    // Before anything runs: so much time for a report that cannot be written would be lost.
    let files = REPORTS.iter().map(|(name, _)| Sink::open(&args.out.join(name))).collect::<Result<Vec<_>, Error>>()?;
    interrupt::watch()?;
    let results = conduct::all_runs(&scenario, args, build, out)?;
    let summary = Summary::new(&scenario, args, build, &results);
    let report = args.out.join("report.html");
    print(out, &format!("{}the whole report is {}\n", render::text(&summary), report.display()))?;
    let mut problems = summary.problems.clone();
    problems.extend(write_files(&summary, files, args));
    let (_, missed) = summary.score();
    let ungraded = summary.checks.iter().filter(|check| check.met.is_none()).count();
    if args.strict && missed + ungraded > 0 {
        let missed = counted(missed as u64, "check");
        problems.push(format!("--strict: {missed} not met, {ungraded} not measured or not graded"));
    }
    match results.signal {
        Some(signal) => {
            problems.insert(0, summary.interrupted.unwrap_or_default());
            Err(Error::Interrupted { signal, what: problems.join("\n") })
        }
        None if problems.is_empty() => Ok(()),
        None => Err(Error::Report(problems.join("\n"))),
    }
}

/// Makes a form of the report.
type Render = fn(&Summary) -> String;

/// The forms of the report, by the names of their files.
const REPORTS: [(&str, Render); 4] = [
    ("report.md", render::markdown),
    ("summary.md", render::short_markdown),
    ("report.html", render::html),
    ("report.json", |summary| {
        serde_json::to_string_pretty(summary).expect("summaries have only string keys and plain values") + "\n"
    }),
];

/// The report in all its forms, and the plots. What cannot be written is returned.
fn write_files(summary: &Summary, files: Vec<Sink>, args: &RunArgs) -> Vec<String> {
    let reports = files.into_iter().zip(REPORTS).map(|(sink, (_, make))| sink.write(make(summary).as_bytes()));
    let plots = summary.sections.iter().flat_map(|section| &section.plots);
    let plots = plots
        .map(|plot| Sink::open(&args.out.join(&plot.file)).and_then(|sink| sink.write(plot.picture.file().as_bytes())));
    reports.chain(plots).filter_map(|written| Some(written.err()?.to_string())).collect()
}
