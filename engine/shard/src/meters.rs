//! What each topic takes in and gives out on this shard, for the metrics endpoint: a table of a fixed number of places, one for
//! each topic as long as there are any, and one that the other topics share.
//!
//! The shard writes with plain stores, and waits for nobody: names are guarded by a version, and a reader that meets a change tries
//! again. All shards learn of topics in the same order, so each gives the same topics their places.

use crate::stats::add;
use std::array;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use torc_base::ids::TopicId;
use torc_base::limits::{TOPIC_METRICS_MAX, TOPIC_NAME_MAX};

/// Words that a name takes, behind one for its length.
const NAME_WORDS: usize = TOPIC_NAME_MAX.div_ceil(8);
/// A reader that meets so many changes of one name leaves it out: the next time will do.
const TRIES: usize = 8;

/// The place of a topic's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Meter(u16);

impl Meter {
    /// Of all topics that have no place of their own.
    pub const OTHERS: Meter = Meter(0);

    /// Which place of a table that is.
    pub(crate) fn place(self) -> usize {
        self.0.into()
    }
}

/// What was counted of one topic since it has its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that were appended, and the bytes of their batches.
    pub records_in: u64,
    pub bytes_in: u64,
    /// Records in the batches that were read for consumers, and the bytes of these.
    pub records_out: u64,
    pub bytes_out: u64,
}

#[derive(Debug)]
struct Place {
    /// Odd while the name changes.
    version: AtomicU64,
    /// Bytes of the name; 0: the place is free.
    length: AtomicU64,
    name: [AtomicU64; NAME_WORDS],
    records_in: AtomicU64,
    bytes_in: AtomicU64,
    records_out: AtomicU64,
    bytes_out: AtomicU64,
}

impl Default for Place {
    fn default() -> Place {
        let zero = AtomicU64::default;
        Place {
            version: zero(),
            length: zero(),
            name: array::from_fn(|_| zero()),
            records_in: zero(),
            bytes_in: zero(),
            records_out: zero(),
            bytes_out: zero(),
        }
    }
}

impl Place {
    /// Gives it to a topic, or to nobody if the name is empty, with nothing counted.
    fn rename(&self, name: &str) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.length.store(name.len() as u64, Ordering::Relaxed);
        for (word, bytes) in self.name.iter().zip(name.as_bytes().chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Ordering::Relaxed);
        }
        for counter in [&self.records_in, &self.bytes_in, &self.records_out, &self.bytes_out] {
            counter.store(0, Ordering::Relaxed);
        }
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            records_in: get(&self.records_in),
            bytes_in: get(&self.bytes_in),
            records_out: get(&self.records_out),
            bytes_out: get(&self.bytes_out),
        }
    }

    /// The topic's name and what was counted; `None` if no topic has the place.
    fn read(&self) -> Option<(String, Counts)> {
        for _ in 0..TRIES {
            let version = self.version.load(Ordering::Acquire);
            let length = (self.length.load(Ordering::Relaxed) as usize).min(TOPIC_NAME_MAX);
            let words = self.name.iter().take(length.div_ceil(8));
            let mut bytes: Vec<u8> = words.flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
            let counts = self.counts();
            fence(Ordering::Acquire);
            if version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version {
                bytes.truncate(length);
                let name = String::from_utf8(bytes).expect("names of topics are ASCII");
                return (length > 0).then_some((name, counts));
            }
        }
        None
    }
}

/// The table of one shard. The shard alone writes, anybody may read.
#[derive(Debug)]
pub struct TopicMeters {
    /// The first is [`Meter::OTHERS`].
    places: Box<[Place]>,
}

impl Default for TopicMeters {
    fn default() -> TopicMeters {
        TopicMeters { places: (0..=TOPIC_METRICS_MAX).map(|_| Place::default()).collect() }
    }
}

impl TopicMeters {
    /// A batch was appended.
    pub(crate) fn took(&self, meter: Meter, records: u32, bytes: usize) {
        let place = &self.places[usize::from(meter.0)];
        add(&place.records_in, records.into());
        add(&place.bytes_in, bytes as u64);
    }

    /// Batches were read for a consumer.
    pub(crate) fn gave(&self, meter: Meter, records: u64, bytes: usize) {
        let place = &self.places[usize::from(meter.0)];
        add(&place.records_out, records);
        add(&place.bytes_out, bytes as u64);
    }

    /// The topics that have places of their own, each with the place's number.
    pub(crate) fn names(&self) -> impl Iterator<Item = (usize, String)> {
        let named = |(number, place): (usize, &Place)| place.read().map(|(name, _)| (number, name));
        self.places.iter().enumerate().skip(1).filter_map(named)
    }

    /// What was counted of each topic that has a place, and of all others together.
    pub fn read(&self) -> (Vec<(String, Counts)>, Counts) {
        (self.places[1..].iter().filter_map(Place::read).collect(), self.places[0].counts())
    }
}

/// Who has which place.
#[derive(Debug)]
pub(crate) struct Places {
    of: BTreeMap<TopicId, Meter>,
    free: BTreeSet<Meter>,
}

impl Default for Places {
    fn default() -> Places {
        Places { of: BTreeMap::new(), free: (1..=TOPIC_METRICS_MAX).map(|place| Meter(place as u16)).collect() }
    }
}

impl Places {
    /// The place of a topic: its own from now on, if there is one left.
    pub fn take(&mut self, meters: &TopicMeters, id: TopicId, name: &str) -> Meter {
        if let Some(meter) = self.of.get(&id) {
            return *meter;
        }
        let Some(meter) = self.free.pop_first() else { return Meter::OTHERS };
        meters.places[usize::from(meter.0)].rename(name);
        self.of.insert(id, meter);
        meter
    }

    /// The topic is gone; its place, if it had one of its own, is the next one's.
    pub fn give_back(&mut self, meters: &TopicMeters, id: TopicId) -> Option<Meter> {
        let meter = self.of.remove(&id)?;
        meters.places[meter.place()].rename("");
        self.free.insert(meter);
        Some(meter)
    }
}

#[cfg(test)]
#[path = "meters_tests.rs"]
mod tests;
