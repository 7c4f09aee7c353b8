//! The contract of `torc_base::io` for connections, checked event by event while a core does random legal things and
//! its peers do as they please.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use support::{Running, eventually};
use torc_base::buf::{Buf, Pool};
use torc_base::ids::ConnId;
use torc_base::io::{App, Event, Op};
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now};

const ROUNDS: u64 = 4;
const PEERS: u64 = 40;
/// What the core puts before the place where an exact receive begins.
const MINE: u8 = 0xa5;

/// The byte at a place of what every peer sends.
fn byte_at(place: usize) -> u8 {
    (place.wrapping_mul(2_654_435_761) >> 13) as u8
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Recv {
    Idle,
    Armed,
    Pausing,
    Exact,
}

/// What the core believes of a connection, by the contract alone.
struct Model {
    recv: Recv,
    sending: bool,
    eof: bool,
    closing: bool,
    /// Bytes that came.
    place: usize,
    /// Where the exact receive began in its buffer.
    from: usize,
}

struct Chaos {
    prng: Prng,
    pool: Pool,
    conns: BTreeMap<ConnId, Model>,
    content: Buf,
    now: Mono,
    closed: u64,
    pauses: u64,
    fills: u64,
}

impl Chaos {
    fn conn(&mut self, conn: ConnId) -> &mut Model {
        self.conns.get_mut(&conn).expect("no event comes before Accepted or after Closed")
    }

    fn check(&mut self, conn: ConnId, bytes: &[u8]) {
        let model = self.conn(conn);
        let right = bytes.iter().enumerate().all(|(i, &b)| b == byte_at(model.place + i));
        assert!(right, "{conn}: lost or reordered bytes at {}", model.place);
        model.place += bytes.len();
    }

    /// A random legal operation or two.
    fn act(&mut self, conn: ConnId, ops: &mut Vec<Op<()>>) {
        let Chaos { prng, pool, conns, content, .. } = self;
        let Some(model) = conns.get_mut(&conn).filter(|m| !m.closing) else { return };
        match model.recv {
            Recv::Idle if model.eof => {}
            Recv::Idle if prng.chance(1, 3) => {
                let len = prng.between(1, 30_000) as usize;
                let from = prng.below(len as u64 + 1) as usize;
                if let Some(mut bytes) = pool.take(len) {
                    bytes[..from].fill(MINE);
                    model.recv = Recv::Exact;
                    model.from = from;
                    ops.push(Op::RecvExact { conn, bytes, from });
                }
            }
            Recv::Idle => {
                model.recv = Recv::Armed;
                ops.push(Op::Recv { conn });
            }
            Recv::Armed if prng.chance(1, 6) => {
                model.recv = Recv::Pausing;
                ops.push(Op::Pause { conn });
            }
            _ => {}
        }
        if !model.sending && prng.chance(1, 3) {
            model.sending = true;
            let part = |prng: &mut Prng| content.slice(0..prng.below(content.len() as u64) as usize);
            let parts = (0..prng.below(5)).map(|_| part(prng)).collect();
            ops.push(Op::Send { conn, parts });
        }
        if prng.chance(1, 150) || (model.eof && !model.sending) {
            model.closing = true;
            ops.push(Op::Close { conn });
        }
    }

    fn event(&mut self, event: Event<()>) -> Option<ConnId> {
        let (conn, allowed, next): (_, &[Recv], _) = match &event {
            Event::Received { conn, .. } => (*conn, &[Recv::Armed, Recv::Pausing], None),
            Event::Filled { conn, .. } => (*conn, &[Recv::Exact], Some(Recv::Idle)),
            Event::Starved { conn } => (*conn, &[Recv::Armed], Some(Recv::Idle)),
            Event::Paused { conn } => (*conn, &[Recv::Pausing], Some(Recv::Idle)),
            Event::Eof { conn } => (*conn, &[Recv::Armed, Recv::Exact], Some(Recv::Idle)),
            Event::Sent { conn } | Event::Closed { conn } => {
                (*conn, &[Recv::Idle, Recv::Armed, Recv::Pausing, Recv::Exact], None)
            }
            Event::Accepted { conn, .. } => {
                let model = Model { recv: Recv::Idle, sending: false, eof: false, closing: false, place: 0, from: 0 };
                assert!(self.conns.insert(*conn, model).is_none(), "{conn} is used again");
                return Some(*conn);
            }
            _ => return None,
        };
        let model = self.conn(conn);
        assert!(model.closing || allowed.contains(&model.recv), "{event:?} while {:?}", model.recv);
        model.recv = next.unwrap_or(model.recv);
        match event {
            Event::Received { bytes, .. } => {
                assert!(!bytes.is_empty());
                self.check(conn, &bytes);
            }
            Event::Filled { bytes, .. } => {
                self.fills += 1;
                let (mine, theirs) = bytes.split_at(self.conn(conn).from);
                assert!(mine.iter().all(|&b| b == MINE), "what stood before `from` has changed");
                self.check(conn, theirs);
            }
            Event::Paused { .. } => self.pauses += 1,
            Event::Eof { .. } => model.eof = true,
            Event::Sent { .. } => assert!(std::mem::replace(&mut model.sending, false), "sent what was not asked for"),
            Event::Closed { .. } => {
                self.closed += 1;
                self.conns.remove(&conn);
            }
            _ => {}
        }
        Some(conn)
    }
}

impl App for Chaos {
    type Mail = ();

    fn step(&mut self, now: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        self.now = now.mono;
        match event {
            Event::Turn => {
                for conn in self.conns.keys().copied().collect::<Vec<_>>() {
                    self.act(conn, ops);
                }
            }
            Event::Stop => ops.push(Op::Exit),
            event => {
                if let Some(conn) = self.event(event) {
                    self.act(conn, ops);
                }
            }
        }
    }

    fn deadline(&self) -> Option<Mono> {
        (!self.conns.is_empty()).then(|| self.now.plus_ms(1))
    }

    fn busy(&self) -> bool {
        self.conns.len().is_multiple_of(2)
    }
}

/// Talks in random pieces, listens all the while, and leaves in one of three ways.
fn peer(address: SocketAddr, seed: u64) {
    let mut prng = Prng::new(seed);
    let stream = TcpStream::connect(address).unwrap();
    let total = prng.below(400_000) as usize;
    let bytes: Vec<u8> = (0..total).map(byte_at).collect();
    std::thread::scope(|s| {
        let reader = s.spawn(|| while matches!((&stream).read(&mut [0; 40_000]), Ok(1..)) {});
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let most = if prng.chance(1, 2) { 100 } else { 60_000 };
            let (piece, behind) = rest.split_at(prng.between(1, most).min(rest.len() as u64) as usize);
            if (&stream).write_all(piece).is_err() {
                break;
            }
            rest = behind;
            if prng.chance(1, 50) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        // Either end may be gone already.
        let _ = stream.shutdown(if prng.chance(1, 2) { Shutdown::Write } else { Shutdown::Both });
        reader.join().unwrap();
    });
}

#[test]
fn random_operations_and_random_peers_never_break_the_contract() {
    let pool = Pool::new(8 << 20, 1 << 20);
    let app = Chaos {
        prng: Prng::new(7),
        pool: pool.clone(),
        conns: BTreeMap::new(),
        content: Buf::copy_of(&support::pattern(1, 50_000)),
        now: Mono(0),
        closed: 0,
        pauses: 0,
        fills: 0,
    };
    let recv_pool = Pool::new(12 * 4096, 12 * 4096);
    let ring_pool = recv_pool.clone();
    let running = Running::start(app, |settings| {
        settings.recv_bufs = 8;
        settings.recv_buf_bytes = 4096;
        settings.recv_pool = ring_pool;
        settings.ring_entries = 16;
        settings.spin_us = 30;
    });
    let address = running.address;
    for round in 0..ROUNDS {
        std::thread::scope(|s| {
            for i in 0..PEERS {
                s.spawn(move || peer(address, round * PEERS + i));
            }
        });
    }
    eventually("all are closed", || running.stats.closed.get() == ROUNDS * PEERS);
    assert_eq!(recv_pool.used(), 8 * 4096, "only the ring's own buffers are out");
    let app = running.finish();
    assert_eq!((app.closed, app.conns.len()), (ROUNDS * PEERS, 0));
    assert!(app.pauses > 100 && app.fills > 100, "{} pauses, {} fills", app.pauses, app.fills);
    assert_eq!((pool.used(), recv_pool.used()), (0, 0));
}
