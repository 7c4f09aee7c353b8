//! One group: who is in it, by whichever protocol, and what it has committed.

use super::classic::Classic;
use super::modern::Consumer;
use super::names::Timers;
use super::offsets::Offsets;
use super::request::{Heartbeat, Leaver, Sync};
use super::response::{GroupState, GroupType, LeaverResponse, Refusal, Response};
use super::{Step, Text, Ticket, embedded, min_some};
use std::collections::BTreeSet;
use torc_base::time::Mono;

/// A group. Without members, and without a record of its own, it is a name under which somebody commits offsets.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) classic: Option<Box<Classic>>,
    /// Never beside the classic one, but for a while in a replay.
    pub(super) consumer: Option<Box<Consumer>>,
    pub(super) offsets: Offsets,
    /// When its timer is set for.
    pub(super) armed: Option<Mono>,
    /// What it was last counted with.
    pub(super) counted: usize,
}

impl Group {
    /// True if the log says nothing of the group, and nobody is about to join it.
    pub(super) fn is_nothing(&self) -> bool {
        let is_without = self.classic.as_ref().is_none_or(|classic| classic.is_nothing());
        self.offsets.is_empty() && is_without && self.consumer.as_ref().is_none_or(|consumer| consumer.is_nothing())
    }

    /// True if nobody is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.classic.as_ref().is_none_or(|classic| classic.is_empty())
            && self.consumer.as_ref().is_none_or(|consumer| consumer.is_empty())
    }

    pub(super) fn state(&self) -> GroupState {
        match (&self.consumer, &self.classic) {
            (Some(consumer), _) => consumer.state(),
            (None, Some(classic)) => classic.state(),
            (None, None) => GroupState::Empty,
        }
    }

    pub(super) fn kind(&self) -> GroupType {
        if self.consumer.is_some() { GroupType::Consumer } else { GroupType::Classic }
    }

    /// Kafka's word for what its members are; empty if it never had any.
    pub(super) fn protocol_type(&self) -> Text {
        if self.consumer.is_some() {
            return embedded::PROTOCOL_TYPE.into();
        }
        self.classic.as_ref().and_then(|classic| classic.protocol_type()).cloned().unwrap_or_default()
    }

    /// SyncGroup.
    pub(super) fn sync(&mut self, step: &mut Step<'_>, ticket: Ticket, sync: Sync) {
        let result = match (&mut self.consumer, &mut self.classic) {
            (Some(consumer), _) => consumer.sync(step, &sync),
            (None, Some(classic)) => return classic.sync(step, ticket, sync),
            (None, None) => Err(Refusal::UnknownMemberId),
        };
        step.answer(ticket, Response::Sync(result));
    }

    /// Heartbeat of the classic protocol.
    pub(super) fn heartbeat(&mut self, step: &Step<'_>, heartbeat: &Heartbeat) -> Result<(), Refusal> {
        match (&mut self.consumer, &mut self.classic) {
            (Some(consumer), _) => consumer.classic_heartbeat(step, heartbeat),
            (None, Some(classic)) => classic.heartbeat(step, heartbeat),
            (None, None) => Err(Refusal::UnknownMemberId),
        }
    }

    /// LeaveGroup; `None` if the group has no members.
    pub(super) fn leave(&mut self, step: &mut Step<'_>, leavers: Vec<Leaver>) -> Option<Vec<LeaverResponse>> {
        match (&mut self.consumer, &mut self.classic) {
            (Some(consumer), _) => {
                let left = consumer.classic_leave(step, leavers);
                self.downgrade_if_due(step);
                Some(left)
            }
            (None, Some(classic)) => Some(classic.leave(step, leavers)),
            (None, None) => None,
        }
    }

    /// The topics that its members consume.
    pub(super) fn subscription(&self) -> Subscription {
        if let Some(consumer) = &self.consumer {
            return Subscription::To(consumer.subscribed());
        }
        match &self.classic {
            Some(classic) if classic.has_consumers() => {
                classic.subscribed().map_or(Subscription::Unknown, Subscription::To)
            }
            _ => Subscription::None,
        }
    }

    /// Not later than the next thing that is due.
    pub(super) fn wake(&self) -> Option<Mono> {
        let classic = self.classic.as_ref().map(|classic| classic.wake());
        min_some(classic, self.consumer.as_ref().map(|consumer| consumer.wake())).filter(|wake| *wake < Mono(u64::MAX))
    }

    /// After something has happened to it: its memory is counted among `bytes`, its timer set among `timers`. False if it is nothing
    /// any more, and has to go.
    pub(super) fn settle(&mut self, id: &Text, timers: &mut Timers, bytes: &mut usize) -> bool {
        let is_nothing = self.is_nothing();
        let counted = if is_nothing { 0 } else { self.bytes(id) };
        *bytes = *bytes - std::mem::replace(&mut self.counted, counted) + counted;
        let wake = self.wake().filter(|_| !is_nothing);
        let is_later = wake.is_some() && self.armed <= wake && self.armed.is_some();
        if !is_later && wake != self.armed {
            let before = std::mem::replace(&mut self.armed, wake);
            timers.set(id, before, wake);
        }
        !is_nothing
    }

    /// Bytes of memory, roughly.
    pub(super) fn bytes(&self, id: &str) -> usize {
        const NODE: usize = 64;
        let classic = self.classic.as_ref().map_or(0, |classic| classic.bytes());
        let consumer = self.consumer.as_ref().map_or(0, |consumer| consumer.bytes());
        NODE + size_of::<Group>() + id.len() + classic + consumer + self.offsets.bytes()
    }
}

/// What a group's members consume.
pub(super) enum Subscription {
    /// Nobody consumes anything that the coordinator would know of.
    None,
    To(BTreeSet<Text>),
    /// They are consumers, but of what, the coordinator cannot say now.
    Unknown,
}

impl Subscription {
    /// True if `topic` may be among it.
    pub(super) fn may_have(&self, topic: &str) -> bool {
        match self {
            Subscription::None => false,
            Subscription::To(topics) => topics.contains(topic),
            Subscription::Unknown => true,
        }
    }
}
