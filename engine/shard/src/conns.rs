//! Connections: what is received next, answers in the order of requests, and bounds on both.

use crate::frames::{BadLength, Frames, Want};
use crate::mail::{Mail, Token};
use crate::stages::{Path, Trace};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::{ConnId, ListenerId, ShardId};
use torc_base::io::Op;
use torc_base::limits::{REPLIES_MEMORY, REPLY_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX, WAITING_BYTES_MAX};
use torc_base::time::Mono;

/// How long a connection without memory waits before it tries again.
const STARVED_MS: u64 = 1;
/// Connections that try again in one turn. Thousands may wait for memory, and others are to be served meanwhile.
const RETRIES_MAX: usize = 64;
/// A half-received frame gives way when memory is short if nothing of its connection was heard for this long.
const STALLED_NS: u64 = 1_000_000_000;
/// How often such frames are looked for while memory is short.
const SHED_MS: u64 = 50;
/// After a stop was asked for, what clients have sent before it is still read: until a connection has been silent for
/// so long, which tells that nothing is left in its socket ...
const QUIET_NS: u64 = 20_000_000;
/// ... but no longer than this, as some clients never stop sending.
const DRAIN_READS_MS: u64 = 250;
/// How often connections are looked at while they drain.
const DRAIN_LOOK_MS: u64 = 5;
/// Each move doubles the requests in a row that the next one takes, up to this.
const MOVE_AFTER_MAX: u32 = 4_096;
/// Parts of one send; the kernel takes 1,024 at once.
const SEND_PARTS: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receive {
    /// Nothing is armed.
    Idle,
    /// Into shared buffers.
    Any,
    /// Asked to stop; more may arrive before it has.
    Pausing,
    /// Into a buffer of its own.
    Exact,
}

#[derive(Debug)]
enum Slot {
    /// For the answer to a request of so many bytes.
    Waiting(usize, Trace),
    Ready(Vec<Buf>, Trace),
}

/// Place of a request among the answers of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotId(u64);

#[derive(Debug)]
struct Conn {
    /// Where it came in.
    listener: ListenerId,
    frames: Frames,
    receive: Receive,
    slots: VecDeque<Slot>,
    first_slot: u64,
    sending: bool,
    /// Bytes of the requests that wait for their answers.
    waiting_bytes: usize,
    /// Bytes in ready slots and in the send under way.
    reply_bytes: usize,
    sending_bytes: usize,
    /// Something was put off because too much waits; it is taken up when there is room.
    stopped: bool,
    eof: bool,
    closing: bool,
    active: Mono,
    /// Requests of this connection that wait for an answer.
    tokens: Vec<Token>,
    /// The shard that the last requests were for, and how many.
    drawn: (ShardId, u32),
    /// Moves so far.
    moves: u32,
    /// It moves there when nothing is under way any more; no request is taken meanwhile.
    leaving: Option<ShardId>,
}

/// A connection on its way to another shard.
#[derive(Debug)]
pub struct Moving {
    listener: ListenerId,
    frames: Frames,
    moves: u32,
}

impl Conn {
    fn new(now: Mono, listener: ListenerId, frames: Frames, moves: u32) -> Conn {
        Conn {
            listener,
            frames,
            receive: Receive::Idle,
            slots: VecDeque::new(),
            first_slot: 0,
            sending: false,
            waiting_bytes: 0,
            reply_bytes: 0,
            sending_bytes: 0,
            stopped: false,
            eof: false,
            closing: false,
            active: now,
            tokens: Vec::new(),
            drawn: (ShardId(0), 0),
            moves,
            leaving: None,
        }
    }

    fn may_take(&self) -> bool {
        !self.closing
            && self.leaving.is_none()
            && self.slots.len() < REQUESTS_IN_FLIGHT_MAX
            && self.waiting_bytes < WAITING_BYTES_MAX
            && self.reply_bytes < REPLY_BYTES_MAX
    }
}

