//! The newest batches, still in the memory they were written from.

use crate::batch::{Descriptor, Header};
use crate::entry::{Item, Kind};
use crate::index::Extent;
use crate::search::Want;
use std::collections::VecDeque;
use torc_base::buf::Buf;
use torc_base::ids::{BatchSeq, SegmentId};

/// A batch in memory.
#[derive(Debug)]
pub(crate) struct TailBatch {
    pub(crate) header: Header,
    /// Header, descriptors, copied payloads.
    pub(crate) block: Buf,
    /// The gathered payloads, by position in the batch.
    pub(crate) gathered: Vec<(u32, Buf)>,
    /// Memory that it keeps in use.
    pub(crate) memory: usize,
    /// Somebody may read something of it.
    pub(crate) is_read: bool,
}

impl TailBatch {
    fn payload(&self, d: &Descriptor) -> Buf {
        if d.end() <= self.header.block {
            return self.block.slice(d.position as usize..d.end() as usize);
        }
        let at = self.gathered.binary_search_by_key(&d.position, |(position, _)| *position);
        self.gathered[at.expect("every payload behind the block was gathered")].1.clone()
    }
}

/// Batches in the order of the log; those that are not yet durable are always among them.
#[derive(Debug)]
pub(crate) struct Tail {
    batches: VecDeque<TailBatch>,
    memory: usize,
    limit: usize,
}

impl Tail {
    pub(crate) fn new(limit: usize) -> Tail {
        Tail { batches: VecDeque::new(), memory: 0, limit }
    }

    pub(crate) fn push(&mut self, batch: TailBatch) {
        self.memory += batch.memory;
        self.batches.push_back(batch);
    }

    /// Lets the oldest durable batches go until the rest fits the limit, and those that nobody reads.
    pub(crate) fn evict(&mut self, durable: BatchSeq) {
        let goes = |first: &TailBatch, memory| first.header.seq <= durable && (memory > self.limit || !first.is_read);
        while self.batches.front().is_some_and(|first| goes(first, self.memory)) {
            let batch = self.batches.pop_front().expect("just seen");
            self.memory -= batch.memory;
        }
    }

    /// The batch at this place, if it is in memory.
    pub(crate) fn get(&self, segment: SegmentId, position: u32) -> Option<&TailBatch> {
        let key = |b: &TailBatch| (b.header.segment, b.header.position);
        let at = self.batches.partition_point(|b| key(b) < (segment, position));
        self.batches.get(at).filter(|b| key(b) == (segment, position))
    }

    /// Segment of the oldest batch in memory.
    pub(crate) fn oldest_segment(&self) -> Option<SegmentId> {
        self.batches.front().map(|b| b.header.segment)
    }

    pub(crate) fn memory(&self) -> usize {
        self.memory
    }
}

/// What a descriptor says, with its payload.
pub(crate) fn item(d: &Descriptor, bytes: Buf) -> Item {
    Item {
        group: d.group,
        kind: Kind(d.kind),
        term: d.term,
        index: d.index,
        first_offset: d.first_offset,
        records: d.records,
        max_timestamp: d.max_timestamp,
        prefix_len: d.prefix_len,
        body_crc: d.body_crc,
        bytes,
    }
}

impl TailBatch {
    /// The wanted entries of an extent of this batch, until `room` bytes are used up (at least one, if `out` is empty).
    /// False when the room is used up.
    pub(crate) fn items(&self, extent: &Extent, want: &Want, room: &mut usize, out: &mut Vec<Item>) -> bool {
        for number in extent.numbers(want.from, want.upto) {
            let d = Descriptor::decode(&self.header, &self.block, number).expect("encoded here");
            debug_assert_eq!(extent.absent, 0, "nothing is compacted in the memory that it was written from");
            if d.end_offset() <= want.behind {
                continue;
            }
            if !out.is_empty() && d.length as usize > *room {
                return false;
            }
            *room = room.saturating_sub(d.length as usize);
            out.push(item(&d, self.payload(&d)));
        }
        true
    }
}
