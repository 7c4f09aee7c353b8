//! One production shard, stepped by hand over a disk in memory and one client connection, so that what a request costs
//! the shard can be counted apart from everything else.

use stats_alloc::{Region, Stats, StatsAlloc};
use std::alloc::System;
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::Arc;
use torc_base::buf::{BufMut, Pool};
use torc_base::ids::{ConnId, FileId, ListenerId, NodeId, ShardId};
use torc_base::io::{App, DiskDone, DiskKind, DiskOk, DiskOp, Event, Op};
use torc_base::limits::{PAGE, RECV_BUF_BYTES};
use torc_base::time::{Mono, Now, Wall};
use torc_shard::{ClusterSettings, Listener, Mail, MemoryLimits, Settings, Shard, TopicConfig, WalSettings};

const CONN: ConnId = ConnId(1);
const DISK: u64 = 1 << 40;
/// The newest batches that stay in memory. Until they are so many, each takes memory that was not used before.
pub const TAIL_BYTES: usize = 2 << 20;

/// What the connection has armed.
enum Armed {
    Nothing,
    Any,
    Exact(BufMut, usize),
}

/// The shard, its disk, its client.
pub struct Rig {
    shard: Shard,
    now: Now,
    files: BTreeMap<String, Vec<u8>>,
    open: BTreeMap<FileId, String>,
    events: VecDeque<Event<Mail>>,
    armed: Armed,
    inbox: VecDeque<u8>,
    pool: Pool,
    /// What the shard answered.
    pub answers: Vec<u8>,
    /// Where buffers for whole frames lie that the shard asked to be filled.
    pub frames: Vec<Range<usize>>,
    /// Where runs of pages lie that were written durably, by write; the filling of segments ahead is not.
    pub writes: Vec<Vec<Range<usize>>>,
    /// What the allocator was asked for inside the shard's steps.
    pub spent: Stats,
    allocator: &'static StatsAlloc<System>,
}

fn settings() -> Settings {
    Settings {
        node: NodeId(1),
        cluster: ClusterSettings::alone(NodeId(1)),
        default_replication: None,
        shard: ShardId(0),
        shards: 1,
        cluster_id: "counted-cluster-000000".into(),
        listeners: vec![Listener::kafka("here", 9092)],
        seed: 1,
        wal: WalSettings {
            segment_bytes: 16 << 20,
            reserve_bytes: 0,
            tail_bytes: TAIL_BYTES,
            ..WalSettings::default()
        },
        log_blocks: Pool::new(usize::MAX, 64 << 20),
        auto_create_topics: true,
        num_partitions: 1,
        request_max_bytes: 100 << 20,
        topic_defaults: TopicConfig { timestamp_after_max_ms: i64::MAX, ..TopicConfig::default() },
        moves_at_once: 4,
        move_bytes_per_second: 0,
        retention_check_interval_ms: 3_600_000,
        compaction_backoff_ms: 15_000,
        compaction_keys_bytes: 16 << 20,
        producer_expiration_ms: 3_600_000,
        connection_idle_ms: 3_600_000,
        coordinator: Default::default(),
        offsets_partitions: 50,
        offsets_replication: 1,
        fetch_sessions: 10,
        memory: MemoryLimits::default(),
        move_after: 16,
        slow_request_ms: 1_000,
        drain_ms: 1000,
        data_dir: "memory".into(),
        described: Vec::new(),
        zookeeper: None,
    }
}

impl Rig {
    /// A shard that is ready, with one connection. Steps are counted by `allocator`.
    pub fn new(allocator: &'static StatsAlloc<System>) -> Rig {
        let mut rig = Rig {
            shard: Shard::new(settings(), Arc::default()),
            now: Now { mono: Mono(1), wall: Wall(1_700_000_000_000) },
            files: BTreeMap::new(),
            open: BTreeMap::new(),
            events: VecDeque::new(),
            armed: Armed::Nothing,
            inbox: VecDeque::new(),
            pool: Pool::new(usize::MAX, 1 << 30),
            answers: Vec::new(),
            frames: Vec::new(),
            writes: Vec::new(),
            spent: Stats::default(),
            allocator,
        };
        rig.step(Event::Start);
        rig.settle();
        rig.step(Event::Accepted { conn: CONN, listener: ListenerId(0), peer: (Ipv4Addr::LOCALHOST, 40_000).into() });
        rig.settle();
        rig
    }

    /// The client sends a whole frame; returns its answer, without the length.
    pub fn call(&mut self, frame: &[u8]) -> Vec<u8> {
        self.answers.clear();
        self.inbox.extend(frame);
        for _ in 0..1000 {
            self.settle();
            if let Some(length) = self.answers.first_chunk::<4>()
                && self.answers.len() == u32::from_be_bytes(*length) as usize + 4
            {
                return self.answers.split_off(4);
            }
            self.now.mono.0 += 1_000_000;
        }
        panic!("no answer comes");
    }

