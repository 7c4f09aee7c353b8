//! Fuzz target: arbitrary and damaged record batches never panic and take a bounded amount of memory; a batch that is
//! taken can be read, and says of its records what is true.

use torc_base::crc::crc32c;
use torc_base::ids::Offset;
use torc_base::prng::Prng;
use torc_net::kafka::records::{
    Batch, BuildOptions, CRC_PREFIX, Checked, Codec, HEADER, Invalid, Record, Spares, Times, begin, build,
    first_at_or_after, is_compressed, max_timestamp_offset, read,
};

/// Windows and pieces of the codecs (LZ4's blocks have up to 4 MiB; zstd's memory is C's and not counted).
const OPEN_BASE: usize = 5 << 20;
/// Snappy's largest expansion.
const OPEN_GROWTH_MAX: usize = 22;

#[test]
fn hostile_batches_do_no_harm() {
    bolero::check!().with_iterations(6_000).for_each(|input: &[u8]| {
        all_ways(&mut input.to_vec());
        let seed = input.iter().fold(1, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        let mut batch = random_batch(&mut Prng::new(seed));
        assert!(all_ways(&mut batch), "undamaged");
        damage(&mut batch, input);
        all_ways(&mut batch.clone());
        repair(&mut batch);
        all_ways(&mut batch);
    });
}

/// Checks and opens `bytes`; true if a client could append them.
fn all_ways(bytes: &mut [u8]) -> bool {
    let compressed = is_compressed(bytes);
    let most = if compressed { OPEN_GROWTH_MAX * bytes.len() + OPEN_BASE } else { 0 };
    let (checked, peak) = measured(|| -> Result<Batch, Invalid> {
        let mut spares = Spares::default();
        // In steps of odd sizes.
        match begin(bytes, Times::ALL, &mut spares)? {
            Checked::Sound(batch) => Ok(batch),
            Checked::Compressed(mut check) => loop {
                if let Some(batch) = check.step(bytes, &mut 777)? {
                    check.end(&mut spares);
                    return Ok(batch);
                }
            },
        }
    });
    assert!(peak <= most, "{peak} bytes to check a batch of {}", bytes.len());
    let (found, peak) = measured(|| first_at_or_after(bytes, i64::MIN, Offset(0)));
    assert!(peak <= OPEN_GROWTH_MAX * bytes.len() + OPEN_BASE, "{peak} bytes for a batch of {}", bytes.len());
    let (largest, peak) = measured(|| max_timestamp_offset(bytes, Offset(0)));
    assert!(peak <= OPEN_GROWTH_MAX * bytes.len() + OPEN_BASE, "{peak} bytes for a batch of {}", bytes.len());
    let Ok(batch) = checked else { return false };
    let records = read(bytes).expect("what was taken can be read");
    assert_eq!(records.len(), batch.records as usize);
    assert!(records.iter().zip(0..).all(|(record, offset)| record.offset == offset));
    assert_eq!(found, Ok(Some((0, records[0].timestamp))));
    let (_, timestamp) = largest.expect("can be read").expect("has records");
    assert_eq!(timestamp.max(-1), batch.max_timestamp);
    true
}

fn measured<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let mut result = None;
    let peak = allocation_counter::measure(|| result = Some(run())).bytes_max as usize;
    (result.expect("has run"), peak)
}

fn random_batch(prng: &mut Prng) -> Vec<u8> {
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    let codec = codecs[prng.below(5) as usize];
    let mut content = [b'x'; 200];
    let random = prng.below(200) as usize;
    prng.fill(&mut content[..random]);
    let part = |prng: &mut Prng| prng.chance(2, 3).then(|| &content[prng.below(200) as usize..]);
    let headers = [(&b"key"[..], part(prng)), (&b""[..], None)];
    let records: Vec<_> = (0..prng.between(1, 5))
        .map(|_| Record {
            timestamp: prng.below(1 << 40) as i64,
            key: part(prng),
            value: part(prng),
            headers: &headers[..prng.below(3) as usize],
        })
        .collect();
    build(&records, &BuildOptions { codec, ..BuildOptions::default() })
}

/// Changes bytes behind the fixed places of length, magic and CRC, as `input` says.
fn damage(batch: &mut Vec<u8>, input: &[u8]) {
    for change in input.chunks_exact(4).take(6) {
        let at = CRC_PREFIX + usize::from(u16::from_be_bytes([change[0], change[1]])) % (batch.len() - CRC_PREFIX);
        match change[2] % 6 {
            0 => batch[at] ^= 1 << (change[3] % 8),
            1 => batch[at] = change[3],
            2 => batch.truncate(at.max(HEADER)),
            3 => batch.insert(at, change[3]),
            // Another codec than the one of the records.
            4 => batch[22] = change[3] % 6,
            _ => batch.extend_from_within(at..),
        }
    }
}

/// Makes length and CRC right, so that the damage is met by what comes behind them.
fn repair(batch: &mut [u8]) {
    let length = (batch.len() - 12) as u32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&batch[CRC_PREFIX..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}
