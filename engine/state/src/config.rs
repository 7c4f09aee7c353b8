//! Topic settings: Kafka's keys with Kafka's meaning. One table says what there is; a setting that does not work yet is
//! refused, not ignored. Those of [`Layout`] are taken and change nothing.

use crate::compaction::Compaction;
use crate::layout::Layout;
use crate::retention::Limits;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use torc_base::limits::{ENTRY_BYTES_MAX, MESSAGE_BYTES_DEFAULT};
use torc_base::time::Wall;

/// What only changes a topic by its own value, by key. Bounded by [`KEYS`].
pub type Overrides = BTreeMap<String, String>;

/// Whose clock stamps records: `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// This node's, when the batch is appended.
    LogAppendTime,
}

/// What happens to old records: `cleanup.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupPolicy {
    /// They are dropped by age and size.
    Delete,
    /// The last record of each key stays.
    Compact,
    /// The last record of each key stays, until it is dropped by age or size.
    CompactDelete,
}

impl CleanupPolicy {
    /// True if records must have keys.
    pub fn compacts(self) -> bool {
        self != CleanupPolicy::Delete
    }

    /// True if records are dropped by age and size, and may be by request.
    pub fn deletes(self) -> bool {
        self != CleanupPolicy::Compact
    }
}

/// The settings of one topic, in effect. Milliseconds and bytes; -1 where it says so: without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `retention.ms`, or -1.
    pub retention_ms: i64,
    /// `retention.bytes` of each partition, or -1.
    pub retention_bytes: i64,
    /// `max.message.bytes`: largest record batch, as it is sent.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far behind the clock a producer's timestamp may be.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far ahead of the clock a producer's timestamp may be.
    pub timestamp_after_max_ms: i64,
    /// `delete.retention.ms`: how long tombstones stay once they are all that is left of their keys.
    pub delete_retention_ms: i64,
    /// `max.compaction.lag.ms`: records that are older are compacted, however few.
    pub max_compaction_lag_ms: i64,
    /// `min.compaction.lag.ms`: records that are younger are not compacted.
    pub min_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub dirty_ppm: u32,
    /// `min.insync.replicas`: with fewer, acks=all is answered by NOT_ENOUGH_REPLICAS.
    pub min_insync_replicas: u32,
    /// What changes nothing.
    pub layout: Layout,
}

impl Default for TopicConfig {
    /// Kafka 4's defaults.
    fn default() -> TopicConfig {
        TopicConfig {
            cleanup_policy: CleanupPolicy::Delete,
            retention_ms: 7 * 24 * 60 * 60 * 1000,
            retention_bytes: -1,
            max_message_bytes: MESSAGE_BYTES_DEFAULT as u32,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 60 * 60 * 1000,
            min_insync_replicas: 1,
            delete_retention_ms: 24 * 60 * 60 * 1000,
            max_compaction_lag_ms: i64::MAX,
            min_compaction_lag_ms: 0,
            dirty_ppm: 500_000,
            layout: Layout::default(),
        }
    }
}

impl TopicConfig {
    /// `defaults` with `overrides` over them. Fails on the first override that is unknown, unsupported or wrong.
    pub fn resolve(defaults: &TopicConfig, overrides: &Overrides) -> Result<TopicConfig, ConfigError> {
        let mut config = *defaults;
        for (name, value) in overrides {
            config.put(name, value)?;
        }
        Ok(config)
    }

    /// `overrides`, if all of them are allowed, each in the one form that is stored: a value that can be long can be
    /// wrong only here.
    pub fn canonical(overrides: &Overrides) -> Result<Overrides, ConfigError> {
        let mut config = TopicConfig::default();
        overrides.iter().try_for_each(|(name, value)| config.set(name, value))?;
        let (min, max) = (config.min_compaction_lag_ms, config.max_compaction_lag_ms);
        if min > max {
            let why = format!("it must not be more than max.compaction.lag.ms, which is {max}");
            return Err(ConfigError::new("min.compaction.lag.ms", &min.to_string(), why));
        }
        let form = |name: &String| (name.clone(), key(name).expect("resolved").value(&config));
        Ok(overrides.keys().map(form).collect())
    }

