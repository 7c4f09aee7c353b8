//! Makes the topics of a run, by asking one node after the other until it is done; now and then it makes another one, and deletes
//! one.

use super::guide::{Guide, Nodes, topic_name};
use super::logs::Logs;
use super::{Actor, explain};
use crate::client::Next;
use crate::history::{Life, code};
use crate::requests;
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, Waiting, decode};
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse};
use torc_base::prng::Prng;

/// There are not yet as many nodes as replicas.
const INVALID_REPLICATION_FACTOR: i16 = 38;
/// Most topics of a run.
const TOPICS_MAX: usize = 8;

/// What a maker does beside making the topics that there are.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// About so often it makes or deletes one; 0: never.
    pub pause: u64,
    /// Replicas of what it makes.
    pub replication: i16,
    /// Keys of what it makes, if that is to be compacted.
    pub keys: u32,
}

/// See the module.
pub struct Maker {
    guide: Guide,
    ways: Ways,
    /// When it changes its mind next.
    next: u64,
    /// The deletion that is asked for has been asked for before, and nobody said what became of that.
    again: bool,
    stopping: bool,
}

impl Maker {
    /// Of all topics that are not made.
    pub fn new(rng: Prng, ways: Ways) -> Maker {
        Maker { guide: Guide::new(rng), ways, next: 0, again: false, stopping: false }
    }

    /// Nobody will say what became of these.
    fn not_answered(&mut self, logs: &mut Logs, lost: &[Waiting]) {
        for waiting in lost {
            match waiting.asked {
                Asked::Create(t) => logs.topics[t].haunted = true,
                Asked::Delete(_) => self.again = true,
                _ => {}
            }
        }
    }

    fn create(&mut self, nodes: &mut dyn Nodes, logs: &Logs, t: usize) {
        let node = self.guide.rng.below(nodes.nodes() as u64) as usize;
        let topic = &logs.topics[t];
        let config = |key: &'static str, value: &'static str| {
            CreatableTopicConfig::default().with_name(requests::text(key)).with_value(Some(requests::text(value)))
        };
        // Clocks jump.
        let mut configs = vec![config("retention.ms", "-1")];
        if topic.keys > 0 {
            configs.extend([
                config("cleanup.policy", "compact"),
                config("min.cleanable.dirty.ratio", "0"),
                config("delete.retention.ms", "2592000000"),
                config("min.compaction.lag.ms", "0"),
                config("max.compaction.lag.ms", "50"),
            ]);
        }
        let wanted = CreatableTopic::default()
            .with_name(topic_name(logs, t))
            .with_num_partitions(topic.partitions.len() as i32)
            .with_replication_factor(topic.replication)
            .with_configs(configs);
        let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(5_000);
        if let Some(line) = self.guide.line(nodes, node) {
            line.ask(nodes, 5, &request, Some(Asked::Create(t)));
        }
    }

    fn delete(&mut self, nodes: &mut dyn Nodes, logs: &Logs, t: usize) {
        let node = self.guide.rng.below(nodes.nodes() as u64) as usize;
        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name(logs, t)]).with_timeout_ms(5_000);
        if let Some(line) = self.guide.line(nodes, node) {
            line.ask(nodes, 4, &request, Some(Asked::Delete(t)));
        }
    }

    fn change_its_mind(&mut self, now: u64, logs: &mut Logs) {
        self.next = now + self.guide.rng.between(self.ways.pause / 4, 2 * self.ways.pause);
        let live = logs.live();
        if live.len() > 1 && self.guide.rng.chance(1, 2) {
            let t = live[self.guide.rng.below(live.len() as u64) as usize];
            (logs.topics[t].life, self.again) = (Life::Dying, false);
        } else if logs.topics.len() < TOPICS_MAX {
            let keys = if self.guide.rng.chance(1, 2) { self.ways.keys } else { 0 };
            logs.add_topic(self.guide.rng.between(1, 3) as usize, self.ways.replication, keys);
        }
    }

    fn answered(&mut self, logs: &mut Logs, waiting: Waiting, frame: Bytes) -> Result<(), Violation> {
        match waiting.asked {
            Asked::Create(t) => {
                let answer: CreateTopicsResponse = decode(frame, waiting.version)?;
                let Some(result) = answer.topics.first() else {
                    return Err(Violation::new(Rule::Protocol, "an empty answer to CreateTopics"));
                };
                match result.error_code {
                    code::NONE | code::EXISTS => logs.topics[t].life = Life::Live,
                    INVALID_REPLICATION_FACTOR => {}
                    error => {
                        explain(logs, "create topics", error)?;
                        logs.topics[t].haunted = true;
                    }
                }
            }
            Asked::Delete(t) => {
                let answer: DeleteTopicsResponse = decode(frame, waiting.version)?;
                let Some(result) = answer.responses.first() else {
                    return Err(Violation::new(Rule::Protocol, "an empty answer to DeleteTopics"));
                };
                match result.error_code {
                    code::NONE => logs.topics[t].life = Life::Gone,
                    code::UNKNOWN_TOPIC if self.again => logs.topics[t].life = Life::Gone,
                    error => explain(logs, "delete topics", error)?,
                }
                logs.deleted += u64::from(logs.topics[t].life == Life::Gone);
                // Nobody who refused it has done it, but where it is not known.
                self.again |= result.error_code != code::UNKNOWN_TOPIC;
            }
            asked => return Err(Violation::new(Rule::Protocol, format!("a maker asked for {asked:?}"))),
        }
        Ok(())
    }
}

impl Actor for Maker {
    fn wake(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) -> Result<Next, Violation> {
        let lost = self.guide.wake(nodes);
        self.not_answered(logs, &lost);
        let pause = Next::Wake(self.guide.rng.between(1_000_000, 60_000_000));
        if self.guide.outstanding() > 0 {
            return Ok(pause);
        }
        let of = |life: Life| logs.topics.iter().position(|topic| topic.life == life);
        match (of(Life::Asked), of(Life::Dying)) {
            (Some(t), _) => self.create(nodes, logs, t),
            (None, Some(t)) => self.delete(nodes, logs, t),
            (None, None) if self.stopping => {
                self.guide.hang_up(nodes);
                return Ok(Next::Done);
            }
            (None, None) if self.ways.pause > 0 && self.next <= nodes.now() => self.change_its_mind(nodes.now(), logs),
            (None, None) => {}
        }
        Ok(pause)
    }

    fn receive(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, link: u64, bytes: &[u8]) -> Result<(), Violation> {
        for (waiting, frame) in self.guide.receive(nodes.now(), logs, link, bytes)? {
            self.answered(logs, waiting, frame)?;
        }
        Ok(())
    }

    fn lost(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, link: u64) {
        let lost = self.guide.lost(nodes.now(), link);
        self.not_answered(logs, &lost);
    }

    fn has(&self, link: u64) -> bool {
        self.guide.has(link)
    }

    fn stop(&mut self) {
        self.stopping = true;
    }
}
