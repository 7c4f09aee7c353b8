//! DescribeTopicPartitions: topics in pages.

use super::rig::{Client, Rig};
use super::verbs::name;
use torc_net::kafka::error;
use torc_net::kafka::schema::describe_topic_partitions_request::{Cursor, TopicRequest};
use torc_net::kafka::schema::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

type Place = Option<(String, i32)>;

fn ask(rig: &mut Rig, client: Client, topics: &[&str], limit: i32, from: &Place) -> DescribeTopicPartitionsResponse {
    let topics = topics.iter().map(|topic| TopicRequest::default().with_name(name(topic)));
    let cursor = from.as_ref();
    let cursor = cursor.map(|(topic, at)| Cursor::default().with_topic_name(name(topic)).with_partition_index(*at));
    let request = DescribeTopicPartitionsRequest::default().with_topics(topics.collect());
    rig.ask(client, 0, &request.with_response_partition_limit(limit).with_cursor(cursor))
}

/// Topics and partitions of an answer, and where the next one begins.
fn page(answer: &DescribeTopicPartitionsResponse) -> (Vec<(String, Vec<i32>)>, Place) {
    let topics = answer.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
        (topic.name.as_ref().expect("a name").to_string(), partitions.collect())
    });
    let next = answer.next_cursor.as_ref().map(|next| (next.topic_name.to_string(), next.partition_index));
    (topics.collect(), next)
}

fn rig() -> (Rig, Client) {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    for (topic, partitions) in [("b", 5), ("a", 3), ("c", 1)] {
        assert_eq!(rig.create(client, topic, partitions, &[]), error::NONE);
    }
    (rig, client)
}

#[test]
fn all_pages_together_have_every_partition_once() {
    let (mut rig, client) = rig();
    let all: Vec<(String, i32)> = [("a", 3), ("b", 5), ("c", 1)]
        .into_iter()
        .flat_map(|(topic, count)| (0..count).map(move |at| (topic.to_string(), at)))
        .collect();
    for topics in [&[][..], &["c", "a", "b", "a"]] {
        for limit in 1..=10 {
            let (mut from, mut seen) = (None, Vec::new());
            for _ in 0..all.len() + 1 {
                let answer = ask(&mut rig, client, topics, limit, &from);
                let (told, next) = page(&answer);
                let partitions: usize = told.iter().map(|(_, partitions)| partitions.len()).sum();
                assert!(partitions <= limit as usize);
                seen.extend(told.into_iter().flat_map(|(topic, partitions)| {
                    partitions.into_iter().map(move |at| (topic.clone(), at)).collect::<Vec<_>>()
                }));
                from = next;
                if from.is_none() {
                    break;
                }
            }
            assert_eq!(seen, all, "{topics:?} by {limit}");
        }
    }
}

#[test]
fn a_partition_is_told_of_as_in_metadata() {
    let (mut rig, client) = rig();
    let answer = ask(&mut rig, client, &["c", "d", "no/name"], 2_000, &None);
    let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [error::NONE, error::UNKNOWN_TOPIC_OR_PARTITION, error::INVALID_TOPIC_EXCEPTION]);
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.leader_id.0, partition.leader_epoch), (0, 7, 1));
    assert_eq!((&partition.replica_nodes[..], &partition.isr_nodes[..]), (&[7.into()][..], &[7.into()][..]));
    assert_eq!(partition.eligible_leader_replicas.as_deref(), Some(&[][..]));
    assert!(partition.offline_replicas.is_empty() && !answer.topics[0].topic_id.is_nil());
}

#[test]
fn odd_pages_are_small_and_odd_places_refused() {
    let (mut rig, client) = rig();
    for limit in [0, -1, i32::MIN] {
        let answer = ask(&mut rig, client, &[], limit, &None);
        assert_eq!(page(&answer), (vec![("a".into(), vec![0])], Some(("a".into(), 1))), "{limit}");
    }
    assert_eq!(page(&ask(&mut rig, client, &[], 9, &Some(("bb".into(), 3)))), (vec![("c".into(), vec![0])], None));
    let behind = page(&ask(&mut rig, client, &["a", "c"], 9, &Some(("a".into(), 77))));
    assert_eq!(behind, (vec![("a".into(), vec![]), ("c".into(), vec![0])], None));
    let refused = ask(&mut rig, client, &["a"], 9, &Some(("a".into(), -1)));
    assert_eq!(refused.topics[0].error_code, error::INVALID_REQUEST);
}
