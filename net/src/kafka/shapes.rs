//! The layouts of the requests that the schema crate decodes, as data for the guard. Source: the `*Request.json` files
//! of Apache Kafka's `clients/src/main/resources/common/message`.

use super::windows::api;

/// One field of a request, in the versions `from..=to`.
pub(crate) struct Field {
    pub(crate) kind: Kind,
    pub(crate) from: i16,
    pub(crate) to: i16,
    /// First version that allows null.
    pub(crate) null: i16,
}

pub(crate) enum Kind {
    /// A number, truth value or id of so many bytes, any of which is valid.
    Fixed(usize),
    Text,
    /// Bytes that mean something to clients alone.
    Bytes,
    /// An array of [`Kind::Fixed`].
    FixedItems(usize),
    TextItems,
    Structs(&'static [Field]),
    /// One, behind a byte that says whether it is there.
    Struct(&'static [Field]),
}

const NEVER: i16 = i16::MAX;

const fn field(kind: Kind) -> Field {
    Field { kind, from: 0, to: i16::MAX, null: NEVER }
}

const fn fixed(bytes: usize) -> Field {
    field(Kind::Fixed(bytes))
}

const fn text() -> Field {
    field(Kind::Text)
}

const fn structs(fields: &'static [Field]) -> Field {
    field(Kind::Structs(fields))
}

/// Bytes without a meaning, which are laid out as an array of bytes.
const fn bytes() -> Field {
    field(Kind::Bytes)
}

impl Field {
    const fn from(mut self, version: i16) -> Field {
        self.from = version;
        self
    }

    const fn to(mut self, version: i16) -> Field {
        self.to = version;
        self
    }

    const fn null(mut self, version: i16) -> Field {
        self.null = version;
        self
    }
}

const BOOL: usize = 1;
const I8: usize = 1;
const I16: usize = 2;
const I32: usize = 4;
const I64: usize = 8;
const UUID: usize = 16;

/// The fields of requests of `api`, for the APIs that the schema crate decodes. None of them has a known tagged field.
pub(crate) fn fields(api: i16) -> Option<&'static [Field]> {
    Some(match api {
        api::LIST_OFFSETS => LIST_OFFSETS,
        api::METADATA => METADATA,
        api::OFFSET_COMMIT => OFFSET_COMMIT,
        api::OFFSET_FETCH => OFFSET_FETCH,
        api::FIND_COORDINATOR => FIND_COORDINATOR,
        api::JOIN_GROUP => JOIN_GROUP,
        api::HEARTBEAT => HEARTBEAT,
        api::LEAVE_GROUP => LEAVE_GROUP,
        api::SYNC_GROUP => SYNC_GROUP,
        api::DESCRIBE_GROUPS => DESCRIBE_GROUPS,
        api::LIST_GROUPS => LIST_GROUPS,
        api::DELETE_GROUPS => DELETE_GROUPS,
        api::OFFSET_DELETE => OFFSET_DELETE,
        api::API_VERSIONS => API_VERSIONS,
        api::CREATE_TOPICS => CREATE_TOPICS,
        api::DELETE_TOPICS => DELETE_TOPICS,
        api::DELETE_RECORDS => DELETE_RECORDS,
        api::INIT_PRODUCER_ID => INIT_PRODUCER_ID,
        api::OFFSET_FOR_LEADER_EPOCH => OFFSET_FOR_LEADER_EPOCH,
        api::DESCRIBE_CONFIGS => DESCRIBE_CONFIGS,
        api::ALTER_CONFIGS => ALTER_CONFIGS,
        api::DESCRIBE_LOG_DIRS => DESCRIBE_LOG_DIRS,
        api::CREATE_PARTITIONS => CREATE_PARTITIONS,
        api::INCREMENTAL_ALTER_CONFIGS => INCREMENTAL_ALTER_CONFIGS,
        api::DESCRIBE_CLUSTER => DESCRIBE_CLUSTER,
        api::CONSUMER_GROUP_HEARTBEAT => CONSUMER_GROUP_HEARTBEAT,
        api::CONSUMER_GROUP_DESCRIBE => CONSUMER_GROUP_DESCRIBE,
        api::LIST_CONFIG_RESOURCES => LIST_CONFIG_RESOURCES,
        api::DESCRIBE_TOPIC_PARTITIONS => DESCRIBE_TOPIC_PARTITIONS,
        api::ELECT_LEADERS => ELECT_LEADERS,
        api::ALTER_PARTITION_REASSIGNMENTS => ALTER_PARTITION_REASSIGNMENTS,
        api::LIST_PARTITION_REASSIGNMENTS => LIST_PARTITION_REASSIGNMENTS,
        api::DESCRIBE_QUORUM => DESCRIBE_QUORUM,
        _ => return None,
    })
}

const LIST_OFFSETS: &[Field] = &[
    fixed(I32),        // replica id
    fixed(I8).from(2), // isolation level
    structs(&[
        text(),
        structs(&[
            fixed(I32),         // partition
            fixed(I32).from(4), // current leader epoch
            fixed(I64),         // timestamp
        ]),
    ]),
    fixed(I32).from(10), // timeout
];

const METADATA: &[Field] = &[
    structs(&[fixed(UUID).from(10), text().null(10)]).null(1), // topic id, name
    fixed(BOOL).from(4),                                       // allow auto creation
    fixed(BOOL).from(8).to(10),                                // include cluster's operations
    fixed(BOOL).from(8),                                       // include topics' operations
];

const API_VERSIONS: &[Field] = &[text().from(3), text().from(3)]; // client software, its version

const CREATE_TOPICS: &[Field] = &[
    structs(&[
        text(),                                               // name
        fixed(I32),                                           // partitions
        fixed(I16),                                           // replication factor
        structs(&[fixed(I32), field(Kind::FixedItems(I32))]), // partition, brokers
        structs(&[text(), text().null(0)]),                   // setting, value
    ]),
    fixed(I32),  // timeout
    fixed(BOOL), // validate only
];

const DELETE_TOPICS: &[Field] = &[
    structs(&[text().null(6), fixed(UUID)]).from(6), // name, topic id
    field(Kind::TextItems).to(5),                    // names
    fixed(I32),                                      // timeout
];

const DELETE_RECORDS: &[Field] = &[
    structs(&[text(), structs(&[fixed(I32), fixed(I64)])]), // topic, partition, offset
    fixed(I32),                                             // timeout
];

const INIT_PRODUCER_ID: &[Field] = &[
    text().null(0),     // transactional id
    fixed(I32),         // transaction timeout
    fixed(I64).from(3), // producer id
    fixed(I16).from(3), // producer epoch
];

const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    fixed(I32).from(3),                                                 // replica id
    structs(&[text(), structs(&[fixed(I32), fixed(I32), fixed(I32)])]), // partition, current epoch, epoch
];

