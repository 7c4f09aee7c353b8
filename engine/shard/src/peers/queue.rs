//! What waits for one link: messages between members of groups, mail, and word of what was not taken in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use torc_base::ids::GroupId;
use torc_base::limits::{PEER_MAIL_BYTES_MAX, PEER_MAIL_WAITING_MAX, PEER_MESSAGES_MAX};
use torc_consensus::{Body, Message};
use torc_wal::Item;

/// Entries that are in memory, and the message that offers them.
#[derive(Debug)]
pub struct Landed {
    pub group: GroupId,
    pub message: Message,
    pub items: Vec<Item>,
}

impl Landed {
    fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.bytes.len() as u64).sum()
    }
}

/// What waits for one link.
#[derive(Debug, Default)]
pub struct Queue {
    /// In the order in which it was said.
    messages: Vec<(GroupId, Message)>,
    /// Where the last message of a group stands among them: only that one takes others in.
    last: BTreeMap<GroupId, usize>,
    /// Entries of messages, read from the disk.
    landed: VecDeque<Landed>,
    landed_bytes: u64,
    /// Reads for this link that are under way.
    pub reading: usize,
    /// For the shard at its other end.
    mail: VecDeque<Vec<u8>>,
    mail_bytes: usize,
    untaken: BTreeSet<GroupId>,
    /// Something waits that is not to wait for company.
    urgent: bool,
    /// More waited than a link may have: what came then is lost.
    overflowed: bool,
}

impl Queue {
    /// A message to a member of a group. Followers need not know of a commit at once, but for those of the catalog and the
    /// tree, which clients of theirs wait for: it leaves with what else there is to say, or in the place of a beat.
    pub fn message(&mut self, group: GroupId, message: Message) {
        let is_awaited = matches!(group, GroupId::CATALOG | GroupId::TREE);
        self.urgent |= is_awaited || !matches!(message.body, Body::Commit { .. });
        if let Some(at) = self.last.get(&group)
            && self.messages[*at].1.absorb(&message)
        {
            return;
        }
        if self.messages.len() == PEER_MESSAGES_MAX {
            self.overflowed = true;
            return;
        }
        self.last.insert(group, self.messages.len());
        self.messages.push((group, message));
    }

    /// Mail, in its wire form.
    pub fn mail(&mut self, bytes: Vec<u8>) {
        if bytes.len() > PEER_MAIL_BYTES_MAX || self.mail_bytes + bytes.len() > PEER_MAIL_WAITING_MAX {
            self.overflowed = true;
            return;
        }
        self.mail_bytes += bytes.len();
        self.mail.push_back(bytes);
        self.urgent = true;
    }

    /// A message to a member of this group was not taken in here.
    pub fn untaken(&mut self, group: GroupId) {
        self.untaken.insert(group);
        self.urgent = true;
    }

    /// Entries have come from the disk.
    pub fn land(&mut self, landed: Landed) {
        self.landed_bytes += landed.bytes();
        self.landed.push_back(landed);
        self.urgent = true;
    }

    /// The next of those, if `takes` says so.
    pub fn next_landed(&mut self, takes: impl FnOnce(&Landed) -> bool) -> Option<Landed> {
        if !takes(self.landed.front()?) {
            return None;
        }
        let landed = self.landed.pop_front()?;
        self.landed_bytes -= landed.bytes();
        Some(landed)
    }

    /// Bytes of entries that have come from the disk, and have not left.
    pub fn landed_bytes(&self) -> u64 {
        self.landed_bytes
    }

    /// What waits is to wait no longer. False if nothing does, or it does not wait for company.
    pub fn urge(&mut self) -> bool {
        let waits = !self.messages.is_empty() && !self.urgent;
        self.urgent |= waits;
        waits
    }

    /// All messages, in their order; those that do not leave are put in again.
    pub fn take_messages(&mut self) -> Vec<(GroupId, Message)> {
        self.last.clear();
        self.urgent = !self.landed.is_empty() || !self.mail.is_empty() || !self.untaken.is_empty();
        std::mem::take(&mut self.messages)
    }

    /// An emptied list, to be filled again, if that is not done with another one already.
    pub fn give_back(&mut self, emptied: Vec<(GroupId, Message)>) {
        assert!(emptied.is_empty());
        if self.messages.capacity() == 0 {
            self.messages = emptied;
        }
    }

    /// The next mail, if it has at most `room` bytes.
    pub fn next_mail(&mut self, room: impl FnOnce(usize) -> bool) -> Option<Vec<u8>> {
        if !room(self.mail.front()?.len()) {
            return None;
        }
        let mail = self.mail.pop_front()?;
        self.mail_bytes -= mail.len();
        Some(mail)
    }

    /// Groups whose messages were not taken in, `most` at once.
    pub fn take_untaken(&mut self, most: usize) -> Vec<GroupId> {
        std::iter::from_fn(|| self.untaken.pop_first()).take(most).collect()
    }

    /// True if something is to leave now.
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// True if nothing waits.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.landed.is_empty() && self.mail.is_empty() && self.untaken.is_empty()
    }

    /// True if something was lost here.
    pub fn has_overflowed(&self) -> bool {
        self.overflowed
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
