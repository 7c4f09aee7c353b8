//! The configuration of one server: defaults, then the file, then `--set`, then flags; the last that names a key wins
//! (`reading.rs`).
//!
//! It is read once, at start, and handed on by value: nothing reaches for it later.

use crate::cluster::Members;
use crate::endpoint::Endpoint;
use crate::keys::{KEYS, Key, Value};
use crate::listeners::{Asked, KafkaListener};
use crate::reading::Reading;
use crate::zookeeper::ZooKeeper;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use torc_base::io::Level;
use torc_shard::{CleanupPolicy, CoordinatorSettings};

/// Copies of a partition where nobody says how many, as far as there are servers.
const REPLICATION: usize = 3;

/// Whose clock stamps records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The server's.
    LogAppendTime,
}

/// How a batch is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalSync {
    /// One write with RWF_DSYNC.
    Dsync,
    /// A write and an fdatasync, linked.
    WriteFdatasync,
    /// One or the other, whichever takes less time.
    Adaptive,
}

/// Everything that can be set. `None` is "not said": the data directory or the machine decides.
/// The keys that set the fields, their bounds and defaults: [`KEYS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub node_id: Option<u32>,
    /// The one of `data_dirs` that is used.
    pub data_dir: PathBuf,
    /// `log.dirs`, as written.
    pub data_dirs: Vec<PathBuf>,
    /// What is listened on for Kafka clients; empty with ZooKeeper's clients alone.
    pub kafka: Vec<KafkaListener>,
    /// What is said of ZooKeeper's clients.
    pub zookeeper: ZooKeeper,
    /// The keys that `kafka` comes from.
    pub asked: Asked,
    pub metrics: Option<Endpoint>,
    pub shards: Option<u16>,
    pub segment_bytes: Option<u64>,
    pub disk_reserve_bytes: Option<u64>,
    pub wal_sync: WalSync,
    pub wal_batches_in_flight: u32,
    pub cleaner_enable: bool,
    pub cleaner_bytes_per_second: u64,
    pub cleaner_dead_percent: u32,
    pub cleaner_sort_after_ms: u64,
    pub cleaner_backoff_ms: u64,
    /// Of all shards.
    pub cleaner_keys_bytes: u64,
    pub spin_us: u32,
    pub tail_cache_bytes: u64,
    pub read_ahead_bytes: u64,
    pub num_partitions: u32,
    pub auto_create_topics: bool,
    pub message_max_bytes: u32,
    pub socket_request_max_bytes: u32,
    pub connections_max: u32,
    /// -1: never.
    pub connections_max_idle_ms: i64,
    pub fetch_sessions_max: u32,
    /// -1: for ever.
    pub log_retention_ms: i64,
    /// -1: no bound.
    pub log_retention_bytes: i64,
    pub log_retention_check_interval_ms: u64,
    pub cleanup_policy: CleanupPolicy,
    pub delete_retention_ms: i64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub min_cleanable_ppm: u32,
    pub timestamp_type: TimestampType,
    pub min_insync_replicas: u32,
    /// `None`: 3, or as many as there are servers.
    pub replication: Option<i16>,
    pub rack: Option<String>,
    pub replica_lag_max_ms: i64,
    /// Consumers are sent to a copy in their rack.
    pub rack_reads: bool,
    /// All servers of the cluster, this one among them.
    pub members: Option<Members>,
    /// Servers of the cluster that this one is to join.
    pub join: Option<Vec<Endpoint>>,
    /// `None`: this server's address in `members`, or as it joined.
    pub peer: Option<Endpoint>,
    pub peer_beat_ms: u64,
    pub peer_silent_beats: u32,
    pub moves_at_once: u32,
    pub move_bytes_per_second: u64,
    pub timestamp_before_max_ms: i64,
    pub timestamp_after_max_ms: i64,
    pub producer_id_expiration_ms: i64,
    /// What coordinators of consumer groups go by.
    pub coordinator: CoordinatorSettings,
    pub offsets_partitions: u32,
    pub offsets_replication: i16,
    pub connection_move_after: u32,
    pub slow_request_ms: u64,
    pub metrics_offsets_max: usize,
    pub drain_ms: u64,
    pub log_level: Level,
    /// Every key with a value, a default included, as DescribeConfigs shows it.
    pub shown: BTreeMap<&'static str, String>,
    /// The keys that a source names.
    pub set: BTreeSet<&'static str>,
    /// What is to be said of the sources at the start: what they ask for in vain, and what is odd about them.
    pub notes: Vec<(Level, String)>,
}

/// What a command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Each `--set KEY=VALUE`, as written.
    pub set: Vec<String>,
    /// Flags that stand for a key.
    pub flags: Vec<Flag>,
}

/// A flag that stands for a key.
#[derive(Clone, Debug)]
pub struct Flag {
    /// As the user wrote it, such as `--kafka`.
    pub name: &'static str,
    /// The key it stands for.
    pub key: &'static str,
    /// As written.
    pub value: String,
}

/// Why a configuration is refused: every reason that was found, each with its place.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// One line each: place, key, value, what is allowed.
    pub problems: Vec<String>,
}

