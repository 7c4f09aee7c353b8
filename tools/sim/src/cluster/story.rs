//! A cluster for tests that read as stories: three nodes of a shard each, one client that asks until it has an answer, and
//! misfortunes by name.

use super::{Budget, Seat};
use crate::batch::{self, Plan};
use crate::disk::{Disk, Speed};
use crate::faults;
use crate::history::code;
use crate::net::{Appetite, Manner, Net};
use crate::requests;
use crate::run::Start;
use crate::trail::Trail;
use crate::wire::{NAME, decode, encode};
use crate::world::{Happening, MS, World};
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, FetchResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    ProduceResponse,
};
use kafka_protocol::protocol::Request;
use std::collections::BTreeMap;
use std::sync::Arc;
use torc_base::buf::Pool;
use torc_base::ids::{GroupId, Index};
use torc_base::io::App;
use torc_base::limits::{RECV_BUF_BYTES, SEGMENT_BYTES_MIN};
use torc_base::prng::Prng;
use torc_base::time::Mono;
use torc_shard::CleanerSettings;

/// Nodes of a story.
pub const NODES: usize = 3;
/// Longest wait for one answer, and for somebody who can give it.
const ANSWER_MS: u64 = 1_500;
const PATIENCE_MS: u64 = 60_000;
/// Bytes of most batches.
const SHORT: usize = 200;
/// The topic of all stories: of one partition, on all nodes if nothing else is said.
const TOPIC: &str = "t";

/// See the module.
pub struct ClusterStory<A: App> {
    rng: Prng,
    /// For whoever wants to look closer.
    pub world: World<A>,
    make: fn(&Seat) -> A,
    /// Bytes of the segments of each node.
    pub segments: [u64; NODES],
    /// Disks that were replaced, by node.
    replaced: [u64; NODES],
    /// Replicas of the partition.
    copies: usize,
    /// The connection to each node, and what has come on it.
    lines: BTreeMap<usize, (u64, Vec<u8>)>,
    next_number: u64,
    /// The trail of everything.
    pub trail: Trail,
}

impl<A: App> ClusterStory<A> {
    /// All nodes run, and the topic is there.
    pub fn begin(seed: u64, make: fn(&Seat) -> A) -> ClusterStory<A> {
        ClusterStory::begin_with(seed, make, [SEGMENT_BYTES_MIN; NODES])
    }

    /// The same with segments of these sizes.
    pub fn begin_with(seed: u64, make: fn(&Seat) -> A, segments: [u64; NODES]) -> ClusterStory<A> {
        ClusterStory::begin_of(seed, make, segments, NODES)
    }

    /// The same with so many copies.
    pub fn begin_of(seed: u64, make: fn(&Seat) -> A, segments: [u64; NODES], copies: usize) -> ClusterStory<A> {
        let mut rng = Prng::new(seed);
        let speed = Speed { least: 20_000, most: 100_000, per_kib: 500 };
        let disks = (0..NODES).map(|_| Disk::new(rng.fork(), 256 << 20, speed)).collect();
        let pools = (0..NODES).map(|_| vec![Pool::new(128 * RECV_BUF_BYTES, 0)]).collect();
        let net = Net::of_nodes(rng.fork(), pools);
        let trail = Trail::default();
        let world = World::new(rng.fork(), disks, net, trail.clone());
        let (replaced, lines) = ([0; NODES], BTreeMap::new());
        let mut story = ClusterStory { rng, world, make, segments, replaced, copies, lines, next_number: 1, trail };
        (0..NODES).for_each(|node| story.boot(node));
        story.create();
        story
    }

    /// Starts a node.
    pub fn boot(&mut self, node: usize) {
        let (make, seed, start) = (self.make, self.rng.next_u64(), self.rng.next_u64());
        let first = Budget::first_disk(node);
        let disk = first + u128::from(self.replaced[node]);
        let segment_bytes = self.segments[node];
        self.world.boot_node(node, |shard| {
            make(&Seat {
                node,
                founders: NODES,
                start,
                disk,
                is_replaced: disk != first,
                newest_version: u16::MAX,
                shard: Start {
                    shard,
                    shards: 1,
                    seed,
                    segment_bytes,
                    reserve_bytes: segment_bytes * 2,
                    cleaner: CleanerSettings { enabled: false, ..CleanerSettings::default() },
                    tail_bytes: 256 << 10,
                    coordinator: Arc::default(),
                    offsets_partitions: 1,
                    zookeeper_tick_ms: None,
                },
            })
        });
    }

    /// The plug of a node is pulled.
    pub fn cut_power(&mut self, node: usize) {
        self.world.cut_power_of(node);
        self.lines.remove(&node);
    }

    /// kill -9.
    pub fn kill(&mut self, node: usize) {
        self.world.kill_node(node);
        self.lines.remove(&node);
    }

    /// A node that does not run gets an empty disk.
    pub fn replace_disk(&mut self, node: usize) {
        self.replaced[node] += 1;
        self.world.replace_disks(node);
    }

