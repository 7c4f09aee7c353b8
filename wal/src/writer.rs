//! From entries to batches in flight.
//!
//! Written: the batch is in a disk operation. Durable: it and all before it are on stable storage. Batches complete in
//! any order; only the durable mark is spoken of outside.

use crate::batch::{DESCRIPTOR_BYTES, Descriptor, HEADER_BYTES, Header, table_end};
use crate::entry::Entry;
use crate::tail::TailBatch;
use std::collections::VecDeque;
use torc_base::buf::{BufMut, Pages};
use torc_base::crc::crc32c;
use torc_base::ids::{BatchSeq, GroupId, Index};
use torc_base::limits::{BATCH_ENTRIES_SOFT, BATCH_RUNS_MAX, PAGE};

/// While so many entries or bytes are in flight, what comes waits, up to a full batch, and becomes one flush.
const PIPELINED_ENTRIES: usize = 8;
const PIPELINED_BYTES: usize = 64 << 10;

/// An entry that waits, and the page run it is gathered from.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) entry: Entry,
    run: Option<u16>,
    /// A later entry has its index or a smaller one: written, but not found by readers.
    replaced: bool,
}

/// A batch that still takes entries, or waits for its turn to be written.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    pub(crate) seq: BatchSeq,
    pub(crate) entries: Vec<Waiting>,
    /// Payloads that will be copied.
    inline: usize,
    runs: Vec<Pages>,
    run_bytes: usize,
    closed: bool,
}

impl OpenBatch {
    fn new(seq: BatchSeq, entries: Vec<Waiting>) -> OpenBatch {
        OpenBatch { seq, entries, inline: 0, runs: Vec::new(), run_bytes: 0, closed: false }
    }

    /// Bytes up to the gathered pages.
    pub(crate) fn block_bytes(&self) -> usize {
        (table_end(self.entries.len()) + self.inline).next_multiple_of(PAGE)
    }

    /// Bytes on disk.
    pub(crate) fn total_bytes(&self) -> usize {
        self.block_bytes() + self.run_bytes
    }

    /// True if `entry` may come in without breaking a bound. An empty batch takes any entry.
    fn has_room(&self, entry: &Entry, soft: usize) -> bool {
        let bytes = self.total_bytes() + DESCRIPTOR_BYTES + entry.bytes.len() + 2 * PAGE;
        let fits = bytes <= soft && self.entries.len() < BATCH_ENTRIES_SOFT && self.runs.len() + 2 < BATCH_RUNS_MAX;
        !self.closed && (fits || self.entries.is_empty())
    }

    fn push(&mut self, entry: Entry) {
        let run = entry.gather.then(|| self.gather(entry.bytes.pages()));
        if run.is_none() {
            self.inline += entry.bytes.len();
        }
        self.entries.push(Waiting { entry, run, replaced: false });
    }

    fn gather(&mut self, pages: Pages) -> u16 {
        let joined = match self.runs.last_mut() {
            Some(last) => {
                let before = last.len();
                let joined = last.merge(&pages);
                self.run_bytes += last.len() - before;
                joined
            }
            None => false,
        };
        if !joined {
            self.run_bytes += pages.len();
            self.runs.push(pages);
        }
        (self.runs.len() - 1) as u16
    }
}

/// A batch that the disk has not confirmed.
#[derive(Debug)]
struct InFlight {
    seq: BatchSeq,
    done: bool,
    /// The durable mark in its header.
    vouches: BatchSeq,
    /// Entries, and bytes on disk.
    size: (usize, usize),
}

/// What a batch header needs to know of its surroundings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) segment: crate::segment::Header,
    pub(crate) position: u32,
    pub(crate) life: u64,
}

/// Marks of the log, and what waits to be written.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: VecDeque<OpenBatch>,
    queued_bytes: usize,
    in_flight: VecDeque<InFlight>,
    /// The number that the next new batch gets.
    next: BatchSeq,
    /// Checksum of the last batch that was cut.
    chain: u32,
    durable: BatchSeq,
    vouched: BatchSeq,
    /// The last batch cut that holds entries, and the durable mark in the last header cut.
    last_filled: BatchSeq,
    vouching: BatchSeq,
    soft: usize,
    /// Emptied vectors, to be filled again.
    spare_entries: Vec<Vec<Waiting>>,
}

