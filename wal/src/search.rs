//! From a wish to the extents that answer it.

use crate::directory::{Directory, Group};
use crate::entry::{Entry, Item, Run};
use crate::footers::Footers;
use crate::index::{Extent, SegmentIndex};
use crate::outcome::From;
use crate::segments::Segments;
use crate::tail::Tail;
use crate::writer::Writer;
use torc_base::ids::{GroupId, Index, Offset, SegmentId};

/// Extents of one disk read at most.
const EXTENTS_PER_FETCH: usize = 64;

/// The parts of the log that say where entries are.
pub(crate) struct View<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) segments: &'a Segments,
    pub(crate) tail: &'a Tail,
    pub(crate) writer: &'a Writer,
    pub(crate) footers: &'a mut Footers,
}

/// What somebody wants of a group.
#[derive(Debug)]
pub(crate) enum Goal {
    /// Entries from a start on.
    Entries { from: From, upto: Index, max_bytes: usize },
    /// The first entry from `from` on that ends behind the offset `behind`, with a timestamp of at least `ts`.
    Time { ts: i64, from: Index, behind: Offset, upto: Index },
    /// The first entry with the largest timestamp of those that end behind the offset `behind`. `seen`: extents that
    /// have been looked into, by segment and first index.
    MaxTime { behind: Offset, upto: Index, best: Option<Item>, seen: Vec<(SegmentId, Index)> },
}

/// Which entries of the extents are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    pub(crate) from: Index,
    /// Entries that end at or before this offset are not wanted.
    pub(crate) behind: Offset,
    pub(crate) upto: Index,
    pub(crate) max_bytes: usize,
}

impl Want {
    const BEHIND_ALL: Offset = Offset(i64::MIN);

    fn extent(extent: &Extent, run: &Run, group: &Group, upto: Index) -> Want {
        Want {
            from: extent.first_index.max(group.first).max(run.first_index),
            behind: Want::BEHIND_ALL,
            upto: upto.min(run.last_index),
            max_bytes: usize::MAX,
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
    /// The segment's footer is needed.
    Footer(SegmentId),
    /// These extents must be read from disk.
    Fetch(SegmentId, Vec<Extent>, Want),
}

impl View<'_> {
    /// Extents of a segment, if they are in memory.
    fn index(&mut self, segment: SegmentId) -> Option<&SegmentIndex> {
        match self.segments.get(segment).and_then(|s| s.index.as_ref()) {
            Some(index) => Some(index),
            None => self.footers.get(segment),
        }
    }

    /// The next step towards the goal.
    pub(crate) fn plan(&mut self, group: GroupId, goal: &mut Goal) -> Plan {
        let directory = self.directory;
        let Some(known) = directory.group(group) else { return Plan::Done(Vec::new()) };
        match goal {
            Goal::Entries { from, upto, max_bytes } => self.entries(group, known, *from, *upto, *max_bytes),
            Goal::Time { ts, from, behind, upto } => self.time(group, known, *ts, from, *behind, *upto),
            Goal::MaxTime { behind, upto, best, seen } => self.max_time(group, known, (*behind, *upto), best, seen),
        }
    }

    fn entries(&mut self, id: GroupId, group: &Group, from: From, upto: Index, max_bytes: usize) -> Plan {
        let upto = upto.min(group.last);
        let mut want = Want { from: group.first, behind: Want::BEHIND_ALL, upto, max_bytes };
        match from {
            From::Index(index) if index < group.first => return Plan::Released,
            From::Index(index) => want.from = index,
            From::Offset(offset) => {
                if group.first > Index(1) && offset < self.start_offset(id, group) {
                    return Plan::Released;
                }
                want.behind = offset;
            }
        }
        let mut room = max_bytes;
        let mut items = Vec::new();
        let first = group.runs.partition_point(|r| r.last_index < want.from || r.end_offset <= want.behind);
        for run in &group.runs[first..] {
            if run.first_index > upto {
                return Plan::Done(items);
            }
            match self.of_run(id, run, &want, &mut room, &mut items) {
                Ok(true) => {}
                Ok(false) => return Plan::Done(items),
                Err(_) if !items.is_empty() => return Plan::Done(items),
                Err(plan) => return plan,
            }
        }
        let next = group.runs.last().map_or(want.from, |run| run.last_index.next()).max(want.from);
        if next <= upto {
            let waiting = self.writer.waiting().filter(|e| e.group == id && e.index >= next && e.index <= upto);
            for entry in waiting.filter(|e| end_offset(e) > want.behind) {
                if !items.is_empty() && entry.bytes.len() > room {
                    break;
                }
                room = room.saturating_sub(entry.bytes.len());
                items.push(waiting_item(entry));
            }
        }
        Plan::Done(items)
    }

    /// The first offset that can still be read.
    fn start_offset(&self, id: GroupId, group: &Group) -> Offset {
        match group.runs.first() {
            Some(run) => run.first_offset,
            None => {
                let waiting = self.writer.waiting().find(|e| e.group == id && e.index >= group.first);
                waiting.map_or(group.end_offset, |e| e.first_offset)
            }
        }
    }

    /// Entries of one run. Ok(false): there is no room for more. Err: the disk is needed.
    fn of_run(
        &mut self,
        id: GroupId,
        run: &Run,
        want: &Want,
        room: &mut usize,
        items: &mut Vec<Item>,
    ) -> Result<bool, Plan> {
        let (tail, upto) = (self.tail, want.upto.min(run.last_index));
        let Some(index) = self.index(run.segment) else { return Err(Plan::Footer(run.segment)) };
        let extents = index.of(id);
        let want = &Want { from: want.from.max(run.first_index), ..*want };
        let first = extents.partition_point(|e| e.last_index() < want.from || e.end_offset <= want.behind);
        let mut cold: Vec<Extent> = Vec::new();
        let mut cold_bytes = 0;
        for extent in extents[first..].iter().take_while(|e| e.first_index <= upto) {
            match tail.get(run.segment, extent.batch) {
                Some(batch) if cold.is_empty() => {
                    let part = Want { upto, ..*want };
                    if !batch.items(extent, &part, room, items) {
                        return Ok(false);
                    }
                }
                None if items.is_empty() => {
                    let full = cold_bytes + extent.length as usize > want.max_bytes;
                    if !cold.is_empty() && (full || cold.len() == EXTENTS_PER_FETCH) {
                        break;
                    }
                    cold_bytes += extent.length as usize;
                    cold.push(*extent);
                }
                // Memory and disk are not mixed in one answer.
                Some(_) => break,
                None => return Ok(false),
            }
        }
        if cold.is_empty() {
            return Ok(true);
        }
        Err(Plan::Fetch(run.segment, cold, Want { upto, ..*want }))
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
            let tail = self.tail;
            let Some(index) = self.index(run.segment) else { return Plan::Footer(run.segment) };
            let end = upto.min(run.last_index);
            let extents = index.of(id).iter().filter(|e| e.max_timestamp >= ts && e.end_offset > behind);
            let first = (*from).max(run.first_index);
            for extent in extents.filter(|e| e.last_index() >= first && e.first_index <= end) {
                let want = Want::extent(extent, run, group, upto);
                let Some(batch) = tail.get(run.segment, extent.batch) else {
                    return Plan::Fetch(run.segment, vec![*extent], want);
                };
                let mut items = Vec::new();
                batch.items(extent, &want, &mut usize::MAX.clone(), &mut items);
                let fits = |i: &Item| i.max_timestamp >= ts && i.index >= *from && i.end_offset() > behind;
                if let Some(item) = items.into_iter().find(fits) {
                    return Plan::Done(vec![item]);
                }
            }
        }
        Plan::Done(Vec::new())
    }

