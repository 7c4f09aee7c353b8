//! Connections between simulated clients and shards, held to the contract of `base::io`.
//!
//! Bytes travel in pieces of any size, in order, late. A shard sees exactly what a reactor would show it: nothing
//! before it asks, `Starved` when receive buffers run out, `Paused` some time after `Pause`, `Sent` when the kernel
//! has taken the last byte, `Closed` once and last.
//!
//! A connection between two shards of different nodes is two of these, each the other's far end ([`crate::cables`]).

use crate::cables::{Cables, Machine};
use crate::violation::Violation;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::{ConnId, ListenerId};
use torc_base::io::{ConnectError, Event};
use torc_base::limits::RECV_BUF_BYTES;
use torc_base::prng::Prng;

/// The port that clients call from.
const CLIENT_PORT: u16 = 40_000;

/// What a connection does later.
#[derive(Debug)]
pub enum Step {
    /// The shard learns of the connection.
    Accept,
    /// Bytes from the other end reach the server's kernel.
    Arrive(Vec<u8>),
    /// The other end's FIN reaches the server's kernel.
    ArriveEof,
    /// The other end's RST reaches the server's kernel.
    ArriveReset,
    /// Something comes to the other node's end of the cable.
    Cross(Crossing),
    /// What a slow way held up goes on.
    Release,
    /// The kernel looks whether what it sent has been acknowledged.
    Expire,
    /// The shard learns that its call was taken.
    Connected(u64),
    /// The shard learns that its call was not taken.
    Unreachable(u64, ConnectError),
    /// The server's kernel hands on what it has.
    Pump,
    /// A pause takes effect.
    Pause,
    /// The rest of a send is given back.
    TakeBack,
    /// The server's kernel may have room for more.
    Room,
    /// The server's kernel takes more of what is being sent.
    Drain,
    /// A close takes effect.
    Close,
    /// Bytes reach the client.
    ToClient(Vec<u8>),
    /// The client learns that the connection is gone.
    ClientLost,
}

/// What goes from one node to another.
#[derive(Debug)]
pub enum Crossing {
    /// Bytes.
    Bytes(Vec<u8>),
    /// A FIN.
    Fin,
    /// A RST.
    Reset,
}

/// What a step brought about.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing that anybody notices.
    Quiet,
    /// An event for a shard.
    Shard(usize, ShardEvent),
    /// Bytes for a client.
    Client(Vec<u8>),
    /// The connection is gone for the client.
    Lost,
}

/// The network's part of `base::io::Event`.
#[derive(Debug)]
pub enum ShardEvent {
    /// See `Event::Accepted`; the others likewise.
    Accepted(ConnId, ListenerId, SocketAddr),
    /// A call that was taken.
    Connected(u64, ConnId),
    /// A call that was not taken.
    Unreachable(u64, ConnectError),
    /// Bytes.
    Received(ConnId, BufMut),
    /// A full buffer.
    Filled(ConnId, BufMut),
    /// A buffer that is full up to a position.
    Halted(ConnId, BufMut, usize),
    /// No buffer.
    Starved(ConnId),
    /// Disarmed.
    Paused(ConnId),
    /// No more from the peer.
    Eof(ConnId),
    /// All sent.
    Sent(ConnId),
    /// What was not sent.
    TakenBack(ConnId, Vec<Buf>, usize),
    /// More can be sent.
    Room(ConnId),
    /// Gone.
    Closed(ConnId),
}

impl ShardEvent {
    /// As the shard gets it.
    pub fn event<M>(self) -> Event<M> {
        match self {
            ShardEvent::Accepted(conn, listener, peer) => Event::Accepted { conn, listener, peer },
            ShardEvent::Connected(call, conn) => Event::Connected { call, conn },
            ShardEvent::Unreachable(call, error) => Event::Unreachable { call, error },
            ShardEvent::Received(conn, bytes) => Event::Received { conn, bytes },
            ShardEvent::Filled(conn, bytes) => Event::Filled { conn, bytes },
            ShardEvent::Halted(conn, bytes, at) => Event::Halted { conn, bytes, at },
            ShardEvent::Starved(conn) => Event::Starved { conn },
            ShardEvent::Paused(conn) => Event::Paused { conn },
            ShardEvent::Eof(conn) => Event::Eof { conn },
            ShardEvent::Sent(conn) => Event::Sent { conn },
            ShardEvent::TakenBack(conn, rest, sent) => Event::TakenBack { conn, rest, sent },
            ShardEvent::Room(conn) => Event::Room { conn },
            ShardEvent::Closed(conn) => Event::Closed { conn },
        }
    }
}

