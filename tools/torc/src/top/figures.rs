//! What two looks at `/metrics` say about the time between them.

use super::scrape::{Group, Histogram, Scrape};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Stages of a produce, in the order of its way, as the server calls them.
pub const PRODUCE: [&str; 8] = ["receive", "hop", "queue", "wal_wait", "flush", "quorum", "reply", "total"];
/// Those of a fetch, and the flush of a log's batch.
pub const OTHERS: [&str; 3] = ["fetch_read", "fetch_total", "torc_wal_flush"];

/// Rates of a server in one interval.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// The interval's length.
    pub seconds: f64,
    /// Of the server, with its commit; here as below, `None` is what it does not tell.
    pub version: Option<String>,
    pub uptime_seconds: Option<f64>,
    /// CPU seconds per second of the whole process.
    pub cpu_cores: Option<f64>,
    pub resident_bytes: Option<f64>,
    /// Of the data directory's file system.
    pub disk_free_bytes: Option<f64>,
    pub disk_size_bytes: Option<f64>,
    /// Nodes of a cluster, in the order in which they were named; empty if there is one.
    pub nodes: Vec<Node>,
    pub all: Rates,
    /// By shard.
    pub shards: BTreeMap<u16, Rates>,
    /// By topic; those that the server does not count one by one are `(others)`.
    pub topics: BTreeMap<String, TopicRates>,
    /// Consumer groups.
    pub groups: BTreeMap<String, GroupRates>,
}

/// What one topic took in and gave out, per second; MB are 10^6 bytes.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct TopicRates {
    pub records_in: f64,
    pub mb_in: f64,
    pub records_out: f64,
    pub mb_out: f64,
}

/// How a consumer group comes on.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct GroupRates {
    pub state: Option<String>,
    pub members: Option<f64>,
    /// Records that it has not committed yet; `None`: of some topic nobody knows.
    pub lag: Option<f64>,
    /// Records that it committed, per second; less than 0 if it went back.
    pub committed: f64,
}

/// One node of a cluster.
#[derive(Debug, Serialize)]
pub struct Node {
    pub address: String,
    /// Why it does not answer.
    pub silent: Option<String>,
    /// CPU seconds per second of the whole process.
    pub cpu_cores: Option<f64>,
    /// All of its shards; `None` until it has answered twice.
    pub rates: Option<Rates>,
}

/// What one shard did, or all together. Per second where it does not say otherwise; MB are 10^6 bytes.
#[derive(Debug, Default, Serialize)]
pub struct Rates {
    /// CPU seconds per second of the shard's thread, or of those of all shards.
    pub cpu_cores: Option<f64>,
    /// That are open now.
    pub connections: f64,
    pub requests: f64,
    pub slow_requests: f64,
    pub records_in: f64,
    pub mb_in: f64,
    pub records_out: f64,
    pub mb_out: f64,
    /// Batches that the log wrote: each is a flush.
    pub flushes: f64,
    /// Bytes on disk of such a batch, padding included; 0 if there was none.
    pub batch_bytes: f64,
    /// Entries in it.
    pub batch_entries: f64,
    /// Shards that take nothing more after a failed write, and those that refuse producers for lack of space.
    pub fenced: f64,
    pub disk_full: f64,
    /// Memory of the log's newest batches, of what was read from disk, of requests, and of answers that wait for their sockets.
    pub log_memory_bytes: f64,
    pub read_memory_bytes: f64,
    pub request_memory_bytes: f64,
    pub answer_memory_bytes: f64,
    /// Shards of other nodes to which there are links, those that were lost, and MB that left over them.
    pub links: f64,
    pub links_lost: f64,
    pub mb_to_nodes: f64,
    /// By stage; those without requests are left out.
    pub stages: BTreeMap<String, Times>,
}

