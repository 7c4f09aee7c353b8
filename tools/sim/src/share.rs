//! The partitions that a member of a consumer group has, whatever protocol gave them: they are read from where the group
//! has committed, and committed as far as they were read.

use crate::groups::Place;
use crate::history::{History, Verdict, code};
use crate::requests;
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, Connection, Port, Waiting, decode};
use crate::world::MS;
use bytes::Bytes;
use kafka_protocol::messages::{FetchResponse, ListOffsetsResponse, OffsetCommitResponse};
use std::collections::{BTreeMap, BTreeSet};
use torc_base::prng::Prng;

/// Most bytes of one fetch: small, so that heartbeats behind it are not late.
const FETCH_BYTES: i32 = 64 << 10;

/// Versions of what it asks.
#[derive(Clone, Copy, Debug)]
pub struct Versions {
    pub commit: i16,
    pub committed: i16,
    pub fetch: i16,
}

/// Who commits.
pub struct Who<'a> {
    pub id: &'a str,
    pub instance: Option<&'a str>,
    /// Or its epoch.
    pub generation: i32,
}

/// Where it is in a partition.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// Next offset; `None` until it is known what the group has committed.
    next: Option<i64>,
    /// The log does not begin at 0: where, has to be asked.
    lost: bool,
    /// What it has committed.
    committed: i64,
}

/// What an answer leaves to the member.
#[derive(Debug)]
pub enum Heard {
    Nothing,
    /// A coordinator refused to do something.
    Refused(&'static str, i16),
    /// What became of commits of a generation that were asked for at a moment: errors, by place.
    Commits {
        generation: i32,
        asked: u64,
        errors: Vec<(i16, Place)>,
    },
}

/// See the module.
pub struct Share {
    /// The group's number in the history.
    group: usize,
    pub versions: Versions,
    positions: BTreeMap<Place, Position>,
    /// Nothing is fetched before.
    not_before: u64,
    /// The last fetch brought nothing.
    pub idle: bool,
}

impl Share {
    /// Nothing yet.
    pub fn new(group: usize, versions: Versions) -> Share {
        Share { group, versions, positions: BTreeMap::new(), not_before: 0, idle: false }
    }

    /// What it is.
    pub fn places(&self) -> BTreeSet<Place> {
        self.positions.keys().copied().collect()
    }

    /// It is to be `places` from now on. What was there before is read on.
    pub fn set(&mut self, places: &BTreeSet<Place>) {
        self.positions.retain(|place, _| places.contains(place));
        for place in places {
            self.positions.entry(*place).or_default();
        }
        self.idle = false;
    }

    /// Nothing any more.
    pub fn clear(&mut self) {
        self.positions.clear();
    }

    /// What was not acknowledged is committed again.
    pub fn doubt(&mut self) {
        self.positions.values_mut().for_each(|at| at.committed = -1);
    }

    /// Asks for the next thing.
    pub fn consume(
        &mut self,
        port: &mut dyn Port,
        history: &mut History,
        connection: &mut Connection,
        rng: &mut Prng,
        who: &Who<'_>,
    ) {
        if port.now() < self.not_before {
            return;
        }
        let unknown = self.positions.iter().filter(|(_, at)| at.next.is_none() && !at.lost);
        let unknown: Vec<Place> = unknown.map(|(place, _)| *place).collect();
        if !unknown.is_empty() {
            return self.ask_committed(port, history, connection, rng, unknown);
        }
        if let Some((&(topic, partition), _)) = self.positions.iter().find(|(_, at)| at.lost) {
            let known = history.part(topic, partition);
            let (hw, start, timestamp) = (known.hw, known.start, requests::EARLIEST);
            let asked = Asked::ListOffsets { topic, partition, timestamp, hw, start };
            let request = requests::list_offsets(&history.topics[topic].name, partition, timestamp);
            return connection.ask(port, rng.between(1, 8) as i16, &request, Some(asked));
        }
        if rng.chance(1, 5) {
            self.commit(port, history, connection, who);
            // What follows does not wait for it, now and then.
            if connection.outstanding() > 0 && !rng.chance(1, 3) {
                return;
            }
        }
        if history.pretends {
            return self.pretend(rng);
        }
        self.fetch(port, history, connection);
    }

