"""The same random scripts (harness/scripts.py) for two ZooKeeper servers: what both answer must be the same.

Equal are replies with their errors, paths, data, names (without order), access lists and stats, and for each session the order of its
replies and events. Zxids are equal when those of both servers can be paired without contradiction, in order; times when each change
has one; sessions by the place that they have in the script. In the heads of replies zxids must not go back, nor be less than what the
reply tells. After each step all sessions are brought up to date by a sync, so that every event has its step.
"""

import bisect
import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor

from harness import jute, scripts
from harness.jute import CLOSE_SESSION, SYNC, Connection, Event, Malformed, Reader, Session

TIMEOUT_MS = 30_000
EXPIRY_TIMEOUT_MS = 4_000
EXPIRY_SLACK_S = 5  # ZooKeeper expires sessions in steps of a tick
CONFIG = "/zookeeper/config"  # tells of the server itself
SHARED = ("/", "", *scripts.FIXED_PATHS)  # whoever reads "" is told of the root
NAMES = {number: name for name, number in scripts.OPS.items()}
NO_WATCHER = -121
UNREADABLE = -5
MADE = {"create", "create2"}
# In a multi; whether a stat is told follows from the mode, too.
RESULTS = {name: MADE for name in ("create", "create2", "container", "ttl")}
TRIES = 150
TRYING_S = 60
base_numbers = itertools.count()


