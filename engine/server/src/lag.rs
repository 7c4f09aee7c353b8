//! How far consumer groups have come, and how far behind they are, under the names that dashboards know from Kafka exporter.
//!
//! Nothing is kept for it: when somebody looks, the shards are asked what the groups that they coordinate have committed, and then
//! where the logs of these partitions end. Of a shard that does not answer in time nothing is shown.

use crate::inquire;
use crate::metrics::{Kind, Sample};
use crate::samples::{Counters, all_ready};
use std::collections::BTreeMap;
use torc_base::ids::{GroupId, Offset, ShardId};
use torc_shard::{Finding, GroupProgress, Inquiry};

/// All groups, as long as they have no more than `offsets_max` offsets together. 0: none, and nobody is asked.
pub fn samples(counters: &[Counters], offsets_max: usize) -> Vec<Sample> {
    if offsets_max == 0 || !all_ready(counters) {
        return Vec::new();
    }
    let _one = inquire::one_look();
    let all = counters.iter().map(|_| Some(Inquiry::Groups { offsets_max })).collect();
    let (mut groups, mut left_out) = (Vec::new(), 0);
    for finding in inquire::ask(counters, all) {
        if let Some(Finding::Groups { groups: some, left_out: more }) = finding {
            groups.extend(some);
            left_out += more;
        }
    }
    groups.sort_by(|a, b| a.group.cmp(&b.group));
    left_out += cut(&mut groups, offsets_max);
    let ends = ends(counters, &groups);
    of_groups(&groups, &ends, left_out)
}

/// Leaves out what there is no room for; how many groups that are.
fn cut(groups: &mut Vec<GroupProgress>, offsets_max: usize) -> usize {
    let (before, mut room) = (groups.len(), offsets_max);
    groups.retain(|group| match room.checked_sub(group.offsets.len().max(1)) {
        Some(rest) => {
            room = rest;
            true
        }
        None => false,
    });
    before - groups.len()
}

/// The ends of the logs of all partitions that groups read.
fn ends(counters: &[Counters], groups: &[GroupProgress]) -> BTreeMap<GroupId, Offset> {
    let mut by_owner: BTreeMap<ShardId, Vec<GroupId>> = BTreeMap::new();
    for (owner, log) in groups.iter().flat_map(|group| &group.offsets).filter_map(|offset| offset.log) {
        by_owner.entry(owner).or_default().push(log);
    }
    for logs in by_owner.values_mut() {
        logs.sort_unstable();
        logs.dedup();
    }
    let question = |shard: u16| by_owner.get(&ShardId(shard)).cloned().map(Inquiry::Ends);
    let findings = inquire::ask(counters, (0..counters.len() as u16).map(question).collect());
    let mut ends = BTreeMap::new();
    for ((_, logs), finding) in by_owner.iter().zip(findings.into_iter().flatten()) {
        if let Finding::Ends(of_logs) = finding {
            ends.extend(logs.iter().zip(of_logs).filter_map(|(log, end)| Some((*log, end?))));
        }
    }
    ends
}

/// The samples of groups whose partitions end there.
pub fn of_groups(groups: &[GroupProgress], ends: &BTreeMap<GroupId, Offset>, left_out: usize) -> Vec<Sample> {
    let gauge = |name: &str, help, labels: &[(&'static str, &str)], value: f64| {
        let labels = labels.iter().map(|(key, value)| (*key, value.to_string())).collect();
        Sample { name: name.to_string(), help, kind: Kind::Gauge, labels, value }
    };
    let mut samples = vec![gauge(
        "torc_consumergroups_left_out",
        "Consumer groups that are not shown, since there are more offsets than torc.metrics.offsets.max.",
        &[],
        left_out as f64,
    )];
    for GroupProgress { group, state, kind, members, offsets } in groups {
        let help = "The group's state and type, by its labels; always 1.";
        let labels = [("consumergroup", &**group), ("state", *state), ("type", *kind)];
        samples.push(gauge("torc_consumergroup_info", help, &labels, 1.0));
        let help = "Members of the group.";
        samples.push(gauge("kafka_consumergroup_members", help, &[("consumergroup", group)], *members as f64));
        let mut sums: BTreeMap<&str, (f64, Option<f64>)> = BTreeMap::new();
        for offset in offsets {
            let partition = offset.partition.to_string();
            let labels = [("consumergroup", &**group), ("topic", &*offset.topic), ("partition", &*partition)];
            let help = "The next offset that the group reads of the partition, as it has committed it.";
            samples.push(gauge("kafka_consumergroup_current_offset", help, &labels, offset.offset as f64));
            let end = offset.log.and_then(|(_, log)| ends.get(&log));
            let lag = end.map(|end| (end.get() - offset.offset).max(0) as f64);
            if let Some(lag) = lag {
                let help = "Records of the partition that the group has not committed yet.";
                samples.push(gauge("kafka_consumergroup_lag", help, &labels, lag));
            }
            let sum = sums.entry(&offset.topic).or_insert((0.0, Some(0.0)));
            *sum = (sum.0 + offset.offset as f64, sum.1.zip(lag).map(|(sum, lag)| sum + lag));
        }
        for (topic, (offset, lag)) in sums {
            let labels = [("consumergroup", &**group), ("topic", topic)];
            let help = "What the group has committed of the topic, all partitions together.";
            samples.push(gauge("kafka_consumergroup_current_offset_sum", help, &labels, offset));
            if let Some(lag) = lag {
                let help = "Records of the topic that the group has not committed yet.";
                samples.push(gauge("kafka_consumergroup_lag_sum", help, &labels, lag));
            }
        }
    }
    samples
}

#[cfg(test)]
#[path = "lag_tests.rs"]
mod tests;
