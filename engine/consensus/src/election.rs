//! Who leads: pre-vote, vote, and the term rules that every message goes through first.

use crate::configuration::{Configuration, Seat};
use crate::message::{Body, Mark, Message};
use crate::output::Output;
use crate::quorum::{Ballot, Tally, poll};
use crate::raft::{HardState, Raft, Role};
use torc_base::ids::{NodeId, Term};

impl Raft {
    pub(crate) fn receive(&mut self, from: NodeId, message: Message, out: &mut Output) {
        if from == self.id {
            return;
        }
        let Message { term, body } = message;
        match self.find(from) {
            Some(at) => {
                self.peers[at].suspected = false;
                self.peers[at].missed = 0;
            }
            None if self.listens_to_stranger(from, &body) => {}
            None => return,
        }
        // A pre-vote and its grant name a term that nobody has begun.
        let hypothetical =
            matches!(body, Body::PreVote { .. } | Body::PreVoteReply { granted: true } | Body::Abstained { pre: true });
        if term > self.term() && !hypothetical {
            let leader = body.is_from_leader().then_some(from);
            self.follow(term, leader, out);
        }
        if matches!(body, Body::PreVote { .. }) && self.role == Role::Leader {
            self.reassure(from, out);
        }
        if term < self.term() {
            self.answer_stale(from, &body, out);
            return;
        }
        if body.is_from_leader() {
            self.hear_leader(from, out);
        }
        self.handle_body(from, term, body, out);
    }

    /// Does what a message of the current term asks for.
    fn handle_body(&mut self, from: NodeId, term: Term, body: Body, out: &mut Output) {
        match body {
            Body::PreVote { last } => self.answer_pre_vote(from, term, last, out),
            Body::PreVoteReply { granted } => {
                let asked = if granted { self.term().next() } else { self.term() };
                if self.role == Role::PreCandidate && term == asked {
                    self.count_ballot(from, Ballot::of(granted), out);
                }
            }
            Body::RequestVote { last } => self.answer_vote(from, last, out),
            Body::VoteReply { granted } => {
                if self.role == Role::Candidate {
                    self.count_ballot(from, Ballot::of(granted), out);
                }
            }
            Body::Abstained { pre } => {
                let asked = if pre { Role::PreCandidate } else { Role::Candidate };
                if self.role == asked && (!pre || term == self.term().next()) {
                    self.count_ballot(from, Ballot::Abstained, out);
                }
            }
            Body::Append { prev, runs, configurations, committed } => {
                self.receive_append(from, prev, &runs, configurations, committed, out);
            }
            Body::Accepted { through, incarnation } => self.receive_accepted(from, through, incarnation, out),
            Body::Rejected { prev, hint, incarnation, damaged } => {
                self.receive_rejected(from, prev, hint, incarnation, damaged, out);
            }
            Body::Commit { through } => self.receive_commit(through, out),
            Body::Heartbeat { committed, round } => self.receive_heartbeat(from, committed, round, out),
            Body::HeartbeatReply { round, incarnation } => self.receive_heartbeat_reply(from, round, incarnation, out),
            Body::TimeoutNow => self.time_out_now(out),
            Body::Resigned => self.leader_resigned(from),
            Body::Snapshot { mark, configuration } => self.receive_snapshot(from, mark, configuration, out),
            Body::Readmitted { through, incarnation } => self.readmitted(from, through, incarnation, out),
        }
    }

    /// Whoever has members that this one does not know of yet may lead it and get its vote. Their answers count for
    /// nothing, and while a leader lives none of them unseats it: a member that was removed may not know that.
    fn listens_to_stranger(&self, from: NodeId, body: &Body) -> bool {
        match body {
            Body::PreVote { .. } => true,
            Body::RequestVote { .. } => !self.has_living_leader(),
            // Whoever leads its last term out is no member any more.
            Body::Resigned => self.leader == Some(from),
            _ => body.is_from_leader(),
        }
    }

    pub(crate) fn has_living_leader(&self) -> bool {
        self.role == Role::Leader || (self.leader.is_some() && !self.leader_suspected)
    }

    /// Tells the sender of an old term's request that its time is over. Old answers are dropped.
    fn answer_stale(&mut self, from: NodeId, body: &Body, out: &mut Output) {
        let answer = match body {
            Body::PreVote { .. } => Body::PreVoteReply { granted: false },
            Body::RequestVote { .. } => Body::VoteReply { granted: false },
            Body::Append { .. } | Body::Heartbeat { .. } | Body::Snapshot { .. } => {
                Body::HeartbeatReply { round: 0, incarnation: self.incarnation() }
            }
            _ => return,
        };
        out.send_now.push((from, self.message(answer)));
    }

    /// Becomes a follower in `term`, which is not older than the current one.
    pub(crate) fn follow(&mut self, term: Term, leader: Option<NodeId>, out: &mut Output) {
        assert!(term >= self.term(), "a step back to term {term}");
        if term > self.term() {
            self.set_hard_state(HardState { term, vote: None, ..self.hard_state }, out);
        }
        self.leader = leader;
        self.leader_suspected = false;
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
        self.leader_suspected = false;
        self.elapsed = 0;
    }

