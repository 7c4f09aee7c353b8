//! Connections: what is received next, and the way out of their answers, with bounds on both.

mod patience;

use crate::allowance::{Allowance, Usage};
use crate::frames::{BadLength, Frames, Lender};
use crate::mail::{Mail, Token};
use crate::memory::{Budget, MemoryLimits, Pace, Turns};
use crate::outbox::{Action, Later, Outbox, Piece, SlotId};
use crate::receive::Receive;
use crate::settings::Protocol;
use crate::stages::{Path, Trace};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::{ConnId, ListenerId, ShardId};
use torc_base::io::Op;
use torc_base::limits::{
    PIECE_BYTES_MIN, REPLY_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX, TURN_SEND_BYTES, WAITING_BYTES_MAX,
    ZNODE_REQUESTS_IN_FLIGHT_MAX,
};
use torc_base::time::Mono;

/// After a stop was asked for, what clients have sent before it is still read: until a connection has been silent for
/// so long, which tells that nothing is left in its socket ...
const QUIET_NS: u64 = 20_000_000;
/// ... but no longer than this, as some clients never stop sending.
const DRAIN_READS_MS: u64 = 250;
/// How often connections are looked at while they drain.
const DRAIN_LOOK_MS: u64 = 5;
/// What a send costs, in units of a turn's sum, and bytes that cost one more.
const SEND_COST: usize = 8;
const BYTES_SENT: usize = 4 << 10;
/// Each move doubles the requests in a row that the next one takes, up to this.
const MOVE_AFTER_MAX: u32 = 4_096;

/// Where a connection came in and what is spoken there, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub listener: ListenerId,
    pub protocol: Protocol,
    pub peer: SocketAddr,
}

#[derive(Debug)]
struct Conn {
    origin: Origin,
    frames: Frames,
    receive: Receive,
    outbox: Outbox,
    /// Bytes of answers that its socket has taken since it last did not.
    taken: usize,
    /// Bytes reserved for a frame that is not whole; 0 if there is none.
    reserved: usize,
    pace: Pace,
    /// Something was put off because too much waits; it is taken up when there is room.
    stopped: bool,
    /// The request whose answer may be long: until it is there no other one is taken.
    alone: Option<SlotId>,
    /// What its requests have used lately, and whether others of them wait for a turn.
    usage: Usage,
    put_off: bool,
    /// It waits for its turn to send.
    in_turn: bool,
    eof: bool,
    closing: bool,
    /// It is closed when it has been sent all that it is owed; nothing more is taken from it.
    ending: bool,
    active: Mono,
    /// Requests of this connection that wait for an answer.
    tokens: Vec<Token>,
    /// The shard that the last requests were for, and how many.
    toward: (ShardId, u32),
    /// Moves so far.
    moves: u32,
    /// It moves there when nothing is under way any more; no request is taken meanwhile.
    leaving: Option<ShardId>,
}

/// A connection on its way to another shard.
#[derive(Debug)]
pub struct Moving {
    origin: Origin,
    frames: Frames,
    reserved: usize,
    pace: Pace,
    moves: u32,
}

impl Conn {
    fn new(now: Mono, Moving { origin, frames, reserved, pace, moves }: Moving) -> Conn {
        Conn {
            origin,
            frames,
            receive: Receive::Idle,
            outbox: Outbox::new(now),
            taken: 0,
            reserved,
            pace,
            stopped: false,
            alone: None,
            usage: Usage::default(),
            put_off: false,
            in_turn: false,
            eof: false,
            closing: false,
            ending: false,
            active: now,
            tokens: Vec::new(),
            toward: (ShardId(0), 0),
            moves,
            leaving: None,
        }
    }

    /// True if another request may be taken; `free`: memory for requests.
    fn may_take(&self, free: usize) -> bool {
        self.alone.is_none() && self.has_room(free)
    }

    /// True if it is to receive. That a client goes is to be seen while it waits for an answer that may be long; what it has
    /// asked for besides stays with it.
    fn may_receive(&self, free: usize) -> bool {
        let waits = self.alone.is_some() || (self.put_off && self.frames.pieces() > 1);
        (!waits || self.frames.is_looked_through()) && self.has_room(free)
    }

