//! The calls of harness/calls.py with rust-rdkafka.

use crate::day::{Answer, Day, TIMEOUT, Told, join};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use std::time::Duration;

const COMPARED: [&str; 3] = ["cleanup.policy", "max.message.bytes", "retention.ms"];
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

fn told_code(code: RDKafkaErrorCode) -> Told {
    match code {
        RDKafkaErrorCode::UnsupportedFeature => Told::Refused,
        // librdkafka's own words for what the cluster does not have.
        RDKafkaErrorCode::UnknownPartition | RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::NoEnt => Told::Code(3),
        code => Told::Code(code as i32),
    }
}

fn told(error: KafkaError) -> Told {
    // The binding keeps librdkafka's text about offsets to itself; its code says that there was no offset to go on from.
    if let KafkaError::AdminOp(code) = error {
        return told_code(code);
    }
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AutoOffsetReset) => Told::Code(1),
        Some(code) => told_code(code),
        None => Told::Other(error.to_string()),
    }
}

struct Calls {
    day: Day,
    admin: AdminClient<DefaultClientContext>,
    options: AdminOptions,
}

impl Calls {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.day.bootstrap)
            .set("allow.auto.create.topics", "false")
            .set("linger.ms", "20");
        config
    }

    fn consumer(&self) -> Result<BaseConsumer, Told> {
        self.config()
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .create()
            .map_err(told)
    }

    fn metadata(&self, name: Option<&str>) -> Result<Metadata, Told> {
        self.admin.inner().fetch_metadata(name.map(|name| self.day.topic(name)).as_deref(), TIMEOUT).map_err(told)
    }

    // Topics.

    async fn create(&self, topic: NewTopic<'_>) -> Answer {
        self.create_with(topic, &self.options).await
    }

    async fn create_with(&self, topic: NewTopic<'_>, options: &AdminOptions) -> Answer {
        let done = self.admin.create_topics([&topic], options).await.map_err(told)?;
        done.into_iter().next().expect("an answer").map_err(|(_, code)| told_code(code))?;
        Ok("ok".into())
    }

    async fn plain(&self, name: &str, partitions: i32, replicas: i32, settings: &[(&str, &str)]) -> Answer {
        let name = self.day.topic(name);
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(replicas));
        self.create(settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))).await
    }

    async fn placed(&self, name: &str, nodes: &[i32]) -> Answer {
        let placed: Vec<&[i32]> = nodes.chunks(1).collect();
        self.create(NewTopic::new(&self.day.topic(name), nodes.len() as i32, TopicReplication::Variable(&placed))).await
    }

    async fn validate(&self) -> Answer {
        let name = self.day.topic("v");
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).validate_only(true);
        self.create_with(NewTopic::new(&name, 1, TopicReplication::Fixed(1)), &options).await
    }

    async fn partitions(&self, name: &str, count: usize, node: Option<i32>, validate_only: bool) -> Answer {
        let name = self.day.topic(name);
        let nodes = node.map(|node| [node]);
        let placed: Vec<&[i32]> = nodes.iter().map(|node| node.as_slice()).collect();
        let mut wanted = NewPartitions::new(&name, count);
        if node.is_some() {
            wanted = wanted.assign(&placed);
        }
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).validate_only(validate_only);
        let done = self.admin.create_partitions([&wanted], &options).await.map_err(told)?;
        done.into_iter().next().expect("an answer").map_err(|(_, code)| told_code(code))?;
        Ok("ok".into())
    }

    async fn delete(&self, names: &[&str]) -> Answer {
        let names: Vec<String> = names.iter().map(|name| self.day.topic(name)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for done in self.admin.delete_topics(&names, &self.options).await.map_err(told)? {
            done.map_err(|(_, code)| told_code(code))?;
        }
        Ok("ok".into())
    }

    fn sizes(&self, names: &[&str]) -> Answer {
        let mut sizes = Vec::new();
        for name in names {
            let found = self.metadata(Some(name))?;
            let topic = &found.topics()[0];
            if let Some(error) = topic.error() {
                return Err(told_code(error.into()));
            }
            sizes.push(format!("{name}={}", topic.partitions().len()));
        }
        Ok(join(sizes))
    }

    fn list(&self, found: &Metadata) -> Answer {
        Ok(self.day.mine(found.topics().iter().map(|topic| topic.name())))
    }

    fn describe_partitions(&self) -> Answer {
        let found = self.metadata(Some("p"))?;
        let mut placed: Vec<String> = found.topics()[0]
            .partitions()
            .iter()
            .map(|p| format!("{}={}/{}/{}", p.id(), p.leader(), join(p.replicas()), join(p.isr())))
            .collect();
        placed.sort();
        Ok(join(placed))
    }

    // Settings.

    async fn configs(&self, resource: ResourceSpecifier<'_>, keys: &[&str]) -> Answer {
        let found = self.admin.describe_configs([&resource], &self.options).await.map_err(told)?;
        let found = found.into_iter().next().expect("an answer").map_err(told_code)?;
        Ok(join(keys.iter().filter_map(|key| value(&found, key))))
    }

    async fn compared(&self) -> Answer {
        self.configs(ResourceSpecifier::Topic(&self.day.topic("t")), &COMPARED).await
    }

    async fn alter_legacy(&self, name: &str, key: &str, value: &str) -> Answer {
        let name = self.day.topic(name);
        let change = AlterConfig::new(ResourceSpecifier::Topic(&name)).set(key, value);
        let done = self.admin.alter_configs([&change], &self.options).await.map_err(told)?;
        done.into_iter().next().expect("an answer").map_err(|(_, code)| told_code(code))?;
        Ok("ok".into())
    }

    // Records.

    async fn produce(
        &self,
        name: &str,
        partition: i32,
        values: &[&str],
        times: &[i64],
        settings: &[(&str, &str)],
    ) -> Answer {
        let mut config = self.config();
        settings.iter().for_each(|(key, value)| {
            config.set(*key, *value);
        });
        let producer: FutureProducer = config.set("message.timeout.ms", "15000").create().map_err(told)?;
        let topic = self.day.topic(name);
        let mut sent = Vec::new();
        for (i, value) in values.iter().enumerate() {
            let mut record = FutureRecord::to(&topic).partition(partition).key("k").payload(*value);
            record.timestamp = times.get(i).copied();
            sent.push(producer.send_result(record).map_err(|(error, _)| told(error))?);
        }
        let mut offsets = Vec::new();
        for delivery in sent {
            let delivery = delivery.await.map_err(|lost| Told::Other(lost.to_string()))?;
            offsets.push(delivery.map_err(|(error, _)| told(error))?.offset);
        }
        producer.flush(TIMEOUT).map_err(told)?;
        let unknown = settings.contains(&("acks", "0"));
        Ok(join(offsets.into_iter().map(|offset| if unknown { "ok".into() } else { offset.to_string() })))
    }

    async fn codecs(&self, idempotent: &str) -> Answer {
        let text = "some ".repeat(100);
        let mut offsets = Vec::new();
        for codec in CODECS {
            offsets.push(
                self.produce(
                    "p",
                    2,
                    &[&text, &text],
                    &[],
                    &[("compression.type", codec), ("enable.idempotence", idempotent)],
                )
                .await?,
            );
        }
        Ok(join(offsets))
    }

    async fn auto_create(&self) -> Answer {
        if !self.metadata(None)?.topics().iter().any(|topic| topic.name() == self.day.topic("a")) {
            self.produce("a", 0, &["first"], &[], &[("allow.auto.create.topics", "true")]).await?;
        }
        Ok(self.bounds("a", 0)?.0.to_string())
    }

    fn bounds(&self, name: &str, partition: i32) -> Result<(i64, i64), Told> {
        self.consumer()?.fetch_watermarks(&self.day.topic(name), partition, TIMEOUT).map_err(told)
    }

    /// -1 for the end, where there is no such record.
    fn at_time(&self, ms: i64) -> Result<i64, Told> {
        let found =
            self.consumer()?.offsets_for_times(self.list_of("p", 1, Offset::Offset(ms))?, TIMEOUT).map_err(told)?;
        let element = found.elements().into_iter().next().expect("an answer");
        element.error().map_err(told)?;
        Ok(match element.offset() {
            Offset::Offset(offset) => offset,
            _ => -1,
        })
    }

    fn list_of(&self, name: &str, partition: i32, offset: Offset) -> Result<TopicPartitionList, Told> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.day.topic(name), partition, offset).map_err(told)?;
        Ok(list)
    }

    fn consume(&self, from: Offset, wanted: usize) -> Answer {
        let consumer = self.consumer()?;
        consumer.assign(&self.list_of("p", 1, from)?).map_err(told)?;
        Ok(join(take(&consumer, wanted, TIMEOUT)?.into_iter().map(|(_, value)| value)))
    }

    fn seek(&self) -> Answer {
        let consumer = self.consumer()?;
        consumer.assign(&self.list_of("p", 1, Offset::Beginning)?).map_err(told)?;
        take(&consumer, 1, TIMEOUT)?;
        consumer.seek(&self.day.topic("p"), 1, Offset::Offset(5), TIMEOUT).map_err(told)?;
        Ok(join(take(&consumer, 5, TIMEOUT)?.into_iter().map(|(_, value)| value)))
    }

    fn pause(&self) -> Answer {
        let consumer = self.consumer()?;
        let mut assigned = self.list_of("p", 0, Offset::Beginning)?;
        assigned.add_partition_offset(&self.day.topic("p"), 1, Offset::Beginning).map_err(told)?;
        consumer.assign(&assigned).map_err(told)?;
        let paused = self.list_of("p", 1, Offset::Beginning)?;
        consumer.pause(&paused).map_err(told)?;
        let while_paused = take(&consumer, 10, Duration::from_secs(2))?;
        consumer.resume(&paused).map_err(told)?;
        let count = |partition| while_paused.iter().filter(|(p, _)| *p == partition).count();
        Ok(join([count(0), count(1), take(&consumer, 10, TIMEOUT)?.len()]))
    }

    async fn delete_records(&self, name: &str, before: Offset) -> Answer {
        let done = self.admin.delete_records(&self.list_of(name, 1, before)?, &self.options).await.map_err(told)?;
        let element = done.elements().into_iter().next().expect("an answer");
        element.error().map_err(told)?;
        Ok(element.offset().to_raw().unwrap_or(-1).to_string())
    }
}

