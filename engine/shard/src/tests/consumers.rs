//! Groups of the consumer protocol (KIP-848) over the wire.

use super::groups::{SESSION_MS, commit, commit_request, committed, find, heartbeat, leave, note, s};
use super::rig::{Client, Rig, settings};
use super::verbs::id_of;
use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestTopic, OffsetFetchRequestTopics};
use kafka_protocol::messages::*;
use std::collections::BTreeSet;
use torc_net::kafka::{Encodable, Uuid, error};

/// A consumer that does what it is told.
pub(super) struct Member {
    client: Client,
    group: &'static str,
    id: String,
    epoch: i32,
    held: BTreeSet<(Uuid, i32)>,
}

impl Member {
    pub(super) fn new(rig: &mut Rig, shard: usize, group: &'static str, id: &str) -> Member {
        let client = rig.connect(shard);
        find(rig, client, group);
        Member { client, group, id: id.into(), epoch: 0, held: BTreeSet::new() }
    }

    /// All that a member says when it joins.
    pub(super) fn hello(&self, topics: &[&str]) -> ConsumerGroupHeartbeatRequest {
        self.beat()
            .with_rebalance_timeout_ms(60_000)
            .with_subscribed_topic_names(Some(topics.iter().map(|topic| s(topic).into()).collect()))
            .with_topic_partitions(Some(self.owned()))
    }

    pub(super) fn beat(&self) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(s(self.group).into())
            .with_member_id(s(&self.id))
            .with_member_epoch(self.epoch)
            .with_rebalance_timeout_ms(-1)
    }

    fn owned(&self) -> Vec<TopicPartitions> {
        let one = |(topic, index): &(Uuid, i32)| {
            TopicPartitions::default().with_topic_id(*topic).with_partitions(vec![*index])
        };
        self.held.iter().map(one).collect()
    }

    pub(super) fn ask(&mut self, rig: &mut Rig, version: i16, request: &ConsumerGroupHeartbeatRequest) -> i16 {
        let answer = rig.ask(self.client, version, request);
        assert_eq!(answer.error_message.is_some(), answer.error_code != error::NONE);
        if answer.error_code != error::NONE {
            return answer.error_code;
        }
        self.id = answer.member_id.expect("always told").to_string();
        self.epoch = answer.member_epoch;
        if let Some(assignment) = answer.assignment {
            let all = assignment.topic_partitions.iter();
            self.held = all.flat_map(|topic| topic.partitions.iter().map(|p| (topic.topic_id, *p))).collect();
        }
        answer.error_code
    }

    pub(super) fn join(&mut self, rig: &mut Rig, version: i16, topics: &[&str]) {
        assert_eq!(self.ask(rig, version, &self.hello(topics)), error::NONE);
    }

    /// A heartbeat that says what it holds, in version 1.
    fn turn(&mut self, rig: &mut Rig) -> i16 {
        let beat = self.beat().with_topic_partitions(Some(self.owned()));
        self.ask(rig, 1, &beat)
    }

    fn indexes(&self) -> Vec<i32> {
        self.held.iter().map(|(_, index)| *index).collect()
    }
}

/// Lets members talk until nothing changes.
fn settle(rig: &mut Rig, members: &mut [&mut Member]) {
    for _ in 0..6 {
        for member in &mut *members {
            assert_eq!(member.turn(rig), error::NONE, "{}", member.id);
        }
    }
}

fn describe(rig: &mut Rig, client: Client, version: i16, group: &str) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![s(group).into()]);
    let mut answer = rig.ask(client, version, &request.with_include_authorized_operations(true));
    answer.groups.pop().expect("one was asked for")
}

