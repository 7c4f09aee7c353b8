//! What follows from the disk's answers: entries become durable, then committed, and whoever waits for that is answered.

use super::propose::Mark;
use super::{Groups, Notice, Out, put_aside};
use crate::group::Flush;
use crate::mail::Led;
use crate::meaning::Applied;
use crate::refusal::Refusal;
use crate::stats::set;
use torc_base::ids::{BatchSeq, GroupId, Index};
use torc_base::io::{DiskDone, DiskError, Level, Op};
use torc_base::time::Mono;
use torc_consensus::Input;
use torc_wal::Outcome;

impl Groups {
    /// All batches through `seq` are on this disk.
    fn durable(&mut self, out: &mut Out, seq: BatchSeq) {
        while let Some(&(at, id, mark)) = self.in_flight.front() {
            if at > seq {
                break;
            }
            self.in_flight.pop_front();
            self.cut_through(out.now.mono, at);
            match mark {
                Mark::HardState(hard_state) => self.step(out, id, Input::HardStateDurable(hard_state)),
                Mark::Log { cut, through } => {
                    self.answer_on_disk(out, id, cut, through);
                    if let Some(group) = self.groups.get_mut(&id) {
                        group.note_flushed(through, self.last_cut, out.now.mono);
                    }
                    self.step(out, id, Input::Durable { cut, through });
                    if !self.settings.is_alone() {
                        self.answer_on_copies(out, id);
                    }
                }
            }
        }
        self.cut_through(out.now.mono, seq);
        self.outboxes.durable(seq);
        self.give_back(seq);
        self.parts_durable(seq);
        self.checkpoint_durable(out, seq);
    }

    /// Batches through `seq` are durable: goes on to when the last of them was handed to the disk.
    fn cut_through(&mut self, now: Mono, seq: BatchSeq) {
        while let Some(&(last, at)) = self.cuts.front()
            && self.cut_seq < seq
        {
            let through = last.min(seq);
            for _ in self.cut_seq.get()..through.get() {
                self.stats.wal_flush.record(now.since(at));
            }
            (self.cut_seq, self.last_cut) = (through, at);
            if last == through {
                self.cuts.pop_front();
            }
        }
    }

    /// Entries through `through`, handed out with `cut`, are on this disk: what was replaced meanwhile is nobody's who waits
    /// now.
    fn answer_on_disk(&mut self, out: &mut Out, id: GroupId, cut: u32, through: Index) {
        let Some(group) = self.groups.get_mut(&id).filter(|group| group.cut == cut) else { return };
        while group.on_disk.front().is_some_and(|w| w.index <= through) {
            let waiter = group.on_disk.pop_front().expect("looked at above");
            let log_start = group.partition().log_start();
            let flush = Flush { cut: self.last_cut, own: None };
            out.answers.push_back(waiter.reached(log_start, flush, out.now.mono));
        }
    }

