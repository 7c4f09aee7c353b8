//! What lies between nodes: connections that one shard makes to another node, and what befalls them.
//!
//! As TCP does it: bytes that are held up arrive later and in order, or the connection breaks when they have not been
//! acknowledged for as long as its kernel is patient. So nothing is lost or doubled inside a connection; what is lost is
//! the connection, and with it whatever was under way.

use crate::net::{Appetite, Crossing, Far, Manner, Net, Step};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use torc_base::ids::ListenerId;
use torc_base::io::ConnectError;

/// What can be reached of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// Its process listens.
    Serving,
    /// Its process is gone; its kernel says so.
    Up,
    /// Nothing answers.
    Off,
}

/// The state of the network between nodes.
pub struct Cables {
    pub(crate) machines: Vec<Machine>,
    /// Ways that carry nothing, from and to, and since when.
    cuts: BTreeMap<(usize, usize), u64>,
    /// Ways that take longer, by so many nanoseconds at most.
    slow: BTreeMap<(usize, usize), u64>,
    /// Connections made, and those that could not be made.
    pub made: u64,
    /// The same.
    pub failed: u64,
    /// Connections that broke because nothing was acknowledged.
    pub expired: u64,
}

/// The port on which nodes listen for each other.
pub const PEER_PORT: u16 = 9192;
/// Their listener for each other, beside the one for clients.
pub const PEER_LISTENER: ListenerId = ListenerId(1);

/// The address of a node.
pub fn address(node: usize) -> SocketAddr {
    SocketAddr::new(ip(node), PEER_PORT)
}

fn ip(node: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, node as u8 + 1))
}

fn node_of(address: SocketAddr) -> Option<usize> {
    let IpAddr::V4(v4) = address.ip() else { return None };
    let [10, 0, 0, host] = v4.octets() else { return None };
    (address.port() == PEER_PORT && host > 0).then(|| usize::from(host) - 1)
}

impl Cables {
    pub(crate) fn new(nodes: usize) -> Cables {
        let machines = vec![Machine::Off; nodes];
        Cables { machines, cuts: BTreeMap::new(), slow: BTreeMap::new(), made: 0, failed: 0, expired: 0 }
    }

    /// From now on nothing that `from` sends comes to `to`.
    pub fn cut(&mut self, now: u64, from: usize, to: usize) {
        self.cuts.entry((from, to)).or_insert(now);
    }

    /// What `from` sends to `to` takes up to `ns` longer; 0: as usual.
    pub fn slow_down(&mut self, from: usize, to: usize, ns: u64) {
        self.slow.insert((from, to), ns);
    }

    /// True if nothing comes through from `from` to `to`.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.contains_key(&(from, to))
    }

    /// Since when something that `from` sends to `to` is not acknowledged; `None`: it is.
    fn silent_since(&self, from: usize, to: usize) -> Option<u64> {
        let there = self.cuts.get(&(from, to));
        there.into_iter().chain(self.cuts.get(&(to, from))).min().copied()
    }

    fn delay(&self, from: usize, to: usize) -> u64 {
        self.slow.get(&(from, to)).copied().unwrap_or(0)
    }
}

impl Net {
    /// A shard calls another node (`Op::Connect`). Its kernel waits `patience` nanoseconds for each acknowledgement.
    pub fn call(&mut self, now: u64, shard: usize, call: u64, to: SocketAddr, patience: u64) {
        let from = self.nodes[shard];
        let manner = Manner { piece: 1 << 20, delay: 60_000, stalls: 1, appetite: Appetite::All };
        let caller = self.link(now, shard, manner, (PEER_LISTENER, address(from)), Far::Nobody);
        let back = now + self.rng.between(2_000, 200_000);
        let node = node_of(to).filter(|node| *node < self.cables.machines.len());
        let refused = match node {
            None => Some((back, ConnectError::NoRoute)),
            Some(node) if self.cables.silent_since(from, node).is_some() => {
                Some((now + patience, ConnectError::TimedOut))
            }
            Some(node) => match self.cables.machines[node] {
                Machine::Serving => None,
                Machine::Up => Some((back, ConnectError::Refused)),
                Machine::Off => Some((now + patience, ConnectError::TimedOut)),
            },
        };
        if let Some((at, error)) = refused {
            self.cables.failed += 1;
            self.wishes.push((at, caller, Step::Unreachable(call, error)));
            return;
        }
        self.cables.made += 1;
        let shards: Vec<usize> = (0..self.nodes.len()).filter(|shard| Some(self.nodes[*shard]) == node).collect();
        let callee = shards[self.rng.below(shards.len() as u64) as usize];
        let called = self.link(now, callee, manner, (PEER_LISTENER, address(from)), Far::Peer(caller));
        for (id, opposite) in [(caller, node), (called, Some(from))] {
            let link = self.links.get_mut(&id).expect("just made");
            link.patience = patience;
            link.opposite = opposite;
        }
        let end = self.links.get_mut(&caller).expect("just made");
        end.far = Far::Peer(called);
        let accepted = now + self.rng.between(1_000, 100_000);
        self.wishes.push((accepted, called, Step::Accept));
        // Nothing that the callee says is there before the caller knows that it was taken.
        self.links.get_mut(&called).expect("just made").last_down = accepted.max(back);
        self.links.get_mut(&caller).expect("just made").last_down = accepted.max(back);
        self.wishes.push((accepted.max(back), caller, Step::Connected(call)));
    }

