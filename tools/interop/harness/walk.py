"""Bad input (harness/bad.py) to two ZooKeeper servers: what becomes of it must be the same.

For each case that is: what is answered, whether the connection is closed, whether the session lives, what the case's znode is afterwards.
Meanwhile another session asks for the same thing over and over, and must not notice anything. `INTENDED` says what is not the same, and why.
"""

import contextlib
import os
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from harness import bad, differential, jute, scripts
from harness.differential import Pairs, Side, told, until_quiet
from harness.jute import CLOSE_SESSION, CREATE, PING, Malformed, Session

SUBJECT, WITNESS = 0, 1  # sessions: one that sends what is bad, one that makes znodes and looks at them
TIMEOUT_MS = 30_000
WAIT_S = 10  # for an answer that must come, or a connection that must be closed
QUIET_S = 0.4  # a server that waits for more says nothing
AT_ONCE = 200  # requests of the witness
LAST_ANSWERS = [-6], [-115]  # an operation that nobody knows, credentials that prove nothing
LOOKS = "get", "children2", "getacl", "get of its child"
# Of a four-letter word's answer: what both say. The others tell of the server.
WORDS = {b"imok", b"rw", b"306"}

NOT_UTF8 = "a lone byte|a byte that continues|an overlong NUL|a surrogate|a pair of surrogates|one beyond U\\+10FFFF|a character that is cut short"
# Patterns of cases whose outcome is another than with ZooKeeper 3.8, and why.
INTENDED = {
    r".*: ip '(::|::1|::1/64|::1/128|::1\.2\.3\.4)'(, then .*)?": "ZooKeeper 3.8 has no access lists with IPv6 addresses",
    rf".*: digest: ({NOT_UTF8})(, then .*)?": "nobody can prove to be who has a name that is no UTF-8: ZooKeeper keeps another one in its place",
    rf"fields: (sync|setwatches2?): field \d: (a path: )?({NOT_UTF8})": "a path that is no UTF-8 is told as one with the character that stands for that, and not byte by byte",
    "fields: sync: field 0: null": "a path that is null is told as an empty one",
    "fields: setwatches2: field 4: a path: null": "ZooKeeper takes null for a path of persistent watches, and of no others",
    "operations: operation -10 .*": "ZooKeeper begins the session anew, with the number of the request as its timeout; to torc it is an operation that nobody knows",
    "connects: version [17]": "it looks like a request of Kafka's: every client of ZooKeeper's says version 0",
    r"multis: multiread of children: cut to [123] of \d+ bytes": "what is left names the root, and Kafka's metadata is one of its children",
    r"firsts: the word b'stmk(\\x00)*', and the end": "the mask that follows does nothing, and is not waited for",
}


class Neighbour(threading.Thread):
    """Somebody else, who is served all the time. `complaint`: None, or what was noticed."""

    def __init__(self, address, path):
        super().__init__(daemon=True)
        self.connection, self.path = jute.Connection(address, TIMEOUT_MS), path
        self.ended, self.complaint, self.asked = threading.Event(), None, 0

    def run(self):
        first, body = None, jute.string(self.path) + jute.boolean(False)
        while not self.ended.wait(0.002) and not self.complaint:
            try:
                self.connection.ask(jute.GET_DATA, body)
                self.connection.ask(PING, xid=jute.XID_PING)
                self.connection.flush()
                reply, ping = self.connection.next(), self.connection.next()
            except (OSError, Malformed) as error:
                self.complaint = str(error)
                return
            if reply is None or ping is None:
                self.complaint = "the connection was closed"
                return
            said = reply.error, reply.body.frame[reply.body.at:], ping.error
            first, self.asked = first or said, self.asked + 1
            if said != first:
                self.complaint = f"first the answer was {first}, then {said}"

    def end(self):
        self.ended.set()
        self.join()
        self.connection.close()


class Answers(Side):
    """As the scripts of the differential run see a server. What stands behind the error of a multi as a whole nobody looks at."""

    def told(self, reply, request):
        return [reply.error] if reply.error and request[0] in ("multi", "multiread") else super().told(reply, request)

    def decoded(self, reader, request):
        return reader.buffer() if request[0] == "sasl" else super().decoded(reader, request)


