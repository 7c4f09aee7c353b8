//! Produce: checks what can be checked without the partition, hands batches to the owners, answers when all are done.

use super::{Kafka, Out, ReplyTo, Waiting, code, expiry, view};
use crate::batch::NewBatch;
use crate::complaints::Complaint;
use crate::mail::{Acks, Ask, Parts, ProducePart, Produced, Token};
use crate::refusal::Refusal;
use crate::stages::{LogTimes, Path};
use crate::stats::add;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use torc_base::ids::{GroupId, Place};
use torc_base::limits::{CHECKED_AT_ONCE, LARGE_FRAME, TURN_ITEMS_FREE};
use torc_base::time::Wall;
use torc_net::kafka::produce::{PartitionResponse, Request, Response, Topic, TopicResponse};
use torc_net::kafka::records::{Batch, Demands, Invalid, Spares, Times};
use torc_net::kafka::{error, produce, records};
use torc_state::catalog::{Topic as CatalogTopic, is_reserved};
use torc_state::config::{TimestampType, TopicConfig};

/// What is said of a batch that the topic takes, and a member of the partition's group does not.
const TOO_LONG: &str =
    "the log of one of the partition's replicas takes no record batch of this length: its segments are smaller";

/// A produce request whose answer is being put together.
pub(super) struct Gather {
    response: Response,
    /// Where in the response each part's answer goes, topic and partition, and whose log is asked.
    places: Vec<(u32, u32, GroupId)>,
    waiting: usize,
    /// Of these, parts that nobody has been asked for yet.
    unasked: usize,
    acks: Acks,
    /// Of the batch that was durable last.
    times: Option<LogTimes>,
    /// What another node leads, or in another epoch.
    misled: Vec<(u32, u32, GroupId)>,
}

impl Gather {
    fn new(acks: Acks) -> Gather {
        let (response, places) = (Response::default(), Vec::new());
        Gather { response, places, waiting: 0, unasked: 0, acks, times: None, misled: Vec::new() }
    }

    /// True if owners have parts of it that they have not answered.
    pub fn is_with_owners(&self) -> bool {
        self.waiting > self.unasked
    }

    /// Takes answers in; true if all are there.
    pub fn take(&mut self, parts: Parts<Produced>) -> bool {
        for (position, result) in parts {
            self.waiting -= 1;
            let (topic, partition, group) = self.places[position as usize];
            let place = &mut self.response.topics[topic as usize].partitions[partition as usize];
            let produced = match result {
                Ok(produced) => produced,
                // All else in it says already that there is nothing.
                Err(refusal) => {
                    place.error = code(refusal);
                    if refusal == Refusal::TooLarge {
                        place.message = Some(TOO_LONG.to_owned());
                    }
                    if refusal.is_of_leader() {
                        self.misled.push((topic, partition, group));
                    }
                    continue;
                }
            };
            place.error = error::NONE;
            place.base_offset = produced.base.get();
            place.log_append_time = produced.append_time;
            place.log_start_offset = produced.log_start.get();
            if produced.times.map(|times| times.durable) > self.times.map(|times| times.durable) {
                self.times = produced.times;
            }
        }
        self.waiting == 0
    }
}

/// Batches of a request that go to their owners, some at a time.
pub(super) struct Asking {
    token: Token,
    rest: VecDeque<(Place, std::vec::IntoIter<ProducePart>)>,
}

/// Why a batch goes no further: the code and, for people, the reason.
pub(super) type Refused = (i16, Option<String>);

/// What came of the batches of a request that have been looked at, by their places in it: topic, partition.
pub(super) type Opened = BTreeMap<(usize, usize), Result<Batch, Refused>>;

impl Kafka {
    /// Takes a produce request in: one with compressed batches is opened first, and one that is long or names many partitions.
    pub(super) fn produce(&mut self, out: &mut Out, to: ReplyTo, mut request: Request, frame_bytes: usize) {
        keep_last(&mut request.topics);
        let opened = cut_to_batches(&mut request.topics);
        let compressed = || request.topics.iter().flat_map(|topic| &topic.partitions).any(is_compressed);
        let is_long = frame_bytes > CHECKED_AT_ONCE || partitions(&request) > TURN_ITEMS_FREE;
        if self.openings.holds(to.conn) || is_long || compressed() {
            return self.open_first(out, to, (request, opened), frame_bytes, is_long);
        }
        let Some((token, asks)) = self.prepare(out, to, request, frame_bytes, opened) else { return };
        out.asks.extend(asks.into_iter().map(|(owner, parts)| (owner, token, Ask::Produce(parts))));
    }