fn value(found: &ConfigResource, key: &str) -> Option<String> {
    let entry = found.get(key)?;
    let source = match entry.source {
        ConfigSource::Unknown => 0,
        ConfigSource::DynamicTopic => 1,
        ConfigSource::DynamicBroker => 2,
        ConfigSource::DynamicDefaultBroker => 3,
        ConfigSource::StaticBroker => 4,
        ConfigSource::Default => 5,
    };
    Some(format!("{key}={}/{source}", entry.value.as_deref().unwrap_or_default()))
}

/// Partitions and values, until `wanted` are there or nothing comes.
fn take(consumer: &BaseConsumer, wanted: usize, idle: Duration) -> Result<Vec<(i32, String)>, Told> {
    let mut records = Vec::new();
    while records.len() < wanted {
        let Some(message) = consumer.poll(idle) else { break };
        let message = message.map_err(told)?;
        records
            .push((message.partition(), String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned()));
    }
    Ok(records)
}

pub async fn make(bootstrap: &str, path: &str) {
    let day = Day::load(bootstrap, path);
    let admin =
        ClientConfig::new().set("bootstrap.servers", bootstrap).set("allow.auto.create.topics", "false").create();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(Duration::from_secs(5)));
    let c = Calls { day, admin: admin.expect("a client"), options };
    topics(&c).await;
    settings(&c).await;
    producing(&c).await;
    reading(&c).await;
    end(&c).await;
}

