//! From a produce frame to batches that may enter the log.

use crate::shard::{SIZES, frame};
use criterion::{BatchSize, Criterion, Throughput};
use std::hint::black_box;
use torc_base::buf::{BufMut, Pool};
use torc_base::crc::crc32c;
use torc_base::prng::Prng;
use torc_net::kafka::produce::Request as Produce;
use torc_net::kafka::records::{BuildOptions, Codec, Record, Spares, Times};
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
            let mut spares = Spares::default();
            b.iter(|| records::check(&mut batch, times(), &mut spares).expect("the batch is sound"));
        });
    }
    group.finish();
}

/// As topics have them.
fn times() -> Times {
    Times::Create(0..=i64::MAX)
}

/// The same of compressed batches of 10,000 records of 100 bytes, a half of them random; per byte decompressed. Beside it
/// what the machine takes to copy and to sum as many bytes, and the batch that is not compressed.
pub fn open(c: &mut Criterion) {
    const RECORDS: usize = 10_000;
    let mut prng = Prng::new(1);
    let mut values = vec![*b"{\"a\":\"text that comes again and again\",\"b\":"; RECORDS].concat();
    let length = values.len() / RECORDS;
    let mut random = vec![0; 100 - length];
    let values: Vec<Vec<u8>> = values
        .chunks_exact_mut(length)
        .map(|text| {
            prng.fill(&mut random);
            [&*text, &random].concat()
        })
        .collect();
    let records: Vec<_> = values.iter().map(|value| Record { value: Some(value), ..Record::default() }).collect();
    let plain = records::build(&records, &BuildOptions::default());
    let bytes = plain.len();
    let mut group = c.benchmark_group("open");
    group.throughput(Throughput::Bytes(bytes as u64));
    let mut copied = vec![0; bytes];
    group.bench_function("limit: copy", |b| b.iter(|| black_box(&mut copied).copy_from_slice(black_box(&plain))));
    group.bench_function("limit: checksum", |b| b.iter(|| crc32c(black_box(&plain))));
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut batch = records::build(&records, &BuildOptions { codec, ..BuildOptions::default() });
        let mut spares = Spares::default();
        group.bench_function(format!("{codec:?}").to_lowercase(), |b| {
            b.iter(|| records::check(&mut batch, times(), &mut spares).expect("the batch is sound"));
        });
    }
    group.finish();
}
