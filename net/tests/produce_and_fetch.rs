//! Our Produce and Fetch against the schema crate's, at every version, both ways; and what copies nothing.

mod samples;

use bytes::Bytes;
use kafka_protocol::messages::{self as schema, FetchResponse, ProduceResponse, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};
use samples::{Sampler, Tags, buf, flexible, frame};
use torc_base::buf::Buf;
use torc_base::ids::TopicId;
use torc_base::prng::Prng;
use torc_net::kafka::fetch::{self, AbortedTransaction, Part, PartitionData, TopicData};
use torc_net::kafka::produce::{self, PartitionResponse, TopicResponse};
use torc_net::kafka::{CurrentLeader, Endpoint, Request, api, decode, topic_id, topic_uuid, window};

fn versions(api: i16) -> std::ops::RangeInclusive<i16> {
    let window = window(api).expect("served");
    window.min..=window.max
}

fn encoded(request: &impl Encodable, version: i16) -> Vec<u8> {
    let mut body = Vec::new();
    request.encode(&mut body, version).expect("a sample fits its version");
    body
}

#[test]
fn produce_requests_decode_as_the_schema_crate_encodes_them() {
    let mut prng = Prng::new(3);
    for version in versions(api::PRODUCE) {
        for _ in 0..300 {
            let mut sampler = Sampler { prng: &mut prng, api: api::PRODUCE, version };
            let expected = sampler.produce();
            let tags = sampler.tags();
            let bytes = frame(api::PRODUCE, version, 5, Some("p"), &encoded(&expected, version), tags);
            let Ok((_, Request::Produce(request))) = decode(buf(&bytes)) else { panic!("refused: {expected:?}") };
            assert_eq!(request.version, version);
            assert_eq!(request.transactional_id.as_deref(), expected.transactional_id.as_ref().map(|id| &***id));
            assert_eq!((request.acks, request.timeout_ms), (expected.acks, expected.timeout_ms));
            assert_eq!(request.topics.len(), expected.topic_data.len());
            for (topic, expected) in request.topics.iter().zip(&expected.topic_data) {
                assert_eq!(topic.name, expected.name.as_str());
                assert_eq!(topic.id, topic_id(expected.topic_id));
                assert_eq!(topic.partitions.len(), expected.partition_data.len());
                for (partition, expected) in topic.partitions.iter().zip(&expected.partition_data) {
                    assert_eq!(partition.index, expected.index);
                    assert_eq!(partition.records.as_deref(), expected.records.as_deref());
                }
            }
        }
    }
}

#[test]
fn records_of_a_produce_request_stay_where_they_were_received() {
    let mut prng = Prng::new(4);
    let mut sampler = Sampler { prng: &mut prng, api: api::PRODUCE, version: 9 };
    let mut seen = 0;
    for _ in 0..50 {
        let bytes = frame(api::PRODUCE, 9, 5, Some("p"), &encoded(&sampler.produce(), 9), Tags::new());
        let mut received = buf(&bytes);
        let memory = received.as_raw().0 as usize;
        let Ok((_, Request::Produce(request))) = decode(received) else { panic!("refused") };
        let partitions = request.topics.into_iter().flat_map(|topic| topic.partitions);
        for mut records in partitions.filter_map(|partition| partition.records) {
            let place = records.as_raw().0 as usize - memory;
            assert_eq!(&bytes[place..place + records.len()], &records[..]);
            seen += records.len();
        }
    }
    assert!(seen > 1000, "the samples have records");
}

#[test]
fn a_produce_request_byte_for_byte() {
    let version_3 = [
        0xff, 0xff, // no transactional id
        0xff, 0xff, // acks all
        0, 0, 0x75, 0x30, // 30 s
        0, 0, 0, 1, 0, 1, b't', // one topic
        0, 0, 0, 1, 0, 0, 0, 6, // partition 6
        0, 0, 0, 3, 1, 2, 3, // records
    ];
    let version_13 = [
        0, // no transactional id
        0xff, 0xff, 0, 0, 0x75, 0x30, // acks all, 30 s
        2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, // one topic
        2, 0, 0, 0, 6, // partition 6
        4, 1, 2, 3, 0, 0, 0, // records, and no tagged fields three times
    ];
    let cases = [
        (3, &version_3[..], "t", TopicId::ZERO),
        (13, &version_13[..], "", TopicId(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f)),
    ];
    for (version, body, name, id) in cases {
        let bytes = frame(api::PRODUCE, version, 77, Some("client"), body, Tags::new());
        let (header, request) = decode(buf(&bytes)).expect("sound");
        assert_eq!(header.correlation, 77);
        let Request::Produce(request) = request else { panic!("{request:?}") };
        assert_eq!((request.acks, request.timeout_ms, request.transactional_id), (-1, 30_000, None));
        let [topic] = &request.topics[..] else { panic!("one topic") };
        assert_eq!((topic.name.as_str(), topic.id), (name, id));
        let [partition] = &topic.partitions[..] else { panic!("one partition") };
        assert_eq!((partition.index, partition.records.as_deref()), (6, Some(&[1, 2, 3][..])));
    }
}

