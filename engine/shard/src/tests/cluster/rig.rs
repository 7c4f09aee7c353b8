//! Nodes and the connections between them, driven by events as reactors drive them. What the contract of `torc_base::io`
//! forbids a shard ends the test. Time passes when a test lets it.

use crate::groups::Out;
use crate::mail::{Acks, Answer, Asker, Place, ProducePart, Token};
use crate::meaning::LogKind;
use crate::refusal::Refusal;
use crate::settings::{ClusterSettings, Listener, Peer, Protocol, Settings};
use crate::tests::disk::{Disk, Files};
use crate::tests::rig::{START_MS, settings};
use crate::{Mail, Shard, Stats, WalSettings};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::{ConnId, GroupId, Index, ListenerId, NodeId, Offset, ShardId};
use torc_base::io::{App, ConnectError, Event, Level, Op};
use torc_base::time::{Mono, Now, Wall};
use torc_consensus::Raft;
use torc_net::kafka::records::{BuildOptions, Record};
use torc_net::peer::{self, Caller, Frame, Known, Question, Reply};

/// Where nodes listen for each other.
pub const PEERS: ListenerId = ListenerId(1);
/// What a connection's way holds before a sender has to wait.
const WAY_BYTES: usize = 256 << 10;
pub const CLUSTER: u128 = 0x77;

/// The node with this number, from 1 on.
pub fn node(number: u32) -> NodeId {
    NodeId(number)
}

/// Nodes 1 to 3.
pub fn members() -> [NodeId; 3] {
    [1, 2, 3].map(node)
}

/// Three nodes that have a group in common, and the one that leads it.
pub fn led(log: GroupId) -> (Cluster, NodeId) {
    let mut cluster = Cluster::new([1, 1, 1]);
    cluster.pass(500);
    cluster.create(log, &members());
    let leader = cluster.leader(log);
    (cluster, leader)
}

pub fn address(node: NodeId) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, node.get() as u8)), 9192)
}

/// Nodes 1 to 3, with disks of ten times their numbers.
pub fn founders() -> Vec<(NodeId, u128)> {
    (1..=3).map(|number| (node(number), u128::from(number) * 10)).collect()
}

/// Settings of one of `nodes` nodes.
pub fn settings_of(id: NodeId, nodes: u32) -> Settings {
    let others = (1..=nodes).map(node).filter(|other| *other != id);
    Settings {
        node: id,
        cluster: ClusterSettings {
            id: CLUSTER,
            peers: others.map(|node| Peer { node, address: address(node) }).collect(),
            voters: (1..=nodes.min(5)).map(node).collect(),
            start: u64::from(id.get()) << 8,
            ..ClusterSettings::alone(id)
        },
        listeners: vec![
            Listener::kafka("torc.example", 9092),
            Listener { protocol: Protocol::Peer, advertised: ("torc.example".into(), 9192) },
        ],
        seed: u64::from(id.get()) * 77,
        wal: WalSettings { segment_bytes: 4 << 20, ..settings().wal },
        ..settings()
    }
}

enum Armed {
    No,
    Any,
    Exact(BufMut, usize),
}

/// One end of a connection, at a shard or in a test's hands.
struct End {
    at: Option<(NodeId, ShardId)>,
    other: ConnId,
    armed: Armed,
    /// On the way here: when it arrives, and what.
    inbound: VecDeque<(Mono, Vec<u8>)>,
    /// Bytes of the first of them that were taken.
    taken: usize,
    /// The other end sends no more, or is gone: it is told when all that it sent has arrived.
    ends: Option<Mono>,
    /// A send waits for room on the way.
    sending: bool,
    closed: bool,
}

struct Process {
    shards: Vec<Shard>,
    stats: Vec<Arc<Stats>>,
    disks: Vec<Disk>,
    events: Vec<VecDeque<Event<Mail>>>,
    log: Vec<(Level, String)>,
}

