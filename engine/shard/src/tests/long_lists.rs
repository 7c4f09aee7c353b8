//! Short requests that ask for answers without bounds.

use super::groups::{find, s};
use super::rig::{Client, Rig, settings};
use crate::{MemoryLimits, Settings};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::*;
use torc_base::limits::{GROUP_REPEATS_MAX, LIST_BYTES_MAX, TURN_ITEMS};
use torc_net::kafka::error;

#[test]
fn a_group_is_told_of_some_times_and_not_as_often_as_anybody_likes() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    find(&mut rig, client, "g");
    let told = 1 + GROUP_REPEATS_MAX;
    let codes = |codes: Vec<i16>, good: i16| {
        let (first, rest) = codes.split_at(told);
        assert!(first.iter().all(|code| *code == good), "{codes:?}");
        assert!(rest.len() == 3 && rest.iter().all(|code| *code == error::INVALID_REQUEST), "{codes:?}");
    };
    let groups = || vec![s("g").into(); told + 3];
    let described = rig.ask(client, 5, &DescribeGroupsRequest::default().with_groups(groups()));
    codes(described.groups.iter().map(|group| group.error_code).collect(), error::NONE);
    let described = rig.ask(client, 0, &ConsumerGroupDescribeRequest::default().with_group_ids(groups()));
    codes(described.groups.iter().map(|group| group.error_code).collect(), error::GROUP_ID_NOT_FOUND);
    let one = || OffsetFetchRequestGroup::default().with_group_id(s("g").into()).with_topics(None);
    let request = OffsetFetchRequest::default().with_groups((0..told + 3).map(|_| one()).collect());
    codes(rig.ask(client, 9, &request).groups.iter().map(|group| group.error_code).collect(), error::NONE);
}

/// Four bytes name a partition, whose metadata may have four thousand.
#[test]
fn partitions_that_are_named_again_and_again_are_told_of_while_there_is_room() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    find(&mut rig, client, "g");
    let metadata = "m".repeat(4_000);
    let partition =
        OffsetCommitRequestPartition::default().with_committed_offset(7).with_committed_metadata(Some(s(&metadata)));
    let topic = OffsetCommitRequestTopic::default().with_name(s("t").into()).with_partitions(vec![partition]);
    let commit = OffsetCommitRequest::default()
        .with_group_id(s("g").into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    assert_eq!(rig.ask(client, 8, &commit).topics[0].partitions[0].error_code, error::NONE);
    let named = LIST_BYTES_MAX / metadata.len() + 1_000;
    let topic = OffsetFetchRequestTopics::default().with_name(s("t").into()).with_partition_indexes(vec![0; named]);
    let group = OffsetFetchRequestGroup::default().with_group_id(s("g").into()).with_topics(Some(vec![topic]));
    let fetched = rig.ask(client, 8, &OffsetFetchRequest::default().with_groups(vec![group]));
    let partitions = &fetched.groups[0].topics[0].partitions;
    let good = partitions.iter().take_while(|one| (one.error_code, one.committed_offset) == (error::NONE, 7)).count();
    assert_eq!(good, LIST_BYTES_MAX.div_ceil(metadata.len()));
    let refused = |one: &offset_fetch_response::OffsetFetchResponsePartitions| {
        (one.error_code, one.committed_offset) == (error::INVALID_REQUEST, -1)
    };
    assert!(partitions.len() == named && partitions[good..].iter().all(refused));
}

/// Groups have settings, whether they are there or not: names are all that it takes.
#[test]
fn settings_of_many_groups_are_told_while_there_is_room() {
    let memory = MemoryLimits { answers: 8 << 20, ..MemoryLimits::default() };
    let mut rig = Rig::with(1, &Settings { memory, ..settings() });
    let client = rig.connect(0);
    let group =
        |n: usize| DescribeConfigsResource::default().with_resource_type(32).with_resource_name(s(&n.to_string()));
    let resources: Vec<DescribeConfigsResource> =
        (0..20_000).map(group).map(|resource| resource.with_configuration_keys(None)).collect();
    let request = DescribeConfigsRequest::default()
        .with_resources(resources)
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let described = rig.ask(client, 4, &request);
    let good = described.results.iter().take_while(|result| result.error_code == error::NONE).count();
    assert!((1_000..20_000).contains(&good), "{good}");
    let rest = &described.results[good..];
    assert!(rest.iter().all(|result| result.error_code == error::INVALID_REQUEST && result.configs.is_empty()));
}

