//! Shards of one process over disks and connections in memory, driven by events as the reactor drives them. What the
//! contract of `torc_base::io` forbids a shard ends the test.

use super::disk::{Disk, Files};
use crate::{ClusterSettings, Listener, Mail, MemoryLimits, Settings, Shard, Stats, TopicConfig, WalSettings};
use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::protocol::Request;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::{ConnId, GroupId, ListenerId, NodeId, ShardId};
use torc_base::io::{App, Event, Level, Op};
use torc_base::limits::RECV_BUF_BYTES;
use torc_base::time::{Mono, Now, Wall};
use torc_net::kafka::schema::{RequestHeader, ResponseHeader};
use torc_net::kafka::{Decodable, Encodable, HeaderVersion, StrBytes};

/// Where all clients come from.
pub const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)), 40_000);
/// Milliseconds since 1970 at the start of every test.
pub const START_MS: i64 = 1_700_000_000_000;

/// A client's connection, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub shard: usize,
    pub conn: ConnId,
}

enum Armed {
    No,
    Any,
    Exact(BufMut, usize),
}

/// The network's half of a connection.
struct Link {
    armed: Armed,
    /// On the way to the server; the kernel's buffer.
    inbound: VecDeque<u8>,
    /// What the client has received and not looked at.
    received: Vec<u8>,
    /// What is on the way to the client.
    sending: Option<Vec<Buf>>,
    awaits_room: bool,
    /// The client reads: sends end.
    reads: bool,
    /// Bytes of a send that go through although the client does not read, when the send is taken back.
    slips: usize,
    fin: bool,
    told_eof: bool,
    closed: bool,
}

struct Node {
    shard: Shard,
    stats: Arc<Stats>,
    disk: Disk,
    mail: VecDeque<Event<Mail>>,
    events: VecDeque<Event<Mail>>,
    links: BTreeMap<ConnId, Link>,
    pool: Pool,
    exited: bool,
    log: Vec<(Level, String)>,
}

/// A server in memory.
pub struct Rig {
    nodes: Vec<Node>,
    pub now: Now,
    next_conn: u64,
    /// Bytes of one receive.
    pub piece: usize,
    correlation: i32,
}

/// Settings of a small server.
pub fn settings() -> Settings {
    let wal = WalSettings {
        segment_bytes: 1 << 20,
        tail_bytes: 128 << 10,
        reserve_bytes: 1 << 20,
        spare_segments: 1,
        ..WalSettings::default()
    };
    Settings {
        node: NodeId(7),
        cluster: ClusterSettings::alone(NodeId(7)),
        default_replication: None,
        shard: ShardId(0),
        shards: 1,
        cluster_id: "a-cluster".into(),
        listeners: vec![Listener::kafka("torc.example", 9092), Listener::kafka("outside.example", 19_092)],
        seed: 1,
        wal,
        log_blocks: Pool::new(usize::MAX, 0),
        auto_create_topics: true,
        num_partitions: 1,
        request_max_bytes: 4 << 20,
        topic_defaults: TopicConfig::default(),
        moves_at_once: 4,
        move_bytes_per_second: 0,
        retention_check_interval_ms: 10_000,
        compaction_backoff_ms: 15_000,
        compaction_keys_bytes: 16 << 20,
        producer_expiration_ms: 86_400_000,
        coordinator: Arc::new(crate::CoordinatorSettings::default()),
        offsets_partitions: 50,
        offsets_replication: 1,
        connection_idle_ms: 600_000,
        fetch_sessions: 2,
        memory: MemoryLimits::default(),
        move_after: 16,
        slow_request_ms: 1_000,
        drain_ms: 5_000,
        data_dir: "/data".into(),
        described: vec![described("num.partitions", "3", true), described("num.io.threads", "8", false)],
        zookeeper: None,
    }
}

/// A number among the server's settings whose default is 8.
fn described(name: &'static str, value: &str, is_set: bool) -> crate::BrokerSetting {
    let kind = crate::SettingType::Int;
    crate::BrokerSetting { name, value: value.into(), is_set, default: Some("8".into()), kind, doc: "How many." }
}

impl Rig {
    /// A server of `shards` shards on empty disks, ready to serve.
    pub fn new(shards: usize) -> Rig {
        Rig::with(shards, &settings())
    }

