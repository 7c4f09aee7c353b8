//! What a loop counts, for metrics. Written by its own thread only, read by any.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread raises and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Raises it by `n`. Only the owning loop calls this, so a load and a store do instead of a locked add.
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Counters of one loop since its start.
        #[derive(Debug, Default)]
        pub struct LoopStats {
            $($(#[doc = $doc])* pub $name: Counter,)*
        }

        impl LoopStats {
            /// Every counter as (name, what it counts, value).
            pub fn each(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($doc),*).trim_start(), self.$name.get()),)*]
            }
        }
    };
}

counters! {
    /// Rounds of the loop: events delivered, then operations submitted.
    turns,
    /// Calls of io_uring_enter.
    enters,
    /// Completions taken from the ring.
    completions,
    /// Enters that were allowed to block.
    sleeps,
    /// Times the loop spun instead of sleeping at once.
    spins,
    /// Spins that ended because there was something to do.
    spins_won,
    /// Connections accepted.
    accepted,
    /// Connections closed at once because the shard, or the process, had as many as it may have.
    refused,
    /// Times accepting had to pause because the process was out of file descriptors.
    accept_pauses,
    /// Connections made to other servers.
    connected,
    /// Connections handed over to other shards.
    handed_over,
    /// Connections closed.
    closed,
    /// Bytes received.
    received_bytes,
    /// Bytes sent.
    sent_bytes,
    /// Multishot receives armed.
    multishots,
    /// Receives disarmed because no buffer was free.
    starved,
    /// Disk writes completed.
    disk_writes,
    /// Bytes written to disk.
    disk_written_bytes,
    /// Disk writes made from registered buffers.
    disk_writes_fixed,
    /// Durable disk writes made so by an fdatasync that is linked to them, instead of RWF_DSYNC.
    disk_writes_linked,
    /// Disk reads completed.
    disk_reads,
    /// Disk operations that failed.
    disk_errors,
    /// Mail received from other shards.
    mails,
    /// Other shards woken for mail.
    wakes,
}
