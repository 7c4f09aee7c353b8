"""kcat -G as a member of a group: it commits by itself, and takes no orders but the signal to leave."""

import re
import subprocess
import sys
import threading

import members

ASSIGNED, REVOKED = re.compile(r": assigned: (.*)"), re.compile(r": revoked: (.*)")
PARTITION = re.compile(r"\[(\d+)\]")


def join(bootstrap, path):
    plan = members.Plan(path)
    settings = {
        "auto.offset.reset": "earliest", "auto.commit.interval.ms": members.AUTO_COMMIT_MS, "reconnect.backoff.max.ms": 500,
        "fetch.wait.max.ms": 100, "session.timeout.ms": members.SESSION_MS, "heartbeat.interval.ms": members.HEARTBEAT_MS,
        "partition.assignment.strategy": "range"}
    command = ["kcat", "-G", plan.group, "-b", bootstrap, "-u", "-f", "record\\t%p\\t%o\\t%s\\n"]
    for key, value in settings.items():
        command += ["-X", f"{key}={value}"]
    command.append(plan.topic)
    leaving = threading.Event()
    threading.Thread(target=wait_to_leave, args=(leaving,), daemon=True).start()
    code = run(command, leaving)
    while code and not leaving.wait(members.POLL_S):  # kcat ends when it has no broker left
        code = run(command, leaving)
    sys.exit(0 if leaving.is_set() else code)


def run(command, leaving):
    """Runs kcat until it ends, or is told to; returns its exit code."""
    kcat = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    threading.Thread(target=lambda: leaving.wait() and kcat.terminate(), daemon=True).start()
    records = threading.Thread(target=pass_on, args=(kcat.stdout,))
    records.start()
    owned = set()
    for line in kcat.stderr:
        sys.stderr.write(line)
        if found := ASSIGNED.search(line):
            owned |= set(map(int, PARTITION.findall(found[1])))
        elif found := REVOKED.search(line):
            owned -= set(map(int, PARTITION.findall(found[1])))
        else:
            continue
        members.tell_assigned(owned)
    records.join()
    return kcat.wait()


def pass_on(records):
    """kcat writes a record in pieces, between which a line of ours would come; so it does not write to our output itself."""
    for line in records:
        if line.endswith("\n"):
            members.tell_lines([line])


def wait_to_leave(leaving):
    for line in sys.stdin:
        if line.split() == ["leave"]:
            break
    leaving.set()
