use super::*;
use crate::kafka_keys::{self, KAFKA};
use crate::keys::{self, KEYS};
use std::collections::BTreeSet;

/// Every key of ZooKeeper 3.4 to 3.9.
fn zookeepers() -> BTreeSet<&'static str> {
    let lines = include_str!("../testdata/zookeeper/keys.txt").lines();
    let keys: BTreeSet<&str> = lines.filter(|line| !line.starts_with('#')).collect();
    assert!(keys.len() > 250);
    keys
}

#[test]
fn every_key_of_zookeeper_is_known_by_its_full_name() {
    let named: BTreeSet<&str> = KEYS.iter().map(|key| key.name).chain(kafka_keys::names(ZOOKEEPER)).collect();
    let elsewhere = ["dynamicConfigFile"];
    let missing: Vec<&str> =
        zookeepers().into_iter().filter(|key| !named.contains(key) && !elsewhere.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_key_stands_in_one_place_and_is_zookeepers() {
    let mut seen: BTreeSet<&str> = KEYS.iter().map(|key| key.name).chain(kafka_keys::names(KAFKA)).collect();
    let (all, own) = (
        zookeepers(),
        ["secureClientPortAddress", "test.allowDiscontinuousProposals", "testingonly.initialZxid", "version"],
    );
    for name in kafka_keys::names(ZOOKEEPER) {
        assert!(seen.insert(name), "{name} stands twice");
        let known = all.contains(name) || own.contains(&name) || name.starts_with("leader.");
        assert!(known, "{name} is not ZooKeeper's");
    }
}

#[test]
fn the_table_is_sound() {
    for group in ZOOKEEPER {
        assert!(!group.why.is_empty() && !group.why.ends_with('.'), "{}", group.why);
        let valued = group.keys.split_whitespace().any(|word| word.contains('='));
        assert!(!valued || matches!(group.fate, Fate::Only | Fate::Refused), "{}: a value changes nothing", group.why);
        assert!(!matches!(group.fate, Fate::Works | Fate::Overridden), "{}", group.why);
        if let Fate::Replaced(by) = group.fate {
            assert!(keys::find(by).is_some(), "{by} is no key");
        }
    }
}

#[test]
fn security_is_never_left_out() {
    for (key, value) in [
        ("secureClientPort", "2281"),
        ("authProvider.1", "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"),
        ("authProvider.sasl", "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"),
        ("requireClientAuthScheme", "sasl"),
        ("sessionRequireClientSASLAuth", "true"),
        ("enforce.auth.enabled", "true"),
        ("enforce.auth.schemes", "sasl"),
        ("quorum.auth.enableSasl", "true"),
        ("sslQuorum", "true"),
        ("ssl.quorum.keyStore.location", "/k.jks"),
        ("ssl.clientAuth", "need"),
        ("client.portUnification", "true"),
        ("ensembleAuthName", "mine"),
        ("admin.forceHttps", "true"),
        ("superUser.2", "x"),
    ] {
        let (group, harmless) = kafka_keys::find(key, value).unwrap_or_else(|| panic!("{key}"));
        assert!(group.fate == Fate::Refused && !harmless, "{key}={value}");
        assert!(kafka_keys::find(key, "").unwrap().1, "{key} without a value asks for nothing");
    }
    for (key, value) in [("sslQuorum", "false"), ("quorum.auth.enableSasl", "false"), ("admin.forceHttps", "FALSE")] {
        assert!(kafka_keys::find(key, value).unwrap().1, "{key}={value} asks for nothing");
    }
}

#[test]
fn numbers_of_servers_are_taken_apart() {
    for (name, number) in [
        ("server.1", Some(1)),
        ("server.255", Some(255)),
        ("server.realm", None),
        ("server.", None),
        ("server.+1", None),
        ("server.1.2", None),
        ("server.99999999999", None),
    ] {
        assert_eq!(number_of(SERVER, name), number, "{name}");
    }
    assert!(is_weight("group.1") && is_weight("weight.3"));
    assert!(!is_weight("group.max.size") && !is_weight("group.consumer.max.size") && !is_weight("server.1"));
}
