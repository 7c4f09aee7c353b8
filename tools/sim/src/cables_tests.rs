use crate::cables::address;
use crate::disk::{Disk, Speed};
use crate::net::Net;
use crate::trail::Trail;
use crate::world::{MS, World};
use std::collections::BTreeMap;
use torc_base::buf::{Buf, Pool};
use torc_base::ids::ConnId;
use torc_base::io::{App, ConnectError, Event, Op};
use torc_base::limits::RECV_BUF_BYTES;
use torc_base::prng::Prng;
use torc_base::time::{Mono, Now};

const PATIENCE_MS: u32 = 200;
/// What one says to the other is one letter after the other, so that any that is lost or doubled shows.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// Calls all nodes before it, again and again; says a letter every 5 ms on each connection, whoever made it.
struct Gossip {
    node: usize,
    conns: BTreeMap<ConnId, Talk>,
    /// When to call whom again.
    calls: BTreeMap<usize, Mono>,
    next: Mono,
    /// Letters heard, and connections that were lost.
    heard: u64,
    lost: u64,
    errors: Vec<ConnectError>,
}

#[derive(Default)]
struct Talk {
    said: usize,
    heard: usize,
    sending: bool,
    with: Option<usize>,
}

impl Gossip {
    fn new(node: usize) -> Gossip {
        Gossip {
            node,
            conns: BTreeMap::new(),
            calls: (0..node).map(|other| (other, Mono(0))).collect(),
            next: Mono(0),
            heard: 0,
            lost: 0,
            errors: Vec::new(),
        }
    }

    fn open(&mut self, conn: ConnId, with: Option<usize>, ops: &mut Vec<Op<()>>) {
        self.conns.insert(conn, Talk { with, ..Talk::default() });
        ops.push(Op::Recv { conn });
    }

    fn turn(&mut self, now: Mono, ops: &mut Vec<Op<()>>) {
        if now < self.next {
            return;
        }
        self.next = now.plus_ms(5);
        let due: Vec<usize> = self.calls.iter().filter(|(_, at)| **at <= now).map(|(node, _)| *node).collect();
        for node in due {
            self.calls.remove(&node);
            ops.push(Op::Connect { call: node as u64, to: address(node), patience_ms: PATIENCE_MS });
        }
        for (&conn, talk) in self.conns.iter_mut().filter(|(_, talk)| !talk.sending) {
            talk.sending = true;
            let letter = LETTERS[talk.said % LETTERS.len()];
            talk.said += 1;
            ops.push(Op::Send { conn, parts: vec![Buf::copy_of(&[letter])] });
        }
    }
}

impl App for Gossip {
    type Mail = ();

