//! From a configuration to a running server, and to its end. Only this file and `samples.rs` name the shard and the reactor.

use crate::claims::{Claim, Claims};
use crate::cluster::{self, Entered, Peering, Stopped, knock};
use crate::config::{Config, TimestampType, WalSync};
use crate::data_dir::{self, DataDir, Opened, Wishes};
use crate::endpoint::Endpoint;
use crate::error::ServeError;
use crate::listen::Patience;
use crate::listeners::KafkaListener;
use crate::log::Log;
use crate::medium::Medium;
use crate::metrics::{self, Door};
use crate::notify::{Notify, Pulse};
use crate::outlet::{Outlet, Weight};
use crate::placement::{self, Placement};
use crate::running::Running;
use crate::samples::{self, Build, Counters, all_ready};
use crate::stop::{self, End, EndNotice, News};
use crate::{commands, described, listen, machine, room, units};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::buf::Pool;
use torc_base::ids::{NodeId, ShardId};
use torc_base::limits::{CATALOG_VOTERS_MAX, PAGE, REGISTERED_PAGES};
use torc_reactor::mail::{self, StopHandle};
use torc_reactor::places::Places;
use torc_reactor::probe::{self, Features};
use torc_reactor::resources::{Limits, Want};
use torc_reactor::{reactor, settings as loop_settings};
use torc_shard::znodes::facts::About;
use torc_shard::{
    CleanerSettings, ClusterSettings, MemoryLimits, Peer, Settings, Shard, TimestampType as TopicTimestampType,
    TopicConfig, WalSettings,
};

/// Between two looks at what is to be compacted, at least: a look takes time.
const COMPACTION_BACKOFF_MS_MIN: u64 = 100;

/// The ZooKeeper whose protocol and words are served; clients and exporters go by it.
const ZOOKEEPER_VERSION: &str = "3.9.4";

/// Memory of blocks that the tail has given up and the next batches take over, besides the registered ones.
const KEPT_BLOCKS: usize = 4 << 20;
/// How long a port in use is waited for: the kernel may still hold that of a server that was just killed.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

/// Runs a server until SIGTERM, SIGINT or SIGHUP, and drains it. What listens where goes to `out`, a line each, then
/// `ready in N ms`. The log goes to standard error. Whoever reads neither holds up nothing.
pub fn serve(config: &Config, build: Build, out: impl Write + Send + 'static) -> Result<(), ServeError> {
    let log = Log::start(config.log_level).map_err(no_thread("start the thread of the log"))?;
    log.take_panics();
    let result = run(config, build, &log, out);
    log.flush();
    result
}