/// A batch ready to be written.
pub(crate) struct Cut {
    pub(crate) tail: TailBatch,
    pub(crate) runs: Vec<Pages>,
    pub(crate) payload_bytes: usize,
    pub(crate) gathered_bytes: usize,
    /// Lines of the table whose entries were replaced before they were cut. Rising.
    pub(crate) replaced: Vec<usize>,
}

impl Writer {
    pub(crate) fn new(soft: usize) -> Writer {
        let zero = BatchSeq(0);
        Writer {
            queue: VecDeque::new(),
            queued_bytes: 0,
            in_flight: VecDeque::new(),
            next: BatchSeq(1),
            chain: 0,
            durable: zero,
            vouched: zero,
            last_filled: zero,
            vouching: zero,
            soft,
            spare_entries: Vec::new(),
        }
    }

    /// Goes on behind what recovery found: `next` is the first batch that is not there.
    pub(crate) fn resume(&mut self, next: BatchSeq, chain: u32, vouched: BatchSeq, last_filled: BatchSeq) {
        assert!(self.queue.is_empty() && self.in_flight.is_empty());
        self.next = next;
        self.chain = chain;
        self.durable = BatchSeq(next.get() - 1);
        self.vouched = vouched;
        self.vouching = vouched;
        self.last_filled = last_filled;
    }

    pub(crate) fn append(&mut self, entry: Entry) -> BatchSeq {
        if !self.queue.back().is_some_and(|open| open.has_room(&entry, self.soft)) {
            self.open();
        }
        let open = self.queue.back_mut().expect("just opened");
        let before = open.total_bytes();
        open.push(entry);
        self.queued_bytes += open.total_bytes() - before;
        open.seq
    }

    /// Entries of the group from `from` on that wait are not to be found any more. Rare: looks through all that wait.
    pub(crate) fn replace(&mut self, group: GroupId, from: Index) {
        let waiting = self.queue.iter_mut().flat_map(|open| &mut open.entries);
        for w in waiting.filter(|w| w.entry.group == group && w.entry.index >= from) {
            w.replaced = true;
        }
    }

    fn open(&mut self) {
        self.close();
        let entries = self.spare_entries.pop().unwrap_or_default();
        let open = OpenBatch::new(self.next, entries);
        self.queued_bytes += open.total_bytes();
        self.queue.push_back(open);
        self.next = self.next.next();
    }

    /// The open batch takes no more entries. Returns the last batch number given away.
    pub(crate) fn close(&mut self) -> BatchSeq {
        if let Some(open) = self.queue.back_mut() {
            open.closed = true;
        }
        BatchSeq(self.next.get() - 1)
    }

    /// Queues an empty batch, whose header vouches for the ones before.
    pub(crate) fn mark(&mut self) {
        self.open();
        self.close();
    }

    /// True if the last batches with entries are durable, but no header on disk says so.
    pub(crate) fn needs_mark(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_empty() && self.last_filled > self.vouching
    }

    /// The batch to be written next.
    pub(crate) fn front(&self) -> Option<&OpenBatch> {
        self.queue.front()
    }

    /// Number and chain of the batch that is cut next.
    pub(crate) fn cut_mark(&self) -> (BatchSeq, u32) {
        (self.queue.front().map_or(self.next, |open| open.seq), self.chain)
    }

    /// Takes the front batch, and lays it out at `place` in `block`, which has [`OpenBatch::block_bytes`].
    pub(crate) fn cut(&mut self, place: Place, block: BufMut) -> Cut {
        let mut open = self.queue.pop_front().expect("the caller saw one");
        self.queued_bytes -= open.total_bytes();
        let mut cut = lay_out(&mut open, place, self.durable, self.chain, block);
        let header = cut.tail.header;
        if header.count > 0 {
            self.last_filled = header.seq;
        }
        self.chain = crc_of(&cut.tail.block);
        self.vouching = header.durable;
        cut.runs.append(&mut open.runs);
        let size = (header.count as usize, header.total as usize);
        self.in_flight.push_back(InFlight { seq: header.seq, done: false, vouches: header.durable, size });
        self.spare_entries.push(open.entries);
        cut
    }

    /// A batch is on stable storage. True if the durable mark moved.
    pub(crate) fn written(&mut self, seq: BatchSeq) -> bool {
        let first = self.in_flight.front().expect("a completed batch was in flight").seq;
        self.in_flight[(seq.get() - first.get()) as usize].done = true;
        let before = self.durable;
        while self.in_flight.front().is_some_and(|b| b.done) {
            let batch = self.in_flight.pop_front().expect("just seen");
            assert_eq!(batch.seq, self.durable.next(), "durable is contiguous");
            self.durable = batch.seq;
            self.vouched = batch.vouches;
        }
        self.durable > before
    }