    fn step(&mut self, now: Now, event: Event<()>, ops: &mut Vec<Op<()>>) {
        match event {
            Event::Accepted { conn, .. } => self.open(conn, None, ops),
            Event::Connected { call, conn } => self.open(conn, Some(call as usize), ops),
            Event::Unreachable { call, error } => {
                self.errors.push(error);
                self.calls.insert(call as usize, now.mono.plus_ms(20));
            }
            Event::Received { conn, bytes } => {
                let talk = self.conns.get_mut(&conn).expect("open");
                for byte in bytes.iter() {
                    assert_eq!(*byte, LETTERS[talk.heard % LETTERS.len()], "node {}: in order", self.node);
                    talk.heard += 1;
                    self.heard += 1;
                }
            }
            Event::Starved { conn } => ops.push(Op::Recv { conn }),
            Event::Sent { conn } => self.conns.get_mut(&conn).expect("open").sending = false,
            Event::Eof { conn } => ops.push(Op::Close { conn }),
            Event::Closed { conn } => {
                let talk = self.conns.remove(&conn).expect("open");
                self.lost += 1;
                self.calls.extend(talk.with.map(|node| (node, now.mono.plus_ms(20))));
            }
            Event::Turn => self.turn(now.mono, ops),
            Event::Stop => ops.push(Op::Exit),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Mono> {
        Some(self.next)
    }

    fn busy(&self) -> bool {
        false
    }
}

/// Nodes with one shard each, all of them running.
fn cluster(seed: u64, nodes: usize) -> World<Gossip> {
    let mut rng = Prng::new(seed);
    let speed = Speed { least: 1, most: 10, per_kib: 0 };
    let disks = (0..nodes).map(|_| Disk::new(rng.fork(), 1 << 20, speed)).collect();
    let pools = (0..nodes).map(|_| vec![Pool::new(64 * RECV_BUF_BYTES, 0)]).collect();
    let net = Net::of_nodes(rng.fork(), pools);
    let mut world = World::new(rng.fork(), disks, net, Trail::default());
    (0..nodes).for_each(|node| world.boot_node(node, |_| Gossip::new(node)));
    world
}

fn pass(world: &mut World<Gossip>, ms: u64) {
    let until = world.now() + ms * MS;
    world.timer(ms * MS, 0);
    while world.now() < until {
        world.step().unwrap().expect("gossip never ends");
    }
}

fn heard(world: &World<Gossip>, node: usize) -> u64 {
    world.app(node).expect("runs").heard
}

fn lost(world: &World<Gossip>, node: usize) -> u64 {
    world.app(node).expect("runs").lost
}

#[test]
fn nodes_find_each_other_and_speak_in_order() {
    for seed in 0..20 {
        let mut world = cluster(seed, 3);
        pass(&mut world, 1_000);
        for node in 0..3 {
            let gossip = world.app(node).unwrap();
            assert_eq!((gossip.conns.len(), gossip.lost), (2, 0), "seed {seed}");
            assert!(gossip.heard > 200, "seed {seed}: {}", gossip.heard);
        }
        assert_eq!(world.net.cables.made, 3);
    }
}

#[test]
fn a_short_cut_in_one_direction_only_holds_up_what_goes_there() {
    for seed in 0..20 {
        let mut world = cluster(seed, 2);
        pass(&mut world, 300);
        world.cut(0, 1);
        pass(&mut world, 2);
        let before = (heard(&world, 0), heard(&world, 1));
        pass(&mut world, 100);
        assert_eq!(heard(&world, 1), before.1, "seed {seed}: nothing comes through");
        assert!(heard(&world, 0) > before.0 + 10, "seed {seed}: the other way it does");
        world.mend(0, 1);
        pass(&mut world, 100);
        assert!(heard(&world, 1) > before.1 + 30, "seed {seed}: what was held up comes, too");
        assert_eq!((lost(&world, 0), lost(&world, 1)), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_long_cut_breaks_connections_and_nobody_can_call_until_it_is_mended() {
    for (seed, both) in (0..20).map(|seed| (seed, seed % 2 == 0)) {
        let mut world = cluster(seed, 2);
        pass(&mut world, 300);
        world.cut(0, 1);
        if both {
            world.cut(1, 0);
        }
        pass(&mut world, 1_000);
        // The caller learns it first, as nothing that it says is acknowledged either way.
        assert_eq!(lost(&world, 1), 1, "seed {seed}");
        let errors = &world.app(1).unwrap().errors;
        assert!(errors.len() > 1 && errors.iter().all(|error| *error == ConnectError::TimedOut), "seed {seed}");
        world.mend(0, 1);
        world.mend(1, 0);
        pass(&mut world, 1_000);
        assert_eq!((lost(&world, 0), lost(&world, 1)), (1, 1), "seed {seed}");
        assert_eq!(world.app(0).unwrap().conns.len(), 1, "seed {seed}: they have found each other again");
        assert_eq!(world.net.open(), 2, "seed {seed}: nothing of the old connection is left");
    }
}

#[test]
fn a_dead_process_is_known_at_once_and_a_dead_machine_by_its_silence() {
    for seed in 0..20 {
        let mut world = cluster(seed, 2);
        pass(&mut world, 300);
        world.kill_node(0);
        pass(&mut world, 50);
        assert_eq!(lost(&world, 1), 1, "seed {seed}");
        pass(&mut world, 100);
        assert!(world.app(1).unwrap().errors.iter().all(|error| *error == ConnectError::Refused), "seed {seed}");
        world.boot_node(0, |_| Gossip::new(0));
        pass(&mut world, 300);
        assert!(heard(&world, 0) > 20, "seed {seed}");

        world.cut_power_of(0);
        pass(&mut world, 100);
        assert_eq!(lost(&world, 1), 1, "seed {seed}: nobody has said anything");
        pass(&mut world, 400);
        assert_eq!(lost(&world, 1), 2, "seed {seed}");
        assert_eq!(world.app(1).unwrap().errors.last(), Some(&ConnectError::TimedOut), "seed {seed}");
        world.boot_node(0, |_| Gossip::new(0));
        pass(&mut world, 500);
        assert!(heard(&world, 0) > 20, "seed {seed}");
    }
}

#[test]
fn a_machine_that_was_off_for_a_moment_knows_nothing_of_its_connections() {
    for seed in 0..20 {
        let mut world = cluster(seed, 2);
        pass(&mut world, 300);
        world.cut_power_of(0);
        world.boot_node(0, |_| Gossip::new(0));
        pass(&mut world, 100);
        assert_eq!(lost(&world, 1), 1, "seed {seed}: it says so when it is spoken to");
    }
}

#[test]
fn a_paused_process_keeps_its_connections_and_catches_up() {
    for seed in 0..20 {
        let mut world = cluster(seed, 2);
        pass(&mut world, 300);
        let before = heard(&world, 0);
        world.pause_node(0, 1_000 * MS);
        pass(&mut world, 900);
        assert_eq!(heard(&world, 0), before, "seed {seed}");
        pass(&mut world, 300);
        assert!(heard(&world, 0) > before + 150, "seed {seed}");
        assert_eq!((lost(&world, 0), lost(&world, 1)), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_slow_way_keeps_the_order() {
    for seed in 0..20 {
        let mut world = cluster(seed, 3);
        world.net.cables.slow_down(0, 1, 50 * MS);
        world.net.cables.slow_down(1, 0, 10 * MS);
        pass(&mut world, 1_000);
        assert!(heard(&world, 1) > 150, "seed {seed}: {}", heard(&world, 1));
        assert!((0..3).all(|node| lost(&world, node) == 0), "seed {seed}");
    }
}

/// Everything at once; in the end all speak with all.
#[test]
fn whatever_happens_to_the_network_it_heals() {
    for seed in 0..60 {
        let (mut world, mut rng) = (cluster(seed, 4), Prng::new(seed));
        for _ in 0..40 {
            let (a, b) = (rng.below(4) as usize, rng.below(4) as usize);
            match rng.below(8) {
                0 | 1 => world.cut(a, b),
                2 | 3 => world.mend(a, b),
                4 => world.net.cables.slow_down(a, b, rng.below(30 * MS)),
                5 => world.pause_node(a, rng.below(300) * MS),
                _ if !world.runs(a) => world.boot_node(a, |_| Gossip::new(a)),
                6 => world.kill_node(a),
                _ => world.cut_power_of(a),
            }
            let ms = rng.below(150);
            pass(&mut world, ms.max(1));
        }
        for a in 0..4 {
            (0..4).for_each(|b| world.mend(a, b));
            if !world.runs(a) {
                world.boot_node(a, |_| Gossip::new(a));
            }
        }
        pass(&mut world, 2_000);
        for node in 0..4 {
            let gossip = world.app(node).unwrap();
            assert_eq!(gossip.conns.len(), 3, "seed {seed}: node {node}");
            let letters = gossip.heard;
            pass(&mut world, 200);
            assert!(heard(&world, node) > letters + 60, "seed {seed}: node {node}");
        }
        assert_eq!(world.net.open(), 12, "seed {seed}");
    }
}
