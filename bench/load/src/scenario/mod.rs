//! Scenario files: named runs against one or several targets, interleaved and repeated, and one report of all.

mod check;
mod conduct;
mod file;
mod job;
mod machine;
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

use crate::error::Error;
use crate::units::parse_time;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use summary::Summary;

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
    /// How often each run is made, instead of what the scenario says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: Option<u32>,
    /// Warm up no longer than this, whatever the scenario says: for a quick look.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub warmup: Option<Duration>,
    /// Measure no longer than this, whatever the scenario says: for a quick look.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
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
pub fn run(args: &RunArgs, out: &mut dyn Write) -> Result<(), Error> {
    let doing = || format!("reading {}", args.file.display());
    let text = std::fs::read_to_string(&args.file).map_err(Error::io(doing()))?;
    let mut scenario =
        Scenario::parse(&text).map_err(|what| Error::Unfit(format!("{}: {what}", args.file.display())))?;
    scenario.targets.retain(|target| args.target.is_empty() || args.target.contains(&target.name));
    if let Some(only) = &args.only {
        scenario.retain_runs(only);
    }
    if scenario.targets.is_empty() || scenario.runs.is_empty() {
        return Err(Error::Unfit("no run is left: see --target and --only".to_string()));
    }
    for dir in [&args.out, &args.dir] {
        std::fs::create_dir_all(dir).map_err(Error::io(format!("making {}", dir.display())))?;
    }
    let results = conduct::all_runs(&scenario, args, out)?;
    let summary = Summary::new(&scenario, args, &results);
    write_files(&summary, args)?;
    let report = args.out.join("report.html");
    write!(out, "{}\nthe whole report is {}\n", render::text(&summary), report.display())
        .map_err(Error::io("writing the report"))?;
    let (_, missed, unknown) = summary.score();
    if args.strict && missed + unknown > 0 {
        return Err(Error::Unfit(format!("{missed} checks are not met, {unknown} were not measured")));
    }
    Ok(())
}

/// The report in all its forms, and the plots.
fn write_files(summary: &Summary, args: &RunArgs) -> Result<(), Error> {
    let json = serde_json::to_string_pretty(summary).expect("summaries have only string keys and plain values");
    let reports = [
        ("report.md", render::markdown(summary)),
        ("summary.md", render::short_markdown(summary)),
        ("report.html", render::html(summary)),
        ("report.json", json),
    ];
    let plots = summary.sections.iter().flat_map(|section| &section.plots);
    let files = reports.iter().map(|(name, text)| (*name, text.as_str()));
    for (name, text) in files.chain(plots.map(|plot| (plot.file.as_str(), plot.svg.as_str()))) {
        let path = args.out.join(name);
        std::fs::write(&path, text).map_err(Error::io(format!("writing {}", path.display())))?;
    }
    Ok(())
}
