//! What the log holds of each group: one small [`Run`] per group and segment, in memory for all segments.

use crate::entry::Run;
use crate::index::Extent;
use crate::segment::is_cold;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::{GroupId, Index, Offset, SegmentId};

/// One group's part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Entries below are dead.
    pub first: Index,
    /// Entries below have been compacted: they may be absent or shorter than they were, and lie where `runs` say, even if
    /// the log still has them as they were. 0 if none ever was.
    pub compacted: Index,
    /// The newest entry that was appended, whether or not it has reached a batch on disk.
    pub last: Index,
    /// The offset behind it.
    pub end_offset: Offset,
    /// What segments hold, oldest first, rising indexes.
    pub runs: Vec<Run>,
}

/// What is alive in one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Runs.
    pub runs: u32,
    /// Their entries.
    pub entries: u64,
    /// Payload bytes of these.
    pub bytes: u64,
}

/// Entries of one run that lie in another segment too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) group: GroupId,
    /// Where they were copied from: all from one run there.
    pub(crate) from: SegmentId,
    pub(crate) first_index: Index,
    pub(crate) last_index: Index,
    pub(crate) first_offset: Offset,
    pub(crate) end_offset: Offset,
    pub(crate) max_timestamp: i64,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    /// It belongs to one run with the piece before it, if that lies in front of it.
    pub(crate) joins: bool,
}

/// What compaction has left of a part of a group's log, or what was damaged of it, all of it in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) group: GroupId,
    /// The part: all indexes and offsets from the first to the last, whether or not they still have entries.
    pub(crate) first_index: Index,
    pub(crate) last_index: Index,
    pub(crate) first_offset: Offset,
    pub(crate) end_offset: Offset,
    /// Of the entries that are left.
    pub(crate) max_timestamp: i64,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

/// All groups of the log.
#[derive(Debug, Default)]
pub struct Directory {
    groups: BTreeMap<GroupId, Group>,
    /// Segments with at least one live run.
    live: BTreeMap<SegmentId, Live>,
    /// Runs that were swapped.
    swaps: u64,
    /// Groups of which parts were replaced since this was last taken.
    replaced: BTreeSet<GroupId>,
    /// Of each group of which parts were ever replaced in this life of the process, `swaps` when that last was.
    replaced_at: BTreeMap<GroupId, u64>,
}

impl Directory {
    /// A group, if the log has ever seen it and it was not dropped.
    pub fn group(&self, group: GroupId) -> Option<&Group> {
        self.groups.get(&group)
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.groups.iter().map(|(&id, group)| (id, group))
    }

    /// A group's runs.
    pub fn runs(&self, group: GroupId) -> &[Run] {
        self.groups.get(&group).map_or(&[], |g| g.runs.as_slice())
    }

    /// True if no group needs the segment.
    pub fn is_dead(&self, segment: SegmentId) -> bool {
        !self.live.contains_key(&segment)
    }

    /// What is alive in a segment; nothing if it is dead.
    pub fn live(&self, segment: SegmentId) -> Live {
        self.live.get(&segment).copied().unwrap_or_default()
    }

    /// Payload bytes that are not dead.
    pub fn live_bytes(&self) -> u64 {
        self.live.values().map(|live| live.bytes).sum()
    }

    /// Puts a group in as a checkpoint describes it.
    pub fn restore(&mut self, id: GroupId, group: Group) {
        for run in &group.runs {
            count(&mut self.live, run);
        }
        self.groups.insert(id, group);
    }

    /// Moves the group's end: an entry was appended (to a batch in memory, or found by recovery). True if it replaces
    /// others.
    pub fn note(&mut self, group: GroupId, index: Index, first_offset: Offset, end_offset: Offset) -> bool {
        let (last, compacted, runs) = (Index(index.get() - 1), Index(0), Vec::new());
        let fresh = Group { first: index, compacted, last, end_offset, runs };
        let group = self.groups.entry(group).or_insert(fresh);
        if index < group.compacted {
            // Recovery comes by what is elsewhere since. A suffix that had been written before it is replaced all the same.
            truncate(&mut group.runs, &mut self.live, group.compacted, first_offset);
            group.last = Index(group.compacted.get() - 1);
            group.end_offset = group.runs.last().map_or(end_offset, |run| run.end_offset);
            return true;
        }
        let replaces = index <= group.last;
        if replaces {
            truncate(&mut group.runs, &mut self.live, index, first_offset);
        }
        group.last = index;
        group.end_offset = end_offset;
        replaces
    }