    /// Takes one setting in that somebody wants, written as Kafka writes it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        self.put(name, value)
    }

    /// Takes one setting in that a topic may have.
    fn put(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let value = value.trim();
        let fail = |why: String| Err(ConfigError::new(name, value, why));
        let Some(key) = key(name) else {
            return match UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == name) {
                Some((_, why)) => fail(format!("not supported yet: {why}")),
                None => fail("there is no such topic setting".into()),
            };
        };
        match key.rule {
            Rule::Number { min, max, set, .. } => match value.parse::<i64>() {
                Ok(number) if (min..=max).contains(&number) => set(self, number),
                _ => return fail(format!("allowed is a whole number from {min} to {max}")),
            },
            Rule::Part { set, .. } => match value.parse::<f64>() {
                Ok(part) if (0.0..=1.0).contains(&part) => set(self, (part * PPM).round() as u32),
                _ => return fail("allowed is a number from 0 to 1".into()),
            },
            Rule::Words { options, set, .. } => {
                let mut words: Vec<&str> = value.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
                words.sort_unstable();
                words.dedup();
                match options.iter().position(|option| *option == words.join(",")) {
                    Some(at) => set(self, at),
                    None => return fail(format!("allowed is one of {}", options.join("; "))),
                }
            }
            Rule::Word { words, set, .. } => match words.iter().position(|word| *word == value) {
                Some(at) => set(self, at),
                None => return fail(format!("allowed is one of {}", words.join(", "))),
            },
            Rule::Only { value: only, .. } if only == value => {}
            Rule::Only { value: only, why } => return fail(format!("only {only} is supported yet: {why}")),
        }
        Ok(())
    }

    /// What retention goes by.
    pub fn retention(&self) -> Limits {
        match self.cleanup_policy.deletes() {
            true => Limits { ms: self.retention_ms, bytes: self.retention_bytes },
            false => Limits { ms: -1, bytes: -1 },
        }
    }

    /// What compaction goes by; `None` if there is none.
    pub fn compaction(&self) -> Option<Compaction> {
        self.cleanup_policy.compacts().then_some(Compaction {
            min_lag_ms: self.min_compaction_lag_ms,
            max_lag_ms: self.max_compaction_lag_ms,
            dirty_ppm: self.dirty_ppm,
            delete_retention_ms: self.delete_retention_ms,
        })
    }

    /// The timestamps that records of producers may have, besides -1 (none); others are INVALID_TIMESTAMP. `None` if the
    /// broker sets them itself.
    pub fn admitted_timestamps(&self, now: Wall) -> Option<RangeInclusive<i64>> {
        let from = now.0.saturating_sub(self.timestamp_before_max_ms);
        let upto = now.0.saturating_add(self.timestamp_after_max_ms);
        (self.timestamp_type == TimestampType::CreateTime).then_some(from..=upto)
    }
}

/// A setting that is refused: INVALID_CONFIG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Its key.
    pub key: String,
    /// The value that was asked for.
    pub value: String,
    /// What is wrong and what is allowed.
    pub why: String,
}

impl ConfigError {
    /// Key and value may be anything that fits into a request; what is told of them is bounded.
    pub(crate) fn new(key: &str, value: &str, why: String) -> ConfigError {
        let clip = |text: &str| text.chars().take(100).collect();
        ConfigError { key: clip(key), value: clip(value), why }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}: {}", self.key, self.value, self.why)
    }
}

impl std::error::Error for ConfigError {}

/// Type of a setting's value, with Kafka's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// true or false.
    Boolean = 1,
    /// Text.
    String = 2,
    /// 32 bits.
    Int = 3,
    /// 64 bits.
    Long = 5,
    /// A number with a fraction.
    Double = 6,
    /// Words between commas.
    List = 7,
}

/// A key that topics have.
#[derive(Debug)]
pub struct Key {
    /// As in Kafka.
    pub name: &'static str,
    /// Type of its value.
    pub kind: Type,
    /// What it means, for `DescribeConfigs` and `torc topic describe`.
    pub doc: &'static str,
    /// The server's key that gives its default.
    pub server_key: &'static str,
    rule: Rule,
}

/// What values a key takes.
#[derive(Clone, Copy, Debug)]
enum Rule {
    Number {
        min: i64,
        max: i64,
        get: fn(&TopicConfig) -> i64,
        set: fn(&mut TopicConfig, i64),
    },
    Word {
        words: &'static [&'static str],
        get: fn(&TopicConfig) -> usize,
        set: fn(&mut TopicConfig, usize),
    },
    /// Words between commas, in any order; of each option in the order of the alphabet.
    Words {
        options: &'static [&'static str],
        get: fn(&TopicConfig) -> usize,
        set: fn(&mut TopicConfig, usize),
    },
    /// A number from 0 to 1, kept in millionths.
    Part {
        get: fn(&TopicConfig) -> u32,
        set: fn(&mut TopicConfig, u32),
    },
    Only {
        value: &'static str,
        why: &'static str,
    },
}

