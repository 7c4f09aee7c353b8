//! What is appended and not committed: transactions in the order of the log, and how what they touch will be. Committing
//! takes them off the front, a cut takes them off the back; what counts for new requests is the newest of each.

use super::acl::AclList;
use super::lifetime::Lifetime;
use super::newest::Newest;
use super::txn::{Body, Txn};
use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use torc_base::ids::{Index, SessionId};
use torc_base::time::Wall;

/// A znode as new requests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) version: i32,
    pub(super) aversion: i32,
    pub(super) creates: i32,
    pub(super) children: u32,
    pub(super) data_len: usize,
    pub(super) mtime: Wall,
    pub(super) lifetime: Lifetime,
    pub(super) acl: AclList,
}

impl View {
    /// One that is made.
    pub(super) fn made(mtime: Wall, data_len: usize, lifetime: Lifetime, acl: AclList) -> View {
        View { version: 0, aversion: 0, creates: 0, children: 0, data_len, mtime, lifetime, acl }
    }
}

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// How long it lives without being heard of, in milliseconds.
    pub timeout_ms: u32,
    /// It has begun to end: its client is not served any more.
    pub is_closing: bool,
}

/// Values by key, each of which hides the one before it until it is taken away, at either end. Whoever asks tells a number that
/// stands for the key: keys are found by it, as fast whether they are long or many, and two of them may share one.
#[derive(Clone, Debug)]
pub(super) struct Layer<K, V> {
    records: VecDeque<Record<K, V>>,
    /// The number of the first record, from 1.
    first: u64,
    newest: Newest,
}

#[derive(Clone, Debug)]
struct Record<K, V> {
    key: K,
    hash: u64,
    /// The number of the record of the same hash before it, which may be gone; 0: none.
    before: u64,
    value: V,
}

impl<K: Eq, V> Layer<K, V> {
    pub(super) fn new(secret: (u64, u64)) -> Layer<K, V> {
        Layer { records: VecDeque::new(), first: 1, newest: Newest::new(secret) }
    }

    pub(super) fn push(&mut self, key: K, hash: u64, value: V) {
        let number = self.end();
        let before = self.newest.insert(hash, number).unwrap_or(0);
        self.records.push_back(Record { key, hash, before, value });
    }

    /// The newest value, and its key.
    pub(super) fn get<Q: Eq + ?Sized>(&self, key: &Q, hash: u64) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let mut number = self.newest.get(hash)?;
        while number >= self.first {
            let record = &self.records[(number - self.first) as usize];
            if record.key.borrow() == key {
                return Some((&record.key, &record.value));
            }
            number = record.before;
        }
        None
    }

    /// Forgets the oldest record, which the state holds from now on.
    pub(super) fn pop_front(&mut self) -> (K, V) {
        let Record { key, hash, value, .. } = self.records.pop_front().expect("there is one");
        if self.newest.get(hash) == Some(self.first) {
            self.newest.remove(hash);
        }
        self.first += 1;
        (key, value)
    }

    /// Takes the newest record back.
    pub(super) fn pop_back(&mut self) -> (K, V) {
        let Record { key, hash, before, value } = self.records.pop_back().expect("there is one");
        if before >= self.first {
            self.newest.insert(hash, before);
        } else {
            self.newest.remove(hash);
        }
        (key, value)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The number of the record that comes next.
    fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }
}

/// Where the records of a transaction begin: of znodes, of sessions.
pub(super) type Mark = (u64, u64);

/// A transaction, and how many records it has made.
#[derive(Clone, Debug)]
struct Entry {
    index: Index,
    txn: Txn,
    znodes: usize,
    sessions: usize,
    bytes: usize,
    /// Of a transaction that others have made: operations of it that have records. `None`: all that there can be.
    seen: Option<usize>,
}

