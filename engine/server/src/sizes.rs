//! What topics take in the log. Nothing is kept for it: the shards are asked when somebody looks. If one does not answer in time
//! nothing is shown, as it would be too little.

use crate::inquire;
use crate::metrics::{Kind, Sample};
use crate::samples::{Counters, OTHER_TOPICS, all_ready};
use std::collections::BTreeMap;
use torc_shard::{Finding, Inquiry};

/// The topics that have metrics of their own, and all others together.
pub fn samples(counters: &[Counters]) -> Vec<Sample> {
    if !all_ready(counters) {
        return Vec::new();
    }
    let _one = inquire::one_look();
    let findings = inquire::ask(counters, counters.iter().map(|_| Some(Inquiry::Sizes)).collect());
    of_shards(findings).unwrap_or_default()
}

/// A topic's partitions lie on many shards. `None`: one of these has not answered.
pub fn of_shards(findings: Vec<Option<Finding>>) -> Option<Vec<Sample>> {
    let (mut sums, mut rest) = (BTreeMap::<String, u64>::new(), 0);
    for finding in findings {
        let Some(Finding::Sizes { topics, others }) = finding else { return None };
        for (topic, bytes) in topics {
            *sums.entry(topic).or_default() += bytes;
        }
        rest += others;
    }
    if rest > 0 {
        sums.insert(OTHER_TOPICS.to_string(), rest);
    }
    let sample = |(topic, bytes): (String, u64)| Sample {
        name: "torc_topic_log_bytes".to_string(),
        help: "Bytes of the topic's record batches in the log; those beyond 200 topics together, as (others).",
        kind: Kind::Gauge,
        labels: vec![("topic", topic)],
        value: bytes as f64,
    };
    Some(sums.into_iter().map(sample).collect())
}

#[cfg(test)]
#[path = "sizes_tests.rs"]
mod tests;
