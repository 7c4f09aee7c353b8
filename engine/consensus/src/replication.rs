//! Who holds what: sending entries, agreeing on logs, and the commit rule.

use crate::message::{Body, Mark, Run};
use crate::output::{Append, Output};
use crate::progress::Flow;
use crate::quorum::reached_by_majority;
use crate::raft::{Raft, Role};
use torc_base::ids::{Index, NodeId, Term};
use torc_base::limits::{REPLICATE_ENTRIES_MAX, REPLICATE_WINDOW};

impl Raft {
    /// Commits what a majority has on disk, if the last of it is of this leader's own term: an entry of an older term
    /// that a majority holds can still be replaced (Raft, section 5.4.2).
    pub(crate) fn count_commit(&mut self, out: &mut Output) {
        let (id, durable) = (self.id, self.durable);
        let marks = self.peers.iter().map(|peer| if peer.id == id { durable } else { peer.matched });
        let reached = reached_by_majority(marks);
        if reached > self.committed && self.log.term_at(reached) == Some(self.term()) {
            self.commit_to(reached, out);
            self.send_appends(true, out);
        }
    }

    /// Sends each follower what it lacks; with `news` the commit mark has moved and an empty message tells it.
    pub(crate) fn send_appends(&mut self, news: bool, out: &mut Output) {
        for at in 0..self.peers.len() {
            if self.peers[at].id != self.id {
                self.send_append(at, news, out);
            }
        }
    }

    /// Sends one follower what it lacks, as far as its flow admits. A follower that needs entries from before the log's
    /// start is only sent heartbeats.
    fn send_append(&mut self, at: usize, news: bool, out: &mut Output) {
        let mut must = news;
        loop {
            let peer = &self.peers[at];
            let (next, last) = (peer.next, self.log.last());
            let room = match peer.flow {
                Flow::Probe { waiting: true } => return,
                Flow::Probe { waiting: false } => REPLICATE_ENTRIES_MAX,
                Flow::Stream => {
                    (REPLICATE_WINDOW + peer.matched.0 + 1).saturating_sub(next.0).min(REPLICATE_ENTRIES_MAX)
                }
            };
            let probing = peer.flow != Flow::Stream;
            let entries = room.min(last.next().0 - next.0);
            if entries == 0 && !must && !probing {
                return;
            }
            let prev = Index(next.0 - 1);
            let Some(prev_term) = self.log.term_at(prev) else { return };
            if entries > 0 && next < self.log.first() {
                return;
            }
            let runs = if entries == 0 { Vec::new() } else { self.log.runs(next, Index(prev.0 + entries)) };
            let prev = Mark { term: prev_term, index: prev };
            let message = self.message(Body::Append { prev, runs, committed: self.committed });
            let peer = &mut self.peers[at];
            out.send_now.push((peer.id, message));
            if probing {
                peer.flow = Flow::Probe { waiting: true };
                return;
            }
            peer.next = next.plus(entries);
            must = false;
        }
    }

    pub(crate) fn heartbeat(&mut self, out: &mut Output) {
        for peer in &self.peers {
            if peer.id != self.id {
                let committed = self.committed.min(peer.matched);
                out.send_now.push((peer.id, self.message(Body::Heartbeat { committed })));
            }
        }
    }

    /// Takes entries in if the log has `prev`, replacing what differs.
    pub(crate) fn receive_append(
        &mut self,
        from: NodeId,
        prev: Mark,
        runs: &[Run],
        committed: Index,
        out: &mut Output,
    ) {
        if !are_well_formed(prev, runs, self.term()) {
            return;
        }
        if prev.index < self.committed {
            // An old message; what is committed agrees with every later leader.
            self.accept(from, self.committed, out);
            return;
        }
        if self.log.term_at(prev.index) != Some(prev.term) {
            let hint = self.log.not_newer(prev);
            out.send_now.push((from, self.message(Body::Rejected { prev: prev.index, hint })));
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
                self.cut_from(first);
            }
            self.log.append(run.term, (end.0 - at.0) as u32);
            let first = out.append.map_or(first, |append| append.first);
            out.append = Some(Append { term: run.term, first, last: end, noop: false, cut: self.cut });
            at = end;
        }
        self.commit_to(committed.min(at), out);
        self.accept(from, at, out);
    }

    /// Drops entries that another leader has replaced.
    fn cut_from(&mut self, from: Index) {
        assert!(from > self.committed, "cut at {from}, committed {}", self.committed);
        self.log.cut(from);
        self.cut += 1;
        self.durable = self.durable.min(Index(from.0 - 1));
    }

    fn accept(&self, from: NodeId, through: Index, out: &mut Output) {
        out.send_when_durable.push((from, self.message(Body::Accepted { through })));
    }

    pub(crate) fn receive_heartbeat(&mut self, from: NodeId, committed: Index, out: &mut Output) {
        // A leader tells no more than this member has acknowledged; what a broken peer claims must not count.
        if committed <= self.log.last() {
            self.commit_to(committed, out);
        }
        out.send_now.push((from, self.message(Body::HeartbeatReply)));
    }

    pub(crate) fn receive_accepted(&mut self, from: NodeId, through: Index, out: &mut Output) {
        let Some(at) = self.leads_to(from) else { return };
        if through > self.log.last() {
            // No entry of ours: a broken peer. Nothing it says may count.
            return;
        }
        if self.peers[at].accepted(through) {
            self.count_commit(out);
        }
        if self.peers[at].next <= self.log.last() {
            self.send_append(at, false, out);
        }
    }

    pub(crate) fn receive_rejected(&mut self, from: NodeId, prev: Index, hint: Mark, out: &mut Output) {
        let Some(at) = self.leads_to(from) else { return };
        let agree = self.log.not_newer(hint);
        if self.peers[at].rejected(prev, agree.index) {
            self.send_append(at, false, out);
        }
    }

    /// A heartbeat's answer shows that messages arrive again: what was lost is found by probing for it.
    pub(crate) fn receive_heartbeat_reply(&mut self, from: NodeId, out: &mut Output) {
        let Some(at) = self.leads_to(from) else { return };
        let peer = &mut self.peers[at];
        if let Flow::Probe { waiting } = &mut peer.flow {
            *waiting = false;
        }
        if peer.matched < self.log.last() {
            self.send_append(at, true, out);
        }
    }

    fn leads_to(&self, id: NodeId) -> Option<usize> {
        if self.role == Role::Leader { self.find(id) } else { None }
    }
}

/// True if a leader of `term` can have sent these entries: terms never fall, and none is newer than its own.
fn are_well_formed(prev: Mark, runs: &[Run], term: Term) -> bool {
    let terms = || std::iter::once(prev.term).chain(runs.iter().map(|run| run.term));
    runs.iter().all(|run| run.entries > 0)
        && terms().zip(terms().skip(1)).all(|(before, after)| before <= after)
        && terms().all(|other| other <= term)
}
