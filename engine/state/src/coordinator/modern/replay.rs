//! What each record does to a group of the consumer protocol.

use super::super::record::{CurrentValue, MemberValue, Record};
use super::super::{Text, record};
use super::{Consumer, Current, Held, Member, MemberState, Partitions};
use torc_base::time::Mono;

impl Consumer {
    /// Takes over a record of this group.
    pub(in super::super) fn replay(&mut self, record: &Record) {
        match record {
            Record::ConsumerGroup { value, .. } => self.epoch.clone_from(value),
            Record::Target { value, .. } => self.target.clone_from(value),
            Record::PartitionMetadata { value, .. } => self.has_old_metadata = value.is_some(),
            Record::RegularExpression { expression, value, .. } => match value {
                Some(value) => drop(self.patterns.insert(expression.clone(), value.clone())),
                None => drop(self.patterns.remove(expression)),
            },
            Record::Member { member, value, .. } => self.replay_member(member, value.as_ref()),
            Record::TargetMember { member, value, .. } => {
                let target = value.as_ref().map(|topics| Partitions::of_record(topics));
                self.change(member, |member| member.target = target);
            }
            Record::CurrentAssignment { member, value, .. } => {
                let current = value.as_ref().map(Current::of_record);
                self.count_held(member, false);
                self.change(member, |member| member.current = current);
                self.count_held(member, true);
            }
            Record::Offset { .. } | Record::Group { .. } => unreachable!("not of the consumer protocol"),
        }
    }

    fn replay_member(&mut self, id: &Text, value: Option<&MemberValue>) {
        let before = self.members.get(id).and_then(|member| member.value.as_ref()).and_then(|v| v.instance.clone());
        if let Some(instance) = before.filter(|instance| self.instances.get(instance) == Some(id)) {
            self.instances.remove(&instance);
        }
        if let Some(instance) = value.and_then(|value| value.instance.as_ref()) {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.change(id, |member| member.value = value.cloned());
    }

    /// Changes a member, which may be new; one of which nothing is left goes.
    fn change(&mut self, id: &Text, change: impl FnOnce(&mut Member)) {
        let nobody = || Member {
            value: None,
            target: None,
            current: None,
            deadline: Mono(u64::MAX),
            revoke_by: None,
            rejoin_by: None,
            sync_by: None,
        };
        let mut member = match self.members.remove(id) {
            Some(member) => {
                self.bytes -= member.bytes(id);
                member
            }
            None => nobody(),
        };
        change(&mut member);
        if member.value.is_some() || member.target.is_some() || member.current.is_some() {
            self.bytes += member.bytes(id);
            self.members.insert(id.clone(), member);
        }
    }

    /// Counts what a member holds, in or out.
    fn count_held(&mut self, id: &Text, is_in: bool) {
        let Some(current) = self.members.get(id).and_then(|member| member.current.as_ref()) else { return };
        for (topic, partition, _) in current.assigned.iter().chain(current.revoking.iter()) {
            let holders = self.held.entry((topic, partition)).or_default();
            if is_in {
                *holders += 1;
            } else {
                *holders -= 1;
                if *holders == 0 {
                    self.held.remove(&(topic, partition));
                }
            }
        }
    }

    #[cfg(test)]
    pub(in super::super) fn has_member(&self, id: &Text) -> bool {
        self.members.contains_key(id)
    }

    /// The invariants.
    #[cfg(test)]
    pub(in super::super) fn check(&self) {
        let mut held = std::collections::BTreeMap::new();
        for current in self.members.values().filter_map(|member| member.current.as_ref()) {
            for (topic, partition, epoch) in current.assigned.iter().chain(current.revoking.iter()) {
                *held.entry((topic, partition)).or_default() += 1;
                assert!(epoch <= current.epoch.max(self.epoch()), "a partition was assigned in times to come");
            }
        }
        assert_eq!(self.held, held, "what is held is known");
        assert!(held.values().all(|holders| *holders == 1), "a partition is held by two");
        let instances =
            self.members.iter().filter_map(|(id, m)| Some((m.value.as_ref()?.instance.clone()?, id.clone())));
        assert_eq!(self.instances, instances.collect(), "an instance stands for one member");
        assert!(self.members.values().all(|member| member.value.is_some()), "parts of what is no member");
        assert!(self.target_epoch() <= self.epoch(), "a target of times to come");
    }

    /// All that the log says of the group, for comparison.
    pub(in super::super) fn records(&self, group: &Text) -> Vec<Record> {
        let group = || group.clone();
        let mut records = vec![
            Record::ConsumerGroup { group: group(), value: self.epoch.clone() },
            Record::Target { group: group(), value: self.target.clone() },
        ];
        for (expression, value) in &self.patterns {
            let (expression, value) = (expression.clone(), Some(value.clone()));
            records.push(Record::RegularExpression { group: group(), expression, value });
        }
        for (id, member) in &self.members {
            let target = member.target.as_ref().map(Partitions::to_record);
            let current = member.current.as_ref().map(Current::to_record);
            records.push(Record::Member { group: group(), member: id.clone(), value: member.value.clone() });
            records.push(Record::TargetMember { group: group(), member: id.clone(), value: target });
            records.push(Record::CurrentAssignment { group: group(), member: id.clone(), value: current });
        }
        records
    }
}

impl Current {
    fn of_record(value: &CurrentValue) -> Current {
        Current {
            epoch: value.epoch,
            previous_epoch: value.previous_epoch,
            state: match value.state {
                0 => MemberState::Stable,
                1 => MemberState::Revoking,
                2 => MemberState::Waiting,
                _ => MemberState::Unknown,
            },
            assigned: Held::of_record(&value.assigned, value.epoch),
            revoking: Held::of_record(&value.revoking, value.epoch),
        }
    }

    pub(in super::super) fn to_record(&self) -> record::CurrentValue {
        record::CurrentValue {
            epoch: self.epoch,
            previous_epoch: self.previous_epoch,
            state: match self.state {
                MemberState::Stable => 0,
                MemberState::Revoking => 1,
                MemberState::Waiting => 2,
                MemberState::Unknown => 127,
            },
            assigned: self.assigned.to_record(),
            revoking: self.revoking.to_record(),
        }
    }
}

impl Member {
    /// Bytes of memory, roughly.
    fn bytes(&self, id: &str) -> usize {
        const NODE: usize = 64;
        let text = |text: &Option<Text>| text.as_ref().map_or(0, |text| NODE + text.len());
        let value = self.value.as_ref().map_or(0, |value| {
            let topics: usize = value.topics.iter().map(|topic| 32 + topic.len()).sum();
            let classic: usize =
                value.classic.iter().flat_map(|c| &c.protocols).map(|(n, m)| NODE + n.len() + m.len()).sum();
            let texts = 2 * text(&value.instance) + text(&value.rack) + text(&value.regex) + text(&value.assignor);
            2 * NODE + value.client_id.len() + value.client_host.len() + topics + classic + texts
        });
        let target = self.target.as_ref().map_or(0, |target| NODE + 8 * target.len());
        let current = self.current.as_ref().map_or(0, |c| NODE + 8 * (c.assigned.len() + c.revoking.len()));
        NODE + size_of::<Member>() + id.len() + value + target + current
    }
}