/// What a shard asks of a connection.
#[derive(Debug)]
pub enum Ask {
    /// See `Op::Recv`; the others likewise.
    Recv,
    /// Fill a buffer from a position.
    RecvExact(BufMut, usize),
    /// Disarm.
    Pause,
    /// Send.
    Send(Vec<Buf>),
    /// Give back what is not sent.
    TakeBack,
    /// Tell when more can be sent.
    AwaitRoom,
    /// Drop.
    Close,
}

enum Armed {
    No,
    Recv,
    Exact(BufMut, usize),
}

struct Sending {
    parts: VecDeque<Buf>,
    /// Bytes of the first part that are gone.
    done: usize,
}

/// How much of what is sent to it a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appetite {
    /// All, as it comes.
    All,
    /// No more than so many bytes and what the kernels keep for it; then so many a second, 0 for a client that has
    /// stopped for good.
    Stops { after: u64, per_second: u64 },
}

/// How a client cuts what it sends into pieces, and how fast it reads.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Largest piece.
    pub piece: usize,
    /// Longest delay of a piece on its way, in nanoseconds.
    pub delay: u64,
    /// In this many of 64 cases the reader stalls.
    pub stalls: u64,
    /// What it reads.
    pub appetite: Appetite,
}

/// Who holds the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Far {
    /// Nobody any more.
    Nobody,
    Client,
    /// Another shard, by this connection of its own.
    Peer(u64),
}

pub(crate) struct Link {
    pub(crate) shard: usize,
    pub(crate) manner: Manner,
    /// Where the caller found the server, and from where it came.
    pub(crate) origin: (ListenerId, SocketAddr),
    /// Of a connection to another node: which; what is bound for it and held up, in order; how long the kernel waits for them to be acknowledged.
    pub(crate) opposite: Option<usize>,
    pub(crate) held: VecDeque<Crossing>,
    pub(crate) patience: u64,
    pub(crate) expiring: bool,
    /// Arrived at the server's kernel, not yet handed on.
    pub(crate) inbox: VecDeque<Vec<u8>>,
    inbox_done: usize,
    eof: bool,
    pub(crate) broken: bool,
    armed: Armed,
    pausing: bool,
    pumping: bool,
    sending: Option<Sending>,
    /// When it was made, and bytes that the server's kernel has taken for the client.
    since: u64,
    taken: u64,
    taking_back: bool,
    awaits_room: bool,
    /// The shard said Close.
    closing: bool,
    /// `Closed` is on its way to the shard; whatever it asks meanwhile goes nowhere.
    pub(crate) gone: bool,
    /// The shard has been given `Closed`, or its process is gone.
    pub(crate) told: bool,
    pub(crate) far: Far,
    /// When the last thing sent arrives, for either direction: nothing overtakes.
    last_up: u64,
    pub(crate) last_down: u64,
}

/// All connections of all nodes. Shards are counted through all of them.
pub struct Net {
    pub(crate) rng: Prng,
    pub(crate) links: BTreeMap<u64, Link>,
    next: u64,
    /// Receive buffers of each shard.
    pools: Vec<Pool>,
    /// The node of each shard.
    pub(crate) nodes: Vec<usize>,
    /// What lies between the nodes.
    pub cables: Cables,
    /// Steps to be scheduled: (virtual time, connection, step).
    pub wishes: Vec<(u64, u64, Step)>,
    /// In how many of 4096 receives no buffer is found.
    pub starvation: u64,
}

impl Net {
    /// No connections; `pools` hold the receive buffers of one node's shards.
    pub fn new(rng: Prng, pools: Vec<Pool>) -> Net {
        Net::of_nodes(rng, vec![pools])
    }

    /// No connections of several nodes; `pools` hold the receive buffers of the shards of each.
    pub fn of_nodes(rng: Prng, pools: Vec<Vec<Pool>>) -> Net {
        let nodes = pools.iter().enumerate().flat_map(|(node, pools)| vec![node; pools.len()]).collect();
        let cables = Cables::new(pools.len());
        let pools = pools.into_iter().flatten().collect();
        Net { rng, links: BTreeMap::new(), next: 1, pools, nodes, cables, wishes: Vec::new(), starvation: 1 }
    }

