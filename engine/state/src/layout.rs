//! Settings of topics that say how Kafka lays a partition's files out and when it flushes them.

/// They are taken, checked and told like all others, since applications and tools set them, and change nothing: all
/// partitions of a shard share the segments of one log, and nothing is acknowledged before it is flushed. Milliseconds and
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `segment.bytes`.
    pub segment_bytes: i32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: i32,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.ms`.
    pub segment_ms: i64,
}

impl Default for Layout {
    /// Kafka 4's defaults, but for `flush.messages`, which says what is true here.
    fn default() -> Layout {
        Layout {
            file_delete_delay_ms: 60_000,
            flush_messages: 1,
            flush_ms: i64::MAX,
            index_interval_bytes: 4096,
            preallocate: false,
            segment_bytes: 1 << 30,
            segment_index_bytes: 10 << 20,
            segment_jitter_ms: 0,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
        }
    }
}
