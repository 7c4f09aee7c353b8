//! From an offset to its entry.

use criterion::Criterion;
use torc_base::ids::{GroupId, Offset};
use torc_base::prng::Prng;
use torc_micro::disk::{Disk, Keep};
use torc_micro::log::{Log, Payload};
use torc_wal::WalSettings;

const GROUP_FIRST: u64 = GroupId::FIRST_PARTITION.0;

/// A log of `batches` batches, each with one entry of each of `groups` groups.
fn filled(settings: &WalSettings, groups: u64, batches: u64) -> Log {
    let (mut log, _) = Log::open(settings, Disk::new(Keep::Bytes));
    let payload = Payload::new(&[7; 100], false);
    for _ in 0..batches {
        (0..groups).for_each(|n| log.append(GroupId(GROUP_FIRST + n), &payload));
        log.flush();
    }
    log
}

/// Any offset of any group, in the tail in memory, and behind it through footers and descriptors on the disk.
pub fn look_up(c: &mut Criterion) {
    let mut group = c.benchmark_group("look-up");
    let tail = WalSettings { reserve_bytes: 0, ..WalSettings::default() };
    let disk = WalSettings { tail_bytes: 0, read_ahead_bytes: 0, segment_bytes: 1 << 20, ..tail.clone() };
    let cases = [
        ("in memory, 1 group", &tail, 1, 4000, false),
        ("in memory, 1,000 groups", &tail, 1000, 100, false),
        ("on disk, 1 group", &disk, 1, 4000, true),
        ("on disk, 1,000 groups", &disk, 1000, 100, true),
    ];
    for (name, settings, groups, batches, cold) in cases {
        let mut log = filled(settings, groups, batches);
        let mut prng = Prng::new(1);
        group.bench_function(name, |b| {
            b.iter(|| {
                let id = GroupId(GROUP_FIRST + prng.below(groups));
                // The last quarter may still be in the segment that is being written.
                let offset = Offset(prng.below(batches * 3 / 4) as i64);
                let (item, from_disk) = log.read(id, offset);
                assert_eq!((item.group, item.first_offset, from_disk), (id, offset, cold));
            });
        });
    }
    group.finish();
}
