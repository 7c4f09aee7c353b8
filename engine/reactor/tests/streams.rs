//! Bytes through sockets: whole, in order, whatever the pace, the buffers and the peer's manners.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use support::{Echo, Habit, Running, pattern};
use torc_base::buf::{Buf, Pool};
use torc_base::io::{App, Event, Op};
use torc_base::limits::RECV_BUF_BYTES;
use torc_base::time::{Mono, Now};
use torc_reactor::settings::listen;

/// Sends the first `n` bytes a few at a time, so that the loop takes the connection for one of small requests.
fn chat(mut stream: &TcpStream, bytes: &[u8], n: usize) {
    stream.set_nodelay(true).unwrap();
    for piece in bytes[..n].chunks(10) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Writes `bytes` on one thread, half-closes, and returns all that comes back.
fn exchange(stream: &TcpStream, bytes: &[u8]) -> Vec<u8> {
    std::thread::scope(|s| {
        let writer = s.spawn(move || {
            let mut stream = stream;
            let small = bytes.len().min(100);
            chat(stream, bytes, small);
            stream.write_all(&bytes[small..]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        let mut stream = stream;
        stream.read_to_end(&mut back).unwrap();
        writer.join().unwrap();
        back
    })
}

#[test]
fn what_is_sent_comes_back_and_a_half_closed_peer_still_reads() {
    let running = Running::start(Echo::new(Habit::Plain), |_| {});
    for (i, bytes) in [1, 100, 16 << 10, 5_000_000].into_iter().enumerate() {
        let sent = pattern(i as u64, bytes);
        let stream = TcpStream::connect(running.address).unwrap();
        assert!(exchange(&stream, &sent) == sent, "{bytes} bytes came back changed");
    }
    assert!(running.stats.multishots.get() > 0);
    let echo = running.finish();
    assert_eq!((echo.accepted, echo.eofs, echo.closed, echo.open(), echo.stops), (4, 4, 4, 0, 1));
}

#[test]
fn pausing_and_exact_receives_under_load_lose_and_reorder_nothing() {
    for (chatter, seed) in [(0, 8), (200, 9)] {
        pause_and_exact(chatter, seed);
    }
}

/// `chatter` bytes of small sends come first and make the receive a multishot one.
fn pause_and_exact(chatter: usize, seed: u64) {
    let habit = Habit::PauseAndExact { after: chatter, bytes: 100_001 };
    let running = Running::start(Echo::new(habit), |_| {});
    // The end must not fall into an exact receive, whose partial content is dropped: keep the stream open.
    let sent = pattern(seed, 20_000_000);
    let stream = TcpStream::connect(running.address).unwrap();
    let back = std::thread::scope(|s| {
        s.spawn(|| {
            chat(&stream, &sent, chatter);
            (&stream).write_all(&sent[chatter..]).unwrap();
        });
        let mut back = vec![0; sent.len() - 100_001];
        (&stream).read_exact(&mut back).unwrap();
        back
    });
    assert!(back[..] == sent[..back.len()]);
    assert_eq!(running.stats.multishots.get() > 0, chatter > 0);
    let echo = running.finish();
    assert!(echo.pauses > 1 && echo.fills > 1, "{} pauses, {} fills", echo.pauses, echo.fills);
}

#[test]
fn receives_recover_from_a_dry_pool() {
    let running = Running::start(Echo::new(Habit::Hoard { bytes: 1 << 20 }), |settings| {
        settings.recv_bufs = 8;
        settings.recv_buf_bytes = 4096;
        settings.recv_pool = Pool::new(6 * 4096, 6 * 4096);
    });
    let address = running.address;
    std::thread::scope(|s| {
        for seed in 0..4 {
            s.spawn(move || {
                let sent = pattern(seed, 3_000_000);
                let stream = TcpStream::connect(address).unwrap();
                assert!(exchange(&stream, &sent) == sent);
            });
        }
    });
    let echo = running.finish();
    assert!(echo.starvations > 0);
    assert_eq!(echo.closed, 4);
}

/// Sends the same parts to whoever connects, then closes.
struct Push {
    parts: Vec<Buf>,
    sent: usize,
}

impl App for Push {
    type Mail = ();

    fn step(&mut self, _: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        match event {
            Event::Accepted { conn, .. } => ops.push(Op::Send { conn, parts: self.parts.clone() }),
            Event::Sent { conn } => {
                self.sent += 1;
                ops.push(Op::Close { conn });
            }
            Event::Stop => ops.push(Op::Exit),
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

/// Connects with a small receive buffer.
fn narrow(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    let bytes: i32 = 64 << 10;
    let value = (&raw const bytes).cast();
    // SAFETY: the option's value is an i32 that outlives the call.
    let result = unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, value, 4) };
    assert_eq!(result, 0);
    stream
}

#[test]
fn thousands_of_parts_reach_a_slow_reader_in_order() {
    let whole = Buf::copy_of(&pattern(3, 9_000_000));
    // More parts than one sendmsg takes, from empty ones to some larger than the socket's buffers.
    let mut parts = vec![whole.slice(0..0)];
    let mut at = 0;
    for i in 0..3000 {
        let end = (at + i * 7 % 4001 + if i % 1000 == 500 { 1_000_000 } else { 0 }).min(whole.len());
        parts.push(whole.slice(at..end));
        at = end;
    }
    parts.extend([whole.slice(at..whole.len()), whole.slice(0..0)]);
    let running = Running::start(Push { parts, sent: 0 }, |_| {});
    let mut stream = narrow(running.address);
    let mut back = Vec::new();
    let mut piece = vec![0; 70_000];
    loop {
        let n = stream.read(&mut piece).unwrap();
        if n == 0 {
            break;
        }
        back.extend_from_slice(&piece[..n]);
        if back.len() / 1_000_000 != (back.len() - n) / 1_000_000 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
    assert!(back[..] == whole[..], "{} of {} bytes, or others", back.len(), whole.len());
    assert_eq!(running.stats.sent_bytes.get(), whole.len() as u64);
    assert_eq!(running.finish().sent, 1);
}

#[test]
fn an_empty_send_is_sent_at_once() {
    let running = Running::start(Push { parts: vec![Buf::copy_of(b"").slice(0..0)], sent: 0 }, |_| {});
    let mut back = Vec::new();
    TcpStream::connect(running.address).unwrap().read_to_end(&mut back).unwrap();
    assert!(back.is_empty());
    assert_eq!(running.finish().sent, 1);
}

/// Frames of a 4-byte length and that many bytes; receives the rest of each straight into a buffer of its own.
struct Frames {
    expected: usize,
    frames: Vec<Buf>,
    /// Bytes that came in provided buffers, and so had to be copied.
    copied: usize,
    head: Vec<u8>,
}

impl App for Frames {
    type Mail = ();

    fn step(&mut self, _: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        match event {
            Event::Accepted { conn, .. } => ops.push(Op::Recv { conn }),
            Event::Received { conn, bytes } => {
                if self.head.is_empty() {
                    ops.push(Op::Pause { conn });
                }
                self.copied += bytes.len();
                self.head.extend_from_slice(&bytes);
            }
            Event::Paused { conn } => {
                let len = u32::from_le_bytes(self.head[..4].try_into().unwrap()) as usize;
                let mut bytes = Pool::new(usize::MAX, 0).take(4 + len).unwrap();
                bytes[..self.head.len()].copy_from_slice(&self.head);
                let from = std::mem::take(&mut self.head).len();
                ops.push(Op::RecvExact { conn, bytes, from });
            }
            Event::Filled { conn, bytes } => {
                self.frames.push(bytes.freeze());
                ops.push(if self.frames.len() < self.expected { Op::Recv { conn } } else { Op::Close { conn } });
            }
            Event::Closed { .. } => ops.push(Op::Exit),
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

#[test]
fn of_a_large_frame_only_the_first_buffer_is_received_elsewhere_than_in_its_own() {
    let frames: Vec<Vec<u8>> = (0..20).map(|i| pattern(i, 1_000_000 + i as usize * 77)).collect();
    let app = Frames { expected: frames.len(), frames: Vec::new(), copied: 0, head: Vec::new() };
    let running = Running::start(app, |_| {});
    let mut stream = TcpStream::connect(running.address).unwrap();
    for frame in &frames {
        stream.write_all(&(frame.len() as u32).to_le_bytes()).unwrap();
        stream.write_all(frame).unwrap();
    }
    let app = running.join();
    for (got, sent) in app.frames.iter().zip(&frames) {
        assert!(got[4..] == sent[..]);
    }
    assert!(app.copied <= frames.len() * RECV_BUF_BYTES, "{} bytes went through provided buffers", app.copied);
}

#[test]
fn every_listener_accepts_and_says_which_one_it_was() {
    let others = [(); 2].map(|()| listen("127.0.0.1:0".parse().unwrap()).unwrap());
    let addresses = others.each_ref().map(|listener| listener.local_addr().unwrap());
    let running = Running::start(Doorman, |settings| settings.listeners.extend(others));
    for (address, id) in [running.address, addresses[0], addresses[1], addresses[0]].into_iter().zip([0, 1, 2, 1]) {
        let mut told = String::new();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.read_to_string(&mut told).unwrap();
        assert_eq!(told, format!("{id} {}", stream.local_addr().unwrap()), "{address}");
    }
    running.finish();
    for address in addresses {
        assert!(TcpStream::connect(address).is_err(), "{address} is closed with the loop");
    }
}

/// Tells each peer by which listener it came in and from where, and closes.
struct Doorman;

impl App for Doorman {
    type Mail = ();

    fn step(&mut self, _: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        match event {
            Event::Accepted { conn, listener, peer } => {
                let told = format!("{} {peer}", listener.get());
                ops.push(Op::Send { conn, parts: vec![Buf::copy_of(told.as_bytes())] });
            }
            Event::Sent { conn } => ops.push(Op::Close { conn }),
            Event::Stop => ops.push(Op::Exit),
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
