//! Makes the runs of a scenario.

use super::RunArgs;
use super::file::{AlsoSpec, RelativeRate, RunSpec, Scenario, Settle, TargetSpec};
use super::job::Job;
use super::results::{Results, Row, Spread};
use super::space::{Kept, Watch};
use crate::cluster::{self, Missing};
use crate::command::print;
use crate::cpu::Process;
use crate::environment::Build;
use crate::error::Error;
use crate::files::Sink;
use crate::interrupt;
use crate::limits::{self, Limits};
use crate::report::{Outcome, Report};
use crate::scrape::scrape;
use crate::target::Servers;
use crate::units::{parse_size, three_or_none, time, time_or_none};
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Length of the file, and time of each figure, when the machine's limits are measured.
const LIMITS_FILE_BYTES: usize = 512 << 20;
const LIMITS_TIME: Duration = Duration::from_secs(1);
/// Time between two looks at metrics that are to settle.
const SETTLE_LOOK: Duration = Duration::from_secs(1);
/// Time that a server has to come to rest after a restart, before its memory is read.
const REST: Duration = Duration::from_secs(1);

/// All repetitions, and in each of them all runs, and of each run all targets: what disturbs the machine for a while
/// disturbs all alike.
///
/// A run that fails is reported as such, and the next ones are made. A signal ends them all.
///
/// # Errors
/// A target cannot be started.
pub fn all_runs(scenario: &Scenario, args: &RunArgs, build: Build, out: &mut dyn Write) -> Result<Results, Error> {
    let mut results = Results::default();
    for run in &scenario.runs {
        for target in scenario.targets.iter().filter(|target| run.is_for(target)) {
            let row = |name: &str| Row { run: name.to_string(), target: target.name.clone(), reports: Vec::new() };
            results.rows.extend(run.names().map(row));
        }
    }
    let mut servers = Servers::new(&args.dir);
    for target in scenario.targets.iter().filter(|target| target.fresh.is_none()) {
        servers.start(target)?;
    }
    for target in &scenario.targets {
        if let Some(command) = &target.warm {
            print(out, &format!("{} warms up\n", target.name))?;
            servers.command(command, &format!("warming up {}", target.name))?;
        }
    }
    let mut conduct = Conduct { scenario, args, build, servers, results };
    for round in 1..=args.repetitions(scenario) {
        conduct.round(round, out)?;
        if interrupt::caught().is_some() {
            break;
        }
    }
    let Conduct { results, .. } = conduct;
    Ok(Results { signal: interrupt::caught(), ..results })
}

/// A report in a few words.
fn said(report: &Report) -> String {
    if let Some(ready) = report.ready_ns {
        return format!("ready in {}", time(ready));
    }
    let why = report.why.as_deref().unwrap_or("-");
    let (rate, bandwidth) = (three_or_none(report.requests_per_s), three_or_none(report.megabytes_per_s));
    let figures = format!("{rate} requests/s, {bandwidth} MB/s, p99 {}", time_or_none(report.percentile_ns(99.0)));
    match report.outcome {
        Outcome::Complete => figures,
        Outcome::Partial => format!("{figures}; PARTIAL: {why}"),
        Outcome::Failed => format!("{figures}; FAILED: {why}"),
        Outcome::None => format!("NO RESULT: {why}"),
    }
}

struct Conduct<'a> {
    scenario: &'a Scenario,
    args: &'a RunArgs,
    build: Build,
    servers: Servers,
    results: Results,
}

