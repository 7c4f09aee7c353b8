"""Patroni: three PostgreSQLs, of which the one that holds a key in ZooKeeper leads, with the target as their ZooKeeper."""

import contextlib
import json
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from harness.clients import BUILD
from harness.dependents import PATIENCE_S, eventually
from harness.install import install_debian, install_python
from harness.server import free_port, stop

MEMBERS = 3
USER = "postgres"  # PostgreSQL refuses to run for root
PASSWORD = "secret"
TTL_S = 20  # the least that Patroni allows
ROWS = 200


def binaries():
    """Where PostgreSQL's programs are, or None."""
    return next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def install_patroni():
    if binaries() is None:
        install_debian("postgresql")
    install_python("patroni")


def as_user():
    """How a program is started for somebody who is not root, and may still look where Python lies."""
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"] if os.geteuid() == 0 else []


class Member:
    def __init__(self, number, hosts, work, logs):
        self.number, self.name, self.log = number, f"member-{number}", logs / f"patroni-{number}.log"
        self.rest, self.port, self.process = free_port(), free_port(), None
        self.directory = work / self.name
        self.directory.mkdir()
        if os.geteuid() == 0:
            os.chown(self.directory, pwd.getpwnam(USER).pw_uid, -1)
        account = lambda name: {"username": name, "password": PASSWORD}
        allowed = [f"{kind} all 127.0.0.1/32 scram-sha-256" for kind in ("host all", "host replication")]
        settings = {
            "scope": "torc", "namespace": "/patroni/", "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.rest}", "connect_address": f"127.0.0.1:{self.rest}"},
            "zookeeper": {"hosts": hosts.split(",")},
            "bootstrap": {
                "dcs": {"ttl": TTL_S, "loop_wait": 1, "retry_timeout": 3, "synchronous_mode": True, "postgresql": {"use_pg_rewind": True}},
                "initdb": [{"encoding": "UTF8"}, "data-checksums"]},
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}", "connect_address": f"127.0.0.1:{self.port}", "data_dir": str(self.directory / "data"),
                "bin_dir": str(binaries()), "pgpass": str(self.directory / "pgpass"), "pg_hba": allowed,
                "authentication": {"superuser": account("postgres"), "replication": account("replicator"), "rewind": account("rewinder")},
                "parameters": {"unix_socket_directories": str(self.directory), "shared_buffers": "16MB", "fsync": "off"}}}
        self.settings = self.directory / "patroni.yml"
        self.settings.write_text(json.dumps(settings))  # all of JSON is YAML

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*as_user(), BUILD / "patroni" / "bin" / "patroni", self.settings], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd=self.directory)

    def die(self):
        """As when the machine goes: Patroni and PostgreSQL at once."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.directory / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def ask(self, statement):
        """What PostgreSQL answers here."""
        done = subprocess.run([binaries() / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", "postgres", "-At", "-c", statement],
                              env={"PGPASSWORD": PASSWORD, "PGCONNECT_TIMEOUT": "5"}, capture_output=True, text=True, timeout=PATIENCE_S)
        if done.returncode:
            raise RuntimeError(f"{statement}: {done.stderr.strip()[-300:]}")
        return done.stdout.split()

    def end(self):
        if self.process and self.process.poll() is None:
            self.die()


class Members:
    def __init__(self, hosts, work, logs):
        self.all = {f"member-{number}": Member(number, hosts, work, logs) for number in range(1, MEMBERS + 1)}

    def told(self):
        """What members know of each other, by name; of whoever answers first."""
        for member in self.all.values():
            with contextlib.suppress(OSError, ValueError):
                with urllib.request.urlopen(f"http://127.0.0.1:{member.rest}/cluster", timeout=5) as answer:
                    return {found["name"]: found for found in json.load(answer)["members"]}
        return {}

    def leader(self):
        """Its name, if there is one and PostgreSQL takes writes there."""
        found = [name for name, member in self.told().items() if member["role"] == "leader" and member["state"] == "running"]
        return found[0] if len(found) == 1 and self.all[found[0]].ask("select pg_is_in_recovery()") == ["f"] else None

    def are_whole(self):
        """One leads, and the others follow it, one of them so that nothing is lost."""
        roles = sorted(member["role"] for member in self.told().values() if member["state"] in ("running", "streaming"))
        return self.leader() and len(roles) == MEMBERS and "sync_standby" in roles

    def switch(self, old, new):
        done = subprocess.run([BUILD / "patroni" / "bin" / "patronictl", "-c", self.all[old].settings, "switchover", "torc", "--leader", old, "--candidate", new,
                               "--force"], capture_output=True, text=True, timeout=PATIENCE_S)
        if done.returncode:
            raise RuntimeError(f"patronictl: {done.stdout[-200:]} {done.stderr[-200:]}")


def patroni(target, logs):
    """A leader is elected, dies, and is followed by another; the target is killed and stopped meanwhile; nothing that was committed is lost."""
    with tempfile.TemporaryDirectory(prefix="torc-patroni-") as work:
        os.chmod(work, 0o755)
        members = Members(target.hosts, pathlib.Path(work), logs)
        try:
            tell(target, members)
        finally:
            for member in members.all.values():
                member.end()


def tell(target, members):
    expected = 0

    def check(step, wanted, seconds=2 * PATIENCE_S):
        found = eventually(wanted, seconds)
        target.check(step, None if found else f"not within {seconds} s: {members.told()}")
        if not found:
            raise RuntimeError(f"{step}: what comes behind cannot be told")

    def write(step):
        """Each row is a transaction of its own."""
        nonlocal expected
        leader = members.all[members.leader()]
        for statement in ["create table if not exists kept (n int primary key)", *(f"insert into kept values ({n})" for n in range(expected, expected + ROWS, 50))]:
            leader.ask(statement)
        leader.ask(f"insert into kept select generate_series({expected}, {expected + ROWS - 1}) on conflict do nothing")
        expected += ROWS
        check(step, lambda: all(member.ask("select count(*) from kept") == [str(expected)] for member in members.all.values() if member.process.poll() is None))

    for member in members.all.values():
        member.start()
    check("a leader is elected, and others follow it", members.are_whole)
    write("all have what is written")
    old = members.leader()
    dead, died = members.all[old], time.monotonic()
    dead.die()
    check("another leads when the leader dies", lambda: members.leader() not in (None, old))
    print(f"patroni: another leads {time.monotonic() - died:.0f} s after the leader's death", file=sys.stderr)
    write("nothing is lost with the leader")
    dead.start()
    check("the dead one comes back and follows", members.are_whole)
    leader = members.leader()
    timeline = members.told()[leader]["timeline"]
    if target.ensemble:
        for how in ("kill", "stop"):
            target.restart(how)
            check(f"there is a leader when ZooKeeper was restarted ({how})", members.are_whole)
            write(f"all have what is written when ZooKeeper was restarted ({how})")
        same = (members.leader(), members.told()[leader]["timeline"]) == (leader, timeline)
        print(f"patroni: {'the same leads as before' if same else 'another leads than before'} the restarts", file=sys.stderr)
    other = next(name for name, member in members.told().items() if member["role"] == "sync_standby")
    members.switch(members.leader(), other)
    check("another leads when that is asked for", lambda: members.leader() == other and members.are_whole())
    write("nothing is lost with the change of leaders")
    for member in members.all.values():
        code = stop(member.process)
        target.check(f"{member.name} ends in order", None if code in (0, -signal.SIGTERM) else f"exit code {code}")
