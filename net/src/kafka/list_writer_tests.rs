use super::*;
use crate::kafka::encode;
use crate::kafka::schema::create_topics_response::CreatableTopicResult;
use crate::kafka::schema::describe_configs_response::DescribeConfigsResult;
use crate::kafka::schema::{CreateTopicsResponse, DescribeConfigsResponse, TopicName};
use crate::kafka::windows::api;
use kafka_protocol::protocol::StrBytes;

fn written(writer: ListWriter, parts: &[Vec<u8>]) -> Vec<u8> {
    let (mut frame, tail) = writer.finish(7).expect("the version has it");
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    [&frame, tail].concat()
}

#[test]
fn a_list_is_what_its_answer_is_encoded_to_in_every_version() {
    let name = |n: usize| StrBytes::from_string(format!("topic-{n}"));
    let elements = (0..200).map(|n| DescribeConfigsResult::default().with_resource_type(2).with_resource_name(name(n)));
    let elements: Vec<DescribeConfigsResult> = elements.collect();
    let topics: Vec<CreatableTopicResult> =
        (0..3).map(|n| CreatableTopicResult::default().with_name(TopicName(name(n)))).collect();
    for version in 1..=4 {
        for count in [0, 1, 200] {
            let mut writer = ListWriter::new(api::DESCRIBE_CONFIGS, version);
            let mut parts = Vec::new();
            for element in &elements[..count] {
                assert!(writer.put(element) > 0);
                parts.push(writer.take());
            }
            assert_eq!(writer.count(), count);
            let (mut whole, response) = (Vec::new(), DescribeConfigsResponse::default());
            let response = response.with_results(elements[..count].to_vec());
            encode(&response, api::DESCRIBE_CONFIGS, version, 7, &mut whole).expect("the version has it");
            assert_eq!(written(writer, &parts), whole, "{count} elements in version {version}");
        }
    }
    for version in 2..=7 {
        let mut writer = ListWriter::new(api::CREATE_TOPICS, version);
        topics.iter().for_each(|topic| _ = writer.put(topic));
        let part = writer.take();
        let mut whole = Vec::new();
        let response = CreateTopicsResponse::default().with_topics(topics.clone());
        encode(&response, api::CREATE_TOPICS, version, 7, &mut whole).expect("the version has it");
        assert_eq!(written(writer, &[part]), whole, "in version {version}");
    }
}

#[test]
fn what_a_version_cannot_express_is_an_error() {
    let mut writer = ListWriter::new(api::DESCRIBE_CONFIGS, 1);
    let long = StrBytes::from_string("x".repeat(1 << 17));
    assert_eq!(writer.put(&DescribeConfigsResult::default().with_resource_name(long)), 0);
    assert_eq!(writer.finish(7).expect_err("it is none").api, api::DESCRIBE_CONFIGS);
}
