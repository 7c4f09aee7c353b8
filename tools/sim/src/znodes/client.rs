//! A simulated client of ZooKeeper's: one session after the other, on one connection after the other, to whichever node.
//!
//! It does what real ones do: pings while it has nothing to ask, hangs up when it waits for too long, takes its session up
//! on another node with what it has seen, sets its watches again, and begins a new session only when it is told that the
//! old one is gone. What it is told it holds against [`Annals`].

use super::annals::Annals;
use super::asked::{Asked, Op, Waiting, Why};
use super::line::Sight;
use super::load::Load;
use super::lock::Lock;
use super::watching::Watching;
use super::{SETUP, Shared, Ways};
use crate::client::{self, Next};
use crate::history::History;
use crate::net::Manner;
use crate::violation::{Rule, Violation};
use crate::wire::Port;
use crate::world::MS;
use std::collections::{BTreeSet, VecDeque};
use torc_base::prng::Prng;
use torc_net::zookeeper::{Answer, Came, Connect, Connected, Session, Stat, xid};

/// What a client that was told that all faults are over waits for at most, be it a session or an answer.
const SERVED: u64 = 20_000 * MS;
/// Timeouts in which a server takes notice of everybody, whatever else is asked of it, milliseconds.
const HEARD_MS: u64 = 1_000;
/// Pauses that began before that are over by then.
const SETTLED: u64 = 5_000 * MS;
/// It goes on so long as a session may take to expire, and twice that: none may.
const CALM_TIMEOUTS: u64 = 3;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is none before then.
    Down(u64),
    /// A session was asked for, or one was to be taken up, then.
    Greeting(u64),
    Open,
}

/// What a client does after all faults are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// They are not.
    NotYet,
    /// It goes on until then.
    Calm(u64),
    /// It looks at all children once more,
    Listing,
    /// and at all znodes.
    Reading,
    /// It ends its session.
    Closing,
    Done,
}

/// See the module.
pub struct Client {
    pub(super) rng: Prng,
    ways: Ways,
    pub(super) shared: Shared,
    pub(super) link: Option<u64>,
    manner: Manner,
    received: Vec<u8>,
    stage: Stage,
    end: End,
    pub(super) session: Option<Session>,
    /// The newest zxid that the session was told of.
    last: i64,
    xid: i32,
    pub(super) waiting: VecDeque<Waiting>,
    /// When it said something last.
    said: u64,
    pub(super) watching: Watching,
    pub(super) lock: Lock,
    pub(super) load: Load,
    /// Znodes of the beginning that it has not seen made.
    setup: Vec<&'static str>,
    /// Until then it only says that it lives.
    rests: u64,
    /// The shard that it connects to next, whichever it would have been.
    aims: Option<usize>,
    /// The session is to end, so that nothing is left of it.
    pub(super) gives_up: bool,
    asked_to_close: bool,
    /// What was found wrong when the connection was lost.
    trouble: Option<Violation>,
    /// When all faults are over, and it is served, it only says that it lives.
    is_quiet: bool,
    /// All faults are over; since when, and whether something has come about since.
    is_calm: bool,
    calm_since: Option<u64>,
    served: bool,
    /// All others have ended.
    audits: bool,
}

/// What an answer says of a znode.
pub fn sight(stat: &Stat) -> Sight {
    Sight {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        pzxid: stat.pzxid,
        version: stat.version,
        owner: stat.ephemeral_owner,
    }
}

fn protocol(text: impl Into<String>) -> Violation {
    Violation::new(Rule::Protocol, text)
}

/// Data as clients write them: the request that they come of, and a number.
fn parse(data: &[u8]) -> Result<(u64, i64), Violation> {
    let text = std::str::from_utf8(data).unwrap_or_default();
    let parts = text.split_once(' ').and_then(|(attempt, count)| Some((attempt.parse().ok()?, count.parse().ok()?)));
    parts.ok_or_else(|| Violation::new(Rule::OneOrder, format!("data that nobody wrote: {text:?}")))
}

