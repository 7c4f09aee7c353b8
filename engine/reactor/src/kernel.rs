//! The kernel's side of a loop: the ring, and everything that has operations in flight or memory that the kernel
//! knows. Dropping it, also while a panic unwinds, first ends all operations.

use crate::accept::Acceptor;
use crate::disk::Disk;
use crate::probe::{Features, Machine};
use crate::provided::Provided;
use crate::reactor::Error;
use crate::resources::{Want, explain};
use crate::ring::{Kind, Ring, RingError};
use crate::settings::LoopSettings;
use crate::sockets::Sockets;
use crate::stats::LoopStats;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use torc_base::buf::Pool;
use torc_base::ids::ListenerId;
use torc_base::io::Level;

/// How often, and how long each time, the end waits for what the kernel still works on.
const DRAIN_TRIES: u32 = 300;
const DRAIN_WAIT_NS: u64 = 100_000_000;

pub(crate) struct Kernel {
    pub(crate) ring: Ring,
    /// By the id of their listener.
    pub(crate) acceptors: Vec<Acceptor>,
    pub(crate) conns: ManuallyDrop<Sockets>,
    pub(crate) disk: ManuallyDrop<Disk>,
    /// What the own eventfd is read into.
    pub(crate) bell: ManuallyDrop<Box<[u8; 8]>>,
    /// Keeps the registered arena in place.
    registered: Option<Pool>,
}

impl Kernel {
    pub(crate) fn new(
        settings: LoopSettings,
        features: &Features,
        stats: Arc<LoopStats>,
        log: &mut dyn FnMut(Level, &str),
    ) -> Result<Kernel, Error> {
        let ring = Ring::new(settings.ring_entries, Arc::clone(&stats))
            .map_err(|e| Error::refused(Machine::here().no_ring(&e).to_string(), e))?;
        let files = u64::from(settings.files_max).min(features.open_files - 1) as u32;
        let (directory, hold) = (&settings.directory, settings.hold);
        let mut disk = Disk::new(&ring, directory, settings.sync, settings.direct, files, hold, Arc::clone(&stats))
            .map_err(|(doing, want, e)| Error::scarce(doing, want, e))?;
        let registered = settings.registered.filter(|pool| register(&ring, pool, log));
        if let Some((start, bytes)) = registered.as_ref().and_then(Pool::arena) {
            disk.use_arena(start as usize..start as usize + bytes, features.gather_fixed);
        }
        let provided = Provided::new(&ring, settings.recv_bufs, settings.recv_buf_bytes, settings.recv_pool)
            .map_err(|e| Error::scarce("registering receive buffers".into(), Want::Ring, e))?;
        let listeners = (0..).map(ListenerId).zip(settings.listeners);
        let acceptors = listeners.map(|(id, listener)| Acceptor::new(id, listener, Arc::clone(&stats)));
        Ok(Kernel {
            ring,
            acceptors: acceptors.collect(),
            conns: ManuallyDrop::new(Sockets::new(settings.connections_max, settings.places, provided, stats)),
            disk: ManuallyDrop::new(disk),
            bell: ManuallyDrop::new(Box::new([0; 8])),
            registered,
        })
    }

    /// Cancels what can be cancelled and waits for the rest; true if nothing is in flight any more.
    fn drain(&mut self) -> Result<bool, RingError> {
        for _ in 0..DRAIN_TRIES {
            while let Some(completion) = self.ring.next() {
                if completion.key.kind() == Kind::Accept && completion.result >= 0 {
                    // SAFETY: the accept has made the descriptor, and nobody else knows it.
                    drop(unsafe { OwnedFd::from_raw_fd(completion.result) });
                }
            }
            if self.ring.outstanding() == 0 {
                return Ok(true);
            }
            self.ring.cancel_all()?;
            self.ring.enter(1, Some(DRAIN_WAIT_NS))?;
        }
        Ok(false)
    }
}

/// Registers the pool's arena, if it has one and the kernel lets it.
fn register(ring: &Ring, pool: &Pool, log: &mut dyn FnMut(Level, &str)) -> bool {
    let Some((start, bytes)) = pool.arena() else { return false };
    let whole = libc::iovec { iov_base: start.cast_mut().cast(), iov_len: bytes };
    // SAFETY: the arena stays where it is as long as the pool lives, and `Kernel` keeps the pool.
    let result = unsafe { ring.submitter().register_buffers(&[whole]) };
    if let Err(error) = &result {
        let why = explain(Want::Ring, error);
        log(
            Level::Info,
            &format!("{bytes} bytes of write buffers are not registered, each write costs a little more: {why}"),
        );
    }
    result.is_ok()
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // Submits what was queued last: wakes of other shards, closes.
        let drained = self.ring.enter(0, None).and_then(|()| self.drain());
        if !matches!(drained, Ok(true)) {
            // Better leaked than written to by the kernel after somebody else has got it.
            std::mem::forget(self.registered.take());
            return;
        }
        // The ring itself may outlive this, others hold descriptors of it. A failure leaves the registration to the
        // ring's end, which touches no memory.
        let _ = self.conns.unregister(&self.ring);
        let _ = self.ring.submitter().unregister_files();
        if self.registered.is_some() {
            let _ = self.ring.submitter().unregister_buffers();
        }
        // SAFETY: each is dropped here once and not used again.
        unsafe {
            ManuallyDrop::drop(&mut self.conns);
            ManuallyDrop::drop(&mut self.disk);
            ManuallyDrop::drop(&mut self.bell);
        }
    }
}
