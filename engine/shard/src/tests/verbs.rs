//! What clients say, in few words.

use super::rig::{Client, Rig, START_MS};
use bytes::Bytes;
use torc_net::kafka::records::{self, BuildOptions, OwnedRecord, Record};
use torc_net::kafka::schema::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use torc_net::kafka::schema::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use torc_net::kafka::schema::fetch_request::{FetchPartition, FetchTopic};
use torc_net::kafka::schema::fetch_response::PartitionData;
use torc_net::kafka::schema::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use torc_net::kafka::schema::list_offsets_response::ListOffsetsPartitionResponse;
use torc_net::kafka::schema::metadata_request::MetadataRequestTopic;
use torc_net::kafka::schema::produce_request::{PartitionProduceData, TopicProduceData};
use torc_net::kafka::schema::produce_response::PartitionProduceResponse;
use torc_net::kafka::schema::{
    CreateTopicsRequest, DeleteRecordsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, TopicName,
};
use torc_net::kafka::{StrBytes, Uuid};

/// Versions that the verbs speak.
pub const PRODUCE: i16 = 9;
pub const FETCH: i16 = 12;
pub const LIST_OFFSETS: i16 = 7;
pub const METADATA: i16 = 12;
pub const CREATE_TOPICS: i16 = 7;

pub fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.into()))
}

/// Text of the protocol.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// A batch of records with these values, stamped at the start of the test and each later by 1 ms.
pub fn batch(values: &[&str]) -> Vec<u8> {
    batch_at(values, START_MS)
}

/// The same, the first record at that time.
pub fn batch_at(values: &[&str], timestamp: i64) -> Vec<u8> {
    records::build(&records_of(values, timestamp), &BuildOptions::default())
}

fn records_of<'a>(values: &[&'a str], timestamp: i64) -> Vec<Record<'a>> {
    let record = |(n, value): (usize, &&'a str)| Record {
        timestamp: timestamp + n as i64,
        value: Some(value.as_bytes()),
        ..Record::default()
    };
    values.iter().enumerate().map(record).collect()
}

/// A batch of an idempotent producer.
pub fn sequenced(values: &[&str], id: i64, epoch: i16, base_sequence: i32) -> Vec<u8> {
    let options = BuildOptions { producer_id: id, producer_epoch: epoch, base_sequence, ..BuildOptions::default() };
    records::build(&records_of(values, START_MS), &options)
}

/// A batch of a transaction.
pub fn transactional(values: &[&str]) -> Vec<u8> {
    let (producer_id, producer_epoch, base_sequence, transactional) = (5, 0, 0, true);
    let options = BuildOptions { producer_id, producer_epoch, base_sequence, transactional, ..BuildOptions::default() };
    records::build(&records_of(values, START_MS), &options)
}

/// One batch of that many bytes of values.
pub fn large(bytes: usize) -> Vec<u8> {
    batch(&["x".repeat(bytes).as_str()])
}

/// A request for some partitions of some topics; adjacent parts of one topic go together.
pub fn produce_request(acks: i16, parts: &[(&str, i32, &[u8])]) -> ProduceRequest {
    let mut topics: Vec<TopicProduceData> = Vec::new();
    for &(topic, index, bytes) in parts {
        if topics.last().is_none_or(|last| last.name != name(topic)) {
            topics.push(TopicProduceData::default().with_name(name(topic)));
        }
        let data = PartitionProduceData::default().with_index(index).with_records(Some(Bytes::copy_from_slice(bytes)));
        topics.last_mut().expect("pushed").partition_data.push(data);
    }
    ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(topics)
}

/// The partitions of an answer, in its order.
pub fn produced(response: ProduceResponse) -> Vec<PartitionProduceResponse> {
    response.responses.into_iter().flat_map(|topic| topic.partition_responses).collect()
}

/// One topic's partition of a fetch, from that offset on.
pub fn wanted(topic: &str, index: i32, offset: i64) -> FetchTopic {
    FetchTopic::default().with_topic(name(topic)).with_partitions(vec![wanted_partition(index, offset)])
}

pub fn wanted_partition(index: i32, offset: i64) -> FetchPartition {
    FetchPartition::default().with_partition(index).with_fetch_offset(offset).with_partition_max_bytes(1 << 20)
}

/// A fetch without a session that waits up to `wait_ms` for one byte.
pub fn fetch_request(topics: Vec<FetchTopic>, wait_ms: i32) -> FetchRequest {
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(16 << 20)
        .with_session_epoch(-1)
        .with_topics(topics)
}

