//! Kafka's metadata as znodes: what Kafka 2.8 to 3.9 kept in ZooKeeper, made from the catalog for those who still read it there.
//!
//! Nothing of it is stored. A read makes the znode that is asked for ([`Metadata::find`]), and what has changed for those who
//! watch is the difference between two moments ([`Shown`]). Paths are below the chroot ([`below`]), with `/` for itself. Each
//! znode has one version, its data's; what depends on when it was changed is that of the last change of any of them, so that a
//! client which was away hears of one too many rather than of one too few.

mod changes;
mod json;

pub use changes::{News, Shown};

use crate::catalog::{Node, Topic};
use crate::config::Overrides;
use crate::coordinator::Text;
use crate::tree::Stat;
use std::collections::BTreeMap;
use std::sync::Arc;
use torc_base::ids::{GroupId, LeaderEpoch, NodeId, SessionId, Zxid};
use torc_base::time::Wall;

/// Whose deletion makes another node the controller.
pub const CONTROLLER: &str = "/controller";

/// What is below the chroot.
const TOP: [&str; 11] = [
    "admin",
    "brokers",
    "cluster",
    "config",
    "consumers",
    "controller",
    "controller_epoch",
    "feature",
    "isr_change_notification",
    "latest_producer_id_block",
    "log_dir_event_notification",
];
/// What is below `config`.
const CONFIGS: [&str; 8] = ["brokers", "changes", "client-metrics", "clients", "groups", "ips", "topics", "users"];

/// A partition's leader and the epoch of it.
pub type Leader = (NodeId, LeaderEpoch);

/// What znodes are made from: the catalog and who leads what, as one node knows it.
pub struct Metadata<'a> {
    pub cluster_id: &'a str,
    pub topics: &'a BTreeMap<Arc<str>, Arc<Topic>>,
    /// Settings of consumer groups that have some.
    pub groups: &'a dyn Fn() -> Vec<(Text, Arc<Overrides>)>,
    /// Nodes that are there.
    pub brokers: &'a BTreeMap<NodeId, Arc<Node>>,
    /// This one, which has all of a topic that names no replicas.
    pub here: NodeId,
    pub leader: &'a dyn Fn(GroupId) -> Option<Leader>,
    /// True of a replica that the partition's leader knows not to be in sync.
    pub is_behind: &'a dyn Fn(GroupId, NodeId) -> bool,
    /// Who leads the catalog, if anybody does, and the term of that.
    pub controller: Option<NodeId>,
    pub controller_epoch: u64,
    /// The change of the tree behind which all this was last found changed.
    pub zxid: Zxid,
}

/// The path below the chroot that a client's path is; `None`: it is elsewhere.
pub fn below<'a>(chroot: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(chroot)?;
    match rest {
        "" => Some("/"),
        _ => rest.starts_with('/').then_some(rest),
    }
}

/// The client's path of one below the chroot.
pub fn above(chroot: &str, path: &str) -> String {
    if path == "/" { chroot.to_string() } else { format!("{chroot}{path}") }
}

/// Which child the chroot is, or is below, of a path above it.
pub fn child_of_parent<'a>(chroot: &'a str, path: &str) -> Option<&'a str> {
    let rest = if path == "/" { chroot } else { chroot.strip_prefix(path)? };
    rest.strip_prefix('/')?.split('/').next().filter(|name| !name.is_empty())
}

/// What a partition's `state` shows beside the controller's epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    leader: Leader,
    in_sync: Vec<NodeId>,
}

