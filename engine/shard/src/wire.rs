//! Between the shard's connections and the halves that speak their protocols: frames go in, answers go out.

use crate::conns::{Moving, Origin};
use crate::frames::BadLength;
use crate::mail::Mail;
use crate::settings::Protocol;
use crate::shard::Shard;
use crate::stats::{add, set};
use crate::works;
use std::net::SocketAddr;
use torc_base::buf::BufMut;
use torc_base::ids::{ConnId, ListenerId, ShardId};
use torc_base::io::{Level, Op};
use torc_base::time::Now;
use torc_base::turns::Work;

type Ops = Vec<Op<Mail>>;

/// What any request costs, in units of a turn's sum, and bytes of it that cost one more.
const FRAME_COST: usize = 4;
const FRAME_BYTES: usize = 2 << 10;

/// Where the tree is, and with it the connections of ZooKeeper's clients.
const TREE_SHARD: ShardId = ShardId(0);

impl Shard {
    /// What is spoken at a listener.
    pub(super) fn protocol_of(&self, listener: ListenerId) -> Protocol {
        self.settings.listeners[usize::from(listener.get())].protocol
    }

    /// Somebody connected.
    pub(super) fn accepted(&mut self, now: Now, conn: ConnId, listener: ListenerId, peer: SocketAddr, ops: &mut Ops) {
        let protocol = self.protocol_of(listener);
        add(&self.stats.connections_accepted_total, 1);
        let origin = Origin { listener, protocol, peer };
        if protocol == Protocol::ZooKeeper && self.settings.shard != TREE_SHARD {
            return self.conns.pass_on(conn, origin, TREE_SHARD, ops);
        }
        self.conns.accepted(now.mono, conn, origin, ops);
        self.opened(now, conn, ops);
        if !self.conns.reads() {
            self.conns.close(conn, ops);
        }
    }

    /// Another shard handed a connection over.
    pub(super) fn adopted(&mut self, now: Now, conn: ConnId, moving: Moving, ops: &mut Ops) {
        self.conns.adopted(now.mono, conn, moving);
        self.opened(now, conn, ops);
        if self.conns.reads() { self.pump(now, conn, ops) } else { self.conns.close(conn, ops) }
    }

    fn opened(&mut self, now: Now, conn: ConnId, ops: &mut Ops) {
        if self.conns.protocol(conn) == Some(Protocol::ZooKeeper)
            && let Some(peer) = self.conns.peer(conn)
        {
            match self.serves_znodes() {
                true => self.with_znodes(now, ops, |znodes, around| znodes.opened(around, conn, peer)),
                false => self.conns.close(conn, ops),
            }
        }
    }

    /// An exact receive is full.
    pub(super) fn filled(&mut self, now: Now, conn: ConnId, bytes: BufMut, ops: &mut Ops) {
        match self.conns.filled(now.mono, conn, bytes) {
            Ok(Some((protocol, frame))) => self.frame(now, conn, protocol, frame, ops),
            Ok(None) => {}
            Err((protocol, bad)) => return self.bad_length(now, conn, protocol, bad, ops),
        }
        self.pump(now, conn, ops);
    }

    /// Handles the frames of a connection that are there, then receives on.
    pub(super) fn pump(&mut self, now: Now, conn: ConnId, ops: &mut Ops) {
        loop {
            match self.conns.next_frame(now.mono, conn) {
                Ok(Some((protocol, frame))) => self.frame(now, conn, protocol, frame, ops),
                Ok(None) => break,
                Err((protocol, bad)) => return self.bad_length(now, conn, protocol, bad, ops),
            }
        }
        self.conns.arm(now.mono, conn, ops);
    }

    fn frame(&mut self, now: Now, conn: ConnId, protocol: Protocol, frame: BufMut, ops: &mut Ops) {
        self.conns.charge(conn, FRAME_COST + frame.len() / FRAME_BYTES);
        match protocol {
            Protocol::Kafka => {
                self.stats.turns.at(works::of_frame(&frame));
                self.with_kafka(now, ops, |kafka, out| kafka.frame(out, conn, frame));
            }
            Protocol::ZooKeeper => {
                self.stats.turns.at(Work::Znodes);
                self.with_znodes(now, ops, |znodes, around| znodes.frame(around, conn, frame));
            }
            Protocol::Peer => unreachable!("it is the links'"),
        }
    }

