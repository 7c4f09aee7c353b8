//! `torc cluster reassign`, `transfer-leader` and `decommission`: replicas and leaders go elsewhere, while clients go on.

use super::args::{DecommissionArgs, ReassignArgs, TransferArgs};
use super::health::count;
use crate::admin::pattern::{is_pattern, matches};
use crate::admin::{AdminError, refusals_of, refuse};
use crate::exit::Usage;
use crate::output::{Align, Format, Table, print, print_json};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, DescribeConfigsRequest, DescribeQuorumRequest, ElectLeadersRequest,
    IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest, MetadataResponse,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use torc_client::{Cluster, Patience, Refusal, text, topic_name};

/// Kafka's number for "a broker" among what can be configured, and what torc's can be told.
const BROKER_RESOURCE: i8 = 4;
const DECOMMISSION: &str = "torc.decommission";
/// How long requests may take, and between two looks at what is under way.
const REQUEST_MS: i32 = 30_000;
const LOOK: Duration = Duration::from_millis(500);

/// A partition by topic and number.
type At = (String, i32);

/// A partition on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    pub topic: String,
    pub partition: i32,
    /// Those that it will have, and behind them those that it loses.
    pub replicas: Vec<i32>,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
    /// Offsets that the slowest of the new replicas lacks; `None`: its leader does not say.
    pub behind: Option<i64>,
    /// What it waits for, as its leader says.
    pub state: Option<String>,
}

/// All partitions on their way.
pub fn moves(cluster: &mut Cluster) -> Result<Vec<Move>, AdminError> {
    let request = ListPartitionReassignmentsRequest::default().with_timeout_ms(REQUEST_MS).with_topics(None);
    let answer = cluster.any().call(&request)?;
    let mut refusals = Vec::new();
    refuse(&mut refusals, "list partitions on their way".into(), answer.error_code, &answer.error_message);
    refusals_of(refusals)?;
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<i32>>();
    let mut moves: Vec<Move> = Vec::new();
    for topic in &answer.topics {
        moves.extend(topic.partitions.iter().map(|one| Move {
            topic: topic.name.to_string(),
            partition: one.partition_index,
            replicas: ids(&one.replicas),
            adding: ids(&one.adding_replicas),
            removing: ids(&one.removing_replicas),
            behind: None,
            state: None,
        }));
    }
    moves.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    add_progress(cluster, &mut moves);
    Ok(moves)
}

/// What leaders say of moves. Apache Kafka's tell nothing of the kind: then it stays unknown.
fn add_progress(cluster: &mut Cluster, moves: &mut [Move]) {
    let mut topics: BTreeMap<&str, Vec<PartitionData>> = BTreeMap::new();
    for one in moves.iter() {
        topics.entry(&one.topic).or_default().push(PartitionData::default().with_partition_index(one.partition));
    }
    if topics.is_empty() {
        return;
    }
    let topics = topics
        .into_iter()
        .map(|(topic, partitions)| TopicData::default().with_topic_name(topic_name(topic)).with_partitions(partitions));
    let Ok(answer) = cluster.any().call(&DescribeQuorumRequest::default().with_topics(topics.collect())) else {
        return;
    };
    for topic in &answer.topics {
        for told in topic.partitions.iter().filter(|told| told.error_code == 0) {
            let is_it =
                |one: &&mut Move| one.topic == topic.topic_name.as_str() && one.partition == told.partition_index;
            let Some(one) = moves.iter_mut().find(is_it) else { continue };
            let members = told.current_voters.iter().chain(&told.observers);
            let added = members.filter(|member| one.adding.contains(&member.replica_id.0));
            let ends: Vec<i64> = added.map(|member| member.log_end_offset).collect();
            one.behind = ends.iter().map(|end| (told.high_watermark - end).max(0)).max();
            one.state = told.error_message.as_ref().map(|state| state.to_string());
        }
    }
}

fn table(moves: &[Move]) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("TO", Align::Left),
        ("ADDS", Align::Left),
        ("REMOVES", Align::Left),
        ("BEHIND", Align::Right),
        ("STATE", Align::Left),
    ]);
    for one in moves {
        let to: Vec<i32> = one.replicas.iter().copied().filter(|id| !one.removing.contains(id)).collect();
        table.row([
            one.topic.clone(),
            one.partition.to_string(),
            list(&to),
            list(&one.adding),
            list(&one.removing),
            one.behind.map_or("-".to_string(), |behind| behind.to_string()),
            one.state.clone().unwrap_or_else(|| "-".to_string()),
        ]);
    }
    table
}

