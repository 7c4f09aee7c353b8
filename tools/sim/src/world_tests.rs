use crate::disk::{Disk, Speed};
use crate::net::{Appetite, Manner, Net};
use crate::trail::Trail;
use crate::violation::Rule;
use crate::world::{Happening, World};
use std::collections::BTreeMap;
use torc_base::buf::{Buf, Pool};
use torc_base::ids::{ConnId, ShardId};
use torc_base::io::{App, Event, Op};
use torc_base::limits::RECV_BUF_BYTES;
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now};

/// Sends back what it gets, over the other shard; pauses after each receive, and takes what follows by RecvExact.
#[derive(Default)]
struct Echo {
    shard: u16,
    conns: BTreeMap<ConnId, Conn>,
    /// Breaks the contract: arms a receive twice.
    rude: bool,
}

#[derive(Default)]
struct Conn {
    unsent: Vec<u8>,
    sending: bool,
    eof: bool,
}

impl Echo {
    fn pump(&mut self, conn: ConnId, ops: &mut Vec<Op<(u64, Vec<u8>)>>) {
        let state = self.conns.get_mut(&conn).unwrap();
        if state.sending {
            return;
        }
        if state.unsent.is_empty() {
            if state.eof {
                ops.push(Op::Close { conn });
                self.conns.remove(&conn);
            }
            return;
        }
        state.sending = true;
        let bytes = std::mem::take(&mut state.unsent);
        let (a, b) = bytes.split_at(bytes.len() / 2);
        ops.push(Op::Send { conn, parts: vec![Buf::copy_of(a), Buf::copy_of(b)] });
    }

    fn via_other(&self, conn: ConnId, bytes: &[u8], ops: &mut Vec<Op<(u64, Vec<u8>)>>) {
        ops.push(Op::Mail { to: ShardId(1 - self.shard), mail: (conn.0, bytes.to_vec()) });
    }
}

impl App for Echo {
    /// (connection, bytes); a connection of the receiver comes back, any other is returned to its sender.
    type Mail = (u64, Vec<u8>);

    fn step(&mut self, _now: Now, event: Event<Self::Mail>, ops: &mut Vec<Op<Self::Mail>>) {
        match event {
            Event::Accepted { conn, .. } => {
                self.conns.insert(conn, Conn::default());
                ops.push(Op::Recv { conn });
                if self.rude {
                    ops.push(Op::Recv { conn });
                }
            }
            Event::Received { conn, bytes } => {
                self.via_other(conn, &bytes, ops);
                if bytes.len().is_multiple_of(3) {
                    ops.push(Op::Pause { conn });
                }
            }
            Event::Paused { conn } | Event::Starved { conn } => {
                if let Some(bytes) = Pool::new(1 << 20, 0).take(1) {
                    ops.push(Op::RecvExact { conn, bytes, from: 0 });
                }
            }
            Event::Filled { conn, bytes } => {
                self.via_other(conn, &bytes, ops);
                ops.push(Op::Recv { conn });
            }
            Event::Mail { from, mail } if self.conns.contains_key(&ConnId(mail.0)) => {
                assert_eq!(from, ShardId(1 - self.shard));
                let conn = ConnId(mail.0);
                self.conns.get_mut(&conn).unwrap().unsent.extend(mail.1);
                self.pump(conn, ops);
            }
            Event::Mail { from, mail } => ops.push(Op::Mail { to: from, mail }),
            Event::Sent { conn } => {
                self.conns.get_mut(&conn).unwrap().sending = false;
                self.pump(conn, ops);
            }
            Event::Eof { conn } => ops.push(Op::Mail { to: ShardId(self.shard), mail: (conn.0, Vec::new()) }),
            Event::Closed { conn } => {
                self.conns.remove(&conn);
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

fn world(seed: u64) -> (World<Echo>, Trail) {
    let mut rng = Prng::new(seed);
    let speed = Speed { least: 1, most: 10, per_kib: 0 };
    let disks = (0..2).map(|_| Disk::new(rng.fork(), 1 << 20, speed)).collect();
    let pools = (0..2).map(|_| Pool::new(4 * RECV_BUF_BYTES, 0)).collect();
    let mut net = Net::new(rng.fork(), pools);
    net.starvation = 100;
    let trail = Trail::default();
    (World::new(rng.fork(), disks, net, trail.clone()), trail)
}

/// Two clients send `bytes` bytes each and compare what comes back; returns the trail's digest.
fn echo(seed: u64, bytes: usize, rude: bool) -> Result<u64, crate::violation::Violation> {
    let (mut world, trail) = world(seed);
    world.boot(|shard| Echo { shard: shard as u16, rude, ..Echo::default() });
    let mut rng = Prng::new(seed);
    let mut sent = vec![0; bytes];
    rng.fill(&mut sent);
    let mut back: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for shard in 0..2 {
        let manner =
            Manner { piece: [1, 100, 20_000][seed as usize % 3], delay: 10_000, stalls: 4, appetite: Appetite::All };
        let link = world.connect(shard, manner).unwrap();
        for piece in sent.chunks(bytes / 3 + 1) {
            world.send(link, piece);
        }
        back.insert(link, Vec::new());
    }
    while back.values().any(|b| b.len() < bytes) {
        match world.step()? {
            Some(Happening::Bytes { link, bytes }) => back.get_mut(&link).unwrap().extend(bytes),
            Some(_) => {}
            None => panic!("seed {seed}: nothing happens any more, and the bytes are not back"),
        }
    }
    assert!(back.values().all(|b| *b == sent), "seed {seed}: other bytes came back");
    Ok(trail.digest())
}

#[test]
fn bytes_go_through_in_order_however_they_are_cut() {
    for seed in 0..30 {
        echo(seed, 30_000, false).unwrap();
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..5 {
        let first = echo(seed, 5_000, false).unwrap();
        assert_eq!(first, echo(seed, 5_000, false).unwrap());
        assert_ne!(first, echo(seed + 100, 5_000, false).unwrap());
    }
}

#[test]
fn a_shard_that_breaks_the_contract_is_caught() {
    let violation = echo(1, 100, true).unwrap_err();
    assert_eq!(violation.rule, Rule::Contract);
}

#[test]
fn clients_learn_that_the_server_died_and_nothing_of_it_is_left() {
    let (mut world, _) = world(7);
    world.boot(|shard| Echo { shard: shard as u16, ..Echo::default() });
    let manner = Manner { piece: 100, delay: 10_000, stalls: 0, appetite: Appetite::All };
    let link = world.connect(0, manner).unwrap();
    world.send(link, b"hello");
    for _ in 0..3 {
        world.step().unwrap();
    }
    world.kill();
    assert!(world.connect(0, manner).is_none(), "nobody listens");
    let mut lost = false;
    while let Some(happening) = world.step().unwrap() {
        lost |= matches!(happening, Happening::Lost { link: l } if l == link);
    }
    assert!(lost);
    assert_eq!(world.net.open(), 0);
}