pub struct Cluster {
    processes: BTreeMap<NodeId, Process>,
    /// The disks of nodes that are down, and what each is told at its start.
    down: BTreeMap<NodeId, Vec<Files>>,
    pub settings: BTreeMap<NodeId, Settings>,
    shards: BTreeMap<NodeId, u16>,
    ends: BTreeMap<ConnId, End>,
    next_conn: u64,
    pub now: Now,
    pool: Pool,
    /// Ways that carry nothing, and those that take longer.
    pub cut: BTreeSet<(NodeId, NodeId)>,
    pub slow_ms: BTreeMap<(NodeId, NodeId), u64>,
    /// Processes that stand still.
    pub paused: BTreeSet<NodeId>,
    /// Nobody has a shared receive buffer.
    pub starving: bool,
    /// Bytes that went from node to node.
    pub carried: u64,
    /// Groups that a test has made.
    by_hand: BTreeSet<GroupId>,
    /// Calls that were made.
    pub calls: Vec<(NodeId, SocketAddr)>,
    next_token: u64,
    starts: u64,
}

impl Cluster {
    /// Three nodes with as many shards as said.
    pub fn new(shards: [u16; 3]) -> Cluster {
        Cluster::with(shards, |_| {})
    }

    /// The same with other settings.
    pub fn with(shards: [u16; 3], change: impl Fn(&mut Settings)) -> Cluster {
        Cluster::of(&shards, change)
    }

    /// As many nodes as there are numbers of shards.
    pub fn of(shards: &[u16], change: impl Fn(&mut Settings)) -> Cluster {
        let nodes = shards.len() as u32;
        let mut cluster = Cluster {
            processes: BTreeMap::new(),
            down: BTreeMap::new(),
            settings: BTreeMap::new(),
            shards: (1..=nodes).map(node).zip(shards.iter().copied()).collect(),
            ends: BTreeMap::new(),
            next_conn: 1,
            now: Now { mono: Mono(1), wall: Wall(START_MS) },
            pool: Pool::new(usize::MAX, 0),
            cut: BTreeSet::new(),
            slow_ms: BTreeMap::new(),
            paused: BTreeSet::new(),
            starving: false,
            carried: 0,
            by_hand: BTreeSet::new(),
            calls: Vec::new(),
            next_token: 0,
            starts: 0,
        };
        for id in (1..=nodes).map(node) {
            let mut settings = settings_of(id, nodes);
            change(&mut settings);
            cluster.settings.insert(id, settings);
            let files = vec![Files::new(); usize::from(cluster.shards[&id])];
            cluster.down.insert(id, files);
            cluster.start(id);
        }
        cluster
    }

    /// Says that a server with this number and disk wants to join, to a node, until that lets it in or refuses it.
    pub fn ask_to_join(&mut self, id: NodeId, disk: u128, via: NodeId) -> Result<Vec<Known>, String> {
        let from = Caller { node: id, start: 1 };
        let question = Question { from, joins: true, cluster: 0, disk, address: Some(address(id)) };
        for _ in 0..100 {
            match self.ask(via, &question) {
                Some(Reply::Member { servers, .. }) => return Ok(servers),
                Some(Reply::Refused(why)) => return Err(why),
                Some(Reply::Wait(_)) | None => self.pass(100),
            }
        }
        panic!("node {id} is never let in: {:?}", self.logs(via));
    }

    /// Asks a node what it knows of a server.
    pub fn ask(&mut self, via: NodeId, question: &Question) -> Option<Reply> {
        let conn = self.stranger(via, 0);
        self.say(conn, &peer::form(&question.encode()));
        let (bytes, _) = self.heard(conn);
        self.hang_up(conn);
        let frame = bytes.get(4..)?;
        let Ok(Frame::Form(body)) = peer::decode(&Buf::copy_of(frame)) else { panic!("no answer to {question:?}") };
        Some(Reply::decode(&body).expect("an answer").1)
    }

