//! Extents of sealed segments, loaded from their footers on demand; from their batches where the footer is damaged.

use crate::directory::Directory;
use crate::error::WalError;
use crate::flight::corrupt;
use crate::index::{EXTENT_BYTES, Extent};
use crate::rebuild::{End, Rebuild, Rebuilt};
use crate::segment::{Header, Trailer, footer_bytes, footer_piece};
use std::collections::BTreeMap;
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::crc::extend;
use torc_base::ids::{GroupId, Index, SegmentId};
use torc_base::io::{DiskError, DiskKind, DiskOk};
use torc_base::limits::PAGE;

/// Memory for footers.
pub(crate) const FOOTERS_BYTES: usize = 24 << 20;

/// What a footer says.
#[derive(Debug)]
pub(crate) enum Footer {
    Intact(Intact),
    /// It is damaged.
    Rebuilt(Rebuilt),
}

/// A footer as it lies on disk, checked. Extents are decoded when they are looked at: a segment of small entries has hundreds of thousands, of
/// which a reader wants some.
#[derive(Debug)]
pub(crate) struct Intact {
    pub(crate) bytes: Buf,
    pub(crate) extents: usize,
    /// Where the segment's batches end.
    pub(crate) end: u32,
}

/// A footer on its way from the disk, one piece at a time: first the end of the file, whose trailer says what the rest must be, then the
/// others from the footer's beginning on. What has come is checked piece by piece, so that no turn has to look at all of it. Where something
/// is wrong with it, it is made again from the batches.
#[derive(Debug)]
pub(crate) struct Loading {
    pub(crate) segment: Header,
    /// Where the batches end, if that is known.
    end: Option<End>,
    rebuild: Option<Box<Rebuild>>,
    /// What the disk said instead of giving a part of it.
    unread: Option<DiskError>,
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
    /// The footer that ends the file of this segment, whose batches are known to end at `end`. `memory` is as long as that.
    pub(crate) fn new(segment: Header, end: Option<End>, memory: BufMut) -> Loading {
        let bytes = memory.len();
        let mut last = memory;
        let rest = last.split_to((bytes - 1) / footer_piece(segment.bytes) * footer_piece(segment.bytes));
        Loading {
            segment,
            end,
            rebuild: None,
            unread: None,
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
        self.rebuild.as_ref().map_or(self.asked, |rebuild| rebuild.asked())
    }

    /// Reads the next piece. There is one until [`Loading::take`] has given the footer, or an error.
    pub(crate) fn next(&mut self, pool: &Pool) -> DiskKind {
        if let Some(rebuild) = &mut self.rebuild {
            return rebuild.next(pool);
        }
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
    /// The disk's. (A place of the footer that cannot be read is damage.)
    pub(crate) fn take(&mut self, result: Result<DiskOk, DiskError>) -> Result<Option<Footer>, WalError> {
        let piece = match result {
            Ok(DiskOk::Read { bytes }) => Some(bytes.freeze()),
            Ok(other) => panic!("a read ended with {other:?}"),
            Err(error @ DiskError::Io(_)) if self.rebuild.is_none() => {
                self.unread = Some(error);
                None
            }
            Err(error) => {
                return Err(WalError::Disk { doing: "read", file: self.segment.slot.file_name(), error });
            }
        };
        if let (Some(rebuild), Some(piece)) = (&mut self.rebuild, &piece) {
            rebuild.take(piece);
        } else if let Some(accepted) = piece.and_then(|piece| self.accept(piece)) {
            return Ok(accepted.map(Footer::Intact));
        } else {
            self.begin_anew();
        }
        let over = self.rebuild.take_if(|rebuild| rebuild.is_over());
        Ok(over.map(|rebuild| Footer::Rebuilt(rebuild.finish())))
    }

    /// Why a footer that was made again, and may lack something, is of no use to somebody.
    pub(crate) fn refusal(&self) -> WalError {
        let at = self.segment.bytes - PAGE as u64;
        match corrupt("the footer is damaged, and so may be batches", &self.segment, at, None) {
            WalError::Corrupt(found) if self.unread.is_some() => WalError::Unreadable(found),
            damaged => damaged,
        }
    }

    /// The footer is of no use.
    fn begin_anew(&mut self) {
        (self.front, self.back, self.last) = (None, None, None);
        self.rebuild = Some(Box::new(Rebuild::new(self.segment, self.end, self.bytes)));
    }

    fn accept(&mut self, piece: Buf) -> Option<Option<Intact>> {
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
            if trailer.segment != header.segment || trailer.salt != header.salt {
                return None;
            }
            self.end = Some(End::said_by(&trailer));
            if footer_bytes(trailer.extents as usize) != self.bytes {
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
        Some(bytes.map(|bytes| Intact { bytes, extents: trailer.extents as usize, end: trailer.end }))
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
    /// What a person is to know of it.
    pub(crate) fn remark(&self) -> Option<String> {
        match self {
            Footer::Intact(_) => None,
            Footer::Rebuilt(rebuilt) => Some(rebuilt.remark()),
        }
    }

    /// True if it says all that was ever put down in it.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Footer::Intact(_) => true,
            Footer::Rebuilt(rebuilt) => rebuilt.is_whole(),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Footer::Intact(intact) => intact.bytes.block_bytes(),
            Footer::Rebuilt(rebuilt) => rebuilt.memory(),
        }
    }

    fn of(&mut self, group: GroupId, directory: &Directory) -> Extents<'_> {
        match self {
            Footer::Intact(intact) => intact.of(group),
            Footer::Rebuilt(rebuilt) => Extents::Decoded(rebuilt.of(group, directory)),
        }
    }
}

impl Intact {
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

/// A footer in memory.
#[derive(Debug)]
struct Kept {
    footer: Footer,
    bytes: usize,
    /// When it was last used.
    used: u64,
}

/// The most recently used footers.
#[derive(Debug, Default)]
pub(crate) struct Footers {
    loaded: BTreeMap<SegmentId, Kept>,
    bytes: usize,
    clock: u64,
}

impl Footers {
    /// True if the segment's footer is loaded. It is wanted soon.
    pub(crate) fn has(&mut self, segment: SegmentId) -> bool {
        self.get(segment).is_some()
    }

    /// A group's extents in a segment whose footer is loaded.
    pub(crate) fn of(&mut self, segment: SegmentId, group: GroupId, directory: &Directory) -> Option<Extents<'_>> {
        self.get(segment).map(|footer| footer.of(group, directory))
    }

    fn get(&mut self, segment: SegmentId) -> Option<&mut Footer> {
        self.clock += 1;
        let kept = self.loaded.get_mut(&segment)?;
        kept.used = self.clock;
        Some(&mut kept.footer)
    }

    /// Adds one; the longest unused go when there is too much. The new one stays, however large.
    pub(crate) fn insert(&mut self, segment: SegmentId, footer: Footer) {
        self.remove(segment);
        let bytes = footer.memory();
        while self.bytes + bytes > FOOTERS_BYTES {
            let Some(oldest) = self.loaded.iter().min_by_key(|(_, kept)| kept.used).map(|(&id, _)| id) else { break };
            self.remove(oldest);
        }
        self.clock += 1;
        self.bytes += bytes;
        self.loaded.insert(segment, Kept { footer, bytes, used: self.clock });
    }

    pub(crate) fn remove(&mut self, segment: SegmentId) {
        if let Some(kept) = self.loaded.remove(&segment) {
            self.bytes -= kept.bytes;
        }
    }
}

#[cfg(test)]
#[path = "footers_tests.rs"]
mod tests;
