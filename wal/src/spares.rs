//! Segment files made ahead, and files got rid of.
//!
//! A new file is allocated, written once with zeroes and flushed, so that a batch written over it changes no metadata of
//! the file system. Where batches are large the zeroes are left out: they would take half of the disk's bandwidth, and
//! the metadata costs little per byte. A file whose entries are all dead gets a new header page only; as many are kept
//! for that as the log has lately filled, the others go (`removals.rs`). One step is under way at a time, so that batches do
//! not starve.

use crate::error::WalError;
use crate::removals::Removals;
use crate::segment::{Header, Slot};
use crate::settings::WalSettings;
use crate::tags::Job;
use std::collections::{BTreeSet, VecDeque};
use torc_base::buf::{Buf, Pool};
use torc_base::ids::SegmentId;
use torc_base::io::{DiskError, DiskKind, DiskOk, DiskOp};
use torc_base::limits::PAGE;
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now};

/// Zeroes are written in pieces of this size as long as there is no other spare.
const ZERO_BYTES: usize = 1 << 20;
/// Otherwise of this size at most, with rests of so many times what a piece took: a flush waits behind what the device has not
/// written yet.
const ZERO_BYTES_CALM: u64 = 256 << 10;
const ZERO_REST: u64 = 8;
/// While batches are written no longer rests than let a file be written so many times while another is filled: else the log
/// would come to wait for it...
const ZERO_HASTE: u64 = 2;
/// ...with a piece each so often, but not smaller than this: a small one delays no flush that can be noticed...
const ZERO_INTERVAL_NS: u64 = 500_000;
const ZERO_BYTES_LEAST: u64 = 16 << 10;
/// ...and in a turn that is made anyway, but for so long: a timer that is due within microseconds costs each wait more than
/// the piece.
const ZERO_PATIENCE_MS: u64 = 4;
/// After a refusal, the next attempt comes this much later.
const RETRY_MS: u64 = 1000;
/// Beside the spares, dead files are kept for reuse up to the number that was filled in this time, and at least one: what
/// retention and the cleaner give back comes some at once, and later than the files that it could replace...
const DEMAND_MS: u64 = 3_000;
/// ...but not more than this.
const DEMAND_MAX: usize = 32;
/// Files kept beyond the spares that are wanted are removed when none was filled for this long.
const UNUSED_MS: u64 = 30_000;
/// As long as files wait for their removal it is looked so often whether somebody else waits for their room: other shards, and
/// whoever else has files there. That is so while there is room for fewer than so many of these files.
const CROWD_LOOK_MS: u64 = 1_000;
const CROWD_FILES: u64 = 2;
/// So long after a batch the log counts as being written.
const BUSY_MS: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Idle,
    /// Free space was asked for.
    Asking,
    /// The same, by whoever has files to remove.
    Looking,
    Creating(Slot),
    /// Zeroes up to `to` are being written.
    Zeroing {
        slot: Slot,
        to: u64,
        since: Mono,
    },
    Syncing(Slot),
    SyncingDirectory(Slot),
    /// The header page is being written.
    Heading(Header),
    /// As above, for a file of the cleaner.
    AskingCold {
        borrow: bool,
    },
    CreatingCold(Slot),
    /// Its length is flushed: the header page says it, and must not outlive it.
    SyncingCold(Slot),
    NamingCold(Slot),
}

impl Step {
    /// The new file that this step fills, which nothing of the log is in: whether it is open by now, and for the cleaner.
    fn fills(self) -> Option<(Slot, bool, bool)> {
        match self {
            Step::Creating(slot) => Some((slot, false, false)),
            Step::CreatingCold(slot) => Some((slot, false, true)),
            Step::Zeroing { slot, .. } | Step::Syncing(slot) => Some((slot, true, false)),
            Step::SyncingCold(slot) => Some((slot, true, true)),
            Step::SyncingDirectory(_) | Step::NamingCold(_) | Step::Heading(_) => None,
            Step::Idle | Step::Asking | Step::Looking | Step::AskingCold { .. } => None,
        }
    }

    /// The file that this step makes, as long as no header says what it holds.
    fn unfinished(self) -> Option<Slot> {
        match self {
            Step::SyncingDirectory(slot) | Step::NamingCold(slot) => Some(slot),
            _ => self.fills().map(|(slot, ..)| slot),
        }
    }
}