    /// An extent has its place in `segment`. A group that was dropped meanwhile stays dropped.
    pub fn place(&mut self, segment: SegmentId, extent: &Extent, bytes: u64) {
        let Some(group) = self.groups.get_mut(&extent.group) else { return };
        let mut run = Run {
            segment,
            first_index: extent.first_index,
            last_index: extent.last_index(),
            first_offset: extent.first_offset,
            end_offset: extent.end_offset,
            max_timestamp: extent.max_timestamp,
            bytes,
            entries: u64::from(extent.count),
        };
        if run.last_index < group.compacted {
            return;
        }
        if run.first_index < group.compacted {
            let before = Index(group.compacted.get() - 1);
            (run.bytes, run.entries) = (bytes - share(&run, before).0, run.last_index.get() - before.get());
            run.first_index = group.compacted;
            run.first_offset = group.runs.last().map_or(run.first_offset, |last| last.end_offset.max(run.first_offset));
        }
        truncate(&mut group.runs, &mut self.live, run.first_index, run.first_offset);
        if run.last_index < group.first {
            return;
        }
        match group.runs.last_mut() {
            Some(last) if last.segment == segment => {
                let live = self.live.get_mut(&segment).expect("a segment with a run is alive");
                live.bytes += run.bytes;
                live.entries += run.entries;
                last.last_index = run.last_index;
                last.end_offset = run.end_offset;
                last.max_timestamp = last.max_timestamp.max(run.max_timestamp);
                last.bytes += run.bytes;
                last.entries += run.entries;
            }
            _ => {
                count(&mut self.live, &run);
                group.runs.push(run);
            }
        }
    }

    /// Entries of the group below `below` are dead.
    pub fn release(&mut self, group: GroupId, below: Index) {
        let Some(group) = self.groups.get_mut(&group) else { return };
        if below <= group.first {
            return;
        }
        group.first = below;
        let dead = group.runs.iter().take_while(|run| run.last_index < below).count();
        for run in group.runs.drain(..dead) {
            forget(&mut self.live, &run);
        }
    }

    /// Entries from `from` on, behind the offset `end_offset`, were never there.
    pub fn cut(&mut self, group: GroupId, from: Index, end_offset: Offset) {
        let Some(group) = self.groups.get_mut(&group) else { return };
        assert!(from >= group.compacted, "what is compacted is not taken back");
        truncate(&mut group.runs, &mut self.live, from, end_offset);
        (group.last, group.end_offset) = (Index(from.get() - 1), end_offset);
    }

    /// Readers find what was copied in `to` from now on, as far as it is alive and still where it was copied from: the
    /// group may have been dropped, released or cut meanwhile.
    pub(crate) fn swap(&mut self, to: SegmentId, moved: &Moved) {
        self.swaps += 1;
        let Some(group) = self.groups.get_mut(&moved.group) else { return };
        if moved.last_index < group.first {
            return;
        }
        let at = group.runs.partition_point(|run| run.last_index < moved.first_index);
        let Some(&old) = group.runs.get(at) else { return };
        if old.segment != moved.from || old.first_index > moved.first_index {
            return;
        }
        let mut new = Run {
            segment: to,
            first_index: moved.first_index,
            last_index: moved.last_index,
            first_offset: moved.first_offset,
            end_offset: moved.end_offset,
            max_timestamp: moved.max_timestamp,
            bytes: moved.bytes,
            entries: moved.entries,
        };
        if new.last_index > old.last_index {
            (new.bytes, new.entries) = share(&new, old.last_index);
            new.last_index = old.last_index;
            new.end_offset = new.end_offset.min(old.end_offset).max(new.first_offset);
        }
        // The run may span offsets before its first entry and behind its last one.
        if new.first_index == old.first_index {
            new.first_offset = new.first_offset.min(old.first_offset);
        }
        if new.last_index == old.last_index {
            new.end_offset = new.end_offset.max(old.end_offset);
        }
        forget(&mut self.live, &old);
        // What lies before is dead, or else would have been copied first; what lies behind is copied next.
        let before = Index(moved.first_index.get() - 1);
        let left = (old.first_index < moved.first_index && before >= group.first)
            .then(|| until(&old, before, moved.first_offset.max(old.first_offset)));
        let right = (new.last_index < old.last_index).then(|| behind(&old, new.last_index, new.end_offset));
        left.iter().chain([&new]).chain(&right).for_each(|run| count(&mut self.live, run));
        match group.runs[..at].last_mut() {
            // What is compacted and what is not stay apart.
            Some(last)
                if left.is_none() && moved.joins && follows(last, &new) && new.first_index != group.compacted =>
            {
                let live = self.live.get_mut(&to).expect("just counted");
                live.runs -= 1;
                last.last_index = new.last_index;
                last.end_offset = new.end_offset;
                last.max_timestamp = last.max_timestamp.max(new.max_timestamp);
                last.bytes += new.bytes;
                last.entries += new.entries;
                group.runs.splice(at..=at, right);
            }
            _ => {
                group.runs.splice(at..=at, left.into_iter().chain([new]).chain(right));
            }
        }
    }

