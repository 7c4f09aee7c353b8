//! What compaction goes by: the last offset of each key, in a table of bounded size, and when it is time.
//!
//! Keys are known by 128 bits of a keyed hash (SipHash), as Kafka knows them by those of MD5: that two keys of a billion are
//! taken for one is less likely than that the memory forgets one, and nobody can choose such keys who does not know the
//! table's own key.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;
use torc_base::ids::Offset;
use torc_base::limits::COMPACTION_KEY_BYTES;

/// Words of a slot: the hash, and the offset and 1; 0 for an empty slot.
const WORDS: usize = COMPACTION_KEY_BYTES / 8;
/// Slots of one piece of memory.
const CHUNK: usize = 1 << 15;

/// Keys and the last offset where each was seen.
pub struct Keys {
    seed: (u64, u64),
    /// In pieces of [`CHUNK`] slots, the last one shorter.
    chunks: Vec<Vec<u64>>,
    slots: usize,
    len: usize,
}

impl Keys {
    /// For `expected` keys at most, if that fits into `memory` bytes; else for as many as do.
    pub fn new(seed: (u64, u64), expected: u64, memory: usize) -> Keys {
        let most = (memory / COMPACTION_KEY_BYTES).max(2);
        Keys::with_slots(seed, slots_for(expected).min(most))
    }

    /// If it knows no keys yet it has room for so many from now on, whatever it had.
    pub fn make_room(&mut self, keys: usize) {
        if self.is_empty() && self.room() < keys {
            *self = Keys::with_slots(self.seed, slots_for(keys as u64));
        }
    }

    fn with_slots(seed: (u64, u64), slots: usize) -> Keys {
        // Zeroes that the system gives: what is not used takes no memory.
        let chunks = (0..slots).step_by(CHUNK).map(|at| vec![0; CHUNK.min(slots - at) * WORDS]).collect();
        Keys { seed, chunks, slots, len: 0 }
    }

    /// Keys that it knows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if it knows none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The key was seen at `offset`. False if there is no room for another key: then it is not known.
    pub fn note(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash(key);
        let at = self.find(hash);
        let room = self.len < self.room();
        let slot = &mut self.chunks[at / CHUNK][at % CHUNK * WORDS..][..WORDS];
        if slot[2] == 0 {
            if !room {
                return false;
            }
            (slot[0], slot[1]) = hash;
            self.len += 1;
        }
        slot[2] = slot[2].max(offset.0 as u64 + 1);
        true
    }

    /// The last offset where the key was seen.
    pub fn last(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slot(self.find(self.hash(key)));
        (slot[2] > 0).then(|| Offset(slot[2] as i64 - 1))
    }

    /// Keys that it can know: a search ends at an empty slot, so there is always one.
    fn room(&self) -> usize {
        (self.slots - self.slots / 10).min(self.slots - 1)
    }

    fn slot(&self, at: usize) -> &[u64] {
        &self.chunks[at / CHUNK][at % CHUNK * WORDS..][..WORDS]
    }

    /// The hash's slot, or the empty one where it belongs.
    fn find(&self, hash: (u64, u64)) -> usize {
        let mut at = ((u128::from(hash.0) * self.slots as u128) >> 64) as usize;
        loop {
            let slot = self.slot(at);
            if slot[2] == 0 || (slot[0], slot[1]) == hash {
                return at;
            }
            at = if at + 1 == self.slots { 0 } else { at + 1 };
        }
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        let mut hasher = SipHasher24::new_with_keys(self.seed.0, self.seed.1);
        hasher.write(key);
        let hash = hasher.finish128();
        (hash.h1, hash.h2)
    }
}

/// Slots of a table that so many keys do not crowd.
fn slots_for(keys: u64) -> usize {
    usize::try_from(keys.saturating_add(keys / 3)).unwrap_or(usize::MAX).saturating_add(2)
}

/// What a compacted topic says of it, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// `min.compaction.lag.ms`: records younger than this stay.
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`: what is older does not wait for more.
    pub max_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`, in millionths: what is new is more than this part of all.
    pub dirty_ppm: u32,
    /// `delete.retention.ms`: how long tombstones stay once they are all that is left of their keys.
    pub delete_retention_ms: i64,
}

/// How a partition looks to compaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dirt {
    /// Bytes that have been compacted.
    pub clean: u64,
    /// Bytes that have not, and may be.
    pub dirty: u64,
    /// How old the first of them are, in milliseconds.
    pub age_ms: i64,
    /// How long they have been waiting here, in milliseconds.
    pub waited_ms: i64,
    /// Tombstones have had their time.
    pub tombstones_due: bool,
}

/// With less that is new a compaction waits: what it writes takes a file.
const SMALL_BYTES: u64 = 256 << 10;
/// But not longer than this.
const SMALL_MS: i64 = 60_000;

impl Dirt {
    /// The part that is not compacted, in millionths.
    pub fn dirty_ppm(&self) -> u32 {
        let all = self.clean.saturating_add(self.dirty).max(1);
        (u128::from(self.dirty) * 1_000_000 / u128::from(all)) as u32
    }

    /// True if it is time to compact.
    pub fn is_due(&self, settings: &Compaction) -> bool {
        let overdue = self.dirty > 0 && self.age_ms > settings.max_lag_ms;
        let is_small = self.dirty < SMALL_BYTES && self.waited_ms < SMALL_MS;
        let worth = self.dirty > 0 && self.dirty_ppm() > settings.dirty_ppm && !is_small;
        overdue || worth || self.tombstones_due
    }
}

#[cfg(test)]
#[path = "compaction_tests.rs"]
mod tests;
