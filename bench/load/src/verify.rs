//! Is what was acknowledged there, once, in its place, and whole?

use crate::cluster::{self, Layout};
use crate::consume::{Look, Range, Shared, dialogues};
use crate::drive::{Plan, drive};
use crate::error::Error;
use crate::options::Pace;
use crate::payload::{Origin, origin};
use crate::produce::Acknowledged;
use crate::wire::FetchSize;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use torc_net::kafka::records::{read, verify};

/// Bytes of one fetch of the check.
const FETCH_BYTES: i32 = 1 << 20;
/// A check that takes longer has failed.
const TIME: Duration = Duration::from_secs(3600);

/// What a check found, in records but for `damaged_batches`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub read: u64,
    pub acknowledged: u64,
    /// Acknowledged, and not to be read.
    pub missing: u64,
    /// Where an acknowledged record should be, another one is.
    pub wrong: u64,
    /// Values of torc bench whose CRC is wrong.
    pub damaged: u64,
    /// Batches whose CRC or framing is wrong.
    pub damaged_batches: u64,
    /// Read twice by one connection or in the wrong order.
    pub disordered: u64,
    /// Stamped, in the log, and never acknowledged to this run: answers that were lost, or records of other runs.
    pub unacknowledged: u64,
    /// Whole, and written by torc bench produce without --verify.
    #[serde(default)]
    pub plain: u64,
    /// Records without torc bench's mark: of others, or shorter than 8 bytes.
    pub foreign: u64,
}

impl Verdict {
    /// True if something was read, and nothing is lost, damaged or out of its place.
    pub fn is_good(&self) -> bool {
        self.faults() == 0 && self.read > 0
    }

    /// Everything that is lost, damaged or out of its place.
    pub fn faults(&self) -> u64 {
        self.missing + self.wrong + self.damaged + self.damaged_batches + self.disordered
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.faults(), self.read) {
            (0, 0) => return f.write_str("nothing was read, so nothing is known"),
            (0, _) => "good",
            _ => "BAD",
        };
        let Verdict { read, acknowledged, missing, wrong, damaged, damaged_batches, disordered, .. } = self;
        write!(f, "{verdict}: {read} records read; {damaged} damaged, {damaged_batches} batches damaged, ")?;
        write!(f, "{disordered} out of order")?;
        if self.plain > 0 {
            write!(f, "; {} written by torc bench without --verify", self.plain)?;
        }
        if self.foreign > 0 {
            write!(f, "; {} without torc bench's mark", self.foreign)?;
        }
        if *acknowledged == 0 {
            return Ok(());
        }
        write!(f, "; {acknowledged} acknowledged by this run, of them {missing} missing, {wrong} wrong; ")?;
        write!(f, "{} more in the log without acknowledgement", self.unacknowledged)
    }
}

/// An acknowledged batch and how much of it was read.
struct Expected {
    batch: Acknowledged,
    seen: u32,
}

/// Compares what is read with what was acknowledged.
pub struct Checker {
    /// By partition and offset.
    expected: Vec<Expected>,
    verdict: Verdict,
}

impl Checker {
    /// A check against these acknowledgements, which may come in any order.
    pub fn new(mut ledger: Vec<Acknowledged>) -> Checker {
        ledger.sort_unstable_by_key(|batch| (batch.partition, batch.base_offset));
        let acknowledged = ledger.iter().map(|batch| u64::from(batch.records)).sum();
        let expected = ledger.into_iter().map(|batch| Expected { batch, seen: 0 }).collect();
        Checker { expected, verdict: Verdict { acknowledged, ..Verdict::default() } }
    }

    /// What a consumer is to do with each batch.
    pub fn look(checker: &Rc<RefCell<Checker>>) -> Look {
        let checker = Rc::clone(checker);
        Box::new(move |partition, _, bytes, _| checker.borrow_mut().batch(partition, bytes))
    }

    /// Checks one batch of a partition.
    pub fn batch(&mut self, partition: i32, bytes: &[u8]) {
        let records = match verify(bytes).and_then(|_| read(bytes)) {
            Ok(records) => records,
            Err(_) => {
                self.verdict.damaged_batches += 1;
                return;
            }
        };
        let mut before = i64::MIN;
        for record in records {
            self.verdict.read += 1;
            self.verdict.disordered += u64::from(record.offset <= before);
            before = record.offset;
            match origin(record.value.as_deref().unwrap_or_default()) {
                Ok(origin) => self.record(partition, record.offset, origin),
                Err(_) => self.verdict.damaged += 1,
            }
        }
    }

    fn record(&mut self, partition: i32, offset: i64, origin: Origin) {
        let behind = self.expected.partition_point(|e| (e.batch.partition, e.batch.base_offset) <= (partition, offset));
        let covering = self.expected[..behind]
            .last_mut()
            .filter(|e| e.batch.partition == partition && offset < e.batch.base_offset + i64::from(e.batch.records));
        match (covering, origin) {
            (Some(expected), Origin::Stamped(stamp)) if stamp.id == expected.batch.id => expected.seen += 1,
            (Some(_), _) => self.verdict.wrong += 1,
            (None, Origin::Stamped(_)) => self.verdict.unacknowledged += 1,
            (None, Origin::Plain) => self.verdict.plain += 1,
            (None, Origin::Foreign) => self.verdict.foreign += 1,
        }
    }

    /// What was found.
    pub fn verdict(&self) -> Verdict {
        let lacks = |e: &Expected| u64::from(e.batch.records.saturating_sub(e.seen));
        let twice = |e: &Expected| u64::from(e.seen.saturating_sub(e.batch.records));
        Verdict {
            missing: self.expected.iter().map(lacks).sum(),
            disordered: self.verdict.disordered + self.expected.iter().map(twice).sum::<u64>(),
            ..self.verdict
        }
    }
}

/// Reads back all that was written since the offsets `from`, and compares it with what was acknowledged.
pub fn read_back(
    layout: &mut Layout,
    topic: &str,
    from: &BTreeMap<i32, i64>,
    ledger: Vec<Acknowledged>,
    quiet: bool,
) -> Result<Verdict, Error> {
    let Layout { leaders, cluster, fetch_version, .. } = layout;
    let cluster = cluster.as_mut().expect("a Kafka broker");
    let until = cluster::offsets(cluster, leaders, topic, cluster::Edge::Latest)?;
    let range = |(&partition, &until): (&i32, &i64)| {
        (partition, Range { partition, from: from.get(&partition).copied().unwrap_or(0), until })
    };
    let ranges = until.iter().map(range).collect();
    let checker = Rc::new(RefCell::new(Checker::new(ledger)));
    let shared = Rc::new(Shared {
        version: *fetch_version,
        topic: topic.to_string(),
        size: FetchSize { wait_ms: 500, bytes_min: 1, bytes_max: FETCH_BYTES },
        repeat: false,
        look: Some(RefCell::new(Checker::look(&checker))),
    });
    let (connections, outstanding) = (leaders.len(), Some(1));
    let pace =
        Pace { connections: connections as u32, outstanding, warmup: Duration::ZERO, duration: TIME, requests: None };
    let title = "verify".to_string();
    let plan =
        Plan { pace, schedule: None, guide: None, server: None, flamegraph: None, keep_log: false, quiet, title };
    let finished = drive(&plan, dialogues(&shared, leaders, connections, &ranges))?;
    if let Some(error) = finished.recorder.errors.keys().next() {
        return Err(Error::Unfit(format!("reading back what was written failed: {error}")));
    }
    let verdict = checker.borrow().verdict();
    Ok(verdict)
}