class Side:
    """One server, and the script's sessions with it."""

    def __init__(self, addresses, base, timeout_ms):
        self.addresses, self.base, self.timeout_ms = addresses, base, timeout_ms
        self.connections, self.sessions, self.owners, self.asked = [], [], {}, []
        self.times, self.newest, self.lost = {0: 0}, 0, {}
        for session in range(scripts.SESSIONS):
            self.connections.append(None)
            self.sessions.append(None)
            self.begin(session)
        self.connections[0].ask(jute.CREATE, jute.string(base) + jute.buffer(b"") + jute.acls(scripts.ACLS["open"]) + jute.integer(0))
        self.connections[0].flush()
        self.connections[0].next()
        for session in range(scripts.SESSIONS):
            self.catch_up(session)

    def connect(self, number, timeout_ms=None, **options):
        """To the server that the session has: with several, each session has its own."""
        return Connection(self.addresses[number % len(self.addresses)], timeout_ms or self.timeout_ms, **options)

    def begin(self, session):
        connection = self.connect(session)
        if connection.session is None:
            raise Malformed("no session was given")
        self.connections[session], self.sessions[session] = connection, connection.session
        self.owners[connection.session.id] = f"session {session}.{len(self.owners)}"

    def resume(self, session):
        """Takes a session up again on a new connection; what that said."""
        old = self.connections[session]
        new = self.connect(session, session=self.sessions[session], last_zxid=old.last_zxid)
        old.close()
        new.xid = old.xid
        answer = told(new, self.sessions[session])
        if new.session is None:
            new.close()
            self.begin(session)
        else:
            self.connections[session] = new
        return answer

    def start(self, step):
        """Sends what a step asks for; `finish` reads the answers."""
        if step[0] == "ask":
            connection = self.connections[step[1]]
            since = {"none": 0, "seen": connection.last_zxid, "all": (1 << 63) - 1}
            self.asked = [(request, connection.ask(scripts.op_of(request), scripts.body(request, self.base, since), scripts.XIDS.get(request[0])))
                          for request in step[2]]
            connection.flush()
        elif step[0] == "auth":
            self.connections[step[1]].ask(jute.AUTH, jute.integer(0) + jute.string(step[2]) + jute.buffer(step[3].encode()), jute.XID_AUTH)
            self.connections[step[1]].flush()
            self.asked = [(step, jute.XID_AUTH)]

    def finish(self, step):
        """All that is seen of a step: [what the step itself was answered, what each session then was told]."""
        name, arguments = step[0], step[1:]
        if name in ("ask", "auth"):
            seen = self.answers(self.connections[arguments[0]], self.asked)
        else:
            seen = getattr(self, f"do_{name}")(*arguments)
        later = [self.catch_up(session) for session in range(scripts.SESSIONS)]
        if name in ("close", "await"):
            later = [sorted(events, key=str) for events in later]  # nobody says in which order a session's znodes go
        return [seen, later]

    def answers(self, connection, asked):
        seen = []
        for request, xid in asked:
            while isinstance(answer := connection.next(), Event):
                seen.append(["event", *answer])
            if answer is None:
                seen.append(["the connection is closed"])
                break
            seen.append([*self.told(answer, request)] if answer.xid == xid else [f"answers {answer.xid - xid:+} requests away"])
        return seen

    def told(self, reply, request):
        """A reply, in a form that can be compared."""
        parts, self.newest = [reply.error], 0
        if reply.error == 0 and (found := self.decoded(reply.body, request)) is not None:
            parts.append(found)
        reply.body.end()
        if request[0] == "checkwatches" and reply.error in (0, NO_WATCHER, *([] if request[1][:1] in "/~" and request[1] else [UNREADABLE])):
            parts[0] = "some"  # ZooKeeper 3.8 says yes if anybody watches, and stumbles over what is no path if anybody watches recursively
        if self.newest > max(reply.zxid, 0):
            parts.append(f"tells of {self.newest:#x} and says that {reply.zxid:#x} is the newest")
        return parts

    def decoded(self, reader, request):
        name = NAMES[request[1]] if request[0] == "raw" else request[0]
        match name:
            case "create" | "sync":
                return reader.string()
            case "create2" | "container" | "ttl":
                return [reader.string(), self.stat(reader, None)]
            case "set" | "setacl" | "exists":
                return self.stat(reader, request[1])
            case "get":
                data = reader.buffer()
                return ["some" if request[1] == CONFIG else data, self.stat(reader, request[1])]
            case "children":
                return self.children(reader, request[1])
            case "children2":
                return [self.children(reader, request[1]), self.stat(reader, request[1])]
            case "getacl":
                return [reader.vector(reader.acl), self.stat(reader, request[1])]
            case "ephemerals":
                return sorted(reader.vector(reader.string))
            case "count":
                number = reader.integer()
                return "some" if request[1] in SHARED else number
            case "whoami":
                return sorted(reader.vector(lambda: (reader.string(), reader.string())))
            case "addwatch":
                return reader.integer()
            case "multi" | "multiread":
                return list(self.results(reader, request))
        return None

    def results(self, reader, request):
        asked = iter(request[1] if request[0] != "raw" else [])
        while True:
            op, done, error = reader.integer(), reader.boolean(), reader.integer()
            if done:
                yield ["end", op, error]
                return
            part = next(asked, ["nothing", None])
            if op == -1:
                yield ["error", error, reader.integer()]
            elif NAMES.get(op) not in RESULTS.get(part[0], {part[0]}):
                yield [f"a result of {NAMES.get(op, op)}"]
                return
            else:
                yield [error, op, self.decoded(reader, [NAMES[op], *part[1:]])]

    def children(self, reader, path):
        names = sorted(reader.vector(reader.string))
        return "some" if path in SHARED else names

    def stat(self, reader, path):
        stat = reader.stat()
        self.newest = max(self.newest, stat.czxid, stat.mzxid, stat.pzxid)
        for zxid, when in ((stat.czxid, stat.ctime), (stat.mzxid, stat.mtime)):
            if self.times.setdefault(zxid, when) != when:
                return [f"change {zxid:#x} was at {self.times[zxid]} and at {when}"]
        if path == CONFIG:
            return "some"
        if path in SHARED:
            return ["shared", stat.version, stat.aversion, stat.owner, stat.length]
        owner = self.owners.get(stat.owner, f"{stat.owner:#x}")
        return [("zxid", stat.czxid), ("zxid", stat.mzxid), ("zxid", stat.pzxid), stat.version, stat.cversion, stat.aversion, owner, stat.length,
                stat.children]

    def catch_up(self, session):
        """Events that a session is told of until all that was done is seen there."""
        connection, seen = self.connections[session], []
        if connection is None:
            return seen
        if not connection.closed:
            xid = connection.ask(SYNC, jute.string(self.base))
            connection.flush()
            before = connection.last_zxid
            while isinstance(answer := connection.next(), Event):
                seen.append(["event", *answer])
            if answer is not None:
                if (answer.xid, answer.error) != (xid, 0) or answer.zxid < before:
                    seen.append([f"sync {xid} after zxid {before:#x}: answer to {answer.xid}, error {answer.error}, zxid {answer.zxid:#x}"])
                return seen
        seen.append(["the connection is closed", self.resume(session)])
        return seen

    def do_close(self, session):
        connection = self.connections[session]
        xid = connection.ask(CLOSE_SESSION)
        connection.flush()
        seen = []
        while isinstance(answer := connection.next(), Event):
            seen.append(["event", *answer])
        seen.sort(key=str)  # as in `finish`: a session that watches its own znodes is told of their end
        seen.append(["closed"] if answer is None else [answer.error, answer.xid == xid, connection.next() is None])
        connection.close()
        self.begin(session)
        return seen

    def do_reconnect(self, session):
        self.connections[session].socket.close()
        return self.resume(session)

    def do_steal(self, session):
        old = self.connections[session]
        new = self.connect(session, session=self.sessions[session], last_zxid=old.last_zxid)
        answer = told(new, self.sessions[session])
        while isinstance(old.next(), Event):
            pass
        answer.append(old.closed)
        old.close()
        new.xid = old.xid
        self.connections[session] = new
        return answer

    def do_forge(self, session):
        forged = self.connect(session, session=self.sessions[session]._replace(password=b"not the password"))
        answer = told(forged, self.sessions[session])
        forged.close()
        # ZooKeeper closes the connection of the session's owner, who can take it up again: no more than a nuisance, and not to be copied.
        self.connections[session].close()
        self.resume(session)
        return answer

    def do_stranger(self):
        stranger = self.connect(0, session=Session(0x7700_0000_0000_1234, bytes(16), 0, False))
        answer = told(stranger, None)
        stranger.close()
        return answer

    def do_ahead(self, session):
        """Its connection is left alone, but for servers that close it."""
        ahead = self.connect(session, session=self.sessions[session], last_zxid=1 << 62)
        answer = told(ahead, self.sessions[session])
        ahead.close()
        return answer

    def do_begin(self, timeout_ms):
        connection = Connection(self.addresses[0], timeout_ms)
        answer = told(connection, None)
        connection.ask(CLOSE_SESSION)
        connection.flush()
        connection.next()
        connection.close()
        return answer

    def do_hostile(self, text):
        """What bytes are answered until the connection is closed."""
        host, _, port = self.addresses[0].rpartition(":")
        with jute.socket.create_connection((host, int(port)), jute.TIMEOUT_S) as connection:
            connection.sendall(bytes.fromhex(text))
            return until_quiet(connection, jute.TIMEOUT_S)

    def do_lose(self, session):
        self.connections[session].close()
        self.lost[session] = (self.connections[session], time.monotonic())
        self.connections[session] = None
        return []

    def do_await(self, session):
        connection, since = self.lost.pop(session)
        until = since + self.sessions[session].timeout / 1000 + EXPIRY_SLACK_S
        seen = []
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            seen += [self.catch_up(other) for other in range(scripts.SESSIONS) if other != session]
        self.connections[session] = connection
        answer = self.resume(session)
        events = [event for events in seen for event in events]
        return [answer, sorted(events, key=str)]

    def end(self):
        for connection in self.connections:
            if connection is not None and not connection.closed:
                connection.ask(CLOSE_SESSION)
                connection.flush()
                while isinstance(connection.next(), Event):
                    pass
                connection.close()


