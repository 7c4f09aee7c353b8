//! Members of a consumer group that speak the classic protocol, while a group moves from one to the other. What they
//! are told in SyncGroup is what the coordinator has assigned; a generation is the member's epoch, and they are called
//! to join again whenever that is to change.

use super::super::embedded;
use super::super::record::{ClassicMember, MemberValue};
use super::super::request::{Heartbeat, Join, Leaver, Owned, Sync};
use super::super::response::{JoinResponse, Joined, LeaverResponse, Refusal, Response, Synced};
use super::super::{Blob, Step, Text, Ticket, fits, new_uuid};
use super::{Consumer, Member, MemberState};
use torc_base::limits::GROUP_MEMBERS_MAX;
use torc_base::time::Mono;

impl Member {
    pub(super) fn classic(&self) -> Option<&ClassicMember> {
        self.value.as_ref()?.classic.as_ref()
    }

    fn rebalance_end(&self, now: Mono) -> Mono {
        now.plus_ms(self.value.as_ref().map_or(0, |value| value.rebalance_timeout).max(0) as u64)
    }
}

impl Consumer {
    /// JoinGroup: answered at once, with the member's epoch for a generation.
    pub(in super::super) fn join(&mut self, step: &mut Step<'_>, ticket: Ticket, join: Join) {
        let mut member = join.member.clone();
        let result = self.try_join(step, &mut member, join);
        step.answer(ticket, Response::Join(JoinResponse { member, result }));
    }

    fn try_join(&mut self, step: &mut Step<'_>, id: &mut Text, join: Join) -> Result<Joined, Refusal> {
        let is_new = id.is_empty();
        let holder = join.instance.as_ref().and_then(|instance| self.instances.get(instance)).cloned();
        let most = step.settings.consumer_group_max_size.min(GROUP_MEMBERS_MAX);
        let is_full = self.members.len() >= most || !fits(self.bytes);
        if is_full && !self.members.contains_key(id) && holder.is_none() {
            return Err(Refusal::GroupMaxSizeReached);
        }
        let Some((protocol, metadata)) = join.protocols.first().cloned() else {
            return Err(Refusal::InconsistentGroupProtocol);
        };
        let subscription = embedded::subscription(&metadata).ok_or(Refusal::InconsistentGroupProtocol)?;
        if !self.supports(&join) || super::super::classic::is_too_large(&join) {
            return Err(Refusal::InconsistentGroupProtocol);
        }
        if is_new {
            *id = new_uuid(step.ids);
            if join.instance.is_none() && join.takes_id {
                return Err(Refusal::MemberIdRequired);
            }
        }
        let owned: Vec<Owned> = subscription
            .owned
            .iter()
            .filter_map(|(name, partitions)| Some((step.cluster.topic(name)?.id, partitions.clone())))
            .collect();
        let mut topics: Vec<Text> = subscription.topics.iter().map(|topic| Text::from(*topic)).collect();
        topics.sort();
        topics.dedup();
        let value = MemberValue {
            instance: join.instance,
            rack: subscription.rack.map(Text::from),
            client_id: join.client_id,
            client_host: join.client_host,
            topics,
            regex: None,
            rebalance_timeout: join.rebalance_timeout,
            assignor: None,
            classic: Some(ClassicMember { session_timeout: join.session_timeout, protocols: join.protocols }),
        };
        self.check_fits(step, id, &value)?;
        match holder {
            Some(old) if old != *id && is_new => self.hand_over(step, &old, id),
            Some(old) if old != *id => return Err(Refusal::FencedInstanceId),
            None if value.instance.is_some() && !is_new => return Err(Refusal::UnknownMemberId),
            _ => {}
        }
        let before = self.members.get(id).and_then(|member| member.value.as_ref());
        let value = Some(value).filter(|value| before != Some(value));
        self.take_in(step, id, value, Some(&owned));
        let now = step.now.mono;
        let member = self.members.get_mut(id).expect("was taken in");
        member.rejoin_by = None;
        member.sync_by = Some(member.rebalance_end(now));
        self.wake_for(id);
        Ok(Joined {
            generation: self.current(id).expect("was reconciled").epoch,
            protocol_type: Some(embedded::PROTOCOL_TYPE.into()),
            protocol: Some(protocol),
            leader: Text::default(),
            skip_assignment: false,
            members: Vec::new(),
        })
    }

    /// True if the classic members have a protocol in common with this one.
    fn supports(&self, join: &Join) -> bool {
        if *join.protocol_type != *embedded::PROTOCOL_TYPE {
            return false;
        }
        let others: Vec<&ClassicMember> = self.members.values().filter_map(Member::classic).collect();
        let knows = |other: &ClassicMember, name: &Text| other.protocols.iter().any(|(known, _)| known == name);
        let is_common = |name: &Text| others.iter().all(|other| knows(other, name));
        others.is_empty() || join.protocols.iter().any(|(name, _)| is_common(name))
    }

