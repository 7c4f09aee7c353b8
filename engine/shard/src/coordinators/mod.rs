//! The coordinators of consumer groups on this shard: one for each partition of `__consumer_offsets` that this node leads
//! and whose log this shard owns.
//!
//! A coordinator is a state over its partition's records (`state/src/coordinator`). Here its records go into the log and
//! its answers wait for their commit; it is loaded by reading the log when this node begins to lead the partition
//! ([`load`]), and dropped when that ends or the log does not take a record, since its state is then ahead of the log.

mod load;
mod long;
mod progress;
mod records;

pub use records::decode as decode_group_record;

use crate::allowance::Allowance;
use crate::batch::{self, Record as BatchRecord};
use crate::groups::{Groups, KeptBack, Out};
use crate::mail::{Answer, Asker, Coordinated, CoordinatorPart, Unavailable};
use crate::refusal::Refusal;
use crate::settings::Settings;
use load::Load;
use long::LongFetch;
use progress::Scrape;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use torc_base::ids::GroupId;
use torc_base::io::Level;
use torc_base::prng::Prng;
use torc_base::time::Mono;
use torc_state::coordinator::cluster::Cluster;
use torc_state::coordinator::record::Record;
use torc_state::coordinator::request::Request;
use torc_state::coordinator::{Coordinator, Outcome, Text, Ticket, World};

/// Bytes of one batch of a coordinator's records, but for a record that is longer.
const BATCH_BYTES: usize = 512 << 10;
/// Milliseconds until a coordinator is tried again whose log takes nothing, or could not be read.
const PAUSE_MS: u64 = 1_000;
/// Coordinators whose timers have their turn in one turn of the shard.
const TICKS_MAX: usize = 16;

/// What coordinators work with.
pub struct Around<'a, 'b> {
    pub groups: &'a mut Groups,
    pub out: &'a mut Out<'b>,
    pub cluster: &'a dyn Cluster,
}

impl Around<'_, '_> {
    fn answer(&mut self, asker: Asker, position: u32, result: Coordinated) {
        self.out.answers.push_back((asker, Answer::Coordinated { position, result }));
    }
}

/// A partition of `__consumer_offsets`.
struct Seat {
    state: State,
    /// When its timers are due.
    armed: Option<Mono>,
}

enum State {
    Loading(Load),
    Serving(Box<Coordinator>),
    /// Its log makes no sense: it has said so, and serves nobody.
    Damaged,
}

/// The coordinators of one shard.
pub struct Coordinators {
    settings: Arc<Settings>,
    ids: Prng,
    seats: BTreeMap<GroupId, Seat>,
    due: BTreeSet<(Mono, GroupId)>,
    next_ticket: u64,
    /// Who waits for the answers that coordinators have not given yet.
    waiting: BTreeMap<Ticket, (Asker, u32, GroupId)>,
    tickets: BTreeSet<(Asker, Ticket)>,
    /// Requests that wait for room in the log, and those behind them, in the order of their coming.
    deferred: VecDeque<(Asker, CoordinatorPart)>,
    /// Requests that are answered over turns, one after the other.
    long: VecDeque<LongFetch>,
    /// What somebody from outside wants to know.
    scrape: Option<Scrape>,
    loads: load::Loads,
    /// The shard ends, or its log takes nothing more.
    closed: bool,
}

impl Coordinators {
    /// None yet.
    pub fn new(settings: Arc<Settings>) -> Coordinators {
        Coordinators {
            ids: Prng::new(settings.seed ^ 0xc002_d14a),
            settings,
            seats: BTreeMap::new(),
            due: BTreeSet::new(),
            next_ticket: 0,
            waiting: BTreeMap::new(),
            tickets: BTreeSet::new(),
            deferred: VecDeque::new(),
            long: VecDeque::new(),
            scrape: None,
            loads: load::Loads::default(),
            closed: false,
        }
    }

    /// The coordinator of a partition, if it serves.
    pub fn serving(&self, log: GroupId) -> Option<&Coordinator> {
        match &self.seats.get(&log)?.state {
            State::Serving(coordinator) => Some(coordinator),
            State::Loading(_) | State::Damaged => None,
        }
    }

    /// Takes questions in. Each part is answered by itself.
    pub fn ask(&mut self, around: &mut Around, asker: Asker, parts: Vec<CoordinatorPart>) {
        for part in parts {
            // Once one waits, all that come later wait behind it.
            if !self.deferred.is_empty() || (may_append(&part.request) && around.groups.is_busy()) {
                self.deferred.push_back((asker, part));
            } else {
                self.handle(around, asker, part);
            }
        }
    }

    /// Nobody waits for the answers to a question any more.
    pub fn cancel(&mut self, around: &mut Around, asker: Asker) {
        self.deferred.retain(|(other, _)| *other != asker);
        self.long.retain(|long| long.asker() != asker);
        let tickets: Vec<Ticket> =
            self.tickets.range((asker, Ticket(0))..=(asker, Ticket(u64::MAX))).map(|(_, t)| *t).collect();
        for ticket in tickets {
            self.tickets.remove(&(asker, ticket));
            let (_, _, log) = self.waiting.remove(&ticket).expect("both or none");
            self.step(around, log, |coordinator, world| coordinator.cancel(world, ticket));
        }
    }

