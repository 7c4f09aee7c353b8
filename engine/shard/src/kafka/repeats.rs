//! Things that a request names more than once.

use std::collections::BTreeSet;

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
