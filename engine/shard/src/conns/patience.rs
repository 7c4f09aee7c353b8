//! What becomes of those who hold memory and do not move while others wait for it.

use super::{Conn, Conns};
use crate::mail::Mail;
use crate::memory::Standstill;
use crate::settings::Protocol;
use torc_base::ids::ConnId;
use torc_base::io::Op;
use torc_base::limits::{PIECE_BYTES_MAX, PIECE_BYTES_MIN, START_BYTES};
use torc_base::time::Mono;

/// While nobody gets a turn at memory for requests for so long, those who have it are asked how far they are ...
pub(super) const STUCK_MS: u64 = 1_000;
/// ... and lose it if nothing has come for this long. What moves on is never cut off for being slow ...
pub(super) const STALLED_NS: u64 = 5_000_000_000;
/// ... unless nobody else has got a turn for this long: then the one that has held most for longest gives way.
pub(super) const HOPELESS_MS: u64 = 20_000;
/// Answers that the socket has not taken for so long are taken back ...
pub(super) const PATIENCE_MS: u64 = 5_000;
/// ... or for so long, while memory is short.
pub(super) const PATIENCE_PRESSED_MS: u64 = 100;
/// How often stalled connections are looked for, and how often while memory is short.
pub(super) const LOOK_MS: u64 = 500;
pub(super) const LOOK_PRESSED_MS: u64 = 50;

impl Conns {
    /// Nobody gets a turn: connections that have one and stand still lose it. How far an exact receive is, is not known
    /// before it is stopped; it goes on where it was.
    pub(super) fn look_at_frames(&mut self, now: Mono, ops: &mut Vec<Op<Mail>>) {
        let Some(since) = self.turns.stuck_since().filter(|since| now >= since.plus_ms(STUCK_MS)) else { return };
        let mut doomed = Vec::new();
        let mut worst: Option<(u128, ConnId)> = None;
        for (conn, c) in self.conns.iter_mut().filter(|(_, c)| c.reserved > 0 && !c.closing) {
            let still = now.since(c.active);
            if still > STALLED_NS {
                doomed.push(*conn);
            } else if still > STALLED_NS / 5 {
                c.receive.look(*conn, ops);
            }
            let cost = c.reserved as u128 * u128::from(now.since(c.frames.began()));
            worst = worst.max(Some((cost, *conn)));
        }
        if doomed.is_empty() && now >= since.plus_ms(HOPELESS_MS) {
            doomed.extend(worst.map(|(_, conn)| conn));
        }
        for conn in doomed {
            self.close(conn, ops);
        }
    }

    /// Takes back what sockets have not taken for a while. Bytes that are nowhere else are kept, unless memory is short
    /// and nothing has moved for long. `stuck_since`: since when others wait and none has got any.
    pub(super) fn look_at_answers(&mut self, now: Mono, stuck_since: Option<Mono>, ops: &mut Vec<Op<Mail>>) {
        let pressed = self.is_pressed();
        let patience = if pressed { PATIENCE_PRESSED_MS } else { PATIENCE_MS };
        let (mut doomed, mut little, mut little_bytes) = (Vec::new(), Vec::new(), 0);
        for conn in &self.sending {
            let c = self.conns.get_mut(conn).expect("a connection that sends is there");
            let since = c.outbox.moved();
            if c.closing || now < since.plus_ms(patience) {
                continue;
            }
            let (sending, freed) = c.outbox.take_back();
            self.answers.give(freed);
            if sending {
                ops.push(Op::TakeBack { conn: *conn });
            } else if pressed && c.outbox.held() > PIECE_BYTES_MIN && now.since(since) > STALLED_NS {
                doomed.push(*conn);
            } else if now.since(since) > STALLED_NS {
                little.push(*conn);
                little_bytes += c.outbox.held();
            }
        }
        let hopeless = stuck_since.is_some_and(|since| now >= since.max(self.gave_way).plus_ms(HOPELESS_MS));
        if doomed.is_empty() && (hopeless || self.answers.used() > self.answers.limit()) {
            // What moves, but little by little, gives way as well; and who has asked for most, if that is more than there is.
            let made = |conn: &ConnId| self.conns.get(conn).map_or(0, |c| c.outbox.made());
            doomed.extend(self.sending.iter().copied().filter(|conn| made(conn) > 0).max_by_key(made));
            self.gave_way = now;
        }
        // Little things are left to those who do not read, unless all of them together are too much.
        if little_bytes > self.answers.limit() / 4 {
            doomed.append(&mut little);
        }
        for conn in doomed {
            self.close(conn, ops);
        }
    }

    pub(super) fn next_look(&self) -> Mono {
        self.last_look.plus_ms(if self.is_pressed() || self.turns.is_short() { LOOK_PRESSED_MS } else { LOOK_MS })
    }

    /// True if no answer that is long is to be made for now.
    pub fn are_answers_full(&self) -> bool {
        self.answers.used() > self.answers.limit() / 2
    }

    /// The same for one of which nobody knows how long it is: most are short, and are not to wait for long ones.
    pub fn are_answers_nearly_out(&self) -> bool {
        self.answers.used() > self.answers.limit() / 4 * 3
    }

    /// How much more of the memory for answers records may have that the connection reads. A quarter is left to answers of other kinds; a piece is
    /// for everybody; more than that leaves half to others, and is nobody's while an answer waits that lies nowhere else. (If everybody had
    /// half of what is left, some twenty who read all they can would leave nothing to who comes next.)
    pub fn share_of_answers(&self, conn: ConnId) -> usize {
        let (limit, holds) = (self.answers.limit(), self.held(conn));
        let little = self.answers.share(holds, limit / 4).min(PIECE_BYTES_MAX.saturating_sub(holds));
        let much = if self.answers_wait { 0 } else { self.answers.share(holds, limit / 2) };
        // Many who come at once, and do not read, would keep the disk from whoever does.
        let known = self.conns.get(&conn).map_or(0, |c| c.taken.saturating_mul(2));
        little.max(much).min(known.max(START_BYTES))
    }

    /// True if the connection's share has room for a short answer.
    pub fn has_room_for_short(&self, conn: ConnId) -> bool {
        self.answers.share(self.held(conn), 0) >= PIECE_BYTES_MIN.min(self.answers.limit() / 8)
    }

    /// Answers wait for memory, and none of their kind has got it. Said in every turn in which it is so.
    pub fn note_stuck(&mut self, standstill: Standstill) {
        self.answers_stuck_since = self.answers_stuck_since.into_iter().chain(standstill.since()).min();
    }

    /// True while memory for answers is short.
    pub fn is_pressed(&self) -> bool {
        self.pressed || self.answers.used() > self.answers.limit() / 4
    }

    /// Says whether what answers hold is wanted elsewhere in the shard.
    pub fn press(&mut self, pressed: bool) {
        self.pressed = pressed;
    }

    /// Closes idle connections, and those that do not read what they asked for.
    pub(super) fn sweep(&mut self, now: Mono, ops: &mut Vec<Op<Mail>>) {
        self.next_sweep = now.plus_ms(10_000);
        let idle = |c: &Conn| {
            // How long ZooKeeper's clients may be silent is agreed with each of them.
            let is_empty = c.outbox.is_empty() && (c.origin.protocol != Protocol::ZooKeeper || c.ending);
            (is_empty || c.outbox.is_sending()) && now.since(c.active) > self.idle_ns
        };
        let doomed: Vec<ConnId> = self.conns.iter().filter(|(_, c)| idle(c)).map(|(id, _)| *id).collect();
        for conn in doomed {
            self.close(conn, ops);
        }
    }
}
