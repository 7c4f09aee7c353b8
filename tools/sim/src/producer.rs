//! A producer: batches for several partitions, some of its requests in flight at once, retries over lost connections.
//!
//! Whatever goes wrong, it waits until nothing is in flight and then sends what has no acknowledgement again, in order;
//! with a producer id that must never put a batch into the log twice, or two in the wrong order.

use crate::batch::Plan;
use crate::client::{self, Client, Next};
use crate::history::{History, Life, Verdict, code};
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, Connection, Port, Waiting, decode};
use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::prng::Prng;
use uuid::Uuid;

/// How a producer works.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// Asks for a producer id; acks are all then.
    pub idempotent: bool,
    /// Sends again what it is not sure of.
    pub retries: bool,
    /// 0, 1, -1.
    pub acks: i16,
    /// Produce's version.
    pub version: i16,
    /// Requests in flight.
    pub in_flight: usize,
    /// Largest batch.
    pub bytes_max: usize,
    /// Longest pause between requests, nanoseconds.
    pub pause: u64,
}

/// Lanes of producers without an id, by connection.
const ONE_CONNECTION: u64 = 1 << 62;

/// A batch without an acknowledgement.
#[derive(Clone, Copy)]
struct Pending {
    topic: usize,
    partition: usize,
    number: u64,
}

/// See the module.
pub struct Producer {
    ways: Ways,
    rng: Prng,
    connection: Connection,
    /// Its producer id and epoch.
    id: Option<(i64, i16)>,
    /// Next sequence of each partition.
    sequences: BTreeMap<(usize, usize), i32>,
    /// Without an acknowledgement, oldest first.
    pending: Vec<Pending>,
    /// Something went wrong: nothing new until `pending` has been sent again.
    again: bool,
    /// Partitions of which a batch was given up: their sequence has a hole for ever.
    given_up: BTreeSet<(usize, usize)>,
    /// Unique; its batches' lane.
    lane: u64,
    order: u64,
    stopping: bool,
    /// Nothing is sent before.
    not_before: u64,
}

impl Producer {
    /// A producer that works in `ways`; `lane` is its own.
    pub fn new(ways: Ways, mut rng: Prng, lane: u64) -> Producer {
        let connection = Connection::new(client::manner(&mut rng));
        Producer {
            ways,
            rng,
            connection,
            id: None,
            sequences: BTreeMap::new(),
            pending: Vec::new(),
            again: false,
            given_up: BTreeSet::new(),
            lane: lane << 32,
            order: 0,
            stopping: false,
            not_before: 0,
        }
    }

    fn send_pending(&mut self, port: &mut dyn Port, history: &mut History) {
        // One batch per partition and request, as every client does; the order within a partition is kept.
        let mut rest: Vec<Pending> = self.pending.clone();
        while !rest.is_empty() {
            let mut taken = BTreeSet::new();
            let mut left = Vec::new();
            let mut these = Vec::new();
            for one in rest {
                if taken.insert((one.topic, one.partition)) { these.push(one) } else { left.push(one) }
            }
            self.send(port, history, &these);
            rest = left;
        }
        self.again = false;
    }

