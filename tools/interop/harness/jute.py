"""ZooKeeper's wire format, and connections that speak it: nothing is retried, checked or hidden."""

import socket
import struct

from collections import namedtuple

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, SET_ACL, GET_CHILDREN, SYNC = 1, 2, 3, 4, 5, 6, 7, 8, 9
PING, GET_CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = 11, 12, 13, 14, 15, 16, 17, 18
CREATE_CONTAINER, CREATE_TTL, MULTI_READ, AUTH, SET_WATCHES = 19, 21, 22, 100, 101
GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER, SET_WATCHES2, ADD_WATCH, WHO_AM_I, CLOSE_SESSION = 103, 104, 105, 106, 107, -11
XID_EVENT, XID_PING, XID_AUTH, XID_SET_WATCHES = -1, -2, -4, -8

TIMEOUT_S = 30

Stat = namedtuple("Stat", "czxid mzxid ctime mtime version cversion aversion owner length children pzxid")
Event = namedtuple("Event", "kind state path")
Reply = namedtuple("Reply", "xid zxid error body")
STAT = struct.Struct(">qqqqiiiqiiq")


class Malformed(Exception):
    """An answer that cannot be read."""


def integer(value):
    return struct.pack(">i", value)


def long(value):
    return struct.pack(">q", value)


def boolean(value):
    return b"\1" if value else b"\0"


def buffer(value):
    return b"\xff\xff\xff\xff" if value is None else integer(len(value)) + value


def string(value):
    return buffer(value.encode("utf-8", "surrogatepass"))


def vector(items, encode):
    return integer(len(items)) + b"".join(map(encode, items))


def acls(entries):
    """Of (permissions, scheme, id)."""
    return vector(entries, lambda entry: integer(entry[0]) + string(entry[1]) + string(entry[2]))


class Reader:
    def __init__(self, frame):
        self.frame, self.at = frame, 0

    def take(self, shape):
        try:
            values = shape.unpack_from(self.frame, self.at)
        except struct.error as error:
            raise Malformed(f"{self.frame.hex()} ends before byte {self.at + shape.size}") from error
        self.at += shape.size
        return values

    def integer(self):
        return self.take(struct.Struct(">i"))[0]

    def long(self):
        return self.take(struct.Struct(">q"))[0]

    def boolean(self):
        return self.take(struct.Struct(">?"))[0]

    def buffer(self):
        length = self.integer()
        if length < 0:
            return None
        return self.take(struct.Struct(f">{length}s"))[0]

    def string(self):
        """Java's writer makes two surrogates, of three bytes each, of what lies beyond the first plane: no client reads that as it was meant, and
        torc writes UTF-8. Here both are the same."""
        value = self.buffer()
        return None if value is None else value.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")

    def vector(self, decode):
        return [decode() for _ in range(self.integer())]

    def stat(self):
        return Stat(*self.take(STAT))

    def acl(self):
        return self.integer(), self.string(), self.string()

    def end(self):
        if self.at != len(self.frame):
            raise Malformed(f"{self.frame.hex()} goes on behind byte {self.at}")


Session = namedtuple("Session", "id password timeout read_only")


class Connection:
    """One connection. `session` is None if the server said that the session is gone; `closed`: the server has closed the connection."""

    def __init__(self, address, timeout_ms, session=None, last_zxid=0, read_only=False):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received, self.closed, self.outgoing = bytearray(), False, []
        self.last_zxid, self.xid, self.session = last_zxid, 0, None
        wanted = session or Session(0, bytes(16), 0, False)
        self.send(integer(0) + long(last_zxid) + integer(timeout_ms) + long(wanted.id) + buffer(wanted.password) + boolean(read_only))
        self.flush()
        frame = self.frame()
        if frame is not None:
            reader = Reader(frame)
            reader.integer()
            timeout, number, password = reader.integer(), reader.long(), reader.buffer()
            read_only = reader.boolean()
            reader.end()
            if timeout > 0:
                self.session = Session(number, password, timeout, read_only)
            elif number:
                raise Malformed(f"session {number:#x} has a timeout of {timeout}")

    def send(self, body):
        self.outgoing.append(integer(len(body)) + body)

    def flush(self):
        try:
            self.socket.sendall(b"".join(self.outgoing))
        except (ConnectionError, BrokenPipeError):
            pass  # reading tells
        self.outgoing.clear()

    def frame(self):
        """The next one, or None: there will be none."""
        while True:
            if len(self.received) >= 4:
                length = int.from_bytes(self.received[:4], "big")
                if len(self.received) >= 4 + length:
                    frame = bytes(self.received[4:4 + length])
                    del self.received[:4 + length]
                    return frame
            try:
                more = self.socket.recv(65536)
            except ConnectionError:
                more = b""
            except TimeoutError as error:
                raise Malformed(f"no answer within {TIMEOUT_S} s") from error
            if not more:
                self.closed = True
                return None
            self.received += more

    def ask(self, op, body=b"", xid=None):
        """Sends later: see flush. Returns the xid."""
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.send(integer(xid) + integer(op) + body)
        return xid

    def next(self):
        """The next Reply or Event; None: the connection is at its end."""
        frame = self.frame()
        if frame is None:
            return None
        reader = Reader(frame)
        xid, zxid, error = reader.integer(), reader.long(), reader.integer()
        if xid == XID_EVENT:
            event = Event(reader.integer(), reader.integer(), reader.string())
            reader.end()
            return event
        if 0 < zxid < self.last_zxid:
            raise Malformed(f"the answer to {xid} has zxid {zxid:#x}, one before had {self.last_zxid:#x}")
        self.last_zxid = max(self.last_zxid, zxid)
        return Reply(xid, zxid, error, reader)

    def close(self):
        self.socket.close()
