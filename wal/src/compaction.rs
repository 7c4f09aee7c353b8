//! Writing what compaction leaves of groups' logs, so that readers find it there.
//!
//! The log does not know what compaction goes by: whoever does reads entries as all readers do, and hands over part after
//! part of a group's log, each with the entries that are left of it, in the order of the log. They go into cold segments.
//! An output is flushed once and gets its footer; only then its parts are swapped in the directory, and the next
//! checkpoint says so. As with all that the cleaner does, a crash finds either the old places or the new ones.
//!
//! An entry is dropped, or keeps its index, kind, term, offsets, and gets new bytes. Indexes without an entry are in no
//! table: extents and runs span them.

use crate::batch::{DESCRIPTOR_BYTES, Descriptor, table_end};
use crate::cleaner_output::{COLD_BATCH_BYTES, Output};
use crate::directory::Replaced;
use crate::entry::Item;
use crate::index::COLD_SPAN_MAX;
use std::collections::{BTreeSet, VecDeque};
use torc_base::buf::{Buf, Pool};
use torc_base::crc::crc32c;
use torc_base::ids::{GroupId, Index, Offset, SegmentId};
use torc_base::limits::BATCH_ENTRIES_MAX;

/// Entries that wait to be written, one aside.
const QUEUE_BYTES: usize = 2 << 20;
/// A part that is swapped as one and becomes one run, about: retention drops whole runs.
const RUN_BYTES: u64 = 4 << 20;

/// What an entry counts while it waits: no entry is nothing, though many have no bytes.
fn cost(item: &Item) -> usize {
    DESCRIPTOR_BYTES + item.bytes.len()
}

/// A part of a group's log that compaction has gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The log.
    pub group: GroupId,
    /// Its first index, and the offset where it begins.
    pub first_index: Index,
    pub first_offset: Offset,
    /// Its last index, and the offset behind it.
    pub last_index: Index,
    pub end_offset: Offset,
}

/// What a compaction that was begun wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compacting {
    /// There is none.
    Nothing,
    /// More parts, or its end.
    Parts,
    /// Time, or the disk: not yet more.
    Time,
}

/// What is to be written, in this order.
#[derive(Debug)]
enum Order {
    Begin(GroupId, Index, Offset),
    Entry(Item),
    /// Up to here all entries were handed over.
    End(Index, Offset),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Entries are put into batches and written.
    Write,
    /// A file is being made.
    File,
    /// The output is flushed, gets its footer, and is found by readers.
    Sync,
    Footer,
    Publish,
}

/// What a step needs.
pub(crate) enum Need {
    /// A file.
    File,
    /// This write.
    Write(u32, Buf),
    /// The output is as it should be: a flush.
    Sync,
    /// Nothing was written, but there may be parts of which nothing is left.
    Publish,
    /// Entries.
    More,
}

/// A compaction under way, or entries that take the place of damaged ones.
#[derive(Debug)]
pub(crate) struct Compaction {
    /// The latter: nothing is compacted by that.
    pub(crate) mends: bool,
    /// Groups that were dropped meanwhile. If one is there again it has another log.
    pub(crate) gone: BTreeSet<GroupId>,
    queue: VecDeque<Order>,
    queued: usize,
    /// Nothing more will be handed over.
    ending: bool,
    /// It ended before its end: whoever hands over has not said all.
    pub(crate) cut_short: bool,
    pub(crate) step: Step,
    pub(crate) output: Option<Output>,
    /// Nothing more goes into the output.
    full: bool,
    /// What is being written: its position, and what of it has not been written.
    block: Option<(u32, Buf)>,
    /// Where the next part of the group begins.
    cursor: Option<(GroupId, Index, Offset)>,
    open: Option<Replaced>,
    /// What the output holds.
    pub(crate) parts: Vec<Replaced>,
    /// How many of these readers find there.
    pub(crate) published: usize,
}

