//! A footer that is damaged is made again: it says nothing that the batches of its segment do not say, too.
//!
//! They are gone through in their order, as recovery does: each must follow from the one before, and its table must be what was written. Only
//! tables are read, one piece at a time, so that no turn has to look at all of them. What the disk has is left as it is: the next life of
//! the process does this again, until the cleaner has moved what lives there, or all of it is dead.
//!
//! Batches may be damaged as well. Where one is missing the next is looked for that says that the missing one had been durable (as
//! `recovery/salvage.rs` does), and what the directory knows to be in the segment and no batch has is lost ([`Rebuilt::of`]): reads of that
//! find the damage, all others go on. The directory is also asked where nothing says how far the batches went: the last of
//! them may be missing.

use crate::batch::{self, Descriptor};
use crate::directory::Directory;
use crate::entry::Run;
use crate::index::{Extent, SegmentIndex, extents_of};
use crate::segment::{BATCHES_START, Header, Trailer, footer_piece};
use std::collections::BTreeMap;
use torc_base::buf::Pool;
use torc_base::ids::{BatchSeq, GroupId, Index, Offset};
use torc_base::io::DiskKind;
use torc_base::limits::PAGE;

/// Where the batches of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) at: u32,
    /// The last one and its checksum.
    pub(crate) last: BatchSeq,
    pub(crate) chain: u32,
}

impl End {
    pub(crate) fn said_by(trailer: &Trailer) -> End {
        End { at: trailer.end, last: trailer.last, chain: trailer.chain }
    }
}

/// The way through the batches of a segment.
#[derive(Debug)]
pub(crate) struct Rebuild {
    segment: Header,
    end: Option<End>,
    /// No batch lies behind.
    limit: u64,
    /// The next piece begins here and has so many bytes at least.
    at: u64,
    least: usize,
    asked: usize,
    /// The last batch that was gone through, and its checksum.
    before: Option<(BatchSeq, u32)>,
    /// The next one is not where it should be.
    searching: bool,
    found: Rebuilt,
}

/// What a footer would say, as far as the batches that are left say it.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    segment: Header,
    index: SegmentIndex,
    batches: u64,
    /// Where the last of them begins.
    last: u32,
    /// Where batches are missing, in rising order. One behind the last batch may be where they end.
    holes: Vec<u32>,
    /// All batches that there ever were have been gone through.
    whole: bool,
    /// How many runs the groups had here that were looked at for what is lost.
    looked_at: BTreeMap<GroupId, usize>,
}

impl Rebuild {
    /// `end`: where the batches end, if that is known; `footer`: bytes of the footer behind them.
    pub(crate) fn new(segment: Header, end: Option<End>, footer: usize) -> Rebuild {
        let room = segment.bytes.saturating_sub(footer as u64);
        Rebuild {
            segment,
            end,
            limit: end.map_or(room, |end| u64::from(end.at).min(room)),
            at: u64::from(BATCHES_START),
            least: PAGE,
            asked: 0,
            before: None,
            searching: false,
            found: Rebuilt::of_nothing(segment),
        }
    }

    /// True if there is nothing to be read any more.
    pub(crate) fn is_over(&self) -> bool {
        self.at >= self.limit
    }

    /// Bytes of the piece that is under way.
    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// Reads the next piece.
    pub(crate) fn next(&mut self, pool: &Pool) -> DiskKind {
        assert!(!self.is_over(), "all of it was read");
        let left = (self.segment.bytes - self.at) as usize;
        self.asked = footer_piece(self.segment.bytes).max(self.least).min(left);
        let bytes = pool.take(self.asked).expect("the pool has no limit");
        DiskKind::Read { file: self.segment.slot.file(), at: self.at, bytes }
    }

    /// Goes through the batches that begin in a piece.
    pub(crate) fn take(&mut self, piece: &[u8]) {
        let (start, end) = (self.at, self.at + piece.len() as u64);
        let mut at = start;
        self.least = PAGE;
        while at < end.min(self.limit) {
            let bytes = &piece[(at - start) as usize..];
            let Some((header, crc)) = self.batch_at(at, bytes) else {
                if !std::mem::replace(&mut self.searching, true) {
                    self.found.holes.push(at as u32);
                }
                at += PAGE as u64;
                continue;
            };
            if bytes.len() < header.table_end() && piece.len() == self.asked {
                // All of the table comes with the next piece.
                self.least = header.table_end().next_multiple_of(PAGE);
                self.at = at;
                return;
            }
            self.take_in(&header, crc, bytes);
            at += u64::from(header.total);
        }
        // A file that ends early has nothing more.
        self.at = if piece.len() == self.asked { at } else { self.limit };
    }

    /// The head of the batch at this place, if the log goes on with it.
    fn batch_at(&self, at: u64, bytes: &[u8]) -> Option<(batch::Header, u32)> {
        let (header, crc) = batch::Header::decode(bytes)?;
        let segment = &self.segment;
        let belongs = header.segment == segment.segment && header.salt == segment.salt;
        let is_here = u64::from(header.position) == at && at + u64::from(header.total) <= self.limit;
        let follows = match self.before {
            Some((seq, chain)) if !self.searching => header.seq == seq.next() && header.chain == chain,
            // One of an earlier life of the process, whose torn end lay there, does not say that.
            Some((seq, _)) => header.durable > seq,
            None => !self.searching || header.durable.next() == header.seq,
        };
        (belongs && is_here && follows && header.total > 0).then_some((header, crc))
    }

