"""What tools/interop/services runs: each service is a function of a Stage."""

import collections
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from harness.clients import BUILD, HERE
from harness.install import install_jvm, install_kcat, run
from harness.server import free_port

LOGS = BUILD / "logs" / "services"
FRANZ_RECORDS = 50_000
PATIENCE_S = 60


def install(names):
    BUILD.mkdir(parents=True, exist_ok=True)
    if not shutil.which("kcat"):
        install_kcat()
    if set(names) - {"franz"}:
        install_jvm("service")
    if "franz" in names:
        run("go", "test", "-c", "-o", BUILD / "franz.test", "github.com/twmb/franz-go/pkg/kgo", cwd=HERE / "go")


class Stage:
    """A server, and what a service that runs against it needs. `checks` maps steps to None or what went wrong."""

    def __init__(self, name, bootstrap, server):
        self.name, self.bootstrap, self.server = name, bootstrap, server
        self.prefix = f"{name}-{int(time.time()) % 1_000_000}"
        self.work = BUILD / "work" / self.prefix
        self.processes, self.checks = [], {}

    def run(self, service):
        LOGS.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(parents=True)
        started = time.monotonic()
        try:
            service(self)
        except Exception as error:
            self.checks["all"] = f"{type(error).__name__}: {error}"
        finally:
            for process in self.processes:
                if process.poll() is None:
                    process.kill()
                process.wait()
            shutil.rmtree(self.work)
        print(f"{self.name}: {time.monotonic() - started:.0f} s", file=sys.stderr)

    def start(self, name, *command, cwd=None, environment=None):
        """A process whose output goes to logs/services."""
        with open(LOGS / f"{self.name}-{name}.log", "wb") as log:
            process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       cwd=cwd or self.work, env=os.environ | (environment or {}))
        self.processes.append(process)
        return process

    def java(self, name, main, *arguments):
        classpath = f"{BUILD}/service/lib/*:{BUILD}/service/classes"
        return self.start(name, "java", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", classpath, main, *arguments)

    def printed(self, name):
        return (LOGS / f"{self.name}-{name}.log").read_text(errors="replace").splitlines()

    def events(self, name):
        """Lines of JSON that a process printed."""
        for line in self.printed(name):
            if line.startswith("{"):
                with contextlib.suppress(json.JSONDecodeError):
                    yield json.loads(line)

    def kcat(self, *arguments, given="", bootstrap=None):
        done = subprocess.run(["kcat", "-b", bootstrap or self.bootstrap, *map(str, arguments)], input=given, capture_output=True, text=True, timeout=PATIENCE_S)
        if done.returncode:
            raise RuntimeError(f"kcat {' '.join(map(str, arguments))}: {done.stderr[-300:]}")
        return done.stdout

    def create(self, *topics, partitions=4):
        for topic in topics:
            tool = self.java(f"create-{topic}", "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.bootstrap, "--create",
                             "--if-not-exists", "--topic", topic, "--partitions", partitions, "--replication-factor", 1)
            if tool.wait(PATIENCE_S):
                raise RuntimeError(f"{topic} was not created: {self.printed(f'create-{topic}')}")

    def restart(self, kill):
        if self.server:
            self.server.restart(kill)

    def eventually(self, wanted, seconds=PATIENCE_S):
        """Whether `wanted()` becomes true; what it raises meanwhile is no answer."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(RuntimeError, OSError, subprocess.TimeoutExpired):
                if wanted():
                    return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)

    def check(self, step, error):
        self.checks[step] = error or None


def franz(stage):
    """One check for each test that ran; those that skip themselves are not counted."""
    source = subprocess.run(["go", "list", "-f", "{{.Dir}}", "github.com/twmb/franz-go/pkg/kgo"], cwd=HERE / "go", capture_output=True, text=True, check=True)
    tests = stage.start("tests", BUILD / "franz.test", "-test.run", "Group|ETL", "-test.skip", "Share", "-test.v", "-test.timeout", "15m", cwd=source.stdout.strip(),
                        environment={"KGO_SEEDS": stage.bootstrap, "KGO_TEST_RF": "1", "KGO_TEST_RECORDS": str(FRANZ_RECORDS)})
    tests.wait()
    results = collections.Counter()
    for line in stage.printed("tests"):
        if found := re.match(r"\s*--- (PASS|FAIL|SKIP): (\S+)", line):
            results[found[1]] += 1
            if found[1] != "SKIP":
                stage.check(found[2], None if found[1] == "PASS" else f"failed; see {LOGS}")
    stage.check("ended", None if tests.returncode == 0 and results["PASS"] else f"exit code {tests.returncode}, {dict(results)}")


def verifiable(stage):
    topic, group, count = f"{stage.prefix}-t", f"{stage.prefix}-g", 60_000
    stage.create(topic)
    producer = stage.java("producer", "org.apache.kafka.tools.VerifiableProducer", "--bootstrap-server", stage.bootstrap, "--topic", topic,
                          "--max-messages", count, "--acks", -1, "--throughput", 4000)
    consumers = {name: stage.java(name, "org.apache.kafka.tools.VerifiableConsumer", "--bootstrap-server", stage.bootstrap, "--topic", topic,
                                  "--group-id", group, "--reset-policy", "earliest", "--verbose") for name in ("one", "two")}
    for kill in (True, False):
        time.sleep(5)
        stage.restart(kill)
    stage.check("producer", None if producer.wait(3 * PATIENCE_S) == 0 else f"exit code {producer.returncode}")
    acked = {(e["partition"], e["offset"]) for e in stage.events("producer") if e["name"] == "producer_send_success"}
    failed = sum(e["name"] == "producer_send_error" for e in stage.events("producer"))  # it does not try again
    stage.check("answered", None if len(acked) + failed == count and len(acked) > count // 2 else f"{len(acked)} acknowledged, {failed} failed of {count}")

    def read():
        return {(e["partition"], e["offset"]) for name in consumers for e in stage.events(name) if e["name"] == "record_data"}

    stage.check("read", None if stage.eventually(lambda: read() >= acked) else f"{len(acked - read())} acknowledged records were not read")
    for name, consumer in consumers.items():
        consumer.send_signal(signal.SIGTERM)
        consumer.wait(PATIENCE_S)
        stage.check(f"consumer {name} shut down", None if any(e["name"] == "shutdown_complete" for e in stage.events(name)) else "not")


def streams(stage):
    words, output = f"{stage.prefix}-lines", f"{stage.prefix}-counts"
    stage.create(words, output)
    expected = collections.Counter()
    arguments = (stage.bootstrap, f"{stage.prefix}-app", words, output)

    def write(first, count):
        lines = [" ".join(f"w{(i * k) % 97 * 11 ** (k % 3)}" for k in range(1, 6)) for i in range(first, first + count)]
        expected.update(word for line in lines for word in line.split())
        stage.kcat("-P", "-t", words, "-K:", given="".join(f"{i}:{line}\n" for i, line in enumerate(lines)))

    def wanted():
        lengths = collections.Counter()
        for word, count in expected.items():
            if not word.startswith("length-"):
                lengths[f"length-{len(word)}"] += count
        return {**expected, **lengths}

    def found():
        lines = stage.kcat("-C", "-t", output, "-e", "-q", "-o", "beginning", "-s", "value=q", "-f", "%k %s\n").splitlines()
        return {key: int(count) for key, _, count in (line.partition(" ") for line in lines)}

    def right(step):
        stage.check(step, None if stage.eventually(lambda: found() == wanted()) else differences(found(), wanted()))

    application = stage.java("one", "WordCount", *arguments, stage.work / "one")
    write(0, 5_000)
    right("counts")
    write(5_000, 5_000)
    stage.restart(kill=True)
    write(10_000, 5_000)
    right("counts after kill -9 of the server")
    application.send_signal(signal.SIGTERM)
    stage.check("the application ends", None if application.wait(PATIENCE_S) in (0, 143) else f"exit code {application.returncode}")
    stage.java("two", "WordCount", *arguments, stage.work / "two")  # an empty directory: its tables come from the changelogs
    write(15_000, 5_000)
    right("counts of another instance, restored from changelogs")
    stage.java("three", "WordCount", *arguments, stage.work / "three")
    stage.restart(kill=False)
    write(20_000, 5_000)
    right("counts of two instances, after SIGTERM of the server")


def differences(found, wanted):
    wrong = {key: (found.get(key), wanted.get(key)) for key in sorted(found.keys() | wanted.keys()) if found.get(key) != wanted.get(key)}
    return f"{len(wrong)} of {len(wanted)} counts are wrong, such as (found, wanted) {dict(list(wrong.items())[:3])}"


def smoke(stage):
    """Topics as Kafka's own system test makes them."""
    stage.create("data", "echo", "max", "min", "min-suppressed", "min-raw", "dif", "sum", "sws-raw", "sws-suppressed", "cnt", "avg", "wcnt", "tagg", "fk")
    settings = stage.work / "streams.properties"
    settings.write_text(f"bootstrap.servers={stage.bootstrap}\nprocessing.guarantee=at_least_once\nstate.dir={stage.work}/state\n"
                        "acceptable.recovery.lag=9223372036854775807\nsession.timeout.ms=10000\n")
    driver = stage.java("driver", "org.apache.kafka.streams.tests.StreamsSmokeTest", settings, "run")
    client = stage.java("client", "org.apache.kafka.streams.tests.StreamsSmokeTest", settings, "process")
    time.sleep(12)
    stage.restart(kill=True)
    stage.eventually(lambda: driver.poll() is not None or client.poll() is not None, 8 * PATIENCE_S)
    text = "\n".join(stage.printed("driver"))
    stage.check("all records were delivered", None if "ALL-RECORDS-DELIVERED" in text else "not: see logs")
    stage.check("verified", None if "SUCCESS" in text else "not: see logs")


def connect(stage):
    topic, source, sink = f"{stage.prefix}-t", stage.work / "source.txt", stage.work / "sink.txt"
    stage.create(topic, partitions=1)
    source.write_text("")
    ports = {name: free_port() for name in ("one", "two")}
    workers = {}

    def worker(name):
        settings = stage.work / f"{name}.properties"
        settings.write_text("".join(f"{key}={value}\n" for key, value in {
            "bootstrap.servers": stage.bootstrap, "group.id": f"{stage.prefix}-connect", "listeners": f"http://127.0.0.1:{ports[name]}",
            "config.storage.topic": f"{stage.prefix}-configs", "offset.storage.topic": f"{stage.prefix}-offsets",
            "status.storage.topic": f"{stage.prefix}-status", "config.storage.replication.factor": 1, "offset.storage.replication.factor": 1,
            "status.storage.replication.factor": 1, "offset.flush.interval.ms": 500, "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000,
            "scheduled.rebalance.max.delay.ms": 1000, "plugin.discovery": "service_load", "plugin.path": f"{BUILD}/service/lib",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter"}.items()))
        workers[name] = stage.java(name, "org.apache.kafka.connect.cli.ConnectDistributed", settings)

    def ask(name, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{ports[name]}{path}", data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"}, method="GET" if body is None else "PUT")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def write(first, count):
        with open(source, "a") as file:
            file.writelines(f"line {i}\n" for i in range(first, first + count))

    def copied(step, count):
        lines = lambda: sink.read_text().splitlines() if sink.exists() else []
        everything = {f"line {i}" for i in range(count)}
        stage.check(step, None if stage.eventually(lambda: set(lines()) == everything, 2 * PATIENCE_S)
                    else f"{len(set(lines()))} of {count} lines arrived")

    for name in ports:
        worker(name)
    stage.check("workers start", None if stage.eventually(lambda: ask("one", "/connectors") == [] == ask("two", "/connectors"), 2 * PATIENCE_S) else "not")
    connectors = {
        "source": {"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": 1, "file": str(source), "topic": topic},
        "sink": {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": 1, "file": str(sink), "topics": topic},
    }
    for name, settings in connectors.items():
        stage.check(f"{name} is made", None if stage.eventually(lambda: ask("one", f"/connectors/{name}/config", settings)) else "not")
    write(0, 1000)
    copied("1,000 lines", 1000)
    workers["one"].kill()
    write(1000, 1000)
    copied("1,000 more, a worker killed", 2000)
    stage.restart(kill=True)
    write(2000, 1000)
    copied("1,000 more, the server killed", 3000)
    worker("one")
    running = lambda: all(part["state"] == "RUNNING" for name in connectors for status in [ask("one", f"/connectors/{name}/status")]
                          for part in (status["connector"], *status["tasks"]))
    stage.check("a new worker finds all running", None if stage.eventually(running, 2 * PATIENCE_S) else "not")


def mirror(stage):
    """An Apache Kafka `a` beside the server, `b`."""
    port, directory = free_port_pair(), stage.work / "kafka"
    subprocess.run([HERE / "kafka", "start", "--port", str(port), "--dir", directory, "--heap", "384m"], check=True, stdout=sys.stderr)
    other = f"127.0.0.1:{port}"
    try:
        there, back = f"{stage.prefix}-there", f"{stage.prefix}-back"
        stage.kcat("-P", "-t", there, given="".join(f"there {i}\n" for i in range(1000)), bootstrap=other)
        stage.create(back, partitions=1)
        stage.kcat("-P", "-t", back, given="".join(f"back {i}\n" for i in range(1000)))
        stage.kcat("-G", f"{stage.prefix}-g", "-c", 400, "-q", "-X", "auto.offset.reset=earliest", "-o", "beginning", there, bootstrap=other)
        settings = stage.work / "mm2.properties"
        settings.write_text("".join(f"{key}={value}\n" for key, value in {
            "clusters": "a, b", "a.bootstrap.servers": other, "b.bootstrap.servers": stage.bootstrap, "a->b.enabled": "true", "b->a.enabled": "true",
            "topics": f"{stage.prefix}-.*", "groups": f"{stage.prefix}-.*", "replication.factor": 1, "checkpoints.topic.replication.factor": 1,
            "heartbeats.topic.replication.factor": 1, "offset-syncs.topic.replication.factor": 1, "offset.storage.replication.factor": 1,
            "status.storage.replication.factor": 1, "config.storage.replication.factor": 1, "sync.group.offsets.enabled": "true",
            "sync.group.offsets.interval.seconds": 1, "emit.checkpoints.interval.seconds": 1, "refresh.groups.interval.seconds": 2,
            "refresh.topics.interval.seconds": 2, "offset.lag.max": 0, "dedicated.mode.enable.internal.rest": "false"}.items()))
        stage.java("mm2", "org.apache.kafka.connect.mirror.MirrorMaker", settings)

        def lines(topic, bootstrap):
            return stage.kcat("-C", "-t", topic, "-e", "-q", "-o", "beginning", bootstrap=bootstrap).split("\n")[:-1]

        def arrived(step, topic, bootstrap, word, count):
            wanted = {f"{word} {i}" for i in range(count)}
            stage.check(step, None if stage.eventually(lambda: set(lines(topic, bootstrap)) == wanted, 2 * PATIENCE_S) else "not all")

        arrived("from Kafka", f"a.{there}", stage.bootstrap, "there", 1000)
        arrived("to Kafka", f"b.{back}", other, "back", 1000)

        def offsets():
            tool = stage.java("groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server", stage.bootstrap,
                              "--describe", "--group", f"{stage.prefix}-g")
            tool.wait(PATIENCE_S)
            rows = [line.split() for line in stage.printed("groups")]
            return [int(row[3]) for row in rows if len(row) > 4 and row[1] == f"a.{there}" and row[3].isdigit()]

        def synced():
            found = offsets()
            return found and 0 < found[0] <= 400

        stage.check("the group's offset is synced, and not beyond what was read", None if stage.eventually(synced, 2 * PATIENCE_S) else f"{offsets()}")
        stage.restart(kill=True)
        stage.kcat("-P", "-t", there, given="".join(f"there {i}\n" for i in range(1000, 2000)), bootstrap=other)
        stage.kcat("-P", "-t", back, given="".join(f"back {i}\n" for i in range(1000, 2000)))
        arrived("from Kafka, the server killed", f"a.{there}", stage.bootstrap, "there", 2000)
        arrived("to Kafka, the server killed", f"b.{back}", other, "back", 2000)
    finally:
        subprocess.run([HERE / "kafka", "stop", "--dir", directory], check=False)


def free_port_pair():
    """A port whose next one is free, too, for Kafka's controller."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port + 1))
            return port


SERVICES = {"franz": franz, "verifiable": verifiable, "streams": streams, "smoke": smoke, "connect": connect, "mirror": mirror}
