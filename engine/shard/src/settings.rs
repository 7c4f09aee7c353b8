//! What a shard is told when it is made.

use crate::znodes::facts::About;
use std::net::SocketAddr;
use std::sync::Arc;
use torc_base::buf::Pool;
use torc_base::ids::{GroupId, NodeId, Place, ShardId};
use torc_base::limits::{CHECKPOINT_WRITE_BYTES, REPLICA_LAG_MS, TREE_CHECKPOINT_PIECE_BYTES};
use torc_consensus::{Configuration, Member, Seat};
use torc_state::catalog::Topic;
use torc_state::config::Type as SettingType;

/// Settings of one shard. Milliseconds and bytes; -1 where Kafka's keys say "no limit".
#[derive(Clone, Debug)]
pub struct Settings {
    /// This server (`node.id`).
    pub node: NodeId,
    /// The cluster that it belongs to.
    pub cluster: ClusterSettings,
    /// This shard, and how many the data directory has.
    pub shard: ShardId,
    pub shards: u16,
    /// As clients see it.
    pub cluster_id: String,
    /// Where connections come in, by the listener's id.
    pub listeners: Vec<Listener>,
    /// All randomness of the shard follows from it.
    pub seed: u64,
    /// The log.
    pub wal: torc_wal::WalSettings,
    /// Memory for requests and answers.
    pub memory: crate::memory::MemoryLimits,
    /// Memory for the log's blocks, without a limit of its own; its arena may be registered with the kernel.
    pub log_blocks: Pool,
    /// `auto.create.topics.enable`
    pub auto_create_topics: bool,
    /// `num.partitions`
    pub num_partitions: u32,
    /// `default.replication.factor`; `None`: three, or as many as there are nodes.
    pub default_replication: Option<i16>,
    /// `socket.request.max.bytes`
    pub request_max_bytes: usize,
    /// `message.max.bytes`, `log.retention.ms` and so on: what topics inherit, by their topic keys.
    pub topic_defaults: torc_state::config::TopicConfig,
    /// `torc.moves.at.once`, this shard's part: groups led here that may get new replicas at a time. At least 1.
    pub moves_at_once: usize,
    /// `torc.moves.bytes.per.second`, this shard's part: what leaves for new replicas. 0: no limit.
    pub move_bytes_per_second: u64,
    /// `log.retention.check.interval.ms`
    pub retention_check_interval_ms: u64,
    /// `log.cleaner.backoff.ms`: between two looks at what is to be compacted.
    pub compaction_backoff_ms: u64,
    /// `log.cleaner.dedupe.buffer.size`, this shard's part of it.
    pub compaction_keys_bytes: usize,
    /// `producer.id.expiration.ms`
    pub producer_expiration_ms: i64,
    /// `group.*` and `offsets.*`: what coordinators of groups go by.
    pub coordinator: Arc<torc_state::coordinator::CoordinatorSettings>,
    /// `offsets.topic.num.partitions`, when the topic is made.
    pub offsets_partitions: u32,
    /// `offsets.topic.replication.factor`, as far as there are nodes.
    pub offsets_replication: i16,
    /// `connections.max.idle.ms`
    pub connection_idle_ms: u64,
    /// `max.incremental.fetch.session.cache.slots`, per shard
    pub fetch_sessions: usize,
    /// `torc.connection.move.after`: a connection moves to the shard that owns what it produces to, after so many
    /// requests in a row for that shard. 0: never.
    pub move_after: u32,
    /// `torc.slow.request.ms`; 0: no request is slow.
    pub slow_request_ms: u64,
    /// Time that requests in the log have to be answered after a stop is asked for.
    pub drain_ms: u64,
    /// The data directory and the broker's settings as DescribeConfigs and DescribeLogDirs show them.
    pub data_dir: String,
    pub described: Vec<BrokerSetting>,
    /// What ZooKeeper's clients are served with; `None`: none are, and there is no tree.
    pub zookeeper: Option<ZooKeeperSettings>,
}

/// Whether new sessions are known to their nodes alone. Of a node without peers none are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalSessions {
    /// All nodes know all of them.
    #[default]
    No,
    /// They are, and own no znodes.
    Yes,
    /// They are until they make a znode that ends with its session: then all nodes know them.
    Upgraded,
}

