//! What a cluster's clients were told of its partitions, and what follows from it: the one model that all of them share.

use super::kept::Kept;
use crate::batch;
use crate::history::{History, Life};
use crate::violation::{Rule, Violation};
use std::collections::BTreeMap;

/// A batch as it was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// All of it.
    pub bytes: Vec<u8>,
    /// It may be in the log once at most, however often it was sent.
    pub once: bool,
    /// Whose it is, and its place in the order of that producer; batches of one lane lie in their order.
    pub lane: (u64, u64),
    /// How often it was sent.
    pub attempts: u32,
    /// An acknowledgement of all replicas came, with this offset (-1: it was not told).
    pub acked: Option<i64>,
}

/// One partition.
#[derive(Debug, Default)]
pub struct Partition {
    /// By number.
    pub sent: BTreeMap<u64, Sent>,
    /// What readers have seen: by base offset the number and the offset behind it.
    seen: BTreeMap<i64, (u64, i64)>,
    /// The highest high watermark that anybody was told.
    pub high_watermark: i64,
    /// The same, by the epoch of the leader that told it.
    told: BTreeMap<i32, i64>,
    /// Somebody has asked for the end of all records before this offset: they may be gone. A replica that begins anew behind them knows
    /// nothing of who wrote them either, and may take them once more.
    pub deleted: i64,
    /// Its records, if it is compacted.
    pub kept: Kept,
}

impl Partition {
    /// The leader of an epoch, if that is known, has told a high watermark.
    pub fn tell(&mut self, epoch: i32, high_watermark: i64) {
        if epoch >= 0 {
            let told = self.told.entry(epoch).or_default();
            *told = high_watermark.max(*told);
        }
    }

    /// The highest one that leaders up to this epoch have told: whoever leads in it knows of all that. Who was deposed may not
    /// know of what came later.
    pub fn told_until(&self, epoch: i32) -> i64 {
        self.told.range(..=epoch).map(|(_, told)| *told).max().unwrap_or_default()
    }
}

/// A topic. Names are never used twice.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id, once anybody was told.
    pub id: Option<u128>,
    /// How often it is kept.
    pub replication: i16,
    /// Where it is on its way, as far as clients were told.
    pub life: Life,
    /// Somebody has asked for it, and was not told what became of that: it may be made at any time, even when it has been deleted.
    pub haunted: bool,
    /// Its records go when there are later ones of their keys, of which there are so many. 0: it is not compacted.
    pub keys: u32,
    /// Its partitions.
    pub partitions: Vec<Partition>,
}

/// All topics.
#[derive(Default)]
pub struct Logs {
    /// By their numbers.
    pub topics: Vec<Topic>,
    /// Nodes of the cluster: those before this number.
    pub nodes: usize,
    /// Some of them have joined it.
    pub has_newcomers: bool,
    /// Disks have lost something, or have been full.
    pub disks_lose: bool,
    /// They have lost entries that others have.
    pub reads_fail: bool,
    /// Replicas are brought away, and may be brought back.
    pub replicas_move: bool,
    /// Some nodes take longer batches than others, and somebody writes such.
    pub lengths_differ: bool,
    numbers: u64,
    /// Batches refused because a replica does not take them.
    pub refused: u64,
    /// Batches acknowledged by all replicas.
    pub acked: u64,
    /// Commits of offsets acknowledged.
    pub commits: u64,
    /// Topics deleted.
    pub deleted: u64,
    /// Batches that were read and compared.
    pub fetched: u64,
    /// What clients of consumer groups know: of topics what [`Logs::tell_members`] has told them.
    pub members: History,
}

impl Logs {
    /// No topics, in a cluster of so many nodes.
    pub fn of(nodes: usize) -> Logs {
        Logs { nodes, ..Logs::default() }
    }

    /// A number that no batch had.
    pub fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A partition.
    pub fn part(&mut self, topic: usize, partition: usize) -> &mut Partition {
        &mut self.topics[topic].partitions[partition]
    }

    /// One more topic, which is to be made.
    pub fn add_topic(&mut self, partitions: usize, replication: i16, keys: u32) {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        let name = format!("topic-{}", self.topics.len());
        self.topics.push(Topic { name, id: None, replication, life: Life::Asked, haunted: false, keys, partitions });
    }

    /// Clients of consumer groups hear which topics there are.
    pub fn tell_members(&mut self) {
        for (t, topic) in self.topics.iter().enumerate() {
            if t == self.members.topics.len() {
                // As if of retention: nobody says which offsets there are.
                self.members.new_topic(topic.name.clone(), topic.partitions.len(), true);
            }
            (self.members.topics[t].life, self.members.topics[t].id) = (topic.life, topic.id);
        }
    }

