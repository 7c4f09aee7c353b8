//! What the log holds of each group: one small [`Run`] per group and segment, in memory for all segments.

use crate::entry::Run;
use crate::index::Extent;
use std::collections::BTreeMap;
use torc_base::ids::{GroupId, Index, Offset, SegmentId};

/// One group's part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Entries below are dead.
    pub first: Index,
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
    /// It belongs to one run with the piece before it, if that lies in front of it.
    pub(crate) joins: bool,
}

/// All groups of the log.
#[derive(Debug, Default)]
pub struct Directory {
    groups: BTreeMap<GroupId, Group>,
    /// Segments with at least one live run.
    live: BTreeMap<SegmentId, Live>,
    /// Runs that were swapped.
    swaps: u64,
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
        let fresh = Group { first: index, last: Index(index.get() - 1), end_offset, runs: Vec::new() };
        let group = self.groups.entry(group).or_insert(fresh);
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
        truncate(&mut group.runs, &mut self.live, extent.first_index, extent.first_offset);
        if extent.last_index() < group.first {
            return;
        }
        match group.runs.last_mut() {
            Some(run) if run.segment == segment => {
                let live = self.live.get_mut(&segment).expect("a segment with a run is alive");
                live.bytes += bytes;
                live.entries += extent.last_index().get() - run.last_index.get();
                run.last_index = extent.last_index();
                run.end_offset = extent.end_offset;
                run.max_timestamp = run.max_timestamp.max(extent.max_timestamp);
                run.bytes += bytes;
            }
            _ => {
                let run = Run {
                    segment,
                    first_index: extent.first_index,
                    last_index: extent.last_index(),
                    first_offset: extent.first_offset,
                    end_offset: extent.end_offset,
                    max_timestamp: extent.max_timestamp,
                    bytes,
                };
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
        };
        if new.last_index > old.last_index {
            new.bytes = share(&new, old.last_index);
            new.last_index = old.last_index;
            new.end_offset = new.end_offset.min(old.end_offset).max(new.first_offset);
        }
        forget(&mut self.live, &old);
        // What lies before is dead, or else would have been copied first; what lies behind is copied next.
        let before = Index(moved.first_index.get() - 1);
        let left = (old.first_index < moved.first_index && before >= group.first).then(|| Run {
            last_index: before,
            end_offset: moved.first_offset.max(old.first_offset),
            bytes: share(&old, before),
            ..old
        });
        let right = (new.last_index < old.last_index).then(|| Run {
            first_index: new.last_index.next(),
            first_offset: new.end_offset,
            end_offset: old.end_offset.max(new.end_offset),
            bytes: old.bytes - share(&old, new.last_index),
            ..old
        });
        left.iter().chain([&new]).chain(&right).for_each(|run| count(&mut self.live, run));
        match group.runs[..at].last_mut() {
            Some(last) if left.is_none() && moved.joins && follows(last, &new) => {
                let live = self.live.get_mut(&to).expect("just counted");
                live.runs -= 1;
                last.last_index = new.last_index;
                last.end_offset = new.end_offset;
                last.max_timestamp = last.max_timestamp.max(new.max_timestamp);
                last.bytes += new.bytes;
                group.runs.splice(at..=at, right);
            }
            _ => {
                group.runs.splice(at..=at, left.into_iter().chain([new]).chain(right));
            }
        }
    }

    /// How often [`Directory::swap`] was called.
    pub(crate) fn swaps(&self) -> u64 {
        self.swaps
    }

    /// The group does not exist any more.
    pub fn drop_group(&mut self, group: GroupId) {
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

fn entries(run: &Run) -> u64 {
    run.last_index.get() - run.first_index.get() + 1
}

/// Bytes of a run's entries up to `upto`, which is in it. How many they are is not known without the segment's extents;
/// their share of the entries is near it.
fn share(run: &Run, upto: Index) -> u64 {
    let kept = upto.get() - run.first_index.get() + 1;
    (u128::from(run.bytes) * u128::from(kept) / u128::from(entries(run))) as u64
}

fn count(live: &mut BTreeMap<SegmentId, Live>, run: &Run) {
    let entry = live.entry(run.segment).or_default();
    entry.runs += 1;
    entry.bytes += run.bytes;
    entry.entries += entries(run);
}

fn forget(live: &mut BTreeMap<SegmentId, Live>, run: &Run) {
    let entry = live.get_mut(&run.segment).expect("a segment with a run is alive");
    entry.runs -= 1;
    entry.bytes -= run.bytes;
    entry.entries -= entries(run);
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
        let bytes = share(run, last);
        let entry = live.get_mut(&run.segment).expect("a segment with a run is alive");
        entry.bytes -= run.bytes - bytes;
        entry.entries -= run.last_index.get() - last.get();
        run.bytes = bytes;
        run.last_index = last;
        run.end_offset = run.end_offset.min(end_offset).max(run.first_offset);
        break;
    }
}
