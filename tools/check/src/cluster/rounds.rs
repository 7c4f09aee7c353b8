//! What happens to nodes, once each, and how long clients wait for that.

use super::load::Load;
use super::net::Cut;
use super::nodes::Nodes;
use super::{Kind, RECOVERY_MAX};
use crate::failure::{Result, wrong};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::prng::Prng;

/// It happens at a moment of this span after the last one is over.
const LOAD_MS: (u64, u64) = (100, 600);
/// A node that is gone stays away for so long, so that what clients wait for is an election and not its return.
const AWAY: Duration = Duration::from_millis(2500);

/// One of them.
pub struct Round {
    pub kind: Kind,
    /// Rounds of this kind before it.
    pub before: usize,
    /// How long a paused node is stopped.
    pub pause: Duration,
}

impl Round {
    /// Returns how long clients waited: those whose leader was hit, and the others. When it returns, all is as before.
    pub fn run(&self, nodes: &mut Nodes, load: &Load, prng: &mut Prng) -> Result<(Vec<Duration>, Vec<Duration>)> {
        thread::sleep(Duration::from_millis(prng.between(LOAD_MS.0, LOAD_MS.1)));
        load.check()?;
        let leaders = nodes.leaders(&load.topic)?;
        let running = nodes.running();
        let node = match self.kind {
            Kind::Leader => {
                let led: Vec<u32> = leaders.values().filter_map(|leader| u32::try_from(*leader).ok()).collect();
                let known: Vec<u32> = led.into_iter().filter(|leader| running.contains(leader)).collect();
                if known.is_empty() {
                    return wrong("no partition has a leader that runs");
                }
                known[prng.below(known.len() as u64) as usize]
            }
            // Every node has a new disk in the end.
            Kind::Wipe => running[self.before % running.len()],
            _ => running[prng.below(running.len() as u64) as usize],
        };
        load.begin_round();
        let strike = Strike { kind: self.kind, pause: self.pause };
        strike.run(nodes, node, prng, |nodes| nodes.await_in_sync(&load.topic))?;
        load.await_all()?;
        let waits = load.waits();
        let is_hit = |partition: usize| {
            self.kind.is_of_all() || leaders.get(&(partition as i32)).is_some_and(|leader| *leader == node as i32)
        };
        let (mut hit, mut untouched) = (Vec::new(), Vec::new());
        for (partition, wait) in waits.into_iter().enumerate() {
            if is_hit(partition) { hit.push(wait) } else { untouched.push(wait) }
        }
        nodes.start_all(RECOVERY_MAX)?;
        nodes.await_in_sync(&load.topic)?;
        load.check()?;
        Ok((hit, untouched))
    }
}

/// What happens to a node, or to all.
pub struct Strike {
    pub kind: Kind,
    /// How long a paused node is stopped.
    pub pause: Duration,
}

impl Strike {
    /// Does it; `settled` waits until the cluster can lose another node. Nodes that are gone are started later, but where nobody
    /// else is there.
    pub fn run(
        &self,
        nodes: &mut Nodes,
        node: u32,
        prng: &mut Prng,
        settled: impl Fn(&Nodes) -> Result<()>,
    ) -> Result<()> {
        let alone = nodes.running().len() == 1;
        match self.kind {
            Kind::All => {
                nodes.kill_all()?;
                return nodes.start_all(RECOVERY_MAX);
            }
            Kind::Pause => {
                nodes.pause(node, true)?;
                thread::sleep(self.pause);
                return nodes.pause(node, false);
            }
            Kind::Cut | Kind::OneWay => {
                let cut = match (self.kind, prng.below(2)) {
                    (Kind::Cut, _) => Cut::Both,
                    (_, 0) => Cut::Out,
                    (_, _) => Cut::In,
                };
                nodes.net().cut(node, cut)?;
                thread::sleep(self.pause);
                return nodes.net().heal();
            }
            Kind::Rolling => {
                for node in nodes.running() {
                    nodes.stop(node)?;
                    nodes.start_all(RECOVERY_MAX)?;
                    settled(nodes)?;
                }
                return Ok(());
            }
            Kind::Power => {
                nodes.cut_power(prng)?;
                return nodes.start_all(RECOVERY_MAX);
            }
            Kind::Kill | Kind::Leader => nodes.kill(node)?,
            Kind::Wipe => {
                nodes.kill(node)?;
                nodes.wipe(node)?;
            }
        }
        if alone {
            return nodes.start_all(RECOVERY_MAX);
        }
        let until = Instant::now() + AWAY;
        thread::sleep(until.saturating_duration_since(Instant::now()));
        Ok(())
    }
}
