//! The records of `__consumer_offsets` against bytes that Apache Kafka 4.3.0's own classes have written.

use torc_base::ids::TopicId;
use torc_net::kafka::group_records::{
    ClassicMember, ConsumerGroupValue, CurrentValue, GroupMember, GroupRecord, GroupValue, MemberValue, OffsetValue,
    RegularExpressionValue, TargetValue, TopicMetadata, TopicPartitions, decode,
};

const TOPIC: TopicId = TopicId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("two hex digits");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn key_of(record: &GroupRecord<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    record.encode_key(&mut key);
    key
}

fn value_of(record: &GroupRecord<'_>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    record.encode_value(&mut value).then_some(value)
}

/// `value` is read as `record`; it is also what is written.
fn both_ways(record: GroupRecord<'_>, value: &str) {
    reads_as(&record, value);
    assert_eq!(value_of(&record), Some(hex(value)), "{record:?}");
}

fn reads_as(record: &GroupRecord<'_>, value: &str) {
    let (key, value) = (key_of(record), hex(value));
    assert_eq!(decode(&key, Some(&value)).as_ref(), Ok(record));
    // Nothing of it can be missing.
    for cut in 0..value.len() {
        assert!(decode(&key, Some(&value[..cut])).is_err(), "{record:?} cut at {cut}");
    }
    for cut in 0..key.len() {
        assert!(decode(&key[..cut], None).is_err(), "{record:?}: key cut at {cut}");
    }
}

fn offset(value: OffsetValue<'_>) -> GroupRecord<'_> {
    GroupRecord::Offset { group: "g", topic: "t", partition: 2, value: Some(value) }
}

const OFFSET: OffsetValue<'_> = OffsetValue {
    offset: 77,
    leader_epoch: -1,
    metadata: "m",
    commit_timestamp: 1000,
    expire_timestamp: -1,
    topic_id: TopicId::ZERO,
};

#[test]
fn offsets_of_all_versions_are_read_and_the_newest_is_written() {
    reads_as(&offset(OFFSET), "0000000000000000004d00016d00000000000003e8");
    let expiring = OffsetValue { expire_timestamp: 2000, ..OFFSET };
    both_ways(offset(expiring), "0001000000000000004d00016d00000000000003e800000000000007d0");
    reads_as(&offset(OFFSET), "0002000000000000004d00016d00000000000003e8");
    let with_epoch = OffsetValue { leader_epoch: 3, ..OFFSET };
    reads_as(&offset(with_epoch.clone()), "0003000000000000004d0000000300016d00000000000003e8");
    both_ways(offset(with_epoch.clone()), "0004000000000000004d00000003026d00000000000003e800");
    let with_topic = OffsetValue { topic_id: TOPIC, ..with_epoch };
    both_ways(
        offset(with_topic),
        "0004000000000000004d00000003026d00000000000003e80100100102030405060708090a0b0c0d0e0f10",
    );
}

#[test]
fn keys_say_what_they_are_about() {
    let tombstone = GroupRecord::Offset { group: "g", topic: "t", partition: 2, value: None };
    assert_eq!(key_of(&tombstone), hex("000100016700017400000002"));
    assert_eq!(value_of(&tombstone), None);
    assert_eq!(decode(&hex("000100016700017400000002"), None), Ok(tombstone.clone()));
    assert_eq!(decode(&hex("000000016700017400000002"), None), Ok(tombstone), "the kind of old");
    let regex = GroupRecord::RegularExpression { group: "g", expression: "a.*", value: None };
    assert_eq!(key_of(&regex), hex("00100001670003612e2a"));
    assert_eq!(decode(&hex("000200016700"), None), Err("a key goes on behind its fields"));
}

#[test]
fn kinds_of_others_are_passed_over() {
    for kind in [9i16, 10, 15, 17, 22, i16::MAX] {
        let mut key = kind.to_be_bytes().to_vec();
        key.extend_from_slice(b"\0\x01gwhatever");
        assert_eq!(decode(&key, Some(b"any")), Ok(GroupRecord::Unknown { kind }));
    }
    assert!(decode(&[0xff, 0xff, 0, 0], None).is_err());
    assert!(decode(&[], None).is_err());
}

#[test]
fn versions_to_come_are_refused() {
    let (offset, group) = (key_of(&offset(OFFSET)), hex("0002000167"));
    for version in ["0005", "ffff", "7fff"] {
        let value = hex(&format!("{version}000000000000004d00000003026d00000000000003e800"));
        assert!(decode(&offset, Some(&value)).is_err());
        assert!(decode(&group, Some(&value)).is_err());
        assert!(decode(&hex("0003000167"), Some(&value)).is_err());
    }
}

