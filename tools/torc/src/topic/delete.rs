//! `torc topic delete`: which topics, whether that is meant, and then.

use super::change::refuse;
use super::describe::{Topic, size};
use super::pattern::{NoMatch, chosen};
use super::{TIMEOUT_MS, TopicError, refusals_of, sizes};
use crate::cli::DeleteArgs;
use crate::exit::Usage;
use crate::output::{Align, Format, Table, print, print_json};
use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use serde_json::json;
use std::io::{self, BufRead, IsTerminal, Write};
use torc_client::{Cluster, topic_name};

/// Refuses to delete where nobody can be asked, and nobody said that it need not be.
pub fn check(args: &DeleteArgs) -> Result<(), Usage> {
    if !args.yes && !args.dry_run && !io::stdin().is_terminal() {
        let why = "there is no terminal to ask whether that is meant: say --yes to delete, --dry-run to see what would be deleted";
        return Err(Usage(why.to_string()));
    }
    Ok(())
}

/// Deletes what is named or matched, all or nothing, if it is meant.
pub fn delete(cluster: &mut Cluster, args: &DeleteArgs, format: Format) -> Result<(), TopicError> {
    let mut topics = chosen(cluster, &args.names, NoMatch::Refused)?;
    if args.dry_run {
        sizes::add(cluster, &mut topics);
        show_plan(&topics, format);
        return Ok(());
    }
    if !args.yes {
        sizes::add(cluster, &mut topics);
        if !is_meant(&topics, &mut io::stdin().lock(), &mut io::stderr()) {
            return Err(TopicError::NotMeant);
        }
    }
    send(cluster, &topics, format)
}

/// Asks on the terminal. Anything but yes, the end of the input too, is no.
pub fn is_meant(topics: &[Topic], answers: &mut dyn BufRead, to: &mut dyn Write) -> bool {
    let what = match topics {
        [topic] => format!("topic {} with all its records", topic.name),
        _ => format!("these {} topics with all their records", topics.len()),
    };
    let mut answer = String::new();
    let asked = write!(to, "{}Delete {what}? [y/N] ", table(topics)).and_then(|()| to.flush());
    asked.and_then(|()| answers.read_line(&mut answer)).is_ok()
        && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
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
        Format::Table => print(format_args!("{}{}\n", table(topics), super::change::DRY_RUN)),
    }
}

fn send(cluster: &mut Cluster, topics: &[Topic], format: Format) -> Result<(), TopicError> {
    let client = cluster.controller()?;
    let mut request = DeleteTopicsRequest::default().with_timeout_ms(TIMEOUT_MS);
    let names = topics.iter().map(|topic| topic_name(&topic.name));
    // Version 6 came with topic ids, and with another place for the names.
    if client.version::<DeleteTopicsRequest>()? >= 6 {
        request.topics = names.map(|name| DeleteTopicState::default().with_name(Some(name))).collect();
    } else {
        request.topic_names = names.collect();
    }
    let response = client.call(&request)?;
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
