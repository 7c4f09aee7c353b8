//! Every bound that torc keeps, in one place, with the relations between them checked when it is compiled.
//! Bytes unless the name says otherwise. What users may change is a setting whose default stands here.

/// What O_DIRECT aligns to, what a batch is padded to, and the smallest pooled buffer.
pub const PAGE: usize = 4096;

/// Default size of a WAL segment.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Smallest segment that can be asked for (the simulator uses it).
pub const SEGMENT_BYTES_MIN: u64 = 256 << 10;
/// Largest segment: positions inside it are 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// A WAL batch is cut at the latest when it holds this much.
pub const BATCH_BYTES_SOFT: usize = 4 << 20;
/// Entries of one WAL batch, as its format allows, and after how many one of new entries is cut: when it is durable all of them are done with
/// in one turn.
pub const BATCH_ENTRIES_MAX: usize = 16 << 10;
pub const BATCH_ENTRIES_SOFT: usize = 512;
/// Batches that may be in flight to the disk at once.
pub const BATCHES_IN_FLIGHT_MAX: usize = 16;
/// Separate runs of memory that one WAL write gathers; the kernel's IOV_MAX is 1024.
pub const BATCH_RUNS_MAX: usize = 512;

/// Largest entry of a log, and so the largest value of `max.message.bytes`.
pub const ENTRY_BYTES_MAX: usize = 32 << 20;
/// Any log takes an entry of this length, whatever its segments.
pub const ENTRY_BYTES_ANYWHERE: usize = SEGMENT_BYTES_MIN as usize - 16 * PAGE;
/// Default of `message.max.bytes`, as in Kafka.
pub const MESSAGE_BYTES_DEFAULT: usize = 1_048_588;
/// From this size on a request is received into a buffer of its own and written from there.
pub const LARGE_FRAME: usize = 32 << 10;
/// Bytes of records that a compressed batch may hold; one that holds more is MESSAGE_TOO_LARGE. (Kafka has no such bound;
/// 1 MB of gzip holds no more.)
pub const INFLATED_BYTES_MAX: u64 = 1 << 30;
/// Largest window of a zstd frame, as a power of two: the 128 MiB that Kafka's clients read. Memory is touched only as far
/// as records are decompressed.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Memory of a decoder that is kept for the next compressed batch.
pub const INFLATE_KEEP_BYTES: usize = 1 << 20;
/// What one turn of a shard does of all kinds of work together, in units of about a microsecond; what each kind that waits
/// gets of it at least; and how much of what one turn did beyond is taken from later ones.
pub const TURN_COST: isize = 1_000;
pub const TURN_PART: isize = TURN_COST / 8;
pub const TURN_DEBT_MAX: isize = 4 * TURN_COST;
/// Topics and partitions of requests that name many which one turn of a shard looks at, the last request aside, and how
/// many a request may name that never waits for its turn.
pub const TURN_ITEMS: usize = 512;
pub const TURN_ITEMS_FREE: usize = 32;
/// Bytes of records that one turn of a shard decompresses, so that other requests go on meanwhile, and how many of them
/// belong to one connection before the next has its turn.
pub const OPENING_TURN: usize = 256 << 10;
pub const OPENING_SLICE: usize = 128 << 10;
/// Longer produce requests have their batches checked over turns as well, whether they are compressed or not.
pub const CHECKED_AT_ONCE: usize = 2 << 20;
/// Memory of one shard for compressed batches whose opening takes more than a turn, besides the batches: one with the
/// largest window of zstd at a time, with others that need less. What a single step asks for comes on top.
pub const OPENING_MEMORY: usize = 160 << 20;
/// What one key takes that a compaction has come by, of `log.cleaner.dedupe.buffer.size`: a topic with more keys than that
/// holds is compacted in several passes.
pub const COMPACTION_KEY_BYTES: usize = 24;
/// Records of the largest batch that is compacted. One batch always finds room for its keys, also beyond
/// `log.cleaner.dedupe.buffer.size`: nothing behind it would be compacted ever.
pub const COMPACTION_BATCH_RECORDS_MAX: usize = 1 << 20;
/// Bytes of records that one turn of a shard compacts, as for those that it opens.
pub const COMPACTION_TURN: usize = 128 << 10;
/// Records of one compressed batch that compaction holds in memory while it makes a shorter one; a batch of which more is
/// left stays as it is.
pub const COMPACTION_BATCH_BYTES_MAX: usize = 16 << 20;
/// Look-ups by time of one shard whose batches are being opened over several turns, and that wait for the disk; further
/// ones wait without holding anything.
pub const LOOKUPS_OPEN_MAX: usize = 8;
pub const LOOKUPS_READING_MAX: usize = 64;
/// Default of `socket.request.max.bytes`, as in Kafka.
pub const FRAME_BYTES_MAX: usize = 100 << 20;

