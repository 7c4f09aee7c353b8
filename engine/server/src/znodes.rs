//! The service to ZooKeeper's clients, as its commands and the metrics show it: shard 0 is asked when somebody looks.

use crate::commands;
use crate::inquire;
use crate::machine::Process;
use crate::metrics::{Commands, Kind, Sample};
use crate::samples::{Counters, all_ready};
use torc_reactor::resources::Limits;
use torc_shard::znodes::facts::{Detail, Facts, Number};
use torc_shard::znodes::words::Reset;
use torc_shard::{Finding, Inquiry};

/// What shard 0 knows; `None`: it has not said in time.
fn facts(counters: &[Counters], detail: Detail, reset: Option<Reset>) -> Option<Facts> {
    if !all_ready(counters) {
        return None;
    }
    let _one = inquire::one_look();
    let question = |shard: usize| (shard == 0).then_some(Inquiry::ZooKeeper { detail, reset });
    let findings = inquire::ask(counters, (0..counters.len()).map(question).collect());
    let finding = findings.into_iter().next().flatten();
    let Some(Finding::ZooKeeper(Some(facts))) = finding else { return None };
    let open = Process::here().open_files.map(|files| files as u64);
    Some(Facts { files: open.zip(Limits::here().files), ..*facts })
}

/// Answers commands, one after the other.
pub fn commands(counters: Vec<Counters>) -> Commands {
    Box::new(move |name, query| {
        let value = match commands::find(name) {
            Some(command) => {
                let facts = facts(&counters, command.detail, command.reset);
                commands::answer(command, facts.as_ref(), query)
            }
            None => commands::unknown(name),
        };
        format!("{value:#}\n")
    })
}

/// Numbers under ZooKeeper's names, while clients are served.
pub fn samples(counters: &[Counters]) -> Vec<Sample> {
    facts(counters, Detail::None, None).filter(|facts| facts.is_serving).map_or_else(Vec::new, |facts| of(&facts))
}

/// Those of a node that knows this.
pub fn of(facts: &Facts) -> Vec<Sample> {
    let figures = facts.figures().into_iter().map(|figure| Sample {
        name: figure.name.to_string(),
        help: figure.help,
        kind: Kind::Gauge,
        labels: Vec::new(),
        value: match figure.number {
            Number::Whole(number) => number as f64,
            Number::Real(number) => number,
        },
    });
    figures.collect()
}

#[cfg(test)]
#[path = "znodes_tests.rs"]
mod tests;
