//! Sessions at the leader: which of them are heard of, and how they end. What ends by itself besides them ends here, too.

use super::changes::Denied;
use super::{Around, Lead, TreeAsk, Znodes};
use crate::groups::TxnHead;
use std::collections::VecDeque;
use torc_base::ids::{ConnId, Index, SessionId};
use torc_base::io::Level;
use torc_base::limits::{SESSION_END_PART, SESSION_END_PATH_BYTES};
use torc_base::time::Mono;
use torc_state::tree::expiry::{Expiry, Owner};
use torc_state::tree::{Body, Refused, TreeError};

/// Sessions that are over, of which so many begin to end in one turn.
pub(super) const TURN_EXPIRED: usize = 128;
/// Transactions that end sessions, or znodes whose time is over, in one turn.
const TURN_ENDS: usize = 64;
/// Sessions and znodes that are on their way to their end at once, the last transaction aside: they are prepared in one turn,
/// and one turn may find all of them committed.
const UNDER_WAY_MAX: usize = 2 * SESSION_END_PART;
/// Where the log has no room, or there is enough under way, the ends of sessions go on after so long, if nothing happens before.
const AGAIN_MS: u64 = 20;

/// A session that has begun to end, and the request that wants it; 0: none does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    session: SessionId,
    number: u64,
    cxid: i32,
}

/// Of a leader: what ends.
#[derive(Default)]
pub(super) struct Ends {
    /// Sessions that have begun to end.
    waiting: VecDeque<Ending>,
    /// Their transactions that are not applied, and what each ends: the session, or a part of it, and znodes.
    under_way: VecDeque<(Index, usize)>,
    /// When more is asked for, if nothing happens before.
    again: Mono,
}

impl Ends {
    /// When more is asked for at the latest.
    pub(super) fn due(&self) -> Option<Mono> {
        (!self.waiting.is_empty()).then_some(self.again)
    }

    /// True if there is room for more. `applied`: the tree is applied through there.
    fn has_room(&mut self, applied: Index) -> bool {
        while self.under_way.front().is_some_and(|(index, _)| *index <= applied) {
            self.under_way.pop_front();
        }
        self.under_way.iter().map(|(_, ends)| ends).sum::<usize>() < UNDER_WAY_MAX
    }
}

impl Znodes {
    /// This node leads from now on: every session gets its whole timeout, as nobody has been reported yet.
    pub(super) fn begin_to_lead(&mut self, around: &mut Around) {
        let tick_ms = u32::try_from(self.zookeeper.tick_ms.max(1)).unwrap_or(u32::MAX);
        let mut expiry = Expiry::new(tick_ms);
        let now = around.now();
        for (session, state) in around.tree().sessions() {
            if state.is_open() {
                expiry.begin(session, state.timeout_ms, now);
            }
        }
        for (session, conn) in &self.sessions {
            if let Some(client) = self.clients.get(conn) {
                expiry.lives_for(*session, client.owner, client.timeout_ms, now);
            }
        }
        let waiting = around.tree().closing().map(|session| Ending { session, number: 0, cxid: 0 }).collect();
        self.ends = Ends { waiting, ..Ends::default() };
        self.expiry = Some(expiry);
        self.next_due = now.plus_ms(self.zookeeper.due_ms);
    }

    /// A session was heard of on this node.
    pub(super) fn heard(&mut self, now: Mono, session: SessionId) {
        if self.locals.touch(session, now) {
            return;
        }
        match &mut self.expiry {
            Some(expiry) => _ = expiry.touch(session, now),
            None => self.abroad.heard(now, session, self.zookeeper.tick_ms),
        }
    }

    /// Another connection serves a session from now on. False: there is no such session any more.
    pub(super) fn take_up(&mut self, around: &Around, session: SessionId, owner: Owner) -> bool {
        let is_ending = self.is_ending(session);
        let Some(expiry) = &mut self.expiry else { return false };
        // Others may have applied its beginning before this node comes to it, and have told its client.
        if let Some(begun) = around.tree().session(session).filter(|begun| begun.is_open() && !is_ending) {
            expiry.begin(session, begun.timeout_ms, around.now());
        }
        let is_there = expiry.take_over(session, owner).is_ok() && expiry.touch(session, around.now());
        // What another connection told its client counts no longer; what this one tells comes next.
        if let Some(begun) = around.tree().session(session).filter(|_| is_there) {
            expiry.lives_for(session, owner, begun.timeout_ms, around.now());
        }
        is_there
    }

    /// A session lives for as long as its client was told on the connection that serves it: it need not be as long as when the
    /// session began, which is what the log says.
    pub(super) fn lives_for(&mut self, now: Mono, session: SessionId, owner: Owner, timeout_ms: u32) {
        if let Some(expiry) = &mut self.expiry {
            expiry.lives_for(session, owner, timeout_ms, now);
        }
    }

