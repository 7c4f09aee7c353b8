//! Links to other nodes: one connection for each pair of shards, made by the node with the lower id.
//!
//! ```text
//! the lower node     Down ─ Connect → Dialing ─ Connected, HELLO → Greeting ─ WELCOME → Up
//! the higher node    a connection at its listener: a stranger ─ HELLO for another shard → handed over to it
//!                                                             ─ HELLO that is refused   → REFUSAL, closed
//!                                                             ─ HELLO, WELCOME          → Up
//! ```
//!
//! An end of the connection, of either side or of the way between them, is news at once; when nothing has come for so many
//! beats the connection is closed, too. Both sides say something every beat. What is up brings whole frames, in order, or it
//! is lost with all that was under way.

use super::greeting::{self, Known};
use super::joining::{Claims, Desk, Runs};
use super::wires::Wires;
use super::{Queue, Roster};
use crate::frames::{BadLength, Frames};
use crate::line_limit::LineLimit;
use crate::mail::Mail;
use crate::settings::Settings;
use crate::stats::{Stats, add, set};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::{ConnId, NodeId, Place, ShardId};
use torc_base::io::{ConnectError, Event, Level, Op};
use torc_base::limits::PEER_STRANGERS_MAX;
use torc_base::prng::Prng;
use torc_base::time::Mono;
use torc_net::foreign::by_first_bytes;
use torc_net::peer::{self, Frame, Hello, Question, Reason, Refusal, Reply, Welcome};
use torc_state::catalog::Admission;

/// How long somebody may take to say who it is, and to answer that.
const GREETING_MS: u64 = 5_000;
/// After a call that came to nothing the next one waits so long, twice as long after each further one, up to a bound.
const REDIAL_MS: u64 = 25;
const REDIAL_MAX_MS: u64 = 1_000;
/// The same after a refusal that only people can do something about.
const REFUSED_MS: u64 = 5_000;
/// A node that cannot be reached is told of when so many calls in a row came to nothing.
const UNREACHED_CALLS: u32 = 5;
/// Lines about peers, in so many milliseconds.
const LINES: u32 = 20;
const LINES_SPAN_MS: u64 = 10_000;

type Ops = Vec<Op<Mail>>;

/// What a connection is for.
#[derive(Debug)]
enum Stage {
    /// It has not said who calls, or asks how the cluster was founded; until then.
    Stranger {
        until: Mono,
    },
    /// It goes to the shard that its hello names.
    Leaving {
        hello: Hello,
    },
    /// The hello is on its way, or its answer.
    Greeting {
        place: Place,
        until: Mono,
    },
    /// It was refused; it is closed when it has been told, or then at the latest.
    Refused {
        until: Mono,
    },
    Up {
        place: Place,
    },
    /// Its link is another one, or none.
    Forgotten,
}

/// A connection on its way to the shard that its hello names.
#[derive(Debug)]
pub struct Calling {
    hello: Hello,
    from: IpAddr,
    frames: Frames,
}

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// `retry`: when this side calls again, if it does.
    Down {
        retry: Option<Mono>,
    },
    Dialing {
        call: u64,
    },
    Greeting {
        conn: ConnId,
    },
    Up {
        conn: ConnId,
    },
}

/// The link to one shard of another node.
struct Link {
    state: State,
    /// No other link of this shard has had it.
    number: u64,
    /// The process at the other end and its disk, of one that is up.
    start: u64,
    disk: u128,
    /// What both ends know of the peers' protocol.
    version: u16,
    queue: Queue,
    /// Calls in a row that came to nothing.
    failures: u32,
}

impl Link {
    fn new(retry: Option<Mono>) -> Link {
        Link {
            state: State::Down { retry },
            number: 0,
            start: 0,
            disk: 0,
            version: 0,
            queue: Queue::default(),
            failures: 0,
        }
    }
}

/// What happened to links.
#[derive(Debug)]
pub enum News {
    /// A shard of another node can be reached; that node has so many, and that version of the peers' protocol is spoken.
    Up(Place, u16, u16),
    /// It cannot be reached any more.
    Down(Place),
    /// A frame of a link that is up.
    Frame(Place, Frame),
    /// A server asks to be let in, or says where it is now.
    Admit(NodeId, Admission),
}

