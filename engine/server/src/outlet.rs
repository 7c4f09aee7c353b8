//! Text on its way to a reader that may not read: whoever writes never waits.
//!
//! A pipe takes 64 KiB, and then a write blocks for as long as its reader sleeps. So lines go through a queue of bounded
//! size and a thread that does nothing but write them. What finds the queue full is left out and counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that may wait.
pub(crate) const WAITING_MAX: usize = 256 << 10;
/// The part of it that is kept for lines that say why a server ends.
pub(crate) const KEPT_FOR_LAST: usize = 32 << 10;

/// How much a line matters when there is little room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Left out as soon as others have used up the common room.
    Usual,
    /// May use the room that is kept for it.
    Last,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    bytes: usize,
    /// Lines left out since the last one that was taken.
    left_out: u64,
    /// The thread is in a write.
    writing: bool,
    /// Nobody will hand in anything any more.
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// The line that tells how many were left out.
    notice: fn(u64) -> String,
}

/// A queue in front of something that can be written to. Any thread may write; clones are the same queue.
#[derive(Clone)]
pub struct Outlet {
    shared: Arc<Shared>,
    _closer: Arc<Closer>,
}

/// Lets the thread end when the last [`Outlet`] goes.
struct Closer(Arc<Shared>);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, mut out: impl Write) {
        loop {
            let mut state = self.lock();
            state.writing = false;
            self.changed.notify_all();
            let line = loop {
                if let Some(line) = state.waiting.pop_front() {
                    state.bytes -= line.len();
                    break line;
                }
                if state.left_out > 0 {
                    break (self.notice)(std::mem::take(&mut state.left_out));
                }
                if state.closed {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            state.writing = true;
            drop(state);
            // One write to a line, so that lines of several processes do not mix. Nobody to read them: nobody to tell.
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        }
    }
}

impl Outlet {
    /// Writes to `out` from a thread of this `name`. `notice` makes the line that says how many were left out.
    pub fn start(name: &str, out: impl Write + Send + 'static, notice: fn(u64) -> String) -> io::Result<Outlet> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), notice });
        let worker = Arc::clone(&shared);
        thread::Builder::new().name(name.to_string()).spawn(move || worker.work(out))?;
        let closer = Arc::new(Closer(Arc::clone(&shared)));
        Ok(Outlet { shared, _closer: closer })
    }

    /// Queues a line, with its end in it, or leaves it out. Never waits for the reader.
    pub fn line(&self, weight: Weight, line: String) {
        let mut state = self.shared.lock();
        let room = match weight {
            Weight::Usual => WAITING_MAX - KEPT_FOR_LAST,
            Weight::Last => WAITING_MAX,
        };
        if state.bytes + line.len() > room {
            state.left_out += 1;
            return;
        }
        // Before this line, since what is missing came before it.
        if state.left_out > 0 {
            let notice = (self.shared.notice)(std::mem::take(&mut state.left_out));
            state.bytes += notice.len();
            state.waiting.push_back(notice);
        }
        state.bytes += line.len();
        state.waiting.push_back(line);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Waits until all lines are written, but not longer than `patience`; true if they are.
    pub fn flush(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.shared.lock();
        while state.writing || !state.waiting.is_empty() || state.left_out > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
