//! What a request names twice, leaves out or must not name: each gets the error that Kafka gives.

use super::rig::{Client, Rig};
use super::verbs::*;
use torc_base::limits::MADE_PARTITIONS_MAX;
use torc_net::kafka::schema::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use torc_net::kafka::schema::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use torc_net::kafka::schema::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use torc_net::kafka::schema::delete_topics_request::DeleteTopicState;
use torc_net::kafka::schema::describe_log_dirs_request::DescribableLogDirTopic;
use torc_net::kafka::schema::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use torc_net::kafka::schema::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeLogDirsRequest,
    InitProducerIdRequest, ListOffsetsRequest,
};
use torc_net::kafka::{StrBytes, Uuid, error};

/// The node of the rig.
const NODE: i32 = 7;

fn new(topic: &str) -> CreatableTopic {
    CreatableTopic::default().with_name(name(topic)).with_num_partitions(1).with_replication_factor(1)
}

/// Name and error of each answer.
fn create(rig: &mut Rig, client: Client, topics: Vec<CreatableTopic>, dry: bool) -> Vec<(String, i16)> {
    let request = CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(1_000).with_validate_only(dry);
    let answer = rig.ask(client, CREATE_TOPICS, &request);
    answer.topics.iter().map(|topic| (topic.name.to_string(), topic.error_code)).collect()
}

/// A topic, how many partitions it is to have, and the brokers of the new ones.
type Growth<'a> = (&'a str, i32, Option<&'a [&'a [i32]]>);

fn grow(rig: &mut Rig, client: Client, topics: &[Growth]) -> Vec<(String, i16)> {
    let topic = |(topic, count, assignments): &Growth| {
        let one = |brokers: &&[i32]| {
            let brokers = brokers.iter().map(|broker| (*broker).into()).collect();
            CreatePartitionsAssignment::default().with_broker_ids(brokers)
        };
        CreatePartitionsTopic::default()
            .with_name(name(topic))
            .with_count(*count)
            .with_assignments(assignments.map(|all| all.iter().map(one).collect()))
    };
    let request = CreatePartitionsRequest::default().with_timeout_ms(1_000);
    let answer = rig.ask(client, 3, &request.with_topics(topics.iter().map(topic).collect()));
    answer.results.iter().map(|result| (result.name.to_string(), result.error_code)).collect()
}

fn named(pairs: &[(&str, i16)]) -> Vec<(String, i16)> {
    pairs.iter().map(|(name, code)| (name.to_string(), *code)).collect()
}

#[test]
fn topics_that_are_named_twice_are_refused_once_and_the_others_are_made() {
    for shards in [1, 2] {
        let mut rig = Rig::new(shards);
        let client = rig.connect(shards - 1);
        let topics = ["a", "b", "a", "c", "a", "bad name", "bad name"].map(new).to_vec();
        let expected =
            named(&[("b", 0), ("c", 0), ("a", error::INVALID_REQUEST), ("bad name", error::INVALID_REQUEST)]);
        assert_eq!(create(&mut rig, client, topics.clone(), true), expected);
        assert_eq!(create(&mut rig, client, topics, false), expected);
        let twice = [("b", 2, None), ("c", 2, None), ("b", 3, None), ("nope", 2, None)];
        let expected = named(&[("c", 0), ("nope", error::UNKNOWN_TOPIC_OR_PARTITION), ("b", error::INVALID_REQUEST)]);
        assert_eq!(grow(&mut rig, client, &twice), expected);
        assert_eq!(rig.metadata(client, &["b"]).topics[0].partitions.len(), 1);
    }
}

