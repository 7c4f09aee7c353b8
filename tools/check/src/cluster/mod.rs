//! Nodes of a cluster that are killed, paused and wiped under load: nothing acknowledged is lost, doubled, reordered or changed, and
//! clients go on soon.

pub mod away;
pub mod changes;
mod load;
pub mod many;
mod net;
mod nodes;
mod plain;
mod rounds;

use crate::failure::{Failure, Result};
use crate::kill::wait_until;
use crate::ledger::Ledger;
use crate::report::{Report, ms};
use clap::ValueEnum;
use load::Load;
pub use nodes::Nodes;
use rounds::Round;
pub use rounds::Strike;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use torc_base::prng::Prng;

/// What happens to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// `kill -9` of a random node.
    Kill,
    /// `kill -9` of a partition's leader.
    Leader,
    /// A random node is stopped for some seconds, and goes on as if nothing had been.
    Pause,
    /// All nodes are killed at once.
    All,
    /// One node after the other is killed, and comes back with an empty data directory.
    Wipe,
    /// One node after the other is stopped in order and started again, while the others serve.
    Rolling,
    /// The links of a random node to all others lose what they carry, for as long as a pause is. Needs root.
    Cut,
    /// The same in one direction only. Needs root.
    OneWay,
    /// The power of all nodes is cut: what their disks were not told to keep is gone. Needs root and FUSE.
    Power,
}

impl Kind {
    /// Those that every machine can do.
    const USUAL: [Kind; 6] = [Kind::Kill, Kind::Leader, Kind::Pause, Kind::All, Kind::Wipe, Kind::Rolling];
    const ALL: [Kind; 9] = [
        Kind::Kill,
        Kind::Leader,
        Kind::Pause,
        Kind::All,
        Kind::Wipe,
        Kind::Rolling,
        Kind::Cut,
        Kind::OneWay,
        Kind::Power,
    ];

    /// As it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Kill => "kill",
            Kind::Leader => "leader",
            Kind::Pause => "pause",
            Kind::All => "all",
            Kind::Wipe => "wipe",
            Kind::Rolling => "rolling",
            Kind::Cut => "cut",
            Kind::OneWay => "one-way",
            Kind::Power => "power",
        }
    }

    /// What a cluster of one has no use for.
    fn needs_others(self) -> bool {
        matches!(self, Kind::Leader | Kind::Wipe | Kind::Rolling | Kind::Cut | Kind::OneWay)
    }

    /// A network of the nodes' own.
    fn needs_net(self) -> bool {
        matches!(self, Kind::Cut | Kind::OneWay)
    }

    /// It happens to all nodes, so that every client's leader is hit.
    fn is_of_all(self) -> bool {
        matches!(self, Kind::All | Kind::Power | Kind::Rolling)
    }

    /// Connections to the node that is hit do not break: it is the client that gives up waiting for an answer.
    fn is_silent(self) -> bool {
        matches!(self, Kind::Pause | Kind::Cut | Kind::OneWay)
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    pub nodes: u32,
    pub shards: u16,
    /// Of each kind.
    pub rounds: u32,
    /// None: all that make sense and need no root.
    pub only: Vec<Kind>,
    /// Connections that produce, each to one partition; of these there are as many.
    pub producers: u16,
    /// How long a paused node is stopped, and one that is cut off is.
    pub pause: Duration,
    pub seed: u64,
}

/// A plan of nodes to which nothing happens by itself.
pub fn resting(torc: PathBuf, dir: PathBuf, nodes: u32, shards: u16) -> Plan {
    let (only, pause) = (Vec::new(), Duration::ZERO);
    Plan { torc, dir, nodes, shards, rounds: 0, only, producers: 0, pause, seed: 0 }
}

/// Rounds after which the topic is deleted and another one made.
const TOPIC_ROUNDS: usize = 20;
/// From a start, or from what happened to a node, until all clients go on and all replicas are in sync. A promise of its own is
/// how soon that is after a leader's death; this is whether it ever is.
pub const RECOVERY_MAX: Duration = Duration::from_secs(60);
/// The promises: the longest pause of any client whose leader died, and the median.
const GAP_MAX: Duration = Duration::from_secs(2);
const GAP_MEDIAN_MAX: Duration = Duration::from_millis(700);
/// From so many rounds of a kind on its pauses are graded: a few may fall on a moment when the machine has other work.
const GRADED_ROUNDS: u32 = 10;
/// Longest pause of a client whose leader was not touched: nobody notices that.
const UNTOUCHED_GAP_MAX: Duration = Duration::from_millis(500);

/// Pauses of clients, by kind of round: of those whose leader was hit, and of the others.
#[derive(Default)]
struct Gaps {
    hit: Vec<Duration>,
    untouched: Vec<Duration>,
}

/// What has been done so far.
#[derive(Default)]
struct Done {
    rounds: usize,
    acknowledged: u64,
    commits: u64,
    verified: u64,
    gaps: BTreeMap<Kind, Gaps>,
    of_kind: BTreeMap<Kind, usize>,
}

