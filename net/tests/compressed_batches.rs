//! Compressed batches are looked into before they are taken: what Apache Kafka refuses is refused, what it takes is taken,
//! and what is taken can be read.

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use std::io::Write;
use torc_base::crc::crc32c;
use torc_base::ids::Offset;
use torc_base::limits::{INFLATED_BYTES_MAX, OPENING_SLICE, ZSTD_WINDOW_LOG_MAX};
use torc_net::kafka::error;
use torc_net::kafka::records::{
    self, Batch, BuildOptions, CRC_PREFIX, Checked, Codec, HEADER, Invalid, Learned, Opening, Question, Record, Spares,
    Times, build, first_at_or_after, max_timestamp_offset, parse, read, verify,
};

const COMPRESSED: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn check(bytes: &mut [u8]) -> Result<Batch, Invalid> {
    records::check(bytes, Times::ALL, &mut Spares::default())
}

/// A batch of three records with timestamps 1000, 3000, 2000.
fn three(codec: Codec) -> Vec<u8> {
    let record = |timestamp| Record { timestamp, key: Some(b"k"), value: Some(b"v"), headers: &[(b"h", None)] };
    build(&[record(1000), record(3000), record(2000)], &BuildOptions { codec, ..BuildOptions::default() })
}

/// `three` with another codec and body.
fn with_body(codec: Codec, body: &[u8]) -> Vec<u8> {
    let mut bytes = three(Codec::None)[..HEADER].to_vec();
    bytes.extend_from_slice(body);
    let length = bytes.len() as u32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] = codec as u8;
    seal(&mut bytes);
    bytes
}

/// Stores the right CRC after a change.
fn seal(bytes: &mut [u8]) {
    let crc = crc32c(&bytes[CRC_PREFIX..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// The uncompressed records of `three`.
fn body() -> Vec<u8> {
    three(Codec::None)[HEADER..].to_vec()
}

fn compress(codec: Codec, content: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => content.to_vec(),
        Codec::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(content).expect("memory");
            encoder.finish().expect("memory")
        }
        Codec::Snappy => snap::raw::Encoder::new().compress_vec(content).expect("short"),
        Codec::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(content).expect("memory");
            encoder.finish().expect("memory")
        }
        Codec::Zstd => zstd::stream::encode_all(content, 1).expect("memory"),
    }
}

/// Snappy as snappy-java frames it, `block` bytes in each block.
fn xerial(content: &[u8], block: usize) -> Vec<u8> {
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for part in content.chunks(block) {
        let part = compress(Codec::Snappy, part);
        out.extend_from_slice(&(part.len() as u32).to_be_bytes());
        out.extend_from_slice(&part);
    }
    out
}

/// A zstd frame of raw or, for single repeated bytes, run-length blocks.
fn zstd_frame(window_log: u32, blocks: &[(&[u8], usize)]) -> Vec<u8> {
    let mut out = 0xfd2f_b528_u32.to_le_bytes().to_vec();
    out.extend_from_slice(&[0, ((window_log - 10) << 3) as u8]);
    for (at, (content, times)) in blocks.iter().enumerate() {
        let (kind, size) = if *times > 1 { (1, *times) } else { (0, content.len()) };
        let head = (size as u32) << 3 | kind << 1 | u32::from(at + 1 == blocks.len());
        out.extend_from_slice(&head.to_le_bytes()[..3]);
        out.extend_from_slice(content);
    }
    out
}

