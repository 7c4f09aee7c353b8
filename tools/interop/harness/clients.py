"""The clients under test: how each is started, and what it cannot express. This table is the one place that says so."""

import dataclasses
import pathlib

HERE = pathlib.Path(__file__).resolve().parent.parent
BUILD = HERE.parent.parent / "target" / "interop"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclasses.dataclass(frozen=True)
class Abilities:
    """What a producer can say. A False here must name the reason in the client's entry below."""

    timestamps: bool = True  # sets a record's timestamp
    empty: bool = True  # tells an empty key or value from a null one
    headers_per_record: bool = True
    both_null: bool = True  # a record with neither key nor value
    repeated_headers: bool = True  # a name twice; names in any order
    null_headers: bool = True  # a header whose value is null


@dataclasses.dataclass(frozen=True)
class Client:
    name: str
    command: tuple
    abilities: Abilities = Abilities()
    consumes: bool = True
    reads_odd_headers: bool = True  # repeated names, null values
    codecs: tuple = CODECS
    lacking: tuple = ()  # (why, names of calls) pairs: calls of harness/calls.py that the client's API does not have
    protocols: tuple = ("classic", "consumer")  # of groups; none: it has no groups
    cooperative: bool = True  # has the assignor cooperative-sticky
    shares: bool = True  # a classic group with any other client
    loses_in_hand: bool = False  # when told to leave, the record that it has just read and not yet given out
    group_lacking: tuple = ()  # (why, names) pairs: steps of harness/groups.py, or words of harness/members.py
    limits: str = ""  # for people: why something above is not the default

    @property
    def lacks(self):
        return {call for _, calls in self.lacking for call in calls.split()}

    @property
    def group_lacks(self):
        return {name for _, names in self.group_lacking for name in names.split()}


def python(program: str) -> tuple:
    return (BUILD / "python" / "bin" / "python", HERE / "python" / program)