const PPM: f64 = 1_000_000.0;

impl Key {
    /// The value that `config` has for this key, as Kafka writes it.
    pub fn value(&self, config: &TopicConfig) -> String {
        match self.rule {
            Rule::Number { get, .. } => get(config).to_string(),
            Rule::Word { words, get, .. } => words[get(config)].into(),
            Rule::Words { options, get, .. } => options[get(config)].into(),
            Rule::Part { get, .. } => format!("{:?}", f64::from(get(config)) / PPM),
            Rule::Only { value, .. } => value.into(),
        }
    }
}

/// The key of that name, if topics have it.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Where a value comes from, with Kafka's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Set for this topic (DYNAMIC_TOPIC_CONFIG).
    Topic = 1,
    /// Set for this server (STATIC_BROKER_CONFIG).
    Server = 4,
    /// Built in (DEFAULT_CONFIG).
    Default = 5,
}

/// One value of a key and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The key under which it is set there.
    pub name: &'static str,
    /// The value.
    pub value: String,
    /// Where.
    pub source: Source,
}

/// A setting of a topic, as `DescribeConfigs` tells it.
#[derive(Debug)]
pub struct Described {
    /// Which.
    pub key: &'static Key,
    /// The value in effect.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
    /// All values that are set somewhere, the one in effect first.
    pub synonyms: Vec<Synonym>,
}

/// All settings of a topic with `overrides` on a server with `defaults`.
pub fn describe(defaults: &TopicConfig, overrides: &Overrides) -> impl Iterator<Item = Described> {
    KEYS.iter().map(move |key| {
        let mut synonyms = Vec::with_capacity(3);
        if let Some(value) = overrides.get(key.name) {
            synonyms.push(Synonym { name: key.name, value: value.clone(), source: Source::Topic });
        }
        let (server, built_in) = (key.value(defaults), key.value(&TopicConfig::default()));
        if server != built_in {
            synonyms.push(Synonym { name: key.server_key, value: server, source: Source::Server });
        }
        synonyms.push(Synonym { name: key.server_key, value: built_in, source: Source::Default });
        Described { key, value: synonyms[0].value.clone(), source: synonyms[0].source, synonyms }
    })
}

macro_rules! number {
    ($($field:ident).+, $min:expr, $max:expr) => {
        Rule::Number {
            min: $min,
            max: $max,
            get: |config| i64::from(config.$($field).+),
            set: |config, number| config.$($field).+ = number.try_into().expect("in the key's range"),
        }
    };
}

