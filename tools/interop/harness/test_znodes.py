"""What tools/interop/znodes is there for, it must notice. Run: python3 -m unittest discover -s tools/interop/harness -t tools/interop"""

import argparse
import contextlib
import io
import json
import pathlib
import re
import socket
import sys
import tempfile
import threading
import unittest
from unittest import mock

from harness import bad, differential, jute, scripts, tools, walk, zkcli, znodes
from harness.clients import HERE
from harness.differential import Difference, Pairs, Side


def zxid(number):
    return ("zxid", number)


class Scripts(unittest.TestCase):
    def test_a_seed_gives_one_script_and_all_of_it_can_be_written(self):
        kinds = set()
        for seed in range(30):
            script = scripts.make(seed, 300)
            self.assertEqual(script, scripts.make(seed, 300))
            self.assertEqual(script, json.loads(json.dumps(script)), "a script can be kept in a file")
            for step in script:
                kinds.add(step[0])
                for request in step[2] if step[0] == "ask" else ():
                    kinds.add(request[0])
                    self.assertIsInstance(scripts.body(request, "/base", {"none": 0, "seen": 5, "all": 9}), bytes)
                    self.assertIsInstance(scripts.op_of(request), int)
        self.assertLessEqual((set(scripts.WEIGHTS) | set(scripts.STEP_WEIGHTS) | {"unknown"}) - {"big"}, kinds)

    def test_nothing_that_all_scripts_share_is_written_to(self):
        for seed in range(30):
            for step in scripts.make(seed, 300):
                for request in step[2] if step[0] == "ask" else ():
                    for one in request[1] if request[0] == "multi" else [request]:
                        self.assertFalse(one[0] in ("set", "setacl") and one[1] in differential.SHARED, one)

    def test_a_request_is_written_as_zookeeper_reads_it(self):
        found = scripts.body(["create", "~/a", "xy", "open", 3], "/b", {})
        self.assertEqual(found.hex(), "00000004" + b"/b/a".hex() + "00000002" + b"xy".hex() + "00000001" + "0000001f" + "00000005" + b"world".hex()
                         + "00000006" + b"anyone".hex() + "00000003")


class Comparing(unittest.TestCase):
    def test_zxids_are_paired_in_order_and_for_good(self):
        pairs = Pairs()
        self.assertTrue(pairs.same([zxid(5), "x"], [zxid(500), "x"]))
        self.assertTrue(pairs.same([zxid(9)], [zxid(501)]))
        self.assertTrue(pairs.same([zxid(7)], [zxid(500 + 0)]) is False, "two of one server are one of the other")
        self.assertFalse(pairs.same([zxid(5)], [zxid(501)]))
        self.assertFalse(pairs.same([zxid(4)], [zxid(600)]), "earlier here, later there")
        self.assertFalse(pairs.same([zxid(0)], [zxid(1)]))
        self.assertTrue(pairs.same([zxid(0)], [zxid(0)]))

    def test_everything_else_is_the_same_or_not(self):
        for left, right in (([1], [2]), ([1], [1, 1]), (["event", 3, 3, "/a"], ["event", 4, 3, "/a"]), ([None], [b""]), ([[1]], [["1"]])):
            self.assertFalse(Pairs().same(left, right))
            self.assertTrue(Pairs().same(left, list(left)))

    def test_a_difference_is_told_with_its_request(self):
        script = [["ask", 0, [["get", "~/a", False], ["delete", "~/a", -1]]]]
        left = [[["event", 1, 3, "/a"], [0, "x"], [0]], [[], [], []]]
        right = [[["event", 1, 3, "/a"], [0, "x"], [-101]], [[], [], []]]
        self.assertEqual(Difference(script, 0, left, right).parts(), [(["delete", "~/a", -1], [0], [-101])])
        right = [left[0], [[], [["event", 1, 3, "/a"]], []]]
        self.assertIn("then session 1", str(Difference(script, 0, left, right)))

    def test_a_difference_is_made_small(self):
        """Two servers that differ when two certain requests are in a script, one after the other."""

        def play(script, *_):
            asked = [request[0] for step in script if step[0] == "ask" for request in step[2]]
            if "set" in asked and "get" in asked[asked.index("set"):]:
                return Difference(script, len(script) - 1, [], [])
            return None

        filler = [["ask", 0, [["sync", "~"], ["whoami"]]], ["reconnect", 1]]
        script = filler * 5 + [["ask", 2, [["whoami"], ["set", "~/a", "x", -1], ["whoami"]]]] + filler * 5 + [["ask", 1, [["whoami"], ["get", "~/a", False]]]]
        with mock.patch.object(differential, "play", play):
            found = differential.minimal(play(script), [], [])
        self.assertEqual(found.script, [["ask", 2, [["set", "~/a", "x", -1]]], ["ask", 1, [["get", "~/a", False]]]])


