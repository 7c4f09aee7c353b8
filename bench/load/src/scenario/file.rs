//! Scenario files: what stands in them, and whether it fits together.

use super::check::CheckSpec;
use super::job::Job;
use crate::units::{parse_size, parse_time};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// Options as they stand on the command line, without the dashes.
pub type Options = BTreeMap<String, toml::Value>;

/// Longest name of a topic.
const TOPIC_NAME_MAX: usize = 249;
/// A rate that stands for one that is not known before the runs are made.
const SOME_RATE: f64 = 1000.0;

/// A scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Heading of the report.
    pub title: String,
    /// What stands under it, in Markdown.
    #[serde(default)]
    pub about: String,
    /// Each run is made so often; the report has the medians.
    #[serde(default = "once")]
    pub repeat: u32,
    /// Measure the machine's limits before each repetition, and quote all results as multiples of them.
    #[serde(default)]
    pub limits: bool,
    /// A command before each run of each target, such as `sync`, so that nobody pays for what another left behind.
    pub before: Option<String>,
    /// Options of all runs.
    #[serde(default)]
    pub defaults: Options,
    /// Who is measured; the first is the measure of the others.
    #[serde(rename = "target")]
    pub targets: Vec<TargetSpec>,
    #[serde(rename = "run")]
    pub runs: Vec<RunSpec>,
    /// What is asked of the figures.
    #[serde(rename = "check", default)]
    pub checks: Vec<CheckSpec>,
}

fn once() -> u32 {
    1
}

/// Who is measured. `{torc}` in commands is this program, `{dir}` the directory of --dir.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TargetSpec {
    pub name: String,
    /// A command that serves until it is ended, or several: one for each node of a cluster.
    #[serde(default, deserialize_with = "one_or_several")]
    pub serve: Vec<String>,
    /// A command that starts the target and returns.
    pub start: Option<String>,
    /// A command that ends what `start` started.
    pub stop: Option<String>,
    /// A command that loads the target once, before the first repetition, until what it compiles while it runs is compiled.
    pub warm: Option<String>,
    /// Where `start` writes the process id of the server, or those of several.
    pub pid_file: Option<String>,
    /// Its data directory: what runs with `space` look at.
    pub data: Option<String>,
    /// The target is started for each of its runs, and ended behind it; this command runs before that and after, to
    /// remove what is left of it.
    pub fresh: Option<String>,
    /// Options of runs against it, such as bootstrap-server.
    #[serde(default)]
    pub options: Options,
}

/// A run: its name, its mode, and options.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunSpec {
    pub name: String,
    /// produce, consume, e2e, zk, or restart: the target is ended in an orderly way and started again.
    pub mode: String,
    /// Targets of this run; all if it is absent.
    pub targets: Option<Vec<String>>,
    /// Runs of one section share a table and plots; a section of its own if it is absent.
    pub section: Option<String>,
    /// Runs that must be made if this one is: they write what this one reads.
    #[serde(default)]
    pub needs: Vec<String>,
    /// A command before each repetition against each target.
    pub before: Option<String>,
    /// What is waited for behind `before`.
    pub settle: Option<Settle>,
    /// The topic is deleted first, so that disks do not fill over the repetitions.
    #[serde(default)]
    pub fresh_topic: bool,
    /// The target's data directory is looked at over time.
    pub space: Option<Space>,
    /// Other loads of the same time.
    #[serde(default)]
    pub also: Vec<AlsoSpec>,
    #[serde(flatten)]
    pub options: Options,
}

/// A load beside the one of its run: produce, with the run's options and these.
#[derive(Clone, Debug, Deserialize)]
pub struct AlsoSpec {
    pub name: String,
    #[serde(flatten)]
    pub options: Options,
}

