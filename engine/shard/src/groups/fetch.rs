//! The owner's half of fetches: reading partitions, and waiting for memory to read them into.
//!
//! A fetch that holds something waits for nothing but reads that are under way: what finds no memory is left out of the
//! answer. One that has nothing yet waits in a queue, and holds nothing there.
//!
//! A partition's answer is empty only where nothing more is committed, or where there was no memory: its consumer would ask the
//! same again for ever. Entries that bring no records are read over, however many lie side by side. A read lasts over turns: where
//! compaction has left nothing of what was committed when it began, it goes on up to what is committed by now.

use super::fair::{Fair, Flow};
use super::{Groups, Out};
use crate::group::Group;
use crate::mail::{Answer, Asker, FetchPart, Fetched, Parts, ReadFrom};
use crate::meaning::kind;
use crate::meters::Meter;
use crate::refusal::Refusal;
use std::collections::BTreeMap;
use torc_base::buf::Buf;
use torc_base::ids::{GroupId, Index, Offset};
use torc_base::limits::WAL_MEMORY;
use torc_wal::{Claim, From, Item, Read, ReadId, Share, WalError};

/// Fetches that are taken out of the queue in one turn.
const RETRIES_MAX: usize = 16;

/// A fetch, as it was asked for.
#[derive(Debug)]
pub struct Request {
    pub asker: Asker,
    pub reader: Flow,
    pub parts: Vec<FetchPart>,
    /// Of all partitions together; 0: none are wanted.
    pub max_bytes: usize,
    /// It may wait for memory, as the asker holds nothing for it.
    pub may_wait: bool,
}

/// A fetch some of whose partitions wait for the disk.
struct Job {
    request: Request,
    turn: u64,
    /// Bytes that came from disk.
    cold: usize,
    done: Parts<Fetched>,
    waiting: usize,
}

/// What a read is to bring, and what is told besides the records.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    position: u32,
    group: GroupId,
    offset: Offset,
    /// The last entry that may be read, and about how much.
    upto: Index,
    max_bytes: usize,
    high_watermark: Offset,
    log_start: Offset,
    committed_bytes: u64,
    meter: Meter,
}

/// All fetches under way.
#[derive(Default)]
pub(super) struct Fetches {
    next: u64,
    jobs: BTreeMap<u64, Job>,
    /// Reads that wait for the disk: the number of the job, and what the read brings.
    reads: BTreeMap<ReadId, (u64, Wanted)>,
    /// Wait for memory: by their turns, and in the order of their coming.
    queue: BTreeMap<(u64, u64), Request>,
    /// Numbers those in the queue.
    came: u64,
    pub(super) fair: Fair,
}

impl Fetches {
    fn wait(&mut self, request: Request) {
        self.came += 1;
        self.queue.insert((self.fair.turn(request.reader), self.came), request);
    }

    /// Readers that want something from the disk.
    pub(super) fn readers(&self) -> usize {
        self.jobs.len() + self.queue.len()
    }
}

impl Groups {
    /// Reads partitions, in order, until `max_bytes` are together; the first that has records gives at least one batch.
    /// Without memory for any of it the fetch waits, if it may, or is told so.
    pub fn fetch(&mut self, out: &mut Out, request: Request) {
        // Nobody overtakes those that wait and have had no more, but who wants no records.
        let turn = self.fetches.fair.turn(request.reader);
        let behind = self.fetches.queue.first_key_value().is_some_and(|((first, _), _)| *first <= turn);
        if request.may_wait && request.max_bytes > 0 && behind {
            return self.fetches.wait(request);
        }
        if let Some(request) = self.try_fetch(out, request) {
            self.fetches.wait(request);
        }
    }

    /// Starts a fetch; gives it back if it is to wait for memory.
    fn try_fetch(&mut self, out: &mut Out, request: Request) -> Option<Request> {
        let number = self.fetches.next;
        let turn = self.fetches.fair.turn(request.reader);
        let mut job = Job { done: Vec::with_capacity(request.parts.len()), turn, cold: 0, waiting: 0, request };
        let mut budget = job.request.max_bytes;
        let whole = if self.fetches.fair.is_ahead(job.request.reader) { Share::Most } else { Share::All };
        let mut claim = Claim { share: whole, turn };
        for at in 0..job.request.parts.len() {
            let part = job.request.parts[at];
            // What comes later in one request stands as if it had been asked for later: who reads a little goes before it.
            claim.turn = turn + (job.request.max_bytes - budget) as u64;
            match self.read(out, number, &part, budget, claim) {
                Some(result) => {
                    let bytes = result.as_ref().map_or(0, |fetched| fetched.bytes);
                    budget = budget.saturating_sub(bytes);
                    if bytes > 0 {
                        claim.share = Share::Half;
                    }
                    job.done.push((part.position, result));
                }
                None => {
                    claim.share = Share::Half;
                    budget = budget.saturating_sub(part.max_bytes);
                    job.waiting += 1;
                }
            }
        }
        if job.waiting > 0 {
            self.fetches.next += 1;
            self.fetches.jobs.insert(number, job);
            return None;
        }
        job.end(out)
    }