/// One provided receive buffer.
pub const RECV_BUF_BYTES: usize = 32 << 10;
/// Provided receive buffers of a shard's ring (a power of two).
pub const RECV_BUFS: usize = 128;
/// Memory of one shard for receive buffers, which small requests stay in until they are answered. Whoever finds none receives
/// into memory of its own.
pub const RECV_MEMORY: usize = 256 << 20;
/// Memory of one shard for requests that are being received or wait for their answers.
pub const FRAMES_MEMORY: usize = 256 << 20;
/// Pages of one shard that are registered with the kernel for WAL writes.
pub const REGISTERED_PAGES: usize = 2048;
/// Memory of one shard for WAL batches in flight.
pub const WAL_MEMORY: usize = 64 << 20;
/// Memory of one shard for the newest batches, from which fetches of the tail are answered.
pub const TAIL_CACHE_BYTES: usize = 32 << 20;
/// Memory of one shard for reads from disk.
pub const READ_MEMORY: usize = 128 << 20;
/// The part of it that may hold what is read ahead.
pub const READ_AHEAD_BYTES: usize = 32 << 20;

/// Memory of one shard for entries that leaders of other nodes have sent, until they are on this disk: whatever clients
/// hold, replication goes on.
pub const FOLLOWERS_MEMORY: usize = 128 << 20;
/// Entries of groups that a shard leads which may wait for a quorum: each has some 200 bytes in memory besides what the log keeps, and a
/// quorum may be there and have full disks, for hours. Beyond that producers are refused, but a group that has few may always have those.
pub const UNCOMMITTED_ENTRIES_MAX: u64 = 1 << 20;
pub const UNCOMMITTED_ENTRIES_FREE: u64 = 1 << 10;

/// Connections of one shard.
pub const CONNECTIONS_MAX: usize = 20_000;
/// Requests of one connection that may wait for their answers; beyond it the connection is not read.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 128;
/// The same of a client of ZooKeeper, whose library may send as many as it likes.
pub const ZNODE_REQUESTS_IN_FLIGHT_MAX: usize = 1_024;
/// Identities that are kept of one ZooKeeper client: those that it gave, and its address; and their bytes. With each change that it
/// asks for they travel to the tree's leader.
pub const CLIENT_IDENTITIES_MAX: usize = 128;
pub const CLIENT_IDENTITIES_BYTES_MAX: usize = 64 << 10;
/// Bytes of requests of one connection that wait for their answers, the last of them aside; beyond it the connection is
/// not read.
pub const WAITING_BYTES_MAX: usize = 32 << 20;
/// Bytes of answers that may wait on one connection; beyond it the connection is not read.
pub const REPLY_BYTES_MAX: usize = 1 << 20;
/// Memory of one shard for answers that wait for their sockets. What lies in the log is taken back from slow ones; what
/// does not, makes those wait that ask for as much.
pub const ANSWERS_MEMORY: usize = 256 << 20;
/// What is sent next of an answer that was taken back: at first, and at most when the socket takes it quickly.
pub const PIECE_BYTES_MIN: usize = 64 << 10;
pub const PIECE_BYTES_MAX: usize = 1 << 20;
/// What a consumer is given at once of whom it is not known that it reads; then twice what it has read, as far as there is memory.
pub const START_BYTES: usize = 128 << 10;
/// Bytes of answers larger than [`PIECE_BYTES_MIN`] that a shard hands to its sockets in one turn, the last one aside:
/// the kernel copies them before it comes to anything else.
pub const TURN_SEND_BYTES: usize = 1 << 20;
/// What a watch that is taken up again after a reconnect counts for among these.
pub const RESUMED_WATCH_BYTES: usize = 512;