/// All links of one shard.
pub struct Links {
    settings: Arc<Settings>,
    stats: Arc<Stats>,
    prng: Prng,
    wires: Wires<Stage>,
    links: BTreeMap<Place, Link>,
    calls: BTreeMap<u64, Place>,
    next_call: u64,
    next_number: u64,
    /// Who belongs to the cluster, and where it is.
    roster: Arc<Roster>,
    /// Who wants to take the place of a server that is linked.
    claims: Claims,
    /// The shards of other nodes, as they last said.
    shards: BTreeMap<NodeId, u16>,
    /// This shard has read its log, and takes part.
    running: bool,
    /// Nothing has to be looked at before.
    due: Mono,
    looked: Mono,
    news: Vec<News>,
    lines: LineLimit,
    /// The same, of those about who is not let in.
    refusals: LineLimit,
}

impl Links {
    pub fn new(settings: Arc<Settings>, stats: Arc<Stats>) -> Links {
        assert!(settings.cluster.silent_beats > 0 && settings.cluster.beat_ms > 0, "a node is silent after some beats");
        assert!(settings.cluster.peers.iter().all(|peer| peer.node != settings.node), "a node is no peer of itself");
        let roster = Arc::new(Roster::at_start(&settings));
        Links {
            prng: Prng::new(settings.seed ^ 0x6c69_6e6b),
            settings,
            stats,
            wires: Wires::new(),
            links: BTreeMap::new(),
            calls: BTreeMap::new(),
            next_call: 0,
            next_number: 0,
            roster,
            claims: Claims::default(),
            shards: BTreeMap::new(),
            running: false,
            due: Mono(u64::MAX),
            looked: Mono(0),
            news: Vec::new(),
            lines: LineLimit::new(LINES, LINES_SPAN_MS),
            refusals: LineLimit::new(LINES, LINES_SPAN_MS),
        }
    }

    /// This shard takes part from now on: nodes with higher ids are called.
    pub fn start(&mut self, now: Mono) {
        if std::mem::replace(&mut self.running, true) {
            return;
        }
        self.call_all(now);
        self.looked = now;
        self.due = now;
    }

    /// There are links to all that this node calls.
    fn call_all(&mut self, now: Mono) {
        let here = self.settings.node;
        for (node, _) in self.roster.servers().filter(|(node, _)| *node > here) {
            // How many shards it has it says itself.
            let place = Place { node, shard: ShardId(0) };
            self.links.entry(place).or_insert_with(|| Link::new(Some(now)));
        }
    }

    /// Who belongs to the cluster from now on. Links to others end, and so do those to a disk that another one has replaced.
    pub fn set_roster(&mut self, now: Mono, roster: Arc<Roster>, ops: &mut Ops) {
        let before = std::mem::replace(&mut self.roster, roster);
        let roster = Arc::clone(&self.roster);
        let up = self.links.iter().filter_map(|(place, link)| match link.state {
            State::Up { conn } | State::Greeting { conn } if roster.server(place.node).is_none() => {
                Some((conn, "the node was removed"))
            }
            State::Up { conn } if roster.is_another_disk(place.node, link.disk) => {
                Some((conn, "the node has another disk by now"))
            }
            _ => None,
        });
        for (conn, why) in up.collect::<Vec<_>>() {
            self.broken(now, conn, why, ops);
        }
        self.links.retain(|place, link| {
            roster.server(place.node).is_some() || !matches!(link.state, State::Down { .. } | State::Up { .. })
        });
        for (place, link) in &mut self.links {
            let is_elsewhere = before.address(place.node) != roster.address(place.node);
            if let State::Down { retry: Some(retry) } = &mut link.state
                && is_elsewhere
            {
                *retry = (*retry).min(now);
                link.failures = 0;
            }
        }
        if self.running {
            self.call_all(now);
            self.due = self.due.min(now);
        }
    }

    /// This shard takes part no longer, and says so by being gone: what it would be told it does not take in.
    pub fn stop(&mut self, now: Mono, why: &str, ops: &mut Ops) {
        if !std::mem::replace(&mut self.running, false) {
            return;
        }
        let all = self.wires.iter().filter(|(_, wire)| matches!(wire.stage, Stage::Up { .. } | Stage::Greeting { .. }));
        let all: Vec<ConnId> = all.map(|(conn, _)| conn).collect();
        all.into_iter().for_each(|conn| self.broken(now, conn, why, ops));
        for link in self.links.values_mut().filter(|link| matches!(link.state, State::Down { .. })) {
            link.state = State::Down { retry: None };
        }
    }

