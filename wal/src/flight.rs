//! One trip to the disk for extents of a group: which pages, into what memory, and the checks before anything gets out.

use crate::batch::{self, Descriptor};
use crate::entry::Item;
use crate::error::{Corruption, WalError};
use crate::index::Extent;
use crate::search::Part;
use crate::segment::Header;
use crate::segments::Segments;
use crate::tables::{Table, Tables};
use crate::tags::Job;
use crate::tail::item;
use std::sync::Arc;
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::{GroupId, Index, SegmentId};
use torc_base::io::{DiskError, DiskKind, DiskOk, DiskOp};
use torc_base::limits::PAGE;

/// Wanted ranges nearer to each other than this are read as one: about what an operation more costs.
const JOIN_BYTES: u64 = 16 << 10;
/// Operations of one flight.
pub(crate) const RANGES_MAX: usize = 256;
/// Bytes of one flight, with everything that is read along, unless one extent alone has more.
pub(crate) const FLIGHT_BYTES_MAX: usize = 12 << 20;
/// Bytes of tables of batches that are shared with other groups, which one flight brings, unless one extent alone needs more: each is
/// checked for an entry or two, all of them in one turn, some 0.5 ms.
const TABLES_BYTES_MAX: usize = 512 << 10;

/// Bytes of one file, wanted or there.
#[derive(Debug)]
struct Range {
    start: u64,
    end: u64,
    bytes: Option<Buf>,
}

/// What is wanted of one segment.
#[derive(Debug)]
struct Piece {
    segment: Header,
    from: Index,
    upto: Index,
    /// With the batch's table, if that is known.
    extents: Vec<(Extent, Option<Arc<Table>>)>,
    ranges: Vec<Range>,
}

impl Piece {
    fn new(part: &Part, segments: &Segments, tables: &mut Tables) -> Piece {
        let segment = segments.get(part.segment).expect("a run's segment exists").header;
        let known = |extent: &Extent| {
            let shared = extent.count < extent.batch_count;
            (*extent, shared.then(|| tables.get(part.segment, extent.batch)).flatten())
        };
        let extents: Vec<_> = part.extents.iter().map(known).collect();
        let ranges = ranges_of(&extents);
        Piece { segment, from: part.from, upto: part.upto, extents, ranges }
    }
}

/// Extents on their way from the disk.
#[derive(Debug)]
pub(crate) struct Flight {
    pieces: Vec<Piece>,
    missing: usize,
    error: Option<WalError>,
    /// Bytes of memory that the flight and what comes of it keep in use.
    pub(crate) memory: usize,
    /// Bytes that are read.
    pub(crate) bytes: usize,
}

/// What a flight would take.
pub(crate) struct Ticket {
    pieces: Vec<Piece>,
    pub(crate) bytes: usize,
    pub(crate) ops: usize,
}

impl Ticket {
    /// As many of the extents as one flight of `most` bytes may take, from the front; at least one.
    pub(crate) fn new(mut parts: Vec<Part>, most: usize, segments: &Segments, tables: &mut Tables) -> Ticket {
        let checked = checked_at_once(&parts, tables);
        keep(&mut parts, checked);
        loop {
            let pieces: Vec<_> = parts.iter().map(|part| Piece::new(part, segments, tables)).collect();
            let ranges = || pieces.iter().flat_map(|piece| &piece.ranges);
            let (ops, bytes) = (ranges().count(), ranges().map(|r| (r.end - r.start) as usize).sum());
            let extents: usize = pieces.iter().map(|piece| piece.extents.len()).sum();
            if (ops <= RANGES_MAX && bytes <= most) || extents == 1 {
                return Ticket { pieces, bytes, ops };
            }
            keep(&mut parts, extents / 2);
        }
    }

    /// The last index that it covers, the offset behind what it covers at most, and bytes of payload.
    pub(crate) fn reach(&self) -> (Index, torc_base::ids::Offset, usize) {
        let piece = self.pieces.last().expect("a flight has a piece");
        let (extent, _) = piece.extents.last().expect("a piece has an extent");
        let extents = self.pieces.iter().flat_map(|piece| &piece.extents);
        let payload = extents.map(|(extent, _)| extent.length as usize).sum();
        (extent.last_index().min(piece.upto), extent.end_offset, payload)
    }

    /// Asks the disk.
    pub(crate) fn start(self, id: u64, pool: &Pool, ops: &mut Vec<DiskOp>) -> Flight {
        let mut memory = pool.take(self.bytes).expect("the pool has no limit");
        let mut part = 0;
        for piece in &self.pieces {
            let file = piece.segment.slot.file();
            for range in &piece.ranges {
                let bytes = memory.split_to((range.end - range.start) as usize);
                let tag = Job::Read { id, part }.tag();
                ops.push(DiskOp { tag, kind: DiskKind::Read { file, at: range.start, bytes } });
                part += 1;
            }
        }
        let Ticket { pieces, bytes, .. } = self;
        Flight { pieces, missing: usize::from(part), error: None, memory: block_bytes(memory), bytes }
    }
}

