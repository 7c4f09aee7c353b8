"""What the Python clients share to make the calls of harness/calls.py."""

import sys
import time
import traceback

PATIENCE_S = 5  # how long a change may take to show
TIMEOUT_S = 15  # of one call
COMPARED_KEYS = ("cleanup.policy", "max.message.bytes", "retention.ms")
BROKER_KEYS = ("message.max.bytes", "num.partitions")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
TIMED_VALUES = [f"v{i}" for i in range(10)]


class Day:
    def __init__(self, bootstrap, path):
        self.bootstrap = bootstrap
        with open(path) as lines:
            values = dict(line.rstrip("\n").split("\t") for line in lines)
        self.prefix, self.node, self.base = values["prefix"], int(values["node"]), int(values["base"])
        self.wanted = {name.removeprefix("want."): value for name, value in values.items() if name.startswith("want.")}
        self.last_ms = self.base + 1_000_000  # after all records

    def topic(self, name):
        return f"{self.prefix}.{name}"

    def mine(self, names):
        """Those of the names that the client made, without the prefix."""
        start = self.prefix + "."
        return sorted(name.removeprefix(start) for name in names if name.startswith(start) and name != start + "r")

    def times(self):
        """Timestamps of v0 to v9."""
        return [self.base + (99_000 if i == 7 else 1000 * i) for i in range(10)]

    def run(self, calls, code_of):
        """Makes the calls (name, function without arguments) in turn and prints the answers. `code_of` takes an exception and
        gives Kafka's code, the word "refused", or None if it is neither."""
        for name, call in calls:
            started = time.monotonic()
            deadline = started + PATIENCE_S
            wanted = self.wanted.get(name.partition("/")[0])
            answer = attempt(call, code_of)
            while wanted not in (None, answer) and time.monotonic() < deadline:
                time.sleep(0.05)
                answer = attempt(call, code_of)
            print(name, answer, sep="\t", flush=True)
            print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr)


def attempt(call, code_of):
    try:
        return call()
    except Exception as error:
        code = code_of(error)
        if code is None:
            traceback.print_exc()
            return " ".join(f"failed with {type(error).__name__}: {error}".split())
        return code if code == "refused" else f"error {code}"


def join(values):
    return " ".join(map(str, values))
