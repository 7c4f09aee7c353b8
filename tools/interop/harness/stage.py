"""A server, and what services need that run against it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

from harness.clients import BUILD

LOGS = BUILD / "logs" / "services"
PATIENCE_S = 60


class Stage:
    """A server, and what a service that runs against it needs. `checks` maps steps to None or what went wrong; `evidence` are lines about that."""

    def __init__(self, name, bootstrap, server):
        self.name, self.bootstrap, self.server = name, bootstrap, server
        self.prefix = f"{name}-{int(time.time()) % 1_000_000}"
        self.work = BUILD / "work" / self.prefix
        self.processes, self.named, self.checks, self.evidence = [], {}, {}, []

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
        self.named[name] = process
        return process

    def java(self, name, main, *arguments, of="service", options=(), environment=None, level="warn"):
        """A program of the jars and classes that `of` names: a directory with a pom beside this one. `level`: of what it logs."""
        classpath = f"{BUILD}/{of}/lib/*:{BUILD}/{of}/classes"
        logging = (f"-Dorg.slf4j.simpleLogger.defaultLogLevel={level}", "-Dorg.slf4j.simpleLogger.showDateTime=true",
                   "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS")
        return self.start(name, "java", "-XX:TieredStopAtLevel=1", "-Xmx512m", *logging, *options, "-cp", classpath, main, *arguments, environment=environment)

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

    def create(self, *topics, partitions=4, config=None):
        settings = [word for key, value in (config or {}).items() for word in ("--config", f"{key}={value}")]
        for topic in topics:
            tool = self.java(f"create-{topic}", "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.bootstrap, "--create",
                             "--if-not-exists", "--topic", topic, "--partitions", partitions, "--replication-factor", 1, *settings)
            if tool.wait(PATIENCE_S):
                raise RuntimeError(f"{topic} was not created: {self.printed(f'create-{topic}')}")

    def offsets(self, group, bootstrap=None):
        """(topic, partition) to (committed, the log's end), by Kafka's own tool."""
        tool = self.java("offsets", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server", bootstrap or self.bootstrap,
                         "--describe", "--group", group)
        tool.wait(PATIENCE_S)
        rows = [line.split() for line in self.printed("offsets")]
        return {(row[1], int(row[2])): (int(row[3]), int(row[4])) for row in rows if len(row) > 5 and row[3].isdigit()}

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
