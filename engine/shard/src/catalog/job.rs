//! A client's request for changes, until it is answered.

use crate::kafka::View;
use crate::mail::{AdminResult, Asker};
use std::sync::Arc;
use torc_base::ids::Index;
use torc_base::time::Mono;
use torc_net::kafka::error;
use torc_state::catalog::Topic;

/// How long what is committed may take to be in force: a partition may have no leader for long.
const IN_FORCE_MS: u64 = 5_000;

/// A request whose results are awaited, or are not in force yet.
pub(super) struct Job {
    pub asker: Asker,
    pub results: Vec<Option<AdminResult>>,
    /// Results that are not there yet.
    pub missing: usize,
    /// The last entry of the catalog's log that it led to.
    pub index: Index,
    /// The change that shards were told of then; `None`: another node's owner has committed it, and it is not applied here.
    pub change: Option<u64>,
    /// It is answered then if all results are there, whatever is in force.
    pub until: Mono,
    /// Its topics are to have leaders first.
    awaits_leaders: bool,
    /// How many of its results were looked at, and of how many partitions of the next one it is known that they have leaders.
    seen: (usize, u32),
}

impl Job {
    /// No results yet.
    pub fn new(now: Mono, asker: Asker, items: usize, awaits_leaders: bool) -> Job {
        Job {
            asker,
            results: vec![None; items],
            missing: items,
            index: Index(0),
            change: Some(0),
            until: now.plus_ms(IN_FORCE_MS),
            awaits_leaders,
            seen: (0, 0),
        }
    }

    /// Of results that another node's owner has committed, all in one.
    pub fn committed(now: Mono, asker: Asker, index: Index, results: Vec<AdminResult>, awaits_leaders: bool) -> Job {
        let results = results.into_iter().map(Some).collect();
        Job { results, missing: 0, index, change: None, ..Job::new(now, asker, 0, awaits_leaders) }
    }

    /// A result, and the entry and the change that it came with.
    pub fn item_done(&mut self, item: usize, result: AdminResult, (index, change): (Index, u64)) {
        assert!(self.results[item].replace(result).is_none(), "an item is answered once");
        self.missing -= 1;
        self.index = self.index.max(index);
        self.change = self.change.max(Some(change));
    }

    /// True if whoever asked finds what was changed: `applied` is the last entry that is applied here, `last` the change that
    /// it made, and `in_force` the change that all shards have gone by.
    pub fn is_in_force(&mut self, (applied, last, in_force): (Index, u64, u64), view: &View) -> bool {
        if self.change.is_none() && applied >= self.index {
            self.change = Some(last);
        }
        self.change.is_some_and(|change| change <= in_force) && (!self.awaits_leaders || self.has_leaders(view))
    }

    fn has_leaders(&mut self, view: &View) -> bool {
        let (item, partition) = &mut self.seen;
        while let Some(result) = self.results.get(*item) {
            let topic = result.as_ref().filter(|result| result.error == error::NONE);
            let topic: Option<&Arc<Topic>> = topic.and_then(|result| result.topic.as_ref());
            while let Some(group) = topic.and_then(|topic| topic.partitions.get(*partition)) {
                if view.leader(group).is_none() {
                    return false;
                }
                *partition += 1;
            }
            (*item, *partition) = (*item + 1, 0);
        }
        true
    }
}
