//! Compressed batches are opened as they arrive: nothing unreadable gets in, and nobody waits for a large one but its sender.

use super::rig::{Client, Rig, START_MS, settings};
use super::verbs::*;
use crate::Settings;
use torc_net::kafka::error;
use torc_net::kafka::records::{self, BuildOptions, Codec, HEADER, Record};
use torc_net::kafka::schema::{DeleteTopicsRequest, ListOffsetsRequest, ProduceRequest};

const CODECS: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn packed(codec: Codec, values: &[&[u8]]) -> Vec<u8> {
    let record = |(n, value): (usize, &&'_ [u8])| (START_MS + n as i64, value.to_vec());
    let records: Vec<_> = values.iter().enumerate().map(record).collect();
    let records: Vec<_> = records
        .iter()
        .map(|(timestamp, value)| Record { timestamp: *timestamp, value: Some(value), ..Record::default() })
        .collect();
    records::build(&records, &BuildOptions { codec, ..BuildOptions::default() })
}

/// Few bytes that hold 8 MiB of records, which is many turns' work.
fn bomb() -> Vec<u8> {
    let bytes = packed(Codec::Zstd, &[&vec![b'z'; 8 << 20]]);
    assert!(bytes.len() < 64 << 10);
    bytes
}

/// Stores the right CRC after a change.
fn seal(bytes: &mut [u8]) {
    let crc = torc_base::crc::crc32c(&bytes[records::CRC_PREFIX..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn send(rig: &mut Rig, client: Client, topic: &str, bytes: &[u8]) -> i32 {
    rig.send(client, PRODUCE, &produce_request(-1, &[(topic, 0, bytes)]))
}

fn taken(rig: &mut Rig, client: Client, sent: i32) -> Option<(i16, i64)> {
    let answer = rig.take::<ProduceRequest>(client, PRODUCE, sent)?;
    let partition = &produced(answer)[0];
    Some((partition.error_code, partition.base_offset))
}

#[test]
fn what_no_consumer_could_read_is_refused_and_the_next_batch_is_not() {
    for codec in CODECS {
        let mut rig = Rig::new(1);
        let client = rig.connect(0);
        assert_eq!(rig.create(client, "t", 1, &[]), 0);
        let sound = packed(codec, &[b"a", b"b"]);
        let mut damaged = sound.clone();
        damaged.truncate(sound.len() - 3);
        let length = damaged.len() as u32 - 12;
        damaged[8..12].copy_from_slice(&length.to_be_bytes());
        seal(&mut damaged);
        let mut miscounted = sound.clone();
        (miscounted[26], miscounted[60]) = (2, 3);
        seal(&mut miscounted);
        for wrong in [damaged, miscounted] {
            let refused = rig.produce(client, -1, "t", 0, &wrong);
            assert_eq!((refused.error_code, refused.base_offset), (error::INVALID_RECORD, -1), "{codec:?}");
            assert!(refused.error_message.is_some());
        }
        assert_eq!(rig.produce(client, -1, "t", 0, &sound).base_offset, 0);
        assert_eq!(values(&rig.fetch(client, "t", 0, 0)), [(0, "a".into()), (1, "b".into())]);
    }
}

#[test]
fn times_of_compressed_records_count_as_they_are() {
    for codec in CODECS {
        let mut rig = Rig::new(1);
        let client = rig.connect(0);
        assert_eq!(rig.create(client, "t", 1, &[("message.timestamp.after.max.ms", "1000")]), 0);
        let mut unset = packed(codec, &[b"a", b"b"]);
        unset[35..43].copy_from_slice(&(-1_i64).to_be_bytes());
        seal(&mut unset);
        assert_eq!(rig.produce(client, -1, "t", 0, &unset).error_code, 0);
        let read = rig.fetch(client, "t", 0, 0).records.expect("records");
        assert_eq!(read[35..43], (START_MS + 1).to_be_bytes(), "consumers see the right one");
        assert!(records::verify(&read).is_ok());
        assert_eq!(rig.offset(client, "t", 0, START_MS + 1).offset, 1);
        assert_eq!(rig.offset(client, "t", 0, START_MS - 10).offset, 0);
        // A record ahead of the bound, which the header denies.
        let ahead = Record { timestamp: START_MS + 1001, ..Record::default() };
        let mut bytes = records::build(
            &[Record { timestamp: START_MS, ..ahead }, ahead],
            &BuildOptions { codec, ..BuildOptions::default() },
        );
        bytes[35..43].copy_from_slice(&START_MS.to_be_bytes());
        seal(&mut bytes);
        assert_eq!(rig.produce(client, -1, "t", 0, &bytes).error_code, error::INVALID_TIMESTAMP);
    }
}

#[test]
fn a_stamped_topic_takes_any_time_and_sets_its_own() {
    for codec in CODECS {
        let mut rig = Rig::new(1);
        let client = rig.connect(0);
        assert_eq!(rig.create(client, "t", 1, &[("message.timestamp.type", "LogAppendTime")]), 0);
        let record = Record { timestamp: START_MS * 3, value: Some(b"v"), ..Record::default() };
        let bytes = records::build(&[record], &BuildOptions { codec, ..BuildOptions::default() });
        let answer = rig.produce(client, -1, "t", 0, &bytes);
        assert_eq!((answer.error_code, answer.log_append_time_ms), (0, START_MS));
        assert_eq!(read(&rig.fetch(client, "t", 0, 0))[0].timestamp, START_MS);
    }
}

#[test]
fn others_are_answered_while_a_large_batch_is_opened() {
    let mut rig = Rig::new(1);
    let (slow, quick) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(slow, "t", 1, &[]), 0);
    assert_eq!(rig.create(quick, "u", 1, &[]), 0);
    let large = send(&mut rig, slow, "t", &bomb());
    for _ in 0..3 {
        rig.turn(0);
    }
    for bytes in [batch(&["plain"]), packed(Codec::Gzip, &[b"packed"])] {
        let small = send(&mut rig, quick, "u", &bytes);
        for _ in 0..8 {
            rig.turn(0);
        }
        assert!(taken(&mut rig, quick, small).is_some(), "the quick one waits for the slow one");
    }
    assert!(rig.take_frame(slow).is_none(), "the large batch took less than its turns");
    rig.run();
    assert_eq!(taken(&mut rig, slow, large), Some((0, 0)));
    assert_eq!(read(&rig.fetch(quick, "t", 0, 0))[0].value.as_ref().map(Vec::len), Some(8 << 20));
}

/// What is not compressed is gone through as well, record by record.
#[test]
fn the_batches_of_a_long_request_are_checked_over_turns() {
    const PARTITIONS: usize = 24;
    let mut rig = Rig::with(1, &Settings { request_max_bytes: 32 << 20, ..settings() });
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", PARTITIONS as i32, &[]), 0);
    let small = vec![&b"small"[..]; 40_000];
    let bytes = packed(Codec::None, &small);
    let mut parts: Vec<(&str, i32, &[u8])> = (0..PARTITIONS as i32).map(|index| ("t", index, &bytes[..])).collect();
    let mut damaged = bytes.clone();
    damaged[70] ^= 1;
    parts[7].2 = &damaged;
    let long = rig.send(client, PRODUCE, &produce_request(-1, &parts));
    let behind = send(&mut rig, client, "t", &batch(&["behind"]));
    let mut turns = 0;
    while rig.turn(0) {
        turns += 1;
    }
    // One takes more than a slice, of which a turn has two.
    assert!(turns >= PARTITIONS / 2, "{turns} turns");
    let answer = rig.take::<ProduceRequest>(client, PRODUCE, long).expect("answered");
    let told: Vec<(i16, i64)> = produced(answer).iter().map(|part| (part.error_code, part.base_offset)).collect();
    let mut expected = vec![(0, 0); PARTITIONS];
    expected[7] = (error::CORRUPT_MESSAGE, -1);
    assert_eq!(told, expected);
    assert_eq!(taken(&mut rig, client, behind), Some((0, 40_000)), "it keeps its place");
}

#[test]
fn requests_of_one_connection_keep_their_order_behind_a_large_batch() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let sent: Vec<i32> = [bomb(), batch(&["plain"]), packed(Codec::Lz4, &[b"a", b"b"]), batch(&["last"])]
        .iter()
        .map(|bytes| send(&mut rig, client, "t", bytes))
        .collect();
    rig.run();
    let answers: Vec<_> = sent.iter().map(|sent| taken(&mut rig, client, *sent).expect("answered")).collect();
    assert_eq!(answers, [(0, 0), (0, 1), (0, 2), (0, 4)]);
}

#[test]
fn several_batches_of_one_request_are_each_answered_for_themselves() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 4, &[]), 0);
    let mut damaged = packed(Codec::Snappy, &[b"x"]);
    damaged.truncate(HEADER + 3);
    damaged[11] = (HEADER + 3 - 12) as u8;
    seal(&mut damaged);
    let (large, small, plain) = (bomb(), packed(Codec::Gzip, &[b"y"]), batch(&["z"]));
    let request = produce_request(
        -1,
        &[("t", 0, &large), ("t", 1, &damaged), ("nowhere", 0, &small), ("t", 2, &plain), ("t", 3, &small)],
    );
    let errors: Vec<i16> = produced(rig.ask(client, PRODUCE, &request)).iter().map(|p| p.error_code).collect();
    assert_eq!(errors, [0, error::INVALID_RECORD, error::UNKNOWN_TOPIC_OR_PARTITION, 0, 0]);
}

