//! The scan demands what the walk does, wherever the pieces end.

use super::*;
use crate::kafka::records::walk::Walk;
use crate::kafka::records::{BuildOptions, HEADER, Record, build, parse};
use torc_base::prng::Prng;

fn walked(body: &[u8], batch: &Batch) -> (Vec<Scanned>, Result<(), Invalid>) {
    let mut walk = Walk::new(body, batch);
    let mut records = Vec::new();
    loop {
        match walk.next() {
            Ok(Some(record)) => {
                let (index, offset_delta, timestamp) = (record.index, record.offset_delta, record.timestamp);
                let has_key = record.key.is_some();
                records.push(Scanned { index, offset_delta, timestamp, has_key });
            }
            Ok(None) => return (records, Ok(())),
            Err(invalid) => return (records, Err(invalid)),
        }
    }
}

fn scanned(body: &[u8], batch: &Batch, prng: &mut Prng) -> (Vec<Scanned>, Result<(), Invalid>) {
    let mut scan = Scan::new(batch);
    let mut records = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(1 + prng.below(rest.len().min(9) as u64) as usize);
        rest = behind;
        let goes_on = scan.feed(piece, |record| {
            records.push(record);
            true
        });
        match goes_on {
            Ok(goes_on) => assert!(goes_on),
            Err(invalid) => return (records, Err(invalid)),
        }
    }
    assert_eq!(scan.done() as usize, records.len());
    (records, scan.finish())
}

fn random_batch(prng: &mut Prng) -> Vec<u8> {
    let content = [7; 300];
    let part = |prng: &mut Prng| prng.chance(2, 3).then(|| &content[..prng.below(300) as usize]);
    let headers = [(&b"key"[..], part(prng)), (&b""[..], None), (&b"k"[..], Some(&b""[..]))];
    let records: Vec<_> = (0..prng.between(1, 6))
        .map(|_| Record {
            timestamp: prng.below(1 << 40) as i64 - (1 << 39),
            key: part(prng),
            value: part(prng),
            headers: &headers[..prng.below(4) as usize],
        })
        .collect();
    build(&records, &BuildOptions::default())
}

#[test]
fn a_sound_batch_has_the_same_records_in_whatever_pieces() {
    let mut prng = Prng::new(3);
    for _ in 0..500 {
        let bytes = random_batch(&mut prng);
        let batch = parse(&bytes).expect("sound");
        let expected = walked(&bytes[HEADER..], &batch);
        assert_eq!(expected.1, Ok(()));
        assert_eq!(scanned(&bytes[HEADER..], &batch, &mut prng), expected);
    }
}

/// The reason may differ, since the one sees the end of the bytes when it comes; the verdict and what came before may not.
#[test]
fn a_damaged_batch_is_refused_by_both_or_by_none() {
    let mut prng = Prng::new(4);
    let mut refused = 0;
    for _ in 0..5_000 {
        let mut bytes = random_batch(&mut prng);
        let batch = parse(&bytes).expect("sound");
        for _ in 0..prng.between(1, 3) {
            let at = HEADER + prng.below((bytes.len() - HEADER) as u64) as usize;
            match prng.below(4) {
                0 => bytes[at] ^= 1 << prng.below(8),
                1 => bytes[at] = prng.below(256) as u8,
                2 => bytes.truncate(at + 1),
                _ => bytes.insert(at, prng.below(256) as u8),
            }
        }
        let (walk, scan) = (walked(&bytes[HEADER..], &batch), scanned(&bytes[HEADER..], &batch, &mut prng));
        assert_eq!((&walk.0, walk.1.is_ok()), (&scan.0, scan.1.is_ok()), "{walk:?} {scan:?}");
        refused += u32::from(walk.1.is_err());
    }
    assert!((2_000..5_000).contains(&refused), "{refused} of 5000 were refused");
}
