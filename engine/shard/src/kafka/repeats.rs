//! Things that a request names more than once.

use std::collections::BTreeSet;
use torc_base::limits::GROUP_REPEATS_MAX;

/// Those of `keys` that come twice or more.
pub fn repeated<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeSet<K> {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for key in keys {
        if let Some(before) = seen.replace(key) {
            twice.insert(before);
        }
    }
    twice
}

/// Groups of one request. Kafka tells of a group as often as it is named, and a name takes little where the answer may take
/// much: here it is told so many times.
pub struct NamedGroups<K> {
    seen: BTreeSet<K>,
    left: usize,
}

impl<K: Ord> NamedGroups<K> {
    pub fn new() -> NamedGroups<K> {
        NamedGroups { seen: BTreeSet::new(), left: GROUP_REPEATS_MAX }
    }

    /// The next one; false if it is refused.
    pub fn admit(&mut self, group: K) -> bool {
        if self.seen.insert(group) {
            return true;
        }
        let admitted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        admitted
    }
}
