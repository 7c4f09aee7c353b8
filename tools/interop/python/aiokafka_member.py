"""aiokafka as a member of a group. Its calls are made from the one thread that runs its event loop."""

import asyncio

import aiokafka
import members
from aiokafka.coordinator.assignors.range import RangePartitionAssignor


class Member(aiokafka.ConsumerRebalanceListener):
    def __init__(self, bootstrap, plan):
        self.topic, self.positions = plan.topic, members.Positions()
        self.loop = asyncio.new_event_loop()
        self.consumer = self.wait(self.connect(bootstrap, plan))

    async def connect(self, bootstrap, plan):
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=plan.group, group_instance_id=plan.instance, auto_offset_reset="earliest",
            enable_auto_commit=plan.auto, auto_commit_interval_ms=members.AUTO_COMMIT_MS, session_timeout_ms=members.SESSION_MS,
            heartbeat_interval_ms=members.HEARTBEAT_MS, fetch_max_wait_ms=100, partition_assignment_strategy=(RangePartitionAssignor,))
        consumer.subscribe([plan.topic], listener=self)
        await consumer.start()
        return consumer

    def wait(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    async def on_partitions_assigned(self, assigned):
        members.tell_assigned(p.partition for p in assigned)  # all of them: its assignors are eager

    async def on_partitions_revoked(self, revoked):
        self.positions.lose(p.partition for p in revoked)
        members.tell_assigned([])

    def partition(self, number):
        return aiokafka.TopicPartition(self.topic, number)

    def poll(self):
        fetched = self.wait(self.consumer.getmany(timeout_ms=int(members.POLL_S * 1000)))
        return [(r.partition, r.offset, r.value) for records in fetched.values() for r in records]

    def commit(self):
        positions = dict(self.positions.next)
        self.wait(self.consumer.commit())
        return positions

    def commit_async(self):
        """A task beside the polls is what users of asyncio write."""
        self.task = self.loop.create_task(self.commit_beside({self.partition(p): o for p, o in self.positions.next.items()}))

    async def commit_beside(self, offsets):
        try:
            await self.consumer.commit(offsets)
        except Exception as error:
            members.tell("uncommitted", repr(error))
        else:
            members.tell_committed({p.partition: offset for p, offset in offsets.items()})

    def commit_by_hand(self, partition, offset):
        self.wait(self.consumer.commit({self.partition(partition): (offset, "by hand")}))

    def pause(self, partition):
        self.wait(self.within(self.consumer.pause, partition))

    def resume(self, partition):
        self.wait(self.within(self.consumer.resume, partition))

    def seek(self, partition, offset):
        self.wait(self.within(self.consumer.seek, partition, offset))

    async def within(self, call, number, *arguments):
        """Calls that are no coroutines ask for a running loop all the same."""
        call(self.partition(number), *arguments)

    def close(self):
        self.wait(self.consumer.stop())


def join(bootstrap, path):
    plan = members.Plan(path)
    members.run(Member(bootstrap, plan), plan)
