//! A cluster as Kafka's clients see it: whichever node they ask, they are told of the same nodes, topics and leaders, and
//! what only one node can do is done there.

mod near;

use super::cluster::rig::{Cluster, members, node};
use super::rig::{decode, frame, schema};
use super::verbs::{CREATE_TOPICS, METADATA, batch, fetch_request, name, produce_request, produced, text, wanted};
use bytes::Bytes;
use kafka_protocol::protocol::Request;
use std::collections::BTreeSet;
use torc_base::ids::{ConnId, GroupId, ListenerId, NodeId};
use torc_net::kafka::error;
use torc_net::kafka::schema::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use torc_net::kafka::schema::metadata_request::MetadataRequestTopic;
use torc_net::kafka::schema::metadata_response::MetadataResponseTopic;
use torc_net::kafka::schema::produce_response::PartitionProduceResponse;
use torc_net::kafka::schema::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DescribeClusterRequest, FindCoordinatorRequest, InitProducerIdRequest, MetadataRequest, MetadataResponse,
    ProduceRequest, ProduceResponse,
};

/// First versions that tell of leaders.
const PRODUCE: i16 = 10;
const FETCH: i16 = 16;

/// A client, and the number of its next request.
pub struct Client {
    conn: ConnId,
    pub node: NodeId,
    correlation: i32,
    received: Vec<u8>,
}

/// A cluster whose nodes have names of their own, and which has run for a second.
fn cluster(shards: [u16; 3]) -> Cluster {
    let mut cluster = Cluster::with(shards, |settings| {
        let id = settings.node.get();
        settings.listeners[0].advertised.0 = format!("node{id}.example");
        settings.cluster.rack = (id != 3).then(|| format!("rack{id}"));
    });
    cluster.pass(1_000);
    cluster
}

pub fn connect(cluster: &mut Cluster, to: NodeId) -> Client {
    Client { conn: cluster.caller(to, 0, ListenerId(0)), node: to, correlation: 0, received: Vec::new() }
}

impl Client {
    pub fn send<R: Request>(&mut self, cluster: &mut Cluster, version: i16, request: &R) -> i32 {
        self.correlation += 1;
        cluster.say(self.conn, &frame(request, version, self.correlation));
        self.correlation
    }

    /// The answer to a request, if it comes within so many milliseconds.
    pub fn take<R: Request>(&mut self, cluster: &mut Cluster, version: i16, of: i32, ms: u64) -> Option<R::Response> {
        for _ in 0..=ms / 10 {
            let (bytes, is_closed) = cluster.heard(self.conn);
            assert!(!is_closed, "node {} has hung up: {:?}", self.node, cluster.logs(self.node));
            self.received.extend(bytes);
            if let Some(length) = self.received.first_chunk().map(|length| i32::from_be_bytes(*length) as usize)
                && self.received.len() >= 4 + length
            {
                let frame = Bytes::copy_from_slice(&self.received[4..4 + length]);
                self.received.drain(..4 + length);
                assert_eq!(frame[..4], of.to_be_bytes(), "answers come in the order of requests");
                return Some(decode::<R::Response>(frame, schema::<R>(version)));
            }
            cluster.pass(10);
        }
        None
    }

    pub fn ask<R: Request>(&mut self, cluster: &mut Cluster, version: i16, request: &R) -> R::Response {
        let of = self.send(cluster, version, request);
        let answer = self.take::<R>(cluster, version, of, 8_000);
        answer.unwrap_or_else(|| panic!("no answer of node {} to API {}", self.node, R::KEY))
    }

    pub fn create(&mut self, cluster: &mut Cluster, topic: &str, partitions: i32, copies: i16) -> CreateTopicsResponse {
        let new = CreatableTopic::default().with_name(name(topic)).with_num_partitions(partitions);
        self.create_topic(cluster, new.with_replication_factor(copies))
    }

    pub fn create_topic(&mut self, cluster: &mut Cluster, new: CreatableTopic) -> CreateTopicsResponse {
        let request = CreateTopicsRequest::default().with_timeout_ms(6_000).with_topics(vec![new]);
        self.ask(cluster, CREATE_TOPICS, &request)
    }

