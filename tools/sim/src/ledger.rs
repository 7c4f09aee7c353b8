//! What the log of the coordinators says, as any client reads it: replayed by the code that loads coordinators, it is
//! what their state has to be whenever nothing of it is on its way.

use crate::batch;
use crate::violation::{Rule, Violation};
use std::collections::BTreeMap;
use std::sync::Arc;
use torc_shard::{CoordinatorSettings, decode_group_record};
use torc_state::coordinator::Coordinator;
use torc_state::coordinator::record::Record;

/// A partition of the log.
struct Part {
    /// The next offset to be read.
    next: i64,
    replayed: Coordinator,
    /// The newest generation of each group, or epoch.
    generations: BTreeMap<Arc<str>, i32>,
}

/// See the module.
#[derive(Default)]
pub struct Ledger {
    parts: BTreeMap<i32, Part>,
    /// Something was read since the last comparison.
    pub fresh: bool,
    /// Comparisons of whole coordinators.
    pub compared: u64,
}

impl Ledger {
    /// The next offset of a partition that is to be read.
    pub fn next(&self, partition: i32) -> i64 {
        self.parts.get(&partition).map_or(0, |part| part.next)
    }

    /// Reads a partition from its beginning again: what compaction has left of it says the same.
    pub fn begin_again(&mut self, partition: i32) {
        self.parts.remove(&partition);
    }

    /// A fetch from [`Ledger::next`] has brought `bytes`.
    pub fn read(&mut self, partition: i32, bytes: &[u8]) -> Result<(), Violation> {
        let part = self.parts.entry(partition).or_insert_with(|| Part {
            next: 0,
            replayed: Coordinator::new(Arc::new(CoordinatorSettings::default()), usize::MAX),
            generations: BTreeMap::new(),
        });
        self.fresh = true;
        let (records, behind) = batch::records(bytes)?;
        let next = part.next;
        for record in records.iter().filter(|record| record.offset >= next) {
            let key = record.key.ok_or_else(|| Violation::new(Rule::LogIsState, "a record without a key"))?;
            let decoded = decode_group_record(key, record.value);
            let decoded =
                decoded.map_err(|what| Violation::new(Rule::LogIsState, format!("at {}: {what}", record.offset)))?;
            if let Some(record) = decoded {
                part.generations_advance(&record)?;
                part.replayed.replay(&record);
            }
        }
        part.next = behind.unwrap_or(part.next);
        Ok(())
    }

    /// A coordinator of which nothing is on its way to the log, whose end is `end`.
    pub fn compare(&mut self, partition: i32, end: i64, live: &Coordinator) -> Result<(), Violation> {
        let Some(part) = self.parts.get(&partition).filter(|part| part.next == end) else { return Ok(()) };
        self.compared += 1;
        match live.difference(&part.replayed) {
            None => Ok(()),
            Some(what) => {
                Err(Violation::new(Rule::LogIsState, format!("partition {partition} of the log, up to {end}: {what}")))
            }
        }
    }
}

impl Part {
    fn generations_advance(&mut self, record: &Record) -> Result<(), Violation> {
        let (group, generation) = match record {
            Record::Group { group, value } => (group, value.as_ref().map(|value| value.generation)),
            Record::ConsumerGroup { group, value } => (group, value.as_ref().map(|value| value.epoch)),
            _ => return Ok(()),
        };
        let Some(generation) = generation else {
            self.generations.remove(group);
            return Ok(());
        };
        match self.generations.insert(group.clone(), generation) {
            Some(before) if before > generation => {
                let text = format!("group {group} is written down with generation {generation}, after {before}");
                Err(Violation::new(Rule::GenerationsAdvance, text))
            }
            _ => Ok(()),
        }
    }
}