def until_quiet(connection, patience_s):
    """Whether the server closes the connection, and what it says before."""
    connection.settimeout(patience_s)
    answer = b""
    try:
        while more := connection.recv(65536):
            answer += more
    except ConnectionError:
        pass
    except TimeoutError:
        return ["open", answer.hex()]
    return ["closed", answer.hex()]


def told(connection, session):
    """What a new connection was answered."""
    if connection.closed:
        return ["closed"]
    if connection.session is None:
        return ["the session is gone"]
    same = session is None or (connection.session.id, connection.session.password) == (session.id, session.password)
    return ["a session", same, len(connection.session.password), connection.session.timeout, connection.session.read_only]


class Pairs:
    """Zxids of one server with those of the other."""

    def __init__(self):
        self.there, self.ordered = {0: 0}, [(0, 0)]

    def same(self, left, right):
        if isinstance(left, tuple) and isinstance(right, tuple) and left[:1] == right[:1] == ("zxid",):
            return self.paired(left[1], right[1])
        if isinstance(left, list) and isinstance(right, list):
            return len(left) == len(right) and all(map(self.same, left, right))
        return left == right

    def paired(self, left, right):
        if left in self.there:
            return self.there[left] == right
        at = bisect.bisect(self.ordered, (left, right))
        fits = self.ordered[at - 1][1] < right and (at == len(self.ordered) or right < self.ordered[at][1])
        if fits:
            self.there[left] = right
            self.ordered.insert(at, (left, right))
        return fits