/// A znode that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'a> {
    /// One that only has children, and nothing of its own.
    Folder(&'static [&'static str]),
    /// The same without children, and those that nothing is written to here.
    Empty,
    BrokerIds,
    Broker(&'a Node),
    Topics,
    Topic(&'a Topic),
    Partitions(&'a Topic),
    Partition(&'a Topic, u32),
    State(&'a Topic, u32),
    ClusterId,
    Controller(NodeId),
    ControllerEpoch,
    Feature,
    TopicConfigs,
    TopicConfig(&'a Topic),
    BrokerConfigs,
    BrokerConfig,
    GroupConfigs,
    GroupConfig,
}

impl<'a> Metadata<'a> {
    /// Data and stat of a znode; `None`: there is no such.
    pub fn find(&self, path: &str) -> Option<(Option<Vec<u8>>, Stat)> {
        let place = self.place(path)?;
        let data = self.data(place, path);
        let stat = self.stat(place, data.as_ref().map_or(0, Vec::len));
        Some((data, stat))
    }

    /// Names of its children, sorted as numbers where they are numbers, and its stat.
    pub fn children(&self, path: &str) -> Option<(Vec<String>, Stat)> {
        let place = self.place(path)?;
        let names = match place {
            Place::Folder(names) => self.there(names),
            Place::BrokerIds | Place::BrokerConfigs => self.brokers.keys().map(NodeId::to_string).collect(),
            Place::Topics | Place::TopicConfigs => self.topics.keys().map(|name| name.to_string()).collect(),
            Place::Topic(_) => vec!["partitions".to_string()],
            Place::Partitions(topic) => (0..topic.partitions.len()).map(|partition| partition.to_string()).collect(),
            Place::Partition(topic, partition) => {
                let state = self.leader_of(topic, partition).map(|_| "state".to_string());
                state.into_iter().collect()
            }
            Place::GroupConfigs => (self.groups)().into_iter().map(|(group, _)| group.to_string()).collect(),
            _ => Vec::new(),
        };
        Some((names, self.stat(place, self.data(place, path).map_or(0, |data| data.len()))))
    }

    /// How many znodes are below it, at any depth.
    pub fn count_below(&self, path: &str) -> Option<usize> {
        let parent = path.trim_end_matches('/');
        let (names, _) = self.children(path)?;
        let below = |name: &String| self.count_below(&format!("{parent}/{name}")).unwrap_or(0);
        Some(names.len() + names.iter().map(below).sum::<usize>())
    }

    /// Of names that may be there those that are.
    fn there(&self, names: &[&str]) -> Vec<String> {
        let is_there = |name: &&&str| **name != "controller" || self.controller.is_some();
        names.iter().filter(is_there).map(|name| name.to_string()).collect()
    }

    fn place(&self, path: &str) -> Option<Place<'a>> {
        let mut names = path.strip_prefix('/')?.split('/');
        let place = match (names.next()?, names.next()) {
            ("", None) => Place::Folder(&TOP),
            ("admin", None) => Place::Folder(&["delete_topics"]),
            ("admin", Some("delete_topics")) => Place::Empty,
            ("brokers", None) => Place::Folder(&["ids", "seqid", "topics"]),
            ("brokers", Some("ids")) => match names.next() {
                None => Place::BrokerIds,
                Some(id) => Place::Broker(self.brokers.get(&node(id)?)?),
            },
            ("brokers", Some("seqid")) => Place::Empty,
            ("brokers", Some("topics")) => match names.next() {
                None => Place::Topics,
                Some(name) => self.of_topic(self.topics.get(name)?, &mut names)?,
            },
            ("cluster", None) => Place::Folder(&["id"]),
            ("cluster", Some("id")) => Place::ClusterId,
            ("config", None) => Place::Folder(&CONFIGS),
            ("config", Some(kind)) => self.of_config(kind, names.next())?,
            ("controller", None) => Place::Controller(self.controller?),
            ("controller_epoch", None) => Place::ControllerEpoch,
            ("feature", None) => Place::Feature,
            (
                "consumers" | "isr_change_notification" | "latest_producer_id_block" | "log_dir_event_notification",
                None,
            ) => Place::Empty,
            _ => return None,
        };
        names.next().is_none().then_some(place)
    }

    fn of_topic(&self, topic: &'a Topic, names: &mut std::str::Split<'_, char>) -> Option<Place<'a>> {
        match (names.next(), names.next(), names.next()) {
            (None, ..) => Some(Place::Topic(topic)),
            (Some("partitions"), None, _) => Some(Place::Partitions(topic)),
            (Some("partitions"), Some(number), rest) => {
                let partition = number_of(number).filter(|partition| *partition < topic.partitions.len())?;
                match rest {
                    None => Some(Place::Partition(topic, partition)),
                    Some("state") => self.leader_of(topic, partition).map(|_| Place::State(topic, partition)),
                    Some(_) => None,
                }
            }
            _ => None,
        }
    }

    fn of_config(&self, kind: &str, name: Option<&str>) -> Option<Place<'a>> {
        match (kind, name) {
            ("topics", None) => Some(Place::TopicConfigs),
            ("topics", Some(name)) => self.topics.get(name).map(|topic| Place::TopicConfig(topic)),
            ("brokers", None) => Some(Place::BrokerConfigs),
            ("brokers", Some(id)) => self.brokers.contains_key(&node(id)?).then_some(Place::BrokerConfig),
            ("groups", None) => Some(Place::GroupConfigs),
            ("groups", Some(name)) => self.group(name).map(|_| Place::GroupConfig),
            (kind, None) => CONFIGS.contains(&kind).then_some(Place::Empty),
            _ => None,
        }
    }

    fn group(&self, name: &str) -> Option<Arc<Overrides>> {
        (self.groups)().into_iter().find(|(group, _)| &**group == name).map(|(_, config)| config)
    }

    fn leader_of(&self, topic: &Topic, partition: u32) -> Option<Leader> {
        (self.leader)(topic.partitions.get(partition)?)
    }

    fn state_of(&self, topic: &Topic, partition: u32) -> Option<State> {
        let group = topic.partitions.get(partition)?;
        let leader = (self.leader)(group)?;
        let shown = topic.shown(partition);
        let replicas = if shown.is_empty() { &[self.here][..] } else { &shown };
        let in_sync = replicas.iter().filter(|replica| !(self.is_behind)(group, **replica)).copied().collect();
        Some(State { leader, in_sync })
    }

    fn data(&self, place: Place<'_>, path: &str) -> Option<Vec<u8>> {
        let text = match place {
            Place::Broker(node) => json::broker(node),
            Place::Topic(topic) => json::topic(topic, self.here),
            Place::State(topic, partition) => json::state(&self.state_of(topic, partition)?, self.controller_epoch),
            Place::ClusterId => json::cluster_id(self.cluster_id),
            Place::Controller(node) => json::controller(node),
            Place::ControllerEpoch => self.controller_epoch.to_string(),
            Place::Feature => json::feature(),
            Place::TopicConfig(topic) => json::config(&topic.overrides),
            Place::BrokerConfig => json::config(&Overrides::new()),
            Place::GroupConfig => {
                let config = self.group(path.rsplit('/').next()?)?;
                json::config(&config)
            }
            _ => return None,
        };
        Some(text.into_bytes())
    }

    fn stat(&self, place: Place<'_>, data_length: usize) -> Stat {
        let (created, version) = match place {
            Place::Topic(topic) | Place::TopicConfig(topic) | Place::Partitions(topic) | Place::Partition(topic, _) => {
                (topic.created, 0)
            }
            Place::State(topic, partition) => {
                (topic.created, self.leader_of(topic, partition).map_or(0, |(_, epoch)| epoch.get()))
            }
            Place::ControllerEpoch => (Wall(0), self.controller_epoch as i32),
            _ => (Wall(0), 0),
        };
        let owner = match place {
            Place::Broker(node) => owner(node),
            Place::Controller(node) => {
                self.brokers.get(&node).map_or(SessionId(i64::from(node.get()) + 1), |node| owner(node))
            }
            _ => SessionId::NONE,
        };
        let num_children = match place {
            Place::Folder(names) => self.there(names).len(),
            Place::BrokerIds | Place::BrokerConfigs => self.brokers.len(),
            Place::Topics | Place::TopicConfigs => self.topics.len(),
            Place::Topic(_) => 1,
            Place::Partitions(topic) => topic.partitions.len() as usize,
            Place::Partition(topic, partition) => usize::from(self.leader_of(topic, partition).is_some()),
            Place::GroupConfigs => (self.groups)().len(),
            _ => 0,
        };
        Stat {
            czxid: Zxid(0),
            mzxid: self.zxid,
            pzxid: self.zxid,
            ctime: created,
            mtime: created,
            version,
            cversion: num_children as i32,
            aversion: 0,
            ephemeral_owner: owner,
            data_length: data_length as i32,
            num_children: num_children as i32,
        }
    }
}

/// Stands for the session that a broker would have: no client's is like it, since those have a node in their first byte.
fn owner(node: &Node) -> SessionId {
    SessionId((node.start >> 9) as i64 | 1)
}

/// A number as it stands in a path.
fn number_of(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| number.to_string() == text)
}

fn node(text: &str) -> Option<NodeId> {
    number_of(text).map(NodeId)
}

#[cfg(test)]
#[path = "kafka_znodes_tests.rs"]
mod tests;