    /// A topic is gone, and so is what was committed for it.
    pub fn topic_deleted(&mut self, around: &mut Around, topic: &Text) {
        let serving = self.seats.iter().filter(|(_, seat)| matches!(seat.state, State::Serving(_)));
        let logs: Vec<GroupId> = serving.map(|(log, _)| *log).collect();
        for log in logs {
            self.step(around, log, |coordinator, world| coordinator.topic_deleted(world, topic));
        }
    }

    /// This node does not lead the partition any more.
    pub fn leave(&mut self, around: &mut Around, log: GroupId) {
        if let Some(seat) = self.seats.remove(&log) {
            if let Some(at) = seat.armed {
                self.due.remove(&(at, log));
            }
            self.drop_waiting(around, log);
        }
    }

    /// The shard ends, or its log takes nothing more: nothing is coordinated here from now on.
    pub fn close(&mut self, around: &mut Around) {
        self.closed = true;
        let logs: Vec<GroupId> = self.seats.keys().copied().collect();
        logs.into_iter().for_each(|log| self.leave(around, log));
        for (asker, part) in std::mem::take(&mut self.deferred) {
            around.answer(asker, part.position, Err(Unavailable::NotCoordinator));
        }
    }

    /// What waited for room, timers that are due, and the next pieces of what is loaded.
    pub fn turn(&mut self, around: &mut Around, allowance: &mut Allowance) {
        while let Some((_, part)) = self.deferred.front() {
            if may_append(&part.request) && around.groups.is_busy() {
                break;
            }
            let (asker, part) = self.deferred.pop_front().expect("looked at above");
            self.handle(around, asker, part);
        }
        for _ in 0..TICKS_MAX {
            let Some(&(at, log)) = self.due.first().filter(|(at, _)| *at <= around.out.now.mono) else { break };
            if around.groups.refuses_records() {
                // Members whose time is up now are looked at when this can be written down.
                self.arm(log, Some(at.max(around.out.now.mono).plus_ms(PAUSE_MS)));
                continue;
            }
            self.step(around, log, |coordinator, world| coordinator.tick(world));
        }
        self.turn_loads(around);
        self.turn_long(around, allowance);
    }