/// What ZooKeeper's clients are served with, by the keys of `zoo.cfg`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooKeeperSettings {
    /// `tickTime`: what sessions' deadlines are rounded to. At least 1.
    pub tick_ms: u64,
    /// `minSessionTimeout` and `maxSessionTimeout`
    pub min_session_ms: u64,
    pub max_session_ms: u64,
    /// `jute.maxbuffer`: the longest request.
    pub max_buffer: usize,
    /// `maxClientCnxns`: connections from one address; 0: no bound.
    pub max_connections_per_ip: usize,
    /// Between two looks for containers without children and znodes whose time is over.
    pub due_ms: u64,
    /// `zookeeper.DigestAuthenticationProvider.superDigest`: whoever proves to be that may do everything.
    pub super_digest: Option<String>,
    /// `zookeeper.extendedTypesEnabled`: there are znodes with a time to live.
    pub has_ttl: bool,
    /// `enforceQuota`: hard quotas are kept.
    pub enforces_quotas: bool,
    /// `skipACL`: access lists are not asked.
    pub skips_acls: bool,
    /// `localSessionsEnabled` and `localSessionsUpgradingEnabled`
    pub local_sessions: LocalSessions,
    /// `readonlymode.enabled`: a node of a cluster that has no leader serves reads to clients that allow it.
    pub reads_alone: bool,
    /// Memory that znodes may take, in bytes.
    pub memory_max: usize,
    /// How the tree gets into a checkpoint.
    pub snapshots: SnapshotSettings,
    /// `4lw.commands.whitelist`; `*`: all of them.
    pub four_letter_words: Vec<String>,
    /// `torc.zookeeper.kafka.chroot`: where Kafka's metadata are seen; `None`: nowhere.
    pub kafka_chroot: Option<String>,
    /// For monitoring.
    pub about: About,
}

/// How the tree gets into a checkpoint. Not for users: simulated trees are small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// Bytes of it that are taken in one turn, the last znode aside; more than 1.
    pub piece_bytes: usize,
    /// Bytes that are written at once, whole pages.
    pub write_bytes: usize,
}

impl Default for SnapshotSettings {
    fn default() -> SnapshotSettings {
        SnapshotSettings { piece_bytes: TREE_CHECKPOINT_PIECE_BYTES, write_bytes: CHECKPOINT_WRITE_BYTES }
    }
}

impl Default for ZooKeeperSettings {
    /// As ZooKeeper has them, but that znodes end sooner.
    fn default() -> ZooKeeperSettings {
        ZooKeeperSettings {
            tick_ms: 2_000,
            min_session_ms: 4_000,
            max_session_ms: 40_000,
            max_buffer: 0xf_ffff,
            max_connections_per_ip: 60,
            due_ms: 5_000,
            super_digest: None,
            has_ttl: true,
            enforces_quotas: false,
            skips_acls: false,
            local_sessions: LocalSessions::No,
            reads_alone: false,
            memory_max: 4 << 30,
            snapshots: SnapshotSettings::default(),
            four_letter_words: vec!["srvr".into()],
            kafka_chroot: None,
            about: About::default(),
        }
    }
}

/// What a node knows of its cluster at its start.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Which one it is; 0: one node without peers.
    pub id: u128,
    /// All other nodes that are known at the start, by id; each once, and never this one. The catalog may know more.
    pub peers: Vec<Peer>,
    /// Those that founded the cluster, by id, each with the number of its disk then. Empty: this node and its peers did.
    pub founders: Vec<(NodeId, u128)>,
    /// The number of this node's disk; 0: it has none.
    pub disk: u128,
    /// Who votes in the catalog's group when it begins, by id; the other founders learn it.
    pub voters: Vec<NodeId>,
    /// Drawn at each start of this node: two nodes that go by one id differ in it.
    pub start: u64,
    /// This node's disk is new in a cluster that was there before, under this number: what its votes once said is lost.
    pub doubt: Option<u64>,
    /// `broker.rack`
    pub rack: Option<String>,
    /// `replica.lag.time.max.ms`: a replica that has lacked something for so long is not in sync.
    pub replica_lag_ms: u64,
    /// `replica.selector.class`: consumers are sent to a replica in their rack.
    pub rack_reads: bool,
    /// `torc.peer.beat.ms`: what a link says at least every so often.
    pub beat_ms: u64,
    /// `torc.peer.silent.beats`: missed beats after which a node is suspected. At least 1.
    pub silent_beats: u32,
    /// The newest version of the peers' protocol that this node speaks, if it is not to speak all that it knows: so it does as an older
    /// build. For tests, and simulated clusters.
    pub newest_version: u16,
    /// What is answered to a node that asks how the cluster was founded, as it stands.
    pub founding: Vec<u8>,
}

