//! A coordinator with its log and its clients, for tests. After every step the replay of the log, whole and compacted,
//! is compared with the state.

use super::cluster::{Cluster, GroupConfig, TopicInfo};
use super::record::Record;
use super::request::{
    Commit, CommitPartition, CommitTopic, ConsumerHeartbeat, Heartbeat, Join, Leave, Leaver, Request, Sync,
};
use super::response::{GroupState, JoinResponse, Joined, Refusal, Response, Synced};
use super::{Blob, Coordinator, CoordinatorSettings, Outcome, Text, Ticket, World};
use std::collections::BTreeMap;
use std::sync::Arc;
use torc_base::ids::TopicId;
use torc_base::limits::ENTRY_BYTES_MAX;
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now, Wall};

/// Topics as a test makes them.
#[derive(Default)]
pub(super) struct Topics {
    by_name: BTreeMap<Text, TopicInfo>,
    version: u64,
    next: u128,
    pub(super) config: GroupConfig,
}

impl Topics {
    /// Makes a topic, or gives it another number of partitions; 0 deletes it.
    pub(super) fn set(&mut self, name: &str, partitions: u32) {
        self.version += 1;
        if partitions == 0 {
            self.by_name.remove(name);
            return;
        }
        self.next += 1;
        let new = TopicInfo { name: text(name), id: TopicId(self.next), partitions };
        self.by_name.entry(text(name)).or_insert(new).partitions = partitions;
    }

    /// Another process: it counts changes anew.
    pub(super) fn count_from(&mut self, version: u64) {
        self.version = version;
    }

    pub(super) fn id(&self, name: &str) -> TopicId {
        self.by_name[name].id
    }
}

impl Cluster for Topics {
    fn version(&self) -> u64 {
        self.version
    }

    fn topic(&self, name: &str) -> Option<TopicInfo> {
        self.by_name.get(name).cloned()
    }

    fn topic_by_id(&self, id: TopicId) -> Option<TopicInfo> {
        self.by_name.values().find(|topic| topic.id == id).cloned()
    }

    fn topic_names(&self, visit: &mut dyn FnMut(&Text)) {
        self.by_name.keys().for_each(visit);
    }

    fn group_config(&self, _: &str) -> GroupConfig {
        self.config
    }
}

pub(super) fn text(text: &str) -> Text {
    text.into()
}

pub(super) struct Rig {
    pub(super) coordinator: Coordinator,
    pub(super) settings: Arc<CoordinatorSettings>,
    /// The longest record that the log takes.
    record_bytes_max: usize,
    pub(super) log: Vec<Record>,
    pub(super) now: Now,
    pub(super) prng: Prng,
    pub(super) topics: Topics,
    ids: Prng,
    tickets: u64,
    answers: BTreeMap<Ticket, Response>,
    checks: bool,
}

impl Rig {
    pub(super) fn new(settings: CoordinatorSettings) -> Rig {
        Rig::seeded(settings, 1)
    }

    pub(super) fn seeded(settings: CoordinatorSettings, seed: u64) -> Rig {
        Rig::limited(settings, seed, ENTRY_BYTES_MAX)
    }

    /// One whose log takes records of up to `record_bytes_max` only.
    pub(super) fn limited(settings: CoordinatorSettings, seed: u64, record_bytes_max: usize) -> Rig {
        let settings = Arc::new(settings);
        let mut rig = Rig {
            coordinator: Coordinator::new(Arc::clone(&settings), record_bytes_max),
            settings,
            record_bytes_max,
            log: Vec::new(),
            now: Now { mono: Mono(1_000_000_000), wall: Wall(1_700_000_000_000) },
            prng: Prng::new(seed),
            topics: Topics::default(),
            ids: Prng::new(seed ^ 0x5eed),
            tickets: 0,
            answers: BTreeMap::new(),
            checks: true,
        };
        rig.step(|coordinator, world| coordinator.start(world));
        rig
    }

    fn step(&mut self, work: impl FnOnce(&mut Coordinator, &mut World<'_>) -> Outcome) {
        let mut world = World { now: self.now, ids: &mut self.ids, cluster: &self.topics };
        let out = work(&mut self.coordinator, &mut world);
        let longest = out.records.iter().map(Record::bytes_max).max().unwrap_or(0);
        assert!(longest <= self.record_bytes_max, "a record of {longest} bytes");
        self.log.extend(out.records);
        for (ticket, response) in out.answers {
            assert!(ticket.0 <= self.tickets, "an answer to nobody");
            let before = self.answers.insert(ticket, response);
            assert!(before.is_none(), "{ticket:?} is answered twice");
        }
        if self.checks {
            self.check();
        }
    }

    pub(super) fn ask(&mut self, request: Request) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.step(|coordinator, world| coordinator.handle(world, ticket, request));
        ticket
    }

