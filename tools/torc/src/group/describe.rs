//! `torc group describe`: state, offsets with lag, members.

use super::args::DescribeArgs;
use super::list::{chosen, kind};
use crate::admin::pattern::NoMatch;
use crate::admin::{AdminError, refusals_of};
use crate::output::{Align, Format, Table, print, print_json};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use torc_client::{Described, GroupClient, GroupMember, LATEST, ListedGroup, Refusal, TopicPartition};

/// A share group's offsets are elsewhere, and so are those of streams groups' members.
const NOT_DESCRIBED: &[&str] = &["share", "streams"];

/// Kafka's code for a topic that is not there.
const UNKNOWN_TOPIC: i16 = 3;

#[derive(Serialize)]
struct Group {
    name: String,
    state: String,
    #[serde(rename = "type")]
    kind: &'static str,
    protocol_type: String,
    /// Absent without members.
    #[serde(skip_serializing_if = "Option::is_none")]
    assignor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignment_epoch: Option<i32>,
    coordinator: i32,
    /// Of all partitions that have offsets; `None`: the end of one is not known.
    lag: Option<i64>,
    members: Vec<Member>,
    offsets: Vec<Offset>,
}

#[derive(Serialize)]
struct Member {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    client: String,
    /// `None`: the cluster does not say.
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<i32>,
    /// Partitions by topic.
    assigned: BTreeMap<String, Vec<i32>>,
    /// What it is to read next, if that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<BTreeMap<String, Vec<i32>>>,
}

#[derive(Serialize)]
struct Offset {
    topic: String,
    partition: i32,
    /// The next offset to read; `None`: nothing is committed.
    committed: Option<i64>,
    /// Behind the last record; `None`: the leader does not say.
    end: Option<i64>,
    lag: Option<i64>,
    /// What whoever committed wrote beside it.
    #[serde(skip_serializing_if = "String::is_empty")]
    metadata: String,
    /// The member that reads it.
    member: Option<String>,
}

