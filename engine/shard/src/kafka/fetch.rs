//! Fetch: asks the owners, waits until there is enough or the time is up, sends record bytes from where they lie. Of a fetch that
//! names many partitions each of these steps goes over turns.

use super::brokers::broker_id;
use super::lines::{FETCH_COST, cost};
use super::sessions::{Key, Planning, Wanted};
use super::view::View;
use super::{Kafka, Out, Pending, ReplyTo, Waiting, code, view};
use crate::allowance::Part;
use crate::mail::{Answer, Ask, FetchPart, Fetched, ReadFrom, Token};
use crate::outbox::{Piece, Stretch};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::stages::Path;
use crate::stats::add;
use std::collections::{BTreeMap, VecDeque};
use torc_base::ids::{ConnId, GroupId, NodeId, Offset, Place};
use torc_base::io::{Level, Op};
use torc_base::limits::{FETCH_BYTES_MAX, PIECE_BYTES_MIN, TURN_ITEMS_FREE};
use torc_base::time::Mono;
use torc_base::turns::Work;
use torc_net::kafka::fetch::{PartitionData, Request, Response, TopicData};
use torc_net::kafka::{self, CurrentLeader, error, fetch};

/// Isolation level of a fetch.
const READ_COMMITTED: i8 = 1;
/// From this version on consumers may say where they are, and then read from followers (KIP-392).
const WITH_RACKS: i16 = 11;
/// How long a fetch whose time is up may still wait for memory.
const MEMORY_WAIT_MS: u64 = 1_000;

/// One partition of a waiting fetch.
struct Spot {
    key: Key,
    wanted: Wanted,
    group: Result<GroupId, i16>,
    fetched: Option<Result<Fetched, Refusal>>,
}

/// What the connection's other fetches do meanwhile: they wait, so that a consumer holds one answer at most.
#[derive(Default)]
pub(super) struct ConnFetches {
    /// One is being answered.
    active: bool,
    later: VecDeque<(ReplyTo, Request)>,
}

/// A fetch whose answer is being put together.
pub(super) struct Gather {
    /// Its session, and whether only what changed is answered.
    plan: (i32, bool),
    /// It names many partitions, and has turns for them.
    is_long: bool,
    /// The client reads only what is committed, and is told which transactions were not.
    committed: bool,
    /// Followers may be read.
    any_replica: bool,
    /// Where the consumer is; empty: it does not say.
    rack: String,
    places: Vec<Spot>,
    min_bytes: usize,
    max_bytes: usize,
    /// When its time is up and it is answered with what there is; from then on, when it has waited for memory long enough.
    deadline: Mono,
    stage: Stage,
    /// Memory for answers that is taken for the present round.
    reserved: usize,
    /// A watch has fired while a round was under way.
    woken: bool,
    timed_out: bool,
    /// It has waited for memory long enough, too: nothing more is waited for.
    hurried: bool,
    /// When the present round began, or the wait for records behind it.
    since: Mono,
    /// Nanoseconds of waiting for records, and of rounds that needed the disk.
    waited_ns: u64,
    read_ns: u64,
}

/// Fetches that wait for memory for their answers, in order.
#[derive(Default)]
pub(super) struct Parked {
    line: VecDeque<Token>,
    part: Part,
    /// There may be memory, and the turn had no more for them.
    pub(super) is_due: bool,
}

/// Long fetches that wait for their turn to go on, in order.
#[derive(Default)]
pub(super) struct LongFetches {
    line: VecDeque<Token>,
    part: Part,
}

impl LongFetches {
    /// True if one may go on.
    pub(super) fn is_due(&self) -> bool {
        !self.line.is_empty()
    }
}

/// What a fetch waits for.
enum Stage {
    /// Its turn to have looked up what it reads.
    Planning(Box<Planning>),
    /// Memory to be answered into.
    Parked,
    /// Owners, or its turn to ask them for more partitions.
    Round(Round),
    /// Owners that count bytes. `had`: bytes that there were before.
    Watching { had: u64, owners: BTreeMap<Place, Watched> },
    /// Its turn to be told what was read.
    Telling(Telling),
}

/// All partitions are read once.
struct Round {
    /// Owners whose answer is missing.
    missing: Vec<Place>,
    /// The first partition whose owner was not asked, and whether any was.
    next: usize,
    asked: bool,
    /// One owner alone is asked.
    only: Option<Place>,
    /// Bytes that it has brought.
    brought: usize,
}

