//! A member of a consumer group of the classic protocol, as a process that consumes: it joins, is given partitions,
//! reads them from where the group has committed, and commits what it has got. Unless it is told to stop it also does
//! what real processes do: it dies without a word and comes back as somebody new, sleeps until it is given up and goes
//! on as if nothing had been, never asks for its assignment, leaves, and is told of topics that come and go.

use crate::assignor;
use crate::client::{self, Client, Next};
use crate::groups::{Place, Told};
use crate::history::{History, code};
use crate::net::{Appetite, Manner};
use crate::requests;
use crate::share::{self, Heard, Share, Who};
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, Connection, Port, Waiting, decode};
use crate::world::MS;
use bytes::Bytes;
use kafka_protocol::messages::*;
use std::collections::BTreeSet;
use torc_base::prng::Prng;

/// What kind of member it is, of either protocol.
#[derive(Clone, Debug)]
pub struct Ways {
    /// Its group's number in the history.
    pub group: usize,
    /// It has a place of its own, whichever process takes it.
    pub instance: Option<String>,
    /// It speaks the first versions of everything.
    pub old: bool,
    /// Milliseconds.
    pub session_ms: u64,
    /// Milliseconds.
    pub rebalance_ms: u64,
    /// Bytes, at most, of what only it itself understands of its metadata.
    pub padding: u64,
}

/// A connection that is quick enough for short sessions.
pub fn quick(rng: &mut Prng) -> Connection {
    Connection::new(Manner { piece: 4096, delay: rng.between(5_000, 60_000), stalls: 0, appetite: Appetite::All })
}

/// Topics that a group wants, now.
pub fn wanted(history: &History, group: usize) -> Vec<usize> {
    let known = &history.groups.all[group];
    history.live().into_iter().filter(|topic| known.consumes(*topic)).collect()
}

/// Versions of what only this protocol asks.
#[derive(Clone, Copy, Debug)]
struct Versions {
    find: i16,
    join: i16,
    sync: i16,
    heartbeat: i16,
    leave: i16,
}

/// All versions of a process.
fn versions(rng: &mut Prng, ways: &Ways) -> (Versions, share::Versions) {
    let mut any = |low: u64, high: u64| rng.between(low, high) as i16;
    // Instances came late; before version 4 of JoinGroup nobody was told an id before it joined.
    let is_static = ways.instance.is_some();
    let join = if is_static { any(5, 9) } else { any(if ways.old { 0 } else { 4 }, if ways.old { 3 } else { 9 }) };
    let first = |of: u64| if is_static { of } else { 0 };
    let own = Versions {
        find: any(0, 6),
        join,
        sync: any(first(3), 5),
        heartbeat: any(first(3), 4),
        leave: any(first(3), 5),
    };
    (own, share::Versions { commit: any(first(7).max(2), 9), committed: any(1, 9), fetch: any(4, 12) })
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has to join.
    Out,
    /// It knows the generation, and not what it is to consume.
    Joined,
    /// It consumes.
    Stable,
}

/// See the module.
pub struct Member {
    ways: Ways,
    versions: Versions,
    rng: Prng,
    connection: Connection,
    /// It knows where its coordinator is.
    found: bool,
    state: State,
    /// Empty while it has none.
    id: String,
    generation: i32,
    protocol: String,
    /// If it leads: members and their topics; nothing if it shall not assign.
    leads: Vec<(String, Vec<String>)>,
    subscribed: Vec<usize>,
    share: Share,
    next_heartbeat: u64,
    not_before: u64,
    left: bool,
    stopping: bool,
}

impl Member {
    /// One that has not joined yet.
    pub fn new(ways: Ways, mut rng: Prng) -> Member {
        let (versions, of_share) = versions(&mut rng, &ways);
        Member {
            versions,
            connection: quick(&mut rng),
            rng,
            found: false,
            state: State::Out,
            id: String::new(),
            generation: -1,
            protocol: String::new(),
            leads: Vec::new(),
            subscribed: Vec::new(),
            share: Share::new(ways.group, of_share),
            ways,
            next_heartbeat: 0,
            not_before: 0,
            left: false,
            stopping: false,
        }
    }

    /// Who it is to the others: a static member stays the same when its id changes.
    fn identity(&self) -> &str {
        self.ways.instance.as_deref().unwrap_or(&self.id)
    }

    fn sleep(&mut self, port: &dyn Port, most_ms: u64) {
        self.not_before = port.now() + self.rng.below(most_ms.max(1) * MS);
    }

    /// It has no part in the group any more.
    fn out(&mut self) {
        self.state = State::Out;
        self.share.clear();
    }