    /// The leader is told, if it is another node, how long the session of a connection lives, where the log does not say it.
    pub(super) fn tell_timeout(&mut self, around: &Around, session: SessionId, conn: ConnId) {
        let Some(client) = self.clients.get(&conn) else { return };
        let begun = around.tree().committed_session(session);
        let is_known = begun.is_some_and(|begun| begun.timeout_ms == client.timeout_ms);
        if !client.is_local && !is_known {
            let (owner, timeout_ms) = (client.owner, client.timeout_ms);
            self.abroad.queue(TreeAsk::LivesFor { session, owner, timeout_ms });
        }
    }

    /// The same of all sessions that are served here.
    pub(super) fn tell_timeouts(&mut self, around: &Around) {
        let served: Vec<(SessionId, ConnId)> = self.sessions.iter().map(|(session, conn)| (*session, *conn)).collect();
        for (session, conn) in served {
            self.tell_timeout(around, session, conn);
        }
    }

    /// Of a session that is not known here: the entry with which that is certain. Who stood still leads no longer, perhaps,
    /// and others know the session; such an entry never commits. `None`: there is no room for it, or for the session's own end.
    pub(super) fn confirm_gone(&mut self, around: &mut Around, session: SessionId) -> Option<Index> {
        if self.is_ending(session) {
            return None;
        }
        let head = TxnHead { number: 0, session: SessionId::NONE, cxid: 0 };
        around.groups.propose_txn(around.out, head, Body::Multi(Vec::new()), false).ok()
    }

    /// True if a session is over, and no entry says so yet.
    fn is_ending(&self, session: SessionId) -> bool {
        self.ends.waiting.iter().any(|ending| ending.session == session)
    }

    /// A session is to end, as its client wants.
    pub(super) fn end_session(
        &mut self,
        around: &mut Around,
        session: SessionId,
        number: u64,
        cxid: i32,
    ) -> Result<(), Denied> {
        if around.tree().session(session).is_none_or(|session| session.is_closing) {
            return Err(Denied::Refused(Refused { error: TreeError::SessionExpired, at: 0 }));
        }
        if let Some(expiry) = &mut self.expiry {
            expiry.end(session);
        }
        self.ends.waiting.push_back(Ending { session, number, cxid });
        self.end_sessions(around);
        Ok(())
    }

    /// Goes on with the ends of sessions.
    fn end_sessions(&mut self, around: &mut Around) {
        self.ends.again = Mono(0);
        for _ in 0..TURN_ENDS {
            let Some(&Ending { session, number, cxid }) = self.ends.waiting.front() else { return };
            let has_room = self.ends.has_room(around.tree().applied());
            if !has_room || !around.groups.admits_txn(SESSION_END_PATH_BYTES) {
                self.ends.again = around.now().plus_ms(AGAIN_MS);
                return;
            }
            let bytes_max = around.groups.txn_bytes_max();
            let Some(body) = around.tree().prepare_close(session, bytes_max) else {
                self.ends.waiting.pop_front();
                continue;
            };
            let Body::CloseSession { ephemerals, last } = &body else { unreachable!("a session ends") };
            let (ends, is_last) = (1 + ephemerals.len(), *last);
            let head = TxnHead { number: if is_last { number } else { 0 }, session, cxid };
            let Ok(index) = around.groups.propose_txn(around.out, head, body, false) else {
                self.ends.again = around.now().plus_ms(AGAIN_MS);
                return;
            };
            self.ends.under_way.push_back((index, ends));
            if is_last {
                self.ends.waiting.pop_front();
            }
        }
    }

    /// Ends what is over.
    pub(super) fn turn_sessions(&mut self, around: &mut Around) {
        let now = around.now();
        let Some(expiry) = self.expiry.as_mut().filter(|_| self.lead.0 == Lead::Here) else { return };
        let over = expiry.over(now, TURN_EXPIRED);
        self.meters.counters.expired += over.len() as u64;
        if !over.is_empty() {
            let text = match &over[..] {
                [session] => format!("session {:#x} has expired: it was not heard of in time", session.get()),
                some => format!("{} sessions have expired: they were not heard of in time", some.len()),
            };
            around.out.log(Level::Info, text);
        }
        self.ends.waiting.extend(over.into_iter().map(|session| Ending { session, number: 0, cxid: 0 }));
        self.end_sessions(around);
        if now >= self.next_due {
            let is_more = self.end_znodes(around);
            self.next_due = if is_more { now } else { now.plus_ms(self.zookeeper.due_ms) };
        }
    }

    /// Ends znodes that end by themselves. True: there may be more of them.
    fn end_znodes(&mut self, around: &mut Around) -> bool {
        let wall = around.out.now.wall;
        let due = around.tree().due(wall, TURN_ENDS);
        let head = TxnHead { number: 0, session: SessionId::NONE, cxid: 0 };
        for path in &due {
            if !around.groups.admits_txn(path.len()) {
                return true;
            }
            if let Ok(body) = around.tree().prepare_end(path, wall) {
                let _ = around.groups.propose_txn(around.out, head, body, false);
            }
        }
        due.len() == TURN_ENDS
    }
}
