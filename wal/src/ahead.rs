//! What has been read from disk and is wanted soon: chunks of groups, and who reads on where.
//!
//! A chunk is what one flight brings: entries of one group, none of those between them left out. It is *fresh* until its
//! last entry has been handed out, then *spent*: kept for a while for others who read the same. A reader is known only by
//! its position: a read that begins where another ended is taken for the next of the same reader, and makes the log read
//! ahead.

use crate::entry::Item;
use crate::outcome::From;
use std::collections::BTreeMap;
use torc_base::ids::{GroupId, Index, Offset};
use torc_base::time::Mono;

/// Memory for spent chunks.
const SPENT_BYTES: usize = 8 << 20;
/// Readers that are remembered.
const STREAMS_MAX: usize = 8192;
/// Fresh chunks that nobody came for in this time are dropped.
const IDLE_MS: u64 = 5_000;
/// Bytes of one chunk that is read ahead, at least; also what a reader's window starts with.
pub(crate) const CHUNK_BYTES_MIN: usize = 256 << 10;
/// Bytes of one chunk, one entry aside.
pub(crate) const CHUNK_BYTES_MAX: usize = 4 << 20;
/// Bytes that are read ahead of one reader, or two chunks if that is more.
const WINDOW_BYTES_MAX: usize = 4 << 20;

/// Where a chunk is in its life.
#[derive(Debug)]
enum State {
    /// On its way from the disk.
    Flying,
    Fresh(Vec<Item>),
    Spent(Vec<Item>),
}

/// Entries of one group: all that there are from the first index to the last.
#[derive(Debug)]
struct Chunk {
    group: GroupId,
    first: Index,
    last: Index,
    /// No entry that ends behind `start` comes before the first; `end` is behind the last one.
    start: Offset,
    end: Offset,
    state: State,
    /// Reads that wait for it.
    waiting: Vec<u64>,
    /// Nobody had asked for it when it was read.
    ahead: bool,
    /// Bytes of payload, and of memory.
    payload: usize,
    memory: usize,
    used: u64,
    used_at: Mono,
}

impl Chunk {
    fn items(&self) -> &[Item] {
        match &self.state {
            State::Flying => &[],
            State::Fresh(items) | State::Spent(items) => items,
        }
    }

    fn covers(&self, from: From) -> bool {
        match from {
            From::Index(index) => self.first <= index && index <= self.last,
            From::Offset(offset) => self.start <= offset && offset < self.end,
        }
    }
}

/// A reader, as far as it is known.
#[derive(Clone, Copy, Debug)]
struct Stream {
    /// The entry that it wants next.
    next: Index,
    /// Bytes that are read ahead of it.
    window: usize,
    used: u64,
}

/// What shall be there when a reader comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) next: Index,
    /// The offset where its last read ended.
    pub(crate) at: Offset,
    pub(crate) window: usize,
    pub(crate) chunk: usize,
}

/// What a new chunk covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) first: Index,
    pub(crate) last: Index,
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    pub(crate) payload: usize,
    pub(crate) memory: usize,
}

/// What is known of a wanted place.
pub(crate) enum Held {
    /// These entries, from there on. `ahead`: they had been read ahead.
    Items {
        items: Vec<Item>,
        ahead: bool,
    },
    /// On its way: the read will be named by [`Ahead::landed`].
    Flying,
    Nothing,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) dropped: u64,
}

/// All chunks and readers.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// Memory for chunks that nobody has asked for; 0: nothing is read ahead, and nothing kept.
    limit: usize,
    chunks: BTreeMap<u64, Chunk>,
    by_group: BTreeMap<GroupId, Vec<u64>>,
    /// By when they were used, those that are not flying.
    fresh: BTreeMap<u64, u64>,
    spent: BTreeMap<u64, u64>,
    /// Memory of fresh chunks and of those that fly without anybody waiting when they started, and of spent ones.
    fresh_bytes: usize,
    spent_bytes: usize,
    streams: BTreeMap<(GroupId, Offset), Stream>,
    streams_by_use: BTreeMap<u64, (GroupId, Offset)>,
    clock: u64,
    pub(crate) now: Mono,
    pub(crate) counts: Counts,
}

