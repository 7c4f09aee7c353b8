//! A small blocking Kafka client: one connection, requests may be sent ahead of their answers.

use crate::failure::{Failure, Result, wrong};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use torc_net::kafka::records;

/// Longer than any answer of a healthy server takes.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// No answer is longer: a fetch is bounded below it.
const ANSWER_BYTES_MAX: usize = 128 << 20;

/// Versions that are sent: the newest ones that name topics by name.
const PRODUCE: i16 = 9;
const FETCH: i16 = 11;
const LIST_OFFSETS: i16 = 5;
const CREATE_TOPICS: i16 = 5;
const DELETE_TOPICS: i16 = 4;
const INIT_PRODUCER_ID: i16 = 3;

/// Every replica, which is one.
pub const ACKS_ALL: i16 = -1;
/// `KAFKA_STORAGE_ERROR`
pub const STORAGE_ERROR: i16 = 56;

/// A connection.
pub struct Client {
    stream: TcpStream,
    correlation: i32,
    /// Correlation ids of requests that were sent and not answered.
    open: VecDeque<i32>,
}

/// One batch on its way to one partition.
pub struct Produce<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub acks: i16,
    pub batch: Vec<u8>,
}

/// The answer to one produced batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    pub error: i16,
    pub base_offset: i64,
}

/// One partition's part of a fetch's answer.
#[derive(Debug)]
pub struct Fetched {
    pub partition: i32,
    pub error: i16,
    pub high_watermark: i64,
    pub records: Bytes,
}

impl Client {
    /// Connects; says nothing yet.
    pub fn connect(address: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIME))?;
        stream.set_write_timeout(Some(ANSWER_TIME))?;
        Ok(Client { stream, correlation: 0, open: VecDeque::new() })
    }

    /// The socket, to be ended from another thread.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Requests without their answers.
    pub fn outstanding(&self) -> usize {
        self.open.len()
    }

    /// Sends a request; its answer is taken by [`Client::receive`], in order.
    pub fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<()> {
        self.correlation += 1;
        let frame = frame(request, version, self.correlation)?;
        self.stream.write_all(&frame)?;
        self.open.push_back(self.correlation);
        Ok(())
    }

    /// The answer to the oldest request that has none; it must be an `R` sent in `version`.
    pub fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        let expected = self.open.pop_front().expect("a request was sent");
        let mut answer = self.frame()?;
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut answer, header_version).or_else(|e| wrong(e.to_string()))?;
        if header.correlation_id != expected {
            return wrong(format!("an answer to request {}, not to {expected}", header.correlation_id));
        }
        R::Response::decode(&mut answer, version).or_else(|e| wrong(format!("an answer that cannot be read: {e}")))
    }

    /// Sends a request and waits for its answer.
    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        assert!(self.open.is_empty(), "answers come in order");
        self.send(request, version)?;
        self.receive::<R>(version)
    }

    /// Bytes of the next frame, without its length.
    pub fn frame(&mut self) -> Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > ANSWER_BYTES_MAX {
            return wrong(format!("an answer of {length} bytes"));
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }

    /// Creates a topic, with settings.
    pub fn create_topic(&mut self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        let request = create_request(name, partitions, settings);
        let response = self.call(&request, CREATE_TOPICS)?;
        accepted(format!("creating topic {name}"), response.topics.first().map_or(-1, |t| t.error_code))
    }

    /// Deletes a topic.
    pub fn delete_topic(&mut self, name: &str) -> Result<()> {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![text(name).into()]).with_timeout_ms(20_000);
        let response = self.call(&request, DELETE_TOPICS)?;
        accepted(format!("deleting topic {name}"), response.responses.first().map_or(-1, |t| t.error_code))
    }

    /// A new producer id and its epoch.
    pub fn init_producer(&mut self) -> Result<(i64, i16)> {
        let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
        let response = self.call(&request, INIT_PRODUCER_ID)?;
        accepted("a producer id".to_string(), response.error_code)?;
        Ok((response.producer_id.0, response.producer_epoch))
    }

    /// Sends one batch ahead of its answer. With acks 0 there will be none.
    pub fn send_produce(&mut self, produce: Produce) -> Result<()> {
        let acks = produce.acks;
        self.send(&produce_request(produce), PRODUCE)?;
        if acks == 0 {
            self.open.pop_back();
        }
        Ok(())
    }

    /// The answer to the oldest batch sent.
    pub fn receive_produced(&mut self) -> Result<Produced> {
        let response = self.receive::<ProduceRequest>(PRODUCE)?;
        let part = response.responses.first().and_then(|topic| topic.partition_responses.first());
        let Some(part) = part else { return wrong("a produce answer without the partition") };
        Ok(Produced { error: part.error_code, base_offset: part.base_offset })
    }

    /// Sends one batch and waits; an error code is the caller's.
    pub fn produce(&mut self, produce: Produce) -> Result<Produced> {
        self.send_produce(produce)?;
        self.receive_produced()
    }

    /// Reads from several partitions of one topic, without a session.
    pub fn fetch(&mut self, topic: &str, from: &[(i32, i64)], max_bytes: i32, wait_ms: i32) -> Result<Vec<Fetched>> {
        let partition = |&(index, offset): &(i32, i64)| {
            let part = FetchPartition::default().with_partition(index).with_fetch_offset(offset);
            part.with_partition_max_bytes(max_bytes)
        };
        let topic = FetchTopic::default().with_topic(text(topic).into());
        let request = FetchRequest::default()
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(max_bytes)
            .with_session_epoch(-1)
            .with_topics(vec![topic.with_partitions(from.iter().map(partition).collect())]);
        let response = self.call(&request, FETCH)?;
        accepted("a fetch".to_string(), response.error_code)?;
        let parts = response.responses.into_iter().flat_map(|topic| topic.partitions);
        let fetched = |part: fetch_response::PartitionData| Fetched {
            partition: part.partition_index,
            error: part.error_code,
            high_watermark: part.high_watermark,
            records: part.records.unwrap_or_default(),
        };
        Ok(parts.map(fetched).collect())
    }

    /// The offset behind a partition's last record (`timestamp` -1), or of its first (-2).
    pub fn offset(&mut self, topic: &str, partition: i32, timestamp: i64) -> Result<i64> {
        let part = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(text(topic).into()).with_partitions(vec![part]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let response = self.call(&request, LIST_OFFSETS)?;
        let part = response.topics.first().and_then(|topic| topic.partitions.first());
        let Some(part) = part else { return wrong("an offset's answer without the partition") };
        accepted("an offset".to_string(), part.error_code)?;
        Ok(part.offset)
    }
}