/// All connections of a shard.
pub struct Conns {
    conns: BTreeMap<ConnId, Conn>,
    frame_max: usize,
    idle_ns: u64,
    /// Requests in a row for one other shard after which a connection moves there; 0: never.
    move_after: u32,
    /// For frames; bounds what all connections together can hold.
    pool: Pool,
    /// Have answers to send.
    dirty: BTreeSet<ConnId>,
    /// Wait for memory.
    starved: BTreeSet<ConnId>,
    /// There was no memory for a frame since stalled ones were last looked for.
    short: bool,
    /// Have room again for what was put off.
    resumed: BTreeSet<ConnId>,
    retry: Option<Mono>,
    /// The first that tries again next; those before it have had their turn.
    retry_from: ConnId,
    next_shed: Mono,
    next_sweep: Mono,
    drain: Option<Drain>,
    /// Bytes of answers that wait or are being sent, of all connections.
    reply_bytes: usize,
    /// Requests whose answers left since this was last taken.
    answered: Vec<(ConnId, Trace)>,
}

/// A stop was asked for.
#[derive(Clone, Copy, Debug)]
struct Drain {
    since: Mono,
    /// False: nothing more is read.
    reads: bool,
    next_look: Mono,
}

impl Conns {
    /// No connections yet.
    pub fn new(frame_max: usize, idle_ms: u64, move_after: u32, pool: Pool) -> Conns {
        Conns {
            conns: BTreeMap::new(),
            frame_max,
            idle_ns: idle_ms.saturating_mul(1_000_000),
            move_after,
            pool,
            dirty: BTreeSet::new(),
            starved: BTreeSet::new(),
            short: false,
            resumed: BTreeSet::new(),
            retry: None,
            retry_from: ConnId(0),
            next_shed: Mono(0),
            next_sweep: Mono(0),
            drain: None,
            reply_bytes: 0,
            answered: Vec::new(),
        }
    }

    /// Connections that are open.
    pub fn len(&self) -> usize {
        self.conns.len()
    }

    /// A client connected; its requests are read from now on.
    pub fn accepted(&mut self, now: Mono, conn: ConnId, listener: ListenerId, ops: &mut Vec<Op<Mail>>) {
        self.insert(conn, Conn::new(now, listener, Frames::new(self.frame_max), 0));
        self.arm(now, conn, ops);
    }

    /// Another shard handed a connection over; what it has received comes next.
    pub fn adopted(&mut self, now: Mono, conn: ConnId, moving: Moving) {
        self.insert(conn, Conn::new(now, moving.listener, moving.frames, moving.moves));
    }

    /// Where a connection came in, even if it has gone to another shard since. Of one that is gone: the first.
    pub fn listener(&self, conn: ConnId) -> ListenerId {
        self.conns.get(&conn).map_or(ListenerId(0), |c| c.listener)
    }

    fn insert(&mut self, conn: ConnId, state: Conn) {
        assert!(self.conns.insert(conn, state).is_none(), "connection {conn} was there already");
    }

    /// A request of the connection was for logs of shard `to` alone, or `None`: for others too, or this one's. Many in a
    /// row, and the connection moves there, as each would pay the way to that shard and back.
    pub fn drawn(&mut self, conn: ConnId, to: Option<ShardId>) {
        let Some(c) = self.conns.get_mut(&conn) else { return };
        match to {
            Some(to) if c.drawn.0 == to => c.drawn.1 += 1,
            Some(to) => c.drawn = (to, 1),
            None => c.drawn.1 = 0,
        }
        let enough = u64::from(self.move_after) << c.moves.min(31);
        let enough = enough.min(MOVE_AFTER_MAX.into());
        if enough > 0 && u64::from(c.drawn.1) >= enough && self.drain.is_none() && !c.eof {
            c.leaving = to;
        }
    }

