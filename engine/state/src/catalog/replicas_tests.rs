use super::*;
use torc_base::prng::Prng;

fn nodes(ids: &[u32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn encoded(replicas: &Replicas) -> Vec<u8> {
    let mut bytes = Vec::new();
    replicas.encode(&mut bytes);
    bytes
}

fn decoded(bytes: &[u8]) -> Result<Replicas, DecodeError> {
    let mut rest = bytes;
    let replicas = Replicas::decode(&mut Decoder::new(&mut rest))?;
    assert!(rest.is_empty(), "{} bytes were left", rest.len());
    Ok(replicas)
}

#[test]
fn many_partitions_that_are_placed_in_turns_take_few_bytes() {
    let rows: Vec<Vec<NodeId>> = (0..10_000u32).map(|n| nodes(&[n % 3, (n + 1) % 3, (n + 2) % 3])).collect();
    let replicas = Replicas::new(rows.iter().map(Vec::as_slice));
    assert_eq!((replicas.len(), encoded(&replicas).len()), (10_000, 1 + 2 + 1 + 1 + 9));
    assert!(replicas.iter().eq(rows.iter().map(Vec::as_slice)));
    assert_eq!(replicas.get(9_999), nodes(&[0, 1, 2]));
    assert_eq!(replicas.get(10_000), []);
}

#[test]
fn any_replicas_come_back_as_they_were_in_every_order_and_number() {
    for seed in 0..200 {
        let mut prng = Prng::new(seed);
        let repeated = prng.between(1, 5) as usize;
        let row = |prng: &mut Prng| {
            let copies = if prng.chance(1, 8) { prng.between(1, 4) } else { 3 } as usize;
            let mut all: Vec<u32> = (1..=6).collect();
            let picked: Vec<u32> = (0..copies).map(|_| all.remove(prng.below(all.len() as u64) as usize)).collect();
            nodes(&picked)
        };
        let pattern: Vec<Vec<NodeId>> = (0..repeated).map(|_| row(&mut prng)).collect();
        let count = prng.between(1, 40) as usize;
        let mut rows: Vec<Vec<NodeId>> = (0..count).map(|n| pattern[n % repeated].clone()).collect();
        let mut replicas = Replicas::new(rows.iter().map(Vec::as_slice));
        let more: Vec<Vec<NodeId>> = (0..prng.below(5)).map(|_| row(&mut prng)).collect();
        replicas.extend(&Replicas::new(more.iter().map(Vec::as_slice)));
        rows.extend(more);
        let changed = vec![(prng.below(rows.len() as u64) as u32, row(&mut prng))];
        for (partition, row) in &changed {
            rows[*partition as usize] = row.clone();
        }
        let replicas = replicas.with(&changed);
        assert!(replicas.iter().eq(rows.iter().map(Vec::as_slice)), "seed {seed}");
        for (partition, row) in rows.iter().enumerate() {
            assert_eq!(replicas.get(partition as u32), row, "seed {seed}");
        }
        let bytes = encoded(&replicas);
        assert_eq!(decoded(&bytes), Ok(replicas), "seed {seed}");
        for cut in 0..bytes.len() {
            assert!(Replicas::decode(&mut Decoder::new(&mut &bytes[..cut])).is_err(), "seed {seed}: {cut}");
        }
    }
}

#[test]
fn what_cannot_be_replicas_is_refused() {
    for (what, bytes) in [
        ("no partitions", &[1, 0, 1, 1, 7][..]),
        ("no replicas", &[1, 1, 0, 1]),
        ("no assignments", &[1, 1, 1, 0]),
        ("more assignments than partitions", &[1, 1, 1, 2, 7, 7]),
        ("a node twice", &[1, 1, 2, 1, 7, 7]),
        ("more runs than bytes", &[9, 1, 1, 1, 7]),
        ("more copies than there may be", &[1, 1, 127, 1, 7]),
        ("more partitions than there may be", &[1, 0xff, 0xff, 0xff, 0x7f, 1, 1, 7]),
    ] {
        assert!(decoded(bytes).is_err(), "{what}");
    }
    assert_eq!(decoded(&[0]), Ok(Replicas::default()));
}
