"""The calls that users of a client make on their first day, and what each must answer.

Every client program runs `calls BOOTSTRAP FILE`. FILE has lines `name<tab>value`:

    prefix       the client's topics are `prefix.t`, `prefix.p`, ...
    node         the server's node id
    base         a time in ms, an hour ago
    want.CALL    what a call that reads must answer; it is repeated for a while, since servers may apply a change after its answer

The program makes the calls in the order of CALLS and prints `call<tab>answer`. A client with several spellings for one call prints
`call/spelling`; the answer is the same. Kafka's errors are `error CODE`; a client that finds by itself that the server lacks the API says
`refused`. What a client prints is what it was told, never a constant. Calls that its API does not have are named in harness/clients.py.
Topics are written without the prefix. Topic t is for settings, m for partitions, d for defaults, p (4 partitions) for records.
"""

import dataclasses
import re
import typing

SERVED = frozenset({0, 1, 2, 3, *range(8, 17), 18, 19, 20, 21, 22, 23, 32, 33, 35, 37, 42, 44, 47, 60, 68, 69})
LIST_GROUPS = 16


@dataclasses.dataclass(frozen=True)
class Call:
    """`expected` holds {fields} of `values`, or is a function that says what is wrong with an answer, if anything."""

    name: str
    expected: str | typing.Callable
    eventually: bool = False  # reads only: a server may apply changes after it answered them


def read(name, expected):
    return Call(name, expected, eventually=True)


def serves_all(answer):
    missing = SERVED - set(map(int, answer.split()))
    return f"APIs {sorted(missing)} are missing" if missing else None


def version_ranges(answer):
    """`name=min-max ...`; a server may have none."""
    for feature in answer.split():
        found = re.fullmatch(r"[a-z.]+=(\d+)-(\d+)", feature)
        if not found or int(found[1]) > int(found[2]):
            return f"no range of versions: {feature}"
    return None


RECORDS = " ".join(f"v{i}" for i in range(10))
LATE_RECORDS = " ".join(f"v{i}" for i in range(4, 10))
LAST_RECORDS = " ".join(f"v{i}" for i in range(5, 10))
P_LEADERS = " ".join(f"{p}={{node}}/{{node}}/{{node}}" for p in range(4))