impl Compaction {
    pub(crate) fn new(mends: bool) -> Compaction {
        Compaction {
            mends,
            gone: BTreeSet::new(),
            queue: VecDeque::new(),
            queued: 0,
            ending: false,
            cut_short: false,
            step: Step::Write,
            output: None,
            full: false,
            block: None,
            cursor: None,
            open: None,
            parts: Vec::new(),
            published: 0,
        }
    }

    /// True if another part may be handed over.
    pub(crate) fn takes(&self) -> bool {
        !self.ending && self.queued < QUEUE_BYTES
    }

    pub(crate) fn put(&mut self, part: &Part, items: Vec<Item>) {
        assert!(!self.ending, "a part after the end");
        self.queue.push_back(Order::Begin(part.group, part.first_index, part.first_offset));
        let mut next = part.first_index;
        for item in items {
            assert!(item.group == part.group && item.index >= next, "entries of the part, in order");
            next = item.index.next();
            self.queued += cost(&item);
            self.queue.push_back(Order::Entry(item));
        }
        assert!(next <= part.last_index.next(), "they belong to the part");
        self.queue.push_back(Order::End(part.last_index, part.end_offset));
    }

    pub(crate) fn end(&mut self) {
        self.ending = true;
    }

    /// Nothing more is taken, and what waits is written.
    pub(crate) fn cut_short(&mut self) {
        self.cut_short |= !self.ending;
        self.ending = true;
    }

    /// True if nothing is left to do before more is handed over.
    pub(crate) fn waits(&self) -> bool {
        let idle = self.step == Step::Write && self.block.is_none() && !self.full;
        idle && !self.ending && self.queued < COLD_BATCH_BYTES
    }

    /// True if there is something to do now but to wait for a file.
    pub(crate) fn has_work(&self) -> bool {
        self.step != Step::File && !self.waits()
    }

    /// The output whose entries are just being made known.
    pub(crate) fn publishing(&self) -> Option<SegmentId> {
        self.output.as_ref().filter(|_| self.step == Step::Publish).map(Output::segment)
    }

    /// True if it has come to its end.
    pub(crate) fn is_over(&self) -> bool {
        self.ending && self.queue.is_empty() && self.block.is_none() && self.output.is_none() && self.parts.is_empty()
    }

    /// What has to be done next, in pieces of `most` bytes.
    pub(crate) fn next(&mut self, most: usize, pool: &Pool) -> Need {
        if let Some((at, block)) = self.block.take() {
            let piece = block.slice(0..block.len().min(most));
            if piece.len() < block.len() {
                self.block = Some((at + piece.len() as u32, block.slice(piece.len()..block.len())));
            }
            return Need::Write(at, piece);
        }
        if self.full {
            return Need::Sync;
        }
        self.take_marks();
        assert_eq!(self.queued == 0, self.queue.is_empty(), "what is left begins with an entry");
        if self.queued == 0 && self.ending {
            self.close();
            return if self.output.is_some() { Need::Sync } else { Need::Publish };
        }
        if self.waits() {
            return Need::More;
        }
        let Some(output) = &self.output else { return Need::File };
        let (count, payload, groups) = self.pick(output);
        // One more for a gap that no extent can hold.
        if !output.has_room(count, payload, groups + payload / COLD_SPAN_MAX as usize + 1) {
            assert!(!output.is_empty(), "an empty segment takes any batch");
            self.close();
            self.full = true;
            return Need::Sync;
        }
        self.block = Some(self.batch(count, payload, pool));
        self.next(most, pool)
    }

    /// The output is published.
    pub(crate) fn next_output(&mut self) {
        (self.output, self.full, self.published) = (None, false, 0);
        self.parts.clear();
        self.step = Step::Write;
    }

