//! The calls of harness/calls.py with rskafka.

use crate::day::{Answer, Day, Told, join};
use rskafka::BackoffConfig;
use rskafka::chrono::DateTime;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use std::time::Duration;

const TIMEOUT_MS: i32 = 10_000;
const CODECS: [Compression; 5] =
    [Compression::NoCompression, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn told(error: Error) -> Told {
    match error {
        Error::ServerError { protocol_error, .. } => {
            match (-1..200).find(|code| ProtocolError::new(*code) == Some(protocol_error)) {
                Some(code) => Told::Code(code.into()),
                None => Told::Other(protocol_error.to_string()),
            }
        }
        other => Told::Other(other.to_string()),
    }
}

struct Calls {
    day: Day,
    client: Client,
}

impl Calls {
    async fn create(&self, name: &str, partitions: i32, replicas: i16) -> Answer {
        let controller = self.client.controller_client().map_err(told)?;
        controller.create_topic(self.day.topic(name), partitions, replicas, TIMEOUT_MS).await.map_err(told)?;
        Ok("ok".into())
    }

    async fn delete(&self, names: &[&str]) -> Answer {
        let controller = self.client.controller_client().map_err(told)?;
        for name in names {
            controller.delete_topic(self.day.topic(name), TIMEOUT_MS).await.map_err(told)?;
        }
        Ok("ok".into())
    }

    async fn open(&self, name: &str, partition: i32) -> Result<PartitionClient, Told> {
        self.client.partition_client(self.day.topic(name), partition, UnknownTopicHandling::Error).await.map_err(told)
    }

    async fn produce(&self, name: &str, partition: i32, records: Vec<Record>, codec: Compression) -> Answer {
        Ok(join(self.open(name, partition).await?.produce(records, codec).await.map_err(told)?))
    }

    async fn codecs(&self) -> Answer {
        let mut offsets = Vec::new();
        for codec in CODECS {
            let records = ["some ", "more "].map(|word| self.record(&word.repeat(100), self.day.base));
            offsets.push(self.produce("p", 2, records.into(), codec).await?);
        }
        Ok(join(offsets))
    }

    fn record(&self, value: &str, timestamp_ms: i64) -> Record {
        let timestamp = DateTime::from_timestamp_millis(timestamp_ms).expect("a timestamp");
        Record { key: Some(b"k".into()), value: Some(value.into()), headers: Default::default(), timestamp }
    }

    fn timed(&self) -> Vec<Record> {
        self.day.times().into_iter().enumerate().map(|(i, at)| self.record(&format!("v{i}"), at)).collect()
    }

    async fn offset(&self, name: &str, at: OffsetAt) -> Answer {
        let partition = if name == "p" { 1 } else { 0 };
        Ok(self.open(name, partition).await?.get_offset(at).await.map_err(told)?.to_string())
    }

    fn at(&self, after_base_ms: i64) -> OffsetAt {
        OffsetAt::Timestamp(DateTime::from_timestamp_millis(self.day.base + after_base_ms).expect("a timestamp"))
    }

    async fn consume(&self, offset: i64) -> Answer {
        let (records, _) = self.open("p", 1).await?.fetch_records(offset, 1..1_000_000, 1_000).await.map_err(told)?;
        Ok(join(records.iter().map(|r| String::from_utf8_lossy(r.record.value.as_deref().unwrap_or_default()))))
    }

    async fn delete_records(&self, offset: i64) -> Answer {
        let partition = self.open("p", 1).await?;
        partition.delete_records(offset, TIMEOUT_MS).await.map_err(told)?;
        self.offset("p", OffsetAt::Earliest).await // it gives no answer
    }

    async fn listed(&self, names: &[&str]) -> Answer {
        let topics = self.client.list_topics().await.map_err(told)?;
        Ok(join(names.iter().filter(|name| topics.iter().any(|topic| topic.name == self.day.topic(name)))))
    }
}

pub async fn make(bootstrap: &str, path: &str) {
    // Without a deadline some errors are retried for ever.
    let backoff = BackoffConfig { deadline: Some(Duration::from_secs(5)), ..BackoffConfig::default() };
    let client = ClientBuilder::new(vec![bootstrap.into()]).backoff_config(backoff).build().await;
    let c = Calls { day: Day::load(bootstrap, path), client: client.expect("the server answers") };
    let d = &c.day;
    d.call("create", async || c.create("t", 3, 1).await).await;
    d.call("create_defaults", async || c.create("d", -1, -1).await).await;
    d.call("create_duplicate", async || c.create("t", 3, 1).await).await;
    d.call("create_bad_partitions", async || c.create("x", 0, 1).await).await;
    d.call("create_bad_replication", async || c.create("x", 1, 3).await).await;
    d.call("create_bad_name", async || c.create("a/b", 1, 1).await).await;
    d.call("create_p", async || c.create("p", 4, 1).await).await;
    c.create("m", 2, 1).await.ok(); // placed by the broker: the client cannot
    d.call("list_topics", async || {
        let topics = c.client.list_topics().await.map_err(told)?;
        Ok(d.mine(topics.iter().map(|topic| topic.name.as_str())))
    })
    .await;
    d.call("describe_topics", async || {
        let topics = c.client.list_topics().await.map_err(told)?;
        let size =
            |name: &str| Some(format!("{name}={}", topics.iter().find(|t| t.name == d.topic(name))?.partitions.len()));
        Ok(join(["d", "m", "t"].into_iter().filter_map(size)))
    })
    .await;
    records(&c).await;
    d.call("delete", async || c.delete(&["d"]).await).await;
    d.call("delete_unknown", async || c.delete(&["x"]).await).await;
    d.call("delete_done", async || c.listed(&["d", "t"]).await).await;
    d.call("create_again", async || c.create("d", 1, 1).await).await;
    d.call("create_again_done", async || c.offset("d", OffsetAt::Latest).await).await;
    d.call("cleanup", async || c.delete(&["a", "d", "m", "p", "t"]).await).await;
}

async fn records(c: &Calls) {
    let d = &c.day;
    let plain = Compression::NoCompression;
    d.call("produce_all", async || {
        // It can do no other acks; what the plan expects to be there comes first.
        c.produce("p", 0, ["a", "b", "c"].map(|v| c.record(v, d.base)).into(), plain).await?;
        c.produce("p", 0, ["a", "b", "c"].map(|v| c.record(v, d.base)).into(), plain).await
    })
    .await;
    d.call("produce_times", async || c.produce("p", 1, c.timed(), plain).await).await;
    d.call("produce_codecs", async || c.codecs().await).await;
    d.call("produce_large", async || c.produce("p", 0, vec![c.record(&"x".repeat(3_000_000), d.base)], plain).await)
        .await;
    d.call("produce_future", async || c.produce("p", 0, vec![c.record("a", d.base + 86_400_000)], plain).await).await;
    d.call("auto_create", async || {
        let partition = c.client.partition_client(d.topic("a"), 0, UnknownTopicHandling::Retry).await.map_err(told)?;
        Ok(partition.get_offset(OffsetAt::Earliest).await.map_err(told)?.to_string())
    })
    .await;
    d.call("offset_earliest", async || c.offset("p", OffsetAt::Earliest).await).await;
    d.call("offset_latest", async || c.offset("p", OffsetAt::Latest).await).await;
    d.call("offset_time", async || c.offset("p", c.at(3_500)).await).await;
    d.call("offset_time_late", async || c.offset("p", c.at(1_000_000)).await).await;
    d.call("partitions_of", async || {
        let topics = c.client.list_topics().await.map_err(told)?;
        Ok(topics.iter().find(|t| t.name == d.topic("p")).map(|t| join(&t.partitions)).unwrap_or_default())
    })
    .await;
    d.call("consume", async || c.consume(0).await).await;
    d.call("consume_seek", async || c.consume(5).await).await;
    d.call("consume_time", async || c.consume(c.offset("p", c.at(3_500)).await?.parse().expect("an offset")).await)
        .await;
    d.call("consume_bounds", async || {
        Ok(join([c.offset("p", OffsetAt::Earliest).await?, c.offset("p", OffsetAt::Latest).await?]))
    })
    .await;
    d.call("consume_out_of_range", async || c.consume(1_000).await).await;
    d.call("delete_records", async || c.delete_records(3).await).await;
    d.call("delete_records_done", async || c.offset("p", OffsetAt::Earliest).await).await;
    d.call("delete_records_beyond", async || c.delete_records(1_000).await).await;
    d.call("delete_records_all", async || c.delete_records(-1).await).await;
}
