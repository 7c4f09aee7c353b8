//! Answers by the schema crate in frames of ours.

use bytes::Bytes;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{
    ApiVersionsResponse, DescribeClusterResponse, ListOffsetsResponse, MetadataResponse, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, StrBytes};
use torc_net::kafka::{api, api_versions, encode, encode_api_versions_refusal, error, window};

/// Takes the length and the correlation id off a response frame; returns the body.
fn open_frame(frame: &[u8], header_version: i16, correlation: i32) -> Bytes {
    let mut bytes = Bytes::copy_from_slice(frame);
    let length = bytes.split_to(4);
    assert_eq!(u32::from_be_bytes(length[..].try_into().expect("4 bytes")) as usize, bytes.len());
    let header = ResponseHeader::decode(&mut bytes, header_version).expect("a header");
    assert_eq!(header.correlation_id, correlation);
    bytes
}

#[test]
fn api_versions_name_every_window_in_a_header_of_version_0() {
    for version in 0..=4 {
        let mut out = Vec::new();
        encode(&api_versions(version), api::API_VERSIONS, version, 5, &mut out).expect("sound");
        let mut body = open_frame(&out, 0, 5);
        let decoded = ApiVersionsResponse::decode(&mut body, version).expect("sound");
        assert!(body.is_empty());
        assert_eq!(decoded.error_code, error::NONE);
        let range = |api| {
            let found = decoded.api_keys.iter().find(|versions| versions.api_key == api);
            found.map(|versions| (versions.min_version, versions.max_version))
        };
        assert_eq!(range(api::PRODUCE), Some((0, 13)), "0-2 are named though refused");
        assert_eq!(range(api::FETCH), Some((4, 18)));
        assert_eq!(range(api::LIST_OFFSETS), Some((1, 11)));
        assert_eq!(range(4), None, "LeaderAndIsr is not served");
    }
}

/// What Java clients, librdkafka and franz-go look at before they choose the consumer protocol. Those of version 3 take a
/// range that begins at 0 for an error, so that they are told of the level in force alone.
#[test]
fn api_versions_say_that_the_consumer_protocol_is_in_force() {
    let told = |version| {
        let mut out = Vec::new();
        encode(&api_versions(version), api::API_VERSIONS, version, 5, &mut out).expect("sound");
        ApiVersionsResponse::decode(&mut open_frame(&out, 0, 5), version).expect("sound")
    };
    for version in 0..=2 {
        let decoded = told(version);
        assert!(decoded.supported_features.is_empty() && decoded.finalized_features.is_empty());
    }
    for (version, is_supported) in [(3, false), (4, true)] {
        let decoded = told(version);
        let range = decoded.supported_features.iter().map(|one| (&*one.name, one.min_version, one.max_version));
        assert_eq!(range.collect::<Vec<_>>(), Vec::from_iter(is_supported.then_some(("group.version", 0, 1))));
        let level = &decoded.finalized_features[..];
        assert_eq!(level.len(), 1);
        assert_eq!((&*level[0].name, level[0].min_version_level, level[0].max_version_level), ("group.version", 1, 1));
        assert!(decoded.finalized_features_epoch >= 0, "a negative one says that nothing is known");
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let mut out = b"x".to_vec();
    encode_api_versions_refusal(0x0102_0304, &mut out);
    let frame = [
        0, 0, 0, 16, 1, 2, 3, 4, // length, correlation
        0, 35, // UNSUPPORTED_VERSION
        0, 0, 0, 1, 0, 18, 0, 0, 0, 4, // ApiVersions 0 to 4
    ];
    assert_eq!(out[1..], frame);
}

#[test]
fn flexible_versions_have_flexible_headers() {
    for (version, header_version) in [(8, 0), (9, 1), (13, 1)] {
        let response = MetadataResponse::default().with_cluster_id(Some(StrBytes::from_static_str("c")));
        let mut out = Vec::new();
        encode(&response, api::METADATA, version, -3, &mut out).expect("sound");
        let mut body = open_frame(&out, header_version, -3);
        assert_eq!(MetadataResponse::decode(&mut body, version).expect("sound").cluster_id.as_deref(), Some("c"));
        assert!(body.is_empty());
    }
    let response = DescribeClusterResponse::default().with_brokers(vec![DescribeClusterBroker::default()]);
    let mut out = Vec::new();
    encode(&response, api::DESCRIBE_CLUSTER, 0, 1, &mut out).expect("sound");
    assert_eq!(DescribeClusterResponse::decode(&mut open_frame(&out, 1, 1), 0).expect("sound").brokers.len(), 1);
}

#[test]
fn versions_beyond_the_schema_crate_have_the_layout_of_its_last() {
    let window = window(api::LIST_OFFSETS).expect("served");
    assert_eq!((window.max, window.schema_max), (11, 10));
    let partition = ListOffsetsPartitionResponse::default().with_offset(7).with_leader_epoch(2);
    let topic = ListOffsetsTopicResponse::default().with_partitions(vec![partition]);
    let response = ListOffsetsResponse::default().with_topics(vec![topic]);
    let frame = |version| {
        let mut out = Vec::new();
        encode(&response, api::LIST_OFFSETS, version, 1, &mut out).expect("sound");
        out
    };
    assert_eq!(frame(11), frame(10));
}

#[test]
fn an_answer_that_does_not_fit_its_version_is_an_error_and_leaves_nothing_behind() {
    let response = MetadataResponse::default().with_cluster_id(Some(StrBytes::from_string("x".repeat(40_000))));
    let mut out = b"kept".to_vec();
    let error = encode(&response, api::METADATA, 2, 1, &mut out).expect_err("a plain string has at most 32767 bytes");
    assert_eq!((error.api, error.version, &out[..]), (api::METADATA, 2, &b"kept"[..]));
}