impl Conduct<'_> {
    /// Makes each run once against each of its targets.
    fn round(&mut self, round: u32, out: &mut dyn Write) -> Result<(), Error> {
        if self.scenario.limits {
            match self.limits() {
                Ok(limits) => {
                    let (read, write) = (limits.sequential_read_mb_per_s, limits.sequential_write_mb_per_s);
                    let loopback = limits.loopback_mb_per_s;
                    let said = format!("read {read:.0} MB/s, write {write:.0} MB/s, loopback {loopback:.0} MB/s");
                    self.results.machine.push(limits);
                    self.say(round, "the machine", &said, out)?;
                }
                Err(error) => self.results.problems.push(format!("repetition {round}, the machine's limits: {error}")),
            }
        }
        let scenario = self.scenario;
        for (number, run) in scenario.runs.iter().enumerate() {
            for target in scenario.targets.iter().filter(|target| run.is_for(target)) {
                if interrupt::caught().is_some() {
                    return Ok(());
                }
                for (name, report) in self.made(run, target) {
                    self.say(round, &format!("{name}, {}", target.name), &said(&report), out)?;
                    if report.outcome != Outcome::Complete && interrupt::caught().is_none() {
                        let why = report.why.as_deref().unwrap_or("-");
                        self.results.problems.push(format!("{name}, {}, repetition {round}: {why}", target.name));
                    }
                    if let Some(verdict) = report.verdict.filter(|verdict| !verdict.is_good()) {
                        let verdict = format!("{name}, {}, repetition {round}: {verdict}", target.name);
                        self.results.problems.push(verdict);
                    }
                    self.keep(number + 1, round, &name, target, report);
                }
            }
        }
        Ok(())
    }

    /// Makes a run once, or says why that failed.
    fn made(&mut self, run: &RunSpec, target: &TargetSpec) -> Vec<(String, Report)> {
        self.one(run, target).unwrap_or_else(|error| {
            let none = |name: &str| {
                let report = Report::none(&target.name, &run.mode, String::new(), error.to_string());
                (name.to_string(), report)
            };
            run.names().map(none).collect()
        })
    }

    /// A line of the progress.
    fn say(&self, round: u32, what: &str, said: &str, out: &mut dyn Write) -> Result<(), Error> {
        print(out, &format!("{round}/{} {what}: {said}\n", self.args.repetitions(self.scenario)))
    }

    /// What the machine can do now.
    fn limits(&self) -> Result<Limits, Error> {
        if let Some(command) = &self.scenario.before {
            self.servers.command(command, "before the machine's limits")?;
        }
        let time = self.args.duration.map_or(LIMITS_TIME, |cut| cut.min(LIMITS_TIME));
        limits::measure(&self.args.dir, LIMITS_FILE_BYTES, time)
    }

    /// Makes a run once. Returns its report and those of the loads beside it, by their names.
    fn one(&mut self, run: &RunSpec, target: &TargetSpec) -> Result<Vec<(String, Report)>, Error> {
        let Some(clean) = &target.fresh else { return self.prepared(run, target) };
        let doing = format!("cleaning up for {}", target.name);
        self.servers.command(clean, &doing)?;
        self.servers.start(target)?;
        let reports = self.prepared(run, target);
        self.servers.end(target);
        self.servers.command(clean, &doing)?;
        reports
    }

    fn prepared(&mut self, run: &RunSpec, target: &TargetSpec) -> Result<Vec<(String, Report)>, Error> {
        for command in [&self.scenario.before, &run.before].into_iter().flatten() {
            self.servers.command(command, &format!("before {:?}", run.name))?;
        }
        if let Some(settle) = &run.settle {
            settled(settle)?;
        }
        match run.mode.as_str() {
            "restart" => Ok(vec![(run.name.clone(), self.restart(target)?)]),
            _ => self.load(run, target),
        }
    }

    /// Ends a target in an orderly way and starts it again.
    fn restart(&mut self, target: &TargetSpec) -> Result<Report, Error> {
        self.servers.end(target);
        let ready = self.servers.start(target)?;
        thread::sleep(REST);
        let process = Process::find_all(&self.servers.pids(target)?);
        Ok(Report::restarted(&target.name, ready, process.as_ref()))
    }

    /// A run's load and those beside it.
    fn load(&self, run: &RunSpec, target: &TargetSpec) -> Result<Vec<(String, Report)>, Error> {
        let (mut main, options) = self.job(run, None, target)?;
        let mut beside = Vec::new();
        for also in &run.also {
            beside.push((also.name.clone(), self.job(run, Some(also), target)?));
        }
        let jobs = beside.iter_mut().map(|(_, (job, _))| job).chain([&mut main]);
        let mut kept = Vec::new();
        for job in jobs {
            let retention = job.topic_setting("retention.bytes").and_then(|text| parse_size(&text).ok());
            let Some(to) = job.target() else { continue };
            if run.fresh_topic {
                cluster::forget(to)?;
            }
            let (topic, partitions) = (to.topic.clone(), to.partitions);
            kept.push(Kept { topic, partitions, retention: retention.map(|bytes| bytes as u64) });
            if run.space.is_some() {
                // Asked for its size before the load has made it, a topic would be unknown.
                cluster::prepare(to, Missing::Create)?;
            }
        }
        let watch = match (&run.space, &target.data, main.target()) {
            (Some(space), Some(data), Some(to)) => {
                let data = PathBuf::from(self.servers.fill_in(data)?);
                Some(Watch::start(data, to.bootstrap_server.clone(), kept, space.reserve))
            }
            _ => None,
        };
        let (quiet, title, build) = (self.args.quiet, &target.name, self.build);
        let (main, beside) = thread::scope(|scope| {
            let start = |(name, (job, options)): (String, (Job, String))| {
                (name, scope.spawn(move || job.run(title, true, build).map(|report| Report { options, ..report })))
            };
            let threads: Vec<_> = beside.into_iter().map(start).collect();
            let main = main.run(title, quiet, build).map(|report| Report { options, ..report });
            let join = |(name, thread): (String, thread::ScopedJoinHandle<'_, Result<Report, Error>>)| {
                thread.join().expect("a load does not panic").map(|report| (name, report))
            };
            (main, threads.into_iter().map(join).collect::<Vec<_>>())
        });
        let seen = watch.map(|watch| watch.end(main.as_ref().map_or(0.0, |report| report.began_s)));
        let mut reports = vec![(run.name.clone(), main?)];
        for beside in beside {
            reports.push(beside?);
        }
        if let Some(seen) = seen {
            reports[0].1.space = seen?;
        }
        share_costs(&mut reports);
        Ok(reports)
    }

    /// The job of a run or of a load beside it, and its options as text.
    fn job(&self, run: &RunSpec, also: Option<&AlsoSpec>, target: &TargetSpec) -> Result<(Job, String), Error> {
        let mode = if also.is_some() { "produce" } else { run.mode.as_str() };
        let rate = |rate: &RelativeRate| self.rate(rate);
        let mut arguments = self.scenario.arguments(run, also, target, &rate).map_err(Error::Unfit)?;
        let mut job = Job::parse(mode, arguments.clone()).map_err(Error::Unfit)?;
        // The command that is shown is the one that is run.
        job.shorten(self.args.warmup, self.args.duration, &mut arguments);
        let quoted: Vec<String> = arguments.iter().map(|argument| quote(argument)).collect();
        let options = format!("{mode} {}", quoted.join(" "));
        if job.server_pids().is_empty() {
            *job.server_pids() = self.servers.pids(target)?;
        }
        Ok((job, options))
    }

    /// Records per second of an earlier run: the median so far.
    fn rate(&self, relative: &RelativeRate) -> Result<f64, String> {
        let row = self.results.row(&relative.of, &relative.target);
        let reports = row.iter().flat_map(|row| &row.reports);
        let rates: Vec<f64> = reports.filter_map(|report| report.records_per_s).collect();
        Spread::of(&rates).map(|spread| spread.median).ok_or_else(|| {
            let RelativeRate { of, target, .. } = relative;
            format!("a rate is part of that of {of:?} against {target:?}, which was not run: see --only and --target")
        })
    }

    /// Keeps a report, in memory and as a file.
    fn keep(&mut self, number: usize, round: u32, name: &str, target: &TargetSpec, report: Report) {
        let json = serde_json::to_string(&report).expect("reports have only string keys and plain values");
        let beside = self.scenario.runs[number - 1].names().position(|other| other == name).unwrap_or(0);
        let beside = if beside > 0 { format!("-beside-{beside}") } else { String::new() };
        let path = self.args.out.join(format!("{number}{beside}-{}-{round}.json", target.name));
        let written = Sink::open(&path).and_then(|sink| sink.write(json.as_bytes()));
        self.results.problems.extend(written.err().map(|error| error.to_string()));
        self.results.add(name, &target.name, report);
    }
}

