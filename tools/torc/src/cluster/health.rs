//! `torc cluster health`: what is wrong, and what to do.

use super::look::{Look, Node, Partition};
use serde::Serialize;
use std::collections::BTreeMap;

/// So many partitions are named where more are meant.
const NAMED_MAX: usize = 3;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// All that is wrong, the worst first.
pub fn problems(look: &Look) -> Vec<Problem> {
    let mut problems = Vec::new();
    leaderless(look, &mut problems);
    if look.controller.is_none() {
        problems.push(Problem {
            what: "there is no controller: topics can be neither made nor changed".to_string(),
            remedy: format!("start more nodes: most of those that decide on the catalog must run{}", stopped(look)),
        });
    }
    differing(look, &mut problems);
    refusing(look, &mut problems);
    for node in &look.nodes {
        of_node(node, look, &mut problems);
    }
    behind(look, &mut problems);
    problems
}

/// `1 partition`, `2 partitions`, with some of their names.
fn counted(partitions: &[&Partition]) -> String {
    let names: Vec<String> = partitions.iter().take(NAMED_MAX).map(|part| part.name()).collect();
    let more = if partitions.len() > NAMED_MAX { ", ..." } else { "" };
    format!("{} ({}{more})", count(partitions.len(), "partition"), names.join(", "))
}

/// `1 node`, `2 nodes`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn list(ids: impl Iterator<Item = i32>) -> String {
    ids.map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
}

/// Nodes that are not there, as a hint.
fn stopped(look: &Look) -> String {
    let gone: Vec<i32> = look.nodes.iter().filter(|node| is_gone(node)).map(|node| node.id).collect();
    if gone.is_empty() { String::new() } else { format!(" (not there: {})", list(gone.into_iter())) }
}

fn is_gone(node: &Node) -> bool {
    node.address.is_none() || node.silent.is_some()
}

fn leaderless(look: &Look, problems: &mut Vec<Problem>) {
    let without: Vec<&Partition> = look.partitions.iter().filter(|part| part.leader.is_none()).collect();
    if without.is_empty() {
        return;
    }
    let mut replicas: Vec<i32> = without.iter().flat_map(|part| part.replicas.iter().copied()).collect();
    replicas.sort_unstable();
    replicas.dedup();
    problems.push(Problem {
        what: format!("{} cannot be written or read: nobody leads there", counted(&without)),
        remedy: format!(
            "start their nodes, which are {}: most replicas of a partition must run",
            list(replicas.into_iter())
        ),
    });
}

/// Replicas that have other entries than their leaders.
fn differing(look: &Look, problems: &mut Vec<Problem>) {
    let mut by_node: BTreeMap<i32, Vec<&Partition>> = BTreeMap::new();
    for part in &look.partitions {
        part.differing.keys().for_each(|id| by_node.entry(*id).or_default().push(part));
    }
    for (id, partitions) in by_node {
        problems.push(Problem {
            what: format!("node {id} has other entries than the leaders of {}", counted(&partitions)),
            remedy: "its log names them: keep the directories of both nodes for those who look into it; then stop this node, and \
                     start it with an empty data directory"
                .to_string(),
        });
    }
}

/// Partitions that have a leader and too few replicas in sync.
fn refusing(look: &Look, problems: &mut Vec<Problem>) {
    let too_few = |part: &&Partition| {
        part.leader.is_some() && part.least_in_sync.is_some_and(|least| (part.in_sync.len() as i64) < i64::from(least))
    };
    let refusing: Vec<&Partition> = look.partitions.iter().filter(too_few).collect();
    if refusing.is_empty() {
        return;
    }
    let short = refusing.iter().all(|part| (part.replicas.len() as i64) < i64::from(part.least_in_sync.unwrap_or(0)));
    problems.push(Problem {
        what: format!("{} refuse acks=all: fewer replicas are in sync than min.insync.replicas", counted(&refusing)),
        remedy: match short {
            true => "they have fewer replicas than that: lower min.insync.replicas of their topics".to_string(),
            false => "bring the missing replicas back, or lower min.insync.replicas of their topics".to_string(),
        },
    });
}

fn of_node(node: &Node, look: &Look, problems: &mut Vec<Problem>) {
    let kept = look.partitions.iter().filter(|part| part.replicas.contains(&node.id)).count();
    let replicas = format!("it keeps replicas of {}", count(kept, "partition"));
    match (&node.address, &node.silent) {
        (None, _) => problems.push(Problem {
            what: format!("node {} is not there; {replicas}", node.id),
            remedy: "start it; if its disk is lost, start it with an empty data directory and the same flags"
                .to_string(),
        }),
        (Some(address), Some(why)) => problems.push(Problem {
            what: format!("node {} at {address} does not answer: {why}; {replicas}", node.id),
            remedy: "start it if it does not run; otherwise look at its log, and at the network between".to_string(),
        }),
        (Some(_), None) => {}
    }
    if let Some(error) = &node.disk {
        problems.push(Problem {
            what: format!("node {} has trouble with its disk: {error}", node.id),
            remedy: "look at its log, which says what failed; it takes part again after a restart".to_string(),
        });
    }
}

/// Replicas that lag on nodes that are there; those of nodes that are not have been told of.
fn behind(look: &Look, problems: &mut Vec<Problem>) {
    let mut lagging: BTreeMap<i32, Vec<&Partition>> = BTreeMap::new();
    for part in look.partitions.iter().filter(|part| part.leader.is_some()) {
        for replica in part.behind() {
            lagging.entry(replica).or_default().push(part);
        }
    }
    for (id, partitions) in lagging {
        if look.nodes.iter().any(|node| node.id == id && !is_gone(node)) {
            let why = partitions.iter().find_map(|part| part.why_behind.as_ref());
            problems.push(Problem {
                what: format!("node {id} is behind with its replicas of {}", counted(&partitions)),
                remedy: match why {
                    Some(why) => format!("the leader says: {why}"),
                    None => {
                        "wait if it has just started: it catches up by itself; otherwise look at its log".to_string()
                    }
                },
            });
        }
    }
}
