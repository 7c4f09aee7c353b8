//! Which servers belong to the cluster beside those that founded it, and which do not any more.
//!
//! A disk is let in, not a number: whoever comes with the number of a server but with another disk has lost what that server
//! had, and a disk that was sent away never comes back. The founders are in the record of the founding and stand here only
//! when they have another disk, or another address, or are gone.

use super::CatalogError;
use crate::codec::{DecodeError, Decoder, put_bytes, put_u64};
use std::collections::BTreeMap;
use torc_base::ids::NodeId;
use torc_base::limits::{NODE_TEXT_BYTES_MAX, NODES_MAX};

/// A server that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The number of its disk.
    pub disk: u128,
    /// Where other servers reach it: an address and a port.
    pub address: String,
}

/// What the catalog knows of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    admitted: BTreeMap<NodeId, Admission>,
    /// The last disk of each, 0 for that of a founder: never in both.
    gone: BTreeMap<NodeId, u128>,
}

impl Membership {
    /// How a server was let in, if it was and is still in.
    pub fn admitted(&self, node: NodeId) -> Option<&Admission> {
        self.admitted.get(&node)
    }

    /// All that were let in, by number.
    pub fn all_admitted(&self) -> impl ExactSizeIterator<Item = (NodeId, &Admission)> {
        self.admitted.iter().map(|(node, admission)| (*node, admission))
    }

    /// The last disk of a server that has left, 0 for that of a founder.
    pub fn gone(&self, node: NodeId) -> Option<u128> {
        self.gone.get(&node).copied()
    }

    /// All that have left, by number, each with its last disk.
    pub fn all_gone(&self) -> impl ExactSizeIterator<Item = (NodeId, u128)> {
        self.gone.iter().map(|(node, disk)| (*node, *disk))
    }

    /// True if nothing has changed since the founding.
    pub fn is_empty(&self) -> bool {
        self.admitted.is_empty() && self.gone.is_empty()
    }

    pub(super) fn admit(&mut self, node: NodeId, admission: &Admission) -> Result<(), CatalogError> {
        if self.gone.get(&node) == Some(&admission.disk) {
            return Err(CatalogError::InvalidRequest(format!("The disk of node {node} was removed from the cluster.")));
        }
        if self.admitted.len() >= NODES_MAX && !self.admitted.contains_key(&node) {
            return Err(CatalogError::Limit(format!("A cluster can have at most {NODES_MAX} nodes.")));
        }
        self.gone.remove(&node);
        self.admitted.insert(node, admission.clone());
        Ok(())
    }

    pub(super) fn remove(&mut self, node: NodeId) {
        let disk = self.admitted.remove(&node).map_or(0, |admission| admission.disk);
        // Removed again, its disk is still the one that was removed first.
        let known = self.gone.entry(node).or_insert(disk);
        if disk != 0 {
            *known = disk;
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.admitted.len() as u64);
        self.admitted.iter().for_each(|(node, admission)| admission.encode(*node, out));
        put_u64(out, self.gone.len() as u64);
        for (node, disk) in &self.gone {
            put_u64(out, node.0.into());
            out.extend_from_slice(&disk.to_be_bytes());
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_, '_>) -> Result<Membership, DecodeError> {
        let mut membership = Membership::default();
        for _ in 0..from.count(NODES_MAX, "number of admitted nodes")? {
            let (node, admission) = Admission::decode(from)?;
            let is_next = membership.admitted.last_key_value().is_none_or(|(last, _)| *last < node);
            from.check(is_next, "admitted node")?;
            membership.admitted.insert(node, admission);
        }
        // Numbers can be used up in the long run: there are more of those than of nodes at a time.
        for _ in 0..from.count(usize::MAX, "number of removed nodes")? {
            let node = NodeId(from.u64_max(u32::MAX.into(), "removed node")? as u32);
            let disk = take_disk(from)?;
            let is_next = membership.gone.last_key_value().is_none_or(|(last, _)| *last < node);
            from.check(is_next && !membership.admitted.contains_key(&node), "removed node")?;
            membership.gone.insert(node, disk);
        }
        Ok(membership)
    }
}

impl Admission {
    /// Appends the node, its disk, and where it is.
    pub fn encode(&self, node: NodeId, out: &mut Vec<u8>) {
        put_u64(out, node.0.into());
        out.extend_from_slice(&self.disk.to_be_bytes());
        put_bytes(out, self.address.as_bytes());
    }

    /// Takes them off the front of what is being read.
    pub fn decode(from: &mut Decoder<'_, '_>) -> Result<(NodeId, Admission), DecodeError> {
        let node = NodeId(from.u64_max(u32::MAX.into(), "admitted node")? as u32);
        let disk = take_disk(from)?;
        from.check(disk != 0, "number of a disk")?;
        let address = from.text(NODE_TEXT_BYTES_MAX, "node's address")?.to_owned();
        Ok((node, Admission { disk, address }))
    }
}

fn take_disk(from: &mut Decoder<'_, '_>) -> Result<u128, DecodeError> {
    let bytes = from.take(16, "number of a disk")?;
    Ok(u128::from_be_bytes(bytes.try_into().expect("16 bytes")))
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