fn run(config: &Config, build: Build, log: &Log, out: impl Write + Send + 'static) -> Result<(), ServeError> {
    let began = Instant::now();
    for (level, note) in &config.notes {
        log.line(*level, "torc", note);
    }
    stop::ignore_long_files()?;
    let open_files = probe::raise_open_files();
    let features = probe::probe().map_err(|refusal| ServeError::Kernel(refusal.to_string()))?;
    let placement = Placement::new(machine::cores(), placement::interrupted_core(&config.data_dir));
    let wishes = Wishes {
        node_id: config.node_id,
        shards: config.shards,
        segment_bytes: config.segment_bytes,
        members: config.members.clone(),
        joins: config.join.is_some(),
    };
    let tell = |line: &str| log.info("torc", line);
    if !DataDir::exists(&config.data_dir) {
        // A directory once made keeps its number of shards, so that one which cannot start is not made.
        check_shards(config.shards.unwrap_or(placement.default_shards()))?;
    }
    let opened = DataDir::open(&config.data_dir, &wishes, placement.default_shards(), &tell)?;
    let (shards, segment_bytes) = match &opened {
        Opened::Ready(data) => (data.identity.shards, data.identity.segment_bytes),
        Opened::Unformed(unformed) => (unformed.shards, unformed.segment_bytes),
    };
    check_fit(config, segment_bytes)?;
    check_room(&config.data_dir, shards, log)?;
    let patience = Patience { time: PORT_PATIENCE, tell: &tell };
    let (sender, news) = channel();
    let waits = matches!(opened, Opened::Unformed(_));
    if waits {
        stop::forward_signals(log.clone(), sender.clone())?;
    }
    let stopped = || matches!(news.try_recv(), Ok(News::Signal(_)));
    let Entered { data, start, peering } = match cluster::enter(config, opened, patience, log, &stopped)? {
        Ok(entered) => entered,
        Err(Stopped) => {
            log.info("torc", "told to stop before the cluster was founded or joined");
            return Ok(());
        }
    };
    let Listening { sockets, kafka, zookeeper } = listen_for_clients(config, shards, peering.as_ref(), patience)?;
    let banner =
        Outlet::start("banner", out, |_| String::new()).map_err(no_thread("start the thread of the banner"))?;

    let counters: Vec<Counters> = (0..data.identity.shards).map(|_| Counters::default()).collect();
    let stopping = Arc::new(AtomicBool::new(false));
    let source = samples::source(
        build,
        data.path.clone(),
        &counters,
        config.metrics_offsets_max,
        zookeeper.is_some(),
        &stopping,
    );
    let monitoring = start_monitoring(config, metrics::Service::new(source), patience, log)?;
    warn_of_exposure(log, &kafka, zookeeper, peering.as_ref(), monitoring);
    if !waits {
        stop::forward_signals(log.clone(), sender.clone())?;
    }
    let files = file_slots(&data, open_files, log)?;
    let places = places(config, &data, open_files, log);
    let mut claims = Claims::new("torc");
    let cores = claims.take(&placement.cores(data.identity.shards), &placement.others());
    let machine = Machine { cores, features: Arc::new(features), files, places, log: log.clone() };
    let about = about(build, zookeeper);
    let ground = Ground { config, data: &data, start, kafka: &kafka, zookeeper, about, peering: peering.as_ref() };
    let stops = start_shards(&ground, &machine, sockets, &counters, &sender)?;
    let service = Notify::from_environment().unwrap_or_else(|error| {
        log.warn("torc", &format!("cannot tell the service manager that started torc how it does: {error}"));
        Notify::default()
    });
    ask_whether_it_belongs(&ground, &sender, &stopping)?;
    let pulse = pulse(&stops, &counters, &stopping, log);
    let ask_to_stop = Box::new(move || stops.iter().for_each(StopHandle::stop));
    let mut running = Running::new(log.clone(), data.identity.shards, news, stopping, ask_to_stop);
    if running.until_ready(|| all_ready(&counters)) {
        if let Err(error) = data.note_served() {
            log.warn("torc", &format!("a shard that loses its disk would not be known at the next start: {error}"));
        }
        banner.line(Weight::Last, announcement(&ground, &machine.cores, build, monitoring, began));
        service.ready(&serving(&kafka, zookeeper));
        service.watch(pulse).map_err(no_thread("start the thread of the watchdog"))?;
        running.until_stopping();
    }
    service.stopping();
    running.until_ended()
}

/// Asks the others beside the shards whether this server is still one of them: it ends if it is not.
fn ask_whether_it_belongs(
    ground: &Ground<'_>,
    news: &Sender<News>,
    stopping: &Arc<AtomicBool>,
) -> Result<(), ServeError> {
    let Some(peering) = ground.peering.filter(|_| !ground.data.fresh) else { return Ok(()) };
    let (question, news, stopping) = (peering.knock.clone(), news.clone(), Arc::clone(stopping));
    let ask = move || {
        if let Some(why) = knock(&question, &|| !stopping.load(Ordering::Relaxed)) {
            // The receiver is gone only when the process is about to end anyway.
            let _ = news.send(News::Out(why));
        }
    };
    thread::Builder::new().name("belongs".to_string()).spawn(ask).map_err(no_thread("start a thread")).map(drop)
}

/// What the service manager shows of a server that serves.
fn serving(kafka: &[SocketAddr], zookeeper: Option<SocketAddr>) -> String {
    let addresses: Vec<String> = kafka.iter().map(SocketAddr::to_string).collect();
    let kafka = (!addresses.is_empty()).then(|| format!("Kafka clients on {}", addresses.join(", ")));
    let zookeeper = zookeeper.map(|address| format!("ZooKeeper clients on {address}"));
    format!("serving {}", kafka.into_iter().chain(zookeeper).collect::<Vec<_>>().join(" and "))
}

