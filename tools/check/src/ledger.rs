//! What a topic must hold: what was acknowledged, and what a reader has seen.

use crate::content;
use crate::failure::{Result, wrong};
use crate::wire::{Client, Fetched, batches};
use bytes::Bytes;
use std::net::SocketAddr;
use torc_base::crc::crc32c;
use torc_net::kafka::records;

/// A batch that a producer sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Producer and partition in one number; the mark of its records.
    pub lane: u16,
    pub partition: u16,
    /// Number of its first record.
    pub first: u32,
    pub count: u32,
}

/// A batch that a reader has seen, with the checksum of all its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    base: i64,
    next: i64,
    crc: u32,
}

/// Where a topic is read from.
pub trait Source {
    /// The offset behind the last record of a partition.
    fn end(&mut self, topic: &str, partition: i32) -> Result<i64>;
    /// What follows an offset, up to some bytes; nothing, if it cannot be read now.
    fn read(&mut self, topic: &str, partition: i32, offset: i64) -> Result<Option<Bytes>>;
}

impl Source for Client {
    fn end(&mut self, topic: &str, partition: i32) -> Result<i64> {
        self.offset(topic, partition, -1)
    }

    fn read(&mut self, topic: &str, partition: i32, offset: i64) -> Result<Option<Bytes>> {
        let fetched = self.fetch(topic, &[(partition, offset)], 8 << 20, 500)?;
        Ok(fetched.into_iter().next().filter(|part| part.error == 0).map(|part| part.records))
    }
}

/// One topic, as its clients know it.
pub struct Ledger {
    pub topic: String,
    pub records_verified: u64,
    /// By partition, from offset 0 on.
    seen: Vec<Vec<Seen>>,
    /// By lane and record number: the offset where it was seen, or -1.
    found: Vec<Vec<i64>>,
    /// By lane: where the record with the highest number lies.
    highest: Vec<Option<(u32, i64)>>,
    /// Acknowledged, with the offset that was told (-1: none was), and not yet seen.
    owed: Vec<(Sent, i64)>,
}

impl Ledger {
    /// An empty topic.
    pub fn new(topic: String, partitions: u16) -> Ledger {
        let seen = vec![Vec::new(); usize::from(partitions)];
        Ledger { topic, records_verified: 0, seen, found: Vec::new(), highest: Vec::new(), owed: Vec::new() }
    }

    /// Another topic, empty, with as many partitions.
    pub fn start_over(&mut self, topic: String) {
        *self = Ledger { records_verified: self.records_verified, ..Ledger::new(topic, self.seen.len() as u16) };
    }

    /// A batch was acknowledged at `base`, or at a place that was not told (-1).
    pub fn acknowledged(&mut self, sent: Sent, base: i64) {
        self.owed.push((sent, base));
    }

    /// Each partition and the offset behind what was seen of it.
    pub fn ends(&self) -> Vec<(i32, i64)> {
        let end = |seen: &Vec<Seen>| seen.last().map_or(0, |batch| batch.next);
        self.seen.iter().enumerate().map(|(partition, seen)| (partition as i32, end(seen))).collect()
    }

    /// A reader at [`Ledger::ends`] got this.
    pub fn take(&mut self, fetched: Vec<Fetched>) -> Result<()> {
        for part in fetched {
            if part.error != 0 {
                return wrong(format!("fetching partition {} gave error {}", part.partition, part.error));
            }
            for (batch, bytes) in batches(part.records)? {
                self.take_batch(part.partition as usize, &batch, &bytes)?;
            }
        }
        Ok(())
    }

