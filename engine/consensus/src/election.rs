//! Who leads: pre-vote, vote, and the term rules that every message goes through first.

use crate::message::{Body, Mark, Message};
use crate::output::Output;
use crate::quorum::{Tally, tally};
use crate::raft::{HardState, Raft, Role};
use torc_base::ids::{NodeId, Term};

impl Raft {
    pub(crate) fn receive(&mut self, from: NodeId, message: Message, out: &mut Output) {
        if from == self.id || self.find(from).is_none() {
            return;
        }
        let Message { term, body } = message;
        // A pre-vote and its grant name a term that nobody has begun.
        let hypothetical = matches!(body, Body::PreVote { .. } | Body::PreVoteReply { granted: true });
        if term > self.term() && !hypothetical {
            let leader = body.is_from_leader().then_some(from);
            self.follow(term, leader, out);
        }
        if term < self.term() {
            self.answer_stale(from, &body, out);
            return;
        }
        match body {
            Body::PreVote { last } => self.answer_pre_vote(from, term, last, out),
            Body::PreVoteReply { granted } => {
                let asked = if granted { self.term().next() } else { self.term() };
                if self.role == Role::PreCandidate && term == asked {
                    self.count_ballot(from, granted, out);
                }
            }
            Body::RequestVote { last } => self.answer_vote(from, last, out),
            Body::VoteReply { granted } => {
                if self.role == Role::Candidate {
                    self.count_ballot(from, granted, out);
                }
            }
            Body::Append { prev, runs, committed } => {
                self.hear_leader(from, out);
                self.receive_append(from, prev, &runs, committed, out);
            }
            Body::Heartbeat { committed } => {
                self.hear_leader(from, out);
                self.receive_heartbeat(from, committed, out);
            }
            Body::Accepted { through } => self.receive_accepted(from, through, out),
            Body::Rejected { prev, hint } => self.receive_rejected(from, prev, hint, out),
            Body::HeartbeatReply => self.receive_heartbeat_reply(from, out),
        }
    }

    /// Tells the sender of an old term's request that its time is over. Old answers are dropped.
    fn answer_stale(&mut self, from: NodeId, body: &Body, out: &mut Output) {
        let answer = match body {
            Body::PreVote { .. } => Body::PreVoteReply { granted: false },
            Body::RequestVote { .. } => Body::VoteReply { granted: false },
            Body::Append { .. } | Body::Heartbeat { .. } => Body::HeartbeatReply,
            _ => return,
        };
        out.send_now.push((from, self.message(answer)));
    }

    /// Becomes a follower in `term`, which is not older than the current one.
    fn follow(&mut self, term: Term, leader: Option<NodeId>, out: &mut Output) {
        assert!(term >= self.term(), "a step back to term {term}");
        if term > self.term() {
            self.set_hard_state(HardState { term, vote: None }, out);
        }
        self.leader = leader;
        self.set_role(Role::Follower, out);
        self.restart_timeout();
    }

    /// The leader of the current term has spoken.
    fn hear_leader(&mut self, from: NodeId, out: &mut Output) {
        assert_ne!(self.role, Role::Leader, "node {from} leads term {} too", self.term());
        if self.role != Role::Follower {
            self.follow(self.term(), Some(from), out);
        }
        self.leader = Some(from);
        self.elapsed = 0;
    }

    fn set_hard_state(&mut self, hard_state: HardState, out: &mut Output) {
        self.hard_state = hard_state;
        out.hard_state = Some(hard_state);
    }

    /// Asks whether an election would be won; a node that was cut off does not disturb a working group.
    pub(crate) fn campaign(&mut self, out: &mut Output) {
        if self.role == Role::Leader {
            return;
        }
        self.leader = None;
        self.set_role(Role::PreCandidate, out);
        self.open_poll();
        let question = Message { term: self.term().next(), body: Body::PreVote { last: self.log.last_mark() } };
        for peer in self.others() {
            out.send_now.push((peer, question.clone()));
        }
        self.count_ballot(self.id, true, out);
    }

    /// Asks for votes in the next term. The own vote counts when it is durable, and the requests leave no earlier:
    /// they claim a term and a log that a crash must not take back.
    fn stand(&mut self, out: &mut Output) {
        self.set_hard_state(HardState { term: self.term().next(), vote: Some(self.id) }, out);
        self.set_role(Role::Candidate, out);
        self.open_poll();
        let request = self.message(Body::RequestVote { last: self.log.last_mark() });
        for peer in self.others() {
            out.send_when_durable.push((peer, request.clone()));
        }
    }

    fn open_poll(&mut self) {
        for peer in &mut self.peers {
            peer.ballot = None;
        }
        self.restart_timeout();
    }

    pub(crate) fn hard_state_durable(&mut self, hard_state: HardState, out: &mut Output) {
        if self.role == Role::Candidate && hard_state == self.hard_state {
            self.count_ballot(self.id, true, out);
        }
    }

    /// Counts an answer in the current poll; the first answer of a member stands.
    fn count_ballot(&mut self, from: NodeId, granted: bool, out: &mut Output) {
        let at = self.find(from).expect("strangers were turned away");
        self.peers[at].ballot.get_or_insert(granted);
        match tally(self.peers.iter().map(|peer| peer.ballot)) {
            Tally::Won if self.role == Role::PreCandidate => self.stand(out),
            Tally::Won => self.lead(out),
            Tally::Lost => self.follow(self.term(), None, out),
            Tally::Open => {}
        }
    }

    fn lead(&mut self, out: &mut Output) {
        assert_eq!(self.role, Role::Candidate, "only a candidate becomes the leader");
        self.set_role(Role::Leader, out);
        self.leader = Some(self.id);
        self.elapsed = 0;
        for peer in &mut self.peers {
            peer.reset(self.log.last());
        }
        // Entries of older terms commit only together with one of this term.
        self.append(1, true, out);
    }

    /// True if a log that ends at `last` holds all that may be committed here.
    fn is_up_to_date(&self, last: Mark) -> bool {
        last >= self.log.last_mark()
    }

    /// A pre-vote is refused while a leader is heard: whoever asks is the one who lost it.
    fn answer_pre_vote(&mut self, from: NodeId, term: Term, last: Mark, out: &mut Output) {
        let leader_lives = self.role == Role::Leader || (self.leader.is_some() && self.elapsed < self.election_ticks);
        let granted = term > self.term() && !leader_lives && self.is_up_to_date(last);
        let term = if granted { term } else { self.term() };
        out.send_now.push((from, Message { term, body: Body::PreVoteReply { granted } }));
    }

    fn answer_vote(&mut self, from: NodeId, last: Mark, out: &mut Output) {
        let free = match self.hard_state.vote {
            Some(vote) => vote == from,
            None => self.leader.is_none(),
        };
        if !free || !self.is_up_to_date(last) {
            out.send_now.push((from, self.message(Body::VoteReply { granted: false })));
            return;
        }
        if self.hard_state.vote.is_none() {
            self.set_hard_state(HardState { term: self.term(), vote: Some(from) }, out);
        }
        self.restart_timeout();
        out.send_when_durable.push((from, self.message(Body::VoteReply { granted: true })));
    }
}
