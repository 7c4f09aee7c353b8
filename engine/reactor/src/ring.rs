//! The ring: building it, queueing entries, and the one system call of a turn.

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use crate::stats::LoopStats;
use torc_base::limits::BATCHES_IN_FLIGHT_MAX;

/// What a completion belongs to; the top byte of its user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The multishot accept.
    Accept = 1,
    /// A connection's multishot receive.
    Recv,
    /// A connection's receive into a given buffer.
    RecvExact,
    /// A connection's send.
    Send,
    /// The wait for room in a connection's socket.
    Room,
    /// A connection to another server that is being made.
    Connect,
    /// A disk operation.
    Disk,
    /// The fdatasync behind a write.
    DiskSync,
    /// The read of the own eventfd.
    Bell,
    /// A MSG_RING to another shard, which completes here only when it fails.
    Wake,
    /// A MSG_RING of another shard.
    Woken,
    /// Cancellations and closes, whose outcome shows elsewhere.
    Silent,
}

/// User data of an entry: its kind, the slot it belongs to (24 bits) and a serial number (32 bits) that tells the
/// operations of one slot apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    pub(crate) const SLOTS: usize = 1 << 24;

    pub(crate) fn new(kind: Kind, slot: usize, serial: u32) -> Key {
        assert!(slot < Key::SLOTS);
        Key((kind as u64) << 56 | (slot as u64) << 32 | u64::from(serial))
    }

    pub(crate) fn kind(self) -> Kind {
        const KINDS: [Kind; 12] = [
            Kind::Accept,
            Kind::Recv,
            Kind::RecvExact,
            Kind::Send,
            Kind::Room,
            Kind::Connect,
            Kind::Disk,
            Kind::DiskSync,
            Kind::Bell,
            Kind::Wake,
            Kind::Woken,
            Kind::Silent,
        ];
        KINDS[(self.0 >> 56) as usize - 1]
    }

    pub(crate) fn slot(self) -> usize {
        (self.0 >> 32) as usize & (Key::SLOTS - 1)
    }

    pub(crate) fn raw(self) -> u64 {
        self.0
    }
}

/// One completion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) key: Key,
    /// The operation's result; an error number if negative.
    pub(crate) result: i32,
    flags: u32,
}

impl Completion {
    /// The operation goes on: this was not its last completion.
    pub(crate) fn more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// The provided buffer that was used.
    pub(crate) fn buffer(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

/// The ring fails as a whole: the loop cannot go on.
#[derive(Debug)]
pub(crate) struct RingError {
    pub(crate) doing: &'static str,
    pub(crate) error: io::Error,
}

/// Completions per submission entry: multishot operations complete many times.
const COMPLETIONS_PER_ENTRY: u32 = 8;
/// Workers of the kernel's pool for operations that would block: [on files, others].
const WORKERS_MAX: [u32; 2] = [BATCHES_IN_FLIGHT_MAX as u32, 4];

const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 8;
const ENTER_REGISTERED_RING: u32 = 16;
const REGISTER_RING_FDS: u32 = 20;

/// The kernel's io_uring_getevents_arg.
#[repr(C)]
struct EnterArg {
    sigmask: u64,
    sigmask_bytes: u32,
    min_wait_us: u32,
    timeout: u64,
}

/// The kernel's io_uring_rsrc_update.
#[repr(C)]
struct RingFdUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

pub(crate) struct Ring {
    uring: IoUring,
    /// What to pass to io_uring_enter: the ring's registered number, or its descriptor.
    enter_fd: i32,
    enter_flags: u32,
    /// Taken from the completion queue, not yet handled.
    completed: VecDeque<Completion>,
    /// Operations that the kernel may still work on, and whose memory must stay. [`Kind::Silent`] ones are not
    /// counted, they name no memory.
    outstanding: usize,
    /// Linked entries are queued that no enter has taken.
    links_queued: bool,
    serial: u32,
    stats: Arc<LoopStats>,
}

/// Builds a ring with all flags that this kernel takes. The calling thread becomes its only submitter.
pub(crate) fn build(entries: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(entries * COMPLETIONS_PER_ENTRY);
    let plain = builder.clone();
    match builder.setup_no_sqarray().build(entries) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => plain.build(entries),
        other => other,
    }
}

impl Ring {
    pub(crate) fn new(entries: u32, stats: Arc<LoopStats>) -> io::Result<Ring> {
        let uring = build(entries)?;
        // A kernel before 5.15 has no such bound; those are refused by the probe, so a failure here changes nothing.
        let _ = uring.submitter().register_iowq_max_workers(&mut WORKERS_MAX.clone());
        let (enter_fd, enter_flags) = match register_ring_fd(uring.as_raw_fd()) {
            Some(number) => (number, ENTER_REGISTERED_RING),
            None => (uring.as_raw_fd(), 0),
        };
        let completed = VecDeque::with_capacity(entries as usize);
        Ok(Ring { uring, enter_fd, enter_flags, completed, outstanding: 0, links_queued: false, serial: 0, stats })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    pub(crate) fn submitter(&self) -> io_uring::Submitter<'_> {
        self.uring.submitter()
    }