#[test]
fn topics_to_be_deleted_are_named_once_by_name_or_by_id() {
    for shards in [1, 2] {
        let mut rig = Rig::new(shards);
        let client = rig.connect(0);
        for topic in ["a", "b", "c", "d", "e"] {
            assert_eq!(rig.create(client, topic, 1, &[]), 0);
        }
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|topic| id_of(&mut rig, client, topic));
        let by_name = |topic| DeleteTopicState::default().with_name(Some(name(topic)));
        let by_id = |id| DeleteTopicState::default().with_name(None).with_topic_id(id);
        let topics = vec![
            by_name("a"),
            by_name("a"),
            by_id(b),
            by_id(b),
            by_name("c"),
            by_id(c),
            by_name("d").with_topic_id(d),
            by_id(Uuid::nil()),
            by_name("e"),
            by_name("nope"),
        ];
        let answer = rig.ask(client, 6, &DeleteTopicsRequest::default().with_topics(topics).with_timeout_ms(1_000));
        let mut told: Vec<(Option<String>, Uuid, i16)> = answer
            .responses
            .iter()
            .map(|topic| (topic.name.as_ref().map(|name| name.to_string()), topic.topic_id, topic.error_code))
            .collect();
        told.retain(|(name, ..)| !matches!(name.as_deref(), Some("e" | "nope")));
        told.sort();
        let bad = error::INVALID_REQUEST;
        let mut expected = vec![
            (Some("a".to_string()), Uuid::nil(), bad),
            (None, b, bad),
            (Some("c".to_string()), c, bad),
            (Some("d".to_string()), d, bad),
            (None, Uuid::nil(), bad),
        ];
        expected.sort();
        assert_eq!(told, expected);
        let names = rig.metadata(client, &["a", "b", "c", "d"]);
        assert!(names.topics.iter().all(|topic| topic.error_code == 0), "none of them is gone");
        let _ = a;
        // Older versions only know names.
        let request = DeleteTopicsRequest::default().with_topic_names(["a", "b", "a", "e"].map(name).to_vec());
        for version in [1, 5] {
            let answer = rig.ask(client, version, &request);
            let told: Vec<_> = answer.responses.iter().map(|t| (t.name.clone(), t.error_code)).collect();
            assert_eq!(told.len(), 3);
            assert_eq!(told[2], (Some(name("a")), bad), "version {version}");
        }
    }
}

#[test]
fn an_offset_is_looked_up_once_for_each_partition() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    for topic in ["t", "u"] {
        assert_eq!(rig.create(client, topic, 3, &[]), 0);
    }
    let topic = |topic: &str, partitions: &[(i32, i64)]| {
        let partition = |(index, timestamp): &(i32, i64)| {
            let partition = ListOffsetsPartition::default().with_partition_index(*index).with_timestamp(*timestamp);
            partition.with_current_leader_epoch(-1)
        };
        ListOffsetsTopic::default().with_name(name(topic)).with_partitions(partitions.iter().map(partition).collect())
    };
    let topics =
        vec![topic("t", &[(0, -1), (1, -1), (0, -2)]), topic("u", &[(0, -1)]), topic("t", &[(0, -1), (2, -1)])];
    let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(topics);
    let answer = rig.ask(client, LIST_OFFSETS, &request);
    let told = answer.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| (p.partition_index, p.error_code, p.offset));
        (topic.name.to_string(), partitions.collect::<Vec<_>>())
    });
    let told: Vec<_> = told.collect();
    let expected = [
        ("t".to_string(), vec![(0, error::INVALID_REQUEST, -1), (1, 0, 0), (2, 0, 0)]),
        ("u".to_string(), vec![(0, 0, 0)]),
    ];
    assert_eq!(told, expected);
}

#[test]
fn of_offsets_to_delete_before_the_last_counts() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    for index in [0, 1] {
        rig.produce(client, -1, "t", index, &batch(&["a", "b", "c"]));
    }
    let topic = |partitions: &[(i32, i64)]| {
        let partition = |(index, offset): &(i32, i64)| {
            DeleteRecordsPartition::default().with_partition_index(*index).with_offset(*offset)
        };
        DeleteRecordsTopic::default().with_name(name("t")).with_partitions(partitions.iter().map(partition).collect())
    };
    let topics = vec![topic(&[(0, 3), (1, 2), (0, 1)]), topic(&[(1, 99), (9, 0)])];
    let request = DeleteRecordsRequest::default().with_timeout_ms(1_000).with_topics(topics);
    let answer = rig.ask(client, 2, &request);
    assert_eq!(answer.topics.len(), 1);
    let told: Vec<_> =
        answer.topics[0].partitions.iter().map(|p| (p.partition_index, p.error_code, p.low_watermark)).collect();
    let (range, unknown) = (error::OFFSET_OUT_OF_RANGE, error::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(told, [(0, 0, 1), (1, range, -1), (9, unknown, -1)]);
}

