"""What tools/interop/znodes runs: each part is a function of a Target, and tells it what it found."""

import os
import pathlib
import subprocess
import sys
import threading
import time

from harness import dependents, differential, patroni, scripts, walk, zkcli
from harness.clients import BUILD, HERE, python
from harness.ensemble import install_ensemble, running_zookeeper
from harness.install import install_debian, install_jvm, install_python, install_rust, run

LOGS = BUILD / "logs" / "znodes"
PART_TIMEOUT_S = 600
SUITE_TIMEOUT_S = 3600
CURATOR = "5.9.0"
HADOOP_TESTS = [f"org.apache.hadoop.ha.{name}" for name in ("TestZKFailoverController", "TestActiveStandbyElectorRealZK")]
# Tests of ensembles that Curator runs inside of its own JVM, whatever TestingServer is, and one that has a class of its own in the server, by
# which connections break at certain znodes: they tell nothing of the target.
CURATOR_ELSEWHERE = (r".*\.TestReconfiguration.*", r".*Cluster.*", r".*\.TestLeaderSelectorEdges")
CURATOR_AT_ONCE = 4  # classes of tests
REQUESTS_PER_SCRIPT = 400
SHOWN = 5  # differences that are made minimal and told whole
# The server that torc is compared with answers at once, has a super user, and does not delete containers in the middle of a script.
REFERENCE = {"forceSync": "no"}
REFERENCE_PROPERTIES = ("znode.container.checkIntervalMs=86400000",)