#[test]
fn a_topic_is_divided_among_members_that_come_go_and_survive_a_restart() {
    for shards in [1, 2] {
        let mut rig = Rig::new(shards);
        // Version 0 lets the server choose the member's id, version 1 the member.
        let mut first = Member::new(&mut rig, 0, "g", "");
        rig.create(first.client, "t", 4, &[]);
        first.join(&mut rig, 0, &["t"]);
        assert!(first.id.len() == 36 && first.epoch == 1, "{} {}", first.id, first.epoch);
        assert_eq!(first.indexes(), [0, 1, 2, 3]);
        let mut second = Member::new(&mut rig, shards - 1, "g", "chosen");
        second.join(&mut rig, 1, &["t"]);
        assert_eq!((&*second.id, second.indexes()), ("chosen", vec![]), "nothing is free yet");
        settle(&mut rig, &mut [&mut first, &mut second]);
        assert_eq!((first.indexes().len(), second.indexes().len()), (2, 2));

        let group = describe(&mut rig, first.client, 1, "g");
        assert_eq!((group.error_code, &*group.group_state, &*group.assignor_name), (error::NONE, "Stable", "uniform"));
        assert_eq!((group.group_epoch, group.assignment_epoch), (2, 2));
        assert!(group.authorized_operations > 0);
        let chosen = group.members.iter().find(|member| &*member.member_id == "chosen").expect("a member");
        assert_eq!((&*chosen.client_id, &*chosen.client_host, chosen.member_type), ("rig", "/10.0.0.9", 1));
        assert_eq!((chosen.member_epoch, &**chosen.subscribed_topic_names[0]), (2, "t"));
        let held = &chosen.assignment.topic_partitions[0];
        assert_eq!((&**held.topic_name, held.partitions.len()), ("t", 2));
        assert_eq!(chosen.assignment, chosen.target_assignment);
        assert_eq!(describe(&mut rig, first.client, 0, "g").members[0].member_type, -1, "not told before version 1");

        // By the classic calls it is no group of theirs.
        let classic = rig.ask(first.client, 6, &DescribeGroupsRequest::default().with_groups(vec![s("g").into()]));
        assert_eq!(classic.groups[0].error_code, error::GROUP_ID_NOT_FOUND);

        let mut rig = rig.restart(&settings());
        (first.client, second.client) = (rig.connect(0), rig.connect(0));
        assert_eq!((first.turn(&mut rig), second.turn(&mut rig)), (error::NONE, error::NONE));
        let gone = second.beat().with_member_epoch(-1);
        assert_eq!(second.ask(&mut rig, 1, &gone), error::NONE);
        settle(&mut rig, &mut [&mut first]);
        assert_eq!(first.indexes(), [0, 1, 2, 3]);
        // A silent one is given up.
        rig.pass(46_000);
        assert_eq!(first.turn(&mut rig), error::UNKNOWN_MEMBER_ID);
        assert_eq!(&*describe(&mut rig, first.client, 1, "g").group_state, "Empty");
        assert_eq!(listed(&mut rig, first.client, &["empty"], &["Consumer"]), ["g consumer Empty"]);
        assert_eq!(listed(&mut rig, first.client, &["Stable"], &["consumer"]), [""; 0]);
        assert_eq!(listed(&mut rig, first.client, &[], &["classic"]), [""; 0]);
        let deleted = DeleteGroupsRequest::default().with_groups_names(vec![s("g").into()]);
        assert_eq!(rig.ask(first.client, 2, &deleted).results[0].error_code, error::NONE);
        assert_eq!(describe(&mut rig, first.client, 1, "g").error_code, error::GROUP_ID_NOT_FOUND);
    }
}

/// Groups with their types and states.
fn listed(rig: &mut Rig, client: Client, states: &[&str], types: &[&str]) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| s(word)).collect();
    let request = ListGroupsRequest::default().with_states_filter(words(states)).with_types_filter(words(types));
    let answer = rig.ask(client, 5, &request);
    let line = |one: &list_groups_response::ListedGroup| {
        assert_eq!(&*one.protocol_type, "consumer");
        format!("{} {} {}", &*one.group_id, one.group_type, one.group_state)
    };
    answer.groups.iter().map(line).collect()
}

#[test]
fn patterns_choose_topics_by_their_whole_names() {
    let mut rig = Rig::new(1);
    let mut member = Member::new(&mut rig, 0, "g", "m");
    for topic in ["orders-1", "orders-22", "my-orders-1"] {
        rig.create(member.client, topic, 1, &[]);
    }
    let hello = member.hello(&[]).with_subscribed_topic_names(None);
    let pattern = |pattern: &str| hello.clone().with_subscribed_topic_regex(Some(s(pattern)));
    for wrong in ["(", "a)|(b", r"(a)\1", "(?<=a)b"] {
        assert_eq!(member.ask(&mut rig, 1, &pattern(wrong)), error::INVALID_REGULAR_EXPRESSION, "{wrong}");
    }
    assert_eq!(member.ask(&mut rig, 1, &pattern(&"a".repeat(5_000))), error::INVALID_REGULAR_EXPRESSION);
    assert_eq!(member.ask(&mut rig, 1, &pattern(r"orders-\d+")), error::NONE);
    assert_eq!(member.held.len(), 2);
    let told = describe(&mut rig, member.client, 1, "g").members.remove(0);
    assert_eq!(told.subscribed_topic_regex.as_deref(), Some(r"orders-\d+"));
    // Nothing is wanted: nothing is given.
    let nothing = member.hello(&[]).with_subscribed_topic_regex(Some(s("")));
    assert_eq!(member.ask(&mut rig, 1, &nothing), error::NONE);
    settle(&mut rig, &mut [&mut member]);
    assert_eq!(member.held.len(), 0);
}

