//! The job list, the plan and the digest: described in harness/plan.py and python/jobs.py.

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};
use std::fs::read_to_string;

/// One topic.
#[allow(dead_code, reason = "rskafka reads topic by topic and has no limit on requests")]
pub struct Job {
    pub group: String,
    pub topic: String,
    pub codec: String,
    /// 0 where the client keeps its default limit.
    pub max_request: usize,
    /// Records per partition.
    pub counts: Vec<usize>,
    plan: String,
}

pub fn load(path: &str) -> Vec<Job> {
    let text = read_to_string(path).expect("the job list is readable");
    text.lines().map(parse_job).collect()
}

fn parse_job(line: &str) -> Job {
    let [group, topic, codec, max_request, counts, plan] = fields(line);
    Job {
        group: group.into(),
        topic: topic.into(),
        codec: codec.into(),
        max_request: max_request.parse().expect("a size"),
        counts: counts.split(',').map(|count| count.parse().expect("a count")).collect(),
        plan: plan.into(),
    }
}

/// One line of a plan, or a record that was read.
#[derive(Clone)]
pub struct Record {
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Job {
    /// The job's plan by partition, each in the order in which it is to be produced.
    pub fn records(&self) -> Vec<Vec<Record>> {
        let mut partitions = vec![Vec::new(); self.counts.len()];
        for line in read_to_string(&self.plan).expect("the plan is readable").lines() {
            let [partition, timestamp, key, value, headers] = fields(line);
            let pairs = headers.split(',').filter_map(|pair| pair.split_once(':'));
            partitions[partition.parse::<usize>().expect("a partition")].push(Record {
                key: decode(key),
                value: decode(value),
                headers: pairs.map(|(name, data)| (decode_name(name), decode(data))).collect(),
                timestamp_ms: timestamp.parse().expect("a timestamp"),
            });
        }
        partitions
    }
}

fn fields<const N: usize>(line: &str) -> [&str; N] {
    let found: Vec<&str> = line.split('\t').collect();
    found.try_into().expect("a line of N fields")
}

/// `-` is null.
fn decode(text: &str) -> Option<Vec<u8>> {
    (text != "-").then(|| BASE64_STANDARD.decode(text).expect("base64"))
}

fn decode_name(text: &str) -> String {
    String::from_utf8(decode(text).expect("no null here")).expect("UTF-8")
}

/// What has been read of one partition.
#[derive(Default)]
pub struct Digest {
    pub count: usize,
    contents: Sha256,
    timestamps: Sha256,
}

impl Digest {
    pub fn add(&mut self, offset: i64, record: &Record) {
        self.count += 1;
        self.contents.update(offset.to_be_bytes());
        self.add_bytes(record.key.as_deref());
        self.add_bytes(record.value.as_deref());
        self.contents.update((record.headers.len() as i32).to_be_bytes());
        for (name, value) in &record.headers {
            self.add_bytes(Some(name.as_bytes()));
            self.add_bytes(value.as_deref());
        }
        self.timestamps.update(record.timestamp_ms.to_be_bytes());
    }

    fn add_bytes(&mut self, data: Option<&[u8]>) {
        self.contents.update(data.map_or(-1, |data| data.len() as i32).to_be_bytes());
        self.contents.update(data.unwrap_or_default());
    }

    pub fn report(self, topic: &str, partition: usize) {
        println!(
            "{topic}\t{partition}\t{}\t{:x}\t{:x}",
            self.count,
            self.contents.finalize(),
            self.timestamps.finalize()
        );
    }
}

/// Reports an error for one topic; the others go on.
pub fn fail(topic: &str, error: &dyn std::error::Error) {
    let text = error.to_string();
    println!("{topic}\terror\t{}", text.split_whitespace().collect::<Vec<_>>().join(" "));
}
