//! The administrator: creates and deletes topics, deletes records, and compares the listing with what should be there.
//! It is the only one that changes what topics there are, with one request at a time.

use crate::client::{self, Client, Next};
use crate::compacted::Compaction;
use crate::history::{History, Life, code};
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, Connection, Port, Waiting, decode};
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use torc_base::prng::Prng;

/// What an administrator does.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// Topics at the beginning.
    pub topics: usize,
    /// Most partitions of one.
    pub partitions_max: u64,
    /// Topics over the whole run.
    pub topics_max: usize,
    /// Deletes records and topics.
    pub deletes: bool,
    /// Of so many topics, one is compacted.
    pub compacts: u64,
    /// Longest pause between requests, nanoseconds.
    pub pause: u64,
}

/// See the module.
pub struct Admin {
    ways: Ways,
    rng: Prng,
    connection: Connection,
    /// Topics whose creation or deletion is not known to have ended.
    open: Vec<usize>,
    /// The next request is a listing.
    unsure: bool,
    stopping: bool,
}

impl Admin {
    /// An administrator that works in `ways`.
    pub fn new(ways: Ways, mut rng: Prng) -> Admin {
        let connection = Connection::new(client::manner(&mut rng));
        Admin { ways, rng, connection, open: Vec::new(), unsure: false, stopping: false }
    }

