//! Newtypes for everything that is counted or named, so that an offset is never passed where an index belongs.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number itself.
            #[inline]
            pub const fn get(self) -> $inner {
                self.0
            }
            /// The number `n` further on. Overflow is a broken invariant and panics.
            #[inline]
            pub const fn plus(self, n: $inner) -> Self {
                match self.0.checked_add(n) {
                    Some(v) => Self(v),
                    None => panic!(concat!(stringify!($name), " overflows")),
                }
            }
            /// The next number.
            #[inline]
            pub const fn next(self) -> Self {
                self.plus(1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(/** A server of the cluster; Kafka's broker id. */ NodeId(u32));
number!(/** One core of one server: its ring, its WAL, its groups. */ ShardId(u16));
number!(/** One replicated log: a partition, the catalog, or the tree. Unique in the cluster, never reused. */ GroupId(u64));
number!(/** One client connection of one shard; never reused while the process lives. */ ConnId(u64));
number!(/** One of a server's Kafka listeners, from 0, in the order of the configuration. */ ListenerId(u8));
number!(/** Raft's term. 0 before the first election. */ Term(u64));
number!(/** Position of an entry in its group's log, from 1. 0 is "before the first". */ Index(u64));
number!(/** Kafka's record offset, from 0. */ Offset(i64));
number!(/** Kafka's leader epoch of a partition; torc's is the Raft term. */ LeaderEpoch(i32));
number!(/** Kafka's producer id. */ ProducerId(i64));
number!(/** A change of the tree of znodes, in the order of its log: the term, and a counter within it in the low 32 bits. */ Zxid(i64));
number!(/** A ZooKeeper client's session; 0 is none. */ SessionId(i64));
number!(/** Kafka's producer epoch. */ ProducerEpoch(i16));
number!(/** Sequence number of a WAL batch within its shard, from 1. */ BatchSeq(u64));
number!(/** Number of a WAL segment in the order of writing, from 1; a recycled file gets a new one. */ SegmentId(u64));
number!(/** A file slot that the core has asked to open; the reactor keeps the descriptor. */ FileId(u32));
number!(/** Names an outstanding disk operation; returned with its completion. */ Tag(u64));

/// A shard of a node of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Its node.
    pub node: NodeId,
    /// Which of that node's shards.
    pub shard: ShardId,
}

impl GroupId {
    /// The log of topics and their settings, on shard 0.
    pub const CATALOG: GroupId = GroupId(1);
    /// The log of the tree of znodes, on shard 0.
    pub const TREE: GroupId = GroupId(2);
    /// The first id that a partition may get.
    pub const FIRST_PARTITION: GroupId = GroupId(1024);
}

impl SessionId {
    /// No session: what the server does by itself.
    pub const NONE: SessionId = SessionId(0);
}

impl ProducerId {
    /// A batch without idempotence.
    pub const NONE: ProducerId = ProducerId(-1);
}

/// Kafka's 128-bit topic id; zero is "none".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u128);

impl TopicId {
    /// The "no topic id" of the protocol.
    pub const ZERO: TopicId = TopicId(0);
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