#[test]
fn a_groups_own_settings_are_those_of_its_members() {
    let mut rig = Rig::new(2);
    let mut member = Member::new(&mut rig, 0, "g", "m");
    rig.create(member.client, "t", 1, &[]);
    let interval = |rig: &mut Rig, member: &mut Member| {
        let answer = rig.ask(member.client, 1, &member.beat());
        assert_eq!(answer.error_code, error::NONE);
        answer.heartbeat_interval_ms
    };
    member.join(&mut rig, 1, &["t"]);
    assert_eq!(interval(&mut rig, &mut member), 5_000);
    let set = |key: &str, value: &str| AlterableConfig::default().with_name(s(key)).with_value(Some(s(value)));
    let configs = vec![set("consumer.heartbeat.interval.ms", "7000"), set("consumer.session.timeout.ms", "60000")];
    let group = AlterConfigsResource::default().with_resource_type(32).with_resource_name(s("g"));
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![group.with_configs(configs)]);
    assert_eq!(rig.ask(member.client, 1, &request).responses[0].error_code, error::NONE);
    assert_eq!(interval(&mut rig, &mut member), 7_000);
    rig.pass(50_000);
    assert_eq!(member.turn(&mut rig), error::NONE, "its session is as long as the group says");
    rig.pass(61_000);
    assert_eq!(member.turn(&mut rig), error::UNKNOWN_MEMBER_ID);
}

/// What Apache Kafka 4.3 answers to each.
#[test]
fn heartbeats_that_are_wrong_are_refused_with_kafkas_codes() {
    let mut rig = Rig::new(1);
    let mut member = Member::new(&mut rig, 0, "g", "m");
    rig.create(member.client, "t", 2, &[]);
    let hello = || {
        let member = ConsumerGroupHeartbeatRequest::default().with_group_id(s("g").into()).with_member_id(s("m"));
        let topics = Some(vec![s("t").into()]);
        member.with_rebalance_timeout_ms(1_000).with_subscribed_topic_names(topics).with_topic_partitions(Some(vec![]))
    };
    let owned = TopicPartitions::default().with_partitions(vec![0]);
    let wrong = error::INVALID_REQUEST;
    let cases = [
        (1, hello().with_member_id(s("")), wrong),
        (1, hello().with_group_id(s("").into()), wrong),
        (1, hello().with_group_id(s("  ").into()), wrong),
        (1, hello().with_instance_id(Some(s(""))), wrong),
        (1, hello().with_rack_id(Some(s(" "))), wrong),
        (1, hello().with_rebalance_timeout_ms(-1), wrong),
        (1, hello().with_topic_partitions(None), wrong),
        (1, hello().with_topic_partitions(Some(vec![owned])), wrong),
        (1, hello().with_subscribed_topic_names(None), wrong),
        (1, hello().with_member_epoch(-2), wrong),
        (1, hello().with_member_epoch(-3), wrong),
        (0, hello().with_member_id(s("")).with_member_epoch(1), wrong),
        (1, hello().with_server_assignor(Some(s("sticky"))), error::UNSUPPORTED_ASSIGNOR),
        (1, hello().with_member_epoch(1), error::GROUP_ID_NOT_FOUND),
        (1, hello().with_member_epoch(-1), error::GROUP_ID_NOT_FOUND),
        // Beyond what torc keeps of names.
        (1, hello().with_member_id(s(&"m".repeat(1_025))), wrong),
        (1, hello().with_instance_id(Some(s(&"i".repeat(1_025)))), wrong),
        (1, hello().with_subscribed_topic_names(Some(vec![s(&"x".repeat(30_000)).into(); 40])), wrong),
    ];
    let mut whys = BTreeSet::new();
    for (at, (version, request, code)) in cases.iter().enumerate() {
        let answer = rig.ask(member.client, *version, request);
        assert_eq!(answer.error_code, *code, "case {at}");
        whys.extend(answer.error_message.map(|why| why.to_string()));
        assert!(answer.member_id.is_none() && answer.assignment.is_none());
    }
    assert_eq!(listed(&mut rig, member.client, &[], &[]), [""; 0], "they leave nothing");
    assert!(whys.len() >= 12 && whys.iter().any(|why| why.contains("uniform and range")), "each says why: {whys:?}");

    member.join(&mut rig, 1, &["t"]);
    let (id, epoch) = (member.id.clone(), member.epoch);
    let ask = |rig: &mut Rig, id: &str, epoch: i32, instance: Option<&str>| {
        let beat = member.beat().with_member_id(s(id)).with_member_epoch(epoch).with_instance_id(instance.map(s));
        rig.ask(member.client, 1, &beat).error_code
    };
    assert_eq!(ask(&mut rig, "stranger", epoch, None), error::UNKNOWN_MEMBER_ID);
    assert_eq!(ask(&mut rig, "stranger", -1, None), error::UNKNOWN_MEMBER_ID);
    assert_eq!(ask(&mut rig, &id, epoch, Some("i")), error::UNKNOWN_MEMBER_ID);
    assert_eq!(ask(&mut rig, &id, epoch + 1, None), error::FENCED_MEMBER_EPOCH);
    assert_eq!(ask(&mut rig, &id, epoch, None), error::NONE);
    let mut fixed = Member::new(&mut rig, 0, "g", "s1");
    let hello = fixed.hello(&["t"]).with_instance_id(Some(s("i")));
    assert_eq!(fixed.ask(&mut rig, 1, &hello), error::NONE);
    assert_eq!(ask(&mut rig, "s2", fixed.epoch, Some("i")), error::FENCED_INSTANCE_ID);
    let other = hello.with_member_id(s("s2"));
    assert_eq!(rig.ask(fixed.client, 1, &other).error_code, error::UNRELEASED_INSTANCE_ID);
    let away = fixed.beat().with_member_epoch(-2).with_instance_id(Some(s("i")));
    assert_eq!(rig.ask(fixed.client, 1, &away).member_epoch, -2);
    assert_eq!(rig.ask(fixed.client, 1, &other).error_code, error::NONE);

    assert_eq!(describe(&mut rig, member.client, 1, "").error_code, error::INVALID_GROUP_ID);
    let mut unknown = describe(&mut rig, member.client, 1, "nobody");
    assert_eq!(unknown.error_code, error::GROUP_ID_NOT_FOUND);
    assert!(unknown.error_message.take().is_some_and(|why| why.contains("nobody")));
}

