//! From a wish to the extents that answer it.

use crate::ahead::CHUNK_BYTES_MAX;
use crate::directory::{Directory, Group};
use crate::entry::{Entry, Item, Run};
use crate::footers::{Extents, FOOTERS_BYTES, Footers};
use crate::index::Extent;
use crate::outcome::From;
use crate::segments::Segments;
use crate::tail::Tail;
use crate::writer::Writer;
use std::cmp::Reverse;
use torc_base::ids::{GroupId, Index, Offset, SegmentId};

/// Extents of one disk read at most.
const EXTENTS_PER_FETCH: usize = 1024;
/// Footers that are loaded at once for one read, and their bytes, one aside: they must not drive each other out of
/// memory before they are used.
const FOOTERS_PER_FETCH: usize = 32;
const FOOTER_BYTES_PER_FETCH: usize = 4 << 20;
const _: () = assert!(FOOTER_BYTES_PER_FETCH <= FOOTERS_BYTES / 2);

/// The parts of the log that say where entries are.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) segments: &'a Segments,
    pub(crate) tail: &'a Tail,
    pub(crate) writer: &'a Writer,
    /// Others have what is damaged here.
    pub(crate) replicated: bool,
}

/// The same with the extents of sealed segments.
pub(crate) struct View<'a> {
    pub(crate) log: Sources<'a>,
    pub(crate) footers: &'a mut Footers,
}

/// What somebody wants of a group.
#[derive(Debug)]
pub(crate) enum Goal {
    /// Entries from a start on. `asked`: footers have been loaded for it once, so it takes what it can get.
    Entries { from: From, upto: Index, max_bytes: usize, asked: bool },
    /// The first entry from `from` on that ends behind the offset `behind`, with a timestamp of at least `ts`. `through`: so
    /// far reaches what is being read for it.
    Time { ts: i64, from: Index, through: Index, behind: Offset, upto: Index },
    /// The first entry with the largest timestamp of those that end behind the offset `behind`.
    MaxTime { behind: Offset, upto: Index, best: Option<Item>, seen: Seen },
}

/// Where a search for the largest timestamp has been: segment and first index.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Extents that were read.
    extents: Vec<(SegmentId, Index)>,
    /// Runs without an extent that promises more than what was found.
    runs: Vec<(SegmentId, Index)>,
}

/// Which entries of the extents are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    pub(crate) from: Index,
    /// Entries that end at or before this offset are not wanted.
    pub(crate) behind: Offset,
    pub(crate) upto: Index,
}

impl Walk {
    fn plan(self) -> Plan {
        if self.cold.is_empty() { Plan::Done(self.items) } else { Plan::Fetch(self.cold) }
    }
}

impl Want {
    const BEHIND_ALL: Offset = Offset(i64::MIN);

    fn extent(extent: &Extent, run: &Run, group: &Group, upto: Index) -> Want {
        Want {
            from: extent.first_index.max(group.first).max(run.first_index),
            behind: Want::BEHIND_ALL,
            upto: upto.min(run.last_index),
        }
    }
}

/// How to get on.
#[derive(Debug)]
pub(crate) enum Plan {
    /// These are the answer.
    Done(Vec<Item>),
    /// The start lies below the group's first entry.
    Released,
    /// Footers of these segments are needed.
    Footers(Vec<SegmentId>),
    /// These extents must be read from disk. Rising, and at least one.
    Fetch(Vec<Part>),
}

/// Extents of one segment, and which entries of them are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) segment: SegmentId,
    pub(crate) from: Index,
    pub(crate) upto: Index,
    pub(crate) extents: Vec<Extent>,
}

impl Plan {
    fn footer(segment: SegmentId) -> Plan {
        Plan::Footers(vec![segment])
    }

    fn extent(segment: SegmentId, extent: Extent, want: &Want) -> Plan {
        Plan::Fetch(vec![Part { segment, from: want.from, upto: want.upto, extents: vec![extent] }])
    }
}

