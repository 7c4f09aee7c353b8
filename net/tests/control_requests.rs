//! Every request but Produce and Fetch, at every version: what the schema crate encodes is accepted, to the last byte,
//! and decodes to the same; what is cut or lies about its lengths is refused.

mod samples;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{JoinGroupRequest, SyncGroupRequest};
use samples::{Sampler, Tags, any_frame_of, buf, encode_control, frame, schema_version};
use torc_base::prng::Prng;
use torc_net::kafka::{Bad, CONTROL_BYTES_MAX, Request, WINDOWS, api, decode};

fn control_versions() -> impl Iterator<Item = (i16, i16)> {
    let control = WINDOWS.iter().filter(|w| w.api != api::PRODUCE && w.api != api::FETCH);
    control.flat_map(|w| (w.min..=w.max).map(|version| (w.api, version)))
}

#[test]
fn the_schema_crates_requests_are_decoded_as_they_were_at_every_version() {
    let mut prng = Prng::new(1);
    for (api, version) in control_versions() {
        for round in 0..200 {
            let mut sampler = Sampler { prng: &mut prng, api, version };
            let request = sampler.control();
            let (client, tags, correlation) = (sampler.maybe(Sampler::text), sampler.tags(), sampler.i32());
            let body = encode_control(&request, schema_version(api, version));
            let bytes = frame(api, version, correlation, client.as_deref(), &body, tags);
            let (header, decoded) = decode(buf(&bytes))
                .unwrap_or_else(|bad| panic!("API {api} version {version} round {round}: {bad}\n{request:?}"));
            assert_eq!((header.api, header.version, header.correlation), (api, version, correlation));
            assert_eq!(header.client_id.as_deref(), client.as_deref());
            assert_eq!(format!("{decoded:?}"), format!("{request:?}"));
        }
    }
}

#[test]
fn a_request_that_ends_early_is_refused_at_every_version() {
    let mut prng = Prng::new(2);
    for window in WINDOWS {
        for version in window.min..=window.max {
            let bytes = any_frame_of(window.api, version, &mut prng);
            for cut in 0..bytes.len() {
                let refused = decode(buf(&bytes[..cut])).expect_err("a part of a request is no request");
                assert!(matches!(refused, Bad::Malformed { .. }), "{refused}");
            }
        }
    }
}

/// Some clients leave room for a field that they encode shorter. Kafka's own decoder never looks behind the last field.
#[test]
fn bytes_behind_the_last_field_change_nothing_at_any_version() {
    let mut prng = Prng::new(3);
    for window in WINDOWS {
        for version in window.min..=window.max {
            for round in 0..20 {
                let bytes = any_frame_of(window.api, version, &mut prng);
                let mut longer = bytes.clone();
                let tail = [1, 3, 4, 17, 5_000][round % 5];
                longer.extend((0..tail).map(|_| if round < 5 { 0 } else { prng.next_u64() as u8 }));
                let (header, request) = decode(buf(&bytes)).expect("a sound request");
                let (header_of_longer, longer) = decode(buf(&longer))
                    .unwrap_or_else(|bad| panic!("API {} version {version}, {tail} bytes more: {bad}", window.api));
                assert_eq!(header_of_longer, header);
                assert_eq!(format!("{longer:?}"), format!("{request:?}"), "API {} version {version}", window.api);
            }
        }
    }
}

/// A Metadata request of version 0, whose body is one array of names.
fn metadata_0(body: &[u8]) -> Vec<u8> {
    frame(api::METADATA, 0, 7, Some("c"), body, Tags::new())
}

