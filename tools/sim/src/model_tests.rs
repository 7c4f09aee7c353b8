//! The simulator against a model of a broker that can be told to misbehave: a good one passes every seed, and each
//! kind of bad one is caught. So that a clean run of the real one means something.

use crate::run::{self, Look, Start, Subject};
use crate::trail::Trail;
use crate::violation::Rule;
use crate::wire::NAME;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};
use std::cell::RefCell;
use std::collections::BTreeMap;
use torc_base::buf::Buf;
use torc_base::ids::ConnId;
use torc_base::io::{App, Event, Op};
use torc_base::time::{Mono, Now};
use uuid::Uuid;

/// What is wrong with the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    ForgetsOnRestart,
    ForgetsLastBatchOnRestart,
    DoublesRetries,
    FlipsABit,
    SkipsABatch,
    GivesIdsTwice,
    HighWatermarkLags,
    NeverAnswersFetches,
}

#[derive(Clone, Default)]
struct Log {
    start: i64,
    end: i64,
    batches: Vec<(i64, i64, Vec<u8>)>,
    sequences: BTreeMap<i64, Vec<(i32, i64)>>,
}

#[derive(Clone)]
struct Topic {
    name: String,
    compacts: bool,
    id: u128,
    logs: Vec<Log>,
}

#[derive(Clone, Default)]
struct Store {
    topics: Vec<Topic>,
    ids: i64,
}

thread_local! {
    static STORE: RefCell<(Fault, Store)> = const { RefCell::new((Fault::None, Store { topics: Vec::new(), ids: 0 })) };
}

/// All shards of it share one store that needs no disk.
struct Model {
    received: BTreeMap<ConnId, Vec<u8>>,
    unsent: BTreeMap<ConnId, (bool, Vec<u8>)>,
}

fn make(start: &Start) -> Model {
    STORE.with_borrow_mut(|(fault, store)| match fault {
        Fault::ForgetsOnRestart if start.shard == 0 => *store = Store::default(),
        Fault::ForgetsLastBatchOnRestart => {
            for log in store.topics.iter_mut().flat_map(|t| &mut t.logs) {
                if let Some((base, ..)) = log.batches.pop() {
                    log.end = base;
                }
            }
        }
        _ => {}
    });
    Model { received: BTreeMap::new(), unsent: BTreeMap::new() }
}

const SUBJECT: Subject<Model> = Subject {
    make,
    look: |_| Look { ready: true, memory: 0, memory_max: 0, memory_idle: 0 },
    coordinators: None,
    tree: None,
};

impl App for Model {
    type Mail = ();