impl Client {
    pub fn new(ways: Ways, rng: Prng, shared: Shared) -> Client {
        let mut rng = rng;
        let manner = client::manner(&mut rng);
        Client {
            load: Load::default(),
            rng,
            ways,
            shared,
            link: None,
            manner,
            received: Vec::new(),
            stage: Stage::Down(0),
            end: End::NotYet,
            session: None,
            last: 0,
            xid: 0,
            waiting: VecDeque::new(),
            said: 0,
            watching: Watching::default(),
            lock: Lock::default(),
            setup: SETUP.to_vec(),
            rests: 0,
            aims: None,
            gives_up: false,
            asked_to_close: false,
            trouble: None,
            is_quiet: false,
            is_calm: false,
            calm_since: None,
            served: false,
            audits: false,
        }
    }

    /// One that only reads everything at the end.
    pub fn auditor(ways: Ways, rng: Prng, shared: Shared) -> Client {
        let mut client = Client::new(ways, rng, shared);
        client.end = End::Listing;
        client.audits = true;
        client
    }

    fn timeout(&self) -> u64 {
        self.ways.timeout_ms * MS
    }

    /// Its time has come.
    pub fn go(&mut self, port: &mut dyn Port) -> Result<Next, Violation> {
        let now = port.now();
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        if self.is_calm && self.calm_since.is_none() {
            self.begin_calm(now);
        }
        self.check_served(now)?;
        match self.stage {
            Stage::Down(until) if now >= until => self.connect(port),
            Stage::Down(_) => {}
            Stage::Greeting(since) if now - since > self.timeout() * 2 / 3 => self.hang_up(port)?,
            Stage::Greeting(_) => {}
            Stage::Open => self.go_on(port)?,
        }
        if self.end == End::Done {
            return Ok(Next::Done);
        }
        let pause = if self.calm_since.is_some() { 3 * self.ways.pause } else { self.ways.pause };
        Ok(Next::Wake(self.rng.between(50_000, pause.min(self.timeout() / 4))))
    }

    /// Real clients wait for two thirds of the timeout; some of these for longer, which shows what is never answered.
    fn patience(&self) -> u64 {
        if self.ways.is_patient { 2 * SERVED } else { self.timeout() * 2 / 3 }
    }

    fn check_served(&self, now: u64) -> Result<(), Violation> {
        let Some(since) = self.calm_since.filter(|_| self.end != End::Done) else { return Ok(()) };
        if !self.served && now > since + SERVED {
            let text = format!(
                "a client is not served, {} ms after the last fault: {:?}, {} requests without answers",
                (now - since) / MS,
                self.stage,
                self.waiting.len()
            );
            return Err(Violation::new(Rule::Liveness, text));
        }
        let waits = self.waiting.front().filter(|oldest| now > since.max(oldest.at) + SERVED);
        match waits {
            Some(oldest) => {
                let ms = (now - oldest.at) / MS;
                let text = format!("{:?} has had no answer for {ms} ms, and no fault is in play", oldest.asked);
                Err(Violation::new(Rule::Liveness, text))
            }
            None => Ok(()),
        }
    }

    fn connect(&mut self, port: &mut dyn Port) {
        let now = port.now();
        let any = self.rng.below(port.shards() as u64) as usize;
        let shard = self.aims.take().unwrap_or(any);
        self.link = port.connect_at(shard, self.ways.listener, self.manner);
        let Some(link) = self.link else {
            self.stage = Stage::Down(now + self.rng.between(5, 150) * MS);
            return;
        };
        if let Some(session) = self.session {
            // What counts is what its server tells this connection, not what it told the one before.
            if self.end == End::NotYet && self.rng.chance(1, 4) {
                let (from, to) = self.ways.timeouts_ms;
                self.ways.timeout_ms = self.rng.between(from, to);
            }
            self.shared.borrow_mut().taken_up(session.id, self.timeout());
        }
        let connect = Connect {
            last_zxid: self.last,
            timeout_ms: self.ways.timeout_ms as i32,
            session: self.session,
            read_only: false,
            knows_read_only: self.rng.chance(7, 8),
        };
        let mut out = Vec::new();
        connect.encode(&mut out);
        self.received.clear();
        self.stage = Stage::Greeting(now);
        self.said = now;
        port.send(link, &out);
    }

