//! Random requests of groups.

use super::{Sampler, by_id};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use torc_net::kafka::{Request, api};

/// A request of `api`.
pub fn request(s: &mut Sampler, api: i16) -> Request {
    match api {
        api::OFFSET_COMMIT if s.version == by_id::VERSION => Request::OffsetCommitById(by_id::commit(s)),
        api::OFFSET_FETCH if s.version == by_id::VERSION => Request::OffsetFetchById(by_id::fetch(s)),
        api::OFFSET_COMMIT => Request::OffsetCommit(offset_commit(s)),
        api::OFFSET_FETCH => Request::OffsetFetch(offset_fetch(s)),
        api::FIND_COORDINATOR => Request::FindCoordinator(
            FindCoordinatorRequest::default()
                .with_key(upto(s, 3, |s| s.text()))
                .with_key_type(s.since(1, Sampler::i8))
                .with_coordinator_keys(s.since(4, |s| s.list(Sampler::text)))
                .with_unknown_tagged_fields(s.tags()),
        ),
        api::JOIN_GROUP => Request::JoinGroup(join_group(s)),
        api::HEARTBEAT => Request::Heartbeat(
            HeartbeatRequest::default()
                .with_group_id(s.text().into())
                .with_generation_id(s.i32())
                .with_member_id(s.text())
                .with_group_instance_id(maybe_since(s, 3))
                .with_unknown_tagged_fields(s.tags()),
        ),
        api::LEAVE_GROUP => Request::LeaveGroup(leave_group(s)),
        api::SYNC_GROUP => Request::SyncGroup(sync_group(s)),
        api::DESCRIBE_GROUPS => Request::DescribeGroups(
            DescribeGroupsRequest::default()
                .with_groups(s.list(|s| s.text().into()))
                .with_include_authorized_operations(s.since(3, Sampler::bool))
                .with_unknown_tagged_fields(s.tags()),
        ),
        api::LIST_GROUPS => Request::ListGroups(
            ListGroupsRequest::default()
                .with_states_filter(s.since(4, |s| s.list(Sampler::text)))
                .with_types_filter(s.since(5, |s| s.list(Sampler::text)))
                .with_unknown_tagged_fields(s.tags()),
        ),
        api::DELETE_GROUPS => Request::DeleteGroups(
            DeleteGroupsRequest::default()
                .with_groups_names(s.list(|s| s.text().into()))
                .with_unknown_tagged_fields(s.tags()),
        ),
        api::OFFSET_DELETE => Request::OffsetDelete(
            OffsetDeleteRequest::default().with_group_id(s.text().into()).with_topics(s.list(|s| {
                OffsetDeleteRequestTopic::default()
                    .with_name(s.text().into())
                    .with_partitions(s.list(|s| OffsetDeleteRequestPartition::default().with_partition_index(s.i32())))
            })),
        ),
        api::CONSUMER_GROUP_HEARTBEAT => Request::ConsumerGroupHeartbeat(consumer_group_heartbeat(s)),
        api::CONSUMER_GROUP_DESCRIBE => Request::ConsumerGroupDescribe(
            ConsumerGroupDescribeRequest::default()
                .with_group_ids(s.list(|s| s.text().into()))
                .with_include_authorized_operations(s.bool())
                .with_unknown_tagged_fields(s.tags()),
        ),
        api => panic!("no samples of API {api}"),
    }
}

/// `value` up to version `to`, the default behind it.
fn upto<T: Default>(s: &mut Sampler, to: i16, value: impl FnOnce(&mut Sampler) -> T) -> T {
    if s.version <= to { value(s) } else { T::default() }
}

/// Text that may be null, from version `from` on.
fn maybe_since(s: &mut Sampler, from: i16) -> Option<StrBytes> {
    if s.version >= from { s.maybe(Sampler::text) } else { None }
}

fn offset_commit(s: &mut Sampler) -> OffsetCommitRequest {
    OffsetCommitRequest::default()
        .with_group_id(s.text().into())
        .with_generation_id_or_member_epoch(s.i32())
        .with_member_id(s.text())
        .with_group_instance_id(maybe_since(s, 7))
        .with_retention_time_ms(if s.version <= 4 { s.i64() } else { -1 })
        .with_topics(s.list(|s| {
            OffsetCommitRequestTopic::default()
                .with_name(s.text().into())
                .with_partitions(s.list(|s| {
                    OffsetCommitRequestPartition::default()
                        .with_partition_index(s.i32())
                        .with_committed_offset(s.i64())
                        .with_committed_leader_epoch(s.since_or(6, -1, Sampler::i32))
                        .with_committed_metadata(s.maybe(Sampler::text))
                        .with_unknown_tagged_fields(s.tags())
                }))
                .with_unknown_tagged_fields(s.tags())
        }))
        .with_unknown_tagged_fields(s.tags())
}