#[test]
fn a_partitions_size_is_told_once() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2, &[]), 0);
    let topic = |topic: &str, indexes: &[i32]| {
        DescribableLogDirTopic::default().with_topic(name(topic)).with_partitions(indexes.to_vec())
    };
    let topics = vec![topic("t", &[1, 1, 9]), topic("t", &[1, 0]), topic("nope", &[0]), topic("t", &[])];
    let answer = rig.ask(client, 4, &DescribeLogDirsRequest::default().with_topics(Some(topics)));
    let topics = &answer.results[0].topics;
    let told: Vec<i32> = topics[0].partitions.iter().map(|partition| partition.partition_index).collect();
    assert_eq!((topics.len(), told), (1, vec![0, 1]));
    let none = DescribeLogDirsRequest::default().with_topics(Some(vec![topic("t", &[7])]));
    assert!(rig.ask(client, 4, &none).results[0].topics.is_empty());
}

#[test]
fn replicas_that_a_client_assigns_are_checked() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    let assigned = |partitions: i32, replication: i16, assignments: &[(i32, &[i32])]| {
        let one = |(index, brokers): &(i32, &[i32])| {
            let brokers = brokers.iter().map(|broker| (*broker).into()).collect();
            CreatableReplicaAssignment::default().with_partition_index(*index).with_broker_ids(brokers)
        };
        CreatableTopic::default()
            .with_name(name("t"))
            .with_num_partitions(partitions)
            .with_replication_factor(replication)
            .with_assignments(assignments.iter().map(one).collect())
    };
    let bad = error::INVALID_REPLICA_ASSIGNMENT;
    for (partitions, replication, assignments, code) in [
        (-1, -1, &[(0, &[NODE][..]), (1, &[NODE])][..], 0),
        (-1, -1, &[(1, &[NODE]), (0, &[NODE])], 0),
        (-1, -1, &[(0, &[NODE + 1])], bad),
        (-1, -1, &[(0, &[-1])], bad),
        (-1, -1, &[(0, &[NODE]), (1, &[NODE, NODE + 1])], bad),
        (-1, -1, &[(0, &[NODE, NODE])], bad),
        (-1, -1, &[(0, &[])], bad),
        (-1, -1, &[(0, &[NODE]), (2, &[NODE])], bad),
        (-1, -1, &[(1, &[NODE])], bad),
        (-1, -1, &[(-1, &[NODE])], bad),
        (-1, -1, &[(0, &[NODE]), (0, &[NODE])], bad),
        (1, -1, &[(0, &[NODE])], error::INVALID_REQUEST),
        (-1, 1, &[(0, &[NODE])], error::INVALID_REQUEST),
        (0, 0, &[(0, &[NODE])], error::INVALID_REQUEST),
    ] {
        let topic = assigned(partitions, replication, assignments);
        assert_eq!(create(&mut rig, client, vec![topic], true), named(&[("t", code)]), "{assignments:?}");
    }
    let made = assigned(-1, -1, &[(1, &[NODE]), (0, &[NODE])]);
    assert_eq!(create(&mut rig, client, vec![made], false), named(&[("t", 0)]));
    assert_eq!(rig.metadata(client, &["t"]).topics[0].partitions.len(), 2);
    for (count, assignments, code) in [
        (3, &[&[NODE + 1][..]][..], bad),
        (3, &[&[NODE, NODE]], bad),
        (3, &[&[]], bad),
        (3, &[], bad),
        (5, &[&[NODE]], bad),
        (3, &[&[NODE], &[NODE]], bad),
        (2, &[&[NODE]], error::INVALID_PARTITIONS),
        (4, &[&[NODE], &[NODE]], 0),
    ] {
        let told = grow(&mut rig, client, &[("t", count, Some(assignments))]);
        assert_eq!(told, named(&[("t", code)]), "{count} {assignments:?}");
    }
    assert_eq!(rig.metadata(client, &["t"]).topics[0].partitions.len(), 4);
}

