//! `torc topic delete`: which topics, whether that is meant, and then.

use super::describe::{Topic, size};
use super::pattern::chosen;
use super::{TIMEOUT_MS, patience, sizes};
use crate::admin::pattern::NoMatch;
use crate::admin::{AdminError, DRY_RUN, refusals_of, refuse};
use crate::cli::DeleteArgs;
use crate::output::{Align, Format, Table, print, print_json};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use serde_json::json;
use torc_client::{Client, Cluster, topic_name};

/// Deletes what is named or matched, all or nothing, if it is meant.
pub fn delete(cluster: &mut Cluster, args: &DeleteArgs, format: Format) -> Result<(), AdminError> {
    let mut topics = chosen(cluster, &args.names, NoMatch::Refused)?;
    if !args.consent.yes {
        sizes::add(cluster, &mut topics);
    }
    if args.consent.dry_run {
        show_plan(&topics, format);
        return Ok(());
    }
    if !args.consent.is_given(table(&topics), &question(&topics)) {
        return Err(AdminError::NotMeant("nothing was deleted"));
    }
    send(cluster, &topics, format)
}

/// What is asked.
pub fn question(topics: &[Topic]) -> String {
    match topics {
        [topic] => format!("Delete topic {} with all its records?", topic.name),
        _ => format!("Delete these {} topics with all their records?", topics.len()),
    }
}

fn table(topics: &[Topic]) -> Table {
    let mut table = Table::new(&[("TOPIC", Align::Left), ("PARTITIONS", Align::Right), ("SIZE", Align::Right)]);
    for topic in topics {
        table.row([topic.name.clone(), topic.partitions.len().to_string(), size(topic.bytes())]);
    }
    table
}

fn show_plan(topics: &[Topic], format: Format) {
    match format {
        Format::Json => {
            let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
            print_json(&json!({ "deleted": names, "dry_run": true }));
        }
        Format::Table => print(format_args!("{}{}\n", table(topics), DRY_RUN)),
    }
}

fn send(cluster: &mut Cluster, topics: &[Topic], format: Format) -> Result<(), AdminError> {
    let ask = |client: &mut Client| {
        let mut request = DeleteTopicsRequest::default().with_timeout_ms(TIMEOUT_MS);
        let names = topics.iter().map(|topic| topic_name(&topic.name));
        // Version 6 came with topic ids, and with another place for the names.
        if client.version::<DeleteTopicsRequest>()? >= 6 {
            request.topics = names.map(|name| DeleteTopicState::default().with_name(Some(name))).collect();
        } else {
            request.topic_names = names.collect();
        }
        client.call(&request)
    };
    let codes = |response: &DeleteTopicsResponse| response.responses.iter().map(|result| result.error_code).collect();
    let response = cluster.change(&mut patience(), ask, codes)?;
    let (mut deleted, mut refusals) = (Vec::new(), Vec::new());
    for result in &response.responses {
        let name = result.name.as_ref().map_or_else(String::new, |name| name.to_string());
        if !refuse(&mut refusals, format!("delete topic {name}"), result.error_code, &result.error_message) {
            deleted.push(name);
        }
    }
    deleted.sort();
    match format {
        Format::Json => print_json(&json!({ "deleted": deleted, "dry_run": false })),
        Format::Table if deleted.is_empty() => {}
        Format::Table => {
            let mut table = Table::new(&[("DELETED", Align::Left)]);
            deleted.into_iter().for_each(|name| table.row([name]));
            print(&table);
        }
    }
    refusals_of(refusals)
}