/// A new file whose next zeroes can wait: others may have their step meanwhile.
#[derive(Clone, Copy, Debug)]
struct HalfWritten {
    slot: Slot,
    /// Where the next zeroes begin.
    at: u64,
    until: Mono,
    /// When a turn is made for them if none came by itself.
    wake: Mono,
}

/// What the cleaner wants of a file, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cold {
    /// Nothing is wanted.
    None,
    /// A file is wanted. `borrow`: the reserve may be used for it.
    Wanted { borrow: bool },
    /// An open file whose content means nothing. `borrowed`: it was made of the reserve.
    Ready { slot: Slot, borrowed: bool },
    /// There is no room for one.
    Refused,
}

/// What a completed step means to the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Nothing,
    /// Another spare is ready.
    Ready,
    /// No other file can be had, for want of this.
    NoRoom(DiskError),
    /// A write or flush failed.
    Failed(WalError),
}

#[derive(Debug)]
pub(crate) struct Spares {
    /// Header on disk; used in this order.
    prepared: VecDeque<Header>,
    /// Written files that hold nothing any more. Open.
    free: Vec<Slot>,
    /// The same of files that were made for the cleaner: they were never written once in full, so that they are not
    /// good enough for the log. At most one.
    free_cold: Option<Slot>,
    /// All files of that kind.
    made_cold: BTreeSet<Slot>,
    cold: Cold,
    /// Files are kept for the cleaner.
    cleans: bool,
    removals: Removals,
    /// When a batch was last written.
    written_at: Mono,
    /// The cleaner was refused a file, and nothing has been removed since.
    wants_room: bool,
    /// Others may wait for the room of files that are to be removed; when that is looked at again.
    crowded: bool,
    crowd_look: Mono,
    /// Files that could not be made, on their way out.
    failed: BTreeSet<Slot>,
    /// All slots whose names exist or are about to.
    used: BTreeSet<Slot>,
    step: Step,
    half_written: Option<HalfWritten>,
    /// The segment that the next prepared file will hold.
    next: SegmentId,
    /// What the last attempt lacked.
    refused: Option<DiskError>,
    retry_at: Option<Mono>,
    free_bytes: u64,
    zeroes: Option<Buf>,
    /// Batches are large: new files are not written ahead.
    large: bool,
    /// When the last files were filled, oldest first.
    taken: VecDeque<Mono>,
    /// When the last of all was, and how long after the one before.
    last_taken: Mono,
    filled_in: u64,
    prng: Prng,
    want: usize,
    /// No more files are made, and none is left half made.
    closing: bool,
    segment_bytes: u64,
    reserve_bytes: u64,
}

impl Spares {
    pub(crate) fn new(settings: &WalSettings, prng: Prng) -> Spares {
        Spares {
            prepared: VecDeque::new(),
            free: Vec::new(),
            free_cold: None,
            made_cold: BTreeSet::new(),
            cold: Cold::None,
            cleans: settings.cleaner.enabled,
            removals: Removals::default(),
            written_at: Mono(0),
            wants_room: false,
            crowded: false,
            crowd_look: Mono(0),
            failed: BTreeSet::new(),
            used: BTreeSet::new(),
            step: Step::Idle,
            half_written: None,
            next: SegmentId(1),
            refused: None,
            retry_at: None,
            free_bytes: 0,
            zeroes: None,
            large: false,
            taken: VecDeque::new(),
            last_taken: Mono(0),
            filled_in: u64::MAX,
            prng,
            want: settings.spare_segments,
            closing: false,
            segment_bytes: settings.segment_bytes,
            reserve_bytes: settings.reserve_bytes,
        }
    }

    /// Sets the segment that the next prepared file will hold; recovery knows.
    pub(crate) fn resume(&mut self, next: SegmentId) {
        assert!(self.prepared.is_empty() && self.step == Step::Idle);
        self.next = next;
    }

    /// Where salts come from in this life.
    pub(crate) fn reseed(&mut self, prng: Prng) {
        self.prng = prng;
    }

    /// A file exists under this slot's name.
    pub(crate) fn occupy(&mut self, slot: Slot) {
        self.used.insert(slot);
    }

