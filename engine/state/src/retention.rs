//! What is old enough, or too much, to be kept. A pure decision; whole runs go, oldest first.

use torc_base::ids::Offset;
use torc_base::time::Wall;

/// When a batch is from, as one number that the log keeps and whose largest stands for many: its largest timestamp, or, if
/// that is not usable (-1, or before 1970), when it was appended, as a number below all timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(pub i64);

impl Age {
    /// Of what is no batch, and does not count. The least of all.
    pub const NONE: Age = Age(i64::MIN);
    /// Where logs of before there was this type have batches without a usable timestamp.
    const UNKNOWN: Age = Age(-1);

    /// Of a batch with this largest timestamp that is appended at `now`.
    pub fn of(max_timestamp: i64, now: Wall) -> Age {
        // A clock that stands before 1970 is not asked.
        Age(if max_timestamp >= 0 { max_timestamp } else { i64::MIN + now.0.max(1) })
    }

    /// When the batch is from, or the youngest of several; `None` if that is not known.
    pub fn time(self) -> Option<Wall> {
        match self {
            Age::NONE | Age::UNKNOWN => None,
            Age(timestamp @ 0..) => Some(Wall(timestamp)),
            Age(appended) => Some(Wall(appended - i64::MIN)),
        }
    }
}

/// A partition's part of one segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Offset of its last record.
    pub last_offset: Offset,
    /// The youngest of its batches.
    pub age: Age,
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
/// As in Kafka: a run is too old when the youngest of its batches is more than `ms` ago, and goes if all before it have
/// gone; runs go while what remains would still be at least `bytes`. Runs with uncommitted records stay. One whose age is
/// not known was there before the one behind it, and goes with that.
pub fn new_log_start(
    runs: impl Iterator<Item = Run> + Clone,
    limits: Limits,
    now: Wall,
    high_watermark: Offset,
) -> Option<Offset> {
    let is_old = |time: Wall| limits.ms >= 0 && now.0.saturating_sub(time.0) > limits.ms;
    let total: u64 = runs.clone().map(|run| run.bytes).sum();
    let mut excess = u64::try_from(limits.bytes).map_or(0, |keep| total.saturating_sub(keep));
    let mut start = None;
    // Of this run and those of unknown age in front of it.
    let mut bytes = 0;
    for run in runs.take_while(|run| run.last_offset < high_watermark) {
        bytes += run.bytes;
        let fits_into_excess = bytes > 0 && bytes <= excess;
        match run.age.time() {
            Some(time) if !is_old(time) && !fits_into_excess => break,
            None if !fits_into_excess => continue,
            _ => {}
        }
        excess = excess.saturating_sub(std::mem::take(&mut bytes));
        start = Some(run.last_offset.next());
    }
    start
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
