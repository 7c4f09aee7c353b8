use super::*;

/// ApiVersions of version 3, as kcat sends it first.
const API_VERSIONS: &[u8] = b"\0\x12\0\x03\0\0\0\x01\0\x07rdkafka\0\x0blibrdkafka\x062.2.0\0";

fn connect(version: u32) -> Vec<u8> {
    let mut frame = version.to_be_bytes().to_vec();
    frame.extend_from_slice(&[0; 20]);
    frame.extend_from_slice(&[0, 0, 0, 16]);
    frame.extend_from_slice(&[0; 17]);
    frame
}

#[test]
fn kafka_and_zookeeper_are_not_taken_for_each_other() {
    assert!(is_kafka_request(API_VERSIONS) && !is_zookeeper_connect(API_VERSIONS));
    assert!(is_zookeeper_connect(&connect(0)) && is_zookeeper_connect(&connect(0)[..44]));
    // Version 0 of both is Produce of version 0, and the length of the client's name is 0 bytes of the last zxid.
    assert!(!is_zookeeper_connect(&connect(1)));
}

#[test]
fn what_is_no_request_is_not_taken_for_one() {
    for frame in
        [&b""[..], &API_VERSIONS[..9], &[0xff; 40], &[0, 0x12, 0, 99, 0, 0, 0, 1, 0, 0], b"some text that is none"]
    {
        assert!(!is_kafka_request(frame), "{frame:?}");
    }
    let mut long_name = API_VERSIONS.to_vec();
    long_name[8] = 0x7f;
    assert!(!is_kafka_request(&long_name));
    let mut no_name = API_VERSIONS[..8].to_vec();
    no_name.extend_from_slice(&[0xff, 0xff]);
    assert!(is_kafka_request(&no_name));
}
