//! Sessions of ZooKeeper's clients: they survive the server that serves them, end by thousands without being felt, cost little
//! while they rest; a large tree starts soon; locks, counters and queues keep their promises while nodes fail.

mod expire;
mod faults;
mod idle;
mod moves;
mod recipes;
mod snapshot;
mod tree;

use crate::failure::{Failure, Result, wrong};
use crate::parts;
use crate::process::{Launch, Server};
use crate::report::Report;
use clap::ValueEnum;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;
use torc_client::zookeeper::{ZooKeeper, ZooKeeperError, ZooKeeperOptions, handshake};
use torc_net::zookeeper::{Acl, Answer, Ask, Connect, Kind, New};

/// One of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The node that a client is on is killed, again and again: session, ephemeral znode and watches stay.
    Moves,
    /// Thousands of sessions expire at once, while another one is pinged.
    Expire,
    /// Thousands of sessions that only ping: CPU and memory.
    Idle,
    /// A large tree: memory, and how soon it is served after `kill -9`.
    Tree,
    /// Snapshots of a large tree in the background: what writes feel of them.
    Snapshot,
    /// Counters, locks and queues while nodes are killed, paused and cut off.
    Faults,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    pub seed: u64,
    /// Nothing else; all parts without it.
    pub only: Vec<Part>,
    /// Kills of a client's server.
    pub moves: u32,
    /// Sessions that expire at once.
    pub expiring: u32,
    /// Sessions that rest, and for how long; snapshots are looked at for as long, too.
    pub idle: u32,
    pub seconds: u64,
    /// Znodes of the large tree.
    pub znodes: u32,
    /// Rounds of each kind of fault.
    pub rounds: u32,
    /// Kinds of faults; none: kills, pauses and starts of all.
    pub faults: Vec<crate::cluster::Kind>,
}

/// Runs all parts, each on servers of its own. What was not measured is in the report without a number.
pub fn run(plan: &Plan) -> Result<Report> {
    let within = |dir| Plan { dir, ..plan.clone() };
    parts::run("sessions", &plan.only, &plan.dir, within, |part| match part {
        Part::Moves => (moves::run, moves::NUMBERS),
        Part::Expire => (expire::run, expire::NUMBERS),
        Part::Idle => (idle::run, idle::NUMBERS),
        Part::Tree => (tree::run, tree::NUMBERS),
        Part::Snapshot => (snapshot::run, snapshot::NUMBERS),
        Part::Faults => (faults::run, faults::NUMBERS),
    })
}

impl From<ZooKeeperError> for Failure {
    fn from(error: ZooKeeperError) -> Failure {
        Failure::Wrong(error.to_string())
    }
}

/// Everybody may do everything.
const OPEN: &[Acl<'static>] = &[Acl { perms: 31, scheme: "world", id: "anyone" }];

/// A znode of a kind; numbered ones end in `-`.
fn znode<'a>(path: &'a str, data: &'a [u8], kind: Kind) -> New<'a> {
    New { path, data, acls: OPEN, kind, sequential: path.ends_with('-'), ttl_ms: 0, with_stat: false }
}

/// One server, that takes any number of connections.
fn alone(plan: &Plan, more: &[&str]) -> Launch {
    let mut launch = Launch::new(&plan.torc, &plan.dir);
    let given = ["--zookeeper", "127.0.0.1:0", "--set", "maxClientCnxns=0"];
    launch.more = given.iter().chain(more).map(|word| word.to_string()).collect();
    launch
}

/// A session that moves to another server by itself.
fn connect(servers: &str, timeout: Duration) -> Result<ZooKeeper> {
    Ok(ZooKeeper::connect(servers, ZooKeeperOptions { timeout, auths: Vec::new() })?)
}

/// A session that only exists, on a connection of its own: thousands of them fit into this process.
struct Resting {
    socket: TcpStream,
    id: i64,
}

/// Nothing that rests waits longer for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

impl Resting {
    fn open(address: SocketAddr, timeout: Duration) -> Result<Resting> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let connect = Connect { last_zxid: 0, timeout_ms, session: None, read_only: false, knows_read_only: true };
        let connected = handshake(&mut socket, &connect, ANSWER_TIME)?;
        socket.set_read_timeout(Some(ANSWER_TIME))?;
        match connected.session {
            Some(session) => Ok(Resting { socket, id: session.id }),
            None => wrong("a server gives out no sessions"),
        }
    }

    fn send(&mut self, ask: &Ask<'_>, xid: i32) -> Result<()> {
        let mut frame = Vec::new();
        ask.encode(xid, &mut frame);
        Ok(self.socket.write_all(&frame)?)
    }

    /// The answer's error.
    fn receive(&mut self) -> Result<i32> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.socket.read_exact(&mut frame)?;
        Answer::open(&frame).map(|answer| answer.error).or_else(|error| wrong(error.to_string()))
    }
}

/// Opens so many, on several threads; `each` is told of every one.
fn open_all(
    server: &Server,
    count: u32,
    timeout: Duration,
    each: impl Fn(u32, &mut Resting) -> Result<()> + Sync,
) -> Result<Vec<Resting>> {
    const THREADS: u32 = 8;
    let (each, address) = (&each, server.zookeeper);
    let open = |first: u32| -> Result<Vec<Resting>> {
        let numbers = (first..count).step_by(THREADS as usize);
        let opened = numbers.map(|number| {
            let mut resting = Resting::open(address, timeout)?;
            each(number, &mut resting)?;
            Ok(resting)
        });
        opened.collect()
    };
    std::thread::scope(|scope| {
        let hands: Vec<_> = (0..THREADS.min(count)).map(|first| scope.spawn(move || open(first))).collect();
        let parts: Result<Vec<_>> = hands.into_iter().map(|hand| hand.join().expect("no thread panics")).collect();
        Ok(parts?.into_iter().flatten().collect())
    })
}