#[test]
fn a_rehearsal_tells_what_the_topic_would_be() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let setting = CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(Some(text("77")));
    let topic = new("t").with_num_partitions(5).with_configs(vec![setting]);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_validate_only(true);
    let answer = rig.ask(client, CREATE_TOPICS, &request).topics.remove(0);
    assert_eq!((answer.error_code, answer.num_partitions, answer.replication_factor), (0, 5, 1));
    let configs = answer.configs.expect("told");
    assert!(configs.iter().any(|c| c.name.as_str() == "retention.ms" && c.value == Some(text("77"))));
    assert!(rig.metadata(client, &[]).topics.is_empty());
}

#[test]
fn a_setting_without_a_value_is_refused() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let null = |key: String| CreatableTopicConfig::default().with_name(StrBytes::from_string(key)).with_value(None);
    let topic = new("t").with_configs(vec![null("retention.ms".into())]);
    assert_eq!(create(&mut rig, client, vec![topic], false), named(&[("t", error::INVALID_CONFIG)]));
    // However long the names: the answer has its bounds.
    let long = (0..200).map(|n| null(format!("{n}").repeat(300))).collect();
    let request = CreateTopicsRequest::default().with_topics(vec![new("t").with_configs(long)]);
    for version in 2..=7 {
        let told = rig.ask(client, version, &request).topics[0].error_code;
        assert_eq!(told, error::INVALID_CONFIG, "version {version}");
    }
}

/// Text that a client sent may stand in the answer. It must not make it impossible to send.
#[test]
fn the_longest_names_are_answered_in_every_version() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let long = "x".repeat(i16::MAX as usize);
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![name(&long)]);
    for version in 1..=5 {
        let told = rig.ask(client, version, &delete).responses[0].error_code;
        assert_eq!(told, error::UNKNOWN_TOPIC_OR_PARTITION, "version {version}");
    }
    let topic = CreatePartitionsTopic::default().with_name(name(&long)).with_count(2).with_assignments(None);
    let grow = CreatePartitionsRequest::default().with_topics(vec![topic]);
    for version in 0..=3 {
        let told = rig.ask(client, version, &grow).results[0].error_code;
        assert_eq!(told, error::UNKNOWN_TOPIC_OR_PARTITION, "version {version}");
    }
    let create = CreateTopicsRequest::default().with_topics(vec![new(&long)]);
    for version in 2..=7 {
        let told = rig.ask(client, version, &create).topics[0].error_code;
        assert_eq!(told, error::INVALID_TOPIC_EXCEPTION, "version {version}");
    }
}

