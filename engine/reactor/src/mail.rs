//! Mail between the shards of one process.
//!
//! One lane for each ordered pair of shards, so mail of one shard arrives in the order of sending. Mail leaves at
//! the end of the sender's turn, all of a turn to one shard under one lock, and a receiver is woken only if it
//! sleeps: by MSG_RING from ring to ring, or through its eventfd where that fails.
//!
//! A lane has no bound of its own: mail is a request, or the answer to one, and requests are bounded where they come
//! in (`REQUESTS_IN_FLIGHT_MAX` per connection, `RECV_MEMORY` per shard). A shard that is gone takes no mail; what is
//! sent to it is dropped.

use crate::places::Socket;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use torc_base::ids::ShardId;
use torc_base::limits::SHARDS_MAX;

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const GONE: u8 = 2;

/// What others need to wake one shard.
pub(crate) struct Waker {
    state: AtomicU8,
    stop: AtomicBool,
    eventfd: OwnedFd,
    /// The shard's ring, from the moment it runs. A duplicate, so that its number stays this ring's while anybody
    /// may send to it.
    ring: OnceLock<OwnedFd>,
}

impl Waker {
    fn new() -> io::Result<Waker> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened and nobody else owns it.
        let eventfd = unsafe { OwnedFd::from_raw_fd(fd) };
        let (state, stop) = (AtomicU8::new(AWAKE), AtomicBool::new(false));
        Ok(Waker { state, stop, eventfd, ring: OnceLock::new() })
    }

    pub(crate) fn eventfd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }

    /// Wakes through the eventfd. A full counter (EAGAIN cannot happen, the descriptor blocks at 2^64-2) or any
    /// other failure would leave a shard asleep for ever, so it is not survivable.
    pub(crate) fn ring_bell(&self) {
        let one = 1_u64.to_ne_bytes();
        loop {
            // SAFETY: `one` is 8 readable bytes.
            let n = unsafe { libc::write(self.eventfd(), one.as_ptr().cast(), one.len()) };
            if n == 8 {
                return;
            }
            let error = io::Error::last_os_error();
            assert_eq!(error.kind(), io::ErrorKind::Interrupted, "writing an eventfd failed: {error}");
        }
    }

    /// The ring to send MSG_RING to, once it runs.
    pub(crate) fn ring(&self) -> Option<RawFd> {
        self.ring.get().map(AsRawFd::as_raw_fd)
    }

    pub(crate) fn stop_asked(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Asks one shard to stop, or to show that it turns, from any thread.
#[derive(Clone)]
pub struct StopHandle(Arc<Waker>);

impl StopHandle {
    /// Delivers `Event::Stop`, once however often this is called.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.0.ring_bell();
    }

    /// Makes the shard turn once, even if it has nothing to do.
    pub fn wake(&self) {
        self.0.ring_bell();
    }
}

/// What one shard hands to another.
pub(crate) enum Parcel<M> {
    Mail(M),
    /// A connection, with the core's word on it.
    Socket(Socket, M),
}

struct Inbox<M> {
    waker: Arc<Waker>,
    /// A bit for each sender whose lane may hold something.
    pending: [AtomicU64; SHARDS_MAX / 64],
    /// By sender.
    lanes: Box<[Mutex<Vec<Parcel<M>>>]>,
}

/// One shard's place in the mesh: its inbox, and the way to all others.
pub struct Post<M> {
    me: usize,
    inboxes: Arc<[Inbox<M>]>,
    /// Mail of this turn, by receiver.
    outgoing: Box<[Vec<Parcel<M>>]>,
    /// Receivers with mail of this turn.
    dirty: Vec<usize>,
}

/// Connects `shards` shards, each with every other and with itself; one [`Post`] each, in order.
pub fn mesh<M>(shards: u16) -> io::Result<Vec<Post<M>>> {
    let count = usize::from(shards);
    assert!(count <= SHARDS_MAX, "{count} shards, at most {SHARDS_MAX}");
    let mut inboxes = Vec::with_capacity(count);
    for _ in 0..count {
        let lanes = (0..count).map(|_| Mutex::new(Vec::new())).collect();
        let pending = std::array::from_fn(|_| AtomicU64::new(0));
        inboxes.push(Inbox { waker: Arc::new(Waker::new()?), pending, lanes });
    }
    let inboxes: Arc<[Inbox<M>]> = inboxes.into();
    let post = |me| Post {
        me,
        inboxes: Arc::clone(&inboxes),
        outgoing: (0..count).map(|_| Vec::new()).collect(),
        dirty: Vec::new(),
    };
    Ok((0..count).map(post).collect())
}