fn refusal(bytes: &[u8]) -> &'static str {
    match decode(buf(bytes)) {
        Err(Bad::Malformed { what, .. }) => what,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn counts_that_cannot_be_true_are_refused_before_memory_is_reserved() {
    let room = "an array has more elements than the request has room for";
    assert_eq!(refusal(&metadata_0(&i32::MAX.to_be_bytes())), room);
    assert_eq!(refusal(&metadata_0(&[0, 0, 0, 2, 0, 1, b'a'])), room);
    assert_eq!(refusal(&metadata_0(&(-2i32).to_be_bytes())), "a length is negative");
    assert_eq!(refusal(&metadata_0(&(-1i32).to_be_bytes())), "a field is null that may not be");
    let compact = |body: &[u8]| frame(api::METADATA, 9, 7, Some("c"), body, Tags::new());
    assert_eq!(refusal(&compact(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0])), room);
    assert_eq!(refusal(&compact(&[0xff, 0xff, 0xff, 0xff, 0x10, 0, 0, 0, 0])), "a varint is longer than 32 bits");
    // No topics, three flags, then tagged fields without end.
    let tags = "more tagged fields than the request has room for";
    assert_eq!(refusal(&compact(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f])), tags);
    assert_eq!(refusal(&compact(&[1, 0, 0, 0, 1, 5, 3, 0])), "the request ends before its fields do");
    let produce = |body: &[u8]| frame(api::PRODUCE, 3, 7, None, body, Tags::new());
    assert_eq!(refusal(&produce(&[0xff, 0xff, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff])), room);
}

/// Kafka takes them, with something else in the place of what is not UTF-8: clients put what they like into their metadata.
#[test]
fn bytes_that_are_not_utf_8_are_replaced_one_by_one() {
    let body = [0, 0, 0, 2, 0, 4, b'a', 0xff, 0xfe, b'b', 0, 3, 0xe2, 0x82, b'c'];
    let (_, request) = decode(buf(&metadata_0(&body))).unwrap();
    let Request::Metadata(request) = request else { panic!("{request:?}") };
    let names: Vec<String> = request.topics.unwrap().iter().map(|t| t.name.as_ref().unwrap().to_string()).collect();
    assert_eq!(names, ["a??b", "??c"]);
    // Those that are read by hand, too: OffsetCommit of version 10, Produce, Fetch.
    let mut commit = vec![4, b'g', 0xff, b'r', 0, 0, 0, 0, 1, 0, 2];
    commit.extend_from_slice(&[7; 16]);
    commit.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 3, 0xfc, b'x', 0, 0, 0]);
    let bytes = frame(api::OFFSET_COMMIT, 10, 7, None, &commit, Tags::new());
    let (_, request) = decode(buf(&bytes)).unwrap();
    let Request::OffsetCommitById(commit) = request else { panic!("{request:?}") };
    assert_eq!(commit.group.as_str(), "g?r");
    assert_eq!(commit.topics[0].partitions[0].metadata.as_deref(), Some("?x"));
}

#[test]
fn strings_that_cannot_be_are_refused() {
    assert_eq!(refusal(&metadata_0(&[0, 0, 0, 1, 0xff, 0xff])), "a field is null that may not be");
    assert_eq!(refusal(&metadata_0(&[0, 0, 0, 1, 0xff, 0xfe])), "a length is negative");
    let mut body = vec![2, 0x81, 0x80, 0x02]; // one topic with a name of 32768 bytes
    body.resize(40_000, b'a');
    let long = frame(api::METADATA, 9, 7, None, &body, Tags::new());
    assert_eq!(refusal(&long), "a string is longer than 32767 bytes");
}

#[test]
fn a_client_may_call_itself_what_it_likes() {
    let mut bytes = metadata_0(&[0, 0, 0, 0]);
    let at = bytes.iter().position(|byte| *byte == b'c').expect("the client's name");
    bytes[at] = 0xe4;
    let (header, _) = decode(buf(&bytes)).expect("Latin-1 is no reason to refuse a client");
    assert_eq!(header.client_id.as_deref(), Some("\u{fffd}"));
}

#[test]
fn a_request_may_have_only_so_many_elements_and_bytes() {
    let names = |n: i32| {
        let mut body = n.to_be_bytes().to_vec();
        body.resize(4 + 2 * n as usize, 0);
        metadata_0(&body)
    };
    match decode(buf(&names(400_000))) {
        Ok((_, Request::Metadata(metadata))) => assert_eq!(metadata.topics.map(|topics| topics.len()), Some(400_000)),
        other => panic!("as many as allowed: {other:?}"),
    }
    assert_eq!(refusal(&names(400_001)), "the request has too many elements");
    assert_eq!(refusal(&metadata_0(&vec![0; CONTROL_BYTES_MAX])), "the request is larger than 16 MiB");
}

