//! A live group changes its protocol: to the consumer protocol when the first member comes that speaks it, back when
//! the last such member has gone. Offsets stay, and so do the assignments; epochs go on where generations stood.

use super::super::classic::Classic;
use super::super::embedded;
use super::super::group::Group;
use super::super::record::{
    ClassicMember, ConsumerGroupValue, CurrentValue, GroupMember, GroupValue, MemberValue, Record, TargetValue,
    TopicPartitions,
};
use super::super::response::{GroupState, Refusal};
use super::super::{Blob, Step, Text, fits};
use super::{Consumer, Member, Partitions};
use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::TopicId;
use torc_base::limits::GROUP_MEMBERS_MAX;

/// `group.consumer.migration.policy`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    Disabled,
    /// From the classic protocol to the consumer protocol.
    Upgrade,
    /// Back.
    Downgrade,
    Bidirectional,
}

impl Migration {
    fn upgrades(self) -> bool {
        matches!(self, Migration::Upgrade | Migration::Bidirectional)
    }

    fn downgrades(self) -> bool {
        matches!(self, Migration::Downgrade | Migration::Bidirectional)
    }
}

/// A classic member, understood.
struct Understood {
    value: MemberValue,
    holds: Partitions,
}

impl Group {
    /// Makes a consumer group of a classic one that has members.
    pub(super) fn upgrade(&mut self, step: &mut Step<'_>) -> Result<(), Refusal> {
        let classic = self.classic.as_mut().expect("a classic group");
        let most = step.settings.consumer_group_max_size.min(GROUP_MEMBERS_MAX);
        if !step.settings.migration.upgrades() || !classic.has_consumers() || classic.members().len() >= most {
            return Err(Refusal::GroupIdNotFound);
        }
        let members = understand(step, classic).ok_or(Refusal::GroupIdNotFound)?;
        let is_written = |(id, Understood { value, holds }): (&Text, &Understood)| {
            step.fits(id.len() + value.bytes_max()) && step.fits(id.len() + holds.held_bytes_max())
        };
        if !members.iter().all(is_written) {
            return Err(Refusal::UnknownServerError);
        }
        let epoch = classic.generation();
        classic.dismiss(step);
        self.drop_classic(step);
        let consumer = self.consumer.insert(Box::new(Consumer::new()));
        let group = step.group.clone();
        let first = ConsumerGroupValue { epoch, metadata_hash: 0 };
        consumer.write(Record::ConsumerGroup { group: group.clone(), value: Some(first) }, step);
        for (id, Understood { value, holds }) in members {
            let (group, member) = (group.clone(), id.clone());
            consumer.write(Record::Member { group: group.clone(), member: member.clone(), value: Some(value) }, step);
            let target = Some(holds.to_record());
            consumer.write(Record::TargetMember { group: group.clone(), member: member.clone(), value: target }, step);
            let with_epoch =
                |topic: TopicPartitions| TopicPartitions { epochs: vec![epoch; topic.partitions.len()], ..topic };
            let assigned = holds.to_record().into_iter().map(with_epoch).collect();
            let current = CurrentValue { epoch, previous_epoch: epoch, state: 0, assigned, revoking: Vec::new() };
            consumer.write(Record::CurrentAssignment { group, member, value: Some(current) }, step);
            consumer.touch(step, &id);
        }
        let target = TargetValue { epoch, computed: step.now.wall };
        consumer.write(Record::Target { group, value: Some(target) }, step);
        Ok(())
    }

    /// Makes a classic group of a consumer group in which nobody is left who speaks the consumer protocol.
    pub(in super::super) fn downgrade_if_due(&mut self, step: &mut Step<'_>) {
        let Some(consumer) = &mut self.consumer else { return };
        let most = step.settings.group_max_size.min(GROUP_MEMBERS_MAX);
        let is_due = step.settings.migration.downgrades()
            && !consumer.members.is_empty()
            && consumer.members.len() <= most
            && consumer.members.values().all(|member| member.classic().is_some());
        let Some(value) = is_due.then(|| consumer.as_classic(step)).flatten() else { return };
        let protocols =
            consumer.members.iter().filter_map(|(id, member)| Some((id.clone(), member.classic()?.protocols.clone())));
        let mut classic = Classic::with_protocols(&value, protocols.collect());
        if !fits(classic.bytes()) || !classic.is_writable_with(step, 0) {
            // What was written of each member by itself would be one record now.
            return;
        }
        consumer.delete(step);
        self.consumer = None;
        classic.take_over(step);
        self.classic = Some(Box::new(classic));
    }
}