/// Topics of a cluster.
pub const TOPICS_MAX: usize = 100_000;
/// Topics that have metrics of their own; what the others do is added up.
pub const TOPIC_METRICS_MAX: usize = 200;
/// Committed offsets of consumer groups that metrics can show, each in two lines of some hundred bytes.
pub const METRICS_OFFSETS_MAX: usize = 200_000;
/// Partitions of one topic.
pub const TOPIC_PARTITIONS_MAX: usize = 100_000;
/// Partitions that one request makes, as in Kafka.
pub const MADE_PARTITIONS_MAX: usize = 10_000;
/// Partitions of one node.
pub const PARTITIONS_MAX: usize = 200_000;
/// Length of a topic's name, as in Kafka.
pub const TOPIC_NAME_MAX: usize = 249;
/// Partitions named in one request.
pub const REQUEST_PARTITIONS_MAX: usize = 200_000;
/// Idempotent producers remembered by one partition; the longest idle is forgotten first.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 10_000;
/// Record batches remembered of one idempotent producer, as in Kafka.
pub const PRODUCER_BATCHES: usize = 5;
/// Fetch sessions of one shard, as in Kafka (`max.incremental.fetch.session.cache.slots`).
pub const FETCH_SESSIONS_MAX: usize = 1_000;
/// Partitions in all fetch sessions of one shard.
pub const FETCH_SESSION_PARTITIONS_MAX: usize = 500_000;
/// Answer to one fetch, whatever the client asks for.
pub const FETCH_BYTES_MAX: usize = 64 << 20;

/// Members of one consumer group, whatever `group.max.size` says.
pub const GROUP_MEMBERS_MAX: usize = 10_000;
/// An answer to a request that names resources or groups, of which each may take much: what does not fit in is refused, the
/// last of them aside. So may a request name so many groups again.
pub const LIST_BYTES_MAX: usize = 64 << 20;
pub const GROUP_REPEATS_MAX: usize = 16;
/// Memory of one group's members: what they say of themselves and what is assigned to them stands in one record.
pub const GROUP_BYTES_MAX: usize = 8 << 20;
/// The names that a member gives itself: its client's id, which is cut, and its instance's, which is refused beyond this.
/// Its id is made of them, and all three stand in records, whose texts have at most 32767 bytes.
pub const MEMBER_NAME_BYTES_MAX: usize = 1_024;
/// What one member may say of itself, in all protocols that it knows, and how many those may be.
pub const MEMBER_METADATA_BYTES_MAX: usize = 1 << 20;
pub const GROUP_PROTOCOLS_MAX: usize = 100;
/// Length of the pattern that a consumer subscribes with.
pub const PATTERN_BYTES_MAX: usize = 4 << 10;
/// Consumer groups that have settings of their own, and the length of their names.
pub const GROUP_CONFIGS_MAX: usize = 10_000;
pub const GROUP_NAME_BYTES_MAX: usize = 1_024;
/// Groups of one coordinator, that is of one partition of `__consumer_offsets`.
pub const GROUPS_PER_COORDINATOR_MAX: usize = 100_000;
/// Memory of one coordinator for groups and offsets; beyond it nothing new is taken.
pub const COORDINATOR_BYTES_MAX: usize = 256 << 20;
/// Groups of which one turn looks for offsets that have expired.
pub const EXPIRY_GROUPS: usize = 256;