    fn take_in(&mut self, header: &batch::Header, crc: u32, bytes: &[u8]) {
        self.before = Some((header.seq, crc));
        self.searching = false;
        let line = |n| Some((n, Descriptor::decode(header, bytes, n)?));
        let lines: Option<Vec<_>> = (0..header.count as usize).map(line).collect();
        let Some(lines) = lines.filter(|_| batch::table_matches(header, bytes)) else {
            return self.found.holes.push(header.position);
        };
        self.found.batches += 1;
        self.found.last = header.position;
        let mut extents = Vec::new();
        // Where compaction has left something out is not known: no extent reaches over a gap.
        extents_of(header, lines.into_iter(), &mut extents);
        extents.into_iter().for_each(|extent| self.found.index.push(extent));
    }

    /// All has been read: what was found.
    pub(crate) fn finish(self) -> Rebuilt {
        let mut found = self.found;
        let reached = self.end.is_some_and(|end| {
            u64::from(end.at) == self.at && self.before.unwrap_or((BatchSeq(0), 0)) == (end.last, end.chain)
        });
        let empty = self.end.is_some_and(|end| end.at == BATCHES_START);
        found.whole = found.holes.is_empty() && (reached || empty);
        found
    }
}

impl Rebuilt {
    fn of_nothing(segment: Header) -> Rebuilt {
        let (index, looked_at) = (SegmentIndex::default(), BTreeMap::new());
        Rebuilt { segment, index, batches: 0, last: 0, holes: Vec::new(), whole: false, looked_at }
    }

    /// True if it says all that the footer did.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Bytes of memory, about.
    pub(crate) fn memory(&self) -> usize {
        self.index.len() * size_of::<Extent>()
    }

    /// What a person is to know of it.
    pub(crate) fn remark(&self) -> String {
        let (file, id, batches) = (self.segment.slot.file_name(), self.segment.segment, self.batches);
        let made = format!(
            "{file}: the footer of segment {id} is damaged; what it says was made again from {batches} batches"
        );
        match self.holes.iter().filter(|hole| **hole <= self.last).count() {
            _ if self.whole => format!("{made}, and nothing is missing"),
            0 => made,
            n => format!("{made}. Batches are damaged, too, at {n} places: reads of what was there fail"),
        }
    }

    /// A group's extents. What it lacks that the directory knows to be here lies in extents of which every read finds that they are
    /// damaged.
    pub(crate) fn of(&mut self, group: GroupId, directory: &Directory) -> &[Extent] {
        if !self.whole {
            let id = self.segment.segment;
            let runs = directory.runs(group).iter().filter(|run| run.segment == id);
            let count = runs.clone().count();
            if self.looked_at.insert(group, count).is_none_or(|before| before < count) {
                let runs: Vec<Run> = runs.copied().collect();
                self.note_losses(group, &runs);
            }
        }
        self.index.of(group)
    }

    /// Of one that is whole.
    pub(crate) fn index(&self) -> &SegmentIndex {
        assert!(self.whole, "something may be missing");
        &self.index
    }

    fn note_losses(&mut self, group: GroupId, runs: &[Run]) {
        let known = self.index.of(group);
        let mut lost = Vec::new();
        for run in runs {
            let from = known.partition_point(|extent| extent.last_index() < run.first_index);
            let upto = known.partition_point(|extent| extent.first_index <= run.last_index);
            let inside = known[from..upto.max(from)].iter().filter(|extent| !extent.is_lost());
            let covered: u64 =
                inside.clone().map(|extent| extent.numbers(run.first_index, run.last_index).len() as u64).sum();
            if covered == run.entries {
                continue;
            }
            let (mut next, mut offset, mut batch) = (run.first_index, run.first_offset, 0);
            for extent in inside {
                if extent.first_index > next && self.lacks(run, batch, extent.batch) {
                    let before = Index(extent.first_index.get() - 1);
                    lost.push(self.lost((group, run), (next, before), (offset, extent.first_offset), batch));
                }
                (next, offset, batch) = (next.max(extent.last_index().next()), extent.end_offset, extent.batch);
            }
            if next <= run.last_index && self.lacks(run, batch, u32::MAX) {
                lost.push(self.lost((group, run), (next, run.last_index), (offset, run.end_offset), batch));
            }
        }
        if !lost.is_empty() {
            lost.extend(known.iter().filter(|extent| !extent.is_lost()));
            lost.sort_by_key(|extent| extent.first_index);
            self.index.set(group, lost);
        }
    }

    /// True if entries of a run may be lost that lay between these batches. What compaction has gone through has indexes without entries
    /// wherever it likes; a group's entries lie in order, and are lost where a batch is missing.
    fn lacks(&self, run: &Run, from: u32, to: u32) -> bool {
        let indexes = run.last_index.get() - run.first_index.get() + 1;
        run.entries == indexes || self.holes.iter().any(|hole| (from..to).contains(hole))
    }

    /// An extent that says that entries of a run, from the first to the last, were in a batch behind the one at `behind` which is missing.
    fn lost(
        &self,
        (group, run): (GroupId, &Run),
        (first, last): (Index, Index),
        (from, to): (Offset, Offset),
        behind: u32,
    ) -> Extent {
        let hole = self.holes.iter().find(|hole| **hole > behind).or(self.holes.last());
        let batch = hole.copied().unwrap_or(BATCHES_START);
        let absent = (last.get() - first.get()).min(u64::from(u32::MAX)) as u32;
        let known = (first, from, to.max(from), run.max_timestamp);
        Extent::lost(group, known, batch, absent)
    }
}