fn list(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

fn show(format: Format, moves: &[Move]) {
    match format {
        Format::Json => print_json(&serde_json::json!(moves)),
        Format::Table if moves.is_empty() => print("nothing is being moved\n".to_string()),
        Format::Table => print(table(moves).to_string()),
    }
}

/// Partitions that names mean: `topic`, `topic/3`, or patterns of topics.
fn meant(metadata: &MetadataResponse, names: &[String]) -> Result<Vec<At>, AdminError> {
    let mut all: Vec<At> = Vec::new();
    for topic in &metadata.topics {
        let name = topic.name.as_ref().map_or_else(String::new, |name| name.to_string());
        all.extend(topic.partitions.iter().map(|one| (name.clone(), one.partition_index)));
    }
    all.sort();
    let mut chosen = Vec::new();
    for text in names {
        let (topic, number) = match text.rsplit_once('/') {
            None => (text.as_str(), None),
            Some((topic, number)) => match number.parse::<i32>() {
                Ok(number) => (topic, Some(number)),
                Err(_) => return Err(usage(format!("{text}: behind the / stands the number of a partition"))),
            },
        };
        let means = |(name, partition): &&At| {
            let is_topic = if is_pattern(topic) { matches(topic, name) } else { topic == name };
            is_topic && number.is_none_or(|number| number == *partition)
        };
        let found: Vec<At> = all.iter().filter(means).cloned().collect();
        if found.is_empty() {
            return Err(usage(format!("no partition is or matches {text}")));
        }
        chosen.extend(found);
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}

fn usage(why: String) -> AdminError {
    AdminError::Usage(Usage(why))
}

/// Asks for other replicas, or, `None`, for an end of the wish for others.
fn alter(cluster: &mut Cluster, wishes: &BTreeMap<At, Option<Vec<i32>>>) -> Result<(), AdminError> {
    let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
    for ((topic, partition), replicas) in wishes {
        let replicas = replicas.as_ref().map(|ids| ids.iter().copied().map(BrokerId).collect());
        let one = ReassignablePartition::default().with_partition_index(*partition).with_replicas(replicas);
        topics.entry(topic).or_default().push(one);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        ReassignableTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
    });
    let request =
        AlterPartitionReassignmentsRequest::default().with_timeout_ms(REQUEST_MS).with_topics(topics.collect());
    let mut patience = Patience::new(Duration::from_millis(REQUEST_MS as u64), || false);
    let answer = cluster.change(&mut patience, |client| client.call(&request), |answer| vec![answer.error_code])?;
    let mut refusals: Vec<Refusal> = Vec::new();
    refuse(&mut refusals, "move partitions".into(), answer.error_code, &answer.error_message);
    for topic in &answer.responses {
        for one in &topic.partitions {
            let what = format!("move {}/{}", topic.name.as_str(), one.partition_index);
            refuse(&mut refusals, what, one.error_code, &one.error_message);
        }
    }
    refusals_of(refusals)
}

/// Waits until `left` finds nothing, telling of what it finds while that changes.
fn wait(format: Format, mut left: impl FnMut() -> Result<(String, bool), AdminError>) -> Result<(), AdminError> {
    let mut before = String::new();
    loop {
        let (told, is_done) = left()?;
        if format == Format::Table && told != before {
            eprintln!("{told}");
            before = told;
        }
        if is_done {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

/// `torc cluster reassign`.
pub fn reassign(servers: &str, format: Format, args: &ReassignArgs) -> Result<(), AdminError> {
    let mut cluster = Cluster::connect(servers)?;
    if args.to.is_empty() && !args.cancel {
        let mut moves = moves(&mut cluster)?;
        if !args.names.is_empty() {
            let meant = meant(&cluster.metadata(None)?, &args.names)?;
            moves.retain(|one| meant.contains(&(one.topic.clone(), one.partition)));
        }
        show(format, &moves);
        return Ok(());
    }
    if args.names.is_empty() {
        return Err(usage("say which partitions are meant: TOPIC, TOPIC/PARTITION, or a pattern".into()));
    }
    let mut meant = meant(&cluster.metadata(None)?, &args.names)?;
    if args.cancel {
        // Of many that are named those are meant that are on their way.
        let going: Vec<At> = moves(&mut cluster)?.into_iter().map(|one| (one.topic, one.partition)).collect();
        if meant.len() > 1 {
            meant.retain(|at| going.contains(at));
        }
    }
    let target = (!args.cancel).then(|| args.to.clone());
    let wishes = meant.iter().map(|at| (at.clone(), target.clone())).collect();
    alter(&mut cluster, &wishes)?;
    let of_these = |cluster: &mut Cluster| -> Result<Vec<Move>, AdminError> {
        let mut moves = moves(cluster)?;
        moves.retain(|one| meant.contains(&(one.topic.clone(), one.partition)));
        Ok(moves)
    };
    if args.wait {
        wait(format, || {
            let moves = of_these(&mut cluster)?;
            let behind: i64 = moves.iter().filter_map(|one| one.behind).sum();
            let state = moves.iter().find_map(|one| one.state.clone()).unwrap_or_default();
            let told = format!("{} on their way, {behind} records behind; {state}", count(moves.len(), "partition"));
            Ok((told, moves.is_empty()))
        })?;
    }
    show(format, &of_these(&mut cluster)?);
    Ok(())
}

/// `torc cluster transfer-leader`: the node becomes the first replica, which is to lead, and is given the lead at once. Else
/// it would be taken from it again before long.
pub fn transfer(servers: &str, format: Format, args: &TransferArgs) -> Result<(), AdminError> {
    let mut cluster = Cluster::connect(servers)?;
    let metadata = cluster.metadata(None)?;
    let meant = meant(&metadata, &args.names)?;
    let mut wishes = BTreeMap::new();
    for topic in &metadata.topics {
        let name = topic.name.as_ref().map_or_else(String::new, |name| name.to_string());
        for one in &topic.partitions {
            let at = (name.clone(), one.partition_index);
            if !meant.contains(&at) {
                continue;
            }
            let mut ids: Vec<i32> = one.replica_nodes.iter().map(|id| id.0).collect();
            let Some(place) = ids.iter().position(|id| *id == args.to) else {
                return Err(usage(format!(
                    "{name}/{} has no replica on node {}: it has {}",
                    at.1,
                    args.to,
                    list(&ids)
                )));
            };
            ids[..=place].rotate_right(1);
            wishes.insert(at, Some(ids));
        }
    }
    alter(&mut cluster, &wishes)?;
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in &meant {
        topics.entry(topic).or_default().push(*partition);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        TopicPartitions::default().with_topic(topic_name(topic)).with_partitions(partitions)
    });
    let request = ElectLeadersRequest::default().with_topic_partitions(Some(topics.collect()));
    let request = request.with_timeout_ms(REQUEST_MS);
    let mut patience = Patience::new(Duration::from_millis(REQUEST_MS as u64), || false);
    // The controller knows of the new order, others may not yet.
    let answer = cluster.change(&mut patience, |client| client.call(&request), |answer| vec![answer.error_code])?;
    /// The node leads already.
    const ELECTION_NOT_NEEDED: i16 = 84;
    let mut refusals = Vec::new();
    for topic in &answer.replica_election_results {
        for one in topic.partition_result.iter().filter(|one| one.error_code != ELECTION_NOT_NEEDED) {
            let what = format!("have node {} lead {}/{}", args.to, topic.topic.as_str(), one.partition_id);
            refuse(&mut refusals, what, one.error_code, &one.error_message);
        }
    }
    refusals_of(refusals)?;
    await_leader(&mut cluster, &mut patience, &meant, args.to)?;
    let led: Vec<String> = meant.iter().map(|(topic, partition)| format!("{topic}/{partition}")).collect();
    match format {
        Format::Json => print_json(&serde_json::json!({ "leader": args.to, "partitions": led })),
        Format::Table => print(format!("node {} leads {}\n", args.to, led.join(", "))),
    }
    Ok(())
}

/// Waits until whoever is asked knows of the new leader.
fn await_leader(cluster: &mut Cluster, patience: &mut Patience, meant: &[At], to: i32) -> Result<(), AdminError> {
    loop {
        let metadata = cluster.metadata(None)?;
        let is_led = |(topic, partition): &At| {
            let found = metadata.topics.iter().find(|one| one.name.as_ref().is_some_and(|name| name.as_str() == topic));
            let mut partitions = found.into_iter().flat_map(|topic| &topic.partitions);
            partitions.any(|one| one.partition_index == *partition && one.leader_id.0 == to)
        };
        match meant.iter().find(|at| !is_led(at)) {
            None => return Ok(()),
            Some((topic, partition)) => {
                patience.again(format!("node {to} does not lead {topic}/{partition} yet")).map_err(AdminError::Ended)?
            }
        }
    }
}

/// A node on its way out.
#[derive(Serialize)]
struct Departure {
    node: i32,
    /// `leaving`, `left`, or `stays`.
    state: &'static str,
    /// Partitions that it still has.
    partitions: usize,
    moves: Vec<Move>,
}

/// `torc cluster decommission`.
pub fn decommission(servers: &str, format: Format, args: &DecommissionArgs) -> Result<(), AdminError> {
    let mut cluster = Cluster::connect(servers)?;
    if !args.progress {
        let value = if args.cancel { "false" } else { "true" };
        let change = AlterableConfig::default().with_name(text(DECOMMISSION)).with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(BROKER_RESOURCE)
            .with_resource_name(text(&args.node.to_string()))
            .with_configs(vec![change]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let mut patience = Patience::new(Duration::from_millis(REQUEST_MS as u64), || false);
        let codes = |answer: &kafka_protocol::messages::IncrementalAlterConfigsResponse| {
            answer.responses.iter().map(|one| one.error_code).collect()
        };
        let answer = cluster.change(&mut patience, |client| client.call(&request), codes)?;
        let mut refusals = Vec::new();
        for one in &answer.responses {
            refuse(&mut refusals, format!("decommission node {}", args.node), one.error_code, &one.error_message);
        }
        refusals_of(refusals)?;
    }
    if args.wait && !args.cancel {
        wait(format, || {
            let departure = departure(&mut cluster, args.node)?;
            let told = format!("node {} has {} left", args.node, count(departure.partitions, "partition"));
            Ok((told, departure.state == "left"))
        })?;
    }
    let departure = departure(&mut cluster, args.node)?;
    match format {
        Format::Json => print_json(&serde_json::json!(departure)),
        Format::Table => {
            let Departure { node, state, partitions, moves } = &departure;
            let moves = if moves.is_empty() { String::new() } else { table(moves).to_string() };
            print(format!("node {node} {}, it has {}\n{moves}", told(state), count(*partitions, "partition")));
        }
    }
    Ok(())
}

fn told(state: &str) -> &'static str {
    match state {
        "left" => "has left the cluster",
        "leaving" => "is to leave the cluster",
        _ => "stays in the cluster",
    }
}

fn departure(cluster: &mut Cluster, node: i32) -> Result<Departure, AdminError> {
    let metadata = match cluster.metadata(None) {
        // The one that is asked may be the one that leaves.
        Err(error) if error.passes() => {
            cluster.reconnect()?;
            cluster.metadata(None)?
        }
        other => other?,
    };
    let has = |ids: &[BrokerId]| ids.iter().any(|id| id.0 == node);
    let all = metadata.topics.iter().flat_map(|topic| &topic.partitions);
    let partitions = all.filter(|one| has(&one.replica_nodes)).count();
    let resource = DescribeConfigsResource::default()
        .with_resource_type(BROKER_RESOURCE)
        .with_resource_name(text(&node.to_string()))
        .with_configuration_keys(Some(vec![text(DECOMMISSION)]));
    let answer = cluster.any().call(&DescribeConfigsRequest::default().with_resources(vec![resource]))?;
    let configs = answer.results.iter().flat_map(|result| &result.configs);
    let is_leaving = configs.filter(|config| config.name.as_str() == DECOMMISSION);
    let is_leaving = is_leaving.filter_map(|config| config.value.as_ref()).any(|value| value.as_str() == "true");
    let is_named = metadata.brokers.iter().any(|broker| broker.node_id.0 == node);
    let state = match (is_leaving, is_named || partitions > 0) {
        (true, _) => "leaving",
        (false, true) => "stays",
        (false, false) => "left",
    };
    let mut moves = moves(cluster)?;
    moves.retain(|one| one.removing.contains(&node));
    Ok(Departure { node, state, partitions, moves })
}
