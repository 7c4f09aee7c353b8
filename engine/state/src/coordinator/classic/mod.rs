//! A group of the classic protocol: members join, one of them assigns, all are told. The coordinator neither knows nor
//! cares what is assigned.
//!
//! ```text
//!           first join            all joined, or time is up         the leader's SyncGroup
//! Empty ───────────────► Preparing ─────────────────────► Completing ────────────────────► Stable
//!   ▲                     │   ▲                              │ │                             │
//!   └─────────────────────┘   └──────────────────────────────┘ └─ a member joins or goes ────┘
//!     nobody is left
//! ```
//!
//! A generation is written down when its members are told of it, before any of them assigns: a generation is never
//! given twice, and a coordinator that is loaded in the middle of a rebalance goes on with it. Such a record is known
//! by its assignments, which are all empty.

mod join;
mod leave;
mod member;
mod rebalance;
mod replay;
mod sync;

pub(super) use join::is_too_large;
pub(super) use member::{Member, Waiting};

use super::embedded;
use super::response::{GroupState, Refusal};
use super::{Blob, Step, Text, min_some};
use std::collections::{BTreeMap, BTreeSet};
use torc_base::time::{Mono, Wall};

/// Where the group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Empty,
    /// Members are called to join again.
    Preparing,
    /// All are told of the new generation; the leader assigns.
    Completing,
    Stable,
}

/// When the joining phase ends.
#[derive(Clone, Copy, Debug)]
struct JoinTimer {
    at: Mono,
    /// Of a group that was empty: milliseconds by which newcomers may still put off the end.
    initial: Option<u64>,
}

/// The group. Members that only have been given an id are pending.
#[derive(Debug)]
pub(super) struct Classic {
    state: State,
    generation: i32,
    protocol_type: Option<Text>,
    protocol: Option<Text>,
    leader: Option<Text>,
    since: Wall,
    members: BTreeMap<Text, Member>,
    /// Instance ids and the members that stand for them.
    instances: BTreeMap<Text, Text>,
    /// By how many members each protocol is supported.
    support: BTreeMap<Text, u32>,
    /// Members that wait for the end of the joining phase.
    joined: usize,
    /// Ids that were given, and until when.
    pending: BTreeMap<Text, Mono>,
    join: Option<JoinTimer>,
    newcomer: bool,
    /// When those are removed that have not synced.
    sync: Option<Mono>,
    /// The log has a value for the group.
    recorded: bool,
    /// Not later than the next thing that is due.
    wake: Mono,
    bytes: usize,
    /// Bytes that members take in the group's record at most, whichever protocol is chosen, without what is assigned to them;
    /// and bytes of that.
    told: usize,
    assigned: usize,
}

impl Classic {
    /// A group that nobody has joined.
    pub(super) fn new() -> Classic {
        Classic {
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            since: Wall(-1),
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            support: BTreeMap::new(),
            joined: 0,
            pending: BTreeMap::new(),
            join: None,
            newcomer: false,
            sync: None,
            recorded: false,
            wake: Mono(u64::MAX),
            bytes: 0,
            told: 0,
            assigned: 0,
        }
    }

    pub(super) fn state(&self) -> GroupState {
        match self.state {
            State::Empty => GroupState::Empty,
            State::Preparing => GroupState::PreparingRebalance,
            State::Completing => GroupState::CompletingRebalance,
            State::Stable => GroupState::Stable,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// True if nothing is lost with the group: the log has no value for it, and nobody is about to join.
    pub(super) fn is_nothing(&self) -> bool {
        !self.recorded && self.is_empty() && self.pending.is_empty()
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.recorded
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn generation(&self) -> i32 {
        self.generation
    }

    pub(super) fn protocol_type(&self) -> Option<&Text> {
        self.protocol_type.as_ref()
    }

    pub(super) fn protocol(&self) -> Option<&Text> {
        self.protocol.as_ref()
    }

    /// When the group came into its state; -1 if unknown.
    pub(super) fn since(&self) -> Wall {
        self.since
    }

    pub(super) fn members(&self) -> &BTreeMap<Text, Member> {
        &self.members
    }

    /// True if the metadata and assignments of members are those of Kafka's consumers.
    pub(super) fn has_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(embedded::PROTOCOL_TYPE)
    }

    /// The topics that the members consume; `None` if the coordinator cannot know.
    pub(super) fn subscribed(&self) -> Option<BTreeSet<Text>> {
        if !self.has_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_ref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(embedded::subscribed_topics(member.metadata(protocol)?)?.into_iter().map(Text::from));
        }
        Some(topics)
    }

    /// Bytes of memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        const PENDING: usize = 96;
        size_of::<Classic>() + self.bytes + self.pending.len() * PENDING
    }

