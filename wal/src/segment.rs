//! The format of a segment file.
//!
//! ```text
//! header page | batches ... | (free) | extents, to the page | trailer page
//! ```
//!
//! Extents and trailer (the footer) are written when the segment is sealed and all its batches are durable. They are
//! derived: reads use them to find entries, recovery never believes them about what is in the log.

use crate::bytes::{Get, Put};
use crate::index::{EXTENT_BYTES, Extent, SegmentIndex};
use torc_base::buf::Pool;
use torc_base::crc::{crc32c, extend};
use torc_base::ids::{BatchSeq, FileId, SegmentId};
use torc_base::io::DiskKind;
use torc_base::limits::PAGE;

/// Segments from this number on are cold. Log segments never get so far.
const COLD_FROM: u64 = 1 << 40;

/// Number of a cold segment: one that the cleaner wrote, in no chain. Its batches are numbered from 1 and begin a chain
/// of their own; it counts only once its footer is durable and the groups' runs name it.
pub fn cold_number(segment: SegmentId) -> Option<u64> {
    segment.get().checked_sub(COLD_FROM)
}

/// The cold segment of this number.
pub fn cold_segment(number: u64) -> SegmentId {
    SegmentId(COLD_FROM).plus(number)
}

/// True for segments that the cleaner wrote.
pub fn is_cold(segment: SegmentId) -> bool {
    segment.get() >= COLD_FROM
}

const HEADER_MAGIC: [u8; 8] = *b"torcSEG1";
const TRAILER_MAGIC: [u8; 8] = *b"torcFTR1";
const HEADER_BYTES: usize = 48;
const TRAILER_BYTES: usize = 56;
const PREFIX: &str = "wal-";

/// Where the first batch starts.
pub const BATCHES_START: u32 = PAGE as u32;

/// Number of a file: names are kept when a file gets a new segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub u32);

impl Slot {
    /// The log's files are numbered from here on; smaller [`FileId`]s are for others of the shard.
    const FIRST_FILE: u32 = 16;

    /// `wal-000001` and so on.
    pub fn file_name(self) -> String {
        format!("{PREFIX}{:06}", self.0)
    }

    /// The slot of a file's name, if it is one of the log's.
    pub fn of_name(name: &str) -> Option<Slot> {
        let digits = name.strip_prefix(PREFIX)?;
        let number: u32 = digits.parse().ok()?;
        (Slot(number).file_name() == name).then_some(Slot(number))
    }

    /// What the reactor knows the file by.
    pub fn file(self) -> FileId {
        FileId(self.0 + Slot::FIRST_FILE)
    }
}

/// The header page: which segment a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The segment.
    pub segment: SegmentId,
    /// The file that the page was written to.
    pub slot: Slot,
    /// Random; part of every batch.
    pub salt: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Header {
    /// Writes the page.
    pub fn encode(&self, page: &mut [u8]) {
        assert_eq!(page.len(), PAGE);
        page.fill(0);
        let mut put = Put::new(page);
        put.bytes(&HEADER_MAGIC);
        put.u32(0);
        put.u32(self.slot.0);
        put.u64(self.segment.get());
        put.u64(self.salt);
        put.u64(self.bytes);
        let crc = crc32c(&page[12..HEADER_BYTES]);
        page[8..12].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the page; `None` if it is not an intact header.
    pub fn decode(page: &[u8]) -> Option<Header> {
        let page = page.get(..HEADER_BYTES)?;
        let mut get = Get::new(page);
        if get.bytes::<8>()? != HEADER_MAGIC || get.u32()? != crc32c(&page[12..]) {
            return None;
        }
        let slot = Slot(get.u32()?);
        Some(Header { segment: SegmentId(get.u64()?), slot, salt: get.u64()?, bytes: get.u64()? })
    }
}

/// The last page of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The segment.
    pub segment: SegmentId,
    /// Its salt.
    pub salt: u64,
    /// Its last batch. All up to it were durable when this was written.
    pub last: BatchSeq,
    /// Checksum of that batch.
    pub chain: u32,
    /// Where the batches end.
    pub end: u32,
    /// Extents in front of this page.
    pub extents: u32,
    /// CRC32C of the extents.
    pub extents_crc: u32,
}

