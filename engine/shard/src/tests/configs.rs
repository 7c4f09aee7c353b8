//! DescribeConfigs, AlterConfigs and IncrementalAlterConfigs: which resources there are, what is told of their settings,
//! and what is refused.

use super::rig::{Client, Rig, settings};
use super::verbs::*;
use torc_net::kafka::error;
use torc_net::kafka::schema::alter_configs_request as plain;
use torc_net::kafka::schema::create_topics_request::CreatableTopic;
use torc_net::kafka::schema::describe_configs_request::DescribeConfigsResource;
use torc_net::kafka::schema::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use torc_net::kafka::schema::incremental_alter_configs_request as incremental;
use torc_net::kafka::schema::{
    AlterConfigsRequest, CreateTopicsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    ListConfigResourcesRequest,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
/// Sources.
const OF_TOPIC: i8 = 1;
const OF_SERVER: i8 = 4;
const BUILT_IN: i8 = 5;

fn resource(kind: i8, resource: &str, keys: Option<&[&str]>) -> DescribeConfigsResource {
    DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()))
}

fn describe(rig: &mut Rig, client: Client, resources: Vec<DescribeConfigsResource>) -> Vec<DescribeConfigsResult> {
    let request = DescribeConfigsRequest::default().with_resources(resources);
    rig.ask(client, 4, &request.with_include_synonyms(true).with_include_documentation(true)).results
}

fn describe_one(rig: &mut Rig, client: Client, kind: i8, name: &str) -> (i16, usize) {
    let result = describe(rig, client, vec![resource(kind, name, None)]).remove(0);
    (result.error_code, result.configs.len())
}

fn rig_with_topic() -> (Rig, Client) {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[("retention.ms", "1000")]), 0);
    (rig, client)
}

#[test]
fn no_keys_mean_all_keys() {
    let (mut rig, client) = rig_with_topic();
    for kind_and_name in [(TOPIC, "t"), (BROKER, "7")] {
        let ask = |keys| resource(kind_and_name.0, kind_and_name.1, keys);
        let results = describe(&mut rig, client, vec![ask(None), ask(Some(&[]))]);
        assert!(results[0].configs.len() >= 2);
        assert_eq!(results[0].configs, results[1].configs, "and a resource may be described again");
    }
    let some = [resource(TOPIC, "t", Some(&["retention.ms", "nonsense"])), resource(TOPIC, "t", Some(&["nonsense"]))];
    let results = describe(&mut rig, client, some.to_vec());
    assert_eq!(results[0].configs.len(), 1);
    assert_eq!((results[1].error_code, results[1].configs.len()), (0, 0));
}

#[test]
fn a_setting_has_its_source_type_synonyms_and_meaning() {
    let (mut rig, client) = rig_with_topic();
    let resources = vec![
        resource(TOPIC, "t", Some(&["retention.ms"])),
        resource(BROKER, "7", Some(&["num.partitions"])),
        resource(BROKER, "7", Some(&["num.io.threads"])),
    ];
    let sources = |result: &DescribeConfigsResult| -> Vec<(String, i8)> {
        let synonyms = result.configs[0].synonyms.iter();
        synonyms.map(|s| (s.value.as_ref().expect("a value").to_string(), s.source)).collect()
    };
    let of = |value: &str, source| (value.to_string(), source);
    let results = describe(&mut rig, client, resources.clone());
    let heads: Vec<_> = results.iter().map(|r| (r.configs[0].config_source, r.configs[0].config_type)).collect();
    assert_eq!(heads, [(OF_TOPIC, 5), (OF_SERVER, 3), (BUILT_IN, 3)]);
    assert_eq!(sources(&results[0])[..1], [of("1000", OF_TOPIC)]);
    assert_eq!(sources(&results[1]), [of("3", OF_SERVER), of("8", BUILT_IN)]);
    assert_eq!(sources(&results[2]), [of("8", BUILT_IN)]);
    assert!(results.iter().all(|result| result.configs[0].documentation.as_ref().is_some_and(|doc| !doc.is_empty())));
    // What was not asked for is not told.
    for version in 1..=4 {
        let request = DescribeConfigsRequest::default().with_resources(resources.clone());
        for result in rig.ask(client, version, &request).results {
            assert!(result.configs[0].synonyms.is_empty());
            if version >= 3 {
                assert_eq!(result.configs[0].documentation, None);
            }
        }
    }
}