    /// Hands a connection over that is to leave and has nothing under way.
    fn leave_if_idle(&mut self, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        let Some(c) = self.conns.get(&conn) else { return };
        let Some(to) = c.leaving else { return };
        let idle = c.receive == Receive::Idle && c.slots.is_empty() && !c.sending;
        if !idle || c.closing || c.eof {
            return;
        }
        let c = self.conns.remove(&conn).expect("looked at above");
        assert!(
            c.tokens.is_empty() && c.reply_bytes == 0 && c.waiting_bytes == 0,
            "an idle connection is owed nothing"
        );
        self.dirty.remove(&conn);
        self.starved.remove(&conn);
        self.resumed.remove(&conn);
        let moving = Moving { listener: c.listener, frames: c.frames, moves: c.moves + 1 };
        ops.push(Op::HandOver { conn, to, with: Mail::Moving(Box::new(moving)) });
    }

    /// The connection stays after all, and what it held back is looked at.
    fn stay(&mut self, conn: ConnId) {
        if let Some(c) = self.conns.get_mut(&conn)
            && c.leaving.take().is_some()
        {
            c.drawn.1 = 0;
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
    pub fn filled(&mut self, now: Mono, conn: ConnId, bytes: BufMut) -> Result<Option<BufMut>, BadLength> {
        let Some(c) = self.conns.get_mut(&conn) else { return Ok(None) };
        c.receive = Receive::Idle;
        c.active = now;
        if c.closing { Ok(None) } else { c.frames.filled(now, bytes, &self.pool) }
    }

    /// The receive stopped, asked for or for lack of buffers.
    pub fn disarmed(&mut self, now: Mono, conn: ConnId, starved: bool) {
        if let Some(c) = self.conns.get_mut(&conn) {
            if starved && c.receive == Receive::Pausing {
                // They crossed: `Paused` still follows, and until then nothing may be armed.
                return;
            }
            c.receive = Receive::Idle;
            if starved {
                self.starve(now, conn);
            }
        }
    }

    fn starve(&mut self, now: Mono, conn: ConnId) {
        self.starved.insert(conn);
        self.retry.get_or_insert(now.plus_ms(STARVED_MS));
    }

    /// The peer sends no more. What it sent is served, and it still gets its answers.
    pub fn eof(&mut self, now: Mono, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        if let Some(c) = self.conns.get_mut(&conn) {
            c.eof = true;
            c.receive = Receive::Idle;
            self.stay(conn);
            self.close_if_done(now, conn, ops);
        }
    }

    /// The connection is gone; its waiting requests.
    pub fn closed(&mut self, conn: ConnId) -> Vec<Token> {
        self.dirty.remove(&conn);
        self.starved.remove(&conn);
        self.resumed.remove(&conn);
        let Some(c) = self.conns.remove(&conn) else { return Vec::new() };
        self.reply_bytes -= c.reply_bytes;
        c.tokens
    }

    /// Drops a connection that broke the protocol, or all its answers are sent.
    pub fn close(&mut self, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        if let Some(c) = self.conns.get_mut(&conn)
            && !c.closing
        {
            c.closing = true;
            c.slots.clear();
            c.waiting_bytes = 0;
            ops.push(Op::Close { conn });
        }
    }

    /// True until a stop has been asked for and what was sent before it has been read.
    pub fn reads(&self) -> bool {
        self.drain.is_none_or(|drain| drain.reads)
    }

    /// The next request of a connection, if there is one and the connection may have it.
    pub fn next_frame(&mut self, conn: ConnId) -> Result<Option<BufMut>, BadLength> {
        let reads = self.reads();
        let Some(c) = self.conns.get_mut(&conn).filter(|_| reads) else { return Ok(None) };
        c.stopped = !c.may_take();
        if c.stopped { Ok(None) } else { c.frames.pop(&self.pool) }
    }

    /// Takes the next place among the answers, for the request of `bytes` bytes that was given out last.
    pub fn open_slot(&mut self, now: Mono, conn: ConnId, api: i16, bytes: usize) -> SlotId {
        let c = self.conns.get_mut(&conn).expect("a request has a connection");
        let trace = Trace { api, began: c.frames.began(), decoded: now, path: Path::Other };
        c.slots.push_back(Slot::Waiting(bytes, trace));
        c.waiting_bytes += bytes;
        SlotId(c.first_slot + c.slots.len() as u64 - 1)
    }

    /// Remembers that `token` waits on behalf of a connection, or no longer does.
    pub fn waits(&mut self, conn: ConnId, token: Token, waits: bool) {
        if let Some(c) = self.conns.get_mut(&conn) {
            if waits {
                c.tokens.push(token);
            } else {
                c.tokens.retain(|t| *t != token);
            }
        }
    }

    /// The answer to the request of that place, and what way it went. No parts: there is none to send.
    pub fn answer(&mut self, conn: ConnId, slot: SlotId, parts: Vec<Buf>, path: Path) {
        let Some(c) = self.conns.get_mut(&conn) else { return };
        let Some(place) = slot.0.checked_sub(c.first_slot) else { return };
        if let Some(place) = c.slots.get_mut(place as usize) {
            let Slot::Waiting(request_bytes, trace) = place else { panic!("a request is answered once") };
            c.waiting_bytes -= *request_bytes;
            let bytes = parts.iter().map(|p| p.len()).sum::<usize>();
            c.reply_bytes += bytes;
            self.reply_bytes += bytes;
            *place = Slot::Ready(parts, Trace { path, ..*trace });
            self.dirty.insert(conn);
        }
    }

    /// Arms the receive that is wanted now, or disarms one that is not.
    pub fn arm(&mut self, now: Mono, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        let reads = self.reads();
        let Some(c) = self.conns.get_mut(&conn) else { return };
        if c.eof && c.frames.is_starved() && !c.frames.is_looked_through() {
            self.short = true;
            return self.starve(now, conn);
        }
        if c.closing || c.eof {
            return self.close_if_done(now, conn, ops);
        }
        c.stopped |= !c.may_take();
        match c.receive {
            Receive::Any if c.frames.wants_exact() || c.frames.is_starved() || !c.may_take() => {
                c.receive = Receive::Pausing;
                ops.push(Op::Pause { conn });
            }
            Receive::Idle if c.may_take() && reads => match c.frames.want(&self.pool) {
                Want::Any => {
                    c.receive = Receive::Any;
                    ops.push(Op::Recv { conn });
                }
                Want::Exact(bytes, from) => {
                    c.receive = Receive::Exact;
                    ops.push(Op::RecvExact { conn, bytes, from });
                }
                Want::Memory => {
                    self.short = true;
                    self.starve(now, conn);
                }
            },
            _ => self.leave_if_idle(conn, ops),
        }
    }

    /// Sends what is ready, in order, one send per connection.
    pub fn send(&mut self, now: Mono, ops: &mut Vec<Op<Mail>>) {
        for conn in std::mem::take(&mut self.dirty) {
            let Some(c) = self.conns.get_mut(&conn) else { continue };
            if c.sending || c.closing {
                continue;
            }
            let mut parts = Vec::new();
            while let Some(Slot::Ready(ready, trace)) = c.slots.front_mut() {
                if !parts.is_empty() && parts.len() + ready.len() > SEND_PARTS {
                    break;
                }
                if !ready.is_empty() {
                    self.answered.push((conn, *trace));
                }
                for part in ready.drain(..) {
                    if !parts.last_mut().is_some_and(|last: &mut Buf| last.join(&part)) {
                        parts.push(part);
                    }
                }
                c.slots.pop_front();
                c.first_slot += 1;
            }
            if !parts.is_empty() {
                c.sending = true;
                c.active = now;
                c.sending_bytes = parts.iter().map(|p| p.len()).sum();
                ops.push(Op::Send { conn, parts });
            } else if c.stopped && c.may_take() {
                // Places became free without a send, so that no end of one will tell of it.
                self.resumed.insert(conn);
            }
            self.close_if_done(now, conn, ops);
            self.leave_if_idle(conn, ops);
        }
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

    /// A send has ended; what else came on the connection is to be looked at.
    pub fn sent(&mut self, now: Mono, conn: ConnId) {
        if let Some(c) = self.conns.get_mut(&conn) {
            assert!(c.sending, "a send that was not asked for");
            c.sending = false;
            c.active = now;
            let bytes = std::mem::take(&mut c.sending_bytes);
            c.reply_bytes -= bytes;
            self.reply_bytes -= bytes;
            self.dirty.insert(conn);
        }
    }

    /// Closes a connection that is owed nothing and will send nothing.
    fn close_if_done(&mut self, now: Mono, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        let Some(c) = self.conns.get(&conn) else { return };
        let owed = !c.slots.is_empty() || c.sending;
        let quiet = |drain: &Drain| !c.frames.is_partial() && now.since(c.active.max(drain.since)) >= QUIET_NS;
        let done = match &self.drain {
            Some(drain) if !drain.reads => true,
            Some(drain) if quiet(drain) => c.frames.is_looked_through(),
            _ => c.eof && c.frames.is_looked_through(),
        };
        if done && !owed {
            self.close(conn, ops);
        }
    }

    /// Connections that waited for memory or for room and may try again; also closes what holds memory and does not move.
    pub fn retry(&mut self, now: Mono, ops: &mut Vec<Op<Mail>>) -> Vec<ConnId> {
        if now >= self.next_sweep {
            self.sweep(now, ops);
        }
        self.look_at_drain(now, ops);
        let mut again: Vec<ConnId> = std::mem::take(&mut self.resumed).into_iter().collect();
        if self.retry.is_some_and(|at| at <= now) {
            self.retry_starved(now, &mut again, ops);
        }
        again
    }

    fn retry_starved(&mut self, now: Mono, again: &mut Vec<ConnId>, ops: &mut Vec<Op<Mail>>) {
        let behind = self.starved.range(self.retry_from..);
        let turn = behind.chain(self.starved.range(..self.retry_from)).copied();
        let turn: Vec<ConnId> = turn.take(RETRIES_MAX).collect();
        turn.iter().for_each(|conn| assert!(self.starved.remove(conn)));
        self.retry_from = turn.last().map_or(ConnId(0), |last| ConnId(last.get() + 1));
        self.retry = (!self.starved.is_empty()).then(|| now.plus_ms(STARVED_MS));
        if self.short && now >= self.next_shed {
            self.short = false;
            self.next_shed = now.plus_ms(SHED_MS);
            self.shed(now, ops);
        }
        again.extend(turn);
    }

    /// Memory for frames ran out: closes connections that hold part of a frame and have stalled.
    fn shed(&mut self, now: Mono, ops: &mut Vec<Op<Mail>>) {
        let stalled = |c: &Conn| c.frames.is_partial() && !c.frames.is_starved() && now.since(c.active) > STALLED_NS;
        let doomed: Vec<ConnId> = self.conns.iter().filter(|(_, c)| stalled(c)).map(|(id, _)| *id).collect();
        for conn in doomed {
            self.close(conn, ops);
        }
    }

    /// Closes idle connections, and those that do not read what they asked for: their answers hold memory.
    fn sweep(&mut self, now: Mono, ops: &mut Vec<Op<Mail>>) {
        self.next_sweep = now.plus_ms(10_000);
        let idle = |c: &Conn| (c.slots.is_empty() || c.sending) && now.since(c.active) > self.idle_ns;
        let doomed: Vec<ConnId> = self.conns.iter().filter(|(_, c)| idle(c)).map(|(id, _)| *id).collect();
        for conn in doomed {
            self.close(conn, ops);
        }
    }

    /// A stop was asked for: connections close as they fall silent and their answers are sent.
    pub fn drain(&mut self, now: Mono) {
        self.drain.get_or_insert(Drain { since: now, reads: true, next_look: now });
        let all: Vec<ConnId> = self.conns.keys().copied().collect();
        all.into_iter().for_each(|conn| self.stay(conn));
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
        let resume = (!self.resumed.is_empty()).then_some(Mono(0));
        [self.retry, sweep, look, resume].into_iter().flatten().min()
    }

    /// Bytes of answers that may be added before fetches are answered without records.
    pub fn reply_room(&self) -> usize {
        REPLIES_MEMORY.saturating_sub(self.reply_bytes)
    }

    /// Bytes of memory that requests hold.
    pub fn memory(&self) -> usize {
        self.pool.used()
    }
}

#[cfg(test)]
#[path = "conns_tests.rs"]
mod tests;
