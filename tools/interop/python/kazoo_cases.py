"""kazoo against a ZooKeeper server: its calls with the exact answers, and its recipes.

    kazoo_cases.py HOSTS [--restarts] [--only NAME,...]

Prints a line for each case before the first begins, `case NAME`, and one when it is over: `ok NAME` or `failed NAME TEXT`, with tabs
between. With --restarts also the cases in which servers die: they print `restart kill` or `restart stop`, and read a line when it is done.
"""

import argparse
import concurrent.futures
import contextlib
import logging
import os
import socket
import struct
import sys
import threading
import time
import traceback

from kazoo import exceptions as errors
from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.connection import _CONNECTION_DROP
from kazoo.protocol.states import EventType, KazooState
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.retry import KazooRetry
from kazoo.security import CREATOR_ALL_ACL, OPEN_ACL_UNSAFE, make_acl, make_digest_acl

PATIENCE_S = 20
AT_ONCE = 6
CASES, RESTARTS = [], []
orders = threading.Lock()


def case(function):
    CASES.append(function)
    return function


def restarts(function):
    RESTARTS.append(function)
    return function


def tell(*words):
    with orders:
        print(*words, sep="\t", flush=True)


def restart(how):
    """Servers end, by `kill` or `stop`, and start again."""
    tell("restart", how)
    sys.stdin.readline()


class Trial:
    """What one case uses: clients, a directory of its own, and checks."""

    hosts = None

    def __init__(self, name):
        self.root = f"/kazoo-{os.getpid()}-{name}"
        self.clients = []

    def client(self, **options):
        """One whose calls are tried again only by who says so."""
        client = KazooClient(self.hosts, timeout=options.pop("timeout", 10), **options)
        client.start(PATIENCE_S)
        self.clients.append(client)
        return client

    def end(self):
        for client in self.clients:
            with contextlib.suppress(Exception):
                client.stop()
                client.close()

    def path(self, *names):
        return "/".join((self.root, *names))


def same(found, wanted, what=""):
    if found != wanted:
        raise AssertionError(f"{what}: {found!r}, not {wanted!r}")


def refused(error, call, *arguments, **options):
    """That a call fails with exactly this."""
    try:
        answer = call(*arguments, **options)
    except errors.KazooException as found:
        same(type(found), error, f"{call.__name__} {arguments}")
    else:
        raise AssertionError(f"{call.__name__} {arguments}: {answer!r}, not {error.__name__}")