    /// Readers find what compaction has left in `to` from now on, wherever it was before. What has been released or dropped
    /// meanwhile stays so.
    pub(crate) fn replace(&mut self, to: SegmentId, part: &Replaced) {
        if self.put(to, part) {
            let group = self.groups.get_mut(&part.group).expect("just seen");
            group.compacted = group.compacted.max(part.last_index.next());
        }
    }

    /// Readers find entries in `to` from now on that could not be read where they lay. False: they are not there any more, or
    /// recovery may come by where they lay, in a segment of the log from `before` on.
    pub(crate) fn mend(&mut self, to: SegmentId, part: &Replaced, before: SegmentId) -> bool {
        self.may_mend(part.group, part.first_index, part.last_index, before) && self.put(to, part)
    }

    /// True if [`Directory::mend`] finds all entries from `first` to `last` in front of `before`.
    pub(crate) fn may_mend(&self, group: GroupId, first: Index, last: Index, before: SegmentId) -> bool {
        let runs = self.spanned(group, first, last);
        let lie_in_front = runs.iter().all(|run| is_cold(run.segment) || run.segment < before);
        let (head, tail) = (runs.first(), runs.last());
        lie_in_front && head.is_some_and(|r| r.first_index <= first) && tail.is_some_and(|r| r.last_index >= last)
    }

    /// The runs that have some of the group's entries from `first` to `last`.
    pub(crate) fn spanned(&self, group: GroupId, first: Index, last: Index) -> &[Run] {
        let runs = self.runs(group);
        let from = runs.partition_point(|run| run.last_index < first);
        let upto = runs.partition_point(|run| run.first_index <= last);
        &runs[from..upto.max(from)]
    }

    /// What is in `to` takes the place of what the group has of that part. False: it has none of it.
    fn put(&mut self, to: SegmentId, part: &Replaced) -> bool {
        self.swaps += 1;
        let Some(group) = self.groups.get_mut(&part.group) else { return false };
        if part.last_index < group.first {
            return false;
        }
        let from = group.runs.partition_point(|run| run.last_index < part.first_index);
        let upto = group.runs.partition_point(|run| run.first_index <= part.last_index);
        if from >= upto {
            return false;
        }
        self.replaced.insert(part.group);
        self.replaced_at.insert(part.group, self.swaps);
        let (first, last) = (group.runs[from], group.runs[upto - 1]);
        group.runs[from..upto].iter().for_each(|run| forget(&mut self.live, run));
        let before = Index(part.first_index.get() - 1);
        let left = (first.first_index < part.first_index && before >= group.first)
            .then(|| until(&first, before, part.first_offset.max(first.first_offset)));
        let mut right = (last.last_index > part.last_index).then(|| behind(&last, part.last_index, part.end_offset));
        let new = (part.entries > 0).then_some(Run {
            segment: to,
            first_index: part.first_index,
            last_index: part.last_index,
            first_offset: part.first_offset,
            end_offset: part.end_offset,
            max_timestamp: part.max_timestamp,
            bytes: part.bytes,
            entries: part.entries,
        });
        if new.is_none() && left.is_none() && from == 0 {
            // The offsets in front can still be asked for: they are the next run's. Its indexes are not: there its segment may
            // have what was replaced.
            if let Some(next) = right.as_mut().or(group.runs.get_mut(upto)) {
                next.first_offset = part.first_offset;
            }
        }
        let runs = || left.into_iter().chain(new).chain(right);
        runs().for_each(|run| count(&mut self.live, &run));
        group.runs.splice(from..upto, runs());
        true
    }