    fn bad_length(&mut self, now: Now, conn: ConnId, protocol: Protocol, bad: BadLength, ops: &mut Ops) {
        match protocol {
            Protocol::Kafka => self.with_kafka(now, ops, |kafka, out| kafka.bad_length(out, conn, bad.0)),
            Protocol::ZooKeeper => {
                self.with_znodes(now, ops, |znodes, around| znodes.bad_length(around, conn, bad.0));
            }
            Protocol::Peer => unreachable!("it is the links'"),
        }
    }

    /// The peer sends no more.
    pub(super) fn eof(&mut self, now: Now, conn: ConnId, ops: &mut Ops) {
        let Some((protocol, waiting)) = self.conns.eof(now.mono, conn, ops) else { return };
        match protocol {
            Protocol::Kafka => self.with_kafka(now, ops, |kafka, out| kafka.ended(out, waiting)),
            Protocol::ZooKeeper => {}
            Protocol::Peer => unreachable!("it is the links'"),
        }
    }

    /// A send has ended: there may be room for more requests.
    pub(super) fn sent(&mut self, now: Now, conn: ConnId, ops: &mut Ops) {
        let Some(protocol) = self.conns.sent(now.mono, conn) else { return };
        match protocol {
            Protocol::Kafka => self.with_kafka(now, ops, |kafka, out| kafka.sent(out, conn)),
            Protocol::ZooKeeper => self.with_znodes(now, ops, |znodes, around| znodes.sent(around, conn)),
            Protocol::Peer => unreachable!("it is the links'"),
        }
        self.pump(now, conn, ops);
    }

    /// A connection is gone, and with it the answers that it waits for.
    pub(super) fn closed(&mut self, now: Now, conn: ConnId, ops: &mut Ops) {
        let Some(protocol) = self.conns.protocol(conn) else { return };
        match protocol {
            Protocol::Kafka => self.with_kafka(now, ops, |kafka, out| kafka.closed(out, conn)),
            Protocol::ZooKeeper if !self.serves_znodes() => drop(self.conns.closed(conn, |_| 0)),
            Protocol::ZooKeeper => self.with_znodes(now, ops, |znodes, around| znodes.closed(around, conn)),
            Protocol::Peer => unreachable!("it is the links'"),
        }
    }

    /// Connections that waited for memory or room go on.
    pub(super) fn retry_conns(&mut self, now: Now, ops: &mut Ops) {
        for conn in self.conns.retry(now.mono, ops) {
            self.pump(now, conn, ops);
        }
        let floor = self.conns.allowance.floor();
        while self.conns.allowance.left() > floor
            && let Some((conn, framed)) = self.conns.next_put_off(now.mono)
        {
            match framed {
                Ok(Some((protocol, frame))) => self.frame(now, conn, protocol, frame, ops),
                Ok(None) => {}
                Err((protocol, bad)) => {
                    self.bad_length(now, conn, protocol, bad, ops);
                    continue;
                }
            }
            self.settle(now, ops);
            self.pump(now, conn, ops);
        }
    }

    /// Sends what is ready; after all questions of the turn have been looked at.
    pub(super) fn send(&mut self, now: Now, ops: &mut Ops) {
        self.conns.send(now.mono, ops);
        self.with_kafka(now, ops, |kafka, out| kafka.read_again(out));
        let mut answered = self.conns.take_answered();
        for (conn, trace) in answered.drain(..) {
            self.stats.stages.record(&trace, now.mono);
            if let Some(text) = self.slow.look_at(now.mono, conn, &trace) {
                ops.push(Op::Log { level: Level::Warn, text });
            }
        }
        self.conns.give_back(answered);
        set(&self.stats.connections, self.conns.len() as u64);
        set(&self.stats.request_memory_bytes, self.conns.frames_used() as u64);
        set(&self.stats.answer_memory_bytes, self.conns.answers_used() as u64);
    }
}
