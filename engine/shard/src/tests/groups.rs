//! Consumer groups over the wire: members come, go, commit, and find everything again after a restart.

use super::rig::{Client, Rig, settings};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use torc_net::kafka::{StrBytes, error};

pub(super) const SESSION_MS: i32 = 120_000;

pub(super) fn s(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Asks for the coordinator of a group, and waits until it serves.
pub(super) fn find(rig: &mut Rig, client: Client, group: &str) {
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![s(group)]);
    let found = rig.ask(client, 6, &request);
    let found = &found.coordinators[0];
    assert_eq!((found.error_code, found.node_id.0, found.port), (error::NONE, 7, 9092));
    rig.run();
}

pub(super) fn join_request(group: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(s(group).into())
        .with_session_timeout_ms(SESSION_MS)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(s(member))
        .with_protocol_type(s("consumer"))
        .with_protocols(vec![
            JoinGroupRequestProtocol::default().with_name(s("range")).with_metadata(vec![1, 2, 3].into()),
        ])
}

/// A member's way into a group that it is alone in: its id and the generation.
pub(super) fn join(rig: &mut Rig, client: Client, group: &str) -> (String, i32) {
    let told = rig.ask(client, 9, &join_request(group, ""));
    assert_eq!(told.error_code, error::MEMBER_ID_REQUIRED);
    let member = told.member_id.to_string();
    let correlation = rig.send(client, 9, &join_request(group, &member));
    rig.pass(4_000);
    let joined = rig.take::<JoinGroupRequest>(client, 9, correlation).expect("the group forms after its delay");
    assert_eq!((joined.error_code, &*joined.leader), (error::NONE, &*member));
    assert_eq!(joined.members.len(), 1);
    (member, joined.generation_id)
}

pub(super) fn sync(rig: &mut Rig, client: Client, group: &str, member: &str, generation: i32) -> Vec<u8> {
    let assignment = SyncGroupRequestAssignment::default().with_member_id(s(member)).with_assignment(vec![9, 9].into());
    let request = SyncGroupRequest::default()
        .with_group_id(s(group).into())
        .with_generation_id(generation)
        .with_member_id(s(member))
        .with_protocol_type(Some(s("consumer")))
        .with_protocol_name(Some(s("range")))
        .with_assignments(vec![assignment]);
    let synced = rig.ask(client, 5, &request);
    assert_eq!(synced.error_code, error::NONE);
    synced.assignment.to_vec()
}

pub(super) fn heartbeat(rig: &mut Rig, client: Client, group: &str, member: &str, generation: i32) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(s(group).into())
        .with_generation_id(generation)
        .with_member_id(s(member));
    rig.ask(client, 4, &request).error_code
}

pub(super) fn commit_request(
    group: &str,
    member: &str,
    generation: i32,
    topic: &str,
    offsets: &[(i32, i64)],
) -> OffsetCommitRequest {
    let partition = |&(index, offset): &(i32, i64)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(3)
            .with_committed_metadata(Some(s("note")))
    };
    OffsetCommitRequest::default()
        .with_group_id(s(group).into())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(s(member))
        .with_topics(vec![
            OffsetCommitRequestTopic::default()
                .with_name(s(topic).into())
                .with_partitions(offsets.iter().map(partition).collect()),
        ])
}

pub(super) fn commit(rig: &mut Rig, client: Client, request: &OffsetCommitRequest) -> Vec<i16> {
    let answer = rig.ask(client, 9, request);
    answer.topics.iter().flat_map(|topic| &topic.partitions).map(|one| one.error_code).collect()
}

/// What a group has committed for partitions of a topic.
pub(super) fn committed(
    rig: &mut Rig,
    client: Client,
    group: &str,
    topic: &str,
    partitions: &[i32],
) -> Vec<(i64, i32, String)> {
    let wanted =
        OffsetFetchRequestTopics::default().with_name(s(topic).into()).with_partition_indexes(partitions.into());
    let group = OffsetFetchRequestGroup::default().with_group_id(s(group).into()).with_topics(Some(vec![wanted]));
    let answer = rig.ask(client, 9, &OffsetFetchRequest::default().with_groups(vec![group]));
    let group = &answer.groups[0];
    assert_eq!(group.error_code, error::NONE);
    let offset = |one: &offset_fetch_response::OffsetFetchResponsePartitions| {
        (one.committed_offset, one.committed_leader_epoch, one.metadata.as_deref().unwrap_or("-").to_string())
    };
    group.topics.iter().flat_map(|topic| &topic.partitions).map(offset).collect()
}

