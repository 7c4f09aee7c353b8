use super::*;
use crate::kafka::encode;
use crate::kafka::schema::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::kafka::schema::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use crate::kafka::schema::{DescribeLogDirsResponse, OffsetFetchResponse, TopicName};
use crate::kafka::windows::api;
use kafka_protocol::protocol::StrBytes;

fn text(text: String) -> StrBytes {
    StrBytes::from_string(text)
}

/// Parts as they were taken, one after each element.
struct Parts {
    writer: NestedWriter,
    bytes: Vec<u8>,
}

impl Parts {
    fn of(api: i16, version: i16) -> Parts {
        Parts { writer: NestedWriter::new(api, version), bytes: Vec::new() }
    }

    fn put(&mut self, element: &impl Encodable) {
        assert!(self.writer.put(element) > 0);
        self.bytes.extend(self.writer.take());
    }

    fn frame(mut self) -> Vec<u8> {
        self.bytes.extend(self.writer.take());
        let head = self.writer.finish(9).expect("the version has it");
        [head, self.bytes].concat()
    }
}

#[test]
fn log_directories_are_what_their_answer_is_encoded_to_in_every_version() {
    for version in 1..=4 {
        for (topics, partitions) in [(0, 0), (1, 0), (1, 1), (3, 200), (200, 1)] {
            let partition = |n| DescribeLogDirsPartition::default().with_partition_index(n).with_partition_size(77);
            let topic = |n: i32| {
                let name = TopicName(text(format!("topic-{n}")));
                DescribeLogDirsTopic::default()
                    .with_name(name)
                    .with_partitions((0..partitions).map(partition).collect())
            };
            let all: Vec<DescribeLogDirsTopic> = (0..topics).map(topic).collect();
            let directory = |topics| {
                let directory = DescribeLogDirsResult::default().with_log_dir(text("/data".into())).with_topics(topics);
                directory.with_total_bytes(-1).with_usable_bytes(-1)
            };
            let response = |results| DescribeLogDirsResponse::default().with_results(results);
            let mut whole = Vec::new();
            encode(&response(vec![directory(all.clone())]), api::DESCRIBE_LOG_DIRS, version, 9, &mut whole).unwrap();

            let mut parts = Parts::of(api::DESCRIBE_LOG_DIRS, version);
            let first = parts.writer.open(1, response);
            let second = parts.writer.open(all.len(), directory);
            for topic in all {
                let around = |partitions| topic.clone().with_partitions(partitions);
                let third = parts.writer.open(topic.partitions.len(), around);
                topic.partitions.iter().for_each(|partition| parts.put(partition));
                parts.writer.close(third);
            }
            parts.writer.close(second);
            parts.writer.close(first);
            assert_eq!(parts.frame(), whole, "{topics} topics of {partitions} in version {version}");
        }
    }
}

#[test]
fn offsets_are_what_their_answer_is_encoded_to_in_every_version() {
    for version in 1..=7 {
        let partition =
            |n| OffsetFetchResponsePartition::default().with_partition_index(n).with_metadata(Some("".into()));
        let topic = |n: i32| {
            let name = TopicName(text(format!("topic-{n}")));
            OffsetFetchResponseTopic::default().with_name(name).with_partitions((0..n).map(partition).collect())
        };
        let topics: Vec<OffsetFetchResponseTopic> = (0..150).map(topic).collect();
        let response = |topics| OffsetFetchResponse::default().with_topics(topics);
        let mut whole = Vec::new();
        encode(&response(topics.clone()), api::OFFSET_FETCH, version, 9, &mut whole).unwrap();
        let mut parts = Parts::of(api::OFFSET_FETCH, version);
        let behind = parts.writer.open(topics.len(), response);
        topics.iter().for_each(|topic| parts.put(topic));
        parts.writer.close(behind);
        assert_eq!(parts.frame(), whole, "version {version}");
    }
    for version in 8..=9 {
        let partition =
            |n| OffsetFetchResponsePartitions::default().with_partition_index(n).with_metadata(Some("m".into()));
        let topic = |n: i32| {
            let name = TopicName(text(format!("topic-{n}")));
            OffsetFetchResponseTopics::default().with_name(name).with_partitions((0..n).map(partition).collect())
        };
        let group = |n: i32, topics| {
            let group = OffsetFetchResponseGroup::default().with_group_id(text(format!("group-{n}")).into());
            group.with_topics(topics).with_error_code(n as i16)
        };
        let topics = |n: i32| (0..100 * n).map(topic).collect::<Vec<_>>();
        let response = |groups| OffsetFetchResponse::default().with_groups(groups);
        let mut whole = Vec::new();
        let groups = (0..4).map(|n| group(n, topics(n))).collect();
        encode(&response(groups), api::OFFSET_FETCH, version, 9, &mut whole).unwrap();
        let mut parts = Parts::of(api::OFFSET_FETCH, version);
        let behind = parts.writer.open(4, response);
        for n in 0..4 {
            let topics = topics(n);
            let behind = parts.writer.open(topics.len(), |topics| group(n, topics));
            topics.iter().for_each(|topic| parts.put(topic));
            parts.writer.close(behind);
        }
        parts.writer.close(behind);
        assert_eq!(parts.frame(), whole, "version {version}");
    }
}

#[test]
fn what_a_version_cannot_express_is_an_error() {
    let mut writer = NestedWriter::new(api::DESCRIBE_LOG_DIRS, 1);
    let long = TopicName(text("x".repeat(1 << 17)));
    assert_eq!(writer.put(&DescribeLogDirsTopic::default().with_name(long.clone())), 0);
    assert_eq!(writer.finish(9).expect_err("it is none").api, api::DESCRIBE_LOG_DIRS);
    let mut writer = NestedWriter::new(api::DESCRIBE_LOG_DIRS, 1);
    let around = |partitions| DescribeLogDirsTopic::default().with_name(long.clone()).with_partitions(partitions);
    let behind = writer.open(1, around);
    writer.close(behind);
    assert_eq!(writer.finish(9).expect_err("it is none").version, 1);
}
