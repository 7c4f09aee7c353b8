"""The harness must notice what it is there for. Run: python3 -m unittest discover -s tools/interop/harness -t tools/interop"""

import copy
import sys
import tempfile
import unittest

from harness import plan
from harness.clients import CLIENTS, HERE, Abilities
from harness.matrix import Topic, compare_acks, compare_digests

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


if __name__ == "__main__":
    unittest.main()