    pub fn metadata(&mut self, cluster: &mut Cluster, topic: &str) -> (MetadataResponse, MetadataResponseTopic) {
        let wanted = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted])).with_allow_auto_topic_creation(false);
        let answer = self.ask(cluster, METADATA, &request);
        let topic = answer.topics[0].clone();
        (answer, topic)
    }

    pub fn leader(&mut self, cluster: &mut Cluster, topic: &str, partition: i32) -> NodeId {
        let (_, told) = self.metadata(cluster, topic);
        let partition = told.partitions.iter().find(|one| one.partition_index == partition).expect("it is there");
        assert_eq!(partition.error_code, error::NONE, "{told:?}");
        NodeId(partition.leader_id.0 as u32)
    }

    pub fn produce(&mut self, cluster: &mut Cluster, topic: &str, partition: i32) -> ProduceResponse {
        let bytes = batch(&["a"]);
        self.ask(cluster, PRODUCE, &produce_request(-1, &[(topic, partition, &bytes)]))
    }

    pub fn produce_one(&mut self, cluster: &mut Cluster, topic: &str, partition: i32) -> PartitionProduceResponse {
        produced(self.produce(cluster, topic, partition)).remove(0)
    }
}

/// A client of each node.
fn clients(cluster: &mut Cluster) -> [Client; 3] {
    members().map(|id| connect(cluster, id))
}

fn controller(cluster: &mut Cluster) -> NodeId {
    cluster.leader(GroupId::CATALOG)
}

pub fn ids(brokers: &[BrokerId]) -> Vec<u32> {
    brokers.iter().map(|broker| broker.0 as u32).collect()
}

#[test]
fn every_node_tells_the_same_of_nodes_topics_and_leaders() {
    for shards in [[1, 1, 1], [2, 1, 3]] {
        let mut cluster = cluster(shards);
        let mut clients = clients(&mut cluster);
        let created = clients[2].create(&mut cluster, "t", 6, -1);
        assert_eq!((created.topics[0].error_code, created.topics[0].replication_factor), (error::NONE, 3));
        cluster.pass(200);
        let controller = controller(&mut cluster);
        let mut told = BTreeSet::new();
        for client in &mut clients {
            let (answer, topic) = client.metadata(&mut cluster, "t");
            let brokers: Vec<_> = answer
                .brokers
                .iter()
                .map(|one| (one.node_id.0, one.host.to_string(), one.port, one.rack.as_deref().map(str::to_owned)))
                .collect();
            let expected =
                [1, 2, 3].map(|id| (id, format!("node{id}.example"), 9092, (id != 3).then(|| format!("rack{id}"))));
            assert_eq!(brokers, expected, "{shards:?}");
            assert_eq!(answer.controller_id.0 as u32, controller.get());
            let mut firsts = [0; 3];
            for partition in &topic.partitions {
                assert_eq!(partition.error_code, error::NONE);
                let replicas = ids(&partition.replica_nodes);
                assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 3, "{topic:?}");
                assert_eq!(ids(&partition.isr_nodes), replicas);
                assert!(partition.offline_replicas.is_empty());
                firsts[replicas[0] as usize - 1] += 1;
                assert_eq!(partition.leader_id.0 as u32, replicas[0], "the first replica stands first");
            }
            assert_eq!(firsts, [2; 3], "each node is to lead as many");
            told.insert(format!("{topic:?}"));
            let all = client.ask(&mut cluster, METADATA, &MetadataRequest::default().with_topics(None));
            assert_eq!((all.brokers, all.topics), (answer.brokers, vec![topic]));
            let described = client.ask(&mut cluster, 2, &DescribeClusterRequest::default().with_endpoint_type(1));
            let hosts: Vec<_> = described.brokers.iter().map(|one| (one.broker_id.0, one.host.to_string())).collect();
            assert_eq!(hosts, [1, 2, 3].map(|id| (id, format!("node{id}.example"))));
            assert_eq!(described.controller_id.0 as u32, controller.get());
        }
        assert_eq!(told.len(), 1, "{told:?}");
    }
}