    /// A server joins by way of a node, with a disk that is new, and is started. Its number may have been another's.
    pub fn join(&mut self, id: NodeId, shards: u16, disk: u128, via: NodeId) {
        self.join_with(id, shards, disk, via, |_| {});
    }

    /// The same with other settings.
    pub fn join_with(&mut self, id: NodeId, shards: u16, disk: u128, via: NodeId, change: impl Fn(&mut Settings)) {
        let servers = self.ask_to_join(id, disk, via).expect("it is let in");
        let mut settings = settings_of(id, 3);
        settings.listeners[0].advertised.0 = format!("node{id}.example");
        // Where a founder is itself stands in the record of the founding.
        let others = servers.into_iter().filter(|server| server.node != id);
        let peer = |server: Known| Peer { node: server.node, address: address(server.node) };
        let founders = founders();
        settings.cluster = ClusterSettings {
            peers: others.map(peer).collect(),
            voters: founders.iter().map(|(node, _)| *node).collect(),
            doubt: Some(disk as u64),
            founders,
            disk,
            ..settings.cluster
        };
        change(&mut settings);
        self.settings.insert(id, settings);
        self.shards.insert(id, shards);
        self.down.insert(id, vec![Files::new(); usize::from(shards)]);
        self.start(id);
    }

    /// Starts a node on its disks.
    pub fn start(&mut self, id: NodeId) {
        self.starts += 1;
        let shards = self.shards[&id];
        let files = self.down.remove(&id).expect("it is down");
        let cluster = &self.settings[&id].cluster;
        let cluster = ClusterSettings { start: cluster.start + self.starts, ..cluster.clone() };
        let settings = |shard| {
            let cluster = cluster.clone();
            Settings { shard: ShardId(shard), shards, cluster, ..self.settings[&id].clone() }
        };
        let stats: Vec<Arc<Stats>> = (0..shards).map(|_| Arc::new(Stats::default())).collect();
        let made = (0..shards).zip(&stats).map(|(shard, stats)| {
            let mut made = Shard::new(settings(shard), Arc::clone(stats));
            made.groups.by_hand.clone_from(&self.by_hand);
            made
        });
        let process = Process {
            shards: made.collect(),
            stats,
            disks: files.into_iter().map(Disk::new).collect(),
            events: (0..shards).map(|_| VecDeque::from([Event::Start])).collect(),
            log: Vec::new(),
        };
        self.processes.insert(id, process);
    }

    /// Ends a process without a word; its kernel tells the others.
    pub fn kill(&mut self, id: NodeId) {
        let process = self.processes.remove(&id).expect("it runs");
        self.down.insert(id, process.disks.into_iter().map(|disk| disk.files).collect());
        let mine: Vec<ConnId> = self.ends_of(id);
        for conn in mine {
            self.hang_up(conn);
        }
    }

    /// A machine is gone, and says nothing.
    pub fn power_off(&mut self, id: NodeId) {
        let process = self.processes.remove(&id).expect("it runs");
        self.down.insert(id, process.disks.into_iter().map(|disk| disk.files).collect());
        self.ends_of(id).into_iter().for_each(|conn| self.ends.get_mut(&conn).unwrap().closed = true);
    }

    /// The node's disks are empty from now on.
    pub fn wipe(&mut self, id: NodeId) {
        self.down.get_mut(&id).expect("it is down").iter_mut().for_each(Files::clear);
    }

    /// How many shards a node has, each with a disk.
    pub fn shards_of(&self, id: NodeId) -> u16 {
        self.shards[&id]
    }

    /// The disks of a node that is down, one for each shard.
    pub fn files(&mut self, id: NodeId) -> &mut Vec<Files> {
        self.down.get_mut(&id).expect("it is down")
    }

    fn ends_of(&self, id: NodeId) -> Vec<ConnId> {
        let mine = |end: &End| !end.closed && end.at.is_some_and(|(node, _)| node == id);
        self.ends.iter().filter(|(_, end)| mine(end)).map(|(conn, _)| *conn).collect()
    }

