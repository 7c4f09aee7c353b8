//! How a znode is found by what stands for its path: linear hashing (Litwin 1980) over buckets that are small sorted arrays. An entry
//! has enough of the hash to be told from others without a look at its znode: what is not there costs one line of the processor's cache,
//! and no znode is touched when a bucket is split. One is split whenever the buckets hold more than [`BUCKET_MEAN`] each: however many
//! znodes there are, no insertion pays for all that were before. The places follow from a secret, so that nobody can choose names that
//! share one.

use super::slab::Slab;
use super::store::Slot;

/// Entries of a bucket, in the mean, at most: some 400 bytes, of which a search sees the line around the place where the entry should be.
const BUCKET_MEAN: usize = 48;
/// A full bucket gets room for so many more.
const BUCKET_STEP: usize = 8;
/// Buckets that are allocated together.
const CHUNK: usize = 256;

/// Part of the hash in the upper half, which decides of the order and of the bucket, the znode's place in the lower one.
type Entry = u64;

#[derive(Clone, Debug)]
pub(super) struct Index {
    secret: (u64, u64),
    buckets: Vec<Vec<Vec<Entry>>>,
    /// Buckets; those from here on are still to be split, up to the power of two below.
    count: u32,
    /// Entries, and the room that there is for some, in all buckets.
    live: usize,
    room: usize,
}

impl Index {
    pub(super) fn new(secret: (u64, u64)) -> Index {
        Index { secret, buckets: vec![fresh_buckets()], count: 1, live: 0, room: 0 }
    }

    /// What an entry has of a hash.
    fn tag(&self, path_hash: u64) -> u32 {
        let product = u128::from(path_hash ^ self.secret.0) * u128::from(self.secret.1 | 1);
        (product as u64 ^ (product >> 64) as u64) as u32
    }

    /// The bucket of a tag, by its lower bits. Where in it follows from the upper ones.
    fn place(&self, tag: u32) -> u32 {
        let next = self.count.next_power_of_two();
        let bucket = tag & (next - 1);
        if bucket < self.count { bucket } else { bucket - next / 2 }
    }

    fn bucket(&self, place: u32) -> &[Entry] {
        &self.buckets[place as usize / CHUNK][place as usize % CHUNK]
    }

    fn bucket_mut(&mut self, place: u32) -> &mut Vec<Entry> {
        &mut self.buckets[place as usize / CHUNK][place as usize % CHUNK]
    }

    /// The first znode of this hash for which `is_it` holds.
    pub(super) fn find(&self, slab: &Slab, path_hash: u64, is_it: impl Fn(&Slot) -> bool) -> Option<u32> {
        let tag = self.tag(path_hash);
        let bucket = self.bucket(self.place(tag));
        let alike = bucket[lower_bound(bucket, entry(tag, 0))..].iter().take_while(|entry| tag_of(**entry) == tag);
        alike.map(|entry| id_of(*entry)).find(|id| {
            let slot = slab.get(*id);
            slot.path_hash == path_hash && is_it(slot)
        })
    }

    /// Adds a znode.
    pub(super) fn insert(&mut self, path_hash: u64, id: u32) {
        if self.live >= self.count as usize * BUCKET_MEAN {
            self.split();
        }
        let new = entry(self.tag(path_hash), id);
        let bucket = self.bucket_mut(self.place(tag_of(new)));
        let before = bucket.capacity();
        if bucket.len() == before {
            bucket.reserve_exact(BUCKET_STEP);
        }
        bucket.insert(lower_bound(bucket, new), new);
        let more = bucket.capacity() - before;
        self.room += more;
        self.live += 1;
    }

    /// Takes a znode out, which must be there.
    pub(super) fn remove(&mut self, path_hash: u64, id: u32) {
        let old = entry(self.tag(path_hash), id);
        let bucket = self.bucket_mut(self.place(tag_of(old)));
        let at = lower_bound(bucket, old);
        assert_eq!(bucket.remove(at), old, "what is taken out of the index stood there");
        let before = bucket.capacity();
        if bucket.is_empty() {
            *bucket = Vec::new();
        }
        let less = before - bucket.capacity();
        self.room -= less;
        self.live -= 1;
    }

    /// Adds a bucket: one more bit of the tag parts the next one's entries into its own and the new one's.
    fn split(&mut self) {
        let from = self.count - (self.count + 1).next_power_of_two() / 2;
        if self.count as usize == self.buckets.len() * CHUNK {
            self.buckets.push(fresh_buckets());
        }
        let to = self.count;
        self.count += 1;
        let both = std::mem::take(self.bucket_mut(from));
        let moves = |entry: &Entry| self.place(tag_of(*entry)) == to;
        let moved = both.iter().filter(|entry| moves(entry)).count();
        let (mut stay, mut go) = (Vec::with_capacity(both.len() - moved), Vec::with_capacity(moved));
        for entry in &both {
            if moves(entry) { &mut go } else { &mut stay }.push(*entry);
        }
        self.room = self.room - both.capacity() + stay.capacity() + go.capacity();
        *self.bucket_mut(from) = stay;
        *self.bucket_mut(to) = go;
    }

    /// How many entries each bucket has. Checks what must hold of all.
    #[cfg(test)]
    pub(super) fn lengths(&self) -> Vec<usize> {
        let all = (0..self.count).map(|place| (place, self.bucket(place)));
        for (place, bucket) in all.clone() {
            assert!(bucket.is_sorted(), "{bucket:?}");
            assert!(bucket.iter().all(|entry| self.place(tag_of(*entry)) == place), "bucket {place}: {bucket:?}");
        }
        let room: usize = self.buckets.iter().flatten().map(Vec::capacity).sum();
        assert_eq!(room, self.room);
        all.map(|(_, bucket)| bucket.len()).collect()
    }

    /// Memory, in bytes.
    pub(super) fn memory(&self) -> usize {
        let heads = self.buckets.len() * (CHUNK * size_of::<Vec<Entry>>() + size_of::<Vec<Vec<Entry>>>());
        heads + self.room * size_of::<Entry>() + self.count as usize * ALLOCATED
    }
}

/// What an allocator adds to a bucket.
const ALLOCATED: usize = 16;

fn fresh_buckets() -> Vec<Vec<Entry>> {
    vec![Vec::new(); CHUNK]
}

fn entry(tag: u32, id: u32) -> Entry {
    u64::from(tag) << 32 | u64::from(id)
}

fn tag_of(entry: Entry) -> u32 {
    (entry >> 32) as u32
}

fn id_of(entry: Entry) -> u32 {
    entry as u32
}

/// Where the first entry stands that is not below `sought`. Tags are spread evenly: it is near to where that has it.
fn lower_bound(bucket: &[Entry], sought: Entry) -> usize {
    let mut at = ((u64::from(tag_of(sought)) * bucket.len() as u64) >> 32) as usize;
    while at > 0 && bucket[at - 1] >= sought {
        at -= 1;
    }
    while at < bucket.len() && bucket[at] < sought {
        at += 1;
    }
    at
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
