//! What the logs of a group's members take in one entry: the segments of nodes differ where their disks do.
//!
//! Nodes tell the catalog. Who leads a group takes nothing into its log that one of the members could not take, be that member
//! there at the moment or not. What stands in the log from before such a member came is not sent to it: it stays behind, is
//! looked at again now and then, and whoever asks how far the replicas are is told why.

use super::replicas::find;
use super::{Groups, Out};
use crate::group::Group;
use crate::mail::CatalogChange;
use crate::refusal::Refusal;
use std::collections::BTreeMap;
use torc_base::ids::{GroupId, Index, NodeId};
use torc_base::io::Level;
use torc_base::limits::{ENTRY_BYTES_ANYWHERE, ENTRY_BYTES_MAX};
use torc_state::catalog::Node;
use torc_wal::Item;

/// A member whose log does not take the next entry is offered it again after so long: retention may have removed it.
pub(super) const HELD_MS: u64 = 10_000;

/// What is known of the logs of other nodes.
#[derive(Default)]
pub(super) struct Takes {
    /// The longest entry of each node that the catalog knows.
    nodes: BTreeMap<NodeId, usize>,
    /// The last entry of a group that a member was not sent because it is too long for it, and its bytes.
    held: BTreeMap<(GroupId, NodeId), (Index, usize)>,
}

impl Takes {
    /// The longest entry that a node's log takes, if the catalog knows the node.
    fn of(&self, node: NodeId) -> Option<usize> {
        self.nodes.get(&node).copied()
    }

    fn know(&mut self, node: &Node) {
        self.nodes.insert(node.id, node.entry_bytes_max);
    }

    /// The group is here no longer.
    pub fn forget(&mut self, id: GroupId) {
        self.held.retain(|(held, _), _| *held != id);
    }
}

impl Groups {
    /// The catalog tells of nodes.
    pub fn know_nodes(&mut self, change: &CatalogChange) {
        match change {
            CatalogChange::All { nodes, .. } => {
                self.takes.nodes.clear();
                nodes.iter().for_each(|node| self.takes.know(node));
            }
            CatalogChange::Node(node) => self.takes.know(node),
            CatalogChange::NodeGone(node) => drop(self.takes.nodes.remove(node)),
            _ => {}
        }
    }

    /// The longest entry that a group's members take, as far as is known; those that it is to get are among them.
    pub fn entry_bytes_max(&self, id: GroupId) -> usize {
        self.shortest(id, ENTRY_BYTES_MAX)
    }

    /// The same; what nobody has told of takes `unknown`.
    fn shortest(&self, id: GroupId, unknown: usize) -> usize {
        let own = self.settings.wal.entry_bytes_max();
        let Some(group) = self.groups.get(&id) else { return own };
        let members = group.raft.peers().iter().map(|peer| peer.id);
        let all = members.chain(group.moving.iter().flat_map(|moving| moving.target()));
        let others = all.filter(|node| *node != self.settings.node);
        others.map(|node| self.takes.of(node).unwrap_or(unknown)).fold(own, usize::min)
    }

    /// Whether all members of a partition's group take an entry of so many bytes. One that has founded the cluster and has not said
    /// who it is yet may take less than the others: what is too long for the least of logs is to be tried again.
    pub(super) fn check_length(&self, id: GroupId, bytes: usize) -> Result<(), Refusal> {
        if bytes <= ENTRY_BYTES_ANYWHERE {
            return Ok(());
        }
        if bytes > self.entry_bytes_max(id) {
            return Err(Refusal::TooLarge);
        }
        if bytes > self.shortest(id, ENTRY_BYTES_ANYWHERE) { Err(Refusal::TooFewInSync) } else { Ok(()) }
    }

    /// Leaves out what a member's log does not take, and what is behind that. False: nothing is left, and it is noted why.
    pub(super) fn keep_what_fits(&mut self, out: &mut Out, id: GroupId, node: NodeId, items: &mut Vec<Item>) -> bool {
        let takes = self.takes.of(node).unwrap_or(ENTRY_BYTES_MAX);
        let Some(at) = items.iter().position(|item| item.bytes.len() > takes) else { return true };
        let (index, bytes) = (items[at].index, items[at].bytes.len());
        items.truncate(at);
        if at > 0 {
            return true;
        }
        if self.takes.held.insert((id, node), (index, bytes)) != Some((index, bytes)) {
            let text = format!("group {id}: {}", too_long(node, index, bytes, takes));
            self.report_damage(out, Level::Error, &text);
        }
        false
    }

    /// Why members of a group that is led here stay behind, if entries are too long for them.
    pub(super) fn held_back(&self, id: GroupId, group: &Group) -> Option<String> {
        let held = self.takes.held.range((id, NodeId(0))..=(id, NodeId(u32::MAX)));
        let lines: Vec<String> = held
            .filter_map(|((_, node), (index, bytes))| {
                let takes = self.takes.of(*node).filter(|takes| takes < bytes)?;
                let lacks = find(&group.raft, *node).is_some_and(|peer| peer.held < *index);
                let is_there = *index >= group.raft.log().first();
                (lacks && is_there).then(|| too_long(*node, *index, *bytes, takes))
            })
            .collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    /// The same of any group.
    pub fn any_held_back(&self) -> Option<String> {
        self.takes.held.keys().find_map(|(id, _)| {
            let group = self.groups.get(id).filter(|group| group.raft.is_leader())?;
            self.held_back(*id, group)
        })
    }

    /// True if a member lacks an entry that is too long for it: only the state behind that brings it on.
    pub(super) fn is_held(&self, id: GroupId, node: NodeId, index: Index) -> bool {
        self.takes.held.get(&(id, node)).is_some_and(|(held, _)| *held == index)
    }
}

fn too_long(node: NodeId, index: Index, bytes: usize, takes: usize) -> String {
    format!(
        "entry {index} has {bytes} bytes, and the log of node {node} takes {takes} at most: its replica stays behind until the entry \
         is removed from the log, or the node has a new data directory with larger segments (torc.wal.segment.bytes)"
    )
}