fn block_bytes(rest: BufMut) -> usize {
    rest.freeze().block_bytes()
}

/// How many extents, from the first one on, need no more tables than one turn checks; at least one.
fn checked_at_once(parts: &[Part], tables: &mut Tables) -> usize {
    let (mut bytes, mut count, mut last) = (0, 0, None);
    for part in parts {
        for extent in &part.extents {
            let batch = (part.segment, extent.batch);
            let shared = extent.count < extent.batch_count;
            if shared && last != Some(batch) && tables.get(part.segment, extent.batch).is_none() {
                bytes += (extent.table_end() - extent.batch) as usize;
            }
            if bytes > TABLES_BYTES_MAX && count > 0 {
                return count;
            }
            (count, last) = (count + 1, Some(batch));
        }
    }
    count
}

/// Keeps the first `count` extents.
pub(crate) fn keep(parts: &mut Vec<Part>, mut count: usize) {
    parts.retain_mut(|part| {
        part.extents.truncate(count);
        count -= part.extents.len();
        !part.extents.is_empty()
    });
}

impl Flight {
    /// A part has come, or failed. True when all have.
    pub(crate) fn arrived(&mut self, part: u16, result: Result<DiskOk, DiskError>) -> bool {
        let mut number = usize::from(part);
        for piece in &mut self.pieces {
            if number >= piece.ranges.len() {
                number -= piece.ranges.len();
                continue;
            }
            match result {
                Ok(DiskOk::Read { bytes }) => piece.ranges[number].bytes = Some(bytes.freeze()),
                Ok(other) => panic!("a read ended with {other:?}"),
                Err(error) => {
                    let file = piece.segment.slot.file_name();
                    self.error = Some(WalError::Disk { doing: "read", file, error });
                }
            }
            self.missing -= 1;
            return self.missing == 0;
        }
        panic!("a flight has no part {part}");
    }

    /// How many it brings.
    pub(crate) fn extents(&self) -> usize {
        self.pieces.iter().map(|piece| piece.extents.len()).sum()
    }

    /// True if it reads from this segment: its file must stay as it is.
    pub(crate) fn touches(&self, segment: SegmentId) -> bool {
        self.pieces.iter().any(|piece| piece.segment.segment == segment)
    }

    /// Checks everything from the batch headers to the bodies. What is in front of the first damage, and the damage;
    /// nothing unchecked gets out.
    pub(crate) fn verify(self, tables: &mut Tables) -> (Vec<Item>, Option<WalError>) {
        let entries = self.pieces.iter().flat_map(|piece| &piece.extents).map(|(e, _)| usize::from(e.count)).sum();
        let mut items = Vec::with_capacity(entries);
        for piece in &self.pieces {
            if let Err(damage) = piece.verify(tables, &mut items) {
                return (items, Some(unread(self.error, damage)));
            }
        }
        (items, None)
    }
}

/// What is missing since the disk did not give it is no damage, as long as the disk may give it the next time.
fn unread(error: Option<WalError>, missing: WalError) -> WalError {
    match (error, missing) {
        (Some(WalError::Disk { error: error @ DiskError::Io(_), .. }), WalError::Corrupt(mut found)) => {
            found.what = format!("a part of the log cannot be read: {error}");
            WalError::Unreadable(found)
        }
        (error, missing) => error.unwrap_or(missing),
    }
}

impl Piece {
    fn verify(&self, tables: &mut Tables, items: &mut Vec<Item>) -> Result<(), WalError> {
        let segment = &self.segment;
        let mut read: Option<(batch::Header, Buf)> = None;
        for (extent, known) in &self.extents {
            let (header, table): (&batch::Header, &[u8]) = match known {
                Some(table) => {
                    check_place(segment, extent, &table.header)?;
                    (&table.header, &table.bytes)
                }
                None => {
                    if read.as_ref().is_none_or(|(h, _)| h.position != extent.batch) {
                        let table = self.find(u64::from(extent.batch), u64::from(extent.table_end()));
                        let table = table.ok_or_else(|| bad_batch(segment, extent, "the file ends inside a batch"))?;
                        let checked = (check_table(segment, extent, &table)?, table);
                        // Others have entries in it, who may be read next.
                        if extent.count < extent.batch_count {
                            tables.insert(checked.0, &checked.1);
                        }
                        read = Some(checked);
                    }
                    let (header, table) = read.as_ref().expect("just set");
                    (header, table)
                }
            };
            for number in extent.numbers(self.from, self.upto) {
                let d = descriptor(segment, extent, header, table, number)?;
                if d.index < self.from || d.index > self.upto {
                    continue;
                }
                let position = u64::from(extent.batch) + u64::from(d.position);
                let bad = |what: &str| corrupt(what, segment, position, Some((d.group, d.index)));
                let payload = self.find(position, position + u64::from(d.length));
                let payload = payload.ok_or_else(|| bad("the file ends inside an entry, or the footer is wrong"))?;
                if !d.matches(&payload) {
                    return Err(bad("an entry's checksum is wrong"));
                }
                items.push(item(&d, payload));
            }
        }
        Ok(())
    }