    /// True if there is room for another request. One may always be there.
    fn has_room(&self, free: usize) -> bool {
        let waiting = self.outbox.waiting_bytes();
        let most = match self.origin.protocol {
            Protocol::ZooKeeper => ZNODE_REQUESTS_IN_FLIGHT_MAX,
            Protocol::Kafka | Protocol::Peer => REQUESTS_IN_FLIGHT_MAX,
        };
        !self.closing
            && !self.ending
            && self.leaving.is_none()
            && self.outbox.len() < most
            && (waiting == 0 || waiting < WAITING_BYTES_MAX.min(free))
            && self.outbox.held() < REPLY_BYTES_MAX
    }
}

/// A whole frame, if there is one, or a length that none has; and in which protocol it came.
pub type Framed = Result<Option<(Protocol, BufMut)>, (Protocol, BadLength)>;

/// All connections of a shard, whatever they speak.
pub struct Conns {
    conns: BTreeMap<ConnId, Conn>,
    frame_max: usize,
    idle_ns: u64,
    /// Requests in a row for one other shard after which a connection moves there; 0: never.
    move_after: u32,
    /// For frames; how much of it may be in use is said by `turns`.
    pool: Pool,
    turns: Turns,
    /// Memory of requests that were answered while others still hold them.
    kept: usize,
    answers: Budget,
    /// Memory for answers is short elsewhere in the shard.
    pressed: bool,
    /// Since when answers that may be long wait for memory and none has got it, as was said in this turn.
    answers_stuck_since: Option<Mono>,
    /// So it was in the turn before.
    answers_wait: bool,
    /// When somebody last gave way to those.
    gave_way: Mono,
    /// Have answers to send.
    dirty: BTreeSet<ConnId>,
    /// Have long ones to send, and take turns.
    long: VecDeque<ConnId>,
    /// Have room again for what was put off.
    resumed: BTreeSet<ConnId>,
    /// What the turn may still do.
    pub allowance: Allowance,
    /// Have used much, and go on in turns.
    put_off: VecDeque<ConnId>,
    /// Have given something to their sockets.
    sending: BTreeSet<ConnId>,
    /// What is to be read again for answers that were taken back.
    reads: Vec<(ConnId, Later, usize)>,
    last_look: Mono,
    next_sweep: Mono,
    drain: Option<Drain>,
    /// Requests whose answers left since this was last taken.
    answered: Vec<(ConnId, Trace)>,
    now: Mono,
}

/// A stop was asked for.
#[derive(Clone, Copy, Debug)]
struct Drain {
    since: Mono,
    /// False: nothing more is read.
    reads: bool,
    next_look: Mono,
}

macro_rules! lender {
    ($self:ident, $c:ident, $conn:expr) => {
        &mut Lender {
            now: $self.now,
            conn: $conn,
            pace: $c.pace,
            turns: &mut $self.turns,
            pool: &$self.pool,
            reserved: &mut $c.reserved,
            is_first: $c.outbox.is_empty(),
        }
    };
}

impl Conns {
    /// No connections yet. `pool` has no limit of its own.
    pub fn new(frame_max: usize, idle_ms: u64, move_after: u32, limits: MemoryLimits, pool: Pool) -> Conns {
        Conns {
            conns: BTreeMap::new(),
            frame_max,
            idle_ns: idle_ms.saturating_mul(1_000_000),
            move_after,
            pool,
            turns: Turns::new(limits.frames, frame_max),
            kept: 0,
            answers: Budget::new(limits.answers),
            pressed: false,
            answers_stuck_since: None,
            answers_wait: false,
            gave_way: Mono(0),
            dirty: BTreeSet::new(),
            long: VecDeque::new(),
            resumed: BTreeSet::new(),
            allowance: Allowance::new(),
            put_off: VecDeque::new(),
            sending: BTreeSet::new(),
            reads: Vec::new(),
            last_look: Mono(0),
            next_sweep: Mono(0),
            drain: None,
            answered: Vec::new(),
            now: Mono(0),
        }
    }

    /// Connections that are open.
    pub fn len(&self) -> usize {
        self.conns.len()
    }