    /// The same for a request whose batches have been looked at that take turns: what owners are to be asked is asked over turns,
    /// too. `None`: nothing is.
    pub(super) fn produce_opened(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        request: Request,
        frame_bytes: usize,
        opened: Opened,
    ) -> Option<Asking> {
        let (token, asks) = self.prepare(out, to, request, frame_bytes, opened)?;
        let gather = self.produce_gather(token).expect("just begun");
        gather.unasked = gather.waiting;
        Some(Asking { token, rest: asks.into_iter().map(|(owner, parts)| (owner, parts.into_iter())).collect() })
    }

    fn produce_gather(&mut self, token: Token) -> Option<&mut Gather> {
        match self.pending.get_mut(&token).map(|pending| &mut pending.what) {
            Some(Waiting::Produce(gather)) => Some(gather),
            _ => None,
        }
    }

    /// Asks owners to take more batches, as far as `left` goes, of which each takes `cost`. True if there are no others, or if
    /// nobody waits for them any more.
    pub(super) fn ask_on(&mut self, out: &mut Out, asking: &mut Asking, cost: usize, left: &mut usize) -> bool {
        let token = asking.token;
        let Some(gather) = self.produce_gather(token) else { return true };
        while *left > 0
            && let Some((owner, parts)) = asking.rest.front_mut()
        {
            let some: Vec<ProducePart> = parts.by_ref().take(left.div_ceil(cost)).collect();
            *left = left.saturating_sub(some.len() * cost);
            gather.unasked -= some.len();
            out.asks.push_back((*owner, token, Ask::Produce(some)));
            if parts.len() == 0 {
                asking.rest.pop_front();
            }
        }
        asking.rest.is_empty()
    }

    /// Begins the answer to a request, and checks its batches; what owners are to be asked. `None`: it is answered.
    fn prepare(
        &mut self,
        out: &mut Out,
        to: ReplyTo,
        request: Request,
        frame_bytes: usize,
        mut opened: Opened,
    ) -> Option<(Token, BTreeMap<Place, Vec<ProducePart>>)> {
        let acks = acks(request.acks);
        let mut gather = Gather::new(acks.unwrap_or(Acks::All));
        let has_id = request.transactional_id.is_some();
        // One question per owner; nearly always there is only one owner.
        let mut asks: BTreeMap<Place, Vec<ProducePart>> = BTreeMap::new();
        for (t, topic) in request.topics.into_iter().enumerate() {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            let Topic { name, id, partitions: wanted } = topic;
            let found = self.view.find(&name, id).cloned();
            for (p, partition) in wanted.into_iter().enumerate() {
                let position = gather.places.len() as u32;
                let index = partition.index;
                let part = acks.map_err(|code| (code, None)).and_then(|acks| {
                    let topic = found.as_deref().ok_or_else(|| unknown(&name, to.version))?;
                    let opened = opened.remove(&(t, p));
                    let part = self.part(out.now.wall, to.version, topic, position, (partition, opened), acks)?;
                    check_transaction(&part.batch.header, has_id)?;
                    Ok(part)
                });
                let mut answer = PartitionResponse::refused(index, error::NONE, None);
                match part {
                    Ok(part) => {
                        // Until its owner has answered.
                        answer.error = error::REQUEST_TIMED_OUT;
                        gather.places.push((t as u32, p as u32, part.group));
                        gather.waiting += 1;
                        asks.entry(self.settings.owner(part.group)).or_default().push(part);
                    }
                    Err((code, message)) => {
                        add(&self.stats.produce_errors_total, 1);
                        answer.error = code;
                        answer.message = message;
                    }
                }
                partitions.push(answer);
            }
            gather.response.topics.push(TopicResponse { name, id, partitions });
        }
        if gather.waiting == 0 {
            self.answer_produce(out, to, &gather);
            return None;
        }
        let (here, other) = (self.settings.here(), asks.first_key_value().map(|(owner, _)| *owner));
        let other = other.filter(|owner| owner.node == here.node && *owner != here).map(|owner| owner.shard);
        out.conns.note_owner(to.conn, other.filter(|_| asks.len() == 1));
        let expires = match gather.acks {
            // Its client waits for nothing.
            Acks::None => expiry::NEVER,
            Acks::Disks(_) | Acks::All => expiry::limit(out.now.mono, request.timeout_ms),
        };
        let token = self.wait_until(out, expires, to, Waiting::Produce(gather));
        for parts in asks.values_mut() {
            let bytes: usize = parts.iter().map(|part| part.batch.bytes.len()).sum();
            // Large requests are written from where they lie, unless most of their pages belong to other shards.
            let gathers = frame_bytes >= LARGE_FRAME && bytes * 2 >= frame_bytes;
            parts.iter_mut().for_each(|part| part.batch.gather = gathers);
        }
        Some((token, asks))
    }

