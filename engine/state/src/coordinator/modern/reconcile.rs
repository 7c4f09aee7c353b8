//! What a member is to hold next, on its way to the target.

use super::super::Text;
use super::super::request::Owned;
use super::{Consumer, Current, Held, MemberState, Partitions};

impl Consumer {
    /// The next state of a member that says it holds `owned` (`None`: nothing new); `None` if it stays as it is.
    pub(super) fn next_current(&self, id: &Text, owned: Option<&[Owned]>) -> Option<Current> {
        let member = &self.members[id];
        let is_there = |c: &Current| c.state == MemberState::Stable && c.epoch == self.target_epoch();
        if member.current.as_ref().is_some_and(is_there) {
            return None;
        }
        let nothing = Partitions::default();
        let target = member.target.as_ref().unwrap_or(&nothing);
        let new = || Current {
            epoch: 0,
            previous_epoch: 0,
            state: MemberState::Stable,
            assigned: Held::default(),
            revoking: Held::default(),
        };
        let current = member.current.clone().unwrap_or_else(new);
        let next = match current.state {
            // It must say that it has given up what it was asked for.
            MemberState::Revoking if owns_any(owned, &current.revoking) => return None,
            MemberState::Revoking => self.towards(&current, current.epoch.saturating_add(1), target, owned),
            MemberState::Stable | MemberState::Waiting | MemberState::Unknown => {
                self.towards(&current, current.epoch, target, owned)
            }
        };
        (member.current.as_ref() != Some(&next)).then_some(next)
    }

    /// The way goes over giving back: only then the member gets the target's epoch and what is free of the rest.
    fn towards(&self, current: &Current, epoch: i32, target: &Partitions, owned: Option<&[Owned]>) -> Current {
        let keeps = |(topic, partition, _): &(_, i32, i32)| target.has(*topic, *partition);
        let kept: Held = current.assigned.iter().filter(keeps).collect();
        let revoking: Held = current.assigned.iter().filter(|held| !keeps(held)).collect();
        let target_epoch = self.target_epoch();
        let previous = |epoch| if epoch == current.epoch { current.previous_epoch } else { current.epoch };
        if !revoking.is_empty() && owns_any(owned, &revoking) {
            // The epoch stays below the target's, for the target gives to others what it holds.
            let epoch = epoch.min(target_epoch.saturating_sub(1)).max(current.epoch);
            let previous_epoch = previous(epoch);
            return Current { epoch, previous_epoch, state: MemberState::Revoking, assigned: kept, revoking };
        }
        let is_missing = |(topic, partition): &(_, i32)| !kept.has(*topic, *partition);
        let is_held = |topic, partition| {
            let mine = current.assigned.has(topic, partition) || current.revoking.has(topic, partition);
            self.held.get(&(topic, partition)).copied().unwrap_or(0) > u32::from(mine)
        };
        let mut waits = false;
        let mut assigned: Vec<(_, i32, i32)> = kept.iter().collect();
        for (topic, partition) in target.iter().filter(is_missing) {
            if is_held(topic, partition) {
                waits = true;
            } else {
                assigned.push((topic, partition, target_epoch));
            }
        }
        Current {
            epoch: target_epoch,
            previous_epoch: previous(target_epoch),
            state: if waits { MemberState::Waiting } else { MemberState::Stable },
            assigned: assigned.into_iter().collect(),
            revoking: Held::default(),
        }
    }
}

/// True if the member may still hold some of `revoking`: it says so, or says nothing.
fn owns_any(owned: Option<&[Owned]>, revoking: &Held) -> bool {
    let Some(owned) = owned else { return true };
    owned.iter().any(|(topic, partitions)| partitions.iter().any(|partition| revoking.has(*topic, *partition)))
}
