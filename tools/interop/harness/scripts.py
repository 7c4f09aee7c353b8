"""Random scripts of ZooKeeper requests for the differential run: made from a seed alone, written as JSON, encoded to bytes.

A script is a list of steps:
    ["ask", session, [request, ...]]       sent at once, answered one by one
    ["auth", session, scheme, text]        credentials
    ["close", session]                     the session ends, and a new one takes its place
    ["reconnect", session]                 the connection is cut, and the session taken up on another
    ["steal", session]                     the session is taken up on another connection while the first is open
    ["forge", session]                     somebody takes the session up with another password
    ["stranger"]                           a session is taken up that there never was
    ["ahead", session]                     it is taken up by who has seen what is still to come
    ["begin", timeout]                     a new session wants this timeout
    ["hostile", hex]                       bytes on a connection of their own
    ["lose", session], ["await", session]  the connection is cut; until the session must have expired
A request is [name, argument, ...]. "~" at the start of a path is the script's own directory.
"""

import random

from harness import jute
from harness.jute import acls, boolean, buffer, integer, long, string, vector

SESSIONS = 3
NAMES = ("a", "b", "c")
PASSWORD = "me:pw"
BAD_PATHS = ("", "a", "/", "~/a/", "~//a", "~/a//b", "~/.", "~/..", "~/a/./b", "~/a/../b", "~/a\x00b", "~/a\x1f", "~/\x7f",
             "~/\ue000", "~/\uf8ff", "~/\ufff0", "~/\U0001f600")
ODD_PATHS = ("~/...", "~/é", "~/a b", "~/a.b", "~/" + "n" * 300, "~/%s", "~/\uf900")
FIXED_PATHS = ("/zookeeper", "/zookeeper/quota", "/zookeeper/config")
UNKNOWN_OPS = (10, 23, 99, 110, 1000, -2, -100)
ME = "me:xlpJGzVhaayvpHfFn/RwowgwqI4="
ACLS = {
    "open": [(31, "world", "anyone")],
    "none": [],
    "mine": [(31, "digest", ME)],
    "read": [(1, "world", "anyone")],
    "auth": [(31, "auth", "")],
    "bad": [(31, "world", "me")],
    "here": [(31, "ip", "127.0.0.1")],
    "net": [(3, "ip", "127.0.0.0/8"), (31, "digest", ME)],
    "away": [(31, "ip", "10.0.0.0/8")],
    "badip": [(31, "ip", "10.0.0.0/40")],
    "baddigest": [(31, "digest", "a:b:c")],
    "twice": [(31, "world", "anyone"), (31, "world", "anyone")],
    "sasl": [(31, "sasl", "x")],
    "unknown": [(31, "nobody", "x")],
    "mixed": [(1, "world", "anyone"), (16, "digest", ME)],
    "nobody": [(0, "world", "anyone")],
    "noread": [(30, "world", "anyone")],
    "nocreate": [(27, "world", "anyone")],
    "nodelete": [(23, "world", "anyone")],
    "admin": [(16, "world", "anyone"), (31, "digest", ME)],
}
# (permissions, how often) of what is made: most must stay usable.
ACL_WEIGHTS = {name: 60 if name == "open" else 3 if name in ("mine", "net", "mixed", "nocreate", "nodelete") else 1 for name in ACLS}
OPS = {"create": jute.CREATE, "create2": jute.CREATE2, "container": jute.CREATE_CONTAINER, "ttl": jute.CREATE_TTL, "delete": jute.DELETE,
       "exists": jute.EXISTS, "get": jute.GET_DATA, "set": jute.SET_DATA, "getacl": jute.GET_ACL, "setacl": jute.SET_ACL,
       "children": jute.GET_CHILDREN, "children2": jute.GET_CHILDREN2, "sync": jute.SYNC, "ping": jute.PING, "check": jute.CHECK,
       "multi": jute.MULTI, "multiread": jute.MULTI_READ, "checkwatches": jute.CHECK_WATCHES, "removewatches": jute.REMOVE_WATCHES,
       "setwatches": jute.SET_WATCHES, "setwatches2": jute.SET_WATCHES2, "ephemerals": jute.GET_EPHEMERALS,
       "count": jute.GET_ALL_CHILDREN_NUMBER, "addwatch": jute.ADD_WATCH, "whoami": jute.WHO_AM_I}