fn zigzag(value: i64, out: &mut Vec<u8>) {
    let mut bits = ((value << 1) ^ (value >> 63)) as u64;
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

/// A record's fields, with its length in front.
fn framed(fields: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    zigzag(fields.len() as i64, &mut out);
    out.extend_from_slice(fields);
    out
}

#[test]
fn what_is_sound_is_not_changed_and_is_read_back() {
    for codec in ALL {
        let sound = three(codec);
        let mut bytes = sound.clone();
        let batch = check(&mut bytes).expect("sound");
        assert_eq!((batch.records, batch.max_timestamp, batch.codec()), (3, 3000, Ok(codec)));
        assert_eq!(bytes, sound, "{codec:?}: one pass for the checksum was enough");
        assert_eq!(read(&bytes).expect("sound").len(), 3);
    }
}

#[test]
fn a_stream_that_is_cut_short_is_refused_wherever_it_is_cut() {
    let mut streams: Vec<_> = COMPRESSED.map(|codec| (codec, compress(codec, &body()))).to_vec();
    streams.push((Codec::Snappy, xerial(&body(), 10)));
    for (codec, stream) in streams {
        assert!(check(&mut with_body(codec, &stream)).is_ok());
        for cut in 0..stream.len() {
            let refused = check(&mut with_body(codec, &stream[..cut])).expect_err("cut");
            assert_eq!(refused.code(), error::INVALID_RECORD, "{codec:?} cut at {cut}: {refused}");
        }
    }
}

/// A client sends the same bytes again when it is told CORRUPT_MESSAGE, which would not make them better.
#[test]
fn what_cannot_be_opened_is_refused_with_a_code_that_is_not_retried() {
    for codec in COMPRESSED {
        let inside = compress(codec, &body());
        let nested = compress(codec, &inside);
        for wrong in [&b"this is not what it claims to be, whichever codec it names"[..], &body(), &nested, b"\0"] {
            let bytes = with_body(codec, wrong);
            let refused = check(&mut bytes.clone()).expect_err("no stream of records");
            assert_eq!(refused.code(), error::INVALID_RECORD, "{codec:?}: {refused}");
            assert!(read(&bytes).is_err());
        }
    }
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&body()).expect("memory");
    assert!(check(&mut with_body(Codec::Gzip, &zlib.finish().expect("memory"))).is_err());
}

/// Whatever a bit does, what is taken can be read, and says of its records what is true.
#[test]
fn a_flipped_bit_inside_a_stream_never_makes_an_unreadable_batch() {
    for codec in COMPRESSED {
        let stream = compress(codec, &body());
        for bit in 0..stream.len() * 8 {
            let mut damaged = stream.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let mut bytes = with_body(codec, &damaged);
            let Ok(batch) = check(&mut bytes) else { continue };
            let records = read(&bytes).expect("what was taken can be read");
            assert_eq!(records.len(), batch.records as usize);
            assert_eq!(records.iter().map(|record| record.timestamp).max(), Some(batch.max_timestamp));
            assert!(records.iter().zip(0..).all(|(record, offset)| record.offset == offset));
        }
    }
}

#[test]
fn records_inside_are_checked_like_uncompressed_ones() {
    let record = framed(&[0, 0, 0, 2, b'k', 2, b'v', 0]);
    let cases: [(&str, Vec<u8>, i32); 16] = [
        ("fewer than the header says", record.clone(), 2),
        ("more than the header says", [&record[..], &framed(&[0, 0, 2, 1, 1, 0])].concat(), 1),
        ("garbage behind the last", [&record[..], &[1, 2, 3, 4]].concat(), 1),
        ("a zero behind the last", [&record[..], &[0]].concat(), 1),
        ("no record at all", vec![], 1),
        ("an empty record", vec![0], 1),
        ("a negative length", [&[9][..], &record[1..]].concat(), 1),
        ("a length too small", [&[14][..], &record[1..]].concat(), 1),
        ("a length too large", [&[18][..], &record[1..], &[0]].concat(), 1),
        ("all offsets 0", [&record[..], &record].concat(), 2),
        ("offsets from 1 on", framed(&[0, 0, 2, 1, 1, 0]), 1),
        ("a key that reaches into the value", framed(&[0, 0, 0, 100, b'k', 1, 0, 0]), 1),
        ("a negative number of headers", framed(&[0, 0, 0, 1, 1, 1]), 1),
        ("headers that are not there", framed(&[0, 0, 0, 1, 1, 4]), 1),
        ("a header without a key", framed(&[0, 0, 0, 1, 1, 2, 1, 1]), 1),
        ("a varint without an end", vec![0xff; 20], 1),
    ];
    for (what, content, count) in cases {
        for codec in ALL {
            let mut bytes = with_body(codec, &compress(codec, &content));
            bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
            bytes[57..61].copy_from_slice(&count.to_be_bytes());
            seal(&mut bytes);
            let refused = check(&mut bytes).expect_err(what);
            assert_eq!(refused.code(), error::INVALID_RECORD, "{what} in {codec:?}: {refused}");
        }
    }
}

