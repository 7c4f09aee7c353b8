//! The log: lines on standard error that a person can read.
//! `2026-11-22T09:00:00.123Z INFO  shard 0: recovered 12 segments`

use crate::outlet::{Outlet, Weight};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use torc_base::io::Level;
use torc_base::time::Wall;

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
    Wall(unix_ms.try_into().unwrap_or(i64::MAX)).utc()
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
