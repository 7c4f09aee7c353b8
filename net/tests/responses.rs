//! Answers by the schema crate in frames of ours.

use bytes::Bytes;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, DescribeClusterResponse, ListOffsetsResponse, MetadataResponse, ResponseHeader,
    TopicName,
};
use kafka_protocol::protocol::{Decodable, StrBytes};
use torc_base::ids::TopicId;
use torc_base::prng::Prng;
use torc_net::kafka::{
    MetadataWriter, api, api_versions, encode, encode_api_versions_refusal, error, topic_uuid, window,
};

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

fn metadata_topic(prng: &mut Prng, name: String, version: i16) -> MetadataResponseTopic {
    let partition = |index: u64, prng: &mut Prng| {
        let led = prng.below(4) > 0;
        let partition = MetadataResponsePartition::default()
            .with_error_code(if led { 0 } else { error::LEADER_NOT_AVAILABLE })
            .with_partition_index(index as i32)
            .with_leader_id(BrokerId(if led { 7 } else { -1 }))
            .with_replica_nodes((0..prng.below(4) as i32).map(BrokerId).collect())
            .with_isr_nodes((0..prng.below(4) as i32).map(BrokerId).collect());
        if version >= 7 { partition.with_leader_epoch(prng.below(9) as i32) } else { partition }
    };
    let partitions = [0, 1, 2, 126, 127, 128, 300][prng.below(7) as usize];
    let topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(name))))
        .with_is_internal(version >= 1 && prng.below(2) == 0)
        .with_partitions((0..partitions).map(|index| partition(index, prng)).collect());
    let topic = if version >= 10 { topic.with_topic_id(topic_uuid(TopicId(prng.below(99).into()))) } else { topic };
    if version >= 8 { topic.with_topic_authorized_operations(prng.below(4_000) as i32) } else { topic }
}

/// In whatever pieces an answer about topics is made, it is the same frame; topics that are gone in the end leave nothing.
#[test]
fn metadata_in_pieces_is_what_it_is_at_once() {
    const SEED: u64 = 5;
    let mut prng = Prng::new(SEED);
    let window = window(api::METADATA).expect("it is served");
    for version in window.min..=window.max {
        for topics in [0, 1, 3, 130] {
            let mut topic = |n| metadata_topic(&mut prng, format!("topic-{n}"), version.min(window.schema_max));
            let topics: Vec<MetadataResponseTopic> = (0..topics).map(&mut topic).collect();
            let broker = MetadataResponseBroker::default().with_node_id(BrokerId(7)).with_host("h".into()).with_port(9);
            let response = MetadataResponse::default()
                .with_brokers(vec![broker])
                .with_cluster_id(Some("c".into()))
                .with_controller_id(BrokerId(7))
                .with_cluster_authorized_operations(if (8..=10).contains(&version) { 77 } else { i32::MIN });
            let mut writer = MetadataWriter::new(version);
            for topic in &topics {
                let head = topic.clone().with_partitions(vec![]);
                if prng.below(3) == 0 {
                    writer.begin_topic(&head, topic.partitions.len() + 1).expect("sound");
                    topic.partitions.iter().for_each(|partition| writer.partition(partition).expect("sound"));
                    writer.drop_topic();
                }
                writer.begin_topic(&head, topic.partitions.len()).expect("sound");
                topic.partitions.iter().for_each(|partition| writer.partition(partition).expect("sound"));
                writer.end_topic();
            }
            let (mut pieces, mut whole) = (b"before".to_vec(), b"before".to_vec());
            writer.finish(&response, 33, &mut pieces).expect("sound");
            let response = response.with_topics(topics);
            encode(&response, api::METADATA, version, 33, &mut whole).expect("sound");
            assert!(pieces == whole, "seed {SEED}: {} topics in version {version} differ", response.topics.len());
        }
    }
}
