//! Consuming: the dialogue of one connection, and the mode.

use crate::cluster::{self, Edge, Layout, Leader, Missing};
use crate::connection::{Dialogue, Refused};
use crate::cpu::Process;
use crate::drive::{Plan, drive};
use crate::error::Error;
use crate::flamegraph::Flamegraph;
use crate::options::{ConsumeArgs, Protocol};
use crate::produce::server;
use crate::publish::Ran;
use crate::recorder::Request;
use crate::verify::Checker;
use crate::wire::{Answer, FetchSize, put_fetch};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use torc_net::kafka::records::{self, Batch, HEADER};

/// A range of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub partition: i32,
    pub from: i64,
    /// Where reading ends; `i64::MAX` follows the tail.
    pub until: i64,
}

/// Looks at each whole batch that is read: its partition, its header, its bytes, and when it came.
pub type Look = Box<dyn FnMut(i32, &Batch, &[u8], u64)>;

/// What the consumers of a run share.
pub struct Shared {
    pub version: i16,
    pub topic: String,
    pub size: FetchSize,
    /// Reads its ranges over and over.
    pub repeat: bool,
    pub look: Option<RefCell<Look>>,
}

struct Slot {
    range: Range,
    next: i64,
    asked: bool,
}

/// One connection that consumes: one fetch at a time for each of its partitions.
pub struct Consume {
    shared: Rc<Shared>,
    slots: Vec<Slot>,
    turn: usize,
    /// Its ranges are read over and over, and nobody looks at what is read.
    warming: bool,
    /// Of this time were requests asked whose answers count: 0 before the measurement, then 1.
    time: u32,
}

impl Consume {
    /// A consumer of these ranges. Ranges that end are read for warming up until the measurement begins, and then from
    /// their beginning.
    pub fn new(shared: &Rc<Shared>, ranges: Vec<Range>) -> Consume {
        let warming = ranges.iter().all(|range| range.until != i64::MAX);
        let slots = ranges.into_iter().map(|range| Slot { range, next: range.from, asked: false }).collect();
        Consume { shared: Rc::clone(shared), slots, turn: 0, warming, time: 0 }
    }

    /// The next partition of which something is to be asked.
    fn choose(&mut self) -> Option<usize> {
        for _ in 0..self.slots.len() {
            let at = self.turn % self.slots.len();
            self.turn += 1;
            let slot = &mut self.slots[at];
            if slot.next >= slot.range.until && (self.shared.repeat || self.warming) {
                slot.next = slot.range.from;
            }
            if !slot.asked && slot.next < slot.range.until {
                return Some(at);
            }
        }
        None
    }
}

impl Consume {
    /// The place of one of the connection's partitions, which stand in order.
    fn slot(&self, partition: i32) -> usize {
        let found = self.slots.binary_search_by_key(&partition, |slot| slot.range.partition);
        found.expect("only its own partitions are asked for")
    }

    fn put(&self, at: usize, correlation: i32, out: &mut Vec<u8>) {
        let (Shared { version, topic, size, .. }, slot) = (&*self.shared, &self.slots[at]);
        put_fetch(out, *version, correlation, topic, *size, (slot.range.partition, slot.next));
    }
}

impl Dialogue for Consume {
    /// The partition that it is about, and of what time it is.
    type Note = (i32, u32);

    fn begin(&mut self) {
        if std::mem::take(&mut self.warming) {
            self.time += 1;
            self.slots.iter_mut().for_each(|slot| slot.next = slot.range.from);
        }
    }

    fn ask(&mut self, correlation: i32, due: u64, out: &mut Vec<u8>) -> Option<(Request, Self::Note)> {
        let at = self.choose()?;
        let slot = &mut self.slots[at];
        slot.asked = true;
        let note = (slot.range.partition, self.time);
        self.put(at, correlation, out);
        Some((Request { due, records: 0, payload: 0 }, note))
    }

    fn repeat(&mut self, correlation: i32, _request: &Request, note: Self::Note, out: &mut Vec<u8>) {
        let at = self.slot(note.0);
        self.slots[at].asked = true;
        self.put(at, correlation, out);
    }

    fn partition(&self, note: Self::Note) -> i32 {
        note.0
    }

    fn partitions(&self) -> Vec<i32> {
        self.slots.iter().map(|slot| slot.range.partition).collect()
    }

    fn split(&mut self, partitions: &[i32]) -> Consume {
        let theirs = |slot: &Slot| partitions.binary_search(&slot.range.partition).is_ok();
        let (part, own) = std::mem::take(&mut self.slots).into_iter().partition(theirs);
        self.slots = own;
        Consume { shared: Rc::clone(&self.shared), slots: part, turn: 0, warming: self.warming, time: self.time }
    }

