//! One production shard with one client, over a disk that keeps nothing.

use crate::disk::{Disk, Keep};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use torc_base::buf::{BufMut, Pool};
use torc_base::ids::{ConnId, ListenerId, NodeId, ShardId};
use torc_base::io::{App, DiskDone, DiskOp, Event, Op};
use torc_base::limits::RECV_BUF_BYTES;
use torc_base::time::{Mono, Now, Wall};
use torc_shard::{ClusterSettings, Listener, Mail, MemoryLimits, Settings, Shard, TopicConfig, WalSettings};

const CONN: ConnId = ConnId(1);
const HOUR_MS: u64 = 3_600_000;
/// Turns without an answer after which there will be none.
const TURNS_MAX: usize = 10_000;

/// What the connection has armed.
enum Armed {
    Nothing,
    Any,
    Exact(BufMut, usize),
}

/// The shard, its disk, its client.
pub struct Node {
    shard: Shard,
    now: Now,
    disk: Disk,
    events: VecDeque<Event<Mail>>,
    ops: Vec<Op<Mail>>,
    armed: Armed,
    pool: Pool,
    answer: Vec<u8>,
}

fn settings() -> Settings {
    Settings {
        node: NodeId(1),
        cluster: ClusterSettings::alone(NodeId(1)),
        default_replication: None,
        shard: ShardId(0),
        shards: 1,
        cluster_id: "micro-cluster-00000000".into(),
        listeners: vec![Listener::kafka("here", 9092)],
        seed: 1,
        wal: WalSettings { reserve_bytes: 0, ..WalSettings::default() },
        log_blocks: Pool::new(usize::MAX, 64 << 20),
        auto_create_topics: true,
        num_partitions: 1,
        request_max_bytes: 100 << 20,
        topic_defaults: TopicConfig { timestamp_after_max_ms: i64::MAX, ..TopicConfig::default() },
        moves_at_once: 4,
        move_bytes_per_second: 0,
        retention_check_interval_ms: HOUR_MS,
        compaction_backoff_ms: 15_000,
        compaction_keys_bytes: 16 << 20,
        producer_expiration_ms: HOUR_MS as i64,
        connection_idle_ms: HOUR_MS,
        coordinator: Default::default(),
        offsets_partitions: 50,
        offsets_replication: 1,
        fetch_sessions: 10,
        drain_ms: 1000,
        memory: MemoryLimits::default(),
        move_after: 0,
        slow_request_ms: 0,
        data_dir: "memory".into(),
        described: Vec::new(),
        zookeeper: None,
    }
}

impl Node {
    /// A shard that is ready, with its one connection.
    pub fn start() -> Node {
        let mut node = Node {
            shard: Shard::new(settings(), Arc::default()),
            now: Now { mono: Mono(1), wall: Wall(1_700_000_000_000) },
            disk: Disk::new(Keep::Lengths),
            events: VecDeque::new(),
            ops: Vec::new(),
            armed: Armed::Nothing,
            pool: Pool::new(usize::MAX, 64 << 20),
            answer: Vec::new(),
        };
        node.step(Event::Start);
        node.turn();
        node.step(Event::Accepted { conn: CONN, listener: ListenerId(0), peer: (Ipv4Addr::LOCALHOST, 40_000).into() });
        node.turn();
        node
    }

    /// The client sends a whole frame; returns the whole answer.
    pub fn call(&mut self, frame: &[u8]) -> &[u8] {
        self.answer.clear();
        let mut rest = frame;
        for _ in 0..TURNS_MAX {
            rest = self.deliver(rest);
            self.turn();
            if let Some(length) = self.answer.first_chunk::<4>()
                && self.answer.len() == u32::from_be_bytes(*length) as usize + 4
            {
                assert!(rest.is_empty(), "the answer comes after the request");
                return &self.answer;
            }
        }
        panic!("no answer comes to a frame of {} bytes", frame.len());
    }

    /// One turn as the reactor makes it: what is at hand, then the end of the turn.
    fn turn(&mut self) {
        loop {
            while let Some(event) = self.events.pop_front() {
                self.step(event);
            }
            self.step(Event::Turn);
            if self.events.is_empty() {
                return;
            }
        }
    }

    fn step(&mut self, event: Event<Mail>) {
        self.now.mono.0 += 1000;
        let mut ops = std::mem::take(&mut self.ops);
        self.shard.step(self.now, event, &mut ops);
        ops.drain(..).for_each(|op| self.carry_out(op));
        self.ops = ops;
    }

    fn carry_out(&mut self, op: Op<Mail>) {
        match op {
            Op::Recv { .. } => self.armed = Armed::Any,
            Op::RecvExact { bytes, from, .. } => self.armed = Armed::Exact(bytes, from),
            Op::Pause { conn } => {
                self.armed = Armed::Nothing;
                self.events.push_back(Event::Paused { conn });
            }
            Op::Send { conn, parts } => {
                parts.iter().for_each(|part| self.answer.extend_from_slice(part));
                self.events.push_back(Event::Sent { conn });
            }
            Op::Disk(DiskOp { tag, kind }) => {
                let result = Ok(self.disk.carry_out(kind));
                self.events.push_back(Event::Disk(DiskDone { tag, result }));
            }
            Op::Log { .. } => {}
            Op::Connect { .. }
            | Op::TakeBack { .. }
            | Op::AwaitRoom { .. }
            | Op::Close { .. }
            | Op::HandOver { .. }
            | Op::Mail { .. }
            | Op::Exit => panic!("not in a bench: {op:?}"),
        }
    }

    /// As much of `inbox` arrives as one receive takes; returns the rest.
    fn deliver<'a>(&mut self, inbox: &'a [u8]) -> &'a [u8] {
        if inbox.is_empty() {
            return inbox;
        }
        match std::mem::replace(&mut self.armed, Armed::Nothing) {
            Armed::Nothing => inbox,
            Armed::Any => {
                let (head, rest) = inbox.split_at(inbox.len().min(RECV_BUF_BYTES));
                let mut bytes = self.pool.take(head.len()).expect("no limit");
                bytes.copy_from_slice(head);
                self.armed = Armed::Any;
                self.events.push_back(Event::Received { conn: CONN, bytes });
                rest
            }
            Armed::Exact(mut bytes, from) => {
                let (head, rest) = inbox.split_at(inbox.len().min(bytes.len() - from));
                let upto = from + head.len();
                bytes[from..upto].copy_from_slice(head);
                if upto == bytes.len() {
                    self.events.push_back(Event::Filled { conn: CONN, bytes });
                } else {
                    self.armed = Armed::Exact(bytes, upto);
                }
                rest
            }
        }
    }
}