    /// Nothing that waits will ever be written.
    pub(crate) fn abandon(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
    }

    pub(crate) fn durable(&self) -> BatchSeq {
        self.durable
    }

    pub(crate) fn vouched(&self) -> BatchSeq {
        self.vouched
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// True if the front batch had better go beside those in flight than wait for them: it is full, or they are small.
    /// Many small flushes side by side cost more than they hide.
    pub(crate) fn pipelines(&self) -> bool {
        let sizes = || self.in_flight.iter().map(|batch| batch.size);
        let entries: usize = sizes().map(|(entries, _)| entries).sum();
        let bytes: usize = sizes().map(|(_, bytes)| bytes).sum();
        self.in_flight.is_empty() || self.queue.len() > 1 || (entries < PIPELINED_ENTRIES && bytes < PIPELINED_BYTES)
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Entries that have no place on disk yet, oldest first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.queue.iter().flat_map(|open| &open.entries).filter(|w| !w.replaced).map(|w| &w.entry)
    }
}

fn crc_of(block: &[u8]) -> u32 {
    u32::from_le_bytes(block[8..12].try_into().expect("four bytes"))
}

/// Writes header, descriptors and copied payloads into `block`. Entries of one group come to lie together, in the order
/// in which they were appended.
fn lay_out(open: &mut OpenBatch, place: Place, durable: BatchSeq, chain: u32, mut block: BufMut) -> Cut {
    open.entries.sort_by_key(|w| w.entry.group);
    let (count, block_bytes, total) = (open.entries.len(), open.block_bytes(), open.total_bytes());
    assert_eq!(block.len(), block_bytes);
    let run_starts: Vec<usize> = open
        .runs
        .iter()
        .scan(block_bytes, |at, run| {
            *at += run.len();
            Some(*at - run.len())
        })
        .collect();
    let mut gathered = Vec::new();
    let (mut payload_bytes, mut gathered_bytes, mut memory) = (0, 0, block_bytes);
    let mut inline_at = table_end(count);
    let mut last_run = None;
    let mut replaced_lines = Vec::new();
    for (number, Waiting { entry, run, replaced }) in open.entries.drain(..).enumerate() {
        if replaced {
            replaced_lines.push(number);
        }
        let length = entry.bytes.len();
        let position = match run {
            Some(run) => {
                let inside = open.runs[usize::from(run)].position_of(&entry.bytes);
                run_starts[usize::from(run)] + inside.expect("the run was made of these pages")
            }
            None => inline_at,
        };
        describe(&entry, position).encode(&mut block[table_end(number)..]);
        payload_bytes += length;
        if run.is_some() {
            if run != last_run {
                memory += entry.bytes.block_bytes();
                last_run = run;
            }
            gathered_bytes += length;
            gathered.push((position as u32, entry.bytes));
        } else {
            block[inline_at..inline_at + length].copy_from_slice(&entry.bytes);
            inline_at += length;
        }
    }
    block[inline_at..].fill(0);
    gathered.sort_by_key(|(position, _)| *position);
    let header = Header {
        segment: place.segment.segment,
        salt: place.segment.salt,
        life: place.life,
        seq: open.seq,
        durable,
        chain,
        position: place.position,
        count: count as u32,
        total: total as u32,
        block: block_bytes as u32,
        table_crc: crc32c(&block[HEADER_BYTES..table_end(count)]),
    };
    header.encode(&mut block);
    let block = block.freeze();
    let runs = vec![block.pages()];
    Cut {
        tail: TailBatch { header, block, gathered, memory, is_read: true },
        runs,
        payload_bytes,
        gathered_bytes,
        replaced: replaced_lines,
    }
}

/// The entry's line in the table. The prefix is short: its checksum is the only pass over payload bytes here.
fn describe(entry: &Entry, position: usize) -> Descriptor {
    Descriptor {
        group: entry.group,
        term: entry.term,
        index: entry.index,
        first_offset: entry.first_offset,
        max_timestamp: entry.max_timestamp,
        records: entry.records,
        position: position as u32,
        length: entry.bytes.len() as u32,
        prefix_crc: crc32c(&entry.bytes[..usize::from(entry.prefix_len)]),
        body_crc: entry.body_crc,
        kind: entry.kind.0,
        prefix_len: entry.prefix_len,
    }
}
