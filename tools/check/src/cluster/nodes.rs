//! The nodes of one cluster: processes of this machine, each with ports and a data directory of its own.

use super::net::Net;
use super::{Kind, Plan, wait_for};
use crate::failure::{Failure, Result, wrong};
use crate::process::{Launch, Server, signal, tail};
use crate::volatile::VolatileDisk;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;
use torc_base::prng::Prng;
use torc_client::{AskError, Client, ClientError, Cluster, Patience, Times, error_name, topic_name};

/// How long a client waits for a broker: one that is stopped must not hold it up.
pub const TIMES: Times = Times { connect: Duration::from_millis(500), answer: Duration::from_secs(1) };
/// Time that a change of topics may take, in milliseconds, and how long its answer is waited for.
const CHANGE_MS: i32 = 20_000;
const CHANGE_TIMES: Times = Times { connect: Duration::from_secs(1), answer: Duration::from_secs(30) };
/// Kafka's errors for a change that has been made.
const ALREADY_EXISTS: i16 = 36;
const UNKNOWN_TOPIC: i16 = 3;

/// One of them.
struct Node {
    id: u32,
    launch: Launch,
    /// `None`: it does not run.
    server: Option<Server>,
    /// Where its data directory is, if power cuts are tried.
    disk: Option<VolatileDisk>,
}

/// All of them.
pub struct Nodes {
    nodes: Vec<Node>,
    /// Addresses for clients, all of them.
    pub addresses: String,
    /// Of their own, if links are cut.
    net: Option<Net>,
    /// What power cuts have taken: pages, and changes of names.
    pub lost: (u64, u64),
    /// Where each serves ZooKeeper's clients, if they do.
    zookeeper: Vec<String>,
    /// Where each listens for the others.
    peers: Vec<String>,
}

/// Bytes of a disk whose power is cut. It lives in memory, where only what is written takes room.
const VOLATILE_BYTES: u64 = 4 << 30;

