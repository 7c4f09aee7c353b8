//! Topics, their settings, and what is told of the cluster.

use super::rig::{Client, Rig, settings};
use super::verbs::*;
use torc_net::kafka::error;
use torc_net::kafka::schema::alter_configs_request::{AlterConfigsResource, AlterableConfig as PlainConfig};
use torc_net::kafka::schema::create_partitions_request::CreatePartitionsTopic;
use torc_net::kafka::schema::create_topics_request::CreatableTopic;
use torc_net::kafka::schema::delete_topics_request::DeleteTopicState;
use torc_net::kafka::schema::describe_configs_request::DescribeConfigsResource;
use torc_net::kafka::schema::describe_log_dirs_request::DescribableLogDirTopic;
use torc_net::kafka::schema::incremental_alter_configs_request::{AlterConfigsResource as Resource, AlterableConfig};
use torc_net::kafka::schema::metadata_request::MetadataRequestTopic;
use torc_net::kafka::schema::metadata_response::MetadataResponse;
use torc_net::kafka::schema::{
    AlterConfigsRequest, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeLogDirsRequest, IncrementalAlterConfigsRequest,
    MetadataRequest,
};

const TOPIC: i8 = 2;

/// Name, error and number of partitions.
fn told(response: &MetadataResponse) -> Vec<(String, i16, usize)> {
    let topics = response.topics.iter();
    topics.map(|t| (t.name.as_ref().map_or("".into(), |n| n.to_string()), t.error_code, t.partitions.len())).collect()
}

/// Key, value and where it comes from.
type Setting = (String, String, i8);

fn describe(rig: &mut Rig, client: Client, kind: i8, names: &[&str]) -> Vec<(i16, Vec<Setting>)> {
    let resource = |resource: &&str| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(resource))
            .with_configuration_keys(None)
    };
    let request = DescribeConfigsRequest::default().with_resources(names.iter().map(resource).collect());
    let results = rig.ask(client, 4, &request).results.into_iter();
    let config = |c: torc_net::kafka::schema::describe_configs_response::DescribeConfigsResourceResult| {
        (c.name.to_string(), c.value.expect("a value").to_string(), c.config_source)
    };
    results.map(|result| (result.error_code, result.configs.into_iter().map(config).collect())).collect()
}

/// One setting of a topic and where it comes from.
fn setting(rig: &mut Rig, client: Client, topic: &str, key: &str) -> (String, i8) {
    let (code, configs) = describe(rig, client, TOPIC, &[topic]).remove(0);
    assert_eq!(code, 0);
    let found = configs.into_iter().find(|(name, ..)| name == key).expect("a key that topics have");
    (found.1, found.2)
}

#[test]
fn metadata_makes_topics_that_are_missing_and_tells_their_leaders() {
    let mut rig = Rig::with(2, &crate::Settings { num_partitions: 3, ..settings() });
    let client = rig.connect(1);
    let answer = rig.metadata(client, &["new", "bad name", "new"]);
    assert_eq!(
        told(&answer),
        [("new".into(), 0, 3), ("bad name".into(), error::INVALID_TOPIC_EXCEPTION, 0)],
        "each is told of once"
    );
    let partitions = &answer.topics[0].partitions;
    assert!(partitions.iter().all(|p| p.error_code == 0 && p.leader_id == 7 && p.leader_epoch > 0), "{partitions:?}");
    assert_eq!((answer.brokers[0].node_id.0, answer.brokers[0].port, answer.controller_id.0), (7, 9092, 7));
    for index in 0..3 {
        assert_eq!(rig.produce(client, -1, "new", index, &batch(&["a"])).error_code, 0, "at once");
    }
    let mut request = metadata_request(&["other"]);
    request.allow_auto_topic_creation = false;
    let answer = rig.ask(client, METADATA, &request);
    assert_eq!(told(&answer), [("other".into(), error::UNKNOWN_TOPIC_OR_PARTITION, 0)]);
}

#[test]
fn without_auto_creation_a_missing_topic_is_unknown() {
    let mut rig = Rig::with(1, &crate::Settings { auto_create_topics: false, ..settings() });
    let client = rig.connect(0);
    let answer = rig.metadata(client, &["t", "bad name"]);
    let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [error::UNKNOWN_TOPIC_OR_PARTITION, error::INVALID_TOPIC_EXCEPTION]);
}