pub(super) fn note(offset: i64) -> (i64, i32, String) {
    (offset, 3, "note".into())
}

pub(super) fn leave(rig: &mut Rig, client: Client, group: &str, member: &str) -> i16 {
    let members = vec![MemberIdentity::default().with_member_id(s(member))];
    let request = LeaveGroupRequest::default().with_group_id(s(group).into()).with_members(members);
    let answer = rig.ask(client, 5, &request);
    assert_eq!(answer.error_code, error::NONE);
    answer.members[0].error_code
}

fn state(rig: &mut Rig, client: Client, group: &str) -> String {
    let answer = rig.ask(client, 5, &DescribeGroupsRequest::default().with_groups(vec![s(group).into()]));
    assert_eq!(answer.groups[0].error_code, error::NONE);
    answer.groups[0].group_state.to_string()
}

#[test]
fn a_group_lives_through_a_restart_of_the_node_on_any_number_of_shards() {
    for shards in [1, 2, 3] {
        let mut rig = Rig::new(shards);
        // Groups whose coordinators are on different shards, asked through each of them.
        for at in 0..shards {
            let client = rig.connect(at);
            rig.create(client, &format!("t{at}"), 2, &[]);
            for group in ["one", "two", "three", "four"] {
                let group = format!("{group}-{at}");
                find(&mut rig, client, &group);
                let (member, generation) = join(&mut rig, client, &group);
                assert_eq!(generation, 1);
                assert_eq!(sync(&mut rig, client, &group, &member, generation), [9, 9]);
                assert_eq!(heartbeat(&mut rig, client, &group, &member, generation), error::NONE);
                assert_eq!(heartbeat(&mut rig, client, &group, &member, generation + 1), error::ILLEGAL_GENERATION);
                let topic = format!("t{at}");
                let wrong = commit_request(&group, &member, generation + 1, &topic, &[(0, 5)]);
                assert_eq!(commit(&mut rig, client, &wrong), [error::ILLEGAL_GENERATION]);
                let right = commit_request(&group, &member, generation, &topic, &[(0, 5), (1, 7), (2, 1)]);
                assert_eq!(commit(&mut rig, client, &right), [0, 0, error::UNKNOWN_TOPIC_OR_PARTITION]);
                assert_eq!(committed(&mut rig, client, &group, &topic, &[1, 0]), [note(7), note(5)]);
                assert_eq!(state(&mut rig, client, &group), "Stable");
            }
        }
        let before: Vec<String> = {
            let client = rig.connect(0);
            list(&mut rig, client)
        };
        assert_eq!(before.len(), shards * 4);
        let mut rig = rig.restart(&settings());
        assert!(rig.is_ready());
        let client = rig.connect(shards - 1);
        assert_eq!(list(&mut rig, client), before);
        for at in 0..shards {
            let client = rig.connect(at);
            for group in ["one", "two", "three", "four"] {
                let group = format!("{group}-{at}");
                assert_eq!(committed(&mut rig, client, &group, &format!("t{at}"), &[0, 1]), [note(5), note(7)]);
                assert_eq!(state(&mut rig, client, &group), "Stable");
                let described =
                    rig.ask(client, 5, &DescribeGroupsRequest::default().with_groups(vec![s(&group).into()]));
                let member = &described.groups[0].members[0];
                assert_eq!((&*member.client_id, &*member.client_host), ("rig", "/10.0.0.9"));
                let member = member.member_id.to_string();
                // The member is still in its generation, and can go.
                assert_eq!(heartbeat(&mut rig, client, &group, &member, 1), error::NONE);
                assert_eq!(leave(&mut rig, client, &group, &member), error::NONE);
                assert_eq!(leave(&mut rig, client, &group, &member), error::UNKNOWN_MEMBER_ID);
                assert_eq!(state(&mut rig, client, &group), "Empty");
            }
        }
    }
}

/// All groups, in order.
fn list(rig: &mut Rig, client: Client) -> Vec<String> {
    let answer = rig.ask(client, 5, &ListGroupsRequest::default());
    assert_eq!(answer.error_code, error::NONE);
    let mut groups: Vec<String> =
        answer.groups.iter().map(|one| format!("{} {}", &*one.group_id, one.group_state)).collect();
    groups.sort();
    groups
}

