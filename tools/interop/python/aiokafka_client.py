"""aiokafka."""

import asyncio

import aiokafka
import aiokafka_calls
import aiokafka_member
import jobs


async def produce(bootstrap, job, acks):
    settings = {"max_request_size": job.max_request} if job.max_request else {}
    codec = None if job.codec == "none" else job.codec
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, **settings) as producer:
        futures = [
            await producer.send(job.topic, value=record.value, key=record.key, partition=record.partition,
                                timestamp_ms=record.timestamp, headers=record.headers)
            for record in jobs.records(job)
        ]
        for metadata in await asyncio.gather(*futures):
            acks.add(metadata.partition, metadata.offset)


async def consume(bootstrap, digests):
    async with aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        partitions = [aiokafka.TopicPartition(topic, partition) for topic, partition in digests.partitions()]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while digests.missing:
            fetched = await consumer.getmany(timeout_ms=jobs.IDLE_TIMEOUT_S * 1000)
            if not fetched:
                break
            for partition, records in fetched.items():
                for r in records:
                    digests.add(partition.topic, partition.partition, r.offset, r.timestamp, r.key, r.value, r.headers)


if __name__ == "__main__":
    jobs.main(lambda *arguments: asyncio.run(produce(*arguments)), lambda *arguments: asyncio.run(consume(*arguments)), aiokafka_calls.make, aiokafka_member.join)
