//! What the clients know, and whether it can all be true.
//!
//! Every client reports here what it sent and what it was told. Facts that one client learned bind what every other is
//! told later: an acknowledged or fetched batch keeps its offset for ever, marks only advance, over any crash.

use crate::batch::{self, Fetched, Plan};
use crate::compacted::{Compaction, Doubt, Keys, Sought};
use crate::groups::GroupHistory;
use crate::ledger::Ledger;
use crate::violation::{Rule, Violation};
use std::collections::{BTreeMap, BTreeSet};

/// A batch that some producer sent at least once.
pub struct Sent {
    /// Its bytes, as they left the producer.
    pub bytes: Vec<u8>,
    /// Records in it.
    pub records: u32,
    /// Whose it is, and its number among those; what was sent once, or is idempotent, lies in this order.
    pub lane: (u64, u64),
    /// At most one place in the log, however often it is sent.
    pub idempotent: bool,
    /// How often it was sent.
    pub attempts: u32,
    /// Offset that was acknowledged (acks 1 or all).
    pub acked: Option<i64>,
    /// Places in the log where it was seen.
    pub places: u32,
    /// Its largest timestamp.
    pub max_timestamp: i64,
    /// When it was made, in milliseconds of the run.
    pub made_ms: u64,
}

impl Sent {
    /// In how many places of the log it may be.
    pub fn places_max(&self) -> u32 {
        if self.idempotent { 1 } else { self.attempts }
    }
}

/// What is known of a partition.
#[derive(Default)]
pub struct Partition {
    /// By number.
    pub batches: BTreeMap<u64, Sent>,
    /// Base offset -> (number, end offset) of all that anybody was told of.
    pub at: BTreeMap<i64, (u64, i64)>,
    /// Highest log start that anybody was told of.
    pub start: i64,
    /// How far anybody has asked for the log start to be moved.
    pub start_most: i64,
    /// Highest high watermark that anybody was told of.
    pub hw: i64,
    /// (lane, order in it) -> offset.
    lanes: BTreeMap<(u64, u64), i64>,
    /// Of a compacted topic: its records by their keys.
    pub keys: Keys,
    /// What was told of it and cannot be judged yet.
    pub(crate) doubts: Vec<Doubt>,
}

/// A topic's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Its creation was asked for.
    Asked,
    /// Its creation was acknowledged.
    Live,
    /// Its deletion was asked for.
    Dying,
    /// Its deletion was acknowledged.
    Gone,
}

/// A topic that some client asked for. Names are never used twice.
pub struct Topic {
    /// Name.
    pub name: String,
    /// Topic id, once known.
    pub id: Option<u128>,
    /// See [`Life`].
    pub life: Life,
    /// Retention may move the log starts.
    pub retention: bool,
    /// Records may go when there are later ones of their keys.
    pub compaction: Option<Compaction>,
    /// By partition.
    pub partitions: Vec<Partition>,
}

/// What errors the faults of the run explain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Disk operations were made to fail since the last start.
    pub disk_errors: bool,
    /// The disk is or was full.
    pub full: bool,
    /// Data at rest was damaged.
    pub damage: bool,
    /// Something may hold answers up for long: the server was stopped or is fenced.
    pub stuck: bool,
    /// There are several servers: one of them may not know yet what another one has done, and coordinators move.
    pub several: bool,
}

/// What to do with a batch that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it again.
    Retry,
    /// Its topic is gone.
    Drop,
}

/// All that the clients know.
#[derive(Default)]
pub struct History {
    /// In the order of their first mention.
    pub topics: Vec<Topic>,
    /// See [`Faults`].
    pub faults: Faults,
    producer_ids: BTreeSet<i64>,
    next_number: u64,
    /// Acknowledged batches.
    pub acked: u64,
    /// Batches that came back in fetches.
    pub fetched: u64,
    /// Requests that got an error.
    pub errors: u64,
    /// What is known of consumer groups.
    pub groups: GroupHistory,
    /// What the log of their coordinators says.
    pub ledger: Ledger,
    /// Milliseconds since the run began.
    pub now_ms: u64,
    /// The server's clock was set while it ran.
    pub clock_jumped: bool,
    /// Records that readers found to be compacted away.
    pub compacted: u64,
    /// Members of groups only pretend to read what they are to consume.
    pub pretends: bool,
}