/// Whatever becomes of a topic while its batch is opened, the request's other batches are opened from their beginning.
#[test]
fn a_topic_that_goes_while_its_batch_is_opened_spoils_no_other() {
    let mut rig = Rig::new(1);
    let (client, admin) = (rig.connect(0), rig.connect(0));
    for topic in ["t", "u"] {
        assert_eq!(rig.create(admin, topic, 1, &[]), 0);
    }
    let (large, small) = (bomb(), packed(Codec::Gzip, &[b"y"]));
    let request = produce_request(-1, &[("t", 0, &large), ("u", 0, &small)]);
    let sent = rig.send(client, PRODUCE, &request);
    for _ in 0..3 {
        rig.turn(0);
    }
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![name("t")]).with_timeout_ms(1_000);
    assert_eq!(rig.ask(admin, 5, &delete).responses[0].error_code, 0);
    let answer = rig.take::<ProduceRequest>(client, PRODUCE, sent).expect("answered");
    let errors: Vec<i16> = produced(answer).iter().map(|part| part.error_code).collect();
    assert_eq!(errors, [error::UNKNOWN_TOPIC_OR_PARTITION, 0]);
    assert_eq!(rig.fetch(client, "u", 0, 0).high_watermark, 1);
}

#[test]
fn what_is_being_opened_for_a_client_that_leaves_is_dropped() {
    let mut rig = Rig::new(1);
    let (gone, client) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for _ in 0..3 {
        send(&mut rig, gone, "t", &bomb());
    }
    rig.turn(0);
    rig.turn(0);
    rig.abort(gone);
    rig.run();
    assert_eq!(rig.produce(client, -1, "t", 0, &packed(Codec::Zstd, &[b"a"])).base_offset, 0, "nothing else came");
}