impl Ahead {
    pub(crate) fn new(limit: usize) -> Ahead {
        Ahead {
            limit,
            chunks: BTreeMap::new(),
            by_group: BTreeMap::new(),
            fresh: BTreeMap::new(),
            spent: BTreeMap::new(),
            fresh_bytes: 0,
            spent_bytes: 0,
            streams: BTreeMap::new(),
            streams_by_use: BTreeMap::new(),
            clock: 0,
            now: Mono(0),
            counts: Counts::default(),
        }
    }

    /// Entries from `from` up to `upto`, about `max_bytes`, at least one if there is any; or the flight that brings
    /// them, which `reader` then waits for.
    pub(crate) fn find(&mut self, group: GroupId, from: From, upto: Index, max_bytes: usize, reader: u64) -> Held {
        let Some(ids) = self.by_group.get(&group) else { return Held::Nothing };
        let covering = |id: &&u64| self.chunks[*id].covers(from);
        let landed = |id: &&u64| !matches!(self.chunks[*id].state, State::Flying);
        let Some(&first) = ids.iter().filter(landed).find(covering).or_else(|| ids.iter().find(covering)) else {
            return Held::Nothing;
        };
        if matches!(self.chunks[&first].state, State::Flying) {
            self.chunks.get_mut(&first).expect("just found").waiting.push(reader);
            return Held::Flying;
        }
        let (mut items, mut ahead, mut room) = (Vec::new(), false, max_bytes);
        let (mut from, mut at) = (from, Some(first));
        while let Some(id) = at {
            let chunk = &self.chunks[&id];
            let all = chunk.items();
            let start = match from {
                From::Index(index) => all.partition_point(|i| i.index < index),
                From::Offset(offset) => all.partition_point(|i| i.end_offset() <= offset),
            };
            let mut taken = 0;
            for item in all[start..].iter().take_while(|i| i.index <= upto) {
                if !items.is_empty() && item.bytes.len() > room {
                    break;
                }
                room = room.saturating_sub(item.bytes.len());
                items.push(item.clone());
                taken += 1;
            }
            if taken == 0 {
                break;
            }
            ahead |= chunk.ahead;
            let (whole, next) = (start + taken == all.len(), chunk.last.next());
            self.touch(id, whole);
            if !whole {
                break;
            }
            from = From::Index(next);
            let ids = self.by_group.get(&group).into_iter().flatten();
            let mut follows = ids.filter(|id| !self.chunks[*id].items().is_empty() && self.chunks[*id].covers(from));
            at = follows.next().copied();
        }
        self.trim();
        if items.is_empty() { Held::Nothing } else { Held::Items { items, ahead } }
    }

    /// A chunk has been used, perhaps to its end.
    fn touch(&mut self, id: u64, whole: bool) {
        self.clock += 1;
        let (clock, now) = (self.clock, self.now);
        let chunk = self.chunks.get_mut(&id).expect("a chunk that is there");
        let used = std::mem::replace(&mut chunk.used, clock);
        chunk.used_at = now;
        match std::mem::replace(&mut chunk.state, State::Flying) {
            State::Flying => panic!("a chunk is used when it is there"),
            State::Fresh(items) if !whole => {
                chunk.state = State::Fresh(items);
                self.fresh.remove(&used);
                self.fresh.insert(clock, id);
            }
            State::Fresh(items) => {
                chunk.state = State::Spent(items);
                let memory = chunk.memory;
                self.fresh.remove(&used);
                self.fresh_bytes -= memory;
                self.spend(id, clock, memory);
            }
            State::Spent(items) => {
                chunk.state = State::Spent(items);
                self.spent.remove(&used);
                self.spent.insert(clock, id);
            }
        }
    }

    fn spend(&mut self, id: u64, clock: u64, memory: usize) {
        self.spent_bytes += memory;
        self.spent.insert(clock, id);
    }

