//! Preparations: the topic is there, its leaders are known, versions are agreed on.

use crate::error::Error;
use crate::guide::Guide;
use crate::interrupt;
use crate::options::{Protocol, Target};
use crate::payload::Producer;
use crate::wire::{FETCH_VERSIONS, PRODUCE_VERSIONS};
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_response::{MetadataResponse, MetadataResponseBroker};
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse, FetchRequest,
    InitProducerIdRequest, ListOffsetsRequest, ProduceRequest,
};
use kafka_protocol::protocol::Request;
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};
use torc_base::units::plain_setting;
use torc_client::{Client, Cluster, Patience, error_name, text, topic_name};

/// Time that a broker gets for a request of the preparations, in milliseconds.
const TIMEOUT_MS: i32 = 30_000;
/// Time in which a new topic's leaders must be there.
const LEADERS_TIME: Duration = Duration::from_secs(30);

/// Time between two tries.
const RETRY: Duration = Duration::from_millis(100);

/// Kafka's error codes that this module handles.
const UNKNOWN_TOPIC: i16 = 3;
const LEADER_NOT_AVAILABLE: i16 = 5;
/// Those that pass by themselves soon after a start: unknown topic or leader, coordinator not there or still loading.
const PASSING: &[i16] = &[UNKNOWN_TOPIC, LEADER_NOT_AVAILABLE, 6, 14, 15, 16];

/// A server and the partitions that it leads.
#[derive(Clone, Debug)]
pub struct Leader {
    /// Kafka's broker id; of the bare server, 0.
    pub id: i32,
    pub address: SocketAddr,
    pub partitions: Vec<i32>,
}

/// Where each partition that has a leader is led.
pub type Routes = BTreeMap<i32, SocketAddr>;

/// Everything that connections must know of the target.
pub struct Layout {
    /// Servers that lead a partition of the run, one at least.
    pub leaders: Vec<Leader>,
    /// All servers of the cluster.
    pub brokers: Vec<SocketAddr>,
    /// The versions of Produce and Fetch that both sides know.
    pub produce_version: i16,
    pub fetch_version: i16,
    /// `None` for the bare server.
    pub cluster: Option<Cluster>,
}

/// What becomes of a topic that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Create,
    Refuse,
}

/// Connects to the target and looks up the topic.
pub fn prepare(target: &Target, missing: Missing) -> Result<Layout, Error> {
    if target.protocol == Protocol::Bare {
        let leader =
            Leader { id: 0, address: resolve(&target.bootstrap_server)?, partitions: (0..target.partitions).collect() };
        return Ok(Layout {
            brokers: vec![leader.address],
            leaders: vec![leader],
            produce_version: PRODUCE_VERSIONS.1,
            fetch_version: 0,
            cluster: None,
        });
    }
    let mut cluster = Cluster::connect(&target.bootstrap_server)?;
    let produce_version = agree::<ProduceRequest>(&mut cluster, "Produce", PRODUCE_VERSIONS)?;
    let fetch_version = agree::<FetchRequest>(&mut cluster, "Fetch", FETCH_VERSIONS)?;
    let metadata = topic(&mut cluster, target, missing)?;
    let leaders = leaders(&metadata, target.partitions)?;
    let brokers = metadata.brokers.iter().map(address).collect::<Result<_, Error>>()?;
    // Metadata names leaders before they know that they are.
    offsets(&mut cluster, &leaders, &target.topic, Edge::Latest)?;
    Ok(Layout { leaders, brokers, produce_version, fetch_version, cluster: Some(cluster) })
}

impl Layout {
    /// Who says where leaders have moved to; `None` where there is nobody to move to.
    pub fn guide(&self, topic: &str) -> Option<Guide> {
        let cluster = self.cluster.as_ref().filter(|_| self.brokers.len() > 1)?;
        Some(Guide::start(cluster.known().join(","), topic.to_string()))
    }

    /// Looks up the leaders again, which may have moved during the run.
    pub fn look_again(&mut self, target: &Target) -> Result<(), Error> {
        let Some(cluster) = self.cluster.as_mut().filter(|_| self.brokers.len() > 1) else { return Ok(()) };
        let deadline = Instant::now() + LEADERS_TIME;
        loop {
            let looked = topic(cluster, target, Missing::Refuse).and_then(|metadata| {
                let leaders = leaders(&metadata, target.partitions)?;
                offsets(cluster, &leaders, &target.topic, Edge::Latest)?;
                Ok(leaders)
            });
            match looked {
                Ok(leaders) => {
                    self.leaders = leaders;
                    return Ok(());
                }
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => {
                    std::thread::sleep(RETRY);
                    // If nobody answers, the next question says so.
                    let _ = cluster.reconnect();
                }
            }
        }
    }
}