/// Where monitoring listens.
#[derive(Clone, Copy, Debug, Default)]
struct Monitoring {
    metrics: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

/// Starts the endpoints that the configuration has. That of ZooKeeper's commands is no reason not to start, as in ZooKeeper: its
/// port is one that others like too.
fn start_monitoring(
    config: &Config,
    service: metrics::Service,
    patience: Patience,
    log: &Log,
) -> Result<Monitoring, ServeError> {
    let metrics = config.metrics.as_ref().map(|endpoint| metrics::start(endpoint, Door::Metrics, &service, patience));
    let mut monitoring = Monitoring { metrics: metrics.transpose()?, admin: None };
    if let Some(endpoint) = config.zookeeper.admin() {
        match metrics::start(&endpoint, Door::Admin, &service, Patience::NONE) {
            Ok(address) => monitoring.admin = Some(address),
            Err(error) => log.warn("torc", &error.to_string()),
        }
    }
    Ok(monitoring)
}

/// What ZooKeeper's clients are told of this program, under the names that their tools look for.
fn about(build: Build, zookeeper: Option<SocketAddr>) -> About {
    let commit = build.commit.map_or(String::new(), |commit| format!("-{commit}"));
    let cwd = std::env::current_dir().map(|path| path.display().to_string());
    let of_process = |name: &str| std::env::var(name).unwrap_or_else(|_| "<NA>".to_string());
    let environment = [
        ("host.name", machine::host_name()),
        ("os.name", "Linux".to_string()),
        ("os.arch", std::env::consts::ARCH.to_string()),
        ("os.version", machine::kernel_release()),
        ("user.name", of_process("USER")),
        ("user.home", of_process("HOME")),
        ("user.dir", cwd.unwrap_or_else(|_| "<NA>".to_string())),
    ];
    About {
        version: format!("{ZOOKEEPER_VERSION}-torc-{}{commit}, built on unknown", build.version),
        environment: environment.map(|(name, value)| (name.to_string(), value)).to_vec(),
        client_port: zookeeper.map_or(0, |address| address.port()),
        ..About::default()
    }
}

/// How the watchdog sees the shards.
fn pulse(stops: &[StopHandle], counters: &[Counters], stopping: &Arc<AtomicBool>, log: &Log) -> Pulse {
    let (stops, counters, stopping) = (stops.to_vec(), counters.to_vec(), Arc::clone(stopping));
    let log = log.clone();
    Pulse {
        turns: Box::new(move || counters.iter().map(|counters| counters.reactor.turns.get()).collect()),
        wake: Box::new(move || stops.iter().for_each(StopHandle::wake)),
        goes_on: Box::new(move || !stopping.load(Ordering::Relaxed)),
        stuck: Box::new(move |shard| {
            let text = "it does not turn: the service manager will be told that torc is alive when it does again";
            log.warn(&format!("shard {shard}"), text);
        }),
    }
}

/// What is listened on.
struct Listening {
    /// For each shard: those for Kafka's clients, that for other servers, that for ZooKeeper's clients.
    sockets: Vec<Vec<TcpListener>>,
    /// Addresses for clients, in the order of the configuration.
    kafka: Vec<SocketAddr>,
    zookeeper: Option<SocketAddr>,
}

/// Opens all listeners of the configuration.
fn listen_for_clients(
    config: &Config,
    shards: u16,
    peering: Option<&Peering>,
    patience: Patience,
) -> Result<Listening, ServeError> {
    let mut by_shard: Vec<Vec<TcpListener>> = (0..shards).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for KafkaListener { listen, .. } in &config.kafka {
        let sockets = listen::shared("kafka", listen, "--kafka", shards, patience)?;
        addresses.push(sockets[0].local_addr().map_err(io_error("ask for the port"))?);
        by_shard.iter_mut().zip(sockets).for_each(|(of_shard, socket)| of_shard.push(socket));
    }
    for (of_shard, socket) in by_shard.iter_mut().zip(peering.iter().flat_map(|peering| &peering.sockets)) {
        of_shard.push(socket.try_clone().map_err(io_error("listen for other servers"))?);
    }
    let mut zookeeper = None;
    if let Some(listen) = config.zookeeper.listens() {
        let sockets = listen::shared("zookeeper", &listen, "--zookeeper", shards, patience)?;
        zookeeper = Some(sockets[0].local_addr().map_err(io_error("ask for the port"))?);
        by_shard.iter_mut().zip(sockets).for_each(|(of_shard, socket)| of_shard.push(socket));
    }
    Ok(Listening { sockets: by_shard, kafka: addresses, zookeeper })
}

/// What a server is, and where it is reached.
struct Ground<'a> {
    config: &'a Config,
    data: &'a DataDir,
    /// Drawn at this start of the process.
    start: u64,
    /// Addresses for clients, in the order of the configuration's listeners.
    kafka: &'a [SocketAddr],
    zookeeper: Option<SocketAddr>,
    about: About,
    peering: Option<&'a Peering>,
}

