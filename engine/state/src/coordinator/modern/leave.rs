//! Members that go, by themselves or by force.

use super::super::record::Record;
use super::super::request::ConsumerHeartbeat;
use super::super::response::{ConsumerBeat, Refusal};
use super::super::{Step, Text};
use super::{Consumer, Held, LEAVES_FOR_A_WHILE};

impl Consumer {
    /// A member says that it goes: for good, or, if it is static, for a while in which its partitions stay its own.
    pub(in super::super) fn leave(
        &mut self,
        step: &mut Step<'_>,
        beat: &ConsumerHeartbeat,
    ) -> Result<ConsumerBeat, Refusal> {
        if let Some(instance) = &beat.instance {
            let owner = self.instances.get(instance).ok_or(Refusal::UnknownMemberId)?;
            if *owner != beat.member {
                return Err(Refusal::FencedInstanceId);
            }
        }
        let member = self.members.get(&beat.member).ok_or(Refusal::UnknownMemberId)?;
        if beat.epoch == LEAVES_FOR_A_WHILE {
            if let Some(mut current) = member.current.clone() {
                current.epoch = LEAVES_FOR_A_WHILE;
                current.previous_epoch = current.previous_epoch.max(0);
                current.revoking = Held::default();
                let value = Some(current.to_record());
                let member = beat.member.clone();
                self.write(Record::CurrentAssignment { group: step.group.clone(), member, value }, step);
                if let Some(member) = self.members.get_mut(&beat.member) {
                    member.revoke_by = None;
                }
            }
        } else {
            self.remove(step, std::slice::from_ref(&beat.member));
        }
        Ok(ConsumerBeat { member: beat.member.clone(), epoch: beat.epoch, heartbeat_interval: 0, assignment: None })
    }

    /// Removes members; the others get what was theirs with a new epoch.
    pub(super) fn remove(&mut self, step: &mut Step<'_>, ids: &[Text]) {
        for id in ids {
            self.write_removal(step, id);
        }
        if !ids.is_empty() {
            self.refresh(step, true);
        }
    }

    pub(super) fn write_removal(&mut self, step: &mut Step<'_>, id: &Text) {
        let (group, member) = (step.group.clone(), id.clone());
        self.write(Record::CurrentAssignment { group: group.clone(), member: member.clone(), value: None }, step);
        self.write(Record::TargetMember { group: group.clone(), member: member.clone(), value: None }, step);
        self.write(Record::Member { group, member, value: None }, step);
    }

    /// Writes tombstones for all that the log has of the group.
    pub(in super::super) fn delete(&mut self, step: &mut Step<'_>) {
        let ids: Vec<Text> = self.members.keys().cloned().collect();
        for id in &ids {
            self.write_removal(step, id);
        }
        let expressions: Vec<Text> = self.patterns.keys().cloned().collect();
        let group = step.group.clone();
        for expression in expressions {
            self.write(Record::RegularExpression { group: group.clone(), expression, value: None }, step);
        }
        if self.target.is_some() {
            self.write(Record::Target { group: group.clone(), value: None }, step);
        }
        if self.has_old_metadata {
            self.write(Record::PartitionMetadata { group: group.clone(), value: None }, step);
        }
        if self.epoch.is_some() {
            self.write(Record::ConsumerGroup { group, value: None }, step);
        }
        assert!(self.is_nothing(), "nothing is left of a deleted group");
    }
}
