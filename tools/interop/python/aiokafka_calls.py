"""The calls of harness/calls.py with aiokafka."""

import asyncio
import contextlib

import aiokafka
import aiokafka.errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from calls import BROKER_KEYS, CODECS, COMPARED_KEYS, TIMED_VALUES, TIMEOUT_S, Day, join

TIMEOUT_MS = TIMEOUT_S * 1000


class Told(Exception):
    """An error that came as a code within an answer."""

    def __init__(self, code):
        super().__init__(f"error {code}")
        self.code = code


def code_of(error):
    if isinstance(error, Told):
        return error.code
    if isinstance(error, (aiokafka.errors.IncompatibleBrokerVersion, aiokafka.errors.UnsupportedVersionError)):
        return "refused"
    if isinstance(error, aiokafka.errors.OffsetOutOfRangeError):
        return 1
    return error.errno if isinstance(error, aiokafka.errors.KafkaError) and error.errno is not None else None


def checked(code, answer=None):
    if code:
        raise Told(code)
    return answer


class Aiokafka:
    def __init__(self, day, admin):
        self.day, self.t, self.admin = day, day.topic, admin

    async def cluster(self, field):
        return str((await self.admin.describe_cluster())[field])

    async def nodes(self):
        return join(f"{b['node_id']}={b['host']}:{b['port']}" for b in (await self.admin.describe_cluster())["brokers"])

    # Topics.

    async def create(self, name, partitions=1, replicas=1, placed=None, configs=None, **options):
        topic = NewTopic(self.t(name), partitions, replicas, placed, configs)
        answer = await self.admin.create_topics([topic], timeout_ms=TIMEOUT_MS, **options)
        (_, code, *_), = answer.topic_errors
        return checked(code, "ok")

    async def describe(self, *names):
        return [checked(topic["error_code"], topic) for topic in await self.admin.describe_topics([self.t(name) for name in names])]

    async def sizes(self, *names):
        return join(sorted(f"{topic['topic'].rpartition('.')[2]}={len(topic['partitions'])}" for topic in await self.describe(*names)))

    async def placed(self):
        (topic,) = await self.describe("p")
        partitions = sorted(topic["partitions"], key=lambda p: p["partition"])
        return join(f"{p['partition']}={p['leader']}/{join(p['replicas'])}/{join(p['isr'])}" for p in partitions)

    async def partitions(self, name, count, placed=None, **options):
        answer = await self.admin.create_partitions({self.t(name): NewPartitions(count, placed)}, timeout_ms=TIMEOUT_MS, **options)
        (_, code, *_), = answer.topic_errors
        return checked(code, "ok")

    async def delete(self, *names):
        answer = await self.admin.delete_topics([self.t(name) for name in names], timeout_ms=TIMEOUT_MS)
        for _, code, *_ in answer.topic_error_codes:
            checked(code)
        return "ok"

    async def listed(self, *names):
        found = await self.admin.list_topics()
        return join(name for name in names if self.t(name) in found)

    async def list_topics(self):
        return join(self.day.mine(await self.admin.list_topics()))

    async def list_topics_of_consumer(self):
        async with self.consumer() as consumer:
            return join(self.day.mine(await consumer.topics()))

    # Settings.

    async def configs(self, kind, name, keys=None, **options):
        """{key: the other fields of its entry}; `value, read only, source, sensitive, synonyms` in the versions that the client knows."""
        resource = ConfigResource(kind, name, dict.fromkeys(keys) if keys else None)
        (answer,) = await self.admin.describe_configs([resource], **options)
        ((code, _, _, _, entries),) = answer.resources
        checked(code)
        return {entry[0]: entry[1:] for entry in entries}

    async def compared(self, keys=COMPARED_KEYS, kind=ConfigResourceType.TOPIC, name=None, asked=None):
        """All that came, if only some keys were asked for."""
        found = await self.configs(kind, name or self.t("t"), asked)
        return join(f"{key}={found[key][0]}/{found[key][2]}" for key in (sorted(found) if asked else keys) if key in found)

    async def synonyms(self):
        found = await self.configs(ConfigResourceType.TOPIC, self.t("t"), include_synonyms=True)
        return join(f"{name}={value}/{source}" for name, value, source, *_ in found["max.message.bytes"][4])

    async def alter(self, name, configs):
        (answer,) = await self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.t(name), configs)])
        ((code, *_),) = answer.resources
        return checked(code, "ok")

    # Producing.

    async def produce(self, name, partition, values, timestamps=None, **settings):
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=self.day.bootstrap, linger_ms=20, request_timeout_ms=TIMEOUT_MS, **settings)
        async with producer:
            futures = [await producer.send(self.t(name), value.encode(), f"k{i}".encode(), partition, timestamps[i] if timestamps else None)
                       for i, value in enumerate(values)]
            found = await asyncio.gather(*futures)
        return join("ok" if metadata is None else metadata.offset for metadata in found)

    async def codecs(self, **settings):
        return join([await self.produce("p", 2, ["some " * 100] * 2, compression_type=None if codec == "none" else codec, **settings) for codec in CODECS])

    async def auto_create(self):
        if self.t("a") not in await self.admin.list_topics():
            await self.produce("a", 0, ["first"])
        return (await self.bounds("a", 0)).split()[0]

    # Consuming.

    def p(self, partition, name="p"):
        return aiokafka.TopicPartition(self.t(name), partition)

    @contextlib.asynccontextmanager
    async def consumer(self, *partitions, **settings):
        async with aiokafka.AIOKafkaConsumer(bootstrap_servers=self.day.bootstrap, request_timeout_ms=TIMEOUT_MS, **settings) as consumer:
            if partitions:
                consumer.assign(partitions)
            yield consumer

    async def bounds(self, name="p", partition=1, **settings):
        p = self.p(partition, name)
        async with self.consumer(p, **settings) as consumer:
            return join(((await consumer.beginning_offsets([p]))[p], (await consumer.end_offsets([p]))[p]))

    async def beginning(self):
        return (await self.bounds()).split()[0]

    async def end(self, name, partition, **settings):
        return (await self.bounds(name, partition, **settings)).split()[1]

    async def at_time(self, ms, field="offset"):
        async with self.consumer(self.p(1)) as consumer:
            (found,) = (await consumer.offsets_for_times({self.p(1): ms})).values()
        return str(getattr(found, field) if found else -1)

    async def position(self):
        async with self.consumer(self.p(1)) as consumer:
            await consumer.seek_to_end(self.p(1))
            return str(await consumer.position(self.p(1)))

    async def consume(self, wanted, offset=0, **settings):
        async with self.consumer(self.p(1), **settings) as consumer:
            consumer.seek(self.p(1), offset)
            return join(record.value.decode() for record in await take(consumer, wanted))

    async def consume_time(self):
        return await self.consume(6, int(await self.at_time(self.day.base + 3500)))

    async def pause(self):
        async with self.consumer(self.p(0), self.p(1)) as consumer:
            await consumer.seek_to_beginning(self.p(0), self.p(1))
            consumer.pause(self.p(1))
            while_paused = [record.partition for record in await take(consumer, 10, idle_ms=2000)]
            consumer.resume(self.p(1))
            return join((while_paused.count(0), while_paused.count(1), len(await take(consumer, 10))))

    async def partitions_of(self):
        async with self.consumer(self.p(0)) as consumer:
            await consumer.position(self.p(0))
            return join(sorted(consumer.partitions_for_topic(self.t("p"))))

    async def delete_records(self, name, offset):
        (mark,) = (await self.admin.delete_records({self.p(1, name): RecordsToDelete(offset)}, timeout_ms=TIMEOUT_MS)).values()
        return str(mark)

    async def groups(self):
        return join(self.day.mine(group for group, *_ in await self.admin.list_consumer_groups()))