    fn max_time(
        &mut self,
        id: GroupId,
        group: &Group,
        (behind, upto): (Offset, Index),
        best: &mut Option<Item>,
        seen: &mut Vec<(SegmentId, Index)>,
    ) -> Plan {
        // A run may promise more than its entries hold (after a truncation, or behind `upto`): look into the most
        // promising extent until nothing promises more than what was found.
        loop {
            let floor = best.as_ref().map_or(-1, |b| b.max_timestamp);
            let tail = self.tail;
            let mut choice: Option<(Run, Extent)> = None;
            for run in group.runs.iter().filter(|r| r.first_index <= upto && r.end_offset > behind) {
                let bar = choice.as_ref().map_or(floor, |(_, e)| e.max_timestamp);
                if run.max_timestamp <= bar {
                    continue;
                }
                let Some(index) = self.index(run.segment) else { return Plan::Footer(run.segment) };
                let first = group.first.max(run.first_index);
                let inside = |e: &&Extent| e.first_index <= upto.min(run.last_index) && e.last_index() >= first;
                let unseen = |e: &&Extent| !seen.contains(&(run.segment, e.first_index));
                for extent in index.of(id).iter().filter(inside).filter(unseen) {
                    if extent.max_timestamp > choice.as_ref().map_or(floor, |(_, e)| e.max_timestamp) {
                        choice = Some((*run, *extent));
                    }
                }
            }
            let Some((run, extent)) = choice else { return Plan::Done(best.take().into_iter().collect()) };
            let want = Want::extent(&extent, &run, group, upto);
            seen.push((run.segment, extent.first_index));
            let Some(batch) = tail.get(run.segment, extent.batch) else {
                return Plan::Fetch(run.segment, vec![extent], want);
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
        Goal::Time { ts, from, behind, .. } => {
            let Some(last) = items.last().map(|i| i.index) else { return Some(Vec::new()) };
            let fits = |i: &Item| i.max_timestamp >= *ts && i.index >= *from && i.end_offset() > *behind;
            let found = items.into_iter().find(fits);
            *from = last.next();
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
