//! Reading partitions: from offsets on, up to offsets or for ever, without what transactions took back.

use crate::output::complain;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use torc_client::{
    AskError, EARLIEST, Ended, FetchLimits, Fetched, Isolation, LATEST, MemberError, Patience, Topic, TopicError,
};
use torc_net::kafka::records::{self, Batch, HEADER, Invalid, OwnedRecord, TimestampType};

/// How long an answer may wait for records; Ctrl-C is seen after it.
const WAIT: Duration = Duration::from_millis(300);
const ANSWER_BYTES: i32 = 8 << 20;
const PARTITION_BYTES: i32 = 1 << 20;

/// A record where it was read.
pub struct Taken<'a> {
    pub partition: i32,
    pub timestamp_type: &'static str,
    pub record: &'a OwnedRecord,
}

/// Whether more is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    More,
    Enough,
}

/// Why reading ends before its end.
#[derive(Debug)]
pub enum ReadError {
    Topic(TopicError),
    /// What a broker sent is no batch that can be read.
    Batch {
        partition: i32,
        offset: i64,
        invalid: Invalid,
    },
    /// It reads as a member of a group, and is none.
    Member(MemberError),
    /// The log ends before what was read: records are gone.
    Truncated {
        partition: i32,
        offset: i64,
        end: i64,
    },
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Topic(error) => error.fmt(f),
            ReadError::Member(error) => error.fmt(f),
            ReadError::Batch { partition, offset, invalid } => {
                write!(f, "partition {partition} cannot be read at offset {offset}: {invalid}")
            }
            ReadError::Truncated { partition, offset, end } => {
                write!(f, "partition {partition} ends at offset {end} now, before {offset}: records are gone")
            }
        }
    }
}

impl ReadError {
    /// True if somebody wanted it to stop.
    pub fn is_stop(&self) -> bool {
        matches!(
            self,
            ReadError::Topic(TopicError::Ended(Ended::Stopped))
                | ReadError::Member(MemberError::Ask(AskError::Ended(Ended::Stopped)))
        )
    }
}

impl From<MemberError> for ReadError {
    fn from(error: MemberError) -> ReadError {
        ReadError::Member(error)
    }
}

impl From<TopicError> for ReadError {
    fn from(error: TopicError) -> ReadError {
        ReadError::Topic(error)
    }
}

struct Position {
    /// The next offset to read.
    next: i64,
    /// Where to stop; `None`: never.
    until: Option<i64>,
}

impl Position {
    fn is_done(&self) -> bool {
        self.until.is_some_and(|until| self.next >= until)
    }
}

/// Reads partitions of a topic.
pub struct TopicReader {
    pub topic: Topic,
    pub patience: Patience,
    isolation: Isolation,
    positions: BTreeMap<i32, Position>,
    /// Rounds made: answers are of bounded size, so each round asks in another order.
    rounds: usize,
}

impl TopicReader {
    /// A reader that reads nothing yet.
    pub fn new(topic: Topic, patience: Patience, isolation: Isolation) -> TopicReader {
        TopicReader { topic, patience, isolation, positions: BTreeMap::new(), rounds: 0 }
    }

    /// The offset of each of `partitions` at `time`, or at an edge.
    pub fn offsets(&mut self, partitions: &[i32], time: i64) -> Result<BTreeMap<i32, i64>, TopicError> {
        let asked = partitions.iter().map(|partition| (*partition, time)).collect();
        self.topic.offsets(&asked, self.isolation, &mut self.patience)
    }

    /// From now on reads from these offsets, up to `ends` if there are any.
    pub fn begin(&mut self, starts: &BTreeMap<i32, i64>, ends: Option<&BTreeMap<i32, i64>>) {
        self.positions.clear();
        self.add(starts, ends);
    }

    /// Reads these too.
    pub fn add(&mut self, starts: &BTreeMap<i32, i64>, ends: Option<&BTreeMap<i32, i64>>) {
        let until = |partition| ends.and_then(|ends| ends.get(partition).copied());
        self.positions.extend(starts.iter().map(|(p, next)| (*p, Position { next: *next, until: until(p) })));
    }

    /// Does not read these any more.
    pub fn remove(&mut self, partitions: impl Iterator<Item = i32>) {
        for partition in partitions {
            self.positions.remove(&partition);
        }
    }

    /// The next offset to read of each partition.
    pub fn next_offsets(&self) -> impl Iterator<Item = (i32, i64)> {
        self.positions.iter().map(|(partition, at)| (*partition, at.next))
    }

    /// Looks up anew which partitions the topic has.
    pub fn refresh(&mut self) -> Result<(), TopicError> {
        self.topic.refresh(&mut self.patience)
    }

    /// Reads partitions that are new since the topic was looked up, from their beginning.
    pub fn look_for_new(&mut self) -> Result<(), TopicError> {
        self.refresh()?;
        let new: Vec<i32> = self.topic.partitions().into_iter().filter(|p| !self.positions.contains_key(p)).collect();
        let starts = self.offsets(&new, EARLIEST)?;
        self.positions.extend(starts.into_iter().map(|(partition, next)| (partition, Position { next, until: None })));
        Ok(())
    }

