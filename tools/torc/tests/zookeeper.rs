//! `torc serve --zookeeper` as a process, and as three, asked over sockets in ZooKeeper's own frames.

mod support;

use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use support::{Server, as_peers, free_addresses};
use torc_net::zookeeper::{Acl, Answer, Ask, Connect, Connected, Kind, New, Session, xid};

const OPEN: &[Acl<'static>] = &[Acl { perms: 31, scheme: "world", id: "anyone" }];
/// Elections and starts take less.
const PATIENCE: Duration = Duration::from_secs(60);

fn create(path: &str, kind: Kind) -> Ask<'_> {
    Ask::Create(New { path, data: b"data", acls: OPEN, kind, sequential: false, ttl_ms: 0, with_stat: false })
}

/// A client with a session.
struct Zk {
    socket: TcpStream,
    session: Session,
    xid: i32,
    zxid: i64,
    events: Vec<String>,
}

impl Zk {
    /// Asks for a session, or for that one; `None`: nobody serves there now, or it is gone.
    fn greet(address: &str, session: Option<Session>, zxid: i64) -> Option<Zk> {
        let mut socket = TcpStream::connect(address).ok()?;
        let mut hello = Vec::new();
        let connect = Connect { last_zxid: zxid, timeout_ms: 30_000, session, read_only: false, knows_read_only: true };
        connect.encode(&mut hello);
        socket.write_all(&hello).ok()?;
        let session = Connected::decode(&frame(&mut socket)?).expect("an answer to the hello").session?;
        Some(Zk { socket, session, xid: 0, zxid, events: Vec::new() })
    }

    /// The same, until somebody serves at one of these.
    fn connect(addresses: &[&str], session: Option<Session>, zxid: i64) -> Zk {
        let begun = Instant::now();
        loop {
            for address in addresses {
                if let Some(zk) = Zk::greet(address, session, zxid) {
                    return zk;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "nobody serves {session:?} at {addresses:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The answer: its error, and its bytes; `None`: the connection is gone.
    fn ask(&mut self, ask: &Ask<'_>) -> Option<(i32, Vec<u8>)> {
        self.xid += 1;
        let mut request = Vec::new();
        ask.encode(self.xid, &mut request);
        self.socket.write_all(&request).ok()?;
        loop {
            let frame = frame(&mut self.socket)?;
            let mut answer = Answer::open(&frame).expect("a head");
            if answer.xid == xid::EVENT {
                self.events.push(answer.event().expect("an event").path.to_string());
                continue;
            }
            assert_eq!(answer.xid, ask.fixed_xid().unwrap_or(self.xid));
            self.zxid = self.zxid.max(answer.zxid);
            return Some((answer.error, frame));
        }
    }

    fn does(&mut self, ask: &Ask<'_>) {
        assert_eq!(self.ask(ask).expect("it is served").0, 0, "{ask:?}");
    }
}

fn frame(socket: &mut TcpStream) -> Option<Vec<u8>> {
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut length = [0; 4];
    socket.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut frame).ok()?;
    Some(frame)
}

/// A server that has been started, and may not serve yet.
fn serve(data: &Path, zookeeper: &str, more: &[&str]) -> Server {
    let fixed = [
        "serve",
        "--data-dir",
        data.to_str().unwrap(),
        "--kafka",
        "127.0.0.1:0",
        "--metrics",
        "none",
        "--zookeeper",
        zookeeper,
    ];
    Server { child: support::torc(&[&fixed, more].concat()).spawn().unwrap(), lines: Vec::new() }
}

#[test]
fn sessions_and_znodes_outlive_the_process_however_it_ends() {
    let data = tempfile::tempdir().unwrap();
    let address = &free_addresses(1)[0];
    let mut server = serve(data.path(), address, &[]);
    assert!(server.until_ready(), "{:?}", server.lines);
    let mut zk = Zk::connect(&[address], None, 0);
    zk.does(&create("/lasting", Kind::Persistent));
    zk.does(&create("/mine", Kind::Ephemeral));
    assert_eq!(zk.ask(&create("/mine", Kind::Ephemeral)).expect("it is served").0, -110);
    for signal in [Signal::TERM, Signal::KILL] {
        let (session, zxid) = (zk.session, zk.zxid);
        server.stop(signal);
        server = serve(data.path(), address, &[]);
        assert!(server.until_ready(), "{:?}", server.lines);
        zk = Zk::connect(&[address], Some(session), zxid);
        assert_eq!(zk.session, session, "the same session");
        zk.does(&Ask::Exists("/mine", false));
        zk.does(&Ask::Exists("/lasting", false));
    }
    let mut other = Zk::connect(&[address], None, 0);
    other.does(&Ask::Exists("/mine", true));
    zk.does(&Ask::CloseSession);
    assert_eq!(other.ask(&Ask::Exists("/mine", false)).expect("it is served").0, -101);
    assert_eq!(other.events, ["/mine"]);
    server.stop(Signal::TERM);
}

#[test]
fn three_nodes_serve_one_tree_and_keep_sessions_when_their_leader_is_killed() {
    let addresses = free_addresses(6);
    let (peers, clients) = addresses.split_at(3);
    let directories: Vec<tempfile::TempDir> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let members = as_peers(peers);
    let start = |at: usize| {
        let node = (at + 1).to_string();
        let more = ["--node-id", &node, "--peer", &peers[at], "--peers", &members];
        serve(directories[at].path(), &clients[at], &more)
    };
    let mut servers: Vec<Option<Server>> = (0..3).map(|at| Some(start(at))).collect();
    for server in servers.iter_mut().flatten() {
        assert!(server.until_ready(), "{:?}", server.lines);
    }
    let all: Vec<&str> = clients.iter().map(String::as_str).collect();
    let mut on: Vec<Zk> = all.iter().map(|address| Zk::connect(&[address], None, 0)).collect();
    for (at, zk) in on.iter_mut().enumerate() {
        zk.does(&create(&format!("/lock-{at}"), Kind::Ephemeral));
        zk.does(&create(&format!("/lasting-{at}"), Kind::Persistent));
    }
    for zk in &mut on {
        zk.does(&Ask::Sync("/"));
        [0, 1, 2].iter().for_each(|at| zk.does(&Ask::Exists(&format!("/lock-{at}"), false)));
    }
    // Each is killed and comes back: the leader is among them.
    for at in [0, 1, 2] {
        servers[at].take().expect("it runs").stop(Signal::KILL);
        let mut zk = Zk::connect(&all, Some(on[at].session), on[at].zxid);
        assert_eq!(zk.session, on[at].session);
        zk.does(&Ask::Exists(&format!("/lock-{at}"), false));
        let mut server = start(at);
        assert!(server.until_ready(), "{:?}", server.lines);
        servers[at] = Some(server);
        on[at] = zk;
        for other in [0, 1, 2] {
            let (session, zxid) = (on[other].session, on[other].zxid);
            on[other] = Zk::connect(&[all[other]], Some(session), zxid);
            on[other].does(&Ask::Exists(&format!("/lock-{other}"), false));
        }
    }
    for server in servers.into_iter().flatten() {
        server.stop(Signal::TERM);
    }
}
