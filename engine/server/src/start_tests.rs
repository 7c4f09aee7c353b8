use crate::config::{Config, Sources};
use crate::endpoint::Endpoint;
use crate::start::{advertised, named, topic_defaults};
use std::net::SocketAddr;
use torc_shard::{CleanupPolicy, TopicConfig};

fn config(set: &[&str]) -> Config {
    Config::load(&Sources { set: set.iter().map(|s| s.to_string()).collect(), ..Sources::default() }).unwrap()
}

fn told(set: &[&str]) -> Vec<(String, u16)> {
    let addresses: Vec<SocketAddr> = (40_001..40_003).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
    advertised(&config(set), &addresses, "box")
}

#[test]
fn clients_are_told_an_address_that_they_can_reach() {
    for (set, host, port) in [
        (&["listeners=127.0.0.1:9092"][..], "127.0.0.1", 9092),
        (&["listeners=127.0.0.1:0"], "127.0.0.1", 40_001),
        (&["listeners=:9092"], "box", 9092),
        (&["listeners=:0", "advertised.listeners=PLAINTEXT://h:19092"], "h", 19_092),
        (&["listeners=:0", "advertised.listeners=PLAINTEXT://h:0"], "h", 40_001),
        (&["listeners=127.0.0.1:0", "advertised.listeners=PLAINTEXT://:19092"], "box", 19_092),
    ] {
        assert_eq!(told(set), [(host.to_string(), port)], "{set:?}");
    }
}

#[test]
fn servers_are_named_as_the_others_reach_them() {
    let listed = Endpoint::parse_address("one.example:19192").unwrap();
    for (listens, listed, named_so) in [
        ("10.0.0.1:9192", Some(&listed), ("10.0.0.1", 9192)),
        ("0.0.0.0:9192", Some(&listed), ("one.example", 19_192)),
        ("[::]:9192", Some(&listed), ("one.example", 19_192)),
        ("0.0.0.0:9192", None, ("0.0.0.0", 9192)),
    ] {
        let (host, port) = named(listens.parse().unwrap(), listed);
        assert_eq!((host.as_str(), port), named_so, "{listens}");
    }
}

#[test]
fn each_listener_has_its_own() {
    let set = [
        "listeners=INTERNAL://:0,EXTERNAL://:0",
        "advertised.listeners=INTERNAL://inside:0,EXTERNAL://outside:9092",
        "listener.security.protocol.map=INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT",
    ];
    assert_eq!(told(&set), [("inside".to_string(), 40_001), ("outside".to_string(), 9092)]);
}

#[test]
fn topics_that_say_nothing_go_by_the_servers_keys() {
    assert_eq!(topic_defaults(&Config::default()), TopicConfig::default());
    let set = [
        "log.cleanup.policy=delete, compact",
        "log.cleaner.delete.retention.ms=1h",
        "log.cleaner.min.compaction.lag.ms=5",
        "log.cleaner.max.compaction.lag.ms=6",
        "log.cleaner.min.cleanable.ratio=0.01",
        "log.retention.ms=7",
        "log.retention.bytes=8",
        "message.max.bytes=9",
        "min.insync.replicas=2",
    ];
    let expected = TopicConfig {
        cleanup_policy: CleanupPolicy::CompactDelete,
        delete_retention_ms: 3_600_000,
        min_compaction_lag_ms: 5,
        max_compaction_lag_ms: 6,
        dirty_ppm: 10_000,
        retention_ms: 7,
        retention_bytes: 8,
        max_message_bytes: 9,
        min_insync_replicas: 2,
        ..TopicConfig::default()
    };
    assert_eq!(topic_defaults(&config(&set)), expected);
    let policy = |set: &str| topic_defaults(&config(&[set])).cleanup_policy;
    assert_eq!(policy("log.cleanup.policy=compact"), CleanupPolicy::Compact);
    assert_eq!(policy("log.cleanup.policy=delete"), CleanupPolicy::Delete);
}
