//! ConsumerGroupDescribe.

use super::super::response::{DescribedConsumer, DescribedConsumerGroup};
use super::super::{Step, Text};
use super::{Consumer, Member};

impl Consumer {
    /// The group with its members, what they hold and what they are to hold.
    pub(in super::super) fn describe(&self, step: &Step<'_>) -> DescribedConsumerGroup {
        DescribedConsumerGroup {
            state: self.state(),
            epoch: self.epoch(),
            assignment_epoch: self.target_epoch(),
            assignor: self.assignor(step),
            members: self.members.iter().filter_map(|(id, member)| describe(id, member)).collect(),
        }
    }
}

fn describe(id: &Text, member: &Member) -> Option<DescribedConsumer> {
    let value = member.value.as_ref()?;
    let current = member.current.as_ref();
    Some(DescribedConsumer {
        id: id.clone(),
        instance: value.instance.clone(),
        rack: value.rack.clone(),
        epoch: current.map_or(0, |current| current.epoch),
        client_id: value.client_id.clone(),
        client_host: value.client_host.clone(),
        topics: value.topics.clone(),
        regex: value.regex.clone(),
        assignment: current.map(|current| current.assigned.partitions().to_record()).unwrap_or_default(),
        target: member.target.as_ref().map(|target| target.to_record()).unwrap_or_default(),
        is_classic: value.classic.is_some(),
    })
}
