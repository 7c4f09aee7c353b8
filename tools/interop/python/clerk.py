"""Writes to topics and asks about groups with confluent-kafka, as orders on the standard input say. Usage: clerk.py BOOTSTRAP.

    create TOPIC PARTITIONS     with leaders, when answered
    delete TOPIC
    produce TOPIC P COUNT       COUNT more records to partition P; each holds the offset that it must get
    load TOPIC PARTITIONS RATE  from now on, RATE records per second, evenly
    unload                      no more; answers with the number of records of each partition, all acknowledged
    acked                       the number of acknowledged records per partition of the load
    offsets GROUP TOPIC N       what is committed for partitions 0 to N - 1; - for nothing
    state GROUP                 such as Stable
    forget GROUP                deletes an empty group
    leave                       the end

Answers `ok` with fields, or `error` with why. The producer is idempotent and alone: offsets are as planned, or the broker is wrong.
"""

import sys
import threading
import time

import confluent_kafka as ck
import confluent_kafka.admin as admin

TIMEOUT_S = 15
TICK_S = 0.02
# What a server may say just after it has started.
PASSING = (ck.KafkaError.COORDINATOR_LOAD_IN_PROGRESS, ck.KafkaError.COORDINATOR_NOT_AVAILABLE, ck.KafkaError.NOT_COORDINATOR)


class Clerk:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.producer = ck.Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 60_000,
            "reconnect.backoff.max.ms": 500})
        self.sent, self.acked, self.error = {}, {}, None
        self.load_thread, self.loaded, self.loading = None, None, False

    def ask(self, call):
        """What `call`, given an admin client, gets in the end. A client for each: one that is idle when the server goes may fail an
        assertion of librdkafka's."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            client = admin.AdminClient({"bootstrap.servers": self.bootstrap})
            (future,) = call(client).values()
            try:
                return future.result(2 * TIMEOUT_S)
            except ck.KafkaException as error:
                if error.args[0].code() not in PASSING or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def create(self, topic, partitions):
        self.ask(lambda client: client.create_topics([admin.NewTopic(topic, int(partitions), 1)], request_timeout=TIMEOUT_S))
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            found = self.producer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
            if len(found) == int(partitions) and all(p.leader >= 0 for p in found.values()):
                return []
            time.sleep(0.05)
        raise TimeoutError("no leaders")

    def delete(self, topic):
        self.ask(lambda client: client.delete_topics([topic], request_timeout=TIMEOUT_S))
        return []

    def send(self, topic, partition):
        offset = self.sent.get((topic, partition), 0)
        self.producer.produce(topic, str(offset), partition=partition, on_delivery=self.delivered)
        self.sent[topic, partition] = offset + 1

    def delivered(self, error, message):
        if error:
            self.error = self.error or f"{message.partition()}: {error}"
        elif message.value() != str(message.offset()).encode():
            self.error = self.error or f"record {message.value()} of partition {message.partition()} was acknowledged at {message.offset()}"
        else:
            self.acked[message.topic(), message.partition()] = message.offset() + 1

    def produce(self, topic, partition, count):
        for _ in range(int(count)):
            self.send(topic, int(partition))
        return self.flush()

    def flush(self):
        left = self.producer.flush(60)
        if left or self.error:
            raise RuntimeError(self.error or f"{left} records are not acknowledged")
        return []

    def load(self, topic, partitions, rate):
        self.loaded, self.loading = (topic, int(partitions)), True
        self.load_thread = threading.Thread(target=self.run_load, args=(topic, int(partitions), int(rate)), daemon=True)
        self.load_thread.start()
        return []

    def run_load(self, topic, partitions, rate):
        sent, started = 0, time.monotonic()
        while self.loading:
            while sent < rate * (time.monotonic() - started):
                self.send(topic, sent % partitions)
                sent += 1
            self.producer.poll(TICK_S)

    def unload(self):
        self.loading = False
        self.load_thread.join()
        self.flush()
        return self.acks()

    def acks(self):
        topic, partitions = self.loaded
        return [self.acked.get((topic, p), 0) for p in range(partitions)]

    def offsets(self, group, topic, count):
        asked = ck.ConsumerGroupTopicPartitions(group, [ck.TopicPartition(topic, p) for p in range(int(count))])
        found = self.ask(lambda client: client.list_consumer_group_offsets([asked], request_timeout=TIMEOUT_S)).topic_partitions
        for partition in found:
            if partition.error:
                raise ck.KafkaException(partition.error)
        by_partition = {found.partition: found.offset for found in found}
        return ["-" if by_partition[p] < 0 else by_partition[p] for p in range(int(count))]

    def state(self, group):
        found = self.ask(lambda client: {"": client.list_consumer_groups(request_timeout=TIMEOUT_S)})
        if found.errors:
            raise found.errors[0]
        states = [listing.state.name.title() for listing in found.valid if listing.group_id == group]
        return states or ["-"]

    def forget(self, group):
        self.ask(lambda client: client.delete_consumer_groups([group], request_timeout=TIMEOUT_S))
        return []


def main():
    clerk = Clerk(sys.argv[1])
    orders = {"create": clerk.create, "delete": clerk.delete, "produce": clerk.produce, "load": clerk.load, "unload": clerk.unload,
              "acked": clerk.acks, "offsets": clerk.offsets, "state": clerk.state,
              "forget": clerk.forget}
    for line in sys.stdin:
        order, *arguments = line.split()
        if order == "leave":
            return
        try:
            print("ok", *orders[order](*arguments), sep="\t", flush=True)
        except Exception as error:
            print("error", " ".join(f"{type(error).__name__}: {error}".split()), sep="\t", flush=True)


if __name__ == "__main__":
    main()