class Target:
    """The server under test. `ensemble` is None if somebody else runs it: then nothing is restarted. `checks`: (part, step) to None or what
    went wrong."""

    def __init__(self, hosts, ensemble, options):
        self.hosts, self.ensemble, self.options = hosts, ensemble, options
        self.addresses = hosts.split(",")
        self.checks, self.part = {}, ""

    def check(self, step, error):
        self.checks[self.part, step] = error or None

    def run(self, part):
        LOGS.mkdir(parents=True, exist_ok=True)
        self.part, started = part, time.monotonic()
        try:
            PARTS[part](self)
        except Exception as error:
            self.check("all", f"{type(error).__name__}: {error}")
        print(f"{part}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)

    def restart(self, how):
        """All servers, one after the other."""
        for node in range(len(self.addresses)):
            self.ensemble.stop_node(node, kill=how == "kill")
            self.ensemble.start_node(node)

    def cases(self, command, excused=frozenset(), seconds=PART_TIMEOUT_S):
        """A program that prints `case NAME` for all that it will try, then `ok NAME`, `skipped NAME` or `failed NAME TEXT`, and asks for
        restarts: `restart HOW`, `stop NODE`, `start NODE`. Failures of `excused` ones are told, and not counted."""
        log = LOGS / f"{self.part}.log"
        with open(log, "wb") as errors:
            program = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        watchdog = threading.Timer(seconds, program.kill)
        watchdog.start()
        try:
            planned = 0
            for line in program.stdout:
                word, *rest = line.rstrip("\n").split("\t")
                if word == "case":
                    planned += 1
                    self.check(rest[0], "did not end")
                elif word == "ok":
                    self.check(rest[0], None)
                elif word == "skipped" or word == "failed" and rest[0] in excused:
                    self.checks.pop((self.part, rest[0]))
                    print(f"{self.part}: {' '.join([word, *rest])}", file=sys.stderr)
                elif word == "failed":
                    self.check(rest[0], "\t".join(rest[1:]) or "failed")
                elif word in ORDERS:
                    ORDERS[word](self, rest[0])
                    program.stdin.write("\n")
                    program.stdin.flush()
            code = program.wait()
            self.check("ended", None if code == 0 and planned else f"exit code {code} after {planned} cases; see {log}")
        finally:
            watchdog.cancel()
            program.kill()
            program.communicate()


ORDERS = {"restart": lambda target, how: target.restart(how), "stop": lambda target, node: target.ensemble.stop_node(int(node)),
          "start": lambda target, node: target.ensemble.start_node(int(node))}


def failures_of_zookeeper(suite, nodes):
    """Tests of a suite that fail for Apache ZooKeeper itself, by python/SUITE.txt: `NODES NAME`, of `*` nodes if it is so for any number."""
    lines = (line.split(" ", 1) for line in (HERE / "python" / f"{suite}.txt").read_text().splitlines() if not line.startswith("#"))
    return {name for count, name in lines if count in ("*", str(nodes))}


def kazoo_suite(target):
    target.cases([*python("kazoo_suite.py"), target.hosts, *(["--servers"] if target.ensemble else [])],
                 failures_of_zookeeper("kazoo_suite", len(target.addresses)), SUITE_TIMEOUT_S)


def kazoo(target):
    target.cases([*python("kazoo_cases.py"), target.hosts, *(["--restarts"] if target.ensemble else [])])


def differences(target):
    """Scripts of random requests to the target and to Apache ZooKeeper."""
    first, last = target.options.seeds
    with running_zookeeper(1, REFERENCE, REFERENCE_PROPERTIES, "reference") as reference:
        asked = shown = 0
        for seed in range(first, last + 1):
            script = scripts.make(seed, REQUESTS_PER_SCRIPT)
            found = differential.play(script, reference.addresses, target.addresses)
            asked += scripts.count(script)
            if found and (shown := shown + 1) <= SHOWN:
                found = differential.minimal(found, reference.addresses, target.addresses)
            target.check(f"seed {seed}", found and f"differs (one is Apache ZooKeeper, the other the target):\n{found}")
            if found:
                print(f"differential: seed {seed} differs:\n{found}", file=sys.stderr, flush=True)
        if not target.options.quick:
            for seed in range(first, first + 2):
                found = differential.play(scripts.make_expiry(seed), reference.addresses, target.addresses, differential.EXPIRY_TIMEOUT_MS)
                target.check(f"expiry, seed {seed}", found and f"differs:\n{found}")
        print(f"differential: {asked} requests to each", file=sys.stderr)


def bad_input(target):
    """What no client should send, to the target and to Apache ZooKeeper."""
    with running_zookeeper(1, REFERENCE, REFERENCE_PROPERTIES, "reference") as reference:
        found, cases, neighbours = walk.walk(reference.addresses, target.addresses)
    for difference in found:
        why = walk.reason(difference.name)
        if not why:
            target.check(difference.name, f"differs (one is Apache ZooKeeper, the other the target):\n{difference}")
    for who, neighbour in zip(("Apache ZooKeeper", "the target"), neighbours):
        target.check(f"neighbours of {who}", neighbour.complaint or (None if neighbour.asked else "asked nothing"))
    if not target.options.zookeeper:
        target.check("intended differences", walk.not_seen(found) and f"these do not differ: {walk.not_seen(found)}")
    print(f"badinput: {cases} cases, {len(found)} differ, {neighbours[1].asked} requests of others meanwhile", file=sys.stderr)


def curator(target):
    target.cases(["java", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", f"{BUILD}/curator/lib/*:{BUILD}/curator/classes", "Cases", target.hosts])


def command_line(target):
    zkcli.check(target, LOGS / "zkcli.log", f"/zkcli-{os.getpid()}")


def c_client(target):
    target.cases([BUILD / "c" / "zookeeper", target.hosts])


def install_c():
    if not pathlib.Path("/usr/include/zookeeper/zookeeper.h").exists():
        install_debian("libzookeeper-mt-dev")
    (BUILD / "c").mkdir(exist_ok=True)
    run("cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Wno-format-truncation", "-DTHREADED", "-o", BUILD / "c" / "zookeeper", HERE / "c" / "zookeeper.c", "-lzookeeper_mt", "-lpthread")


def go_client(target):
    target.cases([BUILD / "go" / "zookeeper", target.hosts])


def install_go():
    run("go", "build", "-o", f"{BUILD / 'go'}/", "./zookeeper", cwd=HERE / "go")


def rust_client(target):
    target.cases([BUILD / "rust" / "release" / "interop-zookeeper", target.hosts])


def install_rust_client():
    install_rust("rust/zookeeper")


def kafka(target):
    dependents.kafka(target, LOGS)


def patroni_service(target):
    patroni.patroni(target, LOGS)


def curator_suite(target):
    """Every test of Curator's recipes and framework. They start and stop servers themselves: torc, or what Curator starts by itself."""
    torc, build = target.options.torc, BUILD / "curatortests"
    server = [f"-Dtorc={pathlib.Path(torc).resolve()}", f"-Dtorc.log={LOGS}/curator-torc.log"] if torc else []
    # Suite is needed either way; what stands in for Curator's own class comes before it for torc, and behind it for ZooKeeper.
    path = f"{build}/classes:{build}/lib/*" if torc else f"{build}/lib/*:{build}/classes"
    jars = [build / "lib" / f"curator-{name}-{CURATOR}-tests.jar" for name in ("recipes", "framework")]
    target.cases(["java", "-Xmx1g", *server, "-cp", path, "Suite", "|".join(CURATOR_ELSEWHERE), CURATOR_AT_ONCE, *target.options.select, *jars],
                 failures_of_zookeeper("curator_suite", 1), SUITE_TIMEOUT_S)


def hadoop(target):
    """Hadoop's tests start and stop servers themselves, as Curator's do."""
    torc, build = target.options.torc, BUILD / "hadoop"
    server = [f"-Dtorc={pathlib.Path(torc).resolve()}", f"-Dtorc.log={LOGS}/hadoop-torc.log"] if torc else []
    # Suite is needed either way; what stands in for Hadoop's own classes comes before these for torc, and behind them for ZooKeeper.
    path = f"{build}/classes:{build}/lib/*" if torc else f"{build}/lib/*:{build}/classes"
    data = BUILD / "work" / "hadoop"
    target.cases(["java", "-Xmx512m", *server, f"-Dtest.build.data={data}", f"-Dbuild.test.dir={data}", "-cp", path, "Suite", *HADOOP_TESTS],
                 failures_of_zookeeper("hadoop", 1), SUITE_TIMEOUT_S)


def install_hadoop():
    install_jvm("hadoop")


def install_curator_suite():
    install_jvm("curatortests")


def install_curator():
    install_jvm("curator")


PARTS = {"kazoo": kazoo, "differential": differences, "badinput": bad_input, "curator": curator, "zkcli": command_line, "c": c_client, "go": go_client, "rust": rust_client, "kazoo-suite": kazoo_suite,
         "curator-suite": curator_suite, "kafka": kafka, "patroni": patroni_service, "hadoop": hadoop}
QUICK = ("kazoo", "differential")
LONG = ("kazoo-suite", "curator-suite", "kafka", "patroni", "hadoop")  # only when they are named
USUAL = tuple(part for part in PARTS if part not in LONG)
INSTALLS = {"kazoo": (install_python,), "differential": (install_ensemble,), "badinput": (install_ensemble,), "curator": (install_curator,), "zkcli": (install_ensemble,), "c": (install_c,), "go": (install_go,), "rust": (install_rust_client,), "kazoo-suite": (install_python,),
            "curator-suite": (install_curator_suite,), "kafka": (dependents.install_kafka,), "patroni": (patroni.install_patroni,), "hadoop": (install_hadoop,)}


def install(parts):
    BUILD.mkdir(parents=True, exist_ok=True)
    for step in dict.fromkeys(step for part in parts for step in INSTALLS[part]):
        step()
