//! The log: lines on standard error that a person can read.
//! `2026-11-22T09:00:00.123Z INFO  shard 0: recovered 12 segments`

use crate::outlet::{Outlet, Weight};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use torc_base::io::Level;

/// What a process that ends gives its last lines to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Writes lines of at least a given importance. Any thread may write, and none ever waits for whoever reads: see
/// [`Outlet`]. Clones are the same log.
#[derive(Clone)]
pub struct Log {
    level: Level,
    outlet: Outlet,
}

impl Log {
    /// A log that leaves out what matters less than `level`, to standard error.
    pub fn start(level: Level) -> io::Result<Log> {
        Log::to(level, io::stderr())
    }

    /// The same to `out`.
    pub fn to(level: Level, out: impl Write + Send + 'static) -> io::Result<Log> {
        Ok(Log { level, outlet: Outlet::start("log", out, left_out)? })
    }

    /// Writes one line. A log that cannot be written is no reason to stop serving, so errors are dropped.
    pub fn line(&self, level: Level, who: &str, text: &str) {
        if level > self.level {
            return;
        }
        let weight = if level == Level::Error { Weight::Last } else { Weight::Usual };
        self.outlet.line(weight, format_line(unix_ms(), level, who, text));
    }

    /// A line that says how the process ends: it is written even where the usual ones find no room.
    pub fn last(&self, level: Level, who: &str, text: &str) {
        if level <= self.level {
            self.outlet.line(Weight::Last, format_line(unix_ms(), level, who, text));
        }
    }

    /// Gives what has been written a moment to be read. To be called before the process ends.
    pub fn flush(&self) {
        self.outlet.flush(LAST_LINES);
    }

    /// From now on a panic of any thread is a line of this log. Rust's own way would wait for the reader for ever.
    pub fn take_panics(&self) {
        let log = self.clone();
        panic::set_hook(Box::new(move |info| {
            let thread = thread::current();
            let mut text = info.to_string();
            let backtrace = Backtrace::capture();
            if backtrace.status() == BacktraceStatus::Captured {
                text += &format!("\n{backtrace}");
            }
            log.error(thread.name().unwrap_or("a thread without a name"), &text);
            // The release build ends the process right after this.
            log.flush();
        }));
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

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

fn left_out(lines: u64) -> String {
    let text = match lines {
        1 => "1 line left out here: nobody read the log fast enough".to_string(),
        _ => format!("{lines} lines left out here: nobody read the log fast enough"),
    };
    format_line(unix_ms(), Level::Warn, "log", &text)
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

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
