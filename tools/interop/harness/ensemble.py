"""Runs Apache ZooKeeper, or torc as one, of one node or several, on the loopback interface."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import jute
from harness.clients import BUILD
from harness.install import install_jvm
from harness.server import Cluster, Server, free_port

NAME = "ensemble"  # the directory that has the pom
VERSION = "3.8.4"  # the pom's
READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
# What differs from ZooKeeper's own defaults in all runs: the rest is as in a zoo.cfg that names a directory and a port.
SETTINGS = {"tickTime": "2000", "initLimit": "10", "syncLimit": "5", "maxClientCnxns": "0", "admin.enableServer": "false",
            "extendedTypesEnabled": "true", "4lw.commands.whitelist": "*"}
# The same of what is no key of zoo.cfg: whoever allows it is served by a server that is alone.
PROPERTIES = ("readonlymode.enabled=true",)


def build_of(version):
    return NAME if version == VERSION else f"{NAME}-{version}"


def install_ensemble(version=VERSION):
    install_jvm(NAME, build_of(version), (f"zookeeper.version={version}",))


def java(*arguments, heap="256m", properties=(), version=VERSION):
    return ["java", f"-Xms{heap}", f"-Xmx{heap}", *(f"-D{item}" for item in properties), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp", f"{BUILD / build_of(version) / 'lib'}/*", *map(str, arguments)]


class Node:
    """One of several, numbered from 1. Its files are in D/node-N: zoo.cfg, data, zookeeper.log, zookeeper.pid."""

    def __init__(self, directory, number):
        self.number, self.directory = number, pathlib.Path(directory) / f"node-{number}"
        self.log, self.pid_file = self.directory / "zookeeper.log", self.directory / "zookeeper.pid"
        self.process = None

    def configure(self, ports, settings):
        """`ports`: those for clients, members and elections, of each node."""
        (self.directory / "data").mkdir(parents=True, exist_ok=True)
        (self.directory / "data" / "myid").write_text(f"{self.number}\n")
        lines = SETTINGS | {"dataDir": self.directory / "data", "clientPort": ports[self.number - 1][0], "clientPortAddress": "127.0.0.1"} | settings
        if len(ports) > 1:
            lines |= {f"server.{number}": f"127.0.0.1:{member}:{election}" for number, (_, member, election) in enumerate(ports, 1)}
        (self.directory / "zoo.cfg").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))

    @property
    def port(self):
        lines = (self.directory / "zoo.cfg").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("clientPort=")).partition("=")[2])

    def start(self, heap="256m", properties=(), version=VERSION):
        if answers(self.port):
            raise RuntimeError(f"port {self.port} is taken already")
        command = java("org.apache.zookeeper.server.quorum.QuorumPeerMain", self.directory / "zoo.cfg", heap=heap, properties=properties, version=version)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self.pid_file.write_text(f"{self.process.pid}\n")

    def wait_until_ready(self):
        """Until it serves: a member without a quorum answers connections, but not srvr."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not serves(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"ZooKeeper did not start; see {self.log}")
            time.sleep(0.1)

    def stop(self, number=signal.SIGTERM):
        """Ends it, also one that another process has started."""
        if not self.pid_file.exists():
            return
        pid = int(self.pid_file.read_text())
        send(pid, number)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self.runs(pid):
            if time.monotonic() > deadline:
                send(pid, signal.SIGKILL)
            time.sleep(0.05)
        self.pid_file.unlink()

    def runs(self, pid):
        if self.process:
            return self.process.poll() is None
        try:
            os.kill(pid, 0)
            return True
        except ProcessLookupError:
            return False


