"""Kafka's own command-line tools: runs the story of tools/story.txt and compares what each prints with what stands there.

A run is a line `$ tool arguments`, after it perhaps lines `< text` for its standard input, then what it prints, then `= code`. `~` instead
of `$`: in any order. In arguments and texts {p} is a prefix that is this run's own. What cannot be the same twice is replaced: ids by
{id}, times in milliseconds by {ms}, the server by {server}; several blanks count as one.
"""

import dataclasses
import pathlib
import re
import shlex
import subprocess

from harness.clients import BUILD, HERE

STORY = HERE / "tools" / "story.txt"
TIMEOUT_S = 120
CHANGING = (
    (re.compile(r"(TopicId: )[\w-]{22}"), r"\1{id}"),
    (re.compile(r"\b1[6-9]\d{11}\b"), "{ms}"),
    (re.compile(r"(kafka\.common\.errors\.\w+): .*"), r"\1"),  # each server has its own words
    (re.compile(r"min\.insync\.replicas=1,?"), ""),  # Kafka 4 sets it for every topic
    (re.compile(r"Elr:\s*(N/A)?\s*LastKnownElr:\s*(N/A)?"), "Elr: LastKnownElr:"),  # not told, or none
    (re.compile(r", DEFAULT_CONFIG:log\.retention\.ms=604800000"), ""),  # Kafka has the default in log.retention.hours
    (re.compile(r"[ \t]+"), " "),
)
# The last one: a member of the new protocol may be told of nothing before it is told of something.
NOISE = re.compile(r'SLF4J|\s+at |The consumer rebalance protocol \(KIP-848\)|Option --|.*"partitions_assigned","partitions":\[\]')


@dataclasses.dataclass
class Run:
    tool: str
    arguments: list
    ordered: bool
    line: int  # in the story
    text: str  # that line
    given: list = dataclasses.field(default_factory=list)
    printed: list = dataclasses.field(default_factory=list)
    code: str = ""

    @property
    def name(self):
        return f"line {self.line}: {self.tool} {' '.join(a for a in self.arguments if a.startswith('--'))}"


def read_story(path=STORY):
    runs = []
    for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        start, _, rest = line.partition(" ")
        if start in ("$", "~"):
            tool, *arguments = shlex.split(rest)
            runs.append(Run(tool, arguments, start == "$", number, line))
        elif start == "<":
            runs[-1].given.append(rest)
        elif start == "=":
            runs[-1].code = rest
        elif line and not line.startswith("#"):
            runs[-1].printed.append(line)
    return runs


def normal(run, lines, prefix, bootstrap):
    """Lines as the story has them; of a list of all groups or topics, those of this run."""
    result = []
    for line in lines:
        if NOISE.match(line) or "--list" in run.arguments and prefix not in line:
            continue
        line = line.replace(prefix, "{p}").replace(bootstrap, "{server}")
        for pattern, name in CHANGING:
            line = pattern.sub(name, line)
        if line.strip():
            result.append(line.strip())
    return result


def difference(run, printed, code):
    """None, or how a run went otherwise than in the story."""
    wanted, found = run.printed, printed
    if not run.ordered:
        wanted, found = sorted(wanted), sorted(found)
    if found != wanted:
        return f"printed {[line for line in found if line not in wanted] or found}, not {[line for line in wanted if line not in found] or wanted}"
    return None if code == run.code else f"exited with {code}, not {run.code}"


def tell(runs, bootstrap, prefix, log):
    """Yields (run, lines printed, exit code) of all runs, made in one JVM."""
    with open(log, "wb") as errors:
        jvm = subprocess.Popen(["java", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", f"{BUILD}/tools/lib/*:{BUILD}/tools/classes", "Tools"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        for run in runs:
            arguments = [argument.replace("{p}", prefix) for argument in run.arguments]
            given = "".join(line + "\\n" for line in run.given).replace("{p}", prefix)
            jvm.stdin.write("\t".join([run.tool, given, "--bootstrap-server", bootstrap, *arguments]) + "\n")
            jvm.stdin.flush()
            printed = []
            for line in jvm.stdout:
                if line.startswith("exit\t"):
                    yield run, normal(run, printed, prefix, bootstrap), line.split("\t")[1].strip()
                    break
                printed.append(line)
            else:
                raise RuntimeError(f"the JVM ended at {run.name}; see {log}")
    finally:
        jvm.kill()
        jvm.communicate()


def check(bootstrap, run_id, checks):
    """`checks` get ("tools", "tools", run): None or what was wrong."""
    prefix = "t" + run_id.replace(".", "-")[-15:]  # short: longer names are put in quotes in CSV
    runs = read_story()
    checks.update({("tools", "tools", run.name): "was not made" for run in runs})
    try:
        for run, printed, code in tell(runs, bootstrap, prefix, BUILD / "logs" / "tools.log"):
            checks["tools", "tools", run.name] = difference(run, printed, code)
    except RuntimeError as error:
        checks["tools", "tools", "all"] = str(error)


def write_story(bootstrap, run_id):
    """The story anew, as this server tells it. For Apache Kafka, and to be read before it is kept."""
    lines, above = {}, []
    for line in STORY.read_text().splitlines():
        if line.startswith(("$", "~")):
            lines[line], above = above, []  # a run that is there twice has its comment at the last one
        elif line.startswith("#") or not line:
            above.append(line)
    text = []
    for run, printed, code in tell(read_story(), bootstrap, run_id, BUILD / "logs" / "tools.log"):
        text += [*lines.pop(run.text, []), run.text, *(f"< {given}" for given in run.given), *printed, f"= {code}"]
    STORY.write_text("\n".join(text) + "\n")
