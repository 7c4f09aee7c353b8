//! What members of the classic protocol tell each other through their coordinator: subscriptions and assignments, as
//! Kafka's consumers write them, and how a leader makes the one of the other.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use std::collections::BTreeMap;

/// Names of protocols that members may share.
pub const PROTOCOLS: [&str; 2] = ["range", "roundrobin"];

/// The metadata of a member that wants `topics`, with `padding` bytes of its own.
pub fn subscription(topics: &[&str], version: i16, padding: usize) -> Bytes {
    let topics = topics.iter().map(|name| StrBytes::from_string((*name).to_owned())).collect();
    let own = (padding > 0).then(|| Bytes::from(vec![7; padding]));
    versioned(version, &ConsumerProtocolSubscription::default().with_topics(topics).with_user_data(own))
}

fn versioned<T: Encodable>(version: i16, what: &T) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(version);
    what.encode(&mut out, version).expect("what the simulator made");
    out.freeze()
}

/// The topics of a member's metadata; none if it cannot be read.
pub fn subscribed(metadata: &Bytes) -> Vec<String> {
    let mut bytes = metadata.clone();
    let Ok(version) = bytes.try_get_i16() else { return Vec::new() };
    let read = ConsumerProtocolSubscription::decode(&mut bytes, version);
    read.map(|read| read.topics.iter().map(|topic| topic.to_string()).collect()).unwrap_or_default()
}

/// Gives each partition to one of the members that want its topic. `count` tells how many partitions a topic has.
pub fn assign(
    protocol: &str,
    members: &[(String, Vec<String>)],
    count: impl Fn(&str) -> usize,
) -> BTreeMap<String, Bytes> {
    let mut shares: BTreeMap<&str, BTreeMap<&str, Vec<i32>>> = BTreeMap::new();
    let mut topics: Vec<&str> = members.iter().flat_map(|(_, topics)| topics).map(|name| &**name).collect();
    topics.sort_unstable();
    topics.dedup();
    let mut turn = 0;
    for topic in topics {
        let wants = members.iter().filter(|(_, topics)| topics.iter().any(|name| name == topic));
        let wants: Vec<&str> = wants.map(|(id, _)| &**id).collect();
        let partitions = count(topic);
        for partition in 0..partitions {
            let at = if protocol == PROTOCOLS[0] { partition * wants.len() / partitions } else { turn % wants.len() };
            turn += 1;
            shares.entry(wants[at]).or_default().entry(topic).or_default().push(partition as i32);
        }
    }
    let encoded = |topics: &BTreeMap<&str, Vec<i32>>| {
        let topic = |(name, partitions): (&&str, &Vec<i32>)| {
            TopicPartition::default()
                .with_topic(TopicName(StrBytes::from_string((*name).to_owned())))
                .with_partitions(partitions.clone())
        };
        versioned(
            1,
            &ConsumerProtocolAssignment::default().with_assigned_partitions(topics.iter().map(topic).collect()),
        )
    };
    let nothing = BTreeMap::new();
    members.iter().map(|(id, _)| (id.clone(), encoded(shares.get(&**id).unwrap_or(&nothing)))).collect()
}

/// Topics and partitions of an assignment; `None` if it cannot be read.
pub fn assigned(assignment: &Bytes) -> Option<Vec<(String, i32)>> {
    let mut bytes = assignment.clone();
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let version = bytes.try_get_i16().ok()?;
    let read = ConsumerProtocolAssignment::decode(&mut bytes, version).ok()?;
    let of = |topic: &TopicPartition| {
        let name = topic.topic.to_string();
        topic.partitions.iter().map(|partition| (name.clone(), *partition)).collect::<Vec<_>>()
    };
    Some(read.assigned_partitions.iter().flat_map(of).collect())
}
