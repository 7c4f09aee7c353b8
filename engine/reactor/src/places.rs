//! How many connections a process has open, over all its loops: each takes one of the descriptors that it may have.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Places for connections, shared by the loops of a process.
#[derive(Debug)]
pub struct Places {
    max: usize,
    /// Where `max` comes from, in words that end a log line.
    reason: String,
    taken: AtomicUsize,
}

impl Places {
    /// `max` places; `reason` says why there are no more and what to raise.
    pub fn new(max: usize, reason: impl Into<String>) -> Arc<Places> {
        Arc::new(Places { max, reason: reason.into(), taken: AtomicUsize::new(0) })
    }

    /// As many as anybody asks for.
    pub fn unlimited() -> Arc<Places> {
        Places::new(usize::MAX, "")
    }

    /// How many there are.
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// A place, if one is free.
    pub(crate) fn take(self: &Arc<Places>) -> Option<Place> {
        let one_more = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Place(Arc::clone(self)))
    }
}

/// The place of one connection, on whichever shard; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connected socket with its place.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) fd: OwnedFd,
    pub(crate) place: Place,
}

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The shard has as many as it may have.
    Shard,
    /// The process has.
    Process,
}