/// Times of one stage, in microseconds.
#[derive(Debug, PartialEq, Serialize)]
pub struct Times {
    /// Requests (batches, for the log's flush) per second.
    pub rate: f64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

impl Figures {
    /// What happened from `before` to `after`. Of a server that was restarted between, all since its start.
    pub fn between(before: &Scrape, after: &Scrape) -> Figures {
        let seconds = after.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let of = |shards: &[u16]| rates(before, after, seconds, shards);
        let ids = after.shards();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let cpu = |scrape: &Scrape| scrape.of_process("process_cpu_seconds_total");
        Figures {
            seconds,
            version: after.version.clone(),
            uptime_seconds: after.of_process("process_start_time_seconds").map(|start| (now - start).max(0.0)),
            cpu_cores: cpu(before).zip(cpu(after)).map(|(from, to)| grown(from, to) / seconds),
            resident_bytes: after.of_process("process_resident_memory_bytes"),
            disk_free_bytes: after.of_process("torc_disk_free_bytes"),
            disk_size_bytes: after.of_process("torc_disk_size_bytes"),
            nodes: Vec::new(),
            all: of(&ids),
            shards: ids.iter().map(|id| (*id, of(&[*id]))).collect(),
            groups: after
                .groups
                .iter()
                .map(|(name, group)| (name.clone(), group_rates(before, group, seconds, name)))
                .collect(),
            topics: after.topics.keys().map(|name| (name.clone(), topic_rates(before, after, seconds, name))).collect(),
        }
    }
}

/// What was seen of a node at an address.
pub type Seen = (String, Result<Scrape, String>);

/// Figures of the first node, and a line for each if there are several.
///
/// # Errors
/// The first one has not answered twice.
pub fn of_nodes(before: &[Seen], after: &[Seen]) -> Result<Figures, String> {
    let (Some((_, from)), Some((_, to))) = (before.first(), after.first()) else {
        return Err("no server is named".to_string());
    };
    let mut figures = Figures::between(from.as_ref().map_err(String::clone)?, to.as_ref().map_err(String::clone)?);
    if after.len() > 1 {
        let node = |((address, to), (_, from)): (&Seen, &Seen)| {
            let both = from.as_ref().ok().zip(to.as_ref().ok());
            let seen = both.map(|(from, to)| Figures::between(from, to));
            let cpu_cores = seen.as_ref().and_then(|figures| figures.cpu_cores);
            let rates = seen.map(|figures| figures.all);
            Node { address: address.clone(), silent: to.as_ref().err().cloned(), cpu_cores, rates }
        };
        figures.nodes = after.iter().zip(before).map(node).collect();
    }
    Ok(figures)
}

/// How far a counter has come; all of it if the server was restarted meanwhile.
fn grown(from: f64, to: f64) -> f64 {
    if to < from { to } else { to - from }
}

fn group_rates(before: &Scrape, after: &Group, seconds: f64, name: &str) -> GroupRates {
    // What is new since the last look was not committed since then: where it began nobody has said.
    let from =
        |topic: &String, to: f64| before.groups.get(name).and_then(|g| g.committed.get(topic)).copied().unwrap_or(to);
    let committed = after.committed.iter().map(|(topic, to)| *to - from(topic, *to)).sum::<f64>();
    let lag = after.committed.keys().map(|topic| after.lag.get(topic).copied()).sum();
    GroupRates { state: after.state.clone(), members: after.members, lag, committed: committed / seconds }
}

fn topic_rates(before: &Scrape, after: &Scrape, seconds: f64, topic: &str) -> TopicRates {
    let at = |scrape: &Scrape, name: &str| scrape.topics.get(topic).and_then(|of| of.get(name)).copied().unwrap_or(0.0);
    let per_second = |name: &str| grown(at(before, name), at(after, name)) / seconds;
    TopicRates {
        records_in: per_second("torc_topic_produce_records_total"),
        mb_in: per_second("torc_topic_produce_bytes_total") / 1e6,
        records_out: per_second("torc_topic_fetch_records_total"),
        mb_out: per_second("torc_topic_fetch_bytes_total") / 1e6,
    }
}

fn rates(before: &Scrape, after: &Scrape, seconds: f64, shards: &[u16]) -> Rates {
    let gauge = |name: &str| shards.iter().map(|shard| after.number(name, *shard)).sum::<f64>();
    let grown = |name: &str| {
        let of_shard = |shard: &u16| grown(before.number(name, *shard), after.number(name, *shard));
        shards.iter().map(of_shard).sum::<f64>()
    };
    let cpu = "torc_shard_cpu_seconds_total";
    let tells = shards.iter().all(|shard| after.numbers.contains_key(&(cpu.to_string(), Some(*shard))));
    let per_second = |name: &str| grown(name) / seconds;
    let batches = grown("torc_wal_batches_total");
    let per_batch = |name: &str| if batches > 0.0 { grown(name) / batches } else { 0.0 };
    let times = |stage: &&str| {
        let of_shard = |shard: &u16| {
            let key = (*shard, stage.to_string());
            Some(after.histograms.get(&key)?.since(before.histograms.get(&key)))
        };
        let all = shards.iter().filter_map(of_shard).fold(Histogram::default(), |sum, one| sum.plus(&one));
        Some((stage.to_string(), Times::of(&all, seconds)?))
    };
    Rates {
        cpu_cores: tells.then(|| per_second(cpu)),
        connections: gauge("torc_connections"),
        requests: per_second("torc_requests_total"),
        slow_requests: per_second("torc_slow_requests_total"),
        records_in: per_second("torc_produce_records_total"),
        mb_in: per_second("torc_produce_bytes_total") / 1e6,
        records_out: per_second("torc_fetch_records_total"),
        mb_out: per_second("torc_fetch_bytes_total") / 1e6,
        flushes: batches / seconds,
        batch_bytes: per_batch("torc_wal_bytes_total"),
        batch_entries: per_batch("torc_wal_entries_total"),
        fenced: gauge("torc_fenced"),
        disk_full: gauge("torc_disk_full"),
        log_memory_bytes: gauge("torc_log_memory_bytes"),
        read_memory_bytes: gauge("torc_read_memory_bytes"),
        request_memory_bytes: gauge("torc_request_memory_bytes"),
        answer_memory_bytes: gauge("torc_answer_memory_bytes"),
        links: gauge("torc_peer_links"),
        links_lost: per_second("torc_peer_links_lost_total"),
        mb_to_nodes: per_second("torc_peer_sent_bytes_total") / 1e6,
        stages: PRODUCE.iter().chain(&OTHERS).filter_map(times).collect(),
    }
}

impl Times {
    fn of(histogram: &Histogram, seconds: f64) -> Option<Times> {
        let (p50, p99) = (histogram.quantile(0.5)?, histogram.quantile(0.99)?);
        let mean = histogram.sum / histogram.count();
        let rate = histogram.count() / seconds;
        Some(Times { rate, mean_us: mean * 1e6, p50_us: p50 * 1e6, p99_us: p99 * 1e6 })
    }
}
