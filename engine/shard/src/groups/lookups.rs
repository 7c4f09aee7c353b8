//! The owner's half of look-ups by time. The log names the batch, which is opened in slices: it may hold a gigabyte of
//! records. Few look-ups hold memory at once, and what nobody waits for any more is dropped.
//!
//! A look-up lasts over turns, and the log goes on meanwhile. Its answer is true of some moment between question and answer,
//! and so each step of it goes by what is there now: a record goes by compaction only for a later one of its key that is
//! committed, and whoever still looked no further than what was committed when it was asked would come to neither. Where compaction
//! has put something else in the place of what a step was looking through, the step is done again.

use super::{Groups, Out};
use crate::batch::{Invalid, Learned, Opening, Question, Spares};
use crate::group::epoch_of;
use crate::mail::{Answer, Asker, FoundOffset, OffsetAt, OffsetPart};
use crate::refusal::Refusal;
use std::collections::{BTreeMap, VecDeque};
use torc_base::ids::{Index, Offset};
use torc_base::io::Level;
use torc_base::limits::{LOOKUPS_OPEN_MAX, LOOKUPS_READING_MAX, OPENING_MEMORY, OPENING_SLICE, OPENING_TURN};
use torc_wal::{Find, Item, ReadId, WalError};

/// What asking the log for a batch costs, in bytes that could be decompressed meanwhile.
const FIND_COST: usize = 4 << 10;
/// What it reads, about, if it has to ask the disk.
const FIND_BYTES: u64 = 64 << 10;

/// So often at most a look-up has a step that is done again: compaction swaps seldom, but nothing may go on for ever.
const REPEATS_MAX: u32 = 8;

/// What a look-up gives, with its place in the question.
type Outcome = (u32, Result<FoundOffset, Refusal>);

/// A look-up by time on its way.
struct Lookup {
    asker: Asker,
    part: OffsetPart,
    /// Where the log began when it was last asked for a batch.
    log_start: Offset,
    /// Batches that end here or before are not looked at.
    behind: Offset,
    /// What the log said of compaction ([`torc_wal::Wal::compacted_at`]) at the last step, and how often a step was done again
    /// because that had changed.
    compacted_at: u64,
    repeats: u32,
    /// The record that is the answer if nothing better is found.
    best: Option<FoundOffset>,
}

/// A batch that has been found, and how far it is opened.
struct Batch {
    item: Item,
    opening: Option<Opening>,
}

/// Look-ups by time under way.
#[derive(Default)]
pub(super) struct Lookups {
    spares: Spares,
    /// Wait for the disk.
    reads: BTreeMap<ReadId, Lookup>,
    /// Have not begun.
    waiting: VecDeque<Lookup>,
    /// Their batches take more than a slice; they take turns.
    open: VecDeque<(Lookup, Batch)>,
    /// As those, but there was no place among them: they begin anew.
    large: VecDeque<Lookup>,
    /// Bytes that may still be decompressed in this turn.
    budget: usize,
    /// What that was when the turn began.
    given: usize,
    /// Bytes of memory that those in `open` hold besides the batches.
    memory: usize,
}

impl Lookups {
    /// True if there is something to do that waits for nothing.
    pub(super) fn is_due(&self) -> bool {
        !self.open.is_empty() || !self.large.is_empty() || (!self.waiting.is_empty() && self.may_read())
    }

    fn may_read(&self) -> bool {
        self.reads.len() < LOOKUPS_READING_MAX && self.open.len() < LOOKUPS_OPEN_MAX
    }

    /// Takes the next one out of those that are being opened.
    fn take_open(&mut self) -> Option<(Lookup, Batch)> {
        let (lookup, batch) = self.open.pop_front()?;
        self.memory -= batch.opening.as_ref().map_or(0, Opening::memory);
        Some((lookup, batch))
    }
}

impl Groups {
    /// Looks offsets up.
    pub fn offsets(&mut self, out: &mut Out, asker: Asker, parts: Vec<OffsetPart>) {
        let mut done = Vec::with_capacity(parts.len());
        for part in parts {
            if let Some(found) = self.offset(out, asker, part) {
                done.push(found);
            }
        }
        if !done.is_empty() {
            out.answers.push_back((asker, Answer::Offsets(done)));
        }
    }

