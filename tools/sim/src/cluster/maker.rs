//! Makes the topics of a run, by asking one node after the other until it is done.

use super::guide::{Guide, Nodes, topic_name};
use super::logs::Logs;
use super::{Actor, explain};
use crate::client::Next;
use crate::history::code;
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, decode};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use torc_base::prng::Prng;

/// There are not yet as many nodes as replicas.
const INVALID_REPLICATION_FACTOR: i16 = 38;

/// See the module.
pub struct Maker {
    guide: Guide,
}

impl Maker {
    /// Of all topics that are not made.
    pub fn new(rng: Prng, nodes: usize) -> Maker {
        Maker { guide: Guide::new(rng, nodes) }
    }
}

impl Actor for Maker {
    fn wake(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) -> Result<Next, Violation> {
        self.guide.wake(nodes);
        let Some(next) = logs.topics.iter().position(|topic| !topic.made) else {
            if self.guide.outstanding() > 0 {
                return Ok(Next::Wake(1_000_000));
            }
            self.guide.hang_up(nodes);
            return Ok(Next::Done);
        };
        if self.guide.outstanding() == 0 {
            let node = self.guide.rng.below(nodes.nodes() as u64) as usize;
            let topic = &logs.topics[next];
            let wanted = CreatableTopic::default()
                .with_name(topic_name(logs, next))
                .with_num_partitions(topic.partitions.len() as i32)
                .with_replication_factor(topic.replication);
            let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(5_000);
            if let Some(line) = self.guide.line(nodes, node) {
                line.ask(nodes, 5, &request, Some(Asked::Create(next)));
            }
        }
        Ok(Next::Wake(self.guide.rng.between(1_000_000, 60_000_000)))
    }

    fn receive(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, link: u64, bytes: &[u8]) -> Result<(), Violation> {
        for (waiting, frame) in self.guide.receive(nodes.now(), logs, link, bytes)? {
            let Asked::Create(topic) = waiting.asked else { unreachable!("a maker makes topics") };
            let answer: CreateTopicsResponse = decode(frame, waiting.version)?;
            let Some(result) = answer.topics.first() else {
                return Err(Violation::new(Rule::Protocol, "an empty answer to CreateTopics"));
            };
            match result.error_code {
                code::NONE | code::EXISTS => logs.topics[topic].made = true,
                INVALID_REPLICATION_FACTOR => {}
                error => explain(logs, "create topics", error)?,
            }
        }
        Ok(())
    }

    fn lost(&mut self, nodes: &mut dyn Nodes, link: u64) {
        self.guide.lost(nodes.now(), link);
    }

    fn has(&self, link: u64) -> bool {
        self.guide.has(link)
    }

    fn stop(&mut self) {}
}
