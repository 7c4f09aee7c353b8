//! What a group has committed, and the requests about it.

use super::group::Group;
use super::record::{OffsetValue, Record};
use super::request::{Commit, CommitTopic, DeleteOffsets, Fetch};
use super::response::{CommittedOffset, FetchedOffset, PartitionResult, Refusal};
use super::{Step, Text};
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use torc_base::time::Wall;

/// The committed offsets of one group, by topic and partition.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    topics: BTreeMap<Text, BTreeMap<i32, OffsetValue>>,
    bytes: usize,
    /// Offsets of all topics together.
    len: usize,
}

/// Bytes of memory of a topic and of an offset, roughly, besides their texts.
const TOPIC_BYTES: usize = 160;
const OFFSET_BYTES: usize = size_of::<OffsetValue>() + 32;

impl Offsets {
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn topics(&self) -> &BTreeMap<Text, BTreeMap<i32, OffsetValue>> {
        &self.topics
    }

    #[cfg(test)]
    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<&OffsetValue> {
        self.topics.get(topic)?.get(&partition)
    }

    pub(super) fn put(&mut self, topic: &Text, partition: i32, value: OffsetValue) {
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.clone(), BTreeMap::new());
            self.bytes += TOPIC_BYTES + topic.len();
        }
        self.bytes += OFFSET_BYTES + value.metadata.len();
        let partitions = self.topics.get_mut(topic).expect("just made");
        match partitions.insert(partition, value) {
            Some(before) => self.bytes -= OFFSET_BYTES + before.metadata.len(),
            None => self.len += 1,
        }
    }

    pub(super) fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(partitions) = self.topics.get_mut(topic) else { return false };
        let Some(before) = partitions.remove(&partition) else { return false };
        self.bytes -= OFFSET_BYTES + before.metadata.len();
        self.len -= 1;
        if partitions.is_empty() {
            self.topics.remove(topic);
            self.bytes -= TOPIC_BYTES + topic.len();
        }
        true
    }
}

/// How far a group's offsets have been read, and what they are.
#[derive(Debug, Default)]
pub struct Reading {
    told: Vec<(Text, Vec<FetchedOffset>)>,
    /// Of topics that were named: the next one, and the next of its partitions.
    next: (usize, usize),
    /// Of all topics: the last one that was read, and the last of its partitions.
    last: Option<(Text, i32)>,
}

impl Reading {
    /// What has been read.
    pub fn into_told(self) -> Vec<(Text, Vec<FetchedOffset>)> {
        self.told
    }

    fn named(&mut self, topics: &[(Text, Vec<i32>)], offsets: &Offsets, left: &mut usize) -> bool {
        while let Some((topic, partitions)) = topics.get(self.next.0) {
            if *left == 0 {
                return false;
            }
            if self.told.len() == self.next.0 {
                // One without partitions costs something, too.
                *left -= 1;
                self.told.push((topic.clone(), Vec::with_capacity(partitions.len())));
            }
            let known = offsets.topics.get(topic);
            let (_, told) = self.told.last_mut().expect("just put there");
            for partition in partitions[self.next.1..].iter().take(*left) {
                told.push(shown(*partition, known.and_then(|known| known.get(partition))));
            }
            *left -= told.len() - self.next.1;
            self.next.1 = told.len();
            if self.next.1 < partitions.len() {
                return false;
            }
            self.next = (self.next.0 + 1, 0);
        }
        true
    }

    fn all(&mut self, offsets: &Offsets, left: &mut usize) -> bool {
        let from = self.last.as_ref().map_or(Unbounded, |(topic, _)| Included(topic.clone()));
        for (topic, partitions) in offsets.topics.range((from, Unbounded)) {
            let is_next = self.last.as_ref().is_none_or(|(last, _)| last != topic);
            let from = self.last.as_ref().filter(|_| !is_next).map_or(Unbounded, |(_, partition)| Excluded(*partition));
            let mut rest = partitions.range((from, Unbounded)).peekable();
            if rest.peek().is_none() {
                continue;
            }
            if *left == 0 {
                return false;
            }
            if is_next {
                self.told.push((topic.clone(), Vec::with_capacity(partitions.len())));
            }
            let (_, told) = self.told.last_mut().expect("the topic's is the last one");
            let before = told.len();
            told.extend(rest.by_ref().take(*left).map(|(partition, value)| shown(*partition, Some(value))));
            *left -= told.len() - before;
            self.last = told.last().map(|one| (topic.clone(), one.partition));
            if rest.peek().is_some() {
                return false;
            }
        }
        true
    }
}

fn shown(partition: i32, value: Option<&OffsetValue>) -> FetchedOffset {
    let committed = |value: &OffsetValue| CommittedOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.clone(),
    };
    FetchedOffset { partition, committed: value.map(committed) }
}