#[test]
fn the_max_timestamp_is_computed_not_believed() {
    for codec in ALL {
        let right = three(codec);
        for claim in [-1, 0, 2999, 3001, i64::MAX, i64::MIN] {
            let mut bytes = right.clone();
            bytes[35..43].copy_from_slice(&claim.to_be_bytes());
            seal(&mut bytes);
            assert_eq!(check(&mut bytes).map(|batch| batch.max_timestamp), Ok(3000));
            assert_eq!(bytes, right, "{codec:?}: as if it had been right, checksum and all");
        }
        // As for Kafka, -1 is the least: no record has a usable time.
        let old = Record { timestamp: -5000, ..Record::default() };
        let mut bytes = build(&[old], &BuildOptions { codec, ..BuildOptions::default() });
        assert_eq!(check(&mut bytes).map(|batch| batch.max_timestamp), Ok(-1));
        assert_eq!(verify(&bytes).map(|batch| batch.max_timestamp), Ok(-1));
        assert_eq!(read(&bytes).expect("sound")[0].timestamp, -5000);
    }
}

#[test]
fn every_record_has_to_lie_within_the_bounds() {
    let bounds = Times::Create(1000..=3000);
    let refusal = |timestamps: &[i64], codec, times: &Times| {
        let records: Vec<_> = timestamps.iter().map(|&timestamp| Record { timestamp, ..Record::default() }).collect();
        let mut bytes = build(&records, &BuildOptions { codec, ..BuildOptions::default() });
        // The header claims the best: only the records are wrong.
        bytes[35..43].copy_from_slice(&2000_i64.to_be_bytes());
        seal(&mut bytes);
        let refused = records::check(&mut bytes, times.clone(), &mut Spares::default()).err()?;
        assert_eq!(refused.code(), error::INVALID_TIMESTAMP);
        let Invalid::Timestamp { index } = refused else { panic!("{refused}") };
        Some(index)
    };
    for codec in ALL {
        assert_eq!(refusal(&[1000, 3000, -1, 2000], codec, &bounds), None, "-1 is none");
        assert_eq!(refusal(&[2000, 999, 2000], codec, &bounds), Some(1));
        assert_eq!(refusal(&[2000, 2000, 3001], codec, &bounds), Some(2));
        assert_eq!(refusal(&[-2, 2000], codec, &bounds), Some(0));
        assert_eq!(refusal(&[1, i64::MAX, -7], codec, &Times::Append), None, "the broker sets the time");
        // A sum of base and delta that is no number of 64 bits.
        let mut bytes = three(codec);
        bytes[27..35].copy_from_slice(&(i64::MAX - 10).to_be_bytes());
        seal(&mut bytes);
        assert_eq!(check(&mut bytes), Err(Invalid::Timestamp { index: 1 }));
    }
}

/// A client that passes on what it has fetched from a topic with LogAppendTime.
#[test]
fn a_relayed_batch_is_taken_if_its_one_time_would_do() {
    let times = Times::Create(500..=6000);
    for codec in ALL {
        let relayed = |max: i64, times: &Times| {
            let mut bytes = three(codec);
            bytes[22] |= 1 << 3;
            bytes[35..43].copy_from_slice(&max.to_be_bytes());
            seal(&mut bytes);
            let batch = records::check(&mut bytes, times.clone(), &mut Spares::default())?;
            assert_eq!(verify(&bytes), Ok(batch));
            Ok((batch.attributes, batch.max_timestamp))
        };
        assert_eq!(relayed(5000, &times), Ok((codec as u16, 3000)), "its records have their own times again");
        assert_eq!(relayed(2000, &Times::Create(0..=2500)), Ok((codec as u16, 2500)), "which do not keep it for ever");
        assert_eq!(relayed(6001, &times), Err(Invalid::LogAppendTime));
        assert_eq!(relayed(-1, &times), Err(Invalid::LogAppendTime));
        assert_eq!(relayed(5000, &Times::Append), Err(Invalid::LogAppendTime), "as Kafka has it");
    }
}

