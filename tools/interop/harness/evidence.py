"""What is looked at when an application of Kafka Streams has failed: whether the records are there, who should have read them and how far
that came, and what the programs said. Nobody may be able to look later."""

import contextlib
import pathlib
import signal
import subprocess
import time

from harness.stage import LOGS, PATIENCE_S

RECORDS, LOG_LINES, STACK_LINES, LINE_CHARS = 5, 30, 15, 300
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"


def of_streams(stage, name, group, topics):
    """Lines of the stage's application `name`, which is that group, about its topics and first of all `topics`, whose values are integers."""
    said = {path.name: ends(path) for path in logs(stage)}
    stacks = stack(stage, name)  # which go into its log
    parts = {
        "partitions": lambda: offsets(stage),
        **{f"first records of {topic}": lambda topic=topic: records(stage, topic) for topic in topics},
        "group": lambda: tool(stage, "group", GROUPS, "--describe", "--group", group),
        "members": lambda: tool(stage, "members", GROUPS, "--describe", "--group", group, "--members", "--verbose"),
        f"threads of {name}": lambda: stacks,
        **{log: lambda lines=lines: lines for log, lines in said.items()},
    }
    for what, look in parts.items():
        try:
            lines = list(look())
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            lines = [f"{type(error).__name__}: {error}"]
        yield from (f"{what}: {line[:LINE_CHARS]}" for line in lines or ["none"])


def tool(stage, name, main, *arguments):
    """What one of Kafka's tools prints."""
    stage.java(name, main, "--bootstrap-server", stage.bootstrap, *arguments).wait(PATIENCE_S)
    return [line for line in stage.printed(name) if line.strip()]


def offsets(stage):
    """Where each partition begins and ends, a line for each topic."""
    first, behind = (positions(stage, moment) for moment in ("earliest", "latest"))
    for topic in sorted({topic for topic, _ in behind}):
        spans = [f"{first.get((topic, partition), '?')}-{end}" for (of, partition), end in sorted(behind.items()) if of == topic]
        yield f"{topic} {' '.join(spans)}"


def positions(stage, moment):
    rows = [line.rsplit(":", 2) for line in tool(stage, moment, "org.apache.kafka.tools.GetOffsetShell", "--time", moment)]
    return {(row[0], int(row[1])): int(row[2]) for row in rows if len(row) == 3 and row[1].isdigit() and row[2].isdigit()}


def records(stage, topic):
    """The first records that a new reader gets: partition, offset, timestamp, key, value."""
    return stage.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-c", RECORDS, "-s", "value=i", "-f", "%p %o %T %k %s\n").splitlines()


def stack(stage, name):
    """Where the application's own threads are."""
    process = stage.named.get(name)
    if process is None or process.poll() is not None:
        return ["it has ended"]
    before = len(stage.printed(name))
    process.send_signal(signal.SIGQUIT)
    time.sleep(2)
    return stacks_of(stage.printed(name)[before:])


def stacks_of(dump):
    """The tops of the stacks of Streams' threads in a JVM's dump of all."""
    lines, left = [], 0
    for line in dump:
        if line.startswith('"'):
            # Not those of their clients, which are named after them.
            is_own = ("StreamThread" in line or "StateUpdater" in line) and not line.startswith('"kafka-')
            left = STACK_LINES if is_own else 0
        if left and line.strip():
            lines.append(line)
            left -= 1
    return lines


def logs(stage):
    """Of the stage's own programs, and of the server."""
    own = (LOGS / f"{stage.name}-{name}.log" for name in stage.named if not name.startswith("create-"))
    return [*own, *(pathlib.Path(log) for log in [getattr(stage.server, "log", None)] if log)]


def ends(path):
    """The end of a log, without the frames of stacks."""
    with contextlib.suppress(FileNotFoundError):
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip() and not line.startswith("\tat ")]
        return lines[-LOG_LINES:]
    return []
