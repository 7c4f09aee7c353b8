"""Clients in consumer groups: the steps of each alone, and of crowds that share a group while members, and the server, come and go.

Alone, a client makes the steps of STEPS with each protocol that it has, in a group and a topic of its own. In a crowd, one member of each
client reads a topic under load; members leave or die in turn and others come; the server is killed, and stopped, and started again. Then
every acknowledged record must have been read by somebody, commits must reach the ends, and none may have gone back.
"""

import concurrent.futures
import sys
import threading
import time

from harness.members import Clerk, Member, Story

PATIENCE_S = 20  # for anything that must happen in the end
SESSION_S = 45  # of the consumer protocol, for a member that could not say that it leaves
BARRIER_S = 120
PAUSE_S = 0.5
SETTLE_S = 0.3  # for anything that must not happen
CONSUMER_HEARTBEAT = 68  # the API of KIP-848
PROTOCOLS = ("classic", "consumer")

# In order; each is a method of Alone.
STEPS = (
    "join",  # reads what is there, every record once and in order
    "commit_sync",
    "pause",  # partition 0 is silent, the others are not; then it goes on where it was
    "seek",  # partition 1 is read again from 5
    "commit_async",
    "commit_by_hand",  # partition 2 back to 7
    "leave",  # the group is empty and keeps its commits
    "start_at_commits",  # another member
    "commit_auto",
    "share",  # a second one: each reads some, nobody reads the same
    "take_over",  # which leaves: the first reads everything
    "end",  # the group is empty, keeps its commits, and can be deleted
)
CROWD_STEPS = (
    "join",
    "replace",  # of those that leave, by others
    "kill",  # reads on after kill -9 of the server
    "term",  # ... after SIGTERM
    "leave",
)
CROWD_RESULTS = ("records", "commits", "restarts")  # all read, all committed, nothing committed is read again after a restart