#[test]
fn bits_without_a_meaning_are_passed_over() {
    for codec in ALL {
        for bit in [6, 7, 8, 9, 14, 15] {
            let mut bytes = three(codec);
            let attributes = codec as u16 | 1 << bit;
            bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
            seal(&mut bytes);
            let sent = bytes.clone();
            assert_eq!(check(&mut bytes).map(|batch| batch.attributes), Ok(attributes));
            assert_eq!(bytes, sent, "a consumer gets them as they were");
            assert_eq!(read(&bytes).expect("sound").len(), 3);
        }
    }
}

#[test]
fn what_lies_behind_a_stream_means_what_it_means_to_kafka() {
    let behind: [&[u8]; 4] = [b"\x01", b"\x01\x02\x03\x04\x05\x06\x07", &[0; 20], &[7; 40]];
    let taken =
        |codec, stream: &[u8]| behind.map(|bytes| check(&mut with_body(codec, &[stream, bytes].concat())).is_ok());
    assert_eq!(taken(Codec::Gzip, &compress(Codec::Gzip, &body())), [true; 4]);
    assert_eq!(taken(Codec::Lz4, &compress(Codec::Lz4, &body())), [true; 4]);
    assert_eq!(taken(Codec::Zstd, &compress(Codec::Zstd, &body())), [false; 4]);
    assert_eq!(taken(Codec::Snappy, &compress(Codec::Snappy, &body())), [false; 4]);
    assert_eq!(taken(Codec::Snappy, &xerial(&body(), 64)), [true, false, false, false]);
}

#[test]
fn streams_in_several_parts_are_read_to_their_end() {
    let content = body();
    let (front, back) = content.split_at(7);
    let two = |codec| [compress(codec, front), compress(codec, back)].concat();
    let whole = |codec| compress(codec, &content);
    let empty = |codec| compress(codec, b"");
    let skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd";
    let sound = [
        (Codec::Gzip, two(Codec::Gzip)),
        (Codec::Gzip, [empty(Codec::Gzip), whole(Codec::Gzip), empty(Codec::Gzip)].concat()),
        (Codec::Zstd, two(Codec::Zstd)),
        (Codec::Zstd, [&skippable[..], &whole(Codec::Zstd), skippable, &empty(Codec::Zstd)].concat()),
        (Codec::Snappy, xerial(&content, 5)),
        (Codec::Snappy, [xerial(front, 64), xerial(back, 64)].concat()),
        // A second frame of LZ4 is not looked at.
        (Codec::Lz4, [whole(Codec::Lz4), whole(Codec::Lz4)].concat()),
    ];
    for (codec, stream) in sound {
        let mut bytes = with_body(codec, &stream);
        assert_eq!(check(&mut bytes).map(|batch| batch.records), Ok(3), "{codec:?}");
        assert_eq!(read(&bytes), read(&three(Codec::None)));
    }
    let wrong = [
        (Codec::Gzip, [whole(Codec::Gzip), whole(Codec::Gzip)].concat()),
        (Codec::Zstd, [whole(Codec::Zstd), whole(Codec::Zstd)].concat()),
        (Codec::Snappy, xerial(&[&content[..], &content].concat(), 64)),
        (Codec::Lz4, [empty(Codec::Lz4), whole(Codec::Lz4)].concat()),
    ];
    for (codec, stream) in wrong {
        assert!(check(&mut with_body(codec, &stream)).is_err(), "{codec:?}");
    }
}

/// Kafka's own reader knows frames of independent blocks only: its consumers would stop at any other.
#[test]
fn lz4_frames_that_kafkas_clients_do_not_read_are_refused() {
    use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
    let frame = |info: FrameInfo| {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&body()).expect("memory");
        encoder.finish().expect("memory")
    };
    let taken = |stream: &[u8]| check(&mut with_body(Codec::Lz4, stream)).is_ok();
    let sound = frame(FrameInfo::new().block_checksums(true).content_checksum(true));
    assert!(taken(&sound));
    assert!(!taken(&frame(FrameInfo::new().block_mode(BlockMode::Linked))));
    let legacy = [&0x184c_2102_u32.to_le_bytes()[..], &sound[4..]].concat();
    assert!(!taken(&legacy));
    // Header checksum, block, block's checksum, content's checksum.
    for at in [6, 12, sound.len() - 9, sound.len() - 1] {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        assert!(!taken(&damaged), "byte {at}");
    }
}

