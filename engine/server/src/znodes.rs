//! The service to ZooKeeper's clients, as its commands and the metrics show it: shard 0 is asked when somebody looks.

use crate::commands;
use crate::inquire;
use crate::machine::Process;
use crate::metrics::{Commands, Kind, Sample};
use crate::samples::{Counters, all_ready};
use torc_base::ids::SessionId;
use torc_reactor::resources::Limits;
use torc_shard::znodes::facts::{Detail, Facts, ListOf, ListPart, ListPlace, Number};
use torc_shard::znodes::words::Reset;
use torc_shard::{Finding, Inquiry};

/// What shard 0 knows; `None`: it has not said in time.
fn facts(counters: &[Counters], detail: Detail, reset: Option<Reset>) -> Option<Facts> {
    if !all_ready(counters) {
        return None;
    }
    let _one = inquire::one_look();
    let Some(Finding::ZooKeeper(Some(mut facts))) = ask(counters, Inquiry::ZooKeeper { detail, reset }) else {
        return None;
    };
    match detail.in_parts() {
        Some(of @ ListOf::Ephemerals) => facts.ephemerals = list(counters, of)?,
        Some(of @ ListOf::Watches) => facts.watches = list(counters, of)?,
        None => {}
    }
    let open = Process::here().open_files.map(|files| files as u64);
    Some(Facts { files: open.zip(Limits::here().files), ..*facts })
}

/// What shard 0 finds.
fn ask(counters: &[Counters], inquiry: Inquiry) -> Option<Finding> {
    let mut questions: Vec<Option<Inquiry>> = counters.iter().map(|_| None).collect();
    *questions.first_mut()? = Some(inquiry);
    inquire::ask(counters, questions).into_iter().next().flatten()
}

/// A whole list, in as many parts as the shard makes turns of it.
fn list(counters: &[Counters], of: ListOf) -> Option<Vec<(SessionId, Vec<String>)>> {
    let mut all = ListPart { next: Some(ListPlace::BEGINNING), ..ListPart::default() };
    while let Some(place) = all.next {
        let Some(Finding::ZooKeeperList(Some(part))) = ask(counters, Inquiry::ZooKeeperList { of, place }) else {
            return None;
        };
        all.append(part);
    }
    Some(all.sessions)
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