    fn offset(&mut self, out: &mut Out, asker: Asker, part: OffsetPart) -> Option<Outcome> {
        let found = |offset, epoch| Some((part.position, Ok(FoundOffset { timestamp: -1, offset, epoch })));
        let none = Some((part.position, Ok(FoundOffset::NONE)));
        let asked = match part.at {
            OffsetAt::End => self.replica_for_reading(part.group, part.epoch),
            _ => self.group_for_reading(part.group, part.epoch),
        };
        let group = match asked {
            Ok(group) => group,
            Err(refusal) => return Some((part.position, Err(refusal))),
        };
        let partition = group.partition();
        let (epoch, log_start) = (group.epoch(), partition.log_start());
        let high_watermark = partition.high_watermark();
        match part.at {
            OffsetAt::Earliest => {
                let epoch = partition.epoch_of(log_start).unwrap_or(epoch);
                return found(log_start, epoch);
            }
            OffsetAt::Latest => return found(high_watermark, epoch),
            OffsetAt::End => return found(partition.end(), epoch),
            OffsetAt::Remote => return none,
            _ if log_start == high_watermark => return none,
            OffsetAt::MaxTimestamp | OffsetAt::Timestamp(_) => {}
        }
        let lookup = Lookup { asker, part, log_start, behind: log_start, compacted_at: 0, repeats: 0, best: None };
        if self.lookups.budget == 0 || !self.lookups.waiting.is_empty() || !self.lookups.may_read() {
            self.lookups.waiting.push_back(lookup);
            return None;
        }
        self.look_up(out, lookup, None)
    }

    /// Goes on with a look-up, whose next batch may have been found. `None`: it waits for something.
    fn look_up(&mut self, out: &mut Out, mut lookup: Lookup, mut batch: Option<Batch>) -> Option<Outcome> {
        loop {
            // It may have been deleted meanwhile: that nothing was found would say nothing.
            let (log_start, upto) = match self.group_for_reading(lookup.part.group, lookup.part.epoch) {
                Ok(group) => (group.partition().log_start(), group.raft.marks().committed),
                Err(refusal) => return Some(lookup.refused(refusal)),
            };
            let Batch { item, opening } = match batch.take() {
                Some(batch) => batch,
                None if self.lookups.budget == 0 => {
                    self.lookups.waiting.push_back(lookup);
                    return None;
                }
                None => match self.find(&mut lookup, log_start, upto) {
                    Find::Ready(Some(item)) => Batch { item, opening: None },
                    Find::Ready(None) => return Some(lookup.answer()),
                    Find::Pending(id) => {
                        self.lookups.reads.insert(id, lookup);
                        self.emit_disk(out);
                        return None;
                    }
                },
            };
            let lookups = &mut self.lookups;
            let begun = match opening {
                Some(opening) => Ok(opening),
                None => Opening::new(&item.bytes, lookup.question(), &mut lookups.spares),
            };
            let mut opening = match begun {
                Ok(opening) => opening,
                Err(invalid) => return Some(self.damaged(out, &lookup, &item, invalid)),
            };
            let slice = OPENING_SLICE.min(lookups.budget);
            let mut left = slice;
            let step = opening.step(&item.bytes, &mut left);
            lookups.budget -= slice - left;
            match step {
                Ok(None) => {
                    let memory = lookups.memory + opening.memory();
                    let alone = lookups.open.is_empty();
                    if alone || (lookups.open.len() < LOOKUPS_OPEN_MAX && memory <= OPENING_MEMORY) {
                        lookups.memory = memory;
                        lookups.open.push_back((lookup, Batch { item, opening: Some(opening) }));
                    } else {
                        opening.end(&mut lookups.spares);
                        lookups.large.push_back(lookup);
                    }
                    return None;
                }
                Ok(Some(learned)) => {
                    opening.end(&mut lookups.spares);
                    let Learned::Record(record) = learned else { unreachable!("that was not the question") };
                    if let Some(found) = lookup.take(&item, record) {
                        return Some(found);
                    }
                }
                Err(invalid) => return Some(self.damaged(out, &lookup, &item, invalid)),
            }
        }
    }

    /// Asks the log for the next batch that may hold the record.
    fn find(&mut self, lookup: &mut Lookup, log_start: Offset, upto: Index) -> Find {
        self.lookups.budget = self.lookups.budget.saturating_sub(FIND_COST);
        lookup.starts_at(log_start);
        lookup.compacted_at = self.wal.compacted_at(lookup.part.group);
        let Lookup { part, behind, .. } = *lookup;
        let fetches = &mut self.fetches;
        let turn = fetches.fair.stranger();
        let found = match part.at {
            OffsetAt::Timestamp(ts) => {
                self.wal.find_timestamp(part.group, ts, (behind, upto), turn, &mut self.disk_ops)
            }
            _ => self.wal.find_max_timestamp(part.group, (behind, upto), turn, &mut self.disk_ops),
        };
        if matches!(found, Find::Pending(_)) {
            fetches.fair.gave_stranger(FIND_BYTES, fetches.readers());
        }
        found
    }

    fn damaged(&mut self, out: &mut Out, lookup: &Lookup, item: &Item, invalid: Invalid) -> Outcome {
        let what = format_args!("group {} offset {}: {invalid}", item.group, item.first_offset);
        self.report_damage(out, Level::Warn, &what);
        lookup.refused(Refusal::Damaged)
    }

    fn look_up_and_answer(&mut self, out: &mut Out, lookup: Lookup, batch: Option<Batch>) {
        let asker = lookup.asker;
        if let Some(found) = self.look_up(out, lookup, batch) {
            out.answers.push_back((asker, Answer::Offsets(vec![found])));
        }
    }