/// What members tell each other is none of the request's elements, however long it is.
#[test]
fn members_may_tell_each_other_much_at_every_version() {
    let much = Bytes::from(vec![1; 3 << 20]);
    let protocol = JoinGroupRequestProtocol::default().with_metadata(much.clone());
    let join = Request::JoinGroup(JoinGroupRequest::default().with_protocols(vec![protocol; 2]));
    let assignment = SyncGroupRequestAssignment::default().with_assignment(much);
    let sync = Request::SyncGroup(SyncGroupRequest::default().with_assignments(vec![assignment; 2]));
    for (api, version) in control_versions() {
        let request = match api {
            api::JOIN_GROUP => &join,
            api::SYNC_GROUP => &sync,
            _ => continue,
        };
        let body = encode_control(request, schema_version(api, version));
        let (_, decoded) = decode(buf(&frame(api, version, 1, None, &body, Tags::new())))
            .unwrap_or_else(|bad| panic!("API {api} version {version}: {bad}"));
        let told = match decoded {
            Request::JoinGroup(join) => join.protocols.into_iter().map(|one| one.metadata).collect::<Vec<_>>(),
            Request::SyncGroup(sync) => sync.assignments.into_iter().map(|one| one.assignment).collect(),
            other => panic!("{other:?}"),
        };
        assert!(told.len() == 2 && told.iter().all(|one| one.len() == 3 << 20), "API {api} version {version}");
    }
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    let head = |api: i16, version: i16| {
        let mut bytes = api.to_be_bytes().to_vec();
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 9, 0xff, 0xff]);
        decode(buf(&bytes)).expect_err("not served")
    };
    for version in 0..3 {
        assert_eq!(head(api::PRODUCE, version), Bad::Unsupported { api: api::PRODUCE, version });
    }
    assert_eq!(head(api::FETCH, 19), Bad::Unsupported { api: api::FETCH, version: 19 });
    assert_eq!(head(api::FETCH, -1), Bad::Unsupported { api: api::FETCH, version: -1 });
    assert_eq!(head(4, 0), Bad::Unsupported { api: 4, version: 0 });
    assert_eq!(head(-5, 0), Bad::Unsupported { api: -5, version: 0 });
    assert_eq!(head(api::API_VERSIONS, 77), Bad::ApiVersionsUnknown { correlation: 9, version: 77 });
    let short = decode(buf(&[0, 18, 0])).expect_err("too short");
    assert!(matches!(short, Bad::Malformed { api: -1, version: -1, .. }), "{short}");
}

#[test]
fn windows_are_in_order_and_reach_every_clients_ceiling() {
    assert!(WINDOWS.is_sorted_by(|a, b| a.api < b.api));
    // Highest version asked for by librdkafka 2.15, sarama 1.50, aiokafka 0.14.
    let ceilings = [
        (api::PRODUCE, 10),
        (api::FETCH, 16),
        (api::LIST_OFFSETS, 7),
        (api::METADATA, 13),
        (api::CREATE_TOPICS, 7),
        (api::DELETE_TOPICS, 6),
        (api::CREATE_PARTITIONS, 3),
        (api::DELETE_RECORDS, 2),
        (api::INIT_PRODUCER_ID, 4),
        (api::OFFSET_FOR_LEADER_EPOCH, 2),
        (api::DESCRIBE_CONFIGS, 4),
        (api::ALTER_CONFIGS, 2),
        (api::INCREMENTAL_ALTER_CONFIGS, 1),
        (api::API_VERSIONS, 4),
        (api::OFFSET_COMMIT, 10),
        (api::OFFSET_FETCH, 10),
        (api::FIND_COORDINATOR, 4),
        (api::JOIN_GROUP, 7),
        (api::HEARTBEAT, 4),
        (api::LEAVE_GROUP, 5),
        (api::SYNC_GROUP, 5),
        (api::DESCRIBE_GROUPS, 5),
        (api::LIST_GROUPS, 5),
        (api::DELETE_GROUPS, 2),
        (api::OFFSET_DELETE, 0),
        (api::CONSUMER_GROUP_HEARTBEAT, 1),
        (api::CONSUMER_GROUP_DESCRIBE, 0),
        (api::LIST_CONFIG_RESOURCES, 1),
        (api::DESCRIBE_TOPIC_PARTITIONS, 0),
        (api::ELECT_LEADERS, 2),
        (api::ALTER_PARTITION_REASSIGNMENTS, 0),
        (api::LIST_PARTITION_REASSIGNMENTS, 0),
    ];
    for (api, ceiling) in ceilings {
        let window = WINDOWS.iter().find(|w| w.api == api).expect("served");
        assert!(window.max >= ceiling, "API {api}");
        assert!(window.min <= window.max && window.advertised_min <= window.min && window.schema_max <= window.max);
    }
}

