//! The servers of a cluster as one of them knows them: those that it was told of at its start, and what its catalog says of
//! who was let in and who has left.
//!
//! What is appended to the catalog and not known to be committed is a hint where somebody may be found, no more: a node that
//! starts finds the others by it before it can know what is committed.

use crate::settings::{Peer, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use torc_base::ids::NodeId;
use torc_state::catalog::{Catalog, Command};

/// One server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is reached, as far as known.
    pub address: Option<SocketAddr>,
    /// The disk that it was let in with; 0: it has not been let in since the founding.
    pub disk: u128,
    /// It is one of the cluster for certain.
    pub is_settled: bool,
    /// It has been removed, and is still a member of the catalog's group.
    pub leaves: bool,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// By number, this one among them unless it was removed.
    servers: BTreeMap<NodeId, Server>,
    /// The last disks of those that were removed.
    gone: BTreeMap<NodeId, u128>,
    /// This node has had all of the catalog since it started.
    pub is_current: bool,
    /// This node leads the catalog: it knows all that is committed.
    pub is_controller: bool,
}

impl Roster {
    /// What a node is told before its catalog says anything.
    pub fn at_start(settings: &Settings) -> Roster {
        let server = |address| Server { address, disk: 0, is_settled: true, leaves: false };
        let peers = settings.cluster.peers.iter().map(|Peer { node, address }| (*node, server(Some(*address))));
        let servers = peers.chain([(settings.node, server(None))]).collect();
        Roster { servers, ..Roster::default() }
    }

    /// The same with what the catalog says. `members`: of the catalog's group.
    pub fn of(settings: &Settings, catalog: &Catalog, members: &BTreeSet<NodeId>) -> Roster {
        let mut roster = Roster::at_start(settings);
        let membership = catalog.membership();
        for (node, admission) in membership.all_admitted() {
            let address = admission.address.parse().ok();
            roster.servers.insert(node, Server { address, disk: admission.disk, is_settled: true, leaves: false });
        }
        for (_, command) in catalog.pending() {
            let Command::AdmitNode { node, admission } = command else { continue };
            let address = admission.address.parse().ok();
            let hint = Server { address, disk: 0, is_settled: false, leaves: false };
            roster.servers.entry(*node).or_insert(hint);
        }
        for (node, disk) in membership.all_gone() {
            roster.gone.insert(node, if disk == 0 { settings.founder_disk(node) } else { disk });
            match roster.servers.get_mut(&node).filter(|_| members.contains(&node)) {
                Some(server) => server.leaves = true,
                None => drop(roster.servers.remove(&node)),
            }
        }
        roster
    }

    /// A server to speak with.
    pub fn server(&self, node: NodeId) -> Option<&Server> {
        self.servers.get(&node)
    }

    /// All of them, by number.
    pub fn servers(&self) -> impl ExactSizeIterator<Item = (NodeId, &Server)> {
        self.servers.iter().map(|(node, server)| (*node, server))
    }

    /// Where a server is reached.
    pub fn address(&self, node: NodeId) -> Option<SocketAddr> {
        self.servers.get(&node)?.address
    }

    /// Those that belong to the cluster and are to stay.
    pub fn members(&self) -> BTreeSet<NodeId> {
        let stays = |(_, server): &(&NodeId, &Server)| server.is_settled && !server.leaves;
        self.servers.iter().filter(stays).map(|(node, _)| *node).collect()
    }

    /// The last disk of a server that was removed; 0 if it is not known.
    pub fn gone(&self, node: NodeId) -> Option<u128> {
        self.gone.get(&node).copied()
    }

    /// True if a process of that number with this disk is not the one that was let in. 0: it does not say.
    pub fn is_another_disk(&self, node: NodeId, disk: u128) -> bool {
        let known = self.servers.get(&node).map_or(0, |server| server.disk);
        known != 0 && disk != 0 && known != disk
    }
}