/// The newest version of `ours` that the broker knows.
fn agree<R: Request>(cluster: &mut Cluster, api: &str, ours: (i16, i16)) -> Result<i16, Error> {
    let server = cluster.any().server_versions::<R>()?;
    let version = server.max.min(ours.1);
    if version < server.min || version < ours.0 {
        let (least, most) = ours;
        return Err(Error::Unfit(format!(
            "the broker speaks {api} versions {server}, the load generator {least} to {most}"
        )));
    }
    Ok(version)
}

/// Deletes the topic if it is there, and returns when the cluster does not know it any more.
pub fn forget(target: &Target) -> Result<(), Error> {
    if target.protocol == Protocol::Bare {
        return Ok(());
    }
    let mut cluster = Cluster::connect(&target.bootstrap_server)?;
    let name = || topic_name(&target.topic);
    let delete = |controller: &mut Client| {
        let mut request = DeleteTopicsRequest::default().with_timeout_ms(TIMEOUT_MS);
        // Version 6 came with topic ids, and with another place for the names.
        if controller.version::<DeleteTopicsRequest>()? >= 6 {
            request.topics = vec![DeleteTopicState::default().with_name(Some(name()))];
        } else {
            request.topic_names = vec![name()];
        }
        controller.call(&request)
    };
    let codes = |response: &DeleteTopicsResponse| response.responses.iter().map(|one| one.error_code).collect();
    let mut patience = Patience::new(LEADERS_TIME, || interrupt::caught().is_some());
    let change = cluster.change(&mut patience, delete, codes);
    let response = change.map_err(|error| Error::Unfit(format!("cannot delete topic {}: {error}", target.topic)))?;
    let code = response.responses.first().map_or(0, |result| result.error_code);
    if code != 0 && code != UNKNOWN_TOPIC {
        return Err(Error::Unfit(format!("cannot delete topic {}: {}", target.topic, error_name(code))));
    }
    let deadline = Instant::now() + LEADERS_TIME;
    loop {
        let metadata = cluster.metadata(Some(std::slice::from_ref(&target.topic)))?;
        if metadata.topics.iter().all(|topic| topic.error_code == UNKNOWN_TOPIC) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::Unfit(format!("topic {} was deleted, and does not go away", target.topic)));
        }
        std::thread::sleep(RETRY);
    }
}

/// What the cluster says about the topic, once it has all its leaders.
fn topic(cluster: &mut Cluster, target: &Target, missing: Missing) -> Result<MetadataResponse, Error> {
    let names = [target.topic.clone()];
    let deadline = Instant::now() + LEADERS_TIME;
    let mut created = false;
    loop {
        let metadata = cluster.metadata(Some(&names))?;
        let topic = metadata
            .topics
            .first()
            .ok_or_else(|| Error::Unfit("the cluster does not answer about the topic".into()))?;
        let leaderless = topic.partitions.iter().any(|p| p.leader_id.0 < 0);
        let what = match topic.error_code {
            0 if !leaderless => return Ok(metadata),
            0 | LEADER_NOT_AVAILABLE => "not all partitions have a leader",
            UNKNOWN_TOPIC if created => "the topic does not appear",
            UNKNOWN_TOPIC if missing == Missing::Refuse => {
                let topic = &target.topic;
                return Err(Error::Unfit(format!(
                    "there is no topic {topic} to read: torc topic list shows those that are"
                )));
            }
            UNKNOWN_TOPIC => {
                create(cluster, target)?;
                created = true;
                continue;
            }
            code => return Err(Error::Unfit(format!("topic {}: {}", target.topic, error_name(code)))),
        };
        if Instant::now() > deadline {
            return Err(Error::Unfit(format!("topic {}: {what}, after {} s", target.topic, LEADERS_TIME.as_secs())));
        }
        std::thread::sleep(RETRY);
    }
}

fn create(cluster: &mut Cluster, target: &Target) -> Result<(), Error> {
    let configs = target.topic_config.iter().map(|setting| {
        let (key, value) = setting.split_once('=').expect("options are read as KEY=VALUE");
        CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(&plain_setting(key, value))))
    });
    let topic = CreatableTopic::default()
        .with_name(topic_name(&target.topic))
        .with_num_partitions(target.partitions)
        .with_replication_factor(target.replication_factor.unwrap_or(-1))
        .with_configs(configs.collect());
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    let codes = |response: &CreateTopicsResponse| response.topics.iter().map(|topic| topic.error_code).collect();
    let mut patience = Patience::new(LEADERS_TIME, || interrupt::caught().is_some());
    let change = cluster.change(&mut patience, |controller| controller.call(&request), codes);
    let response = change.map_err(|error| Error::Unfit(format!("cannot create topic {}: {error}", target.topic)))?;
    match response.topics.first() {
        Some(topic) if topic.error_code != 0 => {
            let reason =
                topic.error_message.as_ref().map(|message| format!(" ({})", message.as_str())).unwrap_or_default();
            let error = error_name(topic.error_code);
            Err(Error::Unfit(format!("cannot create topic {}: {error}{reason}", target.topic)))
        }
        _ => Ok(()),
    }
}

