//! A topic of a cluster of a few lines: each test says what its brokers answer.

use crate::client::ClientError;
use crate::client_tests::framed;
use crate::cluster::{Cluster, topic_name};
use crate::patience::{Ended, Patience};
use crate::topic::{Topic, TopicError};
use crate::topic_io::{Acks, FetchLimits, Isolation, LATEST, Outgoing};
use bytes::Bytes;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiVersionsResponse, FetchResponse, ListOffsetsResponse, MetadataResponse, ProduceResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;

/// What the brokers do next to a request of some kind.
enum Next {
    Answer(i16),
    HangUp,
}

/// A cluster of one broker, with topic `t` of two partitions. Its answers to Produce, Fetch and ListOffsets carry the error codes
/// of a script, the last one for ever; it writes down the kinds of requests.
struct Fake {
    address: String,
    asked: Arc<Mutex<Vec<i16>>>,
}

impl Fake {
    fn start(script: Vec<Next>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (notes, script) = (Arc::clone(&asked), Arc::new(Mutex::new(script)));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (notes, script) = (Arc::clone(&notes), Arc::clone(&script));
                thread::spawn(move || serve(stream, address, &notes, &script));
            }
        });
        Fake { address: address.to_string(), asked }
    }

    fn topic(&self) -> Topic {
        Topic::open(Cluster::connect(&self.address).unwrap(), "t", &mut patience()).unwrap()
    }

    fn asked(&self) -> Vec<i16> {
        self.asked.lock().unwrap().iter().copied().filter(|kind| *kind != 18).collect()
    }
}

fn serve(mut stream: TcpStream, address: SocketAddr, notes: &Mutex<Vec<i16>>, script: &Mutex<Vec<Next>>) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).unwrap();
        let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let (kind, version) = (number(0), number(2));
        let correlation = i32::from_be_bytes(frame[4..8].try_into().unwrap());
        notes.lock().unwrap().push(kind);
        let mut code = 0;
        if kind < METADATA {
            let mut script = script.lock().unwrap();
            let next = if script.len() > 1 { script.remove(0) } else { Next::Answer(code_of(&script[0])) };
            match next {
                Next::Answer(next) => code = next,
                Next::HangUp => return,
            }
        }
        stream.write_all(&answer(kind, version, correlation, code, address)).unwrap();
    }
}

fn code_of(next: &Next) -> i16 {
    match next {
        Next::Answer(code) => *code,
        Next::HangUp => panic!("a script ends with an answer"),
    }
}

fn answer(kind: i16, version: i16, correlation: i32, code: i16, address: SocketAddr) -> Vec<u8> {
    let partitions = [0, 1];
    match kind {
        PRODUCE => {
            // Partition 1 is always taken.
            let part = |index| {
                let code = if index == 0 { code } else { 0 };
                PartitionProduceResponse::default().with_index(index).with_error_code(code).with_base_offset(7)
            };
            let topic = TopicProduceResponse::default().with_name(topic_name("t"));
            let topic = topic.with_partition_responses(partitions.map(part).to_vec());
            framed(correlation, &ProduceResponse::default().with_responses(vec![topic]), version)
        }
        FETCH => {
            let part = |index| {
                let part = PartitionData::default().with_partition_index(index).with_error_code(code);
                part.with_records(Some(Bytes::from_static(b"r")))
            };
            let topic = FetchableTopicResponse::default().with_topic(topic_name("t"));
            let topic = topic.with_partitions(partitions.map(part).to_vec());
            framed(correlation, &FetchResponse::default().with_responses(vec![topic]), version)
        }
        LIST_OFFSETS => {
            let part = |index| {
                let part = ListOffsetsPartitionResponse::default().with_partition_index(index);
                part.with_error_code(code).with_offset(i64::from(index) + 10)
            };
            let topic = ListOffsetsTopicResponse::default().with_name(topic_name("t"));
            let topic = topic.with_partitions(partitions.map(part).to_vec());
            framed(correlation, &ListOffsetsResponse::default().with_topics(vec![topic]), version)
        }
        METADATA => {
            let broker = MetadataResponseBroker::default().with_node_id(4.into());
            let broker =
                broker.with_host(StrBytes::from_string(address.ip().to_string())).with_port(address.port().into());
            let part =
                |index| MetadataResponsePartition::default().with_partition_index(index).with_leader_id(4.into());
            let topic = MetadataResponseTopic::default().with_name(Some(topic_name("t")));
            let topic = topic.with_partitions(partitions.map(part).to_vec());
            let answer = MetadataResponse::default().with_brokers(vec![broker]).with_topics(vec![topic]);
            framed(correlation, &answer, version)
        }
        _ => {
            let api = |(key, max)| ApiVersion::default().with_api_key(key).with_min_version(0).with_max_version(max);
            // As of Kafka 2.8: Produce 9, Fetch 12, ListOffsets 6, Metadata 9.
            let apis = [(PRODUCE, 9), (FETCH, 12), (LIST_OFFSETS, 6), (METADATA, 9), (18, 3)].map(api).to_vec();
            framed(correlation, &ApiVersionsResponse::default().with_api_keys(apis), version)
        }
    }
}

fn patience() -> Patience {
    Patience::new(Duration::from_secs(20), || false)
}

fn batches() -> Vec<Outgoing> {
    [0, 1].map(|partition| Outgoing { partition, batch: Bytes::from_static(b"batch"), outcome: None }).into()
}

