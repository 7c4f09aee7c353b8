//! The one table of configuration keys: name, type, default, meaning, and the field of [`Config`] that it sets.
//!
//! Names are Kafka's (`server.properties`) and ZooKeeper's (`zoo.cfg`) where the idea is theirs; torc's own start with `torc.`. Only keys that do
//! something stand here. Rows that set the same field stand from the weakest to the strongest: within one source the
//! later row wins, as `log.retention.ms` wins over `log.retention.hours` in Kafka.

use crate::config::{Config, TimestampType, WalSync};
use crate::kafka_keys::{self, KAFKA};
pub use crate::kinds::{Kind, Value};
use crate::zookeeper_keys::ZOOKEEPER;
use std::ops::RangeInclusive;
use torc_base::io::Level;
use torc_base::limits;
use torc_shard::{CleanupPolicy, Migration};

/// One configuration key.
pub struct Key {
    /// As it is written before `=`.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// The value if none is given; empty: it follows from something else, which `doc` names.
    pub default: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Puts the value into its field.
    pub set: fn(&mut Config, Value),
}

const NO_LIMIT: i64 = i64::MAX;
const HOUR_MS: i64 = 3_600_000;

/// Kafka's one class for `replica.selector.class`.
const RACK_AWARE: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// The words of `group.consumer.migration.policy`, in their order.
const MIGRATIONS: [Migration; 4] =
    [Migration::Bidirectional, Migration::Upgrade, Migration::Downgrade, Migration::Disabled];

/// The words of `group.consumer.assignors`: names, and in the same order the classes that Kafka before 4.0 names instead.
const ASSIGNORS: &[&str] = &[
    "uniform",
    "range",
    "org.apache.kafka.coordinator.group.assignor.UniformAssignor",
    "org.apache.kafka.coordinator.group.assignor.RangeAssignor",
];

/// ZooKeeper's four-letter words, and the word for all of them.
const FOUR_LETTER_WORDS: &[&str] = &[
    "*", "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "ruok", "stmk", "srvr", "srst", "stat", "wchc",
    "wchp", "wchs", "mntr", "isro", "hash",
];

fn with_start(range: &RangeInclusive<i32>, start: Value) -> RangeInclusive<i32> {
    start.number() as i32..=*range.end()
}

fn with_end(range: &RangeInclusive<i32>, end: Value) -> RangeInclusive<i32> {
    *range.start()..=end.number() as i32
}