#[test]
fn a_silent_member_loses_its_place_and_a_second_one_waits_for_it() {
    let mut rig = Rig::new(2);
    let (first, second) = (rig.connect(0), rig.connect(1));
    find(&mut rig, first, "g");
    let (member, generation) = join(&mut rig, first, "g");
    sync(&mut rig, first, "g", &member, generation);
    let told = rig.ask(second, 9, &join_request("g", ""));
    let waiting = rig.send(second, 9, &join_request("g", &told.member_id));
    rig.run();
    assert!(rig.take_frame(second).is_none(), "it waits for the first one to join again");
    assert_eq!(heartbeat(&mut rig, first, "g", &member, generation), error::REBALANCE_IN_PROGRESS);
    rig.pass(SESSION_MS as u64 + 1_000);
    let joined = rig.take::<JoinGroupRequest>(second, 9, waiting).expect("the first one's time is up");
    assert_eq!((joined.error_code, joined.generation_id, joined.members.len()), (error::NONE, generation + 1, 1));
    assert_eq!(heartbeat(&mut rig, first, "g", &member, generation), error::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_connection_that_goes_takes_its_join_back() {
    let mut rig = Rig::new(2);
    let (first, second) = (rig.connect(0), rig.connect(1));
    find(&mut rig, first, "g");
    // Version 3 has no ids told before: a client that goes has no other place.
    rig.send(first, 3, &join_request("g", ""));
    rig.run();
    rig.abort(first);
    rig.run();
    let (member, _) = {
        let told = rig.ask(second, 9, &join_request("g", ""));
        let correlation = rig.send(second, 9, &join_request("g", &told.member_id));
        rig.pass(4_000);
        let joined = rig.take::<JoinGroupRequest>(second, 9, correlation).expect("nobody else is waited for");
        assert_eq!(joined.members.len(), 1);
        (joined.member_id.to_string(), joined.generation_id)
    };
    assert_eq!(leave(&mut rig, second, "g", &member), error::NONE);
}

#[test]
fn simple_consumers_commit_without_a_group_and_their_offsets_go_with_the_topic() {
    let mut rig = Rig::new(2);
    let client = rig.connect(1);
    rig.create(client, "t", 1, &[]);
    find(&mut rig, client, "g");
    let request = commit_request("g", "", -1, "t", &[(0, 42)]);
    assert_eq!(commit(&mut rig, client, &request), [error::NONE]);
    assert_eq!(
        commit(&mut rig, client, &commit_request("g", "", -1, "nowhere", &[(0, 1)])),
        [error::UNKNOWN_TOPIC_OR_PARTITION]
    );
    let mut long = commit_request("g", "", -1, "t", &[(0, 43)]);
    long.topics[0].partitions[0].committed_metadata = Some(s(&"x".repeat(4_097)));
    assert_eq!(commit(&mut rig, client, &long), [error::OFFSET_METADATA_TOO_LARGE]);
    assert_eq!(committed(&mut rig, client, "g", "t", &[0]), [note(42)]);
    rig.ask(client, 5, &DeleteTopicsRequest::default().with_topic_names(vec![s("t").into()]).with_timeout_ms(1_000));
    assert_eq!(committed(&mut rig, client, "g", "t", &[0]), [(-1, -1, String::new())]);
}

#[test]
fn the_coordinators_topic_is_read_and_nothing_else() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(heartbeat(&mut rig, client, "g", "m", 1), error::NOT_COORDINATOR, "nobody has asked for one yet");
    find(&mut rig, client, "g");
    let metadata = rig.ask(client, 12, &MetadataRequest::default().with_topics(None));
    let topic = &metadata.topics[0];
    let name = topic.name.as_ref().expect("a name").to_string();
    assert_eq!((&*name, topic.is_internal, topic.partitions.len()), ("__consumer_offsets", true, 50));
    let deleted = rig.ask(
        client,
        5,
        &DeleteTopicsRequest::default().with_topic_names(vec![s(&name).into()]).with_timeout_ms(1_000),
    );
    assert_eq!(deleted.responses[0].error_code, error::INVALID_TOPIC_EXCEPTION);
    let more = create_partitions_request::CreatePartitionsTopic::default().with_name(s(&name).into()).with_count(51);
    let more = rig.ask(client, 3, &CreatePartitionsRequest::default().with_topics(vec![more]).with_timeout_ms(1_000));
    assert_eq!(more.results[0].error_code, error::INVALID_TOPIC_EXCEPTION);
    let transactions = FindCoordinatorRequest::default().with_key(s("tx")).with_key_type(1);
    assert_eq!(rig.ask(client, 3, &transactions).error_code, error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
}

#[test]
fn a_stop_answers_who_waits_to_join() {
    let mut rig = Rig::new(2);
    let client = rig.connect(1);
    find(&mut rig, client, "g");
    let correlation = rig.send(client, 3, &join_request("g", ""));
    rig.run();
    for shard in 0..2 {
        rig.inject(shard, torc_base::io::Event::Stop);
    }
    rig.run();
    let answer = rig.take::<JoinGroupRequest>(client, 3, correlation).expect("it is told to look elsewhere");
    assert_eq!(answer.error_code, error::NOT_COORDINATOR);
    rig.pass(1_000);
    assert!(rig.has_exited());
}

/// Two members with the same name of 32767 bytes would be one in the records, where longer texts are cut.
#[test]
fn names_that_no_record_could_hold_do_not_get_into_one() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    find(&mut rig, client, "g");
    let named = |instance: usize| join_request("g", "").with_group_instance_id(Some(s(&"i".repeat(instance))));
    assert_eq!(rig.ask(client, 9, &named(1_025)).error_code, error::INVALID_REQUEST);
    let long = "é".repeat(16_380);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let client = rig.connect(0);
        rig.send_as(client, 3, &join_request("g", ""), &long);
        waiting.push(client);
    }
    let client = rig.connect(0);
    rig.send(client, 9, &named(1_024));
    waiting.push(client);
    rig.pass(13_000);
    assert!(waiting.into_iter().all(|client| rig.take_frame(client).is_some()), "they form a generation");
    let mut rig = rig.restart(&settings());
    assert!(rig.is_ready(), "{:?}", rig.logs());
    let client = rig.connect(0);
    assert_eq!(list(&mut rig, client).len(), 1);
}