class BadInput(unittest.TestCase):
    TOPICS = bad.cases("/w")

    def test_each_case_has_a_name_and_a_znode_of_its_own(self):
        for topic, (cases, znodes) in self.TOPICS.items():
            self.assertEqual(len({case.name for case in cases}), len(cases), topic)
            self.assertEqual(len(set(znodes)), len(znodes))
            for case in cases:
                self.assertTrue(hasattr(walk.Walk, f"do_{type(case).__name__.lower()}"), case)

    def test_each_operation_is_sent_as_it_should_be_and_cut_at_each_byte(self):
        cases = {case.name: case for case in self.TOPICS["fields"][0]}
        for name in scripts.OPS:
            if name in ("multi", "multiread"):
                continue
            good = cases[f"{name}: as it should be"]
            self.assertEqual(good.op, scripts.OPS[name])
            for length in range(len(good.body)):
                self.assertEqual(len(cases[f"{name}: cut to {length} of {len(good.body)} bytes"].body), length)

    def test_intended_differences_are_named_by_cases(self):
        names = [f"{topic}: {case.name}" for topic, (cases, _) in self.TOPICS.items() for case in cases]
        for pattern in walk.INTENDED:
            self.assertTrue(any(re.fullmatch(pattern, name) for name in names), pattern)

    def test_intended_differences_that_are_gone_are_told(self):
        with mock.patch.object(walk, "INTENDED", {"a: .*": "why", "b": "why"}):
            found = [walk.Difference("a: one", [], [1])]
            self.assertEqual((walk.not_seen(found), walk.reason("a: one"), walk.reason("c")), (["b"], "why", None))

    def test_neighbours_notice_another_answer_and_a_closed_connection(self):
        reply = lambda body: jute.integer(1) + jute.long(5) + jute.integer(0) + body
        for frames, complaint in (((reply(b"a"), reply(b""), reply(b"b"), reply(b"")), "then"), ((reply(b"a"), reply(b"")), "closed")):
            with server(Connections.WELCOME, *frames) as address:
                neighbour = walk.Neighbour(address, "/")
                neighbour.run()
                neighbour.connection.close()
            self.assertIn(complaint, neighbour.complaint)


class Answers(unittest.TestCase):
    def side(self):
        side = Side.__new__(Side)
        side.times, side.newest, side.owners = {0: 0}, 0, {77: "session 0.0"}
        return side

    def stat(self, **changes):
        return jute.STAT.pack(*jute.Stat(5, 6, 1000, 2000, 1, 0, 0, 77, 3, 0, 5)._replace(**changes))

    def test_what_differs_between_servers_by_right_is_left_out(self):
        told = self.side().stat(jute.Reader(self.stat()), "~/a")
        self.assertEqual(told, [zxid(5), zxid(6), zxid(5), 1, 0, 0, "session 0.0", 3, 0])

    def test_a_change_has_one_time(self):
        side = self.side()
        side.stat(jute.Reader(self.stat()), "~/a")
        self.assertIn("change 0x5", side.stat(jute.Reader(self.stat(ctime=1001)), "~/a")[0])

    def test_the_head_must_not_be_older_than_what_it_tells(self):
        reply = lambda head: jute.Reply(1, head, 0, jute.Reader(self.stat()))
        self.assertEqual(len(self.side().told(reply(6), ["exists", "~/a", False])), 2)
        self.assertIn("newest", self.side().told(reply(5), ["exists", "~/a", False])[-1])

    def test_answers_that_are_too_short_or_too_long_are_noticed(self):
        for body in (self.stat()[:-1], self.stat() + b"\0"):
            with self.assertRaises(jute.Malformed):
                self.side().told(jute.Reply(1, 9, 0, jute.Reader(body)), ["exists", "~/a", False])

    def test_results_of_a_multi_must_be_those_that_were_asked_for(self):
        head = lambda op, done, error: jute.integer(op) + jute.boolean(done) + jute.integer(error)
        end = head(-1, True, -1)
        asked = ["multi", [["delete", "~/a", -1], ["check", "~/b", 1]]]
        good = head(jute.DELETE, False, 0) + head(jute.CHECK, False, 0) + end
        self.assertEqual(self.side().decoded(jute.Reader(good), asked), [[0, jute.DELETE, None], [0, jute.CHECK, None], ["end", -1, -1]])
        swapped = head(jute.CHECK, False, 0) + head(jute.DELETE, False, 0) + end
        self.assertEqual(self.side().decoded(jute.Reader(swapped), asked), [["a result of check"]])


