//! Mail as it travels between nodes: those kinds that are for shards of other nodes. What comes is not trusted: every length
//! is checked before it is used, and mail that is not sound is none.

use super::{
    Admin, AdminResult, Answer, Ask, ConfigChange, HandOver, Leaders, Led, Mail, Member, MorePartitions, NewTopic,
    Quorum, Reassign, Resource, Token, TopicRef,
};
use crate::groups::{Arrival, DIGEST_RANGE, Digest, Lending, TreeTold};
use crate::znodes::TreeMail;
use std::sync::Arc;
use torc_base::ids::{GroupId, Index, LeaderEpoch, NodeId, Offset, ProducerId, TopicId};
use torc_base::limits::MOVE_MEMBERS_MAX;
use torc_base::time::Wall;
use torc_state::catalog::{Admission, Node, Topic};
use torc_state::codec::{DecodeError, Decoder, put_bytes, put_i64, put_u64};
use torc_state::config::{Alter, Overrides, TopicConfig};

/// First byte of all mail.
const VERSION: u8 = 1;
/// By number.
const HAND_OVERS: [HandOver; 4] = [HandOver::Begun, HandOver::NotNeeded, HandOver::NotAvailable, HandOver::NotLeader];

/// Kinds of mail.
mod kind {
    pub const ASK_PRODUCER_ID: u8 = 1;
    pub const ASK_ADMIN: u8 = 2;
    pub const ASK_REGISTER: u8 = 3;
    pub const ANSWER_PRODUCER_ID: u8 = 4;
    pub const ANSWER_COMMITTED: u8 = 5;
    pub const LEADERS: u8 = 6;
    pub const ASK_ADMIT: u8 = 7;
    pub const DIGESTS: u8 = 15;
    pub const TREE: u8 = 16;
    pub const TREE_START: u8 = 17;
    pub const LENDING: u8 = 18;
    pub const ROOM: u8 = 19;
    pub const ASK_ARRIVED: u8 = 20;
    pub const ASK_ELECT: u8 = 21;
    pub const ANSWER_ELECTED: u8 = 22;
    pub const ASK_QUORUMS: u8 = 23;
    pub const ANSWER_QUORUMS: u8 = 24;
}

type Read<T> = Result<T, DecodeError>;