/// `torc group describe`.
pub fn describe(groups: &mut GroupClient, args: &DescribeArgs, format: Format) -> Result<(), AdminError> {
    let listed = chosen(groups, &args.names, NoMatch::Refused)?;
    let (mut found, mut refusals) = (Vec::new(), Vec::new());
    for group in &listed {
        match NOT_DESCRIBED.contains(&kind(group)) {
            true => refusals.push(not_described(group)),
            false => found.push(group.name.clone()),
        }
    }
    let described = groups.describe(&found)?;
    // Whoever asks for members does not wait for all leaders of all partitions.
    let all = !args.offsets && !args.members && !args.state;
    let offsets = if all || args.offsets { offsets(groups, &described, &mut refusals)? } else { BTreeMap::new() };
    let mut shown = Vec::new();
    let mut offsets = offsets;
    for (name, told) in described {
        match told {
            Ok(told) => {
                let of_group = offsets.remove(&name).unwrap_or_default();
                shown.push(group_of(name, told, of_group));
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    match format {
        Format::Json => print_json(&shown),
        Format::Table if args.state => {
            let mut parts = vec![states(&shown).to_string()];
            parts.extend(shown.iter().filter(|_| args.offsets || args.members).map(|g| text(g, args, false)));
            print(parts.join("\n"));
        }
        Format::Table => {
            let texts: Vec<String> = shown.iter().map(|group| text(group, args, all)).collect();
            print(texts.join("\n"));
        }
    }
    refusals_of(refusals)
}

fn not_described(group: &ListedGroup) -> Refusal {
    let message = format!("it is a {} group, of which only the state is known here", kind(group));
    let what = format!("describe group {}", group.name);
    // GROUP_ID_NOT_FOUND is what such groups are to those who ask for others.
    Refusal { what, code: 69, message: Some(message), record: None }
}

/// What each group has committed or reads, with the ends of the logs.
fn offsets(
    groups: &mut GroupClient,
    described: &BTreeMap<String, Result<Described, Refusal>>,
    refusals: &mut Vec<Refusal>,
) -> Result<BTreeMap<String, Vec<Offset>>, AdminError> {
    let names: Vec<String> = described.iter().filter(|(_, told)| told.is_ok()).map(|(name, _)| name.clone()).collect();
    let committed = groups.committed(&names)?;
    let mut places: BTreeMap<&String, BTreeSet<&TopicPartition>> = BTreeMap::new();
    for (name, told) in described {
        let Ok(told) = told else { continue };
        let of_group = places.entry(name).or_default();
        of_group.extend(told.members.iter().flat_map(|member| &member.assigned));
        if let Some(Ok(committed)) = committed.get(name) {
            of_group.extend(committed.keys());
        }
    }
    let asked = places.values().flatten().map(|place| ((*place).clone(), LATEST)).collect();
    let ends = groups.offsets_at(&asked)?;
    refusals.extend(committed.values().filter_map(|told| told.as_ref().err()).cloned());
    // Offsets may outlive their topic: then there is no end, and nothing is wrong.
    let missing = ends.values().filter_map(|end| end.as_ref().err()).filter(|refusal| refusal.code != UNKNOWN_TOPIC);
    refusals.extend(missing.cloned());
    let of_group = |(name, places): (&String, BTreeSet<&TopicPartition>)| {
        let committed = committed.get(name).and_then(|told| told.as_ref().ok());
        let readers = described[name].as_ref().ok().map(readers).unwrap_or_default();
        let offset = |place: &TopicPartition| {
            let committed = committed.and_then(|committed| committed.get(place));
            let end = ends.get(place).and_then(|end| end.as_ref().ok()).copied();
            Offset {
                topic: place.topic.clone(),
                partition: place.partition,
                committed: committed.map(|committed| committed.offset),
                end,
                lag: committed.zip(end).map(|(committed, end)| end - committed.offset),
                metadata: committed.map(|committed| committed.metadata.clone()).unwrap_or_default(),
                member: readers.get(place).map(|member| member.id.clone()),
            }
        };
        (name.clone(), places.into_iter().map(offset).collect())
    };
    Ok(places.into_iter().map(of_group).collect())
}

fn readers(group: &Described) -> BTreeMap<&TopicPartition, &GroupMember> {
    let of_member = |member| -> Vec<(&TopicPartition, &GroupMember)> {
        let member: &GroupMember = member;
        member.assigned.iter().map(move |place| (place, member)).collect()
    };
    group.members.iter().flat_map(of_member).collect()
}

fn group_of(name: String, told: Described, offsets: Vec<Offset>) -> Group {
    let with_offsets = offsets.iter().filter(|offset| offset.committed.is_some());
    Group {
        name,
        state: told.state,
        kind: told.kind,
        protocol_type: told.protocol_type,
        assignor: Some(told.assignor).filter(|assignor| !assignor.is_empty()),
        epoch: told.epochs.map(|(epoch, _)| epoch),
        assignment_epoch: told.epochs.map(|(_, assignment)| assignment),
        coordinator: told.coordinator,
        lag: with_offsets.map(|offset| offset.lag).sum(),
        members: told.members.into_iter().map(member_of).collect(),
        offsets,
    }
}

fn member_of(member: GroupMember) -> Member {
    Member {
        id: member.id,
        instance: member.instance,
        client: member.client,
        host: Some(member.host).filter(|host| !host.is_empty()),
        epoch: member.epoch,
        assigned: by_topic(&member.assigned),
        target: member.target.as_ref().map(by_topic),
    }
}

fn by_topic(places: &BTreeSet<TopicPartition>) -> BTreeMap<String, Vec<i32>> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for place in places {
        topics.entry(place.topic.clone()).or_default().push(place.partition);
    }
    topics
}

/// Groups as lines.
fn states(groups: &[Group]) -> Table {
    let mut table = Table::new(&[
        ("GROUP", Align::Left),
        ("STATE", Align::Left),
        ("TYPE", Align::Left),
        ("ASSIGNOR", Align::Left),
        ("COORDINATOR", Align::Right),
        ("MEMBERS", Align::Right),
    ]);
    for group in groups {
        table.row([
            group.name.clone(),
            group.state.clone(),
            group.kind.to_string(),
            group.assignor.clone().unwrap_or_default(),
            group.coordinator.to_string(),
            group.members.len().to_string(),
        ]);
    }
    table
}

/// A group for people. `all`: not only what was asked for.
fn text(group: &Group, args: &DescribeArgs, all: bool) -> String {
    let mut parts = Vec::new();
    parts.push(if all { head(group) } else { format!("group        {}\n", crate::output::plain(&group.name)) });
    if (all || args.offsets) && !group.offsets.is_empty() {
        parts.push(offsets_table(group).to_string());
    } else if args.offsets {
        parts.push("no offsets\n".to_string());
    }
    if (all || args.members) && !group.members.is_empty() {
        parts.push(members_table(group).to_string());
    } else if args.members {
        parts.push("no members\n".to_string());
    }
    parts.join("\n")
}

fn head(group: &Group) -> String {
    let mut text = format!("group        {}\n", crate::output::plain(&group.name));
    text += &format!("state        {}\n", group.state);
    text += &format!("type         {}\n", group.kind);
    if let Some(assignor) = &group.assignor {
        text += &format!("assignor     {}\n", crate::output::plain(assignor));
    }
    if let (Some(epoch), Some(assignment)) = (group.epoch, group.assignment_epoch) {
        text += &format!("epoch        {epoch} (assignment {assignment})\n");
    }
    text += &format!("coordinator  {}\n", group.coordinator);
    text += &format!("members      {}\n", group.members.len());
    text += &format!("lag          {}\n", number(group.lag, "-"));
    text
}

fn number(n: Option<i64>, without: &str) -> String {
    n.map_or(without.to_string(), |n| n.to_string())
}

fn offsets_table(group: &Group) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("COMMITTED", Align::Right),
        ("END", Align::Right),
        ("LAG", Align::Right),
        ("CLIENT", Align::Left),
        ("HOST", Align::Left),
    ]);
    let members: BTreeMap<&str, &Member> = group.members.iter().map(|member| (member.id.as_str(), member)).collect();
    for offset in &group.offsets {
        let member = offset.member.as_deref().and_then(|id| members.get(id));
        table.row([
            offset.topic.clone(),
            offset.partition.to_string(),
            number(offset.committed, ""),
            number(offset.end, ""),
            number(offset.lag, ""),
            member.map(|member| member.client.clone()).unwrap_or_default(),
            member.and_then(|member| member.host.clone()).unwrap_or_default(),
        ]);
    }
    table
}