impl Group {
    /// Takes offsets over, if whoever commits may.
    pub(super) fn commit(
        &mut self,
        step: &mut Step<'_>,
        commit: &Commit,
    ) -> Result<Vec<(Text, Vec<PartitionResult>)>, Refusal> {
        self.check_commit(commit)?;
        let fits = |topic: &CommitTopic| {
            let longest = topic.partitions.iter().map(|partition| partition.metadata.len()).max().unwrap_or(0);
            step.fits(topic.name.len() + longest)
        };
        if !commit.topics.iter().all(fits) {
            return Err(Refusal::UnknownServerError);
        }
        if let Some(classic) = &mut self.classic {
            classic.committed(step, &commit.member);
        }
        let now = step.now.wall;
        let expires = commit.retention.filter(|ms| *ms >= 0).map(|ms| Wall(now.0.saturating_add(ms)));
        let max = step.settings.offset_metadata_max_bytes;
        let mut results = Vec::with_capacity(commit.topics.len());
        for topic in &commit.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let is_long = partition.metadata.len() > max && partition.metadata.encode_utf16().count() > max;
                let result = if is_long { Err(Refusal::OffsetMetadataTooLarge) } else { Ok(()) };
                partitions.push((partition.index, result));
                if is_long {
                    continue;
                }
                let value = OffsetValue {
                    offset: partition.offset,
                    leader_epoch: partition.leader_epoch,
                    metadata: partition.metadata.clone(),
                    committed: now,
                    expires,
                    topic_id: topic.id,
                };
                self.offsets.put(&topic.name, partition.index, value.clone());
                step.record(Record::Offset {
                    group: step.group.clone(),
                    topic: topic.name.clone(),
                    partition: partition.index,
                    value: Some(value),
                });
            }
            results.push((topic.name.clone(), partitions));
        }
        Ok(results)
    }

    fn check_commit(&self, commit: &Commit) -> Result<(), Refusal> {
        if let Some(consumer) = &self.consumer {
            return consumer.check_commit(commit);
        }
        match &self.classic {
            Some(classic) => classic.check_commit(&commit.member, commit.instance.as_ref(), commit.generation),
            None if commit.generation < 0 => Ok(()),
            // A name under which offsets are committed: it has no members.
            None => Err(Refusal::UnknownMemberId),
        }
    }

    /// What was committed.
    pub(super) fn fetch(&self, fetch: &Fetch) -> Vec<(Text, Vec<FetchedOffset>)> {
        let mut reading = Reading::default();
        assert!(self.fetch_on(fetch, &mut reading, &mut usize::MAX.clone()), "nothing keeps it from the end");
        reading.told
    }

    /// Reads `left` more offsets of what was committed. True if all have been read.
    pub(super) fn fetch_on(&self, fetch: &Fetch, reading: &mut Reading, left: &mut usize) -> bool {
        match &fetch.topics {
            Some(topics) => reading.named(topics, &self.offsets, left),
            None => reading.all(&self.offsets, left),
        }
    }

    /// Forgets offsets of topics that nobody in the group consumes.
    pub(super) fn delete_offsets(
        &mut self,
        step: &mut Step<'_>,
        delete: &DeleteOffsets,
    ) -> Result<Vec<(Text, Vec<PartitionResult>)>, Refusal> {
        let is_known = self.classic.as_ref().is_none_or(|classic| classic.is_empty() || classic.has_consumers());
        if !is_known {
            // What its members consume, only they know.
            return Err(Refusal::NonEmptyGroup);
        }
        let subscription = self.subscription();
        let mut results = Vec::with_capacity(delete.topics.len());
        for (topic, partitions) in &delete.topics {
            let is_consumed = subscription.may_have(topic);
            let result = if is_consumed { Err(Refusal::GroupSubscribedToTopic) } else { Ok(()) };
            results.push((topic.clone(), partitions.iter().map(|index| (*index, result)).collect()));
            if !is_consumed {
                partitions.iter().for_each(|index| self.forget(step, topic, *index));
            }
        }
        Ok(results)
    }

    /// Forgets an offset, if there is one.
    pub(super) fn forget(&mut self, step: &mut Step<'_>, topic: &Text, partition: i32) {
        if self.offsets.remove(topic, partition) {
            step.record(Record::Offset { group: step.group.clone(), topic: topic.clone(), partition, value: None });
        }
    }

    /// Forgets all that was committed for `topic`, which is no more.
    pub(super) fn forget_topic(&mut self, step: &mut Step<'_>, topic: &Text) {
        let partitions: Vec<i32> = self.offsets.topics.get(topic).into_iter().flat_map(|p| p.keys().copied()).collect();
        partitions.into_iter().for_each(|partition| self.forget(step, topic, partition));
    }

    /// Forgets the group. Nobody is in it.
    pub(super) fn delete(&mut self, step: &mut Step<'_>) {
        assert!(self.is_empty(), "only a group without members is deleted");
        let topics: Vec<Text> = self.offsets.topics.keys().cloned().collect();
        topics.iter().for_each(|topic| self.forget_topic(step, topic));
        if let Some(mut consumer) = self.consumer.take() {
            consumer.delete(step);
        }
        if self.classic.take().is_some_and(|classic| classic.is_recorded()) {
            step.record(Record::Group { group: step.group.clone(), value: None });
        }
    }
}
