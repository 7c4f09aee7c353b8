//! Mail between shards, timers, and stopping.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use support::{Running, eventually};
use torc_base::buf::Buf;
use torc_base::ids::ShardId;
use torc_base::io::{App, Event, Op};
use torc_base::time::{Mono, Now};
use torc_reactor::mail::mesh;
use torc_reactor::places::Places;
use torc_reactor::probe::{Features, probe};

/// Sends `rounds` numbered letters to every shard, a few per turn, and checks the order of those that come.
struct Writer {
    me: u16,
    shards: u16,
    rounds: u64,
    sent: u64,
    got: BTreeMap<u16, u64>,
    now: Mono,
}

impl App for Writer {
    type Mail = u64;

    fn step(&mut self, now: Now, event: Event<u64>, ops: &mut Vec<Op<u64>>) {
        self.now = now.mono;
        match event {
            Event::Mail { from, mail } => {
                let last = self.got.entry(from.get()).or_default();
                assert_eq!(mail, *last + 1, "shard {} got mail of {from} out of order", self.me);
                *last = mail;
            }
            Event::Turn => {
                // Uneven bursts, so that receivers fall asleep in between.
                for _ in 0..(self.sent + u64::from(self.me)) % 7 + 1 {
                    if self.sent < self.rounds {
                        self.sent += 1;
                        ops.extend((0..self.shards).map(|to| Op::Mail { to: ShardId(to), mail: self.sent }));
                    }
                }
                if self.got.len() == usize::from(self.shards) && self.got.values().all(|&n| n == self.rounds) {
                    ops.push(Op::Exit);
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        (self.sent < self.rounds).then_some(self.now)
    }

    fn busy(&self) -> bool {
        self.me == 1
    }
}

#[test]
fn mail_of_each_pair_arrives_in_order_and_wakes_sleepers() {
    for shards in [1, 2, 4] {
        let rounds = 20_000;
        let running: Vec<_> = (0..)
            .zip(mesh(shards).unwrap())
            .map(|(me, post)| {
                let app = Writer { me, shards, rounds, sent: 0, got: BTreeMap::new(), now: Mono(0) };
                Running::start_shard(app, post, me, |settings| settings.spin_us = 20)
            })
            .collect();
        for shard in running {
            let app = shard.join();
            assert_eq!(app.got.values().sum::<u64>(), rounds * u64::from(shards));
        }
    }
}

/// Sends each letter back, to the power of ten thousand.
struct Player {
    opens: bool,
    heard: u64,
}

impl App for Player {
    type Mail = u64;

    fn step(&mut self, _: Now, event: Event<u64>, ops: &mut Vec<Op<u64>>) {
        let to = ShardId(u16::from(self.opens));
        match event {
            Event::Start if self.opens => ops.push(Op::Mail { to, mail: 1 }),
            Event::Mail { mail, .. } => {
                self.heard += 1;
                if mail < 10_000 {
                    ops.push(Op::Mail { to, mail: mail + 1 });
                }
                if mail >= 9_999 {
                    ops.push(Op::Exit);
                }
            }
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

/// Echoes one piece, then hands the connection to the other shard with the number of pieces so far.
#[derive(Default)]
struct Bouncer {
    me: u16,
    held: Option<Buf>,
    pieces: u64,
    adopted: u64,
    closed: u64,
}

impl App for Bouncer {
    type Mail = u64;

    fn step(&mut self, _: Now, event: Event<u64>, ops: &mut Vec<Op<u64>>) {
        match event {
            Event::Accepted { conn, .. } => ops.push(Op::Recv { conn }),
            Event::Adopted { from, conn, with } => {
                assert_eq!(from, ShardId(1 - self.me));
                self.pieces = with;
                self.adopted += 1;
                ops.push(Op::Recv { conn });
            }
            Event::Received { conn, bytes } => {
                assert!(self.held.is_none(), "the client waits for its echo");
                self.held = Some(bytes.freeze());
                ops.push(Op::Pause { conn });
            }
            Event::Paused { conn } => {
                let parts = vec![self.held.take().expect("received before the pause")];
                ops.push(Op::Send { conn, parts });
            }
            Event::Sent { conn } => {
                ops.push(Op::HandOver { conn, to: ShardId(1 - self.me), with: self.pieces + 1 });
                // Too late: the connection is another's.
                ops.push(Op::Close { conn });
            }
            Event::Eof { conn } => ops.push(Op::Close { conn }),
            Event::Closed { .. } => self.closed += 1,
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

#[test]
fn a_connection_goes_from_shard_to_shard_and_loses_nothing() {
    let places = Places::new(1, "");
    let start = |(me, post)| {
        let bouncer = Bouncer { me, ..Bouncer::default() };
        Running::start_shard(bouncer, post, me, |settings| settings.places = Arc::clone(&places))
    };
    let running: Vec<_> = (0..).zip(mesh(2).unwrap()).map(start).collect();
    let mut client = TcpStream::connect(running[0].address).unwrap();
    for n in 0..501_u32 {
        client.write_all(&n.to_be_bytes()).unwrap();
        let mut echo = [0; 4];
        client.read_exact(&mut echo).unwrap();
        assert_eq!(u32::from_be_bytes(echo), n);
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the shard that has it closes it");
    let handed: u64 = running.iter().map(|shard| shard.stats.handed_over.get()).sum();
    let apps: Vec<Bouncer> = running.into_iter().map(Running::finish).collect();
    assert_eq!((handed, apps[0].adopted, apps[1].adopted), (501, 250, 251));
    assert_eq!((apps[0].closed, apps[1].closed), (0, 1), "the end is told where the connection is");
    assert_eq!(apps[1].pieces, 501);
    assert_eq!(places.taken(), 0, "it has one place wherever it goes, and gives that back");
}

#[test]
fn a_connection_on_its_way_to_a_shard_that_is_gone_or_full_is_closed() {
    for full in [false, true] {
        let mut posts = mesh(2).unwrap();
        let (second, places) = (posts.remove(1), Places::new(1, ""));
        let first = Running::start_shard(Bouncer::default(), posts.remove(0), 0, |settings| {
            settings.places = Arc::clone(&places);
        });
        let second = Running::start_shard(Bouncer { me: 1, ..Bouncer::default() }, second, 1, |settings| {
            settings.connections_max = usize::from(!full);
        });
        let mut client = TcpStream::connect(first.address).unwrap();
        if !full {
            second.stop.stop();
            eventually("the second shard has exited", || second.is_over());
        }
        client.write_all(b"x").unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"x", "what was sent before stays sent");
        first.finish();
        second.finish();
        assert_eq!(places.taken(), 0);
    }
}

fn play(ring_messages: bool) {
    let features = Features { ring_messages, ..probe().unwrap() };
    let mut posts = mesh(2).unwrap();
    let (second, first) = (posts.remove(1), posts.remove(0));
    let first = Running::start_with(Player { opens: true, heard: 0 }, first, 0, features.clone(), |_| {});
    let second = Running::start_with(Player { opens: false, heard: 0 }, second, 1, features, |_| {});
    assert_eq!(first.join().heard + second.join().heard, 10_000);
}

#[test]
fn two_shards_that_sleep_without_a_deadline_wake_each_other_every_time() {
    play(true);
}

#[test]
fn shards_wake_each_other_without_ring_messages_too() {
    play(false);
}

/// Counts the deadlines that it was woken for, then the stops.
struct Alarm {
    next: Option<Mono>,
    rang: u32,
    early: u32,
    stops: u32,
}

impl App for Alarm {
    type Mail = ();

    fn step(&mut self, now: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        match event {
            Event::Start => self.next = Some(now.mono.plus_ms(3)),
            Event::Turn => match self.next {
                Some(at) if at <= now.mono => {
                    self.rang += 1;
                    self.next = (self.rang < 20).then(|| now.mono.plus_ms(3));
                }
                Some(_) => self.early += 1,
                None => {}
            },
            Event::Stop => {
                self.stops += 1;
                // One more turn: a second stop must not come.
                ops.push(Op::Mail { to: ShardId(0), mail: () });
            }
            Event::Mail { .. } => ops.push(Op::Exit),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        self.next
    }

    fn busy(&self) -> bool {
        false
    }
}

#[test]
fn deadlines_wake_the_loop_and_without_one_it_sleeps_until_stopped() {
    let running = Running::start(Alarm { next: None, rang: 0, early: 0, stops: 0 }, |_| {});
    let stats = std::sync::Arc::clone(&running.stats);
    eventually("the loop has slept for twenty alarms", || stats.sleeps.get() >= 20);
    let stop = running.stop.clone();
    eventually("it sleeps for good", || {
        let before = stats.turns.get();
        std::thread::sleep(std::time::Duration::from_millis(30));
        stats.turns.get() == before
    });
    stop.stop();
    stop.stop();
    let alarm = running.join();
    assert_eq!((alarm.rang, alarm.stops), (20, 1));
    assert!(alarm.early <= 22, "{} turns before their time: the wait returns too early", alarm.early);
}
