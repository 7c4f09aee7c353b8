//! What a compacted partition of a cluster is held to: whatever goes, the last record of each key stays, and what stays is
//! what was sent, where it was.

use super::logs::{Logs, Partition, Sent, wrong};
use crate::batch::{self, Record, Whole};
use crate::violation::{Rule, Violation};
use std::collections::{BTreeMap, BTreeSet};

/// A record that was acknowledged, or seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    key: Vec<u8>,
    number: u64,
    has_value: bool,
}

/// Records of a compacted partition, by offset.
#[derive(Debug, Default)]
pub struct Kept {
    known: BTreeMap<i64, Known>,
    /// Those that whoever reads all of it has found so far.
    pass: BTreeSet<i64>,
    /// Records that were there, and are gone since a later one of their key came.
    pub gone: u64,
}

/// The records of a batch that a simulated producer made, with offsets from 0 on.
fn own(bytes: &[u8]) -> Vec<Record<'_>> {
    batch::records(bytes).expect("a batch that was made here").0
}

fn known(number: u64, record: &Record<'_>) -> Known {
    Known { key: record.key.unwrap_or_default().to_vec(), number, has_value: record.value.is_some() }
}

impl Kept {
    /// A batch was acknowledged.
    pub(super) fn acknowledged(&mut self, number: u64, base: i64, sent: &Sent) -> Result<(), String> {
        own(&sent.bytes).iter().try_for_each(|record| self.note(base + record.offset, known(number, record)))
    }

    fn note(&mut self, offset: i64, is: Known) -> Result<(), String> {
        let before = self.known.entry(offset).or_insert_with(|| is.clone());
        if *before == is {
            return Ok(());
        }
        Err(format!("a record of batch {} is at offset {offset}, where one of batch {} was", is.number, before.number))
    }

    /// Somebody begins to read all of it.
    pub(super) fn begin_audit(&mut self) {
        self.pass.clear();
    }

    /// All of it has been read: of each key the last record is there, and no older one without it.
    pub(super) fn audit(&mut self) -> Result<(), String> {
        let mut last: BTreeMap<&[u8], (i64, bool)> = BTreeMap::new();
        let mut found: BTreeMap<&[u8], i64> = BTreeMap::new();
        for (offset, record) in &self.known {
            last.insert(&record.key, (*offset, record.has_value));
            if self.pass.contains(offset) {
                found.insert(&record.key, *offset);
            }
        }
        for (key, (offset, has_value)) in last {
            let there = found.get(key).copied();
            if there != Some(offset) && (has_value || there.is_some()) {
                let there = there.map_or_else(|| "nothing".to_string(), |at| format!("the one at {at}"));
                let key = String::from_utf8_lossy(key);
                return Err(format!("of key {key:?} the last record, at {offset}, is gone, and {there} is left"));
            }
        }
        self.gone = (self.known.len() - self.pass.len()) as u64;
        Ok(())
    }
}

impl Logs {
    /// The same as [`Logs::fetched`], of a compacted topic; `audits`: somebody reads it from its beginning to its end.
    pub(super) fn fetched_compacted(
        &mut self,
        at: (usize, usize),
        from: i64,
        high_watermark: i64,
        bytes: &[u8],
        audits: bool,
    ) -> Result<i64, Violation> {
        let mut next = from;
        for left in batch::batches(bytes)? {
            if left.end <= from {
                continue;
            }
            if left.base < next && next > from {
                return wrong(Rule::NoGap, at, format!("behind offset {next} comes offset {}", left.base));
            }
            if left.end > high_watermark {
                let text = format!("offset {} was served, and {high_watermark} was the high watermark", left.end - 1);
                return wrong(Rule::BehindHighWatermark, at, text);
            }
            self.see_left(at, &left, audits)?;
            self.fetched += 1;
            next = left.end;
        }
        Ok(next)
    }

    fn see_left(&mut self, at: (usize, usize), left: &Whole<'_>, audits: bool) -> Result<(), Violation> {
        let Partition { sent, kept, .. } = self.part(at.0, at.1);
        // Mostly all records of a batch were sent in one, which is taken apart once.
        let mut whole: Option<(u64, Vec<Record<'_>>)> = None;
        for record in left.records()? {
            let offset = record.offset;
            let sent = record.number().and_then(|number| Some((number, sent.get(&number)?)));
            let Some((number, sent)) = sent else {
                return wrong(Rule::BytesAreTrue, at, format!("nobody sent the record at offset {offset} here"));
            };
            let (_, own) = match whole.take() {
                Some(same) if same.0 == number => whole.insert(same),
                _ => whole.insert((number, own(&sent.bytes))),
            };
            let was = own.iter().find(|was| was.offset == offset - left.base);
            let same = |was: &Record<'_>| (was.key, was.value, was.tail) == (record.key, record.value, record.tail);
            if !was.is_some_and(same) {
                let text = format!("the record at offset {offset} is not what was sent in batch {number}");
                return wrong(Rule::BytesAreTrue, at, text);
            }
            if let Err(text) = kept.note(offset, known(number, &record)) {
                return wrong(Rule::SeenIsFinal, at, text);
            }
            if audits {
                kept.pass.insert(offset);
            }
        }
        Ok(())
    }
}
