//! The end of a server: by signal, or because a shard ended on its own.

use crate::log::Log;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::mpsc::Sender;
use std::thread;

/// What the starting thread waits for.
#[derive(Debug)]
pub enum News {
    /// SIGTERM or SIGINT, the first one.
    Signal(i32),
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

/// Forwards the first SIGTERM or SIGINT as [`News::Signal`]; the second ends the process at once, whatever state the
/// shards are in (what was acknowledged is durable by then as ever).
pub fn forward_signals(log: Log, news: Sender<News>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let forward = move || {
        let mut asked = false;
        for signal in signals.forever() {
            if asked {
                log.warn("torc", &format!("{} again: leaving at once", signal_name(signal)));
                std::process::exit(128 + signal);
            }
            asked = true;
            // The receiver is gone only when the process is about to end anyway.
            let _ = news.send(News::Signal(signal));
        }
    };
    thread::Builder::new().name("signals".to_string()).spawn(forward)?;
    Ok(())
}

/// For people.
pub fn signal_name(signal: i32) -> &'static str {
    match signal {
        SIGTERM => "SIGTERM",
        SIGINT => "SIGINT",
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
