"""kafka-python as a member of a group."""

import kafka
import kafka.errors
import members
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor


class Member(kafka.ConsumerRebalanceListener):
    def __init__(self, bootstrap, plan):
        self.topic, self.positions = plan.topic, members.Positions()
        self.consumer = kafka.KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=plan.group, group_instance_id=plan.instance, auto_offset_reset="earliest",
            enable_auto_commit=plan.auto, auto_commit_interval_ms=members.AUTO_COMMIT_MS, session_timeout_ms=members.SESSION_MS,
            heartbeat_interval_ms=members.HEARTBEAT_MS, reconnect_backoff_max_ms=500, fetch_max_wait_ms=100,
            partition_assignment_strategy=({"range": RangePartitionAssignor, "cooperative": CooperativeStickyAssignor}[plan.assignor],))
        self.consumer.subscribe([plan.topic], listener=self)

    def on_partitions_assigned(self, assigned):
        members.tell_assigned(p.partition for p in self.consumer.assignment())

    def on_partitions_revoked(self, revoked):
        self.positions.lose(p.partition for p in revoked)
        members.tell_assigned(p.partition for p in self.consumer.assignment() - set(revoked))

    def partition(self, number):
        return kafka.TopicPartition(self.topic, number)

    def poll(self):
        try:
            fetched = self.consumer.poll(int(members.POLL_S * 1000))
        except kafka.errors.KafkaConnectionError as error:  # the server is away; the next poll may find it
            members.tell("uncommitted", error)
            return []
        return [(r.partition, r.offset, r.value) for records in fetched.values() for r in records]

    def commit(self):
        positions = dict(self.positions.next)
        self.consumer.commit()
        return positions

    def commit_async(self):
        self.consumer.commit_async(callback=self.committed)

    def committed(self, offsets, answer):
        if isinstance(answer, Exception):
            members.tell("uncommitted", repr(answer))
        else:
            members.tell_committed({p.partition: o.offset for p, o in offsets.items()})

    def commit_by_hand(self, partition, offset):
        self.consumer.commit({self.partition(partition): kafka.OffsetAndMetadata(offset, "by hand", -1)})

    def pause(self, partition):
        self.consumer.pause(self.partition(partition))

    def resume(self, partition):
        self.consumer.resume(self.partition(partition))

    def seek(self, partition, offset):
        self.consumer.seek(self.partition(partition), offset)

    def close(self):
        self.consumer.close()


def join(bootstrap, path):
    plan = members.Plan(path)
    members.run(Member(bootstrap, plan), plan)
