//! From a frame to a request.

use super::schema::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, ApiVersionsRequest, ConsumerGroupDescribeRequest,
    ConsumerGroupHeartbeatRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest,
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest,
    DescribeLogDirsRequest, DescribeQuorumRequest, DescribeTopicPartitionsRequest, ElectLeadersRequest,
    FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest,
    LeaveGroupRequest, ListConfigResourcesRequest, ListGroupsRequest, ListOffsetsRequest,
    ListPartitionReassignmentsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, SyncGroupRequest,
};
use super::windows::{ApiWindow, api, window};
use super::wire::{self, Wire, WireReader};
use super::{api_name, fetch, guard, offsets_by_id, produce, shapes};
use crate::foreign::{Foreign, is_zookeeper_connect};
use bytes::Bytes;
use kafka_protocol::protocol::Decodable;
use std::fmt;
use torc_base::buf::BufMut;

/// Largest request but for Produce, whose bytes are records.
pub const CONTROL_BYTES_MAX: usize = 16 << 20;

/// APIs of clients that want to log in; named so that the refusal can say so.
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;

/// What every request begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub api: i16,
    pub version: i16,
    /// The client's number of the request, returned with the answer.
    pub correlation: i32,
    /// What the client calls itself; not kept of Produce and Fetch, where nobody asks for it.
    pub client_id: Option<String>,
}

/// A request that torc serves. Fields are as the client sent them: lengths and encodings are checked, meanings are not.
#[derive(Debug)]
pub enum Request {
    Produce(produce::Request),
    Fetch(fetch::Request),
    ListOffsets(ListOffsetsRequest),
    Metadata(MetadataRequest),
    ApiVersions(ApiVersionsRequest),
    CreateTopics(CreateTopicsRequest),
    DeleteTopics(DeleteTopicsRequest),
    DeleteRecords(DeleteRecordsRequest),
    InitProducerId(InitProducerIdRequest),
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest),
    DescribeConfigs(DescribeConfigsRequest),
    AlterConfigs(AlterConfigsRequest),
    DescribeLogDirs(DescribeLogDirsRequest),
    CreatePartitions(CreatePartitionsRequest),
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest),
    DescribeCluster(DescribeClusterRequest),
    OffsetCommit(OffsetCommitRequest),
    OffsetFetch(OffsetFetchRequest),
    /// OffsetCommit of version 10, and OffsetFetch of it.
    OffsetCommitById(offsets_by_id::Commit),
    OffsetFetchById(offsets_by_id::Fetch),
    FindCoordinator(FindCoordinatorRequest),
    JoinGroup(JoinGroupRequest),
    Heartbeat(HeartbeatRequest),
    LeaveGroup(LeaveGroupRequest),
    SyncGroup(SyncGroupRequest),
    DescribeGroups(DescribeGroupsRequest),
    ListGroups(ListGroupsRequest),
    DeleteGroups(DeleteGroupsRequest),
    OffsetDelete(OffsetDeleteRequest),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest),
    ConsumerGroupDescribe(ConsumerGroupDescribeRequest),
    ListConfigResources(ListConfigResourcesRequest),
    DescribeTopicPartitions(DescribeTopicPartitionsRequest),
    ElectLeaders(ElectLeadersRequest),
    AlterPartitionReassignments(AlterPartitionReassignmentsRequest),
    ListPartitionReassignments(ListPartitionReassignmentsRequest),
    DescribeQuorum(DescribeQuorumRequest),
}

/// Why a frame is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bad {
    /// ApiVersions in a version that is not served. The connection lives on: the answer is
    /// [`encode_api_versions_refusal`](super::encode_api_versions_refusal).
    ApiVersionsUnknown { correlation: i32, version: i16 },
    /// An API or a version of it that is not served. Kafka closes the connection.
    Unsupported { api: i16, version: i16 },
    /// The message of another protocol.
    Foreign(Foreign),
    /// The bytes contradict the schema; `at` of them were sound. `api` and `version` are -1 if the frame is too short
    /// to hold them. Kafka closes the connection.
    Malformed { api: i16, version: i16, what: &'static str, at: usize },
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bad::ApiVersionsUnknown { version, .. } => write!(f, "ApiVersions version {version} is not served"),
            Bad::Unsupported { api: api @ (SASL_HANDSHAKE | SASL_AUTHENTICATE), .. } => {
                write!(f, "{} is not served: clients must have security.protocol=PLAINTEXT", api_name(*api))
            }
            Bad::Unsupported { api, version } => write!(f, "{} version {version} is not served", api_name(*api)),
            Bad::Foreign(foreign) => foreign.fmt(f),
            Bad::Malformed { api: -1, what, at, .. } => write!(f, "malformed request ({at} bytes): {what}"),
            Bad::Malformed { api, version, what, at } => {
                write!(f, "malformed request ({} version {version}, byte {at}): {what}", api_name(*api))
            }
        }
    }
}

