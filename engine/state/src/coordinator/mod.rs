//! The group coordinator: one partition of `__consumer_offsets`, with the groups whose ids fall to it.
//!
//! A request gives records and answers ([`Outcome`]). The state has taken the records over at once; the answers may go
//! out when these records, and all that were given before, are committed. If an append fails or the partition's
//! leadership is lost, the coordinator is dropped, whoever waits ([`Coordinator::parked`]) is told NOT_COORDINATOR, and
//! the next leader replays the log: the committed part of it is all that anybody has been told.
//!
//! One record is one entry of the log at least, and the log takes none beyond a bound. Whatever would need a longer one is
//! refused before anything is done for it; so nothing that was accepted fails to be written because of its size.
//!
//! What survives is a function of the last value of each key ([`Record`]), so it does not matter what compaction has
//! left of the others. What does not survive: who waits, who is about to join, when who was last heard of.

pub mod cluster;
pub mod record;
pub mod request;
pub mod response;

mod classic;
mod durable;
mod embedded;
mod expiry;
mod group;
mod listing;
mod modern;
mod names;
mod offsets;

#[cfg(test)]
mod assign_tests;
#[cfg(test)]
mod consumer_random_tests;
#[cfg(test)]
mod consumer_tests;
#[cfg(test)]
mod embedded_tests;
#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod long_tests;
#[cfg(test)]
mod migration_tests;
#[cfg(test)]
mod offsets_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod story_tests;

use classic::Classic;
use cluster::Cluster;
use group::Group;
pub use listing::Progress;
use modern::Consumer;
pub use modern::Migration;
use names::{Named, Timers};
pub use offsets::Reading;
use record::Record;
use request::{Join, Leave, Request};
use response::{JoinResponse, Refusal, Response};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use torc_base::limits::{
    COORDINATOR_BYTES_MAX, EXPIRY_GROUPS, GROUP_BYTES_MAX, GROUPS_PER_COORDINATOR_MAX, MEMBER_NAME_BYTES_MAX,
};
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now};

/// Names and ids, shared between state, records and answers.
pub type Text = Arc<str>;
/// What the coordinator carries without reading it.
pub type Blob = Arc<[u8]>;

/// Names a request whose answer may come later. The asker chooses it; never twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Milliseconds that a new member waits for its first answer, longer than any client does.
const NEW_MEMBER_MS: u64 = 300_000;

