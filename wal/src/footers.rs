//! Extents of sealed segments, loaded from their footers on demand.

use crate::index::SegmentIndex;
use std::collections::BTreeMap;
use torc_base::ids::SegmentId;

/// Extents that are kept; some 100 bytes each.
pub(crate) const EXTENTS_MAX: usize = 256 << 10;

/// The most recently used footers.
#[derive(Debug, Default)]
pub(crate) struct Footers {
    loaded: BTreeMap<SegmentId, (SegmentIndex, u64)>,
    extents: usize,
    clock: u64,
}

impl Footers {
    pub(crate) fn get(&mut self, segment: SegmentId) -> Option<&SegmentIndex> {
        self.clock += 1;
        let (index, used) = self.loaded.get_mut(&segment)?;
        *used = self.clock;
        Some(index)
    }

    /// Adds one; the longest unused go when there is too much. The new one stays, however large.
    pub(crate) fn insert(&mut self, segment: SegmentId, index: SegmentIndex) {
        self.remove(segment);
        while self.extents + index.len() > EXTENTS_MAX {
            let Some(oldest) = self.loaded.iter().min_by_key(|(_, (_, used))| *used).map(|(&id, _)| id) else { break };
            self.remove(oldest);
        }
        self.clock += 1;
        self.extents += index.len();
        self.loaded.insert(segment, (index, self.clock));
    }

    pub(crate) fn remove(&mut self, segment: SegmentId) {
        if let Some((index, _)) = self.loaded.remove(&segment) {
            self.extents -= index.len();
        }
    }
}
