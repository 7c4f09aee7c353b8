//! A loop on a thread of its own, and an echo server as the core.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tempfile::TempDir;
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::{ConnId, ShardId};
use torc_base::io::{App, Event, Level, Op};
use torc_base::time::{Mono, Now};
use torc_reactor::mail::{Post, StopHandle, mesh};
use torc_reactor::probe::{Features, probe};
use torc_reactor::reactor::run;
use torc_reactor::settings::{LoopSettings, listen};
use torc_reactor::stats::LoopStats;

/// A running loop.
pub struct Running<A> {
    pub address: SocketAddr,
    pub stop: StopHandle,
    pub stats: Arc<LoopStats>,
    pub log: Arc<Mutex<Vec<String>>>,
    pub directory: TempDir,
    thread: JoinHandle<A>,
}

impl<A: App + Send + 'static> Running<A> {
    pub fn start(app: A, change: impl FnOnce(&mut LoopSettings)) -> Running<A> {
        let post = mesh(1).unwrap().remove(0);
        Running::start_shard(app, post, 0, change)
    }

    pub fn start_shard(app: A, post: Post<A::Mail>, shard: u16, change: impl FnOnce(&mut LoopSettings)) -> Running<A> {
        Running::start_with(app, post, shard, probe().expect("this machine runs torc"), change)
    }

    pub fn start_with(
        app: A,
        post: Post<A::Mail>,
        shard: u16,
        features: Features,
        change: impl FnOnce(&mut LoopSettings),
    ) -> Running<A> {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = LoopSettings::new(ShardId(shard), directory.path().to_owned());
        settings.listeners = vec![listener];
        change(&mut settings);
        let (stop, stats) = (post.stop_handle(), Arc::new(LoopStats::default()));
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stats_inside, log_inside) = (Arc::clone(&stats), Arc::clone(&log));
        let thread = std::thread::spawn(move || {
            let mut log = |level: Level, text: &str| log_inside.lock().unwrap().push(format!("{level:?} {text}"));
            run(settings, &features, post, app, stats_inside, &mut log).expect("the loop runs to its end")
        });
        Running { address, stop, stats, log, directory, thread }
    }

    /// True once the core has exited.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the core's exit.
    pub fn join(self) -> A {
        self.thread.join().expect("the loop does not panic")
    }

    /// Stops the core and waits for its exit.
    pub fn finish(self) -> A {
        self.stop.stop();
        self.join()
    }
}

/// What an [`Echo`] does besides.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Habit {
    /// Nothing: echoes through provided buffers.
    #[default]
    Plain,
    /// Pauses after every receive once `after` bytes have come, then receives the next `bytes` exactly, in a buffer of
    /// its own, then goes back.
    PauseAndExact { after: usize, bytes: usize },
    /// Keeps what it receives for a while, so that buffers run out.
    Hoard { bytes: usize },
}

#[derive(Default)]
struct Peer {
    waiting: VecDeque<Buf>,
    sending: bool,
    eof: bool,
    /// In the state between `Op::Pause` and `Event::Paused`.
    pausing: bool,
}

/// Sends back what it receives, and closes when the peer has said everything.
#[derive(Default)]
pub struct Echo {
    pub habit: Habit,
    peers: BTreeMap<ConnId, Peer>,
    /// To be armed again at the next deadline.
    starved: Vec<ConnId>,
    now: Mono,
    pool: Option<Pool>,
    hoard: Vec<(ConnId, BufMut)>,
    hoarded: usize,
    received: usize,
    pub accepted: usize,
    pub closed: usize,
    pub eofs: usize,
    pub starvations: usize,
    pub pauses: usize,
    pub fills: usize,
    pub stops: usize,
}

impl Echo {
    pub fn new(habit: Habit) -> Echo {
        Echo { habit, pool: Some(Pool::new(1 << 30, 1 << 20)), ..Echo::default() }
    }

    pub fn open(&self) -> usize {
        self.peers.len()
    }

