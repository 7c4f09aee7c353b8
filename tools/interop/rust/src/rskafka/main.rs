//! rskafka. Usage: produce|consume BOOTSTRAP JOBS, or calls BOOTSTRAP FILE.

mod calls;
#[path = "../day.rs"]
mod day;
#[path = "../jobs.rs"]
mod jobs;

use jobs::{Digest, Job, fail, load};
use rskafka::chrono::DateTime;
use rskafka::client::error::Error;
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use std::time::Duration;

/// rskafka makes one batch of all that one call holds; stay below the broker's default limit.
const BATCH_BYTES: usize = 900_000;
/// As in rskafka's own example.
const FETCH_BYTES: std::ops::Range<i32> = 1..1_000_000;
const FETCH_WAIT_MS: i32 = 1_000;
const IDLE_FETCHES: usize = 20;
/// rskafka retries without end.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [action, bootstrap, path] = arguments.as_slice() else {
        panic!("usage: produce|consume BOOTSTRAP JOBS, or calls BOOTSTRAP FILE");
    };
    if action == "calls" {
        calls::make(bootstrap, path).await;
        return Ok(());
    }
    let client = ClientBuilder::new(vec![bootstrap.clone()]).build().await?;
    for job in &load(path) {
        let work = async {
            match action.as_str() {
                "produce" => produce(&client, job).await,
                _ => consume(&client, job).await,
            }
        };
        match tokio::time::timeout(TOPIC_TIMEOUT, work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => fail(&job.topic, &error),
            Err(late) => fail(&job.topic, &late),
        }
    }
    Ok(())
}

async fn produce(client: &Client, job: &Job) -> Result<(), Error> {
    let compression = match job.codec.as_str() {
        "none" => Compression::NoCompression,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        other => panic!("no such codec: {other}"),
    };
    for (partition, records) in job.records().into_iter().enumerate() {
        let target = open(client, job, partition).await?;
        let mut offsets = Vec::new();
        for batch in batches(records.into_iter().map(encode).collect()) {
            offsets.extend(target.produce(batch, compression).await?);
        }
        println!("{}\t{partition}\t{}\t{}", job.topic, offsets.len(), offsets.iter().max().unwrap_or(&-1));
    }
    Ok(())
}

fn encode(record: jobs::Record) -> Record {
    let headers = record.headers.into_iter().map(|(name, value)| (name, value.expect("no null here")));
    let timestamp = DateTime::from_timestamp_millis(record.timestamp_ms).expect("a timestamp");
    Record { key: record.key, value: record.value, headers: headers.collect(), timestamp }
}

fn decode(record: &Record) -> jobs::Record {
    jobs::Record {
        timestamp_ms: record.timestamp.timestamp_millis(),
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect(),
    }
}

/// Splits records so that each part is small enough for one call, or is a single record.
fn batches(records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut result: Vec<Vec<Record>> = Vec::new();
    let mut bytes = usize::MAX;
    for record in records {
        let size = record.approximate_size() + 100;
        if bytes.saturating_add(size) > BATCH_BYTES {
            result.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        result.last_mut().expect("pushed above").push(record);
    }
    result
}

async fn consume(client: &Client, job: &Job) -> Result<(), Error> {
    for (partition, &count) in job.counts.iter().enumerate() {
        let source = open(client, job, partition).await?;
        let mut digest = Digest::default();
        let (mut next_offset, mut idle) = (0, 0);
        while digest.count < count && idle < IDLE_FETCHES {
            let (records, _high_watermark) = source.fetch_records(next_offset, FETCH_BYTES, FETCH_WAIT_MS).await?;
            idle = if records.is_empty() { idle + 1 } else { 0 };
            for record in &records {
                digest.add(record.offset, &decode(&record.record));
                next_offset = record.offset + 1;
            }
        }
        digest.report(&job.topic, partition);
    }
    Ok(())
}

async fn open(client: &Client, job: &Job, partition: usize) -> Result<PartitionClient, Error> {
    client.partition_client(&job.topic, partition as i32, UnknownTopicHandling::Retry).await
}
