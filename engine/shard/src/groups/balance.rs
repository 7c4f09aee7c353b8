//! Where leaders are to be: with the first replica of their partition, when that is in sync, and nowhere on a node that
//! stops.

use super::replicas::find;
use super::{Groups, Out};
use crate::group::Group;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::{GroupId, NodeId};
use torc_base::time::Mono;
use torc_consensus::{Input, Raft};

/// How long a node is there before it is given what it is to lead, and between two looks at what it has not got.
const SETTLE_MS: u64 = 5_000;
/// Groups that are handed over at once, and the rest before the next ones: their clients notice it.
const AT_ONCE: usize = 64;
const REST_MS: u64 = 100;
/// How long a node that stops waits for others to lead what it led.
const HAND_OVER_MS: u64 = 1_000;

/// What is to be led elsewhere.
#[derive(Debug, Default)]
pub(super) struct Balance {
    /// When leaders are looked at next.
    due: Option<Mono>,
    /// Since when other nodes are there.
    came: BTreeMap<NodeId, Mono>,
    /// The node stops: what it still leads, and until when it waits.
    leaving: BTreeSet<GroupId>,
    until: Mono,
}

impl Balance {
    /// This node leads the group no longer.
    pub fn left(&mut self, id: GroupId) {
        self.leaving.remove(&id);
    }
}

/// True if the node votes, can be reached and has all that is committed.
fn may_lead(raft: &Raft, node: NodeId) -> bool {
    let committed = raft.marks().committed;
    find(raft, node).is_some_and(|peer| peer.seat.votes_after() && !peer.suspected && peer.matched >= committed)
}

impl Groups {
    /// The replica that is to lead the group.
    pub fn prefer(&mut self, now: Mono, id: GroupId, node: NodeId) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let before = group.preferred.replace(node);
        if before.is_some_and(|before| before != node) && group.leads() && node != self.settings.node {
            self.balance_soon(now);
        }
    }

    /// A node has come.
    pub(super) fn node_came(&mut self, now: Mono, node: NodeId) {
        self.balance.came.insert(node, now);
        self.balance_soon(now);
    }

    /// Leaders may be where they need not be: they are looked at before long.
    pub(super) fn balance_soon(&mut self, now: Mono) {
        if !self.settings.is_alone() {
            self.balance.due.get_or_insert(now.plus_ms(SETTLE_MS));
        }
    }

    /// Hands over what the first replica is to lead, some at a time.
    pub(super) fn turn_balance(&mut self, out: &mut Out) {
        if self.balance.due.is_none_or(|at| out.now.mono < at) {
            return;
        }
        self.balance.due = None;
        let (mut given, mut waits, own) = (0, None, self.settings.node);
        for id in self.ids() {
            let group = &self.groups[&id];
            let Some(to) = group.preferred.filter(|to| *to != own && group.leads()) else { continue };
            // One that is not there says so when it comes.
            if find(&group.raft, to).is_none_or(|peer| peer.suspected) {
                continue;
            }
            let settled = self.balance.came.get(&to).map_or(out.now.mono, |came| came.plus_ms(SETTLE_MS));
            if settled > out.now.mono {
                waits = Some(waits.map_or(settled, |at: Mono| at.min(settled)));
                continue;
            }
            if given == AT_ONCE {
                waits = Some(out.now.mono.plus_ms(REST_MS));
                break;
            }
            if may_lead(&group.raft, to) && self.transfer(out, id, to) {
                given += 1;
            }
            // If nothing comes of it.
            let again = out.now.mono.plus_ms(SETTLE_MS);
            waits = Some(waits.map_or(again, |at| at.min(again)));
        }
        self.balance.due = waits;
    }

    /// Members of a group that is led here whose nodes cannot be reached.
    pub fn unreached(&self, id: GroupId) -> impl Iterator<Item = NodeId> {
        let led = self.groups.get(&id).filter(|group| group.leads());
        let peers = led.into_iter().flat_map(|group| group.raft.peers());
        peers.filter(|peer| peer.suspected && peer.id != self.settings.node).map(|peer| peer.id)
    }

    /// Hands a group over to the first of these that may lead it. False: none may.
    pub fn hand_to_first(&mut self, out: &mut Out, id: GroupId, of: &[NodeId]) -> bool {
        of.iter().any(|to| self.hand_to(out, id, *to))
    }

    /// Hands a group over at once, if that node may lead it. False: it may not.
    pub(super) fn hand_to(&mut self, out: &mut Out, id: GroupId, to: NodeId) -> bool {
        self.groups.get(&id).is_some_and(|group| may_lead(&group.raft, to)) && self.transfer(out, id, to)
    }

    /// True if leadership is being handed over.
    pub(super) fn transfer(&mut self, out: &mut Out, id: GroupId, to: NodeId) -> bool {
        let Some(group) = self.groups.get_mut(&id) else { return false };
        let begun = group.raft.step(Input::Transfer { to }, &mut self.output).is_ok();
        self.carry_out(out, id);
        begun
    }

    /// Hands a group over to whichever replica lacks least, if another one may lead it.
    pub fn move_away(&mut self, out: &mut Out, id: GroupId) {
        let best = self.groups.get(&id).and_then(|group| self.most_able(group));
        if let Some(to) = best {
            self.transfer(out, id, to);
        }
    }

    /// Of the others the one that lacks least of a group that is led here.
    fn most_able(&self, group: &Group) -> Option<NodeId> {
        let others = group.raft.peers().iter().filter(|peer| peer.id != self.settings.node);
        let able = others.filter(|peer| group.leads() && may_lead(&group.raft, peer.id));
        able.max_by_key(|peer| (peer.matched, group.preferred == Some(peer.id))).map(|peer| peer.id)
    }

    /// This node stops: what it leads goes to whichever replica lacks least.
    pub fn hand_over(&mut self, out: &mut Out) {
        self.balance.due = None;
        self.balance.until = out.now.mono.plus_ms(HAND_OVER_MS);
        for id in self.ids() {
            if let Some(to) = self.most_able(&self.groups[&id])
                && self.transfer(out, id, to)
            {
                self.balance.leaving.insert(id);
            }
        }
    }

    /// True when others lead what this node has handed over, or have not come to it in time.
    pub fn is_handed_over(&self, now: Mono) -> bool {
        self.balance.leaving.is_empty() || now >= self.balance.until
    }

    /// When leaders are looked at next.
    pub(super) fn balance_deadline(&self) -> Option<Mono> {
        let leaving = (!self.balance.leaving.is_empty()).then_some(self.balance.until);
        leaving.into_iter().chain(self.balance.due).min()
    }
}
