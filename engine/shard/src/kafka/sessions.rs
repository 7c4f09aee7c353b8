//! Fetch sessions (KIP-227): a client names its partitions once, later requests and answers carry only what changed.

use std::collections::BTreeMap;
use torc_base::ids::TopicId;
use torc_base::limits::FETCH_SESSION_PARTITIONS_MAX;
use torc_base::prng::Prng;
use torc_base::time::Mono;
use torc_net::kafka::error;
use torc_net::kafka::fetch::{Forgotten, Topic};

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

    fn update(&mut self, topics: &[Topic], forgotten: &[Forgotten]) {
        for topic in forgotten {
            for &index in &topic.partitions {
                self.remove(&Key { name: topic.name.clone(), id: topic.id, index });
            }
        }
        for topic in topics {
            for p in &topic.partitions {
                let key = Key { name: topic.name.clone(), id: topic.id, index: p.index };
                self.put(key, p.fetch_offset, p.max_bytes, p.current_leader_epoch.max(UNKNOWN_EPOCH));
            }
        }
    }

    fn in_order(&self) -> Vec<(Key, Wanted)> {
        self.order.values().map(|key| (key.clone(), self.wanted[key])).collect()
    }
}

/// What a fetch reads, and in which session.
#[derive(Debug)]
pub struct Plan {
    /// 0: without a session.
    pub session: i32,
    /// Only what changed is answered.
    pub incremental: bool,
    pub parts: Vec<(Key, Wanted)>,
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

    /// What a request with this session id and epoch is to read, which names topics by their ids or by their names. An error answers
    /// the whole request.
    pub fn plan(
        &mut self,
        now: Mono,
        by_id: bool,
        (id, epoch): (i32, i32),
        topics: &[Topic],
        forgotten: &[Forgotten],
    ) -> Result<Plan, i16> {
        if matches!(epoch, -1 | 0) {
            // A full fetch: without a session (-1), or to begin one (0). An old one of that client ends.
            self.end(id);
            let mut session = Session { epoch: 1, used: now, by_id, ..Session::default() };
            session.update(topics, &[]);
            let parts = session.in_order();
            let session = if epoch == 0 && !parts.is_empty() { self.begin(now, session) } else { 0 };
            return Ok(Plan { session, incremental: false, parts });
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
        self.partitions -= session.wanted.len();
        session.update(topics, forgotten);
        self.partitions += session.wanted.len();
        let parts = session.in_order();
        if self.partitions > FETCH_SESSION_PARTITIONS_MAX {
            // The client begins anew, and does without a session if it is too much even so.
            self.end(id);
            return Err(error::FETCH_SESSION_ID_NOT_FOUND);
        }
        Ok(Plan { session: id, incremental: true, parts })
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
