//! What a server is told that is to join the cluster, or comes back to it, before it is linked: every server of the cluster
//! answers, by what its catalog says, and has the controller let in who asks for that.
//!
//! Who joins asks again until the catalog of whoever answers says that it is in. What would end a server that comes back is
//! said only by who knows it for certain: that a disk was removed holds for ever, and all else the controller knows.

use super::greeting::Cluster;
use super::roster::{Roster, Server};
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use torc_base::ids::NodeId;
use torc_base::limits::NODES_MAX;
use torc_base::time::Mono;
use torc_net::peer::{Caller, Known, Question, Reply};
use torc_state::catalog::Admission;

/// The answer, and who is to be let in.
pub(super) type Answered = (Reply, Option<(NodeId, Admission)>);

/// After so long a disk that does not ask again has given up.
const CLAIM_MS: u64 = 10_000;

/// Whether a server runs, as far as this shard can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    /// It is not linked.
    No,
    /// It was linked when another disk first asked for its number, and may have died just before that.
    Perhaps,
    /// It has shown since that it lives.
    Yes,
}

/// Disks that ask for the number of a server that is linked. A server that was killed is linked until the kernel or its silence
/// says that it is gone, so a link proves nothing but that it lived a silence ago: who asks is refused once the link has
/// outlived two silences since it first asked.
#[derive(Default)]
pub(super) struct Claims {
    /// Since when, and when it asked last.
    asked: BTreeMap<NodeId, (Mono, Mono)>,
}

impl Claims {
    /// Another disk asks for the number of `node` now, to which there is a link or not; links are ended after `silence_ms`.
    pub fn runs(&mut self, now: Mono, node: NodeId, is_linked: bool, silence_ms: u64) -> Runs {
        if !is_linked {
            self.asked.remove(&node);
            return Runs::No;
        }
        let (since, last) = self.asked.entry(node).or_insert((now, now));
        if last.plus_ms(CLAIM_MS) < now {
            *since = now;
        }
        *last = now;
        if now <= since.plus_ms(silence_ms.saturating_mul(2)) {
            return Runs::Perhaps;
        }
        // Who is refused asks no more: the next one is another one.
        self.asked.remove(&node);
        Runs::Yes
    }
}

/// What this node is, in front of whoever asks.
pub(super) struct Desk<'a> {
    pub settings: &'a Settings,
    pub roster: &'a Roster,
    /// Whether a server of the number that asks runs.
    pub runs: Runs,
    /// Where the question comes from.
    pub from: IpAddr,
}

