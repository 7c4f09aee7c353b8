//! Commands that look at topics.

use super::change::TOPIC_RESOURCE;
use super::pattern::chosen;
use super::{patience, sizes};
use crate::admin::pattern::NoMatch;
use crate::admin::{AdminError, refusals_of, refuse};
use crate::output::{Align, Format, Table, print, print_json};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{BrokerId, DescribeConfigsRequest};
use serde::Serialize;
use std::collections::BTreeMap;
use torc_base::units::rounded_size;
use torc_client::{Cluster, EARLIEST, LATEST, Refusal, TopicPartition, offsets_at, text};
use torc_server::data_dir::kafka_id;

/// Source of a setting that was made for this topic.
const SET_FOR_TOPIC: i8 = 1;

#[derive(Serialize)]
pub struct Topic {
    pub name: String,
    /// Absent if the server is too old to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_id: Option<String>,
    pub internal: bool,
    pub replication_factor: usize,
    pub partitions: Vec<Partition>,
    /// Settings that were made for this topic.
    configs: BTreeMap<String, Option<String>>,
}

#[derive(Serialize)]
pub struct Partition {
    pub partition: i32,
    /// `None`: it has no leader now.
    pub leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    /// `None`: the leader does not say.
    earliest: Option<i64>,
    latest: Option<i64>,
    /// Bytes on disk of the leader's copy; `None`: it does not say.
    pub bytes: Option<u64>,
}

impl Topic {
    /// One without partitions.
    #[cfg(test)]
    pub fn for_test(name: &str) -> Topic {
        Topic {
            name: name.to_string(),
            topic_id: None,
            internal: false,
            replication_factor: 0,
            partitions: Vec::new(),
            configs: BTreeMap::new(),
        }
    }

    /// What all its partitions hold; `None` if one of them is not known.
    pub fn bytes(&self) -> Option<u64> {
        self.partitions.iter().map(|partition| partition.bytes).sum()
    }
}

/// A size for people, or nothing if it is not known.
pub fn size(bytes: Option<u64>) -> String {
    bytes.map(rounded_size).unwrap_or_default()
}

#[derive(Serialize)]
struct Listed {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_id: Option<String>,
    partitions: usize,
    replication_factor: usize,
    /// On disk, one copy of each partition; `None`: a leader does not say.
    bytes: Option<u64>,
    internal: bool,
}

/// `torc topic list`.
pub fn list(cluster: &mut Cluster, names: &[String], format: Format) -> Result<(), AdminError> {
    let mut topics = chosen(cluster, names, NoMatch::Empty)?;
    sizes::add(cluster, &mut topics);
    let listed: Vec<Listed> = topics
        .into_iter()
        .map(|topic| Listed {
            partitions: topic.partitions.len(),
            bytes: topic.bytes(),
            name: topic.name,
            topic_id: topic.topic_id,
            replication_factor: topic.replication_factor,
            internal: topic.internal,
        })
        .collect();
    if format == Format::Json {
        print_json(&listed);
        return Ok(());
    }
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITIONS", Align::Right),
        ("REPLICATION", Align::Right),
        ("SIZE", Align::Right),
        ("INTERNAL", Align::Left),
        ("ID", Align::Left),
    ]);
    for topic in listed {
        let internal = if topic.internal { "yes" } else { "no" };
        table.row([
            topic.name,
            topic.partitions.to_string(),
            topic.replication_factor.to_string(),
            size(topic.bytes),
            internal.to_string(),
            topic.topic_id.unwrap_or_default(),
        ]);
    }
    print(&table);
    Ok(())
}

/// `torc topic describe`.
pub fn describe(cluster: &mut Cluster, names: &[String], format: Format) -> Result<(), AdminError> {
    let mut refusals = Vec::new();
    let mut topics = chosen(cluster, names, NoMatch::Refused)?;
    sizes::add(cluster, &mut topics);
    add_offsets(cluster, &mut topics, EARLIEST, &mut refusals)?;
    add_offsets(cluster, &mut topics, LATEST, &mut refusals)?;
    add_configs(cluster, &mut topics, &mut refusals)?;
    match format {
        Format::Json => print_json(&topics),
        Format::Table => {
            let texts: Vec<String> = topics.iter().map(described).collect();
            print(texts.join("\n\n"));
        }
    }
    refusals_of(refusals)
}

/// The named topics, or all, in the order of their names, without offsets, sizes and settings.
pub fn topics(cluster: &mut Cluster, names: &[String], refusals: &mut Vec<Refusal>) -> Result<Vec<Topic>, AdminError> {
    let response = cluster.metadata(if names.is_empty() { None } else { Some(names) })?;
    let mut topics = Vec::new();
    for topic in &response.topics {
        let name = topic.name.as_ref().map_or_else(String::new, |name| name.to_string());
        if !refuse(refusals, format!("describe topic {name}"), topic.error_code, &None) {
            topics.push(topic_of(name, topic));
        }
    }
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(topics)
}