#[test]
fn what_another_node_leads_is_refused_and_the_leader_is_named() {
    let mut cluster = cluster([2, 1, 2]);
    let mut clients = clients(&mut cluster);
    clients[0].create(&mut cluster, "t", 3, 3);
    cluster.pass(200);
    let leader = clients[0].leader(&mut cluster, "t", 1);
    for client in &mut clients {
        let answer = client.produce(&mut cluster, "t", 1);
        let (endpoints, partition) = (answer.node_endpoints.clone(), produced(answer).remove(0));
        let fetch = client.ask(&mut cluster, FETCH - 4, &fetch_request(vec![wanted("t", 1, 0)], 0));
        let fetched = fetch.responses[0].partitions[0].clone();
        if client.node == leader {
            assert_eq!((partition.error_code, partition.base_offset), (error::NONE, 0));
            assert_eq!((fetched.error_code, fetched.high_watermark), (error::NONE, 1));
            assert!(endpoints.is_empty() && partition.current_leader.leader_id.0 == -1);
            continue;
        }
        let leads = |id: i32| id as u32 == leader.get();
        assert_eq!(partition.error_code, error::NOT_LEADER_OR_FOLLOWER);
        assert!(leads(partition.current_leader.leader_id.0) && partition.current_leader.leader_epoch > 0);
        assert_eq!((endpoints.len(), endpoints[0].node_id.0), (1, leader.get() as i32));
        assert_eq!(&*endpoints[0].host, &format!("node{leader}.example"));
        assert_eq!(fetched.error_code, error::NOT_LEADER_OR_FOLLOWER);
        assert!(leads(fetched.current_leader.leader_id.0));
    }
}

#[test]
fn topics_are_made_changed_and_deleted_from_any_node_and_are_there_when_it_is_answered() {
    let mut cluster = cluster([1, 2, 1]);
    let mut clients = clients(&mut cluster);
    for (turn, at) in [0, 1, 2, 1, 0].into_iter().enumerate() {
        let topic = format!("t{turn}");
        let created = clients[at].create(&mut cluster, &topic, 4, 3);
        assert_eq!(created.topics[0].error_code, error::NONE);
        // At once, where it was asked for.
        let (_, told) = clients[at].metadata(&mut cluster, &topic);
        assert_eq!(told.partitions.len(), 4);
        assert!(told.partitions.iter().all(|partition| partition.error_code == error::NONE), "{told:?}");
        let again = clients[(at + 1) % 3].create(&mut cluster, &topic, 4, 3);
        assert_eq!(again.topics[0].error_code, error::TOPIC_ALREADY_EXISTS);
        let more = torc_net::kafka::schema::create_partitions_request::CreatePartitionsTopic::default()
            .with_name(name(&topic))
            .with_count(6)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![more]).with_timeout_ms(6_000);
        let grown = clients[(at + 2) % 3].ask(&mut cluster, 3, &request);
        assert_eq!(grown.results[0].error_code, error::NONE);
        let (_, told) = clients[(at + 2) % 3].metadata(&mut cluster, &topic);
        assert_eq!(told.partitions.len(), 6);
        let request = DeleteTopicsRequest::default().with_topic_names(vec![name(&topic)]).with_timeout_ms(6_000);
        let deleted = clients[(at + 1) % 3].ask(&mut cluster, 5, &request);
        assert_eq!(deleted.responses[0].error_code, error::NONE);
        cluster.pass(100);
        for client in &mut clients {
            let (_, told) = client.metadata(&mut cluster, &topic);
            assert_eq!(told.error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
        }
    }
}

