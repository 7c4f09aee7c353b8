"""What the Python clients share: the job list, the plan, the digest (described in harness/plan.py), the report."""

import base64
import collections
import dataclasses
import hashlib
import struct
import sys
import traceback

IDLE_TIMEOUT_S = 20

Record = collections.namedtuple("Record", "partition timestamp key value headers")


@dataclasses.dataclass
class Job:
    """One topic. `max_request` is 0 where the client keeps its default limit."""

    group: str
    topic: str
    codec: str
    max_request: int
    counts: list
    plan: str


def load(path):
    with open(path) as lines:
        for line in lines:
            group, topic, codec, max_request, counts, plan = line.rstrip("\n").split("\t")
            yield Job(group, topic, codec, int(max_request), [int(count) for count in counts.split(",")], plan)


def records(job):
    with open(job.plan) as lines:
        for line in lines:
            partition, timestamp, key, value, headers = line.rstrip("\n").split("\t")
            pairs = [pair.split(":") for pair in headers.split(",") if pair]
            yield Record(int(partition), None if timestamp == "-" else int(timestamp), decode(key), decode(value),
                         [(decode(name).decode(), decode(data)) for name, data in pairs])


def decode(text):
    return None if text == "-" else base64.b64decode(text)


def groups(jobs):
    """Jobs by group, in order: a reader takes all topics of a group at once, and starts anew for the next."""
    result = {}
    for job in jobs:
        result.setdefault(job.group, []).append(job)
    return result.values()


class Acks:
    """Counts what the server acknowledged per partition, and the last offset it gave."""

    def __init__(self, job):
        self.job = job
        self.count = [0] * len(job.counts)
        self.last = [-1] * len(job.counts)

    def add(self, partition, offset):
        self.count[partition] += 1
        self.last[partition] = max(self.last[partition], offset)

    def report(self):
        for partition, (count, last) in enumerate(zip(self.count, self.last)):
            print(self.job.topic, partition, count, last, sep="\t", flush=True)


class Digests:
    """Digests of all partitions of a group of jobs, and whether everything expected has arrived."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.missing = sum(sum(job.counts) for job in jobs)
        self.state = {(job.topic, p): [0, hashlib.sha256(), hashlib.sha256()] for job in jobs for p in range(len(job.counts))}

    def partitions(self):
        """(topic, partition) of every partition that will hold records."""
        return [(job.topic, p) for job in self.jobs for p, count in enumerate(job.counts) if count]

    def add(self, topic, partition, offset, timestamp, key, value, headers):
        state = self.state[topic, partition]
        state[0] += 1
        contents = state[1]
        contents.update(struct.pack(">q", offset))
        add_bytes(contents, key)
        add_bytes(contents, value)
        contents.update(struct.pack(">i", len(headers)))
        for name, data in headers:
            add_bytes(contents, name.encode() if isinstance(name, str) else name)
            add_bytes(contents, data)
        state[2].update(struct.pack(">q", timestamp))
        self.missing -= 1

    def report(self):
        for (topic, partition), (count, contents, timestamps) in self.state.items():
            print(topic, partition, count, contents.hexdigest(), timestamps.hexdigest(), sep="\t", flush=True)


def add_bytes(digest, data):
    if data is None:
        digest.update(struct.pack(">i", -1))
    else:
        digest.update(struct.pack(">i", len(data)))
        digest.update(data)


def fail(jobs, error):
    """Reports an error for each of the jobs; the others go on."""
    traceback.print_exc()
    for job in jobs:
        print(job.topic, "error", " ".join(f"{type(error).__name__}: {error}".split()), sep="\t", flush=True)


def main(produce, consume, call, join):
    """The command line of every client: produce|consume BOOTSTRAP JOBS, calls BOOTSTRAP FILE (described in harness/calls.py), or
    group BOOTSTRAP FILE (harness/members.py)."""
    action, bootstrap, path = sys.argv[1:]
    if action in ("calls", "group"):
        (call if action == "calls" else join)(bootstrap, path)
        return
    jobs = list(load(path))
    if action == "produce":
        for job in jobs:
            acks = Acks(job)
            try:
                produce(bootstrap, job, acks)
            except Exception as error:
                fail([job], error)
            acks.report()
        return
    for group in groups(jobs):
        digests = Digests(group)
        try:
            consume(bootstrap, digests)
        except Exception as error:
            fail(group, error)
        digests.report()
