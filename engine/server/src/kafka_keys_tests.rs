use crate::kafka_keys::{self, Fate, KAFKA};
use crate::keys::KEYS;
use crate::properties;
use std::collections::BTreeSet;

/// Every broker key of Kafka 2.8 to 4.4, with its default.
fn kafkas() -> Vec<(String, String)> {
    let (entries, malformed) = properties::parse(include_str!("../testdata/kafka/defaults.properties"));
    assert!(malformed.is_empty() && entries.len() > 400);
    entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

#[test]
fn every_key_of_kafka_is_known_by_its_full_name() {
    let named: BTreeSet<&str> = KEYS.iter().map(|key| key.name).chain(kafka_keys::names(KAFKA)).collect();
    let missing: Vec<String> = kafkas().into_iter().map(|(key, _)| key).filter(|key| !named.contains(&**key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_key_stands_in_one_place() {
    let mut seen = BTreeSet::new();
    for name in KEYS.iter().map(|key| key.name).chain(kafka_keys::names(KAFKA)) {
        assert!(seen.insert(name), "{name} stands twice");
    }
    let kafkas: BTreeSet<String> = kafkas().into_iter().map(|(key, _)| key).collect();
    // Read by authorizers, quotas and images, not by KafkaConfig.
    let others = [
        "allow.everyone.if.no.acl.found",
        "cluster.id",
        "follower.replication.throttled.rate",
        "leader.replication.throttled.rate",
        "max.partition.fetch.bytes",
        "max.request.size",
        "replica.alter.log.dirs.io.max.bytes.per.second",
        "super.users",
    ];
    let mine: Vec<&str> =
        kafka_keys::names(KAFKA).filter(|name| !kafkas.contains(*name) && !others.contains(name)).collect();
    assert!(mine.is_empty(), "not Kafka's: {mine:?}");
}

#[test]
fn the_table_is_sound() {
    for group in KAFKA {
        assert!(!group.why.is_empty() && !group.why.ends_with('.'), "{}", group.why);
        let valued = group.keys.split_whitespace().any(|word| word.contains('='));
        assert!(!valued || matches!(group.fate, Fate::Only | Fate::Refused), "{}: a value changes nothing", group.why);
        assert!(!matches!(group.fate, Fate::Works | Fate::Overridden), "{}", group.why);
        if let Fate::Replaced(by) = group.fate {
            assert!(crate::keys::find(by).is_some(), "{by} is no key");
        }
    }
}

#[test]
fn kafkas_own_defaults_ask_for_nothing_that_is_refused() {
    for (key, value) in kafkas() {
        if let Some((group, harmless)) = kafka_keys::find(&key, &value) {
            assert!(harmless || !matches!(group.fate, Fate::Only | Fate::Refused), "{key}={value}");
        }
    }
}

#[test]
fn security_is_never_left_out() {
    for (key, value) in [
        ("ssl.keystore.location", "/k.jks"),
        ("ssl.client.auth", "required"),
        ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
        ("sasl.jaas.config", "x"),
        ("security.inter.broker.protocol", "SSL"),
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("super.users", "User:admin"),
        ("allow.everyone.if.no.acl.found", "false"),
        ("delegation.token.secret.key", "s"),
        ("principal.builder.class", "a.B"),
        ("connections.max.reauth.ms", "1000"),
        ("strimzi.authorization.delegate.to.kafka.acl", "true"),
    ] {
        let (group, harmless) = kafka_keys::find(key, value).unwrap_or_else(|| panic!("{key}"));
        assert!(group.fate == Fate::Refused && !harmless, "{key}={value}");
        assert!(kafka_keys::find(key, "").unwrap().1, "{key} without a value asks for nothing");
    }
}

#[test]
fn keys_of_one_listener_are_taken_apart() {
    for (name, expected) in [
        ("listener.name.internal.ssl.keystore.location", Some(("internal", "ssl.keystore.location"))),
        ("listener.name.plain-9092.plain.sasl.jaas.config", Some(("plain-9092", "sasl.jaas.config"))),
        (
            "listener.name.x.scram-sha-256.sasl.server.callback.handler.class",
            Some(("x", "sasl.server.callback.handler.class")),
        ),
        ("listener.name.x.max.connections", Some(("x", "max.connections"))),
        ("listener.name.x", None),
        ("listeners", None),
    ] {
        assert_eq!(kafka_keys::of_listener(name), expected, "{name}");
    }
}
