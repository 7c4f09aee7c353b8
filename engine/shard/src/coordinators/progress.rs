//! How far the groups of this shard have come, for whoever asks from outside: looked through over turns, since it may be much.

use super::{Coordinators, State};
use crate::inquiry::{Finding, GroupProgress, PartitionProgress};
use torc_base::ids::{GroupId, ShardId};
use torc_base::limits::TURN_ITEMS;
use torc_state::coordinator::{Coordinator, Progress, Text};

/// A question under way.
pub(super) struct Scrape {
    /// Of the question.
    number: u64,
    /// How many offsets may still be told.
    room: usize,
    groups: Vec<GroupProgress>,
    left_out: usize,
    /// The partition of `__consumer_offsets` that is being looked through, and the last group that was begun.
    log: GroupId,
    last: Option<Text>,
    /// That group is the last of `groups`, and not all of its offsets are there.
    is_open: bool,
}

impl Coordinators {
    /// True while somebody from outside waits for an answer.
    pub fn is_asked(&self) -> bool {
        self.scrape.is_some()
    }

    /// Begins to look at whole groups with what they have committed, as long as there are no more than `offsets_max` offsets; a
    /// group without any counts as one. It comes in the place of what was asked before.
    pub fn begin_progress(&mut self, number: u64, offsets_max: usize) {
        let (groups, log) = (Vec::new(), GroupId(0));
        let scrape = Scrape { number, room: offsets_max, groups, left_out: 0, log, last: None, is_open: false };
        self.scrape = Some(scrape);
    }

    /// A turn's part of it; the number of the question and its answer when that is complete. `log`: where a partition's log is.
    pub fn turn_progress(&mut self, log: impl Fn(&str, i32) -> Option<(ShardId, GroupId)>) -> Option<(u64, Finding)> {
        let scrape = self.scrape.as_mut()?;
        let mut left = TURN_ITEMS;
        for (id, seat) in self.seats.range(scrape.log..) {
            if *id != scrape.log {
                (scrape.log, scrape.last, scrape.is_open) = (*id, None, false);
            }
            let State::Serving(coordinator) = &seat.state else { continue };
            if !scrape.look(coordinator, &log, &mut left) {
                return None;
            }
        }
        let Scrape { number, groups, left_out, .. } = self.scrape.take().expect("seen above");
        Some((number, Finding::Groups { groups, left_out }))
    }
}

impl Scrape {
    /// Goes on with a coordinator's groups, for about `left` offsets. True if all have been looked at.
    fn look(
        &mut self,
        coordinator: &Coordinator,
        log: impl Fn(&str, i32) -> Option<(ShardId, GroupId)>,
        left: &mut usize,
    ) -> bool {
        let last = self.last.clone();
        if std::mem::take(&mut self.is_open)
            && let Some(group) = last.as_ref().and_then(|last| coordinator.progress_of(last))
            && !self.take_offsets(group, &log, left)
        {
            return false;
        }
        for group in coordinator.progress(last.as_ref()) {
            if *left == 0 {
                return false;
            }
            *left -= 1;
            self.last = Some(group.id().clone());
            let Some(rest) = self.room.checked_sub(group.offsets_len().max(1)) else {
                self.left_out += 1;
                continue;
            };
            self.room = rest;
            let (id, state, kind) = (group.id().clone(), group.state().name(), group.kind().name());
            self.groups.push(GroupProgress { group: id, state, kind, members: group.members(), offsets: Vec::new() });
            if !self.take_offsets(group, &log, left) {
                return false;
            }
        }
        true
    }

    /// Goes on with the offsets of the last of the groups. True if all are there.
    fn take_offsets(
        &mut self,
        group: Progress<'_>,
        log: impl Fn(&str, i32) -> Option<(ShardId, GroupId)>,
        left: &mut usize,
    ) -> bool {
        let offsets = &mut self.groups.last_mut().expect("it was begun").offsets;
        let behind = offsets.last().map(|last| (last.topic.clone(), last.partition));
        let mut rest = group.offsets(behind.as_ref()).peekable();
        let before = offsets.len();
        offsets.extend(rest.by_ref().take(*left).map(|(topic, partition, offset)| PartitionProgress {
            topic: topic.clone(),
            partition,
            offset,
            log: log(topic, partition),
        }));
        *left -= offsets.len() - before;
        self.is_open = rest.peek().is_some();
        !self.is_open
    }
}
