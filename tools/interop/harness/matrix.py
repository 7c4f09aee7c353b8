"""The run itself: topics, producers, consumers, and the comparison."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from harness import plan, probe, tools
from harness.calls import CALLS, Day
from harness.clients import BUILD, Client, python
from harness.groups import CROWD_RESULTS, CROWD_STEPS, PROTOCOLS, STEPS, Alone, Crowd, Restarts, crowds_of, protocols_of
from harness.late import LATE_STEPS, Late

QUICK_CODECS = ("none", "zstd")
PARTITIONS = {"none": 64, "gzip": 1, "snappy": 3, "lz4": 16, "zstd": 7}
PROCESSES = 2
CALLING_PROCESSES = 4  # these wait more than they work
GROUPS_AT_ONCE = 5  # so do these
CLIENT_TIMEOUT_S = 120
LOG_LINES, LOG_LINE_CHARS = 8, 400  # of a log, when something failed
RUN_TIMEOUT_S = 600  # a server that died fails the run in bounded time


@dataclasses.dataclass
class Topic:
    name: str
    kind: str
    producer: Client
    codec: str
    partitions: int
    expected: list
    line: str  # the job, as clients read it


class Matrix:
    """Runs the chosen clients against each other. `checks` maps (writer, reader, topic) to None or what went wrong;
    in place of a reader also the steps create, produce, verify (the bounds of the log) and delete. (client, "calls", call) are the calls,
    (client, protocol or crowd, step) what happened in groups, ("tools", "tools", run) what Kafka's tools printed."""

    def __init__(self, clients, bootstrap, quick, parts, server=None):
        self.clients, self.bootstrap, self.quick, self.parts = clients, bootstrap, quick, parts
        self.server = server  # None: somebody else runs it, and it is never restarted
        self.work = BUILD / "work"
        self.logs = BUILD / "logs"
        self.checks = {}
        self.deadline = time.monotonic() + RUN_TIMEOUT_S
        self.seconds = {}

    @property
    def failed(self):
        return sum(error is not None for error in self.checks.values())

    def run(self):
        shutil.rmtree(self.work, ignore_errors=True)
        for folder in (self.work, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        # A name of its own for each run, so that a long-lived server can be tested again and again.
        run_id = f"interop-{int(time.time())}-{os.getpid()}"
        facts = probe.ask(self.bootstrap)
        if "calls" in self.parts:
            with concurrent.futures.ThreadPoolExecutor(CALLING_PROCESSES) as pool:
                list(pool.map(lambda client: self.call(client, facts, run_id), self.clients))
        if "records" in self.parts:
            with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
                self.exchange(pool, run_id)
        if "groups" in self.parts:
            self.group(facts, run_id)
        if "tools" in self.parts:
            started = time.monotonic()
            tools.check(self.bootstrap, run_id, self.checks)
            self.seconds["tools"] = round(time.monotonic() - started, 1)
            print(f"tools: {self.seconds['tools']} s", file=sys.stderr)
        shutil.rmtree(self.work)

    def exchange(self, pool, run_id):
        self.topics = [topic for client in self.clients for topic in self.plan_topics(run_id, client)]
        self.admin("create")
        list(pool.map(self.produce, self.clients))
        self.admin("verify")
        list(pool.map(self.consume, (client for client in self.clients if client.consumes)))
        self.admin("delete")

    def call(self, client, facts, run_id):
        day = Day(client, facts, f"{run_id}.{client.name}", (int(time.time()) - 3600) * 1000)
        answers = self.execute(f"{client.name}-calls", (*client.command, "calls"), day.file())
        for name, error in day.compare(answers).items():
            self.checks[client.name, "calls", name] = error

    def group(self, facts, run_id):
        """Each client alone with each of its protocols; then crowds, and each client with partitions that are empty at first, side by side,
        for the server is restarted under all of them."""
        started = time.monotonic()
        each = [(client, protocol, self.bootstrap, run_id, self.checks) for client in self.clients for protocol in protocols_of(client, facts.apis)]
        with concurrent.futures.ThreadPoolExecutor(GROUPS_AT_ONCE) as pool:
            list(pool.map(lambda one: Alone(*one).run(), each))
        self.seconds["groups-alone"] = round(time.monotonic() - started, 1)
        crowds = crowds_of(self.clients, facts.apis)
        restarts = Restarts(self.server, len(crowds) + len(each))
        together = [Crowd(*crowd, self.bootstrap, run_id, self.checks, restarts) for crowd in crowds] + [Late(*one, restarts) for one in each]
        with concurrent.futures.ThreadPoolExecutor(len(together) or 1) as pool:
            list(pool.map(lambda one: one.run(), together))
        self.seconds["groups"] = round(time.monotonic() - started, 1)
        print(f"groups: {self.seconds['groups-alone']} s alone, {self.seconds['groups']} s in all", file=sys.stderr)

    def plan_topics(self, run_id, client):
        codecs = [codec for codec in client.codecs if not self.quick or codec in QUICK_CODECS]
        shapes = [("base", codec, PARTITIONS[codec]) for codec in codecs]
        if client.abilities.repeated_headers:
            shapes.append(("headers", "none", 3))
        if not self.quick:
            shapes += [("large", codec, 2) for codec in codecs]
        base_ms = (int(time.time()) - 3600) * 1000
        for kind, codec, partitions in shapes:
            name = f"{run_id}.{client.name}.{codec}.{kind}"
            records = plan.make(f"{client.name}.{codec}.{kind}", kind, partitions, client.abilities, base_ms)
            expected = plan.expect(records, partitions)
            path = self.work / name
            path.write_text("".join(map(plan.encode_line, records)))
            max_request = plan.LARGEST_MESSAGE_BYTES if kind == "large" else 0
            counts = ",".join(str(e.count) for e in expected)
            line = f"{client.name}\t{name}\t{codec}\t{max_request}\t{counts}\t{path}\n"
            yield Topic(name, kind, client, codec, partitions, expected, line)

    def admin(self, action):
        print(f"{action} topics", file=sys.stderr, flush=True)
        topics = [topic for topic in self.topics if action == "create" or self.passed(topic, "create")]
        answers = self.execute(f"admin-{action}", (*python("topics.py"), action), lines_of(topics))
        for topic in topics:
            self.checks[topic.producer.name, action, topic.name] = self.error_of(answers, topic, lambda lines: None if lines else "not done")

    def produce(self, client):
        mine = [topic for topic in self.topics if topic.producer is client and self.passed(topic, "create")]
        answers = self.execute(f"{client.name}-produce", (*client.command, "produce"), lines_of(mine))
        for topic in mine:
            self.checks[client.name, "produce", topic.name] = self.error_of(answers, topic, lambda lines: compare_acks(topic, lines))

    def consume(self, client):
        written = [topic for topic in self.topics if self.passed(topic, "create", "produce", "verify")]
        readable = [topic for topic in written if topic.kind != "headers" or client.reads_odd_headers]
        answers = self.execute(f"{client.name}-consume", (*client.command, "consume"), lines_of(readable))
        for topic in readable:
            self.checks[topic.producer.name, client.name, topic.name] = self.error_of(answers, topic, lambda lines: compare_digests(topic, lines))

    def passed(self, topic, *steps):
        return all(self.checks[topic.producer.name, step, topic.name] is None for step in steps)

    def execute(self, name, command, jobs):
        """Runs one client on `jobs`, the text of a file; returns its answers as {first field: [other fields of each line]}."""
        path = self.work / f"{name}.jobs"
        path.write_text(jobs)
        started = time.monotonic()
        answers = collections.defaultdict(list)
        environment = os.environ | {"NODE_PATH": str(BUILD / "node" / "node_modules")}
        with open(self.logs / f"{name}.log", "wb") as log:
            command = [*map(str, command), self.bootstrap, str(path)]
            client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, env=environment, text=True)
            try:
                output, _ = client.communicate(timeout=max(1, min(CLIENT_TIMEOUT_S, self.deadline - started)))
            except subprocess.TimeoutExpired:
                client.kill()
                output, _ = client.communicate()
                answers["*"] = f"was killed after {time.monotonic() - started:.0f} s"
        if client.returncode and "*" not in answers:
            answers["*"] = f"exited with {client.returncode}, see logs/{name}.log"
        for line in output.splitlines():
            first, *fields = line.split("\t")
            answers[first].append(fields)
        self.seconds[name] = round(time.monotonic() - started, 1)
        print(f"{name}: {self.seconds[name]} s", file=sys.stderr)
        return answers

    @staticmethod
    def error_of(answers, topic, compare):
        """What the comparison says; if it is not content, then also why, as far as the client told."""
        lines = answers.get(topic.name, [])
        told = [fields[1] for fields in lines if fields[0] == "error"]
        error = compare([fields for fields in lines if fields[0] != "error"])
        if "*" in answers:
            told.append(f"the client {answers['*']}")
        return "; ".join([error, *told]) if error else None

    def cell(self, writer, reader, subject=None):
        errors = [error for (w, r, s), error in self.checks.items() if (w, r) == (writer, reader) and subject in (None, s.partition("/")[0])]
        if not errors:
            return "–"
        bad = sum(error is not None for error in errors)
        return f"{bad}/{len(errors)} failed" if bad else f"ok {len(errors)}"

    def crowds(self):
        return dict.fromkeys(name for who, name, _ in self.checks if who == "crowd")

    def columns(self):
        return ["create", "produce", "verify", *(client.name for client in self.clients if client.consumes), "delete"]

    def as_json(self):
        return {
            "passed": len(self.checks) - self.failed,
            "failed": self.failed,
            "seconds": self.seconds,
            "limits": {client.name: client.limits for client in self.clients if client.limits},
            "lacking": {client.name: dict(client.lacking) for client in self.clients},
            "checks": [{"writer": w, "step": r, "topic": t, "error": error} for (w, r, t), error in self.checks.items()],
        }

    def as_table(self):
        """Who made which call; then who read what whom wrote; then what failed. The numbers are checks."""
        lines = []
        if "calls" in self.parts:
            rows = [["call", *(client.name for client in self.clients)]]
            rows += [[call.name, *(self.cell(client.name, "calls", call.name) for client in self.clients)] for call in CALLS]
            lines += [*aligned(rows), ""]
        if "records" in self.parts:
            rows = [["written by", *self.columns()]]
            rows += [[client.name, *(self.cell(client.name, column) for column in self.columns())] for client in self.clients]
            lines += [*aligned(rows), *(f"{client.name}: {client.limits}" for client in self.clients if client.limits), ""]
        if "groups" in self.parts:
            rows = [["in a group", *(client.name for client in self.clients), "all"]]
            for protocol in (*PROTOCOLS, *self.crowds()):
                steps = (*STEPS, *LATE_STEPS) if protocol in PROTOCOLS else (*CROWD_STEPS, *CROWD_RESULTS)
                rows += [[f"{protocol}: {step}", *(self.cell(client.name, protocol, step) for client in self.clients), self.cell("crowd", protocol, step)]
                         for step in steps]
            lines += [*aligned(rows), ""]
        if "tools" in self.parts:
            lines += [f"Kafka's own tools: {self.cell('tools', 'tools')}", ""]
        lines += [f"FAILED {writer}: {subject} at {step}: {error}" for (writer, step, subject), error in self.checks.items() if error]
        lines += last_words(error for error in self.checks.values() if error)
        return "\n".join([*lines, self.summary()])

    def summary(self):
        return f"{len(self.checks) - self.failed} passed, {self.failed} failed"


