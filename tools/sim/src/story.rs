//! A world for tests that read as stories: one client that waits for each answer, and misfortunes by name.

use crate::batch::{self, Plan};
use crate::disk::{Disk, Speed};
use crate::faults::{self, Class, Damage};
use crate::history::code;
use crate::net::{Appetite, Manner, Net};
use crate::requests;
use crate::run::Start;
use crate::trail::Trail;
use crate::wire::{NAME, decode, encode};
use crate::world::{Happening, MS, World};
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse, FetchResponse,
    ProduceRequest, ProduceResponse,
};
use kafka_protocol::protocol::{Decodable, HeaderVersion, Request};
use std::collections::BTreeMap;
use std::sync::Arc;
use torc_base::buf::Pool;
use torc_base::io::App;
use torc_base::limits::{RECV_BUF_BYTES, SEGMENT_BYTES_MIN};
use torc_base::prng::Prng;
use torc_shard::{CleanerSettings, CoordinatorSettings};

/// Longest wait for an answer.
const PATIENCE_MS: u64 = 5_000;

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; of a produce, the base offset.
    Ok(i64),
    /// Refused, with Kafka's error code.
    Error(i16),
    /// The connection was closed, or nobody listens.
    Lost,
    /// Nothing came for a long time.
    Silence,
}

/// What a reader got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Numbers of the batches, in log order.
    pub numbers: Vec<u64>,
    /// The error that it ended with, if any.
    pub error: Option<i16>,
}

/// A client's connection, and what has come on it.
#[derive(Default)]
struct Caller {
    link: Option<u64>,
    received: Vec<u8>,
}

/// One server with one shard, one client, and a narrator.
pub struct Story<A: App> {
    rng: Prng,
    /// For whoever wants to look closer.
    pub world: World<A>,
    make: fn(&Start) -> A,
    /// The log's cleaner, from the next start on. Without a word it is off.
    pub cleaner: CleanerSettings,
    /// The coordinators of consumer groups, from the next start on.
    pub coordinator: CoordinatorSettings,
    clients: BTreeMap<u32, Caller>,
    next_number: u64,
    /// The trail of everything.
    pub trail: Trail,
}

impl<A: App> Story<A> {
    /// A server that runs on an empty disk of `capacity` bytes.
    pub fn begin(seed: u64, capacity: u64, make: fn(&Start) -> A) -> Story<A> {
        let mut rng = Prng::new(seed);
        let speed = Speed { least: 20_000, most: 100_000, per_kib: 500 };
        let disks = vec![Disk::new(rng.fork(), capacity, speed)];
        let net = Net::new(rng.fork(), vec![Pool::new(128 * RECV_BUF_BYTES, 0)]);
        let trail = Trail::default();
        let world = World::new(rng.fork(), disks, net, trail.clone());
        let cleaner = CleanerSettings { enabled: false, ..CleanerSettings::default() };
        let coordinator = CoordinatorSettings::default();
        let mut story =
            Story { rng, world, make, cleaner, coordinator, clients: BTreeMap::new(), next_number: 1, trail };
        story.boot();
        story
    }

    /// Starts the server.
    pub fn boot(&mut self) -> &mut Self {
        let (make, seed, cleaner) = (self.make, self.rng.next_u64(), self.cleaner);
        let coordinator = Arc::new(self.coordinator.clone());
        self.world.boot(|shard| {
            make(&Start {
                shard,
                shards: 1,
                seed,
                segment_bytes: SEGMENT_BYTES_MIN,
                reserve_bytes: SEGMENT_BYTES_MIN * 2,
                cleaner,
                tail_bytes: 256 << 10,
                coordinator: Arc::clone(&coordinator),
                offsets_partitions: 1,
                zookeeper_tick_ms: None,
            })
        });
        self
    }

    /// The plug is pulled.
    pub fn cut_power(&mut self) -> &mut Self {
        self.world.cut_power();
        self.clients.clear();
        self
    }

    /// kill -9.
    pub fn kill(&mut self) -> &mut Self {
        self.world.kill();
        self.clients.clear();
        self
    }

    /// Time goes by; true if the server ended by itself meanwhile.
    pub fn wait(&mut self, ms: u64) -> bool {
        self.until(ms, |_| false)
    }

    /// An operation of `class` will fail, after `after` that do not.
    pub fn fail(&mut self, class: Class, after: u64) -> &mut Self {
        self.world.disks[0].faults.fail(class, after);
        self
    }

