//! From a configuration to a running server, and to its end. The only file that names the shard and the reactor.

use crate::config::{Config, TimestampType, WalSync};
use crate::data_dir::{self, DataDir, DataDirError, Wishes};
use crate::endpoint::Endpoint;
use crate::listen::{self, ListenError};
use crate::log::Log;
use crate::metrics::{self, Kind, Sample};
use crate::stop::{self, End, EndNotice, News, signal_name};
use crate::{machine, units};
use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::ids::{NodeId, ShardId};
use torc_reactor::probe::{self, Features};
use torc_reactor::stats::LoopStats;
use torc_reactor::{mail, reactor, settings};
use torc_shard as shard;

/// How often a starting server looks whether its shards are ready.
const READY_POLL: Duration = Duration::from_millis(1);
/// What requests in the log may take to be answered after a stop is asked for.
const DRAIN_MS: u64 = 5_000;
/// What the other shards may take to drain after one has failed.
const DRAIN_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Why a server did not start, or did not go on.
#[derive(Debug)]
pub enum ServeError {
    /// The kernel lacks something; the text says what is needed.
    Kernel(String),
    /// The operating system refused.
    Io { what: &'static str, error: io::Error },
    /// See [`DataDirError`].
    DataDir(DataDirError),
    /// See [`ListenError`].
    Listen(ListenError),
    /// Settings that do not fit this data directory.
    Settings(String),
    /// A shard refused to start, or had to stop.
    Shard { shard: u16, why: String },
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Kernel(why) | ServeError::Settings(why) => f.write_str(why),
            ServeError::Io { what, error } => write!(f, "cannot {what}: {error}"),
            ServeError::DataDir(error) => error.fmt(f),
            ServeError::Listen(error) => error.fmt(f),
            ServeError::Shard { shard, why } => write!(f, "shard {shard}: {why}"),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<DataDirError> for ServeError {
    fn from(error: DataDirError) -> ServeError {
        ServeError::DataDir(error)
    }
}

impl From<ListenError> for ServeError {
    fn from(error: ListenError) -> ServeError {
        ServeError::Listen(error)
    }
}

/// Runs a server until SIGTERM or SIGINT, and drains it. What listens where goes to `out`, a line each, then
/// `ready in N ms`. The log goes to standard error.
pub fn serve(config: &Config, out: &mut dyn Write) -> Result<(), ServeError> {
    let began = Instant::now();
    let log = Log::new(config.log_level);
    for note in &config.notes {
        log.warn("torc", note);
    }
    let features = probe::probe().map_err(|refusal| ServeError::Kernel(refusal.to_string()))?;
    if let Err(error) = machine::raise_open_files() {
        log.warn("torc", &format!("cannot raise the limit of open files: {error}"));
    }
    let cores = machine::cores();
    let wishes = Wishes { node_id: config.node_id, shards: config.shards, segment_bytes: config.segment_bytes };
    let data = DataDir::open(&config.data_dir, wishes, cores.len())?;
    check_fit(config, &data)?;
    let listeners = listen::shared("kafka", &config.kafka, "--kafka", data.identity.shards)?;
    let kafka = listeners[0].local_addr().map_err(|error| ServeError::Io { what: "ask for the port", error })?;
    let (sender, news) = channel();
    stop::forward_signals(log, sender.clone()).map_err(|error| ServeError::Io { what: "catch signals", error })?;

    let stats: Vec<Arc<shard::Stats>> = (0..data.identity.shards).map(|_| Arc::default()).collect();
    let loops: Vec<Arc<LoopStats>> = (0..data.identity.shards).map(|_| Arc::default()).collect();
    let stopping = Arc::new(AtomicBool::new(false));
    let metrics = match &config.metrics {
        Some(endpoint) => Some(metrics::start(endpoint, metrics_source(&stats, &loops, &stopping))?),
        None => None,
    };
    let counters = (&stats[..], &loops[..]);
    let stops = start_shards(config, &data, &cores, &features, listeners, counters, &sender, log)?;
    let mut running = Running { log, news, left: stops.len(), stops, stopping, failure: None };
    if running.until_ready(&stats) {
        announce(config, &data, kafka, metrics, began, out);
        running.until_stopping();
    }
    running.until_ended()
}

/// Refuses settings that this data directory cannot hold.
fn check_fit(config: &Config, data: &DataDir) -> Result<(), ServeError> {
    let (message, segment) = (u64::from(config.message_max_bytes), data.identity.segment_bytes);
    if message > segment / 2 {
        return Err(ServeError::Settings(format!(
            "`message.max.bytes` ({}) is more than half of a log segment ({}, fixed when {} was made): lower it, or make \
             a new data directory with larger segments (torc.wal.segment.bytes)",
            units::size(message),
            units::size(segment),
            data.path.display()
        )));
    }
    Ok(())
}

/// Says what listens where. A closed standard output is no reason to stop, so errors are dropped.
fn announce(
    config: &Config,
    data: &DataDir,
    kafka: SocketAddr,
    metrics: Option<SocketAddr>,
    began: Instant,
    out: &mut dyn Write,
) {
    let id = &data.identity;
    let mut text = format!("torc {} node {} cluster {}\n", env!("CARGO_PKG_VERSION"), id.node_id, id.cluster_id);
    text += &format!("kafka {kafka}\n");
    if let Some(metrics) = metrics {
        text += &format!("metrics http://{metrics}/metrics\n");
    }
    let free = machine::space(&data.path).map(|space| format!(", {} free", units::rounded_size(space.free)));
    text += &format!("data {}{}\n", data.path.display(), free.unwrap_or_default());
    text += &format!("shards {}, log segments of {}\n", id.shards, units::size(id.segment_bytes));
    text += match config.wal_sync {
        WalSync::Dsync => "durable before it is acknowledged, by RWF_DSYNC\n",
        WalSync::WriteFdatasync => "durable before it is acknowledged, by write and fdatasync\n",
    };
    text += &format!("ready in {} ms\n", began.elapsed().as_millis());
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What the metrics endpoint shows: every shard's counters, and the process's.
fn metrics_source(
    stats: &[Arc<shard::Stats>],
    loops: &[Arc<LoopStats>],
    stopping: &Arc<AtomicBool>,
) -> metrics::Source {
    let (for_samples, for_ready, stopping) = (stats.to_vec(), stats.to_vec(), Arc::clone(stopping));
    let loops = loops.to_vec();
    let samples = move || {
        let mut samples = Vec::new();
        for (shard, stats) in for_samples.iter().enumerate() {
            samples.extend(stats.each().into_iter().map(|(name, help, kind, value)| {
                let kind = if kind == "counter" { Kind::Counter } else { Kind::Gauge };
                Sample { name, help, kind, shard: Some(shard as u16), value }
            }));
            samples.extend(loops[shard].each().into_iter().map(|(name, help, value)| Sample {
                name,
                help,
                kind: Kind::Counter,
                shard: Some(shard as u16),
                value,
            }));
        }
        samples.push(Sample {
            name: "process_resident_memory_bytes",
            help: "Memory of this process.",
            kind: Kind::Gauge,
            shard: None,
            value: machine::resident_bytes().unwrap_or(0),
        });
        samples
    };
    let ready = move || !stopping.load(Ordering::Relaxed) && for_ready.iter().all(|s| s.ready.load(Ordering::Relaxed));
    metrics::Source { samples: Box::new(samples), ready: Box::new(ready) }
}

/// One pinned thread to each shard. More shards than cores share them in turn.
fn start_shards(
    config: &Config,
    data: &DataDir,
    cores: &[usize],
    features: &Features,
    listeners: Vec<TcpListener>,
    (stats, loops): (&[Arc<shard::Stats>], &[Arc<LoopStats>]),
    news: &Sender<News>,
    log: Log,
) -> Result<Vec<mail::StopHandle>, ServeError> {
    let failed = |what| move |error| ServeError::Io { what, error };
    let posts = mail::mesh(data.identity.shards).map_err(failed("connect the shards"))?;
    let port = listeners[0].local_addr().map_err(failed("ask for the port"))?.port();
    let mut stops = Vec::new();
    for (id, (post, listener)) in (0..).zip(posts.into_iter().zip(listeners)) {
        stops.push(post.stop_handle());
        let mut settings = settings::Settings::new(ShardId(id), data.shard(id));
        settings.core = Some(cores[usize::from(id) % cores.len()]);
        settings.listener = Some(listener);
        settings.sync = match config.wal_sync {
            WalSync::Dsync => settings::Sync::Dsync,
            WalSync::WriteFdatasync => settings::Sync::WriteThenFdatasync,
        };
        // A spinning shard would only keep the other one from its core.
        settings.spin_us = if data.identity.shards as usize > cores.len() { 0 } else { config.spin_us };
        let seed = u64::from_le_bytes(machine::random().map_err(failed("get randomness"))?);
        let space = machine::space(&data.path).map_err(failed("ask for the free space"))?;
        let shard_settings = shard_settings(config, data, id, port, seed, space);
        let (features, counters) = (features.clone(), Arc::clone(&loops[usize::from(id)]));
        let (stats, notice) = (Arc::clone(&stats[usize::from(id)]), EndNotice::new(id, news.clone()));
        let run = move || {
            let name = format!("shard {id}");
            let app = shard::Shard::new(shard_settings, stats);
            let lines = &mut |level, text: &str| log.line(level, &name, text);
            let end = match reactor::run(settings, &features, post, app, counters, lines) {
                Ok(app) => app.refused().map_or(End::Drained, |why| End::Refused(why.to_owned())),
                Err(error) => End::Refused(error.to_string()),
            };
            notice.end(end);
        };
        thread::Builder::new().name(format!("shard-{id}")).spawn(run).map_err(failed("start a shard's thread"))?;
    }
    Ok(stops)
}

fn shard_settings(
    config: &Config,
    data: &DataDir,
    shard: u16,
    port: u16,
    seed: u64,
    space: machine::Space,
) -> shard::Settings {
    let defaults = shard::TopicConfig::default();
    shard::Settings {
        node: NodeId(data.identity.node_id),
        shard: ShardId(shard),
        shards: data.identity.shards,
        cluster_id: data.identity.cluster_id.clone(),
        advertised: advertised(config, port, machine::host_name()),
        seed,
        wal: shard::WalSettings {
            segment_bytes: data.identity.segment_bytes,
            batches_in_flight: config.wal_batches_in_flight as usize,
            tail_bytes: config.tail_cache_bytes as usize,
            reserve_bytes: config.disk_reserve_bytes.unwrap_or(data_dir::reserve_bytes_for(space.total)),
            ..shard::WalSettings::default()
        },
        auto_create_topics: config.auto_create_topics,
        num_partitions: config.num_partitions,
        request_max_bytes: config.socket_request_max_bytes as usize,
        topic_defaults: shard::TopicConfig {
            retention_ms: config.log_retention_ms,
            retention_bytes: config.log_retention_bytes,
            max_message_bytes: config.message_max_bytes,
            timestamp_type: match config.timestamp_type {
                TimestampType::CreateTime => shard::TimestampType::CreateTime,
                TimestampType::LogAppendTime => shard::TimestampType::LogAppendTime,
            },
            min_insync_replicas: config.min_insync_replicas,
            ..defaults
        },
        retention_check_interval_ms: config.log_retention_check_interval_ms,
        producer_expiration_ms: config.producer_id_expiration_ms as i64,
        connection_idle_ms: u64::try_from(config.connections_max_idle_ms).unwrap_or(u64::MAX),
        fetch_sessions: config.fetch_sessions_max as usize,
        drain_ms: DRAIN_MS,
        data_dir: data.path.display().to_string(),
        described: config.described(),
    }
}

/// The host and port that clients are told. `port` is what is listened on, `host_name` this host's.
pub fn advertised(config: &Config, port: u16, host_name: String) -> (String, u16) {
    let Endpoint { host, port: asked } = config.advertised.as_ref().unwrap_or(&config.kafka).clone();
    let host = if config.kafka.is_wildcard() && config.advertised.is_none() { host_name } else { host };
    let port = if asked == 0 { port } else { asked };
    (host, port)
}

/// A server whose shards have been started.
struct Running {
    log: Log,
    news: Receiver<News>,
    stops: Vec<mail::StopHandle>,
    /// Shards that have not ended.
    left: usize,
    /// Shared with the metrics endpoint, which is not ready from here on.
    stopping: Arc<AtomicBool>,
    failure: Option<ServeError>,
}

impl Running {
    /// Waits until all shards serve; false if the server is stopping before that.
    fn until_ready(&mut self, stats: &[Arc<shard::Stats>]) -> bool {
        while !self.is_stopping() {
            if stats.iter().all(|stats| stats.ready.load(Ordering::Acquire)) {
                return true;
            }
            match self.news.recv_timeout(READY_POLL) {
                Ok(news) => self.take(news),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("the signal thread never ends"),
            }
        }
        false
    }

    fn until_stopping(&mut self) {
        while !self.is_stopping() {
            let news = self.news.recv().expect("the signal thread never ends");
            self.take(news);
        }
    }

    /// Waits for the shards to drain; without limit if it was asked for (a second signal ends that), for a moment
    /// if one of them failed.
    fn until_ended(mut self) -> Result<(), ServeError> {
        let mut give_up = None;
        while self.left > 0 {
            if self.failure.is_some() && give_up.is_none() {
                give_up = Some(Instant::now() + DRAIN_AFTER_FAILURE);
            }
            let wait = give_up.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
            match self.news.recv_timeout(wait) {
                Ok(news) => self.take(news),
                Err(RecvTimeoutError::Timeout) if give_up.is_none() => {}
                Err(_) => {
                    self.log.warn("torc", &format!("{} shards did not drain in time", self.left));
                    break;
                }
            }
        }
        match self.failure {
            Some(failure) => Err(failure),
            None => {
                self.log.info("torc", "drained");
                Ok(())
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn take(&mut self, news: News) {
        match news {
            News::Signal(signal) => {
                self.log.info("torc", &format!("{}: draining", signal_name(signal)));
                self.stop();
            }
            News::Ended { shard, end } => {
                self.left -= 1;
                let why = match end {
                    End::Drained if self.is_stopping() => return,
                    End::Drained => "it ended without being asked".to_string(),
                    End::Refused(why) => why,
                    End::Panicked => "its thread panicked".to_string(),
                };
                // The first one is the reason that the process ends with; the others are told here.
                match self.failure {
                    Some(_) => self.log.error(&format!("shard {shard}"), &why),
                    None => self.failure = Some(ServeError::Shard { shard, why }),
                }
                self.stop();
            }
        }
    }

    fn stop(&mut self) {
        if !self.stopping.swap(true, Ordering::Relaxed) {
            for stop in &self.stops {
                stop.stop();
            }
        }
    }
}