/// Every key that topics have, in the order of their names.
pub const KEYS: &[Key] = &[
    Key {
        name: "cleanup.policy",
        kind: Type::List,
        doc: "What happens to old records: delete removes them when retention.ms or retention.bytes is exceeded, compact \
              keeps the last one of each key; both together: compact,delete.",
        server_key: "log.cleanup.policy",
        rule: Rule::Words {
            options: &["delete", "compact", "compact,delete"],
            get: |config| config.cleanup_policy as usize,
            set: |config, at| {
                config.cleanup_policy =
                    [CleanupPolicy::Delete, CleanupPolicy::Compact, CleanupPolicy::CompactDelete][at];
            },
        },
    },
    Key {
        name: "compression.type",
        kind: Type::String,
        doc: "How record batches are compressed in the log: producer keeps them as they were sent.",
        server_key: "compression.type",
        rule: Rule::Only { value: "producer", why: "batches are stored as they were sent" },
    },
    Key {
        name: "delete.retention.ms",
        kind: Type::Long,
        doc: "How long, in ms, a compacted topic keeps records without a value (tombstones) that are the last of their key.",
        server_key: "log.cleaner.delete.retention.ms",
        rule: number!(delete_retention_ms, 0, i64::MAX),
    },
    Key {
        name: "file.delete.delay.ms",
        kind: Type::Long,
        doc: "Has no effect: all partitions share the segments of one log, which are freed as a whole.",
        server_key: "log.segment.delete.delay.ms",
        rule: number!(layout.file_delete_delay_ms, 0, i64::MAX),
    },
    Key {
        name: "flush.messages",
        kind: Type::Long,
        doc: "Has no effect: each record is flushed before it is acknowledged.",
        server_key: "log.flush.interval.messages",
        rule: number!(layout.flush_messages, 1, i64::MAX),
    },
    Key {
        name: "flush.ms",
        kind: Type::Long,
        doc: "Has no effect: each record is flushed before it is acknowledged.",
        server_key: "log.flush.interval.ms",
        rule: number!(layout.flush_ms, 0, i64::MAX),
    },
    Key {
        name: "index.interval.bytes",
        kind: Type::Int,
        doc: "Has no effect: the index has an entry for each extent of the log.",
        server_key: "log.index.interval.bytes",
        rule: number!(layout.index_interval_bytes, 0, i32::MAX as i64),
    },
    Key {
        name: "max.compaction.lag.ms",
        kind: Type::Long,
        doc: "Age in ms from which records of a compacted topic are compacted even if they are few.",
        server_key: "log.cleaner.max.compaction.lag.ms",
        rule: number!(max_compaction_lag_ms, 1, i64::MAX),
    },
    Key {
        name: "max.message.bytes",
        kind: Type::Int,
        doc: "Largest record batch in bytes, after compression.",
        server_key: "message.max.bytes",
        rule: number!(max_message_bytes, 0, ENTRY_BYTES_MAX as i64),
    },
    Key {
        name: "message.timestamp.after.max.ms",
        kind: Type::Long,
        doc: "How far, in ms, a record's timestamp may be ahead of the server's clock. Not used with LogAppendTime.",
        server_key: "log.message.timestamp.after.max.ms",
        rule: number!(timestamp_after_max_ms, 0, i64::MAX),
    },
    Key {
        name: "message.timestamp.before.max.ms",
        kind: Type::Long,
        doc: "How far, in ms, a record's timestamp may be behind the server's clock. Not used with LogAppendTime.",
        server_key: "log.message.timestamp.before.max.ms",
        rule: number!(timestamp_before_max_ms, 0, i64::MAX),
    },
    Key {
        name: "message.timestamp.type",
        kind: Type::String,
        doc: "Whose clock stamps records: the producer's (CreateTime) or the server's (LogAppendTime).",
        server_key: "log.message.timestamp.type",
        rule: Rule::Word {
            words: &["CreateTime", "LogAppendTime"],
            get: |config| config.timestamp_type as usize,
            set: |config, at| config.timestamp_type = [TimestampType::CreateTime, TimestampType::LogAppendTime][at],
        },
    },
    Key {
        name: "min.cleanable.dirty.ratio",
        kind: Type::Double,
        doc: "Part of a partition that is not compacted, from 0 to 1, beyond which it is compacted.",
        server_key: "log.cleaner.min.cleanable.ratio",
        rule: Rule::Part { get: |config| config.dirty_ppm, set: |config, ppm| config.dirty_ppm = ppm },
    },
    Key {
        name: "min.compaction.lag.ms",
        kind: Type::Long,
        doc: "Age in ms below which records of a compacted topic are not compacted.",
        server_key: "log.cleaner.min.compaction.lag.ms",
        rule: number!(min_compaction_lag_ms, 0, i64::MAX),
    },
    Key {
        name: "min.insync.replicas",
        kind: Type::Int,
        doc: "Replicas that must hold a record before acks=all is answered; with fewer it is refused.",
        server_key: "min.insync.replicas",
        rule: number!(min_insync_replicas, 1, i32::MAX as i64),
    },
    Key {
        name: "preallocate",
        kind: Type::Boolean,
        doc: "Has no effect: the log's segments are always allocated before they are used.",
        server_key: "log.preallocate",
        rule: Rule::Word {
            words: &["false", "true"],
            get: |config| usize::from(config.layout.preallocate),
            set: |config, at| config.layout.preallocate = at == 1,
        },
    },
    Key {
        name: "remote.storage.enable",
        kind: Type::Boolean,
        doc: "Whether old records move to remote storage.",
        server_key: "remote.log.storage.system.enable",
        rule: Rule::Only { value: "false", why: "there is no remote storage" },
    },
    Key {
        name: "retention.bytes",
        kind: Type::Long,
        doc: "Bytes that each partition keeps at least, older ones are deleted in whole segments; -1: without limit.",
        server_key: "log.retention.bytes",
        rule: number!(retention_bytes, -1, i64::MAX),
    },
    Key {
        name: "retention.ms",
        kind: Type::Long,
        doc: "Time in ms after which records are deleted, in whole segments, by their timestamps; -1: never.",
        server_key: "log.retention.ms",
        rule: number!(retention_ms, -1, i64::MAX),
    },
    Key {
        name: "segment.bytes",
        kind: Type::Int,
        doc: "Has no effect: all partitions share the segments of one log.",
        server_key: "log.segment.bytes",
        rule: number!(layout.segment_bytes, 1 << 20, i32::MAX as i64),
    },
    Key {
        name: "segment.index.bytes",
        kind: Type::Int,
        doc: "Has no effect: all partitions share the segments of one log.",
        server_key: "log.index.size.max.bytes",
        rule: number!(layout.segment_index_bytes, 4, i32::MAX as i64),
    },
    Key {
        name: "segment.jitter.ms",
        kind: Type::Long,
        doc: "Has no effect: all partitions share the segments of one log.",
        server_key: "log.roll.jitter.ms",
        rule: number!(layout.segment_jitter_ms, 0, i64::MAX),
    },
    Key {
        name: "segment.ms",
        kind: Type::Long,
        doc: "Has no effect: all partitions share the segments of one log.",
        server_key: "log.roll.ms",
        rule: number!(layout.segment_ms, 1, i64::MAX),
    },
    Key {
        name: "unclean.leader.election.enable",
        kind: Type::Boolean,
        doc: "Whether a replica without all committed records may lead.",
        server_key: "unclean.leader.election.enable",
        rule: Rule::Only { value: "false", why: "an acknowledged record is never given up" },
    },
];