    fn create(&mut self, port: &mut dyn Port, history: &History, topic: usize) {
        let known = &history.topics[topic];
        let mut new = CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_string(known.name.clone())))
            .with_num_partitions(known.partitions.len() as i32)
            .with_replication_factor(1);
        let config = |key: &'static str, value: String| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(key))
                .with_value(Some(StrBytes::from_string(value)))
        };
        // Clocks jump in these runs; only topics that ask for it lose records by retention.
        let bytes = if known.retention { 300_000 } else { -1 };
        new.configs = vec![config("retention.ms", "-1".into()), config("retention.bytes", bytes.to_string())];
        if let Some(compaction) = known.compaction {
            let policy = if known.retention { "compact,delete" } else { "compact" };
            new.configs.extend([
                config("cleanup.policy", policy.into()),
                config("min.cleanable.dirty.ratio", "0".into()),
                config("delete.retention.ms", compaction.tombstones_ms.to_string()),
                config("min.compaction.lag.ms", compaction.lags_ms.0.to_string()),
                config("max.compaction.lag.ms", compaction.lags_ms.1.to_string()),
            ]);
        }
        let request = CreateTopicsRequest::default().with_topics(vec![new]).with_timeout_ms(30_000);
        let version = self.rng.between(2, 7) as i16;
        self.connection.ask(port, version, &request, Some(Asked::Create(topic)));
    }

    fn delete(&mut self, port: &mut dyn Port, history: &mut History, topic: usize) {
        history.topics[topic].life = Life::Dying;
        let name = TopicName(StrBytes::from_string(history.topics[topic].name.clone()));
        let version = self.rng.between(1, 6) as i16;
        let request = DeleteTopicsRequest::default().with_timeout_ms(30_000);
        let request = if version >= 6 {
            request.with_topics(vec![DeleteTopicState::default().with_name(Some(name))])
        } else {
            request.with_topic_names(vec![name])
        };
        self.connection.ask(port, version, &request, Some(Asked::Delete(topic)));
    }

    fn delete_records(&mut self, port: &mut dyn Port, history: &mut History) {
        let live = history.live();
        let Some(&topic) = live.get(self.rng.below(live.len().max(1) as u64) as usize) else { return };
        let partition = self.rng.below(history.topics[topic].partitions.len() as u64) as usize;
        let deletes = history.deletes(topic);
        let known = history.part(topic, partition);
        let before = self.rng.below(known.hw as u64 + 1) as i64;
        if deletes {
            known.start_most = known.start_most.max(before);
        }
        let part = DeleteRecordsPartition::default().with_partition_index(partition as i32).with_offset(before);
        let of = DeleteRecordsTopic::default()
            .with_name(TopicName(StrBytes::from_string(history.topics[topic].name.clone())))
            .with_partitions(vec![part]);
        let request = DeleteRecordsRequest::default().with_topics(vec![of]).with_timeout_ms(30_000);
        let version = self.rng.between(0, 2) as i16;
        self.connection.ask(port, version, &request, Some(Asked::DeleteRecords { topic, partition, before }));
    }

    fn list(&mut self, port: &mut dyn Port) {
        // Version 10 is the first that names topic ids.
        let request = MetadataRequest::default().with_topics(None);
        let version = self.rng.between(10, 13) as i16;
        self.connection.ask(port, version, &request, Some(Asked::Metadata));
    }

    fn next(&mut self, port: &mut dyn Port, history: &mut History) {
        if self.unsure {
            self.list(port);
        } else if let Some(&topic) = self.open.first() {
            match history.topics[topic].life {
                Life::Asked => self.create(port, history, topic),
                _ => self.delete(port, history, topic),
            }
        } else if self.stopping {
        } else if history.topics.len() < self.ways.topics
            || history.topics.len() < self.ways.topics_max && self.rng.chance(1, 10)
        {
            let partitions = self.rng.between(1, self.ways.partitions_max) as usize;
            let retention = self.ways.deletes && self.rng.chance(1, 8);
            let topic = history.new_topic(format!("topic-{}", history.topics.len()), partitions, retention);
            let compacts = self.rng.chance(1, self.ways.compacts);
            history.topics[topic].compaction = compacts.then(|| compaction(&mut self.rng));
            self.open.push(topic);
            self.create(port, history, topic);
        } else if self.ways.deletes && self.rng.chance(1, 4) {
            let live = history.live();
            if live.len() > 1 && self.rng.chance(1, 6) {
                let topic = live[self.rng.below(live.len() as u64) as usize];
                self.open.push(topic);
                self.delete(port, history, topic);
            } else {
                self.delete_records(port, history);
            }
        } else {
            self.list(port);
        }
    }

    fn answered(&mut self, history: &mut History, waiting: Waiting, frame: Bytes) -> Result<(), Violation> {
        let version = waiting.version;
        let empty = || Violation::new(Rule::Protocol, "an answer that leaves out what was asked");
        match waiting.asked {
            Asked::Create(topic) => {
                let answer: CreateTopicsResponse = decode(frame, version)?;
                let result = answer.topics.first().ok_or_else(empty)?;
                self.unsure = true;
                if ![code::NONE, code::EXISTS].contains(&result.error_code) {
                    history.explain("create topic", result.error_code, Some(topic))?;
                    self.unsure = false;
                }
            }
            Asked::Delete(topic) => {
                let answer: DeleteTopicsResponse = decode(frame, version)?;
                let result = answer.responses.first().ok_or_else(empty)?;
                match result.error_code {
                    code::NONE | code::UNKNOWN_TOPIC => {
                        history.topics[topic].life = Life::Gone;
                        self.open.retain(|t| *t != topic);
                    }
                    error => {
                        history.explain("delete topic", error, Some(topic))?;
                    }
                }
            }
            Asked::DeleteRecords { topic, partition, before } => {
                let answer: DeleteRecordsResponse = decode(frame, version)?;
                let of = answer.topics.first().ok_or_else(empty)?;
                let result = of.partitions.first().ok_or_else(empty)?;
                if result.error_code == code::NONE && history.deletes(topic) {
                    history.log_start(topic, partition, before, result.low_watermark)?;
                } else if history.deletes(topic) || result.error_code != code::POLICY {
                    // Retention may have gone further, or may be about to.
                    let gone = history.topics[topic].retention && result.error_code == code::OUT_OF_RANGE;
                    if !gone {
                        history.explain("delete records", result.error_code, Some(topic))?;
                    }
                }
            }
            _ => self.compare(history, &decode(frame, version)?)?,
        }
        Ok(())
    }

    /// The listing against what should be there.
    fn compare(&mut self, history: &mut History, answer: &MetadataResponse) -> Result<(), Violation> {
        self.unsure = false;
        for t in 0..history.topics.len() {
            let topic = &mut history.topics[t];
            let listed = answer.topics.iter().find(|l| l.name.as_ref().is_some_and(|n| n.0.as_str() == topic.name));
            let listed = listed.filter(|l| l.error_code == code::NONE);
            let name = topic.name.clone();
            match (topic.life, listed) {
                (Life::Asked, Some(listed)) => {
                    topic.id = Some(listed.topic_id.as_u128());
                    topic.life = Life::Live;
                    self.open.retain(|o| *o != t);
                }
                (Life::Live, None) => {
                    return Err(Violation::new(Rule::AckedIsKept, format!("topic {name} is not listed any more")));
                }
                (Life::Live, Some(listed)) => {
                    let id = Some(listed.topic_id.as_u128());
                    if topic.id != id || topic.partitions.len() != listed.partitions.len() {
                        let text =
                            format!("topic {name} is listed with id {id:?} and {} partitions", listed.partitions.len());
                        return Err(Violation::new(Rule::SeenIsFinal, text));
                    }
                }
                (Life::Dying, None) => {
                    topic.life = Life::Gone;
                    self.open.retain(|o| *o != t);
                }
                (Life::Gone, Some(_)) => {
                    return Err(Violation::new(Rule::SeenIsFinal, format!("topic {name} is back from the dead")));
                }
                (Life::Gone | Life::Asked, None) | (Life::Dying, Some(_)) => {}
            }
        }
        Ok(())
    }
}

