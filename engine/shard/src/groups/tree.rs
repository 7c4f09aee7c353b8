//! The tree's group: its transactions get their places in the log here.

use super::{Groups, Notice, Out};
use crate::group::Group;
use crate::meaning::{Meaning, TreeLog, encode_entry, ends_term, kind, zxid_of};
use crate::refusal::Refusal;
use torc_base::ids::{GroupId, Index, NodeId, SessionId, Term};
use torc_consensus::{Configuration, Input};
use torc_state::tree::{Body, Txn};

/// Bytes of a transaction's entry besides what it does, at most.
const TXN_HEAD_BYTES: usize = 128;

/// Who asked for a transaction.
#[derive(Clone, Copy, Debug)]
pub struct TxnHead {
    /// The number of the request; 0: of none.
    pub number: u64,
    pub session: SessionId,
    /// What the client counts its requests by.
    pub cxid: i32,
}

impl Groups {
    /// True if this node has the tree.
    pub fn has_tree(&self) -> bool {
        self.groups.contains_key(&GroupId::TREE)
    }

    /// The tree. Only the shard that has it may ask.
    pub fn tree(&self) -> &TreeLog {
        match &self.groups.get(&GroupId::TREE).expect("asked of the tree's owner").meaning {
            Meaning::Tree(tree) => tree,
            _ => unreachable!("the tree's group has the tree's log"),
        }
    }

    /// The same, to change it.
    pub fn tree_mut(&mut self) -> &mut TreeLog {
        match &mut self.groups.get_mut(&GroupId::TREE).expect("asked of the tree's owner").meaning {
            Meaning::Tree(tree) => tree,
            _ => unreachable!("the tree's group has the tree's log"),
        }
    }

    /// True if this node leads the tree's group, and has applied all that was committed.
    pub fn leads_tree(&self) -> bool {
        let applied = |group: &Group| match &group.meaning {
            Meaning::Tree(tree) => tree.state().applied() == group.raft.marks().applied,
            _ => false,
        };
        self.groups.get(&GroupId::TREE).is_some_and(|group| group.leads() && applied(group))
    }

    /// True if this node leads the tree's group, or will as soon as its term has begun.
    pub fn is_to_lead_tree(&self) -> bool {
        self.groups.get(&GroupId::TREE).is_some_and(|group| group.raft.is_leader())
    }

    /// The term of the tree's group.
    pub fn tree_term(&self) -> Term {
        self.groups.get(&GroupId::TREE).map_or(Term(0), |group| group.raft.term())
    }

    /// The term of the catalog's group: the controller's epoch.
    pub fn catalog_term(&self) -> Term {
        self.groups.get(&GroupId::CATALOG).map_or(Term(0), |group| group.raft.term())
    }

    /// The last entry of the tree's log, be it committed or not.
    pub fn tree_end(&self) -> Index {
        self.groups.get(&GroupId::TREE).map_or(Index(0), |group| group.raft.marks().written)
    }

    /// How many nodes the tree's group has besides this one.
    pub fn tree_others(&self) -> usize {
        let peers = self.groups.get(&GroupId::TREE).map_or(&[][..], |group| group.raft.peers());
        peers.iter().filter(|peer| peer.id != self.settings.node).count()
    }

    /// True while the log has room for so many bytes of what clients ask for.
    pub fn admits_txn(&self, bytes: usize) -> bool {
        self.deferred.is_empty() && self.wal.admits(bytes)
    }

    /// Bytes that what a transaction does may take, for the log to take it.
    pub fn txn_bytes_max(&self) -> usize {
        self.entry_bytes_max(GroupId::TREE) - TXN_HEAD_BYTES
    }

    /// Puts a transaction into the tree's log; its entry. `grows`: it takes memory and disk, of which there may be none.
    pub fn propose_txn(&mut self, out: &mut Out, head: TxnHead, body: Body, grows: bool) -> Result<Index, Refusal> {
        if self.fenced().is_some() || grows && self.refuses_records() {
            return Err(Refusal::Storage);
        }
        let group = self.groups.get(&GroupId::TREE).filter(|group| group.leads()).ok_or(Refusal::NotLeader)?;
        let (term, index) = (group.raft.term(), group.raft.marks().written.next());
        if ends_term(index) {
            // Zxids go on in another term.
            self.step(out, GroupId::TREE, Input::Resign);
            self.step(out, GroupId::TREE, Input::Campaign);
            return Err(Refusal::NotLeader);
        }
        let drafted = self.tree().state().drafted();
        if drafted.is_some_and(|(_, is_whole)| !is_whole) {
            // Nothing comes between what a draft has seen and itself: this may be asked again.
            return Err(Refusal::NotLeader);
        }
        let time = drafted.map_or(out.now.wall, |(time, _)| time);
        let TxnHead { number, session, cxid } = head;
        let txn = Txn { session, cxid, zxid: zxid_of(term, index), time, body };
        let mut payload = std::mem::take(&mut self.txn_bytes);
        payload.clear();
        encode_entry(number, &txn, &mut payload);
        let result = if payload.len() > self.entry_bytes_max(GroupId::TREE) {
            Err(Refusal::TooLarge)
        } else {
            self.propose_internal_with(out, GroupId::TREE, kind::TXN, &payload, |meaning, at| {
                assert_eq!(at, index, "consensus gives the next place");
                match meaning {
                    Meaning::Tree(tree) => tree.append(at, number, txn),
                    _ => unreachable!("the tree's group has the tree's log"),
                }
            })
        };
        self.txn_bytes = payload;
        result
    }

    /// True while a transaction is applied over several turns.
    pub fn is_applying_tree(&self) -> bool {
        self.has_tree() && self.tree().state().applying() > 0
    }

    /// Applies what is committed without telling anybody: this node has the tree and no clients of it.
    pub fn apply_tree_quietly(&mut self, through: Index) {
        if self.has_tree() {
            let mut outcomes = Vec::new();
            while self.tree_mut().apply_next(through, &mut outcomes, &mut |_| {}).is_some() {}
        }
    }

    /// Has the tree's group the members that the catalog's has, by one step. Called by whoever leads it, now and then.
    pub fn seat_tree(&mut self, out: &mut Out) {
        if !self.leads(GroupId::TREE) || !self.has_catalog() {
            return;
        }
        let seats = |configuration: &Configuration, votes: bool| {
            let members = configuration.members().iter().filter(|member| member.seat.votes() == votes);
            members.map(|member| member.id).collect::<Vec<NodeId>>()
        };
        let (_, wanted) = self.members(GroupId::CATALOG);
        let (_, present) = self.members(GroupId::TREE);
        if wanted.is_joint() || present.is_joint() {
            return;
        }
        let (all, before) = (seats(wanted, true), (seats(present, true), seats(present, false)));
        let (mut voters, mut learners) = (Vec::new(), seats(wanted, false));
        for node in all {
            let may_vote = before.0.contains(&node) || self.has_caught_up(GroupId::TREE, node);
            if may_vote { voters.push(node) } else { learners.push(node) }
        }
        learners.sort_unstable();
        if !voters.is_empty() && (&voters, &learners) != (&before.0, &before.1) {
            // What stands in its way passes, and it is asked for again.
            let _ = self.reconfigure(out, GroupId::TREE, &voters, &learners);
        }
    }

    /// More of the tree's log is committed.
    pub(super) fn tree_committed(&mut self, out: &mut Out, through: Index) {
        out.notices.push_back(Notice::TreeCommitted(through));
    }
}
