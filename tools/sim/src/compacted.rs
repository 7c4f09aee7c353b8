//! What a compacted topic is held to: whatever goes, the last record of each key stays, and what stays is what was sent,
//! where it was.
//!
//! Compaction may go on between any two requests, and what it left may be back after a crash. So a record may be gone
//! whenever a later one of its key may be in the log: one that somebody was told of, or one that was sent and may lie where
//! nobody has seen anything. A tombstone may go when it has had its time: that begins when it is sent, and again whenever
//! something is seen that it deletes.
//!
//! Who looks a record up by its time is not told where the log ends. There may be more by then than anybody knows of, and it may
//! have replaced what was known: such an answer is judged when somebody who asked later has been told of the log's end.

use crate::batch::{self, Record, Whole};
use crate::history::{History, Partition, Sent};
use crate::violation::{Rule, Violation};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The attribute bit that says that the base timestamp is the time of the tombstones' end.
const HAS_HORIZON: u8 = 0x40;

/// How a topic is compacted.
#[derive(Clone, Copy, Debug)]
pub struct Compaction {
    /// How many keys its records have.
    pub keys: u32,
    /// `delete.retention.ms`
    pub tombstones_ms: u64,
    /// `min.compaction.lag.ms` and `max.compaction.lag.ms`
    pub lags_ms: (u64, u64),
    /// So much older than now its records say they are.
    pub age_ms: u64,
}

/// What a record was looked up by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sought {
    /// The first with this timestamp or a later one.
    From(i64),
    /// The one with the largest.
    Largest,
}

/// An answer that cannot be judged before more is known.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    at_ms: u64,
    span: Range<i64>,
    sought: Sought,
    /// Offset and timestamp, or -1.
    told: (i64, i64),
}

/// A record that is or was there.
#[derive(Clone, Copy, Debug)]
struct Known {
    timestamp: i64,
    has_value: bool,
    /// When its batch was made.
    since_ms: u64,
    /// When somebody asked who got it, and who got an older one of its key that is gone.
    served_ms: u64,
    older_served_ms: u64,
}

/// The records of a partition by their keys, as far as anybody was told of them and they were not found to be gone.
#[derive(Default)]
pub struct Keys {
    by_key: BTreeMap<Vec<u8>, BTreeMap<i64, Known>>,
}

impl Keys {
    /// A batch was seen at `base`.
    pub fn add(&mut self, base: i64, sent: &Sent) {
        for record in own_records(&sent.bytes) {
            let (timestamp, has_value) = (record.timestamp, record.value.is_some());
            let known = Known { timestamp, has_value, since_ms: sent.made_ms, served_ms: 0, older_served_ms: 0 };
            let key = record.key.unwrap_or_default().to_vec();
            self.by_key.entry(key).or_default().entry(base + record.offset).or_insert(known);
        }
    }

    /// A record was not found, and a later one of its key is known.
    fn is_gone(&mut self, key: &[u8], offset: i64) {
        let Some(of_key) = self.by_key.get_mut(key) else { return };
        let Some(gone) = of_key.remove(&offset) else { return };
        if let Some((_, next)) = of_key.range_mut(offset..).next() {
            next.older_served_ms = next.older_served_ms.max(gone.served_ms).max(gone.older_served_ms);
        }
    }

    /// The last record of each key.
    fn last(&self) -> impl Iterator<Item = (&[u8], i64, Known)> {
        self.by_key.iter().filter_map(|(key, known)| {
            let (offset, known) = known.last_key_value()?;
            Some((&key[..], *offset, *known))
        })
    }
}

/// The records of a batch that a simulated producer made, with offsets from 0 on.
fn own_records(bytes: &[u8]) -> Vec<Record<'_>> {
    batch::records(bytes).expect("a batch that was made here").0
}

/// What a compacted log says of a batch that is not what was sent.
fn difference(sent: &[u8], left: &Whole<'_>, records: &[Record<'_>]) -> Option<String> {
    let bytes = left.bytes;
    let marked = bytes[22] & HAS_HORIZON != 0;
    let same = |range: Range<usize>| bytes[range.clone()] == sent[range];
    if bytes[21] != sent[21] || bytes[22] & !HAS_HORIZON != sent[22] {
        return Some("other attributes".into());
    }
    if !same(23..27) || !same(43..57) {
        return Some("another last offset, producer or sequence".into());
    }
    if !marked && !records.is_empty() && !same(27..35) {
        return Some("another base timestamp".into());
    }
    let was: BTreeMap<i64, Record<'_>> = own_records(sent).into_iter().map(|r| (r.offset, r)).collect();
    let mut next = left.base;
    for record in records {
        if record.offset < next || record.offset >= left.end {
            return Some(format!("offset {} behind {next}", record.offset));
        }
        next = record.offset + 1;
        let Some(sent) = was.get(&(record.offset - left.base)) else {
            return Some(format!("a record at {} that it never had", record.offset));
        };
        if (record.key, record.value, record.tail) != (sent.key, sent.value, sent.tail) {
            return Some(format!("another record at {}", record.offset));
        }
        if record.timestamp != sent.timestamp {
            return Some(format!("timestamp {} at {}, not {}", record.timestamp, record.offset, sent.timestamp));
        }
    }
    let largest = i64::from_be_bytes(bytes[35..43].try_into().expect("8 bytes"));
    let real = records.iter().map(|record| record.timestamp).max();
    real.filter(|real| *real != largest).map(|real| format!("the largest timestamp {largest}, not {real}"))
}

