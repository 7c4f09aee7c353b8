use crate::wire::{Answer, Nonsense, PRODUCE_VERSIONS, ProduceFrame, Produced};
use torc_base::buf::Pool;
use torc_net::kafka::records::{BuildOptions, Record, build};
use torc_net::kafka::{Request, decode};

fn batch() -> Vec<u8> {
    build(&[Record { value: Some(b"hello"), ..Record::default() }], &BuildOptions::default())
}

#[test]
fn a_server_reads_what_was_addressed() {
    for version in PRODUCE_VERSIONS.0..=PRODUCE_VERSIONS.1 {
        let frame = ProduceFrame::new(version, "topic", -1, 1000, &batch());
        let mut bytes = frame.bytes.clone();
        frame.address(&mut bytes, 42, 7);
        assert_eq!(bytes[frame.batch_at..], batch());
        let mut buf = Pool::new(1 << 20, 0).take(bytes.len() - 4).unwrap();
        buf.copy_from_slice(&bytes[4..]);
        assert_eq!(u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len() - 4);
        let (header, request) = decode(buf).unwrap();
        assert_eq!((header.version, header.correlation), (version, 42));
        let Request::Produce(request) = request else { panic!("{request:?}") };
        assert_eq!((request.acks, request.timeout_ms), (-1, 1000));
        let topic = &request.topics[0];
        assert_eq!(topic.partitions[0].index, 7);
        assert_eq!(topic.partitions[0].records.as_deref(), Some(&batch()[..]));
    }
}

/// The beginning of an answer to Produce version 8.
fn answer(code: i16, base_offset: i64) -> Vec<u8> {
    let mut bytes = 5i32.to_be_bytes().to_vec();
    bytes.extend(1i32.to_be_bytes());
    bytes.extend([0, 3]);
    bytes.extend(b"abc");
    bytes.extend(1i32.to_be_bytes());
    bytes.extend(9i32.to_be_bytes());
    bytes.extend(code.to_be_bytes());
    bytes.extend(base_offset.to_be_bytes());
    bytes.extend([0xff; 16]);
    bytes
}

#[test]
fn answers_are_read_and_cut_ones_refused() {
    let bytes = answer(6, 1234);
    let (correlation, body) = Answer::open(&bytes).unwrap();
    assert_eq!(correlation, 5);
    assert_eq!(body.produced(), Ok(Produced { code: 6, base_offset: 1234 }));
    for end in 0..bytes.len() - 16 {
        let cut = Answer::open(&bytes[..end]).and_then(|(_, body)| body.produced());
        assert_eq!(cut, Err(Nonsense("it ends too early")), "{end}");
    }
}

#[test]
fn a_server_reads_what_a_fetch_asks() {
    use crate::wire::{FETCH_VERSIONS, FetchSize, put_fetch};
    let size = FetchSize { wait_ms: 500, bytes_min: 1, bytes_max: 1 << 20 };
    for version in FETCH_VERSIONS.0..=FETCH_VERSIONS.1 {
        let mut bytes = vec![0xee; 3];
        put_fetch(&mut bytes, version, 42, "topic", size, (7, 1234));
        let frame = &bytes[3..];
        assert_eq!(u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, frame.len() - 4);
        let mut buf = Pool::new(1 << 20, 0).take(frame.len() - 4).unwrap();
        buf.copy_from_slice(&frame[4..]);
        let (header, request) = decode(buf).unwrap();
        assert_eq!((header.version, header.correlation), (version, 42));
        let Request::Fetch(request) = request else { panic!("{request:?}") };
        assert_eq!((request.max_wait_ms, request.min_bytes, request.max_bytes), (500, 1, 1 << 20));
        let topic = &request.topics[0];
        assert_eq!(topic.name, "topic");
        let partition = &topic.partitions[0];
        assert_eq!((partition.index, partition.fetch_offset, partition.max_bytes), (7, 1234, 1 << 20));
    }
}
