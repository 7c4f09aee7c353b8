//! Reading a log back after a kill, without a checkpoint: each byte is read and checked.

use criterion::{Criterion, SamplingMode, Throughput};
use torc_base::ids::GroupId;
use torc_micro::disk::{Disk, Keep};
use torc_micro::log::{Log, Payload};
use torc_wal::WalSettings;

const SEGMENT_BYTES: u64 = 16 << 20;

/// One full segment, of batches of 64 entries.
pub fn scan(c: &mut Criterion) {
    let mut group = c.benchmark_group("recovery");
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    for (name, entry_bytes) in [("entries of 100 B", 100), ("entries of 4 KiB", 4 << 10)] {
        let settings = WalSettings { segment_bytes: SEGMENT_BYTES, reserve_bytes: 0, ..WalSettings::default() };
        let (mut log, _) = Log::open(&settings, Disk::new(Keep::Bytes));
        let payload = Payload::new(&vec![7; entry_bytes], false);
        let mut appended = 0;
        while log.segments() == 1 {
            (0..64).for_each(|n| log.append(GroupId(1024 + n), &payload));
            log.flush();
            appended += 64;
        }
        group.throughput(Throughput::Bytes(log.bytes()));
        let mut disk = Some(log.into_disk());
        group.bench_function(name, |b| {
            b.iter(|| {
                let (log, recovered) = Log::open(&settings, disk.take().expect("put back each time"));
                assert_eq!(recovered, appended);
                disk = Some(log.into_disk());
            });
        });
    }
    group.finish();
}
