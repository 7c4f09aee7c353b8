use crate::config::{Config, Flag, Sources, TimestampType, WalSync};
use crate::keys::{self, KEYS};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use torc_base::io::Level;
use torc_base::limits;

/// A configuration file that lives as long as the test.
fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load_file(text: &str) -> Result<Config, Vec<String>> {
    let file = file(text);
    let sources = Sources { file: Some(file.path().to_path_buf()), ..Sources::default() };
    Config::load(&sources).map_err(|error| error.problems)
}

fn load_set(set: &[&str]) -> Result<Config, Vec<String>> {
    let sources = Sources { set: set.iter().map(|s| s.to_string()).collect(), ..Sources::default() };
    Config::load(&sources).map_err(|error| error.problems)
}

#[test]
fn the_table_is_sound() {
    let names: BTreeSet<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(names.len(), KEYS.len(), "a name stands twice");
    for key in KEYS {
        assert!(key.doc.ends_with('.'), "{} has no sentence", key.name);
        if !key.default.is_empty() {
            key.kind.parse(key.default).unwrap_or_else(|why| panic!("default of {}: {why}", key.name));
        }
    }
}

#[test]
fn defaults_are_those_of_kafka_and_of_the_limits() {
    let config = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.kafka[0].listen.to_string(), "127.0.0.1:9092");
    assert_eq!(config.metrics.unwrap().to_string(), "127.0.0.1:9644");
    assert_eq!(config.data_dir, PathBuf::from("./torc-data"));
    assert_eq!(config.message_max_bytes as usize, limits::MESSAGE_BYTES_DEFAULT);
    assert_eq!(config.socket_request_max_bytes as usize, limits::FRAME_BYTES_MAX);
    assert_eq!(config.tail_cache_bytes as usize, limits::TAIL_CACHE_BYTES);
    assert_eq!(config.read_ahead_bytes as usize, limits::READ_AHEAD_BYTES);
    assert_eq!(config.fetch_sessions_max as usize, limits::FETCH_SESSIONS_MAX);
    assert_eq!(config.log_retention_ms, 7 * 86_400_000);
    assert_eq!(config.log_retention_bytes, -1);
    assert_eq!(config.log_retention_check_interval_ms, 300_000);
    assert_eq!(config.connections_max_idle_ms, 600_000);
    assert_eq!(config.producer_id_expiration_ms, 86_400_000);
    assert_eq!((config.node_id, config.shards, config.segment_bytes), (None, None, None));
    assert!(config.auto_create_topics);
}

#[test]
fn a_properties_file_is_read() {
    let config = load_file(
        "# a comment\r\n! another\n\n broker.id = 7 \nlisteners=PLAINTEXT://0.0.0.0:19092\nlog.dirs=/data/kafka\n\
         num.partitions=12\nauto.create.topics.enable=False\nlog.retention.bytes=10GiB\n\
         log.message.timestamp.type=logappendtime\ntorc.wal.sync=write-fdatasync\ntorc.log.level=debug\n\
         torc.metrics.listen=none\n",
    )
    .unwrap();
    assert_eq!(config.node_id, Some(7));
    assert_eq!(config.kafka[0].listen.to_string(), "0.0.0.0:19092");
    assert_eq!(config.data_dir, PathBuf::from("/data/kafka"));
    assert_eq!(config.num_partitions, 12);
    assert!(!config.auto_create_topics);
    assert_eq!(config.log_retention_bytes, 10 << 30);
    assert_eq!(config.timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(config.wal_sync, WalSync::WriteFdatasync);
    assert_eq!(config.log_level, Level::Debug);
    assert_eq!(config.metrics, None);
}

#[test]
fn every_problem_is_named_with_its_line() {
    let file = file("num.partitions=3\nlog.retention.hour=5\n\nnonsense\nnum.partitions=0\ntorc.wal.sync=never\n");
    let sources = Sources { file: Some(file.path().to_path_buf()), ..Sources::default() };
    let problems = Config::load(&sources).unwrap_err().problems;
    let name = file.path().display();
    let expected = [
        format!("{name}:2: unknown key `log.retention.hour`; the nearest known key is `log.retention.hours`"),
        format!(
            "{name}:4: unknown key `nonsense`: neither torc nor Kafka 2.8 to 4.4 nor ZooKeeper 3.4 to 3.9 has one like it"
        ),
        format!("{name}:5: `num.partitions` cannot be `0`: it must be from 1 to 100000"),
        format!("{name}:6: `torc.wal.sync` cannot be `never`: it must be one of adaptive, dsync, write-fdatasync"),
    ];
    assert_eq!(problems, expected);
}

#[test]
fn flags_beat_set_and_set_beats_the_file() {
    let file = file("num.partitions=1\nlisteners=h1:1\nnode.id=1\n");
    let sources = Sources {
        file: Some(file.path().to_path_buf()),
        set: vec!["listeners=h2:2".into(), "node.id=2".into()],
        flags: vec![Flag { name: "--node-id", key: "node.id", value: "3".into() }],
    };
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.num_partitions, 1);
    assert_eq!(config.kafka[0].listen.to_string(), "h2:2");
    assert_eq!(config.node_id, Some(3));
}