    /// Takes in the batch that follows what was seen.
    fn take_batch(&mut self, partition: usize, batch: &records::Batch, bytes: &Bytes) -> Result<()> {
        let end = self.seen[partition].last().map_or(0, |batch| batch.next);
        let place = format!("partition {partition} offset {}", batch.base_offset);
        if batch.base_offset != end {
            return wrong(format!("{place}: the offset {end} was due"));
        }
        let records = records::read(bytes).or_else(|e| wrong(format!("{place}: {e}")))?;
        for record in &records {
            let mark = content::read(record.value.as_deref().unwrap_or_default())?;
            let lane = usize::from(mark.producer);
            if lane % self.seen.len() != partition {
                return wrong(format!("{place}: {mark:?} was sent to another partition"));
            }
            if self.found.len() <= lane {
                self.found.resize(lane + 1, Vec::new());
                self.highest.resize(lane + 1, None);
            }
            let (found, number) = (&mut self.found[lane], mark.number as usize);
            if found.len() <= number {
                found.resize(number + 1, -1);
            }
            if found[number] >= 0 {
                return wrong(format!("{place}: {mark:?} is there twice, at {} and {}", found[number], record.offset));
            }
            found[number] = record.offset;
            if let Some((higher, at)) = self.highest[lane].filter(|(highest, _)| *highest > mark.number) {
                let later = format!("record {higher} of its producer lies before it, at {at}");
                return wrong(format!("REORDERED: {place}: {mark:?}, but {later}"));
            }
            self.highest[lane] = Some((mark.number, record.offset));
        }
        self.records_verified += records.len() as u64;
        self.seen[partition].push(Seen { base: batch.base_offset, next: batch.last_offset() + 1, crc: crc32c(bytes) });
        Ok(())
    }

    /// Reads the whole topic: what was seen before is there with the same bytes, then what is new; all that was
    /// acknowledged lies where it was said to lie.
    pub fn check(&mut self, address: SocketAddr) -> Result<()> {
        self.check_from(&mut Client::connect(address)?)
    }

    /// The same from elsewhere.
    pub fn check_from(&mut self, source: &mut impl Source) -> Result<()> {
        for partition in 0..self.seen.len() {
            self.read_all(source, partition)?;
        }
        self.settle()
    }

    /// All that was acknowledged has been seen, where it was said to lie.
    pub fn settle(&mut self) -> Result<()> {
        for (sent, base) in std::mem::take(&mut self.owed) {
            let found = self.found.get(usize::from(sent.lane));
            for n in 0..sent.count {
                let at = found.and_then(|found| found.get((sent.first + n) as usize)).copied().unwrap_or(-1);
                let due = base + i64::from(n);
                if at < 0 {
                    return wrong(format!("LOST: record {n} of {sent:?} was acknowledged at {due} and is not there"));
                }
                if base >= 0 && at != due {
                    return wrong(format!("record {n} of {sent:?} was acknowledged at {due} and lies at {at}"));
                }
            }
        }
        Ok(())
    }

    fn read_all(&mut self, source: &mut impl Source, partition: usize) -> Result<()> {
        let end = source.end(&self.topic, partition as i32)?;
        let (mut offset, mut number) = (0, 0);
        while offset < end {
            let Some(records) = source.read(&self.topic, partition as i32, offset)? else {
                return wrong(format!("partition {partition} cannot be read from {offset} to {end}"));
            };
            let got = batches(records)?;
            if got.is_empty() {
                return wrong(format!("partition {partition} ends at {end}, nothing comes from {offset}"));
            }
            for (batch, bytes) in got {
                match self.seen[partition].get(number) {
                    Some(seen) => {
                        let now = Seen { base: batch.base_offset, next: batch.last_offset() + 1, crc: crc32c(&bytes) };
                        if *seen != now {
                            return wrong(format!("partition {partition}: a reader saw {seen:?}, now it is {now:?}"));
                        }
                    }
                    None => self.take_batch(partition, &batch, &bytes)?,
                }
                offset = batch.last_offset() + 1;
                number += 1;
            }
        }
        if number < self.seen[partition].len() {
            let seen = self.seen[partition][number];
            return wrong(format!("partition {partition} ends at {end}, but a reader has seen {seen:?}"));
        }
        Ok(())
    }
}