/// Kafka's error codes, as far as the simulated clients tell them apart.
pub mod code {
    /// No error.
    pub const NONE: i16 = 0;
    /// OFFSET_OUT_OF_RANGE
    pub const OUT_OF_RANGE: i16 = 1;
    /// CORRUPT_MESSAGE
    pub const CORRUPT: i16 = 2;
    /// UNKNOWN_TOPIC_OR_PARTITION
    pub const UNKNOWN_TOPIC: i16 = 3;
    /// MESSAGE_TOO_LARGE
    pub const TOO_LARGE: i16 = 10;
    /// TOPIC_ALREADY_EXISTS
    pub const EXISTS: i16 = 36;
    /// OUT_OF_ORDER_SEQUENCE_NUMBER
    pub const OUT_OF_ORDER: i16 = 45;
    /// POLICY_VIOLATION
    pub const POLICY: i16 = 44;
    /// KAFKA_STORAGE_ERROR
    pub const STORAGE: i16 = 56;
    /// UNKNOWN_TOPIC_ID
    pub const UNKNOWN_ID: i16 = 100;
    /// LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT, COORDINATOR_LOAD_IN_PROGRESS,
    /// COORDINATOR_NOT_AVAILABLE, NOT_CONTROLLER: come back later.
    pub const LATER: [i16; 6] = [5, 6, 7, 14, 15, 41];
    /// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR: look for the coordinator again.
    pub const COORDINATOR: [i16; 3] = [14, 15, 16];
    /// ILLEGAL_GENERATION
    pub const OLD_GENERATION: i16 = 22;
    /// UNKNOWN_MEMBER_ID
    pub const UNKNOWN_MEMBER: i16 = 25;
    /// REBALANCE_IN_PROGRESS
    pub const REBALANCE: i16 = 27;
    /// MEMBER_ID_REQUIRED
    pub const ID_REQUIRED: i16 = 79;
    /// GROUP_MAX_SIZE_REACHED
    pub const GROUP_FULL: i16 = 81;
    /// FENCED_INSTANCE_ID
    pub const FENCED_INSTANCE: i16 = 82;
    /// INCONSISTENT_GROUP_PROTOCOL
    pub const INCONSISTENT: i16 = 23;
    /// FENCED_MEMBER_EPOCH
    pub const FENCED_EPOCH: i16 = 110;
    /// UNRELEASED_INSTANCE_ID
    pub const UNRELEASED_INSTANCE: i16 = 111;
    /// STALE_MEMBER_EPOCH
    pub const STALE_EPOCH: i16 = 113;
    /// GROUP_ID_NOT_FOUND
    pub const NO_GROUP: i16 = 69;
}

fn broken<T>(rule: Rule, text: String) -> Result<T, Violation> {
    Err(Violation::new(rule, text))
}

impl History {
    /// A topic will be asked for.
    pub fn new_topic(&mut self, name: String, partitions: usize, retention: bool) -> usize {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        self.topics.push(Topic { name, id: None, life: Life::Asked, retention, compaction: None, partitions });
        self.topics.len() - 1
    }

    /// Topics that can be written and read.
    pub fn live(&self) -> Vec<usize> {
        (0..self.topics.len()).filter(|t| self.topics[*t].life == Life::Live).collect()
    }

    /// True if records of the topic can be deleted by request.
    pub fn deletes(&self, t: usize) -> bool {
        self.topics[t].compaction.is_none() || self.topics[t].retention
    }

    /// The topic of that name.
    pub fn topic_named(&self, name: &str) -> Option<usize> {
        self.topics.iter().position(|topic| topic.name == name)
    }

    /// The partition.
    pub fn part(&mut self, topic: usize, partition: usize) -> &mut Partition {
        &mut self.topics[topic].partitions[partition]
    }

    pub(crate) fn place_name(&self, topic: usize, partition: usize) -> String {
        format!("{}-{partition}", self.topics[topic].name)
    }

    /// A number for a new batch.
    pub fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// A new batch, about to be sent. `lane`: see [`Sent`].
    pub fn compose(&mut self, topic: usize, partition: usize, plan: &Plan, lane: (u64, u64)) {
        let sent = Sent {
            bytes: batch::build(plan),
            records: plan.records,
            lane,
            idempotent: plan.producer.0 >= 0,
            attempts: 0,
            acked: None,
            places: 0,
            max_timestamp: plan.timestamp + i64::from(plan.records) - 1,
            made_ms: self.now_ms,
        };
        self.part(topic, partition).batches.insert(plan.number, sent);
    }

