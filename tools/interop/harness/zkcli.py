"""ZooKeeper's command-line client: runs the story of ensemble/story.txt and compares what it prints with what stands there.

The story has the form of that of Kafka's tools (harness/tools.py); its runs are lines for the client. What cannot be the same twice is
replaced: zxids by {zxid}, times by {time}, sessions by {session}.
"""

import re
import subprocess

from harness import tools
from harness.clients import BUILD, HERE

STORY = HERE / "ensemble" / "story.txt"
CHANGING = (
    (re.compile(r"(ephemeralOwner = )0x(?!0$|8000|ff00)[0-9a-f]+"), r"\1{session}"),
    (re.compile(r"([cmp]Zxid = )0x[0-9a-f]+"), r"\1{zxid}"),
    (re.compile(r"([cm]time = ).*"), r"\1{time}"),
    (re.compile(r"zxid: -?\d+"), "zxid: {zxid}"),
    (re.compile(r"@\d+"), "@{place}"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ \[myid:.*"), ""),
    (re.compile(r"[ \t]+"), " "),
)
# The usage lists what a command-line client of this version knows, not what the server does.
NOISE = re.compile(r"ZooKeeper -server host:port|\t\w+ ?|Connecting to ")


def command(run):
    return run.text.partition(" ")[2]


def normal(lines, root):
    result = []
    for line in lines:
        if NOISE.match(line):
            continue
        line = line.replace(root, "{p}")
        if line.startswith("[") and ", " in line:
            line = "[" + ", ".join(sorted(line.strip().strip("[]").split(", "))) + "]"  # names have no order
        for pattern, name in CHANGING:
            line = pattern.sub(name, line)
        if line.strip():
            result.append(line.strip())
    return result


def tell(runs, hosts, root, log):
    """Yields (run, lines printed, exit code) of all runs, made in one session."""
    with open(log, "wb") as errors:
        jvm = subprocess.Popen(["java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp",
                                f"{BUILD}/ensemble/lib/*:{BUILD}/ensemble/classes", "Cli", hosts],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        answer(jvm, log)
        for run in runs:
            jvm.stdin.write(command(run).replace("{p}", root) + "\n")
            jvm.stdin.flush()
            printed, code = answer(jvm, log)
            yield run, normal(printed, root), code
    finally:
        jvm.kill()
        jvm.communicate()


def answer(jvm, log):
    printed = []
    for line in jvm.stdout:
        if line.startswith("exit\t"):
            return printed, line.split("\t")[1].strip()
        printed.append(line)
    raise RuntimeError(f"the command-line client ended; see {log}")


def check(target, log, root):
    runs = tools.read_story(STORY)
    name = lambda run: f"line {run.line}: {command(run)}"
    for run in runs:
        target.check(name(run), "was not made")
    for run, printed, code in tell(runs, target.hosts, root, log):
        target.check(name(run), tools.difference(run, printed, code))


def write_story(hosts, root, log):
    """The story anew, as these servers tell it. For Apache ZooKeeper, and to be read before it is kept."""
    told = iter(list(tell(tools.read_story(STORY), hosts, root, log)))
    text = []
    for line in STORY.read_text().splitlines():
        if line.startswith(("$", "~")):
            _, printed, code = next(told)
            text += [line, *printed, f"= {code}"]
        elif line.startswith("#") or not line:
            text.append(line)
    STORY.write_text("\n".join(text) + "\n")
