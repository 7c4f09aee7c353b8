//! A cold segment that is being written: batches of copied entries, in order of group and index.

use crate::batch::{self, DESCRIPTOR_BYTES, Descriptor, HEADER_BYTES, table_end};
use crate::cleaner_slice::{Copied, Slice, Source, Victim};
use crate::directory::Moved;
use crate::index::{COLD_SPAN_MAX, Extent, SegmentIndex, extents_with_gaps};
use crate::segment::{BATCHES_START, Footing, Header, Trailer, footer_bytes};
use torc_base::buf::{Buf, Pool};
use torc_base::crc::crc32c;
use torc_base::ids::{BatchSeq, GroupId, Index, SegmentId};
use torc_base::io::DiskKind;
use torc_base::limits::{BATCH_ENTRIES_MAX, PAGE};

/// A batch of a cold segment, unless one entry alone is longer.
pub(crate) const COLD_BATCH_BYTES: usize = 1 << 20;
/// A batch is cut shorter to fill the segment, down to this.
const LAST_BATCH_BYTES: usize = 4 * PAGE;
/// Runs that come to lie side by side become one up to this size: many small runs would cost memory and checkpoints,
/// and retention drops whole runs.
const JOINED_RUN_BYTES: u64 = 1 << 20;

/// The run that the last entry belongs to.
#[derive(Clone, Copy, Debug)]
struct Chain {
    group: GroupId,
    victim: usize,
    run: Index,
    /// The last index that is copied with it, whether or not it has an entry.
    last: Index,
    /// Bytes of the run as it will be, with what of its present piece is still to come.
    bytes: u64,
}

/// How an entry follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Same run, perhaps behind indexes that have no entry.
    Same,
    /// Another run, which becomes one with that.
    Joins,
    /// The group's next run, which stays one of its own. No extent reaches from one run into another.
    Apart,
    /// Another group, or later in the group.
    New,
}

impl Chain {
    fn link(chain: &mut Option<Chain>, entry: &Copied, source: &Source) -> Link {
        let group = entry.descriptor.group;
        let (victim, run, last) = (source.victim, source.run, source.cover_last);
        let new = Chain { group, victim, run, last, bytes: source.run_bytes };
        let same = |c: &&mut Chain| (c.victim, c.run) == (victim, run) || c.last.next() == source.cover_first;
        let Some(last) = chain.as_mut().filter(|c| c.group == group).filter(same) else {
            *chain = Some(new);
            return Link::New;
        };
        if (last.victim, last.run) == (victim, run) {
            last.last = source.cover_last;
            return Link::Same;
        }
        let bytes = last.bytes + source.run_bytes;
        if bytes > JOINED_RUN_BYTES || source.apart {
            *last = new;
            return Link::Apart;
        }
        *last = Chain { bytes, ..new };
        Link::Joins
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) header: Header,
    life: u64,
    /// Where its batches end.
    end: u32,
    last: BatchSeq,
    crc: u32,
    index: SegmentIndex,
    chain: Option<Chain>,
    /// What it holds, in the order of writing.
    pub(crate) moved: Vec<Moved>,
    extents: Vec<Extent>,
    /// Its footer, once that is being written.
    footing: Option<Footing>,
}

impl Output {
    /// A file whose header page says what it will be.
    pub(crate) fn new(header: Header, life: u64) -> Output {
        Output {
            header,
            life,
            end: BATCHES_START,
            last: BatchSeq(0),
            crc: 0,
            index: SegmentIndex::default(),
            chain: None,
            moved: Vec::new(),
            extents: Vec::new(),
            footing: None,
        }
    }

