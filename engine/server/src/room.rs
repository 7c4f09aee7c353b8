//! Whether what a process may use is enough for the shards that are asked for, before any of it is taken.

use crate::{metrics, units};
use torc_base::limits::{CONNECTIONS_MAX, RECV_BUF_BYTES, RECV_BUFS};
use torc_reactor::resources::Limits;

/// Descriptors of a process besides those of its shards, its metrics and its clients: standard streams, the lock,
/// signals, the log, files under /proc that are read, and connections that are about to be closed.
const FILES_OF_PROCESS: u64 = 64;
/// Descriptors of a shard: its ring (twice), directory, eventfd, listening socket, the lock.
const FILES_OF_SHARD: u64 = 6;
/// Clients without which serving makes no sense.
const CLIENTS_MIN: u64 = 64;
const _: () = assert!(CLIENTS_MIN < CONNECTIONS_MAX as u64);
/// What a shard takes at once: receive buffers, blocks for writes, its stack, and the allocator's own.
const SHARD_BYTES: u64 = (RECV_BUFS * RECV_BUF_BYTES) as u64 + (28 << 20);
/// Code, libraries, and the threads besides the shards'.
const PROCESS_BYTES: u64 = 64 << 20;
/// What the kernel's tables of files hold at most.
const SLOTS_MAX: u64 = (1 << 20) - 2;
/// Files of a shard that are no segments.
const OTHER_SLOTS: u64 = 16;

/// Descriptors of a process without clients. Files of the log are none: a ring keeps them in a table of its own.
fn files_without_clients(shards: u16) -> u64 {
    FILES_OF_PROCESS + metrics::FILES_MAX + FILES_OF_SHARD * u64::from(shards)
}

/// Connections that are served at once by all shards together: as many as the limit of open files leaves, and as many
/// as `asked` (`max.connections`), if anybody has. With the reason, which says what to raise.
pub fn connections(open_files: u64, shards: u16, asked: Option<u32>) -> (usize, &'static str) {
    let left = open_files.saturating_sub(files_without_clients(shards)) as usize;
    let most = usize::from(shards) * CONNECTIONS_MAX;
    match asked.map(|asked| asked as usize) {
        Some(asked) if asked <= left && asked <= most => (asked, "which is max.connections"),
        _ if left < most => (left, "as many as the limit of open files (ulimit -n, LimitNOFILE=) has room for"),
        _ => (most, "as many as its shards serve"),
    }
}

/// What keeps so many `shards` from starting, and what to do; `None` if they fit.
pub fn refusal(limits: &Limits, shards: u16) -> Option<String> {
    let files = files_without_clients(shards) + CLIENTS_MIN;
    if let Some(allowed) = limits.files.filter(|allowed| *allowed < files) {
        return Some(format!(
            "{} at least {files} open files, this process may have {allowed}; raise the limit (ulimit -n, \
             LimitNOFILE=), or start with fewer shards (--shards, on a new data directory)",
            need(shards)
        ));
    }
    let bytes = PROCESS_BYTES + SHARD_BYTES * u64::from(shards);
    limits.address_space.filter(|allowed| *allowed < bytes).map(|allowed| {
        format!(
            "{} at least {} of address space, this process may have {}; raise the limit (ulimit -v, LimitAS=), or \
             start with fewer shards (--shards, on a new data directory)",
            need(shards),
            units::rounded_size(bytes),
            units::rounded_size(allowed)
        )
    })
}

/// What may go wrong later, though it starts.
pub fn warning(limits: &Limits, shards: u16) -> Option<String> {
    let bytes = PROCESS_BYTES + 2 * SHARD_BYTES * u64::from(shards);
    limits.memory.filter(|allowed| *allowed < bytes).map(|allowed| {
        format!(
            "the container or service may use {} of memory, {} about {} even with few clients: the kernel kills a process \
             that takes more than it may; raise memory.max (MemoryMax=, --memory), or start with fewer shards",
            units::rounded_size(allowed),
            need(shards),
            units::rounded_size(bytes)
        )
    })
}

fn need(shards: u16) -> String {
    if shards == 1 { "1 shard needs".to_string() } else { format!("{shards} shards need") }
}

/// File slots of a shard's log on a disk of `total` bytes, each of `shards` being able to fill it alone; and what to say if
/// the limit of open files keeps the log from using the disk.
pub fn file_slots(open_files: u64, total: u64, segment_bytes: u64, shards: u16) -> (u32, Option<String>) {
    let wanted = total.div_ceil(segment_bytes) + OTHER_SLOTS + 1;
    let slots = wanted.clamp(1024, SLOTS_MAX).min(open_files - 1);
    let holds = (slots - OTHER_SLOTS - 1) * segment_bytes;
    let short = holds.saturating_mul(u64::from(shards)) < total;
    let warning = short.then(|| {
        let why = if slots == SLOTS_MAX { "the kernel's tables of files end there" } else { "the limit of open files, ulimit -n" };
        format!(
            "the log of a shard can grow to {} in {} files of {} ({why}), then producers are refused, though the disk has \
             {}; raise the limit (LimitNOFILE=), or make a new data directory with larger segments (torc.wal.segment.bytes)",
            units::rounded_size(holds),
            slots - OTHER_SLOTS - 1,
            units::size(segment_bytes),
            units::rounded_size(total)
        )
    });
    (slots as u32, warning)
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