impl std::error::Error for Bad {}

/// Bytes of a header before the client id: API key, version, correlation id.
const HEADER_FIXED: usize = 8;

/// Decodes one request. `frame` is all of it without its 4-byte length; bytes behind the last field mean nothing, as in
/// Kafka (librdkafka leaves three there in some Metadata requests). The record batches of a produce request are cut
/// out of the frame, not copied; other requests own their memory, and the frame is free when this returns.
pub fn decode(frame: BufMut) -> Result<(Header, Request), Bad> {
    if frame.len() < HEADER_FIXED {
        let what = "the frame is shorter than a request header";
        return Err(Bad::Malformed { api: -1, version: -1, what, at: frame.len() });
    }
    let mut reader = WireReader::new(&frame);
    let read = "8 bytes are there";
    let (api, version) = (reader.i16().expect(read), reader.i16().expect(read));
    let correlation = reader.i32().expect(read);
    let unsupported = || match is_zookeeper_connect(&frame) {
        true => Bad::Foreign(Foreign::ZooKeeper),
        false => Bad::Unsupported { api, version },
    };
    let Some(window) = window(api) else { return Err(unsupported()) };
    if !(window.min..=window.max).contains(&version) {
        return Err(match api {
            api::API_VERSIONS => Bad::ApiVersionsUnknown { correlation, version },
            _ => unsupported(),
        });
    }
    let malformed = |(what, at)| Bad::Malformed { api, version, what, at };
    if api != api::PRODUCE && frame.len() > CONTROL_BYTES_MAX {
        return Err(malformed(("the request is larger than 16 MiB", 0)));
    }
    // The client id never has a compact length: servers of all ages must be able to read it.
    let client_id = reader.nullable_raw().map_err(|what| malformed((what, reader.at())))?;
    let client_id =
        client_id.filter(|_| !carries_records(api)).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    reader.skip_tags(version >= window.flexible).map_err(|what| malformed((what, reader.at())))?;
    let body = reader.at();
    let request = match api {
        api::PRODUCE => Request::Produce(produce::decode(frame, body, version).map_err(malformed)?),
        api::FETCH => Request::Fetch(fetch::decode(&frame, body, version).map_err(malformed)?),
        api::OFFSET_COMMIT if version >= offsets_by_id::VERSION => {
            Request::OffsetCommitById(read_own(&frame, body, offsets_by_id::commit).map_err(malformed)?)
        }
        api::OFFSET_FETCH if version >= offsets_by_id::VERSION => {
            Request::OffsetFetchById(read_own(&frame, body, offsets_by_id::fetch).map_err(malformed)?)
        }
        _ => decode_control(&frame, body, window, version).map_err(malformed)?,
    };
    Ok((Header { api, version, correlation, client_id }, request))
}

/// Requests for which nothing is allocated that is not needed.
fn carries_records(api: i16) -> bool {
    matches!(api, api::PRODUCE | api::FETCH)
}

/// Reads a request whose layout is known here.
fn read_own<T>(frame: &[u8], body: usize, fields: fn(&mut WireReader) -> Wire<T>) -> Result<T, (&'static str, usize)> {
    let mut reader = WireReader::new(frame);
    reader.take(body).expect("the header was read from this frame");
    fields(&mut reader).map_err(|what| (what, reader.at()))
}

