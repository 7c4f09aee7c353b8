//! The coordinators' records in Kafka's form, both ways.

use torc_base::time::Wall;
use torc_net::kafka::group_records::{self as wire, GroupRecord};
use torc_state::coordinator::record::{
    ClassicMember, ConsumerGroupValue, CurrentValue, GroupMember, GroupValue, MemberValue, OffsetValue, Record,
    RegularExpressionValue, TargetValue, TopicMetadata, TopicPartitions,
};

/// Key and value; `None` for a tombstone.
pub fn encode(record: &Record) -> (Vec<u8>, Option<Vec<u8>>) {
    let record = to_wire(record);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    record.encode_key(&mut key);
    let has_value = record.encode_value(&mut value);
    (key, has_value.then_some(value))
}

/// The reverse; `Ok(None)` of a kind that is not known here.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, &'static str> {
    Ok(from_wire(wire::decode(key, value)?))
}

fn to_wire(record: &Record) -> GroupRecord<'_> {
    match record {
        Record::Offset { group, topic, partition, value } => {
            let value = value.as_ref().map(|value| wire::OffsetValue {
                offset: value.offset,
                leader_epoch: value.leader_epoch,
                metadata: &value.metadata,
                commit_timestamp: value.committed.0,
                expire_timestamp: value.expires.map_or(-1, |at| at.0),
                topic_id: value.topic_id,
            });
            GroupRecord::Offset { group, topic, partition: *partition, value }
        }
        Record::Group { group, value } => GroupRecord::Group { group, value: value.as_ref().map(group_to_wire) },
        Record::ConsumerGroup { group, value } => {
            let value = value
                .as_ref()
                .map(|value| wire::ConsumerGroupValue { epoch: value.epoch, metadata_hash: value.metadata_hash });
            GroupRecord::ConsumerGroup { group, value }
        }
        Record::PartitionMetadata { group, value } => {
            let value = value.as_ref().map(|topics| topics.iter().map(topic_to_wire).collect());
            GroupRecord::PartitionMetadata { group, value }
        }
        Record::Member { group, member, value } => {
            GroupRecord::Member { group, member, value: value.as_ref().map(member_to_wire) }
        }
        Record::Target { group, value } => {
            let value = value.as_ref().map(|value| wire::TargetValue {
                assignment_epoch: value.epoch,
                assignment_timestamp: value.computed.0,
            });
            GroupRecord::Target { group, value }
        }
        Record::TargetMember { group, member, value } => {
            GroupRecord::TargetMember { group, member, value: value.as_ref().map(|topics| topics_to_wire(topics)) }
        }
        Record::CurrentAssignment { group, member, value } => {
            let value = value.as_ref().map(|value| wire::CurrentValue {
                member_epoch: value.epoch,
                previous_member_epoch: value.previous_epoch,
                state: value.state,
                assigned_partitions: topics_to_wire(&value.assigned),
                partitions_pending_revocation: topics_to_wire(&value.revoking),
            });
            GroupRecord::CurrentAssignment { group, member, value }
        }
        Record::RegularExpression { group, expression, value } => {
            let value = value.as_ref().map(|value| wire::RegularExpressionValue {
                topics: value.topics.iter().map(|topic| &**topic).collect(),
                version: value.version,
                timestamp: value.computed.0,
            });
            GroupRecord::RegularExpression { group, expression, value }
        }
    }
}

fn topic_to_wire(topic: &TopicMetadata) -> wire::TopicMetadata<'_> {
    wire::TopicMetadata { topic_id: topic.id, topic_name: &topic.name, num_partitions: topic.partitions }
}

fn group_to_wire(value: &GroupValue) -> wire::GroupValue<'_> {
    wire::GroupValue {
        protocol_type: &value.protocol_type,
        generation: value.generation,
        protocol: value.protocol.as_deref(),
        leader: value.leader.as_deref(),
        current_state_timestamp: value.since.0,
        members: value.members.iter().map(group_member_to_wire).collect(),
    }
}

fn group_member_to_wire(member: &GroupMember) -> wire::GroupMember<'_> {
    wire::GroupMember {
        member_id: &member.id,
        group_instance_id: member.instance.as_deref(),
        client_id: &member.client_id,
        client_host: &member.client_host,
        rebalance_timeout: member.rebalance_timeout,
        session_timeout: member.session_timeout,
        subscription: &member.subscription,
        assignment: &member.assignment,
    }
}

fn member_to_wire(value: &MemberValue) -> wire::MemberValue<'_> {
    wire::MemberValue {
        instance_id: value.instance.as_deref(),
        rack_id: value.rack.as_deref(),
        client_id: &value.client_id,
        client_host: &value.client_host,
        subscribed_topic_names: value.topics.iter().map(|topic| &**topic).collect(),
        subscribed_topic_regex: value.regex.as_deref(),
        rebalance_timeout: value.rebalance_timeout,
        server_assignor: value.assignor.as_deref(),
        classic: value.classic.as_ref().map(|classic| wire::ClassicMember {
            session_timeout: classic.session_timeout,
            supported_protocols: classic.protocols.iter().map(|(name, metadata)| (&**name, &**metadata)).collect(),
        }),
    }
}

