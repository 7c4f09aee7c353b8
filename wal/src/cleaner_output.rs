//! A cold segment that is being written: batches of copied entries, in order of group and index.

use crate::batch::{self, DESCRIPTOR_BYTES, Descriptor, HEADER_BYTES, table_end};
use crate::cleaner_slice::{Copied, Slice, Source, Victim};
use crate::directory::Moved;
use crate::index::{COLD_SPAN_MAX, Extent, SegmentIndex, extents_of};
use crate::segment::{BATCHES_START, Header, Trailer, encode_footer, footer_bytes};
use torc_base::buf::{Buf, Pool};
use torc_base::crc::crc32c;
use torc_base::ids::{BatchSeq, GroupId, Index, SegmentId};
use torc_base::limits::{BATCH_ENTRIES_MAX, PAGE};

/// A batch of a cold segment, unless one entry alone is longer.
const COLD_BATCH_BYTES: usize = 1 << 20;
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
    last: Index,
    /// Bytes of the run as it will be, with what of its present piece is still to come.
    bytes: u64,
}

/// How an entry follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Same run.
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
        let d = &entry.descriptor;
        let new =
            Chain { group: d.group, victim: source.victim, run: source.run, last: d.index, bytes: source.run_bytes };
        let Some(last) = chain.as_mut().filter(|c| c.group == d.group && c.last.next() == d.index) else {
            *chain = Some(new);
            return Link::New;
        };
        last.last = d.index;
        if (last.victim, last.run) == (source.victim, source.run) {
            return Link::Same;
        }
        let bytes = last.bytes + source.run_bytes;
        if bytes > JOINED_RUN_BYTES {
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
        }
    }

    /// True if nothing has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.moved.is_empty()
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
        let total = (table_end(to - from) + payload).next_multiple_of(PAGE);
        if self.end as usize + total + footer_bytes(self.index.len() + extents) > file_bytes {
            assert!(!self.is_empty(), "an empty segment takes any batch");
            return None;
        }
        let mut block = pool.take(total).expect("the pool has no limit");
        let mut at = table_end(to - from);
        for (line, number) in (from..to).enumerate() {
            let entry = slice.entry(number);
            let payload = slice.payload(entry);
            block[at..at + payload.len()].copy_from_slice(payload);
            Descriptor { position: at as u32, ..entry.descriptor }.encode(&mut block[table_end(line)..]);
            self.note(entry, &slice.sources[entry.source], victims);
            at += payload.len();
        }
        block[at..].fill(0);
        let count = to - from;
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
        let lines = (0..count).map(|n| (n, Descriptor::decode(&header, &block, n).expect("encoded here")));
        self.extents.clear();
        extents_of(&header, lines, &mut self.extents);
        self.extents.iter().for_each(|extent| self.index.push(*extent));
        Some((header.position, block.freeze(), to))
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
        (to, payload, extents + payload / COLD_SPAN_MAX as usize)
    }

    /// Remembers what was copied, so that it can be found.
    fn note(&mut self, entry: &Copied, source: &Source, victims: &[Victim]) {
        let d = &entry.descriptor;
        let link = Chain::link(&mut self.chain, entry, source);
        if link == Link::Same
            && let Some(moved) = self.moved.last_mut()
        {
            moved.last_index = d.index;
            moved.end_offset = moved.end_offset.max(d.end_offset());
            moved.max_timestamp = moved.max_timestamp.max(d.max_timestamp);
            moved.bytes += u64::from(d.length);
            return;
        }
        self.moved.push(Moved {
            group: d.group,
            from: victims[source.victim].header.segment,
            first_index: d.index,
            last_index: d.index,
            first_offset: d.first_offset,
            end_offset: d.end_offset(),
            max_timestamp: d.max_timestamp,
            bytes: u64::from(d.length),
            joins: link == Link::Joins,
        });
    }

    /// The footer; it ends where the file ends.
    pub(crate) fn footer(&self, pool: &Pool) -> Buf {
        let trailer = Trailer {
            segment: self.header.segment,
            salt: self.header.salt,
            last: self.last,
            chain: self.crc,
            end: self.end,
            extents: 0,
            extents_crc: 0,
        };
        let mut out = pool.take(footer_bytes(self.index.len())).expect("the pool has no limit");
        encode_footer(&self.index, trailer, &mut out);
        out.freeze()
    }

    /// The segment.
    pub(crate) fn segment(&self) -> SegmentId {
        self.header.segment
    }
}