/// All members with what they want and hold; `None` if one of them cannot be read.
fn understand(step: &Step<'_>, classic: &Classic) -> Option<BTreeMap<Text, Understood>> {
    let mut taken: BTreeSet<(TopicId, i32)> = BTreeSet::new();
    let mut members = BTreeMap::new();
    let is_between = classic.state() == GroupState::CompletingRebalance;
    for (id, member) in classic.members() {
        let (_, metadata) = member.protocols.first()?;
        let subscription = embedded::subscription(metadata)?;
        let mut topics: Vec<Text> = subscription.topics.iter().map(|topic| Text::from(*topic)).collect();
        topics.sort();
        topics.dedup();
        // Between two generations nothing is assigned: what members hold then, if anything, they have said when they joined.
        let assigned = if is_between { subscription.owned } else { embedded::assigned(&member.assignment)? };
        let mut holds = Vec::new();
        for (name, partitions) in assigned {
            let Some(topic) = step.cluster.topic(name) else { continue };
            // An assignor that gives a partition to two is none: the first has it.
            holds.extend(partitions.into_iter().map(|p| (topic.id, p)).filter(|partition| taken.insert(*partition)));
        }
        let value = MemberValue {
            instance: member.instance.clone(),
            rack: subscription.rack.map(Text::from),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            topics,
            regex: None,
            rebalance_timeout: member.rebalance_timeout,
            assignor: None,
            classic: Some(ClassicMember {
                session_timeout: member.session_timeout,
                protocols: member.protocols.to_vec(),
            }),
        };
        members.insert(id.clone(), Understood { value, holds: holds.into_iter().collect() });
    }
    Some(members)
}

impl Consumer {
    /// The group as a classic one, stable in its last epoch; `None` if its members have no protocol in common.
    fn as_classic(&self, step: &Step<'_>) -> Option<GroupValue> {
        let knows = |member: &Member, name: &Text| {
            member.classic().is_some_and(|classic| classic.protocols.iter().any(|(known, _)| known == name))
        };
        let first = self.members.values().next()?.classic()?;
        let is_common = |(name, _): &&(Text, Blob)| self.members.values().all(|member| knows(member, name));
        let (protocol, _) = first.protocols.iter().find(is_common)?;
        let mut members = Vec::new();
        for (id, member) in &self.members {
            let (value, classic) = (member.value.as_ref()?, member.classic()?);
            let (_, subscription) = classic.protocols.iter().find(|(name, _)| name == protocol)?;
            let named = |topic: TopicPartitions| Some((step.cluster.topic_by_id(topic.topic)?.name, topic.partitions));
            // What it holds, not what it is to hold: nobody may have that yet. The rebalance that follows gives out the rest.
            let current = member.current.as_ref()?;
            let held: Partitions =
                current.assigned.iter().chain(current.revoking.iter()).map(|(t, p, _)| (t, p)).collect();
            let held: Vec<(Text, Vec<i32>)> = held.to_record().into_iter().filter_map(named).collect();
            members.push(GroupMember {
                id: id.clone(),
                instance: value.instance.clone(),
                client_id: value.client_id.clone(),
                client_host: value.client_host.clone(),
                rebalance_timeout: value.rebalance_timeout,
                session_timeout: classic.session_timeout,
                subscription: subscription.clone(),
                assignment: embedded::assignment(subscription, &held),
            });
        }
        Some(GroupValue {
            protocol_type: embedded::PROTOCOL_TYPE.into(),
            // The last epoch that members were told: those that have come so far are called to join again, and lose nothing.
            generation: self.target_epoch(),
            protocol: Some(protocol.clone()),
            leader: members.first().map(|member| member.id.clone()),
            since: step.now.wall,
            members,
        })
    }
}
