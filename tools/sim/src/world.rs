//! Virtual time, and one queue of everything that is going to happen.
//!
//! The queue is ordered by time, then by a number from the seed, so that what falls on one moment comes in any order.
//! The shards of a process are stepped as a reactor would: the events at hand, then `Turn`. A world has one process or,
//! as nodes of a cluster, several; shards are counted through all of them.

use crate::cables::Machine;
use crate::disk::Disk;
use crate::net::{Ask, Manner, Net, Outcome, Step};
use crate::trail::Trail;
use crate::violation::{Rule, Violation};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use torc_base::crc::crc32c;
use torc_base::ids::{ConnId, ListenerId, ShardId};
use torc_base::io::{App, DiskKind, Event, Level, Op};
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now, Wall};

/// What a shard says of a link on which came what the version that is spoken on it does not know.
const UNKNOWN: &str = "that its version does not know";

/// 2026-01-01.
const WALL_START_MS: i64 = 1_767_225_600_000;
/// A shard that takes this many turns in a row without events or wishes is spinning.
const EMPTY_TURNS_MAX: u32 = 20_000;

/// One millisecond of virtual time.
pub const MS: u64 = 1_000_000;

/// What the run has to react to.
#[derive(Debug)]
pub enum Happening {
    /// Something inside the server or the network.
    Quiet,
    /// Bytes for a client's connection.
    Bytes { link: u64, bytes: Vec<u8> },
    /// A client's connection is gone.
    Lost { link: u64 },
    /// A timer of the run is due.
    Timer { token: u64 },
    /// A shard ended by its own wish.
    Exited { shard: usize },
}

enum Due<M> {
    Net { link: u64, step: Step },
    Disk { shard: usize, ticket: u64 },
    Turn { shard: usize },
    Letter { to: usize, letter: Box<Event<M>> },
    Timer { token: u64 },
}

/// What the queue keeps in order; it moves its entries about, so that what they stand for lies elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    tiebreak: u64,
    /// Where [`Coming`] has it.
    slot: usize,
}

/// What entries of the queue stand for.
struct Coming<M> {
    slots: Vec<Option<Planned<M>>>,
    free: Vec<usize>,
}

struct Planned<M> {
    /// The node and its life that it belongs to; `None`: it comes whoever lives.
    life: Option<(usize, u32)>,
    due: Due<M>,
}

impl<M> Coming<M> {
    fn put(&mut self, planned: Planned<M>) -> usize {
        if let Some(slot) = self.free.pop() {
            self.slots[slot] = Some(planned);
            return slot;
        }
        self.slots.push(Some(planned));
        self.slots.len() - 1
    }

    fn take(&mut self, slot: usize) -> Planned<M> {
        self.free.push(slot);
        self.slots[slot].take().expect("an entry of the queue stands for it")
    }
}

enum AtHand<M> {
    Event(Event<M>),
    /// Completed when it is handed over: until then the device has promised nothing.
    Disk(u64),
}

/// A server process, or what is left of one.
struct Node {
    /// Its shards, as they are counted in the world.
    shards: Range<usize>,
    /// How often it was started.
    life: u32,
    running: bool,
    /// How far its clock is ahead of the others', milliseconds.
    ahead: i64,
    /// Stopped by SIGSTOP: its shards do nothing before then.
    stands_until: u64,
}

/// One shard's place in its process.
struct Host<A: App> {
    app: A,
    /// It has said `Exit`; it is stepped no more.
    exited: bool,
    at_hand: VecDeque<AtHand<A::Mail>>,
    /// When its next turn is; entries of the queue for other times are stale.
    turn: Option<u64>,
    /// When the last mail to each shard of the process arrives.
    mail_last: Vec<u64>,
    empty_turns: u32,
}

