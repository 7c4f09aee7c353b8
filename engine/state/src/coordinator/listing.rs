//! Requests about groups: DescribeGroups, ListGroups.

use super::group::Group;
use super::request::List;
use super::response::{Described, DescribedGroup, DescribedMember, GroupState, Listed, Refusal};
use super::{Coordinator, Text};

impl Coordinator {
    pub(super) fn describe(&self, groups: &[Text]) -> Vec<Described> {
        let describe = |id: &Text| {
            let group = self.groups.get(id).filter(|group| group.consumer.is_none()).ok_or(Refusal::GroupIdNotFound);
            Described { group: id.clone(), result: group.and_then(describe) }
        };
        groups.iter().map(describe).collect()
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
