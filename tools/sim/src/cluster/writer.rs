//! Writes batches to the leaders of partitions until it is told to stop; what has no acknowledgement is sent again, in order.

use super::guide::{Guide, Nodes, topic_name};
use super::logs::{Logs, Sent};
use super::{Actor, explain};
use crate::batch::{self, Plan};
use crate::client::Next;
use crate::history::code;
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, Waiting, decode};
use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse};
use std::collections::{BTreeMap, BTreeSet};
use torc_base::limits::ENTRY_BYTES_ANYWHERE;
use torc_base::prng::Prng;

const VERSION: i16 = 9;
/// Between the lanes of one writer: there are fewer writers.
const ANOTHER_LANE: u64 = 1_000;
/// So much older than now are records that are to be compacted.
const OLD_MS: i64 = 11_000;

/// How a writer works.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// It asks for a producer id, and no batch may be in the log twice.
    pub once: bool,
    /// -1, or 1: then nothing is promised.
    pub acks: i16,
    /// Requests without answers.
    pub in_flight: usize,
    /// Longest pause between requests, nanoseconds.
    pub pause: u64,
    /// Longest batch.
    pub bytes_max: u64,
}

#[derive(Clone, Copy)]
struct Pending {
    at: (usize, usize),
    number: u64,
}

/// See the module.
pub struct Writer {
    ways: Ways,
    guide: Guide,
    lane: u64,
    order: u64,
    id: Option<(i64, i16)>,
    sequences: BTreeMap<(usize, usize), i32>,
    /// Without acknowledgements, in the order in which they were made.
    pending: Vec<Pending>,
    /// Partitions of which something is to be sent again, which is done when nothing of them is under way.
    again: BTreeSet<(usize, usize)>,
    under_way: BTreeMap<(usize, usize), usize>,
    /// Batches that were sent, the last time, when all before them were acknowledged. Of another one a leader that was deposed may
    /// have said that something lacks before it, when the next leader has long acknowledged that.
    sent_in_turn: BTreeSet<u64>,
    /// Partitions whose leaders know this producer.
    known_at: BTreeSet<(usize, usize)>,
    not_before: u64,
    stopping: bool,
}

impl Writer {
    /// `lane`: its own.
    pub fn new(ways: Ways, rng: Prng, lane: u64) -> Writer {
        Writer {
            ways,
            guide: Guide::new(rng),
            lane,
            order: 0,
            id: None,
            sequences: BTreeMap::new(),
            pending: Vec::new(),
            again: BTreeSet::new(),
            under_way: BTreeMap::new(),
            sent_in_turn: BTreeSet::new(),
            known_at: BTreeSet::new(),
            not_before: 0,
            stopping: false,
        }
    }

    fn ask_for_id(&mut self, nodes: &mut dyn Nodes) {
        let node = self.guide.rng.below(nodes.nodes() as u64) as usize;
        let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
        if let Some(line) = self.guide.line(nodes, node) {
            line.ask(nodes, 4, &request, Some(Asked::InitProducerId));
        }
    }

    fn compose(&mut self, wall: i64, logs: &mut Logs) -> Option<Pending> {
        let live = logs.live();
        let topic = *live.get(self.guide.rng.below(live.len().max(1) as u64) as usize)?;
        let partition = self.guide.rng.below(logs.topics[topic].partitions.len() as u64) as usize;
        let at = (topic, partition);
        // What is to be sent again comes first. Of a producer that it does not know a leader takes any batch for the first, as in
        // Kafka: so nothing follows the first one before it is acknowledged.
        let is_new = self.ways.once && !self.known_at.contains(&at) && self.oldest(at).is_some();
        if self.again.contains(&at) || is_new {
            return None;
        }
        let number = logs.next_number();
        let rng = &mut self.guide.rng;
        let most = if rng.chance(1, 8) { 40 } else { 4 };
        let records = rng.between(1, most) as u32;
        let bytes =
            if rng.chance(1, 10) { rng.between(1_000, self.ways.bytes_max) } else { rng.between(1, 500) } as usize;
        let producer = match self.id {
            Some((id, epoch)) => {
                let sequence = self.sequences.entry(at).or_insert(0);
                let base = *sequence;
                *sequence += records as i32;
                (id, epoch, base)
            }
            None => (-1, -1, -1),
        };
        self.order += 1;
        let keys = logs.topics[topic].keys;
        // What is young stays as long as it lies in the segment that is being filled.
        let timestamp = if keys > 0 { wall - OLD_MS } else { wall };
        let plan = Plan { number, records, bytes, producer, timestamp, keys };
        let bytes = batch::build(&plan);
        let sent = Sent { bytes, once: self.ways.once, lane: (self.lane, self.order), attempts: 0, acked: None };
        logs.part(topic, partition).sent.insert(number, sent);
        let one = Pending { at, number };
        self.pending.push(one);
        Some(one)
    }

