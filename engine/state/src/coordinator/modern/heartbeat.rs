//! ConsumerGroupHeartbeat of a member that joins or stays.

use super::super::classic::Classic;
use super::super::group::Group;
use super::super::record::{MemberValue, Record};
use super::super::request::{ConsumerHeartbeat, Owned};
use super::super::response::{ConsumerBeat, Refusal};
use super::super::{CoordinatorSettings, Step, Text, fits, new_uuid};
use super::subscription::{are_written, compile, matched};
use super::{Consumer, Current, Held, LEAVES_FOR_A_WHILE, MemberState, session_timeout};
use torc_base::limits::GROUP_MEMBERS_MAX;
use torc_base::time::Mono;

/// What can be said of a heartbeat without knowing the group.
pub(in super::super) fn check_heartbeat(
    beat: &ConsumerHeartbeat,
    settings: &CoordinatorSettings,
) -> Result<(), Refusal> {
    if beat.flaw().is_some() {
        return Err(Refusal::InvalidRequest);
    }
    if beat.assignor.as_ref().is_some_and(|name| !settings.consumer_assignors.contains(name)) {
        return Err(Refusal::UnsupportedAssignor);
    }
    match beat.regex.as_deref().filter(|pattern| !pattern.is_empty()) {
        Some(pattern) => compile(pattern).map(drop),
        None => Ok(()),
    }
}

impl Group {
    /// Hears of a member of the consumer protocol, or of one that wants to be.
    pub(in super::super) fn consumer_heartbeat(
        &mut self,
        step: &mut Step<'_>,
        beat: &ConsumerHeartbeat,
    ) -> Result<ConsumerBeat, Refusal> {
        if beat.epoch < 0 {
            let result = self.consumer.as_mut().ok_or(Refusal::GroupIdNotFound)?.leave(step, beat);
            self.downgrade_if_due(step);
            return result;
        }
        if self.consumer.is_none() && beat.epoch != 0 {
            return Err(Refusal::GroupIdNotFound);
        }
        if self.classic.as_ref().is_some_and(|classic| !classic.is_empty()) {
            self.upgrade(step)?;
        } else if self.consumer.is_none() {
            // Nobody is in it: it changes its protocol, and keeps its offsets.
            self.drop_classic(step);
            self.consumer = Some(Box::new(Consumer::new()));
        }
        let result = self.consumer.as_mut().expect("was made").heartbeat(step, beat);
        self.consumer.take_if(|consumer| consumer.is_nothing());
        result
    }

    /// Takes back the classic group's record. What that one waits for nobody asks for any more.
    pub(in super::super) fn drop_classic(&mut self, step: &mut Step<'_>) {
        if self.classic.take().as_deref().is_some_and(Classic::is_recorded) {
            step.record(Record::Group { group: step.group.clone(), value: None });
        }
    }

    /// Sessions begin anew.
    pub(in super::super) fn start(&mut self, step: &mut Step<'_>) {
        if let Some(consumer) = &mut self.consumer {
            consumer.start(step);
        }
        self.consumer.take_if(|consumer| consumer.is_nothing());
        if self.consumer.is_some() {
            // Both there are only in a log that was cut short between two records of one change.
            self.drop_classic(step);
        } else if let Some(classic) = &mut self.classic {
            classic.start(step);
        }
    }

    /// Does what is due.
    pub(in super::super) fn tick(&mut self, step: &mut Step<'_>) {
        match (&mut self.consumer, &mut self.classic) {
            (Some(consumer), _) => {
                consumer.tick(step);
                self.downgrade_if_due(step);
            }
            (None, Some(classic)) => classic.tick(step),
            (None, None) => {}
        }
    }
}

/// Who sends a heartbeat.
struct Sender {
    id: Text,
    /// The member in whose place it comes, as the same instance.
    replaces: Option<Text>,
}

impl Consumer {
    /// Hears of a member, moves it on towards its target, and says what it is to hold.
    pub(in super::super) fn heartbeat(
        &mut self,
        step: &mut Step<'_>,
        beat: &ConsumerHeartbeat,
    ) -> Result<ConsumerBeat, Refusal> {
        let Sender { id, replaces } = self.admit(step, beat)?;
        let before = self.members.get(replaces.as_ref().unwrap_or(&id)).and_then(|member| member.value.as_ref());
        let value = updated(before, beat);
        if let Some(value) = &value {
            self.check_fits(step, &id, value)?;
        }
        if let Some(old) = &replaces {
            self.hand_over(step, old, &id);
        }
        let is_moved = self.take_in(step, &id, value, beat.owned.as_deref());
        let current = self.current(&id).expect("was reconciled");
        let says_all =
            beat.rebalance_timeout >= 0 && beat.owned.is_some() && (beat.topics.is_some() || beat.regex.is_some());
        let is_told = beat.epoch != current.epoch || says_all || is_moved;
        Ok(ConsumerBeat {
            member: id.clone(),
            epoch: current.epoch,
            heartbeat_interval: heartbeat_interval(step),
            assignment: is_told.then(|| current.assigned.partitions().to_record()),
        })
    }