    fn compose(&mut self, port: &mut dyn Port, history: &mut History) -> Vec<Pending> {
        let live = history.live();
        let mut these: Vec<Pending> = Vec::new();
        if live.is_empty() {
            return these;
        }
        for _ in 0..self.rng.between(1, 3) {
            let topic = live[self.rng.below(live.len() as u64) as usize];
            let partition = self.rng.below(history.topics[topic].partitions.len() as u64) as usize;
            let taken = these.iter().any(|p| (p.topic, p.partition) == (topic, partition));
            if taken || self.given_up.contains(&(topic, partition)) {
                continue;
            }
            let number = history.next_number();
            let many = self.rng.chance(1, 8);
            let records = self.rng.between(1, if many { 60 } else { 4 }) as u32;
            let bytes = match self.rng.below(16) {
                0 => self.rng.between(32 << 10, self.ways.bytes_max.max(33 << 10) as u64),
                1..=4 => self.rng.between(1 << 10, 20 << 10),
                _ => self.rng.between(1, 800),
            } as usize;
            let producer = match self.id {
                Some((id, epoch)) => {
                    let sequence = self.sequences.entry((topic, partition)).or_insert(0);
                    let base = *sequence;
                    *sequence += records as i32;
                    (id, epoch, base)
                }
                None => (-1, -1, -1),
            };
            self.order += 1;
            let (keys, age) = history.topics[topic].compaction.map_or((0, 0), |how| (how.keys, how.age_ms));
            let timestamp = port.wall_ms() - (age + self.rng.below(5_000)) as i64;
            let plan = Plan { number, records, bytes, producer, timestamp, keys };
            // Without a producer id only what was sent once, on one connection, has an order.
            let lane = if self.id.is_some() { self.lane } else { ONE_CONNECTION | self.connection.link.unwrap_or(0) };
            history.compose(topic, partition, &plan, (lane, self.order));
            these.push(Pending { topic, partition, number });
        }
        these
    }

    fn send(&mut self, port: &mut dyn Port, history: &mut History, these: &[Pending]) {
        let mut topics: BTreeMap<usize, Vec<PartitionProduceData>> = BTreeMap::new();
        for one in these {
            let sent = history.part(one.topic, one.partition).batches.get_mut(&one.number).expect("composed before");
            sent.attempts += 1;
            let records = Bytes::copy_from_slice(&sent.bytes);
            let data = PartitionProduceData::default().with_index(one.partition as i32).with_records(Some(records));
            topics.entry(one.topic).or_default().push(data);
        }
        let by_id = self.ways.version >= 13;
        let topic_data = topics.into_iter().map(|(topic, data)| {
            let known = &history.topics[topic];
            let named = TopicProduceData::default().with_partition_data(data);
            if by_id {
                named.with_topic_id(Uuid::from_u128(known.id.unwrap_or(0)))
            } else {
                named.with_name(TopicName(StrBytes::from_string(known.name.clone())))
            }
        });
        let request = ProduceRequest::default()
            .with_acks(self.ways.acks)
            .with_timeout_ms(30_000)
            .with_topic_data(topic_data.collect());
        let asked = Asked::Produce(these.iter().map(|p| (p.topic, p.partition, p.number)).collect());
        let answered = self.ways.acks != 0;
        self.connection.ask(port, self.ways.version, &request, answered.then_some(asked));
    }

    fn answered(&mut self, history: &mut History, waiting: Waiting, frame: Bytes) -> Result<(), Violation> {
        let Asked::Produce(asked) = waiting.asked else { unreachable!("a producer produces") };
        let answer: ProduceResponse = decode(frame, waiting.version)?;
        let mut left = asked.clone();
        for topic in &answer.responses {
            for part in &topic.partition_responses {
                let at = left.iter().position(|(t, p, _)| {
                    let known = &history.topics[*t];
                    let same = if waiting.version >= 13 {
                        known.id == Some(topic.topic_id.as_u128())
                    } else {
                        known.name == topic.name.0.as_str()
                    };
                    same && *p == part.index as usize
                });
                let Some(at) = at else {
                    return Err(Violation::new(
                        Rule::Protocol,
                        format!("a produce answer names partition {} that was not in it", part.index),
                    ));
                };
                let (t, p, number) = left.swap_remove(at);
                self.judge(history, (t, p, number), part.error_code, part.base_offset)?;
            }
        }
        match left.first() {
            None => Ok(()),
            Some(one) => Err(Violation::new(Rule::Protocol, format!("a produce answer says nothing of batch {one:?}"))),
        }
    }

