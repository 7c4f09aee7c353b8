//! What ends by itself, and how sessions begin and end.

use super::error::TreeError;
use super::lifetime::Lifetime;
use super::txn::{Body, Op};
use super::{Session, Tree, digest};
use std::collections::BTreeSet;
use std::sync::Arc;
use torc_base::ids::{SessionId, Zxid};
use torc_base::limits::{SESSION_END_PART, SESSION_END_PATH_BYTES, SESSIONS_MAX};
use torc_base::time::Wall;

/// Bytes in a transaction in front of a path, at most.
const PATH_HEAD_BYTES: usize = 10;

impl Tree {
    /// A new session, whose id follows from the change that makes it, and is no other's.
    pub fn prepare_session(&self, zxid: Zxid, timeout_ms: u32) -> Result<(SessionId, Body), TreeError> {
        if self.sessions.len() + self.overlay.records().1 >= SESSIONS_MAX {
            return Err(TreeError::QuotaExceeded);
        }
        let ids = (zxid.get()..).map(SessionId);
        let free = ids.into_iter().find(|id| *id != SessionId::NONE && self.session(*id).is_none());
        Ok((free.expect("not all are taken"), Body::CreateSession { timeout_ms }))
    }

    /// The end of a session, or as much of it as one transaction holds, of which the log takes `bytes_max`: this is asked
    /// again until the [`Body::CloseSession`] that is appended is the last. Nobody is served in that session from the first on.
    /// `None`: there is no such session.
    pub fn prepare_close(&self, session: SessionId, bytes_max: usize) -> Option<Body> {
        self.session(session)?;
        let mut ephemerals = BTreeSet::new();
        let mut bytes = 0;
        let committed = self.store.lifetimes.of_session(session, 0).map(|id| Arc::from(self.store.path(id)));
        for path in committed.chain(self.overlay.owned(session).cloned()) {
            let is_there = match self.overlay.znode(&path, digest::of_whole_path(&path)) {
                None => true,
                Some(view) => view.as_ref().is_some_and(|view| view.lifetime == Lifetime::Ephemeral(session)),
            };
            if !is_there || ephemerals.contains(&path) {
                continue;
            }
            // One is taken whatever its length: the log took what made it.
            let is_full = !ephemerals.is_empty() && bytes + PATH_HEAD_BYTES + path.len() > bytes_max;
            if ephemerals.len() == SESSION_END_PART || bytes > SESSION_END_PATH_BYTES || is_full {
                return Some(Body::CloseSession { ephemerals: ephemerals.into_iter().collect(), last: false });
            }
            bytes += PATH_HEAD_BYTES + path.len();
            ephemerals.insert(path);
        }
        Some(Body::CloseSession { ephemerals: ephemerals.into_iter().collect(), last: true })
    }

    /// Sessions that have begun to end: a new leader goes on with them.
    pub fn closing(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.iter().filter(|(_, session)| session.is_closing).map(|(id, _)| *id)
    }

    /// At most `max` znodes that are to end: containers that have been emptied, and those whose time to live is over. Each
    /// is to be asked for by [`Tree::prepare_end`].
    pub fn due(&self, now: Wall, max: usize) -> Vec<String> {
        self.store.lifetimes.due(now).take(max).map(|id| self.store.path(id)).collect()
    }

    /// The end of a znode that was due. By now it may have a child again, have been written to, or be gone.
    pub fn prepare_end(&self, path: &str, now: Wall) -> Result<Body, TreeError> {
        let view = self.view(path).ok_or(TreeError::NoNode)?;
        super::deletable(path, Some(view.children))?;
        let is_over = match view.lifetime {
            Lifetime::Container => view.creates != 0,
            Lifetime::Ttl(ms) => view.mtime.0.saturating_add(ms) < now.0,
            Lifetime::Persistent | Lifetime::Ephemeral(_) => false,
        };
        if is_over { Ok(Body::One(Op::Delete { path: path.into() })) } else { Err(TreeError::BadVersion) }
    }

    /// The timeout that a client gets that asks for `asked_ms`.
    pub fn negotiate(asked_ms: i32, (min_ms, max_ms): (u32, u32)) -> u32 {
        u32::try_from(asked_ms).unwrap_or(0).clamp(min_ms, max_ms)
    }
}

impl Session {
    /// True while its client is served.
    pub fn is_open(&self) -> bool {
        !self.is_closing
    }
}

#[cfg(test)]
#[path = "close_tests.rs"]
mod tests;