    fn step(&mut self, _now: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        match event {
            Event::Accepted { conn, .. } => {
                self.received.insert(conn, Vec::new());
                self.unsent.insert(conn, (false, Vec::new()));
                ops.push(Op::Recv { conn });
            }
            Event::Received { conn, bytes } => {
                let Some(received) = self.received.get_mut(&conn) else { return };
                received.extend_from_slice(&bytes);
                self.frames(conn, ops);
            }
            Event::Starved { conn } if self.received.contains_key(&conn) => ops.push(Op::Recv { conn }),
            Event::Eof { conn } if self.received.remove(&conn).is_some() => ops.push(Op::Close { conn }),
            Event::Sent { conn } => {
                if let Some(unsent) = self.unsent.get_mut(&conn) {
                    unsent.0 = false;
                    self.send(conn, ops);
                }
            }
            Event::Closed { conn } => {
                self.received.remove(&conn);
                self.unsent.remove(&conn);
            }
            Event::Stop => ops.push(Op::Exit),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn busy(&self) -> bool {
        false
    }
}

impl Model {
    fn send(&mut self, conn: ConnId, ops: &mut Vec<Op<()>>) {
        let (sending, unsent) = self.unsent.get_mut(&conn).expect("known");
        if !*sending && !unsent.is_empty() && self.received.contains_key(&conn) {
            *sending = true;
            ops.push(Op::Send { conn, parts: vec![Buf::copy_of(&std::mem::take(unsent))] });
        }
    }

    fn frames(&mut self, conn: ConnId, ops: &mut Vec<Op<()>>) {
        while let Some(received) = self.received.get_mut(&conn) {
            let Some(length) = received.get(..4) else { break };
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            let ours = received.len() < 22 || received[14..22] == *NAME.as_bytes();
            if !(18..2 << 20).contains(&length) || !ours {
                self.received.remove(&conn);
                ops.push(Op::Close { conn });
                return;
            }
            if received.len() < 4 + length {
                break;
            }
            let frame: Vec<u8> = received.drain(..4 + length).skip(4).collect();
            let answer = STORE.with_borrow_mut(|(fault, store)| store.answer(*fault, Bytes::from(frame)));
            self.unsent.get_mut(&conn).expect("known").1.extend(answer);
        }
        self.send(conn, ops);
    }
}

fn reply<T: Encodable + HeaderVersion>(answer: &T, version: i16, correlation: i32) -> Vec<u8> {
    let mut out = BytesMut::new();
    out.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(correlation);
    header.encode(&mut out, T::header_version(version)).unwrap();
    answer.encode(&mut out, version).unwrap();
    let length = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&length.to_be_bytes());
    out.into()
}

impl Store {
    fn answer(&mut self, fault: Fault, mut frame: Bytes) -> Vec<u8> {
        let (api, v) = (i16::from_be_bytes([frame[0], frame[1]]), i16::from_be_bytes([frame[2], frame[3]]));
        let c = i32::from_be_bytes(frame[4..8].try_into().unwrap());
        macro_rules! with {
            ($request:ty, $handle:expr) => {{
                RequestHeader::decode(&mut frame, <$request>::header_version(v)).unwrap();
                let request = <$request>::decode(&mut frame, v).unwrap();
                #[allow(clippy::redundant_closure_call)]
                let answer = ($handle)(self, request);
                reply::<<$request as Request>::Response>(&answer, v, c)
            }};
        }
        match api {
            0 => {
                let mut quiet = false;
                let bytes = with!(ProduceRequest, |store: &mut Store, request: ProduceRequest| {
                    quiet = request.acks == 0;
                    store.produce(fault, request)
                });
                if quiet { Vec::new() } else { bytes }
            }
            1 if fault == Fault::NeverAnswersFetches => Vec::new(),
            1 => with!(FetchRequest, |store: &mut Store, request| store.fetch(fault, request)),
            2 => with!(ListOffsetsRequest, |store: &mut Store, request| store.list_offsets(request)),
            3 => with!(MetadataRequest, |store: &mut Store, _| store.metadata()),
            // What neighbours ask for and nobody reads.
            16 => with!(ListGroupsRequest, |_: &mut Store, _| ListGroupsResponse::default()),
            32 => with!(DescribeConfigsRequest, |_: &mut Store, _| DescribeConfigsResponse::default()),
            35 => with!(DescribeLogDirsRequest, |_: &mut Store, _| DescribeLogDirsResponse::default()),
            19 => with!(CreateTopicsRequest, |store: &mut Store, request: CreateTopicsRequest| {
                if request.validate_only { CreateTopicsResponse::default() } else { store.create(request) }
            }),
            20 => with!(DeleteTopicsRequest, |store: &mut Store, request| store.delete(request)),
            21 => with!(DeleteRecordsRequest, |store: &mut Store, request| store.delete_records(request)),
            22 => with!(InitProducerIdRequest, |store: &mut Store, _| {
                store.ids += i64::from(fault != Fault::GivesIdsTwice);
                InitProducerIdResponse::default().with_producer_id(ProducerId(store.ids)).with_producer_epoch(0)
            }),
            other => panic!("no simulated client sends api {other}"),
        }
    }

    fn log(&mut self, name: &str, id: Uuid, partition: i32) -> Option<&mut Log> {
        let found =
            self.topics.iter_mut().find(|t| if name.is_empty() { t.id == id.as_u128() } else { t.name == name });
        found.and_then(|t| t.logs.get_mut(partition as usize))
    }

    fn produce(&mut self, fault: Fault, request: ProduceRequest) -> ProduceResponse {
        let mut answer = ProduceResponse::default();
        for topic in request.topic_data {
            let mut of = TopicProduceResponse::default().with_name(topic.name.clone()).with_topic_id(topic.topic_id);
            for part in topic.partition_data {
                let mut result = PartitionProduceResponse::default().with_index(part.index);
                match self.log(&topic.name.0, topic.topic_id, part.index) {
                    Some(log) => match log.append(fault, part.records.unwrap().to_vec()) {
                        Ok(base) => result.base_offset = base,
                        Err(error) => result.error_code = error,
                    },
                    None => result.error_code = 3,
                }
                of.partition_responses.push(result);
            }
            answer.responses.push(of);
        }
        answer
    }