    fn find(&self, start: u64, end: u64) -> Option<Buf> {
        let behind = self.ranges.partition_point(|r| r.start <= start);
        let range = &self.ranges[behind.checked_sub(1)?];
        let bytes = range.bytes.as_ref()?;
        let (from, to) = ((start - range.start) as usize, (end - range.start) as usize);
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    }
}

/// Checks header and descriptors of the extent's batch, which are all of `table`.
pub(crate) fn check_table(segment: &Header, extent: &Extent, table: &[u8]) -> Result<batch::Header, WalError> {
    let bad = |what: &str| bad_batch(segment, extent, what);
    if extent.is_lost() {
        return Err(bad("the footer is damaged, and no whole batch has what it knew of"));
    }
    let (header, _) = batch::Header::decode(table).ok_or_else(|| bad("a batch header's checksum is wrong"))?;
    check_place(segment, extent, &header)?;
    if !batch::table_matches(&header, table) {
        return Err(bad("the checksum of a batch's table is wrong"));
    }
    Ok(header)
}

fn check_place(segment: &Header, extent: &Extent, header: &batch::Header) -> Result<(), WalError> {
    let belongs = header.segment == segment.segment
        && header.salt == segment.salt
        && header.position == extent.batch
        && header.count == u32::from(extent.batch_count);
    if belongs { Ok(()) } else { Err(bad_batch(segment, extent, "a batch of another place or time stands here")) }
}

/// All of the extent is lost with its batch's table.
fn bad_batch(segment: &Header, extent: &Extent, what: &str) -> WalError {
    let mut error = corrupt(what, segment, u64::from(extent.batch), Some((extent.group, extent.first_index)));
    if let WalError::Corrupt(found) = &mut error {
        found.through = Some(extent.last_index());
    }
    error
}

/// The descriptor of entry `number` of the extent's batch, whose table was checked.
pub(crate) fn descriptor(
    segment: &Header,
    extent: &Extent,
    header: &batch::Header,
    table: &[u8],
    number: usize,
) -> Result<Descriptor, WalError> {
    let expected = extent.first_index.plus(number as u64 - u64::from(extent.descriptor));
    let range = expected..=expected.plus(u64::from(extent.absent));
    let belongs = |d: &Descriptor| d.group == extent.group && range.contains(&d.index);
    let found = Descriptor::decode(header, table, number).filter(belongs);
    found.ok_or_else(|| {
        let entry = Some((extent.group, expected));
        corrupt("the footer and the batch's table differ", segment, u64::from(extent.batch), entry)
    })
}

/// Whole pages that hold the extents and those of their batches' tables that are not known, near ones joined. Rising.
fn ranges_of(extents: &[(Extent, Option<Arc<Table>>)]) -> Vec<Range> {
    let page = PAGE as u64;
    let mut wanted: Vec<(u64, u64)> = Vec::with_capacity(extents.len() * 2);
    for (extent, table) in extents {
        if table.is_none() {
            wanted.push((u64::from(extent.batch), u64::from(extent.table_end())));
        }
        wanted.push((u64::from(extent.payload), u64::from(extent.payload_end())));
    }
    wanted.sort_unstable();
    let mut ranges: Vec<Range> = Vec::new();
    for (start, end) in wanted {
        // An entry may be empty; its page is read all the same.
        let start = start / page * page;
        let end = end.next_multiple_of(page).max(start + page);
        match ranges.last_mut() {
            Some(last) if start <= last.end + JOIN_BYTES => last.end = last.end.max(end),
            _ => ranges.push(Range { start, end, bytes: None }),
        }
    }
    ranges
}

/// A corruption of this segment.
pub(crate) fn corrupt(what: &str, segment: &Header, position: u64, entry: Option<(GroupId, Index)>) -> WalError {
    WalError::Corrupt(Box::new(Corruption {
        what: what.to_string(),
        file: segment.slot.file_name(),
        segment: segment.segment,
        position,
        entry,
        through: None,
    }))
}