/// Mail in bytes; `None` of kinds that stay inside a node.
pub fn encode(mail: &Mail) -> Option<Vec<u8>> {
    let mut out = vec![VERSION];
    let mut begin = |kind: u8, token: &Token| {
        out.push(kind);
        put_u64(&mut out, token.0);
    };
    match mail {
        Mail::Ask { token, ask: Ask::ProducerId } => begin(kind::ASK_PRODUCER_ID, token),
        Mail::Ask { token, ask: Ask::Admin(admin) } => {
            begin(kind::ASK_ADMIN, token);
            put_admin(&mut out, admin);
        }
        Mail::Ask { token, ask: Ask::Register(node) } => {
            begin(kind::ASK_REGISTER, token);
            node.encode(&mut out);
        }
        Mail::Ask { token, ask: Ask::Admit(node, admission) } => {
            begin(kind::ASK_ADMIT, token);
            admission.encode(*node, &mut out);
        }
        Mail::Ask { token, ask: Ask::Arrived(arrived) } => {
            begin(kind::ASK_ARRIVED, token);
            put_list(&mut out, arrived, |out, Arrival { group, number, members }| {
                [group.0, number.0, members.0].into_iter().for_each(|part| put_u64(out, part));
            });
        }
        Mail::Ask { token, ask: Ask::Elect(parts) } => {
            begin(kind::ASK_ELECT, token);
            put_list(&mut out, parts, |out, (position, group, to)| {
                [(*position).into(), group.0, to.0.into()].into_iter().for_each(|part| put_u64(out, part));
            });
        }
        Mail::Ask { token, ask: Ask::Quorums(parts) } => {
            begin(kind::ASK_QUORUMS, token);
            put_list(&mut out, parts, |out, (position, group)| {
                [(*position).into(), group.0].into_iter().for_each(|part| put_u64(out, part));
            });
        }
        Mail::Answer { token, answer: Answer::Elected(parts) } => {
            begin(kind::ANSWER_ELECTED, token);
            put_list(&mut out, parts, |out, (position, what)| {
                put_u64(out, (*position).into());
                put_u64(out, *what as u64);
            });
        }
        Mail::Answer { token, answer: Answer::Quorums(parts) } => {
            begin(kind::ANSWER_QUORUMS, token);
            put_list(&mut out, parts, |out, (position, quorum)| {
                put_u64(out, (*position).into());
                put_u64(out, quorum.is_some().into());
                if let Some(quorum) = quorum {
                    put_quorum(out, quorum);
                }
            });
        }
        Mail::Answer { token, answer: Answer::ProducerId(result) } => {
            begin(kind::ANSWER_PRODUCER_ID, token);
            let (code, id) = result.map_or_else(|code| (code, 0), |id| (0, id.get()));
            put_i64(&mut out, code.into());
            put_i64(&mut out, id);
        }
        Mail::Answer { token, answer: Answer::Committed { index, results } } => {
            begin(kind::ANSWER_COMMITTED, token);
            put_u64(&mut out, index.0);
            put_list(&mut out, results, put_result);
        }
        Mail::Digests(digests) => {
            out.push(kind::DIGESTS);
            put_list(&mut out, digests, |out, word| {
                put_u64(out, word.group.0);
                put_u64(out, word.last.0);
                out.extend_from_slice(&word.digest.to_be_bytes());
            });
        }
        Mail::Tree(mail) => {
            out.push(kind::TREE);
            mail.encode(&mut out);
        }
        Mail::TreeStart(told) => {
            out.push(kind::TREE_START);
            told.encode(&mut out);
        }
        Mail::Lending(told) => {
            out.push(kind::LENDING);
            told.encode(&mut out);
        }
        Mail::Room => out.push(kind::ROOM),
        Mail::Leaders(leaders) => {
            out.push(kind::LEADERS);
            put_list(&mut out, leaders, put_led);
        }
        _ => return None,
    }
    Some(out)
}

