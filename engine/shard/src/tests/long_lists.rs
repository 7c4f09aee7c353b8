//! Short requests that ask for answers without bounds.

use super::groups::{find, s};
use super::rig::{Rig, settings};
use crate::{MemoryLimits, Settings};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::*;
use torc_base::limits::{GROUP_REPEATS_MAX, LIST_BYTES_MAX};
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