/// What all shards share of the machine.
struct Machine {
    /// Of each shard.
    cores: Vec<Claim>,
    features: Arc<Features>,
    /// File slots of each shard's log.
    files: u32,
    /// For connections.
    places: Arc<Places>,
    log: Log,
}

/// Names a failed call that takes a descriptor, or nothing.
fn io_error(what: &'static str) -> impl Fn(io::Error) -> ServeError {
    move |error| ServeError::Io { what, want: Want::Descriptor, error }
}

/// Names a thread that could not be started.
fn no_thread(what: &'static str) -> impl Fn(io::Error) -> ServeError {
    move |error| ServeError::Io { what, want: Want::Thread, error }
}

/// Refuses settings that this data directory cannot hold.
fn check_fit(config: &Config, segment_bytes: u64) -> Result<(), ServeError> {
    let max = wal_settings(config, segment_bytes, 0).entry_bytes_max();
    let total = machine::space(&config.data_dir).map_err(io_error("ask for the free space"))?.total;
    if let Some(reserve) = config.disk_reserve_bytes.filter(|reserve| *reserve >= total) {
        return Err(ServeError::Settings(format!(
            "`torc.disk.reserve.bytes` cannot be {}: the file system of {} has {} in all; lower it",
            units::size(reserve),
            config.data_dir.display(),
            units::rounded_size(total)
        )));
    }
    if config.message_max_bytes as usize <= max {
        return Ok(());
    }
    Err(ServeError::Settings(format!(
        "`message.max.bytes` cannot be {}: the log's segments are of {} (fixed when {} was made) and hold record batches \
         of up to {max} bytes; lower it, or make a new data directory with larger segments (torc.wal.segment.bytes)",
        config.message_max_bytes,
        units::size(segment_bytes),
        config.data_dir.display()
    )))
}

fn check_shards(shards: u16) -> Result<(), ServeError> {
    room::refusal(&Limits::here(), shards).map_or(Ok(()), |why| Err(ServeError::Settings(why)))
}

/// Refuses more shards than this process may have, and says what may become scarce.
fn check_room(path: &Path, shards: u16, log: &Log) -> Result<(), ServeError> {
    check_shards(shards)?;
    if let Some(text) = room::warning(&Limits::here(), shards) {
        log.warn("torc", &text);
    }
    if let Some(text) = Medium::of(path).warning(path) {
        log.warn("torc", &text);
    }
    Ok(())
}

/// How many files the log of a shard may have.
fn file_slots(data: &DataDir, open_files: u64, log: &Log) -> Result<u32, ServeError> {
    let space = machine::space(&data.path).map_err(io_error("ask for the free space"))?;
    let (slots, warning) = room::file_slots(open_files, space.total, data.identity.segment_bytes, data.identity.shards);
    if let Some(text) = warning {
        log.warn("torc", &text);
    }
    Ok(slots)
}

/// Room for connections, whichever shard they come to.
fn places(config: &Config, data: &DataDir, open_files: u64, log: &Log) -> Arc<Places> {
    let asked = Some(config.connections_max).filter(|max| *max < i32::MAX as u32);
    let (max, reason) = room::connections(open_files, data.identity.shards, asked);
    if let Some(asked) = asked.filter(|asked| *asked as usize > max) {
        log.warn("torc", &format!("max.connections is {asked}, but {max} are served at once, {reason}"));
    }
    Places::new(max, reason)
}

