"""Stream processors with checkpoints of their own: Spark and Flink. Each counts words, is killed in the middle, and goes on from its checkpoint."""

from harness.stage import PATIENCE_S
from harness.words import Words

# Both reach into the JDK.
OPENED = ("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.text", "java.time", "java.util", "java.util.concurrent",
          "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar")
OPTIONS = ("-Xmx768m", "-Djdk.reflect.useDirectMethodHandle=false", *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED))


def counting(stage, engine):
    """Returns the words that were counted."""
    words = Words(stage)

    def run(name):
        return stage.java(name, "Counts", stage.bootstrap, words.lines, words.counts, stage.work / "checkpoints", of=engine, options=OPTIONS, level="info",
                          environment={"SPARK_LOCAL_IP": "127.0.0.1"})  # else its parts call each other by the machine's name

    first = run("one")
    words.write(5_000)
    words.right("counts")
    words.write(5_000)
    stage.restart(kill=True)
    words.write(5_000)
    words.right("counts after kill -9 of the server")
    words.write(5_000)
    first.kill()
    first.wait()
    words.write(5_000)
    second = run("two")
    words.right("counts after kill -9 of the application, from its checkpoint")
    stage.restart(kill=False)
    words.write(5_000)
    words.right("counts after SIGTERM of the server")
    stage.check("it went on to the end", None if second.poll() is None else f"exit code {second.returncode}")
    return words


def spark(stage):
    counting(stage, "spark")


def flink(stage):
    """Its checkpoints also commit what they read to a group of the topic's name."""
    words = counting(stage, "flink")
    committed = lambda: sum(offset for offset, _ in stage.offsets(words.lines).values())
    stage.check("its checkpoints are committed", None if stage.eventually(lambda: committed() == words.line, PATIENCE_S) else f"{committed()} of {words.line}")