impl ConfigError {
    /// True if a flag or a `--set` is refused, and not only what a file says.
    pub fn is_of_command_line(&self) -> bool {
        self.problems.iter().any(|problem| problem.starts_with("--"))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads all sources. Every problem in any of them is an error; none is skipped over.
    pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
        let Reading { config, problems, .. } = Reading::of(sources);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
    }

    pub(crate) fn put(&mut self, key: &Key, value: Value) {
        self.shown.insert(key.name, key.kind.show(&value));
        (key.set)(self, value);
    }

    pub(crate) fn check_relations(&self, problems: &mut Vec<String>) {
        if let Some(bytes) = self.segment_bytes.filter(|bytes| !bytes.is_power_of_two()) {
            problems.push(format!("`torc.wal.segment.bytes` cannot be `{bytes}`: it must be a power of two"));
        }
        if self.message_max_bytes > self.socket_request_max_bytes {
            problems.push(format!(
                "`message.max.bytes` ({}) is more than `socket.request.max.bytes` ({}): such a batch could never arrive",
                self.message_max_bytes, self.socket_request_max_bytes
            ));
        }
        let (min, max) = (self.min_compaction_lag_ms, self.max_compaction_lag_ms);
        if min > max {
            problems.push(format!(
                "`log.cleaner.min.compaction.lag.ms` ({min}) is more than `log.cleaner.max.compaction.lag.ms` ({max})"
            ));
        }
        self.check_groups(problems);
    }
}

impl Config {
    /// Copies of each partition of a topic that is created without a number.
    pub fn replication(&self, servers: usize) -> i16 {
        self.replication.unwrap_or(servers.min(REPLICATION) as i16)
    }

    /// As Kafka checks what stands for groups of the consumer protocol.
    fn check_groups(&self, problems: &mut Vec<String>) {
        let c = &self.coordinator;
        let (session, heartbeat) = (c.consumer_session_timeout_ms, c.consumer_heartbeat_interval_ms);
        for (what, value, allowed) in [
            ("session.timeout.ms", session, &c.consumer_session_timeouts_ms),
            ("heartbeat.interval.ms", heartbeat, &c.consumer_heartbeat_intervals_ms),
        ] {
            if !allowed.contains(&value) {
                problems.push(format!(
                    "`group.consumer.{what}` ({value}) is not between `group.consumer.min.{what}` ({}) and \
                     `group.consumer.max.{what}` ({})",
                    allowed.start(),
                    allowed.end()
                ));
            }
        }
        if session <= heartbeat {
            problems.push(format!(
                "`group.consumer.session.timeout.ms` ({session}) is not more than \
                 `group.consumer.heartbeat.interval.ms` ({heartbeat}): every member would be given up"
            ));
        }
    }
}

impl Default for Config {
    /// What the table says, with no source read.
    fn default() -> Config {
        let mut config = Config {
            node_id: None,
            data_dir: PathBuf::new(),
            data_dirs: Vec::new(),
            kafka: Vec::new(),
            zookeeper: ZooKeeper::default(),
            asked: Asked::default(),
            metrics: None,
            shards: None,
            segment_bytes: None,
            disk_reserve_bytes: None,
            wal_sync: WalSync::Adaptive,
            wal_batches_in_flight: 0,
            cleaner_enable: false,
            cleaner_bytes_per_second: 0,
            cleaner_dead_percent: 0,
            cleaner_sort_after_ms: 0,
            cleaner_backoff_ms: 0,
            cleaner_keys_bytes: 0,
            spin_us: 0,
            tail_cache_bytes: 0,
            read_ahead_bytes: 0,
            num_partitions: 0,
            auto_create_topics: false,
            message_max_bytes: 0,
            socket_request_max_bytes: 0,
            connections_max: 0,
            connections_max_idle_ms: 0,
            fetch_sessions_max: 0,
            log_retention_ms: 0,
            log_retention_bytes: 0,
            log_retention_check_interval_ms: 0,
            cleanup_policy: CleanupPolicy::Delete,
            delete_retention_ms: 0,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: 0,
            min_cleanable_ppm: 0,
            timestamp_type: TimestampType::CreateTime,
            min_insync_replicas: 0,
            replication: None,
            rack: None,
            replica_lag_max_ms: 0,
            rack_reads: false,
            members: None,
            join: None,
            peer: None,
            peer_beat_ms: 0,
            peer_silent_beats: 0,
            moves_at_once: 0,
            move_bytes_per_second: 0,
            timestamp_before_max_ms: 0,
            timestamp_after_max_ms: 0,
            producer_id_expiration_ms: 0,
            coordinator: CoordinatorSettings::default(),
            offsets_partitions: 0,
            offsets_replication: 0,
            connection_move_after: 0,
            slow_request_ms: 0,
            metrics_offsets_max: 0,
            drain_ms: 0,
            log_level: Level::Info,
            shown: BTreeMap::new(),
            set: BTreeSet::new(),
            notes: Vec::new(),
        };
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            let value = key.kind.parse(key.default).unwrap_or_else(|why| panic!("default of {}: {why}", key.name));
            config.put(key, value);
        }
        config
    }
}