fn members_table(group: &Group) -> Table {
    let mut table = Table::new(&[
        ("MEMBER", Align::Left),
        ("CLIENT", Align::Left),
        ("HOST", Align::Left),
        ("PARTITIONS", Align::Right),
        ("READS", Align::Left),
    ]);
    for member in &group.members {
        let mut reads = ranges_of(&member.assigned);
        if let Some(target) = &member.target {
            reads +=
                &format!(" (to read: {})", Some(ranges_of(target)).filter(|t| !t.is_empty()).unwrap_or("-".into()));
        }
        table.row([
            member.instance.as_ref().unwrap_or(&member.id).clone(),
            member.client.clone(),
            member.host.clone().unwrap_or_default(),
            member.assigned.values().map(Vec::len).sum::<usize>().to_string(),
            reads,
        ]);
    }
    table
}

/// `orders:0-3,7 payments:1`.
pub fn ranges_of(topics: &BTreeMap<String, Vec<i32>>) -> String {
    let of_topic = |(topic, partitions): (&String, &Vec<i32>)| format!("{topic}:{}", ranges(partitions));
    topics.iter().map(of_topic).collect::<Vec<_>>().join(" ")
}

/// Rising numbers, with runs as ranges.
fn ranges(numbers: &[i32]) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let shown = |(first, last): (i32, i32)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    runs.into_iter().map(shown).collect::<Vec<_>>().join(",")
}