/// The leaders of the first `wanted` partitions.
fn leaders(metadata: &MetadataResponse, wanted: i32) -> Result<Vec<Leader>, Error> {
    let topic = &metadata.topics[0];
    if (topic.partitions.len() as i64) < i64::from(wanted) {
        let has = topic.partitions.len();
        return Err(Error::Unfit(format!("the topic is there with {has} partitions, {wanted} were asked for")));
    }
    let mut leaders = Vec::new();
    for broker in &metadata.brokers {
        let led = topic.partitions.iter().filter(|p| p.leader_id == broker.node_id && p.partition_index < wanted);
        let mut partitions: Vec<i32> = led.map(|p| p.partition_index).collect();
        partitions.sort_unstable();
        if !partitions.is_empty() {
            leaders.push(Leader { id: broker.node_id.0, address: address(broker)?, partitions });
        }
    }
    if leaders.iter().map(|leader| leader.partitions.len()).sum::<usize>() < wanted as usize {
        return Err(Error::Unfit("a partition's leader is not among the brokers that the cluster names".into()));
    }
    Ok(leaders)
}

/// Where the first topic's partitions are led, as far as that is known.
pub fn routes(metadata: &MetadataResponse) -> Routes {
    let brokers: BTreeMap<BrokerId, SocketAddr> =
        metadata.brokers.iter().filter_map(|broker| Some((broker.node_id, address(broker).ok()?))).collect();
    let partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.filter_map(|p| Some((p.partition_index, *brokers.get(&p.leader_id)?))).collect()
}

fn address(broker: &MetadataResponseBroker) -> Result<SocketAddr, Error> {
    let (host, port) = (broker.host.as_str(), broker.port);
    resolve(&if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

fn resolve(address: &str) -> Result<SocketAddr, Error> {
    let first = address.split(',').next().unwrap_or_default().trim();
    let mut found = first.to_socket_addrs().map_err(Error::io(format!("looking up {first}")))?;
    found.next().ok_or_else(|| Error::Unfit(format!("{first} has no address")))
}

/// An idempotent producer's id.
pub fn producer(cluster: &mut Cluster) -> Result<Producer, Error> {
    let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(TIMEOUT_MS);
    let response = patiently("no producer id", || {
        let response = cluster.ask(&request)?;
        let code = response.error_code;
        Ok((response, code))
    })?;
    Ok(Producer { id: response.producer_id.0, epoch: response.producer_epoch })
}

/// Asks until the answer has no error that passes by itself. `ask` returns the answer and its error code.
fn patiently<T>(what: &str, mut ask: impl FnMut() -> Result<(T, i16), Error>) -> Result<T, Error> {
    let deadline = Instant::now() + LEADERS_TIME;
    loop {
        match ask()? {
            (answer, 0) => return Ok(answer),
            (_, code) if PASSING.contains(&code) && Instant::now() < deadline => std::thread::sleep(RETRY),
            (_, code) => return Err(Error::Unfit(format!("{what}: {}", error_name(code)))),
        }
    }
}

/// Where a log can be asked to begin or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    Earliest = -2,
    Latest = -1,
}

/// The offset at `edge` of each of the leaders' partitions.
pub fn offsets(
    cluster: &mut Cluster,
    leaders: &[Leader],
    topic: &str,
    edge: Edge,
) -> Result<BTreeMap<i32, i64>, Error> {
    let mut offsets = BTreeMap::new();
    for leader in leaders {
        let ask =
            |&index: &i32| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(edge as i64);
        let partitions = leader.partitions.iter().map(ask).collect();
        let topics = vec![ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(partitions)];
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics);
        let response = patiently(&format!("offsets of {topic}"), || {
            let response = cluster.broker(leader.id)?.call(&request)?;
            let codes =
                || response.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
            // One that lasts decides.
            let lasting = codes().find(|code| *code != 0 && !PASSING.contains(code));
            let code = lasting.or_else(|| codes().find(|code| *code != 0)).unwrap_or(0);
            Ok((response, code))
        })?;
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            offsets.insert(partition.partition_index, partition.offset);
        }
    }
    Ok(offsets)
}

/// Spreads `connections` over the leaders, and the partitions of each leader over its connections: each connection has
/// some, and each partition has a connection if there are enough.
pub fn assign(leaders: &[Leader], connections: usize) -> Vec<Leader> {
    let mut out = Vec::with_capacity(connections);
    for (i, leader) in leaders.iter().enumerate() {
        let share = connections.saturating_sub(i).div_ceil(leaders.len()).max(1);
        for n in 0..share {
            let own: Vec<i32> = match leader.partitions.len() {
                few if few <= share => vec![leader.partitions[n % few]],
                _ => leader.partitions.iter().copied().skip(n).step_by(share).collect(),
            };
            out.push(Leader { partitions: own, ..*leader });
        }
    }
    out
}
