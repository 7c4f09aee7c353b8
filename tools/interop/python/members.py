"""What the Python clients share to be members of a group, as harness/members.py describes it."""

import queue
import sys
import threading
import traceback

SESSION_MS = 6_000
HEARTBEAT_MS = 500
AUTO_COMMIT_MS = 200
POLL_S = 0.1


class Plan:
    def __init__(self, path):
        with open(path) as lines:
            values = dict(line.rstrip("\n").split("\t") for line in lines)
        self.group, self.topic, self.protocol = values["group"], values["topic"], values["protocol"]
        self.assignor, self.commit, self.instance = values["assignor"], values["commit"], values["instance"] or None
        self.auto = self.commit == "auto"


telling = threading.Lock()


def tell_lines(lines):
    """Whole lines, each with its end. All that goes to the output goes through here: nobody else's text may come in between."""
    with telling:
        sys.stdout.write("".join(lines))
        sys.stdout.flush()


def tell(*fields):
    tell_lines(["\t".join(map(str, fields)) + "\n"])


def tell_assigned(partitions):
    tell("assigned", " ".join(map(str, sorted(partitions))))


def tell_committed(positions):
    for partition, offset in sorted(positions.items()):
        tell("committed", partition, offset)


def tell_failed(what, error):
    traceback.print_exception(error)
    tell(what, " ".join(f"{type(error).__name__}: {error}".split()))


class Orders:
    """Lines of the standard input, read by a thread; its end is the order to leave."""

    def __init__(self):
        self.queue = queue.SimpleQueue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in sys.stdin:
            self.queue.put(line.split())
        self.queue.put(["leave"])

    def pending(self):
        while not self.queue.empty():
            yield self.queue.get()


class Positions:
    """The next offset of each partition that was read and is still owned."""

    def __init__(self):
        self.next = {}

    def read(self, records):
        """Tells `records`, each (partition, offset, value)."""
        for partition, offset, value in records:
            self.next[partition] = offset + 1
        tell_lines(f"record\t{p}\t{o}\t{v.decode()}\n" for p, o, v in records)

    def lose(self, partitions):
        for partition in partitions:
            self.next.pop(partition, None)


def run(member, plan):
    """Polls `member` and obeys orders until it is told to leave."""
    orders = Orders()
    while True:
        for order, *arguments in orders.pending():
            if order == "leave":
                member.close()
                return
            try:
                obey(member, order, *arguments)
            except Exception as error:
                tell_failed("failed", error)
        records = member.poll()
        member.positions.read(records)
        if records and plan.commit in ("sync", "async"):
            try:
                obey(member, "commit", plan.commit)
            except Exception as error:
                tell_failed("uncommitted", error)


def obey(member, order, *arguments):
    numbers = list(map(int, arguments[1:] if order == "commit" else arguments))
    if order == "commit" and arguments[0] == "async":
        member.commit_async()
    elif order == "commit" and arguments[0] == "sync":
        tell_committed(member.commit())
    elif order == "commit":
        member.commit_by_hand(*numbers)
        tell_committed({numbers[0]: numbers[1]})
    else:
        {"pause": member.pause, "resume": member.resume, "seek": member.seek}[order](*numbers)
        tell("done", order)