    /// A client connected; its requests are read from now on.
    pub fn accepted(&mut self, now: Mono, conn: ConnId, origin: Origin, ops: &mut Vec<Op<Mail>>) {
        let frames = Frames::new(self.frame_max);
        self.insert(now, conn, Moving { origin, frames, reserved: 0, pace: Pace::default(), moves: 0 });
        // Most have sent their first request by now, and are read when the turn ends.
        self.allowance.hurry();
        self.arm(now, conn, ops);
    }

    /// Another shard handed a connection over; what it has received comes next.
    pub fn adopted(&mut self, now: Mono, conn: ConnId, moving: Moving) {
        self.turns.take(moving.reserved);
        self.insert(now, conn, moving);
    }

    /// Hands a connection over that has just come in here and is to be served elsewhere.
    pub fn pass_on(&mut self, conn: ConnId, origin: Origin, to: ShardId, ops: &mut Vec<Op<Mail>>) {
        let frames = Frames::new(self.frame_max);
        let moving = Moving { origin, frames, reserved: 0, pace: Pace::default(), moves: 0 };
        ops.push(Op::HandOver { conn, to, with: Mail::Moving(Box::new(moving)) });
    }

    /// From now on frames of up to `max` bytes are taken from a connection, of which nothing has come yet.
    pub fn set_frame_max(&mut self, conn: ConnId, max: usize) {
        if let Some(c) = self.conns.get_mut(&conn) {
            c.frames.set_max(max.min(self.frame_max));
        }
    }

    /// Where a connection came in, even if it has gone to another shard since. Of one that is gone: the first.
    pub fn listener(&self, conn: ConnId) -> ListenerId {
        self.conns.get(&conn).map_or(ListenerId(0), |c| c.origin.listener)
    }

    /// Where a connection comes from, if it is there.
    pub fn peer(&self, conn: ConnId) -> Option<SocketAddr> {
        self.conns.get(&conn).map(|c| c.origin.peer)
    }

    /// What is spoken on a connection, if it is there.
    pub fn protocol(&self, conn: ConnId) -> Option<Protocol> {
        self.conns.get(&conn).map(|c| c.origin.protocol)
    }

    fn insert(&mut self, now: Mono, conn: ConnId, moving: Moving) {
        let before = self.conns.insert(conn, Conn::new(now, moving));
        assert!(before.is_none(), "connection {conn} was there already");
    }

    /// A request of the connection was for logs of shard `to` alone, or `None`: for others too, or this one's. Many in a
    /// row, and the connection moves there, as each would pay the way to that shard and back.
    pub fn note_owner(&mut self, conn: ConnId, to: Option<ShardId>) {
        let Some(c) = self.conns.get_mut(&conn) else { return };
        match to {
            Some(to) if c.toward.0 == to => c.toward.1 += 1,
            Some(to) => c.toward = (to, 1),
            None => c.toward.1 = 0,
        }
        let enough = u64::from(self.move_after) << c.moves.min(31);
        let enough = enough.min(MOVE_AFTER_MAX.into());
        if enough > 0 && u64::from(c.toward.1) >= enough && self.drain.is_none() && !c.eof {
            c.leaving = to;
        }
    }

    /// Hands a connection over that is to leave and has nothing under way.
    fn leave_if_idle(&mut self, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        let Some(c) = self.conns.get(&conn) else { return };
        let Some(to) = c.leaving else { return };
        if c.receive != Receive::Idle || !c.outbox.is_empty() || c.closing || c.eof {
            return;
        }
        let c = self.forget(conn).expect("looked at above");
        let owed = c.outbox.held() + c.outbox.waiting_bytes();
        assert!(c.tokens.is_empty() && owed == 0, "an idle connection is owed nothing");
        self.turns.give(c.reserved);
        let Conn { origin, frames, reserved, pace, moves, .. } = c;
        let moving = Moving { origin, frames, reserved, pace, moves: moves + 1 };
        ops.push(Op::HandOver { conn, to, with: Mail::Moving(Box::new(moving)) });
    }

