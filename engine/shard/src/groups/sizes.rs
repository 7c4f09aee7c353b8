//! What topics take in the log, and where logs end, for the metrics: looked at over turns when somebody asks, since it may be many
//! partitions.

use super::Groups;
use crate::inquiry::Finding;
use torc_base::ids::{GroupId, Offset};
use torc_base::limits::{TOPIC_METRICS_MAX, TURN_ITEMS};

/// A question under way.
#[derive(Debug)]
pub(super) struct Sizes {
    /// Of the question.
    number: u64,
    /// The first group that has not been looked at.
    from: GroupId,
    /// By the places of topics; the first is that of all others.
    sums: Vec<u64>,
}

/// A question for the ends of logs, and what is known of the answer.
#[derive(Debug)]
pub(super) struct Ends {
    number: u64,
    logs: std::vec::IntoIter<GroupId>,
    ends: Vec<Option<Offset>>,
}

impl Groups {
    /// True while somebody from outside waits for an answer.
    pub fn is_asked(&self) -> bool {
        self.sizes.is_some() || self.ends.is_some()
    }

    /// Begins to look where logs end, in the place of what was asked before.
    pub fn begin_ends(&mut self, number: u64, logs: Vec<GroupId>) {
        self.ends = Some(Ends { number, ends: Vec::with_capacity(logs.len()), logs: logs.into_iter() });
    }

    /// A turn's part of it; the number of the question and its answer when that is complete.
    pub fn turn_ends(&mut self) -> Option<(u64, Finding)> {
        let mut asked = self.ends.take()?;
        let end = |log: GroupId| self.extent(log).map(|(_, end)| end);
        asked.ends.extend(asked.logs.by_ref().take(TURN_ITEMS).map(end));
        if asked.logs.len() > 0 {
            self.ends = Some(asked);
            return None;
        }
        Some((asked.number, Finding::Ends(asked.ends)))
    }

    /// Begins to add up, in the place of what was asked before.
    pub fn begin_sizes(&mut self, number: u64) {
        self.sizes = Some(Sizes { number, from: GroupId(0), sums: vec![0; TOPIC_METRICS_MAX + 1] });
    }

    /// A turn's part of it; the number of the question and its answer when that is complete.
    pub fn turn_sizes(&mut self) -> Option<(u64, Finding)> {
        let sizes = self.sizes.as_mut()?;
        let mut rest = self.groups.range(sizes.from..);
        for (id, group) in rest.by_ref().take(TURN_ITEMS) {
            if group.meaning.partition().is_some() {
                sizes.sums[group.meter.place()] += self.wal.group_bytes(*id);
            }
        }
        if let Some((next, _)) = rest.next() {
            sizes.from = *next;
            return None;
        }
        let Sizes { number, sums, .. } = self.sizes.take().expect("seen above");
        let topics = self.stats.topics.names().map(|(place, name)| (name, sums[place])).collect();
        Some((number, Finding::Sizes { topics, others: sums[0] }))
    }

    /// A topic's place is another one's from now on.
    pub(super) fn forget_size(&mut self, place: usize) {
        if let Some(sizes) = &mut self.sizes {
            sizes.sums[place] = 0;
        }
    }
}
