//! What can be set, with its defaults.

use torc_base::limits::{
    BATCH_BYTES_SOFT, BATCHES_IN_FLIGHT_MAX, ENTRY_BYTES_ANYWHERE, ENTRY_BYTES_MAX, PAGE, READ_AHEAD_BYTES,
    READ_MEMORY, SEGMENT_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, TAIL_CACHE_BYTES,
};

/// Settings of one log.
#[derive(Clone, Debug)]
pub struct WalSettings {
    /// Bytes of a segment file; a multiple of the page.
    pub segment_bytes: u64,
    /// Batches that may be in flight to the disk at once.
    pub batches_in_flight: usize,
    /// Memory for the newest batches, from which reads are served without the disk.
    pub tail_bytes: usize,
    /// Memory for what is read from disk, until it has been sent.
    pub read_memory: usize,
    /// Memory for what is read ahead of readers that follow the log on disk; 0: nothing is read ahead.
    pub read_ahead_bytes: usize,
    /// Free bytes of the file system that are left alone when segments are made.
    pub reserve_bytes: u64,
    /// Segments written ahead; at least 1.
    pub spare_segments: usize,
    /// After this long without an append, an empty batch says on disk that the last batches had been durable, so that
    /// damage to them is told from a torn write. 0: never.
    pub idle_seal_ms: u64,
    /// Copying forward of what outlives its segment.
    pub cleaner: CleanerSettings,
}

/// Settings of the cleaner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanerSettings {
    /// Without it a segment is freed only when all of it is dead.
    pub enabled: bool,
    /// A segment of which this share is dead (padding counts as dead) is worth emptying. 1 to 99. With the default of
    /// 40 the files hold at most 1/0.6 of what is alive, and some segments more.
    pub dead_percent: u64,
    /// What has begun to die is left to die for so long: retention that is about to free all of it needs no copies.
    pub settle_ms: u64,
    /// Log segments that have been sealed for so long, and whose groups lie in small pieces, are sorted by group.
    pub sort_after_ms: u64,
    /// Bytes read and written for it in a second; more when garbage grows faster than it is taken away.
    pub bytes_per_second: u64,
}

impl Default for CleanerSettings {
    fn default() -> CleanerSettings {
        CleanerSettings {
            enabled: true,
            dead_percent: 40,
            settle_ms: 1_000,
            sort_after_ms: 15 * 60_000,
            // A few percent of what one NVMe disk does, and 30 to 60 MB/s of log emptied at the usual shares.
            bytes_per_second: 64 << 20,
        }
    }
}

impl Default for WalSettings {
    fn default() -> WalSettings {
        WalSettings {
            segment_bytes: SEGMENT_BYTES,
            batches_in_flight: 4,
            tail_bytes: TAIL_CACHE_BYTES,
            read_memory: READ_MEMORY,
            read_ahead_bytes: READ_AHEAD_BYTES,
            reserve_bytes: 256 << 20,
            spare_segments: 2,
            idle_seal_ms: 100,
            cleaner: CleanerSettings::default(),
        }
    }
}

impl WalSettings {
    /// Panics on settings out of bounds: the configuration has been checked before it gets here.
    pub(crate) fn check(&self) {
        assert!(self.segment_bytes.is_multiple_of(PAGE as u64), "segment of {} bytes", self.segment_bytes);
        assert!((SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes));
        assert!((1..=BATCHES_IN_FLIGHT_MAX).contains(&self.batches_in_flight));
        assert!(self.spare_segments >= 1);
        assert!((1..=99).contains(&self.cleaner.dead_percent) && self.cleaner.bytes_per_second > 0);
        assert!(self.read_ahead_bytes <= self.read_memory / 2, "reads need memory of their own");
    }

    /// A batch is cut at the latest when it holds this much.
    pub(crate) fn batch_bytes(&self) -> usize {
        BATCH_BYTES_SOFT.min(self.segment_bytes as usize / 4)
    }

    /// The largest entry that a segment of this size takes.
    pub fn entry_bytes_max(&self) -> usize {
        entry_bytes_max(self.segment_bytes)
    }
}

const _: () = assert!(entry_bytes_max(SEGMENT_BYTES_MIN) == ENTRY_BYTES_ANYWHERE);

/// The largest entry that a log with segments of this size takes.
const fn entry_bytes_max(segment_bytes: u64) -> usize {
    // The header page, the batch's header block, the pages' ragged ends, the footer and the trailer.
    let room = segment_bytes as usize - 16 * PAGE;
    if room < ENTRY_BYTES_MAX { room } else { ENTRY_BYTES_MAX }
}
