//! The nodes of the cluster and the replicas of partitions, as clients are told of them.

use super::Kafka;
use super::view::Leader;
use torc_base::ids::{GroupId, ListenerId, NodeId};
use torc_net::kafka::schema::BrokerId;
use torc_net::kafka::schema::metadata_response::MetadataResponsePartition;
use torc_net::kafka::{CurrentLeader, Endpoint, error};
use torc_state::catalog::Topic;

/// A node that clients can reach.
pub(super) struct Broker {
    pub id: BrokerId,
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
}

/// Kafka's number of a node.
pub(super) fn broker_id(node: NodeId) -> BrokerId {
    BrokerId(node.get() as i32)
}

fn broker_ids(nodes: impl Iterator<Item = NodeId>) -> Vec<BrokerId> {
    nodes.map(broker_id).collect()
}

impl Kafka {
    pub(super) fn broker_id(&self) -> BrokerId {
        broker_id(self.settings.node)
    }

    /// This node, for clients of one of its listeners.
    fn this_broker(&self, listener: ListenerId) -> Broker {
        let (host, port) = self.settings.listeners[usize::from(listener.get())].advertised.clone();
        Broker { id: self.broker_id(), host, port, rack: self.settings.cluster.rack.clone() }
    }

    /// A node, if it can be reached from here, for clients of one of this node's listeners.
    pub(super) fn broker(&self, node: NodeId, listener: ListenerId) -> Option<Broker> {
        if node == self.settings.node {
            return Some(self.this_broker(listener));
        }
        let node = self.view.node(node)?;
        let (host, port) = node.advertised(usize::from(listener.get()))?.clone();
        Some(Broker { id: broker_id(node.id), host, port, rack: node.rack.clone() })
    }

    /// All nodes that can be reached from here, by their numbers.
    pub(super) fn brokers(&self, listener: ListenerId) -> Vec<Broker> {
        let others = self.view.nodes().map(|node| node.id).filter(|id| *id != self.settings.node);
        let mut brokers: Vec<Broker> = others.filter_map(|node| self.broker(node, listener)).collect();
        brokers.push(self.this_broker(listener));
        brokers.sort_unstable_by_key(|broker| broker.id.0);
        brokers
    }

    /// Which node is the controller; -1 while there is none.
    pub(super) fn controller_id(&self) -> BrokerId {
        if self.settings.is_alone() { self.broker_id() } else { self.view.controller().map_or(BrokerId(-1), broker_id) }
    }

    /// Partition `index` of a topic, whose log is `group`.
    pub(super) fn describe_partition(&self, topic: &Topic, index: usize, group: GroupId) -> MetadataResponsePartition {
        let moving = topic.moves.contains_key(&(index as u32)).then(|| topic.shown(index as u32));
        let replicas = moving.as_deref().unwrap_or_else(|| self.settings.replicas(topic, index as u32));
        let behind = self.view.behind(group);
        let is_offline = |node: &NodeId| *node != self.settings.node && !self.view.is_present(*node);
        let partition = MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_replica_nodes(broker_ids(replicas.iter().copied()))
            .with_isr_nodes(broker_ids(replicas.iter().copied().filter(|node| !behind.contains(node))))
            .with_offline_replicas(broker_ids(replicas.iter().copied().filter(is_offline)));
        match self.view.leader(group) {
            Some(Leader { node, epoch }) => partition.with_leader_id(broker_id(node)).with_leader_epoch(epoch.get()),
            None => partition
                .with_error_code(error::LEADER_NOT_AVAILABLE)
                .with_leader_id(BrokerId(-1))
                .with_leader_epoch(-1),
        }
    }

    /// Who leads a partition that a client asked in vain. A node alone has nothing to tell.
    pub(super) fn current_leader(&self, group: GroupId) -> Option<CurrentLeader> {
        let leader = self.view.leader(group).filter(|_| !self.settings.is_alone());
        leader.map(|Leader { node, epoch }| CurrentLeader { id: broker_id(node).0, epoch: epoch.get() })
    }

    /// Where the leaders are that an answer names, each once.
    pub(super) fn endpoints(&self, listener: ListenerId, leaders: Vec<CurrentLeader>) -> Vec<Endpoint> {
        let mut ids: Vec<i32> = leaders.into_iter().map(|leader| leader.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let brokers = ids.into_iter().filter_map(|id| self.broker(NodeId(id as u32), listener));
        brokers.map(|Broker { id, host, port, rack }| Endpoint { id: id.0, host, port, rack }).collect()
    }
}
