use super::super::{BuildOptions, OwnedRecord, Record, build, place, read, stamp, verify};
use super::*;
use torc_base::ids::{LeaderEpoch, Offset};
use torc_base::prng::Prng;
use torc_base::time::Wall;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const BASE: i64 = 1_000_000;

/// A batch of the log, with its records: keys are null, empty or short, values null or up to `bytes` long.
fn batch(prng: &mut Prng, codec: Codec, records: usize, bytes: u64) -> Vec<u8> {
    let mut text = |most: u64| -> Vec<u8> { (0..prng.below(most + 1)).map(|_| b'a' + prng.below(4) as u8).collect() };
    let fields: Vec<(Vec<u8>, Vec<u8>)> = (0..records).map(|_| (text(2), text(bytes))).collect();
    let headers: Vec<(&[u8], Option<&[u8]>)> = vec![(b"h", Some(b"v")), (b"n", None)];
    let records: Vec<Record<'_>> = fields
        .iter()
        .map(|(key, value)| Record {
            timestamp: if prng.chance(1, 20) { -1 } else { 5_000 + prng.below(10_000) as i64 },
            key: (!prng.chance(1, 10)).then_some(&key[..]),
            value: (!prng.chance(1, 4)).then_some(&value[..]),
            headers: if prng.chance(1, 3) { &headers } else { &[] },
        })
        .collect();
    let (producer_id, producer_epoch, base_sequence) = (77, 3, 12);
    let options = BuildOptions { codec, producer_id, producer_epoch, base_sequence, ..BuildOptions::default() };
    let mut bytes = build(&records, &options);
    place(&mut bytes, Offset(BASE), LeaderEpoch(9));
    bytes
}

fn sift(bytes: &[u8], horizon: Option<i64>, slice: usize, mut keep: impl FnMut(Keyed<'_>) -> bool) -> Left {
    let mut sift = Sift::new(bytes, horizon, true, usize::MAX, &mut Spares::default()).expect("sound");
    loop {
        let mut budget = slice;
        if let Some(left) = sift.step(bytes, &mut budget, &mut keep).expect("sound") {
            return left;
        }
        assert_eq!(budget, 0, "a step ends when its budget is used up");
    }
}

fn is_tombstone(record: &OwnedRecord) -> bool {
    record.value.is_none()
}

#[test]
fn what_is_left_is_what_was_kept_and_the_rest_of_the_batch_is_as_it_was() {
    let mut prng = Prng::new(1);
    for round in 0..400 {
        let codec = CODECS[round % 5];
        let (count, size) = (1 + prng.below(60) as usize, [10, 300, 5_000][round % 3]);
        let before = batch(&mut prng, codec, count, size);
        let all = read(&before).expect("sound");
        let share = prng.below(5);
        let kept: Vec<bool> = all.iter().map(|_| prng.below(4) < share).collect();
        let horizon = prng.chance(1, 2).then_some(123_456_789);
        let mut seen = 0;
        let left = sift(&before, horizon, 1 + prng.below(5_000) as usize, |record| {
            let known = &all[seen];
            assert_eq!(
                (record.offset, record.key, record.has_value),
                (known.offset, known.key.as_deref(), known.value.is_some())
            );
            seen += 1;
            kept[seen - 1]
        });
        assert_eq!(seen, count, "each record once");
        let expected: Vec<&OwnedRecord> = all.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(r, _)| r).collect();
        let marks = horizon.is_some() && expected.iter().any(|record| is_tombstone(record));
        let bytes = match left {
            Left::Nothing => {
                assert!(expected.is_empty());
                continue;
            }
            Left::All => {
                assert!(expected.len() == count && !marks);
                continue;
            }
            Left::Some(bytes) => bytes,
            Left::TooLarge => panic!("it is small"),
        };
        let (old, new) = (verify(&before).expect("sound"), verify(&bytes).expect("a batch with its CRC"));
        assert_eq!(read(&bytes).expect("sound").iter().collect::<Vec<_>>(), expected, "round {round}");
        let same = |b: &Batch| (b.base_offset, b.last_offset(), b.leader_epoch, b.producer_id, b.producer_epoch);
        assert_eq!((same(&new), new.base_sequence, new.codec()), (same(&old), old.base_sequence, old.codec()));
        assert_eq!(new.records as usize, expected.len());
        assert_eq!(new.max_timestamp, expected.iter().map(|record| record.timestamp).max().expect("not empty"));
        assert_eq!(new.delete_horizon(), horizon.filter(|_| marks));
        // Once more: what has its horizon keeps it.
        let again = sift(&bytes, Some(1), usize::MAX, |_| true);
        if marks {
            assert_eq!(again, Left::All);
        }
        let again = sift(&bytes, Some(1), usize::MAX, |record| record.offset != expected[0].offset);
        if let Left::Some(bytes) = again {
            assert_eq!(read(&bytes).expect("sound").iter().collect::<Vec<_>>(), expected[1..]);
            let tombstones = expected[1..].iter().any(|record| is_tombstone(record));
            let first = tombstones.then_some(1);
            assert_eq!(verify(&bytes).expect("sound").delete_horizon(), horizon.filter(|_| marks).or(first));
        }
    }
}