impl Partition {
    /// The batch that `left` is a rest of; of an empty one it may be unknown.
    fn whose(&self, left: &Whole<'_>, records: &[Record<'_>]) -> Option<u64> {
        if let Some(record) = records.first() {
            return record.number();
        }
        if let Some((number, end)) = self.at.get(&left.base) {
            return (*end == left.end).then_some(*number);
        }
        let has_producer = left.bytes[43..51] != [0xff; 8];
        let same = |sent: &Sent| sent.bytes[43..57] == left.bytes[43..57] && sent.bytes[23..27] == left.bytes[23..27];
        self.batches.iter().find(|(_, sent)| has_producer && same(sent)).map(|(number, _)| *number)
    }

    /// True if there may be a record of the key behind `offset` that nobody was told of.
    fn may_have_more(&self, key: &[u8], offset: i64) -> bool {
        let has_key = |sent: &Sent| own_records(&sent.bytes).iter().any(|record| record.key == Some(key));
        let unseen = |sent: &&Sent| sent.places < sent.places_max() && has_key(sent);
        self.batches.values().filter(unseen).any(|sent| self.has_hole(offset, i64::from(sent.records)))
    }

    /// True if `records` offsets in a row behind `offset` have been seen with nothing.
    fn has_hole(&self, offset: i64, records: i64) -> bool {
        let mut seen = self.at.range(..=offset).next_back().map_or(offset + 1, |(_, (_, end))| *end);
        for (base, (_, end)) in self.at.range(offset + 1..) {
            if base - seen >= records {
                return true;
            }
            seen = seen.max(*end);
        }
        self.hw - seen >= records
    }
}

impl History {
    /// True if the topic is compacted.
    pub fn is_compacted(&self, t: usize) -> bool {
        self.topics[t].compaction.is_some()
    }

    /// Somebody got `bytes` of a compacted topic, who asked at `asked_ms`: what is there was there then.
    pub fn sighted(&mut self, t: usize, p: usize, asked_ms: u64, bytes: &[u8]) {
        let Ok((records, _)) = batch::records(bytes) else { return };
        let keys = &mut self.part(t, p).keys;
        for record in records {
            let Some(of_key) = record.key.and_then(|key| keys.by_key.get_mut(key)) else { continue };
            match of_key.range_mut(record.offset..).next() {
                Some((at, known)) if *at == record.offset => known.served_ms = known.served_ms.max(asked_ms),
                // It had been found to be gone, and a crash has brought it back.
                Some((_, next)) => next.older_served_ms = next.older_served_ms.max(asked_ms),
                None => {}
            }
        }
    }

    /// A fetch of a compacted topic from `from` returned `bytes`. Returns the offset to go on from.
    pub(crate) fn fetched_compacted(
        &mut self,
        (t, p): (usize, usize),
        from: i64,
        hw: i64,
        bytes: &[u8],
    ) -> Result<i64, Violation> {
        let name = self.place_name(t, p);
        let named = |v: Violation| Violation::new(v.rule, format!("{name}: {}", v.text));
        let broken = |rule, text: String| Err(Violation::new(rule, format!("{name}: {text}")));
        let (mut next, mut found) = (from, BTreeSet::new());
        for (n, left) in batch::batches(bytes).map_err(named)?.iter().enumerate() {
            let (base, end) = (left.base, left.end);
            if end <= next || n > 0 && base < next {
                return broken(Rule::NoGap, format!("asked from {from}, behind {next} is the batch {base}..{end}"));
            }
            if end > hw {
                let text = format!("a batch up to {end} was served with a high watermark of {hw}");
                return broken(Rule::BehindHighWatermark, text);
            }
            let records = left.records().map_err(named)?;
            match self.part(t, p).whose(left, &records) {
                Some(number) => {
                    let Some(sent) = self.part(t, p).batches.get(&number) else {
                        return broken(
                            Rule::BytesAreTrue,
                            format!("at {base} is batch {number}, which nobody sent here"),
                        );
                    };
                    if let Some(what) = difference(&sent.bytes, left, &records) {
                        let text = format!("batch {number} came back from {base}..{end} with {what}");
                        return broken(Rule::BytesAreTrue, text);
                    }
                    self.place(t, p, number, base, end, "fetched")?;
                }
                None if records.is_empty() => {}
                None => {
                    return broken(Rule::BytesAreTrue, format!("at {base} are records that nobody sent"));
                }
            }
            found.extend(records.iter().map(|record| record.offset));
            self.fetched += 1;
            next = end;
        }
        self.check_left(t, p, from..next, &found)?;
        Ok(next)
    }

