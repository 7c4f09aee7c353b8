//! Requests about groups: DescribeGroups, ListGroups.

use super::group::Group;
use super::record::OffsetValue;
use super::request::List;
use super::response::{Described, DescribedGroup, DescribedMember, GroupState, GroupType, Listed, Refusal};
use super::{Coordinator, Text};
use std::collections::BTreeMap;

impl Coordinator {
    pub(super) fn describe(&self, groups: &[Text]) -> Vec<Described> {
        let describe = |id: &Text| {
            let group = self.groups.get(id).filter(|group| group.consumer.is_none()).ok_or(Refusal::GroupIdNotFound);
            Described { group: id.clone(), result: group.and_then(describe) }
        };
        groups.iter().map(describe).collect()
    }

    /// All groups, in the order of their names.
    pub fn progress(&self) -> impl Iterator<Item = Progress<'_>> {
        self.groups.iter().map(|(id, group)| Progress { id, group })
    }

    /// Of how many topics a group has committed offsets.
    pub fn topics_committed(&self, group: &Text) -> usize {
        self.groups.get(group).map_or(0, |group| group.offsets.topics().len())
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
        self.groups.iter().filter(passes).map(listed).collect()
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
        self.group.offsets.topics().values().map(|partitions| partitions.len()).sum()
    }

    /// Topic, partition and the next offset to read.
    pub fn offsets(&self) -> impl Iterator<Item = (&'a Text, i32, i64)> {
        let of_topic = |(topic, partitions): (&'a Text, &'a BTreeMap<i32, OffsetValue>)| {
            partitions.iter().map(move |(partition, value)| (topic, *partition, value.offset))
        };
        self.group.offsets.topics().iter().flat_map(of_topic)
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
