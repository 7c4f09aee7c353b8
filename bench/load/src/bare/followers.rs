//! Other bare servers that get every frame, too: the least that replication can cost.
//!
//! A follower is a bare server like any other, and this one its client: it answers each frame once it is durable there, in
//! the order in which they were sent, so its answers need only be counted.

use super::{Ops, REPLY_BYTES};
use std::net::SocketAddr;
use torc_base::buf::Buf;
use torc_base::ids::ConnId;
use torc_base::io::{ConnectError, Op};

/// How long a follower's kernel may leave something without an acknowledgement.
const PATIENCE_MS: u32 = 10_000;

struct Follower {
    address: SocketAddr,
    conn: Option<ConnId>,
    /// Frames that wait for the send under way, or for the connection.
    queue: Vec<Buf>,
    sending: bool,
    /// Bytes of its answers.
    answered: u64,
}

/// All followers. Without one this is nothing.
pub(super) struct Followers {
    all: Vec<Follower>,
}

impl Followers {
    pub(super) fn new(addresses: &[SocketAddr]) -> Followers {
        let follower = |&address| Follower { address, conn: None, queue: Vec::new(), sending: false, answered: 0 };
        Followers { all: addresses.iter().map(follower).collect() }
    }

    pub(super) fn are_none(&self) -> bool {
        self.all.is_empty()
    }

    /// Calls each, by its place.
    pub(super) fn call(&self, ops: &mut Ops) {
        let calls = (0..).zip(&self.all);
        ops.extend(calls.map(|(call, follower)| Op::Connect { call, to: follower.address, patience_ms: PATIENCE_MS }));
    }

    pub(super) fn connected(&mut self, call: u64, conn: ConnId, ops: &mut Ops) {
        let follower = &mut self.all[call as usize];
        follower.conn = Some(conn);
        ops.push(Op::Recv { conn });
        follower.send(ops);
    }

    /// In words: the whole stands on them.
    pub(super) fn unreachable(&self, call: u64, error: ConnectError) -> String {
        format!("follower {}: {error}", self.all[call as usize].address)
    }

    fn find(&mut self, conn: ConnId) -> Option<&mut Follower> {
        self.all.iter_mut().find(|follower| follower.conn == Some(conn))
    }

    /// The same of one that has gone; `None` if the connection is a client's.
    pub(super) fn lost(&mut self, conn: ConnId) -> Option<String> {
        Some(format!("follower {}: it has closed the connection", self.find(conn)?.address))
    }

    /// Sends frames to all, beside the own write.
    pub(super) fn forward(&mut self, frames: &[Buf], ops: &mut Ops) {
        for follower in &mut self.all {
            follower.queue.extend_from_slice(frames);
            follower.send(ops);
        }
    }

    /// True if it was a follower's send.
    pub(super) fn sent(&mut self, conn: ConnId, ops: &mut Ops) -> bool {
        let Some(follower) = self.find(conn) else { return false };
        follower.sending = false;
        follower.send(ops);
        true
    }

    /// True if it was a follower's answer.
    pub(super) fn answered(&mut self, conn: ConnId, bytes: usize) -> bool {
        let Some(follower) = self.find(conn) else { return false };
        follower.answered += bytes as u64;
        true
    }

    /// Frames that a majority of all disks has, if the own one has the first `own`: of n marks in falling order, the own
    /// one among them, the one at n / 2.
    pub(super) fn held_by_majority(&self, own: u64) -> u64 {
        let theirs = self.all.iter().map(|follower| follower.answered / REPLY_BYTES as u64);
        let mut marks: Vec<u64> = theirs.chain([own]).collect();
        marks.sort_unstable_by(|a, b| b.cmp(a));
        marks[marks.len() / 2]
    }
}

impl Follower {
    fn send(&mut self, ops: &mut Ops) {
        let Some(conn) = self.conn.filter(|_| !self.sending && !self.queue.is_empty()) else { return };
        self.sending = true;
        ops.push(Op::Send { conn, parts: std::mem::take(&mut self.queue) });
    }
}
