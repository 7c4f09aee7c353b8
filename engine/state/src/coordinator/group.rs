//! One group: who is in it, by whichever protocol, and what it has committed.

use super::classic::Classic;
use super::offsets::Offsets;
use super::response::{GroupState, GroupType};
use super::{Text, min_some};
use std::collections::BTreeSet;
use torc_base::time::Mono;

/// A group. Without members, and without a record of its own, it is a name under which somebody commits offsets.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) classic: Option<Box<Classic>>,
    pub(super) offsets: Offsets,
    /// When its timer is set for.
    pub(super) armed: Option<Mono>,
    /// What it was last counted with.
    pub(super) counted: usize,
}

impl Group {
    /// True if the log says nothing of the group, and nobody is about to join it.
    pub(super) fn is_nothing(&self) -> bool {
        self.offsets.is_empty() && self.classic.as_ref().is_none_or(|classic| classic.is_nothing())
    }

    /// True if nobody is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.classic.as_ref().is_none_or(|classic| classic.is_empty())
    }

    pub(super) fn state(&self) -> GroupState {
        self.classic.as_ref().map_or(GroupState::Empty, |classic| classic.state())
    }

    pub(super) fn kind(&self) -> GroupType {
        GroupType::Classic
    }

    /// Kafka's word for what its members are; empty if it never had any.
    pub(super) fn protocol_type(&self) -> Text {
        self.classic.as_ref().and_then(|classic| classic.protocol_type()).cloned().unwrap_or_default()
    }

    /// The topics that its members consume.
    pub(super) fn subscription(&self) -> Subscription {
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
        min_some(classic, None).filter(|wake| *wake < Mono(u64::MAX))
    }

    /// Bytes of memory, roughly.
    pub(super) fn bytes(&self, id: &str) -> usize {
        const NODE: usize = 64;
        let classic = self.classic.as_ref().map_or(0, |classic| classic.bytes());
        NODE + size_of::<Group>() + id.len() + classic + self.offsets.bytes()
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
