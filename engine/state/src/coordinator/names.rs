//! What is found by a group's name, and the times at which something is due.
//!
//! Of thousands of groups those that send heartbeats are seldom in the processor's cache: what a request looks at on its way to its
//! group counts, not what it computes.

use super::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use torc_base::time::Mono;

/// Things by name. They are in the order of the names' hashes, which stand beside each other: a search looks at the name it finds, and
/// at no other. Names with the same hash, which anybody can make, are in their own order, and cost no more than in a map of names.
#[derive(Debug)]
pub(super) struct Named<V>(BTreeMap<Key, V>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    hash: u64,
    name: Text,
}

impl Key {
    /// FNV-1a (Fowler, Noll, Vo).
    fn of(name: &Text) -> Key {
        let byte = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Key { hash: name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, byte), name: name.clone() }
    }
}

impl<V> Named<V> {
    pub(super) fn new() -> Named<V> {
        Named(BTreeMap::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, name: &Text) -> bool {
        self.0.contains_key(&Key::of(name))
    }

    pub(super) fn get(&self, name: &Text) -> Option<&V> {
        self.0.get(&Key::of(name))
    }

    /// What has that name, with the name as it is kept.
    pub(super) fn get_named(&self, name: &Text) -> Option<(&Text, &V)> {
        self.0.get_key_value(&Key::of(name)).map(|(key, value)| (&key.name, value))
    }

    pub(super) fn get_mut(&mut self, name: &Text) -> Option<&mut V> {
        self.0.get_mut(&Key::of(name))
    }

    /// What has that name, made if there is nothing.
    pub(super) fn get_or_default(&mut self, name: &Text) -> &mut V
    where
        V: Default,
    {
        self.0.entry(Key::of(name)).or_default()
    }

    pub(super) fn remove(&mut self, name: &Text) {
        self.0.remove(&Key::of(name));
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Text> {
        self.0.keys().map(|key| &key.name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Text, &V)> {
        self.behind(None)
    }

    /// All behind that name, which need not be there, in an order that stays.
    pub(super) fn behind(&self, name: Option<&Text>) -> impl Iterator<Item = (&Text, &V)> {
        let from = name.map_or(Unbounded, |name| Excluded(Key::of(name)));
        self.0.range((from, Unbounded)).map(|(key, value)| (&key.name, value))
    }
}

/// When to look at which group.
#[derive(Debug, Default)]
pub(super) struct Timers {
    all: BTreeSet<(Mono, Text)>,
    /// The first one's, which is asked for after every request.
    next: Option<Mono>,
}

impl Timers {
    pub(super) fn next(&self) -> Option<Mono> {
        self.next
    }

    /// The first group, if it is due.
    pub(super) fn due(&self, now: Mono) -> Option<Text> {
        self.next.filter(|at| *at <= now)?;
        self.all.first().map(|(_, group)| group.clone())
    }

    /// Sets a group's timer anew, or takes it away.
    pub(super) fn set(&mut self, group: &Text, before: Option<Mono>, at: Option<Mono>) {
        if let Some(before) = before {
            self.all.remove(&(before, group.clone()));
        }
        self.all.extend(at.map(|at| (at, group.clone())));
        self.next = self.all.first().map(|(at, _)| *at);
    }

    /// True if those are all.
    #[cfg(test)]
    pub(super) fn are<'a>(&self, all: impl Iterator<Item = (Mono, &'a Text)>) -> bool {
        let all: BTreeSet<(Mono, Text)> = all.map(|(at, group)| (at, group.clone())).collect();
        all == self.all && self.next == all.first().map(|(at, _)| *at)
    }
}
