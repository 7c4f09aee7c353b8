//! The nodes of a cluster as the catalog knows them.

use crate::codec::{DecodeError, Decoder, put_bytes, put_u64};
use torc_base::ids::NodeId;
use torc_base::limits::{LISTENERS_MAX, NODE_TEXT_BYTES_MAX, SHARDS_MAX};

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
}

impl Node {
    /// The address for clients of that listener; of a node that has fewer of them, of its first one.
    pub fn advertised(&self, listener: usize) -> Option<&(String, u16)> {
        self.listeners.get(listener).or(self.listeners.first())
    }

    /// Appends it for the log or a checkpoint.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.id.0.into());
        out.extend_from_slice(&self.start.to_be_bytes());
        out.push(self.rack.is_some().into());
        self.rack.iter().for_each(|rack| put_bytes(out, rack.as_bytes()));
        put_u64(out, self.listeners.len() as u64);
        for (host, port) in &self.listeners {
            put_bytes(out, host.as_bytes());
            put_u64(out, (*port).into());
        }
        put_u64(out, self.shards.into());
    }

    /// Takes it off the front of what is being read.
    pub fn decode(from: &mut Decoder<'_, '_>) -> Result<Node, DecodeError> {
        let id = NodeId(from.u64_max(u32::MAX.into(), "node's id")? as u32);
        let start = from.take(8, "node's start")?;
        let start = u64::from_be_bytes(start.try_into().expect("8 bytes"));
        let rack = match from.u8("node's rack")? {
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
        Ok(Node { id, start, rack, listeners, shards })
    }
}