    fn fetch(&mut self, fault: Fault, request: FetchRequest) -> FetchResponse {
        let mut answer = FetchResponse::default();
        for topic in request.topics {
            let mut of =
                FetchableTopicResponse::default().with_topic(topic.topic.clone()).with_topic_id(topic.topic_id);
            for part in topic.partitions {
                let mut data = PartitionData::default().with_partition_index(part.partition);
                match self.log(&topic.topic.0, topic.topic_id, part.partition) {
                    Some(log) => log.read(fault, part.fetch_offset, &mut data),
                    None => data.error_code = 3,
                }
                of.partitions.push(data);
            }
            answer.responses.push(of);
        }
        answer
    }

    fn list_offsets(&mut self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let topic = &request.topics[0];
        let asked = &topic.partitions[0];
        let mut part = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
        match self.log(&topic.name.0, Uuid::nil(), asked.partition_index) {
            Some(log) if [-2, -4].contains(&asked.timestamp) => part.offset = log.start,
            Some(_) if asked.timestamp <= -5 => (part.offset, part.timestamp) = (-1, -1),
            Some(log) if asked.timestamp == -3 => (part.offset, part.timestamp) = log.max_time(),
            Some(log) if asked.timestamp == -1 => part.offset = log.end,
            Some(log) => (part.offset, part.timestamp) = log.at_time(asked.timestamp).unwrap_or((-1, -1)),
            None => part.error_code = 3,
        }
        let of = ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(vec![part]);
        ListOffsetsResponse::default().with_topics(vec![of])
    }

    fn metadata(&self) -> MetadataResponse {
        let topics = self.topics.iter().map(|t| {
            let partitions = t.logs.iter().map(|_| MetadataResponsePartition::default()).collect();
            MetadataResponseTopic::default()
                .with_name(Some(TopicName(t.name.clone().into())))
                .with_topic_id(Uuid::from_u128(t.id))
                .with_partitions(partitions)
        });
        MetadataResponse::default().with_topics(topics.collect())
    }

    fn create(&mut self, request: CreateTopicsRequest) -> CreateTopicsResponse {
        let new = &request.topics[0];
        let mut result = CreatableTopicResult::default().with_name(new.name.clone());
        if self.topics.iter().any(|t| t.name == new.name.0.as_str()) {
            result.error_code = 36;
        } else {
            let logs = vec![Log::default(); new.num_partitions as usize];
            let id = self.topics.len() as u128 + 1;
            let policy = new.configs.iter().find(|config| config.name.as_str() == "cleanup.policy");
            let compacts = policy.and_then(|policy| policy.value.as_deref()) == Some("compact");
            self.topics.push(Topic { name: new.name.0.to_string(), compacts, id, logs });
        }
        CreateTopicsResponse::default().with_topics(vec![result])
    }

    fn delete(&mut self, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
        let name = request.topic_names.first().cloned().or(request.topics.first().and_then(|t| t.name.clone()));
        let before = self.topics.len();
        let gone = name.clone().unwrap();
        for topic in self.topics.iter_mut().filter(|t| t.name == gone.0.as_str()) {
            topic.name = format!("(deleted) {}", topic.name); // keeps ids unique
        }
        let error = if before == 0 { 3 } else { 0 };
        let result = DeletableTopicResult::default().with_name(name).with_error_code(error);
        DeleteTopicsResponse::default().with_responses(vec![result])
    }

    fn delete_records(&mut self, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
        let topic = &request.topics[0];
        let asked = &topic.partitions[0];
        let mut part = DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
        let compacts = self.topics.iter().any(|t| t.compacts && t.name == topic.name.0.as_str());
        if compacts {
            part.error_code = 44;
        } else if let Some(log) = self.log(&topic.name.0, Uuid::nil(), asked.partition_index) {
            log.start = log.start.max(asked.offset);
            part.low_watermark = log.start;
        }
        let of = DeleteRecordsTopicResult::default().with_name(topic.name.clone()).with_partitions(vec![part]);
        DeleteRecordsResponse::default().with_topics(vec![of])
    }
}

impl Log {
    fn append(&mut self, fault: Fault, mut batch: Vec<u8>) -> Result<i64, i16> {
        let int = |at: usize| i32::from_be_bytes(batch[at..at + 4].try_into().unwrap());
        let records = i64::from(int(23)) + 1;
        let producer = i64::from_be_bytes(batch[43..51].try_into().unwrap());
        let sequence = int(53);
        if producer >= 0 && fault != Fault::DoublesRetries {
            let known = self.sequences.entry(producer).or_default();
            if let Some((_, base)) = known.iter().find(|(s, _)| *s == sequence) {
                return Ok(*base);
            }
            let next = known.last().map_or(0, |(s, _)| *s) as i64;
            if i64::from(sequence) < next || known.is_empty() && sequence != 0 {
                return Err(45);
            }
            known.push((sequence, self.end));
        }
        batch[..8].copy_from_slice(&self.end.to_be_bytes());
        let base = self.end;
        self.end += records;
        self.batches.push((base, self.end, batch));
        Ok(base)
    }