#[test]
fn settings_of_new_topics_are_told_of_the_first_ones() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let topic = |n: usize| {
        let topic = create_topics_request::CreatableTopic::default().with_name(TopicName(s(&format!("t{n}"))));
        topic.with_num_partitions(1).with_replication_factor(1)
    };
    let request = CreateTopicsRequest::default().with_topics((0..1_200).map(topic).collect()).with_validate_only(true);
    let created = rig.ask(client, 7, &request.with_timeout_ms(30_000));
    assert!(created.topics.len() == 1_200 && created.topics.iter().all(|topic| topic.error_code == error::NONE));
    let told = created.topics.iter().filter(|topic| topic.configs.as_ref().is_some_and(|configs| !configs.is_empty()));
    assert_eq!(told.count(), 1_000);
    let last = created.topics.last().unwrap();
    assert_eq!((last.configs.is_none(), last.topic_config_error_code), (true, error::INVALID_REQUEST));
}

/// Of everything that a client has asked for ahead one long list is made, and nobody else waits for the rest.
#[test]
fn who_asks_for_long_lists_ahead_has_one_of_them() {
    let mut rig = Rig::new(1);
    let deaf: Vec<_> = (0..10).map(|_| rig.connect(0)).collect();
    let admin = rig.connect(0);
    for n in 0..30 {
        assert_eq!(rig.create(admin, &format!("t{n}"), 100, &[]), 0);
    }
    let dirs = DescribeLogDirsRequest::default().with_topics(None);
    let one = {
        rig.ask(admin, 4, &dirs);
        let sent = rig.send(admin, 4, &dirs);
        rig.run();
        let (got, frame) = rig.take_frame(admin).unwrap();
        assert_eq!(got, sent);
        frame.len()
    };
    for client in &deaf {
        rig.reads(*client, false);
        for _ in 0..20 {
            rig.send(*client, 4, &dirs);
        }
    }
    rig.pass(1_000);
    let held = rig.stats(0).answer_memory_bytes.load(std::sync::atomic::Ordering::Relaxed) as usize;
    let most = deaf.len() * (torc_base::limits::REPLY_BYTES_MAX + one + 1_000);
    assert!(held >= deaf.len() * one && held < most, "{held} bytes are held, {one} take one answer");
    // Whoever comes now is served all the same.
    let newcomer = rig.connect(0);
    assert_eq!(rig.ask(newcomer, 4, &dirs).results[0].topics.len(), 30);
    // Those who read after all get everything, in order.
    rig.reads(deaf[0], true);
    rig.pass(1_000);
    let got = std::iter::from_fn(|| rig.take_frame(deaf[0])).count();
    assert_eq!(got, 20);
}

/// Long lists are made over turns: in between others are served.
#[test]
fn long_lists_are_made_over_turns() {
    let mut rig = Rig::new(1);
    let (client, other) = (rig.connect(0), rig.connect(0));
    for n in 0..40 {
        assert_eq!(rig.create(client, &format!("t{n}"), 100, &[]), 0);
    }
    let resource = |n: usize| {
        let resource = DescribeConfigsResource::default().with_resource_type(2).with_configuration_keys(None);
        resource.with_resource_name(s(&format!("t{}", n % 40)))
    };
    let configs = DescribeConfigsRequest::default().with_resources((0..400).map(resource).collect());
    let dirs = DescribeLogDirsRequest::default().with_topics(None);
    rig.send(client, 4, &configs);
    rig.send(client, 4, &dirs);
    let (mut turns, mut answers, mut served) = (0, 0, 0);
    while answers < 2 {
        rig.send(other, 9, &MetadataRequest::default().with_topics(Some(Vec::new())));
        assert!(rig.turn(0), "{answers} of 2 answers came");
        turns += 1;
        served += usize::from(rig.take_frame(other).is_some());
        answers += usize::from(rig.take_frame(client).is_some());
        assert!(turns < 200);
    }
    assert!(turns > 15 && served + 2 >= turns, "{turns} turns, {served} others were served");
}