/// Windows of 128 MiB: together they would be more than a shard has for them.
#[test]
fn large_windows_are_opened_one_after_the_other() {
    // A frame with that window, of one raw block of 1 byte less than a record and the byte.
    let windowed = |codec_body: &[u8]| {
        let mut bytes = packed(Codec::Zstd, &[b"a"]);
        bytes.truncate(HEADER);
        bytes.extend_from_slice(&0xfd2f_b528_u32.to_le_bytes());
        bytes.extend_from_slice(&[0, 17 << 3]);
        bytes.extend_from_slice(codec_body);
        let length = bytes.len() as u32 - 12;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        seal(&mut bytes);
        bytes
    };
    let value = 4 << 20;
    let mut head = vec![0, 0, 0, 1];
    let varint = |mut n: usize, out: &mut Vec<u8>| {
        n *= 2;
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    };
    varint(value, &mut head);
    let mut front = Vec::new();
    varint(head.len() + value + 1, &mut front);
    front.extend_from_slice(&head);
    let mut blocks = ((front.len() as u32) << 3).to_le_bytes()[..3].to_vec();
    blocks.extend_from_slice(&front);
    for _ in 0..value / (128 << 10) {
        blocks.extend_from_slice(&((128_u32 << 10) << 3 | 2).to_le_bytes()[..3]);
        blocks.push(0);
    }
    blocks.extend_from_slice(&(1_u32 << 3 | 1).to_le_bytes()[..3]);
    blocks.push(0);
    let bytes = windowed(&blocks);
    let mut rig = Rig::new(1);
    let clients: Vec<Client> = (0..5).map(|_| rig.connect(0)).collect();
    assert_eq!(rig.create(clients[0], "t", 1, &[]), 0);
    let sent: Vec<i32> = clients.iter().map(|client| send(&mut rig, *client, "t", &bytes)).collect();
    rig.run();
    let mut offsets: Vec<_> = clients.iter().zip(sent).map(|(c, sent)| taken(&mut rig, *c, sent)).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [0, 1, 2, 3, 4].map(|offset| Some((0, offset))));
}