    fn judge(
        &mut self,
        history: &mut History,
        one: (usize, usize, u64),
        error: i16,
        base: i64,
    ) -> Result<(), Violation> {
        let (t, p, number) = one;
        if error == code::NONE {
            self.pending.retain(|x| x.number != number);
            return history.acknowledged(t, p, number, base, self.ways.acks == -1);
        }
        if error == code::OUT_OF_ORDER && self.id.is_some() {
            let oldest = self.pending.iter().find(|x| (x.topic, x.partition) == (t, p)).map(|x| x.number);
            if oldest == Some(number) {
                let text = format!(
                    "batch {number} of {} partition {p} is the next in order, and was refused as out of order",
                    history.topics[t].name
                );
                return Err(Violation::new(Rule::ExpectedErrors, text));
            }
            self.again = true;
            return Ok(());
        }
        match history.explain("produce", error, Some(t))? {
            Verdict::Retry if self.ways.retries => self.again = true,
            _ => self.give_up(t, p, number),
        }
        Ok(())
    }

    fn give_up(&mut self, t: usize, p: usize, number: u64) {
        if self.ways.idempotent {
            self.given_up.insert((t, p));
            self.pending.retain(|x| (x.topic, x.partition) != (t, p));
        } else {
            self.pending.retain(|x| x.number != number);
        }
    }

    fn hang_up(&mut self, port: &mut dyn Port, history: &mut History) -> Result<(), Violation> {
        if let Some(link) = self.connection.link {
            port.abort(link);
        }
        self.lost(port, history)
    }

    fn ask_for_id(&mut self, port: &mut dyn Port) {
        let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
        let version = self.rng.between(0, 4) as i16;
        self.connection.ask(port, version, &request, Some(Asked::InitProducerId));
    }
}

impl Client for Producer {
    fn wake(&mut self, port: &mut dyn Port, history: &mut History) -> Result<Next, Violation> {
        if client::out_of_patience(port, history, &self.connection)? {
            self.hang_up(port, history)?;
        }
        if self.stopping && self.pending.is_empty() && self.connection.outstanding() == 0 {
            return Ok(Next::Done);
        }
        let pause = Next::Wake(self.rng.between(20_000, self.ways.pause));
        if port.now() < self.not_before || !self.connection.open(port, &mut self.rng) {
            return Ok(pause);
        }
        let outstanding = self.connection.outstanding();
        if self.ways.idempotent && self.id.is_none() {
            if outstanding == 0 {
                self.ask_for_id(port);
            }
            return Ok(pause);
        }
        self.pending.retain(|x| !matches!(history.topics[x.topic].life, Life::Gone) || self.ways.idempotent);
        if self.again {
            if outstanding == 0 {
                self.send_pending(port, history);
            }
        } else if outstanding < self.ways.in_flight && !self.stopping {
            let these = self.compose(port, history);
            if !these.is_empty() {
                if self.ways.acks != 0 {
                    self.pending.extend(&these);
                }
                self.send(port, history, &these);
            }
        }
        if self.rng.chance(1, 400) {
            self.hang_up(port, history)?;
        }
        Ok(pause)
    }

    fn receive(&mut self, port: &mut dyn Port, history: &mut History, bytes: &[u8]) -> Result<(), Violation> {
        for (waiting, frame) in self.connection.receive(bytes)? {
            if matches!(waiting.asked, Asked::InitProducerId) {
                let answer: InitProducerIdResponse = decode(frame, waiting.version)?;
                if answer.error_code == code::NONE {
                    history.producer_id(answer.producer_id.0, answer.producer_epoch)?;
                    self.id = Some((answer.producer_id.0, answer.producer_epoch));
                } else {
                    history.explain("init producer id", answer.error_code, None)?;
                    self.not_before = port.now() + 50_000_000;
                }
                continue;
            }
            let before = self.again;
            self.answered(history, waiting, frame)?;
            if self.again && !before {
                self.not_before = port.now() + self.rng.between(5, 100) * 1_000_000;
            }
        }
        Ok(())
    }

    fn lost(&mut self, _port: &mut dyn Port, _history: &mut History) -> Result<(), Violation> {
        let waiting = self.connection.lost();
        if !self.ways.retries {
            for one in waiting {
                let Asked::Produce(asked) = one.asked else { continue };
                self.pending.retain(|x| !asked.iter().any(|a| a.2 == x.number));
            }
        }
        self.again = !self.pending.is_empty();
        Ok(())
    }

    fn link(&self) -> Option<u64> {
        self.connection.link
    }

    fn stop(&mut self) {
        self.stopping = true;
    }
}
