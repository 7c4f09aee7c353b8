//! Fuzz target: arbitrary and damaged records of `__consumer_offsets` never panic, take memory in proportion to their
//! length, and what is read can be written and read again the same.

use torc_base::ids::TopicId;
use torc_net::kafka::group_records::{
    ClassicMember, CurrentValue, GroupMember, GroupRecord, GroupValue, MemberValue, OffsetValue, TopicPartitions,
    decode,
};

/// Bytes allocated for one byte of a value, at most: the name of a topic takes 1 there and 16 in a list of texts.
const GROWTH_MAX: usize = 16;
const BASE: usize = 256;

/// Keys of all kinds; each begins with its number.
fn key(kind: i16) -> Vec<u8> {
    let mut key = kind.to_be_bytes().to_vec();
    key.extend_from_slice(b"\0\x01g");
    match kind {
        0 | 1 => key.extend_from_slice(b"\0\x01t\0\0\0\x02"),
        5 | 7 | 8 | 16 => key.extend_from_slice(b"\0\x01m"),
        _ => {}
    }
    key
}

fn values() -> Vec<(i16, Vec<u8>)> {
    let topic = TopicPartitions { topic_id: TopicId(7), partitions: vec![1, 2], assignment_epochs: vec![3, 4] };
    let member = GroupMember {
        member_id: "m",
        group_instance_id: None,
        client_id: "c",
        client_host: "h",
        rebalance_timeout: 1,
        session_timeout: 2,
        subscription: &[1],
        assignment: &[2],
    };
    let group = GroupValue {
        protocol_type: "consumer",
        generation: 1,
        protocol: Some("range"),
        leader: None,
        current_state_timestamp: 5,
        members: vec![member],
    };
    let offset = OffsetValue {
        offset: 1,
        leader_epoch: 2,
        metadata: "m",
        commit_timestamp: 3,
        expire_timestamp: -1,
        topic_id: TopicId(9),
    };
    let consumer = MemberValue {
        instance_id: None,
        rack_id: Some("r"),
        client_id: "c",
        client_host: "h",
        subscribed_topic_names: vec!["t"],
        subscribed_topic_regex: None,
        rebalance_timeout: 7,
        server_assignor: None,
        classic: Some(ClassicMember { session_timeout: 3, supported_protocols: vec![("range", &[1])] }),
    };
    let current = CurrentValue {
        member_epoch: 1,
        previous_member_epoch: 0,
        state: 0,
        assigned_partitions: vec![topic],
        partitions_pending_revocation: Vec::new(),
    };
    let records = [
        GroupRecord::Offset { group: "g", topic: "t", partition: 2, value: Some(offset) },
        GroupRecord::Group { group: "g", value: Some(group) },
        GroupRecord::Member { group: "g", member: "m", value: Some(consumer) },
        GroupRecord::CurrentAssignment { group: "g", member: "m", value: Some(current) },
    ];
    let bytes = |record: &GroupRecord<'_>| {
        let mut value = Vec::new();
        assert!(record.encode_value(&mut value));
        (record.kind(), value)
    };
    records.iter().map(bytes).collect()
}

#[test]
fn hostile_records_do_no_harm() {
    let valid = values();
    bolero::check!().with_iterations(20_000).for_each(|input: &[u8]| {
        check(input, input);
        let pick = usize::from(input.first().copied().unwrap_or(0));
        check(&key([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16][pick % 11]), input);
        let (kind, value) = &valid[pick % valid.len()];
        let mut value = value.clone();
        for change in input.chunks_exact(3).take(4) {
            let at = usize::from(change[0]) % value.len().max(1);
            match change[1] % 4 {
                0 if at < value.len() => value[at] = change[2],
                1 => value.truncate(at),
                2 => value.insert(at, change[2]),
                _ => value.extend_from_slice(change),
            }
        }
        check(&key(*kind), &value);
    });
}

fn check(key: &[u8], value: &[u8]) {
    let mut decoded = None;
    let peak = allocation_counter::measure(|| decoded = Some(decode(key, Some(value)))).bytes_max as usize;
    let decoded = decoded.expect("has run");
    assert!(peak <= GROWTH_MAX * value.len() + BASE, "{peak} bytes for a record of {}: {value:?}", value.len());
    let Ok(record) = decoded else { return };
    if matches!(record, GroupRecord::Unknown { .. }) {
        return;
    }
    let (mut key, mut value) = (Vec::new(), Vec::new());
    record.encode_key(&mut key);
    assert!(record.encode_value(&mut value), "it has a value");
    let again = decode(&key, Some(&value)).expect("just written");
    match (&record, &again) {
        // What expires by itself is written in a version that has no epoch and no topic.
        (GroupRecord::Offset { value: Some(first), .. }, GroupRecord::Offset { value: Some(second), .. }) => {
            assert_eq!((first.offset, first.metadata), (second.offset, second.metadata));
            assert_eq!(first.expire_timestamp.max(-1), second.expire_timestamp);
        }
        _ => assert_eq!(record, again),
    }
}