    /// Records that compaction has taken, as far as audits have seen.
    pub fn compacted(&self) -> u64 {
        self.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.kept.gone).sum()
    }

    /// True if the topic has been made, and nobody has asked for its end. Nothing is promised of one that is about to go.
    pub fn is_live(&self, topic: usize) -> bool {
        self.topics[topic].life == Life::Live
    }

    /// All that are.
    pub fn live(&self) -> Vec<usize> {
        (0..self.topics.len()).filter(|topic| self.is_live(*topic)).collect()
    }

    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<usize> {
        self.topics.iter().position(|topic| topic.name == name)
    }

    /// A batch is on all replicas that its acknowledgement needs, at `base` (-1: not told).
    pub fn acknowledged(&mut self, at: (usize, usize), number: u64, base: i64) -> Result<(), Violation> {
        self.acked += 1;
        let compacted = self.topics[at.0].keys > 0;
        let part = self.part(at.0, at.1);
        if compacted && base >= 0 {
            let (kept, sent) = (&mut part.kept, &part.sent[&number]);
            kept.acknowledged(number, base, sent).or_else(|text| wrong(Rule::SeenIsFinal, at, text))?;
        }
        if base >= 0
            && let Some((other, _)) = part.seen.get(&base)
            && *other != number
        {
            return wrong(
                Rule::SeenIsFinal,
                at,
                format!("batch {number} was put at offset {base}, where batch {other} was seen"),
            );
        }
        let sent = part.sent.get_mut(&number).expect("composed before");
        match sent.acked {
            Some(known) if known >= part.deleted && base >= 0 && known != base => {
                wrong(Rule::Once, at, format!("batch {number} was put at offset {known}, and at {base}"))
            }
            Some(known) if known >= 0 => Ok(()),
            _ => {
                sent.acked = Some(base);
                Ok(())
            }
        }
    }

    /// A leader served these bytes for a fetch from `from`, and said where the committed part of its log ends. `audits`: to
    /// whoever reads it from its beginning to its end. Returns the offset behind them.
    pub fn fetched(
        &mut self,
        at: (usize, usize),
        from: i64,
        high_watermark: i64,
        bytes: &[u8],
        audits: bool,
    ) -> Result<i64, Violation> {
        if self.topics[at.0].keys > 0 {
            let next = self.fetched_compacted(at, from, high_watermark, bytes, audits)?;
            let part = self.part(at.0, at.1);
            part.high_watermark = part.high_watermark.max(high_watermark);
            return Ok(next);
        }
        let mut next = from;
        for batch in batch::split(bytes)? {
            if batch.end <= from {
                continue;
            }
            if batch.base > next {
                return wrong(Rule::NoGap, at, format!("behind offset {next} comes offset {}", batch.base));
            }
            if batch.end > high_watermark {
                let text = format!("offset {} was served, and {high_watermark} was the high watermark", batch.end - 1);
                return wrong(Rule::BehindHighWatermark, at, text);
            }
            self.see(at, &batch)?;
            next = batch.end;
        }
        let part = self.part(at.0, at.1);
        part.high_watermark = part.high_watermark.max(high_watermark);
        Ok(next)
    }

    fn see(&mut self, at: (usize, usize), batch: &batch::Fetched<'_>) -> Result<(), Violation> {
        self.fetched += 1;
        let part = self.part(at.0, at.1);
        let (number, base) = (batch.number, batch.base);
        let Some(sent) = part.sent.get(&number) else {
            return wrong(Rule::BytesAreTrue, at, format!("batch {number} at offset {base} was never sent here"));
        };
        if !batch.is(&sent.bytes) {
            return wrong(Rule::BytesAreTrue, at, format!("batch {number} at offset {base} is not what was sent"));
        }
        let told = sent.acked.filter(|acked| *acked >= part.deleted && *acked != base);
        if let Some(acked) = told.filter(|_| sent.once || sent.attempts == 1) {
            return wrong(
                Rule::Once,
                at,
                format!("batch {number} is at offset {base}, and was acknowledged at {acked}"),
            );
        }
        match part.seen.insert(base, (number, batch.end)) {
            Some(before) if before != (number, batch.end) => wrong(
                Rule::SeenIsFinal,
                at,
                format!("batch {} was seen at offset {base}, and now batch {number} is", before.0),
            ),
            _ => Ok(()),
        }
    }

    /// Somebody begins to read everything.
    pub fn begin_audit(&mut self) {
        self.topics.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(|part| part.kept.begin_audit());
    }

    /// All of a partition has been read, up to `end`: what was acknowledged is there, once, and in order.
    pub fn audit(&mut self, at: (usize, usize), end: i64) -> Result<(), Violation> {
        let compacted = self.topics[at.0].keys > 0;
        let part = &mut self.topics[at.0].partitions[at.1];
        if end < part.high_watermark {
            let text = format!("the log ends at {end}, and {} was the high watermark", part.high_watermark);
            return wrong(Rule::MarksAdvance, at, text);
        }
        if compacted {
            return part.kept.audit().or_else(|text| wrong(Rule::LastIsKept, at, text));
        }
        let mut found: BTreeMap<u64, i64> = BTreeMap::new();
        let mut lanes: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for (base, (number, _)) in part.seen.range(part.deleted..) {
            let sent = &part.sent[number];
            let again = found.insert(*number, *base);
            if let Some(first) = again.filter(|_| sent.once || sent.attempts == 1) {
                return wrong(Rule::Once, at, format!("batch {number} is at offsets {first} and {base}"));
            }
            let (lane, order) = sent.lane;
            if let Some((before, other)) = lanes.insert(lane, (order, *number)).filter(|_| sent.once)
                && before > order
            {
                return wrong(
                    Rule::InOrder,
                    at,
                    format!("batch {number} comes behind batch {other}, and was sent before it"),
                );
            }
        }
        let lost = part.sent.iter().find(|(number, sent)| match sent.acked {
            None => false,
            Some(base) if base >= 0 => {
                base >= part.deleted && part.seen.get(&base).is_none_or(|(there, _)| there != *number)
            }
            Some(_) => part.deleted == 0 && !found.contains_key(number),
        });
        match lost {
            Some((number, sent)) => {
                let base = sent.acked.unwrap_or(-1);
                wrong(Rule::AckedIsKept, at, format!("batch {number} was acknowledged at offset {base}, and is gone"))
            }
            None => Ok(()),
        }
    }
}

pub(super) fn wrong<T>(rule: Rule, at: (usize, usize), text: String) -> Result<T, Violation> {
    Err(Violation::new(rule, format!("topic {} partition {}: {text}", at.0, at.1)))
}
