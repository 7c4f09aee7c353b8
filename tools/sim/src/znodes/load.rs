//! What simulated clients ask beside locks: counters, registers, multis, numbers, ephemeral znodes, containers, znodes with a
//! time to live, and watches of every kind on all of these.

use super::asked::{Asked, Do, Op, Why};
use super::client::Client;
use super::{CONTAINERS, COUNTERS, MORTALS, PAIR, REGISTERS};
use crate::wire::Port;
use std::collections::{BTreeMap, BTreeSet};
use torc_base::prng::Prng;
use torc_net::zookeeper::Kind;

/// Counters, registers, ephemeral znodes, containers, and znodes with a time to live.
const COUNTS: u64 = 3;
const FEW: u64 = 4;
/// Numbered znodes of one client, at most.
const NUMBERED: usize = 6;

/// See the module.
#[derive(Debug, Default)]
pub struct Load {
    /// A counter that was read, to be set to one more.
    count: Option<(String, i32, i64)>,
    /// Versions that were seen last.
    versions: BTreeMap<String, i32>,
    /// Numbered znodes that it made.
    numbered: Vec<String>,
    /// What it has found of children, when it reads everything.
    pub found: BTreeSet<String>,
}

impl Load {
    pub fn disconnected(&mut self) {
        self.count = None;
        self.found.clear();
    }

    pub fn session_over(&mut self) {
        self.numbered.clear();
    }

    pub fn count(&mut self, path: &str, version: i32, count: i64) {
        self.count = Some((path.to_string(), version, count));
    }

    pub fn knows(&mut self, path: &str, version: i32) {
        self.versions.insert(path.to_string(), version);
    }

    pub fn listed(&mut self, path: &str, names: &BTreeSet<String>) {
        self.found.extend(names.iter().map(|name| format!("{path}/{name}")));
    }

    pub fn changed(&mut self, ops: &[Op], made: Option<&str>) {
        if let ([Op { what: Do::Make { sequential: true, .. }, path, .. }], Some(made)) = (ops, made)
            && path.starts_with("/t/q/")
        {
            self.numbered.push(made.to_string());
        }
    }

    fn version(&self, path: &str, rng: &mut Prng) -> i32 {
        self.versions.get(path).copied().filter(|_| rng.chance(1, 2)).unwrap_or(-1)
    }
}

fn one_of(top: &str, count: u64, rng: &mut Prng) -> String {
    format!("{top}/{}", rng.below(count))
}

impl Client {
    /// Asks something.
    pub(super) fn turn_load(&mut self, port: &mut dyn Port) {
        if let Some((path, version, count)) = self.load.count.take() {
            return self.change(port, vec![Op::set(&path, version, count + 1)], false, Why::Load);
        }
        let rng = &mut self.rng;
        match rng.below(32) {
            0..=5 => {
                let (path, watch) = (one_of(COUNTERS, COUNTS, rng), rng.chance(1, 4));
                self.ask(port, Asked::Get { path, watch, why: Why::Count });
            }
            6..=12 => self.turn_register(port),
            13..=15 => {
                let ops = self.some_multi();
                self.change(port, ops, true, Why::Load);
            }
            16..=18 => self.turn_numbered(port),
            19..=21 => {
                let (path, is_new) = (one_of("/t/e", FEW, rng), rng.chance(2, 3));
                let op = if is_new { Op::make(&path, Kind::Ephemeral) } else { Op::delete(&path, -1) };
                self.change(port, vec![op], false, Why::Load);
            }
            22 | 23 => {
                let op = self.some_mortal();
                self.change(port, vec![op], false, Why::Load);
            }
            24 | 25 => {
                self.sync(port);
                let path = one_of(COUNTERS, COUNTS, &mut self.rng);
                self.ask(port, Asked::Get { path, watch: false, why: Why::Load });
            }
            26..=28 => {
                let path = [REGISTERS, "/t/e", "/t/q", CONTAINERS][rng.below(4) as usize].to_string();
                let watch = rng.chance(1, 2);
                self.ask(port, Asked::List { path, watch, why: Why::Load });
            }
            29 => {
                let (path, recursive) =
                    [("/t/r", true), ("/t/e", true), ("/t/c/0", false), ("/t/q", false), ("/t/r/1", false)]
                        [rng.below(5) as usize];
                if !self.watching.has_staying(path, recursive) && self.waiting.is_empty() {
                    self.ask(port, Asked::Stay { path: path.to_string(), recursive });
                }
            }
            _ => {
                let (top, count) =
                    [("/t/e", FEW), (REGISTERS, FEW), (CONTAINERS, 2), (MORTALS, FEW)][rng.below(4) as usize];
                let (path, watch) = (one_of(top, count, rng), rng.chance(1, 2));
                self.ask(port, Asked::Exists { path, watch, why: Why::Load });
            }
        }
    }

    fn turn_register(&mut self, port: &mut dyn Port) {
        let path = one_of(REGISTERS, FEW, &mut self.rng);
        let version = self.load.version(&path, &mut self.rng);
        let op = match self.rng.below(8) {
            0 | 1 => Op::make(&path, Kind::Persistent),
            2 => Op::delete(&path, version),
            3 | 4 => Op::set(&path, version, 0),
            _ => {
                let watch = self.rng.chance(1, 2);
                return self.ask(port, Asked::Get { path, watch, why: Why::Load });
            }
        };
        self.change(port, vec![op], false, Why::Load);
    }

    fn turn_numbered(&mut self, port: &mut dyn Port) {
        let many = self.load.numbered.len() >= NUMBERED;
        let op = match self.rng.below(3) {
            0 if !many => Op::numbered("/t/q/p-", Kind::Persistent),
            1 if !many => Op::numbered("/t/q/e-", Kind::Ephemeral),
            _ => match self.load.numbered.pop() {
                Some(path) => Op::delete(&path, -1),
                None => return,
            },
        };
        self.change(port, vec![op], false, Why::Load);
    }

    /// All of these or none.
    fn some_multi(&mut self) -> Vec<Op> {
        let mut ops: Vec<Op> = PAIR.iter().map(|path| Op::set(path, -1, 0)).collect();
        let rng = &mut self.rng;
        if rng.chance(1, 2) {
            let path = one_of(REGISTERS, FEW, rng);
            ops.push(match rng.below(4) {
                0 => Op::make(&path, Kind::Persistent),
                1 => Op::delete(&path, -1),
                2 => Op::set(&path, self.load.version(&path, rng), 0),
                _ => Op::check(&path, self.load.version(&path, rng)),
            });
        }
        if rng.chance(1, 4) {
            ops.push(Op::make(&one_of("/t/e", FEW, rng), Kind::Ephemeral));
        }
        if rng.chance(1, 2) {
            ops.rotate_left(1);
        }
        ops
    }

    /// A container or a child of one, or a znode with a time to live.
    fn some_mortal(&mut self) -> Op {
        let rng = &mut self.rng;
        let container = one_of(CONTAINERS, 2, rng);
        match rng.below(6) {
            0 | 1 => Op::make(&container, Kind::Container),
            2 => Op::make(&format!("{container}/child"), Kind::Persistent),
            3 => Op::delete(&format!("{container}/child"), -1),
            _ => {
                let ttl_ms = rng.between(200, 3_000) as i64;
                let what = Do::Make { kind: Kind::Ttl, sequential: false, ttl_ms };
                Op::make_as(&one_of(MORTALS, FEW, rng), what)
            }
        }
    }
}