/// Entries of one message from a leader to a follower.
pub const REPLICATE_ENTRIES_MAX: u64 = 256;
/// Entries that a leader sends to a follower beyond what it has acknowledged.
pub const REPLICATE_WINDOW: u64 = 4096;
/// Messages that hold them; while so many are under way the next one grows.
pub const REPLICATE_MESSAGES_WINDOW: usize = 256;
/// Bytes of them; the message that reaches it may exceed it.
pub const REPLICATE_BYTES_WINDOW: u64 = 8 << 20;

/// One message between members of a group, its entries aside, and the messages of all groups in one frame between two
/// servers, with what stands before their entries.
pub const PEER_MESSAGE_BYTES_MAX: usize = 8 << 10;
pub const PEER_HEAD_BYTES_MAX: usize = 1 << 20;
/// Bytes of entries in such a frame, the last one aside.
pub const PEER_ENTRIES_BYTES: usize = 4 << 20;
/// Bytes of mail in one frame between two servers, and so of one piece of it.
pub const PEER_MAIL_BYTES_MAX: usize = 16 << 20;
/// Longest frame between two servers.
pub const PEER_FRAME_BYTES_MAX: usize = 40 << 20;
/// Memory of one shard for such frames that are being received. Their entries are counted from then on until they are on
/// this disk ([`FOLLOWERS_MEMORY`]).
pub const PEER_FRAMES_MEMORY: usize = 96 << 20;
/// What waits for one link, while the frame before is on its way: messages between members of groups, and bytes of mail. A
/// link for which more waits is as if broken.
pub const PEER_MESSAGES_MAX: usize = 1 << 18;
pub const PEER_MAIL_WAITING_MAX: usize = 2 * PEER_MAIL_BYTES_MAX;
/// Reads of a shard for followers that lag may have so much memory beyond what other readers use, the last entry aside; and
/// so many bytes come of one of them.
pub const PEER_READ_MEMORY: usize = 16 << 20;
pub const PEER_READ_BYTES: usize = 1 << 20;
/// Of old entries so many bytes are on their way from one shard to another while clients write, the last message aside: whoever
/// flushes waits behind them.
pub const OLD_BYTES_PRESSED: u64 = 1 << 20;
/// An entry that another member has lost comes in pieces of so many bytes; so many entries are asked for at a time, and read at a time
/// for one that asks; and a start keeps so many bytes of whole entries that lie behind damaged ones.
pub const LENT_PIECE_BYTES: usize = 2 << 20;
pub const LENT_AT_ONCE: usize = 4;
pub const BEHIND_BYTES_MAX: usize = 128 << 20;
/// Connections of a shard that have not said yet which node calls.
pub const PEER_STRANGERS_MAX: usize = 1_024;

/// Shards of one node.
pub const SHARDS_MAX: usize = 256;

/// Nodes of a cluster, and replicas of one partition.
pub const NODES_MAX: usize = 256;
pub const REPLICAS_MAX: usize = 15;
/// Entries that the catalog's log keeps for members that were away for a while; who was away for longer gets the whole catalog.
pub const CATALOG_KEPT_ENTRIES: u64 = 1_024;
/// Segments of deleted records that a leader keeps at most for members that lack them, where it has less of a partition that is not
/// deleted: else as much as that.
pub const DELETED_KEPT_SEGMENTS: u64 = 4;
/// The same of the tree's log.
pub const TREE_KEPT_ENTRIES: u64 = 8_192;
/// Nodes that vote on the catalog; the others learn it.
pub const CATALOG_VOTERS_MAX: usize = 5;
/// Nodes that may have a partition while it is moved: those that had it, and all that were to get it since.
pub const MOVE_MEMBERS_MAX: usize = 4 * REPLICAS_MAX;
/// Listeners of one node, and the length of the names of its rack and of a listener's host.
pub const LISTENERS_MAX: usize = 64;
pub const NODE_TEXT_BYTES_MAX: usize = 1_024;
/// A request for changes of the catalog that is handed on to the controller, and all of them of one node that it has not
/// answered; and its answer, which tells no details where it would be longer.
pub const FORWARD_BYTES_MAX: usize = 1 << 20;
pub const FORWARDED_BYTES_MAX: usize = 4 << 20;
pub const FORWARD_ANSWER_BYTES_MAX: usize = 1 << 20;
/// A replica that has lacked something of its leader's log for so long is not in sync, by default (`replica.lag.time.max.ms`).
pub const REPLICA_LAG_MS: u64 = 30_000;
/// Copies that a topic gets unless somebody says, where there are as many nodes.
pub const REPLICATION_DEFAULT: usize = 3;