#[test]
fn assignments_and_factors_are_kept_and_impossible_ones_refused() {
    let mut cluster = cluster([1, 1, 1]);
    let mut clients = clients(&mut cluster);
    let assigned = |replicas: &[&[i32]]| {
        let rows = replicas.iter().zip(0..).map(|(row, index)| {
            let ids = row.iter().copied().map(BrokerId).collect();
            CreatableReplicaAssignment::default().with_partition_index(index).with_broker_ids(ids)
        });
        let new = CreatableTopic::default().with_num_partitions(-1).with_replication_factor(-1);
        new.with_assignments(rows.collect())
    };
    let new = assigned(&[&[3, 1], &[2, 3], &[3, 2]]).with_name(name("t"));
    assert_eq!(clients[1].create_topic(&mut cluster, new).topics[0].error_code, error::NONE);
    let (_, told) = clients[0].metadata(&mut cluster, "t");
    let rows: Vec<_> = told.partitions.iter().map(|partition| ids(&partition.replica_nodes)).collect();
    assert_eq!(rows, [[3, 1], [2, 3], [3, 2]]);
    for (partition, leader) in [(0, 3), (1, 2), (2, 3)] {
        assert_eq!(clients[1].leader(&mut cluster, "t", partition), node(leader));
        let produced = clients[leader as usize - 1].produce_one(&mut cluster, "t", partition);
        assert_eq!(produced.error_code, error::NONE);
    }
    for (new, code) in [
        (assigned(&[&[4]]), error::INVALID_REPLICA_ASSIGNMENT),
        (assigned(&[&[1, 1]]), error::INVALID_REPLICA_ASSIGNMENT),
        (
            CreatableTopic::default().with_num_partitions(1).with_replication_factor(4),
            error::INVALID_REPLICATION_FACTOR,
        ),
    ] {
        let refused = clients[0].create_topic(&mut cluster, new.with_name(name("u")));
        assert_eq!(refused.topics[0].error_code, code);
    }
    let single = clients[2].create(&mut cluster, "one", 3, 1);
    assert_eq!(single.topics[0].error_code, error::NONE);
    let (_, told) = clients[0].metadata(&mut cluster, "one");
    let leaders: BTreeSet<_> = told.partitions.iter().map(|partition| partition.leader_id.0).collect();
    assert_eq!(leaders, [1, 2, 3].into());
}

#[test]
fn producers_get_ids_that_nobody_else_has_from_every_node() {
    let mut cluster = cluster([1, 1, 2]);
    let mut clients = clients(&mut cluster);
    let mut given = BTreeSet::new();
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    for turn in 0..30 {
        let answer = clients[turn % 3].ask(&mut cluster, 4, &request);
        assert_eq!(answer.error_code, error::NONE);
        assert!(given.insert(answer.producer_id.0), "{} was given twice", answer.producer_id.0);
    }
    let before = controller(&mut cluster);
    cluster.kill(before);
    cluster.pass(3_000);
    for client in clients.iter_mut().filter(|client| client.node != before) {
        let answer = client.ask(&mut cluster, 4, &request);
        assert_eq!(answer.error_code, error::NONE);
        assert!(given.insert(answer.producer_id.0), "{} was given twice", answer.producer_id.0);
    }
}

#[test]
fn coordinators_are_where_their_partitions_are_led_and_every_node_knows() {
    let mut cluster = cluster([1, 2, 1]);
    let mut clients = clients(&mut cluster);
    let keys: Vec<_> = (0..12).map(|n| text(&format!("group{n}"))).collect();
    let request = FindCoordinatorRequest::default().with_coordinator_keys(keys.clone());
    clients[1].ask(&mut cluster, 6, &request);
    cluster.pass(1_500);
    let mut all = BTreeSet::new();
    for client in &mut clients {
        let found = client.ask(&mut cluster, 6, &request);
        let places: Vec<_> = found.coordinators.iter().map(|one| (one.error_code, one.node_id.0)).collect();
        for one in &found.coordinators {
            assert_eq!((one.error_code, &*one.host), (error::NONE, &*format!("node{}.example", one.node_id.0)));
        }
        all.insert(places);
    }
    assert_eq!(all.len(), 1, "{all:?}");
    let places = all.pop_first().expect("one");
    assert_eq!(places.iter().map(|(_, node)| node).collect::<BTreeSet<_>>().len(), 3, "they are spread");
    for (group, (_, at)) in keys.iter().zip(places) {
        for client in &mut clients {
            let joined = client.ask(&mut cluster, 9, &super::groups::join_request(group, ""));
            let expected =
                if client.node.get() as i32 == at { error::MEMBER_ID_REQUIRED } else { error::NOT_COORDINATOR };
            assert_eq!(joined.error_code, expected);
        }
    }
}

