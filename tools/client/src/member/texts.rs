//! What members of classic consumer groups write into the protocol: subscriptions and assignments, in Kafka's formats.

use super::assign::Joined;
use crate::cluster::{text, topic_name};
use crate::embedded::{self, Subscription};
use crate::groups::by_topic;
use crate::offsets::TopicPartition;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment as assignment;
use kafka_protocol::messages::consumer_protocol_subscription as subscription;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::Encodable;
use std::collections::BTreeSet;

/// The version that is written: with what is owned, and since which generation.
const SUBSCRIPTION: i16 = 2;
const ASSIGNMENT: i16 = 0;

/// What a member says of itself.
pub fn subscription(joined: &Joined) -> Bytes {
    let owned = by_topic(joined.owned.iter().map(|place| (place, place.partition)));
    let owned = owned.into_iter().map(|(name, partitions)| {
        subscription::TopicPartition::default().with_topic(topic_name(name)).with_partitions(partitions)
    });
    let message = ConsumerProtocolSubscription::default()
        .with_topics(joined.topics.iter().map(|topic| text(topic)).collect())
        .with_owned_partitions(owned.collect())
        .with_generation_id(joined.generation);
    with_version(&message, SUBSCRIPTION)
}

/// Reads it. Nothing if it makes no sense: such a member gets nothing.
pub fn read_subscription(instance: Option<String>, bytes: &[u8]) -> Joined {
    let nothing = Subscription { generation: -1, ..Subscription::default() };
    let Subscription { topics, owned, generation } = embedded::subscription(bytes).unwrap_or(nothing);
    Joined { instance, topics, owned, generation }
}

/// What the leader gives to a member.
pub fn assignment(places: &BTreeSet<TopicPartition>) -> Bytes {
    let topics = by_topic(places.iter().map(|place| (place, place.partition)));
    let topics = topics.into_iter().map(|(name, partitions)| {
        assignment::TopicPartition::default().with_topic(topic_name(name)).with_partitions(partitions)
    });
    let message = ConsumerProtocolAssignment::default().with_assigned_partitions(topics.collect());
    with_version(&message, ASSIGNMENT)
}

fn with_version(message: &impl Encodable, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    message.encode(&mut bytes, version).expect("names and numbers are all that it has");
    bytes.freeze()
}
