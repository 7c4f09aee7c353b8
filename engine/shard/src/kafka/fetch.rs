//! Fetch: asks the owners, waits until there is enough or the time is up, sends record bytes from where they lie.

use super::sessions::{Key, Plan, Wanted};
use super::{Kafka, Out, ReplyTo, Waiting, view};
use crate::mail::{Answer, Ask, FetchPart, Fetched, Token};
use crate::stages::Path;
use crate::stats::add;
use std::collections::BTreeMap;
use torc_base::buf::Buf;
use torc_base::ids::{GroupId, Offset, ShardId};
use torc_base::limits::FETCH_BYTES_MAX;
use torc_base::time::Mono;
use torc_net::kafka::fetch::{Part, PartitionData, Request, Response, TopicData};
use torc_net::kafka::{error, fetch};

/// One partition of a waiting fetch.
struct Place {
    key: Key,
    wanted: Wanted,
    group: Result<GroupId, i16>,
    fetched: Option<Fetched>,
}

/// A fetch whose answer is being put together.
pub(super) struct Gather {
    plan: (i32, bool),
    places: Vec<Place>,
    min_bytes: usize,
    max_bytes: usize,
    deadline: Mono,
    /// Owners whose answer to the present round is missing.
    waiting: usize,
    /// Owners that were asked to say when there is more.
    watching: BTreeMap<ShardId, Vec<GroupId>>,
    /// A watch has fired while a round was under way.
    woken: bool,
    timed_out: bool,
    /// When the present round began, or the wait for records behind it.
    since: Mono,
    /// Nanoseconds of waiting for records, and of rounds that needed the disk.
    waited_ns: u64,
    read_ns: u64,
}

impl Gather {
    fn bytes(&self) -> usize {
        self.places.iter().filter_map(|place| place.fetched.as_ref()).map(|fetched| fetched.bytes).sum()
    }

    /// A partition was not read to its end: what it gave is not enough for the reader only because of where the log
    /// was cut, and nothing would wake a reader that waits.
    fn has_more(&self) -> bool {
        let mut fetched = self.places.iter().filter_map(|place| place.fetched.as_ref());
        fetched.any(|fetched| fetched.more && fetched.bytes > 0)
    }

    /// A partition that exists cannot be read. One that does not exist is told of with the others, as in Kafka: it
    /// stays in a client's session for a while, and must not make every answer come at once.
    fn has_error(&self) -> bool {
        let mut fetched = self.places.iter().filter_map(|place| place.fetched.as_ref());
        fetched.any(|fetched| fetched.error != error::NONE)
    }
}