#[test]
fn a_flag_is_named_as_the_user_wrote_it() {
    let flags = vec![Flag { name: "--shards", key: "torc.shards", value: "0".into() }];
    let problems = Config::load(&Sources { flags, ..Sources::default() }).unwrap_err().problems;
    assert_eq!(problems, ["--shards: `torc.shards` cannot be `0`: it must be from 1 to 256"]);
}

#[test]
fn retention_has_three_names_of_rising_strength() {
    let ms = |set: &[&str]| load_set(set).unwrap().log_retention_ms;
    assert_eq!(ms(&["log.retention.hours=2"]), 7_200_000);
    assert_eq!(ms(&["log.retention.ms=5", "log.retention.minutes=3", "log.retention.hours=2"]), 5);
    assert_eq!(ms(&["log.retention.minutes=3", "log.retention.hours=2"]), 180_000);
    assert_eq!(ms(&["log.retention.hours=-1"]), -1);
    assert_eq!(ms(&["log.retention.ms=36h"]), 36 * 3_600_000);
    let file = file("log.retention.ms=5\n");
    let sources = Sources {
        file: Some(file.path().to_path_buf()),
        set: vec!["log.retention.hours=1".into()],
        ..Sources::default()
    };
    assert_eq!(Config::load(&sources).unwrap().log_retention_ms, 3_600_000, "a later source beats a stronger name");
}

#[test]
fn a_key_that_stands_twice_has_its_last_value_and_is_noted() {
    let config = load_file("num.partitions=3\nnum.partitions=4\n").unwrap();
    assert_eq!(config.num_partitions, 4);
    assert_eq!(config.notes.len(), 1);
    assert!(config.notes[0].1.contains(":2: `num.partitions` stands at line 1 as well"), "{:?}", config.notes);
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (set, part) in [
        (vec!["torc.wal.segment.bytes=48MiB"], "power of two"),
        (vec!["message.max.bytes=2MiB", "socket.request.max.bytes=1MiB"], "could never arrive"),
        (vec!["advertised.listeners=PLAINTEXT://0.0.0.0:9092"], "name a host"),
    ] {
        let problems = load_set(&set).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains(part), "{set:?}: {problems:?}");
    }
}

#[test]
fn a_set_without_value_and_a_missing_file_are_refused() {
    assert_eq!(load_set(&["num.partitions"]).unwrap_err(), ["--set num.partitions: it must be of the form KEY=VALUE"]);
    let sources = Sources { file: Some(PathBuf::from("/no/such/file")), ..Sources::default() };
    let problems = Config::load(&sources).unwrap_err().problems;
    assert!(problems[0].starts_with("cannot read the configuration /no/such/file"), "{problems:?}");
}

#[test]
fn values_are_shown_as_kafka_shows_them() {
    let config = load_set(&["log.retention.hours=2d", "log.retention.bytes=1GiB", "torc.wal.sync=DSYNC"]).unwrap();
    for (key, shown) in [
        ("log.retention.hours", "48"),
        ("log.retention.bytes", "1073741824"),
        ("connections.max.idle.ms", "600000"),
        ("listeners", "PLAINTEXT://127.0.0.1:9092"),
        ("torc.metrics.listen", "127.0.0.1:9644"),
        ("auto.create.topics.enable", "true"),
        ("torc.wal.sync", "dsync"),
    ] {
        assert_eq!(config.shown.get(key).map(String::as_str), Some(shown), "{key}");
    }
    assert_eq!(config.shown.get("torc.shards"), None, "the data directory decides");
}

#[test]
fn edit_distance_counts_letters() {
    assert_eq!(keys::edits("", "abc"), 3);
    assert_eq!(keys::edits("kitten", "sitting"), 3);
    assert_eq!(keys::edits("node.id", "node.id"), 0);
}

#[test]
fn numbers_and_times_are_read_as_people_write_them() {
    let config = load_set(&["num.partitions=1_0", "message.max.bytes=1.5MiB", "torc.drain.ms=1.5s"]).unwrap();
    assert_eq!((config.num_partitions, config.message_max_bytes, config.drain_ms), (10, 3 << 19, 1_500));
    assert_eq!(load_set(&["num.partitions=10k"]).unwrap().num_partitions, 10_000);
    assert_eq!(load_set(&["log.retention.hours=7d"]).unwrap().log_retention_ms, 7 * 86_400_000);
    assert_eq!(load_set(&["log.retention.minutes=1.5h"]).unwrap().log_retention_ms, 5_400_000);
}

#[test]
fn a_key_in_hours_takes_whole_hours_only() {
    for (set, part) in [
        ("log.retention.hours=500ms", "it must be a whole number of hours"),
        ("log.retention.hours=90m", "it must be a whole number of hours"),
        ("log.retention.minutes=90s", "it must be a whole number of minutes"),
        ("log.retention.ms=500us", "it must be a time"),
    ] {
        let problems = load_set(&[set]).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains(part), "{set}: {problems:?}");
    }
}

