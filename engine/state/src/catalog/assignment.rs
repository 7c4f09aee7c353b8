//! Replicas that a client assigns to partitions itself, checked as Kafka's controller checks them.

use super::{CatalogError, Replicas};
use std::collections::BTreeSet;
use torc_base::ids::NodeId;

/// Partitions of a new topic, each with its replicas.
pub type Assignments = Vec<(i32, Vec<i32>)>;

/// Checks the assignments of a new topic, of which there is at least one. Returns how many copies each partition has.
pub(super) fn check_new(assignments: &Assignments, brokers: &BTreeSet<NodeId>) -> Result<i16, CatalogError> {
    let mut copies = None;
    let mut partitions = BTreeSet::new();
    for (partition, replicas) in assignments {
        if !partitions.insert(*partition) {
            return refuse(format!("Found multiple manual partition assignments for partition {partition}"));
        }
        check_replicas(replicas, copies, brokers)?;
        copies = Some(replicas.len());
    }
    if partitions.iter().zip(0..).any(|(partition, expected)| *partition != expected) {
        return refuse("Partitions of a manual assignment should be a consecutive 0-based integer sequence.".into());
    }
    let copies = copies.expect("there is at least one");
    Ok(i16::try_from(copies).expect("no more than there are brokers"))
}

/// The replicas that were checked, in the order of partitions.
pub(super) fn in_order(assignments: &Assignments) -> Replicas {
    let mut sorted: Vec<_> = assignments.iter().collect();
    sorted.sort_unstable_by_key(|(partition, _)| *partition);
    rows(sorted.into_iter().map(|(_, replicas)| replicas))
}

/// The same of partitions that come in order.
pub(super) fn rows<'a>(assignments: impl Iterator<Item = &'a Vec<i32>>) -> Replicas {
    let known = |id: &i32| NodeId(u32::try_from(*id).expect("checked to be a broker's"));
    let rows: Vec<Vec<NodeId>> = assignments.map(|replicas| replicas.iter().map(known).collect()).collect();
    Replicas::new(rows.iter().map(Vec::as_slice))
}

/// Checks the assignments of partitions that a topic of `copies` is to have besides.
pub(super) fn check_more(
    assignments: &[Vec<i32>],
    more: u32,
    copies: i16,
    brokers: &BTreeSet<NodeId>,
) -> Result<(), CatalogError> {
    if assignments.len() != more as usize {
        let are = assignments.len();
        return refuse(format!("Attempted to add {more} partition(s), but {are} assignment(s) were specified."));
    }
    assignments.iter().try_for_each(|replicas| check_replicas(replicas, Some(copies as usize), brokers))
}

/// Checks the replicas of one partition, of which there are to be `copies`, if that is said.
pub(super) fn check_replicas(
    replicas: &[i32],
    copies: Option<usize>,
    brokers: &BTreeSet<NodeId>,
) -> Result<(), CatalogError> {
    if replicas.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.".into());
    }
    let mut seen = BTreeSet::new();
    for &replica in replicas {
        if !u32::try_from(replica).is_ok_and(|replica| brokers.contains(&NodeId(replica))) {
            return refuse(format!(
                "The manual partition assignment includes broker {replica}, but no such broker is registered."
            ));
        }
        if !seen.insert(replica) {
            return refuse(format!("The manual partition assignment includes the broker {replica} more than once."));
        }
    }
    match copies {
        Some(copies) if copies != replicas.len() => refuse(format!(
            "The manual partition assignment includes a partition with {} replica(s), but others have {copies}.",
            replicas.len()
        )),
        _ => Ok(()),
    }
}

fn refuse<T>(why: String) -> Result<T, CatalogError> {
    Err(CatalogError::InvalidAssignment(why))
}

#[cfg(test)]
#[path = "assignment_tests.rs"]
mod tests;
