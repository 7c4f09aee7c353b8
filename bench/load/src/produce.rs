//! Producing: the dialogue of one connection, and the mode.

use crate::cluster::{self, Edge, Layout, Leader, Missing};
use crate::connection::{Dialogue, Refused};
use crate::cpu::{self, Process};
use crate::drive::{Plan, drive};
use crate::error::Error;
use crate::flamegraph::Flamegraph;
use crate::interrupt;
use crate::options::{Acks, Pace, ProduceArgs, Protocol, Target};
use crate::pace::Schedule;
use crate::payload::{Producer, Recipe, Stamp, Template, seal, set_sequence};
use crate::publish::Ran;
use crate::recorder::Request;
use crate::verify;
use crate::wire::{Answer, ProduceFrame};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Requests from this size on are sent from where they lie.
const LARGE: usize = 32 << 10;
/// Time that a broker has for a request, in milliseconds.
const TIMEOUT_MS: i32 = 30_000;
/// Requests of one connection of a run: a request's id is its connection's number and its own.
const ID_BITS: u32 = 40;

/// An acknowledged batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub partition: i32,
    pub base_offset: i64,
    pub records: u32,
    pub id: u64,
}

/// What is acknowledged, kept for the comparison with what can be read.
pub type Ledger = Rc<RefCell<Vec<Acknowledged>>>;

/// What differs between the producers of a run.
#[derive(Clone)]
struct Setup {
    number: u64,
    producer: Producer,
    partitions: Vec<i32>,
}

/// What the producers of a run share.
struct Shared {
    recipe: Recipe,
    protocol: Protocol,
    version: i16,
    topic: String,
    acks: i16,
    /// Marks of each record are written.
    stamped: bool,
    ledger: Option<Ledger>,
    /// Milliseconds since 1970.
    timestamp: i64,
    /// The number of the next connection.
    numbers: Cell<u64>,
}

/// One connection that produces.
pub struct Produce {
    shared: Rc<Shared>,
    setup: Setup,
    templates: Vec<(Template, ProduceFrame)>,
    /// The next sequence of each of the connection's partitions.
    sequences: Vec<i32>,
    /// Requests asked.
    asked: u64,
    large: bool,
    /// Template whose frame is being written from where it lies.
    lent: Option<usize>,
}

/// What is remembered of a request.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    partition: i32,
    id: u64,
    /// Which of the batches it is.
    choice: usize,
    sequence: i32,
    /// What its records are marked with.
    due: u64,
}

impl Note {
    fn stamp(self) -> Stamp {
        Stamp { id: self.id, due: self.due }
    }
}

impl Produce {
    fn new(shared: &Rc<Shared>, setup: Setup) -> Produce {
        let batches = shared.recipe.batches(setup.producer, shared.timestamp);
        let frame = |mut template: Template| {
            let frame = ProduceFrame::new(shared.version, &shared.topic, shared.acks, TIMEOUT_MS, &template.batch);
            // The frame holds the batch.
            template.batch = Vec::new();
            (template, frame)
        };
        let templates: Vec<(Template, ProduceFrame)> = batches.into_iter().map(frame).collect();
        Produce {
            sequences: vec![0; setup.partitions.len()],
            large: !shared.recipe.rebuilds() && templates.iter().any(|(_, frame)| frame.bytes.len() >= LARGE),
            shared: Rc::clone(shared),
            setup,
            templates,
            asked: 0,
            lent: None,
        }
    }

    /// Writes what is this request's own into `frame`, which is at its place in the connection's output.
    fn fill_in(&mut self, correlation: i32, note: Note, frame: &mut [u8]) {
        let (template, layout) = &self.templates[note.choice];
        layout.address(frame, correlation, note.partition);
        let batch = &mut frame[layout.batch_at..];
        if self.shared.stamped {
            template.stamp(batch, note.stamp());
        }
        let idempotent = self.setup.producer != Producer::NONE;
        if idempotent {
            set_sequence(batch, note.sequence);
        }
        if self.shared.stamped || idempotent {
            seal(batch);
        }
    }

    /// The sequence of a request of so many records for one of the connection's partitions.
    fn sequence(&mut self, slot: usize, records: u32) -> i32 {
        let sequence = self.sequences[slot];
        // Kafka's sequences wrap to 0.
        let next = i64::from(sequence) + i64::from(records);
        self.sequences[slot] = (next & i64::from(i32::MAX)) as i32;
        sequence
    }