#[test]
fn metadata_goes_by_name_by_id_or_for_all() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    for topic in ["a", "b"] {
        assert_eq!(rig.create(client, topic, 1, &[]), 0);
    }
    let id = id_of(&mut rig, client, "b");
    let by_id = |id| MetadataRequestTopic::default().with_topic_id(id).with_name(None);
    let topics = vec![by_id(id), by_id(torc_net::kafka::Uuid::from_u128(3))];
    let answer = rig.ask(client, METADATA, &MetadataRequest::default().with_topics(Some(topics)));
    assert_eq!(told(&answer), [("b".into(), 0, 1), ("".into(), error::UNKNOWN_TOPIC_ID, 0)]);
    let all = [("a".into(), 0, 1), ("b".into(), 0, 1)];
    assert_eq!(told(&rig.ask(client, METADATA, &MetadataRequest::default().with_topics(None))), all);
    assert_eq!(told(&rig.ask(client, 0, &MetadataRequest::default().with_topics(Some(vec![])))), all);
    assert_eq!(told(&rig.ask(client, 1, &MetadataRequest::default().with_topics(Some(vec![])))), []);
}

/// Names that cannot be made are looked up once each, not once for each other.
#[test]
fn a_request_for_very_many_topics_is_answered() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let names: Vec<String> = (0..5_000).map(|n| format!("bad name {n}")).collect();
    let names: Vec<&str> = names.iter().map(|name| &name[..]).collect();
    let answer = rig.metadata(client, &names);
    assert_eq!(answer.topics.len(), names.len());
    assert!(answer.topics.iter().all(|topic| topic.error_code != 0));
    assert_eq!(rig.create(client, "t", 1, &[]), 0, "and the server lives");
}

#[test]
fn topics_are_made_on_all_shards_and_bad_ones_are_refused_one_by_one() {
    let mut rig = Rig::new(2);
    let client = rig.connect(1);
    let new = |topic: &str, partitions: i32, replication: i16| {
        CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(replication)
    };
    let topics = vec![
        new("good", 4, 1),
        new("none", 0, 1),
        new("copies", 1, 2),
        new("bad/name", 1, 1),
        new("twice", 1, 1),
        new("twice", 1, 1),
        new("default", -1, -1),
    ];
    let request = CreateTopicsRequest::default().with_topics(topics.clone()).with_validate_only(true);
    let dry = rig.ask(client, CREATE_TOPICS, &request);
    assert_eq!(told(&rig.ask(client, METADATA, &MetadataRequest::default().with_topics(None))), []);
    let wet = rig.ask(client, CREATE_TOPICS, &CreateTopicsRequest::default().with_topics(topics));
    for answer in [dry, wet] {
        let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
        let expected = [
            0,
            error::INVALID_PARTITIONS,
            error::INVALID_REPLICATION_FACTOR,
            error::INVALID_TOPIC_EXCEPTION,
            0,
            error::INVALID_REQUEST,
        ];
        assert_eq!(codes, expected);
    }
    assert_eq!(rig.create(client, "good", 1, &[]), error::TOPIC_ALREADY_EXISTS);
    assert_eq!(rig.create(client, "wrong", 1, &[("retention.ms", "soon")]), error::INVALID_CONFIG);
    assert_eq!(rig.create(client, "wrong", 1, &[("retention.eggs", "1")]), error::INVALID_CONFIG);
    for index in 0..4 {
        assert_eq!(rig.produce(client, -1, "good", index, &batch(&["a"])).error_code, 0);
    }
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    rig.produce(client, -1, "t", 1, &batch(&["kept"]));
    let mut grow = |topic: &str, count| {
        let topic = CreatePartitionsTopic::default().with_name(name(topic)).with_count(count).with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000);
        rig.ask(client, 3, &request).results[0].error_code
    };
    assert_eq!(grow("t", 5), 0);
    assert_eq!(grow("t", 4), error::INVALID_PARTITIONS);
    assert_eq!(grow("t", 5), error::INVALID_PARTITIONS);
    assert_eq!(grow("u", 5), error::UNKNOWN_TOPIC_OR_PARTITION);
    for index in 2..5 {
        assert_eq!(rig.produce(client, -1, "t", index, &batch(&["a"])).base_offset, 0);
    }
    assert_eq!(values(&rig.fetch(client, "t", 1, 0)), [(0, "kept".into())]);
}

