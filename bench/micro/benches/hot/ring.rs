//! Turns of the reactor's loop.

use criterion::Criterion;
use torc_base::limits::PAGE;
use torc_micro::turns::{PAGE_FILE, mail_to_another, mail_to_self, read_a_page};

/// A turn without I/O, one with a submission and its completion, and two shards that wake each other.
pub fn round_trip(c: &mut Criterion) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for the loop's files");
    let path = directory.path();
    std::fs::write(path.join(PAGE_FILE), [7; PAGE]).expect("a file of one page");
    let mut group = c.benchmark_group("ring");
    group.bench_function("mail to itself", |b| b.iter_custom(|rounds| mail_to_self(rounds, path)));
    group.bench_function("read of a cached page", |b| b.iter_custom(|rounds| read_a_page(rounds, path)));
    group.bench_function("mail to another shard and back", |b| b.iter_custom(|rounds| mail_to_another(rounds, path)));
    group.finish();
}