    /// This end is gone; the other one hears of it behind what is on its way.
    pub fn hang_up(&mut self, conn: ConnId) {
        let end = self.ends.get_mut(&conn).expect("a connection");
        end.closed = true;
        let other = end.other;
        let at = self.now.mono;
        if let Some(other) = self.ends.get_mut(&other) {
            other.ends.get_or_insert(at);
        }
    }

    pub fn is_running(&self, id: NodeId) -> bool {
        self.processes.contains_key(&id)
    }

    pub fn shard(&self, id: NodeId, shard: u16) -> &Shard {
        &self.processes[&id].shards[usize::from(shard)]
    }

    pub fn disk(&mut self, id: NodeId, shard: u16) -> &mut Disk {
        &mut self.processes.get_mut(&id).expect("it runs").disks[usize::from(shard)]
    }

    /// The lines of a node's log.
    pub fn logs(&self, id: NodeId) -> Vec<&str> {
        self.processes[&id].log.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Sum of a counter over the shards of a node.
    pub fn count(&self, id: NodeId, counter: impl Fn(&Stats) -> &AtomicU64) -> u64 {
        self.processes[&id].stats.iter().map(|stats| counter(stats).load(Ordering::Relaxed)).sum()
    }

    /// How many requests a node has counted in a stage, and their nanoseconds.
    pub fn stages(&self, id: NodeId, stage: crate::Stage) -> (u64, u64) {
        let all = self.processes[&id].stats.iter().map(|stats| stats.stages.of(stage).read());
        all.fold((0, 0), |(count, sum), (buckets, ns)| (count + buckets.iter().sum::<u64>(), sum + ns))
    }

    /// Links of all shards of a node that are up.
    pub fn links(&self, id: NodeId) -> usize {
        let process = &self.processes[&id];
        let places = self.shards.iter().filter(|(node, _)| **node != id).flat_map(|(node, shards)| {
            (0..*shards).map(|shard| Place { node: *node, shard: ShardId(shard) }).collect::<Vec<_>>()
        });
        let places: Vec<Place> = places.collect();
        process.shards.iter().map(|shard| places.iter().filter(|place| shard.links.is_up(**place)).count()).sum()
    }

    fn owner(&self, id: NodeId, group: GroupId) -> usize {
        usize::from(crate::settings::shard_of(group, self.shards[&id]).0)
    }

    /// Does something with the groups of the shard of a node that has `group`.
    pub fn call<T>(
        &mut self,
        id: NodeId,
        group: GroupId,
        f: impl FnOnce(&mut crate::groups::Groups, &mut Out) -> T,
    ) -> T {
        let at = self.owner(id, group);
        let (now, mut ops) = (self.now, Vec::new());
        let process = self.processes.get_mut(&id).expect("it runs");
        let mut result = None;
        process.shards[at].with_groups(now, &mut ops, |groups, out| result = Some(f(groups, out)));
        process.events[at].push_back(Event::Turn);
        for op in ops {
            self.carry_out(id, at, op);
        }
        result.expect("it was called")
    }

    /// Makes a partition's group on its replicas.
    pub fn create(&mut self, group: GroupId, replicas: &[NodeId]) {
        self.create_on(group, replicas, replicas);
    }

    /// The same on some of them: the others have not heard of it yet.
    pub fn create_on(&mut self, group: GroupId, replicas: &[NodeId], on: &[NodeId]) {
        self.by_hand.insert(group);
        for shard in self.processes.values_mut().flat_map(|process| &mut process.shards) {
            shard.groups.by_hand.insert(group);
        }
        for id in on {
            if self.is_running(*id) {
                self.call(*id, group, |groups, out| groups.create(out, group, LogKind::Partition, replicas));
            }
        }
    }

    /// Appends a record of `bytes` bytes at a node that leads.
    pub fn produce(&mut self, id: NodeId, group: GroupId, bytes: usize) {
        self.try_produce(id, group, bytes);
    }

    /// The same; why it is refused, if it is so at once.
    pub fn try_produce(&mut self, id: NodeId, group: GroupId, bytes: usize) -> Option<Refusal> {
        self.next_token += 1;
        // Nobody waits there; what counts is the committed log.
        let asker = Asker { place: Place { node: id, shard: ShardId(0) }, token: Token(self.next_token) };
        let value: Vec<u8> = (0..bytes).map(|at| (at as u64 * 31 + self.next_token) as u8).collect();
        let key = [b'k', (self.next_token % 7) as u8];
        let record = Record { timestamp: START_MS, key: Some(&key), value: Some(&value), ..Record::default() };
        let built = torc_net::kafka::records::build(&[record], &BuildOptions::default());
        let mut payload = self.pool.take(built.len()).expect("no limit");
        payload.copy_from_slice(&built);
        let header = crate::batch::header(&built).expect("just built");
        let gather = built.len() >= torc_base::limits::LARGE_FRAME;
        let batch = crate::batch::NewBatch { header, bytes: payload, gather, stamp: false };
        let part = ProducePart { position: 0, group, batch, acks: Acks::All, in_sync: 1 };
        self.call(id, group, |groups, out| {
            groups.produce(out, asker, vec![part]);
            match out.answers.back() {
                Some((to, Answer::Produced(parts))) if *to == asker => {
                    parts.iter().find_map(|(_, result)| (*result).err())
                }
                _ => None,
            }
        })
    }

    pub fn raft(&self, id: NodeId, group: GroupId) -> Option<&Raft> {
        let at = self.owner(id, group);
        self.processes.get(&id)?.shards[at].groups.raft(group)
    }

    /// What a node's group means, and the offset behind its last committed record.
    pub fn state(&self, id: NodeId, group: GroupId) -> (Vec<u8>, Offset) {
        let at = self.owner(id, group);
        self.processes[&id].shards[at].groups.state(group).expect("the group is there")
    }

    /// Who leads a group and serves: of several the one of the newest term. There must be one before long.
    pub fn leader(&mut self, group: GroupId) -> NodeId {
        for _ in 0..100 {
            let leads = |id: &NodeId| {
                let at = self.owner(*id, group);
                let leads = self.processes[id].shards[at].groups.leads(group);
                let hears = |other: &NodeId| !self.cut.contains(&(*id, *other)) && !self.cut.contains(&(*other, *id));
                let mut others = self.settings.keys().filter(|other| *other != id);
                let reached = !self.paused.contains(id) && others.any(hears);
                (leads && reached).then(|| (self.raft(*id, group).expect("it leads").term(), *id))
            };
            if let Some((_, id)) = self.processes.keys().filter_map(leads).max() {
                return id;
            }
            self.pass(100);
        }
        panic!("nobody leads group {group}: {}", self.describe(group));
    }

    /// Where the members of a group stand.
    pub fn describe(&self, group: GroupId) -> String {
        let one = |id: &NodeId| match self.raft(*id, group) {
            Some(raft) => {
                format!("node {id}: {:?} {:?} of {:?} {:?}", raft.role(), raft.term(), raft.leader(), raft.marks())
            }
            None => format!("node {id}: no group"),
        };
        self.processes.keys().map(one).collect::<Vec<_>>().join("; ")
    }

    /// All members have the same committed log.
    pub fn assert_agree(&mut self, group: GroupId, members: &[NodeId]) {
        let leader = self.leader(group);
        self.pass(1_000);
        let expected = self.state(leader, group);
        let written = self.raft(leader, group).expect("it leads").marks();
        for id in members {
            let marks = self.raft(*id, group).unwrap_or_else(|| panic!("{}", self.describe(group))).marks();
            assert_eq!((marks.applied, marks.durable), (written.applied, written.durable), "{}", self.describe(group));
            assert_eq!(self.state(*id, group), expected, "node {id} and the leader {leader}");
        }
    }

    pub fn committed(&self, id: NodeId, group: GroupId) -> Index {
        self.raft(id, group).map_or(Index(0), |raft| raft.marks().committed)
    }

    /// Runs until nobody has anything to do at this time.
    pub fn run(&mut self) {
        let gone = |end: &End, ends: &BTreeMap<ConnId, End>| {
            end.closed && ends.get(&end.other).is_none_or(|other| other.closed)
        };
        let gone: Vec<ConnId> =
            self.ends.iter().filter(|(_, end)| gone(end, &self.ends)).map(|(conn, _)| *conn).collect();
        gone.iter().for_each(|conn| drop(self.ends.remove(conn)));
        for _ in 0..20_000 {
            let mut quiet = true;
            let all: Vec<NodeId> = self.processes.keys().copied().filter(|id| !self.paused.contains(id)).collect();
            for id in all {
                for shard in 0..usize::from(self.shards[&id]) {
                    quiet &= !self.turn(id, shard);
                }
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
        while self.now.mono < end {
            let awake = self.processes.iter().filter(|(id, _)| !self.paused.contains(id));
            let due = awake.flat_map(|(_, process)| process.shards.iter().filter_map(App::deadline)).min();
            let arrives = self.ends.iter().filter_map(|(conn, end)| self.arrival(*conn, end)).min();
            let next = [due, arrives].into_iter().flatten().min().map_or(end, |at| at.min(end));
            let next = next.max(Mono(self.now.mono.0 + 1));
            let passed_ms = (next.0 - start.mono.0) / 1_000_000;
            self.now = Now { mono: next, wall: Wall(start.wall.0 + passed_ms as i64) };
            self.run();
        }
    }

    /// When something comes to an end of a connection next, if it is not held up.
    fn arrival(&self, conn: ConnId, end: &End) -> Option<Mono> {
        let (at, _) = end.at?;
        if end.closed || self.paused.contains(&at) || self.is_held_up(conn) {
            return None;
        }
        let bytes = (!matches!(end.armed, Armed::No)).then(|| end.inbound.front().map(|(at, _)| *at)).flatten();
        bytes.filter(|at| *at > self.now.mono)
    }

    /// True if what is on its way to this end does not arrive.
    fn is_held_up(&self, conn: ConnId) -> bool {
        let end = &self.ends[&conn];
        let from = self.ends.get(&end.other).and_then(|other| other.at);
        matches!((from, end.at), (Some((from, _)), Some((to, _))) if self.cut.contains(&(from, to)))
    }

    /// One turn of one shard's loop; false if there was nothing to do.
    pub fn turn(&mut self, id: NodeId, shard: usize) -> bool {
        self.gather(id, shard);
        let Some(process) = self.processes.get_mut(&id) else { return false };
        let due = process.shards[shard].deadline().is_some_and(|at| at <= self.now.mono);
        if process.events[shard].is_empty() && !due {
            return false;
        }
        let events = std::mem::take(&mut process.events[shard]);
        for event in events.into_iter().chain([Event::Turn]) {
            let mut ops = Vec::new();
            let process = self.processes.get_mut(&id).expect("it runs");
            process.shards[shard].step(self.now, event, &mut ops);
            for op in ops {
                self.carry_out(id, shard, op);
            }
        }
        true
    }

    /// Everything at hand becomes events.
    fn gather(&mut self, id: NodeId, shard: usize) {
        let place = (id, ShardId(shard as u16));
        let mine: Vec<ConnId> =
            self.ends.iter().filter(|(_, end)| end.at == Some(place) && !end.closed).map(|(conn, _)| *conn).collect();
        let mut events = VecDeque::new();
        for conn in mine {
            self.deliver(conn, &mut events);
        }
        let process = self.processes.get_mut(&id).expect("it runs");
        while let Some(done) = process.disks[shard].pop() {
            process.events[shard].push_back(Event::Disk(done));
        }
        process.events[shard].append(&mut events);
    }

    fn deliver(&mut self, conn: ConnId, events: &mut VecDeque<Event<Mail>>) {
        let (held_up, now) = (self.is_held_up(conn), self.now.mono);
        let room = self.ends.get(&self.ends[&conn].other).is_none_or(|other| {
            other.closed || other.inbound.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= WAY_BYTES
        });
        let end = self.ends.get_mut(&conn).expect("just listed");
        if end.sending && room {
            end.sending = false;
            events.push_back(Event::Sent { conn });
        }
        while !held_up && end.inbound.front().is_some_and(|(at, _)| *at <= now) {
            let (_, bytes) = end.inbound.front().expect("just seen");
            let rest = &bytes[end.taken..];
            match std::mem::replace(&mut end.armed, Armed::No) {
                Armed::No => return,
                Armed::Any if self.starving => return events.push_back(Event::Starved { conn }),
                Armed::Any => {
                    end.armed = Armed::Any;
                    let mut piece = self.pool.take(rest.len().min(16 << 10)).expect("no limit");
                    let len = piece.len();
                    piece.copy_from_slice(&rest[..len]);
                    end.taken += len;
                    events.push_back(Event::Received { conn, bytes: piece });
                }
                Armed::Exact(mut buffer, mut at) => {
                    let len = rest.len().min(buffer.len() - at);
                    buffer[at..at + len].copy_from_slice(&rest[..len]);
                    (at, end.taken) = (at + len, end.taken + len);
                    if at == buffer.len() {
                        events.push_back(Event::Filled { conn, bytes: buffer });
                    } else {
                        end.armed = Armed::Exact(buffer, at);
                    }
                }
            }
            if end.inbound.front().is_some_and(|(_, bytes)| bytes.len() == end.taken) {
                end.inbound.pop_front();
                end.taken = 0;
            }
        }
        if !held_up && end.inbound.is_empty() && end.ends.is_some_and(|at| at <= now) {
            end.closed = true;
            events.push_back(Event::Closed { conn });
        }
    }

    fn carry_out(&mut self, id: NodeId, shard: usize, op: Op<Mail>) {
        let from = ShardId(shard as u16);
        match op {
            Op::Disk(op) => self.processes.get_mut(&id).expect("it runs").disks[shard].issue(op),
            Op::Log { level, text } => self.processes.get_mut(&id).expect("it runs").log.push((level, text)),
            Op::Mail { to, mail } => self.event(id, to, Event::Mail { from, mail }),
            Op::HandOver { conn, to, with } => {
                let end = self.ends.get_mut(&conn).expect("a connection");
                assert!(matches!(end.armed, Armed::No) && !end.sending, "handed over with something under way");
                end.at = Some((id, to));
                self.event(id, to, Event::Adopted { from, conn, with });
            }
            Op::Connect { call, to, .. } => self.connect(id, from, call, to),
            Op::Send { conn, parts } => self.send(conn, &parts),
            Op::Close { conn } => {
                if self.ends.get(&conn).is_some_and(|end| !end.closed) {
                    self.hang_up(conn);
                }
                self.event(id, from, Event::Closed { conn });
            }
            Op::Recv { conn } => self.arm(conn, Armed::Any),
            Op::RecvExact { conn, bytes, from } => self.arm(conn, Armed::Exact(bytes, from)),
            Op::Pause { conn } => {
                let Some(end) = self.ends.get_mut(&conn).filter(|end| !end.closed) else { return };
                let event = match std::mem::replace(&mut end.armed, Armed::No) {
                    Armed::Exact(bytes, at) => Event::Halted { conn, bytes, at },
                    Armed::Any | Armed::No => Event::Paused { conn },
                };
                self.event(id, from, event);
            }
            Op::Exit => panic!("node {id} has stopped: {:?}", self.logs(id)),
            Op::TakeBack { .. } | Op::AwaitRoom { .. } => unreachable!("not asked for of peers' connections"),
        }
    }

    fn event(&mut self, id: NodeId, shard: ShardId, event: Event<Mail>) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.events[usize::from(shard.0)].push_back(event);
        }
    }

    fn arm(&mut self, conn: ConnId, armed: Armed) {
        let Some(end) = self.ends.get_mut(&conn).filter(|end| !end.closed) else { return };
        assert!(matches!(end.armed, Armed::No), "a receive is armed already");
        end.armed = armed;
    }

    fn send(&mut self, conn: ConnId, parts: &[Buf]) {
        let Some(end) = self.ends.get_mut(&conn).filter(|end| !end.closed) else { return };
        assert!(!end.sending, "one send at a time");
        end.sending = true;
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        self.put(conn, bytes);
    }

    /// Puts bytes on the way from this end to the other one.
    pub fn put(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.carried += bytes.len() as u64;
        let (from, other) = (self.ends[&conn].at, self.ends[&conn].other);
        let Some(end) = self.ends.get_mut(&other) else { return };
        let way = from.zip(end.at).map(|((from, _), (to, _))| (from, to));
        let slow = way.and_then(|way| self.slow_ms.get(&way)).copied().unwrap_or(0);
        let at = self.now.mono.plus_ms(slow).max(end.inbound.back().map_or(Mono(0), |(at, _)| *at));
        if end.ends.is_none() && !end.closed {
            end.inbound.push_back((at, bytes));
        }
    }

    fn connect(&mut self, id: NodeId, from: ShardId, call: u64, to: SocketAddr) {
        self.calls.push((id, to));
        let target = self.processes.keys().copied().find(|node| address(*node) == to);
        let target = target.filter(|node| !self.paused.contains(node));
        let Some(target) = target.filter(|node| !self.cut.contains(&(id, *node)) && !self.cut.contains(&(*node, id)))
        else {
            return self.event(id, from, Event::Unreachable { call, error: ConnectError::Refused });
        };
        // Any of its shards accepts.
        let shard = ShardId((self.next_conn % u64::from(self.shards[&target])) as u16);
        let (mine, theirs) = self.pair(Some((id, from)), Some((target, shard)));
        self.event(id, from, Event::Connected { call, conn: mine });
        let peer = address(id);
        self.event(target, shard, Event::Accepted { conn: theirs, listener: PEERS, peer });
    }

    fn pair(&mut self, a: Option<(NodeId, ShardId)>, b: Option<(NodeId, ShardId)>) -> (ConnId, ConnId) {
        let (mine, theirs) = (ConnId(self.next_conn), ConnId(self.next_conn + 1));
        self.next_conn += 2;
        for (conn, other, at) in [(mine, theirs, a), (theirs, mine, b)] {
            let (armed, inbound) = (Armed::No, VecDeque::new());
            self.ends
                .insert(conn, End { at, other, armed, inbound, taken: 0, ends: None, sending: false, closed: false });
        }
        (mine, theirs)
    }

    /// A connection of a test to the peers' listener of a node.
    pub fn stranger(&mut self, to: NodeId, shard: u16) -> ConnId {
        self.caller(to, shard, PEERS)
    }

    /// A connection of a test to any listener of a node.
    pub fn caller(&mut self, to: NodeId, shard: u16, listener: ListenerId) -> ConnId {
        let (mine, theirs) = self.pair(None, Some((to, ShardId(shard))));
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99)), 40_000);
        self.event(to, ShardId(shard), Event::Accepted { conn: theirs, listener, peer });
        mine
    }

    /// Sends bytes on a test's connection.
    pub fn say(&mut self, conn: ConnId, bytes: &[u8]) {
        self.put(conn, bytes.to_vec());
        self.run();
    }

    /// What has come on a test's connection, and whether its other end is gone.
    pub fn heard(&mut self, conn: ConnId) -> (Vec<u8>, bool) {
        self.run();
        let Some(end) = self.ends.get_mut(&conn) else { return (Vec::new(), true) };
        let bytes = end.inbound.drain(..).flat_map(|(_, bytes)| bytes).collect();
        (bytes, end.ends.is_some())
    }
}