fn topics_to_wire(topics: &[TopicPartitions]) -> Vec<wire::TopicPartitions> {
    let topic = |topic: &TopicPartitions| wire::TopicPartitions {
        topic_id: topic.topic,
        partitions: topic.partitions.clone(),
        assignment_epochs: topic.epochs.clone(),
    };
    topics.iter().map(topic).collect()
}

fn from_wire(record: GroupRecord<'_>) -> Option<Record> {
    Some(match record {
        GroupRecord::Offset { group, topic, partition, value } => {
            let value = value.map(|value| OffsetValue {
                offset: value.offset,
                leader_epoch: value.leader_epoch,
                metadata: value.metadata.into(),
                committed: Wall(value.commit_timestamp),
                expires: (value.expire_timestamp >= 0).then_some(Wall(value.expire_timestamp)),
                topic_id: value.topic_id,
            });
            Record::Offset { group: group.into(), topic: topic.into(), partition, value }
        }
        GroupRecord::Group { group, value } => Record::Group { group: group.into(), value: value.map(group_from_wire) },
        GroupRecord::ConsumerGroup { group, value } => {
            let value =
                value.map(|value| ConsumerGroupValue { epoch: value.epoch, metadata_hash: value.metadata_hash });
            Record::ConsumerGroup { group: group.into(), value }
        }
        GroupRecord::PartitionMetadata { group, value } => {
            let topic = |topic: wire::TopicMetadata<'_>| TopicMetadata {
                id: topic.topic_id,
                name: topic.topic_name.into(),
                partitions: topic.num_partitions,
            };
            let value = value.map(|topics| topics.into_iter().map(topic).collect());
            Record::PartitionMetadata { group: group.into(), value }
        }
        GroupRecord::Member { group, member, value } => {
            Record::Member { group: group.into(), member: member.into(), value: value.map(member_from_wire) }
        }
        GroupRecord::Target { group, value } => {
            let value = value
                .map(|value| TargetValue { epoch: value.assignment_epoch, computed: Wall(value.assignment_timestamp) });
            Record::Target { group: group.into(), value }
        }
        GroupRecord::TargetMember { group, member, value } => {
            Record::TargetMember { group: group.into(), member: member.into(), value: value.map(topics_from_wire) }
        }
        GroupRecord::CurrentAssignment { group, member, value } => {
            let value = value.map(|value| CurrentValue {
                epoch: value.member_epoch,
                previous_epoch: value.previous_member_epoch,
                state: value.state,
                assigned: topics_from_wire(value.assigned_partitions),
                revoking: topics_from_wire(value.partitions_pending_revocation),
            });
            Record::CurrentAssignment { group: group.into(), member: member.into(), value }
        }
        GroupRecord::RegularExpression { group, expression, value } => {
            let value = value.map(|value| RegularExpressionValue {
                topics: value.topics.into_iter().map(Into::into).collect(),
                version: value.version,
                computed: Wall(value.timestamp),
            });
            Record::RegularExpression { group: group.into(), expression: expression.into(), value }
        }
        GroupRecord::Unknown { .. } => return None,
    })
}

fn group_from_wire(value: wire::GroupValue<'_>) -> GroupValue {
    let member = |member: wire::GroupMember<'_>| GroupMember {
        id: member.member_id.into(),
        instance: member.group_instance_id.map(Into::into),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        rebalance_timeout: member.rebalance_timeout,
        session_timeout: member.session_timeout,
        subscription: member.subscription.into(),
        assignment: member.assignment.into(),
    };
    GroupValue {
        protocol_type: value.protocol_type.into(),
        generation: value.generation,
        protocol: value.protocol.map(Into::into),
        leader: value.leader.map(Into::into),
        since: Wall(value.current_state_timestamp),
        members: value.members.into_iter().map(member).collect(),
    }
}

fn member_from_wire(value: wire::MemberValue<'_>) -> MemberValue {
    let protocol = |(name, metadata): (&str, &[u8])| (name.into(), metadata.into());
    MemberValue {
        instance: value.instance_id.map(Into::into),
        rack: value.rack_id.map(Into::into),
        client_id: value.client_id.into(),
        client_host: value.client_host.into(),
        topics: value.subscribed_topic_names.into_iter().map(Into::into).collect(),
        regex: value.subscribed_topic_regex.map(Into::into),
        rebalance_timeout: value.rebalance_timeout,
        assignor: value.server_assignor.map(Into::into),
        classic: value.classic.map(|classic| ClassicMember {
            session_timeout: classic.session_timeout,
            protocols: classic.supported_protocols.into_iter().map(protocol).collect(),
        }),
    }
}

fn topics_from_wire(topics: Vec<wire::TopicPartitions>) -> Vec<TopicPartitions> {
    let topic = |topic: wire::TopicPartitions| TopicPartitions {
        topic: topic.topic_id,
        partitions: topic.partitions,
        epochs: topic.assignment_epochs,
    };
    topics.into_iter().map(topic).collect()
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