/// What a walk over the runs has found so far.
struct Walk {
    want: Want,
    room: usize,
    items: Vec<Item>,
    cold: Vec<Part>,
    cold_extents: usize,
    cold_bytes: usize,
}

impl View<'_> {
    /// A group's extents in a segment, if they are in memory.
    fn extents(&mut self, segment: SegmentId, group: GroupId) -> Option<Extents<'_>> {
        match self.log.segments.get(segment).and_then(|s| s.index.as_ref()) {
            Some(index) => Some(Extents::Decoded(index.of(group))),
            None => self.footers.of(segment, group, self.log.directory),
        }
    }

    /// True if the extents of a segment are in memory.
    fn has_extents(&mut self, segment: SegmentId) -> bool {
        self.log.segments.get(segment).is_some_and(|s| s.index.is_some()) || self.footers.has(segment)
    }

    /// The next step towards the goal. Of what must be read from disk about `share` bytes at most, one extent aside.
    pub(crate) fn plan(&mut self, group: GroupId, goal: &mut Goal, share: usize) -> Plan {
        let directory = self.log.directory;
        let Some(known) = directory.group(group) else { return Plan::Done(Vec::new()) };
        match goal {
            Goal::Entries { from, upto, max_bytes, asked } => {
                if self.released(group, *from) {
                    return Plan::Released;
                }
                self.entries(group, known, (*from, *upto), (*max_bytes, share), *asked)
            }
            Goal::Time { ts, from, through, behind, upto } => {
                let plan = self.time(group, known, *ts, from, *behind, *upto);
                if let Plan::Fetch(parts) = &plan {
                    let (part, extent) = (&parts[0], &parts[0].extents[0]);
                    *through = extent.last_index().min(part.upto);
                }
                plan
            }
            Goal::MaxTime { behind, upto, best, seen } => self.max_time(group, known, (*behind, *upto), best, seen),
        }
    }

    /// True if the start lies below the group's first entry. Of an offset that is not known here: its record may have been
    /// released, or compacted away in front of the first entry that is left. The caller knows where the records begin.
    pub(crate) fn released(&self, id: GroupId, from: From) -> bool {
        let Some(group) = self.log.directory.group(id) else { return false };
        matches!(from, From::Index(index) if index < group.first)
    }

    fn entries(
        &mut self,
        id: GroupId,
        group: &Group,
        (from, upto): (From, Index),
        (max_bytes, share): (usize, usize),
        asked: bool,
    ) -> Plan {
        let upto = upto.min(group.last);
        let mut want = Want { from: group.first, behind: Want::BEHIND_ALL, upto };
        match from {
            From::Index(index) => want.from = index,
            From::Offset(offset) => want.behind = offset,
        }
        let cold_max = max_bytes.min(CHUNK_BYTES_MAX).min(share);
        let (items, cold) = (Vec::new(), Vec::new());
        let mut walk = Walk { want, room: max_bytes, items, cold, cold_extents: 0, cold_bytes: 0 };
        let first = group.runs.partition_point(|r| r.last_index < want.from || r.end_offset <= want.behind);
        let mut footers = Vec::new();
        let (mut footer_bytes, mut unknown) = (0, 0);
        for run in group.runs[first..].iter().take_while(|run| run.first_index <= upto) {
            if !self.has_extents(run.segment) {
                let stop = !walk.items.is_empty() || (asked && (!walk.cold.is_empty() || !footers.is_empty()));
                if stop || footers.len() == FOOTERS_PER_FETCH || walk.cold_bytes + unknown >= cold_max {
                    break;
                }
                let segment = self.log.segments.get(run.segment).expect("a run's segment exists");
                footer_bytes += segment.footer().expect("extents leave memory when the footer is durable") as usize;
                if !footers.is_empty() && footer_bytes > FOOTER_BYTES_PER_FETCH {
                    break;
                }
                footers.push(run.segment);
                unknown += run.bytes as usize;
                continue;
            }
            if !footers.is_empty() {
                unknown += run.bytes as usize;
                continue;
            }
            if !self.of_run(id, run, &mut walk, cold_max) {
                return walk.plan();
            }
        }
        if !footers.is_empty() {
            return Plan::Footers(footers);
        }
        if walk.cold.is_empty() {
            self.waiting(id, group, &mut walk);
        }
        walk.plan()
    }

    /// Entries that have no place on disk yet.
    fn waiting(&self, id: GroupId, group: &Group, walk: &mut Walk) {
        let Want { from, behind, upto } = walk.want;
        let next = group.runs.last().map_or(from, |run| run.last_index.next()).max(from);
        if next > upto {
            return;
        }
        let waiting = self.log.writer.waiting().filter(|e| e.group == id && e.index >= next && e.index <= upto);
        for entry in waiting.filter(|e| end_offset(e) > behind) {
            if !walk.items.is_empty() && entry.bytes.len() > walk.room {
                break;
            }
            walk.room = walk.room.saturating_sub(entry.bytes.len());
            walk.items.push(waiting_item(entry));
        }
    }

    /// Entries or extents of one run. False: that is all for now. Memory and disk are not mixed in one answer.
    fn of_run(&mut self, id: GroupId, run: &Run, walk: &mut Walk, cold_max: usize) -> bool {
        let (tail, upto) = (self.log.tail, walk.want.upto.min(run.last_index));
        let extents = self.extents(run.segment, id).expect("the caller has looked");
        let want = Want { from: walk.want.from.max(run.first_index), upto, ..walk.want };
        let first = extents.partition_point(|e| e.last_index() < want.from || e.end_offset <= want.behind);
        let mut cold = Part { segment: run.segment, from: want.from, upto, extents: Vec::new() };
        let mut more = true;
        for extent in extents.from(first).take_while(|e| e.first_index <= upto) {
            match tail.get(run.segment, extent.batch) {
                Some(batch) if walk.cold_extents == 0 => {
                    more = batch.items(&extent, &want, &mut walk.room, &mut walk.items);
                }
                None if walk.items.is_empty() => {
                    let full = walk.cold_bytes + extent.length as usize > cold_max;
                    more = walk.cold_extents == 0 || !(full || walk.cold_extents == EXTENTS_PER_FETCH);
                    if more {
                        walk.cold_bytes += extent.length as usize;
                        walk.cold_extents += 1;
                        cold.extents.push(extent);
                    }
                }
                _ => more = false,
            }
            if !more {
                break;
            }
        }
        if !cold.extents.is_empty() {
            walk.cold.push(cold);
        }
        more
    }

    fn time(&mut self, id: GroupId, group: &Group, ts: i64, from: &mut Index, behind: Offset, upto: Index) -> Plan {
        *from = (*from).max(group.first);
        if *from > upto {
            return Plan::Done(Vec::new());
        }
        for run in group.runs.iter().filter(|r| r.max_timestamp >= ts && r.end_offset > behind) {
            if run.last_index < *from || run.first_index > upto {
                continue;
            }
            let tail = self.log.tail;
            let Some(extents) = self.extents(run.segment, id) else { return Plan::footer(run.segment) };
            let end = upto.min(run.last_index);
            let first = (*from).max(run.first_index);
            let extents = extents.from(extents.partition_point(|e| e.last_index() < first));
            let within = extents.take_while(|e| e.first_index <= end);
            for extent in within.filter(|e| e.max_timestamp >= ts && e.end_offset > behind) {
                let want = Want::extent(&extent, run, group, upto);
                let Some(batch) = tail.get(run.segment, extent.batch) else {
                    return Plan::extent(run.segment, extent, &want);
                };
                let mut items = Vec::new();
                batch.items(&extent, &want, &mut usize::MAX.clone(), &mut items);
                let fits = |i: &Item| i.max_timestamp >= ts && i.index >= *from && i.end_offset() > behind;
                if let Some(item) = items.into_iter().find(fits) {
                    return Plan::Done(vec![item]);
                }
            }
        }
        Plan::Done(Vec::new())
    }

    /// Looks into the most promising extent of the most promising run until nothing promises more than what was found.
    /// Nearly always that is one run and one extent. Promises are never too small; too large they are after a truncation,
    /// or where the largest timestamp lies before `behind` or behind `upto`.
    fn max_time(
        &mut self,
        id: GroupId,
        group: &Group,
        (behind, upto): (Offset, Index),
        best: &mut Option<Item>,
        seen: &mut Seen,
    ) -> Plan {
        loop {
            let floor = best.as_ref().map_or(-1, |b| b.max_timestamp);
            let tail = self.log.tail;
            let within = |r: &&Run| r.first_index <= upto && r.end_offset > behind && r.last_index >= group.first;
            let unspent = |r: &&Run| r.max_timestamp > floor && !seen.runs.contains(&(r.segment, r.first_index));
            let runs = group.runs.iter().filter(within).filter(unspent);
            let Some(&run) = runs.max_by_key(|r| (r.max_timestamp, Reverse(r.first_index))) else {
                return Plan::Done(best.take().into_iter().collect());
            };
            let Some(extents) = self.extents(run.segment, id) else { return Plan::footer(run.segment) };
            let first = group.first.max(run.first_index);
            let within = |e: &Extent| {
                e.first_index <= upto.min(run.last_index) && e.last_index() >= first && e.end_offset > behind
            };
            let unseen = |e: &Extent| e.max_timestamp > floor && !seen.extents.contains(&(run.segment, e.first_index));
            let extents = extents.from(0).filter(within).filter(unseen);
            let Some(extent) = extents.max_by_key(|e| (e.max_timestamp, Reverse(e.first_index))) else {
                seen.runs.push((run.segment, run.first_index));
                continue;
            };
            let want = Want::extent(&extent, &run, group, upto);
            seen.extents.push((run.segment, extent.first_index));
            let Some(batch) = tail.get(run.segment, extent.batch) else {
                return Plan::extent(run.segment, extent, &want);
            };
            let mut items = Vec::new();
            batch.items(&extent, &want, &mut usize::MAX.clone(), &mut items);
            take_best(items, behind, best);
        }
    }
}

