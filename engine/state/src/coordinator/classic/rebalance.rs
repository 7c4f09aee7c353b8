//! From one generation to the next: the joining phase, its end, and what time does to members.

use super::super::record::{GroupMember, GroupValue, Record};
use super::super::response::{JoinResponse, Refusal, Response};
use super::super::{Blob, Step, Text, Ticket};
use super::{Classic, JoinTimer, Member, State, Waiting};

/// Milliseconds, at least, after which a joining phase to which nobody came is looked at again.
const RETRY_MS: u64 = 1_000;

impl Classic {
    /// Begins a rebalance, or ends the one under way if nobody is missing.
    pub(super) fn prepare_or_complete(&mut self, step: &mut Step<'_>) {
        if self.state == State::Preparing { self.complete_join_if_due(step) } else { self.prepare(step) }
    }

    /// Ends the joining phase if nobody is missing. A group that was empty waits for newcomers nevertheless.
    pub(super) fn complete_join_if_due(&mut self, step: &mut Step<'_>) {
        let waits = self.is_initial() && !self.members.is_empty();
        if self.state == State::Preparing && !waits && self.all_joined() {
            self.complete_join(step);
        }
    }

    /// Begins the joining phase.
    pub(super) fn prepare(&mut self, step: &mut Step<'_>) {
        if self.state == State::Completing {
            self.refuse_syncs(step, Refusal::RebalanceInProgress);
        }
        self.sync = None;
        self.members.values_mut().for_each(|member| member.owes_sync = false);
        let was_empty = self.state == State::Empty;
        self.enter(State::Preparing, step);
        if !was_empty {
            if self.all_joined() {
                return self.complete_join(step);
            }
            return self.end_joining_at(step, self.rebalance_timeout(), None);
        }
        let delay = u64::from(step.settings.initial_rebalance_delay_ms);
        if delay == 0 {
            return self.complete_join(step);
        }
        self.newcomer = false;
        self.end_joining_at(step, delay, Some(self.rebalance_timeout().saturating_sub(delay)));
    }

    fn end_joining_at(&mut self, step: &Step<'_>, ms: u64, initial: Option<u64>) {
        let at = step.now.mono.plus_ms(ms);
        self.join = Some(JoinTimer { at, initial });
        self.wake_at(at);
    }

    fn enter(&mut self, state: State, step: &Step<'_>) {
        self.state = state;
        self.since = step.now.wall;
    }

    /// Ends the joining phase with those that are there.
    pub(super) fn complete_join(&mut self, step: &mut Step<'_>) {
        self.join = None;
        self.newcomer = false;
        let late = |(_, m): &(&Text, &Member)| m.join == Waiting::No && m.instance.is_none();
        let late: Vec<Text> = self.members.iter().filter(late).map(|(id, _)| id.clone()).collect();
        for id in late {
            self.remove(step, &id, Refusal::UnknownMemberId);
        }
        self.leave_out_what_does_not_fit(step);
        if !self.members.is_empty() && !self.elect() {
            // Nobody came but static members that may still be on their way.
            return self.end_joining_at(step, self.rebalance_timeout().max(RETRY_MS), None);
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.members.values_mut().for_each(|member| member.is_new = false);
        self.reset_assignments();
        if self.members.is_empty() {
            self.protocol = None;
            self.leader = None;
            self.enter(State::Empty, step);
            return self.record(step);
        }
        self.protocol = self.select_protocol();
        assert!(self.protocol.is_some(), "members of one group have a protocol in common");
        self.enter(State::Completing, step);
        self.record(step);
        let sync = step.now.mono.plus_ms(self.rebalance_timeout());
        self.sync = Some(sync);
        self.wake_at(sync);
        let ids: Vec<Text> = self.members.keys().cloned().collect();
        for id in ids {
            self.touch(&id, step.now.mono);
            let member = self.members.get_mut(&id).expect("one of the members");
            member.owes_sync = true;
            let join = std::mem::replace(&mut member.join, Waiting::No);
            self.joined -= usize::from(join != Waiting::No);
            if let Waiting::For(ticket) = join {
                let result = Ok(self.generation_for(&id, false));
                step.answer(ticket, Response::Join(JoinResponse { member: id, result }));
            }
        }
        assert_eq!(self.joined, 0, "whoever joined has been answered");
    }

    /// Who joins fits in, one by one. A group that was written where records may be longer has to let members go.
    fn leave_out_what_does_not_fit(&mut self, step: &mut Step<'_>) {
        while !self.may_begin_with(step, 0)
            && let Some(id) = self.members.keys().next_back().cloned()
        {
            self.remove(step, &id, Refusal::GroupMaxSizeReached);
        }
    }

    /// Makes sure that the leader is somebody who joined; false if nobody has.
    fn elect(&mut self) -> bool {
        let has_joined = |id: &Text| self.members.get(id).is_some_and(|member| member.join != Waiting::No);
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let next = self.members.keys().find(|id| has_joined(id)).cloned();
        if next.is_none() {
            return false;
        }
        self.leader = next;
        true
    }

    pub(super) fn reset_assignments(&mut self) {
        let ids: Vec<Text> =
            self.members.iter().filter(|(_, m)| !m.assignment.is_empty()).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.change(&id, |member| member.assignment = Blob::default());
        }
    }

