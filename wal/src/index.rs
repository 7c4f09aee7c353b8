//! Where entries lie inside a segment: extents. Derived from the batches, never evidence.

use crate::batch::{self, Descriptor};
use crate::bytes::{Get, Put};
use crate::segment::is_cold;
use std::collections::BTreeMap;
use std::ops::Bound;
use torc_base::ids::{GroupId, Index, Offset};
use torc_base::limits::{BATCH_ENTRIES_MAX, PAGE};

/// Bytes of an extent in a footer.
pub const EXTENT_BYTES: usize = 64;
/// Payloads further apart than this are not one extent: a reader would read too much between them.
const GAP_MAX: u32 = 64 << 10;
/// An extent grows to this length at most, unless one entry alone is longer: a reader from disk reads whole extents.
const SPAN_MAX: u32 = 256 << 10;
/// The same in cold segments, whose readers come from far behind and read on: what one disk read should be.
pub(crate) const COLD_SPAN_MAX: u32 = 1 << 20;

/// Adjacent entries of one group inside one batch: payloads near each other, in rising order. Their indexes have gaps
/// only in cold segments, where compaction has left entries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The log.
    pub group: GroupId,
    /// Index of the first entry.
    pub first_index: Index,
    /// Its first offset.
    pub first_offset: Offset,
    /// The offset behind the last covered one.
    pub end_offset: Offset,
    /// Largest timestamp (never too small), negative: none.
    pub max_timestamp: i64,
    /// Position of the batch in the segment.
    pub batch: u32,
    /// Position of the first payload in the segment.
    pub payload: u32,
    /// Bytes from there to the end of the last payload.
    pub length: u32,
    /// Number of the first entry's descriptor in the batch.
    pub descriptor: u16,
    /// Entries.
    pub count: u16,
    /// Descriptors of the whole batch.
    pub batch_count: u16,
    /// Indexes between the first and the last that have no entry. (0 in segments from before there was compaction, whose
    /// extents end here.)
    pub absent: u32,
}

const _: () = assert!(BATCH_ENTRIES_MAX <= u16::MAX as usize);

impl Extent {
    /// Index of the last entry.
    pub fn last_index(&self) -> Index {
        self.first_index.plus(u64::from(self.count) - 1 + u64::from(self.absent))
    }

    /// Position behind the batch's descriptors, in the segment.
    pub fn table_end(&self) -> u32 {
        self.batch + batch::table_end(usize::from(self.batch_count)) as u32
    }

    /// Position behind the last payload, in the segment.
    pub fn payload_end(&self) -> u32 {
        self.payload + self.length
    }

    /// Descriptors of the entries from `from` to `upto`, both included; of an extent with gaps, all descriptors, of which
    /// only those are wanted that say so.
    pub fn numbers(&self, from: Index, upto: Index) -> std::ops::Range<usize> {
        if self.absent > 0 {
            let first = usize::from(self.descriptor);
            return first..first + usize::from(self.count);
        }
        let start = from.max(self.first_index).get() - self.first_index.get();
        let end = (upto.min(self.last_index()).get() + 1).saturating_sub(self.first_index.get());
        let first = u64::from(self.descriptor);
        (first + start.min(end)) as usize..(first + end) as usize
    }

    /// Entries that should be in the segment, from `first` on with `absent` behind it, and that no batch has any more: one is missing
    /// at `batch`.
    pub(crate) fn lost(
        group: GroupId,
        (first_index, first_offset, end_offset, max_timestamp): (Index, Offset, Offset, i64),
        batch: u32,
        absent: u32,
    ) -> Extent {
        let (descriptor, count, batch_count, length) = (0, 1, 0, 0);
        let payload = batch + batch::table_end(0) as u32;
        Extent {
            group,
            first_index,
            first_offset,
            end_offset,
            max_timestamp,
            batch,
            payload,
            length,
            descriptor,
            count,
            batch_count,
            absent,
        }
    }

    /// True if it has no batch.
    pub(crate) fn is_lost(&self) -> bool {
        self.batch_count == 0
    }

    fn of(at: u32, batch_count: u16, number: usize, d: &Descriptor) -> Extent {
        Extent {
            group: d.group,
            first_index: d.index,
            first_offset: d.first_offset,
            end_offset: d.end_offset(),
            max_timestamp: d.max_timestamp,
            batch: at,
            payload: at + d.position,
            length: d.length,
            descriptor: number as u16,
            count: 1,
            batch_count,
            absent: 0,
        }
    }

    /// Takes the next descriptor of the batch in, if it belongs here.
    fn take(&mut self, number: usize, d: &Descriptor, span_max: u32, gaps: bool) -> bool {
        let gap = d.index.get().checked_sub(self.last_index().next().get());
        let absent = gap.and_then(|gap| u32::try_from(gap).ok()?.checked_add(self.absent));
        let Some(absent) = absent.filter(|absent| gaps || *absent == 0) else { return false };
        let position = self.batch + d.position;
        let fits = d.group == self.group
            && number == usize::from(self.descriptor + self.count)
            && d.first_offset >= self.end_offset
            && position >= self.payload_end()
            && position - self.payload_end() <= GAP_MAX
            && position + d.length - self.payload <= span_max;
        if fits {
            self.absent = absent;
            self.count += 1;
            self.length = position + d.length - self.payload;
            self.end_offset = d.end_offset();
            self.max_timestamp = self.max_timestamp.max(d.max_timestamp);
        }
        fits
    }