#[test]
fn when_a_leader_dies_the_others_tell_of_another_and_of_one_node_less() {
    let mut cluster = cluster([1, 2, 1]);
    let mut clients = clients(&mut cluster);
    clients[0].create(&mut cluster, "t", 9, 3);
    let dead = node(2);
    let led: Vec<i32> = (0..9).filter(|at| clients[0].leader(&mut cluster, "t", *at) == dead).collect();
    assert_eq!(led.len(), 3);
    cluster.kill(dead);
    cluster.pass(3_000);
    for at in [0, 2] {
        let (answer, told) = clients[at].metadata(&mut cluster, "t");
        assert_eq!(answer.brokers.iter().map(|one| one.node_id.0).collect::<Vec<_>>(), [1, 3]);
        for partition in &told.partitions {
            assert_eq!(partition.error_code, error::NONE, "{told:?}");
            assert_ne!(partition.leader_id.0, 2);
            assert_eq!(partition.replica_nodes.len(), 3);
            assert!(!ids(&partition.isr_nodes).contains(&2), "it cannot be reached");
            assert_eq!(ids(&partition.offline_replicas), [2]);
        }
    }
    let leader = clients[0].leader(&mut cluster, "t", led[0]);
    let produced = clients[leader.get() as usize - 1].produce_one(&mut cluster, "t", led[0]);
    assert_eq!(produced.error_code, error::NONE);
    // It comes again, and is a replica again.
    cluster.start(dead);
    cluster.pass(3_000);
    let mut back = connect(&mut cluster, dead);
    for client in [&mut back, &mut clients[0]] {
        let (answer, told) = client.metadata(&mut cluster, "t");
        assert_eq!(answer.brokers.len(), 3);
        for partition in &told.partitions {
            assert_eq!((partition.error_code, partition.isr_nodes.len()), (error::NONE, 3), "{told:?}");
            assert!(partition.offline_replicas.is_empty());
        }
    }
}

#[test]
fn what_the_controller_was_asked_when_it_died_is_answered_and_the_next_one_goes_on() {
    let mut cluster = cluster([1, 1, 1]);
    let mut clients = clients(&mut cluster);
    clients[0].create(&mut cluster, "before", 1, 3);
    let dead = controller(&mut cluster);
    let other = members().into_iter().find(|id| *id != dead).expect("two more");
    let client = &mut clients[other.get() as usize - 1];
    let (_, _) = client.metadata(&mut cluster, "before");
    // The way there is open, and nothing comes back.
    cluster.paused.insert(dead);
    let new = CreatableTopic::default().with_name(name("t")).with_num_partitions(1).with_replication_factor(3);
    let request = CreateTopicsRequest::default().with_timeout_ms(20_000).with_topics(vec![new]);
    let waits = client.send(&mut cluster, CREATE_TOPICS, &request);
    let answer = client.take::<CreateTopicsRequest>(&mut cluster, CREATE_TOPICS, waits, 3_000).expect("it is answered");
    assert_eq!(answer.topics[0].error_code, error::NOT_CONTROLLER);
    cluster.pass(2_000);
    let created = client.create(&mut cluster, "t", 1, 3);
    assert!(matches!(created.topics[0].error_code, error::NONE | error::TOPIC_ALREADY_EXISTS));
    let (answer, told) = client.metadata(&mut cluster, "t");
    assert_eq!(told.partitions.len(), 1);
    assert_ne!(answer.controller_id.0 as u32, dead.get());
    // The old one finds out what it has missed.
    cluster.paused.remove(&dead);
    cluster.pass(3_000);
    let mut old = connect(&mut cluster, dead);
    let (answer, told) = old.metadata(&mut cluster, "t");
    assert_eq!((told.error_code, told.partitions.len(), answer.brokers.len()), (error::NONE, 1, 3));
}

#[test]
fn changes_wait_for_a_controller_and_not_for_ever() {
    let mut cluster = cluster([1, 1, 1]);
    let mut clients = clients(&mut cluster);
    let dead = controller(&mut cluster);
    let other = members().into_iter().find(|id| *id != dead).expect("two more");
    let client = &mut clients[other.get() as usize - 1];
    cluster.kill(dead);
    cluster.run();
    // Nobody has been elected yet.
    let created = client.create(&mut cluster, "t", 1, -1);
    assert_eq!((created.topics[0].error_code, created.topics[0].replication_factor), (error::NONE, 3));
    // One of three elects nobody.
    let third = members().into_iter().find(|id| *id != dead && *id != other).expect("one more");
    cluster.kill(third);
    cluster.pass(2_000);
    let new = CreatableTopic::default().with_name(name("u")).with_num_partitions(1).with_replication_factor(-1);
    let request = CreateTopicsRequest::default().with_timeout_ms(60_000).with_topics(vec![new]);
    let waits = client.send(&mut cluster, CREATE_TOPICS, &request);
    let answer =
        client.take::<CreateTopicsRequest>(&mut cluster, CREATE_TOPICS, waits, 10_000).expect("it is answered");
    assert_eq!(answer.topics[0].error_code, error::NOT_CONTROLLER);
}