    /// The groups of which parts were replaced since this was last asked: what was read of them before is not what there is.
    pub(crate) fn take_replaced(&mut self) -> BTreeSet<GroupId> {
        std::mem::take(&mut self.replaced)
    }

    /// Another number than before if parts of the group were replaced since.
    pub(crate) fn replaced_at(&self, group: GroupId) -> u64 {
        self.replaced_at.get(&group).copied().unwrap_or(0)
    }

    /// How often [`Directory::swap`] or [`Directory::replace`] was called.
    pub(crate) fn swaps(&self) -> u64 {
        self.swaps
    }

    /// The group does not exist any more.
    pub fn drop_group(&mut self, group: GroupId) {
        self.replaced_at.remove(&group);
        if let Some(group) = self.groups.remove(&group) {
            for run in &group.runs {
                forget(&mut self.live, run);
            }
        }
    }
}

fn follows(last: &Run, next: &Run) -> bool {
    last.segment == next.segment && last.last_index.next() == next.first_index
}

/// Bytes and entries of a run up to index `upto`, which is in it. How many they are is not known without the segment's
/// extents; their share of the indexes is near it.
fn share(run: &Run, upto: Index) -> (u64, u64) {
    let kept = u128::from(upto.get() - run.first_index.get() + 1);
    let indexes = u128::from(run.last_index.get() - run.first_index.get() + 1);
    let of = |whole: u64| (u128::from(whole) * kept / indexes) as u64;
    (of(run.bytes), of(run.entries))
}

/// The run up to index `last`, whose end is at `end_offset`.
fn until(run: &Run, last: Index, end_offset: Offset) -> Run {
    let (bytes, entries) = share(run, last);
    Run { last_index: last, end_offset, bytes, entries, ..*run }
}

/// The run behind index `last`, from `first_offset` on.
fn behind(run: &Run, last: Index, first_offset: Offset) -> Run {
    let (bytes, entries) = share(run, last);
    Run {
        first_index: last.next(),
        first_offset,
        end_offset: run.end_offset.max(first_offset),
        bytes: run.bytes - bytes,
        entries: run.entries - entries,
        ..*run
    }
}

fn count(live: &mut BTreeMap<SegmentId, Live>, run: &Run) {
    let entry = live.entry(run.segment).or_default();
    entry.runs += 1;
    entry.bytes += run.bytes;
    entry.entries += run.entries;
}

fn forget(live: &mut BTreeMap<SegmentId, Live>, run: &Run) {
    let entry = live.get_mut(&run.segment).expect("a segment with a run is alive");
    entry.runs -= 1;
    entry.bytes -= run.bytes;
    entry.entries -= run.entries;
    if entry.runs == 0 {
        assert_eq!((entry.bytes, entry.entries), (0, 0), "what lives in {} belongs to runs", run.segment);
        live.remove(&run.segment);
    }
}

fn truncate(runs: &mut Vec<Run>, live: &mut BTreeMap<SegmentId, Live>, from: Index, end_offset: Offset) {
    while let Some(run) = runs.last_mut() {
        if run.last_index < from {
            break;
        }
        if run.first_index >= from {
            forget(live, run);
            runs.pop();
            continue;
        }
        let last = Index(from.get() - 1);
        let (bytes, entries) = share(run, last);
        let entry = live.get_mut(&run.segment).expect("a segment with a run is alive");
        entry.bytes -= run.bytes - bytes;
        entry.entries -= run.entries - entries;
        (run.bytes, run.entries) = (bytes, entries);
        run.last_index = last;
        run.end_offset = run.end_offset.min(end_offset).max(run.first_offset);
        break;
    }
}
