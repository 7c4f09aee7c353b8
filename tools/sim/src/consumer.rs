//! A consumer: long polls from anywhere in the log, with and without fetch sessions; or one that reads everything once.

use crate::client::{self, Client, Next};
use crate::history::{History, Life, Verdict, code};
use crate::requests::{self, EARLIEST};
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, Connection, Port, Waiting, decode};
use crate::world::MS;
use bytes::Bytes;
use kafka_protocol::messages::{FetchResponse, ListOffsetsResponse};
use std::collections::BTreeMap;
use torc_base::prng::Prng;

/// The timestamp that asks for the log's end.
const LATEST: i64 = -1;
/// The record with the largest timestamp.
const MAX_TIMESTAMP: i64 = -3;
/// The first offset on this server's own disk, and two that only a log with tiers has.
const EARLIEST_LOCAL: i64 = -4;
const TIERED: i64 = -5;
const PENDING_UPLOAD: i64 = -6;
/// UNSUPPORTED_VERSION
const UNSUPPORTED_VERSION: i16 = 35;

/// The first version of ListOffsets that may ask for it.
fn first_version(timestamp: i64) -> u64 {
    match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        TIERED => 9,
        PENDING_UPLOAD => 11,
        _ => 1,
    }
}

/// Where a reader is in one partition.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Next offset; `None` until the log start is known.
    next: Option<i64>,
    /// Auditor: where it began.
    start: i64,
    /// Auditor: the end that was there when it came.
    end: Option<i64>,
    done: bool,
    /// The server's session has it at another offset, or not at all.
    changed: bool,
}

/// See the module.
pub struct Consumer {
    rng: Prng,
    connection: Connection,
    version: i16,
    /// Reads each partition once from start to end, and stops.
    auditor: bool,
    places: BTreeMap<(usize, usize), Place>,
    /// Fetch session: id and next epoch; `None`: none is wanted.
    session: Option<(i32, i32)>,
    stopping: bool,
    not_before: u64,
}

impl Consumer {
    /// A reader that jumps about; or, if `auditor`, one that reads everything there is and stops.
    pub fn new(mut rng: Prng, auditor: bool) -> Consumer {
        let connection = Connection::new(client::manner(&mut rng));
        let version = rng.between(4, 17) as i16;
        let session = (!auditor && version >= 7 && rng.chance(1, 2)).then_some((0, 0));
        Consumer { rng, connection, version, auditor, places: BTreeMap::new(), session, stopping: false, not_before: 0 }
    }

    /// True if everything has been read and compared.
    fn audited(&self) -> bool {
        self.auditor && self.places.values().all(|p| p.done)
    }

    /// Takes topics up that have become known, and drops those that are gone.
    fn look_around(&mut self, history: &History) {
        for t in history.live() {
            for p in 0..history.topics[t].partitions.len() {
                self.places.entry((t, p)).or_insert(Place { changed: true, ..Place::default() });
            }
        }
        let before = self.places.len();
        self.places.retain(|(t, _), _| matches!(history.topics[*t].life, Life::Live | Life::Asked));
        if self.places.len() != before {
            self.new_session();
        }
    }

    fn new_session(&mut self) {
        if self.session.is_some() {
            self.session = Some((0, 0));
            for place in self.places.values_mut() {
                place.changed = true;
            }
        }
    }

    fn ask_offset(&mut self, port: &mut dyn Port, history: &mut History, one: (usize, usize), timestamp: i64) {
        let (topic, partition) = one;
        let known = history.part(topic, partition);
        let asked = Asked::ListOffsets { topic, partition, timestamp, hw: known.hw, start: known.start };
        let request = requests::list_offsets(&history.topics[topic].name, partition, timestamp);
        // The codec of the simulated clients ends with 10, where the last special offset is not known yet.
        let version = self.rng.between(first_version(timestamp).min(10), 10) as i16;
        self.connection.ask(port, version, &request, Some(asked));
    }

    fn fetch(&mut self, port: &mut dyn Port, history: &mut History) {
        let mut parts = Vec::new();
        let mut wanted = Vec::new();
        let incremental = self.session.is_some_and(|(_, epoch)| epoch > 0);
        let few = self.rng.between(1, 6) as usize;
        for ((t, p), place) in &mut self.places {
            let Some(next) = place.next else { continue };
            if place.done || self.session.is_none() && parts.len() == few {
                continue;
            }
            let floor = history.part(*t, *p).hw;
            // A session answers for everything it holds, asked again or not.
            parts.push((*t, *p, next, floor));
            if incremental && !place.changed {
                continue;
            }
            place.changed = false;
            let most = if self.rng.chance(1, 4) { self.rng.between(1, 5_000) } else { 300_000 };
            wanted.push((*t, requests::part(*p, next, most as i32)));
        }
        if parts.is_empty() {
            return;
        }
        let topics = requests::fetch_topics(history, self.version >= 13, wanted.into_iter());
        let (id, epoch) = self.session.unwrap_or((0, -1));
        let wait = if self.auditor { 0 } else { self.rng.below(400) };
        let request = requests::fetch()
            .with_max_wait_ms(wait as i32)
            .with_min_bytes(self.rng.below(3) as i32)
            .with_max_bytes(if self.rng.chance(1, 8) { 100 } else { 1 << 20 })
            .with_session_id(id)
            .with_session_epoch(epoch)
            .with_topics(topics);
        let session = self.session;
        self.connection.ask(port, self.version, &request, Some(Asked::Fetch { parts, session }));
    }

