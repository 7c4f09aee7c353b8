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
struct Live {
    runs: u32,
    bytes: u64,
}

/// All groups of the log.
#[derive(Debug, Default)]
pub struct Directory {
    groups: BTreeMap<GroupId, Group>,
    /// Segments with at least one live run.
    live: BTreeMap<SegmentId, Live>,
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

    /// Payload bytes that are not dead.
    pub fn live_bytes(&self) -> u64 {
        self.live.values().map(|live| live.bytes).sum()
    }

    /// Puts a group in as a checkpoint describes it.
    pub fn restore(&mut self, id: GroupId, group: Group) {
        for run in &group.runs {
            let live = self.live.entry(run.segment).or_default();
            live.runs += 1;
            live.bytes += run.bytes;
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
        let live = self.live.entry(segment).or_default();
        live.bytes += bytes;
        match group.runs.last_mut() {
            Some(run) if run.segment == segment => {
                run.last_index = extent.last_index();
                run.end_offset = extent.end_offset;
                run.max_timestamp = run.max_timestamp.max(extent.max_timestamp);
                run.bytes += bytes;
            }
            _ => {
                live.runs += 1;
                group.runs.push(Run {
                    segment,
                    first_index: extent.first_index,
                    last_index: extent.last_index(),
                    first_offset: extent.first_offset,
                    end_offset: extent.end_offset,
                    max_timestamp: extent.max_timestamp,
                    bytes,
                });
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

    /// The group does not exist any more.
    pub fn drop_group(&mut self, group: GroupId) {
        if let Some(group) = self.groups.remove(&group) {
            for run in &group.runs {
                forget(&mut self.live, run);
            }
        }
    }
}

fn forget(live: &mut BTreeMap<SegmentId, Live>, run: &Run) {
    let entry = live.get_mut(&run.segment).expect("a segment with a run is alive");
    entry.runs -= 1;
    entry.bytes -= run.bytes;
    if entry.runs == 0 {
        assert_eq!(entry.bytes, 0, "bytes of {} belong to runs", run.segment);
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
        // How many bytes went is not known without the segment's extents; their share of the entries is near it.
        let entries = run.last_index.get() - run.first_index.get() + 1;
        let kept = from.get() - run.first_index.get();
        let bytes = (u128::from(run.bytes) * u128::from(kept) / u128::from(entries)) as u64;
        let entry = live.get_mut(&run.segment).expect("a segment with a run is alive");
        entry.bytes -= run.bytes - bytes;
        run.bytes = bytes;
        run.last_index = Index(from.get() - 1);
        run.end_offset = run.end_offset.min(end_offset).max(run.first_offset);
        break;
    }
}
