//! A part of a pass that fits into memory: which entries of the victims are alive, in order of group and index; where
//! they are read from, in order of position; and the entries themselves, once they have been read and checked.

use crate::batch::{self, Descriptor};
use crate::directory::Directory;
use crate::error::WalError;
use crate::flight::{check_table, corrupt, descriptor};
use crate::footers::{Footer, Intact};
use crate::index::{EXTENT_BYTES, Extent};
use crate::segment::Header;
use std::ops::Range;
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::{GroupId, Index};
use torc_base::limits::PAGE;

/// Payloads of a slice, unless one extent alone is longer. With 16 victims of 64 MiB each file is gone through 32 times,
/// but of each batch only a slice's groups are read: they lie together there.
const SLICE_BYTES: usize = 32 << 20;
/// Its entries, unless one extent alone has more, and its extents.
const SLICE_ENTRIES: usize = 64 << 10;
const SLICE_SOURCES: usize = 32 << 10;
/// One read, unless what is wanted in one piece is longer: a batch that comes to the disk meanwhile waits for no more.
const READ_BYTES: u64 = 256 << 10;
/// Wanted ranges nearer to each other than this are read as one.
const JOIN_BYTES: u64 = 32 << 10;

/// A segment that is being copied from.
#[derive(Debug)]
pub(crate) struct Victim {
    pub(crate) header: Header,
    /// By group, each group's extents in rising order.
    footer: Footer,
    /// The group that was planned last, and its extents: of those of the footer as it lies on disk, or of the group's own.
    entered: Option<GroupId>,
    range: Range<usize>,
}

impl Victim {
    /// `footer` is whole.
    pub(crate) fn new(header: Header, footer: Footer) -> Victim {
        Victim { header, footer, entered: None, range: 0..0 }
    }

    fn extent(&self, number: usize) -> Result<Extent, WalError> {
        let found = match &self.footer {
            Footer::Intact(footer) => Extent::decode(&footer.bytes[number * EXTENT_BYTES..], footer.end),
            Footer::Rebuilt(rebuilt) => self.entered.and_then(|group| rebuilt.index().of(group).get(number)).copied(),
        };
        found.ok_or_else(|| corrupt("an extent of the footer makes no sense", &self.header, self.header.bytes, None))
    }

    /// The next group that has extents here.
    fn next_group(&self) -> Option<GroupId> {
        match &self.footer {
            Footer::Intact(footer) => (self.range.end < footer.extents).then(|| group_of(footer, self.range.end)),
            Footer::Rebuilt(rebuilt) => rebuilt.index().behind(self.entered),
        }
    }

    fn enter(&mut self, group: GroupId) {
        self.entered = Some(group);
        self.range = match &self.footer {
            Footer::Intact(footer) => {
                let start = first(self.range.end..footer.extents, |number| group_of(footer, number) < group);
                start..first(start..footer.extents, |number| group_of(footer, number) <= group)
            }
            Footer::Rebuilt(rebuilt) => 0..rebuilt.index().of(group).len(),
        };
    }
}

fn group_of(footer: &Intact, number: usize) -> GroupId {
    let at = number * EXTENT_BYTES;
    GroupId(u64::from_le_bytes(footer.bytes[at..at + 8].try_into().expect("eight bytes")))
}

/// The first of the numbers in `range` that `is_before` is not true of; it is true of the ones before that.
fn first(range: Range<usize>, mut is_before: impl FnMut(usize) -> bool) -> usize {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// How far the plan has come.
#[derive(Debug, Default)]
pub(crate) struct Planner {
    group: Option<GroupId>,
    /// The group's entries from here on are still to be planned.
    next: Index,
    /// No victim has entries of the group from here on.
    end: Index,
}

/// What a call of [`Slice::plan`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planned {
    /// There is more to plan.
    Going,
    /// The slice is full.
    Full,
    /// All is planned.
    Exhausted,
}

/// Live entries of one extent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) victim: usize,
    /// First index and bytes of the run that they belong to.
    pub(crate) run: Index,
    pub(crate) run_bytes: u64,
    /// The run stays one of its own: what is compacted ends where it begins.
    pub(crate) apart: bool,
    extent: Extent,
    first: Index,
    last: Index,
    /// The part of the run that they stand for: with indexes before and behind them that have no entry.
    pub(crate) cover_first: Index,
    pub(crate) cover_last: Index,
    /// Where their payloads go in the slice's memory, and their number among its entries.
    at: usize,
    number: usize,
}

/// An entry that has been read and checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copied {
    /// As it was in the victim.
    pub(crate) descriptor: Descriptor,
    /// Position of its payload in the slice's memory.
    pub(crate) at: usize,
    pub(crate) source: usize,
}

