//! A run with its options understood, and how it is made.

use crate::environment::{Build, Environment};
use crate::error::Error;
use crate::options::{ConsumeArgs, EndToEndArgs, Output, Pace, ProduceArgs, Target};
use crate::report::Report;
use crate::units::option_time;
use crate::zk::ZkArgs;
use crate::{consume, end_to_end, produce, zk};
use clap::{Args, Command, FromArgMatches};
use std::time::Duration;

/// A run with its options understood.
pub enum Job {
    Produce(Box<ProduceArgs>),
    Consume(Box<ConsumeArgs>),
    EndToEnd(Box<EndToEndArgs>),
    Zk(Box<ZkArgs>),
}

fn understand<T: Args + FromArgMatches>(arguments: Vec<String>) -> Result<Box<T>, String> {
    let command = T::augment_args(Command::new("run").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).map_err(|error| error.to_string())?;
    T::from_arg_matches(&matches).map(Box::new).map_err(|error| error.to_string())
}

impl Job {
    /// Understands the options of a run in `mode`.
    pub fn parse(mode: &str, arguments: Vec<String>) -> Result<Job, String> {
        match mode {
            "produce" => understand(arguments).map(Job::Produce),
            "consume" => understand(arguments).map(Job::Consume),
            "e2e" => understand(arguments).map(Job::EndToEnd),
            "zk" => understand(arguments).map(Job::Zk),
            other => Err(format!("mode {other:?} is none of produce, consume, e2e, zk, restart")),
        }
    }

    fn parts(&mut self) -> (&mut Pace, &mut Output) {
        match self {
            Job::Produce(args) => (&mut args.pace, &mut args.output),
            Job::Consume(args) => (&mut args.pace, &mut args.output),
            Job::EndToEnd(args) => (&mut args.pace, &mut args.output),
            Job::Zk(args) => (&mut args.pace, &mut args.output),
        }
    }

    /// Who is loaded, of those that have topics.
    pub fn target(&mut self) -> Option<&mut Target> {
        match self {
            Job::Produce(args) => Some(&mut args.target),
            Job::Consume(args) => Some(&mut args.target),
            Job::EndToEnd(args) => Some(&mut args.target),
            Job::Zk(_) => None,
        }
    }

    /// The processes whose costs are reported.
    pub fn server_pids(&mut self) -> &mut Vec<u32> {
        match self {
            Job::Produce(args) => &mut args.target.server_pid,
            Job::Consume(args) => &mut args.target.server_pid,
            Job::EndToEnd(args) => &mut args.target.server_pid,
            Job::Zk(args) => &mut args.target.server_pid,
        }
    }

    /// What a new topic's setting `key` is, if this run sets it.
    pub fn topic_setting(&mut self, key: &str) -> Option<String> {
        let settings = &self.target()?.topic_config;
        settings.iter().find_map(|setting| setting.strip_prefix(key)?.strip_prefix('=').map(str::to_string))
    }

    /// Warm-up and measurement take no longer than this; `arguments` then say so too.
    pub fn shorten(&mut self, warmup: Option<Duration>, duration: Option<Duration>, arguments: &mut Vec<String>) {
        let (pace, _) = self.parts();
        for (name, most, time) in [("warmup", warmup, &mut pace.warmup), ("duration", duration, &mut pace.duration)] {
            if let Some(most) = most.filter(|most| most < time) {
                *time = most;
                let option = format!("--{name}=");
                arguments.retain(|argument| !argument.starts_with(&option));
                arguments.push(format!("{option}{}", option_time(most)));
            }
        }
    }

    /// Makes the run.
    pub fn run(mut self, title: &str, quiet: bool, build: Build) -> Result<Report, Error> {
        let (_, output) = self.parts();
        output.name = Some(title.to_string());
        output.quiet |= quiet;
        let (mode, (finished, verdict)) = match &self {
            Job::Produce(args) => ("produce", produce::run(args)?),
            Job::Consume(args) => ("consume", consume::run(args)?),
            Job::EndToEnd(args) => ("end-to-end", end_to_end::run(args)?),
            Job::Zk(args) => ("zk", zk::run(args)?),
        };
        let environment = Environment { disk: finished.disk.clone(), ..Environment::here(build) };
        let report = Report::new(title, mode, String::new(), &finished);
        Ok(Report { verdict, environment: Some(environment), ..report })
    }
}
