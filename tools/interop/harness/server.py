"""Starts and stops the server under test."""

import contextlib
import http.client
import itertools
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import time

from harness.clients import BUILD

READY_TIMEOUT_S = 10
STOP_TIMEOUT_S = 20
# The least port that `free_port` gives.
PORTS_FROM = 12_000
ports_given = set()


# Rebalances soon after changes, for tests that make many; the key is Kafka's, too.
SETTINGS = {"group.initial.rebalance.delay.ms": 100}


class Server:
    """A torc that the harness runs. `complaint` is None, or what was wrong with how it ended."""

    def __init__(self, binary, data, log, settings=SETTINGS, options=("--shards", "2"), wait=True):
        self.binary, self.data, self.log, self.options = binary, data, log, options
        self.settings = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        self.kafka, self.metrics = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{self.kafka}"
        self.complaint = None
        self.start(wait)

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", *self.options, "--data-dir", self.data, "--kafka", self.bootstrap,
                 "--metrics", f"127.0.0.1:{self.metrics}", *self.settings], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            wait_until_ready(self.process, self.metrics, self.log)

    def restart(self, kill):
        """As after `kill -9`, or in good order."""
        if kill:
            self.process.kill()
            self.process.wait()
        else:
            self.end()
        self.start()

    def stop(self):
        stop(self.process)

    def end(self):
        if self.process.poll() is not None:
            self.complaint = f"exited by itself with {self.process.returncode}; see {self.log}"
        elif stop(self.process) != 0:
            self.complaint = f"answered SIGTERM with exit code {self.process.returncode}; see {self.log}"


class Cluster:
    """Several servers that replicate. Clients are told of the first one; the others are restarted in turn."""

    def __init__(self, binary, data, log, nodes, settings=SETTINGS, further=()):
        """`further`: options of each node that others do not have."""
        ports = [free_port() for _ in range(nodes)]
        peers = ",".join(f"{number}=127.0.0.1:{port}" for number, port in enumerate(ports, 1))
        self.nodes = []
        for number, (port, own) in enumerate(itertools.zip_longest(ports, further, fillvalue=()), 1):
            options = ("--shards", "2", "--node-id", str(number), "--peer", f"127.0.0.1:{port}", "--peers", peers, *own)
            self.nodes.append(Server(binary, f"{data}/{number}", log.with_suffix(f".{number}.log"), settings, options, wait=False))
        for node in self.nodes:
            wait_until_ready(node.process, node.metrics, node.log)
        self.bootstrap, self.next = self.nodes[0].bootstrap, 1

    def restart(self, kill):
        self.nodes[self.next].restart(kill)
        self.next = self.next % (len(self.nodes) - 1) + 1

    def end(self):
        for node in self.nodes:
            node.end()

    @property
    def complaint(self):
        complaints = [f"node {number} {node.complaint}" for number, node in enumerate(self.nodes, 1) if node.complaint]
        return "; ".join(complaints) or None

    def stop(self):
        for node in self.nodes:
            stop(node.process)


@contextlib.contextmanager
def running_torc(binary, nodes=1):
    """Runs `torc serve` with two shards, so that requests change them, on free loopback ports and empty directories;
    yields a Server or a Cluster. Their output goes to logs/torc.log, or a log for each node."""
    log = BUILD / "logs" / "torc.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    with tempfile.TemporaryDirectory(prefix="torc-interop-") as data:
        server = Server(binary, data, log) if nodes == 1 else Cluster(binary, data, log, nodes)
        try:
            yield server
            server.end()
        finally:
            server.stop()


def wait_until_ready(server, metrics, log_path):
    """Asks the server itself: after `kill -9` the socket of its clients goes on taking connections, until the kernel has ended its writes."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not says_ready(metrics):
        if server.poll() is not None:
            raise RuntimeError(f"the server exited with {server.returncode} before it was ready; see {log_path}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server is not ready after {READY_TIMEOUT_S} s; see {log_path}")
        time.sleep(0.05)


def says_ready(metrics):
    asking = http.client.HTTPConnection("127.0.0.1", metrics, timeout=READY_TIMEOUT_S)
    with contextlib.closing(asking), contextlib.suppress(OSError, http.client.HTTPException):  # nobody is there
        asking.request("GET", "/readyz")
        return asking.getresponse().status == 200
    return False


def stop(server):
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    return server.returncode


def free_port(following=0):
    """A port that nobody has or was given, nor any of so many that follow it. Below those that the kernel gives to connections: a client could have
    taken one of these before the server starts."""
    first_of_connections = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(PORTS_FROM, first_of_connections - following)
        wanted = range(port, port + following + 1)
        if not ports_given.isdisjoint(wanted):
            continue
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for each in wanted:
                probes.enter_context(socket.socket()).bind(("127.0.0.1", each))
            ports_given.update(wanted)
            return port