    /// A producer was told that the batch is at `base`. `all`: acks=all, so that it is committed.
    pub fn acknowledged(&mut self, topic: usize, p: usize, number: u64, base: i64, all: bool) -> Result<(), Violation> {
        let name = self.place_name(topic, p);
        self.acked += 1;
        let partition = self.part(topic, p);
        let sent = partition.batches.get_mut(&number).expect("only sent batches are acknowledged");
        let end = base + i64::from(sent.records);
        if base < 0 {
            return broken(Rule::Protocol, format!("{name}: batch {number} was acknowledged at offset {base}"));
        }
        if let Some(before) = sent.acked
            && before != base
        {
            return broken(Rule::Once, format!("{name}: batch {number} was acknowledged at {before}, then at {base}"));
        }
        sent.acked = Some(base);
        if all {
            partition.hw = partition.hw.max(end);
        }
        self.place(topic, p, number, base, end, "acknowledged")
    }

    /// The batch was seen at `base..end`.
    pub(crate) fn place(
        &mut self,
        t: usize,
        p: usize,
        number: u64,
        base: i64,
        end: i64,
        how: &str,
    ) -> Result<(), Violation> {
        let (name, is_compacted) = (self.place_name(t, p), self.is_compacted(t));
        let partition = self.part(t, p);
        let below = partition.at.range(..=base).next_back().map(|(b, (n, e))| (*b, *n, *e));
        if let Some((other_base, other, other_end)) = below {
            if other_base == base && other == number && other_end == end {
                return Ok(());
            }
            if other_end > base {
                let text = format!(
                    "{name}: batch {number} {how} at {base}..{end}, where batch {other} was seen at {other_base}..{other_end}"
                );
                return broken(Rule::SeenIsFinal, text);
            }
        }
        if let Some((other_base, (other, _))) = partition.at.range(base + 1..).next()
            && *other_base < end
        {
            let text =
                format!("{name}: batch {number} {how} at {base}..{end}, over batch {other} seen at {other_base}");
            return broken(Rule::SeenIsFinal, text);
        }
        partition.at.insert(base, (number, end));
        let sent = partition.batches.get_mut(&number).expect("checked by the caller");
        sent.places += 1;
        if is_compacted {
            partition.keys.add(base, sent);
        }
        if sent.places > sent.places_max() {
            let text = format!(
                "{name}: batch {number} {how} at {base}; it is in the log {} times, sent {} times",
                sent.places, sent.attempts
            );
            return broken(Rule::Once, text);
        }
        let lane = sent.lane;
        if !sent.idempotent && sent.attempts != 1 {
            return Ok(());
        }
        let before = partition.lanes.range((lane.0, 0)..lane).next_back();
        let after = partition.lanes.range((lane.0, lane.1 + 1)..=(lane.0, u64::MAX)).next();
        if before.is_some_and(|(_, o)| *o > base) || after.is_some_and(|(_, o)| *o < base) {
            let text = format!(
                "{name}: batch {number}, number {} of its producer, is at {base}, between {before:?} and {after:?}",
                lane.1
            );
            return broken(Rule::InOrder, text);
        }
        partition.lanes.insert(lane, base);
        Ok(())
    }

    /// A fetch from `from` returned `bytes`. `hw_floor`: the highest watermark known when it was asked.
    /// Returns the offset to go on from.
    pub fn fetched(
        &mut self,
        t: usize,
        p: usize,
        from: i64,
        floor: i64,
        hw: i64,
        bytes: &[u8],
    ) -> Result<i64, Violation> {
        let name = self.place_name(t, p);
        self.high_watermark(t, p, floor, hw)?;
        if self.is_compacted(t) {
            return self.fetched_compacted((t, p), from, hw, bytes);
        }
        let mut next = from;
        for (n, batch) in batch::split(bytes)
            .map_err(|v| Violation::new(v.rule, format!("{name}: {}", v.text)))?
            .into_iter()
            .enumerate()
        {
            let follows = if n == 0 { batch.base <= next && batch.end > next } else { batch.base == next };
            if !follows {
                let text =
                    format!("{name}: asked from {from}, the batch behind {next} is at {}..{}", batch.base, batch.end);
                return broken(Rule::NoGap, text);
            }
            if batch.end > hw {
                let text = format!("{name}: a batch up to {} was served with a high watermark of {hw}", batch.end);
                return broken(Rule::BehindHighWatermark, text);
            }
            self.check_bytes(t, p, &batch)?;
            self.place(t, p, batch.number, batch.base, batch.end, "fetched")?;
            self.fetched += 1;
            next = batch.end;
        }
        Ok(next)
    }