    fn take(&mut self, conn: ConnId, bytes: BufMut, ops: &mut Vec<Op<u64>>) {
        assert!(!bytes.is_empty(), "an empty receive is an Eof");
        if let Habit::Hoard { bytes: most } = self.habit {
            self.hoarded += bytes.len();
            self.hoard.push((conn, bytes));
            if self.hoarded >= most {
                self.release(ops);
            }
            return;
        }
        self.send(conn, bytes.freeze(), ops);
    }

    fn release(&mut self, ops: &mut Vec<Op<u64>>) {
        self.hoarded = 0;
        for (conn, bytes) in std::mem::take(&mut self.hoard) {
            self.send(conn, bytes.freeze(), ops);
        }
    }

    fn send(&mut self, conn: ConnId, bytes: Buf, ops: &mut Vec<Op<u64>>) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            peer.waiting.push_back(bytes);
            Echo::pump(conn, peer, ops);
        }
    }

    fn pump(conn: ConnId, peer: &mut Peer, ops: &mut Vec<Op<u64>>) {
        if !peer.sending && !peer.waiting.is_empty() {
            peer.sending = true;
            ops.push(Op::Send { conn, parts: peer.waiting.drain(..).collect() });
        }
        if peer.eof && !peer.sending {
            ops.push(Op::Close { conn });
        }
    }
}

impl App for Echo {
    type Mail = u64;

    fn step(&mut self, now: Now, event: Event<u64>, ops: &mut Vec<Op<u64>>) {
        self.now = now.mono;
        match event {
            Event::Accepted { conn, .. } => {
                self.accepted += 1;
                self.peers.insert(conn, Peer::default());
                ops.push(Op::Recv { conn });
            }
            Event::Received { conn, bytes } => {
                self.received += bytes.len();
                let received = self.received;
                self.take(conn, bytes, ops);
                let pause = matches!(self.habit, Habit::PauseAndExact { after, .. } if received > after);
                if let Some(peer) = self.peers.get_mut(&conn).filter(|p| pause && !p.pausing) {
                    peer.pausing = true;
                    ops.push(Op::Pause { conn });
                }
            }
            Event::Halted { .. }
            | Event::TakenBack { .. }
            | Event::Room { .. }
            | Event::Connected { .. }
            | Event::Unreachable { .. } => unreachable!("nobody asked"),
            Event::Paused { conn } => {
                self.pauses += 1;
                self.peers.get_mut(&conn).expect("open").pausing = false;
                let Habit::PauseAndExact { bytes, .. } = self.habit else { unreachable!() };
                let bytes = self.pool.as_ref().unwrap().take(bytes).expect("memory");
                ops.push(Op::RecvExact { conn, bytes, from: 0 });
            }
            Event::Filled { conn, bytes } => {
                self.fills += 1;
                self.take(conn, bytes, ops);
                ops.push(Op::Recv { conn });
            }
            Event::Starved { conn } => {
                self.starvations += 1;
                self.starved.push(conn);
            }
            Event::Eof { conn } => {
                self.eofs += 1;
                self.release(ops);
                let peer = self.peers.get_mut(&conn).expect("open");
                peer.eof = true;
                Echo::pump(conn, peer, ops);
            }
            Event::Sent { conn } => {
                let peer = self.peers.get_mut(&conn).expect("open");
                peer.sending = false;
                Echo::pump(conn, peer, ops);
            }
            Event::Closed { conn } => {
                self.closed += 1;
                self.peers.remove(&conn).expect("closed once");
                self.starved.retain(|&c| c != conn);
            }
            Event::Turn => {
                if !self.starved.is_empty() {
                    self.release(ops);
                    ops.extend(self.starved.drain(..).map(|conn| Op::Recv { conn }));
                }
            }
            Event::Stop => {
                self.stops += 1;
                ops.push(Op::Exit);
            }
            Event::Start | Event::Mail { .. } | Event::Adopted { .. } | Event::Disk(_) => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        (!self.starved.is_empty()).then(|| self.now.plus_ms(1))
    }

    fn busy(&self) -> bool {
        false
    }
}

/// `n` bytes that differ from position to position.
pub fn pattern(seed: u64, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    torc_base::prng::Prng::new(seed).fill(&mut bytes);
    bytes
}

/// Waits until `true`, for as long as a slow machine may need.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("waited in vain until {what}");
}