/// A change that a client of ZooKeeper asks for, as it travels to the tree's leader with all that is known of the client.
const FORWARDED_CHANGE_BYTES_MAX: usize =
    TREE_TXN_BYTES_MAX + CLIENT_IDENTITIES_BYTES_MAX + (CLIENT_IDENTITIES_MAX << 5) + (1 << 10);

/// Znodes of the tree: their places are 32 bits.
pub const ZNODES_MAX: usize = 1 << 30;
/// A znode's path, its data, and its access list as it is kept.
pub const ZNODE_PATH_BYTES_MAX: usize = 1 << 20;
pub const ZNODE_DATA_BYTES_MAX: usize = 8 << 20;
pub const ZNODE_ACL_BYTES_MAX: usize = 1 << 20;
/// An answer to a client of the tree, and the results of many reads in one request, the last of them aside: whoever asks for
/// more is refused. (Clients of ZooKeeper take 1 MiB, unless told otherwise.)
pub const ZNODE_ANSWER_BYTES_MAX: usize = 64 << 20;
pub const ZNODE_READS_BYTES_MAX: usize = 8 << 20;
/// One transaction of the tree, and the operations of one multi.
pub const TREE_TXN_BYTES_MAX: usize = 12 << 20;
pub const TREE_OPS_MAX: usize = 100_000;
/// Operations of a multi that are looked at in one turn, and those of all transactions that are applied in one: what is longer
/// takes several, others are answered in between.
pub const TREE_TURN_OPS: usize = 2_048;
/// Ephemeral znodes that one transaction deletes as their session ends, and the bytes of their paths, the last one aside:
/// a session that owns more ends in several. Logs may have transactions of the first number, those that are made now of the second.
pub const SESSION_END_ZNODES: usize = 4_096;
pub const SESSION_END_PART: usize = 1_024;
pub const SESSION_END_PATH_BYTES: usize = 1 << 20;
/// Sessions of a cluster.
pub const SESSIONS_MAX: usize = 1_000_000;
/// Watches of one server.
pub const WATCHES_MAX: usize = 16_000_000;
/// One piece of a snapshot of the tree, its last znode aside: of one for another member, and of one for a checkpoint, for which
/// whoever writes to the tree waits at each turn. And the first with its last znode.
pub const TREE_PIECE_BYTES: usize = 256 << 10;
pub const TREE_CHECKPOINT_PIECE_BYTES: usize = 32 << 10;
pub const TREE_PIECE_BYTES_MAX: usize =
    TREE_PIECE_BYTES + ZNODE_PATH_BYTES_MAX + ZNODE_DATA_BYTES_MAX + ZNODE_ACL_BYTES_MAX + (1 << 10);
/// What is written at once of a checkpoint.
pub const CHECKPOINT_WRITE_BYTES: usize = 256 << 10;
/// What goes at once of a tree that another member gets, what of it may be under way, and what changes may add to it that waits: a
/// tree that changes faster than it is taken is begun again.
pub const TREE_PART_BYTES: usize = 128 << 10;
pub const TREE_PARTS_WINDOW: u64 = 4 << 20;
pub const TREE_ASIDE_BYTES_MAX: usize = 64 << 20;