async fn topics(c: &Calls) {
    let (d, node) = (&c.day, c.day.node);
    d.call("nodes", async || {
        Ok(join(c.metadata(None)?.brokers().iter().map(|b| format!("{}={}:{}", b.id(), b.host(), b.port()))))
    })
    .await;
    d.call("create", async || {
        c.plain("t", 3, 1, &[("retention.ms", "3600000"), ("max.message.bytes", "2000000")]).await
    })
    .await;
    d.call("create_defaults", async || c.plain("d", -1, -1, &[]).await).await;
    d.call("create_manual", async || c.placed("m", &[node, node]).await).await;
    d.call("create_validate", async || c.validate().await).await;
    d.call("create_duplicate", async || c.plain("t", 3, 1, &[]).await).await;
    d.call("create_bad_value", async || c.plain("x", 1, 1, &[("retention.ms", "soon")]).await).await;
    d.call("create_bad_key", async || c.plain("x", 1, 1, &[("no.such.key", "1")]).await).await;
    d.call("create_bad_replication", async || c.plain("x", 1, 3, &[]).await).await;
    d.call("create_bad_name", async || c.plain("a/b", 1, 1, &[]).await).await;
    d.call("create_bad_assignment", async || c.placed("x", &[node + 98]).await).await;
    d.call("create_p", async || c.plain("p", 4, 1, &[]).await).await;
    d.call("list_topics", async || c.list(&c.metadata(None)?)).await;
    d.call("list_topics/consumer", async || c.list(&c.consumer()?.fetch_metadata(None, TIMEOUT).map_err(told)?)).await;
    d.call("list_topics/producer", async || {
        let producer: FutureProducer = c.config().create().map_err(told)?;
        c.list(&producer.client().fetch_metadata(None, TIMEOUT).map_err(told)?)
    })
    .await;
    d.call("describe_topics", async || c.sizes(&["d", "m", "t"])).await;
    d.call("describe_partitions", async || c.describe_partitions()).await;
    d.call("describe_unknown", async || c.sizes(&["x"])).await;
}

