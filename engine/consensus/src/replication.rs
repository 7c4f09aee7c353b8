//! Who holds what: sending entries, agreeing on logs, and the commit rule.

use crate::configuration::Configuration;
use crate::message::{Body, Mark, Run};
use crate::output::{Append, Output};
use crate::progress::{Flow, Peer};
use crate::quorum::{Reach, reached_by_quorum};
use crate::raft::Raft;
use torc_base::ids::{Index, NodeId, Term};
use torc_base::limits::REPLICATE_ENTRIES_MAX;

impl Raft {
    /// Commits what a quorum has on disk, if the last of it is of this leader's own term: an entry of an older term
    /// that a quorum holds can still be replaced (Raft, section 5.4.2).
    pub(crate) fn count_commit(&mut self, out: &mut Output) {
        let durable = self.durable;
        let own = Reach { matched: durable, held: durable, in_doubt: false };
        let reach = |peer: &Peer| if peer.id == self.id { own } else { peer.reach() };
        let reached = reached_by_quorum(self.peers.iter().map(|peer| (peer.seat, reach(peer))));
        if reached > self.committed && self.log.term_at(reached) == Some(self.term()) {
            self.commit_to(reached, out);
            self.settle_members(out);
            for at in 0..self.peers.len() {
                if self.peers[at].id != self.id {
                    self.tell_commit(at, out);
                    self.readmit(at, out);
                }
            }
            // The members may have changed while answers were awaited.
            self.count_answers(out);
            self.serve_reads(out);
            self.leave_if_removed(out);
        }
    }

    /// Tells one follower how far what it holds is committed, if that is news.
    fn tell_commit(&mut self, at: usize, out: &mut Output) {
        let peer = &mut self.peers[at];
        let through = self.committed.min(peer.held);
        if through > peer.told && !peer.suspected {
            peer.told = through;
            let id = peer.id;
            out.send_now.push((id, self.message(Body::Commit { through })));
        }
    }

    /// Sends each follower what it lacks.
    pub(crate) fn send_appends(&mut self, out: &mut Output) {
        for at in 0..self.peers.len() {
            if self.peers[at].id != self.id {
                self.send_append(at, out);
            }
        }
    }

    /// Offers one follower what it lacks, as far as its flow admits: one message, until it is known that it left.
    pub(crate) fn send_append(&mut self, at: usize, out: &mut Output) {
        let peer = &mut self.peers[at];
        if !peer.is_open() {
            return;
        }
        let (next, last) = (peer.next, self.log.last());
        let probing = peer.flow != Flow::Stream;
        let room = if probing { REPLICATE_ENTRIES_MAX } else { peer.room().min(REPLICATE_ENTRIES_MAX) };
        let entries = room.min(last.next().0 - next.0);
        if entries == 0 && !probing {
            return;
        }
        if next < self.log.first() {
            return self.want_snapshot(at, out);
        }
        self.send_entries(at, entries, out);
        let peer = &mut self.peers[at];
        peer.offered = entries > 0;
        if probing {
            peer.flow = Flow::Probe { waiting: true };
        } else {
            peer.next = next.plus(entries);
        }
    }

    /// Sends entries from the next one on; none: asks whether it has the one before.
    fn send_entries(&mut self, at: usize, entries: u64, out: &mut Output) {
        let peer = &mut self.peers[at];
        let index = Index(peer.next.0 - 1);
        let end = index.plus(entries);
        let term = self.log.term_at(index).expect("the log knows the entry before its first");
        let runs = if entries == 0 { Vec::new() } else { self.log.runs(peer.next, end) };
        peer.told = peer.told.max(self.committed.min(end));
        let id = peer.id;
        let prev = Mark { term, index };
        let body = Body::Append { prev, runs, configurations: Vec::new(), committed: self.committed };
        out.send_now.push((id, self.message(body)));
    }

    /// Finds out where a follower's log agrees, from what it is known to hold.
    pub(crate) fn probe(&mut self, at: usize, out: &mut Output) {
        let last = self.log.last();
        let peer = &mut self.peers[at];
        let next = if peer.held == Index(0) { last.next() } else { peer.held.next() };
        peer.told = Index(0);
        peer.probe_from(next, false);
        self.send_append(at, out);
    }

    /// Entries that were offered are on their way.
    pub(crate) fn sent(&mut self, to: NodeId, through: Index, bytes: u64, out: &mut Output) {
        let Some(at) = self.leads_to(to) else { return };
        let peer = &mut self.peers[at];
        if !peer.offered {
            // The flow has begun anew meanwhile.
            return;
        }
        peer.offered = false;
        if through > peer.held {
            peer.in_flight.push(through, bytes);
        }
        if peer.flow == Flow::Stream {
            peer.next = through.next().min(peer.next).max(peer.held.next());
            self.send_append(at, out);
        }
    }