/// A short request names groups of which coordinators know much: they are asked for some at a time, and told of while there
/// is room.
#[test]
fn of_many_groups_some_are_asked_for_at_a_time_and_told_while_there_is_room() {
    const GROUPS: usize = 80;
    let memory = MemoryLimits { answers: 4 << 20, ..MemoryLimits::default() };
    let mut rig = Rig::with(1, &Settings { memory, offsets_partitions: 3, ..settings() });
    let (client, other) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(client, "t", 100, &[]), 0);
    let group = |n: usize| s(&format!("g{n}")).into();
    find(&mut rig, client, "g0");
    let partition = |index| {
        let partition = OffsetCommitRequestPartition::default().with_partition_index(index);
        partition.with_committed_offset(7).with_committed_metadata(Some(s(&"m".repeat(1_000))))
    };
    let topic =
        OffsetCommitRequestTopic::default().with_name(s("t").into()).with_partitions((0..100).map(partition).collect());
    for n in 0..GROUPS {
        let commit = OffsetCommitRequest::default().with_group_id(group(n)).with_generation_id_or_member_epoch(-1);
        let committed = rig.ask(client, 8, &commit.with_topics(vec![topic.clone()]));
        assert_eq!(committed.topics[0].partitions[0].error_code, error::NONE);
    }
    let asked = |count: usize| {
        let one = |n| OffsetFetchRequestGroup::default().with_group_id(group(n)).with_topics(None);
        OffsetFetchRequest::default().with_groups((0..count).map(one).collect())
    };
    let fetched = rig.ask(client, 9, &asked(GROUPS)).groups;
    let told = fetched.iter().take_while(|group| group.error_code == error::NONE).count();
    assert!((10..GROUPS - 10).contains(&told), "{told} groups of 100 kB in an answer of 1 MiB");
    assert!(fetched[..told].iter().all(|group| group.topics[0].partitions.len() == 100));
    let refused = &fetched[told..];
    assert!(refused.iter().all(|group| group.error_code == error::INVALID_REQUEST && group.topics.is_empty()));
    // Groups that nobody knows take nothing, and there may be as many as anybody likes: others are served meanwhile.
    let names = || (GROUPS..4_000).map(group);
    let describe = DescribeGroupsRequest::default().with_groups(names().collect());
    let sent = rig.send(client, 5, &describe);
    let (mut turns, mut served) = (0, 0);
    let described = loop {
        rig.send(other, 9, &MetadataRequest::default().with_topics(Some(Vec::new())));
        assert!(rig.turn(0), "no answer");
        turns += 1;
        served += usize::from(rig.take_frame(other).is_some());
        if let Some(answer) = rig.take::<DescribeGroupsRequest>(client, 5, sent) {
            break answer;
        }
    };
    assert_eq!(described.groups.len(), 4_000 - GROUPS);
    assert!(described.groups.iter().all(|group| group.group_state.as_str() == "Dead"));
    assert!(turns > 80 && served + 2 >= turns, "{turns} turns, {served} others were served");
    // Who leaves in between is forgotten.
    rig.send(client, 5, &describe);
    (0..5).for_each(|_| _ = rig.turn(0));
    rig.abort(client);
    let last = rig.connect(0);
    let some = DescribeGroupsRequest::default().with_groups(names().take(99).collect());
    assert_eq!(rig.ask(last, 5, &some).groups.len(), 99);
}

/// What becomes of many topics is told over turns.
#[test]
fn settings_of_new_topics_are_told_over_turns() {
    let mut rig = Rig::new(1);
    let (client, other) = (rig.connect(0), rig.connect(0));
    let topic = |n: usize| {
        let topic = create_topics_request::CreatableTopic::default().with_name(TopicName(s(&format!("t{n}"))));
        topic.with_num_partitions(1).with_replication_factor(1)
    };
    for validate_only in [true, false] {
        let request = CreateTopicsRequest::default().with_topics((0..400).map(topic).collect());
        let sent = rig.send(client, 7, &request.with_validate_only(validate_only).with_timeout_ms(30_000));
        let (mut turns, mut served) = (0, 0);
        let created = loop {
            rig.send(other, 9, &MetadataRequest::default().with_topics(Some(Vec::new())));
            assert!(rig.turn(0), "no answer");
            turns += 1;
            served += usize::from(rig.take_frame(other).is_some());
            if let Some(answer) = rig.take::<CreateTopicsRequest>(client, 7, sent) {
                break answer;
            }
        };
        assert_eq!(created.topics.len(), 400);
        assert!(created.topics.iter().enumerate().all(|(n, topic)| {
            topic.name.as_str() == format!("t{n}") && topic.error_code == error::NONE && topic.configs.is_some()
        }));
        assert!(turns > 10 && served + 2 >= turns, "{turns} turns, {served} others were served");
    }
}