    fn check_bytes(&mut self, t: usize, p: usize, batch: &Fetched<'_>) -> Result<(), Violation> {
        let name = self.place_name(t, p);
        let (number, base) = (batch.number, batch.base);
        let Some(sent) = self.part(t, p).batches.get(&number) else {
            return broken(Rule::BytesAreTrue, format!("{name}: at {base} is batch {number}, which nobody sent here"));
        };
        if !batch.is(&sent.bytes) || batch.end - base != i64::from(sent.records) {
            return broken(
                Rule::BytesAreTrue,
                format!("{name}: batch {number} came back from {base} with other bytes"),
            );
        }
        Ok(())
    }

    /// Somebody was told of a high watermark; `floor` was known when they asked.
    pub fn high_watermark(&mut self, t: usize, p: usize, floor: i64, hw: i64) -> Result<(), Violation> {
        if hw < floor {
            let text = format!("{}: the high watermark went back from {floor} to {hw}", self.place_name(t, p));
            return broken(Rule::MarksAdvance, text);
        }
        let partition = self.part(t, p);
        partition.hw = partition.hw.max(hw);
        Ok(())
    }

    /// Somebody asked for the first record with a timestamp of at least `asked`, and was told `offset` and its
    /// timestamp, or -1 if there is none. `start` and `hw` were known when they asked.
    pub fn by_time(
        &mut self,
        t: usize,
        p: usize,
        asked: i64,
        told: (i64, i64),
        marks: (i64, i64),
    ) -> Result<(), Violation> {
        let name = self.place_name(t, p);
        let (offset, timestamp) = told;
        let (is_compacted, end) = (self.is_compacted(t), if offset < 0 { marks.1 } else { offset.min(marks.1) });
        if is_compacted {
            self.doubt((t, p), 0..end, Sought::From(asked), told);
        }
        let partition = self.part(t, p);
        for (base, (number, end)) in &partition.at {
            let sent = &partition.batches[number];
            let first = sent.max_timestamp - i64::from(sent.records) + 1;
            // Records of a batch have timestamps that follow each other.
            let record = base + (asked - first).max(0);
            let earlier = !is_compacted && (offset < 0 || record < offset);
            if *base >= partition.start_most && *end <= marks.1 && record < *end && earlier {
                let text =
                    format!("{name}: asked for time {asked}, told offset {offset}; batch {number} has it at {record}");
                return broken(Rule::BytesAreTrue, text);
            }
            if (*base..*end).contains(&offset) && first + (offset - base) != timestamp {
                let text = format!(
                    "{name}: offset {offset} of batch {number} ({base}..{end}) is said to have timestamp {timestamp}, it begins with {first}; asked for {asked}"
                );
                return broken(Rule::BytesAreTrue, text);
            }
        }
        if offset >= 0 && (timestamp < asked || offset < marks.0) {
            let text =
                format!("{name}: asked for time {asked}, told offset {offset} with {timestamp}, start {}", marks.0);
            return broken(Rule::BytesAreTrue, text);
        }
        Ok(())
    }

    /// Somebody asked for the record with the largest timestamp, and was told `offset` and its timestamp, or -1 if there
    /// is none. `hw` was known when they asked.
    pub fn max_timestamp(&mut self, t: usize, p: usize, told: (i64, i64), hw: i64) -> Result<(), Violation> {
        let name = self.place_name(t, p);
        let (offset, timestamp) = told;
        let is_compacted = self.is_compacted(t);
        if is_compacted {
            self.doubt((t, p), 0..hw, Sought::Largest, told);
        }
        let partition = self.part(t, p);
        for (base, (number, end)) in &partition.at {
            let sent = &partition.batches[number];
            if !is_compacted
                && *base >= partition.start_most
                && *end <= hw
                && (offset < 0 || sent.max_timestamp > timestamp)
            {
                let text = format!(
                    "{name}: the largest timestamp is said to be {timestamp} at {offset}; batch {number} at {base} has {}",
                    sent.max_timestamp
                );
                return broken(Rule::BytesAreTrue, text);
            }
            let first = sent.max_timestamp - i64::from(sent.records) + 1;
            if (*base..*end).contains(&offset) && first + (offset - base) != timestamp {
                let text = format!("{name}: offset {offset} of batch {number} is said to have timestamp {timestamp}");
                return broken(Rule::BytesAreTrue, text);
            }
        }
        Ok(())
    }