/// An answer that its version cannot express would cost the client its connection.
#[test]
fn every_version_of_every_request_is_answered() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    rig.create(client, "t", 1, &[]);
    find(&mut rig, client, "g");
    for version in 0..=6 {
        let named = if version < 4 {
            FindCoordinatorRequest::default().with_key(s("g"))
        } else {
            FindCoordinatorRequest::default().with_coordinator_keys(vec![s("g"), s("h")])
        };
        rig.ask(client, version, &named);
        if version >= 1 {
            rig.ask(client, version, &named.with_key_type(1));
        }
    }
    for version in 0..=9 {
        let group = format!("g{version}");
        let request = |member: &str| {
            let request = join_request(&group, member);
            if version == 0 { request.with_rebalance_timeout_ms(-1) } else { request }
        };
        let absurd = request("").with_session_timeout_ms(i32::MAX);
        assert_eq!(rig.ask(client, version, &absurd).error_code, error::INVALID_SESSION_TIMEOUT);
        assert_eq!(rig.ask(client, version, &request("nobody")).error_code, error::UNKNOWN_MEMBER_ID);
        let nameless = request("").with_group_id(s("").into());
        assert_eq!(rig.ask(client, version, &nameless).error_code, error::INVALID_GROUP_ID);
        let member =
            if version >= 4 { rig.ask(client, version, &request("")).member_id.to_string() } else { String::new() };
        let correlation = rig.send(client, version, &request(&member));
        rig.pass(4_000);
        let joined = rig.take::<JoinGroupRequest>(client, version, correlation).expect("it joins alone");
        assert_eq!((joined.error_code, joined.members.len()), (error::NONE, 1), "version {version}");
        let member = joined.member_id.clone();
        if version <= 5 {
            let assignment = SyncGroupRequestAssignment::default().with_member_id(member.clone());
            let sync = SyncGroupRequest::default()
                .with_group_id(s(&group).into())
                .with_generation_id(1)
                .with_member_id(member.clone());
            // From version 5 on a member says what it takes the group's protocol to be.
            let unnamed = rig.ask(client, 5, &sync).error_code;
            assert_eq!(unnamed, error::INCONSISTENT_GROUP_PROTOCOL);
            let sync = match version {
                5 => sync.with_protocol_type(Some(s("consumer"))).with_protocol_name(Some(s("range"))),
                _ => sync,
            };
            assert_eq!(rig.ask(client, version, &sync.clone().with_assignments(vec![assignment])).error_code, 0);
            let late = rig.ask(client, version, &sync.with_generation_id(9));
            assert_eq!(late.error_code, error::ILLEGAL_GENERATION);
        }
        if version <= 4 {
            let beat = HeartbeatRequest::default().with_group_id(s(&group).into()).with_member_id(member.clone());
            assert_eq!(rig.ask(client, version, &beat.clone().with_generation_id(1)).error_code, error::NONE);
            assert_eq!(rig.ask(client, version, &beat).error_code, error::ILLEGAL_GENERATION);
        }
        if version <= 6 {
            let groups = vec![s(&group).into(), s("none").into()];
            let described = rig.ask(client, version, &DescribeGroupsRequest::default().with_groups(groups));
            let not_found = if version >= 6 { error::GROUP_ID_NOT_FOUND } else { error::NONE };
            assert_eq!((described.groups[0].error_code, described.groups[1].error_code), (error::NONE, not_found));
            assert_eq!(&*described.groups[1].group_state, "Dead");
        }
        if version <= 5 {
            assert_eq!(rig.ask(client, version, &ListGroupsRequest::default()).error_code, error::NONE);
            let leave = LeaveGroupRequest::default().with_group_id(s(&group).into());
            let leave = if version < 3 {
                leave.with_member_id(member)
            } else {
                leave.with_members(vec![MemberIdentity::default().with_member_id(member)])
            };
            assert_eq!(rig.ask(client, version, &leave).error_code, error::NONE);
        }
        if version >= 2 {
            let mut commit = commit_request("simple", "", -1, "t", &[(0, 1), (0, 2), (5, 1)]);
            if version < 6 {
                commit.topics[0].partitions.iter_mut().for_each(|one| one.committed_leader_epoch = -1);
            }
            let answer = rig.ask(client, version, &commit);
            let codes: Vec<i16> = answer.topics[0].partitions.iter().map(|one| one.error_code).collect();
            assert_eq!(codes, [0, 0, error::UNKNOWN_TOPIC_OR_PARTITION]);
        }
        if version >= 1 {
            let request = OffsetFetchRequest::default();
            let request = if version >= 8 {
                let all = OffsetFetchRequestGroup::default().with_group_id(s("simple").into()).with_topics(None);
                request.with_groups(vec![all.clone(), all])
            } else {
                let topic = offset_fetch_request::OffsetFetchRequestTopic::default()
                    .with_name(s("t").into())
                    .with_partition_indexes(vec![0, 7]);
                request.with_group_id(s("simple").into()).with_topics(Some(vec![topic]))
            };
            assert_eq!(rig.ask(client, version, &request).error_code, error::NONE);
        }
        if version <= 2 {
            let groups = vec![s("simple").into(), s("none").into()];
            let deleted = rig.ask(client, version, &DeleteGroupsRequest::default().with_groups_names(groups));
            let codes: Vec<i16> = deleted.results.iter().map(|one| one.error_code).collect();
            assert_eq!(codes[1], error::GROUP_ID_NOT_FOUND);
        }
    }
    let delete = OffsetDeleteRequest::default().with_group_id(s("simple").into()).with_topics(vec![
        offset_delete_request::OffsetDeleteRequestTopic::default().with_name(s("t").into()).with_partitions(vec![
            offset_delete_request::OffsetDeleteRequestPartition::default().with_partition_index(0),
            offset_delete_request::OffsetDeleteRequestPartition::default().with_partition_index(9),
        ]),
    ]);
    let answer = rig.ask(client, 0, &delete);
    let codes: Vec<i16> = answer.topics[0].partitions.iter().map(|one| one.error_code).collect();
    assert_eq!((answer.error_code, codes), (error::NONE, vec![0, error::UNKNOWN_TOPIC_OR_PARTITION]));
    assert_eq!(committed(&mut rig, client, "simple", "t", &[0]), [(-1, -1, String::new())]);
}