    /// Entries of the next batch, their bytes, and their groups.
    fn pick(&self, output: &Output) -> (usize, usize, usize) {
        let limit = COLD_BATCH_BYTES.min(output.header.bytes as usize / 4);
        let (mut count, mut payload, mut groups, mut last) = (0, 0, 0, None);
        let mut next = self.cursor.map(|(group, index, _)| (group, index));
        for order in &self.queue {
            let item = match order {
                // A part that does not follow from the group's one before is a run of its own: no extent reaches there.
                Order::Begin(group, index, _) if next.is_some_and(|(of, at)| of == *group && at != *index) => {
                    if count > 0 {
                        break;
                    }
                    next = Some((*group, *index));
                    continue;
                }
                Order::Begin(group, index, _) => {
                    next = Some((*group, *index));
                    continue;
                }
                Order::End(index, _) => {
                    next = next.map(|(group, _)| (group, index.next()));
                    continue;
                }
                Order::Entry(item) => item,
            };
            next = Some((item.group, item.index.next()));
            let length = item.bytes.len();
            let fits = table_end(count) + DESCRIPTOR_BYTES + payload + length <= limit && count < BATCH_ENTRIES_MAX;
            if count > 0 && !fits {
                break;
            }
            groups += usize::from(last != Some(item.group));
            (count, payload, last) = (count + 1, payload + length, Some(item.group));
        }
        (count, payload, groups)
    }

    fn batch(&mut self, count: usize, payload: usize, pool: &Pool) -> (u32, Buf) {
        // No extent reaches from one run into another: a run ends with a batch.
        if self.open.is_some_and(|open| open.bytes >= RUN_BYTES) {
            self.close();
        }
        let mut items = Vec::with_capacity(count);
        while items.len() < count {
            self.take_marks();
            let Some(Order::Entry(item)) = self.queue.pop_front() else { panic!("as many as were counted") };
            self.queued -= cost(&item);
            let (_, first_index, first_offset) = self.cursor.expect("a part has begun");
            let fresh = Replaced {
                group: item.group,
                first_index,
                last_index: item.index,
                first_offset,
                end_offset: item.end_offset(),
                max_timestamp: i64::MIN,
                bytes: 0,
                entries: 0,
            };
            let open = self.open.get_or_insert(fresh);
            (open.last_index, open.end_offset) = (item.index, item.end_offset().max(open.first_offset));
            open.max_timestamp = open.max_timestamp.max(item.max_timestamp);
            open.bytes += item.bytes.len() as u64;
            open.entries += 1;
            self.cursor = Some((item.group, item.index.next(), open.end_offset));
            items.push(item);
        }
        let line = |number: usize| (descriptor(&items[number]), &items[number].bytes[..], true);
        self.output.as_mut().expect("the caller has one").write(count, payload, line, pool)
    }

    /// Takes what is no entry from the front of the queue.
    fn take_marks(&mut self) {
        loop {
            match self.queue.front() {
                Some(Order::Begin(..)) => {
                    let Some(Order::Begin(group, index, offset)) = self.queue.pop_front() else { unreachable!() };
                    if self.cursor != Some((group, index, offset)) {
                        self.close();
                        self.cursor = Some((group, index, offset));
                    }
                }
                Some(&Order::End(last_index, end_offset)) => {
                    self.queue.pop_front();
                    let (group, first_index, first_offset) = self.cursor.expect("a part has begun");
                    if last_index < first_index {
                        continue;
                    }
                    let (max_timestamp, bytes, entries) = (i64::MIN, 0, 0);
                    let open = self.open.get_or_insert(Replaced {
                        group,
                        first_index,
                        last_index,
                        first_offset,
                        end_offset,
                        max_timestamp,
                        bytes,
                        entries,
                    });
                    (open.last_index, open.end_offset) = (last_index, end_offset);
                    self.cursor = Some((group, last_index.next(), end_offset));
                }
                Some(Order::Entry(_)) | None => return,
            }
        }
    }

    fn close(&mut self) {
        self.parts.extend(self.open.take());
    }
}

fn descriptor(item: &Item) -> Descriptor {
    Descriptor {
        group: item.group,
        term: item.term,
        index: item.index,
        first_offset: item.first_offset,
        max_timestamp: item.max_timestamp,
        records: item.records,
        position: 0,
        length: item.bytes.len() as u32,
        prefix_crc: crc32c(&item.bytes[..usize::from(item.prefix_len)]),
        body_crc: item.body_crc,
        kind: item.kind.0,
        prefix_len: item.prefix_len,
    }
}