    /// When the next turn is due at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let timer = self.due.first().map(|(at, _)| *at);
        // Requests in line wait for the log, whose completion makes a turn.
        let long = (!self.long.is_empty() || self.scrape.is_some()).then_some(Mono(0));
        timer.into_iter().chain(self.loads.deadline()).chain(long).min()
    }

    fn handle(&mut self, around: &mut Around, asker: Asker, part: CoordinatorPart) {
        let CoordinatorPart { position, log, request } = part;
        let refused = match self.seats.get(&log).map(|seat| &seat.state) {
            None => Some(Unavailable::NotCoordinator),
            Some(State::Loading(_)) => Some(Unavailable::Loading),
            Some(State::Damaged) => Some(Unavailable::NoRoom),
            Some(State::Serving(_)) if may_append(&request) && around.groups.refuses_records() => {
                Some(Unavailable::NoRoom)
            }
            Some(State::Serving(_)) => None,
        };
        if let (Some(Unavailable::NoRoom), Request::ConsumerHeartbeat(beat)) = (refused, &request) {
            self.step(around, log, |coordinator, world| coordinator.put_off(world, beat));
        }
        if let Some(refused) = refused {
            return around.answer(asker, position, Err(refused));
        }
        let Some(request) = self.begin_long(asker, position, log, request) else { return };
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let asking = Some((ticket, asker, position));
        self.step_for(around, log, asking, |coordinator, world| coordinator.handle(world, ticket, request));
    }

    /// One step of a coordinator, if it serves: its records go into the log, its answers wait for them.
    fn step(
        &mut self,
        around: &mut Around,
        log: GroupId,
        work: impl FnOnce(&mut Coordinator, &mut World<'_>) -> Outcome,
    ) {
        self.step_for(around, log, None, work);
    }

    /// The same, with the request that it takes up.
    fn step_for(
        &mut self,
        around: &mut Around,
        log: GroupId,
        asking: Option<(Ticket, Asker, u32)>,
        work: impl FnOnce(&mut Coordinator, &mut World<'_>) -> Outcome,
    ) {
        let Some(Seat { state: State::Serving(coordinator), .. }) = self.seats.get_mut(&log) else { return };
        // The partition may have got replicas whose logs take less.
        coordinator.set_record_bytes_max(around.groups.record_bytes_max(log));
        let mut world = World { now: around.out.now, ids: &mut self.ids, cluster: around.cluster };
        let outcome = work(coordinator, &mut world);
        let next = coordinator.next_deadline();
        self.arm(log, next);
        self.carry_out(around, log, asking, outcome);
    }

    /// Sets when a coordinator's timers are due.
    fn arm(&mut self, log: GroupId, at: Option<Mono>) {
        let Some(seat) = self.seats.get_mut(&log) else { return };
        if seat.armed == at {
            return;
        }
        if let Some(before) = std::mem::replace(&mut seat.armed, at) {
            self.due.remove(&(before, log));
        }
        self.due.extend(at.map(|at| (at, log)));
    }

    fn carry_out(
        &mut self,
        around: &mut Around,
        log: GroupId,
        mut asking: Option<(Ticket, Asker, u32)>,
        outcome: Outcome,
    ) {
        self.note_changes(log, &outcome.records);
        let mut answers = Vec::with_capacity(outcome.answers.len());
        for (ticket, response) in outcome.answers {
            let to = asking.take_if(|(asking, ..)| *asking == ticket).map(|(_, asker, position)| (asker, position));
            // Whoever is not there has gone.
            let Some((asker, position)) = to.or_else(|| self.stop_waiting(ticket)) else { continue };
            let answer = Answer::Coordinated { position, result: Ok(Box::new(response)) };
            answers.push(KeptBack { asker, answer, lost });
        }
        // Most requests are answered at once, and have not waited.
        if let Some((ticket, asker, position)) = asking {
            self.waiting.insert(ticket, (asker, position, log));
            self.tickets.insert((asker, ticket));
        }
        if outcome.records.is_empty() {
            return answers.into_iter().for_each(|answer| around.groups.answer_behind(around.out, log, answer));
        }
        if let Err(refusal) = append(around, log, &outcome.records, answers) {
            let text =
                format!("group {log}: a coordinator's records could not be written ({refusal:?}): it is loaded anew");
            around.out.log(Level::Warn, text);
            self.lose(around, log);
        }
    }

    /// Takes somebody off the list of those who wait.
    fn stop_waiting(&mut self, ticket: Ticket) -> Option<(Asker, u32)> {
        let (asker, position, _) = self.waiting.remove(&ticket)?;
        self.tickets.remove(&(asker, ticket));
        Some((asker, position))
    }

    /// The log has not taken what the coordinator has done: it begins anew with what the log has.
    fn lose(&mut self, around: &mut Around, log: GroupId) {
        self.leave(around, log);
        let at = around.out.now.mono.plus_ms(PAUSE_MS);
        self.begin_load(around, log, at);
    }

    /// Whoever waits for a coordinator's answer looks for the coordinator again.
    fn drop_waiting(&mut self, around: &mut Around, log: GroupId) {
        let waits = self.waiting.iter().filter(|(_, (_, _, of))| *of == log);
        let gone: Vec<Ticket> = waits.map(|(ticket, _)| *ticket).collect();
        self.drop_long(around, log);
        for ticket in gone {
            let (asker, position) = self.stop_waiting(ticket).expect("just seen");
            around.answer(asker, position, Err(Unavailable::NotCoordinator));
        }
    }
}

/// True if the answer may need records in the log.
fn may_append(request: &Request) -> bool {
    !matches!(request, Request::Heartbeat(_) | Request::Fetch(_) | Request::Describe { .. } | Request::List(_))
        && !matches!(request, Request::ConsumerDescribe { .. })
}

/// What is answered when the log has lost what an answer tells.
fn lost(answer: Answer, _: Refusal) -> Answer {
    let Answer::Coordinated { position, .. } = answer else { unreachable!("coordinators answer so") };
    Answer::Coordinated { position, result: Err(Unavailable::NotCoordinator) }
}

/// Appends records in batches; the answers leave when the last one is committed, or say that it never will be.
fn append(around: &mut Around, log: GroupId, records: &[Record], answers: Vec<KeptBack>) -> Result<(), Refusal> {
    let timestamp = around.out.now.wall.0;
    let most = BATCH_BYTES.min(around.groups.record_bytes_max(log));
    let pairs: Vec<(Vec<u8>, Option<Vec<u8>>)> = records.iter().map(records::encode).collect();
    let mut rest = &pairs[..];
    let mut answers = Some(answers);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |(key, value): &&(Vec<u8>, Option<Vec<u8>>)| {
            bytes += batch::RECORD_HEAD_BYTES + key.len() + value.as_ref().map_or(0, Vec::len);
            bytes <= most
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (batch, behind) = rest.split_at(count);
        rest = behind;
        let batch: Vec<BatchRecord> = batch
            .iter()
            .map(|(key, value)| BatchRecord { timestamp, key: Some(key), value: value.as_deref(), headers: &[] })
            .collect();
        let with = if rest.is_empty() { answers.take().expect("the last batch") } else { Vec::new() };
        if let Err(refusal) = around.groups.append_records(around.out, log, &batch, with) {
            for KeptBack { asker, answer, lost } in answers.into_iter().flatten() {
                around.out.answers.push_back((asker, lost(answer, refusal)));
            }
            return Err(refusal);
        }
    }
    Ok(())
}
