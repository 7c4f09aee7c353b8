//! Clusters of several brokers of a few lines each: whoever was told of the past asks somebody else.

use crate::client::{ClientError, Times};
use crate::client_tests::framed;
use crate::cluster::{Cluster, topic_name};
use crate::patience::Patience;
use crate::topic::Topic;
use crate::topic_io::{Acks, Outgoing};
use bytes::Bytes;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse, MetadataResponse, ProduceResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use uuid::Uuid;

const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;
const NOT_LEADER: i16 = 6;
const NOT_CONTROLLER: i16 = 41;
const UNKNOWN: i16 = 3;

/// What one broker does and says.
#[derive(Clone)]
struct Face {
    /// It takes connections and says nothing, as a process that is stopped.
    paused: bool,
    /// It closes connections at once.
    gone: bool,
    /// Who leads the one partition of topic `t`, in which epoch, as it thinks.
    leader: (i32, i32),
    controller: i32,
    /// Topic `t` is there.
    topic: bool,
    /// It closes the connection instead of an answer about a new topic.
    hangs_up_on_create: bool,
    /// With a refusal it says who leads.
    names_leader: bool,
    /// Writes that it was asked for, and questions who leads.
    asked: u32,
    looked: u32,
}

struct Brokers {
    addresses: Vec<SocketAddr>,
    faces: Arc<Mutex<Vec<Face>>>,
}

impl Brokers {
    /// Brokers 0, 1, ..., of which the first leads and is controller.
    fn start(count: usize) -> Brokers {
        let face = Face {
            paused: false,
            gone: false,
            leader: (0, 1),
            controller: 0,
            topic: true,
            hangs_up_on_create: false,
            names_leader: false,
            asked: 0,
            looked: 0,
        };
        let faces = Arc::new(Mutex::new(vec![face; count]));
        let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<SocketAddr> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        for (me, listener) in listeners.into_iter().enumerate() {
            let (faces, addresses) = (Arc::clone(&faces), addresses.clone());
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (faces, addresses) = (Arc::clone(&faces), addresses.clone());
                    thread::spawn(move || serve(stream, me, &faces, &addresses));
                }
            });
        }
        Brokers { addresses, faces }
    }

    fn set(&self, broker: usize, change: impl Fn(&mut Face)) {
        change(&mut self.faces.lock().unwrap()[broker]);
    }

    fn set_all(&self, change: impl Fn(&mut Face)) {
        self.faces.lock().unwrap().iter_mut().for_each(change);
    }

    fn named(&self, brokers: &[usize]) -> String {
        brokers.iter().map(|at| self.addresses[*at].to_string()).collect::<Vec<_>>().join(",")
    }

    fn topic(&self, brokers: &[usize]) -> Topic {
        let cluster = Cluster::connect_with(&self.named(brokers), TIMES).unwrap();
        Topic::open(cluster, "t", &mut patience()).unwrap()
    }

    fn asked(&self, broker: usize) -> u32 {
        self.faces.lock().unwrap()[broker].asked
    }
}

const TIMES: Times = Times { connect: Duration::from_millis(300), answer: Duration::from_millis(300) };

fn patience() -> Patience {
    Patience::new(Duration::from_secs(30), || false).pauses(Duration::from_millis(1), Duration::from_millis(20))
}

fn serve(mut stream: TcpStream, me: usize, faces: &Mutex<Vec<Face>>, addresses: &[SocketAddr]) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).unwrap();
        let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let correlation = i32::from_be_bytes(frame[4..8].try_into().unwrap());
        let face = {
            let mut faces = faces.lock().unwrap();
            faces[me].asked += u32::from(number(0) == PRODUCE);
            faces[me].looked += u32::from(number(0) == METADATA);
            faces[me].clone()
        };
        if face.gone || number(0) == CREATE_TOPICS && face.hangs_up_on_create {
            return;
        }
        if face.paused {
            thread::sleep(Duration::from_secs(60));
        }
        if stream.write_all(&answer((number(0), number(2)), correlation, me as i32, &face, addresses)).is_err() {
            return;
        }
    }
}

