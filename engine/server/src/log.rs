//! The log: lines on standard error that a person can read.
//! `2026-11-22T09:00:00.123Z INFO  shard 0: recovered 12 segments`

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};
use torc_base::io::Level;

/// Writes lines of at least a given importance to standard error. Cheap to copy; any thread may write.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    level: Level,
}

impl Log {
    /// A log that leaves out what matters less than `level`.
    pub fn new(level: Level) -> Log {
        Log { level }
    }

    /// Writes one line. A log that cannot be written is no reason to stop serving, so errors are dropped.
    pub fn line(&self, level: Level, who: &str, text: &str) {
        if level > self.level {
            return;
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = format_line(since_1970.as_millis() as u64, level, who, text);
        // One write, so that lines of several threads never mix.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    /// [`Level::Error`].
    pub fn error(&self, who: &str, text: &str) {
        self.line(Level::Error, who, text);
    }

    /// [`Level::Warn`].
    pub fn warn(&self, who: &str, text: &str) {
        self.line(Level::Warn, who, text);
    }

    /// [`Level::Info`].
    pub fn info(&self, who: &str, text: &str) {
        self.line(Level::Info, who, text);
    }
}

/// The line with its end. Line breaks inside `text` are indented, so that every line that starts with a time is one.
pub fn format_line(unix_ms: u64, level: Level, who: &str, text: &str) -> String {
    let level = match level {
        Level::Error => "ERROR",
        Level::Warn => "WARN ",
        Level::Info => "INFO ",
        Level::Debug => "DEBUG",
    };
    format!("{} {level} {who}: {}\n", timestamp(unix_ms), text.trim_end().replace('\n', "\n    "))
}

/// ISO 8601 in UTC, to the millisecond.
pub fn timestamp(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

/// Year, month and day of a day after 1970-01-01. Counts in years that begin in March, so that the leap day is the
/// last (after Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let era = days / 146_097; // 400 years
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