/// The mail that all of `bytes` are. `defaults`: what topics inherit.
pub fn decode(mut bytes: &[u8], defaults: &TopicConfig) -> Read<Mail> {
    let mut from = Decoder::new(&mut bytes);
    let version = from.u8("mail's version")?;
    from.check(version == VERSION, "mail's version")?;
    let what = from.u8("kind of mail")?;
    let mail = if what == kind::LEADERS {
        Mail::Leaders(take_leaders(&mut from)?)
    } else if what == kind::TREE {
        Mail::Tree(Box::new(TreeMail::decode(&mut from)?))
    } else if what == kind::TREE_START {
        Mail::TreeStart(Box::new(TreeTold::decode(&mut from)?))
    } else if what == kind::LENDING {
        Mail::Lending(Box::new(Lending::decode(&mut from)?))
    } else if what == kind::ROOM {
        Mail::Room
    } else if what == kind::DIGESTS {
        Mail::Digests(take_list(&mut from, "digests", |from| {
            let (group, last) = (GroupId(from.u64("group")?), Index(from.u64("entry")?));
            from.check(last.0 > 0 && last.0.is_multiple_of(DIGEST_RANGE), "entry")?;
            let digest = u64::from_be_bytes(from.take(8, "digest")?.try_into().expect("8 bytes"));
            Ok(Digest { group, last, digest })
        })?)
    } else {
        let token = Token(from.u64("token")?);
        match what {
            kind::ASK_PRODUCER_ID => Mail::Ask { token, ask: Ask::ProducerId },
            kind::ASK_ADMIN => Mail::Ask { token, ask: Ask::Admin(take_admin(&mut from)?) },
            kind::ASK_REGISTER => Mail::Ask { token, ask: Ask::Register(Box::new(Node::decode(&mut from)?)) },
            kind::ASK_ADMIT => {
                let (node, admission) = Admission::decode(&mut from)?;
                Mail::Ask { token, ask: Ask::Admit(node, admission) }
            }
            kind::ASK_ARRIVED => {
                let arrived = take_list(&mut from, "groups that have come", |from| {
                    let group = GroupId(from.u64("group")?);
                    let (number, members) = (Index(from.u64("move's number")?), Index(from.u64("index")?));
                    Ok(Arrival { group, number, members })
                })?;
                Mail::Ask { token, ask: Ask::Arrived(arrived) }
            }
            kind::ASK_ELECT => {
                let parts = take_list(&mut from, "groups", |from| {
                    let (position, group) = (take_u32(from, "position")?, GroupId(from.u64("group")?));
                    Ok((position, group, NodeId(take_u32(from, "leader")?)))
                })?;
                Mail::Ask { token, ask: Ask::Elect(parts) }
            }
            kind::ASK_QUORUMS => {
                let parts = take_list(&mut from, "groups", |from| {
                    Ok((take_u32(from, "position")?, GroupId(from.u64("group")?)))
                })?;
                Mail::Ask { token, ask: Ask::Quorums(parts) }
            }
            kind::ANSWER_ELECTED => {
                let parts = take_list(&mut from, "elections", |from| {
                    let position = take_u32(from, "position")?;
                    Ok((position, HAND_OVERS[from.u64_max(HAND_OVERS.len() as u64 - 1, "hand-over")? as usize]))
                })?;
                Mail::Answer { token, answer: Answer::Elected(parts) }
            }
            kind::ANSWER_QUORUMS => {
                let parts = take_list(&mut from, "quorums", |from| {
                    let (position, is_led) = (take_u32(from, "position")?, from.u64_max(1, "whether it is led")? == 1);
                    Ok((position, if is_led { Some(take_quorum(from)?) } else { None }))
                })?;
                Mail::Answer { token, answer: Answer::Quorums(parts) }
            }
            kind::ANSWER_PRODUCER_ID => {
                let (code, id) = (take_i16(&mut from, "error code")?, from.i64("producer id")?);
                from.check(id >= 0, "producer id")?;
                let result = if code == 0 { Ok(ProducerId(id)) } else { Err(code) };
                Mail::Answer { token, answer: Answer::ProducerId(result) }
            }
            kind::ANSWER_COMMITTED => {
                let index = Index(from.u64("index")?);
                let results = take_list(&mut from, "results", |from| take_result(from, defaults))?;
                Mail::Answer { token, answer: Answer::Committed { index, results } }
            }
            _ => return Err(from.bad("kind of mail")),
        }
    };
    from.check(from.is_empty(), "mail's end")?;
    Ok(mail)
}

fn put_list<T>(out: &mut Vec<u8>, list: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    put_u64(out, list.len() as u64);
    list.iter().for_each(|item| put(out, item));
}

