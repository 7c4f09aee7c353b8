//! The segments that hold entries: which file each is in, where it ends, whether its footer is on disk.

use crate::batch;
use crate::directory::Directory;
use crate::index::{EXTENT_BYTES, Extent, SegmentIndex};
use crate::rebuild::End;
use crate::segment::{Footing, Header, Trailer, footer_bytes, is_cold};
use crate::tags::Job;
use std::collections::BTreeMap;
use torc_base::buf::Pool;
use torc_base::ids::{BatchSeq, SegmentId};
use torc_base::io::DiskOp;
use torc_base::limits::PAGE;

/// Where a segment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Batches go here.
    Active,
    /// Nothing is added any more; its last batches may not be durable yet.
    Sealed,
    /// The footer is being written: what of it was handed to the disk is durable, but for the last piece.
    Footing(Footing),
    /// The footer is durable: this many bytes at the end of the file.
    Footed { bytes: u32 },
}

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: Header,
    pub(crate) stage: Stage,
    /// Number of its first batch, and the checksum of the batch before: where recovery can start.
    pub(crate) first: BatchSeq,
    pub(crate) first_chain: u32,
    /// Where the batches end.
    pub(crate) end: u32,
    /// Its last batch and that one's checksum.
    pub(crate) last: BatchSeq,
    pub(crate) chain: u32,
    /// Extents; `None` once they can be loaded from the footer.
    pub(crate) index: Option<SegmentIndex>,
    /// Payload bytes that were put into it, or that were alive when the log was opened: what has died since is what is
    /// missing from them.
    pub(crate) full: u64,
    /// Nothing more goes into it, whatever room it has.
    pub(crate) closed: bool,
}

/// A segment whose footer of `bytes` bytes is durable and whose extents are read from there: from before recovery, or
/// cold.
pub(crate) fn footed(header: Header, bytes: u32, full: u64) -> Segment {
    Segment {
        header,
        stage: Stage::Footed { bytes },
        first: BatchSeq(0),
        first_chain: 0,
        end: crate::segment::BATCHES_START,
        last: BatchSeq(0),
        chain: 0,
        index: None,
        full,
        closed: false,
    }
}

impl Segment {
    /// True if another batch of `bytes` with at most `extents` extents fits in front of the footer.
    pub(crate) fn has_room(&self, bytes: usize, extents: usize) -> bool {
        let held = self.index.as_ref().map_or(0, SegmentIndex::len);
        !self.closed && self.end as usize + bytes + footer_bytes(held + extents) <= self.header.bytes as usize
    }

    /// What lies before `position` is lost: there comes batch `next`, behind one with the checksum `chain`.
    pub(crate) fn skip_to(&mut self, position: u32, next: BatchSeq, chain: u32) {
        assert!(position >= self.end && next > self.last, "a log goes forward");
        (self.end, self.last, self.chain) = (position, BatchSeq(next.get() - 1), chain);
    }

    /// Another batch has its place at the end.
    pub(crate) fn take(&mut self, header: &batch::Header, crc: u32, extents: &[Extent], directory: &mut Directory) {
        assert_eq!((header.position, header.seq), (self.end, self.last.next()), "batches of a segment are contiguous");
        let index = self.index.as_mut().expect("an active segment keeps its extents");
        for extent in extents {
            index.push(*extent);
            directory.place(self.header.segment, extent, u64::from(extent.length));
            self.full += u64::from(extent.length);
        }
        self.end += header.total;
        self.last = header.seq;
        self.chain = crc;
    }

    /// Where its batches end, if this life of the process has gone through them.
    pub(crate) fn known_end(&self) -> Option<End> {
        let known = !is_cold(self.header.segment) && self.first > BatchSeq(0);
        known.then_some(End { at: self.end, last: self.last, chain: self.chain })
    }

    /// Bytes of a batch on disk, on average.
    pub(crate) fn mean_batch(&self) -> u64 {
        let batches = (self.last.get() + 1).saturating_sub(self.first.get()).max(1);
        u64::from(self.end - crate::segment::BATCHES_START) / batches
    }

    /// Writes the next piece of the footer.
    fn write_footer(&mut self, pool: &Pool, ops: &mut Vec<DiskOp>) {
        let index = self.index.as_ref().expect("kept until the footer is durable");
        let Stage::Footing(footing) = &mut self.stage else { panic!("no footer is under way") };
        let kind = footing.next(index, &self.header, pool);
        ops.push(DiskOp { tag: Job::Footer(self.header.segment).tag(), kind });
    }

    /// The groups with entries here, while the extents are in memory.
    pub(crate) fn groups(&self) -> impl Iterator<Item = torc_base::ids::GroupId> {
        self.index.iter().flat_map(SegmentIndex::groups)
    }