/// Takes the length and header off a response frame.
fn open_frame(frame: &[u8], api: i16, version: i16, correlation: i32) -> Bytes {
    let mut bytes = Bytes::copy_from_slice(frame);
    let length = bytes.split_to(4);
    assert_eq!(u32::from_be_bytes(length[..].try_into().expect("4 bytes")) as usize, bytes.len());
    let header_version = i16::from(flexible(api, version) && api != api::API_VERSIONS);
    let header = ResponseHeader::decode(&mut bytes, header_version).expect("a header");
    assert_eq!(header.correlation_id, correlation);
    bytes
}

#[test]
fn produce_responses_decode_by_the_schema_crate() {
    let mut prng = Prng::new(5);
    for version in versions(api::PRODUCE) {
        for _ in 0..100 {
            let mut s = Sampler { prng: &mut prng, api: api::PRODUCE, version };
            let response = produce::Response {
                throttle_ms: s.i32(),
                topics: s.list(|s| TopicResponse {
                    name: s.text().to_string(),
                    id: topic_id(s.uuid()),
                    partitions: s.list(|s| PartitionResponse {
                        index: s.i32(),
                        error: s.i16(),
                        base_offset: s.i64(),
                        log_append_time: s.i64(),
                        log_start_offset: s.i64(),
                        message: s.maybe(|s| s.text().to_string()),
                        leader: random_leader(s),
                    }),
                }),
                endpoints: random_endpoints(&mut s),
            };
            let mut out = b"before".to_vec();
            produce::encode(&response, version, 42, &mut out);
            assert_eq!(&out[..6], b"before");
            let mut bytes = open_frame(&out[6..], api::PRODUCE, version, 42);
            let decoded = ProduceResponse::decode(&mut bytes, version).expect("sound");
            assert!(bytes.is_empty());
            assert_eq!(produce_response_of(&decoded, &response, version), response);
        }
    }
}

/// `decoded` in our types; fields that `version` does not have are taken from `original`.
fn produce_response_of(decoded: &ProduceResponse, original: &produce::Response, version: i16) -> produce::Response {
    assert_eq!(decoded.responses.len(), original.topics.len());
    let topics = decoded.responses.iter().zip(&original.topics).map(|(topic, original)| {
        assert_eq!(topic.partition_responses.len(), original.partitions.len());
        let partitions = topic.partition_responses.iter().zip(&original.partitions).map(|(p, original)| {
            assert!(p.record_errors.is_empty());
            PartitionResponse {
                index: p.index,
                error: p.error_code,
                base_offset: p.base_offset,
                log_append_time: p.log_append_time_ms,
                log_start_offset: if version >= 5 { p.log_start_offset } else { original.log_start_offset },
                message: if version >= 8 {
                    p.error_message.as_ref().map(|text| text.to_string())
                } else {
                    original.message.clone()
                },
                leader: if version >= 10 {
                    leader_of(*p.current_leader.leader_id, p.current_leader.leader_epoch)
                } else {
                    original.leader
                },
            }
        });
        TopicResponse {
            name: if version <= 12 { topic.name.to_string() } else { original.name.clone() },
            id: if version >= 13 { topic_id(topic.topic_id) } else { original.id },
            partitions: partitions.collect(),
        }
    });
    let endpoints = decoded.node_endpoints.iter().map(|node| Endpoint {
        id: *node.node_id,
        host: node.host.to_string(),
        port: node.port as u16,
        rack: node.rack.as_ref().map(|rack| rack.to_string()),
    });
    produce::Response {
        topics: topics.collect(),
        throttle_ms: decoded.throttle_time_ms,
        endpoints: if version >= 10 { endpoints.collect() } else { original.endpoints.clone() },
    }
}

/// The leader that an answer names, as the schema crate has it.
fn leader_of(id: i32, epoch: i32) -> Option<CurrentLeader> {
    ((id, epoch) != (-1, -1)).then_some(CurrentLeader { id, epoch })
}