#[test]
fn windows_of_zstd_are_read_up_to_those_of_kafkas_clients() {
    for window_log in [10, 20, 24, ZSTD_WINDOW_LOG_MAX] {
        let mut bytes = with_body(Codec::Zstd, &zstd_frame(window_log, &[(&body(), 1)]));
        assert!(check(&mut bytes).is_ok(), "2^{window_log}");
        assert_eq!(max_timestamp_offset(&bytes, Offset(0)), Ok(Some((1, 3000))));
        assert_eq!(first_at_or_after(&bytes, 2500, Offset(0)), Ok(Some((1, 3000))));
    }
    for window_log in [ZSTD_WINDOW_LOG_MAX + 1, 31] {
        let bytes = with_body(Codec::Zstd, &zstd_frame(window_log, &[(&body(), 1)]));
        assert!(check(&mut bytes.clone()).is_err(), "2^{window_log}");
        assert!(first_at_or_after(&bytes, 0, Offset(0)).is_err());
    }
    // Matches that reach back as far as the window goes.
    let mut content = vec![0; 100 << 20];
    let far = b"something to be found again behind a hundred million zeroes";
    content[..far.len()].copy_from_slice(far);
    content.extend_from_slice(far);
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
    encoder.long_distance_matching(true).expect("known");
    encoder.window_log(ZSTD_WINDOW_LOG_MAX).expect("known");
    let mut head = Vec::new();
    head.extend_from_slice(&[0, 0, 0, 1]);
    zigzag(content.len() as i64, &mut head);
    let mut length = Vec::new();
    zigzag((head.len() + content.len() + 1) as i64, &mut length);
    for part in [&length[..], &head, &content, &[0]] {
        encoder.write_all(part).expect("memory");
    }
    let mut bytes = with_body(Codec::Zstd, &encoder.finish().expect("memory"));
    bytes[23..27].fill(0);
    bytes[57..61].copy_from_slice(&1_i32.to_be_bytes());
    seal(&mut bytes);
    assert!(bytes.len() < 1 << 20);
    assert_eq!(check(&mut bytes).map(|batch| batch.records), Ok(1));
    assert_eq!(read(&bytes).expect("sound")[0].value, Some(content));
}

/// One record with a value of so many zeroes, as run-length blocks of zstd.
fn bomb(value: usize) -> Vec<u8> {
    const BLOCK: usize = 128 << 10;
    assert!(value.is_multiple_of(BLOCK));
    let mut front = Vec::new();
    let mut head = vec![0, 0, 0, 1];
    zigzag(value as i64, &mut head);
    zigzag((head.len() + value + 1) as i64, &mut front);
    front.extend_from_slice(&head);
    let mut blocks: Vec<(&[u8], usize)> = vec![(&front, 1)];
    blocks.extend(std::iter::repeat_n((&[0_u8][..], BLOCK), value / BLOCK));
    blocks.push((&[0], 1));
    let mut bytes = with_body(Codec::Zstd, &zstd_frame(17, &blocks));
    bytes[23..27].fill(0);
    bytes[57..61].copy_from_slice(&1_i32.to_be_bytes());
    bytes[35..43].copy_from_slice(&1000_i64.to_be_bytes());
    seal(&mut bytes);
    bytes
}