class Alone:
    """One client with one protocol. `checks` get (client, protocol, step): None or what went wrong."""

    PARTITIONS = 3
    FIRST = 30  # records of each partition before anybody joins

    def __init__(self, client, protocol, bootstrap, run_id, checks):
        self.client, self.protocol, self.bootstrap, self.checks = client, protocol, bootstrap, checks
        self.group = self.topic = f"{run_id}.{client.name}.{protocol}"
        self.story = Story()
        self.members, self.marks = [], {}
        self.ends = [0] * self.PARTITIONS
        self.committed = None

    def run(self):
        self.clerk = Clerk(self.story, f"{self.client.name}-{self.protocol}-clerk", self.bootstrap)
        try:
            self.clerk.ask("create", self.topic, self.PARTITIONS)
            self.write(self.FIRST)
            for step in STEPS:
                if step not in self.client.group_lacks:
                    self.checks[self.client.name, self.protocol, step] = "was not reached"
            for step in STEPS:
                if step not in self.client.group_lacks and not self.made(step):
                    break
            self.clerk.ask("delete", self.topic)
        except Exception as error:
            self.checks[self.client.name, self.protocol, "topic"] = str(error)
        finally:
            for member in self.members:
                if member.alive():
                    member.end(kill=True)
            self.clerk.end()

    def made(self, step):
        started = time.monotonic()
        try:
            error = getattr(self, step)()
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        told = [why for member in self.members for why in (*member.failed, *member.garbled)]
        self.checks[self.client.name, self.protocol, step] = error = "; ".join(filter(None, [error, *told])) or None
        print(f"{self.client.name} {self.protocol} {step}: {time.monotonic() - started:.1f} s{'; ' + error if error else ''}", file=sys.stderr)
        return error is None

    def enter(self, commit):
        plan = {"group": self.group, "protocol": self.protocol, "assignor": "range", "commit": commit, "instance": ""}
        member = Member(self.story, self.client, self.bootstrap, self.topic, plan)
        self.members.append(member)
        return member

    def write(self, count, partitions=None):
        for partition in range(self.PARTITIONS) if partitions is None else partitions:
            self.clerk.ask("produce", self.topic, partition, count)
            self.ends[partition] += count

    def reading(self, members):
        found = {}
        for member in members:
            for partition, offset in member.records[self.marks.get(member, 0):]:
                found.setdefault(partition, []).append(offset)
        return found

    def expect(self, members, wanted):
        """None, or how what `members` read since the last call differs from `wanted`: {partition: offsets in order}."""
        total = sum(map(len, wanted.values()))
        dead = lambda: not all(member.alive() for member in members)
        self.story.wait(lambda: sum(map(len, self.reading(members).values())) >= total or dead(), PATIENCE_S)
        time.sleep(SETTLE_S)
        found = self.reading(members)
        self.mark(members)
        for partition in sorted(found.keys() | wanted.keys()):
            read, planned = found.get(partition, []), list(wanted.get(partition, []))
            if read != planned:
                first = next((i for i, (a, b) in enumerate(zip(read, planned)) if a != b), min(len(read), len(planned)))
                return (f"partition {partition}: {len(read)} records, not {len(planned)}; record {first} has offset "
                        f"{read[first] if first < len(read) else '-'}, not {planned[first] if first < len(planned) else '-'}")
        return None

    def mark(self, members):
        for member in members:
            self.marks[member] = len(member.records)

    def commits(self, committed):
        self.committed = committed
        return self.clerk.eventually([str(offset) for offset in committed], "offsets", self.group, self.topic, self.PARTITIONS)

    def does(self, *order):
        """Waits until the member has obeyed."""
        count = len(self.first.done)
        self.first.order(*order)
        self.story.wait(lambda: len(self.first.done) > count or self.first.failed, PATIENCE_S)

    def assigned(self, member, wanted):
        if "assigned" in self.client.group_lacks or self.story.wait(lambda: wanted(member.assigned), PATIENCE_S):
            return None
        return f"has partitions {member.assigned}"

    def join(self):
        self.first = self.enter("none" if "commit_sync" not in self.client.group_lacks else "auto")
        error = self.expect([self.first], {p: range(end) for p, end in enumerate(self.ends)})
        self.committed = list(self.ends)
        return error or self.assigned(self.first, lambda found: found == set(range(self.PARTITIONS)))

    def commit_sync(self):
        self.first.order("commit", "sync")
        return self.commits(list(self.ends))

    def pause(self):
        self.does("pause", 0)
        time.sleep(SETTLE_S)  # a request that was under way may still be answered with records of it
        before = self.ends[0]
        self.write(10)
        error = self.expect([self.first], {1: range(before, before + 10), 2: range(before, before + 10)})
        self.does("resume", 0)
        return error or self.expect([self.first], {0: range(before, before + 10)})

    def seek(self):
        self.does("seek", 1, 5)
        return self.expect([self.first], {1: range(5, self.ends[1])})

    def commit_async(self):
        self.first.order("commit", "async")
        return self.commits(list(self.ends))

    def commit_by_hand(self):
        self.first.order("commit", "sync")
        error = self.commits(list(self.ends))
        self.first.order("commit", "hand", 2, 7)
        return error or self.commits([*self.ends[:2], 7])

    def leave(self):
        error = self.first.end()
        return error or self.clerk.eventually(["Empty"], "state", self.group) or self.commits(self.committed)

    def start_at_commits(self):
        self.first = self.enter("auto")
        return self.expect([self.first], {p: range(self.committed[p], end) for p, end in enumerate(self.ends) if self.committed[p] < end})

    def commit_auto(self):
        self.write(1)
        error = self.expect([self.first], {p: [end - 1] for p, end in enumerate(self.ends)})
        return error or self.commits(list(self.ends))

    def share(self):
        self.second = self.enter("auto")
        both = [self.first, self.second]
        error = self.settle(both, lambda: all(self.reading([member]) for member in both)) or self.exactly(both, 10)
        if not error and "assigned" not in self.client.group_lacks and self.first.assigned & self.second.assigned:
            return f"partitions {self.first.assigned & self.second.assigned} have two owners"
        return error or self.commits(list(self.ends))

    def take_over(self):
        error = self.second.end()
        one = [self.first]
        error = error or self.settle(one, lambda: len(self.reading(one)) == self.PARTITIONS)
        return error or self.exactly(one, 5) or self.commits(list(self.ends))

    def settle(self, members, wanted):
        """Writes a little now and then until what `members` read of it is `wanted`: the rebalance is done. In it a record may be read
        twice, but none not at all."""
        before, deadline = list(self.ends), time.monotonic() + PATIENCE_S
        marks = dict(self.marks)
        while True:
            self.mark(members)
            self.write(1)
            if self.story.wait(wanted, PAUSE_S):
                break
            if time.monotonic() > deadline:
                return f"they still read {[sorted(self.reading([member])) for member in members]}"
        unread = lambda: {
            (p, o) for p, end in enumerate(self.ends) for o in range(before[p], end)
        } - {record for member in members for record in member.records[marks.get(member, 0):]}
        if not self.story.wait(lambda: not unread(), PATIENCE_S):
            return f"nobody read {sorted(unread())[:3]}"
        time.sleep(SETTLE_S)
        self.mark(members)
        return None

    def exactly(self, members, count):
        before = list(self.ends)
        self.write(count)
        return self.expect(members, {p: range(before[p], end) for p, end in enumerate(self.ends)})

    def end(self):
        error = self.first.end() or self.clerk.eventually(["Empty"], "state", self.group) or self.commits(self.committed)
        self.clerk.ask("forget", self.group)
        return error or self.clerk.eventually(["-"], "state", self.group)