XIDS = {"ping": jute.XID_PING, "setwatches": jute.XID_SET_WATCHES, "setwatches2": jute.XID_SET_WATCHES}
WEIGHTS = {"create": 22, "create2": 5, "container": 2, "ttl": 2, "delete": 12, "exists": 8, "get": 9, "set": 11, "getacl": 3, "setacl": 2,
           "children": 4, "children2": 5, "sync": 1, "ping": 1, "multi": 8, "multiread": 2, "checkwatches": 2, "removewatches": 2,
           "setwatches": 1, "setwatches2": 1, "ephemerals": 1, "count": 1, "addwatch": 3, "whoami": 1, "raw": 0.6}
MULTI_WEIGHTS = {"create": 10, "create2": 2, "container": 1, "ttl": 1, "delete": 6, "set": 6, "check": 4}
STEP_WEIGHTS = {"ask": 100, "auth": 2, "close": 2, "reconnect": 4, "steal": 1, "forge": 0.5, "stranger": 0.5, "ahead": 0.5, "begin": 0.5,
                "hostile": 0.5, "unknown": 0.3, "big": 0.2}
HOSTILE = ("ffffffff", "40000000", "7fffffff" + "00" * 16, "0000000400000000", "0000001000000000000000000000000000000bb8", "72756f6b")