    /// Until nothing happens any more.
    fn settle(&mut self) {
        loop {
            while let Some(event) = self.events.pop_front() {
                self.step(event);
            }
            self.step(Event::Turn);
            self.deliver();
            if self.events.is_empty() {
                return;
            }
        }
    }

    fn step(&mut self, event: Event<Mail>) {
        // With room, so that nothing is counted for what belongs to the caller.
        let mut ops = Vec::with_capacity(1024);
        self.now.mono.0 += 1000;
        let region = Region::new(self.allocator);
        self.shard.step(self.now, event, &mut ops);
        let spent = region.change();
        self.spent.allocations += spent.allocations;
        self.spent.reallocations += spent.reallocations;
        self.spent.bytes_allocated += spent.bytes_allocated;
        ops.into_iter().for_each(|op| self.carry_out(op));
    }

    fn carry_out(&mut self, op: Op<Mail>) {
        match op {
            Op::Recv { .. } => self.armed = Armed::Any,
            Op::RecvExact { mut bytes, from, .. } => {
                let (start, length) = bytes.as_raw();
                if length > 4 {
                    self.frames.push(start as usize..start as usize + length);
                }
                self.armed = Armed::Exact(bytes, from);
            }
            Op::Pause { conn } => {
                self.armed = Armed::Nothing;
                self.events.push_back(Event::Paused { conn });
            }
            Op::Send { conn, parts } => {
                parts.iter().for_each(|part| self.answers.extend_from_slice(part));
                self.events.push_back(Event::Sent { conn });
            }
            Op::Disk(DiskOp { tag, kind }) => {
                let result = Ok(self.disk(kind));
                self.events.push_back(Event::Disk(DiskDone { tag, result }));
            }
            Op::Log { .. } => {}
            Op::Connect { .. }
            | Op::TakeBack { .. }
            | Op::AwaitRoom { .. }
            | Op::Close { .. }
            | Op::HandOver { .. }
            | Op::Mail { .. }
            | Op::Exit => panic!("not in this test: {op:?}"),
        }
    }

    /// Bytes of the client arrive as far as the shard receives.
    fn deliver(&mut self) {
        if self.inbox.is_empty() {
            return;
        }
        match std::mem::replace(&mut self.armed, Armed::Nothing) {
            Armed::Nothing => {}
            Armed::Any => {
                let mut bytes = self.pool.take(self.inbox.len().min(RECV_BUF_BYTES)).expect("no limit");
                bytes.iter_mut().for_each(|byte| *byte = self.inbox.pop_front().expect("counted"));
                self.armed = Armed::Any;
                self.events.push_back(Event::Received { conn: CONN, bytes });
            }
            Armed::Exact(mut bytes, from) => {
                let n = (bytes.len() - from).min(self.inbox.len());
                bytes[from..from + n].iter_mut().for_each(|byte| *byte = self.inbox.pop_front().expect("counted"));
                if from + n == bytes.len() {
                    self.events.push_back(Event::Filled { conn: CONN, bytes });
                } else {
                    self.armed = Armed::Exact(bytes, from + n);
                }
            }
        }
    }

    fn disk(&mut self, kind: DiskKind) -> DiskOk {
        match kind {
            DiskKind::List => {
                return DiskOk::Listed(self.files.iter().map(|(name, b)| (name.clone(), b.len() as u64)).collect());
            }
            DiskKind::Open { file, name } => {
                let bytes = self.files[&name].len() as u64;
                self.open.insert(file, name);
                return DiskOk::Opened { bytes };
            }
            DiskKind::Create { file, name, bytes } => {
                self.files.insert(name.clone(), vec![0; bytes as usize]);
                self.open.insert(file, name);
                return DiskOk::Opened { bytes };
            }
            DiskKind::Close { file } => drop(self.open.remove(&file)),
            DiskKind::Write { file, at, runs, durable } => {
                let content = self.files.get_mut(&self.open[&file]).expect("open files exist");
                let mut at = at as usize;
                let mut places = Vec::new();
                for run in &runs {
                    let (start, length) = run.as_raw();
                    assert!(length.is_multiple_of(PAGE));
                    places.push(start as usize..start as usize + length);
                    content.resize(content.len().max(at + length), 0);
                    run.copy_into(&mut content[at..at + length]);
                    at += length;
                }
                if durable {
                    self.writes.push(places);
                }
            }
            DiskKind::Read { file, at, mut bytes } => {
                let content = &self.files[&self.open[&file]];
                let n = content.len().saturating_sub(at as usize).min(bytes.len());
                bytes.truncate(n);
                bytes.copy_from_slice(&content[at as usize..at as usize + n]);
                return DiskOk::Read { bytes };
            }
            DiskKind::Rename { from, to } => {
                let content = self.files.remove(&from).expect("it exists");
                self.files.insert(to, content);
            }
            DiskKind::Remove { name } => drop(self.files.remove(&name)),
            DiskKind::Free => return DiskOk::Free { free: DISK, total: DISK },
            DiskKind::Sync { .. } | DiskKind::SyncDir => {}
        }
        DiskOk::Done
    }
}