/// Decodes a request by the schema crate, after the guard has walked it.
fn decode_control(
    frame: &[u8],
    body: usize,
    window: &ApiWindow,
    version: i16,
) -> Result<Request, (&'static str, usize)> {
    let fields = shapes::fields(window.api).expect("every served API but Produce and Fetch has a shape");
    let mut reader = WireReader::new(frame);
    reader.take(body).expect("the header was read from this frame");
    let flexible = version >= window.flexible;
    guard::walk(&mut reader, fields, version, flexible).map_err(|what| (what, reader.at()))?;
    // One copy, of which all strings are slices. They must not be slices of the frame: what a handler keeps would
    // hold a receive buffer. What stands behind the last field is passed over.
    let mut bytes = frame[body..reader.at()].to_vec();
    for range in reader.spoiled() {
        bytes[range.start - body..range.end - body].copy_from_slice(wire::readable(&frame[range.clone()]).as_bytes());
    }
    by_schema(window.api, Bytes::from(bytes), version.min(window.schema_max))
        .map_err(|_| ("the schema does not allow this value", body))
}

fn by_schema(api: i16, mut bytes: Bytes, version: i16) -> Result<Request, ()> {
    fn read<T: Decodable>(bytes: &mut Bytes, version: i16) -> Result<T, ()> {
        T::decode(bytes, version).map_err(drop)
    }
    let b = &mut bytes;
    let request = match api {
        api::LIST_OFFSETS => Request::ListOffsets(read(b, version)?),
        api::METADATA => Request::Metadata(read(b, version)?),
        api::API_VERSIONS => Request::ApiVersions(read(b, version)?),
        api::CREATE_TOPICS => Request::CreateTopics(read(b, version)?),
        api::DELETE_TOPICS => Request::DeleteTopics(read(b, version)?),
        api::DELETE_RECORDS => Request::DeleteRecords(read(b, version)?),
        api::INIT_PRODUCER_ID => Request::InitProducerId(read(b, version)?),
        api::OFFSET_FOR_LEADER_EPOCH => Request::OffsetForLeaderEpoch(read(b, version)?),
        api::DESCRIBE_CONFIGS => Request::DescribeConfigs(read(b, version)?),
        api::ALTER_CONFIGS => Request::AlterConfigs(read(b, version)?),
        api::DESCRIBE_LOG_DIRS => Request::DescribeLogDirs(read(b, version)?),
        api::CREATE_PARTITIONS => Request::CreatePartitions(read(b, version)?),
        api::INCREMENTAL_ALTER_CONFIGS => Request::IncrementalAlterConfigs(read(b, version)?),
        api::DESCRIBE_CLUSTER => Request::DescribeCluster(read(b, version)?),
        api::OFFSET_COMMIT => Request::OffsetCommit(read(b, version)?),
        api::OFFSET_FETCH => Request::OffsetFetch(read(b, version)?),
        api::FIND_COORDINATOR => Request::FindCoordinator(read(b, version)?),
        api::JOIN_GROUP => Request::JoinGroup(read(b, version)?),
        api::HEARTBEAT => Request::Heartbeat(read(b, version)?),
        api::LEAVE_GROUP => Request::LeaveGroup(read(b, version)?),
        api::SYNC_GROUP => Request::SyncGroup(read(b, version)?),
        api::DESCRIBE_GROUPS => Request::DescribeGroups(read(b, version)?),
        api::LIST_GROUPS => Request::ListGroups(read(b, version)?),
        api::DELETE_GROUPS => Request::DeleteGroups(read(b, version)?),
        api::OFFSET_DELETE => Request::OffsetDelete(read(b, version)?),
        api::CONSUMER_GROUP_HEARTBEAT => Request::ConsumerGroupHeartbeat(read(b, version)?),
        api::CONSUMER_GROUP_DESCRIBE => Request::ConsumerGroupDescribe(read(b, version)?),
        api::LIST_CONFIG_RESOURCES => Request::ListConfigResources(read(b, version)?),
        api::DESCRIBE_TOPIC_PARTITIONS => Request::DescribeTopicPartitions(read(b, version)?),
        api::ELECT_LEADERS => Request::ElectLeaders(read(b, version)?),
        api::ALTER_PARTITION_REASSIGNMENTS => Request::AlterPartitionReassignments(read(b, version)?),
        api::LIST_PARTITION_REASSIGNMENTS => Request::ListPartitionReassignments(read(b, version)?),
        api::DESCRIBE_QUORUM => Request::DescribeQuorum(read(b, version)?),
        _ => unreachable!("API {api} has a window but no decoder"),
    };
    // The guard reads the same lengths as the schema crate (tests compare them); were they to differ, the bytes of a
    // stranger must not end the process.
    if bytes.is_empty() { Ok(request) } else { Err(()) }
}
