//! A damaged log whose last whole entry another leader replaces, by an older one: what the member had lost comes back to it as it was, but
//! its log is another one by then. Schedules that know nothing of this hardly ever come by it, so its steps are played in their order;
//! what each of them meets is by chance, and any of them may come to nothing.

use super::Storm;
use torc_base::ids::{Index, NodeId};
use torc_consensus::{Body, Input};

/// Messages of one step at most, so that it ends.
const MESSAGES: usize = 60;

impl Storm {
    /// See the module.
    pub(super) fn usurp(&mut self) {
        let old = self.leader();
        let mut others: Vec<NodeId> = (1..=self.nodes as u32).map(NodeId).filter(|id| *id != old).collect();
        if !self.cluster.members[&old].raft.is_leader() || others.len() < 2 || !self.votes_are_known() {
            return;
        }
        let damaged = others.remove(self.prng.below(others.len() as u64) as usize);
        let new = others[self.prng.below(others.len() as u64) as usize];
        let later = std::mem::replace(&mut self.cluster.reads_later, true);
        self.cluster.cut.clear();
        // Nobody but the old leader has what comes now.
        let entries = self.prng.between(1, 3) as u32;
        self.input(old, Input::Propose { entries });
        self.cluster.flush(old, usize::MAX, true);
        self.forget_messages();
        let begins = self.lead(new, damaged, old);
        if let Some(first) = begins {
            self.take_back_later(new, damaged, first);
            self.lead(old, new, damaged);
            self.replace(old, damaged, first);
        }
        self.cluster.reads_later = later;
    }

    /// One is elected by the vote of another one, if a third is not heard: the first entry of its term, which is not on its disk.
    fn lead(&mut self, id: NodeId, voter: NodeId, away: NodeId) -> Option<Index> {
        for other in [away, voter] {
            self.input(id, Input::Suspected(other));
        }
        self.input(id, Input::Alive(voter));
        self.input(voter, Input::Suspected(away));
        for _ in 0..4 {
            self.input(id, Input::Campaign);
            for _ in 0..8 {
                if self.talk(id, voter, |storm| storm.cluster.members[&id].raft.is_leader()) {
                    return Some(self.cluster.members[&id].raft.log().last());
                }
                [id, voter].into_iter().for_each(|id| drop(self.cluster.flush(id, usize::MAX, true)));
            }
        }
        None
    }

    /// The voter gets what the leader appends, which never comes to the leader's disk, and loses the end of it.
    fn take_back_later(&mut self, leader: NodeId, voter: NodeId, first: Index) {
        let entries = self.prng.between(1, 3) as u32;
        self.input(leader, Input::Propose { entries });
        for _ in 0..4 {
            self.offer(leader, voter, u64::MAX);
            self.talk(leader, voter, |_| false);
            self.cluster.flush(voter, usize::MAX, true);
        }
        self.reads.retain(|read| ![leader, voter].contains(&read.0));
        self.cluster.restart(leader, 0);
        let behind = first.get().saturating_sub(self.cluster.members[&voter].disk.base.index.get());
        let kept = behind.min(self.cluster.members[&voter].disk.entries.len() as u64) as usize;
        self.cluster.damage(voter, kept);
        self.forget_messages();
    }

    /// An old leader leads again, and brings its own entries to a member one by one, until one of them has taken the place of the first
    /// that the member had of the other leader; then that is heard no more.
    fn replace(&mut self, leader: NodeId, id: NodeId, first: Index) {
        let had = self.cluster.members[&id].raft.log().term_at(first);
        self.input(leader, Input::Alive(id));
        for _ in 0..12 {
            self.offer(leader, id, 1);
            if self.talk(leader, id, |storm| storm.cluster.members[&id].raft.log().term_at(first) != had) {
                break;
            }
            if self.prng.chance(1, 2) {
                self.cluster.flush(id, usize::MAX, true);
            }
        }
        self.input(id, Input::Suspected(leader));
        let most = self.prng.between(1, 4);
        self.cluster.regain(id, most);
        self.forget_messages();
    }

    /// Messages between the two arrive, in order, until that is so.
    fn talk(&mut self, a: NodeId, b: NodeId, enough: impl Fn(&Storm) -> bool) -> bool {
        for _ in 0..MESSAGES {
            if enough(self) {
                return true;
            }
            let between = |(from, to): (NodeId, NodeId)| (from, to) == (a, b) || (from, to) == (b, a);
            let next = self.cluster.network.iter().position(|envelope| between((envelope.from, envelope.to)));
            let Some(at) = next else { return false };
            let to = self.cluster.network[at].to;
            let (_, outs) = self.cluster.deliver(at);
            self.look_at_reads(to, &outs);
        }
        enough(self)
    }

    /// What one was offered by the other leaves, so many entries of it at most.
    fn offer(&mut self, from: NodeId, to: NodeId, most: u64) {
        let is_it = |offer: &(NodeId, NodeId, torc_consensus::Message)| (offer.0, offer.1) == (from, to);
        if let Some(at) = self.cluster.offers.iter().position(is_it) {
            self.cluster.carry_offer(at, most);
        }
    }

    /// What is under way never arrives, but for what is offered.
    fn forget_messages(&mut self) {
        self.cluster.network.retain(|envelope| matches!(envelope.message.body, Body::Resigned));
    }
}
