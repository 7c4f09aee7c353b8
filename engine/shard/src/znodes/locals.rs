//! Sessions that only this node knows: with `localSessionsEnabled` all new ones, until they make a znode that ends with its
//! session; and those of clients that are served without a leader (`readonlymode.enabled`), as ZooKeeper does both.
//!
//! Such a session stands in no log. This node alone keeps it alive and ends it, and it is not to be found on another node or
//! after a restart: its client is told that it has expired. When it is upgraded it keeps its id, and is an entry of the log
//! before the request that wanted that.
//!
//! A node without a leader reads what it has applied. It takes no client in that does not allow that, none whose session
//! others keep alive, and none that has seen more than it has. When there is a leader again all its clients are left, and find
//! one that serves everything; the sessions that it began meanwhile are over.

use super::clients::{Client, Looked, Stage, Want, What};
use super::sessions::TURN_EXPIRED;
use super::{Around, Lead, TreeAsk, Znodes};
use crate::groups::TxnHead;
use crate::settings::{LocalSessions, ZooKeeperSettings};
use torc_base::ids::{ConnId, Index, SessionId, Zxid};
use torc_base::io::Level;
use torc_base::limits::SESSIONS_MAX;
use torc_net::zookeeper::{Create, ErrorCode, Head, Op, Request};
use torc_state::tree::expiry::{Expiry, Owner};

/// No sessions yet.
pub(super) fn none(zookeeper: &ZooKeeperSettings) -> Expiry {
    Expiry::new(u32::try_from(zookeeper.tick_ms.max(1)).unwrap_or(u32::MAX))
}

/// True if it makes a znode that ends with its session.
fn is_ephemeral(create: &Create<'_>) -> bool {
    matches!(create.flags, 1 | 3) && !create.is_container
}

/// True if a request makes such a znode.
fn makes_ephemerals(request: &Request<'_>) -> bool {
    match request {
        Request::Create(create) => is_ephemeral(create),
        Request::Multi(ops) => ops.clone().any(|op| matches!(op, Op::Create(create) if is_ephemeral(&create))),
        _ => false,
    }
}

impl Znodes {
    /// True if this node serves reads while it has no leader.
    pub(super) fn reads_alone(&self, around: &Around) -> bool {
        self.zookeeper.reads_alone && !self.settings.is_alone() && around.groups.has_tree()
    }

    /// Begins a new session that only this node knows, if it is to be one; what its client is told.
    pub(super) fn begin_local(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        session: SessionId,
        lead: Lead,
    ) -> Option<What> {
        let client = self.clients.get(&conn)?;
        let is_local = self.zookeeper.local_sessions != LocalSessions::No && !self.settings.is_alone();
        let begins = client.reads_alone || is_local && lead != Lead::Nobody;
        if !begins {
            return None;
        }
        if self.locals.len() >= SESSIONS_MAX {
            return Some(What::Gone);
        }
        self.locals.begin(session, client.timeout_ms, around.now());
        if client.reads_alone {
            self.begun_alone.insert(session);
        }
        Some(self.established_here(around, conn, session))
    }

    /// A session that only this node knows is served on this connection; what its client is told.
    pub(super) fn established_here(&mut self, around: &mut Around, conn: ConnId, session: SessionId) -> What {
        self.clients.get_mut(&conn).expect("the caller has it").is_local = true;
        self.established(around, conn, session)
    }

    /// What becomes of a request that changes something and whose session is such a one; `None`: what becomes of it in any
    /// session.
    pub(super) fn take_local(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        head: Head,
        request: &Request<'_>,
    ) -> Option<Looked> {
        let client = self.clients.get(&conn).filter(|client| client.is_local || client.reads_alone)?;
        if let Request::CloseSession = request
            && client.is_local
        {
            self.locals.end(client.session);
            self.begun_alone.remove(&client.session);
            let settled = What::Settled { xid: head.xid, want: Want::Close, refused: None, after: Index(0) };
            return Some(Looked::Taken(settled));
        }
        if client.reads_alone {
            return Some(Looked::Taken(What::Failed { xid: head.xid, error: ErrorCode::NotReadOnly }));
        }
        let is_upgraded = self.zookeeper.local_sessions == LocalSessions::Upgraded && makes_ephemerals(request);
        (is_upgraded && !self.upgrade(around, conn)).then_some(Looked::Stalled)
    }

    /// Has a session of this node known to all. False: there is no leader, or no room.
    fn upgrade(&mut self, around: &mut Around, conn: ConnId) -> bool {
        let client = &self.clients[&conn];
        let (session, owner, timeout_ms) = (client.session, client.owner, client.timeout_ms);
        match self.lead(around.groups) {
            Lead::Nobody => return false,
            Lead::Here if !self.begin_upgraded(around, session, owner, timeout_ms) => return false,
            Lead::Here => {}
            Lead::There(_) => self.abroad.queue(TreeAsk::Upgrade { session, owner, timeout_ms }),
        }
        self.locals.end(session);
        self.clients.get_mut(&conn).expect("just seen").is_local = false;
        true
    }

    /// Puts a session that some node knew alone into the log that this node leads. False: there is no room.
    pub(super) fn begin_upgraded(
        &mut self,
        around: &mut Around,
        session: SessionId,
        owner: Owner,
        timeout_ms: u32,
    ) -> bool {
        if around.tree().session(session).is_none() {
            let Ok((id, body)) = around.tree().prepare_session(Zxid(session.get()), timeout_ms) else {
                // There are too many: whoever asks finds that there is no such session.
                return true;
            };
            assert_eq!(id, session, "nobody has it");
            let head = TxnHead { number: 0, session, cxid: 0 };
            if around.groups.propose_txn(around.out, head, body, false).is_err() {
                return false;
            }
        }
        // What its client asks for comes before the entry is applied.
        if let Some(expiry) = &mut self.expiry {
            expiry.begin(session, timeout_ms, around.out.now.mono);
            let _ = expiry.take_over(session, owner);
        }
        true
    }

    /// Ends what was not heard of in time.
    pub(super) fn turn_locals(&mut self, around: &mut Around) {
        let over = self.locals.over(around.now(), TURN_EXPIRED);
        for session in &over {
            self.begun_alone.remove(session);
            if let Some(conn) = self.sessions.remove(session) {
                around.close(conn);
            }
        }
        if !over.is_empty() {
            let text =
                format!("{} sessions of this node alone have expired: they were not heard of in time", over.len());
            around.out.log(Level::Info, text);
        }
    }

    /// Nobody decides on changes: clients are to look elsewhere, but those that are content with reading.
    pub(super) fn leave_clients(&mut self, around: &mut Around) {
        let reads_alone = self.reads_alone(around);
        let stays = |client: &Client| reads_alone && (client.reads_alone || client.stage == Stage::New);
        let left = self.clients.iter().filter(|(_, client)| !stays(client)).map(|(conn, _)| *conn);
        for conn in left.collect::<Vec<_>>() {
            around.close(conn);
        }
    }

    /// There is a leader again: clients that were content with reading are to connect anew.
    pub(super) fn end_reading_alone(&mut self, around: &mut Around) {
        for session in std::mem::take(&mut self.begun_alone) {
            self.locals.end(session);
        }
        let alone = self.clients.iter().filter(|(_, client)| client.reads_alone).map(|(conn, _)| *conn);
        for conn in alone.collect::<Vec<_>>() {
            around.close(conn);
        }
    }
}
