//! Metadata of all topics: the same answer serves all until something changes.

use super::rig::{Client, Rig};
use super::verbs::*;
use torc_net::kafka::schema::{DeleteTopicsRequest, MetadataRequest, MetadataResponse};

fn all() -> MetadataRequest {
    MetadataRequest::default().with_topics(None)
}

/// Names, and for each the number of partitions that have leaders.
fn told(response: &MetadataResponse) -> Vec<(String, usize)> {
    let topics = response.topics.iter().map(|topic| {
        let led = topic.partitions.iter().filter(|partition| partition.leader_id.0 >= 0).count();
        (topic.name.as_ref().expect("each has one").to_string(), led)
    });
    topics.filter(|(name, _)| !name.starts_with("__")).collect()
}

fn asked(rig: &mut Rig, client: Client, version: i16) -> Vec<(String, usize)> {
    let twice = [rig.ask(client, version, &all()), rig.ask(client, version, &all())];
    assert_eq!(twice[0], twice[1], "version {version}");
    told(&twice[0])
}

#[test]
fn answers_about_all_topics_are_those_of_now_in_every_version() {
    let mut rig = Rig::new(2);
    let (client, other) = (rig.connect(0), rig.connect(1));
    let of = |names: &[(&str, usize)]| -> Vec<(String, usize)> {
        names.iter().map(|(name, led)| (name.to_string(), *led)).collect()
    };
    let check = |rig: &mut Rig, expected: &[(&str, usize)]| {
        for version in 1..=12 {
            assert_eq!(asked(rig, client, version), of(expected), "version {version}");
            assert_eq!(asked(rig, other, version), of(expected), "version {version}, of the other shard");
        }
        // Version 0 says "all" with an empty list.
        let empty = MetadataRequest::default().with_topics(Some(vec![]));
        let response = rig.ask(client, 0, &empty);
        assert_eq!(told(&response), of(expected), "version 0");
    };
    check(&mut rig, &[]);
    assert_eq!(rig.create(client, "a", 3, &[]), 0);
    check(&mut rig, &[("a", 3)]);
    assert_eq!(rig.create(other, "b", 1, &[]), 0);
    check(&mut rig, &[("a", 3), ("b", 1)]);
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![name("a")]).with_timeout_ms(1000);
    assert_eq!(rig.ask(client, 5, &delete).responses[0].error_code, 0);
    rig.run();
    check(&mut rig, &[("b", 1)]);
}

#[test]
fn answers_differ_by_what_was_asked_for() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for _ in 0..2 {
        for (topics, cluster) in [(false, false), (true, false), (false, true), (true, true)] {
            let request = all()
                .with_include_topic_authorized_operations(topics)
                .with_include_cluster_authorized_operations(cluster);
            let response = rig.ask(client, 9, &request);
            assert_eq!(response.topics[0].topic_authorized_operations != i32::MIN, topics);
            assert_eq!(response.cluster_authorized_operations != i32::MIN, cluster);
        }
    }
}

#[test]
fn who_never_reads_what_all_topics_are_does_not_make_the_shard_look_at_them_each_time() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 2_000, &[]), 0);
    rig.ask(client, 9, &all());
    let sent: Vec<i32> = (0..50).map(|_| rig.send(client, 9, &all())).collect();
    let mut waiting = sent.iter().peekable();
    let mut turns = 0;
    while rig.turn(0) {
        turns += 1;
        while waiting.next_if(|asked| rig.take::<MetadataRequest>(client, 9, **asked).is_some()).is_some() {}
    }
    assert_eq!(waiting.next(), None);
    assert!(turns < 25, "{turns} turns for {} answers of 2,000 partitions: a turn looks at 512", sent.len());
}