/// A request of a version that the schema crate does not have: its header, then `body`.
fn send_raw(rig: &mut Rig, client: Client, (api, version): (i16, i16), body: &[u8]) -> i32 {
    let correlation = 7_000;
    let mut out = BytesMut::new();
    out.put_i32(0);
    out.put_i16(api);
    out.put_i16(version);
    out.put_i32(correlation);
    out.put_slice(&[0, 1, b'r', 0]);
    out.put_slice(body);
    let length = (out.len() - 4) as i32;
    out[..4].copy_from_slice(&length.to_be_bytes());
    rig.send_bytes(client, &out);
    rig.run();
    correlation
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(text.len() as u8 + 1);
    out.extend_from_slice(text.as_bytes());
}

/// OffsetCommit of version 10: topics by id, each with partitions and offsets.
fn commit_by_id(
    rig: &mut Rig,
    client: Client,
    (group, member, epoch): (&str, &str, i32),
    topics: &[(Uuid, &[(i32, i64)])],
) -> Vec<(Uuid, i32, i16)> {
    let mut body = Vec::new();
    put_text(&mut body, group);
    body.extend(epoch.to_be_bytes());
    put_text(&mut body, member);
    body.push(0);
    body.push(topics.len() as u8 + 1);
    for (id, partitions) in topics {
        body.extend(id.as_bytes());
        body.push(partitions.len() as u8 + 1);
        for (index, offset) in *partitions {
            body.extend(index.to_be_bytes());
            body.extend(offset.to_be_bytes());
            body.extend(3i32.to_be_bytes());
            put_text(&mut body, "note");
            body.push(0);
        }
        body.push(0);
    }
    body.push(0);
    let sent = send_raw(rig, client, (8, 10), &body);
    let answer = rig.take::<OffsetCommitRequest>(client, 10, sent).expect("an answer");
    let of = |topic: &offset_commit_response::OffsetCommitResponseTopic| {
        assert_eq!(&**topic.name, "", "version 10 has ids");
        let id = topic.topic_id;
        topic.partitions.iter().map(move |one| (id, one.partition_index, one.error_code)).collect::<Vec<_>>()
    };
    answer.topics.iter().flat_map(of).collect()
}

/// OffsetFetch of version 10 for one group: partitions by topic id, or all.
fn fetch_by_id(
    rig: &mut Rig,
    client: Client,
    (group, member, epoch): (&str, Option<&str>, i32),
    topics: Option<&[(Uuid, &[i32])]>,
) -> Result<Vec<(Uuid, i32, i64, i16)>, i16> {
    let mut body = vec![2];
    put_text(&mut body, group);
    match member {
        Some(member) => put_text(&mut body, member),
        None => body.push(0),
    }
    body.extend(epoch.to_be_bytes());
    body.push(topics.map_or(0, |topics| topics.len() as u8 + 1));
    for (id, partitions) in topics.into_iter().flatten() {
        body.extend(id.as_bytes());
        body.push(partitions.len() as u8 + 1);
        partitions.iter().for_each(|index| body.extend(index.to_be_bytes()));
        body.push(0);
    }
    body.extend([0, 0, 0]);
    let sent = send_raw(rig, client, (9, 10), &body);
    let mut answer = rig.take::<OffsetFetchRequest>(client, 10, sent).expect("an answer");
    let group = answer.groups.pop().expect("one was asked for");
    if group.error_code != error::NONE {
        return Err(group.error_code);
    }
    let of = |topic: &offset_fetch_response::OffsetFetchResponseTopics| {
        let id = topic.topic_id;
        let of = move |one: &offset_fetch_response::OffsetFetchResponsePartitions| {
            (id, one.partition_index, one.committed_offset, one.error_code)
        };
        topic.partitions.iter().map(of).collect::<Vec<_>>()
    };
    Ok(group.topics.iter().flat_map(of).collect())
}