    fn fetched(
        &mut self,
        port: &mut dyn Port,
        history: &mut History,
        waiting: Waiting,
        frame: Bytes,
    ) -> Result<(), Violation> {
        let answer: FetchResponse = decode(frame, waiting.version)?;
        let (asked_ms, version) = (waiting.sent_at / MS, waiting.version);
        let Asked::Fetch { parts, session } = waiting.asked else { unreachable!("checked by the caller") };
        match answer.error_code {
            code::NONE => {}
            // The session is gone (restart, eviction) or its epoch or topic ids do not fit any more.
            70 | 71 | 103 | 106 if session.is_some() => {
                self.new_session();
                return Ok(());
            }
            error => {
                history.explain("fetch", error, None)?;
                self.new_session();
                self.not_before = port.now() + 20_000_000;
                return Ok(());
            }
        }
        // Unless the client has begun another session meanwhile.
        if session == self.session
            && let Some((id, epoch)) = &mut self.session
        {
            if *epoch == 0 {
                *id = answer.session_id;
            }
            *epoch = if *id == 0 { 0 } else { *epoch + 1 };
            if *epoch == 0 {
                self.new_session();
            }
        }
        for topic in &answer.responses {
            for part in &topic.partitions {
                let (t, p, from, floor) = requests::asked_part(history, &parts, version, topic, part)?;
                if part.error_code != code::NONE {
                    self.refused(port, history, (t, p, from), part.error_code)?;
                    continue;
                }
                history.log_start(t, p, 0, part.log_start_offset.max(0))?;
                let bytes = part.records.as_deref().unwrap_or(&[]);
                if history.is_compacted(t) {
                    history.sighted(t, p, asked_ms, bytes);
                }
                let next = history.fetched(t, p, from, floor, part.high_watermark, bytes)?;
                history.told_end((t, p), asked_ms)?;
                self.advance((t, p), from, next, part.high_watermark);
            }
        }
        Ok(())
    }

    fn advance(&mut self, one: (usize, usize), from: i64, next: i64, hw: i64) {
        let Some(place) = self.places.get_mut(&one).filter(|p| p.next == Some(from)) else { return };
        place.changed |= next != from;
        place.next = Some(next);
        if self.auditor && next == from && next >= hw && place.end.is_none() {
            place.end = Some(hw);
        }
        if !self.auditor && self.rng.chance(1, 12) {
            place.next = Some(self.rng.below(next as u64 + 1) as i64);
            place.changed = true;
        }
    }

    fn refused(
        &mut self,
        port: &mut dyn Port,
        history: &mut History,
        at: (usize, usize, i64),
        error: i16,
    ) -> Result<(), Violation> {
        let (t, p, from) = at;
        self.not_before = port.now() + self.rng.between(5, 50) * 1_000_000;
        let Some(place) = self.places.get_mut(&(t, p)) else { return Ok(()) };
        place.changed = true;
        if error == code::OUT_OF_RANGE {
            place.next = None;
            self.new_session();
            return history.out_of_range(t, p, from);
        }
        match history.explain("fetch", error, Some(t))? {
            Verdict::Drop => {
                self.places.remove(&(t, p));
                self.new_session();
            }
            // What was damaged at rest stays so: an error is an answer.
            Verdict::Retry if history.faults.damage && self.auditor => place.done = true,
            Verdict::Retry => {}
        }
        Ok(())
    }

