//! SyncGroup and Heartbeat.

use super::super::request::{Heartbeat, Sync};
use super::super::response::{Refusal, Response, Synced};
use super::super::{Blob, Step, Text, Ticket, fits};
use super::{Classic, State};
use std::collections::BTreeMap;

impl Classic {
    /// Gives a member its assignment; the leader brings those of all. Who comes before the leader waits for it.
    pub(in super::super) fn sync(&mut self, step: &mut Step<'_>, ticket: Ticket, sync: Sync) {
        if let Err(refusal) = self.check_sync(&sync) {
            return step.answer(ticket, Response::Sync(Err(refusal)));
        }
        let id = &sync.member;
        self.touch(id, step.now.mono);
        let member = self.members.get_mut(id).expect("was checked");
        member.owes_sync = false;
        match self.state {
            State::Completing => {
                if let Some(earlier) = member.sync.replace(ticket) {
                    step.answer(earlier, Response::Sync(Err(Refusal::RebalanceInProgress)));
                }
                if self.is_leader(id) {
                    self.assign(step, sync.assignments);
                }
            }
            State::Stable => self.answer_sync(step, ticket, id),
            State::Preparing | State::Empty => unreachable!("was checked"),
        }
        self.end_sync_timer();
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), Refusal> {
        self.check_member(&sync.member, sync.instance.as_ref())?;
        let differs = |theirs: &Option<Text>, ours: &Option<Text>| theirs.is_some() && ours.is_some() && theirs != ours;
        if sync.generation != self.generation {
            Err(Refusal::IllegalGeneration)
        } else if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            Err(Refusal::InconsistentGroupProtocol)
        } else if self.state == State::Preparing {
            Err(Refusal::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    fn end_sync_timer(&mut self) {
        if self.members.values().all(|member| !member.owes_sync) {
            self.sync = None;
        }
    }

    fn assign(&mut self, step: &mut Step<'_>, assignments: Vec<(Text, Blob)>) {
        let mut assignments: BTreeMap<Text, Blob> = assignments.into_iter().collect();
        assignments.retain(|id, _| self.members.contains_key(id));
        let bytes: usize = assignments.values().map(|assignment| assignment.len()).sum();
        if !fits(self.bytes + bytes) || !self.is_writable_with(step, bytes) {
            self.refuse_syncs(step, Refusal::UnknownServerError);
            return self.prepare(step);
        }
        for (id, assignment) in assignments {
            self.change(&id, |member| member.assignment = assignment);
        }
        self.state = State::Stable;
        self.since = step.now.wall;
        self.record(step);
        let waiting: Vec<Text> =
            self.members.iter().filter(|(_, m)| m.sync.is_some()).map(|(id, _)| id.clone()).collect();
        for id in waiting {
            let ticket = self.members.get_mut(&id).and_then(|member| member.sync.take()).expect("waits");
            self.answer_sync(step, ticket, &id);
        }
    }

    fn answer_sync(&mut self, step: &mut Step<'_>, ticket: Ticket, id: &Text) {
        self.touch(id, step.now.mono);
        let synced = Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members[id].assignment.clone(),
        };
        step.answer(ticket, Response::Sync(Ok(synced)));
    }

    /// Hears of a member, and tells it if it has to join again.
    pub(in super::super) fn heartbeat(&mut self, step: &Step<'_>, heartbeat: &Heartbeat) -> Result<(), Refusal> {
        self.check_member(&heartbeat.member, heartbeat.instance.as_ref())?;
        if heartbeat.generation != self.generation {
            return Err(Refusal::IllegalGeneration);
        }
        self.touch(&heartbeat.member, step.now.mono);
        if self.state == State::Preparing { Err(Refusal::RebalanceInProgress) } else { Ok(()) }
    }

    /// A member has committed offsets: it is alive.
    pub(in super::super) fn committed(&mut self, step: &Step<'_>, member: &Text) {
        self.touch(member, step.now.mono);
    }
}
