//! The connections of links: what is received next, into which memory, and what is being sent. What a connection is for is
//! [`super::Links`]'s matter.
//!
//! Frames come as Kafka's do (`frames.rs`): small ones stay slices of shared buffers, large ones are received into aligned
//! buffers of their own, from which the entries in them are written. Their memory is no client's.

use crate::frames::{BadLength, Frames, Lender};
use crate::mail::Mail;
use crate::memory::{Pace, Turns};
use crate::receive::Receive;
use std::collections::BTreeMap;
use std::net::IpAddr;
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::ConnId;
use torc_base::io::Op;
use torc_base::limits::{PEER_FRAME_BYTES_MAX, PEER_FRAMES_MEMORY};
use torc_base::time::Mono;

/// Longest frame of somebody who has not said who it is.
pub(super) const STRANGER_FRAME_MAX: usize = 64 << 10;

/// One connection, which is for `S`.
#[derive(Debug)]
pub(super) struct Wire<S> {
    pub stage: S,
    pub from: IpAddr,
    frames: Frames,
    receive: Receive,
    /// Bytes reserved for a frame that is not whole.
    reserved: usize,
    pub sending: bool,
    pub closing: bool,
    /// Nothing more is read: it is about to go to another shard.
    pub leaving: bool,
    /// When something last came, and was last sent.
    pub heard: Mono,
    pub said: Mono,
}

/// The connections of one shard's links.
pub(super) struct Wires<S> {
    wires: BTreeMap<ConnId, Wire<S>>,
    pool: Pool,
    turns: Turns,
}

macro_rules! lender {
    ($self:ident, $now:ident, $wire:ident, $conn:ident) => {
        &mut Lender {
            now: $now,
            conn: $conn,
            pace: Pace::default(),
            turns: &mut $self.turns,
            pool: &$self.pool,
            reserved: &mut $wire.reserved,
            is_first: false,
        }
    };
}

impl<S> Wires<S> {
    pub fn new() -> Wires<S> {
        Wires {
            wires: BTreeMap::new(),
            pool: Pool::new(usize::MAX, PEER_FRAMES_MEMORY / 8),
            turns: Turns::new(PEER_FRAMES_MEMORY, PEER_FRAME_BYTES_MAX),
        }
    }

    pub fn contains(&self, conn: ConnId) -> bool {
        self.wires.contains_key(&conn)
    }

    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut Wire<S>> {
        self.wires.get_mut(&conn)
    }

    pub fn get(&self, conn: ConnId) -> Option<&Wire<S>> {
        self.wires.get(&conn)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &Wire<S>)> {
        self.wires.iter().map(|(conn, wire)| (*conn, wire))
    }

    /// Memory for the heads of frames that leave.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Bytes of memory that frames hold, those that the log has among them.
    pub fn memory(&self) -> usize {
        self.pool.used()
    }

    /// A connection is there; `frames` of another shard's come with it.
    pub fn insert(&mut self, now: Mono, conn: ConnId, stage: S, from: IpAddr, frames: Option<Frames>) {
        let frames = frames.unwrap_or_else(|| Frames::new(STRANGER_FRAME_MAX));
        let wire = Wire {
            stage,
            from,
            frames,
            receive: Receive::Idle,
            reserved: 0,
            sending: false,
            closing: false,
            leaving: false,
            heard: now,
            said: now,
        };
        let before = self.wires.insert(conn, wire);
        assert!(before.is_none(), "connection {conn} was there already");
    }

    /// From now on frames of a member of the cluster are taken.
    pub fn trust(&mut self, conn: ConnId) {
        if let Some(wire) = self.wires.get_mut(&conn) {
            wire.frames.set_max(PEER_FRAME_BYTES_MAX);
        }
    }

    /// The connection is gone, or goes to another shard; what it was for, and the frames that it holds.
    pub fn remove(&mut self, conn: ConnId) -> Option<(S, IpAddr, Frames)> {
        self.turns.leave(conn);
        let wire = self.wires.remove(&conn)?;
        self.turns.give(wire.reserved);
        Some((wire.stage, wire.from, wire.frames))
    }

    pub fn received(&mut self, now: Mono, conn: ConnId, bytes: BufMut) {
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        wire.heard = now;
        if !wire.closing {
            wire.frames.push(now, bytes);
        }
    }

