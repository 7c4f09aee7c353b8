//! A classic group from its last record.

use super::super::record::{GroupValue, Protocols};
use super::super::{Step, Text};
use super::{Classic, Member, State, Waiting};
use torc_base::limits::GROUP_MEMBERS_MAX;
use torc_base::time::Mono;

impl Classic {
    /// The group that `value` says. Its timers do not run before [`Classic::start`].
    pub(in super::super) fn replay(value: &GroupValue) -> Classic {
        let mut group = Classic::new();
        group.recorded = true;
        group.generation = value.generation;
        group.protocol.clone_from(&value.protocol);
        group.since = value.since;
        let protocol = value.protocol.clone().unwrap_or_default();
        for member in &value.members {
            let is_known = member.instance.as_ref().is_some_and(|instance| group.instances.contains_key(instance));
            if is_known || group.members.contains_key(&member.id) {
                // Not of our making. The first of each stays.
                continue;
            }
            let session_timeout = member.session_timeout;
            let of_record = Member {
                instance: member.instance.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session_timeout,
                rebalance_timeout: if member.rebalance_timeout < 0 {
                    session_timeout
                } else {
                    member.rebalance_timeout
                },
                protocols: [(protocol.clone(), member.subscription.clone())].into(),
                assignment: member.assignment.clone(),
                is_new: false,
                join: Waiting::No,
                sync: None,
                owes_sync: false,
                deadline: Mono(u64::MAX),
            };
            group.add(member.id.clone(), of_record, &value.protocol_type);
        }
        group.protocol_type = Some(value.protocol_type.clone()).filter(|kind| !kind.is_empty());
        group.leader.clone_from(&value.leader);
        group.state = match () {
            () if group.members.is_empty() => State::Empty,
            () if group.members.values().all(|member| member.assignment.is_empty()) => State::Completing,
            () => State::Stable,
        };
        group
    }

    /// The group that `value` says, whose members have these protocols.
    pub(in super::super) fn with_protocols(value: &GroupValue, protocols: Vec<(Text, Protocols)>) -> Classic {
        let mut group = Classic::replay(value);
        for (id, protocols) in protocols {
            group.change(&id, |member| member.protocols = protocols.into());
        }
        group
    }

    /// The group has been made of one of the other protocol: it is written down, and its members rebalance.
    pub(in super::super) fn take_over(&mut self, step: &mut Step<'_>) {
        self.record(step);
        self.start(step);
        self.prepare_or_complete(step);
        self.rewind();
    }

    /// The coordinator answers from now on: sessions begin anew.
    pub(in super::super) fn start(&mut self, step: &mut Step<'_>) {
        let now = step.now.mono;
        for member in self.members.values_mut() {
            member.deadline = member.session_end(now);
            member.owes_sync = self.state == State::Completing;
        }
        if self.state == State::Completing {
            self.sync = Some(now.plus_ms(self.rebalance_timeout()));
        }
        if self.members.len() > step.settings.group_max_size.min(GROUP_MEMBERS_MAX) || !self.may_begin_with(step, 0) {
            // Everybody may commit before the last ones find no place.
            self.prepare(step);
        }
        self.rewind();
    }
}