/// A request with its length.
pub fn frame<R: Request>(request: &R, version: i16, correlation: i32) -> Result<BytesMut> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str("torc-check")));
    let mut frame = BytesMut::new();
    frame.put_u32(0);
    header.encode(&mut frame, R::header_version(version)).or_else(|e| wrong(e.to_string()))?;
    request.encode(&mut frame, version).or_else(|e| wrong(e.to_string()))?;
    let length = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// A whole frame that creates a topic.
pub fn create_frame(name: &str, partitions: i32, correlation: i32) -> Result<BytesMut> {
    frame(&create_request(name, partitions, &[]), CREATE_TOPICS, correlation)
}

fn create_request(name: &str, partitions: i32, settings: &[(&str, &str)]) -> CreateTopicsRequest {
    let setting = |(key, value): &(&str, &str)| {
        CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
    };
    let topic = CreatableTopic::default()
        .with_name(text(name).into())
        .with_num_partitions(partitions)
        .with_replication_factor(-1)
        .with_configs(settings.iter().map(setting).collect());
    CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(20_000)
}

/// A whole produce frame, as a server receives it.
pub fn produce_frame(produce: Produce, correlation: i32) -> Result<BytesMut> {
    frame(&produce_request(produce), PRODUCE, correlation)
}

/// The same for all partitions up to the one that it names, the same batch for each.
pub fn produce_to_all_frame(produce: Produce, correlation: i32) -> Result<BytesMut> {
    let mut request = produce_request(produce);
    let parts = &mut request.topic_data[0].partition_data;
    let last = parts[0].clone();
    *parts = (0..=last.index).map(|index| last.clone().with_index(index)).collect();
    frame(&request, PRODUCE, correlation)
}

fn produce_request(produce: Produce) -> ProduceRequest {
    let part = PartitionProduceData::default().with_index(produce.partition);
    let part = part.with_records(Some(produce.batch.into()));
    let topic = TopicProduceData::default().with_name(text(produce.topic).into()).with_partition_data(vec![part]);
    ProduceRequest::default().with_acks(produce.acks).with_timeout_ms(20_000).with_topic_data(vec![topic])
}

/// Cuts fetched bytes into whole batches, each verified; a last one that is cut off is left out.
pub fn batches(mut bytes: Bytes) -> Result<Vec<(records::Batch, Bytes)>> {
    let mut out = Vec::new();
    while bytes.len() >= records::HEADER {
        let batch = records::parse(&bytes).or_else(|e| wrong(format!("fetched bytes are no batch: {e}")))?;
        if batch.length > bytes.len() {
            break;
        }
        let whole = bytes.split_to(batch.length);
        records::verify(&whole).or_else(|e| wrong(format!("batch at offset {}: {e}", batch.base_offset)))?;
        out.push((batch, whole));
    }
    Ok(out)
}

fn accepted(what: String, code: i16) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(Failure::Refused { what, code }) }
}

/// Text as the protocol crate wants it.
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}