/// An answer that is being written.
struct Telling {
    rest: std::vec::IntoIter<Spot>,
    response: Response,
    /// Bytes of records that there is room for, and whether there are any.
    budget: usize,
    any: bool,
    /// Whose records the answer has, in its order; and who leads what could not be read.
    groups: Vec<GroupId>,
    leaders: Vec<CurrentLeader>,
}

/// What one owner counts.
#[derive(Default)]
struct Watched {
    parts: Vec<(GroupId, u64)>,
    counted: u64,
}

impl Gather {
    fn fetched(&self) -> impl Iterator<Item = &Fetched> {
        self.places.iter().filter_map(|place| place.fetched.as_ref()?.as_ref().ok())
    }

    fn bytes(&self) -> usize {
        self.fetched().map(|fetched| fetched.bytes).sum()
    }

    /// A partition was not read to its end: what it gave is not enough for the reader only because of where the log
    /// was cut, and nothing would wake a reader that waits.
    fn has_more(&self) -> bool {
        self.fetched().any(|fetched| fetched.more && fetched.bytes > 0)
    }

    /// The consumer is to read something elsewhere, and shall know at once.
    fn is_elsewhere(&self) -> bool {
        self.fetched().any(|fetched| fetched.elsewhere.is_some())
    }

    /// A partition that exists cannot be read. One that does not exist is told of with the others, as in Kafka: it
    /// stays in a client's session for a while, and must not make every answer come at once.
    fn has_error(&self) -> bool {
        self.places.iter().any(|place| matches!(place.fetched, Some(Err(_))))
    }

    /// Bytes that the client would take of all partitions together.
    fn wants(&self) -> usize {
        let of_place = |place: &Spot| usize::try_from(place.wanted.max_bytes).unwrap_or(0).max(1);
        let all = self.places.iter().map(of_place).fold(0, usize::saturating_add);
        all.min(self.max_bytes)
    }
}

impl Kafka {
    pub(super) fn fetch(&mut self, out: &mut Out, to: ReplyTo, request: Request) {
        let full = out.conns.held(to.conn) > PIECE_BYTES_MIN;
        let fetches = self.fetches.entry(to.conn).or_default();
        if fetches.active || full || !fetches.later.is_empty() {
            return fetches.later.push_back((to, request));
        }
        self.begin_fetch(out, to, request);
    }

    /// The next fetch of a connection begins when the answer to the one before it has left, all but a little.
    pub(super) fn next_fetch(&mut self, out: &mut Out, conn: ConnId) {
        while let Some(fetches) = self.fetches.get_mut(&conn) {
            if fetches.active || (out.conns.held(conn) > PIECE_BYTES_MIN && !fetches.later.is_empty()) {
                return;
            }
            let Some((to, request)) = fetches.later.pop_front() else {
                self.fetches.remove(&conn);
                return;
            };
            self.begin_fetch(out, to, request);
        }
    }

    fn begin_fetch(&mut self, out: &mut Out, to: ReplyTo, request: Request) {
        self.fetches.entry(to.conn).or_default().active = true;
        let items = self.fetch_items(&request);
        let request = kafka::Request::Fetch(request);
        if self.many.is_full(items, out.conns) {
            return self.many.push(to, request, items);
        }
        let cost = cost(&request, items);
        self.many.charge(items, cost);
        out.conns.charge(to.conn, cost);
        let kafka::Request::Fetch(request) = request else { unreachable!("just made") };
        self.start_fetch(out, to, request);
    }

    /// Partitions that a fetch names or reads.
    pub(super) fn fetch_items(&self, request: &Request) -> usize {
        let named: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
        let forgotten: usize = request.forgotten.iter().map(|topic| topic.partitions.len()).sum();
        named + forgotten + self.sessions.partitions(request.session_id)
    }

