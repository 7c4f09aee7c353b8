//! `torc group list`, and which groups other commands mean.

use super::args::ListArgs;
use crate::admin::AdminError;
use crate::admin::pattern::{NoMatch, is_pattern, matches};
use crate::exit::Usage;
use crate::output::{Align, Format, Table, print, print_json};
use serde::Serialize;
use torc_client::{GroupClient, ListedGroup, Refusal, near};

/// Brokers that do not tell the types of groups have only these.
const CLASSIC: &str = "classic";
/// So many names are listed where none is like the one that was asked for.
const LISTED_MAX: usize = 8;
/// Kafka's code for a group that is not there.
const NOT_FOUND: i16 = 69;

#[derive(Serialize)]
struct Listed {
    name: String,
    /// `None`: the cluster does not say.
    state: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    /// Such as `consumer` or `connect`; empty for a group that never had members.
    protocol_type: String,
}

/// The type of a group.
pub fn kind(group: &ListedGroup) -> &str {
    group.kind.as_deref().unwrap_or(CLASSIC)
}

/// `torc group list`.
pub fn list(groups: &mut GroupClient, args: &ListArgs, format: Format) -> Result<(), AdminError> {
    let mut listed = chosen(groups, &args.names, NoMatch::Empty)?;
    listed.retain(|group| args.kind.is_empty() || args.kind.iter().any(|wanted| wanted == kind(group)));
    add_states(groups, &mut listed)?;
    let is_in = |group: &ListedGroup, state: &String| group.state.as_ref() == Some(state);
    listed.retain(|group| args.state.is_empty() || args.state.iter().any(|state| is_in(group, state)));
    let listed = listed.into_iter().map(|group| Listed {
        kind: kind(&group).to_string(),
        name: group.name,
        state: group.state,
        protocol_type: group.protocol_type,
    });
    if format == Format::Json {
        print_json(&listed.collect::<Vec<_>>());
        return Ok(());
    }
    let mut table =
        Table::new(&[("GROUP", Align::Left), ("STATE", Align::Left), ("TYPE", Align::Left), ("PROTOCOL", Align::Left)]);
    listed.for_each(|group| table.row([group.name, group.state.unwrap_or_default(), group.kind, group.protocol_type]));
    print(&table);
    Ok(())
}

/// Asks for the states that an old broker's list does not have. One that is gone meanwhile has none.
fn add_states(groups: &mut GroupClient, listed: &mut [ListedGroup]) -> Result<(), AdminError> {
    let without = listed.iter().filter(|group| group.state.is_none()).map(|group| group.name.clone());
    let described = groups.describe(&without.collect::<Vec<_>>())?;
    for group in listed.iter_mut().filter(|group| group.state.is_none()) {
        group.state = described.get(&group.name).and_then(|told| told.as_ref().ok()).map(|told| told.state.clone());
    }
    Ok(())
}

/// The groups that `wanted` names or matches, or all if it is empty, in the order of their names.
///
/// # Errors
/// A name that is no group's: then nothing is to be done.
pub fn chosen(groups: &mut GroupClient, wanted: &[String], none: NoMatch) -> Result<Vec<ListedGroup>, AdminError> {
    let all = groups.list()?;
    // Names of groups may contain anything, so one may look like a pattern.
    let means =
        |text: &String, group: &ListedGroup| group.name == *text || is_pattern(text) && matches(text, &group.name);
    let mut refusals = Vec::new();
    for text in wanted {
        if all.iter().any(|group| means(text, group)) {
            continue;
        }
        match is_pattern(text) {
            true if none == NoMatch::Refused => {
                return Err(AdminError::Usage(Usage(format!("no group matches {text}"))));
            }
            true => {}
            false => refusals.push(missing(text, &all)),
        }
    }
    if !refusals.is_empty() {
        return Err(AdminError::Refused(refusals));
    }
    let is_meant = |group: &ListedGroup| wanted.is_empty() || wanted.iter().any(|text| means(text, group));
    Ok(all.into_iter().filter(is_meant).collect())
}

/// There is no such group, but others.
pub fn missing(name: &str, there: &[ListedGroup]) -> Refusal {
    let near = near(name, there.iter().map(|group| group.name.as_str()));
    let names = || there.iter().map(|group| group.name.as_str()).collect::<Vec<_>>().join(", ");
    let message = match there.len() {
        0 => "there are no groups yet".to_string(),
        _ if !near.is_empty() => format!("did you mean {}?", near.join(" or ")),
        1..=LISTED_MAX => format!("there are: {}", names()),
        many => format!("torc group list shows the {many} that there are"),
    };
    Refusal { what: format!("find group {name}"), code: NOT_FOUND, message: Some(message), record: None }
}