fn answer((kind, version): (i16, i16), correlation: i32, me: i32, face: &Face, addresses: &[SocketAddr]) -> Vec<u8> {
    match kind {
        PRODUCE => {
            let code = if face.leader.0 == me { 0 } else { NOT_LEADER };
            let part = PartitionProduceResponse::default().with_index(0).with_error_code(code);
            let mut part = part.with_base_offset(i64::from(me) + 100);
            if code != 0 && face.names_leader {
                part.current_leader = LeaderIdAndEpoch::default().with_leader_id(face.leader.0.into());
                part.current_leader.leader_epoch = face.leader.1;
            }
            let topic = TopicProduceResponse::default().with_name(topic_name("t"));
            let topic = topic.with_partition_responses(vec![part]);
            framed(correlation, &ProduceResponse::default().with_responses(vec![topic]), version)
        }
        METADATA => {
            let broker = |(id, address): (usize, &SocketAddr)| {
                let host = StrBytes::from_string(address.ip().to_string());
                MetadataResponseBroker::default()
                    .with_node_id((id as i32).into())
                    .with_host(host)
                    .with_port(address.port().into())
            };
            let part = MetadataResponsePartition::default().with_partition_index(0);
            let part = part.with_leader_id(face.leader.0.into()).with_leader_epoch(face.leader.1);
            let topic = MetadataResponseTopic::default().with_name(Some(topic_name("t"))).with_partitions(vec![part]);
            let topic = topic.with_topic_id(Uuid::from_u128(7)).with_error_code(if face.topic { 0 } else { UNKNOWN });
            let answer =
                MetadataResponse::default().with_topics(vec![topic]).with_controller_id(face.controller.into());
            let answer = answer.with_brokers(addresses.iter().enumerate().map(broker).collect());
            framed(correlation, &answer, version)
        }
        CREATE_TOPICS => {
            let code = if face.controller == me { 0 } else { NOT_CONTROLLER };
            let topic = CreatableTopicResult::default().with_name(topic_name("new")).with_error_code(code);
            framed(correlation, &CreateTopicsResponse::default().with_topics(vec![topic]), version)
        }
        _ => {
            let api = |(key, max)| ApiVersion::default().with_api_key(key).with_min_version(0).with_max_version(max);
            let apis = [(PRODUCE, 12), (METADATA, 12), (CREATE_TOPICS, 5), (18, 3)].map(api).to_vec();
            framed(correlation, &ApiVersionsResponse::default().with_api_keys(apis), version)
        }
    }
}

/// Writes a batch; returns who took it.
fn write(topic: &mut Topic) -> i64 {
    let mut batches = [Outgoing { partition: 0, batch: Bytes::from_static(b"batch"), outcome: None }];
    topic.produce(&mut batches, Acks::All, &mut patience()).unwrap();
    batches[0].outcome.clone().unwrap().unwrap() - 100
}

#[test]
fn a_new_leader_is_found_whoever_was_named_and_however_the_old_one_went() {
    let gone: fn(&mut Face) = |face| face.gone = true;
    let paused: fn(&mut Face) = |face| face.paused = true;
    let resigned: fn(&mut Face) = |_| ();
    for (what, went) in [("gone", gone), ("paused", paused), ("resigned", resigned)] {
        for named in [&[0][..], &[2], &[0, 1, 2], &[2, 0]] {
            let brokers = Brokers::start(3);
            let mut topic = brokers.topic(named);
            assert_eq!((write(&mut topic), topic.leader(0)), (0, Some(0)));
            brokers.set(0, went);
            brokers.set_all(|face| face.leader = (1, 2));
            assert_eq!((write(&mut topic), topic.leader(0)), (1, Some(1)), "{what}, {named:?}");
        }
    }
}

#[test]
fn a_broker_that_tells_of_the_past_is_not_believed_and_not_asked_for_ever() {
    let brokers = Brokers::start(3);
    let mut topic = brokers.topic(&[0]);
    assert_eq!(write(&mut topic), 0);
    // The old leader does not lead any more, and is the only one that does not know who does.
    brokers.set(0, |face| face.leader = (2, 0));
    brokers.set(1, |face| face.leader = (1, 5));
    brokers.set(2, |face| face.leader = (1, 5));
    assert_eq!(write(&mut topic), 1);
    assert_eq!(brokers.asked(2), 0, "an epoch that is over names nobody");
    topic.refresh(&mut patience()).unwrap();
    assert_eq!(topic.leader(0), Some(1));
}