const _: () = {
    assert!(PAGE.is_power_of_two());
    assert!(SEGMENT_BYTES_MIN <= SEGMENT_BYTES && SEGMENT_BYTES <= SEGMENT_BYTES_MAX);
    assert!(SEGMENT_BYTES_MAX <= u32::MAX as u64);
    assert!(
        BATCH_BYTES_SOFT <= ENTRY_BYTES_MAX,
        "one entry may make a batch longer than its soft bound, not the other way round"
    );
    assert!((ENTRY_BYTES_MAX as u64) < SEGMENT_BYTES, "an entry lies in one segment, with its header and the footer");
    assert!(BATCH_ENTRIES_SOFT <= BATCH_ENTRIES_MAX);
    assert!(BATCH_RUNS_MAX <= 1024, "IOV_MAX");
    assert!(MESSAGE_BYTES_DEFAULT <= ENTRY_BYTES_MAX && ENTRY_BYTES_MAX < FRAME_BYTES_MAX);
    assert!(INFLATED_BYTES_MAX >= 1000 * MESSAGE_BYTES_DEFAULT as u64 && INFLATED_BYTES_MAX < i32::MAX as u64);
    assert!(OPENING_SLICE <= OPENING_TURN && OPENING_MEMORY > 1 << ZSTD_WINDOW_LOG_MAX);
    assert!(COMPACTION_BATCH_BYTES_MAX <= ENTRY_BYTES_MAX && COMPACTION_BATCH_BYTES_MAX >= 8 * MESSAGE_BYTES_DEFAULT);
    assert!(INFLATED_BYTES_MAX >= 32 * ENTRY_BYTES_MAX as u64, "batches of any size may be well compressed");
    assert!(
        FRAME_BYTES_MAX + FRAMES_MEMORY / 8 + FRAMES_MEMORY / 4 <= FRAMES_MEMORY,
        "the largest request gets its turn"
    );
    assert!(RECV_BUF_BYTES.is_multiple_of(PAGE) && RECV_BUFS.is_power_of_two() && RECV_BUFS <= 32768);
    assert!(RECV_BUFS * RECV_BUF_BYTES * 4 <= RECV_MEMORY);
    assert!(WAITING_BYTES_MAX + FRAME_BYTES_MAX <= FRAMES_MEMORY, "one connection cannot use up what all share");
    assert!(RECV_BUF_BYTES <= LARGE_FRAME);
    assert!(BATCHES_IN_FLIGHT_MAX * BATCH_BYTES_SOFT <= WAL_MEMORY);
    assert!(16 * PEER_READ_BYTES <= PEER_READ_MEMORY);
    assert!(READ_AHEAD_BYTES <= READ_MEMORY / 2 && ENTRY_BYTES_MAX * 2 <= READ_MEMORY);
    assert!(MADE_PARTITIONS_MAX <= TOPIC_PARTITIONS_MAX && TOPIC_PARTITIONS_MAX <= PARTITIONS_MAX);
    assert!(FORWARD_BYTES_MAX <= FORWARDED_BYTES_MAX && 2 * FORWARDED_BYTES_MAX < PEER_MAIL_WAITING_MAX);
    assert!(FORWARDED_BYTES_MAX + FORWARD_ANSWER_BYTES_MAX < PEER_MAIL_BYTES_MAX);
    assert!(FORWARDED_CHANGE_BYTES_MAX < PEER_MAIL_BYTES_MAX, "a client's change is one piece of mail");
    assert!(FORWARDED_BYTES_MAX + FORWARDED_CHANGE_BYTES_MAX < PEER_MAIL_WAITING_MAX);
    assert!(ZNODES_MAX < u32::MAX as usize);
    assert!(WATCHES_MAX < u32::MAX as usize);
    assert!(ZNODE_PATH_BYTES_MAX + ZNODE_DATA_BYTES_MAX + ZNODE_ACL_BYTES_MAX < TREE_TXN_BYTES_MAX);
    assert!(ZNODE_READS_BYTES_MAX + ZNODE_DATA_BYTES_MAX < ZNODE_ANSWER_BYTES_MAX, "the last of many reads fits in");
    assert!(ZNODE_ANSWER_BYTES_MAX <= ANSWERS_MEMORY / 4);
    assert!(ZNODE_DATA_BYTES_MAX < i32::MAX as usize && TREE_TXN_BYTES_MAX <= ENTRY_BYTES_MAX / 2);
    assert!(SESSION_END_PART <= SESSION_END_ZNODES);
    assert!(TREE_TURN_OPS < TREE_OPS_MAX);
    assert!(SESSION_END_PATH_BYTES + ZNODE_PATH_BYTES_MAX + 8 * SESSION_END_ZNODES < TREE_TXN_BYTES_MAX);
    assert!(TREE_CHECKPOINT_PIECE_BYTES <= CHECKPOINT_WRITE_BYTES && CHECKPOINT_WRITE_BYTES.is_multiple_of(PAGE));
    assert!(TREE_CHECKPOINT_PIECE_BYTES <= TREE_PIECE_BYTES && TREE_PIECE_BYTES_MAX <= ENTRY_BYTES_MAX);
    assert!(TREE_PART_BYTES < SEGMENT_BYTES_MIN as usize && TREE_PART_BYTES < PEER_MAIL_BYTES_MAX);
    assert!(TREE_PARTS_WINDOW as usize + TREE_PART_BYTES <= PEER_MAIL_WAITING_MAX / 4);
    assert!(TREE_PARTS_WINDOW as usize + TREE_PART_BYTES <= FOLLOWERS_MEMORY / 8);
    assert!(REPLICATION_DEFAULT <= REPLICAS_MAX && REPLICAS_MAX <= NODES_MAX);
    assert!(CATALOG_VOTERS_MAX % 2 == 1 && CATALOG_VOTERS_MAX <= NODES_MAX);
    assert!(TOPIC_METRICS_MAX < u16::MAX as usize, "places in the table of metrics are 16 bits");
    assert!(REPLY_BYTES_MAX + LIST_BYTES_MAX <= ANSWERS_MEMORY / 2, "one list leaves room for others");
    assert!(REPLY_BYTES_MAX + FETCH_BYTES_MAX <= ANSWERS_MEMORY, "one connection cannot use up what all share");
    assert!(MEMBER_METADATA_BYTES_MAX < GROUP_BYTES_MAX && GROUP_BYTES_MAX <= ENTRY_BYTES_MAX / 2);
    assert!(GROUP_BYTES_MAX <= COORDINATOR_BYTES_MAX / 8, "one group cannot use up what all share");
    assert!(FOLLOWERS_MEMORY >= 2 * ENTRY_BYTES_MAX, "one entry is written while the next one comes");
    assert!(PEER_MESSAGE_BYTES_MAX <= u16::MAX as usize && PEER_MESSAGE_BYTES_MAX < PEER_HEAD_BYTES_MAX / 16);
    assert!(PEER_HEAD_BYTES_MAX + PEER_ENTRIES_BYTES + ENTRY_BYTES_MAX < PEER_FRAME_BYTES_MAX);
    assert!(PEER_MAIL_BYTES_MAX < PEER_FRAME_BYTES_MAX && PEER_FRAME_BYTES_MAX < FRAME_BYTES_MAX);
    assert!(PEER_FRAME_BYTES_MAX + PEER_FRAMES_MEMORY / 8 + PEER_FRAMES_MEMORY / 4 <= PEER_FRAMES_MEMORY);
    assert!(LENT_PIECE_BYTES < PEER_MAIL_BYTES_MAX && LENT_AT_ONCE * LENT_PIECE_BYTES <= PEER_MAIL_WAITING_MAX / 4);
    assert!(2 * PEER_FRAME_BYTES_MAX <= FOLLOWERS_MEMORY, "a frame comes while the one before is written");
    assert!(PIECE_BYTES_MIN <= START_BYTES && START_BYTES <= PIECE_BYTES_MAX);
    assert!(PIECE_BYTES_MIN <= PIECE_BYTES_MAX && PIECE_BYTES_MAX <= READ_MEMORY / 4);
};