/// What was fetched brings the goal this far. `Some` is the answer; else plan again.
pub(crate) fn fetched(goal: &mut Goal, items: Vec<Item>) -> Option<Vec<Item>> {
    match goal {
        Goal::Entries { .. } => Some(items),
        Goal::Time { ts, from, through, behind, .. } => {
            let fits = |i: &Item| i.max_timestamp >= *ts && i.index >= *from && i.end_offset() > *behind;
            let found = items.into_iter().find(fits);
            // An extent may end in a gap that compaction has left, or reach beyond what is wanted: it may have promised what none
            // of these entries has. It is not read again.
            *from = through.next();
            found.map(|item| vec![item])
        }
        Goal::MaxTime { behind, best, .. } => {
            take_best(items, *behind, best);
            None
        }
    }
}

fn take_best(items: Vec<Item>, behind: Offset, best: &mut Option<Item>) {
    for item in items.into_iter().filter(|i| i.end_offset() > behind) {
        if item.max_timestamp > best.as_ref().map_or(-1, |b| b.max_timestamp) {
            *best = Some(item);
        }
    }
}

fn end_offset(entry: &Entry) -> Offset {
    entry.first_offset.plus(i64::from(entry.records))
}

fn waiting_item(entry: &Entry) -> Item {
    Item {
        group: entry.group,
        kind: entry.kind,
        term: entry.term,
        index: entry.index,
        first_offset: entry.first_offset,
        records: entry.records,
        max_timestamp: entry.max_timestamp,
        prefix_len: entry.prefix_len,
        body_crc: entry.body_crc,
        bytes: entry.bytes.clone(),
    }
}
