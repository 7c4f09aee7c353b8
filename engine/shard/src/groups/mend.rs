//! Damage that a read or a start finds in the middle of the log of a replica that runs: what can be read is served, and what
//! cannot is asked for, entry by entry, of the other members (`lend.rs`). What has come takes the place of what was there, in a
//! segment of its own, as what the cleaner moves does ([`torc_wal::Wal::begin_mending`]); the rest of the log stays. So replicas that
//! are damaged in different places mend each other, whoever leads. Only what is applied is mended: it is never taken back. Entries
//! that recovery may still come by wait for a checkpoint.
//!
//! What compaction has gone through in all other replicas and not here is nowhere as it was. Then the partition's log is got anew,
//! if its leader is one of those: a leader first hands over to a replica that has everything; a follower, once it hears a leader,
//! drops what it has and begins without entries, in doubt up to where its log had reached: it votes for no log that is shorter, and
//! does not stand, until it holds that much again. Terms and votes are whole.
//!
//! Of the catalog and the tree the state is whole, whatever became of the log that made it: a checkpoint is made that has it, and
//! the log in front of that goes, for whomever it is kept. Who lacks something of it gets the state.

use super::catalog_start::is_sent_whole;
use super::lend::Said;
use super::recover::config;
use super::{Groups, Out};
use crate::batch;
use crate::group::Group;
use crate::meaning::{End, Meaning, kind};
use crate::stats::add;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::{GroupId, Index, NodeId, Offset, SegmentId};
use torc_base::io::Level;
use torc_base::limits::{PEER_READ_BYTES, REPLICATE_ENTRIES_MAX};
use torc_base::time::Mono;
use torc_consensus::{Body, Doubt, HardState, LogView, Mark, Message, Raft};
use torc_wal::{Compacting, Corruption, Item, Part, WalError};

/// Between two attempts.
const AGAIN_MS: u64 = 1_000;
/// Until the log is asked once more whether it takes what has come.
const BUSY_MS: u64 = 50;
/// Between two lines about entries that are nowhere.
const TELL_MS: u64 = 60_000;
/// Places that the disk did not give of which it is known since when.
const UNREAD_MAX: usize = 1_024;
/// Logs that are got anew at a time: others are still whole in parts, and serve.
const AT_ONCE: usize = 1;

/// Groups with damage.
#[derive(Debug, Default)]
pub(super) struct Mends {
    /// Entries that cannot be read: the first of some in a row, and what is known of them.
    wounds: BTreeMap<(GroupId, Index), Wound>,
    /// The wound at hand.
    job: Option<Box<Job>>,
    /// These have begun anew and do not yet have all again.
    under_way: BTreeSet<GroupId>,
    /// The logs of these go with the next checkpoint.
    released: BTreeSet<GroupId>,
    /// Places that the disk did not give to readers of a group, each with when it first did not.
    unread: BTreeMap<(GroupId, SegmentId, u64), Mono>,
    /// The log has been handed entries of a wound, and has not said what became of them.
    handing: bool,
    next: Mono,
}

/// Entries in a row that cannot be read.
#[derive(Clone, Copy, Debug)]
struct Wound {
    last: Index,
    /// Nothing is done before.
    retry: Mono,
    /// When it was last told that they are nowhere.
    told: Option<Mono>,
    /// What was being filled when they were found is filled no further.
    sealed: bool,
}

/// A wound that is being mended.
#[derive(Debug)]
struct Job {
    id: GroupId,
    first: Index,
    last: Index,
    /// The next entry that is wanted.
    next: Index,
    /// What has come and was not handed to the log.
    got: Vec<Item>,
    bytes: usize,
    /// The log takes what is handed over.
    begun: bool,
    /// All has been.
    ended: bool,
}

/// What can be done about a wound.
enum Way {
    /// Nothing: it is not here any more, or nowhere else.
    None,
    /// Nothing yet.
    Wait,
    /// Somebody else shall lead it.
    HandOver(NodeId),
    /// Its entries are asked for.
    Mend,
    /// The log goes with the next checkpoint, which has its state.
    Release,
}

impl Mends {
    fn knows(&self, id: GroupId, index: Index) -> bool {
        let of_group = self.wounds.range((id, Index(0))..=(id, index));
        of_group.last().is_some_and(|(_, wound)| wound.last >= index)
    }