class Difference:
    """`step` is the number of the step, `left` and `right` what was seen of it, `script` all steps until there."""

    def __init__(self, script, step, left, right):
        self.script, self.step, self.left, self.right = script[:step + 1], step, left, right

    def parts(self):
        """Pairs of what differs, with the request or session that it was for."""
        step = self.script[self.step]
        if not (isinstance(self.left, list) and isinstance(self.right, list)):
            return [(step, self.left, self.right)]
        pairs = Pairs()
        for number, (left, right) in enumerate(itertools.zip_longest(self.left[0], self.right[0])):
            if not pairs.same(left, right):
                return [(self.request(step, number), left, right)]
        return [(f"{step}: then session {session}", left, right) for session, (left, right) in enumerate(zip(self.left[1], self.right[1])) if left != right] \
            or [(step, self.left, self.right)]

    def request(self, step, number):
        if step[0] != "ask":
            return step
        replies = [seen for seen in self.left[0][:number] if seen[:1] != ["event"]]
        return step[2][len(replies)] if len(replies) < len(step[2]) else step

    def __str__(self):
        lines = [f"    {step}" for step in self.script]
        lines += [f"  {what}\n    one says     {left}\n    the other    {right}" for what, left, right in self.parts()]
        return "\n".join(lines)


def play(script, left, right, timeout_ms=TIMEOUT_MS):
    """None, or the first Difference. `left`, `right`: lists of addresses."""
    base = f"/diff-{os.getpid()}-{next(base_numbers)}"
    sides, pairs = [], Pairs()
    try:
        sides += [Side(addresses, base, timeout_ms) for addresses in (left, right)]
        for number, step in enumerate(script):
            for side in sides:
                side.start(step)
            # Both at once: while one waits for sessions to expire, those of the other must be heard of.
            with ThreadPoolExecutor(len(sides)) as threads:
                seen = list(threads.map(lambda side: finished(side, step), sides))
            if not all(isinstance(one, list) for one in seen) or not pairs.same(*seen):
                return Difference(script, number, *seen)
        return None
    finally:
        for side in sides:
            try:
                side.end()
            except (OSError, Malformed):
                pass


def finished(side, step):
    try:
        return side.finish(step)
    except Malformed as error:
        return str(error)


def minimal(difference, left, right):
    """The shortest script that was found to differ, too."""
    deadline, tries = time.monotonic() + TRYING_S, itertools.count()

    def attempt(script):
        if time.monotonic() > deadline or next(tries) > TRIES:
            return None
        return play(script, left, right)

    size = max(len(difference.script) // 2, 1)
    while size:
        at = 0
        while at < len(difference.script):
            found = attempt(difference.script[:at] + difference.script[at + size:])
            if found:
                difference = found
            else:
                at += size
        size //= 2
    for at in range(len(difference.script) - 1, -1, -1):
        if at < len(difference.script) and difference.script[at][0] == "ask":
            request = len(difference.script[at][2]) - 1
            while request >= 0 and at < len(difference.script):
                name, session, requests = difference.script[at]
                fewer = [name, session, requests[:request] + requests[request + 1:]]
                found = len(requests) > 1 and attempt(difference.script[:at] + [fewer] + difference.script[at + 1:])
                if found:
                    difference = found
                request -= 1
    return difference