CALLS = (
    # The cluster.
    Call("api_versions", serves_all),
    Call("features", version_ranges),
    Call("cluster_id", "{cluster}"),
    Call("controller", "{node}"),
    Call("nodes", "{node}={address}"),
    Call("cluster_operations", "5 7 8 9 10 11 12"),  # without authorizer: all that a cluster knows, as AclOperation's codes
    # Creating topics.
    Call("create", "ok"),  # t: 3 partitions, 1 replica, retention.ms=3600000, max.message.bytes=2000000
    Call("create_result", "partitions=2 replication=1 retention.ms=3600000/1"),  # r: 2 partitions, retention.ms=3600000
    Call("create_defaults", "ok"),  # d: -1 partitions, -1 replicas
    Call("create_manual", "ok"),  # m: 2 partitions, each placed on the node
    Call("create_validate", "ok"),  # v: to be validated only
    Call("create_duplicate", "error 36"),  # t again
    Call("create_bad_value", "error 40"),  # x: retention.ms=soon
    Call("create_bad_key", "error 40"),  # x: no.such.key=1
    Call("create_bad_partitions", "error 37"),  # x: 0 partitions
    Call("create_bad_replication", "error 38"),  # x: 3 replicas
    Call("create_bad_name", "error 17"),  # prefix.a/b
    Call("create_bad_assignment", "error 39"),  # x: a replica on a node that is not there
    Call("create_p", "ok"),  # p: 4 partitions
    # Looking at them.
    read("list_topics", "d m p t"),  # of the prefix, but for r; neither v nor x
    read("describe_topics", "d=1 m=2 t=3"),
    read("describe_partitions", P_LEADERS),  # of p: partition=leader/replicas/in-sync replicas
    read("describe_ids", "m=2 t=3"),  # by topic id
    Call("topic_operations", "3 4 5 6 7 8 10 11"),  # of t; as cluster_operations
    Call("describe_unknown", "error 3"),
    # Settings: key=value/source, by key; of all keys only these are compared: cleanup.policy, max.message.bytes, retention.ms.
    read("configs", "cleanup.policy=delete/5 max.message.bytes=2000000/1 retention.ms=3600000/1"),
    read("configs_some", "cleanup.policy=delete/5 retention.ms=3600000/1"),  # these two keys are asked for, and nothing else comes
    read("configs_synonyms", "max.message.bytes=2000000/1 message.max.bytes=1048588/5"),  # of max.message.bytes
    Call("configs_documentation", "yes"),  # retention.ms has one
    Call("configs_types", "cleanup.policy=7 max.message.bytes=3 retention.ms=5"),  # ConfigResponse's codes of types
    Call("configs_broker", "message.max.bytes=1048588/5 num.partitions=1/5"),  # of all keys, these
    Call("configs_broker_some", "num.partitions=1/5"),  # asked for, and nothing else comes
    Call("configs_broker_default", ""),  # of the cluster's dynamic defaults those of log.retention.ms: none is set
    Call("configs_unknown", "error 3"),
    # Changing them; after each change, the settings of t as above.
    Call("alter_set", "ok"),  # retention.ms=7200000
    read("alter_set_done", "cleanup.policy=delete/5 max.message.bytes=2000000/1 retention.ms=7200000/1"),
    Call("alter_delete", "ok"),  # retention.ms
    read("alter_delete_done", "cleanup.policy=delete/5 max.message.bytes=2000000/1 retention.ms=604800000/5"),
    Call("alter_append", "ok"),  # cleanup.policy: delete
    read("alter_append_done", "cleanup.policy=delete/1 max.message.bytes=2000000/1 retention.ms=604800000/5"),
    Call("alter_subtract", "ok"),  # cleanup.policy: compact, which is not in it
    read("alter_subtract_done", "cleanup.policy=delete/1 max.message.bytes=2000000/1 retention.ms=604800000/5"),
    Call("alter_validate", "ok"),  # retention.ms=1000, to be validated only
    Call("alter_bad_value", "error 40"),  # retention.ms=soon
    Call("alter_bad_key", "error 40"),  # no.such.key=1
    Call("alter_unknown", "error 3"),
    Call("alter_legacy", "ok"),  # AlterConfigs, which replaces: max.message.bytes=1500000
    read("alter_legacy_done", "cleanup.policy=delete/5 max.message.bytes=1500000/1 retention.ms=604800000/5"),
    Call("alter_legacy_bad_value", "error 40"),
    Call("alter_legacy_unknown", "error 3"),
    # More partitions, for m.
    Call("partitions_validate", "ok"),  # 3, to be validated only
    Call("partitions", "ok"),  # 4
    Call("partitions_manual", "ok"),  # 5, the new one placed on the node
    read("partitions_done", "m=5"),
    Call("partitions_fewer", "error 37"),
    Call("partitions_bad_assignment", "error 39"),
    Call("partitions_unknown", "error 3"),
    # Producing to p: the offsets that were acknowledged.
    Call("produce_leader", "0 1 2"),  # 3 records to partition 0 with acks=1
    Call("produce_all", "3 4 5"),  # acks=all
    Call("produce_idempotent", "6 7 8"),
    Call("produce_times", "0 1 2 3 4 5 6 7 8 9"),  # to partition 1: v0 to v9, a second apart from base on; v7 at base + 99 s
    Call("produce_codecs", "0 1 2 3 4 5 6 7 8 9"),  # to partition 2: 2 records with each codec, none first
    Call("produce_codecs_idempotent", "10 11 12 13 14 15 16 17 18 19"),
    Call("produce_none", "ok ok ok"),  # 3 records to partition 3 with acks=0
    read("produce_none_done", "3"),  # the partition's end
    Call("produce_large", "error 10"),  # one of 3,000,000 bytes
    Call("produce_future", "error 32"),  # a timestamp of tomorrow
    Call("produce_unknown", "error 3"),
    read("auto_create", "0"),  # the first record of topic a, which the broker makes
    # Offsets of p/1.
    Call("offset_earliest", "0"),
    Call("offset_latest", "10"),
    Call("offset_committed", "10"),  # latest, isolation level read_committed
    Call("offset_time", "4"),  # at base + 3.5 s
    Call("offset_time_found", "{t4}"),  # the timestamp that comes with it
    Call("offset_time_late", "-1"),  # after the last record
    Call("offset_largest", "7"),  # of the largest timestamp
    Call("offset_earliest_local", "0"),
    Call("offset_latest_tiered", "-1"),
    Call("offset_pending_upload", "-1"),
    Call("offset_unknown", "error 3"),
    Call("epoch_end", "same 10"),  # OffsetForLeaderEpoch of the leader's epoch: whether the answer names it, and the end
    # Consuming p with assigned partitions.
    read("partitions_of", "0 1 2 3"),
    Call("consume", RECORDS),  # p/1
    Call("consume_seek", LAST_RECORDS),  # from offset 5
    Call("consume_time", LATE_RECORDS),  # from base + 3.5 s
    Call("consume_position", "10"),  # after a seek to the end
    Call("consume_bounds", "0 10"),  # beginning and end
    Call("consume_pause", "9 0 10"),  # records of p/0 while p/1 is paused, of p/1 meanwhile, of p/1 when it is resumed
    Call("consume_out_of_range", "error 1"),  # from offset 1000, without a policy
    Call("consume_unknown", "error 3"),
    # Deleting records of p/1.
    Call("delete_records", "3"),  # up to 3: where the log begins now
    read("delete_records_done", "3"),
    Call("delete_records_beyond", "error 1"),  # up to 1000
    Call("delete_records_all", "10"),  # up to -1
    Call("delete_records_unknown", "error 3"),
    # The rest.
    Call("log_dirs", "1 4"),  # directories, and partitions of p in them, when partition 0 has bytes
    Call("groups", ""),
    Call("delete", "ok"),  # d
    Call("delete_id", "ok"),  # m, by topic id
    Call("delete_unknown", "error 3"),
    read("delete_done", "t"),  # of d and t those that are listed
    read("delete_id_done", "p"),  # of m and p
    Call("create_again", "ok"),  # d
    read("create_again_done", "0"),  # the end of d/0
    Call("cleanup", "ok"),  # every topic that was created
)