#[test]
fn a_bomb_is_opened_in_steps_of_bounded_cost_and_memory() {
    let value = 64 << 20;
    let mut bytes = bomb(value);
    assert!(bytes.len() < 4096);
    let mut spares = Spares::default();
    let begun = records::begin(&mut bytes, Times::ALL, &mut spares).expect("nothing is wrong so far");
    let Checked::Compressed(mut check) = begun else { panic!("it is compressed") };
    let mut steps = 0;
    let batch = loop {
        let mut budget = OPENING_SLICE;
        let done = check.step(&mut bytes, &mut budget).expect("sound");
        assert!(check.memory() < 1 << 20, "{} bytes", check.memory());
        steps += 1;
        if let Some(batch) = done {
            break batch;
        }
        assert_eq!(budget, 0, "the step used its budget up");
    };
    check.end(&mut spares);
    assert_eq!(batch.records, 1);
    assert!((value / OPENING_SLICE / 2..=2 * value / OPENING_SLICE).contains(&steps), "{steps} steps");
    // So is a look-up by time.
    let question = Question::FirstAt { timestamp: 0, from: Offset(0) };
    let mut opening = Opening::new(&bytes, question, &mut spares).expect("sound");
    assert_eq!(opening.step(&bytes, &mut OPENING_SLICE.clone()), Ok(None), "a gigabyte may come");
    let learned = opening.step(&bytes, &mut usize::MAX.clone());
    assert_eq!(learned, Ok(Some(Learned::Record(Some((0, 1000))))));
}

/// One block of Snappy may hold the whole batch, one of LZ4 up to 4 MiB.
#[test]
fn long_blocks_are_opened_in_steps_of_bounded_cost() {
    let value = vec![b'z'; 6 << 20];
    let record = Record { timestamp: 1000, value: Some(&value), ..Record::default() };
    let plain = build(&[record], &BuildOptions::default());
    for codec in [Codec::Snappy, Codec::Lz4] {
        let mut bytes = with_body(codec, &compress(codec, &plain[HEADER..]));
        bytes[23..61].copy_from_slice(&plain[23..61]);
        seal(&mut bytes);
        let mut spares = Spares::default();
        let Ok(Checked::Compressed(mut check)) = records::begin(&mut bytes, Times::ALL, &mut spares) else {
            panic!("nothing is wrong so far");
        };
        let mut steps = 1;
        while check.step(&mut bytes, &mut OPENING_SLICE.clone()).expect("sound").is_none() {
            steps += 1;
        }
        let few = value.len() / OPENING_SLICE;
        assert!((few / 2..=2 * few).contains(&steps), "{codec:?}: {steps} steps");
        assert!(read(&bytes).expect("sound")[0].value.as_deref() == Some(&value[..]));
    }
}

/// Java's producer splits a batch that is too large, and sends the halves.
#[test]
fn more_than_the_bound_is_too_large() {
    let mut bytes = bomb(INFLATED_BYTES_MAX as usize);
    let refused = check(&mut bytes).expect_err("too much");
    assert_eq!((refused, refused.code()), (Invalid::Inflated, error::MESSAGE_TOO_LARGE));
    let mut fits = bomb(INFLATED_BYTES_MAX as usize - (1 << 20));
    assert!(check(&mut fits).is_ok());
}

#[test]
fn a_snappy_block_cannot_claim_what_it_cannot_hold() {
    for block in [&b"\xff\xff\xff\xff\x0f\0\0"[..], b"\x80\x80\x80\x80\x04\0\0", b"\x80\x80\x08\0\0\0"] {
        let bytes = with_body(Codec::Snappy, block);
        assert_eq!(check(&mut bytes.clone()).map_err(|refused| refused.code()), Err(error::INVALID_RECORD));
        assert!(first_at_or_after(&bytes, 0, Offset(0)).is_err());
    }
}

/// Decoders go from one batch to the next, whatever became of the one before.
#[test]
fn a_damaged_batch_does_not_spoil_the_next() {
    let mut spares = Spares::default();
    for codec in COMPRESSED {
        let stream = compress(codec, &body());
        for cut in [stream.len(), stream.len() / 2, 1] {
            let mut damaged = with_body(codec, &stream[..cut]);
            let _ = records::check(&mut damaged, Times::ALL, &mut spares);
            let sound = records::check(&mut three(codec), Times::ALL, &mut spares);
            assert_eq!(sound.map(|batch| batch.records), Ok(3), "{codec:?} after {cut} bytes");
        }
    }
    assert_eq!(parse(&three(Codec::Gzip)).map(|batch| batch.records), Ok(3));
}