#[test]
fn offsets_are_committed_and_fetched_by_topic_id() {
    let mut rig = Rig::new(2);
    let mut member = Member::new(&mut rig, 1, "g", "m");
    let client = member.client;
    rig.create(client, "t", 2, &[]);
    rig.create(client, "u", 1, &[]);
    let (t, u, nobody) = (id_of(&mut rig, client, "t"), id_of(&mut rig, client, "u"), Uuid::from_u128(99));
    member.join(&mut rig, 1, &["t"]);
    let me = ("g", "m", member.epoch);
    let told =
        commit_by_id(&mut rig, client, me, &[(t, &[(0, 5), (7, 1)]), (nobody, &[(0, 1), (1, 1)]), (u, &[(0, 9)])]);
    let (no_partition, no_id) = (error::UNKNOWN_TOPIC_OR_PARTITION, error::UNKNOWN_TOPIC_ID);
    assert_eq!(told, [(t, 0, 0), (t, 7, no_partition), (nobody, 0, no_id), (nobody, 1, no_id), (u, 0, 0)]);
    assert_eq!(commit_by_id(&mut rig, client, me, &[(nobody, &[(0, 1)])]), [(nobody, 0, no_id)]);
    for (member, epoch, code) in [("m", 9, error::STALE_MEMBER_EPOCH), ("x", 1, error::UNKNOWN_MEMBER_ID)] {
        let told = commit_by_id(&mut rig, client, ("g", member, epoch), &[(t, &[(0, 6)]), (nobody, &[(0, 6)])]);
        assert_eq!(told, [(t, 0, code), (nobody, 0, no_id)]);
    }
    assert_eq!(
        commit_by_id(&mut rig, client, ("none", "m", 1), &[(t, &[(0, 6)])]),
        [(t, 0, error::GROUP_ID_NOT_FOUND)]
    );
    // By names it is the same.
    assert_eq!(committed(&mut rig, client, "g", "t", &[0, 1]), [note(5), (-1, -1, String::new())]);
    let old = commit_request("g", "m", member.epoch, "t", &[(1, 4)]);
    assert_eq!(rig.ask(client, 8, &old).topics[0].partitions[0].error_code, error::UNSUPPORTED_VERSION);
    assert_eq!(commit(&mut rig, client, &old), [error::NONE]);

    let asked: [(Uuid, &[i32]); 3] = [(nobody, &[3]), (t, &[1, 0, 7]), (u, &[0])];
    let all = Ok(vec![(nobody, 3, -1, no_id), (t, 1, 4, 0), (t, 0, 5, 0), (t, 7, -1, 0), (u, 0, 9, 0)]);
    let me = ("g", Some("m"), member.epoch);
    assert_eq!(fetch_by_id(&mut rig, client, me, Some(&asked)), all);
    assert_eq!(fetch_by_id(&mut rig, client, ("g", None, -1), Some(&asked)), all);
    assert_eq!(fetch_by_id(&mut rig, client, ("g", Some("m"), 9), Some(&asked)), Err(error::STALE_MEMBER_EPOCH));
    assert_eq!(fetch_by_id(&mut rig, client, ("g", Some("x"), 1), None), Err(error::UNKNOWN_MEMBER_ID));
    assert_eq!(fetch_by_id(&mut rig, client, me, None), Ok(vec![(t, 0, 5, 0), (t, 1, 4, 0), (u, 0, 9, 0)]));
    assert_eq!(fetch_by_id(&mut rig, client, ("none", None, -1), None), Ok(vec![]));
}

/// Version 1 has no code for the whole answer: each partition says that its offset is not known now, or a consumer would begin
/// at its reset policy.
#[test]
fn fetches_of_offsets_that_fail_say_so_in_every_version() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    let topic = || OffsetFetchRequestTopic::default().with_name(s("t").into()).with_partition_indexes(vec![0, 1]);
    let request = OffsetFetchRequest::default().with_group_id(s("g").into()).with_topics(Some(vec![topic()]));
    let answer = rig.ask(client, 1, &request);
    let told = answer.topics[0].partitions.iter().map(|one| (one.committed_offset, one.error_code));
    assert_eq!(told.collect::<Vec<_>>(), [(-1, error::NOT_COORDINATOR); 2]);
    for version in 2..=7 {
        let answer = rig.ask(client, version, &request);
        assert_eq!((answer.error_code, answer.topics.len()), (error::NOT_COORDINATOR, 0));
    }
    let topic = OffsetFetchRequestTopics::default().with_name(s("t").into()).with_partition_indexes(vec![0]);
    let group = offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(s("g").into());
    let many = OffsetFetchRequest::default().with_groups(vec![group.with_topics(Some(vec![topic]))]);
    assert_eq!(rig.ask(client, 9, &many).groups[0].error_code, error::NOT_COORDINATOR);
    let by_id: [(Uuid, &[i32]); 1] = [(Uuid::from_u128(1), &[0])];
    assert_eq!(fetch_by_id(&mut rig, client, ("g", None, -1), Some(&by_id)), Err(error::NOT_COORDINATOR));
}

