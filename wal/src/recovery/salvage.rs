//! Damage that is passed over, where others have what is lost.
//!
//! Who is alone with a log refuses it when something says that a batch had been durable which is not there. A replica is not
//! alone: it wants all that can still be read, and to be told of everything else. So the chain is taken up again behind the
//! damage: at the next batch that says that the lost one had been durable when it was written. Such a batch is none of an
//! earlier life of the log, whose torn end lay there: nothing that was durable was ever torn.
//!
//! What is told ([`Lost`]) stands among the entries, in the order of the log. Of a batch whose table is whole only the
//! entries are lost whose own bytes are damaged. What was in another one nobody knows; before the checkpoint it shows by
//! what is missing of each group, since the checkpoint says what there was.

use super::{File, Mode, Parts, Progress, Recovery, Task};
use crate::batch::{self, Descriptor};
use crate::directory::Group;
use crate::entry::Kind;
use crate::error::WalError;
use crate::outcome::{Lost, Outcome};
use crate::segment::{BATCHES_START, Header};
use torc_base::ids::{BatchSeq, Index, SegmentId};
use torc_base::io::{DiskKind, DiskOp};
use torc_base::limits::PAGE;

/// A place where a batch is missing that had been durable.
#[derive(Debug)]
pub(super) struct Wound {
    segment: SegmentId,
    position: u64,
    /// All batches up to this one had been.
    durable: BatchSeq,
    error: WalError,
}

impl Wound {
    /// What was found, and where.
    fn describe(&self) -> String {
        match &self.error {
            WalError::Corrupt(found) => found.to_string(),
            other => other.to_string(),
        }
    }

    pub(super) fn is_at(&self, segment: SegmentId, position: u64) -> bool {
        (self.segment, self.position) == (segment, position)
    }
}

impl Recovery {
    /// The next batch, which should be at `position` of `segment`, is damaged: batches up to `durable` had been durable. It is
    /// looked at again, for what can be read of it.
    pub(super) fn wounded(
        &mut self,
        segment: Header,
        position: u64,
        durable: BatchSeq,
        error: WalError,
    ) -> Result<(), WalError> {
        if !self.salvages {
            return Err(error);
        }
        self.wound = Some(Wound { segment: segment.segment, position, durable, error });
        self.mode = Mode::Chain;
        self.open_stream(segment, position);
        Ok(())
    }

    /// True if the batch at that place is known to be damaged, and what is whole of it is wanted.
    pub(super) fn is_wounded(&self, header: &batch::Header) -> bool {
        self.wound.as_ref().is_some_and(|wound| wound.is_at(header.segment, u64::from(header.position)))
    }

    /// The payload of an entry is not what was written.
    pub(super) fn lose_entry(&self, d: &Descriptor, replayed: bool, out: &mut Vec<Outcome>) {
        let what = self.wound.as_ref().expect("only damage is passed over").describe();
        let lost = Lost::Entry {
            group: d.group,
            kind: Kind(d.kind),
            term: d.term,
            index: d.index,
            in_checkpoint: !replayed,
            what,
        };
        out.push(Outcome::Lost(lost));
    }

    /// Nothing can be read of the damaged batch: the next one is looked for.
    pub(super) fn search_behind(&mut self, segment: Header, position: u64) {
        self.mode = Mode::Search;
        self.open_stream(segment, position + PAGE as u64);
    }

    /// Looks for the batch with which the log goes on.
    pub(super) fn look_for_next(
        &mut self,
        here: &Header,
        base: u64,
        window: &[u8],
        parts: &mut Parts<'_>,
        out: &mut Vec<Outcome>,
    ) {
        for (number, page) in window.chunks(PAGE).enumerate() {
            let at = base + (number * PAGE) as u64;
            let Some((header, _)) = batch::Header::decode(page) else { continue };
            let ours = header.segment == here.segment && header.salt == here.salt && u64::from(header.position) == at;
            if !ours || header.durable < self.next {
                continue;
            }
            self.lose_batches(BatchSeq(header.seq.get() - 1), out);
            let filled = parts.segments.active().header.segment;
            if filled != here.segment {
                // Nothing was found in those between.
                for (_, &slot) in self.by_id.range(filled.next()..here.segment) {
                    parts.spares.recycle(slot, self.files[&slot].bytes);
                }
                parts.segments.activate(*here, self.next, self.chain);
            }
            parts.segments.active().skip_to(header.position, header.seq, header.chain);
            (self.next, self.chain) = (header.seq, header.chain);
            self.mode = Mode::Chain;
            return self.open_stream(*here, at);
        }
    }

