"""kazoo's own packaged tests against servers that somebody else runs.

    kazoo_suite.py HOSTS [--servers] [PYTEST ARGUMENT...]

Speaks as kazoo_cases.py does. With --servers tests may stop and start servers: `stop N` and `start N` are printed, and a line read when it
is done. Without, tests that do so fail.
"""

import os
import sys
import threading
import types

import pytest

# What pytest prints goes to the log: it would stand in front of what is told here. It also takes the standard input away.
out = open(os.dup(1), "w", buffering=1)
done = open(os.dup(0))
os.dup2(2, 1)
asking = threading.Lock()


def tell(*words):
    out.write("\t".join(words) + "\n")


class Server:
    """What kazoo's tests know a server as."""

    def __init__(self, number, address, may_stop):
        self.number, self.address, self.may_stop, self.running = number, address, may_stop, True
        self.host, _, port = address.rpartition(":")
        self.client_port = int(port)

    def ask(self, what):
        if not self.may_stop:
            raise RuntimeError("this server is not to be stopped")
        with asking:
            tell(what, str(self.number))
            if not done.readline():
                raise RuntimeError("nobody stops servers any more")

    def run(self):
        if not self.running:
            self.ask("start")
            self.running = True

    def stop(self):
        if self.running:
            self.ask("stop")
            self.running = False

    def get_logs(self, num_lines=100):
        return []


class Cluster:
    def __init__(self, hosts, may_stop):
        self.servers = [Server(number, address, may_stop) for number, address in enumerate(hosts.split(","))]

    def __getitem__(self, number):
        return self.servers[number]

    def __iter__(self):
        return iter(self.servers)

    def start(self):
        for server in self:
            server.run()

    def stop(self):
        for server in self:
            server.stop()

    def terminate(self):
        pass

    def get_logs(self):
        return []


class Reporter:
    """Tells of each test as it ends."""

    def __init__(self):
        self.told = set()

    def pytest_collection_finish(self, session):
        for item in session.items:
            tell("case", self.name(item.nodeid))

    def pytest_runtest_logreport(self, report):
        name = self.name(report.nodeid)
        if name in self.told:
            return
        if report.failed:
            text = str(getattr(report.longrepr, "reprcrash", report.longrepr)).replace("\n", " ").replace("\t", " ")[:300]
            self.told.add(name)
            tell("failed", name, f"{report.when}: {text}")
        elif report.skipped:
            self.told.add(name)
            tell("skipped", name)
        elif report.when == "teardown":
            self.told.add(name)
            tell("ok", name)

    @staticmethod
    def name(node):
        return node.rpartition("kazoo/tests/")[2].replace(".py::", "::")


def main():
    hosts, rest = sys.argv[1], sys.argv[2:]
    may_stop = "--servers" in rest
    # What kazoo makes certificates with: TLS is not tested here.
    for name in ("jks", "OpenSSL"):
        sys.modules.setdefault(name, types.ModuleType(name))
    from kazoo.testing import harness

    cluster = Cluster(hosts, may_stop)
    harness.CLUSTER = cluster
    harness.get_global_cluster = lambda *_, **__: cluster
    arguments = [word for word in rest if word != "--servers"]
    code = pytest.main(["--pyargs", "kazoo.tests", "-q", "-rs", "-p", "no:cacheprovider", "--timeout=120", "--color=no", *arguments], plugins=[Reporter()])
    sys.exit(0 if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else code)


if __name__ == "__main__":
    main()