    /// Begins a fetch whose turn it is.
    pub(super) fn start_fetch(&mut self, out: &mut Out, to: ReplyTo, request: Request) {
        let is_long = self.fetch_items(&request) > TURN_ITEMS_FREE;
        let Request { session_id, session_epoch, topics, forgotten, .. } = request;
        let (session, by_id) = ((session_id, session_epoch), to.version >= fetch::BY_ID);
        let (mut places, mut left) = (Vec::new(), stride(out, is_long));
        let before = left;
        let planned = self.sessions.plan(out.now.mono, by_id, session, topics, forgotten).and_then(|mut planning| {
            let read = |key, wanted| places.push(spot(&self.view, by_id, key, wanted));
            let plan = self.sessions.plan_on(out.now.mono, &mut planning, &mut left, read)?;
            Ok((plan, planning))
        });
        let (plan, planning) = match planned {
            Ok(planned) => planned,
            Err(code) => {
                self.refuse_fetch(out, to, code);
                return self.end_fetch(out, to.conn);
            }
        };
        let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0);
        // Who waits for no records waits for memory all the same: its client would ask again and again, and stand last each time.
        let timed_out = wait_ms == 0 || self.draining || out.conns.has_ended(to.conn);
        let gather = Gather {
            // A session that goes on is busy until then.
            plan: plan.unwrap_or((planning.session(), false)),
            is_long,
            committed: request.isolation_level == READ_COMMITTED,
            // Who does not say where it is wants the leader, and is to know at once when that is another node.
            any_replica: to.version >= WITH_RACKS && request.replica_id < 0 && !request.rack_id.is_empty(),
            rack: request.rack_id,
            places,
            min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
            // The first batch is sent however small the bound is.
            max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).clamp(1, FETCH_BYTES_MAX),
            deadline: out.now.mono.plus_ms(if timed_out { MEMORY_WAIT_MS } else { wait_ms }),
            stage: if plan.is_some() { Stage::Parked } else { Stage::Planning(Box::new(planning)) },
            reserved: 0,
            woken: false,
            timed_out,
            hurried: false,
            since: out.now.mono,
            waited_ns: 0,
            read_ns: 0,
        };
        let deadline = gather.deadline;
        let token = self.wait(out, to, Waiting::Fetch(Box::new(gather)));
        self.deadlines.insert((deadline, token));
        self.charge_steps(out, token, before - left);
        match plan {
            Some(_) => self.fetch_round(out, token, None),
            None => self.long_fetches.line.push_back(token),
        }
    }

    fn refuse_fetch(&mut self, out: &mut Out, to: ReplyTo, code: i16) {
        let response = Response { error: code, session_id: 0, ..Response::default() };
        self.send_fetch(out, to, response, &[], Path::Other);
    }

    /// Partitions of a fetch were gone through. (Of a short one they were counted when it came.)
    fn charge_steps(&self, out: &mut Out, token: Token, steps: usize) {
        if let Some(Pending { to, what: Waiting::Fetch(gather), .. }) = self.pending.get(&token)
            && gather.is_long
        {
            out.conns.charge(to.conn, steps);
        }
    }

    /// A new turn: long fetches go on, each for a part of it.
    pub(super) fn turn_fetches(&mut self, out: &mut Out) {
        self.long_fetches.part.begin_turn(&out.conns.allowance);
        let work = self.stats.turns.at(Work::Fetch);
        for _ in 0..self.long_fetches.line.len() {
            if !self.long_fetches.part.may_go(&out.conns.allowance) {
                break;
            }
            let Some(token) = self.long_fetches.line.pop_front() else { break };
            let (before, part) = (out.conns.allowance.left(), out.conns.allowance.part());
            self.go_on(out, token, part);
            let steps = before - out.conns.allowance.left();
            self.long_fetches.part.charge(usize::try_from(steps).unwrap_or(0));
        }
        self.stats.turns.at(work);
    }

    /// Goes on with a fetch for `left` partitions.
    fn go_on(&mut self, out: &mut Out, token: Token, left: usize) {
        match self.gather_mut(token).map(|gather| &gather.stage) {
            Some(Stage::Planning(_)) => self.plan_on(out, token, left),
            Some(Stage::Round(round)) if round.missing.is_empty() => self.ask_owners(out, token, left),
            Some(Stage::Telling(_)) => self.tell_on(out, token, left),
            // It is gone, or waits for something else.
            _ => {}
        }
    }

    fn plan_on(&mut self, out: &mut Out, token: Token, mut left: usize) {
        let Some(Pending { to, what: Waiting::Fetch(gather), .. }) = self.pending.get_mut(&token) else { return };
        let (to, by_id, before) = (*to, to.version >= fetch::BY_ID, left);
        let Gather { stage: Stage::Planning(planning), places, .. } = &mut **gather else { return };
        let read = |key, wanted| places.push(spot(&self.view, by_id, key, wanted));
        let planned = self.sessions.plan_on(out.now.mono, planning, &mut left, read);
        self.charge_steps(out, token, before - left);
        match planned {
            Ok(None) => self.long_fetches.line.push_back(token),
            Ok(Some(plan)) => {
                let gather = self.gather_mut(token).expect("seen above");
                (gather.plan, gather.stage) = (plan, Stage::Parked);
                self.fetch_round(out, token, None);
            }
            Err(code) => {
                let Waiting::Fetch(gather) = self.done(out, token).what else { unreachable!("it was one") };
                self.deadlines.remove(&(gather.deadline, token));
                self.refuse_fetch(out, to, code);
                self.end_fetch(out, to.conn);
            }
        }
    }

    fn gather_mut(&mut self, token: Token) -> Option<&mut Gather> {
        match self.pending.get_mut(&token).map(|pending| &mut pending.what) {
            Some(Waiting::Fetch(gather)) => Some(gather),
            _ => None,
        }
    }

    /// Asks all owners once, or `only` one, if there is memory for what they may give.
    fn fetch_round(&mut self, out: &mut Out, token: Token, only: Option<Place>) {
        let pending = self.pending.get_mut(&token).expect("it waits");
        let conn = pending.to.conn;
        let Waiting::Fetch(gather) = &mut pending.what else { unreachable!("it is a fetch") };
        assert_eq!(gather.reserved, 0, "a round gives back what it took");
        gather.woken = false;
        gather.since = out.now.mono;
        let wants = if gather.hurried { 0 } else { gather.wants() };
        let share = out.conns.share_of_answers(conn);
        if wants > share && share < PIECE_BYTES_MIN {
            gather.stage = Stage::Parked;
            return self.parked.line.push_back(token);
        }
        gather.reserved = wants.min(share);
        gather.stage = Stage::Round(Round { missing: Vec::new(), next: 0, asked: false, only, brought: 0 });
        out.conns.answers().take(gather.reserved);
        let left = stride(out, gather.is_long);
        self.ask_owners(out, token, left);
    }

    /// Asks the owners of up to `left` more partitions.
    fn ask_owners(&mut self, out: &mut Out, token: Token, mut left: usize) {
        let Some(Pending { to, what: Waiting::Fetch(gather), .. }) = self.pending.get_mut(&token) else { return };
        let (conn, gather) = (to.conn, &mut **gather);
        let Stage::Round(round) = &mut gather.stage else { return };
        let before = round.next;
        let mut asks: BTreeMap<Place, Vec<FetchPart>> = BTreeMap::new();
        while left > 0
            && let Some(place) = gather.places.get_mut(round.next)
        {
            let position = round.next as u32;
            left -= 1;
            round.next += 1;
            let Ok(group) = place.group else { continue };
            let from = match gather.any_replica {
                true => ReadFrom::Any { near: near(&self.settings, &self.view, &place.key, group, &gather.rack) },
                false => ReadFrom::Leader,
            };
            let owner = self.settings.owner(group);
            if round.only.is_some_and(|only| only != owner) {
                continue;
            }
            place.fetched = None;
            let part = FetchPart {
                position,
                group,
                offset: Offset(place.wanted.offset),
                max_bytes: usize::try_from(place.wanted.max_bytes).unwrap_or(0),
                epoch: place.wanted.epoch,
                from,
            };
            asks.entry(owner).or_default().push(part);
        }
        round.missing = asks.keys().copied().collect();
        round.asked |= !asks.is_empty();
        let (asked, is_whole) = (round.asked, round.next == gather.places.len());
        // With several owners each holds what it has read while others wait: then none may wait for memory. Nor does who has some.
        let may_wait = asks.len() == 1 && !gather.hurried && round.brought == 0;
        let max_bytes = if gather.hurried { 0 } else { gather.reserved.saturating_sub(round.brought) };
        let (is_idle, steps) = (asks.is_empty(), round.next - before);
        for (owner, parts) in asks {
            out.asks.push_back((owner, token, Ask::Fetch { conn, parts, max_bytes, may_wait }));
        }
        self.charge_steps(out, token, steps);
        match (is_idle, is_whole) {
            (false, _) => {}
            (true, false) => self.long_fetches.line.push_back(token),
            (true, true) if asked => self.fetch_round_done(out, token),
            // Nothing can be read, so there is nothing to wait for.
            (true, true) => self.finish_fetch(out, token),
        }
    }

    /// Fetches that found no memory for their answers try again, in order, until one finds none or the turn has enough.
    pub(super) fn retry_parked(&mut self, out: &mut Out) {
        self.parked.part.begin_turn(&out.conns.allowance);
        self.parked.is_due = false;
        for _ in 0..self.parked.line.len() {
            let Some(token) = self.parked.line.pop_front() else { return };
            let Some(gather) = self.gather_mut(token).filter(|gather| matches!(gather.stage, Stage::Parked)) else {
                continue;
            };
            // A long one is counted as it goes on.
            let cost = if gather.is_long { TURN_ITEMS_FREE } else { FETCH_COST * gather.places.len() };
            if !self.parked.part.may_go(&out.conns.allowance) {
                self.parked.is_due = true;
                return self.parked.line.push_front(token);
            }
            self.fetch_round(out, token, None);
            if self.parked.line.back() == Some(&token) {
                self.parked.line.rotate_right(1);
                return;
            }
            self.parked.part.charge(cost);
            out.conns.allowance.charge(cost);
        }
    }

    /// An owner's answer, or its word that there is more now.
    pub(super) fn fetch_answer(&mut self, out: &mut Out, token: Token, answer: Answer) {
        let settings = std::sync::Arc::clone(&self.settings);
        let gather = self.gather_mut(token).expect("looked at by the caller");
        match answer {
            Answer::Fetched(parts) => {
                let owner = parts.first().and_then(|(position, _)| gather.places[*position as usize].group.ok());
                let owner = settings.owner(owner.expect("an owner was asked for partitions, and answers all of them"));
                let Stage::Round(round) = &mut gather.stage else { panic!("no round is under way") };
                for (position, fetched) in parts {
                    round.brought += fetched.as_ref().map_or(0, |fetched| fetched.bytes);
                    gather.places[position as usize].fetched = Some(fetched);
                }
                round.missing.retain(|shard| *shard != owner);
                if round.missing.is_empty() {
                    let left = stride(out, gather.is_long);
                    match round.next == gather.places.len() {
                        true => self.fetch_round_done(out, token),
                        false => self.ask_owners(out, token, left),
                    }
                }
            }
            Answer::Wake { place, bytes } => self.woken(out, token, place, bytes),
            other => unreachable!("{other:?} was filtered by the caller"),
        }
    }

    fn fetch_round_done(&mut self, out: &mut Out, token: Token) {
        let settings = std::sync::Arc::clone(&self.settings);
        let gather = self.gather_mut(token).expect("it waits");
        if gather.fetched().any(|fetched| fetched.cold) {
            gather.read_ns += out.now.mono.since(gather.since);
        }
        let enough = gather.bytes() >= gather.min_bytes.clamp(1, gather.max_bytes);
        let stop = gather.hurried || gather.has_error() || gather.bytes() > 0;
        // Nothing was read for want of memory: then one owner alone is asked, which may wait for it.
        let no_room = |place: &&Spot| matches!(&place.fetched, Some(Ok(fetched)) if fetched.no_room);
        let short = gather.places.iter().find(no_room).filter(|_| !stop).and_then(|place| place.group.ok());
        let told = gather.has_error() || gather.is_elsewhere();
        let ends = enough || gather.has_more() || gather.timed_out || told || gather.min_bytes == 0;
        let again = std::mem::take(&mut gather.woken);
        if short.is_none() && ends {
            return self.finish_fetch(out, token);
        }
        out.conns.answers().give(std::mem::take(&mut gather.reserved));
        match short {
            Some(group) => self.fetch_round(out, token, Some(settings.owner(group))),
            None if again => self.fetch_round(out, token, None),
            None => self.watch(out, token),
        }
    }

    /// Asks the owners to say when there is as much more as is wanted.
    fn watch(&mut self, out: &mut Out, token: Token) {
        let settings = std::sync::Arc::clone(&self.settings);
        let gather = self.gather_mut(token).expect("it waits");
        gather.since = out.now.mono;
        let had = gather.bytes() as u64;
        let mut owners: BTreeMap<Place, Watched> = BTreeMap::new();
        for place in &mut gather.places {
            if let (Ok(group), Some(Ok(fetched))) = (place.group, &mut place.fetched) {
                owners.entry(settings.owner(group)).or_default().parts.push((group, fetched.committed_bytes));
                // What was read is read again: it is not kept in memory while nobody knows for how long.
                fetched.records = Vec::new();
            }
        }
        let need = (gather.min_bytes as u64 - had).div_ceil(owners.len() as u64);
        for (owner, watched) in &owners {
            out.asks.push_back((*owner, token, Ask::Watch { parts: watched.parts.clone(), need }));
        }
        gather.stage = Stage::Watching { had, owners };
    }

    /// An owner has counted what it was asked to. If that is not all that is wanted, all go on counting.
    fn woken(&mut self, out: &mut Out, token: Token, place: Place, bytes: u64) {
        let gather = self.gather_mut(token).expect("looked at by the caller");
        let wanted = gather.min_bytes.min(gather.max_bytes) as u64;
        let Stage::Watching { had, owners } = &mut gather.stage else {
            // It was on its way when the watch ended.
            gather.woken = true;
            return;
        };
        let Some(watched) = owners.get_mut(&place) else { return };
        watched.counted = bytes;
        let all = owners.values().map(|watched| watched.counted).fold(*had, u64::saturating_add);
        if all < wanted {
            // Each may have counted more than it has told: what is missing is given out anew.
            let part = (wanted - all).div_ceil(owners.len() as u64);
            for (owner, Watched { parts, counted }) in owners {
                let ask = Ask::Watch { parts: parts.clone(), need: *counted + part };
                out.asks.push_back((*owner, token, ask));
            }
            return;
        }
        gather.waited_ns += out.now.mono.since(gather.since);
        self.unwatch(out, token);
        self.fetch_round(out, token, None);
    }

    fn unwatch(&mut self, out: &mut Out, token: Token) {
        let Some(gather) = self.gather_mut(token) else { return };
        if let Stage::Watching { owners, .. } = std::mem::replace(&mut gather.stage, Stage::Parked) {
            out.asks.extend(owners.into_keys().map(|owner| (owner, token, Ask::Unwatch)));
        }
    }

    /// The time of a fetch is up: whatever there is now is its answer. One that waits for memory is given some time
    /// more, then it is answered without records: its client asks again.
    pub(super) fn fetch_timeout(&mut self, out: &mut Out, token: Token) {
        let draining = self.draining;
        let Some(gather) = self.gather_mut(token) else { return };
        let late = std::mem::replace(&mut gather.timed_out, true) && out.now.mono >= gather.deadline;
        match &gather.stage {
            Stage::Watching { .. } => {
                gather.waited_ns += out.now.mono.since(gather.since);
                self.unwatch(out, token);
                self.fetch_round(out, token, None);
            }
            Stage::Parked if late || draining => {
                gather.hurried = true;
                self.fetch_round(out, token, None);
            }
            Stage::Planning(_) if late || draining => gather.hurried = true,
            Stage::Round(Round { missing, .. }) if late || draining => {
                gather.hurried = true;
                out.asks.extend(missing.iter().map(|owner| (*owner, token, Ask::Hurry { wanted: true })));
            }
            Stage::Planning(_) | Stage::Parked | Stage::Round(_) | Stage::Telling(_) => {}
        }
        // Once more, if it still waits.
        if let Some(gather) = self.gather_mut(token)
            && !gather.hurried
        {
            let deadline = out.now.mono.plus_ms(MEMORY_WAIT_MS);
            let before = std::mem::replace(&mut gather.deadline, deadline);
            self.deadlines.remove(&(before, token));
            self.deadlines.insert((deadline, token));
        }
    }

    /// The connection of a fetch is gone.
    pub(super) fn forget_fetch(&mut self, out: &mut Out, token: Token, gather: &Gather) {
        self.deadlines.remove(&(gather.deadline, token));
        self.sessions.idle(gather.plan.0);
        out.conns.answers().give(gather.reserved);
        match &gather.stage {
            Stage::Planning(_) | Stage::Parked | Stage::Telling(_) => {}
            Stage::Round(Round { missing, .. }) => {
                out.asks.extend(missing.iter().map(|owner| (*owner, token, Ask::Hurry { wanted: false })));
            }
            Stage::Watching { owners, .. } => {
                out.asks.extend(owners.keys().map(|owner| (*owner, token, Ask::Unwatch)));
            }
        }
    }

    /// All has been read that is going to be: it is told.
    fn finish_fetch(&mut self, out: &mut Out, token: Token) {
        let gather = self.gather_mut(token).expect("it waits");
        let response = Response { session_id: gather.plan.0, ..Response::default() };
        let rest = std::mem::take(&mut gather.places).into_iter();
        let (budget, groups, leaders) = (gather.max_bytes, Vec::new(), Vec::new());
        gather.stage = Stage::Telling(Telling { rest, response, budget, any: false, groups, leaders });
        let left = stride(out, gather.is_long);
        self.tell_on(out, token, left);
    }

    /// Tells of up to `left` more partitions.
    fn tell_on(&mut self, out: &mut Out, token: Token, left: usize) {
        let gather = self.gather_mut(token).expect("looked at by the caller");
        let Stage::Telling(mut telling) = std::mem::replace(&mut gather.stage, Stage::Parked) else {
            unreachable!("looked at by the caller");
        };
        let (plan, committed, before) = (gather.plan, gather.committed, telling.rest.len());
        for _ in 0..left.min(before) {
            let place = telling.rest.next().expect("as many are left");
            self.tell(&mut telling, plan, committed, place);
        }
        self.charge_steps(out, token, before - telling.rest.len());
        if telling.rest.len() > 0 {
            self.gather_mut(token).expect("seen above").stage = Stage::Telling(telling);
            return self.long_fetches.line.push_back(token);
        }
        let pending = self.done(out, token);
        let Waiting::Fetch(gather) = pending.what else { unreachable!("it was one") };
        let Gather { reserved, deadline, waited_ns, read_ns, .. } = *gather;
        self.deadlines.remove(&(deadline, token));
        self.sessions.idle(plan.0);
        out.conns.answers().give(reserved);
        let Telling { mut response, groups, leaders, .. } = telling;
        let conn = pending.to.conn;
        response.endpoints = self.endpoints(out.conns.listener(conn), leaders);
        self.send_fetch(out, pending.to, response, &groups, Path::Fetch { waited_ns, read_ns });
        self.end_fetch(out, conn);
    }

    /// Tells of a partition, if there is something to tell.
    fn tell(&mut self, telling: &mut Telling, (session, incremental): (i32, bool), committed: bool, place: Spot) {
        let Spot { key, group, fetched, .. } = place;
        let misled = matches!(&fetched, Some(Err(refusal)) if refusal.is_of_leader());
        let leader = group.ok().filter(|_| misled).and_then(|group| self.current_leader(group));
        telling.leaders.extend(leader);
        let result = match group {
            Ok(_) => fetched.expect("every owner has answered").map_err(code),
            Err(code) => Err(code),
        };
        let code = result.as_ref().err().copied().unwrap_or(error::NONE);
        let mut fetched = result.unwrap_or_else(|_| Fetched::empty(Offset(-1), Offset(-1)));
        // Owners read without knowing of each other: together it may be too much.
        if telling.any && fetched.bytes > telling.budget {
            fetched.records = Vec::new();
            fetched.bytes = 0;
            fetched.count = 0;
        }
        telling.any |= fetched.bytes > 0;
        telling.budget = telling.budget.saturating_sub(fetched.bytes);
        add(&self.stats.fetch_bytes_total, fetched.bytes as u64);
        add(&self.stats.fetch_records_total, fetched.count);
        let told = (code, fetched.high_watermark.get(), fetched.log_start.get());
        let news = self.sessions.note_sent(session, &key, told, fetched.bytes > 0);
        if news || !incremental || fetched.elsewhere.is_some() {
            if let (Ok(group), true) = (group, fetched.bytes > 0) {
                telling.groups.push(group);
            }
            put(&mut telling.response, key, (code, committed, leader), fetched);
        }
    }

    /// A fetch of the connection is answered.
    fn end_fetch(&mut self, out: &mut Out, conn: ConnId) {
        if let Some(fetches) = self.fetches.get_mut(&conn) {
            fetches.active = false;
        }
        self.next_fetch(out, conn);
    }

    /// `groups`: one for each partition that has records, in the order of the response.
    fn send_fetch(&mut self, out: &mut Out, to: ReplyTo, response: Response, groups: &[GroupId], path: Path) {
        let mut parts = Vec::new();
        let mut scratch = std::mem::take(&mut self.packer.scratch);
        fetch::encode(response, to.version, to.correlation, &mut scratch, &mut parts);
        let encoded = self.packer.put(&scratch);
        scratch.clear();
        self.packer.scratch = scratch;
        let mut groups = groups.iter();
        let mut pieces: Vec<Piece> = Vec::with_capacity(2 * groups.len() + 1);
        for part in parts {
            match (part, pieces.last_mut()) {
                (fetch::Part::Scratch(range), _) => pieces.push(Piece::Bytes(encoded.slice(range))),
                // Records of one partition follow each other; there is always something else between two partitions.
                (fetch::Part::Records(records), Some(Piece::Log(stretch))) => stretch.parts.push(records),
                (fetch::Part::Records(records), _) => {
                    let group = *groups.next().expect("a group for every partition with records");
                    pieces.push(Piece::Log(Stretch { group, parts: vec![records], skip: 0 }));
                }
            }
        }
        out.conns.answer(to.conn, to.slot, pieces, path);
    }

    /// Asks for batches again that were taken back from slow connections.
    pub fn read_again(&mut self, out: &mut Out) {
        for (conn, later, most) in out.conns.take_reads() {
            let token = self.token();
            self.rereads.insert(token, conn);
            let max_bytes = later.skip.saturating_add(most);
            // It may come from a follower, or this node may have lost the lead since: committed records stay what they are.
            let from = ReadFrom::Any { near: None };
            let part = FetchPart { position: 0, group: later.group, offset: later.from, max_bytes, epoch: -1, from };
            let owner = self.settings.owner(later.group);
            out.asks.push_back((owner, token, Ask::Fetch { conn, parts: vec![part], max_bytes, may_wait: true }));
        }
    }

    /// Batches that were asked for again; nothing, if they are gone.
    pub(super) fn reread(&mut self, out: &mut Out, conn: ConnId, result: Result<Fetched, Refusal>) {
        let error = result.as_ref().err().map_or(error::NONE, |refusal| code(*refusal));
        let records = result.map_or(Vec::new(), |fetched| fetched.records);
        if !out.conns.read(conn, records, out.ops) {
            let text = format!(
                "connection {conn}: the rest of an answer that it was slow to read is gone from the log (error {error}); closed"
            );
            out.ops.push(Op::Log { level: Level::Info, text });
        }
    }
}