    /// Up to `count` places on the disk of a node rot: of its log, or of its checkpoint, where its catalog is. How many did.
    pub fn rot(&mut self, node: usize, count: usize) -> usize {
        let disk = &mut self.world.disks[node];
        let rots = (0..count).filter_map(|at| {
            let of_log = at % 2 == 0;
            faults::damage(disk, &mut self.rng, if of_log { "wal-" } else { "checkpoint" }, of_log)
        });
        rots.count()
    }

    /// Entries rot on the disks of all nodes, which are down, none on all: see [`super::scatter`]. How many did on each.
    pub fn scatter(&mut self, one_in: u64) -> Vec<usize> {
        super::scatter::scatter(&mut self.world.disks, &mut self.rng, one_in)
    }

    /// An entry of the partition rots on the disks of all nodes, which are down: its index, if there is one that may.
    pub fn lose_one(&mut self) -> Option<Index> {
        let is_records = |group: GroupId| group != GroupId::CATALOG && group != GroupId::TREE;
        super::scatter::lose_one(&mut self.world.disks, &mut self.rng, is_records)
    }

    /// True if some node's log has a line like that.
    pub fn has_said(&self, what: &str) -> bool {
        self.trail.tail().contains(what)
    }

    /// No other node hears of this one, nor it of them.
    pub fn isolate(&mut self, node: usize) {
        for other in (0..NODES).filter(|other| *other != node) {
            self.world.cut(node, other);
            self.world.cut(other, node);
        }
    }

    /// All ways carry again.
    pub fn mend(&mut self) {
        for (from, to) in (0..NODES).flat_map(|from| (0..NODES).map(move |to| (from, to))) {
            if self.world.net.cables.is_cut(from, to) {
                self.world.mend(from, to);
            }
        }
    }

    /// The disk of a node is `times` slower for so many milliseconds.
    pub fn slow_disk(&mut self, node: usize, times: u64, ms: u64) {
        self.world.disks[node].slow = (Mono(self.world.now() + ms * MS), times);
    }

    /// Time goes by.
    pub fn wait(&mut self, ms: u64) {
        self.until(ms, |_| false);
    }

