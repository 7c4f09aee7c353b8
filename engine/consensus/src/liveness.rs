//! Time and silence: who must be asked, who is given up, and when to campaign.
//!
//! What is known of nodes comes from outside. Ticks are for what is open in the group itself: a poll, entries that were
//! not acknowledged, a question whether the leader still leads. While there is nothing of the kind no tick is needed.

use crate::message::Body;
use crate::output::Output;
use crate::progress::{Flow, Peer};
use crate::quorum::{Ballot, Tally, poll};
use crate::raft::{Raft, Role};
use torc_base::ids::NodeId;
use torc_base::prng::Prng;

impl Raft {
    /// False while ticks would do nothing: the group is idle and its nodes are there, or nobody else is to be heard or
    /// spoken to.
    pub fn needs_ticks(&self) -> bool {
        match self.role {
            Role::Leader => {
                let behind = |peer: &Peer| peer.id != self.id && !peer.is_settled(self.log.last(), self.committed);
                self.peers.iter().any(behind) || self.transfer.is_some() || self.reads.is_open() || !self.sees_quorum()
            }
            _ if self.peers.len() == 1 && self.peers[0].id == self.id => false,
            Role::PreCandidate | Role::Candidate => true,
            Role::Follower => !self.has_living_leader() && self.may_campaign(),
        }
    }

    pub(crate) fn tick(&mut self, out: &mut Output) {
        if !self.needs_ticks() {
            return;
        }
        self.elapsed = self.elapsed.saturating_add(1);
        if self.role != Role::Leader {
            if self.elapsed >= self.timeout {
                self.campaign(out);
            }
            return;
        }
        self.tick_transfer();
        for at in 0..self.peers.len() {
            if let Flow::Paused { ticks } = &mut self.peers[at].flow {
                *ticks = ticks.saturating_sub(1);
                if *ticks == 0 {
                    self.probe(at, out);
                }
            }
        }
        if self.elapsed >= self.heartbeat_ticks {
            self.elapsed = 0;
            self.heartbeat(out);
            if !self.hears_quorum() {
                self.resign(out);
            }
        }
    }

    /// Asks those from whom an answer is missing. Those that are suspected are not asked, and missed all the same.
    fn heartbeat(&mut self, out: &mut Output) {
        for at in 0..self.peers.len() {
            let peer = &self.peers[at];
            let asked = self.reads.is_open() && peer.seat.votes();
            let open = !peer.is_settled(self.log.last(), self.committed) && !matches!(peer.flow, Flow::Paused { .. });
            let suspected = peer.suspected;
            if peer.id == self.id || !(open || asked || suspected) {
                continue;
            }
            self.peers[at].missed = self.peers[at].missed.saturating_add(1);
            if !suspected {
                self.send_heartbeat(at, out);
            }
        }
    }

    pub(crate) fn send_heartbeat(&mut self, at: usize, out: &mut Output) {
        let round = self.reads.round();
        let peer = &mut self.peers[at];
        let committed = self.committed.min(peer.held);
        peer.told = peer.told.max(committed);
        let id = peer.id;
        out.send_now.push((id, self.message(Body::Heartbeat { committed, round })));
    }

    /// False if so many nodes are suspected that it must be found out whether a quorum still answers.
    fn sees_quorum(&self) -> bool {
        self.is_quorum(|peer| !peer.suspected)
    }

    /// Check-quorum: a leader that a quorum does not answer for an election timeout cannot commit, and others may lead
    /// already.
    fn hears_quorum(&self) -> bool {
        let limit = self.election_ticks / self.heartbeat_ticks;
        self.is_quorum(|peer| peer.missed <= limit)
    }

    /// True if a quorum, this leader among them, is as it is asked to be.
    fn is_quorum(&self, is_so: impl Fn(&Peer) -> bool) -> bool {
        let ballot = |peer: &Peer| if peer.id == self.id { Ballot::Yes } else { peer.ballot_if(is_so(peer)) };
        poll(self.peers.iter().map(|peer| (peer.seat, Some(ballot(peer))))) == Tally::Won
    }

    pub(crate) fn suspect(&mut self, node: NodeId) {
        if self.leader == Some(node) && self.role == Role::Follower && !self.leader_suspected {
            self.leader_suspected = true;
            self.await_turn();
        }
        let Some(at) = self.find(node).filter(|_| node != self.id) else { return };
        let peer = &mut self.peers[at];
        peer.suspected = true;
        peer.probe_from(peer.held.next(), true);
    }

    /// Whether the leader of a node that is back still leads is not known before it is heard.
    pub(crate) fn alive(&mut self, node: NodeId, out: &mut Output) {
        let Some(at) = self.find(node) else { return };
        self.peers[at].suspected = false;
        if self.leads_to(node).is_some() {
            self.probe(at, out);
        }
    }

    /// A voter that asks for a leader has lost this one: it hears of it at once, and is sent what it lacks.
    pub(crate) fn reassure(&mut self, from: NodeId, out: &mut Output) {
        let Some(at) = self.leads_to(from) else { return };
        self.send_heartbeat(at, out);
    }

    /// The sender no longer leads this term. If it did, its followers wait for another.
    pub(crate) fn leader_resigned(&mut self, from: NodeId) {
        if self.leader == Some(from) && self.role == Role::Follower {
            self.leader = None;
            self.await_turn();
        }
    }

    /// Leads no longer, and says so, since nobody would notice while this node lives.
    pub(crate) fn resign(&mut self, out: &mut Output) {
        if self.role != Role::Leader {
            return;
        }
        for peer in &self.peers {
            if peer.id != self.id {
                out.send_now.push((peer.id, self.message(Body::Resigned)));
            }
        }
        self.follow(self.term(), None, out);
    }

    /// Starts the silence anew, with another timeout, so that members do not campaign in step.
    pub(crate) fn restart_timeout(&mut self) {
        self.elapsed = 0;
        let extra = self.chance(u64::from(self.election_ticks));
        self.timeout = self.election_ticks + extra as u16;
    }

    /// Campaigns within one election timeout, the leader being gone: its detection took long enough. Each voter has its
    /// own part of the time, another in each group, so that they neither compete nor all groups elect at once.
    fn await_turn(&mut self) {
        self.elapsed = 0;
        let voters = self.peers.iter().filter(|peer| peer.seat.votes()).count().max(1) as u64;
        let before = self.peers.iter().filter(|peer| peer.seat.votes() && peer.id < self.id).count() as u64;
        let turn = (before + Prng::new(self.seed).below(voters)) % voters;
        let part = (u64::from(self.election_ticks) / voters).max(1);
        self.timeout = (1 + turn * part + self.chance(part)) as u16;
    }

    fn chance(&self, bound: u64) -> u64 {
        let salt = (u64::from(self.id.0) << 32) ^ self.hard_state.term.0.rotate_left(17) ^ u64::from(self.timeout);
        Prng::new(self.seed ^ salt).below(bound)
    }
}