impl<M> Post<M> {
    /// The handle that stops this shard.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.inboxes[self.me].waker))
    }

    /// The shard whose post this is.
    pub fn shard(&self) -> ShardId {
        ShardId(self.me as u16)
    }

    pub(crate) fn waker(&self) -> &Arc<Waker> {
        &self.inboxes[self.me].waker
    }

    pub(crate) fn waker_of(&self, shard: usize) -> &Waker {
        &self.inboxes[shard].waker
    }

    /// From now on others wake this shard through its ring.
    pub(crate) fn attach(&self, ring: RawFd) -> io::Result<()> {
        // SAFETY: no pointers are passed.
        let copy = unsafe { libc::fcntl(ring, libc::F_DUPFD_CLOEXEC, 0) };
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `copy` was just made and nobody else owns it.
        let copy = unsafe { OwnedFd::from_raw_fd(copy) };
        assert!(self.waker().ring.set(copy).is_ok(), "a post runs once");
        Ok(())
    }

    /// Queues mail until [`Post::flush`].
    pub(crate) fn send(&mut self, to: ShardId, parcel: Parcel<M>) {
        let to = usize::from(to.get());
        assert!(to < self.inboxes.len(), "mail to shard {to} of {}", self.inboxes.len());
        if self.outgoing[to].is_empty() {
            self.dirty.push(to);
        }
        self.outgoing[to].push(parcel);
    }

    /// Hands this turn's mail over; appends each receiver that sleeps and must be woken to `asleep`.
    pub(crate) fn flush(&mut self, asleep: &mut Vec<usize>) {
        for to in self.dirty.drain(..) {
            let inbox = &self.inboxes[to];
            if inbox.waker.state.load(Ordering::SeqCst) == GONE {
                self.outgoing[to].clear();
                continue;
            }
            inbox.lanes[self.me].lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.outgoing[to]);
            inbox.pending[self.me / 64].fetch_or(1 << (self.me % 64), Ordering::SeqCst);
            // Sequentially consistent, here and in `may_sleep`: either the receiver sees the bit, or this sees it asleep.
            let woke = inbox.waker.state.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
            if woke.is_ok() && to != self.me {
                asleep.push(to);
            }
        }
    }

    /// True if mail waits.
    pub(crate) fn has_mail(&self) -> bool {
        self.senders().iter().any(|&word| word != 0)
    }

    /// Declares this shard asleep, unless mail waits. After `true`, senders wake it.
    pub(crate) fn may_sleep(&self) -> bool {
        self.waker().state.store(ASLEEP, Ordering::SeqCst);
        if self.has_mail() {
            self.awake();
            return false;
        }
        true
    }

    /// Declares this shard awake.
    pub(crate) fn awake(&self) {
        self.waker().state.store(AWAKE, Ordering::SeqCst);
    }

    /// The senders whose mail waits, a bit each.
    pub(crate) fn senders(&self) -> [u64; SHARDS_MAX / 64] {
        std::array::from_fn(|i| self.inboxes[self.me].pending[i].load(Ordering::SeqCst))
    }

    /// Takes the mail of shard `from` into `into`, which must be empty.
    pub(crate) fn take(&mut self, from: usize, into: &mut Vec<Parcel<M>>) {
        assert!(into.is_empty());
        let inbox = &self.inboxes[self.me];
        // The bit goes first: what is put into the lane after the swap sets it again.
        inbox.pending[from / 64].fetch_and(!(1 << (from % 64)), Ordering::SeqCst);
        std::mem::swap(&mut *inbox.lanes[from].lock().unwrap_or_else(PoisonError::into_inner), into);
    }
}

impl<M> Drop for Post<M> {
    fn drop(&mut self) {
        self.waker().state.store(GONE, Ordering::SeqCst);
        for lane in &self.inboxes[self.me].lanes {
            lane.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}
