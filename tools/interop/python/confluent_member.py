"""confluent-kafka as a member of a group."""

import confluent_kafka as ck
import members


class Member:
    def __init__(self, bootstrap, plan):
        self.topic, self.positions = plan.topic, members.Positions()
        settings = {
            "bootstrap.servers": bootstrap, "group.id": plan.group, "group.protocol": plan.protocol, "auto.offset.reset": "earliest",
            "enable.auto.commit": plan.auto, "auto.commit.interval.ms": members.AUTO_COMMIT_MS, "on_commit": self.committed,
            "reconnect.backoff.max.ms": 500, "fetch.wait.max.ms": 100,
        }
        if plan.protocol == "classic":
            settings |= {"session.timeout.ms": members.SESSION_MS, "heartbeat.interval.ms": members.HEARTBEAT_MS,
                         "partition.assignment.strategy": {"range": "range", "cooperative": "cooperative-sticky"}[plan.assignor]}
        if plan.instance:
            settings["group.instance.id"] = plan.instance
        self.owned = set()
        self.consumer = ck.Consumer(settings)
        self.consumer.subscribe([plan.topic], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.revoked)

    def assigned(self, _, partitions):
        """The new ones; with eager assignors these are all, since everything was revoked before."""
        self.owned |= {p.partition for p in partitions}
        members.tell_assigned(self.owned)

    def revoked(self, _, partitions):
        gone = {p.partition for p in partitions}
        self.owned -= gone
        self.positions.lose(gone)
        members.tell_assigned(self.owned)

    def committed(self, error, partitions):
        """Called for every commit, also for those that somebody waits for and for the automatic ones."""
        if error:
            members.tell("uncommitted", error)
        else:
            members.tell_committed({p.partition: p.offset for p in partitions if not p.error and p.offset >= 0})

    def poll(self):
        read = []
        for message in self.consumer.consume(500, timeout=members.POLL_S):
            if message.error():
                members.tell("uncommitted", message.error())  # of a connection; librdkafka goes on by itself
            else:
                read.append((message.partition(), message.offset(), message.value()))
        return read

    def commit(self):
        try:
            done = self.consumer.commit(asynchronous=False)
        except ck.KafkaException as error:
            if error.args[0].code() != ck.KafkaError._NO_OFFSET:
                raise
            done = []  # nothing new
        return {p.partition: p.offset for p in done if not p.error and p.offset >= 0}

    def commit_async(self):
        self.consumer.commit(asynchronous=True)

    def commit_by_hand(self, partition, offset):
        (done,) = self.consumer.commit(offsets=[ck.TopicPartition(self.topic, partition, offset)], asynchronous=False)
        if done.error:
            raise ck.KafkaException(done.error)

    def pause(self, partition):
        self.consumer.pause([ck.TopicPartition(self.topic, partition)])

    def resume(self, partition):
        self.consumer.resume([ck.TopicPartition(self.topic, partition)])

    def seek(self, partition, offset):
        self.consumer.seek(ck.TopicPartition(self.topic, partition, offset))

    def close(self):
        self.consumer.close()


def join(bootstrap, path):
    plan = members.Plan(path)
    members.run(Member(bootstrap, plan), plan)
