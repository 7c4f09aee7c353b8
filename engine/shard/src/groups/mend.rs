//! Damage that a read finds in a replica that runs: it gets the partition's log anew from the others.
//!
//! A leader first hands over to a replica that has everything; a follower, once it hears a leader, drops what it has and begins
//! without entries, in doubt up to where its log had reached: it votes for no log that is shorter, and does not stand, until it
//! holds that much again. Terms and votes are whole. While there is nobody to get it from, all stays as it is, and what can be
//! read is served.
//!
//! Of the catalog and the tree the state is whole, whatever became of the log that made it: a checkpoint is made that has it, and
//! the log in front of that goes, for whomever it is kept. Who lacks something of it gets the state.

use super::catalog_start::is_sent_whole;
use super::recover::config;
use super::{Groups, Out};
use crate::group::Group;
use crate::meaning::Meaning;
use crate::stats::add;
use std::collections::BTreeSet;
use torc_base::ids::{GroupId, Index, NodeId};
use torc_base::io::Level;
use torc_base::time::Mono;
use torc_consensus::{Body, Doubt, HardState, LogView, Mark, Message, Raft};
use torc_wal::WalError;

/// Between two attempts.
const AGAIN_MS: u64 = 1_000;
/// Logs that are got anew at a time: others are still whole in parts, and serve.
const AT_ONCE: usize = 1;

/// Groups with damage.
#[derive(Debug, Default)]
pub(super) struct Mends {
    /// Something of these cannot be read.
    damaged: BTreeSet<GroupId>,
    /// These have begun anew and do not yet have all again.
    under_way: BTreeSet<GroupId>,
    /// The logs of these go with the next checkpoint.
    released: BTreeSet<GroupId>,
    next: Mono,
}

/// What can be done about a damaged group.
enum Way {
    /// Nothing: it is not here, or nowhere else.
    None,
    /// Nothing yet.
    Wait,
    /// Somebody else shall lead it.
    HandOver(NodeId),
    /// It begins anew.
    Anew,
    /// Its log goes with the next checkpoint, which has its state.
    Release,
}

impl Mends {
    fn knows(&self, id: GroupId) -> bool {
        [&self.damaged, &self.under_way, &self.released].iter().any(|groups| groups.contains(&id))
    }

    /// True if a checkpoint is wanted, so that a damaged log is needed no longer.
    pub fn want_checkpoint(&self) -> bool {
        !self.released.is_empty()
    }

    /// True if the group's log is to go with the next checkpoint.
    pub fn release(&self, id: GroupId) -> bool {
        self.released.contains(&id)
    }
}

impl Groups {
    /// A read of the group's log has failed.
    pub(super) fn note_damage(&mut self, id: GroupId, error: &WalError) {
        if !matches!(error, WalError::Corrupt(_)) || self.mends.knows(id) {
            return;
        }
        add(&self.stats.damage_found_total, 1);
        if !self.settings.is_alone() {
            self.mends.damaged.insert(id);
            self.mends.next = Mono(0);
        }
    }

    /// When damage is looked at next.
    pub(super) fn mend_deadline(&self) -> Option<Mono> {
        let mends = &self.mends;
        (!mends.damaged.is_empty() || !mends.under_way.is_empty()).then_some(mends.next)
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
        for id in self.mends.damaged.clone() {
            match self.way(id) {
                Way::None => {
                    self.mends.damaged.remove(&id);
                }
                Way::HandOver(to) => {
                    self.transfer(out, id, to);
                }
                Way::Anew if self.mends.under_way.len() < AT_ONCE => {
                    self.mends.damaged.remove(&id);
                    self.mends.under_way.insert(id);
                    self.begin_anew(out, id);
                }
                Way::Release => {
                    self.mends.damaged.remove(&id);
                    self.mends.released.insert(id);
                }
                Way::Anew | Way::Wait => {}
            }
        }
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

    fn way(&self, id: GroupId) -> Way {
        let Some(group) = self.groups.get(&id) else { return Way::None };
        let is_whole = is_sent_whole(id);
        if is_whole && self.may_go_whole(id) {
            return Way::Release;
        }
        let (raft, own) = (&group.raft, self.settings.node);
        let others = || raft.peers().iter().filter(|peer| peer.id != own && peer.seat.votes_after());
        if others().next().is_none() {
            return Way::None;
        }
        if raft.is_leader() {
            let written = raft.marks().written;
            let best = others().filter(|peer| peer.follows()).max_by_key(|peer| peer.matched);
            // Who lacks something may lack what is damaged here.
            let whole = best.filter(|peer| group.leads() && peer.matched >= written);
            return whole.map_or(Way::Wait, |peer| Way::HandOver(peer.id));
        }
        if is_whole {
            // Nobody reads it here.
            return Way::None;
        }
        let hears = raft.leader().and_then(|leader| raft.peers().iter().find(|peer| peer.id == leader));
        // What compaction has handed over would find another log.
        if self.compaction.begun {
            return Way::Wait;
        }
        let settled = raft.configurations().len() == 1 && raft.hard_state().doubt.is_none();
        if hears.is_some_and(|leader| !leader.suspected) && settled { Way::Anew } else { Way::Wait }
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
        (group.preferred, group.written) = (old.preferred, old.written);
        self.ticking.remove(&id);
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
