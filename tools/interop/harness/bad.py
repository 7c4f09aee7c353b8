"""Input that no client should send, case by case: what tools/interop/znodes sends to two servers for its part `badinput`.

Each case has a znode of its own, which has a child "c", so that what one does is not seen by another. A request is bad by one thing
alone: everything else of it is as it should be.
"""

from dataclasses import dataclass

from harness import jute, scripts
from harness.jute import boolean, buffer, integer, long, string, vector

LEAST, MOST = -(1 << 31), (1 << 31) - 1
FRAME_MAX = 0xfffff  # jute.maxbuffer
OPEN = scripts.acls(scripts.ACLS["open"])
DEPTH = 4_000
MANY = 3_000  # operations, entries, paths
OP_RECONFIG, OP_SASL, OP_CREATE_SESSION, OP_DELETE_CONTAINER = 16, 102, -10, 20

# What is no UTF-8, and what is but stands for nothing.
TEXTS = {"a lone byte": b"\xff", "a byte that continues": b"\x80", "an overlong NUL": b"\xc0\x80", "a surrogate": b"\xed\xa0\x80",
         "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80", "a character beyond U+FFFF": b"\xf0\x9f\x98\x80", "one beyond U+10FFFF": b"\xf5\x80\x80\x80",
         "a character that is cut short": b"\xe2\x82", "U+FFFE": b"\xef\xbf\xbe", "U+FFFF": b"\xef\xbf\xbf", "U+FFFD": b"\xef\xbf\xbd",
         "NUL": b"\0", "a control character": b"\x01", "DEL": b"\x7f", "U+0080": b"\xc2\x80", "a private character": b"\xee\x80\x80"}
# Behind a case's own znode.
PATHS = {"a slash at the end": "/", "an empty name": "//x", "a dot": "/.", "two dots": "/..", "a dot in between": "/./x", "two dots in between": "/../x",
         "a dot before the end": "/x/.", "two empty names at the end": "//", "a name of 3,000 characters": "/" + "n" * 3_000, "no parent": "/no/parent",
         "a deep path": "/d" * DEPTH, "below its child": "/c/c/c"}
WHOLE_PATHS = {"no path": "", "the root": "/", "no slash": "x", "no slash but in between": "x/y", "two slashes": "//", "two slashes in front": "//x", "a dot alone": "/.",
               "two dots alone": "/..", "a slash behind /zookeeper": "/zookeeper/", "a space": " ", "a space in front": " /x", "a backslash": "\\x", "a NUL alone": "\0"}
SYSTEM_PATHS = {"/zookeeper": "/zookeeper", "/zookeeper/quota": "/zookeeper/quota", "/zookeeper/config": "/zookeeper/config"}