    /// Has read something, or nothing, without having asked for it.
    fn pretend(&mut self, rng: &mut Prng) {
        self.idle = rng.chance(1, 2);
        let next = self.positions.values_mut().filter_map(|at| at.next.as_mut());
        next.for_each(|next| *next += rng.below(3) as i64);
    }

    fn ask_committed(
        &self,
        port: &mut dyn Port,
        history: &mut History,
        connection: &mut Connection,
        rng: &mut Prng,
        places: Vec<Place>,
    ) {
        let version = self.versions.committed;
        let all = version >= 2 && rng.chance(1, 4);
        let places = (!all).then_some(places);
        let request = requests::committed(history, self.group, version, places.as_deref());
        let asked = Asked::Committed { asked: history.groups.moment(), places };
        connection.ask(port, version, &request, Some(asked));
    }

    /// Commits what was read since the last time.
    pub fn commit(&mut self, port: &mut dyn Port, history: &mut History, connection: &mut Connection, who: &Who<'_>) {
        let (mut writes, mut offsets) = (Vec::new(), Vec::new());
        for (place, at) in &mut self.positions {
            let Some(next) = at.next.filter(|next| *next > at.committed && !at.lost) else { continue };
            let number = history.groups.write_begins(self.group, *place, Some(next));
            at.committed = next;
            writes.push((*place, number));
            offsets.push((*place, next, number));
        }
        if writes.is_empty() {
            return;
        }
        let request = requests::commit(history, self.group, &offsets)
            .with_generation_id_or_member_epoch(who.generation)
            .with_member_id(requests::text(who.id))
            .with_group_instance_id(who.instance.map(requests::text));
        let asked = Asked::Commit { generation: who.generation, asked: history.groups.moment(), writes };
        connection.ask(port, self.versions.commit, &request, Some(asked));
    }

    fn fetch(&mut self, port: &mut dyn Port, history: &mut History, connection: &mut Connection) {
        let mut parts = Vec::new();
        for ((t, p), at) in &self.positions {
            parts.extend(at.next.map(|next| (*t, *p, next, history.topics[*t].partitions[*p].hw)));
        }
        if parts.is_empty() {
            self.idle = true;
            return;
        }
        let wanted = parts.iter().map(|(t, p, next, _)| (*t, requests::part(*p, *next, FETCH_BYTES)));
        let topics = requests::fetch_topics(history, false, wanted);
        let request = requests::fetch().with_max_bytes(FETCH_BYTES).with_topics(topics);
        connection.ask(port, self.versions.fetch, &request, Some(Asked::Fetch { parts, session: None }));
    }

    /// An answer to one of its requests.
    pub fn answered(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        waiting: Waiting,
        frame: Bytes,
    ) -> Result<Heard, Violation> {
        match &waiting.asked {
            Asked::Committed { asked, places } => {
                let asked = (*asked, places.as_deref());
                return self.told_committed(history, asked, waiting.version, frame);
            }
            Asked::Commit { generation, asked, writes } => {
                let answer: OffsetCommitResponse = decode(frame, waiting.version)?;
                let errors = self.judge(history, writes, &answer)?;
                return Ok(Heard::Commits { generation: *generation, asked: *asked, errors });
            }
            Asked::Fetch { parts, .. } => self.fetched(port, history, parts, decode(frame, waiting.version)?)?,
            Asked::ListOffsets { topic, partition, start, .. } => {
                self.listed(port, history, (*topic, *partition), *start, &decode(frame, waiting.version)?)?;
            }
            other => unreachable!("a member does not ask {other:?}"),
        }
        Ok(Heard::Nothing)
    }