    /// Refuses all SyncGroups that wait.
    pub(super) fn refuse_syncs(&mut self, step: &mut Step<'_>, refusal: Refusal) {
        let waiting: Vec<Text> =
            self.members.iter().filter(|(_, m)| m.sync.is_some()).map(|(id, _)| id.clone()).collect();
        for id in waiting {
            let member = self.members.get_mut(&id).expect("one of the members");
            let ticket = member.sync.take().expect("waits");
            step.answer(ticket, Response::Sync(Err(refusal)));
            self.touch(&id, step.now.mono);
        }
    }

    /// Refuses what a member that is not part of the group any more waits for.
    pub(super) fn refuse_waiting(&self, step: &mut Step<'_>, id: &Text, member: &mut Member, refusal: Refusal) {
        if let Waiting::For(ticket) = std::mem::replace(&mut member.join, Waiting::No) {
            step.answer(ticket, Response::Join(JoinResponse { member: id.clone(), result: Err(refusal) }));
        }
        if let Some(ticket) = member.sync.take() {
            step.answer(ticket, Response::Sync(Err(refusal)));
        }
    }

    /// Refuses all that members wait for: they are to join a group of the other protocol.
    pub(in super::super) fn dismiss(&mut self, step: &mut Step<'_>) {
        let ids: Vec<Text> = self.members.keys().cloned().collect();
        for id in ids {
            let mut member = self.take(&id).expect("one of the members");
            self.refuse_waiting(step, &id, &mut member, Refusal::RebalanceInProgress);
        }
    }

    /// Removes a member or a pending one; what it waits for is refused. True if it was there.
    pub(super) fn remove(&mut self, step: &mut Step<'_>, id: &Text, refusal: Refusal) -> bool {
        let was_pending = self.pending.remove(id).is_some();
        let Some(mut member) = self.take(id) else { return was_pending };
        self.refuse_waiting(step, id, &mut member, refusal);
        true
    }

    /// After members have gone.
    pub(super) fn settle(&mut self, step: &mut Step<'_>) {
        match self.state {
            State::Stable | State::Completing => self.prepare(step),
            State::Preparing => self.complete_join_if_due(step),
            State::Empty => {}
        }
    }

