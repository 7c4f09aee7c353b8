use super::*;

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|&(k, v)| (k.into(), v.into())).collect()
}

fn refused(name: &str, value: &str) -> String {
    let mut config = TopicConfig::default();
    let error = config.set(name, value).expect_err("refused");
    assert_eq!(config, TopicConfig::default(), "a refusal changes nothing");
    error.to_string()
}

#[test]
fn every_key_takes_its_own_value_and_names_stand_in_order() {
    let defaults = TopicConfig::default();
    for key in KEYS {
        let mut config = defaults;
        config.set(key.name, &key.value(&defaults)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(config, defaults, "{}", key.name);
        assert!(!UNSUPPORTED.iter().any(|(name, _)| *name == key.name));
    }
    assert!(KEYS.windows(2).all(|w| w[0].name < w[1].name));
    assert!(UNSUPPORTED.windows(2).all(|w| w[0].0 < w[1].0));
}

#[test]
fn values_are_taken_as_kafka_writes_them() {
    let set = overrides(&[
        ("retention.ms", "-1"),
        ("retention.bytes", " 1000 "),
        ("max.message.bytes", "5000000"),
        ("message.timestamp.type", "LogAppendTime"),
        ("message.timestamp.before.max.ms", "9223372036854775807"),
        ("message.timestamp.after.max.ms", "0"),
        ("min.insync.replicas", "3"),
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("delete.retention.ms", "7"),
        ("min.compaction.lag.ms", "8"),
        ("max.compaction.lag.ms", "9"),
    ]);
    let config = TopicConfig::resolve(&TopicConfig::default(), &set).expect("all allowed");
    let expected = TopicConfig {
        cleanup_policy: CleanupPolicy::Compact,
        dirty_ppm: 250_000,
        delete_retention_ms: 7,
        min_compaction_lag_ms: 8,
        max_compaction_lag_ms: 9,
        retention_ms: -1,
        retention_bytes: 1000,
        max_message_bytes: 5_000_000,
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 0,
        min_insync_replicas: 3,
        layout: Layout::default(),
    };
    assert_eq!(config, expected);
    for key in KEYS {
        if let Some(value) = set.get(key.name) {
            assert_eq!(key.value(&config), value.trim());
        }
    }
}

#[test]
fn what_does_not_work_is_refused_with_key_value_and_reason() {
    assert_eq!(
        refused("cleanup.policy", "compress"),
        "cleanup.policy=compress: allowed is one of delete; compact; compact,delete"
    );
    assert_eq!(
        refused("compression.zstd.level", "3"),
        "compression.zstd.level=3: not supported yet: batches are stored as they were sent"
    );
    assert_eq!(refused("retention.msec", "1"), "retention.msec=1: there is no such topic setting");
    assert_eq!(
        refused("retention.ms", "-2"),
        "retention.ms=-2: allowed is a whole number from -1 to 9223372036854775807"
    );
    assert_eq!(
        refused("message.timestamp.type", "createtime"),
        "message.timestamp.type=createtime: allowed is one of CreateTime, LogAppendTime"
    );
    for (key, value) in [
        ("retention.ms", "7d"),
        ("retention.ms", ""),
        ("retention.ms", "9223372036854775808"),
        ("max.message.bytes", "33554433"),
        ("min.insync.replicas", "0"),
        ("cleanup.policy", ""),
        ("min.cleanable.dirty.ratio", "1.1"),
        ("min.cleanable.dirty.ratio", "NaN"),
        ("max.compaction.lag.ms", "0"),
        ("compression.type", "zstd"),
        ("flush.messages", "0"),
        ("flush.ms", "-1"),
        ("segment.bytes", "1048575"),
        ("segment.bytes", "2147483648"),
        ("segment.ms", "0"),
        ("segment.jitter.ms", "-1"),
        ("segment.index.bytes", "3"),
        ("index.interval.bytes", "-1"),
        ("preallocate", "maybe"),
        ("file.delete.delay.ms", "-1"),
    ] {
        refused(key, value);
    }
}

/// Applications set these for their topics: Kafka Streams `segment.bytes` for each repartition topic, deployment tools all of them.
#[test]
fn settings_of_files_and_flushes_are_taken_and_told_and_change_nothing_else() {
    let set = overrides(&[
        ("file.delete.delay.ms", "1000"),
        ("flush.messages", "10000"),
        ("flush.ms", "1000"),
        ("index.interval.bytes", "0"),
        ("preallocate", "true"),
        ("segment.bytes", "52428800"),
        ("segment.index.bytes", "4096"),
        ("segment.jitter.ms", "5"),
        ("segment.ms", "9223372036854775807"),
    ]);
    let config = TopicConfig::resolve(&TopicConfig::default(), &set).expect("all allowed");
    assert_eq!(TopicConfig { layout: Layout::default(), ..config }, TopicConfig::default());
    assert_eq!(TopicConfig::canonical(&set).expect("all allowed"), set, "they are kept as they were set");
    for (name, value) in &set {
        let found = describe(&TopicConfig::default(), &set).find(|d| d.key.name == name).expect("described");
        assert_eq!((&found.value, found.source), (value, Source::Topic), "{name}");
        assert_ne!(found.synonyms[1].value, *value, "{name}: each has been set to something else than its default");
    }
}

#[test]
fn a_description_tells_where_each_value_comes_from() {
    let server = TopicConfig { retention_ms: 1000, ..TopicConfig::default() };
    let set = overrides(&[("retention.ms", "5"), ("retention.bytes", "7")]);
    let all: Vec<_> = describe(&server, &set).collect();
    assert_eq!(all.len(), KEYS.len());
    let of = |name: &str| all.iter().find(|d| d.key.name == name).expect("described");
    let told = |name: &str| of(name).synonyms.iter().map(|s| (s.name, s.value.as_str(), s.source)).collect::<Vec<_>>();
    assert_eq!((of("retention.ms").value.as_str(), of("retention.ms").source), ("5", Source::Topic));
    assert_eq!(
        told("retention.ms"),
        [
            ("retention.ms", "5", Source::Topic),
            ("log.retention.ms", "1000", Source::Server),
            ("log.retention.ms", "604800000", Source::Default)
        ]
    );
    assert_eq!(
        told("retention.bytes"),
        [("retention.bytes", "7", Source::Topic), ("log.retention.bytes", "-1", Source::Default)]
    );
    assert_eq!((of("cleanup.policy").value.as_str(), of("cleanup.policy").source), ("delete", Source::Default));
}

#[test]
fn timestamps_are_admitted_within_their_bounds() {
    let config = TopicConfig { timestamp_before_max_ms: 100, timestamp_after_max_ms: 10, ..TopicConfig::default() };
    let now = Wall(1000);
    assert_eq!(config.admitted_timestamps(now), Some(900..=1010));
    let stamped = TopicConfig { timestamp_type: TimestampType::LogAppendTime, ..config };
    assert_eq!(stamped.admitted_timestamps(now), None, "they do not count");
    let admitted = TopicConfig::default().admitted_timestamps(now).expect("bounds");
    assert!(admitted.contains(&0) && admitted.contains(&-1_000_000_000), "however old");
    assert!(!admitted.contains(&i64::MAX));
}

#[test]
fn alterations_set_delete_and_change_lists() {
    let defaults = TopicConfig::default();
    let before = overrides(&[("retention.ms", "5"), ("retention.bytes", "7")]);
    let change = |changes: &[(&str, Alter)]| {
        let changes: Vec<_> = changes.iter().map(|(k, c)| (k.to_string(), c.clone())).collect();
        alter(&defaults, &before, &changes)
    };
    let after = change(&[("retention.ms", Alter::Delete), ("max.message.bytes", Alter::Set("9".into()))]);
    assert_eq!(after, Ok(overrides(&[("retention.bytes", "7"), ("max.message.bytes", "9")])));
    let with_compact = change(&[("cleanup.policy", Alter::Append("compact".into()))]).expect("a list");
    assert_eq!(with_compact["cleanup.policy"], "delete,compact");
    let both = TopicConfig::resolve(&defaults, &with_compact).expect("in any order");
    assert_eq!(both.cleanup_policy, CleanupPolicy::CompactDelete);
    assert!(both.compaction().is_some() && both.retention().ms > 0);
    let stored = TopicConfig::canonical(&with_compact).expect("allowed");
    assert_eq!(stored["cleanup.policy"], "compact,delete");
    let back = change(&[
        ("cleanup.policy", Alter::Append("compact, delete".into())),
        ("cleanup.policy", Alter::Subtract("compact".into())),
    ]);
    assert_eq!(back.expect("a list")["cleanup.policy"], "delete");
    assert!(change(&[("retention.ms", Alter::Append("1".into()))]).is_err());
}

#[test]
fn what_is_stored_and_what_is_told_is_bounded() {
    let long = format!("{}5  ", "0".repeat(100_000));
    let stored = TopicConfig::canonical(&overrides(&[("retention.ms", &long), ("cleanup.policy", " delete")]));
    assert_eq!(stored, Ok(overrides(&[("retention.ms", "5"), ("cleanup.policy", "delete")])));
    let error = TopicConfig::canonical(&overrides(&[(&long, &long)])).expect_err("no such key");
    assert!(error.to_string().len() < 300);
}

#[test]
fn records_are_not_to_be_compacted_before_they_may_be() {
    let lags = |min: &str, max: &str| {
        let set = overrides(&[("min.compaction.lag.ms", min), ("max.compaction.lag.ms", max)]);
        TopicConfig::canonical(&set).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!((lags("5", "5"), lags("0", "1")), (Ok(()), Ok(())));
    let refused = "min.compaction.lag.ms=6: it must not be more than max.compaction.lag.ms, which is 5";
    assert_eq!(lags("6", "5"), Err(refused.into()));
}

#[test]
fn compaction_goes_by_the_servers_keys_where_a_topic_says_nothing() {
    let server = TopicConfig {
        cleanup_policy: CleanupPolicy::Compact,
        dirty_ppm: 100_000,
        delete_retention_ms: 1,
        min_compaction_lag_ms: 2,
        max_compaction_lag_ms: 3,
        ..TopicConfig::default()
    };
    let set = overrides(&[("delete.retention.ms", "9")]);
    let told: Vec<_> = describe(&server, &set).map(|d| (d.key.name, d.value, d.source, d.synonyms)).collect();
    for (name, server_key, value, default) in [
        ("cleanup.policy", "log.cleanup.policy", "compact", "delete"),
        ("min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio", "0.1", "0.5"),
        ("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms", "2", "0"),
        ("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms", "3", "9223372036854775807"),
    ] {
        let (_, now, source, synonyms) = told.iter().find(|one| one.0 == name).expect("described");
        assert_eq!((now.as_str(), *source), (value, Source::Server), "{name}");
        let synonyms: Vec<_> = synonyms.iter().map(|s| (s.name, s.value.as_str(), s.source)).collect();
        assert_eq!(synonyms, [(server_key, value, Source::Server), (server_key, default, Source::Default)], "{name}");
    }
    let (_, value, source, synonyms) = told.iter().find(|one| one.0 == "delete.retention.ms").expect("described");
    assert_eq!((value.as_str(), *source, synonyms.len()), ("9", Source::Topic, 3));
    assert_eq!((synonyms[1].name, synonyms[1].value.as_str()), ("log.cleaner.delete.retention.ms", "1"));
    let rules = TopicConfig::resolve(&server, &set).expect("allowed").compaction().expect("compacted");
    assert_eq!((rules.min_lag_ms, rules.max_lag_ms, rules.dirty_ppm, rules.delete_retention_ms), (2, 3, 100_000, 9));
}