    /// Reads one partition; `None` if the disk has to be asked.
    fn read(
        &mut self,
        out: &mut Out,
        job: u64,
        part: &FetchPart,
        budget: usize,
        claim: Claim,
    ) -> Option<Result<Fetched, Refusal>> {
        let found = match part.from {
            ReadFrom::Leader => self.group_for_reading(part.group, part.epoch),
            ReadFrom::Any { .. } => self.replica_for_reading(part.group, part.epoch),
        };
        let group = match found {
            Ok(group) => group,
            Err(refusal) => return Some(Err(refusal)),
        };
        let partition = group.partition();
        let wanted = Wanted::new(part, budget, group);
        if part.offset > partition.end() && !group.leads() {
            // It may be there: the leader knows.
            return Some(Err(Refusal::NotLeader));
        }
        if part.offset < wanted.log_start || part.offset > partition.end() {
            return Some(Err(Refusal::OffsetOutOfRange));
        }
        if let ReadFrom::Any { near: Some(near) } = part.from
            && group.leads()
            && group.has_committed(near)
        {
            return Some(Ok(Fetched { elsewhere: Some(near), ..wanted.empty() }));
        }
        if part.offset >= wanted.high_watermark || budget == 0 {
            return Some(Ok(wanted.empty()));
        }
        self.read_records(out, job, wanted, From::Offset(part.offset), claim)
    }

    /// Reads until there are records, or the end; `None` if the disk has to be asked.
    fn read_records(
        &mut self,
        out: &mut Out,
        job: u64,
        mut wanted: Wanted,
        mut from: From,
        claim: Claim,
    ) -> Option<Result<Fetched, Refusal>> {
        loop {
            let Wanted { group, upto, max_bytes, .. } = wanted;
            let read = self.wal.read(group, from, upto, max_bytes, claim, &mut self.disk_ops);
            // What is in memory may make the log read ahead.
            self.emit_disk(out);
            match read {
                Read::Ready(items) => match wanted.fetched(items, self.groups.get(&group)) {
                    Ok(fetched) => return Some(Ok(self.count(&wanted, fetched))),
                    Err(next) => from = From::Index(next),
                },
                Read::Released => return Some(Err(Refusal::OffsetOutOfRange)),
                Read::NoRoom => return Some(Ok(Fetched { no_room: true, ..wanted.empty() })),
                Read::Pending(id) => {
                    self.fetches.reads.insert(id, (job, wanted));
                    return None;
                }
            }
        }
    }

    /// The disk has answered a fetch.
    pub(super) fn read_done(&mut self, out: &mut Out, id: ReadId, mut result: Result<Vec<Item>, WalError>) {
        if self.departure_read(out, id, &mut result) || self.lending_read(out, id, &mut result) {
            return;
        }
        if self.compaction.asked(id) {
            return self.compaction_read(out, result);
        }
        let Some((number, mut wanted)) = self.fetches.reads.remove(&id) else {
            panic!("an answer to a read that nobody asked for");
        };
        // The records, or their topic, may have been deleted meanwhile.
        let lost = match self.groups.get(&wanted.group) {
            None => Some(Refusal::Gone),
            Some(group) if wanted.offset < group.partition().log_start() => Some(Refusal::OffsetOutOfRange),
            Some(_) => None,
        };
        let bytes = result.iter().flatten().map(|item| item.bytes.len()).sum::<usize>();
        let job = self.fetches.jobs.get_mut(&number).expect("a job lives until its last read");
        job.cold += bytes;
        let claim = Claim { share: job.share(), turn: job.turn };
        let group = self.groups.get(&wanted.group);
        let fetched = match (lost, result.map(|items| wanted.fetched(items, group))) {
            (Some(refusal), _) => Err(refusal),
            (None, Ok(Ok(fetched))) => Ok(self.count(&wanted, fetched)),
            (None, Ok(Err(next))) => match self.read_records(out, number, wanted, From::Index(next), claim) {
                Some(result) => result,
                None => return,
            },
            (None, Err(WalError::NoRoom)) => Ok(Fetched { no_room: true, ..wanted.empty() }),
            (None, Err(error)) => {
                self.note_damage(out.now.mono, wanted.group, &error);
                Err(self.read_error(out, &error))
            }
        };
        let fetched = fetched.map(|fetched| Fetched { cold: !fetched.no_room, ..fetched });
        let jobs = &mut self.fetches;
        let job = jobs.jobs.get_mut(&number).expect("it is still there");
        job.done.push((wanted.position, fetched));
        job.waiting -= 1;
        if job.waiting == 0 {
            let job = jobs.jobs.remove(&number).expect("it is there");
            jobs.fair.gave(job.request.reader, job.turn, job.cold, jobs.readers());
            if let Some(request) = job.end(out) {
                jobs.wait(request);
            }
        }
    }

    fn count(&self, wanted: &Wanted, fetched: Fetched) -> Fetched {
        self.stats.topics.gave(wanted.meter, fetched.count, fetched.bytes);
        fetched
    }