/// Something to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Want {
    victim: usize,
    start: u64,
    end: u64,
    source: usize,
    is_table: bool,
}

/// One read.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) victim: usize,
    /// Whole pages.
    pub(crate) start: u64,
    pub(crate) end: u64,
    wants: Range<usize>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) sources: Vec<Source>,
    bytes: usize,
    count: usize,
    wants: Vec<Want>,
    /// The first want that has not been read.
    next: usize,
    /// The table of the batch that is being read from.
    table: Option<(usize, batch::Header, Buf)>,
    memory: Option<BufMut>,
    entries: Vec<Option<Copied>>,
}

impl Slice {
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Adds what is alive in the victims, about `budget` steps of it. The error names the victim.
    pub(crate) fn plan(
        &mut self,
        planner: &mut Planner,
        victims: &mut [Victim],
        directory: &Directory,
        mut budget: usize,
    ) -> Result<Planned, (usize, WalError)> {
        while budget > 0 {
            budget -= 1;
            let Some(group) = planner.group else {
                let Some(group) = victims.iter().filter_map(Victim::next_group).min() else {
                    return Ok(Planned::Exhausted);
                };
                planner.enter(group, victims)?;
                continue;
            };
            let Some(known) = directory.group(group) else {
                planner.group = None;
                continue;
            };
            let at = known.runs.partition_point(|run| run.last_index < planner.next);
            let Some(run) = known.runs.get(at).filter(|run| run.first_index < planner.end) else {
                planner.group = None;
                continue;
            };
            let Some(victim) = victims.iter().position(|v| v.header.segment == run.segment) else {
                planner.next = run.last_index.next();
                continue;
            };
            let from = run.first_index.max(known.first).max(planner.next);
            let mut cover_first = from;
            let v = &victims[victim];
            let bad = |error| (victim, error);
            let mut number = first(v.range.clone(), |n| v.extent(n).is_ok_and(|e| e.last_index() < from));
            while number < v.range.end {
                let extent = v.extent(number).map_err(bad)?;
                if extent.first_index > run.last_index {
                    break;
                }
                let (first, last) = (extent.first_index.max(from), extent.last_index().min(run.last_index));
                let behind = if number + 1 < v.range.end { Some(v.extent(number + 1).map_err(bad)?) } else { None };
                let goes_on = behind.is_some_and(|behind| behind.first_index <= run.last_index);
                let cover_last = if goes_on { last } else { run.last_index };
                if !self.add(Source {
                    victim,
                    run: run.first_index,
                    run_bytes: run.bytes,
                    apart: run.first_index == known.compacted,
                    extent,
                    first,
                    last,
                    cover_first,
                    cover_last,
                    at: self.bytes,
                    number: self.count,
                }) {
                    return Ok(Planned::Full);
                }
                planner.next = cover_last.next();
                cover_first = planner.next;
                number += 1;
                budget = budget.saturating_sub(1);
                if budget == 0 {
                    return Ok(Planned::Going);
                }
            }
            planner.next = run.last_index.next();
        }
        Ok(Planned::Going)
    }

    fn add(&mut self, source: Source) -> bool {
        let bytes = source.extent.length as usize;
        let count = source.extent.numbers(source.first, source.last).len();
        let full = self.bytes + bytes > SLICE_BYTES
            || self.count + count > SLICE_ENTRIES
            || self.sources.len() == SLICE_SOURCES;
        if full && !self.is_empty() {
            return false;
        }
        self.bytes += bytes;
        self.count += count;
        self.sources.push(source);
        true
    }

    /// The plan is made: memory for it, and what has to be read.
    pub(crate) fn prepare(&mut self, pool: &Pool) {
        self.memory = Some(pool.take(self.bytes.max(1)).expect("the pool has no limit"));
        self.entries.resize(self.count, None);
        for (number, source) in self.sources.iter().enumerate() {
            let (extent, victim) = (&source.extent, source.victim);
            let table = (u64::from(extent.batch), u64::from(extent.table_end()));
            let payload = (u64::from(extent.payload), u64::from(extent.payload_end()));
            for ((start, end), is_table) in [(table, true), (payload, false)] {
                self.wants.push(Want { victim, start, end, source: number, is_table });
            }
        }
        self.wants.sort_unstable();
        // One table serves all extents of its batch.
        self.wants.dedup_by(|b, a| a.is_table && b.is_table && (a.victim, a.start) == (b.victim, b.start));
    }

