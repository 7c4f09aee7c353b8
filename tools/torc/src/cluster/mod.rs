//! `torc cluster`: the nodes of a cluster of torc or of Kafka, and how they are.

pub mod args;
mod health;
pub mod look;
mod moves;

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;

use crate::admin::pattern::{is_pattern, matches};
use crate::admin::{AdminError, boxed};
use crate::exit::Usage;
use crate::output::{Align, Format, Table, print, print_json};
use args::{ClusterArgs, ClusterCommand};
use health::{Problem, count, problems};
use look::{Look, Node, Partition};
use serde_json::{Value, json};
use std::fmt;
use torc_base::units::rounded_size;

/// What health ends with if something is wrong.
#[derive(Debug)]
struct Unwell(usize);

impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cluster is not well: {}", count(self.0, "problem"))
    }
}

impl std::error::Error for Unwell {}

/// Shows what the command line asks for.
pub fn run(args: ClusterArgs) -> Result<(), Box<dyn std::error::Error>> {
    let (servers, format) = (&args.bootstrap_server, args.format);
    match &args.command {
        ClusterCommand::Reassign(wish) => return moves::reassign(servers, format, wish).map_err(boxed),
        ClusterCommand::TransferLeader(wish) => return moves::transfer(servers, format, wish).map_err(boxed),
        ClusterCommand::Decommission(wish) => return moves::decommission(servers, format, wish).map_err(boxed),
        _ => {}
    }
    let look = Look::at(servers).map_err(boxed)?;
    match &args.command {
        ClusterCommand::Status => show(args.format, &status(&look), || status_text(&look)),
        ClusterCommand::Nodes => show(args.format, &nodes(&look), || nodes_table(&look).to_string()),
        ClusterCommand::Partitions { names, lacking } => {
            let chosen = chosen(&look, names, *lacking).map_err(boxed)?;
            let rows: Vec<Value> = chosen.iter().map(|part| partition(part)).collect();
            show(args.format, &json!(rows), || partitions_table(&chosen).to_string());
        }
        ClusterCommand::Health => {
            let problems = problems(&look);
            let told = json!({ "healthy": problems.is_empty(), "problems": problems });
            show(args.format, &told, || health_text(&look, &problems));
            if !problems.is_empty() {
                return Err(Box::new(Unwell(problems.len())));
            }
        }
        ClusterCommand::Reassign(_) | ClusterCommand::TransferLeader(_) | ClusterCommand::Decommission(_) => {
            unreachable!("done above")
        }
    }
    Ok(())
}

fn show(format: Format, json: &Value, text: impl FnOnce() -> String) {
    match format {
        Format::Json => print_json(json),
        Format::Table => print(text()),
    }
}

/// Numbers of a cluster.
struct Numbers {
    answering: usize,
    topics: usize,
    led: usize,
    replicas: usize,
    in_sync: usize,
}

impl Numbers {
    fn of(look: &Look) -> Numbers {
        let mut topics: Vec<&str> = look.partitions.iter().map(|part| part.topic.as_str()).collect();
        topics.dedup();
        Numbers {
            answering: look.nodes.iter().filter(|node| node.address.is_some() && node.silent.is_none()).count(),
            topics: topics.len(),
            led: look.partitions.iter().filter(|part| part.leader.is_some()).count(),
            replicas: look.partitions.iter().map(|part| part.replicas.len()).sum(),
            in_sync: look.partitions.iter().map(|part| part.replicas.len() - part.behind().count()).sum(),
        }
    }
}

fn status(look: &Look) -> Value {
    let numbers = Numbers::of(look);
    json!({
        "cluster_id": look.cluster_id,
        "controller": look.controller,
        "nodes": look.nodes.len(),
        "nodes_answering": numbers.answering,
        "topics": numbers.topics,
        "partitions": look.partitions.len(),
        "partitions_led": numbers.led,
        "replicas": numbers.replicas,
        "replicas_in_sync": numbers.in_sync,
        "problems": problems(look).len(),
    })
}

fn status_text(look: &Look) -> String {
    let (numbers, problems) = (Numbers::of(look), problems(look));
    let health = match problems.len() {
        0 => "nothing is wrong".to_string(),
        some => format!("{}: torc cluster health says what to do", count(some, "problem")),
    };
    format!(
        "cluster      {}\ncontroller   {}\nnodes        {}, {} answering\ntopics       {}, of {}\nleaders      {} of {}\n\
         in sync      {} of {} replicas\nhealth       {health}\n",
        look.cluster_id.as_deref().unwrap_or("-"),
        look.controller.map_or("-".to_string(), |id| format!("node {id}")),
        look.nodes.len(),
        numbers.answering,
        numbers.topics,
        count(look.partitions.len(), "partition"),
        numbers.led,
        look.partitions.len(),
        numbers.in_sync,
        numbers.replicas,
    )
}