/// There is no TLS and no authentication: said where others than this machine can connect.
fn warn_of_exposure(
    log: &Log,
    kafka: &[SocketAddr],
    zookeeper: Option<SocketAddr>,
    peering: Option<&Peering>,
    monitoring: Monitoring,
) {
    for kafka in kafka.iter().filter(|kafka| !kafka.ip().is_loopback()) {
        let text = format!(
            "{kafka} is open to others, without TLS and without authentication: whoever reaches it can read, write and delete \
             everything; let only a network that you trust reach it, or listen on 127.0.0.1"
        );
        log.warn("torc", &text);
    }
    if let Some(peering) = peering.filter(|peering| !peering.listens.ip().is_loopback()) {
        let text = format!(
            "{} is open to others, without TLS and without authentication: whoever reaches it can pass for a server of the \
             cluster; let only its servers reach it",
            peering.listens
        );
        log.warn("torc", &text);
    }
    if let Some(zookeeper) = zookeeper.filter(|zookeeper| !zookeeper.ip().is_loopback()) {
        let text = format!(
            "{zookeeper} is open to others, without TLS: whoever reaches it can change every znode whose access list does not say \
             otherwise; let only a network that you trust reach it, or listen on 127.0.0.1"
        );
        log.warn("torc", &text);
    }
    if let Some(admin) = monitoring.admin.filter(|admin| !admin.ip().is_loopback()) {
        log.warn("torc", &format!("{admin} shows ZooKeeper's clients and watches to whoever reaches it"));
    }
    if let Some(metrics) = monitoring.metrics.filter(|metrics| !metrics.ip().is_loopback()) {
        log.warn(
            "torc",
            &format!("{metrics} shows the metrics to whoever reaches it, without TLS and without authentication"),
        );
    }
}

/// What listens where.
fn announcement(ground: &Ground<'_>, cores: &[Claim], build: Build, monitoring: Monitoring, began: Instant) -> String {
    let Ground { config, data, kafka, zookeeper, peering, .. } = *ground;
    let id = &data.identity;
    let mut text = format!("torc {} node {} cluster {}\n", build.version, id.node_id, id.cluster_id);
    let told = advertised(config, kafka, &machine::host_name());
    for ((address, listener), (host, port)) in kafka.iter().zip(&config.kafka).zip(told) {
        let name = if kafka.len() > 1 { format!(" ({})", listener.name) } else { String::new() };
        text += &format!("kafka {address}{name}\n");
        text += &format!("advertised {}{name}\n", Endpoint { host, port });
    }
    if let Some(zookeeper) = zookeeper {
        text += &format!("zookeeper {zookeeper}\n");
    }
    if let Some(peering) = peering {
        text += &peers(config, peering);
    }
    if let Some(metrics) = monitoring.metrics {
        text += &format!("metrics http://{metrics}/metrics\n");
    }
    if let Some(admin) = monitoring.admin {
        text += &format!("zookeeper commands http://{admin}{}\n", commands::PATH);
    }
    let free = machine::space(&data.path).map(|space| format!(", {} free", units::rounded_size(space.free)));
    let path = std::path::absolute(&data.path).unwrap_or_else(|_| data.path.clone());
    let made = if data.fresh { ", made now" } else { "" };
    text += &format!("data {}{made}{}\n", path.display(), free.unwrap_or_default());
    text += &format!("shards {}, {}; log segments of {}\n", id.shards, on(cores), units::size(id.segment_bytes));
    text += &match (Medium::of(&data.path).not_durable(), config.wal_sync) {
        (Some(why), _) => format!("not durable: {why}\n"),
        (None, WalSync::Adaptive) => {
            "durable before it is acknowledged, by RWF_DSYNC or fdatasync, whichever is faster\n".to_string()
        }
        (None, WalSync::Dsync) => "durable before it is acknowledged, by RWF_DSYNC\n".to_string(),
        (None, WalSync::WriteFdatasync) => "durable before it is acknowledged, by write and fdatasync\n".to_string(),
    };
    text += &format!("ready in {} ms\n", began.elapsed().as_millis());
    text
}

