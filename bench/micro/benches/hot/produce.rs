//! From a produce frame to batches that may enter the log.

use crate::shard::{SIZES, frame};
use criterion::{BatchSize, Criterion, Throughput};
use torc_base::buf::{BufMut, Pool};
use torc_net::kafka::produce::Request as Produce;
use torc_net::kafka::{self, Request, records};

fn copy(pool: &Pool, frame: &[u8]) -> BufMut {
    let mut bytes = pool.take(frame.len()).expect("no limit");
    bytes.copy_from_slice(frame);
    bytes
}

fn decoded(frame: BufMut) -> Produce {
    match kafka::decode(frame) {
        Ok((_, Request::Produce(produce))) => produce,
        other => panic!("not a produce request: {other:?}"),
    }
}

/// The frame's fields; batches stay slices of it.
pub fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for (name, records, bytes) in SIZES {
        let (frame, pool) = (frame(records, bytes), Pool::new(usize::MAX, 64 << 20));
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(name, |b| {
            b.iter_batched(|| copy(&pool, &frame[4..]), decoded, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// CRC and framing of the records of one batch.
pub fn check(c: &mut Criterion) {
    let mut group = c.benchmark_group("check");
    for (name, records, bytes) in SIZES {
        let request = decoded(copy(&Pool::new(usize::MAX, 0), &frame(records, bytes)[4..]));
        let partition = request.topics.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
        let mut batch = partition.and_then(|partition| partition.records).expect("the frame has a batch");
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| records::check(&mut batch).expect("the batch is sound"));
        });
    }
    group.finish();
}