fn state(node: &Node) -> &'static str {
    match (&node.address, &node.silent) {
        (None, _) => "gone",
        (_, Some(_)) => "silent",
        (_, None) => "answers",
    }
}

fn nodes(look: &Look) -> Value {
    let node = |node: &Node| {
        let (leads, replicas, in_sync) = look.shares(node.id);
        json!({
            "node": node.id,
            "address": node.address,
            "rack": node.rack,
            "state": state(node),
            "why": node.silent,
            "controller": look.controller == Some(node.id),
            "leads": leads,
            "replicas": replicas,
            "replicas_in_sync": in_sync,
            "bytes": node.bytes,
            "disk_error": node.disk,
        })
    };
    json!(look.nodes.iter().map(node).collect::<Vec<_>>())
}

fn nodes_table(look: &Look) -> Table {
    let mut table = Table::new(&[
        ("NODE", Align::Right),
        ("ADDRESS", Align::Left),
        ("RACK", Align::Left),
        ("STATE", Align::Left),
        ("ROLE", Align::Left),
        ("LEADS", Align::Right),
        ("REPLICAS", Align::Right),
        ("IN SYNC", Align::Right),
        ("SIZE", Align::Right),
    ]);
    for node in &look.nodes {
        let (leads, replicas, in_sync) = look.shares(node.id);
        table.row([
            node.id.to_string(),
            node.address.clone().unwrap_or_default(),
            node.rack.clone().unwrap_or_default(),
            state(node).to_string(),
            if look.controller == Some(node.id) { "controller".to_string() } else { String::new() },
            leads.to_string(),
            replicas.to_string(),
            in_sync.to_string(),
            node.bytes.map(rounded_size).unwrap_or_default(),
        ]);
    }
    table
}

/// The partitions that are meant.
fn chosen<'a>(look: &'a Look, names: &[String], lacking: bool) -> Result<Vec<&'a Partition>, AdminError> {
    let means = |text: &String, part: &Partition| match is_pattern(text) {
        true => matches(text, &part.topic),
        false => *text == part.topic,
    };
    if let Some(none) = names.iter().find(|text| !look.partitions.iter().any(|part| means(text, part))) {
        return Err(AdminError::Usage(Usage(format!("no topic is or matches {none}"))));
    }
    let wanted = |part: &&Partition| {
        (names.is_empty() || names.iter().any(|text| means(text, part))) && (!lacking || part.is_lacking())
    };
    Ok(look.partitions.iter().filter(wanted).collect())
}

fn partition(part: &Partition) -> Value {
    json!({
        "topic": part.topic,
        "partition": part.number,
        "internal": part.internal,
        "leader": part.leader,
        "leader_epoch": part.epoch,
        "replicas": part.replicas,
        "in_sync": part.in_sync,
        "adding": part.adding,
        "removing": part.removing,
        "bytes": part.bytes,
        "lag": part.lags,
        "min_insync_replicas": part.least_in_sync,
    })
}

fn partitions_table(partitions: &[&Partition]) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("LEADER", Align::Right),
        ("EPOCH", Align::Right),
        ("REPLICAS", Align::Left),
        ("IN SYNC", Align::Left),
        ("BEHIND", Align::Left),
        ("MOVES", Align::Left),
        ("LAG", Align::Right),
        ("SIZE", Align::Right),
    ]);
    let ids = |ids: Vec<i32>| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    for part in partitions {
        table.row([
            part.topic.clone(),
            part.number.to_string(),
            part.leader.map(|id| id.to_string()).unwrap_or_default(),
            Some(part.epoch).filter(|epoch| *epoch >= 0).map(|epoch| epoch.to_string()).unwrap_or_default(),
            ids(part.replicas.clone()),
            ids(part.in_sync.clone()),
            ids(part.behind().collect()),
            part.moves(),
            part.lags.values().max().map(u64::to_string).unwrap_or_default(),
            part.bytes.map(rounded_size).unwrap_or_default(),
        ]);
    }
    table
}

fn health_text(look: &Look, problems: &[Problem]) -> String {
    if problems.is_empty() {
        let (nodes, partitions) = (count(look.nodes.len(), "node"), count(look.partitions.len(), "partition"));
        return format!("nothing is wrong: {nodes}, {partitions}, every replica in sync\n");
    }
    problems.iter().map(|problem| format!("{}\n    {}\n", problem.what, problem.remedy)).collect()
}
