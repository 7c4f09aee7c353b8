//! Random requests, made with the schema crate's types and encoded by it.

#![allow(dead_code, reason = "each test file uses its part")]

mod by_id;
mod groups;
mod moves;

use bytes::Bytes;
use kafka_protocol::messages::alter_configs_request as alter_configs;
use kafka_protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use kafka_protocol::messages::incremental_alter_configs_request as incremental;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, StrBytes};
use std::collections::BTreeMap;
use torc_base::buf::{BufMut, Pool};
use torc_base::prng::Prng;
use torc_net::kafka::{Request, Uuid, api, window};

/// The window's newest version that the schema crate can encode.
pub fn schema_version(api: i16, version: i16) -> i16 {
    version.min(window(api).expect("served").schema_max)
}

pub fn flexible(api: i16, version: i16) -> bool {
    version >= window(api).expect("served").flexible
}

pub fn buf(bytes: &[u8]) -> BufMut {
    let pool = Pool::new(usize::MAX, 0);
    let mut buf = pool.take(bytes.len()).expect("no limit");
    buf.copy_from_slice(bytes);
    buf
}

/// A request frame without its length.
pub fn frame(api: i16, version: i16, correlation: i32, client: Option<&str>, body: &[u8], tags: Tags) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(api)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(client.map(|client| StrBytes::from_string(client.to_owned())));
    let flexible = flexible(api, version);
    let header = header.with_unknown_tagged_fields(if flexible { tags } else { Tags::new() });
    let mut out = Vec::new();
    header.encode(&mut out, if flexible { 2 } else { 1 }).expect("a header can be encoded");
    out.extend_from_slice(body);
    out
}

pub type Tags = BTreeMap<i32, Bytes>;

/// Random content for one request of one version.
pub struct Sampler<'a> {
    pub prng: &'a mut Prng,
    pub api: i16,
    pub version: i16,
}