    /// A key that no other operation in flight has.
    pub(crate) fn key(&mut self, kind: Kind, slot: usize) -> Key {
        self.serial = self.serial.wrapping_add(1);
        Key::new(kind, slot, self.serial)
    }

    /// Operations whose last completion has not been handled.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Queues one entry.
    ///
    /// # Safety
    /// All memory that the entry names stays valid, and untouched as the operation demands, until its completion
    /// (the one without `more`) has been taken by [`Ring::next`].
    pub(crate) unsafe fn push(&mut self, entry: squeue::Entry, key: Key) -> Result<(), RingError> {
        // SAFETY: passed on to the caller.
        unsafe { self.push_all(&[entry.user_data(key.raw())]) }?;
        self.outstanding += usize::from(key.kind() != Kind::Silent && key.kind() != Kind::Wake);
        Ok(())
    }

    /// Queues two entries of which the second runs only if the first succeeds in full. One completion comes: the
    /// first's if it fails or is short, the second's otherwise.
    ///
    /// # Safety
    /// As for [`Ring::push`], for both.
    pub(crate) unsafe fn push_linked(
        &mut self,
        first: (squeue::Entry, Key),
        second: (squeue::Entry, Key),
    ) -> Result<(), RingError> {
        let flags = squeue::Flags::IO_LINK | squeue::Flags::SKIP_SUCCESS;
        let first = first.0.user_data(first.1.raw()).flags(flags);
        let second = second.0.user_data(second.1.raw());
        // SAFETY: passed on to the caller.
        unsafe { self.push_all(&[first, second]) }?;
        self.outstanding += 1;
        self.links_queued = true;
        Ok(())
    }

    /// # Safety
    /// As for [`Ring::push`].
    unsafe fn push_all(&mut self, entries: &[squeue::Entry]) -> Result<(), RingError> {
        loop {
            // SAFETY: passed on to the caller.
            if unsafe { self.uring.submission().push_multiple(entries) }.is_ok() {
                return Ok(());
            }
            self.enter(0, None)?;
        }
    }

    /// Cancels the operation with this key; its completion tells how that went.
    pub(crate) fn cancel(&mut self, target: Key) -> Result<(), RingError> {
        self.push_silent(opcode::AsyncCancel::new(target.raw()).build())
    }

    /// Cancels everything that uses this descriptor.
    pub(crate) fn cancel_fd(&mut self, fd: RawFd) -> Result<(), RingError> {
        self.push_silent(opcode::AsyncCancel2::new(types::CancelBuilder::fd(types::Fd(fd)).all()).build())
    }

    /// Cancels everything that can be.
    pub(crate) fn cancel_all(&mut self) -> Result<(), RingError> {
        self.push_silent(opcode::AsyncCancel2::new(types::CancelBuilder::any()).build())
    }

    /// Closes a descriptor, behind everything that was queued before.
    pub(crate) fn close_fd(&mut self, fd: RawFd) -> Result<(), RingError> {
        self.push_silent(opcode::Close::new(types::Fd(fd)).build())
    }