#[test]
fn fetch_requests_decode_as_the_schema_crate_encodes_them() {
    let mut prng = Prng::new(6);
    for version in versions(api::FETCH) {
        for _ in 0..300 {
            let mut sampler = Sampler { prng: &mut prng, api: api::FETCH, version };
            let sent = sampler.fetch();
            let tags = sampler.tags();
            let bytes = frame(api::FETCH, version, 5, None, &encoded(&sent, version), tags);
            let Ok((_, Request::Fetch(request))) = decode(buf(&bytes)) else { panic!("refused: {sent:?}") };
            let topics = sent.topics.iter().map(|topic| fetch::Topic {
                name: topic.topic.to_string(),
                id: topic_id(topic.topic_id),
                partitions: topic
                    .partitions
                    .iter()
                    .map(|p| fetch::Partition {
                        index: p.partition,
                        current_leader_epoch: p.current_leader_epoch,
                        fetch_offset: p.fetch_offset,
                        last_fetched_epoch: p.last_fetched_epoch,
                        log_start_offset: p.log_start_offset,
                        max_bytes: p.partition_max_bytes,
                    })
                    .collect(),
            });
            let forgotten = sent.forgotten_topics_data.iter().map(|topic| fetch::Forgotten {
                name: topic.topic.to_string(),
                id: topic_id(topic.topic_id),
                partitions: topic.partitions.clone(),
            });
            let expected = fetch::Request {
                version,
                replica_id: if version >= 15 { *sent.replica_state.replica_id } else { *sent.replica_id },
                replica_epoch: sent.replica_state.replica_epoch,
                max_wait_ms: sent.max_wait_ms,
                min_bytes: sent.min_bytes,
                max_bytes: sent.max_bytes,
                isolation_level: sent.isolation_level,
                session_id: sent.session_id,
                session_epoch: sent.session_epoch,
                topics: topics.collect(),
                forgotten: forgotten.collect(),
                rack_id: sent.rack_id.to_string(),
            };
            assert_eq!(request, expected);
        }
    }
}

/// What goes over the wire.
fn joined(scratch: &[u8], parts: &[Part]) -> Vec<u8> {
    let mut wire = Vec::new();
    for part in parts {
        match part {
            Part::Scratch(range) => wire.extend_from_slice(&scratch[range.clone()]),
            Part::Records(records) => wire.extend_from_slice(records),
        }
    }
    wire
}

fn random_leader(s: &mut Sampler) -> Option<CurrentLeader> {
    s.maybe(|s| CurrentLeader { id: s.i32(), epoch: s.i32() })
}

fn random_endpoints(s: &mut Sampler) -> Vec<Endpoint> {
    s.list(|s| Endpoint {
        id: s.i32(),
        host: s.text().to_string(),
        port: s.i16() as u16,
        rack: s.maybe(|s| s.text().to_string()),
    })
}

fn random_fetch_response(s: &mut Sampler) -> fetch::Response {
    fetch::Response {
        throttle_ms: s.i32(),
        error: s.since_7(Sampler::i16),
        session_id: s.since_7(Sampler::i32),
        topics: s.list(|s| TopicData {
            name: s.text().to_string(),
            id: topic_id(s.uuid()),
            partitions: s.list(|s| PartitionData {
                index: s.i32(),
                error: s.i16(),
                high_watermark: s.i64(),
                last_stable_offset: s.i64(),
                log_start_offset: s.i64(),
                preferred_read_replica: s.i32(),
                aborted: s.maybe(|s| s.list(|s| AbortedTransaction { producer_id: s.i64(), first_offset: s.i64() })),
                records: s.list(|s| Buf::copy_of(&s.bytes())),
                leader: random_leader(s),
            }),
        }),
        endpoints: random_endpoints(s),
    }
}

trait Since7 {
    fn since_7<T: Default>(&mut self, value: impl FnOnce(&mut Self) -> T) -> T;
}

impl Since7 for Sampler<'_> {
    fn since_7<T: Default>(&mut self, value: impl FnOnce(&mut Self) -> T) -> T {
        if self.version >= 7 { value(self) } else { T::default() }
    }
}

#[test]
fn fetch_responses_decode_by_the_schema_crate_and_copy_no_records() {
    let mut prng = Prng::new(7);
    for version in versions(api::FETCH) {
        for _ in 0..100 {
            let response = random_fetch_response(&mut Sampler { prng: &mut prng, api: api::FETCH, version });
            let sent: Vec<Buf> = response
                .topics
                .iter()
                .flat_map(|t| &t.partitions)
                .flat_map(|p| p.records.clone())
                .filter(|records| !records.is_empty())
                .collect();
            let (mut scratch, mut parts) = (b"before".to_vec(), Vec::new());
            let bytes = fetch::encode(response.clone(), version, 42, &mut scratch, &mut parts);
            let wire = joined(&scratch, &parts);
            assert_eq!(bytes, wire.len());
            let slices: Vec<_> = parts
                .iter()
                .filter_map(|part| match part {
                    Part::Records(records) => Some(records),
                    Part::Scratch(_) => None,
                })
                .collect();
            assert_eq!(slices.len(), sent.len());
            for (slice, sent) in slices.iter().zip(&sent) {
                assert_eq!(slice.as_ptr(), sent.as_ptr(), "records are not copied");
            }
            let mut body = open_frame(&wire, api::FETCH, version, 42);
            let decoded = FetchResponse::decode(&mut body, version).expect("sound");
            assert!(body.is_empty());
            compare_fetch(&decoded, &response, version);
        }
    }
}

