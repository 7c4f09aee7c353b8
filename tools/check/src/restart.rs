//! Restart with a long log: ready within seconds, and everything can be read.

use crate::content::{self, Sender};
use crate::failure::{Result, wrong};
use crate::process::{Launch, Server};
use crate::report::{Report, ms};
use crate::wire::{ACKS_ALL, Client, Produce, batches};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use torc_base::crc::crc32c;
use torc_base::prng::Prng;
use torc_net::kafka::records::Codec;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    /// Bytes of log.
    pub bytes: u64,
    pub shards: u16,
}

const TOPIC: &str = "long";
const PARTITIONS: i32 = 4;
const READY_MAX: Duration = Duration::from_secs(5);
/// Sizes of batches in turn; all of a partition and size are the same bytes, which makes them cheap to check.
const SIZES: [usize; 3] = [1_000_000, 40_000, 900];
const IN_FLIGHT: usize = 5;
/// Places of each partition that are read back after a restart.
const SAMPLES: u32 = 20;

/// Writes, kills, restarts, reads; then the same after SIGTERM.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report::new("restart");
    let launch = Launch::new(&plan.torc, &plan.dir).shards(Some(plan.shards));
    let mut server = launch.start()?;
    Client::connect(server.kafka)?.create_topic(TOPIC, PARTITIONS, &[])?;
    let began = Instant::now();
    let address = server.kafka;
    let share = plan.bytes / PARTITIONS as u64;
    let ends: Vec<i64> = thread::scope(|scope| {
        let hands: Vec<_> = (0..PARTITIONS).map(|p| scope.spawn(move || fill(address, p, share))).collect();
        hands.into_iter().map(|hand| hand.join().expect("no panic")).collect::<Result<_>>()
    })?;
    report.number("log_gib", server.metric("torc_wal_bytes_total")? / (1u64 << 30) as f64);
    report.number("writing_s", began.elapsed().as_secs_f64());
    server.kill()?;
    let mut server = verified(&launch, "kill -9", &ends, &mut report)?;
    let began = Instant::now();
    server.stop()?;
    report.number("stopping_ms", ms(began.elapsed()));
    let mut server = verified(&launch, "SIGTERM", &ends, &mut report)?;
    server.stop()?;
    Ok(report)
}

fn verified(launch: &Launch, how: &str, ends: &[i64], report: &mut Report) -> Result<Server> {
    let server = launch.start()?;
    report.number(format!("restart_after_{how}_ms"), ms(server.ready));
    report.number(format!("resident_after_{how}_mib"), server.memory()?.0 as f64 / 1048576.0);
    report.demand_within(format!("ready after {how}"), server.ready, READY_MAX);
    let mut good = 0;
    for (partition, end) in ends.iter().enumerate() {
        good += sample(server.kafka, partition as i32, *end)?;
    }
    report.demand(format!("samples of the log after {how}"), good > 0, format!("{good} batches are as written"));
    Ok(server)
}

/// The batch at `offset` of a partition: one record each.
fn batch(partition: i32, offset: i64) -> Vec<u8> {
    let size = SIZES[(offset % SIZES.len() as i64) as usize];
    content::batch(Sender { producer: partition as u16, idempotent: None }, size as u32, &[size], Codec::None, 0)
}

/// Produces until `share` bytes are acknowledged; the offset behind the last.
fn fill(address: SocketAddr, partition: i32, share: u64) -> Result<i64> {
    let mut client = Client::connect(address)?;
    let made: Vec<Vec<u8>> = (0..SIZES.len()).map(|n| batch(partition, n as i64)).collect();
    let (mut sent, mut offset, mut bytes) = (0usize, 0, 0);
    loop {
        while bytes < share && client.outstanding() < IN_FLIGHT {
            let batch = made[sent % made.len()].clone();
            bytes += batch.len() as u64;
            sent += 1;
            client.send_produce(Produce { topic: TOPIC, partition, acks: ACKS_ALL, batch })?;
        }
        if client.outstanding() == 0 {
            return Ok(offset);
        }
        let produced = client.receive_produced()?;
        if produced.error != 0 || produced.base_offset != offset {
            return wrong(format!("partition {partition}: {produced:?} where offset {offset} was due"));
        }
        offset += 1;
    }
}

/// Reads batches at the begin, the end and random places; how many were as written.
fn sample(address: SocketAddr, partition: i32, end: i64) -> Result<u32> {
    let mut client = Client::connect(address)?;
    let told = client.offset(TOPIC, partition, -1)?;
    if told != end {
        return wrong(format!("partition {partition} ends at {told}, acknowledged was up to {end}"));
    }
    let mut prng = Prng::new(end as u64);
    let mut good = 0;
    let middle: Vec<i64> = (0..SAMPLES).map(|_| prng.below(end as u64) as i64).collect();
    for from in [0, end - 1].into_iter().chain(middle) {
        let fetched = client.fetch(TOPIC, &[(partition, from)], 3 << 20, 500)?;
        let part = fetched.into_iter().next().map_or_else(|| wrong("an empty answer"), Ok)?;
        let got = batches(part.records)?;
        if got.first().is_none_or(|(first, _)| first.base_offset != from) {
            return wrong(format!("partition {partition} offset {from} cannot be read, error {}", part.error));
        }
        for (n, (found, bytes)) in got.iter().enumerate() {
            let written = batch(partition, from + n as i64);
            // The records, without what the server fills in.
            if found.crc != crc32c(&written[21..]) || bytes[21..] != written[21..] {
                return wrong(format!("partition {partition} offset {}: other bytes than written", found.base_offset));
            }
            good += 1;
        }
    }
    Ok(good)
}