/// All that is not committed.
#[derive(Clone, Debug)]
pub(super) struct Overlay {
    entries: VecDeque<Entry>,
    /// Znodes; `None`: it is gone.
    znodes: Layer<Arc<str>, Option<View>>,
    /// Sessions; `None`: it is gone.
    sessions: Layer<SessionId, Option<Session>>,
    /// Ephemeral znodes here, by session. What is gone again is here too, as long as it is pending.
    owned: BTreeMap<(SessionId, Arc<str>), u32>,
    /// Entries that others have made, which are the last ones.
    followed: usize,
    /// Of the entries, encoded.
    bytes: usize,
    /// Records at the front of transactions that are applied: they tell what the state tells, and go some at a time.
    stale: usize,
}

impl Overlay {
    /// Nothing. `secret`: see [`super::TreeSettings::secret`].
    pub(super) fn new(secret: (u64, u64)) -> Overlay {
        Overlay {
            entries: VecDeque::new(),
            znodes: Layer::new(secret),
            sessions: Layer::new(secret),
            owned: BTreeMap::new(),
            followed: 0,
            bytes: 0,
            stale: 0,
        }
    }

    /// A znode of whose path this is the hash ([`super::digest::of_whole_path`]).
    pub(super) fn znode(&self, path: &str, hash: u64) -> Option<&Option<View>> {
        self.znodes.get(path, hash).map(|(_, view)| view)
    }

    /// The path again, without a copy of it where there is one.
    pub(super) fn shared(&self, path: &str, hash: u64) -> Arc<str> {
        self.znodes.get(path, hash).map_or_else(|| path.into(), |(path, _)| path.clone())
    }

    /// Both.
    pub(super) fn znode_and_path(&self, path: &str, hash: u64) -> Option<(&Arc<str>, &Option<View>)> {
        self.znodes.get(path, hash)
    }

    pub(super) fn session(&self, id: SessionId) -> Option<&Option<Session>> {
        self.sessions.get(&id, id.get() as u64).map(|(_, session)| session)
    }

    /// Paths of pending znodes that were made for a session. Some may be gone again.
    pub(super) fn owned(&self, session: SessionId) -> impl Iterator<Item = &Arc<str>> {
        let all = self.owned.range((session, Arc::from(""))..);
        all.take_while(move |((owner, _), _)| *owner == session).map(|((_, path), _)| path)
    }

    pub(super) fn put_znode(&mut self, path: Arc<str>, hash: u64, view: Option<View>) {
        if let Some(Lifetime::Ephemeral(session)) = view.as_ref().map(|view| view.lifetime) {
            *self.owned.entry((session, path.clone())).or_default() += 1;
        }
        self.znodes.push(path, hash, view);
    }

    pub(super) fn put_session(&mut self, id: SessionId, session: Option<Session>) {
        self.sessions.push(id, id.get() as u64, session);
    }

    /// What there is now, to come back to it by [`Overlay::back_to`].
    pub(super) fn mark(&self) -> Mark {
        (self.znodes.end(), self.sessions.end())
    }

    /// How many records there are, of znodes and of sessions.
    pub(super) fn records(&self) -> (usize, usize) {
        (self.znodes.len(), self.sessions.len())
    }

    /// Takes records back that no entry has.
    pub(super) fn back_to(&mut self, (znodes, sessions): Mark) {
        while self.znodes.end() > znodes {
            let (path, view) = self.znodes.pop_back();
            self.disown(path, view);
        }
        while self.sessions.end() > sessions {
            self.sessions.pop_back();
        }
    }

    fn disown(&mut self, path: Arc<str>, view: Option<View>) {
        if let Some(Lifetime::Ephemeral(session)) = view.map(|view| view.lifetime) {
            let key = (session, path);
            let count = self.owned.get_mut(&key).expect("it was counted");
            *count -= 1;
            if *count == 0 {
                self.owned.remove(&key);
            }
        }
    }

