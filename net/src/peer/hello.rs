//! How a connection between two servers begins.

use super::frame::framed;
use super::kind;
use super::reader::HeadReader;
use std::fmt;
use std::ops::RangeInclusive;
use torc_base::buf::Buf;
use torc_base::ids::{NodeId, ShardId};
use torc_base::malformed::Malformed;

/// Versions of what follows the hello: both sides speak the highest that both know. From 2 on nodes tell the catalog when their logs
/// take less in one entry than others do: who does so speaks no older one. From 3 on they lend each other single entries, and know that only the last of
/// some holes says where records go on. From 4 on they say that they abstain from a vote, how long ZooKeeper's sessions live, and that
/// there is room again. Which kinds of what is said came with which version stands in one place (`shard/src/peers/known.rs`).
pub const VERSIONS: RangeInclusive<u16> = 1..=4;

/// Begins every hello, so that a client of another protocol is told from a peer of another version.
const MAGIC: [u8; 8] = *b"torcpeer";
/// Longest text of a refusal.
const TEXT_MAX: usize = 1024;

/// Who calls, and whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Lowest and highest version that the caller speaks.
    pub versions: (u16, u16),
    /// The cluster; 0 while the caller belongs to none yet.
    pub cluster: u128,
    /// The caller.
    pub node: NodeId,
    /// Drawn anew at each start of the caller: two processes that claim the same node differ in it.
    pub start: u64,
    /// The caller's shards.
    pub shards: u16,
    /// The shard that calls.
    pub from: ShardId,
    /// Whom the caller takes the answering server for, and which of its shards it wants.
    pub to_node: NodeId,
    /// The shard that is called.
    pub to: ShardId,
    /// The number of the caller's disk; 0: it does not say.
    pub disk: u128,
}

/// The caller is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that is spoken from here on.
    pub version: u16,
    /// As in [`Hello`], of the one that answers.
    pub cluster: u128,
    /// The same.
    pub start: u64,
    /// The same.
    pub shards: u16,
    /// The same.
    pub disk: u128,
}

/// The caller is not let in. Both sides log it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The same in words, with what to do.
    pub text: String,
}

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// It belongs to another cluster.
    Cluster = 1,
    /// No version is known to both.
    Version = 2,
    /// It wanted another node than the one that is here.
    Node = 3,
    /// Another process with its node id is connected.
    DoubledNode = 4,
    /// No node of the cluster has its id.
    UnknownNode = 5,
    /// There is no such shard here, or the caller's do not fit what was said before.
    Shard = 6,
    /// This server cannot serve peers yet; the caller may try again.
    NotReady = 7,
}

impl Reason {
    /// True if trying again may help without anybody doing something.
    pub fn is_passing(self) -> bool {
        matches!(self, Reason::NotReady | Reason::DoubledNode)
    }

    fn of(code: u8) -> Result<Reason, Malformed> {
        const ALL: [Reason; 7] = [
            Reason::Cluster,
            Reason::Version,
            Reason::Node,
            Reason::DoubledNode,
            Reason::UnknownNode,
            Reason::Shard,
            Reason::NotReady,
        ];
        ALL.into_iter().find(|reason| *reason as u8 == code).ok_or(Malformed { what: "a refusal's reason" })
    }
}

/// The number of a disk, which earlier builds did not say.
fn take_disk(reader: &mut HeadReader<'_>) -> Result<u128, Malformed> {
    if reader.rest.is_empty() { Ok(0) } else { reader.array("the number of a disk").map(u128::from_le_bytes) }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Hello {
    /// The frame, with its length.
    pub fn encode(&self) -> Buf {
        let mut head = Vec::with_capacity(80);
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&self.versions.0.to_le_bytes());
        head.extend_from_slice(&self.versions.1.to_le_bytes());
        head.extend_from_slice(&self.cluster.to_le_bytes());
        head.extend_from_slice(&self.node.0.to_le_bytes());
        head.extend_from_slice(&self.start.to_le_bytes());
        head.extend_from_slice(&self.shards.to_le_bytes());
        head.extend_from_slice(&self.from.0.to_le_bytes());
        head.extend_from_slice(&self.to_node.0.to_le_bytes());
        head.extend_from_slice(&self.to.0.to_le_bytes());
        head.extend_from_slice(&self.disk.to_le_bytes());
        framed(kind::HELLO, &head)
    }

    /// What a later version appends is not looked at.
    pub(super) fn decode(head: &[u8]) -> Result<Hello, Malformed> {
        let mut reader = HeadReader::new(head);
        if reader.array::<8>("a hello")? != MAGIC {
            return Err(Malformed { what: "a hello of another protocol" });
        }
        Ok(Hello {
            versions: (reader.u16("a hello's versions")?, reader.u16("a hello's versions")?),
            cluster: u128::from_le_bytes(reader.array("a hello's cluster")?),
            node: NodeId(reader.u32("a hello's node")?),
            start: reader.u64("a hello's start")?,
            shards: reader.u16("a hello's shards")?,
            from: ShardId(reader.u16("a hello's shard")?),
            to_node: NodeId(reader.u32("a hello's receiver")?),
            to: ShardId(reader.u16("a hello's receiver")?),
            disk: take_disk(&mut reader)?,
        })
    }

    /// The highest version that the caller and this server, which speaks `own`, know.
    pub fn common_version(&self, own: &RangeInclusive<u16>) -> Option<u16> {
        let highest = self.versions.1.min(*own.end());
        (highest >= self.versions.0.max(*own.start())).then_some(highest)
    }
}

impl Welcome {
    /// The frame, with its length.
    pub fn encode(&self) -> Buf {
        let mut head = Vec::with_capacity(48);
        head.extend_from_slice(&self.version.to_le_bytes());
        head.extend_from_slice(&self.cluster.to_le_bytes());
        head.extend_from_slice(&self.start.to_le_bytes());
        head.extend_from_slice(&self.shards.to_le_bytes());
        head.extend_from_slice(&self.disk.to_le_bytes());
        framed(kind::WELCOME, &head)
    }

    pub(super) fn decode(head: &[u8]) -> Result<Welcome, Malformed> {
        let mut reader = HeadReader::new(head);
        Ok(Welcome {
            version: reader.u16("a welcome's version")?,
            cluster: u128::from_le_bytes(reader.array("a welcome's cluster")?),
            start: reader.u64("a welcome's start")?,
            shards: reader.u16("a welcome's shards")?,
            disk: take_disk(&mut reader)?,
        })
    }
}

impl Refusal {
    /// The frame, with its length. The text is cut to 1 KiB.
    pub fn encode(&self) -> Buf {
        let most = self.text.len().min(TEXT_MAX);
        let cut = (0..=most).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let mut head = vec![self.reason as u8];
        head.extend_from_slice(&self.text.as_bytes()[..cut]);
        framed(kind::REFUSAL, &head)
    }

    pub(super) fn decode(head: &[u8]) -> Result<Refusal, Malformed> {
        let mut reader = HeadReader::new(head);
        let reason = Reason::of(reader.u8("a refusal's reason")?)?;
        let text = &reader.rest[..reader.rest.len().min(TEXT_MAX)];
        Ok(Refusal { reason, text: String::from_utf8_lossy(text).into_owned() })
    }
}