    /// Extents of all its entries.
    pub(crate) fn extents(&self) -> u64 {
        let lines = |bytes: u32| (bytes as usize).saturating_sub(PAGE) / EXTENT_BYTES;
        self.index.as_ref().map_or_else(|| self.footer().map_or(0, lines), SegmentIndex::len) as u64
    }

    /// Bytes of the footer on disk.
    pub(crate) fn footer(&self) -> Option<u32> {
        match self.stage {
            Stage::Footed { bytes } => Some(bytes),
            _ => None,
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    /// The log, in its order; the last one is filled.
    pub(crate) by_id: BTreeMap<SegmentId, Segment>,
    /// Cold segments, all with a durable footer.
    pub(crate) cold: BTreeMap<SegmentId, Segment>,
}

impl Segments {
    /// The segment that is filled. There is one while the log runs.
    pub(crate) fn active(&mut self) -> &mut Segment {
        let segment = self.by_id.values_mut().next_back().expect("a running log has an active segment");
        assert_eq!(segment.stage, Stage::Active);
        segment
    }

    pub(crate) fn get(&self, id: SegmentId) -> Option<&Segment> {
        if is_cold(id) { self.cold.get(&id) } else { self.by_id.get(&id) }
    }

    pub(crate) fn remove(&mut self, id: SegmentId) -> Option<Segment> {
        if is_cold(id) { self.cold.remove(&id) } else { self.by_id.remove(&id) }
    }

    /// Segments that a checkpoint describes by their footers: those of the log before `scan`, and cold ones.
    pub(crate) fn described(&self, scan: SegmentId) -> impl Iterator<Item = (SegmentId, &Segment)> {
        self.by_id.range(..scan).chain(&self.cold).map(|(&id, segment)| (id, segment))
    }

    /// Starts filling a prepared file. `first` is the next batch and `chain` the checksum of the one before.
    pub(crate) fn activate(&mut self, header: Header, first: BatchSeq, chain: u32) {
        if let Some(last) = self.by_id.values_mut().next_back() {
            assert!(last.header.segment < header.segment);
            if last.stage == Stage::Active {
                last.stage = Stage::Sealed;
            }
        }
        let segment = Segment {
            header,
            stage: Stage::Active,
            first,
            first_chain: chain,
            end: crate::segment::BATCHES_START,
            last: BatchSeq(first.get() - 1),
            chain,
            index: Some(SegmentIndex::default()),
            full: 0,
            closed: false,
        };
        self.by_id.insert(header.segment, segment);
    }

    /// The oldest segment whose footer is not durable: recovery after a checkpoint starts there.
    pub(crate) fn scan_start(&self) -> &Segment {
        // Footers of several segments may be on their way and become durable in any order; the chain is read from the
        // oldest one that has none.
        self.by_id.values().find(|s| s.footer().is_none()).expect("the active segment has none")
    }

    /// Starts to write the footers of sealed segments whose batches are all durable.
    pub(crate) fn write_footers(&mut self, durable: BatchSeq, pool: &Pool, ops: &mut Vec<DiskOp>) {
        // Footers are started in order, so whatever lies before one that was started was started too.
        let waiting = |s: &&mut Segment| matches!(s.stage, Stage::Active | Stage::Sealed);
        for segment in self.by_id.values_mut().rev().take_while(waiting) {
            if segment.stage == Stage::Active || segment.last > durable {
                continue;
            }
            let index = segment.index.as_ref().expect("kept until the footer is durable");
            let header = segment.header;
            let trailer = Trailer {
                segment: header.segment,
                salt: header.salt,
                last: segment.last,
                chain: segment.chain,
                end: segment.end,
                extents: 0,
                extents_crc: 0,
            };
            segment.stage = Stage::Footing(Footing::new(index, trailer));
            segment.write_footer(pool, ops);
        }
    }

    /// A piece of a footer is durable. True if that was all of it; else the next one is written.
    pub(crate) fn footer_written(&mut self, id: SegmentId, pool: &Pool, ops: &mut Vec<DiskOp>) -> bool {
        let segment = self.by_id.get_mut(&id).expect("a segment stays while its footer is written");
        let Stage::Footing(footing) = &segment.stage else { panic!("segment {id} has no footer under way") };
        let is_whole = footing.is_whole();
        if is_whole {
            segment.stage = Stage::Footed { bytes: footing.bytes() };
        } else {
            segment.write_footer(pool, ops);
        }
        is_whole
    }

    /// Drops the extents in memory of segments that can be read from their footers and have no batch in the tail.
    pub(crate) fn drop_indexes(&mut self, oldest_in_tail: Option<SegmentId>) {
        for (id, segment) in &mut self.by_id {
            if oldest_in_tail.is_some_and(|oldest| *id >= oldest) {
                return;
            }
            if segment.footer().is_some() {
                segment.index = None;
            }
        }
    }
}
