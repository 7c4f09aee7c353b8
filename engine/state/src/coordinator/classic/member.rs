//! Members of a classic group, and what each change of them means for what the group counts.

use super::super::record::{FIXED_BYTES, LENGTH_BYTES};
use super::super::{Blob, Text, Ticket};
use super::Classic;
use torc_base::time::Mono;

/// A JoinGroup that is answered at the end of the joining phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Waiting {
    No,
    For(Ticket),
    /// Its connection has gone: the member has joined, but nobody knows whether it is still there.
    Gone,
}

/// A member. Timeouts are milliseconds.
#[derive(Debug)]
pub(in super::super) struct Member {
    pub(in super::super) instance: Option<Text>,
    pub(in super::super) client_id: Text,
    pub(in super::super) client_host: Text,
    pub(in super::super) session_timeout: i32,
    pub(in super::super) rebalance_timeout: i32,
    /// Names and metadata, in the member's order of preference.
    pub(in super::super) protocols: Box<[(Text, Blob)]>,
    pub(in super::super) assignment: Blob,
    /// It has not been part of a generation.
    pub(super) is_new: bool,
    pub(super) join: Waiting,
    pub(super) sync: Option<Ticket>,
    /// It has been told of the generation and has not asked for its assignment.
    pub(super) owes_sync: bool,
    /// When it is given up if nothing is heard of it.
    pub(super) deadline: Mono,
}

impl Member {
    /// What the member says of itself in `protocol`.
    pub(in super::super) fn metadata(&self, protocol: &str) -> Option<&Blob> {
        self.protocols.iter().find(|(name, _)| **name == *protocol).map(|(_, metadata)| metadata)
    }

    /// True while the coordinator owes it an answer: that it sends no heartbeats says nothing then. A new member
    /// waits for the longest time that any client waits for an answer, and no longer.
    pub(super) fn is_excused(&self) -> bool {
        !self.is_new && (matches!(self.join, Waiting::For(_)) || self.sync.is_some())
    }

    pub(super) fn has_protocols(&self, protocols: &[(Text, Blob)]) -> bool {
        *self.protocols == *protocols
    }

    pub(super) fn session_end(&self, now: Mono) -> Mono {
        now.plus_ms(self.session_timeout.max(0) as u64)
    }

    /// Bytes in the group's record at most, whichever protocol is chosen, without what is assigned to it.
    pub(super) fn told(&self, id: &str) -> usize {
        let instance = LENGTH_BYTES + self.instance.as_ref().map_or(0, |instance| instance.len());
        FIXED_BYTES + id.len() + instance + self.client_id.len() + self.client_host.len() + longest(&self.protocols)
    }

    /// Bytes of memory, roughly, with what the group keeps of it.
    pub(super) fn bytes(&self, id: &str) -> usize {
        let protocols = protocols_bytes(&self.protocols);
        let instance = self.instance.as_ref().map_or(0, |instance| NODE + 2 * instance.len());
        let texts = 3 * NODE + id.len() + self.client_id.len() + self.client_host.len() + self.assignment.len();
        size_of::<Member>() + texts + instance + protocols
    }
}

const NODE: usize = 64;

/// Bytes of memory of what a member says of itself.
pub(super) fn protocols_bytes(protocols: &[(Text, Blob)]) -> usize {
    protocols.iter().map(|(name, metadata)| NODE + name.len() + metadata.len()).sum()
}

/// Bytes of that in the protocol in which it says most, with its name, which may become the group's.
pub(super) fn longest(protocols: &[(Text, Blob)]) -> usize {
    protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).max().unwrap_or(0)
}

impl Classic {
    /// Adds a member, the first of which says what kind of group it is.
    pub(super) fn add(&mut self, id: Text, member: Member, protocol_type: &Text) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.clone());
        }
        assert!(self.protocol_type.as_ref() == Some(protocol_type), "members of one group have one protocol type");
        if let Some(instance) = &member.instance {
            let before = self.instances.insert(instance.clone(), id.clone());
            assert!(before.is_none(), "an instance has one member");
        }
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        self.pending.remove(&id);
        self.wake_at(member.deadline);
        self.count(&id, &member, true);
        let before = self.members.insert(id, member);
        assert!(before.is_none(), "a member is added once");
    }

    /// Takes a member out, with its answers open.
    pub(super) fn take(&mut self, id: &Text) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.count(id, &member, false);
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Changes a member.
    pub(super) fn change<T>(&mut self, id: &Text, change: impl FnOnce(&mut Member) -> T) -> T {
        let (key, mut member) = self.members.remove_entry(id).expect("a member of the group");
        self.count(&key, &member, false);
        let result = change(&mut member);
        self.wake_at(member.deadline);
        self.count(&key, &member, true);
        self.members.insert(key, member);
        result
    }

    /// Hears of a member: its session goes on from now.
    pub(super) fn touch(&mut self, id: &Text, now: Mono) {
        if let Some(member) = self.members.get_mut(id) {
            // Later than before, or the session got shorter; `wake` may be early, never late.
            member.deadline = member.session_end(now);
            self.wake = self.wake.min(member.deadline);
        }
    }

    /// Counts a member in, or out.
    fn count(&mut self, id: &Text, member: &Member, is_in: bool) {
        let (bytes, told, assigned) = (member.bytes(id), member.told(id), member.assignment.len());
        let joined = usize::from(member.join != Waiting::No);
        for (name, _) in &member.protocols {
            if is_in {
                *self.support.entry(name.clone()).or_default() += 1;
            } else {
                let left = self.support.get_mut(name).expect("was counted in");
                *left -= 1;
                if *left == 0 {
                    self.support.remove(name);
                }
            }
        }
        if is_in {
            self.bytes += bytes;
            self.told += told;
            self.assigned += assigned;
            self.joined += joined;
        } else {
            self.bytes -= bytes;
            self.told -= told;
            self.assigned -= assigned;
            self.joined -= joined;
        }
    }
}