ACLS = {
    "no entry": [], "an unknown scheme": [(31, "nobody", "x")], "no scheme": [(31, "", "")], "world, but not anyone": [(31, "world", "me")],
    "world without an id": [(31, "world", "")], "World": [(31, "World", "anyone")], "ANYONE": [(31, "world", "ANYONE")], "auth without credentials": [(31, "auth", "")],
    "auth with an id": [(31, "auth", "x")], "super": [(31, "super", "")], "sasl": [(31, "sasl", "x")], "x509": [(31, "x509", "CN=x")],
    "two entries, the second unknown": [(31, "world", "anyone"), (31, "nobody", "x")], "two entries, the first unknown": [(31, "nobody", "x"), (31, "world", "anyone")],
    "one entry twice": [(31, "world", "anyone")] * 2, "one entry 3,000 times": [(31, "world", "anyone")] * MANY,
    **{f"digest {name!r}": [(31, "digest", name)] for name in ("", ":", "a", "a:", ":b", "a:b", "a:b:", "a:b:c", "::", "a::b", " : ", "é:x")},
    **{f"ip {name!r}": [(31, "ip", name)] for name in (
        "", "1", "1.2.3", "1.2.3.4", "1.2.3.4.5", "256.0.0.1", "1.2.3.-4", "01.2.3.4", "1.2.3.4/", "/8", "1.2.3.4/a", "1.2.3.4/-1", "1.2.3.4/0", "1.2.3.4/32", "1.2.3.4/33",
        "1.2.3.4/08", "1.2.3.4/+8", "1.2.3.4/8/9", " 1.2.3.4", "1.2.3.4 ", "host", "::1", "::", "1::2::3", "::1/64", "::1/128", "::1/129", "::1.2.3.4", "fe80::1%eth0", ":::", "12345::")},
    **{f"permissions {perms}": [(perms, "world", "anyone")] for perms in (0, -1, 32, 63, 1 << 20, LEAST, MOST)},
}
AUTHS = {
    "no scheme": ("", b""), "an unknown scheme": ("nobody", b"x"), "world": ("world", b"anyone"), "auth": ("auth", b""), "super": ("super", b"x"), "sasl": ("sasl", b"x"),
    "x509": ("x509", b"CN=x"), "Digest": ("Digest", b"a:b"), "digest without anything": ("digest", b""), "digest without a colon": ("digest", b"a"),
    "digest with a colon alone": ("digest", b":"), "digest with three parts": ("digest", b"a:b:c"), "digest without a name": ("digest", b":b"),
    "digest that is no text": ("digest", b"\xff\xfe:\x80"), "digest with a NUL": ("digest", b"a\0:b"), "a long digest": ("digest", b"a:" + b"b" * 100_000),
    "ip": ("ip", b""), "ip of somebody else": ("ip", b"10.0.0.1"),
}


@dataclass(frozen=True)
class Asked:
    """A request: its number, what stands behind its head, how its answer is read if it is done (see Side.decoded), what is asked behind it."""

    name: str
    op: int
    body: bytes
    request: list
    xid: int | None = None
    then: tuple = ()
    cut_off: bool = False  # the connection is not to be used again


@dataclass(frozen=True)
class Sent:
    """Bytes on the connection of a session, as they are. `ends`: and then the client sends no more."""

    name: str
    bytes: bytes
    ends: bool = False


@dataclass(frozen=True)
class First:
    """Bytes on a new connection."""

    name: str
    bytes: bytes
    ends: bool = False


@dataclass(frozen=True)
class Connect:
    """A connect request that differs from a good one; "own" is the session that there is."""

    name: str
    version: int = 0
    last_zxid: int = 0
    timeout: int = 10_000
    session: object = 0
    password: object = bytes(16)
    flag: bytes = b"\0"
    keep: int | None = None  # bytes of it
    behind: bytes = b""


class Field:
    """A good value, as bytes, and bad ones by name."""

    def __init__(self, good, bad=()):
        self.good, self.bad = good, dict(bad)


def lengths(good, following):
    """What may stand where a length is told. `good`: the right one; `following`: what it counts."""
    wrong = {"null": -1, "length -2": -2, "the least length": LEAST, "one byte too many": good + 1, "a long length": 1 << 20, "the greatest length": MOST}
    return {name: integer(length) + (b"" if name == "null" else following) for name, length in wrong.items()}


def texts(before):
    return {name: buffer(before.encode() + bad) for name, bad in TEXTS.items()}


def path_field(path, znode):
    """`path`: a good one at or below the case's own znode."""
    bad = lengths(len(path), path.encode()) | texts(znode + "/")
    bad |= {name: string(znode + rest) for name, rest in PATHS.items()} | {name: string(whole) for name, whole in WHOLE_PATHS.items()}
    return Field(string(path), bad)


def text_field(text):
    return Field(string(text), lengths(len(text), text.encode()) | texts("") | {"nothing": string("")})


def data_field():
    return Field(buffer(b"data"), lengths(4, b"data"))