impl Trailer {
    /// Writes the page.
    pub fn encode(&self, page: &mut [u8]) {
        assert_eq!(page.len(), PAGE);
        page.fill(0);
        let mut put = Put::new(page);
        put.bytes(&TRAILER_MAGIC);
        put.u32(0);
        put.u32(self.chain);
        put.u64(self.segment.get());
        put.u64(self.salt);
        put.u64(self.last.get());
        put.u32(self.end);
        put.u32(self.extents);
        put.u32(self.extents_crc);
        let crc = crc32c(&page[12..TRAILER_BYTES]);
        page[8..12].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the page; `None` if it is not an intact trailer.
    pub fn decode(page: &[u8]) -> Option<Trailer> {
        let page = page.get(..TRAILER_BYTES)?;
        let mut get = Get::new(page);
        if get.bytes::<8>()? != TRAILER_MAGIC || get.u32()? != crc32c(&page[12..]) {
            return None;
        }
        let chain = get.u32()?;
        Some(Trailer {
            segment: SegmentId(get.u64()?),
            salt: get.u64()?,
            last: BatchSeq(get.u64()?),
            chain,
            end: get.u32()?,
            extents: get.u32()?,
            extents_crc: get.u32()?,
        })
    }
}

/// Bytes of a footer with this many extents: whole pages, the trailer included.
pub fn footer_bytes(extents: usize) -> usize {
    (extents * EXTENT_BYTES).next_multiple_of(PAGE) + PAGE
}

/// Bytes of a footer that are one operation at most: of many small entries it has many MiB, and a batch that comes to the disk meanwhile
/// waits for what is under way. Small segments have smaller pieces, so that footers have some there, too.
const FOOTER_PIECE_MAX: usize = 256 << 10;
const _: () = assert!(FOOTER_PIECE_MAX.is_multiple_of(PAGE) && PAGE.is_multiple_of(EXTENT_BYTES));

/// Bytes of one piece of a footer, whole pages; the last or the first one may be shorter.
pub(crate) fn footer_piece(segment_bytes: u64) -> usize {
    (segment_bytes as usize / 32 / PAGE * PAGE).clamp(2 * PAGE, FOOTER_PIECE_MAX)
}

/// A footer on its way to the disk: piece by piece from its beginning on. The last one has the trailer, and is written when all before it
/// are durable: where there is a trailer, all of the footer was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footing {
    /// With the checksum of the extents that were put down so far.
    trailer: Trailer,
    bytes: usize,
    done: usize,
}

impl Footing {
    /// The footer of a segment with these extents, which stay what they are until all of it is written. Of the trailer only what is
    /// said of the batches counts.
    pub(crate) fn new(index: &SegmentIndex, trailer: Trailer) -> Footing {
        let trailer = Trailer { extents: index.len() as u32, extents_crc: 0, ..trailer };
        Footing { trailer, bytes: footer_bytes(index.len()), done: 0 }
    }

    pub(crate) fn bytes(&self) -> u32 {
        self.bytes as u32
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.done == self.bytes
    }

    /// The write of the next piece to the file of this segment.
    pub(crate) fn next(&mut self, index: &SegmentIndex, header: &Header, pool: &Pool) -> DiskKind {
        let at = header.bytes - (self.bytes - self.done) as u64;
        let bytes = footer_piece(header.bytes).min(self.bytes - self.done);
        let mut out = pool.take(bytes).expect("the pool has no limit");
        self.fill(index, &mut out);
        DiskKind::Write { file: header.slot.file(), at, runs: vec![out.freeze().pages()], durable: true }
    }

    /// Puts down what comes next, as much as `out` has room for: whole pages.
    fn fill(&mut self, index: &SegmentIndex, out: &mut [u8]) {
        let left = (self.bytes - PAGE).saturating_sub(self.done);
        let (extents, page) = out.split_at_mut(left.min(out.len()));
        extents.fill(0);
        let from = index.iter().skip(self.done / EXTENT_BYTES);
        for (extent, line) in from.zip(extents.chunks_exact_mut(EXTENT_BYTES)) {
            extent.encode(line);
        }
        self.trailer.extents_crc = extend(self.trailer.extents_crc, extents);
        if !page.is_empty() {
            self.trailer.encode(page);
        }
        self.done += out.len();
    }
}

/// Writes a footer as a whole. `out` is [`footer_bytes`] long and ends where the file ends.
pub fn encode_footer(index: &SegmentIndex, trailer: Trailer, out: &mut [u8]) {
    assert_eq!(out.len(), footer_bytes(index.len()));
    Footing::new(index, trailer).fill(index, out);
}

/// The trailer of a footer; `None` if that is not an intact one of this segment. `bytes` ends where the file ends and
/// starts where the extents do. They lie there by group, each group's in rising order.
pub fn check_footer(segment: SegmentId, salt: u64, bytes: &[u8]) -> Option<Trailer> {
    let split = bytes.len().checked_sub(PAGE)?;
    let (extents, page) = bytes.split_at(split);
    let trailer = Trailer::decode(page)?;
    let fits = trailer.segment == segment
        && trailer.salt == salt
        && footer_bytes(trailer.extents as usize) == bytes.len()
        && crc32c(extents) == trailer.extents_crc;
    fits.then_some(trailer)
}

/// Reads a footer; `None` if it is not an intact one of this segment. `bytes` as for [`check_footer`].
pub fn decode_footer(segment: SegmentId, salt: u64, bytes: &[u8]) -> Option<(SegmentIndex, Trailer)> {
    let trailer = check_footer(segment, salt, bytes)?;
    let mut index = SegmentIndex::default();
    for at in 0..trailer.extents as usize {
        index.push(Extent::decode(&bytes[at * EXTENT_BYTES..], trailer.end)?);
    }
    Some((index, trailer))
}