    /// True if a checkpoint is wanted, so that a damaged log is needed no longer.
    pub fn want_checkpoint(&self) -> bool {
        !self.released.is_empty()
    }

    /// True if the group's log is to go with the next checkpoint.
    pub fn release(&self, id: GroupId) -> bool {
        self.released.contains(&id)
    }

    /// The group is gone, or has another log.
    pub fn forget(&mut self, id: GroupId) {
        self.wounds.retain(|(of, _), _| *of != id);
        self.unread.retain(|(of, ..), _| *of != id);
        self.under_way.remove(&id);
        self.released.remove(&id);
    }

    /// True if the disk does not give what it did not give some time ago, either: a sector that cannot be read is as good as a damaged
    /// one, and others have what it had. Once may have been for the moment.
    fn stays_unread(&mut self, now: Mono, id: GroupId, found: &Corruption) -> bool {
        if self.unread.len() == UNREAD_MAX {
            self.unread.clear();
        }
        let place = (id, found.segment, found.position);
        self.unread.entry(place).or_insert(now).plus_ms(AGAIN_MS) <= now
    }

    /// True if what the log has written in other places is of a wound, and not of a compaction.
    pub fn has_begun(&self) -> bool {
        self.handing
    }
}

impl Groups {
    /// A read of the group's log has failed.
    pub(super) fn note_damage(&mut self, now: Mono, id: GroupId, error: &WalError) {
        let found = match error {
            WalError::Corrupt(found) => found,
            WalError::Unreadable(found) if self.mends.stays_unread(now, id, found) => found,
            _ => return,
        };
        let known = self.mends.under_way.contains(&id) || self.mends.released.contains(&id);
        if known || !self.groups.contains_key(&id) {
            return;
        }
        match found.entry {
            Some((_, index)) => self.note_wound(id, index, found.through.unwrap_or(index)),
            // All that the segment has of the group: its footer is damaged, and so may be batches.
            None => {
                let runs = self.wal.runs(id).iter().filter(|run| run.segment == found.segment);
                for (first, last) in runs.map(|run| (run.first_index, run.last_index)).collect::<Vec<_>>() {
                    self.note_wound(id, first, last);
                }
            }
        }
    }

    /// Entries of a group cannot be read.
    fn note_wound(&mut self, id: GroupId, first: Index, last: Index) {
        if !self.mends.knows(id, first) {
            add(&self.stats.damage_found_total, 1);
            self.add_wound(id, first, last);
        }
    }

    /// The same of damage that was counted.
    pub(super) fn add_wound(&mut self, id: GroupId, first: Index, last: Index) {
        if !self.settings.is_alone() {
            let wound = Wound { last, retry: Mono(0), told: None, sealed: false };
            self.mends.wounds.insert((id, first), wound);
            self.mends.next = Mono(0);
        }
    }

    /// When damage is looked at next.
    pub(super) fn mend_deadline(&self) -> Option<Mono> {
        let mends = &self.mends;
        (!mends.wounds.is_empty() || !mends.under_way.is_empty()).then_some(mends.next)
    }

    /// Does for damaged groups what can be done now.
    pub(super) fn turn_mends(&mut self, out: &mut Out) {
        let due = self.mend_deadline().is_some_and(|at| at <= out.now.mono);
        if !due || self.fenced().is_some() {
            return;
        }
        self.mends.next = out.now.mono.plus_ms(AGAIN_MS);
        let mended: Vec<GroupId> = self.mends.under_way.iter().copied().filter(|id| !self.is_in_doubt(*id)).collect();
        for id in mended {
            self.mends.under_way.remove(&id);
            add(&self.stats.damage_repaired_total, 1);
            out.log(Level::Info, format!("group {id} has all again that it had before its log was damaged"));
        }
        if let Some(job) = self.mends.job.take() {
            self.mends.job = self.go_on_mending(out, job);
        }
        if self.mends.job.is_none() {
            self.next_wound(out);
        }
    }

