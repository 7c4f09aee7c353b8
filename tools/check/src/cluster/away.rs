//! A follower that was away while much was written: how fast it catches up, and what that costs producers.

use super::load::open;
use super::nodes::Nodes;
use super::{Plan, RECOVERY_MAX};
use crate::content::{self, Sender};
use crate::failure::{Failure, Result, wrong};
use crate::kill::now_ms;
use crate::report::{Report, ms};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use torc_client::{Acks, LATEST, Outgoing, Patience, topic_name};
use torc_net::kafka::records::Codec;

/// What to run.
#[derive(Clone, Debug)]
pub struct AwayPlan {
    /// Nodes, shards and directory are taken from it.
    pub cluster: Plan,
    /// Written while one node is away.
    pub bytes: u64,
    /// How long producers are watched before it comes back.
    pub before: Duration,
}

const TOPIC: &str = "away";
const PARTITIONS: u16 = 4;
const BATCH_BYTES: usize = 1_000_000;
/// Between two small batches of the producer that is watched.
const PACE: Duration = Duration::from_millis(5);
/// Asked of a follower: part of the disk's bandwidth, and what the p99 of producers may become.
const BANDWIDTH_MIN: f64 = 0.6;
const P99_MAX: f64 = 2.0;
/// With less than this the figures say little and are reported only.
const GRADED_BYTES: u64 = 2 << 30;
/// Where a node's own log ends, whoever leads, is told to whoever asks as this replica.
const ANY_REPLICA: BrokerId = BrokerId(-2);
/// The disk's bandwidth is measured with so much.
const PROBE_BYTES: usize = 256 << 20;
const CATCH_UP_MAX: Duration = Duration::from_secs(600);

fn patience() -> Patience {
    Patience::new(RECOVERY_MAX, || false).pauses(super::load::RETRY.0, super::load::RETRY.1)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Wrong(error.to_string())
}

/// Writes while a node is away, and lets it come back.
pub fn run(plan: &AwayPlan) -> Result<Report> {
    let mut report = Report::new("away");
    let mut nodes = Nodes::new(&plan.cluster, &[])?;
    nodes.start_all(RECOVERY_MAX)?;
    nodes.create(TOPIC, PARTITIONS + 1)?;
    let away = *nodes.running().last().expect("there are nodes");
    nodes.kill(away)?;
    let began = Instant::now();
    fill(&nodes, plan.bytes)?;
    report.number("written_gib", plan.bytes as f64 / (1u64 << 30) as f64);
    report.number("writing_mb_per_s", rate(plan.bytes, began.elapsed()));
    let disk = disk_bandwidth(&plan.cluster.dir)?;
    report.number("disk_mb_per_s", disk);
    let goal = ends(&nodes, None)?;
    if goal.len() != usize::from(PARTITIONS) {
        return wrong(format!("not all partitions say where they end: {goal:?}"));
    }
    let stop = AtomicBool::new(false);
    let mut topic = open(&nodes, TOPIC)?;
    let (before, during, time) = thread::scope(|scope| -> Result<_> {
        let watched = scope.spawn(|| watch(&mut topic, &stop));
        thread::sleep(plan.before);
        let returns = Instant::now();
        let caught_up = come_back(&mut nodes, away, &goal);
        let time = returns.elapsed();
        stop.store(true, Ordering::Relaxed);
        let latencies = watched.join().expect("a producer does not panic")?;
        caught_up?;
        let (before, during): (Vec<_>, Vec<_>) = latencies.into_iter().partition(|(at, _)| *at < returns);
        Ok((p99(before), p99(during), time))
    })?;
    let bandwidth = rate(plan.bytes, time);
    report.number("catch_up_ms", ms(time));
    report.number("catch_up_mb_per_s", bandwidth);
    let graded = plan.bytes >= GRADED_BYTES;
    if graded {
        let told = format!("{bandwidth:.0} of {disk:.0} MB/s");
        report.demand("it catches up at 0.6 of the disk's bandwidth", bandwidth >= BANDWIDTH_MIN * disk, told);
    }
    match (before, during) {
        (Some(before), Some(during)) => {
            report.number("producer_p99_before_ms", ms(before));
            report.number("producer_p99_meanwhile_ms", ms(during));
            if graded {
                let told = format!("{:.1} ms, {:.1} before", ms(during), ms(before));
                let is_bounded = during.as_secs_f64() <= P99_MAX * before.as_secs_f64();
                report.demand("producers' p99 stays within twice its value before", is_bounded, told);
            }
        }
        // Too few batches carry a percentile.
        _ => report.not_measured(&["producer_p99_before_ms", "producer_p99_meanwhile_ms"]),
    }
    report.demand("the node that was away has all that was written", true, format!("{} MiB", plan.bytes >> 20));
    nodes.stop_all()?;
    Ok(report)
}

fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64().max(1e-9)
}

fn p99(mut latencies: Vec<(Instant, Duration)>) -> Option<Duration> {
    latencies.sort_by_key(|(_, latency)| *latency);
    let beyond = latencies.len() / 100;
    (beyond >= 2).then(|| latencies[latencies.len() - 1 - beyond].1)
}

/// One large batch to each partition at a time, until so much is written.
fn fill(nodes: &Nodes, bytes: u64) -> Result<()> {
    let mut topic = open(nodes, TOPIC)?;
    let mut written = 0;
    while written < bytes {
        let batch = |partition: u16| {
            let sender = Sender { producer: partition, idempotent: None };
            let batch = content::batch(sender, 0, &[BATCH_BYTES], Codec::None, now_ms());
            Outgoing { partition: partition.into(), batch: batch.into(), outcome: None }
        };
        let mut batches: Vec<Outgoing> = (0..PARTITIONS).map(batch).collect();
        topic.produce(&mut batches, Acks::All, &mut patience()).map_err(failed)?;
        if let Some(Err(refusal)) = batches.iter().find_map(|batch| batch.outcome.as_ref().filter(|o| o.is_err())) {
            return wrong(refusal.to_string());
        }
        written += u64::from(PARTITIONS) * BATCH_BYTES as u64;
    }
    Ok(())
}

/// Small batches to a partition of their own: when each was sent, and how long it took.
fn watch(topic: &mut torc_client::Topic, stop: &AtomicBool) -> Result<Vec<(Instant, Duration)>> {
    let mut latencies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let sender = Sender { producer: PARTITIONS, idempotent: None };
        let batch = content::batch(sender, 0, &[content::VALUE_MIN.max(100)], Codec::None, now_ms());
        let mut batches = [Outgoing { partition: PARTITIONS.into(), batch: batch.into(), outcome: None }];
        let sent = Instant::now();
        topic.produce(&mut batches, Acks::All, &mut patience()).map_err(failed)?;
        latencies.push((sent, sent.elapsed()));
        thread::sleep(PACE);
    }
    Ok(latencies)
}

/// Where the logs of the large partitions end: on one node, or where they are led.
fn ends(nodes: &Nodes, on: Option<u32>) -> Result<BTreeMap<i32, i64>> {
    let mut client = nodes.client()?;
    let leaders = nodes.leaders(TOPIC)?;
    let mut ends = BTreeMap::new();
    for partition in 0..i32::from(PARTITIONS) {
        let asked = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(LATEST);
        let topic = ListOffsetsTopic::default().with_name(topic_name(TOPIC)).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_replica_id(ANY_REPLICA).with_topics(vec![topic]);
        let Some(node) = on.map(|node| node as i32).or_else(|| leaders.get(&partition).copied()) else { continue };
        client.metadata(Some(&[])).map_err(failed)?;
        let answer = client.broker(node).and_then(|broker| broker.call(&request)).map_err(failed)?;
        let told = answer.topics.iter().flat_map(|topic| &topic.partitions).find(|part| part.error_code == 0);
        if let Some(told) = told {
            ends.insert(partition, told.offset);
        }
    }
    Ok(ends)
}

/// Starts the node, and waits until it has all that the others had.
fn come_back(nodes: &mut Nodes, away: u32, goal: &BTreeMap<i32, i64>) -> Result<()> {
    nodes.start_all(RECOVERY_MAX)?;
    let began = Instant::now();
    loop {
        // It may not be told of yet.
        let has = ends(nodes, Some(away)).unwrap_or_default();
        if goal.iter().all(|(partition, end)| has.get(partition).is_some_and(|has| has >= end)) {
            return Ok(());
        }
        if began.elapsed() > CATCH_UP_MAX {
            return wrong(format!("node {away} has {has:?} of {goal:?} after {} s", CATCH_UP_MAX.as_secs()));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// What this disk writes when it is asked for one large file, flushed at the end, in MB/s.
fn disk_bandwidth(dir: &Path) -> Result<f64> {
    let path = dir.join("bandwidth");
    let mut file = File::create(&path)?;
    let piece = vec![7; 4 << 20];
    let began = Instant::now();
    for _ in 0..PROBE_BYTES / piece.len() {
        file.write_all(&piece)?;
    }
    file.sync_data()?;
    let rate = rate(PROBE_BYTES as u64, began.elapsed());
    std::fs::remove_file(path)?;
    Ok(rate)
}