#[test]
fn a_deleted_topic_is_gone_and_a_new_one_of_its_name_is_empty() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    for topic in ["t", "u"] {
        assert_eq!(rig.create(client, topic, 2, &[]), 0);
        rig.produce(client, -1, topic, 1, &batch(&["a"]));
    }
    let id = id_of(&mut rig, client, "u");
    let by_name = DeleteTopicState::default().with_name(Some(name("t")));
    let by_id = |id| DeleteTopicState::default().with_topic_id(id);
    let topics = vec![by_name, by_id(id), by_id(torc_net::kafka::Uuid::from_u128(3))];
    let answer = rig.ask(client, 6, &DeleteTopicsRequest::default().with_topics(topics));
    let codes: Vec<i16> = answer.responses.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, 0, error::UNKNOWN_TOPIC_ID]);
    assert_eq!(answer.responses[1].name, Some(name("u")));
    assert_eq!(rig.produce(client, -1, "t", 1, &batch(&["a"])).error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    assert_eq!(rig.fetch(client, "t", 1, 0).high_watermark, 0);
    let answer = rig.ask(client, 5, &DeleteTopicsRequest::default().with_topic_names(vec![name("nope")]));
    assert_eq!(answer.responses[0].error_code, error::UNKNOWN_TOPIC_OR_PARTITION);
}

/// Both deletions are planned before either is committed.
#[test]
fn a_topic_that_two_delete_by_name_is_unknown_to_the_second_whatever_its_id_was() {
    let mut rig = Rig::new(1);
    let clients = [rig.connect(0), rig.connect(0)];
    assert_eq!(rig.create(clients[0], "t", 1, &[]), 0);
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name("t")]).with_timeout_ms(5_000);
    let sent = clients.map(|client| rig.send(client, 4, &request));
    rig.run();
    let mut codes: Vec<i16> = (0..2)
        .map(|at| rig.take::<DeleteTopicsRequest>(clients[at], 4, sent[at]).expect("an answer").responses[0].error_code)
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, error::UNKNOWN_TOPIC_OR_PARTITION]);
}

#[test]
fn settings_are_described_changed_and_in_force_at_once() {
    let mut rig = Rig::new(2);
    let client = rig.connect(1);
    assert_eq!(rig.create(client, "t", 2, &[("retention.ms", "1000")]), 0);
    assert_eq!(setting(&mut rig, client, "t", "retention.ms"), ("1000".into(), 1));
    assert_eq!(setting(&mut rig, client, "t", "max.message.bytes"), ("1048588".into(), 5));
    let mut alter = |topic: &str, key: &str, operation: i8, value: Option<&str>, validate_only: bool| {
        let config = AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(operation)
            .with_value(value.map(text));
        let resource =
            Resource::default().with_resource_type(TOPIC).with_resource_name(text(topic)).with_configs(vec![config]);
        let request =
            IncrementalAlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(validate_only);
        rig.ask(client, 1, &request).responses[0].error_code
    };
    assert_eq!(alter("t", "max.message.bytes", 0, Some("500"), true), 0);
    assert_eq!(alter("t", "retention.ms", 1, None, false), 0);
    assert_eq!(alter("t", "retention.ms", 0, Some("soon"), false), error::INVALID_CONFIG);
    assert_eq!(alter("t", "retention.ms", 9, Some("1"), false), error::INVALID_REQUEST);
    assert_eq!(alter("u", "retention.ms", 0, Some("1"), false), error::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(alter("t", "max.message.bytes", 0, Some("700"), false), 0);
    assert_eq!(setting(&mut rig, client, "t", "retention.ms").1, 5, "the default again");
    assert_eq!(setting(&mut rig, client, "t", "max.message.bytes"), ("700".into(), 1));
    for index in [0, 1] {
        assert_eq!(rig.produce(client, -1, "t", index, &large(800)).error_code, error::MESSAGE_TOO_LARGE);
    }
    // The older request replaces all of a topic's own settings.
    let config = PlainConfig::default().with_name(text("retention.bytes")).with_value(Some(text("5")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text("t"))
        .with_configs(vec![config]);
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(rig.ask(client, 2, &request).responses[0].error_code, 0);
    assert_eq!(setting(&mut rig, client, "t", "max.message.bytes").1, 5);
    assert_eq!(setting(&mut rig, client, "t", "retention.bytes"), ("5".into(), 1));
}

/// The check for old records comes every 10 seconds here; no time passes.
#[test]
fn a_bound_in_bytes_holds_as_soon_as_segments_fill() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "small", 1, &[("retention.bytes", "1500000")]), 0);
    assert_eq!(rig.create(client, "all", 1, &[]), 0);
    for _ in 0..100 {
        assert_eq!(rig.produce(client, -1, "small", 0, &large(100_000)).error_code, 0);
        assert_eq!(rig.produce(client, -1, "all", 0, &large(1_000)).error_code, 0);
    }
    let (end, start) = (rig.offset(client, "small", 0, -1).offset, rig.offset(client, "small", 0, -2).offset);
    assert!((end - start) * 100_000 >= 1_500_000, "{start} to {end}: no more goes than has to");
    assert!((end - start) * 100_000 <= 3_500_000, "{start} to {end}: two segments above the bound");
    assert_eq!(rig.offset(client, "all", 0, -2).offset, 0);
}