/// A leader that assigns much, as those of Kafka Streams do, and a member that tells much: what is written of the group fits the small
/// segments of this test.
#[test]
fn large_subscriptions_and_assignments_reach_their_members_also_after_a_restart() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    find(&mut rig, client, "g");
    let protocol = JoinGroupRequestProtocol::default().with_name(s("range"));
    let telling = |bytes: usize, member: &str| {
        join_request("g", member).with_protocols(vec![protocol.clone().with_metadata(vec![5; bytes].into())])
    };
    assert_eq!(rig.ask(client, 9, &telling(1 << 20, "")).error_code, error::INVALID_REQUEST);
    let member = rig.ask(client, 9, &telling(500_000, "")).member_id.to_string();
    let correlation = rig.send(client, 9, &telling(500_000, &member));
    rig.pass(4_000);
    let joined = rig.take::<JoinGroupRequest>(client, 9, correlation).expect("the group forms after its delay");
    assert_eq!(joined.error_code, error::NONE, "{joined:?}");
    assert_eq!(joined.members[0].metadata.len(), 500_000);

    let sync = |assignments: &[usize]| {
        let of = |bytes: &usize| SyncGroupRequestAssignment::default().with_assignment(vec![6; *bytes].into());
        SyncGroupRequest::default()
            .with_group_id(s("g").into())
            .with_generation_id(joined.generation_id)
            .with_member_id(s(&member))
            .with_protocol_type(Some(s("consumer")))
            .with_protocol_name(Some(s("range")))
            .with_assignments(assignments.iter().map(|bytes| of(bytes).with_member_id(s(&member))).collect())
    };
    let synced = rig.ask(client, 5, &sync(&[450_000]));
    assert_eq!((synced.error_code, synced.assignment.len()), (error::NONE, 450_000));
    let mut rig = rig.restart(&settings());
    let client = rig.connect(0);
    find(&mut rig, client, "g");
    assert_eq!(heartbeat(&mut rig, client, "g", &member, joined.generation_id), error::NONE);
    let synced = rig.ask(client, 5, &sync(&[]));
    assert_eq!((synced.error_code, synced.assignment.len()), (error::NONE, 450_000));
}