/// How a new topic is compacted: mostly at once, some records only when they have been there for a while.
fn compaction(rng: &mut Prng) -> Compaction {
    let min_lag_ms = [0, 0, 30][rng.below(3) as usize];
    Compaction {
        keys: rng.between(1, 12) as u32,
        // For ever, as far as a run goes; or so that they go before its end.
        tombstones_ms: [86_400_000 * 30, 2_000, 300][rng.below(3) as usize],
        lags_ms: (min_lag_ms, min_lag_ms + rng.between(1, 100)),
        // What is young stays as long as it lies in the segment that is being filled.
        age_ms: if rng.chance(2, 3) { 11_000 } else { 0 },
    }
}

impl Client for Admin {
    fn wake(&mut self, port: &mut dyn Port, history: &mut History) -> Result<Next, Violation> {
        if client::out_of_patience(port, history, &self.connection)? {
            if let Some(link) = self.connection.link {
                port.abort(link);
            }
            self.lost(port, history)?;
        }
        let idle = self.connection.outstanding() == 0;
        if idle && self.stopping && self.open.is_empty() && !self.unsure {
            return Ok(Next::Done);
        }
        if idle && self.connection.open(port, &mut self.rng) {
            self.next(port, history);
        }
        let busy = history.topics.len() < self.ways.topics || !self.open.is_empty();
        Ok(Next::Wake(self.rng.between(100_000, if busy { 1_000_000 } else { self.ways.pause })))
    }

    fn receive(&mut self, _port: &mut dyn Port, history: &mut History, bytes: &[u8]) -> Result<(), Violation> {
        for (waiting, frame) in self.connection.receive(bytes)? {
            self.answered(history, waiting, frame)?;
        }
        Ok(())
    }

    fn lost(&mut self, _port: &mut dyn Port, _history: &mut History) -> Result<(), Violation> {
        self.connection.lost();
        self.unsure = true;
        Ok(())
    }

    fn link(&self) -> Option<u64> {
        self.connection.link
    }

    fn stop(&mut self) {
        self.stopping = true;
    }
}
