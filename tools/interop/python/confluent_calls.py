"""The calls of harness/calls.py with confluent-kafka."""

import confluent_kafka as ck
import confluent_kafka.admin as admin
from calls import BROKER_KEYS, CODECS, COMPARED_KEYS, TIMED_VALUES, TIMEOUT_S, Day, join

TIMEOUT = {"request_timeout": TIMEOUT_S}
COMMON = {"log_level": 2, "allow.auto.create.topics": False}
# What librdkafka says in place of the server's answer. It says _NOENT if it finds no leader, since there is no such topic.
OWN_CODES = {
    ck.KafkaError._UNSUPPORTED_FEATURE: "refused", ck.KafkaError._UNKNOWN_PARTITION: 3, ck.KafkaError._UNKNOWN_TOPIC: 3, ck.KafkaError._NOENT: 3,
}
Operation = admin.AlterConfigOpType


def code_of(error):
    inner = error.args[0] if isinstance(error, ck.KafkaException) else None
    if not isinstance(inner, ck.KafkaError):
        return None
    if inner.code() == ck.KafkaError._AUTO_OFFSET_RESET and "Offset out of range" in inner.str():
        return ck.KafkaError.OFFSET_OUT_OF_RANGE
    return OWN_CODES.get(inner.code(), inner.code())


def only(futures):
    """The answer of a call about one thing."""
    (future,) = futures.values()
    return future.result(TIMEOUT_S)