    /// The same with other settings.
    pub fn with(shards: usize, settings: &Settings) -> Rig {
        let rig = Rig::start(vec![Files::new(); shards], settings, Mono(1));
        assert!(rig.is_ready(), "a fresh server is ready: {:?}", rig.logs());
        rig
    }

    /// A server on what a former one left behind.
    pub fn start(files: Vec<Files>, settings: &Settings, mono: Mono) -> Rig {
        let mut rig = Rig::build(files, settings, mono);
        rig.run();
        rig
    }

    fn build(files: Vec<Files>, settings: &Settings, mono: Mono) -> Rig {
        let shards = files.len();
        let node = |(shard, files): (usize, Files)| {
            let stats = Arc::new(Stats::default());
            let settings = Settings { shard: ShardId(shard as u16), shards: shards as u16, ..settings.clone() };
            Node {
                shard: Shard::new(settings, Arc::clone(&stats)),
                stats,
                disk: Disk::new(files),
                mail: VecDeque::new(),
                events: VecDeque::from([Event::Start]),
                links: BTreeMap::new(),
                pool: Pool::new(usize::MAX, 0),
                exited: false,
                log: Vec::new(),
            }
        };
        let now = Now { mono, wall: Wall(START_MS) };
        let nodes = files.into_iter().enumerate().map(node).collect();
        Rig { nodes, now, next_conn: 1, piece: 16 << 10, correlation: 0 }
    }

    /// Ends the process without a word and starts another one on the same disks.
    pub fn restart(self, settings: &Settings) -> Rig {
        let mono = self.now.mono.plus_ms(1);
        Rig::start(self.nodes.into_iter().map(|node| node.disk.files).collect(), settings, mono)
    }

    /// The same, but the new process gets no answer to its reads before [`Disk::release`].
    pub fn restart_held(self, settings: &Settings) -> Rig {
        let mono = self.now.mono.plus_ms(1);
        let mut rig = Rig::build(self.nodes.into_iter().map(|node| node.disk.files).collect(), settings, mono);
        rig.nodes.iter_mut().for_each(|node| node.disk.hold_reads = true);
        rig.run();
        rig
    }

    pub fn is_ready(&self) -> bool {
        self.nodes.iter().all(|node| node.stats.ready.load(Ordering::Relaxed))
    }

    pub fn shards(&self) -> usize {
        self.nodes.len()
    }

    pub fn stats(&self, shard: usize) -> &Stats {
        &self.nodes[shard].stats
    }

    pub fn shard(&self, shard: usize) -> &Shard {
        &self.nodes[shard].shard
    }

    pub fn disk(&mut self, shard: usize) -> &mut Disk {
        &mut self.nodes[shard].disk
    }

    pub fn has_exited(&self) -> bool {
        self.nodes.iter().all(|node| node.exited)
    }

    /// All lines of all logs.
    pub fn logs(&self) -> Vec<&str> {
        self.nodes.iter().flat_map(|node| &node.log).map(|(_, text)| text.as_str()).collect()
    }

    /// Each shard has so many shared receive buffers from now on.
    pub fn set_receive_buffers(&mut self, count: usize) {
        self.nodes.iter_mut().for_each(|node| node.pool = Pool::new(count * RECV_BUF_BYTES, 0));
    }

    /// How many of these a shard's connections leave to others.
    pub fn receive_buffers(&self, shard: usize) -> usize {
        let pool = &self.nodes[shard].pool;
        (pool.limit() - pool.used()) / RECV_BUF_BYTES
    }

    /// Tells a shard that it leads some of its groups no longer.
    pub fn lose(&mut self, shard: usize, which: impl Fn(GroupId) -> bool) {
        self.nodes[shard].shard.lose(self.now, which);
        self.inject(shard, Event::Turn);
        self.run();
    }

    /// Hands one event to a shard.
    pub fn inject(&mut self, shard: usize, event: Event<Mail>) {
        self.nodes[shard].events.push_back(event);
    }

    /// Runs until nobody has anything to do at this time. `Turn` comes after all events at hand, as in the reactor.
    pub fn run(&mut self) {
        for _ in 0..100_000 {
            let mut quiet = true;
            for shard in 0..self.nodes.len() {
                quiet &= !self.turn(shard);
            }
            if quiet {
                return;
            }
        }
        panic!("the shards do not come to rest");
    }