    /// The next `count` durable writes and syncs are only said to be durable.
    pub fn lie(&mut self, count: u64) -> &mut Self {
        self.world.disks[0].lies = count;
        self
    }

    /// Damages stable log data that has a witness; what, and where.
    pub fn damage_log(&mut self) -> Option<Damage> {
        faults::damage(&mut self.world.disks[0], &mut self.rng, "wal-", true)
    }

    /// Somebody else fills the disk up to `free` bytes.
    pub fn leave_free(&mut self, free: u64) -> &mut Self {
        self.world.disks[0].fill_up(free);
        self
    }

    /// Steps the world until `enough` or `ms` are over; true if the server ended by itself. Bytes that come are kept by
    /// client.
    fn until(&mut self, ms: u64, mut enough: impl FnMut(&Self) -> bool) -> bool {
        let end = self.world.now() + ms * MS;
        self.world.timer(ms * MS, 0);
        loop {
            match self.world.step().unwrap_or_else(|v| panic!("{}\n{v}", self.trail.tail())) {
                Some(Happening::Bytes { link, bytes }) => {
                    let client = self.clients.values_mut().find(|client| client.link == Some(link));
                    client.into_iter().for_each(|client| client.received.extend_from_slice(&bytes));
                }
                Some(Happening::Lost { link }) => {
                    let client = self.clients.values_mut().find(|client| client.link == Some(link));
                    client.into_iter().for_each(|client| *client = Caller::default());
                }
                Some(Happening::Exited { .. }) => {
                    self.kill();
                    return true;
                }
                Some(_) if self.world.now() < end => {}
                _ => return false,
            }
            if enough(self) {
                return false;
            }
        }
    }

    /// Sends a request as one of several clients, each with a connection of its own; nobody waits for the answer.
    pub fn send<R: Request>(&mut self, client: u32, version: i16, request: &R) {
        let manner = Manner { piece: 64 << 10, delay: 20_000, stalls: 0, appetite: Appetite::All };
        let caller = self.clients.entry(client).or_default();
        if caller.link.is_none() {
            caller.link = self.world.connect(0, manner);
        }
        if let Some(link) = caller.link {
            self.world.send(link, &encode(NAME, request, version, 1));
        }
    }

    /// Waits for the answer to the oldest request of a client.
    fn frame(&mut self, client: u32) -> Result<Bytes, Answer> {
        let frame = |story: &Self| {
            let received = &story.clients.get(&client)?.received;
            let length = u32::from_be_bytes(received.get(..4)?.try_into().expect("4 bytes")) as usize;
            received.get(4..4 + length).map(Bytes::copy_from_slice)
        };
        let is_lost = |story: &Self| story.clients.get(&client).is_none_or(|caller| caller.link.is_none());
        if frame(self).is_none() && !is_lost(self) {
            self.until(PATIENCE_MS, |story| frame(story).is_some() || is_lost(story));
        }
        let Some(frame) = frame(self) else { return Err(if is_lost(self) { Answer::Lost } else { Answer::Silence }) };
        self.clients.get_mut(&client).expect("it has received").received.drain(..4 + frame.len());
        Ok(frame)
    }

    /// Waits for the answer to the oldest request of a client, which has to come.
    pub fn take<T: Decodable + HeaderVersion>(&mut self, client: u32, version: i16) -> T {
        let frame = self.frame(client).unwrap_or_else(|answer| panic!("{answer:?}\n{}", self.trail.tail()));
        decode(frame, version).expect("a well formed answer")
    }

    /// Asks, and waits for the answer's bytes.
    fn ask<R: Request>(&mut self, version: i16, request: &R) -> Result<Bytes, Answer> {
        self.send(0, version, request);
        self.frame(0)
    }

