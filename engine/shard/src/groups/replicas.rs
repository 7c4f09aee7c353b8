//! What this node knows of the other replicas of its groups.

use super::Groups;
use torc_base::ids::{GroupId, LeaderEpoch, NodeId};

impl Groups {
    /// True when the catalog's log has been read, or begun.
    pub fn has_catalog(&self) -> bool {
        self.groups.contains_key(&GroupId::CATALOG)
    }

    /// The other node that leads a group, as far as is known here.
    pub fn leader_elsewhere(&self, id: GroupId) -> Option<NodeId> {
        self.groups.get(&id)?.raft.leader().filter(|node| *node != self.settings.node)
    }

    /// The epoch of a group that is here.
    pub fn epoch(&self, id: GroupId) -> LeaderEpoch {
        self.groups[&id].epoch()
    }
}
