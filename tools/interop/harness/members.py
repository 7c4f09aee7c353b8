"""A client as a member of a consumer group: a process that is told what to do and tells what it sees.

Every client program takes `group BOOTSTRAP FILE`. FILE has lines `name<tab>value`:

    group, topic   what to join, and what to subscribe to; records from the earliest on if nothing is committed
    protocol       classic or consumer (KIP-848)
    assignor       classic: range, or cooperative (cooperative-sticky); consumer: ignored, the server's default
    commit         none: when told; sync or async: after each batch; auto: every 200 ms, by the client
    instance       group.instance.id of a static member, or nothing

The session timeout of classic members is 6 s, their heartbeats are 500 ms apart. Orders come as lines on the standard input:

    commit sync|async     what was read so far            pause P, resume P
    commit hand P O       partition P up to offset O      seek P O
    leave                 close the consumer, and exit with 0; so does the end of the input

The program prints, tab-separated:

    assigned   P P ...    all partitions that it has now, whenever that changed
    record     P O value  in the order of reading, before anything else that concerns it
    committed  P O        the server has acknowledged this commit, up to O exclusively
    done       order      pause, resume or seek was obeyed
    failed     why        an order could not be obeyed
    uncommitted why       a commit after a batch failed; the member goes on

What its library cannot say or do is named in harness/clients.py.
"""

import contextlib
import os
import pathlib
import subprocess
import threading
import time

from harness.clients import BUILD

LEAVING_S = 15


class Story:
    """What several processes did, in the order in which it was read. `changed` is told of every line."""

    def __init__(self):
        self.changed = threading.Condition()

    def wait(self, wanted, seconds):
        """Whether `wanted()` becomes true in time."""
        with self.changed:
            return self.changed.wait_for(wanted, seconds)


class Process:
    """A program with lines in and lines out. `heard` is called with the fields of each line, under the story's lock."""

    def __init__(self, story, name, command, heard):
        self.story, self.name, self.heard = story, name, heard
        self.log = BUILD / "logs" / f"{name}.log"
        environment = os.environ | {"NODE_PATH": str(BUILD / "node" / "node_modules")}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                            env=environment, text=True, bufsize=1)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            fields = line.rstrip("\n").split("\t")
            with self.story.changed:
                self.heard(fields)
                self.story.changed.notify_all()

    def order(self, *words):
        try:
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has exited, which whoever waits for its answer finds out

    def alive(self):
        return self.process.poll() is None

    def end(self, kill=False):
        """Asks it to leave, or kills it; returns None, or what was wrong with how it went."""
        if not kill:
            self.order("leave")
        else:
            self.process.kill()
        try:
            self.process.wait(LEAVING_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return f"did not leave within {LEAVING_S} s; see {self.log}"
        finally:
            self.reader.join(5)
            self.process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        return f"exited with {self.process.returncode}; see {self.log}" if self.process.returncode and not kill else None


class Member(Process):
    """One member; its fields are what it told. `records` are (partition, offset) in the order of reading."""

    counter = 0

    def __init__(self, story, client, bootstrap, topic, plan, hears=None):
        Member.counter += 1
        name = f"{client.name}-{plan['protocol']}-member-{Member.counter}"
        path = BUILD / "work" / f"{name}.plan"
        pathlib.Path(path).write_text("".join(f"{key}\t{value}\n" for key, value in ({"topic": topic} | plan).items()))
        self.client, self.plan, self.hears = client, plan, hears
        self.assigned, self.records, self.committed, self.done, self.failed, self.garbled = None, [], {}, [], [], []
        self.uncommitted = []  # why
        super().__init__(story, name, (*client.command, "group", bootstrap, path), self.hear)

    def hear(self, fields):
        match fields:
            case ["record", partition, offset, value]:
                if value != offset:
                    self.garbled.append(f"record {partition}/{offset} holds {value!r}")
                self.records.append((int(partition), int(offset)))
            case ["assigned", partitions]:
                self.assigned = {int(p) for p in partitions.split()}
            case ["committed", partition, offset]:
                self.committed[int(partition)] = int(offset)
            case ["done", order]:
                self.done.append(order)
            case ["failed", why]:
                self.failed.append(why)
            case ["uncommitted", why]:
                self.uncommitted.append(why)
            case _:
                self.garbled.append(f"printed {fields}")
        if self.hears:
            self.hears(self, fields)


class Clerk(Process):
    """confluent-kafka's producer and admin client (python/clerk.py): makes topics, writes to them, and asks for commits and states."""

    def __init__(self, story, name, bootstrap):
        self.answer = None
        super().__init__(story, name, (BUILD / "python" / "bin" / "python", pathlib.Path(__file__).parent.parent / "python" / "clerk.py", bootstrap),
                         self.hear)

    def hear(self, fields):
        self.answer = fields

    def ask(self, *words, seconds=30):
        """The answer's fields after `ok`. Raises if it is anything else."""
        self.answer = None
        self.order(*words)
        self.story.wait(lambda: self.answer is not None or not self.reader.is_alive(), seconds)
        if self.answer is None or self.answer[0] != "ok":
            raise RuntimeError(f"{' '.join(map(str, words))}: {self.answer}; see {self.log}")
        return self.answer[1:]

    def eventually(self, wanted, *words, seconds=10):
        """Asks again until the answer is `wanted`; returns None, or what it was at last."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.ask(*words)
            if answer == wanted:
                return None
            if time.monotonic() > deadline:
                return f"{words[0]} is {' '.join(answer)!r}, not {' '.join(wanted)!r}"
            time.sleep(0.1)