    /// Lets time pass, deadline by deadline.
    pub fn pass(&mut self, ms: u64) {
        self.run();
        let (start, end) = (self.now, self.now.mono.plus_ms(ms));
        loop {
            let due = self.nodes.iter().filter(|node| !node.exited).filter_map(|node| node.shard.deadline()).min();
            let next = due.map_or(end, |due| due.max(Mono(self.now.mono.0 + 1)).min(end));
            let passed_ms = (next.0 - start.mono.0) / 1_000_000;
            self.now = Now { mono: next, wall: Wall(start.wall.0 + passed_ms as i64) };
            self.run();
            if next == end {
                return;
            }
        }
    }

    /// One turn of one shard's loop; false if there was nothing to do.
    pub fn turn(&mut self, shard: usize) -> bool {
        let now = self.now;
        let piece = self.piece;
        let node = &mut self.nodes[shard];
        if node.exited {
            return false;
        }
        node.gather(piece);
        let due = node.shard.deadline().is_some_and(|at| at <= now.mono);
        if node.events.is_empty() && !due {
            return false;
        }
        let (mut letters, mut moved) = (Vec::new(), Vec::new());
        let from = ShardId(shard as u16);
        let events = std::mem::take(&mut node.events);
        for event in events.into_iter().chain([Event::Turn]) {
            let mut ops = Vec::new();
            node.shard.step(now, event, &mut ops);
            for op in ops {
                match op {
                    Op::Mail { to, mail } => letters.push((to, Event::Mail { from, mail })),
                    Op::HandOver { conn, to, with } => {
                        let Some(link) = node.links.remove(&conn) else { continue };
                        assert!(
                            matches!(link.armed, Armed::No) && link.sending.is_none(),
                            "handed over with something under way"
                        );
                        moved.push((to, conn, link));
                        letters.push((to, Event::Adopted { from, conn, with }));
                    }
                    op => node.carry_out(op),
                }
            }
        }
        for (to, conn, link) in moved {
            self.nodes[usize::from(to.0)].links.insert(conn, link);
        }
        for (to, letter) in letters {
            self.nodes[usize::from(to.0)].mail.push_back(letter);
        }
        true
    }

    /// A new connection to a shard.
    pub fn connect(&mut self, shard: usize) -> Client {
        self.connect_at(shard, ListenerId(0))
    }

    /// The same at another listener than the first.
    pub fn connect_at(&mut self, shard: usize, listener: ListenerId) -> Client {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let link = Link {
            armed: Armed::No,
            inbound: VecDeque::new(),
            received: Vec::new(),
            sending: None,
            awaits_room: false,
            reads: true,
            slips: 0,
            fin: false,
            told_eof: false,
            closed: false,
        };
        self.nodes[shard].links.insert(conn, link);
        self.inject(shard, Event::Accepted { conn, listener, peer: PEER });
        self.run();
        Client { shard, conn }
    }

    /// The shard that has the connection now.
    pub fn home(&self, client: Client) -> usize {
        self.nodes.iter().position(|node| node.links.contains_key(&client.conn)).expect("a connection of this rig")
    }

    fn link(&mut self, client: Client) -> &mut Link {
        let home = self.home(client);
        self.nodes[home].links.get_mut(&client.conn).expect("it is there")
    }

    /// True if the server has closed the connection.
    pub fn is_closed(&mut self, client: Client) -> bool {
        self.link(client).closed
    }

    /// The client sends no more, and still reads.
    pub fn half_close(&mut self, client: Client) {
        self.link(client).fin = true;
    }

    /// The client goes away.
    pub fn abort(&mut self, client: Client) {
        self.leave(client);
        self.run();
    }

    /// The same; the server has not heard of it yet.
    pub fn leave(&mut self, client: Client) {
        self.link(client).closed = true;
        self.inject(self.home(client), Event::Closed { conn: client.conn });
    }

    /// So many bytes of a send get through to a client that does not read, before the send is taken back.
    pub fn slips(&mut self, client: Client, bytes: usize) {
        self.link(client).slips = bytes;
    }

    /// Whether the client reads what is sent to it.
    pub fn reads(&mut self, client: Client, reads: bool) {
        self.link(client).reads = reads;
    }