    /// All records since `mark` are those of a transaction.
    pub(super) fn seal(&mut self, index: Index, txn: Txn, (znodes, sessions): Mark) {
        assert!(self.followed == 0, "who makes transactions has applied those of others");
        let bytes = txn.bytes();
        self.bytes += bytes;
        let (znodes, sessions) = ((self.znodes.end() - znodes) as usize, (self.sessions.end() - sessions) as usize);
        self.entries.push_back(Entry { index, txn, znodes, sessions, bytes, seen: None });
    }

    /// A transaction that others have made: it has no records.
    pub(super) fn follow(&mut self, index: Index, txn: Txn) {
        let bytes = txn.bytes();
        self.bytes += bytes;
        self.followed += 1;
        self.entries.push_back(Entry { index, txn, znodes: 0, sessions: 0, bytes, seen: Some(0) });
    }

    /// Takes the oldest transaction out of its entry, if that is not behind `through`. The entry stays until
    /// [`Overlay::pop_front`], and what it says of znodes; [`Overlay::put_front`] puts the transaction back.
    pub(super) fn take_front(&mut self, through: Index) -> Option<(Index, Txn)> {
        let entry = self.entries.front_mut().filter(|entry| entry.index <= through)?;
        let Txn { session, cxid, zxid, time, .. } = entry.txn;
        let body = std::mem::replace(&mut entry.txn.body, Body::Multi(Vec::new()));
        Some((entry.index, Txn { session, cxid, zxid, time, body }))
    }

    /// Puts it back: not all of it is applied.
    pub(super) fn put_front(&mut self, txn: Txn) {
        self.entries.front_mut().expect("it was taken out of it").txn = txn;
    }

    /// Of the oldest transaction, which others have made: how many of its operations have records. `None`: all that can.
    pub(super) fn seen(&self) -> Option<usize> {
        self.entries.front().and_then(|entry| entry.seen)
    }

    /// The oldest transaction, which others have made, has the records since `mark`: so many of its operations have theirs.
    pub(super) fn see(&mut self, seen: usize, (znodes, _): Mark) {
        let records = (self.znodes.end() - znodes) as usize;
        let entry = self.entries.front_mut().expect("there is one");
        (entry.seen, entry.znodes) = (Some(seen), entry.znodes + records);
    }

    /// The oldest entry's transaction is applied. What it says of znodes is what the state says from now on, and goes by
    /// [`Overlay::forget`].
    pub(super) fn pop_front(&mut self) {
        let entry = self.entries.pop_front().expect("it was taken out of it");
        self.bytes -= entry.bytes;
        self.followed -= usize::from(entry.seen.is_some());
        self.stale += entry.znodes;
        for _ in 0..entry.sessions {
            self.sessions.pop_front();
        }
    }

    /// Lets go of what the state says by now, so many records at most.
    pub(super) fn forget(&mut self, most: usize) {
        let some = self.stale.min(most);
        self.stale -= some;
        for _ in 0..some {
            let (path, view) = self.znodes.pop_front();
            self.disown(path, view);
        }
    }

    /// Records that can go.
    pub(super) fn stale(&self) -> usize {
        self.stale
    }

    /// Takes the newest transaction off, if its entry is not before `from`.
    pub(super) fn pop_from(&mut self, from: Index) -> Option<Txn> {
        if self.entries.back()?.index < from {
            return None;
        }
        let entry = self.entries.pop_back()?;
        self.bytes -= entry.bytes;
        self.followed -= usize::from(entry.seen.is_some());
        let (znodes, sessions) = self.mark();
        self.back_to((znodes - entry.znodes as u64, sessions - entry.sessions as u64));
        Some(entry.txn)
    }

    /// The newest entry.
    pub(super) fn last(&self) -> Option<(Index, &Txn)> {
        self.entries.back().map(|entry| (entry.index, &entry.txn))
    }

    /// All entries, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Index, &Txn)> {
        self.entries.iter().map(|entry| (entry.index, &entry.txn))
    }

    /// How many transactions there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Their bytes, about as they are encoded.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
