//! Znodes that end by themselves: with their session, when they have been emptied, or some time after their last change.

use super::store::Slot;
use std::collections::BTreeSet;
use torc_base::ids::SessionId;
use torc_base::time::Wall;

/// The mark of a container, in the place of a session.
const CONTAINER: i64 = i64::MIN;
/// The marks of a time to live: the upper bits, the rest is milliseconds.
const TTL: i64 = 0xff << 56;
/// Longest time to live, in milliseconds.
pub const TTL_MAX: i64 = (1 << 40) - 1;

/// How a znode ends by itself. Kept, written and told to other servers as one number, ZooKeeper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It does not.
    Persistent,
    /// With this session.
    Ephemeral(SessionId),
    /// When its last child is gone.
    Container,
    /// When it has no child and had no change for so many milliseconds.
    Ttl(i64),
}

impl Lifetime {
    /// What a number says.
    pub fn of(owner: i64) -> Lifetime {
        match owner {
            0 => Lifetime::Persistent,
            CONTAINER => Lifetime::Container,
            _ if owner & !TTL_MAX == TTL && owner != TTL => Lifetime::Ttl(owner & TTL_MAX),
            _ => Lifetime::Ephemeral(SessionId(owner)),
        }
    }

    /// The number. A time to live is from 1 to [`TTL_MAX`].
    pub fn owner(self) -> i64 {
        match self {
            Lifetime::Persistent => 0,
            Lifetime::Ephemeral(session) => session.get(),
            Lifetime::Container => CONTAINER,
            Lifetime::Ttl(ms) => {
                assert!((1..=TTL_MAX).contains(&ms), "a time to live of {ms} ms");
                TTL | ms
            }
        }
    }

    /// The session that it ends with; [`SessionId::NONE`] if with none.
    pub fn session(self) -> SessionId {
        match self {
            Lifetime::Ephemeral(session) => session,
            _ => SessionId::NONE,
        }
    }
}

/// Where a znode stands in [`Lifetimes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    Session(i64, u32),
    Emptied(u32),
    Deadline(i64, u32),
}

/// Those of all znodes that may end.
#[derive(Clone, Debug, Default)]
pub(super) struct Lifetimes {
    /// Ephemeral znodes, by session.
    ephemerals: BTreeSet<(i64, u32)>,
    changes: i64,
    /// Containers that had children and have none.
    emptied: BTreeSet<u32>,
    /// Znodes with a time to live that have no children, by when it is over.
    deadlines: BTreeSet<(i64, u32)>,
}

impl Lifetimes {
    /// Where a znode belongs.
    pub(super) fn place(&self, id: u32, slot: &Slot) -> Place {
        match Lifetime::of(slot.owner()) {
            Lifetime::Ephemeral(session) => Place::Session(session.get(), id),
            Lifetime::Container if slot.children() == 0 && slot.creates() != 0 => Place::Emptied(id),
            Lifetime::Ttl(ms) if slot.children() == 0 => Place::Deadline(slot.mtime.saturating_add(ms), id),
            _ => Place::Nowhere,
        }
    }

    pub(super) fn enter(&mut self, id: u32, slot: &Slot) {
        self.moved(Place::Nowhere, self.place(id, slot));
    }

    pub(super) fn leave(&mut self, id: u32, slot: &Slot) {
        self.moved(self.place(id, slot), Place::Nowhere);
    }

    pub(super) fn moved(&mut self, from: Place, to: Place) {
        if from == to {
            return;
        }
        if matches!((from, to), (Place::Session(..), _) | (_, Place::Session(..))) {
            self.changes += 1;
        }
        let was_there = match from {
            Place::Nowhere => true,
            Place::Session(session, id) => self.ephemerals.remove(&(session, id)),
            Place::Emptied(id) => self.emptied.remove(&id),
            Place::Deadline(at, id) => self.deadlines.remove(&(at, id)),
        };
        let is_new = match to {
            Place::Nowhere => true,
            Place::Session(session, id) => self.ephemerals.insert((session, id)),
            Place::Emptied(id) => self.emptied.insert(id),
            Place::Deadline(at, id) => self.deadlines.insert((at, id)),
        };
        assert!(was_there && is_new, "a znode stands where it belongs");
    }

    /// How often ephemeral znodes have come or gone.
    pub(super) fn changes(&self) -> i64 {
        self.changes
    }

    /// Znodes of a session, from this place on.
    pub(super) fn of_session(&self, session: SessionId, from: u32) -> impl Iterator<Item = u32> {
        self.ephemerals.range((session.get(), from)..=(session.get(), u32::MAX)).map(|(_, id)| *id)
    }

    /// Sessions that have some, from that one on.
    pub(super) fn owners(&self, from: SessionId) -> impl Iterator<Item = SessionId> {
        let first = move |from: i64| self.ephemerals.range((from, 0)..).next().map(|(session, _)| *session);
        let next = move |session: &i64| first(session.checked_add(1)?);
        std::iter::successors(first(from.get()), next).map(SessionId)
    }

    /// Ephemeral znodes of all sessions.
    pub(super) fn ephemerals(&self) -> usize {
        self.ephemerals.len()
    }

    /// Znodes that are to end now: containers, and those whose time is over.
    pub(super) fn due(&self, now: Wall) -> impl Iterator<Item = u32> {
        let over = self.deadlines.iter().take_while(move |(at, _)| *at < now.0).map(|(_, id)| *id);
        self.emptied.iter().copied().chain(over)
    }

    /// Memory, in bytes, as trees of half-filled nodes take at most.
    pub(super) fn memory(&self) -> usize {
        2 * 16 * (self.ephemerals.len() + self.deadlines.len()) + 2 * 4 * self.emptied.len()
    }
}
