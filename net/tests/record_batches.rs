//! Record batches: checked as Apache Kafka checks them, and exchanged with the schema crate's codecs.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as other;
use torc_base::crc::crc32c;
use torc_base::ids::{LeaderEpoch, Offset};
use torc_base::prng::Prng;
use torc_base::time::Wall;
use torc_net::kafka::error;
use torc_net::kafka::records::{
    self, Batch, BuildOptions, CRC_PREFIX, Codec, HEADER, Invalid, OwnedRecord, Record, Spares, Times, TimestampType,
    build, first_at_or_after, max_timestamp_offset, parse, place, read, stamp, verify,
};

const CODECS: [(Codec, other::Compression); 5] = [
    (Codec::None, other::Compression::None),
    (Codec::Gzip, other::Compression::Gzip),
    (Codec::Snappy, other::Compression::Snappy),
    (Codec::Lz4, other::Compression::Lz4),
    (Codec::Zstd, other::Compression::Zstd),
];

fn check(bytes: &mut [u8]) -> Result<Batch, Invalid> {
    records::check(bytes, Times::ALL, &mut Spares::default())
}

fn random_records(prng: &mut Prng) -> Vec<OwnedRecord> {
    let bytes = |prng: &mut Prng, most: u64| {
        let mut bytes = vec![b'a'; prng.below(most) as usize];
        if prng.chance(1, 2) {
            prng.fill(&mut bytes);
        }
        bytes
    };
    let maybe = |prng: &mut Prng, most| prng.chance(2, 3).then(|| bytes(prng, most));
    let most = if prng.chance(1, 10) { 100_000 } else { 200 };
    (0..prng.between(1, 40))
        .map(|offset| OwnedRecord {
            offset: offset as i64 - 1,
            timestamp: 1_700_000_000_000 + prng.below(100_000) as i64,
            key: maybe(prng, 40),
            value: maybe(prng, most),
            headers: (0..prng.below(3)).map(|n| (format!("h{n}").into_bytes(), maybe(prng, 90))).collect(),
        })
        .enumerate()
        .map(|(offset, record)| OwnedRecord { offset: offset as i64, ..record })
        .collect()
}

fn build_from(records: &[OwnedRecord], options: &BuildOptions) -> Vec<u8> {
    let headers: Vec<Vec<_>> = records
        .iter()
        .map(|record| record.headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect())
        .collect();
    let records: Vec<_> = records
        .iter()
        .zip(&headers)
        .map(|(record, headers)| Record {
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers,
        })
        .collect();
    build(&records, options)
}

/// A batch of three records with timestamps 1000, 3000, 2000.
fn three(codec: Codec) -> Vec<u8> {
    let record = |timestamp| Record { timestamp, key: Some(b"k"), value: Some(b"v"), headers: &[(b"h", None)] };
    build(&[record(1000), record(3000), record(2000)], &BuildOptions { codec, ..BuildOptions::default() })
}

/// Stores the right CRC after a change.
fn seal(bytes: &mut [u8]) {
    let crc = crc32c(&bytes[CRC_PREFIX..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
}

#[test]
fn the_schema_crate_reads_what_we_build() {
    let mut prng = Prng::new(8);
    for (codec, _) in CODECS {
        for _ in 0..20 {
            let records = random_records(&mut prng);
            let options =
                BuildOptions { codec, producer_id: 7, producer_epoch: 1, base_sequence: 3, ..Default::default() };
            let mut bytes = build_from(&records, &options);
            let batch = check(&mut bytes).expect("our own batch is sound");
            assert_eq!((batch.codec(), batch.records as usize, batch.length), (Ok(codec), records.len(), bytes.len()));
            let mut encoded = Bytes::from(bytes.clone());
            let set = other::RecordBatchDecoder::decode(&mut encoded).expect("sound");
            assert_eq!(set.records.len(), records.len());
            for (theirs, ours) in set.records.iter().zip(&records) {
                assert_eq!((theirs.offset, theirs.timestamp), (ours.offset, ours.timestamp));
                assert_eq!(
                    (theirs.key.as_deref(), theirs.value.as_deref()),
                    (ours.key.as_deref(), ours.value.as_deref())
                );
                let headers: Vec<_> = theirs
                    .headers
                    .iter()
                    .map(|(key, value)| (key.as_bytes().to_vec(), value.as_ref().map(|v| v.to_vec())))
                    .collect();
                assert_eq!(headers, ours.headers);
                assert_eq!((theirs.producer_id, theirs.producer_epoch), (7, 1));
            }
            assert_eq!(read(&bytes).expect("sound"), records);
        }
    }
}

#[test]
fn we_read_what_the_schema_crate_builds() {
    let mut prng = Prng::new(9);
    for (codec, compression) in CODECS {
        for _ in 0..20 {
            let records = random_records(&mut prng);
            let theirs: Vec<_> = records.iter().map(their_record).collect();
            let mut bytes = BytesMut::new();
            let options = other::RecordEncodeOptions { version: 2, compression };
            other::RecordBatchEncoder::encode(&mut bytes, &theirs, &options).expect("sound");
            let mut bytes = bytes.to_vec();
            let batch = check(&mut bytes).expect("sound");
            assert_eq!(batch.codec(), Ok(codec));
            assert_eq!(read(&bytes).expect("sound"), records);
        }
    }
}

fn their_record(record: &OwnedRecord) -> other::Record {
    let text = |key: &Vec<u8>| StrBytes::from_string(String::from_utf8(key.clone()).expect("ASCII"));
    other::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: other::TimestampType::Creation,
        offset: record.offset,
        sequence: record.offset as i32 - 1,
        timestamp: record.timestamp,
        key: record.key.clone().map(Bytes::from),
        value: record.value.clone().map(Bytes::from),
        headers: record.headers.iter().map(|(k, v)| (text(k), v.clone().map(Bytes::from))).collect(),
    }
}

#[test]
fn a_batch_byte_for_byte() {
    let record = Record { timestamp: 1000, key: Some(b"k"), value: None, headers: &[(b"h", Some(b"v"))] };
    let bytes = build(&[record], &BuildOptions::default());
    #[rustfmt::skip]
    let expected_tail = [
        0, 0, // attributes
        0, 0, 0, 0, // last offset delta
        0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 0, 0, 0, 0, 0, 3, 0xe8, // base and max timestamp
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // no producer
        0, 0, 0, 1, // one record
        22, 0, 0, 0, 2, b'k', 1, 2, 2, b'h', 2, b'v',
    ];
    assert_eq!(bytes[..CRC_PREFIX - 4], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 61, 0xff, 0xff, 0xff, 0xff, 2]);
    assert_eq!(bytes[CRC_PREFIX..], expected_tail);
    assert_eq!(bytes[17..21], crc32c(&expected_tail).to_be_bytes());
}

