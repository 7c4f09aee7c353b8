"""What tools/interop/services runs: each service is a function of a Stage."""

import collections
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

from harness.clients import BUILD, HERE
from harness.engines import flink, spark
from harness.evidence import of_streams
from harness.install import install_jvm, install_kcat, run
from harness.registry import install_registry, registry
from harness.server import free_port
from harness.stage import LOGS, PATIENCE_S
from harness.words import Words

FRANZ_RECORDS = 50_000


def install(names):
    BUILD.mkdir(parents=True, exist_ok=True)
    if not shutil.which("kcat"):
        install_kcat()
    if set(names) - {"franz"}:
        install_jvm("service")
    for name in ("spark", "flink"):
        if name in names:
            install_jvm(name)
    if "registry" in names:
        install_registry()
    if "franz" in names:
        run("go", "test", "-c", "-o", BUILD / "franz.test", "github.com/twmb/franz-go/pkg/kgo", cwd=HERE / "go")


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
    words = Words(stage, serde="-s value=q")
    arguments = (stage.bootstrap, f"{stage.prefix}-app", words.lines, words.counts)

    def right(step):
        words.right(step, words.written | collections.Counter(f"length-{len(word)}" for word in words.written.elements()))

    application = stage.java("one", "WordCount", *arguments, stage.work / "one")
    words.write(5_000)
    right("counts")
    words.write(5_000)
    stage.restart(kill=True)
    words.write(5_000)
    right("counts after kill -9 of the server")
    application.send_signal(signal.SIGTERM)
    stage.check("the application ends", None if application.wait(PATIENCE_S) in (0, 143) else f"exit code {application.returncode}")
    stage.java("two", "WordCount", *arguments, stage.work / "two")  # an empty directory: its tables come from the changelogs
    words.write(5_000)
    right("counts of another instance, restored from changelogs")
    stage.java("three", "WordCount", *arguments, stage.work / "three")
    stage.restart(kill=False)
    words.write(5_000)
    right("counts of two instances, after SIGTERM of the server")


def smoke(stage):
    """Topics as Kafka's own system test makes them."""
    stage.create("data", "echo", "max", "min", "min-suppressed", "min-raw", "dif", "sum", "sws-raw", "sws-suppressed", "cnt", "avg", "wcnt", "tagg", "fk")
    settings = stage.work / "streams.properties"
    settings.write_text(f"bootstrap.servers={stage.bootstrap}\nprocessing.guarantee=at_least_once\nstate.dir={stage.work}/state\n"
                        "acceptable.recovery.lag=9223372036854775807\nsession.timeout.ms=10000\n")
    driver = stage.java("driver", "org.apache.kafka.streams.tests.StreamsSmokeTest", settings, "run", level="info")
    client = stage.java("client", "org.apache.kafka.streams.tests.StreamsSmokeTest", settings, "process", level="info")
    time.sleep(12)
    stage.restart(kill=True)
    stage.eventually(lambda: driver.poll() is not None or client.poll() is not None, 8 * PATIENCE_S)
    lines = stage.printed("driver")
    stage.check("all records were delivered", None if "ALL-RECORDS-DELIVERED" in lines else "not: see logs")
    stage.check("verified", None if "SUCCESS" in lines else "not: see logs")
    if any(stage.checks.values()):
        # Did the application write nothing, or did its reader get nothing?
        stage.evidence += of_streams(stage, "client", "SmokeTest", ("dif", "min", "max"))


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
    port, directory = free_port(following=1), stage.work / "kafka"
    subprocess.run([HERE / "kafka", "start", "--port", str(port), "--dir", directory, "--heap", "384m"], check=True, stdout=sys.stderr)
    other = f"127.0.0.1:{port}"
    try:
        there, back = f"{stage.prefix}-there", f"{stage.prefix}-back"
        stage.kcat("-P", "-t", there, given="".join(f"there {i}\n" for i in range(1000)), bootstrap=other)
        stage.create(back, partitions=1)
        stage.kcat("-P", "-t", back, given="".join(f"back {i}\n" for i in range(1000)))
        for group, topic, bootstrap in ((f"{stage.prefix}-g", there, other), (f"{stage.prefix}-h", back, stage.bootstrap)):
            stage.kcat("-G", group, "-c", 400, "-q", "-X", "auto.offset.reset=earliest", "-o", "beginning", topic, bootstrap=bootstrap)
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

        def synced(where, group, topic, bootstrap):
            offset = lambda: stage.offsets(group, bootstrap).get((topic, 0), (0, 0))[0]
            stage.check(f"{where}: the group's offset is synced, and not beyond what was read",
                        None if stage.eventually(lambda: 0 < offset() <= 400, 2 * PATIENCE_S) else f"{offset()}")

        synced("from Kafka", f"{stage.prefix}-g", f"a.{there}", stage.bootstrap)
        synced("to Kafka", f"{stage.prefix}-h", f"b.{back}", other)
        stage.restart(kill=True)
        stage.kcat("-P", "-t", there, given="".join(f"there {i}\n" for i in range(1000, 2000)), bootstrap=other)
        stage.kcat("-P", "-t", back, given="".join(f"back {i}\n" for i in range(1000, 2000)))
        arrived("from Kafka, the server killed", f"a.{there}", stage.bootstrap, "there", 2000)
        arrived("to Kafka, the server killed", f"b.{back}", other, "back", 2000)
    finally:
        subprocess.run([HERE / "kafka", "stop", "--dir", directory], check=False)


SERVICES = {"franz": franz, "verifiable": verifiable, "streams": streams, "smoke": smoke, "connect": connect, "mirror": mirror,
            "registry": registry, "spark": spark, "flink": flink}
