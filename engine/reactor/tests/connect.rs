//! Connections to other servers: made, refused, given up, and used in both directions.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use support::{Running, pattern};
use torc_base::buf::Buf;
use torc_base::io::{App, ConnectError, Event, Op};
use torc_base::time::{Mono, Now};

const PATIENCE_MS: u32 = 300;

/// Calls all `addresses` at once; sends `bytes` over each connection, and exits when all calls have been answered and all
/// that was made is closed.
struct Caller {
    addresses: Vec<SocketAddr>,
    bytes: Vec<u8>,
    answers: Vec<Option<Result<Vec<u8>, ConnectError>>>,
    conns: Vec<(u64, torc_base::ids::ConnId)>,
}

impl Caller {
    fn new(addresses: Vec<SocketAddr>, bytes: Vec<u8>) -> Caller {
        let answers = addresses.iter().map(|_| None).collect();
        Caller { addresses, bytes, answers, conns: Vec::new() }
    }

    fn heard(&mut self, conn: torc_base::ids::ConnId) -> &mut Vec<u8> {
        let (call, _) = *self.conns.iter().find(|(_, open)| *open == conn).expect("made here");
        let answer = self.answers[call as usize].as_mut().expect("answered");
        answer.as_mut().expect("connected")
    }
}

impl App for Caller {
    type Mail = u64;

    fn step(&mut self, _: Now, event: Event<u64>, ops: &mut Vec<Op<u64>>) {
        match event {
            Event::Start => {
                let calls = (0..).zip(&self.addresses);
                ops.extend(calls.map(|(call, &to)| Op::Connect { call, to, patience_ms: PATIENCE_MS }));
            }
            Event::Connected { call, conn } => {
                assert!(self.answers[call as usize].replace(Ok(Vec::new())).is_none(), "{call}: answered once");
                self.conns.push((call, conn));
                ops.push(Op::Recv { conn });
                ops.push(Op::Send { conn, parts: vec![Buf::copy_of(&self.bytes)] });
            }
            Event::Unreachable { call, error } => {
                assert!(self.answers[call as usize].replace(Err(error)).is_none(), "{call}: answered once");
            }
            Event::Received { conn, bytes } => self.heard(conn).extend_from_slice(&bytes),
            Event::Eof { conn } => ops.push(Op::Close { conn }),
            Event::Closed { conn } => self.conns.retain(|(_, open)| *open != conn),
            Event::Stop => ops.push(Op::Exit),
            Event::Turn if self.answers.iter().all(Option::is_some) && self.conns.is_empty() => ops.push(Op::Exit),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn busy(&self) -> bool {
        false
    }
}

/// Sends back, in capitals, what comes until there are `bytes` of it, to `clients` one after the other.
fn answer_in_capitals(listener: TcpListener, clients: usize, bytes: usize) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for _ in 0..clients {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = vec![0; bytes];
            stream.read_exact(&mut heard).unwrap();
            heard.make_ascii_uppercase();
            stream.write_all(&heard).unwrap();
        }
    })
}

#[test]
fn connections_are_made_and_carry_bytes_both_ways() {
    let listeners = ["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"].map(TcpListener::bind);
    let listeners: Vec<TcpListener> = listeners.into_iter().flatten().collect();
    let addresses: Vec<SocketAddr> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let bytes: Vec<u8> = pattern(7, 200_000).into_iter().map(|byte| b'a' + byte % 26).collect();
    let servers: Vec<_> = listeners.into_iter().map(|listener| answer_in_capitals(listener, 1, bytes.len())).collect();
    let caller = Running::start(Caller::new(addresses, bytes.clone()), |_| {}).join();
    for answer in caller.answers {
        assert!(answer.expect("answered").expect("connected") == bytes.to_ascii_uppercase());
    }
    servers.into_iter().for_each(|server| server.join().unwrap());
}

#[test]
fn nobody_there_is_told_beside_who_is() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = listener.local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = silent.local_addr().unwrap();
    // It keeps its port and listens no more. SAFETY: no pointers are passed.
    assert_eq!(unsafe { libc::shutdown(silent.as_raw_fd(), libc::SHUT_RDWR) }, 0);
    let server = answer_in_capitals(listener, 1, 3);
    let running = Running::start(Caller::new(vec![gone, there, gone], b"abc".to_vec()), |_| {});
    let stats = std::sync::Arc::clone(&running.stats);
    let answers = running.join().answers;
    assert_eq!(
        answers,
        [Some(Err(ConnectError::Refused)), Some(Ok(b"ABC".to_vec())), Some(Err(ConnectError::Refused))]
    );
    assert_eq!(stats.connected.get(), 1);
    server.join().unwrap();
}

#[test]
fn who_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: no pointers are passed.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = listener.local_addr().unwrap();
    // Once the one place of the backlog is taken, the kernel leaves those who call without an answer.
    let _waiting = TcpStream::connect(address).unwrap();
    let answers = Running::start(Caller::new(vec![address], Vec::new()), |_| {}).join().answers;
    assert_eq!(answers, [Some(Err(ConnectError::TimedOut))]);
}

#[test]
fn a_caller_that_has_no_room_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = answer_in_capitals(listener, 1, 1);
    let caller = Caller::new(vec![address, address], b"a".to_vec());
    let answers = Running::start(caller, |settings| settings.connections_max = 1).join().answers;
    assert_eq!(answers, [Some(Ok(b"A".to_vec())), Some(Err(ConnectError::Full))]);
    server.join().unwrap();
}

#[test]
fn a_loop_ends_while_it_calls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: no pointers are passed.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = listener.local_addr().unwrap();
    let _waiting = TcpStream::connect(address).unwrap();
    let running = Running::start(Caller::new(vec![address; 5], Vec::new()), |_| {});
    running.finish();
}
