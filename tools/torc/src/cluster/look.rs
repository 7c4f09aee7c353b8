//! What a cluster says of itself, over Kafka's own protocol: gathered once, and shown in several ways.

use crate::admin::AdminError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    BrokerId, DescribeConfigsRequest, DescribeLogDirsRequest, DescribeQuorumRequest, ListOffsetsRequest,
    MetadataResponse,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use torc_client::{ClientError, Cluster, LATEST, Times, error_name, text, topic_name};
use torc_net::kafka::DIFFERENCES_TAG;

/// Whoever asks as this replica is told where the asked node's own log ends, also where another one leads.
const ANY_REPLICA: BrokerId = BrokerId(-2);
/// Kafka's number for "a topic" among what can be configured.
const TOPIC_RESOURCE: i8 = 2;
const MIN_INSYNC: &str = "min.insync.replicas";
/// Leaders of so many partitions are asked why replicas are behind.
const REASONS_MAX: usize = 1_000;
/// A node that is well answers in this time. One that does not is the very thing that is looked for.
const TIMES: Times = Times { connect: Duration::from_secs(2), answer: Duration::from_secs(10) };

/// A cluster at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// `None`: it does not say.
    pub cluster_id: Option<String>,
    /// `None`: there is none now.
    pub controller: Option<i32>,
    /// By rising number: those that the cluster names, and those that only partitions name.
    pub nodes: Vec<Node>,
    /// By topic and number.
    pub partitions: Vec<Partition>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    /// `None`: the cluster does not name it.
    pub address: Option<String>,
    pub rack: Option<String>,
    /// Why it does not answer; `None` if it does.
    pub silent: Option<String>,
    /// What it says is wrong with its disk.
    pub disk: Option<String>,
    /// Bytes of what it keeps; `None`: it does not say.
    pub bytes: Option<u64>,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    pub topic: String,
    pub number: i32,
    pub internal: bool,
    /// `None`: nobody leads it now.
    pub leader: Option<i32>,
    /// -1: the cluster does not say.
    pub epoch: i32,
    pub replicas: Vec<i32>,
    pub in_sync: Vec<i32>,
    /// Replicas that it is to get, and those that it is to lose.
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
    /// Bytes of the leader's copy; `None`: it does not say.
    pub bytes: Option<u64>,
    /// Records that a replica lacks of what its leader has; without those of which it is not known.
    pub lags: BTreeMap<i32, u64>,
    /// Replicas that were seen to have other entries than their leader, each with how many ranges of them.
    pub differing: BTreeMap<i32, u64>,
    /// Replicas that acks=all needs in sync; `None`: the cluster does not say.
    pub least_in_sync: Option<i32>,
    /// What its leader says of replicas that are behind.
    pub why_behind: Option<String>,
}

impl Partition {
    /// Replicas that are not in sync.
    pub fn behind(&self) -> impl Iterator<Item = i32> {
        self.replicas.iter().copied().filter(|replica| !self.in_sync.contains(replica))
    }

    /// True if it lacks a leader or a replica in sync.
    pub fn is_lacking(&self) -> bool {
        self.leader.is_none() || self.behind().next().is_some()
    }

    /// What is exchanged of its replicas: `+4 -1`.
    pub fn moves(&self) -> String {
        let adding = self.adding.iter().map(|id| format!("+{id}"));
        adding.chain(self.removing.iter().map(|id| format!("-{id}"))).collect::<Vec<_>>().join(" ")
    }

    /// As people write it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.topic, self.number)
    }
}