class Crowd:
    """Members of several clients in one group. `checks` get (client, name, step), and (`crowd`, name, result)."""

    PARTITIONS = 12
    RATE = 240  # records per second
    MODES = ("sync", "async", "auto")

    def __init__(self, name, protocol, assignor, clients, bootstrap, run_id, checks, restarts):
        self.name, self.protocol, self.assignor, self.clients, self.bootstrap = name, protocol, assignor, clients, bootstrap
        self.checks, self.restarts = checks, restarts  # restarts: waits for the other crowds, and for the server to be there again
        self.group = self.topic = f"{run_id}.crowd.{name}"
        self.story = Story()
        self.members = []  # of now, in the order of joining
        self.log = []  # (member, partition, offset) of every record
        self.replaced = 0

    def run(self):
        self.clerk = Clerk(self.story, f"crowd-{self.name}-clerk", self.bootstrap)
        self.checks.update({("crowd", self.name, result): None for result in CROWD_RESULTS})
        try:
            self.attempt("records", self.start)
            for wave, restart in enumerate(("kill", "term", None)):
                self.attempt("records", lambda: self.replace(wave))
                if restart:
                    self.attempt("restarts", lambda: self.survive(restart))
            self.attempt("records", self.finish)
        finally:
            for member in self.members:
                member.end(kill=True)
            self.clerk.end()

    def attempt(self, result, phase):
        """Phases after a failed one are tried all the same: other crowds wait for this one."""
        started = time.monotonic()
        try:
            error = phase()
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        print(f"crowd {self.name}, for {result}: {time.monotonic() - started:.1f} s{'; ' + error if error else ''}", file=sys.stderr, flush=True)
        if error:
            self.checks["crowd", self.name, result] = "; ".join(filter(None, [self.checks.get(("crowd", self.name, result)), error]))

    def start(self):
        self.clerk.ask("create", self.topic, self.PARTITIONS)
        self.clerk.ask("load", self.topic, self.PARTITIONS, self.RATE)
        for client in self.clients:
            self.enter(client)
        self.all_read("join", self.members, 0)

    def enter(self, client):
        modes = [mode for mode in self.MODES if f"commit_{mode}" not in client.group_lacks]
        plan = {"group": self.group, "protocol": self.protocol, "assignor": self.assignor, "instance": "",
                "commit": modes[(len(self.members) + self.replaced) % len(modes)]}
        member = Member(self.story, client, self.bootstrap, self.topic, plan, self.hear)
        self.members.append(member)
        return member

    def hear(self, member, fields):
        if fields[0] == "record" and len(fields) == 4:
            self.log.append((member, int(fields[1]), int(fields[2])))

    def all_read(self, step, members, since, floors=None):
        """Each member reads a record in the log's part from `since` on, at or beyond `floors`."""
        at, readers = since, set()

        def everybody():
            nonlocal at
            for member, partition, offset in self.log[at:]:
                if floors is None or offset >= floors[partition]:
                    readers.add(member)
            at = len(self.log)
            return readers >= {member for member in members if member.alive()}

        self.story.wait(everybody, PATIENCE_S + PATIENCE_S)
        for member in members:
            key = member.client.name, self.name, step
            error = f"exited; see {member.log}" if not member.alive() else None if member in readers else f"read nothing; see {member.log}"
            self.checks[key] = self.checks.get(key) or error or "; ".join([*member.failed, *member.garbled]) or None

    def replace(self, wave):
        """A third of the members leave, the longest there first, so that the leader is always among them; as many come."""
        first = self.members[: len(self.clients[wave::3])]
        del self.members[: len(first)]
        since = len(self.log)
        with concurrent.futures.ThreadPoolExecutor(len(first) or 1) as pool:
            # In the second wave one dies: what it read and did not commit is for others. The consumer protocol waits 45 s for it: too long.
            dies = wave == 1 and self.protocol == "classic"
            leaving = [pool.submit(member.end, dies and i == 0) for i, member in enumerate(first)]
            self.replaced += len(first)
            new = [self.enter(member.client) for member in first]
            for member, left in zip(first, leaving):
                key = member.client.name, self.name, "leave"
                self.checks[key] = self.checks.get(key) or left.result() or "; ".join(member.garbled) or None
        self.all_read("replace", new, since)

    def survive(self, how):
        try:
            floors = self.committed()
        finally:
            time.sleep(SETTLE_S)  # whatever was read before these commits is told by then
            since = len(self.log)
            restarted = self.restarts(how)
        if not restarted:
            return None
        self.all_read(how, self.members, since, list(map(int, self.clerk.ask("acked"))))
        time.sleep(PAUSE_S)  # a member that leaves before it knows its coordinator again may not say so, and is waited for
        for member, partition, offset in self.log[since:]:
            if offset < floors[partition]:
                return f"{how}: {floors[partition]} was committed for partition {partition}, then {member.client.name} was given {offset}"
        return None

    def committed(self):
        return [0 if offset == "-" else int(offset) for offset in self.clerk.ask("offsets", self.group, self.topic, self.PARTITIONS)]

    def finish(self):
        ends = list(map(int, self.clerk.ask("unload", seconds=90)))
        missing = {(p, o) for p, end in enumerate(ends) for o in range(end)}
        at = 0

        def everything():
            nonlocal at
            missing.difference_update((p, o) for _, p, o in self.log[at:])
            at = len(self.log)
            return all(self.in_hand(*record) for record in missing)

        self.story.wait(everything, SESSION_S + PATIENCE_S)
        lost = sorted(record for record in missing if not self.in_hand(*record))
        error = f"{len(lost)} of {sum(ends)} records were never read: {'; '.join(map(self.around, lost[:3]))}" if lost else None
        reached = lambda: self.clerk.eventually(list(map(str, ends)), "offsets", self.group, self.topic, self.PARTITIONS)
        behind = reached()
        # A commit may fail while its coordinator moves, and behind the last one there is none that makes up for it.
        again = [member for member in self.members if member.uncommitted and "commit_sync" not in member.client.group_lacks]
        if behind and again:
            for member in again:
                member.order("commit", "sync")
            behind = reached()
        self.checks["crowd", self.name, "commits"] = behind and f"{behind}; {self.told_of_commits()}"
        with concurrent.futures.ThreadPoolExecutor(len(self.members)) as pool:
            for member, left in [(member, pool.submit(member.end)) for member in self.members]:
                key = member.client.name, self.name, "leave"
                self.checks[key] = self.checks.get(key) or left.result() or "; ".join(member.garbled) or None
        self.members = []
        error = error or self.clerk.eventually(["Empty"], "state", self.group)
        self.clerk.ask("forget", self.group)
        self.clerk.ask("delete", self.topic)
        return error

    def told_of_commits(self):
        """What members say of commits that failed, the last one of each, and how each commits."""
        last = [(member.client.name, member.plan["commit"], member.uncommitted[-1]) for member in self.members if member.uncommitted]
        return f"commits that failed: {last or 'none'}; {[(member.client.name, member.plan['commit']) for member in self.members]}"

    def in_hand(self, partition, offset):
        """Whether a client that loses what it has in hand was the last to read the partition before this record."""
        before = [member for member, p, o in self.log if p == partition and o == offset - 1]
        return bool(before) and before[-1].client.loses_in_hand

    def around(self, record):
        """Who read the records before and after one that nobody read."""
        partition, offset = record
        near = [(o, m.client.name, m.plan["commit"]) for m, p, o in self.log if p == partition and abs(o - offset) <= 2]
        return f"{partition}/{offset}; beside it were read {near}"


class Restarts:
    """Restarts the server when every crowd has come to the point where it is to be restarted."""

    def __init__(self, server, crowds):
        self.server, self.how = server, None
        self.barrier = threading.Barrier(crowds, self.restart)

    def __call__(self, how):
        """Whether the server was restarted: one that somebody else runs is not."""
        if self.server is None:
            return False
        self.how = how
        self.barrier.wait(BARRIER_S)
        return True

    def restart(self):
        self.server.restart(kill=self.how == "kill")


def crowds_of(clients, apis):
    """(name, protocol, assignor, clients) of the crowds that there can be."""
    able = [client for client in clients if client.protocols]
    crowds = [("range", "classic", "range", [client for client in able if client.shares]),
              ("loners", "classic", "range", [client for client in able if not client.shares]),
              ("cooperative", "classic", "cooperative",
               [client for client in able if client.cooperative])]
    if CONSUMER_HEARTBEAT in apis:
        crowds.append(("uniform", "consumer", "", [client for client in able if "consumer" in client.protocols]))
    return [crowd for crowd in crowds if crowd[3]]


def protocols_of(client, apis):
    return [protocol for protocol in client.protocols if protocol == "classic" or CONSUMER_HEARTBEAT in apis]
