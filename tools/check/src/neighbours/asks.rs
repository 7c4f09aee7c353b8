//! Whole frames that neighbours send.

use crate::failure::Result;
use crate::wire::frame;
use bytes::Bytes;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeConfigsRequest, FetchRequest, FindCoordinatorRequest, ListOffsetsRequest,
    MetadataRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

/// What a fetch asks for. Partitions as (index, offset); bytes.
#[derive(Clone, Debug)]
pub struct Fetch<'a> {
    pub topic: &'a str,
    pub parts: Vec<(i32, i64)>,
    /// Of each partition, and of all.
    pub part_bytes: i32,
    pub bytes: i32,
    pub min_bytes: i32,
    pub wait_ms: i32,
    /// Id and epoch of its session; (0, -1): none.
    pub session: (i32, i32),
}

impl Fetch<'_> {
    /// Up to `bytes` of some partitions, at once and without a session.
    pub fn of(topic: &str, parts: Vec<(i32, i64)>, bytes: i32) -> Fetch<'_> {
        let part_bytes = bytes;
        Fetch { topic, parts, part_bytes, bytes, min_bytes: 1, wait_ms: 500, session: (0, -1) }
    }

    /// The frame.
    pub fn frame(&self) -> Result<Vec<u8>> {
        let part = |&(index, offset): &(i32, i64)| {
            let part = FetchPartition::default().with_partition(index).with_fetch_offset(offset);
            part.with_current_leader_epoch(-1).with_partition_max_bytes(self.part_bytes)
        };
        let topic = FetchTopic::default().with_topic(name(self.topic));
        let request = FetchRequest::default()
            .with_max_wait_ms(self.wait_ms)
            .with_min_bytes(self.min_bytes)
            .with_max_bytes(self.bytes)
            .with_session_id(self.session.0)
            .with_session_epoch(self.session.1)
            .with_topics(vec![topic.with_partitions(self.parts.iter().map(part).collect())]);
        Ok(frame(&request, 11, 1)?.to_vec())
    }
}

/// One offset by a timestamp, or a special one.
pub fn list_offsets(topic: &str, partition: i32, timestamp: i64) -> Result<Vec<u8>> {
    let part = ListOffsetsPartition::default().with_partition_index(partition).with_current_leader_epoch(-1);
    let topic =
        ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![part.with_timestamp(timestamp)]);
    let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    Ok(frame(&request, 7, 1)?.to_vec())
}

/// All topics.
pub fn metadata() -> Result<Vec<u8>> {
    Ok(frame(&MetadataRequest::default().with_topics(None), 9, 1)?.to_vec())
}

/// One topic.
pub fn metadata_of(topic: &str) -> Result<Vec<u8>> {
    let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
    Ok(frame(&MetadataRequest::default().with_topics(Some(vec![topic])), 9, 1)?.to_vec())
}

/// The settings of one topic.
pub fn configs_of(topic: &str) -> Result<Vec<u8>> {
    let resource = DescribeConfigsResource::default().with_resource_type(2).with_configuration_keys(None);
    let resource = resource.with_resource_name(StrBytes::from_string(topic.to_string()));
    Ok(frame(&DescribeConfigsRequest::default().with_resources(vec![resource]), 4, 1)?.to_vec())
}

/// Who coordinates some group.
pub fn coordinator() -> Result<Vec<u8>> {
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![StrBytes::from_static_str("some")]);
    Ok(frame(&request, 4, 1)?.to_vec())
}

/// What every client asks first.
pub fn api_versions() -> Result<Vec<u8>> {
    Ok(frame(&ApiVersionsRequest::default(), 2, 1)?.to_vec())
}

/// The same batch for several partitions.
pub fn produce(topic: &str, partitions: impl Iterator<Item = i32>, acks: i16, batch: &[u8]) -> Result<Vec<u8>> {
    let batch = Bytes::copy_from_slice(batch);
    let part = |index| PartitionProduceData::default().with_index(index).with_records(Some(batch.clone()));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(partitions.map(part).collect());
    let request = ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    Ok(frame(&request, 9, 1)?.to_vec())
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_string()))
}
