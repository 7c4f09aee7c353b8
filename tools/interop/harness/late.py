"""Clients whose partitions are empty when the server goes, and get their first records when it is back.

What a client knows of a partition, and what the server remembers of what the client reads, comes from different times then: with an epoch or
without, by name or by id. Each client, with each of its protocols, is alone in a group and reads a topic of which a partition more has records
after each restart. All of them must be read; one may be read twice.
"""

import sys
import time

from harness.groups import PATIENCE_S, Alone
from harness.members import Clerk

LATE_STEPS = (
    "empty",  # reads the one partition that has records
    "first_after_kill",  # the first records of another one, written after kill -9 of the server
    "first_after_term",  # ... after SIGTERM
)


class Late(Alone):
    """`restarts` waits for all others, and for the server to be there again; it is called once for each step but the first."""

    PARTITIONS = len(LATE_STEPS) + 1  # the last one stays empty

    def __init__(self, client, protocol, bootstrap, run_id, checks, restarts):
        super().__init__(client, protocol, bootstrap, run_id, checks)
        self.group = self.topic = f"{self.topic}.late"
        self.restarts, self.clerk = restarts, None

    def run(self):
        try:
            self.attempt("empty", self.begin)
            for step, how in zip(LATE_STEPS[1:], ("kill", "term")):
                self.attempt(step, lambda: self.survive(how))
        finally:
            for process in (*self.members, *filter(None, [self.clerk])):
                process.end(kill=True)

    def attempt(self, step, phase):
        """A step after a failed one is tried all the same: others wait for this one."""
        started = time.monotonic()
        try:
            error = phase()
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        self.checks[self.client.name, self.protocol, step] = error
        print(f"{self.client.name} {self.protocol} {step}: {time.monotonic() - started:.1f} s{'; ' + error if error else ''}", file=sys.stderr)

    def begin(self):
        self.clerk = Clerk(self.story, f"{self.client.name}-{self.protocol}-late-clerk", self.bootstrap)
        self.clerk.ask("create", self.topic, self.PARTITIONS)
        self.write(self.FIRST, [0])
        self.enter("auto")
        return self.all_are_read()

    def survive(self, how):
        self.restarts(how)
        after = LATE_STEPS.index(f"first_after_{how}")
        self.write(self.FIRST, range(after + 1))
        return self.all_are_read()

    def all_are_read(self):
        (member,) = self.members
        missing = lambda: {(p, o) for p, end in enumerate(self.ends) for o in range(end)} - set(member.records)
        self.story.wait(lambda: not missing() or not member.alive(), 2 * PATIENCE_S)
        if left := sorted(missing()):
            return f"{'was not read' if member.alive() else 'exited and has not read'}: {left[0]} and {len(left) - 1} more; see {member.log}"
        return "; ".join(member.garbled) or None
