//! Reads partitions from their leaders: over and over from anywhere, or, as an auditor, everything once.

use super::guide::{Guide, Nodes, topic_name};
use super::logs::Logs;
use super::{Actor, explain};
use crate::client::Next;
use crate::history::code;
use crate::requests;
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, Waiting, decode};
use bytes::Bytes;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_request::FetchTopic;
use std::collections::BTreeMap;
use torc_base::prng::Prng;

/// Versions before topics are named by their ids.
const VERSION: i16 = 12;

#[derive(Clone, Copy, Default)]
struct Place {
    next: i64,
    /// Where an auditor ends: what was committed when it came to the end.
    done: bool,
}

/// See the module.
pub struct RecordReader {
    guide: Guide,
    auditor: bool,
    places: BTreeMap<(usize, usize), Place>,
    stopping: bool,
}

impl RecordReader {
    /// A reader of all topics.
    pub fn new(rng: Prng, auditor: bool) -> RecordReader {
        RecordReader { guide: Guide::new(rng), auditor, places: BTreeMap::new(), stopping: false }
    }

    fn fetch(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) {
        let open: Vec<(usize, usize)> =
            self.places.iter().filter(|(_, place)| !place.done).map(|(at, _)| *at).collect();
        if open.is_empty() {
            return;
        }
        let at = open[self.guide.rng.below(open.len() as u64) as usize];
        let Some(leader) = self.guide.leader(at.0, at.1) else { return self.guide.doubt(nodes.now()) };
        let from = self.places[&at].next;
        let max = if self.guide.rng.chance(1, 4) { self.guide.rng.between(1, 5_000) } else { 300_000 };
        let wait = if self.auditor { 0 } else { self.guide.rng.below(300) as i32 };
        // As real clients do: who was deposed is told so by the epoch, and does not judge offsets.
        let part = requests::part(at.1, from, max as i32).with_current_leader_epoch(leader.epoch);
        let topic = FetchTopic::default().with_topic(topic_name(logs, at.0)).with_partitions(vec![part]);
        let request = requests::fetch().with_max_wait_ms(wait).with_min_bytes(1).with_topics(vec![topic]);
        let (epoch, floor) = (leader.epoch, logs.part(at.0, at.1).told_until(leader.epoch));
        match self.guide.line(nodes, leader.node) {
            Some(line) => {
                let asked = Asked::FetchOf { at, from, epoch, floor };
                line.ask(nodes, VERSION, &request, Some(asked));
            }
            None => self.guide.doubt(nodes.now()),
        }
    }

    fn fetched(&mut self, now: u64, logs: &mut Logs, waiting: Waiting, frame: Bytes) -> Result<(), Violation> {
        let Asked::FetchOf { at: (t, p), from, epoch, floor } = waiting.asked else { unreachable!("a reader fetches") };
        let answer: FetchResponse = decode(frame, waiting.version)?;
        if !logs.is_live(t) {
            return Ok(());
        }
        if answer.error_code != code::NONE {
            self.guide.doubt(now);
            return explain(logs, "fetch", answer.error_code);
        }
        let Some(part) = answer.responses.first().and_then(|topic| topic.partitions.first()) else {
            return Err(Violation::new(Rule::Protocol, "an empty answer to Fetch"));
        };
        let deleted = logs.part(t, p).deleted;
        if part.error_code == code::OUT_OF_RANGE && from < deleted {
            let place = self.places.get_mut(&(t, p)).expect("it was asked for");
            place.next = place.next.max(deleted);
            return Ok(());
        }
        if part.error_code == code::OUT_OF_RANGE {
            let (start, end) = (part.log_start_offset, part.high_watermark);
            let text = format!(
                "topic {t} partition {p}: offset {from}, which was committed, is out of range, which is said to be {start}..{end}"
            );
            return Err(Violation::new(Rule::MarksAdvance, text));
        }
        if part.error_code != code::NONE {
            self.guide.doubt(now);
            return explain(logs, "fetch", part.error_code);
        }
        if part.high_watermark < floor {
            let text = format!(
                "topic {t} partition {p}: the leader of epoch {epoch} says that {} is the high watermark, and it was {floor} before",
                part.high_watermark
            );
            return Err(Violation::new(Rule::MarksAdvance, text));
        }
        logs.part(t, p).tell(epoch, part.high_watermark);
        let bytes = part.records.as_deref().unwrap_or(&[]);
        let next = logs.fetched((t, p), from, part.high_watermark, bytes, self.auditor)?;
        let place = self.places.get_mut(&(t, p)).expect("it was asked for");
        if place.next != from {
            return Ok(());
        }
        place.next = next;
        if self.auditor && next == from && next == part.high_watermark {
            logs.audit((t, p), next)?;
            place.done = true;
        }
        if !self.auditor && self.guide.rng.chance(1, 30) {
            place.next = self.guide.rng.below(next as u64 + 1) as i64;
        }
        Ok(())
    }
}

impl Actor for RecordReader {
    fn wake(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) -> Result<Next, Violation> {
        self.guide.wake(nodes);
        self.places.retain(|(t, _), _| logs.is_live(*t));
        for t in logs.live() {
            for p in 0..logs.topics[t].partitions.len() {
                self.places.entry((t, p)).or_default();
            }
        }
        let audited = self.auditor && !self.guide.sees_ghosts() && self.places.values().all(|place| place.done);
        if self.guide.outstanding() == 0 && (audited || self.stopping && !self.auditor) {
            self.guide.hang_up(nodes);
            return Ok(Next::Done);
        }
        if self.guide.outstanding() < if self.auditor { 4 } else { 2 } {
            self.fetch(nodes, logs);
        }
        Ok(Next::Wake(self.guide.rng.between(20_000, if self.auditor { 500_000 } else { 20_000_000 })))
    }

    fn receive(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, link: u64, bytes: &[u8]) -> Result<(), Violation> {
        let now = nodes.now();
        for (waiting, frame) in self.guide.receive(now, logs, link, bytes)? {
            self.fetched(now, logs, waiting, frame)?;
        }
        Ok(())
    }

    fn lost(&mut self, nodes: &mut dyn Nodes, _: &mut Logs, link: u64) {
        self.guide.lost(nodes.now(), link);
    }

    fn has(&self, link: u64) -> bool {
        self.guide.has(link)
    }

    fn stop(&mut self) {
        self.stopping = true;
    }
}
