"""What the server says of itself, asked in plain bytes: what the clients' answers are held against needs no client."""

import dataclasses
import socket
import struct

API_VERSIONS, METADATA = 18, 3
TIMEOUT_S = 10


@dataclasses.dataclass(frozen=True)
class Facts:
    apis: frozenset  # API keys that the server advertises
    cluster: str
    node: int
    address: str  # host:port, as advertised


class Reader:
    """Takes Kafka's primitive types off a response, in its old encodings."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, layout):
        (value,) = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return value

    def string(self):
        length = self.number(">h")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def array(self, read):
        return [read() for _ in range(self.number(">i"))]


def ask(bootstrap):
    """Facts of the node at `bootstrap`: one that stands alone may call itself something else."""
    host, _, port = bootstrap.rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
        reader = exchange(connection, API_VERSIONS, 0, b"")
        assert (error := reader.number(">h")) == 0, f"ApiVersions was answered with error {error}"
        apis = reader.array(lambda: (reader.number(">h"), reader.number(">h"), reader.number(">h"))[0])
        reader = exchange(connection, METADATA, 2, struct.pack(">i", 0))  # of no topic
        nodes = reader.array(lambda: (reader.number(">i"), reader.string(), reader.number(">i"), reader.string()))
        there = [node for node in nodes if len(nodes) == 1 or f"{node[1]}:{node[2]}" == bootstrap]
        assert len(there) == 1, f"none of the {len(nodes)} nodes says that it is {bootstrap}"
    node, node_host, node_port, _rack = there[0]
    return Facts(frozenset(apis), reader.string(), node, f"{node_host}:{node_port}")


def exchange(connection, api, version, body):
    """One request and its response, after the correlation id."""
    request = struct.pack(">hhi", api, version, api) + struct.pack(">h", 7) + b"interop" + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    with connection.makefile("rb", buffering=0) as stream:
        (length,) = struct.unpack(">i", exactly(stream, 4))
        reader = Reader(exactly(stream, length))
    assert (correlation := reader.number(">i")) == api, f"the answer to request {api} names {correlation}"
    return reader


def exactly(stream, count):
    data = b""
    while len(data) < count:
        more = stream.read(count - len(data))
        if not more:
            raise ConnectionError(f"the server closed the connection after {len(data)} of {count} bytes")
        data += more
    return data