class Walk:
    """One server."""

    def __init__(self, addresses, base):
        self.side = Answers(addresses, base, TIMEOUT_MS)
        self.make([base + "/neighbour"])
        self.neighbour = Neighbour(addresses[-1], base + "/neighbour")
        self.neighbour.start()

    def topic(self, cases, znodes):
        """What became of each case."""
        if cases and znodes:
            self.make([os.path.dirname(znodes[0])])
            self.make([path for znode in znodes for path in (znode, znode + "/c")])
        seen = []
        for number, case in enumerate(cases):
            if number % AT_ONCE == 0:
                self.side.catch_up(WITNESS)  # it is not to expire meanwhile
            seen.append(self.case(case))
        looks = self.look(znodes)
        return seen, looks

    def make(self, paths):
        connection = self.side.connections[WITNESS]
        for at in range(0, len(paths), AT_ONCE):
            for path in paths[at:at + AT_ONCE]:
                connection.ask(CREATE, jute.string(path) + jute.buffer(b"x") + bad.OPEN + jute.integer(0))
            connection.flush()
            for path in paths[at:at + AT_ONCE]:
                reply = connection.next()
                if reply is None or reply.error:
                    raise Malformed(f"{path} cannot be made: {reply}")

    def look(self, znodes):
        """What each znode and its child are."""
        self.side.catch_up(WITNESS)
        connection, looks = self.side.connections[WITNESS], []
        requests = [request for znode in znodes for request in (["get", znode, False], ["children2", znode, False], ["getacl", znode], ["get", znode + "/c", False])]
        for at in range(0, len(requests), AT_ONCE):
            some = requests[at:at + AT_ONCE]
            for request in some:
                connection.ask(scripts.op_of(request), scripts.body(request, "", {}))
            connection.flush()
            looks += [self.side.told(connection.next(), request) for request in some]
        return looks

    def case(self, case):
        try:
            return getattr(self, f"do_{type(case).__name__.lower()}")(case)
        except (OSError, Malformed, ValueError) as error:
            self.side.connections[SUBJECT].close()
            self.side.begin(SUBJECT)
            return [str(error)]

    def subject(self):
        connection = self.side.connections[SUBJECT]
        connection.socket.settimeout(WAIT_S)
        return connection

    def do_asked(self, case):
        connection = self.subject()
        before = connection.last_zxid
        xid = connection.ask(case.op, case.body, case.xid)
        connection.flush()
        seen = self.bare(connection) if xid == jute.XID_EVENT else self.side.answers(connection, [(case.request, xid)])
        if seen[-1] in LAST_ANSWERS:
            self.linger(connection)
        for request in () if connection.closed else case.then:
            xid = connection.ask(scripts.op_of(request), scripts.body(request, "", {}))
            connection.flush()
            seen += self.side.answers(connection, [(request, xid)])
        return seen + self.after(case.cut_off, before)

    @staticmethod
    def linger(connection):
        """ZooKeeper closes a connection some time after it has said why, and may answer something in between."""
        connection.socket.settimeout(QUIET_S)
        with contextlib.suppress(Malformed):
            while connection.frame() is not None:
                pass
        connection.socket.settimeout(WAIT_S)

    @staticmethod
    def bare(connection):
        """The answer to a request that has the number of events: it would be read as one."""
        frame = connection.frame()
        if frame is None:
            return [["the connection is closed"]]
        reader = jute.Reader(frame)
        xid, _, error = reader.integer(), reader.long(), reader.integer()
        return [[xid, error, len(frame) - reader.at]]

    def after(self, cut_off, last_zxid):
        """Whether the session lives."""
        connection = self.side.connections[SUBJECT]
        seen = self.side.catch_up(SUBJECT)
        if cut_off and not connection.closed:
            connection.last_zxid = last_zxid
            seen.append(self.side.do_reconnect(SUBJECT))
        return seen

    def do_sent(self, case):
        connection = self.subject()
        connection.socket.sendall(case.bytes)
        if case.ends:
            connection.socket.shutdown(socket.SHUT_WR)
        seen = until_quiet(connection.socket, QUIET_S)
        connection.closed = True  # what is left of a frame is not to be gone on with
        return [seen, *self.side.catch_up(SUBJECT)]

    def do_first(self, case):
        host, _, port = self.side.addresses[0].rpartition(":")
        with socket.create_connection((host, int(port)), WAIT_S) as connection:
            connection.sendall(case.bytes)
            if case.ends:
                connection.shutdown(socket.SHUT_WR)
            state, answer = until_quiet(connection, QUIET_S)
        return [state, answer if not answer or bytes.fromhex(answer) in WORDS else "some"]

    def do_connect(self, case):
        own = self.side.sessions[SUBJECT]
        session = own.id if case.session == "own" else case.session
        password = own.password if case.password == "own" else case.password
        # A server that has given this session away closes the connection that had it; or not, where nothing became of it: see do_forge.
        if case.session == "own":
            self.side.connections[SUBJECT].close()
        body = (jute.integer(case.version) + jute.long(case.last_zxid) + jute.integer(case.timeout) + jute.long(session) + jute.buffer(password) + case.flag)[:case.keep]
        host, _, port = self.side.addresses[SUBJECT % len(self.side.addresses)].rpartition(":")
        with socket.create_connection((host, int(port)), WAIT_S) as connection:
            connection.sendall(bad.framed(body + case.behind))
            seen = self.welcome(connection, own)
        if case.session == "own":
            seen.append(self.side.do_reconnect(SUBJECT))
        return seen

    def welcome(self, connection, own):
        """What a connect request is answered, and what the session is good for."""
        frame = frame_of(connection)
        if frame is None:
            return ["closed"]
        reader = jute.Reader(frame)
        version, timeout, number, password = reader.integer(), reader.integer(), reader.long(), reader.buffer()
        whose = "nobody's" if number == 0 else "its own" if (number, password) == (own.id, own.password) else "another"
        seen = [version, timeout, whose, len(password), frame[reader.at:].hex()]
        # The session goes on, if there is one; a new one ends.
        connection.sendall(bad.framed(jute.integer(jute.XID_PING) + jute.integer(PING)) + (b"" if whose == "its own" else bad.framed(jute.integer(9) + jute.integer(CLOSE_SESSION))))
        while (frame := frame_of(connection)) is not None:
            reader = jute.Reader(frame)
            xid, _, error = reader.integer(), reader.long(), reader.integer()
            seen.append([xid, error, len(frame)])
            if whose == "its own":
                break
        return seen

    def end(self):
        self.neighbour.end()
        with contextlib.suppress(OSError, Malformed):
            self.side.end()


