//! Keeps offsets in a group of its own: it commits higher and higher ones with the group's coordinator, wherever that is, and
//! looks what is there. What it was told is committed is there until it commits something else.

use super::guide::{Guide, Nodes, topic_name};
use super::logs::Logs;
use super::{Actor, explain};
use crate::client::Next;
use crate::history::code;
use crate::requests;
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, Waiting, decode};
use bytes::Bytes;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    FindCoordinatorResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use std::collections::{BTreeMap, BTreeSet};
use torc_base::prng::Prng;

/// Versions of what it asks.
const FIND: i16 = 2;
const COMMIT: i16 = 6;
const LOOK: i16 = 5;

/// What it knows of a partition's offset.
#[derive(Debug, Default)]
struct Known {
    /// It was told that this one is committed.
    committed: Option<i64>,
    /// Nobody told it what became of these: they may be committed now, or later.
    open: BTreeSet<i64>,
}

/// See the module.
pub struct Committer {
    guide: Guide,
    group: String,
    pause: u64,
    coordinator: Option<usize>,
    places: BTreeMap<(usize, usize), Known>,
    next: i64,
    not_before: u64,
    stopping: bool,
    /// It has looked at everything since it was told to stop.
    looked: bool,
}

impl Committer {
    /// One with a group of that name, which asks about once in each `pause`.
    pub fn new(rng: Prng, group: String, pause: u64) -> Committer {
        let (places, coordinator) = (BTreeMap::new(), None);
        let guide = Guide::new(rng);
        Committer { guide, group, pause, coordinator, places, next: 0, not_before: 0, stopping: false, looked: false }
    }

    fn act(&mut self, nodes: &mut dyn Nodes, logs: &Logs) {
        let Some(coordinator) = self.coordinator else {
            let node = self.guide.rng.below(nodes.nodes() as u64) as usize;
            let request = requests::find(&self.group, FIND);
            if let Some(line) = self.guide.line(nodes, node) {
                line.ask(nodes, FIND, &request, Some(Asked::FindCoordinator));
            }
            return;
        };
        if self.stopping || self.guide.rng.chance(1, 3) {
            return self.look(nodes, logs, coordinator);
        }
        let live = logs.live();
        if live.is_empty() {
            return;
        }
        let t = live[self.guide.rng.below(live.len() as u64) as usize];
        let p = self.guide.rng.below(logs.topics[t].partitions.len() as u64) as usize;
        self.next += 1;
        let offset = self.next;
        let part = OffsetCommitRequestPartition::default().with_partition_index(p as i32).with_committed_offset(offset);
        let topic = OffsetCommitRequestTopic::default().with_name(topic_name(logs, t)).with_partitions(vec![part]);
        let request = OffsetCommitRequest::default()
            .with_group_id(requests::group(&self.group))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        let Some(line) = self.guide.line(nodes, coordinator) else { return self.lose(nodes.now()) };
        let asked = Asked::Commit { generation: -1, asked: 0, writes: vec![((t, p), offset as u64)] };
        line.ask(nodes, COMMIT, &request, Some(asked));
        self.places.entry((t, p)).or_default().open.insert(offset);
    }

    fn look(&mut self, nodes: &mut dyn Nodes, logs: &Logs, coordinator: usize) {
        let mut topics: BTreeMap<usize, Vec<i32>> = BTreeMap::new();
        for (t, p) in self.places.keys().filter(|(t, _)| logs.is_live(*t)) {
            topics.entry(*t).or_default().push(*p as i32);
        }
        let named = |(t, parts): (usize, Vec<i32>)| {
            OffsetFetchRequestTopic::default().with_name(topic_name(logs, t)).with_partition_indexes(parts)
        };
        let places = self.places.keys().copied().collect();
        let request = OffsetFetchRequest::default()
            .with_group_id(requests::group(&self.group))
            .with_topics(Some(topics.into_iter().map(named).collect()));
        let Some(line) = self.guide.line(nodes, coordinator) else { return self.lose(nodes.now()) };
        line.ask(nodes, LOOK, &request, Some(Asked::Committed { asked: 0, places: Some(places) }));
    }

    /// The coordinator is not where it was.
    fn lose(&mut self, now: u64) {
        self.coordinator = None;
        self.not_before = now + self.guide.rng.between(5, 80) * 1_000_000;
    }

