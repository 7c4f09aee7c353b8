//! The cleaner's half of a compaction: files and operations, in its pace.

use super::{Cleaner, Next, Parts, Phase, SWAPS, WRITE_BYTES};
use crate::cleaner_output::Output;
use crate::compaction::{Compacting, Compaction, Need, Part, Step};
use crate::entry::Item;
use crate::error::WalError;
use crate::outcome::Outcome;
use crate::segments::footed;
use crate::spares::{Cold, header_write};
use torc_base::ids::{GroupId, SegmentId};
use torc_base::io::{DiskError, DiskKind, DiskOk};
use torc_base::time::Mono;

impl Cleaner {
    /// Begins a compaction, if nothing else is under way; `mends`: of damage, which a cleaner mends that does nothing else, too.
    pub(crate) fn begin_compaction(&mut self, mends: bool) -> bool {
        let wanted = self.settings.enabled || mends;
        let idle = wanted && self.under_way.is_none() && matches!(self.phase, Phase::Idle);
        if idle {
            self.phase = Phase::Compaction(Box::new(Compaction::new(mends)));
        }
        idle
    }

    /// A group is dropped: what was handed over of it belongs to nothing.
    pub(crate) fn forget(&mut self, group: GroupId) {
        if let Phase::Compaction(compaction) = &mut self.phase {
            compaction.gone.insert(group);
        }
    }

    /// What the compaction wants now.
    pub(crate) fn compacting(&self, now: Mono) -> Compacting {
        match &self.phase {
            Phase::Compaction(compaction) if compaction.takes() && self.pace <= now => Compacting::Parts,
            Phase::Compaction(_) => Compacting::Time,
            _ => Compacting::Nothing,
        }
    }

    /// When it may want more parts, if nothing else ends before.
    pub(crate) fn compaction_due(&self) -> Option<Mono> {
        match &self.phase {
            Phase::Compaction(compaction) if compaction.takes() => Some(self.pace),
            _ => None,
        }
    }

    /// Takes a part, if the compaction has not ended meanwhile, or is about to: on a full disk. Then the part stays as it is.
    pub(crate) fn put_part(&mut self, part: &Part, items: Vec<Item>) {
        if let Phase::Compaction(compaction) = &mut self.phase
            && !compaction.cut_short
        {
            compaction.put(part, items);
        }
    }

    /// So many bytes were read for it.
    pub(crate) fn charge(&mut self, now: Mono, bytes: u64) {
        self.read_bytes += bytes;
        self.pace_for(now, bytes);
    }

    /// All parts have been handed over; or no more will be, and what is not written yet is left as it is.
    pub(crate) fn end_compaction(&mut self, whole: bool) {
        if let Phase::Compaction(compaction) = &mut self.phase {
            if whole { compaction.end() } else { compaction.cut_short() }
        }
    }

    pub(super) fn compact(&mut self, compaction: &mut Compaction, parts: &mut Parts<'_>) -> Next {
        if compaction.is_over() {
            return Next::Done;
        }
        let paced = compaction.has_work() && compaction.step != Step::Publish;
        if paced && parts.now.mono < self.pace && !parts.spares.is_full() {
            return Next::Wait;
        }
        match compaction.step {
            Step::Write => match compaction.next(WRITE_BYTES, &self.pool) {
                Need::More if parts.spares.is_full() => compaction.cut_short(),
                Need::More => return Next::Wait,
                Need::File => {
                    parts.spares.want_cold(false);
                    compaction.step = Step::File;
                }
                Need::Write(at, block) => {
                    let file = compaction.output.as_ref().expect("it is written to").header.slot.file();
                    let runs = vec![block.pages()];
                    self.ask(DiskKind::Write { file, at: u64::from(at), runs, durable: false }, parts);
                }
                Need::Sync => compaction.step = Step::Sync,
                Need::Publish => compaction.step = Step::Publish,
            },
            Step::File => match parts.spares.take_cold() {
                Cold::None => panic!("a file was asked for"),
                Cold::Wanted { .. } => return Next::Wait,
                Cold::Refused => return Next::GiveUp,
                Cold::Ready { slot, .. } => {
                    let header = self.header(slot);
                    compaction.output = Some(Output::new(header, self.life));
                    compaction.step = Step::Write;
                    self.ask(header_write(&header), parts);
                }
            },
            Step::Sync => {
                let file = compaction.output.as_ref().expect("it was written").header.slot.file();
                self.ask(DiskKind::Sync { file }, parts);
            }
            Step::Footer => {
                let write = compaction.output.as_mut().expect("it was flushed").write_footer(&self.pool);
                self.ask(write, parts);
            }
            Step::Publish => return publish(compaction, parts),
        }
        Next::Again
    }

    pub(super) fn compacted(&mut self, compaction: &Compaction, whole: bool, parts: &mut Parts<'_>) {
        self.compactions += u64::from(!compaction.mends);
        self.changed = true;
        parts.out.push(Outcome::Compacted { whole });
    }

    /// It ends before its end: what readers do not find yet goes back.
    pub(super) fn drop_compaction(&mut self, compaction: Compaction, parts: &mut Parts<'_>) {
        if let Some(output) = &compaction.output {
            parts.spares.recycle(output.header.slot, output.header.bytes);
        }
        self.compacted(&compaction, false, parts);
    }
}

/// Readers find the output's entries there from now on, some parts a turn.
fn publish(compaction: &mut Compaction, parts: &mut Parts<'_>) -> Next {
    let mut id = SegmentId(0);
    if let Some(output) = &compaction.output {
        id = output.segment();
        if compaction.published == 0 {
            let full = compaction.parts.iter().map(|part| part.bytes).sum();
            let footer = output.footer().expect("it is durable");
            parts.segments.cold.insert(id, footed(output.header, footer, full));
        }
    }
    let upto = compaction.parts.len().min(compaction.published + SWAPS);
    for part in &compaction.parts[compaction.published..upto] {
        if compaction.gone.contains(&part.group) {
            continue;
        }
        if !compaction.mends {
            parts.directory.replace(id, part);
        } else if !parts.directory.mend(id, part, parts.published) {
            compaction.cut_short = true;
        }
    }
    compaction.published = upto;
    if upto < compaction.parts.len() {
        return Next::Yield;
    }
    compaction.next_output();
    Next::Again
}

/// An operation of a compaction has ended. An error that fences the log is returned.
pub(super) fn took(
    compaction: &mut Compaction,
    result: Result<DiskOk, DiskError>,
    parts: &mut Parts<'_>,
) -> Result<Next, WalError> {
    match (compaction.step, result) {
        (Step::Write, Ok(_)) => {}
        (Step::Sync, Ok(_)) => compaction.step = Step::Footer,
        (Step::Footer, Ok(_)) => {
            if compaction.output.as_ref().is_some_and(|output| output.footer().is_some()) {
                compaction.step = Step::Publish;
            }
        }
        // The file goes back, and what it has taken with it.
        (_, Err(error)) if error.is_shortage() => {
            let output = compaction.output.take().expect("only outputs are written");
            parts.spares.retire(output.header.slot);
            return Ok(Next::GiveUp);
        }
        (step, Err(error)) => {
            let doing = if step == Step::Sync { "flush" } else { "writing" };
            let file = compaction.output.as_ref().map_or(String::new(), |o| o.header.slot.file_name());
            return Err(WalError::Disk { doing, file, error });
        }
        (step, Ok(ok)) => panic!("{step:?} ended with {ok:?}"),
    }
    Ok(Next::Again)
}
