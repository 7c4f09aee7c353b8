//! Which sessions are heard of: what a leader knows beside the log, and a new one begins anew.
//!
//! A session ends by the leader's decision alone. Deadlines are rounded up to whole intervals, so that a client that is
//! heard of often is moved seldom, and what is over is given out in bounded batches. A new leader lets every session live
//! for its whole timeout from then on: nobody has reported to it yet.

use super::error::TreeError;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use torc_base::ids::SessionId;
use torc_base::time::Mono;

/// Who serves a session: a connection of some server, by a number that no other has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(pub u64);

#[derive(Clone, Copy, Debug)]
struct Heard {
    timeout_ms: u32,
    /// The interval behind whose end it is over.
    until: u64,
    owner: Option<Owner>,
}

/// Sessions that live, by when they are over.
#[derive(Clone, Debug)]
pub struct Expiry {
    interval_ms: u64,
    sessions: BTreeMap<SessionId, Heard>,
    deadlines: BTreeSet<(u64, SessionId)>,
}

impl Expiry {
    /// Nobody yet. `interval_ms`: what deadlines are rounded to (`tickTime`).
    pub fn new(interval_ms: u32) -> Expiry {
        assert!(interval_ms > 0, "deadlines are rounded to something");
        Expiry { interval_ms: u64::from(interval_ms), sessions: BTreeMap::new(), deadlines: BTreeSet::new() }
    }

    fn until(&self, now: Mono, timeout_ms: u32) -> u64 {
        let ms = (now.0 / 1_000_000).saturating_add(u64::from(timeout_ms));
        ms / self.interval_ms + 1
    }

    /// A session lives from now on, if it did not before. Nobody serves it yet.
    pub fn begin(&mut self, session: SessionId, timeout_ms: u32, now: Mono) {
        let until = self.until(now, timeout_ms);
        if let Entry::Vacant(place) = self.sessions.entry(session) {
            place.insert(Heard { timeout_ms, until, owner: None });
            self.deadlines.insert((until, session));
        }
    }

    /// It has begun to end.
    pub fn end(&mut self, session: SessionId) {
        if let Some(heard) = self.sessions.remove(&session) {
            self.deadlines.remove(&(heard.until, session));
        }
    }

    /// It was heard of. False: there is no such session, or it has begun to end.
    pub fn touch(&mut self, session: SessionId, now: Mono) -> bool {
        let Some(&Heard { timeout_ms, until, .. }) = self.sessions.get(&session) else { return false };
        let later = self.until(now, timeout_ms);
        // Reports of other servers may come late: they never take time away.
        if later > until {
            self.deadlines.remove(&(until, session));
            self.deadlines.insert((later, session));
            self.sessions.get_mut(&session).expect("just found").until = later;
        }
        true
    }

    /// From now on this connection serves it.
    pub fn take_over(&mut self, session: SessionId, owner: Owner) -> Result<(), TreeError> {
        let heard = self.sessions.get_mut(&session).ok_or(TreeError::SessionExpired)?;
        heard.owner = Some(owner);
        Ok(())
    }

    /// Fails unless this connection serves it. The first that asks after a change of leader does.
    pub fn check(&mut self, session: SessionId, owner: Owner) -> Result<(), TreeError> {
        let heard = self.sessions.get_mut(&session).ok_or(TreeError::SessionExpired)?;
        if *heard.owner.get_or_insert(owner) == owner { Ok(()) } else { Err(TreeError::SessionMoved) }
    }

    /// From now on it lives for so long whenever it is heard of: so its client was told on this connection. Not if another one
    /// serves it.
    pub fn lives_for(&mut self, session: SessionId, owner: Owner, timeout_ms: u32, now: Mono) {
        let until = self.until(now, timeout_ms);
        let Some(heard) = self.sessions.get_mut(&session) else { return };
        if heard.owner.is_some_and(|serves| serves != owner) {
            return;
        }
        self.deadlines.remove(&(heard.until, session));
        (heard.timeout_ms, heard.until) = (timeout_ms, until);
        self.deadlines.insert((until, session));
    }

    /// At most `max` sessions that are over, the longest first. They have begun to end: nobody can touch them any more.
    pub fn over(&mut self, now: Mono, max: usize) -> Vec<SessionId> {
        let interval = now.0 / 1_000_000 / self.interval_ms;
        let over = self.deadlines.iter().take_while(|(until, _)| *until <= interval).take(max);
        let over: Vec<SessionId> = over.map(|(_, session)| *session).collect();
        over.iter().for_each(|session| self.end(*session));
        over
    }

    /// When the next one may be over.
    pub fn next(&self) -> Option<Mono> {
        self.deadlines.first().map(|(until, _)| self.moment(*until))
    }

    fn moment(&self, until: u64) -> Mono {
        Mono(until.saturating_mul(self.interval_ms).saturating_mul(1_000_000))
    }

    /// When a session is over unless it is heard of.
    pub fn deadline(&self, session: SessionId) -> Option<Mono> {
        self.sessions.get(&session).map(|heard| self.moment(heard.until))
    }

    /// How many live.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// True if none does.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

/// What proves that a client began a session: it follows from a secret that all servers share.
pub fn password(secret: (u64, u64), session: SessionId) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_keys(secret.0, secret.1);
    hasher.write_u64(session.get() as u64);
    hasher.finish128().as_bytes()
}

/// True if it is that. Takes as long whatever is wrong with it.
pub fn is_password(secret: (u64, u64), session: SessionId, given: &[u8]) -> bool {
    let right = password(secret, session);
    given.len() == right.len() && given.iter().zip(right).fold(0, |wrong, (a, b)| wrong | (a ^ b)) == 0
}

#[cfg(test)]
#[path = "expiry_tests.rs"]
mod tests;