def aligned(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def last_words(errors):
    """The ends of the logs that errors point to, without the frames of stacks: where the tests ran, nobody may be able to look."""
    for path in sorted({path for error in errors for path in re.findall(r"see (/[^\s;]+)", error)}):
        with contextlib.suppress(OSError):
            lines = pathlib.Path(path).read_text(errors="replace").splitlines()
            ends = [line[:LOG_LINE_CHARS] for line in lines if line.strip() and not line.startswith("\tat ")][-LOG_LINES:]
            yield from (f"{pathlib.Path(path).name}: {line}" for line in ends or ["is empty"])


def lines_of(topics):
    return "".join(topic.line for topic in topics)


def compare_acks(topic, lines):
    """Every record acknowledged, at the offset that a log written in order gives it; -1: the client does not tell offsets."""
    found = {int(partition): (int(count), int(last)) for partition, count, last in lines}
    for partition, expected in enumerate(topic.expected):
        count, last = found.get(partition, (0, -1))
        if count != expected.count:
            return f"partition {partition}: {count} of {expected.count} records acknowledged"
        if last not in (-1, expected.count - 1):
            return f"partition {partition}: the last offset acknowledged is {last}, not {expected.count - 1}"
    return None


def compare_digests(topic, lines):
    found = {int(partition): fields for partition, *fields in lines}
    for partition, expected in enumerate(topic.expected):
        count, contents, timestamps = found.get(partition, ("0", "", ""))
        if int(count) != expected.count:
            return f"partition {partition}: {count} of {expected.count} records read"
        if contents != expected.digest:
            return f"partition {partition}: keys, values, headers or offsets differ from the plan"
        if expected.timestamps is None:
            expected.timestamps = timestamps  # not the producer's choice: the first reader's word binds the others
        if timestamps != expected.timestamps:
            return f"partition {partition}: timestamps differ from the plan, or from another reader's"
    return None