impl Look {
    /// Asks all nodes that the cluster names. Those that do not answer are part of what is seen.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn at(addresses: &str) -> Result<Look, AdminError> {
        let mut cluster = Cluster::connect_with(addresses, TIMES)?;
        let metadata = match cluster.metadata(None) {
            Err(error) if error.passes() => {
                cluster.reconnect()?;
                cluster.metadata(None)?
            }
            other => other?,
        };
        let mut look = Look::of(&metadata);
        look.add_sizes(&mut cluster);
        look.add_settings(&mut cluster);
        look.add_moves(&mut cluster);
        look.add_lags(&mut cluster);
        look.add_reasons(&mut cluster);
        Ok(look)
    }

    /// How many partitions a node leads, keeps, and keeps in sync.
    pub fn shares(&self, node: i32) -> (usize, usize, usize) {
        let led = self.partitions.iter().filter(|part| part.leader == Some(node)).count();
        let kept = self.partitions.iter().filter(|part| part.replicas.contains(&node));
        let in_sync = kept.clone().filter(|part| part.in_sync.contains(&node)).count();
        (led, kept.count(), in_sync)
    }

    fn of(metadata: &MetadataResponse) -> Look {
        let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| id.0).collect::<Vec<i32>>();
        let mut partitions: Vec<Partition> = Vec::new();
        for topic in metadata.topics.iter().filter(|topic| topic.error_code == 0) {
            let name = topic.name.as_ref().map_or_else(String::new, |name| name.to_string());
            partitions.extend(topic.partitions.iter().map(|part| Partition {
                topic: name.clone(),
                number: part.partition_index,
                internal: topic.is_internal,
                leader: Some(part.leader_id.0).filter(|leader| *leader >= 0),
                epoch: part.leader_epoch,
                replicas: ids(&part.replica_nodes),
                in_sync: ids(&part.isr_nodes),
                adding: Vec::new(),
                removing: Vec::new(),
                bytes: None,
                lags: BTreeMap::new(),
                differing: BTreeMap::new(),
                least_in_sync: None,
                why_behind: None,
            }));
        }
        partitions.sort_by(|a, b| (&a.topic, a.number).cmp(&(&b.topic, b.number)));
        let mut nodes: Vec<Node> = metadata
            .brokers
            .iter()
            .map(|broker| Node {
                id: broker.node_id.0,
                address: Some(format!("{}:{}", broker.host.as_str(), broker.port)),
                rack: broker.rack.as_ref().map(|rack| rack.to_string()).filter(|rack| !rack.is_empty()),
                ..Node::default()
            })
            .collect();
        let named: BTreeSet<i32> = nodes.iter().map(|node| node.id).collect();
        let replicas: BTreeSet<i32> = partitions.iter().flat_map(|part| part.replicas.iter().copied()).collect();
        nodes.extend(replicas.difference(&named).map(|id| Node { id: *id, ..Node::default() }));
        nodes.sort_by_key(|node| node.id);
        Look {
            cluster_id: metadata.cluster_id.as_ref().map(|id| id.to_string()).filter(|id| !id.is_empty()),
            controller: Some(metadata.controller_id.0).filter(|id| *id >= 0),
            nodes,
            partitions,
        }
    }

    /// Asks each node what it keeps; who does not answer that does not answer.
    fn add_sizes(&mut self, cluster: &mut Cluster) {
        for node in self.nodes.iter_mut().filter(|node| node.address.is_some()) {
            match sizes(cluster, node.id) {
                Ok((sizes, disk)) => {
                    (node.bytes, node.disk) = (Some(sizes.values().map(|(bytes, _)| bytes).sum()), disk);
                    for part in &mut self.partitions {
                        let Some((bytes, differences)) = sizes.get(&(part.topic.clone(), part.number)) else {
                            continue;
                        };
                        if part.leader == Some(node.id) {
                            part.bytes = Some(*bytes);
                        }
                        if *differences > 0 {
                            part.differing.insert(node.id, *differences);
                        }
                    }
                }
                Err(error) if error.passes() => node.silent = Some(error.to_string()),
                // It answers, and does not know the question.
                Err(_) => {}
            }
        }
    }

    /// Which partitions are on their way to other nodes; what is not said stays unknown.
    fn add_moves(&mut self, cluster: &mut Cluster) {
        let Ok(moves) = super::moves::moves(cluster) else { return };
        for one in moves {
            let is_it = |part: &&mut Partition| part.topic == one.topic && part.number == one.partition;
            if let Some(part) = self.partitions.iter_mut().find(is_it) {
                (part.adding, part.removing) = (one.adding, one.removing);
            }
        }
    }

    /// Asks all nodes where the logs end that they have. Leaders are asked first, so that a busy partition does not seem to lag.
    fn add_lags(&mut self, cluster: &mut Cluster) {
        let answering: Vec<i32> = self
            .nodes
            .iter()
            .filter(|node| node.address.is_some() && node.silent.is_none())
            .map(|node| node.id)
            .collect();
        let mut ends: BTreeMap<(&str, i32), i64> = BTreeMap::new();
        let leads = |part: &&Partition, id: i32| part.leader == Some(id);
        for id in &answering {
            let led: Vec<&Partition> = self.partitions.iter().filter(|part| leads(part, *id)).collect();
            ends.extend(log_ends(cluster, *id, &led));
        }
        let mut lags: Vec<BTreeMap<i32, u64>> = vec![BTreeMap::new(); self.partitions.len()];
        for id in &answering {
            let follows = |part: &&Partition| part.replicas.contains(id) && !leads(part, *id);
            let followed: Vec<&Partition> = self.partitions.iter().filter(follows).collect();
            let theirs = log_ends(cluster, *id, &followed);
            for (part, lags) in self.partitions.iter().zip(&mut lags) {
                let key = (part.topic.as_str(), part.number);
                if let (Some(end), Some(own)) = (ends.get(&key), theirs.get(&key)) {
                    lags.insert(*id, u64::try_from(end - own).unwrap_or(0));
                }
            }
        }
        for (part, lags) in self.partitions.iter_mut().zip(lags) {
            part.lags = lags;
        }
    }

    /// Asks leaders why replicas are behind. Apache Kafka's tell nothing of the kind.
    fn add_reasons(&mut self, cluster: &mut Cluster) {
        let mut topics: BTreeMap<&str, Vec<PartitionData>> = BTreeMap::new();
        let lagging = self.partitions.iter().filter(|part| part.leader.is_some() && part.is_lacking());
        for part in lagging.take(REASONS_MAX) {
            topics.entry(&part.topic).or_default().push(PartitionData::default().with_partition_index(part.number));
        }
        if topics.is_empty() {
            return;
        }
        let topic =
            |(name, partitions)| TopicData::default().with_topic_name(topic_name(name)).with_partitions(partitions);
        let request = DescribeQuorumRequest::default().with_topics(topics.into_iter().map(topic).collect());
        let Ok(answer) = cluster.any().call(&request) else { return };
        for topic in &answer.topics {
            for told in topic.partitions.iter().filter(|told| told.error_code == 0) {
                let is_it = |part: &&mut Partition| {
                    part.topic == topic.topic_name.as_str() && part.number == told.partition_index
                };
                if let Some(part) = self.partitions.iter_mut().find(is_it) {
                    part.why_behind = told.error_message.as_ref().map(|why| why.to_string());
                }
            }
        }
    }

    /// What topics say of replicas; what is not said stays unknown.
    fn add_settings(&mut self, cluster: &mut Cluster) {
        let names: BTreeSet<&str> = self.partitions.iter().map(|part| part.topic.as_str()).collect();
        let resource = |name: &&str| {
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC_RESOURCE)
                .with_resource_name(text(name))
                .with_configuration_keys(Some(vec![text(MIN_INSYNC)]))
        };
        let request = DescribeConfigsRequest::default().with_resources(names.iter().map(resource).collect());
        let Ok(response) = cluster.any().call(&request) else { return };
        let mut least: BTreeMap<String, i32> = BTreeMap::new();
        for result in response.results.iter().filter(|result| result.error_code == 0) {
            let setting = result.configs.iter().find(|config| config.name.as_str() == MIN_INSYNC);
            if let Some(value) = setting.and_then(|config| config.value.as_ref()?.parse().ok()) {
                least.insert(result.resource_name.to_string(), value);
            }
        }
        for part in &mut self.partitions {
            part.least_in_sync = least.get(&part.topic).copied();
        }
    }
}

