//! Sets of partitions, small and sorted, as members have them.

use super::super::record::{PARTITION_BYTES_MAX, TOPIC_BYTES_MAX, TopicPartitions};
use std::collections::BTreeMap;
use torc_base::ids::TopicId;

/// Partitions by topic; no topic is without any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Partitions(BTreeMap<TopicId, Vec<i32>>);

/// Partitions by topic, each with the epoch of its holder when it got it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Held(BTreeMap<TopicId, Vec<(i32, i32)>>);

impl Partitions {
    pub(in super::super) fn of_record(topics: &[TopicPartitions]) -> Partitions {
        let all = topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic.topic, *p)));
        all.collect()
    }

    pub(in super::super) fn to_record(&self) -> Vec<TopicPartitions> {
        let of = |(topic, partitions): (&TopicId, &Vec<i32>)| TopicPartitions {
            topic: *topic,
            partitions: partitions.clone(),
            epochs: Vec::new(),
        };
        self.0.iter().map(of).collect()
    }

    pub(in super::super) fn iter(&self) -> impl Iterator<Item = (TopicId, i32)> {
        self.0.iter().flat_map(|(topic, partitions)| partitions.iter().map(move |partition| (*topic, *partition)))
    }

    pub(in super::super) fn has(&self, topic: TopicId, partition: i32) -> bool {
        self.0.get(&topic).is_some_and(|partitions| partitions.binary_search(&partition).is_ok())
    }

    pub(in super::super) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Leaves out the last ones until a record of `bytes` says that a member holds the rest, each topic in two parts.
    pub(in super::super) fn cut_to(&mut self, mut bytes: usize) {
        self.0.retain(|_, partitions| {
            bytes = bytes.saturating_sub(2 * TOPIC_BYTES_MAX);
            partitions.truncate(bytes / PARTITION_BYTES_MAX);
            bytes -= partitions.len() * PARTITION_BYTES_MAX;
            !partitions.is_empty()
        });
    }

    /// Bytes of such a record.
    pub(in super::super) fn held_bytes_max(&self) -> usize {
        2 * TOPIC_BYTES_MAX * self.0.len() + PARTITION_BYTES_MAX * self.len()
    }
}

impl FromIterator<(TopicId, i32)> for Partitions {
    fn from_iter<I: IntoIterator<Item = (TopicId, i32)>>(from: I) -> Partitions {
        let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in from {
            topics.entry(topic).or_default().push(partition);
        }
        for partitions in topics.values_mut() {
            partitions.sort_unstable();
            partitions.dedup();
        }
        Partitions(topics)
    }
}

impl Held {
    /// `epoch` stands for those that are not told.
    pub(in super::super) fn of_record(topics: &[TopicPartitions], epoch: i32) -> Held {
        let epoch_of = |topic: &TopicPartitions, at: usize| topic.epochs.get(at).copied().unwrap_or(epoch);
        let of = |topic: &TopicPartitions| {
            let with = topic.partitions.iter().enumerate().map(|(at, p)| (topic.topic, *p, epoch_of(topic, at)));
            with.collect::<Vec<_>>()
        };
        topics.iter().flat_map(of).collect()
    }

    pub(in super::super) fn to_record(&self) -> Vec<TopicPartitions> {
        let of = |(topic, held): (&TopicId, &Vec<(i32, i32)>)| TopicPartitions {
            topic: *topic,
            partitions: held.iter().map(|(partition, _)| *partition).collect(),
            epochs: held.iter().map(|(_, epoch)| *epoch).collect(),
        };
        self.0.iter().map(of).collect()
    }

    pub(in super::super) fn iter(&self) -> impl Iterator<Item = (TopicId, i32, i32)> {
        self.0.iter().flat_map(|(topic, held)| held.iter().map(move |(partition, epoch)| (*topic, *partition, *epoch)))
    }

    /// The epoch of the holder when it got the partition.
    pub(in super::super) fn epoch(&self, topic: TopicId, partition: i32) -> Option<i32> {
        let held = self.0.get(&topic)?;
        held.binary_search_by_key(&partition, |(partition, _)| *partition).ok().map(|at| held[at].1)
    }

    pub(in super::super) fn has(&self, topic: TopicId, partition: i32) -> bool {
        self.epoch(topic, partition).is_some()
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in super::super) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// The partitions, without their epochs.
    pub(in super::super) fn partitions(&self) -> Partitions {
        self.iter().map(|(topic, partition, _)| (topic, partition)).collect()
    }
}

impl FromIterator<(TopicId, i32, i32)> for Held {
    fn from_iter<I: IntoIterator<Item = (TopicId, i32, i32)>>(from: I) -> Held {
        let mut topics: BTreeMap<TopicId, Vec<(i32, i32)>> = BTreeMap::new();
        for (topic, partition, epoch) in from {
            topics.entry(topic).or_default().push((partition, epoch));
        }
        for held in topics.values_mut() {
            held.sort_unstable();
            held.dedup_by_key(|(partition, _)| *partition);
        }
        Held(topics)
    }
}