impl Desk<'_> {
    /// This node, as it says who it is.
    pub fn caller(&self) -> Caller {
        Caller { node: self.settings.node, start: self.settings.cluster.start }
    }

    /// Answers a question.
    pub fn answer(&self, question: &Question) -> Answered {
        let (here, node) = (self.settings.node, question.from.node);
        let ours = self.settings.cluster.id;
        if node == here && question.from != self.caller() {
            return refused(format!("node.id {node} is taken by the server that answers: {OWN_NUMBER}"));
        }
        if question.cluster != 0 && question.cluster != ours {
            let (ours, theirs) = (Cluster(ours), Cluster(question.cluster));
            return refused(format!(
                "node {here} belongs to {ours}, and node {node} to {theirs}: see --join and --peers"
            ));
        }
        if let Some(disk) = self.roster.gone(node) {
            return self.removed(question, disk);
        }
        match self.roster.server(node).filter(|server| server.is_settled) {
            Some(server) => self.known(question, server),
            None if !question.joins => self.wait(node, None),
            None => self.stranger(question),
        }
    }

    /// A server of that number was removed.
    fn removed(&self, question: &Question, disk: u128) -> Answered {
        let node = question.from.node;
        if question.disk == disk {
            return refused(format!(
                "node {node} was removed from the cluster, and its disk does not come back: to have it join anew, give it an \
                 empty data directory and --join"
            ));
        }
        if question.joins {
            return self.stranger(question);
        }
        let why = "was removed from the cluster: to have it join anew, start it with --join";
        self.certain(node, format!("node {node} {why}"))
    }

    /// A server of that number belongs to the cluster.
    fn known(&self, question: &Question, server: &Server) -> Answered {
        let node = question.from.node;
        let founder = server.disk == 0;
        let disk = if founder { self.settings.founder_disk(node) } else { server.disk };
        // A founder that lost its disk comes back by the list of the founders, too.
        if question.disk == disk || founder && !question.joins {
            return match self.told_address(question).filter(|address| server.address != Some(*address)) {
                Some(address) if node != self.settings.node => self.wait(node, self.admission(question, address)),
                // Of a server that has just started nobody knows yet what became of it meanwhile.
                _ if !question.joins && !self.roster.is_current => self.wait(node, None),
                _ => (self.member(), None),
            };
        }
        if !question.joins {
            let why =
                "has another disk by now: if this one is to take its place, give it an empty data directory and --join";
            return self.certain(node, format!("node {node} {why}"));
        }
        let at = server.address.map_or(String::new(), |address| format!(" at {address}"));
        match self.runs {
            Runs::Yes => refused(format!("node.id {node} is taken: that server runs{at}; {OWN_NUMBER}")),
            Runs::Perhaps => {
                (Reply::Wait(format!("node {node} waits for a sign that its former server{at} is gone")), None)
            }
            Runs::No => self.stranger(question),
        }
    }

    /// A disk that is new here, and may come.
    fn stranger(&self, question: &Question) -> Answered {
        let node = question.from.node;
        let Some(address) = self.told_address(question) else {
            return refused(format!("node {node} does not say where it is reached: give it --peer HOST:PORT"));
        };
        let at_address = |(other, server): &(NodeId, &Server)| *other != node && server.address == Some(address);
        if let Some((other, _)) = self.roster.servers().find(at_address) {
            return refused(format!("{address} is the address of node {other}: give node {node} another --peer"));
        }
        if self.roster.server(node).is_none() && self.roster.servers().len() >= NODES_MAX {
            return refused(format!("the cluster has {NODES_MAX} nodes, and can have no more"));
        }
        self.wait(node, self.admission(question, address))
    }

    fn admission(&self, question: &Question, address: SocketAddr) -> Option<(NodeId, Admission)> {
        Some((question.from.node, Admission { disk: question.disk, address: address.to_string() }))
    }

    fn told_address(&self, question: &Question) -> Option<SocketAddr> {
        let address = question.address?;
        let ip = if address.ip().is_unspecified() { self.from } else { address.ip() };
        Some(SocketAddr::new(ip, address.port()))
    }

    fn wait(&self, node: NodeId, admission: Option<(NodeId, Admission)>) -> Answered {
        let what = if admission.is_some() { "the controller to let it in" } else { "the cluster to know it" };
        (Reply::Wait(format!("node {node} waits for {what}")), admission)
    }

    /// Says no if nobody can know better.
    fn certain(&self, node: NodeId, why: String) -> Answered {
        if self.roster.is_controller { refused(why) } else { self.wait(node, None) }
    }

    fn member(&self) -> Reply {
        let known = |(node, server): (NodeId, &Server)| {
            let disk = if server.disk == 0 { self.settings.founder_disk(node) } else { server.disk };
            // Where this node is itself only the founding says, if it is a founder.
            Known { node, disk, address: server.address.map_or_else(String::new, |address| address.to_string()) }
        };
        let servers = self.roster.servers().filter(|(_, server)| server.is_settled).map(known).collect();
        Reply::Member { founding: self.settings.cluster.founding.clone(), servers }
    }
}

const OWN_NUMBER: &str = "give each server a number of its own with --node-id";

fn refused(why: String) -> Answered {
    (Reply::Refused(why), None)
}

#[cfg(test)]
#[path = "joining_tests.rs"]
mod tests;
