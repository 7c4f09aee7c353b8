"""Services that keep what they must agree on in ZooKeeper, with the target as theirs."""

import contextlib
import json
import shutil
import subprocess
import time

from harness.clients import BUILD
from harness.install import install_jvm, install_kcat
from harness.server import free_port, stop

PATIENCE_S = 90
BROKERS = 2


def install_kafka():
    install_jvm("kafka39")
    if not shutil.which("kcat"):
        install_kcat()


class Kafka:
    """Brokers of Apache Kafka 3.9 in ZooKeeper mode."""

    def __init__(self, zookeeper, work, logs):
        self.zookeeper, self.work, self.logs = zookeeper, work, logs
        self.ports = {number: free_port() for number in range(1, BROKERS + 1)}
        self.processes = {}

    @property
    def bootstrap(self):
        return ",".join(f"127.0.0.1:{port}" for port in self.ports.values())

    def start(self, number):
        directory = self.work / f"broker-{number}"
        directory.mkdir(parents=True, exist_ok=True)
        settings = {
            "broker.id": number, "listeners": f"PLAINTEXT://127.0.0.1:{self.ports[number]}", "zookeeper.connect": self.zookeeper + "/kafka39",
            "log.dirs": directory / "data", "offsets.topic.replication.factor": BROKERS, "offsets.topic.num.partitions": 4,
            "default.replication.factor": BROKERS, "zookeeper.session.timeout.ms": 6000, "group.initial.rebalance.delay.ms": 0,
            "controlled.shutdown.enable": "true", "log.cleaner.enable": "false"}
        path = directory / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        with open(self.logs / f"kafka-broker-{number}.log", "ab") as log:
            self.processes[number] = subprocess.Popen(self.java("kafka.Kafka", path, heap="384m"), stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @staticmethod
    def java(main, *arguments, heap="192m"):
        return ["java", f"-Xmx{heap}", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{BUILD}/kafka39/lib/*", main,
                *map(str, arguments)]

    def tool(self, main, *arguments):
        done = subprocess.run(self.java(main, "--bootstrap-server", self.bootstrap, *arguments), capture_output=True, text=True, timeout=PATIENCE_S)
        if done.returncode:
            raise RuntimeError(f"{main} {arguments}: {done.stdout[-200:]} {done.stderr[-200:]}")
        return done.stdout

    def kcat(self, *arguments, given=""):
        done = subprocess.run(["kcat", "-b", self.bootstrap, *map(str, arguments)], input=given, capture_output=True, text=True, timeout=PATIENCE_S)
        if done.returncode:
            raise RuntimeError(f"kcat {arguments}: {done.stderr[-300:]}")
        return done.stdout

    def brokers(self):
        """(controller, brokers), by what brokers tell."""
        told = json.loads(self.kcat("-L", "-J"))
        return told["controllerid"], {broker["id"] for broker in told["brokers"]}

    def read(self, topic):
        return set(self.kcat("-C", "-t", topic, "-e", "-q", "-o", "beginning").split())

    def end(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()


def eventually(wanted, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired, KeyError, ValueError):
            if wanted():
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)


def kafka(target, logs):
    """Topics, records, a controller that dies, servers that restart: nothing is lost, and brokers find each other again."""
    work = BUILD / "work" / f"kafka39-{int(time.time())}"
    brokers = Kafka(target.hosts, work, logs)
    expected = set()

    def check(step, wanted):
        target.check(step, None if eventually(wanted) else f"not within {PATIENCE_S} s; see {logs}")

    def write(word):
        records = {f"{word}-{number}" for number in range(500)}
        brokers.kcat("-P", "-t", "orders", given="".join(f"{record}\n" for record in sorted(records)))
        expected.update(records)

    try:
        for number in brokers.ports:
            brokers.start(number)
        check("brokers find each other", lambda: brokers.brokers()[1] == set(brokers.ports))
        brokers.tool("org.apache.kafka.tools.TopicCommand", "--create", "--topic", "orders", "--partitions", 4, "--replication-factor", BROKERS)
        brokers.tool("kafka.admin.ConfigCommand", "--alter", "--entity-type", "topics", "--entity-name", "orders", "--add-config", "max.message.bytes=123456")
        check("a topic's setting is found", lambda: "max.message.bytes=123456" in brokers.tool(
            "kafka.admin.ConfigCommand", "--describe", "--entity-type", "topics", "--entity-name", "orders"))
        write("first")
        check("records are read", lambda: brokers.read("orders") == expected)
        controller = brokers.brokers()[0]
        target.check("there is a controller", None if controller in brokers.ports else f"{controller}")
        brokers.processes[controller].kill()
        brokers.processes[controller].wait()
        other = next(number for number in brokers.ports if number != controller)
        check("another becomes the controller", lambda: brokers.brokers() == (other, {other}))
        write("without-the-controller")
        check("records are read from the other", lambda: brokers.read("orders") == expected)
        brokers.start(controller)
        check("the first one is back", lambda: brokers.brokers()[1] == set(brokers.ports))
        if target.ensemble:
            target.restart("kill")
        brokers.tool("org.apache.kafka.tools.TopicCommand", "--create", "--topic", "later", "--partitions", 2, "--replication-factor", BROKERS)
        write("after-a-restart")
        check("records are read after the servers' kill -9", lambda: brokers.read("orders") == expected)
        for number in brokers.ports:
            target.check(f"broker {number} shuts down", None if stop(brokers.processes[number]) in (0, 143) else "not in order")
            brokers.start(number)
            check(f"broker {number} is back", lambda: brokers.brokers()[1] == set(brokers.ports))
        brokers.tool("org.apache.kafka.tools.TopicCommand", "--delete", "--topic", "later")
        check("a topic is deleted", lambda: "later" not in brokers.tool("org.apache.kafka.tools.TopicCommand", "--list").split())
        check("all records are there", lambda: brokers.read("orders") == expected)
    finally:
        brokers.end()
        shutil.rmtree(work, ignore_errors=True)