/// Runs the rounds.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report::new("cluster");
    let mut prng = Prng::new(plan.seed);
    let kinds = kinds(plan);
    let mut nodes = Nodes::new(plan, &kinds)?;
    let mut order: Vec<Kind> = kinds.iter().flat_map(|kind| vec![*kind; plan.rounds as usize]).collect();
    // Each kind meets what the others leave behind.
    for at in (1..order.len()).rev() {
        order.swap(at, prng.below(at as u64 + 1) as usize);
    }
    let mut done = Done::default();
    let result = nodes.start_all(RECOVERY_MAX).and_then(|()| {
        for (number, rounds) in order.chunks(TOPIC_ROUNDS).enumerate() {
            chapter(plan, &mut nodes, &format!("cluster-{number}"), rounds, &mut done, &mut prng)?;
            report.say(format!("{} rounds of {}", done.rounds, order.len()));
        }
        // After all that, topics can still be made.
        nodes.create("cluster-last", plan.producers)?;
        nodes.stop_all()
    });
    if let Err(failure) = result {
        let told = format!("round {} of {} with seed {}", done.rounds, order.len(), plan.seed);
        report.demand(told, false, format!("{failure}\n{}", nodes.logs()));
        return Ok(report);
    }
    measured(&mut report, plan, &kinds, &mut done.gaps);
    if kinds.contains(&Kind::Power) {
        report.number("pages_lost_by_power_cuts", nodes.lost.0 as f64);
        report.number("changes_of_names_lost_by_power_cuts", nodes.lost.1 as f64);
    }
    report.number("batches_acknowledged", done.acknowledged as f64);
    report.number("records_verified", done.verified as f64);
    report.number("commits_acknowledged", done.commits as f64);
    let seen = format!("{} batches and {} commits in {} rounds", done.acknowledged, done.commits, done.rounds);
    let something = done.acknowledged > 0 && done.commits > 0;
    report.demand("nothing acknowledged is lost, doubled, reordered or changed", something, seen);
    Ok(report)
}

/// Rounds with one topic, which is read back at their end.
fn chapter(
    plan: &Plan,
    nodes: &mut Nodes,
    topic: &str,
    rounds: &[Kind],
    done: &mut Done,
    prng: &mut Prng,
) -> Result<()> {
    nodes.create(topic, plan.producers)?;
    let load = Load::start(nodes, topic, Ledger::new(topic.to_string(), plan.producers), prng.fork())?;
    let result = rounds.iter().try_for_each(|kind| {
        done.rounds += 1;
        let before = done.of_kind.entry(*kind).or_default();
        let round = Round { kind: *kind, before: *before, pause: plan.pause };
        *before += 1;
        let (hit, untouched) = round.run(nodes, &load, prng).map_err(|failure| {
            let name = kind.name();
            Failure::Wrong(format!("{name}: {failure}"))
        })?;
        let of_kind = done.gaps.entry(*kind).or_default();
        of_kind.hit.extend(hit);
        of_kind.untouched.extend(untouched);
        Ok(())
    });
    let ended = load.stop(nodes);
    done.acknowledged += ended.acknowledged;
    done.commits += ended.commits;
    done.verified += ended.verified;
    // What a round found says more than what follows from it.
    result.and(ended.result)?;
    nodes.delete(topic)
}

fn kinds(plan: &Plan) -> Vec<Kind> {
    let wanted = |kind: &Kind| match plan.only.is_empty() {
        true => Kind::USUAL.contains(kind),
        false => plan.only.contains(kind),
    };
    let possible = |kind: &Kind| plan.nodes > 1 || !kind.needs_others();
    Kind::ALL.into_iter().filter(|kind| wanted(kind) && possible(kind)).collect()
}

fn measured(report: &mut Report, plan: &Plan, kinds: &[Kind], gaps: &mut BTreeMap<Kind, Gaps>) {
    report.number("nodes", f64::from(plan.nodes));
    report.number("client_retries_after_ms", ms(load::RETRY.0));
    report.number("client_waits_for_an_answer_ms", ms(nodes::TIMES.answer));
    for kind in kinds {
        let name = kind.name();
        report.number(format!("{name}_rounds"), f64::from(plan.rounds));
        let of_kind = gaps.entry(*kind).or_default();
        let hit = worst(report, &format!("{name}_gap"), &mut of_kind.hit);
        let untouched = worst(report, &format!("{name}_gap_of_others"), &mut of_kind.untouched);
        let start_anew = matches!(kind, Kind::All | Kind::Power);
        if plan.nodes == 1 || start_anew || plan.rounds < GRADED_ROUNDS {
            continue;
        }
        let patience = if kind.is_silent() { nodes::TIMES.answer } else { Duration::ZERO };
        if let Some((median, most)) = hit {
            let longest = format!("{name}: the longest pause of a client whose leader was hit");
            report.demand_within(longest, most, GAP_MAX + patience);
            report.demand_within(format!("{name}: the median of these pauses"), median, GAP_MEDIAN_MAX + patience);
        }
        if let Some((_, most)) = untouched {
            report.demand_within(format!("{name}: the longest pause of any other client"), most, UNTOUCHED_GAP_MAX);
        }
    }
}

/// Notes median and maximum under `name`, and returns them.
fn worst(report: &mut Report, name: &str, gaps: &mut [Duration]) -> Option<(Duration, Duration)> {
    gaps.sort();
    let numbers = [format!("{name}_p50_ms"), format!("{name}_max_ms")];
    let Some(most) = gaps.last().copied() else {
        report.not_measured(&numbers.each_ref().map(String::as_str));
        return None;
    };
    let median = gaps[(gaps.len() - 1) / 2];
    report.number(&numbers[0], ms(median));
    report.number(&numbers[1], ms(most));
    Some((median, most))
}

/// Waits for something that must come to pass.
pub fn wait_for(what: &str, done: impl FnMut() -> Result<bool>) -> Result<()> {
    match wait_until(RECOVERY_MAX, done)? {
        true => Ok(()),
        false => Err(Failure::Wrong(format!("{what}: not after {} s", RECOVERY_MAX.as_secs()))),
    }
}
