//! The topics that neighbours and healthy clients work on, made before anybody comes.

use super::asks;
use crate::content::{self, Sender};
use crate::failure::{Failure, Result, wrong};
use crate::kill::now_ms;
use crate::wire::{ACKS_ALL, Client, Produce, create_frame};
use std::io::Write;
use std::net::SocketAddr;
use torc_net::kafka::records::Codec;

/// What the healthy producer writes and the healthy tail reads: one partition.
pub const HOT: &str = "hot";
/// Old records, in many partitions. The first is long enough for the largest answer.
pub const COLD: &str = "cold";
/// Partitions that share the log in small batches.
pub const SHARED: &str = "shared";
/// What neighbours write, and nobody keeps long.
pub const WRITTEN: &str = "written";
/// Topics that are only there to be many.
pub const MANY: &str = "many";

/// How much of everything there is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Partitions of [`COLD`]; a fetch of all asks for a megabyte of each.
    pub cold_partitions: i32,
    /// Batches of each, and of its first partition.
    pub cold_batches: u32,
    pub cold_batches_first: u32,
    /// Partitions of [`SHARED`], and rounds of one small batch to each.
    pub shared_partitions: i32,
    pub shared_rounds: u32,
    /// Partitions of [`WRITTEN`].
    pub written_partitions: i32,
    /// Topics named after [`MANY`].
    pub topics: u32,
    /// Neighbours of a kind, in percent of what the long form has.
    pub crowd: usize,
    /// Neighbours take their time, as people's do.
    pub long: bool,
}

impl Size {
    /// Minutes.
    pub const LONG: Size = Size {
        cold_partitions: 60,
        cold_batches: 80,
        cold_batches_first: 800,
        shared_partitions: 300,
        shared_rounds: 4_000,
        written_partitions: 400,
        topics: 10_000,
        crowd: 100,
        long: true,
    };
    /// Seconds, with a build that is not optimized.
    pub const SHORT: Size = Size {
        cold_partitions: 20,
        cold_batches: 10,
        cold_batches_first: 200,
        shared_partitions: 300,
        shared_rounds: 30,
        written_partitions: 100,
        topics: 300,
        crowd: 25,
        long: false,
    };

    /// So many neighbours where the long form has `long` of them.
    pub fn of(&self, long: usize) -> usize {
        (long * self.crowd / 100).max(2)
    }
}

/// Bytes of a value of [`COLD`]; one to a batch.
pub const COLD_VALUE: usize = 100_000;
/// Records of a round of [`SHARED`].
const SHARED_VALUE: usize = 10;
/// Topics that one request makes.
const TOPICS_AT_ONCE: u32 = 250;

/// Makes all topics and fills those that are read.
pub fn prepare(address: SocketAddr, size: &Size) -> Result<()> {
    let mut client = Client::connect(address)?;
    client.create_topic(HOT, 1, &[("retention.bytes", "268435456")])?;
    client.create_topic(COLD, size.cold_partitions, &[])?;
    client.create_topic(SHARED, size.shared_partitions, &[])?;
    client.create_topic(WRITTEN, size.written_partitions, &[("retention.bytes", "4194304")])?;
    for partition in 0..size.cold_partitions {
        let batches = if partition == 0 { size.cold_batches_first } else { size.cold_batches };
        fill_cold(&mut client, partition, batches)?;
    }
    fill_shared(&mut client, size)?;
    make_topics(&mut client, size.topics)
}

/// Batch `number` of a partition of [`COLD`].
fn cold_batch(partition: i32, number: u32) -> Vec<u8> {
    let sender = Sender { producer: partition as u16, idempotent: None };
    content::batch(sender, number, &[COLD_VALUE], Codec::None, now_ms())
}

fn fill_cold(client: &mut Client, partition: i32, batches: u32) -> Result<()> {
    let mut taken = 0;
    for number in 0..batches {
        let batch = cold_batch(partition, number);
        client.send_produce(Produce { topic: COLD, partition, acks: ACKS_ALL, batch })?;
        while client.outstanding() >= 8 || (number + 1 == batches && client.outstanding() > 0) {
            let produced = client.receive_produced()?;
            if produced.error != 0 || produced.base_offset != taken {
                return wrong(format!("filling {COLD}: batch {taken} got {produced:?}"));
            }
            taken += 1;
        }
    }
    Ok(())
}

/// Each round is a request of its own, so that every partition's batches lie between those of all others.
fn fill_shared(client: &mut Client, size: &Size) -> Result<()> {
    let base = now_ms() - i64::from(size.shared_rounds);
    for round in 0..size.shared_rounds {
        let sender = Sender { producer: 0, idempotent: None };
        let batch = content::batch(sender, round, &[SHARED_VALUE], Codec::None, base + i64::from(round));
        let frame = asks::produce(SHARED, 0..size.shared_partitions, ACKS_ALL, &batch)?;
        client.stream().write_all(&frame)?;
        client.frame()?;
    }
    let end = client.offset(SHARED, size.shared_partitions - 1, -1)?;
    if end == i64::from(size.shared_rounds) { Ok(()) } else { wrong(format!("{SHARED} ends at {end}")) }
}

fn make_topics(client: &mut Client, count: u32) -> Result<()> {
    let mut made = 0;
    while made < count {
        let now = TOPICS_AT_ONCE.min(count - made);
        for number in made..made + now {
            client.stream().write_all(&create_frame(&format!("{MANY}-{number}"), 1, 1)?)?;
        }
        for _ in 0..now {
            client.frame()?;
        }
        made += now;
    }
    let last = format!("{MANY}-{}", count - 1);
    match client.offset(&last, 0, -1) {
        Ok(_) => Ok(()),
        Err(Failure::Refused { code, .. }) => wrong(format!("topic {last} was not made: error {code}")),
        Err(failure) => Err(failure),
    }
}