    /// Writes the extent.
    pub fn encode(&self, out: &mut [u8]) {
        let mut put = Put::new(&mut out[..EXTENT_BYTES]);
        put.u64(self.group.get());
        put.u64(self.first_index.get());
        put.i64(self.first_offset.get());
        put.i64(self.end_offset.get());
        put.i64(self.max_timestamp);
        put.u32(self.batch);
        put.u32(self.payload);
        put.u32(self.length);
        put.u16(self.descriptor);
        put.u16(self.count);
        put.u16(self.batch_count);
        put.u32(self.absent);
    }

    /// Reads an extent of a segment whose batches end at `end`; `None` if it points elsewhere.
    pub fn decode(bytes: &[u8], end: u32) -> Option<Extent> {
        let mut get = Get::new(bytes.get(..EXTENT_BYTES)?);
        let extent = Extent {
            group: GroupId(get.u64()?),
            first_index: Index(get.u64()?),
            first_offset: Offset(get.i64()?),
            end_offset: Offset(get.i64()?),
            max_timestamp: get.i64()?,
            batch: get.u32()?,
            payload: get.u32()?,
            length: get.u32()?,
            descriptor: get.u16()?,
            count: get.u16()?,
            batch_count: get.u16()?,
            absent: get.u32()?,
        };
        let last = extent.first_index.get().checked_add(u64::from(extent.count) + u64::from(extent.absent));
        let table = u64::from(extent.batch) + batch::table_end(usize::from(extent.batch_count)) as u64;
        let sound = extent.count > 0
            && last.is_some()
            && extent.batch.is_multiple_of(PAGE as u32)
            && extent.batch >= PAGE as u32
            && table <= u64::from(extent.payload)
            && u64::from(extent.payload) + u64::from(extent.length) <= u64::from(end)
            && u32::from(extent.descriptor) + u32::from(extent.count) <= u32::from(extent.batch_count)
            && extent.first_offset <= extent.end_offset;
        sound.then_some(extent)
    }
}

/// Cuts the descriptors of a batch into extents, in the order of the table. Lines that are left out are in no extent,
/// as are markers.
pub fn extents_of(header: &batch::Header, lines: impl Iterator<Item = (usize, Descriptor)>, out: &mut Vec<Extent>) {
    extents_with_gaps(header, lines.map(|(number, d)| (number, d, false)), out);
}

/// The same, each line with whether indexes that have no entry may lie between it and the one before.
pub(crate) fn extents_with_gaps(
    header: &batch::Header,
    lines: impl Iterator<Item = (usize, Descriptor, bool)>,
    out: &mut Vec<Extent>,
) {
    let start = out.len();
    let span_max = if is_cold(header.segment) { COLD_SPAN_MAX } else { SPAN_MAX };
    for (number, d, gaps) in lines.filter(|(_, d, _)| d.index > Index(0)) {
        if out.len() == start || !out.last_mut().expect("not empty").take(number, &d, span_max, gaps) {
            out.push(Extent::of(header.position, header.count as u16, number, &d));
        }
    }
}

/// The extents of one segment. Per group: rising indexes, none twice.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SegmentIndex {
    groups: BTreeMap<GroupId, Vec<Extent>>,
    len: usize,
}

impl SegmentIndex {
    /// Extents.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an extent; what the group has from its first index on is replaced.
    pub fn push(&mut self, extent: Extent) {
        let extents = self.groups.entry(extent.group).or_default();
        let before = extents.len();
        truncate(extents, extent.first_index, extent.first_offset);
        extents.push(extent);
        self.len = self.len + extents.len() - before;
    }

    /// A group's extents.
    pub fn of(&self, group: GroupId) -> &[Extent] {
        self.groups.get(&group).map_or(&[], Vec::as_slice)
    }

    /// Puts a group's extents in the place of those that it has.
    pub(crate) fn set(&mut self, group: GroupId, extents: Vec<Extent>) {
        self.len += extents.len();
        self.len -= self.groups.insert(group, extents).map_or(0, |before| before.len());
    }

    /// The first group with extents behind this one.
    pub(crate) fn behind(&self, group: Option<GroupId>) -> Option<GroupId> {
        let from = group.map_or(Bound::Unbounded, Bound::Excluded);
        self.groups.range((from, Bound::Unbounded)).next().map(|(id, _)| *id)
    }

    /// The groups that have extents.
    pub(crate) fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.groups.keys().copied()
    }

    /// All, by group.
    pub fn iter(&self) -> impl Iterator<Item = &Extent> {
        self.groups.values().flatten()
    }
}

fn truncate(extents: &mut Vec<Extent>, from: Index, end_offset: Offset) {
    while let Some(last) = extents.last_mut() {
        if last.last_index() < from {
            return;
        }
        if last.first_index >= from {
            extents.pop();
            continue;
        }
        // Which of the indexes have entries is not known; the batch's table says it.
        let span = from.get() - last.first_index.get();
        last.count = span.min(u64::from(last.count)) as u16;
        last.absent = (span - u64::from(last.count)) as u32;
        last.end_offset = last.end_offset.min(end_offset).max(last.first_offset);
        return;
    }
}