#[test]
fn log_dirs_tell_what_partitions_hold() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    rig.produce(client, -1, "t", 1, &large(5_000));
    for topics in
        [None, Some(vec![DescribableLogDirTopic::default().with_topic(name("t")).with_partitions(vec![0, 1, 2])])]
    {
        let answer = rig.ask(client, 4, &DescribeLogDirsRequest::default().with_topics(topics));
        let directory = &answer.results[0];
        assert_eq!((directory.error_code, directory.log_dir.as_str()), (0, "/data"));
        let partitions = &directory.topics[0].partitions;
        assert_eq!(partitions.len(), 2);
        assert!(partitions[0].partition_size < 1_000 && partitions[1].partition_size > 5_000, "{partitions:?}");
    }
}

#[test]
fn the_cluster_and_its_versions_are_described() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let answer = rig.ask(client, 1, &DescribeClusterRequest::default().with_endpoint_type(1));
    assert_eq!((answer.error_code, answer.cluster_id.as_str(), answer.brokers.len()), (0, "a-cluster", 1));
    let answer = rig.ask(client, 1, &DescribeClusterRequest::default().with_endpoint_type(2));
    assert_eq!((answer.error_code, answer.brokers.len()), (error::MISMATCHED_ENDPOINT_TYPE, 0));
    for unknown in [0, 3, -1] {
        let answer = rig.ask(client, 1, &DescribeClusterRequest::default().with_endpoint_type(unknown));
        assert_eq!((answer.error_code, answer.controller_id.0), (error::UNSUPPORTED_ENDPOINT_TYPE, -1));
    }
    let fenced = DescribeClusterRequest::default().with_endpoint_type(1).with_include_fenced_brokers(true);
    let answer = rig.ask(client, 2, &fenced);
    assert!(answer.brokers.len() == 1 && !answer.brokers[0].is_fenced);
    assert!(rig.ask(client, 3, &ApiVersionsRequest::default()).api_keys.len() > 10);
    // A version of the future is answered in the layout of version 0, and the connection lives.
    let mut frame = super::rig::frame(&ApiVersionsRequest::default(), 3, 1);
    frame[6..8].copy_from_slice(&9i16.to_be_bytes());
    rig.send_bytes(client, &frame);
    rig.run();
    let (correlation, answer) = rig.take_frame(client).expect("an answer");
    assert_eq!((correlation, &answer[4..6]), (1, &error::UNSUPPORTED_VERSION.to_be_bytes()[..]));
    assert_eq!(rig.ask(client, 3, &ApiVersionsRequest::default()).error_code, 0);
}

/// A change of settings waits for the changes before it. When the log fails meanwhile it is refused like them.
#[test]
fn changes_that_wait_for_others_are_refused_when_the_log_fails() {
    let mut rig = Rig::new(1);
    let (first, second) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(first, "t", 1, &[]), 0);
    rig.disk(0).hold_writes = true;
    let topic = CreatableTopic::default().with_name(name("u")).with_num_partitions(1).with_replication_factor(1);
    let create = rig.send(first, CREATE_TOPICS, &CreateTopicsRequest::default().with_topics(vec![topic]));
    rig.run();
    let resource = AlterConfigsResource::default().with_resource_type(TOPIC).with_resource_name(text("t"));
    let alter = rig.send(second, 2, &AlterConfigsRequest::default().with_resources(vec![resource]));
    rig.run();
    rig.disk(0).fail_write = true;
    rig.disk(0).release();
    rig.run();
    let answer = rig.take::<CreateTopicsRequest>(first, CREATE_TOPICS, create).expect("refused");
    assert_eq!(answer.topics[0].error_code, error::KAFKA_STORAGE_ERROR);
    let answer = rig.take::<AlterConfigsRequest>(second, 2, alter).expect("refused, not forgotten");
    assert_eq!(answer.responses[0].error_code, error::KAFKA_STORAGE_ERROR);
}