impl Sampler<'_> {
    pub fn tags(&mut self) -> Tags {
        if !flexible(self.api, self.version) || !self.prng.chance(1, 4) {
            return Tags::new();
        }
        // Beyond the tags that have a meaning.
        (0..self.prng.below(3)).map(|n| (100 + n as i32 * 77, self.bytes())).collect()
    }

    pub fn bytes(&mut self) -> Bytes {
        let mut bytes = vec![0; self.prng.below(300) as usize];
        self.prng.fill(&mut bytes);
        bytes.into()
    }

    pub fn text(&mut self) -> StrBytes {
        let letters = ['a', 'Z', '.', '-', 'é', '漢', '🦀'];
        let length = if self.prng.chance(1, 20) { 300 } else { self.prng.below(12) };
        let text: String = (0..length).map(|_| letters[self.prng.below(letters.len() as u64) as usize]).collect();
        StrBytes::from_string(text)
    }

    pub fn maybe<T>(&mut self, present: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.prng.chance(1, 3) { None } else { Some(present(self)) }
    }

    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.prng.below(4)).map(|_| item(self)).collect()
    }

    pub fn i64(&mut self) -> i64 {
        self.prng.next_u64() as i64
    }

    pub fn i32(&mut self) -> i32 {
        self.prng.next_u64() as i32
    }

    pub fn i16(&mut self) -> i16 {
        self.prng.next_u64() as i16
    }

    pub fn i8(&mut self) -> i8 {
        self.prng.next_u64() as i8
    }

    pub fn bool(&mut self) -> bool {
        self.prng.chance(1, 2)
    }

    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.prng.next_u64(), self.prng.next_u64())
    }

    /// `value` from version `from` on, the default before.
    fn since<T: Default>(&mut self, from: i16, value: impl FnOnce(&mut Self) -> T) -> T {
        if self.version >= from { value(self) } else { T::default() }
    }

    fn since_or<T>(&mut self, from: i16, before: T, value: impl FnOnce(&mut Self) -> T) -> T {
        if self.version >= from { value(self) } else { before }
    }

    /// A request of any API but Produce and Fetch.
    pub fn control(&mut self) -> Request {
        match self.api {
            api::LIST_OFFSETS => Request::ListOffsets(self.list_offsets()),
            api::METADATA => Request::Metadata(self.metadata()),
            api::API_VERSIONS => Request::ApiVersions(
                ApiVersionsRequest::default()
                    .with_client_software_name(self.since(3, Self::text))
                    .with_client_software_version(self.since(3, Self::text))
                    .with_unknown_tagged_fields(self.tags()),
            ),
            api::CREATE_TOPICS => Request::CreateTopics(self.create_topics()),
            api::DELETE_TOPICS => Request::DeleteTopics(self.delete_topics()),
            api::DELETE_RECORDS => Request::DeleteRecords(self.delete_records()),
            api::INIT_PRODUCER_ID => Request::InitProducerId(
                InitProducerIdRequest::default()
                    .with_transactional_id(self.maybe(|s| s.text().into()))
                    .with_transaction_timeout_ms(self.i32())
                    .with_producer_id(self.since_or(3, (-1).into(), |s| s.i64().into()))
                    .with_producer_epoch(self.since_or(3, -1, Self::i16))
                    .with_unknown_tagged_fields(self.tags()),
            ),
            api::OFFSET_FOR_LEADER_EPOCH => Request::OffsetForLeaderEpoch(self.offset_for_leader_epoch()),
            api::DESCRIBE_CONFIGS => Request::DescribeConfigs(self.describe_configs()),
            api::ALTER_CONFIGS => Request::AlterConfigs(self.alter_configs()),
            api::DESCRIBE_LOG_DIRS => Request::DescribeLogDirs(self.describe_log_dirs()),
            api::CREATE_PARTITIONS => Request::CreatePartitions(self.create_partitions()),
            api::INCREMENTAL_ALTER_CONFIGS => Request::IncrementalAlterConfigs(self.incremental_alter_configs()),
            api::DESCRIBE_CLUSTER => Request::DescribeCluster(
                DescribeClusterRequest::default()
                    .with_include_cluster_authorized_operations(self.bool())
                    .with_endpoint_type(self.since_or(1, 1, Self::i8))
                    .with_include_fenced_brokers(self.since(2, Self::bool))
                    .with_unknown_tagged_fields(self.tags()),
            ),
            api::LIST_CONFIG_RESOURCES => Request::ListConfigResources(
                ListConfigResourcesRequest::default()
                    .with_resource_types(self.since(1, |s| s.list(Self::i8)))
                    .with_unknown_tagged_fields(self.tags()),
            ),
            api::DESCRIBE_TOPIC_PARTITIONS => Request::DescribeTopicPartitions(
                DescribeTopicPartitionsRequest::default()
                    .with_topics(self.list(|s| {
                        let topic = describe_topic_partitions_request::TopicRequest::default();
                        topic.with_name(s.text().into()).with_unknown_tagged_fields(s.tags())
                    }))
                    .with_response_partition_limit(self.i32())
                    .with_cursor(self.maybe(|s| {
                        let cursor = describe_topic_partitions_request::Cursor::default();
                        cursor.with_topic_name(s.text().into()).with_partition_index(s.i32())
                    }))
                    .with_unknown_tagged_fields(self.tags()),
            ),
            api => moves::request(self, api).unwrap_or_else(|| groups::request(self, api)),
        }
    }

    fn list_offsets(&mut self) -> ListOffsetsRequest {
        ListOffsetsRequest::default()
            .with_replica_id(self.i32().into())
            .with_isolation_level(self.since(2, Self::i8))
            .with_timeout_ms(self.since(10, Self::i32))
            .with_topics(self.list(|s| {
                ListOffsetsTopic::default()
                    .with_name(s.text().into())
                    .with_partitions(s.list(|s| {
                        ListOffsetsPartition::default()
                            .with_partition_index(s.i32())
                            .with_current_leader_epoch(s.since_or(4, -1, Self::i32))
                            .with_timestamp(s.i64())
                            .with_unknown_tagged_fields(s.tags())
                    }))
                    .with_unknown_tagged_fields(s.tags())
            }))
            .with_unknown_tagged_fields(self.tags())
    }

    fn metadata(&mut self) -> MetadataRequest {
        let topic = |s: &mut Self| {
            MetadataRequestTopic::default()
                .with_topic_id(s.since(10, Self::uuid))
                .with_name(if s.version >= 10 { s.maybe(|s| s.text().into()) } else { Some(s.text().into()) })
                .with_unknown_tagged_fields(s.tags())
        };
        let old_operations = (8..=10).contains(&self.version);
        MetadataRequest::default()
            .with_topics(if self.version >= 1 { self.maybe(|s| s.list(topic)) } else { Some(self.list(topic)) })
            .with_allow_auto_topic_creation(self.since_or(4, true, Self::bool))
            .with_include_cluster_authorized_operations(old_operations && self.bool())
            .with_include_topic_authorized_operations(self.since(8, Self::bool))
            .with_unknown_tagged_fields(self.tags())
    }

    fn create_topics(&mut self) -> CreateTopicsRequest {
        CreateTopicsRequest::default()
            .with_topics(self.list(|s| {
                CreatableTopic::default()
                    .with_name(s.text().into())
                    .with_num_partitions(s.i32())
                    .with_replication_factor(s.i16())
                    .with_assignments(s.list(|s| {
                        CreatableReplicaAssignment::default()
                            .with_partition_index(s.i32())
                            .with_broker_ids(s.list(|s| s.i32().into()))
                            .with_unknown_tagged_fields(s.tags())
                    }))
                    .with_configs(s.list(|s| {
                        CreatableTopicConfig::default()
                            .with_name(s.text())
                            .with_value(s.maybe(Self::text))
                            .with_unknown_tagged_fields(s.tags())
                    }))
                    .with_unknown_tagged_fields(s.tags())
            }))
            .with_timeout_ms(self.i32())
            .with_validate_only(self.bool())
            .with_unknown_tagged_fields(self.tags())
    }

    fn delete_topics(&mut self) -> DeleteTopicsRequest {
        DeleteTopicsRequest::default()
            .with_topics(self.since(6, |s| {
                s.list(|s| {
                    DeleteTopicState::default()
                        .with_name(s.maybe(|s| s.text().into()))
                        .with_topic_id(s.uuid())
                        .with_unknown_tagged_fields(s.tags())
                })
            }))
            .with_topic_names(if self.version <= 5 { self.list(|s| s.text().into()) } else { Vec::new() })
            .with_timeout_ms(self.i32())
            .with_unknown_tagged_fields(self.tags())
    }

    fn delete_records(&mut self) -> DeleteRecordsRequest {
        DeleteRecordsRequest::default()
            .with_topics(self.list(|s| {
                DeleteRecordsTopic::default()
                    .with_name(s.text().into())
                    .with_partitions(s.list(|s| {
                        DeleteRecordsPartition::default()
                            .with_partition_index(s.i32())
                            .with_offset(s.i64())
                            .with_unknown_tagged_fields(s.tags())
                    }))
                    .with_unknown_tagged_fields(s.tags())
            }))
            .with_timeout_ms(self.i32())
            .with_unknown_tagged_fields(self.tags())
    }

    fn offset_for_leader_epoch(&mut self) -> OffsetForLeaderEpochRequest {
        OffsetForLeaderEpochRequest::default()
            .with_replica_id(self.since_or(3, (-2).into(), |s| s.i32().into()))
            .with_topics(self.list(|s| {
                OffsetForLeaderTopic::default()
                    .with_topic(s.text().into())
                    .with_partitions(s.list(|s| {
                        OffsetForLeaderPartition::default()
                            .with_partition(s.i32())
                            .with_current_leader_epoch(s.i32())
                            .with_leader_epoch(s.i32())
                            .with_unknown_tagged_fields(s.tags())
                    }))
                    .with_unknown_tagged_fields(s.tags())
            }))
            .with_unknown_tagged_fields(self.tags())
    }

    fn describe_configs(&mut self) -> DescribeConfigsRequest {
        DescribeConfigsRequest::default()
            .with_resources(self.list(|s| {
                DescribeConfigsResource::default()
                    .with_resource_type(s.i8())
                    .with_resource_name(s.text())
                    .with_configuration_keys(s.maybe(|s| s.list(Self::text)))
                    .with_unknown_tagged_fields(s.tags())
            }))
            .with_include_synonyms(self.bool())
            .with_include_documentation(self.since(3, Self::bool))
            .with_unknown_tagged_fields(self.tags())
    }

    fn alter_configs(&mut self) -> AlterConfigsRequest {
        AlterConfigsRequest::default()
            .with_resources(self.list(|s| {
                alter_configs::AlterConfigsResource::default()
                    .with_resource_type(s.i8())
                    .with_resource_name(s.text())
                    .with_configs(s.list(|s| {
                        alter_configs::AlterableConfig::default()
                            .with_name(s.text())
                            .with_value(s.maybe(Self::text))
                            .with_unknown_tagged_fields(s.tags())
                    }))
                    .with_unknown_tagged_fields(s.tags())
            }))
            .with_validate_only(self.bool())
            .with_unknown_tagged_fields(self.tags())
    }

    fn incremental_alter_configs(&mut self) -> IncrementalAlterConfigsRequest {
        IncrementalAlterConfigsRequest::default()
            .with_resources(self.list(|s| {
                incremental::AlterConfigsResource::default()
                    .with_resource_type(s.i8())
                    .with_resource_name(s.text())
                    .with_configs(s.list(|s| {
                        incremental::AlterableConfig::default()
                            .with_name(s.text())
                            .with_config_operation(s.i8())
                            .with_value(s.maybe(Self::text))
                            .with_unknown_tagged_fields(s.tags())
                    }))
                    .with_unknown_tagged_fields(s.tags())
            }))
            .with_validate_only(self.bool())
            .with_unknown_tagged_fields(self.tags())
    }

    fn describe_log_dirs(&mut self) -> DescribeLogDirsRequest {
        DescribeLogDirsRequest::default()
            .with_topics(self.maybe(|s| {
                s.list(|s| {
                    DescribableLogDirTopic::default()
                        .with_topic(s.text().into())
                        .with_partitions(s.list(Self::i32))
                        .with_unknown_tagged_fields(s.tags())
                })
            }))
            .with_unknown_tagged_fields(self.tags())
    }

    fn create_partitions(&mut self) -> CreatePartitionsRequest {
        CreatePartitionsRequest::default()
            .with_topics(self.list(|s| {
                CreatePartitionsTopic::default()
                    .with_name(s.text().into())
                    .with_count(s.i32())
                    .with_assignments(s.maybe(|s| {
                        s.list(|s| {
                            CreatePartitionsAssignment::default()
                                .with_broker_ids(s.list(|s| s.i32().into()))
                                .with_unknown_tagged_fields(s.tags())
                        })
                    }))
                    .with_unknown_tagged_fields(s.tags())
            }))
            .with_timeout_ms(self.i32())
            .with_validate_only(self.bool())
            .with_unknown_tagged_fields(self.tags())
    }

    pub fn produce(&mut self) -> ProduceRequest {
        ProduceRequest::default()
            .with_transactional_id(self.maybe(|s| s.text().into()))
            .with_acks(self.i16())
            .with_timeout_ms(self.i32())
            .with_topic_data(self.list(|s| {
                TopicProduceData::default()
                    .with_name(if s.version <= 12 { s.text().into() } else { TopicName::default() })
                    .with_topic_id(s.since(13, Self::uuid))
                    .with_partition_data(s.list(|s| {
                        PartitionProduceData::default()
                            .with_index(s.i32())
                            .with_records(s.maybe(Self::bytes))
                            .with_unknown_tagged_fields(s.tags())
                    }))
                    .with_unknown_tagged_fields(s.tags())
            }))
            .with_unknown_tagged_fields(self.tags())
    }

    pub fn fetch(&mut self) -> FetchRequest {
        let name = |s: &mut Self| if s.version <= 12 { s.text().into() } else { TopicName::default() };
        let replica_state = |s: &mut Self| {
            let state = ReplicaState::default().with_replica_id(s.i32().into()).with_replica_epoch(s.i64());
            state.with_unknown_tagged_fields(s.tags())
        };
        FetchRequest::default()
            .with_cluster_id(if self.version >= 12 { self.maybe(Self::text) } else { None })
            .with_replica_id(if self.version <= 14 { self.i32().into() } else { (-1).into() })
            .with_replica_state(self.since(15, |s| s.maybe(replica_state).unwrap_or_default()))
            .with_max_wait_ms(self.i32())
            .with_min_bytes(self.i32())
            .with_max_bytes(self.i32())
            .with_isolation_level(self.i8())
            .with_session_id(self.since(7, Self::i32))
            .with_session_epoch(self.since_or(7, -1, Self::i32))
            .with_topics(self.list(|s| {
                FetchTopic::default()
                    .with_topic(name(s))
                    .with_topic_id(s.since(13, Self::uuid))
                    .with_partitions(s.list(Self::fetch_partition))
                    .with_unknown_tagged_fields(s.tags())
            }))
            .with_forgotten_topics_data(self.since(7, |s| {
                s.list(|s| {
                    ForgottenTopic::default()
                        .with_topic(name(s))
                        .with_topic_id(s.since(13, Self::uuid))
                        .with_partitions(s.list(Self::i32))
                        .with_unknown_tagged_fields(s.tags())
                })
            }))
            .with_rack_id(self.since(11, Self::text))
            .with_unknown_tagged_fields(self.tags())
    }

    fn fetch_partition(&mut self) -> FetchPartition {
        FetchPartition::default()
            .with_partition(self.i32())
            .with_current_leader_epoch(self.since_or(9, -1, Self::i32))
            .with_fetch_offset(self.i64())
            .with_last_fetched_epoch(self.since_or(12, -1, Self::i32))
            .with_log_start_offset(self.since_or(5, -1, Self::i64))
            .with_partition_max_bytes(self.i32())
            .with_replica_directory_id(self.since(17, Self::uuid))
            .with_high_watermark(self.since_or(18, i64::MAX, Self::i64))
            .with_unknown_tagged_fields(self.tags())
    }
}