#[test]
fn too_few_replicas_in_sync_take_nothing_for_all_of_them() {
    let mut cluster = cluster([1, 2, 1]);
    let mut clients = clients(&mut cluster);
    for (topic, in_sync) in [("two", "2"), ("three", "3")] {
        let config = CreatableTopicConfig::default().with_name(text("min.insync.replicas"));
        let new = CreatableTopic::default()
            .with_name(name(topic))
            .with_assignments(vec![
                CreatableReplicaAssignment::default().with_broker_ids([1, 2, 3].map(BrokerId).into()),
            ])
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_configs(vec![config.with_value(Some(text(in_sync)))]);
        assert_eq!(clients[0].create_topic(&mut cluster, new).topics[0].error_code, error::NONE);
    }
    let client = &mut clients[0];
    for topic in ["two", "three"] {
        assert_eq!(client.produce_one(&mut cluster, topic, 0).error_code, error::NONE);
    }
    cluster.kill(node(3));
    cluster.pass(1_500);
    assert_eq!(client.produce_one(&mut cluster, "two", 0).error_code, error::NONE);
    assert_eq!(client.produce_one(&mut cluster, "three", 0).error_code, error::NOT_ENOUGH_REPLICAS);
    let (_, told) = client.metadata(&mut cluster, "three");
    assert_eq!(ids(&told.partitions[0].isr_nodes), [1, 2]);
    // Nothing was appended, and who does not ask for all is not held up.
    let bytes = batch(&["b"]);
    let one = client.ask(&mut cluster, PRODUCE, &produce_request(1, &[("three", 0, &bytes)]));
    assert_eq!(produced(one)[0].base_offset, 1);
    cluster.start(node(3));
    cluster.pass(3_000);
    assert_eq!(client.produce_one(&mut cluster, "three", 0).error_code, error::NONE);
    let (_, told) = client.metadata(&mut cluster, "three");
    assert_eq!(ids(&told.partitions[0].isr_nodes), [1, 2, 3]);
}

#[test]
fn as_many_disks_as_were_asked_for_have_a_batch_when_it_is_answered() {
    let mut cluster = cluster([1, 1, 1]);
    let mut clients = clients(&mut cluster);
    let assigned = CreatableReplicaAssignment::default().with_broker_ids([1, 2, 3].map(BrokerId).into());
    let new = CreatableTopic::default().with_name(name("t")).with_assignments(vec![assigned]);
    clients[0].create_topic(&mut cluster, new.with_num_partitions(-1).with_replication_factor(-1));
    let client = &mut clients[0];
    cluster.disk(node(3), 0).hold_writes = true;
    let bytes = batch(&["a"]);
    for (acks, comes) in [(1, true), (2, true), (-1, true), (3, false)] {
        let waits = client.send(&mut cluster, PRODUCE, &produce_request(acks, &[("t", 0, &bytes)]));
        let answer = client.take::<ProduceRequest>(&mut cluster, PRODUCE, waits, 200);
        assert_eq!(answer.is_some(), comes, "acks={acks}");
        if comes {
            assert_eq!(produced(answer.expect("seen")).remove(0).error_code, error::NONE);
            continue;
        }
        cluster.disk(node(3), 0).hold_writes = false;
        cluster.disk(node(3), 0).release();
        let answer = client.take::<ProduceRequest>(&mut cluster, PRODUCE, waits, 2_000).expect("three disks have it");
        assert_eq!(produced(answer).remove(0).error_code, error::NONE);
    }
    let refused = client.ask(&mut cluster, PRODUCE, &produce_request(4, &[("t", 0, &bytes)]));
    assert_eq!(produced(refused).remove(0).error_code, error::INVALID_REQUIRED_ACKS);
}