    /// Timestamps of a batch's records follow each other.
    fn at_time(&self, time: i64) -> Option<(i64, i64)> {
        self.batches.iter().find_map(|(base, end, batch)| {
            let first = i64::from_be_bytes(batch[27..35].try_into().unwrap());
            let offset = (base + (time - first).max(0)).max(self.start);
            (offset < *end).then_some((offset, first + offset - base))
        })
    }

    fn max_time(&self) -> (i64, i64) {
        let last = |(base, end, batch): &(i64, i64, Vec<u8>)| {
            (i64::from_be_bytes(batch[35..43].try_into().unwrap()), *end - 1, *base)
        };
        let all = self.batches.iter().map(last).filter(|(_, offset, _)| *offset >= self.start);
        all.max().map_or((-1, -1), |(time, offset, _)| (offset, time))
    }

    fn read(&self, fault: Fault, from: i64, data: &mut PartitionData) {
        data.high_watermark = self.end;
        data.log_start_offset = self.start;
        if from < self.start || from > self.end {
            data.error_code = 1;
            return;
        }
        let mut bytes = Vec::new();
        for (n, (_, end, batch)) in self.batches.iter().enumerate() {
            if *end <= from || fault == Fault::SkipsABatch && n % 7 == 3 {
                continue;
            }
            bytes.extend_from_slice(batch);
        }
        match fault {
            Fault::FlipsABit if bytes.len() > 5000 => bytes[5000] ^= 1,
            Fault::HighWatermarkLags => data.high_watermark -= 1,
            _ => {}
        }
        data.records = Some(Bytes::from(bytes));
    }
}

/// Runs seeds until a rule is broken; which one.
fn first_violation(fault: Fault, seeds: u64) -> Option<(Rule, String)> {
    for seed in 1..=seeds {
        STORE.set((fault, Store::default()));
        let trail = Trail::default();
        if let Err(failure) = run::run(seed, 3, &trail, SUBJECT) {
            return Some((failure.violation.rule, format!("seed {seed}: {}\n{}", failure.violation, failure.trail)));
        }
    }
    None
}

#[test]
fn a_good_broker_passes() {
    if let Some((_, text)) = first_violation(Fault::None, 40) {
        panic!("{text}");
    }
}

#[test]
fn one_seed_is_one_run_whatever_the_theme() {
    let once = |seed| {
        STORE.set((Fault::None, Store::default()));
        run::run(seed, 2, &Trail::default(), SUBJECT).unwrap_or_else(|f| panic!("{}", f.violation))
    };
    for seed in 1..=6 {
        assert_eq!(once(seed), once(seed));
    }
    assert_ne!(once(1).digest, once(2).digest);
}

#[test]
fn bad_brokers_are_caught() {
    let bad = [
        (
            Fault::ForgetsOnRestart,
            &[Rule::ExpectedErrors, Rule::AckedIsKept, Rule::MarksAdvance, Rule::SeenIsFinal, Rule::UniqueProducerId][..],
        ),
        (Fault::ForgetsLastBatchOnRestart, &[Rule::AckedIsKept, Rule::MarksAdvance, Rule::SeenIsFinal]),
        (Fault::DoublesRetries, &[Rule::Once]),
        (Fault::FlipsABit, &[Rule::BytesAreTrue]),
        (Fault::SkipsABatch, &[Rule::NoGap, Rule::LastIsKept]),
        (Fault::GivesIdsTwice, &[Rule::UniqueProducerId]),
        (Fault::HighWatermarkLags, &[Rule::MarksAdvance, Rule::BehindHighWatermark, Rule::AckedIsKept]),
        (Fault::NeverAnswersFetches, &[Rule::Liveness]),
    ];
    for (fault, rules) in bad {
        let (rule, text) = first_violation(fault, 60).unwrap_or_else(|| panic!("{fault:?} is not caught"));
        assert!(rules.contains(&rule), "{fault:?} is caught by {rule:?}: {text}");
    }
}
