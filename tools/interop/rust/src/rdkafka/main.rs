//! rust-rdkafka. Usage: produce|consume BOOTSTRAP JOBS, calls BOOTSTRAP FILE, or group BOOTSTRAP FILE.

mod calls;
#[path = "../day.rs"]
mod day;
#[path = "../jobs.rs"]
mod jobs;
mod member;

use jobs::{Digest, Job, Record, fail, load};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use std::collections::HashMap;
use std::time::Duration;

const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [action, bootstrap, path] = arguments.as_slice() else {
        panic!("usage: produce|consume BOOTSTRAP JOBS, calls BOOTSTRAP FILE, or group BOOTSTRAP FILE");
    };
    match action.as_str() {
        "calls" => calls::make(bootstrap, path).await,
        "group" => member::join(bootstrap, path),
        "produce" => {
            for job in &load(path) {
                if let Err(error) = produce(bootstrap, job).await {
                    fail(&job.topic, &error);
                }
            }
        }
        _ => {
            for group in load(path).chunk_by(|a, b| a.group == b.group) {
                if let Err(error) = consume(bootstrap, group) {
                    group.iter().for_each(|job| fail(&job.topic, &error));
                }
            }
        }
    }
}

async fn produce(bootstrap: &str, job: &Job) -> KafkaResult<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("compression.type", &job.codec).set("linger.ms", "20");
    if job.max_request > 0 {
        config.set("message.max.bytes", job.max_request.to_string());
    }
    let producer: FutureProducer = config.create()?;
    for (partition, records) in job.records().iter().enumerate() {
        let sent: Vec<_> =
            records.iter().map(|record| producer.send_result(encode(&job.topic, partition, record))).collect();
        let mut last = -1;
        for delivery in sent {
            let delivery = delivery.map_err(|(error, _)| error)?.await.expect("the producer lives");
            last = last.max(delivery.map_err(|(error, _)| error)?.offset);
        }
        println!("{}\t{partition}\t{}\t{last}", job.topic, records.len());
    }
    Ok(())
}

fn encode<'a>(topic: &'a str, partition: usize, record: &'a Record) -> FutureRecord<'a, [u8], [u8]> {
    let mut headers = OwnedHeaders::new();
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: value.as_ref() });
    }
    FutureRecord {
        topic,
        partition: Some(partition as i32),
        payload: record.value.as_deref(),
        key: record.key.as_deref(),
        timestamp: Some(record.timestamp_ms),
        headers: Some(headers),
    }
}

/// Reads all topics of a group at once.
fn consume(bootstrap: &str, group: &[Job]) -> KafkaResult<()> {
    // The binding insists on a group id. With assigned partitions and no commits there is nobody to join.
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut assigned = TopicPartitionList::new();
    let mut digests: HashMap<(String, i32), Digest> = HashMap::new();
    let mut missing = 0;
    for job in group {
        for (partition, count) in job.counts.iter().enumerate() {
            assigned.add_partition_offset(&job.topic, partition as i32, Offset::Beginning)?;
            digests.insert((job.topic.clone(), partition as i32), Digest::default());
            missing += count;
        }
    }
    consumer.assign(&assigned)?;
    while missing > 0 {
        let Some(message) = consumer.poll(IDLE_TIMEOUT) else { break };
        let message = message?;
        let digest = digests.get_mut(&(message.topic().into(), message.partition())).expect("an assigned partition");
        digest.add(message.offset(), &decode(&message));
        missing -= 1;
    }
    for ((topic, partition), digest) in digests {
        digest.report(&topic, partition as usize);
    }
    Ok(())
}

fn decode(message: &BorrowedMessage) -> Record {
    let headers =
        message.headers().map(|headers| headers.iter().map(|h| (h.key.into(), h.value.map(Into::into))).collect());
    Record {
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(Into::into),
        value: message.payload().map(Into::into),
        headers: headers.unwrap_or_default(),
    }
}