    fn answered(&mut self, now: u64, logs: &mut Logs, waiting: Waiting, frame: Bytes) -> Result<(), Violation> {
        match waiting.asked {
            Asked::FindCoordinator => {
                let answer: FindCoordinatorResponse = decode(frame, waiting.version)?;
                if answer.error_code != code::NONE {
                    self.lose(now);
                    return explain(logs, "find coordinator", answer.error_code);
                }
                self.coordinator = usize::try_from(answer.node_id.0 - 1).ok();
                Ok(())
            }
            Asked::Commit { writes, .. } => {
                let (place, offset) = (writes[0].0, writes[0].1 as i64);
                let answer: OffsetCommitResponse = decode(frame, waiting.version)?;
                let part = answer.topics.first().and_then(|topic| topic.partitions.first());
                let Some(part) = part else {
                    return Err(Violation::new(Rule::Protocol, "an empty answer to OffsetCommit"));
                };
                if part.error_code != code::NONE {
                    self.lose(now);
                    return explain(logs, "commit of offsets", part.error_code);
                }
                let known = self.places.get_mut(&place).expect("it was asked for");
                known.open.remove(&offset);
                known.committed = Some(offset);
                logs.commits += 1;
                Ok(())
            }
            Asked::Committed { places, .. } => {
                let answer: OffsetFetchResponse = decode(frame, waiting.version)?;
                self.told(now, logs, &places.unwrap_or_default(), &answer)
            }
            asked => Err(Violation::new(Rule::Protocol, format!("a committer asked for {asked:?}"))),
        }
    }

    fn told(
        &mut self,
        now: u64,
        logs: &Logs,
        asked: &[(usize, usize)],
        answer: &OffsetFetchResponse,
    ) -> Result<(), Violation> {
        let parts = answer.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |part| (topic, part)));
        let error = parts.clone().map(|(_, part)| part.error_code).chain([answer.error_code]).find(|code| *code != 0);
        if let Some(error) = error {
            self.lose(now);
            return explain(logs, "fetch of offsets", error);
        }
        let told: BTreeMap<(usize, usize), i64> = parts
            .filter_map(|(topic, part)| {
                let place = (logs.topic(&topic.name.0)?, part.partition_index as usize);
                Some((place, part.committed_offset))
            })
            .collect();
        // A topic that is about to go takes its offsets along.
        for place in asked.iter().filter(|(t, _)| logs.is_live(*t)) {
            let known = &self.places[place];
            let offset = told.get(place).copied().filter(|offset| *offset >= 0);
            let is_open = offset.is_some_and(|offset| known.open.contains(&offset));
            if offset != known.committed && !is_open {
                let text = format!(
                    "group {} of topic {} partition {}: {offset:?} is committed, and {:?} was acknowledged; {:?} may be",
                    self.group, place.0, place.1, known.committed, known.open
                );
                return Err(Violation::new(Rule::CommitIsKept, text));
            }
        }
        self.looked = self.stopping;
        Ok(())
    }
}

impl Actor for Committer {
    fn wake(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) -> Result<Next, Violation> {
        let now = nodes.now();
        if !self.guide.wake(nodes).is_empty() {
            self.lose(now);
        }
        if self.looked && self.guide.outstanding() == 0 {
            self.guide.hang_up(nodes);
            return Ok(Next::Done);
        }
        if self.guide.outstanding() == 0 && now >= self.not_before {
            self.act(nodes, logs);
        }
        Ok(Next::Wake(self.guide.rng.between(1_000_000, self.pause)))
    }

    fn receive(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, link: u64, bytes: &[u8]) -> Result<(), Violation> {
        let now = nodes.now();
        for (waiting, frame) in self.guide.receive(now, logs, link, bytes)? {
            self.answered(now, logs, waiting, frame)?;
        }
        Ok(())
    }

    fn lost(&mut self, nodes: &mut dyn Nodes, _: &mut Logs, link: u64) {
        let now = nodes.now();
        if !self.guide.lost(now, link).is_empty() {
            self.lose(now);
        }
    }

    fn has(&self, link: u64) -> bool {
        self.guide.has(link)
    }

    fn stop(&mut self) {
        self.stopping = true;
    }
}