    /// Looks for a wound that can be mended.
    fn next_wound(&mut self, out: &mut Out) {
        for (id, first) in self.mends.wounds.keys().copied().collect::<Vec<_>>() {
            let wound = self.mends.wounds[&(id, first)];
            if wound.retry > out.now.mono {
                continue;
            }
            match self.way(id, first, wound) {
                Way::None => {
                    self.mends.wounds.remove(&(id, first));
                }
                Way::Release => {
                    self.mends.wounds.retain(|(of, _), _| *of != id);
                    self.mends.released.insert(id);
                }
                Way::Mend => {
                    let (got, bytes) = (Vec::new(), 0);
                    let job = Job { id, first, last: wound.last, next: first, got, bytes, begun: false, ended: false };
                    self.mends.job = self.go_on_mending(out, Box::new(job));
                    return;
                }
                Way::HandOver(to) => {
                    self.transfer(out, id, to);
                }
                Way::Wait => {}
            }
        }
    }

    /// Who may lead a group instead of this node, of those like that: who has all of it.
    fn best_of(&self, id: GroupId, like: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let (group, own) = (&self.groups[&id], self.settings.node);
        let written = group.raft.marks().written;
        let others =
            group.raft.peers().iter().filter(|peer| peer.id != own && peer.seat.votes_after() && like(peer.id));
        let best = others.filter(|peer| peer.follows()).max_by_key(|peer| peer.matched);
        // Who lacks something may lack what is damaged here.
        best.filter(|peer| group.leads() && peer.matched >= written).map(|peer| peer.id)
    }

    /// A checkpoint is about to have the state of such a group, whose log went or, as `is_gone` says, did not.
    pub(super) fn mended_by_checkpoint(&mut self, out: &mut Out, id: GroupId, is_gone: bool) {
        if self.mends.released.remove(&id) && is_gone {
            add(&self.stats.damage_repaired_total, 1);
            let text = "its log was damaged, and is given up for a checkpoint of its state, which is whole";
            out.log(Level::Info, format!("group {id}: {text}"));
        }
    }

    /// True if the group's member here may have forgotten something.
    fn is_in_doubt(&self, id: GroupId) -> bool {
        self.groups.get(&id).is_some_and(|group| group.raft.hard_state().doubt.is_some())
    }

    fn way(&mut self, id: GroupId, first: Index, wound: Wound) -> Way {
        let Some(group) = self.groups.get(&id) else { return Way::None };
        let is_whole = is_sent_whole(id);
        if is_whole && self.may_go_whole(id) {
            return Way::Release;
        }
        let (raft, own) = (&group.raft, self.settings.node);
        let has_others = raft.peers().iter().any(|peer| peer.id != own && peer.seat.votes_after());
        let is_there = wound.last >= raft.log().first() && self.wal.last_index(id).is_some_and(|last| last >= first);
        if !has_others || !is_there {
            return Way::None;
        }
        if is_whole {
            // Nobody reads it where it is not led.
            let best = self.best_of(id, |_| true).map_or(Way::Wait, Way::HandOver);
            return if raft.is_leader() { best } else { Way::None };
        }
        if wound.last > raft.marks().applied || self.regains.is_of(id) {
            return Way::Wait;
        }
        let begin = first.max(raft.log().first());
        if self.wal.may_mend(id, begin, wound.last) {
            return Way::Mend;
        }
        // The log wants a checkpoint by itself that lets recovery begin behind it, once its segment is full.
        if !wound.sealed && self.wal.seal(id, begin, wound.last) {
            // Something is to follow, or the next segment is not begun.
            let hard_state = self.groups[&id].raft.hard_state();
            self.write_hard_state(id, hard_state);
        }
        self.mends.wounds.get_mut(&(id, first)).into_iter().for_each(|wound| wound.sealed = true);
        Way::Wait
    }