    /// Puts bytes on the wire; [`Rig::run`] delivers them.
    pub fn send_bytes(&mut self, client: Client, bytes: &[u8]) {
        self.link(client).inbound.extend(bytes);
    }

    /// Sends a request; returns its correlation id.
    pub fn send<R: Request>(&mut self, client: Client, version: i16, request: &R) -> i32 {
        self.correlation += 1;
        let correlation = self.correlation;
        let frame = frame(request, version, correlation);
        self.send_bytes(client, &frame);
        correlation
    }

    /// The same of a client that calls itself `name`.
    pub fn send_as<R: Request>(&mut self, client: Client, version: i16, request: &R, name: &str) {
        self.correlation += 1;
        let frame = frame_as(request, version, self.correlation, name);
        self.send_bytes(client, &frame);
    }

    /// All bytes that have arrived.
    pub fn take_bytes(&mut self, client: Client) -> Vec<u8> {
        std::mem::take(&mut self.link(client).received)
    }

    /// The next whole answer that has arrived: correlation id and all bytes from there on.
    pub fn take_frame(&mut self, client: Client) -> Option<(i32, Bytes)> {
        let received = &mut self.link(client).received;
        let length = i32::from_be_bytes(*received.first_chunk()?) as usize;
        let frame = Bytes::copy_from_slice(received.get(4..4 + length)?);
        received.drain(..4 + length);
        Some((i32::from_be_bytes(*frame.first_chunk().expect("a correlation id")), frame))
    }

    /// The answer to a request of this type, if it has arrived; it must be the next one.
    pub fn take<R: Request>(&mut self, client: Client, version: i16, correlation: i32) -> Option<R::Response> {
        let (got, frame) = self.take_frame(client)?;
        assert_eq!(got, correlation, "answers come in the order of requests");
        Some(decode::<R::Response>(frame, schema::<R>(version)))
    }

    /// Sends a request and waits, without letting time pass, for its answer.
    pub fn ask<R: Request>(&mut self, client: Client, version: i16, request: &R) -> R::Response {
        let correlation = self.send(client, version, request);
        self.run();
        let logs = self.logs().join("\n");
        self.take::<R>(client, version, correlation)
            .unwrap_or_else(|| panic!("no answer to API {} version {version}; logs:\n{logs}", R::KEY))
    }
}

impl Node {
    /// Everything at hand becomes events.
    fn gather(&mut self, piece: usize) {
        while let Some(done) = self.disk.pop() {
            self.events.push_back(Event::Disk(done));
        }
        self.events.extend(self.mail.drain(..));
        for (&conn, link) in &mut self.links {
            if link.closed {
                continue;
            }
            if link.reads {
                if let Some(parts) = link.sending.take() {
                    parts.iter().for_each(|part: &Buf| link.received.extend_from_slice(part));
                    self.events.push_back(Event::Sent { conn });
                }
                if std::mem::take(&mut link.awaits_room) {
                    self.events.push_back(Event::Room { conn });
                }
            }
            link.deliver(conn, &self.pool, piece, &mut self.events);
        }
    }