const NOT_LEADER: i16 = 6;
const TOO_LARGE: i16 = 10;
const DUPLICATE: i16 = 46;

#[test]
fn a_leader_that_moved_is_looked_up_and_only_what_failed_is_sent_again() {
    let fake = Fake::start(vec![Next::Answer(NOT_LEADER), Next::Answer(0)]);
    let mut batches = batches();
    fake.topic().produce(&mut batches, Acks::All, &mut patience()).unwrap();
    assert!(batches.iter().all(|batch| batch.outcome == Some(Ok(7))), "{batches:?}");
    assert_eq!(fake.asked(), [METADATA, PRODUCE, METADATA, PRODUCE]);
}

#[test]
fn a_connection_that_breaks_is_made_anew_and_a_batch_that_was_there_counts() {
    let fake = Fake::start(vec![Next::HangUp, Next::Answer(DUPLICATE)]);
    let mut batches = batches();
    fake.topic().produce(&mut batches, Acks::All, &mut patience()).unwrap();
    assert_eq!(batches[0].outcome, Some(Ok(-1)));
    assert_eq!(fake.asked(), [METADATA, PRODUCE, METADATA, PRODUCE]);
}

#[test]
fn a_refusal_is_not_asked_again_and_others_are_known() {
    let fake = Fake::start(vec![Next::Answer(TOO_LARGE)]);
    let mut batches = batches();
    fake.topic().produce(&mut batches, Acks::All, &mut patience()).unwrap();
    let refusal = batches[0].outcome.as_ref().unwrap().as_ref().unwrap_err();
    assert_eq!(refusal.to_string(), "cannot write to partition 0 of topic t: MESSAGE_TOO_LARGE");
    assert_eq!((&batches[1].outcome, fake.asked().len()), (&Some(Ok(7)), 2));
}

#[test]
fn what_does_not_pass_in_time_is_given_up() {
    let fake = Fake::start(vec![Next::Answer(NOT_LEADER)]);
    let mut batches = batches();
    let mut short = Patience::new(Duration::from_millis(120), || false);
    let error = fake.topic().produce(&mut batches, Acks::All, &mut short).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("NOT_LEADER_OR_FOLLOWER (tried again for 0.12 s)"), "{text}");
    assert_eq!((&batches[0].outcome, &batches[1].outcome), (&None, &Some(Ok(7))));

    let mut stopped = Patience::new(Duration::from_secs(3600), || true);
    let error = fake.topic().produce(&mut batches, Acks::All, &mut stopped).unwrap_err();
    assert!(matches!(error, TopicError::Ended(Ended::Stopped)), "{error}");
}

#[test]
fn what_nobody_leads_or_answers_about_is_given_up_too() {
    let fake = Fake::start(vec![Next::Answer(0)]);
    let mut short = Patience::new(Duration::from_millis(120), || false);
    let mut lost = vec![Outgoing { partition: 9, batch: Bytes::from_static(b"batch"), outcome: None }];
    let error = fake.topic().produce(&mut lost, Acks::All, &mut short).unwrap_err();
    assert!(error.to_string().contains("partition 9 has no leader"), "{error}");
    let asked: BTreeMap<i32, i64> = [(0, LATEST), (9, LATEST)].into();
    let mut short = Patience::new(Duration::from_millis(120), || false);
    let error = fake.topic().offsets(&asked, Isolation::ReadCommitted, &mut short).unwrap_err();
    assert!(matches!(error, TopicError::Ended(Ended::GaveUp { .. })), "{error}");
}

#[test]
fn offsets_and_fetches_survive_what_passes() {
    let fake = Fake::start(vec![Next::HangUp, Next::Answer(NOT_LEADER), Next::Answer(0)]);
    let mut topic = fake.topic();
    let asked: BTreeMap<i32, i64> = [(0, LATEST), (1, LATEST)].into();
    let offsets = topic.offsets(&asked, Isolation::ReadCommitted, &mut patience()).unwrap();
    assert_eq!(offsets, [(0, 10), (1, 11)].into());

    let fake = Fake::start(vec![Next::Answer(NOT_LEADER), Next::Answer(1), Next::Answer(29)]);
    let limits = FetchLimits { wait_ms: 1, bytes: 100, partition_bytes: 10, isolation: Isolation::ReadUncommitted };
    let (mut topic, mut patience, from) = (fake.topic(), patience(), [(0, 5), (1, 5)]);
    assert!(topic.fetch(&from, &limits, &mut patience).unwrap().is_empty());
    let fetched = topic.fetch(&from, &limits, &mut patience).unwrap();
    assert!(fetched.len() == 2 && fetched.iter().all(|part| part.out_of_range), "{fetched:?}");
    let error = topic.fetch(&from, &limits, &mut patience).unwrap_err();
    assert!(error.to_string().contains("TOPIC_AUTHORIZATION_FAILED"), "{error}");
}

#[test]
fn errors_that_pass_are_told_from_those_that_last() {
    let passes = |address: &str| match Cluster::connect(address) {
        Ok(_) => panic!("somebody listens on {address}"),
        Err(error) => error.passes(),
    };
    assert!(passes("127.0.0.1:1"));
    let refused = ClientError::Refused { address: "a".into(), api: kafka_protocol::messages::ApiKey::Fetch, code: 1 };
    assert!(!refused.passes());
}