/// Waits until numbers at /metrics have stopped to change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settle {
    /// `host:port`.
    pub metrics: String,
    /// The beginning of their names; if none has it, that is an error.
    pub prefix: String,
    /// Time without change.
    #[serde(rename = "for", deserialize_with = "time")]
    pub quiet: Duration,
    /// A longer wait fails.
    #[serde(deserialize_with = "time")]
    pub timeout: Duration,
    /// Name and value of those that must have been reached too, so that what has not begun does not count as over.
    #[serde(default)]
    pub at_least: BTreeMap<String, f64>,
}

/// How disk use is judged.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// What the server may hold besides twice its live bytes.
    #[serde(default, deserialize_with = "size")]
    pub reserve: u64,
}

/// A rate that follows from an earlier run: `rate = { part = 0.5, of = "Peak", target = "torc" }`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelativeRate {
    pub part: f64,
    /// The run.
    pub of: String,
    pub target: String,
}

fn one_or_several<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    match toml::Value::deserialize(from)? {
        toml::Value::String(one) => Ok(vec![one]),
        several => several.try_into().map_err(|_| serde::de::Error::custom("a command, or a list of commands")),
    }
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse_time(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    parse_size(&String::deserialize(from)?).map(|bytes| bytes as u64).map_err(serde::de::Error::custom)
}

impl Scenario {
    /// Reads a scenario, and checks the options of all its runs.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        let scenario: Scenario = toml::from_str(text).map_err(|error| error.to_string())?;
        if scenario.targets.is_empty() || scenario.runs.is_empty() {
            return Err("a scenario has a [[target]] and a [[run]] at least".to_string());
        }
        let mut names = Vec::new();
        for name in scenario.runs.iter().flat_map(RunSpec::names) {
            if names.contains(&name) {
                return Err(format!("two runs are called {name:?}"));
            }
            names.push(name);
        }
        for target in &scenario.targets {
            target.fits_warm()?;
        }
        for (number, run) in scenario.runs.iter().enumerate() {
            scenario.fits(number, run).map_err(|what| format!("run {:?}: {what}", run.name))?;
        }
        for check in &scenario.checks {
            check.fits(&scenario).map_err(|what| format!("check {:?}: {what}", check.what))?;
        }
        Ok(scenario)
    }

    fn fits(&self, number: usize, run: &RunSpec) -> Result<(), String> {
        for name in run.targets.iter().flatten() {
            self.target(name)?;
        }
        for name in &run.needs {
            if !self.runs[..number].iter().any(|other| other.name == *name) {
                return Err(format!("it needs {name:?}, which is no run before it"));
            }
        }
        let rate = |relative: &RelativeRate| {
            let earlier = self.runs[..number].iter().find(|other| other.name == relative.of);
            let earlier = earlier.ok_or_else(|| format!("its rate is of {:?}, no run before it", relative.of))?;
            match earlier.is_for(self.target(&relative.target)?) {
                true => Ok(SOME_RATE),
                false => Err(format!("{:?} is not run against {:?}", relative.of, relative.target)),
            }
        };
        for target in self.targets.iter().filter(|target| run.is_for(target)) {
            if run.mode == "restart" {
                target.fits_restart(run)?;
                continue;
            }
            if run.space.is_some() && target.data.is_none() {
                return Err(format!("to look at its space, target {:?} must say where its data is", target.name));
            }
            Job::parse(&run.mode, self.arguments(run, None, target, &rate)?)?;
            for also in &run.also {
                Job::parse("produce", self.arguments(run, Some(also), target, &rate)?)
                    .map_err(|what| format!("{:?}: {what}", also.name))?;
            }
        }
        Ok(())
    }

    /// The target of that name.
    pub fn target(&self, name: &str) -> Result<&TargetSpec, String> {
        let found = self.targets.iter().find(|target| target.name == name);
        found.ok_or_else(|| format!("there is no target {name:?}"))
    }

    /// The run of that name, or that has a load of that name beside its own.
    pub fn run(&self, name: &str) -> Result<&RunSpec, String> {
        let found = self.runs.iter().find(|run| run.names().any(|other| other == name));
        found.ok_or_else(|| format!("there is no run {name:?}"))
    }

    /// The command line of a run, or of a load beside it. `rate` says what a relative rate is, in records per second.
    pub fn arguments(
        &self,
        run: &RunSpec,
        also: Option<&AlsoSpec>,
        target: &TargetSpec,
        rate: &dyn Fn(&RelativeRate) -> Result<f64, String>,
    ) -> Result<Vec<String>, String> {
        let mut options = self.defaults.clone();
        options.extend(run.options.clone());
        if let Some(also) = also {
            options.remove("topic");
            options.extend(also.options.clone());
        }
        options.extend(target.options.clone());
        if run.mode != "zk" {
            // Targets may be the same broker with other settings of the topic.
            let name = also.map_or(&run.name, |also| &also.name);
            let topic = options.get("topic").and_then(toml::Value::as_str).unwrap_or(name);
            let topic = topic_name(&format!("{topic}-{}", target.name));
            options.insert("topic".to_string(), toml::Value::String(topic));
        }
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
                    toml::Value::Table(table) if name == "rate" => {
                        let relative: RelativeRate = table.try_into().map_err(|e| format!("rate: {e}"))?;
                        let rate = rate(&relative)? * relative.part;
                        arguments.push(format!("--rate={}", rate.round().max(1.0)));
                    }
                    other => return Err(format!("{name} = {other} is no option's value")),
                }
            }
        }
        Ok(arguments)
    }

    /// Leaves only the runs whose name contains `text`, and those that they need.
    pub fn retain_runs(&mut self, text: &str) {
        let mut kept: Vec<bool> = self.runs.iter().map(|run| run.name.contains(text)).collect();
        for number in (0..self.runs.len()).rev().filter(|number| self.runs[*number].mode != "restart") {
            let run = &self.runs[number];
            let of_rate = run.options.get("rate").and_then(|rate| rate.get("of")).and_then(toml::Value::as_str);
            let needed: Vec<&str> = run.needs.iter().map(String::as_str).chain(of_rate).collect();
            for earlier in 0..number {
                kept[earlier] |= kept[number] && needed.contains(&self.runs[earlier].name.as_str());
            }
        }
        let mut kept = kept.into_iter();
        self.runs.retain(|_| kept.next().expect("one for each run"));
    }
}

