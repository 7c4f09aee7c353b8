//! Fetch sessions (KIP-227): a client names its partitions once, later requests and answers carry only what changed.

use std::collections::BTreeMap;
use std::vec::IntoIter;
use torc_base::ids::TopicId;
use torc_base::limits::FETCH_SESSION_PARTITIONS_MAX;
use torc_base::prng::Prng;
use torc_base::time::Mono;
use torc_net::kafka::error;
use torc_net::kafka::fetch::{Forgotten, Partition, Topic};

/// The client does not know which epoch it is; Kafka takes all that is below for the same in a fetch, though not elsewhere.
const UNKNOWN_EPOCH: i32 = -1;

/// A partition as the client names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Empty where topics go by id.
    pub name: String,
    pub id: TopicId,
    pub index: i32,
}

/// What the client last said of a partition, and what it was last told.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub offset: i64,
    pub max_bytes: i32,
    pub epoch: i32,
    told_high_watermark: i64,
    told_log_start: i64,
    told_error: i16,
    /// Place in the order of reading; what gave records goes to the end, so that none starves.
    turn: u64,
}

/// One client's session.
#[derive(Debug, Default)]
struct Session {
    epoch: i32,
    wanted: BTreeMap<Key, Wanted>,
    order: BTreeMap<u64, Key>,
    next_turn: u64,
    used: Mono,
    /// Its topics go by id. One that goes on in the other way is begun anew: what it has by one is not known by the other, and its
    /// client passes over in silence what it is told of that.
    by_id: bool,
    /// A request of this session waits for records; it is not evicted.
    busy: bool,
}

impl Session {
    fn put(&mut self, key: Key, offset: i64, max_bytes: i32, epoch: i32) {
        if let Some(wanted) = self.wanted.get_mut(&key) {
            (wanted.offset, wanted.max_bytes, wanted.epoch) = (offset, max_bytes, epoch);
            return;
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        self.order.insert(turn, key.clone());
        let told = (-1, -1, 0);
        let wanted = Wanted {
            offset,
            max_bytes,
            epoch,
            told_high_watermark: told.0,
            told_log_start: told.1,
            told_error: told.2,
            turn,
        };
        self.wanted.insert(key, wanted);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(wanted) = self.wanted.remove(key) {
            self.order.remove(&wanted.turn);
        }
    }
}

/// What a fetch changes in its session.
#[derive(Debug)]
struct Changes {
    forgotten: IntoIter<Forgotten>,
    topics: IntoIter<Topic>,
    /// What is left of the topic at hand.
    forgetting: Option<(Key, IntoIter<i32>)>,
    adding: Option<(Key, IntoIter<Partition>)>,
}

impl Changes {
    fn new(topics: Vec<Topic>, forgotten: Vec<Forgotten>) -> Changes {
        Changes { forgotten: forgotten.into_iter(), topics: topics.into_iter(), forgetting: None, adding: None }
    }

    /// Makes up to `left` of them. True if there are no others.
    fn make(&mut self, session: &mut Session, left: &mut usize) -> bool {
        while *left > 0 {
            *left -= 1;
            if let Some((of, partitions)) = &mut self.forgetting {
                match partitions.next() {
                    Some(index) => session.remove(&Key { index, ..of.clone() }),
                    None => self.forgetting = None,
                }
            } else if let Some((of, partitions)) = &mut self.adding {
                match partitions.next() {
                    Some(Partition { index, fetch_offset, max_bytes, current_leader_epoch, .. }) => {
                        let epoch = current_leader_epoch.max(UNKNOWN_EPOCH);
                        session.put(Key { index, ..of.clone() }, fetch_offset, max_bytes, epoch);
                    }
                    None => self.adding = None,
                }
            } else if let Some(Forgotten { name, id, partitions }) = self.forgotten.next() {
                self.forgetting = Some((Key { name, id, index: 0 }, partitions.into_iter()));
            } else if let Some(Topic { name, id, partitions }) = self.topics.next() {
                self.adding = Some((Key { name, id, index: 0 }, partitions.into_iter()));
            } else {
                return true;
            }
        }
        false
    }
}

/// A fetch whose session is looked up, and what it reads.
#[derive(Debug)]
pub struct Planning {
    /// The session that goes on, if one does.
    id: i32,
    /// The one that begins, and whether it is kept.
    fresh: Option<Session>,
    is_kept: bool,
    changes: Changes,
    /// Its session is what it is to be, and from this place in its order on it was not told what is read.
    from: Option<u64>,
}

impl Planning {
    /// The session that goes on; 0 if none does.
    pub fn session(&self) -> i32 {
        self.id
    }
}

/// The sessions of one shard.
pub struct Sessions {
    max: usize,
    sessions: BTreeMap<i32, Session>,
    /// Partitions of all sessions.
    partitions: usize,
    prng: Prng,
}

impl Sessions {
    /// At most `max` at once; ids follow from the seed.
    pub fn new(max: usize, seed: u64) -> Sessions {
        Sessions { max, sessions: BTreeMap::new(), partitions: 0, prng: Prng::new(seed ^ 0x5e55_1045) }
    }