@contextlib.contextmanager
def server(*frames):
    """Takes one connection, and answers each frame that comes with the next of these; then closes it."""

    def serve():
        connection, _ = listening.accept()
        with connection:
            for frame in frames:
                length = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "big")
                connection.recv(length, socket.MSG_WAITALL)
                connection.sendall(len(frame).to_bytes(4, "big") + frame)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


class Connections(unittest.TestCase):
    WELCOME = jute.integer(0) + jute.integer(4000) + jute.long(7) + jute.buffer(b"p" * 16) + jute.boolean(False)

    def test_a_session_and_its_answers(self):
        event = jute.integer(-1) + jute.long(-1) + jute.integer(0) + jute.integer(1) + jute.integer(3) + jute.string("/a")
        with server(self.WELCOME, event) as address:
            connection = jute.Connection(address, 4000)
            self.assertEqual(connection.session, jute.Session(7, b"p" * 16, 4000, False))
            connection.ask(jute.PING)
            connection.flush()
            self.assertEqual(connection.next(), jute.Event(1, 3, "/a"))
            self.assertIsNone(connection.next())
            self.assertTrue(connection.closed)
            connection.close()

    def test_zxids_of_answers_must_not_go_back(self):
        head = lambda zxid: jute.integer(1) + jute.long(zxid) + jute.integer(0)
        with server(self.WELCOME, head(9), head(8)) as address:
            connection = jute.Connection(address, 4000)
            connection.ask(jute.PING)
            connection.ask(jute.PING)
            connection.flush()
            connection.next()
            with self.assertRaises(jute.Malformed):
                connection.next()
            connection.close()

    def test_a_session_that_is_gone(self):
        with server(jute.integer(0) + jute.integer(0) + jute.long(0) + jute.buffer(bytes(16)) + jute.boolean(False)) as address:
            connection = jute.Connection(address, 4000, session=jute.Session(7, b"p" * 16, 4000, False))
            self.assertIsNone(connection.session)
            self.assertEqual(differential.told(connection, None), ["the session is gone"])
            connection.close()


class Programs(unittest.TestCase):
    def checks(self, program, **options):
        target = znodes.Target("h:1", None, argparse.Namespace())
        target.part = "p"
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(znodes, "LOGS", pathlib.Path(directory)), contextlib.redirect_stderr(io.StringIO()):
            target.cases([sys.executable, "-c", program], **options)
        return {step: error for (_, step), error in target.checks.items()}

    def test_cases_are_told_as_they_end(self):
        self.assertEqual(self.checks(r"print('case\ta\ncase\tb\nok\ta\nfailed\tb\twhy')"), {"a": None, "b": "why", "ended": None})

    def test_a_case_that_does_not_end_has_failed(self):
        found = self.checks(r"print('case\ta\ncase\tb\nok\ta'); raise SystemExit(3)")
        self.assertEqual(found["b"], "did not end")
        self.assertIn("exit code 3", found["ended"])

    def test_a_program_without_cases_has_failed(self):
        self.assertIn("after 0 cases", self.checks("")["ended"])

    def test_only_what_zookeeper_fails_too_is_excused(self):
        program = r"print('case\ta\ncase\tb\nfailed\ta\twhy\nfailed\tb\twhy')"
        self.assertEqual(self.checks(program, excused={"a"}), {"b": "why", "ended": None})

    def test_a_program_that_hangs_is_ended(self):
        self.assertIn("exit code -9", self.checks(r"print('case\ta', flush=True); import time; time.sleep(60)", seconds=0.5)["ended"])

    def test_the_script_tells_of_each_part(self):
        text = (HERE / "znodes").read_text()
        for name in znodes.PARTS:
            self.assertRegex(text, rf"(?m)^{name} +\S")
            self.assertIn(name, znodes.INSTALLS)


class CommandLine(unittest.TestCase):
    def test_what_cannot_be_the_same_twice_is_replaced(self):
        lines = ["cZxid = 0x5\n", "ctime = Sun Nov 29 13:00:00 UTC 2026\n", "ephemeralOwner = 0x100000f1\n", "ephemeralOwner = 0x0\n", "[b, a, c]\n", "/r/x\n", "\n"]
        self.assertEqual(zkcli.normal(lines, "/r"), ["cZxid = {zxid}", "ctime = {time}", "ephemeralOwner = {session}", "ephemeralOwner = 0x0", "[a, b, c]", "{p}/x"])

    def test_the_story_has_an_end_for_each_run(self):
        runs = tools.read_story(zkcli.STORY)
        self.assertGreater(len(runs), 50)
        for run in runs:
            self.assertRegex(run.code, r"^\d+$", run.text)


if __name__ == "__main__":
    unittest.main()