def send(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def answers(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def serves(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as probe:
        probe.sendall(b"srvr")
        return b"Mode:" in probe.recv(4096)
    return False


class Ensemble:
    """What tests want that restart servers: `hosts`, `addresses`, each node's start and stop. `complaint`: None, or how it ended wrongly."""

    complaint = None

    def __init__(self, directory, nodes=1, settings=None, properties=(), ports=None, heap="256m", version=VERSION):
        self.properties, self.heap, self.version = (*PROPERTIES, *properties), heap, version
        ports = ports or [(free_port(), free_port(), free_port()) for _ in range(nodes)]
        self.nodes = [Node(directory, number) for number in range(1, nodes + 1)]
        for node in self.nodes:
            node.configure(ports, settings or {})
        self.addresses = [f"127.0.0.1:{node.port}" for node in self.nodes]
        self.hosts = ",".join(self.addresses)
        self.start()

    def start(self):
        try:
            for node in self.nodes:
                node.start(self.heap, self.properties, self.version)
            for node in self.nodes:
                node.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def start_node(self, index):
        self.nodes[index].start(self.heap, self.properties, self.version)
        self.nodes[index].wait_until_ready()

    def stop_node(self, index, kill=False):
        self.nodes[index].stop(signal.SIGKILL if kill else signal.SIGTERM)

    def stop(self):
        for node in self.nodes:
            node.stop(signal.SIGKILL)


# What differs from torc's defaults in the same way: all clients come from one address, kazoo asks for a server's
# version by a four-letter word, and no container goes in the middle of a script.
TORC_SETTINGS = {"maxClientCnxns": "0", "4lw.commands.whitelist": "*", "znode.container.checkIntervalMs": "86400000",
                 "readonlymode.enabled": "true"}


class TorcEnsemble:
    """The same for torc. It speaks Kafka too, which is not asked here."""

    def __init__(self, binary, data, log, nodes=1, settings=None):
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(nodes)]
        self.hosts = ",".join(self.addresses)
        options = [("--zookeeper", address) for address in self.addresses]
        settings = TORC_SETTINGS | (settings or {})
        if nodes == 1:
            self.servers = [Server(binary, data, log, settings, ("--shards", "2", *options[0]))]
        else:
            self.servers = Cluster(binary, data, log, nodes, settings, options).nodes
        for address in self.addresses:
            wait_for_session(address)

    def start_node(self, index):
        self.servers[index].start()
        wait_for_session(self.addresses[index])

    def stop_node(self, index, kill=False):
        if kill:
            self.servers[index].process.kill()
            self.servers[index].process.wait()
        else:
            self.servers[index].end()

    def end(self):
        """In good order; of what was stopped before, nothing is said."""
        for server in self.servers:
            server.end()

    @property
    def complaint(self):
        return "; ".join(server.complaint for server in self.servers if server.complaint) or None

    def stop(self):
        for server in self.servers:
            server.stop()


def wait_for_session(address):
    """Until a server gives a session: members of a cluster have to find a leader first."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        with contextlib.suppress(OSError, jute.Malformed):
            connection = jute.Connection(address, 10_000)
            if connection.session:
                connection.ask(jute.CLOSE_SESSION)
                connection.flush()
                connection.next()
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{address} gives no session after {READY_TIMEOUT_S} s")
        time.sleep(0.1)


@contextlib.contextmanager
def running_torc(binary, nodes=1, settings=None):
    """torc on free ports and empty directories; yields a TorcEnsemble. Its output goes to logs/torc-zookeeper*.log."""
    log = BUILD / "logs" / "torc-zookeeper.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    with tempfile.TemporaryDirectory(prefix="torc-interop-") as data:
        ensemble = TorcEnsemble(binary, data, log, nodes, settings)
        try:
            yield ensemble
            ensemble.end()
        finally:
            ensemble.stop()


@contextlib.contextmanager
def running_zookeeper(nodes=1, settings=None, properties=(), name="zookeeper"):
    """Apache ZooKeeper on free ports and empty directories; yields an Ensemble. Its logs go to logs/NAME."""
    install_ensemble()
    directory = BUILD / "work" / f"{name}-{os.getpid()}"
    shutil.rmtree(directory, ignore_errors=True)
    ensemble = Ensemble(directory, nodes, settings, properties)
    try:
        yield ensemble
    finally:
        ensemble.stop()
        logs = BUILD / "logs" / name
        logs.mkdir(parents=True, exist_ok=True)
        for node in ensemble.nodes:
            shutil.copy(node.log, logs / f"{node.number}.log")
        shutil.rmtree(directory)