/// How many partitions of a fetch are gone through in the event at hand: all that there are of a short one, of a long one what is left
/// of the turn.
fn stride(out: &Out, is_long: bool) -> usize {
    if is_long { out.conns.allowance.long().max(0) as usize } else { usize::MAX }
}

/// A partition that is to be read.
fn spot(view: &View, by_id: bool, key: Key, wanted: Wanted) -> Spot {
    let unknown = if by_id { error::UNKNOWN_TOPIC_ID } else { error::UNKNOWN_TOPIC_OR_PARTITION };
    let topic = view.find(&key.name, key.id).ok_or(unknown);
    let group = topic.and_then(|topic| view::partition(topic, key.index).ok_or(error::UNKNOWN_TOPIC_OR_PARTITION));
    Spot { key, wanted, group, fetched: None }
}

/// The replica in a consumer's rack that it may read instead of this node, which leads the partition and is elsewhere. Those of
/// several take turns by partition.
fn near(settings: &Settings, view: &View, key: &Key, group: GroupId, rack: &str) -> Option<NodeId> {
    let own = settings.cluster.rack.as_deref();
    if rack.is_empty() || own == Some(rack) || !settings.cluster.rack_reads {
        return None;
    }
    view.leader(group).filter(|leader| leader.node == settings.node)?;
    let (topic, behind) = (view.find(&key.name, key.id)?, view.behind(group));
    let is_near = |node: &&NodeId| {
        let in_rack = view.node(**node).is_some_and(|node| node.rack.as_deref() == Some(rack));
        in_rack && !behind.contains(node)
    };
    let replicas: Vec<NodeId> = settings.replicas(topic, key.index as u32).iter().filter(is_near).copied().collect();
    let turn = group.get() as usize % replicas.len().max(1);
    replicas.get(turn).copied()
}

/// Adds a partition to an answer, in the topic's entry if that is the last one.
fn put(
    response: &mut Response,
    key: Key,
    (error, committed, leader): (i16, bool, Option<CurrentLeader>),
    fetched: Fetched,
) {
    let Key { name, id, index } = key;
    if response.topics.last().is_none_or(|topic| topic.name != name || topic.id != id) {
        response.topics.push(TopicData { name, id, partitions: Vec::new() });
    }
    let topic = response.topics.last_mut().expect("pushed above");
    topic.partitions.push(PartitionData {
        index,
        error,
        high_watermark: fetched.high_watermark.get(),
        last_stable_offset: fetched.high_watermark.get(),
        log_start_offset: fetched.log_start.get(),
        preferred_read_replica: fetched.elsewhere.map_or(-1, |node| broker_id(node).0),
        // There are no transactions yet, so none was aborted.
        aborted: (committed && error == torc_net::kafka::error::NONE).then(Vec::new),
        records: fetched.records,
        leader,
    });
}
