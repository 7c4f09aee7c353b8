//! Sends that are taken back, waits for room, and exact receives that are stopped on the way: no byte is lost or doubled.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use support::Running;
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::ConnId;
use torc_base::io::{App, Event, Op};
use torc_base::time::{Mono, Now};

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// Sends all of `left` to whoever connects; what the kernel has not taken by the next deadline is taken back, and sent
/// when there is room.
struct Impatient {
    conn: Option<ConnId>,
    left: Buf,
    sending: usize,
    due: Option<Mono>,
    taken_back: usize,
    rooms: usize,
}

impl Impatient {
    fn send(&mut self, now: Now, ops: &mut Vec<Op<()>>) {
        // Many parts, so that sends end inside one and between two.
        let part = |at: usize| self.left.slice(at..(at + 50_000).min(self.left.len()));
        let parts: Vec<Buf> = (0..self.left.len()).step_by(50_000).map(part).collect();
        self.sending = self.left.len();
        self.due = Some(now.mono.plus_ms(20));
        ops.push(Op::Send { conn: self.conn.expect("connected"), parts });
    }
}

impl App for Impatient {
    type Mail = ();

    fn step(&mut self, now: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        match event {
            Event::Accepted { conn, .. } => {
                self.conn = Some(conn);
                self.send(now, ops);
            }
            Event::Turn if self.due.is_some_and(|due| due <= now.mono) => {
                self.due = None;
                // Twice is once.
                let conn = self.conn.expect("connected");
                ops.extend([Op::TakeBack { conn }, Op::TakeBack { conn }]);
            }
            Event::TakenBack { conn, rest, sent } => {
                self.taken_back += 1;
                let rest = rest.iter().map(|part| part.len()).sum::<usize>() - sent;
                self.left = self.left.slice(self.left.len() - rest..self.left.len());
                self.due = None;
                ops.push(Op::AwaitRoom { conn });
            }
            Event::Room { .. } => {
                self.rooms += 1;
                self.send(now, ops);
            }
            Event::Sent { conn } => {
                self.due = None;
                ops.push(Op::TakeBack { conn });
                ops.push(Op::Close { conn });
            }
            Event::Closed { .. } => ops.push(Op::Exit),
            Event::Stop => ops.push(Op::Exit),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        self.due
    }

    fn busy(&self) -> bool {
        false
    }
}

fn impatient(bytes: &[u8]) -> Impatient {
    Impatient { conn: None, left: Buf::copy_of(bytes), sending: 0, due: None, taken_back: 0, rooms: 0 }
}

#[test]
fn what_a_slow_reader_does_not_take_comes_back_and_is_sent_later() {
    let all = pattern(24 << 20);
    let running = Running::start(impatient(&all), |_| {});
    let mut stream = TcpStream::connect(running.address).unwrap();
    let (mut got, mut piece) = (Vec::new(), vec![0; 900_000]);
    loop {
        let n = stream.read(&mut piece).unwrap();
        if n == 0 {
            break;
        }
        got.extend_from_slice(&piece[..n]);
        if got.len() < 8 << 20 {
            std::thread::sleep(Duration::from_millis(15));
        }
    }
    assert!(got == all, "{} bytes of {}", got.len(), all.len());
    let app = running.join();
    assert!(app.taken_back > 0 && app.rooms == app.taken_back, "{} and {}", app.taken_back, app.rooms);
}

#[test]
fn a_reader_that_goes_while_room_is_awaited_ends_the_connection() {
    let running = Running::start(impatient(&pattern(24 << 20)), |_| {});
    let stream = TcpStream::connect(running.address).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    drop(stream);
    let app = running.join();
    assert!(app.taken_back > 0, "nobody read");
}

/// Receives a million bytes exactly, and stops that again and again to see how far it is.
struct Curious {
    pool: Pool,
    due: Option<(Mono, ConnId)>,
    halts: Arc<AtomicU32>,
    got: Option<BufMut>,
}

impl App for Curious {
    type Mail = ();

    fn step(&mut self, now: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        match event {
            Event::Accepted { conn, .. } => {
                let bytes = self.pool.take(1_000_000).expect("no limit");
                ops.push(Op::RecvExact { conn, bytes, from: 0 });
                self.due = Some((now.mono.plus_ms(3), conn));
            }
            Event::Turn => {
                if let Some((_, conn)) = self.due.take_if(|(due, _)| *due <= now.mono) {
                    ops.push(Op::Pause { conn });
                }
            }
            Event::Halted { conn, bytes, at } => {
                assert!(at < bytes.len());
                self.halts.fetch_add(1, Ordering::Relaxed);
                ops.push(Op::RecvExact { conn, bytes, from: at });
                self.due = Some((now.mono.plus_ms(3), conn));
            }
            Event::Filled { conn, bytes } => {
                self.got = Some(bytes);
                ops.push(Op::Close { conn });
            }
            Event::Closed { .. } | Event::Stop => ops.push(Op::Exit),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        self.due.map(|(due, _)| due)
    }

    fn busy(&self) -> bool {
        false
    }
}

#[test]
fn an_exact_receive_can_be_stopped_and_goes_on_where_it_was() {
    let all = pattern(1_000_000);
    let halts = Arc::new(AtomicU32::new(0));
    let app = Curious { pool: Pool::new(usize::MAX, 0), due: None, halts: Arc::clone(&halts), got: None };
    let running = Running::start(app, |_| {});
    let mut stream = TcpStream::connect(running.address).unwrap();
    for piece in all.chunks(37_000) {
        stream.write_all(piece).unwrap();
        // The next one comes when the receive has been stopped behind this one, or in front of it.
        let before = halts.load(Ordering::Relaxed);
        while halts.load(Ordering::Relaxed) == before && piece.len() == 37_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let app = running.join();
    assert!(halts.load(Ordering::Relaxed) >= 27, "stopped for each piece but the last");
    assert!(app.got.expect("filled")[..] == all[..]);
}
