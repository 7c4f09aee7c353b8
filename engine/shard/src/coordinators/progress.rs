//! How far the groups of this shard have come, for whoever asks from outside.

use super::{Coordinators, State};
use crate::inquiry::{Finding, GroupProgress, PartitionProgress};
use torc_base::ids::{GroupId, ShardId};

impl Coordinators {
    /// Whole groups with what they have committed, as long as there are no more than `offsets_max` offsets; a group without any
    /// counts as one. `log`: where a partition's log is.
    pub fn progress(&self, offsets_max: usize, log: impl Fn(&str, i32) -> Option<(ShardId, GroupId)>) -> Finding {
        let (mut groups, mut left_out, mut room) = (Vec::new(), 0, offsets_max);
        for seat in self.seats.values() {
            let State::Serving(coordinator) = &seat.state else { continue };
            for group in coordinator.progress() {
                let Some(rest) = room.checked_sub(group.offsets_len().max(1)) else {
                    left_out += 1;
                    continue;
                };
                room = rest;
                let offsets = group.offsets().map(|(topic, partition, offset)| PartitionProgress {
                    topic: topic.clone(),
                    partition,
                    offset,
                    log: log(topic, partition),
                });
                let (members, offsets) = (group.members(), offsets.collect());
                let (id, state, kind) = (group.id().clone(), group.state().name(), group.kind().name());
                groups.push(GroupProgress { group: id, state, kind, members, offsets });
            }
        }
        Finding::Groups { groups, left_out }
    }
}