    fn answer(&mut self, request: Request, note: Self::Note, frame: &[u8], now: u64) -> Result<Request, Refused> {
        let (partition, time) = note;
        let at = self.slot(partition);
        let slot = &mut self.slots[at];
        slot.asked = false;
        if time != self.time {
            // It was for warming up, and says nothing about where the partition is read now.
            return Ok(request);
        }
        let (_, body) = Answer::open(frame).map_err(|nonsense| nonsense.to_string())?;
        let fetched = body.fetched(self.shared.version).map_err(|nonsense| nonsense.to_string())?;
        if fetched.code != 0 {
            return Err(Refused::with(fetched.code));
        }
        let mut rest = fetched.batches;
        let (mut records, mut payload) = (0u64, 0u64);
        while rest.len() >= HEADER {
            let batch = records::parse(rest).map_err(|invalid| format!("a batch that is none: {invalid}"))?;
            let Some((bytes, behind)) = rest.split_at_checked(batch.length) else { break };
            rest = behind;
            if batch.last_offset() < slot.next {
                continue;
            }
            if let Some(look) = self.shared.look.as_ref().filter(|_| !self.warming) {
                look.borrow_mut()(slot.range.partition, &batch, bytes, now);
            }
            records += (batch.last_offset() - slot.next.max(batch.base_offset) + 1) as u64;
            payload += bytes.len() as u64;
            slot.next = batch.last_offset() + 1;
        }
        if records == 0 && slot.range.until != i64::MAX {
            let (partition, next) = (slot.range.partition, slot.next);
            // Asking again would bring nothing again.
            slot.next = slot.range.until;
            return Err(format!("nothing came of partition {partition} from offset {next}").into());
        }
        Ok(Request { records: records as u32, payload, ..request })
    }
}

/// The dialogues of `connections` consumers, each with its share of `ranges`.
pub fn dialogues(
    shared: &Rc<Shared>,
    leaders: &[Leader],
    connections: usize,
    ranges: &BTreeMap<i32, Range>,
) -> Vec<(SocketAddr, Consume)> {
    let consumer = |leader: Leader| {
        let own = leader.partitions.iter().filter_map(|partition| ranges.get(partition).copied()).collect();
        (leader.address, Consume::new(shared, own))
    };
    cluster::assign(leaders, connections).into_iter().map(consumer).collect()
}

/// Consumes as `args` say; the second is what checking found, if that was asked for.
pub fn run(args: &ConsumeArgs) -> Result<Ran, Error> {
    if args.target.protocol == Protocol::Bare {
        return Err(Error::Usage("nothing can be read from the bare server".into()));
    }
    let mut layout = cluster::prepare(&args.target, Missing::Refuse)?;
    let ranges = ranges(&mut layout, args)?;
    let checker = args.verify.then(|| Rc::new(RefCell::new(Checker::new(Vec::new()))));
    let shared = Rc::new(Shared {
        version: layout.fetch_version,
        topic: args.target.topic.clone(),
        size: FetchSize { wait_ms: 500, bytes_min: 1, bytes_max: args.fetch_bytes.min(i32::MAX as usize) as i32 },
        repeat: args.repeat,
        look: checker.as_ref().map(|checker| RefCell::new(Checker::look(checker))),
    });
    let dialogues = dialogues(&shared, &layout.leaders, args.pace.connections as usize, &ranges);
    let server = server(&args.target, &layout);
    let plan = Plan {
        pace: args.pace.clone(),
        schedule: None,
        guide: layout.guide(&args.target.topic).map(Rc::new),
        flamegraph: Flamegraph::prepare(args.output.flamegraph.as_deref(), server.as_ref().map(Process::pid))?,
        server,
        keep_log: args.output.keeps_log(),
        quiet: args.output.quiet,
        title: args.output.name.clone().unwrap_or_else(|| "consume".to_string()),
    };
    let finished = drive(&plan, dialogues)?;
    let verdict = checker.map(|checker| checker.borrow().verdict());
    Ok((finished, verdict))
}

fn ranges(layout: &mut Layout, args: &ConsumeArgs) -> Result<BTreeMap<i32, Range>, Error> {
    let Layout { leaders, cluster, .. } = layout;
    let cluster = cluster.as_mut().expect("a Kafka broker");
    let topic = &args.target.topic;
    let first = cluster::offsets(cluster, leaders, topic, Edge::Earliest)?;
    let end = cluster::offsets(cluster, leaders, topic, Edge::Latest)?;
    let range = |(&partition, &until): (&i32, &i64)| {
        let first = first.get(&partition).copied().unwrap_or(0);
        let from = args.last.map_or(first, |last| until.saturating_sub(last as i64).max(first));
        (partition, Range { partition, from, until })
    };
    let ranges: BTreeMap<i32, Range> = end.iter().map(range).collect();
    if ranges.values().all(|range| range.from >= range.until) {
        return Err(Error::Unfit(format!("topic {topic} is empty: write to it first, with torc bench produce")));
    }
    Ok(ranges)
}