    /// The last batches are those that are lost: the log goes on behind them, in another segment, where nothing of before can
    /// be taken for its continuation.
    pub(super) fn end_at_damage(&mut self, parts: &mut Parts<'_>, out: &mut Vec<Outcome>) {
        let durable = self.wound.as_ref().expect("damage was found").durable;
        self.lose_batches(durable, out);
        self.next = durable.next();
        let segment = parts.segments.active();
        segment.closed = true;
        let (segment, position) = (segment.header, u64::from(segment.end));
        self.mode = Mode::Evidence { segment, position, what: String::new(), pieces: 0 };
    }

    /// The log cannot be read. When everything that is open has been closed, the error ends recovery.
    pub(crate) fn abandon(&mut self, error: WalError, ops: &mut Vec<DiskOp>) -> Result<(), WalError> {
        if self.abandoned.is_some() || !matches!(error, WalError::Corrupt(_)) {
            return Err(error);
        }
        self.abandoned = Some(error);
        self.close_files(ops)
    }

    /// A step has ended of those that were under way.
    pub(super) fn close_up(
        &mut self,
        task: &Task,
        went_well: bool,
        ops: &mut Vec<DiskOp>,
    ) -> Result<Progress, WalError> {
        match task {
            Task::Open(slot) if went_well => {
                self.files.insert(*slot, File { bytes: 0, header: None, first: None });
            }
            Task::Close(slot) => {
                self.files.remove(slot);
            }
            _ => {}
        }
        self.close_files(ops)?;
        Ok(Progress::Going)
    }

    fn close_files(&mut self, ops: &mut Vec<DiskOp>) -> Result<(), WalError> {
        if !self.tasks.is_empty() {
            return Ok(());
        }
        if self.files.is_empty() {
            return Err(self.abandoned.take().expect("it was abandoned"));
        }
        for slot in self.files.keys().copied().collect::<Vec<_>>() {
            self.ask(Task::Close(slot), DiskKind::Close { file: slot.file() }, ops);
        }
        Ok(())
    }

    fn lose_batches(&mut self, last: BatchSeq, out: &mut Vec<Outcome>) {
        let what = self.wound.take().expect("damage was found").describe();
        let next = self.section.as_ref().map_or(BatchSeq(1), |section| section.next);
        self.gaps |= self.next < next;
        out.push(Outcome::Lost(Lost::Batches { first: self.next, last, in_checkpoint: last < next, what }));
    }

    /// All that the checkpoint contains has been read, or is lost: of each group it is known what should be there.
    pub(super) fn pass_checkpoint(&mut self, parts: &mut Parts<'_>, out: &mut Vec<Outcome>) {
        if std::mem::replace(&mut self.passed, true) {
            return;
        }
        let Some(section) = &self.section else { return };
        for (id, group) in &section.groups {
            let Some(found) = parts.directory.group(*id) else { continue };
            // What was taken back after damage is still in the log.
            if found.last > group.last {
                parts.directory.cut(*id, group.last.next(), group.end_offset);
            } else if self.gaps && has_gap(found, group.last) {
                out.push(Outcome::Lost(Lost::Gap { group: *id }));
            }
        }
    }

    /// Where the next segment is read from.
    pub(super) fn search_in_next(&mut self, segment: SegmentId) -> bool {
        let Some((_, &slot)) = self.by_id.range(segment.next()..).next() else { return false };
        self.open_stream(self.header(slot), u64::from(BATCHES_START));
        true
    }
}

/// True if the group, whose log ended at `last`, lacks entries that were not compacted.
fn has_gap(group: &Group, last: Index) -> bool {
    let mut next = group.first.max(group.compacted);
    for run in group.runs.iter().filter(|run| run.last_index >= group.first.max(group.compacted)) {
        let indexes = run.last_index.get() - run.first_index.get() + 1;
        if run.first_index > next || run.first_index >= group.compacted && run.entries != indexes {
            return true;
        }
        next = run.last_index.next();
    }
    next <= last
}
