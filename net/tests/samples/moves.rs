//! Random requests about where replicas and leaders are.

use super::Sampler;
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, DescribeQuorumRequest, ElectLeadersRequest, ListPartitionReassignmentsRequest,
};
use torc_net::kafka::{Request, api};

/// A request of `api`, if it is one of them.
pub fn request(s: &mut Sampler, api: i16) -> Option<Request> {
    Some(match api {
        api::ELECT_LEADERS => Request::ElectLeaders(
            ElectLeadersRequest::default()
                .with_election_type(s.since(1, Sampler::i8))
                .with_topic_partitions(s.maybe(|s| {
                    s.list(|s| {
                        let partitions = s.list(Sampler::i32);
                        let topic = TopicPartitions::default().with_topic(s.text().into());
                        topic.with_partitions(partitions).with_unknown_tagged_fields(s.tags())
                    })
                }))
                .with_timeout_ms(s.i32())
                .with_unknown_tagged_fields(s.tags()),
        ),
        api::ALTER_PARTITION_REASSIGNMENTS => Request::AlterPartitionReassignments(
            AlterPartitionReassignmentsRequest::default()
                .with_timeout_ms(s.i32())
                .with_allow_replication_factor_change(s.since_or(1, true, Sampler::bool))
                .with_topics(s.list(|s| {
                    let partitions = s.list(|s| {
                        ReassignablePartition::default()
                            .with_partition_index(s.i32())
                            .with_replicas(s.maybe(|s| s.list(|s| s.i32().into())))
                            .with_unknown_tagged_fields(s.tags())
                    });
                    let topic = ReassignableTopic::default().with_name(s.text().into());
                    topic.with_partitions(partitions).with_unknown_tagged_fields(s.tags())
                }))
                .with_unknown_tagged_fields(s.tags()),
        ),
        api::LIST_PARTITION_REASSIGNMENTS => Request::ListPartitionReassignments(
            ListPartitionReassignmentsRequest::default()
                .with_timeout_ms(s.i32())
                .with_topics(s.maybe(|s| {
                    s.list(|s| {
                        let partitions = s.list(Sampler::i32);
                        let topic = ListPartitionReassignmentsTopics::default().with_name(s.text().into());
                        topic.with_partition_indexes(partitions).with_unknown_tagged_fields(s.tags())
                    })
                }))
                .with_unknown_tagged_fields(s.tags()),
        ),
        api::DESCRIBE_QUORUM => Request::DescribeQuorum(
            DescribeQuorumRequest::default()
                .with_topics(s.list(|s| {
                    let partitions = s.list(|s| PartitionData::default().with_partition_index(s.i32()));
                    let topic = TopicData::default().with_topic_name(s.text().into());
                    topic.with_partitions(partitions).with_unknown_tagged_fields(s.tags())
                }))
                .with_unknown_tagged_fields(s.tags()),
        ),
        _ => return None,
    })
}