    /// Bytes of the longest batch that a topic takes: an entry lies in one segment, whatever the topic says.
    pub(super) fn batch_bytes_max(&self, config: &TopicConfig) -> usize {
        self.settings.wal.entry_bytes_max().min(config.max_message_bytes as usize)
    }

    /// Checks one partition's batch.
    fn part(
        &self,
        now: Wall,
        version: i16,
        topic: &CatalogTopic,
        position: u32,
        (partition, opened): (produce::Partition, Option<Result<Batch, Refused>>),
        acks: Acks,
    ) -> Result<ProducePart, Refused> {
        let group = view::partition(topic, partition.index).ok_or((error::UNKNOWN_TOPIC_OR_PARTITION, None))?;
        if is_reserved(&topic.name) {
            return Err(internal(&topic.name));
        }
        let config = &topic.config;
        let replicas = self.settings.replicas(topic, partition.index as u32).len() as u32;
        match acks {
            // More replicas may come, and the topic can be changed: Kafka has clients try again.
            Acks::All if config.min_insync_replicas > replicas => return Err((error::NOT_ENOUGH_REPLICAS, None)),
            // No time makes this right, and a client must not try until its own is up.
            Acks::Disks(disks) if u32::from(disks) > replicas => {
                let message = format!("acks={disks}: the partition is on {replicas} disk(s)");
                return Err((error::INVALID_REQUIRED_ACKS, Some(message)));
            }
            Acks::All | Acks::Disks(_) | Acks::None => {}
        }
        let Some(mut bytes) = partition.records else {
            return Err((error::INVALID_RECORD, Some("the request has no record batch for the partition".into())));
        };
        let may = self.batch_bytes_max(config);
        if bytes.len() > may {
            let (is, of) = (bytes.len(), config.max_message_bytes);
            let message =
                format!("the record batch is {is} bytes long; the log takes {may}, max.message.bytes is {of}");
            return Err((error::MESSAGE_TOO_LARGE, Some(message)));
        }
        let batch = match opened {
            Some(opened) => opened?,
            // When it was its turn to be opened, the topic was not there or took no batch of that length.
            None if records::is_compressed(&bytes) => return Err((error::NOT_LEADER_OR_FOLLOWER, None)),
            None => records::check(&mut bytes, demands(config, now), &mut Spares::default()).map_err(refused)?,
        };
        if version < batch.produce_version_min() {
            let message = "zstd needs Produce version 7 or later".to_owned();
            return Err((error::UNSUPPORTED_COMPRESSION_TYPE, Some(message)));
        }
        let stamp = config.timestamp_type == TimestampType::LogAppendTime;
        let batch = NewBatch { header: batch, bytes, gather: false, stamp };
        Ok(ProducePart { position, group, batch, acks, in_sync: config.min_insync_replicas })
    }

    pub(super) fn finish_produce(&mut self, out: &mut Out, token: Token) {
        let pending = self.done(out, token);
        let Waiting::Produce(mut gather) = pending.what else { unreachable!("it was one") };
        self.name_leaders(out, pending.to, &mut gather);
        self.answer_produce(out, pending.to, &gather);
    }

    /// Tells who leads what could not be appended here.
    fn name_leaders(&self, out: &Out, to: ReplyTo, gather: &mut Gather) {
        let mut named = Vec::new();
        for (topic, partition, group) in std::mem::take(&mut gather.misled) {
            let leader = self.current_leader(group);
            named.extend(leader);
            gather.response.topics[topic as usize].partitions[partition as usize].leader = leader;
        }
        gather.response.endpoints = self.endpoints(out.conns.listener(to.conn), named);
    }

    fn answer_produce(&mut self, out: &mut Out, to: ReplyTo, gather: &Gather) {
        if gather.acks == Acks::None {
            // The client waits for nothing; the place in the order of answers is given up. That something is wrong it
            // can only learn from losing the connection, as with Kafka.
            self.answer_with(out, to, None, Path::Other);
            let mut partitions = gather.response.topics.iter().flat_map(|topic| &topic.partitions);
            if let Some(failed) = partitions.find(|partition| partition.error != error::NONE) {
                let why = format_args!("a produce request with acks=0 failed with error {}", failed.error);
                self.close_with(out, to.conn, Complaint::Unanswered, &why);
            }
            return;
        }
        produce::encode(&gather.response, to.version, to.correlation, &mut self.packer.scratch);
        let reply = self.packer.take_scratch();
        self.answer_with(out, to, Some(reply), gather.times.map_or(Path::Other, Path::Log));
    }
}

/// Partitions that a request names.
pub(super) fn partitions(request: &Request) -> usize {
    request.topics.iter().map(|topic| topic.partitions.len()).sum()
}