/// Clients that look first refuse to name a key that is read-only, even to reset it. What a topic's key may hold is told
/// by the error, as it is by Kafka.
#[test]
fn no_key_of_a_topic_is_read_only_and_all_of_a_broker_are() {
    let (mut rig, client) = rig_with_topic();
    let results = describe(&mut rig, client, vec![resource(TOPIC, "t", None), resource(BROKER, "7", None)]);
    assert!(results[0].configs.iter().all(|config| !config.read_only));
    assert!(results[1].configs.iter().all(|config| config.read_only));
    for change in [("cleanup.policy", 1, None), ("cleanup.policy", 0, Some("delete"))] {
        assert_eq!(alter(&mut rig, client, true, &[(TOPIC, "t", &[change])]), [0]);
    }
    assert_eq!(
        alter(&mut rig, client, true, &[(TOPIC, "t", &[("cleanup.policy", 0, Some("compress"))])]),
        [error::INVALID_CONFIG]
    );
    let topic = CreatableTopic::default().with_name(name("made")).with_num_partitions(1).with_replication_factor(1);
    let made = rig.ask(client, 7, &CreateTopicsRequest::default().with_timeout_ms(1_000).with_topics(vec![topic]));
    let configs = made.topics[0].configs.as_ref().expect("its settings are told");
    assert!(!configs.is_empty() && configs.iter().all(|config| !config.read_only));
}

#[test]
fn every_kind_of_resource_is_answered_as_kafka_answers_it() {
    let (mut rig, client) = rig_with_topic();
    let bad = error::INVALID_REQUEST;
    for (kind, name, code) in [
        (TOPIC, "nope", error::UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "a b", error::INVALID_TOPIC_EXCEPTION),
        (TOPIC, "", error::INVALID_TOPIC_EXCEPTION),
        // Nothing is set for all brokers while they run.
        (BROKER, "", 0),
        (BROKER, "8", bad),
        (BROKER, "seven", bad),
        (BROKER, "99999999999", bad),
        (BROKER_LOGGER, "7", 0),
        (BROKER_LOGGER, "8", bad),
        (BROKER_LOGGER, "", bad),
        (CLIENT_METRICS, "subscription", 0),
        (CLIENT_METRICS, "", bad),
        (GROUP, "", bad),
        (0, "t", bad),
        (1, "t", bad),
        (99, "t", bad),
        (-1, "t", bad),
    ] {
        assert_eq!(describe_one(&mut rig, client, kind, name), (code, 0), "kind {kind} name {name:?}");
    }
    assert_eq!(describe_one(&mut rig, client, BROKER, "7"), (0, 2));
    assert_eq!(describe_one(&mut rig, client, GROUP, "group"), (0, 2), "whether or not there is one");
}

/// A short request must not make an answer without bounds.
#[test]
fn only_so_many_resources_are_described_again() {
    let (mut rig, client) = rig_with_topic();
    let many = vec![resource(TOPIC, "t", Some(&["retention.ms"])); 1_500];
    let results = describe(&mut rig, client, many);
    let described = results.iter().filter(|result| result.error_code == 0).count();
    assert_eq!(described, 1_001);
    assert_eq!(results[1_499].error_code, error::INVALID_REQUEST);
}

/// Key, operation, value.
type Change<'a> = (&'a str, i8, Option<&'a str>);

