//! Files on their way out, one at a time and with rests between.
//!
//! Removing a file of the log gives all its blocks back at once. Where the device is told of that, as with a mount that
//! discards, it does little else meanwhile, and every flush waits. So a dropped topic of a thousand segments goes slowly,
//! unless somebody waits for the room; and until its turn comes, a file can be had back.

use crate::segment::Slot;
use crate::tags::Job;
use std::collections::VecDeque;
use torc_base::io::{DiskKind, DiskOp};
use torc_base::time::Mono;

/// After a removal comes a rest of so many times what it took, while the log is written...
const REST_BUSY: u64 = 32;
/// ...and while it is not.
const REST_IDLE: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Closing,
    Removing,
}

/// All files that are to go.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    /// Good for nothing else; they go first. Each with the step that it begins with: what is not open is not closed.
    unusable: VecDeque<(Slot, Step)>,
    /// Good segment files, too many of them.
    excess: VecDeque<Slot>,
    /// The one that goes now, and since when.
    going: Option<(Slot, Step, Mono)>,
    rest_until: Option<Mono>,
}

impl Removals {
    /// This open file is of no use.
    pub(crate) fn add_unusable(&mut self, slot: Slot) {
        self.unusable.push_back((slot, Step::Closing));
    }

    /// This file could not be made. It is not open, and may have been left behind.
    pub(crate) fn add_unmade(&mut self, slot: Slot) {
        self.unusable.push_back((slot, Step::Removing));
    }

    /// This open file of the usual length, whose content means nothing, is one too many.
    pub(crate) fn add_excess(&mut self, slot: Slot) {
        self.excess.push_back(slot);
    }

    /// One of those that were too many.
    pub(crate) fn take_back(&mut self) -> Option<Slot> {
        self.excess.pop_back()
    }

    /// True while a file waits or goes that is good for nothing.
    pub(crate) fn has_unusable(&self) -> bool {
        !self.unusable.is_empty() || self.going.is_some()
    }

    /// Begins with the next one, if its time has come. `hurry`: somebody waits for the room.
    pub(crate) fn turn(&mut self, now: Mono, hurry: bool, ops: &mut Vec<DiskOp>) {
        let rests = !hurry && self.rest_until.is_some_and(|until| now < until);
        if self.going.is_some() || rests {
            return;
        }
        self.rest_until = None;
        if let Some((slot, step)) = self.unusable.pop_front() {
            self.step(slot, step, now, ops);
        } else if let Some(slot) = self.excess.pop_front() {
            self.step(slot, Step::Closing, now, ops);
        }
    }

    fn step(&mut self, slot: Slot, step: Step, now: Mono, ops: &mut Vec<DiskOp>) {
        self.going = Some((slot, step, now));
        let kind = match step {
            Step::Closing => DiskKind::Close { file: slot.file() },
            Step::Removing => DiskKind::Remove { name: slot.file_name() },
        };
        ops.push(DiskOp { tag: Job::Retire(slot).tag(), kind });
    }

    /// A step has ended, well or not. True if it was the last one of its file.
    /// `busy`: the log is being written.
    pub(crate) fn stepped(&mut self, now: Mono, slot: Slot, busy: bool, ops: &mut Vec<DiskOp>) -> bool {
        let (going, step, since) = self.going.take().expect("a file that goes");
        assert_eq!(going, slot, "one goes at a time");
        match step {
            Step::Closing => {
                self.step(slot, Step::Removing, now, ops);
                false
            }
            Step::Removing => {
                self.rest_until = Some(now.rested(since, if busy { REST_BUSY } else { REST_IDLE }));
                true
            }
        }
    }

    /// True if files wait until a rest is over.
    pub(crate) fn rests(&self) -> bool {
        self.deadline().is_some()
    }

    /// When [`Removals::turn`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        let waits = self.going.is_none() && !(self.unusable.is_empty() && self.excess.is_empty());
        self.rest_until.filter(|_| waits)
    }
}
