//! A change of the catalog, as its log holds it.

use super::moves::{put_ended, put_wishes, take_ended, take_wishes};
use super::{Admission, Ended, Node, Replicas, Wishes};
use crate::codec::{DecodeError, Decoder, put_bytes, put_i64, put_u64};
use crate::config::Overrides;
use torc_base::ids::{GroupId, NodeId, TopicId};
use torc_base::limits::{GROUP_NAME_BYTES_MAX, TOPIC_NAME_MAX, TOPIC_PARTITIONS_MAX};
use torc_base::time::Wall;

/// First byte of an encoded command.
const VERSION: u8 = 1;
/// Settings of one topic.
const OVERRIDES_MAX: usize = 128;
/// Bytes of a setting's key, and of its value.
const OVERRIDE_BYTES_MAX: usize = 4096;

/// A planned change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A topic is made; its partitions are the groups from `first_group` on. `replicas`: of each of them, or empty.
    CreateTopic {
        name: String,
        id: TopicId,
        first_group: GroupId,
        partitions: u32,
        replication: i16,
        replicas: Replicas,
        config: Overrides,
        created: Wall,
    },
    /// A topic and all its records are gone.
    DeleteTopic { id: TopicId },
    /// A topic has `total` partitions; the new ones are the groups from `first_group` on, with `replicas` of their own.
    AddPartitions { id: TopicId, total: u32, first_group: GroupId, replicas: Replicas },
    /// A topic has these settings of its own, and no others.
    SetConfig { id: TopicId, config: Overrides },
    /// A consumer group has these settings of its own, and no others.
    SetGroupConfig { group: String, config: Overrides },
    /// Producer ids below `up_to` are given away.
    AllocateProducerIds { up_to: i64 },
    /// A node has started, and says this of itself.
    RegisterNode(Node),
    /// A server is one of the cluster from now on, with this disk and at this address.
    AdmitNode { node: NodeId, admission: Admission },
    /// A server that has no replicas any more belongs to the cluster no longer, and its disk never again.
    RemoveNode(NodeId),
    /// Partitions of a topic are to have other replicas, or the ones that they had.
    Move { id: TopicId, wishes: Wishes },
    /// Partitions of a topic have come to the replicas that they were to have.
    EndMoves { id: TopicId, ended: Vec<Ended> },
    /// A node is to lose all its replicas, and then to be taken out, or to stay after all.
    Leave { node: NodeId, leaving: bool },
}

/// Added to the number of a command with replicas, which stand behind what older torcs wrote of it.
const WITH_REPLICAS: u8 = 0x40;
const CREATE_WITH_REPLICAS: u8 = 1 | WITH_REPLICAS;
const ADD_WITH_REPLICAS: u8 = 3 | WITH_REPLICAS;

