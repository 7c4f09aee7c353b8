//! The last N records of a topic: partitions have no common order but that of time.

use super::reader::{ReadError, Taken, TopicReader, Wanted};
use std::collections::{BTreeMap, VecDeque};
use torc_client::EARLIEST;
use torc_net::kafka::records::OwnedRecord;

/// How much further back is read where the last offsets do not all have records: some are compacted away or of transactions.
const FURTHER: i64 = 8;

/// A record with memory of its own, and where it was.
pub struct Kept {
    pub partition: i32,
    pub timestamp_type: &'static str,
    pub record: OwnedRecord,
}

/// The last `count` records before `ends`, by their timestamps; those of one partition in the order of their offsets.
pub fn read(
    reader: &mut TopicReader,
    ends: &BTreeMap<i32, i64>,
    count: usize,
    stopped: impl Fn() -> bool,
) -> Result<Vec<Kept>, ReadError> {
    let partitions: Vec<i32> = ends.keys().copied().collect();
    let first = reader.offsets(&partitions, EARLIEST)?;
    let mut all = Vec::new();
    for (partition, end) in ends {
        let first = first.get(partition).copied().unwrap_or(0);
        let mut back = count as i64;
        loop {
            let start = end.saturating_sub(back).max(first);
            let kept = of_partition(reader, *partition, start..*end, count, &stopped)?;
            if kept.len() >= count || start <= first || stopped() {
                all.extend(kept);
                break;
            }
            back = back.saturating_mul(FURTHER);
        }
    }
    // Timestamps need not rise within a partition, its offsets do: a record is placed by the largest timestamp up to it.
    let mut largest: BTreeMap<i32, i64> = BTreeMap::new();
    let mut placed: Vec<(i64, Kept)> = all
        .into_iter()
        .map(|kept| {
            let time = largest.entry(kept.partition).or_insert(i64::MIN);
            *time = kept.record.timestamp.max(*time);
            (*time, kept)
        })
        .collect();
    placed.sort_by_key(|(time, _)| *time);
    let over = placed.len().saturating_sub(count);
    Ok(placed.drain(over..).map(|(_, kept)| kept).collect())
}

/// The last `count` records of some offsets of one partition.
fn of_partition(
    reader: &mut TopicReader,
    partition: i32,
    offsets: std::ops::Range<i64>,
    count: usize,
    stopped: &impl Fn() -> bool,
) -> Result<VecDeque<Kept>, ReadError> {
    reader.begin(&[(partition, offsets.start)].into(), Some(&[(partition, offsets.end)].into()));
    let mut kept = VecDeque::new();
    while !reader.is_done() && !stopped() {
        reader.round(|taken: &Taken| {
            let Taken { partition, timestamp_type, record } = *taken;
            kept.push_back(Kept { partition, timestamp_type, record: record.clone() });
            if kept.len() > count {
                kept.pop_front();
            }
            Wanted::More
        })?;
    }
    Ok(kept)
}