/// Where the logs of these partitions end on a node, as far as it says so.
fn log_ends<'a>(cluster: &mut Cluster, node: i32, partitions: &[&'a Partition]) -> BTreeMap<(&'a str, i32), i64> {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for part in partitions {
        if topics.last().is_none_or(|topic| topic.name.as_str() != part.topic) {
            topics.push(ListOffsetsTopic::default().with_name(topic_name(&part.topic)));
        }
        let asked = ListOffsetsPartition::default().with_partition_index(part.number).with_timestamp(LATEST);
        topics.last_mut().expect("pushed above").partitions.push(asked);
    }
    if topics.is_empty() {
        return BTreeMap::new();
    }
    let request = ListOffsetsRequest::default().with_replica_id(ANY_REPLICA).with_topics(topics);
    let Ok(response) = cluster.broker(node).and_then(|broker| broker.call(&request)) else { return BTreeMap::new() };
    let told = response.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |part| (topic, part)));
    let told: BTreeMap<(&str, i32), i64> = told
        .filter(|(_, part)| part.error_code == 0)
        .map(|(topic, part)| ((topic.name.as_str(), part.partition_index), part.offset))
        .collect();
    let end = |part: &&'a Partition| {
        let key = (part.topic.as_str(), part.number);
        told.get(&key).map(|end| (key, *end))
    };
    partitions.iter().filter_map(end).collect()
}

/// Bytes by topic and partition, and ranges of entries that differ from the leader's.
type Sizes = BTreeMap<(String, i32), (u64, u64)>;

/// What a node keeps, and what it says is wrong with its disk.
fn sizes(cluster: &mut Cluster, node: i32) -> Result<(Sizes, Option<String>), ClientError> {
    let response = cluster.broker(node)?.call(&DescribeLogDirsRequest::default().with_topics(None))?;
    let wrong = response.results.iter().find(|dir| dir.error_code != 0);
    let mut sizes = Sizes::new();
    for topic in response.results.iter().filter(|dir| dir.error_code == 0).flat_map(|dir| &dir.topics) {
        // A future copy is one that moves to another directory, beside the one that serves.
        for partition in topic.partitions.iter().filter(|partition| !partition.is_future_key) {
            if let Ok(bytes) = u64::try_from(partition.partition_size) {
                let differences = partition.unknown_tagged_fields.get(&DIFFERENCES_TAG);
                let differences = differences.and_then(|told| Some(u64::from_be_bytes(told[..].try_into().ok()?)));
                let told = (bytes, differences.unwrap_or(0));
                sizes.insert((topic.name.to_string(), partition.partition_index), told);
            }
        }
    }
    Ok((sizes, wrong.map(|dir| error_name(dir.error_code))))
}
