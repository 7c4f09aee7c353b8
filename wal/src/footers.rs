//! Extents of sealed segments, loaded from their footers on demand.

use crate::error::WalError;
use crate::flight::corrupt;
use crate::index::{EXTENT_BYTES, Extent};
use crate::segment::{Header, Trailer, footer_bytes, footer_piece};
use std::collections::BTreeMap;
use torc_base::buf::{Buf, BufMut};
use torc_base::crc::extend;
use torc_base::ids::{GroupId, Index, SegmentId};
use torc_base::io::{DiskError, DiskKind, DiskOk};
use torc_base::limits::PAGE;

/// Memory for footers.
pub(crate) const FOOTERS_BYTES: usize = 24 << 20;

/// A footer as it lies on disk, checked. Extents are decoded when they are looked at: a segment of small entries has hundreds of thousands, of
/// which a reader wants some.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) bytes: Buf,
    pub(crate) extents: usize,
    /// Where the segment's batches end.
    pub(crate) end: u32,
}

/// A footer on its way from the disk, one piece at a time: first the end of the file, whose trailer says what the rest must be, then the
/// others from the footer's beginning on. What has come is checked piece by piece, so that no turn has to look at all of it.
#[derive(Debug)]
pub(crate) struct Loading {
    pub(crate) segment: Header,
    bytes: usize,
    /// Memory for what has not been asked for: the end, and what lies before it.
    last: Option<BufMut>,
    rest: BufMut,
    asked: usize,
    /// What has come of the footer's beginning, and its end.
    front: Option<Buf>,
    back: Option<(Trailer, Buf)>,
    /// Of the extents so far: their checksum, their number, and the last one.
    crc: u32,
    checked: usize,
    before: Option<(GroupId, Index)>,
}

impl Loading {
    /// The footer that ends the file of this segment. `memory` is as long as that.
    pub(crate) fn new(segment: Header, memory: BufMut) -> Loading {
        let bytes = memory.len();
        let mut last = memory;
        let rest = last.split_to((bytes - 1) / footer_piece(segment.bytes) * footer_piece(segment.bytes));
        Loading {
            segment,
            bytes,
            last: Some(last),
            rest,
            asked: 0,
            front: None,
            back: None,
            crc: 0,
            checked: 0,
            before: None,
        }
    }

    /// Bytes of memory that it holds.
    pub(crate) fn memory(&self) -> usize {
        self.rest.block_bytes()
    }

    /// Bytes of the piece that is under way.
    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// Reads the next piece. There is one until [`Loading::take`] has given the footer, or an error.
    pub(crate) fn next(&mut self) -> DiskKind {
        let (bytes, at) = match self.last.take() {
            Some(last) => (last, self.rest.len()),
            None => {
                let piece = self.rest.len().min(footer_piece(self.segment.bytes));
                assert!(piece > 0, "all of the footer was asked for");
                (self.rest.split_to(piece), self.front.as_ref().map_or(0, |front| front.len()))
            }
        };
        self.asked = bytes.len();
        DiskKind::Read { file: self.segment.slot.file(), at: self.segment.bytes - (self.bytes - at) as u64, bytes }
    }

    /// A piece has come: the footer, if it was the last one.
    ///
    /// # Errors
    /// The disk's, or what has come is not an intact footer of this segment.
    pub(crate) fn take(&mut self, result: Result<DiskOk, DiskError>) -> Result<Option<Footer>, WalError> {
        let piece = match result {
            Ok(DiskOk::Read { bytes }) => bytes.freeze(),
            Ok(other) => panic!("a read ended with {other:?}"),
            Err(error) => {
                return Err(WalError::Disk { doing: "read", file: self.segment.slot.file_name(), error });
            }
        };
        let at = self.segment.bytes - self.bytes as u64;
        self.accept(piece).ok_or_else(|| corrupt("the footer is damaged", &self.segment, at, None))
    }

    fn accept(&mut self, piece: Buf) -> Option<Option<Footer>> {
        if piece.len() != self.asked {
            return None;
        }
        if let Some((trailer, _)) = self.back {
            self.look_at(&piece, trailer.extents, trailer.end)?;
            match &mut self.front {
                Some(front) => assert!(front.join(&piece), "pieces of one block of memory"),
                None => self.front = Some(piece),
            }
        } else {
            let trailer = Trailer::decode(&piece[piece.len() - PAGE..])?;
            let header = &self.segment;
            let belongs = trailer.segment == header.segment && trailer.salt == header.salt;
            if !belongs || footer_bytes(trailer.extents as usize) != self.bytes {
                return None;
            }
            self.back = Some((trailer, piece));
        }
        if !self.rest.is_empty() {
            return Some(None);
        }
        let (trailer, back) = self.back.take().expect("the end has come first");
        self.look_at(&back[..back.len() - PAGE], trailer.extents, trailer.end)?;
        if self.crc != trailer.extents_crc {
            return None;
        }
        let mut bytes = self.front.take();
        match &mut bytes {
            Some(front) => assert!(front.join(&back), "pieces of one block of memory"),
            None => bytes = Some(back),
        }
        Some(bytes.map(|bytes| Footer { bytes, extents: trailer.extents as usize, end: trailer.end }))
    }

    /// Checks the extents that come next, of `count` in all.
    fn look_at(&mut self, bytes: &[u8], count: u32, end: u32) -> Option<()> {
        self.crc = extend(self.crc, bytes);
        for line in bytes.chunks_exact(EXTENT_BYTES).take(count as usize - self.checked) {
            let extent = Extent::decode(line, end)?;
            // By group, each group's rising.
            if self.before.is_some_and(|before| before >= (extent.group, extent.first_index)) {
                return None;
            }
            self.before = Some((extent.group, extent.last_index()));
            self.checked += 1;
        }
        Some(())
    }
}

impl Footer {
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
