//! Who waits for records: bytes are counted as they are committed, and nothing is read before there are enough.
//!
//! A watch over several partitions is woken when they have its bytes together. No commit looks at more than the first
//! target of its partition: each partition is given an equal part of what is missing as its target, and only when one is
//! reached are all of the watch's counted, and what is still missing given out anew (the usual threshold scheme of
//! distributed counting: about k * log(bytes) looks for k partitions).

use super::{Groups, Out};
use crate::mail::{Answer, Asker};
use torc_base::ids::GroupId;

/// Somebody who waits for bytes.
#[derive(Debug)]
pub(super) struct Watch {
    /// The partitions, and their counts of committed bytes when he last looked.
    parts: Vec<(GroupId, u64)>,
    need: u64,
    /// Where each partition's target stands.
    targets: Vec<u64>,
}

impl Groups {
    /// Wakes the asker once, when `need` bytes have been committed in the partitions since they had the given counts; at
    /// once if they have been, or if one of them is gone.
    pub fn watch(&mut self, out: &mut Out, asker: Asker, parts: Vec<(GroupId, u64)>, need: u64) {
        self.unwatch(asker);
        let watch = Watch { targets: vec![0; parts.len()], parts, need: need.max(1) };
        self.set_targets(out, asker, watch);
    }

    /// Counts; wakes the asker or gives every partition its target.
    fn set_targets(&mut self, out: &mut Out, asker: Asker, mut watch: Watch) {
        // A follower may begin anew with less than it had.
        let count = |(id, since): &(GroupId, u64)| self.groups.get(id)?.records().committed_bytes().checked_sub(*since);
        let Some(bytes) = watch.parts.iter().map(count).sum::<Option<u64>>() else {
            return self.wake(out, asker, u64::MAX);
        };
        if bytes >= watch.need {
            return self.wake(out, asker, bytes);
        }
        let part = (watch.need - bytes).div_ceil(watch.parts.len() as u64);
        for ((id, _), target) in watch.parts.iter().zip(&mut watch.targets) {
            let group = self.groups.get_mut(id).expect("just counted");
            *target = group.records().committed_bytes() + part;
            group.watchers.insert((*target, asker));
        }
        self.watches.insert(asker, watch);
    }

    fn wake(&self, out: &mut Out, asker: Asker, bytes: u64) {
        out.answers.push_back((asker, Answer::Wake { place: self.settings.here(), bytes }));
    }

    /// Forgets the asker's watch.
    pub fn unwatch(&mut self, asker: Asker) {
        self.take_watch(asker);
    }

    fn take_watch(&mut self, asker: Asker) -> Option<Watch> {
        let watch = self.watches.remove(&asker)?;
        for ((id, _), target) in watch.parts.iter().zip(&watch.targets) {
            if let Some(group) = self.groups.get_mut(id) {
                group.watchers.remove(&(*target, asker));
            }
        }
        Some(watch)
    }

    /// Bytes have been committed in the partition.
    pub(super) fn look_at_watchers(&mut self, out: &mut Out, id: GroupId) {
        while let Some(group) = self.groups.get(&id)
            && let Some(&(target, asker)) = group.watchers.first()
            && target <= group.records().committed_bytes()
        {
            let watch = self.take_watch(asker).expect("a watcher has a watch");
            self.set_targets(out, asker, watch);
        }
    }

    /// The partition is gone: whoever watches it shall look.
    pub(super) fn wake_all(&mut self, out: &mut Out, watchers: impl IntoIterator<Item = Asker>) {
        for asker in watchers {
            if self.take_watch(asker).is_some() {
                self.wake(out, asker, u64::MAX);
            }
        }
    }
}