    fn listed(
        &mut self,
        port: &mut dyn Port,
        history: &mut History,
        waiting: Waiting,
        frame: Bytes,
    ) -> Result<(), Violation> {
        let answer: ListOffsetsResponse = decode(frame, waiting.version)?;
        let Asked::ListOffsets { topic, partition, timestamp, hw, start } = waiting.asked else {
            unreachable!("checked by the caller")
        };
        let Some(part) = answer.topics.first().and_then(|t| t.partitions.first()) else {
            return Err(Violation::new(Rule::Protocol, "an empty answer to ListOffsets"));
        };
        if part.error_code == UNSUPPORTED_VERSION && timestamp <= TIERED {
            return Ok(());
        }
        if part.error_code != code::NONE {
            return self.refused(port, history, (topic, partition, 0), part.error_code);
        }
        let retention = history.topics[topic].retention;
        match timestamp {
            MAX_TIMESTAMP if retention => return Ok(()),
            MAX_TIMESTAMP => return history.max_timestamp(topic, partition, (part.offset, part.timestamp), hw),
            EARLIEST_LOCAL => return history.log_start(topic, partition, start, part.offset),
            TIERED | PENDING_UPLOAD if part.offset == -1 => return Ok(()),
            TIERED | PENDING_UPLOAD => {
                let text = format!("a log without tiers has offset {} of special kind {timestamp}", part.offset);
                return Err(Violation::new(Rule::Protocol, text));
            }
            _ => {}
        }
        let Some(place) = self.places.get_mut(&(topic, partition)) else { return Ok(()) };
        if timestamp == EARLIEST {
            history.log_start(topic, partition, start, part.offset)?;
            place.next = Some(part.offset);
            place.start = part.offset;
            place.changed = true;
        } else if timestamp >= 0 {
            // Where records are deleted, they may go while the answer is looked for.
            if !history.topics[topic].retention {
                history.by_time(topic, partition, timestamp, (part.offset, part.timestamp), (start, hw))?;
            }
        } else {
            history.high_watermark(topic, partition, hw, part.offset)?;
            history.told_end((topic, partition), waiting.sent_at / MS)?;
            if !self.auditor {
                place.next = Some(part.offset);
                place.changed = true;
            }
        }
        Ok(())
    }

    fn close_books(&mut self, history: &mut History) -> Result<(), Violation> {
        for ((t, p), place) in &mut self.places {
            if let Some(end) = place.end.filter(|_| !place.done) {
                history.finish(*t, *p, place.start, end)?;
                place.done = true;
            }
        }
        Ok(())
    }
}

impl Client for Consumer {
    fn wake(&mut self, port: &mut dyn Port, history: &mut History) -> Result<Next, Violation> {
        if client::out_of_patience(port, history, &self.connection)? {
            self.hang_up(port, history)?;
        }
        let outstanding = self.connection.outstanding();
        if outstanding == 0 {
            self.look_around(history);
            self.close_books(history)?;
        }
        if outstanding == 0 && (self.stopping && !self.auditor || self.audited()) {
            if let Some(link) = self.connection.link.take() {
                port.half_close(link);
            }
            return Ok(Next::Done);
        }
        let pause = Next::Wake(self.rng.between(20_000, if self.auditor { 200_000 } else { 20_000_000 }));
        if outstanding > 0 || port.now() < self.not_before || !self.connection.open(port, &mut self.rng) {
            return Ok(pause);
        }
        let lost: Vec<(usize, usize)> =
            self.places.iter().filter(|(_, p)| p.next.is_none() && !p.done).map(|(one, _)| *one).collect();
        for one in lost.iter().take(8) {
            let latest = !self.auditor && self.rng.chance(1, 4);
            self.ask_offset(port, history, *one, if latest { LATEST } else { EARLIEST });
        }
        if lost.is_empty() && !self.places.is_empty() && self.rng.chance(1, if self.auditor { 8 } else { 20 }) {
            let at = self.rng.below(self.places.len() as u64) as usize;
            let one = *self.places.keys().nth(at).expect("within the length");
            let time = match self.rng.below(3) {
                0 => -(self.rng.between(if self.auditor { 3 } else { 1 }, 6) as i64),
                1 => port.wall_ms() - self.rng.below(8_000) as i64,
                _ => port.wall_ms() - self.rng.below(20_000) as i64,
            };
            self.ask_offset(port, history, one, time);
        } else if lost.is_empty() {
            self.fetch(port, history);
        }
        if !self.auditor && self.rng.chance(1, 100) {
            self.hang_up(port, history)?;
        }
        Ok(pause)
    }

    fn receive(&mut self, port: &mut dyn Port, history: &mut History, bytes: &[u8]) -> Result<(), Violation> {
        for (waiting, frame) in self.connection.receive(bytes)? {
            match waiting.asked {
                Asked::Fetch { .. } => self.fetched(port, history, waiting, frame)?,
                _ => self.listed(port, history, waiting, frame)?,
            }
        }
        Ok(())
    }

    fn lost(&mut self, _port: &mut dyn Port, _history: &mut History) -> Result<(), Violation> {
        self.connection.lost();
        self.new_session();
        Ok(())
    }

    fn link(&self) -> Option<u64> {
        self.connection.link
    }

    fn stop(&mut self) {
        self.stopping = true;
    }
}

impl Consumer {
    fn hang_up(&mut self, port: &mut dyn Port, history: &mut History) -> Result<(), Violation> {
        if let Some(link) = self.connection.link {
            port.abort(link);
        }
        self.lost(port, history)
    }
}