    /// Asks for what is lacking, and hands to the log what has come. `None`: nothing more is to be done now.
    fn go_on_mending(&mut self, out: &mut Out, mut job: Box<Job>) -> Option<Box<Job>> {
        let id = job.id;
        let is_known = self.mends.wounds.contains_key(&(id, job.first));
        let Some(group) = self.groups.get(&id).filter(|_| is_known) else {
            self.give_up_mending(&job);
            return None;
        };
        if job.ended {
            return Some(job);
        }
        job.next = job.next.max(group.raft.log().first());
        let is_full = job.bytes >= PEER_READ_BYTES || job.got.len() as u64 >= REPLICATE_ENTRIES_MAX;
        if job.next <= job.last && !is_full {
            let Some(term) = group.raft.log().term_at(job.next) else {
                self.give_up_mending(&job);
                return None;
            };
            let said = self.lendings.said(id).filter(|(entry, _)| entry.index == job.next);
            if let Some(said) = said.map(|(_, said)| said.clone()) {
                self.give_up_mending(&job);
                self.found_nowhere(out, &job, &said);
                return None;
            }
            self.want(id, Mark { term, index: job.next });
            return Some(job);
        }
        self.hand_to_log(out, &mut job);
        Some(job)
    }

    /// The log gets what has come, if it takes it now.
    fn hand_to_log(&mut self, out: &mut Out, job: &mut Job) {
        self.mends.next = out.now.mono.plus_ms(BUSY_MS);
        if !job.begun {
            job.begun = !self.compaction.begun && self.wal.begin_mending();
            self.mends.handing |= job.begun;
        }
        if !job.begun || self.wal.compacting(out.now.mono) != Compacting::Parts {
            return;
        }
        if let (Some(first), Some(last)) = (job.got.first(), job.got.last()) {
            let (first_index, first_offset) = (first.index, first.first_offset);
            let (last_index, end_offset) = (last.index, last.end_offset());
            let part = Part { group: job.id, first_index, first_offset, last_index, end_offset };
            self.wal.compact(&part, std::mem::take(&mut job.got));
        }
        job.bytes = 0;
        if job.next > job.last {
            self.wal.end_compaction(true);
            job.ended = true;
        }
    }

    /// The wound stays as it is.
    fn give_up_mending(&mut self, job: &Job) {
        self.lendings.forget(job.id);
        if job.begun && !job.ended {
            self.wal.end_compaction(false);
        }
    }

    /// What was handed over is where readers find it, or (`whole` says so) it is not.
    pub(super) fn mending_ended(&mut self, out: &mut Out, whole: bool) {
        self.mends.handing = false;
        let Some(job) = self.mends.job.take() else { return };
        let Job { id, first, last, .. } = *job;
        self.lendings.forget(id);
        self.mends.next = Mono(0);
        if !(whole && job.ended) {
            if let Some(wound) = self.mends.wounds.get_mut(&(id, first)) {
                wound.retry = out.now.mono.plus_ms(AGAIN_MS);
            }
            return;
        }
        if self.mends.wounds.remove(&(id, first)).is_some() {
            add(&self.stats.damage_repaired_total, 1);
            let what = if first == last { format!("entry {first}") } else { format!("entries {first} to {last}") };
            out.log(
                Level::Info,
                format!("group {id}: {what}, damaged here, came from other replicas and can be read again"),
            );
        }
    }

    /// An entry has come. It is taken if it is as it was here, or as compaction would leave it here, too.
    pub(super) fn mend_lent(&mut self, id: GroupId, item: Item, compacted: bool) -> Result<(), Said> {
        let Some(job) = self.mends.job.as_mut().filter(|job| (job.id, job.next) == (id, item.index)) else {
            return Ok(());
        };
        let is_whole = batch::is_as_it_came(&item);
        if item.kind == kind::HOLE || compacted && !is_whole && item.index >= self.wal.compacted(id) {
            return Err(Said::Gone);
        }
        let fits = |group: &Group| group.meaning.check(&item, End::at(item.first_offset)).is_ok();
        let spans = |from: Offset, to: Offset| from <= item.first_offset && item.end_offset() <= to;
        let run = self.wal.runs(id).iter().find(|run| run.last_index >= item.index);
        let is_there = run.is_some_and(|run| spans(run.first_offset, run.end_offset));
        if !is_there || !self.groups.get(&id).is_some_and(fits) {
            return Err(Said::Lacked);
        }
        job.bytes += item.bytes.len();
        job.next = item.index.next();
        job.got.push(item);
        self.mends.next = Mono(0);
        Ok(())
    }