    /// Wakes the shard whose ring this is.
    pub(crate) fn wake(&mut self, ring: RawFd, shard: usize) -> Result<(), RingError> {
        let woken = Key::new(Kind::Woken, 0, 0);
        let entry = opcode::MsgRingData::new(types::Fd(ring), 0, woken.raw(), None).build();
        let key = Key::new(Kind::Wake, shard, 0);
        // SAFETY: the entry names no memory.
        unsafe { self.push(entry.flags(squeue::Flags::SKIP_SUCCESS), key) }
    }

    fn push_silent(&mut self, entry: squeue::Entry) -> Result<(), RingError> {
        let key = Key::new(Kind::Silent, 0, 0);
        // SAFETY: a cancellation or a close names no memory.
        unsafe { self.push(entry.flags(squeue::Flags::SKIP_SUCCESS), key) }
    }

    /// Submits what is queued, runs the kernel's deferred work, waits for `want` completions or `timeout_ns`, and
    /// takes in what completed.
    pub(crate) fn enter(&mut self, want: u32, timeout_ns: Option<u64>) -> Result<(), RingError> {
        let submit = self.uring.submission().len() as u32;
        let timeout = timeout_ns
            .map(|ns| libc::timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 });
        let arg = EnterArg {
            sigmask: 0,
            sigmask_bytes: 0,
            min_wait_us: 0,
            timeout: timeout.as_ref().map_or(0, |t| std::ptr::from_ref(t) as u64),
        };
        self.stats.enters.add(1);
        // SAFETY: the argument and the timespec it points to outlive the call; what the entries name is valid by the
        // contract of `push`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.enter_fd,
                submit,
                want,
                self.enter_flags | ENTER_GETEVENTS | ENTER_EXT_ARG,
                &raw const arg,
                size_of::<EnterArg>(),
            )
        };
        let error = if result < 0 { Some(io::Error::last_os_error()) } else { None };
        self.take_in();
        match error {
            None => self.taken(result as u32, submit),
            // The wait timed out or a signal came; or the kernel wants completions reaped (done above) or memory.
            Some(e) if matches!(e.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)) => {
                Ok(())
            }
            Some(error) => Err(RingError { doing: "io_uring_enter", error }),
        }
    }

    /// An enter has taken so many of the queued entries. All of them, unless the kernel has no memory. Where that parted a write from the
    /// flush behind it, the flush comes with the next enter, linked to nothing, and would say of the write what is not so.
    fn taken(&mut self, taken: u32, of: u32) -> Result<(), RingError> {
        if taken < of && self.links_queued {
            let text = format!(
                "the kernel had memory for {taken} of {of} operations, and may have parted a write from its flush"
            );
            return Err(RingError { doing: "io_uring_enter", error: io::Error::other(text) });
        }
        self.links_queued &= taken < of;
        Ok(())
    }

    fn take_in(&mut self) {
        let before = self.completed.len();
        for entry in self.uring.completion() {
            let key = Key(entry.user_data());
            self.completed.push_back(Completion { key, result: entry.result(), flags: entry.flags() });
        }
        self.stats.completions.add((self.completed.len() - before) as u64);
    }

    /// The next completion that [`Ring::enter`] took in.
    pub(crate) fn next(&mut self) -> Option<Completion> {
        let next = self.completed.pop_front()?;
        let counted = !matches!(next.key.kind(), Kind::Silent | Kind::Wake | Kind::Woken);
        if counted && !next.more() {
            self.outstanding -= 1;
        }
        Some(next)
    }

    /// Completions that can be taken now.
    pub(crate) fn at_hand(&self) -> usize {
        self.completed.len()
    }

    /// True if an enter would bring something in. Makes no system call.
    pub(crate) fn has_work(&mut self) -> bool {
        self.uring.submission().taskrun() || !self.uring.completion().is_empty()
    }
}

/// The ring's number among this thread's registered rings, which spares each enter a reference count.
fn register_ring_fd(fd: RawFd) -> Option<i32> {
    let mut update = RingFdUpdate { offset: u32::MAX, reserved: 0, data: fd as u64 };
    // SAFETY: one update is passed, as the count says, and it outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_io_uring_register, fd, REGISTER_RING_FDS, &raw mut update, 1) };
    (result == 1).then_some(update.offset as i32)
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