    /// Whether the log takes what a member says of itself, and the topics that its pattern matches.
    pub(super) fn check_fits(&self, step: &Step<'_>, id: &Text, value: &MemberValue) -> Result<(), Refusal> {
        let new = value.regex.as_ref().filter(|regex| !self.patterns.contains_key(*regex));
        let is_written = |regex: &Text| Ok(are_written(step, regex, &matched(step, &compile(regex)?)));
        let fits = step.fits(id.len() + value.bytes_max()) && new.map_or(Ok(true), is_written)?;
        if fits { Ok(()) } else { Err(Refusal::UnknownServerError) }
    }

    /// Hears what a member wants, if that has changed, and what it holds, and moves it on. True if what it has to hold has changed.
    pub(super) fn take_in(
        &mut self,
        step: &mut Step<'_>,
        id: &Text,
        value: Option<MemberValue>,
        owned: Option<&[Owned]>,
    ) -> bool {
        let mut wants_other = false;
        if let Some(value) = value {
            let before = self.members.get(id).and_then(|member| member.value.as_ref());
            wants_other = before.is_none_or(|b| b.topics != value.topics || b.regex != value.regex);
            self.write(Record::Member { group: step.group.clone(), member: id.clone(), value: Some(value) }, step);
        }
        self.refresh(step, wants_other);
        self.assign_if_due(step);
        let is_moved = self.reconcile(step, id, owned);
        self.touch(step, id);
        is_moved
    }

    pub(super) fn current(&self, id: &Text) -> Option<&Current> {
        self.members.get(id)?.current.as_ref()
    }

    /// Begins a member's session anew.
    pub(super) fn touch(&mut self, step: &Step<'_>, id: &Text) {
        if let Some(member) = self.members.get_mut(id) {
            member.deadline = step.now.mono.plus_ms(session_timeout(step, member));
        }
        self.wake_for(id);
    }

    /// A member is there, and would have given back by now what it is asked for.
    pub(in super::super) fn put_off(&mut self, step: &Step<'_>, id: &Text) {
        self.touch(step, id);
        if let Some(member) = self.members.get_mut(id)
            && let Some(by) = member.revoke_by
        {
            let timeout = member.value.as_ref().map_or(0, |value| value.rebalance_timeout).max(0) as u64;
            member.revoke_by = Some(by.max(step.now.mono.plus_ms(timeout)));
        }
    }

    /// Makes sure that a member's deadlines are kept.
    pub(super) fn wake_for(&mut self, id: &Text) {
        let due = self.members.get(id).map_or(Mono(u64::MAX), super::Member::due);
        self.wake = self.wake.min(due);
    }

    /// Checks that the sender may take part, before anything is changed.
    fn admit(&self, step: &mut Step<'_>, beat: &ConsumerHeartbeat) -> Result<Sender, Refusal> {
        let joins = beat.epoch == 0;
        let member = self.members.get(&beat.member);
        let holder = beat.instance.as_ref().map(|instance| self.instances.get(instance));
        let most = step.settings.consumer_group_max_size.min(GROUP_MEMBERS_MAX);
        let is_full = self.members.len() >= most || !fits(self.bytes);
        if member.is_none() && !matches!(holder, Some(Some(_))) && is_full && joins {
            return Err(Refusal::GroupMaxSizeReached);
        }
        let id = if beat.member.is_empty() { new_uuid(step.ids) } else { beat.member.clone() };
        let mut replaces = None;
        match holder {
            // A member without an instance.
            None if member.is_none() && !joins => return Err(Refusal::UnknownMemberId),
            None => {}
            Some(None) if !joins => return Err(Refusal::UnknownMemberId),
            Some(None) => {}
            Some(Some(owner)) if *owner == id => {}
            Some(Some(_)) if !joins => return Err(Refusal::FencedInstanceId),
            Some(Some(owner)) => {
                // One of the classic protocol comes back in this way.
                let is_classic = self.members.get(owner).is_some_and(|member| member.classic().is_some());
                if !is_classic && self.current(owner).is_some_and(|current| current.epoch != LEAVES_FOR_A_WHILE) {
                    return Err(Refusal::UnreleasedInstanceId);
                }
                replaces = Some(owner.clone());
            }
        }
        // One that changes its protocol begins anew.
        let current = member.filter(|member| member.classic().is_none()).and_then(|member| member.current.as_ref());
        match current {
            Some(current) => check_epoch(current, beat)?,
            None if member.is_some() && !joins => return Err(Refusal::FencedMemberEpoch),
            None => {}
        }
        Ok(Sender { id, replaces })
    }

