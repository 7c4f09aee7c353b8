//! Thousands of connections, those that are one too many, resets, and connections that are closed with everything in
//! flight.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use support::{Echo, Habit, Running, eventually, pattern};
use torc_base::buf::{Buf, Pool};
use torc_base::ids::{ConnId, FileId, Tag};
use torc_base::io::{App, DiskKind, DiskOp, Event, Op};
use torc_base::limits::PAGE;
use torc_base::limits::{RECV_BUF_BYTES, RECV_BUFS};
use torc_base::time::{Mono, Now};
use torc_reactor::places::Places;
use torc_reactor::probe::raise_open_files;

/// Makes dropping the stream reset the connection.
fn reset_on_drop(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (value, bytes) = ((&raw const linger).cast(), size_of_val(&linger) as u32);
    // SAFETY: the option's value is a linger that outlives the call.
    let result = unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, bytes) };
    assert_eq!(result, 0);
}

fn crowd(most: usize, rounds: usize, ring_entries: u32) {
    let count = most.min((raise_open_files() as usize - 200) / 2);
    let pool = Pool::new(64 << 20, 4 << 20);
    let recv_pool = pool.clone();
    let running = Running::start(Echo::new(Habit::Plain), |settings| {
        settings.recv_pool = recv_pool;
        settings.ring_entries = ring_entries;
    });
    let mut streams: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(running.address).unwrap()).collect();
    for round in 0..rounds {
        for (i, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&pattern((round * count + i) as u64, 300)).unwrap();
        }
        for (i, stream) in streams.iter_mut().enumerate() {
            let mut back = [0; 300];
            stream.read_exact(&mut back).unwrap();
            assert!(back[..] == pattern((round * count + i) as u64, 300)[..], "connection {i}");
        }
    }
    for (i, stream) in streams.into_iter().enumerate() {
        if i % 2 == 0 {
            reset_on_drop(&stream);
        }
    }
    eventually("all are closed", || running.stats.closed.get() == count as u64);
    assert!(running.stats.multishots.get() >= count as u64, "after some small requests each receives multishot");
    let provided = RECV_BUFS * RECV_BUF_BYTES;
    assert_eq!(pool.used(), provided, "only the ring's own buffers are out");
    let echo = running.finish();
    assert_eq!((echo.accepted, echo.closed, echo.open()), (count, count, 0));
    assert_eq!(pool.used(), 0);
}

#[test]
fn thousands_of_connections_are_served_and_end_in_every_way() {
    crowd(4000, 8, 1024);
}

#[test]
fn queues_that_are_far_too_small_only_cost_time() {
    crowd(700, 12, 4);
}

#[test]
fn one_connection_too_many_is_closed_and_the_others_notice_nothing() {
    let running = Running::start(Echo::new(Habit::Plain), |settings| settings.connections_max = 2);
    let mut two: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(running.address).unwrap()).collect();
    let talk = |stream: &mut TcpStream| {
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])
    };
    for stream in &mut two {
        talk(stream).unwrap();
    }
    let mut third = TcpStream::connect(running.address).unwrap();
    let refused = talk(&mut third).unwrap_err().kind();
    assert!(matches!(refused, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
    two.iter_mut().for_each(|stream| talk(stream).unwrap());
    drop(two.pop());
    eventually("a place is free", || running.stats.closed.get() == 1);
    talk(&mut TcpStream::connect(running.address).unwrap()).unwrap();
    assert_eq!(running.stats.refused.get(), 1);
    let log = running.log.lock().unwrap().clone();
    assert!(log.len() == 1 && log[0].contains("1 connection was closed at once: 2 are open"), "{log:?}");
    running.finish();
}

#[test]
fn loops_share_the_places_of_their_process() {
    let places = Places::new(3, "as many as there are");
    let start = || Running::start(Echo::new(Habit::Plain), |settings| settings.places = Arc::clone(&places));
    let running = [start(), start()];
    let talk = |stream: &mut TcpStream| {
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])
    };
    // All but one with the first loop: a place is nobody's before it is taken.
    let mut open: Vec<TcpStream> = [0, 0, 1].map(|at| TcpStream::connect(running[at].address).unwrap()).into();
    open.iter_mut().for_each(|stream| talk(stream).unwrap());
    for one in &running {
        for _ in 0..50 {
            talk(&mut TcpStream::connect(one.address).unwrap()).unwrap_err();
        }
    }
    open.iter_mut().for_each(|stream| talk(stream).unwrap());
    drop(open.remove(0));
    eventually("a place is free", || places.taken() == 2);
    talk(&mut TcpStream::connect(running[1].address).unwrap()).unwrap();
    for one in running {
        assert_eq!(one.stats.refused.get(), 50);
        let log = one.log.lock().unwrap().clone();
        let told = "1 connection was closed at once: 3 are open, as many as there are";
        assert!(log.len() == 1 && log[0].contains(told), "few lines tell of many: {log:?}");
        one.finish();
    }
    assert_eq!(places.taken(), 0);
}