#[test]
fn every_flipped_bit_is_noticed() {
    for codec in [Codec::None, Codec::Lz4] {
        let sound = three(codec);
        for at in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            let leader_epoch = (12..16).contains(&(at / 8));
            assert_eq!(check(&mut bytes).is_ok(), leader_epoch, "bit {at}: only the leader epoch is not the client's");
            let outside_the_crc = at / 8 < 8 || leader_epoch;
            assert_eq!(verify(&bytes).is_ok(), outside_the_crc, "bit {at}");
        }
    }
}

#[test]
fn what_is_not_exactly_one_batch_is_refused() {
    let sound = three(Codec::None);
    assert_eq!(check(&mut []), Err(Invalid::NoBatch { bytes: 0 }));
    for cut in 0..sound.len() {
        let refused = check(&mut sound[..cut].to_vec()).expect_err("cut");
        assert_eq!(refused.code(), error::INVALID_RECORD, "{cut}: {refused}");
    }
    let mut two = sound.clone();
    two.extend_from_slice(&sound);
    let declared = sound.len();
    assert_eq!(check(&mut two), Err(Invalid::NotOneBatch { declared, bytes: 2 * declared }));
}

/// `three`, with some bytes replaced and the CRC made right.
fn changed(at: usize, new: &[u8]) -> Result<(), Invalid> {
    let mut bytes = three(Codec::None);
    bytes[at..at + new.len()].copy_from_slice(new);
    seal(&mut bytes);
    check(&mut bytes).map(drop)
}

#[test]
fn headers_that_a_client_may_not_send_are_refused_with_kafkas_codes() {
    let refused = |at, new: &[u8]| changed(at, new).expect_err("refused");
    let cases = [
        (refused(16, &[0]), Invalid::Magic(0), error::INVALID_RECORD),
        (refused(16, &[1]), Invalid::Magic(1), error::INVALID_RECORD),
        (refused(16, &[3]), Invalid::Magic(3), error::CORRUPT_MESSAGE),
        (refused(8, &[0, 0, 0, 48]), Invalid::Length { declared: 48 }, error::CORRUPT_MESSAGE),
        (refused(8, &[0xff; 4]), Invalid::Length { declared: -1 }, error::CORRUPT_MESSAGE),
        (refused(7, &[1]), Invalid::BaseOffset(1), error::INVALID_RECORD),
        (refused(22, &[5]), Invalid::Codec(5), error::UNSUPPORTED_COMPRESSION_TYPE),
        (refused(22, &[1 << 5]), Invalid::Control, error::INVALID_RECORD),
        (refused(26, &[3]), Invalid::Count { records: 3, last_offset_delta: 3 }, error::INVALID_RECORD),
        (refused(57, &[0xff; 4]), Invalid::Count { records: -1, last_offset_delta: 2 }, error::INVALID_RECORD),
        (refused(43, &[0; 8]), Invalid::Sequence(-1), error::INVALID_RECORD),
    ];
    for (refused, expected, code) in cases {
        assert_eq!((refused, refused.code()), (expected, code));
    }
    assert_eq!(changed(22, &[1 << 4]), Ok(()), "transactional batches are a client's");
    let mut corrupt = three(Codec::None);
    *corrupt.last_mut().expect("not empty") ^= 1;
    assert_eq!(check(&mut corrupt).map_err(|refused| refused.code()), Err(error::CORRUPT_MESSAGE));
}