/// Partitions of the topic whose offsets a group has.
const OFFSETS: i32 = 6 * TURN_ITEMS as i32;

fn commit(rig: &mut Rig, client: Client, group: &str, partitions: impl Iterator<Item = i32>, offset: i64) {
    let partition = |index| {
        let partition = OffsetCommitRequestPartition::default().with_partition_index(index);
        partition.with_committed_offset(offset).with_committed_metadata(Some(s("")))
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(s("t").into())
        .with_partitions(partitions.map(partition).collect());
    let commit = OffsetCommitRequest::default().with_group_id(s(group).into()).with_generation_id_or_member_epoch(-1);
    let committed = rig.ask(client, 8, &commit.with_topics(vec![topic]));
    assert!(committed.topics[0].partitions.iter().all(|one| one.error_code == error::NONE));
}

/// A server with a group that has committed many offsets.
fn many_offsets() -> (Rig, Client) {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", OFFSETS, &[]), 0);
    find(&mut rig, client, "g");
    commit(&mut rig, client, "g", 0..OFFSETS, 7);
    (rig, client)
}

fn of_group(partitions: Option<Vec<i32>>) -> OffsetFetchRequest {
    let topic =
        |partitions| OffsetFetchRequestTopics::default().with_name(s("t").into()).with_partition_indexes(partitions);
    let group = OffsetFetchRequestGroup::default().with_group_id(s("g").into());
    OffsetFetchRequest::default().with_groups(vec![group.with_topics(partitions.map(|all| vec![topic(all)]))])
}

/// What a group has committed is read, told and encoded over turns: in between others are served, by the same coordinator.
#[test]
fn many_offsets_of_a_group_are_told_over_turns() {
    let (mut rig, client) = many_offsets();
    let other = rig.connect(0);
    for partitions in [None, Some((0..OFFSETS).collect()), Some(vec![3; OFFSETS as usize])] {
        for version in [2, 7, 8, 9] {
            let request = if version < 8 {
                let topic = |all: &Vec<i32>| {
                    OffsetFetchRequestTopic::default().with_name(s("t").into()).with_partition_indexes(all.clone())
                };
                let topics = partitions.as_ref().map(|all| vec![topic(all)]);
                OffsetFetchRequest::default().with_group_id(s("g").into()).with_topics(topics)
            } else {
                of_group(partitions.clone())
            };
            let sent = rig.send(client, version, &request);
            let (mut turns, mut served) = (0, 0);
            let answer = loop {
                rig.send(other, 9, &of_group(Some(vec![1])));
                assert!(rig.turn(0), "no answer");
                turns += 1;
                served += usize::from(rig.take_frame(other).is_some());
                if let Some(answer) = rig.take::<OffsetFetchRequest>(client, version, sent) {
                    break answer;
                }
            };
            let told: Vec<(i32, i64)> = if version < 8 {
                answer.topics[0].partitions.iter().map(|one| (one.partition_index, one.committed_offset)).collect()
            } else {
                let partitions = &answer.groups[0].topics[0].partitions;
                partitions.iter().map(|one| (one.partition_index, one.committed_offset)).collect()
            };
            let wanted = partitions.clone().unwrap_or_else(|| (0..OFFSETS).collect());
            assert_eq!(told, wanted.into_iter().map(|index| (index, 7)).collect::<Vec<_>>());
            assert!(turns > 12 && served + 3 >= turns, "{turns} turns, {served} others were served");
        }
    }
}

/// It is told what was committed at one moment, however often that changes meanwhile.
#[test]
fn offsets_that_change_while_they_are_read_are_of_one_moment() {
    for changes in [1, 3, 100] {
        let (mut rig, client) = many_offsets();
        let writer = rig.connect(0);
        let sent = rig.send(client, 9, &of_group(None));
        (0..3).for_each(|_| assert!(rig.turn(0)));
        let mut answer = None;
        for n in 0..changes {
            if answer.is_some() {
                break;
            }
            let part = |index| OffsetCommitRequestPartition::default().with_partition_index(index);
            let part = |index| part(index).with_committed_offset(100 + n).with_committed_metadata(Some(s("")));
            let topic = OffsetCommitRequestTopic::default().with_name(s("t").into());
            let topics = vec![topic.with_partitions(vec![part(0), part(OFFSETS - 1)])];
            let commit = OffsetCommitRequest::default().with_group_id(s("g").into());
            rig.send(writer, 8, &commit.with_generation_id_or_member_epoch(-1).with_topics(topics));
            (0..2).for_each(|_| _ = rig.turn(0));
            answer = rig.take::<OffsetFetchRequest>(client, 9, sent);
        }
        rig.run();
        let answer = answer.or_else(|| rig.take::<OffsetFetchRequest>(client, 9, sent)).expect("an answer");
        let told = &answer.groups[0].topics[0].partitions;
        assert_eq!(told.len(), OFFSETS as usize);
        let (first, last) = (told[0].committed_offset, told[told.len() - 1].committed_offset);
        assert!(first == last && first >= 100, "{first} and {last}, {changes} changes");
    }
}

/// However many groups there are, they are told over turns.
#[test]
fn many_groups_are_listed_and_described_over_turns() {
    const GROUPS: usize = 1_200;
    let mut rig = Rig::with(1, &Settings { offsets_partitions: 3, ..settings() });
    let (client, other) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    find(&mut rig, client, "g");
    let names: Vec<String> = (0..GROUPS).map(|n| format!("g{n:04}")).collect();
    names.iter().for_each(|name| commit(&mut rig, client, name, 0..1, 7));
    for version in 0..=5 {
        let sent = rig.send(client, version, &ListGroupsRequest::default());
        let (mut turns, mut served) = (0, 0);
        let answer = loop {
            rig.send(other, 9, &MetadataRequest::default().with_topics(Some(Vec::new())));
            assert!(rig.turn(0), "no answer");
            turns += 1;
            served += usize::from(rig.take_frame(other).is_some());
            if let Some(answer) = rig.take::<ListGroupsRequest>(client, version, sent) {
                break answer;
            }
        };
        let mut told: Vec<String> = answer.groups.iter().map(|group| group.group_id.to_string()).collect();
        told.sort();
        assert_eq!((told, answer.error_code), (names.clone(), error::NONE), "version {version}");
        assert!(answer.groups.iter().all(|group| version < 4 || group.group_state.as_str() == "Empty"));
        assert!(turns > 3 && served + 2 >= turns, "{turns} turns, {served} others were served");
    }
    // What is told of many at once is what is told of each.
    let of = |names: &[String]| {
        DescribeGroupsRequest::default().with_groups(names.iter().map(|name| s(name).into()).collect())
    };
    for version in 0..=6 {
        let all = rig.ask(client, version, &of(&names));
        for (name, told) in names.iter().zip(&all.groups).step_by(100) {
            assert_eq!(&rig.ask(client, version, &of(std::slice::from_ref(name))).groups[0], told, "version {version}");
        }
    }
}

/// Who goes meanwhile, or whose coordinator does, leaves nothing behind.
#[test]
fn nobody_waits_for_offsets_of_a_coordinator_that_has_gone() {
    let (mut rig, client) = many_offsets();
    let gone = rig.connect(0);
    rig.send(gone, 9, &of_group(None));
    let sent = rig.send(client, 9, &of_group(None));
    (0..3).for_each(|_| assert!(rig.turn(0)));
    rig.abort(gone);
    rig.run();
    let answer = rig.take::<OffsetFetchRequest>(client, 9, sent).expect("an answer");
    assert_eq!(answer.groups[0].topics[0].partitions.len(), OFFSETS as usize);
    let sent = rig.send(client, 9, &of_group(None));
    (0..3).for_each(|_| assert!(rig.turn(0)));
    rig.lose(0, |_| true);
    let answer = rig.take::<OffsetFetchRequest>(client, 9, sent).expect("an answer");
    assert_eq!(answer.groups[0].error_code, error::NOT_COORDINATOR);
}