    /// Appends the frame of a request.
    fn put(&mut self, correlation: i32, note: Note, out: &mut Vec<u8>) {
        let at = out.len();
        if self.shared.recipe.rebuilds() {
            out.extend_from_slice(&self.rebuilt(note.choice, note.stamp()));
        } else if self.large {
            assert!(out.is_empty() && self.lent.is_none(), "a large request is written alone");
            std::mem::swap(out, &mut self.templates[note.choice].1.bytes);
            self.lent = Some(note.choice);
        } else {
            out.extend_from_slice(&self.templates[note.choice].1.bytes);
        }
        self.fill_in(correlation, note, &mut out[at..]);
    }

    /// A frame with a batch that is built for it.
    fn rebuilt(&self, choice: usize, stamp: Stamp) -> Vec<u8> {
        let shared = &self.shared;
        let template = &self.templates[choice].0;
        let batch = shared.recipe.rebuild(template, self.setup.producer, shared.timestamp, stamp);
        ProduceFrame::new(shared.version, &shared.topic, shared.acks, TIMEOUT_MS, &batch).bytes
    }
}

impl Dialogue for Produce {
    type Note = Note;

    fn ask(&mut self, correlation: i32, due: u64, out: &mut Vec<u8>) -> Option<(Request, Note)> {
        let choice = self.asked as usize % self.templates.len();
        let slot = self.asked as usize % self.setup.partitions.len();
        let id = self.setup.number << ID_BITS | self.asked;
        self.asked += 1;
        let (records, payload) = (self.templates[choice].0.records, self.templates[choice].0.payload);
        let (partition, sequence) = (self.setup.partitions[slot], self.sequence(slot, records));
        let note = Note { partition, id, choice, sequence, due };
        self.put(correlation, note, out);
        Some((Request { due, records, payload }, note))
    }

    fn repeat(&mut self, correlation: i32, _request: &Request, note: Note, out: &mut Vec<u8>) {
        self.put(correlation, note, out);
    }

    fn partition(&self, note: Note) -> i32 {
        note.partition
    }

    fn partitions(&self) -> Vec<i32> {
        self.setup.partitions.clone()
    }

    fn split(&mut self, partitions: &[i32]) -> Produce {
        let number = self.shared.numbers.replace(self.shared.numbers.get() + 1);
        let mut part =
            Produce::new(&self.shared, Setup { number, partitions: partitions.to_vec(), ..self.setup.clone() });
        let mut kept = Vec::new();
        for (partition, sequence) in self.setup.partitions.iter().zip(&self.sequences) {
            match partitions.binary_search(partition) {
                Ok(slot) => part.sequences[slot] = *sequence,
                Err(_) => kept.push((*partition, *sequence)),
            }
        }
        (self.setup.partitions, self.sequences) = kept.into_iter().unzip();
        part
    }

    fn large(&self) -> bool {
        self.large
    }

    fn written(&mut self, out: &mut Vec<u8>) {
        if let Some(choice) = self.lent.take() {
            std::mem::swap(out, &mut self.templates[choice].1.bytes);
        }
    }

    fn is_answered(&self) -> bool {
        self.shared.acks != 0
    }

    fn answer(&mut self, request: Request, note: Note, frame: &[u8], _now: u64) -> Result<Request, Refused> {
        if self.shared.protocol == Protocol::Bare {
            return Ok(request);
        }
        let produced =
            Answer::open(frame).and_then(|(_, body)| body.produced()).map_err(|nonsense| nonsense.to_string())?;
        if produced.code != 0 {
            return Err(Refused::with(produced.code));
        }
        if let Some(ledger) = &self.shared.ledger {
            let Note { partition, id, .. } = note;
            let entry = Acknowledged { partition, base_offset: produced.base_offset, records: request.records, id };
            ledger.borrow_mut().push(entry);
        }
        Ok(request)
    }
}