def eventually(wanted, what="it", seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not (found := wanted()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not become true in {seconds} s")
        time.sleep(0.02)
    return found


def together(*calls):
    """Runs them at the same time: their results in order."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [done.result(3 * PATIENCE_S) for done in [pool.submit(call) for call in calls]]


class Told:
    """Remembers the events of a watch."""

    def __init__(self):
        self.events, self.came = [], threading.Condition()

    def __call__(self, event):
        if event.type == EventType.NONE:
            return  # of the connection
        with self.came:
            self.events.append((event.type, event.path))
            self.came.notify_all()

    def wait(self, count=1):
        with self.came:
            if not self.came.wait_for(lambda: len(self.events) >= count, PATIENCE_S):
                raise AssertionError(f"{count} events did not come, but {self.events}")
            return self.events


def drop(client):
    """Cuts a client's connection as a network would; it comes back by itself."""
    back = threading.Event()
    lost = threading.Event()

    def listen(state):
        (back if state == KazooState.CONNECTED else lost).set()

    client.add_listener(listen)
    client._call(_CONNECTION_DROP, client.handler.async_result())
    if not (lost.wait(PATIENCE_S) and back.wait(PATIENCE_S)):
        raise AssertionError("the client did not come back")
    client.remove_listener(listen)


def end_session(trial, client):
    """Another that knows a session's password closes it: more than once, if its client takes the session back before."""
    session = client.client_id
    for _ in range(5):
        other = KazooClient(trial.hosts, client_id=session, timeout=10)
        other.start(PATIENCE_S)
        other.stop()
        other.close()
        deadline = time.monotonic() + PATIENCE_S / 4
        while time.monotonic() < deadline:
            if client.client_id not in (None, session):
                return
            time.sleep(0.02)
    raise AssertionError(f"session {session[0]:#x} does not end")


# Calls.


@case
def create_get_set_delete(trial):
    client = trial.client()
    same(client.create(trial.root, b"one"), trial.root)
    data, stat = client.get(trial.root)
    same((data, stat.version, stat.cversion, stat.aversion, stat.ephemeralOwner, stat.dataLength, stat.numChildren), (b"one", 0, 0, 0, 0, 3, 0))
    same((stat.mzxid, stat.pzxid, stat.mtime), (stat.czxid, stat.czxid, stat.ctime))
    assert abs(stat.created - time.time()) < 60, "the time of creation"
    written = client.set(trial.root, b"three")
    same((written.version, written.dataLength, written.czxid, written.ctime), (1, 5, stat.czxid, stat.ctime))
    assert written.mzxid > stat.mzxid and written.mtime >= stat.mtime
    same(client.get(trial.root), (b"three", written))
    same(client.exists(trial.root), written)
    same(client.delete(trial.root), True)
    same(client.exists(trial.root), None)


@case
def empty_and_large_data(trial):
    client = trial.client()
    client.create(trial.root, b"")
    same(client.get(trial.root)[0], b"")
    large = bytes(range(256)) * 3600
    client.set(trial.root, large)
    data, stat = client.get(trial.root)
    assert data == large, "900 KB come back as they were"
    same(stat.dataLength, len(large))


@case
def too_large_data(trial):
    client = trial.client()
    client.create(trial.root, b"x", ephemeral=True)
    before = client.client_id
    with contextlib.suppress(errors.KazooException):
        client.set(trial.root, bytes(2 << 20))
        raise AssertionError("2 MB were taken")
    retry = KazooRetry(max_tries=-1, max_delay=1)
    same(retry(client.get, trial.root)[0], b"x")
    same(client.client_id, before, "the session after a request that is too large")


@case
def errors_of_calls(trial):
    client, none = trial.client(), trial.path("none")
    client.create(trial.root)
    refused(errors.NoNodeError, client.get, none)
    refused(errors.NoNodeError, client.set, none, b"")
    refused(errors.NoNodeError, client.delete, none)
    refused(errors.NoNodeError, client.get_children, none)
    refused(errors.NoNodeError, client.get_acls, none)
    refused(errors.NoNodeError, client.set_acls, none, OPEN_ACL_UNSAFE)
    refused(errors.NoNodeError, client.create, trial.path("none", "child"))
    refused(errors.NodeExistsError, client.create, trial.root)
    refused(errors.BadVersionError, client.set, trial.root, b"", version=1)
    refused(errors.BadVersionError, client.delete, trial.root, version=1)
    refused(errors.BadVersionError, client.set_acls, trial.root, OPEN_ACL_UNSAFE, version=1)
    client.create(trial.path("child"))
    refused(errors.NotEmptyError, client.delete, trial.root)
    refused(errors.BadArgumentsError, client.create, trial.path("bad\x00"))
    refused(errors.BadArgumentsError, client.create, trial.path("bad\x1e"))
    refused(errors.InvalidACLError, client.create, trial.path("acl"), acl=[make_acl("world", "me", all=True)])
    refused(errors.InvalidACLError, client.create, trial.path("acl"), acl=CREATOR_ALL_ACL)
    client.create(trial.path("brief"), ephemeral=True)
    refused(errors.NoChildrenForEphemeralsError, client.create, trial.path("brief", "child"))


@case
def children_and_their_stats(trial):
    client = trial.client()
    client.create(trial.root)
    for number in range(5):
        client.create(trial.path(f"c{number}"))
    client.delete(trial.path("c3"))
    names, stat = client.get_children(trial.root, include_data=True)
    same(sorted(names), ["c0", "c1", "c2", "c4"])
    same((stat.cversion, stat.numChildren, stat.version), (6, 4, 0))
    assert stat.pzxid > client.exists(trial.path("c4")).czxid


@case
def many_children(trial):
    client = trial.client()
    client.create(trial.root)
    waiting = [client.create_async(trial.path(f"{number:04d}-{'n' * 40}")) for number in range(2000)]
    same([done.get() for done in waiting], [trial.path(f"{number:04d}-{'n' * 40}") for number in range(2000)])
    same(sorted(client.get_children(trial.root)), [f"{number:04d}-{'n' * 40}" for number in range(2000)])
    waiting = [client.delete_async(trial.path(f"{number:04d}-{'n' * 40}")) for number in range(2000)]
    same({done.get() for done in waiting}, {True})


@case
def many_outstanding_in_order(trial):
    client = trial.client()
    client.create(trial.root, b"")
    waiting = []
    for number in range(300):
        waiting.append(client.set_async(trial.root, b"%d" % number))
        waiting.append(client.get_async(trial.root))
    for number in range(300):
        same(waiting[2 * number].get().version, number + 1)
        data, stat = waiting[2 * number + 1].get()
        same((data, stat.version), (b"%d" % number, number + 1))


@case
def names_of_sequences(trial):
    client = trial.client()
    client.create(trial.root)
    same(client.create(trial.path("a-"), sequence=True), trial.path("a-0000000000"))
    same(client.create(trial.path("b-"), sequence=True), trial.path("b-0000000001"))
    client.create(trial.path("plain"))
    client.delete(trial.path("a-0000000000"))
    same(client.create(trial.path("a-"), sequence=True), trial.path("a-0000000003"), "not used again after a delete")
    same(client.create(trial.path(""), sequence=True), trial.path("0000000004"))
    same(client.create(trial.path("e-"), sequence=True, ephemeral=True), trial.path("e-0000000005"))


@case
def ephemerals(trial):
    one, two = trial.client(), trial.client()
    one.create(trial.root)
    one.create(trial.path("e"), b"x", ephemeral=True)
    two.sync(trial.root)
    same(two.exists(trial.path("e")).ephemeralOwner, one.client_id[0])
    same(one.exists(trial.root).ephemeralOwner, 0)
    told = Told()
    two.exists(trial.path("e"), watch=told)
    one.stop()
    same(told.wait(), [(EventType.DELETED, trial.path("e"))])
    same(two.get_children(trial.root), [])


@case
def a_session_survives_a_cut_connection(trial):
    client, other = trial.client(), trial.client()
    client.create(trial.root)
    client.create(trial.path("e"), ephemeral=True)
    data, children = [], []
    client.DataWatch(trial.path("e"), lambda value, stat: data.append(value))
    client.ChildrenWatch(trial.root, lambda names: children.append(sorted(names)))
    before = client.client_id
    drop(client)
    same(client.client_id, before)
    same(client.exists(trial.path("e")).ephemeralOwner, before[0])
    other.set(trial.path("e"), b"y")
    eventually(lambda: data[-1] == b"y", "a watch after the cut")
    other.create(trial.path("f"))
    eventually(lambda: children[-1] == ["e", "f"], "a watch of children after the cut")


@case
def an_expired_session_says_so(trial):
    client = trial.client()
    client.create(trial.root)
    client.create(trial.path("e"), ephemeral=True)
    before, states = client.client_id, []
    client.add_listener(states.append)
    end_session(trial, client)
    eventually(lambda: KazooState.LOST in states, "LOST")
    eventually(lambda: states and states[-1] == KazooState.CONNECTED, "a new session")
    assert client.client_id[0] != before[0]
    same(KazooRetry(max_tries=-1)(client.exists, trial.path("e")), None)


class Silent:
    """A session whose client says nothing by itself."""

    def __init__(self, trial, timeout, number=0, password=bytes(16)):
        host, _, port = trial.hosts.split(",")[0].rpartition(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE_S)
        answer = self.ask(struct.pack(">iqiqi16sb", 0, 0, timeout, number, 16, password, 0))
        self.timeout, self.number, _, self.password = struct.unpack_from(">iqi16s", answer, 4)

    def ask(self, body):
        self.socket.sendall(struct.pack(">i", len(body)) + body)
        length, = struct.unpack(">i", self.socket.recv(4, socket.MSG_WAITALL))
        return self.socket.recv(length, socket.MSG_WAITALL)

    def create_ephemeral(self, path):
        path = path.encode()
        acl = struct.pack(">iii5si6s", 1, 31, 5, b"world", 6, b"anyone")
        self.ask(struct.pack(f">iii{len(path)}si", 1, 1, len(path), path, 0) + acl + struct.pack(">i", 1))


@case
def a_silent_session_expires(trial):
    watcher = trial.client()
    watcher.create(trial.root)
    silent = Silent(trial, 4000)
    silent.create_ephemeral(trial.path("silent"))
    began = time.monotonic()
    told = Told()
    watcher.sync(trial.root)
    same(watcher.exists(trial.path("silent"), watch=told).ephemeralOwner, silent.number)
    same(told.wait(), [(EventType.DELETED, trial.path("silent"))])
    assert time.monotonic() - began > silent.timeout / 1000 - 1, "a session ended before its time"


@case
def a_session_that_is_taken_up_for_longer_lives_for_longer(trial):
    watcher = trial.client()
    watcher.create(trial.root)
    begun = Silent(trial, 4000)
    begun.create_ephemeral(trial.path("silent"))
    again = Silent(trial, 10000, begun.number, begun.password)
    same((begun.timeout, again.timeout, again.number), (4000, 10000, begun.number))
    told = Told()
    watcher.sync(trial.root)
    watcher.exists(trial.path("silent"), watch=told)
    began = time.monotonic()
    same(told.wait(), [(EventType.DELETED, trial.path("silent"))])
    assert time.monotonic() - began > again.timeout / 1000 - 1, "a session ended before its time"


@case
def watches_fire_once_and_before_the_data(trial):
    client, other = trial.client(), trial.client()
    client.create(trial.root, b"0")
    seen = []
    told = threading.Event()

    def watch(event):
        seen.append(("event", event.type))
        told.set()

    client.get(trial.root, watch=watch)
    other.set(trial.root, b"1")
    other.set(trial.root, b"2")
    eventually(lambda: client.get(trial.root)[0] == b"2")
    # Its event had been received before the answer that has the new data.
    assert told.wait(PATIENCE_S)
    same(seen, [("event", EventType.CHANGED)])


@case
def watches_of_all_kinds(trial):
    client, other = trial.client(), trial.client()
    made, data, children, gone = Told(), Told(), Told(), Told()
    same(client.exists(trial.root, watch=made), None)
    other.create(trial.root)
    same(made.wait(), [(EventType.CREATED, trial.root)])
    client.get(trial.root, watch=data)
    client.get_children(trial.root, watch=children)
    other.create(trial.path("c"))
    same(children.wait(), [(EventType.CHILD, trial.root)])
    other.set(trial.root, b"x")
    same(data.wait(), [(EventType.CHANGED, trial.root)])
    client.get(trial.path("c"), watch=gone)
    client.get_children(trial.path("c"), watch=gone)
    other.delete(trial.path("c"))
    same(gone.wait()[0], (EventType.DELETED, trial.path("c")))
    other.set(trial.root, b"y")
    client.sync(trial.root)
    same((len(made.events), len(data.events), len(children.events)), (1, 1, 1), "one shot")


@case
def transactions(trial):
    client = trial.client()
    client.create(trial.root, b"0")
    good = client.transaction()
    good.create(trial.path("a"), b"1")
    good.set_data(trial.root, b"2", version=0)
    good.check(trial.root, version=1)
    good.create(trial.path("s-"), sequence=True)
    good.delete(trial.path("a"))
    results = good.commit()
    same(results[0], trial.path("a"))
    same(results[1].version, 1)
    same(results[2:], [True, trial.path("s-0000000001"), True])
    bad = client.transaction()
    bad.create(trial.path("b"))
    bad.check(trial.root, version=7)
    bad.delete(trial.path("s-0000000001"))
    same([type(result) for result in bad.commit()], [errors.RolledBackError, errors.BadVersionError, errors.RuntimeInconsistency])
    same(client.get_children(trial.root), ["s-0000000001"])


@case
def access_lists(trial):
    mine, stranger = trial.client(), trial.client()
    mine.add_auth("digest", "user:secret")
    acl = make_digest_acl("user", "secret", all=True)
    mine.create(trial.root, b"x", acl=[acl])
    stranger.sync("/")
    for call, arguments in ((stranger.get, ()), (stranger.set, (b"y",)), (stranger.get_children, ()), (stranger.get_acls, ()), (stranger.exists, ())):
        refused(errors.NoAuthError, call, trial.root, *arguments)
    refused(errors.NoAuthError, stranger.create, trial.path("c"))
    refused(errors.NoAuthError, stranger.set_acls, trial.root, OPEN_ACL_UNSAFE)
    stranger.add_auth("digest", "user:wrong")
    refused(errors.NoAuthError, stranger.get, trial.root)
    acls, stat = mine.get_acls(trial.root)
    same((acls, stat.aversion), ([acl], 0))
    same(mine.set_acls(trial.root, [make_acl("world", "anyone", read=True), acl], version=0).aversion, 1)
    stranger.sync(trial.root)
    same(stranger.get(trial.root)[0], b"x")
    refused(errors.NoAuthError, stranger.set, trial.root, b"y")
    mine.create(trial.path("own"), acl=CREATOR_ALL_ACL)
    same(mine.get_acls(trial.path("own"))[0], [acl])
    drop(mine)
    mine.set(trial.path("own"), b"after a cut")


@case
def the_server_tells_of_itself(trial):
    told = trial.client().command(b"srvr")
    assert "Zookeeper version: 3." in told and "\nMode: " in told and "\nZxid: 0x" in told, told


@case
def directories_as_roots(trial):
    trial.client().ensure_path(trial.path("deep", "root"))
    inside = trial.client()
    inside.chroot = trial.path("deep", "root")
    same(inside.create("/x", b"1"), "/x")
    same(inside.get_children("/"), ["x"])
    told = Told()
    inside.get("/x", watch=told)
    inside.set("/x", b"2")
    same(told.wait(), [(EventType.CHANGED, "/x")])


# Recipes.


@case
def lock(trial):
    """Increments that are not atomic lose nothing under a lock, and who waits longest comes next."""
    setup = trial.client()
    setup.create(trial.root)
    setup.create(trial.path("value"), b"0")

    def increment(client):
        lock = client.Lock(trial.path("lock"), f"{client.client_id[0]:x}")
        for _ in range(8):
            with lock:
                value = int(client.get(trial.path("value"))[0])
                client.set(trial.path("value"), b"%d" % (value + 1))

    clients = [trial.client() for _ in range(4)]
    together(*(lambda client=client: increment(client) for client in clients))
    setup.sync(trial.root)
    same(setup.get(trial.path("value"))[0], b"32")
    first, order = setup.Lock(trial.path("queue"), "first"), []
    first.acquire()

    def wait(number):
        with clients[number].Lock(trial.path("queue"), f"waiter {number}"):
            order.append(number)

    threads = []
    for number in (2, 0, 3, 1):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        eventually(lambda: len(first.contenders()) == len(threads) + 1, "one more contender")
    same(first.contenders(), ["first", "waiter 2", "waiter 0", "waiter 3", "waiter 1"])
    first.release()
    for thread in threads:
        thread.join(PATIENCE_S)
    same(order, [2, 0, 3, 1])


@case
def lock_of_a_lost_session(trial):
    holder, waiter = trial.client(), trial.client()
    holder.create(trial.root)
    assert holder.Lock(trial.root, "holder").acquire()
    lock = waiter.Lock(trial.root, "waiter")
    same(lock.acquire(blocking=False), False)
    end_session(trial, holder)
    assert lock.acquire(timeout=PATIENCE_S), "the lock is free when its session is gone"
    lock.release()
    try:
        other = trial.client().Lock(trial.root, "other")
        lock.acquire()
        other.acquire(timeout=0.3)
    except errors.LockTimeout:
        same(waiter.Lock(trial.root).contenders(), ["waiter"], "who gave up is not in the way")
    else:
        raise AssertionError("two have the lock")


@case
def read_write_locks(trial):
    clients = [trial.client() for _ in range(4)]
    clients[0].create(trial.root)
    readers = [client.ReadLock(trial.root, f"r{number}") for number, client in enumerate(clients[:2])]
    writer, late = clients[2].WriteLock(trial.root, "w"), clients[3].ReadLock(trial.root, "late")
    for reader in readers:
        assert reader.acquire(timeout=PATIENCE_S), "readers share"
    got = []
    write = threading.Thread(target=lambda: writer.acquire(timeout=3 * PATIENCE_S) and got.append("writer"))
    write.start()
    eventually(lambda: len(clients[0].get_children(trial.root)) == 3)
    read = threading.Thread(target=lambda: late.acquire(timeout=3 * PATIENCE_S) and got.append("late"))
    read.start()
    eventually(lambda: len(clients[0].get_children(trial.root)) == 4)
    readers[0].release()
    time.sleep(0.1)
    same(got, [], "before the last reader is done")
    readers[1].release()
    write.join(PATIENCE_S)
    same(got, ["writer"])
    writer.release()
    read.join(PATIENCE_S)
    same(got, ["writer", "late"])
    late.release()


@case
def semaphore(trial):
    clients = [trial.client() for _ in range(3)]
    clients[0].create(trial.root)
    first, second, third = (client.Semaphore(trial.path("s"), f"{number}", max_leases=2) for number, client in enumerate(clients))
    assert first.acquire() and second.acquire()
    same(sorted(third.lease_holders()), ["0", "1"])
    same(third.acquire(blocking=False), False)
    got = []
    waiting = threading.Thread(target=lambda: got.append(third.acquire(timeout=PATIENCE_S)))
    waiting.start()
    end_session(trial, clients[0])
    waiting.join(2 * PATIENCE_S)
    same(got, [True])
    same(sorted(second.lease_holders()), ["1", "2"])


@case
def election_with_fencing(trial):
    """Leaders come one after the other. Each writes with the zxid that made its own znode; who was deposed is refused."""
    setup = trial.client()
    setup.create(trial.root)
    setup.create(trial.path("resource"), b"0")
    refusals, reigns, over = [], [], threading.Event()

    def write(client, token):
        """As a store does that knows fencing: what is older than the newest it has seen is refused."""
        data, stat = client.get(trial.path("resource"))
        if int(data) > token:
            refusals.append(token)
            return False
        client.set(trial.path("resource"), b"%d" % token, version=stat.version)
        return True

    def token_of(election):
        return setup.exists(f"{election.lock.path}/{election.lock.node}").czxid

    def lead(client, election):
        token, sequence = token_of(election), int(election.lock.node[-10:])
        reigns.append((token, sequence, write(client, token)))

    paused, wake = threading.Event(), threading.Event()
    old, old_token = trial.client(), []

    def lead_and_pause():
        old_token.append(token_of(election))
        reigns.append((old_token[0], int(election.lock.node[-10:]), write(old, old_token[0])))
        paused.set()
        wake.wait(3 * PATIENCE_S)

    election = old.Election(trial.path("election"), "old")
    first = threading.Thread(target=lambda: run(election, lead_and_pause), daemon=True)

    def run(election, function):
        with contextlib.suppress(errors.KazooException):
            election.run(function)
        over.set()

    first.start()
    assert paused.wait(PATIENCE_S)
    others = [trial.client() for _ in range(3)]
    elections = [client.Election(trial.path("election"), f"new {number}") for number, client in enumerate(others)]
    threads = [threading.Thread(target=lambda client=client, election=election: election.run(lead, client, election), daemon=True)
               for client, election in zip(others, elections)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(elections[0].contenders()) == 4, "four contenders")
    end_session(trial, old)
    for thread in threads:
        thread.join(PATIENCE_S)
    same(len(reigns), 4)
    same(write(setup, old_token[0]), False, "a deposed leader writes")
    wake.set()
    assert over.wait(PATIENCE_S)
    same(refusals, [old_token[0]])
    tokens, sequences = [reign[0] for reign in reigns], [reign[1] for reign in reigns]
    same((tokens, sequences), (sorted(set(tokens)), sorted(set(sequences))), "tokens only grow")
    assert all(reign[2] for reign in reigns), reigns


@case
def barriers(trial):
    one, two = trial.client(), trial.client()
    barrier = one.Barrier(trial.path("barrier"))
    one.create(trial.root)
    barrier.create()
    same(two.Barrier(trial.path("barrier")).wait(0.2), False)
    passed = []
    waiting = threading.Thread(target=lambda: passed.append(two.Barrier(trial.path("barrier")).wait(PATIENCE_S)))
    waiting.start()
    barrier.remove()
    waiting.join(PATIENCE_S)
    same(passed, [True])
    entered, left = [], []

    def through(client):
        double = client.DoubleBarrier(trial.path("double"), 3)
        double.enter()
        entered.append(len(entered))
        same(double.participating, True)
        eventually(lambda: len(entered) == 3)
        double.leave()
        left.append(len(entered))

    together(*(lambda: through(trial.client()) for _ in range(3)))
    same(left, [3, 3, 3])


@case
def queues(trial):
    client = trial.client()
    queue = client.Queue(trial.path("queue"))
    for item, priority in ((b"late", 900), (b"one", 100), (b"two", 100), (b"first", 1)):
        queue.put(item, priority)
    same(len(queue), 4)
    same([queue.get() for _ in range(5)], [b"first", b"one", b"two", b"late", None])


@case
def queues_of_many_consumers(trial):
    """Each entry is consumed once, also that of a consumer that dies with it in hand."""
    producer = trial.client().LockingQueue(trial.path("queue"))
    wanted = [b"%d" % number for number in range(30)]
    producer.put_all(wanted)
    dying = trial.client()
    in_hand = dying.LockingQueue(trial.path("queue")).get(PATIENCE_S)
    assert in_hand in wanted
    consumed, guard = [], threading.Lock()

    def consume(client):
        queue = client.LockingQueue(trial.path("queue"))
        while len(consumed) < len(wanted):
            if (item := queue.get(0.5)) is not None:
                same(queue.consume(), True)
                with guard:
                    consumed.append(item)

    end_session(trial, dying)
    together(*(lambda: consume(trial.client()) for _ in range(3)))
    same(sorted(consumed, key=int), wanted)


@case
def membership(trial):
    clients = [trial.client() for _ in range(4)]
    parties = [client.Party(trial.path("party"), f"member {number}") for number, client in enumerate(clients)]
    for party in parties:
        party.join()
    eventually(lambda: sorted(parties[0]) == ["member 0", "member 1", "member 2", "member 3"], "all are in")
    parties[1].leave()
    end_session(trial, clients[2])
    eventually(lambda: sorted(parties[0]) == ["member 0", "member 3"], "who left or is lost is out")
    shallow = [client.ShallowParty(trial.path("shallow"), f"m{number}") for number, client in enumerate((clients[0], clients[3]))]
    for party in shallow:
        party.join()
    eventually(lambda: len(shallow[0]) == 2)
    same(sorted(shallow[1]), ["m0", "m1"])


@case
def counters(trial):
    trial.client().create(trial.root)

    def count(client):
        counter = client.Counter(trial.path("counter"))
        for _ in range(15):
            counter += 1

    together(*(lambda: count(trial.client()) for _ in range(4)))
    same(trial.client().Counter(trial.path("counter")).value, 60)
    real = trial.client().Counter(trial.path("real"), default=0.5)
    real += 1.25
    same(real.value, 1.75)


@case
def configuration_by_watches(trial):
    """Every client gets the newest version, and none goes back."""
    writer, clients = trial.client(), [trial.client() for _ in range(4)]
    writer.create(trial.root, b"0")
    seen = [[] for _ in clients]
    def remember(client, versions):
        client.DataWatch(trial.root, lambda data, stat: versions.append((int(data), stat.version)))

    for client, versions in zip(clients, seen):
        remember(client, versions)
    for version in range(1, 60):
        writer.set(trial.root, b"%d" % version)
    for versions in seen:
        eventually(lambda versions=versions: versions and versions[-1] == (59, 59), "the newest version")
        same(versions, sorted(set(versions)))


@case
def children_by_watches(trial):
    writer, reader = trial.client(), trial.client()
    writer.create(trial.root)
    seen = []
    reader.ChildrenWatch(trial.root, lambda names: seen.append(sorted(names)))
    names = [f"s{number}" for number in range(10)]
    for name in names:
        writer.create(trial.path(name), ephemeral=True)
    eventually(lambda: seen[-1] == names, "all children")
    writer.stop()
    eventually(lambda: seen[-1] == [], "no children")


@case
def sequential_ids(trial):
    """Many clients draw ids at once: none twice, none left out."""
    trial.client().create(trial.root)

    def draw(client):
        waiting = [client.create_async(trial.path("id-"), sequence=True) for _ in range(100)]
        return [int(done.get()[-10:]) for done in waiting]

    drawn = together(*(lambda: draw(trial.client()) for _ in range(4)))
    same(sorted(number for ids in drawn for number in ids), list(range(400)))
    for ids in drawn:
        same(ids, sorted(ids), "ids of one client, in the order in which it asked")


@case
def load_balancing(trial):
    """Partitions are shared out, each to one member, and again when a member goes."""
    wanted = set(range(7))
    clients = [trial.client() for _ in range(3)]
    clients[0].ensure_path(trial.root)
    members = [client.SetPartitioner(trial.path("set"), tuple(wanted), identifier=f"m{number}", time_boundary=0.5)
               for number, client in enumerate(clients)]
    shares = {}

    def work(number):
        member = members[number]
        while True:
            if member.acquired:
                shares[number] = set(member)
                if done.is_set():
                    return
                time.sleep(0.05)
            elif member.release:
                shares.pop(number, None)
                member.release_set()
            elif member.failed:
                return
            else:
                member.wait_for_acquire(1)

    def covered(count):
        parts = list(shares.values())
        return len(parts) == count and sum(map(len, parts)) == len(wanted) and set().union(*parts) == wanted

    done = threading.Event()
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: covered(3), "all partitions are with three members", 2 * PATIENCE_S)
    end_session(trial, clients[2])
    eventually(lambda: members[2].failed, "the lost member knows")
    threads[2].join(PATIENCE_S)
    shares.pop(2, None)
    eventually(lambda: covered(2), "all partitions are with two members", 2 * PATIENCE_S)
    done.set()


@case
def a_cache_of_a_tree(trial):
    writer, reader = trial.client(), trial.client()
    writer.create(trial.root)
    events = []
    cache = TreeCache(reader, trial.root)
    cache.listen(lambda event: events.append(event.event_type))
    cache.start()
    eventually(lambda: TreeEvent.INITIALIZED in events, "the cache is filled")
    writer.create(trial.path("a"), b"1")
    writer.create(trial.path("a", "b"), b"2")
    writer.set(trial.path("a", "b"), b"3")
    eventually(lambda: (node := cache.get_data(trial.path("a", "b"))) and node.data == b"3", "the newest data")
    writer.delete(trial.path("a"), recursive=True)
    eventually(lambda: cache.get_data(trial.path("a")) is None, "what is deleted is out")
    cache.close()


@case
def leases(trial):
    import datetime

    one, two = trial.client(), trial.client()
    span = datetime.timedelta(seconds=60)
    assert one.NonBlockingLease(trial.root, span, identifier="one")
    assert not two.NonBlockingLease(trial.root, span, identifier="two")
    assert one.NonBlockingLease(trial.root, span, identifier="one"), "its holder extends it"


# Servers die.


def survives(trial, how):
    retry = KazooRetry(max_tries=-1, max_delay=0.5, ignore_expire=False)
    client, other = trial.client(timeout=30), trial.client(timeout=30)
    client.create(trial.root, b"before")
    client.create(trial.path("e"), ephemeral=True)
    lock = client.Lock(trial.path("lock"), "holder")
    assert lock.acquire()
    seen = []
    client.DataWatch(trial.root, lambda value, stat: seen.append(value))
    names = [client.create(trial.path("s-"), sequence=True) for _ in range(3)]
    before, czxid = client.client_id, client.exists(trial.root).czxid
    restart(how)
    data, stat = retry(client.get, trial.root)
    same((data, stat.czxid), (b"before", czxid))
    same(client.client_id, before, "the session")
    same(retry(client.exists, trial.path("e")).ephemeralOwner, before[0])
    same(retry(other.Lock(trial.path("lock"), "other").contenders), ["holder"])
    same(seen, [b"before"], "nothing has changed")
    retry(other.set, trial.root, b"after")
    eventually(lambda: seen[-1] == b"after", "a watch after the restart")
    same(retry(client.create, trial.path("s-"), sequence=True) > names[-1], True, "sequences go on")
    lock.release()
    client.stop()
    eventually(lambda: retry(other.exists, trial.path("e")) is None, "its ephemeral goes with the session")


@restarts
def all_survives_kill(trial):
    survives(trial, "kill")


@restarts
def all_survives_stop(trial):
    survives(trial, "stop")


@restarts
def a_lock_that_was_waited_for(trial):
    """Who waits for a lock over a restart of the server gets it afterwards."""
    holder, waiter = trial.client(timeout=30), trial.client(timeout=30)
    holder.create(trial.root)
    lock = holder.Lock(trial.path("lock"), "holder")
    lock.acquire()
    got = []
    waiting = threading.Thread(target=lambda: got.append(waiter.Lock(trial.path("lock"), "waiter").acquire(timeout=4 * PATIENCE_S)))
    waiting.start()
    eventually(lambda: len(lock.contenders()) == 2)
    restart("kill")
    KazooRetry(max_tries=-1, max_delay=0.5, ignore_expire=False)(lock.release)
    waiting.join(4 * PATIENCE_S)
    same(got, [True])


def try_case(function):
    trial = Trial(function.__name__.replace("_", "-"))
    try:
        function(trial)
    except (Exception, KazooTimeoutError) as error:
        where = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(where) if frame.filename == __file__ and frame.name not in ("same", "refused", "eventually")), 0)
        tell("failed", function.__name__, f"line {line}: {type(error).__name__}: {error}".replace("\n", " ").replace("\t", " "))
    else:
        tell("ok", function.__name__)
    finally:
        trial.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hosts")
    parser.add_argument("--restarts", action="store_true")
    parser.add_argument("--only", type=lambda names: names.split(","))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    Trial.hosts = arguments.hosts
    wanted = lambda functions: [function for function in functions if not arguments.only or function.__name__ in arguments.only]
    cases, dying = wanted(CASES), wanted(RESTARTS) if arguments.restarts else []
    for function in (*cases, *dying):
        tell("case", function.__name__)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(try_case, cases))
    for function in dying:
        try_case(function)
    os._exit(0)  # threads of recipes that never end are not waited for


if __name__ == "__main__":
    main()
