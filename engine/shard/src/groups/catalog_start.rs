//! Where the logs of the catalog and of the tree begin. All that is committed is in the state, and the state is in checkpoints: the log keeps what
//! members lack that can be reached, and some more for those that were away for a while. Who lacks what is gone gets the
//! state itself: the catalog in one piece, as it is when it leaves, the tree in parts ([`super::tree_start`]).

use super::follow::STATE_HEAD_BYTES;
use super::{Groups, Out};
use crate::meaning::{Meaning, kind};
use torc_base::buf::Buf;
use torc_base::crc::crc32c;
use torc_base::ids::{GroupId, Index, NodeId, Offset};
use torc_base::io::Level;
use torc_base::limits::{CATALOG_KEPT_ENTRIES, TREE_KEPT_ENTRIES};
use torc_consensus::{Body, Configuration, Mark, Message, Peer, SnapshotOutcome};
use torc_net::peer::{EntryHead, GroupsWriter};
use torc_state::retention::Age;

/// True of groups whose state goes to other members as it is, not as it was where the log begins.
pub(super) fn is_sent_whole(id: GroupId) -> bool {
    matches!(id, GroupId::CATALOG | GroupId::TREE)
}

/// Entries that the log keeps for members that were away, and what people call it.
fn about(id: GroupId) -> (u64, &'static str) {
    if id == GroupId::TREE { (TREE_KEPT_ENTRIES, "the tree of znodes") } else { (CATALOG_KEPT_ENTRIES, "the catalog") }
}

impl Groups {
    /// The longest state of the catalog that goes to other members, which write it as one entry.
    fn state_bytes_max(&self) -> usize {
        // Beside it the entry has the members and the mark.
        self.entry_bytes_max(GroupId::CATALOG) - STATE_HEAD_BYTES
    }

    /// The catalog or the tree is about to be in a checkpoint, in so many bytes, as it is applied through `applied`: of its
    /// log that which nobody needs goes.
    pub fn release_whole(&mut self, out: &mut Out, id: GroupId, state_bytes: usize, applied: Index) {
        if id == GroupId::CATALOG {
            self.catalog_mut().note_bytes(state_bytes);
        }
        let group = &self.groups[&id];
        let (kept, name) = about(id);
        if group.is_alone() {
            self.release(id, applied.next());
            return self.mended_by_checkpoint(out, id, true);
        }
        if id == GroupId::CATALOG && state_bytes > self.state_bytes_max() {
            self.mended_by_checkpoint(out, id, false);
            let text = format!(
                "{name} has {state_bytes} bytes, more than one entry of its members' logs takes: its log keeps all entries, so \
                 that nodes which were away get them"
            );
            return out.log(Level::Warn, text);
        }
        if self.mends.release(id) {
            let below = applied.next().max(group.raft.log().first());
            self.release(id, below);
            return self.mended_by_checkpoint(out, id, true);
        }
        let mut below = Index(applied.next().get().saturating_sub(kept));
        if group.raft.is_leader() {
            let first = group.raft.log().first();
            let given = self.given().filter(|_| id == GroupId::TREE);
            // Who lacks what is gone gets the state, and what is behind that.
            let needs = |peer: &Peer| match given {
                Some((to, index)) if to == peer.id => peer.held.max(index).next(),
                _ if peer.held.next() < first || self.is_held(id, peer.id, peer.held.next()) => below,
                _ => peer.held.next(),
            };
            let others = group.raft.peers().iter().filter(|peer| peer.id != self.settings.node && !peer.suspected);
            below = others.map(needs).min().unwrap_or(below).min(below);
        }
        if below > group.raft.log().first() {
            self.release(id, below);
        }
    }

    /// True if the state can go to other members, so that they can do without the log, as far as is known without a look at all
    /// of it: the next checkpoint says so for sure.
    pub(super) fn may_go_whole(&self, id: GroupId) -> bool {
        id != GroupId::CATALOG || self.catalog().bytes() <= self.state_bytes_max()
    }

    /// Such a state as it is applied: where it is in its log, and who belongs to the group there.
    pub(super) fn whole_mark(&self, id: GroupId) -> Option<(Mark, Configuration)> {
        let raft = &self.groups.get(&id)?.raft;
        let index = raft.marks().applied;
        let term = raft.log().term_at(index).filter(|_| index > Index(0))?;
        Some((Mark { term, index }, raft.configurations()[0].1.clone()))
    }

    /// What a member of such a group is offered that lacks what is released.
    pub(super) fn whole_start(&self, id: GroupId) -> SnapshotOutcome {
        match self.whole_mark(id) {
            Some((mark, configuration)) => SnapshotOutcome::Delivered { mark, configuration },
            None => SnapshotOutcome::Refused,
        }
    }

    /// Sends the state as it is now, which may be further than when it was offered.
    pub(super) fn depart_whole(
        &mut self,
        out: &mut Out,
        node: NodeId,
        id: GroupId,
        mut message: Message,
        writer: &mut GroupsWriter,
    ) {
        let state = match &self.groups[&id].meaning {
            Meaning::Catalog(catalog) => catalog.encode_start(),
            Meaning::Tree(_) => return self.depart_parts(out, node, &message, writer),
            Meaning::Partition(_) => return,
        };
        let Some((mark, configuration)) = self.whole_mark(id).filter(|_| state.len() <= self.state_bytes_max()) else {
            let text = format!(
                "{} has {} bytes, more than one entry of its members' logs takes: node {node} does not get it",
                about(id).1,
                state.len()
            );
            return self.report_damage(out, Level::Error, &text);
        };
        message.body = Body::Snapshot { mark, configuration };
        let (kind, max_timestamp, body_crc) = (kind::STATE.0, Age::NONE.0, crc32c(&state));
        let head = EntryHead { kind, prefix_len: 0, records: 0, first_offset: Offset(0), max_timestamp, body_crc };
        self.put(id, &message, 1, writer);
        writer.entry(head, Buf::copy_of(&state));
    }
}