    /// All that can be reached have been asked for an entry, and none has it as it was.
    fn found_nowhere(&mut self, out: &mut Out, job: &Job, said: &BTreeMap<NodeId, Said>) {
        let (id, now) = (job.id, out.now.mono);
        let Some(wound) = self.mends.wounds.get_mut(&(id, job.first)) else { return };
        wound.retry = now.plus_ms(AGAIN_MS);
        let tells = wound.told.is_none_or(|at| at.plus_ms(TELL_MS) <= now);
        // What retention has taken elsewhere goes here, too.
        let compacts = self.groups[&id].compaction.is_some();
        let gone = |node: NodeId| compacts && said.get(&node) == Some(&Said::Gone);
        let raft = &self.groups[&id].raft;
        if raft.is_leader() {
            if let Some(to) = self.best_of(id, gone) {
                self.transfer(out, id, to);
                return;
            }
        } else if raft.leader().is_some_and(gone) {
            let leader = raft.leader().and_then(|leader| raft.peers().iter().find(|peer| peer.id == leader));
            let settled = raft.configurations().len() == 1 && raft.hard_state().doubt.is_none();
            // What compaction has handed over would find another log.
            let may_begin = !self.compaction.begun && self.mends.under_way.len() < AT_ONCE;
            if may_begin && settled && leader.is_some_and(|leader| !leader.suspected) {
                self.mends.forget(id);
                self.mends.under_way.insert(id);
                return self.begin_anew(out, id);
            }
        }
        if tells {
            if let Some(wound) = self.mends.wounds.get_mut(&(id, job.first)) {
                wound.told = Some(now);
            }
            self.tell_nowhere(out, job, said);
        }
    }

    fn tell_nowhere(&mut self, out: &mut Out, job: &Job, said: &BTreeMap<NodeId, Said>) {
        let (id, index, nowhere) = (job.id, job.next, self.nowhere(job.id, said));
        let text = format!(
            "group {id}: entry {index} is damaged here{nowhere}. Nothing is given up, and reads of it fail: start the nodes that are \
             away, restore the directory of one of the group's nodes from a copy in which it is whole, or delete the records up to it"
        );
        out.log(Level::Error, text);
    }

    /// The group's log and what it means are empty from now on.
    pub(super) fn begin_anew(&mut self, out: &mut Out, id: GroupId) {
        let group = self.groups.get_mut(&id).expect("just looked at");
        let end = group.raft.log().last_mark();
        let hard_state = HardState { doubt: Some(Doubt::Tail(end)), ..group.raft.hard_state() };
        let (leader, term) = (group.raft.leader(), hard_state.term);
        let members = vec![(Index(0), group.raft.configuration().1.clone())];
        let text = format!(
            "group {id}: its log is damaged and is got anew from the other replicas; until it has entry {} of term {} again it \
             votes for no shorter log",
            end.index, end.term
        );
        out.log(Level::Warn, text);
        // Nobody here waits for a follower.
        self.step_down(out, id);
        self.forget_under_way(id);
        let log = LogView { first: Index(1), last: Index(0), terms: Vec::new() };
        let raft = Raft::new(config(&self.settings, id, members), hard_state, log, Index(0));
        let group = self.groups.get_mut(&id).expect("it is still there");
        let meaning = Meaning::new(group.meaning.kind(), &self.settings);
        let old = std::mem::replace(group, Group::new(raft, meaning));
        (group.retention, group.compaction, group.meter) = (old.retention, old.compaction, old.meter);
        (group.preferred, group.written, group.moving) = (old.preferred, old.written, old.moving);
        // Consumers that read here may find that what they wait for is gone.
        self.wake_all(out, old.watchers.into_iter().map(|(_, asker)| asker));
        self.ticking.remove(&id);
        self.compaction.forget(id);
        self.wal.restart_group(id);
        // In this order: a crash may leave the first without the second, and who has nothing is to know that it had something.
        self.write_hard_state(id, hard_state);
        self.write_anew(id);
        self.suspect_absent(out, id);
        self.note_ticks(out.now.mono, id);
        if let Some(leader) = leader {
            // Nothing may be said in this group for a long time: its leader is told what is lacking.
            let (hint, incarnation) = (Mark::default(), 0);
            let body = Body::Rejected { prev: end.index, hint, incarnation, damaged: true };
            self.outboxes.send(leader, id, Message { term, body });
        }
    }
}