/// A classic member's subscription to "t".
fn subscription(held: &[i32]) -> Vec<u8> {
    let owned = consumer_protocol_subscription::TopicPartition::default();
    let subscription = ConsumerProtocolSubscription::default()
        .with_topics(vec![s("t")])
        .with_owned_partitions(vec![owned.with_topic(s("t").into()).with_partitions(held.into())]);
    let mut out = vec![0, 1];
    subscription.encode(&mut out, 1).expect("sound");
    out
}

fn classic_join(member: &str, held: &[i32]) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(s("cooperative-sticky"));
    JoinGroupRequest::default()
        .with_group_id(s("g").into())
        .with_session_timeout_ms(SESSION_MS)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(s(member))
        .with_protocol_type(s("consumer"))
        .with_protocols(vec![protocol.with_metadata(subscription(held).into())])
}

fn classic_sync(member: &str, generation: i32, assignment: Option<Vec<u8>>) -> SyncGroupRequest {
    let assign = |bytes: Vec<u8>| {
        let one = sync_group_request::SyncGroupRequestAssignment::default();
        vec![one.with_member_id(s(member)).with_assignment(bytes.into())]
    };
    SyncGroupRequest::default()
        .with_group_id(s("g").into())
        .with_generation_id(generation)
        .with_member_id(s(member))
        .with_protocol_type(Some(s("consumer")))
        .with_protocol_name(Some(s("cooperative-sticky")))
        .with_assignments(assignment.map(assign).unwrap_or_default())
}

#[test]
fn a_live_group_changes_its_protocol_and_changes_it_back() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    rig.create(client, "t", 2, &[]);
    find(&mut rig, client, "g");
    let id = rig.ask(client, 9, &classic_join("", &[])).member_id.to_string();
    let sent = rig.send(client, 9, &classic_join(&id, &[]));
    rig.pass(4_000);
    let joined = rig.take::<JoinGroupRequest>(client, 9, sent).expect("the group forms");
    let all = consumer_protocol_assignment::TopicPartition::default().with_topic(s("t").into());
    let mut assignment = vec![0, 1];
    let assigned = ConsumerProtocolAssignment::default();
    let assigned = assigned.with_assigned_partitions(vec![all.with_partitions(vec![0, 1])]);
    assigned.encode(&mut assignment, 1).expect("sound");
    let synced = rig.ask(client, 5, &classic_sync(&id, joined.generation_id, Some(assignment)));
    assert_eq!(synced.error_code, error::NONE);
    assert_eq!(listed(&mut rig, client, &[], &["classic"]), ["g classic Stable"]);

    let mut modern = Member::new(&mut rig, 1, "g", "new");
    modern.join(&mut rig, 1, &["t"]);
    assert_eq!(modern.indexes(), [0; 0], "the old one holds all");
    assert_eq!(listed(&mut rig, client, &[], &["consumer"]).len(), 1);
    let kinds = |group: &DescribedGroup| group.members.iter().map(|one| one.member_type).collect::<BTreeSet<_>>();
    assert_eq!(kinds(&describe(&mut rig, client, 1, "g")), [0, 1].into());
    // The old one is called to join again, and gives back what is asked of it.
    let mut generation = joined.generation_id;
    let mut held = vec![0, 1];
    for _ in 0..4 {
        let told = heartbeat(&mut rig, client, "g", &id, generation);
        if told == error::NONE {
            break;
        }
        assert_eq!(told, error::REBALANCE_IN_PROGRESS);
        let joined = rig.ask(client, 9, &classic_join(&id, &held));
        assert_eq!(joined.error_code, error::NONE);
        generation = joined.generation_id;
        let synced = rig.ask(client, 5, &classic_sync(&id, generation, None));
        assert_eq!(synced.error_code, error::NONE);
        held = assigned_of(&synced.assignment);
        assert_eq!(modern.turn(&mut rig), error::NONE);
    }
    settle(&mut rig, &mut [&mut modern]);
    assert_eq!((held.len(), modern.indexes().len()), (1, 1));
    assert_eq!(heartbeat(&mut rig, client, "g", &id, generation), error::NONE);
    let request = commit_request("g", &id, generation, "t", &[(held[0], 4)]);
    assert_eq!(commit(&mut rig, client, &request), [error::NONE]);

    let gone = modern.beat().with_member_epoch(-1);
    assert_eq!(modern.ask(&mut rig, 1, &gone), error::NONE);
    assert_eq!(listed(&mut rig, client, &[], &["consumer"]), [""; 0], "nobody is left who speaks it");
    assert_eq!(heartbeat(&mut rig, client, "g", &id, generation + 2), error::ILLEGAL_GENERATION);
    assert_eq!(heartbeat(&mut rig, client, "g", &id, generation), error::REBALANCE_IN_PROGRESS, "it loses nothing");
    assert_eq!(committed(&mut rig, client, "g", "t", &[held[0]]), [note(4)]);
    assert_eq!(leave(&mut rig, client, "g", &id), error::NONE);
}