    /// Takes over a file with a prepared header.
    pub(crate) fn adopt(&mut self, header: Header) {
        assert_eq!(header.segment, self.next);
        self.prepared.push_back(header);
        self.next = self.next.next();
    }

    /// A header that makes this file the next spare.
    pub(crate) fn next_header(&mut self, slot: Slot, bytes: u64) -> Header {
        Header { segment: self.next, slot, salt: self.prng.next_u64(), bytes }
    }

    /// Takes a file whose entries are all dead: kept for reuse, or removed if there are enough.
    pub(crate) fn recycle(&mut self, slot: Slot, bytes: u64) {
        assert!(self.used.contains(&slot));
        if bytes != self.segment_bytes {
            self.removals.add_unusable(slot);
        } else if self.made_cold.contains(&slot) {
            if self.cleans && self.free_cold.is_none() {
                self.free_cold = Some(slot);
            } else {
                self.removals.add_unusable(slot);
            }
        } else if self.free.len() < self.taken.len().max(1) {
            self.free.push(slot);
        } else {
            self.removals.add_excess(slot);
        }
    }

    /// This file was made for the cleaner, or may have been.
    pub(crate) fn note_cold(&mut self, slot: Slot) {
        self.made_cold.insert(slot);
    }

    /// The cleaner wants a file.
    pub(crate) fn want_cold(&mut self, borrow: bool) {
        if self.cold == Cold::None {
            self.cold = Cold::Wanted { borrow };
        }
    }

    /// What came of its wish; an answer is handed out once.
    pub(crate) fn take_cold(&mut self) -> Cold {
        match self.cold {
            Cold::Ready { .. } | Cold::Refused => std::mem::replace(&mut self.cold, Cold::None),
            waiting => waiting,
        }
    }

    /// True if there is an answer for the cleaner.
    pub(crate) fn has_cold(&self) -> bool {
        matches!(self.cold, Cold::Ready { .. } | Cold::Refused)
    }

    /// Closes and removes an open file, in its turn.
    pub(crate) fn retire(&mut self, slot: Slot) {
        self.removals.add_unusable(slot);
    }

    /// A step of a removal has ended. A file that cannot be removed keeps its name taken.
    pub(crate) fn retired(
        &mut self,
        now: Now,
        slot: Slot,
        result: Result<DiskOk, DiskError>,
        ops: &mut Vec<DiskOp>,
    ) -> Progress {
        let busy = self.is_busy(now.mono);
        if !self.removals.stepped(now.mono, slot, busy, ops) {
            return Progress::Nothing;
        }
        match result {
            Ok(_) | Err(DiskError::NotFound) => {
                self.used.remove(&slot);
                self.made_cold.remove(&slot);
                // Its room may be what a refused attempt waits for, unless it is what that attempt has left behind.
                if !self.failed.remove(&slot) {
                    self.retry_at = None;
                    self.wants_room = false;
                }
                Progress::Nothing
            }
            Err(error) => Progress::Failed(WalError::Disk { doing: "removal", file: slot.file_name(), error }),
        }
    }

    /// The next file to be filled.
    pub(crate) fn take(&mut self, now: Mono) -> Option<Header> {
        let header = self.prepared.pop_front()?;
        self.filled_in = now.since(self.last_taken);
        self.last_taken = now;
        self.taken.push_back(now);
        if self.taken.len() > DEMAND_MAX {
            self.taken.pop_front();
        }
        Some(header)
    }

    /// Files that hold nothing.
    fn kept(&self) -> usize {
        self.free.len() + self.prepared.len()
    }

    /// True if dead files are kept beyond the spares that are always wanted.
    fn has_unused(&self) -> bool {
        !self.free.is_empty() && self.kept() > self.want
    }

    /// A batch is written now.
    pub(crate) fn note_write(&mut self, now: Mono) {
        self.written_at = now;
    }

    /// Says whether batches are large at present.
    pub(crate) fn expect_large(&mut self, large: bool) {
        self.large = large;
    }

    pub(crate) fn prepared(&self) -> usize {
        self.prepared.len()
    }