    /// Sends one batch to its leader; false if nobody is known to be there.
    fn send(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, one: Pending) -> bool {
        let Some(leader) = self.guide.leader(one.at.0, one.at.1) else {
            self.guide.doubt(nodes.now());
            return false;
        };
        let Some(line) = self.guide.line(nodes, leader.node) else {
            self.guide.doubt(nodes.now());
            return false;
        };
        let name = topic_name(logs, one.at.0);
        let sent = logs.part(one.at.0, one.at.1).sent.get_mut(&one.number).expect("composed before");
        sent.attempts += 1;
        let records = Some(Bytes::copy_from_slice(&sent.bytes));
        let data = PartitionProduceData::default().with_index(one.at.1 as i32).with_records(records);
        let topic = TopicProduceData::default().with_name(name).with_partition_data(vec![data]);
        let request =
            ProduceRequest::default().with_acks(self.ways.acks).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        line.ask(nodes, VERSION, &request, Some(Asked::Produce(vec![(one.at.0, one.at.1, one.number)])));
        *self.under_way.entry(one.at).or_insert(0) += 1;
        if self.oldest(one.at) == Some(one.number) {
            self.sent_in_turn.insert(one.number);
        }
        true
    }

    /// As another producer: a replica that has begun anew knows none but those whose batches were there still, and has taken a
    /// later batch for the first. What is under way may be in the log, or not.
    fn begin_anew(&mut self) {
        self.lane += ANOTHER_LANE;
        (self.order, self.id) = (0, None);
        self.sequences.clear();
        self.pending.clear();
        self.again.clear();
        self.known_at.clear();
        self.sent_in_turn.clear();
    }

    /// The first batch of a partition that is not acknowledged.
    fn oldest(&self, at: (usize, usize)) -> Option<u64> {
        self.pending.iter().find(|one| one.at == at).map(|one| one.number)
    }

    fn send_again(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) {
        for at in self.again.clone() {
            if self.under_way.get(&at).is_some_and(|count| *count > 0) {
                continue;
            }
            let these: Vec<Pending> = self.pending.iter().filter(|one| one.at == at).copied().collect();
            // One at a time until one is through: whoever leads now may not yet be known.
            match these.first() {
                Some(first) => {
                    self.send(nodes, logs, *first);
                }
                None => {
                    self.again.remove(&at);
                }
            }
        }
    }

    fn not_answered(&mut self, waiting: &Waiting) {
        if let Asked::Produce(asked) = &waiting.asked {
            for (t, p, _) in asked {
                *self.under_way.get_mut(&(*t, *p)).expect("it was under way") -= 1;
                self.again.insert((*t, *p));
            }
        }
    }

    /// A replica does not take so long a batch: it is not sent again.
    fn too_large(&mut self, logs: &mut Logs, at: (usize, usize), number: u64) -> Result<(), Violation> {
        let bytes = logs.part(at.0, at.1).sent[&number].bytes.len();
        if bytes <= ENTRY_BYTES_ANYWHERE {
            let text = format!("a batch of {bytes} bytes is too large, and any log takes {ENTRY_BYTES_ANYWHERE}");
            return Err(Violation::new(Rule::ExpectedErrors, text));
        }
        logs.refused += 1;
        self.pending.retain(|one| one.number != number);
        if self.pending.iter().all(|one| one.at != at) {
            self.again.remove(&at);
        }
        Ok(())
    }