/// `text` as a topic may be called.
fn topic_name(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    text.chars().map(allowed).take(TOPIC_NAME_MAX).collect()
}

impl RunSpec {
    /// Whether it is made against `target`.
    pub fn is_for(&self, target: &TargetSpec) -> bool {
        self.targets.as_ref().is_none_or(|names| names.contains(&target.name))
    }

    /// The heading under which it is reported.
    pub fn section(&self) -> &str {
        self.section.as_deref().unwrap_or(&self.name)
    }

    /// Its own name, and those of the loads beside it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [self.name.as_str()].into_iter().chain(self.also.iter().map(|also| also.name.as_str()))
    }
}

impl TargetSpec {
    /// Where it listens, if it says so.
    pub fn address(&self) -> Option<&str> {
        let option = |name: &str| self.options.get(name).and_then(toml::Value::as_str);
        option("bootstrap-server").or_else(|| option("server"))
    }

    /// Whether it is a ZooKeeper.
    pub fn is_zookeeper(&self) -> bool {
        self.options.contains_key("server")
    }

    fn fits_warm(&self) -> Result<(), String> {
        match self.warm.is_some() && self.fresh.is_some() {
            true => Err(format!("target {:?} is started anew for each run, so it cannot be warmed up once", self.name)),
            false => Ok(()),
        }
    }

    fn fits_restart(&self, run: &RunSpec) -> Result<(), String> {
        let name = &self.name;
        if self.serve.is_empty() && (self.start.is_none() || self.stop.is_none()) {
            return Err(format!("target {name:?} does not say how it is started and ended"));
        }
        if self.address().is_none() {
            return Err(format!(
                "target {name:?} has no bootstrap-server or server that could be asked whether it is ready"
            ));
        }
        match run.options.keys().next() {
            Some(option) => Err(format!("a restart has no option {option}")),
            None => Ok(()),
        }
    }
}