fn offset_fetch(s: &mut Sampler) -> OffsetFetchRequest {
    let topic = |s: &mut Sampler| {
        OffsetFetchRequestTopic::default()
            .with_name(s.text().into())
            .with_partition_indexes(s.list(Sampler::i32))
            .with_unknown_tagged_fields(s.tags())
    };
    let request = OffsetFetchRequest::default().with_require_stable(s.since(7, Sampler::bool));
    if s.version <= 7 {
        let topics = if s.version >= 2 { s.maybe(|s| s.list(topic)) } else { Some(s.list(topic)) };
        let group = s.text().into();
        return request.with_group_id(group).with_topics(topics).with_unknown_tagged_fields(s.tags());
    }
    let topic = |s: &mut Sampler| {
        OffsetFetchRequestTopics::default()
            .with_name(s.text().into())
            .with_partition_indexes(s.list(Sampler::i32))
            .with_unknown_tagged_fields(s.tags())
    };
    let group = |s: &mut Sampler| {
        OffsetFetchRequestGroup::default()
            .with_group_id(s.text().into())
            .with_member_id(maybe_since(s, 9))
            .with_member_epoch(s.since_or(9, -1, Sampler::i32))
            .with_topics(s.maybe(|s| s.list(topic)))
            .with_unknown_tagged_fields(s.tags())
    };
    request.with_groups(s.list(group)).with_unknown_tagged_fields(s.tags())
}

fn join_group(s: &mut Sampler) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(s.text().into())
        .with_session_timeout_ms(s.i32())
        .with_rebalance_timeout_ms(s.since_or(1, -1, Sampler::i32))
        .with_member_id(s.text())
        .with_group_instance_id(maybe_since(s, 5))
        .with_protocol_type(s.text())
        .with_protocols(s.list(|s| {
            JoinGroupRequestProtocol::default()
                .with_name(s.text())
                .with_metadata(s.bytes())
                .with_unknown_tagged_fields(s.tags())
        }))
        .with_reason(maybe_since(s, 8))
        .with_unknown_tagged_fields(s.tags())
}

fn leave_group(s: &mut Sampler) -> LeaveGroupRequest {
    LeaveGroupRequest::default()
        .with_group_id(s.text().into())
        .with_member_id(upto(s, 2, |s| s.text()))
        .with_members(s.since(3, |s| {
            s.list(|s| {
                MemberIdentity::default()
                    .with_member_id(s.text())
                    .with_group_instance_id(s.maybe(Sampler::text))
                    .with_reason(maybe_since(s, 5))
                    .with_unknown_tagged_fields(s.tags())
            })
        }))
        .with_unknown_tagged_fields(s.tags())
}

fn sync_group(s: &mut Sampler) -> SyncGroupRequest {
    SyncGroupRequest::default()
        .with_group_id(s.text().into())
        .with_generation_id(s.i32())
        .with_member_id(s.text())
        .with_group_instance_id(maybe_since(s, 3))
        .with_protocol_type(maybe_since(s, 5))
        .with_protocol_name(maybe_since(s, 5))
        .with_assignments(s.list(|s| {
            SyncGroupRequestAssignment::default()
                .with_member_id(s.text())
                .with_assignment(s.bytes())
                .with_unknown_tagged_fields(s.tags())
        }))
        .with_unknown_tagged_fields(s.tags())
}

fn consumer_group_heartbeat(s: &mut Sampler) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(s.text().into())
        .with_member_id(s.text())
        .with_member_epoch(s.i32())
        .with_instance_id(s.maybe(Sampler::text))
        .with_rack_id(s.maybe(Sampler::text))
        .with_rebalance_timeout_ms(s.i32())
        .with_subscribed_topic_names(s.maybe(|s| s.list(|s| s.text().into())))
        .with_subscribed_topic_regex(maybe_since(s, 1))
        .with_server_assignor(s.maybe(Sampler::text))
        .with_topic_partitions(s.maybe(|s| {
            s.list(|s| {
                TopicPartitions::default()
                    .with_topic_id(s.uuid())
                    .with_partitions(s.list(Sampler::i32))
                    .with_unknown_tagged_fields(s.tags())
            })
        }))
        .with_unknown_tagged_fields(s.tags())
}