const NO_RECOMPRESSION: &str = "batches are stored as they were sent";
const NO_REMOTE: &str = "there is no remote storage";
const NO_THROTTLE: &str = "there is no replication to throttle yet";

/// Kafka's keys that torc knows and cannot honour, and why.
pub const UNSUPPORTED: &[(&str, &str)] = &[
    ("compression.gzip.level", NO_RECOMPRESSION),
    ("compression.lz4.level", NO_RECOMPRESSION),
    ("compression.zstd.level", NO_RECOMPRESSION),
    ("follower.replication.throttled.replicas", NO_THROTTLE),
    ("leader.replication.throttled.replicas", NO_THROTTLE),
    ("local.retention.bytes", NO_REMOTE),
    ("local.retention.ms", NO_REMOTE),
    ("message.downconversion.enable", "record batches of format 2 only; Kafka 4 has no such key either"),
    ("message.format.version", "record batches of format 2 only; Kafka 4 has no such key either"),
    ("message.timestamp.difference.max.ms", "Kafka 4 has message.timestamp.before.max.ms and after.max.ms instead"),
    ("remote.log.copy.disable", NO_REMOTE),
    ("remote.log.delete.on.disable", NO_REMOTE),
];

/// One change of a topic's settings, as IncrementalAlterConfigs names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alter {
    /// The topic's own value from now on.
    Set(String),
    /// The server's default again.
    Delete,
    /// These words too, in a list.
    Append(String),
    /// No longer these words, in a list.
    Subtract(String),
}

/// The overrides after `changes`, not yet checked (see [`TopicConfig::canonical`]).
pub fn alter(
    defaults: &TopicConfig,
    overrides: &Overrides,
    changes: &[(String, Alter)],
) -> Result<Overrides, ConfigError> {
    let mut altered = overrides.clone();
    for (name, change) in changes {
        let (words, appends) = match change {
            Alter::Set(value) => {
                altered.insert(name.clone(), value.clone());
                continue;
            }
            Alter::Delete => {
                altered.remove(name);
                continue;
            }
            Alter::Append(words) => (words, true),
            Alter::Subtract(words) => (words, false),
        };
        let Some(key) = key(name).filter(|key| key.kind == Type::List) else {
            return Err(ConfigError::new(name, words, "only lists can be appended to or subtracted from".into()));
        };
        let list = altered.get(name).cloned().unwrap_or_else(|| key.value(defaults));
        let mut list: Vec<&str> = list.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            list.retain(|other| *other != word);
            if appends {
                list.push(word);
            }
        }
        altered.insert(name.clone(), list.join(","));
    }
    Ok(altered)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