    /// Creates a topic, trying again for a while if the server is not ready.
    pub fn create(&mut self, name: &str, partitions: i32) -> Answer {
        let topic = CreatableTopic::default()
            .with_name(requests::topic(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let frame = match self.ask(4, &request) {
            Ok(frame) => frame,
            Err(answer) => return answer,
        };
        let answer: CreateTopicsResponse = decode(frame, 4).expect("a well formed answer");
        verdict(answer.topics[0].error_code, 0)
    }

    /// Deletes a topic.
    pub fn delete(&mut self, name: &str) -> Answer {
        let state = DeleteTopicState::default().with_name(Some(requests::topic(name)));
        let request = DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(10_000);
        let frame = match self.ask(6, &request) {
            Ok(frame) => frame,
            Err(answer) => return answer,
        };
        let answer: DeleteTopicsResponse = decode(frame, 6).expect("a well formed answer");
        verdict(answer.responses[0].error_code, 0)
    }

    /// Produces a batch of one record of `bytes` bytes with acks=all; its number and what came of it.
    pub fn produce(&mut self, topic: &str, partition: i32, bytes: usize) -> (u64, Answer) {
        self.produce_as(topic, partition, bytes, (-1, -1, -1))
    }

    /// The same for an idempotent producer (id, epoch, sequence).
    pub fn produce_as(&mut self, topic: &str, partition: i32, bytes: usize, who: (i64, i16, i32)) -> (u64, Answer) {
        let number = self.next_number;
        self.next_number += 1;
        (number, self.produce_again(topic, partition, number, bytes, who))
    }

    /// Sends a batch and does not wait for the answer, but a moment.
    pub fn produce_and_leave(&mut self, topic: &str, partition: i32, bytes: usize) {
        let number = self.next_number;
        self.next_number += 1;
        let request = self.produce_request(topic, partition, number, bytes, (-1, -1, -1));
        if let Some(link) = self.clients.get(&0).and_then(|caller| caller.link) {
            self.world.send(link, &encode(NAME, &request, 9, 1));
        }
        let us = self.rng.below(400);
        self.wait_us(us);
    }

    /// Microseconds go by; what clients are sent meanwhile is lost.
    pub fn wait_us(&mut self, us: u64) {
        let end = self.world.now() + us * 1_000;
        self.world.timer(us * 1_000, 0);
        while self.world.now() < end {
            self.world.step().unwrap_or_else(|v| panic!("{v}"));
        }
    }

    /// Sends batch `number` (again).
    pub fn produce_again(
        &mut self,
        topic: &str,
        partition: i32,
        number: u64,
        bytes: usize,
        who: (i64, i16, i32),
    ) -> Answer {
        let request = self.produce_request(topic, partition, number, bytes, who);
        let frame = match self.ask(9, &request) {
            Ok(frame) => frame,
            Err(answer) => return answer,
        };
        let answer: ProduceResponse = decode(frame, 9).expect("a well formed answer");
        let part = &answer.responses[0].partition_responses[0];
        verdict(part.error_code, part.base_offset)
    }

    fn produce_request(&self, topic: &str, p: i32, number: u64, bytes: usize, who: (i64, i16, i32)) -> ProduceRequest {
        let timestamp = self.world.clocks().wall.0;
        let batch = batch::build(&Plan { number, records: 1, bytes, producer: who, timestamp, keys: 0 });
        let data = PartitionProduceData::default().with_index(p).with_records(Some(Bytes::from(batch)));
        let of = TopicProduceData::default().with_name(requests::topic(topic)).with_partition_data(vec![data]);
        ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![of])
    }

    /// Reads a partition from `from` to its high watermark.
    pub fn read(&mut self, topic: &str, partition: i32, from: i64) -> Reading {
        let mut reading = Reading { numbers: Vec::new(), error: None };
        let mut next = from;
        loop {
            let part = requests::part(partition as usize, next, 1 << 20);
            let of = FetchTopic::default().with_topic(requests::topic(topic)).with_partitions(vec![part]);
            let request = requests::fetch().with_topics(vec![of]);
            let frame = match self.ask(11, &request) {
                Ok(frame) => frame,
                Err(_) => return Reading { error: Some(-1), ..reading },
            };
            let answer: FetchResponse = decode(frame, 11).expect("a well formed answer");
            let part = &answer.responses[0].partitions[0];
            if part.error_code != code::NONE {
                return Reading { error: Some(part.error_code), ..reading };
            }
            let batches = batch::split(part.records.as_deref().unwrap_or(&[])).expect("true bytes");
            if batches.is_empty() {
                return reading;
            }
            for batch in batches {
                assert!(batch.base <= next && batch.end > next, "a gap behind offset {next}");
                reading.numbers.push(batch.number);
                next = batch.end;
            }
            if next >= part.high_watermark {
                return reading;
            }
        }
    }
}

fn verdict(error: i16, offset: i64) -> Answer {
    if error == code::NONE { Answer::Ok(offset) } else { Answer::Error(error) }
}