    /// An exact receive is full; the frame, if it was one.
    pub fn filled(&mut self, now: Mono, conn: ConnId, bytes: BufMut) -> Result<Option<BufMut>, BadLength> {
        let Some(wire) = self.wires.get_mut(&conn) else { return Ok(None) };
        wire.receive.filled();
        wire.heard = now;
        if wire.closing {
            return Ok(None);
        }
        let frame = wire.frames.filled(bytes, lender!(self, now, wire, conn))?;
        Ok(self.given(conn, frame))
    }

    /// The next whole frame of a connection.
    pub fn next_frame(&mut self, now: Mono, conn: ConnId) -> Result<Option<BufMut>, BadLength> {
        let Some(wire) = self.wires.get_mut(&conn).filter(|wire| !wire.closing && !wire.leaving) else {
            return Ok(None);
        };
        let frame = wire.frames.pop(lender!(self, now, wire, conn))?;
        Ok(self.given(conn, frame))
    }

    /// Who gets a frame takes it in at once, and counts what it keeps of it.
    fn given(&mut self, conn: ConnId, frame: Option<BufMut>) -> Option<BufMut> {
        if frame.is_some()
            && let Some(wire) = self.wires.get_mut(&conn)
        {
            self.turns.give(std::mem::take(&mut wire.reserved));
        }
        frame
    }

    /// An exact receive was stopped to see how far it is.
    pub fn halted(&mut self, now: Mono, conn: ConnId, bytes: BufMut, at: usize) {
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        wire.receive = Receive::Idle;
        if !wire.closing && wire.frames.halted(now, bytes, at) {
            wire.heard = now;
        }
    }

    /// The receive stopped, asked for or for lack of shared buffers: clients may hold all of these, and no link waits for them.
    pub fn disarmed(&mut self, conn: ConnId, starved: bool) {
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        if wire.receive.stopped(starved) && starved {
            wire.frames.do_without_shared();
        }
    }

    /// True if nothing is armed and nothing is being sent: the connection can go to another shard.
    pub fn is_still(&self, conn: ConnId) -> bool {
        self.wires.get(&conn).is_some_and(|wire| wire.receive == Receive::Idle && !wire.sending && !wire.closing)
    }

    /// Arms the receive that is wanted now, or disarms one that is not.
    pub fn arm(&mut self, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        let Some(wire) = self.wires.get_mut(&conn).filter(|wire| !wire.closing) else { return };
        if wire.leaving || wire.frames.is_starved() {
            wire.frames.set_aside();
        }
        wire.receive.turn(conn, &mut wire.frames, &self.pool, (wire.leaving, !wire.leaving), ops);
    }

    /// Of a large frame nothing is heard until it is whole: asks how far it is. True if that is to be waited for.
    pub fn look(&mut self, conn: ConnId, ops: &mut Vec<Op<Mail>>) -> bool {
        self.wires.get_mut(&conn).is_some_and(|wire| wire.receive.look(conn, ops))
    }

    /// True while a frame waits for memory, which is nobody's silence.
    pub fn waits_for_memory(&self, conn: ConnId) -> bool {
        self.wires.get(&conn).is_some_and(|wire| wire.frames.is_starved())
    }

    /// Hands bytes to the socket; nothing else may be on its way.
    pub fn send(&mut self, now: Mono, conn: ConnId, parts: Vec<Buf>, ops: &mut Vec<Op<Mail>>) {
        let wire = self.wires.get_mut(&conn).expect("the caller has seen it");
        assert!(!wire.sending, "one send at a time");
        if wire.closing {
            return;
        }
        (wire.sending, wire.said) = (true, now);
        ops.push(Op::Send { conn, parts });
    }

    pub fn sent(&mut self, now: Mono, conn: ConnId) {
        if let Some(wire) = self.wires.get_mut(&conn) {
            (wire.sending, wire.said) = (false, now);
        }
    }

    pub fn close(&mut self, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        if let Some(wire) = self.wires.get_mut(&conn)
            && !wire.closing
        {
            wire.closing = true;
            self.turns.leave(conn);
            ops.push(Op::Close { conn });
        }
    }

    /// This shard itself stood still for a while: nobody else is to be blamed for that.
    pub fn forgive(&mut self, ns: u64) {
        for wire in self.wires.values_mut() {
            wire.heard = Mono(wire.heard.0 + ns);
        }
    }

    /// Connections that waited for memory and may go on.
    pub fn retry(&mut self, now: Mono) -> Vec<ConnId> {
        std::iter::from_fn(|| self.turns.next(now)).collect()
    }
}
