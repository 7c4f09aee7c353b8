//! One run, from its options to its result in every form that was asked for. A run that fails has a result too: it says
//! so, and has no figures.

use crate::command::print;
use crate::drive::Finished;
use crate::environment::{Build, Environment};
use crate::error::Error;
use crate::files::Sink;
use crate::histogram_files::{write_hgrm, write_hlog};
use crate::interrupt;
use crate::limits::Limits;
use crate::options::{Format, Output};
use crate::recorder::histogram;
use crate::report::{Outcome, Report};
use crate::run_page;
use crate::verify::Verdict;
use std::io;
use std::path::PathBuf;

/// What a run leaves behind: its counts, and what checking found, if that was asked for.
pub type Ran = (Finished, Option<Verdict>);

/// A form of the result, and the file that it goes to.
#[derive(Debug)]
struct Wanted {
    form: Form,
    sink: Sink,
}

/// What can be made of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Hgrm,
    Hlog,
    /// The plot of that name.
    Svg(&'static str),
    Html,
}

impl Form {
    /// The result in this form.
    fn render(self, report: &Report, finished: Option<&Finished>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Form::Json => bytes = json(report).into_bytes(),
            Form::Hgrm => {
                let nothing = histogram();
                write_hgrm(report, finished.map_or(&nothing, |f| &f.recorder.latency), &mut bytes)?;
            }
            Form::Hlog => write_hlog(report, finished, &mut bytes)?,
            Form::Svg(name) => {
                // Of nothing there is one picture, which says so.
                let plots = run_page::plots(report);
                let plot = plots.iter().find(|(plot, _)| *plot == name).or(plots.first());
                bytes = plot.map(|(_, picture)| picture.file().into_bytes()).unwrap_or_default();
            }
            Form::Html => bytes = run_page::html(report).into_bytes(),
        }
        Ok(bytes)
    }
}

/// What a directory of results gets.
const DIRECTORY: [(Form, &str); 7] = [
    (Form::Json, "report.json"),
    (Form::Html, "report.html"),
    (Form::Svg("percentiles"), "percentiles.svg"),
    (Form::Svg("latency"), "latency.svg"),
    (Form::Svg("throughput"), "throughput.svg"),
    (Form::Hgrm, "latency.hgrm"),
    (Form::Hlog, "latency.hlog"),
];

/// Opens the files that `output` names.
fn open(output: &Output) -> Result<Vec<Wanted>, Error> {
    let is_page = output.plot.as_ref().is_some_and(|path| path.extension().is_some_and(|ending| ending == "html"));
    let plot = if is_page { Form::Html } else { Form::Svg("percentiles") };
    let named =
        [(Form::Json, &output.json), (Form::Hgrm, &output.hgrm), (Form::Hlog, &output.hlog), (plot, &output.plot)];
    let mut paths: Vec<(Form, PathBuf)> = Vec::new();
    paths.extend(named.into_iter().filter_map(|(form, path)| Some((form, path.clone()?))));
    if let Some(directory) = &output.out {
        std::fs::create_dir_all(directory).map_err(Error::io(format!("making {}", directory.display())))?;
        paths.extend(DIRECTORY.iter().map(|(form, name)| (*form, directory.join(name))));
    }
    paths.into_iter().map(|(form, path)| Ok(Wanted { form, sink: Sink::open(&path)? })).collect()
}

fn json(report: &Report) -> String {
    let text = serde_json::to_string_pretty(report).expect("reports have only string keys and plain values");
    text + "\n"
}

/// The options as they were written.
fn options() -> String {
    std::env::args().skip(2).collect::<Vec<String>>().join(" ")
}

/// Makes a run, prints its report to `out`, and writes the files that were asked for.
///
/// # Errors
/// The run failed, was interrupted or measured nothing; a file cannot be written.
pub fn publish(
    mode: &str,
    output: &Output,
    build: Build,
    out: &mut dyn io::Write,
    run: impl FnOnce() -> Result<Ran, Error>,
) -> Result<(), Error> {
    let files = open(output)?;
    let limits = output.limits.as_deref().map(Limits::load).transpose()?;
    interrupt::watch()?;
    let name = output.name.as_deref().unwrap_or(mode);
    let environment = Environment::here(build);
    let (mut report, finished, failed) = match run() {
        Ok((finished, verdict)) => {
            let report = Report::new(name, mode, options(), &finished);
            let environment = Environment { disk: finished.disk.clone(), ..environment };
            (Report { verdict, environment: Some(environment), ..report }, Some(finished), false)
        }
        // As where clap refuses options: there was no run that could be reported.
        Err(error @ Error::Usage(_)) => return Err(error),
        Err(error) => {
            let report = Report::none(name, mode, options(), error.to_string());
            (Report { environment: Some(environment), ..report }, None, true)
        }
    };
    report.multiples = limits.filter(|_| report.is_measured()).map(|limits| limits.multiples(&report));
    let mut problems = Vec::new();
    // For people, why there is no report is an error message and needs no table.
    let printed = match output.format {
        Format::Json => print(out, &json(&report)),
        Format::Table if failed => Ok(()),
        Format::Table => print(out, &report.to_string()),
    };
    problems.extend(printed.err().map(|error| error.to_string()));
    for Wanted { form, sink } in files {
        let written = form.render(&report, finished.as_ref()).map_err(Error::io("making the result"));
        problems.extend(written.and_then(|bytes| sink.write(&bytes)).err().map(|error| error.to_string()));
    }
    conclude(&report, finished.and_then(|finished| finished.ending.signal), problems)
}

/// What the command ends with.
fn conclude(report: &Report, signal: Option<i32>, mut problems: Vec<String>) -> Result<(), Error> {
    if let Some(verdict) = report.verdict.filter(|verdict| !verdict.is_good()) {
        problems.insert(0, format!("verification failed: {verdict}"));
    }
    if report.outcome != Outcome::Complete {
        problems.insert(0, report.why.clone().unwrap_or_default());
    }
    let what = problems.join("\n");
    match signal {
        Some(signal) => Err(Error::Interrupted { signal, what }),
        None if problems.is_empty() => Ok(()),
        None => Err(Error::Report(what)),
    }
}
