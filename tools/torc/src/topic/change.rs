//! Commands that change topics.

use super::{TIMEOUT_MS, patience};
use crate::admin::{AdminError, note, refusals_of, refuse};
use crate::cli::{AlterArgs, CreateArgs};
use crate::output::{Align, Format, Table, print, print_json};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;
use serde::Serialize;
use serde_json::json;
use torc_client::{Cluster, text, topic_name};
use torc_server::data_dir::kafka_id;

/// Kafka's number for "a topic" among what can be configured.
pub const TOPIC_RESOURCE: i8 = 2;
/// Operations of IncrementalAlterConfigs.
const SET: i8 = 0;
const DELETE: i8 = 1;

#[derive(Serialize)]
struct Created {
    name: String,
    /// Absent if the server is too old to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication_factor: Option<i16>,
    dry_run: bool,
}

/// `torc topic create`.
pub fn create(cluster: &mut Cluster, args: &CreateArgs, format: Format) -> Result<(), AdminError> {
    let config = |(key, value): &(String, String)| {
        CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
    };
    let topic = CreatableTopic::default()
        .with_name(topic_name(&args.name))
        .with_num_partitions(args.partitions.unwrap_or(-1))
        .with_replication_factor(args.replication_factor.unwrap_or(-1))
        .with_configs(args.config.iter().map(config).collect());
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    let request = request.with_validate_only(args.dry_run);
    let codes = |response: &CreateTopicsResponse| response.topics.iter().map(|topic| topic.error_code).collect();
    let response = cluster.change(&mut patience(), |client| client.call(&request), codes)?;
    let mut refusals = Vec::new();
    for result in &response.topics {
        let what = format!("create topic {}", result.name.as_str());
        if refuse(&mut refusals, what, result.error_code, &result.error_message) {
            continue;
        }
        let created = Created {
            name: result.name.to_string(),
            topic_id: Some(*result.topic_id.as_bytes()).filter(|id| *id != [0; 16]).map(kafka_id),
            partitions: Some(result.num_partitions).filter(|n| *n > 0),
            replication_factor: Some(result.replication_factor).filter(|n| *n > 0),
            dry_run: args.dry_run,
        };
        match format {
            Format::Json => print_json(&created),
            Format::Table => print_created(created),
        }
    }
    refusals_of(refusals)
}

fn print_created(created: Created) {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITIONS", Align::Right),
        ("REPLICATION", Align::Right),
        ("ID", Align::Left),
    ]);
    let partitions = created.partitions.map(|n| n.to_string()).unwrap_or_default();
    let replication = created.replication_factor.map(|n| n.to_string()).unwrap_or_default();
    table.row([created.name, partitions, replication, created.topic_id.unwrap_or_default()]);
    print(format_args!("{table}{}", note(created.dry_run)));
}

/// `torc topic alter`: partitions first, since that is what a cluster refuses more often.
pub fn alter(cluster: &mut Cluster, args: &AlterArgs, format: Format) -> Result<(), AdminError> {
    let mut done = Table::new(&[("TOPIC", Align::Left), ("CHANGED", Align::Left), ("TO", Align::Left)]);
    if let Some(count) = args.partitions {
        add_partitions(cluster, &args.name, count, args.dry_run)?;
        done.row([args.name.clone(), "partitions".to_string(), count.to_string()]);
    }
    if !args.config.is_empty() || !args.delete_config.is_empty() {
        alter_config(cluster, args)?;
    }
    for (key, value) in &args.config {
        done.row([args.name.clone(), key.clone(), value.clone()]);
    }
    for key in &args.delete_config {
        done.row([args.name.clone(), key.clone(), "(default)".to_string()]);
    }
    match format {
        Format::Table => print(format_args!("{done}{}", note(args.dry_run))),
        Format::Json => {
            let set: serde_json::Map<_, _> = args.config.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
            print_json(&json!({
                "name": args.name, "partitions": args.partitions, "set": set, "reset": args.delete_config, "dry_run": args.dry_run,
            }));
        }
    }
    Ok(())
}

fn add_partitions(cluster: &mut Cluster, name: &str, count: i32, dry_run: bool) -> Result<(), AdminError> {
    let topic = CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(count).with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    let request = request.with_validate_only(dry_run);
    let codes = |response: &CreatePartitionsResponse| response.results.iter().map(|result| result.error_code).collect();
    let response = cluster.change(&mut patience(), |client| client.call(&request), codes)?;
    let mut refusals = Vec::new();
    for result in &response.results {
        let what = format!("give topic {name} {count} partitions");
        refuse(&mut refusals, what, result.error_code, &result.error_message);
    }
    refusals_of(refusals)
}

fn alter_config(cluster: &mut Cluster, args: &AlterArgs) -> Result<(), AdminError> {
    let set = args.config.iter().map(|(key, value)| (key, SET, Some(text(value))));
    let delete = args.delete_config.iter().map(|key| (key, DELETE, None));
    let config = |(key, operation, value): (&String, i8, Option<StrBytes>)| {
        AlterableConfig::default().with_name(text(key)).with_config_operation(operation).with_value(value)
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(text(&args.name))
        .with_configs(set.chain(delete).map(config).collect());
    let request =
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(args.dry_run);
    let codes = |response: &IncrementalAlterConfigsResponse| response.responses.iter().map(|r| r.error_code).collect();
    let response = cluster.change(&mut patience(), |client| client.call(&request), codes)?;
    let mut refusals = Vec::new();
    for result in &response.responses {
        let done = if args.partitions.is_some() && !args.dry_run { " (its partitions are changed)" } else { "" };
        let what = format!("change the settings of topic {}{done}", args.name);
        refuse(&mut refusals, what, result.error_code, &result.error_message);
    }
    refusals_of(refusals)
}
