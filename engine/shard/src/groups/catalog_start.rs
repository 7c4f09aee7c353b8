//! Where the catalog's log begins. All that is committed is in the state, and the state is in checkpoints: the log keeps what
//! members lack that can be reached, and some more for those that were away for a while. Who lacks what is gone gets the
//! state itself, in one piece, as it is when it leaves.

use super::{Groups, Out};
use crate::meaning::{Meaning, kind};
use torc_base::buf::Buf;
use torc_base::crc::crc32c;
use torc_base::ids::{GroupId, Index, NodeId, Offset};
use torc_base::io::Level;
use torc_base::limits::{CATALOG_KEPT_ENTRIES, PEER_HEAD_BYTES_MAX};
use torc_consensus::{Body, Configuration, Mark, Message, SnapshotOutcome};
use torc_net::peer::{EntryHead, GroupsWriter};
use torc_state::retention::Age;

impl Groups {
    /// The longest state that goes to other members, which write it as one entry.
    fn state_bytes_max(&self) -> usize {
        // Beside it the entry has the members and the mark.
        self.settings.wal.entry_bytes_max().saturating_sub(PEER_HEAD_BYTES_MAX / 16)
    }

    /// The catalog is about to be in a checkpoint, in so many bytes: of its log that which nobody needs goes.
    pub fn release_catalog(&mut self, out: &mut Out, state_bytes: usize) {
        let group = &self.groups[&GroupId::CATALOG];
        let applied = group.raft.marks().applied;
        if group.is_alone() {
            return self.release(GroupId::CATALOG, applied.next());
        }
        if state_bytes > self.state_bytes_max() {
            let text = format!(
                "the catalog has {state_bytes} bytes, more than one entry of this log takes: its log keeps all entries, so that \
                 nodes which were away get them"
            );
            return out.log(Level::Warn, text);
        }
        let mut below = Index(applied.next().get().saturating_sub(CATALOG_KEPT_ENTRIES));
        if group.raft.is_leader() {
            let others = group.raft.peers().iter().filter(|peer| peer.id != self.settings.node && !peer.suspected);
            below = others.map(|peer| peer.held.next()).min().unwrap_or(below).min(below);
        }
        if below > group.raft.log().first() {
            self.release(GroupId::CATALOG, below);
        }
    }

    /// The catalog as it is applied: where it is in its log, and who belongs to the group there.
    fn catalog_mark(&self) -> Option<(Mark, Configuration)> {
        let raft = &self.groups.get(&GroupId::CATALOG)?.raft;
        let index = raft.marks().applied;
        let term = raft.log().term_at(index).filter(|_| index > Index(0))?;
        Some((Mark { term, index }, raft.configurations()[0].1.clone()))
    }

    /// What a member of the catalog's group is offered that lacks what is released.
    pub(super) fn catalog_start(&self) -> SnapshotOutcome {
        match self.catalog_mark() {
            Some((mark, configuration)) => SnapshotOutcome::Delivered { mark, configuration },
            None => SnapshotOutcome::Refused,
        }
    }

    /// Sends the catalog as it is now, which may be further than when it was offered.
    pub(super) fn depart_catalog(
        &mut self,
        out: &mut Out,
        node: NodeId,
        mut message: Message,
        writer: &mut GroupsWriter,
    ) {
        let Meaning::Catalog(catalog) = &self.groups[&GroupId::CATALOG].meaning else { return };
        let state = catalog.encode_start();
        let Some((mark, configuration)) = self.catalog_mark().filter(|_| state.len() <= self.state_bytes_max()) else {
            let text = format!(
                "the catalog has {} bytes, more than one entry of the log takes: node {node} does not get it",
                state.len()
            );
            return self.report_damage(out, Level::Error, &text);
        };
        message.body = Body::Snapshot { mark, configuration };
        let (kind, max_timestamp, body_crc) = (kind::STATE.0, Age::NONE.0, crc32c(&state));
        let head = EntryHead { kind, prefix_len: 0, records: 0, first_offset: Offset(0), max_timestamp, body_crc };
        self.put(GroupId::CATALOG, &message, 1, writer);
        writer.entry(head, Buf::copy_of(&state));
    }
}