fn compare_fetch(decoded: &FetchResponse, sent: &fetch::Response, version: i16) {
    assert_eq!(decoded.throttle_time_ms, sent.throttle_ms);
    assert_eq!((decoded.error_code, decoded.session_id), (sent.error, sent.session_id));
    assert_eq!(decoded.responses.len(), sent.topics.len());
    for (topic, sent) in decoded.responses.iter().zip(&sent.topics) {
        if version <= 12 {
            assert_eq!(topic.topic.as_str(), sent.name);
        } else {
            assert_eq!(topic.topic_id, topic_uuid(sent.id));
        }
        assert_eq!(topic.partitions.len(), sent.partitions.len());
        for (p, sent) in topic.partitions.iter().zip(&sent.partitions) {
            assert_eq!((p.partition_index, p.error_code), (sent.index, sent.error));
            assert_eq!((p.high_watermark, p.last_stable_offset), (sent.high_watermark, sent.last_stable_offset));
            assert_eq!(p.log_start_offset, if version >= 5 { sent.log_start_offset } else { -1 });
            assert_eq!(*p.preferred_read_replica, if version >= 11 { sent.preferred_read_replica } else { -1 });
            let aborted = p.aborted_transactions.as_ref().map(|aborted| {
                let plain = |a: &schema::fetch_response::AbortedTransaction| AbortedTransaction {
                    producer_id: *a.producer_id,
                    first_offset: a.first_offset,
                };
                aborted.iter().map(plain).collect::<Vec<_>>()
            });
            assert_eq!(aborted, sent.aborted);
            let records: Vec<u8> = sent.records.iter().flat_map(|records| records.to_vec()).collect();
            assert_eq!(p.records.as_deref(), Some(&records[..]));
            let leader = leader_of(*p.current_leader.leader_id, p.current_leader.leader_epoch);
            assert_eq!(leader, sent.leader.filter(|_| version >= 12));
        }
    }
    let endpoints: Vec<_> = decoded.node_endpoints.iter().map(|node| (*node.node_id, &*node.host, node.port)).collect();
    let sent = sent.endpoints.iter().filter(|_| version >= 16);
    let sent: Vec<_> = sent.map(|node| (node.id, node.host.as_str(), i32::from(node.port))).collect();
    assert_eq!(endpoints, sent);
}

#[test]
fn a_fetch_response_byte_for_byte() {
    let partition = PartitionData {
        high_watermark: 9,
        last_stable_offset: 9,
        log_start_offset: 0,
        records: vec![Buf::copy_of(&[0xaa, 0xbb]), Buf::copy_of(&[0xcc])],
        ..PartitionData::refused(3, 0)
    };
    let topics = vec![TopicData { name: "t".into(), id: TopicId(1), partitions: vec![partition] }];
    let response = fetch::Response { topics, session_id: 5, ..fetch::Response::default() };
    let (mut scratch, mut parts) = (Vec::new(), Vec::new());
    fetch::encode(response.clone(), 4, 6, &mut scratch, &mut parts);
    #[rustfmt::skip]
    let version_4 = [
        0, 0, 0, 52, 0, 0, 0, 6, // length, correlation
        0, 0, 0, 0, // throttle
        0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, // one topic, one partition
        0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9, // index, error, high watermark, stable
        0xff, 0xff, 0xff, 0xff, // no list of aborted transactions
        0, 0, 0, 3, 0xaa, 0xbb, 0xcc,
    ];
    assert_eq!(joined(&scratch, &parts), version_4);
    assert!(matches!(&parts[..], [Part::Scratch(_), Part::Records(_), Part::Records(_)]), "{parts:?}");

    let (mut scratch, mut parts) = (Vec::new(), Vec::new());
    fetch::encode(response, 13, 6, &mut scratch, &mut parts);
    #[rustfmt::skip]
    let version_13 = [
        0, 0, 0, 75, 0, 0, 0, 6, 0, // length, correlation, no tagged fields
        0, 0, 0, 0, 0, 0, 0, 0, 0, 5, // throttle, error, session
        2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, // one topic, one partition
        0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9, // index, error, high watermark, stable
        0, 0, 0, 0, 0, 0, 0, 0, // log start
        0, 0xff, 0xff, 0xff, 0xff, // no list of aborted transactions, no preferred replica
        4, 0xaa, 0xbb, 0xcc, 0, 0, 0, // records, and no tagged fields three times
    ];
    assert_eq!(joined(&scratch, &parts), version_13);
}
