//! Has records deleted that somebody has been told are committed, as those do who have read them. What is behind them stays.

use super::guide::{Guide, Nodes, topic_name};
use super::logs::Logs;
use super::{Actor, explain};
use crate::client::Next;
use crate::history::code;
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, decode};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use torc_base::prng::Prng;

/// Version of what it asks.
const VERSION: i16 = 2;

/// See the module.
pub struct Deleter {
    guide: Guide,
    pause: u64,
    stopping: bool,
}

impl Deleter {
    /// One that asks about once in each `pause`.
    pub fn new(rng: Prng, pause: u64) -> Deleter {
        Deleter { guide: Guide::new(rng), pause, stopping: false }
    }

    fn delete(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) {
        // Nobody knows which records of a compacted topic are left.
        let live: Vec<usize> = logs.live().into_iter().filter(|topic| logs.topics[*topic].keys == 0).collect();
        if live.is_empty() {
            return;
        }
        let rng = &mut self.guide.rng;
        let topic = live[rng.below(live.len() as u64) as usize];
        let partition = rng.below(logs.topics[topic].partitions.len() as u64) as usize;
        let committed = logs.part(topic, partition).high_watermark;
        let before = if rng.chance(1, 3) { committed } else { rng.below(committed as u64 + 1) as i64 };
        let Some(leader) = self.guide.leader(topic, partition) else { return self.guide.doubt(nodes.now()) };
        let part = DeleteRecordsPartition::default().with_partition_index(partition as i32).with_offset(before);
        let of = DeleteRecordsTopic::default().with_name(topic_name(logs, topic)).with_partitions(vec![part]);
        let request = DeleteRecordsRequest::default().with_topics(vec![of]).with_timeout_ms(5_000);
        let Some(line) = self.guide.line(nodes, leader.node) else { return self.guide.doubt(nodes.now()) };
        line.ask(nodes, VERSION, &request, Some(Asked::DeleteRecords { topic, partition, before }));
        let known = logs.part(topic, partition);
        known.deleted = known.deleted.max(before);
    }
}

impl Actor for Deleter {
    fn wake(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) -> Result<Next, Violation> {
        self.guide.wake(nodes);
        if self.guide.outstanding() > 0 {
            return Ok(Next::Wake(10_000_000));
        }
        if self.stopping {
            self.guide.hang_up(nodes);
            return Ok(Next::Done);
        }
        self.delete(nodes, logs);
        Ok(Next::Wake(self.guide.rng.between(self.pause / 4, 2 * self.pause)))
    }

    fn receive(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, link: u64, bytes: &[u8]) -> Result<(), Violation> {
        let now = nodes.now();
        for (waiting, frame) in self.guide.receive(now, logs, link, bytes)? {
            let Asked::DeleteRecords { topic, .. } = waiting.asked else { unreachable!("it asks for nothing else") };
            let answer: DeleteRecordsResponse = decode(frame, waiting.version)?;
            let Some(part) = answer.topics.first().and_then(|topic| topic.partitions.first()) else {
                return Err(Violation::new(Rule::Protocol, "an empty answer to DeleteRecords"));
            };
            match part.error_code {
                code::NONE => {}
                // Who was deposed may not know what another one has told.
                code::OUT_OF_RANGE => self.guide.doubt(now),
                _ if !logs.is_live(topic) => {}
                error => {
                    self.guide.doubt(now);
                    explain(logs, "a deletion of records", error)?;
                }
            }
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