/// An argument as a shell wants it.
fn quote(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
    match argument.chars().all(plain) {
        true => argument.to_string(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}

/// CPU time was taken of whole processes: of loads at the same time each request gets its share.
fn share_costs(reports: &mut [(String, Report)]) {
    let requests: u64 = reports.iter().map(|(_, report)| report.requests).sum();
    if reports.len() < 2 || requests == 0 {
        return;
    }
    // Each was asked over the same time, so the largest is all that was used.
    let shared = |whole: &dyn Fn(&Report) -> Option<f64>| {
        let all = reports.iter().filter_map(|(_, report)| Some(whole(report)? * report.requests as f64));
        all.reduce(f64::max).map(|whole| whole / requests as f64)
    };
    let server = shared(&|report| report.server?.cpu_us_per_request);
    let client = shared(&|report| report.generator_cpu_us_per_request);
    for (_, report) in reports.iter_mut().filter(|(_, report)| report.is_measured()) {
        report.generator_cpu_us_per_request = client;
        if let Some(use_of) = &mut report.server {
            use_of.cpu_us_per_request = server;
        }
    }
}

/// Waits until metrics stop to change.
fn settled(settle: &Settle) -> Result<(), Error> {
    let Settle { metrics, prefix, quiet, timeout, at_least } = settle;
    let (began, mut since, mut last) = (Instant::now(), Instant::now(), None);
    loop {
        let now = scrape(metrics, prefix)?;
        if now.is_empty() {
            return Err(Error::Unfit(format!("no metric at {metrics} has a name that begins with {prefix}")));
        }
        let reached = at_least.iter().all(|(name, least)| now.get(name).is_some_and(|value| value >= least));
        if last.as_ref() != Some(&now) {
            (since, last) = (Instant::now(), Some(now));
        }
        if reached && since.elapsed() >= *quiet {
            return Ok(());
        }
        if began.elapsed() > *timeout {
            return Err(Error::Unfit(format!(
                "the metrics {prefix}* at {metrics} have not settled within {} s: {:?}",
                timeout.as_secs(),
                last.unwrap_or_default()
            )));
        }
        thread::sleep(SETTLE_LOOK);
    }
}