    /// Steps the world until `enough` or `ms` are over.
    fn until(&mut self, ms: u64, enough: impl Fn(&Self) -> bool) {
        let end = self.world.now() + ms * MS;
        self.world.timer(ms * MS, 0);
        while self.world.now() < end && !enough(self) {
            match self.world.step().unwrap_or_else(|v| panic!("{}\n{v}", self.trail.tail())) {
                Some(Happening::Bytes { link, bytes }) => {
                    let line = self.lines.values_mut().find(|line| line.0 == link);
                    line.into_iter().for_each(|line| line.1.extend_from_slice(&bytes));
                }
                Some(Happening::Lost { link }) => self.lines.retain(|_, line| line.0 != link),
                Some(Happening::Exited { shard }) => panic!("node {shard} ended\n{}", self.trail.tail()),
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Asks a node; `None` if it does not answer soon.
    fn ask<R: Request>(&mut self, node: usize, version: i16, request: &R) -> Option<Bytes> {
        if !self.lines.contains_key(&node) {
            let manner = Manner { piece: 64 << 10, delay: 20_000, stalls: 0, appetite: Appetite::All };
            self.lines.insert(node, (self.world.connect(node, manner)?, Vec::new()));
        }
        let link = self.lines[&node].0;
        self.world.send(link, &encode(NAME, request, version, 1));
        let frame = |story: &Self| {
            let received = &story.lines.get(&node)?.1;
            let length = u32::from_be_bytes(received.get(..4)?.try_into().expect("4 bytes")) as usize;
            received.get(4..4 + length).map(Bytes::copy_from_slice)
        };
        self.until(ANSWER_MS, |story| frame(story).is_some() || !story.lines.contains_key(&node));
        let frame = frame(self);
        match &frame {
            Some(frame) => drop(self.lines.get_mut(&node)?.1.drain(..4 + frame.len())),
            // What comes later is no answer to anything.
            None => self.lines.remove(&node).into_iter().for_each(|line| self.world.abort(line.0)),
        }
        frame
    }

    /// Tries until it has what it wants, at one node after the other.
    fn insist<T>(&mut self, what: &str, mut attempt: impl FnMut(&mut Self, usize) -> Option<T>) -> T {
        let end = self.world.now() + PATIENCE_MS * MS;
        let mut node = self.rng.below(NODES as u64) as usize;
        while self.world.now() < end {
            if self.world.runs(node)
                && let Some(got) = attempt(self, node)
            {
                return got;
            }
            node = (node + 1) % NODES;
            self.wait(20);
        }
        panic!("{what}: not within {PATIENCE_MS} ms\n{}", self.trail.tail())
    }

    fn create(&mut self) {
        let topic = CreatableTopic::default()
            .with_name(requests::topic(TOPIC))
            .with_num_partitions(1)
            .with_replication_factor(self.copies as i16);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000);
        self.insist("a topic", |story, node| {
            let answer: CreateTopicsResponse = decode(story.ask(node, 4, &request)?, 4).expect("well formed");
            matches!(answer.topics[0].error_code, code::NONE | code::EXISTS).then_some(())
        });
    }

    /// Who has the partition, as somebody says who knows.
    pub fn replicas(&mut self) -> Vec<usize> {
        let request = MetadataRequest::default().with_topics(None);
        self.insist("replicas", |story, node| {
            let answer: MetadataResponse = decode(story.ask(node, 9, &request)?, 9).expect("well formed");
            let of =
                answer.topics.iter().find(|topic| topic.name.as_ref().is_some_and(|name| name.0.as_str() == TOPIC));
            let replicas = &of?.partitions.first()?.replica_nodes;
            Some(replicas.iter().map(|node| node.0 as usize - 1).collect())
        })
    }

    /// Who leads the partition, as somebody says who knows.
    pub fn leader(&mut self) -> usize {
        let request = MetadataRequest::default().with_topics(None);
        self.insist("a leader", |story, node| {
            let answer: MetadataResponse = decode(story.ask(node, 9, &request)?, 9).expect("well formed");
            let of =
                answer.topics.iter().find(|topic| topic.name.as_ref().is_some_and(|name| name.0.as_str() == TOPIC));
            let leader = usize::try_from(of?.partitions.first()?.leader_id.0 - 1).ok()?;
            story.world.runs(leader).then_some(leader)
        })
    }

    fn produce_at(&mut self, node: usize, number: u64, bytes: usize) -> Option<i16> {
        let timestamp = self.world.clocks().wall.0;
        let plan = Plan { number, records: 1, bytes, producer: (-1, -1, -1), timestamp, keys: 0 };
        let data = PartitionProduceData::default().with_records(Some(Bytes::from(batch::build(&plan))));
        let of = TopicProduceData::default().with_name(requests::topic(TOPIC)).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![of]);
        let answer: ProduceResponse = decode(self.ask(node, 9, &request)?, 9).expect("well formed");
        Some(answer.responses[0].partition_responses[0].error_code)
    }

    /// Batches that are acknowledged, each by whoever leads then; their numbers. What was not is tried again with another number.
    pub fn produce(&mut self, count: usize) -> Vec<u64> {
        let mut acked = Vec::new();
        while acked.len() < count {
            let number = self.insist("an acknowledgement", |story, _| {
                let (leader, number) = (story.leader(), story.next_number);
                story.next_number += 1;
                (story.produce_at(leader, number, SHORT)? == code::NONE).then_some(number)
            });
            acked.push(number);
        }
        acked
    }

    /// The answer of whoever leads to a batch of so many bytes: an error that does not pass, or that it is there, and its number.
    pub fn produce_long(&mut self, bytes: usize) -> Result<u64, i16> {
        self.insist("an answer", |story, _| {
            let (leader, number) = (story.leader(), story.next_number);
            story.next_number += 1;
            match story.produce_at(leader, number, bytes)? {
                code::NONE => Some(Ok(number)),
                code::TOO_LARGE => Some(Err(code::TOO_LARGE)),
                _ => None,
            }
        })
    }

    /// Why a replica stays behind for good, as whoever leads says.
    pub fn held(&self, held: fn(&A) -> Option<String>) -> Option<String> {
        (0..NODES).filter_map(|node| self.world.app(node)).find_map(held)
    }

    /// Batches that a node is sent, of which nobody waits for an acknowledgement; true if one came.
    pub fn produce_in_vain(&mut self, node: usize, count: usize) -> bool {
        let mut acked = false;
        for _ in 0..count {
            let number = self.next_number;
            self.next_number += 1;
            acked |= self.produce_at(node, number, SHORT) == Some(code::NONE);
        }
        acked
    }

    /// All batches of the partition, as its leader has them.
    pub fn read(&mut self) -> Vec<u64> {
        self.insist("a reading", |story, _| {
            let (leader, mut numbers, mut next) = (story.leader(), Vec::new(), 0);
            loop {
                let part = requests::part(0, next, 1 << 20);
                let of = FetchTopic::default().with_topic(requests::topic(TOPIC)).with_partitions(vec![part]);
                let request = requests::fetch().with_topics(vec![of]);
                let answer: FetchResponse = decode(story.ask(leader, 11, &request)?, 11).expect("well formed");
                let part = &answer.responses.first()?.partitions[0];
                if part.error_code != code::NONE {
                    return None;
                }
                for batch in batch::split(part.records.as_deref().unwrap_or(&[])).expect("true bytes") {
                    assert!(batch.base <= next && batch.end > next, "a gap behind offset {next}");
                    numbers.push(batch.number);
                    next = batch.end;
                }
                if next >= part.high_watermark {
                    return Some(numbers);
                }
            }
        })
    }
}
