"""kcat 1.7: one run per partition to produce, one per topic to consume."""

import itertools
import subprocess

import jobs
import kcat_calls
import kcat_member

# Separate messages and keys on kcat's input and output: random bytes, so that no record holds them by chance.
MESSAGE_END = "9f1c6e0b7d2a4583"
KEY_END = "4b8e5a90c3d7f216"


def produce(bootstrap, job, acks):
    by_partition = sorted(jobs.records(job), key=lambda record: record.partition)
    for partition, records in itertools.groupby(by_partition, key=lambda record: record.partition):
        produce_partition(bootstrap, job, partition, list(records))
        acks.count[partition] = job.counts[partition]  # kcat tells failure, not offsets


def produce_partition(bootstrap, job, partition, records):
    command = ["kcat", "-P", "-b", bootstrap, "-t", job.topic, "-p", str(partition), "-z", job.codec, "-Z", "-D", MESSAGE_END, "-K", KEY_END]
    if job.max_request:
        command += ["-X", f"message.max.bytes={job.max_request}"]
    for name, value in records[0].headers:
        command += ["-H", name.encode() + (b"" if value is None else b"=" + value)]
    lines = [(record.key or b"") + KEY_END.encode() + (record.value or b"") + MESSAGE_END.encode() for record in records]
    run(command, b"".join(lines))


def consume(bootstrap, digests):
    for job in digests.jobs:
        layout = f"%p %o %T %K %S {KEY_END}%h{KEY_END}%k%s{MESSAGE_END}"
        output = memoryview(run(["kcat", "-C", "-b", bootstrap, "-t", job.topic, "-o", "beginning", "-c", str(sum(job.counts)), "-f", layout], b""))
        at = 0
        while at < len(output):
            at = read_message(job.topic, output, at, digests)


def read_message(topic, output, at, digests):
    """Takes one message off kcat's output; returns where the next one starts."""
    numbers, headers, _ = bytes(output[at : at + 4096]).split(KEY_END.encode(), 2)
    partition, offset, timestamp, key_size, value_size = map(int, numbers.split())
    at += len(numbers) + len(headers) + 2 * len(KEY_END)
    key, at = take(output, at, key_size)
    value, at = take(output, at, value_size)
    assert bytes(output[at : at + len(MESSAGE_END)]) == MESSAGE_END.encode(), f"kcat's output is garbled at byte {at}"
    pairs = [pair.partition(b"=") for pair in headers.split(b",") if pair]
    digests.add(topic, partition, offset, timestamp, key, value,
                [(name, None if data == b"NULL" else data) for name, _, data in pairs])
    return at + len(MESSAGE_END)


def take(output, at, size):
    """`size` is -1 for null; kcat then prints nothing."""
    return (None, at) if size < 0 else (bytes(output[at : at + size]), at + size)


def run(command, data):
    done = subprocess.run(command, input=data, capture_output=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"kcat exited with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}")
    return done.stdout


if __name__ == "__main__":
    jobs.main(produce, consume, kcat_calls.make, kcat_member.join)
