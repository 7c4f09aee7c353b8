//! Which APIs torc serves, in which versions.

/// Kafka's API keys, by the names of its schemas.
pub mod api {
    pub const PRODUCE: i16 = 0;
    pub const FETCH: i16 = 1;
    pub const LIST_OFFSETS: i16 = 2;
    pub const METADATA: i16 = 3;
    pub const OFFSET_COMMIT: i16 = 8;
    pub const OFFSET_FETCH: i16 = 9;
    pub const FIND_COORDINATOR: i16 = 10;
    pub const JOIN_GROUP: i16 = 11;
    pub const HEARTBEAT: i16 = 12;
    pub const LEAVE_GROUP: i16 = 13;
    pub const SYNC_GROUP: i16 = 14;
    pub const DESCRIBE_GROUPS: i16 = 15;
    pub const LIST_GROUPS: i16 = 16;
    pub const API_VERSIONS: i16 = 18;
    pub const CREATE_TOPICS: i16 = 19;
    pub const DELETE_TOPICS: i16 = 20;
    pub const DELETE_RECORDS: i16 = 21;
    pub const INIT_PRODUCER_ID: i16 = 22;
    pub const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
    pub const DESCRIBE_CONFIGS: i16 = 32;
    pub const ALTER_CONFIGS: i16 = 33;
    pub const DESCRIBE_LOG_DIRS: i16 = 35;
    pub const CREATE_PARTITIONS: i16 = 37;
    pub const DELETE_GROUPS: i16 = 42;
    pub const ELECT_LEADERS: i16 = 43;
    pub const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
    pub const ALTER_PARTITION_REASSIGNMENTS: i16 = 45;
    pub const LIST_PARTITION_REASSIGNMENTS: i16 = 46;
    pub const OFFSET_DELETE: i16 = 47;
    pub const DESCRIBE_QUORUM: i16 = 55;
    pub const DESCRIBE_CLUSTER: i16 = 60;
    pub const CONSUMER_GROUP_HEARTBEAT: i16 = 68;
    pub const CONSUMER_GROUP_DESCRIBE: i16 = 69;
    pub const LIST_CONFIG_RESOURCES: i16 = 74;
    pub const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;
}

/// The versions of one API that torc answers, and the first of its versions that take the compact encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiWindow {
    pub api: i16,
    /// Oldest version that is answered.
    pub min: i16,
    /// Newest version that is answered.
    pub max: i16,
    /// Oldest version that ApiVersions names: not `min` where clients draw wrong conclusions from the truth.
    pub advertised_min: i16,
    /// First version with compact lengths and tagged fields (KIP-482).
    pub flexible: i16,
    /// Newest version that the schema crate knows; later ones of the window have the same layout.
    pub schema_max: i16,
}

const fn served(api: i16, min: i16, max: i16, flexible: i16) -> ApiWindow {
    ApiWindow { api, min, max, advertised_min: min, flexible, schema_max: max }
}

/// Everything that is served, by API key. The ranges are those of a Kafka 4.4 broker but where a line says otherwise.
pub const WINDOWS: &[ApiWindow] = &[
    // Versions 0-2 are named and refused, as Kafka does: old librdkafka takes their absence for "no compression".
    ApiWindow { advertised_min: 0, ..served(api::PRODUCE, 3, 13, 9) },
    served(api::FETCH, 4, 18, 12),
    // 11 is 10 with one more special timestamp (-6, KIP-1023); the schema crate ends at 10.
    ApiWindow { schema_max: 10, ..served(api::LIST_OFFSETS, 1, 11, 6) },
    served(api::METADATA, 0, 13, 9),
    // Requests of version 10 are read in `offsets_by_id`.
    served(api::OFFSET_COMMIT, 2, 10, 8),
    served(api::OFFSET_FETCH, 1, 10, 6),
    served(api::FIND_COORDINATOR, 0, 6, 3),
    served(api::JOIN_GROUP, 0, 9, 6),
    served(api::HEARTBEAT, 0, 4, 4),
    served(api::LEAVE_GROUP, 0, 5, 4),
    served(api::SYNC_GROUP, 0, 5, 4),
    served(api::DESCRIBE_GROUPS, 0, 6, 5),
    served(api::LIST_GROUPS, 0, 5, 3),
    // Kafka 4.4 has 5; the schema crate ends at 4. Clients of version 5 fall back after the answer with error 35.
    served(api::API_VERSIONS, 0, 4, 3),
    served(api::CREATE_TOPICS, 2, 7, 5),
    served(api::DELETE_TOPICS, 1, 6, 4),
    served(api::DELETE_RECORDS, 0, 2, 2),
    served(api::INIT_PRODUCER_ID, 0, 5, 2),
    served(api::OFFSET_FOR_LEADER_EPOCH, 2, 4, 4),
    served(api::DESCRIBE_CONFIGS, 1, 4, 4),
    served(api::ALTER_CONFIGS, 0, 2, 2),
    // Kafka 4.4 has 5; the schema crate ends at 4.
    served(api::DESCRIBE_LOG_DIRS, 1, 4, 2),
    served(api::CREATE_PARTITIONS, 0, 3, 2),
    served(api::DELETE_GROUPS, 0, 2, 2),
    served(api::ELECT_LEADERS, 0, 2, 2),
    served(api::INCREMENTAL_ALTER_CONFIGS, 0, 1, 1),
    served(api::ALTER_PARTITION_REASSIGNMENTS, 0, 1, 0),
    served(api::LIST_PARTITION_REASSIGNMENTS, 0, 0, 0),
    served(api::OFFSET_DELETE, 0, 0, i16::MAX),
    served(api::DESCRIBE_QUORUM, 0, 2, 0),
    served(api::DESCRIBE_CLUSTER, 0, 2, 0),
    served(api::CONSUMER_GROUP_HEARTBEAT, 0, 1, 0),
    served(api::CONSUMER_GROUP_DESCRIBE, 0, 1, 0),
    served(api::LIST_CONFIG_RESOURCES, 0, 1, 0),
    served(api::DESCRIBE_TOPIC_PARTITIONS, 0, 0, 0),
];

/// The window of `api`; `None` if torc does not serve it.
pub fn window(api: i16) -> Option<&'static ApiWindow> {
    WINDOWS.iter().find(|w| w.api == api)
}

/// Kafka's name of an API, such as `Fetch`; `api 99` if it has none.
pub fn api_name(api: i16) -> String {
    match kafka_protocol::messages::ApiKey::try_from(api) {
        Ok(key) => format!("{key:?}"),
        Err(()) => format!("api {api}"),
    }
}