    /// A client connects to `shard`.
    pub fn connect(&mut self, now: u64, shard: usize, manner: Manner) -> u64 {
        self.connect_at(now, shard, ListenerId(0), manner)
    }

    /// A client connects to one of the listeners of `shard`.
    pub fn connect_at(&mut self, now: u64, shard: usize, listener: ListenerId, manner: Manner) -> u64 {
        let at = now + self.rng.between(1_000, 100_000);
        let origin = (listener, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), CLIENT_PORT));
        let id = self.link(now, shard, manner, origin, Far::Client);
        self.links.get_mut(&id).expect("just made").last_up = at;
        self.wishes.push((at, id, Step::Accept));
        id
    }

    /// One end of a connection.
    pub(crate) fn link(
        &mut self,
        now: u64,
        shard: usize,
        manner: Manner,
        origin: (ListenerId, SocketAddr),
        far: Far,
    ) -> u64 {
        let id = self.next;
        self.next += 1;
        let link = Link {
            shard,
            manner,
            origin,
            opposite: None,
            held: VecDeque::new(),
            patience: u64::MAX,
            expiring: false,
            inbox: VecDeque::new(),
            inbox_done: 0,
            eof: false,
            broken: false,
            armed: Armed::No,
            pausing: false,
            pumping: false,
            sending: None,
            since: now,
            taken: 0,
            taking_back: false,
            awaits_room: false,
            closing: false,
            gone: false,
            told: false,
            far,
            last_up: now,
            last_down: now,
        };
        self.links.insert(id, link);
        id
    }

    fn upward(&mut self, now: u64, id: u64, step: Step) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let at = (now + self.rng.between(1_000, link.manner.delay.max(1_000))).max(link.last_up + 1);
        link.last_up = at;
        self.wishes.push((at, id, step));
    }

    fn downward(&mut self, now: u64, id: u64, step: Step) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let at = (now + self.rng.between(1_000, link.manner.delay.max(1_000))).max(link.last_down + 1);
        link.last_down = at;
        self.wishes.push((at, id, step));
    }

    /// The client sends; false if its end is gone.
    pub fn send(&mut self, now: u64, id: u64, bytes: &[u8]) -> bool {
        let Some(link) = self.links.get(&id).filter(|l| l.far == Far::Client) else { return false };
        let most = link.manner.piece.max(bytes.len() / 64).max(1);
        let mut rest = bytes;
        while !rest.is_empty() {
            let cut = if self.rng.chance(1, 4) { most } else { self.rng.between(1, most as u64) as usize };
            let (piece, left) = rest.split_at(cut.min(rest.len()));
            rest = left;
            self.upward(now, id, Step::Arrive(piece.to_vec()));
        }
        true
    }

    /// The client sends no more, and still reads.
    pub fn half_close(&mut self, now: u64, id: u64) {
        self.upward(now, id, Step::ArriveEof);
    }

    /// The client is gone without a word; it hears nothing more of this connection.
    pub fn abort(&mut self, now: u64, id: u64) {
        if let Some(link) = self.links.get_mut(&id) {
            link.far = Far::Nobody;
            self.upward(now, id, Step::ArriveReset);
        }
    }

    /// The process of a node died: every client learns it, some after bytes that were on their way. Other nodes do, unless
    /// the whole machine is off.
    pub fn server_died(&mut self, now: u64, node: usize, machine: Machine) {
        self.cables.machines[node] = machine;
        let of_node = |link: &Link| self.nodes[link.shard] == node;
        let ids: Vec<u64> = self.links.iter().filter(|(_, link)| of_node(link)).map(|(id, _)| *id).collect();
        for id in ids {
            let late = self.rng.chance(1, 2);
            let link = self.links.get_mut(&id).expect("just listed");
            link.gone = true;
            link.told = true;
            link.armed = Armed::No;
            link.sending = None;
            if !late {
                link.last_down = now; // overtakes what was on its way
            }
            match link.far {
                Far::Client => self.downward(now, id, Step::ClientLost),
                // The cable's end answers for it from now on.
                Far::Peer(other) => {
                    self.links.remove(&id);
                    if machine == Machine::Up {
                        let at = now + self.rng.between(1_000, 100_000);
                        self.wishes.push((at, other, Step::ArriveReset));
                    }
                }
                Far::Nobody => {
                    self.links.remove(&id);
                }
            }
        }
    }

    /// Connections whose ends the server still knows.
    pub fn open(&self) -> usize {
        self.links.values().filter(|l| !l.gone).count()
    }

    /// Bytes of receive buffers that shard `shard` holds.
    pub fn held(&self, shard: usize) -> usize {
        self.pools[shard].used()
    }

    /// The shard has been told that the connection is gone.
    pub fn forget(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn.0) else { return };
        link.told = true;
        if link.far == Far::Nobody {
            self.links.remove(&conn.0);
        }
    }

    /// A shard asks something of a connection.
    pub fn ask(&mut self, now: u64, shard: usize, conn: ConnId, ask: Ask) -> Result<(), Violation> {
        let id = conn.0;
        let Some(link) = self.links.get_mut(&id).filter(|l| l.shard == shard && !l.told) else {
            return Err(Violation::contract(format!("{ask:?} on connection {id} after Closed")));
        };
        if link.closing {
            return Err(Violation::contract(format!("{ask:?} on connection {id} after Close")));
        }
        if link.gone {
            return Ok(());
        }
        let soon = now + self.rng.between(500, 20_000);
        let armed = !matches!(link.armed, Armed::No);
        match ask {
            Ask::Recv | Ask::RecvExact(..) if armed || link.pausing => {
                return Err(Violation::contract(format!("a receive on connection {id} while one is armed")));
            }
            Ask::Recv => link.armed = Armed::Recv,
            Ask::RecvExact(bytes, from) => {
                if from >= bytes.len() {
                    return Err(Violation::contract(format!(
                        "RecvExact on connection {id} into a buffer that is full"
                    )));
                }
                link.armed = Armed::Exact(bytes, from);
            }
            Ask::Pause => {
                if link.pausing {
                    return Err(Violation::contract(format!("a second Pause on connection {id}")));
                }
                link.pausing = true;
                self.wishes.push((soon, id, Step::Pause));
                return Ok(());
            }
            Ask::Send(parts) => {
                if link.sending.is_some() || link.awaits_room {
                    return Err(Violation::contract(format!(
                        "a Send on connection {id} while one is outstanding, or awaits room"
                    )));
                }
                if parts.iter().all(|p| p.is_empty()) {
                    return Err(Violation::contract(format!("a Send of no bytes on connection {id}")));
                }
                link.sending = Some(Sending { parts: parts.into(), done: 0 });
                self.wishes.push((soon, id, Step::Drain));
                return Ok(());
            }
            Ask::TakeBack => {
                if link.sending.is_some() && !std::mem::replace(&mut link.taking_back, true) {
                    self.wishes.push((soon, id, Step::TakeBack));
                }
                return Ok(());
            }
            Ask::AwaitRoom => {
                if link.sending.is_some() || std::mem::replace(&mut link.awaits_room, true) {
                    return Err(Violation::contract(format!(
                        "AwaitRoom on connection {id} with a send or another one"
                    )));
                }
                let wait = if self.rng.chance(link.manner.stalls, 64) { 20_000_000 } else { 50_000 };
                self.wishes.push((soon + self.rng.below(wait), id, Step::Room));
                return Ok(());
            }
            Ask::Close => {
                link.closing = true;
                link.armed = Armed::No;
                self.wishes.push((soon, id, Step::Close));
                return Ok(());
            }
        }
        self.pump_at(id, soon);
        Ok(())
    }

    /// A shard hands a connection over to another; false if it is gone.
    pub fn hand_over(&mut self, shard: usize, conn: ConnId, to: usize) -> Result<bool, Violation> {
        let id = conn.0;
        let Some(link) = self.links.get_mut(&id).filter(|l| l.shard == shard && !l.told) else {
            return Err(Violation::contract(format!("HandOver of connection {id} after Closed")));
        };
        let idle = matches!(link.armed, Armed::No)
            && !link.pausing
            && link.sending.is_none()
            && !link.awaits_room
            && !link.closing;
        if !idle {
            return Err(Violation::contract(format!("HandOver of connection {id} with something under way")));
        }
        link.shard = to;
        Ok(!link.gone)
    }

    pub(crate) fn pump_at(&mut self, id: u64, at: u64) {
        if let Some(link) = self.links.get_mut(&id)
            && !link.pumping
        {
            link.pumping = true;
            self.wishes.push((at, id, Step::Pump));
        }
    }

    /// Carries a step out.
    pub fn run(&mut self, now: u64, id: u64, step: Step) -> Outcome {
        let Some(link) = self.links.get_mut(&id) else { return Outcome::Quiet };
        let shard = link.shard;
        match step {
            Step::ToClient(bytes) if link.far == Far::Client => return Outcome::Client(bytes),
            Step::ClientLost if link.far == Far::Client => {
                link.far = Far::Nobody;
                if link.told {
                    self.links.remove(&id);
                }
                return Outcome::Lost;
            }
            // What was sent arrives, whatever becomes of the sender's end.
            Step::Cross(crossing) => self.cross(now, id, crossing),
            Step::Release => self.release(now, id),
            _ if link.gone => {}
            Step::Accept => {
                let (listener, peer) = link.origin;
                return Outcome::Shard(shard, ShardEvent::Accepted(ConnId(id), listener, peer));
            }
            Step::Connected(call) => return Outcome::Shard(shard, ShardEvent::Connected(call, ConnId(id))),
            Step::Unreachable(call, error) => {
                self.links.remove(&id);
                return Outcome::Shard(shard, ShardEvent::Unreachable(call, error));
            }
            Step::Expire => self.expire(now, id),
            Step::Arrive(bytes) => {
                link.inbox.push_back(bytes);
                self.pump_at(id, now);
            }
            Step::ArriveEof => {
                link.eof = true;
                self.pump_at(id, now);
            }
            Step::ArriveReset => {
                link.broken = true;
                // A reactor notices only if an operation is outstanding; the next one tells it otherwise.
                self.pump_at(id, now);
            }
            Step::Pump => {
                link.pumping = false;
                return self.pump(now, id);
            }
            Step::Pause => {
                link.pausing = false;
                if !link.closing {
                    let conn = ConnId(id);
                    return match std::mem::replace(&mut link.armed, Armed::No) {
                        Armed::Exact(bytes, at) => Outcome::Shard(shard, ShardEvent::Halted(conn, bytes, at)),
                        Armed::Recv | Armed::No => Outcome::Shard(shard, ShardEvent::Paused(conn)),
                    };
                }
            }
            Step::TakeBack => {
                if std::mem::take(&mut link.taking_back)
                    && let Some(Sending { parts, done }) = link.sending.take()
                {
                    return Outcome::Shard(shard, ShardEvent::TakenBack(ConnId(id), parts.into(), done));
                }
            }
            Step::Room => {
                if link.broken {
                    return self.closed(now, id);
                }
                match link.manner.room(now - link.since, link.taken) {
                    Room::Bytes(_) => {}
                    Room::Never => return Outcome::Quiet,
                    Room::In(ns) => {
                        self.wishes.push((now + ns, id, Step::Room));
                        return Outcome::Quiet;
                    }
                }
                link.awaits_room = false;
                if !link.closing {
                    return Outcome::Shard(shard, ShardEvent::Room(ConnId(id)));
                }
            }
            Step::Drain => return self.drain(now, id),
            Step::Close => return self.closed(now, id),
            Step::ToClient(_) | Step::ClientLost => {}
        }
        Outcome::Quiet
    }

    fn closed(&mut self, now: u64, id: u64) -> Outcome {
        let link = self.links.get_mut(&id).expect("checked by the caller");
        link.gone = true;
        link.armed = Armed::No;
        link.sending = None;
        let shard = link.shard;
        match link.far {
            Far::Client => self.downward(now, id, Step::ClientLost),
            Far::Peer(_) => {
                let end = if self.rng.chance(1, 2) { Crossing::Fin } else { Crossing::Reset };
                self.downward(now, id, Step::Cross(end));
            }
            Far::Nobody => {}
        }
        Outcome::Shard(shard, ShardEvent::Closed(ConnId(id)))
    }

    /// Hands the shard at most one event's worth of what has arrived.
    fn pump(&mut self, now: u64, id: u64) -> Outcome {
        let link = self.links.get_mut(&id).expect("checked by the caller");
        let (shard, conn) = (link.shard, ConnId(id));
        if link.closing {
            return Outcome::Quiet;
        }
        if link.broken {
            let noticed = !matches!(link.armed, Armed::No) || link.sending.is_some();
            return if noticed { self.closed(now, id) } else { Outcome::Quiet };
        }
        match std::mem::replace(&mut link.armed, Armed::No) {
            Armed::No => Outcome::Quiet,
            _ if link.inbox.is_empty() && link.eof => Outcome::Shard(shard, ShardEvent::Eof(conn)),
            armed if link.inbox.is_empty() => {
                link.armed = armed;
                Outcome::Quiet
            }
            Armed::Exact(mut bytes, mut from) => {
                while from < bytes.len() && !link.inbox.is_empty() {
                    from += link.take(&mut bytes[from..]);
                }
                if from == bytes.len() {
                    return Outcome::Shard(shard, ShardEvent::Filled(conn, bytes));
                }
                link.armed = Armed::Exact(bytes, from);
                self.pump_at(id, now + 1);
                Outcome::Quiet
            }
            Armed::Recv => {
                let starved = self.rng.chance(self.starvation, 4096);
                let buffer = if starved { None } else { self.pools[shard].take(RECV_BUF_BYTES) };
                let Some(mut bytes) = buffer else { return Outcome::Shard(shard, ShardEvent::Starved(conn)) };
                let mut len = 0;
                while len < RECV_BUF_BYTES && !link.inbox.is_empty() {
                    len += link.take(&mut bytes[len..]);
                }
                bytes.truncate(len);
                link.armed = Armed::Recv;
                if !link.inbox.is_empty() || link.eof {
                    let at = now + self.rng.between(1, 3_000);
                    self.pump_at(id, at);
                }
                Outcome::Shard(shard, ShardEvent::Received(conn, bytes))
            }
        }
    }

    fn drain(&mut self, now: u64, id: u64) -> Outcome {
        let link = self.links.get_mut(&id).expect("checked by the caller");
        if link.broken {
            return self.closed(now, id);
        }
        let Some(sending) = &mut link.sending else { return Outcome::Quiet };
        let most = match self.rng.below(4) {
            0 => self.rng.between(1, 4096),
            _ => 256 << 10,
        };
        let most = match link.manner.room(now - link.since, link.taken) {
            Room::Bytes(room) => room.min(most),
            // The send stays outstanding.
            Room::Never => return Outcome::Quiet,
            Room::In(ns) => {
                self.wishes.push((now + ns, id, Step::Drain));
                return Outcome::Quiet;
            }
        };
        let left = sending.parts.iter().map(|part| part.len()).sum::<usize>() - sending.done;
        let mut taken = Vec::with_capacity(left.min(most as usize));
        while taken.len() < most as usize {
            let Some(part) = sending.parts.front() else { break };
            let len = (part.len() - sending.done).min(most as usize - taken.len());
            taken.extend_from_slice(&part[sending.done..sending.done + len]);
            sending.done += len;
            if sending.done == part.len() {
                sending.parts.pop_front();
                sending.done = 0;
            }
        }
        link.taken += taken.len() as u64;
        let all = sending.parts.is_empty();
        let (shard, stalls) = (link.shard, link.manner.stalls);
        if all {
            link.sending = None;
            link.taking_back = false;
        }
        let step = match link.far {
            Far::Peer(_) => Step::Cross(Crossing::Bytes(taken)),
            Far::Client | Far::Nobody => Step::ToClient(taken),
        };
        self.downward(now, id, step);
        if all {
            return Outcome::Shard(shard, ShardEvent::Sent(ConnId(id)));
        }
        let wait = if self.rng.chance(stalls, 64) { 20_000_000 } else { 50_000 };
        self.wishes.push((now + self.rng.between(1_000, wait), id, Step::Drain));
        Outcome::Quiet
    }
}

