//! Members that may have forgotten what they promised.
//!
//! A vote, and an acknowledgement that a commit counted, are promises; a disk that was damaged or replaced breaks them
//! unless its member stays out of what rests on them (protocol-aware recovery: Alagappan et al., FAST 2018).
//!
//! - Damage in the log, the hard state being whole: the member knows the last entry that it may have held. It votes only
//!   for logs that have that entry, and does not stand itself, until it holds it again or what replaced it. It may get that
//!   without a leader, too: where all members have lost something, and none leads, each gets from the others what it lacks
//!   ([`crate::Input::Regained`]). What it gets so is what it had, by term and index; so its log is at each moment one that it
//!   has had before, and nothing is promised by that. Whoever has all again is as if nothing had happened.
//! - Anything else: it is not known whom it voted for, nor what it acknowledged. It takes no part in votes, and what it
//!   says counts for nothing. Its leader appends an entry after it has heard of that. Once this is committed (by others,
//!   since this member's word does not count), no candidate that it may have voted for can be elected: the quorum that
//!   holds the entry was in the leader's term after the disk was lost, and a candidate of a later term lacks the entry.
//!   Once the member holds the entry as well, it holds all that it may have acknowledged. Then it is readmitted.
//!
//! Of two voters one, of four two may be such members, and no majority of others is left. Then a quorum is, besides any majority,
//! all the others together, as long as a majority would have one of them (`quorum.rs`); of two that is the other one alone:
//!
//! - To be elected takes the vote of each of them, and that each member in doubt says, its term durable, that it is one
//!   ([`crate::Body::Abstained`]). Whoever else a majority has ever elected in that term, with votes that are forgotten now, had the
//!   vote of one of them, and that one has no second. What a majority holds, one of them holds, and it votes for no log without.
//! - To be committed an entry must be with each of them, and on a majority of the disks, those of members in doubt among them: so
//!   it is on as many as ever. Whoever is elected later has it, by a majority, since that has one of them; or by the others of then,
//!   if disks were lost anew, since of those who are readmitted by then one held it.
//! - No promise that was forgotten can do harm once the entry of above is committed: a candidate of a later term that has one is
//!   one of them, and had it before it acknowledged that entry, which it could not then; or it was itself lost with its disk.
//!
//! Where as many are in doubt as make a majority, what is committed may be with none of the others: nothing helps but what lies on
//! the lost disks.

use crate::configuration::Configuration;
use crate::message::{Body, Mark, Run};
use crate::output::{Append, Output};
use crate::raft::{HardState, Raft, Role};
use torc_base::ids::{Index, NodeId};

/// What a member may have lost. Durable, as part of [`HardState`], before the member takes part in anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Entries of the log, up to this one at most; votes and terms are known.
    Tail(Mark),
    /// Votes, terms, entries: the disk was replaced, or it is not known how far the log reached.
    All {
        /// Names this life of the disk; another in each. Not 0.
        incarnation: u64,
    },
}

impl Raft {
    /// The life of this member's disk if its word does not count, else 0.
    pub(crate) fn incarnation(&self) -> u64 {
        match self.hard_state.doubt {
            Some(Doubt::All { incarnation }) => incarnation,
            _ => 0,
        }
    }

    /// False for a member that does not know whom it has voted for.
    pub(crate) fn may_vote(&self) -> bool {
        self.incarnation() == 0
    }

    /// The last entry that may have been held here and is lost.
    pub(crate) fn lost_tail(&self) -> Mark {
        match self.hard_state.doubt {
            Some(Doubt::Tail(mark)) => mark,
            _ => Mark::default(),
        }
    }

    /// Damage is repaired when the log reaches at least as far as it may have: it then has the entry that was lost, or
    /// one of a newer term, before which all stands that is committed.
    pub(crate) fn check_repaired(&mut self, out: &mut Output) {
        let Some(Doubt::Tail(lost)) = self.hard_state.doubt else { return };
        let Some(term) = self.log.term_at(self.durable) else { return };
        if (Mark { term, index: self.durable }) >= lost {
            self.set_hard_state(HardState { doubt: None, ..self.hard_state }, out);
        }
    }

    /// Entries that this member had, and that damage took, follow `prev` again as they did. Nobody is told. Whoever leads brings
    /// them itself: then nothing is taken here, nor behind another entry, nor beyond what may have been lost.
    pub(crate) fn regained(
        &mut self,
        prev: Mark,
        run: Run,
        configurations: Vec<(Index, Configuration)>,
        out: &mut Output,
    ) {
        let end = Mark { term: run.term, index: prev.index.plus(run.entries.into()) };
        let was_had = run.entries > 0 && run.term >= prev.term && run.term <= self.term() && end <= self.lost_tail();
        let is_next = self.log.last_mark() == prev && self.role == Role::Follower && !self.has_living_leader();
        if !was_had || !is_next {
            return;
        }
        let first = self.log.append(run.term, run.entries);
        out.append = Some(Append { term: run.term, first, last: end.index, noop: false, cut: self.cut });
        self.take_configurations(first, configurations, out);
    }

    /// The leader hears from a member whether its word counts. Known lives are forgotten once it does.
    pub(crate) fn hear_doubt(&mut self, from: NodeId, incarnation: u64, out: &mut Output) {
        let last = self.log.last();
        let at = self.find(from).expect("strangers were turned away");
        let peer = &mut self.peers[at];
        if incarnation == 0 {
            peer.incarnation = 0;
            peer.barrier = Index(0);
            return;
        }
        if peer.doubted(incarnation, last) {
            self.settle_members(out);
        }
    }

    /// Readmits a member that has got the entry that shows that it forgot nothing.
    pub(crate) fn readmit(&mut self, at: usize, out: &mut Output) {
        let peer = &self.peers[at];
        let shown = peer.barrier > Index(0) && peer.barrier <= self.committed.min(peer.held);
        if peer.incarnation != 0 && shown {
            let body = Body::Readmitted { through: peer.barrier, incarnation: peer.incarnation };
            out.send_now.push((peer.id, self.message(body)));
        }
    }

    /// The leader says that this member's word counts again. Its vote in this term is the leader's: it may have given it
    /// away before it forgot.
    pub(crate) fn readmitted(&mut self, from: NodeId, through: Index, incarnation: u64, out: &mut Output) {
        if self.incarnation() == incarnation && incarnation != 0 && through <= self.durable {
            let vote = self.hard_state.vote.or(Some(from));
            self.set_hard_state(HardState { vote, doubt: None, ..self.hard_state }, out);
        }
        if self.incarnation() == 0 && self.log.term_at(through) == Some(self.term()) {
            // Entries of this term come from this leader alone, and none of an older term is behind one of them.
            self.accept(from, self.log.last(), out);
        }
    }
}
