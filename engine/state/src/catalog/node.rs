//! The nodes of a cluster as the catalog knows them.

use crate::codec::{DecodeError, Decoder, put_bytes, put_u64};
use torc_base::ids::{GroupId, NodeId};
use torc_base::limits::{ENTRY_BYTES_ANYWHERE, ENTRY_BYTES_MAX, LISTENERS_MAX, NODE_TEXT_BYTES_MAX, SHARDS_MAX};

/// A shard's disk from one loss of what it had promised to the next.
///
/// A disk that has nothing of a group may be new and have taken the place of one that voted there, or it may just not have got as
/// far: only who knows which of both came first can tell. Ids of groups grow, so one of them says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Another one in each life. 0: it has had all since the cluster was founded.
    pub number: u64,
    /// Groups from this one on were made when the catalog knew of this life: no other disk can have promised anything there.
    /// What a node says of itself does not count.
    pub since: GroupId,
}

impl Life {
    /// As a node tells of it.
    pub fn of(number: u64) -> Life {
        Life { number, since: GroupId(u64::MAX) }
    }
}

/// A node as it has last said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Kafka's broker id.
    pub id: NodeId,
    /// Drawn at the start that it speaks of.
    pub start: u64,
    /// `broker.rack`
    pub rack: Option<String>,
    /// Host and port that clients are told, by the listener that they use themselves.
    pub listeners: Vec<(String, u16)>,
    /// Shards of its data directory.
    pub shards: u16,
    /// Those of its disks, by shard; none if all have the number 0.
    pub lives: Vec<Life>,
    /// The longest entry that its logs take: its segments may be smaller than those of others.
    pub entry_bytes_max: usize,
}

/// Added to the byte that says whether there is a rack.
const WITH_LIVES: u8 = 2;
const WITH_ENTRY_BYTES: u8 = 4;

impl Node {
    /// The address for clients of that listener; of a node that has fewer of them, of its first one.
    pub fn advertised(&self, listener: usize) -> Option<&(String, u16)> {
        self.listeners.get(listener).or(self.listeners.first())
    }

    /// True if a node that says this of itself is known as it is.
    pub fn is_as_said(&self, said: &Node) -> bool {
        let Node { id, start, rack, listeners, shards, lives, entry_bytes_max } = said;
        let numbers = |life: &Life| life.number;
        (self.id, self.start, self.shards, self.entry_bytes_max) == (*id, *start, *shards, *entry_bytes_max)
            && (&self.rack, &self.listeners) == (rack, listeners)
            && self.lives.iter().map(numbers).eq(lives.iter().map(numbers))
    }

    /// The node as it was known `before` says something new: lives go on, or begin with the group `next`.
    pub(super) fn live_on(&mut self, before: Option<&Node>, next: GroupId) {
        let before = before.map_or(&[][..], |node| &node.lives);
        for (shard, life) in self.lives.iter_mut().enumerate() {
            let known = before.get(shard).filter(|known| known.number == life.number);
            life.since = known.map_or(next, |known| known.since);
        }
    }

    /// Appends it for the log or a checkpoint.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.id.0.into());
        out.extend_from_slice(&self.start.to_be_bytes());
        // Without lives, and of logs that take all entries, an older torc can read it, too.
        let lives = if self.lives.is_empty() { 0 } else { WITH_LIVES };
        let takes_less = self.entry_bytes_max < ENTRY_BYTES_MAX;
        out.push(u8::from(self.rack.is_some()) | lives | if takes_less { WITH_ENTRY_BYTES } else { 0 });
        self.rack.iter().for_each(|rack| put_bytes(out, rack.as_bytes()));
        put_u64(out, self.listeners.len() as u64);
        for (host, port) in &self.listeners {
            put_bytes(out, host.as_bytes());
            put_u64(out, (*port).into());
        }
        put_u64(out, self.shards.into());
        for Life { number, since } in &self.lives {
            out.extend_from_slice(&number.to_be_bytes());
            put_u64(out, since.0);
        }
        if takes_less {
            put_u64(out, self.entry_bytes_max as u64);
        }
    }

    /// Takes it off the front of what is being read.
    pub fn decode(from: &mut Decoder<'_, '_>) -> Result<Node, DecodeError> {
        let id = NodeId(from.u64_max(u32::MAX.into(), "node's id")? as u32);
        let start = from.take(8, "node's start")?;
        let start = u64::from_be_bytes(start.try_into().expect("8 bytes"));
        let flags = from.u8("node's rack")?;
        let rack = match flags & !(WITH_LIVES | WITH_ENTRY_BYTES) {
            0 => None,
            1 => Some(from.text(NODE_TEXT_BYTES_MAX, "node's rack")?.to_owned()),
            _ => return Err(from.bad("node's rack")),
        };
        let mut listeners = Vec::new();
        for _ in 0..from.count(LISTENERS_MAX, "node's listeners")? {
            let host = from.text(NODE_TEXT_BYTES_MAX, "listener's host")?.to_owned();
            listeners.push((host, from.u64_max(u16::MAX.into(), "listener's port")? as u16));
        }
        let shards = from.u64_max(SHARDS_MAX as u64, "node's shards")? as u16;
        from.check(shards > 0, "node's shards")?;
        let mut lives = Vec::new();
        for _ in 0..if flags & WITH_LIVES == 0 { 0 } else { shards } {
            let number = from.take(8, "number of a life")?;
            let number = u64::from_be_bytes(number.try_into().expect("8 bytes"));
            lives.push(Life { number, since: GroupId(from.u64("first group of a life")?) });
        }
        let entry_bytes_max = match flags & WITH_ENTRY_BYTES {
            0 => ENTRY_BYTES_MAX,
            _ => from.u64_max(ENTRY_BYTES_MAX as u64 - 1, "longest entry of a node's logs")? as usize,
        };
        from.check(entry_bytes_max >= ENTRY_BYTES_ANYWHERE, "longest entry of a node's logs")?;
        Ok(Node { id, start, rack, listeners, shards, lives, entry_bytes_max })
    }
}