    /// Takes entries in if the log has `prev`, replacing what differs.
    pub(crate) fn receive_append(
        &mut self,
        from: NodeId,
        prev: Mark,
        runs: &[Run],
        configurations: Vec<(Index, Configuration)>,
        committed: Index,
        out: &mut Output,
    ) {
        if !are_well_formed(prev, runs, &configurations, self.term()) {
            return;
        }
        if prev.index < self.committed {
            // An old message; what is committed agrees with every later leader.
            self.accept(from, self.committed, out);
            return;
        }
        if self.log.term_at(prev.index) != Some(prev.term) {
            let (hint, incarnation) = (self.log.not_newer(prev), self.incarnation());
            let damaged = self.lost_tail() != Mark::default();
            out.send_now.push((from, self.message(Body::Rejected { prev: prev.index, hint, incarnation, damaged })));
            return;
        }
        let mut at = prev.index;
        for run in runs {
            let end = at.plus(u64::from(run.entries));
            while at < end && self.log.term_at(at.next()) == Some(run.term) {
                at = at.next();
            }
            if at == end {
                continue;
            }
            let first = at.next();
            if first <= self.log.last() {
                self.cut_from(first, out);
            }
            self.log.append(run.term, (end.0 - at.0) as u32);
            let first = out.append.map_or(first, |append| append.first);
            out.append = Some(Append { term: run.term, first, last: end, noop: false, cut: self.cut });
            at = end;
        }
        if let Some(append) = out.append {
            self.take_configurations(append.first, configurations, out);
        }
        self.commit_to(committed.min(at), out);
        self.accept(from, at, out);
    }

    /// Drops entries that another leader has replaced.
    fn cut_from(&mut self, from: Index, out: &mut Output) {
        assert!(from > self.committed, "cut at {from}, committed {}", self.committed);
        self.log.cut(from);
        self.cut += 1;
        let last = Index(from.0 - 1);
        self.durable = self.durable.min(last);
        out.cut = Some(last);
        self.cut_configurations(from, out);
    }

    pub(crate) fn accept(&self, from: NodeId, through: Index, out: &mut Output) {
        let body = Body::Accepted { through, incarnation: self.incarnation() };
        out.send_when_durable.push((from, self.message(body)));
    }

    pub(crate) fn receive_commit(&mut self, committed: Index, out: &mut Output) {
        // A leader tells no more than this member has acknowledged. Its disk may be another one since then, and what is on that of
        // another leader: only a log that ends with an entry of this term is this leader's up to there.
        if committed <= self.log.last() && self.log.last_mark().term == self.term() {
            self.commit_to(committed, out);
        }
    }

    pub(crate) fn receive_heartbeat(&mut self, from: NodeId, committed: Index, round: u64, out: &mut Output) {
        self.receive_commit(committed, out);
        let body = Body::HeartbeatReply { round, incarnation: self.incarnation() };
        out.send_now.push((from, self.message(body)));
    }

    pub(crate) fn receive_accepted(&mut self, from: NodeId, through: Index, incarnation: u64, out: &mut Output) {
        if self.leads_to(from).is_none() || through > self.log.last() {
            // No entry of ours: a broken peer. Nothing it says may count.
            return;
        }
        self.hear_doubt(from, incarnation, out);
        let Some(at) = self.leads_to(from) else { return };
        if self.peers[at].accepted(through, incarnation == 0, self.log.first()) {
            self.count_commit(out);
        }
        // The commit may have changed who is a member, and who leads.
        let Some(at) = self.leads_to(from) else { return };
        self.tell_commit(at, out);
        self.readmit(at, out);
        self.send_append(at, out);
        self.hand_over(out);
    }

    pub(crate) fn receive_rejected(
        &mut self,
        from: NodeId,
        prev: Index,
        hint: Mark,
        incarnation: u64,
        damaged: bool,
        out: &mut Output,
    ) {
        if self.leads_to(from).is_some() && incarnation != 0 {
            self.hear_doubt(from, incarnation, out);
        }
        let Some(at) = self.leads_to(from) else { return };
        let agree = self.log.not_newer(hint);
        if damaged {
            self.peers[at].damaged(agree.index);
        }
        self.peers[at].rejected(prev, agree.index);
        self.send_append(at, out);
    }

    /// A heartbeat's answer shows that messages arrive again: what was lost is found by probing for it.
    pub(crate) fn receive_heartbeat_reply(&mut self, from: NodeId, round: u64, incarnation: u64, out: &mut Output) {
        if self.leads_to(from).is_some() && incarnation != 0 {
            self.hear_doubt(from, incarnation, out);
        }
        let Some(at) = self.leads_to(from) else { return };
        let peer = &mut self.peers[at];
        peer.round = peer.round.max(round);
        let asks = match peer.flow {
            // What has left is lost with the link or not at all: it is asked about, and not sent again to a disk that is slow.
            Flow::Probe { waiting } => waiting && !peer.offered,
            Flow::Stream => peer.held < self.log.last() && peer.is_open(),
            Flow::Snapshot | Flow::Paused { .. } => false,
        };
        if asks && peer.next >= self.log.first() {
            self.send_entries(at, 0, out);
        } else if matches!(peer.flow, Flow::Probe { .. }) {
            peer.flow = Flow::Probe { waiting: peer.offered };
        }
        self.send_append(at, out);
        self.readmit(at, out);
        self.count_answers(out);
    }
}

/// True if a leader of `term` can have sent these entries: terms never fall, none is newer than its own, and the
/// configurations stand among them in order.
fn are_well_formed(prev: Mark, runs: &[Run], configurations: &[(Index, Configuration)], term: Term) -> bool {
    let terms = || std::iter::once(prev.term).chain(runs.iter().map(|run| run.term));
    let entries: u64 = runs.iter().map(|run| u64::from(run.entries)).sum();
    let Some(end) = prev.index.0.checked_add(entries) else { return false };
    let places = || configurations.iter().map(|&(index, _)| index);
    runs.iter().all(|run| run.entries > 0)
        && terms().is_sorted()
        && terms().all(|other| other <= term)
        && places().is_sorted_by(|a, b| a < b)
        && places().all(|index| index > prev.index && index.0 <= end)
}
