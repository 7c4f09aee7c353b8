"""The harness must notice what it is there for. Run: python3 -m unittest discover -s tools/interop/harness -t tools/interop"""

import collections
import copy
import pathlib
import subprocess
import sys
import tempfile
import unittest

from harness import evidence, groups, plan, probe, tools
from harness.calls import CALLS, LIST_GROUPS, SERVED, Day
from harness.clients import CLIENTS, HERE, Abilities, Client
from harness.groups import CROWD_STEPS, STEPS, Alone, Crowd, crowds_of
from harness.matrix import Topic, compare_acks, compare_digests, last_words
from harness.services import SERVICES
from harness.stage import Stage
from harness.words import Words

sys.path.insert(0, str(HERE / "python"))
import jobs  # noqa: E402

PARTITIONS = 3
BASE_MS = 1_700_000_000_000


def read(records):
    """Reports what a Python client would, had it read these records."""
    job = jobs.Job("group", "topic", "none", 0, [0] * PARTITIONS, "")
    digests = jobs.Digests([job])
    offsets = [0] * PARTITIONS
    for r in records:
        digests.add("topic", r.partition, offsets[r.partition], r.timestamp, r.key, r.value, r.headers)
        offsets[r.partition] += 1
    return [[str(p), str(s[0]), s[1].hexdigest(), s[2].hexdigest()] for (_, p), s in digests.state.items()]