    fn forget(&mut self, conn: ConnId) -> Option<Conn> {
        for set in [&mut self.dirty, &mut self.resumed, &mut self.sending] {
            set.remove(&conn);
        }
        self.turns.leave(conn);
        let c = self.conns.remove(&conn)?;
        if c.in_turn {
            self.long.retain(|other| *other != conn);
        }
        if c.put_off {
            self.put_off.retain(|other| *other != conn);
        }
        Some(c)
    }

    /// The connection stays after all, and what it held back is looked at.
    fn cancel_move(&mut self, conn: ConnId) {
        if let Some(c) = self.conns.get_mut(&conn)
            && c.leaving.take().is_some()
        {
            c.toward.1 = 0;
            self.resumed.insert(conn);
        }
    }

    /// Bytes came in.
    pub fn received(&mut self, now: Mono, conn: ConnId, bytes: BufMut) {
        if let Some(c) = self.conns.get_mut(&conn) {
            c.active = now;
            if !c.closing {
                c.frames.push(now, bytes);
            }
        }
    }

    /// An exact receive is full; the frame, if it was one.
    pub fn filled(&mut self, now: Mono, conn: ConnId, bytes: BufMut) -> Framed {
        self.now = now;
        let Some(c) = self.conns.get_mut(&conn) else { return Ok(None) };
        c.receive.filled();
        c.active = now;
        if c.closing {
            return Ok(None);
        }
        if c.alone.is_some() {
            // It was received to see whether the client goes.
            c.frames.keep_length(now, bytes);
            return Ok(None);
        }
        framed(c.origin.protocol, c.frames.filled(bytes, lender!(self, c, conn)))
    }

    /// An exact receive was stopped to see how far it is.
    pub fn halted(&mut self, now: Mono, conn: ConnId, bytes: BufMut, at: usize) {
        let Some(c) = self.conns.get_mut(&conn) else { return };
        c.receive = Receive::Idle;
        if c.closing {
            return;
        }
        if c.frames.halted(now, bytes, at) {
            c.active = now;
        }
    }

    /// The receive stopped, asked for or for lack of shared buffers. Nobody waits for those: they may be held by whoever
    /// waits for something else. What comes next is received into memory of its own.
    pub fn disarmed(&mut self, conn: ConnId, starved: bool) {
        if let Some(c) = self.conns.get_mut(&conn)
            && c.receive.stopped(starved)
            && starved
        {
            c.frames.do_without_shared();
        }
    }

    /// The peer sends no more. What it sent is served, and it still gets its answers: those that wait for them.
    pub fn eof(&mut self, now: Mono, conn: ConnId, ops: &mut Vec<Op<Mail>>) -> Option<(Protocol, Vec<Token>)> {
        let c = self.conns.get_mut(&conn)?;
        c.eof = true;
        c.receive = Receive::Idle;
        let ended = (c.origin.protocol, c.tokens.clone());
        self.cancel_move(conn);
        self.close_if_done(now, conn, ops);
        Some(ended)
    }