class Author:
    def __init__(self, seed):
        self.random = random.Random(seed)
        # In ZooKeeper 3.8 a session has one kind of watch for a path, the last one that it asked for, and what stays counts as data and
        # child watches when watches are checked or removed. 3.9 keeps them apart, and so does torc; it also has kinds to check and remove
        # (4 and 5) that 3.8 cannot read. So a script has watches of one kind: one-shot (None), persistent (0) or recursive (1).
        self.lasting = self.random.choice((None, None, 0, 1))

    def pick(self, weights):
        return self.random.choices(list(weights), list(weights.values()))[0]

    def chance(self, part):
        return self.random.random() < part

    def path(self):
        dice = self.random.random()
        if dice < 0.015:
            return self.random.choice(BAD_PATHS)
        if dice < 0.03:
            return self.random.choice(ODD_PATHS)
        if dice < 0.035:
            return self.random.choice(FIXED_PATHS)
        if dice < 0.05:
            return "~"
        if dice < 0.06:
            return self.quota()
        depth = self.random.choice((1, 1, 1, 2, 2, 3))
        path = "~" + "".join("/" + self.random.choice(NAMES) for _ in range(depth))
        if dice < 0.15:
            path += f"/s{self.random.randrange(6):010d}" if self.chance(0.5) else f"{self.random.randrange(4):010d}"
        return path

    def quota(self):
        return "/zookeeper/quota" + self.random.choice(("~", "~/a", "~/a/b")) + self.random.choice(("", "/zookeeper_limits", "/zookeeper_stats"))

    def data(self, path):
        if path.endswith("zookeeper_limits"):
            return self.random.choice(("count=3,bytes=50", "count=-1,bytes=-1=;byteHardLimit=40;countHardLimit=4", "nonsense", ""))
        dice = self.random.random()
        return None if dice < 0.08 else "" if dice < 0.2 else "x" * self.random.randrange(1, 12) if dice < 0.99 else "*10000"

    def version(self):
        return self.random.choice((-1, -1, -1, -1, 0, 0, 1, 2, 3, -2))

    def acl(self):
        return self.pick(ACL_WEIGHTS)

    def create(self, name, in_multi=False):
        path = self.path()
        if name == "container":
            # For ZooKeeper a container whose mode says ephemeral is one until it is applied, and can have no children: nothing is made
            # right behind it.
            flags = 4 if self.chance(0.85) else self.random.choice((0, 2, 5) if in_multi else (0, 1, 2, 3, 5))
        elif name == "ttl":
            flags = self.random.choice((5, 6)) if self.chance(0.9) else self.random.choice((0, 3, 4, 7))
        else:
            flags = self.pick({0: 50, 1: 20, 2: 20, 3: 15, 4: 2, 5: 1, 7: 1, -1: 1})
        if flags in (2, 3, 6) and self.chance(0.5):
            path += "/s"
        request = [name, path, self.data(path), self.acl(), flags]
        if name == "ttl":
            # ZooKeeper 3.8 ends itself for 2^40, and for -1 with a mode that has no time to live.
            request.append(self.random.choice((1_000_000, 1_000_000, 0, -1, (1 << 40) - 1) if flags in (5, 6) else (1_000_000, 0)))
        return request

    def request(self, name=None, in_multi=False):
        name = name or self.pick(WEIGHTS)
        path = self.path()
        watch = self.lasting is None and self.chance(0.4)
        match name:
            case "create" | "create2" | "container" | "ttl":
                return self.create(name, in_multi)
            case "delete" | "check":
                return [name, path, self.version()]
            case "set" | "setacl" if path in ("", "/", *FIXED_PATHS):
                return self.request(name, in_multi)  # all scripts share these
            case "set":
                return [name, path, self.data(path), self.version()]
            case "setacl" if path == "~":
                return [name, path, "open", self.version()]
            case "exists" | "get" | "children" | "children2":
                return [name, path, watch]
            case "setacl":
                return [name, path, self.acl(), self.version()]
            case "multi":
                return [name, [self.request(self.pick(MULTI_WEIGHTS), True) for _ in range(self.random.choice((0, 1, 2, 2, 3, 4, 8)))]]
            case "multiread":
                reads = self.random.choice((0, 1, 2, 3, 5))
                return [name, [[self.random.choice(("get", "children")), self.path(), watch] for _ in range(reads)]]
            case "checkwatches" | "removewatches":
                return [name, path, self.random.choice((1, 2, 3, 0, 9) if self.lasting is None else (3, 3, 3, 0, 9))]
            case "setwatches" | "setwatches2":
                lists = 5 if name == "setwatches2" else 3
                since = self.random.choice(("none", "seen", "all"))
                filled = (0, 1, 2) if self.lasting is None else (3 + self.lasting,)
                return [name, since, [[self.path() for _ in range(self.random.randrange(3))] if n in filled else [] for n in range(lists)]]
            case "addwatch" if self.lasting is None:
                return ["exists", path, True]
            case "addwatch":
                return [name, path, self.lasting if self.chance(0.9) else 2]
            case "whoami" | "ping":
                return [name]
            case "raw":
                # A request whose body is not what its type wants.
                op = self.random.choice([op for name, op in OPS.items() if name not in ("ping", "check", "sync", "whoami")])
                return [name, op, self.random.choice(("", "00", "00000004", "ffffffff", "7fffffff", "fffffffe00", "000000022f71", "000000022f61" + "ff" * 4))]
            case _:
                return [name, path]

    def step(self):
        name = self.pick(STEP_WEIGHTS)
        session = self.random.randrange(SESSIONS)
        match name:
            case "ask":
                requests = [self.request() for _ in range(self.random.choice((1, 2, 4, 8, 16)))]
                # ZooKeeper checks what comes right behind a new access list against the old one, or the new one, as it happens.
                last = next((n for n, request in enumerate(requests) if request[0] == "setacl" or request[:2] == ["raw", jute.SET_ACL]
                             or request[0] == "container" and request[4] in (1, 3)), len(requests))
                return [name, session, requests[:last + 1]]
            case "auth":
                return [name, session, *self.random.choice((("digest", PASSWORD),) * 6 + (("digest", "you:x"), ("digest", "nocolon"), ("digest", ""),
                                                            ("ip", ""), ("world", "anyone"), ("nobody", "x"), ("super", "x")))]
            case "stranger":
                return [name]
            case "begin":
                return [name, self.random.choice((-1, 0, 1, 4_000, 5_001, 40_000, 1_000_000))]
            case "hostile":
                return [name, self.random.choice(HOSTILE)]
            case "unknown":
                # Alone, as ZooKeeper closes the connection after it and does not wait for what was asked before.
                return ["ask", session, [[name, self.random.choice(UNKNOWN_OPS)]]]
            case "big":
                return ["ask", session, [["set", "~/a", self.random.choice(("*1048000", "*1100000")), -1]]]
            case _:
                return [name, session]