/// Server processes with their disks, their connections, and time.
pub struct World<A: App> {
    now: u64,
    /// Wall clock minus virtual time, milliseconds.
    pub wall_skew: i64,
    queue: BinaryHeap<Reverse<Entry>>,
    coming: Coming<A::Mail>,
    rng: Prng,
    nodes: Vec<Node>,
    /// Of each shard, while its process runs.
    hosts: Vec<Option<Host<A>>>,
    /// The shards' directories; they outlive the processes.
    pub disks: Vec<Disk>,
    /// All connections.
    pub net: Net,
    /// What happened.
    pub trail: Trail,
    /// Connections that one shard has handed to another.
    pub moves: u64,
    /// The shard whose turn the last step was.
    turned: Option<usize>,
    ops: Vec<Op<A::Mail>>,
}

impl<A: App> World<A> {
    /// A world whose servers do not run yet; `net` knows which shards, and so which `disks`, belong together.
    pub fn new(rng: Prng, disks: Vec<Disk>, net: Net, trail: Trail) -> World<A> {
        assert_eq!(disks.len(), net.nodes.len(), "a disk for each shard");
        let count = net.nodes.last().map_or(0, |last| last + 1);
        let first = |node: usize| net.nodes.partition_point(|of| *of < node);
        let node =
            |node| Node { shards: first(node)..first(node + 1), life: 0, running: false, ahead: 0, stands_until: 0 };
        World {
            now: 0,
            wall_skew: WALL_START_MS,
            queue: BinaryHeap::new(),
            coming: Coming { slots: Vec::new(), free: Vec::new() },
            rng,
            nodes: (0..count).map(node).collect(),
            hosts: disks.iter().map(|_| None).collect(),
            disks,
            net,
            trail,
            moves: 0,
            turned: None,
            ops: Vec::new(),
        }
    }

    /// Virtual nanoseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Both clocks.
    pub fn clocks(&self) -> Now {
        Now { mono: Mono(self.now), wall: Wall(self.wall_skew + (self.now / MS) as i64) }
    }

    /// Both clocks of a node.
    fn clocks_of(&self, node: usize) -> Now {
        let Now { mono, wall } = self.clocks();
        Now { mono, wall: Wall(wall.0 + self.nodes[node].ahead) }
    }

    /// The clock of a node jumps by so many milliseconds.
    pub fn jump(&mut self, node: usize, ms: i64) {
        self.trail.mark("clock jumps", node, ms as u64, 0);
        self.nodes[node].ahead += ms;
    }

    /// Shards of all nodes.
    pub fn shards(&self) -> usize {
        self.disks.len()
    }

    /// Nodes, running or not.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The node of a shard.
    pub fn node_of(&self, shard: usize) -> usize {
        self.net.nodes[shard]
    }

    /// The shard that has had its turn since this was last asked: whatever a shard does, it does in its turns.
    pub fn take_turned(&mut self) -> Option<usize> {
        self.turned.take()
    }

    /// The shards of a node.
    pub fn shards_of(&self, node: usize) -> Range<usize> {
        self.nodes[node].shards.clone()
    }

    /// True while a process runs.
    pub fn running(&self) -> bool {
        self.nodes.iter().any(|node| node.running)
    }

    /// True while the process of that node runs.
    pub fn runs(&self, node: usize) -> bool {
        self.nodes[node].running
    }

    /// A node that does not run gets new disks.
    pub fn replace_disks(&mut self, node: usize) {
        assert!(!self.runs(node), "its process still runs");
        self.trail.mark("new disks", node, 0, 0);
        self.shards_of(node).for_each(|shard| self.disks[shard].replace());
    }

    /// A shard, while its process runs.
    pub fn app(&self, shard: usize) -> Option<&A> {
        self.hosts.get(shard)?.as_ref().map(|host| &host.app)
    }

    /// Starts the process of the first node.
    pub fn boot(&mut self, make: impl FnMut(usize) -> A) {
        self.boot_node(0, make);
    }

    /// Starts the process of a node; `make` gets the numbers of its shards within it.
    pub fn boot_node(&mut self, node: usize, mut make: impl FnMut(usize) -> A) {
        let Node { shards, life, running, stands_until, .. } = &mut self.nodes[node];
        assert!(!std::mem::replace(running, true), "the process runs already");
        *life += 1;
        *stands_until = 0;
        let (shards, life) = (shards.clone(), *life);
        self.net.cables.machines[node] = Machine::Serving;
        for shard in shards.clone() {
            self.hosts[shard] = Some(Host {
                app: make(shard - shards.start),
                exited: false,
                at_hand: VecDeque::new(),
                turn: None,
                mail_last: vec![0; shards.len()],
                empty_turns: 0,
            });
            self.hand(shard, AtHand::Event(Event::Start));
        }
        self.trail.mark("boot", node, u64::from(life), shards.len() as u64);
    }

