//! What the meter of long turns calls events and requests.

use crate::mail::{Answer, Ask, Mail};
use torc_base::io::Event;
use torc_base::turns::Work;
use torc_net::kafka::api;

/// What an event has the shard do, until something else is said.
pub fn of_event(event: &Event<Mail>) -> Work {
    match event {
        Event::Disk(_) => Work::Disk,
        Event::Mail { .. } | Event::Adopted { .. } => Work::Mail,
        Event::Turn => Work::Log,
        _ => Work::Connections,
    }
}

/// What a question to the owner of something is.
pub fn of_ask(ask: &Ask) -> Work {
    match ask {
        Ask::Produce(_) | Ask::ProducerId => Work::Produce,
        Ask::Fetch { .. } | Ask::Hurry { .. } | Ask::Watch { .. } | Ask::Unwatch => Work::Fetch,
        Ask::Offsets(_) | Ask::CancelOffsets | Ask::EpochEnds(_) | Ask::DeleteRecords(_) => Work::Offsets,
        Ask::Sizes(_) | Ask::Quorums(_) => Work::Lists,
        Ask::Coordinate(_) | Ask::CancelCoordinate => Work::Groups,
        Ask::Admin(_) | Ask::Elect(_) | Ask::Register(_) | Ask::Admit(..) | Ask::Arrived(_) => Work::Admin,
    }
}

/// What an answer belongs to.
pub fn of_answer(answer: &Answer) -> Work {
    match answer {
        Answer::Produced(_) => Work::Produce,
        Answer::Fetched(_) | Answer::Wake { .. } => Work::Fetch,
        Answer::Offsets(_) | Answer::EpochEnds(_) | Answer::Deleted(_) => Work::Offsets,
        Answer::Sizes(_) | Answer::Quorums(_) => Work::Lists,
        Answer::Elected(_) => Work::Admin,
        Answer::ProducerId(_) => Work::Produce,
        Answer::Admin(_) | Answer::Committed { .. } => Work::Admin,
        Answer::Coordinated { .. } => Work::Groups,
    }
}

/// What a frame of Kafka's protocol asks for, by the number that it begins with.
pub fn of_frame(frame: &[u8]) -> Work {
    match frame {
        [high, low, ..] => of_api(i16::from_be_bytes([*high, *low])),
        _ => Work::Connections,
    }
}

/// What requests of this kind are.
pub fn of_api(number: i16) -> Work {
    match number {
        api::PRODUCE => Work::Produce,
        api::FETCH => Work::Fetch,
        api::LIST_OFFSETS | api::OFFSET_FOR_LEADER_EPOCH | api::DELETE_RECORDS => Work::Offsets,
        api::METADATA
        | api::DESCRIBE_CONFIGS
        | api::DESCRIBE_LOG_DIRS
        | api::LIST_PARTITION_REASSIGNMENTS
        | api::DESCRIBE_QUORUM
        | api::DESCRIBE_CLUSTER
        | api::LIST_CONFIG_RESOURCES
        | api::DESCRIBE_TOPIC_PARTITIONS => Work::Lists,
        api::CREATE_TOPICS
        | api::DELETE_TOPICS
        | api::CREATE_PARTITIONS
        | api::ALTER_CONFIGS
        | api::INCREMENTAL_ALTER_CONFIGS
        | api::ELECT_LEADERS
        | api::ALTER_PARTITION_REASSIGNMENTS => Work::Admin,
        api::OFFSET_COMMIT
        | api::OFFSET_FETCH
        | api::OFFSET_DELETE
        | api::FIND_COORDINATOR
        | api::JOIN_GROUP
        | api::HEARTBEAT
        | api::LEAVE_GROUP
        | api::SYNC_GROUP
        | api::DESCRIBE_GROUPS
        | api::LIST_GROUPS
        | api::DELETE_GROUPS
        | api::CONSUMER_GROUP_HEARTBEAT
        | api::CONSUMER_GROUP_DESCRIBE => Work::Groups,
        _ => Work::Hello,
    }
}