    /// True if the connection is a peer's.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.wires.contains(conn)
    }

    /// True if there is a link to that place.
    #[cfg(test)]
    pub fn is_up(&self, place: Place) -> bool {
        self.version(place).is_some()
    }

    /// What is spoken on the link to that place, if there is one.
    pub fn version(&self, place: Place) -> Option<u16> {
        self.links.get(&place).filter(|link| matches!(link.state, State::Up { .. })).map(|link| link.version)
    }

    /// Memory for frames' heads.
    pub fn pool(&self) -> &Pool {
        self.wires.pool()
    }

    /// What happened since this was last asked.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// What waits for a link; `None` if there is none, and then it is lost.
    pub fn queue(&mut self, place: Place) -> Option<&mut Queue> {
        let link = self.links.get_mut(&place)?;
        matches!(link.state, State::Up { .. }).then_some(&mut link.queue)
    }

    /// The same, if it is still that link.
    pub fn queue_of(&mut self, place: Place, number: u64) -> Option<&mut Queue> {
        self.links.get(&place).filter(|link| link.number == number)?;
        self.queue(place)
    }

    /// Links that may send, and have something to; each with its number.
    pub fn ready(&self) -> Vec<(Place, u64)> {
        let ready = self.links.iter().filter(|(_, link)| match link.state {
            State::Up { conn } => {
                link.queue.is_urgent() && self.wires.get(conn).is_some_and(|wire| !wire.sending && !wire.closing)
            }
            _ => false,
        });
        ready.map(|(place, link)| (*place, link.number)).collect()
    }

    /// Sends frames on a link that [`Links::ready`] has named.
    pub fn send(&mut self, now: Mono, place: Place, parts: Vec<Buf>, ops: &mut Ops) {
        let State::Up { conn } = self.links[&place].state else { panic!("{place:?} is not linked") };
        add(&self.stats.peer_sent_bytes_total, parts.iter().map(|part| part.len() as u64).sum());
        add(&self.stats.peer_sends_total, 1);
        self.wires.send(now, conn, parts, ops);
    }

    /// Somebody connected at the peers' listener.
    pub fn accepted(&mut self, now: Mono, conn: ConnId, from: IpAddr, ops: &mut Ops) {
        let until = now.plus_ms(GREETING_MS);
        let strangers = self.wires.iter().filter_map(|(conn, wire)| match wire.stage {
            Stage::Stranger { until } if !wire.closing => Some((until, conn)),
            _ => None,
        });
        let strangers: Vec<(Mono, ConnId)> = strangers.collect();
        if strangers.len() >= PEER_STRANGERS_MAX
            && let Some((_, longest)) = strangers.into_iter().min()
        {
            // A node says at once who it is: whoever has been silent for longest is none.
            self.wires.close(longest, ops);
        }
        self.wires.insert(now, conn, Stage::Stranger { until }, from, None);
        self.due = self.due.min(until);
        self.wires.arm(conn, ops);
    }

    /// Another shard handed a connection over whose hello names this one.
    pub fn adopted(&mut self, now: Mono, conn: ConnId, calling: Calling, ops: &mut Ops) {
        let Calling { hello, from, frames } = calling;
        let until = now.plus_ms(GREETING_MS);
        self.wires.insert(now, conn, Stage::Stranger { until }, from, Some(frames));
        self.due = self.due.min(until);
        self.hello(now, conn, hello, ops);
        self.pump(now, conn, ops);
    }

    /// An event of a connection that is a peer's, or of a call.
    pub fn on_event(&mut self, now: Mono, event: Event<Mail>, ops: &mut Ops) {
        match event {
            Event::Connected { call, conn } => self.connected(now, call, conn, ops),
            Event::Unreachable { call, error } => self.unreachable(now, call, error, ops),
            Event::Received { conn, bytes } => {
                self.wires.received(now, conn, bytes);
                self.pump(now, conn, ops);
            }
            Event::Filled { conn, bytes } => {
                match self.wires.filled(now, conn, bytes) {
                    Ok(Some(frame)) => self.frame(now, conn, frame, ops),
                    Ok(None) => {}
                    Err(bad) => return self.bad_length(now, conn, bad, ops),
                }
                self.pump(now, conn, ops);
            }
            Event::Halted { conn, bytes, at } => {
                self.wires.halted(now, conn, bytes, at);
                self.pump(now, conn, ops);
            }
            Event::Starved { conn } => {
                self.wires.disarmed(conn, true);
                self.pump(now, conn, ops);
            }
            Event::Paused { conn } => {
                self.wires.disarmed(conn, false);
                self.pump(now, conn, ops);
            }
            Event::Eof { conn } => self.wires.close(conn, ops),
            Event::Sent { conn } => self.sent(now, conn, ops),
            Event::Closed { conn } => self.closed(now, conn, ops),
            other => unreachable!("not asked for of a peer's connection: {other:?}"),
        }
    }

    /// Calls, beats, looks for silence; takes up what waited for memory.
    pub fn turn(&mut self, now: Mono, ops: &mut Ops) {
        for conn in self.wires.retry(now) {
            self.pump(now, conn, ops);
        }
        if now < self.due {
            return;
        }
        self.forgive_own_stall(now);
        self.due = Mono(u64::MAX);
        self.dial(now, ops);
        self.look_at_wires(now, ops);
        let up = self.links.values().filter(|link| matches!(link.state, State::Up { .. })).count();
        set(&self.stats.peer_links, up as u64);
        set(&self.stats.peer_memory_bytes, self.wires.memory() as u64);
    }

    /// When [`Links::turn`] is due.
    pub fn deadline(&self) -> Option<Mono> {
        (self.due != Mono(u64::MAX)).then_some(self.due)
    }

    /// A shard that was held up itself has not listened: what came meanwhile is about to be read.
    fn forgive_own_stall(&mut self, now: Mono) {
        let beat = self.settings.cluster.beat_ms * 1_000_000;
        let late = now.since(self.looked.max(self.due));
        if late > 2 * beat {
            self.wires.forgive(late);
        }
        self.looked = now;
    }

    fn dial(&mut self, now: Mono, ops: &mut Ops) {
        let due: Vec<Place> = self
            .links
            .iter()
            .filter(|(_, link)| matches!(link.state, State::Down { retry: Some(at) } if at <= now))
            .map(|(place, _)| *place)
            .collect();
        for place in due {
            let link = self.links.get_mut(&place).expect("just seen");
            let Some(to) = self.roster.address(place.node) else {
                // It is called when it is known where it is.
                link.state = State::Down { retry: Some(now.plus_ms(REFUSED_MS)) };
                continue;
            };
            self.next_call += 1;
            let call = self.next_call;
            self.calls.insert(call, place);
            link.state = State::Dialing { call };
            add(&self.stats.peer_calls_total, 1);
            let patience_ms = u32::try_from(self.silence_ms().max(1_000)).unwrap_or(u32::MAX);
            ops.push(Op::Connect { call, to, patience_ms });
        }
        let waits = self.links.values().filter_map(|link| match link.state {
            State::Down { retry } => retry,
            _ => None,
        });
        self.due = waits.min().map_or(self.due, |at| self.due.min(at));
    }

    fn silence_ms(&self) -> u64 {
        self.settings.cluster.beat_ms.saturating_mul(self.settings.cluster.silent_beats.into())
    }

    /// Beats, silence, and those who take too long to say who they are.
    fn look_at_wires(&mut self, now: Mono, ops: &mut Ops) {
        let (beat, silence) = (self.settings.cluster.beat_ms, self.silence_ms());
        let mut next = Mono(u64::MAX);
        let (mut beats, mut silent, mut late) = (Vec::new(), Vec::new(), Vec::new());
        for (conn, wire) in self.wires.iter().filter(|(_, wire)| !wire.closing) {
            match wire.stage {
                Stage::Up { .. } => {
                    if !wire.sending {
                        let at = wire.said.plus_ms(beat);
                        let at = if at <= now {
                            beats.push(conn);
                            now.plus_ms(beat)
                        } else {
                            at
                        };
                        next = next.min(at);
                    }
                    let at = wire.heard.plus_ms(silence);
                    // Shortly before, a frame that is coming is looked at.
                    let look = wire.heard.plus_ms(silence - beat.min(silence / 2));
                    if at <= now {
                        silent.push(conn);
                    } else {
                        if look <= now {
                            late.push((conn, false));
                        }
                        next = next.min(if look <= now { at } else { look });
                    }
                }
                Stage::Stranger { until } | Stage::Greeting { until, .. } | Stage::Refused { until } => {
                    if until <= now {
                        late.push((conn, true));
                    } else {
                        next = next.min(until);
                    }
                }
                Stage::Leaving { .. } | Stage::Forgotten => {}
            }
        }
        for conn in beats {
            let Some(Stage::Up { place }) = self.wires.get(conn).map(|wire| &wire.stage) else { continue };
            let link = self.links.get_mut(place).expect("it is up");
            // At the end of this turn.
            if !link.queue.urge() {
                self.wires.send(now, conn, vec![peer::beat()], ops);
                add(&self.stats.peer_beats_sent_total, 1);
            }
        }
        for (conn, ends) in late {
            if ends {
                self.wires.close(conn, ops);
            } else {
                self.wires.look(conn, ops);
            }
        }
        for conn in silent {
            if self.wires.waits_for_memory(conn) {
                // It is this shard that does not read.
                self.wires.get_mut(conn).expect("just seen").heard = now;
                next = next.min(now.plus_ms(silence - beat.min(silence / 2)));
            } else {
                add(&self.stats.peer_silences_total, 1);
                self.detected(now, conn);
                self.broken(now, conn, &format!("nothing has come for {silence} ms"), ops);
            }
        }
        self.due = self.due.min(next);
    }

    fn connected(&mut self, now: Mono, call: u64, conn: ConnId, ops: &mut Ops) {
        let place = self.calls.remove(&call).expect("it was called");
        let address = self.roster.address(place.node).filter(|_| self.running);
        let Some(address) = address else {
            self.not_called(place);
            self.wires.insert(now, conn, Stage::Forgotten, IpAddr::from([0, 0, 0, 0]), None);
            return self.wires.close(conn, ops);
        };
        let until = now.plus_ms(GREETING_MS.min(self.silence_ms().max(1_000)));
        self.wires.insert(now, conn, Stage::Greeting { place, until }, address.ip(), None);
        self.links.get_mut(&place).expect("it was called").state = State::Greeting { conn };
        self.due = self.due.min(until);
        let versions = greeting::versions(&self.settings);
        let hello = Hello {
            versions: (*versions.start(), *versions.end()),
            cluster: self.settings.cluster.id,
            node: self.settings.node,
            start: self.settings.cluster.start,
            shards: self.settings.shards,
            from: self.settings.shard,
            to_node: place.node,
            to: place.shard,
            disk: self.settings.cluster.disk,
        };
        self.wires.send(now, conn, vec![hello.encode()], ops);
        self.wires.arm(conn, ops);
    }

    fn unreachable(&mut self, now: Mono, call: u64, error: ConnectError, ops: &mut Ops) {
        let Some(place) = self.calls.remove(&call) else { return };
        self.failed(now, place, None);
        if self.links.get(&place).is_some_and(|link| link.failures == UNREACHED_CALLS) {
            let address = self.roster.address(place.node);
            let at = address.map_or(String::new(), |address| format!(" at {address}"));
            self.log(
                now,
                Level::Warn,
                format!("node {}{at} cannot be reached: {error}; it is tried again", place.node),
                ops,
            );
        }
    }

    /// Nobody waits for that call any more: this shard takes no part, or the node was removed meanwhile.
    fn not_called(&mut self, place: Place) {
        if self.roster.server(place.node).is_none() {
            self.links.remove(&place);
        } else {
            let retry = self.running.then_some(self.looked);
            self.links.get_mut(&place).expect("it was called").state = State::Down { retry };
        }
    }

    /// A call came to nothing: the next one follows, `at_least_ms` later if that is said.
    fn failed(&mut self, now: Mono, place: Place, at_least_ms: Option<u64>) {
        add(&self.stats.peer_calls_failed_total, 1);
        if self.roster.server(place.node).is_none() {
            return self.not_called(place);
        }
        let link = self.links.get_mut(&place).expect("it was called");
        let wait = (REDIAL_MS << link.failures.min(10)).min(REDIAL_MAX_MS);
        link.failures = link.failures.saturating_add(1);
        // Nodes that start together do not call in step.
        let wait = at_least_ms.unwrap_or(wait / 2 + self.prng.below(wait / 2 + 1));
        let at = now.plus_ms(wait);
        link.state = State::Down { retry: self.running.then_some(at) };
        self.due = self.due.min(at);
    }

    /// Handles the frames of a connection that are there, then receives on.
    fn pump(&mut self, now: Mono, conn: ConnId, ops: &mut Ops) {
        loop {
            match self.wires.next_frame(now, conn) {
                Ok(Some(frame)) => self.frame(now, conn, frame, ops),
                Ok(None) => break,
                Err(bad) => return self.bad_length(now, conn, bad, ops),
            }
        }
        self.wires.arm(conn, ops);
        self.leave_if_still(conn, ops);
    }

    fn bad_length(&mut self, now: Mono, conn: ConnId, BadLength(len): BadLength, ops: &mut Ops) {
        match by_first_bytes(len.to_be_bytes()).filter(|_| self.is_stranger(conn)) {
            Some(foreign) => self.broken(now, conn, &foreign.to_string(), ops),
            None => self.broken(now, conn, &format!("it announces {len} bytes"), ops),
        }
    }

    fn is_stranger(&self, conn: ConnId) -> bool {
        self.wires.get(conn).is_some_and(|wire| matches!(wire.stage, Stage::Stranger { .. }))
    }

    fn frame(&mut self, now: Mono, conn: ConnId, frame: BufMut, ops: &mut Ops) {
        let bytes = frame.freeze();
        let frame = match peer::decode(&bytes) {
            Ok(frame) => frame,
            Err(error) => {
                let foreign = greeting::foreign(&bytes).filter(|_| self.is_stranger(conn));
                let why = foreign.map_or_else(|| error.to_string(), |foreign| foreign.to_string());
                return self.broken(now, conn, &why, ops);
            }
        };
        let Some(wire) = self.wires.get(conn).filter(|wire| !wire.closing) else { return };
        match (&wire.stage, frame) {
            (Stage::Up { place }, frame @ (Frame::Groups(_) | Frame::Untaken(_) | Frame::Mail(_))) => {
                self.news.push(News::Frame(*place, frame));
            }
            (Stage::Up { .. }, Frame::Beat) => add(&self.stats.peer_beats_received_total, 1),
            (Stage::Stranger { .. }, Frame::Hello(hello)) if !wire.sending => self.hello(now, conn, hello, ops),
            (Stage::Stranger { .. }, Frame::Form(body)) if !wire.sending => self.asked(now, conn, &body, ops),
            (Stage::Greeting { place, .. }, Frame::Welcome(welcome)) => {
                let place = *place;
                self.welcome(now, conn, place, &welcome, ops);
            }
            (Stage::Greeting { place, .. }, Frame::Refusal(refusal)) => {
                let place = *place;
                self.refused(now, conn, place, &refusal, ops);
            }
            _ => self.broken(now, conn, "it says what does not belong there", ops),
        }
    }

    /// Somebody asks how the cluster was founded, or whether it belongs to it.
    fn asked(&mut self, now: Mono, conn: ConnId, body: &[u8], ops: &mut Ops) {
        let question = match Question::decode(body) {
            None => {
                let founding = peer::form(&self.settings.cluster.founding);
                return self.wires.send(now, conn, vec![founding], ops);
            }
            Some(Ok(question)) => question,
            Some(Err(error)) => return self.broken(now, conn, &error.to_string(), ops),
        };
        let (node, from) = (question.from.node, self.wires.get(conn).expect("it asks").from);
        let is_linked = self.links.iter().any(|(at, link)| at.node == node && matches!(link.state, State::Up { .. }));
        let runs = if question.joins {
            let silence_ms = self.silence_ms();
            self.claims.runs(now, node, is_linked, silence_ms)
        } else {
            Runs::No
        };
        let desk = Desk { settings: &self.settings, roster: &self.roster, runs, from };
        let (reply, admission) = desk.answer(&question);
        let reply_bytes = peer::form(&reply.encode(desk.caller()));
        if let Reply::Refused(why) = &reply {
            add(&self.stats.peer_refusals_total, 1);
            self.log(now, Level::Error, format!("node {node} at {from} was refused: {why}"), ops);
        }
        self.news.extend(admission.map(|(node, admission)| News::Admit(node, admission)));
        self.wires.send(now, conn, vec![reply_bytes], ops);
    }

    /// Somebody says who it is.
    fn hello(&mut self, now: Mono, conn: ConnId, hello: Hello, ops: &mut Ops) {
        let place = Place { node: hello.node, shard: hello.from };
        let mut up =
            self.links.iter().filter(|(at, link)| at.node == place.node && matches!(link.state, State::Up { .. }));
        let linked = up.next().map(|(_, link)| (link.start, self.shards[&place.node]));
        if let Err(refusal) =
            greeting::check(&hello, &self.settings, Known { linked, roster: &self.roster }, self.running)
        {
            return self.refuse(now, conn, &hello, &refusal, ops);
        }
        if hello.to != self.settings.shard {
            let wire = self.wires.get_mut(conn).expect("it said hello");
            (wire.stage, wire.leaving) = (Stage::Leaving { hello }, true);
            return;
        }
        let version = hello.common_version(&greeting::versions(&self.settings)).expect("just checked");
        let (cluster, shards) = (&self.settings.cluster, self.settings.shards);
        let welcome = Welcome { version, cluster: cluster.id, start: cluster.start, shards, disk: cluster.disk };
        self.wires.send(now, conn, vec![welcome.encode()], ops);
        self.up(now, conn, place, (hello.start, hello.disk, hello.shards), version, ops);
    }

    /// Hands a connection over that another shard was called on, once nothing is armed.
    fn leave_if_still(&mut self, conn: ConnId, ops: &mut Ops) {
        let Some(Stage::Leaving { hello }) = self.wires.get(conn).map(|wire| &wire.stage) else { return };
        let (hello, to) = (*hello, hello.to);
        if self.wires.is_still(conn)
            && let Some((_, from, frames)) = self.wires.remove(conn)
        {
            ops.push(Op::HandOver { conn, to, with: Mail::Calling(Box::new(Calling { hello, from, frames })) });
        }
    }

    fn refuse(&mut self, now: Mono, conn: ConnId, hello: &Hello, refusal: &Refusal, ops: &mut Ops) {
        add(&self.stats.peer_refusals_total, 1);
        if refusal.reason != Reason::NotReady {
            let from = self.wires.get(conn).map_or(IpAddr::from([0, 0, 0, 0]), |wire| wire.from);
            let text = format!("node {} at {from} was refused: {refusal}", hello.node);
            self.log(now, Level::Error, text, ops);
        }
        let until = now.plus_ms(GREETING_MS);
        self.wires.get_mut(conn).expect("it said hello").stage = Stage::Refused { until };
        self.due = self.due.min(until);
        self.wires.send(now, conn, vec![refusal.encode()], ops);
    }

    /// The one that was called lets this node in.
    fn welcome(&mut self, now: Mono, conn: ConnId, place: Place, welcome: &Welcome, ops: &mut Ops) {
        let shards = welcome.shards;
        let fits = greeting::check_welcome(welcome, &self.settings, &self.roster, place.node);
        let fits = fits.and_then(|()| if place.shard.0 < shards { Ok(()) } else { Err("it has no such shard".into()) });
        if let Err(what) = fits {
            return self.broken(now, conn, &what, ops);
        }
        // Who answers at the node's address is the node; links to another process of it are about to end.
        let stale = self.links.iter().filter(|(at, link)| at.node == place.node && link.start != welcome.start);
        let stale: Vec<ConnId> = stale
            .filter_map(|(_, link)| match link.state {
                State::Up { conn } => Some(conn),
                _ => None,
            })
            .collect();
        for old in stale {
            self.broken(now, old, "the node was started anew", ops);
        }
        self.up(now, conn, place, (welcome.start, welcome.disk, shards), welcome.version, ops);
        for shard in (0..shards).map(ShardId) {
            let at = Place { node: place.node, shard };
            self.links.entry(at).or_insert_with(|| Link::new(Some(now)));
        }
        self.links.retain(|at, link| {
            at.node != place.node || at.shard.0 < shards || !matches!(link.state, State::Down { .. })
        });
        self.due = now;
    }

    /// The one that was called does not let this node in.
    fn refused(&mut self, now: Mono, conn: ConnId, place: Place, refusal: &Refusal, ops: &mut Ops) {
        let passing = refusal.reason.is_passing();
        if refusal.reason != Reason::NotReady {
            let text = format!("node {} does not let this node in: {refusal}", place.node);
            self.log(now, Level::Error, text, ops);
        }
        self.wires.get_mut(conn).expect("it was called").stage = Stage::Forgotten;
        self.wires.close(conn, ops);
        self.failed(now, place, (!passing).then_some(REFUSED_MS));
    }

    fn up(
        &mut self,
        now: Mono,
        conn: ConnId,
        place: Place,
        (start, disk, shards): (u64, u128, u16),
        version: u16,
        ops: &mut Ops,
    ) {
        let is_up = |(at, link): (&Place, &Link)| at.node == place.node && matches!(link.state, State::Up { .. });
        let first = !self.links.iter().any(is_up);
        self.next_number += 1;
        let link = self.links.entry(place).or_insert_with(|| Link::new(None));
        let before = link.state;
        (link.state, link.start, link.disk, link.failures) = (State::Up { conn }, start, disk, 0);
        (link.number, link.version, link.queue) = (self.next_number, version, Queue::default());
        if let State::Up { conn: old } = before {
            // The same process calls again: it has lost what was there, and this side has not heard of that.
            self.forget(old, ops);
            self.news.push(News::Down(place));
        }
        self.shards.insert(place.node, shards);
        let wire = self.wires.get_mut(conn).expect("it is there");
        wire.stage = Stage::Up { place };
        self.wires.trust(conn);
        self.due = self.due.min(now);
        self.news.push(News::Up(place, shards, version));
        if first {
            self.log(now, Level::Info, format!("linked to node {}, which has {shards} shards", place.node), ops);
        }
    }

    fn forget(&mut self, conn: ConnId, ops: &mut Ops) {
        if let Some(wire) = self.wires.get_mut(conn) {
            wire.stage = Stage::Forgotten;
        }
        self.wires.close(conn, ops);
    }

    fn sent(&mut self, now: Mono, conn: ConnId, ops: &mut Ops) {
        self.wires.sent(now, conn);
        match self.wires.get(conn).map(|wire| &wire.stage) {
            Some(Stage::Refused { .. }) => self.wires.close(conn, ops),
            Some(Stage::Up { .. }) => self.due = self.due.min(now.plus_ms(self.settings.cluster.beat_ms)),
            _ => self.leave_if_still(conn, ops),
        }
    }

    /// Ends a connection whose other end does not keep to the protocol, or is silent.
    pub fn break_link(&mut self, now: Mono, place: Place, why: &str, ops: &mut Ops) {
        if let Some(State::Up { conn }) = self.links.get(&place).map(|link| link.state) {
            self.broken(now, conn, why, ops);
        }
    }

    fn broken(&mut self, now: Mono, conn: ConnId, why: &str, ops: &mut Ops) {
        let Some(wire) = self.wires.get(conn).filter(|wire| !wire.closing) else { return };
        let who = match wire.stage {
            Stage::Up { place } | Stage::Greeting { place, .. } => format!("node {}", place.node),
            _ => format!("a connection from {}", wire.from),
        };
        self.log(now, Level::Warn, format!("{who}: the link is closed: {why}"), ops);
        self.end(now, conn);
        self.wires.close(conn, ops);
    }

    fn closed(&mut self, now: Mono, conn: ConnId, ops: &mut Ops) {
        if let Some(Stage::Up { place }) = self.wires.get(conn).map(|wire| &wire.stage) {
            let text = format!("node {} has closed the link, or is gone", place.node);
            self.log(now, Level::Warn, text, ops);
            self.detected(now, conn);
        }
        self.end(now, conn);
        self.wires.remove(conn);
    }

    /// The node at the other end is noticed to be gone: how long after the last that was heard of it.
    fn detected(&mut self, now: Mono, conn: ConnId) {
        let us = now.since(self.wires.get(conn).expect("it is noticed now").heard) / 1_000;
        add(&self.stats.peer_detections_total, 1);
        add(&self.stats.peer_detection_us_total, us);
        set(&self.stats.peer_detection_last_us, us);
    }

    /// The connection's link is down, if it was one; it is told at once, and before the connection is gone.
    fn end(&mut self, now: Mono, conn: ConnId) {
        let Some(wire) = self.wires.get_mut(conn) else { return };
        let place = match std::mem::replace(&mut wire.stage, Stage::Forgotten) {
            Stage::Greeting { place, .. } => return self.failed(now, place, None),
            Stage::Up { place } => place,
            _ => return,
        };
        let calls = place.node > self.settings.node;
        let link = self.links.get_mut(&place).expect("it was up");
        link.queue = Queue::default();
        link.state = State::Down { retry: (calls && self.running).then_some(now) };
        if calls {
            self.due = self.due.min(now);
        } else {
            // Whoever calls makes it anew.
            self.links.remove(&place);
        }
        add(&self.stats.peer_links_lost_total, 1);
        self.news.push(News::Down(place));
    }

    fn log(&mut self, now: Mono, level: Level, text: String, ops: &mut Ops) {
        let lines = if level == Level::Error { &mut self.refusals } else { &mut self.lines };
        let Some(left_out) = lines.admit(now) else { return };
        let more = if left_out == 0 { String::new() } else { format!(" ({left_out} lines about peers were left out)") };
        ops.push(Op::Log { level, text: text + &more });
    }
}