    /// Free bytes of the file system when last asked.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes
    }

    /// True if a spare is wanted and cannot be made.
    pub(crate) fn is_full(&self) -> bool {
        self.lack().is_some()
    }

    /// What keeps a spare from being made that is wanted.
    pub(crate) fn lack(&self) -> Option<&DiskError> {
        self.refused.as_ref().filter(|_| self.prepared.len() < self.want)
    }

    /// The log ends: no more files are made, and one that is half made goes.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    /// True when no file is under way, in or out, that the next start would wonder about.
    pub(crate) fn is_settled(&self) -> bool {
        self.step == Step::Idle && self.half_written.is_none() && !self.removals.has_unusable()
    }

    pub(crate) fn deadline(&self) -> Option<Mono> {
        let unused = self.has_unused().then(|| self.last_taken.plus_ms(UNUSED_MS));
        let rest = self.half_written.filter(|_| self.step == Step::Idle).map(|half| half.wake);
        // What is under way, or half written, comes first, and ends in a turn that looks again.
        let waits = self.step == Step::Idle && self.half_written.is_none();
        let retry = self.retry_at.filter(|_| self.is_full() && waits);
        let look = (waits && self.removals.rests()).then_some(self.crowd_look);
        [retry, unused, rest, look, self.removals.deadline()].into_iter().flatten().min()
    }

    /// Starts to make a spare if one is wanted.
    pub(crate) fn turn(&mut self, now: Now, ops: &mut Vec<DiskOp>) {
        while self.taken.front().is_some_and(|at| at.plus_ms(DEMAND_MS) <= now.mono) {
            self.taken.pop_front();
        }
        while self.has_unused() && self.last_taken.plus_ms(UNUSED_MS) <= now.mono {
            let slot = self.free.pop().expect("just seen");
            self.removals.add_excess(slot);
        }
        self.make(now, ops);
        if self.step == Step::Idle && self.removals.rests() && self.crowd_look <= now.mono {
            self.crowd_look = now.mono.plus_ms(CROWD_LOOK_MS);
            self.go(Step::Looking, DiskKind::Free, ops);
        }
        let hurry = self.is_full() || self.wants_room || self.crowded || self.closing;
        self.removals.turn(now.mono, hurry, ops);
    }

    /// Begins the next step of what is wanted most.
    fn make(&mut self, now: Now, ops: &mut Vec<DiskOp>) {
        if self.step != Step::Idle {
            return;
        }
        if self.closing {
            if let Some(half) = self.half_written.take() {
                self.retire(half.slot);
            }
            return;
        }
        let wanted = self.prepared.len() < self.want;
        if wanted && let Some(slot) = self.free.pop().or_else(|| self.removals.take_back()) {
            return self.write_header(slot, ops);
        }
        match self.half_written {
            Some(HalfWritten { slot, at, until, .. })
                if now.mono >= until || self.prepared.is_empty() || self.large =>
            {
                self.half_written = None;
                return self.write_zeroes(now, slot, at, ops);
            }
            None if wanted && self.retry_at.is_none_or(|at| now.mono >= at) => {
                return self.go(Step::Asking, DiskKind::Free, ops);
            }
            _ => {}
        }
        // What is kept for the cleaner is the first to go when the log has no room.
        if self.is_full()
            && self.cold == Cold::None
            && let Some(slot) = self.free_cold.take()
        {
            return self.retire(slot);
        }
        // The log comes first.
        if let Cold::Wanted { borrow } = self.cold {
            match self.free_cold.take() {
                Some(slot) => self.cold = Cold::Ready { slot, borrowed: false },
                None => self.go(Step::AskingCold { borrow }, DiskKind::Free, ops),
            }
        }
    }

    fn go(&mut self, step: Step, kind: DiskKind, ops: &mut Vec<DiskOp>) {
        self.step = step;
        ops.push(DiskOp { tag: Job::Spare.tag(), kind });
    }

    fn write_header(&mut self, slot: Slot, ops: &mut Vec<DiskOp>) {
        let header = self.next_header(slot, self.segment_bytes);
        self.go(Step::Heading(header), header_write(&header), ops);
    }

    /// Batches are being written.
    fn is_busy(&self, now: Mono) -> bool {
        self.written_at.plus_ms(BUSY_MS) > now
    }

    /// Bytes of the next piece of zeroes.
    fn piece(&self, now: Mono) -> u64 {
        if self.prepared.is_empty() {
            return ZERO_BYTES as u64;
        }
        if !self.is_busy(now) {
            return ZERO_BYTES_CALM;
        }
        let due = u128::from(self.segment_bytes) * u128::from(ZERO_HASTE * ZERO_INTERVAL_NS);
        let due = (due / u128::from(self.filled_in.max(1))).min(u128::from(ZERO_BYTES_CALM)) as u64;
        due.max(ZERO_BYTES_LEAST).next_multiple_of(PAGE as u64)
    }

    /// A piece that ends at `to` has been written, begun at `since`: when the next is due.
    fn rest(&self, now: Mono, slot: Slot, to: u64, since: Mono) -> HalfWritten {
        let rested = now.rested(since, ZERO_REST);
        if !self.is_busy(now) {
            return HalfWritten { slot, at: to, until: rested, wake: rested };
        }
        let pieces = (self.segment_bytes / self.piece(now)).max(1);
        let until = Mono(since.0.saturating_add(self.filled_in / ZERO_HASTE / pieces)).min(rested);
        HalfWritten { slot, at: to, until, wake: until.plus_ms(ZERO_PATIENCE_MS) }
    }

    fn write_zeroes(&mut self, now: Now, slot: Slot, at: u64, ops: &mut Vec<DiskOp>) {
        let to = self.segment_bytes.min(at + self.piece(now.mono));
        let zeroes = self.zeroes.get_or_insert_with(|| {
            let bytes = ZERO_BYTES.min(self.segment_bytes as usize);
            let mut buf = Pool::new(ZERO_BYTES * 2, 0).take(bytes).expect("within the limit");
            buf.fill(0);
            buf.freeze()
        });
        let runs = vec![zeroes.slice(0..(to - at) as usize).pages()];
        let kind = DiskKind::Write { file: slot.file(), at, runs, durable: false };
        self.go(Step::Zeroing { slot, to, since: now.mono }, kind, ops);
    }

    /// There was no room for a new file, which may have been left behind.
    fn unmade(&mut self, now: Now, slot: Slot, open: bool, cold: bool, error: DiskError) -> Progress {
        self.failed.insert(slot);
        if open {
            self.retire(slot);
        } else {
            self.removals.add_unmade(slot);
        }
        if cold {
            self.refuse_cold();
            return Progress::Nothing;
        }
        self.refuse(now, error)
    }

    /// The outstanding step has ended.
    pub(crate) fn on_disk(&mut self, now: Now, result: Result<DiskOk, DiskError>, ops: &mut Vec<DiskOp>) -> Progress {
        let step = std::mem::replace(&mut self.step, Step::Idle);
        let result = match (step, result) {
            (_, Ok(ok)) => ok,
            // The name is taken by something that is not a segment of this log: leave it alone, take the next.
            (Step::Creating(_) | Step::CreatingCold(_), Err(DiskError::Exists)) => return Progress::Nothing,
            (Step::Looking, Err(_)) => return Progress::Nothing,
            (step, Err(error)) => {
                return match step.fills().filter(|_| error.is_shortage()) {
                    Some((slot, open, cold)) => self.unmade(now, slot, open, cold, error),
                    None => Progress::Failed(failure(step, error)),
                };
            }
        };
        if self.closing
            && let Some(slot) = step.unfinished()
        {
            self.retire(slot);
            return Progress::Nothing;
        }
        match (step, result) {
            (Step::Idle, _) => panic!("no step of making a spare was under way"),
            (Step::Asking, DiskOk::Free { free, .. }) => {
                self.free_bytes = free;
                if free < self.reserve_bytes.saturating_add(self.segment_bytes) {
                    return self.refuse(now, DiskError::NoSpace);
                }
                if self.closing {
                    return Progress::Nothing;
                }
                let slot = self.unused_slot();
                self.used.insert(slot);
                let kind = DiskKind::Create { file: slot.file(), name: slot.file_name(), bytes: self.segment_bytes };
                self.go(Step::Creating(slot), kind, ops);
            }
            (Step::Looking, DiskOk::Free { free, .. }) => {
                self.free_bytes = free;
                let least = self.reserve_bytes.saturating_add(CROWD_FILES * self.segment_bytes);
                self.crowded = free < least;
            }
            (Step::Asking | Step::Looking, other) => panic!("free space was asked for, the answer was {other:?}"),
            (Step::AskingCold { borrow }, DiskOk::Free { free, .. }) => self.answer_cold(free, borrow, ops),
            (Step::AskingCold { .. }, other) => panic!("free space was asked for, the answer was {other:?}"),
            (Step::CreatingCold(slot), _) => {
                self.go(Step::SyncingCold(slot), DiskKind::Sync { file: slot.file() }, ops);
            }
            (Step::SyncingCold(slot), _) => self.go(Step::NamingCold(slot), DiskKind::SyncDir, ops),
            (Step::NamingCold(slot), _) => {
                let borrowed = self.free_bytes < self.reserve_bytes.saturating_add(self.segment_bytes);
                self.cold = Cold::Ready { slot, borrowed };
            }
            (Step::Creating(slot), _) if !self.large => self.write_zeroes(now, slot, 0, ops),
            (Step::Zeroing { slot, to, since }, _) if to < self.segment_bytes && !self.large => {
                self.half_written = Some(self.rest(now.mono, slot, to, since));
                self.make(now, ops);
            }
            (Step::Creating(slot) | Step::Zeroing { slot, .. }, _) => {
                self.go(Step::Syncing(slot), DiskKind::Sync { file: slot.file() }, ops);
            }
            (Step::Syncing(slot), _) => self.go(Step::SyncingDirectory(slot), DiskKind::SyncDir, ops),
            (Step::SyncingDirectory(slot), _) => self.write_header(slot, ops),
            (Step::Heading(header), _) => {
                self.adopt(header);
                self.refused = None;
                self.retry_at = None;
                return Progress::Ready;
            }
        }
        Progress::Nothing
    }

    /// The cleaner is what makes room: for one file it may take half of the reserve.
    fn answer_cold(&mut self, free: u64, borrow: bool, ops: &mut Vec<DiskOp>) {
        self.free_bytes = free;
        let left_alone = if borrow { self.reserve_bytes / 2 } else { self.reserve_bytes };
        if self.closing || free < left_alone.saturating_add(self.segment_bytes) {
            return self.refuse_cold();
        }
        // It is not written once with zeroes: it is flushed as a whole, not batch by batch.
        let slot = self.unused_slot();
        self.used.insert(slot);
        self.made_cold.insert(slot);
        let kind = DiskKind::Create { file: slot.file(), name: slot.file_name(), bytes: self.segment_bytes };
        self.go(Step::CreatingCold(slot), kind, ops);
    }

    fn refuse_cold(&mut self) {
        self.cold = Cold::Refused;
        self.wants_room = true;
    }

    fn refuse(&mut self, now: Now, lack: DiskError) -> Progress {
        self.refused = Some(lack.clone());
        self.retry_at = Some(now.mono.plus_ms(RETRY_MS));
        Progress::NoRoom(lack)
    }

    fn unused_slot(&self) -> Slot {
        let mut number = 1;
        for slot in &self.used {
            if slot.0 != number {
                break;
            }
            number += 1;
        }
        Slot(number)
    }
}

/// The durable write of a header page.
pub(crate) fn header_write(header: &Header) -> DiskKind {
    let mut page = Pool::new(PAGE, 0).take(PAGE).expect("within the limit");
    header.encode(&mut page);
    DiskKind::Write { file: header.slot.file(), at: 0, runs: vec![page.freeze().pages()], durable: true }
}

fn failure(step: Step, error: DiskError) -> WalError {
    let (doing, file) = match step {
        Step::Idle | Step::Asking | Step::Looking | Step::AskingCold { .. } => ("asking for free space", String::new()),
        Step::Creating(slot) | Step::CreatingCold(slot) => ("creation", slot.file_name()),
        Step::Zeroing { slot, .. } => ("first writing", slot.file_name()),
        Step::Syncing(slot) | Step::SyncingCold(slot) => ("flush", slot.file_name()),
        Step::SyncingDirectory(_) | Step::NamingCold(_) => ("flush of the directory", String::new()),
        Step::Heading(header) => ("writing the header", header.slot.file_name()),
    };
    WalError::Disk { doing, file, error }
}