/// Kafka makes no more than that of one request, and of one for new topics nothing then.
#[test]
fn a_request_makes_so_many_partitions_and_no_more() {
    let most = MADE_PARTITIONS_MAX as i32;
    let refused = error::POLICY_VIOLATION;
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let sized = |topic: &str, partitions: i32| new(topic).with_num_partitions(partitions);
    let placed = |topic: &str| {
        let one = CreatableReplicaAssignment::default().with_broker_ids(vec![NODE.into()]);
        let all = (0..most).map(|index| one.clone().with_partition_index(index)).collect();
        sized(topic, -1).with_replication_factor(-1).with_assignments(all)
    };
    for dry in [true, false] {
        for more in [vec![sized("b", most + 1)], vec![sized("b", most)], vec![sized("b", i32::MAX)], vec![placed("b")]]
        {
            let topics = [vec![sized("a", 1)], more].concat();
            assert_eq!(create(&mut rig, client, topics, dry), named(&[("a", refused), ("b", refused)]));
        }
        // One that says nothing gets the default, which is one, and one that asks for nonsense asks for none.
        let topics = vec![sized("a", most - 1), sized("b", -1).with_replication_factor(-1), sized("c", -7)];
        let made = named(&[("a", 0), ("b", 0), ("c", error::INVALID_PARTITIONS)]);
        assert_eq!(create(&mut rig, client, topics, dry), made);
    }
    let more = [("b", most + 2, None), ("b2", 3, None), ("a", most + 9, None), ("c", 4, None)];
    let none = error::UNKNOWN_TOPIC_OR_PARTITION;
    let told = grow(&mut rig, client, &more);
    assert_eq!(told, named(&[("b", refused), ("b2", none), ("a", 0), ("c", none)]));
    let told = grow(&mut rig, client, &[("b", most + 1, None), ("a", most + 10, None)]);
    assert_eq!(told, named(&[("b", 0), ("a", refused)]), "what fits in is made, as each topic is by itself");
    assert_eq!(rig.metadata(client, &["b"]).topics[0].partitions.len() as i32, most + 1);
}

#[test]
fn the_servers_own_topics_are_not_for_clients() {
    for shards in [1, 2] {
        let mut rig = Rig::new(shards);
        let client = rig.connect(0);
        for (topic, internal) in [
            ("__consumer_offsets", true),
            ("__transaction_state", true),
            ("__share_group_state", true),
            ("__cluster_metadata", false),
        ] {
            for _ in 0..2 {
                let told = rig.metadata(client, &[topic]).topics.remove(0);
                let told = (told.error_code, told.is_internal, told.partitions.len());
                assert_eq!(told, (error::UNKNOWN_TOPIC_OR_PARTITION, internal, 0), "{topic} is not made by looking");
            }
            assert_eq!(rig.create(client, topic, 1, &[]), error::INVALID_REQUEST, "{topic}");
            for acks in [-1, 1] {
                let told = rig.produce(client, acks, topic, 0, &batch(&["a"])).error_code;
                assert_eq!(told, error::INVALID_TOPIC_EXCEPTION, "{topic}");
            }
            let told = grow(&mut rig, client, &[(topic, 2, None)]);
            assert_eq!(told, named(&[(topic, error::UNKNOWN_TOPIC_OR_PARTITION)]));
            let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(-1);
            let of = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
            let answer = rig.ask(client, 2, &DeleteRecordsRequest::default().with_topics(vec![of]));
            assert_eq!(answer.topics[0].partitions[0].error_code, error::INVALID_TOPIC_EXCEPTION, "{topic}");
            let state = DeleteTopicState::default().with_name(Some(name(topic)));
            let answer = rig.ask(client, 6, &DeleteTopicsRequest::default().with_topics(vec![state]));
            assert_eq!(answer.responses[0].error_code, error::UNKNOWN_TOPIC_OR_PARTITION, "{topic}");
        }
        for like in ["__consumer_offset", "_consumer_offsets", "__mine"] {
            assert_eq!(rig.create(client, like, 1, &[]), 0, "{like} is anybody's");
        }
    }
}

/// -1 and -1, or an id and an epoch that the producer had; the new id is another one.
#[test]
fn a_producer_names_id_and_epoch_or_neither() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let ask = |id: i64, epoch: i16| {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        request.with_producer_id(id.into()).with_producer_epoch(epoch)
    };
    for (id, epoch, code) in [(-1, -1, 0), (5, 3, 0), (5, -1, error::INVALID_REQUEST), (-1, 3, error::INVALID_REQUEST)]
    {
        assert_eq!(rig.ask(client, 4, &ask(id, epoch)).error_code, code, "id {id} epoch {epoch}");
    }
    let empty = InitProducerIdRequest::default().with_transactional_id(Some(text("").into()));
    assert_eq!(rig.ask(client, 4, &empty).error_code, error::INVALID_REQUEST);
}
