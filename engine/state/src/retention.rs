//! What is old enough, or too much, to be kept. A pure decision; whole runs go, oldest first.

use torc_base::ids::Offset;
use torc_base::time::Wall;

/// A partition's part of one segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Largest timestamp of its batches, as producers or the broker set them; -1 if none has one.
    pub max_timestamp: i64,
    /// What it takes of the log.
    pub bytes: u64,
}

/// How long and how much is kept. Negative: without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `retention.ms`.
    pub ms: i64,
    /// `retention.bytes`.
    pub bytes: i64,
}

/// The new log start, if something goes. `runs` come oldest first.
///
/// As in Kafka: a run is too old when its largest timestamp is more than `ms` ago, and goes if all before it have gone;
/// runs go while what remains would still be at least `bytes`. Runs with uncommitted records stay, as do runs
/// without timestamps for all that their age says.
pub fn new_log_start(
    runs: impl Iterator<Item = Run> + Clone,
    limits: Limits,
    now: Wall,
    high_watermark: Offset,
) -> Option<Offset> {
    let is_old =
        |run: &Run| limits.ms >= 0 && run.max_timestamp >= 0 && now.0.saturating_sub(run.max_timestamp) > limits.ms;
    let total: u64 = runs.clone().map(|run| run.bytes).sum();
    let mut excess = u64::try_from(limits.bytes).map_or(0, |keep| total.saturating_sub(keep));
    let mut start = None;
    for run in runs {
        let fits_into_excess = run.bytes > 0 && run.bytes <= excess;
        let goes = run.last_offset < high_watermark && (is_old(&run) || fits_into_excess);
        if !goes {
            break;
        }
        excess = excess.saturating_sub(run.bytes);
        start = Some(run.last_offset.next());
    }
    start
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