impl Nodes {
    /// Free ports and empty directories, with what rounds of these kinds need.
    pub fn new(plan: &Plan, kinds: &[Kind]) -> Result<Nodes> {
        let count = plan.nodes as usize;
        let net = kinds.iter().any(|kind| kind.needs_net()).then(|| Net::new(plan.nodes)).transpose()?;
        let host = |at: usize| net.as_ref().map_or("127.0.0.1".to_string(), |net| net.address(at as u32 + 1));
        // All at once, so that none is given twice.
        let sockets: Vec<TcpListener> =
            (0..2 * count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
        let ports: Vec<u16> = sockets.iter().map(|s| Ok(s.local_addr()?.port())).collect::<Result<_>>()?;
        let (kafka, peer) = ports.split_at(count);
        let peers: Vec<String> =
            peer.iter().enumerate().map(|(at, port)| format!("{}={}:{port}", at + 1, host(at))).collect();
        let mut nodes = Vec::new();
        for (at, port) in kafka.iter().enumerate() {
            let id = at as u32 + 1;
            let dir = plan.dir.join(format!("node-{id}"));
            fs::create_dir_all(&dir)?;
            let mut launch = Launch::new(&plan.torc, &dir).shards(Some(plan.shards));
            launch.port = *port;
            launch.host = host(at);
            launch.wrapper = net.as_ref().map(|net| net.wrapper(id)).unwrap_or_default();
            let disk = kinds.contains(&Kind::Power).then(|| VolatileDisk::new(&dir.join("disk"), VOLATILE_BYTES));
            let disk = disk.transpose()?;
            if disk.is_some() {
                launch.data = dir.join("disk").join("data");
            }
            launch.more = vec!["--node-id".to_string(), id.to_string()];
            if count > 1 {
                launch.more.extend(["--peers".to_string(), peers.join(",")]);
            }
            nodes.push(Node { id, launch, server: None, disk });
        }
        let address = |(at, port): (usize, &u16)| format!("{}:{port}", host(at));
        let addresses = kafka.iter().enumerate().map(address).collect::<Vec<_>>().join(",");
        let peers = peer.iter().enumerate().map(address).collect();
        Ok(Nodes { nodes, addresses, net, lost: (0, 0), zookeeper: Vec::new(), peers })
    }

    /// A setting of all, from their next start on.
    pub fn set(&mut self, key: &str, value: &str) {
        for node in &mut self.nodes {
            node.launch.more.extend(["--set".to_string(), format!("{key}={value}")]);
        }
    }

    /// One more, which is to join the others when it is started. Its number.
    pub fn add(&mut self) -> Result<u32> {
        let sockets = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [kafka, peer] = sockets.each_ref().map(|socket| socket.local_addr().map(|address| address.port()));
        let (kafka, peer) = (kafka?, peer?);
        let first = self.nodes.first().expect("there are nodes").launch.clone();
        let id = self.nodes.iter().map(|node| node.id).max().unwrap_or_default() + 1;
        let dir = first.log.parent().and_then(Path::parent).expect("each has a folder").join(format!("node-{id}"));
        fs::create_dir_all(&dir)?;
        let mut launch = Launch::new(&first.torc, &dir).shards(first.shards);
        launch.port = kafka;
        let settings = first.more.chunks(2).filter(|flag| flag[0] == "--set").flatten().cloned();
        let own = format!("{}:{peer}", launch.host);
        let join = ["--node-id", &id.to_string(), "--peer", &own, "--join", &self.peers.join(",")];
        launch.more = join.map(str::to_string).into_iter().chain(settings).collect();
        self.addresses += &format!(",{}:{kafka}", launch.host);
        self.peers.push(own);
        self.nodes.push(Node { id, launch, server: None, disk: None });
        Ok(id)
    }

    /// Begins to start a node.
    pub fn begin(&self, id: u32) -> Result<Child> {
        let node = self.nodes.iter().find(|node| node.id == id).expect("it is one of them");
        node.launch.spawn()
    }

    /// Waits until a node is ready whose start was begun.
    pub fn started(&mut self, id: u32, starting: Child, limit: Duration) -> Result<()> {
        let node = self.nodes.iter_mut().find(|node| node.id == id).expect("it is one of them");
        node.server = Some(node.launch.await_ready_within(starting, limit)?);
        Ok(())
    }

    /// From now on clients do not begin with a node: it is to leave, and knows nothing of the others when it has.
    pub fn avoid(&mut self, id: u32) {
        let node = self.nodes.iter().find(|node| node.id == id).expect("it is one of them");
        let its = format!("{}:{}", node.launch.host, node.launch.port);
        self.addresses = self.addresses.split(',').filter(|address| **address != its).collect::<Vec<_>>().join(",");
    }

    /// A node that has left the others ends, and is none of them any more.
    pub fn remove(&mut self, id: u32) -> Result<()> {
        self.stop(id)?;
        self.nodes.retain(|node| node.id != id);
        Ok(())
    }

    /// Lets all serve ZooKeeper's clients, from their start on; returns where, as clients take it.
    pub fn serve_zookeeper(&mut self) -> Result<String> {
        let sockets: Vec<TcpListener> =
            self.nodes.iter().map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
        for (node, socket) in self.nodes.iter_mut().zip(&sockets) {
            let address = format!("{}:{}", node.launch.host, socket.local_addr()?.port());
            node.launch.more.extend(["--zookeeper".to_string(), address.clone()]);
            self.zookeeper.push(address);
        }
        Ok(self.zookeeper.join(","))
    }

    /// Whose address for ZooKeeper's clients this is.
    pub fn zookeeper_at(&self, address: &str) -> Option<u32> {
        let at = self.zookeeper.iter().position(|of_node| of_node == address)?;
        Some(self.nodes[at].id)
    }

    /// Their links.
    pub fn net(&self) -> &Net {
        self.net.as_ref().expect("made for kinds that cut links")
    }

    /// The power of all fails at once: first their disks do nothing more and lose what was not flushed, then the processes are gone.
    pub fn cut_power(&mut self, prng: &mut Prng) -> Result<()> {
        for node in &self.nodes {
            let (pages, names) = node.disk.as_ref().expect("made for power cuts").power_off(prng);
            self.lost = (self.lost.0 + pages, self.lost.1 + names);
        }
        self.kill_all()?;
        self.nodes.iter_mut().filter_map(|node| node.disk.as_mut()).try_for_each(VolatileDisk::power_on)
    }

    /// Stops a node in order; the end must be 0.
    pub fn stop(&mut self, id: u32) -> Result<()> {
        self.server(id).stop()?;
        self.nodes.iter_mut().filter(|node| node.id == id).for_each(|node| node.server = None);
        Ok(())
    }

    /// The numbers of those that run.
    pub fn running(&self) -> Vec<u32> {
        self.nodes.iter().filter(|node| node.server.is_some()).map(|node| node.id).collect()
    }

    /// Starts those that do not run, side by side, and waits until they are ready.
    pub fn start_all(&mut self, limit: Duration) -> Result<()> {
        thread::scope(|scope| {
            let stopped = self.nodes.iter_mut().filter(|node| node.server.is_none());
            let starting = stopped.map(|node| {
                scope.spawn(move || -> Result<()> {
                    node.server = Some(node.launch.start_within(limit)?);
                    Ok(())
                })
            });
            let starting: Vec<_> = starting.collect();
            starting.into_iter().try_for_each(|thread| thread.join().expect("a start does not panic"))
        })
    }

    fn server(&mut self, id: u32) -> &mut Server {
        let node = self.nodes.iter_mut().find(|node| node.id == id).expect("it is one of them");
        node.server.as_mut().expect("it runs")
    }

    /// A number that a node tells of itself.
    pub fn metric(&mut self, id: u32, name: &str) -> Result<f64> {
        self.server(id).metric(name)
    }

    /// `kill -9`.
    pub fn kill(&mut self, id: u32) -> Result<()> {
        if !self.server(id).is_alive() {
            return wrong(format!("node {id} ended by itself"));
        }
        self.server(id).kill()?;
        self.nodes.iter_mut().filter(|node| node.id == id).for_each(|node| node.server = None);
        Ok(())
    }

    /// The same of all, before the first one is waited for.
    pub fn kill_all(&mut self) -> Result<()> {
        for id in self.running() {
            signal(self.server(id).pid(), Signal::KILL)?;
        }
        for node in &mut self.nodes {
            if let Some(mut server) = node.server.take() {
                server.wait()?;
            }
        }
        Ok(())
    }

    /// Stops it where it stands, or lets it go on.
    pub fn pause(&mut self, id: u32, paused: bool) -> Result<()> {
        let pid = self.server(id).pid();
        signal(pid, if paused { Signal::STOP } else { Signal::CONT })
    }

    /// Removes all that a node that does not run has kept.
    pub fn wipe(&mut self, id: u32) -> Result<()> {
        let node = self.nodes.iter().find(|node| node.id == id).expect("it is one of them");
        assert!(node.server.is_none(), "it still runs");
        Ok(fs::remove_dir_all(&node.launch.data)?)
    }

    /// The end of all, in order, which must be 0.
    pub fn stop_all(&mut self) -> Result<()> {
        let servers = || self.nodes.iter().filter_map(|node| node.server.as_ref());
        servers().try_for_each(Server::terminate)?;
        for node in &mut self.nodes {
            if let Some(mut server) = node.server.take() {
                let status = server.wait()?;
                if status.code() != Some(0) {
                    return wrong(format!("node {} ended with {status} after SIGTERM", node.id));
                }
            }
        }
        Ok(())
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        let log = |node: &Node| format!("node {}:\n{}", node.id, tail(&node.launch.log));
        self.nodes.iter().map(log).collect::<Vec<_>>().join("\n")
    }

    /// A connection to the cluster.
    pub fn client(&self) -> Result<Cluster> {
        Cluster::connect_with(&self.addresses, TIMES).map_err(|error| Failure::Wrong(error.to_string()))
    }

    /// Makes a topic with a copy on every node, as far as three go.
    pub fn create(&self, topic: &str, partitions: u16) -> Result<()> {
        let copies = self.nodes.len().min(3) as i16;
        let wanted = CreatableTopic::default().with_name(topic_name(topic)).with_num_partitions(partitions.into());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![wanted.with_replication_factor(copies)])
            .with_timeout_ms(CHANGE_MS);
        let codes = |answer: &CreateTopicsResponse| answer.topics.iter().map(|topic| topic.error_code).collect();
        self.change(&format!("creating topic {topic}"), ALREADY_EXISTS, |client| client.call(&request), codes)?;
        self.await_in_sync(topic)
    }

