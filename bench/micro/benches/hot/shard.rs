//! A produce request from its first byte to its answer, through the whole of a shard.

use criterion::{Criterion, Throughput};
use torc_check::content::{self, Sender};
use torc_check::wire::{ACKS_ALL, Produce, create_frame, produce_frame, produce_to_all_frame};
use torc_micro::node::Node;
use torc_net::kafka::records::Codec;

const TOPIC: &str = "micro";
/// A request's name, its records, and the bytes of each.
pub const SIZES: [(&str, usize, usize); 2] = [("1 record of 100 B", 1, 100), ("1,000 records of 1 KB", 1000, 1000)];

/// Partitions of a request that names many.
const PARTITIONS: i32 = 30;

/// A whole produce frame for one partition, its length in front.
pub fn frame(records: usize, bytes: usize) -> Vec<u8> {
    produce_frame(produce_of(records, bytes, 0), 1).expect("a request that fits").to_vec()
}

fn produce_of(records: usize, bytes: usize, partition: i32) -> Produce<'static> {
    let sender = Sender { producer: 0, idempotent: None };
    let batch = content::batch(sender, 0, &vec![bytes; records], Codec::None, 1_700_000_000_000);
    Produce { topic: TOPIC, partition, acks: ACKS_ALL, batch }
}

/// Receive, decode, check, append, write, answer. The copy that the client's bytes arrive with is in it; of the disk,
/// nothing is.
pub fn produce(c: &mut Criterion) {
    let mut group = c.benchmark_group("shard");
    let many = produce_to_all_frame(produce_of(1, 100, PARTITIONS - 1), 1).expect("a request that fits").to_vec();
    let frames = SIZES.map(|(name, records, bytes)| (name, 1, frame(records, bytes)));
    for (name, partitions, frame) in
        frames.into_iter().chain([("1 record of 100 B for each of 30 partitions", PARTITIONS, many)])
    {
        let mut node = Node::start();
        node.call(&create_frame(TOPIC, partitions, 1).expect("a request that fits"));
        let first = node.call(&frame).to_vec();
        // Answers differ in the offset that they name; two refusals would be the same.
        assert_ne!(node.call(&frame), first, "the request is refused");
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(node.call(&frame).len(), first.len()));
        });
    }
    group.finish();
}