    /// The next read; `None`: all entries are there.
    pub(crate) fn next_piece(&mut self) -> Option<Piece> {
        let page = PAGE as u64;
        let first = *self.wants.get(self.next)?;
        let start = first.start / page * page;
        let mut end = first.end;
        let from = self.next;
        let fits = |want: &Want, end: u64| {
            want.victim == first.victim && want.start <= end + JOIN_BYTES && want.end.max(end) - start <= READ_BYTES
        };
        self.next += 1;
        while let Some(want) = self.wants.get(self.next).filter(|want| fits(want, end)) {
            end = end.max(want.end);
            self.next += 1;
        }
        Some(Piece { victim: first.victim, start, end: end.next_multiple_of(page), wants: from..self.next })
    }

    /// Checks and takes what a read gave.
    pub(crate) fn take(&mut self, piece: &Piece, bytes: &Buf, victims: &[Victim]) -> Result<(), WalError> {
        let victim = &victims[piece.victim].header;
        for at in piece.wants.clone() {
            let want = self.wants[at];
            let source = self.sources[want.source];
            let (from, to) = ((want.start - piece.start) as usize, (want.end - piece.start) as usize);
            if to > bytes.len() {
                return Err(corrupt("the file ends inside a batch, or the footer is wrong", victim, want.start, None));
            }
            if want.is_table {
                let table = bytes.slice(from..to);
                let header = check_table(victim, &source.extent, &table)?;
                self.table = Some((want.victim, header, table));
            } else {
                self.copy(&source, want.source, victim, &bytes[from..to])?;
            }
        }
        Ok(())
    }

    /// Takes the live entries of one extent, whose bytes are `payload`.
    fn copy(&mut self, source: &Source, number: usize, victim: &Header, payload: &[u8]) -> Result<(), WalError> {
        let (of, header, table) = self.table.as_ref().expect("a table lies in front of its payloads");
        assert_eq!((*of, header.position), (source.victim, source.extent.batch), "wants are in order");
        let memory = self.memory.as_mut().expect("prepared");
        let extent = &source.extent;
        let (mut at, mut slot) = (source.at, source.number);
        for line in extent.numbers(source.first, source.last) {
            let d = descriptor(victim, extent, header, table, line)?;
            if d.index < source.first || d.index > source.last {
                continue;
            }
            let position = u64::from(extent.batch) + u64::from(d.position);
            let bad = |what| corrupt(what, victim, position, Some((d.group, d.index)));
            let from = position.checked_sub(u64::from(extent.payload)).map(|from| from as usize);
            let bytes = from.and_then(|from| payload.get(from..from + d.length as usize));
            let bytes = bytes.ok_or_else(|| bad("the footer and the batch's table differ"))?;
            if !d.matches(bytes) {
                return Err(bad("an entry's checksum is wrong"));
            }
            memory[at..at + bytes.len()].copy_from_slice(bytes);
            self.entries[slot] = Some(Copied { descriptor: d, at, source: number });
            (at, slot) = (at + bytes.len(), slot + 1);
        }
        Ok(())
    }

    /// All wants have been read: of an extent with gaps some entries may not have been wanted.
    pub(crate) fn complete(&mut self) {
        self.entries.retain(Option::is_some);
    }

    /// What an entry's move is true of: its index, and those around it that have no entry.
    pub(crate) fn coverage(&self, number: usize) -> (Index, Index) {
        let entry = self.entry(number);
        let source = &self.sources[entry.source];
        let neighbour = |at: Option<usize>| {
            let other = self.entries.get(at?)?.as_ref().expect("all wants have been read");
            (other.source == entry.source).then_some(other.descriptor.index)
        };
        let first = neighbour(number.checked_sub(1)).map_or(source.cover_first, Index::next);
        let last = neighbour(number.checked_add(1)).map_or(source.cover_last, |_| entry.descriptor.index);
        (first, last)
    }

    /// Entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// One of them, in order of group and index.
    pub(crate) fn entry(&self, number: usize) -> &Copied {
        self.entries[number].as_ref().expect("all wants have been read")
    }

    /// Its bytes.
    pub(crate) fn payload(&self, entry: &Copied) -> &[u8] {
        let memory = self.memory.as_ref().expect("prepared");
        &memory[entry.at..entry.at + entry.descriptor.length as usize]
    }
}

impl Planner {
    fn enter(&mut self, group: GroupId, victims: &mut [Victim]) -> Result<(), (usize, WalError)> {
        (self.group, self.next, self.end) = (Some(group), Index(u64::MAX), Index(0));
        for (number, victim) in victims.iter_mut().enumerate() {
            victim.enter(group);
            if victim.range.is_empty() {
                continue;
            }
            let first = victim.extent(victim.range.start).map_err(|error| (number, error))?;
            let last = victim.extent(victim.range.end - 1).map_err(|error| (number, error))?;
            self.next = self.next.min(first.first_index);
            self.end = self.end.max(last.last_index().next());
        }
        Ok(())
    }
}
