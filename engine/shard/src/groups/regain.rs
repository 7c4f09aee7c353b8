//! The end of a log that a start has found damaged, got again without a leader.
//!
//! Of a replica that has lost single entries it is known which they are, by term and index, and what lay behind them is whole
//! (`behind.rs`). As long as somebody leads the group the leader brings all of it, as to any follower that lacks something. Where
//! nobody can lead, since all replicas have lost something, each asks the others for the entries that it has lost (`lend.rs`), and
//! its log grows by them and by what it still has behind them, until it is what it was. Then it stands for election as if nothing
//! had happened. Until then it is in doubt ([`torc_consensus::Doubt::Tail`]): it does not stand, and votes for no shorter log.
//!
//! What lies behind a lost entry is in memory, and on the disk in front of what is appended. So no checkpoint begins meanwhile,
//! unless the log has no room: after a crash a start finds all of it once more, and what has been got again behind it.

use super::behind::Behind;
use super::follow::Sent;
use super::lend::Said;
use super::{Groups, Out};
use crate::meaning::{kind, members};
use crate::stats::add;
use std::collections::BTreeMap;
use torc_base::ids::GroupId;
use torc_base::io::Level;
use torc_base::limits::{PEER_READ_BYTES, REPLICATE_ENTRIES_MAX};
use torc_base::time::Mono;
use torc_consensus::{Doubt, Input, Mark, Run};
use torc_wal::{Item, State};

/// Between two looks at whether somebody leads.
const LOOK_MS: u64 = 500;
/// Until it is told that an entry is nowhere, and from then on each time.
const TELL_MS: u64 = 10_000;
const TELL_AGAIN_MS: u64 = 60_000;

/// A group whose log is being put together again.
#[derive(Debug)]
struct Regaining {
    behind: Behind,
    /// Entries that came of others.
    got: u64,
    /// When it is told what it waits for.
    tell: Option<Mono>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Regains {
    groups: BTreeMap<GroupId, Regaining>,
    next: Mono,
    /// The log had no room: what lies behind damage is in memory alone.
    in_memory: bool,
}

impl Regains {
    /// True if the end of this group's log is to be got again.
    pub fn is_of(&self, id: GroupId) -> bool {
        self.groups.contains_key(&id)
    }

    /// An entry behind what is lost of a log, if it is whole.
    pub fn whole(&self, id: GroupId, entry: Mark) -> Option<&Item> {
        self.groups.get(&id)?.behind.get(entry)
    }

    /// Nothing of the group is to be got again.
    pub fn forget(&mut self, id: GroupId) {
        self.groups.remove(&id);
    }

    /// When it is looked at next.
    pub fn deadline(&self) -> Option<Mono> {
        (!self.groups.is_empty()).then_some(self.next)
    }
}

impl Groups {
    /// A group begins to run whose log was damaged, and had this behind what is whole of it.
    pub(super) fn begin_regaining(&mut self, id: GroupId, behind: Behind) {
        let doubt = self.groups[&id].raft.hard_state().doubt;
        if !behind.is_empty() && matches!(doubt, Some(Doubt::Tail(_))) {
            self.regains.groups.insert(id, Regaining { behind, got: 0, tell: None });
        }
    }

    /// True while a checkpoint would give up what lies behind lost entries.
    pub(super) fn is_regaining(&self) -> bool {
        !self.regains.groups.is_empty() && !self.regains.in_memory
    }

    /// Goes on with logs that are not what they were.
    pub(super) fn turn_regains(&mut self, out: &mut Out) {
        if self.regains.groups.is_empty() || self.regains.next > out.now.mono || self.fenced().is_some() {
            return;
        }
        self.regains.next = out.now.mono.plus_ms(LOOK_MS);
        if self.wal.state() == State::Full && !std::mem::replace(&mut self.regains.in_memory, true) {
            let text =
                "the log has no room: what lies behind damaged entries is kept in memory alone, until this node stops";
            out.log(Level::Warn, text.into());
        }
        for id in self.regains.groups.keys().copied().collect::<Vec<_>>() {
            while self.regain_some(out, id) {}
            self.look_at_regaining(out, id);
        }
    }

