//! What the metrics endpoint shows: the counters of shards and their loops, of topics, of the data directory's disk, of the process.
//! What cannot be read is left out, never shown as nothing.

use crate::machine::{self, Process};
use crate::metrics::{Kind, Sample, Source, Times};
use crate::{lag, sizes, znodes};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use torc_base::limits::TOPIC_METRICS_MAX;
use torc_base::turns::Work;
use torc_reactor::mail::StopHandle;
use torc_reactor::resources::Limits;
use torc_reactor::stats::LoopStats;
use torc_shard::{Counts, Histogram, Stage, Stats};

/// Label of what topics beyond [`TOPIC_METRICS_MAX`] do together; no topic can be called so.
pub const OTHER_TOPICS: &str = "(others)";
const _: () = assert!(TOPIC_METRICS_MAX == 200, "the help texts below name it");

/// The program that serves.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    pub version: &'static str,
    /// Short hash of the commit, with `-modified` if the sources were not those of it; `None` outside of a checkout.
    pub commit: Option<&'static str>,
}

/// What a shard and its loop count.
#[derive(Clone, Default)]
pub struct Counters {
    pub shard: Arc<Stats>,
    pub reactor: Arc<LoopStats>,
    /// The kernel's number of its thread; 0 until that runs.
    pub thread: Arc<AtomicU32>,
    /// What makes it turn, once it has been made.
    pub waker: Arc<OnceLock<StopHandle>>,
}

/// What the endpoints show of a server. `ready`: all shards serve, and it is not stopping. `offsets_max`: see [`lag::samples`].
pub fn source(
    build: Build,
    data: PathBuf,
    counters: &[Counters],
    offsets_max: usize,
    with_zookeeper: bool,
    stopping: &Arc<AtomicBool>,
) -> Source {
    let (for_samples, for_times, for_ready) = (counters.to_vec(), counters.to_vec(), counters.to_vec());
    let stopping = Arc::clone(stopping);
    let samples = move || {
        let mut samples = of_process(build);
        samples.extend(of_disk(&data));
        samples.extend((0..).zip(&for_samples).flat_map(|(shard, counters)| of_shard(shard, counters)));
        samples.extend(of_topics(for_samples.iter().map(|counters| counters.shard.topics.read())));
        samples.extend(sizes::samples(&for_samples));
        samples.extend(lag::samples(&for_samples, offsets_max));
        if with_zookeeper {
            samples.extend(znodes::samples(&for_samples));
        }
        samples
    };
    let times = move || (0..).zip(&for_times).flat_map(|(shard, counters)| times_of(shard, &counters.shard)).collect();
    Source {
        samples: Box::new(samples),
        times: Box::new(times),
        bounds: Histogram::bounds().collect(),
        ready: Box::new(move || !stopping.load(Ordering::Relaxed) && all_ready(&for_ready)),
        commands: with_zookeeper.then(|| znodes::commands(counters.to_vec())),
    }
}

/// True if all shards serve.
pub fn all_ready(counters: &[Counters]) -> bool {
    counters.iter().all(|counters| counters.shard.ready.load(Ordering::Acquire))
}

fn sample(name: &str, help: &'static str, kind: Kind, value: f64) -> Sample {
    Sample { name: name.to_string(), help, kind, labels: Vec::new(), value }
}

/// The program and its process, under the names that Prometheus' client libraries use.
fn of_process(build: Build) -> Vec<Sample> {
    let info = sample("torc_build_info", "The program, by its labels; always 1.", Kind::Gauge, 1.0);
    let commit = build.commit.unwrap_or("unknown");
    let info = Sample { labels: vec![("version", build.version.to_string()), ("commit", commit.to_string())], ..info };
    let Process { cpu_seconds, start_seconds, virtual_bytes, resident_bytes, open_files } = Process::here();
    let rows = [
        ("process_cpu_seconds_total", "CPU time of this process, user and system.", Kind::Counter, cpu_seconds),
        ("process_start_time_seconds", "When this process started, since the epoch.", Kind::Gauge, start_seconds),
        ("process_virtual_memory_bytes", "Address space of this process.", Kind::Gauge, virtual_bytes),
        ("process_resident_memory_bytes", "Memory of this process.", Kind::Gauge, resident_bytes),
        ("process_open_fds", "File descriptors of this process.", Kind::Gauge, open_files),
        ("process_max_fds", "File descriptors that it may have.", Kind::Gauge, Limits::here().files.map(|n| n as f64)),
    ];
    let rows = rows.into_iter().filter_map(|(name, help, kind, value)| Some(sample(name, help, kind, value?)));
    [info].into_iter().chain(rows).collect()
}

