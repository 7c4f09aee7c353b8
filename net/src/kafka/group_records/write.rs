//! Writing, in the versions that Kafka 4.3 writes: OffsetCommitValue 4 (1 if it expires by itself), GroupMetadataValue
//! 3, all others 0. A tagged field with its default is left out.

use super::super::wire::{put_length, put_nullable_string, put_string, put_uvarint};
use super::{
    ClassicMember, CurrentValue, GroupMember, GroupRecord, GroupValue, MemberValue, OffsetValue,
    RegularExpressionValue, TopicMetadata, TopicPartitions,
};
use torc_base::ids::TopicId;

const OFFSET_VERSION: i16 = 4;
const OFFSET_VERSION_EXPIRING: i16 = 1;
const GROUP_VERSION: i16 = 3;

impl GroupRecord<'_> {
    /// Appends the key. Nobody writes what he does not know: the record must not be `Unknown`.
    pub fn encode_key(&self, out: &mut Vec<u8>) {
        put_i16(out, self.kind());
        match self {
            GroupRecord::Offset { group, topic, partition, .. } => {
                put_string(out, false, group);
                put_string(out, false, topic);
                put_i32(out, *partition);
            }
            GroupRecord::Group { group, .. }
            | GroupRecord::ConsumerGroup { group, .. }
            | GroupRecord::PartitionMetadata { group, .. }
            | GroupRecord::Target { group, .. } => put_string(out, false, group),
            GroupRecord::Member { group, member: second, .. }
            | GroupRecord::TargetMember { group, member: second, .. }
            | GroupRecord::CurrentAssignment { group, member: second, .. }
            | GroupRecord::RegularExpression { group, expression: second, .. } => {
                put_string(out, false, group);
                put_string(out, false, second);
            }
            GroupRecord::Unknown { kind } => panic!("a key of kind {kind} is not ours to write"),
        }
    }

    /// Appends the value; false, and nothing appended, for a tombstone.
    pub fn encode_value(&self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        match self {
            GroupRecord::Offset { value, .. } => put_some(out, value, put_offset),
            GroupRecord::Group { value, .. } => put_some(out, value, put_group),
            GroupRecord::ConsumerGroup { value, .. } => put_some(out, value, |out, value| {
                put_i16(out, 0);
                put_i32(out, value.epoch);
                put_tagged_i64(out, value.metadata_hash);
            }),
            GroupRecord::PartitionMetadata { value, .. } => put_some(out, value, |out, topics| {
                put_i16(out, 0);
                put_list(out, topics, put_topic_metadata);
                out.push(0);
            }),
            GroupRecord::Member { value, .. } => put_some(out, value, put_member),
            GroupRecord::Target { value, .. } => put_some(out, value, |out, value| {
                put_i16(out, 0);
                put_i32(out, value.assignment_epoch);
                put_tagged_i64(out, value.assignment_timestamp);
            }),
            GroupRecord::TargetMember { value, .. } => put_some(out, value, |out, topics| {
                put_i16(out, 0);
                put_list(out, topics, |out, topic| put_topic_partitions(out, topic, false));
                out.push(0);
            }),
            GroupRecord::CurrentAssignment { value, .. } => put_some(out, value, put_current),
            GroupRecord::RegularExpression { value, .. } => put_some(out, value, put_regular_expression),
            GroupRecord::Unknown { kind } => panic!("a value of kind {kind} is not ours to write"),
        }
        out.len() > before
    }
}

fn put_some<T>(out: &mut Vec<u8>, value: &Option<T>, put: impl Fn(&mut Vec<u8>, &T)) {
    if let Some(value) = value {
        put(out, value);
    }
}

fn put_offset(out: &mut Vec<u8>, value: &OffsetValue<'_>) {
    if value.expire_timestamp >= 0 {
        put_i16(out, OFFSET_VERSION_EXPIRING);
        put_i64(out, value.offset);
        put_string(out, false, value.metadata);
        put_i64(out, value.commit_timestamp);
        return put_i64(out, value.expire_timestamp);
    }
    put_i16(out, OFFSET_VERSION);
    put_i64(out, value.offset);
    put_i32(out, value.leader_epoch);
    put_string(out, true, value.metadata);
    put_i64(out, value.commit_timestamp);
    if value.topic_id == TopicId::ZERO {
        return out.push(0);
    }
    put_tag(out, &value.topic_id.0.to_be_bytes());
}