fn topic_of(name: String, topic: &MetadataResponseTopic) -> Topic {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| id.0).collect();
    let mut partitions: Vec<Partition> = topic
        .partitions
        .iter()
        .map(|p| Partition {
            partition: p.partition_index,
            leader: Some(p.leader_id.0).filter(|id| *id >= 0),
            leader_epoch: p.leader_epoch,
            replicas: ids(&p.replica_nodes),
            isr: ids(&p.isr_nodes),
            earliest: None,
            latest: None,
            bytes: None,
        })
        .collect();
    partitions.sort_by_key(|p| p.partition);
    Topic {
        name,
        topic_id: Some(*topic.topic_id.as_bytes()).filter(|id| *id != [0; 16]).map(kafka_id),
        internal: topic.is_internal,
        replication_factor: partitions.iter().map(|p| p.replicas.len()).max().unwrap_or(0),
        partitions,
        configs: BTreeMap::new(),
    }
}

/// Asks every leader for the offsets of its partitions.
fn add_offsets(
    cluster: &mut Cluster,
    topics: &mut [Topic],
    which: i64,
    refusals: &mut Vec<Refusal>,
) -> Result<(), AdminError> {
    let led = topics.iter().flat_map(|topic| {
        let led = topic.partitions.iter().filter(|partition| partition.leader.is_some());
        led.map(|partition| (TopicPartition::new(&topic.name, partition.partition), which))
    });
    let mut told = offsets_at(cluster, &led.collect(), &mut patience())?;
    for topic in topics.iter_mut() {
        for partition in &mut topic.partitions {
            let offset = match told.remove(&TopicPartition::new(&topic.name, partition.partition)) {
                Some(Ok(offset)) => Some(offset).filter(|offset| *offset >= 0),
                Some(Err(refusal)) => {
                    refusals.push(refusal);
                    None
                }
                None => None,
            };
            if which == EARLIEST { partition.earliest = offset } else { partition.latest = offset }
        }
    }
    Ok(())
}

fn add_configs(cluster: &mut Cluster, topics: &mut [Topic], refusals: &mut Vec<Refusal>) -> Result<(), AdminError> {
    if topics.is_empty() {
        return Ok(());
    }
    let resource = |topic: &Topic| {
        DescribeConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(text(&topic.name))
            .with_configuration_keys(None)
    };
    let request = DescribeConfigsRequest::default().with_resources(topics.iter().map(resource).collect());
    for result in cluster.any().call(&request)?.results {
        let what = format!("get the settings of topic {}", result.resource_name.as_str());
        if refuse(refusals, what, result.error_code, &result.error_message) {
            continue;
        }
        let Ok(at) = topics.binary_search_by(|topic| topic.name.as_str().cmp(result.resource_name.as_str())) else {
            continue;
        };
        let made = result.configs.iter().filter(|config| config.config_source == SET_FOR_TOPIC);
        topics[at].configs = made.map(|c| (c.name.to_string(), c.value.as_ref().map(|v| v.to_string()))).collect();
    }
    Ok(())
}

/// A topic for people.
fn described(topic: &Topic) -> String {
    let mut text = format!("topic        {}\n", topic.name);
    if let Some(id) = &topic.topic_id {
        text += &format!("id           {id}\n");
    }
    text += &format!("partitions   {}\n", topic.partitions.len());
    text += &format!("replication  {}\n", topic.replication_factor);
    text += &format!("size         {}\n", topic.bytes().map_or("-".to_string(), rounded_size));
    if topic.internal {
        text += "internal     yes\n";
    }
    for (key, value) in &topic.configs {
        text += &format!("config       {key}={}\n", value.as_deref().unwrap_or("(hidden)"));
    }
    let mut table = Table::new(&[
        ("PARTITION", Align::Right),
        ("LEADER", Align::Right),
        ("EPOCH", Align::Right),
        ("REPLICAS", Align::Left),
        ("ISR", Align::Left),
        ("EARLIEST", Align::Right),
        ("LATEST", Align::Right),
        ("SIZE", Align::Right),
    ]);
    let ids = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
    for p in &topic.partitions {
        table.row([
            p.partition.to_string(),
            number(p.leader.map(i64::from)),
            p.leader_epoch.to_string(),
            ids(&p.replicas),
            ids(&p.isr),
            number(p.earliest),
            number(p.latest),
            size(p.bytes),
        ]);
    }
    format!("{text}\n{table}")
}