    /// What became of each write of a commit.
    fn judge(
        &self,
        history: &mut History,
        writes: &[(Place, u64)],
        answer: &OffsetCommitResponse,
    ) -> Result<Vec<(i16, Place)>, Violation> {
        let mut errors = Vec::new();
        for (error, place, number) in requests::judged(history, writes, answer)? {
            match error {
                code::NONE => history.groups.write_ends(self.group, place, number),
                // It may have been written before the coordinator was lost.
                error if history.is_open(error) => {}
                _ => history.groups.write_refused(self.group, place, number),
            }
            if error == code::UNKNOWN_TOPIC {
                history.explain("commit", error, Some(place.0))?;
            } else {
                errors.push((error, place));
            }
        }
        Ok(errors)
    }

    fn told_committed(
        &mut self,
        history: &mut History,
        asked: (u64, Option<&[Place]>),
        version: i16,
        frame: Bytes,
    ) -> Result<Heard, Violation> {
        let (asked, places) = asked;
        let told = match requests::told_committed(history, version, places, decode(frame, version)?)? {
            Ok(told) => told,
            Err(error) => return Ok(Heard::Refused("fetch of offsets", error)),
        };
        requests::check_committed(history, self.group, asked, places, &told)?;
        for (place, at) in &mut self.positions {
            if at.next.is_some() || places.is_some_and(|places| !places.contains(place)) {
                continue;
            }
            let committed = told.get(place).map(|(offset, _)| *offset);
            if let Some(offset) = committed {
                history.begins_at(self.group, *place, offset)?;
            }
            (at.next, at.committed) = (Some(committed.unwrap_or(0)), committed.unwrap_or(0));
        }
        Ok(Heard::Nothing)
    }

    fn fetched(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        parts: &[(usize, usize, i64, i64)],
        answer: FetchResponse,
    ) -> Result<(), Violation> {
        if answer.error_code != code::NONE {
            history.explain("fetch", answer.error_code, None)?;
            self.not_before = port.now() + 20 * MS;
            return Ok(());
        }
        self.idle = true;
        let listed = answer.responses.iter().flat_map(|topic| topic.partitions.iter().map(move |part| (topic, part)));
        for (topic, part) in listed {
            let (t, p, from, floor) = requests::asked_part(history, parts, 0, topic, part)?;
            match part.error_code {
                code::NONE => {}
                code::OUT_OF_RANGE => {
                    history.out_of_range(t, p, from)?;
                    self.positions.entry((t, p)).and_modify(|at| at.lost = true);
                    continue;
                }
                error => {
                    self.failed(port, history, (t, p), error)?;
                    continue;
                }
            }
            let bytes = part.records.as_deref().unwrap_or(&[]);
            let next = history.fetched(t, p, from, floor, part.high_watermark, bytes)?;
            history.groups.delivered(self.group, (t, p), from, next);
            self.idle &= next == from;
            if let Some(at) = self.positions.get_mut(&(t, p)).filter(|at| at.next == Some(from)) {
                at.next = Some(next);
            }
        }
        Ok(())
    }

    /// A partition cannot be read now, or never again.
    fn failed(&mut self, port: &dyn Port, history: &mut History, place: Place, error: i16) -> Result<(), Violation> {
        if history.explain("fetch", error, Some(place.0))? == Verdict::Drop {
            self.positions.remove(&place);
        }
        self.not_before = port.now() + 20 * MS;
        Ok(())
    }

    fn listed(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        place: Place,
        start: i64,
        answer: &ListOffsetsResponse,
    ) -> Result<(), Violation> {
        let Some(part) = answer.topics.first().and_then(|t| t.partitions.first()) else {
            return Err(Violation::new(Rule::Protocol, "an empty answer to ListOffsets"));
        };
        if part.error_code != code::NONE {
            return self.failed(port, history, place, part.error_code);
        }
        history.log_start(place.0, place.1, start, part.offset)?;
        if let Some(at) = self.positions.get_mut(&place) {
            (at.next, at.lost) = (Some(part.offset), false);
        }
        Ok(())
    }
}