    /// Fetches that waited for memory try again, by their turns, until one finds none.
    pub(super) fn retry_fetches(&mut self, out: &mut Out) {
        for _ in 0..RETRIES_MAX {
            let Some((place, request)) = self.fetches.queue.pop_first() else { return };
            if let Some(request) = self.try_fetch(out, request) {
                self.fetches.queue.insert(place, request);
                return;
            }
        }
    }

    /// The asker's fetch waits no more for memory: it is answered without records, if it is still wanted.
    pub fn hurry(&mut self, out: &mut Out, asker: Asker, wanted: bool) {
        let queue = &mut self.fetches.queue;
        let place = queue.iter().find(|(_, request)| request.asker == asker).map(|(place, _)| *place);
        let Some(request) = place.and_then(|place| queue.remove(&place)) else { return };
        if wanted {
            let rest = self.try_fetch(out, Request { max_bytes: 0, may_wait: false, ..request });
            assert!(rest.is_none(), "it may not wait");
        }
    }

    /// True if answers hold memory that is wanted: for reads, or, of batches that left the log's tail and are still being
    /// sent, more than answers are meant to. `frames`: bytes that large frames hold.
    pub fn is_pressed(&self, frames: usize) -> bool {
        let limits = &self.settings.memory;
        let blocks = self.settings.log_blocks.used();
        let tail = self.settings.wal.tail_bytes;
        !self.fetches.queue.is_empty()
            || self.wal.reads_are_tight()
            || blocks > WAL_MEMORY + tail + limits.answers / 2
            || frames > limits.frames + WAL_MEMORY + tail + limits.answers / 2
    }
}

impl Job {
    /// Memory that its one read under way may have: whoever has something already leaves half of it to others.
    fn share(&self) -> Share {
        let has_some = self.done.iter().any(|(_, result)| result.as_ref().is_ok_and(|fetched| fetched.bytes > 0));
        if has_some || self.waiting > 1 { Share::Half } else { Share::All }
    }

    /// Answers, or gives the fetch back that is to wait for memory.
    fn end(self, out: &mut Out) -> Option<Request> {
        let nothing = self.done.iter().all(|(_, result)| matches!(result, Ok(fetched) if fetched.bytes == 0));
        let no_room = |(_, result): &(u32, Result<Fetched, Refusal>)| matches!(result, Ok(fetched) if fetched.no_room);
        if self.request.may_wait && nothing && self.done.iter().any(no_room) {
            return Some(self.request);
        }
        out.answers.push_back((self.request.asker, Answer::Fetched(self.done)));
        None
    }
}

impl Wanted {
    fn new(part: &FetchPart, budget: usize, group: &Group) -> Wanted {
        let mut wanted = Wanted {
            position: part.position,
            group: part.group,
            offset: part.offset,
            upto: Index(0),
            max_bytes: part.max_bytes.min(budget).max(1),
            high_watermark: Offset(0),
            log_start: Offset(0),
            committed_bytes: 0,
            meter: group.meter,
        };
        wanted.look_at(group);
        wanted
    }

    /// Where the group stands now.
    fn look_at(&mut self, group: &Group) {
        let partition = group.partition();
        self.upto = group.raft.marks().committed;
        (self.high_watermark, self.log_start) = (partition.high_watermark(), partition.log_start());
        self.committed_bytes = group.records().committed_bytes();
    }

    fn empty(&self) -> Fetched {
        Fetched { committed_bytes: self.committed_bytes, ..Fetched::empty(self.high_watermark, self.log_start) }
    }

    /// What the consumer is told; or the entry to go on with, if these have no records for it. What is told besides the records is
    /// of now, not of when the read began: no record is missing that goes for a later one which is said not to be there.
    fn fetched(&mut self, items: Vec<Item>, group: Option<&Group>) -> Result<Fetched, Index> {
        // If there are none, nothing is left of all that was wanted.
        let next = items.last().map_or(self.upto, |last| last.index).next();
        if let Some(group) = group {
            self.look_at(group);
        }
        let more = items.last().is_some_and(|last| last.end_offset() < self.high_watermark);
        let (records, bytes, count) = record_slices(items, self.offset);
        match next <= self.upto {
            true if bytes == 0 => Err(next),
            _ => Ok(Fetched { records, bytes, count, more, ..self.empty() }),
        }
    }
}

/// The record batches among `items` that end behind `from`, neighbours in memory joined; their bytes and records.
fn record_slices(items: Vec<Item>, from: Offset) -> (Vec<Buf>, usize, u64) {
    let mut slices: Vec<Buf> = Vec::with_capacity(items.len().min(16));
    let (mut bytes, mut count) = (0, 0);
    for item in items {
        if item.kind != kind::RECORDS || item.first_offset.0 + i64::from(item.records) <= from.0 {
            continue;
        }
        bytes += item.bytes.len();
        count += u64::from(item.records);
        if !slices.last_mut().is_some_and(|last| last.join(&item.bytes)) {
            slices.push(item.bytes);
        }
    }
    (slices, bytes, count)
}