fn group(instance: Option<&'static str>, rebalance_timeout: i32, current_state_timestamp: i64) -> GroupRecord<'static> {
    let member = GroupMember {
        member_id: "c-1",
        group_instance_id: instance,
        client_id: "c",
        client_host: "/h",
        rebalance_timeout,
        session_timeout: 10_000,
        subscription: &[1, 2],
        assignment: &[3],
    };
    let value = GroupValue {
        protocol_type: "consumer",
        generation: 5,
        protocol: Some("range"),
        leader: Some("c-1"),
        current_state_timestamp,
        members: vec![member],
    };
    GroupRecord::Group { group: "g", value: Some(value) }
}

#[test]
fn groups_of_all_versions_are_read_and_the_newest_is_written() {
    let start = "0008636f6e73756d657200000005000572616e67650003632d31";
    let (one, host) = ("000000010003632d31", "00016300022f68");
    let end = "000027100000000201020000000103";
    let since = "00000000000003e8";
    reads_as(&group(None, -1, -1), &format!("0000{start}{one}{host}{end}"));
    reads_as(&group(None, 60_000, -1), &format!("0001{start}{one}{host}0000ea60{end}"));
    reads_as(&group(None, 60_000, 1000), &format!("0002{start}{since}{one}{host}0000ea60{end}"));
    both_ways(group(Some("i"), 60_000, 1000), &format!("0003{start}{since}{one}000169{host}0000ea60{end}"));
    reads_as(
        &group(Some("i"), 60_000, 1000),
        "000409636f6e73756d6572000000050672616e676504632d3100000000000003e80204632d3102690263032f680000ea60000027100301\
         0202030000",
    );
    let value = GroupValue {
        protocol_type: "",
        generation: 0,
        protocol: None,
        leader: None,
        current_state_timestamp: 1000,
        members: Vec::new(),
    };
    both_ways(
        GroupRecord::Group { group: "g", value: Some(value) },
        "0003000000000000ffffffff00000000000003e800000000",
    );
}

#[test]
fn groups_of_the_consumer_protocol() {
    let epoch = |metadata_hash| ConsumerGroupValue { epoch: 7, metadata_hash };
    both_ways(GroupRecord::ConsumerGroup { group: "g", value: Some(epoch(0)) }, "00000000000700");
    both_ways(GroupRecord::ConsumerGroup { group: "g", value: Some(epoch(-2)) }, "000000000007010008fffffffffffffffe");
    let target = |assignment_timestamp| TargetValue { assignment_epoch: 7, assignment_timestamp };
    both_ways(GroupRecord::Target { group: "g", value: Some(target(0)) }, "00000000000700");
    both_ways(GroupRecord::Target { group: "g", value: Some(target(1000)) }, "00000000000701000800000000000003e8");
    let topic = TopicMetadata { topic_id: TOPIC, topic_name: "t", num_partitions: 2 };
    reads_as(
        &GroupRecord::PartitionMetadata { group: "g", value: Some(vec![topic.clone()]) },
        "0000020102030405060708090a0b0c0d0e0f100274000000020200000001020272000000",
    );
    both_ways(
        GroupRecord::PartitionMetadata { group: "g", value: Some(vec![topic]) },
        "0000020102030405060708090a0b0c0d0e0f10027400000002010000",
    );
    let value = RegularExpressionValue { topics: vec!["a", "b"], version: 9, timestamp: 1000 };
    both_ways(
        GroupRecord::RegularExpression { group: "g", expression: "a.*", value: Some(value) },
        "00000302610262000000000000000900000000000003e800",
    );
}

#[test]
fn members_of_the_consumer_protocol() {
    let mut value = MemberValue {
        instance_id: Some("i"),
        rack_id: None,
        client_id: "c",
        client_host: "/h",
        subscribed_topic_names: vec!["a", "b"],
        subscribed_topic_regex: Some("a.*"),
        rebalance_timeout: 60_000,
        server_assignor: Some("uniform"),
        classic: None,
    };
    let start = "00000269000263032f68030261026204612e2a0000ea6008756e69666f726d";
    let member = |value| GroupRecord::Member { group: "g", member: "c-1", value: Some(value) };
    both_ways(member(value.clone()), &format!("{start}00"));
    value.classic = Some(ClassicMember { session_timeout: 10_000, supported_protocols: vec![("range", &[1, 2])] });
    both_ways(member(value), &format!("{start}0100110100002710020672616e67650301020000"));
}

#[test]
fn assignments_of_the_consumer_protocol() {
    let partitions = |partitions: &[i32], epochs: &[i32]| TopicPartitions {
        topic_id: TOPIC,
        partitions: partitions.to_vec(),
        assignment_epochs: epochs.to_vec(),
    };
    both_ways(
        GroupRecord::TargetMember { group: "g", member: "c-1", value: Some(vec![partitions(&[0, 2], &[])]) },
        "0000020102030405060708090a0b0c0d0e0f100300000000000000020000",
    );
    let value = CurrentValue {
        member_epoch: 7,
        previous_member_epoch: 6,
        state: 1,
        assigned_partitions: vec![partitions(&[0, 2], &[5, 6])],
        partitions_pending_revocation: vec![partitions(&[1], &[])],
    };
    both_ways(
        GroupRecord::CurrentAssignment { group: "g", member: "c-1", value: Some(value) },
        "0000000000070000000601020102030405060708090a0b0c0d0e0f1003000000000000000201000903000000050000000602010203040506\
         0708090a0b0c0d0e0f1002000000010000",
    );
}