/// A list of things that take at least one byte each.
fn take_list<T>(
    from: &mut Decoder<'_, '_>,
    what: &'static str,
    mut take: impl FnMut(&mut Decoder<'_, '_>) -> Read<T>,
) -> Read<Vec<T>> {
    // What is there bounds how many there are, not how much memory they take: nothing is reserved for them.
    let mut list = Vec::new();
    for _ in 0..from.count(usize::MAX, what)? {
        list.push(take(from)?);
    }
    Ok(list)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn take_text(from: &mut Decoder<'_, '_>, what: &'static str) -> Read<String> {
    Ok(from.text(usize::MAX, what)?.to_owned())
}

fn put_maybe<T>(out: &mut Vec<u8>, maybe: Option<&T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
    out.push(maybe.is_some().into());
    if let Some(item) = maybe {
        put(out, item);
    }
}

fn take_maybe<T>(
    from: &mut Decoder<'_, '_>,
    what: &'static str,
    take: impl FnOnce(&mut Decoder<'_, '_>) -> Read<T>,
) -> Read<Option<T>> {
    if take_bool(from, what)? { take(from).map(Some) } else { Ok(None) }
}

fn take_bool(from: &mut Decoder<'_, '_>, what: &'static str) -> Read<bool> {
    match from.u8(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(from.bad(what)),
    }
}

fn take_i16(from: &mut Decoder<'_, '_>, what: &'static str) -> Read<i16> {
    let number = from.i64(what)?;
    i16::try_from(number).map_err(|_| from.bad(what))
}

fn take_i32(from: &mut Decoder<'_, '_>, what: &'static str) -> Read<i32> {
    let number = from.i64(what)?;
    i32::try_from(number).map_err(|_| from.bad(what))
}

fn take_u32(from: &mut Decoder<'_, '_>, what: &'static str) -> Read<u32> {
    Ok(from.u64_max(u32::MAX.into(), what)? as u32)
}

fn put_topic_id(out: &mut Vec<u8>, id: &TopicId) {
    out.extend_from_slice(&id.0.to_be_bytes());
}

fn take_topic_id(from: &mut Decoder<'_, '_>) -> Read<TopicId> {
    let bytes = from.take(16, "topic's id")?;
    Ok(TopicId(u128::from_be_bytes(bytes.try_into().expect("16 bytes"))))
}

fn put_overrides(out: &mut Vec<u8>, config: &Overrides) {
    put_u64(out, config.len() as u64);
    for (key, value) in config {
        put_text(out, key);
        put_text(out, value);
    }
}

/// As a client sent them: of keys that it named twice only one is left.
fn take_overrides(from: &mut Decoder<'_, '_>) -> Read<Overrides> {
    let pairs = take_list(from, "settings", |from| Ok((take_text(from, "key")?, take_text(from, "value")?)))?;
    Ok(pairs.into_iter().collect())
}

fn put_ids(out: &mut Vec<u8>, ids: &[i32]) {
    put_list(out, ids, |out, id| put_i64(out, (*id).into()));
}

fn take_ids(from: &mut Decoder<'_, '_>) -> Read<Vec<i32>> {
    take_list(from, "replicas", |from| take_i32(from, "replica"))
}

fn put_admin(out: &mut Vec<u8>, admin: &Admin) {
    match admin {
        Admin::Create { topics, validate_only } => {
            out.extend([1, u8::from(*validate_only)]);
            put_list(out, topics, put_new_topic);
        }
        Admin::CreateInternal { name, partitions, replication } => {
            out.push(2);
            put_text(out, name);
            put_u64(out, (*partitions).into());
            put_i64(out, (*replication).into());
        }
        Admin::Delete(topics) => {
            out.push(3);
            put_list(out, topics, |out, topic| match topic {
                TopicRef::Name(name) => {
                    out.push(0);
                    put_text(out, name);
                }
                TopicRef::Id(id) => {
                    out.push(1);
                    put_topic_id(out, id);
                }
            });
        }
        Admin::AddPartitions { topics, validate_only } => {
            out.extend([4, u8::from(*validate_only)]);
            put_list(out, topics, |out, topic| {
                put_text(out, &topic.name);
                put_i64(out, topic.total.into());
                put_maybe(out, topic.assignments.as_ref(), |out, rows| {
                    put_list(out, rows, |out, ids| put_ids(out, ids))
                });
            });
        }
        Admin::Reassign { topics, factor } => {
            out.extend([20, u8::from(*factor)]);
            put_list(out, topics, |out, Reassign { topic, partitions }| {
                put_text(out, topic);
                put_list(out, partitions, |out, (partition, replicas)| {
                    put_i64(out, (*partition).into());
                    put_maybe(out, replicas.as_ref(), |out, ids| put_ids(out, ids));
                });
            });
        }
        Admin::Configs { resources, validate_only } => {
            out.extend([5, u8::from(*validate_only)]);
            put_list(out, resources, |out, (resource, change)| {
                match resource {
                    Resource::Topic(name) => {
                        out.push(0);
                        put_text(out, name);
                    }
                    Resource::Group(name) => {
                        out.push(1);
                        put_text(out, name);
                    }
                    Resource::Node(node) => {
                        out.push(2);
                        put_u64(out, node.0.into());
                    }
                }
                put_config_change(out, change);
            });
        }
    }
}

fn take_admin(from: &mut Decoder<'_, '_>) -> Read<Admin> {
    const VALIDATE: &str = "whether to validate only";
    Ok(match from.u8("kind of change")? {
        1 => {
            let validate_only = take_bool(from, VALIDATE)?;
            Admin::Create { topics: take_list(from, "topics", take_new_topic)?, validate_only }
        }
        2 => Admin::CreateInternal {
            name: take_internal(from)?,
            partitions: take_u32(from, "partitions")?,
            replication: take_i16(from, "replicas")?,
        },
        3 => Admin::Delete(take_list(from, "topics", |from| match from.u8("kind of name")? {
            0 => Ok(TopicRef::Name(take_text(from, "topic's name")?)),
            1 => Ok(TopicRef::Id(take_topic_id(from)?)),
            _ => Err(from.bad("kind of name")),
        })?),
        4 => {
            let validate_only = take_bool(from, VALIDATE)?;
            let topics = take_list(from, "topics", |from| {
                let (name, total) = (take_text(from, "topic's name")?, take_i32(from, "partitions")?);
                let rows = |from: &mut Decoder<'_, '_>| take_list(from, "assignments", take_ids);
                Ok(MorePartitions { name, total, assignments: take_maybe(from, "assignments", rows)? })
            })?;
            Admin::AddPartitions { topics, validate_only }
        }
        5 => {
            let validate_only = take_bool(from, VALIDATE)?;
            let resources = take_list(from, "resources", |from| {
                let kind = from.u8("kind of resource")?;
                let resource = match kind {
                    0 => Resource::Topic(take_text(from, "resource's name")?),
                    1 => Resource::Group(take_text(from, "resource's name")?),
                    2 => Resource::Node(NodeId(take_u32(from, "node")?)),
                    _ => return Err(from.bad("kind of resource")),
                };
                Ok((resource, take_config_change(from)?))
            })?;
            Admin::Configs { resources, validate_only }
        }
        20 => {
            let factor = take_bool(from, "whether the number of replicas may change")?;
            let topics = take_list(from, "topics", |from| {
                let topic = take_text(from, "topic's name")?;
                let partitions = take_list(from, "partitions", |from| {
                    Ok((take_i32(from, "partition")?, take_maybe(from, "replicas", take_ids)?))
                })?;
                Ok(Reassign { topic, partitions })
            })?;
            Admin::Reassign { topics, factor }
        }
        _ => return Err(from.bad("kind of change")),
    })
}

/// The name of a topic that only servers make: whoever makes it relies on that.
fn take_internal(from: &mut Decoder<'_, '_>) -> Read<String> {
    let name = take_text(from, "topic's name")?;
    from.check(torc_state::catalog::is_internal(&name), "name of an internal topic")?;
    Ok(name)
}

fn put_new_topic(out: &mut Vec<u8>, topic: &NewTopic) {
    put_text(out, &topic.name);
    put_i64(out, topic.partitions.into());
    put_i64(out, topic.replication.into());
    put_list(out, &topic.assignments, |out, (partition, replicas)| {
        put_i64(out, (*partition).into());
        put_ids(out, replicas);
    });
    put_overrides(out, &topic.config);
    put_maybe(out, topic.refused.as_ref(), |out, (code, why)| {
        put_i64(out, (*code).into());
        put_text(out, why);
    });
}

fn take_new_topic(from: &mut Decoder<'_, '_>) -> Read<NewTopic> {
    Ok(NewTopic {
        name: take_text(from, "topic's name")?,
        partitions: take_i32(from, "partitions")?,
        replication: take_i16(from, "replicas")?,
        assignments: take_list(from, "assignments", |from| Ok((take_i32(from, "partition")?, take_ids(from)?)))?,
        config: take_overrides(from)?,
        refused: take_maybe(from, "refusal", |from| Ok((take_i16(from, "error code")?, take_text(from, "reason")?)))?,
    })
}

fn put_config_change(out: &mut Vec<u8>, change: &ConfigChange) {
    match change {
        ConfigChange::Replace(config) => {
            out.push(0);
            put_overrides(out, config);
        }
        ConfigChange::Alter(changes) => {
            out.push(1);
            put_list(out, changes, |out, (key, alter)| {
                put_text(out, key);
                let (kind, value) = match alter {
                    Alter::Delete => (0, None),
                    Alter::Set(value) => (1, Some(value)),
                    Alter::Append(value) => (2, Some(value)),
                    Alter::Subtract(value) => (3, Some(value)),
                };
                out.push(kind);
                value.into_iter().for_each(|value| put_text(out, value));
            });
        }
    }
}

fn take_config_change(from: &mut Decoder<'_, '_>) -> Read<ConfigChange> {
    match from.u8("kind of change")? {
        0 => Ok(ConfigChange::Replace(take_overrides(from)?)),
        1 => Ok(ConfigChange::Alter(take_list(from, "settings", |from| {
            let key = take_text(from, "key")?;
            let alter = match from.u8("operation")? {
                0 => Alter::Delete,
                1 => Alter::Set(take_text(from, "value")?),
                2 => Alter::Append(take_text(from, "value")?),
                3 => Alter::Subtract(take_text(from, "value")?),
                _ => return Err(from.bad("operation")),
            };
            Ok((key, alter))
        })?)),
        _ => Err(from.bad("kind of change")),
    }
}

fn put_result(out: &mut Vec<u8>, result: &AdminResult) {
    put_i64(out, result.error.into());
    put_maybe(out, result.message.as_ref(), |out, message| put_text(out, message));
    put_maybe(out, result.topic.as_ref(), |out, topic| topic.encode(out));
}

fn take_result(from: &mut Decoder<'_, '_>, defaults: &TopicConfig) -> Read<AdminResult> {
    Ok(AdminResult {
        error: take_i16(from, "error code")?,
        message: take_maybe(from, "message", |from| take_text(from, "message"))?,
        topic: take_maybe(from, "topic", |from| Topic::decode(defaults, from).map(Arc::new))?,
    })
}

fn put_quorum(out: &mut Vec<u8>, quorum: &Quorum) {
    put_u64(out, quorum.leader.0.into());
    put_i64(out, quorum.epoch.get().into());
    put_i64(out, quorum.high_watermark.get());
    put_list(out, &quorum.members, |out, member| {
        put_u64(out, member.node.0.into());
        out.push(member.votes.into());
        put_i64(out, member.end.get());
        put_u64(out, member.behind_bytes);
        put_i64(out, member.caught_up.0);
    });
    put_maybe(out, quorum.hold.as_ref(), |out, hold| put_text(out, hold));
}

fn take_quorum(from: &mut Decoder<'_, '_>) -> Read<Quorum> {
    Ok(Quorum {
        leader: NodeId(take_u32(from, "leader")?),
        epoch: LeaderEpoch(take_i32(from, "epoch")?),
        high_watermark: Offset(from.i64("high watermark")?),
        members: take_list(from, "members", |from| {
            Ok(Member {
                node: NodeId(take_u32(from, "member")?),
                votes: take_bool(from, "whether it votes")?,
                end: Offset(from.i64("log's end")?),
                behind_bytes: from.u64("bytes")?,
                caught_up: Wall(from.i64("time")?),
            })
        })?,
        hold: take_maybe(from, "reason", |from| take_text(from, "reason"))?,
    })
}

fn put_led(out: &mut Vec<u8>, led: &Led) {
    put_u64(out, led.group.0);
    put_u64(out, led.node.0.into());
    put_i64(out, led.epoch.map_or(-1, |epoch| epoch.get().into()));
    put_list(out, &led.behind, |out, node| put_u64(out, node.0.into()));
}

fn take_leaders(from: &mut Decoder<'_, '_>) -> Read<Leaders> {
    take_list(from, "leaders", |from| {
        let group = GroupId(from.u64("group")?);
        let node = NodeId(take_u32(from, "leader")?);
        let epoch = take_i32(from, "epoch")?;
        from.check(epoch >= -1, "epoch")?;
        let behind = take_list(from, "replicas", |from| take_u32(from, "replica").map(NodeId))?;
        from.check(behind.len() <= MOVE_MEMBERS_MAX, "replicas")?;
        Ok(Led { group, node, epoch: (epoch >= 0).then_some(LeaderEpoch(epoch)), behind })
    })
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
