//! Sets of offsets, as ranges that do not touch.

use std::collections::BTreeMap;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    /// First -> behind the last.
    ranges: BTreeMap<i64, i64>,
}

impl Spans {
    /// Adds `from..to`.
    pub fn add(&mut self, from: i64, to: i64) {
        if from >= to {
            return;
        }
        let (mut first, mut end) = (from, to);
        while let Some((start, stop)) =
            self.ranges.range(..=end).next_back().map(|(a, b)| (*a, *b)).filter(|r| r.1 >= first)
        {
            self.ranges.remove(&start);
            (first, end) = (first.min(start), end.max(stop));
        }
        self.ranges.insert(first, end);
    }

    /// True if all of `from..to` is there.
    pub fn covers(&self, from: i64, to: i64) -> bool {
        self.first_hole(from, to).is_none()
    }

    /// The first of `from..to` that is not there.
    pub fn first_hole(&self, from: i64, to: i64) -> Option<i64> {
        let behind = self.ranges.range(..=from).next_back().map_or(from, |(_, end)| (*end).max(from));
        (behind < to).then_some(behind)
    }
}