    /// True if the log takes the group's record, were members to say so many bytes more of themselves, or to be assigned so many.
    pub(super) fn is_writable_with(&self, step: &Step<'_>, more: usize) -> bool {
        let kind = self.protocol_type.as_ref().map_or(0, |kind| kind.len());
        step.fits(kind + self.told + self.assigned + more)
    }

    /// The same of the record that begins the next generation: nothing is assigned yet.
    fn may_begin_with(&self, step: &Step<'_>, more: usize) -> bool {
        let kind = self.protocol_type.as_ref().map_or(0, |kind| kind.len());
        step.fits(kind + self.told + more)
    }

    /// Not later than the next thing that is due.
    pub(super) fn wake(&self) -> Mono {
        self.wake
    }

    /// Finds when the next thing is due.
    fn rewind(&mut self) {
        let deadlines = self.members.values().map(|member| member.deadline);
        let next = deadlines.chain(self.pending.values().copied()).min();
        let next = min_some(next, min_some(self.join.map(|join| join.at), self.sync));
        self.wake = next.unwrap_or(Mono(u64::MAX));
    }

    fn wake_at(&mut self, at: Mono) {
        self.wake = self.wake.min(at);
    }

    fn is_leader(&self, member: &Text) -> bool {
        self.leader.as_ref() == Some(member)
    }

    /// Milliseconds that the slowest member wants for a rebalance.
    fn rebalance_timeout(&self) -> u64 {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or(0).max(0) as u64
    }

    fn all_joined(&self) -> bool {
        self.joined == self.members.len() && self.pending.is_empty()
    }

    fn is_initial(&self) -> bool {
        self.join.is_some_and(|join| join.initial.is_some())
    }

    /// True if a member with these protocols can be part of the group.
    fn supports(&self, protocol_type: &str, protocols: &[(Text, Blob)]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let by_all = |name: &Text| self.support.get(name).map_or(0, |n| *n as usize) == self.members.len();
        self.protocol_type.as_deref() == Some(protocol_type) && protocols.iter().any(|(name, _)| by_all(name))
    }

    /// The protocol that most members prefer of those that all support.
    fn select_protocol(&self) -> Option<Text> {
        let by_all = |name: &Text| self.support.get(name).map_or(0, |n| *n as usize) == self.members.len();
        let mut votes: BTreeMap<&Text, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| by_all(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        // Of equals the first by name.
        votes.into_iter().rev().max_by_key(|(_, votes)| *votes).map(|(name, _)| name.clone())
    }

    /// Who sends a request must be a member, and the one that stands for its instance.
    pub(super) fn check_member(&self, member: &Text, instance: Option<&Text>) -> Result<(), Refusal> {
        if let Some(instance) = instance {
            let owner = self.instances.get(instance).ok_or(Refusal::UnknownMemberId)?;
            if owner != member {
                return Err(Refusal::FencedInstanceId);
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(Refusal::UnknownMemberId) }
    }

    /// Whether offsets may be committed, as Kafka decides it.
    pub(super) fn check_commit(&self, member: &Text, instance: Option<&Text>, generation: i32) -> Result<(), Refusal> {
        if generation < 0 && self.is_empty() {
            // A consumer that manages its partitions itself, or an administrator.
            return Ok(());
        }
        if generation < 0 && member.is_empty() && instance.is_none() {
            return Err(Refusal::UnknownMemberId);
        }
        self.check_member(member, instance)?;
        if generation != self.generation {
            return Err(Refusal::IllegalGeneration);
        }
        // Partitions are on their way to others.
        if self.state == State::Completing { Err(Refusal::RebalanceInProgress) } else { Ok(()) }
    }
}