async def take(consumer, wanted, idle_ms=TIMEOUT_MS):
    """Records, until `wanted` are there or nothing comes."""
    records = []
    while len(records) < wanted and (more := await consumer.getmany(timeout_ms=idle_ms)):
        for batch in more.values():
            records += batch
    return records


def plan(a):
    day, node, absent = a.day, a.day.node, a.day.node + 98
    settings = {"retention.ms": "3600000", "max.message.bytes": "2000000"}
    broker = {"kind": ConfigResourceType.BROKER, "name": str(node)}
    return [
        ("cluster_id", lambda: a.cluster("cluster_id")),
        ("controller", lambda: a.cluster("controller_id")),
        ("nodes", a.nodes),
        ("create", lambda: a.create("t", 3, configs=settings)),
        ("create_manual", lambda: a.create("m", -1, -1, {0: [node], 1: [node]})),
        ("create_validate", lambda: a.create("v", validate_only=True)),
        ("create_duplicate", lambda: a.create("t")),
        ("create_bad_value", lambda: a.create("x", configs={"retention.ms": "soon"})),
        ("create_bad_key", lambda: a.create("x", configs={"no.such.key": "1"})),
        ("create_bad_partitions", lambda: a.create("x", 0)),
        ("create_bad_replication", lambda: a.create("x", 1, 3)),
        ("create_bad_name", lambda: a.create("a/b")),
        ("create_bad_assignment", lambda: a.create("x", -1, -1, {0: [absent]})),
        ("create_defaults", lambda: a.create("d", -1, -1, {})),
        ("create_p", lambda: a.create("p", 4)),
        ("list_topics", a.list_topics),
        ("list_topics/consumer", a.list_topics_of_consumer),
        ("describe_topics", lambda: a.sizes("d", "m", "t")),
        ("describe_partitions", a.placed),
        ("configs", a.compared),
        ("configs_some", lambda: a.compared(asked=["retention.ms", "cleanup.policy"])),
        ("configs_synonyms", a.synonyms),
        ("configs_broker", lambda: a.compared(BROKER_KEYS, **broker)),
        ("configs_broker_some", lambda: a.compared(**broker, asked=["num.partitions"])),
        ("configs_unknown", lambda: a.compared(name=a.t("x"))),
        ("alter_legacy", lambda: a.alter("t", {"max.message.bytes": "1500000"})),
        ("alter_legacy_done", a.compared),
        ("alter_legacy_bad_value", lambda: a.alter("t", {"retention.ms": "soon"})),
        ("alter_legacy_unknown", lambda: a.alter("x", {"retention.ms": "1000"})),
        ("partitions_validate", lambda: a.partitions("m", 3, validate_only=True)),
        ("partitions", lambda: a.partitions("m", 4)),
        ("partitions_manual", lambda: a.partitions("m", 5, [[node]])),
        ("partitions_done", lambda: a.sizes("m")),
        ("partitions_fewer", lambda: a.partitions("m", 2)),
        ("partitions_bad_assignment", lambda: a.partitions("m", 6, [[absent]])),
        ("partitions_unknown", lambda: a.partitions("x", 2)),
        ("produce_leader", lambda: a.produce("p", 0, "abc", acks=1)),
        ("produce_all", lambda: a.produce("p", 0, "abc", acks="all")),
        ("produce_idempotent", lambda: a.produce("p", 0, "abc", enable_idempotence=True)),
        ("produce_times", lambda: a.produce("p", 1, TIMED_VALUES, day.times())),
        ("produce_codecs", a.codecs),
        ("produce_codecs_idempotent", lambda: a.codecs(enable_idempotence=True)),
        ("produce_none", lambda: a.produce("p", 3, "abc", acks=0)),
        ("produce_none_done", lambda: a.end("p", 3)),
        ("produce_large", lambda: a.produce("p", 0, ["x" * 3_000_000], max_request_size=4_000_000)),
        ("produce_future", lambda: a.produce("p", 0, "a", [day.base + 86_400_000])),
        ("auto_create", a.auto_create),
        ("offset_earliest", a.beginning),
        ("offset_latest", lambda: a.end("p", 1)),
        ("offset_committed", lambda: a.end("p", 1, isolation_level="read_committed")),
        ("offset_time", lambda: a.at_time(day.base + 3500)),
        ("offset_time_found", lambda: a.at_time(day.base + 3500, "timestamp")),
        ("offset_time_late", lambda: a.at_time(day.last_ms)),
        ("partitions_of", a.partitions_of),
        ("consume", lambda: a.consume(10)),
        ("consume_seek", lambda: a.consume(5, 5)),
        ("consume_time", a.consume_time),
        ("consume_position", a.position),
        ("consume_bounds", a.bounds),
        ("consume_pause", a.pause),
        ("consume_out_of_range", lambda: a.consume(1, 1000, auto_offset_reset="none")),
        ("delete_records", lambda: a.delete_records("p", 3)),
        ("delete_records_done", a.beginning),
        ("delete_records_beyond", lambda: a.delete_records("p", 1000)),
        ("delete_records_all", lambda: a.delete_records("p", -1)),
        ("groups", a.groups),
        ("delete", lambda: a.delete("d")),
        ("delete_unknown", lambda: a.delete("x")),
        ("delete_done", lambda: a.listed("d", "t")),
        ("create_again", lambda: a.create("d")),
        ("create_again_done", lambda: a.end("d", 0)),
        ("cleanup", lambda: a.delete(*"admpt")),
    ]


async def started(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=TIMEOUT_MS)
    await admin.start()
    return admin


def make(bootstrap, path):
    day = Day(bootstrap, path)
    with asyncio.Runner() as runner:
        admin = runner.run(started(bootstrap))
        day.run([(name, lambda call=call: runner.run(call())) for name, call in plan(Aiokafka(day, admin))], code_of)
        runner.run(admin.close())