    /// A shard is told something, as if by itself.
    pub fn tell(&mut self, shard: usize, mail: A::Mail) {
        let from = self.shard_id(shard);
        self.hand(shard, AtHand::Event(Event::Mail { from, mail }));
    }

    /// SIGTERM, to all processes.
    pub fn stop(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.stop_node(node));
    }

    /// SIGTERM.
    pub fn stop_node(&mut self, node: usize) {
        self.trail.mark("stop", node, 0, 0);
        self.shards_of(node).for_each(|shard| self.hand(shard, AtHand::Event(Event::Stop)));
    }

    /// SIGSTOP, and SIGCONT after `ns`: the process does nothing, its kernel goes on.
    pub fn pause_node(&mut self, node: usize, ns: u64) {
        self.trail.mark("pause", node, ns, 0);
        self.nodes[node].stands_until = self.now + ns;
    }

    /// kill -9 of all, or processes that ended by themselves.
    pub fn kill(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.kill_node(node));
    }

    /// kill -9, or a process that ended by itself.
    pub fn kill_node(&mut self, node: usize) {
        self.trail.mark("kill -9", node, u64::from(self.nodes[node].life), 0);
        self.end_process(node, Machine::Up);
        self.shards_of(node).for_each(|shard| self.disks[shard].kill());
    }

    /// The plug of all.
    pub fn cut_power(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.cut_power_of(node));
    }

    /// The plug.
    pub fn cut_power_of(&mut self, node: usize) {
        self.trail.mark("power cut", node, u64::from(self.nodes[node].life), 0);
        self.end_process(node, Machine::Off);
        self.shards_of(node).for_each(|shard| self.disks[shard].cut_power());
    }

    fn end_process(&mut self, node: usize, machine: Machine) {
        self.nodes[node].running = false;
        self.shards_of(node).for_each(|shard| self.hosts[shard] = None);
        self.net.server_died(self.now, node, machine);
        self.take_net_wishes();
    }

    /// Nothing that `from` sends comes to `to` any more.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.trail.mark("cut", from, to as u64, 0);
        self.net.cables.cut(self.now, from, to);
    }

    /// It does again.
    pub fn mend(&mut self, from: usize, to: usize) {
        self.trail.mark("mend", from, to as u64, 0);
        self.net.mend(self.now, from, to);
        self.take_net_wishes();
    }

    /// A client connects.
    pub fn connect(&mut self, shard: usize, manner: Manner) -> Option<u64> {
        self.connect_at(shard, ListenerId(0), manner)
    }

    /// A client connects to that listener.
    pub fn connect_at(&mut self, shard: usize, listener: ListenerId, manner: Manner) -> Option<u64> {
        if !self.runs(self.net.nodes[shard]) {
            return None;
        }
        let link = self.net.connect_at(self.now, shard, listener, manner);
        self.take_net_wishes();
        Some(link)
    }

    /// A client sends.
    pub fn send(&mut self, link: u64, bytes: &[u8]) -> bool {
        self.trail.mark("client sends", 0, link, u64::from(crc32c(bytes)));
        let sent = self.net.send(self.now, link, bytes);
        self.take_net_wishes();
        sent
    }

    /// A client hangs up without a word.
    pub fn abort(&mut self, link: u64) {
        self.net.abort(self.now, link);
        self.take_net_wishes();
    }

    /// A client sends its FIN.
    pub fn half_close(&mut self, link: u64) {
        self.net.half_close(self.now, link);
        self.take_net_wishes();
    }

    /// A timer of the run.
    pub fn timer(&mut self, after_ns: u64, token: u64) {
        self.push(self.now + after_ns, None, Due::Timer { token });
    }

    /// The life of a shard's process.
    fn life(&self, shard: usize) -> Option<(usize, u32)> {
        let node = self.net.nodes[shard];
        Some((node, self.nodes[node].life))
    }

    fn push(&mut self, at: u64, life: Option<(usize, u32)>, due: Due<A::Mail>) {
        let tiebreak = self.rng.next_u64();
        let slot = self.coming.put(Planned { life, due });
        self.queue.push(Reverse(Entry { at, tiebreak, slot }));
    }

    fn take_net_wishes(&mut self) {
        let mut wishes = std::mem::take(&mut self.net.wishes);
        for (at, link, step) in wishes.drain(..) {
            self.push(at, None, Due::Net { link, step });
        }
        self.net.wishes = wishes;
    }

    /// Puts an event at hand; the shard wakes soon.
    fn hand(&mut self, shard: usize, event: AtHand<A::Mail>) {
        let Some(host) = &mut self.hosts[shard] else { return };
        host.at_hand.push_back(event);
        let wake = self.now + self.rng.between(500, 30_000);
        self.turn_at(shard, wake);
    }

    fn turn_at(&mut self, shard: usize, at: u64) {
        let at = at.max(self.nodes[self.net.nodes[shard]].stands_until);
        let life = self.life(shard);
        let host = self.hosts[shard].as_mut().expect("its process runs");
        if host.turn.is_none_or(|t| t > at) {
            host.turn = Some(at);
            self.push(at, life, Due::Turn { shard });
        }
    }

    /// The next thing that happens; `None` when nothing will ever happen again.
    pub fn step(&mut self) -> Result<Option<Happening>, Violation> {
        let Some(Reverse(entry)) = self.queue.pop() else { return Ok(None) };
        let Planned { life, due } = self.coming.take(entry.slot);
        let lives = |(node, life): (usize, u32)| self.nodes[node].running && self.nodes[node].life == life;
        if !life.is_none_or(lives) {
            return Ok(Some(Happening::Quiet));
        }
        assert!(entry.at >= self.now, "time goes forward");
        self.now = entry.at;
        self.trail.at(self.now);
        match due {
            Due::Timer { token } => return Ok(Some(Happening::Timer { token })),
            Due::Net { link, step } => return Ok(Some(self.net_step(link, step))),
            Due::Disk { shard, ticket } => self.hand(shard, AtHand::Disk(ticket)),
            Due::Letter { to, letter } => self.hand(to, AtHand::Event(*letter)),
            Due::Turn { shard } => {
                let host = self.hosts[shard].as_mut().expect("its process runs");
                let stands_until = self.nodes[self.net.nodes[shard]].stands_until;
                if host.turn != Some(entry.at) {
                    return Ok(Some(Happening::Quiet));
                }
                if stands_until > self.now {
                    host.turn = None;
                    self.turn_at(shard, stands_until);
                    return Ok(Some(Happening::Quiet));
                }
                self.turned = Some(shard);
                if let Some(exited) = self.turn(shard)? {
                    return Ok(Some(exited));
                }
            }
        }
        Ok(Some(Happening::Quiet))
    }

    fn net_step(&mut self, link: u64, step: Step) -> Happening {
        let outcome = self.net.run(self.now, link, step);
        self.take_net_wishes();
        match outcome {
            Outcome::Quiet => Happening::Quiet,
            Outcome::Client(bytes) => Happening::Bytes { link, bytes },
            Outcome::Lost => Happening::Lost { link },
            Outcome::Shard(shard, event) => {
                self.hand(shard, AtHand::Event(event.event()));
                Happening::Quiet
            }
        }
    }

    fn host(&mut self, shard: usize) -> &mut Host<A> {
        self.hosts[shard].as_mut().expect("its process runs")
    }

    /// One turn of a shard's loop.
    fn turn(&mut self, shard: usize) -> Result<Option<Happening>, Violation> {
        let host = self.host(shard);
        host.turn = None;
        let mut at_hand = std::mem::take(&mut host.at_hand);
        if host.exited {
            return Ok(None);
        }
        let (mut quiet, mut exited) = (at_hand.is_empty(), false);
        while let Some(one) = at_hand.pop_front() {
            let event = match one {
                AtHand::Event(event) => event,
                AtHand::Disk(ticket) => match self.disks[shard].complete(ticket) {
                    Some(done) => Event::Disk(done),
                    None => continue,
                },
            };
            if let Event::Closed { conn } = event {
                self.net.forget(conn);
            }
            exited |= self.feed(shard, event, &mut quiet)?;
            if exited {
                break;
            }
        }
        if !exited {
            exited = self.feed(shard, Event::Turn, &mut quiet)?;
        }
        at_hand.clear();
        let host = self.host(shard);
        if host.at_hand.is_empty() {
            // What it grew to serves the next turn.
            host.at_hand = at_hand;
        }
        host.empty_turns = if quiet { host.empty_turns + 1 } else { 0 };
        if host.empty_turns > EMPTY_TURNS_MAX {
            return Err(Violation::new(Rule::Liveness, format!("shard {shard} spins: its deadline is always due")));
        }
        if exited {
            host.exited = true;
            self.trail.mark("exit", shard, 0, 0);
            return Ok(Some(Happening::Exited { shard }));
        }
        let deadline = host.app.deadline();
        if let Some(Mono(deadline)) = deadline {
            let at = deadline.max(self.now + 1_000);
            self.turn_at(shard, at);
        }
        Ok(None)
    }

    /// Gives one event to a shard and carries out what it asks; true if it exits.
    fn feed(&mut self, shard: usize, event: Event<A::Mail>, quiet: &mut bool) -> Result<bool, Violation> {
        self.note(shard, &event);
        let now = self.clocks_of(self.net.nodes[shard]);
        let mut ops = std::mem::take(&mut self.ops);
        self.host(shard).app.step(now, event, &mut ops);
        *quiet &= ops.is_empty();
        let mut exits = false;
        for op in ops.drain(..) {
            exits |= self.carry_out(shard, op)?;
        }
        self.ops = ops;
        Ok(exits)
    }

    fn carry_out(&mut self, shard: usize, op: Op<A::Mail>) -> Result<bool, Violation> {
        let (conn, ask) = match op {
            Op::Recv { conn } => (conn, Ask::Recv),
            Op::RecvExact { conn, bytes, from } => (conn, Ask::RecvExact(bytes, from)),
            Op::Pause { conn } => (conn, Ask::Pause),
            Op::TakeBack { conn } => (conn, Ask::TakeBack),
            Op::AwaitRoom { conn } => (conn, Ask::AwaitRoom),
            Op::Send { conn, parts } => {
                let crc = parts.iter().fold(0, |crc, part| torc_base::crc::extend(crc, part));
                self.trail.mark("send", shard, conn.0, u64::from(crc));
                (conn, Ask::Send(parts))
            }
            Op::Close { conn } => {
                self.trail.mark("close", shard, conn.0, 0);
                (conn, Ask::Close)
            }
            Op::Disk(op) => {
                let (what, a, b) = describe(&op.kind);
                self.trail.mark(what, shard, a, b);
                let (ticket, takes) = self.disks[shard].issue(Mono(self.now), op)?;
                self.push(self.now + takes, self.life(shard), Due::Disk { shard, ticket });
                return Ok(false);
            }
            Op::Mail { to, mail } => {
                let from = self.shard_id(shard);
                return self.post(shard, to, Event::Mail { from, mail }).map(|()| false);
            }
            Op::HandOver { conn, to, with } => {
                self.trail.mark("hand over", shard, conn.0, u64::from(to.0));
                let first = self.shards_of(self.net.nodes[shard]).start;
                if self.net.hand_over(shard, conn, first + usize::from(to.0))? {
                    self.moves += 1;
                    let from = self.shard_id(shard);
                    self.post(shard, to, Event::Adopted { from, conn, with })?;
                }
                return Ok(false);
            }
            Op::Connect { call, to, patience_ms } => {
                self.trail.mark("connect", shard, call, 0);
                self.net.call(self.now, shard, call, to, u64::from(patience_ms) * MS);
                self.take_net_wishes();
                return Ok(false);
            }
            Op::Log { level, text } => {
                if text.contains(UNKNOWN) {
                    return Err(Violation::new(Rule::Protocol, format!("shard {shard}: {text}")));
                }
                if level != Level::Debug {
                    self.trail.say(format!("shard {shard}: {level:?}: {text}"));
                }
                return Ok(false);
            }
            Op::Exit => return Ok(true),
        };
        let result = self.net.ask(self.now, shard, conn, ask);
        self.take_net_wishes();
        result.map(|()| false)
    }

    /// From shard to shard, in the order of sending.
    fn post(&mut self, shard: usize, to: ShardId, letter: Event<A::Mail>) -> Result<(), Violation> {
        let (shards, to) = (self.shards_of(self.net.nodes[shard]), usize::from(to.0));
        if to >= shards.len() {
            return Err(Violation::contract(format!("mail from shard {shard} to {to}, which does not exist")));
        }
        let at = self.now + self.rng.between(300, 20_000);
        let last = &mut self.host(shard).mail_last[to];
        let at = at.max(*last + 1);
        *last = at;
        self.push(at, self.life(shard), Due::Letter { to: shards.start + to, letter: Box::new(letter) });
        Ok(())
    }

    /// A shard as its process knows it.
    fn shard_id(&self, shard: usize) -> ShardId {
        ShardId((shard - self.shards_of(self.net.nodes[shard]).start) as u16)
    }

    fn note(&self, shard: usize, event: &Event<A::Mail>) {
        let number = |conn: &ConnId| conn.0;
        let (what, a, b) = match event {
            Event::Start => ("start", 0, 0),
            Event::Accepted { conn, .. } => ("accepted", number(conn), 0),
            Event::Connected { call, conn } => ("connected", *call, number(conn)),
            Event::Unreachable { call, .. } => ("unreachable", *call, 0),
            Event::Received { conn, bytes } => ("received", number(conn), bytes.len() as u64),
            Event::Filled { conn, bytes } => ("filled", number(conn), bytes.len() as u64),
            Event::Halted { conn, at, .. } => ("halted", number(conn), *at as u64),
            Event::Starved { conn } => ("starved", number(conn), 0),
            Event::Paused { conn } => ("paused", number(conn), 0),
            Event::Eof { conn } => ("eof", number(conn), 0),
            Event::Sent { conn } => ("sent", number(conn), 0),
            Event::TakenBack { conn, rest, .. } => {
                ("taken back", number(conn), rest.iter().map(|p| p.len() as u64).sum())
            }
            Event::Room { conn } => ("room", number(conn), 0),
            Event::Closed { conn } => ("closed", number(conn), 0),
            Event::Disk(done) => (if done.result.is_ok() { "disk done" } else { "disk FAILED" }, done.tag.0, 0),
            Event::Mail { from, .. } => ("mail", u64::from(from.0), 0),
            Event::Adopted { from, conn, .. } => ("adopted", number(conn), u64::from(from.0)),
            Event::Turn => return,
            Event::Stop => ("stopping", 0, 0),
        };
        self.trail.mark(what, shard, a, b);
    }
}

/// An operation in a word and two numbers.
fn describe(kind: &DiskKind) -> (&'static str, u64, u64) {
    match kind {
        DiskKind::List => ("list", 0, 0),
        DiskKind::Open { file, .. } => ("open", u64::from(file.0), 0),
        DiskKind::Create { file, bytes, .. } => ("create", u64::from(file.0), *bytes),
        DiskKind::Close { file } => ("close file", u64::from(file.0), 0),
        DiskKind::Write { file, at, durable: true, .. } => ("write durable", u64::from(file.0), *at),
        DiskKind::Write { file, at, .. } => ("write", u64::from(file.0), *at),
        DiskKind::Read { file, at, .. } => ("read", u64::from(file.0), *at),
        DiskKind::Sync { file } => ("sync", u64::from(file.0), 0),
        DiskKind::SyncDir => ("sync directory", 0, 0),
        DiskKind::Rename { .. } => ("rename", 0, 0),
        DiskKind::Remove { .. } => ("remove", 0, 0),
        DiskKind::Free => ("free", 0, 0),
    }
}