/// What the server's kernel has room for.
enum Room {
    Bytes(u64),
    /// Nothing before so many nanoseconds are over.
    In(u64),
    Never,
}

impl Manner {
    /// Room for a client that has been there for `age` nanoseconds and has been given `taken` bytes.
    fn room(&self, age: u64, taken: u64) -> Room {
        let Appetite::Stops { after, per_second } = self.appetite else { return Room::Bytes(u64::MAX) };
        let read = after + (u128::from(age) * u128::from(per_second) / 1_000_000_000) as u64;
        match read.checked_sub(taken) {
            Some(room) if room > 0 => Room::Bytes(room),
            _ if per_second == 0 => Room::Never,
            _ => Room::In(1_000_000_000 / per_second + 1),
        }
    }
}

impl Link {
    /// Moves bytes of the first piece into `out`; returns how many.
    fn take(&mut self, out: &mut [u8]) -> usize {
        let Some(piece) = self.inbox.front() else { return 0 };
        let len = (piece.len() - self.inbox_done).min(out.len());
        out[..len].copy_from_slice(&piece[self.inbox_done..self.inbox_done + len]);
        self.inbox_done += len;
        if self.inbox_done == piece.len() {
            self.inbox.pop_front();
            self.inbox_done = 0;
        }
        len
    }
}