    pub(super) fn hang_up(&mut self, port: &mut dyn Port) -> Result<(), Violation> {
        if let Some(link) = self.link.take() {
            port.abort(link);
        }
        self.went(port.now())
    }

    /// The connection is gone.
    pub fn disconnected(&mut self, now: u64) {
        self.link = None;
        self.trouble = self.went(now).err();
    }

    fn went(&mut self, now: u64) -> Result<(), Violation> {
        let shared = self.shared.clone();
        self.watching.lost(&mut shared.borrow_mut(), self.last)?;
        self.waiting.clear();
        self.received.clear();
        self.lock.disconnected();
        // Whoever asked for a lock and was not answered would stand in everybody's way.
        self.gives_up |= self.lock.is_lost();
        if matches!(self.end, End::Reading | End::Closing) {
            self.end = End::Listing;
        }
        self.load.disconnected();
        self.stage = Stage::Down(now + self.rng.between(1, 120) * MS);
        Ok(())
    }

    fn send(&mut self, port: &mut dyn Port, asked: Asked) {
        self.xid = self.xid.wrapping_add(1) & i32::MAX;
        let (frame, xid) = asked.encode(self.xid);
        self.asked_to_close |= matches!(asked, Asked::Close);
        self.said = port.now();
        self.waiting.push_back(Waiting { xid, at: self.said, asked });
        port.send(self.link.expect("it is connected"), &frame);
    }

    /// Asks for a change.
    pub(super) fn change(&mut self, port: &mut dyn Port, ops: Vec<Op>, is_multi: bool, why: Why) {
        let session = self.session.expect("it has one").id;
        let effects = ops.iter().filter_map(|op| op.effect(session)).collect();
        let attempt = self.shared.borrow_mut().ask(effects);
        self.send(port, Asked::Change { ops, attempt, is_multi, why });
    }

    /// Asks for something else.
    pub(super) fn ask(&mut self, port: &mut dyn Port, asked: Asked) {
        self.send(port, asked);
    }

    pub(super) fn sync(&mut self, port: &mut dyn Port) {
        let floor = self.shared.borrow().newest;
        self.send(port, Asked::Sync { floor });
    }

    /// With a session, on a connection.
    fn go_on(&mut self, port: &mut dyn Port) -> Result<(), Violation> {
        let now = port.now();
        if self.waiting.front().is_some_and(|oldest| now - oldest.at > self.patience()) {
            return self.hang_up(port);
        }
        if now - self.said > self.timeout() / 3 {
            self.send(port, Asked::Ping);
        }
        if self.waiting.iter().any(|waiting| matches!(waiting.asked, Asked::Close)) {
            return Ok(());
        }
        let is_quiet = match self.end {
            End::NotYet => now < self.rests,
            End::Calm(until) => self.is_quiet && self.served && now <= until,
            _ => false,
        };
        if is_quiet {
            return Ok(());
        }
        match self.end {
            End::NotYet if self.rng.chance(1, 300) => return self.hang_up(port),
            End::NotYet if self.rng.chance(1, 500) => {
                // Away for so long that the session may be gone.
                self.hang_up(port)?;
                self.stage = Stage::Down(now + self.rng.between(1, 3) * self.timeout());
                return Ok(());
            }
            End::Calm(until) if now > until && self.served => self.end = End::Listing,
            _ => {}
        }
        match self.end {
            End::NotYet | End::Calm(_) => self.work(port),
            End::Listing if self.waiting.is_empty() => {
                self.sync(port);
                self.load.found.clear();
                for path in super::PARENTS {
                    self.send(port, Asked::List { path: path.to_string(), watch: false, why: Why::Load });
                }
                self.end = End::Reading;
            }
            End::Reading if self.waiting.is_empty() => {
                let all = super::SETUP.iter().map(ToString::to_string).chain(std::mem::take(&mut self.load.found));
                for path in all.collect::<Vec<_>>() {
                    self.send(port, Asked::Get { path, watch: false, why: Why::Load });
                }
                self.send(port, Asked::Close);
                self.end = End::Closing;
            }
            _ => {}
        }
        Ok(())
    }