    /// A group's log is committed through `through`.
    pub(super) fn committed(&mut self, out: &mut Out, id: GroupId, through: Index) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let whole = group.digests.committed(through);
        let applied = group.meaning.apply(through);
        group.raft.step(Input::Applied { through }, &mut self.output).expect("only proposals are refused");
        match applied {
            Applied::Tree => self.tree_committed(out, through),
            Applied::Catalog(changes) => out.notices.push_back(Notice::CatalogApplied(changes)),
            Applied::Partition { trimmed } => {
                let log_start = group.partition().log_start();
                while group.on_commit.front().is_some_and(|w| w.index <= through) {
                    let waiter = group.on_commit.pop_front().expect("looked at above");
                    let flush = group.flush_of(waiter.index, self.last_cut, out.now.mono);
                    out.answers.push_back(waiter.reached(log_start, flush, out.now.mono));
                }
                group.forget_flushes(through);
                if !group.watchers.is_empty() {
                    self.look_at_watchers(out, id);
                }
                if trimmed {
                    self.release_trimmed(out.now.mono, id);
                }
            }
        }
        let group = self.groups.get_mut(&id).expect("it was there");
        if !group.serving && group.term_start.is_some_and(|start| start <= through) {
            self.begin_serving(out, id);
        }
        if !whole.is_empty() {
            self.tell_or_compare(out, id, whole);
        }
        self.carry_out(out, id);
    }

    /// This node leads the group, and knows all that was committed before it did.
    pub(super) fn begin_serving(&mut self, out: &mut Out, id: GroupId) {
        let group = self.groups.get_mut(&id).expect("it leads it");
        group.serving = true;
        if group.meaning.partition().is_some() {
            self.new_leaders.push(Led::by(id, self.settings.node, group.epoch()));
        }
        self.begin_in_sync(out.now.mono, id);
        self.waits_no_more(id);
        self.release_empty(id);
        self.note_serving(out);
    }

    /// Nobody waits for the group's leader any more.
    pub(super) fn waits_no_more(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get_mut(&id)
            && std::mem::take(&mut group.awaited)
        {
            self.electing -= 1;
        }
    }

    pub(super) fn note_serving(&mut self, out: &mut Out) {
        if self.electing == 0 {
            out.notices.push_back(Notice::AllServing);
        }
    }

    /// The log failed: everything that waits is refused, and nothing is taken from now on.
    fn fence(&mut self, out: &mut Out, why: String) {
        set(&self.stats.fenced, 1);
        out.log(Level::Error, format!("the log is fenced: {why}; nothing more is written until a restart"));
        self.in_flight.clear();
        self.cuts.clear();
        self.outboxes.never();
        self.tree_starts.give_up_taking();
        for group in self.groups.values_mut() {
            let waiters = group.waiters_mut().flat_map(std::mem::take);
            out.answers.extend(waiters.map(|waiter| waiter.refused(Refusal::Storage)));
        }
        self.refuse_deferred(out, Refusal::Storage);
        self.resign(out);
        out.notices.push_back(Notice::Fenced);
        out.notices.push_back(Notice::AllServing);
    }

    /// A completion of the log or of a checkpoint.
    pub fn on_disk(&mut self, out: &mut Out, done: DiskDone) {
        let mut ops = std::mem::take(&mut self.disk_ops);
        if torc_snapshot::owns(done.tag) {
            self.on_checkpoint_disk(out, done, &mut ops);
        } else if put_aside::owns(done.tag) {
            self.on_aside_disk(out, done, &mut ops);
        } else {
            assert!(self.wal.owns(done.tag), "a completion that nobody asked for: {:?}", done.tag);
            let mut outcomes = std::mem::take(&mut self.outcomes);
            self.wal.on_disk(out.now, done, &mut ops, &mut outcomes);
            self.take_outcomes(out, outcomes);
        }
        out.ops.extend(ops.drain(..).map(Op::Disk));
        self.disk_ops = ops;
    }

    pub(super) fn take_outcomes(&mut self, out: &mut Out, mut outcomes: Vec<Outcome>) {
        for outcome in outcomes.drain(..) {
            match outcome {
                Outcome::Durable(seq) => self.durable(out, seq),
                Outcome::Recovered(item) => self.recovered(item),
                Outcome::Lost(lost) => self.lost(out, lost),
                Outcome::RecoveryDone(found) => self.recovery_done(out, found),
                Outcome::Refused(error) => self.recovery_refused(out, &error),
                Outcome::Read(id, result) => self.read_done(out, id, result),
                Outcome::Found(id, result) => self.find_done(out, id, result),
                Outcome::Fenced(why) => self.fence(out, why),
                Outcome::Full(lack) => {
                    set(&self.stats.disk_full, u64::from(lack.is_some()));
                    let consequence = "producers are refused, all else goes on";
                    self.takes_more |= lack.is_none();
                    let (level, text) = match lack {
                        Some(DiskError::NoSpace) => (Level::Warn, format!("the disk is full: {consequence}")),
                        Some(lack) => {
                            (Level::Warn, format!("the log cannot grow: {lack}: {consequence}; {}", lack.cure()))
                        }
                        None => (Level::Info, "the log has room again: producers are served".into()),
                    };
                    out.log(level, text);
                }
                Outcome::Compacted { whole } if self.mends.has_begun() => self.mending_ended(out, whole),
                Outcome::Compacted { whole } => self.compaction_ended(out, whole),
                Outcome::Log(level, text) => out.log(level, text),
            }
        }
        self.outcomes = outcomes;
    }
}
