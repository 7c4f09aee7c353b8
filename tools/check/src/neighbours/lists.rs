//! Neighbours that ask for long lists, of which nothing lies on disk, and do not read them.

use super::asks;
use super::data::{COLD, MANY};
use super::kinds::{Seen, Stage};
use super::peer::crowd;
use super::strangers::{SMALL_WINDOW, talk_as};
use crate::failure::{Result, wrong};
use crate::wire::{Client, frame, text};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeConfigsRequest, DescribeLogDirsRequest, DescribeTopicPartitionsRequest, GroupId,
    OffsetCommitRequest, OffsetFetchRequest, TopicName,
};
use std::io::Write;
use std::time::{Duration, Instant};

/// The group whose offsets are asked for, and topics that one request commits offsets of.
const GROUP: &str = "with-many-offsets";
const TOPICS_AT_ONCE: u32 = 1_000;
/// Resources of one request, each of which takes kilobytes in the answer.
const RESOURCES: u32 = 200;
/// Small requests that a hoarder has answered first, and what it sends in one go.
const ONE_BY_ONE: u64 = 6;
const HOARD_BYTES: usize = 1 << 20;
/// How long the coordinator may take to be there.
const COORDINATOR_MAX: Duration = Duration::from_secs(30);

fn many(number: u32) -> TopicName {
    TopicName(text(&format!("{MANY}-{number}")))
}

/// Requests that take little, and whose answers take much.
fn requests(stage: &Stage) -> Result<Vec<Vec<u8>>> {
    let resources = (0..RESOURCES).map(|number| {
        let name = text(&format!("{MANY}-{}", number % stage.size.topics));
        DescribeConfigsResource::default().with_resource_type(2).with_resource_name(name).with_configuration_keys(None)
    });
    let configs = DescribeConfigsRequest::default()
        .with_resources(resources.collect())
        .with_include_synonyms(true)
        .with_include_documentation(true);
    // Only looked at: the answer tells all settings that each would have.
    let topics = (0..RESOURCES).map(|number| {
        let name = TopicName(text(&format!("not-there-{number}")));
        CreatableTopic::default().with_name(name).with_num_partitions(1).with_replication_factor(1)
    });
    let create =
        CreateTopicsRequest::default().with_topics(topics.collect()).with_timeout_ms(30_000).with_validate_only(true);
    let of_group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(GROUP))).with_topics(None);
    let page = DescribeTopicPartitionsRequest::default().with_response_partition_limit(i32::MAX);
    let frames = [
        frame(&configs, 4, 1)?,
        frame(&create, 7, 1)?,
        frame(&OffsetFetchRequest::default().with_groups(vec![of_group]), 8, 1)?,
        frame(&page, 0, 1)?,
        frame(&DescribeLogDirsRequest::default().with_topics(None), 4, 1)?,
    ];
    let mut frames: Vec<Vec<u8>> = frames.iter().map(|frame| frame.to_vec()).collect();
    frames.push(asks::metadata()?);
    frames.push(asks::list_offsets(COLD, 0, -1)?);
    Ok(frames)
}

/// Commits an offset of each of the many topics.
fn commit(stage: &Stage) -> Result<()> {
    let mut client = Client::connect(stage.kafka)?;
    // Whoever asks first has the coordinators' topic made.
    client.stream().write_all(&asks::coordinator()?)?;
    client.frame()?;
    let began = Instant::now();
    let mut from = 0;
    while from < stage.size.topics {
        let to = stage.size.topics.min(from + TOPICS_AT_ONCE);
        let topics = (from..to).map(|number| {
            let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
            OffsetCommitRequestTopic::default().with_name(many(number)).with_partitions(vec![partition])
        });
        let request = OffsetCommitRequest::default().with_group_id(GroupId(text(GROUP)));
        let request = request.with_generation_id_or_member_epoch(-1).with_topics(topics.collect());
        let answer = client.call(&request, 8)?;
        let codes = answer.topics.iter().flat_map(|topic| topic.partitions.iter()).map(|part| part.error_code);
        match codes.filter(|code| *code != 0).max() {
            None => from = to,
            // The coordinator's topic is being made, or its log loaded.
            Some(_) if began.elapsed() < COORDINATOR_MAX => std::thread::sleep(Duration::from_millis(50)),
            Some(code) => return wrong(format!("offsets were not committed: error {code}")),
        }
    }
    Ok(())
}

/// See [`super::kinds::Kind::UnreadLists`].
pub fn unread(stage: Stage) -> Result<Seen> {
    commit(&stage)?;
    let peers = crowd(stage.kafka, stage.size.of(200), SMALL_WINDOW)?;
    talk_as(stage, peers, &requests(&stage)?)
}

/// See [`super::kinds::Kind::Hoarders`]. Of a client whose requests came small and one by one a server receives ahead.
pub fn hoard(stage: Stage) -> Result<Seen> {
    let mut peers = crowd(stage.kafka, stage.size.of(600), SMALL_WINDOW)?;
    let small = asks::api_versions()?;
    for asked in 1..=ONE_BY_ONE {
        peers.iter_mut().for_each(|peer| peer.say(&small));
        while peers.iter().any(|peer| !peer.closed && peer.answers < asked) && stage.rest(Duration::from_millis(1)) {
            peers.iter_mut().for_each(|peer| _ = peer.swallow(usize::MAX));
        }
    }
    let mut much = frame(&DescribeLogDirsRequest::default().with_topics(None), 4, 1)?.repeat(2);
    much.extend(small.repeat(HOARD_BYTES / small.len()));
    peers.iter_mut().for_each(|peer| peer.say(&much));
    stage.here();
    while stage.rest(Duration::from_millis(50)) {
        peers.iter_mut().for_each(|peer| _ = peer.flush(usize::MAX));
    }
    let (count, closed) = (peers.len(), peers.iter().filter(|peer| peer.closed).count());
    let unsent: usize = peers.iter().map(|peer| peer.backlog()).sum();
    Ok(Seen::of(format!("{count} connections, {} MiB not received, {closed} closed", unsent >> 20)))
}