    /// Ways carry again what `from` sends to `to`, first what was held up.
    pub fn mend(&mut self, now: u64, from: usize, to: usize) {
        self.cables.cuts.remove(&(from, to));
        let of_way = |net: &Net, id: u64| net.ends(id).is_some_and(|ends| ends == (from, to));
        let ids: Vec<u64> = self.links.keys().copied().filter(|id| of_way(self, *id)).collect();
        ids.into_iter().for_each(|id| self.release(now, id));
    }

    /// The nodes of a connection's two ends, if both are there.
    fn ends(&self, id: u64) -> Option<(usize, usize)> {
        let link = self.links.get(&id)?;
        let Far::Peer(other) = link.far else { return None };
        Some((self.nodes[link.shard], self.nodes[self.links.get(&other)?.shard]))
    }

    /// Something that `id` has sent comes to the end of the way, or is held up on it.
    pub(crate) fn cross(&mut self, now: u64, id: u64, crossing: Crossing) {
        let Some((from, to)) = self.ends(id) else {
            return self.answer_for_nobody(now, id);
        };
        let delay = self.cables.delay(from, to);
        let silent = self.cables.silent_since(from, to).is_some();
        let link = self.links.get_mut(&id).expect("has ends");
        if silent && !link.expiring && !link.gone {
            link.expiring = true;
            self.wishes.push((now.saturating_add(link.patience), id, Step::Expire));
        }
        if self.cables.is_cut(from, to) || !link.held.is_empty() {
            link.held.push_back(crossing);
        } else if delay > 0 && self.rng.chance(1, 2) {
            // Once more on its way, behind nothing that was sent later: those are held behind it.
            let at = now + self.rng.between(1, delay);
            link.held.push_back(crossing);
            self.wishes.push((at, id, Step::Release));
        } else {
            self.arrive(now, id, crossing);
        }
    }

    /// What was held up on its way goes on, unless the way is cut.
    pub(crate) fn release(&mut self, now: u64, id: u64) {
        let Some((from, to)) = self.ends(id) else { return };
        if self.cables.is_cut(from, to) {
            return;
        }
        let held = std::mem::take(&mut self.links.get_mut(&id).expect("has ends").held);
        held.into_iter().for_each(|crossing| self.arrive(now, id, crossing));
    }

    fn arrive(&mut self, now: u64, id: u64, crossing: Crossing) {
        let Some(Far::Peer(other)) = self.links.get(&id).map(|link| link.far) else { return };
        let step = match crossing {
            Crossing::Bytes(bytes) => Step::Arrive(bytes),
            end => {
                self.part(id);
                if matches!(end, Crossing::Fin) { Step::ArriveEof } else { Step::ArriveReset }
            }
        };
        // Now, and not as a step of its own: those of one moment come in any order.
        self.run(now, other, step);
    }

    /// The end of what `id` sends has come through: its end of the connection knows nobody any more.
    fn part(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.far = Far::Nobody;
        if link.told {
            self.links.remove(&id);
        }
    }

    /// Sent to an end that is gone: its kernel says so, if there is one.
    fn answer_for_nobody(&mut self, now: u64, id: u64) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.gone {
            return self.part(id);
        }
        let off = link.opposite.is_some_and(|node| self.cables.machines[node] == Machine::Off);
        let wait = if off { link.patience } else { 0 };
        if !std::mem::replace(&mut link.expiring, true) {
            self.wishes.push((now.saturating_add(wait), id, Step::Expire));
        }
    }

    /// Breaks a connection whose bytes have not been acknowledged for too long.
    pub(crate) fn expire(&mut self, now: u64, id: u64) {
        let ends = self.ends(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        link.expiring = false;
        let patience = link.patience;
        let since = ends.map(|(from, to)| self.cables.silent_since(from, to));
        match since {
            // It got through meanwhile.
            Some(None) => return,
            Some(Some(since)) if now - since < patience => {
                self.links.get_mut(&id).expect("found above").expiring = true;
                self.wishes.push((since.saturating_add(patience), id, Step::Expire));
                return;
            }
            Some(Some(_)) | None => {}
        }
        self.cables.expired += 1;
        self.links.get_mut(&id).expect("found above").broken = true;
        self.pump_at(id, now);
    }
}
