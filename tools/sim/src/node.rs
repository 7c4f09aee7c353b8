//! The production shard in the simulator's hands: small settings, so that a short run sees everything.

use crate::cables::{PEER_PORT, address};
use crate::cluster::{self, Budget, ClusterStory, NODES, Seat, Voter};
use crate::run::{self, Failure, Look, Report, Shown, Start, Subject};
use crate::story::Story;
use crate::trail::Trail;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use torc_base::buf::Pool;
use torc_base::ids::{NodeId, ShardId};
use torc_base::limits::{COMPACTION_KEY_BYTES, PAGE, SEGMENT_BYTES_MIN};
use torc_shard::{
    ClusterSettings, GroupMarks, Listener, Mail, MemoryLimits, Peer, Protocol, Settings, Shard, SnapshotSettings,
    Stats, TopicConfig, WalSettings, ZooKeeperSettings,
};

/// Memory of a shard: so little that every run meets the limits.
const FRAMES: usize = 2 << 20;
const ANSWERS: usize = 256 << 10;
const READS: usize = 1 << 20;
/// Memory of the log's blocks that waits for the next ones.
const BLOCKS_KEPT: usize = 1 << 20;
/// What requests and answers may hold: small requests are taken whole, and so is one answer that cannot be cut.
const MEMORY_MAX: u64 = (FRAMES + ANSWERS + (4 << 20)) as u64;

/// A shard as `start` says.
pub fn make(start: &Start) -> Shard {
    Shard::new(settings(start), Arc::new(Stats::default()))
}

/// One of a node of a cluster.
fn make_seat(seat: &Seat) -> Shard {
    let id = |node: usize| NodeId(node as u32 + 1);
    let peers = (0..seat.founders).filter(|node| *node != seat.node);
    let founders = (0..seat.founders).map(|node| (id(node), Budget::first_disk(node)));
    let alone = seat.founders == 1;
    let mut listeners = vec![
        Listener::kafka(format!("node-{}", seat.node + 1), 9092),
        Listener { protocol: Protocol::Peer, advertised: (format!("node-{}", seat.node + 1), PEER_PORT) },
    ];
    listeners.extend(znodes_listener(&seat.shard));
    let settings = Settings {
        node: id(seat.node),
        cluster: ClusterSettings {
            id: if alone { 0 } else { 7 },
            peers: peers.map(|node| Peer { node: id(node), address: address(node) }).collect(),
            founders: if alone { Vec::new() } else { founders.collect() },
            disk: if alone { 0 } else { seat.disk },
            voters: (0..seat.founders.min(5)).map(id).collect(),
            start: seat.start,
            doubt: seat.is_replaced.then_some(seat.disk as u64),
            newest_version: seat.newest_version,
            ..ClusterSettings::alone(id(seat.node))
        },
        offsets_replication: seat.founders.min(3) as i16,
        listeners,
        ..settings(&seat.shard)
    };
    Shard::new(settings, Arc::new(Stats::default()))
}

fn settings(start: &Start) -> Settings {
    let wal = WalSettings {
        segment_bytes: start.segment_bytes,
        tail_bytes: start.tail_bytes,
        reserve_bytes: start.reserve_bytes,
        spare_segments: 1 + (start.seed % 2) as usize,
        batches_in_flight: 1 + (start.seed >> 8) as usize % 6,
        cleaner: start.cleaner,
        read_memory: READS << (start.seed >> 24 & 3),
        read_ahead_bytes: READS / 4,
        ..WalSettings::default()
    };
    // Clocks jump in a run, timestamps do not.
    let topic_defaults = TopicConfig { timestamp_after_max_ms: i64::MAX, ..TopicConfig::default() };
    Settings {
        node: NodeId(1),
        cluster: ClusterSettings::alone(NodeId(1)),
        default_replication: None,
        shard: ShardId(start.shard as u16),
        shards: start.shards as u16,
        cluster_id: "simulated-cluster-0000".into(),
        listeners: [Listener::kafka("sim", 9092)].into_iter().chain(znodes_listener(start)).collect(),
        seed: start.seed,
        wal,
        log_blocks: Pool::new(usize::MAX, BLOCKS_KEPT),
        auto_create_topics: true,
        num_partitions: 1,
        request_max_bytes: 1 << 20,
        topic_defaults,
        moves_at_once: 4,
        move_bytes_per_second: 0,
        retention_check_interval_ms: 300,
        compaction_backoff_ms: 20 << (start.seed >> 32 & 3),
        // With few keys at once a partition takes several passes.
        compaction_keys_bytes: [8, 40, 1 << 20][(start.seed >> 40) as usize % 3] * COMPACTION_KEY_BYTES,
        producer_expiration_ms: 86_400_000 * 30,
        connection_idle_ms: 600_000,
        coordinator: Arc::clone(&start.coordinator),
        offsets_partitions: start.offsets_partitions,
        offsets_replication: 1,
        fetch_sessions: 3,
        memory: MemoryLimits { frames: FRAMES, answers: ANSWERS, ..MemoryLimits::default() },
        move_after: [0, 1, 2, 16][(start.seed >> 16) as usize % 4],
        slow_request_ms: 1_000,
        drain_ms: 5_000,
        data_dir: "/sim".into(),
        described: Vec::new(),
        zookeeper: start.zookeeper_tick_ms.map(|tick_ms| zookeeper(start.seed, tick_ms)),
    }
}