    /// Another process in its place: what it knew is lost.
    fn die(&mut self, port: &mut dyn Port, history: &mut History) -> Result<(), Violation> {
        self.hang_up(port, history)?;
        self.out();
        self.id.clear();
        (self.versions, self.share.versions) = versions(&mut self.rng, &self.ways);
        self.sleep(port, 2 * self.ways.session_ms);
        Ok(())
    }

    fn hang_up(&mut self, port: &mut dyn Port, history: &mut History) -> Result<(), Violation> {
        if let Some(link) = self.connection.link {
            port.abort(link);
        }
        self.lost(port, history)
    }

    /// Does something that makes trouble; false if it does not this time.
    fn misbehave(&mut self, port: &mut dyn Port, history: &mut History) -> Result<bool, Violation> {
        match self.rng.below(400) {
            0..4 => self.die(port, history)?,
            // Asleep, with its connection open, perhaps beyond its session.
            4..8 => self.sleep(port, 2 * self.ways.session_ms),
            8..10 => self.hang_up(port, history)?,
            10..12 if self.state == State::Stable => self.leave(port, history),
            12..16 if self.state == State::Stable => self.out(),
            // Its SyncGroup never comes, or late.
            16..40 if self.state == State::Joined => {
                self.sleep(port, 2 * self.ways.rebalance_ms);
                if self.rng.chance(1, 2) {
                    self.out();
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn act(&mut self, port: &mut dyn Port, history: &mut History) {
        if !self.found {
            let group = &history.groups.all[self.ways.group].name;
            let request = requests::find(group, self.versions.find);
            return self.connection.ask(port, self.versions.find, &request, Some(Asked::FindCoordinator));
        }
        match self.state {
            State::Out => self.join(port, history),
            State::Joined => self.sync(port, history),
            State::Stable if self.subscribed != wanted(history, self.ways.group) && self.rng.chance(1, 4) => {
                // Old consumers give back what they have before they join again.
                if self.rng.chance(1, 2) {
                    self.commit(port, history);
                }
                self.out();
            }
            State::Stable if port.now() >= self.next_heartbeat => self.heartbeat(port, history),
            State::Stable if self.rng.chance(1, 6) => self.commit(port, history),
            State::Stable => {
                let who = Who { id: &self.id, instance: self.ways.instance.as_deref(), generation: self.generation };
                self.share.consume(port, history, &mut self.connection, &mut self.rng, &who);
            }
        }
    }

    /// Commits; now and then in the name of the generation before.
    fn commit(&mut self, port: &mut dyn Port, history: &mut History) {
        let is_late = !self.stopping && self.generation > 1 && self.rng.chance(1, 6);
        let generation = self.generation - i32::from(is_late);
        let who = Who { id: &self.id, instance: self.ways.instance.as_deref(), generation };
        self.share.commit(port, history, &mut self.connection, &who);
    }

    fn join(&mut self, port: &mut dyn Port, history: &mut History) {
        self.subscribed = wanted(history, self.ways.group);
        let topics: Vec<&str> = self.subscribed.iter().map(|topic| &*history.topics[*topic].name).collect();
        let version = self.rng.below(4) as i16;
        let padding = if self.ways.padding > 0 { self.rng.below(self.ways.padding) } else { 0 };
        let metadata = assignor::subscription(&topics, version, padding as usize);
        let mut protocols = assignor::PROTOCOLS.to_vec();
        // Both, always: of a group that was loaded only the one that it had chosen is known.
        if self.rng.chance(1, 2) {
            protocols.reverse();
        }
        let version = self.versions.join;
        let request = JoinGroupRequest::default()
            .with_group_id(requests::group(&history.groups.all[self.ways.group].name))
            .with_session_timeout_ms(self.ways.session_ms as i32)
            .with_rebalance_timeout_ms(if version >= 1 { self.ways.rebalance_ms as i32 } else { -1 })
            .with_member_id(requests::text(&self.id))
            .with_group_instance_id(self.ways.instance.as_deref().map(requests::text))
            .with_protocol_type(requests::text("consumer"))
            .with_protocols(protocols.into_iter().map(|name| requests::protocol(name, &metadata)).collect());
        let floor = history.groups.generation(self.ways.group);
        self.connection.ask(port, version, &request, Some(Asked::Join { floor }));
    }

    fn joined(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        floor: i32,
        answer: &JoinGroupResponse,
    ) -> Result<(), Violation> {
        match answer.error_code {
            code::NONE => {}
            code::ID_REQUIRED => {
                self.id = answer.member_id.to_string();
                return Ok(());
            }
            code::UNKNOWN_MEMBER | code::FENCED_INSTANCE => {
                self.id.clear();
                return Ok(());
            }
            code::GROUP_FULL => {
                self.id.clear();
                self.sleep(port, 50);
                return Ok(());
            }
            error => return self.refused(port, history, "join", error, &[code::REBALANCE]),
        }
        self.id = answer.member_id.to_string();
        self.generation = answer.generation_id;
        self.protocol = answer.protocol_name.as_deref().unwrap_or_default().to_string();
        self.state = State::Joined;
        self.next_heartbeat = 0;
        let members = answer.members.iter().map(|one| one.member_id.to_string()).collect();
        let is_leader = *answer.leader == *self.id && !answer.skip_assignment;
        let listed = answer.members.iter().map(|one| (one.member_id.to_string(), assignor::subscribed(&one.metadata)));
        self.leads = if is_leader { listed.collect() } else { Vec::new() };
        let (leader, protocol, member) = (&*answer.leader, &*self.protocol, &*self.id);
        let told = Told { floor, generation: self.generation, leader, protocol, member, members };
        history.groups.joined(self.ways.group, told)
    }

    fn sync(&mut self, port: &mut dyn Port, history: &mut History) {
        let count = |name: &str| history.topic_named(name).map_or(0, |topic| history.topics[topic].partitions.len());
        let shares = assignor::assign(&self.protocol, &self.leads, count);
        let group = self.ways.group;
        for (id, share) in &shares {
            history.groups.assigns(group, self.generation, id, share.clone());
        }
        let version = self.versions.sync;
        let named = |name: &str| (version >= 5).then(|| requests::text(name));
        let request = SyncGroupRequest::default()
            .with_group_id(requests::group(&history.groups.all[group].name))
            .with_generation_id(self.generation)
            .with_member_id(requests::text(&self.id))
            .with_group_instance_id(self.ways.instance.as_deref().map(requests::text))
            .with_protocol_type(named("consumer"))
            .with_protocol_name(named(&self.protocol))
            .with_assignments(shares.iter().map(|(id, share)| requests::share(id, share)).collect());
        let asked = Asked::Sync { generation: self.generation, asked: history.groups.moment() };
        self.connection.ask(port, version, &request, Some(asked));
    }

    fn synced(&mut self, history: &mut History, answer: &SyncGroupResponse) -> Result<(), Violation> {
        let group = self.ways.group;
        history.groups.assigned(group, self.generation, &self.id, &answer.assignment)?;
        let Some(parts) = assignor::assigned(&answer.assignment) else {
            return Err(Violation::new(Rule::BytesAreTrue, format!("{}: no assignment", self.id)));
        };
        let known = |(name, partition): (String, i32)| Some((history.topic_named(&name)?, partition as usize));
        let places: BTreeSet<Place> = parts.into_iter().filter_map(known).collect();
        history.groups.owns(group, self.generation, self.identity(), &places)?;
        // Others may have had them meanwhile: all begins where the group has committed.
        self.share.clear();
        self.share.set(&places);
        self.state = State::Stable;
        Ok(())
    }

    fn heartbeat(&mut self, port: &mut dyn Port, history: &mut History) {
        self.next_heartbeat = port.now() + self.rng.between(1, self.ways.session_ms / 4) * MS;
        let request = HeartbeatRequest::default()
            .with_group_id(requests::group(&history.groups.all[self.ways.group].name))
            .with_generation_id(self.generation)
            .with_member_id(requests::text(&self.id))
            .with_group_instance_id(self.ways.instance.as_deref().map(requests::text));
        let asked = Asked::Heartbeat { generation: self.generation, asked: history.groups.moment() };
        self.connection.ask(port, self.versions.heartbeat, &request, Some(asked));
    }

    fn leave(&mut self, port: &mut dyn Port, history: &mut History) {
        let version = self.versions.leave;
        let request = requests::leave(&history.groups.all[self.ways.group].name, version, &self.id);
        self.connection.ask(port, version, &request, Some(Asked::Leave));
        self.out();
        self.id.clear();
        self.left = true;
    }

    /// Looks at an error that a request to the coordinator got.
    fn refused(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        what: &str,
        error: i16,
        expected: &[i16],
    ) -> Result<(), Violation> {
        // Members of both protocols do not always understand each other.
        let strange = history.groups.all[self.ways.group].mixed && error == code::INCONSISTENT;
        if strange || history.explain_group(what, error, expected)? {
            self.found = false;
            self.sleep(port, 20);
        }
        match error {
            code::UNKNOWN_MEMBER | code::FENCED_INSTANCE => {
                self.id.clear();
                self.out();
            }
            code::OLD_GENERATION | code::REBALANCE => self.out(),
            _ => {}
        }
        Ok(())
    }

    /// The answer to something that only a member of `generation` may do.
    fn done(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        what: &str,
        error: i16,
        of: (i32, u64),
    ) -> Result<(), Violation> {
        let (generation, asked) = of;
        if error == code::NONE && what == "heartbeat" {
            // So it is answered, too, by a coordinator that loads and does not know generations yet.
            return Ok(());
        }
        if error == code::NONE {
            return history.groups.served(self.ways.group, generation, asked, what);
        }
        let mut expected = vec![code::OLD_GENERATION, code::UNKNOWN_MEMBER, code::REBALANCE];
        if self.ways.instance.is_some() {
            expected.push(code::FENCED_INSTANCE);
        }
        if generation != self.generation {
            // It has moved on since, or has only pretended.
            return history.explain_group(what, error, &expected).map(|_| ());
        }
        self.refused(port, history, what, error, &expected)
    }

    fn answered(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        waiting: Waiting,
        frame: Bytes,
    ) -> Result<(), Violation> {
        let version = waiting.version;
        match waiting.asked {
            Asked::FindCoordinator => {
                let (error, node) = requests::coordinator(decode(frame, version)?, version);
                self.found = error == code::NONE && port.reaches(node);
                if error == code::NONE { Ok(()) } else { self.refused(port, history, "find coordinator", error, &[]) }
            }
            Asked::Join { floor } => self.joined(port, history, floor, &decode(frame, version)?),
            Asked::Sync { generation, asked } => {
                let answer: SyncGroupResponse = decode(frame, version)?;
                self.done(port, history, "sync", answer.error_code, (generation, asked))?;
                let is_current = generation == self.generation && self.state == State::Joined;
                if answer.error_code == code::NONE && is_current { self.synced(history, &answer) } else { Ok(()) }
            }
            Asked::Heartbeat { generation, asked } => {
                let answer: HeartbeatResponse = decode(frame, version)?;
                self.done(port, history, "heartbeat", answer.error_code, (generation, asked))
            }
            Asked::Leave => {
                let error = requests::left(&decode(frame, version)?, version)?;
                let expected = [code::UNKNOWN_MEMBER, code::FENCED_INSTANCE];
                if error == code::NONE { Ok(()) } else { self.refused(port, history, "leave", error, &expected) }
            }
            _ => match self.share.answered(port, history, waiting, frame)? {
                Heard::Nothing => Ok(()),
                Heard::Refused(what, error) => self.refused(port, history, what, error, &[]),
                Heard::Commits { generation, asked, errors } => {
                    let of = (generation, asked);
                    errors.iter().try_for_each(|(error, _)| self.done(port, history, "commit", *error, of))
                }
            },
        }
    }

    /// True if it may go: the group has got everything. It leaves politely, or not.
    fn is_over(&mut self, port: &mut dyn Port, history: &mut History) -> bool {
        let looks = self.stopping && self.connection.outstanding() == 0;
        let looks = looks && (self.share.idle || self.state != State::Stable);
        if !looks || !self.left && history.missing(self.ways.group).is_some() {
            return false;
        }
        if self.state == State::Stable && self.rng.chance(1, 2) && self.connection.link.is_some() {
            self.leave(port, history);
            return false;
        }
        if let Some(link) = self.connection.link.take() {
            port.half_close(link);
        }
        true
    }
}

impl Client for Member {
    fn wake(&mut self, port: &mut dyn Port, history: &mut History) -> Result<Next, Violation> {
        if client::out_of_patience(port, history, &self.connection)? {
            self.hang_up(port, history)?;
        }
        if self.is_over(port, history) {
            return Ok(Next::Done);
        }
        let slow = if self.stopping && self.share.idle { 20 } else { 4 };
        let pause = Next::Wake(self.rng.between(100_000, slow * MS));
        let waits = port.now() < self.not_before || self.connection.outstanding() > 0;
        if waits || !self.connection.open(port, &mut self.rng) {
            return Ok(pause);
        }
        if self.stopping || !self.misbehave(port, history)? {
            self.act(port, history);
        }
        Ok(pause)
    }

    fn receive(&mut self, port: &mut dyn Port, history: &mut History, bytes: &[u8]) -> Result<(), Violation> {
        for (waiting, frame) in self.connection.receive(bytes)? {
            self.answered(port, history, waiting, frame)?;
        }
        Ok(())
    }

    fn lost(&mut self, _port: &mut dyn Port, _history: &mut History) -> Result<(), Violation> {
        self.connection.lost();
        self.found = false;
        self.share.doubt();
        Ok(())
    }

    fn link(&self) -> Option<u64> {
        self.connection.link
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.left = false;
    }

    fn follows(&self) -> bool {
        true
    }
}