/// Every key, by field.
pub static KEYS: &[Key] = &[
    Key {
        name: "broker.id",
        kind: Kind::Int { min: -1, max: i32::MAX as i64 },
        default: "",
        doc: "Older name of node.id; -1: as if it were not there.",
        set: |c, v| c.node_id = u32::try_from(v.number()).ok(),
    },
    Key {
        name: "node.id",
        kind: Kind::Int { min: -1, max: i32::MAX as i64 },
        default: "",
        doc: "This server's number in its cluster; fixed at the first start (then 1 if not given, or -1).",
        set: |c, v| c.node_id = u32::try_from(v.number()).ok(),
    },
    Key {
        name: "dataDir",
        kind: Kind::Paths,
        default: "",
        doc: "ZooKeeper's key for its data directory: torc keeps its data in `torc` below it, and reads its node.id from `myid`.",
        set: |c, v| c.data_dirs = v.paths().iter().map(|path| path.join("torc")).collect(),
    },
    Key {
        name: "log.dir",
        kind: Kind::Paths,
        default: "./torc-data",
        doc: "Other name of log.dirs.",
        set: |c, v| c.data_dirs = v.paths(),
    },
    Key {
        name: "log.dirs",
        kind: Kind::Paths,
        default: "",
        doc: "The data directory. Of several the one that has data is used, or the first.",
        set: |c, v| c.data_dirs = v.paths(),
    },
    Key {
        name: "listeners",
        kind: Kind::Listeners,
        default: "127.0.0.1:9092",
        doc: "Where Kafka clients connect, without TLS and authentication: host:port or NAME://host:port, or several. Port 0: any free one.",
        set: |c, v| c.asked.listeners = v.listeners(),
    },
    Key {
        name: "advertised.listeners",
        kind: Kind::Listeners,
        default: "",
        doc: "The address that clients of each listener are told; by default the listener's own (the host's name if that is 0.0.0.0).",
        set: |c, v| c.asked.advertised = v.listeners(),
    },
    Key {
        name: "listener.security.protocol.map",
        kind: Kind::Protocols,
        default: "",
        doc: "The protocol of each listener by its name, NAME:PROTOCOL; torc speaks PLAINTEXT.",
        set: |c, v| c.asked.protocols = Some(v.protocols()),
    },
    Key {
        name: "controller.listener.names",
        kind: Kind::Names,
        default: "",
        doc: "Listeners to leave out: torc has no separate controllers.",
        set: |c, v| c.asked.controllers = v.names(),
    },
    Key {
        name: "inter.broker.listener.name",
        kind: Kind::Name,
        default: "",
        doc: "The listener that brokers use among themselves; unused here: servers of torc have torc.peer.listener.",
        set: |c, v| c.asked.inter_broker = v.names().pop(),
    },
    Key {
        name: "num.partitions",
        kind: Kind::Int { min: 1, max: limits::TOPIC_PARTITIONS_MAX as i64 },
        default: "1",
        doc: "Partitions of a topic that is created without a number.",
        set: |c, v| c.num_partitions = v.number() as u32,
    },
    Key {
        name: "auto.create.topics.enable",
        kind: Kind::Bool,
        default: "true",
        doc: "Whether a topic comes into being when a client asks for it.",
        set: |c, v| c.auto_create_topics = v.bool(),
    },
    Key {
        name: "message.max.bytes",
        kind: Kind::Size { min: 1, max: limits::ENTRY_BYTES_MAX as i64 },
        default: "1048588",
        doc: "Largest record batch, for topics without max.message.bytes.",
        set: |c, v| c.message_max_bytes = v.number() as u32,
    },
    Key {
        name: "socket.request.max.bytes",
        kind: Kind::Size { min: 1 << 10, max: limits::FRAME_BYTES_MAX as i64 },
        default: "104857600",
        doc: "Largest request; a longer one closes its connection.",
        set: |c, v| c.socket_request_max_bytes = v.number() as u32,
    },
    Key {
        name: "max.connections",
        kind: Kind::Int { min: 1, max: i32::MAX as i64 },
        default: "2147483647",
        doc: "Connections served at once; further ones are closed. Fewer if the limit of open files (ulimit -n) is lower.",
        set: |c, v| c.connections_max = v.number() as u32,
    },
    Key {
        name: "connections.max.idle.ms",
        kind: Kind::Time { plain_ms: 1, min: -1, max: NO_LIMIT },
        default: "10m",
        doc: "A connection of a Kafka client that is idle for this long is closed; -1: never.",
        set: |c, v| c.connections_max_idle_ms = v.number(),
    },
    Key {
        name: "max.incremental.fetch.session.cache.slots",
        kind: Kind::Int { min: 0, max: limits::FETCH_SESSIONS_MAX as i64 },
        default: "1000",
        doc: "Incremental fetch sessions of one shard.",
        set: |c, v| c.fetch_sessions_max = v.number() as u32,
    },
    Key {
        name: "log.retention.hours",
        kind: Kind::Time { plain_ms: HOUR_MS, min: -1, max: NO_LIMIT },
        default: "168",
        doc: "log.retention.ms in hours.",
        set: |c, v| c.log_retention_ms = v.number(),
    },
    Key {
        name: "log.retention.minutes",
        kind: Kind::Time { plain_ms: 60_000, min: -1, max: NO_LIMIT },
        default: "",
        doc: "log.retention.ms in minutes.",
        set: |c, v| c.log_retention_ms = v.number(),
    },
    Key {
        name: "log.retention.ms",
        kind: Kind::Time { plain_ms: 1, min: -1, max: NO_LIMIT },
        default: "",
        doc: "Records older than this may be deleted, for topics without retention.ms; -1: never.",
        set: |c, v| c.log_retention_ms = v.number(),
    },
    Key {
        name: "log.retention.bytes",
        kind: Kind::Size { min: -1, max: NO_LIMIT },
        default: "-1",
        doc: "What a partition may hold, for topics without retention.bytes; -1: no bound.",
        set: |c, v| c.log_retention_bytes = v.number(),
    },
    Key {
        name: "log.retention.check.interval.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: NO_LIMIT },
        default: "5m",
        doc: "Time from one look for what may be deleted to the next.",
        set: |c, v| c.log_retention_check_interval_ms = v.number() as u64,
    },
    Key {
        name: "log.cleanup.policy",
        kind: Kind::SomeOf(&["compact", "delete"]),
        default: "delete",
        doc: "What happens to old records, for topics without cleanup.policy: delete, compact, or compact,delete.",
        set: |c, v| {
            let words = v.choices();
            c.cleanup_policy = match (words.contains(&0), words.contains(&1)) {
                (true, true) => CleanupPolicy::CompactDelete,
                (true, false) => CleanupPolicy::Compact,
                (false, _) => CleanupPolicy::Delete,
            };
        },
    },
    Key {
        name: "log.cleaner.delete.retention.ms",
        kind: Kind::Time { plain_ms: 1, min: 0, max: NO_LIMIT },
        default: "24h",
        doc: "How long compaction keeps records without a value that are the last of their key, for topics without delete.retention.ms.",
        set: |c, v| c.delete_retention_ms = v.number(),
    },
    Key {
        name: "log.cleaner.min.compaction.lag.ms",
        kind: Kind::Time { plain_ms: 1, min: 0, max: NO_LIMIT },
        default: "0",
        doc: "Age below which records are not compacted, for topics without min.compaction.lag.ms.",
        set: |c, v| c.min_compaction_lag_ms = v.number(),
    },
    Key {
        name: "log.cleaner.max.compaction.lag.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: NO_LIMIT },
        default: "9223372036854775807",
        doc: "Age from which records are compacted even if they are few, for topics without max.compaction.lag.ms.",
        set: |c, v| c.max_compaction_lag_ms = v.number(),
    },
    Key {
        name: "log.cleaner.min.cleanable.ratio",
        kind: Kind::Part,
        default: "0.5",
        doc: "Part of a partition that must be new before it is compacted, for topics without min.cleanable.dirty.ratio.",
        set: |c, v| c.min_cleanable_ppm = v.number() as u32,
    },
    Key {
        name: "log.message.timestamp.type",
        kind: Kind::OneOf(&["CreateTime", "LogAppendTime"]),
        default: "CreateTime",
        doc: "Whose clock stamps records, for topics without message.timestamp.type.",
        set: |c, v| c.timestamp_type = [TimestampType::CreateTime, TimestampType::LogAppendTime][v.choice()],
    },
    Key {
        name: "log.message.timestamp.before.max.ms",
        kind: Kind::Time { plain_ms: 1, min: 0, max: NO_LIMIT },
        default: "9223372036854775807",
        doc: "How far behind the server's clock a record's time may be, for topics that do not say.",
        set: |c, v| c.timestamp_before_max_ms = v.number(),
    },
    Key {
        name: "log.message.timestamp.after.max.ms",
        kind: Kind::Time { plain_ms: 1, min: 0, max: NO_LIMIT },
        default: "1h",
        doc: "How far ahead of the server's clock a record's time may be, for topics that do not say.",
        set: |c, v| c.timestamp_after_max_ms = v.number(),
    },
    Key {
        name: "min.insync.replicas",
        kind: Kind::Int { min: 1, max: i32::MAX as i64 },
        default: "1",
        doc: "Replicas that must have a record before acks=all is answered, for topics that do not say.",
        set: |c, v| c.min_insync_replicas = v.number() as u32,
    },
    Key {
        name: "default.replication.factor",
        kind: Kind::Int { min: 1, max: i16::MAX as i64 },
        default: "",
        doc: "Copies of each partition of a topic that is created without a number (by default 3, or as many as there are servers).",
        set: |c, v| c.replication = Some(v.number() as i16),
    },
    Key {
        name: "broker.rack",
        kind: Kind::Text,
        default: "",
        doc: "Where this server stands: copies of a partition are spread over racks.",
        set: |c, v| c.rack = Some(v.text()),
    },
    Key {
        name: "replica.lag.time.max.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: NO_LIMIT },
        default: "30s",
        doc: "A copy that has lacked something of its leader's for this long is not in sync.",
        set: |c, v| c.replica_lag_max_ms = v.number(),
    },
    Key {
        name: "replica.selector.class",
        kind: Kind::OneOf(&[RACK_AWARE, ""]),
        default: RACK_AWARE,
        doc: "Which copy consumers read that say where they are (client.rack): one in sync in their rack, or, if this is empty, the leader's.",
        set: |c, v| c.rack_reads = v.choice() == 0,
    },
    Key {
        name: "torc.peers",
        kind: Kind::Members,
        default: "",
        doc: "All servers of the cluster by their node.id, 1=HOST:PORT,2=HOST:PORT,3=HOST:PORT, the same text on each; fixed when the cluster is founded.",
        set: |c, v| c.members = Some(v.members()),
    },
    Key {
        name: "torc.join",
        kind: Kind::Addresses,
        default: "",
        doc: "Servers of a running cluster, HOST:PORT[,HOST:PORT], which this server is to join at its first start; instead of torc.peers.",
        set: |c, v| c.join = Some(v.addresses()),
    },
    Key {
        name: "torc.peer.listener",
        kind: Kind::Address,
        default: "",
        doc: "Where the other servers of the cluster connect, without TLS and authentication (by default this server's address in torc.peers, or the one that it joined with).",
        set: |c, v| c.peer = v.address_or_none(),
    },
    Key {
        name: "torc.peer.beat.ms",
        kind: Kind::Time { plain_ms: 1, min: 10, max: 60_000 },
        default: "100",
        doc: "Time between two signs of life to another server, while nothing else is to be said.",
        set: |c, v| c.peer_beat_ms = v.number() as u64,
    },
    Key {
        name: "torc.peer.silent.beats",
        kind: Kind::Int { min: 2, max: 1_000 },
        default: "5",
        doc: "Signs of life that stay away before a server is taken for dead and others take over what it led.",
        set: |c, v| c.peer_silent_beats = v.number() as u32,
    },
    Key {
        name: "torc.moves.at.once",
        kind: Kind::Int { min: 1, max: 10_000 },
        default: "16",
        doc: "Partitions led here that are brought to new replicas at a time; more wait for their turn.",
        set: |c, v| c.moves_at_once = v.number() as u32,
    },
    Key {
        name: "torc.moves.bytes.per.second",
        kind: Kind::Size { min: 0, max: 1 << 40 },
        default: "64m",
        doc: "Bytes that leave this server in a second for replicas that are being added; 0: no limit.",
        set: |c, v| c.move_bytes_per_second = v.number() as u64,
    },
    Key {
        name: "producer.id.expiration.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: NO_LIMIT },
        default: "24h",
        doc: "An idempotent producer that is silent for this long is forgotten.",
        set: |c, v| c.producer_id_expiration_ms = v.number(),
    },
    Key {
        name: "group.min.session.timeout.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: i32::MAX as i64 },
        default: "6s",
        doc: "Shortest session timeout that members of a consumer group may ask for.",
        set: |c, v| c.coordinator.min_session_timeout_ms = v.number() as i32,
    },
    Key {
        name: "group.max.session.timeout.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: i32::MAX as i64 },
        default: "30m",
        doc: "Longest session timeout that members of a consumer group may ask for.",
        set: |c, v| c.coordinator.max_session_timeout_ms = v.number() as i32,
    },
    Key {
        name: "group.initial.rebalance.delay.ms",
        kind: Kind::Time { plain_ms: 1, min: 0, max: i32::MAX as i64 },
        default: "3s",
        doc: "How long a consumer group that was empty waits for more members before its first rebalance.",
        set: |c, v| c.coordinator.initial_rebalance_delay_ms = v.number() as u32,
    },
    Key {
        name: "group.max.size",
        kind: Kind::Int { min: 1, max: i32::MAX as i64 },
        default: "2147483647",
        doc: "Members that a consumer group may have; never more than 10000.",
        set: |c, v| c.coordinator.group_max_size = v.number() as usize,
    },
    Key {
        name: "group.consumer.session.timeout.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: i32::MAX as i64 },
        default: "45s",
        doc: "A member of the consumer protocol that is silent for this long is given up, unless its group says otherwise.",
        set: |c, v| c.coordinator.consumer_session_timeout_ms = v.number() as i32,
    },
    Key {
        name: "group.consumer.min.session.timeout.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: i32::MAX as i64 },
        default: "45s",
        doc: "Shortest session timeout that a group of the consumer protocol may set for itself.",
        set: |c, v| {
            c.coordinator.consumer_session_timeouts_ms = with_start(&c.coordinator.consumer_session_timeouts_ms, v)
        },
    },
    Key {
        name: "group.consumer.max.session.timeout.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: i32::MAX as i64 },
        default: "60s",
        doc: "Longest session timeout that a group of the consumer protocol may set for itself.",
        set: |c, v| {
            c.coordinator.consumer_session_timeouts_ms = with_end(&c.coordinator.consumer_session_timeouts_ms, v)
        },
    },
    Key {
        name: "group.consumer.heartbeat.interval.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: i32::MAX as i64 },
        default: "5s",
        doc: "Time between two heartbeats of a member of the consumer protocol, unless its group says otherwise.",
        set: |c, v| c.coordinator.consumer_heartbeat_interval_ms = v.number() as i32,
    },
    Key {
        name: "group.consumer.min.heartbeat.interval.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: i32::MAX as i64 },
        default: "5s",
        doc: "Shortest time between heartbeats that a group of the consumer protocol may set for itself.",
        set: |c, v| {
            c.coordinator.consumer_heartbeat_intervals_ms =
                with_start(&c.coordinator.consumer_heartbeat_intervals_ms, v);
        },
    },
    Key {
        name: "group.consumer.max.heartbeat.interval.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: i32::MAX as i64 },
        default: "15s",
        doc: "Longest time between heartbeats that a group of the consumer protocol may set for itself.",
        set: |c, v| {
            c.coordinator.consumer_heartbeat_intervals_ms = with_end(&c.coordinator.consumer_heartbeat_intervals_ms, v);
        },
    },
    Key {
        name: "group.consumer.max.size",
        kind: Kind::Int { min: 1, max: i32::MAX as i64 },
        default: "2147483647",
        doc: "Members that a group of the consumer protocol may have; never more than 10000.",
        set: |c, v| c.coordinator.consumer_group_max_size = v.number() as usize,
    },
    Key {
        name: "group.consumer.assignors",
        kind: Kind::SomeOf(ASSIGNORS),
        default: "uniform,range",
        doc: "Assignors that members of the consumer protocol may ask for; the first one assigns if they do not.",
        set: |c, v| {
            let names = v.choices().into_iter().map(|at| ASSIGNORS[at % 2].into());
            c.coordinator.consumer_assignors = names.collect();
        },
    },
    Key {
        name: "group.consumer.migration.policy",
        kind: Kind::OneOf(&["bidirectional", "upgrade", "downgrade", "disabled"]),
        default: "bidirectional",
        doc: "Whether a group with members may change from the classic to the consumer protocol (upgrade), or back (downgrade).",
        set: |c, v| c.coordinator.migration = MIGRATIONS[v.choice()],
    },
    Key {
        name: "offset.metadata.max.bytes",
        kind: Kind::Size { min: 0, max: 1 << 20 },
        default: "4096",
        doc: "Longest text that a consumer may commit with an offset.",
        set: |c, v| c.coordinator.offset_metadata_max_bytes = v.number() as usize,
    },
    Key {
        name: "offsets.retention.minutes",
        kind: Kind::Time { plain_ms: 60_000, min: 60_000, max: i32::MAX as i64 * 60_000 },
        default: "7d",
        doc: "How long committed offsets are kept once their consumer group is empty.",
        set: |c, v| c.coordinator.offsets_retention_ms = v.number(),
    },
    Key {
        name: "offsets.retention.check.interval.ms",
        kind: Kind::Time { plain_ms: 1, min: 1, max: i32::MAX as i64 * 60_000 },
        default: "10m",
        doc: "Time between two searches for committed offsets that have expired.",
        set: |c, v| c.coordinator.offsets_retention_check_interval_ms = v.number() as u64,
    },
    Key {
        name: "offsets.topic.num.partitions",
        kind: Kind::Int { min: 1, max: limits::TOPIC_PARTITIONS_MAX as i64 },
        default: "50",
        doc: "Partitions of the topic that consumer groups are kept in, when it is made. They cannot be changed later.",
        set: |c, v| c.offsets_partitions = v.number() as u32,
    },
    Key {
        name: "offsets.topic.replication.factor",
        kind: Kind::Int { min: 1, max: 32767 },
        default: "3",
        doc: "Copies of each partition of that topic, as far as there are nodes.",
        set: |c, v| c.offsets_replication = v.number() as i16,
    },
    Key {
        name: "torc.shards",
        kind: Kind::Int { min: 1, max: limits::SHARDS_MAX as i64 },
        default: "",
        doc: "Shards, each with its core and its log; fixed at the first start (then one for each core; one on two cores if one of them takes all interrupts of the disk).",
        set: |c, v| c.shards = Some(v.number() as u16),
    },
    Key {
        name: "torc.wal.segment.bytes",
        kind: Kind::Size { min: limits::SEGMENT_BYTES_MIN as i64, max: limits::SEGMENT_BYTES_MAX as i64 },
        default: "",
        doc: "Size of a log segment, a power of two; fixed at the first start (then 64MiB, less on a small disk).",
        set: |c, v| c.segment_bytes = Some(v.number() as u64),
    },
    Key {
        name: "torc.wal.sync",
        kind: Kind::OneOf(&["adaptive", "dsync", "write-fdatasync"]),
        default: "adaptive",
        doc: "How a batch is made durable: by RWF_DSYNC, by an fdatasync linked to its write, or by whichever takes less time.",
        set: |c, v| c.wal_sync = [WalSync::Adaptive, WalSync::Dsync, WalSync::WriteFdatasync][v.choice()],
    },
    Key {
        name: "torc.wal.batches.in.flight",
        kind: Kind::Int { min: 1, max: limits::BATCHES_IN_FLIGHT_MAX as i64 },
        default: "4",
        doc: "Batches that a shard may have with the disk at once. Beside large ones only full ones go.",
        set: |c, v| c.wal_batches_in_flight = v.number() as u32,
    },
    Key {
        name: "log.cleaner.enable",
        kind: Kind::Bool,
        default: "true",
        doc: "Whether topics are compacted, and records that outlive their log segment moved on and sorted by partition.",
        set: |c, v| c.cleaner_enable = v.bool(),
    },
    Key {
        name: "log.cleaner.io.max.bytes.per.second",
        kind: Kind::Rate { min: 64 << 10, max: 1 << 40 },
        default: "64MiB",
        doc: "What a shard reads and writes for that in a second; more when dead records grow faster than that, or the disk is nearly full.",
        set: |c, v| c.cleaner_bytes_per_second = v.number() as u64,
    },
    Key {
        name: "log.cleaner.backoff.ms",
        kind: Kind::Time { plain_ms: 1, min: 0, max: NO_LIMIT },
        default: "15s",
        doc: "Time from one look for what is to be compacted to the next; never less than 100 ms.",
        set: |c, v| c.cleaner_backoff_ms = v.number() as u64,
    },
    Key {
        name: "log.cleaner.dedupe.buffer.size",
        kind: Kind::Size { min: 1 << 10, max: NO_LIMIT },
        default: "128MiB",
        doc: "Memory of all shards for the keys that a compaction has come by, 24 bytes each; with more of them it takes several passes.",
        set: |c, v| c.cleaner_keys_bytes = v.number() as u64,
    },
    Key {
        name: "torc.cleaner.dead.percent",
        kind: Kind::Int { min: 1, max: 99 },
        default: "40",
        doc: "Share of a log segment that must be dead before the rest is moved.",
        set: |c, v| c.cleaner_dead_percent = v.number() as u32,
    },
    Key {
        name: "torc.cleaner.sort.after.ms",
        kind: Kind::Time { plain_ms: 1, min: 0, max: NO_LIMIT },
        default: "15m",
        doc: "Age at which full log segments of many partitions are sorted by partition, so that old records are read in one piece.",
        set: |c, v| c.cleaner_sort_after_ms = v.number() as u64,
    },
    Key {
        name: "torc.spin.us",
        kind: Kind::Int { min: 0, max: 10_000 },
        default: "0",
        doc: "Microseconds that a shard may spin, instead of sleeping, while a flush is in flight; pays where a shard has a core to itself.",
        set: |c, v| c.spin_us = v.number() as u32,
    },
    Key {
        name: "torc.connection.move.after",
        kind: Kind::Int { min: 0, max: 4096 },
        default: "16",
        doc: "Requests in a row for partitions of one other shard after which a producer's connection moves to that shard (0: never).",
        set: |c, v| c.connection_move_after = v.number() as u32,
    },
    Key {
        name: "torc.disk.reserve.bytes",
        kind: Kind::Size { min: 0, max: NO_LIMIT },
        default: "",
        doc: "Free space below which producers are refused (by default 256MiB, at most 1/32 of the file system).",
        set: |c, v| c.disk_reserve_bytes = Some(v.number() as u64),
    },
    Key {
        name: "torc.tail.cache.bytes",
        kind: Kind::Size { min: 1 << 20, max: 1 << 40 },
        default: "32MiB",
        doc: "Memory of one shard for its newest batches, from which consumers at the tail are served.",
        set: |c, v| c.tail_cache_bytes = v.number() as u64,
    },
    Key {
        name: "torc.read.ahead.bytes",
        kind: Kind::Size { min: 0, max: (limits::READ_MEMORY / 2) as i64 },
        default: "32MiB",
        doc: "Memory of one shard for what is read from disk before sequential consumers ask for it; 0: nothing is.",
        set: |c, v| c.read_ahead_bytes = v.number() as u64,
    },
    Key {
        name: "torc.drain.ms",
        kind: Kind::Time { plain_ms: 1, min: 0, max: HOUR_MS },
        default: "5s",
        doc: "Time that requests in progress have to be answered when the server is told to stop.",
        set: |c, v| c.drain_ms = v.number() as u64,
    },
    Key {
        name: "torc.slow.request.ms",
        kind: Kind::Time { plain_ms: 1, min: 0, max: NO_LIMIT },
        default: "1s",
        doc: "A request that takes longer is logged with the times of its stages, some a second; 0: none is.",
        set: |c, v| c.slow_request_ms = v.number() as u64,
    },
    Key {
        name: "torc.zookeeper.listener",
        kind: Kind::Listener,
        default: "none",
        doc: "Where ZooKeeper's clients connect, without TLS and authentication: host:port, :port for every interface, or a port of 127.0.0.1; none: nowhere.",
        set: |c, v| c.zookeeper.listener = v.address_or_none(),
    },
    Key {
        name: "clientPort",
        kind: Kind::Int { min: 0, max: u16::MAX as i64 },
        default: "",
        doc: "ZooKeeper's key for the port of its clients. Without listeners only they are served, as by a ZooKeeper.",
        set: |c, v| c.zookeeper.client_port = Some(v.number() as u16),
    },
    Key {
        name: "clientPortAddress",
        kind: Kind::Text,
        default: "",
        doc: "The address that clientPort is on (by default every interface).",
        set: |c, v| c.zookeeper.client_address = Some(v.text()),
    },
    Key {
        name: "tickTime",
        kind: Kind::Time { plain_ms: 1, min: 1, max: 3_600_000 },
        default: "2s",
        doc: "ZooKeeper's tick: ends of sessions are rounded up to it.",
        set: |c, v| c.zookeeper.tick_ms = v.number() as u64,
    },
    Key {
        name: "minSessionTimeout",
        kind: Kind::Time { plain_ms: 1, min: -1, max: i32::MAX as i64 },
        default: "-1",
        doc: "Shortest session that a client of ZooKeeper gets; -1: two ticks.",
        set: |c, v| c.zookeeper.min_session_ms = u64::try_from(v.number()).ok(),
    },
    Key {
        name: "maxSessionTimeout",
        kind: Kind::Time { plain_ms: 1, min: -1, max: i32::MAX as i64 },
        default: "-1",
        doc: "Longest session that a client of ZooKeeper gets; -1: twenty ticks.",
        set: |c, v| c.zookeeper.max_session_ms = u64::try_from(v.number()).ok(),
    },
    Key {
        name: "initLimit",
        kind: Kind::Int { min: 1, max: i32::MAX as i64 },
        default: "10",
        doc: "Shown by `conf`, and unused here: a server that lacks much may take its time.",
        set: |c, v| c.zookeeper.init_limit = v.number() as u32,
    },
    Key {
        name: "syncLimit",
        kind: Kind::Int { min: 1, max: i32::MAX as i64 },
        default: "5",
        doc: "Shown by `conf`, and unused here: see torc.peer.silent.beats.",
        set: |c, v| c.zookeeper.sync_limit = v.number() as u32,
    },
    Key {
        name: "maxClientCnxns",
        kind: Kind::Int { min: 0, max: i32::MAX as i64 },
        default: "60",
        doc: "Connections of ZooKeeper's clients from one address; 0: no bound.",
        set: |c, v| c.zookeeper.max_connections_per_ip = v.number() as usize,
    },
    Key {
        name: "znode.container.checkIntervalMs",
        kind: Kind::Time { plain_ms: 1, min: 1, max: i32::MAX as i64 },
        default: "5s",
        doc: "How often containers that have been emptied and znodes whose time is over are looked for.",
        set: |c, v| c.zookeeper.due_ms = v.number() as u64,
    },
    Key {
        name: "jute.maxbuffer",
        kind: Kind::Size { min: 1 << 10, max: limits::FRAME_BYTES_MAX as i64 },
        default: "0xfffff",
        doc: "Longest request of ZooKeeper's clients; a longer one closes its connection, and the session lives on.",
        set: |c, v| c.zookeeper.max_buffer = v.number() as usize,
    },
    Key {
        name: "torc.zookeeper.memory.bytes",
        kind: Kind::Size { min: 1 << 20, max: 1 << 40 },
        default: "4GiB",
        doc: "Memory that znodes may take; beyond it they can only be deleted.",
        set: |c, v| c.zookeeper.memory_max = v.number() as usize,
    },
    Key {
        name: "4lw.commands.whitelist",
        kind: Kind::SomeOf(FOUR_LETTER_WORDS),
        default: "",
        doc: "ZooKeeper's four-letter words that are answered, separated by commas, or *; srvr always is.",
        set: |c, v| {
            let words = v.choices().into_iter().map(|at| FOUR_LETTER_WORDS[at].to_string());
            c.zookeeper.four_letter_words = words.collect();
        },
    },
    Key {
        name: "DigestAuthenticationProvider.superDigest",
        kind: Kind::Secret,
        default: "",
        doc: "user:hash of who may change every znode, whatever its access list says.",
        set: |c, v| c.zookeeper.super_digest = Some(v.text()),
    },
    Key {
        name: "extendedTypesEnabled",
        kind: Kind::Bool,
        default: "true",
        doc: "Whether znodes may have a time to live (not in ZooKeeper unless it is set).",
        set: |c, v| c.zookeeper.has_ttl = v.bool(),
    },
    Key {
        name: "enforceQuota",
        kind: Kind::Bool,
        default: "false",
        doc: "Whether what would exceed a hard quota of znodes or bytes is refused.",
        set: |c, v| c.zookeeper.enforces_quotas = v.bool(),
    },
    Key {
        name: "skipACL",
        kind: Kind::YesNo,
        default: "no",
        doc: "Whether access lists of znodes are ignored.",
        set: |c, v| c.zookeeper.skips_acls = v.bool(),
    },
    Key {
        name: "localSessionsEnabled",
        kind: Kind::Bool,
        default: "false",
        doc: "Whether new sessions of a cluster are known to their server alone, and own no ephemeral znodes.",
        set: |c, v| c.zookeeper.local_sessions = v.bool(),
    },
    Key {
        name: "localSessionsUpgradingEnabled",
        kind: Kind::Bool,
        default: "false",
        doc: "Whether such a session becomes known to all servers when it makes an ephemeral znode.",
        set: |c, v| c.zookeeper.upgrades_sessions = v.bool(),
    },
    Key {
        name: "readonlymode.enabled",
        kind: Kind::Bool,
        default: "false",
        doc: "Whether a server of a cluster that has no leader serves reads to clients that allow it.",
        set: |c, v| c.zookeeper.reads_alone = v.bool(),
    },
    Key {
        name: "admin.enableServer",
        kind: Kind::Bool,
        default: "true",
        doc: "Whether ZooKeeper's commands are served over HTTP at a port of their own; they are at /commands of the metrics, too.",
        set: |c, v| c.zookeeper.admin_enabled = v.bool(),
    },
    Key {
        name: "admin.serverAddress",
        kind: Kind::Text,
        default: "",
        doc: "The address that admin.serverPort is on (by default every interface).",
        set: |c, v| c.zookeeper.admin_address = Some(v.text()),
    },
    Key {
        name: "admin.serverPort",
        kind: Kind::Int { min: 0, max: u16::MAX as i64 },
        default: "",
        doc: "The port of ZooKeeper's commands (by default 8080 with clientPort, none without).",
        set: |c, v| c.zookeeper.admin_port = Some(v.number() as u16),
    },
    Key {
        name: "torc.zookeeper.kafka.chroot",
        kind: Kind::Text,
        default: "/kafka",
        doc: "Where ZooKeeper's clients see Kafka's topics, brokers and settings, read-only, as Kafka kept them in ZooKeeper; none: nowhere, as where ZooKeeper's clients alone are served.",
        set: |c, v| c.zookeeper.kafka_chroot = v.text(),
    },
    Key {
        name: "torc.metrics.listen",
        kind: Kind::AddressOrNone,
        default: "127.0.0.1:9644",
        doc: "Where /metrics, /healthz and /readyz are served over HTTP; none: nowhere.",
        set: |c, v| c.metrics = v.address_or_none(),
    },
    Key {
        name: "torc.metrics.offsets.max",
        kind: Kind::Int { min: 0, max: limits::METRICS_OFFSETS_MAX as i64 },
        default: "10000",
        doc: "How many offsets of consumer groups /metrics shows, with their lag: whole groups; those left out are counted. 0: none.",
        set: |c, v| c.metrics_offsets_max = v.number() as usize,
    },
    Key {
        name: "torc.log.level",
        kind: Kind::OneOf(&["error", "warn", "info", "debug"]),
        default: "info",
        doc: "The least important lines that are logged.",
        set: |c, v| c.log_level = [Level::Error, Level::Warn, Level::Info, Level::Debug][v.choice()],
    },
];