fn of_disk(data: &std::path::Path) -> Vec<Sample> {
    let Ok(space) = machine::space(data) else { return Vec::new() };
    let (free, size) =
        ("What is free of the data directory's file system.", "Size of the data directory's file system.");
    vec![
        sample("torc_disk_free_bytes", free, Kind::Gauge, space.free as f64),
        sample("torc_disk_size_bytes", size, Kind::Gauge, space.total as f64),
    ]
}

fn of_shard(shard: u16, counters: &Counters) -> Vec<Sample> {
    let of_shard = counters.shard.each().into_iter().map(|(name, help, kind, value)| {
        let kind = if kind == "gauge" { Kind::Gauge } else { Kind::Counter };
        sample(&format!("torc_{name}"), help, kind, value as f64)
    });
    let of_loop = counters.reactor.each().into_iter().map(|(name, help, value)| {
        let name = format!("torc_loop_{name}_total");
        sample(&name, help, Kind::Counter, value as f64)
    });
    let thread = counters.thread.load(Ordering::Relaxed);
    let cpu = machine::cpu_seconds_of_thread(thread);
    let help = "CPU time of the shard's thread, user and system.";
    let cpu = cpu.map(|seconds| sample("torc_shard_cpu_seconds_total", help, Kind::Counter, seconds));
    let labels = vec![("shard", shard.to_string())];
    let of_work = Work::ALL.iter().map(|work| {
        let help = "Time of the turns that torc_long_turn_seconds counts, by the work that took it.";
        let seconds = counters.shard.turns.spent_ns(*work) as f64 / 1e9;
        let work = vec![("work", work.name().to_string())];
        Sample { labels: work, ..sample("torc_long_turn_work_seconds_total", help, Kind::Counter, seconds) }
    });
    let all = of_shard.chain(of_loop).chain(cpu).chain(of_work);
    all.map(|sample| Sample { labels: [labels.clone(), sample.labels].concat(), ..sample }).collect()
}

/// A topic's partitions lie on many shards: what each counted is added up.
pub fn of_topics(shards: impl Iterator<Item = (Vec<(String, Counts)>, Counts)>) -> Vec<Sample> {
    let mut topics: BTreeMap<String, Counts> = BTreeMap::new();
    for (named, others) in shards {
        let others =
            [(OTHER_TOPICS.to_string(), others)].into_iter().filter(|(_, counts)| *counts != Counts::default());
        for (name, counts) in named.into_iter().chain(others) {
            let sum = topics.entry(name).or_default();
            sum.records_in += counts.records_in;
            sum.bytes_in += counts.bytes_in;
            sum.records_out += counts.records_out;
            sum.bytes_out += counts.bytes_out;
        }
    }
    let rows = |(name, counts): (&String, &Counts)| {
        let rows = [
            (
                "torc_topic_produce_records_total",
                "Records that were appended, by topic; those beyond 200 together, as (others).",
                counts.records_in,
            ),
            (
                "torc_topic_produce_bytes_total",
                "Bytes of record batches that were appended, by topic; those beyond 200 together, as (others).",
                counts.bytes_in,
            ),
            (
                "torc_topic_fetch_records_total",
                "Records in batches that were read for consumers, by topic; those beyond 200 together, as (others).",
                counts.records_out,
            ),
            (
                "torc_topic_fetch_bytes_total",
                "Bytes of record batches that were read for consumers, by topic; those beyond 200 together, as (others).",
                counts.bytes_out,
            ),
        ];
        let labels = vec![("topic", name.clone())];
        rows.map(|(name, help, value)| {
            let sample = sample(name, help, Kind::Counter, value as f64);
            Sample { labels: labels.clone(), ..sample }
        })
    };
    topics.iter().flat_map(rows).collect()
}

/// The histograms of a shard.
fn times_of(shard: u16, stats: &Stats) -> Vec<Times> {
    let times = |name, help, of, histogram: &Histogram| {
        let (buckets, sum_ns) = histogram.read();
        Times { name, help, shard, of, buckets, sum_ns }
    };
    let help = "Where the time of answered requests went, counted by the shard of the connection; total and fetch_total \
                are the whole of a produce and of a fetch.";
    let of_stage =
        |stage: &Stage| times("torc_stage_seconds", help, Some(("stage", stage.name())), stats.stages.of(*stage));
    let help = "From handing a batch of the shard's log to the disk until it is durable.";
    let flush = times("torc_wal_flush_seconds", help, None, &stats.wal_flush);
    let help = "Turns of the shard's loop that took a millisecond or more, by the work that took most of each: all others wait meanwhile. \
                usual: the first one in five seconds, of which only rare work was measured.";
    // What has never taken long is left out: each is some fifty lines.
    let works = Work::ALL.iter().filter(|work| stats.turns.long(**work).read().1 > 0);
    let of_work =
        |work: &Work| times("torc_long_turn_seconds", help, Some(("work", work.name())), stats.turns.long(*work));
    Stage::ALL.iter().map(of_stage).chain([flush]).chain(works.map(of_work)).collect()
}
