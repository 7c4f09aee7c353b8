//! What members of classic consumer groups write into the protocol: subscriptions and assignments, in Kafka's formats.

use super::assign::Joined;
use crate::cluster::{text, topic_name};
use crate::groups::by_topic;
use crate::offsets::TopicPartition;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment as assignment;
use kafka_protocol::messages::consumer_protocol_subscription as subscription;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Decodable, Encodable};
use std::collections::BTreeSet;

/// The version that is written: with what is owned, and since which generation.
const SUBSCRIPTION: i16 = 2;
/// The newest that is read; later ones only have more behind.
const SUBSCRIPTION_MAX: i16 = 3;
const ASSIGNMENT: i16 = 0;
/// First versions with the generation, and what older members write instead: the number alone, as their own data.
const WITH_GENERATION: i16 = 2;

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
pub fn read_subscription(instance: Option<String>, bytes: &Bytes) -> Joined {
    let mut bytes = bytes.clone();
    let nothing = || Joined { instance: instance.clone(), generation: -1, ..Joined::default() };
    if bytes.remaining() < 2 {
        return nothing();
    }
    let version = bytes.get_i16().clamp(0, SUBSCRIPTION_MAX);
    let Ok(told) = ConsumerProtocolSubscription::decode(&mut bytes, version) else { return nothing() };
    let owned = told.owned_partitions.iter().flat_map(|topic| {
        let name = topic.topic.to_string();
        topic.partitions.clone().into_iter().map(move |partition| TopicPartition::new(&name, partition))
    });
    let generation = match (version >= WITH_GENERATION, &told.user_data) {
        (true, _) => told.generation_id,
        (false, Some(data)) => data.first_chunk::<4>().map_or(-1, |number| i32::from_be_bytes(*number)),
        (false, None) => -1,
    };
    let owned = owned.collect();
    Joined { instance, topics: told.topics.iter().map(|topic| topic.to_string()).collect(), owned, generation }
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