    /// Somebody was told of a log start; `floor` was known when they asked.
    pub fn log_start(&mut self, t: usize, p: usize, floor: i64, start: i64) -> Result<(), Violation> {
        let name = self.place_name(t, p);
        let retention = self.topics[t].retention;
        let partition = self.part(t, p);
        if start < floor {
            return broken(Rule::MarksAdvance, format!("{name}: the log start went back from {floor} to {start}"));
        }
        if start > partition.start_most && !retention {
            let text =
                format!("{name}: the log starts at {start}, nobody asked for more than {}", partition.start_most);
            return broken(Rule::AckedIsKept, text);
        }
        partition.start = partition.start.max(start);
        Ok(())
    }

    /// A reader was refused at `from` as out of range.
    pub fn out_of_range(&mut self, t: usize, p: usize, from: i64) -> Result<(), Violation> {
        let name = self.place_name(t, p);
        let retention = self.topics[t].retention;
        let partition = self.part(t, p);
        if from >= partition.start_most && from <= partition.hw && !retention {
            let (start, hw) = (partition.start_most, partition.hw);
            return broken(Rule::AckedIsKept, format!("{name}: offset {from} is out of range, of {start}..={hw}"));
        }
        Ok(())
    }

    /// A producer id was given out.
    pub fn producer_id(&mut self, id: i64, epoch: i16) -> Result<(), Violation> {
        if id < 0 || epoch < 0 || !self.producer_ids.insert(id) {
            return broken(Rule::UniqueProducerId, format!("producer id {id} epoch {epoch} was given out"));
        }
        Ok(())
    }

    /// Judges an error that a request about `topic` got.
    pub fn explain(&mut self, what: &str, error: i16, topic: Option<usize>) -> Result<Verdict, Violation> {
        self.errors += 1;
        let life = topic.map(|t| self.topics[t].life);
        let verdict = match error {
            e if code::LATER.contains(&e) => Some(Verdict::Retry),
            code::UNKNOWN_TOPIC | code::UNKNOWN_ID => match life {
                Some(Life::Dying | Life::Gone) => Some(Verdict::Drop),
                Some(Life::Asked) => Some(Verdict::Retry),
                _ => self.faults.several.then_some(Verdict::Retry),
            },
            code::STORAGE if self.faults.disk_errors || self.faults.full || self.faults.damage => Some(Verdict::Retry),
            code::CORRUPT if self.faults.damage => Some(Verdict::Retry),
            _ => None,
        };
        let name = topic.map_or("", |t| &self.topics[t].name);
        let faults = self.faults;
        verdict.ok_or_else(|| {
            let text = format!("{what} of {name:?} ({life:?}) got error {error}, with {faults:?}");
            Violation::new(Rule::ExpectedErrors, text)
        })
    }

    /// True of an error that says nothing of whether the thing was done: the coordinator was lost on the way.
    pub fn is_open(&self, error: i16) -> bool {
        code::COORDINATOR.contains(&error) || self.faults.several && code::LATER.contains(&error)
    }

    /// Judges an error that a request about a consumer group got, where `expected` may come. True if a coordinator is to
    /// be looked for.
    pub fn explain_group(&mut self, what: &str, error: i16, expected: &[i16]) -> Result<bool, Violation> {
        self.errors += 1;
        let later = self.is_open(error);
        if later || expected.contains(&error) {
            return Ok(later);
        }
        let text = format!("{what} got error {error}, with {:?}", self.faults);
        Err(Violation::new(Rule::ExpectedErrors, text))
    }

    /// The partition has been read from `start` to its end `hw`: is everything there?
    pub fn finish(&mut self, t: usize, p: usize, start: i64, hw: i64) -> Result<(), Violation> {
        let name = self.place_name(t, p);
        for (number, sent) in &self.part(t, p).batches {
            let Some(base) = sent.acked else { continue };
            let end = base + i64::from(sent.records);
            if end > start && end > hw {
                let text =
                    format!("{name}: batch {number} was acknowledged at {base}..{end}, the log is {start}..{hw}");
                return broken(Rule::AckedIsKept, text);
            }
        }
        Ok(())
    }
}