impl Command {
    /// Appends the command.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match self {
            Command::CreateTopic { name, id, first_group, partitions, replication, replicas, config, created } => {
                out.push(1 | with(replicas));
                put_bytes(out, name.as_bytes());
                put_topic_id(out, *id);
                put_u64(out, first_group.0);
                put_u64(out, u64::from(*partitions));
                put_u64(out, *replication as u64);
                put_overrides(out, config);
                put_i64(out, created.0);
                put_replicas(out, replicas);
            }
            Command::DeleteTopic { id } => {
                out.push(2);
                put_topic_id(out, *id);
            }
            Command::AddPartitions { id, total, first_group, replicas } => {
                out.push(3 | with(replicas));
                put_topic_id(out, *id);
                put_u64(out, u64::from(*total));
                put_u64(out, first_group.0);
                put_replicas(out, replicas);
            }
            Command::SetConfig { id, config } => {
                out.push(4);
                put_topic_id(out, *id);
                put_overrides(out, config);
            }
            Command::AllocateProducerIds { up_to } => {
                out.push(5);
                put_u64(out, *up_to as u64);
            }
            Command::SetGroupConfig { group, config } => {
                out.push(6);
                put_bytes(out, group.as_bytes());
                put_overrides(out, config);
            }
            Command::RegisterNode(node) => {
                out.push(7);
                node.encode(out);
            }
            Command::AdmitNode { node, admission } => {
                out.push(8);
                admission.encode(*node, out);
            }
            Command::RemoveNode(node) => {
                out.push(9);
                put_u64(out, node.0.into());
            }
            Command::Move { id, wishes } => {
                out.push(10);
                put_topic_id(out, *id);
                put_wishes(out, wishes);
            }
            Command::EndMoves { id, ended } => {
                out.push(11);
                put_topic_id(out, *id);
                put_ended(out, ended);
            }
            Command::Leave { node, leaving } => {
                out.push(if *leaving { 12 } else { 13 });
                put_u64(out, node.0.into());
            }
        }
    }

    /// The command that all of `bytes` are.
    pub fn decode(mut bytes: &[u8]) -> Result<Command, DecodeError> {
        let mut from = Decoder::new(&mut bytes);
        let version = from.u8("command's version")?;
        from.check(version == VERSION, "command's version")?;
        let partitions_max = TOPIC_PARTITIONS_MAX as u64;
        let number = from.u8("command")?;
        let command = match number {
            1 | CREATE_WITH_REPLICAS => Command::CreateTopic {
                name: from.text(TOPIC_NAME_MAX, "topic's name")?.into(),
                id: take_topic_id(&mut from)?,
                first_group: GroupId(from.u64("first group")?),
                partitions: from.u64_max(partitions_max, "number of partitions")? as u32,
                replication: from.u64_max(i16::MAX as u64, "replication factor")? as i16,
                config: take_overrides(&mut from)?,
                created: Wall(from.i64("topic's time")?),
                replicas: take_replicas(&mut from, number)?,
            },
            2 => Command::DeleteTopic { id: take_topic_id(&mut from)? },
            3 | ADD_WITH_REPLICAS => Command::AddPartitions {
                id: take_topic_id(&mut from)?,
                total: from.u64_max(partitions_max, "number of partitions")? as u32,
                first_group: GroupId(from.u64("first group")?),
                replicas: take_replicas(&mut from, number)?,
            },
            4 => Command::SetConfig { id: take_topic_id(&mut from)?, config: take_overrides(&mut from)? },
            5 => Command::AllocateProducerIds { up_to: from.positive("producer id")? },
            6 => Command::SetGroupConfig {
                group: from.text(GROUP_NAME_BYTES_MAX, "group's name")?.into(),
                config: take_overrides(&mut from)?,
            },
            7 => Command::RegisterNode(Node::decode(&mut from)?),
            8 => {
                let (node, admission) = Admission::decode(&mut from)?;
                Command::AdmitNode { node, admission }
            }
            9 => Command::RemoveNode(NodeId(from.u64_max(u32::MAX.into(), "removed node")? as u32)),
            10 => Command::Move { id: take_topic_id(&mut from)?, wishes: take_wishes(&mut from)? },
            11 => Command::EndMoves { id: take_topic_id(&mut from)?, ended: take_ended(&mut from)? },
            12 | 13 => Command::Leave { node: take_node(&mut from)?, leaving: number == 12 },
            _ => return Err(from.bad("command")),
        };
        if bytes.is_empty() { Ok(command) } else { Err(DecodeError { what: "command's end", left: bytes.len() }) }
    }
}

fn with(replicas: &Replicas) -> u8 {
    if replicas.is_empty() { 0 } else { WITH_REPLICAS }
}

fn put_replicas(out: &mut Vec<u8>, replicas: &Replicas) {
    if !replicas.is_empty() {
        replicas.encode(out);
    }
}

fn take_replicas(from: &mut Decoder<'_, '_>, number: u8) -> Result<Replicas, DecodeError> {
    if number & WITH_REPLICAS == 0 {
        return Ok(Replicas::default());
    }
    let replicas = Replicas::decode(from)?;
    from.check(!replicas.is_empty(), "replicas")?;
    Ok(replicas)
}

fn take_node(from: &mut Decoder<'_, '_>) -> Result<NodeId, DecodeError> {
    Ok(NodeId(from.u64_max(u32::MAX.into(), "node's id")? as u32))
}

fn put_topic_id(out: &mut Vec<u8>, id: TopicId) {
    out.extend_from_slice(&id.0.to_be_bytes());
}

pub(super) fn take_topic_id(from: &mut Decoder<'_, '_>) -> Result<TopicId, DecodeError> {
    let bytes = from.take(16, "topic's id")?;
    Ok(TopicId(u128::from_be_bytes(bytes.try_into().expect("16 bytes"))))
}

pub(super) fn put_overrides(out: &mut Vec<u8>, overrides: &Overrides) {
    put_u64(out, overrides.len() as u64);
    for (key, value) in overrides {
        put_bytes(out, key.as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

pub(super) fn take_overrides(from: &mut Decoder<'_, '_>) -> Result<Overrides, DecodeError> {
    let mut overrides = Overrides::new();
    for _ in 0..from.count(OVERRIDES_MAX, "number of settings")? {
        let key = from.text(OVERRIDE_BYTES_MAX, "setting's key")?;
        let value = from.text(OVERRIDE_BYTES_MAX, "setting's value")?;
        overrides.insert(key.into(), value.into());
    }
    Ok(overrides)
}