def acl_field():
    entry = integer(31) + string("world") + string("anyone")
    bad = lengths(1, entry)
    # Lists: a length that is too large is one that its bytes do not have.
    bad |= {name: scripts.acls(entries) for name, entries in ACLS.items()}
    bad |= {f"scheme: {name}": integer(1) + integer(31) + wrong + string("anyone") for name, wrong in (lengths(5, b"world") | texts("")).items()}
    bad |= {f"id: {name}": integer(1) + integer(31) + string("world") + wrong for name, wrong in (lengths(6, b"anyone") | texts("")).items()}
    bad |= {f"digest: {name}": integer(1) + integer(31) + string("digest") + wrong for name, wrong in texts("a:").items()}
    return Field(OPEN, bad)


def list_field(path):
    """A list of paths."""
    bad = lengths(1, string(path)) | {f"a path: {name}": integer(1) + wrong for name, wrong in path_field(path, path).bad.items()}
    return Field(vector([path], string), bad | {"many": vector([path] * MANY, string)})


def int_field(good, *bad):
    return Field(integer(good), {str(number): integer(number) for number in bad})


def long_field(good, *bad):
    return Field(long(good), {str(number): long(number) for number in bad})


def flag_field():
    return Field(boolean(False), {"2": b"\2", "255": b"\xff"})


VERSIONS = (-2, 1, 5, LEAST, MOST)
MODES = (-1, 4, 5, 6, 7, 8, 255, LEAST, MOST)
# ZooKeeper 3.8 ends itself for a time to live of 2^40, and for one of -1 with a mode that has none.
TTLS = (0, -1, -1_000_000, (1 << 40) - 1, (1 << 40) + 1, -(1 << 63), (1 << 63) - 1)


def shapes(znode, alone=True):
    """The fields of each operation's request, by the name that it has in scripts. `alone`: not in a multi."""
    new, child = znode + "/n", znode + "/c"
    at, version, flag = path_field(znode, znode), int_field(-1, *VERSIONS), flag_field()
    made = [path_field(new, znode), data_field(), acl_field()]
    return {
        "create": [*made, int_field(0, *MODES)], "create2": [*made, int_field(0, *MODES)], "container": [*made, int_field(4, 0, 1, 2, 3, 5, 6, *MODES)],
        "ttl": [*made, int_field(5, 0, 1, 2, 3, *MODES), long_field(1_000_000, *TTLS)],
        "delete": [path_field(child, znode), version], "exists": [at, flag], "get": [at, flag], "set": [at, data_field(), version], "getacl": [at],
        "setacl": [at, acl_field(), version], "children": [at, flag], "children2": [at, flag], "sync": [at], "ping": [], "whoami": [],
        "checkwatches": [at, int_field(3, 0, 6, 9, -1, LEAST, MOST)], "removewatches": [at, int_field(3, 0, 6, 9, -1, LEAST, MOST)],
        "setwatches": [long_field(0, -1, (1 << 63) - 1), list_field(znode), list_field(znode + "/no"), list_field(znode)],
        "setwatches2": [long_field(0, -1, (1 << 63) - 1), list_field(znode), list_field(znode + "/no"), list_field(znode), list_field(znode), list_field(znode)],
        # ZooKeeper says nothing to one that is alone and right; nobody asks for that.
        "check": [at, int_field(5, -2, 7, LEAST, MOST) if alone else version],
        "ephemerals": [at], "count": [at], "addwatch": [at, int_field(0, 2, 3, -1, LEAST, MOST)],
    }


OTHER_SHAPES = {"sasl": (OP_SASL, [Field(buffer(b"token"), lengths(5, b"token") | {"nothing": buffer(b"")})]),
                "reconfig": (OP_RECONFIG, [text_field("server.1=h:1:2"), text_field(""), text_field(""), long_field(-1, 0, 5)])}
IN_MULTIS = ("create", "create2", "container", "ttl", "delete", "set", "check")
ON_SYSTEM = ("create", "create2", "delete", "set", "setacl", "check", "exists", "get", "children2", "addwatch")


def answer_of(name, znode, what=""):
    """How the answer to a request is read: what Side.decoded wants to know of it."""
    path = WHOLE_PATHS.get(what.removeprefix("field 0: "), znode)
    return [name, path] if name not in ("ping", "whoami") else [name]