class Confluent:
    def __init__(self, day):
        self.day, self.t = day, day.topic
        self.admin = admin.AdminClient({"bootstrap.servers": day.bootstrap, **COMMON})
        self.producers = {}

    # The cluster.

    def cluster(self):
        return self.admin.describe_cluster(**TIMEOUT).result(TIMEOUT_S)

    def nodes(self, brokers):
        return join(f"{b.id}={b.host}:{b.port}" for b in brokers)

    def cluster_operations(self):
        found = self.admin.describe_cluster(include_authorized_operations=True, **TIMEOUT).result(TIMEOUT_S)
        return join(sorted(operation.value for operation in found.authorized_operations))

    def groups(self):
        found = self.admin.list_consumer_groups(**TIMEOUT).result(TIMEOUT_S)
        if found.errors:
            raise ck.KafkaException(found.errors[0]) if isinstance(found.errors[0], ck.KafkaError) else found.errors[0]
        return join(self.day.mine(group.group_id for group in found.valid))

    # Topics.

    def create(self, name, *arguments, validate_only=False, **settings):
        only(self.admin.create_topics([admin.NewTopic(self.t(name), *arguments, **settings)], validate_only=validate_only, operation_timeout=5, **TIMEOUT))
        return "ok"

    def list_topics(self, client):
        return join(self.day.mine(client.list_topics(timeout=TIMEOUT_S).topics))

    def one_by_one(self, client):
        found = {name: client.list_topics(self.t(name), timeout=TIMEOUT_S).topics[self.t(name)] for name in "dmt"}
        return join(f"{name}={len(topic.partitions)}" for name, topic in found.items())

    def listed_partitions(self):
        partitions = self.admin.list_topics(self.t("p"), timeout=TIMEOUT_S).topics[self.t("p")].partitions
        return join(f"{p.id}={p.leader}/{join(p.replicas)}/{join(p.isrs)}" for _, p in sorted(partitions.items()))

    def describe(self, *names, **options):
        futures = self.admin.describe_topics(ck.TopicCollection([self.t(name) for name in names]), **options, **TIMEOUT)
        return {name: futures[self.t(name)].result(TIMEOUT_S) for name in names}

    def describe_partitions(self):
        partitions = self.describe("p")["p"].partitions
        return join(f"{p.id}={p.leader.id}/{join(n.id for n in p.replicas)}/{join(n.id for n in p.isr)}" for p in partitions)

    def listed_unknown(self):
        error = self.admin.list_topics(self.t("x"), timeout=TIMEOUT_S).topics[self.t("x")].error
        raise ck.KafkaException(error)

    def topic_operations(self):
        found = self.describe("t", include_authorized_operations=True)["t"].authorized_operations
        return join(sorted(operation.value for operation in found))

    def partitions(self, name, count, *, validate_only=False, **settings):
        only(self.admin.create_partitions([admin.NewPartitions(self.t(name), count, **settings)], validate_only=validate_only, **TIMEOUT))
        return "ok"

    def delete(self, *names):
        for future in self.admin.delete_topics([self.t(name) for name in names], operation_timeout=5, **TIMEOUT).values():
            future.result(TIMEOUT_S)
        return "ok"

    # Settings.

    def configs(self, kind="TOPIC", name=None):
        resource = admin.ConfigResource(getattr(admin.ConfigResource.Type, kind), name)
        return only(self.admin.describe_configs([resource], **TIMEOUT))

    def compared(self, keys=COMPARED_KEYS, **resource):
        found = self.configs(**resource)
        return join(f"{key}={found[key].value}/{found[key].source}" for key in keys if key in found)

    def synonyms(self):
        found = self.configs(name=self.t("t"))["max.message.bytes"].synonyms
        return join(f"{entry.name}={entry.value}/{entry.source}" for entry in sorted(found.values(), key=lambda entry: entry.source))

    def alter(self, name, key, value, operation=Operation.SET, **options):
        entry = admin.ConfigEntry(key, value, incremental_operation=operation)
        resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, self.t(name), incremental_configs=[entry])
        only(self.admin.incremental_alter_configs([resource], **options, **TIMEOUT))
        return "ok"

    def alter_legacy(self, name, **settings):
        settings = {key.replace("_", "."): value for key, value in settings.items()}
        resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, self.t(name), set_config=settings)
        only(self.admin.alter_configs([resource], **TIMEOUT))
        return "ok"

    # Producing.

    def produce(self, name, partition, values, timestamps=None, **settings):
        """Waits for the acknowledgements; gives the offsets."""
        offsets, errors = [], []
        producer = ck.Producer({"bootstrap.servers": self.day.bootstrap, "message.timeout.ms": 15_000, **COMMON, **settings})
        for i, value in enumerate(values):
            producer.produce(self.t(name), value, f"k{i}", partition, timestamp=timestamps[i] if timestamps else 0,
                             on_delivery=lambda error, message: errors.append(error) if error else offsets.append(message.offset()))
        producer.flush(TIMEOUT_S)
        if errors:
            raise ck.KafkaException(errors[0])
        return join(sorted(offsets)) if settings.get("acks") != 0 else join("ok" for _ in offsets)

    def codecs(self, **settings):
        return join(self.produce("p", 2, ["some " * 100] * 2, **{"compression.type": codec, "linger.ms": 20}, **settings) for codec in CODECS)

    def auto_create(self):
        if self.t("a") not in self.admin.list_topics(timeout=TIMEOUT_S).topics:
            self.produce("a", 0, ["first"], **{"allow.auto.create.topics": True})
        return self.bounds("a", 0).split()[0]

    # Offsets.

    def offset(self, spec, name="p", partition=1, **options):
        return only(self.admin.list_offsets({ck.TopicPartition(self.t(name), partition): spec}, **options, **TIMEOUT))

    def at_time(self, ms):
        with self.consumer() as consumer:
            (found,) = consumer.offsets_for_times([ck.TopicPartition(self.t("p"), 1, ms)], TIMEOUT_S)
        if found.error:
            raise ck.KafkaException(found.error)
        return found.offset

    def late_time(self):
        """-1 stands for the end here."""
        found = self.at_time(self.day.last_ms)
        return str(found if found != ck.OFFSET_END else -1)

    def bounds(self, name, partition):
        with self.consumer() as consumer:
            return join(consumer.get_watermark_offsets(ck.TopicPartition(self.t(name), partition), TIMEOUT_S, cached=False))

    def delete_records(self, name, offset):
        return str(only(self.admin.delete_records([ck.TopicPartition(self.t(name), 1, offset)], **TIMEOUT)).low_watermark)

    # Consuming.

    def consumer(self, **settings):
        return ck.Consumer({"bootstrap.servers": self.day.bootstrap, "group.id": "unused", "enable.auto.commit": False, **COMMON, **settings})

    def consume(self, offset, wanted, name="p", partition=1, **settings):
        with self.consumer(**settings) as consumer:
            consumer.assign([ck.TopicPartition(self.t(name), partition, offset)])
            return join(message.value().decode() for message in take(consumer, wanted))

    def seek(self):
        with self.consumer() as consumer:
            consumer.assign([ck.TopicPartition(self.t("p"), 1, 0)])
            take(consumer, 1)
            consumer.seek(ck.TopicPartition(self.t("p"), 1, 5))
            return join(message.value().decode() for message in take(consumer, 5))

    def pause(self):
        with self.consumer() as consumer:
            free, paused = (ck.TopicPartition(self.t("p"), p, 0) for p in (0, 1))
            consumer.assign([free, paused])
            consumer.pause([paused])
            while_paused = [message.partition() for message in take(consumer, 10, idle_s=2)]
            consumer.resume([paused])
            return join((while_paused.count(0), while_paused.count(1), len(take(consumer, 10))))

    def listed_by_consumer(self):
        with self.consumer() as consumer:
            return self.list_topics(consumer)

    def partitions_of(self):
        with self.consumer() as consumer:
            return join(sorted(consumer.list_topics(self.t("p"), timeout=TIMEOUT_S).topics[self.t("p")].partitions))


