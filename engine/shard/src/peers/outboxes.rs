//! What leaves for other nodes: messages of consensus and mail, gathered for each node and taken once in a turn. With one
//! node nothing ever lies here.

use crate::mail::{Mail, Place};
use std::collections::BTreeMap;
use torc_base::ids::{BatchSeq, GroupId, NodeId, ShardId};
use torc_consensus::Message;

/// What one node is told in one turn, in the order in which it was said. The entries that a message names are read from
/// the log by whoever carries it.
#[derive(Debug, Default)]
pub struct Parcel {
    pub messages: Vec<(GroupId, Message)>,
    /// For a shard of that node.
    pub mail: Vec<(ShardId, Mail)>,
}

/// Parcels by node.
#[derive(Debug, Default)]
pub struct Outboxes {
    ready: BTreeMap<NodeId, Parcel>,
    /// What may not leave before a batch of this log is durable, and the order in which it was said.
    held: BTreeMap<(BatchSeq, u64), (NodeId, GroupId, Message)>,
    /// Of what a member of a group is held back the newest: later ones fold into it as long as the group writes nothing. A disk may stand still for
    /// minutes, and its node be asked all the time.
    newest: BTreeMap<(NodeId, GroupId), (BatchSeq, u64)>,
    said: u64,
}

impl Outboxes {
    /// A message that may leave at once.
    pub fn send(&mut self, to: NodeId, group: GroupId, message: Message) {
        self.ready.entry(to).or_default().messages.push((group, message));
    }

    /// A message that leaves when batch `wrote` is durable; now `durable` is.
    pub fn send_behind(&mut self, wrote: BatchSeq, durable: BatchSeq, to: NodeId, group: GroupId, message: Message) {
        if wrote <= durable {
            return self.send(to, group, message);
        }
        if let Some(at) = self.newest.get(&(to, group)).filter(|at| at.0 == wrote)
            && let Some((_, _, waits)) = self.held.get_mut(at)
            && waits.absorb(&message)
        {
            return;
        }
        self.said += 1;
        self.held.insert((wrote, self.said), (to, group, message));
        self.newest.insert((to, group), (wrote, self.said));
    }

    /// Mail for a shard of another node.
    pub fn post(&mut self, to: Place, mail: Mail) {
        self.ready.entry(to.node).or_default().mail.push((to.shard, mail));
    }

    /// All batches through `seq` are durable.
    pub fn durable(&mut self, seq: BatchSeq) {
        while let Some(entry) = self.held.first_entry()
            && entry.key().0 <= seq
        {
            let (at, (to, group, message)) = entry.remove_entry();
            if self.newest.get(&(to, group)) == Some(&at) {
                self.newest.remove(&(to, group));
            }
            self.send(to, group, message);
        }
    }

    /// Nothing gets durable any more: what waits for it is never said.
    pub fn never(&mut self) {
        self.held.clear();
        self.newest.clear();
    }

    /// The group is gone: nothing more is said of it.
    pub fn forget(&mut self, group: GroupId) {
        self.held.retain(|_, (_, of, _)| *of != group);
        self.newest.retain(|(_, of), _| *of != group);
        self.ready.values_mut().for_each(|parcel| parcel.messages.retain(|(of, _)| *of != group));
    }

    /// True if nothing is to leave.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// What leaves now.
    pub fn take(&mut self) -> BTreeMap<NodeId, Parcel> {
        std::mem::take(&mut self.ready)
    }
}

#[cfg(test)]
#[path = "outboxes_tests.rs"]
mod tests;
