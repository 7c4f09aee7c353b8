//! Counters that the metrics endpoint reads while the shard runs.

use crate::inquiry::Inquiries;
use crate::meters::TopicMeters;
use crate::stages::{Histogram, Stages};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use torc_base::turns::TurnMeter;

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $kind:ident $name:ident,)*) => {
        /// One shard's counters. Written by the shard alone, with plain stores of relaxed order; read by anybody.
        #[derive(Debug, Default)]
        pub struct Stats {
            /// The shard serves clients.
            pub ready: AtomicBool,
            /// Times of requests.
            pub stages: Stages,
            /// From handing a batch to the disk until it is durable, of every batch of this shard's log.
            pub wal_flush: Histogram,
            /// What long turns are spent on.
            pub turns: Arc<TurnMeter>,
            /// Questions from outside.
            pub inquiries: Inquiries,
            /// By topic.
            pub topics: TopicMeters,
            $($(#[doc = $doc])* pub $name: AtomicU64,)*
        }

        impl Stats {
            /// Name (without prefix), help, Prometheus type, value.
            pub fn each(&self) -> Vec<(&'static str, &'static str, &'static str, u64)> {
                vec![$((
                    stringify!($name),
                    concat!($($doc),*),
                    stringify!($kind),
                    self.$name.load(Ordering::Relaxed),
                )),*]
            }
        }
    };
}

counters! {
    /// Connections that are open.
    gauge connections,
    /// Connections that were accepted.
    counter connections_accepted_total,
    /// Requests that were decoded.
    counter requests_total,
    /// Requests that could not be decoded; each cost its connection.
    counter requests_malformed_total,
    /// Record batches that were appended.
    counter produce_batches_total,
    /// Records that were appended.
    counter produce_records_total,
    /// Bytes of record batches that were appended.
    counter produce_bytes_total,
    /// Produced partitions that were answered with an error.
    counter produce_errors_total,
    /// Repeated batches of idempotent producers that were answered from memory.
    counter produce_duplicates_total,
    /// Produced partitions answered with acks=0: nothing promised.
    counter produce_acks_none_total,
    /// Requests that took longer than `torc.slow.request.ms`.
    counter slow_requests_total,
    /// Records in the batches that were sent to consumers.
    counter fetch_records_total,
    /// Bytes of record batches that were sent to consumers.
    counter fetch_bytes_total,
    /// Partition reads that had to wait for the disk.
    counter fetch_cold_reads_total,
    /// Read operations on the WAL's files, recovery aside.
    counter wal_reads_total,
    /// Bytes of these reads.
    counter wal_read_bytes_total,
    /// Reads of sequential consumers that found their records read ahead, or on their way.
    counter read_ahead_hits_total,
    /// Reads of sequential consumers that had to ask the disk themselves.
    counter read_ahead_misses_total,
    /// Chunks read ahead that were dropped before their last record was asked for.
    counter read_ahead_dropped_total,
    /// Memory of what was read from disk and is kept for consumers.
    gauge read_ahead_bytes,
    /// Log groups of this shard.
    gauge groups,
    /// WAL batches that were written.
    counter wal_batches_total,
    /// Bytes that were written to the WAL, padding included.
    counter wal_bytes_total,
    /// Entries in WAL batches: record batches, and those of torc's own.
    counter wal_entries_total,
    /// WAL segments that hold data, cold ones included.
    gauge wal_segments,
    /// Bytes of entries in the WAL that are not dead.
    gauge wal_live_bytes,
    /// Cold segments: what the cleaner moved forward is in them.
    gauge cleaner_cold_segments,
    /// Segments that are worth emptying or sorting and wait for the cleaner.
    gauge cleaner_waiting_segments,
    /// Passes of the cleaner.
    counter cleaner_passes_total,
    /// Bytes that the cleaner read.
    counter cleaner_read_bytes_total,
    /// Bytes that the cleaner wrote.
    counter cleaner_written_bytes_total,
    /// Bytes of files that were freed after the cleaner had emptied them.
    counter cleaner_freed_bytes_total,
    /// Compactions: each goes through the partitions that are due.
    counter compactions_total,
    /// Bytes of record batches that compaction went through, and of what it left out of them.
    counter compaction_read_bytes_total,
    counter compaction_removed_bytes_total,
    /// The largest part of a compacted partition that has yet to be compacted, in percent, at the last look.
    gauge compaction_max_dirty_percent,
    /// Checkpoints that were published.
    counter checkpoints_total,
    /// 1 while one is taken or written.
    gauge checkpoint_under_way,
    /// Places of the log where damage was found: its bytes are not those that were written.
    counter damage_found_total,
    /// Ranges of entries that were compared with those of the leader.
    counter replica_ranges_compared_total,
    /// Those that were not the same.
    counter replica_differences_total,
    /// Partitions that were damaged here and have all again that they had, and places that can be read again, from other replicas.
    counter damage_repaired_total,
    /// 1 while producers are refused for lack of disk space.
    gauge disk_full,
    /// 1 after a failed write: the shard takes nothing more.
    gauge fenced,
    /// Memory of requests that are being received or wait for their answers.
    gauge request_memory_bytes,
    /// Memory of answers that wait for their sockets.
    gauge answer_memory_bytes,
    /// Memory of what was read from disk: on its way, kept for consumers, or being sent.
    gauge read_memory_bytes,
    /// Memory of the log's batches: waiting, in flight, kept as its tail, or being sent.
    gauge log_memory_bytes,
    /// Memory of entries that leaders have sent and that are not on this disk yet.
    gauge follower_memory_bytes,
    /// Shards of other nodes to which there are links.
    gauge peer_links,
    /// Links that broke.
    counter peer_links_lost_total,
    /// Links on which nothing came for too long.
    counter peer_silences_total,
    /// Beats that were sent because nothing else was to be said.
    counter peer_beats_sent_total,
    /// Beats that came.
    counter peer_beats_received_total,
    /// Nodes' shards that were noticed to be gone: by a broken connection or by silence.
    counter peer_detections_total,
    /// Microseconds from the last that was heard of each of them until it was noticed to be gone.
    counter peer_detection_us_total,
    /// The same of the last one.
    gauge peer_detection_last_us,
    /// Calls to shards of other nodes.
    counter peer_calls_total,
    /// Calls that came to nothing.
    counter peer_calls_failed_total,
    /// Callers that were not let in.
    counter peer_refusals_total,
    /// Sends to other nodes, each with all that waited.
    counter peer_sends_total,
    /// Bytes that were sent to other nodes.
    counter peer_sent_bytes_total,
    /// Memory of frames of other nodes: on their way, or kept by the log.
    gauge peer_memory_bytes,
}

/// Adds to a counter that only this thread writes.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// Sets a gauge.
pub(crate) fn set(gauge: &AtomicU64, n: u64) {
    gauge.store(n, Ordering::Relaxed);
}
