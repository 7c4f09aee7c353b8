"""confluent-kafka (librdkafka 2)."""

import confluent_calls
import confluent_member
import confluent_kafka as ck
import jobs


def produce(bootstrap, job, acks):
    settings = {"bootstrap.servers": bootstrap, "compression.type": job.codec}
    if job.max_request:
        settings["message.max.bytes"] = job.max_request
    failures = []

    def acknowledged(error, message):
        if error:
            failures.append(error)
        else:
            acks.add(message.partition(), message.offset())

    producer = ck.Producer(settings)
    for record in jobs.records(job):
        producer.produce(job.topic, record.value, record.key, record.partition, on_delivery=acknowledged,
                         timestamp=record.timestamp, headers=record.headers)
    producer.flush(60)
    if failures:
        raise ck.KafkaException(failures[0])


def consume(bootstrap, digests):
    # The binding insists on a group id. With assigned partitions and no commits there is nobody to join.
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([ck.TopicPartition(topic, partition, ck.OFFSET_BEGINNING) for topic, partition in digests.partitions()])
    while digests.missing:
        messages = consumer.consume(min(500, digests.missing), timeout=jobs.IDLE_TIMEOUT_S)
        if not messages:
            break
        for m in messages:
            if m.error():
                raise ck.KafkaException(m.error())
            digests.add(m.topic(), m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers() or [])
    consumer.close()


if __name__ == "__main__":
    jobs.main(produce, consume, confluent_calls.make, confluent_member.join)