    /// True if the peer sends no more.
    pub fn has_ended(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|c| c.eof)
    }

    /// The connection is gone; its waiting requests. Memory for requests stays taken for `kept` bytes of them, which others
    /// still hold; see [`Conns::give`].
    pub fn closed(&mut self, conn: ConnId, kept: impl FnOnce(&[Token]) -> usize) -> Vec<Token> {
        let Some(c) = self.forget(conn) else { return Vec::new() };
        self.answers.give(c.outbox.held());
        let kept = kept(&c.tokens);
        assert!(kept <= c.outbox.waiting_bytes(), "what is kept was waiting");
        self.turns.give(c.reserved + c.outbox.waiting_bytes() - kept);
        self.kept += kept;
        c.tokens
    }

    /// Takes memory for a request that is answered while others still hold it.
    pub fn keep(&mut self, bytes: usize) {
        self.turns.take(bytes);
        self.kept += bytes;
    }

    /// Gives back memory for requests that others held.
    pub fn give(&mut self, bytes: usize) {
        self.turns.give(bytes);
        self.kept -= bytes;
    }

    /// Drops a connection that broke the protocol, or all its answers are sent.
    pub fn close(&mut self, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        if let Some(c) = self.conns.get_mut(&conn)
            && !c.closing
        {
            c.closing = true;
            self.turns.leave(conn);
            ops.push(Op::Close { conn });
        }
    }

    /// True until a stop has been asked for and what was sent before it has been read.
    pub fn reads(&self) -> bool {
        self.drain.is_none_or(|drain| drain.reads)
    }

    /// The next request of a connection, if there is one and the connection may have it.
    pub fn next_frame(&mut self, now: Mono, conn: ConnId) -> Framed {
        self.now = now;
        let (reads, free) = (self.reads(), self.turns.budget().free());
        let Some(c) = self.conns.get_mut(&conn).filter(|_| reads) else { return Ok(None) };
        c.stopped = !c.may_take(free);
        let is_late = self.allowance.is_spent() || !self.put_off.is_empty();
        if !c.stopped && is_late && !c.frames.is_looked_through() && (c.put_off || !c.usage.is_little(now)) {
            if !std::mem::replace(&mut c.put_off, true) {
                self.put_off.push_back(conn);
            }
            return Ok(None);
        }
        if c.stopped { Ok(None) } else { framed(c.origin.protocol, c.frames.pop(lender!(self, c, conn))) }
    }

    /// The next of those connections that were put off, and its next request if it may have one.
    pub fn next_put_off(&mut self, now: Mono) -> Option<(ConnId, Framed)> {
        let conn = self.put_off.pop_front()?;
        self.now = now;
        let (reads, free) = (self.reads(), self.turns.budget().free());
        let c = self.conns.get_mut(&conn).expect("who goes leaves the line");
        c.put_off = false;
        c.stopped = !c.may_take(free);
        if c.stopped || !reads {
            return Some((conn, Ok(None)));
        }
        Some((conn, framed(c.origin.protocol, c.frames.pop(lender!(self, c, conn)))))
    }

    /// Something was done for the connection.
    pub fn charge(&mut self, conn: ConnId, cost: usize) {
        self.allowance.charge(cost);
        if let Some(c) = self.conns.get_mut(&conn) {
            c.usage.charge(self.now, cost);
        }
    }

    /// Takes the next place among the answers, for the request of `bytes` bytes that was given out last.
    pub fn open_slot(&mut self, now: Mono, conn: ConnId, api: i16, bytes: usize) -> SlotId {
        let c = self.conns.get_mut(&conn).expect("a request has a connection");
        if c.usage.is_little(now) {
            // What it asks of the disk, or of others, leaves at the end of the turn.
            self.allowance.hurry();
        }
        let trace = Trace { api, began: c.frames.began(), decoded: now, path: Path::Other };
        // What was reserved for the frame becomes the request's.
        let collected = std::mem::take(&mut c.reserved);
        assert!(collected == 0 || collected >= bytes, "{collected} bytes for a frame of {bytes}");
        self.turns.take(bytes.saturating_sub(collected));
        c.pace.arrived(now.since(c.frames.began()) / 1_000_000);
        c.outbox.open(bytes.max(collected), trace)
    }

    /// No other request of the connection is taken until the one of that place, its newest, is answered: the answer may be
    /// long, and what a client asks for ahead is to wait with the client.
    pub fn take_alone(&mut self, conn: ConnId, slot: SlotId) {
        if let Some(c) = self.conns.get_mut(&conn) {
            assert!(c.alone.is_none(), "no other request was taken");
            c.alone = Some(slot);
        }
    }

    /// The request of that place is under way: those behind it may be taken, too.
    pub fn let_follow(&mut self, conn: ConnId, slot: SlotId) {
        if let Some(c) = self.conns.get_mut(&conn).filter(|c| c.alone == Some(slot)) {
            c.alone = None;
            self.dirty.insert(conn);
        }
    }

    /// Remembers that `token` waits on behalf of a connection.
    pub fn add_token(&mut self, conn: ConnId, token: Token) {
        if let Some(c) = self.conns.get_mut(&conn) {
            c.tokens.push(token);
        }
    }

    /// `token` waits no more.
    pub fn remove_token(&mut self, conn: ConnId, token: Token) {
        if let Some(c) = self.conns.get_mut(&conn) {
            c.tokens.retain(|t| *t != token);
        }
    }

    /// The answer to the request of that place, and what way it went. No pieces: there is none to send.
    pub fn answer(&mut self, conn: ConnId, slot: SlotId, pieces: Vec<Piece>, path: Path) {
        let Some(c) = self.conns.get_mut(&conn) else { return };
        let before = c.outbox.held();
        let Some(request_bytes) = c.outbox.answer(self.now, slot, pieces, path) else { return };
        if c.alone == Some(slot) {
            c.alone = None;
        }
        let bytes = c.outbox.held() - before;
        if bytes > 0 && c.usage.is_little(self.now) {
            self.allowance.hurry();
        }
        self.answers.take(bytes);
        self.turns.give(request_bytes);
        self.dirty.insert(conn);
    }

    /// Sends something that nobody asked for, in front of all answers that are not there yet.
    pub fn push(&mut self, now: Mono, conn: ConnId, bytes: Buf) {
        let Some(c) = self.conns.get_mut(&conn).filter(|c| !c.closing) else { return };
        self.answers.take(bytes.len());
        c.outbox.push(now, bytes, |trace| self.answered.push((conn, *trace)));
        self.dirty.insert(conn);
    }

    /// Closes a connection as soon as it has been sent all that it is owed.
    pub fn end(&mut self, conn: ConnId) {
        if let Some(c) = self.conns.get_mut(&conn) {
            c.ending = true;
            self.dirty.insert(conn);
        }
    }

    /// Bytes of answers that the connection holds.
    pub fn held(&self, conn: ConnId) -> usize {
        self.conns.get(&conn).map_or(0, |c| c.outbox.held())
    }

    /// Memory for answers. What is taken of it for an answer that is being made is given back before it is answered.
    pub fn answers(&mut self) -> &mut Budget {
        &mut self.answers
    }

    /// Arms the receive that is wanted now, or disarms one that is not.
    pub fn arm(&mut self, now: Mono, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        let (reads, free) = (self.reads(), self.turns.budget().free());
        let Some(c) = self.conns.get_mut(&conn) else { return };
        let receives = c.may_receive(free);
        if !receives || c.frames.is_starved() {
            c.frames.set_aside();
        }
        if c.eof && c.frames.is_starved() && !c.frames.is_looked_through() {
            // It has its turn to come, and nothing to receive.
            return;
        }
        if c.closing || c.eof {
            return self.close_if_done(now, conn, ops);
        }
        c.stopped |= !c.may_take(free);
        // What was put off is looked at before more is asked for.
        let may_arm = receives && reads && (!c.put_off || c.frames.is_looked_through());
        if !c.receive.turn(conn, &mut c.frames, &self.pool, (!receives, may_arm), ops) {
            self.leave_if_idle(conn, ops);
        }
    }

    /// Sends what is ready, in order, one send per connection. Long ones take turns, so that a short one waits for a few
    /// of them at most, however many there are; and so do short ones of who has used much, when many of them have gone.
    pub fn send(&mut self, now: Mono, ops: &mut Vec<Op<Mail>>) {
        self.now = now;
        let mut sent = 0;
        for conn in std::mem::take(&mut self.dirty) {
            let Some(c) = self.conns.get_mut(&conn).filter(|c| !c.in_turn) else { continue };
            let ready = c.outbox.ready();
            if ready > PIECE_BYTES_MIN || (ready > 0 && sent >= TURN_SEND_BYTES && !c.usage.is_little(now)) {
                c.in_turn = true;
                self.long.push_back(conn);
                continue;
            }
            let bytes = self.send_one(now, conn, ops);
            self.allowance.charge(SEND_COST.min(bytes) + bytes / BYTES_SENT);
            sent += bytes;
        }
        let (mut sent, floor) = (0, self.allowance.long_floor());
        while sent < TURN_SEND_BYTES
            && self.allowance.long() > floor
            && let Some(conn) = self.long.pop_front()
        {
            self.conns.get_mut(&conn).expect("who goes leaves the line").in_turn = false;
            let bytes = self.send_one(now, conn, ops);
            self.allowance.charge(SEND_COST + bytes / BYTES_SENT);
            sent += bytes;
        }
        self.allowance.begin_turn();
    }

    /// Sends what is ready on one connection; its bytes.
    fn send_one(&mut self, now: Mono, conn: ConnId, ops: &mut Vec<Op<Mail>>) -> usize {
        let (free, mut sent) = (self.turns.budget().free(), 0);
        let Some(c) = self.conns.get_mut(&conn).filter(|c| !c.closing) else { return 0 };
        match c.outbox.next(|trace| self.answered.push((conn, *trace))) {
            Some(Action::Send(parts)) => {
                c.active = now;
                self.sending.insert(conn);
                sent = parts.iter().map(|part| part.len()).sum();
                c.usage.charge(now, sent / BYTES_SENT);
                ops.push(Op::Send { conn, parts });
            }
            Some(Action::Read(later, most)) => self.reads.push((conn, later, most)),
            None if c.stopped && c.may_take(free) => {
                // Places became free without a send, so that no end of one will tell of it.
                self.resumed.insert(conn);
            }
            None => {}
        }
        self.close_if_done(now, conn, ops);
        self.leave_if_idle(conn, ops);
        sent
    }

    /// Requests whose answers left since this was last asked. [`Conns::give_back`] takes the list for the next.
    pub fn take_answered(&mut self) -> Vec<(ConnId, Trace)> {
        std::mem::take(&mut self.answered)
    }

    /// An emptied list, to be filled again.
    pub fn give_back(&mut self, answered: Vec<(ConnId, Trace)>) {
        assert!(answered.is_empty() && self.answered.is_empty());
        self.answered = answered;
    }

    /// What is to be read again, and about how much: answered by [`Conns::read`].
    pub fn take_reads(&mut self) -> Vec<(ConnId, Later, usize)> {
        std::mem::take(&mut self.reads)
    }

    /// Batches that were read again. False: they are not those that the client was promised, and it is dropped.
    pub fn read(&mut self, conn: ConnId, parts: Vec<Buf>, ops: &mut Vec<Op<Mail>>) -> bool {
        let Some(c) = self.conns.get_mut(&conn).filter(|c| !c.closing) else { return true };
        let Ok(bytes) = c.outbox.read(parts) else {
            self.close(conn, ops);
            return false;
        };
        self.answers.take(bytes);
        self.dirty.insert(conn);
        true
    }

    /// A send has ended; what else came on the connection is to be looked at, if it is still there.
    pub fn sent(&mut self, now: Mono, conn: ConnId) -> Option<Protocol> {
        let c = self.conns.get_mut(&conn)?;
        c.active = now;
        self.sending.remove(&conn);
        let bytes = c.outbox.sent(now);
        c.taken = c.taken.saturating_add(bytes);
        self.answers.give(bytes);
        self.dirty.insert(conn);
        Some(c.origin.protocol)
    }

    /// A send was taken back: the rest waits until the socket takes more.
    pub fn taken_back(&mut self, now: Mono, conn: ConnId, rest: &[Buf], sent: usize, ops: &mut Vec<Op<Mail>>) {
        let Some(c) = self.conns.get_mut(&conn) else { return };
        c.taken = 0;
        match c.outbox.taken_back(now, rest, sent) {
            Ok(freed) => self.answers.give(freed),
            Err(_) => return self.close(conn, ops),
        }
        if sent > 0 {
            c.active = now;
        }
        if !c.closing {
            ops.push(Op::AwaitRoom { conn });
        }
    }

    /// The socket takes bytes again.
    pub fn room(&mut self, now: Mono, conn: ConnId) {
        if let Some(c) = self.conns.get_mut(&conn) {
            c.active = now;
            c.outbox.room();
            self.sending.remove(&conn);
            self.dirty.insert(conn);
        }
    }

    /// Closes a connection that is owed nothing and will send nothing.
    fn close_if_done(&mut self, now: Mono, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        let Some(c) = self.conns.get(&conn) else { return };
        let quiet = |drain: &Drain| !c.frames.is_partial() && now.since(c.active.max(drain.since)) >= QUIET_NS;
        let done = match &self.drain {
            Some(drain) if !drain.reads => true,
            Some(drain) if quiet(drain) => c.frames.is_looked_through(),
            _ => c.eof && c.frames.is_looked_through(),
        };
        if (done || c.ending) && c.outbox.is_empty() {
            self.close(conn, ops);
        }
    }

    /// Connections that waited for memory or room and may go on; takes back what stalled ones hold.
    pub fn retry(&mut self, now: Mono, ops: &mut Vec<Op<Mail>>) -> Vec<ConnId> {
        self.now = now;
        if now >= self.next_sweep {
            self.sweep(now, ops);
        }
        let answers_stuck_since = self.answers_stuck_since.take();
        self.answers_wait = answers_stuck_since.is_some();
        if now >= self.next_look() {
            self.last_look = now;
            self.look_at_frames(now, ops);
            self.look_at_answers(now, answers_stuck_since, ops);
        }
        self.look_at_drain(now, ops);
        let mut again: Vec<ConnId> = std::mem::take(&mut self.resumed).into_iter().collect();
        again.extend(std::iter::from_fn(|| self.turns.next(now)));
        again
    }

    /// True if the connection is there, and not about to be closed.
    pub fn is_open(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|c| !c.closing)
    }

    /// A stop was asked for: connections close as they fall silent and their answers are sent.
    pub fn drain(&mut self, now: Mono) {
        self.drain.get_or_insert(Drain { since: now, reads: true, next_look: now });
        let all: Vec<ConnId> = self.conns.keys().copied().collect();
        all.into_iter().for_each(|conn| self.cancel_move(conn));
    }

    fn look_at_drain(&mut self, now: Mono, ops: &mut Vec<Op<Mail>>) {
        let Some(drain) = &mut self.drain else { return };
        if now < drain.next_look {
            return;
        }
        drain.next_look = now.plus_ms(DRAIN_LOOK_MS);
        drain.reads = now < drain.since.plus_ms(DRAIN_READS_MS);
        let all: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in all {
            self.close_if_done(now, conn, ops);
        }
    }

    /// True when draining has closed every connection.
    pub fn is_drained(&self) -> bool {
        self.drain.is_some() && self.conns.is_empty()
    }

    /// When [`Conns::retry`] is due.
    pub fn deadline(&self) -> Option<Mono> {
        let sweep = (!self.conns.is_empty()).then_some(self.next_sweep);
        let look = self.drain.filter(|_| !self.conns.is_empty()).map(|drain| drain.next_look);
        let waits = !self.resumed.is_empty() || !self.long.is_empty() || !self.put_off.is_empty();
        let resume = waits.then_some(Mono(0));
        let stalled = (!self.sending.is_empty() || self.turns.is_short()).then(|| self.next_look());
        [sweep, look, resume, stalled].into_iter().flatten().min()
    }

    /// Bytes of memory that requests hold.
    pub fn frames_used(&self) -> usize {
        self.turns.budget().used()
    }

    /// Of these, what nobody is served with while others wait: connections hold it that wait for more, or nobody does.
    /// Always 0 (see [`Turns`]); it is for whoever checks that.
    pub fn frames_idle(&self) -> usize {
        if !self.turns.is_short() {
            return 0;
        }
        let served = |c: &Conn| if c.frames.is_starved() { 0 } else { c.reserved };
        let owned: usize = self.conns.values().map(|c| served(c) + c.outbox.waiting_bytes()).sum();
        self.turns.budget().used() - owned - self.turns.granted() - self.kept
    }

    /// Bytes of memory that answers hold.
    pub fn answers_used(&self) -> usize {
        self.answers.used()
    }

    /// Bytes of large frames' memory, those that the log or a reader holds among them.
    pub fn memory(&self) -> usize {
        self.pool.used()
    }
}

fn framed(protocol: Protocol, frame: Result<Option<BufMut>, BadLength>) -> Framed {
    match frame {
        Ok(frame) => Ok(frame.map(|frame| (protocol, frame))),
        Err(bad) => Err((protocol, bad)),
    }
}

#[cfg(test)]
#[path = "conns_tests.rs"]
mod tests;