async fn settings(c: &Calls) {
    let d = &c.day;
    d.call("configs", async || c.compared().await).await;
    d.call("configs_broker", async || {
        c.configs(ResourceSpecifier::Broker(d.node), &["message.max.bytes", "num.partitions"]).await
    })
    .await;
    d.call("alter_legacy", async || c.alter_legacy("t", "max.message.bytes", "1500000").await).await;
    d.call("alter_legacy_done", async || c.compared().await).await;
    d.call("partitions_validate", async || c.partitions("m", 3, None, true).await).await;
    d.call("partitions", async || c.partitions("m", 4, None, false).await).await;
    d.call("partitions_manual", async || c.partitions("m", 5, Some(d.node), false).await).await;
    d.call("partitions_done", async || c.sizes(&["m"])).await;
    d.call("partitions_fewer", async || c.partitions("m", 2, None, false).await).await;
    d.call("partitions_bad_assignment", async || c.partitions("m", 6, Some(d.node + 98), false).await).await;
    d.call("partitions_unknown", async || c.partitions("x", 2, None, false).await).await;
}

async fn producing(c: &Calls) {
    let (d, three) = (&c.day, ["a", "b", "c"]);
    let timed: Vec<String> = (0..10).map(|i| format!("v{i}")).collect();
    let timed: Vec<&str> = timed.iter().map(String::as_str).collect();
    d.call("produce_leader", async || c.produce("p", 0, &three, &[], &[("acks", "1")]).await).await;
    d.call("produce_all", async || c.produce("p", 0, &three, &[], &[("acks", "all")]).await).await;
    d.call("produce_idempotent", async || c.produce("p", 0, &three, &[], &[("enable.idempotence", "true")]).await)
        .await;
    d.call("produce_times", async || c.produce("p", 1, &timed, &d.times(), &[]).await).await;
    d.call("produce_codecs", async || c.codecs("false").await).await;
    d.call("produce_codecs_idempotent", async || c.codecs("true").await).await;
    d.call("produce_none", async || c.produce("p", 3, &three, &[], &[("acks", "0")]).await).await;
    d.call("produce_none_done", async || Ok(c.bounds("p", 3)?.1.to_string())).await;
    let large = "x".repeat(3_000_000);
    d.call("produce_large", async || c.produce("p", 0, &[&large], &[], &[("message.max.bytes", "4000000")]).await)
        .await;
    d.call("produce_future", async || c.produce("p", 0, &["a"], &[d.base + 86_400_000], &[]).await).await;
    d.call("produce_unknown", async || {
        c.produce("x", 0, &["a"], &[], &[("topic.metadata.propagation.max.ms", "0")]).await
    })
    .await;
    d.call("auto_create", async || c.auto_create().await).await;
}