/// The recipe and, in an open loop, the schedule that follow from the options.
pub fn schedule(recipe: Recipe, pace: &Pace, args: &ProduceArgs) -> (Recipe, Option<Schedule>) {
    let Some(rate) = args.rate.rate else { return (recipe, None) };
    let mut records = recipe.batches(Producer::NONE, 0)[0].records;
    let mut recipe = recipe;
    if let Some(linger) = args.rate.linger {
        records = Schedule::gathered(rate, pace.connections, linger, records);
        recipe = recipe.with_records(records);
    }
    (recipe, Some(Schedule::new(rate.max(1), records, pace.connections, args.rate.linger)))
}

/// The dialogues of all producers of a run.
pub fn dialogues(
    args: &ProduceArgs,
    layout: &mut Layout,
    recipe: Recipe,
    stamped: bool,
    ledger: Option<Ledger>,
) -> Result<Vec<(SocketAddr, Produce)>, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64);
    let shared = Rc::new(Shared {
        recipe,
        protocol: args.target.protocol,
        version: layout.produce_version,
        topic: args.target.topic.clone(),
        acks: match args.records.acks {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        },
        stamped,
        ledger,
        timestamp: now,
        numbers: Cell::new(0),
    });
    let mut dialogues = Vec::new();
    let assigned = cluster::assign(&layout.leaders, args.pace.connections as usize);
    for (number, Leader { address, partitions, .. }) in assigned.into_iter().enumerate() {
        let producer = match &mut layout.cluster {
            Some(cluster) if args.records.idempotence => cluster::producer(cluster)?,
            _ => Producer::NONE,
        };
        let setup = Setup { number: number as u64, producer, partitions };
        dialogues.push((address, Produce::new(&shared, setup)));
    }
    shared.numbers.set(dialogues.len() as u64);
    Ok(dialogues)
}

/// The processes whose CPU time and memory are reported.
pub fn server(target: &Target, layout: &Layout) -> Option<Process> {
    if !target.server_pid.is_empty() {
        return Process::find_all(&target.server_pid);
    }
    let mut pids = layout.brokers.iter().map(|broker| cpu::listener(*broker)).collect::<Option<Vec<u32>>>()?;
    pids.sort_unstable();
    pids.dedup();
    Process::find_all(&pids)
}

/// Produces as `args` say; the second is what reading back found, if that was asked for.
pub fn run(args: &ProduceArgs) -> Result<Ran, Error> {
    if args.target.protocol == Protocol::Bare && (args.records.acks == Acks::None || args.verify) {
        return Err(Error::Usage("the bare server answers everything and keeps nothing to verify".into()));
    }
    if args.records.acks == Acks::None && args.verify {
        return Err(Error::Usage("with --acks 0 nothing is acknowledged that could be verified".into()));
    }
    let recipe = Recipe::new(&args.records, args.verify).map_err(Error::Usage)?;
    let mut layout = cluster::prepare(&args.target, Missing::Create)?;
    let (recipe, schedule) = schedule(recipe, &args.pace, args);
    let ledger = args.verify.then(Ledger::default);
    let topic = &args.target.topic;
    let before = match (&ledger, &mut layout) {
        (Some(_), Layout { cluster: Some(cluster), leaders, .. }) => {
            cluster::offsets(cluster, leaders, topic, Edge::Latest)?
        }
        _ => BTreeMap::new(),
    };
    let dialogues = dialogues(args, &mut layout, recipe, args.verify, ledger.clone())?;
    let server = server(&args.target, &layout);
    let plan = Plan {
        pace: args.pace.clone(),
        schedule,
        guide: layout.guide(topic).map(Rc::new),
        flamegraph: Flamegraph::prepare(args.output.flamegraph.as_deref(), server.as_ref().map(Process::pid))?,
        server,
        keep_log: args.output.keeps_log(),
        quiet: args.output.quiet,
        title: args.output.name.clone().unwrap_or_else(|| "produce".to_string()),
    };
    let mut finished = drive(&plan, dialogues)?;
    // Reading back would keep whoever interrupted it waiting.
    let verdict = match ledger.filter(|_| finished.ending.signal.is_none()) {
        Some(ledger) => {
            let acknowledged = ledger.take();
            layout.look_again(&args.target)?;
            Some(verify::read_back(&mut layout, topic, &before, acknowledged, args.output.quiet)?)
        }
        None => None,
    };
    finished.ending.signal = interrupt::caught();
    // One that was interrupted has not seen all.
    Ok((finished, verdict.filter(|_| interrupt::caught().is_none())))
}