#[test]
fn groups_of_the_consumer_protocol_are_set_as_in_kafka() {
    let groups = |set: &[&str]| load_set(set).map(|config| config.coordinator);
    let default = groups(&[]).unwrap();
    let most = i32::MAX as usize;
    let kafkas = torc_shard::CoordinatorSettings::default();
    assert_eq!(
        default,
        torc_shard::CoordinatorSettings { group_max_size: most, consumer_group_max_size: most, ..kafkas }
    );
    let set = groups(&[
        "group.consumer.assignors=range",
        "group.consumer.migration.policy=UPGRADE",
        "group.consumer.max.size=7",
        "group.consumer.min.session.timeout.ms=1000",
        "group.consumer.session.timeout.ms=2000",
        "group.consumer.min.heartbeat.interval.ms=100",
        "group.consumer.max.heartbeat.interval.ms=500",
        "group.consumer.heartbeat.interval.ms=500",
    ])
    .unwrap();
    assert_eq!(set.consumer_assignors, ["range".into()]);
    assert_eq!((set.migration, set.consumer_group_max_size), (torc_shard::Migration::Upgrade, 7));
    assert_eq!((set.consumer_session_timeout_ms, set.consumer_session_timeouts_ms), (2_000, 1_000..=60_000));
    assert_eq!((set.consumer_heartbeat_interval_ms, set.consumer_heartbeat_intervals_ms), (500, 100..=500));
    let both = load_set(&["group.consumer.assignors= range, uniform"]).unwrap();
    assert_eq!(both.coordinator.consumer_assignors, ["range".into(), "uniform".into()]);
    assert_eq!(both.shown["group.consumer.assignors"], "range,uniform");
    let classes = "org.apache.kafka.coordinator.group.assignor.RangeAssignor";
    let old = groups(&[&format!("group.consumer.assignors={classes}")]).unwrap();
    assert_eq!(old.consumer_assignors, ["range".into()], "as Kafka before 4.0 names it");
    for (wrong, why) in [
        (&["group.consumer.assignors="][..], "at least one"),
        (&["group.consumer.assignors=range,range"], "twice"),
        (&["group.consumer.assignors=org.example.Mine"], "it must be of uniform, range"),
        (&["group.consumer.migration.policy=never"], "it must be one of"),
        (&["group.consumer.session.timeout.ms=61000"], "is not between"),
        (&["group.consumer.heartbeat.interval.ms=1000"], "is not between"),
        (&["group.consumer.min.session.timeout.ms=60001"], "is not between"),
        (
            &["group.consumer.min.session.timeout.ms=1000", "group.consumer.session.timeout.ms=5000"],
            "every member would be given up",
        ),
    ] {
        let problems = load_set(wrong).expect_err(why);
        assert!(problems.iter().any(|problem| problem.contains(why)), "{problems:?}");
    }
}

#[test]
fn the_cleaner_is_set_as_in_kafka() {
    let default = Config::default();
    assert_eq!((default.cleaner_backoff_ms, default.cleaner_keys_bytes), (15_000, 128 << 20));
    for (key, shown) in [
        ("log.cleanup.policy", "delete"),
        ("log.cleaner.backoff.ms", "15000"),
        ("log.cleaner.dedupe.buffer.size", "134217728"),
        ("log.cleaner.delete.retention.ms", "86400000"),
        ("log.cleaner.max.compaction.lag.ms", "9223372036854775807"),
        ("log.cleaner.min.cleanable.ratio", "0.5"),
        ("log.cleaner.min.compaction.lag.ms", "0"),
    ] {
        assert_eq!(default.shown.get(key).map(String::as_str), Some(shown), "{key}");
    }
    let config = load_set(&["log.cleaner.min.cleanable.ratio=1", "log.cleaner.backoff.ms=0"]).unwrap();
    assert_eq!(
        (config.min_cleanable_ppm, config.shown["log.cleaner.min.cleanable.ratio"].as_str()),
        (1_000_000, "1.0")
    );
    for (wrong, why) in [
        (&["log.cleaner.min.cleanable.ratio=1.1"][..], "it must be a number from 0 to 1"),
        (&["log.cleaner.min.cleanable.ratio=NaN"], "it must be a number from 0 to 1"),
        (&["log.cleaner.min.cleanable.ratio=half"], "it must be a number from 0 to 1"),
        (&["log.cleaner.max.compaction.lag.ms=0"], "it must be at least 1ms"),
        (&["log.cleaner.delete.retention.ms=-1"], "it must be at least 0ms"),
        (&["log.cleanup.policy=compress"], "it must be of compact, delete"),
        (&["log.cleanup.policy="], "at least one"),
        (
            &["log.cleaner.min.compaction.lag.ms=2", "log.cleaner.max.compaction.lag.ms=1"],
            "is more than `log.cleaner.max.compaction.lag.ms`",
        ),
    ] {
        let problems = load_set(wrong).expect_err(why);
        assert!(problems.iter().any(|problem| problem.contains(why)), "{wrong:?}: {problems:?}");
    }
}