/// As many as one request can name: the records are more than one batch, and come back in order.
#[test]
fn a_commit_of_a_hundred_thousand_partitions_is_one_of_many_batches() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    rig.create(client, "t", 1, &[]);
    find(&mut rig, client, "g");
    let offsets: Vec<(i32, i64)> = (0..100_000).map(|n| (i32::from(n % 10 == 0), n)).collect();
    let answer = commit(&mut rig, client, &commit_request("g", "", -1, "t", &offsets));
    assert_eq!(answer.len(), 100_000);
    assert_eq!(answer.iter().filter(|code| **code == error::UNKNOWN_TOPIC_OR_PARTITION).count(), 10_000);
    assert_eq!(committed(&mut rig, client, "g", "t", &[0]), [note(99_999)]);
    let mut rig = rig.restart(&settings());
    let client = rig.connect(0);
    assert_eq!(committed(&mut rig, client, "g", "t", &[0]), [note(99_999)]);
}

#[test]
fn nothing_is_acknowledged_before_it_is_durable_nor_when_the_disk_fails() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let other = rig.connect(0);
    rig.create(client, "t", 1, &[]);
    find(&mut rig, client, "g");
    assert_eq!(commit(&mut rig, client, &commit_request("g", "", -1, "t", &[(0, 1)])), [error::NONE]);
    rig.disk(0).hold_writes = true;
    let sent = rig.send(client, 9, &commit_request("g", "", -1, "t", &[(0, 2)]));
    rig.run();
    assert!(rig.take_frame(client).is_none(), "it is not on the disk yet");
    // Nor is anybody told of it.
    let topic = OffsetFetchRequestTopics::default().with_name(s("t").into()).with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default().with_group_id(s("g").into()).with_topics(Some(vec![topic]));
    let asked = rig.send(other, 9, &OffsetFetchRequest::default().with_groups(vec![group]));
    rig.run();
    assert!(rig.take_frame(other).is_none());
    rig.disk(0).hold_writes = false;
    rig.disk(0).release();
    rig.run();
    let answer = rig.take::<OffsetCommitRequest>(client, 9, sent).expect("it is durable");
    assert_eq!(answer.topics[0].partitions[0].error_code, error::NONE);
    let told = rig.take::<OffsetFetchRequest>(other, 9, asked).expect("so is what was asked for");
    assert_eq!(told.groups[0].topics[0].partitions[0].committed_offset, 2);

    let waiting = rig.send(other, 3, &join_request("h", ""));
    rig.run();
    rig.disk(0).fail_write = true;
    let lost = commit(&mut rig, client, &commit_request("g", "", -1, "t", &[(0, 3)]));
    assert_eq!(lost, [error::NOT_COORDINATOR]);
    let answer = rig.take::<JoinGroupRequest>(other, 3, waiting).expect("nobody waits for what never comes");
    assert_eq!(answer.error_code, error::NOT_COORDINATOR);
    let mut rig = rig.restart(&settings());
    let client = rig.connect(0);
    assert_eq!(committed(&mut rig, client, "g", "t", &[0]), [note(2)]);
}