/// Kafka's settings for groups, under their names there. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorSettings {
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: u32,
    /// `group.max.size`
    pub group_max_size: usize,
    /// `offset.metadata.max.bytes`
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: u64,
    /// `group.consumer.session.timeout.ms`
    pub consumer_session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`
    pub consumer_heartbeat_interval_ms: i32,
    /// `group.consumer.min.session.timeout.ms` to `group.consumer.max.session.timeout.ms`: what a group may set for itself.
    pub consumer_session_timeouts_ms: RangeInclusive<i32>,
    /// `group.consumer.min.heartbeat.interval.ms` to `group.consumer.max.heartbeat.interval.ms`, likewise.
    pub consumer_heartbeat_intervals_ms: RangeInclusive<i32>,
    /// `group.consumer.max.size`
    pub consumer_group_max_size: usize,
    /// `group.consumer.assignors`: of "uniform" and "range" those that members may ask for, the default first.
    pub consumer_assignors: Vec<Text>,
    /// `group.consumer.migration.policy`
    pub migration: Migration,
    /// Memory for groups and offsets, in bytes.
    pub bytes_max: usize,
}

impl Default for CoordinatorSettings {
    /// Kafka's defaults.
    fn default() -> CoordinatorSettings {
        CoordinatorSettings {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            group_max_size: usize::MAX,
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
            consumer_session_timeout_ms: 45_000,
            consumer_heartbeat_interval_ms: 5_000,
            consumer_session_timeouts_ms: 45_000..=60_000,
            consumer_heartbeat_intervals_ms: 5_000..=15_000,
            consumer_group_max_size: usize::MAX,
            consumer_assignors: modern::ASSIGNORS.map(Text::from).into(),
            migration: Migration::Bidirectional,
            bytes_max: COORDINATOR_BYTES_MAX,
        }
    }
}

/// What a coordinator knows of the world when it is asked.
pub struct World<'a> {
    pub now: Now,
    /// For ids of members. Seeded with what no other coordinator of the cluster has, now or before.
    pub ids: &'a mut Prng,
    pub cluster: &'a dyn Cluster,
}

/// What a request, or the passing of time, leads to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be appended, in this order.
    pub records: Vec<Record>,
    /// To be sent once these records and all earlier ones are committed.
    pub answers: Vec<(Ticket, Response)>,
}

/// What one step on one group works with.
struct Step<'a> {
    now: Now,
    settings: &'a CoordinatorSettings,
    ids: &'a mut Prng,
    cluster: &'a dyn Cluster,
    group: Text,
    record_bytes_max: usize,
    out: &'a mut Outcome,
}

/// Room that is left in every record when it is judged whether what it tells fits in: the same is written again under other ids
/// of members, which are made of names and of what nobody else has.
const SPARE_BYTES: usize = 3 * MEMBER_NAME_BYTES_MAX;

impl Step<'_> {
    /// Bytes that one record of this group may take besides the group's name.
    fn room(&self) -> usize {
        self.record_bytes_max.saturating_sub(SPARE_BYTES + 2 * record::FIXED_BYTES + self.group.len())
    }

    /// True if the log takes a record of this group with so many bytes besides the group's name.
    fn fits(&self, bytes: usize) -> bool {
        bytes <= self.room()
    }

    fn answer(&mut self, ticket: Ticket, response: Response) {
        self.out.answers.push((ticket, response));
    }

    fn record(&mut self, record: Record) {
        self.out.records.push(record);
    }
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct Coordinator {
    settings: Arc<CoordinatorSettings>,
    /// The longest record that the log takes ([`Record::bytes_max`]).
    record_bytes_max: usize,
    groups: Named<Group>,
    /// Each group stands here at most once.
    timers: Timers,
    /// Requests that wait for their answers: their groups, and whether the client knows its member's id.
    parked: BTreeMap<Ticket, (Text, bool)>,
    bytes: usize,
    /// When offsets are looked through next, once the coordinator has started.
    expiry: Option<Mono>,
    /// The last group that the look-through under way has seen.
    expiry_at: Option<Text>,
}

impl Coordinator {
    /// A coordinator whose log is empty, and takes records of up to `record_bytes_max`. What the log holds is given to
    /// [`Coordinator::replay`], then [`Coordinator::start`] is called; only then requests may come.
    pub fn new(settings: Arc<CoordinatorSettings>, record_bytes_max: usize) -> Coordinator {
        Coordinator {
            settings,
            record_bytes_max,
            groups: Named::new(),
            timers: Timers::default(),
            parked: BTreeMap::new(),
            bytes: 0,
            expiry: None,
            expiry_at: None,
        }
    }

    /// The log takes records of another length from now on.
    pub fn set_record_bytes_max(&mut self, bytes: usize) {
        self.record_bytes_max = bytes;
    }

    /// Takes over a record of the log.
    pub fn replay(&mut self, record: &Record) {
        assert!(self.expiry.is_none(), "the log is replayed before the start");
        let id = record.group();
        if record.is_tombstone() && !self.groups.contains(id) {
            return;
        }
        let group = self.groups.get_or_default(id);
        match record {
            Record::Offset { topic, partition, value: Some(value), .. } => {
                group.offsets.put(topic, *partition, value.clone());
            }
            Record::Offset { topic, partition, value: None, .. } => {
                group.offsets.remove(topic, *partition);
            }
            Record::Group { value, .. } => {
                group.classic = value.as_ref().map(|value| Box::new(Classic::replay(value)));
            }
            _ => {
                group.consumer.get_or_insert_with(|| Box::new(Consumer::new())).replay(record);
                group.consumer.take_if(|consumer| consumer.is_nothing());
            }
        }
        if !group.settle(id, &mut self.timers, &mut self.bytes) {
            self.groups.remove(id);
        }
    }

    /// The log has been replayed to its end: timers run from now on.
    pub fn start(&mut self, world: &mut World<'_>) -> Outcome {
        assert!(self.expiry.is_none(), "a coordinator starts once");
        self.expiry = Some(world.now.mono.plus_ms(self.settings.offsets_retention_check_interval_ms));
        let mut out = Outcome::default();
        let ids: Vec<Text> = self.groups.names().cloned().collect();
        for id in ids {
            self.on_group(world, &mut out, &id, |group, step| group.start(step));
        }
        self.finish(out)
    }

    /// Answers a request, now or later.
    pub fn handle(&mut self, world: &mut World<'_>, ticket: Ticket, request: Request) -> Outcome {
        let mut out = Outcome::default();
        if request.may_grow() && self.bytes >= self.settings.bytes_max {
            out.answers.push((ticket, Response::Refused(Refusal::CoordinatorNotAvailable)));
            return out;
        }
        match request {
            Request::Join(join) => self.join(world, &mut out, ticket, join),
            Request::Sync(sync) => {
                let id = sync.group.clone();
                self.parked.insert(ticket, (id.clone(), true));
                let known = self.on_group(world, &mut out, &id, |group, step| group.sync(step, ticket, sync));
                if known.is_none() {
                    out.answers.push((ticket, Response::Sync(Err(Refusal::UnknownMemberId))));
                }
            }
            Request::Heartbeat(heartbeat) => {
                let id = heartbeat.group.clone();
                let result = self.on_group(world, &mut out, &id, |group, step| group.heartbeat(step, &heartbeat));
                let result = result.unwrap_or(Err(Refusal::UnknownMemberId));
                out.answers.push((ticket, Response::Heartbeat(result)));
            }
            Request::Leave(leave) => self.leave(world, &mut out, ticket, leave),
            Request::Commit(commit) => {
                let result = self.commit(world, &mut out, &commit);
                out.answers.push((ticket, Response::Commit(result)));
            }
            Request::Fetch(fetch) => {
                let result = self.fetch(&fetch);
                out.answers.push((ticket, Response::Fetch { group: fetch.group, result }));
            }
            Request::DeleteOffsets(delete) => {
                let id = delete.group.clone();
                let result = self.on_group(world, &mut out, &id, |group, step| group.delete_offsets(step, &delete));
                let result = result.unwrap_or(Err(Refusal::GroupIdNotFound));
                out.answers.push((ticket, Response::DeleteOffsets(result)));
            }
            Request::Describe { groups } => out.answers.push((ticket, Response::Describe(self.describe(&groups)))),
            Request::List(list) => out.answers.push((ticket, Response::List(self.list(&list)))),
            Request::DeleteGroups { groups } => {
                let delete = |id: Text| (id.clone(), self.delete_group(world, &mut out, &id));
                let results = groups.into_iter().map(delete).collect();
                out.answers.push((ticket, Response::DeleteGroups(results)));
            }
            Request::ConsumerHeartbeat(beat) => {
                let result = self.consumer_heartbeat(world, &mut out, &beat);
                out.answers.push((ticket, Response::ConsumerHeartbeat(result)));
            }
            Request::ConsumerDescribe { groups } => {
                let describe = |group: &mut Group, step: &mut Step<'_>| Some(group.consumer.as_ref()?.describe(step));
                let of = |id: Text| {
                    let described = self.on_group(world, &mut out, &id, describe).flatten();
                    (id, described.ok_or(Refusal::GroupIdNotFound))
                };
                let described = groups.into_iter().map(of).collect();
                out.answers.push((ticket, Response::ConsumerDescribe(described)));
            }
        }
        self.finish(out)
    }

    /// A member of the consumer protocol has sent a heartbeat that cannot be taken up now, as nothing can be written down: its
    /// time does not run out meanwhile.
    pub fn put_off(&mut self, world: &mut World<'_>, beat: &request::ConsumerHeartbeat) -> Outcome {
        let mut out = Outcome::default();
        self.on_group(world, &mut out, &beat.group, |group, step| {
            if let Some(consumer) = &mut group.consumer {
                consumer.put_off(step, &beat.member);
            }
        });
        self.finish(out)
    }

    /// The next moment at which [`Coordinator::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        min_some(self.timers.next(), self.expiry)
    }

    /// Does what is due.
    pub fn tick(&mut self, world: &mut World<'_>) -> Outcome {
        let mut out = Outcome::default();
        while let Some(id) = self.timers.due(world.now.mono) {
            self.on_group(world, &mut out, &id, |group, step| group.tick(step));
            self.rearm(&id, world.now.mono);
        }
        if self.expiry.is_some_and(|at| at <= world.now.mono) {
            self.expire(world, &mut out);
        }
        self.finish(out)
    }

    /// The client that waited with `ticket` has gone.
    pub fn cancel(&mut self, world: &mut World<'_>, ticket: Ticket) -> Outcome {
        let mut out = Outcome::default();
        if let Some((id, knows_id)) = self.parked.remove(&ticket) {
            self.on_classic(world, &mut out, &id, |classic, step| classic.cancel(step, ticket, knows_id));
        }
        self.finish(out)
    }

    /// A topic has been deleted: what was committed for it is forgotten.
    pub fn topic_deleted(&mut self, world: &mut World<'_>, topic: &Text) -> Outcome {
        let mut out = Outcome::default();
        let has = |group: &Group| group.offsets.topics().contains_key(topic);
        let ids: Vec<Text> = self.groups.iter().filter(|(_, group)| has(group)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.on_group(world, &mut out, &id, |group, step| group.forget_topic(step, topic));
        }
        self.finish(out)
    }

    /// Requests that wait for their answers.
    pub fn parked(&self) -> impl Iterator<Item = Ticket> {
        self.parked.keys().copied()
    }

    /// Bytes of memory for groups and offsets, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Every answered request waits no longer.
    fn finish(&mut self, out: Outcome) -> Outcome {
        for (ticket, _) in &out.answers {
            self.parked.remove(ticket);
        }
        out
    }

    fn join(&mut self, world: &mut World<'_>, out: &mut Outcome, ticket: Ticket, mut join: Join) {
        let allowed = self.settings.min_session_timeout_ms..=self.settings.max_session_timeout_ms;
        let is_known = self.groups.contains(&join.group);
        let refusal = match () {
            () if join.group.is_empty() => Some(Refusal::InvalidGroupId),
            () if !allowed.contains(&join.session_timeout) => Some(Refusal::InvalidSessionTimeout),
            () if !is_known && !join.member.is_empty() => Some(Refusal::UnknownMemberId),
            () if !is_known && self.groups.len() >= GROUPS_PER_COORDINATOR_MAX => {
                Some(Refusal::CoordinatorNotAvailable)
            }
            () => None,
        };
        if let Some(refusal) = refusal {
            let response = JoinResponse { member: join.member, result: Err(refusal) };
            return out.answers.push((ticket, Response::Join(response)));
        }
        let mut seen = BTreeSet::new();
        join.protocols.retain(|(name, _)| seen.insert(name.clone()));
        if join.rebalance_timeout < 0 {
            join.rebalance_timeout = join.session_timeout;
        }
        let knows_id = !join.member.is_empty();
        let id = join.group.clone();
        self.parked.insert(ticket, (id.clone(), knows_id));
        self.groups.get_or_default(&id);
        self.on_group(world, out, &id, |group, step| {
            if let Some(consumer) = &mut group.consumer {
                if !consumer.is_empty() {
                    consumer.join(step, ticket, join);
                    return group.downgrade_if_due(step);
                }
                // Nobody is in it: it changes its protocol, and keeps its offsets.
                consumer.delete(step);
                group.consumer = None;
            }
            let classic = group.classic.get_or_insert_with(|| Box::new(Classic::new()));
            let is_new = !classic.is_recorded();
            let records = step.out.records.len();
            classic.join(step, ticket, join);
            if is_new && classic.is_empty() && classic.has_pending() && step.out.records.len() == records {
                // Who is sent away with an id shall find the group.
                classic.record_new(step);
            }
        });
    }

    fn consumer_heartbeat(
        &mut self,
        world: &mut World<'_>,
        out: &mut Outcome,
        beat: &request::ConsumerHeartbeat,
    ) -> Result<response::ConsumerBeat, Refusal> {
        modern::check_heartbeat(beat, &self.settings)?;
        if beat.epoch == 0 && !self.groups.contains(&beat.group) {
            if self.groups.len() >= GROUPS_PER_COORDINATOR_MAX {
                return Err(Refusal::CoordinatorNotAvailable);
            }
            self.groups.get_or_default(&beat.group);
        }
        let result = self.on_group(world, out, &beat.group, |group, step| group.consumer_heartbeat(step, beat));
        result.unwrap_or(Err(Refusal::GroupIdNotFound))
    }

    fn leave(&mut self, world: &mut World<'_>, out: &mut Outcome, ticket: Ticket, leave: Leave) {
        let members = leave.members;
        let count = members.len();
        let result = self.on_group(world, out, &leave.group, |group, step| group.leave(step, members.clone()));
        let result = result.flatten().unwrap_or_else(|| {
            let unknown = |leaver: request::Leaver| response::LeaverResponse {
                member: leaver.member,
                instance: leaver.instance,
                result: Err(Refusal::UnknownMemberId),
            };
            members.into_iter().map(unknown).collect()
        });
        assert_eq!(result.len(), count, "every member gets its answer");
        out.answers.push((ticket, Response::Leave(Ok(result))));
    }

    fn commit(
        &mut self,
        world: &mut World<'_>,
        out: &mut Outcome,
        commit: &request::Commit,
    ) -> Result<Vec<(Text, Vec<response::PartitionResult>)>, Refusal> {
        if !self.groups.contains(&commit.group) {
            if commit.generation >= 0 {
                let old = Refusal::IllegalGeneration;
                return Err(if commit.knows_epochs { Refusal::GroupIdNotFound } else { old });
            }
            if self.groups.len() >= GROUPS_PER_COORDINATOR_MAX {
                return Err(Refusal::CoordinatorNotAvailable);
            }
            self.groups.get_or_default(&commit.group);
        }
        self.on_group(world, out, &commit.group, |group, step| group.commit(step, commit)).expect("is there")
    }

    fn fetch(&self, fetch: &request::Fetch) -> Result<Vec<(Text, Vec<response::FetchedOffset>)>, Refusal> {
        self.may_fetch(fetch)?;
        Ok(self.groups.get(&fetch.group).unwrap_or(&Group::default()).fetch(fetch))
    }

    /// True if whoever asks for offsets may have them.
    pub fn may_fetch(&self, fetch: &request::Fetch) -> Result<(), Refusal> {
        let consumer = self.groups.get(&fetch.group).and_then(|group| group.consumer.as_ref());
        consumer.map_or(Ok(()), |consumer| consumer.check_fetch(fetch))
    }

    /// Reads about `left` more of the offsets that are asked for, which [`Coordinator::may_fetch`] allows. True if all have been
    /// read. What has been read stands only if no record says meanwhile that one of the group's offsets is another.
    pub fn fetch_on(&self, fetch: &request::Fetch, reading: &mut Reading, left: &mut usize) -> bool {
        self.groups.get(&fetch.group).unwrap_or(&Group::default()).fetch_on(fetch, reading, left)
    }

    /// About how many offsets are asked for.
    pub fn offsets_asked(&self, fetch: &request::Fetch) -> usize {
        match &fetch.topics {
            Some(topics) => topics.iter().map(|(_, partitions)| 1 + partitions.len()).sum(),
            None => self.groups.get(&fetch.group).map_or(0, |group| group.offsets.len()),
        }
    }

    fn delete_group(&mut self, world: &mut World<'_>, out: &mut Outcome, id: &Text) -> Result<(), Refusal> {
        let group = self.groups.get(id).ok_or(Refusal::GroupIdNotFound)?;
        if !group.is_empty() {
            return Err(Refusal::NonEmptyGroup);
        }
        self.on_group(world, out, id, |group, step| group.delete(step));
        Ok(())
    }

    /// Looks through the next groups for offsets that have expired.
    fn expire(&mut self, world: &mut World<'_>, out: &mut Outcome) {
        let next = self.groups.behind(self.expiry_at.as_ref()).take(EXPIRY_GROUPS);
        let ids: Vec<Text> = next.map(|(id, _)| id.clone()).collect();
        for id in &ids {
            self.on_group(world, out, id, |group, step| group.expire(step));
        }
        self.expiry_at = ids.last().filter(|_| ids.len() == EXPIRY_GROUPS).cloned();
        let rest = if self.expiry_at.is_some() { 1 } else { self.settings.offsets_retention_check_interval_ms.max(1) };
        self.expiry = Some(world.now.mono.plus_ms(rest));
    }

    /// Works on a group, if it is there.
    fn on_group<T>(
        &mut self,
        world: &mut World<'_>,
        out: &mut Outcome,
        id: &Text,
        work: impl FnOnce(&mut Group, &mut Step<'_>) -> T,
    ) -> Option<T> {
        let group = self.groups.get_mut(id)?;
        let (settings, cluster) = (&self.settings, world.cluster);
        let record_bytes_max = self.record_bytes_max;
        let mut step =
            Step { now: world.now, settings, ids: world.ids, cluster, group: id.clone(), record_bytes_max, out };
        let result = work(group, &mut step);
        if !group.settle(id, &mut self.timers, &mut self.bytes) {
            self.groups.remove(id);
        }
        Some(result)
    }

    /// Works on the classic part of a group, if it is there.
    fn on_classic<T>(
        &mut self,
        world: &mut World<'_>,
        out: &mut Outcome,
        id: &Text,
        work: impl FnOnce(&mut Classic, &mut Step<'_>) -> T,
    ) -> Option<T> {
        self.on_group(world, out, id, |group, step| group.classic.as_mut().map(|classic| work(classic, step)))?
    }

    /// After a group's timer has gone off.
    fn rearm(&mut self, id: &Text, now: Mono) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let Some(armed) = group.armed.filter(|armed| *armed <= now) else { return };
        // What is due at once has its turn next time.
        group.armed = group.wake().map(|at| at.max(now.plus_ms(1)));
        self.timers.set(id, Some(armed), group.armed);
    }
}

/// The smaller one of those that there are.
fn min_some<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// True if a group's members may take so many bytes of memory.
fn fits(bytes: usize) -> bool {
    bytes <= GROUP_BYTES_MAX
}

/// A new member's id: a name that says who it is, and what nobody else has.
fn new_id(name: &str, ids: &mut Prng) -> Text {
    format!("{name}-{}", new_uuid(ids)).into()
}

/// What nobody else has, in the form of a random UUID.
fn new_uuid(ids: &mut Prng) -> Text {
    let (high, low) = (ids.next_u64(), ids.next_u64());
    let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0x0fff);
    let (d, e) = (low >> 48 & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
    format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}").into()
}
