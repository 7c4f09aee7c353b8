//! From entries to a batch that is ready for the disk.

use criterion::{Criterion, Throughput};
use std::hint::black_box;
use torc_base::crc::crc32c;
use torc_base::ids::GroupId;
use torc_micro::disk::{Disk, Keep};
use torc_micro::log::{Log, Payload};
use torc_wal::WalSettings;

/// CRC32C, the one pass over a payload's bytes.
pub fn checksum(c: &mut Criterion) {
    let mut group = c.benchmark_group("checksum");
    for (name, bytes) in [("100 B", 100), ("4 KiB", 4 << 10), ("1 MiB", 1 << 20)] {
        let content = vec![7; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |b| b.iter(|| crc32c(black_box(&content))));
    }
    group.finish();
}

/// Appending, encoding header and descriptors, their checksums, and all that follows the completion of the write.
pub fn batch(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch");
    let cases = [
        ("1 entry of 100 B", 1, 100, false),
        ("64 entries of 100 B", 64, 100, false),
        ("1 entry of 16 KiB", 1, 16 << 10, false),
        ("1 gathered entry of 1 MiB", 1, 1 << 20, true),
    ];
    for (name, entries, bytes, gather) in cases {
        let settings = WalSettings { reserve_bytes: 0, ..WalSettings::default() };
        let (mut log, _) = Log::open(&settings, Disk::new(Keep::Lengths));
        let payload = Payload::new(&vec![7; bytes], gather);
        group.throughput(Throughput::Elements(entries));
        group.bench_function(name, |b| {
            b.iter(|| {
                let before = log.batches();
                (0..entries).for_each(|n| log.append(GroupId(1024 + n), &payload));
                log.flush();
                assert_eq!(log.batches(), before + 1, "one batch for all");
            });
        });
    }
    group.finish();
}