#[test]
fn a_horizon_that_compaction_has_not_set_does_not_count() {
    let mut bytes = build(&[Record { timestamp: 50, key: Some(b"k"), ..Record::default() }], &BuildOptions::default());
    bytes[22] |= 1 << 6;
    let header = parse(&bytes).expect("sound");
    write(&mut bytes, &header);
    let mut sift = Sift::new(&bytes, Some(900), false, usize::MAX, &mut Spares::default()).expect("sound");
    let Ok(Some(Left::Some(after))) = sift.step(&bytes, &mut usize::MAX.clone(), |_| true) else { panic!("rewritten") };
    assert_eq!(verify(&after).expect("sound").delete_horizon(), Some(900));
    assert_eq!(read(&after).expect("sound"), read(&bytes).expect("sound"));
}

#[test]
fn stamped_batches_keep_their_time() {
    let mut prng = Prng::new(3);
    for codec in CODECS {
        let mut before = batch(&mut prng, codec, 30, 50);
        stamp(&mut before, Wall(88_000));
        let expected: Vec<OwnedRecord> = read(&before).expect("sound").into_iter().step_by(2).collect();
        let Left::Some(after) = sift(&before, Some(99_000), 1_000, |record| record.offset % 2 == BASE % 2) else {
            panic!("half of it is left")
        };
        assert_eq!(verify(&after).expect("sound").max_timestamp, 88_000);
        assert_eq!(read(&after).expect("sound"), expected);
    }
}

#[test]
fn an_emptied_batch_stands_for_its_offsets_and_its_producer() {
    let before = batch(&mut Prng::new(4), Codec::Zstd, 10, 100);
    let bytes = emptied(&before).expect("sound");
    let (old, new) = (parse(&before).expect("sound"), verify(&bytes).expect("a batch with its CRC"));
    assert_eq!((bytes.len(), new.records, new.codec()), (HEADER, 0, Ok(Codec::None)));
    assert_eq!((new.base_offset, new.last_offset()), (old.base_offset, old.last_offset()));
    assert_eq!((new.producer_id, new.producer_epoch, new.base_sequence), (77, 3, 12));
    assert_eq!(read(&bytes), Ok(Vec::new()));
    // The next compaction comes by it.
    assert_eq!(sift(&bytes, Some(1), 10, |_| panic!("it has no record")), Left::All);
}

#[test]
fn more_than_is_taken_apart_is_said_to_be_too_large() {
    let value = vec![0; 9 << 20];
    let record = |key| Record { key: Some(key), value: Some(&value), ..Record::default() };
    for codec in [Codec::Gzip, Codec::Zstd] {
        let options = BuildOptions { codec, ..BuildOptions::default() };
        let two = build(&[record(b"a"), record(b"b")], &options);
        assert_eq!(sift(&two, None, usize::MAX, |_| true), Left::TooLarge);
        assert_eq!(sift(&two, None, 1 << 20, |record| record.key == Some(b"b")), Left::TooLarge, "whatever is left");
        assert_eq!(sift(&build(&[record(b"a")], &options), None, 1 << 20, |_| false), Left::Nothing);
        let long = vec![0; COMPACTION_BATCH_BYTES_MAX + 1];
        let long = build(&[Record { key: Some(b"a"), value: Some(&long), ..Record::default() }], &options);
        assert_eq!(sift(&long, None, 1 << 20, |_| panic!("not even its key is looked at")), Left::TooLarge);
    }
}

#[test]
fn what_would_become_longer_than_the_log_takes_stays_as_it_was() {
    let mut prng = Prng::new(3);
    let value: Vec<u8> = (0..50_000).map(|_| prng.next_u64() as u8).collect();
    let record = |key| Record { key: Some(key), value: Some(&value), ..Record::default() };
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let three =
            build(&[record(b"a"), record(b"b"), record(b"c")], &BuildOptions { codec, ..BuildOptions::default() });
        let left = |bytes_max| {
            let mut sift = Sift::new(&three, None, true, bytes_max, &mut Spares::default()).expect("sound");
            sift.step(&three, &mut usize::MAX.clone(), |record| record.key != Some(b"b"))
                .expect("sound")
                .expect("all of it")
        };
        // Of what was compressed in another way, less may become longer.
        let Left::Some(bytes) = left(usize::MAX) else { panic!("{codec:?}: two are left") };
        assert_eq!(left(bytes.len()), Left::Some(bytes.clone()));
        assert_eq!(left(bytes.len() - 1), Left::TooLarge);
    }
}

#[test]
fn damaged_records_are_an_error_and_never_a_panic() {
    let mut prng = Prng::new(5);
    for round in 0..2_000 {
        let mut bytes = batch(&mut prng, CODECS[round % 5], 5, 40);
        for _ in 0..1 + prng.below(3) {
            let at = HEADER + prng.below((bytes.len() - HEADER) as u64) as usize;
            bytes[at] ^= 1 << prng.below(8);
        }
        if let Ok(mut sift) = Sift::new(&bytes, Some(7), true, usize::MAX, &mut Spares::default()) {
            while let Ok(None) = sift.step(&bytes, &mut 100, |record| record.offset % 2 == 0) {}
        }
    }
}