def mangled(fields):
    """(what is wrong, the body) for each way in which one of these fields is wrong, the body is cut short, or something is behind it."""
    good = b"".join(field.good for field in fields)
    yield "as it should be", good
    for length in range(len(good)):
        yield f"cut to {length} of {len(good)} bytes", good[:length]
    for what, behind in {"a byte": b"\0", "four bytes": b"\xff" * 4, "the same again": good or b"\0" * 40}.items():
        yield f"with {what} behind it", good + behind
    for number, field in enumerate(fields):
        for name, wrong in field.bad.items():
            yield f"field {number}: {name}", b"".join(wrong if number == n else other.good for n, other in enumerate(fields))


class Author:
    """`next_znode` gives each case a znode of its own."""

    def __init__(self, base):
        self.base, self.znodes = base, []
        self.pattern = f"{base}/z{0:05}"

    def next_znode(self):
        self.znodes.append(f"{self.base}/z{len(self.znodes) + 1:05}")
        return self.znodes[-1]

    def mangled(self, name, alone=True):
        """(what is wrong, the body, the znode) of an operation."""
        for what, body in mangled(shapes(self.pattern, alone)[name]):
            znode = self.next_znode()
            yield what, body.replace(self.pattern.encode(), znode.encode()), znode

    def fields(self):
        for name in scripts.OPS:
            if name in ("multi", "multiread"):
                continue
            for what, body, znode in self.mangled(name):
                then = (["checkwatches", znode, 3],) if name == "addwatch" else ()
                yield Asked(f"{name}: {what}", scripts.OPS[name], body, answer_of(name, znode, what), scripts.XIDS.get(name), then)
        for name, (op, fields) in OTHER_SHAPES.items():
            for what, body in mangled(fields):
                # What cannot be read is left unanswered by ZooKeeper where a token was answered before.
                yield Asked(f"{name}: {what}", op, body, [name], cut_off=name == "sasl")

    def system_paths(self):
        for name in ON_SYSTEM:
            for path in (*SYSTEM_PATHS, "/"):
                fields = shapes(self.base)[name]
                # A version that none of these has: what they hold is the whole server's.
                last = integer(77) if name in ("delete", "set", "setacl", "check") else fields[-1].good
                body = string(path) + b"".join(field.good for field in fields[1:-1]) + last
                yield Asked(f"{name}: {path}", scripts.OPS[name], body, answer_of(name, path))
        for path in ("/zookeeper", "/zookeeper/quota", "/zookeeper/config", "/"):
            yield Asked(f"delete, any version: {path}", jute.DELETE, string(path) + integer(-1), ["delete", path])

    def multis(self):
        for name in IN_MULTIS:
            for what, body, znode in self.mangled(name, False):
                parts = [["check", znode, -1], answer_of(name, znode, what), ["check", znode, -1]]
                check = head(jute.CHECK) + string(znode) + integer(-1)
                yield Asked(f"multi of {name}: {what}", jute.MULTI, check + head(scripts.OPS[name]) + body + check + END, ["multi", parts])
        for name in ("get", "children"):
            for what, body, znode in self.mangled(name):
                read = head(jute.GET_DATA) + string(znode) + boolean(False)
                parts = [["get", znode], answer_of(name, znode, what), ["get", znode]]
                yield Asked(f"multiread of {name}: {what}", jute.MULTI_READ, read + head(scripts.OPS[name]) + body + read + END, ["multiread", parts])
        yield from self.other_multis()

    def other_multis(self):
        def case(what, body, parts=(), name="multi", **more):
            return Asked(f"{name}: {what}", scripts.OPS[name], body, [name, list(parts)], **more)

        z = self.next_znode
        for name in ("multi", "multiread"):
            yield case("nothing at all", b"", name=name)
            yield case("its end alone", END, name=name)
            for op, flag, error in ((1, b"\1", 0), (14, b"\1", -1), (MOST, b"\1", MOST), (-1, b"\2", -1), (-1, b"\xff", -1), (-1, b"\0", -1), (-1, b"\0", 0)):
                yield case(f"an end of {op}, {flag.hex()}, {error}", integer(op) + flag + integer(error), name=name)
            for length in range(len(END)):
                yield case(f"an end of {length} bytes", END[:length], name=name)
            yield case("something behind its end", END + END + b"\xff" * 20, name=name)
        znode = z()
        delete, check = ["delete", znode + "/c", -1], ["check", znode, -1]
        written = {"delete": string(znode + "/c") + integer(-1), "check": string(znode) + integer(-1)}
        for flag, error in ((b"\2", -1), (b"\0", 0), (b"\0", -101), (b"\0", MOST)):
            znode = z()
            yield case(f"a check whose head says {flag.hex()}, {error}", integer(jute.CHECK) + flag + integer(error) + string(znode) + integer(-1) + END,
                       [["check", znode, -1]])
        yield case("an end in between", head(jute.CHECK) + written["check"] + END + head(jute.DELETE) + written["delete"] + END, [check, delete])
        for op in (-100, -11, -10, -2, -1, 0, 3, 4, 6, 7, 8, 9, 10, 11, 12, 14, 16, 17, 18, 20, 22, 23, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 1000, LEAST, MOST):
            znode = z()
            body = string(znode) + integer(-1) + b"\0" * 16
            yield case(f"an operation {op}", head(op) + body + END)
            yield case(f"an operation {op} behind a delete", head(jute.DELETE) + string(znode + "/c") + integer(-1) + head(op) + body + END)
        for op in (1, 2, 3, 5, 7, 9, 12, 13, 14, 15, 19, 21, 22, -1, 0, 1000):
            znode = z()
            read = head(jute.GET_DATA) + string(znode) + boolean(False)
            yield case(f"an operation {op}", read + head(op) + string(znode) + integer(-1) + b"\0" * 16 + END, name="multiread")
        znode = z()
        inner = head(jute.DELETE) + string(znode + "/c") + integer(-1) + END
        yield case("a multi in it", head(jute.MULTI) + inner + END)
        yield case("a read in it", head(jute.DELETE) + string(znode + "/c") + integer(-1) + head(jute.GET_DATA) + string(znode) + boolean(False) + END)
        yield case("a write in it", head(jute.GET_DATA) + string(znode) + boolean(False) + inner, name="multiread")
        yield from self.refused_multis(case)

    def refused_multis(self, case):
        """All of the operations fail with one of them, wherever it stands."""
        znode = self.next_znode()
        good = [["set", znode, "y", -1], ["create", znode + "/m", "", "open", 0], ["check", znode, -1]]
        bad = {"a check of what is missing": ["check", znode + "/no", -1], "a check of another version": ["check", znode, 7], "a delete of what is missing": ["delete", znode + "/no", -1],
               "a delete of what has children": ["delete", znode, -1], "a create of what is there": ["create", znode + "/c", "", "open", 0],
               "a create without a parent": ["create", znode + "/no/x", "", "open", 0], "a create with a bad path": ["create", znode + "//x", "", "open", 0],
               "a create without a list": ["create", znode + "/x", "", "none", 0], "a set of another version": ["set", znode, "y", 7],
               "a set of what is missing": ["set", znode + "/no", "y", -1]}
        for what, one in bad.items():
            for at in range(len(good) + 1):
                request = ["multi", good[:at] + [one] + good[at:]]
                yield case(f"{what}, as operation {at}", scripts.body(request, self.base, {}), request[1])
        request = ["multi", [["check", znode, -1]] * MANY]
        yield case("many checks", scripts.body(request, self.base, {}), request[1])
        yield case("many checks, the last of what is missing", scripts.body(["multi", request[1] + [["check", znode + "/no", -1]]], self.base, {}),
                   request[1] + [["check", znode + "/no", -1]])
        request = ["multiread", [["get", znode, False], ["get", znode + "/no", False], ["children", "", False], ["get", "x", False], ["children", znode + "/", False]]]
        yield case("some of what is missing", scripts.body(request, self.base, {}), request[1], name="multiread")

    def auths(self):
        """Each on a connection that is not used for anything else."""
        who = (["whoami"],)
        for what, (scheme, data) in AUTHS.items():
            yield Asked(f"auth: {what}", jute.AUTH, integer(0) + string(scheme) + buffer(data), ["auth"], jute.XID_AUTH, who, True)
        fields = [int_field(0, 1, -1, MOST), text_field("digest"), Field(buffer(b"a:b"), lengths(3, b"a:b"))]
        for what, body in mangled(fields):
            yield Asked(f"auth: {what}", jute.AUTH, body, ["auth"], jute.XID_AUTH, who, True)
        yield Asked("auth: ip with null", jute.AUTH, integer(0) + string("ip") + integer(-1), ["auth"], jute.XID_AUTH, who, True)
        yield Asked("auth: an unknown scheme with null", jute.AUTH, integer(0) + string("nobody") + integer(-1), ["auth"], jute.XID_AUTH, who, True)

    def operations(self):
        """Operations that nobody knows, or that are between servers, and numbers of requests that mean something else."""
        for op in (-1000, -101, -12, OP_CREATE_SESSION, -9, -2, -1, 0, 10, OP_RECONFIG, OP_DELETE_CONTAINER, 23, 24, 25, 50, 99, OP_SASL, 108, 109, 1000, LEAST, MOST):
            znode = self.next_znode()
            for what, body in {"nothing": b"", "four bytes": b"\0" * 4, "a path": string(znode), "a path and more": string(znode) + b"\0" * 40}.items():
                yield Asked(f"operation {op} with {what}", op, body, ["sasl" if op == OP_SASL else "unknown"], 5)
        for xid in (0, -1, -2, -3, -4, -8, LEAST, MOST):
            znode = self.next_znode()
            for name in ("get", "set", "ping", "sync", "whoami", "multi"):
                body = END if name == "multi" else b"".join(field.good for field in shapes(znode)[name])
                yield Asked(f"{name} as request {xid}", scripts.OPS[name], body, [name, []] if name == "multi" else answer_of(name, znode), xid)
            yield Asked(f"auth as request {xid}", jute.AUTH, integer(0) + string("digest") + buffer(b"a:b"), ["auth"], xid, (["whoami"],), True)
            yield Asked(f"bad auth as request {xid}", jute.AUTH, integer(0) + string("nobody") + buffer(b"a:b"), ["auth"], xid, (["whoami"],), True)

    def frames(self):
        """Lengths of frames, and frames that are no requests, on the connection of a session."""
        for length in (-1, -2, LEAST, FRAME_MAX + 1, 1 << 24, MOST):
            for behind in (b"", b"\0" * 64):
                yield Sent(f"a frame of {length} bytes, {len(behind)} of which come", integer(length) + behind)
        for length in range(8):
            yield Sent(f"a frame of {length} bytes", integer(length) + (integer(9) + integer(jute.WHO_AM_I))[:length])
        for length in range(4):
            yield Sent(f"{length} bytes of a length, and the end", integer(64)[:length], ends=True)
        for length in range(1, 16, 5):
            yield Sent(f"{length} of 64 bytes, and the end", integer(64) + b"\0" * length, ends=True)
        yield Sent("half a frame, and silence", integer(64) + b"\0" * 20)
        yield Sent("four letters", b"ruok")
        yield Sent("HTTP", b"GET / HTTP/1.1\r\n\r\n")
        znode = self.next_znode()
        room = FRAME_MAX - 8 - len(string(znode) + buffer(b"") + integer(-1))
        for what, size in {"the largest frame": room, "a frame of one byte more": room + 1, "a frame of twice as much": 2 * room}.items():
            yield Asked(what, jute.SET_DATA, string(znode) + buffer(b"z" * size) + integer(-1), ["set", znode])
        yield Asked("a connect request on a connection that has a session", 0, long(0) + integer(10_000) + long(0) + buffer(bytes(16)) + b"\0", ["unknown"], 0)

    def connects(self):
        good = integer(0) + long(0) + integer(10_000) + long(0) + buffer(bytes(16)) + b"\0"
        for length in range(len(good)):
            yield Connect(f"cut to {length} of {len(good)} bytes", keep=length)
        yield Connect("as it should be")
        for version in (-1, 1, 7, LEAST, MOST):
            yield Connect(f"version {version}", version=version)
        for timeout in (-1, 0, 1, 3_999, 40_001, LEAST, MOST):
            yield Connect(f"a timeout of {timeout}", timeout=timeout)
        for flag in (b"\1", b"\2", b"\xff"):
            yield Connect(f"a flag of {flag.hex()}", flag=flag)
        for what, behind in {"a byte": b"\0", "many": b"\xff" * 1000}.items():
            yield Connect(f"with {what} behind it", behind=behind)
        passwords = {"null": None, "empty": b"", "of one byte": b"x", "of 15 bytes": b"x" * 15, "of 17 bytes": b"x" * 17, "of 1,000 bytes": b"x" * 1000, "that is wrong": b"x" * 16,
                     "of zeroes": bytes(16)}
        for whose, session in {"no session": 0, "an unknown session": 0x7700_0000_0000_1234, "its own session": "own", "session -1": -1, "the least session": -(1 << 63)}.items():
            for what, password in passwords.items():
                yield Connect(f"{whose}, a password {what}", session=session, password=password)
        yield Connect("its own session and password", session="own", password="own")
        yield Connect("its own session and password, and a timeout of -1", session="own", password="own", timeout=-1)
        yield Connect("its own session and password, without the flag", session="own", password="own", flag=b"")
        yield Connect("an unknown session with a good password", session=0x7700_0000_0000_1234, password="own")
        for zxid in (-1, -(1 << 63), 1 << 62, (1 << 63) - 1):
            for session in (0, "own"):
                yield Connect(f"{'a new' if session == 0 else 'its own'} session, last zxid {zxid}", last_zxid=zxid, session=session, password="own" if session else bytes(16))
        for name in ("a length of -1", "a length of -2", "the least length", "a long length", "the greatest length"):
            length = {"a length of -1": -1, "a length of -2": -2, "the least length": LEAST, "a long length": 1 << 20, "the greatest length": MOST}[name]
            yield First(f"a password with {name}", framed(good[:24] + integer(length) + bytes(17)))

    def firsts(self):
        """What comes first on a connection, and is no connect request."""
        for length in (-1, 0, -2, LEAST, FRAME_MAX + 1, MOST):
            yield First(f"a frame of {length} bytes", integer(length))
            yield First(f"a frame of {length} bytes, and more", integer(length) + b"\0" * 64)
        for name, body in {"get": string("/") + b"\0", "set": string("/") + buffer(b"x") + integer(-1), "ping": b"", "multi": END, "closeSession": b""}.items():
            op = {**scripts.OPS, "closeSession": jute.CLOSE_SESSION}[name]
            yield First(f"{name} before a session", framed(integer(1) + integer(op) + body))
        for word in (b"ruok", b"isro", b"abcd", b"RUOK", b"ruok\n", b"ruokruok", b"kill", b"telnet close"):
            yield First(f"the word {word!r}", word)
        for word in (b"r", b"ru", b"ruo", b"stmk", b"stmk\0\0\0"):
            yield First(f"the word {word!r}, and the end", word, ends=True)
        yield First("the word b'stmk' with a mask", b"stmk" + long(306))
        yield First("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        yield First("TLS", bytes.fromhex("16030100a5010000a10303") + bytes(154))
        yield First("nothing, and the end", b"", ends=True)


def framed(body):
    return integer(len(body)) + body


def head(op):
    return integer(op) + boolean(False) + integer(-1)


END = integer(-1) + boolean(True) + integer(-1)


def cases(base):
    """Topics with their cases, and the znodes that must be there for them, by topic."""
    topics = {}
    for topic in ("fields", "system_paths", "multis", "auths", "operations", "frames", "connects", "firsts"):
        author = Author(f"{base}/{topic}")
        topics[topic] = list(getattr(author, topic)()), author.znodes
    return topics