fn put_group(out: &mut Vec<u8>, value: &GroupValue<'_>) {
    put_i16(out, GROUP_VERSION);
    put_string(out, false, value.protocol_type);
    put_i32(out, value.generation);
    put_nullable_string(out, false, value.protocol);
    put_nullable_string(out, false, value.leader);
    put_i64(out, value.current_state_timestamp);
    put_length(out, false, value.members.len());
    value.members.iter().for_each(|member| put_group_member(out, member));
}

fn put_group_member(out: &mut Vec<u8>, member: &GroupMember<'_>) {
    put_string(out, false, member.member_id);
    put_nullable_string(out, false, member.group_instance_id);
    put_string(out, false, member.client_id);
    put_string(out, false, member.client_host);
    put_i32(out, member.rebalance_timeout);
    put_i32(out, member.session_timeout);
    for bytes in [member.subscription, member.assignment] {
        put_length(out, false, bytes.len());
        out.extend_from_slice(bytes);
    }
}

fn put_topic_metadata(out: &mut Vec<u8>, topic: &TopicMetadata<'_>) {
    out.extend_from_slice(&topic.topic_id.0.to_be_bytes());
    put_string(out, true, topic.topic_name);
    put_i32(out, topic.num_partitions);
    put_length(out, true, 0);
    out.push(0);
}

fn put_member(out: &mut Vec<u8>, value: &MemberValue<'_>) {
    put_i16(out, 0);
    put_nullable_string(out, true, value.instance_id);
    put_nullable_string(out, true, value.rack_id);
    put_string(out, true, value.client_id);
    put_string(out, true, value.client_host);
    put_list(out, &value.subscribed_topic_names, |out, topic| put_string(out, true, topic));
    put_nullable_string(out, true, value.subscribed_topic_regex);
    put_i32(out, value.rebalance_timeout);
    put_nullable_string(out, true, value.server_assignor);
    match &value.classic {
        None => out.push(0),
        Some(classic) => {
            let mut bytes = Vec::new();
            put_classic_member(&mut bytes, classic);
            put_tag(out, &bytes);
        }
    }
}

fn put_classic_member(out: &mut Vec<u8>, classic: &ClassicMember<'_>) {
    out.push(1);
    put_i32(out, classic.session_timeout);
    put_list(out, &classic.supported_protocols, |out, (name, metadata)| {
        put_string(out, true, name);
        put_length(out, true, metadata.len());
        out.extend_from_slice(metadata);
        out.push(0);
    });
    out.push(0);
}

fn put_current(out: &mut Vec<u8>, value: &CurrentValue) {
    put_i16(out, 0);
    put_i32(out, value.member_epoch);
    put_i32(out, value.previous_member_epoch);
    out.push(value.state as u8);
    put_list(out, &value.assigned_partitions, |out, topic| put_topic_partitions(out, topic, true));
    put_list(out, &value.partitions_pending_revocation, |out, topic| put_topic_partitions(out, topic, true));
    out.push(0);
}

fn put_topic_partitions(out: &mut Vec<u8>, topic: &TopicPartitions, with_epochs: bool) {
    out.extend_from_slice(&topic.topic_id.0.to_be_bytes());
    put_list(out, &topic.partitions, |out, partition| put_i32(out, *partition));
    if !with_epochs || topic.assignment_epochs.is_empty() {
        return out.push(0);
    }
    let mut bytes = Vec::with_capacity(5 + 4 * topic.assignment_epochs.len());
    put_list(&mut bytes, &topic.assignment_epochs, |out, epoch| put_i32(out, *epoch));
    put_tag(out, &bytes);
}

fn put_regular_expression(out: &mut Vec<u8>, value: &RegularExpressionValue<'_>) {
    put_i16(out, 0);
    put_list(out, &value.topics, |out, topic| put_string(out, true, topic));
    put_i64(out, value.version);
    put_i64(out, value.timestamp);
    out.push(0);
}

fn put_list<T>(out: &mut Vec<u8>, elements: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    put_length(out, true, elements.len());
    elements.iter().for_each(|element| put(out, element));
}

/// The tagged fields of a struct that has one, with tag 0.
fn put_tag(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uvarint(out, 1);
    put_uvarint(out, 0);
    put_uvarint(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

fn put_tagged_i64(out: &mut Vec<u8>, value: i64) {
    if value == 0 { out.push(0) } else { put_tag(out, &value.to_be_bytes()) }
}

fn put_i16(out: &mut Vec<u8>, value: i16) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_i32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}
