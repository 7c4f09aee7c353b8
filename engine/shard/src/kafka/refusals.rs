//! Kafka's codes for what owners of logs refuse.

use crate::refusal::Refusal;
use torc_net::kafka::error;
use torc_state::partition;

/// The code that a client is told.
pub fn code(refusal: Refusal) -> i16 {
    match refusal {
        Refusal::NotLeader => error::NOT_LEADER_OR_FOLLOWER,
        Refusal::Gone => error::UNKNOWN_TOPIC_OR_PARTITION,
        Refusal::Storage => error::KAFKA_STORAGE_ERROR,
        Refusal::TooLarge => error::MESSAGE_TOO_LARGE,
        Refusal::OffsetOutOfRange => error::OFFSET_OUT_OF_RANGE,
        Refusal::OldEpoch => error::FENCED_LEADER_EPOCH,
        Refusal::NewEpoch => error::UNKNOWN_LEADER_EPOCH,
        Refusal::Damaged => error::CORRUPT_MESSAGE,
        Refusal::Producer(partition::Refusal::OutOfOrderSequence { .. }) => error::OUT_OF_ORDER_SEQUENCE_NUMBER,
        Refusal::Producer(partition::Refusal::InvalidProducerEpoch { .. }) => error::INVALID_PRODUCER_EPOCH,
        Refusal::Producer(partition::Refusal::InvalidSequence { .. }) => error::INVALID_RECORD,
    }
}