const DESCRIBE_CONFIGS: &[Field] = &[
    structs(&[fixed(I8), text(), field(Kind::TextItems).null(0)]), // type, name, keys
    fixed(BOOL),                                                   // include synonyms
    fixed(BOOL).from(3),                                           // include documentation
];

const ALTER_CONFIGS: &[Field] = &[
    structs(&[fixed(I8), text(), structs(&[text(), text().null(0)])]), // type, name, settings
    fixed(BOOL),                                                       // validate only
];

const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    structs(&[fixed(I8), text(), structs(&[text(), fixed(I8), text().null(0)])]), // setting, operation, value
    fixed(BOOL),                                                                  // validate only
];

const DESCRIBE_LOG_DIRS: &[Field] = &[structs(&[text(), field(Kind::FixedItems(I32))]).null(0)];

const CREATE_PARTITIONS: &[Field] = &[
    structs(&[
        text(),                                           // topic
        fixed(I32),                                       // new number of partitions
        structs(&[field(Kind::FixedItems(I32))]).null(0), // assignment: brokers
    ]),
    fixed(I32),  // timeout
    fixed(BOOL), // validate only
];

const DESCRIBE_CLUSTER: &[Field] = &[
    fixed(BOOL),         // include cluster's operations
    fixed(I8).from(1),   // type of endpoint
    fixed(BOOL).from(2), // include fenced brokers
];

const OFFSET_COMMIT: &[Field] = &[
    text(),                 // group
    fixed(I32),             // generation
    text(),                 // member
    text().from(7).null(7), // instance
    fixed(I64).to(4),       // retention
    structs(&[
        text(), // topic
        structs(&[
            fixed(I32),         // partition
            fixed(I64),         // offset
            fixed(I32).from(6), // leader epoch
            text().null(0),     // metadata
        ]),
    ]),
];

