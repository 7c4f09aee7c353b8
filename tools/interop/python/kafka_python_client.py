"""kafka-python 3."""

import jobs
import kafka
import kafka_python_calls
import kafka_python_member


def produce(bootstrap, job, acks):
    settings = {"max_request_size": job.max_request} if job.max_request else {}
    producer = kafka.KafkaProducer(bootstrap_servers=bootstrap, compression_type=None if job.codec == "none" else job.codec, **settings)
    futures = [
        producer.send(job.topic, value=record.value, key=record.key, partition=record.partition,
                      timestamp_ms=record.timestamp, headers=record.headers)
        for record in jobs.records(job)
    ]
    producer.flush(60)
    for future in futures:
        metadata = future.get(0)
        acks.add(metadata.partition, metadata.offset)
    producer.close()


def consume(bootstrap, digests):
    consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap)
    partitions = [kafka.TopicPartition(topic, partition) for topic, partition in digests.partitions()]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    while digests.missing:
        fetched = consumer.poll(jobs.IDLE_TIMEOUT_S * 1000)
        if not fetched:
            break
        for partition, records in fetched.items():
            for r in records:
                digests.add(partition.topic, partition.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
    consumer.close()


if __name__ == "__main__":
    jobs.main(produce, consume, kafka_python_calls.make, kafka_python_member.join)