/// Changes resources by the newer or the older request; the errors.
fn alter(rig: &mut Rig, client: Client, newer: bool, resources: &[(i8, &str, &[Change])]) -> Vec<i16> {
    if newer {
        let resources = resources.iter().map(|(kind, name, changes)| {
            let change = |(key, operation, value): &Change| {
                let config = incremental::AlterableConfig::default().with_name(text(key));
                config.with_config_operation(*operation).with_value(value.map(text))
            };
            let resource = incremental::AlterConfigsResource::default().with_resource_type(*kind);
            resource.with_resource_name(text(name)).with_configs(changes.iter().map(change).collect())
        });
        let request = IncrementalAlterConfigsRequest::default().with_resources(resources.collect());
        return rig.ask(client, 1, &request).responses.iter().map(|r| r.error_code).collect();
    }
    let resources = resources.iter().map(|(kind, name, changes)| {
        let change = |(key, _, value): &Change| {
            plain::AlterableConfig::default().with_name(text(key)).with_value(value.map(text))
        };
        let resource = plain::AlterConfigsResource::default().with_resource_type(*kind);
        resource.with_resource_name(text(name)).with_configs(changes.iter().map(change).collect())
    });
    let request = AlterConfigsRequest::default().with_resources(resources.collect());
    rig.ask(client, 2, &request).responses.iter().map(|r| r.error_code).collect()
}

#[test]
fn resources_and_keys_are_named_once_and_values_are_there() {
    let (mut rig, client) = rig_with_topic();
    assert_eq!(rig.create(client, "u", 1, &[]), 0);
    let bad = error::INVALID_REQUEST;
    let (one, two) = (("retention.ms", 0, Some("1")), ("retention.ms", 0, Some("2")));
    let other = ("retention.bytes", 0, Some("2"));
    for newer in [true, false] {
        let twice: &[(i8, &str, &[Change])] = &[(TOPIC, "t", &[one]), (TOPIC, "u", &[one]), (TOPIC, "t", &[other])];
        assert_eq!(alter(&mut rig, client, newer, twice), [bad, 0, bad], "newer: {newer}");
        for (changes, code) in [
            (&[one, two][..], bad),
            (&[one, other, one], bad),
            (&[("retention.ms", 0, None)], bad),
            (&[one, ("retention.bytes", 0, None)], bad),
        ] {
            assert_eq!(alter(&mut rig, client, newer, &[(TOPIC, "t", changes)]), [code], "{changes:?}");
        }
    }
    let results = describe(&mut rig, client, vec![resource(TOPIC, "t", Some(&["retention.ms"]))]);
    assert_eq!(results[0].configs[0].value, Some(text("1000")), "nothing of it was done");
    for (operation, value, code) in
        [(1, None, 0), (2, Some("1"), error::INVALID_CONFIG), (2, None, bad), (3, None, bad), (9, Some("1"), bad)]
    {
        let change = [("retention.ms", operation, value)];
        assert_eq!(alter(&mut rig, client, true, &[(TOPIC, "t", &change)]), [code], "operation {operation} {value:?}");
    }
}

#[test]
fn what_cannot_be_changed_is_refused_for_good() {
    let (mut rig, client) = rig_with_topic();
    let bad = error::INVALID_REQUEST;
    let change = [("retention.ms", 0, Some("1"))];
    for newer in [true, false] {
        for (kind, name, code) in [
            (TOPIC, "nope", error::UNKNOWN_TOPIC_OR_PARTITION),
            (TOPIC, "a b", error::INVALID_TOPIC_EXCEPTION),
            (TOPIC, "", bad),
            (BROKER, "7", bad),
            (BROKER, "8", bad),
            (BROKER, "seven", bad),
            (BROKER, "", bad),
            (BROKER_LOGGER, "7", bad),
            (CLIENT_METRICS, "subscription", bad),
            (CLIENT_METRICS, "", bad),
            (GROUP, "group", error::INVALID_CONFIG),
            (GROUP, &"g".repeat(1_025), bad),
            (GROUP, "", bad),
            (1, "t", bad),
            (99, "t", bad),
        ] {
            let told = alter(&mut rig, client, newer, &[(kind, name, &change)]);
            assert_eq!(told, [code], "newer: {newer}, kind {kind} name {name:?}");
        }
        let nothing: &[(i8, &str, &[Change])] = &[(BROKER, "7", &[]), (BROKER, "", &[]), (BROKER, "8", &[])];
        assert_eq!(alter(&mut rig, client, newer, nothing), [0, 0, bad], "no change is none too many");
    }
}

