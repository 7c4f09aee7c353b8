//! JoinGroup.

use super::super::request::Join;
use super::super::response::{JoinResponse, Joined, JoinedMember, Refusal, Response};
use super::super::{Blob, NEW_MEMBER_MS, Step, Text, Ticket, fits, new_id};
use super::member::{longest, protocols_bytes};
use super::{Classic, Member, State, Waiting};
use torc_base::limits::{GROUP_MEMBERS_MAX, GROUP_PROTOCOLS_MAX, MEMBER_METADATA_BYTES_MAX};

/// Bytes of a new member besides its names and what it says of itself, in memory and in the record.
const NEW_MEMBER_BYTES: usize = 512;

impl Classic {
    /// Lets somebody join. The answer may come at the end of the joining phase.
    pub(in super::super) fn join(&mut self, step: &mut Step<'_>, ticket: Ticket, join: Join) {
        let refuse = |step: &mut Step<'_>, member: Text, refusal| {
            step.answer(ticket, Response::Join(JoinResponse { member, result: Err(refusal) }));
        };
        if !self.has_room(step, &join.member) {
            self.remove(step, &join.member, Refusal::GroupMaxSizeReached);
            refuse(step, Text::default(), Refusal::GroupMaxSizeReached);
            return self.complete_join_if_due(step);
        }
        if !self.supports(&join.protocol_type, &join.protocols) {
            return refuse(step, join.member, Refusal::InconsistentGroupProtocol);
        }
        if is_too_large(&join) {
            return refuse(step, join.member, Refusal::InvalidRequest);
        }
        if !self.has_bytes_for(step, &join) {
            // Whoever was given an id is not waited for.
            self.pending.remove(&join.member);
            refuse(step, join.member, Refusal::GroupMaxSizeReached);
            return self.complete_join_if_due(step);
        }
        if join.member.is_empty() {
            return self.join_new(step, ticket, join);
        }
        if self.pending.contains_key(&join.member) && join.instance.is_none() {
            let id = join.member.clone();
            return self.add_and_rebalance(step, ticket, id, join);
        }
        match self.check_member(&join.member, join.instance.as_ref()) {
            Ok(()) => self.join_again(step, ticket, join),
            Err(refusal) => refuse(step, join.member, refusal),
        }
    }

    /// Whether the group has room for who joins as `id`.
    fn has_room(&self, step: &Step<'_>, id: &Text) -> bool {
        let most = step.settings.group_max_size.min(GROUP_MEMBERS_MAX);
        let is_member = self.members.contains_key(id);
        if !is_member && self.members.len() + self.pending.len() >= 2 * GROUP_MEMBERS_MAX {
            return false;
        }
        match self.state {
            State::Empty => true,
            // Who is first has the place. Members that have not come back are counted when they do.
            State::Preparing => self.members.get(id).is_some_and(|m| m.join != Waiting::No) || self.joined < most,
            State::Completing | State::Stable => is_member || self.members.len() < most,
        }
    }

    /// Whether the group's record, and the memory for it, have room for what a member says of itself. Who says no more than
    /// before stays, however much that is.
    fn has_bytes_for(&self, step: &Step<'_>, join: &Join) -> bool {
        let holder = join.instance.as_ref().and_then(|instance| self.instances.get(instance));
        let before = self.members.get(holder.unwrap_or(&join.member));
        let (memory, told) = before.map_or((0, 0), |m| (protocols_bytes(&m.protocols), longest(&m.protocols)));
        let names = join.instance.as_ref().map_or(0, |instance| instance.len()) + join.client_id.len();
        // Its id is made of these and a number.
        let own = if before.is_none() { 2 * names + join.client_host.len() + NEW_MEMBER_BYTES } else { 0 };
        let more_memory = (protocols_bytes(&join.protocols) + own).saturating_sub(memory);
        let more = (longest(&join.protocols) + own).saturating_sub(told);
        let kind = if self.protocol_type.is_none() { join.protocol_type.len() } else { 0 };
        (more_memory == 0 || fits(self.bytes + more_memory)) && (more == 0 || self.may_begin_with(step, kind + more))
    }

    fn join_new(&mut self, step: &mut Step<'_>, ticket: Ticket, join: Join) {
        if let Some(instance) = &join.instance {
            let id = new_id(instance, step.ids);
            return match self.instances.get(instance).cloned() {
                Some(old) => self.replace_instance(step, ticket, old, id, join),
                None => self.add_and_rebalance(step, ticket, id, join),
            };
        }
        let id = new_id(&join.client_id, step.ids);
        if !join.takes_id {
            return self.add_and_rebalance(step, ticket, id, join);
        }
        let until = step.now.mono.plus_ms(join.session_timeout.max(0) as u64);
        self.pending.insert(id.clone(), until);
        self.wake_at(until);
        step.answer(ticket, Response::Join(JoinResponse { member: id, result: Err(Refusal::MemberIdRequired) }));
    }

    fn add_and_rebalance(&mut self, step: &mut Step<'_>, ticket: Ticket, id: Text, join: Join) {
        let member = Member {
            instance: join.instance,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols.into(),
            assignment: Blob::default(),
            is_new: true,
            join: Waiting::For(ticket),
            sync: None,
            owes_sync: false,
            deadline: step.now.mono.plus_ms(NEW_MEMBER_MS),
        };
        self.newcomer |= self.state == State::Preparing && self.is_initial();
        self.add(id, member, &join.protocol_type);
        self.prepare_or_complete(step);
    }

    fn join_again(&mut self, step: &mut Step<'_>, ticket: Ticket, join: Join) {
        let same = self.members[&join.member].has_protocols(&join.protocols);
        match self.state {
            // Its answer was lost, or it wants to know who else is there.
            State::Completing if same => self.answer_current(step, ticket, &join.member, false),
            State::Stable if same && !self.is_leader(&join.member) => {
                self.answer_current(step, ticket, &join.member, false);
            }
            _ => {
                let id = join.member.clone();
                self.update(step, ticket, &id, join);
                self.prepare_or_complete(step);
            }
        }
    }

    /// Takes over what a member says of itself when it joins again; it waits for the end of the joining phase.
    fn update(&mut self, step: &mut Step<'_>, ticket: Ticket, id: &Text, join: Join) {
        let before = self.change(id, |member| {
            member.protocols = join.protocols.into();
            member.session_timeout = join.session_timeout;
            member.rebalance_timeout = join.rebalance_timeout;
            std::mem::replace(&mut member.join, Waiting::For(ticket))
        });
        if let Waiting::For(earlier) = before {
            let result = Err(Refusal::RebalanceInProgress);
            step.answer(earlier, Response::Join(JoinResponse { member: id.clone(), result }));
        }
    }

    /// The current generation, for a member that joins it again.
    fn answer_current(&mut self, step: &mut Step<'_>, ticket: Ticket, id: &Text, skip_assignment: bool) {
        self.touch(id, step.now.mono);
        let joined = self.generation_for(id, skip_assignment);
        step.answer(ticket, Response::Join(JoinResponse { member: id.clone(), result: Ok(joined) }));
    }

    /// What member `id` is told of the generation; only the leader is told of the others.
    pub(super) fn generation_for(&self, id: &Text, skip_assignment: bool) -> Joined {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let listed = |(id, member): (&Text, &Member)| JoinedMember {
            id: id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(protocol).cloned().unwrap_or_default(),
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment,
            members: if self.is_leader(id) { self.members.iter().map(listed).collect() } else { Vec::new() },
        }
    }

    /// A static member comes back without its id: it gets a new one, and the old one is fenced. In a stable group that
    /// is all, if the protocol stays: what was assigned to the instance stays with it.
    fn replace_instance(&mut self, step: &mut Step<'_>, ticket: Ticket, old: Text, id: Text, join: Join) {
        let old_leader = self.leader.clone();
        let was_leader = self.is_leader(&old);
        let mut member = self.take(&old).expect("an instance's member is a member");
        self.refuse_waiting(step, &old, &mut member, Refusal::FencedInstanceId);
        let protocol_type = join.protocol_type.clone();
        member.deadline = member.session_end(step.now.mono);
        member.is_new = false;
        self.add(id.clone(), member, &protocol_type);
        if was_leader {
            self.leader = Some(id.clone());
        }
        let skips = join.skips_assignment;
        self.update(step, ticket, &id, join);
        match self.state {
            State::Stable if self.select_protocol() == self.protocol && self.is_writable_with(step, 0) => {
                self.change(&id, |member| member.join = Waiting::No);
                self.touch(&id, step.now.mono);
                self.record(step);
                let leads = self.is_leader(&id);
                let mut joined = self.generation_for(&id, skips && leads);
                if !skips {
                    // It would assign if it knew that it leads, and nobody else takes part.
                    joined.leader = old_leader.unwrap_or_default();
                    joined.members.clear();
                }
                step.answer(ticket, Response::Join(JoinResponse { member: id, result: Ok(joined) }));
            }
            State::Stable | State::Completing => self.prepare(step),
            State::Preparing | State::Empty => self.complete_join_if_due(step),
        }
    }
}

/// True if a member says more of itself than any client has to.
pub(in super::super) fn is_too_large(join: &Join) -> bool {
    let metadata: usize = join.protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum();
    join.protocols.len() > GROUP_PROTOCOLS_MAX || metadata > MEMBER_METADATA_BYTES_MAX
}