/// The cores of the shards, as people say it.
fn on(cores: &[Claim]) -> String {
    let bound: Vec<String> = cores.iter().filter_map(|claim| claim.core()).map(|core| core.to_string()).collect();
    match (bound.len(), bound.len() < cores.len()) {
        (0, _) => "on any core, as other servers have taken theirs".to_string(),
        (_, true) => format!("on core {} and any other, as other servers have taken the rest", bound.join(", ")),
        (1, _) => format!("on core {}", bound[0]),
        _ => format!("on cores {}", bound.join(", ")),
    }
}

/// Who the others are, and how soon one that is dead is known to be.
fn peers(config: &Config, peering: &Peering) -> String {
    let others: Vec<String> = peering.others.iter().map(|(node, address)| format!("{node}={address}")).collect();
    let (beat, beats) = (config.peer_beat_ms, config.peer_silent_beats);
    format!(
        "peer {}\npeers {}; one that is silent is noticed after {} ms ({beats} beats of {beat} ms), a broken connection at once\n",
        peering.listens,
        others.join(","),
        beat * u64::from(beats)
    )
}

/// One pinned thread to each shard.
fn start_shards(
    ground: &Ground<'_>,
    machine: &Machine,
    listeners: Vec<Vec<TcpListener>>,
    counters: &[Counters],
    news: &Sender<News>,
) -> Result<Vec<StopHandle>, ServeError> {
    let Ground { config, data, .. } = *ground;
    let posts = mail::mesh(data.identity.shards).map_err(io_error("connect the shards"))?;
    let mut stops = Vec::new();
    for ((id, post), (listeners, counters)) in (0..).zip(posts).zip(listeners.into_iter().zip(counters)) {
        stops.push(post.stop_handle());
        assert!(counters.waker.set(post.stop_handle()).is_ok(), "a shard starts once");
        let mut settings = loop_settings::LoopSettings::new(ShardId(id), data.shard(id));
        let claim = machine.cores[usize::from(id)];
        settings.core = claim.core();
        settings.listeners = listeners;
        settings.files_max = machine.files;
        settings.places = Arc::clone(&machine.places);
        settings.sync = match config.wal_sync {
            WalSync::Adaptive => loop_settings::Sync::Adaptive,
            WalSync::Dsync => loop_settings::Sync::Dsync,
            WalSync::WriteFdatasync => loop_settings::Sync::WriteThenFdatasync,
        };
        // A spinning shard would keep another one from the core that they share.
        settings.spin_us = if matches!(claim, Claim::Own(_)) { config.spin_us } else { 0 };
        settings.hold = Some(data.lock().map_err(io_error("share the lock of the data directory"))?);
        let blocks = Pool::with_arena(usize::MAX, KEPT_BLOCKS, PAGE, REGISTERED_PAGES);
        settings.registered = Some(blocks.clone());
        settings.turns = Arc::clone(&counters.shard.turns);
        let app = Shard::new(shard_settings(ground, id, blocks)?, Arc::clone(&counters.shard));
        let (features, loop_stats) = (Arc::clone(&machine.features), Arc::clone(&counters.reactor));
        let thread = Arc::clone(&counters.thread);
        let (notice, log) = (EndNotice::new(id, news.clone()), machine.log.clone());
        let run = move || {
            thread.store(machine::thread_id(), Ordering::Relaxed);
            let name = format!("shard {id}");
            let mut log = |level, text: &str| log.line(level, &name, text);
            let end = match reactor::run(settings, &features, post, app, loop_stats, &mut log) {
                Ok(app) => app.refused().map_or(End::Drained, |why| End::Refused(why.to_string())),
                Err(error) => End::Refused(error.to_string()),
            };
            notice.end(end);
        };
        let builder = thread::Builder::new().name(format!("shard-{id}"));
        builder.spawn(run).map_err(no_thread("start the thread of a shard"))?;
    }
    Ok(stops)
}