/// The partitions of "t" in a classic assignment.
fn assigned_of(bytes: &[u8]) -> Vec<i32> {
    let mut bytes = bytes::Bytes::copy_from_slice(bytes);
    let version = i16::from_be_bytes([bytes[0], bytes[1]]);
    let _ = bytes.split_to(2);
    let assignment = <ConsumerProtocolAssignment as torc_net::kafka::Decodable>::decode(&mut bytes, version);
    assignment.expect("sound").assigned_partitions.iter().flat_map(|topic| topic.partitions.clone()).collect()
}

/// What of the classic protocol comes to a group of the consumer protocol from who is no classic member of it.
#[test]
fn classic_requests_do_not_disturb_a_consumer_group() {
    let mut rig = Rig::new(2);
    let mut member = Member::new(&mut rig, 1, "g", "m");
    let client = member.client;
    rig.create(client, "t", 2, &[]);
    member.join(&mut rig, 1, &["t"]);
    let epoch = member.epoch;
    for id in ["m", "stranger"] {
        assert_eq!(heartbeat(&mut rig, client, "g", id, epoch), error::UNKNOWN_MEMBER_ID);
        assert_eq!(rig.ask(client, 5, &classic_sync(id, epoch, None)).error_code, error::UNKNOWN_MEMBER_ID);
    }
    assert_eq!(leave(&mut rig, client, "g", "stranger"), error::UNKNOWN_MEMBER_ID);
    // Metadata that is no subscription, and another type of protocol.
    let mut join = classic_join("", &[]);
    join.protocols[0].metadata = vec![9].into();
    assert_eq!(rig.ask(client, 9, &join).error_code, error::INCONSISTENT_GROUP_PROTOCOL);
    let connect = classic_join("", &[]).with_protocol_type(s("connect"));
    assert_eq!(rig.ask(client, 9, &connect).error_code, error::INCONSISTENT_GROUP_PROTOCOL);
    let hasty = classic_join("", &[]).with_session_timeout_ms(i32::MAX);
    assert_eq!(rig.ask(client, 9, &hasty).error_code, error::INVALID_SESSION_TIMEOUT);
    // Nobody commits in a member's name.
    let request = |id: &str, epoch: i32| commit_request("g", id, epoch, "t", &[(0, 7)]);
    assert_eq!(commit(&mut rig, client, &request("", -1)), [error::UNKNOWN_MEMBER_ID]);
    assert_eq!(commit(&mut rig, client, &request("m", epoch + 1)), [error::STALE_MEMBER_EPOCH]);
    assert_eq!(commit(&mut rig, client, &request("m", -1)), [error::STALE_MEMBER_EPOCH]);
    assert_eq!(commit(&mut rig, client, &request("m", epoch)), [error::NONE]);
    // What is consumed keeps its offsets, and the group its members.
    let delete = |topic: &str| {
        let partition = offset_delete_request::OffsetDeleteRequestPartition::default();
        let topic = offset_delete_request::OffsetDeleteRequestTopic::default().with_name(s(topic).into());
        OffsetDeleteRequest::default()
            .with_group_id(s("g").into())
            .with_topics(vec![topic.with_partitions(vec![partition])])
    };
    let code = |answer: OffsetDeleteResponse| answer.topics[0].partitions[0].error_code;
    assert_eq!(code(rig.ask(client, 0, &delete("t"))), error::GROUP_SUBSCRIBED_TO_TOPIC);
    rig.create(client, "u", 1, &[]);
    assert_eq!(code(rig.ask(client, 0, &delete("u"))), error::NONE);
    let group = DeleteGroupsRequest::default().with_groups_names(vec![s("g").into()]);
    assert_eq!(rig.ask(client, 2, &group).results[0].error_code, error::NON_EMPTY_GROUP);
    assert_eq!(member.turn(&mut rig), error::NONE);
    assert_eq!((member.epoch, member.indexes().len()), (epoch, 2));

    // A classic group that speaks of something else than consuming does not change its protocol.
    find(&mut rig, client, "c");
    let join = |member: &str| {
        let protocol = JoinGroupRequestProtocol::default().with_name(s("v0")).with_metadata(vec![1].into());
        classic_join(member, &[])
            .with_group_id(s("c").into())
            .with_protocol_type(s("connect"))
            .with_protocols(vec![protocol])
    };
    let id = rig.ask(client, 9, &join("")).member_id.to_string();
    rig.send(client, 9, &join(&id));
    rig.pass(4_000);
    rig.take_frame(client).expect("it forms");
    let mut late = Member::new(&mut rig, 0, "c", "late");
    let hello = late.hello(&["t"]);
    assert_eq!(late.ask(&mut rig, 1, &hello), error::GROUP_ID_NOT_FOUND);
}

