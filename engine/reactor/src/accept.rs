//! A listening socket: one multishot accept, paused while the process is out of file descriptors.

use crate::clock;
use crate::resources::{Want, explain};
use crate::ring::{Completion, Key, Kind, Ring, RingError};
use crate::stats::LoopStats;
use io_uring::{opcode, types};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use torc_base::ids::ListenerId;
use torc_base::io::Level;
use torc_base::time::Mono;

/// How long accepting pauses when it failed.
const PAUSE_MS: u64 = 100;

/// Lines about connections that find no place come at most so often.
const TELL_MS: u64 = 10_000;

pub(crate) struct Acceptor {
    id: ListenerId,
    /// `None` once it has stopped.
    listener: Option<TcpListener>,
    armed: Option<Key>,
    /// When to try again after a failure.
    retry_at: Option<Mono>,
    /// The last connection could not be accepted, and the log says so.
    failing: bool,
    /// Closed at once for want of a place, and not told yet; when the next line may be.
    turned_away: u64,
    tell_at: Option<Mono>,
    stats: Arc<LoopStats>,
}

impl Acceptor {
    pub(crate) fn new(id: ListenerId, listener: TcpListener, stats: Arc<LoopStats>) -> Acceptor {
        let listener = Some(listener);
        Acceptor { id, listener, armed: None, retry_at: None, failing: false, turned_away: 0, tell_at: None, stats }
    }

    /// Whose connections these are.
    pub(crate) fn id(&self) -> ListenerId {
        self.id
    }

    /// Accepts from now on.
    pub(crate) fn arm(&mut self, ring: &mut Ring) -> Result<(), RingError> {
        self.retry_at = None;
        let Some(listener) = &self.listener else { return Ok(()) };
        if self.armed.is_some() {
            return Ok(());
        }
        let key = ring.key(Kind::Accept, usize::from(self.id.get()));
        let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC).build();
        // SAFETY: the entry names no memory.
        unsafe { ring.push(entry, key) }?;
        self.armed = Some(key);
        Ok(())
    }

    /// Accepts no more. What waits in the backlog is refused when the socket closes.
    pub(crate) fn stop(&mut self, ring: &mut Ring) -> Result<(), RingError> {
        self.retry_at = None;
        if let Some(key) = self.armed {
            ring.cancel(key)?;
        }
        // The accept in flight holds the socket open until it is cancelled.
        self.listener = None;
        Ok(())
    }

    /// When [`Acceptor::arm`] is due.
    pub(crate) fn retry_at(&self) -> Option<Mono> {
        self.retry_at
    }

    /// Takes a completion; returns the new connection's descriptor, owned by the caller.
    pub(crate) fn complete(
        &mut self,
        ring: &mut Ring,
        completion: Completion,
        log: &mut dyn FnMut(Level, &str),
    ) -> Result<Option<RawFd>, RingError> {
        if !completion.more() {
            self.armed = None;
        }
        if completion.result >= 0 {
            if self.failing {
                self.failing = false;
                log(Level::Info, "accepting connections again");
            }
            self.stats.accepted.add(1);
            if self.armed.is_none() {
                self.arm(ring)?;
            }
            return Ok(Some(completion.result));
        }
        if self.armed.is_some() || self.listener.is_none() {
            return Ok(None);
        }
        match -completion.result {
            // That one connection went wrong before it was accepted.
            libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::EPROTO => self.arm(ring)?,
            errno => self.pause(errno, log),
        }
        Ok(None)
    }

    fn pause(&mut self, errno: i32, log: &mut dyn FnMut(Level, &str)) {
        self.stats.accept_pauses.add(1);
        self.retry_at = Some(clock::mono().plus_ms(PAUSE_MS));
        if self.failing {
            return;
        }
        self.failing = true;
        let why = explain(Want::Descriptor, &io::Error::from_raw_os_error(errno));
        log(Level::Warn, &format!("cannot accept connections: {why}; those that are open are served, trying again"));
    }

    /// A connection found no place, for the reason that `why` gives, and is closed. Few lines tell of many.
    pub(crate) fn turned_away(&mut self, why: impl FnOnce() -> String, log: &mut dyn FnMut(Level, &str)) {
        self.turned_away += 1;
        let now = clock::mono();
        if self.tell_at.is_some_and(|at| now < at) {
            return;
        }
        self.tell_at = Some(now.plus_ms(TELL_MS));
        let count = std::mem::take(&mut self.turned_away);
        let connections = if count == 1 { "connection was" } else { "connections were" };
        log(Level::Warn, &format!("{count} {connections} closed at once: {}", why()));
    }
}