    /// Deletes a topic.
    pub fn delete(&self, topic: &str) -> Result<()> {
        let named = DeleteTopicState::default().with_name(Some(topic_name(topic)));
        let request = DeleteTopicsRequest::default().with_topics(vec![named]).with_timeout_ms(CHANGE_MS);
        let codes = |answer: &DeleteTopicsResponse| answer.responses.iter().map(|topic| topic.error_code).collect();
        self.change(&format!("deleting topic {topic}"), UNKNOWN_TOPIC, |client| client.call(&request), codes)
    }

    /// Asks for a change until there is an answer: one that was asked for before may have been made, which is `done` (0: there is no
    /// error for that).
    pub fn change<T>(
        &self,
        what: &str,
        done: i16,
        ask: impl Fn(&mut Client) -> std::result::Result<T, ClientError>,
        codes: impl Fn(&T) -> Vec<i16>,
    ) -> Result<()> {
        let mut patience = Patience::new(super::RECOVERY_MAX, || false);
        let mut again = false;
        loop {
            let cluster = Cluster::connect_patiently(&self.addresses, CHANGE_TIMES, &mut patience);
            let mut cluster = cluster.map_err(|error| Failure::Wrong(error.to_string()))?;
            match cluster.change(&mut patience, &ask, &codes) {
                Ok(answer) => {
                    let refused = codes(&answer).into_iter().find(|code| *code != 0 && (!again || *code != done));
                    return refused.map_or(Ok(()), |code| wrong(format!("{what}: {}", error_name(code))));
                }
                Err(AskError::Client(error)) if error.passes() => {
                    again = true;
                    patience
                        .again(format_args!("{what}: {error}"))
                        .map_err(|ended| Failure::Wrong(ended.to_string()))?;
                }
                Err(error) => return wrong(format!("{what}: {error}")),
            }
        }
    }

