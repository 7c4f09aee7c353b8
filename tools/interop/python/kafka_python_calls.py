"""The calls of harness/calls.py with kafka-python."""

import contextlib
import re
import uuid

import kafka
import kafka.errors
from calls import BROKER_KEYS, CODECS, COMPARED_KEYS, TIMED_VALUES, TIMEOUT_S, Day, join
from kafka.admin import ConfigResource, NewPartitions, NewTopic
from kafka.protocol.consumer import IsolationLevel, OffsetSpec

TIMEOUT_MS = TIMEOUT_S * 1000
SOURCES = {"DYNAMIC_TOPIC_CONFIG": 1, "DYNAMIC_BROKER_CONFIG": 2, "DYNAMIC_DEFAULT_BROKER_CONFIG": 3, "STATIC_BROKER_CONFIG": 4, "DEFAULT_CONFIG": 5}
TYPES = {"BOOLEAN": 1, "STRING": 2, "INT": 3, "LONG": 5, "DOUBLE": 6, "LIST": 7}
OPERATIONS = {"READ": 3, "WRITE": 4, "CREATE": 5, "DELETE": 6, "ALTER": 7, "DESCRIBE": 8, "CLUSTER_ACTION": 9, "DESCRIBE_CONFIGS": 10,
              "ALTER_CONFIGS": 11, "IDEMPOTENT_WRITE": 12}


class Told(Exception):
    """An error that came as a code or as text within an answer."""

    def __init__(self, code):
        super().__init__(f"error {code}")
        self.code = code


def code_of(error):
    if isinstance(error, Told):
        return error.code
    if isinstance(error, kafka.errors.IncompatibleBrokerVersion):
        return "refused"
    if isinstance(error, kafka.errors.OffsetOutOfRangeError):
        return 1
    return error.errno if isinstance(error, kafka.errors.BrokerResponseError) else None


def checked(answer):
    if answer["error_code"]:
        raise Told(answer["error_code"])
    return answer


def operations(answer):
    return join(sorted(OPERATIONS[name] for name in answer["authorized_operations"]))