    /// SyncGroup: what is assigned to the member now.
    pub(in super::super) fn sync(&mut self, step: &mut Step<'_>, sync: &Sync) -> Result<Synced, Refusal> {
        let classic = self.classic_member(&sync.member, sync.instance.as_ref(), sync.generation)?;
        let (protocol, metadata) = classic.protocols.first().cloned().ok_or(Refusal::UnknownMemberId)?;
        let is_other = |theirs: &Option<Text>, ours: &str| theirs.as_ref().is_some_and(|theirs| **theirs != *ours);
        if is_other(&sync.protocol_type, embedded::PROTOCOL_TYPE) || is_other(&sync.protocol, &protocol) {
            return Err(Refusal::InconsistentGroupProtocol);
        }
        let current = self.current(&sync.member).expect("was checked");
        if self.epoch() > current.epoch && current.state != MemberState::Revoking {
            self.call(step, &sync.member);
            return Err(Refusal::RebalanceInProgress);
        }
        let assignment = self.assignment(step, &sync.member, &metadata);
        self.touch(step, &sync.member);
        if let Some(member) = self.members.get_mut(&sync.member) {
            member.sync_by = None;
        }
        Ok(Synced { protocol_type: Some(embedded::PROTOCOL_TYPE.into()), protocol: Some(protocol), assignment })
    }

    /// What is assigned to a member, as the client wants to read it.
    fn assignment(&self, step: &Step<'_>, id: &Text, metadata: &[u8]) -> Blob {
        let current = self.current(id).expect("a member of the group");
        let mut topics: Vec<(Text, Vec<i32>)> = Vec::new();
        for topic in current.assigned.to_record() {
            if let Some(info) = step.cluster.topic_by_id(topic.topic) {
                topics.push((info.name, topic.partitions));
            }
        }
        embedded::assignment(metadata, &topics)
    }

    /// Heartbeat: tells a member to join again when its epoch or its partitions are to change.
    pub(in super::super) fn classic_heartbeat(&mut self, step: &Step<'_>, beat: &Heartbeat) -> Result<(), Refusal> {
        self.classic_member(&beat.member, beat.instance.as_ref(), beat.generation)?;
        self.touch(step, &beat.member);
        let current = self.current(&beat.member).expect("was checked");
        let has_more = current.state == MemberState::Waiting && self.next_current(&beat.member, Some(&[])).is_some();
        if current.epoch < self.epoch() || current.state == MemberState::Revoking || has_more {
            self.call(step, &beat.member);
            return Err(Refusal::RebalanceInProgress);
        }
        Ok(())
    }

    /// A member has to join again within its rebalance timeout.
    fn call(&mut self, step: &Step<'_>, id: &Text) {
        let now = step.now.mono;
        if let Some(member) = self.members.get_mut(id) {
            member.rejoin_by = Some(member.rejoin_by.unwrap_or_else(|| member.rebalance_end(now)));
        }
        self.wake_for(id);
    }

    fn classic_member(&self, id: &Text, instance: Option<&Text>, generation: i32) -> Result<&ClassicMember, Refusal> {
        if let Some(instance) = instance {
            let owner = self.instances.get(instance).ok_or(Refusal::UnknownMemberId)?;
            if owner != id {
                return Err(Refusal::FencedInstanceId);
            }
        }
        let member = self.members.get(id).ok_or(Refusal::UnknownMemberId)?;
        let classic = member.classic().ok_or(Refusal::UnknownMemberId)?;
        let is_current = member.current.as_ref().is_some_and(|current| current.epoch == generation);
        if is_current { Ok(classic) } else { Err(Refusal::IllegalGeneration) }
    }

    /// LeaveGroup: of a member that goes, or from an administrator, who may remove any, of either protocol.
    pub(in super::super) fn classic_leave(&mut self, step: &mut Step<'_>, leavers: Vec<Leaver>) -> Vec<LeaverResponse> {
        let mut gone = Vec::new();
        let mut responses = Vec::with_capacity(leavers.len());
        for leaver in leavers {
            // Named twice, it leaves once.
            let id = self
                .leaving(&leaver)
                .and_then(|id| if gone.contains(&id) { Err(Refusal::UnknownMemberId) } else { Ok(id) });
            let result = id.map(|id| gone.push(id));
            responses.push(LeaverResponse { member: leaver.member, instance: leaver.instance, result });
        }
        self.remove(step, &gone);
        responses
    }

    fn leaving(&self, leaver: &Leaver) -> Result<Text, Refusal> {
        let id = match &leaver.instance {
            None => leaver.member.clone(),
            Some(instance) => {
                let owner = self.instances.get(instance).ok_or(Refusal::UnknownMemberId)?;
                if !leaver.member.is_empty() && *owner != leaver.member {
                    return Err(Refusal::FencedInstanceId);
                }
                owner.clone()
            }
        };
        if self.members.contains_key(&id) { Ok(id) } else { Err(Refusal::UnknownMemberId) }
    }
}
