//! A follower that was away while much was written: how fast it catches up, and what that costs producers.

use super::load::{ends, fill, open};
use super::nodes::Nodes;
use super::{Plan, RECOVERY_MAX, plain};
use crate::content::{self, Sender};
use crate::failure::{Failure, Result, wrong};
use crate::kill::now_ms;
use crate::report::{Report, ms, percentiles};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use torc_client::{Acks, Outgoing, Patience};
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
/// Between two small batches of the producer that is watched.
const PACE: Duration = Duration::from_millis(5);
/// Asked of a follower: part of the disk's bandwidth, and what the p99 of producers may become.
const BANDWIDTH_MIN: f64 = 0.6;
const P99_MAX: f64 = 2.0;
/// With less than this the figures say little and are reported only.
const GRADED_BYTES: u64 = 2 << 30;
/// The disk's bandwidth is measured with so much.
const PROBE_BYTES: usize = 256 << 20;
/// After it has come back, until leaders are where they were.
const SETTLE: Duration = Duration::from_secs(8);
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
    fill(&nodes, TOPIC, PARTITIONS, plan.bytes)?;
    report.number("written_gib", plan.bytes as f64 / (1u64 << 30) as f64);
    report.number("writing_mb_per_s", rate(plan.bytes, began.elapsed()));
    let disk = disk_bandwidth(&plan.cluster.dir)?;
    report.number("disk_mb_per_s", disk);
    let goal = ends(&nodes, TOPIC, PARTITIONS, None)?;
    if goal.len() != usize::from(PARTITIONS) {
        return wrong(format!("not all partitions say where they end: {goal:?}"));
    }
    let stop = AtomicBool::new(false);
    let mut topic = open(&nodes, TOPIC)?;
    let mut spans = Vec::new();
    let (latencies, time) = thread::scope(|scope| -> Result<_> {
        let watched = scope.spawn(|| watch(&mut topic, &stop));
        let result = phases(plan, &mut nodes, away, &goal, &mut spans);
        stop.store(true, Ordering::Relaxed);
        let latencies = watched.join().expect("a producer does not panic")?;
        Ok((latencies, result?))
    })?;
    let bandwidth = rate(plan.bytes, time);
    report.number("catch_up_ms", ms(time));
    report.number("catch_up_mb_per_s", bandwidth);
    let graded = plan.bytes >= GRADED_BYTES;
    if graded {
        let told = format!("{bandwidth:.0} of {disk:.0} MB/s");
        report.demand("it catches up at 0.6 of the disk's bandwidth", bandwidth >= BANDWIDTH_MIN * disk, told);
    }
    let mut seen = BTreeMap::new();
    for span in spans {
        let mut within: Vec<Duration> =
            latencies.iter().filter(|(at, _)| (span.from..span.to).contains(at)).map(|(_, took)| *took).collect();
        seen.insert(span.name, p99(&mut within));
        percentiles(&mut report, &format!("producer_{}", span.name), &mut within);
    }
    if let (Some(Some(before)), Some(Some(during))) = (seen.get("before"), seen.get("meanwhile"))
        && graded
    {
        let told = format!("{:.1} ms, {:.1} before", ms(*during), ms(*before));
        let is_bounded = during.as_secs_f64() <= P99_MAX * before.as_secs_f64();
        report.demand("producers' p99 stays within twice its value before", is_bounded, told);
    }
    report.demand("the node that was away has all that was written", true, format!("{} MiB", plan.bytes >> 20));
    nodes.stop_all()?;
    Ok(report)
}

/// A part of the time in which the producer is watched.
struct Span {
    name: &'static str,
    from: Instant,
    to: Instant,
}

/// The node comes back, and then plain files are written and read at the rate at which it caught up: what the machine makes of that.
/// Returns how long it took to catch up.
fn phases(
    plan: &AwayPlan,
    nodes: &mut Nodes,
    away: u32,
    goal: &BTreeMap<i32, i64>,
    spans: &mut Vec<Span>,
) -> Result<Duration> {
    let mut span = |name, from| spans.push(Span { name, from, to: Instant::now() });
    let began = Instant::now();
    thread::sleep(plan.before);
    span("before", began);
    let returns = Instant::now();
    come_back(nodes, away, goal)?;
    let time = returns.elapsed();
    span("meanwhile", returns);
    if plan.bytes < GRADED_BYTES {
        return Ok(time);
    }
    // Leaders go back to where they were.
    thread::sleep(SETTLE);
    let began = Instant::now();
    thread::sleep(plan.before);
    span("afterwards", began);
    let mut began = Instant::now();
    let wanted = plan.bytes as f64 / time.as_secs_f64().max(1e-9);
    let dir = plan.cluster.dir.join("plain");
    std::fs::create_dir(&dir)?;
    plain::load(&dir, wanted, plan.before, || began = Instant::now())?;
    span("beside_plain_files", began);
    Ok(time)
}

fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64().max(1e-9)
}

fn p99(latencies: &mut [Duration]) -> Option<Duration> {
    latencies.sort();
    let beyond = latencies.len() / 100;
    // Too few batches carry no percentile.
    (beyond >= 2).then(|| latencies[latencies.len() - 1 - beyond])
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

/// Starts the node, and waits until it has all that the others had.
fn come_back(nodes: &mut Nodes, away: u32, goal: &BTreeMap<i32, i64>) -> Result<()> {
    nodes.start_all(RECOVERY_MAX)?;
    let began = Instant::now();
    loop {
        // It may not be told of yet.
        let has = ends(nodes, TOPIC, PARTITIONS, Some(away)).unwrap_or_default();
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