    fn carry_out(&mut self, op: Op<Mail>) {
        let conn = match &op {
            Op::Recv { conn } | Op::RecvExact { conn, .. } | Op::Pause { conn } => *conn,
            Op::Send { conn, .. } | Op::Close { conn } | Op::TakeBack { conn } | Op::AwaitRoom { conn } => *conn,
            Op::Disk(_) | Op::Log { .. } | Op::Exit => ConnId(0),
            Op::Mail { .. } | Op::HandOver { .. } | Op::Connect { .. } => unreachable!("for another shard"),
        };
        // What is asked for a connection that is gone is dropped.
        let link = self.links.get_mut(&conn).filter(|link| !link.closed);
        match (op, link) {
            (Op::Disk(op), _) => self.disk.issue(op),
            (Op::Log { level, text }, _) => self.log.push((level, text)),
            (Op::Exit, _) => self.exited = true,
            (Op::Recv { .. }, Some(link)) => {
                assert!(matches!(link.armed, Armed::No), "a receive is armed already");
                link.armed = Armed::Any;
            }
            (Op::RecvExact { bytes, from, .. }, Some(link)) => {
                assert!(matches!(link.armed, Armed::No), "a receive is armed already");
                link.armed = Armed::Exact(bytes, from);
            }
            (Op::Pause { .. }, Some(link)) => {
                self.events.push_back(match std::mem::replace(&mut link.armed, Armed::No) {
                    Armed::Exact(bytes, at) => Event::Halted { conn, bytes, at },
                    Armed::Any | Armed::No => Event::Paused { conn },
                });
            }
            (Op::TakeBack { .. }, Some(link)) => {
                if let Some(mut rest) = link.sending.take() {
                    let mut sent = link.slips.min(rest.iter().map(|part| part.len()).sum::<usize>() - 1);
                    while sent >= rest[0].len() {
                        let part = rest.remove(0);
                        sent -= part.len();
                        link.received.extend_from_slice(&part);
                    }
                    link.received.extend_from_slice(&rest[0][..sent]);
                    self.events.push_back(Event::TakenBack { conn, rest, sent });
                }
            }
            (Op::AwaitRoom { .. }, Some(link)) => {
                assert!(link.sending.is_none() && !link.awaits_room, "it waits for nothing else");
                link.awaits_room = true;
            }
            (Op::Send { parts, .. }, Some(link)) => {
                assert!(link.sending.is_none() && !link.awaits_room, "one send at a time");
                link.sending = Some(parts);
            }
            (Op::Close { .. }, Some(link)) => {
                link.closed = true;
                self.events.push_back(Event::Closed { conn });
            }
            (_, None) | (Op::Mail { .. } | Op::HandOver { .. } | Op::Connect { .. }, _) => {}
        }
    }
}

impl Link {
    /// What the armed receive takes. Several pieces may come before a shard hears of the first.
    fn deliver(&mut self, conn: ConnId, pool: &Pool, piece: usize, events: &mut VecDeque<Event<Mail>>) {
        match std::mem::replace(&mut self.armed, Armed::No) {
            Armed::No => return,
            Armed::Any => {
                while !self.inbound.is_empty() {
                    let buffer = pool.take(RECV_BUF_BYTES.max(piece));
                    let Some(mut bytes) = buffer else { return events.push_back(Event::Starved { conn }) };
                    bytes.truncate(piece.min(self.inbound.len()));
                    bytes.iter_mut().for_each(|byte| *byte = self.inbound.pop_front().expect("counted"));
                    events.push_back(Event::Received { conn, bytes });
                }
                self.armed = Armed::Any;
            }
            Armed::Exact(mut bytes, mut at) => {
                while at < bytes.len()
                    && let Some(byte) = self.inbound.pop_front()
                {
                    bytes[at] = byte;
                    at += 1;
                }
                if at == bytes.len() {
                    return events.push_back(Event::Filled { conn, bytes });
                }
                self.armed = Armed::Exact(bytes, at);
            }
        }
        if self.fin && !self.told_eof {
            self.told_eof = true;
            self.armed = Armed::No;
            events.push_back(Event::Eof { conn });
        }
    }
}

/// The version whose layout a request and its answer have.
pub fn schema<R: Request>(version: i16) -> i16 {
    torc_net::kafka::window(R::KEY).map_or(version, |window| version.min(window.schema_max))
}

/// A request as a frame with its length.
pub fn frame<R: Request>(request: &R, version: i16, correlation: i32) -> Vec<u8> {
    frame_as(request, version, correlation, "rig")
}

/// The same of a client that calls itself `name`.
fn frame_as<R: Request>(request: &R, version: i16, correlation: i32, name: &str) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_string(name.to_owned())));
    let mut out = BytesMut::new();
    out.put_i32(0);
    header.encode(&mut out, R::header_version(version)).expect("a header");
    request.encode(&mut out, schema::<R>(version)).expect("a request that the version can express");
    let length = (out.len() - 4) as i32;
    out[..4].copy_from_slice(&length.to_be_bytes());
    out.to_vec()
}

pub fn decode<R: Decodable + HeaderVersion>(mut frame: Bytes, version: i16) -> R {
    ResponseHeader::decode(&mut frame, R::header_version(version)).expect("a header");
    let response = R::decode(&mut frame, version).expect("an answer that the schema allows");
    assert!(frame.is_empty(), "{} bytes behind the answer", frame.len());
    response
}