/// Fills every connection's pipes: a send that the peer does not read and a receive that it does not fill. Closes
/// them, or waits for the peer to, or panics.
struct Clog {
    pool: Pool,
    end: End,
    clogged: Vec<ConnId>,
    expected: usize,
    closed: usize,
    now: Mono,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Close,
    Peer,
    Exit,
    Panic,
}

impl App for Clog {
    type Mail = u64;

    fn step(&mut self, now: Now, event: Event<u64>, ops: &mut Vec<Op<u64>>) {
        self.now = now.mono;
        match event {
            Event::Start => {
                let create = DiskKind::Create { file: FileId(0), name: "f".into(), bytes: 1 << 20 };
                ops.push(Op::Disk(DiskOp { tag: Tag(0), kind: create }));
            }
            Event::Accepted { conn, .. } => {
                let parts = (0..8).map(|_| self.pool.take(4 << 20).unwrap().freeze()).collect();
                let bytes = self.pool.take(1 << 20).unwrap();
                ops.extend([Op::Send { conn, parts }, Op::RecvExact { conn, bytes, from: 10 }]);
                self.clogged.push(conn);
            }
            Event::Closed { conn } => {
                assert!(self.clogged.contains(&conn));
                self.closed += 1;
                if self.closed == self.expected {
                    ops.push(Op::Exit);
                }
            }
            Event::Turn if self.clogged.len() == self.expected && self.closed == 0 => self.finish(ops),
            Event::Sent { .. } | Event::Filled { .. } | Event::Received { .. } => unreachable!("all is clogged"),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        (self.clogged.len() < self.expected).then(|| self.now.plus_ms(1))
    }

    fn busy(&self) -> bool {
        false
    }
}

impl Clog {
    fn finish(&mut self, ops: &mut Vec<Op<u64>>) {
        match self.end {
            End::Close => {
                for &conn in &self.clogged {
                    // What comes behind a close is dropped.
                    let late = [Op::Close { conn }, Op::Close { conn }, Op::Pause { conn }];
                    ops.extend(late);
                    ops.push(Op::Send { conn, parts: vec![Buf::copy_of(b"late")] });
                }
            }
            End::Peer => {}
            End::Exit => ops.push(Op::Exit),
            End::Panic => panic!("the core gives up with operations in flight"),
        }
        if self.end == End::Exit {
            let runs = vec![self.pool.take(16 * PAGE).unwrap().freeze().pages()];
            let write = DiskKind::Write { file: FileId(0), at: 0, runs, durable: true };
            ops.insert(0, Op::Disk(DiskOp { tag: Tag(1), kind: write }));
        }
    }
}

fn clogged(end: End) -> (Pool, Running<Clog>, Vec<TcpStream>) {
    let pool = Pool::new(1 << 30, 0);
    let expected = 5;
    let app = Clog { pool: pool.clone(), end, clogged: Vec::new(), expected, closed: 0, now: Mono(0) };
    let running = Running::start(app, |_| {});
    let streams = (0..expected).map(|_| TcpStream::connect(running.address).unwrap()).collect();
    (pool, running, streams)
}

#[test]
fn close_cancels_what_is_in_flight_and_frees_its_buffers() {
    let (pool, running, streams) = clogged(End::Close);
    assert_eq!(running.join().closed, 5);
    assert_eq!(pool.used(), 0);
    drop(streams);
}

#[test]
fn a_reset_ends_sends_and_receives_in_flight_with_one_event() {
    let (pool, running, streams) = clogged(End::Peer);
    for stream in streams {
        // Sure to be accepted, and clogged: something has been sent.
        (&stream).read_exact(&mut [0; 1000]).unwrap();
        reset_on_drop(&stream);
    }
    assert_eq!(running.join().closed, 5);
    assert_eq!(pool.used(), 0);
}

#[test]
fn exit_ends_what_is_in_flight_and_frees_its_buffers() {
    let (pool, running, streams) = clogged(End::Exit);
    running.join();
    assert_eq!(pool.used(), 0);
    for mut stream in streams {
        let end = stream.read_to_end(&mut Vec::new());
        assert!(end.is_ok() || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    }
}

#[test]
fn a_panic_of_the_core_leaves_no_buffer_with_the_kernel() {
    let (pool, running, _streams) = clogged(End::Panic);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| running.join())).is_err());
    assert_eq!(pool.used(), 0);
}