    /// A static member is back under another id: what its instance had goes over to it.
    pub(super) fn hand_over(&mut self, step: &mut Step<'_>, old: &Text, new: &Text) {
        let member = self.members.get(old).expect("an instance's member is a member");
        let (value, target, current) = (member.value.clone(), member.target.clone(), member.current.clone());
        self.write_removal(step, old);
        let group = step.group.clone();
        self.write(Record::Member { group: group.clone(), member: new.clone(), value }, step);
        if let Some(target) = target {
            let value = Some(target.to_record());
            self.write(Record::TargetMember { group: group.clone(), member: new.clone(), value }, step);
        }
        if let Some(mut current) = current {
            (current.epoch, current.previous_epoch) = (0, 0);
            let value = Some(current.to_record());
            self.write(Record::CurrentAssignment { group, member: new.clone(), value }, step);
        }
    }
}

/// A member comes with the epoch that it was last told. One before is right if the answer got lost, which shows in what
/// it holds; 0 says that it holds nothing and begins anew, perhaps since no answer to its first heartbeat has reached it.
fn check_epoch(current: &Current, beat: &ConsumerHeartbeat) -> Result<(), Refusal> {
    // One that has left for a while has an epoch below all others: nothing that it had sent before brings it back.
    let is_behind = || beat.epoch < current.epoch && beat.epoch == current.previous_epoch;
    let is_right = beat.epoch == current.epoch
        || beat.epoch == 0
        || is_behind() && owns_only(beat.owned.as_deref(), &current.assigned);
    if is_right { Ok(()) } else { Err(Refusal::FencedMemberEpoch) }
}

/// True if all that the member says it holds is assigned to it.
fn owns_only(owned: Option<&[Owned]>, assigned: &Held) -> bool {
    owned.is_some_and(|owned| {
        owned.iter().all(|(topic, partitions)| partitions.iter().all(|p| assigned.has(*topic, *p)))
    })
}

/// What the member says of itself, if it is not what it said before. What it leaves out stays as it was; most heartbeats leave out all.
fn updated(before: Option<&MemberValue>, beat: &ConsumerHeartbeat) -> Option<MemberValue> {
    let is_silent = beat.topics.is_none()
        && beat.rebalance_timeout < 0
        && [&beat.instance, &beat.rack, &beat.regex, &beat.assignor].into_iter().all(Option::is_none);
    let is_same_client = |before: &MemberValue| {
        before.classic.is_none() && before.client_id == beat.client_id && before.client_host == beat.client_host
    };
    if is_silent && before.is_some_and(is_same_client) {
        return None;
    }
    let kept = |new: &Option<Text>, old: fn(&MemberValue) -> &Option<Text>| {
        new.clone().or_else(|| before.and_then(|before| old(before).clone()))
    };
    let topics = match (&beat.topics, before) {
        (Some(topics), _) => {
            let mut topics = topics.clone();
            topics.sort();
            topics.dedup();
            topics
        }
        (None, Some(before)) => before.topics.clone(),
        (None, None) => Vec::new(),
    };
    let timeout = before.map_or(-1, |before| before.rebalance_timeout);
    let value = MemberValue {
        instance: kept(&beat.instance, |before| &before.instance),
        rack: kept(&beat.rack, |before| &before.rack),
        client_id: beat.client_id.clone(),
        client_host: beat.client_host.clone(),
        topics,
        // An empty pattern takes back the one before.
        regex: kept(&beat.regex, |before| &before.regex).filter(|regex| !regex.is_empty()),
        rebalance_timeout: if beat.rebalance_timeout >= 0 { beat.rebalance_timeout } else { timeout },
        assignor: kept(&beat.assignor, |before| &before.assignor),
        classic: None,
    };
    Some(value).filter(|value| before != Some(value))
}

impl Consumer {
    /// Brings a member nearer to its target, as far as what it and others hold allows; true if it is assigned anything
    /// else than before.
    fn reconcile(&mut self, step: &mut Step<'_>, id: &Text, owned: Option<&[Owned]>) -> bool {
        let Some(next) = self.next_current(id, owned) else { return false };
        let is_moved = self.current(id).is_none_or(|current| current.assigned != next.assigned);
        // One that speaks the classic protocol is called to join again, in as much time.
        let is_forced = next.state == MemberState::Revoking && self.members[id].classic().is_none();
        let timeout = self.members[id].value.as_ref().map_or(0, |value| value.rebalance_timeout).max(0) as u64;
        let by = is_forced.then(|| step.now.mono.plus_ms(timeout));
        let value = Some(next.to_record());
        self.write(Record::CurrentAssignment { group: step.group.clone(), member: id.clone(), value }, step);
        let member = self.members.get_mut(id).expect("just written");
        member.revoke_by = by;
        self.wake_for(id);
        is_moved
    }
}

/// Milliseconds between heartbeats.
fn heartbeat_interval(step: &Step<'_>) -> i32 {
    let of_group = step.cluster.group_config(&step.group).heartbeat_interval_ms;
    of_group.unwrap_or(step.settings.consumer_heartbeat_interval_ms)
}