impl ClusterSettings {
    /// Of a node without peers.
    pub fn alone(node: NodeId) -> ClusterSettings {
        ClusterSettings {
            id: 0,
            peers: Vec::new(),
            founders: Vec::new(),
            disk: 0,
            voters: vec![node],
            start: 0,
            doubt: None,
            rack: None,
            replica_lag_ms: REPLICA_LAG_MS,
            rack_reads: true,
            beat_ms: 100,
            silent_beats: 5,
            newest_version: u16::MAX,
            founding: Vec::new(),
        }
    }

    /// Another node.
    pub fn peer(&self, node: NodeId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.node == node)
    }
}

/// What is spoken on a connection: that of the listener where it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Kafka,
    /// That of other nodes of the cluster (`torc_net::peer`).
    Peer,
    ZooKeeper,
}

/// Another node of the cluster, and where it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub node: NodeId,
    pub address: SocketAddr,
}

/// Where connections come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub protocol: Protocol,
    /// Host and port that its clients are told (`advertised.listeners`).
    pub advertised: (String, u16),
}

impl Listener {
    /// One for Kafka's clients, who are told this address.
    pub fn kafka(host: impl Into<String>, port: u16) -> Listener {
        Listener { protocol: Protocol::Kafka, advertised: (host.into(), port) }
    }
}

/// A setting of the server as DescribeConfigs shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSetting {
    pub name: &'static str,
    /// In effect.
    pub value: String,
    /// Somebody has set it; if not, the value is the default.
    pub is_set: bool,
    /// What it is unless somebody says; `None`: it follows from something else.
    pub default: Option<String>,
    pub kind: SettingType,
    /// What it means.
    pub doc: &'static str,
}

impl Settings {
    /// Where this shard is.
    pub fn here(&self) -> Place {
        Place { node: self.node, shard: self.shard }
    }

    /// Who owns a group's log.
    pub fn owner(&self, group: GroupId) -> Place {
        Place { node: self.node, shard: shard_of(group, self.shards) }
    }

    /// True of a node without peers.
    pub fn is_alone(&self) -> bool {
        self.cluster.peers.is_empty()
    }

    /// All nodes of the cluster that are known at the start, this one first.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        [self.node].into_iter().chain(self.cluster.peers.iter().map(|peer| peer.node))
    }

    /// The nodes that have a partition.
    pub fn replicas<'a>(&'a self, topic: &'a Topic, partition: u32) -> &'a [NodeId] {
        match topic.replicas.get(partition) {
            [] => std::slice::from_ref(&self.node),
            replicas => replicas,
        }
    }

    /// The nodes that founded the cluster.
    pub fn founders(&self) -> Vec<NodeId> {
        match &self.cluster.founders[..] {
            [] => self.nodes().collect(),
            founders => founders.iter().map(|(node, _)| *node).collect(),
        }
    }

    /// The disk that a founder had then; 0 if that is not known.
    pub fn founder_disk(&self, node: NodeId) -> u128 {
        self.cluster.founders.iter().find(|(founder, _)| *founder == node).map_or(0, |(_, disk)| *disk)
    }

    /// The nodes that have a partition, or may have it while it is moved.
    pub fn members<'a>(&'a self, topic: &'a Topic, partition: u32) -> &'a [NodeId] {
        match topic.members(partition) {
            [] => std::slice::from_ref(&self.node),
            members => members,
        }
    }

    /// Who belongs to the catalog's group in the beginning: every founder, and of them the voters vote.
    pub fn catalog_members(&self) -> Configuration {
        let learners = self.founders().into_iter().filter(|node| !self.cluster.voters.contains(node));
        let learners = learners.map(|id| Member { id, seat: Seat::Learner });
        let voters = self.cluster.voters.iter().map(|&id| Member { id, seat: Seat::Voter });
        Configuration::new(voters.chain(learners).collect()).expect("the catalog has voters, each named once")
    }
}

/// Which shard of a node with so many has a group's log.
pub fn shard_of(group: GroupId, shards: u16) -> ShardId {
    ShardId(if matches!(group, GroupId::CATALOG | GroupId::TREE) {
        0
    } else {
        (group.get() % u64::from(shards)) as u16
    })
}