/// The body of a request that Apache Kafka 4.4's own classes wrote, in a frame of version 10.
fn written_by_kafka(api: i16, hex: &str) -> Request {
    let body: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect();
    decode(buf(&frame(api, 10, 7, Some("c"), &body, Tags::new()))).expect("a request of Kafka's").1
}

#[test]
fn requests_by_topic_id_are_read_as_kafka_writes_them() {
    let id = torc_base::ids::TopicId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    let commit = "0467727000000007046d656d04696e73020102030405060708090a0b0c0d0e0f10030000000300000100000000000000\
                  0005056e6f746500000000040000000000000009ffffffff00000000";
    let Request::OffsetCommitById(commit) = written_by_kafka(api::OFFSET_COMMIT, commit) else { panic!("a commit") };
    assert_eq!((&*commit.group, commit.generation, &*commit.member), ("grp", 7, "mem"));
    assert_eq!((commit.instance.as_deref(), commit.topics.len(), commit.topics[0].id), (Some("ins"), 1, id));
    let partitions = commit.topics[0].partitions.iter();
    let partitions = partitions.map(|one| (one.index, one.offset, one.leader_epoch, one.metadata.as_deref()));
    assert_eq!(partitions.collect::<Vec<_>>(), [(3, 1 << 40, 5, Some("note")), (4, 9, -1, None)]);

    let fetch = "0304677270046d656d00000007020102030405060708090a0b0c0d0e0f10030000000300000004000004616c6c00ffff\
                 ffff00000100";
    let Request::OffsetFetchById(fetch) = written_by_kafka(api::OFFSET_FETCH, fetch) else { panic!("a fetch") };
    assert!(fetch.require_stable);
    let groups = fetch.groups.iter().map(|one| (&*one.group, one.member.as_deref(), one.epoch, one.topics.clone()));
    let groups: Vec<_> = groups.collect();
    assert_eq!(groups, [("grp", Some("mem"), 7, Some(vec![(id, vec![3, 4])])), ("all", None, -1, None)]);
}

#[test]
fn requests_by_topic_id_reserve_nothing_for_what_cannot_be_there() {
    let room = "an array has more elements than the request has room for";
    let by_id = |api, body: &[u8]| refusal(&frame(api, 10, 7, None, body, Tags::new()));
    let commit = |topics: &[u8]| by_id(api::OFFSET_COMMIT, &[&[2, b'g', 0, 0, 0, 0, 1, 0][..], topics].concat());
    assert_eq!(commit(&[0xff, 0xff, 0xff, 0xff, 0x0f]), room);
    assert_eq!(commit(&[0]), "an array is null that may not be");
    let one_topic = |partitions: &[u8]| commit(&[&[2][..], &[9; 16], partitions, &[0, 0]].concat());
    assert_eq!(one_topic(&[0xff, 0xff, 0xff, 0x7f]), room);
    assert_eq!(by_id(api::OFFSET_COMMIT, &[0, 0, 0, 0, 0, 1, 0, 1, 0]), "a string is null that may not be");
    let fetch = |groups: &[u8]| by_id(api::OFFSET_FETCH, groups);
    assert_eq!(fetch(&[0xff, 0xff, 0x7f, 0]), room);
    assert_eq!(fetch(&[&[2, 2, b'g', 0, 0, 0, 0, 0, 0xff, 0xff, 0x7f][..], &[0; 40]].concat()), room);
    assert_eq!(fetch(&[0]), "an array is null that may not be");
}