class Harness(unittest.TestCase):
    def setUp(self):
        self.records = plan.make("seed", "headers", PARTITIONS, Abilities(), BASE_MS)
        self.topic = Topic("topic", "headers", None, "none", PARTITIONS, plan.expect(self.records, PARTITIONS), "")

    def damaged(self, change):
        records = copy.deepcopy(self.records)
        change(records)
        return compare_digests(self.topic, read(records))

    def first(self, records, wanted):
        return next(r for r in records if wanted(r))

    def test_faithful_reader_passes(self):
        self.assertIsNone(compare_digests(self.topic, read(self.records)))

    def test_plan_survives_its_file(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("".join(map(plan.encode_line, self.records)))
            file.flush()
            found = list(jobs.records(jobs.Job("group", "topic", "none", 0, [0] * PARTITIONS, file.name)))
        self.assertEqual([tuple(r) for r in found], [(r.partition, r.timestamp, r.key, r.value, r.headers) for r in self.records])

    def test_lost_doubled_and_swapped_records_are_noticed(self):
        self.assertIn("records read", self.damaged(lambda records: records.pop(7)))
        self.assertIn("records read", self.damaged(lambda records: records.append(records[0])))
        self.assertIn("differ", self.damaged(lambda records: records.sort(key=lambda r: r.value or b"")))

    def test_every_field_counts(self):
        def change_null_value(records):
            self.first(records, lambda r: r.value is None).value = b""

        def change_null_key(records):
            self.first(records, lambda r: r.key is None).key = b""

        def change_byte(records):
            record = self.first(records, lambda r: len(r.value or b"") > 1000)
            record.value = record.value[:-1] + bytes([record.value[-1] ^ 1])

        def change_header(records):
            headers = self.first(records, lambda r: r.headers).headers
            headers[-1] = (headers[-1][0], b"else")

        for change in (change_null_value, change_null_key, change_byte, change_header):
            self.assertIn("keys, values, headers", self.damaged(change), change.__name__)
        self.assertIn("timestamps", self.damaged(lambda records: setattr(records[3], "timestamp", BASE_MS - 1)))

    def test_timestamps_that_the_producer_left_open_bind_all_readers_to_the_first(self):
        for expected in self.topic.expected:
            expected.timestamps = None
        self.assertIsNone(compare_digests(self.topic, read(self.records)))
        self.records[0].timestamp += 1
        self.assertIn("timestamps", compare_digests(self.topic, read(self.records)))

    def test_acknowledgements(self):
        lines = [[str(p), str(e.count), str(e.count - 1)] for p, e in enumerate(self.topic.expected)]
        self.assertIsNone(compare_acks(self.topic, lines))
        self.assertIn("acknowledged", compare_acks(self.topic, lines[1:]))
        lines[0][2] = "0"
        self.assertIn("last offset", compare_acks(self.topic, lines))

    def test_abilities_are_kept(self):
        for client in CLIENTS:
            records = plan.make("seed", "base", PARTITIONS, client.abilities, BASE_MS)
            headers = [name for r in records for name, _ in r.headers]
            self.assertTrue(headers and any(r.value is None for r in records) and any(r.key is None for r in records))
            self.assertEqual(any(r.key == b"" for r in records), client.abilities.empty)
            self.assertEqual(any(r.key is None and r.value is None for r in records), client.abilities.both_null)
            self.assertFalse(any(value is None for r in records for _, value in r.headers))

    def test_plan_reaches_the_extremes(self):
        large = plan.make("seed", "large", 2, Abilities(), BASE_MS)
        self.assertEqual({1, plan.LARGEST_RECORD_BYTES} - {len(r.value) for r in large}, set())
        odd = [pair for r in self.records for pair in r.headers]
        self.assertTrue(any(value is None for _, value in odd))
        self.assertTrue(any(len({name for name, _ in r.headers}) < len(r.headers) for r in self.records))


FACTS = probe.Facts(apis=SERVED, cluster="cluster-id", node=7, address="127.0.0.1:9092")
LACKING = Client("lacking", (), lacking=(("no call", "epoch_end groups"),))


class Calls(unittest.TestCase):
    def day(self, client=LACKING, facts=FACTS):
        return Day(client, facts, "run.client", BASE_MS)

    def answers(self, day, **changes):
        """What a client prints that makes every call and is told what the plan expects."""
        told = {"api_versions": " ".join(map(str, SERVED | {77})), "features": "metadata.version=1-30"}
        made = {name: [[told.get(name, wanted)]] for name, wanted in day.expected.items() if name not in day.client.lacks}
        return {name: lines for name, lines in (made | changes).items() if lines is not None}

    def errors(self, answers, day=None):
        return {name: error for name, error in (day or self.day()).compare(answers).items() if error}

    def test_expected_answers_pass(self):
        day = self.day()
        self.assertEqual(self.errors(self.answers(day)), {})
        self.assertEqual(set(day.compare(self.answers(day))), {call.name for call in CALLS} - LACKING.lacks)

    def test_wrong_missing_doubled_and_unknown_answers_fail(self):
        day = self.day()
        for change, word in (
            ({"create": [["error 40"]]}, "answered"), ({"offset_latest": [["9"]]}, "answered"), ({"offset_latest": [[""]]}, "answered"),
            ({"offset_latest": None}, "not made"), ({"create": [["ok"], ["ok"]]}, "2 times"), ({"no_such_call": [["ok"]]}, "no call of the plan"),
            ({"groups": [[""]]}, "lacks"), ({"offset_latest/other": [["9"]]}, "answered"),
        ):
            errors = self.errors(self.answers(day, **change))
            self.assertEqual(set(errors), set(change))
            self.assertIn(word, next(iter(errors.values())))

    def test_a_second_spelling_stands_for_the_first(self):
        day = self.day()
        self.assertEqual(self.errors(self.answers(day, **{"offset_latest": None, "offset_latest/consumer": [["10"]]})), {})

    def test_a_client_that_died_fails_whatever_it_printed(self):
        self.assertIn("exit", self.errors(self.answers(self.day(), **{"*": "exited with -11"})))

    def test_answers_that_are_no_text_are_checked_too(self):
        day = self.day()
        for call, wrong in (("api_versions", "0 1 2 3 18"), ("features", "metadata.version=3-1"), ("features", "refused"), ("api_versions", "error 35")):
            self.assertEqual(set(self.errors(self.answers(day, **{call: [[wrong]]}))), {call})

    def test_groups_are_refused_if_the_server_does_not_advertise_them(self):
        client = Client("all", ())
        self.assertEqual(self.day(client).expected["groups"], "")
        self.assertEqual(self.day(client, probe.Facts(SERVED - {LIST_GROUPS}, "c", 7, "h:1")).expected["groups"], "refused")

    def test_clients_lack_only_calls_that_there_are(self):
        names = [call.name for call in CALLS]
        self.assertEqual(len(names), len(set(names)))
        for client in CLIENTS:
            listed = [call for _, calls in client.lacking for call in calls.split()]
            self.assertEqual(len(listed), len(set(listed)), client.name)
            self.assertEqual(set(listed) - set(names), set(), client.name)
        for name in names:
            self.assertTrue(any(name not in client.lacks for client in CLIENTS), f"nobody makes {name}")

    def test_the_file_tells_what_reads_wait_for(self):
        lines = dict(line.split("\t") for line in self.day().file().splitlines())
        self.assertEqual((lines["prefix"], lines["node"], lines["base"]), ("run.client", "7", str(BASE_MS)))
        self.assertEqual(lines["want.list_topics"], "d m p t")
        self.assertNotIn("want.create", lines)

    def test_facts_are_read_from_the_bytes(self):
        reader = probe.Reader(bytes([0, 0, 0, 2, 0, 1, 0xFF, 0xFF]) + b"\0\2hi\xff\xff")
        self.assertEqual(reader.array(lambda: reader.number(">h")), [1, -1])
        self.assertEqual((reader.string(), reader.string()), ("hi", None))


class FakeMember:
    """One that has read what it is made with."""

    def __init__(self, client, *records):
        self.client, self.records, self.plan = client, list(records), {"commit": "sync"}

    def alive(self):
        return True


class Groups(unittest.TestCase):
    def setUp(self):
        self.patience, groups.PATIENCE_S, groups.SETTLE_S = groups.PATIENCE_S, 0.05, 0

    def tearDown(self):
        groups.PATIENCE_S = self.patience

    def expected(self, *records):
        alone = Alone(Client("c", ()), "classic", "h:1", "run", {})
        return alone.expect([FakeMember(alone.client, *records)], {0: range(2), 1: range(1)})

    def test_records_read_once_and_in_order_pass(self):
        self.assertIsNone(self.expected((0, 0), (1, 0), (0, 1)))

    def test_missing_doubled_swapped_and_strange_records_fail(self):
        for records in (((0, 0), (1, 0)), ((0, 0), (0, 1), (0, 1), (1, 0)), ((0, 1), (0, 0), (1, 0)), ((0, 0), (0, 1), (1, 0), (2, 0))):
            self.assertIn("partition", self.expected(*records))

    def test_a_member_tells_what_it_was_not_asked(self):
        member = groups.Member.__new__(groups.Member)
        member.records, member.garbled, member.failed, member.hears = [], [], [], None
        for line in (["record", "1", "5", "5"], ["record", "1", "6", "5"], ["noise"], ["failed", "why"]):
            member.hear(line)
        self.assertEqual((member.records, len(member.garbled), member.failed), ([(1, 5), (1, 6)], 2, ["why"]))

    def test_only_a_client_that_loses_what_it_has_in_hand_is_excused(self):
        careful, careless = FakeMember(Client("a", ())), FakeMember(Client("b", (), loses_in_hand=True))
        crowd = Crowd("range", "classic", "range", [], "h:1", "run", {}, None)
        crowd.log = [(careless, 0, 3), (careful, 0, 5), (careful, 1, 3)]
        self.assertTrue(crowd.in_hand(0, 4))
        for record in ((0, 6), (1, 4), (0, 8), (2, 0)):
            self.assertFalse(crowd.in_hand(*record))

    def test_the_ends_of_logs_are_told_with_what_failed(self):
        with tempfile.TemporaryDirectory() as directory:
            log = pathlib.Path(directory) / "member.log"
            log.write_text("Exception in thread \"main\" Fenced\n\tat a.b(C.java:1)\n")
            errors = [f"exited; see {log}", f"read nothing; see {log}", "no log", f"see {directory}/none.log"]
            self.assertEqual(list(last_words(errors)), ['member.log: Exception in thread "main" Fenced'])

    def test_crowds_are_of_those_that_can_share(self):
        apis = {groups.CONSUMER_HEARTBEAT}
        crowds = {name: {client.name for client in clients} for name, _, _, clients in crowds_of(CLIENTS, apis)}
        self.assertFalse(crowds["range"] & crowds["loners"])
        self.assertNotIn("rskafka", set().union(*crowds.values()))
        self.assertLessEqual(crowds["uniform"], crowds["range"])
        self.assertLessEqual(max(map(len, crowds.values())), Crowd.PARTITIONS, "each member must get a partition")
        self.assertNotIn("uniform", [name for name, *_ in crowds_of(CLIENTS, set())])

    def test_clients_lack_only_steps_that_there_are(self):
        for client in CLIENTS:
            self.assertLessEqual(client.group_lacks, {*STEPS, *CROWD_STEPS, "assigned"}, client.name)


class Tools(unittest.TestCase):
    def run_of(self, *lines):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("\n".join(lines))
            file.flush()
            (run,) = tools.read_story(file.name)
        return run

    def test_a_run_passes_that_goes_as_told(self):
        run = self.run_of("# why", "$ tool --topic {p}-t 'two words'", "< in", "a 1", "b 2", "= 0")
        self.assertEqual((run.tool, run.arguments, run.given), ("tool", ["--topic", "{p}-t", "two words"], ["in"]))
        self.assertIsNone(tools.difference(run, ["a 1", "b 2"], "0"))
        for printed, code in ((["a 1"], "0"), (["b 2", "a 1"], "0"), (["a 1", "b 2", "c"], "0"), (["a 1", "b 2"], "1"), (["a 1", "b 2"], "never")):
            self.assertIsNotNone(tools.difference(run, printed, code))

    def test_order_matters_where_the_story_says_so(self):
        run = self.run_of("~ tool", "a", "b", "= 0")
        self.assertIsNone(tools.difference(run, ["b", "a"], "0"))
        self.assertIsNotNone(tools.difference(run, ["b", "b"], "0"))

    def test_what_cannot_be_the_same_twice_is_replaced(self):
        run = self.run_of("$ tool --list", "= 0")
        lines = ["Topic: p1-t\tTopicId: AAAAAAAAAAAAAAAAAAAAAA  at h:1, 1700000000000\n", "another\n", "SLF4J: p1\n"]
        self.assertEqual(tools.normal(run, lines, "p1", "h:1"), ["Topic: {p}-t TopicId: {id} at {server}, {ms}"])

    def test_the_story_has_an_end_for_each_run(self):
        for run in tools.read_story():
            self.assertRegex(run.code, r"^\d+$", run.name)


class Counting(Stage):
    """A stage whose service counts words as it should, but for `damage`, and is looked at once."""

    def __init__(self, damage=lambda counts: None):
        super().__init__("counting", "nowhere:1", None)
        self.damage, self.counts = damage, collections.Counter()

    def create(self, *topics, **_):
        pass

    def kcat(self, mode, *_, given=""):
        if mode == "-P":
            self.counts.update(word for line in given.splitlines() for word in line.partition(":")[2].split())
            return ""
        counts = dict(self.counts)
        self.damage(counts)
        older = [f"{word} {count - 1}" for word, count in counts.items()]
        return "\n".join(older + [f"{word} {count}" for word, count in counts.items()]) + "\n"

    def eventually(self, wanted, seconds=0):
        return bool(wanted())

    def outcome(self):
        words = Words(self)
        words.write(10)
        words.write(5)
        words.right("counts")
        return self.checks["counts"]


class Told(Stage):
    """A stage whose tools print what they are made with; nobody reads its topics."""

    def __init__(self, **printed):
        super().__init__("told", "nowhere:1", None)
        self.lines = printed

    def java(self, name, *_, **__):
        self.named[name] = subprocess.Popen(["true"])
        return self.named[name]

    def printed(self, name):
        return self.lines.get(name, [])

    def kcat(self, *_, **__):
        raise RuntimeError("nobody is there")


class Evidence(unittest.TestCase):
    def test_it_is_told_where_partitions_begin_and_end(self):
        stage = Told(earliest=["dif:0:0", "dif:1:7", "WARN a:b"], latest=["dif:0:12", "dif:1:7", "dif:2:3", "max:0:1"])
        self.assertEqual(list(evidence.offsets(stage)), ["dif 0-12 7-7 ?-3", "max ?-1"])

    def test_what_cannot_be_looked_at_keeps_nothing_from_being_told(self):
        stage = Told(group=["GROUP TOPIC LAG", ""], client=[])
        lines = list(evidence.of_streams(stage, "client", "g", ("dif",)))
        for line in ("partitions: none", "first records of dif: RuntimeError: nobody is there", "group: GROUP TOPIC LAG", "threads of client: it has ended"):
            self.assertIn(line, lines)

    def test_the_threads_of_streams_are_found_in_a_dump_of_all(self):
        dump = ['"main" #1', "\tat a.b", "", '"app-StreamThread-1" #20', "   java.lang.Thread.State: WAITING", "\tat c.d", "", '"kafka-producer of app-StreamThread-1" #2', "x"]
        self.assertEqual(evidence.stacks_of(dump), ['"app-StreamThread-1" #20', "   java.lang.Thread.State: WAITING", "\tat c.d"])


class Services(unittest.TestCase):
    def test_the_last_count_of_each_word_must_be_right(self):
        self.assertIsNone(Counting().outcome())

    def test_a_lost_doubled_or_strange_word_is_told(self):
        for damage in (lambda c: c.popitem(), lambda c: c.update(w0=c["w0"] + 1), lambda c: c.update(w0=c["w0"] - 1), lambda c: c.update(stranger=1)):
            self.assertRegex(Counting(damage).outcome(), "^1 of ")

    def test_what_goes_wrong_in_a_service_is_a_failed_check(self):
        def broken(_):
            raise RuntimeError("no")

        with tempfile.TemporaryDirectory() as directory:
            stage = Stage("broken", "nowhere:1", None)
            stage.work = pathlib.Path(directory) / "work"
            stage.run(broken)
        self.assertEqual(stage.checks, {"all": "RuntimeError: no"})

    def test_the_script_tells_of_each_service(self):
        text = (HERE / "services").read_text()
        for name in SERVICES:
            self.assertRegex(text, rf"(?m)^{name} +\S")


if __name__ == "__main__":
    unittest.main()