impl Kafka {
    pub(super) fn fetch(&mut self, out: &mut Out, to: ReplyTo, request: Request) {
        let session = (request.session_id, request.session_epoch);
        let plan = match self.sessions.plan(out.now.mono, session, &request.topics, &request.forgotten) {
            Ok(plan) => plan,
            Err(code) => {
                let response = Response { error: code, session_id: 0, ..Response::default() };
                return self.send_fetch(to, response, Path::Other);
            }
        };
        let Plan { session, incremental, parts } = plan;
        let places = parts.into_iter().map(|(key, wanted)| {
            let topic = self.view.find(&key.name, key.id);
            let unknown = if key.name.is_empty() { error::UNKNOWN_TOPIC_ID } else { error::UNKNOWN_TOPIC_OR_PARTITION };
            let group = topic
                .ok_or(unknown)
                .and_then(|topic| view::partition(topic, key.index).ok_or(error::UNKNOWN_TOPIC_OR_PARTITION));
            Place { key, wanted, group, fetched: None }
        });
        let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0);
        let gather = Gather {
            plan: (session, incremental),
            places: places.collect(),
            min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
            // The first batch is sent however small the bound is.
            max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).clamp(1, FETCH_BYTES_MAX),
            deadline: out.now.mono.plus_ms(wait_ms),
            waiting: 0,
            watching: BTreeMap::new(),
            woken: false,
            timed_out: wait_ms == 0 || self.draining,
            since: out.now.mono,
            waited_ns: 0,
            read_ns: 0,
        };
        let deadline = gather.deadline;
        let token = self.wait(to, Waiting::Fetch(Box::new(gather)));
        self.deadlines.insert((deadline, token));
        self.fetch_round(out, token);
    }

    fn gather_mut(&mut self, token: Token) -> Option<&mut Gather> {
        match self.pending.get_mut(&token).map(|pending| &mut pending.what) {
            Some(Waiting::Fetch(gather)) => Some(gather),
            _ => None,
        }
    }

    /// Asks all owners once.
    fn fetch_round(&mut self, out: &mut Out, token: Token) {
        let settings = std::sync::Arc::clone(&self.settings);
        let reply_room = self.conns.reply_room();
        let gather = self.gather_mut(token).expect("it waits");
        gather.woken = false;
        gather.since = out.now.mono;
        let max_bytes = gather.max_bytes.min(reply_room);
        let mut asks: BTreeMap<ShardId, Vec<FetchPart>> = BTreeMap::new();
        for (position, place) in gather.places.iter_mut().enumerate() {
            place.fetched = None;
            let Ok(group) = place.group else { continue };
            let part = FetchPart {
                position: position as u32,
                group,
                offset: Offset(place.wanted.offset),
                max_bytes: usize::try_from(place.wanted.max_bytes).unwrap_or(0),
                epoch: place.wanted.epoch,
            };
            asks.entry(settings.owner(group)).or_default().push(part);
        }
        gather.waiting = asks.len();
        if asks.is_empty() {
            // Nothing can be read, so there is nothing to wait for.
            return self.finish_fetch(out, token);
        }
        for (owner, parts) in asks {
            out.asks.push_back((owner, token, Ask::Fetch { parts, max_bytes }));
        }
    }

    /// An owner's answer, or its word that there is more now.
    pub(super) fn fetch_answer(&mut self, out: &mut Out, token: Token, answer: Answer) {
        let gather = self.gather_mut(token).expect("looked at by the caller");
        match answer {
            Answer::Fetched(parts) => {
                for (position, fetched) in parts {
                    gather.places[position as usize].fetched = Some(fetched);
                }
                gather.waiting -= 1;
                if gather.waiting == 0 {
                    self.fetch_round_done(out, token);
                }
            }
            Answer::Wake if gather.waiting > 0 => gather.woken = true,
            Answer::Wake => {
                gather.waited_ns += out.now.mono.since(gather.since);
                self.unwatch(out, token);
                self.fetch_round(out, token);
            }
            other => unreachable!("{other:?} was filtered by the caller"),
        }
    }

    fn fetch_round_done(&mut self, out: &mut Out, token: Token) {
        let gather = self.gather_mut(token).expect("it waits");
        let mut fetched = gather.places.iter().filter_map(|place| place.fetched.as_ref());
        if fetched.any(|fetched| fetched.cold) {
            gather.read_ns += out.now.mono.since(gather.since);
        }
        let enough = gather.bytes() >= gather.min_bytes.clamp(1, gather.max_bytes);
        if enough || gather.has_more() || gather.timed_out || gather.has_error() || gather.min_bytes == 0 {
            return self.finish_fetch(out, token);
        }
        if gather.woken {
            self.unwatch(out, token);
            return self.fetch_round(out, token);
        }
        self.watch(out, token);
    }

    /// Asks the owners to say when there is more than was read.
    fn watch(&mut self, out: &mut Out, token: Token) {
        let settings = std::sync::Arc::clone(&self.settings);
        let gather = self.gather_mut(token).expect("it waits");
        gather.since = out.now.mono;
        let mut asks: BTreeMap<ShardId, Vec<(GroupId, Offset)>> = BTreeMap::new();
        for place in &mut gather.places {
            if let (Ok(group), Some(fetched)) = (place.group, &place.fetched) {
                asks.entry(settings.owner(group)).or_default().push((group, fetched.high_watermark));
            }
        }
        // What was read is read again: it is not kept in memory while nobody knows for how long.
        gather.places.iter_mut().for_each(|place| {
            if let Some(fetched) = &mut place.fetched {
                fetched.records = Vec::new();
            }
        });
        gather.watching =
            asks.iter().map(|(owner, parts)| (*owner, parts.iter().map(|(group, _)| *group).collect())).collect();
        for (owner, parts) in asks {
            out.asks.push_back((owner, token, Ask::Watch(parts)));
        }
    }

    fn unwatch(&mut self, out: &mut Out, token: Token) {
        let Some(gather) = self.gather_mut(token) else { return };
        for (owner, groups) in std::mem::take(&mut gather.watching) {
            out.asks.push_back((owner, token, Ask::Unwatch(groups)));
        }
    }

    /// The time of a fetch is up: whatever there is now is its answer.
    pub(super) fn fetch_timeout(&mut self, out: &mut Out, token: Token) {
        let Some(gather) = self.gather_mut(token) else { return };
        gather.timed_out = true;
        if gather.waiting == 0 {
            gather.waited_ns += out.now.mono.since(gather.since);
            self.unwatch(out, token);
            self.fetch_round(out, token);
        }
    }

    /// The connection of a fetch is gone.
    pub(super) fn forget_fetch(&mut self, out: &mut Out, token: Token, gather: &Gather) {
        self.deadlines.remove(&(gather.deadline, token));
        self.sessions.idle(gather.plan.0);
        for (owner, groups) in &gather.watching {
            out.asks.push_back((*owner, token, Ask::Unwatch(groups.clone())));
        }
    }

    fn finish_fetch(&mut self, out: &mut Out, token: Token) {
        self.unwatch(out, token);
        let pending = self.done(token);
        let Waiting::Fetch(gather) = pending.what else { unreachable!("it was one") };
        let Gather { plan: (session, incremental), places, max_bytes, deadline, waited_ns, read_ns, .. } = *gather;
        self.deadlines.remove(&(deadline, token));
        let mut response = Response { session_id: session, ..Response::default() };
        let mut budget = max_bytes;
        let mut any = false;
        for place in places {
            let Place { key, group, fetched, .. } = place;
            let mut fetched = match group {
                Ok(_) => fetched.expect("every owner has answered"),
                Err(code) => Fetched::refused(code),
            };
            // Owners read without knowing of each other: together it may be too much.
            if any && fetched.bytes > budget {
                fetched.records = Vec::new();
                fetched.bytes = 0;
                fetched.count = 0;
            }
            any |= fetched.bytes > 0;
            budget = budget.saturating_sub(fetched.bytes);
            add(&self.stats.fetch_bytes_total, fetched.bytes as u64);
            add(&self.stats.fetch_records_total, fetched.count);
            let told = (fetched.error, fetched.high_watermark.get(), fetched.log_start.get());
            let news = self.sessions.tell(session, &key, told, fetched.bytes > 0);
            if news || !incremental {
                put(&mut response, key, fetched);
            }
        }
        self.sessions.idle(session);
        self.send_fetch(pending.to, response, Path::Fetch { waited_ns, read_ns });
    }

    fn send_fetch(&mut self, to: ReplyTo, response: Response, path: Path) {
        let mut parts = Vec::new();
        let mut scratch = std::mem::take(&mut self.packer.scratch);
        fetch::encode(response, to.version, to.correlation, &mut scratch, &mut parts);
        let encoded = self.packer.put(&scratch);
        scratch.clear();
        self.packer.scratch = scratch;
        let parts: Vec<Buf> = parts
            .into_iter()
            .map(|part| match part {
                Part::Scratch(range) => encoded.slice(range),
                Part::Records(records) => records,
            })
            .collect();
        self.answer_parts(to, parts, path);
    }
}

/// Adds a partition to an answer, in the topic's entry if that is the last one.
fn put(response: &mut Response, key: Key, fetched: Fetched) {
    let Key { name, id, index } = key;
    if response.topics.last().is_none_or(|topic| topic.name != name || topic.id != id) {
        response.topics.push(TopicData { name, id, partitions: Vec::new() });
    }
    let topic = response.topics.last_mut().expect("pushed above");
    topic.partitions.push(PartitionData {
        index,
        error: fetched.error,
        high_watermark: fetched.high_watermark.get(),
        last_stable_offset: fetched.high_watermark.get(),
        log_start_offset: fetched.log_start.get(),
        preferred_read_replica: -1,
        aborted: None,
        records: fetched.records,
    });
}