    pub(super) fn answer(&mut self, ticket: Ticket) -> Option<Response> {
        self.answers.remove(&ticket)
    }

    /// Asks what is answered at once.
    pub(super) fn now(&mut self, request: Request) -> Response {
        let ticket = self.ask(request);
        self.answer(ticket).expect("is answered at once")
    }

    pub(super) fn cancel(&mut self, ticket: Ticket) {
        self.step(|coordinator, world| coordinator.cancel(world, ticket));
    }

    pub(super) fn put_off(&mut self, beat: &ConsumerHeartbeat) {
        self.step(|coordinator, world| coordinator.put_off(world, beat));
    }

    pub(super) fn topic_deleted(&mut self, topic: &str) {
        self.step(|coordinator, world| coordinator.topic_deleted(world, &text(topic)));
    }

    /// Lets milliseconds pass, with every deadline on the way.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now.mono.plus_ms(ms);
        for turns in 0.. {
            let Some(next) = self.coordinator.next_deadline().filter(|next| *next <= end) else { break };
            assert!(turns < 100_000, "time stands still");
            self.set_time(next.max(self.now.mono));
            self.step(|coordinator, world| coordinator.tick(world));
            let after = self.coordinator.next_deadline();
            assert!(after.is_none_or(|after| after > self.now.mono), "what was due is still due");
        }
        self.set_time(end);
    }

    /// The same, for long times in which nothing but time passes.
    pub(super) fn pass_without_checks(&mut self, ms: u64) {
        self.checks = false;
        self.pass(ms);
        self.checks = true;
    }

    /// A request that is answered at once, without a look at the invariants.
    pub(super) fn quietly(&mut self, request: Request) -> Response {
        self.checks = false;
        let response = self.now(request);
        self.checks = true;
        response
    }

    /// A heartbeat in the first generation, without a look at the invariants.
    pub(super) fn touch(&mut self, member: &Text) {
        let heartbeat = Heartbeat { group: text("g"), member: member.clone(), instance: None, generation: 1 };
        assert_eq!(self.quietly(Request::Heartbeat(heartbeat)), Response::Heartbeat(Ok(())));
    }

    /// Looks for expired offsets, long after their time, without any other timer going off.
    pub(super) fn expire_now(&mut self) {
        self.now.wall.0 += 1_000_000;
        self.step(|coordinator, world| {
            let mut out = Outcome::default();
            coordinator.expire(world, &mut out);
            out
        });
    }

    /// True if group "g" has that member of the consumer protocol.
    pub(super) fn has_member(&self, id: &Text) -> bool {
        let group = self.coordinator.groups.get(&"g".into()).and_then(|group| group.consumer.as_ref());
        group.is_some_and(|consumer| consumer.has_member(id))
    }

    /// True if the coordinator has a group of that id.
    pub(super) fn knows(&self, group: &str) -> bool {
        self.coordinator.groups.contains(&group.into())
    }

    fn set_time(&mut self, to: Mono) {
        self.now.wall.0 += (to.since(self.now.mono) / 1_000_000) as i64;
        self.now.mono = to;
    }

    /// The coordinator moves: what was not written down is lost.
    pub(super) fn restart(&mut self) {
        let log = if self.prng.chance(1, 2) { self.log.clone() } else { compacted(&self.log, &mut self.prng) };
        self.coordinator = replayed(&self.settings, &log, self.record_bytes_max);
        self.step(|coordinator, world| coordinator.start(world));
    }

    /// The same, to where the log takes less in one record.
    pub(super) fn restart_with(&mut self, record_bytes_max: usize) {
        self.record_bytes_max = record_bytes_max;
        self.restart();
    }

    /// The log, whole and compacted, says what the state is.
    fn check_log(&mut self) {
        let whole = replayed(&self.settings, &self.log, self.record_bytes_max);
        assert_eq!(self.coordinator.difference(&whole), None, "the log says something else than the state");
        let log = compacted(&self.log, &mut self.prng);
        let after = self.coordinator.difference(&replayed(&self.settings, &log, self.record_bytes_max));
        assert_eq!(after, None, "compaction has changed the state:\n{:?}\n{log:?}", self.log);
    }

    /// The invariants.
    fn check(&mut self) {
        // What a step breaks stays broken: after a long history not every step is looked at.
        if self.log.len() < 200 || self.prng.chance(1, 10) {
            self.check_log();
        }
        let groups = &self.coordinator.groups;
        let waiting =
            groups.iter().filter_map(|(_, group)| group.classic.as_ref()).flat_map(|classic| classic.tickets());
        let mut waiting: Vec<Ticket> = waiting.collect();
        waiting.sort();
        assert_eq!(waiting, self.coordinator.parked().collect::<Vec<_>>(), "who waits is known");
        let bytes: usize = groups.iter().map(|(id, group)| group.bytes(id)).sum();
        assert_eq!(self.coordinator.bytes(), bytes, "memory is counted");
        for (id, group) in groups.iter() {
            assert!(!group.is_nothing(), "{id} is nothing");
            assert!(group.classic.is_none() || group.consumer.is_none(), "{id} speaks two protocols");
            if let Some(consumer) = &group.consumer {
                assert!(!consumer.is_nothing(), "{id} has no record");
                consumer.check();
            }
            // What is due at once waits for the next turn.
            let soon = group.wake().map(|wake| wake.max(self.now.mono.plus_ms(1)));
            assert!(group.armed <= soon, "{id} sleeps too long");
            assert_eq!(
                group.armed.is_some(),
                group.wake().is_some(),
                "{id} has a timer while there is something to wait for"
            );
        }
        let armed = groups.iter().filter_map(|(id, group)| Some((group.armed?, id)));
        assert!(self.coordinator.timers.are(armed), "each group has one timer, and the first of them is known");
    }

    // Requests that every test makes.

    pub(super) fn join(&mut self, client: &str, member: &Text) -> Ticket {
        self.ask(Request::Join(joining(client, member)))
    }

    /// The id of a new member.
    pub(super) fn id(&mut self, client: &str) -> Text {
        match self.now(Request::Join(joining(client, &text("")))) {
            Response::Join(JoinResponse { member, result: Err(Refusal::MemberIdRequired) }) => member,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn joined(&mut self, ticket: Ticket) -> Joined {
        match self.answer(ticket) {
            Some(Response::Join(JoinResponse { result: Ok(joined), .. })) => joined,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn sync(&mut self, member: &Text, generation: i32, assignments: &[(&Text, &str)]) -> Ticket {
        let assignments = assignments.iter().map(|(id, what)| (Text::clone(id), blob(what))).collect();
        let (group, member) = (text("g"), member.clone());
        let sync = Sync { group, member, instance: None, generation, protocol_type: None, protocol: None, assignments };
        self.ask(Request::Sync(sync))
    }

    pub(super) fn synced(&mut self, ticket: Ticket) -> Result<Blob, Refusal> {
        match self.answer(ticket) {
            Some(Response::Sync(result)) => result.map(|Synced { assignment, .. }| assignment),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn heartbeat(&mut self, member: &Text, generation: i32) -> Result<(), Refusal> {
        let heartbeat = Heartbeat { group: text("g"), member: member.clone(), instance: None, generation };
        match self.now(Request::Heartbeat(heartbeat)) {
            Response::Heartbeat(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn leave(&mut self, member: &Text) -> Result<(), Refusal> {
        let members = vec![Leaver { member: member.clone(), instance: None }];
        match self.now(Request::Leave(Leave { group: text("g"), members })) {
            Response::Leave(Ok(members)) => members[0].result,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn commit(&mut self, member: &Text, generation: i32, topic: &str, offset: i64) -> Result<(), Refusal> {
        match self.now(Request::Commit(committing("g", member, generation, topic, offset))) {
            Response::Commit(result) => result.and_then(|topics| topics[0].1[0].1),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn state(&self) -> Option<GroupState> {
        self.coordinator.groups.get(&"g".into()).map(|group| group.state())
    }

    /// The offset of partition 0.
    pub(super) fn offset(&self, topic: &str) -> Option<i64> {
        self.coordinator.groups.get(&"g".into())?.offsets.get(topic, 0).map(|value| value.offset)
    }

    /// A stable group of new members, each of whom is assigned its own client's name.
    pub(super) fn stable(&mut self, clients: &[&str]) -> Vec<Text> {
        let ids: Vec<Text> = clients.iter().map(|client| self.id(client)).collect();
        let tickets: Vec<Ticket> = clients.iter().zip(&ids).map(|(client, id)| self.join(client, id)).collect();
        self.pass(u64::from(self.settings.initial_rebalance_delay_ms) * 4);
        let joined: Vec<Joined> = tickets.into_iter().map(|ticket| self.joined(ticket)).collect();
        let assignments: Vec<(&Text, &str)> = ids.iter().zip(clients.iter().copied()).collect();
        let leader = joined[0].leader.clone();
        let followers: Vec<&Text> = ids.iter().filter(|id| **id != leader).collect();
        let waiting: Vec<Ticket> = followers.iter().map(|id| self.sync(id, joined[0].generation, &[])).collect();
        let first = self.sync(&leader, joined[0].generation, &assignments);
        for ticket in waiting.into_iter().chain([first]) {
            self.synced(ticket).expect("the leader has assigned");
        }
        ids
    }
}

pub(super) fn blob(text: &str) -> Blob {
    text.as_bytes().into()
}

/// A subscription as Kafka's consumers write it.
pub(super) fn subscription(topics: &[&str]) -> Blob {
    let mut bytes = vec![0, 3];
    bytes.extend_from_slice(&(topics.len() as u32).to_be_bytes());
    for topic in topics {
        bytes.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        bytes.extend_from_slice(topic.as_bytes());
    }
    // No user data, nothing held, no generation, no rack.
    bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    bytes.into()
}

/// A consumer of topic "t" that joins group "g".
pub(super) fn joining(client: &str, member: &Text) -> Join {
    Join {
        group: text("g"),
        member: member.clone(),
        instance: None,
        client_id: text(client),
        client_host: text("/127.0.0.1"),
        session_timeout: 10_000,
        rebalance_timeout: 60_000,
        protocol_type: text("consumer"),
        protocols: vec![(text("range"), subscription(&["t"])), (text("sticky"), subscription(&["t"]))],
        takes_id: true,
        skips_assignment: true,
    }
}

pub(super) fn committing(group: &str, member: &Text, generation: i32, topic: &str, offset: i64) -> Commit {
    let partitions = vec![CommitPartition { index: 0, offset, leader_epoch: -1, metadata: text("") }];
    Commit {
        group: text(group),
        member: member.clone(),
        instance: None,
        generation,
        retention: None,
        knows_epochs: true,
        topics: vec![CommitTopic { name: text(topic), id: TopicId::ZERO, partitions }],
    }
}

fn replayed(settings: &Arc<CoordinatorSettings>, log: &[Record], record_bytes_max: usize) -> Coordinator {
    let mut coordinator = Coordinator::new(Arc::clone(settings), record_bytes_max);
    log.iter().for_each(|record| coordinator.replay(record));
    coordinator
}

/// The record's key.
fn key(record: &Record) -> String {
    match record {
        Record::Offset { group, topic, partition, .. } => format!("offset {group} {topic} {partition}"),
        Record::Group { group, .. } => format!("group {group}"),
        Record::ConsumerGroup { group, .. } => format!("consumer group {group}"),
        Record::PartitionMetadata { group, .. } => format!("metadata {group}"),
        Record::Member { group, member, .. } => format!("member {group} {member}"),
        Record::Target { group, .. } => format!("target {group}"),
        Record::TargetMember { group, member, .. } => format!("target {group} {member}"),
        Record::CurrentAssignment { group, member, .. } => format!("current {group} {member}"),
        Record::RegularExpression { group, expression, .. } => format!("expression {group} {expression}"),
    }
}

/// The log as compaction may leave it: of the part that was looked at each key keeps its last value, and by chance some
/// earlier ones; tombstones may go once nothing is left that they would hide.
pub(super) fn compacted(log: &[Record], prng: &mut Prng) -> Vec<Record> {
    let cut = prng.below(log.len() as u64 + 1) as usize;
    let mut last = BTreeMap::new();
    for (at, record) in log[..cut].iter().enumerate() {
        last.insert(key(record), at);
    }
    let keeps_some = prng.chance(1, 3);
    let mut left = Vec::new();
    let mut hidden = BTreeMap::new();
    for (at, record) in log.iter().enumerate() {
        let name = key(record);
        let is_last = at >= cut || last[&name] == at;
        let keep = if is_last {
            !(at < cut && record.is_tombstone() && !hidden.contains_key(&name) && prng.chance(1, 2))
        } else {
            keeps_some && prng.chance(1, 4)
        };
        if keep {
            hidden.insert(name, ());
            left.push(record.clone());
        }
    }
    left
}