#[test]
fn wrong_lengths_inside_records_are_refused() {
    // One record: length, attributes, timestamp, offset, key length, key, value length, value, headers: count, key, value.
    let sound = [24, 0, 0, 0, 2, b'k', 2, b'v', 2, 2, b'h', 2, b'w'];
    let with = |body: &[u8], records: u8| {
        let mut bytes = build(&[Record::default()], &BuildOptions::default());
        bytes.truncate(HEADER);
        bytes.extend_from_slice(body);
        let length = bytes.len() as u32 - 12;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[26] = records - 1;
        bytes[60] = records;
        seal(&mut bytes);
        check(&mut bytes).map(|batch| batch.records).map_err(|refused| {
            assert_eq!(refused.code(), error::INVALID_RECORD);
            let Invalid::Record { what, .. } = refused else { panic!("{refused}") };
            what
        })
    };
    let patched = |at: usize, byte: u8| {
        let mut body = sound;
        body[at] = byte;
        with(&body, 1)
    };
    assert_eq!(with(&sound, 1), Ok(1));
    assert_eq!(patched(0, 22), Err("a field ends behind the record's end"));
    assert_eq!(patched(0, 26), Err("its length is not that of its fields"));
    assert_eq!(patched(0, 10), Err("its length is less than that of the shortest record"));
    assert_eq!(patched(0, 23), Err("its length is negative"));
    assert_eq!(patched(3, 2), Err("its offset is not the next one"));
    assert_eq!(patched(4, 100), Err("a field ends behind the record's end"));
    assert_eq!(patched(6, 100), Err("a field ends behind the record's end"));
    assert_eq!(patched(8, 1), Err("its number of headers is negative"));
    assert_eq!(patched(8, 4), Err("the batch ends before its records do"));
    assert_eq!(patched(8, 0), Err("its length is not that of its fields"));
    assert_eq!(patched(9, 1), Err("a header's key is null"));
    assert_eq!(with(&sound, 2), Err("the batch ends before its records do"));
    assert_eq!(with(&[&sound[..], &sound[..]].concat(), 1), Err("bytes are left behind the last record"));
    assert_eq!(with(&[0xff; 20], 1), Err("a varint is too long"));
}

#[test]
fn a_wrong_max_timestamp_is_corrected_as_kafka_does() {
    let mut bytes = three(Codec::None);
    let right = parse(&bytes).expect("sound");
    bytes[35..43].copy_from_slice(&(-1i64).to_be_bytes());
    seal(&mut bytes);
    assert_eq!(check(&mut bytes), Ok(right));
    assert_eq!(verify(&bytes), Ok(right));
}

#[test]
fn a_batch_gets_its_place_without_a_new_checksum() {
    let mut bytes = three(Codec::Zstd);
    place(&mut bytes, Offset(1 << 40), LeaderEpoch(9));
    let batch = verify(&bytes).expect("the checksum still holds");
    assert_eq!((batch.base_offset, batch.leader_epoch, batch.last_offset()), (1 << 40, 9, (1 << 40) + 2));
    assert_eq!(max_timestamp_offset(&bytes, Offset(0)), Ok(Some(((1 << 40) + 1, 3000))));
}

#[test]
fn a_stamped_batch_has_one_time_and_a_right_checksum() {
    for (codec, _) in CODECS {
        let mut bytes = three(codec);
        place(&mut bytes, Offset(100), LeaderEpoch(1));
        let crc = stamp(&mut bytes, Wall(5000));
        let batch = verify(&bytes).expect("sound");
        assert_eq!((batch.crc, batch.max_timestamp), (crc, 5000));
        assert_eq!(batch.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(batch.codec(), Ok(codec));
        assert_eq!(first_at_or_after(&bytes, 4000, Offset(0)), Ok(Some((100, 5000))));
        assert_eq!(first_at_or_after(&bytes, 5001, Offset(0)), Ok(None));
        assert_eq!(max_timestamp_offset(&bytes, Offset(0)), Ok(Some((100, 5000))));
        assert!(read(&bytes).expect("sound").iter().all(|record| record.timestamp == 5000));
    }
}

#[test]
fn records_are_found_by_time_in_every_codec() {
    let mut prng = Prng::new(10);
    for (codec, _) in CODECS {
        for _ in 0..10 {
            let records = random_records(&mut prng);
            let base_offset = prng.below(1 << 50) as i64;
            let bytes = build_from(&records, &BuildOptions { codec, base_offset, ..BuildOptions::default() });
            let times: Vec<_> = records.iter().map(|record| (base_offset + record.offset, record.timestamp)).collect();
            for wanted in times.iter().flat_map(|(_, time)| [*time, time + 1]).chain([i64::MIN, 0, i64::MAX]) {
                let expected = times.iter().find(|(_, time)| *time >= wanted).copied();
                assert_eq!(first_at_or_after(&bytes, wanted, Offset(0)), Ok(expected));
            }
            let largest = records.iter().map(|record| record.timestamp).max();
            let expected = times.iter().find(|(_, time)| Some(*time) == largest).copied();
            assert_eq!(max_timestamp_offset(&bytes, Offset(0)), Ok(expected));
        }
    }
}