    /// True if nothing has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.last == BatchSeq(0)
    }

    /// The next batch: the slice's entries from `from` on. Its position, its bytes, and the first entry that is not in
    /// it; `None` if the segment is full.
    pub(crate) fn batch(
        &mut self,
        slice: &Slice,
        from: usize,
        victims: &[Victim],
        pool: &Pool,
    ) -> Option<(u32, Buf, usize)> {
        let file_bytes = self.header.bytes as usize;
        let left = file_bytes.saturating_sub(self.end as usize + footer_bytes(self.index.len() + 1));
        let limit = COLD_BATCH_BYTES.min(file_bytes / 4).min(left.max(LAST_BATCH_BYTES));
        let (to, payload, extents) = self.pick(slice, from, limit);
        if !self.has_room(to - from, payload, extents) {
            assert!(!self.is_empty(), "an empty segment takes any batch");
            return None;
        }
        let links: Vec<Link> = (from..to).map(|number| self.note(slice, number, victims)).collect();
        let line = |at: usize| {
            let entry = slice.entry(from + at);
            (entry.descriptor, slice.payload(entry), matches!(links[at], Link::Same | Link::Joins))
        };
        let (at, block) = self.write(to - from, payload, line, pool);
        Some((at, block, to))
    }

    /// True if a batch of so many entries with `payload` bytes and at most `extents` extents fits in front of the
    /// footer.
    pub(crate) fn has_room(&self, entries: usize, payload: usize, extents: usize) -> bool {
        let total = (table_end(entries) + payload).next_multiple_of(PAGE);
        self.end as usize + total + footer_bytes(self.index.len() + extents) <= self.header.bytes as usize
    }

    /// Puts a batch of `count` entries with together `payload` bytes at the end: its position and its bytes. Each line
    /// is a descriptor whose position does not count, the payload, and whether indexes without an entry may lie between
    /// it and the line before.
    pub(crate) fn write<'a>(
        &mut self,
        count: usize,
        payload: usize,
        line: impl Fn(usize) -> (Descriptor, &'a [u8], bool),
        pool: &Pool,
    ) -> (u32, Buf) {
        let total = (table_end(count) + payload).next_multiple_of(PAGE);
        let mut block = pool.take(total).expect("the pool has no limit");
        let mut at = table_end(count);
        for number in 0..count {
            let (descriptor, payload, _) = line(number);
            block[at..at + payload.len()].copy_from_slice(payload);
            Descriptor { position: at as u32, ..descriptor }.encode(&mut block[table_end(number)..]);
            at += payload.len();
        }
        block[at..].fill(0);
        let header = batch::Header {
            segment: self.header.segment,
            salt: self.header.salt,
            life: self.life,
            seq: self.last.next(),
            durable: self.last,
            chain: self.crc,
            position: self.end,
            count: count as u32,
            total: total as u32,
            block: total as u32,
            table_crc: crc32c(&block[HEADER_BYTES..table_end(count)]),
        };
        self.crc = header.encode(&mut block);
        self.last = header.seq;
        self.end += header.total;
        let decoded = |n| Descriptor::decode(&header, &block, n).expect("encoded here");
        let lines = (0..count).map(|n| (n, decoded(n), line(n).2));
        self.extents.clear();
        extents_with_gaps(&header, lines, &mut self.extents);
        self.extents.iter().for_each(|extent| self.index.push(*extent));
        (header.position, block.freeze())
    }

    /// Entries of the next batch of about `limit` bytes: the first one behind it, its payload bytes, its extents at
    /// most.
    fn pick(&self, slice: &Slice, from: usize, limit: usize) -> (usize, usize, usize) {
        let (mut to, mut payload, mut extents) = (from, 0, 1);
        let mut chain = self.chain;
        while to < slice.len() && to - from < BATCH_ENTRIES_MAX {
            let entry = slice.entry(to);
            let length = entry.descriptor.length as usize;
            let link = Chain::link(&mut chain, entry, &slice.sources[entry.source]);
            let fits = table_end(to - from) + DESCRIPTOR_BYTES + payload + length <= limit;
            if to > from && (!fits || link == Link::Apart) {
                break;
            }
            extents += usize::from(link == Link::New);
            payload += length;
            to += 1;
        }
        // One more for a gap that no extent can hold.
        (to, payload, extents + payload / COLD_SPAN_MAX as usize + 1)
    }

    /// Remembers what was copied, so that it can be found.
    fn note(&mut self, slice: &Slice, number: usize, victims: &[Victim]) -> Link {
        let entry = slice.entry(number);
        let (d, source) = (&entry.descriptor, &slice.sources[entry.source]);
        let (first_index, last_index) = slice.coverage(number);
        let link = Chain::link(&mut self.chain, entry, source);
        if link == Link::Same
            && let Some(moved) = self.moved.last_mut()
        {
            moved.last_index = last_index;
            moved.end_offset = moved.end_offset.max(d.end_offset());
            moved.max_timestamp = moved.max_timestamp.max(d.max_timestamp);
            moved.bytes += u64::from(d.length);
            moved.entries += 1;
            return link;
        }
        self.moved.push(Moved {
            group: d.group,
            from: victims[source.victim].header.segment,
            first_index,
            last_index,
            first_offset: d.first_offset,
            end_offset: d.end_offset(),
            max_timestamp: d.max_timestamp,
            bytes: u64::from(d.length),
            entries: 1,
            joins: link == Link::Joins,
        });
        link
    }

    /// The write of the next piece of the footer. All else is written and flushed.
    pub(crate) fn write_footer(&mut self, pool: &Pool) -> DiskKind {
        let trailer = Trailer {
            segment: self.header.segment,
            salt: self.header.salt,
            last: self.last,
            chain: self.crc,
            end: self.end,
            extents: 0,
            extents_crc: 0,
        };
        let footing = self.footing.get_or_insert_with(|| Footing::new(&self.index, trailer));
        footing.next(&self.index, &self.header, pool)
    }

    /// The footer's bytes, if all of it was handed to the disk.
    pub(crate) fn footer(&self) -> Option<u32> {
        self.footing.as_ref().filter(|footing| footing.is_whole()).map(Footing::bytes)
    }

    /// The segment.
    pub(crate) fn segment(&self) -> SegmentId {
        self.header.segment
    }
}
