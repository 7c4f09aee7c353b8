//! A group of the consumer protocol (KIP-848): the coordinator assigns. Members say in heartbeats what they want and
//! what they hold, and are told what to take up and what to give back. Nobody waits for a slow one but for the
//! partitions that it holds.
//!
//! Three epochs: the group's grows with everything that an assignment depends on; the target assignment is computed for
//! one of them; each member moves to the target's on its own, once it has given back what the target takes from it.
//! A partition is given out when nobody holds it.
//!
//! The state is changed by records alone, live as in a replay, each of them for itself: their order does not matter.

mod assign;
mod classic_member;
mod commit;
mod describe;
mod heartbeat;
mod leave;
mod migrate;
mod partitions;
mod re2;
mod reconcile;
mod replay;
mod subscription;
mod target;

#[cfg(test)]
pub(super) use assign::{Consumers, Want, range, uniform};
pub(super) use heartbeat::check_heartbeat;
pub use migrate::Migration;
pub(super) use partitions::{Held, Partitions};
pub(super) use target::ASSIGNORS;

use super::record::{ConsumerGroupValue, MemberValue, Record, RegularExpressionValue, TargetValue};
use super::request::LEAVES_FOR_A_WHILE;
use super::response::GroupState;
use super::{Step, Text, min_some};
use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::TopicId;
use torc_base::time::Mono;

/// How far a member has come with its target; Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberState {
    /// It has all that the target of its epoch gives it.
    Stable,
    /// It is to give something back.
    Revoking,
    /// It waits for what others have to give back.
    Waiting,
    /// Of a number that is not known here: it is told to begin anew.
    Unknown,
}

/// What a member holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) epoch: i32,
    /// The one before: a member that has not heard of its epoch comes with it.
    pub(super) previous_epoch: i32,
    pub(super) state: MemberState,
    pub(super) assigned: Held,
    /// To be given back.
    pub(super) revoking: Held,
}

/// A member: what the log says of it, each part by itself, and when it is given up.
#[derive(Debug)]
pub(super) struct Member {
    /// Only with this it is one.
    pub(super) value: Option<MemberValue>,
    pub(super) target: Option<Partitions>,
    pub(super) current: Option<Current>,
    deadline: Mono,
    /// When it must have given back what it is to give back.
    revoke_by: Option<Mono>,
    /// Of one that speaks the classic protocol: when it must have joined again, and when asked for its assignment.
    rejoin_by: Option<Mono>,
    sync_by: Option<Mono>,
}

/// The group.
#[derive(Debug)]
pub(super) struct Consumer {
    epoch: Option<ConsumerGroupValue>,
    target: Option<TargetValue>,
    members: BTreeMap<Text, Member>,
    /// Instance ids and the members that stand for them.
    instances: BTreeMap<Text, Text>,
    /// What patterns of members have matched.
    patterns: BTreeMap<Text, RegularExpressionValue>,
    /// The log has partition metadata of old.
    has_old_metadata: bool,
    /// By how many members a partition is held: never by two.
    held: BTreeMap<(TopicId, i32), u32>,
    /// The cluster's version that the group has looked at.
    seen: Option<u64>,
    /// The cluster's version in which each pattern was looked up last. Versions are counted anew by each process, so those
    /// that records hold say nothing here.
    looked_up: BTreeMap<Text, u64>,
    /// When patterns may be looked up again.
    patterns_after: Mono,
    wake: Mono,
    bytes: usize,
}

impl Consumer {
    pub(super) fn new() -> Consumer {
        Consumer {
            epoch: None,
            target: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            patterns: BTreeMap::new(),
            has_old_metadata: false,
            held: BTreeMap::new(),
            seen: None,
            looked_up: BTreeMap::new(),
            patterns_after: Mono(0),
            wake: Mono(u64::MAX),
            bytes: 0,
        }
    }

    pub(super) fn epoch(&self) -> i32 {
        self.epoch.as_ref().map_or(0, |value| value.epoch)
    }