fn wal_settings(config: &Config, segment_bytes: u64, total_space: u64) -> WalSettings {
    WalSettings {
        segment_bytes,
        batches_in_flight: config.wal_batches_in_flight as usize,
        tail_bytes: config.tail_cache_bytes as usize,
        read_ahead_bytes: config.read_ahead_bytes as usize,
        reserve_bytes: config.disk_reserve_bytes.unwrap_or(data_dir::reserve_bytes_for(total_space)),
        cleaner: CleanerSettings {
            enabled: config.cleaner_enable,
            dead_percent: u64::from(config.cleaner_dead_percent),
            sort_after_ms: config.cleaner_sort_after_ms,
            bytes_per_second: config.cleaner_bytes_per_second,
            ..CleanerSettings::default()
        },
        ..WalSettings::default()
    }
}

/// What topics that say nothing go by.
pub(crate) fn topic_defaults(config: &Config) -> TopicConfig {
    TopicConfig {
        retention_ms: config.log_retention_ms,
        retention_bytes: config.log_retention_bytes,
        max_message_bytes: config.message_max_bytes,
        timestamp_type: match config.timestamp_type {
            TimestampType::CreateTime => TopicTimestampType::CreateTime,
            TimestampType::LogAppendTime => TopicTimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.timestamp_before_max_ms,
        timestamp_after_max_ms: config.timestamp_after_max_ms,
        min_insync_replicas: config.min_insync_replicas,
        cleanup_policy: config.cleanup_policy,
        delete_retention_ms: config.delete_retention_ms,
        min_compaction_lag_ms: config.min_compaction_lag_ms,
        max_compaction_lag_ms: config.max_compaction_lag_ms,
        dirty_ppm: config.min_cleanable_ppm,
        ..TopicConfig::default()
    }
}

fn shard_settings(ground: &Ground<'_>, shard: u16, log_blocks: Pool) -> Result<Settings, ServeError> {
    let Ground { config, data, kafka, peering, .. } = *ground;
    let space = machine::space(&data.path).map_err(io_error("ask for the free space"))?;
    let seed = u64::from_le_bytes(machine::random().map_err(io_error("get randomness"))?);
    let wal = wal_settings(config, data.identity.segment_bytes, space.total);
    let advertised = advertised(config, kafka, &machine::host_name());
    let described = described::settings(config, data, &advertised, wal.reserve_bytes);
    Ok(Settings {
        node: NodeId(data.identity.node_id),
        cluster: cluster_settings(ground),
        default_replication: config.replication,
        shard: ShardId(shard),
        shards: data.identity.shards,
        cluster_id: data.identity.cluster_id.clone(),
        listeners: listeners(advertised, peering.map(|peering| reached(data, peering)), ground.zookeeper),
        seed,
        wal,
        log_blocks,
        auto_create_topics: config.auto_create_topics,
        num_partitions: config.num_partitions,
        request_max_bytes: config.socket_request_max_bytes as usize,
        topic_defaults: topic_defaults(config),
        moves_at_once: (config.moves_at_once / u32::from(data.identity.shards.max(1))).max(1) as usize,
        // A little is not nothing, which would be no limit.
        move_bytes_per_second: config.move_bytes_per_second.div_ceil(data.identity.shards.max(1).into()),
        retention_check_interval_ms: config.log_retention_check_interval_ms,
        compaction_backoff_ms: config.cleaner_backoff_ms.max(COMPACTION_BACKOFF_MS_MIN),
        compaction_keys_bytes: config.cleaner_keys_bytes as usize / usize::from(data.identity.shards.max(1)),
        producer_expiration_ms: config.producer_id_expiration_ms,
        coordinator: Arc::new(config.coordinator.clone()),
        offsets_partitions: config.offsets_partitions,
        offsets_replication: config.offsets_replication,
        // "Never" is further off than any clock reaches.
        connection_idle_ms: u64::try_from(config.connections_max_idle_ms).unwrap_or(u64::MAX),
        fetch_sessions: config.fetch_sessions_max as usize,
        memory: MemoryLimits::default(),
        move_after: config.connection_move_after,
        slow_request_ms: config.slow_request_ms,
        drain_ms: config.drain_ms,
        data_dir: data.path.to_string_lossy().into_owned(),
        described,
        zookeeper: ground.zookeeper.map(|_| config.zookeeper.settings(ground.about.clone())),
    })
}

fn cluster_settings(ground: &Ground<'_>) -> ClusterSettings {
    let Ground { config, data, start, peering, .. } = *ground;
    ClusterSettings {
        id: data.identity.membership.as_ref().map_or(0, |membership| membership.founding.cluster),
        peers: others(peering),
        founders: founders(data),
        disk: data.identity.membership.as_ref().map_or(0, |membership| membership.disk),
        voters: voters(data),
        start,
        doubt: peering.and_then(|peering| peering.doubt),
        rack: config.rack.clone(),
        replica_lag_ms: config.replica_lag_max_ms as u64,
        rack_reads: config.rack_reads,
        beat_ms: config.peer_beat_ms,
        silent_beats: config.peer_silent_beats,
        newest_version: u16::MAX,
        founding: peering.map_or_else(Vec::new, |peering| peering.answer.clone()),
    }
}

fn others(peering: Option<&Peering>) -> Vec<Peer> {
    let peer = |(node, address): &(u32, SocketAddr)| Peer { node: NodeId(*node), address: *address };
    peering.iter().flat_map(|peering| &peering.others).map(peer).collect()
}

/// Those that founded the cluster, with their disks; none of a single server.
fn founders(data: &DataDir) -> Vec<(NodeId, u128)> {
    let founding = data.identity.membership.iter().flat_map(|membership| &membership.founding.founders);
    founding.map(|(node, disk)| (NodeId(*node), *disk)).collect()
}

/// The founders with the lowest numbers decide on the catalog in the beginning.
fn voters(data: &DataDir) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = founders(data).iter().map(|(node, _)| *node).collect();
    if nodes.is_empty() {
        nodes.push(NodeId(data.identity.node_id));
    }
    nodes.truncate(CATALOG_VOTERS_MAX);
    nodes
}