/// Names of one setting, from the weakest to the strongest.
static SYNONYMS: &[&[&str]] = &[
    &["broker.id", "node.id"],
    &["dataDir", "log.dir", "log.dirs"],
    &["log.retention.hours", "log.retention.minutes", "log.retention.ms"],
];

/// The strongest name of the same setting: mostly the name itself.
pub fn strongest(name: &'static str) -> &'static str {
    let synonyms = SYNONYMS.iter().find(|names| names.contains(&name));
    synonyms.and_then(|names| names.last()).unwrap_or(&name)
}

/// Of the names of the setting that has `strongest` for its strongest one: the one that has a default, if any.
pub fn default_name(strongest: &'static str) -> &'static str {
    let has_default = |name: &&str| find(name).is_some_and(|key| !key.default.is_empty());
    let synonyms = SYNONYMS.iter().find(|names| names.last() == Some(&strongest));
    synonyms.and_then(|names| names.iter().copied().find(|name| has_default(name))).unwrap_or(strongest)
}

/// The key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// What to tell somebody who wrote a key that does not exist.
pub fn advice(unknown: &str) -> String {
    if let Some(server) = kafka_keys::of_topic(unknown) {
        return format!("`{unknown}` is a setting of topics; its default for all topics is the key `{server}`");
    }
    let names = KEYS.iter().map(|key| key.name).chain(kafka_keys::names(KAFKA)).chain(kafka_keys::names(ZOOKEEPER));
    let nearest = names.map(|name| (edits(unknown, name), name)).min().expect("a table with rows");
    match nearest {
        // A third of the letters is more than a slip of the pen.
        (edits, name) if edits * 3 <= unknown.chars().count() => {
            format!("unknown key `{unknown}`; the nearest known key is `{name}`")
        }
        _ => format!(
            "unknown key `{unknown}`: neither torc nor Kafka 2.8 to 4.4 nor ZooKeeper 3.4 to 3.9 has one like it"
        ),
    }
}

/// Letters to insert, remove or replace to get from `a` to `b` (Levenshtein).
pub fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