CLIENTS = (
    Client("kcat", python("kcat_client.py"),
           Abilities(timestamps=False, empty=False, headers_per_record=False),
           protocols=("classic",), cooperative=False, loses_in_hand=True, group_lacking=(
               ("takes no orders", "commit_sync pause seek commit_async commit_by_hand"),
           ),
           limits="produces no timestamps; one set of headers per run; -Z makes every empty key and value null",
           lacking=(
               ("lists, produces and consumes only", """api_versions features cluster_id cluster_operations create create_result create_defaults
                   create_manual create_validate create_duplicate create_bad_value create_bad_key create_bad_partitions create_bad_replication
                   create_bad_name create_bad_assignment create_p describe_ids topic_operations configs configs_some configs_synonyms
                   configs_documentation configs_types configs_broker configs_broker_some configs_broker_default configs_unknown alter_set
                   alter_set_done alter_delete alter_delete_done alter_append alter_append_done alter_subtract alter_subtract_done
                   alter_validate alter_bad_value alter_bad_key alter_unknown alter_legacy alter_legacy_done alter_legacy_bad_value
                   alter_legacy_unknown partitions_validate partitions partitions_manual partitions_done partitions_fewer
                   partitions_bad_assignment partitions_unknown produce_times produce_future offset_committed offset_time_found offset_largest
                   offset_earliest_local offset_latest_tiered offset_pending_upload offset_unknown epoch_end consume_position consume_pause
                   delete_records delete_records_done delete_records_beyond delete_records_all delete_records_unknown log_dirs groups delete
                   delete_id delete_unknown delete_done delete_id_done create_again create_again_done cleanup"""),
           )),
    Client("confluent", python("confluent_client.py"), lacking=(
        ("no call", "api_versions features describe_ids configs_some configs_broker_some log_dirs epoch_end delete_id delete_id_done"),
        ("not in its answers", "create_result configs_documentation configs_types consume_position"),
        ("no such spec", "offset_earliest_local offset_latest_tiered offset_pending_upload"),
        ("not told of assigned partitions", "consume_unknown"),
        ("refused by the client itself", "create_bad_partitions configs_broker_default"),
    )),
    Client("kafka-python", python("kafka_python_client.py"), Abilities(both_null=False, null_headers=False),
           protocols=("classic",),
           limits="refuses to send a null key with a null value, and null header values", lacking=(
               ("no call", "configs_documentation epoch_end offset_pending_upload"),
               ("refused by the client itself", "configs_broker_default"),
               ("errors are dropped", "configs_unknown"),
               ("the topic is created, whatever the option says", "produce_unknown"),
               ("not told of assigned partitions", "consume_unknown"),
           )),
    Client("aiokafka", python("aiokafka_client.py"), Abilities(both_null=False),
           protocols=("classic",), cooperative=False,
           limits="refuses to send a null key with a null value", lacking=(
               ("no call", """api_versions features create_result describe_ids configs_documentation configs_types alter_set alter_set_done alter_delete
                   alter_delete_done alter_append alter_append_done alter_subtract alter_subtract_done alter_validate alter_bad_value alter_bad_key
                   alter_unknown epoch_end log_dirs delete_id delete_id_done offset_largest offset_earliest_local offset_latest_tiered
                   offset_pending_upload"""),
               ("not in its answers", "cluster_operations topic_operations"),
               ("refused by the client itself", "configs_broker_default delete_records_unknown"),
               ("what is asked for is created, there is no option", "describe_unknown produce_unknown"),
               ("waited for, not told", "consume_unknown offset_unknown"),
           )),
    Client("franz-go", (BUILD / "go" / "franz",), lacking=(
        ("no call", "partitions_of consume_position"),
        ("waited for, not told", "consume_unknown"),
    )),
    Client("sarama", (BUILD / "go" / "sarama",), protocols=("classic",), group_lacking=(
        ("no call", "seek"),
        ("commits by itself, or waits", "commit_async"),
    ), lacking=(
        ("no call", "describe_ids epoch_end delete_id delete_id_done consume_position"),
        ("asks in a version without them", "offset_largest offset_earliest_local offset_latest_tiered offset_pending_upload"),
        ("not in its answers", "create_result"),
    )),
    Client("kafka-go", (BUILD / "go" / "kafkago",), protocols=("classic",), cooperative=False, shares=False,
           limits="its subscriptions say version 1 and lack that version's field: the leaders of others fail to read them", group_lacking=(
        ("no call", "pause seek"),
        ("commits by itself, or waits", "commit_async"),
        ("not told", "assigned"),
    ), lacking=(
        ("no call", """features cluster_operations describe_ids topic_operations produce_idempotent produce_codecs_idempotent epoch_end
            offset_largest offset_earliest_local offset_latest_tiered offset_pending_upload consume_pause log_dirs delete_id delete_id_done
            delete_records delete_records_done delete_records_beyond delete_records_all delete_records_unknown"""),
        ("not in its answers", "create_result configs_synonyms configs_documentation offset_time_found"),
        ("refused by the client itself", "configs_broker_default consume_unknown"),
    )),
    Client("rskafka", (BUILD / "rust" / "release" / "interop-rskafka",),
           Abilities(repeated_headers=False, null_headers=False), reads_odd_headers=False, protocols=(), cooperative=False,
           limits="headers are a sorted map without nulls; cannot read a batch that holds a null header value", lacking=(
               ("no call", """api_versions features cluster_id controller nodes cluster_operations create_manual create_validate create_bad_value
                   create_bad_key create_bad_assignment describe_partitions describe_ids topic_operations configs configs_some configs_synonyms
                   configs_documentation configs_types configs_broker configs_broker_some configs_broker_default configs_unknown alter_set
                   alter_set_done alter_delete alter_delete_done alter_append alter_append_done alter_subtract alter_subtract_done alter_validate
                   alter_bad_value alter_bad_key alter_unknown alter_legacy alter_legacy_done alter_legacy_bad_value alter_legacy_unknown
                   partitions_validate partitions partitions_manual partitions_done partitions_fewer partitions_bad_assignment
                   partitions_unknown produce_leader produce_idempotent produce_codecs_idempotent produce_none produce_none_done
                   offset_committed offset_largest offset_earliest_local offset_latest_tiered offset_pending_upload epoch_end consume_position
                   consume_pause delete_records_unknown log_dirs groups delete_id delete_id_done"""),
               ("not in its answers", "create_result offset_time_found"),
               ("what is asked for is created, there is no option", "describe_unknown produce_unknown offset_unknown consume_unknown"),
           )),
    Client("rdkafka", (BUILD / "rust" / "release" / "interop-rdkafka",), lacking=(
        ("no call", """api_versions features cluster_id controller cluster_operations describe_ids topic_operations configs_some configs_synonyms
            configs_documentation configs_types configs_broker_some configs_broker_default alter_set alter_set_done alter_delete alter_delete_done
            alter_append alter_append_done alter_subtract alter_subtract_done alter_validate alter_bad_value alter_bad_key alter_unknown
            offset_committed offset_largest offset_earliest_local offset_latest_tiered offset_pending_upload epoch_end log_dirs delete_id
            delete_id_done"""),
        ("not in its answers", "create_result offset_time_found consume_position"),
        ("errors are dropped", "configs_unknown alter_legacy_bad_value alter_legacy_unknown"),
        ("not told of assigned partitions", "consume_unknown"),
        ("refused by the client itself", "create_bad_partitions"),
    )),
    Client("java", ("java", "-XX:TieredStopAtLevel=1", "-Xmx768m", "-cp", f"{BUILD}/java/lib/*:{BUILD}/java/classes", "Interop"), lacking=(
        ("no call", "api_versions configs_some configs_broker_some alter_legacy alter_legacy_done alter_legacy_bad_value alter_legacy_unknown epoch_end"),
        ("waited for, not told", "produce_unknown consume_unknown delete_records_unknown"),
    )),
    Client("kafkajs", ("node", HERE / "node" / "kafkajs_client.js"),
           Abilities(repeated_headers=False, null_headers=False), consumes=False, protocols=("classic",), cooperative=False,
           limits="consumes only in groups; headers are an object without nulls", lacking=(
               ("no call", """api_versions features describe_ids configs_documentation configs_types configs_broker_default alter_set alter_set_done
                   alter_delete alter_delete_done alter_append alter_append_done alter_subtract alter_subtract_done alter_validate alter_bad_value
                   alter_bad_key alter_unknown offset_committed offset_largest offset_earliest_local offset_latest_tiered offset_pending_upload
                   epoch_end log_dirs delete_id delete_id_done"""),
               ("consumes only in groups", """consume consume_seek consume_time consume_position consume_pause consume_out_of_range consume_unknown
                   delete_records_unknown"""),
               ("not in its answers", "cluster_operations topic_operations create_result offset_time_found offset_time_late"),
           )),
)