/// The body of `request`, by the schema crate.
pub fn encode_control(request: &Request, version: i16) -> Vec<u8> {
    fn body<T: Encodable>(request: &T, version: i16) -> Vec<u8> {
        let mut out = Vec::new();
        request.encode(&mut out, version).expect("a sample fits its version");
        out
    }
    match request {
        Request::ListOffsets(r) => body(r, version),
        Request::Metadata(r) => body(r, version),
        Request::ApiVersions(r) => body(r, version),
        Request::CreateTopics(r) => body(r, version),
        Request::DeleteTopics(r) => body(r, version),
        Request::DeleteRecords(r) => body(r, version),
        Request::InitProducerId(r) => body(r, version),
        Request::OffsetForLeaderEpoch(r) => body(r, version),
        Request::DescribeConfigs(r) => body(r, version),
        Request::AlterConfigs(r) => body(r, version),
        Request::DescribeLogDirs(r) => body(r, version),
        Request::CreatePartitions(r) => body(r, version),
        Request::IncrementalAlterConfigs(r) => body(r, version),
        Request::DescribeCluster(r) => body(r, version),
        Request::OffsetCommit(r) => body(r, version),
        Request::OffsetFetch(r) => body(r, version),
        Request::OffsetCommitById(r) => by_id::encode_commit(r),
        Request::OffsetFetchById(r) => by_id::encode_fetch(r),
        Request::FindCoordinator(r) => body(r, version),
        Request::JoinGroup(r) => body(r, version),
        Request::Heartbeat(r) => body(r, version),
        Request::LeaveGroup(r) => body(r, version),
        Request::SyncGroup(r) => body(r, version),
        Request::DescribeGroups(r) => body(r, version),
        Request::ListGroups(r) => body(r, version),
        Request::DeleteGroups(r) => body(r, version),
        Request::OffsetDelete(r) => body(r, version),
        Request::ConsumerGroupHeartbeat(r) => body(r, version),
        Request::ConsumerGroupDescribe(r) => body(r, version),
        Request::ListConfigResources(r) => body(r, version),
        Request::DescribeTopicPartitions(r) => body(r, version),
        Request::ElectLeaders(r) => body(r, version),
        Request::AlterPartitionReassignments(r) => body(r, version),
        Request::ListPartitionReassignments(r) => body(r, version),
        Request::DescribeQuorum(r) => body(r, version),
        Request::Produce(_) | Request::Fetch(_) => panic!("not a control request"),
    }
}

/// A whole random frame (without its length) of any API that is served, in any of its versions.
pub fn any_frame(prng: &mut Prng) -> Vec<u8> {
    let windows = torc_net::kafka::WINDOWS;
    let window = &windows[prng.below(windows.len() as u64) as usize];
    let (api, version) = (window.api, prng.between(window.min as u64, window.max as u64) as i16);
    any_frame_of(api, version, prng)
}

pub fn any_frame_of(api: i16, version: i16, prng: &mut Prng) -> Vec<u8> {
    let mut sampler = Sampler { prng, api, version };
    let schema = schema_version(api, version);
    let mut body = Vec::new();
    match api {
        api::PRODUCE => sampler.produce().encode(&mut body, schema).expect("a sample fits its version"),
        api::FETCH => sampler.fetch().encode(&mut body, schema).expect("a sample fits its version"),
        _ => body = encode_control(&sampler.control(), schema),
    }
    let (client, tags, correlation) = (sampler.maybe(Sampler::text), sampler.tags(), sampler.i32());
    frame(api, version, correlation, client.as_deref(), &body, tags)
}