#[test]
fn a_node_that_was_away_serves_when_it_knows_what_it_has_missed() {
    let mut cluster = cluster([2, 1, 1]);
    let mut clients = clients(&mut cluster);
    clients[0].create(&mut cluster, "kept", 3, 3);
    clients[0].create(&mut cluster, "gone", 3, 3);
    let away = node(3);
    cluster.kill(away);
    cluster.pass(2_000);
    let client = &mut clients[0];
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name("gone")]).with_timeout_ms(6_000);
    assert_eq!(client.ask(&mut cluster, 5, &request).responses[0].error_code, error::NONE);
    assert_eq!(client.create(&mut cluster, "new", 3, 3).topics[0].error_code, error::NONE);
    cluster.start(away);
    let mut back = connect(&mut cluster, away);
    // It is asked before it knows anything, and answers when it does.
    for (topic, code) in [("kept", 0), ("gone", error::UNKNOWN_TOPIC_OR_PARTITION), ("new", 0)] {
        let (_, told) = back.metadata(&mut cluster, topic);
        assert_eq!(told.error_code, code, "{topic}");
    }
    let fetch = back.ask(&mut cluster, FETCH - 4, &fetch_request(vec![wanted("gone", 0, 0)], 0));
    assert_eq!(fetch.responses[0].partitions[0].error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
}

/// A topic of one partition with these replicas and settings; its leader is the first of them.
fn assigned(cluster: &mut Cluster, client: &mut Client, topic: &str, replicas: [i32; 3], in_sync: &str) {
    let config = CreatableTopicConfig::default().with_name(text("min.insync.replicas")).with_value(Some(text(in_sync)));
    let assigned = CreatableReplicaAssignment::default().with_broker_ids(replicas.map(BrokerId).into());
    let new = CreatableTopic::default().with_name(name(topic)).with_assignments(vec![assigned]);
    let new = new.with_num_partitions(-1).with_replication_factor(-1).with_configs(vec![config]);
    assert_eq!(client.create_topic(cluster, new).topics[0].error_code, error::NONE);
}