    /// True if all that was to be read is.
    pub fn is_done(&self) -> bool {
        self.positions.values().all(Position::is_done)
    }

    /// One fetch of all partitions that are not at their ends; hands on its records until there are enough.
    pub fn round(&mut self, mut take: impl FnMut(&Taken) -> Wanted) -> Result<Wanted, ReadError> {
        let mut from: Vec<(i32, i64)> = self
            .positions
            .iter()
            .filter(|(_, at)| !at.is_done())
            .map(|(partition, at)| (*partition, at.next))
            .collect();
        if from.is_empty() {
            return Ok(Wanted::More);
        }
        let turn = self.rounds % from.len();
        from.rotate_left(turn);
        self.rounds += 1;
        let limits = FetchLimits {
            wait_ms: WAIT.as_millis() as i32,
            bytes: ANSWER_BYTES,
            partition_bytes: PARTITION_BYTES,
            isolation: self.isolation,
        };
        for fetched in self.topic.fetch(&from, &limits, &mut self.patience)? {
            if fetched.out_of_range {
                self.find_place(fetched.partition)?;
            } else if self.take_batches(&fetched, &mut take)? == Wanted::Enough {
                return Ok(Wanted::Enough);
            }
        }
        Ok(Wanted::More)
    }

    /// The log does not have what is to be read next: it was deleted meanwhile, or was never there.
    fn find_place(&mut self, partition: i32) -> Result<(), ReadError> {
        let start = self.offsets(&[partition], EARLIEST)?.get(&partition).copied().unwrap_or(0);
        let end = self.offsets(&[partition], LATEST)?.get(&partition).copied().unwrap_or(0);
        let Some(at) = self.positions.get_mut(&partition) else { return Ok(()) };
        if at.next > end {
            return Err(ReadError::Truncated { partition, offset: at.next, end });
        }
        if at.next < start {
            complain(&format!(
                "partition {partition} begins at offset {start} now: the records from {} on were deleted before they were read",
                at.next
            ));
            at.next = start;
        }
        Ok(())
    }

    fn take_batches(&mut self, fetched: &Fetched, take: &mut dyn FnMut(&Taken) -> Wanted) -> Result<Wanted, ReadError> {
        let partition = fetched.partition;
        // A broker may say what it was not asked for.
        let Some(at) = self.positions.get_mut(&partition) else { return Ok(Wanted::More) };
        let mut aborted = Aborted::new(&fetched.aborted);
        let mut rest = &fetched.records[..];
        while rest.len() >= HEADER {
            let offset = at.next;
            let broken = |invalid| ReadError::Batch { partition, offset, invalid };
            let batch = records::parse(rest).map_err(broken)?;
            let Some((bytes, behind)) = rest.split_at_checked(batch.length) else { break };
            rest = behind;
            let skip = aborted.skips(&batch, bytes);
            if !skip && batch.last_offset() >= at.next && batch.records > 0 {
                records::verify(bytes).map_err(broken)?;
                let timestamp_type = match batch.timestamp_type() {
                    TimestampType::CreateTime => "CreateTime",
                    TimestampType::LogAppendTime => "LogAppendTime",
                };
                for record in records::read(bytes).map_err(broken)? {
                    if record.offset < at.next {
                        continue;
                    }
                    if at.until.is_some_and(|until| record.offset >= until) {
                        break;
                    }
                    at.next = record.offset + 1;
                    if take(&Taken { partition, timestamp_type, record: &record }) == Wanted::Enough {
                        return Ok(Wanted::Enough);
                    }
                }
            }
            // Records at its end may have been compacted away.
            at.next = at.next.max(batch.last_offset() + 1);
            if at.is_done() {
                break;
            }
        }
        Ok(Wanted::More)
    }
}

/// Transactions of one answer that were aborted.
pub(super) struct Aborted {
    /// Producer and first offset, the last one first.
    later: Vec<(i64, i64)>,
    /// Producers whose transactions are aborted where reading is now.
    open: BTreeSet<i64>,
}

/// The type of a control record that ends a transaction by taking it back; it stands in the second half of its key.
const ABORT: &[u8] = &[0, 0];

impl Aborted {
    pub(super) fn new(aborted: &[(i64, i64)]) -> Aborted {
        let mut later = aborted.to_vec();
        later.sort_unstable_by_key(|(_, first)| std::cmp::Reverse(*first));
        Aborted { later, open: BTreeSet::new() }
    }

    /// True if nobody wants the records of `batch`.
    pub(super) fn skips(&mut self, batch: &Batch, bytes: &[u8]) -> bool {
        while let Some((producer, _)) = self.later.pop_if(|(_, first)| *first <= batch.last_offset()) {
            self.open.insert(producer);
        }
        if batch.is_control() {
            let key = records::read(bytes).ok().and_then(|records| records.into_iter().next()?.key);
            if key.is_some_and(|key| key.get(2..4) == Some(ABORT)) {
                self.open.remove(&batch.producer_id);
            }
            return true;
        }
        batch.is_transactional() && self.open.contains(&batch.producer_id)
    }
}