    /// Does what is due.
    pub(in super::super) fn tick(&mut self, step: &mut Step<'_>) {
        let now = step.now.mono;
        if now < self.wake {
            return;
        }
        self.pending.retain(|_, until| *until > now);
        let silent = |(_, m): &(&Text, &Member)| m.deadline <= now;
        let due: Vec<Text> = self.members.iter().filter(silent).map(|(id, _)| id.clone()).collect();
        let mut gone = false;
        for id in due {
            if self.members[&id].is_excused() {
                self.touch(&id, now);
            } else {
                gone |= self.remove(step, &id, Refusal::UnknownMemberId);
            }
        }
        if gone || self.state == State::Preparing {
            // Also when those were waited for that had been given an id.
            if gone { self.settle(step) } else { self.complete_join_if_due(step) }
        }
        if let Some(join) = self.join.filter(|join| join.at <= now) {
            self.join_time_is_up(step, join);
        }
        if self.sync.is_some_and(|at| at <= now) {
            self.sync_time_is_up(step);
        }
        self.rewind();
    }

    fn join_time_is_up(&mut self, step: &mut Step<'_>, join: JoinTimer) {
        assert!(self.state == State::Preparing, "only the joining phase has such a timer");
        match join.initial {
            Some(left) if self.newcomer && left > 0 => {
                self.newcomer = false;
                let delay = u64::from(step.settings.initial_rebalance_delay_ms).min(left);
                self.end_joining_at(step, delay, Some(left - delay));
            }
            _ => self.complete_join(step),
        }
    }

    fn sync_time_is_up(&mut self, step: &mut Step<'_>) {
        self.sync = None;
        let owing: Vec<Text> = self.members.iter().filter(|(_, m)| m.owes_sync).map(|(id, _)| id.clone()).collect();
        for id in &owing {
            self.remove(step, id, Refusal::UnknownMemberId);
        }
        if !owing.is_empty() {
            self.settle(step);
        }
    }

    /// The client that waited with `ticket` has gone. `knows_id` is false if it was still to be told its id.
    pub(in super::super) fn cancel(&mut self, step: &mut Step<'_>, ticket: Ticket, knows_id: bool) {
        let waits = |m: &Member| m.sync == Some(ticket) || m.join == Waiting::For(ticket);
        let Some(id) = self.members.iter().find(|(_, m)| waits(m)).map(|(id, _)| id.clone()) else { return };
        let member = self.members.get_mut(&id).expect("was found");
        if member.sync == Some(ticket) {
            member.sync = None;
        } else if !knows_id && member.is_new && member.instance.is_none() {
            // Nobody will ever come back with this id.
            member.join = Waiting::Gone;
            self.remove(step, &id, Refusal::UnknownMemberId);
            return self.settle(step);
        } else {
            member.join = Waiting::Gone;
        }
        self.touch(&id, step.now.mono);
    }

    /// The requests that wait for an answer.
    #[cfg(test)]
    pub(in super::super) fn tickets(&self) -> impl Iterator<Item = Ticket> {
        let join = |member: &Member| if let Waiting::For(ticket) = member.join { Some(ticket) } else { None };
        self.members.values().flat_map(move |member| join(member).into_iter().chain(member.sync))
    }

    /// Writes the group down as it is now.
    pub(super) fn record(&mut self, step: &mut Step<'_>) {
        self.recorded = true;
        step.record(Record::Group { group: step.group.clone(), value: Some(self.value()) });
    }

    /// What the log says of the group in this state. While it prepares a rebalance the log has its last generation.
    pub(in super::super) fn value(&self) -> GroupValue {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |(id, member): (&Text, &Member)| GroupMember {
            id: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout,
            session_timeout: member.session_timeout,
            subscription: member.metadata(protocol).cloned().unwrap_or_default(),
            assignment: member.assignment.clone(),
        };
        GroupValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since: self.since,
            members: self.members.iter().map(member).collect(),
        }
    }

    /// The group is new: it is written down, though nobody is in it yet.
    pub(in super::super) fn record_new(&mut self, step: &mut Step<'_>) {
        assert!(self.state == State::Empty && self.generation == 0, "only a new group is");
        self.since = step.now.wall;
        self.record(step);
    }
}
