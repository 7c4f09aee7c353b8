//! Data of znodes, as Kafka 3.4 to 3.9 writes them; those before read them too. Keys stand in Kafka's order. What is not known is
//! -1: when a broker came, and where its JMX is.

use super::State;
use crate::catalog::{Node, Topic};
use crate::config::Overrides;
use std::fmt::Write;
use torc_base::ids::{NodeId, TopicId};

/// All listeners that are told to clients have this protocol, and those behind the first no name of their own.
const PROTOCOL: &str = "PLAINTEXT";

/// A text of JSON.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

fn list(nodes: impl IntoIterator<Item = NodeId>) -> String {
    let ids: Vec<String> = nodes.into_iter().map(|node| node.to_string()).collect();
    format!("[{}]", ids.join(","))
}

/// `brokers/ids/N`
pub fn broker(node: &Node) -> String {
    let name = |at: usize| if at == 0 { PROTOCOL.to_string() } else { format!("{PROTOCOL}_{at}") };
    let mut map: Vec<String> = Vec::new();
    let mut endpoints: Vec<String> = Vec::new();
    for (at, (host, port)) in node.listeners.iter().enumerate() {
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        map.push(format!("{}:\"{PROTOCOL}\"", quoted(&name(at))));
        endpoints.push(quoted(&format!("{}://{host}:{port}", name(at))));
    }
    let (map, endpoints) = (map.join(","), endpoints.join(","));
    let (host, port) = match node.listeners.first() {
        Some((host, port)) => (quoted(host), i32::from(*port)),
        None => ("null".to_string(), -1),
    };
    let rack = node.rack.as_ref().map_or(String::new(), |rack| format!("\"rack\":{},", quoted(rack)));
    format!(
        "{{\"features\":{{}},\"listener_security_protocol_map\":{{{map}}},\"endpoints\":[{endpoints}],{rack}\"jmx_port\":-1,\
         \"port\":{port},\"host\":{host},\"version\":5,\"timestamp\":\"-1\"}}"
    )
}

/// `brokers/topics/T`; `here` has all of a topic that names no replicas.
pub fn topic(topic: &Topic, here: NodeId) -> String {
    let (mut partitions, mut adding, mut removing) = (String::new(), String::new(), String::new());
    for partition in 0..topic.partitions.len() {
        let shown = topic.shown(partition);
        let replicas = if shown.is_empty() { &[here][..] } else { &shown };
        put(&mut partitions, partition, replicas);
    }
    for partition in topic.moves.keys() {
        let (comes, goes) = topic.adding_and_removing(*partition);
        put(&mut adding, *partition, &comes);
        put(&mut removing, *partition, &goes);
    }
    format!(
        "{{\"removing_replicas\":{{{removing}}},\"partitions\":{{{partitions}}},\"topic_id\":\"{}\",\
         \"adding_replicas\":{{{adding}}},\"version\":3}}",
        uuid(topic.id)
    )
}

fn put(into: &mut String, partition: u32, nodes: &[NodeId]) {
    if !nodes.is_empty() {
        let comma = if into.is_empty() { "" } else { "," };
        let _ = write!(into, "{comma}\"{partition}\":{}", list(nodes.iter().copied()));
    }
}

/// An id as Kafka writes it: URL-safe base64 without padding.
fn uuid(id: TopicId) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |at: u32| char::from(DIGITS[(id.0.rotate_left(6 * (at + 1)) & 63) as usize]);
    // 128 bits are 21 digits and two bits, which four zeros follow.
    let last = char::from(DIGITS[((id.0 & 3) << 4) as usize]);
    (0..21).map(digit).chain([last]).collect()
}

/// `brokers/topics/T/partitions/P/state`
pub(super) fn state(State { leader: (leader, epoch), in_sync }: &State, controller_epoch: u64) -> String {
    format!(
        "{{\"controller_epoch\":{controller_epoch},\"leader\":{leader},\"version\":1,\"leader_epoch\":{},\"isr\":{}}}",
        epoch.get(),
        list(in_sync.iter().copied())
    )
}

/// `cluster/id`
pub fn cluster_id(id: &str) -> String {
    format!("{{\"version\":\"1\",\"id\":{}}}", quoted(id))
}

/// `controller`
pub fn controller(node: NodeId) -> String {
    format!("{{\"version\":2,\"brokerid\":{node},\"timestamp\":\"-1\",\"kraftControllerEpoch\":-1}}")
}

/// `feature`
pub fn feature() -> String {
    "{\"features\":{},\"version\":2,\"status\":1}".to_string()
}

/// `config/topics/T` and the like.
pub fn config(overrides: &Overrides) -> String {
    let pairs: Vec<String> =
        overrides.iter().map(|(key, value)| format!("{}:{}", quoted(key), quoted(value))).collect();
    format!("{{\"version\":1,\"config\":{{{}}}}}", pairs.join(","))
}