/// `kafka-consumer-groups --remove-members`, or an admin client.
#[test]
fn an_administrator_removes_members_also_of_the_consumer_protocol() {
    let mut rig = Rig::new(1);
    let mut fixed = Member::new(&mut rig, 0, "g", "m");
    let mut other = Member::new(&mut rig, 0, "g", "n");
    let client = fixed.client;
    rig.create(client, "t", 2, &[]);
    let hello = fixed.hello(&["t"]).with_instance_id(Some(s("i")));
    assert_eq!(fixed.ask(&mut rig, 1, &hello), error::NONE);
    other.join(&mut rig, 1, &["t"]);
    let away = fixed.beat().with_member_epoch(-2).with_instance_id(Some(s("i")));
    assert_eq!(rig.ask(client, 1, &away).error_code, error::NONE);
    let remove = |instance: &str| {
        let member = leave_group_request::MemberIdentity::default().with_group_instance_id(Some(s(instance)));
        LeaveGroupRequest::default().with_group_id(s("g").into()).with_members(vec![member])
    };
    for (instance, code) in [("j", error::UNKNOWN_MEMBER_ID), ("i", error::NONE), ("i", error::UNKNOWN_MEMBER_ID)] {
        assert_eq!(rig.ask(client, 5, &remove(instance)).members[0].error_code, code);
    }
    settle(&mut rig, &mut [&mut other]);
    assert_eq!(other.indexes(), [0, 1], "its place is free at once");
    assert_eq!(leave(&mut rig, client, "g", "n"), error::NONE);
    assert_eq!(other.turn(&mut rig), error::UNKNOWN_MEMBER_ID);
}

/// The longest that a member may say, and what a server must bear without growing.
#[test]
fn heartbeats_of_any_size_and_time_are_borne() {
    let mut rig = Rig::new(1);
    let mut member = Member::new(&mut rig, 0, "g", "m");
    let client = member.client;
    rig.create(client, "t", 2, &[]);
    let hello = |member: &Member| member.hello(&["t"]);
    for timeout in [0, i32::MAX] {
        (member.epoch, member.held) = (0, BTreeSet::new());
        let request = hello(&member).with_rebalance_timeout_ms(timeout);
        assert_eq!(member.ask(&mut rig, 1, &request), error::NONE);
    }
    let mut other = Member::new(&mut rig, 0, "g", "n");
    other.join(&mut rig, 1, &["t"]);
    settle(&mut rig, &mut [&mut member, &mut other]);
    // A hundred thousand partitions that it cannot hold, also ones that nobody has.
    let owned = |id: Uuid| TopicPartitions::default().with_topic_id(id).with_partitions((-50_000..50_000).collect());
    let t = id_of(&mut rig, client, "t");
    let beat = member.beat().with_topic_partitions(Some(vec![owned(t), owned(Uuid::from_u128(9))]));
    assert_eq!(member.ask(&mut rig, 1, &beat), error::NONE);
    let names = (0..15_000).map(|n| s(&format!("{n:060}")).into()).collect();
    let many = member.beat().with_subscribed_topic_names(Some(names));
    assert_eq!(member.ask(&mut rig, 1, &many), error::NONE);
    let described = describe(&mut rig, client, 1, "g");
    let told = described.members.iter().map(|one| one.subscribed_topic_names.len()).max();
    assert_eq!(told, Some(15_000));
    settle(&mut rig, &mut [&mut other, &mut member]);
    assert_eq!(other.indexes().len(), 2, "what the first one does not want any more is the other's");
    let nobody = (0..10_000).map(|n| s(&format!("nobody{n}")).into()).collect();
    let groups = ConsumerGroupDescribeRequest::default().with_group_ids(nobody);
    let answer = rig.ask(client, 1, &groups);
    assert!(
        answer.groups.len() == 10_000 && answer.groups.iter().all(|one| one.error_code == error::GROUP_ID_NOT_FOUND)
    );
    let mut rig = rig.restart(&settings());
    (member.client, other.client) = (rig.connect(0), rig.connect(0));
    settle(&mut rig, &mut [&mut member, &mut other]);
}

#[test]
fn a_commit_by_id_of_a_hundred_thousand_partitions_is_taken() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    rig.create(client, "t", 1, &[]);
    find(&mut rig, client, "g");
    let t = id_of(&mut rig, client, "t");
    let mut body = vec![2, b'g'];
    body.extend((-1i32).to_be_bytes());
    body.extend([1, 0, 2]);
    body.extend(t.as_bytes());
    body.extend([0xa1, 0x8d, 0x06]); // 100,000 and one
    for n in 0..100_000i64 {
        body.extend(i32::from(n % 10 == 0).to_be_bytes());
        body.extend(n.to_be_bytes());
        body.extend((-1i32).to_be_bytes());
        body.extend([0, 0]);
    }
    body.extend([0, 0]);
    let sent = send_raw(&mut rig, client, (8, 10), &body);
    let answer = rig.take::<OffsetCommitRequest>(client, 10, sent).expect("an answer");
    let refused = answer.topics[0].partitions.iter().filter(|one| one.error_code == error::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!((answer.topics[0].partitions.len(), refused.count()), (100_000, 10_000));
    assert_eq!(fetch_by_id(&mut rig, client, ("g", None, -1), None), Ok(vec![(t, 0, 99_999, 0)]));
}