def frame_of(connection):
    """The next frame; None: the connection is closed."""
    try:
        head = connection.recv(4, socket.MSG_WAITALL)
        if len(head) < 4:
            return None
        return connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    except ConnectionError:
        return None


class Difference:
    def __init__(self, name, left, right):
        self.name, self.left, self.right = name, left, right

    def __str__(self):
        return f"{self.name}\n    one says     {self.left}\n    the other    {self.right}"


def maker_of(cases, znode):
    """The case that has this znode."""
    return next((case.name for case in cases if znode.encode() in getattr(case, "body", b"")), znode)


def reason(name):
    """Why a case differs by intent, or None."""
    return next((why for pattern, why in INTENDED.items() if re.fullmatch(pattern, name)), None)


def not_seen(found):
    """Intended differences that there are not."""
    return [pattern for pattern in INTENDED if not any(re.fullmatch(pattern, difference.name) for difference in found)]


def walk(left, right):
    """All differences, how many cases there were, and what neighbours noticed. `left`, `right`: lists of addresses."""
    base = f"/walk-{os.getpid()}"
    topics = bad.cases(base)
    with ThreadPoolExecutor(2) as threads:
        walks = list(threads.map(lambda addresses: Walk(addresses, base), (left, right)))
        found, asked = [], 0
        try:
            pairs = Pairs()
            for topic, (cases, znodes) in topics.items():
                seen = list(threads.map(lambda one: one.topic(cases, znodes), walks))
                asked += len(cases)
                (left_seen, left_looks), (right_seen, right_looks) = seen
                for case, one, other in zip(cases, left_seen, right_seen, strict=True):
                    if not pairs.same(one, other):
                        found.append(Difference(f"{topic}: {case.name}", one, other))
                for number, (one, other) in enumerate(zip(left_looks, right_looks, strict=True)):
                    if not pairs.same(one, other):
                        found.append(Difference(f"{topic}: {maker_of(cases, znodes[number // len(LOOKS)])}, then {LOOKS[number % len(LOOKS)]}", one, other))
            return found, asked, [one.neighbour for one in walks]
        finally:
            for one in walks:
                one.end()
