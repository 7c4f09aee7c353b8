//! `torc group delete` and `torc group delete-offsets`.

use super::args::{DeleteArgs, DeleteOffsetsArgs};
use super::list::{chosen, missing};
use crate::admin::pattern::NoMatch;
use crate::admin::{AdminError, note, refusals_of};
use crate::output::{Align, Format, Table, plain, print, print_json};
use serde_json::json;
use torc_client::{GroupClient, Refusal, TopicPartition};

/// Kafka's code for a group that has members.
const NON_EMPTY: i16 = 68;
/// States of groups that can be deleted.
const DELETABLE: &[&str] = &["Empty", "Dead"];

/// Deletes what is named or matched, all or nothing, if it is meant.
pub fn groups(groups: &mut GroupClient, args: &DeleteArgs, format: Format) -> Result<(), AdminError> {
    let found = chosen(groups, &args.names, NoMatch::Refused)?;
    let busy = found.iter().filter(|group| group.state.as_deref().is_some_and(|s| !DELETABLE.contains(&s)));
    refusals_of(busy.map(|group| has_members(&group.name, group.state.as_deref())).collect())?;
    let names: Vec<String> = found.into_iter().map(|group| group.name).collect();
    let committed = groups.committed(&names)?;
    let mut plan = Table::new(&[("GROUP", Align::Left), ("OFFSETS", Align::Right)]);
    for (name, told) in &committed {
        plan.row([name.clone(), told.as_ref().map_or(String::new(), |offsets| offsets.len().to_string())]);
    }
    if args.consent.dry_run {
        return show(&names, plan, true, format);
    }
    let question = match &names[..] {
        [name] => format!("Delete group {} with its offsets?", plain(name)),
        _ => format!("Delete these {} groups with their offsets?", names.len()),
    };
    if !args.consent.is_given(plan, &question) {
        return Err(AdminError::NotMeant("nothing was deleted"));
    }
    let (mut deleted, mut refusals) = (Vec::new(), Vec::new());
    let mut table = Table::new(&[("DELETED", Align::Left)]);
    for (name, outcome) in groups.delete(&names)? {
        match outcome {
            Ok(()) => {
                table.row([name.clone()]);
                deleted.push(name);
            }
            Err(refusal) if refusal.code == NON_EMPTY => refusals.push(has_members(&name, None)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if !deleted.is_empty() || format == Format::Json {
        show(&deleted, table, false, format)?;
    }
    refusals_of(refusals)
}

fn has_members(name: &str, state: Option<&str>) -> Refusal {
    let state = state.map(|state| format!(" ({state})")).unwrap_or_default();
    let message = Some(format!("it has members{state}: stop them first"));
    Refusal { what: format!("delete group {name}"), code: NON_EMPTY, message, record: None }
}

fn show(names: &[String], table: Table, dry_run: bool, format: Format) -> Result<(), AdminError> {
    match format {
        Format::Json => print_json(&json!({ "deleted": names, "dry_run": dry_run })),
        Format::Table => print(format_args!("{table}{}", note(dry_run))),
    }
    Ok(())
}

/// Deletes a group's offsets of the named partitions: of those that it has.
pub fn offsets(groups: &mut GroupClient, args: &DeleteOffsetsArgs, format: Format) -> Result<(), AdminError> {
    let there = groups.list()?;
    if !there.iter().any(|group| group.name == args.group) {
        return Err(AdminError::Refused(vec![missing(&args.group, &there)]));
    }
    let told = groups.committed(std::slice::from_ref(&args.group))?.into_values().next();
    let committed = told.expect("one group was asked for").map_err(|refusal| AdminError::Refused(vec![refusal]))?;
    // The topic may be gone: what counts is what the group has.
    let is_meant = |place: &TopicPartition| {
        let names = |wanted: &&super::args::TopicPartitions| {
            wanted.topic == place.topic
                && (wanted.partitions.is_empty() || wanted.partitions.contains(&place.partition))
        };
        args.topic.iter().find(names).is_some()
    };
    let meant: Vec<(TopicPartition, i64)> =
        committed.into_iter().filter(|(place, _)| is_meant(place)).map(|(place, c)| (place, c.offset)).collect();
    if args.consent.dry_run {
        return show_offsets(&args.group, &meant, true, format);
    }
    let question = format!("Delete these {} offsets of group {}?", meant.len(), plain(&args.group));
    if !meant.is_empty() && !args.consent.is_given(offsets_table(&meant), &question) {
        return Err(AdminError::NotMeant("nothing was deleted"));
    }
    let (mut deleted, mut refusals) = (Vec::new(), Vec::new());
    if !meant.is_empty() {
        let places: Vec<TopicPartition> = meant.iter().map(|(place, _)| place.clone()).collect();
        let outcomes =
            groups.delete_offsets(&args.group, &places)?.map_err(|refusal| AdminError::Refused(vec![refusal]))?;
        for (place, offset) in meant {
            match outcomes.get(&place) {
                Some(Ok(())) => deleted.push((place, offset)),
                Some(Err(refusal)) => refusals.push(refusal.clone()),
                None => {
                    let what = format!("delete offsets of {place}");
                    refusals.push(Refusal { what, code: -1, message: None, record: None });
                }
            }
        }
    }
    show_offsets(&args.group, &deleted, false, format)?;
    refusals_of(refusals)
}

fn offsets_table(offsets: &[(TopicPartition, i64)]) -> Table {
    let mut table = Table::new(&[("TOPIC", Align::Left), ("PARTITION", Align::Right), ("COMMITTED", Align::Right)]);
    for (place, offset) in offsets {
        table.row([place.topic.clone(), place.partition.to_string(), offset.to_string()]);
    }
    table
}

fn show_offsets(
    group: &str,
    offsets: &[(TopicPartition, i64)],
    dry_run: bool,
    format: Format,
) -> Result<(), AdminError> {
    match format {
        Format::Json => {
            let one = |(place, offset): &(TopicPartition, i64)| json!({ "topic": place.topic, "partition": place.partition, "committed": offset });
            let deleted: Vec<_> = offsets.iter().map(one).collect();
            print_json(&json!({ "group": group, "deleted": deleted, "dry_run": dry_run }));
        }
        Format::Table => print(format_args!("{}{}", offsets_table(offsets), note(dry_run))),
    }
    Ok(())
}
