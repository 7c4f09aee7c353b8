//! `torc group reset-offsets`: where an empty group goes on reading.

use super::args::ResetArgs;
use super::list::missing;
use super::plan::{Change, changes, refusal};
use crate::admin::{AdminError, note};
use crate::output::{Align, Format, Table, plain, print, print_json};
use serde_json::json;
use std::collections::BTreeMap;
use torc_client::{GroupClient, TopicPartition};

/// Kafka's codes: the group has members; and what a commit from outside gets then.
const NON_EMPTY: i16 = 68;
const UNKNOWN_MEMBER: i16 = 25;

/// Shows what it would do, asks, does it.
pub fn reset(groups: &mut GroupClient, args: &ResetArgs, format: Format) -> Result<(), AdminError> {
    let name = args.group.clone();
    let there = groups.list()?;
    let mut committed = BTreeMap::new();
    if there.iter().any(|group| group.name == name) {
        refuse_members(groups, &name)?;
        let told = groups.committed(std::slice::from_ref(&name))?;
        for (_, told) in told {
            committed = told.map_err(|refusal| AdminError::Refused(vec![refusal]))?;
        }
    } else if !args.create {
        let mut refusal = missing(&name, &there);
        let hint = "--create makes it";
        refusal.message = Some(refusal.message.map_or(hint.to_string(), |message| format!("{message} ({hint})")));
        return Err(AdminError::Refused(vec![refusal]));
    }
    let changes = changes(groups, args, &committed)?;
    if args.consent.dry_run {
        show(&name, &changes, true, format);
        return Ok(());
    }
    let question = format!("Set these {} offsets of group {}?", changes.len(), plain(&name));
    if !args.consent.is_given(table(&changes), &question) {
        return Err(AdminError::NotMeant("nothing was changed"));
    }
    commit(groups, &name, changes, format)
}

/// Members would go on where they are.
fn refuse_members(groups: &mut GroupClient, name: &str) -> Result<(), AdminError> {
    for (_, told) in groups.describe(&[name.to_string()])? {
        let told = told.map_err(|refusal| AdminError::Refused(vec![refusal]))?;
        let many = told.members.len();
        if many > 0 {
            let s = if many == 1 { "" } else { "s" };
            let message = format!("it has {many} member{s} ({}): stop them first", told.state);
            return Err(refusal(format!("reset the offsets of group {name}"), NON_EMPTY, Some(message)));
        }
    }
    Ok(())
}

fn commit(groups: &mut GroupClient, name: &str, changes: Vec<Change>, format: Format) -> Result<(), AdminError> {
    if changes.is_empty() {
        show(name, &changes, false, format);
        return Ok(());
    }
    let place = |change: &Change| TopicPartition::new(&change.topic, change.partition);
    let offsets = changes.iter().map(|change| (place(change), change.after)).collect();
    let outcomes = groups.commit(name, &offsets)?.map_err(|refusal| AdminError::Refused(vec![refusal]))?;
    let mut refusals = Vec::new();
    let mut done = Vec::new();
    for change in changes {
        match outcomes.get(&place(&change)) {
            Some(Ok(())) => done.push(change),
            Some(Err(refusal)) if refusal.code == UNKNOWN_MEMBER => {
                // One that joined since it was looked at is told of as if it had been there.
                refuse_members(groups, name)?;
                refusals.push(refusal.clone());
            }
            Some(Err(refusal)) => refusals.push(refusal.clone()),
            None => {
                return Err(refusal(format!("commit offsets of {}", place(&change)), -1, None));
            }
        }
    }
    show(name, &done, false, format);
    crate::admin::refusals_of(refusals)
}

fn table(changes: &[Change]) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("BEFORE", Align::Right),
        ("AFTER", Align::Right),
        ("LAG", Align::Right),
    ]);
    for change in changes {
        table.row([
            change.topic.clone(),
            change.partition.to_string(),
            change.before.map_or(String::new(), |offset| offset.to_string()),
            change.after.to_string(),
            change.lag.to_string(),
        ]);
    }
    table
}

fn show(group: &str, changes: &[Change], dry_run: bool, format: Format) {
    match format {
        Format::Json => print_json(&json!({ "group": group, "offsets": changes, "dry_run": dry_run })),
        Format::Table => print(format_args!("{}{}", table(changes), note(dry_run))),
    }
}