    /// Takes what is there of the next entries. False: nothing is, or it is not to be taken now.
    fn regain_some(&mut self, out: &mut Out, id: GroupId) -> bool {
        let Some(group) = self.groups.get(&id) else { return false };
        let Some(regaining) = self.regains.groups.get_mut(&id) else { return false };
        regaining.behind.settle(group.raft.log());
        let prev = regaining.behind.before();
        let items = regaining.behind.whole(REPLICATE_ENTRIES_MAX as usize, PEER_READ_BYTES);
        let bytes: usize = items.iter().map(|item| item.bytes.len()).sum();
        if items.is_empty() || group.raft.has_leader() || !self.has_room_for_sent(bytes) {
            return false;
        }
        let run = Run { term: items[0].term, entries: items.len() as u32 };
        let mut end = group.meaning.end_behind(prev.index);
        let mut configurations = Vec::new();
        for item in &items {
            let mut sound = group.meaning.check(item, end);
            if item.kind == kind::MEMBERS && sound.is_ok() {
                sound = members(item).map(|members| configurations.push((item.index, members)));
            }
            if let Err(what) = sound {
                // Whoever lent it is broken.
                self.regains.groups.get_mut(&id).expect("just seen").behind.refuse(item.index);
                let text = format!("group {id}: entry {} that another node has lent is not taken: {what}", item.index);
                self.report_damage(out, Level::Error, &text);
                return false;
            }
            end = end.behind(item);
        }
        let sent = items.into_iter().map(|item| Sent { item, gather: false }).collect();
        let group = self.groups.get_mut(&id).expect("just seen");
        let input = Input::Regained { prev, run, configurations };
        group.raft.step(input, &mut self.output).expect("only proposals are refused");
        let taken = self.output.append.is_some();
        self.carry_out_with(out, id, sent);
        taken
    }

    /// Asks for the entry that is lacking, or leaves the group alone, which has all again, or another log.
    fn look_at_regaining(&mut self, out: &mut Out, id: GroupId) {
        let (Some(regaining), Some(group)) = (self.regains.groups.get_mut(&id), self.groups.get(&id)) else {
            return self.regains.forget(id);
        };
        regaining.behind.settle(group.raft.log());
        if group.raft.hard_state().doubt.is_none() {
            let got = regaining.got;
            self.regains.forget(id);
            self.lendings.forget(id);
            if got > 0 {
                add(&self.stats.damage_repaired_total, 1);
                let text =
                    format!("group {id}: its log is what it was before it was damaged, with {got} entries from others");
                out.log(Level::Info, text);
            }
            return;
        }
        if regaining.behind.is_empty() {
            // What is still on the way to the disk may be the last of it.
            if group.raft.marks().durable == group.raft.log().last() {
                self.regains.forget(id);
                self.lendings.forget(id);
            }
            return;
        }
        let lacked = regaining.behind.lacks().filter(|_| !group.raft.has_leader());
        let Some(entry) = lacked else {
            regaining.tell = None;
            return self.lendings.forget(id);
        };
        let tell = *regaining.tell.get_or_insert(out.now.mono.plus_ms(TELL_MS));
        self.want(id, entry);
        if out.now.mono >= tell {
            self.tell_lacked(out, id, entry);
        }
    }

    /// Says what a group waits for, once all that can be reached have been asked.
    fn tell_lacked(&mut self, out: &mut Out, id: GroupId, entry: Mark) {
        let Some((_, said)) = self.lendings.said(id).filter(|(of, _)| *of == entry) else { return };
        let Mark { term, index } = entry;
        let nowhere = self.nowhere(id, said);
        let text = format!(
            "group {id} has no leader: entry {index} of term {term} is damaged here{nowhere}. It may be committed, so nothing goes on \
             without it: start the nodes that are away, restore the directory of one of the group's nodes from a copy in which it is \
             whole, or delete the topic"
        );
        out.log(Level::Error, text);
        if let Some(regaining) = self.regains.groups.get_mut(&id) {
            regaining.tell = Some(out.now.mono.plus_ms(TELL_AGAIN_MS));
        }
    }

    /// A lost entry has come. It is taken in the turn that follows.
    pub(super) fn regain_lent(&mut self, id: GroupId, item: Item) -> Result<(), Said> {
        let Some(regaining) = self.regains.groups.get_mut(&id) else { return Ok(()) };
        (regaining.got, regaining.tell) = (regaining.got + 1, None);
        regaining.behind.give(item);
        self.regains.next = Mono(0);
        Ok(())
    }
}