/// A replica that is there and has not caught up for 30 s is not in sync; before that whoever asks for it waits.
#[test]
fn a_replica_is_in_sync_until_it_has_lagged_for_long() {
    let mut cluster = cluster([1, 1, 1]);
    let mut client = connect(&mut cluster, node(1));
    assigned(&mut cluster, &mut client, "t", [1, 2, 3], "3");
    assert_eq!(client.produce_one(&mut cluster, "t", 0).error_code, error::NONE);
    // A minute without records is no lag.
    cluster.pass(60_000);
    cluster.disk(node(3), 0).hold_writes = true;
    let bytes = batch(&["a"]);
    let patient = produce_request(-1, &[("t", 0, &bytes)]).with_timeout_ms(120_000);
    let waits = client.send(&mut cluster, PRODUCE, &patient);
    assert!(client.take::<ProduceRequest>(&mut cluster, PRODUCE, waits, 20_000).is_none(), "two disks have it");
    let mut other = connect(&mut cluster, node(1));
    let in_sync = |cluster: &mut Cluster, client: &mut Client| {
        let (_, told) = client.metadata(cluster, "t");
        ids(&told.partitions[0].isr_nodes)
    };
    assert_eq!(in_sync(&mut cluster, &mut other), [1, 2, 3]);
    let answer = client.take::<ProduceRequest>(&mut cluster, PRODUCE, waits, 12_000).expect("it waits no longer");
    assert_eq!(produced(answer).remove(0).error_code, error::NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert_eq!(in_sync(&mut cluster, &mut other), [1, 2]);
    assert_eq!(other.produce_one(&mut cluster, "t", 0).error_code, error::NOT_ENOUGH_REPLICAS);
    // The others are told, too.
    let mut far = connect(&mut cluster, node(2));
    assert_eq!(in_sync(&mut cluster, &mut far), [1, 2]);
    cluster.disk(node(3), 0).hold_writes = false;
    cluster.disk(node(3), 0).release();
    cluster.pass(3_000);
    for client in [&mut other, &mut far] {
        assert_eq!(in_sync(&mut cluster, client), [1, 2, 3]);
    }
    assert_eq!(other.produce_one(&mut cluster, "t", 0).error_code, error::NONE);
}

#[test]
fn a_node_that_is_back_leads_again_what_it_has_the_first_replica_of() {
    let mut cluster = cluster([2, 1, 1]);
    let mut clients = clients(&mut cluster);
    clients[0].create(&mut cluster, "t", 9, 3);
    let firsts = |cluster: &mut Cluster, client: &mut Client| {
        let (_, told) = client.metadata(cluster, "t");
        let is_first = |partition: &&_| {
            let partition: &torc_net::kafka::schema::metadata_response::MetadataResponsePartition = partition;
            partition.leader_id == partition.replica_nodes[0]
        };
        told.partitions.iter().filter(is_first).count()
    };
    assert_eq!(firsts(&mut cluster, &mut clients[0]), 9);
    cluster.kill(node(2));
    cluster.pass(2_000);
    assert_eq!(firsts(&mut cluster, &mut clients[0]), 6);
    cluster.start(node(2));
    cluster.pass(2_000);
    assert_eq!(firsts(&mut cluster, &mut clients[0]), 6, "it has just come");
    cluster.pass(5_000);
    assert_eq!(firsts(&mut cluster, &mut clients[0]), 9);
    let mut back = connect(&mut cluster, node(2));
    let (_, told) = back.metadata(&mut cluster, "t");
    let led = told.partitions.iter().find(|partition| partition.leader_id.0 == 2).expect("it leads some");
    assert_eq!(back.produce_one(&mut cluster, "t", led.partition_index).error_code, error::NONE);
}

#[test]
fn a_node_that_stops_hands_over_what_it_leads_at_once() {
    let mut cluster = cluster([1, 1, 1]);
    let mut clients = clients(&mut cluster);
    clients[0].create(&mut cluster, "t", 9, 3);
    let stops = controller(&mut cluster);
    cluster.call(stops, GroupId::CATALOG, |groups, out| groups.hand_over(out));
    cluster.pass(150);
    let client = clients.iter_mut().find(|client| client.node != stops).expect("two more");
    let (answer, told) = client.metadata(&mut cluster, "t");
    assert_ne!(answer.controller_id.0 as u32, stops.get());
    for partition in &told.partitions {
        assert_eq!(partition.error_code, error::NONE, "{told:?}");
        assert_ne!(partition.leader_id.0 as u32, stops.get());
    }
}

/// Whatever clients ask, the way between nodes stays free for what else goes over it.
#[test]
fn requests_that_are_handed_on_are_bounded_one_by_one_and_together() {
    let mut cluster = cluster([1, 1, 1]);
    let controller = controller(&mut cluster);
    let other = members().into_iter().find(|id| *id != controller).expect("two more");
    let many = |count: usize| {
        let topics = (0..count).map(|n| {
            let name = name(&format!("{n:0>240}"));
            CreatableTopic::default().with_name(name).with_num_partitions(1).with_replication_factor(1)
        });
        let request = CreateTopicsRequest::default().with_topics(topics.collect()).with_timeout_ms(30_000);
        request.with_validate_only(true)
    };
    let mut client = connect(&mut cluster, other);
    let refused = client.ask(&mut cluster, CREATE_TOPICS, &many(5_000));
    assert!(refused.topics.iter().all(|topic| topic.error_code == error::POLICY_VIOLATION), "{:?}", refused.topics[0]);
    let long = many(3_000);
    let mut all: Vec<Client> = (0..7).map(|_| connect(&mut cluster, other)).collect();
    let waits: Vec<i32> = all.iter_mut().map(|client| client.send(&mut cluster, CREATE_TOPICS, &long)).collect();
    for (client, of) in all.iter_mut().zip(waits) {
        let answer =
            client.take::<CreateTopicsRequest>(&mut cluster, CREATE_TOPICS, of, 10_000).expect("its turn comes");
        assert_eq!(answer.topics.len(), 3_000);
        assert!(answer.topics.iter().all(|topic| topic.error_code == error::NONE));
    }
    assert_eq!(cluster.links(other), 2, "no link was lost");
    let at_home = connect(&mut cluster, controller).ask(&mut cluster, CREATE_TOPICS, &many(5_000));
    assert!(at_home.topics.iter().all(|topic| topic.error_code == error::NONE), "the controller needs no mail");
}
