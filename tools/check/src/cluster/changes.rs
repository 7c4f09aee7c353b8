//! What changes in a cluster while clients write: a server joins, partitions move, a server leaves, all are restarted one after the
//! other. In the middle of each the controller is killed; all come to their end all the same.

use super::load::{self, Load};
use super::nodes::Nodes;
use super::{Plan, RECOVERY_MAX, wait_for};
use crate::failure::{Failure, Result, wrong};
use crate::ledger::Ledger;
use crate::report::{Report, ms};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, ListPartitionReassignmentsRequest, MetadataResponse,
};
use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};
use torc_base::prng::Prng;
use torc_client::{text, topic_name};

/// What to run.
#[derive(Clone, Debug)]
pub struct ChangesPlan {
    /// Shards, producers, directory and seed are taken from it.
    pub cluster: Plan,
    /// Each with a cluster of its own.
    pub rounds: u32,
    /// Bytes that are there to be moved.
    pub bytes: u64,
}

const TOPIC: &str = "changes";
/// What is moved is so much that it takes a while.
const BULK: &str = "bulk";
const BULK_PARTITIONS: u16 = 4;
/// So much leaves a node for new replicas in a second: a fraction of the bulk.
const RATE_PARTS: u64 = 6;
/// A controller that was killed stays away for so long.
const AWAY: Duration = Duration::from_millis(1500);
/// The controller dies so many milliseconds after a change has begun, at most.
const MIDDLE_MS: u64 = 1_000;
const JOIN_MIDDLE_MS: u64 = 60;
/// In so many changes of a kind the controller dies in the middle once at least: a single one may be too quick for it.
const GRADED_ROUNDS: usize = 5;
/// Kafka's number for a broker among what can be configured, and the wish that a node leaves.
const BROKER_RESOURCE: i8 = 4;
const DECOMMISSION: &str = "torc.decommission";
const REQUEST_MS: i32 = 20_000;

/// One change, and what was seen of it.
struct Change {
    name: &'static str,
    took: Duration,
    /// It was under way when the controller was killed.
    in_the_middle: bool,
    /// The longest wait of a producer meanwhile.
    wait: Duration,
}

/// Runs the rounds.
pub fn run(plan: &ChangesPlan) -> Result<Report> {
    let mut report = Report::new("changes");
    let mut seen: Vec<Change> = Vec::new();
    let mut sums = (0, 0);
    for round in 0..plan.rounds {
        let dir = plan.cluster.dir.join(format!("round-{round}"));
        fs::create_dir(&dir)?;
        let cluster = Plan { dir: dir.clone(), seed: plan.cluster.seed + u64::from(round), ..plan.cluster.clone() };
        let mut nodes = Nodes::new(&cluster, &[])?;
        let result = one(&mut nodes, &cluster, plan.bytes, &mut seen).and_then(|told| nodes.stop_all().map(|()| told));
        match result {
            Ok((acknowledged, commits)) => sums = (sums.0 + acknowledged, sums.1 + commits),
            Err(failure) => {
                let told = format!("round {round} with seed {}, after {} changes", cluster.seed, seen.len());
                report.demand(told, false, format!("{failure}\n{}", nodes.logs()));
                return Ok(report);
            }
        }
        drop(nodes);
        fs::remove_dir_all(&dir)?;
        report.say(format!("{} rounds of {}", round + 1, plan.rounds));
    }
    measured(&mut report, &seen);
    report.number("batches_acknowledged", sums.0 as f64);
    report.number("commits_acknowledged", sums.1 as f64);
    let told = format!("{} batches and {} commits in {} rounds", sums.0, sums.1, plan.rounds);
    report.demand("nothing acknowledged is lost, doubled, reordered or changed", sums.0 > 0, told);
    Ok(report)
}

fn measured(report: &mut Report, seen: &[Change]) {
    let mut by_name: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    seen.iter().for_each(|change| by_name.entry(change.name).or_default().push(change));
    for (name, changes) in by_name {
        let most = |of: fn(&Change) -> Duration| changes.iter().map(|change| of(change)).max().unwrap_or_default();
        report.number(format!("{name}_max_ms"), ms(most(|change| change.took)));
        report.number(format!("{name}_longest_wait_of_a_producer_ms"), ms(most(|change| change.wait)));
        let struck = changes.iter().filter(|change| change.in_the_middle).count();
        let told =
            format!("{} of {}, the controller was killed in the middle of {struck}", changes.len(), changes.len());
        report.demand(format!("{name}: to the end"), true, told);
        if changes.len() >= GRADED_ROUNDS {
            report.demand(format!("{name}: the controller was killed in the middle"), struck > 0, struck.to_string());
        }
    }
}

