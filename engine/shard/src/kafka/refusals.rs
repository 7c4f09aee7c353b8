//! Kafka's codes for what owners of logs refuse.

use crate::mail::Unavailable;
use crate::refusal::Refusal;
use torc_net::kafka::error;
use torc_state::coordinator::response::Refusal as GroupRefusal;
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
        Refusal::TooFewInSync => error::NOT_ENOUGH_REPLICAS,
        Refusal::FewerInSync => error::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        Refusal::Damaged => error::CORRUPT_MESSAGE,
        Refusal::Producer(partition::Refusal::OutOfOrderSequence { .. }) => error::OUT_OF_ORDER_SEQUENCE_NUMBER,
        Refusal::Producer(partition::Refusal::InvalidProducerEpoch { .. }) => error::INVALID_PRODUCER_EPOCH,
        Refusal::Producer(partition::Refusal::InvalidSequence { .. }) => error::INVALID_RECORD,
    }
}

/// The code for a coordinator that does not answer.
pub fn unavailable_code(unavailable: Unavailable) -> i16 {
    match unavailable {
        Unavailable::Loading => error::COORDINATOR_LOAD_IN_PROGRESS,
        Unavailable::NotCoordinator => error::NOT_COORDINATOR,
        Unavailable::NoRoom => error::COORDINATOR_NOT_AVAILABLE,
    }
}

/// The code for what a coordinator refuses.
pub fn group_code(refusal: GroupRefusal) -> i16 {
    match refusal {
        GroupRefusal::CoordinatorNotAvailable => error::COORDINATOR_NOT_AVAILABLE,
        GroupRefusal::FencedInstanceId => error::FENCED_INSTANCE_ID,
        GroupRefusal::FencedMemberEpoch => error::FENCED_MEMBER_EPOCH,
        GroupRefusal::GroupIdNotFound => error::GROUP_ID_NOT_FOUND,
        GroupRefusal::GroupMaxSizeReached => error::GROUP_MAX_SIZE_REACHED,
        GroupRefusal::GroupSubscribedToTopic => error::GROUP_SUBSCRIBED_TO_TOPIC,
        GroupRefusal::IllegalGeneration => error::ILLEGAL_GENERATION,
        GroupRefusal::InconsistentGroupProtocol => error::INCONSISTENT_GROUP_PROTOCOL,
        GroupRefusal::InvalidGroupId => error::INVALID_GROUP_ID,
        GroupRefusal::InvalidRegularExpression => error::INVALID_REGULAR_EXPRESSION,
        GroupRefusal::InvalidRequest => error::INVALID_REQUEST,
        GroupRefusal::InvalidSessionTimeout => error::INVALID_SESSION_TIMEOUT,
        GroupRefusal::MemberIdRequired => error::MEMBER_ID_REQUIRED,
        GroupRefusal::NonEmptyGroup => error::NON_EMPTY_GROUP,
        GroupRefusal::OffsetMetadataTooLarge => error::OFFSET_METADATA_TOO_LARGE,
        GroupRefusal::RebalanceInProgress => error::REBALANCE_IN_PROGRESS,
        GroupRefusal::StaleMemberEpoch => error::STALE_MEMBER_EPOCH,
        GroupRefusal::UnknownMemberId => error::UNKNOWN_MEMBER_ID,
        GroupRefusal::UnknownServerError => error::UNKNOWN_SERVER_ERROR,
        GroupRefusal::UnreleasedInstanceId => error::UNRELEASED_INSTANCE_ID,
        GroupRefusal::UnsupportedAssignor => error::UNSUPPORTED_ASSIGNOR,
        GroupRefusal::UnsupportedVersion => error::UNSUPPORTED_VERSION,
    }
}