#[test]
fn whoever_was_asked_in_vain_is_asked_last() {
    let brokers = Brokers::start(3);
    let mut cluster = Cluster::connect_with(&brokers.named(&[0, 1, 2]), TIMES).unwrap();
    brokers.set(0, |face| face.paused = true);
    // Who can ask another one does not wait for it.
    cluster.metadata(None).unwrap();
    assert_eq!(cluster.any().address(), brokers.addresses[1].to_string());
    brokers.set_all(|face| face.gone = true);
    assert!(cluster.metadata(None).is_err() && cluster.reconnect().is_err());
    brokers.set(2, |face| face.gone = false);
    cluster.reconnect().unwrap();
    assert_eq!(cluster.any().address(), brokers.addresses[2].to_string());
}

#[test]
fn one_that_is_alone_is_waited_for() {
    let brokers = Brokers::start(1);
    let mut cluster = Cluster::connect_with(&brokers.named(&[0]), TIMES).unwrap();
    cluster.metadata(None).unwrap();
    brokers.set(0, |face| face.paused = true);
    let error = cluster.metadata(None).unwrap_err();
    assert!(
        matches!(error, ClientError::Lost { .. }) && error.to_string().contains("nothing came for 0.3 s"),
        "{error}"
    );
}

#[test]
fn a_leader_that_a_refusal_names_need_not_be_looked_up() {
    let brokers = Brokers::start(3);
    let mut topic = brokers.topic(&[0]);
    assert_eq!(write(&mut topic), 0);
    let looked = || brokers.faces.lock().unwrap().iter().map(|face| face.looked).sum::<u32>();
    let before = looked();
    brokers.set_all(|face| (face.leader, face.names_leader) = ((1, 2), true));
    assert_eq!((write(&mut topic), looked()), (1, before));
    // One of the past names one of the past: that is no news, and whoever knows is asked.
    brokers.set_all(|face| face.leader = (2, 3));
    brokers.set(1, |face| face.leader = (0, 1));
    assert_eq!(write(&mut topic), 2);
    assert!(looked() > before);
}

#[test]
fn brokers_that_were_only_told_of_are_asked_too() {
    let brokers = Brokers::start(2);
    let mut cluster = Cluster::connect_with(&brokers.named(&[0]), TIMES).unwrap();
    cluster.metadata(None).unwrap();
    brokers.set(0, |face| face.gone = true);
    assert!(cluster.metadata(None).is_err());
    cluster.reconnect().unwrap();
    assert_eq!((cluster.metadata(None).unwrap().brokers.len(), cluster.known().len()), (2, 2));
}

#[test]
fn changes_follow_the_controller() {
    let brokers = Brokers::start(3);
    let mut cluster = Cluster::connect_with(&brokers.named(&[0]), TIMES).unwrap();
    // Broker 0 is none any more and does not know it yet.
    brokers.set(1, |face| face.controller = 1);
    brokers.set(2, |face| face.controller = 1);
    brokers.set(0, |face| face.controller = 2);
    let request = CreateTopicsRequest::default();
    let codes = |answer: &CreateTopicsResponse| answer.topics.iter().map(|topic| topic.error_code).collect();
    let answer = cluster.change(&mut patience(), |client| client.call(&request), codes).unwrap();
    assert_eq!(answer.topics[0].error_code, 0);

    brokers.set_all(|face| face.controller = -1);
    let mut short = Patience::new(Duration::from_millis(50), || false);
    let error = cluster.change(&mut short, |client| client.call(&request), codes).unwrap_err();
    assert!(error.to_string().contains("NOT_CONTROLLER (tried again"), "{error}");
}

#[test]
fn a_connection_that_breaks_while_a_topic_is_made_is_no_end() {
    let brokers = Brokers::start(2);
    brokers.set_all(|face| face.topic = false);
    brokers.set(0, |face| face.hangs_up_on_create = true);
    let cluster = Cluster::connect_with(&brokers.named(&[0]), TIMES).unwrap();
    let (addresses, faces) = (brokers.named(&[0, 1]), Arc::clone(&brokers.faces));
    // What was asked for comes to pass a moment later, elsewhere.
    let later = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        faces.lock().unwrap().iter_mut().for_each(|face| face.topic = true);
    });
    let topic = Topic::open_or_create(cluster, "t", &mut patience()).unwrap();
    later.join().unwrap();
    assert_eq!((topic.partitions(), topic.addresses()), (vec![0], addresses));
}