    /// Waits until every partition has a leader and all replicas in sync.
    pub fn await_in_sync(&self, topic: &str) -> Result<()> {
        let copies = self.nodes.len().min(3);
        let mut lacking = "nobody answers".to_string();
        let well = wait_for(&format!("leaders of {topic}, with {copies} replicas in sync"), || {
            // Nobody may answer yet.
            let Ok(told) = self.client().and_then(|mut client| of_topic(&mut client, topic)) else { return Ok(false) };
            let is_lacking = |(_, (leader, in_sync)): &(&i32, &(i32, Vec<i32>))| *leader < 0 || in_sync.len() < copies;
            let parts: Vec<String> = told.iter().filter(is_lacking).map(|part| format!("{part:?}")).collect();
            lacking = format!("partition, leader and replicas in sync: {}", parts.join(", "));
            Ok(!told.is_empty() && parts.is_empty())
        });
        well.map_err(|failure| Failure::Wrong(format!("{failure}; {lacking}")))
    }

    /// The leader of each partition, as one node tells it.
    pub fn leaders(&self, topic: &str) -> Result<BTreeMap<i32, i32>> {
        let told = of_topic(&mut self.client()?, topic)?;
        Ok(told.into_iter().map(|(partition, (leader, _))| (partition, leader)).collect())
    }
}

/// Leader and replicas in sync, by partition.
fn of_topic(client: &mut Cluster, topic: &str) -> Result<BTreeMap<i32, (i32, Vec<i32>)>> {
    let metadata = client.metadata(Some(&[topic.to_string()])).map_err(|error| Failure::Wrong(error.to_string()))?;
    let parts = metadata.topics.iter().filter(|topic| topic.error_code == 0).flat_map(|topic| &topic.partitions);
    let in_sync = |nodes: &[BrokerId]| nodes.iter().map(|node| node.0).collect();
    Ok(parts.map(|part| (part.partition_index, (part.leader_id.0, in_sync(&part.isr_nodes)))).collect())
}