/// Values of the records in what a fetch returned for one partition, with their offsets.
pub fn values(partition: &PartitionData) -> Vec<(i64, String)> {
    let read = read(partition).into_iter();
    read.map(|r| (r.offset, String::from_utf8(r.value.expect("a value")).expect("text"))).collect()
}

/// The records in what a fetch returned for one partition.
pub fn read(partition: &PartitionData) -> Vec<OwnedRecord> {
    let mut rest = &partition.records.as_ref().expect("never null")[..];
    let mut all = Vec::new();
    while !rest.is_empty() {
        let length = 12 + i32::from_be_bytes(rest[8..12].try_into().expect("4 bytes")) as usize;
        all.extend(records::read(&rest[..length]).expect("a sound batch"));
        rest = &rest[length..];
    }
    all
}

impl Rig {
    /// Makes a topic with settings of its own; the error code.
    pub fn create(&mut self, client: Client, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> i16 {
        let configs = configs
            .iter()
            .map(|(key, value)| CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value))));
        let new = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(-1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default().with_timeout_ms(1_000).with_topics(vec![new]);
        self.ask(client, CREATE_TOPICS, &request).topics[0].error_code
    }

    /// Produces one batch to one partition.
    pub fn produce(
        &mut self,
        client: Client,
        acks: i16,
        topic: &str,
        index: i32,
        bytes: &[u8],
    ) -> PartitionProduceResponse {
        let response = self.ask(client, PRODUCE, &produce_request(acks, &[(topic, index, bytes)]));
        produced(response).remove(0)
    }

    /// Reads one partition, without waiting.
    pub fn fetch(&mut self, client: Client, topic: &str, index: i32, offset: i64) -> PartitionData {
        let sent = self.send(client, FETCH, &fetch_request(vec![wanted(topic, index, offset)], 0));
        self.run();
        // Where memory is short it waits for some, for a second at most.
        let mut answer = self.take::<FetchRequest>(client, FETCH, sent);
        for _ in 0..100 {
            if answer.is_none() {
                self.pass(10);
                answer = self.take::<FetchRequest>(client, FETCH, sent);
            }
        }
        let mut response =
            answer.unwrap_or_else(|| panic!("no answer to a fetch of {topic}; logs:\n{}", self.logs().join("\n")));
        assert_eq!(response.error_code, 0);
        response.responses.remove(0).partitions.remove(0)
    }

    /// Looks an offset up by time, or one of the special ones.
    pub fn offset(&mut self, client: Client, topic: &str, index: i32, timestamp: i64) -> ListOffsetsPartitionResponse {
        self.offset_in(client, LIST_OFFSETS, topic, index, timestamp)
    }

    /// The same in that version.
    pub fn offset_in(
        &mut self,
        client: Client,
        version: i16,
        topic: &str,
        index: i32,
        timestamp: i64,
    ) -> ListOffsetsPartitionResponse {
        let request = list_offsets_request(topic, index, timestamp);
        self.ask(client, version, &request).topics.remove(0).partitions.remove(0)
    }

    /// Deletes the records before an offset; error and low watermark.
    pub fn delete_records(&mut self, client: Client, topic: &str, index: i32, before: i64) -> (i16, i64) {
        let partition = DeleteRecordsPartition::default().with_partition_index(index).with_offset(before);
        let topic = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_timeout_ms(1_000).with_topics(vec![topic]);
        let answer = self.ask(client, 2, &request).topics.remove(0).partitions.remove(0);
        (answer.error_code, answer.low_watermark)
    }

    pub fn metadata(&mut self, client: Client, topics: &[&str]) -> MetadataResponse {
        self.ask(client, METADATA, &metadata_request(topics))
    }
}

pub fn list_offsets_request(topic: &str, index: i32, timestamp: i64) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(index)
        .with_timestamp(timestamp)
        .with_current_leader_epoch(-1);
    let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic])
}

pub fn metadata_request(topics: &[&str]) -> MetadataRequest {
    let topics = topics.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic))));
    MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(true)
}

/// The id of a topic.
pub fn id_of(rig: &mut Rig, client: Client, topic: &str) -> Uuid {
    rig.metadata(client, &[topic]).topics[0].topic_id
}

/// Asks for a producer id without transactions.
pub fn new_producer() -> InitProducerIdRequest {
    InitProducerIdRequest::default().with_transactional_id(None)
}
