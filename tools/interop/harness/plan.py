"""What is written to each topic, and the digests that every reader must therefore arrive at.

A plan is a file of tab-separated lines, one record each, in the order in which they are produced:

    partition  timestamp  key  value  headers

Keys and values are base64, `-` for null. Headers are `name:value` pairs joined by commas, both sides base64, the value `-` for null.
The timestamp is in milliseconds, `-` where the client cannot set one. Clients need no JSON library, and no generator of their own.

A digest covers the records of one partition in offset order. SHA-256 over, per record, all integers big-endian:

    i64 offset, bytes key, bytes value, i32 header count, (bytes name, bytes value)...     where bytes = i32 length (-1 for null), data

Timestamps have a digest of their own, SHA-256 over one i64 per record, since not every client can set them.
"""

import base64
import dataclasses
import hashlib
import random
import struct

from harness.clients import Abilities

RECORDS_PER_TOPIC = 600
LARGE_RECORD_BYTES = 900_000  # still within every client's default limit
LARGEST_RECORD_BYTES = 5 * 1024 * 1024
LARGEST_MESSAGE_BYTES = 6 * 1024 * 1024  # max.message.bytes of the topics that hold the largest records
SMALL_SIZES = [1, 1, 2, 7, 10, 50, 100, 100, 300, 1_000, 1_000, 4_000, 16_000]
HEADER_NAMES = ["a", "content-type", "naïve", "trace", "x" * 200]


@dataclasses.dataclass
class Record:
    partition: int
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


@dataclasses.dataclass
class Expected:
    """What a reader must report for one partition; `timestamps` is None where the producer could not choose them."""

    count: int
    digest: str
    timestamps: str | None


def make(seed: str, kind: str, partitions: int, abilities: Abilities, base_ms: int) -> list[Record]:
    """The records of one topic: a function of its arguments alone. `kind` is base, headers or large."""
    rng = random.Random(seed)
    if kind == "large":
        values = [compressible(rng, 1_500_000), b"1", rng.randbytes(LARGEST_RECORD_BYTES), compressible(rng, LARGEST_RECORD_BYTES // 2)]
    else:
        values = [small_value(rng, abilities) for _ in range(RECORDS_PER_TOPIC)]
        values[RECORDS_PER_TOPIC // 2] = rng.randbytes(LARGE_RECORD_BYTES)
        values[RECORDS_PER_TOPIC // 3] = compressible(rng, LARGE_RECORD_BYTES)
    # One partition stays empty where there are several: readers must cope with that, too.
    in_use = partitions - 1 if partitions > 2 else partitions
    per_partition = [make_headers(rng, kind, abilities) for _ in range(in_use)]
    records = []
    for i, value in enumerate(values):
        partition = i if i < in_use else rng.randrange(in_use)
        # Mostly ascending; now and then one from the past, as clocks do.
        timestamp = base_ms + 7 * i - (60_000 if i % 13 == 5 else 0)
        headers = make_headers(rng, kind, abilities) if abilities.headers_per_record else per_partition[partition]
        key = make_key(rng, abilities)
        if key is None and value is None and not abilities.both_null:
            key = b"key"
        records.append(Record(partition, timestamp if abilities.timestamps else None, key, value, headers))
    return records


def make_key(rng: random.Random, abilities: Abilities) -> bytes | None:
    choice = rng.randrange(8)
    if choice < 2:
        return None
    if choice == 2 and abilities.empty:
        return b""
    if choice == 3:
        return rng.randbytes(300)
    return b"key-%d" % rng.randrange(100)


def small_value(rng: random.Random, abilities: Abilities) -> bytes | None:
    choice = rng.randrange(12)
    if choice == 0:
        return None
    if choice == 1 and abilities.empty:
        return b""
    size = rng.choice(SMALL_SIZES)
    return rng.randbytes(size) if choice % 2 else compressible(rng, size)


def compressible(rng: random.Random, size: int) -> bytes:
    word = rng.randbytes(rng.randrange(1, 200))
    return (word * (size // len(word) + 1))[:size]


def make_headers(rng: random.Random, kind: str, abilities: Abilities) -> list[tuple[str, bytes | None]]:
    """Base topics: what every client can read, so no null value, no name twice, names sorted (rskafka keeps a sorted map).
    Header topics: whatever else the producer can say."""
    if kind == "headers":
        names = [rng.choice(HEADER_NAMES) for _ in range(rng.randrange(6))]
        return [(name, rng.choice([None if abilities.null_headers else b"null", b"", header_value(rng)])) for name in names]
    names = sorted(rng.sample(HEADER_NAMES, rng.choice([0, 0, 1, 2, 4])))
    return [(name, rng.choice([b"", header_value(rng), header_value(rng)])) for name in names]


def header_value(rng: random.Random) -> bytes:
    """Any bytes but NUL and comma: kcat takes headers as arguments and prints them joined by commas."""
    return rng.randbytes(rng.choice([1, 8, 40])).replace(b"\0", b"0").replace(b",", b".")


def encode_line(record: Record) -> str:
    timestamp = "-" if record.timestamp is None else str(record.timestamp)
    headers = ",".join(f"{encode(name.encode())}:{encode(value)}" for name, value in record.headers)
    return f"{record.partition}\t{timestamp}\t{encode(record.key)}\t{encode(record.value)}\t{headers}\n"


def encode(data: bytes | None) -> str:
    return "-" if data is None else base64.b64encode(data).decode()


def expect(records: list[Record], partitions: int) -> list[Expected]:
    """The answer, computed from the plan alone; clients compute theirs from what they read."""
    result = []
    for partition in range(partitions):
        contents, timestamps = hashlib.sha256(), hashlib.sha256()
        mine = [record for record in records if record.partition == partition]
        for offset, record in enumerate(mine):
            contents.update(struct.pack(">q", offset))
            for part in (record.key, record.value):
                contents.update(canonical(part))
            contents.update(struct.pack(">i", len(record.headers)))
            for name, value in record.headers:
                contents.update(canonical(name.encode()) + canonical(value))
            timestamps.update(struct.pack(">q", record.timestamp or 0))
        chosen = all(record.timestamp is not None for record in mine)
        result.append(Expected(len(mine), contents.hexdigest(), timestamps.hexdigest() if chosen else None))
    return result


def canonical(data: bytes | None) -> bytes:
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data