#[test]
fn attributes_are_judged_as_kafka_judges_them() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    let with = |bits: u16| {
        let mut bytes = batch(&["a"]);
        bytes[21..23].copy_from_slice(&bits.to_be_bytes());
        seal(&mut bytes);
        bytes
    };
    for bits in [1 << 6, 1 << 7, 1 << 9, 1 << 15, 1 << 3] {
        assert_eq!(rig.produce(client, -1, "t", 0, &with(bits)).error_code, 0, "{bits:#06x}");
    }
    assert_eq!(rig.produce(client, -1, "t", 0, &with(1 << 5)).error_code, error::INVALID_RECORD);
    let transactional = rig.produce(client, -1, "t", 0, &with(1 << 4)).error_code;
    assert_eq!(transactional, error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "no transactional id came with it");
    assert_eq!(rig.create(client, "stamped", 1, &[("message.timestamp.type", "LogAppendTime")]), 0);
    let stamped = rig.produce(client, -1, "stamped", 0, &with(1 << 3)).error_code;
    assert_eq!(stamped, error::INVALID_TIMESTAMP, "only the broker stamps");
}

/// Whatever there is to be opened: what has not begun has its part of each turn.
#[test]
fn look_ups_do_not_wait_for_the_end_of_large_batches() {
    let mut rig = Rig::new(1);
    let greedy: Vec<Client> = (0..4).map(|_| rig.connect(0)).collect();
    let asking: Vec<Client> = (0..30).map(|_| rig.connect(0)).collect();
    assert_eq!(rig.create(asking[0], "t", 1, &[]), 0);
    assert_eq!(rig.produce(asking[0], -1, "t", 0, &batch(&["a"])).error_code, 0);
    greedy.iter().for_each(|client| _ = send(&mut rig, *client, "t", &bomb()));
    for _ in 0..3 {
        rig.turn(0);
    }
    let request = list_offsets_request("t", 0, START_MS);
    let sent: Vec<i32> = asking.iter().map(|client| rig.send(*client, LIST_OFFSETS, &request)).collect();
    for _ in 0..20 {
        rig.turn(0);
    }
    let mut found = asking.iter().zip(&sent).map(|(client, sent)| {
        let answer = rig.take::<ListOffsetsRequest>(*client, LIST_OFFSETS, *sent)?;
        Some(answer.topics[0].partitions[0].offset)
    });
    assert!(found.all(|found| found == Some(0)), "look-ups wait for what others have sent");
    assert!(greedy.iter().all(|client| rig.take_frame(*client).is_none()), "it takes more than these turns");
}

/// A look-up by time opens the batch too: in slices, and no longer than its client is there.
#[test]
fn a_look_up_into_a_large_batch_holds_nobody_up() {
    let mut rig = Rig::new(1);
    let (asks, quick) = (rig.connect(0), rig.connect(0));
    assert_eq!(rig.create(asks, "t", 1, &[]), 0);
    assert_eq!(rig.produce(asks, -1, "t", 0, &bomb()).error_code, 0);
    let request = list_offsets_request("t", 0, START_MS);
    let sent = rig.send(asks, LIST_OFFSETS, &request);
    for _ in 0..3 {
        rig.turn(0);
    }
    let small = send(&mut rig, quick, "t", &batch(&["plain"]));
    for _ in 0..8 {
        rig.turn(0);
    }
    assert!(taken(&mut rig, quick, small).is_some(), "the quick one waits for the look-up");
    assert!(rig.take_frame(asks).is_none(), "the look-up took less than its turns");
    rig.run();
    let answer = rig.take::<ListOffsetsRequest>(asks, LIST_OFFSETS, sent).expect("answered");
    assert_eq!(answer.topics[0].partitions[0].offset, 0);
    // And once more for a client that leaves.
    rig.send(asks, LIST_OFFSETS, &request);
    rig.turn(0);
    rig.turn(0);
    rig.abort(asks);
    assert_eq!(rig.offset(quick, "t", 0, START_MS).offset, 0);
}