/// Settings of a group: value and source of each.
fn group_settings(rig: &mut Rig, client: Client, group: &str) -> Vec<(String, String, i8)> {
    let results = describe(rig, client, vec![resource(GROUP, group, None)]);
    let one = |config: &DescribeConfigsResourceResult| {
        assert!(!config.read_only && config.config_type == 3 && !config.synonyms.is_empty());
        let value = config.value.as_deref().expect("a value").to_string();
        assert_eq!(config.synonyms[0].value.as_deref(), Some(&*value));
        (config.name.to_string(), value, config.config_source)
    };
    results[0].configs.iter().map(one).collect()
}

#[test]
fn groups_have_settings_of_their_own_also_behind_a_restart() {
    let (mut rig, client) = rig_with_topic();
    let (session, heartbeat) = ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms");
    let told = |value: &str, source| (session.to_string(), value.to_string(), source);
    let other = || (heartbeat.to_string(), "5000".to_string(), 5);
    assert_eq!(group_settings(&mut rig, client, "g"), [other(), told("45000", 5)]);
    for (key, operation, value, code) in [
        (session, 0, Some("44999"), error::INVALID_CONFIG),
        (session, 0, Some("60001"), error::INVALID_CONFIG),
        (session, 0, Some("a while"), error::INVALID_CONFIG),
        (session, 2, Some("50000"), error::INVALID_CONFIG),
        (session, 0, None, error::INVALID_REQUEST),
        ("share.session.timeout.ms", 0, Some("50000"), error::INVALID_CONFIG),
        (session, 0, Some("50000"), error::NONE),
    ] {
        let change = [(key, operation, value)];
        assert_eq!(alter(&mut rig, client, true, &[(GROUP, "g", &change)]), [code], "{key} {operation} {value:?}");
    }
    assert_eq!(group_settings(&mut rig, client, "g"), [other(), told("50000", 8)]);
    assert_eq!(group_settings(&mut rig, client, "h"), [other(), told("45000", 5)]);
    let both = [(heartbeat, 0, Some("6000"))];
    assert_eq!(alter(&mut rig, client, false, &[(GROUP, "h", &both)]), [0]);
    // The older request replaces all.
    assert_eq!(alter(&mut rig, client, false, &[(GROUP, "h", &[(session, 0, Some("46000"))])]), [0]);
    assert_eq!(group_settings(&mut rig, client, "h"), [other(), told("46000", 8)]);
    assert_eq!(listed(&mut rig, client, 1, &[GROUP]), ["32 g", "32 h"]);

    let mut rig = rig.restart(&settings());
    let client = rig.connect(0);
    assert_eq!(group_settings(&mut rig, client, "g"), [other(), told("50000", 8)]);
    assert_eq!(alter(&mut rig, client, true, &[(GROUP, "g", &[(session, 1, None)])]), [0]);
    assert_eq!(alter(&mut rig, client, false, &[(GROUP, "h", &[])]), [0]);
    assert_eq!(listed(&mut rig, client, 1, &[GROUP]), [""; 0]);
    assert_eq!(group_settings(&mut rig, client, "g"), [other(), told("45000", 5)]);
}

/// Resources that have settings, by kind and name.
fn listed(rig: &mut Rig, client: Client, version: i16, kinds: &[i8]) -> Vec<String> {
    let answer = rig.ask(client, version, &ListConfigResourcesRequest::default().with_resource_types(kinds.into()));
    assert_eq!(answer.error_code, error::NONE);
    answer.config_resources.iter().map(|one| format!("{} {}", one.resource_type, one.resource_name)).collect()
}

#[test]
fn what_has_settings_is_listed_by_its_kind() {
    let (mut rig, client) = rig_with_topic();
    assert_eq!(listed(&mut rig, client, 0, &[]), [""; 0], "version 0 asks for clients' metrics alone");
    assert_eq!(listed(&mut rig, client, 1, &[]), ["2 t", "4 7", "8 7"]);
    assert_eq!(listed(&mut rig, client, 1, &[TOPIC, TOPIC, CLIENT_METRICS]), ["2 t"]);
    assert_eq!(listed(&mut rig, client, 1, &[BROKER]), ["4 7"]);
    let unknown = ListConfigResourcesRequest::default().with_resource_types(vec![TOPIC, 3]);
    let answer = rig.ask(client, 1, &unknown);
    assert_eq!((answer.error_code, answer.config_resources.len()), (error::UNSUPPORTED_VERSION, 0));
}