    pub(super) fn target_epoch(&self) -> i32 {
        self.target.as_ref().map_or(0, |value| value.epoch)
    }

    /// True if the log says nothing of the group.
    pub(super) fn is_nothing(&self) -> bool {
        self.epoch.is_none()
            && self.target.is_none()
            && self.members.is_empty()
            && self.patterns.is_empty()
            && !self.has_old_metadata
    }

    /// How many members it has.
    pub(super) fn size(&self) -> usize {
        self.members.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn state(&self) -> GroupState {
        let is_there = |member: &Member| {
            member.current.as_ref().is_some_and(|c| c.state == MemberState::Stable && c.epoch == self.target_epoch())
        };
        match () {
            () if self.is_empty() => GroupState::Empty,
            () if self.epoch() > self.target_epoch() => GroupState::Assigning,
            () if self.members.values().all(is_there) => GroupState::Stable,
            () => GroupState::Reconciling,
        }
    }

    /// The names of the topics that the members consume.
    pub(super) fn subscribed(&self) -> BTreeSet<Text> {
        self.members.values().flat_map(|member| self.names(member.value.as_ref())).cloned().collect()
    }

    /// Bytes of memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        const HELD: usize = 40;
        size_of::<Consumer>() + self.bytes + self.held.len() * HELD
    }

    /// Not later than the next thing that is due.
    pub(super) fn wake(&self) -> Mono {
        self.wake
    }

    fn rewind(&mut self) {
        let next = self.members.values().map(Member::due).min();
        self.wake = next.unwrap_or(Mono(u64::MAX));
    }

    /// Writes a record, and does what it says.
    fn write(&mut self, record: Record, step: &mut Step<'_>) {
        self.replay(&record);
        step.record(record);
    }

    /// Sessions begin anew.
    pub(super) fn start(&mut self, step: &mut Step<'_>) {
        // Parts of what is no member; a log that was cut short may have them.
        let parts: Vec<Text> =
            self.members.iter().filter(|(_, m)| m.value.is_none()).map(|(id, _)| id.clone()).collect();
        parts.iter().for_each(|id| self.write_removal(step, id));
        self.instances.clear();
        for (id, member) in &mut self.members {
            member.deadline = step.now.mono.plus_ms(session_timeout(step, member));
            if let Some(instance) = member.value.as_ref().and_then(|value| value.instance.clone()) {
                self.instances.insert(instance, id.clone());
            }
            let is_revoking = member.current.as_ref().is_some_and(|c| c.state == MemberState::Revoking);
            let timeout = member.value.as_ref().map_or(0, |value| value.rebalance_timeout).max(0) as u64;
            let is_revoking = is_revoking && member.classic().is_none();
            member.revoke_by = is_revoking.then(|| step.now.mono.plus_ms(timeout));
        }
        self.rewind();
    }

    /// Gives up members that are silent, or that keep what they are to give back.
    pub(super) fn tick(&mut self, step: &mut Step<'_>) {
        let now = step.now.mono;
        if now < self.wake {
            return;
        }
        let due: Vec<Text> = self.members.iter().filter(|(_, m)| m.due() <= now).map(|(id, _)| id.clone()).collect();
        self.remove(step, &due);
        self.rewind();
    }
}

impl Member {
    /// When it is given up if nothing is heard of it.
    fn due(&self) -> Mono {
        let by = min_some(self.revoke_by, min_some(self.rejoin_by, self.sync_by));
        by.map_or(self.deadline, |by| by.min(self.deadline))
    }
}

/// Milliseconds after which a silent member is given up.
fn session_timeout(step: &Step<'_>, member: &Member) -> u64 {
    let of_member = member.classic().map(|classic| classic.session_timeout);
    let of_group = || step.cluster.group_config(&step.group).session_timeout_ms;
    of_member.or_else(of_group).unwrap_or(step.settings.consumer_session_timeout_ms).max(1) as u64
}