    /// Partitions of a session; 0 without one.
    pub fn partitions(&self, id: i32) -> usize {
        self.sessions.get(&id).map_or(0, |session| session.wanted.len())
    }

    fn end(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.wanted.len();
        }
    }

    /// Begins to look up what a request with this session id and epoch is to read, which names topics by their ids or by their
    /// names. An error answers the whole request.
    pub fn plan(
        &mut self,
        now: Mono,
        by_id: bool,
        (id, epoch): (i32, i32),
        topics: Vec<Topic>,
        forgotten: Vec<Forgotten>,
    ) -> Result<Planning, i16> {
        if matches!(epoch, -1 | 0) {
            // A full fetch: without a session (-1), or to begin one (0). An old one of that client ends.
            self.end(id);
            let fresh = Some(Session { epoch: 1, used: now, by_id, ..Session::default() });
            let changes = Changes::new(topics, Vec::new());
            return Ok(Planning { id: 0, fresh, is_kept: epoch == 0, changes, from: None });
        }
        let session = self.sessions.get_mut(&id).ok_or(error::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.epoch != epoch {
            return Err(error::INVALID_FETCH_SESSION_EPOCH);
        }
        if session.by_id != by_id {
            return Err(error::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        session.used = now;
        session.busy = true;
        Ok(Planning { id, fresh: None, is_kept: true, changes: Changes::new(topics, forgotten), from: None })
    }

    /// Goes on with it, for about `left` partitions; `read` is told of each that is read, in order. When it has been told of all: the
    /// session, which is 0 without one, and whether only what changed is answered.
    pub fn plan_on(
        &mut self,
        now: Mono,
        planning: &mut Planning,
        left: &mut usize,
        mut read: impl FnMut(Key, Wanted),
    ) -> Result<Option<(i32, bool)>, i16> {
        let is_fresh = planning.fresh.is_some();
        let session = match &mut planning.fresh {
            Some(session) => session,
            // It may have ended meanwhile.
            None => self.sessions.get_mut(&planning.id).ok_or(error::FETCH_SESSION_ID_NOT_FOUND)?,
        };
        if planning.from.is_none() {
            let before = session.wanted.len();
            let is_changed = planning.changes.make(session, left);
            if !is_fresh {
                self.partitions = self.partitions + session.wanted.len() - before;
                if self.partitions > FETCH_SESSION_PARTITIONS_MAX {
                    // The client begins anew, and does without a session if it is too much even so.
                    self.end(planning.id);
                    return Err(error::FETCH_SESSION_ID_NOT_FOUND);
                }
            }
            if !is_changed {
                return Ok(None);
            }
        }
        let from = planning.from.get_or_insert(0);
        for (turn, key) in session.order.range(*from..) {
            if *left == 0 {
                return Ok(None);
            }
            *left -= 1;
            *from = turn + 1;
            read(key.clone(), session.wanted[key]);
        }
        let Some(session) = planning.fresh.take() else { return Ok(Some((planning.id, true))) };
        let is_kept = planning.is_kept && !session.wanted.is_empty();
        Ok(Some((if is_kept { self.begin(now, session) } else { 0 }, false)))
    }

    /// Keeps a new session if there is room, or an idle one to give up; its id, or 0.
    fn begin(&mut self, now: Mono, mut session: Session) -> i32 {
        /// As in Kafka: a session this long unused makes room for another.
        const EVICT_AFTER_NS: u64 = 120_000_000_000;
        let more = session.wanted.len();
        if self.sessions.len() >= self.max || self.partitions + more > FETCH_SESSION_PARTITIONS_MAX {
            let idle = self.sessions.iter().filter(|(_, s)| !s.busy).min_by_key(|(_, s)| s.used);
            match idle.map(|(id, s)| (*id, s.used)) {
                Some((id, used)) if now.since(used) > EVICT_AFTER_NS => self.end(id),
                _ => return 0,
            };
            if self.partitions + more > FETCH_SESSION_PARTITIONS_MAX {
                return 0;
            }
        }
        let id = loop {
            let id = (self.prng.next_u64() >> 33) as i32;
            if id > 0 && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        session.busy = true;
        self.partitions += more;
        self.sessions.insert(id, session);
        id
    }

    /// Notes what a client is told of a partition; false if it knows already and there are no records.
    pub fn note_sent(&mut self, id: i32, key: &Key, told: (i16, i64, i64), has_records: bool) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return true };
        let Some(wanted) = session.wanted.get_mut(key) else { return true };
        let (told_error, told_high_watermark, told_log_start) = told;
        let news = has_records
            || told_error != 0
            || wanted.told_error != told_error
            || wanted.told_high_watermark != told_high_watermark
            || wanted.told_log_start != told_log_start;
        *wanted = Wanted { told_error, told_high_watermark, told_log_start, ..*wanted };
        if has_records {
            session.order.remove(&wanted.turn);
            wanted.turn = session.next_turn;
            session.next_turn += 1;
            session.order.insert(wanted.turn, key.clone());
        }
        news
    }

    /// The request of a session has been answered, or is gone.
    pub fn idle(&mut self, id: i32) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.busy = false;
        }
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