class KafkaPython:
    def __init__(self, day):
        self.day, self.t = day, day.topic
        self.admin = kafka.KafkaAdminClient(bootstrap_servers=day.bootstrap, request_timeout_ms=TIMEOUT_MS)

    def features(self):
        found = self.admin.describe_features()
        return join(f"{name}={at['supported'][0]}-{at['supported'][1]}" for name, at in found.items())

    # Topics.

    def create(self, name, validate_only=False, **options):
        self.admin.create_topics({self.t(name): options}, timeout_ms=TIMEOUT_MS, validate_only=validate_only)
        return "ok"

    def create_old(self, name, **options):
        self.admin.create_topics([NewTopic(self.t(name), **options)])
        return "ok"

    def create_result(self):
        made = self.admin.create_topics({self.t("r"): {"num_partitions": 2, "replication_factor": 1, "configs": {"retention.ms": "3600000"}}})
        (topic,) = made["topics"]
        entry = topic["configs"]["retention.ms"]
        source = SOURCES[entry["config_source"]]
        return f"partitions={topic['num_partitions']} replication={topic['replication_factor']} retention.ms={entry['value']}/{source}"

    def describe(self, *names):
        return [checked(topic) for topic in self.admin.describe_topics([self.t(name) for name in names])]

    def sizes(self, topics):
        return join(sorted(f"{topic['name'].rpartition('.')[2]}={len(topic['partitions'])}" for topic in topics))

    def ids(self, *names):
        return [uuid.UUID(str(topic["topic_id"])) for topic in self.describe(*names)]

    def placed(self, partitions):
        return join(f"{p['partition_index']}={p['leader_id']}/{join(p['replica_nodes'])}/{join(p['isr_nodes'])}"
                    for p in sorted(partitions, key=lambda p: p["partition_index"]))

    def partitions(self, name, wanted, **options):
        self.admin.create_partitions({self.t(name): wanted}, timeout_ms=TIMEOUT_MS, **options)
        return "ok"

    def delete(self, *topics):
        self.admin.delete_topics(list(topics), timeout_ms=TIMEOUT_MS)
        return "ok"

    def listed(self, *names):
        found = self.admin.list_topics()
        return join(name for name in names if self.t(name) in found)

    # Settings.

    def configs(self, kind, name, keys=None, **options):
        found = self.admin.describe_configs([ConfigResource(kind, name, keys)], config_filter="all", **options)
        return found[kind.lower()][name]

    def compared(self, keys=COMPARED_KEYS, kind="TOPIC", name=None, asked=None):
        """All that came, if only some keys were asked for."""
        found = self.configs(kind, name or self.t("t"), asked)
        return join(f"{key}={found[key]['value']}/{SOURCES[found[key]['config_source']]}" for key in (sorted(found) if asked else keys) if key in found)

    def synonyms(self):
        found = self.configs("TOPIC", self.t("t"), include_synonyms=True)["max.message.bytes"]["synonyms"]
        return join(f"{entry['name']}={entry['value']}/{SOURCES[entry['source']]}" for entry in found)

    def types(self):
        found = self.configs("TOPIC", self.t("t"))
        return join(f"{key}={TYPES[found[key]['config_type']]}" for key in COMPARED_KEYS)

    def alter(self, name, key, change, **options):
        """Errors come as text, such as `[Error 40] ...`."""
        resource = ConfigResource("TOPIC", self.t(name), {key: change})
        (result,) = self.admin.alter_configs([resource], raise_on_unknown=False, **options)["topic"].values()
        if found := re.match(r"\[Error (\d+)\]", result):
            raise Told(int(found[1]))
        return result.lower()

    def alter_legacy(self):
        """The client sends again what it does not change; so the rest is reset first."""
        self.admin.reset_configs([ConfigResource("TOPIC", self.t("t"), ["cleanup.policy"])], incremental=False)
        return self.alter("t", "max.message.bytes", "1500000", incremental=False)

    # Producing.

    def produce(self, name, partition, values, timestamps=None, **settings):
        settings = {"linger_ms": 20, "allow_auto_create_topics": False, "max_block_ms": TIMEOUT_MS} | settings
        producer = kafka.KafkaProducer(bootstrap_servers=self.day.bootstrap, **settings)
        try:
            futures = [producer.send(self.t(name), value.encode(), f"k{i}".encode(), partition=partition, timestamp_ms=timestamps[i] if timestamps else None)
                       for i, value in enumerate(values)]
            offsets = [future.get(TIMEOUT_S).offset for future in futures]
        finally:
            producer.close(1)
        return join("ok" if settings.get("acks") == 0 else offset for offset in offsets)

    def codecs(self, **settings):
        return join(self.produce("p", 2, ["some " * 100] * 2, compression_type=None if codec == "none" else codec, **settings) for codec in CODECS)

    def auto_create(self):
        if self.t("a") not in self.admin.list_topics():
            self.produce("a", 0, ["first"], allow_auto_create_topics=True)
        return str(self.offset(OffsetSpec.EARLIEST, "a", 0).offset)

    # Offsets.

    def offset(self, spec, name="p", partition=1, **options):
        (found,) = self.admin.list_partition_offsets({kafka.TopicPartition(self.t(name), partition): spec}, **options).values()
        return found

    def at_time(self, ms):
        with self.consumer() as consumer:
            (found,) = consumer.offsets_for_times({self.p(1): ms}).values()
        return found.offset if found else -1

    def delete_records(self, name, offset):
        partition = kafka.TopicPartition(self.t(name), 1)
        return str(self.admin.delete_records({partition: offset}, timeout_ms=TIMEOUT_MS)[partition]["low_watermark"])

    # Consuming.

    def p(self, partition):
        return kafka.TopicPartition(self.t("p"), partition)

    @contextlib.contextmanager
    def consumer(self, *partitions, **settings):
        consumer = kafka.KafkaConsumer(bootstrap_servers=self.day.bootstrap, allow_auto_create_topics=False, **settings)
        try:
            if partitions:
                consumer.assign(partitions)
            yield consumer
        finally:
            consumer.close()

    def consume(self, wanted, seek, **settings):
        with self.consumer(self.p(1), **settings) as consumer:
            seek(consumer)
            return join(record.value.decode() for record in take(consumer, wanted))

    def position(self):
        with self.consumer(self.p(1)) as consumer:
            consumer.seek_to_end(self.p(1))
            return str(consumer.position(self.p(1)))

    def bounds(self):
        with self.consumer() as consumer:
            return join((consumer.beginning_offsets([self.p(1)])[self.p(1)], consumer.end_offsets([self.p(1)])[self.p(1)]))

    def pause(self):
        with self.consumer(self.p(0), self.p(1)) as consumer:
            consumer.seek_to_beginning(self.p(0), self.p(1))
            consumer.pause(self.p(1))
            while_paused = [record.partition for record in take(consumer, 10, idle_ms=2000)]
            consumer.resume(self.p(1))
            return join((while_paused.count(0), while_paused.count(1), len(take(consumer, 10))))

    def with_consumer(self, call):
        with self.consumer() as consumer:
            return call(consumer)

    def log_dirs(self):
        (broker,) = self.admin.describe_log_dirs(brokers=[self.day.node])
        sizes = {p["partition_index"]: p["partition_size"] for directory in broker["log_dirs"] for topic in checked(directory)["topics"]
                 if topic["name"] == self.t("p") for p in topic["partitions"]}
        return f"{len(broker['log_dirs'])} {len(sizes) if sizes.get(0) else 'empty'}"

    def groups(self):
        return join(self.day.mine(group["group_id"] for group in self.admin.list_groups()))