    fn answered(&mut self, now: u64, logs: &mut Logs, waiting: Waiting, frame: Bytes) -> Result<(), Violation> {
        let Asked::Produce(asked) = waiting.asked else { unreachable!("checked by the caller") };
        let answer: ProduceResponse = decode(frame, waiting.version)?;
        let part = answer.responses.first().and_then(|topic| topic.partition_responses.first());
        let Some(part) = part else {
            return Err(Violation::new(Rule::Protocol, "an empty answer to Produce"));
        };
        let (t, p, number) = asked[0];
        let at = (t, p);
        *self.under_way.get_mut(&at).expect("it was under way") -= 1;
        if !logs.is_live(t) {
            return Ok(());
        }
        if part.error_code == code::NONE {
            self.pending.retain(|one| one.number != number);
            self.sent_in_turn.remove(&number);
            self.known_at.insert(at);
            if self.ways.acks == -1 {
                logs.acknowledged(at, number, part.base_offset)?;
            }
            if self.pending.iter().all(|one| one.at != at) {
                self.again.remove(&at);
            }
            return Ok(());
        }
        if part.error_code == code::TOO_LARGE && logs.lengths_differ && !self.ways.once {
            return self.too_large(logs, at, number);
        }
        if part.error_code == code::OUT_OF_ORDER && self.ways.once {
            if self.sent_in_turn.contains(&number) && (logs.topics[t].keys > 0 || logs.disks_lose) {
                self.begin_anew();
                return Ok(());
            }
            if self.sent_in_turn.contains(&number) {
                let own = logs.part(t, p).sent.iter().filter(|(_, sent)| sent.lane.0 == self.lane);
                let known: Vec<_> = own.map(|(n, sent)| (*n, sent.acked, sent.attempts)).rev().take(8).collect();
                let text = format!(
                    "batch {number} of topic {t} partition {p} is the next in order, and was refused; batches, offsets and \
                     attempts: {known:?}"
                );
                return Err(Violation::new(Rule::ExpectedErrors, text));
            }
        } else {
            explain(logs, "produce", part.error_code)?;
            self.guide.doubt(now);
        }
        self.again.insert(at);
        self.not_before = now + self.guide.rng.between(1, 60) * 1_000_000;
        Ok(())
    }
}

impl Actor for Writer {
    fn wake(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs) -> Result<Next, Violation> {
        for waiting in self.guide.wake(nodes) {
            self.not_answered(&waiting);
        }
        self.pending.retain(|one| logs.is_live(one.at.0));
        self.again.retain(|(t, _)| logs.is_live(*t));
        if self.stopping && self.pending.is_empty() && self.guide.outstanding() == 0 {
            self.guide.hang_up(nodes);
            return Ok(Next::Done);
        }
        let pause = Next::Wake(self.guide.rng.between(20_000, self.ways.pause));
        if nodes.now() < self.not_before {
            return Ok(pause);
        }
        if self.ways.once && self.id.is_none() {
            if self.guide.outstanding() == 0 && !self.stopping {
                self.ask_for_id(nodes);
            }
            return Ok(pause);
        }
        self.send_again(nodes, logs);
        // A server knows the last five batches of a producer again.
        let room = self.pending.len() < self.ways.in_flight;
        if room && !self.stopping {
            let wall = nodes.wall_ms();
            if let Some(one) = self.compose(wall, logs)
                && !self.send(nodes, logs, one)
            {
                self.again.insert(one.at);
            }
        }
        if self.guide.rng.chance(1, 500) {
            for waiting in self.guide.hang_up(nodes) {
                self.not_answered(&waiting);
            }
            self.guide.doubt(nodes.now());
        }
        Ok(pause)
    }

    fn receive(&mut self, nodes: &mut dyn Nodes, logs: &mut Logs, link: u64, bytes: &[u8]) -> Result<(), Violation> {
        let now = nodes.now();
        for (waiting, frame) in self.guide.receive(now, logs, link, bytes)? {
            if !matches!(waiting.asked, Asked::InitProducerId) {
                self.answered(now, logs, waiting, frame)?;
                continue;
            }
            let answer: InitProducerIdResponse = decode(frame, waiting.version)?;
            if answer.error_code == code::NONE {
                self.id = Some((answer.producer_id.0, answer.producer_epoch));
            } else {
                explain(logs, "init producer id", answer.error_code)?;
                self.not_before = now + 50_000_000;
            }
        }
        Ok(())
    }

    fn lost(&mut self, nodes: &mut dyn Nodes, _: &mut Logs, link: u64) {
        for waiting in self.guide.lost(nodes.now(), link) {
            self.not_answered(&waiting);
        }
    }

    fn has(&self, link: u64) -> bool {
        self.guide.has(link)
    }

    fn stop(&mut self) {
        self.stopping = true;
    }
}
