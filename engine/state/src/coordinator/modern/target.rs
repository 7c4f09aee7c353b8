//! The target assignment: computed for the group's epoch by the assignor that most members ask for.

use super::super::record::{Record, TargetValue};
use super::super::{Step, Text};
use super::assign::{Consumers, Want, range, uniform};
use super::{Consumer, Partitions};
use std::collections::BTreeMap;

/// Assignors by name, the default first.
pub(in super::super) const ASSIGNORS: [&str; 2] = ["uniform", "range"];

impl Consumer {
    /// The assignor that most members name; the first of those that the server has if nobody does.
    pub(super) fn assignor(&self, step: &Step<'_>) -> Text {
        let mut votes: BTreeMap<&Text, usize> = BTreeMap::new();
        for name in self.members.values().filter_map(|member| member.value.as_ref()?.assignor.as_ref()) {
            *votes.entry(name).or_default() += 1;
        }
        let first = step.settings.consumer_assignors.first().cloned().unwrap_or_else(|| ASSIGNORS[0].into());
        votes.into_iter().rev().max_by_key(|(_, votes)| *votes).map_or(first, |(name, _)| name.clone())
    }

    /// Computes the target for the group's epoch if there is none yet.
    pub(super) fn assign_if_due(&mut self, step: &mut Step<'_>) {
        if self.target.is_some() && self.target_epoch() >= self.epoch() {
            return;
        }
        let mut topics = BTreeMap::new();
        let mut consumers = Consumers::default();
        for (id, member) in &self.members {
            let wants = self.topics(step, member.value.as_ref());
            consumers.wants.push(Want {
                member: id.clone(),
                instance: member.value.as_ref().and_then(|value| value.instance.clone()),
                topics: wants.keys().copied().collect(),
                has: member.target.clone().unwrap_or_default(),
            });
            topics.extend(wants);
        }
        consumers.topics = topics;
        let assigned = if *self.assignor(step) == *ASSIGNORS[1] { range(&consumers) } else { uniform(&consumers) };
        for (want, mut target) in consumers.wants.iter().zip(assigned) {
            // A member holds no more than its record does: the rest waits for more members.
            target.cut_to(step.room().saturating_sub(want.member.len()));
            self.write_target(step, &want.member, target);
        }
        let value = Some(TargetValue { epoch: self.epoch(), computed: step.now.wall });
        self.write(Record::Target { group: step.group.clone(), value }, step);
    }

    fn write_target(&mut self, step: &mut Step<'_>, member: &Text, target: Partitions) {
        if self.members[member].target.as_ref() != Some(&target) {
            let (member, value) = (member.clone(), Some(target.to_record()));
            self.write(Record::TargetMember { group: step.group.clone(), member, value }, step);
        }
    }
}