/// All changes, one after the other. Returns what was acknowledged, all of which is there in the end.
fn one(nodes: &mut Nodes, plan: &Plan, bytes: u64, seen: &mut Vec<Change>) -> Result<(u64, u64)> {
    let mut prng = Prng::new(plan.seed);
    nodes.set("torc.moves.bytes.per.second", &(bytes / RATE_PARTS).max(1).to_string());
    nodes.start_all(RECOVERY_MAX)?;
    nodes.create(TOPIC, plan.producers)?;
    nodes.create(BULK, BULK_PARTITIONS)?;
    load::fill(nodes, BULK, BULK_PARTITIONS, bytes)?;
    let ends = load::ends(nodes, BULK, BULK_PARTITIONS, None)?;
    let load = Load::start(nodes, TOPIC, Ledger::new(TOPIC.to_string(), plan.producers), prng.fork())?;
    let mut work = Work { nodes, prng, load: &load, seen };
    let result = work.all();
    let ended = load.stop(nodes);
    result.and(ended.result)?;
    let after = load::ends(nodes, BULK, BULK_PARTITIONS, None)?;
    if after != ends {
        return wrong(format!("LOST: the bulk ended at {ends:?}, and ends at {after:?}"));
    }
    Ok((ended.acknowledged, ended.commits))
}

struct Work<'a> {
    nodes: &'a mut Nodes,
    prng: Prng,
    load: &'a Load,
    seen: &'a mut Vec<Change>,
}