class Day:
    """The calls of one client against one server: the file for it, and what is wrong with its answers."""

    def __init__(self, client, facts, prefix, base_ms):
        self.client = client
        self.prefix, self.base_ms, self.facts = prefix, base_ms, facts
        values = {"node": facts.node, "cluster": facts.cluster, "address": facts.address, "t4": base_ms + 4000}
        self.expected = {c.name: c.expected.format(**values) if isinstance(c.expected, str) else c.expected for c in CALLS}
        if LIST_GROUPS not in facts.apis:
            self.expected["groups"] = "refused"

    def file(self):
        wanted = [(f"want.{c.name}", self.expected[c.name]) for c in CALLS if c.eventually]
        lines = [("prefix", self.prefix), ("node", self.facts.node), ("base", self.base_ms), *wanted]
        return "".join(f"{name}\t{value}\n" for name, value in lines)

    def compare(self, answers):
        """{call or call/spelling: None or what is wrong} for answers {call: [[answer], ...]}."""
        result = {}
        for name, lines in answers.items():
            if name != "*":
                result[name] = self.error_of(name.partition("/")[0], [fields[0] if fields else "" for fields in lines])
        if "*" in answers:
            result["exit"] = f"the client {answers['*']}"
        made = {name.partition("/")[0] for name in answers}
        for call in self.expected:
            if call not in made and call not in self.client.lacks:
                result[call] = "was not made"
        return result

    def error_of(self, call, found):
        if call not in self.expected:
            return "is no call of the plan"
        if call in self.client.lacks:
            return "was made, although clients.py says that the client lacks it"
        if len(found) != 1:
            return f"was made {len(found)} times"
        expected = self.expected[call]
        if callable(expected):
            return f"answered {found[0]!r}" if found[0].startswith(("error", "failed", "refused")) else expected(found[0])
        return None if found[0] == expected else f"answered {found[0]!r}, not {expected!r}"