fn acks(wire: i16) -> Result<Acks, i16> {
    match wire {
        0 => Ok(Acks::None),
        -1 => Ok(Acks::All),
        disks => u16::try_from(disks).map(Acks::Disks).map_err(|_| error::INVALID_REQUIRED_ACKS),
    }
}

/// True if it takes no look at all of them to see that nothing is named twice: topics rise, and so do each topic's partitions,
/// from wherever they begin, since Kafka's own producer begins with another one each time.
fn are_in_order(topics: &[Topic]) -> bool {
    let rise = topics.is_sorted_by(|a, b| (&a.name, a.id) < (&b.name, b.id));
    rise && topics.iter().all(|Topic { partitions, .. }| {
        let behind = partitions.iter().cycle().skip(1);
        partitions.iter().zip(behind).filter(|(one, next)| one.index >= next.index).count() <= 1
    })
}

/// Of a partition that is named several times the last batch counts, and it alone is answered, as in Apache Kafka.
fn keep_last(topics: &mut Vec<Topic>) {
    if are_in_order(topics) {
        return;
    }
    let named = |(t, topic): (usize, &'_ Topic)| {
        let partitions = topic.partitions.iter().enumerate();
        partitions.map(move |(p, partition)| (partition.index, t, p)).collect::<Vec<_>>()
    };
    let mut names: Vec<(i32, usize, usize)> = topics.iter().enumerate().flat_map(named).collect();
    let name = |t: usize| (&*topics[t].name, topics[t].id);
    names.sort_unstable_by(|a, b| (a.0, name(a.1)).cmp(&(b.0, name(b.1))).then((a.1, a.2).cmp(&(b.1, b.2))));
    let is_same = |a: &(i32, usize, usize), b: &(i32, usize, usize)| a.0 == b.0 && name(a.1) == name(b.1);
    let again = names.windows(2).filter(|pair| is_same(&pair[0], &pair[1]));
    let dropped: BTreeSet<(usize, usize)> = again.map(|pair| (pair[0].1, pair[0].2)).collect();
    if dropped.is_empty() {
        return;
    }
    let mut t = 0;
    topics.retain_mut(|topic| {
        let before = topic.partitions.len();
        let mut p = 0;
        topic.partitions.retain(|_| {
            p += 1;
            !dropped.contains(&(t, p - 1))
        });
        t += 1;
        before == 0 || !topic.partitions.is_empty()
    });
}

/// Leaves out what follows each partition's batch and is too short to be anything. What is wrong with what follows is the
/// answer for its partition.
fn cut_to_batches(topics: &mut [Topic]) -> Opened {
    let mut opened = Opened::default();
    for (t, topic) in topics.iter_mut().enumerate() {
        for (p, partition) in topic.partitions.iter_mut().enumerate() {
            let Some(bytes) = &mut partition.records else { continue };
            match records::length_of_first(bytes) {
                Ok(length) => bytes.truncate(length),
                Err(invalid) => _ = opened.insert((t, p), Err(refused(invalid))),
            }
        }
    }
    opened
}

/// There are no transactions yet. Who has an id for them may send what is none of theirs.
fn check_transaction(batch: &Batch, has_id: bool) -> Result<(), Refused> {
    match (batch.is_transactional(), has_id) {
        (false, _) => Ok(()),
        (true, true) => Err((error::INVALID_TXN_STATE, None)),
        (true, false) => {
            let message = "a transactional batch in a request without a transactional id".to_owned();
            Err((error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, Some(message)))
        }
    }
}

/// What a client is told of a batch that is not sound.
pub(super) fn refused(invalid: Invalid) -> Refused {
    (invalid.code(), Some(invalid.to_string()))
}

/// True if the partition has a batch that says that its records are compressed.
pub(super) fn is_compressed(partition: &produce::Partition) -> bool {
    partition.records.as_deref().is_some_and(records::is_compressed)
}

/// What records of a topic must be.
pub(super) fn demands(config: &TopicConfig, now: Wall) -> Demands {
    let times = config.admitted_timestamps(now).map_or(Times::Append, Times::Create);
    Demands { times, keyed: config.cleanup_policy.compacts() }
}

/// Why a topic that is not there takes nothing. One of the server's own never comes for a client that waits for it.
fn unknown(name: &str, version: i16) -> Refused {
    match name {
        "" if version >= produce::BY_ID => (error::UNKNOWN_TOPIC_ID, None),
        name if is_reserved(name) => internal(name),
        _ => (error::UNKNOWN_TOPIC_OR_PARTITION, None),
    }
}

fn internal(name: &str) -> Refused {
    (error::INVALID_TOPIC_EXCEPTION, Some(format!("{name} is the server's own")))
}

#[cfg(test)]
#[path = "produce_tests.rs"]
mod tests;
