//! Extents of sealed segments, loaded from their footers on demand.

use crate::index::{EXTENT_BYTES, Extent};
use crate::segment::check_footer;
use std::collections::BTreeMap;
use torc_base::buf::Buf;
use torc_base::ids::{GroupId, SegmentId};

/// Memory for footers.
pub(crate) const FOOTERS_BYTES: usize = 24 << 20;

/// A footer as it lies on disk, checked. Extents are decoded when they are looked at: a segment of small entries has hundreds of thousands, of
/// which a reader wants some.
#[derive(Debug)]
pub(crate) struct Footer {
    bytes: Buf,
    extents: usize,
    /// Where the segment's batches end.
    end: u32,
}

impl Footer {
    /// `bytes` as for [`check_footer`]; `None` if they are not an intact footer of this segment.
    pub(crate) fn new(segment: SegmentId, salt: u64, bytes: Buf) -> Option<Footer> {
        let trailer = check_footer(segment, salt, &bytes)?;
        let footer = Footer { bytes, extents: trailer.extents as usize, end: trailer.end };
        let all = footer.lying(0, footer.extents);
        let mut before = None;
        for at in 0..footer.extents {
            let extent = all.decode(at)?;
            // By group, each group's rising.
            if before.is_some_and(|before| before >= (extent.group, extent.first_index)) {
                return None;
            }
            before = Some((extent.group, extent.last_index()));
        }
        Some(footer)
    }

    fn of(&self, group: GroupId) -> Extents<'_> {
        let all = self.lying(0, self.extents);
        let first = all.partition_point(|extent| extent.group < group);
        self.lying(first, all.partition_point(|extent| extent.group <= group))
    }

    /// Those from number `first` up to `upto`.
    fn lying(&self, first: usize, upto: usize) -> Extents<'_> {
        Extents::Lying { bytes: &self.bytes[first * EXTENT_BYTES..upto * EXTENT_BYTES], end: self.end }
    }
}

/// A group's extents in one segment, rising.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extents<'a> {
    Decoded(&'a [Extent]),
    /// As they lie in a footer, all of them sound.
    Lying {
        bytes: &'a [u8],
        end: u32,
    },
}

impl<'a> Extents<'a> {
    fn len(&self) -> usize {
        match self {
            Extents::Decoded(extents) => extents.len(),
            Extents::Lying { bytes, .. } => bytes.len() / EXTENT_BYTES,
        }
    }

    fn decode(&self, at: usize) -> Option<Extent> {
        match self {
            Extents::Decoded(extents) => extents.get(at).copied(),
            Extents::Lying { bytes, end } => Extent::decode(bytes.get(at * EXTENT_BYTES..)?, *end),
        }
    }

    fn at(&self, at: usize) -> Extent {
        self.decode(at).expect("extents were checked when they were loaded")
    }

    /// How many extents, from the first one on, `before` holds for.
    pub(crate) fn partition_point(&self, before: impl Fn(&Extent) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(&self.at(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Those from number `first` on.
    pub(crate) fn from(self, first: usize) -> impl Iterator<Item = Extent> + use<'a> {
        (first..self.len()).map(move |at| self.at(at))
    }
}

/// The most recently used footers.
#[derive(Debug, Default)]
pub(crate) struct Footers {
    loaded: BTreeMap<SegmentId, (Footer, u64)>,
    bytes: usize,
    clock: u64,
}

impl Footers {
    /// True if the segment's footer is loaded. It is wanted soon.
    pub(crate) fn has(&mut self, segment: SegmentId) -> bool {
        self.get(segment).is_some()
    }

    /// A group's extents in a segment whose footer is loaded.
    pub(crate) fn of(&mut self, segment: SegmentId, group: GroupId) -> Option<Extents<'_>> {
        self.get(segment).map(|footer| footer.of(group))
    }

    fn get(&mut self, segment: SegmentId) -> Option<&Footer> {
        self.clock += 1;
        let (footer, used) = self.loaded.get_mut(&segment)?;
        *used = self.clock;
        Some(footer)
    }

    /// Adds one; the longest unused go when there is too much. The new one stays, however large.
    pub(crate) fn insert(&mut self, segment: SegmentId, footer: Footer) {
        self.remove(segment);
        let bytes = footer.bytes.block_bytes();
        while self.bytes + bytes > FOOTERS_BYTES {
            let Some(oldest) = self.loaded.iter().min_by_key(|(_, (_, used))| *used).map(|(&id, _)| id) else { break };
            self.remove(oldest);
        }
        self.clock += 1;
        self.bytes += bytes;
        self.loaded.insert(segment, (footer, self.clock));
    }

    pub(crate) fn remove(&mut self, segment: SegmentId) {
        if let Some((footer, _)) = self.loaded.remove(&segment) {
            self.bytes -= footer.bytes.block_bytes();
        }
    }
}

#[cfg(test)]
#[path = "footers_tests.rs"]
mod tests;