    /// True if this member may become the leader: it votes in the last configuration known to be committed or in a later
    /// one. Whoever has an uncommitted configuration without itself may be the only one who has, and then only it can be
    /// elected, to commit that and go (Raft dissertation, section 4.2.2).
    pub(crate) fn may_campaign(&self) -> bool {
        let votes = |configuration: &Configuration| configuration.seat(self.id).is_some_and(Seat::votes);
        self.role != Role::Leader && self.hard_state.doubt.is_none() && self.open_configurations().any(votes)
    }

    /// Asks whether an election would be won; a node that was cut off does not disturb a working group.
    pub(crate) fn campaign(&mut self, out: &mut Output) {
        if !self.may_campaign() {
            return;
        }
        if self.promise_is_open {
            // Nor is a vote asked for that this member cannot give itself.
            return self.restart_timeout();
        }
        self.leader = None;
        self.leader_suspected = false;
        self.set_role(Role::PreCandidate, out);
        self.open_poll();
        let question = Message { term: self.term().next(), body: Body::PreVote { last: self.log.last_mark() } };
        for peer in self.other_voters() {
            out.send_now.push((peer, question.clone()));
        }
        self.count_ballot(self.id, Ballot::Yes, out);
    }

    /// Asks for votes in the next term. The own vote counts when it is durable, and the requests leave no earlier:
    /// they claim a term and a log that a crash must not take back.
    pub(crate) fn stand(&mut self, out: &mut Output) {
        self.set_hard_state(HardState { term: self.term().next(), vote: Some(self.id), ..self.hard_state }, out);
        self.leader = None;
        self.leader_suspected = false;
        self.set_role(Role::Candidate, out);
        self.open_poll();
        let request = self.message(Body::RequestVote { last: self.log.last_mark() });
        for peer in self.other_voters() {
            out.send_when_durable.push((peer, request.clone()));
        }
    }

    fn other_voters(&self) -> impl Iterator<Item = NodeId> {
        self.peers.iter().filter(|peer| peer.id != self.id && peer.seat.votes()).map(|peer| peer.id)
    }

    fn open_poll(&mut self) {
        for peer in &mut self.peers {
            peer.ballot = None;
        }
        self.restart_timeout();
    }

    pub(crate) fn hard_state_durable(&mut self, hard_state: HardState, out: &mut Output) {
        if hard_state != self.hard_state {
            return;
        }
        self.promise_is_open = false;
        if self.role == Role::Candidate {
            self.count_ballot(self.id, Ballot::Yes, out);
        }
    }

    /// Counts an answer in the current poll; the first answer of a member stands.
    fn count_ballot(&mut self, from: NodeId, ballot: Ballot, out: &mut Output) {
        // Strangers were turned away, except for this member if it is none any more.
        if let Some(at) = self.find(from) {
            self.peers[at].ballot.get_or_insert(ballot);
        }
        match poll(self.peers.iter().map(|peer| (peer.seat, peer.ballot))) {
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
        self.reads.begin_term();
        for peer in &mut self.peers {
            peer.reset(self.log.last());
        }
        // Entries of older terms commit only together with one of this term.
        self.append(1, true, out);
        self.term_start = self.log.last();
        self.send_appends(out);
    }

    /// True if a log that ends at `last` holds all that may be committed here, or that may have been held here.
    fn is_up_to_date(&self, last: Mark) -> bool {
        last >= self.log.last_mark().max(self.lost_tail())
    }

    /// A pre-vote is refused while a leader is heard: whoever asks is the one who lost it. A leader that asks leads no
    /// longer.
    fn answer_pre_vote(&mut self, from: NodeId, term: Term, last: Mark, out: &mut Output) {
        if term > self.term() {
            self.leader_resigned(from);
        }
        // While a vote is on its way to the disk none is promised: that may stand still.
        let free = term > self.term() && !self.has_living_leader() && !self.promise_is_open;
        if free && !self.may_vote() {
            return out.send_now.push((from, Message { term, body: Body::Abstained { pre: true } }));
        }
        let granted = free && self.is_up_to_date(last);
        let term = if granted { term } else { self.term() };
        out.send_now.push((from, Message { term, body: Body::PreVoteReply { granted } }));
    }

    fn answer_vote(&mut self, from: NodeId, last: Mark, out: &mut Output) {
        let free = match self.hard_state.vote {
            Some(vote) => vote == from,
            None => self.leader.is_none(),
        };
        if free && !self.may_vote() {
            // The term is durable then: whoever led an older one readmits this member no more.
            return out.send_when_durable.push((from, self.message(Body::Abstained { pre: false })));
        }
        if !free || !self.is_up_to_date(last) {
            out.send_now.push((from, self.message(Body::VoteReply { granted: false })));
            return;
        }
        if self.hard_state.vote.is_none() {
            self.set_hard_state(HardState { vote: Some(from), ..self.hard_state }, out);
        }
        self.restart_timeout();
        out.send_when_durable.push((from, self.message(Body::VoteReply { granted: true })));
    }
}
