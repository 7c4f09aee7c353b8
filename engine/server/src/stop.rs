//! The end of a server: by signal, or because a shard ended on its own.

use crate::error::ServeError;
use crate::log::Log;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};
use torc_base::io::Level;
use torc_reactor::resources::Want;

/// What the starting thread waits for.
#[derive(Debug)]
pub enum News {
    /// SIGTERM, SIGINT or SIGHUP, the first one.
    Signal(i32),
    /// This server does not belong to its cluster any more: why.
    Out(String),
    /// A shard's thread is over.
    Ended { shard: u16, end: End },
}

/// How a shard ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to, and everything it owed is done.
    Drained,
    /// It did not start, or could not go on: why, and what to do.
    Refused(String),
    /// Its thread panicked; the message is on standard error.
    Panicked,
}

/// What a signal that asks for the end means, given those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The first: drain.
    Drain,
    /// The same wish, told twice, as `timeout` does with a process and its group.
    Again,
    /// Somebody does not want to wait.
    Leave,
}

/// Signals so close to the first are the same wish, up to the second one.
const ONE_WISH: Duration = Duration::from_secs(1);

/// Tells one wish from several.
#[derive(Debug, Default)]
pub struct Wishes {
    first: Option<Instant>,
    signals: u32,
}

impl Wishes {
    /// A signal has come `at` that time.
    pub fn take(&mut self, at: Instant) -> Meaning {
        let first = *self.first.get_or_insert(at);
        self.signals += 1;
        match self.signals {
            1 => Meaning::Drain,
            2 if at.duration_since(first) < ONE_WISH => Meaning::Again,
            _ => Meaning::Leave,
        }
    }
}

/// Forwards the first SIGTERM, SIGINT or SIGHUP as [`News::Signal`]. A third one, or one that comes a second or more after the
/// first, ends the process at once, whatever state the shards are in (what was acknowledged is durable by then as ever).
pub fn forward_signals(log: Log, news: Sender<News>) -> Result<(), ServeError> {
    let mut asks = vec![SIGTERM, SIGINT];
    // Under nohup a terminal that closes is to change nothing.
    if !is_ignored(SIGHUP) {
        asks.push(SIGHUP);
    }
    let catching = |error| ServeError::Io { what: "catch signals", want: Want::Descriptor, error };
    let mut signals = Signals::new(asks).map_err(catching)?;
    let forward = move || {
        let mut wishes = Wishes::default();
        for signal in signals.forever() {
            let name = signal_name(signal);
            match wishes.take(Instant::now()) {
                // The receiver is gone only when the process is about to end anyway.
                Meaning::Drain => drop(news.send(News::Signal(signal))),
                Meaning::Again => log.info("torc", &format!("{name} again: still draining; once more ends it at once")),
                Meaning::Leave => {
                    log.last(Level::Warn, "torc", &format!("{name} again: ended at once, without draining"));
                    log.flush();
                    std::process::exit(128 + signal);
                }
            }
        }
    };
    let spawned = thread::Builder::new().name("signals".to_string()).spawn(forward);
    spawned.map_err(|error| ServeError::Io { what: "start the thread of the signals", want: Want::Thread, error })?;
    Ok(())
}

/// A file that may not grow is an error of that write, and told as one: by default the kernel would end the process.
pub fn ignore_long_files() -> Result<(), ServeError> {
    let registered = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    registered.map_err(|error| ServeError::Io { what: "catch signals", want: Want::Descriptor, error })?;
    Ok(())
}

/// True if whoever started this process wants it to ignore the signal.
fn is_ignored(signal: i32) -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, signal))
}

/// The same, from the text of /proc/PID/status.
pub(crate) fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// For people.
pub fn signal_name(signal: i32) -> &'static str {
    match signal {
        SIGTERM => "SIGTERM",
        SIGINT => "SIGINT",
        SIGHUP => "SIGHUP",
        _ => "a signal",
    }
}

/// Sends [`News::Ended`] when a shard's thread ends in whatever way, a panic included.
pub struct EndNotice {
    shard: u16,
    news: Sender<News>,
    end: Option<End>,
}

impl EndNotice {
    /// To be made first on the shard's thread.
    pub fn new(shard: u16, news: Sender<News>) -> EndNotice {
        EndNotice { shard, news, end: None }
    }

    /// The thread came to its end in order.
    pub fn end(mut self, end: End) {
        self.end = Some(end);
    }
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        let end = self.end.take().unwrap_or(End::Panicked);
        let _ = self.news.send(News::Ended { shard: self.shard, end });
    }
}

#[cfg(test)]
#[path = "stop_tests.rs"]
mod tests;