async fn reading(c: &Calls) {
    let d = &c.day;
    d.call("offset_earliest", async || Ok(c.bounds("p", 1)?.0.to_string())).await;
    d.call("offset_latest", async || Ok(c.bounds("p", 1)?.1.to_string())).await;
    d.call("offset_time", async || Ok(c.at_time(d.base + 3_500)?.to_string())).await;
    d.call("offset_time_late", async || Ok(c.at_time(d.base + 1_000_000)?.to_string())).await;
    d.call("offset_unknown", async || Ok(c.bounds("x", 0)?.1.to_string())).await;
    d.call("partitions_of", async || {
        let found = c.metadata(Some("p"))?;
        let mut partitions: Vec<i32> = found.topics()[0].partitions().iter().map(|p| p.id()).collect();
        partitions.sort_unstable();
        Ok(join(partitions))
    })
    .await;
    d.call("consume", async || c.consume(Offset::Beginning, 10)).await;
    d.call("consume_seek", async || c.seek()).await;
    d.call("consume_time", async || c.consume(Offset::Offset(c.at_time(d.base + 3_500)?), 6)).await;
    d.call("consume_bounds", async || {
        let (first, last) = c.bounds("p", 1)?;
        Ok(join([first, last]))
    })
    .await;
    d.call("consume_pause", async || c.pause()).await;
    d.call("consume_out_of_range", async || c.consume(Offset::Offset(1_000), 1)).await;
}

async fn end(c: &Calls) {
    let d = &c.day;
    d.call("delete_records", async || c.delete_records("p", Offset::Offset(3)).await).await;
    d.call("delete_records_done", async || Ok(c.bounds("p", 1)?.0.to_string())).await;
    d.call("delete_records_beyond", async || c.delete_records("p", Offset::Offset(1_000)).await).await;
    d.call("delete_records_all", async || c.delete_records("p", Offset::End).await).await;
    d.call("delete_records_unknown", async || c.delete_records("x", Offset::Offset(0)).await).await;
    d.call("groups", async || {
        let found = c.consumer()?.fetch_group_list(None, TIMEOUT).map_err(told)?;
        Ok(d.mine(found.groups().iter().map(|group| group.name())))
    })
    .await;
    d.call("delete", async || c.delete(&["d"]).await).await;
    d.call("delete_unknown", async || c.delete(&["x"]).await).await;
    d.call("delete_done", async || {
        let found = c.metadata(None)?;
        Ok(join(["d", "t"].into_iter().filter(|name| found.topics().iter().any(|topic| topic.name() == d.topic(name)))))
    })
    .await;
    d.call("create_again", async || c.plain("d", 1, 1, &[]).await).await;
    d.call("create_again_done", async || Ok(c.bounds("d", 0)?.1.to_string())).await;
    d.call("cleanup", async || c.delete(&["a", "d", "m", "p", "t"]).await).await;
}