/// ZooKeeper's clients: the last listener.
fn znodes_listener(start: &Start) -> Option<Listener> {
    let advertised = ("sim".to_string(), 2181);
    start.zookeeper_tick_ms.map(|_| Listener { protocol: Protocol::ZooKeeper, advertised })
}

fn zookeeper(seed: u64, tick_ms: u64) -> ZooKeeperSettings {
    let snapshots = [
        SnapshotSettings { piece_bytes: 64, write_bytes: PAGE },
        SnapshotSettings { piece_bytes: 700, write_bytes: 2 * PAGE },
        SnapshotSettings::default(),
    ];
    ZooKeeperSettings {
        tick_ms,
        // Small trees are in the memory of few turns, and on the disk after few writes.
        snapshots: snapshots[(seed >> 48) as usize % 3],
        min_session_ms: 1,
        max_connections_per_ip: 0,
        kafka_chroot: Some("/kafka".into()),
        ..ZooKeeperSettings::default()
    }
}

/// The tree as it is applied, if it is here.
fn tree(shard: &Shard) -> Option<(i64, u64)> {
    shard.tree_digest().map(|(zxid, digest)| (zxid.get(), digest))
}

/// What its metrics show.
fn look(shard: &Shard) -> Look {
    let stats = shard.stats();
    Look {
        ready: stats.ready.load(Ordering::Relaxed),
        memory: stats.request_memory_bytes.load(Ordering::Relaxed) + stats.answer_memory_bytes.load(Ordering::Relaxed),
        memory_max: MEMORY_MAX,
        memory_idle: shard.idle_request_memory() as u64,
    }
}

/// Shows its coordinators.
fn coordinators(shard: &Shard, show: &mut Shown<'_>) {
    shard.coordinators().for_each(|(partition, end, live)| show(partition as i32, end.get(), live));
}

/// Runs one seed over production shards.
pub fn run(seed: u64, rounds: u32, trail: &Trail) -> Result<Report, Failure> {
    run::run(seed, rounds, trail, Subject { make, look, coordinators: Some(coordinators), tree: Some(tree) })
}

/// Runs one seed over a cluster of production shards.
pub fn run_cluster(seed: u64, rounds: u32, trail: &Trail) -> Result<Report, Failure> {
    let refused = |shard: &Shard| shard.refused().map(str::to_owned);
    let (standing, is_whole) = (Shard::standing, Shard::has_no_doubts);
    let admit = |node: usize| Mail::admit(NodeId(node as u32 + 1), Budget::first_disk(node), address(node).to_string());
    let knows = |shard: &Shard, node: usize| shard.has_let_in(NodeId(node as u32 + 1), Budget::first_disk(node));
    let marks = |shard: &Shard, see: &mut dyn FnMut(GroupMarks)| shard.group_marks().for_each(see);
    let voters = |shard: &Shard, group| {
        let voter =
            |(node, before, after): (NodeId, bool, bool)| Voter { node: node.get() as usize - 1, before, after };
        shard.voters(group).into_iter().map(voter).collect()
    };
    let (make, held) = (make_seat, Shard::held_back);
    let keeps = Shard::keeps;
    let subject =
        cluster::Subject { make, refused, standing, held, is_whole, marks, voters, keeps, admit, knows, tree };
    cluster::run(seed, rounds, trail, subject)
}

/// A story about three nodes of a production shard each.
pub fn cluster_story(seed: u64) -> ClusterStory<Shard> {
    ClusterStory::begin(seed, make_seat)
}

/// The same, of nodes with segments of these sizes.
pub fn uneven_story(seed: u64, segments: [u64; NODES]) -> ClusterStory<Shard> {
    ClusterStory::begin_with(seed, make_seat, segments)
}

/// The same, of a partition with so many copies.
pub fn story_of_copies(seed: u64, copies: usize) -> ClusterStory<Shard> {
    ClusterStory::begin_of(seed, make_seat, [SEGMENT_BYTES_MIN; NODES], copies)
}

/// A story about one production shard.
pub fn story(seed: u64) -> Story<Shard> {
    Story::begin(seed, 64 << 20, make)
}