const OFFSET_FETCH: &[Field] = &[
    text().to(7),                                                   // group
    structs(&[text(), field(Kind::FixedItems(I32))]).to(7).null(2), // topic, partitions
    structs(&[
        text(),                                                   // group
        text().from(9).null(9),                                   // member
        fixed(I32).from(9),                                       // its epoch
        structs(&[text(), field(Kind::FixedItems(I32))]).null(8), // topic, partitions
    ])
    .from(8),
    fixed(BOOL).from(7), // without offsets of open transactions
];

const FIND_COORDINATOR: &[Field] = &[
    text().to(3),                   // key
    fixed(I8).from(1),              // its type
    field(Kind::TextItems).from(4), // keys
];

const JOIN_GROUP: &[Field] = &[
    text(),                      // group
    fixed(I32),                  // session timeout
    fixed(I32).from(1),          // rebalance timeout
    text(),                      // member
    text().from(5).null(5),      // instance
    text(),                      // type of protocols
    structs(&[text(), bytes()]), // protocol, metadata
    text().from(8).null(8),      // reason
];

const HEARTBEAT: &[Field] = &[text(), fixed(I32), text(), text().from(3).null(3)]; // group, generation, member, instance

const LEAVE_GROUP: &[Field] = &[
    text(),                                                             // group
    text().to(2),                                                       // member
    structs(&[text(), text().null(3), text().from(5).null(5)]).from(3), // member, instance, reason
];

const SYNC_GROUP: &[Field] = &[
    text(),                      // group
    fixed(I32),                  // generation
    text(),                      // member
    text().from(3).null(3),      // instance
    text().from(5).null(5),      // type of protocols
    text().from(5).null(5),      // protocol
    structs(&[text(), bytes()]), // member, assignment
];

const DESCRIBE_GROUPS: &[Field] = &[field(Kind::TextItems), fixed(BOOL).from(3)]; // groups, include operations

const LIST_GROUPS: &[Field] = &[field(Kind::TextItems).from(4), field(Kind::TextItems).from(5)]; // states, types

const DELETE_GROUPS: &[Field] = &[field(Kind::TextItems)];

const OFFSET_DELETE: &[Field] = &[text(), structs(&[text(), structs(&[fixed(I32)])])]; // group, topic, partition

const CONSUMER_GROUP_HEARTBEAT: &[Field] = &[
    text(),                                                        // group
    text(),                                                        // member
    fixed(I32),                                                    // its epoch
    text().null(0),                                                // instance
    text().null(0),                                                // rack
    fixed(I32),                                                    // rebalance timeout
    field(Kind::TextItems).null(0),                                // names of topics
    text().from(1).null(1),                                        // pattern of names
    text().null(0),                                                // assignor
    structs(&[fixed(UUID), field(Kind::FixedItems(I32))]).null(0), // what it holds: topic id, partitions
];

const CONSUMER_GROUP_DESCRIBE: &[Field] = &[field(Kind::TextItems), fixed(BOOL)]; // groups, include operations

const LIST_CONFIG_RESOURCES: &[Field] = &[field(Kind::FixedItems(I8)).from(1)]; // types

const DESCRIBE_TOPIC_PARTITIONS: &[Field] = &[
    structs(&[text()]),                                 // topics
    fixed(I32),                                         // most partitions
    field(Kind::Struct(&[text(), fixed(I32)])).null(0), // topic and partition to begin with
];

const ELECT_LEADERS: &[Field] = &[
    fixed(I8).from(1),                                        // type of election
    structs(&[text(), field(Kind::FixedItems(I32))]).null(0), // topics and partitions; null: all
    fixed(I32),                                               // timeout
];

const ALTER_PARTITION_REASSIGNMENTS: &[Field] = &[
    fixed(I32),          // timeout
    fixed(BOOL).from(1), // may change the replication factor
    structs(&[
        text(),
        structs(&[
            fixed(I32),                           // partition
            field(Kind::FixedItems(I32)).null(0), // replicas; null: cancel
        ]),
    ]),
];

const LIST_PARTITION_REASSIGNMENTS: &[Field] = &[
    fixed(I32),                                               // timeout
    structs(&[text(), field(Kind::FixedItems(I32))]).null(0), // topics and partitions; null: all
];

const DESCRIBE_QUORUM: &[Field] = &[structs(&[text(), structs(&[fixed(I32)])])]; // topics and partitions