    /// `span` has been read, and `found` is there.
    fn check_left(&mut self, t: usize, p: usize, span: Range<i64>, found: &BTreeSet<i64>) -> Result<(), Violation> {
        let partition = &self.topics[t].partitions[p];
        let low = span.start.max(partition.start).max(partition.start_most);
        if low >= span.end {
            return Ok(());
        }
        let mut gone = Vec::new();
        for (key, known) in &partition.keys.by_key {
            let Some((&last, what)) = known.last_key_value() else { continue };
            for (&offset, _) in known.range(low..span.end).filter(|(offset, _)| !found.contains(offset)) {
                if offset < last {
                    gone.push((key.clone(), offset));
                } else if !partition.may_have_more(key, last) {
                    let older = known.range(..last).map(|(_, known)| known.served_ms.max(known.older_served_ms)).max();
                    self.may_be_gone((t, p), (key, last, what), older.unwrap_or(0))?;
                }
            }
        }
        self.compacted += gone.len() as u64;
        let keys = &mut self.part(t, p).keys;
        gone.iter().for_each(|(key, offset)| keys.is_gone(key, *offset));
        Ok(())
    }

    /// The last record of a key is not there, and an older one was at `older_ms`.
    fn may_be_gone(
        &self,
        (t, p): (usize, usize),
        (key, offset, what): (&[u8], i64, &Known),
        older_ms: u64,
    ) -> Result<(), Violation> {
        let name = format!("{}, key {:?}", self.place_name(t, p), String::from_utf8_lossy(key));
        if what.has_value {
            return Err(Violation::new(Rule::LastIsKept, format!("{name}: its last record, at {offset}, is gone")));
        }
        let Some(compaction) = self.topics[t].compaction else { return Ok(()) };
        let since = what.since_ms.max(older_ms).max(what.older_served_ms);
        if self.clock_jumped || self.now_ms >= since + compaction.tombstones_ms {
            return Ok(());
        }
        let text = format!(
            "{name}: its tombstone at {offset} is gone at {} ms; it was made at {}, and what it deletes was there at {}; \
             it stays for {} ms",
            self.now_ms,
            what.since_ms,
            older_ms.max(what.older_served_ms),
            compaction.tombstones_ms
        );
        Err(Violation::new(Rule::LastIsKept, text))
    }

    /// Somebody looked for a record in `span` of a compacted partition, and was told `(offset, timestamp)`.
    pub(crate) fn doubt(&mut self, (t, p): (usize, usize), span: Range<i64>, sought: Sought, told: (i64, i64)) {
        let at_ms = self.now_ms;
        self.part(t, p).doubts.push(Doubt { at_ms, span, sought, told });
    }

    /// Somebody who asked at `asked_ms` was told where the partition ends: all is known that was there before they asked.
    pub fn told_end(&mut self, (t, p): (usize, usize), asked_ms: u64) -> Result<(), Violation> {
        let doubts = &mut self.part(t, p).doubts;
        let settled: Vec<Doubt> = doubts.extract_if(.., |doubt| doubt.at_ms < asked_ms).collect();
        for Doubt { at_ms, span, sought, told: (offset, timestamp) } in settled {
            let sure = self.surely_there((t, p), span, |time| match sought {
                Sought::From(asked) => time >= asked,
                Sought::Largest => offset < 0 || time > timestamp,
            });
            let Some((record, time)) = sure else { continue };
            let what = match sought {
                Sought::From(asked) => format!("asked for time {asked}, told offset {offset}"),
                Sought::Largest => format!("the largest timestamp was said to be {timestamp} at {offset}"),
            };
            let text = format!("{}: {what} at {at_ms} ms; at {record} is {time}", self.place_name(t, p));
            return Err(Violation::new(Rule::BytesAreTrue, text));
        }
        Ok(())
    }

    /// The first record of a compacted partition that is there whatever was compacted, lies in `span`, and that `matches` by its
    /// timestamp. It was there when the span was looked through, if all is known now that was there then.
    fn surely_there(
        &self,
        (t, p): (usize, usize),
        span: Range<i64>,
        matches: impl Fn(i64) -> bool,
    ) -> Option<(i64, i64)> {
        let partition = &self.topics[t].partitions[p];
        let low = span.start.max(partition.start_most);
        let there = |(key, offset, known): &(&[u8], i64, Known)| {
            known.has_value
                && (low..span.end).contains(offset)
                && matches(known.timestamp)
                && !partition.may_have_more(key, *offset)
        };
        let sure = partition.keys.last().filter(there).map(|(_, offset, known)| (offset, known.timestamp));
        sure.min()
    }
}

#[cfg(test)]
#[path = "compacted_tests.rs"]
mod tests;
