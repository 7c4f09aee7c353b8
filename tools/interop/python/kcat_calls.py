"""The calls of harness/calls.py with kcat. It can neither create topics nor set timestamps: confluent-kafka does that for it."""

import json
import subprocess

from calls import CODECS, TIMED_VALUES, TIMEOUT_S, Day, join
from confluent_calls import Confluent

# What kcat prints of Kafka's errors.
CODES = {"Offset out of range": 1, "Unknown topic or partition": 3, "Unknown partition": 3, "Unknown topic": 3, "Message size too large": 10}


class Told(Exception):
    """What kcat said when it failed."""


def code_of(error):
    return next((code for text, code in CODES.items() if text in str(error)), None) if isinstance(error, Told) else None


class Kcat:
    def __init__(self, day):
        self.day, self.t = day, day.topic

    def run(self, *arguments, data=b""):
        command = ["kcat", "-b", self.day.bootstrap, "-X", "allow.auto.create.topics=false", *map(str, arguments)]
        done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT_S)
        if done.returncode:
            raise Told(done.stderr.decode(errors="replace")[-500:])
        return done.stdout.decode()

    def metadata(self, *arguments):
        return json.loads(self.run("-L", "-J", *arguments))

    def topics(self):
        return {topic["topic"]: topic["partitions"] for topic in self.metadata()["topics"]}

    def one(self, name):
        (topic,) = self.metadata("-t", self.t(name))["topics"]
        if "error" in topic:
            raise Told(topic["error"])
        return topic["partitions"]

    def placed(self):
        return join(f"{p['partition']}={p['leader']}/{join(r['id'] for r in p['replicas'])}/{join(r['id'] for r in p['isrs'])}"
                    for p in sorted(self.one("p"), key=lambda p: p["partition"]))

    def produce(self, partition, lines, *arguments):
        """kcat tells failure, not offsets: so the offsets at which the records are read."""
        self.run("-P", "-t", self.t("p"), "-p", partition, *arguments, data="".join(f"{line}\n" for line in lines).encode())
        return self.run("-C", "-t", self.t("p"), "-p", partition, "-o", -len(lines), "-c", len(lines), "-f", "%o ").strip()

    def produce_none(self):
        self.run("-P", "-t", self.t("p"), "-p", 3, "-X", "acks=0", data=b"a\nb\nc\n")
        return "ok ok ok"

    def codecs(self, *arguments):
        return join(self.produce(2, ["some " * 100] * 2, "-z", codec, *arguments) for codec in CODECS)

    def auto_create(self):
        if self.t("a") not in self.topics():
            self.run("-P", "-t", self.t("a"), "-p", 0, "-X", "allow.auto.create.topics=true", data=b"first\n")
        return self.offset("a", 0, -2)

    def offset(self, name, partition, at):
        """Prints `topic [partition] offset N`."""
        return self.run("-Q", "-t", f"{self.t(name)}:{partition}:{at}").split()[-1]

    def consume(self, offset, wanted, *arguments, name="p"):
        return self.run("-C", "-t", self.t(name), "-p", 1, "-o", offset, "-c", wanted, "-f", "%s ", *arguments).strip()


def make(bootstrap, path):
    day = Day(bootstrap, path)
    k, helper, base = Kcat(day), Confluent(day), day.base
    for name, partitions in (("d", 1), ("m", 2), ("p", 4), ("t", 3)):
        helper.create(name, partitions, 1)
    helper.produce("p", 1, TIMED_VALUES, day.times())
    day.run([
        ("controller", lambda: str(k.metadata()["controllerid"])),
        ("nodes", lambda: join(f"{b['id']}={b['name']}" for b in k.metadata()["brokers"])),
        ("list_topics", lambda: join(day.mine(k.topics()))),
        ("describe_topics", lambda: join(f"{name}={len(k.one(name))}" for name in "dmt")),
        ("describe_topics/all", lambda: join(f"{name}={len(k.topics()[day.topic(name)])}" for name in "dmt")),
        ("describe_partitions", k.placed),
        ("describe_unknown", lambda: k.one("x")),
        ("produce_leader", lambda: k.produce(0, "abc", "-X", "acks=1")),
        ("produce_all", lambda: k.produce(0, "abc", "-X", "acks=all")),
        ("produce_idempotent", lambda: k.produce(0, "abc", "-X", "enable.idempotence=true")),
        ("produce_codecs", k.codecs),
        ("produce_codecs_idempotent", lambda: k.codecs("-X", "enable.idempotence=true")),
        ("produce_none", k.produce_none),
        ("produce_none_done", lambda: k.offset("p", 3, -1)),
        ("produce_large", lambda: k.produce(0, ["x" * 3_000_000], "-X", "message.max.bytes=4000000")),
        ("produce_unknown", lambda: k.run("-P", "-t", day.topic("x"), "-X", "topic.metadata.propagation.max.ms=0", data=b"a\n")),
        ("auto_create", k.auto_create),
        ("offset_earliest", lambda: k.offset("p", 1, -2)),
        ("offset_latest", lambda: k.offset("p", 1, -1)),
        ("offset_time", lambda: k.offset("p", 1, base + 3500)),
        ("offset_time_late", lambda: k.offset("p", 1, day.last_ms)),
        ("partitions_of", lambda: join(sorted(p["partition"] for p in k.one("p")))),
        ("consume", lambda: k.consume("beginning", 10)),
        ("consume_seek", lambda: k.consume(5, 5)),
        ("consume_time", lambda: k.consume(f"s@{base + 3500}", 6)),
        ("consume_bounds", lambda: join((k.offset("p", 1, -2), k.offset("p", 1, -1)))),
        ("consume_out_of_range", lambda: k.consume(1000, 1, "-X", "auto.offset.reset=error")),
        ("consume_unknown", lambda: k.consume(0, 1, "-X", "topic.metadata.propagation.max.ms=0", name="x")),
    ], code_of)
    helper.delete("a", "d", "m", "p", "t")
