//! Requests about groups: DescribeGroups, ListGroups.

use super::group::Group;
use super::record::OffsetValue;
use super::request::List;
use super::response::{Described, DescribedGroup, DescribedMember, GroupState, GroupType, Listed, Refusal};
use super::{Coordinator, Text};
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

impl Coordinator {
    pub(super) fn describe(&self, groups: &[Text]) -> Vec<Described> {
        let describe = |id: &Text| {
            let group = self.groups.get(id).filter(|group| group.consumer.is_none()).ok_or(Refusal::GroupIdNotFound);
            Described { group: id.clone(), result: group.and_then(describe) }
        };
        groups.iter().map(describe).collect()
    }

    /// All groups behind that one, in an order that stays.
    pub fn progress(&self, behind: Option<&Text>) -> impl Iterator<Item = Progress<'_>> {
        self.groups.behind(behind).map(|(id, group)| Progress { id, group })
    }

    /// That group.
    pub fn progress_of(&self, group: &Text) -> Option<Progress<'_>> {
        self.groups.get_named(group).map(|(id, group)| Progress { id, group })
    }

    pub(super) fn list(&self, list: &List) -> Vec<Listed> {
        let is_one_of = |words: &[Text], name: &str| {
            words.is_empty() || words.iter().any(|word| word.trim().eq_ignore_ascii_case(name))
        };
        let passes = |(_, group): &(&Text, &Group)| {
            is_one_of(&list.states, group.state().name()) && is_one_of(&list.types, group.kind().name())
        };
        let listed = |(id, group): (&Text, &Group)| Listed {
            group: id.clone(),
            protocol_type: group.protocol_type(),
            state: group.state(),
            kind: group.kind(),
        };
        let mut all: Vec<Listed> = self.groups.iter().filter(passes).map(listed).collect();
        all.sort_unstable_by(|a, b| a.group.cmp(&b.group));
        all
    }
}

/// A group, as whoever watches how far it comes sees it.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    id: &'a Text,
    group: &'a Group,
}

impl<'a> Progress<'a> {
    /// Its name.
    pub fn id(&self) -> &'a Text {
        self.id
    }

    /// Its state.
    pub fn state(&self) -> GroupState {
        self.group.state()
    }

    /// Its type.
    pub fn kind(&self) -> GroupType {
        self.group.kind()
    }

    /// How many members it has, by whichever protocol.
    pub fn members(&self) -> usize {
        let classic = self.group.classic.as_ref().map_or(0, |classic| classic.members().len());
        classic + self.group.consumer.as_ref().map_or(0, |consumer| consumer.size())
    }

    /// How many offsets it has committed.
    pub fn offsets_len(&self) -> usize {
        self.group.offsets.len()
    }

    /// Topic, partition and the next offset to read, of all behind that topic and partition.
    pub fn offsets(&self, behind: Option<&(Text, i32)>) -> impl Iterator<Item = (&'a Text, i32, i64)> {
        let of_topic = |(topic, partitions): (&'a Text, &'a BTreeMap<i32, OffsetValue>)| {
            partitions.iter().map(move |(partition, value)| (topic, *partition, value.offset))
        };
        let from = behind.map_or(Unbounded, |(topic, _)| Included(topic));
        let rest = behind.and_then(|(topic, partition)| {
            let (topic, partitions) = self.group.offsets.topics().get_key_value(topic)?;
            let rest = partitions.range((Excluded(*partition), Unbounded));
            Some(rest.map(move |(partition, value)| (topic, *partition, value.offset)))
        });
        let others = self.group.offsets.topics().range::<Text, _>((from, Unbounded));
        let begun = behind.map(|(topic, _)| topic.clone());
        let others = others.filter(move |(topic, _)| begun.as_ref() != Some(*topic)).flat_map(of_topic);
        rest.into_iter().flatten().chain(others)
    }
}

fn describe(group: &Group) -> Result<DescribedGroup, Refusal> {
    let state = group.state();
    let is_stable = state == GroupState::Stable;
    let classic = group.classic.as_ref();
    let protocol = classic.and_then(|classic| classic.protocol()).filter(|_| is_stable).cloned().unwrap_or_default();
    let members = classic.map(|classic| classic.members());
    let member = |(id, member): (&Text, &super::classic::Member)| DescribedMember {
        id: id.clone(),
        instance: member.instance.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: member.metadata(&protocol).filter(|_| is_stable).cloned().unwrap_or_default(),
        assignment: if is_stable { member.assignment.clone() } else { Default::default() },
    };
    Ok(DescribedGroup {
        state,
        protocol_type: group.protocol_type(),
        members: members.into_iter().flatten().map(member).collect(),
        protocol,
    })
}