def take(consumer, wanted, idle_s=TIMEOUT_S):
    """Messages, until `wanted` are there or nothing comes."""
    messages = []
    while len(messages) < wanted and (more := consumer.poll(idle_s)):
        if more.error():
            raise ck.KafkaException(more.error())
        messages.append(more)
    return messages


def make(bootstrap, path):
    day = Day(bootstrap, path)
    c, t = Confluent(day), day.topic
    node, absent = day.node, day.node + 98
    spec = admin.OffsetSpec
    producer = ck.Producer({"bootstrap.servers": bootstrap, **COMMON})
    day.run([
        ("cluster_id", lambda: c.cluster().cluster_id),
        ("cluster_id/list_topics", lambda: c.admin.list_topics(timeout=TIMEOUT_S).cluster_id),
        ("controller", lambda: str(c.cluster().controller.id)),
        ("nodes", lambda: c.nodes(c.cluster().nodes)),
        ("nodes/list_topics", lambda: c.nodes(c.admin.list_topics(timeout=TIMEOUT_S).brokers.values())),
        ("cluster_operations", c.cluster_operations),
        ("create", lambda: c.create("t", 3, 1, config={"retention.ms": "3600000", "max.message.bytes": "2000000"})),
        ("create_defaults", lambda: c.create("d", -1, -1)),
        ("create_manual", lambda: c.create("m", 2, replica_assignment=[[node], [node]])),
        ("create_validate", lambda: c.create("v", 1, 1, validate_only=True)),
        ("create_duplicate", lambda: c.create("t", 3, 1)),
        ("create_bad_value", lambda: c.create("x", 1, 1, config={"retention.ms": "soon"})),
        ("create_bad_key", lambda: c.create("x", 1, 1, config={"no.such.key": "1"})),
        ("create_bad_replication", lambda: c.create("x", 1, 3)),
        ("create_bad_name", lambda: c.create("a/b", 1, 1)),
        ("create_bad_assignment", lambda: c.create("x", 1, replica_assignment=[[absent]])),
        ("create_p", lambda: c.create("p", 4)),
        ("list_topics", lambda: c.list_topics(c.admin)),
        ("list_topics/producer", lambda: c.list_topics(producer)),
        ("list_topics/consumer", c.listed_by_consumer),
        ("describe_topics", lambda: join(f"{name}={len(topic.partitions)}" for name, topic in c.describe("d", "m", "t").items())),
        ("describe_topics/list_topics", lambda: c.one_by_one(c.admin)),
        ("describe_partitions", c.describe_partitions),
        ("describe_partitions/list_topics", c.listed_partitions),
        ("topic_operations", c.topic_operations),
        ("describe_unknown", lambda: c.describe("x")),
        ("describe_unknown/list_topics", c.listed_unknown),
        ("configs", lambda: c.compared(name=t("t"))),
        ("configs_synonyms", c.synonyms),
        ("configs_broker", lambda: c.compared(BROKER_KEYS, kind="BROKER", name=str(node))),
        ("configs_unknown", lambda: c.configs(name=t("x"))),
        ("alter_set", lambda: c.alter("t", "retention.ms", "7200000")),
        ("alter_set_done", lambda: c.compared(name=t("t"))),
        ("alter_delete", lambda: c.alter("t", "retention.ms", None, Operation.DELETE)),
        ("alter_delete_done", lambda: c.compared(name=t("t"))),
        ("alter_append", lambda: c.alter("t", "cleanup.policy", "delete", Operation.APPEND)),
        ("alter_append_done", lambda: c.compared(name=t("t"))),
        ("alter_subtract", lambda: c.alter("t", "cleanup.policy", "compact", Operation.SUBTRACT)),
        ("alter_subtract_done", lambda: c.compared(name=t("t"))),
        ("alter_validate", lambda: c.alter("t", "retention.ms", "1000", validate_only=True)),
        ("alter_bad_value", lambda: c.alter("t", "retention.ms", "soon")),
        ("alter_bad_key", lambda: c.alter("t", "no.such.key", "1")),
        ("alter_unknown", lambda: c.alter("x", "retention.ms", "1000")),
        ("alter_legacy", lambda: c.alter_legacy("t", max_message_bytes="1500000")),
        ("alter_legacy_done", lambda: c.compared(name=t("t"))),
        ("alter_legacy_bad_value", lambda: c.alter_legacy("t", retention_ms="soon")),
        ("alter_legacy_unknown", lambda: c.alter_legacy("x", retention_ms="1000")),
        ("partitions_validate", lambda: c.partitions("m", 3, validate_only=True)),
        ("partitions", lambda: c.partitions("m", 4)),
        ("partitions_manual", lambda: c.partitions("m", 5, replica_assignment=[[node]])),
        ("partitions_done", lambda: f"m={len(c.describe('m')['m'].partitions)}"),
        ("partitions_fewer", lambda: c.partitions("m", 2)),
        ("partitions_bad_assignment", lambda: c.partitions("m", 6, replica_assignment=[[absent]])),
        ("partitions_unknown", lambda: c.partitions("x", 2)),
        ("produce_leader", lambda: c.produce("p", 0, "abc", acks=1)),
        ("produce_all", lambda: c.produce("p", 0, "abc", acks="all")),
        ("produce_idempotent", lambda: c.produce("p", 0, "abc", **{"enable.idempotence": True})),
        ("produce_times", lambda: c.produce("p", 1, TIMED_VALUES, day.times())),
        ("produce_codecs", c.codecs),
        ("produce_codecs_idempotent", lambda: c.codecs(**{"enable.idempotence": True})),
        ("produce_none", lambda: c.produce("p", 3, "abc", acks=0)),
        ("produce_none_done", lambda: c.bounds("p", 3).split()[1]),
        ("produce_large", lambda: c.produce("p", 0, [bytes(3_000_000)], **{"message.max.bytes": 4_000_000})),
        ("produce_future", lambda: c.produce("p", 0, "a", [day.base + 86_400_000])),
        ("produce_unknown", lambda: c.produce("x", 0, "a", **{"topic.metadata.propagation.max.ms": 0})),
        ("auto_create", c.auto_create),
        ("offset_earliest", lambda: str(c.offset(spec.earliest()).offset)),
        ("offset_latest", lambda: str(c.offset(spec.latest()).offset)),
        ("offset_committed", lambda: str(c.offset(spec.latest(), isolation_level=ck.IsolationLevel.READ_COMMITTED).offset)),
        ("offset_time", lambda: str(c.offset(spec.for_timestamp(day.base + 3500)).offset)),
        ("offset_time/consumer", lambda: str(c.at_time(day.base + 3500))),
        ("offset_time_found", lambda: str(c.offset(spec.for_timestamp(day.base + 3500)).timestamp)),
        ("offset_time_late", lambda: str(c.offset(spec.for_timestamp(day.last_ms)).offset)),
        ("offset_time_late/consumer", c.late_time),
        ("offset_largest", lambda: str(c.offset(spec.max_timestamp()).offset)),
        ("offset_unknown", lambda: c.offset(spec.latest(), name="x")),
        ("partitions_of", c.partitions_of),
        ("consume", lambda: c.consume(ck.OFFSET_BEGINNING, 10)),
        ("consume_seek", c.seek),
        ("consume_time", lambda: c.consume(c.at_time(day.base + 3500), 6)),
        ("consume_bounds", lambda: c.bounds("p", 1)),
        ("consume_pause", c.pause),
        ("consume_out_of_range", lambda: c.consume(1000, 1, **{"auto.offset.reset": "error"})),
        ("delete_records", lambda: c.delete_records("p", 3)),
        ("delete_records_done", lambda: str(c.offset(spec.earliest()).offset)),
        ("delete_records_beyond", lambda: c.delete_records("p", 1000)),
        ("delete_records_all", lambda: c.delete_records("p", ck.OFFSET_END)),
        ("delete_records_unknown", lambda: c.delete_records("x", 0)),
        ("groups", c.groups),
        ("delete", lambda: c.delete("d")),
        ("delete_unknown", lambda: c.delete("x")),
        ("delete_done", lambda: join(n for n in "dt" if t(n) in c.admin.list_topics(timeout=TIMEOUT_S).topics)),
        ("create_again", lambda: c.create("d", 1)),
        ("create_again_done", lambda: c.bounds("d", 0).split()[1]),
        ("cleanup", lambda: c.delete("a", "d", "m", "p", "t")),
    ], code_of)