    /// Lets spent chunks go until the rest fits. Not while one is being looked at.
    pub(crate) fn trim(&mut self) {
        while self.spent_bytes > SPENT_BYTES.min(self.limit) {
            let (_, &oldest) = self.spent.first_key_value().expect("spent bytes are of spent chunks");
            self.remove(oldest);
        }
    }

    /// Lets the chunk go that is missed least; false if there is none. For reads that find no memory.
    pub(crate) fn give_way(&mut self) -> bool {
        let oldest = self.spent.first_key_value().or_else(|| self.fresh.first_key_value());
        let Some((_, &id)) = oldest else { return false };
        self.remove(id);
        true
    }

    fn remove(&mut self, id: u64) {
        let chunk = self.chunks.remove(&id).expect("a chunk that is there");
        match &chunk.state {
            State::Flying => assert!(chunk.waiting.is_empty(), "somebody waits for it"),
            State::Fresh(_) => {
                self.fresh.remove(&chunk.used);
                self.fresh_bytes -= chunk.memory;
                self.counts.dropped += u64::from(chunk.ahead);
            }
            State::Spent(_) => {
                self.spent.remove(&chunk.used);
                self.spent_bytes -= chunk.memory;
            }
        }
        self.unlist(id, chunk.group);
    }

    fn unlist(&mut self, id: u64, group: GroupId) {
        if let Some(ids) = self.by_group.get_mut(&group) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_group.remove(&group);
            }
        }
    }

    /// True if a chunk of about this size may be read ahead.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.fresh_bytes + bytes <= self.limit
    }

    /// A flight has started. `reader` waits for it; `None`: it is read ahead.
    pub(crate) fn started(&mut self, id: u64, group: GroupId, reach: Reach, reader: Option<u64>) {
        let Reach { first, last, start, end, payload, memory } = reach;
        let ahead = reader.is_none();
        if ahead {
            self.fresh_bytes += memory;
        }
        let (waiting, used_at) = (reader.into_iter().collect(), self.now);
        let state = State::Flying;
        let chunk = Chunk { group, first, last, start, end, state, waiting, ahead, payload, memory, used: 0, used_at };
        self.chunks.insert(id, chunk);
        self.by_group.entry(group).or_default().push(id);
    }

    /// A flight has ended, with these entries. Returns who waits for it, and false if the group's log is not what it was when the
    /// flight began: then nobody finds what it has brought.
    pub(crate) fn landed(&mut self, id: u64, items: Vec<Item>) -> (Vec<u64>, bool) {
        let chunk = self.chunks.get_mut(&id).expect("a flight is a chunk until it lands");
        let waiting = std::mem::take(&mut chunk.waiting);
        let (memory, group, ahead) = (chunk.memory, chunk.group, chunk.ahead);
        let listed = self.by_group.get(&group).is_some_and(|ids| ids.contains(&id));
        let last = items.last().map(|item| (item.index, item.end_offset(), items[0].first_offset));
        if ahead {
            self.fresh_bytes -= memory;
        }
        let Some((last, end, start)) = last.filter(|_| listed) else {
            self.chunks.remove(&id);
            self.unlist(id, group);
            return (waiting, listed);
        };
        self.clock += 1;
        let chunk = self.chunks.get_mut(&id).expect("just seen");
        (chunk.last, chunk.start, chunk.end) = (last, chunk.start.min(start), end);
        (chunk.used, chunk.used_at) = (self.clock, self.now);
        if ahead {
            chunk.state = State::Fresh(items);
            self.fresh_bytes += memory;
            self.fresh.insert(self.clock, id);
        } else {
            // What its reader leaves over is nothing to wait for.
            chunk.state = State::Spent(items);
            self.spend(id, self.clock, memory);
        }
        (waiting, true)
    }

    /// Entries from `from` on are not what they were.
    pub(crate) fn truncate(&mut self, group: GroupId, from: Index) {
        let ids = self.by_group.get(&group).cloned().unwrap_or_default();
        for id in ids {
            if self.chunks[&id].last < from {
                continue;
            }
            if matches!(self.chunks[&id].state, State::Flying) {
                // It lands, but nobody finds it.
                self.unlist(id, group);
            } else {
                self.remove(id);
            }
        }
    }

    /// Notes a read of `max_bytes` that was answered with entries up to `last`. What is to be read ahead, if the read
    /// went on where another had ended.
    pub(crate) fn note(&mut self, group: GroupId, from: From, last: &Item, max_bytes: usize) -> Option<Wish> {
        if self.limit == 0 {
            return None;
        }
        let key = match from {
            From::Offset(offset) => Some((group, offset)),
            From::Index(index) => {
                let mut all = self.streams.range((group, Offset(i64::MIN))..=(group, Offset(i64::MAX)));
                all.find(|(_, stream)| stream.next == index).map(|(key, _)| *key)
            }
        };
        let before = key.and_then(|key| self.end_stream(key));
        let chunk = max_bytes.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let window = before.map_or(0, |before| (before.window * 2).clamp(chunk, WINDOW_BYTES_MAX.max(2 * chunk)));
        let next = last.index.next();
        let key = (group, last.end_offset());
        // Two readers at one place are one.
        let other = self.end_stream(key).filter(|other| other.next == next);
        self.clock += 1;
        let stream = Stream { next, window: window.max(other.map_or(0, |other| other.window)), used: self.clock };
        self.streams.insert(key, stream);
        self.streams_by_use.insert(self.clock, key);
        if self.streams.len() > STREAMS_MAX {
            let (_, &oldest) = self.streams_by_use.first_key_value().expect("as many as streams");
            self.end_stream(oldest);
        }
        before.map(|_| Wish { next, at: last.end_offset(), window, chunk })
    }

    fn end_stream(&mut self, key: (GroupId, Offset)) -> Option<Stream> {
        let stream = self.streams.remove(&key)?;
        self.streams_by_use.remove(&stream.used);
        Some(stream)
    }

    /// The first index from the wish's on that no chunk holds or brings, the offset where the last of them ends, and the
    /// bytes that they have up to there.
    pub(crate) fn reach(&self, group: GroupId, wish: &Wish) -> (Index, Offset, usize) {
        let (mut next, mut at, mut bytes, window) = (wish.next, wish.at, 0, wish.window);
        let Some(ids) = self.by_group.get(&group) else { return (next, at, bytes) };
        while bytes < window {
            let mut chunks = ids.iter().map(|id| &self.chunks[id]);
            let Some(chunk) = chunks.find(|chunk| chunk.covers(From::Index(next))) else { break };
            // Of a chunk that is being read only its rest counts.
            let entries = chunk.last.get() - chunk.first.get() + 1;
            let left = chunk.last.get() - next.get() + 1;
            bytes += (chunk.payload as u64 * left / entries) as usize;
            (next, at) = (chunk.last.next(), chunk.end);
        }
        (next, at, bytes)
    }

    /// Drops what nobody came for. True if nothing is left.
    pub(crate) fn turn(&mut self, now: Mono) -> bool {
        self.now = now;
        let before = self.chunks.len();
        while self.deadline().is_some_and(|due| due <= now) {
            let (_, id) = self.oldest().expect("it has a deadline");
            self.remove(id);
        }
        before > 0 && self.chunks.is_empty()
    }

    fn oldest(&self) -> Option<(Mono, u64)> {
        let firsts = [self.fresh.first_key_value(), self.spent.first_key_value()];
        firsts.into_iter().flatten().map(|(_, id)| (self.chunks[id].used_at, *id)).min()
    }

    /// When [`Ahead::turn`] has something to drop.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        self.oldest().map(|(used_at, _)| used_at.plus_ms(IDLE_MS))
    }

    /// Memory of fresh and spent chunks, with those that are being read ahead.
    pub(crate) fn memory(&self) -> usize {
        self.fresh_bytes + self.spent_bytes
    }
}