def take(consumer, wanted, idle_ms=TIMEOUT_MS):
    """Records, until `wanted` are there or nothing comes."""
    records = []
    while len(records) < wanted and (more := consumer.poll(idle_ms)):
        for batch in more.values():
            records += batch
    return records


def make(bootstrap, path):
    day = Day(bootstrap, path)
    k, t, node, absent = KafkaPython(day), day.topic, day.node, day.node + 98
    settings = {"retention.ms": "3600000", "max.message.bytes": "2000000"}
    day.run([
        ("api_versions", lambda: join(sorted(int(key) for key in k.admin.api_versions()))),
        ("features", k.features),
        ("cluster_id", lambda: k.admin.describe_cluster()["cluster_id"]),
        ("controller", lambda: str(k.admin.describe_cluster()["controller_id"])),
        ("nodes", lambda: join(f"{b['broker_id']}={b['host']}:{b['port']}" for b in k.admin.describe_cluster()["brokers"])),
        ("cluster_operations", lambda: operations(k.admin.describe_cluster())),
        ("create", lambda: k.create("t", num_partitions=3, replication_factor=1, configs=settings)),
        ("create_result", k.create_result),
        ("create_defaults", lambda: k.create("d")),
        ("create_manual", lambda: k.create("m", assignments={0: [node], 1: [node]})),
        ("create_validate", lambda: k.create("v", validate_only=True)),
        ("create_duplicate", lambda: k.create("t", num_partitions=3, replication_factor=1)),
        ("create_duplicate/old", lambda: k.create_old("t", num_partitions=3, replication_factor=1)),
        ("create_bad_value", lambda: k.create("x", configs={"retention.ms": "soon"})),
        ("create_bad_key", lambda: k.create("x", configs={"no.such.key": "1"})),
        ("create_bad_partitions", lambda: k.create("x", num_partitions=0)),
        ("create_bad_replication", lambda: k.create("x", replication_factor=3)),
        ("create_bad_name", lambda: k.create("a/b")),
        ("create_bad_assignment", lambda: k.create("x", assignments={0: [absent]})),
        ("create_p", lambda: k.create_old("p", num_partitions=4, replication_factor=1)),
        ("list_topics", lambda: join(day.mine(k.admin.list_topics()))),
        ("list_topics/consumer", lambda: k.with_consumer(lambda consumer: join(day.mine(consumer.topics())))),
        ("describe_topics", lambda: k.sizes(k.describe("d", "m", "t"))),
        ("describe_topics/all", lambda: k.sizes(topic for topic in k.admin.describe_topics() if topic["name"] in (t("d"), t("m"), t("t")))),
        ("describe_ids", lambda: k.sizes(k.admin.describe_topics(k.ids("m", "t")))),
        ("describe_partitions", lambda: k.placed(k.describe("p")[0]["partitions"])),
        ("topic_operations", lambda: operations(k.describe("t")[0])),
        ("describe_unknown", lambda: k.sizes(k.describe("x"))),
        ("configs", k.compared),
        ("configs_some", lambda: k.compared(asked=["retention.ms", "cleanup.policy"])),
        ("configs_synonyms", k.synonyms),
        ("configs_types", k.types),
        ("configs_broker", lambda: k.compared(BROKER_KEYS, "BROKER", str(node))),
        ("configs_broker_some", lambda: k.compared(kind="BROKER", name=str(node), asked=["num.partitions"])),
        ("alter_set", lambda: k.alter("t", "retention.ms", "7200000")),
        ("alter_set_done", k.compared),
        ("alter_delete", lambda: k.alter("t", "retention.ms", ("DELETE", None))),
        ("alter_delete_done", k.compared),
        ("alter_append", lambda: k.alter("t", "cleanup.policy", ("APPEND", "delete"))),
        ("alter_append_done", k.compared),
        ("alter_subtract", lambda: k.alter("t", "cleanup.policy", ("SUBTRACT", "compact"))),
        ("alter_subtract_done", k.compared),
        ("alter_validate", lambda: k.alter("t", "retention.ms", "1000", validate_only=True)),
        ("alter_bad_value", lambda: k.alter("t", "retention.ms", "soon")),
        ("alter_bad_key", lambda: k.alter("t", "no.such.key", "1")),
        ("alter_unknown", lambda: k.alter("x", "retention.ms", "1000")),
        ("alter_legacy", k.alter_legacy),
        ("alter_legacy_done", k.compared),
        ("alter_legacy_bad_value", lambda: k.alter("t", "retention.ms", "soon", incremental=False)),
        ("alter_legacy_unknown", lambda: k.alter("x", "retention.ms", "1000", incremental=False)),
        ("partitions_validate", lambda: k.partitions("m", 3, validate_only=True)),
        ("partitions", lambda: k.partitions("m", 4)),
        ("partitions_manual", lambda: k.partitions("m", {"count": 5, "assignments": [[node]]})),
        ("partitions_done", lambda: k.sizes(k.describe("m"))),
        ("partitions_fewer", lambda: k.partitions("m", 2)),
        ("partitions_bad_assignment", lambda: k.partitions("m", NewPartitions(6, [[absent]]))),
        ("partitions_unknown", lambda: k.partitions("x", NewPartitions(2))),
        ("produce_leader", lambda: k.produce("p", 0, "abc", acks=1, enable_idempotence=False)),
        ("produce_all", lambda: k.produce("p", 0, "abc", acks="all", enable_idempotence=False)),
        ("produce_idempotent", lambda: k.produce("p", 0, "abc", enable_idempotence=True)),
        ("produce_times", lambda: k.produce("p", 1, TIMED_VALUES, day.times())),
        ("produce_codecs", lambda: k.codecs(enable_idempotence=False)),
        ("produce_codecs_idempotent", lambda: k.codecs(enable_idempotence=True)),
        ("produce_none", lambda: k.produce("p", 3, "abc", acks=0, enable_idempotence=False)),
        ("produce_none_done", lambda: str(k.offset(OffsetSpec.LATEST, partition=3).offset)),
        ("produce_large", lambda: k.produce("p", 0, ["x" * 3_000_000], max_request_size=4_000_000)),
        ("produce_future", lambda: k.produce("p", 0, "a", [day.base + 86_400_000])),
        ("auto_create", k.auto_create),
        ("offset_earliest", lambda: str(k.offset(OffsetSpec.EARLIEST).offset)),
        ("offset_latest", lambda: str(k.offset(OffsetSpec.LATEST).offset)),
        ("offset_committed", lambda: str(k.offset(OffsetSpec.LATEST, isolation_level=IsolationLevel.READ_COMMITTED).offset)),
        ("offset_time", lambda: str(k.offset(day.base + 3500).offset)),
        ("offset_time/consumer", lambda: str(k.at_time(day.base + 3500))),
        ("offset_time_found", lambda: str(k.offset(day.base + 3500).timestamp)),
        ("offset_time_late", lambda: str(k.offset(day.last_ms).offset)),
        ("offset_time_late/consumer", lambda: str(k.at_time(day.last_ms))),
        ("offset_largest", lambda: str(k.offset(OffsetSpec.MAX_TIMESTAMP).offset)),
        ("offset_earliest_local", lambda: str(k.offset(OffsetSpec.EARLIEST_LOCAL).offset)),
        ("offset_latest_tiered", lambda: str(k.offset(OffsetSpec.LATEST_TIERED).offset)),
        ("offset_unknown", lambda: str(k.offset(OffsetSpec.LATEST, name="x").offset)),
        ("partitions_of", lambda: k.with_consumer(lambda consumer: join(sorted(consumer.partitions_for_topic(t("p")))))),
        ("consume", lambda: k.consume(10, lambda consumer: consumer.seek_to_beginning(k.p(1)))),
        ("consume_seek", lambda: k.consume(5, lambda consumer: consumer.seek(k.p(1), 5))),
        ("consume_time", lambda: k.consume(6, lambda consumer: consumer.seek(k.p(1), consumer.offsets_for_times({k.p(1): day.base + 3500})[k.p(1)].offset))),
        ("consume_position", k.position),
        ("consume_bounds", k.bounds),
        ("consume_pause", k.pause),
        ("consume_out_of_range", lambda: k.consume(1, lambda consumer: consumer.seek(k.p(1), 1000), auto_offset_reset="none")),
        ("delete_records", lambda: k.delete_records("p", 3)),
        ("delete_records_done", lambda: str(k.offset(OffsetSpec.EARLIEST).offset)),
        ("delete_records_beyond", lambda: k.delete_records("p", 1000)),
        ("delete_records_all", lambda: k.delete_records("p", -1)),
        ("delete_records_unknown", lambda: k.delete_records("x", 0)),
        ("log_dirs", k.log_dirs),
        ("groups", k.groups),
        ("delete", lambda: k.delete(t("d"))),
        ("delete_id", lambda: k.delete(*k.ids("m"))),
        ("delete_unknown", lambda: k.delete(t("x"))),
        ("delete_done", lambda: k.listed("d", "t")),
        ("delete_id_done", lambda: k.listed("m", "p")),
        ("create_again", lambda: k.create("d")),
        ("create_again_done", lambda: str(k.offset(OffsetSpec.LATEST, "d", 0).offset)),
        ("cleanup", lambda: k.delete(*map(t, "adprt"))),
    ], code_of)