    fn work(&mut self, port: &mut dyn Port) {
        if self.waiting.len() >= self.ways.in_flight {
            return;
        }
        if !self.setup.is_empty() {
            let is_under_way = self.waiting.iter().any(|waiting| matches!(waiting.asked, Asked::Change { .. }));
            if !is_under_way {
                for path in self.setup.clone() {
                    self.change(port, vec![Op::make(path, torc_net::zookeeper::Kind::Persistent)], false, Why::Load);
                }
            }
            return;
        }
        if self.gives_up {
            self.send(port, Asked::Close);
            return;
        }
        if !self.turn_lock(port) {
            self.turn_load(port);
        }
    }

    /// Bytes came.
    pub fn take(&mut self, port: &mut dyn Port, bytes: &[u8]) -> Result<(), Violation> {
        self.received.extend_from_slice(bytes);
        while let Some(head) = self.received.first_chunk::<4>() {
            let length = i32::from_be_bytes(*head);
            if !(0..=4 << 20).contains(&length) {
                return Err(protocol(format!("an answer claims {length} bytes")));
            }
            let end = 4 + length as usize;
            let Some(frame) = self.received.get(4..end).map(<[u8]>::to_vec) else { break };
            self.received.drain(..end);
            if matches!(self.stage, Stage::Greeting(_)) {
                self.greeted(port, &frame)?;
            } else {
                self.answered(port, &frame)?;
            }
            if self.link.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn greeted(&mut self, port: &mut dyn Port, frame: &[u8]) -> Result<(), Violation> {
        let connected = Connected::decode(frame).map_err(|error| protocol(error.to_string()))?;
        let Stage::Greeting(asked) = self.stage else { unreachable!("seen by the caller") };
        match (self.session, connected.session) {
            (Some(had), None) => {
                let now = port.now();
                self.shared.borrow_mut().expired(had.id, now, self.asked_to_close)?;
                self.must_not_expire(now, had.id)?;
                self.session_over();
                self.hang_up(port)
            }
            (None, None) => Err(protocol("a client that asked for a session was told that it is gone")),
            (Some(had), Some(has)) if had != has => {
                let text = format!("session {:#x} was to be taken up, and {:#x} was given instead", had.id, has.id);
                Err(Violation::new(Rule::SessionLife, text))
            }
            (had, Some(has)) => {
                if had.is_none() {
                    self.shared.borrow_mut().session(has.id, self.timeout(), asked);
                    self.session = Some(has);
                }
                self.stage = Stage::Open;
                // A session of which its client has seen nothing is taken up by whoever knows it, and denied by nobody.
                if had.is_none() && self.end == End::NotYet && self.rng.chance(1, 4) {
                    return self.hang_up(port);
                }
                if let Some(lists) = self.watching.lists() {
                    self.send(port, Asked::Restore { since: self.last, lists });
                }
                Ok(())
            }
        }
    }

    /// While no fault is in play, and it is served, no session that its client speaks in goes.
    fn must_not_expire(&self, now: u64, id: i64) -> Result<(), Violation> {
        // Who is heard of so seldom that others may keep the server from it for that long is another matter.
        let is_calm = self.calm_since.is_some_and(|since| now > since + SETTLED + self.timeout())
            && self.ways.timeout_ms >= HEARD_MS;
        if !matches!(self.end, End::Calm(_)) || !self.served || !is_calm || self.asked_to_close {
            return Ok(());
        }
        let text = format!("session {id:#x} was heard of all the time, and is gone at {} ms", now / MS);
        Err(Violation::new(Rule::SessionLife, text))
    }

    /// There is no session any more.
    fn session_over(&mut self) {
        self.session = None;
        self.last = 0;
        self.watching = Watching::default();
        self.lock.session_over();
        self.load.session_over();
        (self.gives_up, self.asked_to_close) = (false, false);
    }

    fn answered(&mut self, port: &mut dyn Port, frame: &[u8]) -> Result<(), Violation> {
        let mut answer = Answer::open(frame).map_err(|error| protocol(error.to_string()))?;
        let shared = self.shared.clone();
        let mut annals = shared.borrow_mut();
        let annals = &mut *annals;
        if answer.xid == xid::EVENT {
            let told = answer.event().map_err(|error| protocol(error.to_string()))?;
            self.watching.event(annals, self.last, told.kind, told.path)?;
            self.lock.event(told.path);
            return Ok(());
        }
        let Some(waiting) = self.waiting.pop_front() else {
            return Err(protocol(format!("an answer to {} that nobody asked for", answer.xid)));
        };
        if waiting.xid != answer.xid {
            return Err(protocol(format!("an answer to {}, and {} was the oldest", answer.xid, waiting.xid)));
        }
        let session = self.session.expect("it asked in one").id;
        let at = answer.zxid;
        if let Asked::Close = waiting.asked {
            return self.closed(annals, port, session, answer.error, at);
        }
        annals.told(session, at)?;
        self.last = at;
        self.watching.answered(annals, at);
        let error = answer.error;
        let explain = |what: &str, errors: &[i32]| {
            let is_known = error == 0 || errors.contains(&error);
            let text = format!("{what} was answered with error {error}");
            if is_known { Ok(()) } else { Err(Violation::new(Rule::ExpectedErrors, text)) }
        };
        match waiting.asked {
            Asked::Ping => explain("a ping", &[]),
            Asked::Sync { floor } => {
                explain("sync", &[-112])?;
                if error == 0 && at < floor {
                    let text = format!("sync shows {at:#x}, and {floor:#x} was answered before it was asked");
                    return Err(Violation::new(Rule::OneOrder, text));
                }
                if error == 0 {
                    annals.behind(waiting.at, at);
                }
                Ok(())
            }
            Asked::Restore { .. } => {
                explain("watches that are set again", &[])?;
                self.watching.restored(at);
                Ok(())
            }
            Asked::Stay { path, recursive } => {
                explain("a watch that stays", &[])?;
                self.watching.stays(&path, recursive, at);
                Ok(())
            }
            Asked::Change { ops, attempt, is_multi, why } => {
                let asked = (attempt, waiting.at);
                self.changed(annals, &mut answer, &ops, asked, is_multi, why)
            }
            Asked::Get { path, watch, why } => {
                explain(&format!("get {path}"), &[-101])?;
                self.got(annals, &mut answer, &path, watch, why)
            }
            Asked::Exists { path, watch, why } => {
                explain(&format!("exists {path}"), &[-101])?;
                let found = if error == 0 { Some(sight(&stat(&mut answer)?)) } else { None };
                match &found {
                    Some(found) => annals.seen(&path, at, found, None)?,
                    None => annals.missing(&path, at)?,
                }
                if why == Why::Lock {
                    self.lock.looked(found.is_some());
                }
                if watch { self.watching.saw(annals, &path, at, found) } else { Ok(()) }
            }
            Asked::List { path, watch, why } => {
                explain(&format!("children of {path}"), &[-101])?;
                self.listed(annals, &mut answer, &path, watch, why)
            }
            Asked::Close => unreachable!("seen above"),
        }
    }

    fn got(
        &mut self,
        annals: &mut Annals,
        answer: &mut Answer<'_>,
        path: &str,
        watch: bool,
        why: Why,
    ) -> Result<(), Violation> {
        let at = answer.zxid;
        if answer.error != 0 {
            return annals.missing(path, at);
        }
        let data = answer.data().map_err(|error| protocol(error.to_string()))?.unwrap_or_default();
        let data = parse(data)?;
        let found = sight(&stat(answer)?);
        annals.seen(path, at, &found, Some(data))?;
        if self.audits {
            annals.is_nobodys(path, found.owner)?;
        }
        if why == Why::Count {
            self.load.count(path, found.version, data.1);
        }
        self.load.knows(path, found.version);
        if watch { self.watching.saw(annals, path, at, Some(found)) } else { Ok(()) }
    }

    fn listed(
        &mut self,
        annals: &mut Annals,
        answer: &mut Answer<'_>,
        path: &str,
        watch: bool,
        why: Why,
    ) -> Result<(), Violation> {
        let at = answer.zxid;
        if answer.error != 0 {
            return annals.missing(path, at);
        }
        let names = answer.names().map_err(|error| protocol(error.to_string()))?;
        let names: BTreeSet<String> = names.map(str::to_string).collect();
        let found = sight(&stat(answer)?);
        annals.listed(path, at, &names, &found)?;
        if why == Why::Lock {
            self.lock.listed(&names, &mut annals.held, &mut self.rng);
        }
        self.load.listed(path, &names);
        if watch { self.watching.saw_children(annals, path, at, found) } else { Ok(()) }
    }

    fn closed(
        &mut self,
        annals: &mut Annals,
        port: &mut dyn Port,
        session: i64,
        error: i32,
        at: i64,
    ) -> Result<(), Violation> {
        if error == 0 {
            self.watching.lost(annals, self.last)?;
            annals.closed(session, at)?;
        } else if error != -112 {
            return Err(Violation::new(Rule::ExpectedErrors, format!("close was answered with error {error}")));
        }
        self.session_over();
        if let Some(link) = self.link.take() {
            port.abort(link);
        }
        self.waiting.clear();
        self.stage = Stage::Down(port.now() + self.rng.between(1, 50) * MS);
        if self.end == End::Closing {
            self.end = End::Done;
        }
        Ok(())
    }

    fn changed(
        &mut self,
        annals: &mut Annals,
        answer: &mut Answer<'_>,
        ops: &[Op],
        (attempt, asked): (u64, u64),
        is_multi: bool,
        why: Why,
    ) -> Result<(), Violation> {
        let at = answer.zxid;
        let results = results(answer, ops, is_multi)?;
        let session = self.session.expect("it asked in one").id;
        self.setup.retain(|path| !ops.iter().any(|op| op.path == *path) || !matches!(results, Err(-110) | Ok(_)));
        match &results {
            Ok(found) => {
                let with_effect = ops.iter().zip(found).filter(|(op, _)| op.effect(session).is_some());
                let names: Vec<String> = with_effect.map(|(_, (path, _))| path.clone()).collect();
                annals.acknowledged(attempt, at, &names)?;
                annals.touched(session, asked);
                annals.behind(asked, at);
                self.served |= self.calm_since.is_some_and(|since| asked >= since);
                for (op, (path, stat)) in ops.iter().zip(found) {
                    if let Some(stat) = stat {
                        annals.seen(path, at, &sight(stat), Some((attempt, op.count)))?;
                        self.load.knows(path, stat.version);
                    }
                }
            }
            Err(error) => {
                annals.refused(attempt, *error, at)?;
                super::explain(annals, ops, *error)?;
            }
        }
        let first = results.as_ref().ok().and_then(|found| found.first()).map(|(path, _)| path.as_str());
        if why == Why::Lock {
            self.lock.changed(first, at);
        }
        self.load.changed(ops, first);
        Ok(())
    }

    /// No fault is in play any more.
    pub fn calm(&mut self) {
        self.is_calm = true;
    }

    fn begin_calm(&mut self, now: u64) {
        if self.end == End::NotYet {
            self.end = End::Calm(now + SETTLED + CALM_TIMEOUTS * self.timeout());
        }
        self.calm_since = Some(now);
        self.is_quiet = self.rng.chance(1, 4);
        // From now on everything is answered, or the connection ends.
        self.ways.is_patient = true;
        if let Stage::Down(until) = &mut self.stage {
            *until = now.min(*until);
        }
    }

    /// Until then it asks for nothing: what it has seen, all have seen.
    pub fn rest_until(&mut self, until: u64) {
        self.rests = until;
    }

    /// Its session goes on at that shard, if that is up to it.
    pub fn go_to(&mut self, port: &mut dyn Port, shard: usize) -> Result<(), Violation> {
        if self.session.is_none() || self.end != End::NotYet {
            return Ok(());
        }
        self.aims = Some(shard);
        if self.link.is_some() {
            self.hang_up(port)?;
        }
        self.stage = Stage::Down(port.now());
        Ok(())
    }

    /// Its connection, if it has one.
    pub fn connection(&self) -> Option<u64> {
        self.link
    }
}

fn stat(answer: &mut Answer<'_>) -> Result<Stat, Violation> {
    answer.stat().map_err(|error| protocol(error.to_string()))
}

/// The path and the stat of each, as far as they are told; or the error of the one that failed.
type Results = Result<Vec<(String, Option<Stat>)>, i32>;

fn results(answer: &mut Answer<'_>, ops: &[Op], is_multi: bool) -> Result<Results, Violation> {
    if answer.error != 0 {
        return Ok(Err(answer.error));
    }
    let bad = |error: torc_base::malformed::Malformed| protocol(error.to_string());
    let mut all = Vec::new();
    let (mut failed, mut told) = (None, 0);
    for op in ops {
        if is_multi {
            told += 1;
            match answer.came().map_err(bad)? {
                Some(Came::Created(path)) => all.push((path.to_string(), None)),
                Some(Came::Created2(path, stat)) => all.push((path.to_string(), Some(stat))),
                Some(Came::Written(stat)) => all.push((op.path.clone(), Some(stat))),
                Some(Came::Deleted | Came::Checked) => all.push((op.path.clone(), None)),
                // Those before the one that failed, and those behind it.
                Some(Came::Failed(error)) => {
                    failed = failed.filter(|known| *known != 0 && *known != -2).or(Some(error))
                }
                None => return Err(protocol(format!("a multi of {} has {told} results", ops.len()))),
            }
            continue;
        }
        all.push(match op.what {
            super::asked::Do::Make { .. } => {
                let path = answer.path().map_err(bad)?.to_string();
                (path, Some(stat(answer)?))
            }
            super::asked::Do::Set => (op.path.clone(), Some(stat(answer)?)),
            _ => (op.path.clone(), None),
        });
    }
    match failed {
        None => Ok(Ok(all)),
        Some(error) if all.is_empty() => Ok(Err(error)),
        Some(error) => {
            let text = format!("a multi failed with {error}, and did {} of {}", all.len(), ops.len());
            Err(Violation::new(Rule::OneOrder, text))
        }
    }
}

impl client::Client for Client {
    fn wake(&mut self, port: &mut dyn Port, _: &mut History) -> Result<Next, Violation> {
        self.go(port)
    }

    fn receive(&mut self, port: &mut dyn Port, _: &mut History, bytes: &[u8]) -> Result<(), Violation> {
        self.take(port, bytes)
    }

    fn lost(&mut self, port: &mut dyn Port, _: &mut History) -> Result<(), Violation> {
        self.disconnected(port.now());
        self.trouble.take().map_or(Ok(()), Err)
    }

    fn link(&self) -> Option<u64> {
        self.link
    }

    fn stop(&mut self) {
        self.calm();
    }
}