def make(seed, requests):
    """A script that asks for about so much."""
    author, script, asked = Author(seed), [], 0
    while asked < requests:
        script.append(author.step())
        asked += len(script[-1][2]) if script[-1][0] == "ask" else 1
    return script


def make_expiry(seed):
    """A script in which sessions that have ephemerals and watches expire while others are served."""
    author = Author(seed)
    busy = lambda session: ["ask", session, [["create2", f"~/e{session}{author.random.randrange(9)}", "x", "open", author.random.choice((1, 3))] for _ in range(3)]
                            + [[author.random.choice(("exists", "get", "children")), f"~/e{author.random.randrange(3)}{author.random.randrange(9)}", True]
                               for _ in range(4)] + [["addwatch", "~", 0], ["children", "~", False]]]
    script = [busy(session) for session in range(SESSIONS) for _ in range(2)]
    script += [["lose", 0], busy(1), ["lose", 2], busy(1), ["await", 0], ["await", 2], ["ask", 1, [["children2", "~", False], ["ephemerals", "~"]]]]
    return script + [busy(session) for session in range(SESSIONS)]


def count(script):
    return sum(len(step[2]) if step[0] == "ask" else 1 for step in script)


def expand(path, base):
    return path.replace("~", base, 1)


def text(data):
    """"*N" is so many bytes."""
    return None if data is None else b"z" * int(data[1:]) if data.startswith("*") else data.encode()


def body(request, base, since):
    """What stands behind the head. `since`: the zxids that setwatches can name."""
    name, *arguments = request
    path = expand(arguments[0], base) if arguments and isinstance(arguments[0], str) else None
    match name:
        case "create" | "create2" | "container":
            return string(path) + buffer(text(arguments[1])) + acls(ACLS[arguments[2]]) + integer(arguments[3])
        case "ttl":
            return string(path) + buffer(text(arguments[1])) + acls(ACLS[arguments[2]]) + integer(arguments[3]) + long(arguments[4])
        case "delete" | "check" | "checkwatches" | "removewatches" | "addwatch":
            return string(path) + integer(arguments[1])
        case "exists" | "get" | "children" | "children2":
            return string(path) + boolean(arguments[1])
        case "set":
            return string(path) + buffer(text(arguments[1])) + integer(arguments[2])
        case "setacl":
            return string(path) + acls(ACLS[arguments[1]]) + integer(arguments[2])
        case "getacl" | "sync" | "ephemerals" | "count":
            return string(path)
        case "multi" | "multiread":
            ops = (integer(OPS[op[0]]) + boolean(False) + integer(-1) + body(op, base, since) for op in arguments[0])
            return b"".join(ops) + integer(-1) + boolean(True) + integer(-1)
        case "setwatches" | "setwatches2":
            return long(since[arguments[0]]) + b"".join(vector([expand(path, base) for path in paths], string) for paths in arguments[1])
        case "raw":
            return bytes.fromhex(arguments[1])
        case "whoami" | "ping" | "unknown":
            return b""
    raise ValueError(name)


def op_of(request):
    return request[1] if request[0] in ("raw", "unknown") else OPS[request[0]]