impl Work<'_> {
    fn all(&mut self) -> Result<()> {
        let fourth = self.change("add_node", Work::add_node)?;
        let founders = self.nodes.running().into_iter().filter(|node| *node != fourth).collect::<Vec<u32>>();
        let out = founders[self.prng.below(founders.len() as u64) as usize];
        let staying: Vec<u32> = founders.into_iter().filter(|node| *node != out).collect();
        self.change("reassign", |work| work.reassign(&[fourth, staying[0], out]))?;
        self.change("decommission", |work| work.decommission(out))?;
        self.change("rolling", Work::rolling)
    }

    /// Does it, and waits until all is well again.
    fn change<T>(&mut self, name: &'static str, make: impl FnOnce(&mut Self) -> Result<(bool, T)>) -> Result<T> {
        self.load.begin_round();
        let began = Instant::now();
        let (in_the_middle, made) = make(self).map_err(|failure| Failure::Wrong(format!("{name}: {failure}")))?;
        let took = began.elapsed();
        self.nodes.start_all(RECOVERY_MAX)?;
        for topic in [TOPIC, BULK] {
            self.nodes.await_in_sync(topic)?;
        }
        self.load.await_all()?;
        let wait = self.load.waits().into_iter().max().unwrap_or_default();
        self.seen.push(Change { name, took, in_the_middle, wait });
        Ok(made)
    }

    /// Kills the controller, which is another node than `spared`; it is back a while later.
    fn kill_controller(&mut self, spared: Option<u32>) -> Result<()> {
        let mut controller = None;
        wait_for("a controller", || {
            // Nobody may answer yet.
            let told = self.nodes.client().ok().and_then(|mut client| client.metadata(Some(&[])).ok());
            controller = told.and_then(|told| u32::try_from(told.controller_id.0).ok());
            Ok(controller.is_some())
        })?;
        let controller = controller.filter(|node| Some(*node) != spared && self.nodes.running().contains(node));
        if let Some(controller) = controller {
            self.nodes.kill(controller)?;
        }
        Ok(())
    }

    /// A server joins. Its number.
    fn add_node(&mut self) -> Result<(bool, u32)> {
        let id = self.nodes.add()?;
        let starting = self.nodes.begin(id)?;
        let ms = self.prng.below(JOIN_MIDDLE_MS);
        thread::sleep(Duration::from_millis(ms));
        let in_the_middle = !self.is_named(id);
        self.kill_controller(Some(id))?;
        thread::sleep(AWAY);
        self.nodes.started(id, starting, RECOVERY_MAX)?;
        self.nodes.start_all(RECOVERY_MAX)?;
        wait_for("the new server among those that are told of", || Ok(self.is_named(id)))?;
        Ok((in_the_middle, id))
    }

    fn is_named(&self, id: u32) -> bool {
        let told = self.metadata().ok();
        told.is_some_and(|told| told.brokers.iter().any(|broker| broker.node_id.0 == id as i32))
    }

    fn metadata(&self) -> Result<MetadataResponse> {
        let mut client = self.nodes.client()?;
        client.metadata(None).map_err(|error| Failure::Wrong(error.to_string()))
    }

    /// All partitions go to these nodes.
    fn reassign(&mut self, to: &[u32]) -> Result<(bool, ())> {
        let replicas = |_: u16| {
            let ids = to.iter().map(|id| BrokerId(*id as i32)).collect();
            Some(ids)
        };
        let partitions = |count: u16| {
            let one =
                |at: u16| ReassignablePartition::default().with_partition_index(at.into()).with_replicas(replicas(at));
            (0..count).map(one).collect::<Vec<_>>()
        };
        let count = self.load.waits().len() as u16;
        let topics = [(TOPIC, count), (BULK, BULK_PARTITIONS)].map(|(topic, count)| {
            ReassignableTopic::default().with_name(topic_name(topic)).with_partitions(partitions(count))
        });
        let request =
            AlterPartitionReassignmentsRequest::default().with_topics(topics.to_vec()).with_timeout_ms(REQUEST_MS);
        let codes = |answer: &AlterPartitionReassignmentsResponse| {
            let inside = answer.responses.iter().flat_map(|topic| &topic.partitions).map(|one| one.error_code);
            inside.chain([answer.error_code]).collect()
        };
        self.nodes.change("moving partitions", 0, |client| client.call(&request), codes)?;
        let in_the_middle = self.strike_moves()?;
        self.await_no_moves()?;
        let mut wanted: Vec<i32> = to.iter().map(|id| *id as i32).collect();
        wanted.sort_unstable();
        for topic in self.metadata()?.topics.iter().filter(|topic| topic.name.as_ref().is_some_and(is_ours)) {
            for part in &topic.partitions {
                let mut has: Vec<i32> = part.replica_nodes.iter().map(|id| id.0).collect();
                has.sort_unstable();
                if has != wanted {
                    return wrong(format!("partition {} is on {has:?}, not on {wanted:?}", part.partition_index));
                }
            }
        }
        Ok((in_the_middle, ()))
    }

    /// Waits until partitions are on their way, and kills the controller; true if some were when it died.
    fn strike_moves(&mut self) -> Result<bool> {
        wait_for("partitions on their way", || Ok(self.moves()? > 0))?;
        let ms = self.prng.below(MIDDLE_MS);
        thread::sleep(Duration::from_millis(ms));
        let under_way = self.moves()?;
        self.kill_controller(None)?;
        thread::sleep(AWAY);
        self.nodes.start_all(RECOVERY_MAX)?;
        Ok(under_way > 0)
    }

    /// Partitions that are on their way.
    fn moves(&self) -> Result<usize> {
        let request = ListPartitionReassignmentsRequest::default().with_topics(None).with_timeout_ms(REQUEST_MS);
        let mut client = self.nodes.client()?;
        let answer = client.any().call(&request).map_err(|error| Failure::Wrong(error.to_string()))?;
        match answer.error_code {
            0 => Ok(answer.topics.iter().map(|topic| topic.partitions.len()).sum()),
            code => wrong(format!("listing moves: {}", torc_client::error_name(code))),
        }
    }

    fn await_no_moves(&self) -> Result<()> {
        // A node that was just started may not answer, nor know.
        wait_for("the end of all moves", || Ok(self.moves().is_ok_and(|left| left == 0)))
    }

    /// A node leaves for good.
    fn decommission(&mut self, out: u32) -> Result<(bool, ())> {
        self.nodes.avoid(out);
        let change = AlterableConfig::default().with_name(text(DECOMMISSION)).with_value(Some(text("true")));
        let resource = AlterConfigsResource::default()
            .with_resource_type(BROKER_RESOURCE)
            .with_resource_name(text(&out.to_string()))
            .with_configs(vec![change]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let codes =
            |answer: &IncrementalAlterConfigsResponse| answer.responses.iter().map(|one| one.error_code).collect();
        self.nodes.change("having a node leave", 0, |client| client.call(&request), codes)?;
        let in_the_middle = self.strike_moves()?;
        let id = out as i32;
        wait_for("the end of its partitions and of its name", || {
            let Ok(told) = self.metadata() else { return Ok(false) };
            let mut parts = told.topics.iter().flat_map(|topic| &topic.partitions);
            let is_named = told.brokers.iter().any(|broker| broker.node_id.0 == id);
            Ok(!is_named && !parts.any(|part| part.replica_nodes.contains(&BrokerId(id))))
        })?;
        self.nodes.remove(out)?;
        Ok((in_the_middle, ()))
    }

    /// One node after the other is stopped and started, and while one is away the controller is killed.
    fn rolling(&mut self) -> Result<(bool, ())> {
        let all = self.nodes.running();
        let struck = all[self.prng.below(all.len() as u64) as usize];
        let mut in_the_middle = false;
        for node in all {
            self.nodes.stop(node)?;
            if node == struck {
                let before = self.nodes.running().len();
                self.kill_controller(None)?;
                in_the_middle = self.nodes.running().len() < before;
            }
            self.nodes.start_all(RECOVERY_MAX)?;
            for topic in [TOPIC, BULK] {
                self.nodes.await_in_sync(topic)?;
            }
        }
        Ok((in_the_middle, ()))
    }
}

fn is_ours(name: &kafka_protocol::messages::TopicName) -> bool {
    [TOPIC, BULK].contains(&name.as_str())
}