    /// The disk has answered a look-up by time.
    pub(super) fn find_done(&mut self, out: &mut Out, id: ReadId, result: Result<Option<Item>, WalError>) {
        let Some(mut lookup) = self.lookups.reads.remove(&id) else {
            panic!("an answer to a look-up that nobody asked for");
        };
        if self.wal.compacted_at(lookup.part.group) != lookup.compacted_at && lookup.repeats < REPEATS_MAX {
            lookup.repeats += 1;
            return self.look_up_and_answer(out, lookup, None);
        }
        let found = match result {
            Ok(Some(item)) => return self.look_up_and_answer(out, lookup, Some(Batch { item, opening: None })),
            Ok(None) => match self.group_for_reading(lookup.part.group, lookup.part.epoch) {
                Ok(_) => lookup.answer(),
                Err(refusal) => lookup.refused(refusal),
            },
            Err(error) => {
                self.note_damage(out.now.mono, lookup.part.group, &error);
                lookup.refused(self.read_error(out, &error))
            }
        };
        out.answers.push_back((lookup.asker, Answer::Offsets(vec![found])));
    }

    /// A new turn, in which `bytes` may be looked through: those that have not begun get half of it, then the large ones take
    /// turns. How many were looked through since the last one began.
    pub(super) fn turn_lookups(&mut self, out: &mut Out, bytes: usize) -> usize {
        let used = self.lookups.given.saturating_sub(self.lookups.budget);
        self.lookups.given = bytes.min(OPENING_TURN);
        self.lookups.budget = self.lookups.given;
        self.look_on(out);
        used
    }

    fn look_on(&mut self, out: &mut Out) {
        // Half of what there is, however little: as long as other work takes the rest of each turn they would not begin.
        while self.lookups.budget > self.lookups.given / 2
            && self.lookups.may_read()
            && let Some(lookup) = self.lookups.waiting.pop_front()
        {
            self.look_up_and_answer(out, lookup, None);
        }
        if self.lookups.open.len() < LOOKUPS_OPEN_MAX
            && let Some(lookup) = self.lookups.large.pop_front()
        {
            self.look_up_and_answer(out, lookup, None);
        }
        while self.lookups.budget > 0
            && let Some((lookup, batch)) = self.lookups.take_open()
        {
            self.look_up_and_answer(out, lookup, Some(batch));
        }
    }

    /// The asker has gone: what it waits for is dropped.
    pub fn cancel_lookups(&mut self, asker: Asker) {
        let lookups = &mut self.lookups;
        lookups.reads.retain(|id, lookup| {
            let goes = lookup.asker == asker;
            if goes {
                self.wal.cancel_find(*id);
            }
            !goes
        });
        lookups.waiting.retain(|lookup| lookup.asker != asker);
        lookups.large.retain(|lookup| lookup.asker != asker);
        for _ in 0..lookups.open.len() {
            let (lookup, batch) = lookups.take_open().expect("counted");
            let memory = batch.opening.as_ref().map_or(0, Opening::memory);
            if lookup.asker != asker {
                lookups.memory += memory;
                lookups.open.push_back((lookup, batch));
            } else if let Some(opening) = batch.opening {
                opening.end(&mut lookups.spares);
            }
        }
    }
}

impl Lookup {
    /// The log begins there by now: what was deleted is not looked for.
    fn starts_at(&mut self, log_start: Offset) {
        self.log_start = self.log_start.max(log_start);
        self.behind = self.behind.max(log_start);
    }

    fn question(&self) -> Question {
        let from = self.log_start;
        match self.part.at {
            OffsetAt::Timestamp(timestamp) => Question::FirstAt { timestamp, from },
            _ => Question::Largest { from },
        }
    }

    /// Takes in what the batch has that the log named. `None`: the record may be in a later one. That is so when the log
    /// starts in the middle of this batch, and what was looked for lies before the start.
    fn take(&mut self, item: &Item, record: Option<(i64, i64)>) -> Option<Outcome> {
        if let Some((offset, timestamp)) = record
            && self.best.is_none_or(|best| timestamp > best.timestamp)
        {
            self.best = Some(FoundOffset { timestamp, offset: Offset(offset), epoch: epoch_of(item.term) });
        }
        let whole = item.first_offset >= self.log_start;
        let settled = self.best.is_some() && matches!(self.part.at, OffsetAt::Timestamp(_));
        // The largest timestamp of a batch that is all there is the largest of all: the log goes by batches.
        if settled || (whole && self.best.is_some()) {
            return Some(self.answer());
        }
        self.behind = item.end_offset();
        None
    }

    fn answer(&self) -> Outcome {
        (self.part.position, Ok(self.best.unwrap_or(FoundOffset::NONE)))
    }

    fn refused(&self, refusal: Refusal) -> Outcome {
        (self.part.position, Err(refusal))
    }
}