/// Nobody is kept from anything here, so all operations are told of: 8 of a topic's, 7 of the cluster's.
#[test]
fn authorized_operations_are_told_to_whoever_asks() {
    const NOT_ASKED: i32 = i32::MIN;
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for version in 8..=13 {
        for (topics, cluster) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut request = metadata_request(&["t", "bad name"]);
            request.include_topic_authorized_operations = topics;
            // From version 11 on DescribeCluster is asked.
            request.include_cluster_authorized_operations = cluster && version <= 10;
            let answer = rig.ask(client, version, &request);
            let expected = if topics { 0b1101_1111_1000 } else { NOT_ASKED };
            let told: Vec<i32> = answer.topics.iter().map(|topic| topic.topic_authorized_operations).collect();
            assert_eq!(told, [expected, expected], "version {version}");
            if version <= 10 {
                let expected = if cluster { 0b1_1111_1010_0000 } else { NOT_ASKED };
                assert_eq!(answer.cluster_authorized_operations, expected, "version {version}");
            }
        }
    }
    for version in 0..=2 {
        for (asked, expected) in [(true, 0b1_1111_1010_0000), (false, NOT_ASKED)] {
            let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(asked);
            let answer = rig.ask(client, version, &request.with_endpoint_type(1));
            assert_eq!(answer.cluster_authorized_operations, expected, "version {version}");
        }
    }
}

/// Versions 10 and 11 have the field, and Kafka took it from version 12 on.
#[test]
fn metadata_by_id_is_refused_in_the_versions_that_kafka_refuses_it_in() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let id = id_of(&mut rig, client, "t");
    for version in [10, 11] {
        for topic in [
            MetadataRequestTopic::default().with_name(None),
            MetadataRequestTopic::default().with_name(None).with_topic_id(id),
            MetadataRequestTopic::default().with_name(Some(name("t"))).with_topic_id(id),
        ] {
            let answer = rig.ask(client, version, &MetadataRequest::default().with_topics(Some(vec![topic])));
            assert_eq!(answer.topics[0].error_code, error::INVALID_REQUEST, "version {version}");
        }
        let named = MetadataRequestTopic::default().with_name(Some(name("t")));
        let answer = rig.ask(client, version, &MetadataRequest::default().with_topics(Some(vec![named])));
        assert_eq!((answer.topics[0].error_code, answer.topics[0].topic_id), (0, id));
    }
}

#[test]
fn what_happens_to_topics_is_in_the_log() {
    let mut rig = Rig::new(2);
    let client = rig.connect(1);
    assert_eq!(rig.create(client, "t", 3, &[("retention.ms", "5000")]), 0);
    assert_ne!(rig.create(client, "t", 3, &[]), 0);
    let resource = AlterConfigsResource::default().with_resource_type(TOPIC).with_resource_name(text("t"));
    rig.ask(client, 2, &AlterConfigsRequest::default().with_resources(vec![resource]));
    let request = torc_net::kafka::schema::DeleteTopicsRequest::default().with_topic_names(vec![name("t")]);
    assert_eq!(rig.ask(client, 5, &request).responses[0].error_code, 0);
    let about = |rig: &Rig| -> Vec<String> {
        rig.logs().into_iter().filter(|line| line.starts_with("topic ")).map(str::to_owned).collect()
    };
    let expected = [
        "topic t was created: 3 partitions, retention.ms=5000",
        "topic t was altered: all settings by default",
        "topic t was deleted, with 3 partitions",
    ];
    assert_eq!(about(&rig), expected);
    // A start that reads it all again has nothing new to tell.
    let rig = rig.restart(&settings());
    assert!(rig.is_ready());
    assert_eq!(about(&rig), Vec::<String>::new());
}
