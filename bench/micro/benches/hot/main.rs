//! Benches of the hot paths. `cargo bench -p torc-micro` measures, and compares with the run before;
//! `cargo test -p torc-micro` only runs each once.

mod index;
mod produce;
mod recovery;
mod ring;
mod shard;
mod wal;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    hot,
    wal::checksum,
    wal::batch,
    recovery::scan,
    index::look_up,
    produce::decode,
    produce::check,
    produce::open,
    ring::round_trip,
    shard::produce
);
criterion_main!(hot);
