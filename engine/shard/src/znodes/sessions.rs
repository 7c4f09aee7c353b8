//! Sessions at the leader: which of them are heard of, and how they end. What ends by itself besides them ends here, too.

use super::changes::Denied;
use super::{Around, Lead, Znodes};
use crate::groups::TxnHead;
use torc_base::ids::{Index, SessionId};
use torc_base::io::Level;
use torc_base::limits::SESSION_END_PATH_BYTES;
use torc_base::time::Mono;
use torc_state::tree::expiry::{Expiry, Owner};
use torc_state::tree::{Body, Refused, TreeError};

/// Sessions that are over, of which so many begin to end in one turn.
pub(super) const TURN_EXPIRED: usize = 128;
/// Transactions that end sessions, or znodes whose time is over, in one turn.
const TURN_ENDS: usize = 64;
/// Where the log has no room the ends of sessions go on after so long.
const AGAIN_MS: u64 = 20;

/// A session that has begun to end, and the request that wants it; 0: none does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    session: SessionId,
    number: u64,
    cxid: i32,
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
        self.ending = around.tree().closing().map(|session| Ending { session, number: 0, cxid: 0 }).collect();
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
    pub(super) fn take_up(&mut self, now: Mono, session: SessionId, owner: Owner) -> bool {
        let Some(expiry) = &mut self.expiry else { return false };
        expiry.take_over(session, owner).is_ok() && expiry.touch(session, now)
    }

    /// Of a session that is not known here: the entry with which that is certain. Who stood still leads no longer, perhaps,
    /// and others know the session; such an entry never commits. `None`: there is no room for it, or for the session's own end.
    pub(super) fn confirm_gone(&mut self, around: &mut Around, session: SessionId) -> Option<Index> {
        if self.ending.iter().any(|ending| ending.session == session) {
            return None;
        }
        let head = TxnHead { number: 0, session: SessionId::NONE, cxid: 0 };
        around.groups.propose_txn(around.out, head, Body::Multi(Vec::new()), false).ok()
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
        self.ending.push_back(Ending { session, number, cxid });
        self.end_sessions(around);
        Ok(())
    }

    /// Goes on with the ends of sessions.
    fn end_sessions(&mut self, around: &mut Around) {
        self.end_again = Mono(0);
        for _ in 0..TURN_ENDS {
            let Some(&Ending { session, number, cxid }) = self.ending.front() else { return };
            if !around.groups.admits_txn(SESSION_END_PATH_BYTES) {
                self.end_again = around.now().plus_ms(AGAIN_MS);
                return;
            }
            let bytes_max = around.groups.txn_bytes_max();
            let Some(body) = around.tree().prepare_close(session, bytes_max) else {
                self.ending.pop_front();
                continue;
            };
            let is_last = matches!(body, Body::CloseSession { last: true, .. });
            let head = TxnHead { number: if is_last { number } else { 0 }, session, cxid };
            if around.groups.propose_txn(around.out, head, body, false).is_err() {
                self.end_again = around.now().plus_ms(AGAIN_MS);
                return;
            }
            if is_last {
                self.ending.pop_front();
            }
        }
    }

    /// Ends what is over.
    pub(super) fn turn_sessions(&mut self, around: &mut Around) {
        let now = around.now();
        let Some(expiry) = self.expiry.as_mut().filter(|_| self.lead.0 == Lead::Here) else { return };
        let over = expiry.over(now, TURN_EXPIRED);
        if !over.is_empty() {
            let text = match &over[..] {
                [session] => format!("session {:#x} has expired: it was not heard of in time", session.get()),
                some => format!("{} sessions have expired: they were not heard of in time", some.len()),
            };
            around.out.log(Level::Info, text);
        }
        self.ending.extend(over.into_iter().map(|session| Ending { session, number: 0, cxid: 0 }));
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
