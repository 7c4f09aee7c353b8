//! Followers that need what the log no longer has. The state itself takes its own way between the nodes; here is only
//! who needs it, and what the log is afterwards.

use crate::configuration::Configuration;
use crate::message::{Body, Mark};
use crate::output::{Output, Restore, SnapshotOutcome};
use crate::progress::Flow;
use crate::raft::Raft;
use torc_base::ids::{Index, NodeId};

impl Raft {
    pub(crate) fn want_snapshot(&mut self, at: usize, out: &mut Output) {
        let peer = &mut self.peers[at];
        peer.flow = Flow::Snapshot;
        out.snapshots.push(peer.id);
    }

    pub(crate) fn snapshot_ended(&mut self, to: NodeId, outcome: SnapshotOutcome, out: &mut Output) {
        let Some(at) = self.leads_to(to) else { return };
        let peer = &mut self.peers[at];
        if peer.flow != Flow::Snapshot {
            return;
        }
        match outcome {
            SnapshotOutcome::Delivered { mark, configuration } => {
                assert!(mark.index <= self.committed, "a snapshot at {}, committed {}", mark.index, self.committed);
                peer.probe_from(mark.index.next(), true);
                out.send_now.push((to, self.message(Body::Snapshot { mark, configuration })));
            }
            SnapshotOutcome::Refused => peer.flow = Flow::Paused { ticks: self.election_ticks },
        }
    }

    pub(crate) fn receive_snapshot(
        &mut self,
        from: NodeId,
        mark: Mark,
        configuration: Configuration,
        out: &mut Output,
    ) {
        if mark.term > self.term() || mark.index == Index(0) {
            return;
        }
        if mark.index <= self.committed {
            return self.accept(from, self.committed, out);
        }
        if self.log.term_at(mark.index) == Some(mark.term) {
            self.commit_to(mark.index, out);
            return self.accept(from, mark.index, out);
        }
        self.cut += 1;
        self.durable = self.durable.min(self.committed);
        self.log.restore(mark);
        self.committed = mark.index;
        // Whatever the old log said about members, committed or not, is gone with it.
        let replaced = std::mem::replace(&mut self.configurations, vec![(mark.index, configuration)]).swap_remove(0);
        self.seat_peers();
        out.reconfigured = true;
        out.restore = Some(Restore { mark, cut: self.cut, replaced });
        self.accept(from, mark.index, out);
    }
}
