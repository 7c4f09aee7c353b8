"""The harness's own hand on the server, through confluent-kafka's admin client.

    topics.py create BOOTSTRAP JOBS     creates each topic, waits for leaders, reads the settings back
    topics.py verify BOOTSTRAP JOBS     the log of each partition runs from 0 to the planned count, no further
    topics.py delete BOOTSTRAP JOBS

Prints `topic<tab>ok` or `topic<tab>error<tab>message` for each topic. One topic per request keeps their errors apart.
"""

import sys
import time

import confluent_kafka as ck
import confluent_kafka.admin as admin
import jobs

TIMEOUT_S = 15


def create(client, job):
    settings = {"max.message.bytes": str(job.max_request)} if job.max_request else {}
    topic = admin.NewTopic(job.topic, len(job.counts), 1, config=settings)
    client.create_topics([topic], request_timeout=TIMEOUT_S)[job.topic].result()
    wait_for_leaders(client, job)
    resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, job.topic)
    found = client.describe_configs([resource], request_timeout=TIMEOUT_S)[resource].result()
    for key, value in settings.items():
        assert found[key].value == value, f"{key} is {found[key].value}, not {value}"


def wait_for_leaders(client, job):
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        topic = client.list_topics(job.topic, timeout=TIMEOUT_S).topics[job.topic]
        if len(topic.partitions) == len(job.counts) and all(p.leader >= 0 for p in topic.partitions.values()):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"no leaders after {TIMEOUT_S} s")
        time.sleep(0.05)


def verify(client, job):
    for spec, bounds in ((admin.OffsetSpec.earliest(), [0] * len(job.counts)), (admin.OffsetSpec.latest(), job.counts)):
        answers = client.list_offsets({ck.TopicPartition(job.topic, p): spec for p in range(len(bounds))}, request_timeout=TIMEOUT_S)
        for key, future in answers.items():
            found, wanted = future.result().offset, bounds[key.partition]
            assert found == wanted, f"partition {key.partition}: the log's bound is {found}, not {wanted}"


def delete(client, job):
    client.delete_topics([job.topic], request_timeout=TIMEOUT_S)[job.topic].result()


def main():
    action, bootstrap, path = sys.argv[1:]
    client = admin.AdminClient({"bootstrap.servers": bootstrap})
    act = {"create": create, "verify": verify, "delete": delete}[action]
    for job in jobs.load(path):
        try:
            act(client, job)
        except Exception as error:
            jobs.fail([job], error)
        else:
            print(job.topic, "ok", sep="\t", flush=True)


if __name__ == "__main__":
    main()