/// Those for clients first, as their sockets are.
fn listeners(
    advertised: Vec<(String, u16)>,
    peer: Option<(String, u16)>,
    zookeeper: Option<SocketAddr>,
) -> Vec<torc_shard::Listener> {
    let kafka = advertised.into_iter().map(|(host, port)| torc_shard::Listener::kafka(host, port));
    let peer = peer.map(|advertised| torc_shard::Listener { protocol: torc_shard::Protocol::Peer, advertised });
    let zookeeper = zookeeper.map(|address| torc_shard::Listener {
        protocol: torc_shard::Protocol::ZooKeeper,
        advertised: (address.ip().to_string(), address.port()),
    });
    kafka.chain(peer).chain(zookeeper).collect()
}

/// Where the other servers reach this one.
fn reached(data: &DataDir, peering: &Peering) -> (String, u16) {
    let membership = data.identity.membership.as_ref();
    named(peering.listens, membership.and_then(|membership| membership.address(data.identity.node_id)))
}

/// The host and port that others are told of a server that listens there, and stands so in the list of servers: a wildcard is nobody's
/// address.
pub(crate) fn named(listens: SocketAddr, listed: Option<&Endpoint>) -> (String, u16) {
    match listed.filter(|_| listens.ip().is_unspecified()) {
        Some(Endpoint { host, port }) => (host.clone(), *port),
        None => (listens.ip().to_string(), listens.port()),
    }
}

/// The host and port that clients of each listener are told. `addresses` are listened on, `host_name` is this host's.
pub fn advertised(config: &Config, addresses: &[SocketAddr], host_name: &str) -> Vec<(String, u16)> {
    let told = |(listener, address): (&KafkaListener, &SocketAddr)| {
        let Endpoint { host, port } = listener.advertised.as_ref().unwrap_or(&listener.listen);
        // An address that is advertised is no wildcard, but may leave the host out.
        let named = !host.is_empty() && (listener.advertised.is_some() || !listener.listen.is_wildcard());
        let host = if named { host.clone() } else { host_name.to_string() };
        (host, if *port == 0 { address.port() } else { *port })
    };
    config.kafka.iter().zip(addresses).map(told).collect()
}
