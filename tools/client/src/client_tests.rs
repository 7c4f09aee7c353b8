//! The client against a broker of a few lines: each test says what the broker answers.

use crate::client::{Client, ClientError, error_name};
use bytes::BytesMut;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsResponse, MetadataRequest, MetadataResponse, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

/// A request as the broker sees it.
struct Asked {
    key: i16,
    version: i16,
    correlation: i32,
}

/// Serves one connection; `answer` makes the whole frame of each answer. Empty: hang up.
fn broker(mut answer: impl FnMut(Asked) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 4];
        while stream.read_exact(&mut length).is_ok() {
            let mut frame = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut frame).unwrap();
            let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
            let correlation = i32::from_be_bytes(frame[4..8].try_into().unwrap());
            let reply = answer(Asked { key: number(0), version: number(2), correlation });
            if reply.is_empty() {
                return;
            }
            stream.write_all(&reply).unwrap();
        }
    });
    address
}

/// A whole answer, as it is sent.
pub fn framed<R: Encodable + HeaderVersion>(correlation: i32, response: &R, version: i16) -> Vec<u8> {
    let mut body = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(correlation);
    header.encode(&mut body, R::header_version(version)).unwrap();
    response.encode(&mut body, version).unwrap();
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame
}

/// An answer that says that ApiVersions and Metadata are known in these versions.
fn knows(error: i16, metadata: (i16, i16)) -> ApiVersionsResponse {
    let api = |key, (min, max)| ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max);
    ApiVersionsResponse::default().with_error_code(error).with_api_keys(vec![api(18, (0, 2)), api(3, metadata)])
}

fn refused(address: &str) -> ClientError {
    match Client::connect(address) {
        Ok(_) => panic!("{address} was taken for a broker"),
        Err(error) => error,
    }
}

#[test]
fn the_highest_common_version_is_spoken() {
    let address = broker(|asked| match asked.key {
        18 => framed(asked.correlation, &knows(0, (0, 99)), asked.version),
        // Tells by the controller's id which version it was asked in.
        _ => {
            let answer = MetadataResponse::default().with_controller_id(i32::from(asked.version).into());
            framed(asked.correlation, &answer, asked.version)
        }
    });
    let mut client = Client::connect(&address).unwrap();
    assert_eq!(client.version::<MetadataRequest>().unwrap(), 13);
    let answer = client.call(&MetadataRequest::default()).unwrap();
    assert_eq!(answer.controller_id.0, 13);
}

#[test]
fn an_older_broker_is_asked_again_in_version_0() {
    let address = broker(|asked| match asked.version {
        0 => framed(asked.correlation, &knows(0, (0, 5)), 0),
        // As Kafka before 2.4 answers: error 35 in the layout of version 0, without what it knows.
        _ => framed(asked.correlation, &ApiVersionsResponse::default().with_error_code(35), 0),
    });
    let client = Client::connect(&address).unwrap();
    assert_eq!(client.version::<MetadataRequest>().unwrap(), 5);
}

#[test]
fn no_common_version_is_said_so() {
    let address = broker(|asked| framed(asked.correlation, &knows(0, (90, 99)), asked.version));
    let client = Client::connect(&address).unwrap();
    let text = client.version::<MetadataRequest>().unwrap_err().to_string();
    assert!(text.contains("Metadata versions 90..99"), "{text}");
}

#[test]
fn what_is_no_kafka_is_told_from_a_broken_connection() {
    let http = broker(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    assert!(matches!(refused(&http), ClientError::Protocol { .. }));

    let wrong_correlation = broker(|asked| framed(asked.correlation + 1, &knows(0, (0, 5)), asked.version));
    assert!(refused(&wrong_correlation).to_string().contains("correlation id 2 instead of 1"));

    let cut = broker(|asked| {
        let mut frame = framed(asked.correlation, &knows(0, (0, 5)), asked.version);
        let length = frame.len() as u32 - 5;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        frame.truncate(length as usize + 4);
        frame
    });
    assert!(matches!(refused(&cut), ClientError::Protocol { .. }));

    let hangs_up = broker(|_| Vec::new());
    assert!(refused(&hangs_up).to_string().contains("closed the connection"));
}

#[test]
fn an_answer_that_ends_early_is_a_lost_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // A promise of 100 bytes, and 10 of them. The request is read, so that the close does not reset.
        stream.write_all(&[0, 0, 0, 100, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = refused(&address);
    assert!(matches!(error, ClientError::Lost { .. }), "{error}");
}

#[test]
fn the_first_address_that_answers_is_taken() {
    let address = broker(|asked| framed(asked.correlation, &knows(0, (0, 5)), asked.version));
    Client::connect(&format!("nowhere, {address}")).unwrap();
    assert!(refused("nowhere").to_string().contains("host:port"));
}

#[test]
fn errors_have_kafkas_names() {
    assert_eq!(error_name(0), "NONE");
    assert_eq!(error_name(3), "UNKNOWN_TOPIC_OR_PARTITION");
    assert_eq!(error_name(17), "INVALID_TOPIC_EXCEPTION");
    assert_eq!(error_name(36), "TOPIC_ALREADY_EXISTS");
    assert_eq!(error_name(-1), "UNKNOWN_SERVER_ERROR");
    assert_eq!(error_name(999), "error 999");
}
